//! A page that mux writes for people: it may replace what mux wrote there before, and nothing else.

use crate::words::error::{Context, Error, Kind};
use rustix::fs::{Mode, OFlags};
use std::fs::{File, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Writes a page that begins with `mark`, 0600. What is looked at is what is written to: one descriptor does both.
///
/// # Errors
/// `Refused` for a file that begins otherwise, or is no regular file; it is left as it is. `Io` when it cannot
/// be written.
pub fn write(path: &Path, mark: &str, page: &[u8]) -> Result<(), Error> {
    let what = || format!("cannot write the report to `{}`", path.display());
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let refused = |why: &str| {
        let error = Error::new(Kind::Refused, format!("{}: {why}", what()));
        error.hint("name another file with `-o`, or `-o -` for standard output")
    };
    let mut file = match rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::LOOP) => return Err(refused("it is a symbolic link")),
        Err(rustix::io::Errno::ISDIR) => return Err(refused("it is a directory")),
        Err(error) => return Err(io::Error::from(error)).context(Kind::Io, what),
    };
    let meta = file.metadata().context(Kind::Io, what)?;
    if !meta.is_file() {
        return Err(refused("it is not a regular file"));
    }
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(mark.len() as u64).read_to_end(&mut head).context(Kind::Io, what)?;
    // An empty file, or one whose writing was cut off there, holds nothing of anybody.
    if !mark.as_bytes().starts_with(&head) {
        return Err(refused("it holds something that is not a report of mux"));
    }
    replace(&mut file, page).context(Kind::Io, what)
}

fn replace(file: &mut File, page: &[u8]) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(page)
}
