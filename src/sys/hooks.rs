//! The files of a directory of hooks: looked at, put there, set aside, brought back. What stands in them is
//! `rules/hook.rs`'s business.
//!
//! **Invariants:** nothing is overwritten but a script of mux. The script of somebody else is linked to its second name
//! before the first one is taken, and renamed back: its bytes and its mode are never touched, and at no instant is it
//! gone.

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;
use std::ffi::OsString;
use std::fs::Permissions;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A longer script is somebody else's.
const LONGEST: u64 = 64 << 10;

/// Returns the bytes of a hook; `None` where there is none. What is no regular file, or a long one, has no bytes.
///
/// # Errors
/// Those of the system.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let meta = match fs::symlink_metadata(path) {
        // Whoever wants no hooks says `core.hooksPath=/dev/null`.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        meta => meta?,
    };
    let mut bytes = Vec::new();
    if meta.is_file() && meta.len() <= LONGEST {
        fs::File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
    }
    Ok(Some(bytes))
}

/// Puts a script in place, executable; replaces what is there.
///
/// # Errors
/// Those of the system; all is as before then.
pub fn put(path: &Path, script: &[u8]) -> io::Result<()> {
    let mode = Permissions::from_mode(0o755);
    replace(path, script, mode)
}

/// Gives the hook that is at `path` a second name, so that [`put`] takes nothing away. Refuses a name that is taken.
///
/// # Errors
/// `AlreadyExists`, and those of the system.
pub fn set_aside(path: &Path, aside: &Path) -> io::Result<()> {
    match fs::hard_link(path, aside) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        // A file system without hard links, or a kind of file that has none.
        Err(_) if fs::symlink_metadata(aside).is_err() => fs::rename(path, aside),
        linked => linked,
    }
}

/// Brings a hook back that was set aside, over the script of mux.
///
/// # Errors
/// Those of the system.
pub fn bring_back(aside: &Path, path: &Path) -> io::Result<()> {
    fs::rename(aside, path)
}

/// Reads the message file of a commit, up to a number of bytes. Returns whether that is all of it, too.
///
/// # Errors
/// Those of the system; `InvalidInput` for what is no file, such as a FIFO, whose opening would wait.
pub fn read_message(path: &Path, limit: u64) -> io::Result<(Vec<u8>, bool)> {
    let meta = fs::metadata(path)?;
    if !meta.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, format!("`{}` is no file", path.display())));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok((bytes, meta.len() <= limit))
}

/// Writes the message file of a commit anew. It is as before when that fails.
///
/// # Errors
/// Those of the system.
pub fn write_message(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions();
    replace(path, bytes, mode)
}

fn replace(path: &Path, bytes: &[u8], mode: Permissions) -> io::Result<()> {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(format!(".mux-{}", std::process::id()));
    let new: PathBuf = path.with_file_name(name);
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.set_permissions(mode)?;
        drop(file);
        fs::rename(&new, path)
    };
    let written = write();
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}
