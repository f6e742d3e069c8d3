//! `mux log`: recent runs, newest first, as a table or as JSON. Reads only.

use crate::engine::look::{self, Look};
use crate::engine::run::House;
use crate::face::args::LogArgs;
use crate::face::status::emit;
use crate::rules::config::Tools;
use crate::rules::escape::{in_json, one_line};
use crate::rules::nearest::nearest;
use crate::rules::stats::Row;
use crate::sys::ledger::{Ledger, Tally};
use crate::words::error::{Context, Error, Kind};
use crate::words::time::Utc;
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

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
}

const HEADER: [&str; 9] = ["run_id", "time (UTC)", "kind", "route", "reason", "proof", "files", "seconds", "workdir"];

/// Selects and prints. Returns the exit code.
///
/// # Errors
/// A configuration or a ledger that cannot be read; output that cannot be written.
pub fn run(house: &House<'_>, project: Option<&Path>, args: &LogArgs, out: &mut dyn Write) -> Result<u8, Error> {
    let Look { ledger, settings, .. } = look::look(house, project)?;
    if let Some(route) = &args.route {
        check_route(route, &settings.config.providers.sota_cli.tools)?;
    }
    let since = args.since_ms.map(|span| Utc(house.env.now.0.saturating_sub(span)));
    let query = Query { n: args.n, route: args.route.as_deref(), failed: args.failed, since };
    if args.json {
        json(out, &ledger, &query)?;
    } else {
        text(out, &ledger, &query)?;
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

/// Writes a table. A last line tells what was not read, if anything.
///
/// # Errors
/// `Io` when the ledger cannot be read or `out` not be written.
pub fn text(out: &mut dyn Write, ledger: &Ledger, query: &Query) -> Result<(), Error> {
    let mut rows = vec![HEADER.map(str::to_string)];
    let tally = select(ledger, query, &mut |row| rows.push(cells(row)))?;
    let mut page = if rows.len() > 1 { table(&rows) } else { "no runs\n".to_string() };
    if tally.bad > 0 {
        let _ = writeln!(page, "{} lines of the ledger are no records", tally.bad);
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

/// Calls `each` with every run that is wanted. The clock may have jumped between runs, so an old one does not end the
/// search.
fn select(ledger: &Ledger, query: &Query, each: &mut dyn FnMut(&Row)) -> Result<Tally, Error> {
    let mut left = query.n;
    if left == 0 {
        return Ok(Tally::default());
    }
    ledger.recent(usize::MAX, &mut |row| {
        let is_route = query.route.is_none_or(|route| route == row.route);
        let is_recent = query.since.is_none_or(|since| Utc::parse(&row.timestamp).is_some_and(|time| time >= since));
        if is_route && is_recent && (row.is_failed() || !query.failed) {
            each(row);
            left -= 1;
        }
        left > 0
    })
}

#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
fn cells(row: &Row) -> [String; 9] {
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
    [
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
    ]
}

/// Aligns columns: numbers to the right, the last column is not padded. Widths are counted in characters.
fn table(rows: &[[String; 9]]) -> String {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: [usize; 9] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let mut page = String::new();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let _ = match column {
                6 | 7 => write!(page, "{cell:>width$}  "),
                8 => writeln!(page, "{cell}"),
                _ => write!(page, "{cell:width$}  "),
            };
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::ledger::Limits;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    const ALL: Query = Query { n: 20, route: None, failed: false, since: None };

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
        text(&mut out, ledger, &query).unwrap();
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
1 lines of the ledger are no records
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
