//! What the text of code says about it without running it: its length, its branches, whether brackets and indentation
//! agree. Pure. One pass over the text with a lexer that knows comments and strings of the usual families of languages;
//! it is no parser, and says nothing of a language that it does not know.

use crate::rules::numbers::count;

/// What stands in code.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shape {
    /// Lines that are neither blank nor only a comment.
    pub lines: f64,
    /// Words that branch or loop.
    pub branches: f64,
    /// Number literals.
    pub numbers: f64,
    /// Brackets without their other half, and Python lines that are indented without a reason or not indented with one;
    /// `None` for a language that is not known.
    pub unbalanced: Option<f64>,
}

/// A family of languages: how comments begin, and what opens a string.
#[derive(Clone, Copy, PartialEq)]
enum Family {
    /// `#` comments, `'`, `"` and three of them.
    Python,
    /// `//` and `/*` comments; strings in `"`, and in `'` and backticks where the flag says so.
    Braces {
        quotes: bool,
    },
    Json,
    /// Brackets in it need not match (`case x)`).
    Other,
}

fn family(language: &str) -> Family {
    let is = |names: &str| names.split(' ').any(|name| name.eq_ignore_ascii_case(language));
    if is("python py python3") {
        Family::Python
    } else if is("javascript js typescript ts jsx tsx mjs") {
        Family::Braces { quotes: true }
    } else if is("rust rs go java c cpp c++ h hpp cs csharp kotlin kt swift scala") {
        Family::Braces { quotes: false }
    } else if is("json") {
        Family::Json
    } else {
        Family::Other
    }
}

/// Whether a language is known as one of programs.
pub fn is_known(language: &str) -> bool {
    matches!(family(language), Family::Python | Family::Braces { .. })
}

const BRANCHES: &[&str] = &[
    "if", "elif", "elsif", "for", "while", "until", "case", "match", "switch", "except", "catch", "and", "or", "when",
    "unless", "loop",
];

/// Returns the shape of code in a language, over the lines that `is_new` holds for; brackets are matched over all lines.
pub fn shape(code: &str, language: &str, is_new: &dyn Fn(&str) -> bool) -> Shape {
    let family = family(language);
    let mut lexer = Lexer { family, inside: Inside::Code, stack: Vec::new(), faults: 0 };
    let mut indents = Indents::default();
    let mut shape = Shape::default();
    for line in code.lines() {
        let continues = !lexer.stack.is_empty() || lexer.inside != Inside::Code;
        let plain = lexer.line(line);
        if plain.trim().is_empty() {
            continue;
        }
        if family == Family::Python && !continues {
            indents.line(&plain);
        }
        if is_new(line.trim()) {
            shape.lines += 1.0;
            let words = plain.split(|char: char| !char.is_alphanumeric() && char != '_' && char != '.');
            for word in words {
                shape.branches += f64::from(BRANCHES.contains(&word));
                shape.numbers += f64::from(word.starts_with(|first: char| first.is_ascii_digit()));
            }
            shape.branches += count(plain.matches("&&").count() + plain.matches("||").count());
        }
    }
    let open = lexer.stack.len() + usize::from(lexer.inside != Inside::Code);
    let faults = count(lexer.faults + open + indents.faults);
    shape.unbalanced = (family != Family::Other).then_some(faults);
    shape
}

/// Whether two texts are the same but for blank lines and blanks at the ends of lines.
pub fn is_same(one: &str, two: &str) -> bool {
    let lines = |text| str::lines(text).map(str::trim_end).filter(|line| !line.is_empty());
    lines(one).eq(lines(two)) && lines(one).next().is_some()
}

/// Where a line begins.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Inside {
    Code,
    /// A comment up to `*/`.
    Comment,
    /// A string of several lines, up to this quote: three in Python, a backtick in JavaScript.
    Text(char),
}

struct Lexer {
    family: Family,
    inside: Inside,
    /// The closing brackets that are expected.
    stack: Vec<char>,
    /// Closing brackets that nothing opened.
    faults: usize,
}

impl Lexer {
    /// Reads a line; returns it without comments and the insides of strings.
    fn line(&mut self, line: &str) -> String {
        let mut plain = String::with_capacity(line.len());
        let mut rest = line;
        while let Some(char) = rest.chars().next() {
            rest = match self.inside {
                Inside::Code => self.code(rest, char, &mut plain),
                Inside::Comment => self.until(rest, "*/"),
                Inside::Text('`') => self.until(rest, "`"),
                Inside::Text('\'') => self.until(rest, "'''"),
                Inside::Text(_) => self.until(rest, "\"\"\""),
            };
        }
        plain
    }

    /// Reads to the end of a long string or comment, or of the line.
    fn until<'t>(&mut self, rest: &'t str, end: &str) -> &'t str {
        let mut at = 0;
        while let Some(rest) = rest.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some(after) = rest.strip_prefix(end) {
                self.inside = Inside::Code;
                return after;
            }
            let escaped = rest.starts_with('\\') && self.inside != Inside::Comment;
            at += rest.chars().take(1 + usize::from(escaped)).map(char::len_utf8).sum::<usize>();
        }
        ""
    }

    fn code<'t>(&mut self, rest: &'t str, char: char, plain: &mut String) -> &'t str {
        let after = rest.get(char.len_utf8()..).unwrap_or_default();
        match (self.family, char) {
            (Family::Python | Family::Other, '#') => return "",
            (Family::Braces { .. }, '/') if after.starts_with('/') => return "",
            (Family::Braces { .. }, '/') if after.starts_with('*') => {
                self.inside = Inside::Comment;
                return after.get(1..).unwrap_or_default();
            }
            // A slash where a value is expected begins a pattern.
            (Family::Braces { quotes: true }, '/') if is_before_a_value(plain) => return quoted(after, '/'),
            (Family::Braces { quotes: true }, '`') => {
                self.inside = Inside::Text('`');
                plain.push('"');
                return after;
            }
            (Family::Python, '"' | '\'') if after.starts_with([char, char].iter().collect::<String>().as_str()) => {
                self.inside = Inside::Text(char);
                plain.push('"');
                return after.get(2..).unwrap_or_default();
            }
            (_, '"') | (Family::Python | Family::Other | Family::Braces { quotes: true }, '\'') => {
                plain.push('"');
                return quoted(after, char);
            }
            // A character, and no lifetime or label: 'x' or '\n'.
            (Family::Braces { quotes: false }, '\'') => {
                let is_char = after.starts_with('\\') || after.chars().nth(1) == Some('\'');
                return if is_char { quoted(after, char) } else { after };
            }
            (_, '(') => self.stack.push(')'),
            (_, '[') => self.stack.push(']'),
            (_, '{') => self.stack.push('}'),
            (_, ')' | ']' | '}') => match self.stack.pop() {
                Some(expected) if expected == char => {}
                Some(_) | None => self.faults += 1,
            },
            (Family::Python | Family::Braces { .. } | Family::Json | Family::Other, _) => {}
        }
        plain.push(char);
        after
    }
}

fn is_before_a_value(plain: &str) -> bool {
    let before = plain.trim_end();
    before.is_empty()
        || before.ends_with(['(', ',', '=', ':', '[', '!', '&', '|', '?', '{', '}', ';'])
        || before.ends_with("return")
}

/// Returns what follows the end of a string of one line, or nothing.
fn quoted(rest: &str, quote: char) -> &str {
    let mut chars = rest.char_indices();
    while let Some((at, char)) = chars.next() {
        if char == '\\' {
            chars.next();
        } else if char == quote {
            return rest.get(at + char.len_utf8()..).unwrap_or_default();
        }
    }
    ""
}

/// Python's rule: a line is deeper than the one before only after a colon, and then it has to be.
#[derive(Default)]
struct Indents {
    open: Vec<usize>,
    expects: bool,
    faults: usize,
}

impl Indents {
    fn line(&mut self, plain: &str) {
        let text = plain.trim_end();
        let depth = text.len() - text.trim_start().len();
        let last = self.open.last().copied().unwrap_or(0);
        let is_first = self.open.is_empty() && !self.expects;
        if self.expects != (depth > last) && !is_first {
            self.faults += 1;
        }
        self.open.retain(|open| *open < depth);
        self.open.push(depth);
        self.expects = text.ends_with(':');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(language: &str, code: &str, expected: Option<f64>) {
        assert_eq!(shape(code, language, &|_| true).unbalanced, expected, "{language}: {code}");
    }

    #[test]
    fn brackets_and_indentation_agree_or_not() {
        check("python", "def f(x):\n    return [x]\n", Some(0.0));
        check("py", "def f(x):\nreturn x\n", Some(1.0));
        check("python", "def f(x):\n    y = 1\n      z = 2\n    return y\n", Some(1.0));
        check("python", "x = (1,\n     2\n", Some(1.0));
        check("python", "x = {\n  'a': [1],\n}\nif x:\n    pass\nelse:\n    pass\n", Some(0.0));
        check("python", "def f():\n    \"\"\"It's (open\n  and [deep:\n    \"\"\"\n    return ')' # (\n", Some(0.0));
        check("python", "def f():\n    \"\"\"never closed\n    return 1\n", Some(1.0));
        check("python", "    def method(self):\n        pass\n", Some(0.0));
        check("rust", "fn f<'a>(x: &'a str) -> char { if x == \"}\" { '{' } else { '\\'' } }", Some(0.0));
        check("rust", "fn f() { /* } */\n // }\n g(1); }\n}", Some(1.0));
        check("js", "const a = /[(]/.test(x) ? `(${b}\n[` : '}';\nf(() => { return 1 / 2; });", Some(0.0));
        check("js", "f(() => {\n  g();\n)", Some(2.0));
        check("json", "{\"a\": [1, \"]\"]}", Some(0.0));
        check("sh", "case x in a) ;; esac", None);
        check("", "anything (", None);
    }

    #[test]
    fn what_branches_is_counted_outside_strings_and_comments() {
        let code = "def f(x):\n    # if this\n    \"\"\"for that\"\"\"\n    if x > 10 and x != 2.5:\n        return 1\n    return \"or\"\n";
        let shape = shape(code, "python", &|_| true);
        assert_eq!((shape.lines, shape.branches, shape.numbers), (5.0, 2.0, 3.0), "{shape:?}");
        let js = super::shape("if (a && b || c) { x1 = 1; }", "js", &|_| true);
        assert_eq!((js.branches, js.numbers), (3.0, 1.0), "{js:?}");
    }

    #[test]
    fn blank_lines_make_no_other_file() {
        assert!(is_same("\n\ndef f():\n    pass\n", "def f():  \n\n    pass"));
        assert!(!is_same("def f():\n    pass\n", "def f():\n  pass\n"));
        assert!(!is_same("a\nb\n", "a\n") && !is_same("", "\n"));
    }

    #[test]
    fn shown_lines_do_not_count() {
        let code = "def f(x):\n    if x:\n        return 1\n    return 2\n";
        let shape = shape(code, "python", &|line| line == "return 2");
        assert_eq!((shape.lines, shape.branches, shape.numbers, shape.unbalanced), (1.0, 0.0, 1.0, Some(0.0)));
    }
}
