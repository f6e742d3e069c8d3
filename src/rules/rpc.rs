//! JSON-RPC 2.0 as the Model Context Protocol speaks it over pipes: bytes of a line → [`Line`], and answers → lines.
//! Pure. Not here: what the methods mean.
//!
//! **Invariants:** whatever a line holds, reading it neither recurses with its depth nor builds a tree of its values:
//! what nobody asks for stays text (`RawValue`). A line that goes out holds one message and no newline.

use crate::rules::escape::in_json;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

pub const PARSE_ERROR: i32 = -32700;
pub const INVALID_REQUEST: i32 = -32600;
pub const METHOD_NOT_FOUND: i32 = -32601;
pub const INVALID_PARAMS: i32 = -32602;
/// The protocol's own: a revision that is not spoken here (2026-07-28, "Versioning").
pub const UNSUPPORTED_VERSION: i32 = -32022;

/// The longest line that is read, in bytes; the rest of a longer one is skipped.
pub const LONGEST_LINE: u64 = 32 << 20;
/// Messages in one batch (2025-03-26 only).
const LARGEST_BATCH: usize = 1000;

/// An object whose values are still text. Of a key that comes twice the last value counts.
pub type Object<'t> = BTreeMap<String, &'t RawValue>;

/// The id of a request: a text or a whole number, as JSON. `"7"` and `7` are two ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(String);

/// One message of the other side.
#[derive(Debug)]
pub enum Message<'t> {
    Request {
        id: Id,
        method: String,
        params: Object<'t>,
    },
    Notification {
        method: String,
        params: Object<'t>,
    },
    /// The answer to a request of ours, or to what the other side could not read: then it has no id, and is an error.
    /// `None` when it is an error.
    Response {
        id: Option<Id>,
        result: Option<&'t RawValue>,
    },
    /// Not a message; what to say about it.
    Invalid(Fault),
}

/// What a line holds.
#[derive(Debug)]
pub enum Line<'t> {
    Blank,
    One(Message<'t>),
    /// An array of messages, never empty.
    Batch(Vec<Message<'t>>),
}

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `None` when the message has no usable id.
    pub id: Option<Id>,
    pub code: i32,
    pub message: String,
    /// More for programs, as JSON.
    pub data: Option<String>,
}

/// What reading a line gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Framed {
    /// A line with or without its end.
    Line(Vec<u8>),
    /// A line over [`LONGEST_LINE`]; it was skipped.
    TooLong,
    End,
}

impl Id {
    /// Reads an id; `None` for what is neither a text nor a whole number.
    pub fn read(raw: &RawValue) -> Option<Id> {
        if let Some(text) = text(raw) {
            return Some(Id::text(&text));
        }
        let whole = raw.get().parse::<i64>().map(|number| number.to_string());
        whole.or_else(|_| raw.get().parse::<u64>().map(|number| number.to_string())).ok().map(Id)
    }

    /// Makes an id of a text.
    pub fn text(text: &str) -> Id {
        Id(json(&text))
    }

    /// Returns the id as JSON.
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

impl Fault {
    pub fn new(id: Option<Id>, code: i32, message: impl Into<String>) -> Fault {
        Fault { id, code, message: message.into(), data: None }
    }
}

/// Reads one line, without a bound on waiting and with one on its length.
///
/// # Errors
/// Those of the reader.
pub fn read_line(input: &mut impl BufRead) -> io::Result<Framed> {
    let mut line = Vec::new();
    if input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
        return Ok(Framed::End);
    }
    if (line.len() as u64) < LONGEST_LINE || line.ends_with(b"\n") {
        return Ok(Framed::Line(line));
    }
    loop {
        line.clear();
        if input.by_ref().take(1 << 16).read_until(b'\n', &mut line)? == 0 || line.ends_with(b"\n") {
            return Ok(Framed::TooLong);
        }
    }
}

/// Reads the message or messages of a line.
pub fn parse(line: &[u8]) -> Line<'_> {
    // A mark that some editors and shells put before a text.
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
    if line.is_empty() {
        return Line::Blank;
    }
    let whole = match serde_json::from_slice::<&RawValue>(line) {
        Ok(whole) => whole,
        Err(error) => {
            return Line::One(Message::Invalid(Fault::new(None, PARSE_ERROR, format!("the line is no JSON: {error}"))));
        }
    };
    if !whole.get().starts_with('[') {
        return Line::One(message(whole));
    }
    match items(whole) {
        Some(items) if !items.is_empty() && items.len() <= LARGEST_BATCH => {
            Line::Batch(items.into_iter().map(message).collect())
        }
        Some(_) | None => Line::One(invalid(None, "a batch holds from 1 to 1000 messages")),
    }
}

fn message(raw: &RawValue) -> Message<'_> {
    let Some(fields) = object(raw) else { return invalid(None, "a message is a JSON object") };
    let id = fields.get("id").copied();
    let usable = id.and_then(Id::read);
    if fields.get("jsonrpc").copied().and_then(text).as_deref() != Some("2.0") {
        return invalid(usable, "`jsonrpc` must be \"2.0\"");
    }
    let Some(method) = fields.get("method") else {
        return match (usable, fields.get("result"), fields.contains_key("error")) {
            (Some(id), Some(result), false) => Message::Response { id: Some(id), result: Some(result) },
            // Never answered with another error: two programs that do so do it for ever.
            (id, None, true) => Message::Response { id, result: None },
            (usable, _, _) => invalid(usable, "a message has a `method`, a `result` or an `error`"),
        };
    };
    let Some(method) = text(method) else { return invalid(usable, "`method` must be a text") };
    if id.is_some() && usable.is_none() {
        return invalid(None, "`id` must be a text or a whole number");
    }
    let params = match fields.get("params") {
        None => Some(Object::new()),
        // Some serializers write what is not given.
        Some(raw) if is_null(raw) => Some(Object::new()),
        Some(raw) => object(raw),
    };
    match (usable, params) {
        (Some(id), Some(params)) => Message::Request { id, method, params },
        (Some(id), None) => Message::Invalid(Fault::new(Some(id), INVALID_PARAMS, "`params` must be an object")),
        (None, params) => Message::Notification { method, params: params.unwrap_or_default() },
    }
}

fn invalid(id: Option<Id>, why: &str) -> Message<'static> {
    Message::Invalid(Fault::new(id, INVALID_REQUEST, why))
}

/// Returns the members of an object; `None` for anything else.
pub fn object(raw: &RawValue) -> Option<Object<'_>> {
    serde_json::from_slice(raw.get().as_bytes()).ok()
}

/// Returns the items of a list; `None` for anything else.
pub fn items(raw: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_slice(raw.get().as_bytes()).ok()
}

/// Returns a text; `None` for anything else.
pub fn text(raw: &RawValue) -> Option<String> {
    if raw.get().starts_with('"') { serde_json::from_slice(raw.get().as_bytes()).ok() } else { None }
}

/// Returns whether a value is `null`.
pub fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

/// Returns a value as JSON that is safe to show. A value that cannot be written does not occur here; it would be `null`.
pub fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).map_or_else(|_| "null".to_string(), |text| in_json(&text).into_owned())
}

/// Returns the line of an answer; `result` is JSON.
pub fn answer(id: &Id, result: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{result}}}\n", id.as_json())
}

/// Returns the line of an error answer.
pub fn error(fault: &Fault) -> String {
    let id = fault.id.as_ref().map_or("null", Id::as_json);
    let data = fault.data.as_ref().map(|data| format!(",\"data\":{data}")).unwrap_or_default();
    let (code, message) = (fault.code, json(&fault.message));
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":{code},\"message\":{message}{data}}}}}\n")
}

/// Returns the line of a notification; `params` is JSON.
pub fn notification(method: &str, params: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"method\":{},\"params\":{params}}}\n", json(&method))
}

/// Returns the line of a request of ours, without parameters.
pub fn request(id: &Id, method: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":{}}}\n", id.as_json(), json(&method))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a line is, shortly: `request ID METHOD`, `note METHOD`, `response ID`, `CODE ID`; of a batch each.
    fn shown(line: &[u8]) -> String {
        let one = |message: &Message| match message {
            Message::Request { id, method, .. } => format!("request {} {method}", id.as_json()),
            Message::Notification { method, .. } => format!("note {method}"),
            Message::Response { id, result } => {
                format!("response {} {}", id.as_ref().map_or("null", Id::as_json), result.is_some())
            }
            Message::Invalid(fault) => format!("{} {}", fault.code, fault.id.as_ref().map_or("null", Id::as_json)),
        };
        match parse(line) {
            Line::Blank => "blank".to_string(),
            Line::One(message) => one(&message),
            Line::Batch(messages) => messages.iter().map(one).collect::<Vec<_>>().join(", "),
        }
    }

    #[track_caller]
    fn check(line: &str, expected: &str) {
        assert_eq!(shown(line.as_bytes()), expected, "{line}");
    }

    #[test]
    fn every_line_is_a_message_or_a_fault_with_its_code() {
        check(r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#, "request \"a\" ping");
        check(" {\"jsonrpc\" : \"2.0\", \"x\":[{}], \"id\":-5, \"method\":\"ping\"} \r\n", "request -5 ping");
        check(
            "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":18446744073709551615,\"method\":\"m\"}",
            "request 18446744073709551615 m",
        );
        check(r#"{"jsonrpc":"2.0","method":"notifications/x","params":[1]}"#, "note notifications/x");
        check(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "response 1 true");
        check(r#"{"jsonrpc":"2.0","id":1,"error":{}}"#, "response 1 false");
        for id in ["\"id\":null,", "\"id\":[],", ""] {
            check(
                &format!(r#"{{"jsonrpc":"2.0",{id}"error":{{"code":-32700,"message":"?"}}}}"#),
                "response null false",
            );
            check(&format!(r#"{{"jsonrpc":"2.0",{id}"result":{{}}}}"#), "-32600 null");
        }
        check(r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":null}"#, "request 1 ping");
        check(" \t\r\n", "blank");
        for garbage in ["hello", r#"{"jsonrpc":"2.0","id":1,"method":"#, "{}}", "NaN"] {
            check(garbage, "-32700 null");
        }
        for odd in ["42", "\"ping\"", "null", "{}", "[]", r#"{"id":{},"jsonrpc":"2.0","method":"ping"}"#] {
            check(odd, "-32600 null");
        }
        for id in ["null", "1.5", "1e400", "true", "[1]"] {
            check(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#), "-32600 null");
        }
        check(r#"{"jsonrpc":"2.0","id":5}"#, "-32600 5");
        check(r#"{"jsonrpc":"2.0","id":5,"method":5}"#, "-32600 5");
        check(r#"{"jsonrpc":"1.0","id":5,"method":"ping"}"#, "-32600 5");
        check(r#"{"jsonrpc":"2.0","id":5,"method":"ping","params":[1]}"#, "-32602 5");
        check(r#"{"jsonrpc":"2.0","id":5,"result":1,"error":1}"#, "-32600 5");
        check(r#"[{"jsonrpc":"2.0","id":1,"method":"a"},7]"#, "request 1 a, -32600 null");
        assert_eq!(shown(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}"), "-32700 null");
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = format!(
            r#"{{"jsonrpc":"2.0","id":5,"method":"ping","params":{}{}}}"#,
            "[".repeat(200_000),
            "]".repeat(200_000)
        );
        check(&deep, "-32602 5");
        let deep = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
        check(&deep, "-32600 null");
    }

    #[test]
    fn ids_come_back_as_they_were_and_keep_their_type() {
        for id in [r#""1""#, "1", "0", "-5", "9007199254740991", r#""""#, "\"ïd-✓😀\""] {
            let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
            let Line::One(Message::Request { id: read, .. }) = parse(line.as_bytes()) else { panic!("{line}") };
            assert_eq!(answer(&read, "{}"), format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{}}}}\n"));
        }
        assert_ne!(Id::text("7"), Id("7".to_string()));
    }

    #[test]
    fn nothing_foreign_steers_the_reader_of_an_answer() {
        let fault = Fault { data: Some("[1]".into()), ..Fault::new(None, -32601, "no\n\u{9b}2J\u{2028}") };
        let line = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"no\n\u009b2J\u2028","data":[1]}}"#;
        assert_eq!(error(&fault), format!("{line}\n"));
    }

    #[test]
    fn lines_are_read_one_by_one_and_too_long_ones_skipped() {
        let long = vec![b'x'; usize::try_from(LONGEST_LINE).unwrap() + 70_000];
        let mut input = &[b"a\n", &long[..], b"\nb"].concat()[..];
        let mut framed = Vec::new();
        loop {
            framed.push(read_line(&mut input).unwrap());
            if framed.ends_with(&[Framed::End]) {
                break;
            }
        }
        assert_eq!(framed, [Framed::Line(b"a\n".to_vec()), Framed::TooLong, Framed::Line(b"b".to_vec()), Framed::End]);
    }
}
