//! The gate to the cloud: the only place that starts a provider. Local-only, recursion, scope, secrets and budget are
//! checked here, and the egress record is on disk before the first byte leaves.
//!
//! **Invariant:** what mux sends is the text of the [`Parcel`], after redaction, and nothing else. Files that match
//! `privacy.never_send` are kept out of parcels with [`Gate::may_send`].

mod books;
mod child;

use crate::engine::run::House;
use crate::rules::config::{Choice, Config, Scope, Secrets, Tool};
use crate::rules::provider::{self, Call, Given};
use crate::rules::{brief, globs, secrets};
use crate::sys::ancestry::{self, Ancestry};
use crate::sys::ledger::egress::{SentFile, Step};
use crate::sys::proc;
use crate::sys::state::cooldown::CoolDowns;
use crate::sys::state::{DirLock, Held};
use crate::words::cloud::{CloudFailure, CloudReply};
use crate::words::event::{Event, Watcher};
use crate::words::record::CloudUse;
use crate::words::stop::{Stop, StopReason};
use crate::words::task::{Asked, Attempt, Provider, Reason, Refusal};
use child::Place;
use std::cell::Cell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What a run knows of the cloud.
pub struct Gate<'a> {
    pub house: House<'a>,
    pub config: &'a Config,
    pub run_id: &'a str,
    pub workdir: &'a Path,
    /// The CLI that called mux: it is never called back.
    pub caller: Option<Provider>,
    /// Cloud calls of this run so far; names them in the egress record.
    pub calls: &'a Cell<u32>,
}

/// A provider that may be called.
pub struct Open<'a> {
    pub provider: Provider,
    pub scope: Scope,
    step: Step,
    tool: &'a Tool,
    program: PathBuf,
    /// Why those before it were passed over.
    passed_over: Vec<String>,
}

/// What is sent.
pub struct Parcel<'a> {
    pub text: String,
    /// Files whose content is in the text.
    pub files: Vec<SentFile>,
    /// The trigger of the escalation.
    pub reason: &'a Reason,
}

/// A call that was made.
pub struct Sent {
    pub attempt: Attempt,
    pub reply: Result<CloudReply, CloudFailure>,
    pub used: CloudUse,
}

/// Why a step is not taken, and a line that says more where there is more to say.
#[derive(Debug)]
pub struct Refused {
    pub why: Refusal,
    pub note: Option<String>,
}

impl Open<'_> {
    pub fn step(&self) -> Step {
        self.step
    }
}

impl Refused {
    pub fn bare(why: Refusal) -> Refused {
        Refused { why, note: None }
    }

    fn noted(why: Refusal, note: impl Into<String>) -> Refused {
        Refused { why, note: Some(note.into()) }
    }
}

impl<'a> Gate<'a> {
    /// Chooses the first provider that may take a step: asked for, installed, not cooling down, not the caller, not in
    /// `tried`, and within the scope that the configuration allows for the step.
    ///
    /// # Errors
    /// Why there is none.
    pub fn open(&self, step: Step, asked: Asked, tried: &[Provider]) -> Result<Open<'a>, Refused> {
        self.leaving_is_allowed()?;
        let cooling = CoolDowns::below(self.house.state.dir()).active(self.house.env.now);
        let (mut by_scope, mut notes) = (false, Vec::new());
        for provider in self.order(step, asked) {
            if tried.contains(&provider) {
                continue;
            }
            if Some(provider) == self.caller {
                notes.push(format!("{} called mux and is not called back", provider.name()));
                continue;
            }
            let Some((tool, program)) = self.installed(provider) else { continue };
            // A probe asks whether it works again.
            if let Some(cool) = cooling.get(provider.name()).filter(|_| step != Step::Probe) {
                notes.push(format!("{} is left alone until {}: {}", provider.name(), cool.until, cool.why));
                continue;
            }
            let allowed = self.allowed(step);
            if let Some(scope) = scope(provider, tool, step, allowed) {
                return Ok(Open { provider, scope, step, tool, program, passed_over: notes });
            }
            by_scope = true;
            notes.push(format!("{} cannot be held to the scope `{}`", provider.name(), allowed.word()));
        }
        let why = if by_scope { Refusal::Scope } else { Refusal::NoProvider };
        Err(Refused { why, note: Some(notes.join("; ")).filter(|note| !note.is_empty()) })
    }

    /// Whether a file may go into a parcel.
    pub fn may_send(&self, path: &str) -> bool {
        globs::keeps(&self.config.privacy.never_send, path).is_none()
    }

    /// Makes the call. What it cost, what it sent and how it ended is on disk when this returns.
    ///
    /// # Errors
    /// A refusal before anything left. What the provider did is data in [`Sent`].
    pub fn send(
        &self,
        open: &Open<'_>,
        parcel: Parcel<'_>,
        watcher: &mut dyn Watcher,
        stop: &Stop,
    ) -> Result<Sent, Refused> {
        self.leaving_is_allowed()?;
        let text = self.without_secrets(parcel.text, watcher)?;
        let _alone = self.alone(open, watcher, stop)?;
        let place = self.place(open).map_err(|error| Refused::noted(Refusal::NoProvider, error.to_string()))?;
        let (argv, given) = self.command(open, &place, &text, stop)?;
        let begun = self.begin(open, &text, &parcel.files, parcel.reason, stop)?;
        for note in &open.passed_over {
            watcher.event(&Event::Note(note));
        }
        let never_send = &self.config.privacy.never_send;
        if open.scope != Scope::Prompt && open.provider != Provider::Claude && !never_send.is_empty() {
            let name = open.provider.name();
            watcher.event(&Event::Note(&format!("{name} cannot be kept from reading what `privacy.never_send` names")));
        }
        watcher.event(&Event::Escalating { provider: open.provider, step: open.step.name(), reason: parcel.reason });
        let ran = self.run(open, given, &place.cwd, watcher, stop);
        drop(place);
        let reply = provider::parse(open.tool.reply, &child::end(&ran.exit), ran.stdout.bytes(), ran.stderr.bytes());
        self.close(begun, open.provider, &reply, &ran, watcher);
        let used = CloudUse {
            calls: 1,
            bytes: text.len() as u64,
            usd: books::cost(&reply).unwrap_or(0.0),
            at_least: open.scope != Scope::Prompt,
        };
        Ok(Sent { attempt: child::attempt(open, argv, ran.duration, &reply), reply, used })
    }

    /// Local-only forbids all of it, and so does being below another mux's provider.
    fn leaving_is_allowed(&self) -> Result<(), Refused> {
        if self.config.privacy.local_only {
            return Err(Refused::bare(Refusal::LocalOnly));
        }
        let depth = self.house.env.text("MUX_DEPTH").and_then(|depth| depth.parse::<u32>().ok()).unwrap_or(0);
        if depth >= 1 {
            return Err(Refused::noted(Refusal::Recursion, "this mux runs below another one (MUX_DEPTH)"));
        }
        match ancestry::look(&self.house.state.escalations()) {
            Ancestry::Below(pid) => {
                Err(Refused::noted(Refusal::Recursion, format!("this mux runs below a provider of mux {pid}")))
            }
            Ancestry::Free | Ancestry::Unknown => Ok(()),
        }
    }

    /// The providers that a step may go to, in order. A forced route never falls elsewhere.
    fn order(&self, step: Step, asked: Asked) -> Vec<Provider> {
        if let Some(forced) = asked.provider() {
            return vec![forced];
        }
        let preferred = &self.config.providers.sota_cli.preferred_order;
        let reviewer = self.config.workflow.review_provider.as_str();
        if step == Step::Review && reviewer != "sota" {
            return Provider::named(reviewer).into_iter().collect();
        }
        preferred.iter().filter_map(|name| Provider::named(name)).collect()
    }

    fn installed(&self, provider: Provider) -> Option<(&'a Tool, PathBuf)> {
        let tool = self.config.providers.sota_cli.tools.named(provider.name())?;
        // A relative name with a slash would be a program of whatever directory mux stands in.
        let base = self.house.env.home().unwrap_or(Path::new("/"));
        let program = proc::which(OsStr::new(&tool.binary), self.house.env.var("PATH"), base)?;
        Some((tool, program))
    }

    fn allowed(&self, step: Step) -> Scope {
        let reads = &self.config.privacy.cloud_reads;
        match step {
            Step::Answer => reads.answer,
            Step::Advice => reads.advice,
            Step::Review => reads.review,
            Step::Hands => reads.hands,
            Step::Hook => reads.hooks,
            Step::Probe => Scope::Prompt,
        }
    }

    /// Blocks or redacts, as the configuration says.
    fn without_secrets(&self, text: String, watcher: &mut dyn Watcher) -> Result<String, Refused> {
        let key = self.house.env.text(&self.config.providers.local.api_key_env).map(str::to_string);
        let also: Vec<String> = key.into_iter().collect();
        let alarms = secrets::alarms(secrets::find(&text, &also), |found| found.identity);
        let Some(alarm) = alarms.first() else { return Ok(text) };
        let place = |found: &secrets::Found| brief::place(&text, found.line);
        let (first, elsewhere) = (&alarm.first, alarm.elsewhere(place));
        let what = format!("{} holds a secret ({}){elsewhere}", place(first), first.rule);
        let what = if alarms.len() > 1 { format!("{what}; {} in all", alarms.len()) } else { what };
        match self.config.privacy.secrets {
            Secrets::Block => Err(Refused::noted(Refusal::Secret, what)),
            Secrets::Redact => {
                watcher.event(&Event::Note(&format!("redacted: {what}")));
                Ok(secrets::redact(&text, &also).into_owned())
            }
        }
    }

    /// One provider at a time in a work directory: a second one would see, or break, what the first is doing.
    fn alone(&self, open: &Open<'_>, watcher: &mut dyn Watcher, stop: &Stop) -> Result<Option<Held>, Refused> {
        if open.scope == Scope::Prompt {
            return Ok(None);
        }
        let mut busy = |holder: &str| watcher.event(&Event::DirBusy { holder });
        let locked = self.house.state.lock_provider(self.workdir, self.run_id, stop, &mut busy);
        match locked.map_err(|error| Refused::noted(Refusal::NoProvider, error.to_string()))? {
            DirLock::Held(held) => Ok(Some(held)),
            DirLock::Busy { holder } => {
                Err(Refused::noted(Refusal::NoProvider, format!("{holder} holds the directory")))
            }
            DirLock::Stopped(StopReason::Deadline) => Err(Refused::bare(Refusal::Deadline)),
            DirLock::Stopped(StopReason::Signal(_) | StopReason::Canceled) => Err(Refused::bare(Refusal::Canceled)),
        }
    }

    /// The command line, as it is recorded and as the child gets it.
    fn command(
        &self,
        open: &Open<'_>,
        place: &Place,
        text: &str,
        stop: &Stop,
    ) -> Result<(Vec<String>, Given), Refused> {
        let servers = self.servers(open, &place.cwd, stop);
        let call = Call {
            provider: open.provider,
            tool: open.tool,
            hands: open.step == Step::Hands,
            scope: open.scope,
            never_send: &self.config.privacy.never_send,
            policy_file: place.policy.as_deref(),
            servers: servers.as_deref(),
            budget_usd: self.ceiling(),
        };
        let name = open.provider.name();
        let argv = provider::argv(&call).map_err(|why| {
            Refused::noted(why, format!("{name} cannot be held to what it may read: its MCP servers are not known"))
        })?;
        let too_long = |failure: CloudFailure| Refused::noted(Refusal::NoProvider, failure.message);
        let given = provider::give(&call, argv.clone(), text).map_err(too_long)?;
        Ok((argv, given))
    }
}

/// The scope of a call: the narrowest that the step needs, the provider offers and the user allows. An answer about a
/// project is better with a look at it, but can be given without: then what is known of it goes along.
fn scope(provider: Provider, tool: &Tool, step: Step, allowed: Scope) -> Option<Scope> {
    let offered = provider::scopes(provider, tool, step == Step::Hands);
    match step {
        Step::Advice | Step::Review | Step::Hook | Step::Probe => provider::narrowest(offered, Scope::Prompt, allowed),
        Step::Hands => provider::narrowest(offered, Scope::Workdir, allowed),
        Step::Answer => provider::narrowest(offered, Scope::Workdir, allowed)
            .or_else(|| provider::narrowest(offered, Scope::Prompt, allowed)),
    }
}
