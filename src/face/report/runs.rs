//! The lists of runs: the slowest, the dearest, and the newest with why each went where it went. The explanation of a
//! run is a row below it that shows when it is the target of the address: no script is needed.

use crate::face::report::html::{Html, dollars, grouped, micros, seconds};
use crate::face::report::page::minute;
use crate::face::status::bytes;
use crate::rules::escape::one_line;
use crate::rules::report::{Entry, Report};

/// The longest text of a task in the table, in characters.
const MOST_TASK: usize = 200;

const HEADS: [(&str, bool); 12] = [
    ("run", false),
    ("time (UTC)", false),
    ("kind", false),
    ("route", false),
    ("reason", false),
    ("proof", false),
    ("score", true),
    ("tries", true),
    ("took", true),
    ("sent", true),
    ("work directory", false),
    ("task", false),
];

/// The heads of the short lists before the two columns that are their own.
const SHORT: [(&str, bool); 4] = [("run", false), ("time (UTC)", false), ("route", false), ("reason", false)];

const FILTER: &str = r#"<p class="printed">On paper, the newest 50.</p>
<div class="filter" hidden=""><label>Show only runs with all of these words <input id="filter" type="search" autocomplete="off"/></label>
<span id="said" role="status" class="soft"></span></div>
<div class="wide" tabindex="0" role="region" aria-label="Newest runs"><table class="runs"><caption>Newest runs</caption><thead><tr>"#;

/// Adds all lists.
pub fn lists(page: &mut Html, report: &Report) {
    page.put(r#"<h2 id="slowest">Slowest and most expensive runs</h2>"#, &[]);
    let time = |entry: &Entry| vec![grouped(entry.tries), seconds(entry.duration_ms)];
    short(page, "Slowest runs", [("tries", true), ("took", true)], &report.slowest, &time);
    if !report.dearest.is_empty() {
        let cost = |entry: &Entry| vec![sent(entry), dollars(micros(entry.cloud.usd))];
        short(page, "Most expensive runs", [("sent", true), ("known cost", true)], &report.dearest, &cost);
    }
    newest(page, report);
}

fn short(
    page: &mut Html,
    caption: &'static str,
    own: [(&'static str, bool); 2],
    entries: &[(u64, Entry)],
    more: &dyn Fn(&Entry) -> Vec<String>,
) {
    let row = |(_, entry): &(u64, Entry)| {
        let mut row = vec![entry.run_id.clone(), minute(entry.time), entry.route.clone(), entry.reason.clone()];
        row.extend(more(entry));
        row
    };
    let mut heads = SHORT.to_vec();
    heads.extend(own);
    page.table(caption, &heads, &entries.iter().map(row).collect::<Vec<_>>());
}

fn sent(entry: &Entry) -> String {
    format!("{}{}", if entry.cloud.at_least { "≥ " } else { "" }, bytes(entry.cloud.bytes))
}

fn newest(page: &mut Html, report: &Report) {
    let explained = report.newest.iter().filter(|entry| entry.why.is_some()).count();
    let [listed, explained] = [report.newest.len(), explained].map(|n| grouped(n as u64));
    page.put(r#"<h2 id="runs">Runs</h2>"#, &[]);
    page.put(
        "<p>Listed: {}, the newest first, undos among them. Ids that are links: {}. A link opens why the run went there.",
        &[&listed, &explained],
    );
    page.put("<code>mux log</code> lists all runs, and <code>mux why</code> with an id explains any.</p>", &[]);
    page.put(FILTER, &[]);
    // Most ledgers keep no text of a task.
    let has_task = report.newest.iter().any(|entry| entry.task.is_some());
    let heads = HEADS.split_last().map_or(&HEADS[..], |(_, heads)| if has_task { &HEADS } else { heads });
    page.heads(heads);
    page.put("</tr></thead>", &[]);
    for entry in &report.newest {
        run(page, entry, has_task, heads.len());
    }
    page.put("</table></div>", &[]);
}

fn run(page: &mut Html, entry: &Entry, has_task: bool, columns: usize) {
    let id = entry.run_id.as_str();
    match entry.why {
        Some(_) => {
            let markup = r##"<tbody id="r-{}"><tr><th scope="row" class="id"><a href="#w-{}">{}</a></th>"##;
            page.put(markup, &[id, id, id]);
        }
        None => page.put(r#"<tbody><tr><th scope="row" class="id">{}</th>"#, &[&one_line(id)]),
    }
    let proof = match (entry.verify_ok, entry.is_undone) {
        (_, true) => "taken back",
        (Some(true), false) => "passed",
        (Some(false), false) => "failed",
        (None, false) => "–",
    };
    for text in [&minute(entry.time), &entry.kind, &entry.route, &entry.reason, proof] {
        page.put("<td>{}</td>", &[&one_line(text)]);
    }
    let score = entry.confidence.map_or("–".to_string(), |score| format!("{score:.2}"));
    let sent = if entry.cloud.calls > 0 { sent(entry) } else { "–".to_string() };
    for text in [score, grouped(entry.tries), seconds(entry.duration_ms), sent] {
        page.put(r#"<td class="n">{}</td>"#, &[&text]);
    }
    page.put(r#"<td class="dir">{}</td>"#, &[&one_line(&entry.workdir)]);
    if has_task {
        let task: String = entry.task.as_deref().unwrap_or_default().chars().take(MOST_TASK).collect();
        page.put(r#"<td class="dir">{}</td>"#, &[&one_line(&task)]);
    }
    page.put("</tr>", &[]);
    if let Some(why) = &entry.why {
        page.put(
            r##"<tr class="why" id="w-{}"><td colspan="{}"><code>mux why {}</code> · <code>mux diff {}</code> · <a href="#r-{}">close</a>
<pre>{}</pre></td></tr>"##,
            &[id, &columns.to_string(), id, id, id, why],
        );
    }
    page.put("</tbody>", &[]);
}
