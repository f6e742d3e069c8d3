//! The arguments of the commands that print a page made of `--help`: `mux completions` and `mux man`.

use super::{Command, unexpected, usage};
use crate::rules::completions::Shell;
use crate::words::error::{Error, Kind};
use lexopt::{Arg, Parser};

/// All shells at a glance help more than the nearest name of one.
const SHELLS: &str = "one of bash, zsh, fish: `mux completions bash`";

pub fn completions(mut parser: Parser) -> Result<Command, Error> {
    let mut shell = None;
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Value(word) if shell.is_none() => {
                let name = word.to_string_lossy();
                let unknown = || Error::new(Kind::Usage, format!("unknown shell `{name}`")).hint(SHELLS);
                shell = Some(Shell::named(&name).ok_or_else(unknown)?);
            }
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => return Err(unexpected(&arg, &["--help"])),
        }
    }
    let missing = || Error::new(Kind::Usage, "`mux completions` needs a shell").hint(SHELLS);
    shell.map(Command::Completions).ok_or_else(missing)
}

pub fn man(mut parser: Parser) -> Result<Command, Error> {
    match parser.next().map_err(usage)? {
        None => Ok(Command::Man),
        Some(Arg::Short('h') | Arg::Long("help")) => Ok(Command::Help),
        Some(arg) => Err(unexpected(&arg, &["--help"])),
    }
}
