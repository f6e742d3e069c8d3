//! One task, from its text to its outcome. The only loop of mux stands here, in [`Course::follow`]: facts → decision →
//! attempt → verdict. `decide` bounds it: a counted number of local tries, and each tier once.

use crate::engine::ahead::Before;
use crate::engine::attempt::ask::{LocalModel, prompt_tokens, surely_fits};
use crate::engine::attempt::effort::Effort;
use crate::engine::attempt::local_change::Changed;
use crate::engine::baseline::Baseline;
use crate::engine::connect::{self, Connected};
use crate::engine::experience::{self, Experience};
use crate::engine::gathered::{Room, Window};
use crate::engine::outcome::{Outcome, Plan};
use crate::engine::place::Client;
use crate::engine::prepare::{self, Prepared};
use crate::engine::{escalate, finish, heal};
use crate::rules::policy::decide;
use crate::sys::results::Results;
use crate::sys::state::{DirLock, Patience, State, new_run_id};
use crate::words::chat::{Ask, Message};
use crate::words::env::Env;
use crate::words::error::Error;
use crate::words::event::{Event, Watcher};
use crate::words::record::{CloudUse, Overruled, Shadow};
use crate::words::stop::{Stop, StopReason};
use crate::words::task::{Asked, Attempt, Decision, Facts, Kind, Policy, Provider, Refusal, Source, Tier};
use std::cell::Cell;
use std::path::Path;
use std::time::Instant;

/// What surrounds every run of this process.
#[derive(Clone, Copy)]
pub struct House<'a> {
    pub env: &'a Env,
    pub state: &'a State,
    /// The file of `--config`.
    pub config_file: Option<&'a Path>,
}

/// What was asked.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line, independent of the others")]
pub struct Job<'a> {
    pub task: &'a str,
    /// Forced by `--answer` or `--change`.
    pub kind: Option<Kind>,
    pub workdir: Option<&'a Path>,
    pub asked: Asked,
    pub local_only: bool,
    pub prefer_local: bool,
    /// Forces one review by this provider.
    pub verify_with: Option<Provider>,
    /// The cloud CLI that asks, where one does: mux never calls it back.
    pub caller: Option<Provider>,
    pub verify: &'a [String],
    pub no_verify: bool,
    pub files: &'a [String],
    pub dry_run: bool,
    pub preview: bool,
    /// What to do about a work directory that another run holds.
    pub patience: Patience,
    pub source: Source,
    /// The name of the run, where whoever asks has to know it before the end.
    pub run_id: Option<&'a str>,
    /// Over MCP: where the client's project is. Bounds what a text may reach.
    pub client: Option<Client<'a>>,
}

/// What came of it.
pub enum Run {
    /// `--dry-run`: nothing was called.
    Planned(Plan),
    /// Another run holds the work directory, and the user did not want to wait.
    Busy {
        holder: String,
    },
    Ended(Box<Outcome>),
}

/// A run between its decisions.
pub struct Course<'a> {
    pub house: House<'a>,
    pub job: &'a Job<'a>,
    pub prepared: Prepared,
    pub run_id: String,
    pub results: Results,
    pub start: Instant,
    pub policy: Policy,
    pub facts: Facts,
    pub attempts: Vec<Attempt>,
    /// What was known at each step away from the local model.
    pub escalations: Vec<Facts>,
    /// What took back what the policy had accepted.
    pub overruled: Option<Overruled>,
    /// What a review said that changes nothing.
    pub shadow: Option<Shadow>,
    /// The best usable answer.
    pub answer: Option<String>,
    /// The last usable changeset.
    pub changed: Option<Changed>,
    /// The check that two local changesets in a row left just as red, and that named no test.
    pub mute: Option<String>,
    pub stop: &'a Stop,
    pub effort: Effort,
    /// What the local model was asked, and how.
    pub asked: Vec<(Vec<Message>, Ask)>,
    /// What earlier runs teach.
    pub experience: Experience,
    pub baseline: Baseline,
    /// What the checks said before anything was written, where they were asked.
    pub before: Option<Before>,
    /// Providers that were called, with the tier that they were called for.
    pub tried: Vec<(Tier, Provider)>,
    /// The provider whose result stands.
    pub served: Option<Provider>,
    /// Cloud calls so far.
    pub calls: Cell<u32>,
    pub cloud_used: CloudUse,
    /// What providers changed beyond what can be taken back, in words.
    pub beyond: Vec<String>,
    /// Second calls to a provider that changed nothing.
    pub no_change: u32,
    /// Why no provider takes the next step, where there is more to say than the word for it.
    pub passed_over: Option<String>,
    /// Whether the largest reply budget has been used.
    pub grown: bool,
    /// Whether the one repair try has been used.
    pub repaired: bool,
    /// Whether the next try begins anew: the repair did not help either.
    pub anew: bool,
}

/// Does one task.
///
/// # Errors
/// Only before the first try: usage, configuration, a refused or busy directory, a verification command that does not
/// exist. From then on everything that goes wrong is data in the [`Outcome`].
pub fn run(house: &House<'_>, job: &Job<'_>, watcher: &mut dyn Watcher, stop: &Stop) -> Result<Run, Error> {
    let start = Instant::now();
    let run_id = job.run_id.map_or_else(|| new_run_id(house.env.now), str::to_string);
    let mut prepared = prepare::prepare(house, job, &run_id, stop)?;
    if job.dry_run {
        let cloud = escalate::first(house, job, &prepared, &run_id);
        let pace = prepare::pace(house, &prepared);
        return Ok(Run::Planned(prepare::plan(job, prepared, cloud, &pace, house.env.now)));
    }
    house.state.make()?;
    let mut is_stale = false;
    let _lock = match prepared.kind {
        Kind::Change => {
            let mut busy = |holder: &str| {
                is_stale = true;
                watcher.event(&Event::DirBusy { holder });
            };
            match house.state.lock_workdir(prepared.dir.path(), &run_id, stop, job.patience, &mut busy)? {
                DirLock::Held(held) => Some(held),
                DirLock::Busy { holder } => return Ok(Run::Busy { holder }),
                // The loop sees the stop, and the run is recorded as ended by it.
                DirLock::Stopped(_) => None,
            }
        }
        Kind::Answer | Kind::Undo => None,
    };
    is_stale |= heal::tell(&house.state.runs(), watcher)?;
    // Another run has written since the files were read, or one that was killed has been rolled back.
    if is_stale {
        prepared = prepare::prepare(house, job, &run_id, stop)?;
    }
    for note in prepared.settings.notes.iter().chain(&prepared.context.notes) {
        watcher.event(&Event::Note(note));
    }
    if job.kind.is_none() && prepared.intent.ambiguous {
        let hint = format!(
            "the task leaves its kind open and is taken as `{}`; `--change` or `--answer` decides",
            prepared.kind.name()
        );
        watcher.event(&Event::Note(&hint));
    }
    if prepared.kind == Kind::Answer {
        let asked = [("`--verify`", !job.verify.is_empty()), ("`--verify-with`", job.verify_with.is_some())];
        for (option, _) in asked.iter().filter(|(_, is_given)| *is_given) {
            watcher.event(&Event::Note(&format!("the task is taken as `answer`; {option} is for changes")));
        }
    }
    watcher.event(&Event::Finding);
    let connected = connect::connect(house, &prepared.settings, prepared.kind, &run_id, stop, watcher);
    let policy = prepare::policy(&prepared.settings.config, prepared.kind, job.prefer_local, watcher.can_ask());
    let facts = prepare::first_facts(job, &prepared, connected.model.is_some());
    let experience = match &connected.model {
        Some(model) => experience::learn(house, &prepared, model, stop, watcher),
        None => Experience::default(),
    };
    let mut course = Course {
        house: *house,
        job,
        prepared,
        results: Results::at(house.state.runs()),
        run_id,
        start,
        policy,
        facts,
        attempts: Vec::new(),
        escalations: Vec::new(),
        overruled: None,
        shadow: None,
        answer: None,
        changed: None,
        mute: None,
        stop,
        effort: Effort::default(),
        asked: Vec::new(),
        experience,
        baseline: Baseline::default(),
        before: None,
        tried: Vec::new(),
        served: None,
        calls: Cell::new(0),
        cloud_used: CloudUse::default(),
        beyond: Vec::new(),
        no_change: 0,
        passed_over: None,
        grown: false,
        repaired: false,
        anew: false,
    };
    course.ask_ahead(watcher);
    if let Some(model) = connected.model.as_ref().filter(|_| !course.prepared.context.is_empty()) {
        for note in fit(model, &mut course.prepared, job.task, stop) {
            watcher.event(&Event::Note(&note));
        }
    }
    let decision = course.follow(&connected, watcher);
    let decision = course.review(decision, connected.model.as_ref(), watcher);
    course.shadow(&decision, watcher);
    let outcome = finish::finish(course, decision, &connected, watcher);
    watcher.event(&Event::Done);
    Ok(Run::Ended(Box::new(outcome)))
}

/// Makes the context fit the model's window. The server counts the files where it can, and where they may not fit.
fn fit(model: &LocalModel, prepared: &mut Prepared, task: &str, stop: &Stop) -> Vec<String> {
    let reply = prepare::longest_reply(prepared);
    let context = &mut prepared.context;
    if surely_fits(context.tokens() + u64::from(reply)) {
        return Vec::new();
    }
    let window = model.window(stop).map_or(Window::Assumed, Window::Known);
    let text: String = context.files.iter().map(|file| file.content.as_str()).collect();
    let scale = model.scale(&text, u64::from(reply), stop);
    context.cut(&Room { window, reply, task }, scale)
}

impl Course<'_> {
    /// Takes one step after the other until the policy accepts or gives up.
    fn follow(&mut self, connected: &Connected, watcher: &mut dyn Watcher) -> Decision {
        loop {
            self.facts.stopped = self.stop.reason().map(refusal).or(self.facts.stopped);
            let prompt = || prompt_tokens(self.job.task, &self.prepared.context);
            self.facts.late =
                connected.model.as_ref().and_then(|model| model.pacing.late(&self.facts, &prompt, self.stop));
            match (decide(&self.policy, &self.facts), &connected.model) {
                (Decision::Try { tier: Tier::Local, .. }, Some(model)) if self.facts.tier == Tier::Advice => {
                    self.do_as_advised(model, watcher);
                }
                (Decision::Try { tier: Tier::Local, .. }, Some(model)) => {
                    self.facts.local_tries += 1;
                    self.facts.tier = Tier::Local;
                    self.facts.last = self.try_local(model, watcher);
                }
                (Decision::Look, _) => self.facts.cloud = self.look(),
                (Decision::AskHands { provider }, _) => {
                    self.facts.hands_answer = Some(watcher.allow_hands(provider, self.stop.deadline()));
                }
                // The facts never say that a server is up that is not there.
                (Decision::Try { tier: Tier::Local, .. }, None) => self.facts.local_up = false,
                (Decision::Try { tier, reason }, model) => {
                    self.escalations.push(self.facts.clone());
                    self.escalate(tier, reason, model.as_ref(), watcher);
                }
                (end @ (Decision::Accept { .. } | Decision::GiveUp { .. }), _) => return end,
            }
        }
    }
}

fn refusal(why: StopReason) -> Refusal {
    match why {
        StopReason::Deadline => Refusal::Deadline,
        StopReason::Canceled | StopReason::Signal(_) => Refusal::Canceled,
    }
}
