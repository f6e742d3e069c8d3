//! mux: a local-first coding assistant. Argv, environment, clock, signals and streams enter here and go down as values;
//! errors come back up, become text once, and set the exit code.
#![expect(clippy::disallowed_methods, reason = "the one file where the process meets its surroundings")]

mod engine;
mod face;
mod rules;
mod sys;
mod words;

use face::args::{self, Command};
use face::compose;
use face::screen::Out;
use face::start::Streams;
use rules::escape::plain;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use std::io::{IsTerminal, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use words::env::Env;
use words::error::{Context, Error, Kind};
use words::stop::Stop;
use words::time::Utc;

/// The end of a command that says none.
const LONGEST_RUN: Duration = Duration::from_hours(1);

fn main() -> ExitCode {
    let mut out = Out(std::io::stdout().lock());
    let ended = args::parse(std::env::args_os().skip(1)).and_then(|command| start(&command, &mut out));
    let flushed = out.flush().context(Kind::Io, || "cannot write to standard output".to_string());
    match ended.and_then(|code| flushed.map(|()| code)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Nobody may be listening; the exit code says it all the same.
            let _ = writeln!(std::io::stderr(), "mux: {}", plain(&error.told()));
            ExitCode::from(error.exit_code())
        }
    }
}

fn start(command: &Command, out: &mut dyn Write) -> Result<u8, Error> {
    let env = Env { vars: std::env::vars_os().collect(), cwd: std::env::current_dir().ok(), now: now() };
    let (stdin, err) = (std::io::stdin(), std::io::stderr);
    let (is_terminal, is_page) = (err().is_terminal(), std::io::stdout().is_terminal());
    let stdin: Option<Box<dyn Read>> = if stdin.is_terminal() { None } else { Some(Box::new(stdin)) };
    let mut input = compose::input(command, stdin, is_terminal && is_page, &env)?;
    let stop = Stop::at(Instant::now() + command.limit().unwrap_or(LONGEST_RUN));
    listen(&stop, matches!(command, Command::Mcp { .. }))
        .context(Kind::Io, || "cannot listen for signals".to_string())?;
    let input = input.as_deref_mut().map(|input| input as &mut dyn Read);
    let streams = Streams { input, out, err, is_terminal, is_page, clock: now, exe: std::env::current_exe };
    face::start::start(command, &env, streams, &stop)
}

fn now() -> Utc {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Utc(u64::try_from(since.as_millis()).unwrap_or(0))
}

/// The first signal asks for an orderly end: roll back, record, exit 128 + its number. A second SIGINT ends at once,
/// but for a server, which always ends in two seconds and well. A file-size limit (SIGXFSZ) becomes the write error that
/// it is.
fn listen(stop: &Stop, is_server: bool) -> std::io::Result<()> {
    if !is_server {
        let asked_before = Arc::new(AtomicBool::new(false));
        flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(&asked_before))?;
        flag::register(SIGINT, asked_before)?;
    }
    for (signal, number) in [(SIGINT, 2), (SIGTERM, 15), (SIGHUP, 1)] {
        flag::register_usize(signal, stop.flag(), number)?;
    }
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    Ok(())
}
