//! Runs the suite of `mux bench`: each task with the engine that does the user's work, in a directory of its own, then
//! the hidden check. Not the choice of a route: everything stays local, or goes to the one provider that was named.
//!
//! **Invariant:** these runs are not the user's work. Their ledger is a temporary file, their results are removed, and
//! the user's ledger, on which `status`, `replay` and `tune` look, holds none of them. What leaves for a provider is in
//! the egress record and in the budget like any other call.

use crate::engine::confine;
use crate::engine::run::{House, Job, Run, run};
use crate::engine::verify::{self, Ground, Origin, Plan};
use crate::rules::config::Config;
use crate::rules::scorecard::Row;
use crate::rules::suite::{self, Check, Shape, Task};
use crate::sys::proc;
use crate::sys::results::Results;
use crate::sys::scratch::Scratch;
use crate::sys::state::{Patience, new_run_id};
use crate::words::cloud::CloudClass;
use crate::words::env::Env;
use crate::words::error::{Context, Error, Kind as ErrorKind};
use crate::words::event::{Event, Watcher};
use crate::words::record::CloudUse;
use crate::words::stop::Stop;
use crate::words::task::{Asked, Failure, Form, Kind, Phase, Provider, Reason, Refusal, Route, Source, Verdict};
use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a hidden check may take; a build with rustc on a busy machine takes seconds.
const TO_CHECK: Duration = Duration::from_mins(2);

/// Settings that would make a run another one than the suite means: no proof but what the model's own tests give, no
/// review, and a ledger that goes away. The rest is the user's own configuration.
const SETTINGS: &[(&str, &str)] = &[
    ("MUX_VERIFICATION_ENABLED", "true"),
    ("MUX_VERIFICATION_AUTO_DETECT", "true"),
    ("MUX_VERIFICATION_COMMANDS", "[]"),
    ("MUX_VERIFICATION_STRICT", "false"),
    ("MUX_WORKFLOW_RUN_SOTA_REVIEW", "false"),
    ("MUX_PROVIDERS_SOTA_CLI_RETRY_IF_NO_CHANGE", "0"),
    ("MUX_LEDGER_STORE_TEXT", "false"),
];

/// How many tasks in a row may come to nothing before the others are left.
const MOST_SILENT: u32 = 2;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The short suite, in one form.
    pub is_quick: bool,
    /// Only this form.
    pub format: Option<Form>,
    /// A cloud CLI instead of the local model.
    pub provider: Option<Provider>,
    /// For each task.
    pub limit: Duration,
    /// The variable with the model server's key, which no check sees.
    pub key: &'a str,
}

/// A task in a form; `None` where the form does not matter.
pub type Trial = (Task<'static>, Option<Form>);

/// What will run, and what cannot be judged here.
#[derive(Debug, Default)]
pub struct Program {
    pub trials: Vec<Trial>,
    /// Names of tasks, with the program that is missing.
    pub skipped: Vec<(&'static str, &'static str)>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Bench {
    pub rows: Vec<Row>,
    /// The model that answered last.
    pub model: Option<String>,
    pub cloud: CloudUse,
    /// Why it ended before its last task, where it did and nobody called it off.
    pub cut: Option<String>,
    /// Tasks in a row that nobody has answered.
    silent: u32,
}

/// What a failure says of the tasks that are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outlook {
    /// Nothing: it was this task, or this reply.
    Open,
    /// Nobody answered; that may pass.
    Poor,
    /// The next call would end as this one did.
    Hopeless,
}

/// Chooses the tasks. Looks for runners, starts nothing.
pub fn program(env: &Env, wanted: &Wanted<'_>) -> Program {
    let mut program = Program::default();
    let is_here = |name: &&str| proc::which(OsStr::new(name), env.var("PATH"), Path::new("/")).is_some();
    for task in suite::tasks().into_iter().filter(|task| task.is_quick || !wanted.is_quick) {
        if let Some(missing) = task.language.runner().filter(|runner| !is_here(runner)) {
            program.skipped.push((task.name, missing));
            continue;
        }
        let forms: &[Option<Form>] = match (wanted.provider, wanted.format) {
            (Some(_), _) => &[None],
            (None, _) if task.shape == Shape::Explain => &[None],
            (None, Some(Form::Edits)) if task.shape.edits() => &[Some(Form::Edits)],
            (None, None) if task.shape.edits() && !wanted.is_quick => &[Some(Form::Whole), Some(Form::Edits)],
            (None, _) => &[Some(Form::Whole)],
        };
        program.trials.extend(forms.iter().map(|form| (task.clone(), *form)));
    }
    program
}

/// Runs the tasks in order, until all are done or work has to end.
///
/// # Errors
/// `Io` where the temporary directory cannot be used; those of a run before its first try.
pub fn bench(
    house: &House<'_>,
    trials: &[Trial],
    wanted: &Wanted<'_>,
    watcher: &mut dyn Watcher,
    stop: &Stop,
) -> Result<Bench, Error> {
    let scratch = Scratch::new(house.env, &format!("{}-bench", new_run_id(house.env.now)))?;
    let mut bench = Bench::default();
    for (number, (task, form)) in (1..).zip(trials) {
        if stop.reason().is_some() {
            break;
        }
        let place = scratch.path().join("work");
        lay_out(&place, &task.files).context(ErrorKind::Io, || format!("cannot write in `{}`", place.display()))?;
        let env = surroundings(house.env, scratch.path(), *form);
        let inner = House { env: &env, state: house.state, config_file: house.config_file };
        let mut live = Live { watcher: &mut *watcher };
        let row = one(&inner, (task, *form), &place, wanted, &mut live, stop, &mut bench)?;
        let Some(row) = row else { break };
        let how = if row.passed { "passed" } else { "failed" };
        let note = format!("{number} of {}: {how}, {:.1} s: {}", trials.len(), row.seconds, row.label());
        watcher.event(&Event::Note(&note));
        bench.rows.push(row);
        if bench.cut.is_some() {
            break;
        }
    }
    Ok(bench)
}

/// Does one task and checks it. `None` where that was called off, or where no other task would fare better.
fn one(
    house: &House<'_>,
    (task, form): (&Task<'static>, Option<Form>),
    place: &Path,
    wanted: &Wanted<'_>,
    watcher: &mut dyn Watcher,
    stop: &Stop,
    bench: &mut Bench,
) -> Result<Option<Row>, Error> {
    let run_id = new_run_id(house.env.now);
    let job = Job {
        task: task.words,
        kind: Some(if task.shape == Shape::Explain { Kind::Answer } else { Kind::Change }),
        workdir: Some(place),
        asked: wanted.provider.map_or(Asked::Auto, Provider::asked),
        local_only: wanted.provider.is_none(),
        prefer_local: true,
        verify_with: None,
        caller: None,
        verify: &[],
        no_verify: false,
        files: &[],
        dry_run: false,
        preview: false,
        patience: Patience::Wait,
        source: Source::Cli,
        run_id: Some(&run_id),
        client: None,
    };
    let begun = Instant::now();
    let ran = run(house, &job, watcher, &stop.until(begun + wanted.limit))?;
    let seconds = begun.elapsed().as_secs_f64();
    if let Ok(dir) = Results::at(house.state.runs()).run(&run_id) {
        // No ledger line will ever point at it.
        let _ = fs_err::remove_dir_all(dir);
    }
    let Run::Ended(outcome) = ran else { return Ok(None) };
    let record = &outcome.record;
    bench.cloud.add(&record.cloud);
    if stop.is_called() {
        return Ok(None);
    }
    let refused = record.refused.filter(|why| *why != Refusal::LocalOnly);
    let reason = || format!("{}{}", record.reason, refused.map(|why| format!(", {}", why.name())).unwrap_or_default());
    let route = wanted.provider.map_or(Route::Local, Provider::route);
    // A server that is down, or a provider that cannot be called, stays so for the next task.
    let failed = record.attempts.last().and_then(|attempt| attempt.failure.as_ref());
    let outlook = failed.map_or(Outlook::Open, outlook);
    if record.attempts.is_empty() || record.reason == Reason::LocalDown || outlook == Outlook::Hopeless {
        let what = failed.map(ToString::to_string).or_else(|| outcome.hints.first().cloned());
        bench.cut = Some(match (what, &record.reason) {
            // As below: what the named provider said.
            (Some(what), Reason::Requested) => what,
            (Some(what), _) => format!("{}: {what}", reason()),
            (None, _) => reason(),
        });
        return Ok(None);
    }
    bench.silent = if outlook == Outlook::Poor { bench.silent + 1 } else { 0 };
    if let (MOST_SILENT.., Some(failed)) = (bench.silent, failed) {
        let who = wanted.provider.as_ref().map_or("the model server", Provider::name);
        bench.cut = Some(format!("{who} gave no answer {MOST_SILENT} times in a row: {failed}"));
    }
    let tries: Vec<_> = record.attempts.iter().filter(|attempt| attempt.route == route).collect();
    bench.model = tries.last().map(|attempt| attempt.model.clone()).or(bench.model.take());
    let speeds: Vec<f64> = tries.iter().filter_map(|attempt| attempt.tokens_per_sec).collect();
    let is_right = match task.check {
        Check::Says(words) => suite::says(words, &outcome.output),
        Check::Program(text) => is_right(task, text, place, house.env, wanted.key, watcher, stop)?,
    };
    Ok(Some(Row {
        name: task.name,
        shape: task.shape,
        language: task.language,
        format: form,
        passed: is_right,
        seconds,
        confidence: record.confidence,
        tokens_per_sec: (!speeds.is_empty()).then(|| speeds.iter().sum::<f64>() / speeds.len() as f64),
        why: (!is_right).then(|| match (record.route, &record.reason) {
            // That nobody else is there to be asked is no news of the one that was named.
            (Route::None, Reason::Requested) => failed.map_or_else(reason, ToString::to_string),
            (Route::None, _) => reason(),
            (_, Reason::Requested) => "wrong".to_string(),
            (_, _) => format!("wrong ({})", reason()),
        }),
    }))
}

fn outlook(failure: &Failure) -> Outlook {
    match failure {
        Failure::Cloud { class, .. } => match class {
            CloudClass::Auth | CloudClass::RateLimited { .. } | CloudClass::Quota { .. } | CloudClass::ModelMissing => {
                Outlook::Hopeless
            }
            CloudClass::Denied
            | CloudClass::ContextTooLong
            | CloudClass::Server
            | CloudClass::Network
            | CloudClass::Timeout
            | CloudClass::Killed
            | CloudClass::Malformed
            | CloudClass::Empty => Outlook::Poor,
        },
        Failure::NoModel { .. } => Outlook::Hopeless,
        Failure::Down { .. }
        | Failure::Http { .. }
        | Failure::Protocol { .. }
        | Failure::Server { .. }
        | Failure::Timeout { phase: Phase::Connect | Phase::FirstToken | Phase::Idle | Phase::Queue, .. } => {
            Outlook::Poor
        }
        // A model that is too slow for a task may be quick enough for the next one.
        Failure::Timeout { phase: Phase::Overall, .. }
        | Failure::Empty
        | Failure::ReasoningOnly
        | Failure::Cut
        | Failure::Looped { .. }
        | Failure::Hopeless { .. }
        | Failure::ContentFilter
        | Failure::ToolCalls
        | Failure::Declined { .. }
        | Failure::ContextOverflow { .. }
        | Failure::Unusable { .. }
        | Failure::Syntax { .. }
        | Failure::Unchanged
        | Failure::Unseen { .. }
        | Failure::Stale { .. }
        | Failure::RefusedPath { .. }
        | Failure::Disk { .. }
        | Failure::Stopped { .. } => Outlook::Open,
    }
}

/// Runs the hidden check on what lies in the work directory.
fn is_right(
    task: &Task<'_>,
    text: &str,
    place: &Path,
    env: &Env,
    key: &str,
    watcher: &mut dyn Watcher,
    stop: &Stop,
) -> Result<bool, Error> {
    let path = place.join(task.language.check_file());
    fs_err::write(&path, text).context(ErrorKind::Io, || "cannot write the check".to_string())?;
    let words = |command: &&[&str]| command.iter().map(ToString::to_string).collect();
    let commands = task.language.commands().iter().map(words).collect();
    let plan = Plan { origin: Origin::Config, commands, missing: None };
    let run_id = new_run_id(env.now);
    // A model's code without a user's word on it: held wherever that can be.
    let hold = confine::verification(&Config::default().verification, env, place)?;
    let ground = Ground {
        workdir: place,
        held: None,
        env,
        pass: &[],
        key,
        timeout: TO_CHECK,
        strict: false,
        run_id: &run_id,
        writes: hold.places(),
        touched: &[],
        examples: None,
    };
    Ok(verify::verify(&plan, &ground, stop, watcher).verdict == Verdict::Passed)
}

/// Makes the directory anew, with these files and no others.
fn lay_out(place: &Path, files: &[(&str, &str)]) -> std::io::Result<()> {
    if place.exists() {
        fs_err::remove_dir_all(place)?;
    }
    fs_err::create_dir_all(place)?;
    files.iter().try_for_each(|(name, text)| fs_err::write(place.join(name), text))
}

/// The user's surroundings with the settings of the suite on top.
fn surroundings(env: &Env, scratch: &Path, form: Option<Form>) -> Env {
    let mut env = env.clone();
    env.vars.extend(SETTINGS.iter().map(|(name, value)| (name.into(), value.into())));
    env.vars.insert("MUX_LEDGER_FILE_PATH".into(), scratch.join("ledger.jsonl").into());
    if let Some(form) = form {
        env.vars.insert("MUX_LOCAL_EXECUTOR_EDIT_FORMAT".into(), form.name().into());
    }
    env
}

/// Shows what a run does right now and keeps its notes to itself: the rows say how it ended.
struct Live<'a> {
    watcher: &'a mut dyn Watcher,
}

impl Watcher for Live<'_> {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Finding
            | Event::Queued { .. }
            | Event::Asking { .. }
            | Event::Generating { .. }
            | Event::Writing { .. }
            | Event::Verifying { .. }
            | Event::Working { .. }
            | Event::Done => self.watcher.event(event),
            Event::DirBusy { .. } | Event::Escalating { .. } | Event::Failed { .. } | Event::Note(_) => {}
        }
    }

    fn allow_hands(&mut self, _provider: Provider, _deadline: Instant) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::time::Utc;

    struct Deaf;

    impl Watcher for Deaf {
        fn event(&mut self, _event: &Event<'_>) {}

        fn allow_hands(&mut self, _provider: Provider, _deadline: Instant) -> bool {
            false
        }
    }

    const WANTED: Wanted<'_> =
        Wanted { is_quick: false, format: None, provider: None, limit: Duration::from_mins(5), key: "" };

    fn here() -> Env {
        #[expect(clippy::disallowed_methods, reason = "the runners of this machine are somewhere in its PATH")]
        let vars = std::env::vars_os().collect();
        Env { vars, cwd: None, now: Utc(0) }
    }

    #[test]
    fn every_check_is_red_on_the_input_and_green_on_the_solution() {
        let table =
            fs_err::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/suite/solutions.txt")).unwrap();
        let solutions: Vec<_> = suite::sections(&table).collect();
        let (env, stop) = (here(), Stop::at(Instant::now() + Duration::from_mins(10)));
        let place = std::env::temp_dir().join(format!("mux-suite-{}", std::process::id()));
        let mut n_run = 0;
        for task in suite::tasks() {
            let solution = solutions.iter().find(|(head, _)| head == &[task.name]);
            let (_, parts) = solution.unwrap_or_else(|| panic!("{}: no solution", task.name));
            if let Check::Says(words) = task.check {
                let (_, answer) = parts.iter().find(|(name, _)| *name == "?").unwrap();
                assert!(suite::says(words, answer), "{}", task.name);
                assert!(!suite::says(words, task.words), "{}: the question is no answer", task.name);
                continue;
            }
            let Check::Program(text) = task.check else { continue };
            let runner = task.language.runner().unwrap();
            if proc::which(OsStr::new(runner), env.var("PATH"), Path::new("/")).is_none() {
                continue;
            }
            lay_out(&place, &task.files).unwrap();
            assert!(
                !is_right(&task, text, &place, &env, "", &mut Deaf, &stop).unwrap(),
                "{}: nothing to do",
                task.name
            );
            let solved: Vec<(&str, &str)> = task.files.iter().chain(&parts[1..]).copied().collect();
            lay_out(&place, &solved).unwrap();
            assert!(is_right(&task, text, &place, &env, "", &mut Deaf, &stop).unwrap(), "{}: red", task.name);
            n_run += 1;
        }
        fs_err::remove_dir_all(&place).unwrap();
        assert!(n_run >= 10, "shell and Python at least are everywhere: {n_run}");
    }

    #[test]
    fn files_that_change_are_asked_for_in_both_forms() {
        let count = |wanted: Wanted<'_>| {
            let program = program(&here(), &wanted);
            let of = |form| program.trials.iter().filter(|(_, asked)| *asked == form).count();
            assert!(program.trials.iter().all(|(task, form)| task.shape.edits() || *form != Some(Form::Edits)));
            (of(Some(Form::Whole)), of(Some(Form::Edits)), of(None))
        };
        let (whole, edits, none) = count(WANTED);
        assert!(edits > 0 && whole > edits && none == 4, "{whole} {edits} {none}");
        assert_eq!(count(Wanted { format: Some(Form::Edits), ..WANTED }), (whole - edits, edits, none));
        assert_eq!(count(Wanted { format: Some(Form::Whole), ..WANTED }), (whole, 0, none));
        assert_eq!(count(Wanted { provider: Some(Provider::Claude), ..WANTED }), (0, 0, whole + none));
        let (whole, edits, none) = count(Wanted { is_quick: true, ..WANTED });
        assert_eq!((whole + none, edits), (5, 0));
    }

    #[test]
    fn without_its_runner_a_task_is_skipped_and_said() {
        let env = Env { vars: std::collections::BTreeMap::default(), cwd: None, now: Utc(0) };
        let program = program(&env, &Wanted { is_quick: true, ..WANTED });
        let names: Vec<&str> = program.trials.iter().map(|(task, _)| task.name).collect();
        assert_eq!(names, ["py-explain"], "an answer needs no runner");
        let skipped = [("py-slug", "python3"), ("py-wrap", "python3"), ("sh-rename", "sh"), ("py-tests", "python3")];
        assert_eq!(program.skipped, skipped);
    }
}
