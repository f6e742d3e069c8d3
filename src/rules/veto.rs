//! What a changeset must not hold, whatever the task: left-out code, parts of files, conflict markers, nothing at all.
//! Pure. Not a judge of the code: tests are. **Invariant:** a line that the file held before is never held against it.

use crate::rules::blocks::language;
use crate::rules::fault::{Fault, quote};
use crate::words::changes::{Change, ChangeSet};
use std::collections::BTreeSet;

/// Refuses a changeset that would lose code or do nothing. `before` gives the present content of a path, `None` when
/// there is no such file (or it is not text).
///
/// # Errors
/// The first [`Fault`], to be quoted to the model.
pub fn veto(set: &ChangeSet, before: &dyn Fn(&str) -> Option<String>) -> Result<(), Fault> {
    let mut is_same = true;
    for change in &set.changes {
        let old = before(change.path());
        match change {
            Change::Write { path, content } => {
                is_same &= old.as_deref().is_some_and(|old| is_as_it_was(content, old));
                write(path, content, old.as_deref().unwrap_or(""))?;
            }
            Change::Delete { .. } => is_same &= old.is_none(),
        }
    }
    if is_same { Err(Fault::Unchanged) } else { Ok(()) }
}

fn write(path: &str, new: &str, old: &str) -> Result<(), Fault> {
    let path = || path.to_owned();
    if new.trim().is_empty() && !old.trim().is_empty() {
        return Err(Fault::Emptied { path: path() });
    }
    let is_prose = matches!(language(&path()), Some("markdown" | "text"));
    if has_conflict(new, is_prose) && !has_conflict(old, is_prose) {
        return Err(Fault::Conflict { path: path() });
    }
    let mut known: Option<BTreeSet<&str>> = None;
    for line in new.lines().map(str::trim).filter(|line| is_placeholder(line, is_prose)) {
        let known = known.get_or_insert_with(|| {
            let mut lines = BTreeSet::new();
            lines.extend(old.lines().map(str::trim));
            lines
        });
        if !known.contains(line) {
            return Err(Fault::Placeholder { path: path(), quote: quote(line) });
        }
    }
    if is_excerpt(new, old) { Err(Fault::Excerpt { path: path() }) } else { Ok(()) }
}

/// Whether a file is as it was, but for blank lines before its first line: a small model that sends back what it was
/// shown leaves those out.
fn is_as_it_was(new: &str, old: &str) -> bool {
    fn begun(text: &str) -> &str {
        text.trim_start_matches(['\n', '\r'])
    }
    new == old || (begun(new) == begun(old) && !begun(old).is_empty())
}

/// All three markers at the start of a line, in order. A row of `=` alone underlines a heading, and prose may be about
/// edits.
fn has_conflict(text: &str, is_prose: bool) -> bool {
    let mut lines = text.lines();
    lines.any(|line| line.starts_with("<<<<<<< ") && !(is_prose && line.starts_with("<<<<<<< SEARCH")))
        && lines.any(|line| line.trim_end() == "=======")
        && lines.any(|line| line.starts_with(">>>>>>> "))
}

/// Whether less than half of a file came, without its first line: a small model likes to send only the function that
/// it changed. A file that was shortened on purpose keeps its head.
fn is_excerpt(new: &str, old: &str) -> bool {
    let lines = |text| str::lines(text).map(str::trim).filter(|line| !line.is_empty());
    let (count, head) = (lines(old).count(), lines(old).next());
    count >= 10 && lines(new).count() * 2 < count && !lines(new).any(|line| Some(line) == head)
}

/// How a comment begins that, with an ellipsis at its start or end, stands for left-out code.
const VAGUE: &[&str] =
    &["rest", "the rest", "existing", "remaining", "previous", "other", "same", "unchanged", "keep", "your", "more"];

/// How a comment begins that stands for left-out code without an ellipsis, if it is all [`FILLER`].
const LEFT_OUT: &[&str] = &[
    "rest of",
    "the rest",
    "rest unchanged",
    "rest is",
    "rest remains",
    "remaining code",
    "remaining methods",
    "remaining functions",
    "existing code",
    "existing methods",
    "existing functions",
    "previous code",
    "same as before",
    "unchanged",
    "code unchanged",
    "no changes",
    "code omitted",
    "omitted for brevity",
    "your code here",
    "your code goes",
    "add your code",
    "implementation goes here",
    "todo rest",
    "todo the rest",
    "keep the rest",
    "keep existing",
    "keep the existing",
];

/// The words of a placeholder; any other word makes the line a sentence about something.
const FILLER: &str = " add above and are as before below body brevity cases changes class classes code content \
    contents document existing file for function functions goes here implementation imports in \
    is it keep logic method methods module needed no not of omitted original page previous \
    program remain remaining remains rest rules same script section shown stay stays styles test \
    tests the this to todo unchanged was with your ";

/// Whether a line stands for code that was left out. In prose only HTML comments, and lines in dots or brackets, can.
fn is_placeholder(line: &str, is_prose: bool) -> bool {
    const MARKS: &[&str] = &["<!--", "{/*", "/*", "//", "#", "--", ";", "%", "*"];
    const DOTS: [&str; 2] = ["...", "…"];
    if line.len() > 200 {
        return false;
    }
    let comment = MARKS.iter().find_map(|mark| Some((*mark, line.strip_prefix(mark)?)));
    let comment = comment.filter(|(mark, _)| !is_prose || *mark == "<!--").map(|(_, inner)| inner);
    let inner = comment.unwrap_or(line).trim_matches(|char: char| " -*/>!(){}[]".contains(char));
    let words: Vec<String> = inner
        .split(|char: char| !char.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let text = words.join(" ");
    let begins = |starts: &[&str]| {
        starts.iter().any(|start| text.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')))
    };
    let dots_before = DOTS.iter().any(|dots| inner.starts_with(dots));
    let dots_after = DOTS.iter().any(|dots| inner.ends_with(dots));
    let is_filler = || words.iter().all(|word| FILLER.contains(&format!(" {word} ")));
    let is_vague = (dots_before || dots_after) && (2..=12).contains(&words.len()) && begins(VAGUE);
    if comment.is_some() {
        return is_vague || (begins(LEFT_OUT) && is_filler());
    }
    let in_brackets = line.starts_with(['[', '(']) && line.ends_with([']', ')']) && words.len() > 2;
    (dots_before && dots_after && is_vague) || (in_brackets && begins(LEFT_OUT) && is_filler())
}

/// Returns the first line of a short reply that declines the task. For a long reply, or one with a block, the answer
/// is no: it does more than decline.
pub fn declined(text: &str) -> Option<&str> {
    let text = text.trim();
    if text.len() > 600 || text.contains("```") {
        return None;
    }
    let line = text.lines().next()?;
    let said = line.to_lowercase().replace('’', "'");
    let said = said.trim_start_matches(|char: char| !char.is_alphanumeric());
    let is_sorry = ["i'm sorry", "i am sorry", "sorry", "i apologize", "i apologise", "unfortunately", "as an ai"]
        .iter()
        .any(|start| said.starts_with(start));
    let refusals = [
        "i can't",
        "i cannot",
        "i can not",
        "i won't",
        "i will not",
        "i'm not able to",
        "i am not able to",
        "i'm unable to",
        "i am unable to",
        "i must decline",
    ];
    let (at, phrase) = refusals.iter().filter_map(|phrase| Some((said.find(phrase)?, *phrase))).min()?;
    let verb =
        said.get(at + phrase.len()..).unwrap_or("").trim_start().split(|char: char| !char.is_alphabetic()).next()?;
    let is_service = [
        "help", "assist", "comply", "do", "provide", "fulfill", "fulfil", "generate", "create", "write", "complete",
        "continue", "answer", "support", "engage", "discuss", "access", "browse",
    ]
    .contains(&verb);
    ((is_sorry || at == 0) && (is_service || phrase.ends_with("decline"))).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(path: &str, old: Option<&str>, new: &str) -> Result<(), Fault> {
        let change = Change::Write { path: path.to_owned(), content: new.to_owned() };
        let set = ChangeSet { changes: vec![change], ..ChangeSet::default() };
        veto(&set, &|asked| old.filter(|_| asked == path).map(str::to_owned))
    }

    #[track_caller]
    fn refuses(path: &str, line: &str) {
        let fault = Fault::Placeholder { path: path.to_owned(), quote: line.trim().to_owned() };
        let new = format!("a\n{line}\nb\n");
        assert_eq!(judge(path, Some("old\n"), &new), Err(fault), "{line}");
        assert_eq!(judge(path, Some(&format!("{line}\n")), &new), Ok(()), "was there before: {line}");
    }

    #[track_caller]
    fn accepts(path: &str, line: &str) {
        assert_eq!(judge(path, None, &format!("a\n{line}\nb\n")), Ok(()), "{path}: {line}");
    }

    #[test]
    fn left_out_code_is_refused() {
        for line in [
            "// ... rest of the code unchanged ...",
            "// ...existing code...",
            "  // rest unchanged",
            "/* ... other methods ... */",
            "// … remaining functions …",
            "{/* ... rest of the page ... */}",
        ] {
            refuses("lib.rs", line);
        }
        for line in [
            "# ... rest of the code remains the same",
            "    # ... existing code ...",
            "# TODO: rest of the code",
            "# rest of the file is unchanged",
            "# your code here",
            "... rest of the code ...",
            "# Existing code",
            "# (rest of the functions remain unchanged)",
        ] {
            refuses("a.py", line);
        }
        refuses("a.html", "<!-- rest of the page -->");
        refuses("a.sql", "-- ... existing tables ...");
        refuses("a.md", "<!-- ... rest of the document ... -->");
        refuses("a.md", "[rest of the file unchanged]");
        refuses("a.md", "... rest of the file ...");
    }

    #[test]
    fn ordinary_text_is_accepted() {
        for line in [
            "    ...",
            "def f(x: int) -> str: ...",
            "# the rest of the queue is drained by close()",
            "# existing users keep their session",
            "# Same as `mean`, but weighted.",
            "# TODO: handle time zones",
            "x = [*rest, ...]",
            "# previous value wins",
            "# rest: what is left of the line",
            "# loading...",
            "# Other methods",
            "# No changes are written in dry-run mode",
        ] {
            accepts("a.pyi", line);
        }
        for line in [
            "  ...rest,",
            "const x = { ...existing, a };",
            "// the remaining items are sent later",
            "// keep the existing connection open while ... runs",
            "return [...rest];",
        ] {
            accepts("a.ts", line);
        }
        for line in [
            "# Rest of the code",
            "* other methods",
            "[remaining](#remaining)",
            "[unchanged]: https://example.org",
            "# Existing code",
        ] {
            accepts("a.md", line);
        }
        accepts("a.toml", "[rest]");
        accepts("a.ini", "[unchanged]");
    }

    #[test]
    fn emptied_files_are_refused_and_new_empty_ones_are_not() {
        assert_eq!(judge("a", Some("x\n"), " \n"), Err(Fault::Emptied { path: "a".to_owned() }));
        assert_eq!(judge("a/__init__.py", None, ""), Ok(()));
    }

    #[test]
    fn conflict_markers_are_refused_and_headings_are_not() {
        let text = "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> x\n";
        assert_eq!(judge("a", None, text), Err(Fault::Conflict { path: "a".to_owned() }));
        assert_eq!(judge("a", None, &text.replace('\n', "\r\n")), Err(Fault::Conflict { path: "a".to_owned() }));
        assert_eq!(judge("a", Some(text), &format!("{text}c\n")), Ok(()));
        assert_eq!(judge("a.rst", None, "Title\n=======\n\ntext\n"), Ok(()));
        assert_eq!(judge("a.py", None, "m = '''\n    <<<<<<< HEAD\n=======\n>>>>>>> x\n'''\n"), Ok(()));
    }

    #[test]
    fn a_part_of_a_file_is_refused() {
        let old = (1..=12).map(|number| format!("line {number}\n")).collect::<Vec<_>>().concat();
        assert_eq!(judge("a", Some(&old), "line 7\nline seven\n"), Err(Fault::Excerpt { path: "a".to_owned() }));
        assert_eq!(judge("a", Some(&old), "line 1\nline seven\n"), Ok(()));
        assert_eq!(judge("a", Some("one\ntwo\nthree\n"), "four\n"), Ok(()));
    }

    #[test]
    fn a_changeset_that_changes_nothing_is_refused() {
        assert_eq!(judge("a", Some("x\n"), "x\n"), Err(Fault::Unchanged));
        assert_eq!(judge("a", Some("\n\nx\n\ny\n"), "x\n\ny\n"), Err(Fault::Unchanged));
        assert_eq!(judge("a", Some("x\n"), "\n\r\nx\n"), Err(Fault::Unchanged));
        assert_eq!(judge("a", Some("x"), "x\n"), Ok(()));
        assert_eq!(judge("a", Some("x\n\ny\n"), "x\ny\n"), Ok(()));
        assert_eq!(judge("a", Some("x\r\n"), "x\n"), Ok(()));
        let set = ChangeSet { changes: vec![Change::Delete { path: "a".to_owned() }], ..ChangeSet::default() };
        assert_eq!(veto(&set, &|_| None), Err(Fault::Unchanged));
        assert_eq!(veto(&set, &|_| Some(String::new())), Ok(()));
    }

    #[test]
    fn refusals_are_recognised_and_answers_are_not() {
        for text in [
            "I'm sorry, but I can't help with that.",
            "I’m sorry, but I can’t assist with that request.",
            "I cannot provide that.",
            "As an AI language model, I am unable to access your files.",
            "Unfortunately, I cannot complete this task.\nTry another.",
        ] {
            assert_eq!(declined(text), text.lines().next(), "{text}");
        }
        for text in [
            "I can't find a bug in this function.",
            "Sorry for the confusion. The answer is 4.",
            "The server can't help with that.",
            "",
            "I'm sorry, but I can't do that.\n```python\nx\n```",
        ] {
            assert_eq!(declined(text), None, "{text}");
        }
        assert_eq!(declined(&format!("I cannot help. {}", "word ".repeat(200))), None);
    }
}
