//! Taking a run back. An undo is a run of its own: its changeset goes through the same journal, is recorded, and can be
//! undone in turn.
//!
//! **Invariants:** a file that is neither what the run left nor what was there before is named, and then nothing at all is
//! undone unless the user says so; what is there now is kept either way.

use crate::engine::attempt::ask::millis;
use crate::engine::run::House;
use crate::engine::{finish, heal, look};
use crate::rules::stats::Row;
use crate::rules::{diff, names};
use crate::sys::disk::{self, Cause, Failed, Kept, Standing, State, WorkDir};
use crate::sys::ledger::Ledger;
use crate::sys::ledger::pending::Pending;
use crate::sys::results::{Part, Results};
use crate::sys::state::{DirLock, Patience, new_run_id};
use crate::words::changes::FileOp;
use crate::words::error::{Context as _, Error, Kind as ErrorKind};
use crate::words::event::{Event, Watcher};
use crate::words::record::{CloudUse, RunRecord, RuntimeStatus, SCHEMA};
use crate::words::stop::{Stop, StopReason};
use crate::words::task::{Kind, Reason, Route, Source};
use std::path::Path;
use std::time::Instant;

/// Larger files are not shown in the diff of an undo, in bytes.
const LARGEST_SHOWN: u64 = 8 << 20;

/// What is to be undone, and how.
pub struct Wish<'a> {
    /// A run id, or the beginning of one.
    pub run_id: &'a str,
    /// Undo files too that were changed since.
    pub force: bool,
    /// What to do about a work directory that another run holds.
    pub patience: Patience,
    pub source: Source,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Undone {
    /// The run that was to be taken back.
    pub undoes: String,
    /// The id of the undo; `None` where nothing was done.
    pub run_id: Option<String>,
    pub files: Vec<FileOp>,
    /// What was left as it is, and why.
    pub left: Vec<(String, String)>,
    /// Why nothing was done, in a sentence, where no file stands in the way.
    pub why: Option<String>,
    pub hints: Vec<String>,
    pub exit: u8,
    /// Set when the work was done but not recorded.
    pub unlogged: Option<Error>,
}

/// Takes a run back.
///
/// # Errors
/// `Usage` for a run that is unknown, wrote nothing or was pruned; `Io` for a work directory that is gone and for a disk
/// that refuses (then all is as before).
pub fn undo(
    house: &House<'_>,
    project: Option<&Path>,
    wish: &Wish<'_>,
    watcher: &mut dyn Watcher,
    stop: &Stop,
) -> Result<Undone, Error> {
    let start = Instant::now();
    let results = Results::at(house.state.runs());
    heal::tell(&house.state.runs(), watcher)?;
    let look = look::look(house, project)?;
    let (target, mut layers) = find(&results, &look.ledger, wish.run_id)?;
    house.state.make()?;
    let gone = || format!("cannot undo run {target}: its work directory cannot be used");
    let dir = match layers.first() {
        Some(layer) => layer.work_dir().context(ErrorKind::Io, gone)?,
        None => return Err(pruned(&target)),
    };
    let mut undone = Undone { undoes: target.clone(), exit: 1, ..Undone::default() };
    let run_id = new_run_id(house.env.now);
    let mut busy = |holder: &str| watcher.event(&Event::DirBusy { holder });
    let _lock = match house.state.lock_workdir(dir.path(), &run_id, stop, wish.patience, &mut busy)? {
        DirLock::Held(held) => held,
        DirLock::Busy { holder } => {
            undone.why = Some(format!("run {holder} holds the work directory"));
            return Ok(undone);
        }
        DirLock::Stopped(why) => return Ok(stopped(undone, why)),
    };
    let mut compared = Vec::new();
    for layer in &layers {
        compared.push(layer.compare(&dir).context(ErrorKind::Io, || format!("cannot undo run {target}"))?);
    }
    let is_before = |standing: &Vec<Standing>| standing.iter().all(|one| one.state == State::AsBefore);
    // What the run had to leave comes after what it kept, and what is as before that needs nothing.
    if let [kept, left] = compared.as_mut_slice() {
        let is_back = |one: &Standing| left.iter().any(|it| it.path == one.path && it.state == State::AsBefore);
        kept.iter_mut().filter(|one| is_back(one)).for_each(|one| one.state = State::AsBefore);
    }
    let at = compared.iter().position(|standing| !is_before(standing)).unwrap_or(0);
    let has_more = compared.iter().skip(at + 1).any(|standing| !is_before(standing));
    let (kept, standing) = (layers.swap_remove(at), compared.swap_remove(at));
    undone.left =
        standing.iter().filter_map(|one| Some((one.path.clone(), in_the_way(one.state, wish.force)?))).collect();
    let is_done = standing.iter().all(|one| one.state == State::AsBefore);
    if is_done || !undone.left.is_empty() {
        explain(&mut undone, is_done, wish, &standing, &look.ledger)?;
        return Ok(undone);
    }
    watcher.event(&Event::Writing { files: standing.len() });
    let patch = patch(&kept, &dir, &standing);
    let applied = kept.undo(&dir, &results.make(&run_id)?, &standing, stop);
    let applied = match applied {
        Ok(applied) => applied,
        Err(failed) => return not_applied(undone, failed, watcher),
    };
    undone.files = applied.ops().to_vec();
    let left = applied.left().to_vec();
    let saved = results.save(&run_id, Part::Diff, patch.as_bytes());
    let mut record = record(house, wish, &undone, &run_id, &dir, start);
    let window = look.settings.config.ledger.summary_window as usize;
    // Where that fails, only a kill could lose it.
    let pending = look.ledger.announce(&record, window, &[], &house.state.runs()).ok();
    if let Err(failed) = applied.keep() {
        pending.into_iter().for_each(Pending::end);
        undone.files.clear();
        return not_applied(undone, failed, watcher);
    }
    for dir in left {
        watcher.event(&Event::Note(&dir.to_string()));
    }
    record.duration_ms = millis(start.elapsed());
    let logged = look.ledger.append(&mut record, window, &[], stop, &mut |line| watcher.event(&Event::Note(line)));
    if logged.is_ok() {
        pending.into_iter().for_each(Pending::end);
    }
    undone.unlogged = saved.and(logged).err();
    finish::prune(house, &look.settings.config);
    undone.hints.push(format!("`mux undo {run_id}` brings back what was undone"));
    if has_more {
        undone.hints.push(format!(
            "files that changed while run {target} worked are as they were left; `mux undo {target} --force` brings back \
             what they held before it"
        ));
    }
    (undone.run_id, undone.exit) = (Some(run_id), 0);
    watcher.event(&Event::Done);
    Ok(undone)
}

/// Finds the run and its pre-images: what it kept, and what it had to leave when it took files back.
fn find(results: &Results, ledger: &Ledger, id: &str) -> Result<(String, Vec<Kept>), Error> {
    let layers = |run_id: &str| -> Result<Vec<Kept>, Error> {
        let dir = results.run(run_id)?;
        let both = disk::kept(&dir).and_then(|kept| Ok(kept.into_iter().chain(disk::left(&dir)?).collect()));
        both.context(ErrorKind::Io, || format!("cannot read what run {run_id} kept for an undo"))
    };
    let (run_id, n_files) = match look::find(ledger, id) {
        Ok(line) => Row::parse(&line).map(|row| (row.run_id.to_string(), row.n_files())).unwrap_or_default(),
        // A run that could not be recorded has kept its files all the same.
        Err(error) => match layers(&id.to_ascii_uppercase()) {
            Ok(layers) if !layers.is_empty() => return Ok((id.to_ascii_uppercase(), layers)),
            Ok(_) | Err(_) => return Err(error),
        },
    };
    let layers = layers(&run_id)?;
    // A provider may have changed nothing but directories.
    if n_files == 0 && layers.is_empty() {
        let what = format!("run {run_id} wrote no files: there is nothing to undo");
        return Err(Error::new(ErrorKind::Usage, what).hint("`mux log` shows which runs did"));
    }
    if layers.is_empty() { Err(pruned(&run_id)) } else { Ok((run_id, layers)) }
}

fn pruned(run_id: &str) -> Error {
    let what = format!("cannot undo run {run_id}: what it kept for an undo was pruned");
    Error::new(ErrorKind::Usage, what).hint("`state.keep_runs_days` and `state.keep_runs_bytes` say how long it stays")
}

/// Why a file keeps the run from being undone; `None` where it does not.
fn in_the_way(state: State, force: bool) -> Option<String> {
    match state {
        State::AsLeft | State::AsBefore => None,
        State::Changed if force => None,
        State::Changed => Some("it has changed since the run".to_string()),
        State::Blocked(found) => Some(found.to_string()),
        State::Lost => Some("its old content is gone, or no longer what it was".to_string()),
    }
}

/// Says why nothing is undone, and what to do about it.
fn explain(
    undone: &mut Undone,
    is_done: bool,
    wish: &Wish<'_>,
    standing: &[Standing],
    ledger: &Ledger,
) -> Result<(), Error> {
    let mut by = None;
    ledger.recent(usize::MAX, &mut |row| {
        if row.undoes.as_deref() == Some(&undone.undoes) {
            by = Some(row.run_id.to_string());
        }
        by.is_none()
    })?;
    undone.why = match by {
        Some(by) => {
            if is_done {
                undone.hints.push(format!("`mux undo {by}` brings it back"));
            }
            Some(format!("run {} was undone by run {by}", undone.undoes))
        }
        None if is_done => Some(format!("every file is as it was before run {}", undone.undoes)),
        None => None,
    };
    if !wish.force && standing.iter().any(|one| one.state == State::Changed) {
        undone.hints.push(format!(
            "`mux undo {} --force` undoes changed files too; what is there now is kept and can be brought back",
            undone.undoes
        ));
    }
    Ok(())
}

fn stopped(undone: Undone, why: StopReason) -> Undone {
    let exit = match why {
        StopReason::Signal(signal) => 128 + signal,
        StopReason::Canceled | StopReason::Deadline => 1,
    };
    Undone { why: Some("stopped; everything is as it was".to_string()), exit, ..undone }
}

/// All was taken back: what that says.
fn not_applied(mut undone: Undone, failed: Failed, watcher: &mut dyn Watcher) -> Result<Undone, Error> {
    for left in &failed.rolled_back.left {
        watcher.event(&Event::Note(&left.to_string()));
    }
    match failed.cause {
        Cause::Stopped(why) => Ok(stopped(undone, why)),
        Cause::Stale { path } => {
            undone.left.push((path, "it was changed at this moment".to_string()));
            Ok(undone)
        }
        Cause::Refused { path, found } => {
            undone.left.push((path, found.to_string()));
            Ok(undone)
        }
        cause @ (Cause::TooLarge { .. } | Cause::Moved { .. } | Cause::Os { .. }) => {
            Err(cause).context(ErrorKind::Io, || format!("cannot undo run {}", undone.undoes))
        }
    }
}

/// The diff that the undo makes.
fn patch(kept: &Kept, dir: &WorkDir, standing: &[Standing]) -> String {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let mut out = String::new();
    for (index, one) in standing.iter().enumerate().filter(|(_, one)| one.state != State::AsBefore) {
        let Ok(path) = names::readable(&one.path) else { continue };
        let now = dir.read(&path, LARGEST_SHOWN).map(|seen| seen.map(|seen| text(seen.bytes)));
        let then = kept.before(index, LARGEST_SHOWN).map(|bytes| bytes.map(text));
        match (now, then) {
            (Ok(now), Ok(then)) => out.push_str(&diff::unified(&one.path, now.as_deref(), then.as_deref())),
            (now, then) => {
                let why = now.err().or(then.err()).map(|cause| cause.to_string()).unwrap_or_default();
                out.extend(["not shown: ", &why, "\n"]);
            }
        }
    }
    out
}

fn record(
    house: &House<'_>,
    wish: &Wish<'_>,
    undone: &Undone,
    run_id: &str,
    dir: &WorkDir,
    start: Instant,
) -> RunRecord {
    let (timestamp, ts) = RunRecord::stamps(house.env.now);
    RunRecord {
        schema: SCHEMA,
        run_id: run_id.to_string(),
        undoes: Some(undone.undoes.clone()),
        seq: 0,
        timestamp,
        ts,
        source: wish.source,
        hook: None,
        kind: Kind::Undo,
        route: Route::Local,
        reason: Reason::Requested,
        wanted: None,
        refused: None,
        model: String::new(),
        confidence: None,
        task_length: 0,
        output_length: 0,
        task_sha256: finish::sha256(""),
        workdir: dir.path().to_string_lossy().into_owned(),
        runtime_status: RuntimeStatus::Unused,
        retries: 0,
        verify_ok: None,
        verify_summary: String::new(),
        files: undone.files.clone(),
        left: Vec::new(),
        facts: None,
        policy: None,
        escalations: Vec::new(),
        overruled: None,
        shadow: None,
        attempts: Vec::new(),
        commands: Vec::new(),
        cloud: CloudUse::default(),
        remote: None,
        local_impl_ratio: None,
        duration_ms: millis(start.elapsed()),
        task: None,
        output: None,
    }
}
