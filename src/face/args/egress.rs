//! The arguments of `mux egress`.

use super::{Command, options_of, span, text, unexpected, usage};
use crate::words::error::{Error, Kind as ErrorKind};
use lexopt::{Arg, Parser};

/// The options of `mux egress`.
#[derive(Debug, Default, PartialEq)]
pub struct EgressArgs {
    /// Only calls younger than this many milliseconds.
    pub since_ms: Option<u64>,
    /// Forget calls older than this many milliseconds, and list nothing.
    pub prune_ms: Option<u64>,
    pub json: bool,
}

pub fn egress(mut parser: Parser) -> Result<Command, Error> {
    let mut args = EgressArgs::default();
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Long("since") => args.since_ms = Some(span("--since", &text(&mut parser)?)?),
            Arg::Long("prune") => args.prune_ms = Some(span("--prune", &text(&mut parser)?)?),
            Arg::Long("json") => args.json = true,
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => return Err(unexpected(&arg, &options_of("egress"))),
        }
    }
    if args.prune_ms.is_some() && (args.since_ms.is_some() || args.json) {
        let error = Error::new(ErrorKind::Usage, "`--prune` lists nothing; it stands alone");
        return Err(error.hint("`mux egress --json` lists"));
    }
    Ok(Command::Egress(args))
}
