//! Which command of a language's own can tell whether a file parses, and what it says where not. Pure; runs nothing.
//!
//! None of these commands executes a line of the file. A language whose checker would refuse good files is left out:
//! YAML has many dialects, TypeScript and JSX are not JavaScript.

use crate::rules::blocks::file_name;

/// Reads the source from standard input. Nothing of it is run or imported, and nothing is written: `-I` keeps the
/// directory out of the module path, so that a file `sys.py` there is no danger. Exit code 3, because 1 is what any
/// failure of Python's own gives.
const PYTHON: &str = "\
import sys
try:
    compile(sys.stdin.buffer.read(), 'file', 'exec', 0, True)
except SyntaxError as e:
    sys.stderr.write('SyntaxError: line %s: %s\\n%s\\n' % (e.lineno, e.msg, (e.text or '').rstrip()))
    sys.exit(3)
except ValueError as e:
    sys.stderr.write('SyntaxError: %s\\n' % e)
    sys.exit(3)
";

/// Lines and bytes of an error that are quoted.
const MOST_LINES: usize = 6;
const MOST_BYTES: usize = 600;

/// How a file can be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checker {
    /// Commands that read it from standard input. It parses if one of them says so; what the first says is quoted.
    Commands(Vec<Vec<&'static str>>),
    /// Here.
    Json,
}

/// Returns how a file can be checked, by its name and its first line.
pub fn checker(path: &str, text: &str) -> Option<Checker> {
    let first = text.lines().next().unwrap_or_default();
    let interpreter = first.strip_prefix("#!").map(|rest| {
        let mut words = rest.split_whitespace().map(file_name).filter(|word| *word != "env" && !word.starts_with('-'));
        words.next().unwrap_or_default()
    });
    let (_, ending) = file_name(path).rsplit_once('.').unwrap_or_default();
    let commands = match (ending, interpreter) {
        ("py" | "pyi", _) | ("", Some("python3" | "python")) => vec![vec!["python3", "-I", "-S", "-c", PYTHON]],
        ("js" | "mjs" | "cjs", _) | ("", Some("node")) => javascript(ending, text)?,
        // Without a first line that says so, a script may be for either; bash reads both.
        ("sh", None) | ("bash", _) | ("sh" | "", Some("bash")) => vec![vec!["bash", "-n"]],
        ("sh" | "", Some("sh" | "dash")) => vec![vec!["sh", "-n"]],
        ("json", _) => return (!has_comments(path)).then_some(Checker::Json),
        (_, _) => return None,
    };
    Some(Checker::Commands(commands))
}

/// A `.js` file may be a module or a script; which, its `package.json` says, or its words.
fn javascript(ending: &str, text: &str) -> Option<Vec<Vec<&'static str>>> {
    // JSX and Flow go by the same ending.
    if ["</", "/>", "@flow"].iter().any(|mark| text.contains(mark)) {
        return None;
    }
    let check = |kind| vec!["node", "--check", kind, "-"];
    let (module, script) = (check("--input-type=module"), check("--input-type=commonjs"));
    let is_module = text.lines().any(|line| line.starts_with("import ") || line.starts_with("export "));
    Some(match ending {
        "mjs" => vec![module],
        "cjs" => vec![script],
        _ if is_module => vec![module, script],
        _ => vec![script, module],
    })
}

/// Files that are called JSON and may hold comments.
fn has_comments(path: &str) -> bool {
    let name = file_name(path);
    name.starts_with('.') || name.starts_with("tsconfig") || name.starts_with("jsconfig") || path.contains(".vscode/")
}

/// Returns what is wrong with a JSON text.
pub fn json_fault(text: &str) -> Option<String> {
    let read = serde_json::from_slice::<serde::de::IgnoredAny>(text.trim_start_matches('\u{feff}').as_bytes());
    read.err().map(|error| format!("SyntaxError: {error}"))
}

/// Returns the error in what a checker printed; `None` where it failed for another reason, such as an option that it
/// does not know.
pub fn fault_in(output: &str) -> Option<String> {
    let lower = output.to_ascii_lowercase();
    if !["syntaxerror", "syntax error", "unexpected "].iter().any(|mark| lower.contains(mark)) {
        return None;
    }
    let mut quoted = String::new();
    // Warnings and the stack of node's own loader say nothing of the file.
    let is_noise = |line: &&str| !(line.starts_with("(node:") || line.starts_with("(Use ") || line.is_empty());
    let lines = output.lines().map(str::trim_end).filter(is_noise);
    for line in lines.take_while(|line| !line.starts_with("    at ")).take(MOST_LINES) {
        if quoted.len() + line.len() > MOST_BYTES {
            break;
        }
        quoted.push_str(line);
        quoted.push('\n');
    }
    quoted.truncate(quoted.trim_end().len());
    Some(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spells a checker in one line; Python's script is long.
    fn spell(path: &str, text: &str) -> String {
        match checker(path, text) {
            None => "none".to_string(),
            Some(Checker::Json) => "json".to_string(),
            Some(Checker::Commands(commands)) => {
                let commands = commands.iter().map(|words| words.join(" ").replace(PYTHON, "…"));
                commands.collect::<Vec<_>>().join(" | ")
            }
        }
    }

    #[test]
    fn a_file_is_checked_by_its_own_language() {
        let (script, module) = ("node --check --input-type=commonjs -", "node --check --input-type=module -");
        for (path, text, expected) in [
            ("a/b.py", "x = 1\n", "python3 -I -S -c …"),
            ("tool", "#!/usr/bin/env python3\n", "python3 -I -S -c …"),
            ("a.sh", "echo\n", "bash -n"),
            ("a.sh", "#!/bin/sh\n", "sh -n"),
            ("a.sh", "#!/bin/bash -eu\n", "bash -n"),
            ("a.sh", "#!/usr/bin/env -S bash\n", "bash -n"),
            ("a.sh", "#!/bin/zsh\n", "none"),
            ("run", "#!/bin/sh\n", "sh -n"),
            ("run", "echo\n", "none"),
            ("a.mjs", "1", module),
            ("a.cjs", "1", script),
            ("a.js", "import x from 'y';\n", &format!("{module} | {script}")),
            ("a.js", "const x = 1;\n", &format!("{script} | {module}")),
            ("a.js", "return <b>x</b>;\n", "none"),
            ("a.ts", "x", "none"),
            ("a.rs", "x", "none"),
            ("package.json", "{}", "json"),
            ("tsconfig.json", "{}", "none"),
            (".vscode/settings.json", "{}", "none"),
            ("a.yaml", "", "none"),
        ] {
            assert_eq!(spell(path, text), expected, "{path} {text}");
        }
    }

    #[test]
    fn the_error_is_quoted_without_the_noise() {
        // node v20.20.2
        let node = "(node:11022) Warning: To load an ES module, set \"type\"\n(Use `node --trace-warnings ...`)\n\
                    [stdin]:1\nexport const a = ;\n                 ^\n\nSyntaxError: Unexpected token ';'\n    \
                    at checkSyntax (node:internal/main/check_syntax:74:5)\n\nNode.js v20.20.2\n";
        let quoted = "[stdin]:1\nexport const a = ;\n                 ^\nSyntaxError: Unexpected token ';'";
        assert_eq!(fault_in(node).as_deref(), Some(quoted));
        // dash 0.5.12, bash 5.2
        let dash = "sh: 1: Syntax error: \"then\" unexpected\n";
        assert_eq!(fault_in(dash).as_deref(), Some(dash.trim_end()));
        let bash = "bash: line 3: unexpected EOF while looking for matching `\"'\n";
        assert_eq!(fault_in(bash).as_deref(), Some(bash.trim_end()));
        assert_eq!(fault_in("node: bad option: --input-type=module\n"), None);
        assert_eq!(fault_in(""), None);
    }

    #[test]
    fn json_is_read_here() {
        assert_eq!(json_fault("{\"a\": [1, 2]}\n"), None);
        let fault = "SyntaxError: key must be a string at line 1 column 9";
        assert_eq!(json_fault("{\"a\": 1,}").as_deref(), Some(fault));
    }
}
