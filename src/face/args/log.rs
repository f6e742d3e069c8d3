//! The arguments of `mux log`.

use super::{Command, meant, options_of, path, span, text, unexpected, usage};
use crate::words::error::{Error, Kind as ErrorKind};
use crate::words::task::{Provider, Route};
use lexopt::{Arg, Parser};
use std::path::PathBuf;

/// The options of `mux log`.
#[derive(Debug, PartialEq)]
pub struct LogArgs {
    /// How many records, the newest first.
    pub n: usize,
    pub route: Option<String>,
    pub failed: bool,
    /// Only records younger than this many milliseconds.
    pub since_ms: Option<u64>,
    /// Only runs in this directory or below.
    pub workdir: Option<PathBuf>,
    /// Only records that hold this text, in any case.
    pub grep: Option<String>,
    pub json: bool,
    /// Go on with each run that ends.
    pub follow: bool,
}

pub fn log(mut parser: Parser) -> Result<Command, Error> {
    let (mut config, mut n) = (None, 20);
    let (mut route, mut failed, mut since_ms, mut workdir, mut grep) = (None, false, None, None, None);
    let (mut json, mut follow) = (false, false);
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Short('n') => n = count(&text(&mut parser)?)?,
            Arg::Long("route") => route = Some(route_name(&text(&mut parser)?)?),
            Arg::Long("failed") => failed = true,
            Arg::Long("since") => since_ms = Some(span("--since", &text(&mut parser)?)?),
            Arg::Long("workdir") | Arg::Short('C') => workdir = Some(path(&mut parser)?),
            Arg::Long("grep") => grep = Some(text(&mut parser)?),
            Arg::Long("json") => json = true,
            Arg::Long("follow") | Arg::Short('f') => follow = true,
            Arg::Long("config") => config = Some(path(&mut parser)?),
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => return Err(unexpected(&arg, &options_of("log"))),
        }
    }
    Ok(Command::Log { args: LogArgs { n, route, failed, since_ms, workdir, grep, json, follow }, config })
}

/// A route as records name it: one of mux's own words, or a name that may be declared.
fn route_name(name: &str) -> Result<String, Error> {
    let unknown = || Error::new(ErrorKind::Usage, format!("unknown route `{name}`")).hint(meant(name, &Route::NAMES));
    let is_route = Route::NAMES.contains(&name) || Provider::named(name).is_some();
    is_route.then(|| name.to_string()).ok_or_else(unknown)
}

fn count(value: &str) -> Result<usize, Error> {
    let bad = |_| Error::new(ErrorKind::Usage, format!("`-n {value}` is not a number")).hint("the default: `-n 20`");
    value.parse().map_err(bad)
}
