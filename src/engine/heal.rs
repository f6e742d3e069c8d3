//! What a killed run left behind: rolled back before the next work begins, or only reported.
//!
//! Healing is done by the commands that write (`run`, `undo`, `diff`, a hook, an MCP call); `status`, `doctor` and `log`
//! only look. It needs neither the run's configuration nor its model, and works from any directory.

use crate::sys::disk::{self, Cause, Leftover, Purpose, RollBack, Unfinished};
use crate::words::error::{Context as _, Error, Kind};
use std::fmt;
use std::path::{Path, PathBuf};

/// A run that died while its files were not final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leavings {
    pub run_id: String,
    pub work_dir: PathBuf,
    /// Files that the run was writing.
    pub files: usize,
    pub state: State,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not healed yet: the next command that writes will do it.
    Open,
    RolledBack(RollBack),
    /// The work directory cannot be opened: gone, or on a disk that is not mounted. Tried again with every command,
    /// until the run is pruned.
    Unreachable(Cause),
    /// The journal cannot be read by this mux; `run_id` is the journal's name.
    Unreadable,
}

impl fmt::Display for Leavings {
    /// One line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (run, dir) = (&self.run_id, self.work_dir.display());
        match &self.state {
            State::Open => write!(f, "run {run} was killed while it wrote {} files in `{dir}`", self.files),
            State::RolledBack(done) => {
                write!(f, "run {run} was killed; {} files in `{dir}` were restored", done.restored)?;
                done.left.iter().try_for_each(|left| write!(f, "; {left}"))
            }
            State::Unreachable(cause) => write!(f, "run {run} was killed and waits to be rolled back: {cause}"),
            State::Unreadable => write!(f, "journal `{run}` cannot be read by this version of mux"),
        }
    }
}

/// Rolls back what dead runs left open below `runs`, the directory of all runs. Living runs are passed over.
///
/// # Errors
/// `Io` where the journals themselves cannot be read. What a roll-back could not do is a value.
pub fn heal(runs: &Path) -> Result<Vec<Leavings>, Error> {
    collect(runs, Purpose::Heal, |unfinished| match unfinished.roll_back() {
        Ok(done) => State::RolledBack(done),
        Err(cause) => State::Unreachable(cause),
    })
}

/// Says what [`heal`] would do, and changes nothing.
///
/// # Errors
/// As [`heal`].
pub fn report(runs: &Path) -> Result<Vec<Leavings>, Error> {
    collect(runs, Purpose::Report, |_| State::Open)
}

fn collect(runs: &Path, purpose: Purpose, end: fn(Unfinished) -> State) -> Result<Vec<Leavings>, Error> {
    let mut found = Vec::new();
    disk::leftovers(runs, purpose, &mut |leftover| {
        found.push(match leftover {
            Leftover::Unfinished(one) => Leavings {
                run_id: one.run_id().to_string(),
                work_dir: one.work_dir(),
                files: one.ops().len(),
                state: end(one),
            },
            Leftover::Unreadable(run_id) => {
                Leavings { run_id, work_dir: PathBuf::new(), files: 0, state: State::Unreadable }
            }
        });
    })
    .context(Kind::Io, || format!("cannot read the journals in `{}`", runs.display()))?;
    Ok(found)
}
