//! `mux run`: arguments → a job for the engine → its outcome on stdout.

use crate::engine::outcome::Outcome;
use crate::engine::run::{self as engine, House, Job, Run};
use crate::face::args::{RunArgs, TaskText};
use crate::face::diff;
use crate::face::print::{self, Seen};
use crate::face::screen::Screen;
use crate::rules::escape::plain;
use crate::rules::prompt;
use crate::sys::results::{Part, Results};
use crate::sys::state::Patience;
use crate::words::count::Count;
use crate::words::error::{Context, Error, Kind as ErrorKind};
use crate::words::event::{Event, Watcher};
use crate::words::stop::Stop;
use crate::words::task::Source;
use fs_err as fs;
use std::io::{Read, Write};
use std::path::Path;

/// How many lines of a diff are shown behind a result.
const LONGEST_DIFF: usize = 40;
/// Largest task, in bytes. What does not fit a model's window is found out later, with the window named.
const LARGEST_TASK: u64 = 4 * 1024 * 1024;

/// Reads the task, runs it and prints the result. Returns the exit code.
///
/// # Errors
/// `Usage` without a task; those of the engine before the first try; `Io` when the result cannot be written.
pub fn run(
    args: &RunArgs,
    house: &House<'_>,
    stdin: Option<&mut dyn Read>,
    watcher: &mut dyn Watcher,
    screen: Screen,
    out: &mut dyn Write,
    stop: &Stop,
) -> Result<u8, Error> {
    let task = read_task(&args.task, stdin)?;
    let job = Job {
        task: &task,
        kind: args.kind,
        workdir: args.workdir.as_deref(),
        asked: args.route,
        local_only: args.local_only,
        prefer_local: args.prefer_local,
        verify_with: args.verify_with,
        caller: None,
        verify: &args.verify,
        no_verify: args.no_verify,
        files: &args.files,
        dry_run: args.dry_run,
        preview: args.preview,
        patience: if args.no_wait { Patience::None } else { Patience::Wait },
        source: Source::Cli,
        run_id: None,
        client: None,
    };
    match engine::run(house, &job, watcher, stop)? {
        Run::Planned(plan) if args.json => printed(writeln!(out, "{}", print::plan_json(&plan)))?,
        Run::Planned(plan) => printed(print::plan(out, &plan))?,
        Run::Busy { holder } => {
            watcher.event(&Event::Note(&format!(
                "run {holder} holds the work directory; without `--no-wait` this run waits"
            )));
            return Ok(1);
        }
        Run::Ended(outcome) => {
            if args.json {
                printed(writeln!(out, "{}", print::outcome_json(&outcome)))?;
            } else {
                let seen = Seen { streamed: watcher.streamed().unwrap_or_default(), colour: screen.colour };
                // In one piece: standard output would be written line by line.
                let mut page = Vec::new();
                printed(print::outcome(&mut page, &outcome, &seen).and_then(|()| out.write_all(&page)))?;
                if screen.columns.is_some() {
                    printed(changes(out, house, &outcome, screen))?;
                }
            }
            return outcome.unlogged.map_or(Ok(outcome.exit), Err);
        }
    }
    Ok(0)
}

/// Shows on a terminal what a run has changed, as far as it can be taken in at a glance.
fn changes(out: &mut dyn Write, house: &House<'_>, outcome: &Outcome, screen: Screen) -> std::io::Result<()> {
    let run_id = &outcome.record.run_id;
    if outcome.record.files.is_empty() || outcome.diff.is_some() {
        return Ok(());
    }
    let Ok(Some(diff)) = Results::at(house.state.runs()).read(run_id, Part::Diff) else { return Ok(()) };
    let diff = plain(&String::from_utf8_lossy(&diff)).into_owned();
    let shown: Vec<&str> = diff.lines().take(LONGEST_DIFF).collect();
    write!(out, "{}", diff::coloured(&shown, screen))?;
    match diff.lines().count() - shown.len() {
        0 => Ok(()),
        more => writeln!(out, "… {}: mux diff {run_id}", Count::of(more, "more line")),
    }
}

/// The text of the task, without surrounding blank space.
fn read_task(said: &TaskText, stdin: Option<&mut dyn Read>) -> Result<String, Error> {
    let text = match (said, stdin) {
        (TaskText::Text(text), _) => text.clone(),
        (TaskText::File(path), _) => read_file(path)?,
        (TaskText::About(text), Some(stdin)) => about(text, &bounded(stdin, "standard input")?),
        (TaskText::About(_), None) => {
            let error = Error::new(ErrorKind::Usage, "`-` behind a task is standard input, and that is a terminal");
            return Err(error.hint("`git diff | mux run \"Review this\" -`"));
        }
        (TaskText::Stdin | TaskText::Unsaid, Some(stdin)) => bounded(stdin, "standard input")?,
        (TaskText::Stdin | TaskText::Unsaid, None) => String::new(),
    };
    let task = text.trim();
    if task.is_empty() {
        let error = Error::new(ErrorKind::Usage, "there is no task");
        return Err(error.hint("say what to do: mux run \"Add a --json flag to cli.py and keep the tests passing\""));
    }
    if task.len() as u64 > LARGEST_TASK {
        return Err(too_large("the task"));
    }
    Ok(task.to_string())
}

/// Returns a task with what it is about in a fence: matter, which names no wish.
fn about(task: &str, matter: &str) -> String {
    let mut text = format!("{}\n\n", task.trim());
    if !matter.trim().is_empty() {
        prompt::fenced(&mut text, "text", matter);
    }
    text
}

fn read_file(path: &Path) -> Result<String, Error> {
    let cannot = || format!("cannot read the task from `{}`", path.display());
    let mut file = fs::File::open(path).context(ErrorKind::Usage, cannot)?;
    bounded(&mut file, &format!("`{}`", path.display()))
}

fn bounded(input: &mut dyn Read, name: &str) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let cannot = || format!("cannot read the task from {name}");
    input.take(LARGEST_TASK + 1).read_to_end(&mut bytes).context(ErrorKind::Usage, cannot)?;
    if bytes.len() as u64 > LARGEST_TASK {
        return Err(too_large(name));
    }
    let text = String::from_utf8(bytes).context(ErrorKind::Usage, || format!("the task from {name} is not UTF-8 text"));
    text.map_err(|error| error.hint("for Latin-1: `iconv -f ISO-8859-1 -t UTF-8 FILE | mux run -`"))
}

fn too_large(name: &str) -> Error {
    let error = Error::new(ErrorKind::Usage, format!("{name} is larger than {} MiB", LARGEST_TASK >> 20));
    error.hint("say what to do in a few sentences; show files with `--file PATH`")
}

fn printed(result: std::io::Result<()>) -> Result<(), Error> {
    result.context(ErrorKind::Io, || "cannot write the result".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn what_a_task_is_about_stands_in_a_fence() {
        let read = |stdin: &str| {
            let said = TaskText::About("Fix this".into());
            read_task(&said, Some(&mut Cursor::new(stdin.to_string()))).unwrap()
        };
        assert_eq!(read("red\n"), "Fix this\n\n```text\nred\n```");
        assert_eq!(read("a ``` b"), "Fix this\n\n````text\na ``` b\n````");
        assert_eq!(read(" \n"), "Fix this");
        let error = read_task(&TaskText::About("Fix this".into()), None).unwrap_err();
        assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("| mux run")), "{error}");
    }
}
