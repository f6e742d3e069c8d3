//! The files of a ledger as they are opened and read.

use rustix::fs::{Mode, OFlags};
use std::fs::{File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// To append to a file that may not be there yet.
pub const APPEND: OFlags = OFlags::RDWR.union(OFlags::APPEND).union(OFlags::CREATE);
/// To lock such a file.
pub const LOCK: OFlags = OFlags::RDWR.union(OFlags::CREATE);

/// Opens a file that is ours alone: no link, no FIFO, no directory, no other owner; 0600 whatever the umask.
pub fn private(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::LOOP) => return Err(io::Error::other("it is a symbolic link")),
        Err(error) => return Err(error.into()),
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("it belongs to another user"));
    }
    if meta.mode() & 0o777 != 0o600 && flags.contains(OFlags::RDWR) {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Whether an open file is the one that stands at a path.
pub fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), fs_err::symlink_metadata(path)) else { return false };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

/// Reads as many bytes at `at` as there are and fit.
pub fn read_at(file: &File, block: &mut [u8], at: u64) -> io::Result<usize> {
    let mut n = 0;
    while let Some(rest) = block.get_mut(n..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + n as u64) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(n)
}

/// Opens the files of a ledger, the newest first and each once, until `each` says no; it gets the length of each, too.
pub fn each(numbered: &dyn Fn(u32) -> PathBuf, each: &mut dyn FnMut(&File, u64) -> io::Result<bool>) -> io::Result<()> {
    let mut seen = Vec::new();
    let mut missing = 0;
    for number in 0.. {
        match private(&numbered(number), OFlags::RDONLY) {
            Ok(file) => {
                missing = 0;
                let meta = file.metadata()?;
                if !seen.contains(&(meta.dev(), meta.ino())) {
                    seen.push((meta.dev(), meta.ino()));
                    if !each(&file, meta.len())? {
                        return Ok(());
                    }
                }
            }
            // One may be missing: during a rotation, and after one that was killed.
            Err(error) if error.kind() == ErrorKind::NotFound => missing += u32::from(number > 0),
            Err(error) => return Err(error),
        }
        if missing > 1 {
            break;
        }
    }
    Ok(())
}
