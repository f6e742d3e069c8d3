//! The place in a file that is most like the lines an edit looks for, and what to quote when none is. Pure.
//! Not the strict ways to find a place: those are in `patch.rs`. A guess must be good, and better than any other.

use crate::rules::patch::{How, Mismatch};
use crate::rules::sorted::sorted;
use std::ops::Range;

const MOST_QUOTED: usize = 10;
/// How much a line that is only alike has in common with that of the file, and all lines on average.
const LEAST_LINE: f64 = 0.5;
const LEAST_MANY: f64 = 0.85;
/// One or two lines say less: they have to be nearly the same, and long enough.
const LEAST_FEW: f64 = 0.92;
const FEWEST_LETTERS: usize = 20;
/// What is worth quoting to a model that missed it.
const LEAST_NEAR: f64 = 0.3;
/// What the best place must be better by than any other.
const MARGIN: f64 = 0.08;

/// A place in the file: its lines, and for each line of the search the line that it stands for.
pub struct Place {
    pub lines: Range<usize>,
    pub pairs: Vec<Option<usize>>,
    pub how: How,
    /// Whether the line ends of the edit are those of the file.
    pub is_raw: bool,
}

/// Finds the one place whose lines are alike, blank lines aside.
pub fn alike(lines: &[&str], search: &[&str]) -> Result<Place, Mismatch> {
    let is_text = |line: &&str| !line.trim().is_empty();
    let numbered: Vec<(usize, &str)> =
        lines.iter().enumerate().filter(|(_, line)| is_text(line)).map(|(at, line)| (at, *line)).collect();
    let wanted: Vec<&str> = search.iter().copied().filter(|line| is_text(line)).collect();
    let [best, next] = best_two(scores(&numbered, &wanted));
    let is_long = wanted.iter().flat_map(|line| letters(line)).take(FEWEST_LETTERS).count() == FEWEST_LETTERS;
    let least = if wanted.len() < 3 { LEAST_FEW } else { LEAST_MANY };
    let sure = match (best, next) {
        (Some(best), _) if best.0 < least || !is_long => None,
        (Some(best), Some(next)) if next.0 > best.0 - MARGIN => {
            let starts: Vec<usize> = [best, next].iter().filter_map(|score| Some(numbered.get(score.1)?.0)).collect();
            return Err(Mismatch::Ambiguous { search: first(search), places: several(&starts, lines) });
        }
        (Some(best), _) => Some(best.1),
        (None, _) => None,
    };
    let Some(at) = sure else {
        let near = best.map(|score| score.1).or_else(|| nearest(&numbered, &wanted));
        let near = near.and_then(|at| numbered.get(at)).map_or(0..0, |(line, _)| {
            line.saturating_sub(1)..lines.len().min((line + search.len() + 1).min(line + MOST_QUOTED - 1))
        });
        return Err(Mismatch::Missing { search: first(search), nearest: quoted(lines.get(near).unwrap_or_default()) });
    };
    let mut inside = numbered.iter().skip(at).take(wanted.len()).map(|(line, _)| *line);
    let pairs: Vec<Option<usize>> =
        search.iter().map(|line| if is_text(line) { inside.next() } else { None }).collect();
    let start = pairs.iter().flatten().next().copied().unwrap_or(0);
    let end = pairs.iter().flatten().next_back().map_or(start, |line| line + 1);
    Ok(Place { lines: start..end, pairs, how: How::Alike, is_raw: false })
}

/// How alike the lines from each place on are; only places where most lines are the same, when there are several.
fn scores(lines: &[(usize, &str)], wanted: &[&str]) -> Vec<(f64, usize)> {
    let count = wanted.len();
    let Some(last) = lines.len().checked_sub(count) else { return Vec::new() };
    let fewest = if count < 3 { 0 } else { (count * 2).div_ceil(3) };
    if lines.len().saturating_mul(count) > 4_000_000 {
        return Vec::new();
    }
    let mut found = Vec::new();
    for at in 0..=last {
        let pairs = || lines.iter().skip(at).zip(wanted).map(|((_, file), line)| (*file, *line));
        if fewest > 0 && pairs().filter(|(file, line)| same_letters(file, line)).count() < fewest {
            continue;
        }
        let each: Vec<f64> = pairs().map(|(file, line)| likeness(file, line)).collect();
        if each.iter().all(|score| *score >= LEAST_LINE) {
            found.push((each.iter().sum::<f64>() / count.max(1) as f64, at));
        }
    }
    found
}

/// The best score and the one after it; of equal ones the first.
fn best_two(scores: Vec<(f64, usize)>) -> [Option<(f64, usize)>; 2] {
    let (mut best, mut next) = (None, None);
    let beats = |score: (f64, usize), other: Option<(f64, usize)>| other.is_none_or(|other| score.0 > other.0);
    for score in scores {
        if beats(score, best) {
            (best, next) = (Some(score), best);
        } else if beats(score, next) {
            next = Some(score);
        }
    }
    [best, next]
}

/// The share of pairs of neighbouring characters that two lines have in common (Dice), blanks aside and quotes taken as
/// one.
fn likeness(left: &str, right: &str) -> f64 {
    let fold = |char| match char {
        '“' | '”' | '\'' | '‘' | '’' | '`' => '"',
        '–' | '—' => '-',
        other => other,
    };
    let pairs = |line: &str| {
        let mut before = '\n';
        sorted(letters(line).map(fold).map(|char| (std::mem::replace(&mut before, char), char)).collect())
    };
    let (left, right) = (pairs(left), pairs(right));
    let (mut ours, mut theirs, mut common) = (left.iter().peekable(), right.iter().peekable(), 0);
    while let (Some(our), Some(their)) = (ours.peek(), theirs.peek()) {
        let order = our.cmp(their);
        common += usize::from(order.is_eq());
        if order.is_le() {
            ours.next();
        }
        if order.is_ge() {
            theirs.next();
        }
    }
    (common * 2) as f64 / (left.len() + right.len()).max(1) as f64
}

/// The place of the line that is most like one of the first lines that are looked for.
fn nearest(lines: &[(usize, &str)], wanted: &[&str]) -> Option<usize> {
    let mut best = (LEAST_NEAR, None);
    for (number, line) in wanted.iter().enumerate().take(4) {
        for (at, (_, file)) in lines.iter().enumerate() {
            let score = likeness(file, line);
            if score > best.0 {
                best = (score, Some(at.saturating_sub(number)));
            }
        }
    }
    best.1
}

/// Returns the first line that says something.
pub fn first(search: &[&str]) -> String {
    search.iter().find(|line| !line.trim().is_empty()).map_or_else(String::new, |line| line.trim().to_owned())
}

/// Returns the first lines, for a model to see what it missed.
pub fn quoted(lines: &[&str]) -> String {
    let short = |line: &&str| line.chars().take(160).collect::<String>();
    lines
        .iter()
        .take(MOST_QUOTED)
        .map(|line| short(&line.trim_end()))
        .collect::<Vec<_>>()
        .join("\n")
        .trim_end()
        .to_owned()
}

/// Quotes the first places of several, each with the line before it, and their line numbers.
pub fn several(starts: &[usize], lines: &[&str]) -> String {
    let mut out = Vec::new();
    for start in starts.iter().take(3) {
        let from = start.saturating_sub(1);
        let text = quoted(lines.get(from..(start + 1).min(lines.len())).unwrap_or_default());
        out.push(format!("line {}:\n{text}", start + 1));
    }
    out.join("\n")
}

fn letters(line: &str) -> impl Iterator<Item = char> + '_ {
    line.chars().filter(|char| !char.is_whitespace())
}

/// Whether two lines differ in blanks only.
pub fn same_letters(file: &str, line: &str) -> bool {
    letters(file).eq(letters(line))
}
