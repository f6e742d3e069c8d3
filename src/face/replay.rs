//! `mux replay`: what other settings would have made of the runs in the ledger. Reads only, calls nothing.

use crate::engine::look::{self, Look};
use crate::engine::run::House;
use crate::face::args::ReplayArgs;
use crate::face::status::emit;
use crate::rules::escape::{in_json, one_line};
use crate::rules::recorded;
use crate::rules::what_if::{Change, Counts, Report};
use crate::words::error::{Context, Error, Kind};
use crate::words::time::Utc;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

/// Rows on the page for people; `--json` has all.
const MOST_ROWS: usize = 20;

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
    let mut counts = Counts::default();
    let mut undone: BTreeSet<String> = BTreeSet::new();
    ledger.recent(usize::MAX, &mut |row| {
        // Newest first: an undo comes before the run that it took back, and one that was undone itself counts for none.
        if let Some(taken_back) = &row.undoes {
            if !undone.contains(row.run_id.as_ref()) {
                undone.insert(taken_back.to_string());
            }
            return true;
        }
        let is_recent = since.is_none_or(|since| Utc::parse(&row.timestamp).is_some_and(|time| time >= since));
        if is_recent {
            let record = recorded::read(row.line).ok();
            counts.add(record.as_ref(), undone.contains(row.run_id.as_ref()), &change);
        }
        true
    })?;
    let report = counts.report();
    let page = if args.json {
        let text = serde_json::to_string(&report).context(Kind::Io, || "cannot write JSON".to_string())?;
        format!("{}\n", in_json(&text))
    } else {
        page(&report)
    };
    emit(out, &page).context(Kind::Io, || "cannot write the replay".to_string())?;
    Ok(0)
}

fn page(report: &Report) -> String {
    let percent = |share: Option<f64>| share.map_or("-".to_string(), |share| format!("{:.0} %", share * 100.0));
    let mut page = String::new();
    let _ = writeln!(page, "runs                  {}", report.runs);
    let _ = writeln!(page, "changed               {}", report.changed);
    let _ = writeln!(page, "unknown               {}", report.unknown);
    let _ = writeln!(page, "cloud share           {}", percent(report.cloud_share));
    let _ = writeln!(page, "verified local share  {}", percent(report.verified_local_share));
    let _ = writeln!(page, "false accepts         {} known", report.false_accepts);
    if report.unreadable > 0 {
        let _ = writeln!(page, "passed over           {} records that do not hold what is needed", report.unreadable);
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
