//! The page: its frame, the numbers at a glance and where the runs ended. The other sections are in `numbers.rs` and
//! `runs.rs`.

use crate::face::report::chart::{self, Chart, ENDS, Parts, bars, columns, place};
use crate::face::report::html::{Html, counted, dollars, grouped, micros, seconds, share};
use crate::face::report::{numbers, runs};
use crate::face::status::bytes;
use crate::rules::report::spread::{Spread, Timeline};
use crate::rules::report::{End, Point, Report};
use crate::words::time::Utc;

/// How every page begins: by this mux knows a file that it may replace.
pub const MARK: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="generator" content="mux report"/>
"#;
/// The policy lets the page load nothing and run only the script with this hash, whatever a record has brought in.
pub const HEAD: &str = r#"<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-1anckUyOPvMDF2N5LZCnTFi2CBYTDqhISKHqhmx073M='"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta name="referrer" content="no-referrer"/>
<link rel="icon" href="data:,"/>
<title>mux report, {}</title>
<style>"#;
const STYLE: &str = include_str!("page.css");
pub const SCRIPT: &str = include_str!("page.js");
const SECTIONS: [(&str, &str); 7] = [
    ("ends", "Where runs ended"),
    ("reasons", "Why not at home"),
    ("score", "The score"),
    ("tries", "Tries"),
    ("speed", "Speed"),
    ("cloud", "What left"),
    ("runs", "Runs"),
];
const EMPTY: &str = "<p>There are no runs here yet. <code>mux run</code> does a task, and <code>mux doctor</code> says whether it can.</p>";
const FOOT: &str = r#"</main>
<footer><p class="soft">All of it comes from the ledger on this machine; the page loads nothing. <code>mux log</code> lists
every run, <code>mux why</code> explains one, <code>mux egress</code> lists what left.</p></footer>"#;

/// What the page says beside what the ledger holds.
pub struct Frame {
    pub now: Utc,
    /// Only runs from then on were read.
    pub since: Option<Utc>,
    /// Lines that are no records.
    pub bad: usize,
    /// Whether older records were left unread.
    pub is_cut: bool,
    /// `router.local_confidence_threshold` as it is today.
    pub threshold: f64,
    /// `workflow.target_local_implementation_ratio`.
    pub target: f64,
}

/// Writes the whole page.
pub fn page(report: &Report, frame: &Frame) -> String {
    let mut page = Html(MARK.to_string());
    page.put(HEAD, &[&frame.now.day()]);
    page.put(STYLE, &[]);
    page.put("</style></head><body>", &[]);
    chart::patterns(&mut page);
    page.put("<header><h1>mux report</h1>", &[]);
    page.put(r#"<p class="soft">{}</p>"#, &[&about(report, frame)]);
    if report.points.is_empty() {
        page.put("</header><main>", &[]);
        page.put(EMPTY, &[]);
    } else {
        page.put(r#"<nav aria-label="Sections"><ul>"#, &[]);
        for (id, name) in SECTIONS {
            page.put(r##"<li><a href="#{}">{}</a></li>"##, &[id, name]);
        }
        page.put("</ul></nav></header><main>", &[]);
        sections(&mut page, report, frame);
    }
    page.put(FOOT, &[]);
    if !report.points.is_empty() {
        // Nothing may stand around it: the hash is of all between the tags.
        page.0.push_str("<script>");
        page.0.push_str(SCRIPT);
        page.put("</script>", &[]);
    }
    page.put("</body></html>", &[]);
    page.0
}

/// What the page is about, and what it leaves out.
fn about(report: &Report, frame: &Frame) -> String {
    let n_runs = counted(report.points.len() as u64, "run");
    let (now, version) = (minute(frame.now), env!("CARGO_PKG_VERSION"));
    let from = ends(&report.points).map(|(first, last)| match (first.day(), last.day()) {
        (first, last) if first == last => format!(" on {first}"),
        (first, last) => format!(" from {first} to {last}"),
    });
    let mut about = vec![format!("{n_runs}{}, written {now} by mux {version}.", from.unwrap_or_default())];
    about.push("Times are UTC.".to_string());
    if let Some(since) = frame.since {
        about.push(format!("Only runs since {} were looked at.", minute(since)));
    }
    if frame.bad > 0 {
        about.push(format!("{} of the ledger held no record.", counted(frame.bad as u64, "line")));
    }
    if frame.is_cut {
        about.push("Older records were not looked at: there are too many bytes or bad lines.".to_string());
    }
    about.join(" ")
}

fn ends(points: &[Point]) -> Option<(Utc, Utc)> {
    let times = || points.iter().map(|point| point.time);
    Some((times().min()?, times().max()?))
}

/// `2026-11-27 05:22`.
pub fn minute(time: Utc) -> String {
    time.to_string().chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

fn sections(page: &mut Html, report: &Report, frame: &Frame) {
    let Some((first, last)) = ends(&report.points) else { return };
    let line = Timeline::new(first, last);
    let mut counts = [0; 4];
    for point in &report.points {
        add(&mut counts, point.end);
    }
    glance(page, report, frame, counts);
    where_ended(page, report, &line, counts);
    numbers::reasons(page, report);
    numbers::score(page, report, frame);
    numbers::tries(page, report);
    numbers::speed(page, report, &line);
    numbers::cloud(page, report, &line);
    runs::lists(page, report);
}

fn add(parts: &mut [u64; 4], end: End) {
    if let Some(part) = parts.get_mut(place(end)) {
        *part += 1;
    }
}

/// The numbers that one looks at first.
fn glance(page: &mut Html, report: &Report, frame: &Frame, [home, helped, cloud, not_done]: [u64; 4]) {
    let all = report.points.len() as u64;
    let (summary, at_home) = (&report.summary, home + helped);
    page.put(r#"<h2 id="glance">At a glance</h2><dl>"#, &[]);
    let more = format!("{}; {} with advice or a review", counted(at_home, "run"), grouped(helped));
    card(page, "done at home", &share(at_home, all), &more);
    card(page, "done in the cloud", &share(cloud, all), &counted(cloud, "run"));
    let more = format!("{}; {} others were taken back", counted(not_done, "run"), grouped(report.n_undone));
    card(page, "not done", &share(not_done, all), &more);
    let proof = summary.share;
    let (verified, changes) = (grouped(proof.verified), grouped(proof.changes));
    let more = format!("{verified} of {changes} changes; the target is {:.0} %", frame.target * 100.0);
    card(page, "proved at home", &share(proof.verified, proof.changes), &more);
    let sent = format!("{}{}", if summary.cloud.at_least { "≥ " } else { "" }, bytes(summary.cloud.bytes));
    let more = format!("{}; known cost {}", counted(summary.cloud.calls, "call"), dollars(micros(summary.cloud.usd)));
    card(page, "sent to the cloud", &sent, &more);
    let mut spread = Spread::default();
    report.points.iter().for_each(|point| spread.add(Some(point.duration_ms)));
    if let Some([median, most]) = spread.at([50, 90]) {
        card(page, "a run takes", &seconds(median), &format!("the median; 90 % end within {}", seconds(most)));
    }
    page.put("</dl>", &[]);
}

fn card(page: &mut Html, name: &'static str, value: &str, more: &str) {
    page.put("<div><dt>{}</dt><dd>{}<span>{}</span></dd></div>", &[name, value, more]);
}

/// How long a run took, by limits in milliseconds.
const LENGTHS: [(&str, u64); 8] = [
    ("below 1 s", 1000),
    ("1 to 3 s", 3000),
    ("3 to 10 s", 10_000),
    ("10 to 30 s", 30_000),
    ("30 s to 1 min", 60_000),
    ("1 to 5 min", 300_000),
    ("5 to 15 min", 900_000),
    ("longer", u64::MAX),
];

fn where_ended(page: &mut Html, report: &Report, line: &Timeline, counts: [u64; 4]) {
    let mut over_time = vec![[0; 4]; line.columns];
    let mut lengths = [[0; 4]; LENGTHS.len()];
    for point in &report.points {
        if let Some(parts) = over_time.get_mut(line.column(point.time)) {
            add(parts, point.end);
        }
        let length = LENGTHS.iter().position(|(_, limit)| point.duration_ms < *limit);
        if let Some(parts) = length.and_then(|length| lengths.get_mut(length)) {
            add(parts, point.end);
        }
    }
    page.put(r#"<h2 id="ends">Where runs ended</h2>"#, &[]);
    chart::legend(page);
    let [home, helped, cloud, not_done] = counts;
    let all = report.points.len() as u64;
    let [home, cloud, not_done] = [home + helped, cloud, not_done].map(|part| share(part, all));
    let told = format!("{home} at home, {cloud} in the cloud, {not_done} not done");
    let (unit, title) = (grouped, "Share of the runs");
    let mut chart = Chart { title, told, line, series: &ENDS, first_fill: 0, unit, is_share: true };
    page.put(r#"<div class="grid2"><div>"#, &[]);
    columns(page, &chart, &over_time);
    page.put("</div><div>", &[]);
    (chart.title, chart.is_share) = ("Runs", false);
    chart.told = format!("{}; a column is {}", counted(all, "run"), line.span());
    columns(page, &chart, &over_time);
    page.put(r#"</div></div><div class="grid2">"#, &[]);
    bars(page, "Routes", "route", Parts::Counts, &numbers::ranked(&report.summary.routes), all);
    let named = LENGTHS.iter().zip(lengths).map(|((name, _), parts)| (*name, parts));
    bars(page, "How long they took", "time", Parts::Ends, &named.collect::<Vec<_>>(), all);
    page.put("</div>", &[]);
}
