//! The end of a run: keep or take back, write the record, make the outcome.

use crate::engine::attempt::ask::millis;
use crate::engine::attempt::local_change::Changed;
use crate::engine::connect::Connected;
use crate::engine::heal;
use crate::engine::judge::take_back;
use crate::engine::leavings;
use crate::engine::outcome::{Outcome, exit_code, is_unwritable};
use crate::engine::run::{Course, House};
use crate::engine::verify::Origin;
use crate::rules::config::Config;
use crate::rules::escape::one_line;
use crate::rules::kin::is_test_file;
use crate::sys::disk::Cause;
use crate::sys::ledger::pending::Pending;
use crate::sys::ledger::{self, Ledger};
use crate::sys::results::{Keep, Part, Results};
use crate::sys::snapshot::{self, Limits};
use crate::sys::state::State;
use crate::words::changes::Op;
use crate::words::count::Count;
use crate::words::error::Error;
use crate::words::event::{Event, Watcher};
use crate::words::record::{Overruled, RunRecord, SCHEMA};
use crate::words::stop::StopReason;
use crate::words::task::{
    Asked, Cloud, Decision, Failure, Hands, Kind, Phase, Provider, Reason, Refusal, Route, Tier, Verdict,
};
use sha2::{Digest, Sha256};
use std::cell::LazyCell;
use std::fmt::Write as _;
use std::path::Path;

/// Most work directories of which something is kept between two runs of a provider.
const MOST_STORES: usize = 20;

/// What a run comes to.
struct End {
    accepted: bool,
    reason: Reason,
    wanted: Option<Reason>,
    refused: Option<Refusal>,
}

/// Turns the last decision into what stays on disk, in the ledger and before the user.
pub fn finish(mut course: Course<'_>, decision: Decision, connected: &Connected, watcher: &mut dyn Watcher) -> Outcome {
    let (accepted, reason, wanted, refused) = match decision {
        Decision::Accept { reason, wanted, refused } => (true, reason, wanted, refused),
        Decision::GiveUp { reason, refused } => (false, reason, None, refused),
        // `follow` ends with one of the two above.
        Decision::Try { reason, .. } => (false, reason, None, None),
        Decision::Look | Decision::AskHands { .. } => (false, Reason::VerifyFailed, None, None),
    };
    let mut end = End { accepted, reason, wanted, refused };
    let mut changed = course.changed.take();
    let applied = changed.as_mut().and_then(|changed| changed.applied.take());
    let diff = changed.as_ref().map(|changed| changed.diff.clone()).filter(|diff| !diff.is_empty());
    let saved = diff.as_ref().map_or(Ok(()), |diff| course.results.save(&course.run_id, Part::Diff, diff.as_bytes()));
    let mut pending = None;
    match applied {
        Some(applied) if accepted && course.prepared.kind == Kind::Change => {
            pending = announce(&course, &end, changed.as_ref(), connected);
            if let Err(failed) = applied.keep() {
                // The journal could not be closed, so the files went back: the work is not done after all.
                watcher.event(&Event::Note(&format!("the files were taken back: {}", failed.cause)));
                for left in &failed.rolled_back.left {
                    watcher.event(&Event::Note(&left.to_string()));
                }
                course.overruled = Some(Overruled::Disk);
                end.accepted = false;
                end.reason = Reason::LocalFailed(Failure::from(&failed.cause).class());
                pending.take().into_iter().for_each(Pending::end);
            }
        }
        Some(applied) => drop(take_back(&course.prepared.dir, applied, watcher)),
        None => {}
    }
    let accepted = end.accepted;
    let open = if accepted { Vec::new() } else { leavings::open(&course, watcher) };
    let answer = course.answer.take().filter(|_| accepted);
    let (mut record, output) = compose(&course, &end, changed.as_ref(), connected, answer, &open);
    let End { reason, refused, .. } = end;
    let signal = course.stop.reason().and_then(|why| match why {
        StopReason::Signal(signal) => Some(signal),
        StopReason::Canceled | StopReason::Deadline => None,
    });
    let exit = match signal {
        Some(signal) if !accepted => 128 + signal,
        _ if !open.is_empty() => 3,
        Some(_) | None => exit_code(accepted, &reason, refused, course.job.asked, &course.attempts),
    };
    let logged = log(&course, &mut record, watcher);
    if logged.is_ok() {
        pending.into_iter().for_each(Pending::end);
    }
    let unlogged = saved.and(logged).err();
    prune(&course.house, &course.prepared.settings.config);
    let mut hints = if exit == 0 {
        course.passed_over.clone().filter(|_| refused.is_some()).into_iter().collect()
    } else {
        hints(&course, connected, &reason, refused)
    };
    if !record.left.is_empty() {
        let first = if accepted { format!("`mux undo {}` and then ", course.run_id) } else { String::new() };
        hints.insert(0, format!("{first}`mux undo {} --force` brings back what they held before", course.run_id));
    }
    let (proof, reply) = changed.map(|changed| (changed.proof, changed.changes)).unzip();
    let reply = reply.unwrap_or_default();
    let show_diff = course.job.preview || !accepted;
    Outcome {
        record,
        proof,
        output,
        notes: reply.notes,
        proposed: reply.commands,
        diff: diff.filter(|_| show_diff),
        hints,
        exit,
        unlogged,
    }
}

/// The free text of the result.
fn output(
    course: &Course<'_>,
    connected: &Connected,
    changed: Option<&Changed>,
    answer: Option<String>,
    accepted: bool,
) -> String {
    if let Some(text) = answer {
        return text;
    }
    let mut lines: Vec<String> = Vec::new();
    if !accepted && matches!(course.job.asked, Asked::Auto | Asked::Local) {
        lines.extend(connected.why.as_ref().map(|why| format!("Not done: {why}.")));
    }
    match changed {
        Some(changed) if accepted => {
            lines.extend(changed.proof.remarks.iter().cloned());
            let nothing_ran = changed.proof.verdict == Verdict::Skipped && changed.proof.remarks.is_empty();
            if nothing_ran && !course.job.preview {
                lines.push(match changed.proof.examples {
                    0 => "Nothing has checked these files.".to_string(),
                    1 => "The one example that was given holds; nothing else has checked these files.".to_string(),
                    n => format!("The {n} examples that were given hold; nothing else has checked these files."),
                });
            }
            let own_tests = changed.files.iter().any(|file| file.op == Op::Create && is_test_file(&file.path));
            if own_tests && course.prepared.proof.origin == Origin::Project {
                lines.push("Some of the tests were written in this run: they prove what the model thinks.".to_string());
            }
            lines.extend(changed.changes.notes.iter().map(|note| format!("Note: {note}.")));
            lines.extend(Some(changed.changes.summary.clone()).filter(|summary| !summary.is_empty()));
        }
        Some(_) | None => {
            for (number, attempt) in course.attempts.iter().enumerate() {
                let why = match (&attempt.failure, attempt.verdict) {
                    (Some(failure), _) => failure.to_string(),
                    (None, Some(verdict)) => format!("verification {}", verdict.name()),
                    (None, None) => "a usable reply".to_string(),
                };
                let why = one_line(why.trim_end_matches('.'));
                lines.push(format!("Try {} ({}): {why}.", number + 1, attempt.route.name()));
            }
            let evidence = changed.and_then(|changed| changed.proof.evidence.as_ref());
            lines.extend(evidence.map(|evidence| format!("The last check that failed:\n{evidence}")));
        }
    }
    lines.join("\n")
}

fn record(course: &Course<'_>, changed: Option<&Changed>, connected: &Connected, accepted: bool) -> RunRecord {
    let (timestamp, ts) = RunRecord::stamps(course.house.env.now);
    // A review, or a provider that failed, is not what the result comes from.
    let by = |route: Route| course.attempts.iter().rev().find(|attempt| attempt.route == route);
    let last = by(course.served.map_or(Route::Local, Provider::route)).or(course.attempts.last());
    let proof = changed.map(|changed| &changed.proof);
    let before = course.before.iter().flat_map(|before| &before.commands);
    let route = match course.served {
        _ if !accepted => Route::None,
        Some(provider) => provider.route(),
        None => Route::Local,
    };
    RunRecord {
        schema: SCHEMA,
        run_id: course.run_id.clone(),
        undoes: None,
        seq: 0,
        timestamp,
        ts,
        source: course.job.source,
        hook: None,
        kind: course.prepared.kind,
        route,
        reason: Reason::Unverified,
        wanted: None,
        refused: None,
        model: last.map_or_else(|| connected.model_name().to_string(), |attempt| attempt.model.clone()),
        // What mux applied from advice nobody has scored.
        confidence: last.and_then(|attempt| attempt.confidence).filter(|_| course.facts.tier != Tier::Advice),
        task_length: course.job.task.chars().count() as u64,
        output_length: 0,
        task_sha256: sha256(course.job.task),
        workdir: course.prepared.place.dir.to_string_lossy().into_owned(),
        runtime_status: connected.status,
        retries: u32::try_from(course.attempts.len().saturating_sub(1)).unwrap_or(u32::MAX),
        verify_ok: proof.and_then(|proof| match proof.verdict {
            Verdict::Passed => Some(true),
            Verdict::Failed => Some(false),
            Verdict::Unproven | Verdict::Skipped => None,
        }),
        verify_summary: proof.map(|proof| proof.summary.clone()).unwrap_or_default(),
        files: changed.map(|changed| changed.files.clone()).filter(|_| accepted).unwrap_or_default(),
        left: Vec::new(),
        facts: Some(course.facts.clone()),
        policy: Some(course.policy.clone()),
        escalations: course.escalations.clone(),
        overruled: course.overruled,
        shadow: course.shadow,
        attempts: course.attempts.clone(),
        commands: before.chain(proof.iter().flat_map(|proof| &proof.commands)).cloned().collect(),
        cloud: course.cloud_used,
        remote: connected.remote().map(str::to_string),
        local_impl_ratio: None,
        duration_ms: millis(course.start.elapsed()),
        task: None,
        output: None,
    }
}

/// The record of the run, and the free text of its result.
fn compose(
    course: &Course<'_>,
    end: &End,
    changed: Option<&Changed>,
    connected: &Connected,
    answer: Option<String>,
    open: &[String],
) -> (RunRecord, String) {
    let left = leavings::left(course);
    let output =
        leavings::told(&left, open, &course.beyond) + &output(course, connected, changed, answer, end.accepted);
    let mut record = record(course, changed, connected, end.accepted);
    (record.reason, record.wanted, record.refused) = (end.reason.clone(), end.wanted.clone(), end.refused);
    record.left = left;
    record.output_length = output.chars().count() as u64;
    if course.prepared.settings.config.ledger.store_text {
        // The ledger redacts every text that it writes.
        record.task = Some(course.job.task.to_string());
        record.output = Some(output.clone());
    }
    (record, output)
}

/// Writes the record of a change down before its files are final. Where that fails, only a kill could lose it.
fn announce(course: &Course<'_>, end: &End, changed: Option<&Changed>, connected: &Connected) -> Option<Pending> {
    let config = &course.prepared.settings.config;
    let (record, _) = compose(course, end, changed, connected, None, &[]);
    let window = config.ledger.summary_window as usize;
    ledger(course.house.state, config).announce(&record, window, &keys(course), &course.house.state.runs()).ok()
}

/// Appends the record. What cannot be recorded is said, and never undoes the work.
fn log(course: &Course<'_>, record: &mut RunRecord, watcher: &mut dyn Watcher) -> Result<(), Error> {
    let config = &course.prepared.settings.config;
    let ledger = ledger(course.house.state, config);
    let window = config.ledger.summary_window as usize;
    ledger.append(record, window, &keys(course), course.stop, &mut |line| watcher.event(&Event::Note(line)))
}

/// What must not appear in the ledger.
fn keys(course: &Course<'_>) -> Vec<String> {
    let key = course.house.env.text(&course.prepared.settings.config.providers.local.api_key_env);
    key.map(str::to_string).into_iter().collect()
}

/// Old results go when new ones come. What cannot be pruned now stays until the next time.
pub fn prune(house: &House<'_>, config: &Config) {
    let keep = &config.state;
    let keep = Keep { days: u64::from(keep.keep_runs_days), bytes: keep.keep_runs_bytes };
    // Asked for when the first one is to go, once an hour: it reads every journal.
    let open = LazyCell::new(|| heal::report(&house.state.runs()).unwrap_or_default());
    let must_stay =
        |dir: &Path| open.iter().any(|left| dir.file_name().is_some_and(|name| name == left.run_id.as_str()));
    let _ = Results::at(house.state.runs()).prune(house.env.now, keep, &must_stay);
    let limits = Limits { days: keep.days, bytes: keep.bytes, stores: MOST_STORES };
    snapshot::prune(&house.state.snapshots(), &house.state.runs(), house.env.now, limits);
}

/// The ledger of the configuration.
pub fn ledger(state: &State, config: &Config) -> Ledger {
    let path = &config.ledger.file_path;
    let path = if path.as_os_str().is_empty() { state.ledger() } else { path.clone() };
    let limits = ledger::Limits {
        max_bytes: config.ledger.max_bytes,
        max_rotated_files: config.ledger.max_rotated_files,
        sync: config.ledger.sync,
    };
    Ledger::open(path, limits)
}

/// What keeps a model from going round in circles.
const PENALTY: &str = "a model that goes round in circles: start its server with a repetition penalty (llama.cpp: \
                       `--repeat-penalty 1.1`), or take a larger one";

/// What lets a model server take longer.
fn patience(failure: &Failure) -> Option<String> {
    let Failure::Timeout { phase, .. } = failure else { return None };
    let key = match phase {
        Phase::FirstToken => "first_token_timeout_sec",
        Phase::Idle => "idle_timeout_sec",
        Phase::Connect | Phase::Overall | Phase::Queue => return None,
    };
    Some(format!("`providers.local.{key}` in mux.yaml gives the model server more time"))
}

/// What makes a model server take a call: its key, or a model that it has.
fn admission(failure: &Failure) -> Option<String> {
    if let Failure::Http { status: 401 | 403, .. } = failure {
        let key =
            "the model server wants a key: `providers.local.api_key_env` in mux.yaml names the variable that holds it";
        return Some(key.to_string());
    }
    let model = "`mux doctor` says which model the server has; `providers.local.model` in mux.yaml names one";
    matches!(failure, Failure::NoModel { .. }).then(|| model.to_string())
}

/// What to do about a run that was not done: one line for each thing that stood in the way.
fn hints(course: &Course<'_>, connected: &Connected, reason: &Reason, refused: Option<Refusal>) -> Vec<String> {
    let mut hints: Vec<String> = Vec::new();
    hints.extend(connected.hint.clone().filter(|_| *reason == Reason::LocalDown));
    if matches!(reason, Reason::VerifyFailed) {
        hints.push(format!("the last try is kept: `mux diff {}` shows it", course.run_id));
        hints.extend(course.mute.as_ref().map(|check| {
            format!("different changes left the check red in the same words: does it work here at all? `{check}`")
        }));
    }
    let is_unasked = course.policy.hands == Hands::Never && matches!(course.facts.cloud, Cloud::Open(_));
    if is_unasked && course.facts.tier == Tier::Advice && refused.is_none() {
        let allow = "advice did not do it, and a cloud CLI may edit files after failed tries only with \
                     `workflow.allow_sota_write_fallback: true`, or with `--route`";
        hints.push(allow.to_string());
    }
    if is_unwritable(&course.attempts) {
        let hint = match course.prepared.dir.place() {
            Err(Cause::Moved { .. }) => "give it its name back, or do the task where it is now",
            Ok(_) | Err(_) => "look at free space, quota and permissions of the work directory and the state directory",
        };
        hints.push(hint.to_string());
    }
    hints.extend(course.attempts.iter().rev().find_map(|attempt| patience(attempt.failure.as_ref()?)));
    hints.extend(course.attempts.iter().rev().find_map(|attempt| admission(attempt.failure.as_ref()?)));
    let has_looped = course.attempts.iter().any(|attempt| matches!(attempt.failure, Some(Failure::Looped { .. })));
    hints.extend(has_looped.then(|| PENALTY.to_string()));
    let overflow =
        course.attempts.iter().any(|attempt| matches!(attempt.failure, Some(Failure::ContextOverflow { .. })));
    if overflow {
        let named = course.prepared.context.named();
        let size = |content: &str| Count::of(content.len(), "byte");
        let named: Vec<String> = named.map(|file| format!("{} ({})", file.path, size(&file.content))).collect();
        if !named.is_empty() {
            hints.push(format!("what did not fit: the task with {}", named.join(", ")));
        }
        hints.push("name fewer or smaller files, or start the model server with a larger context".to_string());
    }
    hints.extend(course.passed_over.clone().filter(|_| refused.is_some()));
    let what = match refused {
        Some(Refusal::NoProvider) => {
            "no cloud CLI could take it: `mux doctor` says which are installed, logged in and not cooling down"
        }
        Some(Refusal::Budget) => {
            "the budget is used up: `mux egress` lists the calls, `budget` in mux.yaml sets the limits"
        }
        Some(Refusal::Secret) => {
            "a secret was about to be sent: take it out, or set `privacy.secrets: redact` to send the rest"
        }
        Some(Refusal::Recursion) => "a mux below a cloud CLI of another mux starts none itself",
        Some(Refusal::Scope) => "`privacy.cloud_reads` allows no scope that an installed cloud CLI offers",
        Some(Refusal::NoSnapshot) => "without a snapshot to go back to, no provider may write: is git installed?",
        Some(Refusal::LocalOnly) => "local-only forbids the cloud: `--local-only`, MUX_OFFLINE or `privacy.local_only`",
        Some(Refusal::Deadline) => "the deadline passed; `--deadline SECONDS` gives more time",
        Some(Refusal::Canceled) | None => return hints,
    };
    hints.push(what.to_string());
    hints
}

/// The hash of a text in hex.
pub fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
