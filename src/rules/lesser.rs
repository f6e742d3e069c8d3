//! Smaller versions of a change that left the tests red. A small model that sends a whole file back copies some of it wrong,
//! far from what it was to change (seen: while it mended `largest`, `payment.payer` became `payment.payee` elsewhere).
//! Without that part the tests may be green. Pure; whether they are is found out by running them.

use crate::rules::definition::header;
use crate::rules::diff::{Side, compare};
use crate::rules::kin::is_test_file;
use crate::words::changes::Change;

/// A change of more parts than this is another text, not a slip in one.
const MOST_PARTS: usize = 8;
/// Parts up to which each is left out alone.
const MOST_SINGLE: usize = 5;
/// Versions that are worth a run of the tests.
const MOST: usize = 4;
/// As many lines in the place of as many others, up to this count, are a part each.
const MOST_PAIRED: usize = 4;

/// A change without some of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lesser {
    pub changes: Vec<Change>,
    /// Names what is not in it: `line 3 of a.py`.
    pub left_out: String,
}

/// What a part of a change is.
#[derive(Clone, Copy)]
struct Part {
    /// Which file of the change, and which line of the file as it was, counted from 1; 0 for a file as a whole.
    change: usize,
    line: usize,
    /// It stands in, or speaks of, what the task names.
    is_meant: bool,
}

/// A piece of a file: lines that stay, or a part with its lines before and after.
enum Piece<'a> {
    Same(&'a str),
    Part { id: usize, old: Vec<&'a str>, new: Vec<&'a str> },
}

/// Returns smaller versions of a change, the likeliest first. `before` reads a file as it was, `None` where there was
/// none; `names` are the identifiers and words of the task.
pub fn lesser(changes: &[Change], before: &dyn Fn(&str) -> Option<String>, names: &[&str]) -> Vec<Lesser> {
    let old: Vec<Option<String>> = changes.iter().map(|change| before(change.path())).collect();
    let mut parts = Vec::new();
    let mut files: Vec<Option<Vec<Piece<'_>>>> = Vec::new();
    for (at, (change, old)) in changes.iter().zip(&old).enumerate() {
        if let (Change::Write { content, .. }, Some(old)) = (change, old) {
            files.push(Some(pieces(at, old, content, names, &mut parts)));
        } else {
            parts.push(Part { change: at, line: 0, is_meant: false });
            files.push(None);
        }
    }
    let versions = versions(&parts);
    let build = |kept: &Vec<bool>| {
        let keeps = |id: usize| kept.get(id).copied().unwrap_or(false);
        let built = changes.iter().zip(&files).enumerate().filter_map(|(at, (change, file))| match file {
            None => {
                let id = parts.iter().position(|part| part.change == at)?;
                keeps(id).then(|| change.clone())
            }
            Some(pieces) => {
                let content = text(pieces, &keeps);
                let is_new = old.get(at).is_some_and(|old| old.as_deref() != Some(content.as_str()));
                is_new.then(|| Change::Write { path: change.path().to_string(), content })
            }
        });
        let out = parts.iter().zip(kept).filter(|(_, kept)| !**kept).filter_map(|(part, _)| {
            let path = changes.get(part.change)?.path();
            Some(if part.line == 0 { format!("`{path}`") } else { format!("line {} of `{path}`", part.line) })
        });
        Lesser { changes: built.collect(), left_out: out.collect::<Vec<_>>().join(", ") }
    };
    versions.iter().map(build).filter(|lesser| !lesser.changes.is_empty()).collect()
}

/// Returns whether a file says what is right: a test, or one that a command which was red names.
pub fn judges<'a>(path: &str, mut red: impl Iterator<Item = &'a Vec<String>>) -> bool {
    is_test_file(path) || red.any(|argv| argv.iter().any(|arg| arg.contains(path)))
}

/// Returns which parts each version keeps.
fn versions(parts: &[Part]) -> Vec<Vec<bool>> {
    let n = parts.len();
    let mut versions: Vec<Vec<bool>> = Vec::new();
    if !(2..=MOST_PARTS).contains(&n) {
        return versions;
    }
    let mut add = |kept: Vec<bool>| {
        let is_proper = kept.contains(&true) && kept.contains(&false);
        if is_proper && versions.len() < MOST && !versions.contains(&kept) {
            versions.push(kept);
        }
    };
    add(parts.iter().map(|part| part.is_meant).collect());
    // What the task does not speak of goes first, and of that what stands last.
    let mut order: Vec<usize> = (0..n).rev().collect();
    order.sort_by_key(|id| parts.get(*id).is_some_and(|part| part.is_meant));
    if n <= MOST_SINGLE {
        for left_out in order {
            add((0..n).map(|id| id != left_out).collect());
        }
    }
    versions
}

/// Cuts a file of a change into pieces; adds its parts to `parts`, and their numbers are the places there.
fn pieces<'a>(change: usize, old: &'a str, new: &'a str, names: &[&str], parts: &mut Vec<Part>) -> Vec<Piece<'a>> {
    let old_lines: Vec<&str> = old.split_inclusive('\n').collect();
    let new_lines: Vec<&str> = new.split_inclusive('\n').collect();
    let (mut pieces, mut line, mut pair) = (Vec::new(), 1, (Vec::new(), Vec::new()));
    let mut close = |pair: &mut (Vec<&'a str>, Vec<&'a str>), pieces: &mut Vec<Piece<'a>>, end: usize| {
        let (old, new) = std::mem::take(pair);
        let first = end - old.len();
        let is_paired = old.len() == new.len() && old.len() <= MOST_PAIRED;
        let all = if is_paired {
            old.into_iter().zip(new).map(|(old, new)| (vec![old], vec![new])).collect()
        } else {
            vec![(old, new)]
        };
        for (nth, (old, new)) in all.into_iter().enumerate() {
            let line = first + nth;
            let is_meant = is_meant(&old_lines, line, &new, names);
            pieces.push(Piece::Part { id: parts.len(), old, new });
            parts.push(Part { change, line, is_meant });
        }
    };
    for (side, text) in compare(&old_lines, &new_lines) {
        match side {
            Side::Old => pair.0.push(text),
            Side::New => pair.1.push(text),
            Side::Both => {
                if pair != (Vec::new(), Vec::new()) {
                    close(&mut pair, &mut pieces, line);
                }
                pieces.push(Piece::Same(text));
            }
        }
        line += usize::from(side != Side::New);
    }
    if pair != (Vec::new(), Vec::new()) {
        close(&mut pair, &mut pieces, line);
    }
    pieces
}

/// Returns whether the definition around a line, counted from 1, or the new text there, has a name of the task.
fn is_meant(old: &[&str], line: usize, new: &[&str], names: &[&str]) -> bool {
    let is_name = |name: &str| names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name));
    let around = old.iter().take(line).rev().find_map(|line| header(line));
    around.is_some_and(|(_, name)| is_name(name))
        || new.iter().any(|line| header(line).is_some_and(|(_, name)| is_name(name)))
}

fn text(pieces: &[Piece<'_>], keeps: &dyn Fn(usize) -> bool) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Same(line) => text.push_str(line),
            Piece::Part { id, new, .. } if keeps(*id) => text.extend(new.iter().copied()),
            Piece::Part { old, .. } => text.extend(old.iter().copied()),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "class Ledger:
    def largest(self):
        return low

    def statement(self):
        sign = 1
        return payer
";

    fn write(path: &str, content: &str) -> Change {
        Change::Write { path: path.to_string(), content: content.to_string() }
    }

    /// `left out => content of a.py` of each version.
    fn of(new: &str, names: &[&str]) -> Vec<String> {
        let before = |path: &str| (path == "a.py").then(|| OLD.to_string());
        let versions = lesser(&[write("a.py", new)], &before, names);
        versions
            .iter()
            .map(|lesser| {
                let text: Vec<String> = lesser
                    .changes
                    .iter()
                    .map(|change| match change {
                        Change::Write { content, .. } => content.clone(),
                        Change::Delete { path } => format!("no {path}"),
                    })
                    .collect();
                format!("{} => {}", lesser.left_out, text.join("|"))
            })
            .collect()
    }

    #[test]
    fn what_the_task_does_not_speak_of_is_left_out_first() {
        let slip = OLD.replace("low", "high").replace("payer", "payee");
        let mended = OLD.replace("low", "high");
        let other = OLD.replace("payer", "payee");
        let want = [format!("line 7 of `a.py` => {mended}"), format!("line 3 of `a.py` => {other}")];
        assert_eq!(of(&slip, &["largest"]), want);
        // Without a name of the task, what stands last.
        assert_eq!(of(&slip, &[]), want);
        assert_eq!(of(&slip, &["statement"]), [want[1].clone(), want[0].clone()]);
    }

    #[test]
    fn lines_in_the_place_of_lines_are_a_part_each() {
        let new = OLD.replace("sign = 1", "sign = -1").replace("payer", "payee");
        let want = [
            format!("line 7 of `a.py` => {}", OLD.replace("sign = 1", "sign = -1")),
            format!("line 6 of `a.py` => {}", OLD.replace("payer", "payee")),
        ];
        assert_eq!(of(&new, &["statement"]), want);
        // One more line than before: one part, and nothing less of it.
        assert_eq!(of(&OLD.replace("sign = 1", "sign = -1\n        x = 2"), &["statement"]), Vec::<String>::new());
    }

    #[test]
    fn a_new_file_is_a_part_and_so_is_one_that_goes() {
        let before = |path: &str| (path != "new.py").then(|| OLD.to_string());
        let mended = write("a.py", &OLD.replace("low", "high"));
        let changes = [mended.clone(), write("new.py", "x = 1\n"), Change::Delete { path: "b.py".to_string() }];
        let versions = lesser(&changes, &before, &["largest"]);
        assert_eq!(versions[0], Lesser { changes: vec![mended], left_out: "`new.py`, `b.py`".to_string() });
        assert_eq!(versions.len(), 4);
    }

    #[test]
    fn what_says_what_is_right_is_known() {
        let red = [vec!["sh".to_string(), "-c".to_string(), "cd x && python3 check.py".to_string()]];
        let found = ["tests/test_a.py", "check.py", "a.py"].map(|path| judges(path, red.iter()));
        assert_eq!(found, [true, true, false]);
    }

    #[test]
    fn another_text_has_no_lesser_version() {
        let lines = |from: usize| {
            let lines: Vec<String> = (from..from + 30).map(|n| format!("{n}\nsame\n")).collect();
            lines.concat()
        };
        let before = |_: &str| Some(lines(0));
        assert_eq!(lesser(&[write("a.py", &lines(100))], &before, &[]), []);
        assert_eq!(of(&OLD.replace("low", "high"), &["largest"]), Vec::<String>::new());
    }
}
