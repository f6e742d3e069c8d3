//! Where the output of a red check leads: to the files that it names, to what those tests by their names, and to what they
//! import. Pure; listing and reading are `engine/gather.rs`.
//!
//! It knows paths and words, not module systems: the name of a file as a word of an import line is enough. A standard module
//! that a project has a file of the same name for is one file too many.

use crate::rules::context::{self, Source, Why};
use crate::rules::definition::is_word;
use crate::rules::kin::{self, directory, shared_directories, stem};
use crate::rules::sorted::sorted;
use std::cmp::Reverse;

/// Files that one output leads to, and those that one test leads to.
const MOST_NAMED: usize = 4;
const MOST_IMPORTED: usize = 4;
/// How the lines begin that bring in other files, in the usual languages.
const IMPORTS: [&str; 10] =
    ["import ", "from ", "use ", "pub use ", "mod ", "#include", "require ", "require_relative ", "source ", ". "];

/// Returns the files that an output names, in its order: by their path, or by a name that only one file has. Where one is
/// named with a line, those without are passed over: runners list what they run.
pub fn named<'a>(output: &str, sources: &'a [Source]) -> Vec<&'a str> {
    let (mut with_line, mut all): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    let mut rest = output;
    while let Some(start) = rest.find(in_path) {
        let (word, behind) = split_at_end(rest.get(start..).unwrap_or_default());
        rest = behind;
        let path = word.strip_prefix("./").unwrap_or(word).trim_end_matches('.');
        if !context::is_candidate(path) {
            continue;
        }
        let below = format!("/{path}");
        let mut same = sources.iter().map(|source| source.path.as_str()).filter(|other| other.ends_with(&below));
        let found = match sources.iter().find(|source| source.path == path) {
            Some(exact) => Some(exact.path.as_str()),
            None => same.next().filter(|_| same.next().is_none()),
        };
        let Some(found) = found else { continue };
        if begins_a_line_number(behind) && !with_line.contains(&found) {
            with_line.push(found);
        }
        if !all.contains(&found) {
            all.push(found);
        }
    }
    let mut named = if with_line.is_empty() { all } else { with_line };
    named.truncate(MOST_NAMED);
    named
}

fn in_path(char: char) -> bool {
    is_word(char) || matches!(char, '.' | '/' | '-')
}

fn split_at_end(text: &str) -> (&str, &str) {
    text.split_at(text.find(|char| !in_path(char)).unwrap_or(text.len()))
}

/// `:12`, `::test_name`, `", line 12`, `(12,3)`.
fn begins_a_line_number(behind: &str) -> bool {
    let is_number = |text: &str| text.starts_with(|char: char| char.is_ascii_digit());
    let after = |start: &str| behind.strip_prefix(start).is_some_and(is_number);
    after(":") || after("\", line ") || after("(") || behind.starts_with("::")
}

/// Returns the files that a test is about: that which its name says, and those that it imports, the nearest first.
pub fn tested<'a>(path: &str, text: &str, sources: &'a [Source]) -> Vec<(&'a str, Why)> {
    let others = || sources.iter().map(|source| source.path.as_str()).filter(|other| *other != path);
    let is_source = |other: &&str| !kin::is_test_file(other) && kin::is_same_language(stem(path).1, stem(other).1);
    let by_name = others().filter(is_source).filter(|other| kin::is_test_of(path, other));
    let by_name = sorted(by_name.map(|other| (Reverse(shared_directories(path, other)), other)).collect());
    let mut list: Vec<(&str, Why)> =
        by_name.into_iter().take(1).map(|(_, other)| (other, Why::Tested(path.to_string()))).collect();
    for line in text.lines().map(str::trim).filter(|line| is_import(line)) {
        let words: Vec<&str> = line.split(|char| !is_word(char) && char != '-').collect();
        let reached = others().filter(is_source).filter_map(|other| {
            let n_above = directory(other).split('/').filter(|part| words.contains(part)).count();
            let shared = shared_directories(path, other);
            words.contains(&stem(other).0).then_some((Reverse(n_above), Reverse(shared), other))
        });
        // The nearest one: names come again in other parts of a project.
        let Some((.., nearest)) = reached.min() else { continue };
        if list.len() < MOST_IMPORTED && list.iter().all(|(listed, _)| *listed != nearest) {
            list.push((nearest, Why::Imported(path.to_string())));
        }
    }
    list
}

fn is_import(line: &str) -> bool {
    IMPORTS.iter().any(|import| line.starts_with(import)) || line.contains("require(") || line.contains("import(")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(paths: &[&str]) -> Vec<Source> {
        context::sources(paths.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_output_names_files_by_path_or_by_a_name_of_their_own() {
        let all =
            sources(&["shop/cart.py", "shop/tax.py", "tests/test_cart.py", "web/app.js", "api/app.js", "go/x.go"]);
        let output = "Traceback:\n  File \"tests/test_cart.py\", line 21, in test_count\n  File \"/usr/lib/python3/case.py\"\n\
                      shop/cart.py:12: AssertionError\n    at ./web/app.js:3:1\n    x.go:7: got 2\napp.js:1\nfoo.py.\n";
        assert_eq!(named(output, &all), ["tests/test_cart.py", "shop/cart.py", "web/app.js", "go/x.go"]);
        let listed = "Running shop/tax.py\nFAILED tests/test_cart.py::test_count - assert\n";
        assert_eq!(named(listed, &all), ["tests/test_cart.py"]);
        assert_eq!(named("cannot load shop/tax.py, shop/cart.py", &all), ["shop/tax.py", "shop/cart.py"]);
        assert_eq!(named("FAILED (failures=1)", &all), Vec::<&str>::new());
    }

    #[track_caller]
    fn check(path: &str, text: &str, all: &[&str], want: &[&str]) {
        let all = sources(all);
        let told: Vec<String> =
            tested(path, text, &all).into_iter().map(|(path, why)| format!("{path}: {}", why.text())).collect();
        assert_eq!(told, want);
    }

    #[test]
    fn a_test_leads_to_what_it_is_called_after_and_to_what_it_imports() {
        let python = ["shop/cart.py", "shop/format.py", "shop/tax.py", "tests/test_cart.py", "old/format.py"];
        let text = "import unittest\n\nfrom shop.cart import Cart\nfrom shop.format import money\n\n# tax: see below\n";
        let want = ["shop/cart.py: tested by tests/test_cart.py", "shop/format.py: imported by tests/test_cart.py"];
        check("tests/test_cart.py", text, &python, &want);
        check(
            "tests/test_all.py",
            "from shop import tax, cart\n",
            &python,
            &["shop/cart.py: imported by tests/test_all.py"],
        );
        let script = ["src/chunk.js", "src/pad-left.js", "test/chunk.test.js", "src/chunk.css", "test/pad-left.js"];
        check(
            "test/chunk.test.js",
            "const chunk = require('../src/chunk')",
            &script,
            &["src/chunk.js: tested by test/chunk.test.js"],
        );
        check(
            "test/all.test.js",
            "import pad from \"../src/pad-left.js\";",
            &script,
            &["src/pad-left.js: imported by test/all.test.js"],
        );
        check(
            "tests/books.rs",
            "use shop::ledger::Ledger;\n",
            &["src/ledger.rs", "src/lib.rs"],
            &["src/ledger.rs: imported by tests/books.rs"],
        );
        check("tests/none.rs", "let ledger = 1;\n", &["src/ledger.rs"], &[]);
    }
}
