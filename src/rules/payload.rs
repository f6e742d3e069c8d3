//! The original's JSON reply: `{"files":[{"path","content"}],"commands":[],"summary":""}`, or instead of `files`
//! `edits` with `path`, `search` and `replace`. Pure.
//! mux never asks for it, but reads it. **Invariant:** each key of an object comes once; there is one parser, so what
//! is checked is what is written.

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// What the JSON says, its types checked.
#[derive(Debug, PartialEq, Eq)]
pub struct Payload {
    /// Path and content, in order, as given.
    pub files: Vec<(String, String)>,
    pub commands: Vec<String>,
    pub summary: String,
    /// Path, search and replacement, in order, as given.
    pub edits: Vec<(String, String, String)>,
}

/// What the fields of an edit are called, the first by mux.
const PATHS: [&str; 4] = ["path", "file", "file_path", "filename"];
const SEARCHES: [&str; 4] = ["search", "old_string", "old_str", "old"];
const REPLACEMENTS: [&str; 4] = ["replace", "new_string", "new_str", "new"];

/// Whether a text looks like this JSON, so that a parse error is worth telling the model.
pub fn is_meant(text: &str) -> bool {
    text.trim_start().starts_with('{') && (text.contains("\"files\"") || text.contains("\"edits\""))
}

/// Reads the first JSON value of `text`, and returns it with its length. `None`: it is JSON, but not this JSON.
///
/// # Errors
/// One clause that names the field that is wrong, or the place where the JSON breaks.
pub fn read(text: &str) -> Result<Option<(Payload, usize)>, String> {
    let mut values = serde_json::Deserializer::from_slice(text.as_bytes()).into_iter::<Node>();
    let mut fields = match values.next() {
        Some(Ok(Node::Object(fields))) => fields,
        Some(Ok(Node::List(_) | Node::Text(_) | Node::Other(_))) | None => return Ok(None),
        Some(Err(error)) if error.is_eof() => return Err("the JSON ends in the middle".to_owned()),
        Some(Err(error)) => return Err(format!("the JSON is broken: {error}")),
    };
    let end = values.byte_offset();
    let mut take = |key: &str| {
        let found = fields.iter().position(|(name, _)| name == key);
        found.map(|at| fields.swap_remove(at).1)
    };
    let (files, edits) = (take("files"), take("edits"));
    if files.is_none() && edits.is_none() {
        return Ok(None);
    }
    let mut payload = Payload { files: Vec::new(), commands: Vec::new(), summary: String::new(), edits: Vec::new() };
    for (number, item) in list(files, "files")?.into_iter().enumerate() {
        let Node::Object(mut item) = item else {
            return Err(format!("`files[{number}]` must be an object with `path` and `content`, not {}", item.name()));
        };
        let mut field = |key: &str| match item.iter().position(|(name, _)| name == key) {
            Some(at) => text_of(item.swap_remove(at).1, &format!("files[{number}].{key}")),
            None => Err(format!("`files[{number}].{key}` is missing")),
        };
        payload.files.push((field("path")?, field("content")?));
    }
    for (number, item) in list(edits, "edits")?.into_iter().enumerate() {
        let Node::Object(mut item) = item else {
            return Err(format!("`edits[{number}]` must be an object with `path`, `search` and `replace`"));
        };
        let mut field = |keys: &[&str; 4]| match item.iter().position(|(name, _)| keys.contains(&name.as_str())) {
            Some(at) => text_of(item.swap_remove(at).1, &format!("edits[{number}].{}", keys[0])),
            None => Err(format!("`edits[{number}].{}` is missing", keys[0])),
        };
        payload.edits.push((field(&PATHS)?, field(&SEARCHES)?, field(&REPLACEMENTS)?));
    }
    for (number, item) in list(take("commands"), "commands")?.into_iter().enumerate() {
        payload.commands.push(text_of(item, &format!("commands[{number}]"))?);
    }
    match take("summary") {
        None | Some(Node::Other("null")) => {}
        Some(node) => payload.summary = text_of(node, "summary")?,
    }
    Ok(Some((payload, end)))
}

fn list(node: Option<Node>, field: &str) -> Result<Vec<Node>, String> {
    match node {
        None | Some(Node::Other("null")) => Ok(Vec::new()),
        Some(Node::List(items)) => Ok(items),
        Some(node) => Err(format!("`{field}` must be a list, not {}", node.name())),
    }
}

fn text_of(node: Node, field: &str) -> Result<String, String> {
    match node {
        Node::Text(text) => Ok(text),
        Node::Object(_) | Node::List(_) | Node::Other(_) => Err(format!("`{field}` must be text, not {}", node.name())),
    }
}

/// As much of a JSON value as is needed: below `DEPTH` nothing is kept.
enum Node {
    Object(Vec<(String, Node)>),
    List(Vec<Node>),
    Text(String),
    /// Anything else, by what it is called.
    Other(&'static str),
}

/// Object, `files`, file, `content`.
const DEPTH: u8 = 3;
/// Bounds the memory that a hostile reply can ask for, far above the limit on files.
const MAX_ITEMS: usize = 20_000;
const MAX_KEYS: usize = 64;

impl Node {
    fn name(&self) -> &'static str {
        match self {
            Node::Object(_) => "an object",
            Node::List(_) => "a list",
            Node::Text(_) => "text",
            Node::Other(name) => name,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        Below(0).deserialize(deserializer)
    }
}

/// A value that is so many containers deep.
struct Below(u8);

impl<'de> DeserializeSeed<'de> for Below {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Below {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut fields: Vec<(String, Node)> = Vec::new();
        if self.0 >= DEPTH {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Node::Other("an object"));
        }
        while let Some(key) = map.next_key::<String>()? {
            if fields.iter().any(|(name, _)| *name == key) {
                let key: String = key.chars().take(40).collect();
                return Err(A::Error::custom(format_args!("the key `{key}` comes twice in one object")));
            }
            if fields.len() == MAX_KEYS {
                return Err(A::Error::custom("an object with too many keys"));
            }
            fields.push((key, map.next_value_seed(Below(self.0 + 1))?));
        }
        Ok(Node::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        if self.0 >= DEPTH {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Node::Other("a list"));
        }
        while let Some(item) = items.next_element_seed(Below(self.0 + 1))? {
            if list.len() == MAX_ITEMS {
                return Err(A::Error::custom("a list with too many entries"));
            }
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Node, E> {
        Ok(Node::Text(text))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Other("true or false"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Other("a number"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Other("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Other("a number"))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Other("null"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, fault: &str) {
        assert_eq!(read(text), Err(fault.to_owned()));
    }

    #[test]
    fn content_is_taken_exactly_and_unknown_keys_are_ignored() {
        let text = r#"{"mode":"0777","files":[{"path":"./a b","content":"\ufeffa\r\nb\u0000","owner":{"x":[1]}}],
            "commands":["ls"],"summary":"done","delete":["ok.txt"]} and more"#;
        let payload = Payload {
            files: vec![("./a b".to_owned(), "\u{feff}a\r\nb\0".to_owned())],
            commands: vec!["ls".to_owned()],
            summary: "done".to_owned(),
            edits: Vec::new(),
        };
        assert_eq!(read(text), Ok(Some((payload, text.len() - " and more".len()))));
    }

    #[test]
    fn other_json_is_left_alone() {
        for text in [r#"{"name":"demo","scripts":{}}"#, "[1,2]", "\"files\"", "17", ""] {
            assert_eq!(read(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn wrong_types_name_the_field() {
        check(r#"{"files":"ok.txt"}"#, "`files` must be a list, not text");
        check(r#"{"files":[1]}"#, "`files[0]` must be an object with `path` and `content`, not a number");
        check(r#"{"files":[{"path":3,"content":"x"}]}"#, "`files[0].path` must be text, not a number");
        check(r#"{"files":[{"path":"a"}]}"#, "`files[0].content` is missing");
        check(r#"{"files":[{"path":"a","content":null}]}"#, "`files[0].content` must be text, not null");
        check(r#"{"files":[{"path":"a","content":{"b":[]}}]}"#, "`files[0].content` must be text, not an object");
        check(r#"{"files":[],"commands":{"a":1}}"#, "`commands` must be a list, not an object");
        check(r#"{"files":[],"commands":[true]}"#, "`commands[0]` must be text, not true or false");
        check(r#"{"files":[],"summary":3}"#, "`summary` must be text, not a number");
    }

    #[test]
    fn a_key_that_comes_twice_is_refused() {
        let fault = "the JSON is broken: the key `path` comes twice in one object at line 1 column 33";
        check(r#"{"files":[{"path":"ok.txt","path":"../escape.txt","content":"x"}]}"#, fault);
        let fault = "the JSON is broken: the key `files` comes twice in one object at line 1 column 19";
        check(r#"{"files":[],"files":[]}"#, fault);
    }

    #[test]
    fn cut_and_deep_json_end_in_a_fault() {
        check(r#"{"files":[{"path":"ok.txt","content":"half a fil"#, "the JSON ends in the middle");
        for open in ["[", "{\"a\":"] {
            let deep = format!("{{\"files\":{}", open.repeat(100_000));
            assert!(read(&deep).is_err());
        }
        let wide = format!("{{\"files\":[{}0]}}", "0,".repeat(100_000));
        assert!(read(&wide).is_err_and(|fault| fault.contains("too many entries")));
    }
}
