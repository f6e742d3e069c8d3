//! Runs the commands that prove a change, and says what they proved. Not the choice of what happens next.
//!
//! **Invariants:** a command comes from the user (flag, configuration) or from the table of well-known test runners
//! (`suites.rs`), never from a model. Nothing is called proven that did not run: a missing program is a failure, a
//! suite without a test proves nothing, and nothing to run is `skipped`.

use crate::engine::suites::{self, Found};
use crate::rules::argv;
use crate::rules::config::CommandSpec;
use crate::rules::examples::Examples;
use crate::rules::{evidence, failing, from_json};
use crate::sys::disk::{Cause, WorkDir};
use crate::sys::proc::{self, Chunk, Exit, Spawn, Tail};
use crate::words::env::Env;
use crate::words::error::{Error, Kind};
use crate::words::event::{Event, Watcher};
use crate::words::stop::{Stop, StopReason};
use crate::words::task::{CommandRun, Failures, Proof, Red, Verdict};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Output kept of one command, in bytes: enough for the first failure of a large suite.
const KEEP: usize = 512 * 1024;

/// How long examples may take, all together.
const TO_TRY: Duration = Duration::from_secs(30);

/// Said where a confined command failed and speaks of permissions: the cause may be the fence.
const OUTSIDE: &str = "commands may write in the work directory, in directories for temporary files and in caches only: \
                       `verification.writable` names more";

/// Where commands come from. Decides what a missing program and an empty suite mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `--verify`: the user asks for this proof, so nothing less will do.
    Flag,
    /// `verification.commands`.
    Config,
    /// Found in the project once its files are written.
    Project,
    /// `--no-verify`, `verification.enabled: false`, or no commands and `auto_detect: false`.
    Nowhere,
}

/// What to run, settled before any model is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub origin: Origin,
    /// Empty for [`Origin::Project`], until [`suites::detect`] sees the files, and for [`Origin::Nowhere`].
    pub commands: Vec<Vec<String>>,
    /// A configured program that is not there: verification will fail, whatever a model writes.
    pub missing: Option<String>,
}

/// The settings of [`plan`].
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The values of `--verify`.
    pub flags: &'a [String],
    /// False after `--no-verify` and with `verification.enabled: false`. `--verify` wins over the latter.
    pub enabled: bool,
    /// `verification.commands`.
    pub commands: &'a [CommandSpec],
    pub auto_detect: bool,
}

/// What [`verify`] needs to know besides the plan.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// Absolute; the directory in which commands run.
    pub workdir: &'a Path,
    /// The same, held: a command is started by path, and where that leads elsewhere it proves nothing. `None` for a
    /// directory that nobody else knows.
    pub held: Option<&'a WorkDir>,
    pub env: &'a Env,
    /// `verification.env`: names of variables that pass although they look like secrets.
    pub pass: &'a [String],
    /// `providers.local.api_key_env`: the variable with the key of the model server, whatever it is called.
    pub key: &'a str,
    /// `verification.timeout_sec`, for each command.
    pub timeout: Duration,
    /// `verification.strict`: skipped counts as failed.
    pub strict: bool,
    pub run_id: &'a str,
    /// Where commands may write; `None`: wherever the user may.
    pub writes: Option<&'a [PathBuf]>,
    /// Paths that the change touches, relative to the work directory: of several test suites those of their languages
    /// run.
    pub touched: &'a [String],
    /// What is tried where the project has no tests: examples that the user or the files gave.
    pub examples: Option<&'a Examples>,
}

/// How one command went.
enum Went {
    Passed,
    /// It ended well, but says that it ran no test.
    Empty,
    /// It can't be run here, and why.
    Absent(String),
    /// With the reason, what the next try should see, and which tests failed. No evidence: another try can't help.
    Failed(String, Option<String>, Option<Failures>),
}

/// Settles which commands will run.
///
/// # Errors
/// [`Kind::Usage`] for a `--verify` that is no command or whose program does not exist; [`Kind::Config`] for a
/// configured command that is no command. A configured program that does not exist is no error but [`Plan::missing`].
pub fn plan(wanted: &Wanted<'_>, workdir: &Path, env: &Env) -> Result<Plan, Error> {
    let mut plan = Plan { origin: Origin::Nowhere, commands: Vec::new(), missing: None };
    if !wanted.flags.is_empty() {
        plan.origin = Origin::Flag;
        for text in wanted.flags {
            let command = parse(text).map_err(|fault| fault_in(Kind::Usage, "--verify", text, fault))?;
            if let Some(missing) = missing_program(&command, workdir, env) {
                let error =
                    Error::new(Kind::Usage, format!("cannot verify with `{text}`: `{missing}` is not a program"));
                return Err(error.hint(missing_hint(&missing)));
            }
            plan.commands.push(command);
        }
    } else if wanted.enabled && !wanted.commands.is_empty() {
        plan.origin = Origin::Config;
        for written in wanted.commands {
            let text = match written {
                CommandSpec::Line(text) => text.as_str(),
                CommandSpec::Argv(_) => "[]",
            };
            let command =
                argv::of(written).map_err(|fault| fault_in(Kind::Config, "verification.commands", text, fault))?;
            plan.missing = plan.missing.or_else(|| missing_program(&command, workdir, env));
            plan.commands.push(command);
        }
    } else if wanted.enabled && wanted.auto_detect {
        plan.origin = Origin::Project;
    }
    Ok(plan)
}

/// Returns what would run if the work directory stayed as it is.
pub fn outlook(plan: &Plan, workdir: &Path, touched: &[String]) -> Vec<Vec<String>> {
    match plan.origin {
        Origin::Project => suites::detect(workdir, touched).commands,
        Origin::Flag | Origin::Config | Origin::Nowhere => plan.commands.clone(),
    }
}

/// Runs the plan in the work directory as it is now, up to the first failure; past one that may have been there before
/// the change, since the commands behind it count too.
///
/// In the [`Proof`], `Failed` without evidence means that another try can't help (a missing program, work called off).
/// A suite that ran no test is `failed` for `--verify`, else `skipped`, unless another command of the plan passed.
pub fn verify(plan: &Plan, ground: &Ground<'_>, stop: &Stop, watcher: &mut dyn Watcher) -> Proof {
    let mut proof = unjudged(String::new());
    let found = match plan.origin {
        Origin::Project => suites::detect(ground.workdir, ground.touched),
        Origin::Flag | Origin::Config | Origin::Nowhere => Found::default(),
    };
    // Examples are less than tests: they are tried where nothing else says anything.
    let examples = ground.examples.filter(|_| plan.origin == Origin::Project && found.commands.is_empty());
    let commands = match examples {
        Some(examples) => std::slice::from_ref(&examples.argv),
        None if plan.origin == Origin::Project => &found.commands,
        None => &plan.commands,
    };
    let mut lines = Vec::new();
    let mut empty: Option<String> = None;
    let mut passed = false;
    let held = if ground.writes.is_some() { ", confined" } else { "" };
    for command in commands {
        let (name, went, took) = check(command, plan.origin, ground, stop, watcher, &mut proof.commands);
        let seconds = took.as_secs_f64();
        match went {
            Went::Passed => {
                passed = true;
                lines.push(format!("{name}, {seconds:.1} s{held}"));
            }
            // Examples that cannot be tried are as good as none.
            Went::Empty | Went::Absent(_) if examples.is_some() => {}
            Went::Empty => {
                lines.push(format!("{name} ran no test, {seconds:.1} s{held}"));
                empty.get_or_insert(name);
            }
            // A suite that was only found and can't be run is as good as not found.
            Went::Absent(why) if plan.origin == Origin::Project => lines.push(why),
            Went::Absent(why) => {
                lines.push(why);
                proof.verdict = Verdict::Failed;
                proof.evidence = None;
                proof.red.push(Red { argv: command.clone(), failures: None });
                break;
            }
            Went::Failed(why, tail, failures) => {
                lines.push(format!("{name}: {why}, {seconds:.1} s{held}"));
                proof.verdict = Verdict::Failed;
                let evidence = tail.map(|tail| format!("`{name}`: {why}\n{tail}"));
                // The first failure explains most; but where another try can't help, it can't help.
                proof.evidence = evidence.map(|evidence| proof.evidence.take().unwrap_or(evidence));
                let goes_on = failures.is_some() && plan.origin != Origin::Flag;
                proof.red.push(Red { argv: command.clone(), failures });
                if !goes_on {
                    break;
                }
            }
        }
    }
    proof.summary = lines.join("; ");
    if let Some(examples) = examples.filter(|_| passed && !ground.strict) {
        // A few examples that hold are no proof, and never called one.
        proof.examples = examples.n;
        proof.summary.push_str("; no test suite found");
    } else if proof.verdict == Verdict::Skipped && passed && examples.is_none() {
        proof.verdict = Verdict::Passed;
    } else if proof.verdict == Verdict::Skipped {
        nothing_proved(plan.origin, ground.strict, empty, &mut proof);
    }
    proof
}

/// A proof of nothing yet.
pub fn unjudged(summary: String) -> Proof {
    let (commands, red, remarks) = (Vec::new(), Vec::new(), Vec::new());
    Proof { verdict: Verdict::Skipped, summary, commands, evidence: None, red, remarks, examples: 0 }
}

/// Runs one command of a plan in the work directory as it is now, to compare it with a red run of the same command.
/// Green is a run without failures; `None`: it cannot be compared.
pub fn run_again(
    command: &[String],
    origin: Origin,
    ground: &Ground<'_>,
    stop: &Stop,
    watcher: &mut dyn Watcher,
    runs: &mut Vec<CommandRun>,
) -> Option<Failures> {
    match check(command, origin, ground, stop, watcher, runs).1 {
        Went::Passed | Went::Empty => Some(Failures { exit: 0, names: BTreeSet::new(), n_passed: 0 }),
        Went::Failed(_, _, failures) => failures,
        Went::Absent(_) => None,
    }
}

/// No command failed and none passed: says why, and decides whether that counts as failed.
fn nothing_proved(origin: Origin, strict: bool, empty: Option<String>, proof: &mut Proof) {
    let nothing_found = proof.summary.is_empty();
    if nothing_found {
        proof.summary = match origin {
            Origin::Nowhere => "verification is off".into(),
            Origin::Flag | Origin::Config | Origin::Project => "no test suite found".into(),
        };
    }
    if origin == Origin::Flag || (strict && origin != Origin::Nowhere) {
        proof.verdict = Verdict::Failed;
        proof.evidence = match empty {
            Some(name) => Some(format!("`{name}` ran no test: the change needs tests that it finds.")),
            None if nothing_found => Some("No test suite was found: the change needs tests.".into()),
            None => None,
        };
    }
}

/// Runs one command; Python's suite by its own `unittest` where pytest is not installed. Returns how it is called.
fn check(
    command: &[String],
    origin: Origin,
    ground: &Ground<'_>,
    stop: &Stop,
    watcher: &mut dyn Watcher,
    runs: &mut Vec<CommandRun>,
) -> (String, Went, Duration) {
    let no_proof = |cause: Cause| Went::Failed(cause.to_string(), None, None);
    let place = match ground.held.map(WorkDir::place).transpose() {
        Ok(place) => place,
        Err(cause) => return (argv::spell(command), no_proof(cause), Duration::ZERO),
    };
    let (mut name, mut went, mut took, mut output) = run(command, ground, stop, watcher, runs);
    let is_lacking = |went: &Went, output: &str| matches!(went, Went::Failed(..)) && evidence::lacks_pytest(output);
    if origin == Origin::Project && is_lacking(&went, &output) {
        if let Some(command) = suites::with_other_python(command) {
            (name, went, took, output) = run(&command, ground, stop, watcher, runs);
        }
        if let Some(command) = suites::without_pytest(command, ground.workdir).filter(|_| is_lacking(&went, &output)) {
            (name, went, took, output) = run(&command, ground, stop, watcher, runs);
            if matches!(went, Went::Empty) {
                went = Went::Absent("python3 has no pytest, and without it there is no test to run".into());
            } else if !matches!(went, Went::Passed) && output.contains("No module named 'pytest'") {
                went = Went::Absent("python3 has no pytest, which these tests need".into());
            }
        }
    }
    if let Some(Err(cause)) = ground.held.zip(place).map(|(held, place)| held.still(place)) {
        went = no_proof(cause);
    }
    (name, went, took)
}

fn run(
    command: &[String],
    ground: &Ground<'_>,
    stop: &Stop,
    watcher: &mut dyn Watcher,
    runs: &mut Vec<CommandRun>,
) -> (String, Went, Duration, String) {
    let examples = ground.examples.filter(|examples| examples.argv == command);
    let name = examples.map_or_else(|| argv::spell(command), Examples::name);
    watcher.event(&Event::Verifying { command: &name });
    let mut run = CommandRun { argv: command.to_vec(), exit: None, duration_ms: 0 };
    let (program, args) = command.split_first().map_or(("", command), |(program, args)| (program.as_str(), args));
    let Some(program) = proc::which(OsStr::new(program), ground.env.var("PATH"), ground.workdir) else {
        runs.push(run);
        return (name, Went::Absent(format!("`{program}` was not found")), Duration::ZERO, String::new());
    };
    let spawn = Spawn {
        program,
        args: args.iter().map(OsString::from).collect(),
        cwd: ground.workdir.to_path_buf(),
        env: environment(ground),
        stdin: examples.map(|examples| examples.script.clone().into_bytes()),
        keep: 0,
        silence: None,
        lost: None,
        writes: ground.writes.map(<[PathBuf]>::to_vec),
        marker: ground.run_id.to_string(),
    };
    // Both streams into one tail, in the order in which they came: a test's own words next to the runner's.
    let mut tail = Tail::new(KEEP);
    let timeout = if examples.is_some() { ground.timeout.min(TO_TRY) } else { ground.timeout };
    let ran = proc::run(&spawn, &stop.until(Instant::now() + timeout), &mut |chunk| match chunk {
        Chunk::Out(bytes) | Chunk::Err(bytes) => tail.push(bytes),
    });
    run.duration_ms = u64::try_from(ran.duration.as_millis()).unwrap_or(u64::MAX);
    let output = tail.text();
    let useful = || Some(evidence::useful(&output, &ground.workdir.to_string_lossy()));
    // Of a cut output some names are gone.
    let failures = |exit| {
        let names = failing::failing(&output).filter(|_| tail.is_whole())?;
        Some(Failures { exit, names, n_passed: evidence::passed_tests(&output).unwrap_or(0) })
    };
    let is_empty = || tail.is_whole() && evidence::passed_tests(&output) == Some(0);
    let went = match ran.exit {
        Exit::Code(code) => {
            run.exit = Some(code);
            match code {
                // 5: pytest, and unittest since Python 3.12, had no test to run.
                0 | 5 if is_empty() => Went::Empty,
                0 => Went::Passed,
                code => Went::Failed(format!("exit {code}"), useful(), failures(code)),
            }
        }
        Exit::Signal(signal) => Went::Failed(format!("killed by signal {signal}"), useful(), None),
        Exit::TimedOut if stop.reason() == Some(StopReason::Deadline) => {
            Went::Failed("the run's deadline passed".into(), None, None)
        }
        Exit::TimedOut | Exit::Silent | Exit::Lost => {
            Went::Failed(format!("did not end within {} s", timeout.as_secs_f64()), useful(), None)
        }
        Exit::Stopped(_) => Went::Failed("interrupted".into(), None, None),
        Exit::NotStarted(error) => Went::Absent(format!("cannot start `{name}`: {error}")),
    };
    let was_denied = || ["ermission denied", "PermissionError", "EACCES"].iter().any(|words| output.contains(words));
    if ground.writes.is_some() && matches!(went, Went::Failed(..)) && was_denied() {
        watcher.event(&Event::Note(OUTSIDE));
    }
    runs.push(run);
    (name, went, ran.duration, output)
}

/// The user's environment minus what tests have no business with. Python writes no bytecode: a `.pyc` counts as fresh
/// while second and size of its source stay the same, and two tries within a second are what mux does.
pub fn environment(ground: &Ground<'_>) -> Vec<(OsString, OsString)> {
    let passes = |name: &str| ground.pass.iter().any(|pass| pass == name) || !(is_private(name) || name == ground.key);
    let mut env = proc::environment(&ground.env.vars, &passes);
    env.push(("PYTHONDONTWRITEBYTECODE".into(), "1".into()));
    env
}

/// Returns whether a variable looks like a secret, or would make the loader run other code.
fn is_private(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    ["KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL"].iter().any(|word| upper.contains(word))
        || name.starts_with("LD_")
        || name.starts_with("DYLD_")
}

/// Reads a `--verify` value: a command line, or a list of arguments in JSON.
fn parse(text: &str) -> Result<Vec<String>, argv::Fault> {
    match from_json::read::<Vec<String>>(text.as_bytes()).ok().filter(|_| text.trim_start().starts_with('[')) {
        Some(list) if list.first().is_none_or(String::is_empty) => Err(argv::Fault::Empty),
        Some(list) => Ok(list),
        // A program that is called `["sh"` cannot be meant; one that is called `[` can.
        None if text.trim_start().strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with('"')) => {
            Err(argv::Fault::List)
        }
        None => argv::split(text),
    }
}

fn fault_in(kind: Kind, place: &str, text: &str, fault: argv::Fault) -> Error {
    let error = Error::new(kind, format!("cannot use `{text}` of `{place}`: {fault}"));
    error.hint(fault.hint(text))
}

fn missing_program(command: &[String], workdir: &Path, env: &Env) -> Option<String> {
    let program = command.first()?;
    let found: Option<PathBuf> = proc::which(OsStr::new(program), env.var("PATH"), workdir);
    if found.is_some() { None } else { Some(program.clone()) }
}

fn missing_hint(program: &str) -> String {
    if program.contains('=') {
        format!("a variable is set by a program: `env {program} …`")
    } else if program.contains('/') {
        "the path must exist below the work directory and be executable".into()
    } else {
        format!("install `{program}`, or check the spelling and PATH")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::task::Provider;
    use crate::words::time::Utc;
    use std::collections::BTreeMap;

    /// A work directory that goes away.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str, files: &[(&str, &str)]) -> Place {
            let root = std::env::temp_dir().join(format!("mux-verify-{name}-{}", std::process::id()));
            fs_err::create_dir_all(root.join("tests")).unwrap();
            for (name, text) in files {
                fs_err::write(root.join(name), text).unwrap();
            }
            Place(root)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs_err::remove_dir_all(&self.0);
        }
    }

    #[derive(Default)]
    struct Seen(Vec<String>);

    impl Watcher for Seen {
        fn event(&mut self, event: &Event<'_>) {
            self.0.push(format!("{event:?}"));
        }

        fn allow_hands(&mut self, _provider: Provider, _deadline: Instant) -> bool {
            false
        }
    }

    fn env(pairs: &[(&str, &str)]) -> Env {
        #[expect(clippy::disallowed_methods, reason = "the runners of this machine are somewhere in its PATH")]
        let path = std::env::var_os("PATH").unwrap();
        let mut vars: BTreeMap<OsString, OsString> =
            pairs.iter().map(|(name, value)| (name.into(), value.into())).collect();
        vars.entry("PATH".into()).or_insert(path);
        vars.insert("HOME".into(), "/nonexistent".into());
        Env { vars, cwd: None, now: Utc(0) }
    }

    fn in_a_minute() -> Stop {
        Stop::at(Instant::now() + Duration::from_mins(1))
    }

    struct Case<'a> {
        flags: &'a [&'a str],
        commands: &'a [CommandSpec],
        strict: bool,
        files: &'a [(&'a str, &'a str)],
        vars: &'a [(&'a str, &'a str)],
    }

    const CASE: Case<'_> = Case { flags: &[], commands: &[], strict: false, files: &[], vars: &[] };

    /// Plans and verifies in a directory of its own.
    #[track_caller]
    fn proof(case: &Case<'_>) -> Proof {
        let place = Place::new(&std::panic::Location::caller().line().to_string(), case.files);
        let flags: Vec<String> = case.flags.iter().map(ToString::to_string).collect();
        let wanted = Wanted { flags: &flags, enabled: true, commands: case.commands, auto_detect: true };
        let env = env(case.vars);
        let plan = plan(&wanted, &place.0, &env).unwrap();
        verify(&plan, &ground(&place.0, &env, case.strict), &in_a_minute(), &mut Seen::default())
    }

    fn ground<'a>(workdir: &'a Path, env: &'a Env, strict: bool) -> Ground<'a> {
        let timeout = Duration::from_secs(50);
        Ground {
            workdir,
            held: None,
            env,
            pass: &[],
            key: "MODEL_PASS",
            timeout,
            strict,
            run_id: "verify-test",
            writes: None,
            touched: &[],
            examples: None,
        }
    }

    /// Compares verdict, the summary without its times, and whether there is evidence.
    #[track_caller]
    fn check(case: &Case<'_>, verdict: Verdict, summary: &str, has_evidence: bool) {
        let proof = proof(case);
        let is_time = |word: &str| word.parse::<f64>().is_ok() && word.contains('.');
        let words: Vec<&str> = proof.summary.split(' ').map(|word| if is_time(word) { "T" } else { word }).collect();
        let seen = (proof.verdict, words.join(" "), proof.evidence.is_some());
        assert_eq!(seen, (verdict, summary.to_string(), has_evidence), "{:?}", proof.evidence);
    }

    #[test]
    fn exit_codes_decide() {
        check(&Case { flags: &["true"], ..CASE }, Verdict::Passed, "true, T s", false);
        check(
            &Case { flags: &["true", "sh -c 'exit 0'"], ..CASE },
            Verdict::Passed,
            "true, T s; sh -c 'exit 0', T s",
            false,
        );
        check(&Case { flags: &["sh -c 'exit 3'"], ..CASE }, Verdict::Failed, "sh -c 'exit 3': exit 3, T s", true);
        check(
            &Case { flags: &["sh -c 'kill -9 $$'"], ..CASE },
            Verdict::Failed,
            "sh -c 'kill -9 $$': killed by signal 9, T s",
            true,
        );
        check(
            &Case { flags: &[r#"["sh", "-c", "true | true"]"#], ..CASE },
            Verdict::Passed,
            "sh -c 'true | true', T s",
            false,
        );
        let proof = proof(&Case { flags: &["true", "sh -c 'echo why; exit 1'", "touch never"], ..CASE });
        assert_eq!(proof.commands.iter().map(|run| run.exit).collect::<Vec<_>>(), [Some(0), Some(1)]);
        assert_eq!(proof.evidence.as_deref(), Some("`sh -c 'echo why; exit 1'`: exit 1\nwhy"));
    }

    #[test]
    fn nothing_to_run_is_skipped_and_strict_is_not_content_with_it() {
        check(&CASE, Verdict::Skipped, "no test suite found", false);
        check(&Case { strict: true, ..CASE }, Verdict::Failed, "no test suite found", true);
        let off = Plan { origin: Origin::Nowhere, commands: Vec::new(), missing: None };
        let env = env(&[]);
        let proof = verify(&off, &ground(Path::new("/"), &env, true), &in_a_minute(), &mut Seen::default());
        assert_eq!((proof.verdict, proof.summary.as_str()), (Verdict::Skipped, "verification is off"));
    }

    #[test]
    fn a_program_that_is_missing_fails_what_was_configured_only() {
        let commands = [CommandSpec::Line("mux-no-such-program -q".into())];
        let summary = "`mux-no-such-program` was not found";
        check(&Case { commands: &commands, ..CASE }, Verdict::Failed, summary, false);
        let files = &[("go.mod", "module x")];
        let vars = &[("PATH", "/nonexistent")];
        check(&Case { files, vars, ..CASE }, Verdict::Skipped, "`go` was not found", false);
        check(&Case { files, vars, strict: true, ..CASE }, Verdict::Failed, "`go` was not found", false);
    }

    #[test]
    fn a_suite_without_a_test_proves_nothing() {
        let empty = "sh -c 'echo \"test result: ok. 0 passed; 0 failed\"'";
        let name = "sh -c 'echo \"test result: ok. 0 passed; 0 failed\"'";
        let summary = format!("{name} ran no test, T s");
        check(&Case { flags: &[empty], ..CASE }, Verdict::Failed, &summary, true);
        let commands = [CommandSpec::Line(empty.into())];
        check(&Case { commands: &commands, ..CASE }, Verdict::Skipped, &summary, false);
        check(&Case { commands: &commands, strict: true, ..CASE }, Verdict::Failed, &summary, true);
        let commands = [CommandSpec::Line(empty.into()), CommandSpec::Argv(vec!["true".into()])];
        check(&Case { commands: &commands, ..CASE }, Verdict::Passed, &format!("{summary}; true, T s"), false);
    }

    const ADD: &str = "def add(a, b):\n    return a + b\n";
    const SUB: &str = "def add(a, b):\n    return a - b\n";
    const UNIT: &str = "import unittest\nfrom calc import add\n\nclass T(unittest.TestCase):\n    \
                        def test_add(self):\n        self.assertEqual(add(2, 3), 5)\n";

    #[test]
    fn python_without_pytest_runs_unittest() {
        // `-S` takes away the site packages, and pytest with them.
        let shim = Place::new("shim", &[("python3", "#!/bin/sh\nexec \"$REAL\" -S \"$@\"\n")]);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs_err::set_permissions(shim.0.join("python3"), mode).unwrap();
        let real = proc::which(OsStr::new("python3"), env(&[]).var("PATH"), Path::new("/")).unwrap();
        let path = format!("{}:/usr/bin:/bin", shim.0.display());
        let vars: &[(&str, &str)] = &[("PATH", &path), ("REAL", real.to_str().unwrap())];

        let good = &[("calc.py", ADD), ("test_calc.py", UNIT)];
        check(&Case { files: good, vars, ..CASE }, Verdict::Passed, "python3 -m unittest discover, T s", false);
        let bad = &[("calc.py", SUB), ("tests/test_calc.py", UNIT)];
        let summary = "python3 -m unittest discover -s tests: exit 1, T s";
        check(&Case { files: bad, vars, ..CASE }, Verdict::Failed, summary, true);
        let evidence = proof(&Case { files: bad, vars, ..CASE }).evidence.unwrap();
        assert!(
            evidence.contains("AssertionError: -1 != 5") && evidence.contains("File \"tests/test_calc.py\""),
            "{evidence}"
        );

        let absent = "python3 has no pytest, which these tests need";
        let functions = &[("test_a.py", "def test_a():\n    assert False\n")];
        let nothing = "python3 has no pytest, and without it there is no test to run";
        check(&Case { files: functions, vars, ..CASE }, Verdict::Skipped, nothing, false);
        let imports = &[("test_a.py", "import pytest\n\ndef test_a():\n    assert True\n")];
        check(&Case { files: imports, vars, ..CASE }, Verdict::Skipped, absent, false);
        check(&Case { files: imports, vars, strict: true, ..CASE }, Verdict::Failed, absent, false);
    }

    #[test]
    fn a_deadline_is_evidence_and_a_call_to_stop_is_not() {
        let place = Place::new("deadline", &[]);
        let env = env(&[]);
        let flags = ["sh -c 'echo waiting; exec sleep 300'".to_string()];
        let plan = plan(&Wanted { flags: &flags, ..WANTED }, &place.0, &env).unwrap();
        let quick = Ground { timeout: Duration::from_millis(300), ..ground(&place.0, &env, false) };
        let proof = verify(&plan, &quick, &in_a_minute(), &mut Seen::default());
        let evidence = "`sh -c 'echo waiting; exec sleep 300'`: did not end within 0.3 s\nwaiting";
        assert_eq!((proof.verdict, proof.evidence.as_deref()), (Verdict::Failed, Some(evidence)));
        assert_eq!(proof.commands.first().map(|run| run.exit), Some(None));

        let stop = Stop::at(Instant::now() + Duration::from_millis(300));
        let late = verify(&plan, &ground(&place.0, &env, false), &stop, &mut Seen::default());
        assert_eq!((late.verdict, late.evidence), (Verdict::Failed, None));
        let stop = in_a_minute();
        stop.cancel();
        let off = verify(&plan, &ground(&place.0, &env, false), &stop, &mut Seen::default());
        assert_eq!((off.verdict, off.evidence), (Verdict::Failed, None));
        assert!(off.summary.contains(": interrupted"), "{}", off.summary);
    }

    #[test]
    fn children_see_no_secrets() {
        let place = Place::new("env", &[]);
        let env = env(&[
            ("KEPT", "1"),
            ("Api_Key", "s"),
            ("npm_config__authToken", "s"),
            ("AWS_SECRET_ACCESS", "s"),
            ("PGPASSWORD", "s"),
            ("X_CREDENTIALS", "s"),
            ("MODEL_PASS", "s"),
            ("LD_PRELOAD_NOT", "s"),
            ("DYLD_X", "s"),
            ("GIT_DIR", "s"),
            ("MUX_CONFIG", "s"),
            ("MUX_DEPTH", "1"),
            ("NAMED_TOKEN", "named"),
        ]);
        let flags = ["sh -c 'env >seen; cat >>seen; pwd >>seen'".to_string()];
        let plan = plan(&Wanted { flags: &flags, ..WANTED }, &place.0, &env).unwrap();
        let pass = ["NAMED_TOKEN".to_string()];
        let ground = Ground { pass: &pass, ..ground(&place.0, &env, false) };
        let mut seen = Seen::default();
        assert_eq!(verify(&plan, &ground, &in_a_minute(), &mut seen).verdict, Verdict::Passed);
        assert_eq!(seen.0, ["Verifying { command: \"sh -c 'env >seen; cat >>seen; pwd >>seen'\" }"]);
        let text = fs_err::read_to_string(place.0.join("seen")).unwrap();
        let mut lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("PATH=")).collect();
        lines.sort_unstable();
        let (pwd, here) = (format!("PWD={}", place.0.display()), place.0.display().to_string());
        let expected = [
            &here,
            "HOME=/nonexistent",
            "KEPT=1",
            "MUX_DEPTH=2",
            "NAMED_TOKEN=named",
            &pwd,
            "PYTHONDONTWRITEBYTECODE=1",
            "_MUXRUN=verify-test",
        ];
        assert_eq!(lines, expected);
    }

    const WANTED: Wanted<'_> = Wanted { flags: &[], enabled: true, commands: &[], auto_detect: true };

    #[track_caller]
    fn refuses(wanted: &Wanted<'_>, expected: &str) {
        let error = plan(wanted, Path::new("/"), &env(&[])).unwrap_err();
        assert_eq!(format!("{:?}: {error}", error.kind), expected);
    }

    #[test]
    fn commands_that_cannot_be_are_refused_before_anything_runs() {
        let flag = |text: &str| [text.to_string()];
        refuses(
            &Wanted { flags: &flag("mux-no-such-program -q"), ..WANTED },
            "Usage: cannot verify with `mux-no-such-program -q`: `mux-no-such-program` is not a program\n  \
             hint: install `mux-no-such-program`, or check the spelling and PATH",
        );
        refuses(
            &Wanted { flags: &flag("./check.sh"), ..WANTED },
            "Usage: cannot verify with `./check.sh`: `./check.sh` is not a program\n  \
             hint: the path must exist below the work directory and be executable",
        );
        refuses(
            &Wanted { flags: &flag("A=1 cargo test"), ..WANTED },
            "Usage: cannot verify with `A=1 cargo test`: `A=1` is not a program\n  \
             hint: a variable is set by a program: `env A=1 …`",
        );
        refuses(
            &Wanted { flags: &flag("true && true"), ..WANTED },
            "Usage: cannot use `true && true` of `--verify`: `&` needs a shell\n  \
             hint: write it as [\"sh\", \"-c\", \"true && true\"], or quote the character",
        );
        let empty = |what: &str| {
            format!("{what}: the command is empty\n  hint: a program and its arguments, such as `cargo test -q`")
        };
        refuses(&Wanted { flags: &flag(""), ..WANTED }, &empty("Usage: cannot use `` of `--verify`"));
        refuses(&Wanted { flags: &flag("[]"), ..WANTED }, &empty("Usage: cannot use `[]` of `--verify`"));
        refuses(
            &Wanted { commands: &[CommandSpec::Argv(Vec::new())], ..WANTED },
            &empty("Config: cannot use `[]` of `verification.commands`"),
        );
        refuses(
            &Wanted { commands: &[CommandSpec::Line("a 'b".into())], ..WANTED },
            "Config: cannot use `a 'b` of `verification.commands`: a ' is not closed\n  \
             hint: a list is taken as it stands: [\"program\", \"an argument\"]",
        );
    }

    #[track_caller]
    fn plans(wanted: &Wanted<'_>, origin: Origin, commands: &[&[&str]], missing: Option<&str>) {
        let commands = commands.iter().map(|argv| argv.iter().map(ToString::to_string).collect()).collect();
        let expected = Plan { origin, commands, missing: missing.map(String::from) };
        assert_eq!(plan(wanted, Path::new("/"), &env(&[])).unwrap(), expected);
    }

    #[test]
    fn flags_come_before_configuration_before_the_project() {
        let flags = ["true".to_string(), "[ -e x ]".into()];
        let commands =
            [CommandSpec::Line("false 'a b'".into()), CommandSpec::Argv(vec!["mux-none".into(), "*".into()])];
        let all = Wanted { flags: &flags, commands: &commands, ..WANTED };
        plans(&all, Origin::Flag, &[&["true"], &["[", "-e", "x", "]"]], None);
        plans(&Wanted { enabled: false, ..all }, Origin::Flag, &[&["true"], &["[", "-e", "x", "]"]], None);
        let some = Wanted { flags: &[], ..all };
        plans(&some, Origin::Config, &[&["false", "a b"], &["mux-none", "*"]], Some("mux-none"));
        plans(&Wanted { enabled: false, ..some }, Origin::Nowhere, &[], None);
        plans(&WANTED, Origin::Project, &[], None);
        plans(&Wanted { auto_detect: false, ..WANTED }, Origin::Nowhere, &[], None);
    }
}
