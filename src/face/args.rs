//! The command line: arguments → [`Command`]. `HELP` is the page that the README quotes and a test compares.

mod bench;
mod egress;
mod hook;
mod limit;
mod log;
mod pages;
pub mod replay;
mod report;
mod run;
mod server;
pub mod tune;

pub use bench::BenchArgs;
pub use egress::EgressArgs;
pub use log::LogArgs;
pub use report::ReportArgs;
pub use run::{RunArgs, TaskText};
pub use tune::FitArgs;

use crate::face::config::Action;
use crate::face::hook::HookArgs;
use crate::face::setup::SetupArgs;
use crate::face::status::Form;
use crate::rules::argv;
use crate::rules::completions::Shell;
use crate::rules::nearest::nearest;
use crate::rules::usage as page;
use crate::words::error::{Error, Kind as ErrorKind};
use crate::words::task::{Asked, Provider};
use lexopt::{Arg, Parser, ValueExt};
use std::ffi::OsString;
use std::path::PathBuf;

/// The page of `mux --help`.
pub const HELP: &str = "\
usage: mux COMMAND [OPTIONS]

Runs a coding task on your own model server, proves the result with your own
tests and records every decision. Where that is not enough, a cloud CLI that you
have installed gets the evidence; what leaves is recorded.

commands:
  run [TASK...]       do one task; it may also come on standard input, or, on a
                      terminal, from your $EDITOR; with `-` behind the task, the
                      model is shown what comes on standard input
  doctor              what works, what does not, and the command that fixes it
  status              the model server, recent routes and failures; reads only
  log                 recent runs; -f shows each as it ends
  report              one HTML page with charts of all runs
  why [RUN_ID]        why a run went where it went, and what would have changed
                      that
  replay              what other settings would have made of the recorded runs
  bench               is the model good enough: small tasks with hidden tests
  tune                a threshold, or weights of the score, from your own runs
  diff [RUN_ID]       what a run changed, or its last try would have changed
  undo [RUN_ID]       take a run back; an undo can be undone too
  egress              all that mux ever sent out of this machine
  mcp                 serve the Model Context Protocol on standard input and
                      output
  setup               register that with claude, codex, gemini, where installed
  hook install|uninstall|status
                      git hooks: commit messages, no secret in a commit, reviews
  config [show|path|init|check]
                      effective values and where each comes from
  trust [DIR]         let a project's own mux.yaml name verification commands
  completions bash|zsh|fish
                      a completion script for the shell, on standard output
  man                 the manual page, on standard output

options of run:
  -C, --workdir DIR   work there (default: a path in the task, the git root of
                      the current directory, the current directory)
      --task TEXT     the task, instead of TASK...
      --task-file FILE  read the task from FILE; `-` is standard input
      --answer        the task wants an answer; write nothing
      --change        the task wants files changed
      --route ROUTE   auto, local, cloud, claude, codex, gemini, or a CLI that
                      the configuration declares
      --local-only    start no cloud process, contact no other machine
      --prefer-local  only failed proof or a server that is down may escalate
      --verify CMD    prove the result with CMD (repeatable); a JSON list is
                      taken as arguments: '[\"sh\", \"-c\", \"make && ./check\"]'
      --no-verify     prove nothing
      --verify-with PROVIDER  have the change reviewed by this cloud CLI
      --file PATH     show this file to the model (repeatable); also lets a
                      run write a file that tools execute unasked
      --dry-run       kind, work directory, context, first step; calls nothing
      --preview       generate and show the diff; write nothing
      --no-wait       end at once when another run holds the work directory
      --deadline SECONDS  end the run by then
      --json          one JSON object on standard output
      --quiet         nothing on standard error but errors
      --config FILE   read this configuration too

options of the others:
  doctor [--json] [--deep] [--config FILE]
                      --deep calls each cloud CLI once, after saying what it
                      spends
  status [--json | --check] [--config FILE]
  log [-n N] [--route ROUTE] [--failed] [--since 7d] [--workdir DIR]
      [--grep TEXT] [--json] [-f, --follow] [--config FILE]
  report [-o FILE] [--since 90d] [--config FILE]
                      default: mux-report.html here, or standard output where
                      that is no terminal; `-` is standard output
  why [RUN_ID] [--json] [--config FILE]
  replay [--threshold X] [--keywords A,B] [--max-attempts N] [--since 30d]
      [--curve] [--csv | --json] [--config FILE]
  tune [--max-cloud 20% | --max-false-accept 2%] [--since 30d] [--write]
      [--json] [--config FILE]; --write sets the proposal in your configuration
  bench [--quick] [--format whole|edits] [--deadline SECONDS] [--json]
      [--provider claude|codex|gemini [--yes]] [--config FILE]; SECONDS for each
      task
  tune --fit [--write | --reset] [--json] [--config FILE]; fits the weights of
      the score on the ledger and shows how good they are
  diff [RUN_ID] [--config FILE]
  undo [RUN_ID] [--force] [--no-wait] [--json] [--config FILE]; without RUN_ID
      it is the last run that changed files here and is not taken back; else the
      last run
  egress [--since 30d] [--json]; --prune 90d forgets what is older
  mcp [--budget SECONDS] [--config FILE]; a call that takes longer is answered
      with a run id, and mux_json gives its result later
  setup [--client claude,codex,gemini] [--trust] [--remove] [--dry-run] |
      --print-skill; --trust lets codex and gemini hand over tasks unasked
  hook install|uninstall [NAME...] [--shared]; NAME is prepare-commit-msg,
      commit-msg, pre-commit, pre-push or all; --shared changes a directory of
      hooks that serves other repositories too
  hook run NAME [ARGS...]; what the installed script calls
  config [show|path|init|check] [--json] [--config FILE]; --json is for show
  trust [DIR] [--remove]

  -h, --help          this page
  -V, --version       the version

exit codes:
  0 done · 1 not done: no route succeeded or the proof failed, the tree is as it
  was · 2 usage or configuration · 3 input/output, or done but not recorded ·
  4 refused: policy allowed no attempt, or a refused work directory or path ·
  130, 143, 129 interrupted
";

/// What to do, fully parsed. `Here` is what nothing said means; no run id means the last run.
#[derive(Debug, PartialEq)]
pub enum Command {
    Here,
    Help,
    Version,
    Run(Box<RunArgs>),
    Doctor { json: bool, deep: bool, config: Option<PathBuf> },
    Status { form: Form, config: Option<PathBuf> },
    Log { args: LogArgs, config: Option<PathBuf> },
    Config { action: Action, config: Option<PathBuf> },
    Why { run_id: Option<String>, json: bool, config: Option<PathBuf> },
    Replay { args: replay::ReplayArgs, config: Option<PathBuf> },
    Tune { args: tune::TuneArgs, config: Option<PathBuf> },
    Report { args: ReportArgs, config: Option<PathBuf> },
    Bench { args: BenchArgs, config: Option<PathBuf> },
    Fit { fit: FitArgs, json: bool, config: Option<PathBuf> },
    Diff { run_id: Option<String>, config: Option<PathBuf> },
    Undo { args: UndoArgs, config: Option<PathBuf> },
    Setup(SetupArgs),
    Hook(HookArgs),
    Mcp { budget_sec: Option<u64>, config: Option<PathBuf> },
    Trust { dir: Option<PathBuf>, remove: bool },
    Egress(EgressArgs),
    Completions(Shell),
    Man,
}

/// The options of `mux undo`.
#[derive(Debug, Default, PartialEq)]
pub struct UndoArgs {
    /// Or the beginning of one; `None` for the last run here that changed files.
    pub run_id: Option<String>,
    pub force: bool,
    pub no_wait: bool,
    pub json: bool,
}

/// Reads the arguments behind the program's name.
///
/// # Errors
/// `Kind::Usage`, naming the argument and the nearest valid one.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, Error> {
    let mut parser = Parser::from_args(args);
    let Some(first) = parser.next().map_err(usage)? else { return Ok(Command::Here) };
    match first {
        Arg::Short('h') | Arg::Long("help") => Ok(Command::Help),
        Arg::Short('V') | Arg::Long("version") => Ok(Command::Version),
        Arg::Value(name) => command(&name.string().map_err(usage)?, parser),
        Arg::Short(_) | Arg::Long(_) => Err(out_of_place(&first)),
    }
}

fn command(name: &str, parser: Parser) -> Result<Command, Error> {
    match name {
        "run" => run::run(parser),
        "doctor" | "status" | "why" | "diff" | "undo" | "config" | "trust" => other(name, parser),
        "egress" => egress::egress(parser),
        "log" => log::log(parser),
        "replay" => replay::replay(parser),
        "report" => report::report(parser),
        "bench" => bench::bench(parser),
        "tune" => tune::tune(parser),
        "mcp" => server::mcp(parser),
        "setup" => server::setup(parser),
        "hook" => hook::hook(parser),
        "completions" => pages::completions(parser),
        "man" => pages::man(parser),
        "help" => Ok(Command::Help),
        "version" => Ok(Command::Version),
        task if task.contains(' ') => {
            let hint = format!("a task is for `run`: `mux run {}`", argv::quote(task));
            Err(Error::new(ErrorKind::Usage, format!("unknown command `{task}`")).hint(hint))
        }
        _ => {
            let page = page::read(HELP);
            let names: Vec<&str> = page.commands.iter().map(|command| command.name).collect();
            Err(Error::new(ErrorKind::Usage, format!("unknown command `{name}`")).hint(meant(name, &names)))
        }
    }
}

/// The commands that have few options of their own.
fn other(name: &str, mut parser: Parser) -> Result<Command, Error> {
    let (mut json, mut check, mut deep, mut remove, mut config) = (false, false, false, false, None);
    let mut undo = UndoArgs::default();
    let mut value: Option<OsString> = None;
    while let Some(arg) = parser.next().map_err(usage)? {
        match (name, arg) {
            (_, Arg::Short('h') | Arg::Long("help")) => return Ok(Command::Help),
            ("doctor" | "status" | "why" | "diff" | "undo" | "config", Arg::Long("config")) => {
                config = Some(path(&mut parser)?);
            }
            ("doctor" | "status" | "why" | "undo" | "config", Arg::Long("json")) => json = true,
            ("undo", Arg::Long("force")) => undo.force = true,
            ("undo", Arg::Long("no-wait")) => undo.no_wait = true,
            ("status", Arg::Long("check")) => check = true,
            ("doctor", Arg::Long("deep")) => deep = true,
            ("trust", Arg::Long("remove")) => remove = true,
            ("why" | "diff" | "undo" | "config" | "trust", Arg::Value(word)) if value.is_none() => value = Some(word),
            (_, arg) => return Err(unexpected(&arg, &options_of(name))),
        }
    }
    Ok(match name {
        "doctor" => Command::Doctor { json, deep, config },
        "status" if check && json => return Err(contradiction("`--json` and `--check`")),
        "status" if check => Command::Status { form: Form::Check, config },
        "status" => Command::Status { form: if json { Form::Json } else { Form::Page }, config },
        "why" => Command::Why { run_id: run_id(value)?, json, config },
        "diff" => Command::Diff { run_id: run_id(value)?, config },
        "undo" => Command::Undo { args: UndoArgs { run_id: run_id(value)?, json, ..undo }, config },
        "config" => Command::Config { action: action(value, json)?, config },
        _ => Command::Trust { dir: value.map(as_path).transpose()?, remove },
    })
}

fn run_id(value: Option<OsString>) -> Result<Option<String>, Error> {
    let value = value.map(|value| value.string().map_err(usage)).transpose()?;
    if value.as_deref() == Some("") {
        let error = Error::new(ErrorKind::Usage, "an empty run id names no run");
        return Err(error.hint("a variable of the shell may be empty; `mux log` lists the recent ids"));
    }
    Ok(value)
}

fn action(value: Option<OsString>, json: bool) -> Result<Action, Error> {
    let Some(word) = value else { return Ok(Action::Show { json }) };
    let action = match word.to_str() {
        Some("show") => return Ok(Action::Show { json }),
        Some("path") => Action::Path,
        Some("init") => Action::Init,
        Some("check") => Action::Check,
        Some(_) | None => return Err(unexpected(&Arg::Value(word), &["show", "path", "init", "check"])),
    };
    if json {
        let error = Error::new(ErrorKind::Usage, format!("`mux config {}` has no `--json`", word.to_string_lossy()));
        return Err(error.hint("all values and where each comes from: `mux config show --json`"));
    }
    Ok(action)
}

/// The long options that the help page lists in the lines or the section of a command.
fn options_of(name: &str) -> Vec<&'static str> {
    let (_, options) = HELP.split_once("options of run:").unwrap_or_default();
    let (run, others) = options.split_once("options of the others:").unwrap_or_default();
    let mut is_in = name == "run";
    // A line that is indented further goes on with the one before.
    let mut is_of = |line: &&str| {
        is_in = line.split(' ').next() == Some(name) || is_in && (name == "run" || line.starts_with(' '));
        is_in
    };
    let text = if name == "run" { run } else { others };
    let lines: Vec<&str> = text.split("\n  ").filter(&mut is_of).collect();
    let words = lines.into_iter().flat_map(|line| line.split([' ', ',', ';', '\n', '[', ']']));
    words.filter(|word| word.starts_with("--")).collect()
}

/// The error for an option before the command. One that a command has stands behind it.
fn out_of_place(arg: &Arg<'_>) -> Error {
    let error = unexpected(arg, &["--help", "--version"]);
    let (name, page) = (written(arg), page::read(HELP));
    let mut having = page.commands.iter();
    let of = having.find(|command| command.flags.iter().any(|flag| flag.is(&name)));
    match of {
        Some(command) => error.hint(format!("an option stands behind its command: `mux {} {name} …`", command.name)),
        None => error,
    }
}

fn unexpected(arg: &Arg<'_>, known: &[&str]) -> Error {
    let name = written(arg);
    Error::new(ErrorKind::Usage, format!("unexpected argument `{name}`")).hint(meant(&name, known))
}

/// An argument as it stands on the line.
fn written(arg: &Arg<'_>) -> String {
    match arg {
        Arg::Short(letter) => format!("-{letter}"),
        Arg::Long(name) => format!("--{name}"),
        Arg::Value(value) => value.to_string_lossy().into_owned(),
    }
}

/// Says which known word is meant, if one is close; else where all are listed.
fn meant(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(word) => format!("did you mean `{word}`? `mux --help` lists all"),
        None => "`mux --help` lists what there is".to_string(),
    }
}

fn contradiction(both: &str) -> Error {
    Error::new(ErrorKind::Usage, format!("{both} contradict each other")).hint("keep the one that you mean")
}

fn text(parser: &mut Parser) -> Result<String, Error> {
    parser.value().and_then(ValueExt::string).map_err(usage)
}

fn path(parser: &mut Parser) -> Result<PathBuf, Error> {
    as_path(parser.value().map_err(usage)?)
}

fn as_path(value: OsString) -> Result<PathBuf, Error> {
    if value.is_empty() {
        let error = Error::new(ErrorKind::Usage, "an empty path is not a path");
        return Err(error.hint("a variable of the shell may be empty; `.` is the current directory"));
    }
    Ok(PathBuf::from(value))
}

fn route(name: &str) -> Result<Asked, Error> {
    let unknown = || Error::new(ErrorKind::Usage, format!("unknown route `{name}`")).hint(meant(name, &Asked::NAMES));
    Asked::parse(name).ok_or_else(unknown)
}

fn provider(name: &str) -> Result<Provider, Error> {
    let known = ["claude", "codex", "gemini"];
    let unknown = || Error::new(ErrorKind::Usage, format!("unknown provider `{name}`")).hint(meant(name, &known));
    Provider::named(name).ok_or_else(unknown)
}

/// Seconds of a deadline: a whole number from 1 to a week.
fn seconds(option: &str, value: &str) -> Result<u64, Error> {
    let bad = || {
        let error =
            Error::new(ErrorKind::Usage, format!("`{option} {value}` is not a number of seconds from 1 to 604800"));
        error.hint(format!("ten minutes: `{option} 600`"))
    };
    value.parse().ok().filter(|seconds| (1..=604_800).contains(seconds)).ok_or_else(bad)
}

/// A span such as `90s`, `30m`, `12h`, `7d`, `2w`, in milliseconds.
fn span(option: &str, value: &str) -> Result<u64, Error> {
    let bad = || {
        let error = Error::new(ErrorKind::Usage, format!("`{option} {value}` is not a span of time"));
        error.hint(format!("a number and one of s, m, h, d, w: `{option} 7d`"))
    };
    let digits = value.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match value.get(digits.len()..) {
        Some("s") => 1000,
        Some("m") => 60_000,
        Some("h") => 3_600_000,
        Some("d") => 86_400_000,
        Some("w") => 604_800_000,
        Some(_) | None => return Err(bad()),
    };
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(bad)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn usage(error: lexopt::Error) -> Error {
    let help = "`mux --help` lists the commands and their options";
    let (what, hint) = match &error {
        lexopt::Error::MissingValue { option: Some(option) } => {
            let page = page::read(HELP);
            let mut flags = page.commands.iter().flat_map(|command| &command.flags);
            let value = flags.find(|flag| flag.is(option)).and_then(|flag| flag.value).unwrap_or("VALUE");
            (format!("`{option}` needs a value"), format!("`{option} {value}`: {help}"))
        }
        lexopt::Error::UnexpectedValue { option, value } => {
            (format!("`{option}` takes no value"), format!("leave out `={}`: {help}", value.to_string_lossy()))
        }
        lexopt::Error::NonUnicodeValue(value) => {
            (format!("the argument `{}` is not UTF-8 text", value.to_string_lossy()), help.to_string())
        }
        lexopt::Error::MissingValue { option: None }
        | lexopt::Error::UnexpectedOption(_)
        | lexopt::Error::UnexpectedArgument(_)
        | lexopt::Error::ParsingFailed { .. }
        | lexopt::Error::Custom(_) => (error.to_string(), help.to_string()),
    };
    Error::new(ErrorKind::Usage, what).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::hook::install;
    use crate::rules::hook::Hook;
    use crate::words::name::Name;
    use crate::words::task::Kind;

    fn read(line: &[&str]) -> Result<Command, String> {
        parse(line.iter().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check_run(line: &[&str], expected: RunArgs) {
        assert_eq!(read(line), Ok(Command::Run(Box::new(expected))), "{line:?}");
    }

    #[track_caller]
    fn check_error(line: &[&str], expected: &str) {
        assert_eq!(read(line), Err(expected.to_string()), "{line:?}");
    }

    fn text(task: &str) -> TaskText {
        TaskText::Text(task.into())
    }

    #[test]
    fn the_page_fits_a_terminal() {
        let wide: Vec<&str> = HELP.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{wide:#?}");
    }

    #[test]
    fn tasks_come_in_four_ways() {
        check_run(&["run", "fix", "the bug"], RunArgs { task: text("fix the bug"), ..RunArgs::default() });
        check_run(&["run", "--task", "-x"], RunArgs { task: text("-x"), ..RunArgs::default() });
        check_run(&["run", "--", "-v is broken"], RunArgs { task: text("-v is broken"), ..RunArgs::default() });
        check_run(&["run", "-"], RunArgs { task: TaskText::Stdin, ..RunArgs::default() });
        let about = TaskText::About("why this".into());
        check_run(&["run", "why", "this", "-"], RunArgs { task: about, ..RunArgs::default() });
        check_run(&["run", "--task-file", "-"], RunArgs { task: TaskText::Stdin, ..RunArgs::default() });
        check_run(&["run", "--task-file=t"], RunArgs { task: TaskText::File("t".into()), ..RunArgs::default() });
        check_run(&["run"], RunArgs::default());
    }

    #[test]
    fn options_of_run_are_read() {
        check_run(
            &["run", "-C", "d", "--change", "--route=local", "--verify", "a b", "--verify=c", "--deadline", "5", "x"],
            RunArgs {
                task: text("x"),
                workdir: Some("d".into()),
                kind: Some(Kind::Change),
                route: Asked::Local,
                verify: vec!["a b".into(), "c".into()],
                deadline_sec: Some(5),
                ..RunArgs::default()
            },
        );
    }

    #[test]
    fn a_route_may_be_a_cli_that_only_the_configuration_knows() {
        let route = Asked::Declared(Name::parse("agy").unwrap());
        check_run(&["run", "--route", "agy", "x"], RunArgs { task: text("x"), route, ..RunArgs::default() });
    }

    #[test]
    fn the_help_lists_a_configuration_where_one_is_taken() {
        let names = "run doctor status log report why replay tune bench diff undo egress mcp setup config trust man";
        for name in names.split(' ') {
            let is_taken = read(&[name, "--config", "f"]).is_ok();
            assert_eq!(options_of(name).contains(&"--config"), is_taken, "{name}");
        }
    }

    #[test]
    fn the_other_commands_are_read() {
        assert_eq!(read(&[]), Ok(Command::Here));
        assert_eq!(read(&["-V"]), Ok(Command::Version));
        assert_eq!(read(&["run", "--help"]), Ok(Command::Help));
        assert_eq!(read(&["status", "--check"]), Ok(Command::Status { form: Form::Check, config: None }));
        let deep = Command::Doctor { json: true, deep: true, config: None };
        assert_eq!(read(&["doctor", "--deep", "--json"]), Ok(deep));
        let args = LogArgs {
            n: 3,
            route: Some("local".into()),
            failed: true,
            since_ms: Some(604_800_000),
            workdir: Some("d".into()),
            grep: Some("x y".into()),
            json: false,
            follow: true,
        };
        let line = ["log", "-fn3", "--route=local", "--failed", "--since=7d", "--workdir", "d", "--grep", "x y"];
        assert_eq!(read(&line), Ok(Command::Log { args, config: None }));
        let config = Command::Config { action: Action::Init, config: None };
        assert_eq!(read(&["config", "init"]), Ok(config));
        let why = Command::Why { run_id: Some("01A".into()), json: true, config: None };
        assert_eq!(read(&["why", "01A", "--json"]), Ok(why));
        let keywords = Some(vec!["auth".to_string(), "crypto".to_string()]);
        let form = replay::Form::Json { curve: true };
        let args = replay::ReplayArgs { threshold: Some(0.7), keywords, max_attempts: Some(2), form, since_ms: None };
        let line = ["replay", "--threshold", "0.7", "--keywords=auth, crypto", "--max-attempts=2", "--json", "--curve"];
        assert_eq!(read(&line), Ok(Command::Replay { args, config: None }));
        let args = ReportArgs { output: Some("r.html".into()), since_ms: Some(7_776_000_000) };
        let line = ["report", "-o", "r.html", "--since", "90d"];
        assert_eq!(read(&line), Ok(Command::Report { args, config: None }));
        let provider = Some(Provider::Claude);
        let args = BenchArgs { quick: true, provider, yes: true, deadline_sec: Some(9), ..BenchArgs::default() };
        let line = ["bench", "--quick", "--provider=claude", "--yes", "--deadline", "9"];
        assert_eq!(read(&line), Ok(Command::Bench { args, config: None }));
        let target = Some(tune::Target::MaxFalseAccept(0.02));
        let args = tune::TuneArgs { target, since_ms: Some(86_400_000), write: true, json: false };
        let line = ["tune", "--max-false-accept", "2%", "--write", "--since=1d"];
        assert_eq!(read(&line), Ok(Command::Tune { args, config: None }));
        let args = tune::TuneArgs { target: Some(tune::Target::MaxCloud(0.2)), json: true, ..Default::default() };
        assert_eq!(read(&["tune", "--json", "--max-cloud=0.2"]), Ok(Command::Tune { args, config: None }));
        let args = UndoArgs { run_id: Some("01A".into()), force: true, no_wait: true, json: true };
        assert_eq!(read(&["diff"]), Ok(Command::Diff { run_id: None, config: None }));
        let line = ["undo", "--force", "01A", "--no-wait", "--json"];
        assert_eq!(read(&line), Ok(Command::Undo { args, config: None }));
        let args = EgressArgs { since_ms: Some(86_400_000), prune_ms: None, json: true };
        assert_eq!(read(&["egress", "--json", "--since=1d"]), Ok(Command::Egress(args)));
        let args = EgressArgs { prune_ms: Some(604_800_000), ..EgressArgs::default() };
        assert_eq!(read(&["egress", "--prune", "1w"]), Ok(Command::Egress(args)));
        let args = HookArgs::Run { name: "pre-push".into(), args: vec!["-o".into(), "--help".into()] };
        assert_eq!(read(&["hook", "run", "pre-push", "-o", "--help"]), Ok(Command::Hook(args)));
        let (install, all) = (install::Action::Install { shared: true }, Hook::ALL.to_vec());
        let args = HookArgs::Files { action: install, hooks: all.clone() };
        assert_eq!(read(&["hook", "install", "--shared"]), Ok(Command::Hook(args)));
        let args = HookArgs::Files { action: install::Action::Status, hooks: all };
        assert_eq!(read(&["hook", "status", "all", "pre-commit"]), Ok(Command::Hook(args)));
        let uninstall = install::Action::Uninstall { shared: false };
        let args = HookArgs::Files { action: uninstall, hooks: vec![Hook::PreCommit, Hook::PrePush] };
        assert_eq!(read(&["hook", "uninstall", "pre-push", "pre-commit"]), Ok(Command::Hook(args)));
        assert_eq!(read(&["completions", "fish"]), Ok(Command::Completions(Shell::Fish)));
        assert_eq!(read(&["man"]), Ok(Command::Man));
        assert_eq!(read(&["trust", "d"]), Ok(Command::Trust { dir: Some("d".into()), remove: false }));
    }

    #[test]
    fn mistakes_name_the_nearest_word() {
        check_error(&["runn"], "unknown command `runn`\n  hint: did you mean `run`? `mux --help` lists all");
        check_error(&["fix a.py"], "unknown command `fix a.py`\n  hint: a task is for `run`: `mux run 'fix a.py'`");
        check_error(
            &["--config", "x", "run"],
            "unexpected argument `--config`\n  hint: an option stands behind its command: `mux run --config …`",
        );
        check_error(&["zzzzzz"], "unknown command `zzzzzz`\n  hint: `mux --help` lists what there is");
        check_error(
            &["run", "--verfy", "x"],
            "unexpected argument `--verfy`\n  hint: did you mean `--verify`? `mux --help` lists all",
        );
        check_error(
            &["run", "--route", "Local"],
            "unknown route `Local`\n  hint: did you mean `local`? `mux --help` lists all",
        );
        check_error(
            &["status", "--jsno"],
            "unexpected argument `--jsno`\n  hint: did you mean `--json`? `mux --help` lists all",
        );
        check_error(
            &["replay", "--csv", "--json"],
            "`--json` and `--csv` contradict each other\n  hint: the curve for a spreadsheet: `mux replay --curve --csv`; \
             all of it: `mux replay --curve --json`",
        );
        check_error(
            &["replay", "--curv"],
            "unexpected argument `--curv`\n  hint: did you mean `--curve`? `mux --help` lists all",
        );
        check_error(
            &["tune", "--max-cloud", "20", "--write"],
            "`--max-cloud 20` is not a share\n  hint: in percent or from 0 to 1: `--max-cloud 20%`",
        );
        check_error(
            &["tune", "--max-cloud=1%", "--max-false-accept=1%"],
            "a threshold has one target: `--max-cloud` or `--max-false-accept`\n  hint: keep the one that you mean: `mux \
             tune --max-cloud 20%`",
        );
        check_error(
            &["tune", "--write"],
            "`--write` needs to know what for\n  hint: `mux tune --max-cloud 20% --write`, or `mux tune \
             --max-false-accept 2% --write`",
        );
    }

    #[test]
    fn values_that_cannot_be_are_named_with_one_that_can() {
        check_error(
            &["completions"],
            "`mux completions` needs a shell\n  hint: one of bash, zsh, fish: `mux completions bash`",
        );
        check_error(
            &["completions", "bsh"],
            "unknown shell `bsh`\n  hint: one of bash, zsh, fish: `mux completions bash`",
        );
        check_error(
            &["replay", "--threshold", "1.1"],
            "`--threshold 1.1` is not a number from 0 to 1\n  hint: the default: `--threshold 0.6`",
        );
        check_error(
            &["replay", "--max-attempts", "0"],
            "`--max-attempts 0` is not a number from 1 to 100\n  hint: the default: `--max-attempts 4`",
        );
        check_error(
            &["bench", "--format", "whol"],
            "unknown format `whol`\n  hint: did you mean `whole`? `mux --help` lists all",
        );
        check_error(
            &["bench", "--provider", "codex", "--format", "edits"],
            "`--format` is for the local model; a cloud CLI edits files by itself\n  hint: leave out `--format` or `--provider`",
        );
        check_error(
            &["why", "01A", "--jsno"],
            "unexpected argument `--jsno`\n  hint: did you mean `--json`? `mux --help` lists all",
        );
        check_error(
            &["undo", "--forc", "01A"],
            "unexpected argument `--forc`\n  hint: did you mean `--force`? `mux --help` lists all",
        );
        check_error(
            &["report", "--sinc", "7d"],
            "unexpected argument `--sinc`\n  hint: did you mean `--since`? `mux --help` lists all",
        );
        check_error(
            &["run", "--answer", "--change", "x"],
            "`--answer` and `--change` contradict each other\n  hint: keep the one that you mean",
        );
        check_error(
            &["run", "--deadline", "0", "x"],
            "`--deadline 0` is not a number of seconds from 1 to 604800\n  hint: ten minutes: `--deadline 600`",
        );
        check_error(
            &["run", "a", "--task", "b"],
            "the task is given twice; use one of TASK, `--task`, `--task-file` and `-`\n  hint: once is enough: `mux run \
             --task-file FILE`",
        );
        check_error(
            &["log", "--since", "7"],
            "`--since 7` is not a span of time\n  hint: a number and one of s, m, h, d, w: `--since 7d`",
        );
        check_error(
            &["egress", "--prune", "all"],
            "`--prune all` is not a span of time\n  hint: a number and one of s, m, h, d, w: `--prune 7d`",
        );
        check_error(
            &["hook"],
            "`mux hook` needs to know what to do\n  hint: `mux hook install`, `mux hook uninstall` or `mux hook status`",
        );
        check_error(
            &["hook", "run"],
            "`mux hook run` needs the name of a hook\n  hint: git's own names: `mux hook run pre-commit`",
        );
        check_error(
            &["hook", "instal"],
            "unknown action `instal`\n  hint: did you mean `install`? `mux --help` lists all",
        );
        check_error(
            &["hook", "install", "precommit"],
            "unknown hook `precommit`\n  hint: did you mean `pre-commit`? `mux --help` lists all; there are \
             prepare-commit-msg, commit-msg, pre-commit, pre-push, all",
        );
        check_error(
            &["hook", "status", "--shared"],
            "unexpected argument `--shared`\n  hint: `mux --help` lists what there is",
        );
        check_error(
            &["egress", "--prune", "7d", "--json"],
            "`--prune` lists nothing; it stands alone\n  hint: `mux egress --json` lists",
        );
        check_error(
            &["egress", "--jsno"],
            "unexpected argument `--jsno`\n  hint: did you mean `--json`? `mux --help` lists all",
        );
    }

    #[test]
    fn every_listed_option_of_run_is_known() {
        for option in options_of("run") {
            let alone = read(&["run", option]);
            let with_value = read(&["run", option, "1"]);
            let known = alone.is_ok() || with_value.is_ok() || ["--route", "--verify-with"].contains(&option);
            assert!(known, "{option}: {alone:?} {with_value:?}");
        }
    }
}
