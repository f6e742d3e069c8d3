//! The work directory: opened once, then held by descriptor. Reads its files; never writes.

use super::cause::{Cause, Found};
use super::tree::{self, Walk};
use crate::rules::names::RelPath;
use rustix::fs::{Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io::{ErrorKind, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// A directory to work in, held by descriptor: whatever happens to its path later, this is the directory.
///
/// It may be missing. Then it is made when a changeset is applied, and taken away when that is rolled back.
#[derive(Debug)]
pub struct WorkDir {
    path: PathBuf,
    pub(super) base_path: PathBuf,
    pub(super) base: OwnedFd,
    /// From the base to the directory: empty, or missing components that each end in `/`.
    pub(super) prefix: String,
}

impl WorkDir {
    /// Opens an absolute path, whose links are resolved here, once.
    ///
    /// # Errors
    /// `Refused` for a file, a dangling link, a relative or (where it is missing) odd path; `Os`.
    pub fn open(path: &Path) -> Result<WorkDir, Cause> {
        let shown = path.to_string_lossy();
        if !path.is_absolute() {
            return Err(Cause::refused(&shown, Found::OddPath));
        }
        let (mut above, mut missing) = (path, Vec::new());
        let base_path = loop {
            match fs_err::canonicalize(above) {
                Ok(path) => break path,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(_) => {
                    let errno = rustix::fs::stat(above).err().unwrap_or(Errno::IO);
                    return Err(Cause::os("open directory", &shown)(errno));
                }
            }
            let (Some(parent), Some(name)) = (above.parent(), above.file_name().and_then(OsStr::to_str)) else {
                return Err(Cause::refused(&shown, Found::OddPath));
            };
            missing.push(name);
            above = parent;
        };
        let base = open_base(&base_path)?;
        if missing.last().is_some_and(|name| tree::exists(base.as_fd(), name)) {
            return Err(Cause::refused(&shown, Found::SymbolicLink));
        }
        missing.reverse();
        let prefix: String = missing.iter().flat_map(|name| [*name, "/"]).collect();
        Ok(WorkDir { path: joined(&base_path, &prefix), base_path, base, prefix })
    }

    /// Opens the directory of a changeset again: `base` is a path without links, `prefix` goes on from there.
    pub(super) fn again(base_path: PathBuf, prefix: String) -> Result<WorkDir, Cause> {
        let base = open_base(&base_path)?;
        Ok(WorkDir { path: joined(&base_path, &prefix), base_path, base, prefix })
    }

    /// Returns the path without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether the directory was missing when it was opened.
    pub fn was_missing(&self) -> bool {
        !self.prefix.is_empty()
    }

    /// Returns which directory is worked in, or is to be made in: what is started by a path has to be told whether the path
    /// still leads there.
    ///
    /// # Errors
    /// `Moved` where it leads elsewhere, or nowhere; `Refused`, `Os`.
    pub fn place(&self) -> Result<Place, Cause> {
        let mut walk = Walk::new(self.base.as_fd());
        let path = if walk.enter(&self.prefix)? { &self.path } else { &self.base_path };
        let held = rustix::fs::fstat(walk.fd()).map(|stat| Place::of(&stat));
        let held = held.map_err(Cause::os("look at directory", &path.to_string_lossy()))?;
        let is_there = rustix::fs::stat(path).is_ok_and(|stat| Place::of(&stat) == held);
        is_there.then_some(held).ok_or_else(|| Cause::Moved { path: path.to_string_lossy().into_owned() })
    }

    /// Makes sure that it is the directory that it was.
    ///
    /// # Errors
    /// As [`WorkDir::place`].
    pub fn still(&self, place: Place) -> Result<(), Cause> {
        let is_same = self.place()? == place;
        is_same.then_some(()).ok_or_else(|| Cause::Moved { path: self.path.to_string_lossy().into_owned() })
    }

    /// Returns the owner's user id; `None` for a directory that was missing.
    pub fn owner(&self) -> Option<u32> {
        if self.was_missing() { None } else { rustix::fs::fstat(&self.base).ok().map(|stat| stat.st_uid) }
    }

    /// Reads a regular file. `None` where there is none.
    ///
    /// # Errors
    /// `Refused` where anything else stands there or on the way, links included; `TooLarge` over `limit` bytes; `Os`.
    pub fn read(&self, path: &RelPath, limit: u64) -> Result<Option<Seen>, Cause> {
        let full = format!("{}{path}", self.prefix);
        let ((dir, name), mut walk) = (tree::split(&full), Walk::new(self.base.as_fd()));
        if !walk.enter(dir)? {
            return Ok(None);
        }
        let Some((file, stat)) = tree::look(walk.fd(), name, path.as_str())? else { return Ok(None) };
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let mut bytes = Vec::with_capacity(usize::try_from(size.min(limit)).unwrap_or(0));
        let read = (&file).take(limit.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| Cause::os("read", path.as_str())(tree::errno(&error)))?;
        let n_bytes = bytes.len() as u64;
        if n_bytes > limit {
            return Err(Cause::TooLarge { path: path.to_string(), bytes: size.max(n_bytes) });
        }
        Ok(Some(Seen { sha256: tree::hash_of(&bytes), bytes, is_executable: stat.st_mode & 0o100 != 0 }))
    }
}

/// A directory, whatever it is called: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(i128, i128);

impl Place {
    fn of(stat: &Stat) -> Place {
        // As wide as they are on any system, and signed as on some.
        Place(stat.st_dev.into(), stat.st_ino.into())
    }
}

impl WorkDir {
    /// Gives a file the present time. A build that has seen other content at this name would otherwise take the file
    /// for the older one: cargo compares times, and kept running a bad build after its source was restored (measured).
    ///
    /// # Errors
    /// As [`WorkDir::read`].
    pub fn touch(&self, path: &RelPath) -> Result<(), Cause> {
        let full = format!("{}{path}", self.prefix);
        let ((dir, name), mut walk) = (tree::split(&full), Walk::new(self.base.as_fd()));
        if walk.enter(dir)?
            && let Some((file, _)) = tree::look(walk.fd(), name, path.as_str())?
        {
            let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
            let times = Timestamps { last_access: now, last_modification: now };
            rustix::fs::futimens(&file, &times).map_err(Cause::os("touch", path.as_str()))?;
        }
        Ok(())
    }
}

/// Looks into many files, one after the other. The directory of the last one stays open.
pub struct Skim<'a> {
    prefix: &'a str,
    walk: Walk<'a>,
    bytes: Vec<u8>,
}

impl WorkDir {
    /// Returns a reader for looking only: it hashes nothing and says nothing about what it cannot read.
    pub fn skim(&self) -> Skim<'_> {
        Skim { prefix: &self.prefix, walk: Walk::new(self.base.as_fd()), bytes: Vec::new() }
    }
}

impl Skim<'_> {
    /// Returns the text of a regular file of at most `limit` bytes. `None` for anything else, links included.
    pub fn text(&mut self, path: &RelPath, limit: u64) -> Option<&str> {
        let full = format!("{}{path}", self.prefix);
        let (dir, name) = tree::split(&full);
        if !self.walk.enter(dir).ok()? {
            return None;
        }
        let (file, stat) = tree::look(self.walk.fd(), name, path.as_str()).ok()??;
        // A larger one is not begun; one that grows meanwhile is thrown away.
        let size = usize::try_from(stat.st_size).ok().filter(|size| *size as u64 <= limit)?;
        if self.bytes.len() <= size {
            self.bytes.resize(size + 1, 0);
        }
        let (room, mut n) = (self.bytes.get_mut(..=size)?, 0);
        // One call for most: what has the length that it said has ended.
        while n < size.max(1) {
            match (&file).read(room.get_mut(n..)?) {
                Ok(0) => break,
                Ok(more) => n += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        std::str::from_utf8(room.get(..n)?).ok().filter(|_| n <= size)
    }
}

/// A file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub bytes: Vec<u8>,
    /// In hex: what `expected` of [`apply`] wants.
    pub sha256: String,
    /// Whether its owner may execute it.
    pub is_executable: bool,
}

/// Returns the work directory's path. Joining nothing would add a slash.
pub(super) fn joined(base: &Path, prefix: &str) -> PathBuf {
    if prefix.is_empty() { base.to_path_buf() } else { base.join(prefix.trim_end_matches('/')) }
}

/// Opens an absolute path without links, component by component.
pub(super) fn open_base(path: &Path) -> Result<OwnedFd, Cause> {
    // Directories on the way need only be passed through; O_PATH asks for no more than that.
    #[cfg(target_os = "linux")]
    let pass = OFlags::PATH;
    #[cfg(not(target_os = "linux"))]
    let pass = OFlags::RDONLY;
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let shown = path.to_string_lossy();
    let open = |at: BorrowedFd<'_>, name: &OsStr, access| {
        rustix::fs::openat(at, name, flags | access, Mode::empty()).map_err(|errno| match errno {
            Errno::LOOP => Cause::refused(&shown, Found::SymbolicLink),
            Errno::NOTDIR => Cause::refused(&shown, Found::NotADirectory),
            errno => Cause::os("open directory", &shown)(errno),
        })
    };
    let mut here = open(rustix::fs::CWD, OsStr::new("/"), pass)?;
    for name in path.components().filter(|component| matches!(component, Component::Normal(_))) {
        here = open(here.as_fd(), name.as_os_str(), pass)?;
    }
    open(here.as_fd(), OsStr::new("."), OFlags::RDONLY)
}
