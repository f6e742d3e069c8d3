//! What a hook asks a model: the local one first, a cloud CLI where that is allowed. Nothing is started for it, and nobody
//! is waited for past the deadline.

use super::{Call, first_line};
use crate::engine::attempt::ask::{self, LocalModel};
use crate::engine::connect::Silent;
use crate::engine::gate::{Gate, Parcel};
use crate::engine::run::House;
use crate::engine::{connect, finish};
use crate::rules::pace::{self, Past};
use crate::rules::staged::Staged;
use crate::sys::http;
use crate::sys::ledger::egress::{SentFile, Step};
use crate::sys::state::State;
use crate::words::chat::{Ask, Message, Reply};
use crate::words::event::{Event, Watcher};
use crate::words::record::CloudUse;
use crate::words::stop::Stop;
use crate::words::task::{Asked, Attempt, Failure, Phase, Provider, Reason};
use crate::words::time::Utc;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Bytes of a change that a cloud CLI is shown at most.
const CLOUD_ROOM: usize = 24_000;
/// Records that are looked through for the last try of the model.
const MOST_RECORDS: usize = 50;

/// Who looks for a server for so long has met one that says nothing: that nobody listens is told at once, and to look at
/// the usual ports takes 0.2 s.
const LONG: Duration = Duration::from_millis(500);
/// How long the pace of a model is remembered, in milliseconds: after an hour a slow one is asked again.
const MEMORY: u64 = 3_600_000;
/// The failure of a model that was not asked because it has missed the last deadlines.
const TOO_SLOW: Failure = Failure::Timeout { phase: Phase::Overall, after_ms: 0 };

/// What a model said, and what it took.
pub(super) struct Said {
    pub text: Result<String, Failure>,
    pub attempts: Vec<Attempt>,
    pub cloud: CloudUse,
    /// The model server, where it is another machine.
    pub remote: Option<String>,
}

/// Makes the messages for about so many bytes of some of the files. `bare`: without what the try before may have been
/// misled by.
type Question<'q> = &'q dyn Fn(&[&Staged], usize, bool) -> Vec<Message>;

/// What of a reply can be used.
type Usable<'q> = &'q dyn Fn(&str) -> Option<String>;

/// Sees a hook's calls. What leaves the machine is kept, to be said; nobody is asked.
#[derive(Default)]
struct Quiet {
    lines: Vec<String>,
}

impl Watcher for Quiet {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Escalating { provider, reason, .. } = event {
            self.lines.push(format!("asking {} ({reason})", provider.name()));
        }
    }

    fn allow_hands(&mut self, _: Provider, _: Instant) -> bool {
        false
    }
}

impl Call<'_> {
    /// Asks the local model, and where that fails and it is allowed, a cloud CLI. `messages` makes the question for about
    /// so many bytes of the files that may be shown.
    pub(super) fn ask(
        &mut self,
        files: &[Staged],
        max_tokens: u32,
        messages: Question<'_>,
        usable: Usable<'_>,
    ) -> Said {
        let mut said = Said {
            text: Err(Failure::Down { why: "there is no place for mux's state".to_string() }),
            attempts: Vec::new(),
            cloud: CloudUse::default(),
            remote: None,
        };
        let Some(state) = self.state.clone() else { return said };
        let house = House { env: self.env, state: &state, config_file: None };
        if let Err(error) = state.make() {
            said.text = Err(Failure::Down { why: first_line(&error) });
            return said;
        }
        let stop = self.until_finish();
        let all: Vec<&Staged> = files.iter().collect();
        said.text = self.glance(&house, &stop).and_then(|model| {
            if http::is_remote(&model.server.base_url) {
                self.say(format!("code leaves this machine: the model server is {}", model.server.base_url));
                said.remote = Some(model.server.base_url.clone());
            }
            let past = self.past(&state, &model);
            if pace::is_too_slow(&past) {
                return Err(TOO_SLOW);
            }
            let room = pace::room(&past, self.settings.config.hooks.deadline_sec);
            let (attempt, text) = self.ask_local(&model, &messages(&all, room, false), max_tokens, usable);
            said.attempts.push(attempt);
            // Only where there surely is time for it.
            let may_repeat = self.begun.elapsed() * 3 < self.settings.config.hooks.deadline_sec;
            if !matches!(text, Err(Failure::Unusable { .. })) || !may_repeat {
                return text;
            }
            let (attempt, text) = self.ask_local(&model, &messages(&all, room, true), max_tokens, usable);
            said.attempts.push(attempt);
            text
        });
        if said.text.is_err() && self.settings.config.hooks.allow_cloud && !self.is_called_off() {
            self.ask_cloud(&house, &mut said, files, messages, usable);
        }
        said
    }

    /// Finds the model, unless one was looked for in vain some minutes ago, and for long.
    fn glance(&self, house: &House<'_>, stop: &Stop) -> Result<LocalModel, Failure> {
        let silent = Silent::of(house, &self.settings.config);
        if let Some(known) = silent.known() {
            let why = format!("it was silent at {}, and hooks leave it alone until {}", known.since, known.until);
            return Err(Failure::Down { why });
        }
        let asked = Instant::now();
        let found = connect::glance(house, &self.settings, &self.run_id, stop);
        match found {
            Err(failure) if asked.elapsed() >= LONG && !self.is_called_off() => {
                let why = match (&failure, silent.begin(&failure, &self.stop)) {
                    (Failure::Down { why }, Some(until)) => format!("{why}; hooks leave it alone until {until}"),
                    (_, Some(until)) => format!("it gave no answer in time; hooks leave it alone until {until}"),
                    (_, None) => return Err(failure),
                };
                Err(Failure::Down { why })
            }
            found => found,
        }
    }

    fn ask_local(
        &self,
        model: &LocalModel,
        messages: &[Message],
        max_tokens: u32,
        usable: Usable<'_>,
    ) -> (Attempt, Result<String, Failure>) {
        let temperature = self.settings.config.providers.local.temperature;
        let how = Ask { max_tokens, temperature, thinking: false, floor: None };
        // Not as the first try: which model answers is no news with every commit.
        let (mut attempt, reply, _) = ask::ask(model, messages, how, 2, &mut Quiet::default(), &self.until_finish());
        let bytes: usize = messages.iter().map(|message| message.content.len()).sum();
        attempt.signals.insert("prompt_bytes".to_string(), bytes as f64);
        let text = reply.and_then(Reply::whole).and_then(|reply| {
            let unusable =
                || Failure::Unusable { fault: "the reply of the model says nothing that can be used".to_string() };
            usable(&reply.text).ok_or_else(unusable)
        });
        attempt.failure = text.as_ref().err().cloned();
        (attempt, text)
    }

    fn ask_cloud(
        &mut self,
        house: &House<'_>,
        said: &mut Said,
        files: &[Staged],
        messages: Question<'_>,
        usable: Usable<'_>,
    ) {
        let (calls, stop) = (Cell::new(0), self.until_finish());
        let config = &self.settings.config;
        let gate = Gate { house: *house, config, run_id: &self.run_id, workdir: self.cwd, caller: None, calls: &calls };
        let reason = said.text.as_ref().err().map_or(Reason::LocalDown, reason);
        let allowed: Vec<&Staged> = files.iter().filter(|file| gate.may_send(&file.path)).collect();
        let mut watcher = Quiet::default();
        let sent = gate.open(Step::Hook, Asked::Auto, &[]).and_then(|open| {
            let messages = messages(&allowed, CLOUD_ROOM, false);
            let text = messages.iter().map(|message| message.content.as_str()).collect::<Vec<_>>().join("\n\n");
            let files = allowed.iter().map(|file| sent_file(file)).collect();
            gate.send(&open, Parcel { text, files, reason: &reason }, &mut watcher, &stop)
        });
        self.ended.lines.extend(watcher.lines);
        match sent {
            Ok(sent) => {
                if let Some(text) = sent.reply.ok().and_then(|reply| usable(&reply.text)) {
                    said.text = Ok(text);
                }
                said.attempts.push(sent.attempt);
                said.cloud.add(&sent.used);
            }
            Err(refused) => {
                let note = refused.note.map(|note| format!(": {note}")).unwrap_or_default();
                self.say(format!("no cloud CLI is asked ({}){note}", refused.why.name()));
            }
        }
    }

    /// What the last tries of the model in hooks were like, the newest first.
    fn past(&self, state: &State, model: &LocalModel) -> Vec<Past> {
        let mut past = Vec::new();
        let since = Utc(self.env.now.0.saturating_sub(MEMORY));
        let ledger = finish::ledger(state, &self.settings.config);
        // A ledger that cannot be read remembers nothing.
        let _ = ledger.recent(MOST_RECORDS, &mut |row| {
            let is_recent = row.hook.is_some() && Utc::parse(&row.timestamp).is_some_and(|time| time >= since);
            past.extend(Some(row.line).filter(|_| is_recent).and_then(|line| pace::last(line, &model.server.model)));
            past.len() < pace::COUNTED
        });
        past
    }
}

/// What of a file goes along, as far as it can be told: its hunks.
fn sent_file(file: &Staged) -> SentFile {
    let hunks = file.hunks.concat();
    SentFile { path: file.path.clone(), bytes: hunks.len() as u64, sha256: finish::sha256(&hunks) }
}

/// Why there is no text, for the record.
pub(super) fn reason(failure: &Failure) -> Reason {
    if matches!(failure, Failure::Down { .. }) { Reason::LocalDown } else { Reason::LocalFailed(failure.class()) }
}

/// Why there is no text, in a sentence. What is unusable here is no changeset.
pub(super) fn why(failure: &Failure) -> String {
    if *failure == TOO_SLOW {
        return "the model was too slow three times, and is left alone for an hour".to_string();
    }
    if let Failure::Unusable { fault } = failure { fault.clone() } else { failure.to_string() }
}
