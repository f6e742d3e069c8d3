//! What an independent review said: its text → a verdict. Pure.
//!
//! A review is asked for one JSON object, `{"ok": …, "issues": […]}`; providers put it into a fence or sentences around
//! it. What cannot be read is no verdict, neither a good one nor a bad one.

use serde_json::Value;

/// Issues beyond this many are not passed on: a local model cannot mend more at once.
const MOST_ISSUES: usize = 8;
/// Longest issue, in characters.
const LONGEST_ISSUE: usize = 400;

/// The verdict of a review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    pub is_ok: bool,
    /// What is wrong, one line each. Foreign text: escaped where it is shown.
    pub issues: Vec<String>,
}

/// Reads a review. `None` where it holds no verdict.
///
/// The last object that has an `ok` counts: some reviews quote the form before they use it. A verdict that says `ok` and
/// names issues all the same stays a good one; its issues are remarks.
pub fn read(text: &str) -> Option<Findings> {
    let starts = text.char_indices().rev().filter(|(_, char)| *char == '{');
    let (is_ok, issues) = starts.filter_map(|(at, _)| text.get(at..)).find_map(verdict)?;
    Some(Findings { is_ok, issues: issues.into_iter().filter_map(issue).take(MOST_ISSUES).collect() })
}

fn verdict(text: &str) -> Option<(bool, Vec<Value>)> {
    let mut object = serde_json::Deserializer::from_slice(text.as_bytes()).into_iter::<Value>().next()?.ok()?;
    let is_ok = object.get("ok")?.as_bool()?;
    match object.get_mut("issues").map(Value::take) {
        None => Some((is_ok, Vec::new())),
        Some(Value::Array(issues)) => Some((is_ok, issues)),
        Some(_) => None,
    }
}

/// An issue as a line, whether it came as a text or as an object of texts; its place stands first.
fn issue(value: Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text,
        Value::Object(mut fields) => {
            let mut take = |names: &[&str]| names.iter().find_map(|name| fields.remove(*name)).and_then(text);
            let places = [take(&["file", "path", "filename"]), take(&["line", "line_number", "lineno"])];
            let place = places.into_iter().flatten().collect::<Vec<_>>().join(":");
            let texts = [place].into_iter().chain(fields.into_iter().filter_map(|(_, value)| text(value)));
            texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => return None,
    };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    (!line.is_empty()).then(|| line.chars().take(LONGEST_ISSUE).collect())
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(bool, &[&str])>) {
        let found = read(text).map(|findings| (findings.is_ok, findings.issues));
        let expected = expected.map(|(is_ok, issues)| (is_ok, issues.iter().map(ToString::to_string).collect()));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn verdicts_are_found_in_what_surrounds_them() {
        check(r#"{"ok": true, "issues": []}"#, Some((true, &[])));
        check(r#"{"ok":true}"#, Some((true, &[])));
        check(
            "```json\n{\"ok\": false, \"issues\": [\"a.py: wrong\\nsign\"]}\n```",
            Some((false, &["a.py: wrong sign"])),
        );
        check("I looked at {x}. {\"issues\": [\"no\"], \"ok\": false} That is all.", Some((false, &["no"])));
        check("In the form {\"ok\": true}: {\"ok\": false, \"issues\": [\"b\"]}", Some((false, &["b"])));
        check(
            r#"{"ok": false, "issues": [{"file": "a.py", "what": "off by one"}, 3]}"#,
            Some((false, &["a.py: off by one"])),
        );
    }

    #[test]
    fn an_issue_in_parts_begins_with_its_place() {
        check(
            r#"{"ok": false, "issues": [{"description": "off by one", "line": 3, "path": "a.py", "severity": "high"}]}"#,
            Some((false, &["a.py:3: off by one: high"])),
        );
        check(r#"{"ok": false, "issues": [{"line": 7}, {"note": "b", "line": null}, {}]}"#, Some((false, &["7", "b"])));
    }

    #[test]
    fn what_is_no_verdict_is_none() {
        check("Looks good to me.", None);
        check("", None);
        check(r#"{"issues": ["x"]}"#, None);
        check(r#"{"ok": "yes"}"#, None);
        check(r#"{"ok": false, "issues": ["cut"#, None);
    }

    #[test]
    fn issues_are_bounded() {
        let many = serde_json::json!({ "ok": false, "issues": vec!["x".repeat(1000); 50] }).to_string();
        let issues = read(&many).unwrap().issues;
        assert_eq!((issues.len(), issues[0].len()), (MOST_ISSUES, LONGEST_ISSUE));
    }
}
