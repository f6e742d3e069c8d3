//! Output of a test command → what the next try should see of it, and how many tests it says it ran.
//!
//! Test runners are known by the lines they print, since a command (`make test`, `npm test`) does not tell which runner
//! is behind it. What none of them printed falls back to the last lines, which every tool uses for its verdict.

/// Longest evidence, in bytes: a small model's window is small, and the first failure explains most.
pub const LIMIT: usize = 2048;
/// Of which the end of the output (names of the failed tests, totals) gets at most this much.
const TOTALS: usize = 500;
const LONGEST_LINE: usize = 300;

/// Returns the useful part of a failed command's output: the first failure and the totals, at most [`LIMIT`] bytes,
/// without escape sequences and the work directory's own path.
pub fn useful(output: &str, workdir: &str) -> String {
    let text = clean(output);
    // Paths of the machine mean nothing to a model, and to a cloud they tell too much.
    let workdir = workdir.trim_end_matches('/');
    let text = if workdir.is_empty() { text } else { text.replace(&format!("{workdir}/"), "").replace(workdir, ".") };
    let lines = without_noise(&text);
    let all = last(&lines, LIMIT);
    let Some((failure, rest)) = first_failure(&lines).filter(|_| all.len() < lines.iter().map(|line| line.len()).sum())
    else {
        return all;
    };
    let totals = last(rest, TOTALS);
    let mut evidence = middle_out(failure, LIMIT - totals.len() - 8);
    if !totals.is_empty() {
        evidence.push_str("\n…\n");
        evidence.push_str(&totals);
    }
    evidence
}

/// Returns how many tests passed according to the runners that are known (pytest, unittest, cargo, node, mocha, jest,
/// vitest, go: packages), or `None` when none of them speaks. Skipped tests don't count. Of a cut output, 0 means
/// nothing.
pub fn passed_tests(output: &str) -> Option<u64> {
    let text = clean(output);
    let mut passed: Option<u64> = None;
    let mut skipped = 0;
    for line in text.lines().map(str::trim) {
        let count = if let Some(rest) = line.strip_prefix("test result: ok. ") {
            leading_number(rest) // cargo, once for each binary
        } else if let Some(rest) = line.strip_prefix("Ran ") {
            leading_number(rest).filter(|_| rest.contains(" test") && rest.contains(" in ")) // unittest
        } else if let Some(list) = line.strip_prefix("OK (").filter(|_| passed.is_some()) {
            skipped += list.split_once("skipped=").and_then(|(_, count)| leading_number(count)).unwrap_or(0);
            None
        } else if let Some(rest) = line.strip_prefix("# pass ").or(line.strip_prefix("ℹ pass ")) {
            leading_number(rest) // node, TAP and spec
        } else if let Some(rest) = line.strip_prefix("Tests:").or(line.strip_prefix("Tests  ")) {
            Some(before(rest, " passed").unwrap_or(0)) // jest, vitest
        } else if line.contains(" passing (") {
            leading_number(line) // mocha
        } else if line.starts_with("ok  \t") || (line.starts_with('?') && line.ends_with("[no test files]")) {
            Some(u64::from(line.starts_with("ok") && !line.ends_with("[no tests to run]"))) // go
        } else if line.starts_with("No tests found") || line.starts_with("No test files found") {
            Some(0) // jest, vitest
        } else {
            pytest_total(line)
        };
        if let Some(count) = count {
            passed = Some(passed.unwrap_or(0) + count);
        }
    }
    passed.map(|passed| passed.saturating_sub(skipped))
}

/// Returns whether Python says that it has no pytest.
pub fn lacks_pytest(output: &str) -> bool {
    output.trim_end().ends_with(": No module named pytest")
}

/// Returns the text without escape sequences and control characters; of a line that was overwritten by `\r`, the last
/// state.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut line = 0; // where the present line begins
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\x1b' => match chars.next() {
                // CSI: parameters, then one final byte. OSC: up to BEL or ESC \.
                Some('[') => drop(chars.by_ref().find(|char| ('@'..='~').contains(char))),
                Some(']') => drop(chars.by_ref().find(|char| matches!(char, '\x07' | '\\'))),
                _ => {}
            },
            '\n' => {
                out.push('\n');
                line = out.len();
            }
            '\r' if chars.peek().is_some_and(|next| *next != '\n') => out.truncate(line),
            '\t' => out.push('\t'),
            char if char.is_control() => {}
            char => out.push(char),
        }
    }
    out
}

/// `=== 2 failed, 1 passed in 0.04s ===`, with or without the bars. Only a line that counts something is pytest's.
fn pytest_total(line: &str) -> Option<u64> {
    let line = line.trim_matches(['=', ' ']);
    let (counts, time) = line.rsplit_once(" in ")?;
    time.split_once('s').filter(|(seconds, _)| seconds.parse::<f64>().is_ok())?;
    if counts == "no tests ran" {
        return Some(0);
    }
    leading_number(counts)?;
    let words = ["passed", "failed", "skipped", "error", "deselected", "xfailed", "xpassed", "warning"];
    words.iter().any(|word| counts.contains(word)).then(|| before(counts, " passed").unwrap_or(0))
}

/// Returns the number with which a text begins.
pub fn leading_number(text: &str) -> Option<u64> {
    let end = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end).0.parse().ok()
}

/// Returns the number that stands right before `word`.
fn before(text: &str, word: &str) -> Option<u64> {
    let (head, _) = text.split_once(word)?;
    head.rsplit(|char: char| !char.is_ascii_digit()).next()?.parse().ok()
}

/// Drops what explains nothing: progress, stack frames of the runner itself, repeated blank lines; cuts long lines.
fn without_noise(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = Vec::new();
    let mut in_backtrace = false;
    for line in text.lines() {
        let start = line.trim_start();
        in_backtrace = match start {
            "stack backtrace:" => true,
            _ if start.is_empty() || start.starts_with("note:") => false,
            _ => in_backtrace,
        };
        let is_noise = in_backtrace
            || [
                "Compiling ",
                "Finished ",
                "Downloading ",
                "Downloaded ",
                "npm warn ",
                "note: Some details are omitted",
            ]
            .iter()
            .any(|noise| start.starts_with(noise))
            || start.contains("(node:internal/")
            || start.starts_with("node:internal/")
            || start.starts_with("at node:internal/")
            || start.contains("(node:async_hooks");
        let is_repeated_blank = start.is_empty() && lines.last().is_none_or(|last| last.trim().is_empty());
        if !is_noise && !is_repeated_blank {
            lines.push(cut(line.trim_end(), LONGEST_LINE));
        }
    }
    lines
}

/// Returns the lines of the first failure and those after it.
fn first_failure<'a, 'b>(lines: &'a [&'b str]) -> Option<(&'a [&'b str], &'a [&'b str])> {
    let (start, ends) = lines.iter().enumerate().find_map(|(at, line)| Some((at, end_of(line, lines.get(at + 1))?)))?;
    let (_, from) = lines.split_at_checked(start)?;
    let length = from.iter().skip(1).position(|line| ends(line)).map_or(from.len(), |at| at + 1);
    Some(from.split_at(length))
}

/// Returns, for a line that begins a failure, what tells the first line behind it.
fn end_of(line: &str, next: Option<&&str>) -> Option<fn(&str) -> bool> {
    let start = line.trim_start();
    if is_pytest_title(line) {
        Some(|line| is_pytest_title(line) || line.starts_with("====="))
    } else if (line.starts_with("FAIL: ") || line.starts_with("ERROR: "))
        && next.is_some_and(|next| next.starts_with("-----"))
    {
        Some(|line| line.starts_with("=====") || line.starts_with("Ran ")) // unittest
    } else if line.starts_with("---- ") && line.ends_with(" ----") {
        Some(|line| line.starts_with("---- ") || line == "failures:") // cargo test
    } else if line.starts_with("error[")
        || (line.starts_with("error: ") && next.is_some_and(|next| next.contains("-->")))
    {
        Some(str::is_empty) // rustc
    } else if start.starts_with("not ok ") {
        Some(|line| {
            line.trim_start().starts_with("# Subtest: ")
                || line.trim_start().starts_with("ok ")
                || line.starts_with("1..")
        })
    } else if start.starts_with("✖ ") && start.ends_with("ms)") {
        Some(|line| line.starts_with(['✖', '✔', 'ℹ', '▶'])) // node's spec reporter
    } else if start.starts_with("● ") {
        Some(|line| line.trim_start().starts_with("● ") || line.starts_with("Test Suites:")) // jest
    } else if start.starts_with("--- FAIL: ") {
        Some(|line| line.starts_with("--- ") || line.starts_with("FAIL") || line.starts_with("ok  ")) // go
    } else if line.starts_with("Traceback (most recent call last)") {
        Some(str::is_empty) // Python without a runner
    } else {
        None
    }
}

/// `____ test_name ____`
fn is_pytest_title(line: &str) -> bool {
    line.starts_with("__") && line.ends_with("__") && line.contains(' ') && !line.starts_with("_ _")
}

/// Returns the last lines that fit.
fn last(lines: &[&str], limit: usize) -> String {
    let mut room = limit;
    let fits = |line: &&&str| {
        let left = room.checked_sub(line.len() + 1);
        room = left.unwrap_or(0);
        left.is_some()
    };
    let mut kept: Vec<&str> = lines.iter().rev().take_while(fits).copied().collect();
    kept.reverse();
    kept.join("\n").trim().to_string()
}

/// Returns the lines, with those in the middle left out if they don't all fit: what was tried stands at the top of a
/// failure, what went wrong at its end.
fn middle_out(lines: &[&str], limit: usize) -> String {
    let whole = lines.join("\n");
    let whole = whole.trim_matches('\n');
    if whole.len() <= limit {
        return whole.to_string();
    }
    let mut room = limit / 3;
    let mut head = String::new();
    for line in lines {
        let Some(left) = room.checked_sub(line.len() + 1) else { break };
        room = left;
        head.push_str(line);
        head.push('\n');
    }
    head + "…\n" + &last(lines, limit - limit / 3 - 4)
}

/// Cuts at a character's border.
fn cut(line: &str, limit: usize) -> &str {
    let end = (0..=limit.min(line.len())).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0);
    line.split_at(end).0
}

#[cfg(test)]
mod tests {
    use super::*;

    // Recorded on 2026-11-23 from a small wrong `add` and its tests, in `/tmp/rec/…`.

    /// pytest 9.2.0
    const PYTEST: &str = r"F.F                                                                      [100%]
=================================== FAILURES ===================================
___________________________________ test_add ___________________________________

    def test_add():
>       assert add(2, 3) == 5
E       assert -1 == 5
E        +  where -1 = add(2, 3)

test_calc.py:5: AssertionError
___________________________________ test_div ___________________________________

    def test_div():
        with pytest.raises(ValueError):
>           div(1, 0)

test_calc.py:12: 
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ 

a = 1, b = 0

    def div(a, b):
>       return a / b
               ^^^^^
E       ZeroDivisionError: division by zero

calc.py:5: ZeroDivisionError
=========================== short test summary info ============================
FAILED test_calc.py::test_add - assert -1 == 5
FAILED test_calc.py::test_div - ZeroDivisionError: division by zero
2 failed, 1 passed in 0.04s";

    /// pytest 9.2.0
    const COLLECT: &str = r"
==================================== ERRORS ====================================
__________________________ ERROR collecting test_x.py __________________________
ImportError while importing test module '/tmp/rec/coll/test_x.py'.
Hint: make sure your test modules/packages have valid Python names.
Traceback:
test_x.py:1: in <module>
    from calc import nothing
E   ModuleNotFoundError: No module named 'calc'
=========================== short test summary info ============================
ERROR test_x.py
!!!!!!!!!!!!!!!!!!!! Interrupted: 1 error during collection !!!!!!!!!!!!!!!!!!!!
1 error in 0.18s";

    /// Python 3.11.7
    const UNITTEST: &str = r#"FE
======================================================================
ERROR: test_div (test_calc.CalcTest.test_div)
----------------------------------------------------------------------
Traceback (most recent call last):
  File "/tmp/rec/ut/test_calc.py", line 9, in test_div
    self.assertIsNone(div(1, 0))
                      ^^^^^^^^^
  File "/tmp/rec/ut/calc.py", line 5, in div
    return a / b
           ~~^~~
ZeroDivisionError: division by zero

======================================================================
FAIL: test_add (test_calc.CalcTest.test_add)
----------------------------------------------------------------------
Traceback (most recent call last):
  File "/tmp/rec/ut/test_calc.py", line 6, in test_add
    self.assertEqual(add(2, 3), 5)
AssertionError: -1 != 5

----------------------------------------------------------------------
Ran 2 tests in 0.001s

FAILED (failures=1, errors=1)"#;

    /// cargo 1.95.0
    const CARGO: &str = r"   Compiling calc v0.1.0 (/tmp/rec/cg)
    Finished `test` profile [unoptimized + debuginfo] target(s) in 0.37s
     Running unittests src/lib.rs (target/debug/deps/calc-c6626fb655a8d231)

running 2 tests
test tests::adds_zero ... ok
test tests::adds ... FAILED

failures:

---- tests::adds stdout ----

thread 'tests::adds' (20603) panicked at src/lib.rs:11:9:
assertion `left == right` failed
  left: -1
 right: 5
stack backtrace:
   0: __rustc::rust_begin_unwind
             at /rustc/5980/library/std/src/panicking.rs:689:5
   1: core::panicking::panic_fmt
             at /rustc/5980/library/core/src/panicking.rs:80:14
   2: core::panicking::assert_failed_inner
             at /rustc/5980/library/core/src/panicking.rs:439:17
   3: core::panicking::assert_failed
             at /rustc/5980/library/core/src/panicking.rs:394:5
   4: calc::tests::adds
             at ./src/lib.rs:11:9
   5: calc::tests::adds::{{closure}}
             at ./src/lib.rs:10:14
   6: core::ops::function::FnOnce::call_once
             at /rustc/5980/library/core/src/ops/function.rs:250:5
   7: <fn() -> core::result::Result<(), alloc::string::String> as core::ops::function::FnOnce<()>>::call_once
             at /rustc/5980/library/core/src/ops/function.rs:250:5
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.


failures:
    tests::adds

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.13s

error: test failed, to rerun pass `--lib`";

    /// rustc 1.95.0
    const RUSTC: &str = r#"   Compiling calc v0.1.0 (/tmp/rec/cgerr)
error[E0425]: cannot find value `c` in this scope
 --> src/lib.rs:2:9
  |
2 |     a + c
  |         ^
  |
help: a local variable with a similar name exists
  |
2 -     a + c
2 +     a + a
  |

error[E0308]: mismatched types
 --> src/lib.rs:6:5
  |
5 | pub fn name() -> String {
  |                  ------ expected `String` because of return type
6 |     "x"
  |     ^^^ expected `String`, found `&str`
  |
help: try using a conversion method
  |
6 |     "x".to_string()
  |        ++++++++++++

Some errors have detailed explanations: E0308, E0425.
For more information about an error, try `rustc --explain E0308`.
error: could not compile `calc` (lib test) due to 2 previous errors
warning: build failed, waiting for other jobs to finish...
error: could not compile `calc` (lib) due to 2 previous errors"#;

    /// node 20.20.2 behind npm
    const TAP: &str = r#"npm warn Unknown user config "nodedir".

> calc@1.0.0 test
> node --test

TAP version 13
# Subtest: adds
not ok 1 - adds
  ---
  duration_ms: 5.608644
  location: '/tmp/rec/nd/calc.test.js:5:1'
  failureType: 'testCodeFailure'
  error: |-
    Expected values to be strictly equal:
    
    -1 !== 5
    
  code: 'ERR_ASSERTION'
  name: 'AssertionError'
  expected: 5
  actual: -1
  operator: 'strictEqual'
  stack: |-
    TestContext.<anonymous> (/tmp/rec/nd/calc.test.js:6:10)
    Test.runInAsyncScope (node:async_hooks:206:9)
    Test.run (node:internal/test_runner/test:796:25)
    Test.processPendingSubtests (node:internal/test_runner/test:526:18)
    node:internal/test_runner/harness:255:12
    node:internal/process/task_queues:140:7
    AsyncResource.runInAsyncScope (node:async_hooks:206:9)
    AsyncResource.runMicrotask (node:internal/process/task_queues:137:8)
  ...
# Subtest: adds zero
ok 2 - adds zero
  ---
  duration_ms: 0.139278
  ...
1..2
# tests 2
# suites 0
# pass 1
# fail 1
# cancelled 0
# skipped 0
# todo 0
# duration_ms 118.29618"#;

    /// node 20.20.2
    const SPEC: &str = r"✖ adds (1.625978ms)
  AssertionError [ERR_ASSERTION]: Expected values to be strictly equal:
  
  -1 !== 5
  
      at TestContext.<anonymous> (/tmp/rec/nd/calc.test.js:6:10)
      at Test.runInAsyncScope (node:async_hooks:206:9)
      at Test.run (node:internal/test_runner/test:796:25)
      at Test.processPendingSubtests (node:internal/test_runner/test:526:18)
      at node:internal/test_runner/harness:255:12
      at node:internal/process/task_queues:140:7
      at AsyncResource.runInAsyncScope (node:async_hooks:206:9)
      at AsyncResource.runMicrotask (node:internal/process/task_queues:137:8) {
    generatedMessage: true,
    code: 'ERR_ASSERTION',
    actual: -1,
    expected: 5,
    operator: 'strictEqual'
  }

✔ adds zero (0.139147ms)
ℹ tests 2
ℹ suites 0
ℹ pass 1
ℹ fail 1
ℹ cancelled 0
ℹ skipped 0
ℹ todo 0
ℹ duration_ms 108.73884

✖ failing tests:

test at calc.test.js:5:1
✖ adds (1.625978ms)
  AssertionError [ERR_ASSERTION]: Expected values to be strictly equal:
  
  -1 !== 5
  
      at TestContext.<anonymous> (/tmp/rec/nd/calc.test.js:6:10)
      at Test.runInAsyncScope (node:async_hooks:206:9)
      at Test.run (node:internal/test_runner/test:796:25)
      at Test.processPendingSubtests (node:internal/test_runner/test:526:18)
      at node:internal/test_runner/harness:255:12
      at node:internal/process/task_queues:140:7
      at AsyncResource.runInAsyncScope (node:async_hooks:206:9)
      at AsyncResource.runMicrotask (node:internal/process/task_queues:137:8) {
    generatedMessage: true,
    code: 'ERR_ASSERTION',
    actual: -1,
    expected: 5,
    operator: 'strictEqual'
  }";

    /// Puts so much in front that only what is chosen fits.
    #[track_caller]
    fn chooses(output: &str, workdir: &str, first: &str, end: &str) {
        let long = "a test that is fine ... ok\n".repeat(200) + output;
        let evidence = useful(&long, workdir);
        assert!(evidence.starts_with(first), "{evidence}");
        assert!(evidence.ends_with(end), "{evidence}");
        assert!(evidence.len() <= LIMIT && !evidence.contains("/tmp/rec"), "{} bytes: {evidence}", evidence.len());
    }

    #[test]
    fn the_first_failure_and_the_totals_are_chosen() {
        let first = "___________________________________ test_add ___________________________________\n\
                     \n    def test_add():\n\
                     >       assert add(2, 3) == 5\nE       assert -1 == 5\nE        +  where -1 = add(2, 3)\n\n\
                     test_calc.py:5: AssertionError\n…\n";
        chooses(PYTEST, "/tmp/rec/py", first, "\n2 failed, 1 passed in 0.04s");
        chooses(
            COLLECT,
            "/tmp/rec/coll/",
            "__________________________ ERROR collecting test_x.py __________________________\n\
             ImportError while importing test module 'test_x.py'.\n",
            "\n1 error in 0.18s",
        );
        chooses(
            UNITTEST,
            "/tmp/rec/ut",
            "ERROR: test_div (test_calc.CalcTest.test_div)\n-----",
            "(failures=1, errors=1)",
        );
        chooses(
            CARGO,
            "/tmp/rec/cg",
            "---- tests::adds stdout ----\n\nthread 'tests::adds' (20603) panicked at src/lib.rs:11:9:\n\
             assertion `left == right` failed\n  left: -1\n right: 5\n…\nfailures:\n    tests::adds\n",
            "\nerror: test failed, to rerun pass `--lib`",
        );
        chooses(
            RUSTC,
            "/tmp/rec/cgerr",
            "error[E0425]: cannot find value `c` in this scope\n --> src/lib.rs:2:9\n",
            "(lib) due to 2 previous errors",
        );
        chooses(TAP, "/tmp/rec/nd", "not ok 1 - adds\n  ---\n", "# duration_ms 118.29618");
        chooses(SPEC, "/tmp/rec/nd", "✖ adds (1.625978ms)\n  AssertionError [ERR_ASSERTION]: Expected values", "\n  }");
        chooses(
            "Traceback (most recent call last):\n  File \"/tmp/rec/a.py\", line 1\nNameError: x\n",
            "/tmp/rec",
            "Traceback (most recent call last):\n  File \"a.py\", line 1\n",
            "NameError: x",
        );
        chooses(
            "make: *** [Makefile:2: test] Error 1\n",
            "/w",
            "a test that is fine",
            "fine ... ok\nmake: *** [Makefile:2: test] Error 1",
        );
    }

    #[test]
    fn short_output_stays_whole() {
        let evidence = useful(PYTEST, "/tmp/rec/py");
        assert!(evidence.starts_with("F.F ") && evidence.contains("test_add ___") && evidence.contains("test_div ___"));
        assert_eq!(useful("a\n\n\n\nb\n", "/w"), "a\n\nb");
        assert_eq!(useful("", "/w"), "");
        assert_eq!(useful("in /w/src/a.rs at /w\n", "/w/"), "in src/a.rs at .");
        assert_eq!(useful("in /etc\n", "/"), "in /etc");
    }

    #[test]
    fn evidence_is_bounded_by_bytes_not_characters() {
        for output in ["ü".repeat(9000), "ü\n".repeat(9000), format!("____ t ____\n{}", "é é\n".repeat(4000))] {
            let evidence = useful(&output, "/w");
            assert!(evidence.len() <= LIMIT && evidence.len() > LONGEST_LINE - 2, "{}", evidence.len());
        }
        let failure = "E   x\n".repeat(1000);
        let evidence = useful(&format!("____ t ____\n{failure}E   the end\n===== done =====\n"), "/w");
        assert!(evidence.starts_with("____ t ____\nE   x\n") && evidence.contains("\n…\nE   x\n"), "{evidence}");
        assert!(evidence.ends_with("E   the end\n…\n===== done ====="), "{evidence}");
    }

    #[track_caller]
    fn counts(output: &str, expected: Option<u64>) {
        assert_eq!(passed_tests(output), expected, "{output}");
    }

    #[test]
    fn runners_say_how_many_tests_passed() {
        counts("...\n3 passed in 0.04s", Some(3));
        counts("=== 3 passed, 1 skipped, 2 warnings in 61.04s (0:01:01) ===", Some(3));
        counts("ss\n2 skipped in 0.01s", Some(0));
        counts("\nno tests ran in 0.00s", Some(0));
        counts("4 deselected in 0.01s", Some(0));
        counts("----\nRan 0 tests in 0.000s\n\nOK", Some(0));
        counts("----\nRan 0 tests in 0.000s\n\nNO TESTS RAN", Some(0));
        counts("----\nRan 2 tests in 0.001s\n\nOK", Some(2));
        counts("----\nRan 2 tests in 0.001s\n\nOK (skipped=2)", Some(0));
        counts(
            "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out;",
            Some(0),
        );
        counts("test result: ok. 5 passed; 0 failed\n   Doc-tests x\ntest result: ok. 0 passed; 0 failed", Some(5));
        counts(TAP, Some(1));
        counts(SPEC, Some(1));
        counts("TAP version 13\n1..0\n# tests 0\n# suites 0\n# pass 0\n# fail 0\n", Some(0));
        counts("\x1b[32mℹ pass 7\x1b[39m\n", Some(7));
        counts("  12 passing (20ms)\n", Some(12));
        counts("Tests:       1 failed, 3 passed, 4 total", Some(3));
        counts("      Tests  3 passed (3)", Some(3));
        counts("No tests found, exiting with code 0", Some(0));
        counts("?   \tcalc\t[no test files]\n", Some(0));
        counts("ok  \tcalc\t0.003s [no tests to run]\n", Some(0));
        counts("ok  \tcalc\t0.003s\n?   \tcalc/x\t[no test files]\n", Some(1));
        counts("", None);
        counts("all good\nbuilt 3 files in 0.5s\nRan out of luck", None);
    }

    #[test]
    fn escape_sequences_and_overwritten_lines_vanish() {
        assert_eq!(clean("\x1b[1;31mred\x1b[0m \x1b]0;title\x07x\x1b]8;;a\x1b\\y\x1bc"), "red xy");
        assert_eq!(clean("10%\r50%\r100%\r\nnext\tcolumn\x07\x00\u{9b}"), "100%\nnext\tcolumn");
    }

    #[test]
    fn a_missing_pytest_is_recognised() {
        assert!(lacks_pytest("/usr/bin/python3: No module named pytest\n"));
        assert!(!lacks_pytest("E   ModuleNotFoundError: No module named 'pytest'\n1 error in 0.1s\n"));
    }
}
