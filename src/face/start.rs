//! Which command calls what. The streams and the surroundings come from `main`.

use crate::engine::run::House;
use crate::face::args::{Command, HELP};
use crate::face::hook::HookArgs;
use crate::face::mcp::serve::{self, Start};
use crate::face::screen::{Screen, has_colour, is_dumb};
use crate::face::watch::{Lines, Show, Silent, Terminal};
use crate::face::{
    bench, config, diff, doctor, egress, fit, here, hook, log, replay, report, run, setup, status, trust, tune, undo,
    why,
};
use crate::rules::{completions, manual};
use crate::sys::git;
use crate::sys::state::State;
use crate::sys::tty;
use crate::words::env::Env;
use crate::words::error::{Context, Error, Kind};
use crate::words::event::Watcher;
use crate::words::stop::Stop;
use crate::words::time::Utc;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The streams of the process, and what only the process can tell.
pub struct Streams<'a> {
    /// `None` when standard input is a terminal.
    pub input: Option<&'a mut dyn Read>,
    pub out: &'a mut dyn Write,
    /// Standard error, each time anew: a live line is drawn while other work goes on.
    pub err: fn() -> io::Stderr,
    /// Whether standard error is a terminal.
    pub is_terminal: bool,
    /// Whether standard output is one.
    pub is_page: bool,
    /// Wall time, for what begins more than one run.
    pub clock: fn() -> Utc,
    /// Where this program is.
    pub exe: fn() -> io::Result<PathBuf>,
}

/// Does what the command says and returns the exit code.
///
/// # Errors
/// Those of the command.
pub fn start(command: &Command, env: &Env, streams: Streams<'_>, stop: &Stop) -> Result<u8, Error> {
    let Streams { input, out, err, is_terminal, is_page, clock, exe } = streams;
    let stderr: &mut dyn Write = &mut err();
    let print = |out: &mut dyn Write, text: &str| {
        out.write_all(text.as_bytes()).context(Kind::Io, || "cannot write to standard output".to_string()).map(|()| 0)
    };
    // Only some commands look for the git root: the version is printed in a millisecond.
    let project = || project(env);
    match command {
        Command::Here => here::run(env, project().as_deref(), out, stop),
        Command::Help => print(out, HELP),
        Command::Completions(shell) => print(out, &completions::script(HELP, *shell)),
        Command::Man => print(out, &manual::page(HELP, env!("CARGO_PKG_VERSION"))),
        Command::Version => print(out, concat!("mux ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Run(args) => {
            let state = State::locate(env)?;
            let house = House { env, state: &state, config_file: args.config.as_deref() };
            let screen = Screen::out(env, is_page);
            let shows = Shows { answers: is_page && !args.json, quiet: args.quiet, ..Shows::work(is_terminal) };
            let mut watcher = watcher(env, shows, err, stop);
            run::run(args, &house, input, watcher.as_mut(), screen, out, stop)
        }
        Command::Setup(args) => setup::run(args, env, exe(), out, stop),
        Command::Hook(HookArgs::Run { name, args }) => Ok(hook::run(env, name, args, input, stderr, stop)),
        Command::Hook(HookArgs::Files { action, hooks }) => hook::files(env, *action, hooks, exe(), out, stop),
        Command::Mcp { budget_sec, config } => {
            if input.is_none() {
                let hint =
                    "mux: a client starts this server and speaks JSON-RPC to it; `mux setup` tells clients of it";
                let _ = writeln!(stderr, "{hint}");
            }
            let budget = budget_sec.map(Duration::from_secs);
            serve::serve(&Start { env, config_file: config.as_deref(), budget, clock }, stop)
        }
        Command::Config { action, config } => {
            config::run(*action, env, config.as_deref(), project().as_deref(), State::locate(env)?.dir(), out)
        }
        Command::Trust { dir, remove } => {
            let dir = match dir.clone().or_else(project) {
                Some(dir) => dir,
                None => env.here("`cd`, or name the directory")?.to_path_buf(),
            };
            trust::run(env, &dir, *remove, State::locate(env)?.dir(), out)
        }
        Command::Doctor { json, deep, config } => {
            let state = State::locate(env)?;
            let house = House { env, state: &state, config_file: config.as_deref() };
            let mut watcher = deep.then(|| watcher(env, Shows::work(is_terminal), err, stop));
            let deep = watcher.as_mut().map(|watcher| &mut **watcher as &mut dyn Watcher);
            doctor::run(&house, project().as_deref(), deep, *json, out, stop)
        }
        Command::Status { form, config } => {
            let state = State::locate(env)?;
            status::run(
                &House { env, state: &state, config_file: config.as_deref() },
                project().as_deref(),
                *form,
                Screen::out(env, is_page),
                out,
                stop,
            )
        }
        Command::Replay { args, config } => {
            at_home(env, config.as_deref(), |house| replay::run(house, project().as_deref(), args, out))
        }
        Command::Report { args, config } => {
            at_home(env, config.as_deref(), |house| report::run(house, project().as_deref(), args, is_page, out))
        }
        Command::Bench { args, config } => {
            let state = State::locate(env)?;
            let house = House { env, state: &state, config_file: config.as_deref() };
            let mut watcher = watcher(env, Shows::work(is_terminal), err, stop);
            bench::run(&house, project().as_deref(), args, watcher.as_mut(), out, stop)
        }
        Command::Fit { fit, json, config } => {
            at_home(env, config.as_deref(), |house| fit::run(house, project().as_deref(), (*fit, *json), out, stop))
        }
        Command::Tune { args, config } => {
            at_home(env, config.as_deref(), |house| tune::run(house, project().as_deref(), args, out))
        }
        Command::Why { run_id, json, config } => at_home(env, config.as_deref(), |house| {
            why::run(house, project().as_deref(), run_id.as_deref(), *json, out)
        }),
        Command::Diff { run_id, config } => at_home(env, config.as_deref(), |house| {
            diff::run(
                house,
                project().as_deref(),
                run_id.as_deref(),
                has_colour(env, is_page),
                &mut Lines::new(stderr),
                out,
            )
        }),
        Command::Undo { args, config } => at_home(env, config.as_deref(), |house| {
            undo::run(house, project().as_deref(), args, &mut Lines::new(stderr), out, stop)
        }),
        Command::Egress(args) => egress::run(State::locate(env)?.dir(), env.now, args, out, stop),
        Command::Log { args, config } => at_home(env, config.as_deref(), |house| {
            log::run(house, project().as_deref(), args, Screen::out(env, is_page), out, stop)
        }),
    }
}

/// Does what needs the state directory and the configuration.
fn at_home(
    env: &Env,
    config_file: Option<&Path>,
    act: impl FnOnce(&House<'_>) -> Result<u8, Error>,
) -> Result<u8, Error> {
    let state = State::locate(env)?;
    act(&House { env, state: &state, config_file })
}

/// Who tells on standard error.
fn watcher(env: &Env, shows: Shows, err: fn() -> io::Stderr, stop: &Stop) -> Box<dyn Watcher> {
    // A line that is drawn over takes a terminal that can go back to its beginning and erase.
    match (shows.quiet, shows.is_terminal && !is_dumb(env)) {
        (true, _) => Box::new(Silent),
        (false, true) => {
            let colour = has_colour(env, true);
            let show = Show { columns: tty::err_columns, colour, answers: shows.answers };
            Box::new(Terminal::new(err(), stop.clone(), show))
        }
        (false, false) => Box::new(Lines::new(err())),
    }
}

/// What standard error is for.
#[derive(Clone, Copy)]
struct Shows {
    is_terminal: bool,
    /// Whether answers are shown as they come.
    answers: bool,
    quiet: bool,
}

impl Shows {
    /// What is done, and no answers.
    fn work(is_terminal: bool) -> Shows {
        Shows { is_terminal, answers: false, quiet: false }
    }
}

/// The directory whose `mux.yaml` counts when no task names one: the git root of the current directory, or that itself.
fn project(env: &Env) -> Option<PathBuf> {
    let cwd = env.cwd.as_deref()?;
    Some(git::root(cwd).unwrap_or_else(|| cwd.to_path_buf()))
}
