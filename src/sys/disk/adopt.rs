//! What somebody else did to the work directory, taken over as if it had been a changeset of mux: from then on it is
//! rolled back, healed, kept and undone in the one way that there is.
//!
//! **Invariant:** nothing in the work directory changes here, and nothing is journaled before its pre-image is durable.

use super::cause::Cause;
use super::journal::{Gone, Journal, Moded, Plan, SCHEMA};
use super::tree::{self, Now, Walk};
use super::work_dir::WorkDir;
use super::{Applied, N_RESERVED};
use crate::rules::sorted::sorted;
use crate::words::changes::{FileOp, Op};
use rustix::fs::{AtFlags, Mode};
use std::os::fd::AsFd as _;
use std::path::Path;

/// A file or link that may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Relative to the work directory.
    pub path: String,
    /// The name, in the run's directory, of what stood there before, with its bytes, permissions and times; `None` where
    /// nothing did.
    pub image: Option<String>,
}

/// What became of directories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folders {
    /// Parents first, as all of these.
    pub made: Vec<String>,
    pub gone: Vec<Gone>,
    pub modes: Vec<Moded>,
}

/// Takes over what was done. Files that are what they were are left out; so is what has become neither file nor link.
///
/// # Errors
/// `Os` where a file or a pre-image cannot be read, or the journal not be written; then nothing is journaled.
pub fn adopt(dir: &WorkDir, run_dir: &Path, files: &[Foreign], folders: Folders) -> Result<Applied, Cause> {
    let hold = || dir.base.try_clone().map_err(|error| Cause::os("hold", ".")(tree::errno(&error)));
    let shown = run_dir.to_string_lossy();
    let run = rustix::fs::open(run_dir, super::journal::DIRECTORY, Mode::empty());
    let run = run.map_err(Cause::os("open directory", &shown))?;
    let mut walk = Walk::new(dir.base.as_fd());
    let (mut steps, mut images) = (Vec::new(), Vec::new());
    let places = files.iter().enumerate().map(|(index, one)| (tree::split(&one.path), index)).collect();
    for (_, index) in sorted(places) {
        let Some(Foreign { path, image }) = files.get(index) else { continue };
        let before = image.as_ref().map_or(Ok(Now::Absent), |image| tree::now(run.as_fd(), image, path))?;
        let (now, bytes) = look(&mut walk, path)?;
        match step(path, &before, &now, bytes) {
            Some(step) => {
                steps.push(step);
                images.push(image);
            }
            None => {
                let _ = image.as_ref().map(|image| tree::remove(run.as_fd(), image));
            }
        }
    }
    let mut plan = Plan {
        schema: SCHEMA,
        base: dir.base_path.clone().into_os_string(),
        prefix: dir.prefix.clone(),
        dirs: folders.made,
        gone: folders.gone,
        modes: folders.modes,
        temp: String::new(),
        steps,
    };
    let reserve = (0..N_RESERVED).map(|_| hold()).collect::<Result<_, _>>()?;
    let base = hold()?;
    if plan.steps.is_empty() && plan.dirs.is_empty() && plan.gone.is_empty() && plan.modes.is_empty() {
        return Ok(Applied { base, plan, journal: None, reserve, left: Vec::new() });
    }
    let mut journal = Journal::create(run_dir)?;
    plan.temp = journal.temp();
    let mut images = images.iter().enumerate().filter_map(|(index, image)| Some((index, image.as_ref()?)));
    let brought = images.try_for_each(|(index, image)| journal.adopt(index, image));
    let written = brought.and_then(|()| journal.sync_images());
    if let Err(cause) = written.and_then(|()| journal.write(&plan)) {
        let _ = journal.remove(plan.steps.len());
        return Err(cause);
    }
    Ok(Applied { base, plan, journal: Some(journal), reserve, left: Vec::new() })
}

/// Says what is at a path now. What lies behind a link or a file, or is neither file nor link, counts as absent: it was
/// not, or no longer is, this file.
fn look(walk: &mut Walk<'_>, path: &str) -> Result<(Now, u64), Cause> {
    let (parent, name) = tree::split(path);
    match walk.enter(parent) {
        Ok(true) => {}
        Ok(false) | Err(Cause::Refused { .. }) => return Ok((Now::Absent, 0)),
        Err(cause) => return Err(cause),
    }
    let now = match tree::now(walk.fd(), name, path)? {
        Now::Other => Now::Absent,
        now @ (Now::There(..) | Now::Absent) => now,
    };
    let stat = rustix::fs::statat(walk.fd(), name, AtFlags::SYMLINK_NOFOLLOW);
    let size = stat.map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or(0));
    Ok((now, size))
}

fn step(path: &str, before: &Now, now: &Now, size: u64) -> Option<FileOp> {
    let path = path.to_string();
    match (before, now) {
        (Now::There(old, old_mode), Now::There(new, mode)) if old == new => {
            let (before, after) = (tree::with_mode(old, *old_mode), tree::with_mode(new, *mode));
            let is_changed = old_mode != mode;
            is_changed.then_some(FileOp { path, op: Op::Change, before: Some(before), after: Some(after), bytes: size })
        }
        (Now::There(old, _), Now::There(new, _)) => {
            let (before, after) = (Some(old.clone()), Some(new.clone()));
            Some(FileOp { path, op: Op::Change, before, after, bytes: size })
        }
        (Now::There(old, _), Now::Absent | Now::Other) => {
            Some(FileOp { path, op: Op::Delete, before: Some(old.clone()), after: None, bytes: 0 })
        }
        (Now::Absent | Now::Other, Now::There(new, _)) => {
            Some(FileOp { path, op: Op::Create, before: None, after: Some(new.clone()), bytes: size })
        }
        (Now::Absent | Now::Other, Now::Absent | Now::Other) => None,
    }
}
