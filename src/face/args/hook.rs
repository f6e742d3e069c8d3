//! The arguments of `mux hook`.

use super::{Command, meant, options_of, unexpected, usage};
use crate::engine::hook::install::Action;
use crate::face::hook::HookArgs;
use crate::rules::hook::Hook;
use crate::words::error::{Error, Kind};
use lexopt::{Arg, Parser, ValueExt};

const ACTIONS: [&str; 4] = ["install", "uninstall", "status", "run"];

pub fn hook(mut parser: Parser) -> Result<Command, Error> {
    let action = match parser.next().map_err(usage)? {
        None => {
            let error = Error::new(Kind::Usage, "`mux hook` needs to know what to do");
            return Err(error.hint("`mux hook install`, `mux hook uninstall` or `mux hook status`"));
        }
        Some(Arg::Short('h') | Arg::Long("help")) => return Ok(Command::Help),
        Some(Arg::Value(word)) => word.string().map_err(usage)?,
        Some(arg) => return Err(unexpected(&arg, &options_of("hook"))),
    };
    match action.as_str() {
        // All that follows is git's: a path may begin with a dash.
        "run" => {
            let mut rest = parser.raw_args().map_err(usage)?;
            let missing = || {
                let error = Error::new(Kind::Usage, "`mux hook run` needs the name of a hook");
                error.hint("git's own names: `mux hook run pre-commit`")
            };
            let name = rest.next().ok_or_else(missing)?;
            Ok(Command::Hook(HookArgs::Run { name, args: rest.collect() }))
        }
        "install" | "uninstall" | "status" => files(&action, parser),
        _ => Err(Error::new(Kind::Usage, format!("unknown action `{action}`")).hint(meant(&action, &ACTIONS))),
    }
}

fn files(action: &str, mut parser: Parser) -> Result<Command, Error> {
    let (mut hooks, mut shared) = (Vec::new(), false);
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Long("shared") if action != "status" => shared = true,
            Arg::Value(word) => match word.string().map_err(usage)?.as_str() {
                "all" => hooks.extend(Hook::ALL),
                name => hooks.push(Hook::named(name).ok_or_else(|| unknown(name))?),
            },
            Arg::Short(_) | Arg::Long(_) => {
                let known = if action == "status" { Vec::new() } else { options_of("hook") };
                return Err(unexpected(&arg, &known));
            }
        }
    }
    hooks = Hook::ALL.into_iter().filter(|hook| hooks.is_empty() || hooks.contains(hook)).collect();
    let action = match action {
        "install" => Action::Install { shared },
        "uninstall" => Action::Uninstall { shared },
        _ => Action::Status,
    };
    Ok(Command::Hook(HookArgs::Files { action, hooks }))
}

fn unknown(name: &str) -> Error {
    let known: Vec<&str> = Hook::ALL.into_iter().map(Hook::name).chain(["all"]).collect();
    let error = Error::new(Kind::Usage, format!("unknown hook `{name}`"));
    error.hint(format!("{}; there are {}", meant(name, &known), known.join(", ")))
}
