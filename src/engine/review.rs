//! An independent look at a change that was accepted: by a provider that sees the diff and nothing else. A bad verdict
//! gets one local fix; if the verdict stays bad, the change is taken back and its diff kept.
//!
//! Two reviews a run at most. `policy.rs` has decided before: a review can only take an acceptance back.

use crate::engine::attempt::ask::LocalModel;
use crate::engine::attempt::local_change::Changed;
use crate::engine::attempt::parcel::{self, Story};
use crate::engine::finish::sha256;
use crate::engine::gate::Refused;
use crate::engine::judge::take_back;
use crate::engine::run::Course;
use crate::rules::config::SotaReview;
use crate::rules::findings::{self, Findings};
use crate::sys::ledger::egress::Step;
use crate::words::event::{Event, Watcher};
use crate::words::record::{Overruled, Shadow};
use crate::words::task::{Asked, Decision, Failure, Kind, Provider, Reason, Refusal, Route, Verdict};

/// What a review came to.
enum Review {
    Said(Provider, Findings),
    /// Nobody could be asked, or nobody said anything that can be read.
    None(Refusal),
}

impl Course<'_> {
    /// Has an accepted change reviewed where the user or the configuration wants that. Returns what is decided then.
    pub fn review(&mut self, accepted: Decision, model: Option<&LocalModel>, watcher: &mut dyn Watcher) -> Decision {
        let Decision::Accept { reason, .. } = &accepted else { return accepted };
        if !self.wants_review(reason) {
            return accepted;
        }
        let reason = reason.clone();
        let findings = match self.ask_for_review(&reason, watcher) {
            Review::Said(provider, findings) => {
                self.note_verdict(provider, &findings, watcher);
                findings
            }
            // What the user forced and did not get is not done. What was only configured is done without, and said.
            Review::None(why) if self.job.verify_with.is_some() => {
                self.overruled = Some(Overruled::Review);
                return Decision::GiveUp { reason: Reason::VerifyFailed, refused: Some(why) };
            }
            Review::None(_) => return accepted,
        };
        if findings.is_ok {
            return accepted;
        }
        if let Some(model) = model.filter(|_| self.may_fix())
            && self.fix(&findings, model, watcher)
            && let Review::Said(provider, again) = self.ask_for_review(&reason, watcher)
        {
            self.note_verdict(provider, &again, watcher);
            if again.is_ok {
                return self.accepted_again();
            }
        }
        self.overruled = Some(Overruled::Review);
        Decision::GiveUp { reason: Reason::VerifyFailed, refused: None }
    }

    fn wants_review(&self, reason: &Reason) -> bool {
        let stands = self.changed.as_ref().is_some_and(|changed| changed.applied.is_some());
        if self.prepared.kind != Kind::Change || !stands || self.stop.reason().is_some() {
            return false;
        }
        let unproven = matches!(reason, Reason::Unverified | Reason::Unproven);
        match (self.job.verify_with, self.prepared.settings.config.workflow.run_sota_review) {
            (Some(_), _) | (None, SotaReview::Always) => true,
            // A provider that wrote or advised has looked at it already.
            (None, SotaReview::Unverified) => unproven && self.tried.is_empty(),
            (None, SotaReview::Never) => false,
        }
    }

    /// Has an accepted local result looked at although nothing depends on it, for the share of runs that `router.shadow`
    /// names: what it says is recorded, and measures how often local results are accepted that should not be.
    pub fn shadow(&mut self, decided: &Decision, watcher: &mut dyn Watcher) {
        let Decision::Accept { reason, .. } = decided else { return };
        // Below the threshold nothing counts as accepted; where a provider took part, its word would not be independent.
        let is_home = *reason != Reason::LowConfidence
            && self.attempts.iter().all(|attempt| attempt.route == Route::Local)
            && !self.job.preview
            && self.stop.reason().is_none();
        if !is_home || !is_chosen(&self.run_id, self.prepared.settings.config.router.shadow) {
            return;
        }
        let reason = reason.clone();
        if let Review::Said(provider, findings) = self.ask_for_review(&reason, watcher) {
            for issue in &findings.issues {
                let line = format!("{} says, although nothing depends on it: {issue}", provider.name());
                watcher.event(&Event::Note(&line));
            }
            self.shadow = Some(Shadow { provider, ok: findings.is_ok });
        }
    }

    fn may_fix(&self) -> bool {
        let is_local = self.served.is_none() && self.facts.local_tries < self.policy.max_local_tries;
        is_local && self.prepared.settings.config.workflow.local_apply_review
    }

    /// Asks one provider after the other until one gives a verdict.
    fn ask_for_review(&mut self, reason: &Reason, watcher: &mut dyn Watcher) -> Review {
        let asked = self.job.verify_with.map_or(Asked::Auto, Provider::asked);
        // Whoever wrote it does not review it, unless the user wants just that.
        let mut tried: Vec<Provider> = self.served.into_iter().filter(|_| asked == Asked::Auto).collect();
        loop {
            let sent = {
                let gate = self.gate();
                let open = match gate.open(Step::Review, asked, &tried) {
                    Ok(open) => open,
                    Err(Refused { why, note }) => {
                        // That nobody is there to review is the usual case, and no news.
                        if let Some(note) = note {
                            watcher.event(&Event::Note(&format!("no review: {note}")));
                        }
                        return Review::None(why);
                    }
                };
                tried.push(open.provider);
                let changed = self.changed.as_ref();
                let answer = self.answer.as_deref().filter(|_| self.prepared.kind == Kind::Answer);
                let story = Story {
                    task: self.job.task,
                    context: &self.prepared.context,
                    changed,
                    evidence: changed.map(|changed| changed.proof.summary.as_str()).filter(|line| !line.is_empty()),
                    local: answer,
                    checks: &[],
                    unchanged: false,
                };
                parcel::send(&gate, &open, &story, reason, watcher, self.stop).map(|sent| (open.provider, sent))
            };
            let (provider, mut sent) = match sent {
                Ok(sent) => sent,
                Err(Refused { why, note }) => {
                    let note = note.unwrap_or_else(|| why.name().to_string());
                    watcher.event(&Event::Note(&format!("no review: {note}")));
                    return Review::None(why);
                }
            };
            self.cloud_used.add(&sent.used);
            let read = sent.reply.as_ref().ok().map(|reply| findings::read(&reply.text));
            if let Some(None) = read {
                let fault = "the review holds no verdict".to_string();
                sent.attempt.failure = Some(Failure::Unusable { fault });
            }
            if let Some(failure) = &sent.attempt.failure {
                let why = failure.to_string();
                watcher.event(&Event::Failed { route: provider.route(), attempt: 1, why: &why });
            }
            self.attempts.push(sent.attempt);
            if let Some(findings) = read.flatten() {
                return Review::Said(provider, findings);
            }
        }
    }

    /// Puts a verdict where it is read: beside the proof, and among what failed.
    fn note_verdict(&mut self, provider: Provider, findings: &Findings, watcher: &mut dyn Watcher) {
        let name = provider.name();
        for issue in &findings.issues {
            watcher.event(&Event::Note(&format!("{name} says: {issue}")));
        }
        let Some(changed) = &mut self.changed else { return };
        let verdict = match (findings.is_ok, findings.issues.len()) {
            (true, _) => "fine".to_string(),
            (false, 1) => "1 issue".to_string(),
            (false, n) => format!("{n} issues"),
        };
        let summary = &mut changed.proof.summary;
        if !summary.is_empty() {
            summary.push_str("; ");
        }
        summary.extend(["review by ", name, ": ", &verdict]);
        if !findings.is_ok {
            changed.proof.evidence = Some(format!("review by {name}:\n{}", listed(findings)));
        }
    }

    /// One local try with the findings. Returns whether its change stands and is proven no worse than the one before.
    fn fix(&mut self, findings: &Findings, model: &LocalModel, watcher: &mut dyn Watcher) -> bool {
        let Some(mut old) = self.changed.take() else { return false };
        if let Some(applied) = old.applied.take() {
            take_back(&self.prepared.dir, applied, watcher);
        }
        self.facts.standing = None;
        self.effort.previous = Some(old.diff.clone());
        self.effort.advice = Some(listed(findings));
        self.facts.local_tries += 1;
        self.facts.last = self.try_local(model, watcher);
        let is_better = self.changed.as_ref().is_some_and(|new| new.applied.is_some() && rank(new) >= rank(&old));
        if !is_better {
            // The better of the two is what `mux diff` shows.
            if let Some(applied) = self.changed.as_mut().and_then(|changed| changed.applied.take()) {
                take_back(&self.prepared.dir, applied, watcher);
            }
            self.changed = Some(old);
        }
        is_better
    }

    fn accepted_again(&self) -> Decision {
        let reason = match self.changed.as_ref().map(|changed| changed.proof.verdict) {
            Some(Verdict::Passed) => Reason::Verified,
            Some(Verdict::Unproven) => Reason::Unproven,
            Some(Verdict::Skipped | Verdict::Failed) | None => Reason::Unverified,
        };
        let reason = if self.job.asked == Asked::Auto { reason } else { Reason::Requested };
        Decision::Accept { reason, wanted: None, refused: None }
    }
}

/// Whether a run is in the share that is looked at. By its id, so that the same run is always chosen or never.
fn is_chosen(run_id: &str, share: f64) -> bool {
    // 52 bits: a number below 1 holds them all.
    let bits = sha256(run_id).get(..13).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0);
    (bits as f64) < share * (1_u64 << 52) as f64
}

fn listed(findings: &Findings) -> String {
    let lines: Vec<String> = findings.issues.iter().map(|issue| format!("- {issue}")).collect();
    if lines.is_empty() { "- it is wrong, and the review does not say where".to_string() } else { lines.join("\n") }
}

fn rank(changed: &Changed) -> u8 {
    match changed.proof.verdict {
        Verdict::Passed => 3,
        Verdict::Unproven => 2,
        Verdict::Skipped => 1,
        Verdict::Failed => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_runs_is_chosen_and_always_the_same() {
        let chosen = |share| (0..1000).filter(|n| is_chosen(&format!("01KAP5V0XQ3T{n:014}"), share)).count();
        assert_eq!((chosen(0.0), chosen(1.0)), (0, 1000));
        let (some, more) = (chosen(0.05), chosen(0.5));
        assert!((30..=70).contains(&some) && (450..=550).contains(&more), "{some} {more}");
        assert_eq!(chosen(0.05), some);
    }
}
