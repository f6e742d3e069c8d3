//! The routing policy: facts in, the next step out. Pure, and all of it on this page.
//!
//! **Invariants** (walked exhaustively in the tests): following [`decide`] always ends; a route that is down or forbidden
//! is never tried; a tier advances only with evidence and never comes back; whatever may escalate can.

use crate::words::task::{
    Asked, Cloud, Decision, Facts, FailureClass, Hands, Kind, Last, Policy, Reason, Refusal, Score, Tier, Verdict,
};

/// Chooses the next step of a task. The first rule that holds wins.
pub fn decide(policy: &Policy, facts: &Facts) -> Decision {
    if let Some(why) = facts.stopped {
        return settle(policy, facts, None, why);
    }
    let wanted = match facts.asked {
        Asked::Auto => trigger(policy, facts),
        Asked::Local => None,
        Asked::Cloud | Asked::Claude | Asked::Codex | Asked::Gemini | Asked::Declared(_) => {
            unless_done(facts, Reason::Requested)
        }
    };
    if let Some(reason) = wanted {
        return match facts.cloud {
            Cloud::Unknown => Decision::Look,
            Cloud::Open(_) => escalate(policy, facts, reason),
            Cloud::Refused(why) => settle(policy, facts, Some(reason), why),
        };
    }
    if let Some(reason) = acceptance(policy, facts) {
        let (wanted, refused) = passed_over(policy, facts);
        return Decision::Accept { reason, wanted, refused };
    }
    if local_may_try(policy, facts) {
        return Decision::Try { tier: Tier::Local, reason: Reason::Requested };
    }
    Decision::GiveUp { reason: failure(facts), refused: None }
}

/// The evidence for leaving local, if there is any.
fn trigger(policy: &Policy, facts: &Facts) -> Option<Reason> {
    if !facts.local_up && facts.local_tries == 0 {
        return unless_done(facts, Reason::LocalDown);
    }
    if facts.last != Last::Nothing && local_may_try(policy, facts) && !is_late(policy, facts) {
        return None;
    }
    match (facts.tier, facts.last) {
        (Tier::Local, Last::Nothing) => {
            // A try that would run out of time has not failed yet; the word for what it would come to is the nearest of
            // the vocabulary, and `late` in the facts says that it was foreseen.
            let too_slow = is_late(policy, facts).then_some(Reason::LocalFailed(FailureClass::Timeout));
            complexity(policy, facts).filter(|_| facts.kind == Kind::Answer).or(too_slow)
        }
        (Tier::Local, Last::Answer(score)) => low_confidence(policy, score),
        (Tier::Local, Last::Change { verdict: Verdict::Skipped, score, .. }) => {
            complexity(policy, facts).or_else(|| low_confidence(policy, score))
        }
        (Tier::Local | Tier::Advice, Last::Change { verdict: Verdict::Failed, .. }) => {
            policy.on_verification_failures.then_some(Reason::VerifyFailed)
        }
        // A disk that is full for a local try is full for every other one.
        (Tier::Local, Last::Failed { class, .. }) => {
            (class != FailureClass::Disk).then_some(Reason::LocalFailed(class))
        }
        (Tier::Local, Last::Overflow) => Some(Reason::ContextOverflow),
        // A provider failed: the next one gets the same step for the same reason.
        // Advice that could not be applied is evidence for hands.
        (_, Last::Failed { .. } | Last::Overflow | Last::Nothing | Last::Unapplied | Last::Advised) => {
            facts.escalated.clone()
        }
        (_, Last::Answer(_) | Last::Change { .. }) => None,
    }
}

/// A risk word sends an answer out at once. For a change proof counts more than words: this is asked only when nothing
/// could check it.
fn complexity(policy: &Policy, facts: &Facts) -> Option<Reason> {
    let hits = u32::try_from(facts.risk_words.len()).unwrap_or(u32::MAX);
    let escalates = policy.on_high_complexity && !policy.prefer_local && hits >= policy.complexity_threshold;
    facts.risk_words.first().filter(|_| escalates).map(|word| Reason::Complexity(word.clone()))
}

fn low_confidence(policy: &Policy, score: Score) -> Option<Reason> {
    let escalates = policy.on_low_confidence && !policy.prefer_local && score.value < policy.threshold;
    escalates.then_some(Reason::LowConfidence)
}

/// The escalation that a risk word called for before an answer stayed local, and why it did not happen.
fn passed_over(policy: &Policy, facts: &Facts) -> (Option<Reason>, Option<Refusal>) {
    let stayed = facts.kind == Kind::Answer && facts.tier == Tier::Local && facts.asked == Asked::Auto;
    match (complexity(policy, facts).filter(|_| stayed), facts.cloud) {
        (Some(reason), Cloud::Refused(why)) => (Some(reason), Some(why)),
        (Some(_) | None, _) => (None, None),
    }
}

/// `reason`, unless a try has already given something that stands.
fn unless_done(facts: &Facts, reason: Reason) -> Option<Reason> {
    match facts.last {
        Last::Nothing | Last::Failed { .. } | Last::Overflow => Some(reason),
        Last::Answer(_) | Last::Change { .. } | Last::Unapplied | Last::Advised => None,
    }
}

/// The next step up. Advice comes before hands, so that the cloud sees a diff and not the code base; hands after failed
/// local tries need permission; without a local model, or on the user's word, they need none.
fn escalate(policy: &Policy, facts: &Facts, reason: Reason) -> Decision {
    let provider_failed = facts.tier != Tier::Local && unless_done(facts, Reason::Requested).is_some();
    let tier = match facts.kind {
        Kind::Answer | Kind::Undo => Tier::CloudAnswer,
        Kind::Change if provider_failed => facts.tier,
        Kind::Change if matches!(reason, Reason::LocalDown | Reason::Requested) => Tier::Hands,
        Kind::Change if facts.tier == Tier::Local => Tier::Advice,
        Kind::Change => Tier::Hands,
    };
    let needs_permission = tier == Tier::Hands && !matches!(reason, Reason::LocalDown | Reason::Requested);
    match (facts.cloud, policy.hands, facts.hands_answer) {
        (Cloud::Open(provider), Hands::Ask, None) if needs_permission => Decision::AskHands { provider },
        (_, Hands::Never, _) | (_, Hands::Ask, Some(false)) if needs_permission => match facts.standing {
            Some(_) => Decision::Accept { reason: Reason::Unverified, wanted: Some(reason), refused: None },
            None => Decision::GiveUp { reason, refused: None },
        },
        (_, Hands::Allowed | Hands::Ask | Hands::Never, _) => Decision::Try { tier, reason },
    }
}

/// Why the last result stands, if it does.
fn acceptance(policy: &Policy, facts: &Facts) -> Option<Reason> {
    let local = match facts.last {
        Last::Nothing
        | Last::Failed { .. }
        | Last::Overflow
        | Last::Unapplied
        | Last::Advised
        | Last::Change { verdict: Verdict::Failed, .. } => return None,
        Last::Change { verdict: Verdict::Passed, .. } => Reason::Verified,
        Last::Change { verdict: Verdict::Unproven, .. } => Reason::Unproven,
        Last::Change { verdict: Verdict::Skipped, .. } => Reason::Unverified,
        Last::Answer(score) if score.weak || score.value < policy.threshold => Reason::Unverified,
        Last::Answer(_) => Reason::Confident,
    };
    if facts.asked != Asked::Auto {
        return Some(Reason::Requested);
    }
    match facts.tier {
        // Advice that was applied locally keeps the local route, and the local reason.
        Tier::Local | Tier::Advice => Some(local),
        Tier::CloudAnswer | Tier::Hands => facts.escalated.clone(),
    }
}

/// Whether time speaks against a local try. A prediction is no proof: where nobody else may do it, local tries all the
/// same, and so does a run that the user has told to stay.
fn is_late(policy: &Policy, facts: &Facts) -> bool {
    let may_leave = facts.asked == Asked::Auto && !policy.prefer_local && !matches!(facts.cloud, Cloud::Refused(_));
    // Who has advised is not asked again, so that hands are next.
    let may_write = policy.hands == Hands::Allowed || policy.hands == Hands::Ask && facts.hands_answer != Some(false);
    let somebody = may_leave && (facts.tier == Tier::Local || may_write);
    somebody && facts.late.is_some_and(|late| late.least_ms > late.left_ms)
}

/// How many local tries a task has before somebody else is asked. Where a provider may advise on a change, the last one
/// is kept: it goes to what the advice says, if mux cannot apply that by itself. Two tries are too few to keep one of.
pub fn own_tries(policy: &Policy, facts: &Facts) -> u32 {
    let is_advised = facts.kind == Kind::Change
        && facts.asked == Asked::Auto
        && policy.on_verification_failures
        && !matches!(facts.cloud, Cloud::Refused(_));
    policy.max_local_tries - u32::from(is_advised && policy.max_local_tries > 2)
}

/// Whether another local try is due: the first one, or one with new evidence within the count. Advice was paid for: what
/// is left of the tries is for doing what it says.
fn local_may_try(policy: &Policy, facts: &Facts) -> bool {
    let tries = match facts.tier {
        Tier::Local => own_tries(policy, facts),
        Tier::Advice => policy.max_local_tries,
        Tier::CloudAnswer | Tier::Hands => 0,
    };
    let open = facts.local_up && facts.local_tries < tries;
    open && match facts.last {
        Last::Nothing | Last::Advised => true,
        // Of advice, it is the provider that has failed.
        Last::Failed { again, .. } => again && facts.tier == Tier::Local,
        Last::Change { verdict, again, .. } => verdict == Verdict::Failed && again,
        Last::Answer(_) | Last::Overflow | Last::Unapplied => false,
    }
}

/// What a wanted step that is refused comes to: the best local result there is, marked with both reasons; a first local
/// try where there was none; else the end.
fn settle(policy: &Policy, facts: &Facts, wanted: Option<Reason>, why: Refusal) -> Decision {
    let refused = Some(why);
    let best = facts.best_local.filter(|_| facts.kind == Kind::Answer);
    if let Some(score) = best.filter(|score| score.value < policy.threshold) {
        let accepted = if low_confidence(policy, score).is_some() { Reason::LowConfidence } else { Reason::Unverified };
        return Decision::Accept { reason: accepted, wanted, refused };
    }
    if let Some(score) = best {
        let accepted = if score.weak { Reason::Unverified } else { Reason::Confident };
        return Decision::Accept { reason: accepted, wanted, refused };
    }
    if let Some(reason) = acceptance(policy, facts) {
        return Decision::Accept { reason, wanted, refused };
    }
    if facts.standing.is_some() {
        return Decision::Accept { reason: Reason::Unverified, wanted, refused };
    }
    // A risk word sent the answer out before any local try, and no provider could take it.
    let untried = facts.stopped.is_none() && facts.asked == Asked::Auto && facts.local_up && facts.local_tries == 0;
    if untried {
        return Decision::Try { tier: Tier::Local, reason: Reason::Requested };
    }
    Decision::GiveUp { reason: wanted.unwrap_or_else(|| failure(facts)), refused }
}

/// The reason of a run without success, after its last try.
fn failure(facts: &Facts) -> Reason {
    match facts.last {
        // A provider that fails is no failure of the local model: the trigger stays, the attempt says the rest.
        Last::Failed { class, .. } if facts.tier == Tier::Local => Reason::LocalFailed(class),
        Last::Failed { class, .. } => facts.escalated.clone().unwrap_or(Reason::LocalFailed(class)),
        Last::Overflow => Reason::ContextOverflow,
        Last::Change { .. } => Reason::VerifyFailed,
        Last::Unapplied | Last::Advised => facts.escalated.clone().unwrap_or(Reason::LowConfidence),
        Last::Nothing if !facts.local_up => Reason::LocalDown,
        Last::Nothing => match facts.stopped {
            Some(Refusal::Deadline) => Reason::LocalFailed(FailureClass::Timeout),
            Some(_) => Reason::LocalFailed(FailureClass::Canceled),
            None => Reason::LowConfidence,
        },
        Last::Answer(_) => Reason::LowConfidence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::from_json;
    use crate::words::task::{Late, Provider};

    fn policy() -> Policy {
        Policy {
            threshold: 0.6,
            max_local_tries: 2,
            on_low_confidence: true,
            on_verification_failures: true,
            on_high_complexity: true,
            complexity_threshold: 1,
            prefer_local: false,
            hands: Hands::Never,
        }
    }

    fn facts(kind: Kind) -> Facts {
        Facts {
            kind,
            asked: Asked::Auto,
            local_up: true,
            risk_words: Vec::new(),
            local_tries: 0,
            tier: Tier::Local,
            escalated: None,
            last: Last::Nothing,
            best_local: None,
            standing: None,
            cloud: Cloud::Refused(Refusal::NoProvider),
            hands_answer: None,
            stopped: None,
            late: None,
        }
    }

    const SURE: Score = Score { value: 0.9, weak: false };
    const WEAK: Score = Score { value: 0.7, weak: true };
    const POOR: Score = Score { value: 0.3, weak: false };
    const OPEN: Cloud = Cloud::Open(Provider::Claude);

    fn answered(score: Score) -> Facts {
        Facts { local_tries: 1, last: Last::Answer(score), best_local: Some(score), ..facts(Kind::Answer) }
    }

    fn changed(verdict: Verdict, score: Score, local_tries: u32) -> Facts {
        Facts { local_tries, last: Last::Change { verdict, score, again: true }, ..facts(Kind::Change) }
    }

    fn failed(kind: Kind, local_tries: u32) -> Facts {
        let last = Last::Failed { class: FailureClass::Truncated, again: true };
        Facts { local_tries, last, ..facts(kind) }
    }

    /// Spells a decision in one line, as the tables below read it.
    fn spell(decision: &Decision) -> String {
        let mark = |wanted: &Option<Reason>, refused: &Option<Refusal>| {
            let wanted = wanted.as_ref().map(|reason| format!(", wanted {reason}")).unwrap_or_default();
            wanted + &refused.map(|why| format!(", refused {}", why.name())).unwrap_or_default()
        };
        match decision {
            Decision::Try { tier: Tier::Local, .. } => "try local".into(),
            Decision::Try { tier, reason } => format!("try {tier:?} for {reason}"),
            Decision::AskHands { provider } => format!("ask for {}", provider.name()),
            Decision::Look => "look".into(),
            Decision::Accept { reason, wanted, refused } => format!("accept {reason}{}", mark(wanted, refused)),
            Decision::GiveUp { reason, refused } => format!("give up {reason}{}", mark(&None, refused)),
        }
    }

    #[track_caller]
    fn check(policy: &Policy, facts: &Facts, expected: &str) {
        assert_eq!(spell(&decide(policy, facts)), expected, "{facts:#?}");
    }

    #[test]
    fn answers_without_a_provider_stay_local_and_say_so() {
        let policy = policy();
        check(&policy, &facts(Kind::Answer), "try local");
        check(&policy, &answered(SURE), "accept confident");
        check(&policy, &answered(WEAK), "accept unverified");
        check(&policy, &answered(POOR), "accept low_confidence, wanted low_confidence, refused no_provider");
        check(&policy, &failed(Kind::Answer, 1), "try local");
        check(&policy, &failed(Kind::Answer, 2), "give up local_failed:truncated, refused no_provider");
        let risky = Facts { risk_words: vec!["migration".into()], ..facts(Kind::Answer) };
        check(&policy, &risky, "try local");
        let risky = Facts { risk_words: vec!["migration".into()], ..answered(SURE) };
        check(&policy, &risky, "accept confident, wanted complexity:migration, refused no_provider");
        let overflow = Facts { local_tries: 1, last: Last::Overflow, ..facts(Kind::Answer) };
        check(&policy, &overflow, "give up context_overflow, refused no_provider");
        let down = Facts { local_up: false, ..facts(Kind::Answer) };
        check(&policy, &down, "give up local_down, refused no_provider");
    }

    #[test]
    fn a_provider_that_fails_leaves_the_trigger_as_the_reason() {
        let last = Last::Failed { class: FailureClass::Server, again: false };
        let (tier, escalated) = (Tier::CloudAnswer, Some(Reason::LowConfidence));
        let stopped = Some(Refusal::Canceled);
        let tried = Facts { last, tier, escalated, stopped, local_tries: 1, ..facts(Kind::Answer) };
        check(&policy(), &tried, "give up low_confidence, refused canceled");
    }

    #[test]
    fn what_is_called_off_before_the_first_try_is_no_question_of_confidence() {
        for kind in [Kind::Answer, Kind::Change] {
            let stopped = |why| Facts { stopped: Some(why), ..facts(kind) };
            check(&policy(), &stopped(Refusal::Canceled), "give up local_failed:canceled, refused canceled");
            check(&policy(), &stopped(Refusal::Deadline), "give up local_failed:timeout, refused deadline");
        }
    }

    #[test]
    fn answers_with_a_provider_escalate_on_evidence() {
        let policy = policy();
        let open = |facts: Facts| Facts { cloud: OPEN, ..facts };
        check(&policy, &open(answered(SURE)), "accept confident");
        check(&policy, &open(answered(WEAK)), "accept unverified");
        check(&policy, &open(answered(POOR)), "try CloudAnswer for low_confidence");
        check(&policy, &open(failed(Kind::Answer, 2)), "try CloudAnswer for local_failed:truncated");
        let risky = Facts { risk_words: vec!["security".into()], ..facts(Kind::Answer) };
        check(&policy, &open(risky.clone()), "try CloudAnswer for complexity:security");
        let calm = Policy { prefer_local: true, ..policy.clone() };
        check(&calm, &open(risky), "try local");
        check(&calm, &open(answered(POOR)), "accept unverified");
        check(&calm, &open(Facts { local_up: false, ..facts(Kind::Answer) }), "try CloudAnswer for local_down");
        let none = Policy { on_low_confidence: false, on_high_complexity: false, ..policy };
        check(&none, &open(answered(POOR)), "accept unverified");
        check(&none, &open(Facts { risk_words: vec!["security".into()], ..facts(Kind::Answer) }), "try local");
    }

    #[test]
    fn changes_are_judged_by_proof_first() {
        let policy = policy();
        check(&policy, &facts(Kind::Change), "try local");
        check(&policy, &changed(Verdict::Passed, POOR, 1), "accept verified");
        check(&policy, &changed(Verdict::Unproven, POOR, 1), "accept unproven");
        check(&policy, &changed(Verdict::Failed, SURE, 1), "try local");
        check(&policy, &changed(Verdict::Failed, SURE, 2), "give up verify_failed, refused no_provider");
        let hopeless = Last::Change { verdict: Verdict::Failed, score: SURE, again: false };
        let hopeless = Facts { last: hopeless, ..changed(Verdict::Failed, SURE, 1) };
        check(&policy, &hopeless, "give up verify_failed, refused no_provider");
        check(&policy, &changed(Verdict::Skipped, SURE, 1), "accept unverified");
        check(
            &policy,
            &changed(Verdict::Skipped, POOR, 1),
            "accept unverified, wanted low_confidence, refused no_provider",
        );
        let risky = |facts: Facts| Facts { risk_words: vec!["refactor".into()], ..facts };
        check(&policy, &risky(facts(Kind::Change)), "try local");
        check(&policy, &risky(changed(Verdict::Passed, SURE, 1)), "accept verified");
        let open = Facts { cloud: OPEN, ..risky(changed(Verdict::Skipped, SURE, 1)) };
        check(&policy, &open, "try Advice for complexity:refactor");
    }

    #[test]
    fn hands_come_after_advice_and_with_permission() {
        let mut policy = policy();
        let spent = Facts { cloud: OPEN, ..changed(Verdict::Failed, SURE, 2) };
        check(&policy, &spent, "try Advice for verify_failed");
        let advised = Facts { tier: Tier::Advice, escalated: Some(Reason::VerifyFailed), ..spent.clone() };
        check(&policy, &advised, "give up verify_failed");
        policy.hands = Hands::Allowed;
        check(&policy, &advised, "try Hands for verify_failed");
        policy.hands = Hands::Ask;
        check(&policy, &advised, "ask for claude");
        check(&policy, &Facts { hands_answer: Some(true), ..advised.clone() }, "try Hands for verify_failed");
        check(&policy, &Facts { hands_answer: Some(false), ..advised.clone() }, "give up verify_failed");
        let unapplied = Facts { last: Last::Unapplied, ..advised.clone() };
        policy.hands = Hands::Never;
        check(&policy, &unapplied, "give up verify_failed");
        policy.hands = Hands::Allowed;
        check(&policy, &unapplied, "try Hands for verify_failed");
        policy.hands = Hands::Never;
        let down = Facts { local_up: false, cloud: OPEN, ..facts(Kind::Change) };
        check(&policy, &down, "try Hands for local_down");
        policy.on_verification_failures = false;
        check(&policy, &spent, "give up verify_failed");
    }

    #[test]
    fn what_was_advised_gets_the_local_tries_that_are_left() {
        let policy = Policy { max_local_tries: 3, hands: Hands::Allowed, ..policy() };
        let advised = |last, local_tries| Facts {
            tier: Tier::Advice,
            escalated: Some(Reason::VerifyFailed),
            cloud: OPEN,
            local_tries,
            last,
            ..facts(Kind::Change)
        };
        check(&policy, &advised(Last::Advised, 2), "try local");
        check(&policy, &advised(Last::Advised, 3), "try Hands for verify_failed");
        check(&policy, &advised(Last::Unapplied, 2), "try Hands for verify_failed");
        let late = Facts { late: LATE, ..advised(Last::Advised, 2) };
        check(&policy, &late, "try Hands for verify_failed");
        // A prediction is no proof where nobody else may do it.
        check(&Policy { hands: Hands::Never, ..policy.clone() }, &late, "try local");
        let asks = Policy { hands: Hands::Ask, ..policy.clone() };
        check(&asks, &late, "ask for claude");
        check(&asks, &Facts { hands_answer: Some(false), ..late.clone() }, "try local");
        check(&policy, &Facts { cloud: Cloud::Refused(Refusal::Budget), ..late.clone() }, "try local");
        let red = |again| Last::Change { verdict: Verdict::Failed, score: SURE, again };
        check(&policy, &advised(red(true), 2), "try local");
        check(&policy, &advised(red(true), 3), "try Hands for verify_failed");
        check(&policy, &advised(red(false), 2), "try Hands for verify_failed");
        // Nobody has advised: the next provider is asked.
        let failed = Last::Failed { class: FailureClass::Server, again: true };
        check(&policy, &advised(failed, 2), "try Advice for verify_failed");
    }

    #[test]
    fn the_last_local_try_of_a_change_is_kept_for_advice() {
        let policy = Policy { max_local_tries: 3, ..policy() };
        let red = |tries, cloud| Facts { cloud, ..changed(Verdict::Failed, SURE, tries) };
        let gone = Cloud::Refused(Refusal::NoProvider);
        for cloud in [OPEN, gone, Cloud::Unknown] {
            check(&policy, &red(1, cloud), "try local");
        }
        check(&policy, &red(2, OPEN), "try Advice for verify_failed");
        check(&policy, &red(2, Cloud::Unknown), "look");
        // Where nobody advises, it is a try like the others.
        check(&policy, &red(2, gone), "try local");
        check(&policy, &red(3, gone), "give up verify_failed, refused no_provider");
        check(&policy, &Facts { asked: Asked::Local, ..red(2, OPEN) }, "try local");
        check(&Policy { on_verification_failures: false, ..policy.clone() }, &red(2, OPEN), "try local");
        // Of two tries none is kept: the second is the first that has seen evidence.
        check(&Policy { max_local_tries: 2, ..policy }, &red(1, OPEN), "try local");
    }

    #[test]
    fn a_change_that_nothing_can_check_outlives_providers_that_fail() {
        let policy = policy();
        let failed = Last::Failed { class: FailureClass::Server, again: false };
        let gone = Cloud::Refused(Refusal::NoProvider);
        let advised = Facts {
            tier: Tier::Advice,
            escalated: Some(Reason::LowConfidence),
            last: failed,
            standing: Some(POOR),
            cloud: OPEN,
            ..changed(Verdict::Skipped, POOR, 1)
        };
        check(&policy, &advised, "try Advice for low_confidence");
        let refused = "accept unverified, wanted low_confidence, refused no_provider";
        check(&policy, &Facts { cloud: gone, ..advised.clone() }, refused);
        let unapplied = Facts { last: Last::Unapplied, ..advised };
        check(&policy, &unapplied, "accept unverified, wanted low_confidence");
    }

    #[test]
    fn a_disk_that_fails_is_no_reason_to_ask_a_provider() {
        let last = Last::Failed { class: FailureClass::Disk, again: false };
        let full = Facts { cloud: OPEN, local_tries: 1, last, ..facts(Kind::Change) };
        check(&policy(), &full, "give up local_failed:disk");
    }

    #[test]
    fn a_forced_route_is_kept_or_refused() {
        let policy = policy();
        let forced = |asked, kind, cloud| Facts { asked, cloud, ..facts(kind) };
        check(&policy, &forced(Asked::Claude, Kind::Change, OPEN), "try Hands for requested");
        check(&policy, &forced(Asked::Cloud, Kind::Answer, OPEN), "try CloudAnswer for requested");
        let refused = Cloud::Refused(Refusal::LocalOnly);
        check(&policy, &forced(Asked::Codex, Kind::Answer, refused), "give up requested, refused local_only");
        check(&policy, &Facts { asked: Asked::Local, cloud: OPEN, ..answered(POOR) }, "accept requested");
        let down = Facts { asked: Asked::Local, local_up: false, cloud: OPEN, ..facts(Kind::Change) };
        check(&policy, &down, "give up local_down");
    }

    #[test]
    fn a_stopped_run_keeps_what_it_has() {
        let policy = policy();
        let late = |facts: Facts| Facts { stopped: Some(Refusal::Deadline), ..facts };
        check(&policy, &late(facts(Kind::Answer)), "give up local_failed:timeout, refused deadline");
        check(&policy, &late(failed(Kind::Change, 1)), "give up local_failed:truncated, refused deadline");
        check(&policy, &late(changed(Verdict::Failed, SURE, 1)), "give up verify_failed, refused deadline");
        check(&policy, &late(answered(SURE)), "accept confident, refused deadline");
    }

    /// Every way a try can end, for the walk.
    fn ends(kind: Kind) -> Vec<Last> {
        let mut ends = vec![
            Last::Overflow,
            Last::Failed { class: FailureClass::Empty, again: true },
            Last::Failed { class: FailureClass::Server, again: false },
            Last::Failed { class: FailureClass::Disk, again: false },
        ];
        for score in [SURE, WEAK, POOR] {
            if kind == Kind::Answer {
                ends.push(Last::Answer(score));
            } else {
                let verdicts = [Verdict::Passed, Verdict::Failed, Verdict::Unproven, Verdict::Skipped];
                ends.extend(verdicts.map(|verdict| Last::Change { verdict, score, again: true }));
                ends.push(Last::Change { verdict: Verdict::Failed, score, again: false });
            }
        }
        ends
    }

    /// What the engine makes of a try: the facts after it. A provider that gave nothing hands over to the next one.
    fn after(facts: &Facts, tier: Tier, reason: &Reason, last: Last) -> Facts {
        let mut next = Facts { tier, last, ..facts.clone() };
        if tier == Tier::Local {
            // Who does what was advised is not back where nobody had advised.
            if facts.tier == Tier::Advice {
                next.tier = Tier::Advice;
                if matches!(last, Last::Failed { .. } | Last::Overflow) {
                    next.last = Last::Unapplied;
                }
            }
            next.local_tries += 1;
            if let Last::Answer(score) = last {
                next.best_local = Some(score);
            }
            if let Last::Change { verdict: Verdict::Skipped, score, .. } = last {
                next.standing = Some(score);
            }
            return next;
        }
        next.escalated = Some(reason.clone());
        // What is applied from here on takes the place of the local change.
        if matches!(last, Last::Change { .. } | Last::Unapplied | Last::Advised) {
            next.standing = None;
        }
        if matches!(last, Last::Failed { .. } | Last::Overflow) {
            next.cloud = match facts.cloud {
                Cloud::Open(Provider::Claude) => Cloud::Open(Provider::Codex),
                Cloud::Open(_) | Cloud::Refused(_) | Cloud::Unknown => Cloud::Refused(Refusal::NoProvider),
            };
        }
        // Advice that nobody gave leaves the run where it was.
        if tier == Tier::Advice && matches!(last, Last::Failed { .. }) {
            (next.tier, next.escalated, next.last) = (facts.tier, facts.escalated.clone(), facts.last);
        }
        next
    }

    /// Follows `decide` to every end and returns (ends seen, whether a cloud try happened). `cloud`: what a look finds.
    fn walk(policy: &Policy, facts: &Facts, cloud: Cloud, depth: u32) -> (u64, bool) {
        assert!(depth < 12, "does not end: {facts:#?}");
        match decide(policy, facts) {
            Decision::Look => {
                assert_eq!(facts.cloud, Cloud::Unknown, "looked at what is known: {facts:#?}");
                walk(policy, &Facts { cloud, ..facts.clone() }, cloud, depth + 1)
            }
            Decision::Accept { .. } => {
                assert!(!matches!(facts.last, Last::Nothing), "accepted without a try: {facts:#?}");
                let red = matches!(facts.last, Last::Change { verdict: Verdict::Failed, .. });
                assert!(!red, "accepted red tests: {facts:#?}");
                (1, false)
            }
            Decision::GiveUp { .. } => {
                let green = matches!(facts.last, Last::Change { verdict: Verdict::Passed, .. });
                assert!(!green, "gave up on green tests: {facts:#?}");
                (1, false)
            }
            Decision::AskHands { .. } => {
                assert_eq!((policy.hands, facts.hands_answer), (Hands::Ask, None), "{facts:#?}");
                let yes = walk(policy, &Facts { hands_answer: Some(true), ..facts.clone() }, cloud, depth + 1);
                let no = walk(policy, &Facts { hands_answer: Some(false), ..facts.clone() }, cloud, depth + 1);
                (yes.0 + no.0, yes.1 || no.1)
            }
            Decision::Try { tier, reason } => {
                if tier == Tier::Local {
                    assert!(facts.local_up && facts.local_tries < policy.max_local_tries, "{facts:#?}");
                } else {
                    assert!(matches!(facts.cloud, Cloud::Open(_)), "tried a refused provider: {facts:#?}");
                    assert_ne!(facts.asked, Asked::Local, "left local against the user's word: {facts:#?}");
                    let evidence = !matches!(facts.last, Last::Nothing) || reason != Reason::VerifyFailed;
                    assert!(evidence && tier >= facts.tier, "advanced without evidence: {facts:#?}");
                    let known = policy.hands == Hands::Allowed || facts.hands_answer == Some(true);
                    let free = matches!(reason, Reason::LocalDown | Reason::Requested);
                    assert!(tier != Tier::Hands || known || free, "wrote without permission: {facts:#?}");
                }
                let mut seen = (0, tier != Tier::Local);
                let is_of_advice = tier == Tier::Advice || facts.tier == Tier::Advice;
                let unapplied = [Last::Unapplied, Last::Advised].into_iter().filter(|_| is_of_advice);
                for last in ends(facts.kind).into_iter().chain(unapplied) {
                    let (ends, left) = walk(policy, &after(facts, tier, &reason, last), cloud, depth + 1);
                    seen = (seen.0 + ends, seen.1 || left);
                }
                seen
            }
        }
    }

    const LATE: Option<Late> = Some(Late { least_ms: 2000, left_ms: 1000 });

    #[test]
    fn a_try_that_cannot_end_in_time_is_left_to_who_may_do_it() {
        let policy = policy();
        let late = |facts: Facts| Facts { cloud: OPEN, late: LATE, ..facts };
        check(&policy, &late(facts(Kind::Answer)), "try CloudAnswer for local_failed:timeout");
        check(&policy, &late(facts(Kind::Change)), "try Advice for local_failed:timeout");
        check(&policy, &late(changed(Verdict::Failed, SURE, 1)), "try Advice for verify_failed");
        let unknown = Facts { cloud: Cloud::Unknown, ..late(facts(Kind::Answer)) };
        assert_eq!(decide(&policy, &unknown), Decision::Look);
        // What a prediction does not do: end a run, overrule the user, take back what is done.
        let nobody = Facts { cloud: Cloud::Refused(Refusal::NoProvider), ..late(facts(Kind::Answer)) };
        check(&policy, &nobody, "try local");
        check(&policy, &late(Facts { asked: Asked::Local, ..facts(Kind::Answer) }), "try local");
        check(&Policy { prefer_local: true, ..policy.clone() }, &late(facts(Kind::Answer)), "try local");
        check(&policy, &late(answered(SURE)), "accept confident");
        let stays = Policy { on_verification_failures: false, ..policy.clone() };
        check(&stays, &late(changed(Verdict::Failed, SURE, 1)), "try local");
        let in_time = Some(Late { least_ms: 1000, left_ms: 1000 });
        check(&policy, &Facts { cloud: OPEN, late: in_time, ..facts(Kind::Answer) }, "try local");
    }

    #[test]
    fn every_walk_ends_and_what_may_escalate_can() {
        let risky = || vec!["security".to_string()];
        let mut total = 0;
        for kind in [Kind::Answer, Kind::Change] {
            for hands in [Hands::Allowed, Hands::Ask, Hands::Never] {
                for prefer_local in [false, true] {
                    for asked in [Asked::Auto, Asked::Local, Asked::Cloud, Asked::Gemini] {
                        for local_up in [true, false] {
                            for cloud in [OPEN, Cloud::Refused(Refusal::Budget)] {
                                for (risk_words, late) in [(vec![], None), (risky(), None), (vec![], LATE)] {
                                    let policy = Policy { prefer_local, hands, max_local_tries: 3, ..policy() };
                                    let start = Facts { asked, local_up, risk_words, cloud, late, ..facts(kind) };
                                    let (ends, escalated) = walk(&policy, &start, cloud, 0);
                                    let may = cloud == OPEN && asked != Asked::Local;
                                    assert_eq!(escalated, may, "{policy:?} {start:#?}");
                                    let start = Facts { cloud: Cloud::Unknown, ..start };
                                    let looked_late = walk(&policy, &start, cloud, 0);
                                    assert_eq!(looked_late, (ends, escalated), "a late look: {policy:?} {start:#?}");
                                    total += ends;
                                }
                            }
                        }
                    }
                }
            }
        }
        assert!(total > 1000, "walked only {total} ends");
    }

    #[test]
    fn recorded_facts_decide_the_same_again() {
        let facts = Facts { cloud: OPEN, ..changed(Verdict::Failed, POOR, 2) };
        let (policy, facts) = (policy(), facts);
        let again: Policy = from_json::read(&serde_json::to_vec(&policy).unwrap()).unwrap();
        let read: Facts = from_json::read(&serde_json::to_vec(&facts).unwrap()).unwrap();
        assert_eq!((&again, &read), (&policy, &facts));
        assert_eq!(decide(&again, &read), decide(&policy, &facts));
    }
}
