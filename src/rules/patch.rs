//! Replacements of lines, applied to the content that the model was shown. Pure.
//! Not a reader of replies: that is `edits.rs`. Where the lines of an edit stand is searched in four ways, the strict
//! ones first: exact › blanks ignored › indentation shifted › alike, and the only one of its kind.
//!
//! **Invariant:** bytes that no edit names stay as they are: byte order mark, line ends, blanks and a missing last
//! newline. Lines that an edit only repeats are taken from the file, not from the edit. Time is bounded by [`MOST_WORK`].

use crate::rules::alike::{Place, alike, first, quoted, same_letters, several};
use crate::rules::diff::{Side, compare};
use crate::rules::indent::{indent, indents, reindented};
use crate::rules::sorted::sorted;
use std::ops::Range;

/// Bytes of content that all edits of one file may look at together.
const MOST_WORK: usize = 64 << 20;
/// Lines of search and replacement that are compared with each other; longer ones are replaced whole.
const MOST_COMPARED: usize = 1000;
const MOST_PLACES: usize = 1000;
/// What a diff says about the end of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As it is.
    Kept,
    /// With a newline.
    Newline,
    /// Without.
    Bare,
}

/// One replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk<'a> {
    /// Without the newline; a carriage return is part of the line.
    pub lines: Vec<(Side, &'a str)>,
    /// Where it begins by its own account, counted from 0.
    pub line: Option<usize>,
    pub end: End,
}

/// How the place of an edit was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Exact,
    /// Blanks inside and at the end of lines differ.
    Blanks,
    /// The indentation differs too, in one way throughout.
    Shifted,
    /// Some lines are only alike.
    Alike,
    /// The same edit came before.
    Again,
}

/// Why an edit cannot be applied. `search` is its first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    Missing {
        search: String,
        nearest: String,
    },
    Ambiguous {
        search: String,
        places: String,
    },
    /// An edit that names no line of a file that has some.
    Empty,
    TooMuch,
}

impl How {
    /// Returns the word of the ledger.
    pub fn name(self) -> &'static str {
        match self {
            How::Exact => "exact",
            How::Blanks => "blanks",
            How::Shifted => "shifted",
            How::Alike => "alike",
            How::Again => "again",
        }
    }
}

struct Patch {
    text: String,
    /// What edits before have written.
    fresh: Vec<Range<usize>>,
    work: usize,
    /// Lines that edits before have added.
    shift: isize,
}

impl<'a> Hunk<'a> {
    /// Makes one from the texts of a search and its replacement.
    pub fn new(search: &'a str, replace: &'a str) -> Hunk<'a> {
        let lines = |text: &'a str| -> Vec<&'a str> {
            text.split_inclusive('\n').map(|line| line.strip_suffix('\n').unwrap_or(line)).collect()
        };
        Hunk::from_lines(&lines(search), &lines(replace))
    }

    pub fn from_lines(search: &[&'a str], replace: &[&'a str]) -> Hunk<'a> {
        let lines = if search.len() + replace.len() <= MOST_COMPARED {
            compare(search, replace)
        } else {
            let old = search.iter().map(|line| (Side::Old, *line));
            old.chain(replace.iter().map(|line| (Side::New, *line))).collect()
        };
        Hunk { lines, line: None, end: End::Kept }
    }

    /// Returns the lines that it looks for.
    pub fn old(&self) -> Vec<&'a str> {
        self.lines.iter().filter(|(side, _)| *side != Side::New).map(|(_, line)| *line).collect()
    }

    /// Returns the text after the edit, as that of a new file.
    pub fn new_text(&self) -> String {
        let mut text: String =
            self.lines.iter().filter(|(side, _)| *side != Side::Old).flat_map(|(_, line)| [line, "\n"]).collect();
        if self.end == End::Bare {
            text.pop();
        }
        text
    }
}

/// Applies all edits to one file, in order.
///
/// # Errors
/// The first edit that has no place, or more than one.
pub fn apply(old: &str, hunks: &[Hunk<'_>]) -> Result<(String, Vec<How>), Mismatch> {
    let body = old.strip_prefix('\u{feff}').unwrap_or(old);
    let mut patch = Patch { text: body.to_owned(), fresh: Vec::new(), work: 0, shift: 0 };
    let mut found = Vec::new();
    for (number, hunk) in hunks.iter().enumerate() {
        patch.work += hunk.lines.len() * number;
        let before = hunks.get(..number).unwrap_or_default();
        if hunk.line.is_none() && before.contains(hunk) {
            found.push(How::Again);
            continue;
        }
        let count = hunks.iter().skip(number).filter(|other| *other == hunk).count();
        patch.apply(hunk, count, &mut found)?;
    }
    patch.text.insert_str(0, old.get(..old.len() - body.len()).unwrap_or(""));
    Ok((patch.text, found))
}

/// Whether `search` stands in `text`, line for line.
pub fn holds(text: &str, search: &[&str]) -> bool {
    let lines: Vec<&str> = text.split_inclusive('\n').map(bare).collect();
    !search.is_empty() && !places(&lines, search, same_line).is_empty()
}

impl Patch {
    /// Applies one edit, or as many as there are places when it came that often.
    fn apply(&mut self, hunk: &Hunk<'_>, count: usize, found: &mut Vec<How>) -> Result<(), Mismatch> {
        let search = hunk.old();
        if search.iter().all(|line| line.trim().is_empty()) {
            return self.insert(hunk, found);
        }
        let mut wanted = count;
        while wanted > 0 {
            self.work += self.text.len() + hunk.lines.len();
            if self.work > MOST_WORK {
                return Err(Mismatch::TooMuch);
            }
            let (range, new, how, added) = {
                let lines: Vec<&str> = self.text.split_inclusive('\n').collect();
                let (place, all) = self.find(&lines, &search, hunk, wanted)?;
                wanted = if all == wanted { wanted - 1 } else { 0 };
                let start = lines.iter().take(place.lines.start).map(|line| line.len()).sum::<usize>();
                let inside = lines.get(place.lines.clone()).unwrap_or_default();
                let end = start + inside.iter().map(|line| line.len()).sum::<usize>();
                let new = rebuild(hunk, &place, &lines, &search)
                    .ok_or_else(|| Mismatch::Missing { search: first(&search), nearest: quoted(inside) })?;
                (start..end, new, place.how, lines_in(hunk, Side::New) - lines_in(hunk, Side::Old))
            };
            self.replace(range, &new, added);
            found.push(how);
        }
        Ok(())
    }

    fn replace(&mut self, range: Range<usize>, new: &str, added: isize) {
        for fresh in &mut self.fresh {
            if fresh.start >= range.end {
                *fresh = fresh.start + new.len() - range.len()..fresh.end + new.len() - range.len();
            }
        }
        self.fresh.push(range.start..range.start + new.len());
        self.text.replace_range(range, new);
        self.shift += added;
    }

    /// An edit without lines to look for fills a file that has none.
    fn insert(&mut self, hunk: &Hunk<'_>, found: &mut Vec<How>) -> Result<(), Mismatch> {
        if !self.text.trim().is_empty() {
            // A diff that adds blank lines around blank lines can still name its place by number.
            return Err(Mismatch::Empty);
        }
        let search = hunk.old();
        if self.text.is_empty() || search.is_empty() {
            let text = hunk.new_text();
            self.replace(0..self.text.len(), &text, 0);
        } else {
            let lines: Vec<&str> = self.text.split_inclusive('\n').collect();
            let (place, _) = self.find(&lines, &search, hunk, 1)?;
            let new = rebuild(hunk, &place, &lines, &search).unwrap_or_default();
            let start = lines.iter().take(place.lines.start).map(|line| line.len()).sum::<usize>();
            let end =
                start + lines.iter().take(place.lines.end).skip(place.lines.start).map(|l| l.len()).sum::<usize>();
            self.replace(start..end, &new, 0);
        }
        found.push(How::Exact);
        Ok(())
    }

    /// Finds the place of an edit that may come `count` times, and says how many places there are.
    fn find(&self, lines: &[&str], search: &[&str], hunk: &Hunk<'_>, count: usize) -> Result<(Place, usize), Mismatch> {
        type Same = fn(&str, &str) -> bool;
        let bare: Vec<&str> = lines.iter().map(|line| bare(line)).collect();
        let tiers: [(How, Same); 4] = [
            (How::Exact, |file, line| file == line),
            (How::Exact, same_line),
            (How::Blanks, |file, line| indent(file) == indent(line) && same_letters(file, line)),
            (How::Shifted, same_letters),
        ];
        let has_returns = hunk.lines.iter().any(|(_, line)| line.ends_with('\r'));
        for (number, (how, same)) in tiers.into_iter().enumerate() {
            let mut starts = places(&bare, search, same);
            if how == How::Shifted {
                starts.retain(|start| {
                    let pairs = search.iter().zip(bare.get(*start..).unwrap_or_default());
                    indents(pairs.map(|(line, file)| (*line, *file))).is_some()
                });
            }
            if starts.is_empty() {
                continue;
            }
            let all = starts.len();
            let chosen = if all == count { starts.first().copied() } else { self.choose(&starts, lines, search, hunk) };
            let Some(start) = chosen else {
                return Err(Mismatch::Ambiguous { search: first(search), places: several(&starts, &bare) });
            };
            let pairs = (start..start + search.len()).map(Some).collect();
            let is_raw = number == 0 && has_returns;
            return Ok((Place { lines: start..start + search.len(), pairs, how, is_raw }, all));
        }
        alike(&bare, search).map(|place| (place, 1))
    }

    /// Of several places the one that the edit means: at its line number, in what no edit has written yet, or clearly
    /// nearest to its line number.
    fn choose(&self, starts: &[usize], lines: &[&str], search: &[&str], hunk: &Hunk<'_>) -> Option<usize> {
        if let [only] = starts {
            return Some(*only);
        }
        let wanted = hunk.line.map(|line| line.saturating_add_signed(self.shift));
        if let Some(wanted) = wanted.filter(|wanted| starts.contains(wanted)) {
            return Some(wanted);
        }
        let mut offsets = vec![0];
        offsets.extend(lines.iter().scan(0, |sum, line| {
            *sum += line.len();
            Some(*sum)
        }));
        let is_old = |start: &&usize| {
            let from = offsets.get(**start).copied().unwrap_or(0);
            let to = offsets.get(**start + search.len()).copied().unwrap_or(from);
            !self.fresh.iter().any(|fresh| fresh.start < to && from < fresh.end)
        };
        let mut old = starts.iter().filter(is_old);
        if let (Some(only), None) = (old.next(), old.next()) {
            return Some(*only);
        }
        let wanted = wanted?;
        let near = sorted(starts.iter().map(|start| (start.abs_diff(wanted), *start)).collect());
        match near.as_slice() {
            [(nearest, start), (next, _), ..] if nearest * 3 < *next && *nearest <= 20 => Some(*start),
            _ => None,
        }
    }
}

fn lines_in(hunk: &Hunk<'_>, side: Side) -> isize {
    hunk.lines.iter().filter(|(other, _)| *other == side).count().try_into().unwrap_or(0)
}

fn bare(line: &str) -> &str {
    line.strip_suffix('\n').unwrap_or(line)
}

fn same_line(file: &str, line: &str) -> bool {
    file.strip_suffix('\r').unwrap_or(file) == line.strip_suffix('\r').unwrap_or(line)
}

/// Returns all places of `search` among `lines`, in linear time (Knuth, Morris, Pratt). `same` is an equivalence.
fn places(lines: &[&str], search: &[&str], same: fn(&str, &str) -> bool) -> Vec<usize> {
    let is_at = |at: usize, line: &str| search.get(at).is_some_and(|wanted| same(line, wanted));
    let mut borders = vec![0; search.len()];
    let back = |borders: &[usize], at: usize| at.checked_sub(1).and_then(|at| borders.get(at)).copied().unwrap_or(0);
    let mut length = 0;
    for (at, line) in search.iter().enumerate().skip(1) {
        while length > 0 && !is_at(length, line) {
            length = back(&borders, length);
        }
        length += usize::from(is_at(length, line));
        if let Some(border) = borders.get_mut(at) {
            *border = length;
        }
    }
    let (mut found, mut length) = (Vec::new(), 0);
    for (at, line) in lines.iter().enumerate() {
        while length > 0 && !is_at(length, line) {
            length = back(&borders, length);
        }
        length += usize::from(is_at(length, line));
        if length == search.len() && found.len() < MOST_PLACES {
            found.push(at + 1 - length);
            length = back(&borders, length);
        }
    }
    found
}

/// Writes the lines of a place anew. `None`: the indentation of the edit cannot be carried over.
fn rebuild(hunk: &Hunk<'_>, place: &Place, lines: &[&str], search: &[&str]) -> Option<String> {
    let file = |at: usize| lines.get(at).copied().unwrap_or("");
    let known = match place.how {
        How::Exact | How::Blanks | How::Again => Vec::new(),
        How::Shifted | How::Alike => {
            let pairs = search.iter().zip(&place.pairs).filter_map(|(line, at)| Some((*line, bare(file((*at)?)))));
            indents(pairs)?
        }
    };
    let eol = line_end(lines.get(place.lines.clone()).unwrap_or_default(), lines);
    let (mut out, mut at, mut pairs) = (String::new(), place.lines.start, place.pairs.iter());
    let mut last = Side::Both;
    let push = |out: &mut String, parts: [&str; 2]| {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push_str(eol);
        }
        out.extend(parts);
    };
    for (side, line) in &hunk.lines {
        if *side == Side::New {
            if place.is_raw {
                push(&mut out, [line, "\n"]);
            } else {
                push(&mut out, [&reindented(line.strip_suffix('\r').unwrap_or(line), &known), eol]);
            }
            continue;
        }
        let Some(Some(pair)) = pairs.next() else { continue };
        // Blank lines that the search left out are kept, but between lines that go.
        for skipped in (at..*pair).filter(|_| *side == Side::Both || last == Side::Both) {
            push(&mut out, [file(skipped), ""]);
        }
        if *side == Side::Both {
            push(&mut out, [file(*pair), ""]);
        }
        (at, last) = (pair + 1, *side);
    }
    if place.lines.end == lines.len() && !out.is_empty() {
        let was_bare = !file(place.lines.end - 1).ends_with('\n');
        let is_bare = hunk.end == End::Bare || (hunk.end == End::Kept && was_bare);
        if is_bare && let Some(kept) = out.strip_suffix('\n') {
            let kept = if place.is_raw { kept } else { kept.strip_suffix('\r').unwrap_or(kept) };
            out.truncate(kept.len());
        } else if !is_bare && !out.ends_with('\n') {
            out.push_str(eol);
        }
    }
    Some(out)
}

/// The line end of the lines around an edit, else that of most lines of the file.
fn line_end(near: &[&str], all: &[&str]) -> &'static str {
    let is_windows = |line: &&str| line.ends_with("\r\n");
    let windows = match near.iter().find(|line| line.ends_with('\n')) {
        Some(line) => is_windows(line),
        None => {
            all.iter().filter(|line| is_windows(line)).count() * 2 > all.iter().filter(|l| l.ends_with('\n')).count()
        }
    };
    if windows { "\r\n" } else { "\n" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::diff::unified;
    use crate::rules::reply::{Expect, parse};
    use crate::words::changes::Change;

    /// A small generator of numbers (xorshift), the same for every run.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % sides as u64).unwrap()
        }

        /// A text whose lines are all different when `kinds` is 0, else taken from so many.
        fn text(&mut self, kinds: usize, eol: &str) -> String {
            const HEADS: [&str; 8] = ["", "- ", "+ ", "-- ", "++ ", "@@ -", "    ", "```"];
            let lines = self.roll(40);
            let mut text: String = (0..lines)
                .map(|number| {
                    let number = if kinds == 0 { number } else { self.roll(kinds) };
                    format!("{}line {number}{eol}", HEADS[number % HEADS.len()])
                })
                .collect::<Vec<_>>()
                .concat();
            if self.roll(4) == 0 {
                text.truncate(text.trim_end_matches(['\r', '\n']).len());
            }
            text
        }

        /// Changes, removes and adds some lines.
        fn changed(&mut self, text: &str, eol: &str) -> String {
            let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
            for number in 0..=self.roll(5) {
                let at = self.roll(lines.len() + 1);
                let new = format!("new {number} {}{eol}", self.roll(1000));
                match (self.roll(3), at < lines.len()) {
                    (0, true) => lines[at] = new,
                    (1, true) => drop(lines.remove(at)),
                    (_, _) => lines.insert(at, new),
                }
            }
            let count = lines.len();
            // Only the last line can lack its newline.
            for line in lines.iter_mut().take(count.saturating_sub(1)).filter(|line| !line.ends_with('\n')) {
                line.push_str(eol);
            }
            lines.concat()
        }
    }

    /// Reads a diff as the reply of a model that was shown the old text.
    fn applied(old: &str, diff: &str) -> Result<String, String> {
        let set = parse(diff, &Expect { target: None, shown: &[("f.py", old)], ..Expect::default() })
            .map_err(|fault| fault.to_string())?;
        match set.changes.into_iter().next() {
            Some(Change::Write { content, .. }) => Ok(content),
            Some(Change::Delete { .. }) | None => Err("no text".to_owned()),
        }
    }

    #[test]
    fn a_diff_there_and_back_is_the_identity() {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
        for round in 0..3000 {
            let (kinds, eol) = ([0, 3, 12][round % 3], ["\n", "\r\n"][round % 2]);
            let old = dice.text(kinds, eol);
            let new = dice.changed(&old, eol);
            if old == new {
                continue;
            }
            let there = unified("f.py", Some(&old), Some(&new));
            assert_eq!(applied(&old, &there).as_deref(), Ok(new.as_str()), "round {round}\n{old:?}\n{there}");
            let back = unified("f.py", Some(&new), Some(&old));
            assert_eq!(applied(&new, &back).as_deref(), Ok(old.as_str()), "round {round}\n{new:?}\n{back}");
        }
    }

    #[test]
    fn wrong_line_numbers_do_no_harm() {
        let mut dice = Dice(42);
        for round in 0..1000 {
            let old = dice.text(0, "\n");
            let new = dice.changed(&old, "\n");
            let diff: String = unified("f.py", Some(&old), Some(&new))
                .split_inclusive('\n')
                .map(|line| match line.strip_prefix("@@ -") {
                    Some(rest) if rest.contains(" @@") => format!("@@ -{},9 +{},2 @@\n", dice.roll(90), dice.roll(90)),
                    Some(_) | None => line.to_owned(),
                })
                .collect();
            if old.trim().is_empty() || old == new {
                continue;
            }
            match applied(&old, &diff) {
                Ok(got) => assert_eq!(got, new, "round {round}\n{old:?}\n{diff}"),
                // Lines that look like a diff's own need its counts.
                Err(fault) => assert!(old.contains("-- ") || old.contains("@@ -"), "round {round}: {fault}\n{diff}"),
            }
        }
    }

    #[test]
    fn the_better_match_is_taken() {
        let edit = |old: &str, search: &str, new: &str| {
            apply(old, &[Hunk::new(search, new)]).map(|(text, found)| (text, found[0]))
        };
        let check = |old: &str, search: &str, new: &str, expected: &str, how: How| {
            assert_eq!(edit(old, search, new), Ok((expected.to_owned(), how)), "{search:?}");
        };
        check("a b\nab\n", "ab\n", "c\n", "a b\nc\n", How::Exact);
        check("  ab\na b\n", "ab\n", "c\n", "  ab\nc\n", How::Blanks);
        check("  a b\n", "ab\n", "c\n", "  c\n", How::Shifted);
        check("\tif a:\n\t\tb\n", "if a:\n    b\n", "if a:\n    b\n    c\n", "\tif a:\n\t\tb\n\t\tc\n", How::Shifted);
        check("a\nb\n", "        a\n", "        c\n", "c\nb\n", How::Shifted);
        assert!(matches!(edit("x\nx\nx\n", "x\nx\n", "y\n"), Err(Mismatch::Ambiguous { .. })), "places may overlap");
        assert!(matches!(edit("x = 1\n", "x = 2\n", "x = 3\n"), Err(Mismatch::Missing { .. })), "too short to guess");
        let twice = "first_value = compute(left, right)\nlast_value = compute(left, right)\n";
        let search = "worst_value = compute(left, right)\n";
        assert!(matches!(edit(twice, search, "y\n"), Err(Mismatch::Missing { .. } | Mismatch::Ambiguous { .. })));
    }

    #[test]
    fn hostile_edits_end() {
        let same = "x\n".repeat(20_000);
        let search = "x\n".repeat(5_000) + "y\n";
        assert!(matches!(apply(&same, &[Hunk::new(&search, "z\n")]), Err(Mismatch::Missing { .. })));
        let many: Vec<String> = (0..2000).map(|number| format!("y{number}\n")).collect();
        let hunks: Vec<_> = many.iter().map(|line| Hunk::new("x\n", line)).collect();
        assert!(apply(&same, &hunks).is_err());
        let distinct: String = (0..10_000).map(|number| format!("{number}\n")).collect::<Vec<_>>().concat();
        let lines: Vec<&str> = distinct.split_inclusive('\n').take(2000).collect();
        let hunks: Vec<_> = lines.iter().map(|line| Hunk::new(line, "z\n")).collect();
        assert!(apply(&distinct, &hunks).is_err_and(|why| why == Mismatch::TooMuch));
        for text in [
            "<<<<<<< SEARCH\n".repeat(50_000),
            "<<<<<<< SEARCH\n=======\n>>>>>>> REPLACE\n".repeat(20_000),
            "@@ -1 +1 @@\n".repeat(50_000),
            "--- a\n+++ b\n".repeat(50_000),
            format!("--- a/f.py\n+++ b/f.py\n@@ -1 +1 @@\n{}", "\n".repeat(1 << 20)),
            format!("--- a/f.py\n+++ b/f.py\n@@ -1 +1 @@\n{}", "-x\n".repeat(1 << 18)),
            "diff --git a/x b/x\n".repeat(50_000),
            "diff --git \n".repeat(50_000),
            "=======\n".repeat(1 << 17),
        ] {
            let shown = [("f.py", same.as_str()), ("g.py", "1\n")];
            assert!(
                parse(&text, &Expect { target: None, shown: &shown, ..Expect::default() }).is_err(),
                "{}",
                &text[..40]
            );
            assert!(
                parse(&text, &Expect { target: Some("f.py"), shown: &shown, ..Expect::default() }).is_err(),
                "{}",
                &text[..40]
            );
        }
    }
}
