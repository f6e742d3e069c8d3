//! One step in the cloud: open the gate, send what there is to tell, and make what comes back into the facts of the next
//! decision. Bounded by `run.rs`: a provider is tried once for a step, but for [`SotaCli::retry_if_no_change`].
//!
//! [`SotaCli::retry_if_no_change`]: crate::rules::config::SotaCli::retry_if_no_change

use crate::engine::attempt::ask::LocalModel;
use crate::engine::attempt::cloud_change::{self, Hands};
use crate::engine::attempt::local_change;
use crate::engine::attempt::parcel::{self, Story};
use crate::engine::attempt::reading;
use crate::engine::gate::{Gate, Refused, Sent};
use crate::engine::judge::take_back;
use crate::engine::prepare::Prepared;
use crate::engine::run::{Course, House, Job};
use crate::engine::verify;
use crate::rules::argv;
use crate::rules::reply;
use crate::sys::ledger::egress::Step;
use crate::words::cloud::CloudClass;
use crate::words::event::{Event, Watcher};
use crate::words::task::{
    Asked, Cloud, Failure, Form, Kind, Last, Provider, Reason, Refusal, Route, Score, Tier, Verdict,
};
use std::cell::Cell;

/// What is known of a reply that no log-probability speaks of.
const UNSCORED: Score = Score { value: 0.5, weak: true };

/// Says who would take the first step of a task, if it went to the cloud.
pub fn first(house: &House<'_>, job: &Job<'_>, prepared: &Prepared, run_id: &str) -> Cloud {
    let calls = Cell::new(0);
    let (config, workdir) = (&prepared.settings.config, prepared.dir.path());
    let gate = Gate { house: *house, config, run_id, workdir, caller: job.caller, calls: &calls };
    let is_free = matches!(job.asked, Asked::Auto | Asked::Local);
    let step = match prepared.kind {
        Kind::Answer | Kind::Undo => Step::Answer,
        Kind::Change if is_free => Step::Advice,
        Kind::Change => Step::Hands,
    };
    match gate.open(step, job.asked, &[]) {
        Ok(open) => Cloud::Open(open.provider),
        Err(refused) => Cloud::Refused(refused.why),
    }
}

impl Course<'_> {
    /// Says which provider would take the next step, if any.
    pub fn look(&mut self) -> Cloud {
        let tier = self.next_tier();
        let tried = self.tried_for(tier);
        let opened = self.gate().open(step(tier), self.job.asked, &tried).map(|open| open.provider);
        match opened {
            Ok(provider) => Cloud::Open(provider),
            Err(Refused { why, note }) => {
                self.passed_over = note;
                Cloud::Refused(why)
            }
        }
    }

    /// Takes a step. A refusal closes the cloud for this run; everything else becomes `last`.
    pub fn escalate(&mut self, tier: Tier, reason: Reason, model: Option<&LocalModel>, watcher: &mut dyn Watcher) {
        let done = match tier {
            Tier::Advice => self.advise(&reason, model, watcher),
            Tier::Hands => self.hand_over(&reason, watcher),
            Tier::Local | Tier::CloudAnswer => self.answer_from_afar(&reason, watcher),
        };
        match done {
            // Nobody has advised: the run is where it was, and only who may be asked has changed.
            Ok(Last::Failed { .. }) if tier == Tier::Advice => self.facts.cloud = self.look(),
            Ok(last) => {
                (self.facts.tier, self.facts.escalated, self.facts.last) = (tier, Some(reason), last);
                if matches!(last, Last::Failed { .. } | Last::Unapplied | Last::Advised) {
                    self.facts.cloud = self.look();
                }
            }
            Err(Refused { why, note }) => {
                self.passed_over = note;
                self.facts.cloud = Cloud::Refused(why);
            }
        }
    }

    pub fn gate(&self) -> Gate<'_> {
        Gate {
            house: self.house,
            config: &self.prepared.settings.config,
            run_id: &self.run_id,
            workdir: self.prepared.dir.path(),
            caller: self.job.caller,
            calls: &self.calls,
        }
    }

    /// The tier that an escalation would go to from here; `policy.rs` decides whether it does.
    fn next_tier(&self) -> Tier {
        let facts = &self.facts;
        let failed = matches!(facts.last, Last::Failed { .. } | Last::Overflow | Last::Nothing);
        let is_free = matches!(facts.asked, Asked::Auto | Asked::Local);
        match (self.prepared.kind, facts.tier) {
            (Kind::Answer | Kind::Undo, _) => Tier::CloudAnswer,
            (Kind::Change, tier @ (Tier::Advice | Tier::Hands)) if failed => tier,
            (Kind::Change, Tier::Local) if is_free && facts.local_up => Tier::Advice,
            (Kind::Change, _) => Tier::Hands,
        }
    }

    fn tried_for(&self, tier: Tier) -> Vec<Provider> {
        self.tried.iter().filter(|(at, _)| *at == tier).map(|(_, provider)| *provider).collect()
    }

    /// A provider answers.
    fn answer_from_afar(&mut self, reason: &Reason, watcher: &mut dyn Watcher) -> Result<Last, Refused> {
        let local = self.answer.clone();
        let told = Told { local: local.as_deref(), ..Told::default() };
        let (provider, sent) = self.call(Tier::CloudAnswer, &told, reason, watcher)?;
        let Some(text) = self.take(Tier::CloudAnswer, provider, sent, watcher) else {
            return Ok(self.provider_failed());
        };
        self.answer = Some(text);
        self.served = Some(provider);
        Ok(Last::Answer(UNSCORED))
    }

    /// A provider advises. Its patch is applied by mux where it fits the files; where not, the local model does what it
    /// says, if a local call is left.
    fn advise(
        &mut self,
        reason: &Reason,
        model: Option<&LocalModel>,
        watcher: &mut dyn Watcher,
    ) -> Result<Last, Refused> {
        let why = self.local_failure();
        let told = Told { local: why.as_deref(), with_try: true };
        let (provider, sent) = self.call(Tier::Advice, &told, reason, watcher)?;
        let Some(advice) = self.take(Tier::Advice, provider, sent, watcher) else { return Ok(self.provider_failed()) };
        let stop = self.stop;
        let read = reading::read(&mut self.site(false), &advice, Form::Whole);
        let stood = self.facts.standing;
        if read.is_ok() {
            self.take_back_standing(watcher);
        }
        let applied =
            read.and_then(|changes| local_change::materialise(&mut self.site(false), changes, UNSCORED, watcher, stop));
        let failure = match applied {
            Ok(changed) => {
                let verdict = changed.proof.verdict;
                if let Some(attempt) = self.attempts.last_mut() {
                    attempt.verdict = Some(verdict);
                }
                self.changed = Some(changed);
                self.report_red(provider, watcher);
                return Ok(Last::Change { verdict, score: UNSCORED, again: false });
            }
            Err(failure) => failure,
        };
        let may_try = model.is_some() && self.facts.local_tries < self.policy.max_local_tries;
        // Advice in words is no patch that failed.
        if advice.contains("```") || advice.contains("\n@@ ") {
            let line = format!("the advice of {} could not be applied as it is: {failure}", provider.name());
            watcher.event(&Event::Note(&line));
            if let Some(attempt) = self.attempts.last_mut() {
                attempt.failure = Some(failure);
            }
        } else {
            let who = if may_try { "the local model does what it says" } else { "no local try is left for it" };
            watcher.event(&Event::Note(&format!("{} advises in words: {who}", provider.name())));
        }
        // It is read best without the diff that it is about, and the repair of a reply before it was not its own.
        self.effort.start_over();
        self.repaired = false;
        self.effort.advice = Some(advice);
        self.stand_again(stood, watcher);
        Ok(if may_try { Last::Advised } else { Last::Unapplied })
    }

    /// One local try with what a provider advises.
    pub fn do_as_advised(&mut self, model: &LocalModel, watcher: &mut dyn Watcher) {
        let stood = self.facts.standing;
        self.take_back_standing(watcher);
        self.facts.local_tries += 1;
        let last = self.try_local(model, watcher);
        if let Last::Change { .. } = last {
            self.facts.last = last;
            return;
        }
        self.stand_again(stood, watcher);
        let may_try = matches!(last, Last::Failed { again: true, .. });
        if may_try && self.facts.local_tries < self.policy.max_local_tries {
            self.facts.last = Last::Advised;
        } else {
            self.facts.last = Last::Unapplied;
            self.facts.cloud = self.look();
        }
    }

    /// Puts a local change back that stood, with this score, and gave way to advice which came to nothing.
    fn stand_again(&mut self, stood: Option<Score>, watcher: &mut dyn Watcher) {
        let (Some(score), None) = (stood, self.facts.standing) else { return };
        let Some(changes) = self.changed.as_ref().map(|changed| changed.changes.clone()) else { return };
        let stop = self.stop;
        let again = local_change::materialise(&mut self.site(false), changes, score, watcher, stop);
        if let Some(changed) = again.ok().filter(|changed| changed.proof.verdict == Verdict::Skipped) {
            self.facts.standing = Some(score);
            self.changed = Some(changed);
        }
    }

    /// A provider writes. What it wrote is judged like any other change.
    fn hand_over(&mut self, reason: &Reason, watcher: &mut dyn Watcher) -> Result<Last, Refused> {
        self.take_back_standing(watcher);
        self.opened(Tier::Hands)?;
        let hands = cloud_change::begin(self, watcher)?;
        let why = self.local_failure();
        let told = Told { local: why.as_deref(), with_try: true };
        let called = self.call(Tier::Hands, &told, reason, watcher);
        let (provider, sent) = match called {
            Ok(called) => called,
            Err(refused) => {
                hands.drop_unused(&self.prepared.dir);
                return Err(refused);
            }
        };
        Ok(self.judge_hands(hands, provider, sent, watcher))
    }

    fn judge_hands(&mut self, hands: Hands, provider: Provider, sent: Sent, watcher: &mut dyn Watcher) -> Last {
        let denied = sent.reply.as_ref().map_or_else(|_| String::new(), |reply| reply.denied.join("; "));
        let said = self.take(Tier::Hands, provider, sent, watcher);
        match cloud_change::end(self, hands, said, watcher) {
            Ok(changed) => {
                let verdict = changed.proof.verdict;
                if let Some(attempt) = self.attempts.last_mut() {
                    attempt.verdict = Some(verdict);
                }
                self.served = Some(provider);
                self.changed = Some(changed);
                self.report_red(provider, watcher);
                Last::Change { verdict, score: UNSCORED, again: false }
            }
            Err(failure) => {
                // Not let do what it wanted, it would not be let do it the next time either.
                let is_denied = failure == Failure::Unchanged && !denied.is_empty();
                let cloud = Failure::Cloud { class: CloudClass::Denied, message: denied };
                let failure = if is_denied { cloud } else { failure };
                // It said that it was done and changed nothing: asked once more, as often as the configuration says.
                if failure == Failure::Unchanged
                    && self.no_change < self.prepared.settings.config.providers.sota_cli.retry_if_no_change
                {
                    self.no_change += 1;
                    self.tried.retain(|(tier, tried)| (*tier, *tried) != (Tier::Hands, provider));
                }
                if let Some(attempt) = self.attempts.last_mut().filter(|attempt| attempt.failure.is_none()) {
                    let why = failure.to_string();
                    watcher.event(&Event::Failed { route: provider.route(), attempt: 1, why: &why });
                    attempt.failure = Some(failure);
                }
                self.provider_failed()
            }
        }
    }

    /// Makes the call of a tier.
    fn call(
        &mut self,
        tier: Tier,
        told: &Told<'_>,
        reason: &Reason,
        watcher: &mut dyn Watcher,
    ) -> Result<(Provider, Sent), Refused> {
        let plan = &self.prepared.proof;
        let touched: Vec<String> = self.prepared.context.files.iter().map(|file| file.path.clone()).collect();
        let checks = match self.prepared.kind {
            Kind::Change => verify::outlook(plan, self.prepared.dir.path(), &touched),
            Kind::Answer | Kind::Undo => Vec::new(),
        };
        let checks: Vec<String> = checks.iter().map(|argv| argv::spell(argv)).collect();
        let changed = self.changed.as_ref().filter(|_| told.with_try);
        let evidence = changed.and_then(|changed| changed.proof.evidence.as_deref());
        let story = Story {
            task: self.job.task,
            context: &self.prepared.context,
            changed,
            evidence: evidence.or(self.effort.evidence.as_deref()).or(self.red_before()).filter(|_| told.with_try),
            local: told.local,
            checks: &checks,
            unchanged: self.no_change > 0,
        };
        let gate = self.gate();
        let mut tried = self.tried_for(tier);
        let (provider, sent) = loop {
            let open = gate.open(step(tier), self.job.asked, &tried)?;
            match parcel::send(&gate, &open, &story, reason, watcher, self.stop) {
                Ok(sent) => break (open.provider, sent),
                // This one cannot be called as it has to be; another one may.
                Err(Refused { why: Refusal::Scope | Refusal::NoProvider, note }) => {
                    tried.push(open.provider);
                    if let Some(note) = note {
                        watcher.event(&Event::Note(&note));
                    }
                }
                Err(refused) => return Err(refused),
            }
        };
        self.tried.push((tier, provider));
        Ok((provider, sent))
    }

    fn opened(&self, tier: Tier) -> Result<Provider, Refused> {
        let tried = self.tried_for(tier);
        self.gate().open(step(tier), self.job.asked, &tried).map(|open| open.provider)
    }

    /// Records a call; returns what the provider said, if it did.
    fn take(&mut self, tier: Tier, provider: Provider, sent: Sent, watcher: &mut dyn Watcher) -> Option<String> {
        self.cloud_used.add(&sent.used);
        self.attempts.push(sent.attempt);
        match sent.reply {
            Ok(reply) => {
                if tier == Tier::CloudAnswer && reply::declined(&reply.text).is_some() {
                    watcher.event(&Event::Note(&format!("{} declined", provider.name())));
                }
                Some(reply.text)
            }
            Err(failure) => {
                let why = Failure::from(&failure).to_string();
                watcher.event(&Event::Failed { route: provider.route(), attempt: 1, why: &why });
                None
            }
        }
    }

    fn provider_failed(&self) -> Last {
        let failure = self.attempts.last().and_then(|attempt| attempt.failure.as_ref());
        let class = failure.map_or(crate::words::task::FailureClass::Server, Failure::class);
        Last::Failed { class, again: false }
    }

    /// Why the last local try gave nothing. What another provider failed of is no business of the next one.
    fn local_failure(&self) -> Option<String> {
        let local = self.attempts.iter().rfind(|attempt| attempt.route == Route::Local);
        local.and_then(|attempt| attempt.failure.as_ref()).map(ToString::to_string)
    }

    /// A local change that nothing proved gives way to what comes now; its diff stays as a value.
    fn take_back_standing(&mut self, watcher: &mut dyn Watcher) {
        self.facts.standing = None;
        if let Some(applied) = self.changed.as_mut().and_then(|changed| changed.applied.take()) {
            take_back(&self.prepared.dir, applied, watcher);
        }
    }

    fn report_red(&self, provider: Provider, watcher: &mut dyn Watcher) {
        if let Some(changed) = self.changed.as_ref().filter(|changed| changed.proof.verdict == Verdict::Failed) {
            let why = changed.proof.summary.as_str();
            watcher.event(&Event::Failed { route: provider.route(), attempt: 1, why });
        }
    }
}

/// What of the run so far goes into a call.
#[derive(Clone, Copy, Default)]
struct Told<'a> {
    local: Option<&'a str>,
    /// The diff of the best local try and what the checks said of it.
    with_try: bool,
}

fn step(tier: Tier) -> Step {
    match tier {
        Tier::Local | Tier::CloudAnswer => Step::Answer,
        Tier::Advice => Step::Advice,
        Tier::Hands => Step::Hands,
    }
}
