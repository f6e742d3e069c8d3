//! The arguments of `mux run`: the task and how it is to be done.

use super::{Command, contradiction, options_of, path, provider, route, seconds, text, unexpected, usage};
use crate::words::error::{Error, Kind as ErrorKind};
use crate::words::task::{Asked, Kind, Provider};
use lexopt::{Arg, Parser, ValueExt};
use std::path::PathBuf;

/// Where the text of the task comes from.
#[derive(Debug, Default, PartialEq)]
pub enum TaskText {
    /// Nothing was said: standard input, unless it is a terminal.
    #[default]
    Unsaid,
    Text(String),
    /// A text, and what it is about on standard input.
    About(String),
    Stdin,
    File(PathBuf),
}

/// The options of `mux run`.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line, independent of the others")]
#[derive(Debug, Default, PartialEq)]
pub struct RunArgs {
    pub task: TaskText,
    pub workdir: Option<PathBuf>,
    pub kind: Option<Kind>,
    pub route: Asked,
    pub local_only: bool,
    pub prefer_local: bool,
    pub verify_with: Option<Provider>,
    pub verify: Vec<String>,
    pub no_verify: bool,
    pub files: Vec<String>,
    pub dry_run: bool,
    pub preview: bool,
    pub no_wait: bool,
    pub deadline_sec: Option<u64>,
    pub json: bool,
    pub quiet: bool,
    pub config: Option<PathBuf>,
}

pub fn run(mut parser: Parser) -> Result<Command, Error> {
    let mut args = RunArgs::default();
    let mut words: Vec<String> = Vec::new();
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Arg::Value(word) => words.push(word.string().map_err(usage)?),
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Short('C') | Arg::Long("workdir") => args.workdir = Some(path(&mut parser)?),
            Arg::Long("task") => say(&mut args.task, TaskText::Text(text(&mut parser)?))?,
            Arg::Long("task-file") => {
                let file = path(&mut parser)?;
                say(&mut args.task, if file.as_os_str() == "-" { TaskText::Stdin } else { TaskText::File(file) })?;
            }
            Arg::Long("answer") => args.kind = Some(one_kind(args.kind, Kind::Answer)?),
            Arg::Long("change") => args.kind = Some(one_kind(args.kind, Kind::Change)?),
            Arg::Long("route") => args.route = route(&text(&mut parser)?)?,
            Arg::Long("local-only") => args.local_only = true,
            Arg::Long("prefer-local") => args.prefer_local = true,
            Arg::Long("verify") => args.verify.push(text(&mut parser)?),
            Arg::Long("no-verify") => args.no_verify = true,
            Arg::Long("verify-with") => args.verify_with = Some(provider(&text(&mut parser)?)?),
            Arg::Long("file") => args.files.push(text(&mut parser)?),
            Arg::Long("dry-run") => args.dry_run = true,
            Arg::Long("preview") => args.preview = true,
            Arg::Long("no-wait") => args.no_wait = true,
            Arg::Long("deadline") => args.deadline_sec = Some(seconds("--deadline", &text(&mut parser)?)?),
            Arg::Long("json") => args.json = true,
            Arg::Long("quiet") | Arg::Short('q') => args.quiet = true,
            Arg::Long("config") => args.config = Some(path(&mut parser)?),
            Arg::Short(_) | Arg::Long(_) => return Err(unexpected(&arg, &options_of("run"))),
        }
    }
    if args.no_verify && !args.verify.is_empty() {
        return Err(contradiction("`--verify` and `--no-verify`"));
    }
    match words.as_slice() {
        [] => {}
        [dash] if dash == "-" => say(&mut args.task, TaskText::Stdin)?,
        [words @ .., dash] if dash == "-" => say(&mut args.task, TaskText::About(words.join(" ")))?,
        words => say(&mut args.task, TaskText::Text(words.join(" ")))?,
    }
    Ok(Command::Run(Box::new(args)))
}

fn say(task: &mut TaskText, said: TaskText) -> Result<(), Error> {
    if *task != TaskText::Unsaid {
        let what = "the task is given twice; use one of TASK, `--task`, `--task-file` and `-`";
        return Err(Error::new(ErrorKind::Usage, what).hint("once is enough: `mux run --task-file FILE`"));
    }
    *task = said;
    Ok(())
}

fn one_kind(before: Option<Kind>, kind: Kind) -> Result<Kind, Error> {
    match before {
        Some(other) if other != kind => Err(contradiction("`--answer` and `--change`")),
        Some(_) | None => Ok(kind),
    }
}
