//! `f(1) -> 2` in the text of a task: a call with literal arguments and the literal that it has to give. Pure.

/// One example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub function: String,
    /// As it stands between the parentheses.
    pub args: String,
    pub wanted: String,
}

/// Between a call and its result; the longer before the shorter.
const ARROWS: [&str; 6] = ["->", "=>", "→", "===", "==", "returns "];

/// Words of a sentence that may tell what code does wrong.
const DOUBTS: &[&str] = &[
    "currently",
    "now",
    "today",
    "instead",
    "wrong",
    "wrongly",
    "not",
    "never",
    "fails",
    "failing",
    "but",
    "actually",
    "gives",
    "gave",
    "got",
    "was",
    "were",
    "previously",
    "unlike",
    "why",
    "incorrectly",
    "produces",
    "sees",
    "gets",
];

/// Words of a task about something broken: there only a sentence that says what should be is taken.
const BROKEN: &[&str] =
    &["fix", "fixes", "bug", "bugs", "broken", "wrong", "repair", "debug", "fails", "failing", "error"];
const WISHES: &[&str] = &["should", "must", "expected", "expect", "has", "have", "needs", "so", "ought", "want"];

/// Returns the examples in a text. `names` are the literals of the language that are words. A call that is given two
/// results says nothing.
pub fn calls(task: &str, names: &[&str]) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut before = ' ';
    for (at, char) in task.char_indices() {
        let begins = (char.is_alphabetic() || char == '_') && !(before.is_alphanumeric() || "_.$\"'".contains(before));
        before = char;
        let found = task.get(at..).filter(|_| begins).and_then(|rest| call(rest, names));
        calls.extend(found.filter(|(_, length)| is_wish(task, at, at + length)).map(|(call, _)| call));
    }
    let clashes = |call: &Call| {
        let same = |other: &&Call| other.function == call.function && other.args == call.args;
        calls.iter().filter(same).any(|other| other.wanted != call.wanted)
    };
    let mut all: Vec<Call> = calls.iter().filter(|call| !clashes(call)).cloned().collect();
    all.dedup();
    all
}

/// Whether what stands from `from` to `to` says what should be. When in doubt it does not.
pub fn is_wish(task: &str, from: usize, to: usize) -> bool {
    let ends = ["\n", ". ", "; ", "? "];
    let (before, after) = (task.get(..from).unwrap_or_default(), task.get(to..).unwrap_or_default());
    let start = ends.iter().filter_map(|end| before.rfind(end)).max().unwrap_or(0);
    let end = ends.iter().filter_map(|end| after.find(end)).min().unwrap_or(after.len());
    let around = [before.get(start..), after.get(..end)].map(Option::unwrap_or_default);
    let has = |text: &str, list: &[&str]| {
        let lower = text.to_lowercase();
        lower.split(|char: char| !char.is_alphanumeric()).any(|word| list.contains(&word))
    };
    let any = |list| around.iter().any(|text| has(text, list));
    let is_question = after.get(end..).is_some_and(|rest| rest.starts_with('?')) || around.join("").ends_with('?');
    !any(DOUBTS) && !is_question && (!has(task, BROKEN) || any(WISHES))
}

/// Reads a call, an arrow and a literal; also how long all of it is.
fn call(text: &str, names: &[&str]) -> Option<(Call, usize)> {
    let name = text.find(|char: char| !(char.is_alphanumeric() || char == '_'))?;
    let (function, rest) = text.split_at_checked(name)?;
    let open = rest.strip_prefix('(')?;
    let args = sequence(open, ')', names, true)?;
    let (args_text, rest) = open.split_at_checked(args)?;
    let rest = rest.strip_prefix(')')?.trim_start_matches('`').trim_start_matches(' ');
    let rest = ARROWS.iter().find_map(|arrow| rest.strip_prefix(arrow))?;
    let rest = rest.trim_start_matches(' ').trim_start_matches('`');
    let (wanted, rest) = rest.split_at_checked(literal(rest, names)?)?;
    let next = rest.trim_start_matches(['`', ' ']);
    let goes_on = next.starts_with(['+', '-', '*', '/', '%', '<', '>', '=', '&', '|', '(', '[', '{'])
        || rest.starts_with(|char: char| char.is_alphanumeric() || char == '_');
    let call = Call { function: function.into(), args: args_text.trim().into(), wanted: wanted.into() };
    (!goes_on).then_some((call, text.len() - rest.len()))
}

/// Returns how long a sequence of literals is up to its closing bracket. `has_keys`: `key=literal` counts too.
fn sequence(text: &str, close: char, names: &[&str], has_keys: bool) -> Option<usize> {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', ',', ':']);
        if rest.starts_with(close) {
            return Some(text.len() - rest.len());
        }
        let key = rest.find(|char: char| !(char.is_alphanumeric() || char == '_')).unwrap_or(0);
        let value = rest
            .get(key..)
            .filter(|rest| has_keys && key > 0 && !rest.starts_with("=="))
            .and_then(|rest| rest.strip_prefix('='));
        rest = value.unwrap_or(rest);
        rest = rest.get(literal(rest, names)?..)?;
        if !rest.starts_with([' ', ',', ':', close]) {
            return None;
        }
    }
}

/// Returns how long the literal at the start of a text is.
fn literal(text: &str, names: &[&str]) -> Option<usize> {
    let first = text.chars().next()?;
    let close = match first {
        '"' | '\'' => return string(text, first),
        '(' => ')',
        '[' => ']',
        '{' => '}',
        '-' | '0'..='9' => return number(text),
        _ => return names.iter().find(|name| text.starts_with(*name)).map(|name| name.len()),
    };
    Some(sequence(text.get(1..)?, close, names, false)? + 2)
}

fn string(text: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        match char {
            '\n' => return None,
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            char if char == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Digits, with a sign and with decimals; a full stop behind them ends a sentence.
fn number(text: &str) -> Option<usize> {
    let digits = |text: &str| text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let sign = usize::from(text.starts_with('-'));
    let whole = sign + digits(text.get(sign..)?);
    let decimals = text.get(whole..).and_then(|rest| rest.strip_prefix('.')).map_or(0, digits);
    let length = if decimals > 0 { whole + 1 + decimals } else { whole };
    (whole > sign).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(task: &str, expected: &[&str]) {
        let calls = calls(task, &["True", "False", "None"]);
        let spelled: Vec<String> =
            calls.iter().map(|call| format!("{}({}) {}", call.function, call.args, call.wanted)).collect();
        assert_eq!(spelled, expected, "{task}");
    }

    #[test]
    fn calls_with_literal_results_are_examples() {
        check("Write double(n): double(2) -> 4, double(-1) -> -2.", &["double(2) 4", "double(-1) -2"]);
        check("assert f(1, 'a b') == [1, (2, None)]", &["f(1, 'a b') [1, (2, None)]"]);
        check(
            "`slug(\"A, b\")` → `\"a-b\"` and `slug(\"\")` returns `\"\"`",
            &["slug(\"A, b\") \"a-b\"", "slug(\"\") \"\""],
        );
        check("mean([1, 2]) == 1.5. The rest stays.", &["mean([1, 2]) 1.5"]);
        check("area(r=2, exact=True) => {\"a\": 1}", &["area(r=2, exact=True) {\"a\": 1}"]);
        check("f(1) -> 2 and again f(1) -> 2", &["f(1) 2"]);
    }

    #[test]
    fn what_is_no_example_is_none() {
        for task in [
            "def f(x) -> int, f(x) -> 2",
            "f(1) -> 2 + 3",
            "f(1) -> 2x",
            "f(1) -> g(2)",
            "obj.f(1) -> 2",
            "f(1) is 2",
            "f(1) -> 2 and f(1) -> 3",
            "f('a -> 2",
            "f(1",
            "f(1) ->",
            "f(é) -> 2",
        ] {
            check(task, &[]);
        }
    }

    #[test]
    fn what_may_tell_of_the_fault_is_none() {
        check("f(2) -> 4, but it has to be 5", &[]);
        check("Currently f(2) -> 4. Change it: f(2) -> 5", &["f(2) 5"]);
        check("Currently f(3) -> 4. Change it: f(2) -> 5", &["f(2) 5"]);
        check("Why f(2) -> 4?", &[]);
        check("Fix median: median([1, 2]) == 1", &[]);
        check("Fix median: median([1, 2]) should be 1.5, that is median([1, 2]) == 1.5", &["median([1, 2]) 1.5"]);
    }
}
