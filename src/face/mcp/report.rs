//! What a tool answers: one report, whole in the text and whole as structured content, within what clients show.
//!
//! Claude and codex give their model only the structured content, gemini only the text (measured); hence both say all.
//! A failure is all text: what stands beside `isError` is checked against the output schema by some and dropped by
//! others.

use crate::face::print::cloud_line;
use crate::rules::escape::plain;
use crate::rules::from_json;
use crate::rules::rpc::json;
use crate::words::count::Count;
use crate::words::error::Error;
use crate::words::record::CloudUse;
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::path::Path;

/// Bytes of the free text of an answer. With the rest it stays below 20 000 tokens of 3.5 bytes; clients cut at 25 000.
const MOST_OUTPUT: usize = 40_000;
/// Bytes of the diff.
const MOST_DIFF: usize = 16_000;
/// Of a text that is cut, this part is taken from its end.
const END: usize = 4;
/// Entries of a list.
const MOST_ITEMS: usize = 200;

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub text: String,
    /// JSON; `None` for a failure.
    pub structured: Option<String>,
}

impl Report {
    /// Returns a report of values that are complete in both forms.
    pub fn of(value: &Value) -> Report {
        let text = json(value);
        Report { structured: Some(text.clone()), text }
    }

    /// Returns a failure.
    pub fn failed(what: &str) -> Report {
        Report { text: format!("ERROR: {}", plain(what)), structured: None }
    }

    /// Returns an error of mux.
    pub fn error(error: &Error) -> Report {
        Report::failed(&in_keys(&error.told()))
    }

    /// Returns what is said of a run that goes on.
    pub fn running(run_id: &str, doing: &str, seconds: u64) -> Report {
        let output = format!(
            "Not finished after {seconds} s ({doing}); the run goes on. To wait for its result, call mux_json with \
             payload_json {{\"run_id\":\"{run_id}\"}}. Do not start the task again, and do not edit the same files \
             meanwhile."
        );
        let mut fields = Map::new();
        fields.insert("status".into(), "running".into());
        fields.insert("run_id".into(), run_id.into());
        fields.insert("output".into(), output.into());
        Report::of(&Value::Object(fields))
    }

    /// Returns the report of a run that is over, from the object that `run --json` prints. `full` is the file that
    /// holds everything, named where something was cut.
    pub fn ended(outcome: &Value, full: &Path) -> Report {
        let fields = fields(outcome, full);
        if fields.get("status").is_some_and(|status| status == "done") {
            return Report::of(&Value::Object(fields));
        }
        let is_answer = fields.get("kind").is_some_and(|kind| kind == "answer");
        let mut text = if is_answer {
            "ERROR: no answer was accepted; `output` is what there is.\n".to_string()
        } else {
            "ERROR: the task is not done; the files are as they were before.\n".to_string()
        };
        for name in ORDER {
            match fields.get(name) {
                None => {}
                Some(Value::Array(items)) => {
                    for item in items {
                        let _ = writeln!(text, "{name}: {}", item.as_str().unwrap_or_default());
                    }
                }
                Some(Value::String(long)) if long.contains('\n') => {
                    let _ = writeln!(text, "{name}:\n{}", long.trim_end());
                }
                Some(Value::String(short)) => {
                    let _ = writeln!(text, "{name}: {short}");
                }
                Some(other) => {
                    let _ = writeln!(text, "{name}: {other}");
                }
            }
        }
        Report { text: plain(&text).into_owned(), structured: None }
    }

    /// Returns the `result` of a call as JSON. `extra` is what a revision adds, beginning with a comma.
    pub fn result(&self, extra: &str) -> String {
        let text = json(&self.text);
        let structured =
            self.structured.as_ref().map(|json| format!(",\"structuredContent\":{json}")).unwrap_or_default();
        let is_error = self.structured.is_none();
        format!("{{\"content\":[{{\"type\":\"text\",\"text\":{text}}}]{structured},\"isError\":{is_error}{extra}}}")
    }
}

/// The names of a report in the order of reading.
const ORDER: [&str; 19] = [
    "status",
    "run_id",
    "kind",
    "route",
    "model",
    "reason",
    "refused",
    "workdir",
    "verify",
    "files",
    "cloud",
    "cloud_bytes",
    "remote",
    "output",
    "notes",
    "proposed_commands",
    "hints",
    "diff",
    "full_result",
];

fn fields(outcome: &Value, full: &Path) -> Map<String, Value> {
    let mut fields = Map::new();
    let text = |pointer: &str| outcome.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let is_done = outcome.pointer("/exit").and_then(Value::as_u64) == Some(0);
    let is_logged = outcome.pointer("/logged").and_then(Value::as_bool).unwrap_or(true);
    fields.insert("status".into(), if is_done { "done" } else { "not_done" }.into());
    for name in ["run_id", "kind", "route", "model", "reason", "refused", "workdir", "remote"] {
        let value = text(&format!("/{name}"));
        if !value.is_empty() {
            fields.insert(name.into(), value.into());
        }
    }
    let summary = text("/verify/summary");
    let summary = if summary.is_empty() { String::new() } else { format!(" ({summary})") };
    fields.insert("verify".into(), format!("{}{summary}", text("/verify/verdict")).into());
    let files = outcome.pointer("/files/list").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let file = |file: &Value| {
        let bytes = file.pointer("/bytes").and_then(Value::as_u64).unwrap_or(0);
        let text = |name: &str| file.pointer(name).and_then(Value::as_str).unwrap_or_default().to_string();
        Value::from(format!("{} {} ({})", text("/op"), text("/path"), Count::of(bytes, "byte")))
    };
    let mut is_cut = false;
    let mut list = |name: &str, items: Vec<Value>| {
        is_cut |= items.len() > MOST_ITEMS;
        if !items.is_empty() {
            fields.insert(name.into(), items.into_iter().take(MOST_ITEMS).collect());
        }
    };
    list("files", files.iter().map(file).collect());
    for name in ["notes", "proposed_commands", "hints"] {
        let items = outcome.pointer(&format!("/{name}")).and_then(Value::as_array).cloned().unwrap_or_default();
        let says = |item: Value| if name == "proposed_commands" { item } else { item.as_str().map(in_keys).into() };
        list(name, items.into_iter().map(says).collect());
    }
    let cloud = outcome.get("cloud").map(ToString::to_string);
    let cloud: CloudUse = cloud.and_then(|cloud| from_json::read(cloud.as_bytes()).ok()).unwrap_or_default();
    fields.insert("cloud".into(), cloud_line(&cloud).into());
    fields.insert("cloud_bytes".into(), cloud.bytes.into());
    let mut output = cut(text("/output"), MOST_OUTPUT, &mut is_cut);
    if is_done && !is_logged {
        output = format!("Done, but not recorded in the ledger.\n{output}");
    }
    fields.insert("output".into(), output.into());
    let diff = cut(text("/diff"), MOST_DIFF, &mut is_cut);
    if !diff.is_empty() {
        fields.insert("diff".into(), diff.into());
    }
    if is_cut {
        fields.insert("full_result".into(), full.to_string_lossy().into());
    }
    fields
}

/// What the command line calls a thing, and what a client calls it: a model does what an error tells it.
const KEYS: [(&str, &str); 11] = [
    ("`mux run -C DIR …`", "`workdir`"),
    ("`--workdir DIR`", "`workdir`"),
    ("`--workdir`", "`workdir`"),
    ("`--deadline SECONDS`", "`deadline_sec`"),
    ("`--change` or `--answer` decides", "`kind` of mux_json decides"),
    ("`--route`", "`route`"),
    ("`--verify`", "`verify`"),
    ("`--verify-with`", "`verify_with`"),
    ("`--file ", "`files`: `"),
    ("`--file`", "`files`"),
    ("`--local-only`", "`local_only`"),
];

/// Returns a text of mux with the options of the command line as the keys that a client has.
fn in_keys(text: &str) -> String {
    KEYS.iter().fold(text.to_string(), |text, (option, key)| text.replace(option, key))
}

/// Returns whether the report of a run leaves something out.
pub fn is_cut(outcome: &Value) -> bool {
    fields(outcome, Path::new("")).contains_key("full_result")
}

/// Returns everything that a report may leave out, as a page to read.
pub fn in_full(outcome: &Value) -> String {
    let text = |name: &str| plain(outcome.get(name).and_then(Value::as_str).unwrap_or_default()).into_owned();
    let files = outcome.pointer("/files/list").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let files: Vec<String> = files.iter().map(|file| file.to_string() + "\n").collect();
    format!("{}\n\n{}\n{}", text("output"), files.concat(), text("diff"))
}

/// The beginning and the end of a text that is too long; what is left out is counted.
fn cut(text: &str, most: usize, is_cut: &mut bool) -> String {
    let text = plain(text.trim_end());
    if text.len() <= most {
        return text.into_owned();
    }
    *is_cut = true;
    let head = text.get(..text.floor_char_boundary(most - most / END)).unwrap_or_default();
    let tail = text.get(text.ceil_char_boundary(text.len() - most / END)..).unwrap_or_default();
    format!("{head}\n[… {} bytes are left out here; see `full_result` …]\n{tail}", text.len() - head.len() - tail.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn outcome(exit: u8, output: &str) -> Value {
        json!({
            "run_id": "01X", "route": "local", "model": "m", "reason": "verified", "refused": null, "kind": "change",
            "workdir": "/w", "verify": {"verdict": "passed", "summary": "make test, 1.2 s"}, "exit": exit,
            "files": {"list": [{"path": "a.py", "op": "create", "bytes": 7}]}, "cloud": {"calls": 0, "bytes": 0, "usd": 0.0},
            "output": output, "diff": null, "hints": ["try\u{1b}[2J"], "notes": [], "logged": true,
        })
    }

    #[test]
    fn what_is_done_is_whole_in_both_forms() {
        let report = Report::ended(&outcome(0, "ok\n"), Path::new("/r"));
        let structured: Value = serde_json::from_str(report.structured.as_deref().unwrap()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&report.text).unwrap(), structured);
        let expected = json!({
            "status": "done", "run_id": "01X", "kind": "change", "route": "local", "model": "m", "reason": "verified",
            "workdir": "/w", "verify": "passed (make test, 1.2 s)", "files": ["create a.py (7 bytes)"],
            "hints": ["try\u{1b}[2J"], "cloud": "0 bytes sent", "cloud_bytes": 0, "output": "ok",
        });
        assert_eq!(structured, expected);
        assert!(structured.as_object().unwrap().keys().all(|key| ORDER.contains(&key.as_str())));
    }

    #[test]
    fn what_is_not_done_is_an_error_that_is_all_text() {
        let report = Report::ended(&outcome(1, "Try 1: red.\nTry 2: red."), Path::new("/r"));
        assert_eq!(report.structured, None);
        let text = &report.text;
        assert!(text.starts_with("ERROR: the task is not done") && text.contains("reason: verified\n"), "{text}");
        assert!(text.contains("output:\nTry 1: red.\nTry 2: red.\n") && text.contains("hints: try\\x1b[2J"), "{text}");
        assert!(report.result("").ends_with("\"isError\":true}"));
    }

    #[test]
    fn a_client_is_told_of_its_own_keys() {
        let mut outcome = outcome(1, "a line with `--verify` of the project's own");
        outcome["hints"] = json!(["the deadline passed; `--deadline SECONDS` gives more time"]);
        outcome["proposed_commands"] = json!(["`--route` is not ours here"]);
        let text = Report::ended(&outcome, Path::new("/r")).text;
        assert!(text.contains("hints: the deadline passed; `deadline_sec` gives more time\n"), "{text}");
        assert!(text.contains("`--verify` of the project") && text.contains("`--route` is not ours"), "{text}");
    }

    #[test]
    fn a_long_result_is_cut_in_the_middle_and_names_its_file() {
        let long = format!("begin {} end", "é".repeat(60_000));
        let report = Report::ended(&outcome(0, &long), Path::new("/state/runs/01X/output.txt"));
        let structured: Value = serde_json::from_str(report.structured.as_deref().unwrap()).unwrap();
        let output = structured["output"].as_str().unwrap();
        assert!(output.len() < MOST_OUTPUT + 100 && output.starts_with("begin") && output.ends_with("end"));
        assert_eq!(structured["full_result"], "/state/runs/01X/output.txt");
        assert!(report.text.len() < 70_000);
    }
}
