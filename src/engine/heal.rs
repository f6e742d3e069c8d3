//! What a killed run left behind: rolled back before the next work begins, or only reported. Where children of the run
//! were writing when it was killed, it is kept, as a run that can be undone. Where its files were final, its record is
//! appended to the ledger.
//!
//! Healing is done by the commands that write (`run`, `undo`, `diff`, a hook, an MCP call); `status`, `doctor` and `log`
//! only look. It needs neither the run's configuration nor its model, and works from any directory.

use crate::engine::around;
use crate::sys::disk::{self, Leftover, Purpose, RollBack, Unfinished, WorkDir};
use crate::sys::ledger::pending::{self, Unrecorded};
use crate::sys::results::{self, Part, Results};
use crate::sys::snapshot::{self, Beyond};
use crate::words::count::Count;
use crate::words::error::{Context as _, Error, Kind};
use crate::words::event::{Event, Watcher};
use crate::words::stop::Stop;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A run that died while its files were not final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leavings {
    pub run_id: String,
    pub work_dir: PathBuf,
    /// Files that the run was writing.
    pub files: usize,
    pub state: State,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not healed yet: the next command that writes will do it.
    Open,
    RolledBack(RollBack),
    /// A provider was writing: not healed yet.
    OpenHands,
    /// A provider was writing: what has changed stays, is kept for `mux undo`, and cannot all be taken back where
    /// something is beyond that.
    Kept {
        beyond: Vec<Beyond>,
    },
    /// Its files are final, and its record is not in the ledger: the next command that writes appends it.
    OpenRecord,
    Recorded,
    /// The ledger cannot be written; tried again with every command.
    Unrecorded(String),
    /// The work directory cannot be opened: gone, or on a disk that is not mounted. Tried again with every command,
    /// until the run is pruned.
    Unreachable(String),
    /// The journal cannot be read by this mux; `run_id` is the journal's name.
    Unreadable,
}

impl fmt::Display for Leavings {
    /// One line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (run, dir) = (&self.run_id, self.work_dir.display());
        match &self.state {
            State::Open => {
                write!(f, "run {run} was killed while it wrote {} in `{dir}`", Count::of(self.files, "file"))
            }
            State::RolledBack(done) => {
                write!(f, "run {run} was killed; restored {} in `{dir}`", Count::of(done.restored, "file"))?;
                done.left.iter().try_for_each(|left| write!(f, "; {left}"))
            }
            State::OpenHands => write!(f, "run {run} was killed while a provider wrote in `{dir}`"),
            State::Kept { .. } if self.files == 0 => {
                write!(f, "run {run} was killed while a provider worked in `{dir}`; no file had changed")
            }
            State::Kept { beyond } => {
                let files = Count::of(self.files, "file");
                write!(f, "run {run} was killed while a provider wrote in `{dir}`; changed since it began, and left ")?;
                write!(f, "as it is: {files}; `mux undo {run}` takes that back")?;
                beyond.iter().try_for_each(|one| write!(f, "; {one}"))
            }
            State::OpenRecord => write!(f, "run {run} in `{dir}` is not recorded yet"),
            State::Recorded => write!(f, "run {run} in `{dir}` ended before it was recorded; it is in the ledger now"),
            State::Unrecorded(why) => write!(f, "run {run} in `{dir}` waits to be recorded: {why}"),
            State::Unreachable(cause) => write!(f, "run {run} was killed and waits to be rolled back: {cause}"),
            State::Unreadable => write!(f, "journal `{run}` cannot be read by this version of mux"),
        }
    }
}

/// Puts right what dead runs left open below `runs`, the directory of all runs, and tells the watcher. Living runs are
/// passed over. Returns whether there was anything.
///
/// # Errors
/// As [`heal`].
pub fn tell(runs: &Path, watcher: &mut dyn Watcher) -> Result<bool, Error> {
    let healed = heal(runs)?;
    for one in &healed {
        watcher.event(&Event::Note(&one.to_string()));
    }
    Ok(!healed.is_empty())
}

/// As [`tell`], and returns what there was.
///
/// # Errors
/// `Io` where the journals themselves cannot be read. What a roll-back could not do is a value.
pub fn heal(runs: &Path) -> Result<Vec<Leavings>, Error> {
    let names = begun(runs)?;
    let mut found = collect(runs, &names, Purpose::Heal, |unfinished| match unfinished.roll_back() {
        Ok(done) => State::RolledBack(done),
        Err(cause) => State::Unreachable(cause.to_string()),
    })?;
    // After the journals: a run that was killed when it had just journaled what its children did is rolled back.
    for open in snapshots(runs, &names, true, &mut found)? {
        let (run_id, work_dir) = (open.run_id(), open.work_dir().to_path_buf());
        let (files, state) = keep(open, runs).unwrap_or_else(|why| (0, State::Unreachable(why)));
        found.push(Leavings { run_id, work_dir, files, state });
    }
    // Oldest first, as they would stand in the ledger.
    records(runs, &names, true, &mut found, |record| match record.record(&Stop::at(Instant::now() + PATIENCE)) {
        Ok(()) => State::Recorded,
        Err(why) => State::Unrecorded(why.to_string()),
    });
    Ok(found)
}

/// What runs have begun below `runs`, and not ended.
fn begun(runs: &Path) -> Result<Vec<String>, Error> {
    results::begun(runs).context(Kind::Io, || format!("cannot read the journals in `{}`", runs.display()))
}

/// Ends the records that wait for their ledger line. That of a run which kept no files goes away, torn or whole.
fn records(runs: &Path, names: &[String], heals: bool, found: &mut Vec<Leavings>, end: fn(Unrecorded) -> State) {
    for name in names {
        let Some((run_id, pending::ENDING)) = name.split_once('.') else { continue };
        let record = match pending::open(&runs.join(name), heals) {
            Ok(Some(record)) => record,
            Ok(None) => continue,
            // It keeps nobody from working.
            Err(_) => {
                found.push(unreadable(name.clone()));
                continue;
            }
        };
        let kept = disk::kept(&runs.join(run_id));
        // Of a later mux, whole or what it kept: that one ends it.
        if record.is_later() || kept.is_err() {
            found.push(unreadable(name.clone()));
        } else if kept.is_ok_and(|kept| kept.is_some()) {
            let (work_dir, files) = record.about();
            found.push(Leavings { run_id: run_id.to_string(), work_dir, files, state: end(record) });
        } else if heals {
            record.forget();
        }
    }
}

/// How long one snapshot may take to be ended, and one record to be written.
const PATIENCE: Duration = Duration::from_mins(10);

/// Ends the snapshot of a dead run: what has changed since it was taken is kept for an undo.
fn keep(open: snapshot::Leftover, runs: &Path) -> Result<(usize, State), String> {
    let (run_id, stop) = (open.run_id(), Stop::at(Instant::now() + PATIENCE));
    let dir = WorkDir::open(open.work_dir()).map_err(|cause| cause.to_string())?;
    let snapshot = open.take_over().map_err(|why| why.to_string())?;
    let around = around::after(snapshot, &dir, &stop).map_err(|why| why.to_string())?;
    let files = around.applied.ops().len();
    if !around.diff.is_empty() {
        // Without it `mux undo` still works.
        let _ = Results::at(runs.to_path_buf()).save(&run_id, Part::Diff, around.diff.as_bytes());
    }
    around.applied.keep().map_err(|failed| failed.cause.to_string())?;
    Ok((files, State::Kept { beyond: around.beyond }))
}

fn snapshots(
    runs: &Path,
    names: &[String],
    heals: bool,
    found: &mut Vec<Leavings>,
) -> Result<Vec<snapshot::Leftover>, Error> {
    let mut later = |run_id| found.push(unreadable(run_id));
    let context = || format!("cannot read the snapshots in `{}`", runs.display());
    snapshot::leftovers(runs, names, heals, &mut later).context(Kind::Io, context)
}

/// Says what [`heal`] would do, and changes nothing.
///
/// # Errors
/// As [`heal`].
pub fn report(runs: &Path) -> Result<Vec<Leavings>, Error> {
    let names = begun(runs)?;
    let mut found = collect(runs, &names, Purpose::Report, |_| State::Open)?;
    let open = snapshots(runs, &names, false, &mut found)?;
    found.extend(open.into_iter().map(|open| {
        let (run_id, work_dir) = (open.run_id(), open.work_dir().to_path_buf());
        Leavings { run_id, work_dir, files: 0, state: State::OpenHands }
    }));
    records(runs, &names, false, &mut found, |_| State::OpenRecord);
    Ok(found)
}

fn collect(
    runs: &Path,
    names: &[String],
    purpose: Purpose,
    end: fn(Box<Unfinished>) -> State,
) -> Result<Vec<Leavings>, Error> {
    let mut found = Vec::new();
    disk::leftovers(runs, names, purpose, &mut |leftover| {
        found.push(match leftover {
            Leftover::Unfinished(one) => Leavings {
                run_id: one.run_id().to_string(),
                work_dir: one.work_dir(),
                files: one.ops().len(),
                state: end(one),
            },
            Leftover::Unreadable(run_id) => unreadable(run_id),
        });
    })
    .context(Kind::Io, || format!("cannot read the journals in `{}`", runs.display()))?;
    Ok(found)
}

/// What only a later mux can read.
fn unreadable(run_id: String) -> Leavings {
    Leavings { run_id, work_dir: PathBuf::new(), files: 0, state: State::Unreadable }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::names;
    use crate::sys::disk::{Left, Why};
    use crate::words::changes::Change;
    use fs_err as fs;
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Bench(PathBuf);

    impl Bench {
        fn new() -> Bench {
            static COUNT: AtomicUsize = AtomicUsize::new(0);
            let name = format!("mux-heal-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
            let bench = Bench(fs::canonicalize(std::env::temp_dir()).unwrap().join(name));
            fs::create_dir_all(bench.work()).unwrap();
            fs::create_dir_all(bench.runs()).unwrap();
            bench
        }

        fn work(&self) -> PathBuf {
            self.0.join("work")
        }

        fn runs(&self) -> PathBuf {
            self.0.join("runs")
        }

        /// Applies `a` = `new` (and a new `b`) as a run that never ends. A `dead` one has lost its lock: the journal is
        /// another file of the same content.
        fn run(&self, id: &str, dead: bool) {
            fs::create_dir_all(self.runs().join(id)).unwrap();
            let write = |path: &str| Change::Write { path: path.into(), content: format!("new by {id}") };
            let changes = [write("a"), write("b")];
            let planned = names::check_all(&changes, &[]).unwrap();
            let stop = Stop::at(Instant::now() + Duration::from_mins(1));
            let dir = WorkDir::open(&self.work()).unwrap();
            let applied = disk::apply(&dir, &self.runs().join(id), &planned, &BTreeMap::new(), &stop).unwrap();
            std::mem::forget(applied);
            if dead {
                let journal = self.runs().join(format!("{id}.undo-1"));
                let plan = fs::read(&journal).unwrap();
                fs::remove_file(&journal).unwrap();
                fs::write(&journal, plan).unwrap();
            }
        }

        fn read(&self, name: &str) -> Option<String> {
            fs::read_to_string(self.work().join(name)).ok()
        }

        fn leavings(&self, run_id: &str, state: State) -> Leavings {
            Leavings { run_id: run_id.into(), work_dir: self.work(), files: 2, state }
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_dead_run_is_reported_then_rolled_back_once() {
        let bench = Bench::new();
        fs::write(bench.work().join("a"), "old").unwrap();
        bench.run("DEAD", true);
        assert_eq!(report(&bench.runs()).unwrap(), [bench.leavings("DEAD", State::Open)]);
        assert_eq!(bench.read("a").as_deref(), Some("new by DEAD"), "a report changes nothing");
        let done = RollBack { restored: 2, left: Vec::new() };
        assert_eq!(heal(&bench.runs()).unwrap(), [bench.leavings("DEAD", State::RolledBack(done))]);
        assert_eq!((bench.read("a").as_deref(), bench.read("b")), (Some("old"), None));
        assert_eq!((heal(&bench.runs()).unwrap(), report(&bench.runs()).unwrap()), (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_living_run_is_left_alone() {
        let bench = Bench::new();
        bench.run("LIVE", false);
        assert_eq!((report(&bench.runs()).unwrap(), heal(&bench.runs()).unwrap()), (Vec::new(), Vec::new()));
        assert_eq!(bench.read("a").as_deref(), Some("new by LIVE"));
    }

    #[test]
    fn the_newest_of_two_dead_runs_is_taken_away_first() {
        let bench = Bench::new();
        fs::write(bench.work().join("a"), "old").unwrap();
        bench.run("01A", true);
        bench.run("01B", true);
        let healed: Vec<_> = heal(&bench.runs()).unwrap().into_iter().map(|one| one.run_id).collect();
        assert_eq!(healed, ["01B", "01A"]);
        assert_eq!((bench.read("a").as_deref(), bench.read("b")), (Some("old"), None));
    }

    #[test]
    fn a_run_waits_for_its_work_directory() {
        let bench = Bench::new();
        fs::write(bench.work().join("a"), "old").unwrap();
        bench.run("DEAD", true);
        fs::rename(bench.work(), bench.0.join("unplugged")).unwrap();
        let [Leavings { state: State::Unreachable(_), .. }] = &heal(&bench.runs()).unwrap()[..] else { panic!() };
        assert_eq!(report(&bench.runs()).unwrap(), [bench.leavings("DEAD", State::Open)]);
        fs::rename(bench.0.join("unplugged"), bench.work()).unwrap();
        assert_eq!(heal(&bench.runs()).unwrap().len(), 1);
        assert_eq!((bench.read("a").as_deref(), bench.read("b")), (Some("old"), None));
    }

    #[test]
    fn what_healing_says_names_the_run_and_what_is_left() {
        let bench = Bench::new();
        bench.run("DEAD", true);
        fs::write(bench.work().join("a"), "mine").unwrap();
        fs::write(bench.runs().join("X.undo-1"), "{}\n").unwrap();
        fs::create_dir(bench.runs().join("Y.record")).unwrap();
        let dir = bench.work().display().to_string();
        let lines: Vec<_> = heal(&bench.runs()).unwrap().iter().map(Leavings::to_string).collect();
        let told = format!(
            "run DEAD was killed; restored 1 file in `{dir}`; `a` was changed by someone else since; left as it is"
        );
        let odd = |name: &str| format!("journal `{name}` cannot be read by this version of mux");
        assert_eq!(lines, [odd("X.undo-1"), told, odd("Y.record")]);
        let left = Left { path: "a".into(), why: Why::Lost };
        assert_eq!(left.to_string(), "`a` cannot be restored: its old content is gone");
        assert_eq!(
            bench.leavings("R", State::Open).to_string(),
            format!("run R was killed while it wrote 2 files in `{dir}`")
        );
        assert_eq!(heal(&bench.0.join("none")).unwrap(), []);
        fs::write(bench.0.join("file"), "").unwrap();
        let text = heal(&bench.0.join("file")).unwrap_err().to_string();
        assert!(text.starts_with("cannot read the journals in `") && text.contains("Not a directory"), "{text}");
    }
}
