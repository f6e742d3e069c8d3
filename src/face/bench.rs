//! `mux bench`: asks before anything is spent, runs the suite, prints the card. Decides no route.

use crate::engine::bench::{self, Bench, Program, Wanted};
use crate::engine::doctor::Server;
use crate::engine::run::House;
use crate::engine::{installed, look, prepare};
use crate::face::args::BenchArgs;
use crate::face::status::emit;
use crate::rules::config::Config;
use crate::rules::escape::{in_json, one_line};
use crate::rules::measure::{self, Estimate};
use crate::rules::scorecard::{self, Rate, Row};
use crate::rules::suite::Shape;
use crate::words::count::Count;
use crate::words::error::{Context, Error, Kind};
use crate::words::event::{Event, Watcher};
use crate::words::stop::{Stop, StopReason};
use crate::words::task::{Form, Provider};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// The deadline of a task where `--deadline` says nothing, in seconds: 1000 tokens at 3 tokens a second.
const LIMIT_SEC: u64 = 300;

/// What the card says besides the rows.
struct About<'a> {
    wanted: &'a Wanted<'a>,
    /// The day, UTC.
    date: String,
    server: Option<String>,
    model: String,
    took: Duration,
    program: &'a Program,
}

/// Runs the suite and prints. Returns the exit code: 0 when it was run, whatever was passed; 1 when it could not be.
///
/// # Errors
/// `Usage` where something would be spent and nobody agreed; those of the engine; output that cannot be written.
pub fn run(
    house: &House<'_>,
    project: Option<&Path>,
    args: &BenchArgs,
    watcher: &mut dyn Watcher,
    out: &mut dyn Write,
    stop: &Stop,
) -> Result<u8, Error> {
    let settings = look::look(house, project)?.settings;
    let wanted = Wanted {
        is_quick: args.quick,
        format: args.format,
        provider: args.provider,
        limit: Duration::from_secs(args.deadline_sec.unwrap_or(LIMIT_SEC)),
        key: &settings.config.providers.local.api_key_env,
    };
    let program = bench::program(house.env, &wanted);
    let server = match args.provider {
        Some(provider) => {
            prepare::is_declared(&settings.config.providers.sota_cli.tools, provider)?;
            if !agreed(provider, &program, args.yes, house, &settings.config, watcher, stop)? {
                return Ok(1);
            }
            None
        }
        None => Some(look::server(house, &settings, false, stop)),
    };
    let begun = Instant::now();
    let bench = bench::bench(house, &program.trials, &wanted, watcher, stop)?;
    let (base_url, model) = match server {
        Some(Server::Up { base_url, model, .. }) => (Some(base_url), model),
        Some(Server::NoModel { base_url, .. } | Server::Down { base_url, .. }) => (Some(base_url), String::new()),
        None => (None, String::new()),
    };
    let about = About {
        wanted: &wanted,
        date: house.env.now.to_string().chars().take(10).collect(),
        server: base_url,
        model: bench.model.clone().unwrap_or(model),
        took: begun.elapsed(),
        program: &program,
    };
    if let Some(why) = &bench.cut {
        let (left, all) = (program.trials.len() - bench.rows.len(), program.trials.len());
        watcher.event(&Event::Note(&format!("the suite ended early: {why}; {left} of {all} tasks were not run")));
    }
    if !bench.rows.is_empty() {
        let page =
            if args.json { format!("{}\n", in_json(&value(&about, &bench).to_string())) } else { card(&about, &bench) };
        emit(out, &page).context(Kind::Io, || "cannot write the card".to_string())?;
    }
    Ok(match stop.reason() {
        Some(StopReason::Signal(signal)) => 128 + signal,
        Some(StopReason::Canceled | StopReason::Deadline) => 1,
        None => u8::from(bench.cut.is_some()),
    })
}

/// Says what will be spent, and asks where somebody can be asked.
fn agreed(
    provider: Provider,
    program: &Program,
    yes: bool,
    house: &House<'_>,
    config: &Config,
    watcher: &mut dyn Watcher,
    stop: &Stop,
) -> Result<bool, Error> {
    let (name, n_calls, each) = (provider.name(), program.trials.len(), config.budget.unknown_call_usd);
    let left = installed::known(house, config).left.map_or(0, |left| left.calls);
    let what = format!(
        "{} to {name}, of {} left today; one whose price is unknown counts {each:.2} USD, \
         all together {:.2} USD",
        Count::of(n_calls, "call"),
        Count::of(left, "cloud call"),
        n_calls as f64 * each
    );
    if yes {
        watcher.event(&Event::Note(&what));
        return Ok(true);
    }
    if !watcher.can_ask() {
        let error = Error::new(Kind::Usage, format!("this would make {what}, and nobody is there to be asked"));
        return Err(error.hint("add `--yes` to agree"));
    }
    watcher.event(&Event::Note(&what));
    Ok(watcher.agrees("call now?", stop.deadline()))
}

/// The page for people, made to be pasted.
fn card(about: &About<'_>, bench: &Bench) -> String {
    let rows = &bench.rows;
    let at = match (&about.server, about.wanted.provider) {
        (Some(url), _) => format!(" at {}", one_line(url)),
        (None, Some(provider)) => format!(" by {}", provider.name()),
        (None, None) => String::new(),
    };
    let version = env!("CARGO_PKG_VERSION");
    let mut page = format!("mux bench {version}, {}: {}{at}\n\n", about.date, one_line(&about.model));
    table(&mut page, about.wanted.provider, rows);
    page.push('\n');
    let mut line = |name: &str, text: &str| {
        let _ = writeln!(page, "{name:<11} {text}");
    };
    let all = Rate::of(rows.iter());
    let share = all.share().unwrap_or_default() * 100.0;
    let left_out = about.program.trials.len() - rows.len();
    let left_out = if left_out == 0 { String::new() } else { format!("; {left_out} were not run") };
    line("passed", &format!("{} of {} ({share:.0} %){left_out}", all.passed, all.done));
    if let Some(speed) = scorecard::speed(rows) {
        line("speed", &format!("{speed:.1} tokens/s"));
    }
    let seconds = about.took.as_secs();
    line("time", &format!("{} min {} s", seconds / 60, seconds % 60));
    if bench.cloud.calls > 0 {
        line("cloud", &format!("{}, {:.2} USD known", Count::of(bench.cloud.calls, "call"), bench.cloud.usd));
    }
    let judged = scorecard::judged(rows);
    match measure::auroc(&judged) {
        Some(Estimate { value, low, high }) => {
            let n_judged = judged.len();
            line(
                "confidence",
                &format!("AUROC {value:.2} ({low:.2}-{high:.2}) of {n_judged} scored results (random: 0.50)"),
            );
        }
        None => line("confidence", "nothing to tell apart: no scores, or all right, or all wrong"),
    }
    match scorecard::threshold(&judged) {
        Some((threshold, kept)) => {
            line(
                "threshold",
                &format!("{threshold:.3} suggested: nine in ten of the {kept} results from there on are right"),
            );
        }
        None if judged.len() < scorecard::FEWEST => line("threshold", "none suggested of so few scored results"),
        None => line("threshold", "none suggested: none keeps nine right results in ten"),
    }
    for runner in ["python3", "sh", "node", "rustc"] {
        let n_skipped = about.program.skipped.iter().filter(|(_, missing)| *missing == runner).count();
        if n_skipped > 0 {
            line("skipped", &format!("{} without `{runner}`", Count::of(n_skipped, "task")));
        }
    }
    let failed = rows.iter().filter(|row| !row.passed);
    let failed: Vec<String> =
        failed.map(|row| format!("{}: {}", row.label(), row.why.as_deref().unwrap_or(""))).collect();
    for (at, row) in failed.iter().enumerate() {
        line(if at == 0 { "failed" } else { "" }, &one_line(row));
    }
    page
}

/// Passed and done, for each shape and form.
fn table(page: &mut String, provider: Option<Provider>, rows: &[Row]) {
    let forms = [Some(Form::Whole), Some(Form::Edits), None];
    let forms: Vec<Option<Form>> =
        forms.into_iter().filter(|form| rows.iter().any(|row| row.format == *form)).collect();
    let _ = write!(page, "{:<11}", "shape");
    for form in &forms {
        let without = provider.as_ref().map_or("answer", Provider::name);
        let _ = write!(page, " {:>7}", form.as_ref().map_or(without, |form| form.name()));
    }
    page.push('\n');
    for shape in Shape::ALL {
        let of = |form: &Option<Form>| Rate::of(rows.iter().filter(|row| row.shape == shape && row.format == *form));
        if forms.iter().all(|form| of(form).done == 0) {
            continue;
        }
        let _ = write!(page, "{:<11}", shape.name());
        for rate in forms.iter().map(of) {
            let cell = if rate.done == 0 { "-".to_string() } else { format!("{}/{}", rate.passed, rate.done) };
            let _ = write!(page, " {cell:>7}");
        }
        page.push('\n');
    }
}

fn value(about: &About<'_>, bench: &Bench) -> Value {
    let tasks = bench.rows.iter().map(|row| {
        json!({
            "name": row.name,
            "shape": row.shape.name(),
            "language": row.language.name(),
            "format": row.format.map(Form::name),
            "passed": row.passed,
            "seconds": tenths(row.seconds),
            "confidence": row.confidence,
            "tokens_per_sec": row.tokens_per_sec.map(tenths),
            "why": row.why,
        })
    });
    let judged = scorecard::judged(&bench.rows);
    json!({
        "model": about.model,
        "server": about.server,
        "provider": about.wanted.provider.as_ref().map(Provider::name),
        "tasks": tasks.collect::<Vec<_>>(),
        "skipped": about.program.skipped.iter().map(|(name, needs)| json!({"name": name, "needs": needs})).collect::<Vec<_>>(),
        "pass_rate": Rate::of(bench.rows.iter()).share(),
        "auroc": measure::auroc(&judged).map(|area| area.value),
        "suggested_threshold": scorecard::threshold(&judged).map(|(threshold, _)| threshold),
        "tokens_per_sec": scorecard::speed(&bench.rows),
        "seconds": tenths(about.took.as_secs_f64()),
        "usd": bench.cloud.usd,
        "ended_early": bench.cut,
        "not_run": about.program.trials.len() - bench.rows.len(),
    })
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
