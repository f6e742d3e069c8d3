//! What a worker does for one call, from start to end: a run, a look at the house, or an old result.

use crate::engine::doctor::Server;
use crate::engine::look::{self, Look};
use crate::engine::place::Client;
use crate::engine::run::{self as engine, House, Job, Run};
use crate::face::mcp::progress::{Phase, Reporter};
use crate::face::mcp::report::{self, Report};
use crate::face::mcp::wish::Wish;
use crate::face::print;
use crate::rules::run_id::is_run_id;
use crate::sys::config_files;
use crate::sys::git;
use crate::sys::results::{Part, Results};
use crate::sys::state::{Patience, State};
use crate::words::env::Env;
use crate::words::error::{Error, Kind};
use crate::words::stop::Stop;
use crate::words::task::{Provider, Source};
use crate::words::time::Utc;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What surrounds every call of this server.
pub struct Seat {
    pub env: Env,
    pub config_file: Option<PathBuf>,
    pub clock: fn() -> Utc,
}

impl Seat {
    /// Returns how many runs this server may have at a time. Where the configuration cannot be read, each run says so.
    pub fn most_runs(&self) -> usize {
        let settings = State::locate(&self.env)
            .and_then(|state| config_files::load(&self.env, self.config_file.as_deref(), None, state.dir()));
        settings.map_or(1, |settings| settings.config.mcp.parallel as usize)
    }
}

/// What is to be done.
pub enum Work {
    Run {
        wish: Box<Wish>,
        run_id: String,
    },
    /// The result of a run of the past.
    Result(String),
    Doctor,
    Health,
}

/// A piece of work with all that it needs.
pub struct Order {
    pub work: Work,
    /// As the client declared them; empty when it did not.
    pub roots: Vec<PathBuf>,
    /// The provider that the client is.
    pub caller: Option<Provider>,
    pub stop: Stop,
    pub phase: Phase,
}

/// Does it. Whatever goes wrong is part of the report.
pub fn perform(seat: &Seat, order: &Order) -> Report {
    report(seat, order).unwrap_or_else(|error| Report::error(&error))
}

fn report(seat: &Seat, order: &Order) -> Result<Report, Error> {
    let base = base(&seat.env, &order.roots);
    let env = Env { now: (seat.clock)(), cwd: base.clone(), ..seat.env.clone() };
    let state = State::locate(&env)?;
    let house = House { env: &env, state: &state, config_file: seat.config_file.as_deref() };
    let project = base.map(|base| git::root(&base).unwrap_or(base));
    match &order.work {
        Work::Run { wish, run_id } => run(&house, wish, run_id, order),
        Work::Result(id) => stored(&house, project.as_deref(), id),
        Work::Doctor => {
            let found = look::examine(&house, project.as_deref(), None, &order.stop)?;
            let check = |check: &crate::engine::doctor::Check| {
                json!({
                    "name": check.name,
                    "state": check.state,
                    "text": check.text,
                    "fix": check.fix.as_deref().unwrap_or_default(),
                })
            };
            let checks: Vec<Value> = found.checks.iter().map(check).collect();
            Ok(Report::of(&json!({"usable": found.usable, "checks": checks})))
        }
        Work::Health => health(&house, project.as_deref(), &order.stop),
    }
}

/// Where the client's project is: its first root, what Claude Code says, or where the server was started.
fn base(env: &Env, roots: &[PathBuf]) -> Option<PathBuf> {
    let told = || env.absolute("CLAUDE_PROJECT_DIR").map(Path::to_path_buf);
    roots.first().cloned().or_else(told).or_else(|| env.cwd.clone())
}

fn run(house: &House<'_>, wish: &Wish, run_id: &str, order: &Order) -> Result<Report, Error> {
    // A server that a desktop program has started in `/`, or in the home directory, was not started in a project.
    let is_project = |dir: &&PathBuf| dir.parent().is_some() && house.env.home() != Some(dir.as_path());
    let fallback: Vec<PathBuf> = house.env.cwd.iter().filter(is_project).cloned().collect();
    let client = match order.roots.as_slice() {
        [] => Client { roots: &fallback, is_declared: false },
        roots => Client { roots, is_declared: true },
    };
    let home = |path: &Path| Some(house.env.home()?.join(path.strip_prefix("~").ok()?));
    let workdir = wish.workdir.as_ref().map(|dir| home(dir).unwrap_or_else(|| dir.clone()));
    let job = Job {
        task: &wish.task,
        kind: wish.kind,
        workdir: workdir.as_deref(),
        asked: wish.route,
        local_only: wish.local_only,
        prefer_local: wish.prefer_local,
        verify_with: wish.verify_with,
        caller: order.caller,
        verify: &wish.verify,
        no_verify: false,
        files: &wish.files,
        dry_run: false,
        preview: wish.preview,
        patience: Patience::Wait,
        source: Source::Mcp,
        run_id: Some(run_id),
        client: Some(client),
    };
    let mut watcher = Reporter::new(order.phase.clone());
    let mut outcome = match engine::run(house, &job, &mut watcher, &order.stop)? {
        Run::Ended(outcome) => tree(&print::outcome_json(&outcome)),
        // Neither was asked for.
        Run::Planned(plan) => tree(&print::plan_json(&plan)),
        Run::Busy { holder } => return Ok(Report::failed(&format!("run {holder} holds the work directory"))),
    };
    if let Some(Value::Array(notes)) = outcome.get_mut("notes") {
        notes.splice(0..0, watcher.notes.drain(..).map(Value::String));
    }
    let results = Results::at(house.state.runs());
    let full = results.run(run_id)?.join(Part::Output.file_name());
    // A result that cannot be kept is still given; only its second reader goes without.
    let _ = results.save(run_id, Part::Result, outcome.to_string().as_bytes());
    let report = Report::ended(&outcome, &full);
    if report::is_cut(&outcome) {
        let _ = results.save(run_id, Part::Output, report::in_full(&outcome).as_bytes());
    }
    Ok(report)
}

/// JSON of mux's own making, as values.
fn tree(json: &str) -> Value {
    serde_json::from_slice(json.as_bytes()).unwrap_or_default()
}

fn health(house: &House<'_>, project: Option<&Path>, stop: &Stop) -> Result<Report, Error> {
    let Look { settings, .. } = look::look(house, project)?;
    let (up, base_url, model, window, why, elsewhere) = match look::server(house, &settings, true, stop) {
        Server::Up { base_url, model, window } => (true, base_url, model, window, String::new(), Vec::new()),
        Server::NoModel { base_url, why, models } => (false, base_url, String::new(), None, why, models),
        Server::Down { base_url, why, elsewhere, .. } => (false, base_url, String::new(), None, why, elsewhere),
    };
    Ok(Report::of(&json!({
        "up": up,
        "base_url": base_url,
        "model": model,
        "context_tokens": window.unwrap_or(0),
        "why": why,
        "found_elsewhere": elsewhere,
        "version": env!("CARGO_PKG_VERSION"),
    })))
}

/// The result of a run that is over: as it was kept for a client, else what the ledger says of it. `id` may be the
/// beginning of one.
fn stored(house: &House<'_>, project: Option<&Path>, id: &str) -> Result<Report, Error> {
    let results = Results::at(house.state.runs());
    if let Some(report) = kept(&results, id)? {
        return Ok(report);
    }
    let line = look::find(&look::look(house, project)?.ledger, id).map_err(|error| {
        let is_begun = is_run_id(id) && results.run(id).is_ok_and(|dir| dir.exists());
        if is_begun {
            error.hint("it was begun: another mux does it, or was killed; `mux log` will tell")
        } else {
            error
        }
    })?;
    let broken = || {
        let error = Error::new(Kind::Io, format!("the record of run {id} cannot be read"));
        error.hint("`mux log --json` shows what was recorded")
    };
    let record: Value = serde_json::from_slice(line.as_bytes()).map_err(|_| broken())?;
    let of = |name: &str| record.get(name).cloned().unwrap_or_default();
    let verdict = match record.get("verify_ok").and_then(Value::as_bool) {
        Some(true) => "passed",
        Some(false) => "failed",
        None => "skipped",
    };
    let run_id = of("run_id").as_str().unwrap_or(id).to_string();
    if run_id != id
        && let Some(report) = kept(&results, &run_id)?
    {
        return Ok(report);
    }
    let mut output = "Only the record of this run was kept, not its text.".to_string();
    if of("files").as_array().is_some_and(|files| !files.is_empty()) {
        let _ = write!(output, " `mux diff {run_id}` shows what it changed.");
    }
    let outcome = json!({
        "run_id": run_id, "kind": of("kind"), "route": of("route"), "model": of("model"), "reason": of("reason"),
        "refused": of("refused"), "workdir": of("workdir"),
        "verify": {"verdict": verdict, "summary": of("verify_summary")},
        "files": {"list": of("files")}, "cloud": of("cloud"),
        "exit": u8::from(of("route") == "none"),
        "output": output,
    });
    Ok(Report::ended(&outcome, &results.run(&run_id)?.join(Part::Diff.file_name())))
}

/// The result of a run as it was kept for a client.
fn kept(results: &Results, run_id: &str) -> Result<Option<Report>, Error> {
    if !is_run_id(run_id) {
        return Ok(None);
    }
    let kept = results.read(run_id, Part::Result)?;
    let Some(outcome) = kept.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()) else { return Ok(None) };
    Ok(Some(Report::ended(&outcome, &results.run(run_id)?.join(Part::Output.file_name()))))
}
