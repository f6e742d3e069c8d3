//! Names below a held directory descriptor: walking to a directory, looking at a file, exchanging two names.
//!
//! **Invariants:** a path is never handed to the kernel whole: each component is opened `O_NOFOLLOW` relative to the one
//! before, so a link that appears at any moment ends the walk. Only regular files are opened, and never for writing.

use super::cause::{Cause, Found};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawMode, RenameFlags, Stat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fs::{File, FileTimes};
use std::io::{self, BufRead, BufReader};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a name stands for, as far as undoing a change needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Now {
    Absent,
    /// A regular file and the SHA-256 of its content, or a symbolic link and [`LINK`] with the SHA-256 of its target;
    /// and the permissions.
    There(String, RawMode),
    Other,
}

/// Begins the identity of a symbolic link. No reply makes one and none is written through; a provider may have made,
/// changed or removed one, and that is taken back.
pub(super) const LINK: &str = "link:";
/// Between a hash and permissions, where these are all that changed.
pub(super) const MODE: char = '+';

impl Now {
    /// Whether the name stands for a file with this content, or for nothing where that is expected.
    pub(super) fn is(&self, hash: Option<&str>) -> bool {
        match self {
            Now::Absent => hash.is_none(),
            Now::There(now, _) => {
                hash.is_some_and(|hash| hash == now || self.in_style(Some(hash)).as_deref() == Some(hash))
            }
            Now::Other => false,
        }
    }

    /// Returns the identity in the style of another: with permissions where that one has them.
    pub(super) fn in_style(&self, style: Option<&str>) -> Option<String> {
        match self {
            Now::There(hash, mode) if style.is_some_and(|style| style.contains(MODE)) => Some(with_mode(hash, *mode)),
            Now::There(hash, _) => Some(hash.clone()),
            Now::Absent | Now::Other => None,
        }
    }
}

/// The identity of a file of which only the permissions have changed.
pub(super) fn with_mode(hash: &str, mode: RawMode) -> String {
    format!("{hash}{MODE}{mode:o}")
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
const CREATE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Read, write and execute: the part of a mode that new content inherits. Not set-user-id, for the same reason for which
/// the kernel drops it on a write.
pub(super) const PERMISSIONS: Mode = Mode::RWXU.union(Mode::RWXG).union(Mode::RWXO);
/// The permissions in a mode, without the type of the file. Not `Mode::all()`, which has every bit.
pub(super) const BITS: RawMode = 0o7777;
/// All of a mode: what a file gets back that was taken out of the tree.
pub(super) const WHOLE: Mode = Mode::all();

/// Opens a directory of one component.
pub(super) fn open_dir(at: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(at, name, DIRECTORY, Mode::empty())
}

/// Splits a path into its directory (`""` for none) and its name.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// A place in the tree below `base`. It holds one directory at a time, so that a reply with many directories needs few
/// descriptors; a directory in which something was renamed is synced when it is left.
pub(super) struct Walk<'a> {
    base: BorrowedFd<'a>,
    dir: String,
    here: Option<OwnedFd>,
    changed: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(base: BorrowedFd<'a>) -> Walk<'a> {
        Walk { base, dir: String::new(), here: None, changed: false }
    }

    /// Goes to `dir`, `""` being the base. Returns false where it does not exist.
    pub(super) fn enter(&mut self, dir: &str) -> Result<bool, Cause> {
        if self.dir == dir {
            return Ok(true);
        }
        self.leave()?;
        let (mut here, mut end): (Option<OwnedFd>, _) = (None, 0);
        for name in dir.split('/').filter(|name| !name.is_empty()) {
            let at = here.as_ref().map_or(self.base, AsFd::as_fd);
            end += name.len() + 1;
            match open_dir(at, name) {
                Ok(fd) => here = Some(fd),
                Err(Errno::NOENT) => return Ok(false),
                Err(errno) => {
                    let path = dir.get(..end - 1).unwrap_or(dir);
                    // Linux says ENOTDIR for a link too, when a directory is asked for. What is a directory by now was
                    // a link a moment ago.
                    let found = match (errno, file_type(at, name)) {
                        (Errno::LOOP, _) | (Errno::NOTDIR, Ok(FileType::Symlink | FileType::Directory)) => {
                            Found::SymbolicLink
                        }
                        (Errno::NOTDIR, _) => Found::NotADirectory,
                        _ => return Err(Cause::os("open directory", path)(errno)),
                    };
                    return Err(Cause::refused(path, found));
                }
            }
        }
        (self.dir, self.here) = (dir.to_string(), here);
        Ok(true)
    }

    /// Goes to a directory that must be there.
    pub(super) fn need(&mut self, dir: &str) -> Result<(), Cause> {
        if self.enter(dir)? { Ok(()) } else { Err(Cause::os("open directory", dir)(Errno::NOENT)) }
    }

    /// Returns the directory that was entered last.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.here.as_ref().map_or(self.base, AsFd::as_fd)
    }

    /// Says that names in this directory have changed.
    pub(super) fn touch(&mut self) {
        self.changed = true;
    }

    /// Goes back to the base, after a sync where names have changed.
    pub(super) fn leave(&mut self) -> Result<(), Cause> {
        let synced = if self.changed { sync_dir(self.fd()) } else { Ok(()) };
        self.changed = false;
        let dir = std::mem::take(&mut self.dir);
        self.here = None;
        synced.map_err(Cause::os("sync directory", &dir))
    }
}

/// Makes renames in a directory durable. Some file systems know no sync of directories.
pub(super) fn sync_dir(dir: BorrowedFd<'_>) -> Result<(), Errno> {
    match rustix::fs::fsync(dir) {
        Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
        done => done,
    }
}

fn file_type(dir: BorrowedFd<'_>, name: &str) -> Result<FileType, Errno> {
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| FileType::from_raw_mode(stat.st_mode))
}

/// Whether anything has this name, a dangling link included.
pub(super) fn exists(dir: BorrowedFd<'_>, name: &str) -> bool {
    file_type(dir, name).is_ok()
}

/// Opens a regular file for reading; `None` where nothing has this name. `path` is for the message.
pub(super) fn look(dir: BorrowedFd<'_>, name: &str, path: &str) -> Result<Option<(File, Stat)>, Cause> {
    // Asked before opening, because opening some devices does something; asked again of the descriptor, because the
    // name may have changed hands. `NONBLOCK` is for a FIFO that came between.
    let refuse = |file_type| Err(Cause::refused(path, found(file_type)));
    match file_type(dir, name) {
        Ok(FileType::RegularFile) => {}
        Ok(file_type) => return refuse(file_type),
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(Cause::os("look at", path)(errno)),
    }
    let file = match rustix::fs::openat(dir, name, READ, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return refuse(FileType::Symlink),
        Err(errno) => return Err(Cause::os("read", path)(errno)),
    };
    let stat = rustix::fs::fstat(&file).map_err(Cause::os("look at", path))?;
    let file_type = FileType::from_raw_mode(stat.st_mode);
    if file_type == FileType::RegularFile { Ok(Some((file, stat))) } else { refuse(file_type) }
}

fn found(file_type: FileType) -> Found {
    match file_type {
        FileType::Symlink => Found::SymbolicLink,
        FileType::Directory => Found::Directory,
        FileType::Fifo => Found::Fifo,
        FileType::Socket => Found::Socket,
        FileType::RegularFile | FileType::BlockDevice | FileType::CharacterDevice | FileType::Unknown => Found::Device,
    }
}

/// Says what a name stands for.
pub(super) fn now(dir: BorrowedFd<'_>, name: &str, path: &str) -> Result<Now, Cause> {
    match see(dir, name, path) {
        Err(Cause::Refused { .. }) => Ok(Now::Other),
        now => now,
    }
}

/// Says what a name stands for, and refuses all but regular files and symbolic links.
pub(super) fn see(dir: BorrowedFd<'_>, name: &str, path: &str) -> Result<Now, Cause> {
    match strict(dir, name, path) {
        Err(Cause::Refused { found: Found::SymbolicLink, .. }) => {
            let target = rustix::fs::readlinkat(dir, name, Vec::new()).map_err(Cause::os("read", path))?;
            Ok(Now::There(format!("{LINK}{}", hash_of(target.as_bytes())), 0))
        }
        now => now,
    }
}

/// Says what a name stands for, and refuses all but a regular file.
pub(super) fn strict(dir: BorrowedFd<'_>, name: &str, path: &str) -> Result<Now, Cause> {
    match look(dir, name, path)? {
        Some((file, stat)) => Ok(Now::There(hash(&file, path)?, stat.st_mode & BITS)),
        None => Ok(Now::Absent),
    }
}

/// Returns the SHA-256 of all that a file holds, in hex.
pub(super) fn hash(file: &File, path: &str) -> Result<String, Cause> {
    let (mut sum, mut reader) = (Sha256::new(), BufReader::with_capacity(64 << 10, file));
    loop {
        let n_bytes = match reader.fill_buf() {
            Ok([]) => return Ok(hex(&sum.finalize())),
            Ok(chunk) => {
                sum.update(chunk);
                chunk.len()
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(Cause::os("read", path)(errno(&error))),
        };
        reader.consume(n_bytes);
    }
}

/// Returns the SHA-256 of a text, in hex.
pub(super) fn hash_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}

/// Returns the system's number of an error of a file that std reads or writes; what `fs_err` says has none.
pub(super) fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// A file for its owner alone.
pub(super) const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);
/// A new file of the user's, less what the umask takes; never executable.
pub(super) const SHARED: Mode = PRIVATE.union(Mode::RGRP).union(Mode::ROTH);

/// Makes a new file for writing.
pub(super) fn create(dir: BorrowedFd<'_>, name: &str, mode: Mode) -> Result<File, Errno> {
    rustix::fs::openat(dir, name, CREATE, mode).map(File::from)
}

/// Gives new content the owner, group, mode (as far as `mask` goes) and extended attributes of the file that it replaces.
///
/// # Errors
/// `PERM` where owner or group cannot be kept. Attributes that the file system does not take are lost silently.
pub(super) fn dress(new: &File, old: &File, stat: &Stat, mask: Mode) -> Result<(), Errno> {
    keep_owner(new, stat)?;
    rustix::fs::fchmod(new, Mode::from_raw_mode(stat.st_mode) & mask)?;
    copy_attributes(new, old);
    Ok(())
}

/// Copies a file with all that undoing needs: bytes, owner, whole mode, times, attributes. The copy is synced.
pub(super) fn copy(from: BorrowedFd<'_>, name: &str, to: BorrowedFd<'_>, new_name: &str) -> Result<(), Cause> {
    let fails = Cause::os("copy", name);
    let _ = remove(to, new_name);
    if copy_link(from, name, to, new_name).map_err(&fails)? {
        return Ok(());
    }
    let Some((mut old, stat)) = look(from, name, name)? else { return Err(fails(Errno::NOENT)) };
    let mut new = create(to, new_name, PRIVATE).map_err(&fails)?;
    let copied = io::copy(&mut old, &mut new).and_then(|_| {
        // Who may read the copy is decided by its directory; another owner is kept where that is possible.
        let _ = keep_owner(&new, &stat);
        rustix::fs::fchmod(&new, Mode::from_raw_mode(stat.st_mode))?;
        copy_attributes(&new, &old);
        let facts = old.metadata()?;
        new.set_times(FileTimes::new().set_accessed(facts.accessed()?).set_modified(facts.modified()?))?;
        new.sync_all()
    });
    copied.map_err(|error| {
        let _ = remove(to, new_name);
        fails(errno(&error))
    })
}

/// Copies a symbolic link; false for what is none.
pub(super) fn copy_link(from: BorrowedFd<'_>, name: &str, to: BorrowedFd<'_>, new_name: &str) -> Result<bool, Errno> {
    match rustix::fs::readlinkat(from, name, Vec::new()) {
        Ok(target) => rustix::fs::symlinkat(target, to, new_name).map(|()| true),
        Err(Errno::INVAL | Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn keep_owner(new: &File, old: &Stat) -> Result<(), Errno> {
    let is = rustix::fs::fstat(new)?;
    let owner = (is.st_uid != old.st_uid).then(|| rustix::fs::Uid::from_raw(old.st_uid));
    let group = (is.st_gid != old.st_gid).then(|| rustix::fs::Gid::from_raw(old.st_gid));
    if owner.is_none() && group.is_none() { Ok(()) } else { rustix::fs::fchown(new, owner, group) }
}

/// Copies what users put there, and access lists; labels of the system (`security.`) belong to the new file's place.
fn copy_attributes(new: &File, old: &File) {
    // An empty buffer is not a question about the size in rustix; these are.
    let Ok(mut names) = rustix::fs::flistxattr_query(old).map(|size| vec![0; size]) else { return };
    if names.is_empty() || rustix::fs::flistxattr(old, names.as_mut_slice()).is_err() {
        return;
    }
    for name in names.split(|byte| *byte == 0).filter_map(|name| std::str::from_utf8(name).ok()) {
        if name.starts_with("user.") || name == "system.posix_acl_access" || cfg!(target_vendor = "apple") {
            let value = rustix::fs::fgetxattr_query(old, name).and_then(|size| {
                let mut value = vec![0; size];
                rustix::fs::fgetxattr(old, name, value.as_mut_slice()).map(|_| value)
            });
            let _ = value.map(|value| rustix::fs::fsetxattr(new, name, &value, rustix::fs::XattrFlags::empty()));
        }
    }
}

/// Exchanges two names of one directory in one step, or in three where the file system cannot.
pub(super) fn exchange(dir: BorrowedFd<'_>, temp: &str, name: &str) -> Result<(), Errno> {
    match rustix::fs::renameat_with(dir, temp, dir, name, RenameFlags::EXCHANGE) {
        Err(errno) if is_unsupported(errno) => exchange_by_steps(dir, temp, name),
        done => done,
    }
}

/// A kill between the steps is put right by [`settle`]. With hard links the name always stands for one of both.
pub(super) fn exchange_by_steps(dir: BorrowedFd<'_>, temp: &str, name: &str) -> Result<(), Errno> {
    let spare = spare(temp);
    rustix::fs::linkat(dir, name, dir, &spare, AtFlags::empty())
        .or_else(|_| rustix::fs::renameat(dir, name, dir, &spare))?;
    rustix::fs::renameat(dir, temp, dir, name)?;
    rustix::fs::renameat(dir, &spare, dir, temp)
}

/// Ends an [`exchange_by_steps`] that was cut: as done if the new file had its name already, else as not begun.
pub(super) fn settle(dir: BorrowedFd<'_>, temp: &str, name: &str) -> Result<(), Errno> {
    let spare = spare(temp);
    if !exists(dir, &spare) {
        Ok(())
    } else if !exists(dir, temp) {
        rustix::fs::renameat(dir, &spare, dir, temp)
    } else if exists(dir, name) {
        remove(dir, &spare)
    } else {
        rustix::fs::renameat(dir, &spare, dir, name)
    }
}

fn spare(temp: &str) -> String {
    format!("{temp}x")
}

/// Gives a file its name, unless something has it: then `EXIST`.
pub(super) fn put(dir: BorrowedFd<'_>, temp: &str, name: &str) -> Result<(), Errno> {
    match rustix::fs::renameat_with(dir, temp, dir, name, RenameFlags::NOREPLACE) {
        Err(errno) if is_unsupported(errno) => put_by_steps(dir, temp, name),
        done => done,
    }
}

/// A link fails where the name exists. Without links too, only a look is left, and a moment in which it may be wrong.
pub(super) fn put_by_steps(dir: BorrowedFd<'_>, temp: &str, name: &str) -> Result<(), Errno> {
    match rustix::fs::linkat(dir, temp, dir, name, AtFlags::empty()) {
        Ok(()) => remove(dir, temp),
        Err(Errno::EXIST) => Err(Errno::EXIST),
        Err(_) if exists(dir, name) => Err(Errno::EXIST),
        Err(_) => rustix::fs::renameat(dir, temp, dir, name),
    }
}

fn is_unsupported(errno: Errno) -> bool {
    [Errno::INVAL, Errno::NOSYS, Errno::NOTSUP, Errno::OPNOTSUPP].contains(&errno)
}

/// Removes a name that may be absent.
pub(super) fn remove(dir: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        // A read-only disk says so even where there is nothing to remove.
        Err(_) if !exists(dir, name) => Ok(()),
        done => done,
    }
}

/// Whether two names stand for the same file.
pub(super) fn is_same(dir: BorrowedFd<'_>, one: &str, other: &str) -> bool {
    let id = |name| {
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
        stat.map(|stat| (stat.st_dev, stat.st_ino)).ok()
    };
    id(one).is_some_and(|one| Some(one) == id(other))
}
