//! Diffs in a model's text: those of `diff`, git and codex. Pure, linear time.
//! Forgiving, since models count badly: line numbers are hints, and the counts of a header only settle what is unclear.

use crate::rules::diff::Side;
use crate::rules::edits::{Edit, What, bare, line_at};
use crate::rules::patch::{End, Hunk};
use std::borrow::Cow;

fn is_range(line: &str) -> bool {
    line.strip_prefix("@@ -").is_some_and(|rest| rest.starts_with(|char: char| char.is_ascii_digit()))
}

fn is_header(line: &str, text: &str, next: usize) -> bool {
    line.starts_with("--- ") && line_at(text, next).is_some_and(|line| line.starts_with("+++ "))
}

/// Whether a line begins a diff; `next` is where the line after it begins.
pub fn is_diff_start(line: &str, text: &str, next: usize) -> bool {
    line.starts_with("diff --git ")
        || line.starts_with("*** Begin Patch")
        || ["*** Update File: ", "*** Add File: ", "*** Delete File: "].iter().any(|start| line.starts_with(start))
        || is_range(line)
        || is_header(line, text, next)
}

/// What becomes of the file of a diff.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Fate {
    #[default]
    Changed,
    New,
    Deleted,
    /// Its content is not in the diff.
    Unknown,
}

/// What a diff has said of one file so far.
#[derive(Default)]
struct About<'a> {
    old: Option<&'a str>,
    new: Option<&'a str>,
    /// `rename from`, or the file that is moved, and where to.
    from: Option<&'a str>,
    to: Option<&'a str>,
    has_header: bool,
    fate: Fate,
    hunks: Vec<Hunk<'a>>,
}

impl<'a> About<'a> {
    fn finish(&mut self, edits: &mut Vec<Edit<'a>>) {
        let about = std::mem::take(self);
        let is_null = |path: Option<&str>| path == Some("/dev/null");
        let has_letters = |path: Option<&str>, letter: &str| path.is_none_or(|path| path.starts_with(letter));
        let strip = (is_null(about.old) || has_letters(about.old, "a/"))
            && (is_null(about.new) || has_letters(about.new, "b/"));
        let named = |path: Option<&'a str>| {
            let path = path?;
            let stripped = path.strip_prefix("a/").or_else(|| path.strip_prefix("b/")).filter(|_| strip);
            Some(Cow::Borrowed(stripped.unwrap_or(path)))
        };
        let hunks = about.hunks;
        let (path, what) = if about.fate == Fate::Unknown {
            (named(about.new), What::Broken)
        } else if about.fate == Fate::Deleted || is_null(about.new) {
            (named(about.old), What::Delete)
        } else if let (Some(from), Some(to)) = (about.from, about.to) {
            (Some(Cow::Borrowed(to)), What::Rename { from: Cow::Borrowed(from), hunks })
        } else if about.fate == Fate::New || is_null(about.old) {
            (named(about.new), What::Create(hunks))
        } else if hunks.is_empty() {
            // A change of mode, or a header alone.
            if about.old.is_none() && about.new.is_none() {
                return;
            }
            (named(about.new), What::Broken)
        } else {
            (named(about.new.or(about.old)), What::Hunks(hunks))
        };
        edits.push(Edit { path, what });
    }
}

/// The path of a header line: to the tab before a time, without quotes.
fn header_path(rest: &str) -> &str {
    let rest = rest.split('\t').next().unwrap_or(rest).trim();
    rest.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(rest)
}

/// Reads a diff of one or several files; returns where it ends. **Invariant:** what [`is_diff_start`] takes for the first
/// line is passed, or the caller would find it again and again.
pub fn diff(text: &str, from: usize) -> (usize, Vec<Edit<'_>>) {
    let (mut edits, mut about, mut at) = (Vec::new(), About::default(), from);
    while let Some(line) = line_at(text, at) {
        let next = at + line.len();
        let bare = bare(line).trim_end();
        let after = |start: &str| bare.strip_prefix(start).map(header_path);
        if is_header(line, text, next) {
            if about.has_header || !about.hunks.is_empty() {
                about.finish(&mut edits);
            }
            about.has_header = true;
            let new = line_at(text, next).unwrap_or("");
            (about.old, about.new) = (after("--- "), new.strip_prefix("+++ ").map(header_path));
            at = next + new.len();
            continue;
        } else if line.starts_with("@@") {
            at = hunk(text, next, start_of(line), &mut about.hunks);
            continue;
        } else if let Some(names) = line.strip_prefix("diff --git ").map(header_path) {
            about.finish(&mut edits);
            // The names are only read here when nothing else names them; blanks in them are told by their halves.
            let half = names.len() / 2;
            (about.old, about.new) = (None, names.get(half + 1..).filter(|new| new.starts_with("b/")));
            about.old = about.new.and(names.get(..half));
            at = next;
            continue;
        } else if let Some(path) = after("rename from ") {
            about.from = Some(path);
        } else if let Some(path) = after("rename to ").or_else(|| after("*** Move to: ")) {
            (about.from, about.to) = (about.from.or(about.new), Some(path));
        } else if let Some(path) = after("*** Update File: ") {
            about.finish(&mut edits);
            (about.old, about.new) = (Some(path), Some(path));
        } else if let Some(path) = after("*** Add File: ") {
            about.finish(&mut edits);
            (about.new, about.fate) = (Some(path), Fate::New);
        } else if let Some(path) = after("*** Delete File: ") {
            about.finish(&mut edits);
            (about.old, about.fate) = (Some(path), Fate::Deleted);
        } else if line.starts_with("deleted file mode ") {
            about.fate = Fate::Deleted;
        } else if line.starts_with("new file mode ") {
            about.fate = Fate::New;
        } else if line.starts_with("Binary files ") || line.starts_with("GIT binary patch") {
            about.fate = Fate::Unknown;
        } else if about.new.is_some() && about.hunks.is_empty() && line.starts_with(['+', '-', ' ']) {
            at = hunk(text, at, None, &mut about.hunks);
            continue;
        } else {
            let is_known = ["index ", "similarity ", "dissimilarity ", "old mode ", "new mode ", "Index: ", "*** "];
            let is_rule = bare.len() > 9 && bare.bytes().all(|byte| byte == b'=');
            if !is_rule && !is_known.iter().any(|start| line.starts_with(start)) {
                break;
            }
        }
        at = next;
    }
    about.finish(&mut edits);
    (at, edits)
}

/// `(first line from 0, lines before, lines after)` of `@@ -1,2 +1,3 @@`.
fn start_of(line: &str) -> Option<(usize, usize, usize)> {
    let mut ranges = line.strip_prefix("@@ -")?.split_whitespace();
    let read = |range: &str| {
        let (start, count) = range.split_once(',').unwrap_or((range, "1"));
        Some((start.parse::<usize>().ok()?, count.parse::<usize>().ok()?))
    };
    let (start, old) = read(ranges.next()?)?;
    let (_, new) = read(ranges.next()?.strip_prefix('+')?)?;
    Some((start.saturating_sub(1), old, new))
}

/// Reads the lines of a hunk, as far as they look like some; the counts of its header only decide where it is unclear.
fn hunk<'a>(text: &'a str, from: usize, start: Option<(usize, usize, usize)>, hunks: &mut Vec<Hunk<'a>>) -> usize {
    let mut hunk = Hunk { lines: Vec::new(), line: start.map(|(line, _, _)| line), end: End::Kept };
    let (mut old, mut new) = start.map_or((0, 0), |(_, old, new)| (old, new));
    let (mut at, mut is_old_bare) = (from, false);
    while let Some(line) = line_at(text, at) {
        let next = at + line.len();
        let is_last_pair = (old, new) == (1, 1);
        if is_header(line, text, next) && !is_last_pair {
            let behind = next + line_at(text, next).map_or(0, str::len);
            if (old, new) == (0, 0) || line_at(text, behind).is_some_and(|line| line.starts_with("@@")) {
                break;
            }
        }
        let whole = bare(line);
        let rest = whole.get(1..).unwrap_or("");
        let (side, content) = match line.as_bytes().first() {
            Some(b'+') => (Side::New, rest),
            Some(b'-') => (Side::Old, rest),
            Some(b' ') => (Side::Both, rest),
            Some(b'\\') => {
                let last = hunk.lines.last().map(|(side, _)| *side);
                is_old_bare |= last == Some(Side::Old);
                if last.is_some_and(|last| last != Side::Old) {
                    hunk.end = End::Bare;
                }
                at = next;
                continue;
            }
            Some(b'\n' | b'\r') => {
                // Blank lines lose their blank; behind the last line of a diff they are no part of it.
                let run: usize = text
                    .get(at..)
                    .unwrap_or("")
                    .split_inclusive('\n')
                    .take_while(|l| l.trim() == "")
                    .map(str::len)
                    .sum();
                let follows = line_at(text, at + run).unwrap_or("");
                if !(follows.starts_with([' ', '+', '-', '\\']) || follows.starts_with("@@")) {
                    break;
                }
                for blank in text.get(at..at + run).unwrap_or("").split_inclusive('\n') {
                    hunk.lines.push((Side::Both, bare(blank).trim_end_matches(' ')));
                    (old, new) = (old.saturating_sub(1), new.saturating_sub(1));
                }
                at += run;
                continue;
            }
            // A line without its blank, where the counts say that some are still to come.
            Some(_) if old > 0 && new > 0 && !line.starts_with("```") && !line.starts_with("@@") => (Side::Both, whole),
            Some(_) | None => break,
        };
        old = old.saturating_sub(usize::from(side != Side::New));
        new = new.saturating_sub(usize::from(side != Side::Old));
        hunk.lines.push((side, content));
        at = next;
    }
    if is_old_bare && hunk.end == End::Kept {
        hunk.end = End::Newline;
    }
    if !hunk.lines.is_empty() {
        hunks.push(hunk);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_begins_a_diff_is_passed() {
        let mut tried = 0;
        for start in [
            "diff --git ",
            "*** Begin Patch",
            "*** Update File: ",
            "*** Add File: ",
            "*** Delete File: ",
            "@@ -1",
            "--- \n+++ ",
        ] {
            for end in ["", "\n", "\r\n", " \n", "\t\n", "\n\n", "\nword\n", "\n@@", "\n--- a\n"] {
                let text = format!("{start}{end}");
                let line = line_at(&text, 0).unwrap();
                assert!(is_diff_start(line, &text, line.len()), "{text:?}");
                assert!(diff(&text, 0).0 >= line.len(), "{text:?}");
                tried += 1;
            }
        }
        assert_eq!(tried, 63);
    }
}
