//! Edit blocks and diffs in a model's text. Pure, linear time. Not where they apply: that is `patch.rs`.
//!
//! ```text
//! edit  := "<<<<<<< SEARCH" lines "=======" lines ">>>>>>> REPLACE"       also ORIGINAL, UPDATED, "------- SEARCH"
//! diff  := ( "diff --git" | "--- a" "+++ b" | "@@ -1,2 +1,3 @@" | "*** Begin Patch" … ) and all that belongs to it
//! loose := a ```diff block of lines with `+` and `-`, without any header
//! ```
//!
//! Edits are lifted out of the text before its blocks are looked for, since they may hold fences themselves. Each leaves
//! a mark, so that the text around it names its file as it names a block's. **Invariant:** what is not an edit stays
//! byte for byte; a mark in a block with other lines is content, and is put back ([`restored`]).

use crate::rules::blocks;
use crate::rules::diff::Side;
use crate::rules::patch::{End, Hunk, holds};
use std::borrow::Cow;

/// Lines of edits in one reply.
const MOST_LINES: usize = 100_000;
/// Edits and hunks in one reply.
const MOST_EDITS: usize = 2000;
/// Rows of `=` in an edit that are tried as the divider.
const MOST_DIVIDERS: usize = 8;
const MARK: &str = "\u{0}edit ";

/// One edit, or all of a diff about one file.
#[derive(Clone, Debug)]
pub struct Edit<'a> {
    /// As the edit itself says; `None`: what stands around it says it.
    pub path: Option<Cow<'a, str>>,
    pub what: What<'a>,
}

#[derive(Clone, Debug)]
pub enum What<'a> {
    /// The lines between the outer markers, and which of them may be the divider.
    Lines {
        inner: Vec<&'a str>,
        dividers: Vec<usize>,
    },
    /// Text that may begin and end inside a line.
    Text {
        search: Cow<'a, str>,
        replace: Cow<'a, str>,
    },
    Hunks(Vec<Hunk<'a>>),
    /// A new file.
    Create(Vec<Hunk<'a>>),
    Delete,
    /// The path is that of the new name.
    Rename {
        from: Cow<'a, str>,
        hunks: Vec<Hunk<'a>>,
    },
    /// It begins like an edit and does not end like one.
    Broken,
}

/// A text without its edits.
pub struct Lifted<'a> {
    pub text: Cow<'a, str>,
    /// The edits of each mark, and the text that stood there.
    pub edits: Vec<(Vec<Edit<'a>>, &'a str)>,
}

impl Lifted<'_> {
    /// Takes nothing out.
    pub fn none(text: &str) -> Lifted<'_> {
        Lifted { text: Cow::Borrowed(text), edits: Vec::new() }
    }
}

/// Takes all edits out of a text. With more of them than is sensible, the rest is [`What::Broken`].
pub fn lift(text: &str) -> Lifted<'_> {
    let mut lifted = Lifted { text: Cow::Borrowed(text), edits: Vec::new() };
    if text.contains(MARK) {
        return lifted;
    }
    let (mut out, mut kept, mut at, mut lines, mut count) = (String::new(), 0, 0, 0, 0);
    while let Some(line) = line_at(text, at) {
        let start = at;
        at += line.len();
        let (end, edits) = if let Some(path) = opening(line) {
            search_replace(text, at, path)
        } else if is_diff_start(line, text, at) {
            diff(text, start)
        } else {
            continue;
        };
        let region = text.get(start..end).unwrap_or("");
        lines += region.lines().count();
        count += edits.iter().map(|edit| edit.what.hunks().max(1)).sum::<usize>();
        let broken = || vec![Edit { path: None, what: What::Broken }];
        let edits = if lines > MOST_LINES || count > MOST_EDITS { broken() } else { edits };
        out.extend([text.get(kept..start).unwrap_or(""), MARK, &lifted.edits.len().to_string(), "\n"]);
        lifted.edits.push((edits, region));
        (kept, at) = (end, end);
    }
    if !lifted.edits.is_empty() {
        out.push_str(text.get(kept..).unwrap_or(""));
        lifted.text = Cow::Owned(out);
    }
    lifted
}

/// Returns the number of the edits that a line stands for.
pub fn marked(line: &str) -> Option<usize> {
    line.trim().strip_prefix(MARK)?.parse().ok()
}

/// Puts the text of lifted edits back.
pub fn restored<'b>(body: &'b str, lifted: &Lifted<'_>) -> Cow<'b, str> {
    if !body.contains(MARK) {
        return Cow::Borrowed(body);
    }
    let pieces = body
        .split_inclusive('\n')
        .map(|line| marked(line).and_then(|number| lifted.edits.get(number)).map_or(line, |(_, region)| *region));
    Cow::Owned(pieces.collect())
}

/// Whether a body is nothing but edits, beside lines that name files.
pub fn is_all_edits(body: &str) -> bool {
    let mut lines = body.lines().filter(|line| !line.trim().is_empty()).peekable();
    let is_comment = |line: &str| line.trim_start().starts_with(['#', '/', '<', ';', '-', '.']);
    lines.peek().is_some()
        && body.contains(MARK)
        && lines.all(|line| marked(line).is_some() || blocks::label(line, true).is_some() || is_comment(line))
}

/// Reads the lines of a ```diff block that has no header.
pub fn loose(body: &str) -> Option<What<'_>> {
    let is_marked = |line: &&str| line.starts_with(['+', '-']);
    if body.lines().count() > MOST_LINES || !body.lines().any(|line| is_marked(&line)) {
        return None;
    }
    // Whoever forgets the blank before one line that stays forgets it before all.
    let is_bare = body.lines().any(|line| !line.is_empty() && !line.starts_with([' ', '+', '-', '\\']));
    let lines = body.lines().filter(|line| !line.starts_with('\\')).map(|line| match line.as_bytes().first() {
        Some(b'+') => (Side::New, line.get(1..).unwrap_or("")),
        Some(b'-') => (Side::Old, line.get(1..).unwrap_or("")),
        Some(b' ') if !is_bare => (Side::Both, line.get(1..).unwrap_or("")),
        Some(_) | None => (Side::Both, line),
    });
    Some(What::Hunks(vec![Hunk { lines: lines.collect(), line: None, end: End::Kept }]))
}

impl<'a> What<'a> {
    fn hunks(&self) -> usize {
        match self {
            What::Hunks(hunks) | What::Create(hunks) | What::Rename { hunks, .. } => hunks.len(),
            What::Lines { .. } | What::Text { .. } | What::Delete | What::Broken => 1,
        }
    }

    /// Splits the lines of an edit at the divider that gives a search which stands in the file.
    pub fn split(inner: &[&'a str], dividers: &[usize], content: Option<&str>) -> (Vec<&'a str>, Vec<&'a str>) {
        let part = |divider: usize| {
            let (search, replace) = inner.split_at(divider.min(inner.len()));
            (unfenced(search).to_vec(), unfenced(replace.get(1..).unwrap_or_default()).to_vec())
        };
        let stands = |divider: &&usize| content.is_some_and(|content| holds(content, &part(**divider).0));
        let first = dividers.first().copied().unwrap_or(0);
        part(if dividers.len() > 1 { dividers.iter().find(stands).copied().unwrap_or(first) } else { first })
    }
}

/// Some models put a fence around each half.
fn unfenced<'b, 'a>(lines: &'b [&'a str]) -> &'b [&'a str] {
    match lines {
        [first, inner @ .., last] if first.trim().starts_with("```") && last.trim() == "```" => inner,
        lines => lines,
    }
}

fn line_at(text: &str, at: usize) -> Option<&str> {
    text.get(at..)?.split_inclusive('\n').next()
}

fn bare(line: &str) -> &str {
    line.strip_suffix('\n').unwrap_or(line)
}

/// Takes a run of at least five of a mark off the start of a line.
fn marker(line: &str, mark: char) -> Option<&str> {
    let line = line.trim();
    let rest = line.trim_start_matches(mark);
    (5..=12).contains(&(line.len() - rest.len())).then(|| rest.trim())
}

/// `Some` when a line opens an edit; what stands behind the word may be its path.
fn opening(line: &str) -> Option<&str> {
    let rest = marker(line, '<').or_else(|| marker(line, '-'))?;
    ["SEARCH", "ORIGINAL", "search", "Search"].iter().find_map(|word| {
        let rest = rest.strip_prefix(word)?;
        (rest.is_empty() || rest.starts_with([' ', ':', '>'])).then(|| rest.trim_matches([' ', ':', '>', '`']))
    })
}

fn is_divider(line: &str) -> bool {
    marker(line, '=').is_some_and(str::is_empty)
}

fn is_closing(line: &str) -> bool {
    let rest = ['>', '+', '<'].iter().find_map(|mark| marker(line, *mark));
    rest.is_some_and(|rest| ["REPLACE", "UPDATED", "replace", "Replace"].iter().any(|word| rest.starts_with(word)))
}

/// Reads to the end of an edit, and at most to the next one.
fn search_replace<'a>(text: &'a str, from: usize, path: &'a str) -> (usize, Vec<Edit<'a>>) {
    let (mut inner, mut dividers, mut at) = (Vec::new(), Vec::new(), from);
    let path = Some(path).filter(|path| path.contains('.') || path.contains('/')).map(Cow::Borrowed);
    while let Some(line) = line_at(text, at).filter(|line| opening(line).is_none()) {
        at += line.len();
        if is_closing(line) && !dividers.is_empty() {
            return (at, vec![Edit { path, what: What::Lines { inner, dividers } }]);
        }
        if is_divider(line) && dividers.len() < MOST_DIVIDERS {
            dividers.push(inner.len());
        }
        // Line numbers that some formats put before the search.
        let is_number = inner.is_empty() && (line.starts_with(":start_line:") || line.starts_with(":end_line:"));
        if !is_number && !(inner.is_empty() && bare(line) == "-------") {
            inner.push(bare(line));
        }
        if inner.len() > MOST_LINES {
            break;
        }
    }
    (at, vec![Edit { path, what: What::Broken }])
}

fn is_range(line: &str) -> bool {
    line.strip_prefix("@@ -").is_some_and(|rest| rest.starts_with(|char: char| char.is_ascii_digit()))
}

fn is_header(line: &str, text: &str, next: usize) -> bool {
    line.starts_with("--- ") && line_at(text, next).is_some_and(|line| line.starts_with("+++ "))
}

fn is_diff_start(line: &str, text: &str, next: usize) -> bool {
    line.starts_with("diff --git ")
        || line.starts_with("*** Begin Patch")
        || ["*** Update File: ", "*** Add File: ", "*** Delete File: "].iter().any(|start| line.starts_with(start))
        || is_range(line)
        || is_header(line, text, next)
}

/// What a diff has said of one file so far.
#[derive(Default)]
struct About<'a> {
    old: Option<&'a str>,
    new: Option<&'a str>,
    /// `rename from`, or the file that is moved.
    from: Option<&'a str>,
    is_deleted: bool,
    is_new: bool,
    is_broken: bool,
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
        let (path, what) = if about.is_broken {
            (named(about.new), What::Broken)
        } else if about.is_deleted || is_null(about.new) {
            (named(about.old), What::Delete)
        } else if let Some(from) = about.from {
            (named(about.new), What::Rename { from: Cow::Borrowed(from), hunks })
        } else if about.is_new || is_null(about.old) {
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

/// Reads a diff of one or several files; returns where it ends.
fn diff(text: &str, from: usize) -> (usize, Vec<Edit<'_>>) {
    let (mut edits, mut about, mut at) = (Vec::new(), About::default(), from);
    while let Some(line) = line_at(text, at) {
        let next = at + line.len();
        let bare = bare(line).trim_end();
        let after = |start: &str| bare.strip_prefix(start).map(header_path);
        if is_header(line, text, next) {
            if about.old.is_some() || !about.hunks.is_empty() {
                about.finish(&mut edits);
            }
            let new = line_at(text, next).unwrap_or("");
            (about.old, about.new) = (after("--- "), new.strip_prefix("+++ ").map(header_path));
            at = next + new.len();
            continue;
        } else if line.starts_with("@@") {
            at = hunk(text, next, start_of(line), &mut about.hunks);
            continue;
        } else if let Some(names) = after("diff --git ") {
            about.finish(&mut edits);
            // The names are only read here when nothing else names them; blanks in them are told by their halves.
            let half = names.len() / 2;
            (about.old, about.new) = (None, names.get(half + 1..).filter(|new| new.starts_with("b/")));
            about.old = about.new.and(names.get(..half));
            at = next;
            let is_more = line_at(text, next).is_some_and(|line| is_header(line, text, next + line.len()));
            if is_more {
                (about.old, about.new) = (None, None);
            }
            continue;
        } else if let Some(path) = after("rename from ") {
            about.from = Some(path);
        } else if let Some(path) = after("rename to ").or_else(|| after("*** Move to: ")) {
            about.from = about.from.or(about.new);
            about.new = Some(path);
        } else if let Some(path) = after("*** Update File: ") {
            about.finish(&mut edits);
            (about.old, about.new) = (Some(path), Some(path));
        } else if let Some(path) = after("*** Add File: ") {
            about.finish(&mut edits);
            (about.new, about.is_new) = (Some(path), true);
        } else if let Some(path) = after("*** Delete File: ") {
            about.finish(&mut edits);
            (about.old, about.is_deleted) = (Some(path), true);
        } else if line.starts_with("deleted file mode ") {
            about.is_deleted = true;
        } else if line.starts_with("new file mode ") {
            about.is_new = true;
        } else if line.starts_with("Binary files ") || line.starts_with("GIT binary patch") {
            about.is_broken = true;
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
