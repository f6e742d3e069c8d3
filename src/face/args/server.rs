//! The arguments of the two commands for clients: `mux mcp` and `mux setup`.

use super::{Command, contradiction, options_of, path, seconds, text, unexpected, usage};
use crate::face::setup::SetupArgs;
use crate::rules::registration::Client;
use crate::words::error::{Error, Kind};
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

pub fn setup(mut parser: Parser) -> Result<Command, Error> {
    let mut args = SetupArgs::default();
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Long("client") => {
                for name in text(&mut parser)?.split(',') {
                    let unknown = || Error::new(Kind::Usage, format!("unknown client `{name}`"));
                    let known = Client::named(name.trim());
                    args.clients.push(known.ok_or_else(|| unknown().hint("there are claude, codex and gemini"))?);
                }
            }
            Arg::Long("trust") => args.trust = true,
            Arg::Long("remove") => args.remove = true,
            Arg::Long("dry-run") => args.dry_run = true,
            Arg::Long("print-skill") => args.print_skill = true,
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => return Err(unexpected(&arg, &options_of("setup"))),
        }
    }
    if args.print_skill && args != (SetupArgs { print_skill: true, ..SetupArgs::default() }) {
        let error = Error::new(Kind::Usage, "`--print-skill` registers nothing; it stands alone");
        return Err(error.hint("`mux setup --print-skill`, or the rest without it"));
    }
    if args.remove && args.trust {
        return Err(contradiction("`--remove` and `--trust`"));
    }
    Ok(Command::Setup(args))
}
