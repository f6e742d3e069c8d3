//! The edits of a reply → whole new contents, from the content that the model was shown. Pure.
//! **Invariant:** a file that was not shown is never edited: its content is unknown, and so is what the edit would keep.

use crate::rules::blocks::{file_name, language};
use crate::rules::drafts::same;
use crate::rules::edits::{Edit, What};
use crate::rules::fault::{Fault, quote};
use crate::rules::patch::{self, How, Hunk, Mismatch};
use crate::rules::reply::{Expect, could_be, is_odd};
use crate::words::changes::{Change, ChangeSet};
use std::borrow::Cow;

/// Files whose path is searched among those shown; more come without being compared.
const MOST_COMPARED: usize = 2000;

/// Applies edits beside the complete files that `set` holds already, which win.
///
/// # Errors
/// A [`Fault`] that quotes what does not fit.
pub fn amend(edits: Vec<Edit<'_>>, expect: &Expect<'_>, set: &mut ChangeSet) -> Result<(), Fault> {
    let complete = set.changes.len();
    let mut files: Vec<(String, Vec<What<'_>>)> = Vec::new();
    for edit in edits {
        if edit.path.is_none() && complete > 0 {
            note(set, "ignored edits beside complete files".to_owned());
            continue;
        }
        let path = resolve(&edit, expect, set)?;
        let known = files.iter_mut().rev().take(MOST_COMPARED).find(|(known, _)| same(known, &path));
        match known {
            Some((_, parts)) => parts.push(edit.what),
            None => files.push((path, vec![edit.what])),
        }
    }
    files.retain(|(path, _)| {
        let is_complete = set.changes.iter().take(complete.min(MOST_COMPARED)).any(|change| same(change.path(), path));
        if is_complete {
            note(set, "ignored edits beside complete files".to_owned());
        }
        !is_complete
    });
    if let (Some(target), Some((first, _)), 0) = (expect.target, files.first(), complete)
        && !files.iter().any(|(path, _)| same(path, target))
        && !is_odd(first)
    {
        return Err(Fault::OtherFile { asked: target.to_owned(), wrote: quote(first) });
    }
    for (path, parts) in files {
        let changes = one_file(path, &parts, expect, set)?;
        set.changes.extend(changes);
    }
    Ok(())
}

fn note(set: &mut ChangeSet, text: String) {
    if !set.notes.contains(&text) {
        set.notes.push(text);
    }
}

fn shown<'a>(path: &str, expect: &Expect<'a>) -> Option<&'a str> {
    expect.shown.iter().find(|(shown, _)| same(shown, path)).map(|(_, content)| *content)
}

/// Settles which file an edit is about.
fn resolve(edit: &Edit<'_>, expect: &Expect<'_>, set: &mut ChangeSet) -> Result<String, Fault> {
    let Some(path) = edit.path.as_deref() else {
        return match (expect.target, expect.shown) {
            (Some(target), _) => Ok(target.to_owned()),
            (None, [(only, _)]) => Ok((*only).to_owned()),
            (None, _) => by_content(&edit.what, expect),
        };
    };
    let is_new = matches!(edit.what, What::Create(_) | What::Delete | What::Rename { .. });
    if is_new || is_odd(path) || shown(path, expect).is_some() {
        return Ok(path.to_owned());
    }
    let name = file_name(path);
    let mut alike = expect.shown.iter().filter(|(shown, _)| file_name(shown).eq_ignore_ascii_case(name));
    let target = expect.target.filter(|target| same(target, path) || could_be(path, target, expect));
    let meant = match (alike.next(), alike.next()) {
        (Some((shown, _)), None) => *shown,
        (_, _) => match target {
            Some(target) => target,
            // `FILE: Ledger.largest` is what the edit is about, and no file: its lines say which one is meant.
            None if language(path).is_none() => match by_content(&edit.what, expect) {
                Ok(meant) => {
                    note(set, format!("the reply says `{}`; taken as `{meant}`, which holds its lines", quote(path)));
                    return Ok(meant);
                }
                Err(_) => return Ok(path.to_owned()),
            },
            None => return Ok(path.to_owned()),
        },
    };
    if !same(meant, path) {
        note(set, format!("the reply says `{}`; taken as `{meant}`", quote(path)));
    }
    Ok(meant.to_owned())
}

/// The one shown file that holds the lines which an edit without a path looks for.
fn by_content(what: &What<'_>, expect: &Expect<'_>) -> Result<String, Fault> {
    let search: Vec<&str> = match what {
        What::Lines { inner, dividers } => What::split(inner, dividers, None).0,
        What::Hunks(hunks) => hunks.first().map(Hunk::old).unwrap_or_default(),
        What::Text { search, .. } => search.lines().collect(),
        What::Broken => return Err(Fault::Edits),
        What::Create(_) | What::Delete | What::Rename { .. } => Vec::new(),
    };
    let mut holding = expect.shown.iter().filter(|(_, content)| patch::holds(content, &search));
    if let (Some((path, _)), None) = (holding.next(), holding.next()) {
        return Ok((*path).to_owned());
    }
    let first = search.iter().find(|line| !line.trim().is_empty()).copied().unwrap_or("");
    Err(Fault::NoPath { quote: quote(first) })
}

/// Makes the changes of one file.
fn one_file(path: String, parts: &[What<'_>], expect: &Expect<'_>, set: &mut ChangeSet) -> Result<Vec<Change>, Fault> {
    if parts.iter().any(|part| matches!(part, What::Broken)) {
        return Err(Fault::Edits);
    }
    if parts.iter().any(|part| matches!(part, What::Delete)) {
        return Ok(vec![Change::Delete { path }]);
    }
    let content = shown(&path, expect);
    if let [What::Rename { from, hunks }] = parts {
        let Some(content) = shown(from, expect) else { return Err(Fault::Unshown { path: quote(from) }) };
        let content = patched(from, content, hunks, set)?;
        let gone = Change::Delete { path: from.clone().into_owned() };
        return Ok(if same(from, &path) {
            vec![Change::Write { path, content }]
        } else {
            vec![gone, Change::Write { path, content }]
        });
    }
    if let [What::Create(hunks)] = parts {
        if expect.parted.iter().any(|parted| same(parted.path, &path)) {
            return Err(Fault::Parted { path: quote(&path) });
        }
        return Ok(vec![Change::Write { path, content: created(hunks) }]);
    }
    let content = match (content, parts) {
        (Some(content), _) => edited(&path, content, parts, set)?,
        (None, [What::Lines { inner, dividers }]) => match What::split(inner, dividers, None) {
            (search, replace) if is_blank(&search) => created(&[Hunk::from_lines(&[], &replace)]),
            _ => return Err(Fault::Unshown { path: quote(&path) }),
        },
        (None, [What::Text { search, replace }]) if search.trim().is_empty() => replace.clone().into_owned(),
        (None, _) => return Err(Fault::Unshown { path: quote(&path) }),
    };
    Ok(vec![Change::Write { path, content }])
}

fn is_blank(lines: &[&str]) -> bool {
    lines.iter().all(|line| line.trim().is_empty())
}

fn created(hunks: &[Hunk<'_>]) -> String {
    hunks.iter().map(Hunk::new_text).collect()
}

/// Applies all edits of a shown file.
fn edited(path: &str, content: &str, parts: &[What<'_>], set: &mut ChangeSet) -> Result<String, Fault> {
    let mut text = Cow::Borrowed(content);
    let mut hunks = Vec::new();
    for part in parts {
        match part {
            What::Lines { inner, dividers } => {
                let (search, replace) = What::split(inner, dividers, Some(content));
                hunks.push(Hunk::from_lines(&search, &replace));
            }
            What::Hunks(more) | What::Create(more) | What::Rename { hunks: more, .. } => hunks.extend(more.clone()),
            What::Text { search, replace } => {
                let (search, replace) = in_lines(&text, search, replace);
                text = Cow::Owned(patched(path, &text, &[Hunk::new(&search, &replace)], set)?);
            }
            What::Delete | What::Broken => {}
        }
    }
    patched(path, &text, &hunks, set)
}

/// Widens a search that begins or ends inside a line, and stands there once, to whole lines.
fn in_lines<'b>(text: &str, search: &'b str, replace: &'b str) -> (Cow<'b, str>, Cow<'b, str>) {
    let mut found = text.match_indices(search).map(|(at, _)| at);
    let (Some(at), None, false) = (found.next(), found.next(), search.trim().is_empty()) else {
        return (Cow::Borrowed(search), Cow::Borrowed(replace));
    };
    let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let behind = text.get(at + search.len()..).unwrap_or("");
    let is_whole = search.ends_with('\n') && (replace.ends_with('\n') || replace.is_empty());
    let end = if is_whole { 0 } else { behind.find('\n').map_or(behind.len(), |newline| newline + 1) };
    let (head, tail) = (text.get(start..at).unwrap_or(""), behind.get(..end).unwrap_or(""));
    (Cow::Owned([head, search, tail].concat()), Cow::Owned([head, replace, tail].concat()))
}

fn patched(path: &str, content: &str, hunks: &[Hunk<'_>], set: &mut ChangeSet) -> Result<String, Fault> {
    let path = || path.to_owned();
    let (text, found) = patch::apply(content, hunks).map_err(|mismatch| match mismatch {
        Mismatch::Missing { search, nearest } => Fault::EditMissing { path: path(), search: quote(&search), nearest },
        Mismatch::Ambiguous { search, places } => Fault::EditAmbiguous { path: path(), search: quote(&search), places },
        Mismatch::Empty => Fault::EditEmpty { path: path() },
        Mismatch::TooMuch => Fault::Edits,
    })?;
    for how in &found {
        *set.edits.entry(how.name().to_owned()).or_default() += 1;
    }
    for (how, words) in [
        (How::Blanks, "without regard to blanks"),
        (How::Shifted, "with another indentation"),
        (How::Alike, "at lines that are only alike"),
        (How::Again, "once, though it came again"),
    ] {
        let count = found.iter().filter(|other| **other == how).count();
        if count > 0 {
            let what = if count == 1 { "an edit" } else { "edits" };
            set.notes.push(format!("{what} of `{}` applied {words}", path()));
        }
    }
    Ok(text)
}

/// The language of an edit block, when a target asks for a diff as its content.
pub fn is_diff(path: Option<&str>) -> bool {
    path.and_then(language) == Some("diff")
}
