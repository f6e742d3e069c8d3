//! One task, from its text to its outcome. The only loop of mux stands here, in [`Course::follow`]: facts → decision →
//! attempt → verdict. `decide` bounds it: a counted number of local tries, and each tier once.

use crate::engine::attempt::ask::{LocalModel, is_stop, prompt_tokens, surely_fits};
use crate::engine::attempt::local_change::{Changed, Effort, Site};
use crate::engine::attempt::{local_answer, local_change};
use crate::engine::baseline::Baseline;
use crate::engine::connect::{self, Connected};
use crate::engine::experience::{self, Experience};
use crate::engine::gathered::{Room, Window};
use crate::engine::outcome::{Outcome, Plan};
use crate::engine::place::Client;
use crate::engine::prepare::{self, Prepared};
use crate::engine::verify;
use crate::engine::{escalate, finish, heal};
use crate::rules::policy::decide;
use crate::sys::results::Results;
use crate::sys::state::{DirLock, Patience, State, new_run_id};
use crate::words::chat::Ask;
use crate::words::env::Env;
use crate::words::error::Error;
use crate::words::event::{Event, Watcher};
use crate::words::record::{CloudUse, Overruled, Shadow};
use crate::words::stop::{Stop, StopReason};
use crate::words::task::{
    Asked, Attempt, Cloud, Decision, Facts, Failure, Kind, Last, Policy, Provider, Refusal, Route, Source, Tier,
    Verdict,
};
use std::cell::Cell;
use std::path::Path;
use std::time::Instant;

/// How much warmer each further try is sampled, and the warmest.
const WARMER: f64 = 0.25;
const WARMEST: f64 = 0.7;

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
    /// What earlier runs teach.
    experience: Experience,
    pub baseline: Baseline,
    /// Providers that were called, with the tier that they were called for.
    pub tried: Vec<(Tier, Provider)>,
    /// The provider whose result stands.
    pub served: Option<Provider>,
    /// Cloud calls so far.
    pub calls: Cell<u32>,
    pub cloud_used: CloudUse,
    /// Second calls to a provider that changed nothing.
    pub no_change: u32,
    /// Why no provider takes the next step, where there is more to say than the word for it.
    pub passed_over: Option<String>,
    /// Whether the largest reply budget has been used.
    grown: bool,
    /// Whether the one repair try has been used.
    repaired: bool,
    /// Whether the next try begins anew: the repair did not help either.
    anew: bool,
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
    for healed in heal::heal(&house.state.runs())? {
        is_stale = true;
        watcher.event(&Event::Note(&healed.to_string()));
    }
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
    watcher.event(&Event::Finding);
    let connected = connect::connect(house, &prepared.settings, prepared.kind, &run_id, stop, watcher);
    if let Some(model) = connected.model.as_ref().filter(|_| !prepared.context.is_empty()) {
        for note in fit(model, &mut prepared, job.task, stop) {
            watcher.event(&Event::Note(&note));
        }
    }
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
        experience,
        baseline: Baseline::default(),
        tried: Vec::new(),
        served: None,
        calls: Cell::new(0),
        cloud_used: CloudUse::default(),
        no_change: 0,
        passed_over: None,
        grown: false,
        repaired: false,
        anew: false,
    };
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

    /// One local try; says how it ended, in the policy's words.
    pub fn try_local(&mut self, model: &LocalModel, watcher: &mut dyn Watcher) -> Last {
        let number = self.facts.local_tries;
        let how = self.how(number);
        let (attempt, end) = match self.prepared.kind {
            Kind::Answer | Kind::Undo => {
                let (context, weights) = (&self.prepared.context, &self.experience.weights);
                let site = local_answer::Site { task: self.job.task, context, weights };
                let (attempt, end) = local_answer::attempt(model, &site, how, number, watcher, self.stop);
                let end = end.map(|answer| {
                    self.facts.best_local = Some(answer.score);
                    self.answer = Some(answer.text);
                    Last::Answer(answer.score)
                });
                (attempt, end)
            }
            Kind::Change => {
                let (attempt, end) = self.try_change(model, how, number, watcher);
                let end = end.map(|changed| {
                    let is_unchecked = changed.proof.verdict == Verdict::Skipped && changed.applied.is_some();
                    self.facts.standing = is_unchecked.then_some(changed.score);
                    // Red without evidence (a program is missing, time is up) stays red, whatever the model writes.
                    let (verdict, score, again) =
                        (changed.proof.verdict, changed.score, changed.proof.evidence.is_some());
                    self.mute = self.changed.as_ref().and_then(|earlier| changed.mute_like(earlier));
                    self.changed = Some(changed);
                    Last::Change { verdict, score, again }
                });
                (attempt, end)
            }
        };
        self.attempts.push(attempt);
        let last = match end {
            Ok(last) => last,
            Err(failure) => self.failed(&failure, model, number, watcher),
        };
        if let (Last::Change { verdict: Verdict::Failed, .. }, Some(changed)) = (last, &self.changed) {
            let why = &changed.proof.summary;
            watcher.event(&Event::Failed { route: Route::Local, attempt: number, why });
        }
        last
    }

    fn try_change(
        &mut self,
        model: &LocalModel,
        how: Ask,
        number: u32,
        watcher: &mut dyn Watcher,
    ) -> (Attempt, Result<Changed, Failure>) {
        if std::mem::take(&mut self.anew) {
            self.effort.forget();
        } else if self.is_last(number) {
            self.effort.start_over();
        }
        let mut effort = std::mem::take(&mut self.effort);
        let stop = self.stop;
        let mut site = self.site(number < self.policy.max_local_tries);
        let tried = local_change::attempt(model, &mut site, &mut effort, how, number, watcher, stop);
        self.effort = effort;
        tried
    }

    /// All that a change is made and judged by.
    pub fn site(&mut self, more_tries: bool) -> Site<'_> {
        let config = &self.prepared.settings.config;
        Site {
            task: self.job.task,
            dir: &self.prepared.dir,
            results: &self.results,
            run_id: &self.run_id,
            context: &mut self.prepared.context,
            experience: &self.experience,
            edit_format: config.local_executor.edit_format,
            prefix: self.prepared.intent.prefix.as_deref(),
            proof: &self.prepared.proof,
            ground: verify::Ground {
                workdir: self.prepared.dir.path(),
                env: self.house.env,
                pass: &config.verification.env,
                key: &config.providers.local.api_key_env,
                timeout: config.verification.timeout_sec,
                strict: config.verification.strict,
                run_id: &self.run_id,
                writes: self.prepared.hold.places(),
                touched: &[],
                examples: None,
            },
            baseline: &mut self.baseline,
            more_tries,
            preview: self.job.preview,
        }
    }

    /// Whether no other local try comes after this one, and one has seen the diff and the evidence of the first.
    fn is_last(&self, number: u32) -> bool {
        number > 2 && number >= self.policy.max_local_tries
    }

    /// The budget and the temperature of a try. Greedy first; later tries may see what greedy does not, the last one of
    /// a change most of all.
    fn how(&self, number: u32) -> Ask {
        let config = &self.prepared.settings.config;
        let max_tokens = prepare::longest_reply(&self.prepared);
        let first = config.providers.local.temperature;
        let warmest = WARMEST.max(first);
        let is_fresh = self.prepared.kind == Kind::Change && self.is_last(number);
        let warmer = (first + WARMER * f64::from(number.saturating_sub(1))).min(warmest);
        let warmer = if is_fresh { warmest } else { warmer };
        // After a cut reply: all that the window has, and no thinking.
        let max_tokens = if self.grown { u32::MAX } else { max_tokens };
        // Thoughts are where models go round in circles most of all.
        let has_looped = self.attempts.iter().any(|attempt| matches!(attempt.failure, Some(Failure::Looped { .. })));
        let thinking = !self.grown && !has_looped;
        Ask { max_tokens, temperature: if number == 1 { first } else { warmer }, thinking }
    }

    /// Sorts a failure into the policy's words. A reply that was cut gets one more try with the largest budget; one
    /// that cannot be used gets one repair.
    fn failed(&mut self, failure: &Failure, model: &LocalModel, number: u32, watcher: &mut dyn Watcher) -> Last {
        let why = failure.to_string();
        watcher.event(&Event::Failed { route: Route::Local, attempt: number, why: &why });
        if let Some(stopped) = is_stop(failure) {
            self.facts.stopped = Some(stopped);
        }
        if let Some(last) = self.shorten(failure, model, number, watcher) {
            return last;
        }
        // To show a file, or what a check says, is no repair but new evidence; the tries are counted.
        let is_news = matches!(
            failure,
            Failure::Unseen { .. } | Failure::Stale { .. } | Failure::Unchanged | Failure::Syntax { .. }
        );
        if is_news {
            return Last::Failed { class: failure.class(), again: true };
        }
        let spent =
            if matches!(failure, Failure::Cut | Failure::ReasoningOnly) { &mut self.grown } else { &mut self.repaired };
        let again = failure.may_improve() && !std::mem::replace(spent, true);
        let is_useless = matches!(failure, Failure::Unusable { .. } | Failure::Looped { .. } | Failure::Empty);
        self.anew = !again && is_useless && self.is_alone();
        Last::Failed { class: failure.class(), again: again || self.anew }
    }

    /// Whether no provider takes the next step: then local tries that are left are worth more than the end.
    fn is_alone(&mut self) -> bool {
        if self.facts.cloud == Cloud::Unknown {
            self.facts.cloud = self.look();
        }
        matches!(self.facts.cloud, Cloud::Refused(_))
    }
}

fn refusal(why: StopReason) -> Refusal {
    match why {
        StopReason::Deadline => Refusal::Deadline,
        StopReason::Canceled | StopReason::Signal(_) => Refusal::Canceled,
    }
}
