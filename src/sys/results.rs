//! Results of runs: `runs/RUN_ID/` in the state directory, 0700, each file 0600 and whole. The ledger says that a run
//! was; what it gave is here. A run's directory also holds what other files of `sys/` keep there (journal, pre-images):
//! it is made and removed here, as a whole. Pruned by age and size. Not here: writing into work directories.
//!
//! **Invariant:** only a run id names a directory that is read or removed.

use crate::rules::run_id;
use crate::rules::sorted::sorted;
use crate::words::error::{Context, Error, Kind};
use crate::words::time::Utc;
use rustix::fs::{Mode, OFlags};
use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// How often the store is looked through, at most.
const PRUNE_EVERY_MS: u64 = 3_600_000;
/// A younger run is never pruned: it may still be writing.
const YOUNG_MS: u64 = 3_600_000;
/// The largest file that is read back, in bytes.
const MAX_FILE: u64 = 64 << 20;
/// How deep a run's directory is weighed; mux itself goes two levels deep.
const MAX_DEPTH: u32 = 8;

/// The store of all runs. A value; nothing is open.
#[derive(Clone, Debug)]
pub struct Results {
    dir: PathBuf,
}

/// A file of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The whole result, as `run --json` prints it, for a client that comes back for it.
    Result,
    /// The text of a result that was too long for its client.
    Output,
    /// What the run changed, as a unified diff.
    Diff,
    /// What takes a cloud CLI its tools, where it wants a file for that (gemini).
    Policy,
}

/// `state.keep_runs_*` of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    pub days: u64,
    pub bytes: u64,
}

/// What pruning took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub runs: usize,
    pub bytes: u64,
}

impl Part {
    pub fn file_name(self) -> &'static str {
        match self {
            Part::Result => "result.json",
            Part::Output => "output.txt",
            Part::Diff => "diff.patch",
            Part::Policy => "policy.toml",
        }
    }
}

impl Results {
    /// Names the store, `State::runs()`; nothing is touched.
    pub fn at(dir: PathBuf) -> Results {
        Results { dir }
    }

    /// Makes the directory of a run, 0700, and returns it.
    ///
    /// # Errors
    /// `Usage` for what is no run id, `Io` when it cannot be made.
    pub fn make(&self, id: &str) -> Result<PathBuf, Error> {
        let dir = self.run(id)?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.context(Kind::Io, || format!("cannot make `{}` for the result", dir.display()))?;
        Ok(dir)
    }

    /// Saves a part of a run, replacing an older one: readers see the old or the new one, whole.
    ///
    /// # Errors
    /// As [`Results::make`], and `Io` when the file cannot be written.
    pub fn save(&self, id: &str, part: Part, bytes: &[u8]) -> Result<(), Error> {
        let path = self.make(id)?.join(part.file_name());
        replace(&path, bytes).context(Kind::Io, || format!("cannot save `{}`", path.display()))
    }

    /// Reads a part of a run; `None` when the run has none, or is pruned.
    ///
    /// # Errors
    /// `Usage` for what is no run id, `Io` when the file cannot be read or is too large.
    pub fn read(&self, id: &str, part: Part) -> Result<Option<Vec<u8>>, Error> {
        let path = self.run(id)?.join(part.file_name());
        match read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            bytes => bytes.map(Some).context(Kind::Io, || format!("cannot read `{}`", path.display())),
        }
    }

    /// Removes runs that are older than `keep.days`, then the oldest ones until the rest weighs at most `keep.bytes`.
    /// `must_stay` is asked for each that is to go: a run with an unfinished journal answers yes. Costs one small read
    /// when the last pruning was within the hour.
    ///
    /// # Errors
    /// `Io` when the store cannot be listed. A run that cannot be removed stays until the next time.
    pub fn prune(&self, now: Utc, keep: Keep, must_stay: &dyn Fn(&Path) -> bool) -> Result<Pruned, Error> {
        let stamp = self.dir.join(".pruned");
        let last = read(&stamp).ok().and_then(|text| str::from_utf8(&text).ok()?.trim().parse::<u64>().ok());
        // A stamp of the future is of a clock that was wrong.
        if last.is_some_and(|last| last <= now.0 && now.0 - last < PRUNE_EVERY_MS) {
            return Ok(Pruned::default());
        }
        let context = || format!("cannot look through `{}` for old results", self.dir.display());
        let entries = match fs_err::read_dir(&self.dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Pruned::default()),
            entries => entries.context(Kind::Io, context)?,
        };
        // First of all, so that others do not do the same now. If this fails, nothing could be removed either.
        if replace(&stamp, now.0.to_string().as_bytes()).is_err() {
            return Ok(Pruned::default());
        }
        let mut runs = Vec::new();
        for entry in entries {
            let entry = entry.context(Kind::Io, context)?;
            let time = entry.file_name().to_str().and_then(run_id::time);
            if let (Some(time), Ok(true)) = (time, entry.file_type().map(|kind| kind.is_dir())) {
                runs.push((now.0.saturating_sub(time.0), weigh(&entry.path(), 0), entry.path()));
            }
        }
        let mut total: u64 = runs.iter().map(|(_, bytes, _)| bytes).sum();
        let mut pruned = Pruned::default();
        for (age, bytes, dir) in sorted(runs).into_iter().rev() {
            let is_due = age > keep.days.saturating_mul(86_400_000) || total > keep.bytes;
            if is_due && age >= YOUNG_MS && !must_stay(&dir) && fs_err::remove_dir_all(&dir).is_ok() {
                total -= bytes;
                pruned.runs += 1;
                pruned.bytes += bytes;
            }
        }
        Ok(pruned)
    }

    /// Names the directory of a run; nothing is touched.
    ///
    /// # Errors
    /// `Usage` for what is no run id.
    pub fn run(&self, id: &str) -> Result<PathBuf, Error> {
        if run_id::is_run_id(id) {
            return Ok(self.dir.join(id));
        }
        Err(Error::new(Kind::Usage, format!("`{}` is no run id", id.escape_debug())).hint("mux log"))
    }
}

/// Names what stands beside the directories of the runs in `runs`, sorted: what runs have begun and not ended. A missing
/// directory has nothing.
///
/// # Errors
/// Those of the system.
pub fn begun(runs: &Path) -> io::Result<Vec<String>> {
    let listing = match fs_err::read_dir(runs) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing?,
    };
    let mut names = Vec::new();
    for entry in listing {
        let name = entry?.file_name().into_string();
        names.extend(name.ok().filter(|name| name.contains('.')));
    }
    Ok(sorted(names))
}

/// Writes a file beside its place, syncs it and moves it there.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temp = path.with_extension(format!("{}.new", std::process::id()));
    // Whatever an earlier process of this number left, also a link, is not written through.
    let _ = fs_err::remove_file(&temp);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(&temp, flags, Mode::RUSR | Mode::WUSR)?);
    let written = file.write_all(bytes).and_then(|()| file.sync_data()).and_then(|()| fs_err::rename(&temp, path));
    if written.is_err() {
        let _ = fs_err::remove_file(&temp);
    }
    written
}

/// Reads a regular file, without following a link or waiting for a FIFO's writer.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len().min(MAX_FILE)).unwrap_or(0));
    if file.take(MAX_FILE + 1).read_to_end(&mut bytes)? as u64 > MAX_FILE {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Returns the bytes of all files below a directory. What cannot be read weighs nothing.
fn weigh(dir: &Path, depth: u32) -> u64 {
    let Ok(entries) = fs_err::read_dir(dir) else { return 0 };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() && depth < MAX_DEPTH => weigh(&entry.path(), depth + 1),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    });
    bytes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use std::sync::atomic::{AtomicU32, Ordering};

    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;
    const NOW: Utc = Utc(1_795_402_440_123);
    const KEEP: Keep = Keep { days: 30, bytes: 1000 };

    /// A store of its own for each test, gone afterwards.
    struct Temp(Results);

    impl Temp {
        fn new() -> Temp {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let dir = std::env::temp_dir().join(format!("mux-results-{}-{count}", std::process::id()));
            Temp(Results::at(dir.join("runs")))
        }

        /// Saves a run of some age and size; returns its id.
        fn run(&self, age: u64, bytes: usize) -> String {
            let id = run_id::encode(Utc(NOW.0 - age), 7);
            self.0.save(&id, Part::Result, &vec![b'x'; bytes]).unwrap();
            id
        }

        fn runs(&self) -> Vec<String> {
            let entries = fs_err::read_dir(&self.0.dir).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.retain(|name| name != ".pruned");
            names.sort();
            names
        }
    }

    impl Drop for Temp {
        fn drop(&mut self) {
            let _ = fs_err::remove_dir_all(self.0.dir.parent().unwrap());
        }
    }

    #[test]
    fn parts_read_back_and_are_private() {
        let temp = Temp::new();
        let id = run_id::encode(NOW, 1);
        assert_eq!(temp.0.read(&id, Part::Diff).unwrap(), None);
        assert!(!temp.0.dir.exists(), "reading makes nothing");
        temp.0.save(&id, Part::Result, b"{\"old\":true}").unwrap();
        temp.0.save(&id, Part::Result, b"{}").unwrap();
        temp.0.save(&id, Part::Diff, b"--- a\n\xff").unwrap();
        assert_eq!(temp.0.read(&id, Part::Result).unwrap().unwrap(), b"{}");
        assert_eq!(temp.0.read(&id, Part::Diff).unwrap().unwrap(), b"--- a\n\xff");
        let dir = temp.0.make(&id).unwrap();
        let mode = |path: &Path| fs_err::metadata(path).unwrap().mode() & 0o777;
        assert_eq!([mode(&dir), mode(&dir.join("result.json")), mode(&dir.join("diff.patch"))], [0o700, 0o600, 0o600]);
        assert_eq!(fs_err::read_dir(&dir).unwrap().count(), 2, "nothing else is left");
    }

    #[test]
    fn only_a_run_id_names_a_directory() {
        let temp = Temp::new();
        for id in ["", ".", "..", "../x", "/etc", "01ARYZ6S41000000000000000/", "01aryz6s410000000000000000"] {
            assert_eq!(temp.0.read(id, Part::Result).unwrap_err().kind, Kind::Usage, "{id}");
            assert_eq!(temp.0.save(id, Part::Result, b"").unwrap_err().kind, Kind::Usage, "{id}");
        }
        assert!(!temp.0.dir.exists());
    }

    #[test]
    fn links_and_fifos_are_not_read() {
        let temp = Temp::new();
        let id = temp.run(0, 1);
        let path = temp.0.make(&id).unwrap().join("diff.patch");
        fs_err::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert_eq!(temp.0.read(&id, Part::Diff).unwrap_err().kind, Kind::Io);
        temp.0.save(&id, Part::Diff, b"new").unwrap();
        assert_eq!(temp.0.read(&id, Part::Diff).unwrap().unwrap(), b"new", "a link is replaced, not followed");
        fs_err::remove_file(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(temp.0.read(&id, Part::Diff).unwrap_err().kind, Kind::Io);
    }

    #[test]
    fn old_runs_go_then_the_oldest_until_the_rest_fits() {
        let temp = Temp::new();
        let old = temp.run(31 * DAY, 10);
        let unfinished = temp.run(40 * DAY, 10);
        let heavy = temp.run(20 * DAY, 600);
        let kept = temp.run(10 * DAY, 600);
        let young = temp.run(HOUR - 1, 100);
        fs_err::create_dir_all(temp.0.dir.join("not-a-run")).unwrap();
        fs_err::write(temp.0.dir.join("01ARYZ6S410000000000000000"), "a file, not a run").unwrap();
        let must_stay = |dir: &Path| dir.ends_with(&unfinished);
        let pruned = temp.0.prune(NOW, KEEP, &must_stay).unwrap();
        assert_eq!(pruned, Pruned { runs: 2, bytes: 610 });
        let expected = ["01ARYZ6S410000000000000000", &unfinished, &kept, &young, "not-a-run"];
        assert_eq!(temp.runs(), expected, "{old} and {heavy} are gone");
        // A run that may still be going on stays even when nothing fits.
        temp.0.prune(Utc(NOW.0 + HOUR - 1), Keep { days: 0, bytes: 0 }, &must_stay).unwrap();
        assert_eq!(temp.runs(), expected, "not twice within the hour");
        temp.0.prune(Utc(NOW.0 + HOUR), Keep { days: 0, bytes: 0 }, &must_stay).unwrap();
        assert_eq!(temp.runs(), ["01ARYZ6S410000000000000000", &unfinished, "not-a-run"]);
    }

    #[test]
    fn a_clock_that_jumps_removes_nothing_young_and_does_not_stop_pruning() {
        let temp = Temp::new();
        let (old, new) = (temp.run(40 * DAY, 1), temp.run(0, 1));
        // The clock is a year ahead for a moment.
        replace(&temp.0.dir.join(".pruned"), (NOW.0 + 365 * DAY).to_string().as_bytes()).unwrap();
        assert_eq!(temp.0.prune(NOW, KEEP, &|_| false).unwrap().runs, 1);
        assert_eq!(temp.runs(), [new], "{old} is gone");
        // A day back: the run of the future counts as young.
        assert_eq!(temp.0.prune(Utc(NOW.0 - DAY), Keep { days: 0, bytes: 0 }, &|_| false).unwrap(), Pruned::default());
    }

    #[test]
    fn nothing_stored_is_nothing_pruned() {
        let temp = Temp::new();
        assert_eq!(temp.0.prune(NOW, KEEP, &|_| false).unwrap(), Pruned::default());
        assert!(!temp.0.dir.exists());
    }
}
