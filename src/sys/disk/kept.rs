//! A changeset that was kept, and what it takes to undo it: a changeset of its own, whose contents are the pre-images.
//!
//! **Invariant:** only content decides. A file is undone without asking where it is byte for byte what the run left; one
//! that is what it was before the run needs nothing; any other was changed since, and the caller decides.

use super::cause::{Cause, Found};
use super::journal::{self, DIRECTORY, Gone, MAX_NUMBER, Moded, Plan};
use super::tree::{self, Now, Walk};
use super::work_dir::WorkDir;
use super::{Applied, By, Content, Failed, Wanted, begin, look_at};
use crate::words::stop::Stop;
use rustix::fs::{AtFlags, Mode, RawMode, Stat};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The changeset of a run, and its pre-images. A run keeps one at the most, beside what it had to leave ([`left`]).
#[derive(Debug)]
pub struct Kept {
    plan: Plan,
    run: OwnedFd,
    /// The name of the pre-image of each step, and its size in bytes.
    images: Vec<(String, u64)>,
}

/// How a file of a run stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Relative to the work directory.
    pub path: String,
    pub state: State,
    /// The SHA-256 of what is there; `None` where nothing is.
    now: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As the run left it.
    AsLeft,
    /// As it was before the run: nothing to undo.
    AsBefore,
    /// Somebody has changed it since.
    Changed,
    /// Something stands there, or on the way to it, that is never written or read through.
    Blocked(Found),
    /// Its pre-image is gone, or no longer what it was.
    Lost,
}

/// Returns the changeset that the run with this directory kept; `None` where it kept none, or was pruned.
///
/// # Errors
/// `Os` where the directory or the journal cannot be read; `BADMSG` for a journal of another version of mux.
pub fn kept(run_dir: &Path) -> Result<Option<Kept>, Cause> {
    let Some(run) = open_run(run_dir)? else { return Ok(None) };
    for number in 1..=MAX_NUMBER {
        if let Some(plan) = plan(&run, &format!("undo-{number}"))? {
            let images = (0..plan.steps.len()).map(|index| image(&run, number, index)).collect();
            return Ok(Some(Kept { plan, run, images }));
        }
    }
    Ok(None)
}

/// Returns what the run with this directory could not take back, because somebody had changed it: each file once, as it
/// was before the first changeset that touched it. `None` where there is none.
///
/// # Errors
/// As [`kept`].
pub fn left(run_dir: &Path) -> Result<Option<Kept>, Cause> {
    let Some(run) = open_run(run_dir)? else { return Ok(None) };
    let mut all: Option<Plan> = None;
    let mut images = Vec::new();
    for number in 1..=MAX_NUMBER {
        let Some(mut plan) = plan(&run, &format!("left-{number}"))? else { continue };
        let steps = std::mem::take(&mut plan.steps);
        (plan.dirs, plan.gone, plan.modes) = (Vec::new(), Vec::new(), Vec::new());
        let all = all.get_or_insert(plan);
        for (index, step) in steps.into_iter().enumerate() {
            let (name, size) = image(&run, number, index);
            if tree::exists(run.as_fd(), &name) && !all.steps.iter().any(|known| known.path == step.path) {
                all.steps.push(step);
                images.push((name, size));
            }
        }
    }
    Ok(all.filter(|plan| !plan.steps.is_empty()).map(|plan| Kept { plan, run, images }))
}

fn open_run(run_dir: &Path) -> Result<Option<OwnedFd>, Cause> {
    match rustix::fs::open(run_dir, DIRECTORY, Mode::empty()) {
        Err(Errno::NOENT) => Ok(None),
        run => run.map(Some).map_err(Cause::os("open directory", &run_dir.to_string_lossy())),
    }
}

/// Reads a closed journal; `None` where there is none of this name.
fn plan(run: &OwnedFd, name: &str) -> Result<Option<Plan>, Cause> {
    let Some((mut file, _)) = tree::look(run.as_fd(), name, name)? else { return Ok(None) };
    let (mut text, fails) = (Vec::new(), Cause::os("read", name));
    file.read_to_end(&mut text).map_err(|error| fails(tree::errno(&error)))?;
    Plan::parse(&text).ok_or_else(|| fails(Errno::BADMSG)).map(Some)
}

/// Returns the name of a pre-image and its size.
fn image(run: &OwnedFd, number: u32, index: usize) -> (String, u64) {
    let name = journal::image(number, index);
    let stat = rustix::fs::statat(run, &name, AtFlags::SYMLINK_NOFOLLOW);
    (name, stat.map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or(0)))
}

impl Kept {
    /// Opens the work directory; it may be missing where the run made it.
    ///
    /// # Errors
    /// `Os` where it is gone, `Refused` where a link has taken its place.
    pub fn work_dir(&self) -> Result<WorkDir, Cause> {
        WorkDir::again(PathBuf::from(&self.plan.base), self.plan.prefix.clone())
    }

    /// Says how each file of the run stands now, in the order of the changeset.
    ///
    /// # Errors
    /// `Os` where a file or a pre-image cannot be read.
    pub fn compare(&self, dir: &WorkDir) -> Result<Vec<Standing>, Cause> {
        let mut walk = Walk::new(dir.base.as_fd());
        let mut all = Vec::with_capacity(self.plan.steps.len());
        for (index, step) in self.plan.steps.iter().enumerate() {
            let path = self.plan.path(step);
            let (parent, name) = tree::split(&path);
            let knows_links = [&step.before, &step.after].into_iter().flatten().any(|id| id.starts_with(tree::LINK));
            let now = walk.enter(parent).and_then(|there| match there {
                false => Ok(Now::Absent),
                true if knows_links => tree::see(walk.fd(), name, &step.path),
                true => tree::strict(walk.fd(), name, &step.path),
            });
            let now = now.map(|now| now.in_style(step.after.as_deref().or(step.before.as_deref())));
            let (state, now) = match now {
                Ok(now) if now == step.before => (State::AsBefore, now),
                Ok(now) if !self.has(index)? => (State::Lost, now),
                Ok(now) if now == step.after => (State::AsLeft, now),
                Ok(now) => (State::Changed, now),
                Err(Cause::Refused { found, .. }) => (State::Blocked(found), None),
                Err(cause) => return Err(cause),
            };
            all.push(Standing { path: step.path.clone(), state, now });
        }
        for (path, is_undone) in self.bare_dirs(&mut walk)? {
            let state = if is_undone { State::AsBefore } else { State::AsLeft };
            all.push(Standing { path: format!("{path}/"), state, now: None });
        }
        Ok(all)
    }

    /// The directories that no file of the changeset speaks for, and whether they are as before it.
    fn bare_dirs(&self, walk: &mut Walk<'_>) -> Result<Vec<(String, bool)>, Cause> {
        let speaks = |dir: &str| {
            self.plan
                .steps
                .iter()
                .any(|step| self.plan.path(step).strip_prefix(dir).is_some_and(|rest| rest.starts_with('/')))
        };
        let mut found = Vec::new();
        for path in self.plan.dirs.iter().filter(|path| !speaks(path)) {
            found.push((path.clone(), !matches!(walk.enter(path), Ok(true))));
        }
        for Gone { path, .. } in self.plan.gone.iter().filter(|gone| !speaks(&gone.path)) {
            found.push((path.clone(), matches!(walk.enter(path), Ok(true))));
        }
        for Moded { path, before, .. } in &self.plan.modes {
            if let Some(before) = before {
                found.push((path.clone(), dir_mode(walk, path)?.is_none_or(|mode| mode == *before)));
            }
        }
        Ok(found)
    }

    /// Undoes what `standing`, of [`Kept::compare`], says is as the run left it or was changed since: bytes, modes,
    /// owners, attributes and absence, also of directories that the run made and that hold nothing else. The files have
    /// the present time: a build that has seen newer ones would otherwise take them for old. What is there now becomes
    /// the pre-image of this changeset, which belongs to the run of `run_dir`.
    ///
    /// # Errors
    /// As [`super::apply`]; `Stale` for a file that has changed after it was compared.
    pub fn undo(&self, dir: &WorkDir, run_dir: &Path, standing: &[Standing], stop: &Stop) -> Result<Applied, Failed> {
        let (mut wanted, mut expected) = (Vec::new(), BTreeMap::new());
        for (index, (step, one)) in self.plan.steps.iter().zip(standing).enumerate() {
            if matches!(one.state, State::AsLeft | State::Changed) {
                let content = step.before.as_ref().map(|_| Content::Image(self, index));
                wanted.push(Wanted { path: &step.path, content });
                expected.insert(step.path.clone(), one.now.clone());
            }
        }
        let mut targets = look_at(dir, &wanted, &expected, By::Undo, stop)?;
        let mut walk = Walk::new(dir.base.as_fd());
        let mut modes = Vec::new();
        for Gone { path, mode } in &self.plan.gone {
            if dir_mode(&mut walk, path)?.is_none() {
                targets.dirs.insert(path.clone());
                modes.push(Moded { path: path.clone(), before: None, after: *mode });
            }
        }
        for Moded { path, before, after } in &self.plan.modes {
            if let (Some(before), true) = (before, dir_mode(&mut walk, path)? == Some(*after)) {
                modes.push(Moded { path: path.clone(), before: Some(*after), after: *before });
            }
        }
        begin(dir, run_dir, targets, self.made_dirs(dir)?, modes, stop)
    }

    /// Returns what stood at a file of the run before it, at most `limit` bytes; `None` for a file that was absent.
    ///
    /// # Errors
    /// `TooLarge`, `Os`.
    pub fn before(&self, index: usize, limit: u64) -> Result<Option<Vec<u8>>, Cause> {
        let Some(step) = self.plan.steps.get(index).filter(|step| step.before.is_some()) else { return Ok(None) };
        let (size, mut bytes) = (self.facts(index).1, Vec::new());
        if size > limit {
            return Err(Cause::TooLarge { path: step.path.clone(), bytes: size });
        }
        let read = self.open(index)?.0.read_to_end(&mut bytes);
        read.map_err(|error| Cause::os("read", &step.path)(tree::errno(&error)))?;
        Ok(Some(bytes))
    }

    /// The directories that the run made and that are still there.
    fn made_dirs(&self, dir: &WorkDir) -> Result<Vec<Gone>, Cause> {
        let mut walk = Walk::new(dir.base.as_fd());
        let mut gone = Vec::new();
        for path in &self.plan.dirs {
            if walk.enter(path)? {
                let stat = rustix::fs::fstat(walk.fd()).map_err(Cause::os("look at", path))?;
                gone.push(Gone { path: path.clone(), mode: stat.st_mode & tree::BITS });
            }
        }
        Ok(gone)
    }

    fn image(&self, index: usize) -> &str {
        self.images.get(index).map_or("", |image| &image.0)
    }

    /// Whether the pre-image of a step is there and whole, where it needs one.
    fn has(&self, index: usize) -> Result<bool, Cause> {
        let Some(before) = self.plan.steps.get(index).and_then(|step| step.before.as_ref()) else { return Ok(true) };
        let name = self.image(index);
        Ok(tree::now(self.run.as_fd(), name, name)?.is(Some(before)))
    }

    /// Makes a pre-image that is a symbolic link again, as `temp`; false for one that is a file.
    pub(super) fn copy_link(&self, index: usize, dir: BorrowedFd<'_>, temp: &str, path: &str) -> Result<bool, Cause> {
        tree::copy_link(self.run.as_fd(), self.image(index), dir, temp).map_err(Cause::os("write", path))
    }

    /// Opens a pre-image.
    pub(super) fn open(&self, index: usize) -> Result<(File, Stat), Cause> {
        let name = self.image(index);
        tree::look(self.run.as_fd(), name, name)?.ok_or_else(|| Cause::os("read", name)(Errno::NOENT))
    }

    /// Returns the SHA-256 and the size of a pre-image.
    pub(super) fn facts(&self, index: usize) -> (String, u64) {
        let before = self.plan.steps.get(index).and_then(|step| step.before.clone());
        (before.unwrap_or_default(), self.images.get(index).map_or(0, |image| image.1))
    }
}

/// Returns the permissions of a directory; `None` where there is none.
fn dir_mode(walk: &mut Walk<'_>, path: &str) -> Result<Option<RawMode>, Cause> {
    match walk.enter(path) {
        Ok(true) => {}
        Ok(false) | Err(Cause::Refused { .. }) => return Ok(None),
        Err(cause) => return Err(cause),
    }
    let stat = rustix::fs::fstat(walk.fd()).map_err(Cause::os("look at", path))?;
    Ok(Some(stat.st_mode & tree::BITS))
}
