//! Test files before and after a change → what a change took out of the tests. Pure, and by lines: no parser.
//!
//! A change that deletes or skips tests or removes assertions proves nothing by passing them. **The rule:** unless the
//! task itself asks for it ([`asks_for`]), such a change fails, and the next try is told what it weakened; if the task
//! asks for it, the change may stay, as `unverified`, and the result names what is gone first.
//!
//! What counts: a test that is no longer there (unless its assertions now stand in another test, or a new test with as
//! many took its place), a new skip mark, an assertion that is gone from a test and stands nowhere else. What cannot be
//! seen: an assertion that says something else now. A changed test is often what the task wants, so it is no fault.

use crate::rules::kin::is_test_file;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a change took out of the tests of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weakened {
    pub path: String,
    /// `deletes test_add`, `skips test_add`, `removes 1 of 2 assertions from test_add`.
    pub what: String,
}

impl fmt::Display for Weakened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.what)
    }
}

/// One file of a changeset; `None` where it is absent.
#[derive(Clone, Copy, Debug)]
pub struct Edited<'a> {
    /// Relative to the work directory.
    pub path: &'a str,
    pub before: Option<&'a str>,
    pub after: Option<&'a str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    Python,
    Rust,
    Script,
    Go,
}

/// What stands under one name; of tests that share a name, all of it.
#[derive(Clone, Debug, Default)]
struct Test<'a> {
    count: usize,
    assertions: Vec<&'a str>,
    skips: usize,
}

/// Tests by name. What stands outside of tests (helpers, marks for a whole file) has the name "".
type Tests<'a> = BTreeMap<&'a str, Test<'a>>;

/// A file with its tests before and after.
type Read<'a> = (&'a str, Tests<'a>, Tests<'a>);

/// The assertions that are there after the change.
struct Standing<'a> {
    /// In tests that run.
    in_tests: BTreeSet<&'a str>,
    /// Helpers included.
    anywhere: BTreeSet<&'a str>,
}

impl<'a> Standing<'a> {
    fn in_files(files: &[Read<'a>]) -> Standing<'a> {
        let all = || files.iter().flat_map(|(_, _, after)| after).filter(|(_, test)| test.skips == 0);
        let lines = |(_, test): (&&'a str, &Test<'a>)| test.assertions.clone();
        Standing {
            in_tests: all().filter(|(name, _)| !name.is_empty()).flat_map(lines).collect(),
            anywhere: all().flat_map(lines).collect(),
        }
    }
}

/// Returns what the changeset takes out of its tests, in the order of its files.
pub fn weakened(files: &[Edited<'_>]) -> Vec<Weakened> {
    let read: Vec<Read<'_>> = files
        .iter()
        .filter_map(|file| {
            let language = language(file.path)?;
            let mut before = tests(file.before.unwrap_or_default(), language);
            let mut after = tests(file.after.unwrap_or_default(), language);
            if !is_test_file(file.path) {
                // Product code asserts too, and may drop it.
                before.remove("");
                after.remove("");
            }
            Some((file.path, before, after))
        })
        .collect();
    let standing = Standing::in_files(&read);
    // Tests that came: each may stand in for one that went, wherever it is.
    let mut came: Vec<&Test<'_>> = read
        .iter()
        .flat_map(|(_, before, after)| after.iter().filter(|(name, _)| !before.contains_key(*name)))
        .filter(|(name, test)| !name.is_empty() && test.skips == 0)
        .map(|(_, test)| test)
        .collect();
    let mut found = Vec::new();
    for (path, before, after) in &read {
        for (name, old) in before {
            let new = after.get(name).cloned().unwrap_or_default();
            if let Some(what) = loss(name, old, &new, &standing, &mut came) {
                found.push(Weakened { path: (*path).to_string(), what });
            }
        }
        let only = |tests: &Tests<'_>| tests.get("").map_or(0, |test| test.skips);
        if !before.is_empty() && !before.contains_key("") && only(after) > 0 {
            found.push(Weakened { path: (*path).to_string(), what: "skips tests".to_string() });
        }
    }
    found
}

/// What one test lost, if it did.
fn loss(
    name: &str,
    old: &Test<'_>,
    new: &Test<'_>,
    standing: &Standing<'_>,
    came: &mut Vec<&Test<'_>>,
) -> Option<String> {
    if new.count < old.count {
        let has_moved =
            !old.assertions.is_empty() && old.assertions.iter().all(|line| standing.in_tests.contains(line));
        let successor = came.iter().position(|test| test.assertions.len() >= old.assertions.len().max(1));
        if let Some(at) = successor.filter(|_| new.count == 0) {
            came.swap_remove(at);
            return None;
        }
        return (!has_moved).then(|| format!("deletes {name}"));
    }
    if new.skips > old.skips {
        return Some(if name.is_empty() { "skips tests".to_string() } else { format!("skips {name}") });
    }
    let gone = old.assertions.iter().filter(|line| !standing.anywhere.contains(*line)).count();
    let fewer = old.assertions.len().saturating_sub(new.assertions.len()).min(gone);
    let place = if name.is_empty() { "the file" } else { name };
    (fewer > 0).then(|| format!("removes {fewer} of {} assertions from {place}", old.assertions.len()))
}

/// Returns whether a task asks for tests to be taken out or skipped: a verb of removal, and in the same clause, with
/// nothing between them that begins another order, a word for tests. "Remove the import and make the tests pass" does
/// not; neither does "don't skip tests".
pub fn asks_for(task: &str) -> bool {
    const REMOVES: [&str; 14] = [
        "delete",
        "deletes",
        "deleting",
        "remove",
        "removes",
        "removing",
        "drop",
        "dropping",
        "skip",
        "skipping",
        "disable",
        "disabling",
        "ignore",
        "weaken",
    ];
    const NEGATES: [&str; 8] = ["not", "don", "dont", "never", "without", "no", "nor", "cannot"];
    const ELSE: [&str; 16] = [
        "make", "makes", "keep", "keeping", "run", "fix", "update", "add", "adjust", "ensure", "so", "that", "while",
        "until", "but", "pass",
    ];
    let task = task.to_ascii_lowercase().replace("n't", " not");
    task.split([',', ';', ':', '!', '?', '\n']).flat_map(|clause| clause.split(". ")).any(|clause| {
        let words: Vec<&str> = clause.split(|char: char| !char.is_ascii_alphanumeric()).collect();
        words.iter().enumerate().any(|(at, word)| {
            let (head, rest) = words.split_at(at);
            let is_order = REMOVES.contains(word) && !head.iter().rev().take(3).any(|word| NEGATES.contains(word));
            let mut near = rest.iter().skip(1).take(10).take_while(|word| !ELSE.contains(word));
            is_order && near.any(|word| is_word_for_tests(word))
        })
    })
}

fn is_word_for_tests(word: &str) -> bool {
    word.starts_with("test") && !word.starts_with("testament") && !word.starts_with("testimon")
        || matches!(
            word,
            "unittest" | "unittests" | "spec" | "specs" | "assert" | "asserts" | "assertion" | "assertions"
        )
}

fn language(path: &str) -> Option<Language> {
    match path.rsplit_once('.')?.1 {
        "py" => Some(Language::Python),
        "rs" => Some(Language::Rust),
        "js" | "mjs" | "cjs" | "ts" | "mts" | "cts" | "jsx" | "tsx" => Some(Language::Script),
        "go" => Some(Language::Go),
        _ => None,
    }
}

/// Reads the tests of a file: a test begins with its line and ends where the indentation comes back.
fn tests(text: &str, language: Language) -> Tests<'_> {
    let mut tests = Tests::new();
    let mut current: (&str, usize) = ("", 0); // the open test and its indentation
    let mut marked = 0; // skip marks above the next test
    let mut is_test_next = false; // `#[test]` was there
    for line in code(text, language) {
        let start = line.trim_start();
        let indent = line.len() - start.len();
        let begins = begins(start, language, is_test_next);
        if let Some(name) = begins {
            current = (name, indent);
            let one = tests.entry(name).or_default();
            one.count += 1;
            one.skips += std::mem::take(&mut marked);
            is_test_next = false;
        } else if !current.0.is_empty() && indent <= current.1 && !start.starts_with([')', '}', ']']) {
            current = ("", 0);
        }
        if language == Language::Rust && start.starts_with("#[") {
            is_test_next |= start.contains("test]") || start.contains("test(");
        }
        let skips = usize::from(is_skip(start, language));
        let is_above = current.0.is_empty() && start.starts_with(['@', '#']);
        if is_above {
            marked += skips;
        } else if skips > 0 {
            tests.entry(current.0).or_default().skips += skips;
        }
        if is_assertion(start, language) {
            tests.entry(current.0).or_default().assertions.push(start.trim_end());
        }
    }
    tests
}

/// The lines of a file without blank lines, comments and the insides of long strings.
fn code(text: &str, language: Language) -> impl Iterator<Item = &str> {
    let mut until: Option<&str> = None;
    text.lines().filter(move |line| {
        let start = line.trim_start();
        if let Some(end) = until {
            if start.contains(end) {
                until = None;
            }
            return false;
        }
        if language == Language::Python {
            until = ["\"\"\"", "'''"].into_iter().find(|quote| line.matches(quote).count() % 2 == 1);
            return !start.is_empty() && !start.starts_with('#');
        }
        if start.starts_with("/*") && !start.contains("*/") {
            until = Some("*/");
        }
        !start.is_empty() && !start.starts_with("//") && !start.starts_with("/*")
    })
}

/// Returns the name of the test that begins with this line.
fn begins(start: &str, language: Language, is_test_next: bool) -> Option<&str> {
    let name = |rest: &'_ str| rest.find(|char: char| !char.is_alphanumeric() && char != '_').unwrap_or(rest.len());
    let (rest, is_test) = match language {
        Language::Python => {
            let rest = start.strip_prefix("async ").unwrap_or(start).strip_prefix("def ")?;
            (rest, rest.starts_with("test"))
        }
        Language::Rust => {
            let words =
                ["pub ", "async ", "fn "].iter().fold(start, |rest, word| rest.strip_prefix(word).unwrap_or(rest));
            (words, is_test_next && words.len() < start.len())
        }
        Language::Go => {
            let rest = start.strip_prefix("func ")?;
            (rest, rest.starts_with("Test") || rest.starts_with("Fuzz"))
        }
        Language::Script => {
            let (call, rest) = start.split_once(['(', '`'])?;
            let call = call.strip_prefix("await ").unwrap_or(call);
            let call = call.strip_prefix("t.").unwrap_or(call);
            let root = call.split('.').next().unwrap_or(call);
            let is_test = matches!(root, "it" | "test" | "xit" | "xtest" | "fit" | "specify");
            let quote = rest.chars().next().filter(|char| matches!(char, '\'' | '"' | '`'))?;
            return rest.get(1..)?.split(quote).next().filter(|name| is_test && !name.is_empty());
        }
    };
    rest.get(..name(rest)).filter(|name| is_test && !name.is_empty())
}

fn is_skip(start: &str, language: Language) -> bool {
    let marks: &[&str] = match language {
        Language::Python => &[
            "mark.skip",
            "mark.xfail",
            "pytest.skip(",
            "pytest.xfail(",
            "unittest.skip",
            "@skip",
            "skipTest(",
            "SkipTest",
            "expectedFailure",
            "__test__ = False",
            "collect_ignore",
        ],
        Language::Rust => &["#[ignore", ", ignore"],
        Language::Go => &["t.Skip(", "t.Skipf(", "t.SkipNow("],
        Language::Script => &[
            "it.skip(",
            "test.skip(",
            "describe.skip(",
            "suite.skip(",
            "xit(",
            "xtest(",
            "xdescribe(",
            "it.todo(",
            "test.todo(",
            "t.skip(",
            "t.todo(",
            "this.skip(",
            "skip: true",
            "todo: true",
            "it.only(",
            "test.only(",
            "describe.only(",
            "fit(",
            "fdescribe(",
        ],
    };
    let is_attribute = language != Language::Rust || start.starts_with("#[");
    // A name that is imported marks nothing.
    let is_import = start.starts_with("import ") || start.starts_with("from ");
    is_attribute && !is_import && marks.iter().any(|mark| is_word_in(start, mark))
}

/// Whether `mark` stands in a line, not as the end of a longer name (`exit(` has no `xit(`).
fn is_word_in(line: &str, mark: &str) -> bool {
    let is_name = |char: char| char.is_alphanumeric() || char == '_';
    let is_whole = |(at, _): (usize, &str)| {
        let before = line.get(..at).and_then(|head| head.chars().next_back());
        !mark.starts_with(is_name) || !before.is_some_and(is_name)
    };
    // `contains` is several times as fast as `match_indices`, and nearly always says no.
    line.contains(mark) && line.match_indices(mark).any(is_whole)
}

fn is_assertion(start: &str, language: Language) -> bool {
    const TRIVIAL: [&str; 9] = [
        "assertTrue",
        "assert1",
        "assertTrue==True",
        "self.assertTrue(True)",
        "assert!(true)",
        "assert.ok(true)",
        "assert(true)",
        "expect(true).toBe(true)",
        "expect(1).toBe(1)",
    ];
    let marks: &[&str] = match language {
        Language::Python => &["assert ", "assert(", ".assert", "pytest.raises(", "self.fail("],
        Language::Rust => &["assert", "prop_assert", "should_panic"],
        Language::Go => &["t.Error", "t.Fatal", "t.Fail", "assert.", "require."],
        Language::Script => &["assert", "expect(", ".should."],
    };
    let is_import = ["import ", "from ", "use ", "const ", "var ", "let "].iter().any(|word| start.starts_with(word))
        && (start.contains("require(")
            || start.starts_with("import ")
            || start.starts_with("from ")
            || start.starts_with("use "));
    let bare: String = start.chars().filter(|char| !char.is_whitespace() && *char != ';').collect();
    !is_import && !TRIVIAL.contains(&bare.as_str()) && marks.iter().any(|mark| is_word_in(start, mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, before: &str, after: &str, expected: &[&str]) {
        let found = weakened(&[Edited { path, before: Some(before), after: Some(after) }]);
        let what: Vec<&str> = found.iter().map(|one| one.what.as_str()).collect();
        assert_eq!(what, expected, "{before}\n---\n{after}");
    }

    const PY: &str = "import pytest\nfrom calc import add\n\n\ndef test_add():\n    assert add(2, 3) == 5\n    \
                      assert add(0, 0) == 0\n\n\ndef test_zero(\n    n=0,\n):\n    assert add(n, 0) == n\n";

    #[test]
    fn python_tests_that_lose_something_are_named() {
        let path = "tests/test_calc.py";
        check(path, PY, PY, &[]);
        check(path, PY, &format!("{PY}\n\ndef test_more():\n    assert add(1, 1) == 2\n"), &[]);
        check(path, PY, &PY.replace("== 5", "== -1"), &[]);
        check(path, PY, &PY.replace("    assert add(0, 0) == 0\n", ""), &["removes 1 of 2 assertions from test_add"]);
        check(path, PY, &PY.replace("assert add(n, 0) == n", "pass"), &["removes 1 of 1 assertions from test_zero"]);
        check(
            path,
            PY,
            &PY.replace("assert add(n, 0) == n", "assert True"),
            &["removes 1 of 1 assertions from test_zero"],
        );
        check(
            path,
            PY,
            &PY.replace("    assert add(2", "    # assert add(2"),
            &["removes 1 of 2 assertions from test_add"],
        );
        check(path, PY, PY.split("def test_zero").next().unwrap(), &["deletes test_zero"]);
        check(path, PY, &PY.replace("def test_zero", "def zero"), &["deletes test_zero"]);
        check(path, PY, &PY.replace("def test_zero", "\"\"\"\ndef test_zero"), &["deletes test_zero"]);
        check(path, PY, "", &["deletes test_add", "deletes test_zero"]);
        for mark in ["@pytest.mark.skip", "@unittest.skipIf(True, 'x')", "@pytest.mark.xfail(reason='x')"] {
            check(path, PY, &PY.replace("def test_zero", &format!("{mark}\ndef test_zero")), &["skips test_zero"]);
        }
        check(path, PY, &PY.replace("    assert add(2", "    pytest.skip('x')\n    assert add(2"), &["skips test_add"]);
        check(
            path,
            PY,
            &PY.replace("\n\n\ndef test_add", "\npytestmark = pytest.mark.skip\n\n\ndef test_add"),
            &["skips tests"],
        );
    }

    #[test]
    fn moved_and_renamed_tests_are_not_lost() {
        let path = "test_calc.py";
        check(path, PY, &PY.replace("test_zero", "test_neutral"), &[]);
        check(
            path,
            PY,
            &PY.replace("    assert add(0, 0) == 0\n", "\n\ndef test_null():\n    assert add(0, 0) == 0\n"),
            &[],
        );
        // One that came stands in for one that went, not for two.
        check(
            path,
            PY,
            "def test_all():\n    assert add(1, 1) == 2\n    assert add(1, 2) == 3\n",
            &["deletes test_zero"],
        );
        check(path, PY, "def test_all():\n    pass\n", &["deletes test_add", "deletes test_zero"]);
        let moved = [
            Edited { path, before: Some(PY), after: None },
            Edited { path: "tests/test_calc.py", before: None, after: Some(PY) },
        ];
        assert_eq!(weakened(&moved), []);
        let lost = weakened(&moved[..1]);
        assert_eq!(lost[0].to_string(), "test_calc.py: deletes test_add");
        assert_eq!(lost.len(), 2);
    }

    #[test]
    fn rust_go_and_script_tests_are_read_too() {
        let rust = "pub fn add() { debug(); assert!(true_enough()); }\n#[cfg(test)]\nmod tests {\n    #[test]\n    \
                    fn adds() {\n        assert_eq!(add(), 5);\n    }\n\n    #[tokio::test]\n    async fn zero() {\n        \
                    assert!(x, \"\");\n    }\n}\n";
        check("src/lib.rs", rust, rust, &[]);
        check("src/lib.rs", rust, &rust.replace(" assert!(true_enough());", ""), &[]);
        check(
            "src/lib.rs",
            rust,
            &rust.replace("    #[test]\n", "    #[test]\n    #[ignore = \"slow\"]\n"),
            &["skips adds"],
        );
        check("src/lib.rs", rust, &rust.replace("    #[test]\n", "    #[ignore]\n    #[test]\n"), &["skips adds"]);
        check("src/lib.rs", rust, &rust.replace("    #[test]\n", ""), &["deletes adds"]);
        check(
            "src/lib.rs",
            rust,
            &rust.replace("assert!(x, \"\");", "drop(x);"),
            &["removes 1 of 1 assertions from zero"],
        );
        check("src/lib.rs", "fn a() {\n    assert!(x);\n}\n", "fn a() {}\n", &[]);
        let script = "const assert = require('node:assert');\ndescribe('g', () => {\n  it('adds', () => {\n    \
                      expect(add(2, 3)).toBe(5);\n  });\n  test(\"zero\", () => assert.ok(x));\n});\n";
        check("a.test.js", script, script, &[]);
        check("a.test.js", script, &script.replace("it('adds'", "it.skip('adds'"), &["skips adds"]);
        check("a.test.js", script, &script.replace("it('adds'", "xit('adds'"), &["skips adds"]);
        check("a.test.js", script, &script.replace("describe(", "describe.skip("), &["skips tests"]);
        check("a.test.js", script, &script.replace("it('adds'", "it.only('adds'"), &["skips adds"]);
        check(
            "a.test.js",
            script,
            &script.replace("assert.ok(x)", "exit(x)"),
            &["removes 1 of 1 assertions from zero"],
        );
        check("a.test.js", script, &script.replace("it('adds'", "// it('adds'"), &["deletes adds"]);
        let go = "func TestAdd(t *testing.T) {\n\tif add(2, 3) != 5 {\n\t\tt.Errorf(\"x\")\n\t}\n}\n";
        check("a_test.go", go, go, &[]);
        check("a_test.go", go, &go.replace("\tif", "\tt.Skip(\"x\")\n\tif"), &["skips TestAdd"]);
        check("a_test.go", go, &go.replace("\t\tt.Errorf(\"x\")\n", ""), &["removes 1 of 1 assertions from TestAdd"]);
        check("notes.md", "assert x", "", &[]);
        check("app.py", "def run():\n    assert x\n", "def run():\n    pass\n", &[]);
    }

    #[test]
    fn only_a_task_that_says_so_may_take_tests_out() {
        for task in [
            "Delete test_old from tests/test_api.py",
            "Remove the parser and its tests",
            "skip the network tests on CI",
            "Drop the obsolete assertions in the suite",
            "Fix add. Then remove tests/test_old.py.",
            "Mark it done and disable TestNetwork",
        ] {
            assert!(asks_for(task), "{task}");
        }
        for task in [
            "Fix the bug in add and keep tests passing",
            "Remove the unused import and make the tests pass",
            "Remove the latest entry",
            "Fix it, don't skip tests",
            "Fix the parser without deleting tests",
            "Delete old.py; the tests must pass",
            "Add a test for remove()",
            "Delete the dead code so that tests run",
        ] {
            assert!(!asks_for(task), "{task}");
        }
    }
}
