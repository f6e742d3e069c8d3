//! Output of a red test command → the names of the tests that failed, to compare two runs. Not what a model is shown of
//! it (`evidence.rs`).
//!
//! **Invariant:** a set is returned only when it is complete: every runner that is recognised also says how many tests
//! failed, and the names are as many. A run that was cut short (a panic in Go, an error while collecting) is no set.
//! Names are taken from lines, and tests may print such lines; then the counts differ, and the answer is `None`.

use crate::rules::evidence::{clean, leading_number};
use crate::words::task::Failures;
use std::collections::BTreeSet;

/// What one runner said.
#[derive(Default)]
struct Named {
    names: Vec<String>,
    /// How many failed, by the runner's own count.
    total: Option<u64>,
    /// How many of `names` are counted in `total`.
    counted: u64,
    /// It says itself that it did not come to its end.
    is_cut: bool,
}

impl Named {
    fn push(&mut self, name: String) {
        self.counted += 1;
        self.names.push(name);
    }

    fn add(&mut self, count: u64) {
        self.total = Some(self.total.unwrap_or(0) + count);
    }
}

/// Returns the names of all tests that failed according to the output of pytest, unittest, cargo, node (TAP and spec),
/// go or jest. `None`: they cannot be told with certainty, so this run cannot be compared with another.
pub fn failing(output: &str) -> Option<BTreeSet<String>> {
    let text = clean(output);
    let lines: Vec<&str> = text.lines().collect();
    let mut all = BTreeSet::new();
    for read in [pytest, unittest, cargo, tap, spec, go, jest] {
        let named = read(&lines);
        if named.is_cut || named.counted != named.total.unwrap_or(0) {
            return None;
        }
        for name in named.names {
            // The same name twice (two crates, two suites) is two failures.
            let mut nth = 1;
            let mut unique = name.clone();
            while !all.insert(unique) {
                nth += 1;
                unique = format!("{name} ({nth})");
            }
        }
    }
    (!all.is_empty()).then_some(all)
}

/// Returns whether a red run broke nothing that was whole before: the same tests fail, or fewer of them, and no fewer
/// passed. That a set which shrank is no worse is the ratchet: a change that repairs one of three red tests is kept, and
/// is no more proven than one that repairs none.
pub fn is_no_worse(before: &Failures, after: &Failures) -> bool {
    before.exit == after.exit && after.names.is_subset(&before.names) && after.n_passed >= before.n_passed
}

/// Words of tasks that speak of something broken.
const BROKEN: [&str; 22] = [
    "fix",
    "fixes",
    "repair",
    "correct",
    "debug",
    "bug",
    "bugs",
    "broken",
    "failing",
    "fail",
    "fails",
    "failure",
    "wrong",
    "crash",
    "crashes",
    "error",
    "errors",
    "exception",
    "regression",
    "pass",
    "resolve",
    "solve",
];

/// Whether a task speaks of something broken.
pub fn speaks_of_a_fault(task: &str) -> bool {
    let task = task.to_ascii_lowercase();
    task.split(|char: char| !char.is_ascii_alphanumeric()).any(|word| BROKEN.contains(&word))
}

/// Returns whether tests that were red before and still are may be what the task is about: the task speaks of something
/// broken, or the tests, or what was printed of the first failure, name a file that the change touched. Such tests are
/// often why the task was given, so a change that turned none of them green deserves another try before it is kept.
pub fn concern(names: &BTreeSet<String>, evidence: &str, task: &str, touched: &[String]) -> bool {
    speaks_of_a_fault(task)
        || touched.iter().any(|path| {
            let name = path.rsplit('/').next().unwrap_or(path);
            let stem = name.split('.').next().unwrap_or(name);
            // A stem of one or two letters is in every name.
            evidence.contains(name) || (stem.len() > 2 && names.iter().any(|test| test.contains(stem)))
        })
}

/// `FAILED test_a.py::test_b - reason`, in the summary; `2 failed, 1 passed, 1 error in 0.04s`.
fn pytest(lines: &[&str]) -> Named {
    let mut named = Named::default();
    let mut in_summary = false;
    for line in lines {
        let bare = line.trim_matches(['=', ' ', '!']);
        if line.starts_with("!!!!") || line.starts_with("INTERNALERROR>") {
            named.is_cut |= ["Interrupted:", "stopping after", "KeyboardInterrupt", "INTERNALERROR"]
                .iter()
                .any(|word| bare.contains(word));
        } else if line.starts_with("==") && bare == "short test summary info" {
            in_summary = true;
        } else if in_summary && bare.contains(" in ") && bare.starts_with(|first: char| first.is_ascii_digit()) {
            in_summary = false;
            let counts = bare.rsplit_once(" in ").map_or(bare, |(counts, _)| counts);
            for (count, what) in counts.split(", ").filter_map(|part| part.split_once(' ')) {
                if matches!(what, "failed" | "error" | "errors") {
                    named.add(leading_number(count).unwrap_or(0));
                }
            }
        } else if in_summary {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let rest = rest.split_once(" - ").map_or(rest, |(name, _)| name);
            if matches!(word, "FAILED" | "ERROR") {
                named.push(rest.to_string());
            } else if let Some(of) = word.strip_prefix("SUBFAILED") {
                named.push(format!("{rest} {of}"));
            }
        }
    }
    named
}

/// `FAIL: test_b (test_a.Case.test_b)` below a bar; `FAILED (failures=1, errors=1)`.
fn unittest(lines: &[&str]) -> Named {
    let mut named = Named::default();
    let mut is_below_bar = false;
    for line in lines {
        let kinds = ["FAIL: ", "ERROR: ", "UNEXPECTED SUCCESS: "];
        if let Some(name) = kinds.iter().find_map(|kind| line.strip_prefix(kind)).filter(|_| is_below_bar) {
            named.push(name.to_string());
        } else if let Some(counts) = line.strip_prefix("FAILED (").and_then(|rest| rest.strip_suffix(')')) {
            for (what, count) in counts.split(", ").filter_map(|part| part.split_once('=')) {
                if matches!(what, "failures" | "errors" | "unexpected successes") {
                    named.add(leading_number(count).unwrap_or(0));
                }
            }
        }
        is_below_bar = line.len() == 70 && line.bytes().all(|byte| byte == b'=');
    }
    named
}

/// The list that stands after `failures:`; `test result: FAILED. 1 passed; 1 failed; …`.
fn cargo(lines: &[&str]) -> Named {
    let mut named = Named::default();
    let mut in_list = false;
    for line in lines {
        if let Some(rest) = line.strip_prefix("test result: FAILED. ") {
            let failed = rest.split("; ").find_map(|part| part.strip_suffix(" failed"));
            named.add(failed.and_then(leading_number).unwrap_or(0));
        } else if let Some(name) = line.strip_prefix("    ").filter(|_| in_list) {
            // A change above a doc test moves its line.
            let name = name.split_once(" (line ").map_or(name, |(name, _)| name);
            named.push(name.to_string());
            continue;
        }
        in_list = *line == "failures:";
    }
    named
}

/// `not ok 1 - name`, indented by its depth, with a block of details; `# fail 1` counts what is no suite.
fn tap(lines: &[&str]) -> Named {
    let mut named = Named::default();
    if !lines.iter().any(|line| line.starts_with("TAP version")) {
        return named;
    }
    let mut path: Vec<&str> = Vec::new();
    let mut open: Option<String> = None;
    for line in lines {
        let start = line.trim_start();
        let depth = (line.len() - start.len()) / 4;
        if let Some(name) = start.strip_prefix("# Subtest: ") {
            path.truncate(depth);
            path.push(name);
        } else if let Some(rest) = start.strip_prefix("not ok ").filter(|_| !is_waived(start)) {
            path.truncate(depth);
            path.push(rest.split_once(" - ").map_or(rest, |(_, name)| name));
            named.counted += 1;
            named.names.extend(open.replace(path.join(" > ")));
        } else if let Some(name) = &mut open {
            if start == "type: 'suite'" {
                named.counted -= 1;
            } else if let Some(place) = start.strip_prefix("location: '") {
                *name = format!("{}: {name}", file_of(place));
            } else if start == "..." {
                named.names.extend(open.take());
            }
        } else if let Some(rest) = line.strip_prefix("# fail ") {
            named.add(leading_number(rest).unwrap_or(0));
        }
    }
    named.names.extend(open);
    named
}

/// Returns whether a line of TAP marks a failure that is expected.
fn is_waived(line: &str) -> bool {
    line.contains(" # TODO") || line.contains(" # SKIP")
}

/// The file of `/w/a.test.js:2:1`: lines move with every change.
fn file_of(place: &str) -> &str {
    place.split(':').next().unwrap_or(place)
}

/// `✖ name (1.2ms)` in a tree of suites (`▶ name`), and again with its file behind `✖ failing tests:`; `ℹ fail 1`.
/// Both stand in the set: the tree tells the suite, the list the file, and only the list is counted.
fn spec(lines: &[&str]) -> Named {
    let mut named = Named::default();
    let mut path: Vec<&str> = Vec::new();
    let mut in_list = false;
    let mut file = "";
    for line in lines {
        let start = line.trim_start();
        let depth = (line.len() - start.len()) / 2;
        let failed =
            start.strip_prefix("✖ ").and_then(|rest| rest.strip_suffix("ms)")).and_then(|rest| rest.rsplit_once(" ("));
        if let Some(rest) = line.strip_prefix("ℹ fail ") {
            named.add(leading_number(rest).unwrap_or(0));
        } else if *line == "✖ failing tests:" {
            in_list = true;
        } else if let Some(place) = line.strip_prefix("test at ").filter(|_| in_list) {
            file = file_of(place);
        } else if let (Some((name, _)), true, 0) = (failed, in_list, depth) {
            named.push(format!("{file}: {name}"));
        } else if let (Some((name, _)), false) = (failed, in_list) {
            path.truncate(depth);
            path.push(name);
            named.names.push(path.join(" > "));
        } else if let Some(name) = start.strip_prefix("▶ ").filter(|_| !in_list) {
            path.truncate(depth);
            path.push(name);
        }
    }
    named
}

/// `--- FAIL: TestA (0.00s)`, behind them `FAIL`, a tab and the package. Go gives no count, but each red package names
/// a test.
fn go(lines: &[&str]) -> Named {
    let mut named = Named::default();
    let mut open: Vec<&str> = Vec::new();
    for line in lines {
        if let Some(name) = line.trim_start().strip_prefix("--- FAIL: ") {
            open.push(name.rsplit_once(" (").map_or(name, |(name, _)| name));
        } else if let Some(rest) = line.strip_prefix("FAIL\t") {
            let package = rest.split(['\t', ' ']).next().unwrap_or(rest);
            // `[build failed]`, or a package that ended before its tests did.
            named.is_cut |= open.is_empty();
            for name in open.drain(..) {
                named.push(format!("{package}: {name}"));
                named.add(1);
            }
        }
    }
    let is_go = !named.names.is_empty() || !open.is_empty();
    named.is_cut |= is_go && (!open.is_empty() || lines.iter().any(|line| line.starts_with("panic: ")));
    named
}

/// `FAIL a.test.js`, then `● suite › name`; `Tests:       1 failed, 3 passed, 4 total`.
fn jest(lines: &[&str]) -> Named {
    let mut named = Named::default();
    let mut file = "";
    for line in lines {
        if let Some(counts) = line.strip_prefix("Tests:") {
            let failed = counts.split(", ").find_map(|part| part.trim().strip_suffix(" failed"));
            named.add(failed.and_then(leading_number).unwrap_or(0));
        } else if line.starts_with("Test Suites:") || line.starts_with("Summary of all failing tests") {
            // What follows is said twice.
            file = "";
        } else if let Some(name) = line.strip_prefix("FAIL ") {
            file = name.trim().split(" (").next().unwrap_or(name);
        } else if let Some(name) = line.strip_prefix("  ● ").filter(|_| !file.is_empty()) {
            named.is_cut |= name == "Test suite failed to run";
            named.push(format!("{file}: {name}"));
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(output: &str, expected: Option<&[&str]>) {
        let expected = expected.map(|names| names.iter().map(ToString::to_string).collect());
        assert_eq!(failing(output), expected, "{output}");
    }

    /// What is recorded stands in `fixtures/failing/`; all of it is from 2026-11-23.
    #[track_caller]
    fn recorded(output: &str, total: &str, expected: &[&str]) {
        check(output, Some(expected));
        // Without its totals a runner has not said how many failed.
        let cut: Vec<&str> = output.lines().filter(|line| !line.contains(total)).collect();
        check(&cut.join("\n"), None);
    }

    #[test]
    fn names_are_read_from_recorded_runs() {
        // pytest 9.2.0
        recorded(
            include_str!("../../fixtures/failing/pytest.txt"),
            "1 error in ",
            &[
                "test_calc.py::TestK::test_m",
                "test_calc.py::test_add",
                "test_calc.py::test_fix",
                "test_calc.py::test_par[1]",
                "test_calc.py::test_par[2]",
            ],
        );
        recorded(
            include_str!("../../fixtures/failing/pytest_of_unittest.txt"),
            "1 error, ",
            &[
                "test_calc.py::CalcTest::test_add",
                "test_calc.py::CalcTest::test_sub (i=1)",
                "test_calc.py::CalcTest::test_sub (i=2)",
                "test_calc.py::CalcTest::test_x",
                "test_calc.py::CalcTest::test_zero",
                "test_calc.py::Up::test_a",
            ],
        );
        // Python 3.11.7
        recorded(
            include_str!("../../fixtures/failing/unittest.txt"),
            "FAILED (",
            &[
                "setUpClass (test_calc.Up)",
                "test_add (test_calc.CalcTest.test_add)",
                "test_sub (test_calc.CalcTest.test_sub) (i=1)",
                "test_sub (test_calc.CalcTest.test_sub) (i=2)",
                "test_x (test_calc.CalcTest.test_x)",
                "test_zero (test_calc.CalcTest.test_zero)",
            ],
        );
        // cargo 1.95.0, `--no-fail-fast`
        recorded(
            include_str!("../../fixtures/failing/cargo.txt"),
            "test result: FAILED",
            &["adds", "src/lib.rs - add", "tests::adds"],
        );
        // node 20.20.2
        recorded(
            include_str!("../../fixtures/failing/tap.txt"),
            "# fail ",
            &["/w/a.test.js: adds", "/w/a.test.js: group", "/w/a.test.js: group > inner"],
        );
        recorded(
            include_str!("../../fixtures/failing/spec.txt"),
            "ℹ fail ",
            &["a.test.js: adds", "a.test.js: inner", "adds", "group", "group > inner"],
        );
        // jest 30
        recorded(
            include_str!("../../fixtures/failing/jest.txt"),
            "Tests:",
            &["./a.test.js: adds", "./a.test.js: group › inner"],
        );
    }

    #[test]
    fn what_did_not_come_to_its_end_cannot_be_compared() {
        // A suite of jest that could not be loaded, recorded with jest 30.
        check(include_str!("../../fixtures/failing/jest_load.txt"), None);
        check(
            "=== short test summary info ===\nERROR test_x.py\n!!!! Interrupted: 1 error during collection !!!!\n1 error in 0.18s",
            None,
        );
        check(
            "=== short test summary info ===\nFAILED a.py::b - x\n!!!! stopping after 1 failures !!!!\n1 failed in 0.18s",
            None,
        );
        check("error[E0425]: cannot find value `c` in this scope\nerror: could not compile `calc`", None);
        check("3 passed in 0.1s\nmake: *** [test] Error 1", None);
        check("", None);
    }

    #[test]
    fn names_and_counts_must_agree() {
        let pytest = |names: &str, total: &str| format!("=== short test summary info ===\n{names}\n{total} in 0.18s");
        check(&pytest("FAILED a.py::b - x - y", "1 failed, 2 passed"), Some(&["a.py::b"]));
        check(&pytest("FAILED a.py::b\nERROR a.py::b", "1 failed, 1 error"), Some(&["a.py::b", "a.py::b (2)"]));
        check(&pytest("FAILED a.py::b - x", "2 failed, 2 passed"), None);
        let cargo = |names: &str, failed: u32| {
            format!("failures:\n{names}\n\ntest result: FAILED. 1 passed; {failed} failed; 0 ignored")
        };
        check(&cargo("    a::b\n    a::c", 2), Some(&["a::b", "a::c"]));
        check(&cargo("    a::b\n    a::c", 1), None);
        check(&(cargo("    a::b", 1) + "\n" + &cargo("    a::b", 1)), Some(&["a::b", "a::b (2)"]));
    }

    #[test]
    fn a_red_run_is_no_worse_only_with_the_same_or_fewer_failures() {
        let run = |exit, names: &[&str], n_passed| {
            let names = names.iter().map(ToString::to_string).collect();
            Failures { exit, names, n_passed }
        };
        let before = run(1, &["a", "b"], 3);
        for (after, expected) in [
            (run(1, &["a", "b"], 3), true),
            (run(1, &["a", "b"], 4), true),
            (run(1, &["b"], 4), true),
            (run(1, &["a", "c"], 3), false),
            (run(1, &["a", "b", "c"], 3), false),
            // Tests that passed are not there any more.
            (run(1, &["a", "b"], 2), false),
            (run(2, &["a", "b"], 3), false),
        ] {
            assert_eq!(is_no_worse(&before, &after), expected, "{after:?}");
        }
        assert!(!is_no_worse(&run(0, &[], 5), &before));
    }

    #[test]
    fn red_tests_concern_a_task_that_speaks_of_a_fault_or_touches_their_file() {
        let red: BTreeSet<String> = [String::from("test_add (test_calc.T.test_add)")].into();
        for (task, touched, evidence, expected) in [
            ("Add a function double", "src/calc.py", "", true),
            ("Add a page", "docs/page.py", "  File \"docs/page.py\", line 2", true),
            ("Add a page", "docs/page.py", "", false),
            ("Fix the sum", "docs/page.py", "", true),
            ("Add a prefix", "a.py", "", false),
        ] {
            assert_eq!(concern(&red, evidence, task, &[touched.to_string()]), expected, "{task}: {touched}");
        }
    }

    #[test]
    fn go_names_tests_by_package() {
        let one = "--- FAIL: TestAdd (0.00s)\n    --- FAIL: TestAdd/two (0.00s)\n        a_test.go:7: x\nFAIL\n\
                   FAIL\tex.com/calc\t0.003s\nok  \tex.com/b\t0.1s\nFAIL\n";
        check(one, Some(&["ex.com/calc: TestAdd", "ex.com/calc: TestAdd/two"]));
        check(&format!("{one}FAIL\tex.com/c [build failed]\n"), None);
        check(&format!("panic: boom\n{one}"), None);
        check("--- FAIL: TestAdd (0.00s)\n", None);
    }
}
