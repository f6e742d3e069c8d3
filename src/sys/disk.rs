//! Files of a work directory: read one, apply a changeset, take it back. The only way in which mux writes user files.
//!
//! A changeset is all-or-nothing, also across a kill at any instant:
//! 1. look at every target; refuse what is no regular file, or no longer what the model was shown;
//! 2. write the whole plan to the journal and sync it ([`journal`]);
//! 3. make directories; write and sync every new content under a temporary name beside its target;
//! 4. exchange: overwrite = one exchange of two names, create = a rename that replaces nothing, delete = a rename.
//!    The file that came out is hashed; if a user saved meanwhile, all is taken back. Then it moves to the run's
//!    directory as the pre-image;
//! 5. sync each directory once. `keep` closes the journal with one rename; until then a crash rolls back ([`recover`]).
//!
//! **Invariants:** nothing is written through a link or a device, nothing blocks on a FIFO ([`tree`]). An old file is
//! never overwritten in place, so its hard links elsewhere keep their bytes. Not atomic for a concurrent reader.

mod adopt;
mod cause;
mod journal;
mod kept;
mod recover;
mod settle;
mod targets;
#[cfg(test)]
mod tests;
mod tree;
mod work_dir;

pub use adopt::{Folders, Foreign, adopt};
pub use cause::{Cause, Found};
pub use journal::{Gone, Moded, Purpose};
pub use kept::{Kept, Standing, State, kept, left};
pub use recover::{Left, RollBack, Why};
pub use settle::Settled;
pub use work_dir::WorkDir;

use crate::rules::names::Planned;
use crate::words::changes::{FileOp, Op};
use crate::words::stop::Stop;
use journal::{Journal, Orphan, Plan, SCHEMA};
use rustix::fs::Mode;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use targets::{By, Content, Targets, Wanted, look_at};
use tree::Walk;
use work_dir::{joined, open_base};

/// A changeset that was not applied. The tree is as before, but for what `rolled_back.left` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub cause: Cause,
    pub rolled_back: RollBack,
}

impl From<Cause> for Failed {
    fn from(cause: Cause) -> Failed {
        Failed { cause, rolled_back: RollBack::default() }
    }
}

/// A changeset that stands in the tree but is not final: end it with [`Applied::keep`] or [`Applied::roll_back`].
/// Dropping it rolls back, a kill does so at the next command.
#[derive(Debug)]
pub struct Applied {
    base: OwnedFd,
    plan: Plan,
    /// `None` once the changeset is ended, and where there was nothing to do.
    journal: Option<Journal>,
    /// Descriptors that a roll-back will need, so that running out of them never prevents one.
    reserve: Vec<OwnedFd>,
    /// Directories that should have gone and hold other files.
    left: Vec<Left>,
}

/// A directory, the next one or the files of a copy.
const N_RESERVED: usize = 3;

/// Applies a checked reply to the directory, as a whole or not at all.
///
/// `run_dir` is the run's existing directory (`runs/RUN_ID`, 0700); the journal lies beside it, pre-images in it.
/// `expected` says, for each path that the model was shown, the SHA-256 of what it was shown, or that it was absent;
/// a path that is not in it is taken as it is found. A write that would change no byte is left out.
///
/// # Errors
/// `Refused` and `Stale` before anything is written, `Stale` also when a user saves meanwhile, `Stopped`, `Os`. Whatever
/// was done is taken back.
pub fn apply(
    dir: &WorkDir,
    run_dir: &Path,
    planned: &[Planned<'_>],
    expected: &BTreeMap<String, Option<String>>,
    stop: &Stop,
) -> Result<Applied, Failed> {
    begin(dir, run_dir, look_at(dir, &wanted(planned), expected, By::Reply, stop)?, Vec::new(), Vec::new(), stop)
}

/// Looks whether [`apply`] would begin to write: for a preview.
///
/// # Errors
/// Those of [`apply`] before anything is written.
pub fn would_apply(
    dir: &WorkDir,
    planned: &[Planned<'_>],
    expected: &BTreeMap<String, Option<String>>,
    stop: &Stop,
) -> Result<(), Cause> {
    look_at(dir, &wanted(planned), expected, By::Reply, stop).map(drop)
}

fn wanted<'a>(planned: &'a [Planned<'a>]) -> Vec<Wanted<'a>> {
    let wanted = planned.iter().map(|Planned { path, content, raw, .. }| {
        let content = content.map(|content| Content::Bytes(raw.as_deref().unwrap_or(content.as_bytes())));
        Wanted { path: path.as_str(), content }
    });
    wanted.collect()
}

/// From what there is to do to what is done; `gone` are directories that go with their last file, `modes` what
/// directories are to be like in the end.
fn begin(
    dir: &WorkDir,
    run_dir: &Path,
    targets: Targets<'_>,
    gone: Vec<Gone>,
    modes: Vec<Moded>,
    stop: &Stop,
) -> Result<Applied, Failed> {
    let hold = || dir.base.try_clone().map_err(|error| Cause::os("hold", ".")(tree::errno(&error)));
    let base = hold()?;
    let mut plan = Plan {
        schema: SCHEMA,
        base: dir.base_path.clone().into_os_string(),
        prefix: dir.prefix.clone(),
        dirs: targets.dirs.into_iter().collect(),
        gone,
        modes,
        temp: String::new(),
        steps: targets.steps,
    };
    if plan.steps.is_empty() && plan.dirs.is_empty() && plan.gone.is_empty() && plan.modes.is_empty() {
        return Ok(Applied { base, plan, journal: None, reserve: Vec::new(), left: Vec::new() });
    }
    let reserve = (0..N_RESERVED).map(|_| hold()).collect::<Result<_, _>>()?;
    let mut journal = Journal::create(run_dir)?;
    plan.temp = journal.temp();
    if let Err(cause) = journal.write(&plan) {
        // Nothing else is done yet, and a journal without its plan means nothing.
        let _ = journal.remove(0);
        return Err(cause.into());
    }
    let mut applied = Applied { base, plan, journal: Some(journal), reserve, left: Vec::new() };
    let done = applied.stage(&targets.contents, stop).and_then(|()| applied.exchange(stop));
    let done = done.and_then(|()| recover::remove_dirs(applied.base.as_fd(), &applied.plan));
    match done.and_then(|left| recover::set_modes(applied.base.as_fd(), &applied.plan).map(|()| left)) {
        Ok(left) => {
            applied.left = left;
            Ok(applied)
        }
        Err(cause) => Err(Failed { cause, rolled_back: applied.roll_back() }),
    }
}

fn go_on(stop: &Stop) -> Result<(), Cause> {
    stop.reason().map_or(Ok(()), |reason| Err(Cause::Stopped(reason)))
}

impl Applied {
    /// Makes the directories, and writes all new content beside its target, synced.
    fn stage(&self, contents: &[Option<Content<'_>>], stop: &Stop) -> Result<(), Cause> {
        let mut walk = Walk::new(self.base.as_fd());
        for dir in &self.plan.dirs {
            let (parent, name) = tree::split(dir);
            walk.need(parent)?;
            match rustix::fs::mkdirat(walk.fd(), name, Mode::RWXU | Mode::RWXG | Mode::RWXO) {
                Ok(()) | Err(Errno::EXIST) => walk.touch(),
                Err(errno) => return Err(Cause::os("make directory", dir)(errno)),
            }
        }
        for (index, (step, content)) in self.plan.steps.iter().zip(contents).enumerate() {
            go_on(stop)?;
            let Some(content) = content else { continue };
            let temp = self.plan.names(index).temp;
            let path = self.plan.path(step);
            let (parent, name) = tree::split(&path);
            walk.need(parent)?;
            let image = if let Content::Image(kept, image) = content {
                if kept.copy_link(*image, walk.fd(), &temp, &step.path)? {
                    continue;
                }
                Some(kept.open(*image)?)
            } else {
                None
            };
            let is_overwrite = step.op == Op::Change && image.is_none();
            let old = if is_overwrite { tree::look(walk.fd(), name, &step.path)? } else { None };
            let is_new = old.is_none() && image.is_none();
            let mode = if is_new { tree::SHARED } else { tree::PRIVATE };
            let fails = Cause::os("write", &step.path);
            let mut file = tree::create(walk.fd(), &temp, mode).map_err(&fails)?;
            let written = match (content, &image) {
                (Content::Bytes(bytes), _) => file.write_all(bytes),
                (Content::Image(..), image) => {
                    image.as_ref().map_or(Ok(0), |(image, _)| io::copy(&mut &*image, &mut file)).map(drop)
                }
            };
            written.map_err(|error| fails(tree::errno(&error)))?;
            // What was there before a run comes back with its whole mode; new content inherits permissions alone.
            let mask = if image.is_some() { tree::WHOLE } else { tree::PERMISSIONS };
            if let Some((old, stat)) = image.or(old) {
                tree::dress(&file, &old, &stat, mask).map_err(|errno| match errno {
                    Errno::PERM => Cause::refused(&step.path, Found::NotOurs),
                    errno => fails(errno),
                })?;
            }
            file.sync_all().map_err(|error| fails(tree::errno(&error)))?;
        }
        walk.leave()
    }

    /// Gives every new content its name and takes every old file out of the tree.
    fn exchange(&self, stop: &Stop) -> Result<(), Cause> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let mut walk = Walk::new(self.base.as_fd());
        for (index, step) in self.plan.steps.iter().enumerate() {
            go_on(stop)?;
            let (path, temp) = (self.plan.path(step), self.plan.names(index).temp);
            let (parent, name) = tree::split(&path);
            walk.need(parent)?;
            walk.touch();
            let dir = walk.fd();
            let done = match step.op {
                Op::Create => tree::put(dir, &temp, name),
                Op::Change => tree::exchange(dir, &temp, name),
                Op::Delete => rustix::fs::renameat(dir, name, dir, &temp),
            };
            match done {
                // Somebody has made, or removed, this very file since it was looked at.
                Err(Errno::EXIST | Errno::NOENT) => return Err(Cause::Stale { path: step.path.clone() }),
                done => done.map_err(Cause::os("write", &step.path))?,
            }
            if step.op != Op::Create {
                if !tree::now(dir, &temp, &step.path)?.is(step.before.as_deref()) {
                    return Err(Cause::Stale { path: step.path.clone() });
                }
                journal.store(index, dir, &temp)?;
            }
        }
        walk.leave()?;
        journal.sync_images()
    }

    /// Returns what was done, sorted by directory and name. Empty where the reply changed no byte.
    pub fn ops(&self) -> &[FileOp] {
        &self.plan.steps
    }

    /// Returns the directories that an undo should have removed and that hold other files.
    pub fn left(&self) -> &[Left] {
        &self.left
    }

    /// Returns what stood at a file before, if that was a file of at most `limit` bytes.
    ///
    /// # Errors
    /// `TooLarge`, `Os`.
    pub fn before(&self, index: usize, limit: u64) -> Result<Option<Vec<u8>>, Cause> {
        self.journal.as_ref().map_or(Ok(None), |journal| journal.read(index, limit))
    }

    /// Makes the changeset final. Its pre-images stay in the run's directory.
    ///
    /// # Errors
    /// `Os` where the journal could not be closed; then the changeset was rolled back.
    pub fn keep(mut self) -> Result<Vec<FileOp>, Failed> {
        match self.journal.as_ref().map_or(Ok(()), Journal::keep) {
            Ok(()) => {
                self.journal = None;
                Ok(std::mem::take(&mut self.plan.steps))
            }
            Err(cause) => Err(Failed { cause, rolled_back: self.roll_back() }),
        }
    }

    /// Takes the changeset back: bytes, modes, times and absence. A file that somebody else has changed since is left
    /// alone and named in the result.
    pub fn roll_back(mut self) -> RollBack {
        self.take_back()
    }

    fn take_back(&mut self) -> RollBack {
        self.reserve.clear();
        let journal = self.journal.take();
        journal.map_or_else(RollBack::default, |journal| recover::roll_back(self.base.as_fd(), &self.plan, &journal))
    }
}

impl Drop for Applied {
    fn drop(&mut self) {
        self.take_back();
    }
}

/// A changeset whose run died before it ended. While it is held, no other process heals it.
pub struct Unfinished {
    journal: Journal,
    plan: Plan,
}

impl Unfinished {
    pub fn run_id(&self) -> &str {
        self.journal.run_id()
    }

    pub fn work_dir(&self) -> PathBuf {
        joined(Path::new(&self.plan.base), &self.plan.prefix)
    }

    /// Returns what the run was about to do, or did.
    pub fn ops(&self) -> &[FileOp] {
        &self.plan.steps
    }

    /// Takes the changeset back, as [`Applied::roll_back`] does.
    ///
    /// # Errors
    /// Where the directory cannot be opened (it is gone, or its disk is not mounted): the journal stays for later.
    pub fn roll_back(self) -> Result<RollBack, Cause> {
        let base = open_base(Path::new(&self.plan.base))?;
        Ok(recover::roll_back(base.as_fd(), &self.plan, &self.journal))
    }
}

/// A journal that was left open.
pub enum Leftover {
    Unfinished(Box<Unfinished>),
    /// Its name; written by another version of mux, or damaged.
    Unreadable(String),
}

/// Hands over what dead runs have left open among `names`, those of files in `runs` (the directory of all runs), newest
/// first. Living runs are passed over. With [`Purpose::Report`] nothing changes, and what is handed over must not be
/// rolled back.
///
/// # Errors
/// `Os` where a journal cannot be read.
pub fn leftovers(runs: &Path, names: &[String], purpose: Purpose, each: &mut dyn FnMut(Leftover)) -> Result<(), Cause> {
    journal::orphans(runs, names, purpose, &mut |orphan| {
        each(match orphan {
            Orphan::Planned(journal, plan) => Leftover::Unfinished(Box::new(Unfinished { journal, plan: *plan })),
            Orphan::Unreadable(name) => Leftover::Unreadable(name),
        });
    })
}
