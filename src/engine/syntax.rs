//! Asks the checker of a language whether the files of a changeset parse, before anything is written. Runs no line of
//! them, and nothing at all where verification is off.
//!
//! A file that did not parse before the change is never held against it: it may be a template, or for another version
//! of the language than the one that is installed here.

use crate::engine::verify::{Ground, environment};
use crate::rules::syntax::{self, Checker};
use crate::rules::weaken::Edited;
use crate::sys::proc::{self, Exit, Spawn};
use crate::words::stop::Stop;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long one look may take; 0.05 s measured. A checker that takes longer says nothing.
const TO_CHECK: Duration = Duration::from_secs(10);
/// Bytes of a checker's output that are kept.
const KEEP: usize = 16 * 1024;

/// Returns the first file that does not parse, and what its language says of it.
pub fn fault(edited: &[Edited<'_>], ground: &Ground<'_>, stop: &Stop) -> Option<(String, String)> {
    edited.iter().find_map(|file| {
        let fault = look(file.path, file.after?, ground, stop)?;
        let was_broken = file.before.is_some_and(|before| look(file.path, before, ground, stop).is_some());
        (!was_broken).then(|| (file.path.to_string(), fault))
    })
}

fn look(path: &str, text: &str, ground: &Ground<'_>, stop: &Stop) -> Option<String> {
    let commands = match syntax::checker(path, text)? {
        Checker::Json => return syntax::json_fault(text),
        Checker::Commands(commands) => commands,
    };
    let mut first = None;
    for command in commands {
        let fault = run(&command, text, ground, stop)?;
        first = first.or(Some(fault));
    }
    first
}

/// Runs one checker. `None`: the file parses, or nobody can tell.
fn run(command: &[&str], text: &str, ground: &Ground<'_>, stop: &Stop) -> Option<String> {
    let (program, args) = command.split_first()?;
    let program = proc::which(OsStr::new(program), ground.env.var("PATH"), ground.workdir)?;
    let mut env = environment(ground);
    env.push(("LC_ALL".into(), "C".into()));
    // A work directory that is yet to be made is no place to start a child in.
    let cwd = Some(ground.workdir).filter(|dir| dir.is_dir()).unwrap_or(Path::new("/"));
    let spawn = Spawn {
        program,
        args: args.iter().map(OsString::from).collect(),
        cwd: cwd.to_path_buf(),
        env,
        stdin: Some(text.as_bytes().to_vec()),
        keep: KEEP,
        silence: None,
        lost: None,
        writes: ground.writes.map(<[_]>::to_vec),
        marker: ground.run_id.to_string(),
    };
    let ran = proc::run(&spawn, &stop.until(Instant::now() + TO_CHECK), &mut |_| {});
    match ran.exit {
        Exit::Code(code) if code != 0 => syntax::fault_in(&ran.stderr.text()),
        Exit::Code(_)
        | Exit::Signal(_)
        | Exit::TimedOut
        | Exit::Silent
        | Exit::Lost
        | Exit::Stopped(_)
        | Exit::NotStarted(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::env::Env;
    use crate::words::time::Utc;

    /// Looks at one file with the runners of this machine, or with none; the answer is the last line of the fault.
    fn said(path: &str, before: Option<&str>, after: &str, has_runners: bool) -> Option<String> {
        #[expect(clippy::disallowed_methods, reason = "the runners of this machine are somewhere in its PATH")]
        let vars = std::env::vars_os().filter(|(name, _)| has_runners && name == "PATH").collect();
        let env = Env { vars, cwd: None, now: Utc(0) };
        let (workdir, timeout) = (std::env::temp_dir(), Duration::from_secs(50));
        let ground = Ground {
            workdir: &workdir,
            held: None,
            env: &env,
            pass: &[],
            key: "",
            timeout,
            strict: false,
            run_id: "syntax",
            writes: None,
            touched: &[],
            examples: None,
        };
        let stop = Stop::at(Instant::now() + Duration::from_mins(1));
        let found = fault(&[Edited { path, before, after: Some(after) }], &ground, &stop);
        found.map(|(_, fault)| fault.lines().next_back().unwrap_or_default().to_string())
    }

    #[test]
    fn a_file_that_parsed_before_has_to_parse_after() {
        assert_eq!(said("a.py", None, "def f():\n    return 1\n", true), None);
        assert_eq!(said("a.py", Some("x = 1\n"), "def f(:\n", true).as_deref(), Some("def f(:"));
        assert_eq!(said("a.py", Some("{{ template }} x\n"), "{{ template }} y\n", true), None, "it was broken before");
        assert_eq!(said("a.py", None, "raise SystemExit(3)\n", true), None, "it is not run");
        let expected = "sh: 1: Syntax error: \"then\" unexpected";
        let sh = said("a.sh", None, "#!/bin/sh\nif then\n", true).unwrap_or_default();
        assert!(sh.to_ascii_lowercase().contains("syntax error"), "{sh} is nothing like {expected}");
        assert_eq!(
            said("a.json", None, "{]", true).as_deref(),
            Some("SyntaxError: key must be a string at line 1 column 2")
        );
        assert_eq!(said("a.py", None, "def f(:\n", false), None, "no runner, no verdict");
        if said("a.js", None, "let = = 1;\n", true).is_some() {
            assert_eq!(said("a.js", None, "import x from 'y';\nexport const a = x;\n", true), None);
            assert_eq!(said("a.js", None, "const x = require('y');\nmodule.exports = x;\n", true), None);
            let broken = said("a.js", None, "export const a = ;\n", true);
            assert_eq!(broken.as_deref(), Some("SyntaxError: Unexpected token ';'"));
        }
    }
}
