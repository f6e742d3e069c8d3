//! The arguments of `mux bench`.

use super::{Command, meant, options_of, path, provider, seconds, text, unexpected, usage};
use crate::words::error::{Error, Kind};
use crate::words::task::{Form, Provider};
use lexopt::{Arg, Parser};

/// The options of `mux bench`.
#[derive(Debug, Default, PartialEq)]
pub struct BenchArgs {
    pub quick: bool,
    pub format: Option<Form>,
    pub provider: Option<Provider>,
    /// What is spent at a provider is agreed to.
    pub yes: bool,
    /// For each task.
    pub deadline_sec: Option<u64>,
    pub json: bool,
}

pub fn bench(mut parser: Parser) -> Result<Command, Error> {
    let (mut args, mut config) = (BenchArgs::default(), None);
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Long("quick") => args.quick = true,
            Arg::Long("format") => args.format = Some(format(&text(&mut parser)?)?),
            Arg::Long("provider") => args.provider = Some(provider(&text(&mut parser)?)?),
            Arg::Long("yes") => args.yes = true,
            Arg::Long("deadline") => args.deadline_sec = Some(seconds("--deadline", &text(&mut parser)?)?),
            Arg::Long("json") => args.json = true,
            Arg::Long("config") => config = Some(path(&mut parser)?),
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => return Err(unexpected(&arg, &options_of("bench"))),
        }
    }
    if args.provider.is_some() && args.format.is_some() {
        return Err(Error::new(Kind::Usage, "`--format` is for the local model; a cloud CLI edits files by itself")
            .hint("leave out `--format` or `--provider`"));
    }
    Ok(Command::Bench { args, config })
}

fn format(name: &str) -> Result<Form, Error> {
    let known = [Form::Whole, Form::Edits];
    let hint = || meant(name, &known.map(Form::name));
    let unknown = || Error::new(Kind::Usage, format!("unknown format `{name}`")).hint(hint());
    known.into_iter().find(|form| form.name() == name).ok_or_else(unknown)
}
