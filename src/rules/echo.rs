//! A block that repeats a part of a file, with changes in it → the edit that the model meant. Pure.
//! Small models that see parts of a file, and are asked for edits, send the parts back instead.
//!
//! **Invariant:** an echo that was cut is none: a block has to begin and end like the part, or end anew behind all of
//! its definitions, and hold most of its lines.

use crate::rules::definition::is_header;
use crate::rules::diff::Side;
use crate::rules::drafts::same;
use crate::rules::edits::{Edit, What};
use crate::rules::parts::{self, indent};
use crate::rules::patch::Hunk;
use crate::rules::reply::Expect;
use crate::words::task::Form;
use std::borrow::Cow;
use std::ops::Range;

/// Lines that may be written anew at the end of a part.
const MOST_AT_THE_END: usize = 3;
/// Places in a block that are tried as the start of the next part.
const MOST_STARTS: usize = 8;

/// A file that the model cannot repeat, only edit.
#[derive(Clone, Copy, Debug)]
pub struct Parted<'a> {
    pub path: &'a str,
    /// The lines that it saw, counted from 0; none when it saw all of them, but bytes of them are no text.
    pub lines: &'a [Range<usize>],
}

/// What a block repeats.
pub struct Echo<'a> {
    pub edit: Edit<'a>,
    /// Whether it changes nothing.
    pub is_quote: bool,
    /// `lines 3 to 9 of a.py`, for the notes.
    pub name: String,
}

/// Finds what a block repeats: parts of a file, or one definition of it.
pub fn any<'a>(body: &'a str, said: Option<&str>, expect: &Expect<'a>) -> Option<Echo<'a>> {
    read(body, said, expect).or_else(|| definition(body, said, expect))
}

/// Finds what a block repeats: parts of the file that it is said to be, else of the one file that it can be about.
fn read<'a>(body: &'a str, said: Option<&str>, expect: &Expect<'a>) -> Option<Echo<'a>> {
    let mut found = expect.parted.iter().filter(|parted| said.is_none_or(|said| same(said, parted.path)));
    let mut echoes = found.by_ref().filter_map(|parted| {
        let (_, content) = expect.shown.iter().find(|(path, _)| same(path, parted.path))?;
        one_file(body, content, parted)
    });
    let echo = echoes.next()?;
    echoes.next().is_none().then_some(echo)
}

/// Reads a block that is one definition of a file, and leaves out the others: where edits were asked for, that is no whole
/// file. One with the decorators that it has in the file, or with none.
fn definition<'a>(body: &'a str, said: Option<&str>, expect: &Expect<'a>) -> Option<Echo<'a>> {
    let said = said.or(expect.target).filter(|_| expect.form == Form::Edits)?;
    let (path, content) = expect.shown.iter().find(|(path, _)| same(path, said))?;
    let (lines, written): (Vec<&str>, Vec<&str>) = (content.lines().collect(), body.lines().collect());
    let (_, written) = bare(&written);
    let at = written.iter().position(|line| is_header(line))?;
    let (above, below) = written.split_at_checked(at)?;
    let (header, below) = below.split_first()?;
    let is_inside = |line: &&&str| indent(line) > indent(header) || line.trim().is_empty() || line.trim().len() < 4;
    if !above.iter().all(|line| line.trim_start().starts_with(['@', '#', '/']))
        || !below.iter().all(|line| is_inside(&line))
    {
        return None;
    }
    let is_same = |line: &&str| is_header(line) && indent(line) == indent(header) && begins_alike(line, header);
    let mut places = lines.iter().enumerate().filter(|(_, line)| is_same(line)).map(|(at, _)| at);
    let (Some(head), None) = (places.next(), places.next()) else { return None };
    let whole = parts::definition(&lines, head);
    let range = if at == 0 { head..whole.end } else { whole.clone() };
    let (_, old) = bare(lines.get(range.clone())?);
    let mut others = lines.iter().enumerate().filter(|(at, line)| is_header(line) && !whole.contains(at));
    let has_all = |header: &&str| written.iter().any(|line| begins_alike(header, line));
    if others.next().is_none() || !old.iter().filter(|line| is_header(line)).all(has_all) {
        return None;
    }
    let hunk = Hunk { line: Some(range.start), ..Hunk::from_lines(old, written) };
    let is_quote = hunk.lines.iter().all(|(side, _)| *side == Side::Both);
    let name = format!("{} of `{path}`", parts::spans(&[range]));
    let edit = Edit { path: Some(Cow::Borrowed(path)), what: What::Hunks(vec![hunk]) };
    Some(Echo { edit, is_quote, name })
}

fn one_file<'a>(body: &'a str, content: &'a str, parted: &Parted<'a>) -> Option<Echo<'a>> {
    if parted.lines.is_empty() {
        return None;
    }
    let lines: Vec<&str> = content.lines().collect();
    let written: Vec<&str> = body.lines().collect();
    let (_, written) = bare(&written);
    let parts: Vec<Part<'_, 'a>> = parted
        .lines
        .iter()
        .map(|range| {
            let (skipped, part) = bare(lines.get(range.clone()).unwrap_or_default());
            Part { start: range.start + skipped, lines: part, file: &lines }
        })
        .collect();
    let mut single = parts.iter().filter_map(|part| Some((part, part.replaced_by(written)?)));
    let pairs = match (single.next(), single.next()) {
        (Some(only), None) => vec![only],
        (Some(_), Some(_)) => return None,
        (None, _) => in_a_row(&parts, written)?,
    };
    let spans: Vec<Range<usize>> = pairs.iter().map(|(part, _)| part.start..part.start + part.lines.len()).collect();
    let name = format!("{} of `{}`", parts::spans(&spans), parted.path);
    let mut hunks: Vec<Hunk<'a>> = pairs.into_iter().map(|(_, hunk)| hunk).collect();
    // A small model loses blank lines as it copies: that is no change that anybody asked for.
    let is_kept = |(side, line): &(Side, &str)| *side == Side::Both || line.trim().is_empty();
    let is_quote = hunks.iter().all(|hunk| hunk.lines.iter().all(is_kept));
    if is_quote {
        for hunk in &mut hunks {
            hunk.lines.retain(|(side, _)| *side != Side::New);
            hunk.lines.iter_mut().for_each(|(side, _)| *side = Side::Both);
        }
    }
    let edit = Edit { path: Some(Cow::Borrowed(parted.path)), what: What::Hunks(hunks) };
    Some(Echo { edit, is_quote, name })
}

/// A part that was shown, without blank lines around it.
struct Part<'b, 'a> {
    start: usize,
    lines: &'b [&'a str],
    file: &'b [&'a str],
}

impl<'a> Part<'_, 'a> {
    /// Returns the edit from this part to what was written for it, if that is the part and not something else.
    fn replaced_by(&self, written: &[&'a str]) -> Option<Hunk<'a>> {
        let (Some(first), Some(last)) = (written.first(), written.last()) else { return None };
        if !self.lines.first().is_some_and(|line| begins_alike(line, first)) {
            return None;
        }
        let hunk = Hunk { line: Some(self.start), ..Hunk::from_lines(self.lines, written) };
        let count =
            |wanted: Side| hunk.lines.iter().filter(|(side, line)| *side == wanted && !line.trim().is_empty()).count();
        let is_most = count(Side::Both) > count(Side::Old);
        let is_end = self.lines.last() == Some(last) || self.ends_anew(&hunk, written);
        (is_most && is_end && !self.repeats_others(&hunk)).then_some(hunk)
    }

    /// Whether new lines define what stands elsewhere in the file, or most of them stand there: then it is more than
    /// this part that was repeated.
    fn repeats_others(&self, hunk: &Hunk<'_>) -> bool {
        let end = self.start + self.lines.len();
        let others = || self.file.iter().enumerate().filter(|(at, _)| *at < self.start || *at >= end);
        let new = hunk.lines.iter().filter(|(side, line)| *side == Side::New && !line.trim().is_empty());
        let new: Vec<&str> = new.map(|(_, line)| *line).collect();
        let is_defined = |line: &&str| others().any(|(_, other)| is_header(other) && begins_alike(other, line));
        let n_repeated = new.iter().filter(|line| others().any(|(_, other)| other == *line)).count();
        n_repeated * 2 > new.len().max(3) || new.iter().filter(|line| is_header(line)).any(is_defined)
    }

    /// Whether the last lines were written anew: a few, by others in their place, and no definition is missing.
    fn ends_anew(&self, hunk: &Hunk<'_>, written: &[&str]) -> bool {
        let end = hunk.lines.iter().rev().take_while(|(side, _)| *side != Side::Both);
        let end: Vec<Side> = end.map(|(side, _)| *side).collect();
        let n_old = end.iter().filter(|side| **side == Side::Old).count();
        let mut headers = self.lines.iter().filter(|line| is_header(line)).peekable();
        headers.peek().is_some()
            && headers.all(|header| written.iter().any(|line| begins_alike(header, line)))
            && n_old < end.len()
            && n_old <= MOST_AT_THE_END
    }
}

/// Reads a block that holds several parts, one behind the other.
fn in_a_row<'b, 'a>(parts: &'b [Part<'b, 'a>], written: &[&'a str]) -> Option<Vec<(&'b Part<'b, 'a>, Hunk<'a>)>> {
    let (mut rest, mut pairs) = (written, Vec::new());
    let first = parts.iter().position(|part| part.lines.first() == written.first())?;
    let mut parts = parts.iter().skip(first).peekable();
    while let Some(part) = parts.next().filter(|_| !rest.is_empty()) {
        let following = parts.peek().and_then(|part| part.lines.first());
        let starts = rest.iter().enumerate().skip(1).filter(|(_, line)| Some(*line) == following);
        let ends = starts.map(|(at, _)| at).take(MOST_STARTS).chain([rest.len()]);
        let mut fitting = ends.filter_map(|end| Some((end, part.replaced_by(bare(rest.get(..end)?).1)?)));
        let (end, hunk) = fitting.next()?;
        pairs.push((part, hunk));
        rest = rest.get(end..).unwrap_or_default();
    }
    rest.is_empty().then_some(pairs)
}

/// Whether two lines are the same, or the heads of one definition with other parameters.
fn begins_alike(old: &str, new: &str) -> bool {
    let head = |line: &str| line.split(['(', ':', '{', '<']).next().unwrap_or_default().trim_end().to_owned();
    old == new || (is_header(old) && is_header(new) && head(old) == head(new))
}

/// Takes blank lines off both ends; says how many at the start.
fn bare<'b, 'a>(lines: &'b [&'a str]) -> (usize, &'b [&'a str]) {
    let is_text = |line: &&str| !line.trim().is_empty();
    let start = lines.iter().position(is_text).unwrap_or(lines.len());
    let end = lines.iter().rposition(is_text).map_or(start, |last| last + 1);
    (start, lines.get(start..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::reply::{Fault, parse};
    use crate::words::changes::Change;

    const FILE: &str = "import re\n\nLIMIT = 3\n\n\n@cached\ndef first(text):\n    words = text.split()\n    \
        if not words:\n        return None\n    return words[0]\n\n\ndef other():\n    pass\n\n\ndef last(text):\n    \
        words = text.split()\n    count = len(words)\n    if count > LIMIT:\n        return words[LIMIT]\n    \
        return words[count]\n";
    const SEEN: [Range<usize>; 2] = [5..11, 17..23];

    /// What a reply makes of the file, and what it says of it; or the fault.
    fn comes_to(reply: &str) -> Result<(String, Vec<String>), Fault> {
        let parted = [Parted { path: "a.py", lines: &SEEN }];
        let set =
            parse(reply, &Expect { target: None, shown: &[("a.py", FILE)], parted: &parted, ..Expect::default() })?;
        let [Change::Write { content, .. }] = set.changes.as_slice() else { panic!("{set:?}") };
        Ok((content.clone(), set.notes))
    }

    fn part(number: usize) -> String {
        let lines: Vec<&str> = FILE.lines().collect();
        lines[SEEN[number].clone()].join("\n")
    }

    #[test]
    fn a_block_that_repeats_a_part_is_an_edit_of_it() {
        let (first, last) = (part(0), part(1));
        let say =
            |lines: &str| vec![format!("a block that repeats lines {lines} of `a.py` is taken as an edit of them")];
        let fixed = last.replace("words[count]", "words[count - 1]");
        let guarded = first.replace("        return None", "        raise ValueError(text)");
        let wider = last.replace("last(text)", "last(text, limit=LIMIT)").replace("count > LIMIT", "count > limit");
        let alone = |new: &str| FILE.replace(&last, new);
        let more = format!("{fixed}\n\n\ndef more():\n    pass");
        for (reply, after, notes) in [
            (format!("FILE: a.py\n```python\n{more}\n```\n"), alone(&more), say("18 to 23")),
            (format!("FILE: a.py\n```python\n{fixed}\n```\n"), alone(&fixed), say("18 to 23")),
            (format!("Lines 18 to 23:\n```python\n\n{fixed}\n\n```\n"), alone(&fixed), say("18 to 23")),
            (format!("FILE: a.py\n```python\n{wider}\n```\n"), alone(&wider), say("18 to 23")),
            (
                format!(
                    "FILE: a.py\n\nLines 6 to 11:\n```python\n{first}\n```\n\nLines 18 to 23:\n```python\n{fixed}\n```\n"
                ),
                alone(&fixed),
                say("18 to 23"),
            ),
            (
                format!("FILE: a.py\n```python\n{guarded}\n\n\n{fixed}\n```\n"),
                alone(&fixed).replace(&first, &guarded),
                say("6 to 11 and 18 to 23"),
            ),
            (
                format!(
                    "FILE: a.py\n```\n{first}\n```\n```\n<<<<<<< SEARCH\n    return words[count]\n=======\n    return 1\n>>>>>>> REPLACE\n```\n"
                ),
                FILE.replace("return words[count]", "return 1"),
                vec![],
            ),
        ] {
            assert_eq!(comes_to(&reply), Ok((after, notes)), "{reply}");
        }
    }

    #[test]
    fn an_echo_that_was_cut_or_is_another_thing_is_none() {
        let (first, last) = (part(0), part(1));
        let lines: Vec<&str> = last.lines().collect();
        let fault = Err(Fault::Parted { path: "a.py".to_owned() });
        for body in [
            lines[..4].join("\n"),
            lines[..5].join("\n"),
            lines[1..].join("\n"),
            format!("{}\n{}", lines[0], lines[5]),
            last.replace("def last", "def final"),
            format!("{first}\n\n\n{}", lines[..3].join("\n")),
            "def other():\n    return 1".to_owned(),
            FILE.replace("words[count]", "1"),
        ] {
            let reply = format!("FILE: a.py\n```python\n{body}\n```\n");
            assert_eq!(comes_to(&reply), fault, "{reply}");
        }
        let open = format!("FILE: a.py\n```python\n{}", last.replace("words[count]", "1"));
        assert_eq!(comes_to(&open), fault);
    }

    #[test]
    fn some_of_many_parts_in_a_row_are_an_edit_of_them() {
        let file = "A = 1\nB = 2\nC = 3\n\n\ndef f():\n    a = 1\n    b = 2\n    return a\n\n\nX = 1\nY = 2\nZ = 3\nV = 4\nW = 5\n";
        let parted = [Parted { path: "a.py", lines: &[0..2, 5..9, 11..16] }];
        let read = |body: &str| {
            let reply = format!("FILE: a.py\n```python\n{body}\n```\n");
            let set = parse(
                &reply,
                &Expect { target: None, shown: &[("a.py", file)], parted: &parted, ..Expect::default() },
            )?;
            let [Change::Write { content, .. }] = set.changes.as_slice() else { panic!("{set:?}") };
            Ok(content.clone())
        };
        let f = "def f():\n    a = 1\n    b = 2\n    return a";
        let sum = f.replace("return a", "return a + b");
        let after = Ok(file.replace(f, &sum));
        assert_eq!(read(&format!("A = 1\nB = 2\n\n{sum}")), after);
        assert_eq!(read(&format!("{sum}\n\nX = 1\nY = 2\nZ = 3\nV = 4\nW = 5")), after);
        assert_eq!(read(&format!("A = 1\nB = 2\n{sum}\nX = 1\nY = 2\nZ = 3\nV = 4\nW = 5")), after);
        let fault = Err(Fault::Parted { path: "a.py".to_owned() });
        assert_eq!(read(&format!("{sum}\n\nX = 1\nY = 2\nZ = 3")), fault, "the last part is cut");
    }

    #[test]
    fn a_reply_that_repeats_all_and_changes_nothing_says_so() {
        let reply = format!("FILE: a.py\n```python\n{}\n```\n\n```python\n{}\n```\n", part(0), part(1));
        assert_eq!(comes_to(&reply), Ok((FILE.to_owned(), vec![])));
        let gaps = FILE.lines().skip(5).take(18).filter(|line| !line.is_empty() && !line.contains("other"));
        let gaps: Vec<&str> = gaps.filter(|line| !line.ends_with("pass")).collect();
        let reply = format!("FILE: a.py\n```python\n{}\n```\n", gaps.join("\n").replace("    words", "\n    words"));
        assert_eq!(comes_to(&reply), Ok((FILE.to_owned(), vec![])), "{reply}");
    }

    #[test]
    fn a_definition_alone_is_an_edit_of_it_where_edits_were_asked_for() {
        let read = |form, body: &str| {
            let reply = format!("FILE: a.py\n```python\n{body}\n```\n");
            let set =
                parse(&reply, &Expect { target: Some("a.py"), shown: &[("a.py", FILE)], form, ..Expect::default() })?;
            let [Change::Write { content, .. }] = set.changes.as_slice() else { panic!("{set:?}") };
            Ok::<String, Fault>(content.clone())
        };
        let (first, other) = (part(0), "def other():\n    pass");
        let bare = first.strip_prefix("@cached\n").unwrap();
        let done = other.replace("pass", "return 1");
        assert_eq!(read(Form::Edits, &done), Ok(FILE.replace(other, &done)));
        assert_eq!(read(Form::Whole, &done), Ok(format!("{done}\n")));
        for old in [first.as_str(), bare] {
            let new = old.replace("words[0]", "words[1]");
            assert_eq!(read(Form::Edits, &new), Ok(FILE.replace(old, &new)), "{new}");
        }
        assert_eq!(read(Form::Edits, other), Ok(FILE.to_owned()), "a quote changes nothing");
        for whole in [format!("import re\n\n\n{done}"), format!("{done}\n\n\ndef new():\n    pass")] {
            assert_eq!(read(Form::Edits, &whole), Ok(format!("{whole}\n")));
        }
    }
}
