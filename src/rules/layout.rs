//! Whether two texts say the same and only look different: what a formatter that a check runs makes of a file. Pure.

use crate::rules::sorted::sorted;

/// Whether two texts are made of the same words and signs. Blanks, line ends, quotes, brackets, commas and semicolons do
/// not count, and neither does the order: formatters sort imports. What a person writes has a word that is not there yet.
pub fn is_same(one: &str, other: &str) -> bool {
    parts(one) == parts(other)
}

fn parts(text: &str) -> Vec<&str> {
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        let end = match rest.find(|char| !is_word(char)) {
            Some(0) => first.len_utf8(),
            Some(end) => end,
            None => rest.len(),
        };
        let (part, after) = rest.split_at(end);
        if !(first.is_whitespace() || "\"'`()[]{},;\u{feff}".contains(first)) {
            found.push(part);
        }
        rest = after;
    }
    sorted(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_formatters_do_is_no_change() {
        for (one, other) in [
            ("def f(a,b):\n    return 'x'\n", "def f(a, b):\r\n\treturn \"x\""),
            ("import b\nimport a\n", "import a\nimport b\n"),
            ("f(a, b)\n", "f(\n    a,\n    b,\n)\n"),
            ("use a::{c};\nuse a::b;\n", "use a::b;\nuse a::c;\n"),
            ("let x = {a: 1}", "let x = { \"a\": 1 };\n"),
            ("\u{feff}größe = 1", "größe=1\n"),
            ("", "\n"),
        ] {
            assert!(is_same(one, other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn what_people_do_is_one() {
        for (one, other) in [
            ("return a + b\n", "return a - b\n"),
            ("x = 1\n", "x = 12\n"),
            ("x = 1\n", "x = 1\nx = 1\n"),
            ("ab", "a b"),
            ("a.b", "a,b"),
            ("x", ""),
        ] {
            assert!(!is_same(one, other), "{one:?} {other:?}");
        }
    }
}
