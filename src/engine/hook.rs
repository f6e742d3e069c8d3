//! What a git hook does, from its call to its record.
//!
//! **Invariants:** a hook fails open: whatever goes wrong is a line for the user, and git goes on. Only a secret, or a
//! strict review, stops git. A hook that has nothing to do starts no child and reads no configuration. Nothing waits past
//! `hooks.deadline_sec`, no model server is started, and nothing in the work tree or the index is written.

pub mod install;
mod message;
mod model;
mod review;
mod secrets;

use crate::engine::attempt::ask::millis;
use crate::engine::finish;
use crate::rules::hook::{Hook, UNDER_WAY, skips};
use crate::rules::staged::{Reader, Staged};
use crate::sys::config_files::{self, Effective};
use crate::sys::git::hook::{Repo, git_dir_of};
use crate::sys::git::{self, Git, Unanswered};
use crate::sys::proc;
use crate::sys::state::{State, new_run_id};
use crate::words::env::Env;
use crate::words::error::Error;
use crate::words::record::{CloudUse, RunRecord, RuntimeStatus, SCHEMA};
use crate::words::stop::{Stop, StopReason};
use crate::words::task::{Attempt, Kind, Reason, Refusal, Route, Source};
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Of the deadline, for what comes after the model: the message file and the record.
const TO_FINISH: Duration = Duration::from_millis(100);
/// What a push may list on standard input, in bytes.
const LONGEST_INPUT: u64 = 1 << 20;

/// What a hook has to say, and to git.
#[derive(Debug, Default)]
pub struct Ended {
    /// For standard error, one line each; not escaped.
    pub lines: Vec<String>,
    /// Exit 1: git does not go on.
    pub stops_git: bool,
}

/// A hook at work.
struct Call<'a> {
    hook: Hook,
    env: &'a Env,
    state: Option<State>,
    settings: Effective,
    repo: Repo,
    git_dir: PathBuf,
    cwd: &'a Path,
    run_id: String,
    begun: Instant,
    stop: Stop,
    ended: Ended,
}

/// What a hook did, for its record.
struct Deed {
    route: Route,
    reason: Reason,
    refused: Option<Refusal>,
    attempts: Vec<Attempt>,
    verify_ok: Option<bool>,
    summary: String,
    /// What was shown to a model, or looked through.
    about: String,
    output: String,
    cloud: CloudUse,
    /// The model server, where it is another machine.
    remote: Option<String>,
}

/// Runs a hook. `args` are git's; `input` is its standard input.
pub fn run(env: &Env, hook: Hook, args: &[OsString], input: Option<&mut dyn Read>, stop: &Stop) -> Ended {
    let begun = Instant::now();
    // The pre-commit framework hands the second argument over as a variable.
    let source = args.get(1).and_then(|source| source.to_str()).or(env.text("PRE_COMMIT_COMMIT_MSG_SOURCE"));
    if skips(hook, source, &|name| env.text(name)).is_some() {
        return Ended::default();
    }
    let Some(cwd) = env.cwd.as_deref() else { return complaint("the current directory does not exist any more") };
    let file = match (hook, args.first()) {
        (Hook::PrepareCommitMsg | Hook::CommitMsg, Some(file)) => Some(cwd.join(file)),
        (Hook::PrepareCommitMsg | Hook::CommitMsg, None) => return complaint("git gives the name of the message file"),
        (Hook::PreCommit | Hook::PrePush, _) => None,
    };
    let Some(git_dir) = git_dir_of(env, cwd, file.as_deref()) else { return complaint("there is no repository here") };
    if hook == Hook::PrepareCommitMsg && is_under_way(&git_dir) {
        return Ended::default();
    }
    let Some(program) = proc::which(OsStr::new("git"), env.var("PATH"), cwd) else {
        return complaint("there is no git in the PATH");
    };
    let mut call = Call::new(env, hook, cwd, git_dir, program, begun, stop);
    match (hook, file) {
        (Hook::PrepareCommitMsg, Some(file)) => call.message(&file),
        (Hook::CommitMsg, Some(file)) => call.message_secrets(&file),
        (Hook::PreCommit, _) => call.staged_secrets(),
        (Hook::PrePush, _) => {
            let mut text = Vec::new();
            if let Some(input) = input.filter(|_| call.settings.config.hooks.pre_push_review) {
                // What cannot be read is as if nothing was pushed.
                let _ = input.take(LONGEST_INPUT).read_to_end(&mut text);
                call.push(&String::from_utf8_lossy(&text), args);
            }
        }
        // Refused above.
        (Hook::PrepareCommitMsg | Hook::CommitMsg, None) => {}
    }
    call.ended
}

fn complaint(why: &str) -> Ended {
    Ended { lines: vec![why.to_string()], stops_git: false }
}

fn is_under_way(git_dir: &Path) -> bool {
    UNDER_WAY.iter().any(|name| fs_err::symlink_metadata(git_dir.join(name)).is_ok())
}

impl<'a> Call<'a> {
    fn new(
        env: &'a Env,
        hook: Hook,
        cwd: &'a Path,
        git_dir: PathBuf,
        program: PathBuf,
        begun: Instant,
        stop: &Stop,
    ) -> Call<'a> {
        let mut ended = Ended::default();
        let mut complain = |error: &Error| ended.lines.push(first_line(error));
        let state = State::locate(env).map_err(|error| complain(&error)).ok();
        let project = git::root(cwd).unwrap_or_else(|| cwd.to_path_buf());
        let nowhere = Path::new("/nonexistent");
        let (mut settings, errors) =
            config_files::load_all(env, None, Some(&project), state.as_ref().map_or(nowhere, State::dir));
        errors.first().map(&mut complain);
        // No commit waits for the disk: what a lost line told of is in the history all the same.
        settings.config.ledger.sync = false;
        let run_id = new_run_id(env.now);
        let git = Git { program, env: proc::environment(&env.vars, &|_| true), marker: run_id.clone() };
        let repo = Repo::open(git, env, cwd, &git_dir);
        let stop = stop.until(begun + settings.config.hooks.deadline_sec);
        Call { hook, env, state, settings, repo, git_dir, cwd, run_id, begun, stop, ended }
    }

    fn say(&mut self, line: impl Into<String>) {
        self.ended.lines.push(line.into());
    }

    /// Whether what the configuration, or the place of the ledger, got wrong was said: then no model is asked.
    fn is_misled(&self) -> bool {
        !self.ended.lines.is_empty()
    }

    /// The staged change with its hunks, or nothing where git does not answer.
    fn staged(&mut self) -> Vec<Staged> {
        let mut reader = Reader::keeping();
        let asked = self.repo.staged("-U3", &self.until_finish(), &mut |bytes| reader.push(bytes));
        reader.finish();
        let files = reader.files;
        self.note(asked);
        files
    }

    /// Says why git did not answer. What it had listed by then is known.
    fn note(&mut self, asked: Result<(), Unanswered>) {
        match asked {
            Ok(()) => {}
            Err(Unanswered::Stopped) => self.say("git has taken too long; the change was not read to its end"),
            Err(Unanswered::Failed { said, .. }) => {
                self.say(format!("git does not answer: {}", said.lines().last().unwrap_or("it failed")));
            }
        }
    }

    fn until_finish(&self) -> Stop {
        let end = self.begun + self.settings.config.hooks.deadline_sec;
        self.stop.until(end.checked_sub(TO_FINISH).unwrap_or(end))
    }

    fn is_called_off(&self) -> bool {
        matches!(self.stop.reason(), Some(StopReason::Signal(_) | StopReason::Canceled))
    }

    /// Records what was done. What cannot be recorded is said.
    fn record(&mut self, deed: Deed) {
        let Some(state) = &self.state else { return };
        let config = &self.settings.config;
        let (timestamp, ts) = RunRecord::stamps(self.env.now);
        let stored = config.ledger.store_text;
        let last = deed.attempts.last();
        let is_down = deed.reason == Reason::LocalDown;
        let mut record = RunRecord {
            schema: SCHEMA,
            run_id: self.run_id.clone(),
            undoes: None,
            seq: 0,
            timestamp,
            ts,
            source: Source::Hook,
            hook: Some(self.hook.name().to_string()),
            kind: Kind::Answer,
            route: deed.route,
            reason: deed.reason,
            wanted: None,
            refused: deed.refused,
            model: last.map(|attempt| attempt.model.clone()).unwrap_or_default(),
            confidence: None,
            task_length: deed.about.chars().count() as u64,
            output_length: deed.output.chars().count() as u64,
            task_sha256: finish::sha256(&deed.about),
            workdir: self.cwd.to_string_lossy().into_owned(),
            runtime_status: match last.map(|attempt| &attempt.failure) {
                Some(_) => RuntimeStatus::Up,
                None if is_down => RuntimeStatus::Down,
                None => RuntimeStatus::Unused,
            },
            retries: 0,
            verify_ok: deed.verify_ok,
            verify_summary: deed.summary,
            files: Vec::new(),
            left: Vec::new(),
            facts: None,
            policy: None,
            escalations: Vec::new(),
            overruled: None,
            shadow: None,
            attempts: deed.attempts,
            commands: Vec::new(),
            cloud: deed.cloud,
            remote: deed.remote,
            local_impl_ratio: None,
            duration_ms: millis(self.begun.elapsed()),
            task: None,
            output: stored.then_some(deed.output),
        };
        // Another writer is not waited for past the deadline either.
        let left = (self.begun + config.hooks.deadline_sec).saturating_duration_since(Instant::now());
        let ledger = finish::ledger(state, config).within(left.max(TO_FINISH));
        let key = self.env.text(&config.providers.local.api_key_env).map(str::to_string);
        let keys: Vec<String> = key.into_iter().collect();
        let window = config.ledger.summary_window as usize;
        let logged = state.make().and_then(|()| ledger.append(&mut record, window, &keys, &self.stop, &mut |_| {}));
        if let Err(error) = logged {
            self.ended.lines.push(first_line(&error));
        }
    }
}

/// An error in one line, with its place.
fn first_line(error: &Error) -> String {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim);
    let what = lines.next().unwrap_or_default().to_string();
    lines.find(|line| line.starts_with("at: ")).map_or(what.clone(), |at| format!("{what} ({at})"))
}
