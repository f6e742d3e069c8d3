//! The arguments of `mux report`.

use super::{Command, options_of, path, span, text, unexpected, usage};
use crate::words::error::Error;
use lexopt::{Arg, Parser};
use std::path::PathBuf;

/// The options of `mux report`.
#[derive(Debug, Default, PartialEq)]
pub struct ReportArgs {
    /// `-` is standard output.
    pub output: Option<PathBuf>,
    /// Only records younger than this many milliseconds.
    pub since_ms: Option<u64>,
}

pub fn report(mut parser: Parser) -> Result<Command, Error> {
    let (mut args, mut config) = (ReportArgs::default(), None);
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Short('o') | Arg::Long("output") => args.output = Some(path(&mut parser)?),
            Arg::Long("since") => args.since_ms = Some(span("--since", &text(&mut parser)?)?),
            Arg::Long("config") => config = Some(path(&mut parser)?),
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => return Err(unexpected(&arg, &options_of("report"))),
        }
    }
    Ok(Command::Report { args, config })
}
