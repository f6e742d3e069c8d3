//! What is counted of small ledgers.

use super::*;

const LIMITS: Limits = Limits { newest: 3, explained: 1, top: 2 };

/// A record: what differs from a plain one that stays home is given as JSON fields, which come last and win.
fn line(number: u64, fields: &str) -> String {
    let comma = if fields.is_empty() { "" } else { "," };
    format!(
        "{{\"run_id\":\"01M8DPZBEQVVDQ2YZ4GF17T7Y{number}\",\"timestamp\":\"2026-11-2{number}T12:00:00.000Z\",\
         \"kind\":\"change\",\"route\":\"local\",\"reason\":\"verified\",\"workdir\":\"/w\",\"duration_ms\":{number}000{comma}{fields}}}"
    )
}

/// Reads lines, newest first.
fn read(lines: &[String]) -> Report {
    let mut report = Report::new(LIMITS);
    for line in lines {
        report.add(&Run::parse(line).unwrap(), &|line| Some(format!("{} bytes", line.len())));
    }
    report
}

fn tries(verdicts: &[(f64, &str)]) -> String {
    let attempt = |(score, verdict): &(f64, &str)| {
        format!(
            "{{\"route\":\"local\",\"model\":\"m\",\"confidence\":{score},\"verdict\":\"{verdict}\",\"tokens_per_sec\":12.5}}"
        )
    };
    let all: Vec<String> = verdicts.iter().map(attempt).collect();
    format!("\"attempts\":[{}]", all.join(","))
}

#[test]
fn a_run_ends_in_one_of_four_places() {
    let check = |fields: &str, expected: End| {
        let report = read(&[line(1, fields)]);
        assert_eq!(report.points.iter().map(|point| point.end).collect::<Vec<_>>(), [expected], "{fields}");
    };
    check("", End::Home);
    check("\"verify_ok\":true", End::Home);
    check("\"cloud\":{\"calls\":1,\"bytes\":5}", End::Helped);
    check("\"route\":\"claude\",\"cloud\":{\"calls\":1}", End::Cloud);
    check("\"route\":\"none\"", End::NotDone);
    check("\"verify_ok\":false", End::NotDone);
    assert!(read(&[line(1, "\"kind\":\"undo\"")]).points.is_empty());
}

#[test]
fn tries_are_counted_until_the_first_that_is_green() {
    let report = read(&[
        line(6, &tries(&[(0.91, "passed")])),
        line(5, &tries(&[(0.34, "failed"), (0.95, "failed"), (0.97, "passed"), (0.2, "failed")])),
        line(4, &tries(&[(0.05, "failed"), (1.0, "unproven")])),
        line(3, &tries(&[(0.5, "skipped")])),
        line(2, &tries(&[(0.9, "failed"); 9])),
        line(1, ""),
    ]);
    assert_eq!((report.green_at, report.never_green), ([1, 0, 1, 0, 0, 0, 0, 0], 2));
    let tenths: Vec<(u64, u64)> = report.tenths.iter().map(|tenth| (tenth.tries, tenth.green)).collect();
    assert_eq!(tenths, [(1, 0), (0, 0), (1, 0), (1, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (12, 2)]);
    let model = report.ranked_models()[0];
    assert_eq!((model.route.as_str(), model.name.as_str(), model.tries, model.failed), ("local", "m", 17, 0));
    assert_eq!(model.speed.at([50]), Some([12_500]));
}

#[test]
fn an_undo_marks_the_run_it_took_back_unless_it_was_undone_itself() {
    let undo =
        |number: u64, of: u64| line(number, &format!("\"kind\":\"undo\",\"undoes\":\"01M8DPZBEQVVDQ2YZ4GF17T7Y{of}\""));
    let report = read(&[undo(2, 1), line(1, "")]);
    let marks: Vec<bool> = report.newest.iter().map(|entry| entry.is_undone).collect();
    assert_eq!((marks, report.n_undone, report.summary.runs), (vec![false, true], 1, 1));
    let report = read(&[undo(3, 2), undo(2, 1), line(1, "")]);
    let marks: Vec<bool> = report.newest.iter().map(|entry| entry.is_undone).collect();
    assert_eq!((marks, report.n_undone), (vec![false, true, false], 0));
}

#[test]
fn lists_are_as_long_as_they_may_be_and_the_greatest_come_first() {
    let cloud = |usd: f64, bytes: u64| format!("\"cloud\":{{\"calls\":1,\"bytes\":{bytes},\"usd\":{usd}}}");
    let report = read(&[
        line(5, &cloud(0.0, 900)),
        line(4, &cloud(0.02, 1)),
        line(3, &format!("{},\"duration_ms\":9000", cloud(0.0, 901))),
        line(2, ""),
        line(1, "\"duration_ms\":9000"),
    ]);
    let newest: Vec<String> = report.newest.iter().map(|entry| entry.time.day()).collect();
    let times = |list: &[(u64, Entry)]| list.iter().map(|(_, entry)| entry.time.day()).collect::<Vec<_>>();
    assert_eq!(newest, ["2026-11-25", "2026-11-24", "2026-11-23"]);
    assert_eq!(times(&report.slowest), ["2026-11-23", "2026-11-21"]);
    assert_eq!(times(&report.dearest), ["2026-11-24", "2026-11-23"]);
    let explained: Vec<bool> = report.newest.iter().map(|entry| entry.why.is_some()).collect();
    assert_eq!(explained, [true, false, false]);
}

#[test]
fn a_line_without_a_time_or_with_wrong_types_is_read_for_what_it_holds() {
    assert!(Run::parse(&line(1, "\"timestamp\":\"yesterday\"")).is_none());
    assert!(Run::parse("{\"run_id\":\"x\"}").is_none());
    let odd = line(1, "\"attempts\":{\"a\":1},\"confidence\":\"high\",\"duration_ms\":-1");
    let report = read(&[odd, line(2, "\"attempts\":[1,null,[],{\"verdict\":7,\"model\":null}]")]);
    assert_eq!((report.points.len(), report.models.len()), (2, 1));
}
