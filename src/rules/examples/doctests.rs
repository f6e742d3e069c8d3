//! Doctests: `>>> f(1)` and below it what Python prints. Pure.

use crate::rules::examples::literals::is_wish;

/// The examples of one docstring; they share their names, so they are tried together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Of the function or class that they belong to.
    pub name: String,
    /// As doctest reads them, without indentation.
    pub text: String,
    pub n: usize,
}

/// Returns the groups in a Python file, a docstring each.
pub fn in_file(text: &str) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut name = "module";
    let mut rest = text;
    while let Some((code, mark, inside)) = opened(rest) {
        name = code.lines().rev().find_map(defined).unwrap_or(name);
        let (docstring, after) = inside.split_once(mark).unwrap_or((inside, ""));
        groups.extend(group(name, docstring));
        rest = after;
    }
    groups
}

/// Returns the groups in a task: each block up to a blank line or a fence, unless it may tell of the fault. Outside of
/// fences nobody can tell where a result of several lines ends, so such a block is passed over.
pub fn in_task(task: &str) -> Vec<Group> {
    let mut groups = Vec::new();
    let (mut is_fenced, mut at) = (false, 0);
    let mut block: Option<usize> = None;
    for line in task.split_inclusive('\n').chain(["\n"]) {
        let text = line.trim();
        let is_fence = text.starts_with("```");
        if let Some(from) = block.filter(|_| is_fence || text.is_empty()) {
            block = None;
            let whole = task.get(from..at).unwrap_or_default();
            let results = whole
                .split(">>> ")
                .skip(1)
                .map(|example| example.lines().filter(|line| !line.starts_with("...")).count());
            let is_plain = is_fenced || results.max().unwrap_or_default() <= 2;
            // The sentence that speaks of a block stands before it.
            let before = task.get(..from).unwrap_or_default().trim_end_matches(['\n', ' ', '`']);
            let before = before.trim_end_matches("```python").trim_end().trim_end_matches(':');
            groups.extend(group("task", whole).filter(|_| is_plain && is_wish(task, before.len(), at)));
        } else if block.is_none() && text.starts_with(">>> ") {
            block = Some(at);
        }
        is_fenced ^= is_fence;
        at += line.len();
    }
    groups
}

/// Splits at the first triple quote.
fn opened(text: &str) -> Option<(&str, &'static str, &str)> {
    let split = |mark: &'static str| text.split_once(mark).map(|(code, inside)| (code, mark, inside));
    [split("\"\"\""), split("'''")].into_iter().flatten().min_by_key(|(code, _, _)| code.len())
}

fn defined(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("async ").unwrap_or(line);
    let name = line.strip_prefix("def ").or(line.strip_prefix("class "))?;
    name.split(|char: char| !(char.is_alphanumeric() || char == '_')).next()
}

/// Takes the examples out of a text.
fn group(name: &str, text: &str) -> Option<Group> {
    let (mut out, mut n) = (String::new(), 0);
    let mut indent: Option<&str> = None;
    for line in text.lines() {
        let start = line.trim_start();
        if start.starts_with(">>> ") {
            indent = line.get(..line.len() - start.len());
            n += 1;
        }
        if start.is_empty() {
            out.push_str(if indent.take().is_some() { "\n" } else { "" });
        } else if let Some(rest) = indent.and_then(|indent| line.strip_prefix(indent)) {
            out.push_str(rest);
            out.push('\n');
        }
    }
    (n > 0).then(|| Group { name: name.to_string(), text: format!("{}\n", out.trim_end()), n })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_docstring_is_a_group() {
        let text = "\"\"\"Module.\"\"\"\n\ndef f(n):\n    '''Says.\n\n    >>> x = f(1)\n    >>> for i in x:\n    \
                    ...     print(i)\n    1\n    2\n\n    More.\n\n    >>> f(2)\n    3\n    '''\n\n\
                    class C:\n    def g(self):\n        \"\"\"None.\"\"\"\n        '>>> no'\n";
        let group = Group {
            name: "f".into(),
            text: ">>> x = f(1)\n>>> for i in x:\n...     print(i)\n1\n2\n\n>>> f(2)\n3\n".into(),
            n: 3,
        };
        assert_eq!(in_file(text), [group]);
        assert_eq!(in_file(""), []);
    }

    #[track_caller]
    fn check(task: &str, expected: &[&str]) {
        let texts: Vec<String> = in_task(task).into_iter().map(|group| group.text).collect();
        assert_eq!(texts, expected, "{task}");
    }

    #[test]
    fn a_task_may_hold_doctests() {
        check("Write f.\n\n>>> f(1)\n2\n>>> f(2)\n3\n\nAnd a test.", &[">>> f(1)\n2\n>>> f(2)\n3\n"]);
        check("Write f:\n```python\n>>> f(1)\na\nb\n```\n", &[">>> f(1)\na\nb\n"]);
        check("Write f:\n>>> f(1)\n2\nand document it.", &[]);
        check("Write f. >>> f(1)", &[]);
        check("Fix f:\n\n>>> f(1)\n2\n", &[]);
        check("Fix f, it should do this:\n\n>>> f(1)\n2\n", &[">>> f(1)\n2\n"]);
        check("What it currently does:\n\n>>> f(1)\n2\n", &[]);
    }
}
