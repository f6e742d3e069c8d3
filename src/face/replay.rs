//! `mux replay`: what other settings would have made of the runs in the ledger. Reads only, calls nothing.

use crate::engine::look::{self, Look};
use crate::engine::run::House;
use crate::face::args::replay::{Form, ReplayArgs};
use crate::face::status::emit;
use crate::rules::escape::{in_json, one_line};
use crate::rules::replayed::{Counts, Point, Report};
use crate::rules::what_if::Change;
use crate::words::count::Count;
use crate::words::error::{Context, Error, Kind};
use crate::words::time::Utc;
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

/// Rows on the page for people; `--json` has all.
const MOST_ROWS: usize = 20;
/// The curve has a point for each twentieth.
const POINTS: u32 = 20;
/// Columns of a whole bar.
const BAR: u8 = 40;

/// Replays and prints. Returns the exit code.
///
/// # Errors
/// A configuration or a ledger that cannot be read; output that cannot be written.
pub fn run(house: &House<'_>, project: Option<&Path>, args: &ReplayArgs, out: &mut dyn Write) -> Result<u8, Error> {
    let Look { ledger, settings, .. } = look::look(house, project)?;
    let change = Change {
        threshold: args.threshold,
        max_attempts: args.max_attempts,
        keywords: args.keywords.as_deref(),
        known_keywords: &settings.config.router.complexity_keywords,
    };
    let since = args.since_ms.map(|span| Utc(house.env.now.0.saturating_sub(span)));
    let thresholds: Vec<f64> = match args.form {
        Form::Page { curve: false } | Form::Json { curve: false } => Vec::new(),
        Form::Page { curve: true } | Form::Json { curve: true } | Form::Csv => {
            (0..=POINTS).map(|point| f64::from(point) / f64::from(POINTS)).collect()
        }
    };
    let mut counts = Counts::over(&thresholds);
    let is_cut = look::runs(&ledger, since, &mut |record, is_undone| counts.add(record, is_undone, &change))?;
    let report = Report { is_cut, ..counts.report() };
    let page = match args.form {
        Form::Json { .. } => {
            let text = serde_json::to_string(&report).context(Kind::Io, || "cannot write JSON".to_string())?;
            format!("{}\n", in_json(&text))
        }
        Form::Csv => csv(&report.curve),
        Form::Page { .. } => page(&report),
    };
    emit(out, &page).context(Kind::Io, || "cannot write the replay".to_string())?;
    Ok(0)
}

fn page(report: &Report) -> String {
    let mut page = String::new();
    let _ = writeln!(page, "runs                  {}", report.runs);
    let _ = writeln!(page, "changed               {}", report.changed);
    let _ = writeln!(page, "unknown               {}", report.unknown);
    let _ = writeln!(page, "cloud share           {}", percent(report.cloud_share));
    let _ = writeln!(page, "verified local share  {}", percent(report.verified_local_share));
    let _ = writeln!(page, "false accepts         {} known", report.false_accepts);
    let (was, would) = (&report.recorded, &report.estimate);
    let _ = writeln!(
        page,
        "cost                  {} (recorded: {})",
        cost(would.usd, would.unpriced),
        cost(was.usd, was.unpriced)
    );
    let _ = writeln!(
        page,
        "time                  {} (recorded: {})",
        time(would.seconds, would.untimed),
        time(was.seconds, 0)
    );
    if report.unreadable > 0 {
        let _ =
            writeln!(page, "passed over           {} without what is needed", Count::of(report.unreadable, "record"));
    }
    if report.is_cut {
        let _ = writeln!(page, "older records         not read: a replay goes through 256 MiB");
    }
    if !report.curve.is_empty() {
        page.push('\n');
        curve(&mut page, &report.curve);
    }
    let changed: Vec<_> = report.rows.iter().filter_map(|row| Some((row, row.then.as_ref()?))).collect();
    if !changed.is_empty() {
        page.push('\n');
    }
    for (row, then) in changed.iter().take(MOST_ROWS) {
        let id = one_line(&row.run_id);
        let _ = writeln!(page, "{id}  {} -> {}: {}", one_line(&row.was), row.would_be, one_line(then));
    }
    if changed.len() > MOST_ROWS {
        let _ = writeln!(page, "and {} more; `--json` has all", changed.len() - MOST_ROWS);
    }
    page
}

/// One line for each threshold, with a bar for the share that leaves.
fn curve(page: &mut String, points: &[Point]) {
    let _ =
        writeln!(page, "threshold  cloud  {:width$}  false  unknown  cost and time", "", width = usize::from(BAR) + 2);
    for point in points {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share is from 0 to 1")]
        let bar = "#".repeat((point.cloud_share.unwrap_or(0.0) * f64::from(BAR)).round() as usize);
        let Point { threshold, cloud_share, false_accepts, unknown, .. } = *point;
        let (cost, time) = (cost(point.usd, point.unpriced), time(point.seconds, point.untimed));
        let share = percent(cloud_share);
        let _ = writeln!(
            page,
            "{threshold:9.2}  {share:>5}  |{bar:width$}|  {false_accepts:5}  {unknown:7}  {cost}, {time}",
            width = usize::from(BAR)
        );
    }
}

/// For spreadsheets; what is not known is empty.
fn csv(points: &[Point]) -> String {
    let mut text =
        "threshold,cloud_share,verified_local_share,false_accepts,unknown,usd,unpriced,seconds,untimed\n".to_string();
    let share = |share: Option<f64>| share.map(|share| share.to_string()).unwrap_or_default();
    for point in points {
        let Point { threshold, false_accepts, unknown, usd, unpriced, seconds, untimed, .. } = point;
        let (cloud, verified) = (share(point.cloud_share), share(point.verified_local_share));
        let _ = writeln!(
            text,
            "{threshold},{cloud},{verified},{false_accepts},{unknown},{usd},{unpriced},{seconds},{untimed}"
        );
    }
    text
}

fn percent(share: Option<f64>) -> String {
    share.map_or("-".to_string(), |share| format!("{:.0} %", share * 100.0))
}

fn cost(usd: f64, unpriced: u64) -> String {
    let unknown = if unpriced > 0 { format!(" and {unpriced} of unknown price") } else { String::new() };
    format!("{usd:.2} USD{unknown}")
}

fn time(seconds: f64, untimed: u64) -> String {
    let unknown = if untimed > 0 { format!(" and {untimed} of unknown length") } else { String::new() };
    format!("{seconds:.1} s{unknown}")
}
