//! The old contents of what changed, brought to the run's directory as whole files: bytes, permissions, time.

use super::changes::format_of;
use super::manifest::{Entry, Kind, Manifest};
use super::objects::{Objects, Source};
use super::{Beyond, NoSnapshot, Taken, Unkept};
use crate::words::stop::Stop;
use fs_err::os::unix::fs::symlink;
use rustix::fs::{Mode, OFlags};
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fs::{File, FileTimes, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// Which objects come from where: a format of mux's own store, or a region.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum From {
    Own(&'static str),
    Lent(u32),
}

/// Brings an image of each file that was there before, and names it. A file whose content is gone is reported instead.
pub(super) fn bring(
    before: &Manifest,
    objects: &Objects<'_>,
    run_dir: &Path,
    taken: &mut Taken,
    stop: &Stop,
) -> Result<(), NoSnapshot> {
    let old = before.by_path();
    let mut wanted: BTreeMap<From, Vec<(&Entry, PathBuf)>> = BTreeMap::new();
    for (number, file) in taken.files.iter_mut().enumerate() {
        let Some(entry) =
            old.get(file.path.as_bytes()).filter(|entry| entry.kind.is_file() || entry.kind == Kind::Link)
        else {
            continue;
        };
        let name = format!("before.{number}");
        let path = run_dir.join(&name);
        // What an earlier look left.
        let _ = fs_err::remove_file(&path);
        file.image = Some(name);
        match entry.kind {
            Kind::Link => symlink(OsStr::from_bytes(&entry.text), &path).map_err(|error| NoSnapshot::os(&error))?,
            Kind::Lent => wanted.entry(From::Lent(entry.region)).or_default().push((entry, path)),
            Kind::Own | Kind::Dir | Kind::Unkept | Kind::Bulk | Kind::Special | Kind::Repository => {
                wanted.entry(From::Own(format_of(&entry.text))).or_default().push((entry, path));
            }
        }
    }
    let mut lost: HashSet<&[u8]> = HashSet::new();
    for (from, files) in &wanted {
        let source = match from {
            From::Own(format) => Source::Own(format),
            From::Lent(region) => match before.regions.get(*region as usize) {
                Some(region) => Source::Lent(region),
                None => continue,
            },
        };
        let ids: Vec<&[u8]> = files.iter().map(|(entry, _)| entry.text.as_slice()).collect();
        let mut open = |index: usize| files.get(index).map_or_else(|| Err(io::ErrorKind::NotFound.into()), create);
        let whole = objects.read(&source, &ids, &mut open, stop)?;
        for ((entry, path), is_whole) in files.iter().zip(whole) {
            if is_whole {
                dress(path, entry).map_err(|error| NoSnapshot::os(&error))?;
            } else {
                lost.insert(entry.path.as_slice());
            }
        }
    }
    for path in taken.files.iter().map(|file| &file.path).filter(|path| lost.contains(path.as_bytes())) {
        taken.beyond.push(Beyond { path: path.clone(), why: Unkept::Lost });
    }
    taken.files.retain(|file| !lost.contains(file.path.as_bytes()));
    Ok(())
}

fn create((_, path): &(&Entry, PathBuf)) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?))
}

/// Gives an image the permissions and the time of the file, and makes it durable.
fn dress(path: &Path, entry: &Entry) -> io::Result<()> {
    let file = fs_err::OpenOptions::new().write(true).open(path)?;
    file.file().set_permissions(Permissions::from_mode(entry.stamp.permissions()))?;
    let since = Duration::from_nanos(entry.stamp.modified.unsigned_abs());
    let time = if entry.stamp.modified < 0 { UNIX_EPOCH.checked_sub(since) } else { UNIX_EPOCH.checked_add(since) };
    if let Some(time) = time {
        file.file().set_times(FileTimes::new().set_modified(time))?;
    }
    file.sync_all()
}
