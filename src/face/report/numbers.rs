//! The sections of counts and charts between where the runs ended and the lists of runs.

use crate::face::report::chart::{self, Chart, Parts, bars, columns, dots};
use crate::face::report::html::{Html, counted, dollars, grouped, micros, per_second, seconds, share};
use crate::face::report::page::Frame;
use crate::face::status::bytes;
use crate::rules::report::spread::{Spread, Timeline};
use crate::rules::report::{Model, Report, Tenth};
use crate::rules::sorted::sorted;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// How many names a table of counts lists; the others are one line.
const MOST_NAMES: usize = 12;

/// Why the local model was not enough, what was refused, and how tries failed.
pub fn reasons(page: &mut Html, report: &Report) {
    let all = report.points.len() as u64;
    let failures = report.failures.values().sum();
    page.put(r#"<h2 id="reasons">Why not at home</h2><div class="grid2">"#, &[]);
    for (counts, of, title, names, none) in [
        (&report.summary.failures, all, "Why the local model was not enough", "reason", "It always was."),
        (&report.summary.refused, all, "Escalations that were wanted and refused", "refused for", "None was refused."),
        (&report.failures, failures, "Tries that gave nothing usable", "failure", "Every try gave something usable."),
    ] {
        if counts.is_empty() {
            page.put("<p>{}: {}</p>", &[title, none]);
        } else {
            bars(page, title, names, Parts::Counts, &ranked(counts), of);
        }
    }
    page.put("</div>", &[]);
}

/// Counts, greatest first; what is beyond the most is one line.
pub fn ranked(counts: &BTreeMap<String, u64>) -> Vec<(&str, [u64; 4])> {
    let all = sorted(counts.iter().map(|(name, count)| (Reverse(*count), name)).collect());
    let (mut rows, mut rest) = (Vec::new(), 0);
    for (Reverse(count), name) in all {
        if rows.len() < MOST_NAMES {
            rows.push((name.as_str(), [count, 0, 0, 0]));
        } else {
            rest += count;
        }
    }
    if rest > 0 {
        rows.push(("others", [rest, 0, 0, 0]));
    }
    rows
}

/// Confidence against outcome.
pub fn score(page: &mut Html, report: &Report, frame: &Frame) {
    page.put(r#"<h2 id="score">Does the score tell the truth?</h2>"#, &[]);
    let seen = || report.tenths.iter().filter(|tenth| tenth.tries > 0);
    let (tries, green): (u64, u64) = seen().fold((0, 0), |(n, green), tenth| (n + tenth.tries, green + tenth.green));
    if tries == 0 {
        let none = "<p>No try has both a score and tests that ran. Give runs a <code>--verify</code> command.</p>";
        page.put(none, &[]);
        return;
    }
    let brier = report.squares / tries as f64;
    let told = format!("Tries with a score and tests that ran: {}. Passed: {}.", grouped(tries), share(green, tries));
    let means = format!(
        "The mean of (score − outcome)² is {brier:.3}; a score that is always 0.5 has 0.250. On the dotted line a score \
         means what it says; the dashed line is the threshold, {}.",
        frame.threshold
    );
    page.put(r#"<p>{} {}</p><div class="grid2">"#, &[&told, &means]);
    chart::calibration(page, &report.tenths, &told, frame.threshold);
    let row = |tenth: &Tenth| {
        let mean = tenth.sum / tenth.tries as f64;
        vec![format!("{mean:.2}"), grouped(tenth.tries), grouped(tenth.green), share(tenth.green, tenth.tries)]
    };
    let heads = [("mean score", false), ("tries", true), ("passed", true), ("share", true)];
    page.table("Tests passed, by tenths of the score", &heads, &seen().map(row).collect::<Vec<_>>());
    page.put("</div>", &[]);
}

/// Tries until green.
pub fn tries(page: &mut Html, report: &Report) {
    page.put(r#"<h2 id="tries">Tries until the tests were green</h2>"#, &[]);
    let judged = report.green_at.iter().sum::<u64>() + report.never_green;
    if judged == 0 {
        page.put("<p>No change was judged by tests yet.</p>", &[]);
        return;
    }
    let last = report.green_at.iter().rposition(|count| *count > 0);
    let names = ["1", "2", "3", "4", "5", "6", "7", "8 or more"];
    let counted = names.iter().zip(report.green_at).take(last.map_or(0, |last| last + 1));
    let mut rows: Vec<(&str, [u64; 4])> = counted.map(|(name, count)| (*name, [count, 0, 0, 0])).collect();
    rows.push(("never", [report.never_green, 0, 0, 0]));
    bars(page, "The first try whose tests passed, on any route", "try", Parts::Counts, &rows, judged);
}

/// Tokens a second over time, and the tries by model.
pub fn speed(page: &mut Html, report: &Report, line: &Timeline) {
    page.put(r#"<h2 id="speed">Speed</h2>"#, &[]);
    let mut spreads: Vec<Spread> = (0..line.columns).map(|_| Spread::default()).collect();
    for point in &report.points {
        if let Some(spread) = spreads.get_mut(line.column(point.time)) {
            spread.add(point.speed);
        }
    }
    let medians: Vec<Option<u64>> = spreads.into_iter().map(|spread| spread.at([50]).map(|[median]| median)).collect();
    if let (Some(low), Some(high)) = (medians.iter().flatten().min(), medians.iter().flatten().max()) {
        let told = format!("{} to {}, the median of each {}", per_second(*low), per_second(*high), line.span());
        let (title, series) = ("Tokens a second of the local model", &["median"]);
        dots(page, &Chart { title, told, line, series, first_fill: 0, unit: per_second, is_share: false }, &medians);
    }
    let models = report.ranked_models();
    let n = grouped(models.len() as u64);
    let rows: Vec<Vec<String>> = models.into_iter().take(MOST_NAMES).map(model).collect();
    if rows.is_empty() {
        page.put("<p>No model was asked.</p>", &[]);
        return;
    }
    page.table("Tries by model", &MODEL, &rows);
    if rows.len() == MOST_NAMES {
        page.put(r#"<p class="soft">The most used of {}.</p>"#, &[&n]);
    }
}

const MODEL: [(&str, bool); 9] = [
    ("model", false),
    ("route", false),
    ("tries", true),
    ("failed", true),
    ("median", true),
    ("90 % within", true),
    ("first token", true),
    ("tokens/s", true),
    ("known cost", true),
];

fn model(model: &Model) -> Vec<String> {
    let [median, most] = model.duration_ms.at([50, 90]).unwrap_or_default();
    let middle =
        |spread: &Spread, unit: fn(u64) -> String| spread.at([50]).map_or("–".to_string(), |[median]| unit(median));
    vec![
        model.name.clone(),
        model.route.clone(),
        grouped(model.tries),
        grouped(model.failed),
        seconds(median),
        seconds(most),
        middle(&model.ttft_ms, seconds),
        middle(&model.speed, per_second),
        if model.usd > 0.0 { dollars(micros(model.usd)) } else { "–".to_string() },
    ]
}

const AT_LEAST: &str = "<p>These are the bytes that mux sent. In some calls the provider could read more by itself; \
    <code>mux egress</code> names them.</p>";

/// Bytes and dollars over time.
pub fn cloud(page: &mut Html, report: &Report, line: &Timeline) {
    page.put(r#"<h2 id="cloud">What left this machine</h2>"#, &[]);
    let used = report.summary.cloud;
    if used.calls == 0 {
        page.put("<p>Nothing: no cloud CLI was called.</p>", &[]);
        return;
    }
    let (mut sent, mut cost) = (vec![[0_u64; 4]; line.columns], vec![[0_u64; 4]; line.columns]);
    for point in &report.points {
        let column = line.column(point.time);
        if let (Some([sent, ..]), Some([cost, ..])) = (sent.get_mut(column), cost.get_mut(column)) {
            *sent = (*sent).saturating_add(point.cloud_bytes);
            *cost = (*cost).saturating_add(micros(point.usd));
        }
    }
    if used.at_least {
        page.put(AT_LEAST, &[]);
    }
    let told = format!("{} in {}", bytes(used.bytes), counted(used.calls, "call"));
    let (title, series) = ("Bytes sent", &["sent"]);
    let mut chart = Chart { title, told, line, series, first_fill: 2, unit: bytes, is_share: false };
    page.put(r#"<div class="grid2"><div>"#, &[]);
    columns(page, &chart, &sent);
    page.put("</div>", &[]);
    if used.usd > 0.0 {
        (chart.title, chart.series, chart.unit) = ("Known cost", &["cost"], dollars);
        chart.told = dollars(micros(used.usd));
        page.put("<div>", &[]);
        columns(page, &chart, &cost);
        page.put("</div>", &[]);
    }
    page.put("</div>", &[]);
}
