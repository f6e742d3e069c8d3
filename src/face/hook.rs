//! `mux hook`: puts the git hooks in place, takes them out, tells of them, and runs one for git.

use crate::engine::hook;
use crate::engine::hook::install::{self, Action, Report, Standing};
use crate::rules::escape::one_line;
use crate::rules::hook::Hook;
use crate::words::env::Env;
use crate::words::error::{Context, Error, Kind};
use crate::words::stop::{Stop, StopReason};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;

/// The arguments of `mux hook`.
#[derive(Debug, PartialEq)]
pub enum HookArgs {
    /// What the installed script calls: git's name of the hook, and git's arguments.
    Run {
        name: OsString,
        args: Vec<OsString>,
    },
    Files {
        action: Action,
        hooks: Vec<Hook>,
    },
}

/// Runs a hook for git. Says on standard error what there is to say; nothing else. Returns the exit code: 1 stops git.
pub fn run(
    env: &Env,
    name: &OsString,
    args: &[OsString],
    input: Option<&mut dyn Read>,
    err: &mut dyn Write,
    stop: &Stop,
) -> u8 {
    let ended = match name.to_str().and_then(Hook::named) {
        Some(hook) => hook::run(env, hook, args, input, stop),
        // A script of a later mux, or a slip: not a commit's fault.
        None => hook::Ended { lines: vec![format!("there is no hook `{}`", name.display())], stops_git: false },
    };
    for line in &ended.lines {
        // Nobody may be listening.
        let _ = writeln!(err, "mux: {}", one_line(line));
    }
    match stop.reason() {
        Some(StopReason::Signal(signal)) => 128 + signal,
        Some(StopReason::Canceled | StopReason::Deadline) | None => u8::from(ended.stops_git),
    }
}

/// Installs, takes out or looks, and prints a line for each hook. Returns the exit code: 1 where something was left.
///
/// # Errors
/// As [`install::run`]; output that cannot be written.
pub fn files(
    env: &Env,
    action: Action,
    hooks: &[Hook],
    exe: io::Result<PathBuf>,
    out: &mut dyn Write,
    stop: &Stop,
) -> Result<u8, Error> {
    let report = install::run(env, action, hooks, exe, stop)?;
    out.write_all(page(&report).as_bytes()).context(Kind::Io, || "cannot write the output".to_string())?;
    Ok(u8::from(report.is_left))
}

fn page(report: &Report) -> String {
    let mut lines = vec![format!("hooks: {}", one_line(&report.dir.to_string_lossy()))];
    for (hook, standing, said) in &report.hooks {
        let is = match standing {
            Standing::Missing => "not installed",
            Standing::Ours { before: false } => "installed",
            Standing::Ours { before: true } => "installed, behind the hook that was there before",
            Standing::Renamed => "installed, and renamed by the hook that is there, which runs it",
            Standing::Edited => "installed, and edited since",
            Standing::Foreign { .. } => "not installed; another program's hook is there",
        };
        lines.push(format!("{}: {}", hook.name(), said.as_deref().unwrap_or(is)));
    }
    lines.extend(report.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n") + "\n"
}
