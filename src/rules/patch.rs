//! Replacements of lines, applied to the content that the model was shown. Pure.
//! Not a reader of replies: that is `edits.rs`. Where the lines of an edit stand is searched in four ways, the strict
//! ones first: exact › blanks ignored › indentation shifted › alike, and the only one of its kind.
//!
//! **Invariant:** bytes that no edit names stay as they are: byte order mark, line ends, blanks and a missing last
//! newline. Lines that an edit only repeats are taken from the file, not from the edit. Time is bounded by [`MOST_WORK`].

use crate::rules::diff::{Side, compare};
use std::borrow::Cow;
use std::ops::Range;

/// Bytes of content that all edits of one file may look at together.
const MOST_WORK: usize = 256 << 20;
/// Lines of search and replacement that are compared with each other; longer ones are replaced whole.
const MOST_COMPARED: usize = 1000;
const MOST_QUOTED: usize = 10;
const MOST_PLACES: usize = 1000;
/// How much a line that is only alike has in common with that of the file, and all lines on average.
const LEAST_LINE: f64 = 0.5;
const LEAST_MANY: f64 = 0.85;
/// One or two lines say less: they have to be nearly the same, and long enough.
const LEAST_FEW: f64 = 0.92;
const FEWEST_LETTERS: usize = 20;
/// What the best place must be better by than any other.
const MARGIN: f64 = 0.08;

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

/// A place in the file: its lines, and for each line of the search the line that it stands for.
struct Place {
    lines: Range<usize>,
    pairs: Vec<Option<usize>>,
    how: How,
    /// Whether the line ends of the edit are those of the file.
    is_raw: bool,
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
        let mut near: Vec<_> = starts.iter().map(|start| (start.abs_diff(wanted), *start)).collect();
        near.sort_unstable();
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

fn letters(line: &str) -> impl Iterator<Item = char> + '_ {
    line.chars().filter(|char| !char.is_whitespace())
}

fn same_letters(file: &str, line: &str) -> bool {
    letters(file).eq(letters(line))
}

fn indent(line: &str) -> &str {
    if line.trim().is_empty() { "" } else { line.get(..line.len() - line.trim_start().len()).unwrap_or("") }
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

/// How each indentation of an edit is written in the file; `None` when one is written in two ways.
fn indents<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Vec<(&'a str, &'a str)>> {
    let mut known: Vec<(&str, &str)> = Vec::new();
    for (line, file) in pairs.filter(|(line, file)| !line.trim().is_empty() && !file.trim().is_empty()) {
        let (from, to) = (indent(line), indent(file));
        match known.iter().find(|(other, _)| *other == from) {
            Some((_, other)) if *other != to => return None,
            Some(_) => {}
            None if known.len() == 64 => return None,
            None => known.push((from, to)),
        }
    }
    Some(known)
}

/// Writes a new line with the indentation of the file.
fn reindented<'a>(line: &'a str, known: &[(&str, &str)]) -> Cow<'a, str> {
    let from = indent(line);
    let rest = line.get(from.len()..).unwrap_or(line);
    if rest.trim().is_empty() || known.iter().all(|(old, new)| old == new) {
        return Cow::Borrowed(line);
    }
    let longest = known.iter().filter(|(old, _)| from.starts_with(old)).max_by_key(|(old, _)| old.len());
    if let Some((old, new)) = longest {
        let more = from.get(old.len()..).unwrap_or("");
        let is_tabbed = known.iter().any(|(_, new)| new.starts_with('\t')) && !more.contains('\t');
        let unit = known.iter().filter(|(old, new)| new.len() == 1 && old.len() > 1).map(|(old, _)| old.len()).min();
        let more = if is_tabbed { "\t".repeat(more.len().div_ceil(unit.unwrap_or(4))) } else { more.to_owned() };
        return Cow::Owned([new, more.as_str(), rest].concat());
    }
    // Less indented than every line of the search: what was added to or taken from that line is so here too.
    let Some((old, new)) = known.iter().min_by_key(|(old, _)| old.len()) else { return Cow::Borrowed(line) };
    let less = old.len().saturating_sub(from.len());
    let kept = if new.starts_with('\t') && !old.starts_with('\t') {
        new.len().saturating_sub(less.div_ceil((old.len() / new.len()).max(1)))
    } else {
        new.len().saturating_sub(less)
    };
    Cow::Owned([new.get(..kept).unwrap_or(""), rest].concat())
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
        None => all.iter().filter(|line| is_windows(line)).count() * 2 > all.len(),
    };
    if windows { "\r\n" } else { "\n" }
}

/// Finds the one place whose lines are alike, blank lines aside.
fn alike(lines: &[&str], search: &[&str]) -> Result<Place, Mismatch> {
    let is_text = |line: &&str| !line.trim().is_empty();
    let numbered: Vec<(usize, &str)> =
        lines.iter().enumerate().filter(|(_, line)| is_text(line)).map(|(at, line)| (at, *line)).collect();
    let wanted: Vec<&str> = search.iter().copied().filter(|line| is_text(&line)).collect();
    let mut scored = scores(&numbered, &wanted);
    scored.sort_by(|left, right| right.0.total_cmp(&left.0));
    let is_long = wanted.iter().flat_map(|line| letters(line)).take(FEWEST_LETTERS).count() == FEWEST_LETTERS;
    let least = if wanted.len() < 3 { LEAST_FEW } else { LEAST_MANY };
    let best = match scored.as_slice() {
        [best, ..] if best.0 < least || !is_long => None,
        [best, next, ..] if next.0 > best.0 - MARGIN => {
            let starts: Vec<usize> = [best, next].iter().filter_map(|score| Some(numbered.get(score.1)?.0)).collect();
            return Err(Mismatch::Ambiguous { search: first(search), places: several(&starts, lines) });
        }
        [best, ..] => Some(best.1),
        [] => None,
    };
    let Some(at) = best else {
        let near = scored.first().map(|score| score.1).or_else(|| nearest(&numbered, &wanted));
        let near = near.and_then(|at| numbered.get(at)).map_or(0..0, |(line, _)| {
            line.saturating_sub(1)..lines.len().min((line + search.len() + 1).min(line + MOST_QUOTED - 1))
        });
        return Err(Mismatch::Missing { search: first(search), nearest: quoted(lines.get(near).unwrap_or_default()) });
    };
    let mut inside = numbered.iter().skip(at).take(wanted.len()).map(|(line, _)| *line);
    let pairs: Vec<Option<usize>> =
        search.iter().map(|line| if is_text(&line) { inside.next() } else { None }).collect();
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

/// The share of a line that its common beginning and end with another are, blanks aside and quotes taken as one.
fn likeness(left: &str, right: &str) -> f64 {
    let fold = |char| match char {
        '“' | '”' | '\'' | '‘' | '’' | '`' => '"',
        '–' | '—' => '-',
        other => other,
    };
    let left: Vec<char> = letters(left).map(fold).collect();
    let right: Vec<char> = letters(right).map(fold).collect();
    let head = left.iter().zip(&right).take_while(|(left, right)| left == right).count();
    let most = left.len().min(right.len()) - head;
    let tail = left.iter().rev().zip(right.iter().rev()).take(most).take_while(|(left, right)| left == right).count();
    (head + tail) as f64 / left.len().max(right.len()).max(1) as f64
}

/// The place of the line that is most like one of the first lines that are looked for.
fn nearest(lines: &[(usize, &str)], wanted: &[&str]) -> Option<usize> {
    let mut best = (LEAST_LINE, None);
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

fn first(search: &[&str]) -> String {
    search.iter().find(|line| !line.trim().is_empty()).map_or_else(String::new, |line| line.trim().to_owned())
}

fn quoted(lines: &[&str]) -> String {
    let short = |line: &&str| line.chars().take(160).collect::<String>();
    lines.iter().take(MOST_QUOTED).map(|line| short(&line.trim_end())).collect::<Vec<_>>().join("\n")
}

/// Quotes the first places of several, each with the line before it, and their line numbers.
fn several(starts: &[usize], lines: &[&str]) -> String {
    let mut out = Vec::new();
    for start in starts.iter().take(3) {
        let from = start.saturating_sub(1);
        let text = quoted(lines.get(from..(start + 1).min(lines.len())).unwrap_or_default());
        out.push(format!("line {}:\n{text}", start + 1));
    }
    out.join("\n")
}
