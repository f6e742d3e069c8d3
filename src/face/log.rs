//! `mux log`: recent runs, newest first, as a table or as JSON; with `-f` oldest first, and then each that ends. Reads
//! only.

use crate::engine::look::{self, Look};
use crate::engine::run::House;
use crate::face::args::LogArgs;
use crate::face::screen::{Colour, Screen};
use crate::face::status::emit;
use crate::rules::config::Tools;
use crate::rules::escape::{in_json, one_line};
use crate::rules::nearest::nearest;
use crate::rules::stats::Row;
use crate::rules::width::{cut, pad, width};
use crate::sys::ledger::{Ledger, Tally};
use crate::sys::tty;
use crate::words::count::Count;
use crate::words::env::Env;
use crate::words::error::{Context, Error, Kind};
use crate::words::stop::{Stop, StopReason};
use crate::words::time::Utc;
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the ledger is looked at for a new run.
const POLL: Duration = Duration::from_millis(300);
/// A path is cut to no less, in columns.
const SHORTEST_PATH: usize = 12;
/// A reason is cut to no less, in columns, while another column can go instead; and to no less at all.
const REASON: (usize, usize) = (20, 8);

/// Which runs are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// At most so many.
    pub n: usize,
    pub route: Option<&'a str>,
    /// Only runs that gave nothing that holds.
    pub failed: bool,
    /// Only runs from then on.
    pub since: Option<Utc>,
    /// Only runs in this directory or below.
    pub workdir: Option<&'a Path>,
    /// Only records that hold this text: in lower case, as it stands in JSON.
    pub grep: Option<&'a str>,
}

/// A column of the table, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Id,
    Time,
    Kind,
    Route,
    Reason,
    Proof,
    Files,
    Seconds,
    Workdir,
}

use Column::{Files, Id, Kind as KindOf, Proof, Reason, Route, Seconds, Time, Workdir};

const COLUMNS: [(Column, &str); 9] = [
    (Id, "run_id"),
    (Time, "time (UTC)"),
    (KindOf, "kind"),
    (Route, "route"),
    (Reason, "reason"),
    (Proof, "proof"),
    (Files, "files"),
    (Seconds, "seconds"),
    (Workdir, "workdir"),
];

/// What a terminal that is too narrow goes without, in this order. The id stays whole: it is there to be copied.
const DISPENSABLE: [Column; 7] = [Workdir, Seconds, Files, Proof, KindOf, Time, Route];

/// A run as it is shown.
struct Line {
    cells: [String; 9],
    is_failed: bool,
}

/// Which columns are shown, and how wide.
struct Layout {
    columns: Vec<(Column, usize)>,
    /// Without year and seconds.
    is_time_short: bool,
}

/// Selects and prints. Returns the exit code.
///
/// # Errors
/// A configuration or a ledger that cannot be read; output that cannot be written.
pub fn run(
    house: &House<'_>,
    project: Option<&Path>,
    args: &LogArgs,
    screen: Screen,
    out: &mut dyn Write,
    stop: &Stop,
) -> Result<u8, Error> {
    let Look { ledger, settings, .. } = look::look(house, project)?;
    if let Some(route) = &args.route {
        check_route(route, &settings.config.providers.sota_cli.tools)?;
    }
    let since = args.since_ms.map(|span| Utc(house.env.now.0.saturating_sub(span)));
    let workdir = args.workdir.as_deref().map(|dir| absolute(house.env, dir)).transpose()?;
    let grep = args.grep.as_deref().map(needle);
    let query = Query {
        n: args.n,
        route: args.route.as_deref(),
        failed: args.failed,
        since,
        workdir: workdir.as_deref(),
        grep: grep.as_deref(),
    };
    match (args.follow, args.json) {
        (true, is_json) => return follow(out, &ledger, &query, is_json, screen, stop),
        (false, true) => json(out, &ledger, &query)?,
        (false, false) => text(out, &ledger, &query, screen)?,
    }
    Ok(0)
}

/// Refuses a route that is misspelt. One that is like no other may have been declared once: old records name it.
fn check_route(route: &str, tools: &Tools) -> Result<(), Error> {
    let known = ["local", "none"].into_iter().chain(tools.0.iter().map(|(name, _)| name.as_str()));
    match nearest(route, known) {
        Some(near) if near != route => {
            let error = Error::new(Kind::Usage, format!("unknown route `{route}`"));
            Err(error.hint(format!("did you mean `{near}`? `mux --help` lists all")))
        }
        Some(_) | None => Ok(()),
    }
}

/// A directory as records name it. One that is gone is taken as it is written: there were runs in it.
fn absolute(env: &Env, dir: &Path) -> Result<PathBuf, Error> {
    match fs_err::canonicalize(dir) {
        Err(_) if dir.is_relative() => Ok(env.here("`cd`, or give a path from the root")?.join(dir)),
        real => Ok(real.unwrap_or_else(|_| dir.to_path_buf())),
    }
}

/// A text as it stands in a line of JSON, in lower case.
fn needle(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_lowercase()
}

/// Writes a table. A last line tells what was not read, if anything.
///
/// # Errors
/// `Io` when the ledger cannot be read or `out` not be written.
pub fn text(out: &mut dyn Write, ledger: &Ledger, query: &Query, screen: Screen) -> Result<(), Error> {
    let mut lines = Vec::new();
    let tally = select(ledger, query, &mut |row| lines.push(line(row)))?;
    let mut page = if lines.is_empty() { "no runs\n".to_string() } else { table(&lines, screen) };
    if tally.bad > 0 {
        let _ = writeln!(page, "{} of the ledger held no record", Count::of(tally.bad, "line"));
    }
    if tally.is_cut {
        page.push_str("older records were not looked at: too many bytes or bad lines\n");
    }
    emit(out, &page).context(Kind::Io, || "cannot write the log".to_string())
}

/// Writes one JSON object, `{"runs": […], "bad_lines": n, "is_cut": bool}`: the records as they stand in the ledger.
///
/// # Errors
/// As [`text`].
pub fn json(out: &mut dyn Write, ledger: &Ledger, query: &Query) -> Result<(), Error> {
    let mut document = "{\"runs\":[".to_string();
    let mut comma = "";
    let tally = select(ledger, query, &mut |row| {
        document.push_str(comma);
        document.push_str(row.line);
        comma = ",";
    })?;
    let _ = writeln!(document, "],\"bad_lines\":{},\"is_cut\":{}}}", tally.bad, tally.is_cut);
    emit(out, &in_json(&document)).context(Kind::Io, || "cannot write the log".to_string())
}

/// Writes the runs that are there, oldest first, and then each that ends, until a signal comes or nobody reads any more.
/// As JSON each is a line, as it stands in the ledger. The order is that of the records' numbers, so a file that is
/// rotated meanwhile makes no difference; one that was taken away begins anew.
fn follow(
    out: &mut dyn Write,
    ledger: &Ledger,
    query: &Query,
    is_json: bool,
    screen: Screen,
    stop: &Stop,
) -> Result<u8, Error> {
    let shown = |row: &Row| (row.line.to_string(), line(row));
    let (mut rows, mut last) = (Vec::new(), 0);
    ledger.recent(1, &mut |row| {
        last = row.seq;
        false
    })?;
    // What comes in between has a larger number and is shown in its turn.
    select(ledger, query, &mut |row| {
        if row.seq <= last {
            rows.push(shown(row));
        }
    })?;
    let lines: Vec<&Line> = rows.iter().map(|(_, line)| line).collect();
    let layout = Layout::of(&lines, screen.columns);
    let mut page = if is_json { String::new() } else { layout.header(screen) };
    loop {
        for (json, line) in rows.drain(..).rev() {
            let _ = if is_json {
                writeln!(page, "{}", in_json(&json))
            } else {
                writeln!(page, "{}", layout.shown(&line, screen))
            };
        }
        emit(out, &page).context(Kind::Io, || "cannot write the log".to_string())?;
        page.clear();
        while rows.is_empty() {
            match stop.sleep(POLL) {
                Some(StopReason::Signal(signal)) => return Ok(128 + signal),
                Some(StopReason::Canceled | StopReason::Deadline) => return Ok(0),
                None if tty::is_out_closed() => return Ok(0),
                None => {}
            }
            let (from, mut newest) = (last, None);
            ledger.recent(usize::MAX, &mut |row| {
                let begins_again = *newest.get_or_insert(row.seq) < from;
                let is_new = row.seq > from || begins_again;
                if is_new && query.wants(row) {
                    rows.push(shown(row));
                }
                is_new
            })?;
            last = newest.unwrap_or(last);
        }
    }
}

impl Query<'_> {
    fn wants(&self, row: &Row) -> bool {
        let is_recent = |since: Utc| Utc::parse(&row.timestamp).is_some_and(|time| time >= since);
        self.route.is_none_or(|route| route == row.route)
            && self.since.is_none_or(is_recent)
            && (row.is_failed() || !self.failed)
            && self.workdir.is_none_or(|dir| Path::new(row.workdir.as_ref()).starts_with(dir))
            && self.grep.is_none_or(|text| row.line.to_lowercase().contains(text))
    }
}

/// Calls `each` with every run that is wanted. The clock may have jumped between runs, so an old one does not end the
/// search.
fn select(ledger: &Ledger, query: &Query, each: &mut dyn FnMut(&Row)) -> Result<Tally, Error> {
    let mut left = query.n;
    if left == 0 {
        return Ok(Tally::default());
    }
    ledger.recent(usize::MAX, &mut |row| {
        if query.wants(row) {
            each(row);
            left -= 1;
        }
        left > 0
    })
}

#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
fn line(row: &Row) -> Line {
    let text = |text: &str| one_line(text).into_owned();
    let time: String = row.timestamp.chars().take(19).map(|c| if c == 'T' { ' ' } else { c }).collect();
    let proof = match row.verify_ok {
        Some(true) => "passed",
        Some(false) => "failed",
        None => "-",
    };
    let reason = match &row.refused {
        Some(refused) => format!("{} ({refused})", row.reason),
        None => row.reason.to_string(),
    };
    let cells = [
        text(&row.run_id),
        text(&time),
        // A hook says more than that its record is an answer.
        text(row.hook.as_deref().unwrap_or(&row.kind)),
        text(&row.route),
        text(&reason),
        proof.to_string(),
        row.n_files().to_string(),
        format!("{:.1}", row.duration_ms as f64 / 1000.0),
        text(&row.workdir),
    ];
    Line { cells, is_failed: row.is_failed() }
}

fn table(lines: &[Line], screen: Screen) -> String {
    let layout = Layout::of(&lines.iter().collect::<Vec<_>>(), screen.columns);
    let mut page = layout.header(screen);
    for line in lines {
        page.push_str(&layout.shown(line, screen));
        page.push('\n');
    }
    page
}

impl Layout {
    /// Fits the columns to the lines and the lines to a terminal, if there is one.
    fn of(lines: &[&Line], terminal: Option<usize>) -> Layout {
        let widest = |(at, (column, name)): (usize, &(Column, &str))| {
            let cells = lines.iter().filter_map(|line| line.cells.get(at)).map(|cell| width(cell));
            (*column, cells.max().unwrap_or(0).max(width(name)))
        };
        let columns = COLUMNS.iter().enumerate().map(widest).collect();
        let mut layout = Layout { columns, is_time_short: false };
        let Some(terminal) = terminal else { return layout };
        layout.shrink(Workdir, SHORTEST_PATH, terminal);
        for column in DISPENSABLE {
            if layout.fits(terminal) {
                return layout;
            }
            layout.columns.retain(|(kept, _)| *kept != column);
            if column == Workdir {
                // 11-23 02:54
                layout.is_time_short = true;
                layout.shrink(Time, 11, 0);
            }
        }
        layout.shrink(Reason, REASON.1, terminal);
        layout
    }

    /// Whether the lines fit, where need be with shorter reasons.
    fn fits(&mut self, terminal: usize) -> bool {
        let excess = self.total().saturating_sub(terminal);
        let reason = self.columns.iter().find(|(column, _)| *column == Reason).map_or(0, |(_, width)| *width);
        let is_enough = excess == 0 || reason >= excess + REASON.0;
        if is_enough {
            self.shrink(Reason, REASON.0, terminal);
        }
        is_enough
    }

    /// Makes a column narrower, as far as `least`, where the line is longer than the terminal.
    fn shrink(&mut self, column: Column, least: usize, terminal: usize) {
        let excess = self.total().saturating_sub(terminal);
        if let Some((_, width)) = self.columns.iter_mut().find(|(kept, _)| *kept == column) {
            *width = width.saturating_sub(excess).max(least.min(*width));
        }
    }

    /// The longest line.
    fn total(&self) -> usize {
        self.columns.iter().map(|(_, width)| width + 2).sum::<usize>().saturating_sub(2)
    }

    fn header(&self, screen: Screen) -> String {
        let names = Line { cells: COLUMNS.map(|(_, name)| name.to_string()), is_failed: false };
        format!("{}\n", screen.paint(Colour::Bold, &self.cells(&names, screen)))
    }

    /// A line of the table; one that failed in red.
    fn shown(&self, line: &Line, screen: Screen) -> String {
        let text = self.cells(line, screen);
        if line.is_failed { screen.paint(Colour::Red, &text) } else { text }
    }

    /// Aligns the columns: numbers to the right, the last column is not padded.
    fn cells(&self, line: &Line, screen: Screen) -> String {
        let mut text = String::new();
        for (column, columns) in &self.columns {
            let cell = COLUMNS.iter().position(|(named, _)| named == column).and_then(|at| line.cells.get(at));
            let cell = cell.map_or("", String::as_str);
            let is_long = screen.columns.is_some() && width(cell) > *columns;
            let blanks = " ".repeat(columns.saturating_sub(width(cell)));
            let _ = match column {
                Files | Seconds => write!(text, "{blanks}{cell}  "),
                // The end of a path says more than its beginning.
                Workdir if is_long => write!(text, "{}", cut_begin(cell, *columns)),
                Workdir => write!(text, "{cell}"),
                Time if self.is_time_short => {
                    write!(text, "{}  ", pad(cell.get(5..16).unwrap_or(cell), *columns))
                }
                _ if is_long => write!(text, "{}  ", pad(cell, *columns)),
                Id | Time | KindOf | Route | Reason | Proof => write!(text, "{cell}{blanks}  "),
            };
        }
        let text = text.trim_end();
        screen.columns.map_or_else(|| text.to_string(), |columns| cut(text, columns))
    }
}

/// Returns the end of a text that takes at most so many columns, behind `…`.
fn cut_begin(text: &str, columns: usize) -> String {
    let mut left = columns.saturating_sub(1);
    let mut at = text.len();
    for (start, c) in text.char_indices().rev() {
        match left.checked_sub(crate::rules::width::of(c)) {
            Some(rest) => (left, at) = (rest, start),
            None => break,
        }
    }
    format!("…{}", text.get(at..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::ledger::Limits;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    const ALL: Query = Query { n: 20, route: None, failed: false, since: None, workdir: None, grep: None };

    /// A ledger of its own for each test, gone afterwards.
    struct Temp(PathBuf, Ledger);

    impl Temp {
        fn new(name: &str, lines: &[&str]) -> Temp {
            let dir = std::env::temp_dir().join(format!("mux-log-{name}-{}", std::process::id()));
            fs_err::create_dir_all(&dir).unwrap();
            let path = dir.join("run_ledger.jsonl");
            fs_err::write(&path, lines.concat()).unwrap();
            fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            Temp(dir, Ledger::open(path, Limits { max_bytes: 0, max_rotated_files: 1, sync: false }))
        }
    }

    impl Drop for Temp {
        fn drop(&mut self) {
            let _ = fs_err::remove_dir_all(&self.0);
        }
    }

    const A: &str = "{\"run_id\":\"01A\",\"timestamp\":\"2026-11-20T02:54:00.123Z\",\"kind\":\"answer\",\
        \"route\":\"local\",\"reason\":\"confident\",\"workdir\":\"/home/u/a\",\"duration_ms\":900}\n";
    const B: &str = "{\"run_id\":\"01B\",\"timestamp\":\"2026-11-22T10:00:00.000Z\",\"kind\":\"change\",\
        \"route\":\"none\",\"reason\":\"verify_failed\",\"refused\":\"no_provider\",\"verify_ok\":false,\
        \"workdir\":\"/w\\u001b[2J\\n\u{202e}\",\
        \"duration_ms\":65432}\n";
    const C: &str = "{\"run_id\":\"01C\",\"timestamp\":\"2026-11-23T02:54:00.123Z\",\"kind\":\"change\",\
        \"route\":\"local\",\"reason\":\"verified\",\"verify_ok\":true,\"files\":[{},{}],\
        \"workdir\":\"/home/u/é\",\"duration_ms\":12400}\n";

    #[track_caller]
    fn check(ledger: &Ledger, query: Query, expected: &str) {
        let mut out = Vec::new();
        text(&mut out, ledger, &query, Screen::default()).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[track_caller]
    fn check_ids(ledger: &Ledger, query: Query, expected: &[&str]) {
        let mut out = Vec::new();
        json(&mut out, ledger, &query).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let ids: Vec<_> =
            document["runs"].as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap()).collect();
        assert_eq!(ids, expected);
    }

    #[test]
    fn columns_are_aligned_and_texts_are_harmless() {
        let temp = Temp::new("table", &[A, B, "half a line\n", C]);
        let expected = "\
run_id  time (UTC)           kind    route  reason                       proof   files  seconds  workdir
01C     2026-11-23 02:54:00  change  local  verified                     passed      2     12.4  /home/u/é
01B     2026-11-22 10:00:00  change  none   verify_failed (no_provider)  failed      0     65.4  /w\\x1b[2J\\n\\u{202e}
01A     2026-11-20 02:54:00  answer  local  confident                    -           0      0.9  /home/u/a
1 line of the ledger held no record
";
        check(&temp.1, ALL, expected);
    }

    #[test]
    fn runs_are_selected() {
        let temp = Temp::new("select", &[A, B, C]);
        check_ids(&temp.1, ALL, &["01C", "01B", "01A"]);
        check_ids(&temp.1, Query { n: 2, ..ALL }, &["01C", "01B"]);
        check_ids(&temp.1, Query { n: 0, ..ALL }, &[]);
        check_ids(&temp.1, Query { n: 1, route: Some("none"), ..ALL }, &["01B"]);
        check_ids(&temp.1, Query { failed: true, ..ALL }, &["01B"]);
        check_ids(&temp.1, Query { since: Utc::parse("2026-11-22T10:00:00Z"), ..ALL }, &["01C", "01B"]);
        check_ids(&temp.1, Query { route: Some("local"), since: Utc::parse("2026-11-21T00:00:00Z"), ..ALL }, &["01C"]);
        check(&temp.1, Query { route: Some("codex"), ..ALL }, "no runs\n");
    }

    #[test]
    fn runs_are_found_by_directory_and_by_text() {
        let temp = Temp::new("found", &[A, B, C]);
        check_ids(&temp.1, Query { workdir: Some(Path::new("/home/u")), ..ALL }, &["01C", "01A"]);
        check_ids(&temp.1, Query { workdir: Some(Path::new("/home/u/a")), ..ALL }, &["01A"]);
        check_ids(&temp.1, Query { workdir: Some(Path::new("/home/u/")), ..ALL }, &["01C", "01A"]);
        check_ids(&temp.1, Query { workdir: Some(Path::new("/hom")), ..ALL }, &[]);
        check_ids(&temp.1, Query { grep: Some(&needle("VERIF")), ..ALL }, &["01C", "01B"]);
        check_ids(&temp.1, Query { grep: Some(&needle("/home/u/\u{c9}")), ..ALL }, &["01C"]);
        check_ids(&temp.1, Query { grep: Some(&needle("\"")), ..ALL }, &[]);
    }

    #[test]
    fn lines_are_fitted_to_a_terminal() {
        let mut temp = Vec::new();
        let id = "01M83B56WQR58GX95Z0TR9E81E";
        for line in [A, B, C] {
            temp.push(line.replacen("01", &id[..25], 1));
        }
        let temp = Temp::new("narrow", &temp.iter().map(String::as_str).collect::<Vec<_>>());
        let page = |columns| {
            let mut out = Vec::new();
            text(&mut out, &temp.1, &ALL, Screen { columns: Some(columns), colour: false }).unwrap();
            String::from_utf8(out).unwrap()
        };
        for columns in [10, 26, 40, 60, 80, 100, 120, 200] {
            for line in page(columns).lines() {
                assert!(width(line) <= columns, "{columns}: {line:?}");
            }
        }
        let expected = "\
run_id                      time (UTC)   kind    route  reason
01M83B56WQR58GX95Z0TR9E81C  11-23 02:54  change  local  verified
01M83B56WQR58GX95Z0TR9E81B  11-22 10:00  change  none   verify_failed (no_provi…
01M83B56WQR58GX95Z0TR9E81A  11-20 02:54  answer  local  confident
";
        assert_eq!(page(80), expected);
        let expected = "\
run_id                      reason
01M83B56WQR58GX95Z0TR9E81C  verified
01M83B56WQR58GX95Z0TR9E81B  verify_fail…
01M83B56WQR58GX95Z0TR9E81A  confident
";
        assert_eq!(page(40), expected);
        assert_eq!(cut_begin("/home/中文/ab", 7), "…文/ab");
    }

    #[test]
    fn json_holds_the_records_as_they_are() {
        let temp = Temp::new("json", &[A, B, "torn"]);
        let mut out = Vec::new();
        json(&mut out, &temp.1, &ALL).unwrap();
        let expected = format!("{{\"runs\":[{},{}],\"bad_lines\":1,\"is_cut\":false}}\n", B.trim_end(), A.trim_end());
        assert_eq!(String::from_utf8(out).unwrap(), expected.replace('\u{202e}', "\\u202e"));
    }

    #[test]
    fn no_ledger_is_no_runs() {
        let ledger =
            Ledger::open("/nowhere/at/all.jsonl".into(), Limits { max_bytes: 0, max_rotated_files: 1, sync: false });
        check(&ledger, ALL, "no runs\n");
        check_ids(&ledger, ALL, &[]);
    }
}
