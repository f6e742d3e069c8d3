//! Examples that say what code has to do, found where the user or the file says it: `f(1) -> 2` and `assert f(1) == 2`
//! in a task, `>>> f(1)` in a task, or in a docstring that stood in the file before the change and stands there after it.
//! Pure: makes the script that tries them, runs nothing.
//!
//! **Invariant:** no example comes from a model. One that the change has altered is not counted, for or against it; an
//! example in a task that may tell of the fault (`median([1, 2]) gives 1 instead of 1.5`) is not taken for one.

mod doctests;
mod literals;

use crate::rules::blocks::language;
use crate::rules::weaken::Edited;
use crate::words::task::Score;
use doctests::Group;
use literals::Call;

/// What is tried, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examples {
    /// How many.
    pub n: usize,
    /// The runner; the script goes to its standard input, which is at its end when the script begins.
    pub argv: Vec<String>,
    pub script: String,
}

impl Examples {
    /// What people call it.
    pub fn name(&self) -> String {
        let s = if self.n == 1 { "" } else { "s" };
        format!("{} example{s} by {}", self.n, self.argv.first().map_or("", String::as_str))
    }
}

/// The term of the score for examples that hold: to a tenth, the one that makes the truth of the 87 recorded replies
/// likeliest whose examples hold (`fixtures/signals`), given the scores that they have by the shipped weights; a test fits
/// it again, `docs/confidence.md` says what it is worth. Its standard error is 0.5: one family of models and one language.
pub const TERM: f64 = 2.6;
/// e to the power of [`TERM`].
const ODDS: f64 = 13.463_738_035_001_692;

const PYTHON: &str = include_str!("examples/try.py");
const NODE: &str = include_str!("examples/try.mjs");

/// Returns what there is to try of a change, if anything. Python has docstrings; in JavaScript only the task speaks.
pub fn examples(task: &str, edited: &[Edited<'_>]) -> Option<Examples> {
    python(task, edited).or_else(|| javascript(task, edited))
}

/// Returns the score of a change whose examples hold, with [`TERM`] added to its logit.
pub fn raised(score: Score) -> Score {
    let odds = ODDS * score.value;
    Score { value: odds / (odds + 1.0 - score.value), weak: false }
}

/// Returns whether a red example belongs to a function that the task names. `test` is what `try.py` calls it: the function
/// and a number.
pub fn is_asked_for(task: &str, test: &str) -> bool {
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    let is_named = |function: &str| task.split(|char| !is_word(char)).any(|word| word == function);
    test.split(|char| !is_word(char)).filter_map(|name| name.rsplit_once('_')).any(|(function, number)| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) && is_named(function)
    })
}

fn python(task: &str, edited: &[Edited<'_>]) -> Option<Examples> {
    let files: Vec<Edited<'_>> = edited.iter().filter(|file| language(file.path) == Some("python")).copied().collect();
    let defines = |file: &Edited<'_>, name: &str| {
        let lines = file.after.unwrap_or_default().lines();
        let mut names = lines.filter_map(|line| line.strip_prefix("def ").or(line.strip_prefix("class ")));
        names.any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['(', ':', ' '])))
    };
    let calls = located(literals::calls(task, &["True", "False", "None"]), &files, &defines);
    let of_task = if files.is_empty() { Vec::new() } else { doctests::in_task(task) };
    let mut kept: Vec<(&str, Group)> = Vec::new();
    for file in &files {
        let before = doctests::in_file(file.before.unwrap_or_default());
        let after = doctests::in_file(file.after.unwrap_or_default());
        kept.extend(after.into_iter().filter(|group| before.contains(group)).map(|group| (file.path, group)));
    }
    let groups = of_task.iter().chain(kept.iter().map(|(_, group)| group));
    let n = calls.len() + groups.map(|group| group.n).sum::<usize>();
    if n == 0 {
        return None;
    }
    let paths: Vec<&str> = files.iter().map(|file| file.path).collect();
    let of_task: Vec<&String> = of_task.iter().map(|group| &group.text).collect();
    let kept: Vec<_> = kept.iter().map(|(path, group)| (path, &group.name, &group.text)).collect();
    let data = serde_json::to_string(&(paths, spelled(&calls), of_task, kept)).ok()?;
    // A string in JSON is the same string in Python.
    let script = format!("DATA = {}\n{PYTHON}", serde_json::to_string(&data).ok()?);
    Some(Examples { n, argv: ["python3", "-"].map(String::from).to_vec(), script })
}

fn javascript(task: &str, edited: &[Edited<'_>]) -> Option<Examples> {
    let defines = |file: &Edited<'_>, name: &str| {
        let is_script = language(file.path) == Some("javascript");
        let text = file.after.filter(|text| is_script && text.contains("export") && !works(text)).unwrap_or_default();
        text.contains(&format!("function {name}(")) || text.contains(&format!("{name} = "))
    };
    let calls = located(literals::calls(task, &["true", "false", "null", "undefined"]), edited, &defines);
    if calls.is_empty() {
        return None;
    }
    let data = serde_json::to_string(&spelled(&calls)).ok()?;
    let argv = ["node", "--input-type=module", "-"].map(String::from).to_vec();
    Some(Examples { n: calls.len(), argv, script: format!("const DATA = {data};\n{NODE}") })
}

/// Whether a script seems to do its work when it is loaded. What Python's own parser tells of a file is guessed here.
fn works(text: &str) -> bool {
    [".listen(", "process.argv", "process.exit"].iter().any(|word| text.contains(word))
        && !text.contains("require.main")
}

/// The calls of functions that an edited file defines, with its path.
fn located<'a>(
    calls: Vec<Call>,
    edited: &[Edited<'a>],
    defines: &dyn Fn(&Edited<'a>, &str) -> bool,
) -> Vec<(&'a str, Call)> {
    let place = |call: Call| Some((edited.iter().find(|file| defines(file, &call.function))?.path, call));
    calls.into_iter().filter_map(place).collect()
}

fn spelled<'a>(calls: &'a [(&'a str, Call)]) -> Vec<(&'a str, &'a str, &'a str, &'a str)> {
    calls.iter().map(|(path, call)| (*path, &*call.function, &*call.args, &*call.wanted)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(task: &str, path: &str, before: Option<&str>, after: &str) -> usize {
        examples(task, &[Edited { path, before, after: Some(after) }]).map_or(0, |examples| examples.n)
    }

    const DOUBLE: &str =
        "def double(n):\n    \"\"\"Doubles.\n\n    >>> double(2)\n    4\n    \"\"\"\n    return n * 2\n";

    #[test]
    fn only_what_the_user_or_the_file_said_counts() {
        let task = "Create d.py with double(n), so that double(1) -> 2 and double(0) -> 0";
        assert_eq!(count(task, "d.py", None, "def double(n):\n    return n\n"), 2);
        assert_eq!(count(task, "d.py", None, "def twice(n):\n    return n\n"), 0, "nobody defines it");
        assert_eq!(count("Create d.py", "d.py", None, DOUBLE), 0, "an example that the model wrote is none");
        assert_eq!(count("Tidy d.py", "d.py", Some(DOUBLE), DOUBLE), 1);
        let other = DOUBLE.replace("    4\n", "    5\n");
        assert_eq!(count("Tidy d.py", "d.py", Some(DOUBLE), &other), 0, "one that it altered counts for nothing");
        let script = "function double(n) {\n  return n * 2;\n}\nmodule.exports = { double };\n";
        assert_eq!(count(task, "d.js", None, script), 2);
        assert_eq!(count(task, "d.js", None, "function double(n) {}\n"), 0, "nothing is exported");
    }

    #[test]
    fn a_red_example_is_of_the_function_that_was_asked_for() {
        assert!(is_asked_for("Implement `to_roman` in r.py", "to_roman_0 (__main__.Examples.to_roman_0)"));
        assert!(!is_asked_for("Implement `to_roman` in r.py", "roman_0 (__main__.Examples.roman_0)"));
        assert!(!is_asked_for("Implement `to_roman` in r.py", "to_roman (__main__.Examples)"));
    }

    #[test]
    fn examples_that_hold_raise_the_score_by_their_term() {
        let raised = |value| raised(Score { value, weak: true });
        let logit = |value: f64| (value / (1.0 - value)).ln();
        for value in [0.1, 0.5, 0.65, 0.9] {
            assert!((logit(raised(value).value) - logit(value) - TERM).abs() < 1e-9, "{value}");
        }
        assert!((raised(0.5).value - 0.930_862).abs() < 1e-6 && !raised(0.5).weak);
        assert!(raised(0.0).value.abs() < 1e-12 && (raised(1.0).value - 1.0).abs() < 1e-12);
    }
}
