//! A work directory before and after children that write: what they changed, and what it takes to bring it back. Git is
//! the tool, in a repository or outside of one; its directory, its index and its objects are mux's own.
//!
//! Before: walk, compare with the last snapshot of this directory, hash what is new, keep the contents that the user's
//! index does not hold ([`objects`]). After: walk and compare again; the old contents of what changed are brought to the
//! run's directory, where `engine/` hands them to `disk` as if mux had made the change: from there on a provider's run is
//! healed, kept and undone like a local one, and neither the store nor the user's objects are needed any more.
//!
//! A snapshot that is open is a file, `runs/RUN.snapshot`, locked by the run that works. Where that run was killed nobody
//! knows which changes are the child's and which are the user's since: the next command keeps them all and makes them
//! undoable, rather than taking anything back.
//!
//! **Invariants:** the user's repository is only read. Nothing is written to the work directory here.
//!
//! Not brought back: what [`Beyond`] names; owners, extended attributes and hard links of files that changed.

mod changes;
mod images;
mod keep;
mod manifest;
mod objects;
mod prune;
mod walk;

pub use prune::{Limits, prune};

use crate::rules::from_json::{self, structs};
use crate::sys::git::Git;
use crate::words::stop::Stop;
use changes::compare;
use keep::keep;
use manifest::{Manifest, Stamp};
use objects::Objects;
use rustix::fs::{Mode, OFlags};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// A file that was changed as late before a look may change again without another time, in ns: some file systems count
/// in seconds.
const RACY: i64 = 2_000_000_000;
const SCHEMA: u32 = 1;
/// Ending of the file that says that a run's snapshot is open.
const MARKER: &str = "snapshot";
/// The manifest of the last snapshot, in its store.
const LAST: &str = "manifest";
/// Tells the time of a store's file system, and when the store was used last.
const PROBE: &str = "used";

/// Why there is no snapshot. The tree is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoSnapshot {
    Stopped,
    /// More names, or deeper ones, than can be looked at.
    TooMany,
    /// More bytes than are copied.
    TooLarge {
        bytes: u64,
    },
    Git {
        doing: &'static str,
        said: String,
    },
    Os {
        why: String,
    },
}

impl fmt::Display for NoSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoSnapshot::Stopped => f.write_str("stopped"),
            NoSnapshot::TooMany => f.write_str("the work directory holds too many files"),
            NoSnapshot::TooLarge { bytes } => {
                write!(f, "{} MB of the work directory are in no repository: too much to copy", bytes >> 20)
            }
            NoSnapshot::Git { doing, said } => write!(f, "git could not {doing}: {said}"),
            NoSnapshot::Os { why } => f.write_str(why),
        }
    }
}

impl std::error::Error for NoSnapshot {}

impl NoSnapshot {
    fn os(error: &io::Error) -> NoSnapshot {
        NoSnapshot::Os { why: error.to_string() }
    }
}

/// Where things are.
#[derive(Clone, Debug)]
pub struct Places {
    /// The work directory; absolute, without links.
    pub work_dir: PathBuf,
    /// The directory of all stores, 0700.
    pub stores: PathBuf,
    /// The run's existing directory, `runs/RUN_ID`.
    pub run_dir: PathBuf,
}

/// A snapshot that was taken and is open.
#[derive(Debug)]
pub struct Snapshot {
    git: Git,
    places: Places,
    store: PathBuf,
    /// The file that says so, locked.
    open: File,
    before: Manifest,
}

/// What stands in the file of an open snapshot.
#[derive(Serialize)]
struct Open {
    schema: u32,
    git: OsString,
    work_dir: OsString,
    stores: OsString,
}

structs! {
    Open { schema, git, work_dir, stores }
}

/// What the children changed.
#[derive(Debug, Default)]
pub struct Taken {
    /// Files and links that may have changed, by path.
    pub files: Vec<Changed>,
    /// Directories that are new, parents first.
    pub made: Vec<String>,
    /// Directories that are gone, parents first, with their permissions.
    pub gone: Vec<(String, u32)>,
    /// Directories with other permissions: before and after.
    pub modes: Vec<(String, u32, u32)>,
    /// What was changed and cannot be restored.
    pub beyond: Vec<Beyond>,
}

/// A file or link that may have changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Changed {
    pub path: String,
    /// The name, in the run's directory, of a file that is what stood there before; `None` where nothing did.
    pub image: Option<String>,
}

/// Something that was changed and cannot be restored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Beyond {
    pub path: String,
    pub why: Unkept,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unkept {
    /// Large and ignored by git, or very large and unknown to it, or unreadable.
    File,
    /// A directory of what tools make, ignored by git.
    Bulk,
    /// A FIFO, socket or device.
    Special,
    /// A `.git` that came or went.
    Repository,
    /// Its name is not UTF-8.
    Name,
    /// Its old content is gone: the children have destroyed the repository that held it.
    Lost,
}

impl fmt::Display for Beyond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Unkept::File => "it is ignored and large, very large, or unreadable",
            Unkept::Bulk => "it holds what tools make",
            Unkept::Special => "it is no file",
            Unkept::Repository => "a repository was made or removed",
            Unkept::Name => "its name is not UTF-8",
            Unkept::Lost => "its old content went with its repository",
        };
        write!(f, "`{}` changed and cannot be restored: {why}", self.path.escape_debug())
    }
}

impl Snapshot {
    /// Takes a snapshot before children run. It stays open until [`Snapshot::close`].
    ///
    /// # Errors
    /// [`NoSnapshot`]; then nothing is open.
    pub fn before(git: Git, places: Places, stop: &Stop) -> Result<Snapshot, NoSnapshot> {
        let store = store_of(&places);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&store);
        made.map_err(|error| NoSnapshot::os(&error))?;
        let before = {
            let objects = Objects { git: &git, work_dir: &places.work_dir, store: &store };
            let mut now = look(&objects, &places, None, stop)?;
            let last = Manifest::read(&store.join(LAST)).unwrap_or_default();
            keep(&objects, &last, &mut now, stop)?;
            now
        };
        before.write(&store.join(run_id(&places))).map_err(|error| NoSnapshot::os(&error))?;
        let open = open(&git, &places).map_err(|error| NoSnapshot::os(&error))?;
        Ok(Snapshot { git, places, store, open, before })
    }

    /// Returns the directory of the run.
    pub fn run_dir(&self) -> &Path {
        &self.places.run_dir
    }

    /// Looks what has changed, and brings the old contents to the run's directory. May be done again.
    ///
    /// # Errors
    /// [`NoSnapshot`]; the snapshot stays open.
    pub fn after(&self, stop: &Stop) -> Result<Taken, NoSnapshot> {
        let objects = self.objects();
        let now = look(&objects, &self.places, Some(&self.before), stop)?;
        let mut taken = compare(&self.before, &now, &objects, stop)?;
        images::bring(&self.before, &objects, &self.places.run_dir, &mut taken, stop)?;
        Ok(taken)
    }

    /// Ends the snapshot, once what it found is in other hands. The next one of this directory builds upon it.
    ///
    /// # Errors
    /// `Os`; then the next command heals it, and finds nothing to do.
    pub fn close(self) -> Result<(), NoSnapshot> {
        let id = run_id(&self.places);
        // In this order: a snapshot without its manifest could not be healed.
        fs_err::remove_file(marker(&self.places)).map_err(|error| NoSnapshot::os(&error))?;
        let renamed = fs_err::rename(self.store.join(id), self.store.join(LAST));
        drop(self.open);
        renamed.map_err(|error| NoSnapshot::os(&error))
    }

    fn objects(&self) -> Objects<'_> {
        Objects { git: &self.git, work_dir: &self.places.work_dir, store: &self.store }
    }
}

/// Looks at everything, with the time of the look.
fn look(
    objects: &Objects<'_>,
    places: &Places,
    earlier: Option<&Manifest>,
    stop: &Stop,
) -> Result<Manifest, NoSnapshot> {
    let probe = objects.store.join(PROBE);
    let clock = fs_err::write(&probe, "").and_then(|()| fs_err::metadata(&probe));
    let taken = Stamp::of(&clock.map_err(|error| NoSnapshot::os(&error))?).modified;
    let own = [Some(places.stores.as_path()), places.run_dir.parent()].into_iter().flatten();
    let own = own.filter_map(|dir| fs_err::metadata(dir).ok()).map(|meta| (meta.dev(), meta.ino()));
    let own: Vec<_> = own.collect();
    let mut now = walk::walk(&places.work_dir, &own, earlier, objects, stop)?;
    now.taken = taken;
    Ok(now)
}

/// Whether a file may have changed since its stamp was taken without showing it.
fn is_racy(stamp: &Stamp, taken: i64) -> bool {
    stamp.modified.max(stamp.changed).saturating_add(RACY) >= taken
}

fn store_of(places: &Places) -> PathBuf {
    let digest = Sha256::digest(places.work_dir.as_os_str().as_bytes());
    let name = digest.first_chunk().map_or(0, |half| u128::from_be_bytes(*half));
    places.stores.join(format!("{name:032x}"))
}

fn run_id(places: &Places) -> &OsStr {
    places.run_dir.file_name().unwrap_or_default()
}

fn marker(places: &Places) -> PathBuf {
    places.run_dir.with_extension(MARKER)
}

/// Says that a snapshot is open, durably.
fn open(git: &Git, places: &Places) -> io::Result<File> {
    let says = Open {
        schema: SCHEMA,
        git: git.program.clone().into_os_string(),
        work_dir: places.work_dir.clone().into_os_string(),
        stores: places.stores.clone().into_os_string(),
    };
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(marker(places), flags, Mode::RUSR | Mode::WUSR)?);
    file.lock()?;
    let mut line = serde_json::to_vec(&says)?;
    line.push(b'\n');
    file.write_all(&line)?;
    file.sync_all()?;
    Ok(file)
}

/// A snapshot whose run has died. While it is held, no other process heals it.
#[derive(Debug)]
pub struct Leftover {
    git: Git,
    places: Places,
    open: File,
}

impl Leftover {
    pub fn run_id(&self) -> String {
        run_id(&self.places).to_string_lossy().into_owned()
    }

    pub fn work_dir(&self) -> &Path {
        &self.places.work_dir
    }

    /// Takes the snapshot over.
    ///
    /// # Errors
    /// `Os` where the work directory or the manifest is gone.
    pub fn take_over(self) -> Result<Snapshot, NoSnapshot> {
        fs_err::read_dir(&self.places.work_dir).map_err(|error| NoSnapshot::os(&error))?;
        let store = store_of(&self.places);
        let gone = || NoSnapshot::Os { why: "what it had noted about the directory is gone".to_string() };
        let before = Manifest::read(&store.join(run_id(&self.places))).ok_or_else(gone)?;
        Ok(Snapshot { git: self.git, places: self.places, store, open: self.open, before })
    }
}

/// Hands over the snapshots among `names`, those of files in `runs`, whose runs have died, newest first. With `heals`, one
/// that was never whole, or whose run was pruned, is removed. `later` gets the run of one that a later mux has begun, which
/// is left as it is.
///
/// # Errors
/// `Os` where one cannot be read.
pub fn leftovers(
    runs: &Path,
    names: &[String],
    heals: bool,
    later: &mut dyn FnMut(String),
) -> Result<Vec<Leftover>, NoSnapshot> {
    let mut found = Vec::new();
    for name in names.iter().rev() {
        let path = runs.join(name);
        if path.extension().is_none_or(|ending| ending != MARKER) {
            continue;
        }
        let Ok(mut file) = fs_err::OpenOptions::new().read(true).write(true).open(&path) else { continue };
        match if heals { file.file().try_lock() } else { file.file().try_lock_shared() } {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(error)) => return Err(NoSnapshot::os(&error)),
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(|error| NoSnapshot::os(&error))?;
        let run_dir = path.with_extension("");
        // A later mux can heal what it has begun; it stays until then.
        if from_json::later(&text).is_some() {
            later(run_dir.file_name().unwrap_or_default().to_string_lossy().into_owned());
            continue;
        }
        let said = from_json::read::<Open>(&text).ok().filter(|said| said.schema == SCHEMA);
        match said.filter(|_| run_dir.is_dir()) {
            Some(said) => found.push(Leftover {
                // Plumbing needs no environment of the user's.
                git: Git { program: said.git.into(), env: Vec::new(), marker: format!("heal-{}", std::process::id()) },
                places: Places { work_dir: said.work_dir.into(), stores: said.stores.into(), run_dir },
                open: file.into_parts().0,
            }),
            None if heals => drop(fs_err::remove_file(&path)),
            None => {}
        }
    }
    Ok(found)
}
