//! The ledger: one JSON object a line, one line a run. Appends, rotates and reads back from the end. Not here: what
//! the lines mean (`rules/stats.rs`), where the file is (`state.rs`).
//!
//! **Invariants**
//! - A newline commits. What stands behind the last one was torn by a crash: the next append moves it to `….torn`.
//! - All writing happens under an exclusive lock on `….lock`, a file that is never renamed nor removed by mux; the
//!   kernel frees it with the process. The ledger itself is opened under the lock, so no writer holds a rotated file.
//! - An append is one `write`. If it fails, the file is as long as before, and the caller learns why.
//! - Reading takes no lock, changes nothing, holds at most [`backwards::MAX_LINE`] bytes and [`BUDGET`] bounds what it goes
//!   through. Rotation renames, so a reader may meet a file twice: it is known by its inode and skipped.

pub mod egress;
mod file;
mod near;
pub mod pending;

use crate::rules::backwards::{self, End};
use crate::rules::glance::Days;
use crate::rules::ledger_line::{field, is_hook, line_of};
use crate::rules::numbered::Numbered;
use crate::rules::stats::{Row, Share};
use crate::sys::ledger::file::{APPEND, LOCK, is_at, private, read_at};
use crate::sys::ledger::near::named;
use crate::words::error::{Error, Kind};
use crate::words::record::RunRecord;
use crate::words::stop::Stop;
use crate::words::task::Kind as TaskKind;
use crate::words::time::Utc;
use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long an append waits for other writers. They hold the lock for a millisecond, unless one is stopped or its disk
/// hangs.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// The same after a signal or a cancellation: the record is still worth a moment.
const LOCK_WAIT_STOPPED: Duration = Duration::from_secs(2);
/// From when on a wait is announced.
const QUIET_WAIT: Duration = Duration::from_millis(500);
/// How many bytes a listing or a summary goes through, over all files; by default all of them together have 12 MB.
const BUDGET: u64 = 64 << 20;
/// The same for a report or a replay, whose reader knows that it is about everything: some 100 000 runs, in about a second.
const WHOLE_BUDGET: u64 = 256 << 20;
/// How many lines that are no records a listing passes over, at least and for each record that is asked for: a large
/// file of another program is not gone through (64 MiB of it took 45 ms, to find nothing).
const MOST_BAD: (usize, usize) = (1000, 10);
/// Torn ends up to this size are moved to `….torn`, up to eight of them; others stay, as a bad line that is counted.
const MAX_TORN: u64 = 1 << 20;

/// `ledger.*` of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of the active file; it is rotated before it would grow beyond. 0: never.
    pub max_bytes: u64,
    pub max_rotated_files: u32,
    /// Whether a record is on the disk when `append` returns.
    pub sync: bool,
}

/// A ledger file and the files beside it: `PATH.1` (the newest rotated one) …, `PATH.lock`, and torn ends.
#[derive(Clone, Debug)]
pub struct Ledger {
    path: PathBuf,
    limits: Limits,
    lock_wait: Duration,
}

/// What reading came across.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub records: usize,
    /// Lines that are no whole record, among those read.
    pub bad: usize,
    /// Whether older records were left unread because there were too many bytes or bad lines.
    pub is_cut: bool,
}

/// What the files weigh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Of the active file.
    pub bytes: u64,
    pub rotated_files: u32,
    /// Torn ends that were moved aside.
    pub torn_bytes: u64,
}

/// The record that a run id or its beginning names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The whole line.
    One(String),
    /// The ids that begin so, newest first, at most eight.
    Several(Vec<String>),
    Nothing,
}

impl Ledger {
    /// Names a ledger; nothing is touched.
    pub fn open(path: PathBuf, limits: Limits) -> Ledger {
        Ledger { path, limits, lock_wait: LOCK_WAIT }
    }

    /// Returns the same ledger, whose other writers are waited for no longer than this.
    #[must_use]
    pub fn within(self, wait: Duration) -> Ledger {
        Ledger { lock_wait: self.lock_wait.min(wait), ..self }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records a run. Gives it its `seq` and its `local_impl_ratio`: of a change that over the last `window` records,
    /// itself included; of anything else that of the record before. `keys` must not appear (the values of configured key
    /// variables); shapes of secrets are redacted too. A `stop` that was called shortens the wait for other writers but
    /// does not prevent the record. `on_wait` is told once when the wait is long enough to be noticed.
    ///
    /// # Errors
    /// `Unlogged`, with the reason of the system, when the record is not in the ledger.
    pub fn append(
        &self,
        record: &mut RunRecord,
        window: usize,
        keys: &[String],
        stop: &Stop,
        on_wait: &mut dyn FnMut(&str),
    ) -> Result<(), Error> {
        self.write(record, window, keys, stop, on_wait).map_err(|source| {
            let what = format!("cannot record the run in `{}`", self.path.display());
            let no_room = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge];
            let hint = if no_room.contains(&source.kind()) {
                "the result stands; make room, so that the next run is recorded"
            } else {
                "the result stands; `mux doctor` says what is wrong with the ledger"
            };
            Error::caused(Kind::Unlogged, what, Box::new(source)).hint(hint)
        })
    }

    /// Reads the newest records, newest first, at most `n` that are no git hooks, until `each` says no.
    ///
    /// # Errors
    /// `Io` when a file cannot be read, is a link, or is another user's. A ledger that does not exist is empty.
    pub fn recent(&self, n: usize, each: &mut dyn FnMut(&Row) -> bool) -> Result<Tally, Error> {
        self.read(n, BUDGET, &mut |line| Row::parse(line).map(|row| each(&row)))
    }

    /// Reads the whole ledger, newest line first. `each` says whether to go on, or `None` for what is no record.
    ///
    /// # Errors
    /// As [`Ledger::recent`].
    pub fn all(&self, each: &mut dyn FnMut(&str) -> Option<bool>) -> Result<Tally, Error> {
        self.read(usize::MAX, WHOLE_BUDGET, each)
    }

    fn read(&self, n: usize, budget: u64, each: &mut dyn FnMut(&str) -> Option<bool>) -> Result<Tally, Error> {
        let mut tally = Tally::default();
        if n == 0 {
            return Ok(tally);
        }
        let most_bad = MOST_BAD.0.max(n.saturating_mul(MOST_BAD.1));
        let end = self.walk(budget, &mut |line| {
            let Some(goes_on) = line.and_then(&mut *each) else {
                tally.bad += 1;
                return tally.bad < most_bad;
            };
            // Hooks run with every commit, and come on top.
            tally.records += usize::from(!line.is_some_and(is_hook));
            goes_on && tally.records < n
        });
        tally.is_cut = end.map_err(|source| self.unreadable(source))? == End::Budget || tally.bad >= most_bad;
        Ok(tally)
    }

    /// Goes through all lines, newest first, as they are; a line that is no text is passed over. Returns whether older ones
    /// were left unread because there were too many bytes.
    ///
    /// # Errors
    /// As [`Ledger::recent`].
    pub fn lines(&self, each: &mut dyn FnMut(&str)) -> Result<bool, Error> {
        let end = self.walk(WHOLE_BUDGET, &mut |line| {
            line.into_iter().for_each(&mut *each);
            true
        });
        end.map(|end| end == End::Budget).map_err(|source| self.unreadable(source))
    }

    /// Counts the records of the last days by their numbers, in the same time however large the files are; `None` where
    /// the numbers tell nothing, or a file cannot be read.
    pub fn days(&self, now: Utc) -> Option<Days> {
        let (mut numbered, mut is_told) = (Numbered::until(now), true);
        let files = file::each(&|number| self.numbered(number), &mut |file, len| {
            let goes_on = numbered.add_file(len, &mut |block, at| read_at(file, block, at));
            is_told = goes_on.is_ok();
            Ok(goes_on == Ok(true))
        });
        (files.is_ok() && is_told).then_some(numbered.days)
    }

    /// Looks for the run whose id begins with `id` (in any case), through all files.
    ///
    /// # Errors
    /// As [`Ledger::recent`].
    pub fn find(&self, id: &str) -> Result<Found, Error> {
        let id = id.to_ascii_uppercase();
        if let Some(line) = near::find(&id, &|number| self.numbered(number)) {
            return Ok(Found::One(line));
        }
        let (mut ids, mut found) = (Vec::new(), String::new());
        let end = self.walk(u64::MAX, &mut |line| {
            let Some((line, row)) = line.and_then(|line| named(line, &id)) else { return true };
            if ids.is_empty() {
                found = line.to_string();
            }
            ids.push(row.run_id.to_string());
            row.run_id != id && ids.len() < 8
        });
        end.map_err(|source| self.unreadable(source))?;
        Ok(match ids.len() {
            0 => Found::Nothing,
            1 => Found::One(found),
            _ => Found::Several(ids),
        })
    }

    /// Weighs the files without reading them.
    pub fn size(&self) -> Size {
        let bytes = |path: &Path| fs_err::symlink_metadata(path).ok().map(|meta| meta.len());
        let rotated = (1..).map(|number| bytes(&self.numbered(number)).is_some());
        Size {
            bytes: bytes(&self.path).unwrap_or(0),
            rotated_files: rotated.take_while(|is_there| *is_there).map(u32::from).sum(),
            torn_bytes: bytes(&self.torn()).unwrap_or(0),
        }
    }

    fn write(
        &self,
        record: &mut RunRecord,
        window: usize,
        keys: &[String],
        stop: &Stop,
        on_wait: &mut dyn FnMut(&str),
    ) -> io::Result<()> {
        let lock = self.lock(stop, on_wait)?;
        let mut file = private(&self.path, APPEND)?;
        self.mend(&mut file)?;
        let (seq, ratio) = self.newest()?;
        record.seq = seq + 1;
        // Most runs are answers, and going through the window is a twentieth of what a short one costs.
        record.local_impl_ratio = if record.kind == TaskKind::Change { self.ratio(record, window)? } else { ratio };
        let line = line_of(record, keys)?;
        let mut size = file.metadata()?.len();
        let is_full = self.limits.max_bytes > 0 && size + line.len() as u64 > self.limits.max_bytes;
        let mut is_new = size == 0;
        if is_full && !is_new {
            self.rotate()?;
            file = private(&self.path, APPEND)?;
            (size, is_new) = (0, true);
        }
        if let Err(error) = file.write_all(&line) {
            // What was written of the line goes away again; if even that fails, the next append moves it aside.
            let _ = file.set_len(size);
            return Err(error);
        }
        drop(lock); // The others need not wait for this disk: whoever rotates the file now does not undo the sync.
        if self.limits.sync {
            file.sync_data()?;
            if is_new {
                self.sync_dir();
            }
        }
        Ok(())
    }

    /// Takes the writers' lock.
    fn lock(&self, stop: &Stop, on_wait: &mut dyn FnMut(&str)) -> io::Result<File> {
        let path = self.beside("lock");
        let start = Instant::now();
        let mut pause = Duration::from_millis(1);
        let mut is_told = false;
        loop {
            let file = match private(&path, LOCK) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let parent = path.parent().unwrap_or(Path::new("/"));
                    DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
                    private(&path, LOCK)?
                }
                file => file?,
            };
            match file.try_lock() {
                // The lock file may have been removed in between (a user tidying up): then it locks nothing.
                Ok(()) if is_at(&file, &path) => return Ok(file),
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
            let limit = if stop.is_called() { self.lock_wait.min(LOCK_WAIT_STOPPED) } else { self.lock_wait };
            // Told before the limit is looked at: a process that was kept from running says what it waited for, too.
            let waited = start.elapsed();
            if !is_told && waited >= QUIET_WAIT.min(limit / 2) {
                on_wait("waiting for another mux that writes the ledger");
                is_told = true;
            }
            if waited >= limit {
                let why = format!("another process has held `{}` for {:.1} s", path.display(), limit.as_secs_f64());
                return Err(io::Error::new(ErrorKind::TimedOut, why));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// Brings the file to end in a newline. Under the lock, so nobody is in the middle of a write.
    fn mend(&self, file: &mut File) -> io::Result<()> {
        let len = file.metadata()?.len();
        let mut last = [0];
        if len == 0 || (file.read_at(&mut last, len - 1)? == 1 && last == *b"\n") {
            return Ok(());
        }
        let n = len.min(MAX_TORN);
        let mut tail = vec![0; usize::try_from(n).unwrap_or(0)];
        file.read_exact_at(&mut tail, len - n)?;
        let torn = match tail.iter().rposition(|byte| *byte == b'\n') {
            Some(newline) => tail.split_off(newline + 1),
            None => tail,
        };
        let start = len - torn.len() as u64;
        let is_begun_earlier = start > 0 && torn.len() as u64 == MAX_TORN;
        // An editor that strips the last newline must not cost a record.
        let is_whole = str::from_utf8(&torn).is_ok_and(|line| Row::parse(line).is_some());
        if is_whole || is_begun_earlier || self.set_aside(torn).is_err() {
            return file.write_all(b"\n");
        }
        file.set_len(start)
    }

    /// Keeps the torn end of a line.
    fn set_aside(&self, mut torn: Vec<u8>) -> io::Result<()> {
        let mut file = private(&self.torn(), APPEND)?;
        if file.metadata()?.len() + torn.len() as u64 > 8 * MAX_TORN {
            return Err(ErrorKind::FileTooLarge.into());
        }
        torn.push(b'\n');
        file.write_all(&torn)?;
        file.sync_data()
    }

    /// Moves the active file to number 1 and the others up by one, as far as the first gap: a kill between two renames
    /// leaves a gap, and the next rotation fills it instead of dropping a file.
    fn rotate(&self) -> io::Result<()> {
        let keep = self.limits.max_rotated_files;
        let exists = |number: u32| fs_err::symlink_metadata(self.numbered(number)).is_ok();
        for extra in (keep + 1..).take_while(|number| exists(*number)) {
            fs_err::remove_file(self.numbered(extra))?;
        }
        if keep == 0 {
            return fs_err::remove_file(&self.path);
        }
        let top = (1..keep).find(|number| !exists(*number)).unwrap_or(keep);
        for number in (0..top).rev() {
            fs_err::rename(self.numbered(number), self.numbered(number + 1))?;
        }
        Ok(())
    }

    /// Returns the number of the newest record, 0 when there is none, and its `local_impl_ratio`. Bad lines are passed over.
    fn newest(&self) -> io::Result<(u64, Option<f64>)> {
        let mut newest = (0, None);
        self.walk(u64::MAX, &mut |line| {
            let Some(line) = line.filter(|line| line.ends_with('}')) else { return true };
            let number = |name: &str| field(line, name)?.split([',', '}']).next();
            let Some(seq) = number("\"seq\":").and_then(|seq| seq.parse().ok()) else { return true };
            newest = (seq, number("\"local_impl_ratio\":").and_then(|ratio| ratio.parse().ok()));
            false
        })?;
        Ok(newest)
    }

    /// Returns the share of locally verified changes among the last `window` records, `record` included.
    fn ratio(&self, record: &RunRecord, window: usize) -> io::Result<Option<f64>> {
        let mut share = Share::default();
        share.add(record.kind.name(), record.route.name(), record.verify_ok);
        let mut left = window.saturating_sub(1);
        if left > 0 {
            self.walk(BUDGET, &mut |line| {
                // Hooks run with every commit: the window is one of runs.
                left -= usize::from(!line.is_some_and(is_hook));
                if let Some(line) = line {
                    share.add_line(line);
                }
                left > 0
            })?;
        }
        Ok(share.ratio())
    }

    /// Calls `each` with every line, newest first, through the rotated files: the text, or `None` for a line that is
    /// too long or not UTF-8.
    fn walk(&self, mut budget: u64, each: &mut dyn FnMut(Option<&str>) -> bool) -> io::Result<End> {
        let mut end = End::Reached;
        file::each(&|number| self.numbered(number), &mut |file, len| {
            end = backwards::lines(len, &mut budget, &mut |block, at| read_at(file, block, at), each)?;
            Ok(end == End::Reached)
        })?;
        Ok(end)
    }

    fn numbered(&self, number: u32) -> PathBuf {
        if number == 0 { self.path.clone() } else { self.beside(&number.to_string()) }
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".");
        name.push(ending);
        name.into()
    }

    /// Torn ends are no ledger: their file does not look like one to tools that read `*.jsonl*`.
    fn torn(&self) -> PathBuf {
        self.path.with_extension("torn")
    }

    /// Makes a new name durable. Some file systems cannot sync a directory; then there is nothing more to do.
    fn sync_dir(&self) {
        let dir = self.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let _ = File::open(dir).and_then(|dir| dir.sync_all());
    }

    fn unreadable(&self, source: io::Error) -> Error {
        let what = format!("cannot read the ledger `{}`", self.path.display());
        Error::caused(Kind::Io, what, Box::new(source))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "roles are played by children of the test binary")]
mod tests {
    use super::*;
    use crate::rules::{recorded, run_id};
    use crate::words::record::{CloudUse, RuntimeStatus, SCHEMA};
    use crate::words::task::{Reason, Route, Source};
    use rustix::fs::Mode;
    use std::collections::BTreeSet;
    use std::fs::Permissions;
    use std::io::Read;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::process::{Child, Command, Stdio};
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A directory of its own for each test, gone afterwards.
    struct Temp(PathBuf);

    impl Temp {
        fn new() -> Temp {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let dir = std::env::temp_dir().join(format!("mux-ledger-{}-{count}", std::process::id()));
            fs_err::create_dir_all(&dir).unwrap();
            Temp(dir)
        }

        fn ledger(&self, max_bytes: u64, max_rotated_files: u32) -> Ledger {
            Ledger::open(self.path(), Limits { max_bytes, max_rotated_files, sync: false })
        }

        fn path(&self) -> PathBuf {
            self.0.join("run_ledger.jsonl")
        }

        fn write(&self, bytes: &[u8]) {
            fs_err::write(self.path(), bytes).unwrap();
        }

        fn text(&self) -> String {
            fs_err::read_to_string(self.path()).unwrap()
        }

        fn names(&self) -> Vec<String> {
            let entries = fs_err::read_dir(&self.0).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Temp {
        fn drop(&mut self) {
            let _ = fs_err::remove_dir_all(&self.0);
        }
    }

    fn record(id: &str) -> RunRecord {
        let (timestamp, ts) = RunRecord::stamps(Utc(1_795_402_440_123));
        RunRecord {
            schema: SCHEMA,
            run_id: id.to_string(),
            undoes: None,
            seq: 0,
            timestamp,
            ts,
            source: Source::Cli,
            hook: None,
            kind: TaskKind::Change,
            route: Route::Local,
            reason: Reason::Verified,
            wanted: None,
            refused: None,
            model: "qwen2.5-coder-1.5b".to_string(),
            confidence: Some(0.82),
            task_length: 40,
            output_length: 900,
            task_sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".to_string(),
            policy: None,
            escalations: Vec::new(),
            overruled: None,
            shadow: None,
            workdir: "/home/user/project".to_string(),
            runtime_status: RuntimeStatus::Up,
            retries: 0,
            verify_ok: Some(true),
            verify_summary: "python3 -m pytest -q, 1.2 s".to_string(),
            files: Vec::new(),
            left: Vec::new(),
            facts: None,
            attempts: Vec::new(),
            commands: Vec::new(),
            cloud: CloudUse::default(),
            remote: None,
            local_impl_ratio: None,
            duration_ms: 4200,
            task: None,
            output: None,
        }
    }

    fn soon() -> Stop {
        Stop::at(Instant::now() + Duration::from_mins(1))
    }

    fn append(ledger: &Ledger, id: &str) -> Result<RunRecord, Error> {
        let mut record = record(id);
        ledger.append(&mut record, 200, &[], &soon(), &mut |_| {}).map(|()| record)
    }

    /// Returns the ids in the order of reading, and what else was met.
    fn read(ledger: &Ledger, n: usize) -> (Vec<String>, Tally) {
        let mut ids = Vec::new();
        let tally = ledger.recent(n, &mut |row| {
            ids.push(row.run_id.to_string());
            true
        });
        (ids, tally.unwrap())
    }

    #[track_caller]
    fn check(ledger: &Ledger, ids: &[&str], bad: usize) {
        assert_eq!(read(ledger, 1000), (strings(ids), Tally { records: ids.len(), bad, is_cut: false }));
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_record_is_one_compact_line() {
        let temp = Temp::new();
        let ledger = temp.ledger(0, 5);
        append(&ledger, "A").unwrap();
        let line = temp.text();
        assert!(
            line.starts_with("{\"schema\":1,\"run_id\":\"A\",\"seq\":1,\"timestamp\":\"2026-11-23T02:54:00.123Z\"")
        );
        assert!(line.contains("\"route\":\"local\",\"reason\":\"verified\"") && line.ends_with("}\n"), "{line}");
        let back = recorded::read(&line).unwrap();
        assert_eq!(back, RunRecord { seq: 1, local_impl_ratio: Some(1.0), ..record("A") });
        assert_eq!(temp.names(), ["run_ledger.jsonl", "run_ledger.jsonl.lock"]);
    }

    #[test]
    fn a_record_that_waits_is_appended_once() {
        let temp = Temp::new();
        let ledger = temp.ledger(0, 5);
        let token = format!("ghp_{}", "b".repeat(36));
        let waiting = RunRecord { task: Some(token.clone()), ..record("A") };
        let path = temp.0.join("A.record");
        for n in 1..3 {
            let pending = ledger.announce(&waiting, 200, &[], &temp.0).unwrap();
            assert!(!fs_err::read_to_string(&path).unwrap().contains(&token));
            assert!(pending::open(&path, true).unwrap().is_none(), "the run lives");
            drop(pending);
            let mode = fs_err::metadata(&path).unwrap().mode() & 0o777;
            fs_err::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
            assert!(pending::open(&path, false).unwrap().is_some() && mode == 0o600);
            assert_eq!(fs_err::metadata(&path).unwrap().mode() & 0o777, 0o400, "who looks changes nothing");
            let unrecorded = pending::open(&path, true).unwrap().unwrap();
            assert_eq!((unrecorded.is_later(), unrecorded.about()), (false, (PathBuf::from("/home/user/project"), 0)));
            unrecorded.record(&soon()).unwrap();
            check(&ledger, &["A"], 0);
            assert!(pending::open(&path, true).unwrap().is_none() && !path.exists(), "{n}");
        }
        let task = Some("[redacted:github-token]".to_string());
        let back = recorded::read(&temp.text()).unwrap();
        assert_eq!(back, RunRecord { seq: 1, local_impl_ratio: Some(1.0), task, ..record("A") });
        // What was cut off, or is of a later mux, stays.
        ledger.announce(&waiting, 200, &[], &temp.0).map(drop).unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        let later = text.replacen("\"schema\":1", "\"schema\":2", 1);
        for (odd, is_later) in [("", false), (text.split_at(text.len() / 2).0, false), (&later, true)] {
            fs_err::write(&path, odd).unwrap();
            let unrecorded = pending::open(&path, true).unwrap().unwrap();
            assert_eq!(unrecorded.is_later(), is_later, "{odd}");
            assert!(unrecorded.record(&soon()).is_err() && path.exists(), "{odd}");
        }
    }

    #[test]
    fn nothing_is_touched_by_reading() {
        let temp = Temp::new();
        let ledger = temp.ledger(0, 5);
        check(&ledger, &[], 0);
        assert_eq!(ledger.find("A").unwrap(), Found::Nothing);
        assert_eq!(ledger.size(), Size::default());
        assert_eq!(temp.names(), Vec::<String>::new());
    }

    #[test]
    fn texts_cannot_forge_a_line_nor_hide() {
        let temp = Temp::new();
        let ledger = temp.ledger(0, 5);
        let token = format!("ghp_{}", "b".repeat(36));
        let forged = format!(
            "done\n{{\"run_id\":\"FAKE\",\"seq\":99}}\n\u{2028}\u{85}\x7f\x1b[2J\u{9b}m\u{202e} {token} my-own-key"
        );
        let mut record = RunRecord {
            output: Some(forged.clone()),
            model: format!("m\n{token}"),
            workdir: "a\x7fb".into(),
            ..record("A")
        };
        ledger.append(&mut record, 200, &strings(&["my-own-key"]), &soon(), &mut |_| {}).unwrap();
        assert_eq!(append(&ledger, "B").unwrap().seq, 2);
        check(&ledger, &["B", "A"], 0);
        let text = temp.text();
        assert!(!text.chars().any(|c| c != '\n' && crate::rules::escape::is_hidden(c)), "{text}");
        let back = recorded::read(text.lines().next().unwrap()).unwrap();
        let clean =
            forged.replace(&token, "[redacted:github-token]").replace("my-own-key", "[redacted:configured-key]");
        assert_eq!(
            (back.output.unwrap(), back.model.as_str(), back.workdir.as_str()),
            (clean, "m\n[redacted:github-token]", "a\x7fb")
        );
    }

    #[test]
    fn numbers_grow_across_rotation_and_files_are_numbered() {
        let temp = Temp::new();
        let ledger = temp.ledger(1500, 2);
        for n in 1..=9 {
            assert_eq!(append(&ledger, &format!("{n}")).unwrap().seq, n);
            assert!(ledger.size().bytes <= 1500);
        }
        // Two records of about 700 bytes in each file; the oldest file is gone.
        check(&ledger, &["9", "8", "7", "6", "5"], 0);
        assert_eq!(ledger.size().rotated_files, 2);
        let expected = ["run_ledger.jsonl", "run_ledger.jsonl.1", "run_ledger.jsonl.2", "run_ledger.jsonl.lock"];
        assert_eq!(temp.names(), expected);
        assert_eq!(read(&ledger, 3).0, ["9", "8", "7"]);
        // Fewer files are kept from now on.
        let ledger = temp.ledger(800, 1);
        append(&ledger, "10").unwrap();
        check(&ledger, &["10", "9"], 0);
        let ledger = temp.ledger(1, 0);
        assert_eq!(append(&ledger, "11").unwrap().seq, 11);
        check(&ledger, &["11"], 0);
    }

    #[test]
    fn days_are_counted_through_rotated_files() {
        const DAY_MS: u64 = 86_400_000;
        let (temp, now) = (Temp::new(), Utc(1_795_402_440_123));
        let ledger = temp.ledger(1600, 9);
        assert_eq!(ledger.days(now), Some(Days::default()));
        for ago in [20, 15, 14, 13, 13, 5, 5, 5, 5, 2, 0, 0] {
            let (timestamp, ts) = RunRecord::stamps(Utc(now.0 - ago * DAY_MS));
            let mut record = RunRecord { timestamp, ts, ..record("A") };
            ledger.append(&mut record, 200, &[], &soon(), &mut |_| {}).unwrap();
        }
        assert!(ledger.size().rotated_files > 2, "{:?}", temp.names());
        let runs = [2, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 1, 0, 2];
        assert_eq!(ledger.days(now), Some(Days { runs, is_cut: false }));
    }

    #[test]
    fn a_rotation_that_was_killed_loses_nothing() {
        let temp = Temp::new();
        let ledger = temp.ledger(1, 3);
        for id in ["1", "2", "3"] {
            append(&ledger, id).unwrap();
        }
        // Killed after its first rename: 2 has become 3, and 1 is still the newest rotated file.
        fs_err::rename(temp.0.join("run_ledger.jsonl.2"), temp.0.join("run_ledger.jsonl.3")).unwrap();
        check(&ledger, &["3", "2", "1"], 0);
        append(&ledger, "4").unwrap();
        check(&ledger, &["4", "3", "2", "1"], 0);
        // Killed after its last rename: there is no active file.
        fs_err::rename(temp.path(), temp.0.join("run_ledger.jsonl.0")).unwrap();
        check(&ledger, &["3", "2", "1"], 0);
        assert_eq!(append(&ledger, "5").unwrap().seq, 4);
    }

    #[test]
    fn the_ratio_counts_verified_changes_of_the_window() {
        let temp = Temp::new();
        let ledger = temp.ledger(2000, 5);
        let ratio = |kind, route, verify_ok, window| {
            let mut record = RunRecord { kind, route, verify_ok, ..record("A") };
            ledger.append(&mut record, window, &[], &soon(), &mut |_| {}).unwrap();
            record.local_impl_ratio
        };
        assert_eq!(ratio(TaskKind::Answer, Route::Local, None, 200), None);
        assert_eq!(ratio(TaskKind::Change, Route::Local, Some(true), 200), Some(1.0));
        assert_eq!(ratio(TaskKind::Change, Route::None, Some(false), 200), Some(0.5));
        assert_eq!(ratio(TaskKind::Change, Route::Claude, Some(true), 200), Some(1.0 / 3.0));
        assert_eq!(ratio(TaskKind::Undo, Route::None, None, 200), Some(1.0 / 3.0));
        assert_eq!(ratio(TaskKind::Change, Route::Local, Some(true), 200), Some(0.5));
        assert_eq!(
            ratio(TaskKind::Change, Route::Local, Some(true), 4),
            Some(2.0 / 3.0),
            "the window is the last four"
        );
        assert_eq!(ratio(TaskKind::Change, Route::Local, Some(true), 1), Some(1.0), "only itself");
        assert_eq!(ratio(TaskKind::Answer, Route::Local, None, 200), Some(1.0), "as it was after the last change");
        assert!(ledger.size().rotated_files > 0, "the window reaches through rotation");
    }

    #[test]
    fn a_torn_end_is_moved_aside() {
        let temp = Temp::new();
        let ledger = temp.ledger(0, 5);
        append(&ledger, "A").unwrap();
        let whole = temp.text();
        for (n, torn) in [&whole[..whole.len() / 2], "\0\0\0", "{\"schema\":1"].into_iter().enumerate() {
            temp.write(format!("{whole}{torn}").as_bytes());
            check(&ledger, &["A"], 1);
            assert_eq!(append(&ledger, "B").unwrap().seq, 2);
            check(&ledger, &["B", "A"], 0);
            let kept = fs_err::read(temp.0.join("run_ledger.torn")).unwrap();
            assert!(kept.ends_with(format!("{torn}\n").as_bytes()), "try {n}");
            assert_eq!(ledger.size().torn_bytes, kept.len() as u64);
        }
        // Nothing but a torn end.
        temp.write(b"half");
        assert_eq!(append(&ledger, "C").unwrap().seq, 1);
        check(&ledger, &["C"], 0);
    }

    #[test]
    fn a_whole_record_without_newline_stays() {
        let temp = Temp::new();
        let ledger = temp.ledger(0, 5);
        append(&ledger, "A").unwrap();
        append(&ledger, "B").unwrap();
        temp.write(temp.text().trim_end().as_bytes());
        check(&ledger, &["B", "A"], 0);
        assert_eq!(append(&ledger, "C").unwrap().seq, 3);
        check(&ledger, &["C", "B", "A"], 0);
        assert!(!temp.0.join("run_ledger.torn").exists());
    }

    #[test]
    fn bad_lines_are_passed_over_and_counted() {
        let temp = Temp::new();
        let ledger = temp.ledger(0, 5);
        append(&ledger, "A").unwrap();
        let whole = temp.text();
        let bad = [whole.as_bytes(), b"\n", b"\0\0\n", b"{\"schema\":1,\"run_id\":\n", b"\xff\n", b"[]\n"].concat();
        temp.write(&bad);
        assert_eq!(append(&ledger, "B").unwrap().seq, 2);
        check(&ledger, &["B", "A"], 5);
        assert!(temp.0.join("run_ledger.torn").metadata().is_err(), "whole lines are left where they are");
    }

    #[test]
    fn a_listing_does_not_go_through_a_file_of_other_lines() {
        let temp = Temp::new();
        let ledger = temp.ledger(0, 5);
        append(&ledger, "A").unwrap();
        let record = temp.text();
        temp.write((record.clone() + &"{}\n".repeat(999)).as_bytes());
        assert_eq!(read(&ledger, 10), (strings(&["A"]), Tally { records: 1, bad: 999, is_cut: false }));
        temp.write((record + &"{}\n".repeat(2000)).as_bytes());
        assert_eq!(read(&ledger, 100), (strings(&[]), Tally { records: 0, bad: 1000, is_cut: true }));
        assert_eq!(read(&ledger, 200), (strings(&[]), Tally { records: 0, bad: 2000, is_cut: true }));
        assert_eq!(read(&ledger, 201), (strings(&["A"]), Tally { records: 1, bad: 2000, is_cut: false }));
    }

    #[test]
    fn giant_lines_are_neither_loaded_nor_in_the_way() {
        let temp = Temp::new();
        let ledger = temp.ledger(0, 5);
        append(&ledger, "A").unwrap();
        let len = ledger.size().bytes;
        // Holes read as NUL bytes, so this costs no disk.
        let grow = |bytes: u64| private(&temp.path(), APPEND).unwrap().set_len(bytes).unwrap();
        grow(len + (20 << 20));
        assert_eq!(append(&ledger, "B").unwrap().seq, 2, "a giant torn end is closed by a newline, not copied");
        check(&ledger, &["B", "A"], 1);
        assert_eq!(ledger.size().torn_bytes, 0);
        grow(ledger.size().bytes + (100 << 20));
        assert_eq!(append(&ledger, "C").unwrap().seq, 3);
        assert_eq!(read(&ledger, 10), (strings(&["C"]), Tally { records: 1, bad: 0, is_cut: true }));
        assert_eq!(read(&ledger, 1), (strings(&["C"]), Tally { records: 1, bad: 0, is_cut: false }));
        assert!(matches!(ledger.find("A").unwrap(), Found::One(line) if line.contains("\"seq\":1,")));
    }

    #[test]
    fn runs_are_found_by_a_unique_beginning() {
        let temp = Temp::new();
        let ledger = temp.ledger(1, 5);
        for id in ["01KAP5", "01KAP7", "01KB00"] {
            append(&ledger, id).unwrap();
        }
        let is_record = |line: &str| recorded::read(line).is_ok();
        let one = |id: &str| matches!(ledger.find(id).unwrap(), Found::One(line) if is_record(&line));
        assert!(one("01KAP5") && one("01kap7") && one("01KB"));
        assert_eq!(ledger.find("01KAP").unwrap(), Found::Several(strings(&["01KAP7", "01KAP5"])));
        assert_eq!(ledger.find("KAP").unwrap(), Found::Nothing);
    }

    #[test]
    fn a_whole_id_is_found_where_its_time_is_and_elsewhere_too() {
        let temp = Temp::new();
        let ledger = temp.ledger(0, 5);
        append(&ledger, "A").unwrap();
        let line = temp.text();
        let id = |at: u64| run_id::encode(Utc(1_795_000_000_000 + at * 1000), u128::from(at));
        let record = |at: u64| {
            let (_, rest) = line.split_once("\"timestamp\":\"").unwrap();
            let (_, rest) = rest.split_once('"').unwrap();
            let time = Utc(1_795_000_000_000 + at * 1000);
            format!("{{\"schema\":{SCHEMA},\"run_id\":\"{}\",\"seq\":{at},\"timestamp\":\"{time}\"{rest}", id(at))
        };
        // Number 7 took so long that it stands last.
        let text: String = (1..6000).filter(|at| *at != 7).chain([7]).map(record).collect();
        assert!(text.len() > 2 << 20, "{}", text.len());
        let (older, newer) = text.split_at(record(1).len() * 3);
        temp.write(newer.as_bytes());
        fs_err::write(temp.0.join("run_ledger.jsonl.1"), older).unwrap();
        let files = |number| ledger.numbered(number);
        for at in [1, 2, 100, 3000, 5998, 5999] {
            let found = near::find(&id(at), &files).unwrap();
            assert_eq!(found, record(at).trim_end(), "{at}");
            assert_eq!(ledger.find(&id(at).to_ascii_lowercase()).unwrap(), Found::One(found), "{at}");
        }
        assert_eq!(near::find(&id(7), &files), None, "not where its time is");
        assert_eq!(ledger.find(&id(7)).unwrap(), Found::One(record(7).trim_end().to_string()));
        assert_eq!(ledger.find(&id(6001)).unwrap(), Found::Nothing);
    }

    #[test]
    fn what_is_no_file_of_ours_is_refused() {
        let temp = Temp::new();
        let ledger = temp.ledger(0, 5);
        let target = temp.0.join("target");
        let refused = |at: &Path, why: &str| {
            let error = append(&ledger, "A").unwrap_err();
            assert_eq!((error.kind, error.exit_code()), (Kind::Unlogged, 3));
            assert!(error.to_string().contains(why), "{error}");
            if at == temp.path() {
                let error = ledger.recent(1, &mut |_| true).unwrap_err();
                assert!(error.to_string().contains(why), "{error}");
            }
        };
        for at in [temp.0.join("run_ledger.jsonl.lock"), temp.path()] {
            fs_err::os::unix::fs::symlink(&target, &at).unwrap();
            refused(&at, "it is a symbolic link");
            assert!(!target.exists(), "a link is not followed");
            fs_err::remove_file(&at).unwrap();
            rustix::fs::mknodat(rustix::fs::CWD, &at, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
            refused(&at, "it is not a regular file");
            fs_err::remove_file(&at).unwrap();
        }
        fs_err::create_dir(temp.path()).unwrap();
        assert_eq!(append(&ledger, "A").unwrap_err().kind, Kind::Unlogged);
        let below_a_file = Ledger::open("/dev/null/x/ledger.jsonl".into(), ledger.limits);
        assert_eq!(append(&below_a_file, "A").unwrap_err().kind, Kind::Unlogged);
    }

    #[test]
    fn a_missing_directory_is_made_private() {
        let temp = Temp::new();
        let ledger = Ledger::open(temp.0.join("a/b/ledger.jsonl"), temp.ledger(0, 5).limits);
        append(&ledger, "A").unwrap();
        let mode = |path: &str| fs_err::metadata(temp.0.join(path)).unwrap().mode() & 0o777;
        assert_eq!([mode("a"), mode("a/b"), mode("a/b/ledger.jsonl")], [0o700, 0o700, 0o600]);
    }

    #[test]
    fn modes_are_private_with_any_umask() {
        let temp = Temp::new();
        temp.write(b"");
        fs_err::set_permissions(temp.path(), Permissions::from_mode(0o666)).unwrap();
        let mut child = role("writer", &temp, "umask 0", 3);
        assert_eq!(acknowledged(&mut child, usize::MAX).len(), 3);
        assert!(child.wait().unwrap().success());
        for name in temp.names() {
            assert_eq!(fs_err::metadata(temp.0.join(&name)).unwrap().mode() & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_failed_write_leaves_whole_lines_and_says_why() {
        let temp = Temp::new();
        // Blocks of 512 bytes, or of 1024 in bash: the limit falls into the middle of a line either way.
        let mut child = role("writer", &temp, "trap '' XFSZ; ulimit -f 9", 100);
        let acknowledged = acknowledged(&mut child, usize::MAX);
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(!child.wait().unwrap().success());
        assert!(said.contains("File too large (os error 27)") && said.contains("make room"), "{said}");
        assert!((1..100).contains(&acknowledged.len()));
        let (ids, tally) = read(&temp.ledger(0, 5), 1000);
        assert_eq!((ids.into_iter().rev().collect::<Vec<_>>(), tally.bad), (acknowledged, 0));
        assert!(temp.text().ends_with("}\n"));
        assert_eq!(append(&temp.ledger(0, 5), "A").unwrap().seq, tally.records as u64 + 1);
    }

    #[test]
    fn waiting_is_announced_and_bounded() {
        let temp = Temp::new();
        let mut holder = role("holder", &temp, "", 0);
        assert_eq!(acknowledged(&mut holder, 1), ["held"]);
        let ledger = temp.ledger(0, 5).within(Duration::from_millis(100));
        let mut said = Vec::new();
        let error = ledger.append(&mut record("A"), 200, &[], &soon(), &mut |text| said.push(text.to_string()));
        let error = error.unwrap_err();
        assert!(error.kind == Kind::Unlogged && error.to_string().contains("has held"), "{error}");
        assert_eq!(said, ["waiting for another mux that writes the ledger"]);
        check(&ledger, &[], 0);
        // The lock dies with its process, whatever ends that.
        holder.kill().unwrap();
        holder.wait().unwrap();
        let called_off = soon();
        called_off.cancel();
        ledger.append(&mut record("A"), 200, &[], &called_off, &mut |_| {}).unwrap();
        check(&ledger, &["A"], 0);
    }

    #[test]
    fn a_lock_file_that_was_removed_locks_nobody_out_and_nobody_in() {
        let temp = Temp::new();
        let ledger = temp.ledger(0, 5);
        let held = ledger.lock(&soon(), &mut |_| {}).unwrap();
        fs_err::remove_file(temp.0.join("run_ledger.jsonl.lock")).unwrap();
        append(&ledger, "A").unwrap();
        assert!(!is_at(&held, &temp.0.join("run_ledger.jsonl.lock")));
    }

    #[test]
    fn sixteen_processes_and_eight_threads_lose_nothing() {
        let temp = Temp::new();
        let mut children: Vec<_> = (0..16).map(|_| role("writer", &temp, "", 12)).collect();
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let ledger = temp.ledger(MAX_BYTES, 50);
                std::thread::spawn(move || {
                    let ids = (0..10).map(|_| new_id());
                    ids.inspect(|id| drop(append(&ledger, id).unwrap())).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut acknowledged_ids = Vec::new();
        for (n, child) in children.iter_mut().enumerate() {
            if n % 4 == 0 {
                // Killed somewhere in its work, after at least three records.
                acknowledged_ids.extend(acknowledged(child, 3));
                child.kill().unwrap();
            }
            acknowledged_ids.extend(acknowledged(child, usize::MAX));
            child.wait().unwrap();
        }
        for thread in threads {
            acknowledged_ids.extend(thread.join().unwrap());
        }
        let ledger = temp.ledger(MAX_BYTES, 50);
        let (mut seqs, mut ids) = (Vec::new(), BTreeSet::new());
        let tally = ledger.recent(usize::MAX, &mut |row| {
            seqs.push(row.seq);
            ids.insert(row.run_id.to_string())
        });
        assert_eq!(tally.unwrap(), Tally { records: seqs.len(), bad: 0, is_cut: false });
        assert!(acknowledged_ids.len() >= 12 * 12 + 8 * 10 + 4 * 3, "{}", acknowledged_ids.len());
        assert!(acknowledged_ids.iter().all(|id| ids.contains(id)), "an acknowledged record is lost");
        assert!(ids.len() <= acknowledged_ids.len() + 4, "a killed writer has at most one record that it did not say");
        assert_eq!(ids.len(), seqs.len(), "no record twice");
        assert_eq!(seqs, (1..=seqs.len() as u64).rev().collect::<Vec<_>>(), "numbers have no gap and no repetition");
        assert!(ledger.size().rotated_files > 3);
    }

    /// Needs the right to mount in a user namespace, so it is run by hand.
    #[test]
    #[ignore = "needs unshare -rm"]
    fn full_and_read_only_disks_are_named() {
        for (options, why) in [("", "No space left on device"), (",ro", "Read-only file system")] {
            let temp = Temp::new();
            let mount = format!("mount -t tmpfs -o size=16k,mode=700{options} none \"$LEDGER_DIR\"");
            let script = format!("{mount} && exec \"$0\" \"$@\"");
            let mut child = command("writer", &temp, 100, &["unshare", "-rm", "sh", "-c", &script]).spawn().unwrap();
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            child.wait().unwrap();
            assert!(said.contains(why), "{said}");
        }
    }

    const MAX_BYTES: u64 = 20_000;

    fn new_id() -> String {
        use std::hash::BuildHasher;
        run_id::encode(Utc(1_795_402_440_123), u128::from(std::hash::RandomState::new().hash_one(std::process::id())))
    }

    /// Starts this test binary in one of the roles below, after a line of shell.
    fn role(name: &str, temp: &Temp, before: &str, n: usize) -> Child {
        let script = format!("{before}\nexec \"$0\" \"$@\"");
        command(name, temp, n, &["sh", "-c", &script]).spawn().unwrap()
    }

    fn command(name: &str, temp: &Temp, n: usize, before: &[&str]) -> Command {
        let mut command = Command::new(before[0]);
        command.args(&before[1..]).arg(std::env::current_exe().unwrap());
        command.args(["--exact", &format!("sys::ledger::tests::play_{name}"), "--ignored", "--nocapture"]);
        command.env("LEDGER_DIR", &temp.0).env("LEDGER_N", n.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Reads the next `n` lines that say `ack ID`, or those up to the end. The test harness says more around them.
    fn acknowledged(child: &mut Child, n: usize) -> Vec<String> {
        let out = child.stdout.as_mut().unwrap();
        let lines = std::iter::from_fn(|| {
            // Byte by byte, so that nothing of a later call is swallowed. A line cut by a kill says nothing.
            let mut line = Vec::new();
            let mut byte = [0];
            while out.read(&mut byte).unwrap() == 1 {
                if byte == *b"\n" {
                    return Some(String::from_utf8(line).unwrap());
                }
                line.extend(byte);
            }
            None
        });
        lines.filter_map(|line| Some(line.split_once("ack ")?.1.to_string())).take(n).collect()
    }

    #[test]
    #[ignore = "a role: played in a child process"]
    fn play_writer() {
        let Some(dir) = std::env::var_os("LEDGER_DIR") else { return };
        let n: usize = std::env::var("LEDGER_N").unwrap().parse().unwrap();
        let max_bytes = std::env::var("LEDGER_BYTES").map_or(MAX_BYTES, |bytes| bytes.parse().unwrap());
        let keep = std::env::var("LEDGER_KEEP").map_or(50, |keep| keep.parse().unwrap());
        let limits = Limits { max_bytes, max_rotated_files: keep, sync: true };
        let ledger = Ledger::open(Path::new(&dir).join("run_ledger.jsonl"), limits);
        for _ in 0..n {
            let id = new_id();
            println!("begin {id}");
            append(&ledger, &id).unwrap_or_else(|error| panic!("{error}"));
            println!("ack {id}");
        }
    }

    #[test]
    #[ignore = "a role: played in a child process"]
    fn play_holder() {
        let Some(dir) = std::env::var_os("LEDGER_DIR") else { return };
        let limits = Limits { max_bytes: 0, max_rotated_files: 5, sync: true };
        let ledger = Ledger::open(Path::new(&dir).join("run_ledger.jsonl"), limits);
        let _lock = ledger.lock(&soon(), &mut |_| {}).unwrap();
        println!("ack held");
        let _ = io::stdin().read(&mut [0]);
    }
}
