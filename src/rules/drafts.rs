//! Which blocks of a reply are files, which are edits or commands, and which only talk about them. Pure.
//! Not the choice between several blocks for one path: that is `reply.rs`.

use crate::rules::blocks::{self, Block, Ending, Strength, canonical, language};
use crate::rules::echo;
use crate::rules::edits::{self, Edit, Lifted, What};
use crate::rules::fault::{Fault, quote};
use crate::rules::reply::Expect;
use crate::rules::sorted::sorted;
use crate::words::changes::{Change, ChangeSet};
use std::borrow::Cow;

/// Bounds of what is kept from around the files.
pub const MAX_SUMMARY_BYTES: usize = 2000;
pub const MAX_COMMANDS: usize = 20;
/// How many blocks without a path are compared with files, so that the time stays linear.
const MAX_COMPARED: usize = 50;

/// A file in a reply, before one is chosen for each path.
pub struct Draft<'a> {
    /// `None`: to be given the target.
    pub path: Option<Cow<'a, str>>,
    pub strength: Strength,
    pub content: Cow<'a, str>,
    pub ending: Ending,
}

/// Sorts the blocks into files, commands and the rest, and collects what stands around them.
///
/// # Errors
/// [`Fault::NoPath`] for a block that may be one of several files.
pub fn from_blocks<'a>(
    blocks: &'a [Block<'a>],
    tail: &'a str,
    lifted: &Lifted<'a>,
    expect: &Expect<'a>,
    set: &mut ChangeSet,
) -> Result<(Vec<Draft<'a>>, Vec<Edit<'a>>), Fault> {
    let (mut drafts, mut unnamed, mut edits) =
        (Vec::new(), Vec::new(), Edits { lifted, found: Vec::new(), last: None });
    let mut quotes = Vec::new();
    for (number, block) in blocks.iter().enumerate() {
        edits.take(block.lead, None, expect);
        let path = block.path.filter(|(path, strength)| match strength {
            Strength::Strong => !path.contains(' ') || expect.knows(path),
            Strength::Weak => fits(block.language, path),
        });
        let is_diff_asked = path.map(|(path, _)| path).or(expect.target).and_then(language) == Some("diff");
        if !is_diff_asked && edits::is_all_edits(&block.body) {
            if let Cow::Borrowed(body) = &block.body {
                edits.take(body, path.map(|(path, _)| path), expect);
            }
        } else if !is_diff_asked && let Some(what) = loose(block) {
            edits.add(path.map(|(path, _)| path), Edit { path: None, what });
        } else if let Some(echo) = (number < MAX_COMPARED && block.ending == Ending::Closed)
            .then(|| echo::any(&block.body, path.map(|(path, _)| path), expect))
            .flatten()
        {
            if echo.is_quote {
                quotes.push(echo.edit);
            } else {
                set.notes.push(format!("a block that repeats {} is taken as an edit of them", echo.name));
                edits.found.push(echo.edit);
            }
        } else if let Some((path, strength)) = path {
            let content = Cow::Borrowed(block.body.as_ref());
            drafts.push(Draft { path: Some(Cow::Borrowed(path)), strength, content, ending: block.ending });
        } else if is_shell(block.language) && !expect.target.is_some_and(|target| fits(block.language, target)) {
            commands_in(&block.body, &mut set.commands);
        } else {
            unnamed.push(block);
        }
    }
    edits.take(tail, None, expect);
    let pieces = blocks.iter().map(|block| block.lead).chain([tail]);
    // Beside the file that was asked for, a line that deletes is a mistake; alone, it is the answer.
    let may_delete = expect.target.is_none() || (drafts.is_empty() && unnamed.is_empty());
    let mut deleted = summarise(pieces, &mut set.summary);
    if let (Some(target), false) = (expect.target, may_delete) {
        let other = format!("only `{target}` was asked for");
        let why = |path: &str| if same(path, target) { "its content came too" } else { other.as_str() };
        let ignored = deleted.drain(..).map(|path| format!("`{}` is not deleted: {}", quote(&path), why(&path)));
        set.notes.extend(ignored);
    }
    let is_named = |target| drafts.iter().any(|draft| draft.path.as_deref().is_some_and(|path| same(path, target)));
    match expect.target {
        Some(target) if is_named(target) => {}
        Some(target) => {
            let draft = |block: &&'a Block<'a>| Draft {
                path: None,
                strength: Strength::Weak,
                content: Cow::Borrowed(block.body.as_ref()),
                ending: block.ending,
            };
            let mut likely = likely(&unnamed, target, expect);
            if !edits.found.is_empty() && likely.len() <= MAX_COMPARED {
                likely.retain(|block| !is_quote(&block.body, expect));
            }
            drafts.extend(likely.iter().map(draft));
        }
        None => {
            let mut numbered = unnamed.iter().enumerate();
            let lost = numbered.find(|(number, block)| {
                let is_used = !edits.found.is_empty() && is_usage_lead(block);
                *number >= MAX_COMPARED || !(is_used || is_aside(block, expect, &drafts))
            });
            if let Some((_, block)) = lost {
                return Err(Fault::NoPath { quote: first_line(&block.body) });
            }
        }
    }
    for path in deleted {
        if !drafts.iter().any(|draft| draft.path.as_deref().is_some_and(|other| same(other, &path))) {
            set.changes.push(Change::Delete { path });
        }
    }
    // A reply that only repeats what was shown changes nothing, and is not one without files.
    if drafts.is_empty() && edits.found.is_empty() && set.changes.is_empty() {
        edits.found = quotes;
    }
    Ok((drafts, edits.found))
}

/// The edits of a reply, each with the path that stands before it.
struct Edits<'b, 'a> {
    lifted: &'b Lifted<'a>,
    found: Vec<Edit<'a>>,
    /// The path of the edit before: the next ones without a path are about the same file.
    last: Option<&'a str>,
}

impl<'a> Edits<'_, 'a> {
    /// Takes the edits whose marks stand in a piece of text that is known to be about `path`.
    fn take(&mut self, piece: &'a str, path: Option<&'a str>, expect: &Expect<'_>) {
        let (mut from, mut at) = (0, 0);
        for line in piece.split_inclusive('\n') {
            let number = edits::marked(line);
            if let Some((edits, _)) = number.and_then(|number| self.lifted.edits.get(number)) {
                let said = piece.get(from..at).and_then(blocks::path_in_lead).map(|(path, _)| path);
                let said = said.filter(|path| !path.contains(' ') || expect.knows(path));
                let edits = edits.clone();
                for edit in edits {
                    self.add(said.or(path), edit);
                }
                from = at + line.len();
            }
            at += line.len();
        }
    }

    fn add(&mut self, said: Option<&'a str>, mut edit: Edit<'a>) {
        if edit.path.is_none() {
            self.last = said.or(self.last);
            edit.path = self.last.map(Cow::Borrowed);
        } else {
            self.last = None;
        }
        self.found.push(edit);
    }
}

/// Reads a block that is a diff without a header, or that begins like edits and is none that could be read.
fn loose<'a>(block: &'a Block<'_>) -> Option<What<'a>> {
    let is_diff = canonical(block.language) == "diff";
    is_diff.then(|| edits::loose(&block.body)).flatten().or_else(|| is_edit(&block.body).then_some(What::Broken))
}

/// Of the blocks without a path those that may be the file that was asked for.
fn likely<'a>(unnamed: &[&'a Block<'a>], target: &str, expect: &Expect<'_>) -> Vec<&'a Block<'a>> {
    let mut left = unnamed.to_vec();
    let wanted = language(target);
    let is_output = |block: &Block<'_>| matches!(block.language, "text" | "output" | "plaintext" | "console" | "txt");
    let mut prefer = |keep: &dyn Fn(&Block<'_>) -> bool| {
        let kept: Vec<_> = left.iter().copied().filter(|block| keep(block)).collect();
        if !kept.is_empty() {
            left = kept;
        }
    };
    prefer(&|block| wanted == Some("text") || !is_output(block));
    prefer(&|block| wanted.is_none() || wanted == Some(canonical(block.language)));
    prefer(&|block| !is_usage_lead(block));
    if unnamed.len() <= MAX_COMPARED {
        prefer(&|block| !is_quote(&block.body, expect));
    }
    prefer(&|block| block.ending == Ending::Closed);
    left
}

/// Whether a block without a path beside files that have one is no file: a quote, an output, a use of the result.
fn is_aside(block: &Block<'_>, expect: &Expect<'_>, drafts: &[Draft<'_>]) -> bool {
    let is_output = matches!(block.language, "output" | "console" | "text" | "plaintext" | "txt");
    let body = block.body.trim();
    let is_part = || drafts.iter().any(|draft| draft.content.contains(body));
    body.is_empty()
        || is_output
        || is_quote(body, expect)
        || (!drafts.is_empty() && (is_usage_lead(block) || is_part()))
}

fn is_usage_lead(block: &Block<'_>) -> bool {
    block.lead.lines().rfind(|line| !line.trim().is_empty()).is_some_and(blocks::is_usage)
}

/// Whether a block only repeats what the model was shown.
fn is_quote(body: &str, expect: &Expect<'_>) -> bool {
    expect.shown.iter().any(|(_, content)| content.contains(body.trim()))
}

fn is_shell(language: &str) -> bool {
    matches!(canonical(language), "bash" | "powershell")
        || ["console", "terminal", "shell-session", "shellsession", "sh-session", "cmd", "bat", "batch"]
            .contains(&language)
}

/// Whether a block of this language can be this file, where only a mention or the task connects them.
fn fits(block_language: &str, path: &str) -> bool {
    match language(path) {
        Some(wanted) if is_shell(block_language) => wanted == canonical(block_language),
        Some("markdown" | "text") | None => true,
        Some(wanted) => {
            let block = canonical(block_language);
            block.is_empty() || block == wanted || !matches!(block, "text" | "output" | "console" | "diff")
        }
    }
}

/// Whether a text is a set of edits or a diff instead of a file.
fn is_edit(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim_end);
    let first = lines.by_ref().find(|line| !line.is_empty()).unwrap_or("");
    let is_header =
        |line: &str| ["diff --git ", "*** Begin Patch", "@@ -", "Index: "].iter().any(|mark| line.starts_with(mark));
    is_header(first) || (first.starts_with("--- ") && lines.clone().next().is_some_and(|line| line.starts_with("+++ ")))
}

/// Takes the commands of a shell block: the lines after a prompt, else all lines but comments.
fn commands_in(body: &str, commands: &mut Vec<String>) {
    let has_prompt = body.lines().any(|line| line.trim_start().starts_with("$ "));
    for line in body.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let command = if has_prompt { line.strip_prefix("$ ") } else { Some(line) };
        if let Some(command) = command
            && commands.len() < MAX_COMMANDS
        {
            commands.push(command.chars().take(500).collect());
        }
    }
}

/// Joins the prose around the blocks, without the lines that name files; returns the paths of `DELETE:` lines.
fn summarise<'a>(pieces: impl Iterator<Item = &'a str>, summary: &mut String) -> Vec<String> {
    let mut deleted = Vec::new();
    for line in pieces.flat_map(str::lines) {
        let bare = blocks::undress(line);
        if let Some(path) = bare.strip_prefix("DELETE:") {
            deleted.push(blocks::undress(path).to_owned());
        } else if summary.len() < MAX_SUMMARY_BYTES
            && !bare.is_empty()
            && edits::marked(line).is_none()
            && blocks::label(line, true).is_none_or(|(_, strength)| strength == Strength::Weak)
        {
            if !summary.is_empty() {
                summary.push('\n');
            }
            summary.push_str(cut(line.trim()));
        }
    }
    summary.truncate(cut(summary).len());
    deleted = sorted(deleted);
    deleted.dedup();
    deleted
}

/// Cuts a text to the length of a summary.
pub fn cut(text: &str) -> &str {
    let end = (0..=MAX_SUMMARY_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or("")
}

fn first_line(text: &str) -> String {
    quote(text.lines().find(|line| !line.trim().is_empty()).unwrap_or(""))
}

/// Takes `./` off the start of a path.
pub fn clean(mut path: &str) -> &str {
    while let Some(rest) = path.strip_prefix("./") {
        path = rest;
    }
    path
}

/// Whether two spellings are one path.
pub fn same(left: &str, right: &str) -> bool {
    clean(left) == clean(right)
}
