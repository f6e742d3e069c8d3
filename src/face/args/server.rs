//! The arguments of the two commands for clients: `mux mcp` and `mux setup`.

use super::{Command, options_of, path, seconds, text, unexpected, usage};
use crate::words::error::Error;
use lexopt::{Arg, Parser};

pub fn mcp(mut parser: Parser) -> Result<Command, Error> {
    let (mut budget_sec, mut config) = (None, None);
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Long("budget") => budget_sec = Some(seconds("--budget", &text(&mut parser)?)?),
            Arg::Long("config") => config = Some(path(&mut parser)?),
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => return Err(unexpected(&arg, &options_of("mcp"))),
        }
    }
    Ok(Command::Mcp { budget_sec, config })
}
