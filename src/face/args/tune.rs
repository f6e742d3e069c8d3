//! The arguments of `mux tune`.

use super::{Command, options_of, path, unexpected, usage};
use crate::words::error::{Error, Kind};
use lexopt::{Arg, Parser};

/// What `mux tune --fit` does with the weights that it has fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FitArgs {
    Show,
    Write,
    /// Fits none, and goes back to those before the last fit.
    Reset,
}

pub fn tune(mut parser: Parser) -> Result<Command, Error> {
    let (mut fit, mut write, mut reset, mut json, mut config) = (false, false, false, false, None);
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Long("fit") => fit = true,
            Arg::Long("write") => write = true,
            Arg::Long("reset") => reset = true,
            Arg::Long("json") => json = true,
            Arg::Long("config") => config = Some(path(&mut parser)?),
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => return Err(unexpected(&arg, &options_of("tune"))),
        }
    }
    if !fit {
        return Err(
            Error::new(Kind::Usage, "`mux tune` needs `--fit`").hint("`mux tune --fit` shows, and writes nothing")
        );
    }
    if write && reset {
        return Err(Error::new(Kind::Usage, "`--write` and `--reset` contradict each other"));
    }
    let fit = match (write, reset) {
        (true, _) => FitArgs::Write,
        (false, true) => FitArgs::Reset,
        (false, false) => FitArgs::Show,
    };
    Ok(Command::Fit { fit, json, config })
}
