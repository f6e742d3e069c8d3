//! Around children that write: what they did becomes a changeset of the run, as if mux had made it. From then on it is
//! shown, rolled back, kept, healed and undone in the one way that there is.
//!
//! **Invariant:** between the two looks nothing is taken back on anybody's behalf. A run that is killed there leaves its
//! snapshot open, and the next command keeps what it finds, as a run that can be undone: which of the changes are the
//! user's since, nobody could tell.

#[cfg(test)]
mod tests;

use crate::engine::run::House;
use crate::rules::{diff, names};
use crate::sys::disk::{self, Applied, Folders, Foreign, Gone, Moded, WorkDir};
use crate::sys::git::Git;
use crate::sys::proc;
use crate::sys::snapshot::{Beyond, NoSnapshot, Places, Snapshot};
use crate::words::changes::{FileOp, Op};
use crate::words::stop::Stop;
use std::ffi::OsStr;
use std::path::Path;

/// Larger files are not shown in the diff, in bytes.
const LARGEST_SHOWN: u64 = 8 << 20;

/// What children did, in the hands of the run.
#[derive(Debug)]
pub struct Around {
    /// To be kept or rolled back, like any changeset. Dropping it rolls back.
    pub applied: Applied,
    pub diff: String,
    /// What they changed and no roll-back restores.
    pub beyond: Vec<Beyond>,
}

/// Takes a snapshot of a directory that exists. The caller holds the lock of the work directory, and `run_dir` exists.
///
/// # Errors
/// Why children must not write here: [`crate::words::task::Refusal::NoSnapshot`], with the sentence to show.
pub fn before(house: &House<'_>, dir: &WorkDir, run_dir: &Path, stop: &Stop) -> Result<Snapshot, NoSnapshot> {
    let no_git = || NoSnapshot::Git { doing: "be found", said: "there is no `git` in PATH".to_string() };
    let program = proc::which(OsStr::new("git"), house.env.var("PATH"), dir.path()).ok_or_else(no_git)?;
    let keeps = |name: &str| matches!(name, "PATH" | "HOME" | "XDG_CONFIG_HOME" | "TMPDIR");
    let marker = run_dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let git = Git { program, env: proc::environment(&house.env.vars, &keeps), marker };
    let places =
        Places { work_dir: dir.path().to_path_buf(), stores: house.state.snapshots(), run_dir: run_dir.to_path_buf() };
    Snapshot::before(git, places, stop)
}

/// Ends the snapshot: what has changed since belongs to the run.
///
/// # Errors
/// Why it could not be ended; then it stays open, and the next command tries again.
pub fn after(snapshot: Snapshot, dir: &WorkDir, stop: &Stop) -> Result<Around, NoSnapshot> {
    let taken = snapshot.after(stop)?;
    let files = taken.files.into_iter().map(|file| Foreign { path: file.path, image: file.image });
    let files: Vec<_> = files.collect();
    let moded =
        |(path, before, after): (String, u32, u32)| Moded { path, before: Some(raw(before)), after: raw(after) };
    let folders = Folders {
        made: taken.made,
        gone: taken.gone.into_iter().map(|(path, mode)| Gone { path, mode: raw(mode) }).collect(),
        modes: taken.modes.into_iter().map(moded).collect(),
    };
    let adopted = disk::adopt(dir, snapshot.run_dir(), &files, folders);
    let applied = adopted.map_err(|cause| NoSnapshot::Os { why: cause.to_string() })?;
    let diff = patch(&applied, dir);
    // The journal is written: a snapshot that stays open from here on finds nothing to do.
    snapshot.close()?;
    Ok(Around { applied, diff, beyond: taken.beyond })
}

/// Permissions as this system counts them.
fn raw(mode: u32) -> rustix::fs::RawMode {
    // The type is as wide as `u32` on Linux alone.
    #[allow(clippy::useless_conversion, reason = "needed where the type is narrower")]
    mode.try_into().unwrap_or(0)
}

/// The unified diff of what was done; what cannot be shown is named.
fn patch(applied: &Applied, dir: &WorkDir) -> String {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let mut out = String::new();
    for (index, op) in applied.ops().iter().enumerate() {
        if let Some((old, new)) = modes(op) {
            out.extend(["mode of ", &op.path, ": ", old, " -> ", new, "\n"]);
            continue;
        }
        let Ok(path) = names::readable(&op.path) else {
            out.extend(["not shown: `", &op.path.escape_debug().to_string(), "`\n"]);
            continue;
        };
        let then = applied.before(index, LARGEST_SHOWN).map(|bytes| bytes.map(text));
        let now = if op.op == Op::Delete {
            Ok(None)
        } else {
            dir.read(&path, LARGEST_SHOWN).map(|seen| seen.map(|seen| text(seen.bytes)))
        };
        match (then, now) {
            (Ok(then), Ok(now)) => out.push_str(&diff::unified(&op.path, then.as_deref(), now.as_deref())),
            (then, now) => {
                let why = now.err().or(then.err()).map(|cause| cause.to_string()).unwrap_or_default();
                out.extend(["not shown: ", &why, "\n"]);
            }
        }
    }
    out
}

/// The permissions before and after, where only these have changed.
fn modes(op: &FileOp) -> Option<(&str, &str)> {
    let (_, old) = op.before.as_ref()?.split_once('+')?;
    let (_, new) = op.after.as_ref()?.split_once('+')?;
    Some((old, new))
}
