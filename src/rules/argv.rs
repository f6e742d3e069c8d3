//! A command line in one string → a list of arguments, by the quoting rules of POSIX sh (§2.2). Not a shell: nothing is
//! expanded, and what a shell would expand or obey is an error instead of a surprise.

use crate::rules::config::CommandSpec;
use std::fmt;

/// What a shell would act upon where it is not quoted.
const OPERATORS: &str = "|&;<>$*`";

/// Why a string is not a list of arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Empty,
    /// A quote without its partner.
    Unclosed(char),
    /// A backslash with nothing behind it.
    Dangling,
    /// Only a shell could do this: an operator, an expansion, or a newline between two words.
    Shell(char),
    /// A NUL byte can't be passed to a program.
    Nul,
    /// It begins like a list of texts in JSON, and is none.
    List,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Empty => f.write_str("the command is empty"),
            Fault::Unclosed(quote) => write!(f, "a {quote} is not closed"),
            Fault::Dangling => f.write_str("it ends in a backslash"),
            Fault::Shell('\n') => f.write_str("a line break needs a shell"),
            Fault::Shell(char) => write!(f, "`{char}` needs a shell"),
            Fault::Nul => f.write_str("it holds a NUL byte"),
            Fault::List => f.write_str("it is no list of texts in JSON"),
        }
    }
}

impl Fault {
    /// Returns what to write instead of `text`.
    pub fn hint(self, text: &str) -> String {
        match self {
            Fault::Shell(_) => {
                let quoted = serde_json::Value::from(text.trim());
                format!(r#"write it as ["sh", "-c", {quoted}], or quote the character"#)
            }
            Fault::Empty => "a program and its arguments, such as `cargo test -q`".into(),
            Fault::Unclosed(_) | Fault::Dangling | Fault::Nul | Fault::List => {
                r#"a list is taken as it stands: ["program", "an argument"]"#.into()
            }
        }
    }
}

/// Returns the arguments of a command of the configuration.
///
/// # Errors
/// As [`split`]; `Empty` for a list without a program.
pub fn of(command: &CommandSpec) -> Result<Vec<String>, Fault> {
    match command {
        CommandSpec::Argv(argv) if argv.first().is_none_or(String::is_empty) => Err(Fault::Empty),
        CommandSpec::Argv(argv) => Ok(argv.clone()),
        CommandSpec::Line(text) => split(text),
    }
}

/// Returns a command as a shell takes it.
pub fn written(command: &CommandSpec) -> String {
    match command {
        CommandSpec::Line(line) => line.clone(),
        CommandSpec::Argv(argv) => spell(argv),
    }
}

/// Returns arguments as a line that [`split`] and a shell read back as the same arguments.
pub fn spell(argv: &[String]) -> String {
    argv.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
}

/// Quotes for a shell what needs it.
pub fn quote(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "/._-:@+,=".contains(char);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Splits a command line into its arguments.
///
/// # Errors
/// Any [`Fault`]. In double quotes `$` and the backtick are faults as well, since a shell expands them there.
pub fn split(text: &str) -> Result<Vec<String>, Fault> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None; // `Some("")` after an empty pair of quotes: that is an argument, too
    let mut chars = text.trim_ascii_start().chars();
    while let Some(char) = chars.next() {
        match char {
            '\0' => return Err(Fault::Nul),
            ' ' | '\t' | '\r' => words.extend(word.take()),
            '\\' => match chars.next() {
                None => return Err(Fault::Dangling),
                Some('\n') => {} // a line continues
                Some(literal) => word.get_or_insert_default().push(literal),
            },
            '\'' => single_quoted(&mut chars, word.get_or_insert_default())?,
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            '\n' if chars.as_str().trim_ascii().is_empty() => break,
            '\n' => return Err(Fault::Shell('\n')),
            char if OPERATORS.contains(char) => return Err(Fault::Shell(char)),
            literal => word.get_or_insert_default().push(literal),
        }
    }
    words.extend(word);
    // A program without a name cannot be meant.
    if words.first().is_none_or(String::is_empty) { Err(Fault::Empty) } else { Ok(words) }
}

fn single_quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), Fault> {
    for char in chars {
        match char {
            '\'' => return Ok(()),
            '\0' => return Err(Fault::Nul),
            literal => word.push(literal),
        }
    }
    Err(Fault::Unclosed('\''))
}

/// Reads up to the closing quote. A backslash is one unless it stands before a character that is special here.
fn double_quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), Fault> {
    while let Some(char) = chars.next() {
        match char {
            '"' => return Ok(()),
            '$' | '`' => return Err(Fault::Shell(char)),
            '\\' => match chars.next() {
                None => break,
                Some('\n') => {}
                Some(literal @ ('$' | '`' | '"' | '\\')) => word.push(literal),
                Some(other) => word.extend(['\\', other]),
            },
            '\0' => return Err(Fault::Nul),
            literal => word.push(literal),
        }
    }
    Err(Fault::Unclosed('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(split(text).as_deref(), Ok(&expected.iter().map(|&word| word.into()).collect::<Vec<String>>()[..]));
    }

    #[track_caller]
    fn fails(text: &str, expected: Fault) {
        assert_eq!(split(text), Err(expected), "{text}");
    }

    #[test]
    fn what_is_spelled_is_read_back() {
        for words in [&["a"][..], &["sh", "-c", "make && ./check 'x'"], &["x", "", "a b", "$x", "*"], &["it's"]] {
            let argv: Vec<String> = words.iter().map(ToString::to_string).collect();
            assert_eq!(split(&spell(&argv)).as_ref(), Ok(&argv), "{}", spell(&argv));
        }
    }

    #[test]
    fn words_are_split_as_a_shell_splits_them() {
        check("cargo test", &["cargo", "test"]);
        check("  python3 \t -m  pytest -q\n", &["python3", "-m", "pytest", "-q"]);
        check("a 'b c' d", &["a", "b c", "d"]);
        check("a 'b'\"c\"d", &["a", "bcd"]);
        check("a '' \"\"", &["a", "", ""]);
        check("a '$HOME | * `x` \\' b", &["a", "$HOME | * `x` \\", "b"]);
        check(r#"a "b \"c\" \\ \$x \` \n 'd' | & ; < > *""#, &["a", r#"b "c" \ $x ` \n 'd' | & ; < > *"#]);
        check(r"a\ b \| \; \$x \* \' \\", &["a b", "|", ";", "$x", "*", "'", r"\"]);
        check("a \\\n b", &["a", "b"]);
        check("a b\\\nc \"d\\\ne\"", &["a", "bc", "de"]);
        check("grep -E 'a|b' x", &["grep", "-E", "a|b", "x"]);
        check("a # b ~ ? [c] {d} !e (f) g=h", &["a", "#", "b", "~", "?", "[c]", "{d}", "!e", "(f)", "g=h"]);
        check("pytest tests/über 测试", &["pytest", "tests/über", "测试"]);
        check("'a b'/c", &["a b/c"]);
        check("cargo\r\n", &["cargo"]);
        check("\n a\\ \n\t\n", &["a "]);
    }

    #[test]
    fn what_a_shell_would_obey_is_refused() {
        for (text, char) in [
            ("a | b", '|'),
            ("a && b", '&'),
            ("a&", '&'),
            ("a;b", ';'),
            ("a < b", '<'),
            ("a 2>&1", '>'),
            ("echo $HOME", '$'),
            ("echo $(id)", '$'),
            ("rm *.o", '*'),
            ("echo `id`", '`'),
            ("echo \"$HOME\"", '$'),
            ("echo \"a `id`\"", '`'),
            ("'a'|b", '|'),
            ("cargo fmt\ncargo test", '\n'),
        ] {
            fails(text, Fault::Shell(char));
        }
    }

    #[test]
    fn broken_lines_are_refused() {
        fails("", Fault::Empty);
        fails(" \n\t", Fault::Empty);
        fails("'' a", Fault::Empty);
        fails("a 'b", Fault::Unclosed('\''));
        fails("a \"b", Fault::Unclosed('"'));
        fails("a \"b\\", Fault::Unclosed('"'));
        fails("a\\", Fault::Dangling);
        fails("a \0", Fault::Nul);
        fails("a \"\0\"", Fault::Nul);
    }

    #[test]
    fn the_hint_can_be_pasted() {
        let text = "printf \"a\\n\" | wc";
        let fault = split(text).unwrap_err();
        let hint = fault.hint(text);
        let list = &hint[hint.find('[').unwrap()..=hint.find(']').unwrap()];
        assert_eq!(serde_json::from_str::<Vec<String>>(list).unwrap(), ["sh", "-c", text]);
        assert_eq!(fault.to_string(), "`|` needs a shell");
        assert_eq!(Fault::Dangling.hint("a\\"), r#"a list is taken as it stands: ["program", "an argument"]"#);
    }
}
