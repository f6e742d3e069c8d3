//! Definitions that a change takes out and that its task does not speak of: a small model that sends a whole file back
//! forgets some of it. Pure, and by lines: no parser.
//!
//! It is no fault, since tests may be green without them. The result names them, so that nobody finds out a week later.

use crate::rules::context::is_candidate;
use crate::rules::definition::header;
use crate::rules::escape::one_line;
use crate::rules::kin::is_test_file;
use crate::rules::weaken::Edited;
use std::collections::BTreeSet;

/// How many names a note holds.
const NAMED: usize = 5;
/// Verbs of tasks that take definitions out by their nature.
const TAKES_OUT: &str = "clean combine consolidate convert deduplicate delete drop eliminate extract inline merge \
    migrate move port prune reduce refactor remove rename reorganize replace restructure rewrite shorten simplify split";

/// Returns a note for each file that lost definitions, in the order of the files: `` `a.py` no longer defines `f`, which
/// the task does not name ``. What stands in another file of the change has moved; what tests lose is told by
/// [`crate::rules::weaken`].
pub fn dropped(task: &str, files: &[Edited<'_>]) -> Vec<String> {
    if files.iter().all(|file| file.before.is_none()) {
        return Vec::new();
    }
    let task = task.to_lowercase();
    let words: BTreeSet<&str> = task.split(|char: char| !(char.is_alphanumeric() || char == '_')).collect();
    if TAKES_OUT.split_whitespace().any(|verb| words.contains(verb)) {
        return Vec::new();
    }
    let after: BTreeSet<&str> = files.iter().filter_map(|file| file.after).flat_map(definitions).collect();
    let mut notes = Vec::new();
    for file in files.iter().filter(|file| is_candidate(file.path) && !is_test_file(file.path)) {
        let (Some(before), Some(_)) = (file.before, file.after) else { continue };
        let is_gone = |name: &&str| !after.contains(name) && !words.contains(name.to_lowercase().as_str());
        let gone: BTreeSet<&str> = definitions(before).filter(is_gone).collect();
        let named: Vec<String> = gone.iter().take(NAMED).map(|name| format!("`{}`", one_line(name))).collect();
        if !named.is_empty() {
            let more = gone.len() - named.len();
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            let path = one_line(file.path);
            notes.push(format!("`{path}` no longer defines {}{more}, which the task does not name", named.join(", ")));
        }
    }
    notes
}

/// Names of functions, classes and modules, and of constants that stand at the margin: further in they are variables.
fn definitions(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let (keyword, name) = header(line)?;
        let is_value = matches!(keyword, "const" | "static" | "type" | "define");
        (!is_value || !line.starts_with([' ', '\t'])).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "import os\n\nLIMIT = 3\n\ndef total(prices):\n    return sum(prices)\n\ndef mean(prices):\n    return 0\n\n\
        class Cart:\n    def add(self, price):\n        pass\n";

    fn check(task: &str, path: &str, old: &str, new: &str, expected: &[&str]) {
        let edited = Edited { path, before: Some(old), after: Some(new) };
        assert_eq!(dropped(task, &[edited]), expected, "{task}");
    }

    #[test]
    fn a_definition_that_nobody_spoke_of_is_named() {
        let only = "def mean(prices):\n    return sum(prices) / len(prices)\n";
        let note = "`cart.py` no longer defines `Cart`, `add`, `total`, which the task does not name";
        check("Fix mean", "cart.py", OLD, only, &[note]);
        let note = "`cart.py` no longer defines `Cart`, `add`, which the task does not name";
        check("Make mean use total()", "cart.py", OLD, only, &[note]);
        let many = "fn f0() {}\nfn f1() {}\nfn f2() {}\nfn f3() {}\nfn f4() {}\nfn f5() {}\nfn f6() {}\n";
        let note = "`a.rs` no longer defines `f0`, `f1`, `f2`, `f3`, `f4` and 2 more, which the task does not name";
        check("Add g", "a.rs", many, "fn g() {}\n", &[note]);
    }

    #[test]
    fn what_was_asked_for_or_stands_elsewhere_is_not() {
        check("Fix mean", "cart.py", OLD, &OLD.replace("return 0", "return 1"), &[]);
        check("Remove what is not used", "cart.py", OLD, "def mean(prices):\n    return 1\n", &[]);
        check("Simplify this", "cart.py", OLD, "", &[]);
        check("Fix x", "notes.md", "def f\n", "def g\n", &[]);
        check("Fix x", "tests/test_x.py", "def test_f():\n    pass\n", "", &[]);
        check("Fix f", "a.js", "function f() {\n  const half = 2;\n}\n", "function f() {}\n", &[]);
        let moved = [
            Edited { path: "a.py", before: Some("def f():\n    pass\n"), after: Some("from b import f\n") },
            Edited { path: "b.py", before: None, after: Some("def f():\n    pass\n") },
        ];
        assert_eq!(dropped("Put it into b.py", &moved), [""; 0]);
    }
}
