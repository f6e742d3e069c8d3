//! Model text → [`ChangeSet`]: reads what real models write, and says exactly what is missing. Pure, linear time.
//!
//! The grammar, first match wins:
//!
//! ```text
//! reply   := BOM? ( json | prose? "```json" json "```" prose? | ( prose | block )* )
//! json    := the original's {"files":[{"path","content"}],"commands":[],"summary":""}, see `payload.rs`
//! block   := fence info NEWLINE body ( fence | end of the reply )              see `blocks.rs` for fences in fences
//! path    := from the first of these that names one:
//!              info         ```python p   ```python:p   ```p:python   ```p   ```python title="p" (file=, path= …)
//!              own line     FILE: p   **p**   ### p   `p`:   **File: `p`** (new)   p:    also some lines above
//!              sentence     "Create `p`:"  "### 2. Update p"       one path, right before the block, not about usage
//!              comment      # p   // File: p   <!-- p -->   /* p */     first line of the body, which keeps it
//!            then the file that was asked for, if there is just one
//! delete  := a line "DELETE: p" outside of all blocks, where several files are possible
//! command := a line of a shell block that is no file: shown, never run
//! ```
//!
//! Several blocks for one path: the last complete one is taken, and a note says so. A block that quotes a shown file,
//! shows output or how to use the result is no file. What is left without a path is quoted back in a [`Fault`].
//! Edit blocks and diffs (`edits.rs`) are applied to what was shown; beside a complete file of the same path they are
//! ignored. **Invariant:** content is never changed: no byte is added or lost, but the newline at the end of a last block that
//! was not closed, and what `ends.rs` keeps of the file that is replaced. Paths are as the model wrote them; `names.rs` judges
//! them.

use crate::rules::amend::{amend, is_diff};
use crate::rules::blocks::{self, Block, Ending, Strength, canonical, file_name, language};
use crate::rules::drafts::{Draft, MAX_COMMANDS, clean, cut, from_blocks, same};
use crate::rules::echo::Parted;
use crate::rules::edits::{self, Edit, Lifted, What};
use crate::rules::ends;
pub use crate::rules::fault::Fault;
use crate::rules::fault::quote;
use crate::rules::payload;
use crate::rules::sorted::sorted;
use crate::rules::spelled::{self, Places};
use crate::rules::stray;
pub use crate::rules::veto::{declined, veto};
use crate::words::changes::{Change, ChangeSet};
use crate::words::task::Form;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What the reply was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expect<'a> {
    /// The one file that was asked for, when mux knows it.
    pub target: Option<&'a str>,
    /// Path and content of the files that the model was shown.
    pub shown: &'a [(&'a str, &'a str)],
    /// Those of them that it cannot repeat, only edit: it saw parts of them, or bytes of them are no text.
    pub parted: &'a [Parted<'a>],
    /// How it was asked for changes of what it saw.
    pub form: Form,
    /// Whether the task is about line ends: else a file keeps its own (`ends.rs`).
    pub about_ends: bool,
    /// What other spellings of a path may mean (`spelled.rs`).
    pub places: Places<'a>,
}

impl<'a> Expect<'a> {
    /// Returns the path that is meant, where the reply spells it in another way.
    fn meant(&self, path: &str) -> Option<String> {
        let known = self.shown.iter().map(|(path, _)| *path).chain(self.target);
        spelled::meant(path, &known.collect::<Vec<&'a str>>(), &self.places)
    }

    /// Whether a path is one of those that mux knows: one with blanks in it is no sentence then.
    pub fn knows(&self, path: &str) -> bool {
        let new = self.places.new.iter().map(String::as_str);
        self.shown.iter().map(|(path, _)| *path).chain(self.target).chain(new).any(|known| same(known, path))
    }
}

/// Reads a complete reply. A reply that was cut must not come here: an open last block counts as finished.
///
/// # Errors
/// A [`Fault`] to be quoted to the model. On success there is at least one change.
pub fn parse(text: &str, expect: &Expect<'_>) -> Result<ChangeSet, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(Fault::Empty);
    }
    let lifted = if is_diff(expect.target) { Lifted::none(text) } else { edits::lift(text) };
    let (mut blocks, tail) = unwrapped(&lifted.text, expect.target);
    for block in &mut blocks {
        if (is_diff(block.path.map(|(path, _)| path)) || !edits::is_all_edits(&block.body))
            && let Cow::Owned(whole) = edits::restored(&block.body, &lifted)
        {
            block.body = Cow::Owned(whole);
        }
    }
    let mut set = ChangeSet::default();
    let (drafts, edits) = match payload_in(&lifted.text, &blocks, expect)? {
        Some(payload) => from_payload(payload, &mut set)?,
        None => from_blocks(&blocks, tail, &lifted, expect, &mut set)?,
    };
    let (mut drafts, mut edits) = (drafts, edits);
    let paths = drafts.iter_mut().map(|draft| &mut draft.path).chain(edits.iter_mut().map(|edit| &mut edit.path));
    for path in paths.flatten() {
        if let Some(meant) = expect.meant(path) {
            let note = format!("the reply says `{}`; taken as `{meant}`", quote(path));
            *path = Cow::Owned(meant);
            if !set.notes.contains(&note) {
                set.notes.push(note);
            }
        }
    }
    choose(drafts, expect, &mut set)?;
    amend(edits, expect, &mut set)?;
    if set.changes.is_empty() { Err(Fault::NoFile) } else { Ok(set) }
}

/// Scans the blocks; when all files stand in one outer block, those inside it.
fn unwrapped<'a>(text: &'a str, target: Option<&str>) -> (Vec<Block<'a>>, &'a str) {
    let (blocks, tail) = blocks::scan(text, target);
    if let [Block { path: None, body: Cow::Borrowed(body), language, .. }] = blocks.as_slice()
        && matches!(canonical(language), "" | "text" | "markdown" | "plaintext")
        && target.and_then(self::language) != Some("markdown")
        && body.lines().find(|line| !line.trim().is_empty()).is_some_and(|line| blocks::label(line, false).is_some())
    {
        let inner = blocks::scan(body, target);
        if !inner.0.is_empty() {
            return inner;
        }
    }
    (blocks, tail)
}

/// Finds the original's JSON: the whole reply, in the only block that holds some, or after some prose.
fn payload_in(text: &str, blocks: &[Block<'_>], expect: &Expect<'_>) -> Result<Option<payload::Payload>, Fault> {
    let is_json_asked = expect.target.and_then(language) == Some("json");
    let mut fenced = blocks.iter().filter(|block| {
        block.path.is_none() && matches!(canonical(block.language), "" | "json") && payload::is_meant(&block.body)
    });
    let found = match (text.trim_start().starts_with('{'), fenced.next()) {
        (true, _) => text.trim_start(),
        (false, Some(block)) => {
            if fenced.next().is_some() {
                return Err(two_objects());
            }
            &block.body
        }
        (false, None) if blocks.is_empty() => {
            text.match_indices("\n{").map(|(at, _)| text.get(at + 1..).unwrap_or("")).find(is_start).unwrap_or("")
        }
        (false, None) => "",
    };
    if !payload::is_meant(found) {
        return Ok(None);
    }
    match payload::read(found) {
        Ok(Some((_, end))) if found.get(end..).unwrap_or("").lines().any(|line| line.starts_with('{')) => {
            Err(two_objects())
        }
        Ok(Some((payload, _))) => Ok(Some(payload)),
        Ok(None) => Ok(None),
        // `package.json` has a `files` key too.
        Err(_) if is_json_asked => Ok(None),
        Err(what) => Err(Fault::Payload { what }),
    }
}

fn is_start(text: &&str) -> bool {
    let key = text.trim_start_matches('{').trim_start();
    ["\"files\"", "\"edits\"", "\"summary\"", "\"commands\""].iter().any(|known| key.starts_with(known))
}

fn two_objects() -> Fault {
    Fault::Payload { what: "there are two JSON objects and it is unclear which one counts".to_owned() }
}

/// The files and the edits of a reply.
type Parts<'a> = (Vec<Draft<'a>>, Vec<Edit<'a>>);

fn from_payload<'a>(payload: payload::Payload, set: &mut ChangeSet) -> Result<Parts<'a>, Fault> {
    if payload.files.is_empty() && payload.edits.is_empty() {
        return Err(Fault::NoChange);
    }
    set.commands = payload.commands.into_iter().take(MAX_COMMANDS).collect();
    cut(&payload.summary).clone_into(&mut set.summary);
    let draft = |(path, content)| Draft {
        path: Some(Cow::Owned(path)),
        strength: Strength::Strong,
        content: Cow::Owned(content),
        ending: Ending::Closed,
    };
    let edit = |(path, search, replace): (String, String, String)| Edit {
        path: Some(Cow::Owned(path)),
        what: What::Text { search: Cow::Owned(search), replace: Cow::Owned(replace) },
    };
    Ok((payload.files.into_iter().map(draft).collect(), payload.edits.into_iter().map(edit).collect()))
}

/// Settles the paths, and takes one content for each.
fn choose(drafts: Vec<Draft<'_>>, expect: &Expect<'_>, set: &mut ChangeSet) -> Result<(), Fault> {
    let drafts = settle(drafts, expect, set)?;
    let mut order: Vec<Vec<Draft<'_>>> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for draft in drafts {
        let path = draft.path.as_deref().unwrap_or("");
        let place = *places.entry(clean(path).to_owned()).or_insert(order.len());
        match order.get_mut(place) {
            Some(same) => same.push(draft),
            None => order.push(vec![draft]),
        }
    }
    for mut same in order {
        let count = same.len();
        let strongest = same.iter().map(|draft| draft.strength).max();
        same.retain(|draft| Some(draft.strength) == strongest);
        // A block of less than half the size is an excerpt, not the complete file.
        let longest = same.iter().map(|draft| draft.content.len()).max().unwrap_or(0);
        let last = same.iter().rposition(|draft| draft.content.len() * 2 >= longest && is_complete(draft));
        let Some(draft) = last.map(|last| same.swap_remove(last)) else { return Err(Fault::Tangled) };
        let path = draft.path.unwrap_or_default().into_owned();
        if expect.parted.iter().any(|parted| self::same(parted.path, &path)) {
            let is_stray = expect.shown.iter().any(|(shown, text)| self::same(shown, &path) && stray::is_in(text));
            let path = quote(&path);
            return Err(if is_stray { Fault::Stray { path } } else { Fault::Parted { path } });
        }
        if count > 1 {
            set.notes.push(format!("took the last complete one of {count} blocks for `{}`", quote(&path)));
        }
        let mut content = draft.content.into_owned();
        if draft.ending == Ending::Open {
            set.notes.push(format!("the block of `{}` was not closed", quote(&path)));
            if !content.ends_with('\n') {
                content.push('\n');
            }
        }
        let old = expect.shown.iter().find(|(shown, _)| self::same(shown, &path)).filter(|_| !expect.about_ends);
        let content = match old {
            Some((_, old)) => ends::kept(old, content),
            None => content,
        };
        set.changes.push(Change::Write { path, content });
    }
    Ok(())
}

fn is_complete(draft: &Draft<'_>) -> bool {
    match draft.ending {
        Ending::Closed => true,
        Ending::Open => !draft.content.trim().is_empty(),
        Ending::Tangled => false,
    }
}

/// Gives the target to drafts without a path, and corrects the path of a single file that can only be the target.
fn settle<'a>(mut drafts: Vec<Draft<'a>>, expect: &Expect<'_>, set: &mut ChangeSet) -> Result<Vec<Draft<'a>>, Fault> {
    let Some(target) = expect.target else { return Ok(drafts) };
    let has_target = |draft: &Draft<'_>| draft.path.as_deref().is_none_or(|path| same(path, target));
    if drafts.iter().any(has_target) {
        let count = drafts.len();
        drafts.retain(|draft| draft.strength == Strength::Strong || has_target(draft));
        if drafts.len() < count {
            set.notes.push("ignored a block that only mentions another file".to_owned());
        }
    } else {
        let mut paths: Vec<&str> = sorted(drafts.iter().filter_map(|draft| draft.path.as_deref()).collect());
        paths.dedup();
        let alike = |path: &&&str| file_name(path).eq_ignore_ascii_case(file_name(target));
        let wrong = match paths.as_slice() {
            [] => return Ok(drafts),
            // What no model writes by mistake is left for `names.rs` to refuse by its rule.
            paths if paths.iter().any(|path| is_odd(path)) => return Ok(drafts),
            [path] if alike(&path) || could_be(path, target, expect) => (*path).to_owned(),
            paths => {
                let mut like = paths.iter().filter(alike);
                match (like.next(), like.next(), paths) {
                    (Some(path), None, _) => (*path).to_owned(),
                    (_, _, [first, ..]) => {
                        return Err(Fault::OtherFile { asked: target.to_owned(), wrote: quote(first) });
                    }
                    (_, _, []) => return Ok(drafts),
                }
            }
        };
        set.notes.push(format!("the reply says `{}`; taken as `{target}`, which was asked for", quote(&wrong)));
        for draft in drafts.iter_mut().filter(|draft| draft.path.as_deref() == Some(&wrong)) {
            draft.path = None;
        }
    }
    for draft in &mut drafts {
        if draft.path.is_none() || has_target(draft) {
            draft.path = Some(Cow::Owned(target.to_owned()));
        }
    }
    Ok(drafts)
}

/// Whether the only file of a reply, under another name, can be taken for the target: the same language, not a file
/// that was shown, and a test only for a test.
pub fn could_be(path: &str, target: &str, expect: &Expect<'_>) -> bool {
    let is_test = |path: &str| file_name(path).to_ascii_lowercase().contains("test");
    let is_shown = expect.shown.iter().any(|(shown, _)| same(shown, path));
    !is_shown && language(path) == language(target) && is_test(path) == is_test(target)
}

/// Absolute, a URL, from home, upwards, in a `.git` or with backslashes.
pub fn is_odd(path: &str) -> bool {
    let is_odd_part = |part: &str| part == ".." || part.eq_ignore_ascii_case(".git");
    path.starts_with(['/', '~', '$']) || path.contains(['\\', ':']) || clean(path).split('/').any(is_odd_part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::drafts::MAX_SUMMARY_BYTES;
    use std::ops::Range;

    /// Runs a reply and writes the result as lines: `path=content`, `-path`, `note: …`, `$ command`, `says: …`.
    fn read(target: Option<&str>, shown: &[(&str, &str)], text: &str) -> String {
        let set = match parse(text, &Expect { target, shown, ..Expect::default() }) {
            Ok(set) => set,
            Err(fault) => return format!("fault: {fault}"),
        };
        let changes = set.changes.iter().map(|change| match change {
            Change::Write { path, content } => format!("{path}={content:?}"),
            Change::Delete { path } => format!("-{path}"),
        });
        let notes = set.notes.iter().map(|note| format!("note: {note}"));
        let commands = set.commands.iter().map(|command| format!("$ {command}"));
        let summary = (!set.summary.is_empty()).then(|| format!("says: {}", set.summary.replace('\n', "|")));
        changes.chain(notes).chain(commands).chain(summary).collect::<Vec<_>>().join("\n")
    }

    #[track_caller]
    fn check(target: &str, text: &str, expected: &str) {
        assert_eq!(read(Some(target).filter(|target| !target.is_empty()), &[], text), expected, "{text}");
    }

    #[track_caller]
    fn faults(target: &str, text: &str, expected: &Fault) {
        let target = Some(target).filter(|target| !target.is_empty());
        assert_eq!(parse(text, &Expect { target, shown: &[], ..Expect::default() }), Err(expected.clone()), "{text}");
    }

    #[test]
    fn a_path_is_found_wherever_models_write_it() {
        for lead in [
            "FILE: src/a.py\n```python\n",
            "File: `src/a.py`\n```\n",
            "**FILE:** `src/a.py`\n```\n",
            "**src/a.py**\n\n```python\n",
            "**`src/a.py`:**\n```python\n",
            "### src/a.py\n```python\n",
            "## `src/a.py`\n```python\n",
            "#### 1. `src/a.py` (new)\n```python\n",
            "`src/a.py`:\n```python\n",
            "src/a.py:\n```python\n",
            "src/a.py\n```python\n",
            "1. **src/a.py**\n   ```python\n",
            "- `src/a.py`\n```\n",
            "**File 1: src/a.py (new)**\n```\n",
            "New file: src/a.py\n~~~python\n",
            "Create `src/a.py`:\n```python\n",
            "Here is the updated src/a.py file:\n\n```python\n",
            "```python src/a.py\n",
            "```python:src/a.py\n",
            "```src/a.py:python\n",
            "```src/a.py\n",
            "```python title=\"src/a.py\"\n",
            "```python filename=src/a.py\n",
            "```{.python file=src/a.py}\n",
            "**src/a.py**\n\nIt holds one value.\n\n```python\n",
        ] {
            let fence = if lead.contains("~~~") { "~~~" } else { "```" };
            let indent = if lead.contains("   ```") { "   " } else { "" };
            let said = read(None, &[], &format!("{lead}{indent}x = 1\n{indent}{fence}\n"));
            assert_eq!(said.lines().next(), Some(r#"src/a.py="x = 1\n""#), "{lead}");
        }
        check("", "```python\n# src/a.py\nx\n```", r##"src/a.py="# src/a.py\nx\n""##);
        check("", "```ts\n// File: src/x.ts\nx\n```", r#"src/x.ts="// File: src/x.ts\nx\n""#);
        check("", "```\n<!-- a/p.html -->\n```", r#"a/p.html="<!-- a/p.html -->\n""#);
        check("", "```sh\n#!/bin/sh\n# run.sh\n```", r##"run.sh="#!/bin/sh\n# run.sh\n""##);
        check("", "FILE: Makefile\n```makefile\nall:\n```", r#"Makefile="all:\n""#);
        check("", "**.gitignore**\n```\n*.o\n```", r#".gitignore="*.o\n""#);
    }

    #[test]
    fn words_that_are_no_path_name_nothing() {
        for lead in [
            "## Step 1.",
            "Use `self.value`:",
            "e.g.:",
            "**Note:**",
            "### Input/Output",
            "### Node.js",
            "Create and/or update:",
            "Version 1.2:",
            "https://example.org/a.py:",
        ] {
            let text = format!("{lead}\n```python\nx = 1\n```\n");
            faults("", &text, &Fault::NoPath { quote: "x = 1".to_owned() });
        }
        faults("", "```makefile\nall:\n```", &Fault::NoPath { quote: "all:".to_owned() });
        faults("", "See `a.py` and `b.py`:\n```\nx\n```", &Fault::NoPath { quote: "x".to_owned() });
    }

    #[test]
    fn the_asked_file_needs_no_path() {
        check("a.py", "Sure!\n\n```python\nx = 1\n```\nDone.", "a.py=\"x = 1\\n\"\nsays: Sure!|Done.");
        check("a.py", "\u{feff}```\nx\n```", r#"a.py="x\n""#);
        check("a.py", "```python\n```", r#"a.py="""#);
        check("a.py", "```python\nx\r\ny\n```", r#"a.py="x\r\ny\n""#);
        check("data.bin", "```\n\u{feff}a\0b\n```", r#"data.bin="\u{feff}a\0b\n""#);
        check("run.sh", "```bash\nls\n```", r#"run.sh="ls\n""#);
        check("Makefile", "```makefile\nall:\n```", r#"Makefile="all:\n""#);
    }

    #[test]
    fn a_wrong_path_for_the_asked_file_is_corrected_and_said() {
        for path in ["a.py", "lib/a.py", "A.py", "b.py"] {
            let note = format!("note: the reply says `{path}`; taken as `src/a.py`, which was asked for");
            check("src/a.py", &format!("FILE: {path}\n```python\nx\n```"), &format!("src/a.py=\"x\\n\"\n{note}"));
            let json = format!(r#"{{"files":[{{"path":"{path}","content":"x"}}]}}"#);
            check("src/a.py", &json, &format!("src/a.py=\"x\"\n{note}"));
        }
        check("src/a.py", "FILE: ./src/a.py\n```\nx\n```", r#"src/a.py="x\n""#);
        for path in ["a.js", "test_a.py", "README.md", ".eslintrc.json"] {
            let fault = Fault::OtherFile { asked: "src/a.py".to_owned(), wrote: path.to_owned() };
            faults("src/a.py", &format!("FILE: {path}\n```\nx\n```"), &fault);
        }
        let shown = [("src/a.py", "1\n"), ("src/b.py", "2\n")];
        let said = read(Some("src/a.py"), &shown, "FILE: src/b.py\n```\n3\n```");
        assert!(said.starts_with("fault: It writes `src/b.py`"), "{said}");
    }

    #[test]
    fn hostile_paths_are_passed_on_to_be_refused_by_their_rule() {
        for path in [
            "../escape.txt",
            "/etc/passwd.txt",
            "~/evil.txt",
            ".git/config",
            "a/../.git/config",
            r"..\x.txt",
            ".git",
            "file:///x.txt",
        ] {
            let json = format!(r#"{{"files":[{{"path":"{}","content":"x"}}]}}"#, path.replace('\\', r"\\"));
            check("ok.txt", &json, &format!("{path}=\"x\""));
        }
        for path in ["../escape.txt", ".git/hooks/pre-commit", "/etc/passwd"] {
            check("ok.txt", &format!("## {path}\n```\nx\n```"), &format!("{path}=\"x\\n\""));
        }
    }

    #[test]
    fn the_last_complete_block_of_a_path_wins() {
        let note = |path| format!("note: took the last complete one of 2 blocks for `{path}`");
        let text = "```python\nold = 1\n```\nBetter:\n```python\nnew = 2\n```";
        check("a.py", text, &format!("a.py=\"new = 2\\n\"\n{}\nsays: Better:", note("a.py")));
        let text = "FILE: a.py\n```\nold\n```\nFILE: ./a.py\n```\nnew\n```";
        check("", text, &format!("./a.py=\"new\\n\"\n{}", note("./a.py")));
        // An excerpt that explains the file is not the file.
        let text = "```python\nx = 1\ny = 2\nz = 3\n```\nThe change:\n```python\ny = 2\n```";
        check("a.py", text, &format!("a.py=\"x = 1\\ny = 2\\nz = 3\\n\"\n{}\nsays: The change:", note("a.py")));
        let json = r#"{"files":[{"path":"d","content":"1"},{"path":"./d","content":"2"}]}"#;
        check("", json, &format!("./d=\"2\"\n{}", note("./d")));
    }

    #[test]
    fn commands_outputs_and_uses_are_no_files() {
        let file = "FILE: a.py\n```python\nx = 1\n```\n";
        for (rest, expected) in [
            ("Install:\n```bash\n# first\npip install x\n```", "\n$ pip install x\nsays: Install:"),
            ("```console\n$ python3 a.py\n1\n```", "\n$ python3 a.py"),
            ("Expected output:\n```\n1\n```", "\nsays: Expected output:"),
            ("```output\n1\n```", ""),
            ("Usage:\n```python\nimport a\n```", "\nsays: Usage:"),
            ("You can run `a.py` like this:\n```python\nimport a\n```", "\nsays: You can run `a.py` like this:"),
            ("The line:\n```python\nx = 1\n```", "\nsays: The line:"),
        ] {
            check("", &format!("{file}{rest}"), &format!("a.py=\"x = 1\\n\"{expected}"));
            check("a.py", &format!("{file}{rest}"), &format!("a.py=\"x = 1\\n\"{expected}"));
        }
        let text = "```python\nx\n```\nRun it:\n```sh\npython3 a.py\n```";
        check("a.py", text, "a.py=\"x\\n\"\n$ python3 a.py\nsays: Run it:");
        let text = "```bash\n#!/bin/sh\nls\n```\nTo run it:\n```bash\nsh a.sh\n```";
        check("a.sh", text, "a.sh=\"#!/bin/sh\\nls\\n\"\nsays: To run it:");
        faults("a.py", "```bash\npip install x\n```", &Fault::NoFile);
        faults("", "```bash\npip install x\n```", &Fault::NoFile);
    }

    #[test]
    fn a_quote_of_a_shown_file_is_no_file() {
        let shown = [("a.py", "x = 1\ny = 2\n")];
        let text = "The bug:\n```python\ny = 2\n```\nFILE: a.py\n```python\nx = 1\ny = 3\n```";
        assert_eq!(read(None, &shown, text), "a.py=\"x = 1\\ny = 3\\n\"\nsays: The bug:");
        let text = "Bug:\n```python\ny = 2\n```\nFixed:\n```python\nx = 1\ny = 3\n```\nIt was:\n```python\nx = 1\n```";
        assert_eq!(read(Some("a.py"), &shown, text), "a.py=\"x = 1\\ny = 3\\n\"\nsays: Bug:|Fixed:|It was:");
    }

    #[test]
    fn fences_in_files_survive() {
        let inner = "# T\n```bash\nls\n```\n\nOutput:\n```\na\n```\nEnd.\n";
        let expected = format!("README.md={inner:?}");
        for fence in ["```markdown", "````markdown", "```", "~~~", "`````md"] {
            let close: String = fence.chars().filter(|char| !char.is_alphabetic()).collect();
            check("README.md", &format!("{fence}\n{inner}{close}\n"), &expected);
            let file = format!("FILE: README.md\n{fence}\n{inner}{close}\n");
            check("", &file, &expected);
            let next = "\nFILE: a.py\n```python\nx\n```\n";
            check("", &format!("{file}{next}"), &format!("{expected}\na.py=\"x\\n\""));
        }
        check("README.md", &format!("````markdown\n{inner}```\n"), &expected);
        let code = "def f():\n    \"\"\"\n    ```\n    f()\n    ```\n    \"\"\"\n";
        check("a.py", &format!("```python\n{code}```"), &format!("a.py={code:?}"));
        let code = "TEXT = '''\n```json\n{}\n```\n'''\n";
        check("a.py", &format!("```python\n{code}```"), &format!("a.py={code:?}"));
        check("a.py", "```python\ns = 1\n~~~\n```", r#"a.py="s = 1\n~~~\n""#);
        let json = r#"{"files":[{"path":"ok.md","content":"```json\n{\"files\":[]}\n```\n"}]}"#;
        check("", json, r#"ok.md="```json\n{\"files\":[]}\n```\n""#);
    }

    #[test]
    fn an_open_last_block_is_taken_only_when_its_end_is_clear() {
        check("a.py", "```python\nx = 1", "a.py=\"x = 1\\n\"\nnote: the block of `a.py` was not closed");
        let (inner, note) = ("# T\n```bash\nls\n```\n", "note: the block of `a.md` was not closed");
        check("a.md", &format!("```markdown\n{inner}"), &format!("a.md={inner:?}\n{note}"));
        let inner = "# T\n\n```\nls\n```\n\nEnd.\n";
        check("a.md", &format!("```markdown\n{inner}"), &format!("a.md={inner:?}\n{note}"));
        faults("", "FILE: a.py\n```python\nx\nFILE: b.py\n```python\ny\n```\n", &Fault::Tangled);
        faults("a.py", "```python\n", &Fault::Tangled);
    }

    #[test]
    fn files_inside_one_outer_block_are_found() {
        let text = "````\nFILE: a.py\n```python\nx\n```\n\nFILE: b.py\n```python\ny\n```\n````\n";
        check("", text, "a.py=\"x\\n\"\nb.py=\"y\\n\"");
        check("", &text.replace("````", "```"), "a.py=\"x\\n\"\nb.py=\"y\\n\"");
    }

    #[test]
    fn the_json_of_the_original_is_read() {
        let json = r#"{"files":[{"path":"a.py","content":"x"}],"commands":["ls"],"summary":"done"}"#;
        for text in [
            json.to_owned(),
            format!("\u{feff}{json}"),
            format!("Here:\n\n```json\n{json}\n```\nBye!"),
            format!("Here:\n{json}\nBye"),
        ] {
            check("", &text, "a.py=\"x\"\n$ ls\nsays: done");
        }
        let manifest = "{\"files\": [\"dist\"]}\n";
        check("package.json", &format!("```json\n{manifest}```"), &format!("package.json={manifest:?}"));
        let broken = |what: &str| Fault::Payload { what: what.to_owned() };
        faults("", r#"{"files":[],"summary":"All done!"}"#, &Fault::NoChange);
        faults("", r#"{"files":"ok.txt"}"#, &broken("`files` must be a list, not text"));
        faults("", r#"{"files":[{"path":"ok.txt","content":"half a fil"#, &broken("the JSON ends in the middle"));
        faults("", &format!("{{\"files\":[]}}\n{json}"), &two_objects());
        faults("", &format!("```json\n{json}\n```\n```json\n{json}\n```"), &two_objects());
        check("", r#"{"edits":[{"path":"a","search":"","replace":"b"}],"summary":"s"}"#, "a=\"b\"\nsays: s");
        faults("", r#"{"edits":[{"path":"a","search":""}]}"#, &broken("`edits[0].replace` is missing"));
        faults("", r#"{"edits":[{"path":"a","search":1}]}"#, &broken("`edits[0].search` must be text, not a number"));
        faults("", r#"{"edits":[3]}"#, &broken("`edits[0]` must be an object with `path`, `search` and `replace`"));
    }

    #[test]
    fn edits_of_files_that_were_not_shown_are_faults() {
        for text in [
            "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n",
            "x.py\n```python\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n```",
            "FILE: x.py\n```diff\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n```",
            "*** Begin Patch\n*** Update File: x.py\n@@\n-a\n+b\n*** End Patch\n",
        ] {
            faults("", text, &Fault::Unshown { path: "x.py".to_owned() });
            faults("x.py", text, &Fault::Unshown { path: "x.py".to_owned() });
        }
        check("fix.diff", "```diff\n--- a/x\n+++ b/x\n```", r#"fix.diff="--- a/x\n+++ b/x\n""#);
    }

    #[test]
    fn files_are_deleted_by_a_line_of_their_own() {
        check("", "DELETE: old.py\n\nFILE: new.py\n```\nx\n```", "-old.py\nnew.py=\"x\\n\"");
        check("", "Gone now.\nDELETE: `old.py`\n", "-old.py\nsays: Gone now.");
        check("a.py", "DELETE: a.py\n```\nx\n```", "a.py=\"x\\n\"\nnote: `a.py` is not deleted: its content came too");
        let other = "a.py=\"x\\n\"\nnote: `b.py` is not deleted: only `a.py` was asked for";
        check("a.py", "```\nx\n```\nDELETE: b.py", other);
        check("", "FILE: a.txt\n```\nDELETE: b\n```", r#"a.txt="DELETE: b\n""#);
    }

    #[test]
    fn replies_without_files_are_faults() {
        faults("a.py", " \n", &Fault::Empty);
        let html = "<html><body>Sure! Here is your file.</body></html>";
        for text in [html, "I fixed it.", "{\"name\":\"demo\"}", "Use ```x``` here."] {
            faults("a.py", text, &Fault::NoFile);
        }
    }

    #[test]
    fn summary_and_commands_are_bounded() {
        let prose = format!("{}\n{}", "é".repeat(3000), "word\n".repeat(3000));
        let text = format!("{prose}```sh\n{}```\nFILE: a.py\n```\nx\n```", "ls\n".repeat(100));
        let set = parse(&text, &Expect::default()).unwrap();
        assert_eq!((set.summary.len(), set.commands.len()), (MAX_SUMMARY_BYTES, MAX_COMMANDS));
    }

    #[test]
    fn large_and_deep_replies_end() {
        let shown = [("a.py", "x\n")];
        for text in [
            "```\n".repeat(200_000),
            "```a b.py\n".repeat(100_000),
            "FILE: a.md\n```md\nx\n".repeat(50_000),
            "```\ny\n```\n".repeat(100_000),
            "the the ".repeat(1 << 20),
            format!("{{\"files\":{}", "[".repeat(100_000)),
            "`".repeat(8 << 20),
            "[".repeat(1 << 20),
            "**".repeat(1 << 20),
        ] {
            assert!(parse(&text, &Expect { target: None, shown: &shown, ..Expect::default() }).is_err());
            let _ = parse(&text, &Expect { target: Some("a.md"), shown: &shown, ..Expect::default() });
        }
        let blocks: Vec<_> = (0..20_000).map(|number| format!("FILE: f{number}.py\n```python\nx\n```\n")).collect();
        assert_eq!(parse(&blocks.concat(), &Expect::default()).map(|set| set.changes.len()), Ok(20_000));
    }

    /// What a recorded reply must be read as: `expect.json` of its folder.
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Recorded {
        target: Option<String>,
        /// Path and content of the files that the prompt showed.
        shown: BTreeMap<String, String>,
        /// Path, operation, SHA-256 of the content, in order.
        changes: Vec<(String, String, String)>,
        notes: Vec<String>,
        commands: Vec<String>,
        summary_bytes: usize,
        /// What `parse` or, after it, `veto` says instead.
        fault: Option<String>,
        veto: Option<String>,
    }

    #[track_caller]
    fn replay(folder: &std::path::Path) {
        let text = |name: &str| fs_err::read_to_string(folder.join(name)).unwrap();
        let expected: Recorded = serde_json::from_str(&text("expect.json")).unwrap();
        for field in ["model: ", "build: ", "date: ", "task: ", "format: "] {
            assert!(text("meta").lines().any(|line| line.starts_with(field)), "{} lacks `{field}`", folder.display());
        }
        let shown: Vec<_> = expected.shown.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect();
        let read = parse(
            &text("reply.txt"),
            &Expect { target: expected.target.as_deref(), shown: &shown, ..Expect::default() },
        );
        let fault = read.as_ref().err().map(ToString::to_string);
        let set = read.unwrap_or_default();
        let before = |path: &str| expected.shown.get(path).cloned();
        let veto = if fault.is_some() { None } else { veto(&set, &before).err().map(|fault| fault.to_string()) };
        let changes = set.changes.iter().map(|change| match change {
            Change::Write { path, content } => (path.clone(), "write".to_owned(), hex(content)),
            Change::Delete { path } => (path.clone(), "delete".to_owned(), String::new()),
        });
        let got = (changes.collect(), set.notes, set.commands, set.summary.len(), fault, veto);
        let Recorded { changes, notes, commands, summary_bytes, fault, veto, .. } = expected;
        assert_eq!(got, (changes, notes, commands, summary_bytes, fault, veto), "{}", folder.display());
    }

    fn hex(content: &str) -> String {
        use sha2::Digest;
        sha2::Sha256::digest(content.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
    }

    /// All files below a folder by their path in it; nothing where there is no such folder.
    fn files_in(folder: &std::path::Path) -> BTreeMap<String, String> {
        let (mut files, mut folders) = (BTreeMap::new(), vec![folder.to_path_buf()]);
        while let Some(next) = folders.pop() {
            for entry in fs_err::read_dir(&next).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                    files.insert(name, fs_err::read_to_string(&path).unwrap());
                }
            }
        }
        files
    }

    /// Reads `a.py 1-29 305-317`: a file and the lines of it that were shown.
    fn seen(line: &str) -> (&str, Vec<Range<usize>>) {
        let mut words = line.split_whitespace();
        let path = words.next().unwrap();
        let parts = words.map(|part| {
            let (first, last) = part.split_once('-').unwrap();
            first.parse::<usize>().unwrap() - 1..last.parse().unwrap()
        });
        (path, parts.collect())
    }

    /// What a scenario of edits comes to: the files after it and the notes, or the fault.
    fn edited(folder: &std::path::Path) -> Result<(BTreeMap<String, String>, String), String> {
        let input = files_in(&folder.join("input"));
        let shown: Vec<_> = input.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect();
        let target = fs_err::read_to_string(folder.join("target")).ok();
        let reply = fs_err::read_to_string(folder.join("reply.txt")).unwrap();
        let parted = fs_err::read_to_string(folder.join("parted")).unwrap_or_default();
        let seen: Vec<(&str, Vec<Range<usize>>)> = parted.lines().map(seen).collect();
        let parted: Vec<Parted<'_>> = seen.iter().map(|(path, lines)| Parted { path, lines }).collect();
        let target = target.as_deref().map(str::trim);
        let expect = Expect { target, shown: &shown, parted: &parted, form: Form::Edits, ..Expect::default() };
        let set = parse(&reply, &expect).map_err(|fault| fault.to_string())?;
        veto(&set, &|path| input.get(path).cloned()).map_err(|fault| fault.to_string())?;
        let mut files = input.clone();
        for change in set.changes {
            match change {
                Change::Write { path, content } => files.insert(path, content),
                Change::Delete { path } => files.remove(&path),
            };
        }
        Ok((files, set.notes.iter().flat_map(|note| [note, "\n"]).collect()))
    }

    #[test]
    fn edits_come_to_what_their_scenario_says() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/edits");
        let mut folders: Vec<_> = fs_err::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
        folders.retain(|folder| folder.is_dir());
        folders.sort();
        assert!(folders.len() >= 40, "{}", folders.len());
        let mut wrong = Vec::new();
        for folder in folders {
            let text = |name: &str| fs_err::read_to_string(folder.join(name)).unwrap_or_default();
            let expected = match text("fault") {
                fault if fault.is_empty() => Ok((files_in(&folder.join("expected")), text("notes"))),
                fault => Err(fault.trim_end().to_owned()),
            };
            let got = edited(&folder);
            if got != expected {
                wrong.push(format!("{}\n got {got:?}\nwant {expected:?}", folder.display()));
            }
        }
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
    }

    #[test]
    fn a_file_with_stray_bytes_is_edited_and_not_written_whole() {
        let (old, _) = stray::to_text(b"# caf\xe9 and more of it\nx = 1\n").unwrap();
        let shown = [("a.py", old.as_str())];
        let expect = Expect {
            target: Some("a.py"),
            shown: &shown,
            parted: &[Parted { path: "a.py", lines: &[] }],
            ..Expect::default()
        };
        let edit = "```\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n```\n";
        let set = parse(edit, &expect).unwrap();
        let Some(Change::Write { content, .. }) = set.changes.first() else { panic!("{set:?}") };
        assert_eq!(stray::to_bytes(content), b"# caf\xe9 and more of it\nx = 2\n");
        let whole = parse("```python\n# caf? and more of it\nx = 2\n```\n", &expect);
        assert_eq!(whole, Err(Fault::Stray { path: "a.py".to_owned() }));
    }

    #[test]
    fn recorded_replies_of_real_models_are_read_as_recorded() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/replies");
        let folders: Vec<_> = fs_err::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(folders.len() >= 25);
        for folder in folders {
            replay(&folder);
        }
    }
}
