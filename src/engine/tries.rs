//! One local try of a run: how it is asked, what it is told of the tries before, and what its failure means for the next.
//! The loop that counts them stands in `run.rs`.

use crate::engine::attempt::ask::{LocalModel, is_stop};
use crate::engine::attempt::local_change::{Changed, Site};
use crate::engine::attempt::{local_answer, local_change};
use crate::engine::prepare;
use crate::engine::run::Course;
use crate::engine::verify;
use crate::rules::blocks::language;
use crate::rules::confidence::shape;
use crate::rules::policy::own_tries;
use crate::rules::prompt;
use crate::words::chat::{Ask, Message};
use crate::words::event::{Event, Watcher};
use crate::words::task::{Attempt, Cloud, Failure, Kind, Last, Route, Verdict};

/// How much warmer each further try is sampled, and the warmest.
const WARMER: f64 = 0.25;
const WARMEST: f64 = 0.7;
/// Up to here a reply is about as likely as a greedy one.
const COOL: f64 = 0.3;

/// How the last try ended, when no other can be made.
fn spent(last: Last) -> Last {
    match last {
        Last::Failed { class, .. } => Last::Failed { class, again: false },
        Last::Change { verdict, score, .. } => Last::Change { verdict, score, again: false },
        Last::Nothing | Last::Answer(_) | Last::Overflow | Last::Unapplied | Last::Advised => last,
    }
}

impl Course<'_> {
    /// One local try; says how it ended, in the policy's words. Where nothing is left to ask that was not asked already, no
    /// try is made, and what was known before is all there will be.
    pub fn try_local(&mut self, model: &LocalModel, watcher: &mut dyn Watcher) -> Last {
        let number = self.facts.local_tries;
        // Who may advise decides which of the last two tries is the fresh one.
        if number > 2 && number + 1 == self.policy.max_local_tries {
            self.is_alone();
        }
        let how = self.how(number);
        if !self.is_news(how, number) {
            self.facts.local_tries -= 1;
            watcher.event(&Event::Note("no further local try: nothing is left to ask that was not asked already"));
            return spent(self.facts.last);
        }
        let asked = std::mem::take(&mut self.asked);
        let messages = asked.last().map_or(&[][..], |(messages, _)| messages);
        let (attempt, end) = match self.prepared.kind {
            Kind::Answer | Kind::Undo => {
                let (context, weights) = (&self.prepared.context, &self.experience.weights);
                let site = local_answer::Site { task: self.job.task, context, weights };
                let (attempt, end) = local_answer::attempt(model, &site, messages, how, number, watcher, self.stop);
                let end = end.map(|answer| {
                    self.facts.best_local = Some(answer.score);
                    self.answer = Some(answer.text);
                    Last::Answer(answer.score)
                });
                (attempt, end)
            }
            Kind::Change => {
                let (attempt, end) = self.try_change(model, messages, how, watcher);
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
        self.asked = asked;
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
        messages: &[Message],
        how: Ask,
        watcher: &mut dyn Watcher,
    ) -> (Attempt, Result<Changed, Failure>) {
        let mut effort = std::mem::take(&mut self.effort);
        let stop = self.stop;
        let mut site = self.site(self.facts.local_tries < self.policy.max_local_tries);
        let tried = local_change::attempt(model, &mut site, &mut effort, messages, how, watcher, stop);
        self.effort = effort;
        tried
    }

    /// Whether there is something to ask that was not asked before, that warm; then the next try asks it. As it is known,
    /// without what was said of replies, or first the one and then the other: the same question is no other try.
    fn is_news(&mut self, how: Ask, number: u32) -> bool {
        let told = std::mem::take(&mut self.effort);
        let mut anew = told.clone();
        anew.forget();
        let is_over = self.is_fresh(number) && told.advice.is_none() && told.evidence.is_some();
        let ways = if std::mem::take(&mut self.anew) || is_over { [&anew, &told] } else { [&told, &anew] };
        for effort in ways {
            let question = match self.prepared.kind {
                Kind::Answer | Kind::Undo => prompt::answer(self.job.task, &self.prepared.context.shown()),
                Kind::Change => local_change::question(&self.site(false), effort, how.max_tokens),
            };
            let asked = (question, Ask { floor: None, ..how });
            if !self.asked.contains(&asked) {
                self.asked.push(asked);
                self.effort = effort.clone();
                return true;
            }
        }
        // Whoever is asked next is told it.
        self.effort = told;
        false
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
            red_before: self.before.as_ref().and_then(|before| before.evidence.as_deref()),
            edit_format: config.local_executor.edit_format,
            prefix: self.prepared.intent.prefix.as_deref(),
            proof: &self.prepared.proof,
            ground: verify::Ground {
                workdir: self.prepared.dir.path(),
                held: Some(&self.prepared.dir),
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
            number: self.facts.local_tries,
            more_tries,
            preview: self.job.preview,
        }
    }

    /// Whether a try of a change looks at the task afresh: no other comes after it, one has seen the diff and the evidence
    /// of the first, and nobody has said what to do.
    fn is_fresh(&self, number: u32) -> bool {
        let is_last = number > 2 && number >= own_tries(&self.policy, &self.facts);
        self.prepared.kind == Kind::Change && is_last && self.effort.advice.is_none()
    }

    /// The budget and the temperature of a try. Greedy first; later tries may see what greedy does not, a fresh one most
    /// of all. What somebody advises is to be done, not to be varied, the first time.
    fn how(&self, number: u32) -> Ask {
        let config = &self.prepared.settings.config;
        let max_tokens = prepare::longest_reply(&self.prepared);
        let first = config.providers.local.temperature;
        let warmest = WARMEST.max(first);
        let steps = match self.effort.advice {
            Some(_) => self.attempts.iter().rev().take_while(|attempt| attempt.route == Route::Local).map(|_| 1).sum(),
            None => number.saturating_sub(1),
        };
        let temperature = match steps {
            0 => first,
            _ if self.is_fresh(number) => warmest,
            _ => (first + WARMER * f64::from(steps)).min(warmest),
        };
        // After a cut reply: all that the window has, and no thinking.
        let max_tokens = if self.grown { u32::MAX } else { max_tokens };
        // Thoughts are where models go round in circles most of all.
        let has_looped = self.attempts.iter().any(|attempt| matches!(attempt.failure, Some(Failure::Looped { .. })));
        let thinking = !self.grown && !has_looped;
        let floor = self.has_floor(number, temperature).then_some(self.experience.weights.floor);
        Ask { max_tokens, temperature, thinking, floor }
    }

    /// Whether a try is one that the floor was fitted on: the first of a change of code that the model was shown, almost
    /// greedy. New text, and a warmer model, are less likely without being worse.
    fn has_floor(&self, number: u32, temperature: f64) -> bool {
        let context = &self.prepared.context;
        let mut named = context.named().peekable();
        self.prepared.settings.config.local_executor.stop_hopeless
            && self.prepared.kind == Kind::Change
            && number == 1
            && temperature <= COOL
            && context.to_create.is_empty()
            && named.peek().is_some()
            && named.all(|file| language(&file.path).is_some_and(shape::is_known))
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
        let is_useless = matches!(
            failure,
            Failure::Unusable { .. } | Failure::Looped { .. } | Failure::Hopeless { .. } | Failure::Empty
        );
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
