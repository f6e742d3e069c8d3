//! `mux doctor`: the checks as lines or as JSON. Decides nothing.

use crate::engine::doctor::{Report, State};
use crate::engine::look;
use crate::engine::run::House;
use crate::rules::escape::{in_json, one_line};
use crate::words::error::{Context, Error, Kind};
use crate::words::event::Watcher;
use crate::words::stop::Stop;
use std::io::{self, Write};
use std::path::Path;

/// Examines and prints; with a watcher providers are called too. Returns the exit code; after a signal nothing is printed.
///
/// # Errors
/// A configuration or a state directory that cannot be read; output that cannot be written.
pub fn run(
    house: &House<'_>,
    project: Option<&Path>,
    deep: Option<&mut dyn Watcher>,
    json: bool,
    out: &mut dyn Write,
    stop: &Stop,
) -> Result<u8, Error> {
    let report = look::examine(house, project, deep, stop)?;
    // What was not looked at any more would be told as missing.
    if let Some(code) = stop.signal_code() {
        return Ok(code);
    }
    doctor(&report, json, out).context(Kind::Io, || "cannot write the report".to_string())
}

/// Prints the report and returns the exit code: 0 if some route can work, else 1.
///
/// # Errors
/// When `out` can't be written.
pub fn doctor(report: &Report, json: bool, out: &mut dyn Write) -> io::Result<u8> {
    // Names of models and words of servers are in there: nothing of it may steer a terminal, nor whatever reads the JSON.
    if json {
        writeln!(out, "{}", in_json(&serde_json::to_string(report)?))?;
    } else {
        for check in &report.checks {
            let state = match check.state {
                State::Ok => "ok",
                State::Warn => "warn",
                State::Fail => "FAIL",
            };
            write!(out, "{state:<4}  {:<7}  {}", check.name, one_line(&check.text))?;
            match &check.fix {
                Some(fix) => writeln!(out, "; fix: {}", one_line(fix))?,
                None => writeln!(out)?,
            }
        }
        writeln!(out, "{}", if report.usable { "mux can work" } else { "no route can work" })?;
    }
    Ok(u8::from(!report.usable))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::doctor::Check;

    #[track_caller]
    fn check(usable: bool, json: bool, code: u8, expected: &str) {
        let line = |state, text: &str, fix: Option<&str>| Check {
            name: "server",
            state,
            text: text.into(),
            fix: fix.map(String::from),
        };
        let checks =
            vec![line(State::Ok, "up", None), line(State::Fail, "evil \x1b[2J\u{9b}1m\u{202e} `m`\n", Some("a\rb"))];
        let mut out = Vec::new();
        assert_eq!(doctor(&Report { usable, checks }, json, &mut out).unwrap(), code);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_failing_line_ends_with_its_fix() {
        let lines = "ok    server   up\nFAIL  server   evil \\x1b[2J\\u{9b}1m\\u{202e} `m`\\n; fix: a\\rb\n";
        check(true, false, 0, &format!("{lines}mux can work\n"));
        check(false, false, 1, &format!("{lines}no route can work\n"));
    }

    #[test]
    fn json_holds_the_same() {
        let first = r#"{"name":"server","state":"ok","text":"up","fix":null}"#;
        let second = r#"{"name":"server","state":"fail","text":"evil \u001b[2J\u009b1m\u202e `m`\n","fix":"a\rb"}"#;
        check(false, true, 1, &format!("{{\"usable\":false,\"checks\":[{first},{second}]}}\n"));
    }
}
