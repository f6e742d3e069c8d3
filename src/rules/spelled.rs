//! Paths as models and people spell them: which known file is meant by a spelling that is none of a file. Pure.
//!
//! **Invariant:** what is meant is a known path, or lies below the work directory by its text; `names.rs` still judges it.

use crate::rules::blocks::language;
use crate::rules::drafts::{clean, same};

/// What is known of the places that a reply may speak of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Places<'a> {
    /// The work directory, absolute; empty where nobody knows.
    pub root: &'a str,
    /// Beginnings that are no directory there: `a` and `b` of a diff, the name of the work directory.
    pub strange: &'a [String],
    /// Files that the task wants made.
    pub new: &'a [String],
}

/// Returns the path that is meant by a spelling; `None` where it is known, or nothing is known that it could mean.
pub fn meant(path: &str, known: &[&str], places: &Places<'_>) -> Option<String> {
    let named = |path: &str| known.iter().copied().find(|known| same(known, path));
    let new = |path: &str| places.new.iter().any(|new| same(new, path));
    if path.is_empty() || named(path).is_some() || new(path) {
        return None;
    }
    let slashed = path.replace('\\', "/");
    let below = slashed.strip_prefix(places.root).filter(|_| !places.root.is_empty());
    let inside = below.and_then(|rest| rest.strip_prefix('/'));
    let short = without_place(clean(inside.unwrap_or(&slashed)));
    let cut = || places.strange.iter().find_map(|start| named(short.strip_prefix(start.as_str())?.strip_prefix('/')?));
    let mut alike = known.iter().copied().filter(|known| clean(known).eq_ignore_ascii_case(short));
    let found = named(short).or_else(cut).or_else(|| alike.next().filter(|_| alike.next().is_none()));
    found.or_else(|| inside.map(|_| short)).map(str::to_string)
}

/// Takes `:12`, `:12-20` and `#L12` off.
fn without_place(path: &str) -> &str {
    let path = path.split_once("#L").map_or(path, |(path, _)| path);
    let is_place = |place: &str| place.starts_with(|char: char| char.is_ascii_digit());
    path.split_once(':').filter(|(_, place)| is_place(place)).map_or(path, |(path, _)| path)
}

/// Returns quotations that can be the name of a file with blanks in it, `My notes.md`, and whether each is one by what
/// stands before it, whether or not there is such a file: `python calc.py` is a command.
pub fn quoted(task: &str) -> Vec<(&str, bool)> {
    let mut found = Vec::new();
    for mark in ['`', '"', '\''] {
        let mut before = "";
        for (number, part) in task.split(mark).enumerate() {
            if number % 2 == 1 && is_name(part) {
                let word = before.trim_end().rsplit(char::is_whitespace).next().unwrap_or("").to_lowercase();
                let is_said = matches!(word.as_str(), "named" | "called" | "file" | "titled");
                let is_made = matches!(word.as_str(), "create" | "write" | "make" | "new" | "to" | "into" | "as");
                found.push((part, is_said || is_made && part.starts_with(char::is_uppercase)));
            }
            before = part;
        }
    }
    found
}

/// Whether a text with blanks may be one name: only the last word ends like a file.
fn is_name(text: &str) -> bool {
    let is_plain = |char: char| char.is_alphanumeric() || " ._-+()&,'/".contains(char);
    let is_file = |word: &str| word.contains('.') && language(word).is_some();
    let mut words = text.split(' ').rev();
    let ends = words.next().is_some_and(is_file);
    text.len() <= 200
        && text.trim() == text
        && text.contains(' ')
        && text.chars().all(is_plain)
        && ends
        && !words.any(is_file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spelling_means_the_file_that_is_known() {
        let strange = ["a", "b", "proj"].map(String::from);
        let new = ["b/new.py".to_string(), "A.PY".to_string()];
        let places = Places { root: "/home/me/proj", strange: &strange, new: &new };
        let known = ["a.py", "src/Main.java", "./lib/b.py", "my notes.md"];
        for (path, want) in [
            ("/home/me/proj/a.py", "a.py"),
            ("/home/me/proj/other/x.py", "other/x.py"),
            ("/home/me/proj/../x.py", "../x.py"),
            ("a/a.py", "a.py"),
            ("b/lib/b.py", "./lib/b.py"),
            ("proj/src/Main.java", "src/Main.java"),
            ("src\\Main.java", "src/Main.java"),
            (".\\a.py", "a.py"),
            ("a.py:12", "a.py"),
            ("a.py:12-20", "a.py"),
            ("a.py#L3-L9", "a.py"),
            ("SRC/main.java", "src/Main.java"),
        ] {
            assert_eq!(meant(path, &known, &places).as_deref(), Some(want), "{path}");
        }
        for path in [
            "a.py",
            "./a.py",
            "b/new.py",
            "A.PY",
            "x.py",
            "a/x.py",
            "/home/me/project/a.py",
            "/etc/a.py",
            "../a.py",
            "C:\\a.py",
            "..\\a.py",
            "",
            "lib\\x.py",
        ] {
            assert_eq!(meant(path, &known, &places), None, "{path}");
        }
        assert_eq!(meant("a/a.py", &known, &Places::default()), None, "`a` may be a directory");
        assert_eq!(meant("/a.py", &known, &Places::default()), None);
    }

    #[test]
    fn quotations_can_be_names_with_blanks() {
        let check = |task: &str, want: &[(&str, bool)]| assert_eq!(quoted(task), want, "{task}");
        check("Fix add in `my calc.py`", &[("my calc.py", false)]);
        check("Create \"My Notes.md\" with a title", &[("My Notes.md", true)]);
        check("Add a file called 'to do.md'", &[("to do.md", true)]);
        check("Say how `python calc.py` is called", &[("python calc.py", false)]);
        check("Create \"a.py and b.py\", don't touch 'c.py'", &[]);
        check("Print `x = load(a.json)` and \"no file\"", &[]);
    }
}
