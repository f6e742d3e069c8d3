//! The tasks of `mux bench`: small ones of six shapes in four languages, each with a check that the model never sees.
//! Pure. The table is `suite.txt`, compiled in; its form:
//!
//!     === NAME SHAPE LANGUAGE [quick]
//!     the task, one or more lines
//!     --- PATH          an input file, any number of them
//!     --- !             the hidden check: a program in the language of the task; exit 0 is right
//!     --- ?             or what an answer has to say: each line one of its alternatives, divided by `|`
//!
//! **Invariant** (tested with the real runners): the check is red on the input as it is and green on the solution in
//! `fixtures/suite/solutions.txt`.

/// The kind of work. Also the order of the rows on the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    Create,
    Fix,
    Rename,
    Extract,
    /// Write tests: right where they pass for the right implementation and fail for wrong ones.
    Tests,
    Explain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Python,
    Shell,
    JavaScript,
    Rust,
    /// Nothing has to be run.
    Any,
}

/// What tells right from wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check<'a> {
    /// A program.
    Program(&'a str),
    /// Of each line one alternative has to be in the answer, in lower case.
    Says(&'a str),
}

/// One task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task<'a> {
    pub name: &'a str,
    pub shape: Shape,
    pub language: Language,
    /// Whether it belongs to the short suite.
    pub is_quick: bool,
    pub words: &'a str,
    /// Path and content, relative to the work directory.
    pub files: Vec<(&'a str, &'a str)>,
    pub check: Check<'a>,
}

impl Shape {
    pub const ALL: [Shape; 6] =
        [Shape::Create, Shape::Fix, Shape::Rename, Shape::Extract, Shape::Tests, Shape::Explain];

    pub fn name(self) -> &'static str {
        match self {
            Shape::Create => "create",
            Shape::Fix => "fix",
            Shape::Rename => "rename",
            Shape::Extract => "extract",
            Shape::Tests => "tests",
            Shape::Explain => "explain",
        }
    }

    /// Whether a task of this shape changes files that are there, so that it can be asked for as edits.
    pub fn edits(self) -> bool {
        matches!(self, Shape::Fix | Shape::Rename | Shape::Extract)
    }
}

impl Language {
    pub const ALL: [Language; 5] =
        [Language::Python, Language::Shell, Language::JavaScript, Language::Rust, Language::Any];

    pub fn name(self) -> &'static str {
        match self {
            Language::Python => "python",
            Language::Shell => "shell",
            Language::JavaScript => "javascript",
            Language::Rust => "rust",
            Language::Any => "any",
        }
    }

    /// The name of the file that a check is written to.
    pub fn check_file(self) -> &'static str {
        match self {
            Language::Python => "mux_check.py",
            Language::Shell => "mux_check.sh",
            Language::JavaScript => "mux_check.js",
            Language::Rust => "mux_check.rs",
            Language::Any => "",
        }
    }

    /// The commands that run it, in order.
    pub fn commands(self) -> &'static [&'static [&'static str]] {
        match self {
            Language::Python => &[&["python3", "mux_check.py"]],
            Language::Shell => &[&["sh", "mux_check.sh"]],
            Language::JavaScript => &[&["node", "mux_check.js"]],
            Language::Rust => {
                &[&["rustc", "--edition", "2021", "-Awarnings", "-omux_check", "mux_check.rs"], &["./mux_check"]]
            }
            Language::Any => &[],
        }
    }

    /// The program without which a task cannot be judged.
    pub fn runner(self) -> Option<&'static str> {
        self.commands().first()?.first().copied()
    }
}

/// Returns the tasks in the order of the table.
pub fn tasks() -> Vec<Task<'static>> {
    sections(include_str!("suite.txt")).filter_map(task).collect()
}

/// The sections of a table: the words of each head, and its parts by name; the first part has none.
pub fn sections(table: &str) -> impl Iterator<Item = (Vec<&str>, Vec<(&str, &str)>)> {
    pieces(table, "=== ").skip(1).map(|(head, body)| (head.split(' ').collect(), pieces(body, "--- ").collect()))
}

/// Cuts a text before each line that begins with `mark`: what is behind the mark, and the lines below it.
fn pieces<'a>(text: &'a str, mark: &'static str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let mut rest = Some(("", text));
    std::iter::from_fn(move || {
        let (head, body) = rest.take()?;
        let next = if body.starts_with(mark) { Some(0) } else { body.find(&format!("\n{mark}")).map(|at| at + 1) };
        let Some(next) = next else { return Some((head, body)) };
        let (piece, more) = body.split_at(next);
        rest = more.strip_prefix(mark).and_then(|more| more.split_once('\n'));
        Some((head, piece))
    })
}

fn task<'a>((head, parts): (Vec<&'a str>, Vec<(&'a str, &'a str)>)) -> Option<Task<'a>> {
    let [name, shape, language, quick @ ..] = head.as_slice() else { return None };
    let part = |wanted: &str| parts.iter().find(|(name, _)| *name == wanted).map(|(_, text)| *text);
    let check = part("!").map(Check::Program).or(part("?").map(Check::Says))?;
    Some(Task {
        name,
        shape: Shape::ALL.into_iter().find(|known| known.name() == *shape)?,
        language: Language::ALL.into_iter().find(|known| known.name() == *language)?,
        is_quick: quick == ["quick"],
        words: part("")?.trim_end(),
        files: parts.iter().filter(|(name, _)| !["", "!", "?"].contains(name)).copied().collect(),
        check,
    })
}

/// Whether an answer says what is wanted.
pub fn says(wanted: &str, answer: &str) -> bool {
    let answer = answer.to_lowercase();
    wanted.lines().all(|line| line.split('|').any(|words| answer.contains(words)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::intent;
    use crate::words::task::Kind;
    use std::collections::BTreeSet;

    #[test]
    fn the_table_is_read_whole() {
        let tasks = tasks();
        assert_eq!(tasks.len(), include_str!("suite.txt").lines().filter(|line| line.starts_with("=== ")).count());
        let names: BTreeSet<&str> = tasks.iter().map(|task| task.name).collect();
        assert_eq!(names.len(), tasks.len(), "every name once");
        for shape in Shape::ALL {
            assert!(tasks.iter().filter(|task| task.shape == shape).count() >= 3, "{shape:?}");
        }
        assert_eq!(tasks.iter().filter(|task| task.is_quick).count(), 5);
        let first = &tasks[0];
        assert_eq!((first.name, first.shape, first.language), ("py-slug", Shape::Create, Language::Python));
        assert!(first.files.is_empty() && first.words.starts_with("Create slug.py"), "{first:?}");
        let rename = tasks.iter().find(|task| task.name == "py-rename").unwrap();
        let names: Vec<&str> = rename.files.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["price.py", "order.py"]);
        for task in &tasks {
            assert_eq!(task.files.is_empty(), !task.shape.edits() && task.shape != Shape::Tests, "{}", task.name);
        }
    }

    #[test]
    fn mux_reads_each_task_as_what_it_is() {
        for task in tasks() {
            let wanted = if task.shape == Shape::Explain { Kind::Answer } else { Kind::Change };
            assert_eq!(intent::read(task.words, &[]).kind, wanted, "{}", task.name);
        }
    }

    #[test]
    fn an_answer_has_to_say_one_thing_of_each_line() {
        assert!(says("1 2 1\n", "It prints `1 2 1`."));
        assert!(says("names\nmove|moved\n", "`names` was MOVED"));
        assert!(!says("names\nmove|moved\n", "It was moved."));
        assert!(!says("1 2 1\n", ""));
    }
}
