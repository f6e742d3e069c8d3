//! Whether two texts say the same and only look different: what a formatter that a check runs makes of a file. Pure.

use crate::rules::sorted::sorted;

/// Whether two texts are made of the same words and signs. Blanks, line ends, quotes, brackets, commas and semicolons do
/// not count. Formatters sort imports, so there the order does not count either; elsewhere it does: `a - b` is not `b - a`.
pub fn is_same(one: &str, other: &str) -> bool {
    parts(one) == parts(other)
}

/// The parts of a text: those of its imports, sorted, and all others as they stand.
fn parts(text: &str) -> [Vec<&str>; 2] {
    let (mut imports, mut others, mut open) = (Vec::new(), Vec::new(), 0_usize);
    for line in text.lines() {
        if open > 0 || is_import(line) {
            let count = |signs: [char; 3]| line.matches(signs).count();
            open = (open + count(['(', '[', '{'])).saturating_sub(count([')', ']', '}']));
            add(&mut imports, line);
        } else {
            add(&mut others, line);
        }
    }
    [sorted(imports), others]
}

/// Whether a line begins an import. It goes on while brackets are open.
fn is_import(line: &str) -> bool {
    let line = line.trim_start_matches(|char: char| char.is_whitespace() || char == '\u{feff}');
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let word = line.split(char::is_whitespace).next().unwrap_or("");
    match word {
        "import" | "from" | "use" | "#include" | "require" => true,
        // These begin blocks, too.
        "mod" | "using" => line.trim_end().ends_with(';'),
        _ => false,
    }
}

/// Adds the words and signs of a line.
fn add<'a>(found: &mut Vec<&'a str>, line: &'a str) {
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    let mut rest = line;
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
            ("from x import (\n    b,\n    a,\n)\nb()\n", "from x import a, b\n\nb()\n"),
            ("pub use b;\nmod d;\nmod c;\n", "mod c;\nmod d;\npub use b;\n"),
            ("import {\n  b,\n  a\n} from 'x'\nb(a)\n", "import { a, b } from \"x\";\nb(a);\n"),
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
            ("return a - b\n", "return b - a\n"),
            ("one()\ntwo()\n", "two()\none()\n"),
            ("import a\none()\ntwo()\n", "import a\ntwo()\none()\n"),
            ("mod a {\n    one();\n    two();\n}\n", "mod a {\n    two();\n    one();\n}\n"),
            ("using (a) {\n one();\n two();\n}\n", "using (a) {\n two();\n one();\n}\n"),
            ("ab", "a b"),
            ("a.b", "a,b"),
            ("x", ""),
        ] {
            assert!(!is_same(one, other), "{one:?} {other:?}");
        }
    }
}
