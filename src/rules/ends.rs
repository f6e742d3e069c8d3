//! What a reply that sends a file whole does not show: its line ends, its byte order mark, and whether its last line ends.
//! These stay as they are in the file. Pure.

use crate::rules::diff::{Side, compare};

const MARK: char = '\u{feff}';

/// Returns new content in the form of the old: models read and write lines that end in `\n`. Where the new content has
/// other line ends, it means them.
pub fn kept(old: &str, new: String) -> String {
    if old.is_empty() {
        return new;
    }
    let mut text = if old.contains("\r\n") && !new.contains('\r') { with_ends(old, &new) } else { new };
    if old.starts_with(MARK) && !text.starts_with(MARK) {
        text.insert(0, MARK);
    }
    if !old.ends_with('\n')
        && let Some(line) = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text))
        // An empty line is all there is.
        && !line.is_empty()
    {
        text.truncate(line.len());
    }
    text
}

/// Gives each line the end that it has in the old text, and lines that are not there the one that most have.
fn with_ends(old: &str, new: &str) -> String {
    let ((old, ends), (new, new_ends)) = (split(old), split(new));
    let n_crlf = ends.iter().filter(|end| **end == "\r\n").count();
    let usual = if n_crlf * 2 >= ends.len() { "\r\n" } else { "\n" };
    let (mut ends, mut out) = (ends.into_iter(), String::new());
    for (side, line) in compare(&old, &new) {
        let end = if side == Side::New { None } else { ends.next() };
        if side != Side::Old {
            out.extend([line, end.filter(|end| !end.is_empty()).unwrap_or(usual)]);
        }
    }
    if new_ends.last().is_some_and(|end| end.is_empty()) {
        out.truncate(out.strip_suffix(usual).unwrap_or(&out).len());
    }
    out
}

/// Returns the lines of a text and their ends.
fn split(text: &str) -> (Vec<&str>, Vec<&str>) {
    let bare =
        |line: &str| line.strip_suffix('\n').map_or(line.len(), |line| line.strip_suffix('\r').unwrap_or(line).len());
    text.split_inclusive('\n').map(|line| line.split_at(bare(line))).unzip()
}

/// Whether a task is about what [`kept`] keeps.
pub fn is_about(task: &str) -> bool {
    let words: Vec<String> = task
        .split(|char: char| !char.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let known = "crlf lf eol bom dos2unix unix2dos newline newlines";
    let pairs = ["line end", "carriage return", "byte order", "final new", "trailing new"];
    let is_pair = |pair: &[String]| pairs.iter().any(|known| pair.join(" ").starts_with(known));
    words.iter().any(|word| known.split(' ').any(|known| known == word)) || words.windows(2).any(is_pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_model_does_not_see_stays() {
        for (old, new, want) in [
            ("a\r\nb\r\n", "a\nB\nc\n", "a\r\nB\r\nc\r\n"),
            ("a\nb\n", "a\nB\n", "a\nB\n"),
            ("a\r\nb\nc\r\n", "a\nb\nx\nc\n", "a\r\nb\nx\r\nc\r\n"),
            ("a\nb\nc\r\n", "x\nb\nc\n", "x\nb\nc\r\n"),
            ("a\r\nb", "a\nB\n", "a\r\nB"),
            ("a\r\nb", "a\r\nB\r\n", "a\r\nB"),
            ("a\nb", "a\nb\nc\n", "a\nb\nc"),
            ("a", "b\n", "b"),
            ("a", "\n", "\n"),
            ("a\r\n", "a\nb", "a\r\nb"),
            ("\u{feff}a\r\n", "a\nb\n", "\u{feff}a\r\nb\r\n"),
            ("\u{feff}a\n", "\u{feff}b\n", "\u{feff}b\n"),
            ("", "a\n", "a\n"),
            ("a\r\n", "", ""),
            // Line ends that a reply has are meant.
            ("a\nb\n", "a\r\nb\r\n", "a\r\nb\r\n"),
        ] {
            assert_eq!(kept(old, new.to_string()), want, "{old:?} {new:?}");
        }
    }

    #[test]
    fn a_task_about_line_ends_is_left_to_the_model() {
        for task in ["Convert a.txt to CRLF", "Use Unix line endings", "Remove the BOM", "Add a final newline to a.py"]
        {
            assert!(is_about(task), "{task}");
        }
        for task in
            ["Fix the bomb in a.py", "Fix the end of the line in calc.py", "Extend half", "Fix the return value"]
        {
            assert!(!is_about(task), "{task}");
        }
    }
}
