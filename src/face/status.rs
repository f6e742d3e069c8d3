//! `mux status`: is the model there, what did the last runs do, how is the ledger. Reads only: no child process, no
//! file made or changed; the one look at the model server is the caller's, and comes as a [`Health`].

mod document;

use crate::engine::connect;
use crate::engine::doctor::Server;
use crate::engine::installed::{self, Cloud, left_words};
use crate::engine::look::{self, Look};
use crate::engine::run::House;
use crate::face::screen::{Colour, Screen};
use crate::rules::escape::one_line;
use crate::rules::forecast::Pace;
use crate::rules::glance::{self, DAYS, Days};
use crate::rules::ledger_line::field;
use crate::rules::metrics::{self, Metrics, Rate};
use crate::rules::sorted::sorted;
use crate::rules::stats::{Failed, Summary, percentile};
use crate::sys::ledger::{Ledger, Size, Tally};
use crate::sys::state::cooldown::CoolDown;
use crate::sys::state::paces::Paces;
use crate::words::count::Count;
use crate::words::error::{Context, Error, Kind};
use crate::words::stop::Stop;
use crate::words::time::Utc;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Runs that the bars of the last days count where the records are not numbered as mux does it.
const MOST_COUNTED: usize = 1000;
/// Columns of a bar, at most.
const WIDEST: usize = 40;

/// What a look at the model server gave.
#[derive(Clone, Debug)]
pub struct Health<'a> {
    pub base_url: &'a str,
    pub seen: Seen<'a>,
}

/// Whether it is there.
#[derive(Clone, Debug)]
pub enum Seen<'a> {
    Up {
        model: &'a str,
        /// In tokens, where the server says it.
        window: Option<u64>,
    },
    Down {
        why: &'a str,
        /// Servers on other ports, each as one text: address and model.
        found_elsewhere: &'a [String],
    },
}

/// The ledger as `status` shows it.
#[derive(Clone, Debug)]
pub struct LedgerState {
    pub path: PathBuf,
    pub size: Size,
    /// Why it cannot be read, otherwise what reading the window came across.
    pub tally: Result<Tally, String>,
}

/// All that `status` shows.
#[derive(Clone, Debug)]
pub struct Status<'a> {
    pub health: Health<'a>,
    pub summary: &'a Summary,
    pub metrics: &'a Metrics,
    /// What is known of the model that answers.
    pub pace: &'a Pace,
    pub ledger: &'a LedgerState,
    /// `ledger.summary_window`, in records.
    pub window: usize,
    /// `workflow.target_local_implementation_ratio`.
    pub target: f64,
    /// Runs whose journal was left open by a kill.
    pub unfinished: usize,
    /// As far as it is known without asking: `mux doctor` asks.
    pub providers: &'a Cloud,
    /// That hooks leave the model server alone.
    pub silent: Option<&'a CoolDown>,
    /// Of the last days, also beyond the window.
    pub days: &'a Days,
    pub screen: Screen,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The page for people.
    Page,
    Json,
    /// One line; the exit code says whether the server is up.
    Check,
}

/// Looks and prints. Returns the exit code.
///
/// # Errors
/// A configuration or a state directory that cannot be read; output that cannot be written.
pub fn run(
    house: &House<'_>,
    project: Option<&Path>,
    form: Form,
    screen: Screen,
    out: &mut dyn Write,
    stop: &Stop,
) -> Result<u8, Error> {
    let Look { settings, ledger, unfinished, .. } = look::look(house, project)?;
    let server = look::server(house, &settings, form != Form::Check, stop);
    // A server that was not waited for would be told as down.
    if let Some(code) = stop.signal_code() {
        return Ok(code);
    }
    let health = match &server {
        Server::Up { base_url, model, window } => Health { base_url, seen: Seen::Up { model, window: *window } },
        Server::NoModel { base_url, why, models } => {
            Health { base_url, seen: Seen::Down { why, found_elsewhere: models } }
        }
        Server::Down { base_url, why, elsewhere, .. } => {
            Health { base_url, seen: Seen::Down { why, found_elsewhere: elsewhere } }
        }
    };
    let written = |result: io::Result<()>| result.context(Kind::Io, || "cannot write the status".to_string());
    if form == Form::Check {
        let mut is_up = false;
        written(check(out, &health).map(|up| is_up = up))?;
        return Ok(u8::from(!is_up));
    }
    let config = &settings.config;
    let window = config.ledger.summary_window as usize;
    let days = days(&ledger, house.env.now);
    let (summary, metrics, ledger) = read(&ledger, window, config.ledger.recent_failures_limit as usize);
    let pace = match &server {
        // A server with one model answers by its own name, whatever name it is asked by.
        Server::Up { base_url, model, .. } => {
            let paces = Paces::below(house.state.dir());
            let asked = paces.known(base_url, &config.providers.local.model);
            if asked.n_calls() == 0 { paces.known(base_url, model) } else { asked }
        }
        Server::NoModel { .. } | Server::Down { .. } => Pace::default(),
    };
    let silent = connect::Silent::of(house, config).known();
    let status = Status {
        health,
        summary: &summary,
        metrics: &metrics,
        pace: &pace,
        ledger: &ledger,
        window,
        target: config.workflow.target_local_implementation_ratio,
        unfinished: unfinished.len(),
        providers: &installed::known(house, config),
        silent: silent.as_ref(),
        days: &days,
        screen,
    };
    written(if form == Form::Json { document::json(out, &status) } else { text(out, &status) })?;
    Ok(0)
}

/// Reads the window of the ledger. A ledger that cannot be read is part of the answer, not its end.
pub fn read(ledger: &Ledger, window: usize, max_recent_failures: usize) -> (Summary, Metrics, LedgerState) {
    let (mut summary, mut counts) = (Summary::default(), metrics::Counts::default());
    let tally = ledger.recent(window, &mut |row| {
        summary.add(row, max_recent_failures);
        counts.add_line(row.line);
        true
    });
    let tally = tally.map_err(|error| error.to_string());
    (summary, counts.metrics(), LedgerState { path: ledger.path().to_path_buf(), size: ledger.size(), tally })
}

/// Counts the runs of the last days: by their numbers, however many there are, or line by line, [`MOST_COUNTED`] at the
/// most. A ledger that cannot be read has none.
fn days(ledger: &Ledger, now: Utc) -> Days {
    ledger.days(now).unwrap_or_else(|| {
        let (mut days, mut left) = (Days::default(), MOST_COUNTED);
        let tally = ledger.all(&mut |line| {
            // A text in the record cannot hold this: its quotes are escaped.
            let time = field(line, "\"timestamp\":\"")?.split('"').next()?;
            left -= 1;
            let is_young = Utc::parse(time).is_none_or(|time| days.add(Days::place(now.0, time.0), 1));
            days.is_cut = is_young && left == 0;
            Some(is_young && left > 0)
        });
        days.is_cut |= tally.is_ok_and(|tally| tally.is_cut);
        days
    })
}

/// Writes one line: `UP` or `DOWN`, and where. Returns whether the server is up.
///
/// # Errors
/// Those of `out`.
pub fn check(out: &mut dyn Write, health: &Health) -> io::Result<bool> {
    let (is_up, text) = model(health);
    emit(out, &format!("{text}\n"))?;
    Ok(is_up)
}

/// Writes the page for people, a `name: value` on each line.
///
/// # Errors
/// Those of `out`.
pub fn text(out: &mut dyn Write, status: &Status) -> io::Result<()> {
    let summary = status.summary;
    let (is_up, model) = model(&status.health);
    let (word, rest) = model.split_once(' ').unwrap_or((&model, ""));
    let word = status.screen.paint(if is_up { Colour::Green } else { Colour::Red }, word);
    let mut page = format!("model: {word} {rest}\n");
    if let Seen::Down { found_elsewhere, .. } = status.health.seen {
        for server in found_elsewhere {
            line(&mut page, "found elsewhere", &one_line(server));
        }
    }
    if let Some(cool) = status.silent {
        let (since, until) = (cool.since, cool.until);
        let text = format!(
            "left alone by hooks until {until}, or until it answers a run or `mux doctor`: it was silent at {since}"
        );
        line(&mut page, "server", &text);
    }
    let kinds = if summary.runs == 0 { String::new() } else { format!(" ({})", counts(&summary.kinds)) };
    line(&mut page, "runs", &format!("{} in a window of {}{kinds}", summary.runs, status.window));
    line(&mut page, "routes", &counts(&summary.routes));
    if summary.runs > 0 {
        line(&mut page, "shares", &bar(&summary.routes, status.screen));
    }
    let runs: u64 = status.days.runs.iter().sum();
    if runs > 0 {
        let cut = if status.days.is_cut { ", older ones not counted" } else { "" };
        // They are counted by the numbers of the records, which hooks have too.
        let hooks = if summary.hooks.is_empty() { "" } else { ", hooks among them" };
        line(
            &mut page,
            &format!("last {DAYS} days"),
            &format!("{} {}{hooks}{cut}", status.days.spark(), Count::of(runs, "run")),
        );
    }
    line(&mut page, "failures", &counts(&summary.failures));
    if !summary.refused.is_empty() {
        line(&mut page, "refused", &counts(&summary.refused));
    }
    let target = percent(status.target);
    let share = match summary.share.ratio() {
        Some(ratio) => {
            let share = summary.share;
            format!(
                "{} ({} of {}, target {target})",
                percent(ratio),
                share.verified,
                Count::of(share.changes, "change")
            )
        }
        None => format!("no change yet (target {target})"),
    };
    line(&mut page, "verified locally", &share);
    measured(&mut page, status.metrics, status.pace);
    let cloud = summary.cloud;
    let calls = Count::of(cloud.calls, "call");
    let least = if cloud.at_least { "≥ " } else { "" };
    line(&mut page, "cloud", &format!("{calls}, {least}{}, {:.2} USD", bytes(cloud.bytes), cloud.usd));
    for (hook, times) in &summary.hooks {
        let latency = Latency::of(times);
        let (p50, p95) = (seconds(latency.p50_ms), seconds(latency.p95_ms));
        let runs = Count::of(latency.runs, "run");
        line(&mut page, "hook", &one_line(&format!("{hook} {runs}, p50 {p50} s, p95 {p95} s")));
    }
    for tool in &status.providers.tools {
        line(&mut page, "provider", &one_line(&tool.words()));
    }
    let left = match &status.providers.left {
        Ok(left) => left_words(left),
        Err(why) => why.lines().next().unwrap_or_default().to_string(),
    };
    line(&mut page, "budget", &one_line(&left));
    for Failed { run_id, timestamp, reason } in &summary.recent_failures {
        line(&mut page, "failed", &one_line(&format!("{run_id} {timestamp} {reason}")));
    }
    line(&mut page, "ledger", &ledger(status.ledger));
    if status.unfinished > 0 {
        line(
            &mut page,
            "unfinished",
            &format!("{} (the next `mux run` takes back what was cut off, or records it)", status.unfinished),
        );
    }
    emit(out, &page)
}

/// What is measured of the routing, as far as there is something to measure.
fn measured(page: &mut String, metrics: &Metrics, known: &Pace) {
    if let Some(share) = metrics.cloud_share {
        line(page, "cloud share", &format!("{} of {}", percent(share.share), Count::of(share.of, "run")));
    }
    let taken_back = metrics.known_false_accepts;
    if let Some(wrong) = metrics.false_accepts {
        let text = format!("{taken_back} known; {} of {} reviewed were wrong", interval(&wrong), wrong.of);
        line(page, "false accepts", &text);
    } else if taken_back > 0 {
        line(page, "false accepts", &format!("{taken_back} known"));
    }
    if let Some(tries) = &metrics.tries_until_green {
        let text =
            format!("{:.1} on average, median {} ({})", tries.mean, tries.median, Count::of(tries.runs, "change"));
        line(page, "tries until green", &text);
    }
    if metrics.wasted_runs > 0 {
        let runs = Count::of(metrics.wasted_runs, "run");
        let text = format!("{:.1} s of local tries in {runs} that then left", metrics.wasted_seconds);
        line(page, "wasted", &text);
    }
    if metrics.stopped_tries > 0 {
        let (replies, saved) = (Count::of(metrics.stopped_tries, "hopeless reply"), metrics.saved_seconds);
        line(page, "stopped", &format!("{replies}, {saved:.1} s of the predicted times saved"));
    }
    if let Some(rate) = known.tokens_per_sec() {
        line(page, "pace", &format!("{rate:.1} tokens/s, of {}", Count::of(known.n_calls(), "call")));
    }
    if let Some(error) = &metrics.prediction_error {
        let text = format!("off by {} (median of {})", percent(error.median), Count::of(error.tries, "try"));
        line(page, "predicted times", &text);
    }
}

/// Returns `4.2 % (95 %: 1.6 to 10.2 %)`.
pub fn interval(rate: &Rate) -> String {
    format!("{} (95 %: {:.1} to {})", percent(rate.share), rate.low * 100.0, percent(rate.high))
}

/// Writes a whole text and flushes it.
///
/// # Errors
/// Those of `out`.
pub fn emit(out: &mut dyn Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

/// How long a git hook takes: half of its runs took no longer than `p50_ms`, 95 % no longer than `p95_ms`.
#[derive(Serialize)]
struct Latency {
    runs: usize,
    p50_ms: u64,
    p95_ms: u64,
}

impl Latency {
    fn of(times: &[u64]) -> Latency {
        let at = |share| percentile(times, share).unwrap_or(0);
        Latency { runs: times.len(), p50_ms: at(0.5), p95_ms: at(0.95) }
    }
}

/// Milliseconds as seconds, two digits behind the point.
fn seconds(ms: u64) -> String {
    format!("{:.2}", ms as f64 / 1000.0)
}

/// Returns whether the model is up, and one line that says so.
fn model(health: &Health) -> (bool, String) {
    let url = health.base_url;
    let (is_up, text) = match health.seen {
        Seen::Up { model, window: Some(window) } => (true, format!("UP {model} at {url}, window {window} tokens")),
        Seen::Up { model, window: None } => (true, format!("UP {model} at {url}")),
        Seen::Down { why, .. } => (false, format!("DOWN {url}: {why}")),
    };
    (is_up, one_line(&text).into_owned())
}

fn ledger(state: &LedgerState) -> String {
    let path = state.path.to_string_lossy();
    let mut text = format!("{} ({}, {} rotated", one_line(&path), bytes(state.size.bytes), state.size.rotated_files);
    match &state.tally {
        Ok(tally) => {
            let _ = write!(text, ", {}", Count::of(tally.bad, "bad line"));
            if state.size.torn_bytes > 0 {
                let _ = write!(text, ", {} of torn ends moved aside", bytes(state.size.torn_bytes));
            }
            if tally.is_cut {
                text.push_str(", older records not read");
            }
        }
        Err(error) => {
            let _ = write!(text, ", {}", one_line(error.lines().next().unwrap_or("cannot be read")));
        }
    }
    text + ")"
}

/// Returns the routes as one bar, the largest first as in the line above it. Each has a sign of its own, for who sees no
/// colours.
fn bar(routes: &BTreeMap<String, u64>, screen: Screen) -> String {
    let columns = screen.columns.map_or(WIDEST, |columns| columns.saturating_sub("shares: ".len() + 1).min(WIDEST));
    let signs = "█▓▒░".chars().chain(std::iter::repeat('·'));
    let part = |((name, columns), sign): ((&str, usize), char)| {
        let colour = match name {
            "local" => Colour::Green,
            "none" => Colour::Red,
            _ => Colour::Yellow,
        };
        screen.paint(colour, &sign.to_string().repeat(columns))
    };
    glance::shares(routes, columns).into_iter().zip(signs).map(part).collect()
}

/// Returns `local 180, claude 15`: the largest first.
fn counts(counts: &BTreeMap<String, u64>) -> String {
    let pairs = sorted(counts.iter().map(|(name, count)| (Reverse(count), name)).collect());
    let mut text = String::new();
    for (Reverse(count), name) in pairs {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{comma}{} {count}", one_line(name));
    }
    if text.is_empty() { "none".to_string() } else { text }
}

fn line(page: &mut String, name: &str, value: &str) {
    let _ = writeln!(page, "{name}: {value}");
}

fn percent(ratio: f64) -> String {
    format!("{:.1} %", ratio * 100.0)
}

/// Returns a size for people, in powers of 1000.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::installed::Installed;
    use crate::rules::forecast::Call;
    use crate::rules::stats::{Row, Share};
    use crate::sys::ledger::Limits;
    use crate::sys::state::budget::Left;
    use crate::sys::state::tools::Login;
    use std::sync::LazyLock;

    const UP: Health = Health {
        base_url: "http://127.0.0.1:18473/v1",
        seen: Seen::Up { model: "qwen2.5-coder-1.5b", window: Some(32_768) },
    };

    fn summary(lines: &[(&str, &str, &str, &str)]) -> Summary {
        let mut summary = Summary::default();
        for (n, (kind, route, reason, rest)) in lines.iter().enumerate() {
            let line = format!(
                "{{\"run_id\":\"RUN{n}\",\"timestamp\":\"2026-11-23T02:54:0{n}.000Z\",\"kind\":\"{kind}\",\
                 \"route\":\"{route}\",\"reason\":\"{reason}\",{rest}}}"
            );
            summary.add(&Row::parse(&line).unwrap(), 5);
        }
        summary
    }

    fn some() -> Summary {
        summary(&[
            ("change", "local", "verified", "\"verify_ok\":true"),
            ("change", "none", "verify_failed", "\"verify_ok\":false,\"refused\":\"no_provider\""),
            ("answer", "local", "confident", "\"verify_ok\":null"),
            (
                "answer",
                "claude",
                "complexity:migration",
                "\"cloud\":{\"calls\":1,\"bytes\":12345,\"usd\":0.25,\"at_least\":true}",
            ),
            ("change", "local", "verified", "\"verify_ok\":true"),
        ])
    }

    fn state() -> LedgerState {
        LedgerState {
            path: "/s/mux/run_ledger.jsonl".into(),
            size: Size { bytes: 1_900_000, rotated_files: 2, torn_bytes: 0 },
            tally: Ok(Tally { records: 5, bad: 1, is_cut: false }),
        }
    }

    static DAYS_SEEN: Days = Days { runs: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2], is_cut: false };

    /// One CLI that is there, in a state that `doctor` has seen.
    fn cloud() -> &'static Cloud {
        static CLOUD: LazyLock<Cloud> = LazyLock::new(|| Cloud {
            tools: vec![Installed {
                name: "claude".into(),
                path: Some("/b/claude".into()),
                version: Some("2.1.330".into()),
                login: Login::LoggedIn,
                cooldown: None,
            }],
            left: Ok(Left { calls: 49, max_calls: 50, spent_usd: 0.25, usd: None }),
            local_only: false,
        });
        &CLOUD
    }

    static NOTHING: LazyLock<(Metrics, Pace)> =
        LazyLock::new(|| (metrics::Counts::default().metrics(), Pace::default()));

    fn status<'a>(health: Health<'a>, summary: &'a Summary, ledger: &'a LedgerState) -> Status<'a> {
        let (metrics, pace) = &*NOTHING;
        Status {
            health,
            summary,
            metrics,
            pace,
            ledger,
            window: 200,
            target: 0.95,
            unfinished: 0,
            providers: cloud(),
            silent: None,
            days: &DAYS_SEEN,
            screen: Screen::default(),
        }
    }

    #[test]
    fn what_is_measured_is_shown() {
        let rate = metrics::rate;
        let metrics = Metrics {
            cloud_share: rate(3, 24),
            verified_local_share: rate(2, 4),
            known_false_accepts: 2,
            false_accepts: rate(3, 40),
            tries_until_green: Some(metrics::Tries { runs: 10, mean: 1.75, median: 1.5 }),
            wasted_seconds: 312.25,
            wasted_runs: 6,
            stopped_tries: 3,
            saved_seconds: 41.25,
            prediction_error: Some(metrics::Errors { tries: 34, median: 0.125 }),
        };
        let call = Call { prompt: 10, first_ms: 9, reply: 214, rest_ms: 10_000 };
        let model = Pace { answers: vec![call], ..Pace::default() };
        let mut page = String::new();
        measured(&mut page, &metrics, &model);
        let expected = "\
cloud share: 12.5 % of 24 runs
false accepts: 2 known; 7.5 % (95 %: 2.6 to 19.9 %) of 40 reviewed were wrong
tries until green: 1.8 on average, median 1.5 (10 changes)
wasted: 312.2 s of local tries in 6 runs that then left
stopped: 3 hopeless replies, 41.2 s of the predicted times saved
pace: 21.4 tokens/s, of 1 call
predicted times: off by 12.5 % (median of 34 tries)
";
        assert_eq!(page, expected);
        let unreviewed = Metrics { false_accepts: None, ..metrics };
        page.clear();
        measured(&mut page, &unreviewed, &Pace::default());
        assert!(page.contains("\nfalse accepts: 2 known\n") && !page.contains("pace"), "{page}");
    }

    fn shown(write: impl Fn(&mut dyn Write) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_page_says_all() {
        let (summary, state) = (some(), state());
        let expected = "\
model: UP qwen2.5-coder-1.5b at http://127.0.0.1:18473/v1, window 32768 tokens
runs: 5 in a window of 200 (change 3, answer 2)
routes: local 3, claude 1, none 1
shares: ████████████████████████▓▓▓▓▓▓▓▓▒▒▒▒▒▒▒▒
last 14 days: ············▄█ 3 runs
failures: complexity:migration 1, verify_failed 1
refused: no_provider 1
verified locally: 66.7 % (2 of 3 changes, target 95.0 %)
cloud: 1 call, ≥ 12.3 kB, 0.25 USD
provider: claude /b/claude, version 2.1.330, logged in
budget: 49 of 50 cloud calls left today, 0.25 USD spent, no limit in dollars
failed: RUN1 2026-11-23T02:54:01.000Z verify_failed
ledger: /s/mux/run_ledger.jsonl (1.9 MB, 2 rotated, 1 bad line)
";
        assert_eq!(shown(|out| text(out, &status(UP, &summary, &state))), expected);
    }

    #[test]
    fn a_day_of_hooks_says_that_it_is_one() {
        let (hooks, state) = (summary(&[("answer", "local", "verified", "\"hook\":\"pre-commit\"")]), state());
        let page = shown(|out| text(out, &status(UP, &hooks, &state)));
        assert!(page.contains("\nruns: 0 in a window of 200\n"), "{page}");
        assert!(page.contains("\nlast 14 days: ············▄█ 3 runs, hooks among them\n"), "{page}");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let found = ["http://127.0.0.1:11434/v1 (llama3.2)".to_string()];
        let seen = Seen::Down { why: "connection\nrefused\x1b[2J", found_elsewhere: &found };
        let health = Health { base_url: "http://127.0.0.1:18473/v1", seen };
        let broken = LedgerState {
            tally: Err("cannot read the ledger `/s`: it is a symbolic link\n  hint: x".to_string()),
            size: Size::default(),
            ..state()
        };
        let empty = Summary::default();
        let (since, until) = (Utc(1_795_402_440_000), Utc(1_795_403_040_000));
        let silent = Some(&CoolDown { since, until, why: "no answer".to_string() });
        let status = Status { unfinished: 1, days: &Days::default(), silent, ..status(health, &empty, &broken) };
        let expected = "\
model: DOWN http://127.0.0.1:18473/v1: connection\\nrefused\\x1b[2J
found elsewhere: http://127.0.0.1:11434/v1 (llama3.2)
server: left alone by hooks until 2026-11-23T03:04:00.000Z, or until it answers a run or `mux doctor`: it was silent at \
2026-11-23T02:54:00.000Z
runs: 0 in a window of 200
routes: none
failures: none
verified locally: no change yet (target 95.0 %)
cloud: 0 calls, 0 B, 0.00 USD
provider: claude /b/claude, version 2.1.330, logged in
budget: 49 of 50 cloud calls left today, 0.25 USD spent, no limit in dollars
ledger: /s/mux/run_ledger.jsonl (0 B, 0 rotated, cannot read the ledger `/s`: it is a symbolic link)
unfinished: 1 (the next `mux run` takes back what was cut off, or records it)
";
        assert_eq!(shown(|out| text(out, &status)), expected);
        let torn = LedgerState {
            size: Size { torn_bytes: 700, ..Size::default() },
            tally: Ok(Tally { is_cut: true, ..Tally::default() }),
            ..state()
        };
        let expected = "/s/mux/run_ledger.jsonl (0 B, 0 rotated, 0 bad lines, 700 B of torn ends moved aside, \
                        older records not read)";
        assert_eq!(ledger(&torn), expected);
    }

    #[test]
    fn routes_are_a_bar_with_signs_and_colours() {
        let routes = [("local", 8), ("claude", 1), ("none", 1)].map(|(name, count)| (name.to_string(), count)).into();
        let screen = Screen { columns: Some(19), colour: true };
        assert_eq!(bar(&routes, screen), "\x1b[32m████████\x1b[0m\x1b[33m▓\x1b[0m\x1b[31m▒\x1b[0m");
        assert_eq!(bar(&routes, Screen { columns: None, colour: false }).chars().count(), WIDEST);
    }

    #[test]
    fn check_is_one_line() {
        let mut out = Vec::new();
        assert!(check(&mut out, &UP).unwrap());
        let health = Health {
            base_url: "http://127.0.0.1:1/v1",
            seen: Seen::Down { why: "connection refused", found_elsewhere: &[] },
        };
        assert!(!check(&mut out, &health).unwrap());
        let expected = "UP qwen2.5-coder-1.5b at http://127.0.0.1:18473/v1, window 32768 tokens\n\
                        DOWN http://127.0.0.1:1/v1: connection refused\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn json_is_complete() {
        let (summary, state) = (some(), state());
        let expected = "{\"local\":{\"up\":true,\"base_url\":\"http://127.0.0.1:18473/v1\",\
            \"model\":\"qwen2.5-coder-1.5b\",\"window\":32768,\"why\":null,\"found_elsewhere\":[],\"cooldown\":null},\
            \"window\":200,\"runs\":5,\
            \"kinds\":{\"answer\":2,\"change\":3},\"routes\":{\"claude\":1,\"local\":3,\"none\":1},\
            \"failures\":{\"complexity:migration\":1,\"verify_failed\":1},\"refused\":{\"no_provider\":1},\
            \"recent_failures\":[{\"run_id\":\"RUN1\",\"timestamp\":\"2026-11-23T02:54:01.000Z\",\
            \"reason\":\"verify_failed\"}],\
            \"local_impl_ratio\":0.6666666666666666,\"target_local_implementation_ratio\":0.95,\"changes\":3,\
            \"verified_local_changes\":2,\
            \"metrics\":{\"cloud_share\":null,\"verified_local_share\":null,\"known_false_accepts\":0,\
            \"false_accepts\":null,\"tries_until_green\":null,\"wasted_seconds\":0.0,\"wasted_runs\":0,\
            \"stopped_tries\":0,\"saved_seconds\":0.0,\
            \"prediction_error\":null},\"tokens_per_sec\":null,\"cloud\":{\"calls\":1,\"bytes\":12345,\"usd\":0.25,\"at_least\":true},\
            \"hooks\":{},\"providers\":[{\"name\":\"claude\",\"path\":\"/b/claude\",\"version\":\"2.1.330\",\
            \"login\":\"logged_in\",\"cooldown\":null}],\
            \"budget\":{\"calls\":49,\"max_calls\":50,\"spent_usd\":0.25,\"usd\":null},\
            \"ledger\":{\"path\":\"/s/mux/run_ledger.jsonl\",\"bytes\":1900000,\"rotated_files\":2,\"torn_bytes\":0,\
            \"bad_lines\":1,\"is_cut\":false,\"error\":null},\"unfinished\":0,\
            \"runs_by_day\":[0,0,0,0,0,0,0,0,0,0,0,0,1,2],\"runs_by_day_is_cut\":false}\n";
        assert_eq!(shown(|out| document::json(out, &status(UP, &summary, &state))), expected);
        let health = Health { base_url: "u", seen: Seen::Down { why: "x\u{9b}\x7f", found_elsewhere: &[] } };
        let text = shown(|out| document::json(out, &status(health.clone(), &summary, &state)));
        assert!(
            text.contains("\"up\":false,\"base_url\":\"u\",\"model\":null,\"window\":null,\"why\":\"x\\u009b\\u007f\""),
            "{text}"
        );
    }

    #[test]
    fn a_missing_ledger_is_empty_and_stays_missing() {
        let path = PathBuf::from("/nowhere/at/all/run_ledger.jsonl");
        let (summary, _, state) =
            read(&Ledger::open(path.clone(), Limits { max_bytes: 1, max_rotated_files: 1, sync: false }), 200, 5);
        assert_eq!((summary.share, summary.runs), (Share::default(), 0));
        assert_eq!((state.tally, state.size, path.exists()), (Ok(Tally::default()), Size::default(), false));
    }

    #[test]
    fn runs_without_numbers_are_counted_up_to_a_bound_and_that_is_said() {
        let path = std::env::temp_dir().join(format!("mux-status-{}", std::process::id()));
        let line = "{\"seq\":1,\"timestamp\":\"2026-11-23T02:54:01.000Z\"}\n";
        fs_err::write(&path, line.repeat(MOST_COUNTED + 1)).unwrap();
        let ledger = Ledger::open(path.clone(), Limits { max_bytes: 0, max_rotated_files: 1, sync: false });
        let days = days(&ledger, Utc::parse("2026-11-23T12:00:00Z").unwrap());
        fs_err::remove_file(path).unwrap();
        let (summary, state) = (some(), state());
        let page = shown(|out| text(out, &Status { days: &days, ..status(UP, &summary, &state) }));
        let bars = "last 14 days: ·············█ 1000 runs, older ones not counted\n";
        assert!(days.is_cut && page.contains(bars), "{page}");
    }
}
