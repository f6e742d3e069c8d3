//! One value of a configuration file set in its text: every other byte stays, comments and line ends too. Pure.
//!
//! **Invariant:** what comes out reads as what went in with that one value set, else nothing comes out. The reader is asked,
//! so whatever form of YAML is overlooked here is refused and never broken.

use crate::rules::config_text::{self, Node, Place, Value};

/// Returns the text with `section.key` set to a number; `None` where the text has a form that only its writer should edit.
pub fn set(text: &str, section: &str, key: &str, number: f64) -> Option<String> {
    let old = config_text::parse(text).ok()?;
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let line = format!("{key}: {number}");
    let place = |id| at(text, config_text::place(text, id));
    let new = if let Some((id, node)) = entry(&old.value, section) {
        if let Some((_, value)) = entry(&node.value, key) {
            let start = place(value.id)?;
            replace(text, start, scalar(text.get(start..)?), &number.to_string())?
        } else if let Value::Map(entries) = &node.value {
            let first = place(entries.first()?.1)?;
            let begin = text.get(..first)?.rfind('\n').map_or(0, |newline| newline + 1);
            let indent = text.get(begin..first)?;
            let is_block = indent.chars().all(|char| char == ' ');
            let line = if is_block { format!("{line}{end}{indent}") } else { format!("{line}, ") };
            replace(text, first, 0, &line)?
        } else {
            // A section whose keys are all commented out.
            let after = place(id)?;
            let stop = text.get(after..)?.find('\n').map_or(text.len(), |newline| after + newline + 1);
            let begin = if text.get(..stop)?.ends_with('\n') { "" } else { end };
            replace(text, stop, 0, &format!("{begin}  {line}{end}"))?
        }
    } else {
        let begin = if text.is_empty() || text.ends_with('\n') { "" } else { end };
        format!("{text}{begin}{section}:{end}  {line}{end}")
    };
    let read = config_text::parse(&new).ok()?;
    let is_set = entry(&read.value, section).and_then(|(_, node)| entry(&node.value, key)).map(|(_, node)| &node.value)
        == Some(&Value::Number(number));
    (is_set && rest(&old, section, key) == rest(&read, section, key)).then_some(new)
}

/// Returns a value of a section, with the number of its key.
fn entry<'n>(value: &'n Value, name: &str) -> Option<(u32, &'n Node)> {
    let Value::Map(entries) = value else { return None };
    entries.iter().find(|(key, ..)| key == name).map(|(_, id, node)| (*id, node))
}

/// What a document says besides one value, without the numbers of its nodes; a section without anything counts as none.
fn rest(node: &Node, section: &str, key: &str) -> Value {
    let Value::Map(mut entries) = bare(node).value else { return bare(node).value };
    for (_, _, node) in entries.iter_mut().filter(|(name, ..)| name == section) {
        if let Value::Map(inner) = &mut node.value {
            inner.retain(|(inside, ..)| inside != key);
        }
    }
    entries.retain(|(name, _, node)| name != section || !matches!(node.value, Value::Null) && !is_empty(&node.value));
    if entries.is_empty() { Value::Null } else { Value::Map(entries) }
}

fn is_empty(value: &Value) -> bool {
    *value == Value::Map(Vec::new())
}

fn bare(node: &Node) -> Node {
    Node::from(match &node.value {
        Value::List(items) => Value::List(items.iter().map(bare).collect()),
        Value::Map(entries) => Value::Map(entries.iter().map(|(key, _, node)| (key.clone(), 0, bare(node))).collect()),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_)) => other.clone(),
    })
}

/// The byte of a place.
fn at(text: &str, place: Place) -> Option<usize> {
    let mut start = 0;
    for _ in 1..place.line {
        start += text.get(start..)?.find('\n')? + 1;
    }
    let column = text.get(start..)?.char_indices().map(|(at, _)| at).nth(place.column.checked_sub(1)?);
    Some(start + column?)
}

/// The length of the plain or quoted value that a text begins with.
fn scalar(text: &str) -> usize {
    let quoted = text.strip_prefix(['"', '\'']).and_then(|rest| rest.find(['"', '\'', '\n']));
    let plain = || text.find([' ', '\t', ',', '}', ']', '\r', '\n']).unwrap_or(text.len());
    quoted.map_or_else(plain, |inside| inside + 2)
}

fn replace(text: &str, start: usize, length: usize, with: &str) -> Option<String> {
    let (before, after) = (text.get(..start)?, text.get(start + length..)?);
    Some([before, with, after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(set(text, "router", "threshold", 0.7).as_deref(), Some(expected), "{text:?}");
    }

    #[test]
    fn one_value_is_set_and_every_other_byte_stays() {
        check("", "router:\n  threshold: 0.7\n");
        check("a: 1", "a: 1\nrouter:\n  threshold: 0.7\n");
        check("a: 1\r\n", "a: 1\r\nrouter:\r\n  threshold: 0.7\r\n");
        check("router:\n  threshold: 0.60  # mine\n", "router:\n  threshold: 0.7  # mine\n");
        check("router:\n    shadow: 0 # x\n", "router:\n    threshold: 0.7\n    shadow: 0 # x\n");
        check("# é\nrouter: { threshold: 0.6, shadow: 0 }\n", "# é\nrouter: { threshold: 0.7, shadow: 0 }\n");
        check("router: {threshold: 0.6}\n", "router: {threshold: 0.7}\n");
        check("router: {shadow: 0}", "router: {threshold: 0.7, shadow: 0}");
        check(
            "router: # all off\n  #threshold: 0.5\na: 1\n",
            "router: # all off\n  threshold: 0.7\n  #threshold: 0.5\na: 1\n",
        );
        check("router:", "router:\n  threshold: 0.7\n");
        check("# only\n", "# only\nrouter:\n  threshold: 0.7\n");
        check("{router: {threshold: 0.6}, a: é}\n", "{router: {threshold: 0.7}, a: é}\n");
        check("router:\n  threshold: \"0.6\"\nb: [1, 2]\n", "router:\n  threshold: 0.7\nb: [1, 2]\n");
        let page = crate::rules::config::DEFAULT_YAML;
        let set = set(page, "router", "local_confidence_threshold", 0.712).unwrap();
        assert_eq!(set, page.replace("local_confidence_threshold: 0.6\n", "local_confidence_threshold: 0.712\n"));
    }

    #[test]
    fn what_only_its_writer_should_edit_is_left_alone() {
        for text in ["{a: 1}", "router: {}\n", "router: ~\n", "a: *x", "- 1\n", "router: 5\n", "a: [1"] {
            assert_eq!(set(text, "router", "threshold", 0.7), None, "{text:?}");
        }
    }
}
