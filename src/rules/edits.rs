//! Edit blocks and diffs in a model's text. Pure, linear time. Not where they apply: that is `patch.rs`.
//!
//! ```text
//! edit  := "<<<<<<< SEARCH" lines "=======" lines ">>>>>>> REPLACE"       also ORIGINAL, UPDATED, "------- SEARCH"
//! diff  := ( "diff --git" | "--- a" "+++ b" | "@@ -1,2 +1,3 @@" | "*** Begin Patch" … ) and all that belongs to it
//! loose := a ```diff block of lines with `+` and `-`, without any header; also an edit without a divider
//! ```
//!
//! Edits are lifted out of the text before its blocks are looked for, since they may hold fences themselves. Each leaves
//! a mark, so that the text around it names its file as it names a block's. **Invariant:** what is not an edit stays
//! byte for byte; a mark in a block with other lines is content, and is put back ([`restored`]).

use crate::rules::blocks;
use crate::rules::diff::Side;
use crate::rules::hunks::{diff, is_diff_start};
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

/// Reads the lines of a block of the language `diff` that has no header.
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
        part(if dividers.len() > 1 { dividers.iter().rfind(stands).copied().unwrap_or(first) } else { first })
    }
}

/// Some models put a fence around each half.
fn unfenced<'b, 'a>(lines: &'b [&'a str]) -> &'b [&'a str] {
    match lines {
        [first, inner @ .., last] if first.trim().starts_with("```") && last.trim() == "```" => inner,
        lines => lines,
    }
}

/// Returns the line that begins there, with its newline.
pub fn line_at(text: &str, at: usize) -> Option<&str> {
    text.get(at..)?.split_inclusive('\n').next()
}

/// Takes the newline off.
pub fn bare(line: &str) -> &str {
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
        let body = text.get(from..at).unwrap_or("");
        at += line.len();
        if is_closing(line) && !dividers.is_empty() {
            return (at, vec![Edit { path, what: What::Lines { inner, dividers } }]);
        }
        // Without a divider, the signs of a diff tell the old lines from the new ones.
        let has = |sign: char| inner.iter().any(|line: &&str| line.starts_with(sign));
        if is_closing(line)
            && has('-')
            && has('+')
            && let Some(what) = loose(body)
        {
            return (at, vec![Edit { path, what }]);
        }
        if is_divider(line) && dividers.len() < MOST_DIVIDERS {
            dividers.push(inner.len());
        }
        // Line numbers that some formats put before the search.
        let is_number = inner.is_empty() && (line.starts_with(":start_line:") || line.starts_with(":end_line:"));
        let is_rule = inner.is_empty() && bare(line) == "-------";
        if !is_number && !is_rule {
            inner.push(bare(line));
        }
        if inner.len() > MOST_LINES {
            break;
        }
    }
    (at, vec![Edit { path, what: What::Broken }])
}
