//! The journal of one changeset: what will be done, written down and synced before anything is done.
//!
//! `runs/RUN.undo-N` while the changeset is open (the run that works on it holds its lock); `runs/RUN/undo-N` once it is
//! kept; gone once it is rolled back; `runs/RUN/left-N` where something had to be left alone: its pre-images stay. Pre-images are
//! `runs/RUN/undo-N.I` for step I. State is thus a name: it changes in one rename, needs no space, and all open
//! journals are found by one listing of `runs/`, however many runs lie there.
//!
//! **Invariant:** a journal that does not end in a newline, or does not hold a plan, has no effects to undo.

use super::cause::{Cause, Found};
use super::tree;
use crate::rules::from_json::{self, structs};
use crate::rules::sorted::sorted;
use crate::words::changes::FileOp;
use rustix::fs::{AtFlags, Mode, OFlags, RawMode};
use rustix::io::Errno;
use serde::Serialize;
use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

/// What a changeset does, complete before it begins.
#[derive(Debug, Serialize)]
pub(super) struct Plan {
    pub(super) schema: u32,
    /// The directory that all of this is relative to: the work directory, or what existed above it. Absolute.
    pub(super) base: OsString,
    /// From there to the work directory: empty, or components that each end in `/`.
    pub(super) prefix: String,
    /// Directories to make, parents first, relative to `base`.
    pub(super) dirs: Vec<String>,
    /// Directories to remove where nothing is left in them, parents first, relative to `base`: an undo has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) gone: Vec<Gone>,
    /// Directories of which the permissions change, relative to `base`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) modes: Vec<Moded>,
    /// Beginning of the temporary names.
    pub(super) temp: String,
    /// In the order in which they are done. Paths are relative to the work directory.
    pub(super) steps: Vec<FileOp>,
}

pub(super) const SCHEMA: u32 = 1;

/// A directory that is removed, with what it takes to make it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gone {
    pub path: String,
    /// Its permissions.
    pub mode: RawMode,
}

/// A directory with other permissions than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moded {
    pub path: String,
    /// `None` for a directory that the changeset makes.
    pub before: Option<RawMode>,
    pub after: RawMode,
}

/// Names of step `index`, in the target's directory.
pub(super) struct Names {
    /// New content before its exchange, the old file after it.
    pub(super) temp: String,
    /// The old file while it is brought back, and the new one after that.
    pub(super) aside: String,
    /// A copy that is not complete yet.
    pub(super) scratch: String,
}

structs! {
    Plan { schema, base, prefix, dirs, gone, modes, temp, steps }
    Gone { path, mode }
    Moded { path, before, after }
}

impl Plan {
    pub(super) fn names(&self, index: usize) -> Names {
        let temp = format!("{}{index}", self.temp);
        Names { aside: format!("{temp}r"), scratch: format!("{temp}c"), temp }
    }

    /// Reads a journal: the last of its lines that is whole, and counts; `None` for what this mux does not understand.
    pub(super) fn parse(text: &[u8]) -> Option<Plan> {
        let mut lines = text.split_inclusive(|byte| *byte == b'\n').rev();
        let plan = lines.find_map(|line| from_json::read::<Plan>(line.strip_suffix(b"\n")?).ok());
        plan.filter(|plan| plan.schema == SCHEMA)
    }

    /// Returns the path of a step relative to `base`.
    pub(super) fn path(&self, step: &FileOp) -> String {
        format!("{}{}", self.prefix, step.path)
    }
}

/// An open journal and its lock.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    runs: OwnedFd,
    run: OwnedFd,
    /// `RUN.undo-N`
    name: String,
    run_id: String,
    number: u32,
}

pub(super) const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const MIDDLE: &str = ".undo-";
/// Most changesets of one run.
pub(super) const MAX_NUMBER: u32 = 1000;

impl Journal {
    /// Begins a journal for the run whose directory is `run_dir`.
    pub(super) fn create(run_dir: &Path) -> Result<Journal, Cause> {
        let shown = run_dir.to_string_lossy();
        let odd = || Cause::refused(&shown, Found::OddPath);
        let (Some(parent), Some(run_id)) = (run_dir.parent(), run_dir.file_name().and_then(|name| name.to_str()))
        else {
            return Err(odd());
        };
        let open =
            |path: &Path| rustix::fs::open(path, DIRECTORY, Mode::empty()).map_err(Cause::os("open directory", &shown));
        let (runs, run) = (open(parent)?, open(run_dir)?);
        for number in 1..=MAX_NUMBER {
            let name = format!("{run_id}{MIDDLE}{number}");
            if tree::exists(run.as_fd(), &format!("undo-{number}"))
                || tree::exists(run.as_fd(), &format!("left-{number}"))
            {
                continue;
            }
            match tree::create(runs.as_fd(), &name, tree::PRIVATE) {
                Ok(file) => {
                    file.lock().map_err(|error| Cause::os("lock", &name)(tree::errno(&error)))?;
                    let journal = Journal { file, runs, run, name, run_id: run_id.to_string(), number };
                    // A healer may have seen it empty and taken it away before it was locked.
                    return if journal.has_its_name() { Ok(journal) } else { Journal::create(run_dir) };
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(Cause::os("create", &name)(errno)),
            }
        }
        Err(odd())
    }

    /// Returns the beginning of temporary names. It is a name that no reply may write, and unique to the run.
    pub(super) fn temp(&self) -> String {
        format!(".mux-{}-{}.", self.run_id, self.number)
    }

    /// Writes the plan down, durably. Written again, it takes the place of the one before.
    pub(super) fn write(&mut self, plan: &Plan) -> Result<(), Cause> {
        let fails = Cause::os("write", &self.name);
        let mut line = serde_json::to_vec(plan).map_err(|_| fails(Errno::IO))?;
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_all());
        written.map_err(|error| fails(tree::errno(&error)))?;
        tree::sync_dir(self.runs.as_fd()).map_err(&fails)
    }

    /// Makes the changeset final: its pre-images stay for `mux undo`.
    pub(super) fn keep(&self) -> Result<(), Cause> {
        let fails = Cause::os("keep", &self.name);
        let kept = format!("undo-{}", self.number);
        rustix::fs::renameat(&self.runs, &self.name, &self.run, &kept).map_err(&fails)?;
        tree::sync_dir(self.runs.as_fd()).map_err(|errno| {
            let _ = rustix::fs::renameat(&self.run, &kept, &self.runs, &self.name);
            fails(errno)
        })
    }

    /// Ends a changeset that was rolled back but for the files of the steps that `is_left`: their pre-images stay, an empty
    /// one for a file that was made; the others go.
    pub(super) fn end_left(&self, plan: &Plan, is_left: &dyn Fn(&FileOp) -> bool) -> Result<(), Cause> {
        for (index, step) in plan.steps.iter().enumerate() {
            let image = self.image(index);
            if !is_left(step) {
                let _ = tree::remove(self.run.as_fd(), &image);
            } else if step.before.is_none() {
                let _ = tree::create(self.run.as_fd(), &image, tree::PRIVATE);
            }
        }
        let left = format!("left-{}", self.number);
        rustix::fs::renameat(&self.runs, &self.name, &self.run, left).map_err(Cause::os("close", &self.name))
    }

    /// Ends a changeset of `n_steps` that left no trace.
    pub(super) fn remove(&self, n_steps: usize) -> Result<(), Cause> {
        for index in 0..n_steps {
            let image = self.image(index);
            let _ = tree::remove(self.run.as_fd(), &image);
            let _ = tree::remove(self.run.as_fd(), &format!("{image}.part"));
        }
        tree::remove(self.runs.as_fd(), &self.name).map_err(Cause::os("remove", &self.name))
    }

    pub(super) fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Takes a complete file, `from` in the run's directory, for the pre-image of step `index`.
    pub(super) fn adopt(&self, index: usize, from: &str) -> Result<(), Cause> {
        rustix::fs::renameat(&self.run, from, &self.run, self.image(index)).map_err(Cause::os("keep", from))
    }

    /// Reads the pre-image of step `index`, if it is a file of at most `limit` bytes.
    pub(super) fn read(&self, index: usize, limit: u64) -> Result<Option<Vec<u8>>, Cause> {
        let image = self.image(index);
        let Some((file, stat)) = tree::look(self.run.as_fd(), &image, &image)? else { return Ok(None) };
        let bytes = u64::try_from(stat.st_size).unwrap_or(0);
        if bytes > limit {
            return Err(Cause::TooLarge { path: image, bytes });
        }
        let mut text = Vec::new();
        let read = file.take(limit).read_to_end(&mut text);
        read.map_err(|error| Cause::os("read", &image)(tree::errno(&error)))?;
        Ok(Some(text))
    }

    /// Makes the pre-images durable.
    pub(super) fn sync_images(&self) -> Result<(), Cause> {
        tree::sync_dir(self.run.as_fd()).map_err(Cause::os("sync directory", &self.run_id))
    }

    fn image(&self, index: usize) -> String {
        image(self.number, index)
    }

    /// Whether the pre-image of a step is here, complete.
    pub(super) fn has_image(&self, index: usize) -> bool {
        tree::exists(self.run.as_fd(), &self.image(index))
    }

    /// Moves a file out of the tree, to be the pre-image of step `index`: the inode itself where that is possible.
    pub(super) fn store(&self, index: usize, dir: BorrowedFd<'_>, name: &str) -> Result<(), Cause> {
        let (image, fails) = (self.image(index), Cause::os("move away", name));
        if !self.has_image(index) {
            match rustix::fs::renameat(dir, name, &self.run, &image) {
                // Another file system: a copy that has its name only when it is complete.
                Err(Errno::XDEV) => {
                    let part = format!("{image}.part");
                    tree::copy(dir, name, self.run.as_fd(), &part)?;
                    rustix::fs::renameat(&self.run, &part, &self.run, &image).map_err(&fails)?;
                }
                done => return done.map_err(fails),
            }
        }
        tree::remove(dir, name).map_err(fails)
    }

    /// Brings the pre-image of step `index` back under the name `to`. Its copy stays where it had to be copied.
    pub(super) fn bring(&self, index: usize, dir: BorrowedFd<'_>, scratch: &str, to: &str) -> Result<(), Cause> {
        let (image, fails) = (self.image(index), Cause::os("bring back", to));
        match rustix::fs::renameat(&self.run, &image, dir, to) {
            Err(Errno::XDEV) => {
                tree::copy(self.run.as_fd(), &image, dir, scratch)?;
                rustix::fs::renameat(dir, scratch, dir, to).map_err(fails)
            }
            done => done.map_err(fails),
        }
    }

    /// Whether this is still the open journal: not removed, kept or replaced since it was opened.
    fn has_its_name(&self) -> bool {
        let named = rustix::fs::statat(&self.runs, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        match (named, rustix::fs::fstat(&self.file)) {
            (Ok(named), Ok(held)) => (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino),
            _ => false,
        }
    }
}

/// Returns the name of the pre-image of step `index` of the changeset `number` of a run.
pub(super) fn image(number: u32, index: usize) -> String {
    format!("undo-{number}.{index}")
}

/// How an open journal is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To roll back: its lock is taken, and a journal that never got its plan is removed.
    Heal,
    /// To report: nothing changes.
    Report,
}

/// An open journal that no living run holds.
pub(super) enum Orphan {
    Planned(Journal, Box<Plan>),
    /// Complete, but not of a kind that this mux understands.
    Unreadable(String),
}

/// Hands over the journals among `names` (of files in `runs`) whose runs have died, newest first, one at a time.
pub(super) fn orphans(
    runs: &Path,
    names: &[String],
    purpose: Purpose,
    each: &mut dyn FnMut(Orphan),
) -> Result<(), Cause> {
    let mut open: Vec<(&str, u32)> = Vec::new();
    for name in names {
        let parts = name.split_once(MIDDLE);
        open.extend(parts.and_then(|(run_id, number)| Some((run_id, number.parse().ok()?))));
    }
    // Within a run the last changeset lies upon the ones before, so it is taken away first.
    for (run_id, number) in sorted(open).into_iter().rev() {
        if let Some(orphan) = orphan(runs, run_id.to_string(), number, purpose)? {
            each(orphan);
        }
    }
    Ok(())
}

fn orphan(runs: &Path, run_id: String, number: u32, purpose: Purpose) -> Result<Option<Orphan>, Cause> {
    let name = format!("{run_id}{MIDDLE}{number}");
    let shown = name.clone();
    let fails = Cause::os("open", &shown);
    let open = |path: &Path| rustix::fs::open(path, DIRECTORY, Mode::empty()).map_err(&fails);
    let (runs_fd, run) = (open(runs)?, open(&runs.join(&run_id)));
    let Some((mut file, _)) = tree::look(runs_fd.as_fd(), &name, &name)? else { return Ok(None) };
    let locked = match purpose {
        Purpose::Heal => file.try_lock(),
        Purpose::Report => file.try_lock_shared(),
    };
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(fails(tree::errno(&error))),
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(|error| fails(tree::errno(&error)))?;
    let plan = Plan::parse(&text);
    // The run's directory is made before the journal; without it there is nothing that could be brought back.
    let Ok(run) = run else { return Ok(Some(Orphan::Unreadable(name))) };
    let journal = Journal { file, runs: runs_fd, run, name, run_id, number };
    if !journal.has_its_name() {
        return Ok(None);
    }
    match plan {
        Some(plan) => Ok(Some(Orphan::Planned(journal, Box::new(plan)))),
        None if text.ends_with(b"}\n") => Ok(Some(Orphan::Unreadable(journal.name))),
        None => {
            if purpose == Purpose::Heal {
                journal.remove(0)?;
            }
            Ok(None)
        }
    }
}
