//! Taking a changeset back, at whatever instant it stopped: while it was written, after it, or in the midst of an
//! earlier roll-back. A run that fails and a run that was killed go the same way.
//!
//! **Invariant:** only content decides. What stands at a name is compared with the hashes of the plan; a file that is
//! neither the old nor the new one belongs to somebody else and is left alone. No old file is ever unlinked.

use super::cause::{Cause, Found};
use super::journal::{Gone, Journal, Moded, Names, Plan};
use super::tree::{self, Now, Walk};
use crate::words::changes::{FileOp, Op};
use rustix::fs::{AtFlags, Mode, RawMode};
use rustix::io::Errno;
use std::fmt;
use std::os::fd::BorrowedFd;

/// What a roll-back did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RollBack {
    /// Files that are as before now, and were not.
    pub restored: usize,
    /// What was not brought back, and why. Empty is the rule.
    pub left: Vec<Left>,
}

/// A file or directory that was left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Relative to the work directory; a directory above it is shown relative to where making directories began.
    pub path: String,
    pub why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Somebody else has changed it since. Its pre-image stays with the run.
    ChangedSince,
    /// A directory that mux made holds files that mux did not write.
    NotEmpty,
    /// The pre-image is gone.
    Lost,
    /// The disk did not let it; the next command tries again.
    Failed(Cause),
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.why {
            Why::ChangedSince => write!(f, "`{path}` was changed by someone else since; left as it is"),
            Why::NotEmpty => write!(f, "`{path}` holds other files; left in place"),
            Why::Lost => write!(f, "`{path}` cannot be restored: its old content is gone"),
            Why::Failed(cause) => write!(f, "`{path}` is not restored yet: {cause}"),
        }
    }
}

/// How one step was taken back.
enum Back {
    Untouched,
    Restored,
    Left(Why),
}

/// Takes all of a changeset back and ends its journal, unless the disk refused: then the journal stays open.
pub(super) fn roll_back(base: BorrowedFd<'_>, plan: &Plan, journal: &Journal) -> RollBack {
    let (mut walk, mut done) = (Walk::new(base), RollBack::default());
    // A file may have taken the place of a directory, or a directory that of a file: what is new goes first.
    take_all_back(&mut walk, plan, journal, false, &mut done);
    for dir in plan.dirs.iter().rev() {
        if let Err(why) = remove_dir(&mut walk, dir) {
            let path = dir.strip_prefix(&plan.prefix).unwrap_or(dir).to_string();
            done.left.push(Left { path, why });
        }
    }
    for gone in &plan.gone {
        if let Err(cause) = remake_dir(&mut walk, gone) {
            done.left.push(Left { path: gone.path.clone(), why: Why::Failed(cause) });
        }
    }
    take_all_back(&mut walk, plan, journal, true, &mut done);
    for Moded { path, before, after } in &plan.modes {
        let set = before.map_or(Ok(()), |before| set_mode(&mut walk, path, Some(*after), before));
        if let Err(cause) = set {
            done.left.push(Left { path: path.clone(), why: Why::Failed(cause) });
        }
    }
    let ended = walk.leave().and_then(|()| {
        if done.left.iter().any(|left| matches!(left.why, Why::Failed(_))) {
            return Ok(());
        }
        if done.left.is_empty() {
            return journal.remove(plan.steps.len());
        }
        journal.end_left(plan, &|step| done.left.iter().any(|left| left.path == step.path))
    });
    if let Err(cause) = ended {
        done.left.push(Left { path: plan.prefix.clone(), why: Why::Failed(cause) });
    }
    done
}

/// Takes the steps back that delete, or those that do not.
fn take_all_back(walk: &mut Walk<'_>, plan: &Plan, journal: &Journal, deletes: bool, done: &mut RollBack) {
    for (index, step) in plan.steps.iter().enumerate().filter(|(_, step)| (step.op == Op::Delete) == deletes) {
        let entered = match enter(walk, plan, step) {
            // Where a file has taken the place of the directory, there is none either.
            Err(Cause::Refused { found: Found::NotADirectory, .. }) => Ok(false),
            entered => entered,
        };
        let back = entered.and_then(|there| {
            if there {
                walk.touch();
                return take_back(walk.fd(), plan, journal, index, step);
            }
            // The directory was not made yet, or somebody has removed it with all that was in it.
            Ok(if journal.has_image(index) { Back::Left(Why::ChangedSince) } else { Back::Untouched })
        });
        match back.unwrap_or_else(|cause| Back::Left(Why::Failed(cause))) {
            Back::Untouched => {}
            Back::Restored => done.restored += 1,
            Back::Left(why) => done.left.push(Left { path: step.path.clone(), why }),
        }
    }
}

/// How often a directory that is a link for the moment is tried again: some milliseconds.
const MAX_TRIES: u32 = 2000;

/// Enters the directory of a step. Somebody who keeps exchanging it with a link is outlasted, within a bound.
fn enter(walk: &mut Walk<'_>, plan: &Plan, step: &FileOp) -> Result<bool, Cause> {
    let path = plan.path(step);
    let dir = tree::split(&path).0;
    let mut last = Ok(false);
    for _ in 0..MAX_TRIES {
        last = walk.enter(dir);
        match &last {
            Err(Cause::Refused { found: Found::SymbolicLink, .. }) => std::thread::yield_now(),
            _ => break,
        }
    }
    last
}

fn take_back(dir: BorrowedFd<'_>, plan: &Plan, journal: &Journal, index: usize, step: &FileOp) -> Result<Back, Cause> {
    let (path, names) = (plan.path(step), plan.names(index));
    let name = tree::split(&path).1;
    let fails = Cause::os("restore", &step.path);
    tree::remove(dir, &names.scratch).map_err(&fails)?;
    let place = Place { dir, journal, index, step, name, names: &names };
    match step.op {
        Op::Create => place.take_back_create(),
        Op::Change => {
            tree::settle(dir, &names.temp, name).map_err(&fails)?;
            tree::settle(dir, &names.aside, name).map_err(&fails)?;
            place.take_back_change()
        }
        Op::Delete => place.take_back_delete(),
    }
}

/// One step where it happened.
struct Place<'a> {
    dir: BorrowedFd<'a>,
    journal: &'a Journal,
    index: usize,
    step: &'a FileOp,
    name: &'a str,
    names: &'a Names,
}

impl Place<'_> {
    /// The new file goes away through `aside`: what was taken is looked at before it is lost.
    fn take_back_create(&self) -> Result<Back, Cause> {
        let Names { temp, aside, .. } = self.names;
        if !tree::exists(self.dir, aside) {
            let was_placed = !tree::exists(self.dir, temp) || tree::is_same(self.dir, temp, self.name);
            tree::remove(self.dir, temp).map_err(self.fails())?;
            if !was_placed {
                return Ok(Back::Untouched);
            }
            let now = self.now(self.name)?;
            if now == Now::Absent {
                return Ok(Back::Untouched);
            }
            if !now.is(self.after()) {
                return Ok(Back::Left(Why::ChangedSince));
            }
            self.rename(self.name, aside)?;
        }
        if self.now(aside)?.is(self.after()) {
            tree::remove(self.dir, aside).map_err(self.fails())?;
            return Ok(Back::Restored);
        }
        self.give_back(aside)?;
        Ok(Back::Left(Why::ChangedSince))
    }

    fn take_back_delete(&self) -> Result<Back, Cause> {
        let Names { temp, aside, scratch } = self.names;
        let from = if tree::exists(self.dir, aside) {
            aside
        } else if tree::exists(self.dir, temp) {
            temp
        } else if self.journal.has_image(self.index) {
            if self.now(self.name)?.is(self.before()) {
                return Ok(Back::Untouched);
            }
            self.journal.bring(self.index, self.dir, scratch, aside)?;
            aside
        } else if self.now(self.name)? == Now::Absent {
            return Ok(Back::Left(Why::Lost));
        } else {
            return Ok(Back::Untouched);
        };
        Ok(if self.give_back(from)? { Back::Restored } else { Back::Left(Why::ChangedSince) })
    }

    fn take_back_change(&self) -> Result<Back, Cause> {
        let Names { temp, aside, .. } = self.names;
        let mut now = self.now(self.name)?;
        if !tree::exists(self.dir, aside) {
            if now.is(self.before()) {
                tree::remove(self.dir, temp).map_err(self.fails())?;
                return Ok(Back::Untouched);
            }
            if let Some(back) = self.bring_old_aside(&now)? {
                return Ok(back);
            }
        } else if now.is(self.before()) {
            // An earlier roll-back was cut after its exchange: `aside` holds what came out.
            let out = self.now(aside)?;
            if out.is(self.after()) || out.is(self.before()) {
                tree::remove(self.dir, aside).map_err(self.fails())?;
                return Ok(Back::Restored);
            }
            tree::exchange(self.dir, aside, self.name).map_err(self.fails())?;
            now = Now::Other;
        }
        if now.is(self.after()) {
            tree::exchange(self.dir, aside, self.name).map_err(self.fails())?;
            if self.now(aside)?.is(self.after()) {
                tree::remove(self.dir, aside).map_err(self.fails())?;
                return Ok(Back::Restored);
            }
            // Somebody saved between the look and the exchange: the file that came out is theirs.
            tree::exchange(self.dir, aside, self.name).map_err(self.fails())?;
        }
        self.journal.store(self.index, self.dir, aside)?;
        Ok(Back::Left(Why::ChangedSince))
    }

    /// Finds the old file and brings it to `aside`. Returns the end of the step where there is nothing to bring, or
    /// where the new file is no longer there to be exchanged.
    fn bring_old_aside(&self, now: &Now) -> Result<Option<Back>, Cause> {
        let Names { temp, aside, scratch } = self.names;
        let (is_new, is_stored) = (now.is(self.after()), self.journal.has_image(self.index));
        let out = self.now(temp)?;
        // Once the new file has its name, what is in `temp` came out by the exchange, be it the expected file or not.
        let is_in_temp = out.is(self.before()) || (is_new && !is_stored && out != Now::Absent);
        match (is_new, is_in_temp) {
            (true, true) => self.rename(temp, aside)?,
            (false, true) => {
                self.journal.store(self.index, self.dir, temp)?;
                return Ok(Some(Back::Left(Why::ChangedSince)));
            }
            (true, false) if !is_stored => return Ok(Some(Back::Left(Why::Lost))),
            (_, false) => {
                tree::remove(self.dir, temp).map_err(self.fails())?;
                if !is_new {
                    return Ok(Some(if is_stored { Back::Left(Why::ChangedSince) } else { Back::Untouched }));
                }
                self.journal.bring(self.index, self.dir, scratch, aside)?;
            }
        }
        Ok(None)
    }

    /// Gives a file its name back. Where somebody has made a new one, that one stays and this one goes to the run.
    fn give_back(&self, from: &str) -> Result<bool, Cause> {
        match tree::put(self.dir, from, self.name) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => self.journal.store(self.index, self.dir, from).map(|()| false),
            Err(errno) => Err(self.fails()(errno)),
        }
    }

    fn now(&self, name: &str) -> Result<Now, Cause> {
        tree::now(self.dir, name, &self.step.path)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Cause> {
        rustix::fs::renameat(self.dir, from, self.dir, to).map_err(self.fails())
    }

    fn before(&self) -> Option<&str> {
        self.step.before.as_deref()
    }

    fn after(&self) -> Option<&str> {
        self.step.after.as_deref()
    }

    fn fails(&self) -> impl Fn(Errno) -> Cause {
        Cause::os("restore", &self.step.path)
    }
}

/// Removes the directories that a changeset leaves empty. Returns those that hold other files.
pub(super) fn remove_dirs(base: BorrowedFd<'_>, plan: &Plan) -> Result<Vec<Left>, Cause> {
    let (mut walk, mut left) = (Walk::new(base), Vec::new());
    for gone in plan.gone.iter().rev() {
        match remove_dir(&mut walk, &gone.path) {
            Ok(()) => {}
            Err(Why::Failed(cause)) => return Err(cause),
            Err(why) => {
                let path = gone.path.strip_prefix(&plan.prefix).unwrap_or(&gone.path).to_string();
                left.push(Left { path, why });
            }
        }
    }
    walk.leave()?;
    Ok(left)
}

/// Gives directories the permissions that the changeset wants.
pub(super) fn set_modes(base: BorrowedFd<'_>, plan: &Plan) -> Result<(), Cause> {
    let mut walk = Walk::new(base);
    plan.modes.iter().try_for_each(|one| set_mode(&mut walk, &one.path, one.before, one.after))
}

/// Changes the permissions of a directory that has those of `from`, where that is said. One that is gone needs none.
fn set_mode(walk: &mut Walk<'_>, path: &str, from: Option<RawMode>, to: RawMode) -> Result<(), Cause> {
    let fails = Cause::os("set the permissions of", path);
    match walk.enter(path) {
        Ok(true) => {}
        Ok(false) | Err(Cause::Refused { .. }) => return Ok(()),
        Err(cause) => return Err(cause),
    }
    let is = rustix::fs::fstat(walk.fd()).map_err(&fails)?.st_mode & tree::BITS;
    if is == to || from.is_some_and(|from| from != is) {
        return Ok(());
    }
    rustix::fs::fchmod(walk.fd(), Mode::from_raw_mode(to)).map_err(fails)
}

/// Makes a directory again that was removed as empty, so that its files have a place to come back to.
fn remake_dir(walk: &mut Walk<'_>, gone: &Gone) -> Result<(), Cause> {
    let (parent, name) = tree::split(&gone.path);
    let fails = Cause::os("make directory", &gone.path);
    if !walk.enter(parent)? || tree::exists(walk.fd(), name) {
        return Ok(());
    }
    walk.touch();
    rustix::fs::mkdirat(walk.fd(), name, Mode::RWXU).map_err(&fails)?;
    let dir = tree::open_dir(walk.fd(), name).map_err(&fails)?;
    rustix::fs::fchmod(&dir, Mode::from_raw_mode(gone.mode)).map_err(fails)
}

fn remove_dir(walk: &mut Walk<'_>, dir: &str) -> Result<(), Why> {
    let (parent, name) = tree::split(dir);
    if !walk.enter(parent).map_err(Why::Failed)? {
        return Ok(());
    }
    walk.touch();
    match rustix::fs::unlinkat(walk.fd(), name, AtFlags::REMOVEDIR) {
        Ok(()) => Ok(()),
        Err(_) if !tree::exists(walk.fd(), name) => Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Err(Why::NotEmpty),
        Err(Errno::NOTDIR) => Err(Why::ChangedSince),
        Err(errno) => Err(Why::Failed(Cause::os("remove directory", dir)(errno))),
    }
}
