//! The child of a call: where it runs, what it is given, what it says while it works, and how its end is recorded. Not
//! whether it may run: that is the gate's.

use super::{Gate, Open};
use crate::engine::attempt::ask::millis;
use crate::rules::config::{ReplyForm, Scope};
use crate::rules::provider::{self, Given};
use crate::sys::ledger::egress::Step;
use crate::sys::proc::{self, Chunk, Exit, Ran, Spawn};
use crate::sys::results::{Part, Results};
use crate::sys::scratch::Scratch;
use crate::words::cloud::{CloudFailure, CloudReply, End, Progress};
use crate::words::error::Error;
use crate::words::event::{Event, Watcher};
use crate::words::stop::{Stop, StopReason};
use crate::words::task::{Attempt, Failure, Provider};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes of each stream of a CLI that are kept; a long session of codex printed 300 KB.
const KEPT: usize = 8 << 20;
/// A CLI that streams is given up after this long without a byte: longer than the 300 s after which claude and codex
/// give up a silent server by themselves.
const SILENCE: Duration = Duration::from_secs(330);
/// How long codex may take to list its MCP servers; 0.2 s measured.
const TO_LIST: Duration = Duration::from_secs(15);
/// The longest line of a stream that is looked at for progress, in bytes.
const LONGEST_LINE: usize = 64 * 1024;

/// Where a call runs, and what goes away with it.
pub(super) struct Place {
    pub(super) cwd: PathBuf,
    pub(super) policy: Option<PathBuf>,
    _empty: Option<Scratch>,
}

/// Cuts a stream into lines and tells what they say of the work.
struct Lines {
    form: ReplyForm,
    provider: Provider,
    line: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], watcher: &mut dyn Watcher) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + part.len() <= LONGEST_LINE {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                if let Some(progress) = provider::progress(self.form, &line) {
                    watcher.event(&Event::Working { provider: self.provider, what: &what(&progress) });
                }
            }
        }
    }
}

fn what(progress: &Progress) -> String {
    match progress {
        Progress::Began { model: Some(model) } => format!("working with {model}"),
        Progress::Began { model: None } => "working".to_string(),
        Progress::Said(text) | Progress::Tool(text) => text.clone(),
        Progress::Retrying(why) => format!("tries again: {why}"),
    }
}

impl Gate<'_> {
    /// Where the CLI runs: the work directory, or an empty one of its own that goes away.
    pub(super) fn place(&self, open: &Open<'_>) -> Result<Place, Error> {
        let policy = if open.scope == Scope::Prompt && open.provider == Provider::Gemini {
            let results = Results::at(self.house.state.runs());
            let dir = results.make(self.run_id)?;
            results.save(self.run_id, Part::Policy, provider::policy_text().as_bytes())?;
            Some(dir.join(Part::Policy.file_name()))
        } else {
            None
        };
        let (cwd, empty) = match open.scope {
            Scope::Prompt => {
                let name = format!("{}-{}", self.run_id, self.calls.get() + 1);
                let empty = Scratch::new(self.house.env, &name)?;
                (empty.path().to_path_buf(), Some(empty))
            }
            Scope::Workdir | Scope::Machine => (self.workdir.to_path_buf(), None),
        };
        Ok(Place { cwd, policy, _empty: empty })
    }

    /// The MCP servers that codex would start: without tools means without theirs, and each has to be switched off by
    /// its name. Asking starts none of them and contacts nobody.
    pub(super) fn servers(&self, open: &Open<'_>, cwd: &Path, stop: &Stop) -> Option<Vec<String>> {
        if open.provider != Provider::Codex || open.scope != Scope::Prompt {
            return None;
        }
        let args = provider::list_servers(open.tool).into_iter().skip(1).map(OsString::from).collect();
        let spawn = self.spawn(open, args, None, cwd);
        let listed = proc::run(&spawn, &stop.until(Instant::now() + TO_LIST), &mut |_| {});
        provider::servers(listed.stdout.bytes()).filter(|_| matches!(listed.exit, Exit::Code(0)))
    }

    fn spawn(&self, open: &Open<'_>, args: Vec<OsString>, stdin: Option<Vec<u8>>, cwd: &Path) -> Spawn {
        Spawn {
            program: open.program.clone(),
            args,
            cwd: cwd.to_path_buf(),
            env: self.environment(open.provider),
            stdin,
            keep: KEPT,
            silence: None,
            lost: None,
            writes: None,
            marker: self.run_id.to_string(),
        }
    }

    pub(super) fn run(&self, open: &Open<'_>, given: Given, cwd: &Path, watcher: &mut dyn Watcher, stop: &Stop) -> Ran {
        let sota = &self.config.providers.sota_cli;
        let timeout = if open.step == Step::Hands { sota.executor_timeout_sec } else { sota.advisory_timeout_sec };
        let args = given.argv.into_iter().skip(1).map(OsString::from).collect();
        let silence = streams(open).then_some(SILENCE);
        let lost = provider::says_lost(open.tool.reply);
        let spawn = Spawn { silence, lost, ..self.spawn(open, args, given.stdin, cwd) };
        let mut lines = Lines { form: open.tool.reply, provider: open.provider, line: Vec::new() };
        let until = stop.until(Instant::now() + timeout);
        proc::run(&spawn, &until, &mut |chunk| {
            if let Chunk::Out(bytes) = chunk {
                lines.push(bytes, watcher);
            }
        })
    }

    /// The user's environment with the logins and proxies in it, without what a child of mux must not see.
    fn environment(&self, provider: Provider) -> Vec<(OsString, OsString)> {
        let key = self.config.providers.local.api_key_env.as_str();
        let keeps = |name: &str| !provider::drops(name) && (key.is_empty() || name != key);
        let mut env = proc::environment(&self.house.env.vars, &keeps);
        for (name, value) in provider::variables(provider) {
            // What the user has set stays.
            if self.house.env.var(name).is_none() {
                env.push((name.into(), value.into()));
            }
        }
        env
    }
}

/// Whether a CLI prints while it works.
fn streams(open: &Open<'_>) -> bool {
    match open.provider {
        Provider::Claude => open.step == Step::Hands,
        Provider::Codex => true,
        Provider::Gemini | Provider::Declared(_) => false,
    }
}

pub(super) fn end(exit: &Exit) -> End {
    match exit {
        Exit::Code(code) => End::Code(*code),
        Exit::Signal(signal) => End::Signal(*signal),
        Exit::TimedOut | Exit::Stopped(StopReason::Deadline) => End::TimedOut,
        Exit::Silent => End::Silent,
        Exit::Lost => End::Lost,
        Exit::Stopped(StopReason::Signal(_) | StopReason::Canceled) => End::Stopped,
        Exit::NotStarted(error) => End::NotStarted(error.to_string()),
    }
}

pub(super) fn attempt(
    open: &Open<'_>,
    argv: Vec<String>,
    took: Duration,
    reply: &Result<CloudReply, CloudFailure>,
) -> Attempt {
    let (model, prompt_tokens, completion_tokens, cost_usd) = match reply {
        Ok(reply) => (&reply.model, reply.prompt_tokens, reply.completion_tokens, reply.cost_usd),
        Err(failure) => (&failure.model, failure.prompt_tokens, failure.completion_tokens, failure.cost_usd),
    };
    let configured = Some(open.tool.model.clone()).filter(|model| !model.is_empty());
    let model = model.clone().or(configured).unwrap_or_else(|| format!("{}'s default", open.provider.name()));
    Attempt {
        argv,
        duration_ms: millis(took),
        prompt_tokens,
        completion_tokens,
        failure: reply.as_ref().err().map(Failure::from),
        cost_usd,
        ..Attempt::on(open.provider.route(), model)
    }
}
