//! The text of a configuration file → a tree of [`Node`]s, and the place of each of them.
//!
//! A file is looked at before the YAML parser sees it ([`inspect`]), because the parser follows aliases without end,
//! is quadratic in nested brackets and knows nothing of the limits here. What is refused: aliases, anchors, tags, merge
//! keys, directives, a second document, tabs as indentation, invisible characters, deep nesting, more than 64 KiB.
//! **Invariant:** whatever `inspect` may overlook, a tree holds at most [`MAX_NODES`] nodes and twice the file's bytes.
//!
//! The parser tells a place only with an error. So a node is a number, in document order, and [`place`] reads the text
//! again and fails on purpose at that node. That happens for errors and for `mux config show`, never on the way to
//! work; better would be a parser that hands out its marks.

use crate::rules::config_scan::{MAX_DEPTH, fault_at, inspect};
use crate::rules::config_shown::printable;
use crate::rules::escape::is_hidden;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;

/// The largest file that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// The most keys and values in a file.
const MAX_NODES: u32 = 8192;

/// A value and its number in document order; 0 for values that come from no text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    pub id: u32,
    pub value: Value,
}

/// A YAML value. Numbers are exact up to 2^53; nothing in a configuration is larger.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    /// Key, number of the key, value. Keys are unique.
    Map(Vec<(String, u32, Node)>),
}

/// Line and column in characters, both from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

/// Why a text is no configuration.
#[derive(Debug, PartialEq)]
pub struct Fault {
    pub place: Place,
    pub what: String,
    pub hint: Option<&'static str>,
}

impl From<Value> for Node {
    fn from(value: Value) -> Node {
        Node { id: 0, value }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Returns the text of a file without its byte order mark.
///
/// # Errors
/// More than [`MAX_BYTES`], or bytes that are not UTF-8.
pub fn decode(bytes: &[u8]) -> Result<&str, Fault> {
    if bytes.len() > MAX_BYTES {
        let what = format!("the file is larger than {MAX_BYTES} bytes");
        return Err(Fault {
            place: Place { line: 1, column: 1 },
            what,
            hint: Some("keep only the keys that you change"),
        });
    }
    let text = match str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            return Err(fault_at(bytes, error.valid_up_to(), "this byte is not UTF-8", Some("save the file as UTF-8")));
        }
    };
    // Some of them are line ends for the parser and none for a reader's eye: a comment could hide keys.
    match text.find(|char: char| is_hidden(char) && !is_harmless(char)) {
        Some(at) => Err(fault_at(text.as_bytes(), at, "an invisible control character", Some("delete it"))),
        None => Ok(text),
    }
}

/// Reads a text into a tree. An empty text is [`Value::Null`].
///
/// # Errors
/// The first fault, with its place.
pub fn parse(text: &str) -> Result<Node, Fault> {
    if inspect(text.as_bytes())? { read(text, None) } else { Ok(Node::default()) }
}

/// Returns the place of a node of this text.
pub fn place(text: &str, id: u32) -> Place {
    match read(text, Some(id)) {
        Err(fault) => fault.place,
        Ok(_) => Place::default(),
    }
}

fn read(text: &str, stop: Option<u32>) -> Result<Node, Fault> {
    let reader = Reader { stop, next: Cell::new(1), room: Cell::new(2 * text.len()), fault: RefCell::new(None) };
    let error = match (Seed { reader: &reader, depth: 0 }).deserialize(serde_yml::Deserializer::from_str(text)) {
        Ok(node) => return Ok(node),
        Err(error) => error,
    };
    if let Some((id, what, hint)) = reader.fault.into_inner() {
        return Err(Fault { place: place(text, id), what, hint });
    }
    let place =
        error.location().map_or(Place { line: 1, column: 1 }, |at| Place { line: at.line(), column: at.column() });
    let (what, hint) = reword(&error.to_string());
    Err(Fault { place, what, hint })
}

/// The parser's words in ours. Its places are cut off: the one that matters is the fault's own.
fn reword(message: &str) -> (String, Option<&'static str>) {
    let known = [
        (
            "mapping values are not allowed",
            "a `:` where no key can stand",
            "check the indentation; quote text that holds `: `",
        ),
        (
            "did not find expected key",
            "neither a key nor the end of the section",
            "keys of one section start in one column",
        ),
        (
            "did not find expected '-'",
            "neither a list item nor the end of the list",
            "items of one list start in one column",
        ),
        (
            "did not find expected ','",
            "a list or map in brackets without its end",
            "put `,` between items and close the bracket",
        ),
        (
            "more than one document",
            "something stands behind the end of the value",
            "write `section:`, and `key: value` lines below it, indented",
        ),
        ("could not find expected ':'", "a key without `:`", "write `key: value`; quote text of several lines"),
        ("that cannot start any token", "a character that cannot begin a value", "put the value in quotes"),
        (
            "unknown escape character",
            "an unknown escape in double quotes",
            "use single quotes, or write `\\\\` for a backslash",
        ),
    ];
    match known.iter().find(|(theirs, ..)| message.contains(theirs)) {
        Some((_, what, hint)) => (format!("not YAML: {what}"), Some(hint)),
        None => (format!("not YAML: {}", message.split(" at line").next().unwrap_or(message)), None),
    }
}

/// What all nodes of one reading share.
struct Reader {
    stop: Option<u32>,
    next: Cell<u32>,
    /// How many bytes of text may still come.
    room: Cell<usize>,
    /// What is wrong with which node.
    fault: RefCell<Option<(u32, String, Option<&'static str>)>>,
}

#[derive(Clone, Copy)]
struct Seed<'r> {
    reader: &'r Reader,
    depth: u32,
}

impl Seed<'_> {
    /// Gives the next node its number. Fails where the reading shall stop, so that the parser tells the place.
    fn enter<E: serde::de::Error>(self) -> Result<u32, E> {
        let id = self.reader.next.get();
        self.reader.next.set(id + 1);
        if self.reader.stop == Some(id) {
            return Err(E::custom(""));
        }
        if id > MAX_NODES {
            return Err(self.fault(1, "the file holds too many values".to_string(), None));
        }
        Ok(id)
    }

    fn fault<E: serde::de::Error>(self, id: u32, what: String, hint: Option<&'static str>) -> E {
        self.reader.fault.replace(Some((id, what, hint)));
        E::custom("")
    }

    fn leaf<E: serde::de::Error>(self, value: Value) -> Result<Node, E> {
        Ok(Node { id: self.enter()?, value })
    }

    fn inner<E: serde::de::Error>(self, id: u32) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(self.fault(id, format!("nested deeper than {MAX_DEPTH} levels"), None));
        }
        Ok(Seed { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Node, E> {
        self.leaf(Value::Null)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Node, E> {
        self.leaf(Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Node, E> {
        self.leaf(Value::Bool(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "what is larger than 2^53 is out of every range anyway")]
    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Node, E> {
        self.leaf(Value::Number(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "what is larger than 2^53 is out of every range anyway")]
    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Node, E> {
        self.leaf(Value::Number(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "what is larger than 2^53 is out of every range anyway")]
    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Node, E> {
        self.leaf(Value::Number(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "what is larger than 2^53 is out of every range anyway")]
    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Node, E> {
        self.leaf(Value::Number(value as f64))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        self.leaf(Value::Number(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Node, E> {
        let Some(room) = self.reader.room.get().checked_sub(value.len()) else {
            return Err(self.fault(1, "the values are larger than the file".to_string(), None));
        };
        self.reader.room.set(room);
        self.leaf(Value::Text(value.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let id = self.enter()?;
        let inner = self.inner(id)?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Node { id, value: Value::List(list) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let id = self.enter()?;
        let inner = self.inner(id)?;
        let mut map: Vec<(String, u32, Node)> = Vec::new();
        let mut names = BTreeSet::new();
        while let Some(key) = entries.next_key_seed(inner)? {
            let name = match key.value {
                Value::Text(name) => name,
                Value::Null => String::new(),
                Value::Bool(value) => value.to_string(),
                Value::Number(value) => value.to_string(),
                Value::List(_) | Value::Map(_) => {
                    return Err(self.fault(key.id, "a list or a section cannot be a key".to_string(), None));
                }
            };
            if !names.insert(name.clone()) {
                let what = format!("the key `{}` stands here twice", printable(&name));
                return Err(self.fault(key.id, what, Some("keep one of the two")));
            }
            map.push((name, key.id, entries.next_value_seed(inner)?));
        }
        Ok(Node { id, value: Value::Map(map) })
    }
}

/// Returns whether an invisible character has its place in ordinary text: line ends, tabs, joiners of letters and emoji.
fn is_harmless(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | '\u{200b}'..='\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn fails(text: &str, line: usize, column: usize, what: &str) {
        let fault = decode(text.as_bytes()).and_then(parse).expect_err(text);
        assert_eq!((fault.place, fault.what.as_str()), (Place { line, column }, what), "{text:?}");
    }

    #[test]
    fn what_is_refused_is_found_wherever_a_node_can_begin() {
        for text in [
            "*a",
            "a: *a",
            "- *a",
            "- - *a",
            "[*a]",
            "{k: *a}",
            "{k: x, *a : 1}",
            "a:\n  *a",
            "--- *a",
            "a: [x,\n*a]",
            "? *a",
        ] {
            let column = text.rsplit('\n').next().unwrap().find('*').unwrap() + 1;
            let line = text.matches('\n').count() + 1;
            if text.starts_with('?') {
                fails(text, 1, 1, "complex keys (`? `) are not used here");
            } else {
                fails(text, line, column, "aliases (`*`) are not used here");
            }
        }
        fails("a: 1\r\nb: &x 1", 2, 4, "anchors (`&`) are not used here");
        fails("a: 1\rb: &x 1", 2, 4, "anchors (`&`) are not used here");
        fails("a: |\n  *text\nb: *a", 3, 4, "aliases (`*`) are not used here");
        fails("- k: >\n    &text\n  j: &a 1", 3, 6, "anchors (`&`) are not used here");
        fails("'a': \"b\" #\nc: !!str d", 2, 4, "tags (`!`) are not used here");
        fails("{\"a\":*b}", 1, 6, "aliases (`*`) are not used here");
        fails("a: {<<: {b: 1}}", 1, 5, "merge keys (`<<`) are not used here");
        fails("a: 1\n...\n", 2, 1, "a second document begins here");
        fails("---\n---\n", 2, 1, "a second document begins here");
        fails("a:\n \tb: 1", 2, 2, "a tab is used as indentation");
        fails("a: 'it''s", 1, 4, "the quote that opens here is never closed");
        fails("a: \"b\\\"", 1, 4, "the quote that opens here is never closed");
        fails("# \u{85}a: 1", 1, 3, "an invisible control character");
        fails("a: \u{202e}b", 1, 4, "an invisible control character");
        fails("a: 1\n\u{0}", 2, 1, "an invisible control character");
    }

    #[test]
    fn depth_is_bounded_in_every_style() {
        fails(&"[".repeat(20_000), 1, 17, "nested deeper than 16 levels");
        fails(&"- ".repeat(20_000), 1, 33, "nested deeper than 16 levels");
        fails(&"{a: ".repeat(2000), 1, 65, "nested deeper than 16 levels");
        let steps = |step: &str| (0..200).fold(String::new(), |text, depth| text + &" ".repeat(depth) + step);
        fails(&steps("k:\n"), 17, 17, "nested deeper than 16 levels");
        fails(&steps("-\n"), 17, 17, "nested deeper than 16 levels");
    }

    #[test]
    fn size_is_bounded() {
        let comment = format!("# {}\n", "x".repeat(MAX_BYTES - 3));
        assert_eq!(decode(comment.as_bytes()).map(str::len), Ok(MAX_BYTES));
        fails(&format!("{comment}#"), 1, 1, "the file is larger than 65536 bytes");
        fails(&format!("a: [{}]", "1,".repeat(30_000)), 1, 1, "the file holds too many values");
    }

    #[test]
    fn keys_are_unique_in_every_style() {
        fails("a: 1\nb: 2\na: 3", 3, 1, "the key `a` stands here twice");
        fails("{a: 1, 'a': 2}", 1, 8, "the key `a` stands here twice");
        fails("a: {b: [{c: 1,\n  \"\\u0063\": 2}]}", 2, 3, "the key `c` stands here twice");
        fails("true: 1\n\"true\": 2", 2, 1, "the key `true` stands here twice");
    }

    #[test]
    fn nodes_are_numbered_in_document_order() {
        let text = "a: 1\nü: [x, {y: z}]\nc:\n  - |\n    block\n";
        let node = parse(text).unwrap();
        let Value::Map(entries) = &node.value else { panic!("{node:?}") };
        let places: Vec<String> = entries
            .iter()
            .map(|(key, id, value)| format!("{key} {} {}", place(text, *id), place(text, value.id)))
            .collect();
        assert_eq!(places, ["a 1:1 1:4", "ü 2:1 2:4", "c 3:1 4:3"]);
    }

    #[test]
    fn nothing_is_null() {
        for text in ["", "\n", "# only a comment", "---\n", "---\n# c\n"] {
            assert_eq!(parse(text).map(|node| node.value), Ok(Value::Null), "{text:?}");
        }
    }
}
