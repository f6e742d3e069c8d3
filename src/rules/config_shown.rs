//! How values are shown: as a line that reads back, without secrets, and so that neither a terminal nor an editor can
//! be led astray by what a file holds.

use crate::rules::config_text::{Node, Value};
use crate::rules::config_values::Limit;
use crate::rules::escape::{is_hidden, one_line};
use std::fmt::Write as _;

/// Says what was found instead of what was expected, safe to show.
pub fn found(value: &Value, limit: Limit) -> String {
    match value {
        // The two places where a key or a password is most likely to be written by mistake.
        Value::Text(_) if matches!(limit, Limit::Variable | Limit::VariableOrEmpty) => {
            "text that is no name".to_string()
        }
        Value::Text(text) if matches!(limit, Limit::Url | Limit::UrlOrEmpty) && text.contains('@') => {
            "an address with `@`".to_string()
        }
        Value::Null => "empty".to_string(),
        Value::Bool(on) => format!("`{on}`"),
        Value::Number(number) => format!("`{number}`"),
        Value::Text(text) => format!("`{}`", printable(&mask(text, &mut false))),
        Value::List(_) => "a list".to_string(),
        Value::Map(_) => "a section".to_string(),
    }
}

/// Returns a command or its arguments without what looks like a secret.
pub fn mask_value(value: &Value) -> Value {
    let mut named = false;
    match value {
        Value::Text(text) => Value::Text(mask(text, &mut named)),
        Value::List(items) => {
            let masked = |item: &Node| match &item.value {
                Value::Text(text) => Value::Text(mask(text, &mut named)).into(),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => item.clone(),
            };
            Value::List(items.iter().map(masked).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Map(_) => value.clone(),
    }
}

/// Replaces what looks like a secret by `***`: what follows `--api-key`, `TOKEN=`, `Bearer`, and tokens of known forms.
/// `named` carries over to the next argument that the last word announced a secret.
fn mask(text: &str, named: &mut bool) -> String {
    const NAMES: [&str; 6] = ["key", "token", "secret", "password", "credential", "bearer"];
    const FORMS: [&str; 9] = ["sk-", "ghp_", "gho_", "github_pat_", "glpat-", "xox", "hf_", "AKIA", "AIza"];
    let mut shown = String::new();
    for part in text.split_inclusive([' ', '=', ':', ',', '"', '\'']) {
        let word = part.trim_end_matches([' ', '=', ':', ',', '"', '\'']);
        let end = part.get(word.len()..).unwrap_or_default();
        if word.is_empty() {
            shown.push_str(end);
            continue;
        }
        let known = word.len() >= 12 && FORMS.iter().any(|form| word.starts_with(form));
        shown.push_str(if *named || known { "***" } else { word });
        shown.push_str(end);
        let lower = word.to_ascii_lowercase();
        let announces = lower == "bearer" || word.starts_with('-') || end.starts_with(['=', ':']);
        *named = announces && NAMES.iter().any(|name| lower.ends_with(name));
    }
    shown
}

impl Value {
    /// Appends the value as one line that is valid in YAML; `json` also puts plain words in quotes.
    pub fn write(&self, out: &mut String, json: bool) {
        match self {
            Value::Null => out.push_str("null"),
            Value::Bool(on) => out.push_str(if *on { "true" } else { "false" }),
            Value::Number(number) => out.push_str(&number.to_string()),
            Value::Text(text) if !json && is_plain(text) => out.push_str(text),
            Value::Text(text) => quote(out, text),
            Value::List(items) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    out.push_str(if n == 0 { "" } else { ", " });
                    item.value.write(out, json);
                }
                out.push(']');
            }
            // No key holds a map; tools are listed key by key.
            Value::Map(_) => out.push_str("{}"),
        }
    }
}

/// Whether YAML reads the bare word as this text.
fn is_plain(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let reserved = ["null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE"];
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(word) && !reserved.contains(&text)
}

/// Appends a text in double quotes, escaped so that JSON and YAML read it back and a terminal cannot be led astray.
pub fn quote(out: &mut String, text: &str) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            '\n' => out.push_str("\\n"),
            _ if is_hidden(char) => drop(write!(out, "\\u{:04x}", u32::from(char))),
            _ => out.push(char),
        }
    }
    out.push('"');
}

/// Returns a text from outside as it may be shown in one line, cut after 60 characters.
pub fn printable(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => one_line(text.get(..end).unwrap_or_default()).into_owned() + "…",
        None => one_line(text).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::config_text::parse;

    #[track_caller]
    fn masks(text: &str, shown: &str) {
        assert_eq!(mask(text, &mut false), shown);
    }

    #[test]
    fn secrets_in_commands_are_masked() {
        masks("cargo test -q", "cargo test -q");
        masks("server --api-key abc --port 1", "server --api-key *** --port 1");
        masks("server --api-key=abc", "server --api-key=***");
        masks("env HF_TOKEN=abc server", "env HF_TOKEN=*** server");
        masks("curl -H 'Authorization: Bearer abc.def'", "curl -H 'Authorization: Bearer ***'");
        masks("run sk-abcdefghijkl now", "run *** now");
        masks("grep the key in token list", "grep the key in token list");
        masks("sk-short", "sk-short");
    }

    #[test]
    fn an_argument_after_a_secret_option_is_masked() {
        let list = |args: &[&str]| Value::List(args.iter().map(|arg| Value::Text((*arg).to_string()).into()).collect());
        assert_eq!(mask_value(&list(&["x", "--password", "p", "q"])), list(&["x", "--password", "***", "q"]));
    }

    #[track_caller]
    fn reads_back(text: &str) {
        let value = Value::Text(text.to_string());
        let (mut yaml, mut json) = (String::new(), String::new());
        value.write(&mut yaml, false);
        value.write(&mut json, true);
        assert_eq!(parse(&yaml).unwrap().value, value, "{yaml}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text, "{json}");
        assert!(!yaml.chars().chain(json.chars()).any(is_hidden), "{yaml:?}");
    }

    #[test]
    fn written_text_reads_back_in_yaml_and_json() {
        for text in [
            "plain",
            "claude-opus.5",
            "",
            " ",
            "a b",
            "true",
            "null",
            "NULL",
            "no",
            "0123",
            "1e3",
            "e5",
            "nan",
            "-x",
            "a: b",
            "a #b",
            "*.pem",
            "&a",
            "!t",
            "{a}",
            "[a",
            "it's",
            "\"q\" \\ /",
            "two\nlines\ttab",
            "ü日本",
            "\u{1b}[2J\u{9b}\u{202e}",
        ] {
            reads_back(text);
        }
    }

    #[test]
    fn foreign_text_is_cut_and_made_visible() {
        assert_eq!(printable("a\u{1b}[0m\n\u{202e}b"), "a\\x1b[0m\\n\\u{202e}b");
        assert_eq!(printable(&"日".repeat(61)), "日".repeat(60) + "…");
        assert_eq!(printable(&"日".repeat(60)), "日".repeat(60));
    }
}
