//! Which lines of a file to show where the whole of it does not fit: the definitions around what the task names. Pure.
//!
//! It knows indentation and not grammar: a definition is a line with a keyword, and all below it that is indented
//! deeper. Code that is not indented comes in pieces of [`AROUND`] lines on each side.
//!
//! **Invariant:** parts are whole lines, in order, do not touch, and are within the budget together.

use crate::rules::context::{self, Name};
use crate::rules::definition;
use crate::rules::prompt::estimate_tokens;
use crate::rules::sorted::sorted;
use std::ops::Range;

/// Lines on each side of a match that no definition of a sensible size encloses.
const AROUND: usize = 20;
/// The same where there is little room.
const NEAREST: usize = 6;
/// A definition that is longer is cut to the lines around the match.
const LONGEST: usize = 120;
/// Matches of one file that are looked at.
const MOST_MATCHES: usize = 200;
/// Parts this near to each other are one.
const NEAR: usize = 3;
/// A single word of the task that stands on more lines than these leads to none of them, where anything else does.
const COMMON: usize = 3;
/// What stands around a part, in tokens.
const AROUND_PART: u64 = 16;

/// Lines of a document's top.
const TOP: usize = 60;

/// What the task says that may stand in a file.
#[derive(Clone, Debug, Default)]
pub struct Sought {
    pub names: Vec<Name>,
    /// Lower case.
    pub words: Vec<String>,
}

/// Returns the parts of a text to show, as ranges of lines counted from 0. Empty: nothing in it is what the task says,
/// or not even one part fits. Definitions of what is sought come first, then its uses, then plain words, common ones only
/// where there is nothing else.
pub fn parts(text: &str, sought: &Sought, budget: u64) -> Vec<Range<usize>> {
    let lines: Vec<&str> = text.lines().collect();
    let mut matches: Vec<(u8, usize)> = Vec::new();
    // The lines on which one word stands and nothing else of the task, for each word.
    let mut single: Vec<Vec<usize>> = vec![Vec::new(); sought.words.len()];
    for (number, line) in lines.iter().enumerate() {
        match rank(line, sought) {
            Some(Rank::Alone(word)) => single.get_mut(word).into_iter().for_each(|lines| lines.push(number)),
            Some(Rank::Sure(rank)) => matches.push((rank, number)),
            None => {}
        }
    }
    let alone = |most: usize| single.iter().filter(move |lines| lines.len() <= most).flatten().map(|line| (3, *line));
    matches.extend(alone(COMMON));
    if matches.is_empty() {
        matches.extend(alone(usize::MAX));
    }
    let mut shown: Vec<Range<usize>> = Vec::new();
    for (_, number) in sorted(matches).into_iter().take(MOST_MATCHES) {
        if shown.iter().any(|part| part.contains(&number)) {
            continue;
        }
        // What is too large whole may do with its nearest lines.
        for part in [enclosing(&lines, number), around(&lines, number, AROUND), around(&lines, number, NEAREST)] {
            let more = joined(&shown, part);
            if cost(&lines, &more) <= budget {
                shown = more;
                break;
            }
        }
    }
    shown
}

/// Returns the top of a text, as far as it fits: what a document begins with, and where a log of changes grows.
pub fn top(text: &str, budget: u64) -> Option<Range<usize>> {
    let lines: Vec<&str> = text.lines().take(TOP).collect();
    (1..=lines.len()).rev().map(|n| 0..n).find(|top| cost(&lines, std::slice::from_ref(top)) <= budget)
}

/// How well a line matches.
enum Rank {
    /// The lowest is the best.
    Sure(u8),
    /// By one word, of this number.
    Alone(usize),
}

fn rank(line: &str, sought: &Sought) -> Option<Rank> {
    if context::defined(line, &sought.names).is_any() {
        return Some(Rank::Sure(0));
    }
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    let mut tokens = line.split(|char| !is_word(char)).filter(|token| !token.is_empty());
    if tokens.any(|token| sought.names.iter().any(|name| name.text == token)) {
        return Some(Rank::Sure(1));
    }
    let lower = line.to_lowercase();
    let mut words = (0..).zip(&sought.words).filter(|(_, word)| lower.contains(word.as_str()));
    let (first, _) = words.next()?;
    // Two words of a task on one line say more than one.
    Some(words.next().map_or(Rank::Alone(first), |_| Rank::Sure(2)))
}

/// The definition around a line, with the comments and decorators above it.
fn enclosing(lines: &[&str], number: usize) -> Range<usize> {
    let line = |at: usize| lines.get(at).copied().unwrap_or_default();
    let mut head = number;
    while !definition::is_header(line(head)) {
        let depth = indent(line(head));
        let above = (0..head).rev().find(|at| !line(*at).trim().is_empty() && indent(line(*at)) < depth);
        match above {
            Some(above) => head = above,
            None => return around(lines, number, AROUND),
        }
    }
    let definition = definition(lines, head);
    let (start, end) = (definition.start, definition.end.max(number + 1));
    if end - start > LONGEST {
        let near = around(lines, number, AROUND);
        return near.start.max(start)..near.end.min(end);
    }
    start..end
}

/// The definition that begins with the header `head`, with the comments and decorators above it.
pub fn definition(lines: &[&str], head: usize) -> Range<usize> {
    let line = |at: usize| lines.get(at).copied().unwrap_or_default();
    let depth = indent(line(head));
    let is_inside = |at: usize| line(at).trim().is_empty() || indent(line(at)) > depth;
    let mut end = (head + 1..lines.len()).find(|at| !is_inside(*at)).unwrap_or(lines.len());
    // The bracket that closes it is its own.
    if line(end).trim_start().starts_with(['}', ')', ']']) || line(end).trim() == "end" {
        end += 1;
    }
    while end > head + 1 && line(end - 1).trim().is_empty() {
        end -= 1;
    }
    let is_above = |text: &str| {
        indent(text) == depth && text.trim_start().starts_with(['@', '#', '/', '*']) || text.ends_with("*/")
    };
    let mut start = head;
    while start > 0 && is_above(line(start - 1)) {
        start -= 1;
    }
    start..end.min(lines.len())
}

fn around(lines: &[&str], number: usize, n: usize) -> Range<usize> {
    number.saturating_sub(n)..(number + n + 1).min(lines.len())
}

/// Columns of blanks; a tab is four.
pub fn indent(line: &str) -> usize {
    line.chars().take_while(|char| matches!(char, ' ' | '\t')).map(|char| if char == '\t' { 4 } else { 1 }).sum()
}

/// Adds a part, in order, and joins what touches.
fn joined(shown: &[Range<usize>], part: Range<usize>) -> Vec<Range<usize>> {
    let mut all: Vec<Range<usize>> = shown.to_vec();
    let at = all.partition_point(|other| (other.start, other.end) <= (part.start, part.end));
    all.insert(at, part);
    let mut out: Vec<Range<usize>> = Vec::new();
    for part in all {
        match out.last_mut() {
            Some(last) if part.start <= last.end + NEAR => last.end = last.end.max(part.end),
            Some(_) | None => out.push(part),
        }
    }
    out
}

/// Returns the tokens of parts, estimated from above.
pub fn cost(lines: &[&str], parts: &[Range<usize>]) -> u64 {
    let of = |part: &Range<usize>| -> u64 {
        let lines = lines.get(part.clone()).unwrap_or_default();
        lines.iter().map(|line| estimate_tokens(line) + 1).sum::<u64>() + AROUND_PART
    };
    parts.iter().map(of).sum()
}

/// `lines 3 to 9 and 20 to 31 of 400`, counted from 1.
pub fn named(parts: &[Range<usize>], n_lines: usize) -> String {
    format!("{} of {n_lines}", spans(parts))
}

/// `lines 3 to 9 and 20 to 31`, counted from 1.
pub fn spans(parts: &[Range<usize>]) -> String {
    let spans: Vec<String> = parts.iter().map(|part| format!("{} to {}", part.start + 1, part.end)).collect();
    format!("lines {}", spans.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::intent;

    fn sought(task: &str) -> Sought {
        context::sought(task, &intent::read(task, &[]))
    }

    /// A file of `n` functions of five lines each, in a class where `depth` says so.
    fn file(n: usize, depth: &str) -> String {
        let function = |n: usize| {
            format!(
                "{depth}@mark\n{depth}def step_{n}(value):\n{depth}    total = value + {n}\n{depth}    return total\n\n"
            )
        };
        let top = if depth.is_empty() { "" } else { "class Steps:\n" };
        top.to_string() + &(0..n).map(function).collect::<String>()
    }

    fn shown(text: &str, task: &str, budget: u64) -> String {
        let lines: Vec<&str> = text.lines().collect();
        let parts = parts(text, &sought(task), budget);
        assert!(cost(&lines, &parts) <= budget, "{task}");
        let of = |part: &Range<usize>| lines[part.clone()].join("\n");
        parts.iter().map(of).collect::<Vec<_>>().join("\n---\n")
    }

    #[test]
    fn a_definition_is_shown_whole_with_its_decorator() {
        for depth in ["", "    "] {
            let want = "@mark\ndef step_40(value):\n    total = value + 40\n    return total";
            let want: Vec<String> = want.lines().map(|line| format!("{depth}{line}")).collect();
            assert_eq!(shown(&file(90, depth), "Fix step_40 in steps.py", 60), want.join("\n"));
        }
        let rust =
            "fn one() {\n    1\n}\n\n/// Says two.\nfn say_two() {\n    2\n}\n\nfn three() {\n    say_two()\n}\n";
        assert_eq!(shown(rust, "Fix `say_two`", 45), "/// Says two.\nfn say_two() {\n    2\n}");
        assert_eq!(
            shown(rust, "Fix `say_two`", 400),
            "/// Says two.\nfn say_two() {\n    2\n}\n\nfn three() {\n    say_two()\n}",
            "uses come after definitions, and what is near is one part"
        );
    }

    #[test]
    fn words_lead_to_the_code_around_them() {
        let text = file(40, "") + "LIMITS = [\n    # largest upload\n    10,\n]\n" + &file(40, "");
        let near = shown(&text, "Raise the largest upload to 20", 150);
        assert!(near.contains("# largest upload\n    10,") && near.lines().count() <= 2 * NEAREST + 1, "{near}");
        let found = shown(&text, "Raise the largest upload to 20", 400);
        assert!(found.contains("# largest upload\n    10,"), "{found}");
        assert!(found.lines().count() <= 2 * AROUND + 1, "{found}");
    }

    #[test]
    fn one_common_word_leads_nowhere_where_a_rare_one_leads() {
        let text = file(40, "") + "LIMITS = [\n    # largest upload\n    10,\n]\n" + &file(40, "");
        let found = shown(&text, "Raise the largest total to 20", 4000);
        assert!(found.contains("# largest upload") && found.lines().count() <= 2 * AROUND + 1, "{found}");
        let found = shown(&text, "Round each total", 4000);
        assert!(found.lines().count() > 300, "where nothing else leads, all places do: {found}");
    }

    #[test]
    fn a_match_in_a_long_function_shows_its_neighbourhood() {
        let text =
            format!("def run():\n{}    last_value = 3\n{}", "    x = 1\n".repeat(300), "    y = 1\n".repeat(300));
        let parts = parts(&text, &sought("Set last_value to 4"), 10_000);
        assert_eq!(parts, vec![301 - AROUND..302 + AROUND; 1]);
    }

    #[test]
    fn what_does_not_match_or_fit_shows_nothing() {
        assert_eq!(shown(&file(90, ""), "Make it better", 1000), "");
        assert_eq!(shown(&file(90, ""), "Fix step_4", 3), "");
        assert_eq!(shown("", "Fix step_4", 300), "");
        assert_eq!(named(&[2..9, 19..31], 400), "lines 3 to 9 and 20 to 31 of 400");
    }
}
