//! Why a run went where it went: its decisions, made again from what was recorded, and the single changes of a setting or
//! a fact that would have turned one of them. Pure; it knows the rules only through `decide`.

use crate::rules::policy::{decide, own_tries};
use crate::words::record::{Overruled, RunRecord};
use crate::words::task::{
    Asked, Cloud, Decision, Facts, Hands, Kind, Last, Policy, Provider, Reason, Refusal, Route, Score, Tier, Verdict,
};
use serde::Serialize;

/// A decision that decides again what it decided then.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub facts: Facts,
    pub decision: Decision,
}

/// A single change that would have turned a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flip {
    /// Which of the steps, from 1.
    pub step: usize,
    pub change: String,
    /// What would have come next.
    pub then: String,
}

/// Returns the decisions that a route came from: the first one, each step away from the local model, the last one. Local
/// tries in between are the path; of a record older than `escalations`, the steps away are not known.
pub fn steps(policy: &Policy, escalations: &[Facts], last: &Facts) -> Vec<Step> {
    let known: Vec<&Facts> = escalations.iter().chain([last]).collect();
    let earliest = known.first().copied().unwrap_or(last);
    let mut all: Vec<Facts> = known.iter().map(|facts| (*facts).clone()).collect();
    if earliest.local_tries > 0 {
        all.insert(0, opening(earliest));
    }
    all.dedup();
    all.into_iter().map(|facts| Step { decision: decide(policy, &facts), facts }).collect()
}

/// What was known before the first try.
fn opening(facts: &Facts) -> Facts {
    Facts {
        local_tries: 0,
        tier: Tier::Local,
        escalated: None,
        last: Last::Nothing,
        best_local: None,
        standing: None,
        hands_answer: None,
        stopped: None,
        // The first try was made, so it was not known to be hopeless.
        late: None,
        ..facts.clone()
    }
}

/// Whether the last facts of a run give its own route, reason and refusal again; `None` for a record that no policy
/// decided. What a review or a disk took back afterwards is in the record too, and has to say so.
pub fn replays(record: &RunRecord) -> Option<bool> {
    let (facts, policy) = (record.facts.as_ref()?, record.policy.as_ref()?);
    let failed = record.route == Route::None;
    Some(match (record.overruled, decide(policy, facts)) {
        (Some(Overruled::Review), _) => failed && record.reason == Reason::VerifyFailed,
        (Some(Overruled::Disk), _) => failed && matches!(record.reason, Reason::LocalFailed(_)),
        (None, Decision::Accept { reason, wanted, refused }) => {
            let told = (&record.reason, &record.wanted, record.refused) == (&reason, &wanted, refused);
            told && is_route(record, facts)
        }
        (None, Decision::GiveUp { reason, refused }) => failed && record.reason == reason && record.refused == refused,
        (None, Decision::Try { .. } | Decision::Look | Decision::AskHands { .. }) => false,
    })
}

/// Whether a result that was accepted with these facts came by the route of the record.
fn is_route(record: &RunRecord, facts: &Facts) -> bool {
    let usable = matches!(facts.last, Last::Answer(_) | Last::Change { .. });
    match facts.tier {
        Tier::CloudAnswer | Tier::Hands if usable => {
            let by = record.attempts.iter().any(|attempt| attempt.route == record.route);
            by && !matches!(record.route, Route::Local | Route::None)
        }
        Tier::Local | Tier::Advice | Tier::CloudAnswer | Tier::Hands => record.route == Route::Local,
    }
}

/// Returns the changes that would have turned a step, in the order of the steps. A change is named once: where it turns
/// the first step, the later ones would not have been reached.
pub fn flips(policy: &Policy, steps: &[Step]) -> Vec<Flip> {
    let mut flips: Vec<Flip> = Vec::new();
    for (number, step) in (1..).zip(steps) {
        for what_if in changes(policy, &step.facts) {
            let decision = decide(&what_if.policy, &what_if.facts);
            if is_same_course(&decision, &step.decision) || flips.iter().any(|flip| flip.change == what_if.change) {
                continue;
            }
            let then = foretell(&what_if, &decision);
            flips.push(Flip { step: number, change: what_if.change, then });
        }
    }
    flips
}

/// Whether two decisions lead to the same next step. A reason alone is no other course, but for the mark of a local
/// answer that is below the threshold: it is exit code 1.
pub fn is_same_course(one: &Decision, two: &Decision) -> bool {
    let tier = |decision: &Decision| match decision {
        Decision::Try { tier, .. } => Some(*tier),
        Decision::Look | Decision::AskHands { .. } | Decision::Accept { .. } | Decision::GiveUp { .. } => None,
    };
    let is_marked = |decision: &Decision| match decision {
        Decision::Accept { reason, .. } => *reason == Reason::LowConfidence,
        Decision::Try { .. } | Decision::Look | Decision::AskHands { .. } | Decision::GiveUp { .. } => false,
    };
    std::mem::discriminant(one) == std::mem::discriminant(two)
        && tier(one) == tier(two)
        && is_marked(one) == is_marked(two)
}

/// Says what a changed decision leads to. Where nobody has looked for a cloud CLI, one is assumed, and that is said.
fn foretell(what_if: &WhatIf, decision: &Decision) -> String {
    if *decision != Decision::Look {
        return spell(decision);
    }
    let facts = Facts { cloud: Cloud::Open(Provider::Claude), ..what_if.facts.clone() };
    format!("{}, if one can be called", spell(&decide(&what_if.policy, &facts)))
}

/// Spells a decision for people.
pub fn spell(decision: &Decision) -> String {
    let although = |wanted: &Option<Reason>, refused: Option<Refusal>| {
        let wanted = wanted.as_ref().map(|reason| format!(", although {reason} called for a cloud CLI"));
        wanted.unwrap_or_default() + &refused.map(|why| format!(", refused: {}", why.name())).unwrap_or_default()
    };
    match decision {
        Decision::Try { tier: Tier::Local, .. } => "the local model tries".to_string(),
        Decision::Try { tier: Tier::CloudAnswer, reason } => format!("a cloud CLI answers ({reason})"),
        Decision::Try { tier: Tier::Advice, reason } => format!("a cloud CLI advises ({reason})"),
        Decision::Try { tier: Tier::Hands, reason } => format!("a cloud CLI writes ({reason})"),
        Decision::Look => "mux looks for a cloud CLI".to_string(),
        Decision::AskHands { .. } => "mux asks whether a cloud CLI may write".to_string(),
        Decision::Accept { reason, wanted, refused } => {
            format!("the result is accepted ({reason}{})", although(wanted, *refused))
        }
        Decision::GiveUp { reason, refused } => format!("no result ({reason}{})", although(&None, *refused)),
    }
}

/// One change, and the policy and the facts with it.
struct WhatIf {
    change: String,
    policy: Policy,
    facts: Facts,
}

/// Returns every single change that is tried, those of settings first.
fn changes(policy: &Policy, facts: &Facts) -> Vec<WhatIf> {
    let with_policy = |(change, policy)| WhatIf { change, policy, facts: facts.clone() };
    let with_facts = |(change, facts)| WhatIf { change, policy: policy.clone(), facts };
    let settings = of_numbers(policy, facts).into_iter().chain(of_switches(policy)).map(with_policy);
    settings.chain(of_facts(facts).into_iter().map(with_facts)).collect()
}

/// Thresholds and counts, moved as little as it takes.
fn of_numbers(policy: &Policy, facts: &Facts) -> Vec<(String, Policy)> {
    let mut all = Vec::new();
    if let Some(Score { value, .. }) = judged(facts) {
        // Beyond the score as it is shown, so that the two can be told apart.
        let (threshold, side) = if value < policy.threshold {
            ((value * 1000.0).floor() / 1000.0, "below")
        } else {
            (((value * 1000.0).round() / 1000.0 + 0.001).min(1.0), "above")
        };
        let change = format!("`router.local_confidence_threshold` at {threshold:.3} or {side}");
        all.push((change, Policy { threshold, ..policy.clone() }));
    }
    let hits = u32::try_from(facts.risk_words.len()).unwrap_or(u32::MAX - 1);
    if hits > 0 {
        let is_complex = hits >= policy.complexity_threshold;
        let (complexity_threshold, side) = if is_complex { (hits + 1, "above") } else { (hits, "below") };
        let change = format!("`router.complexity_threshold` at {complexity_threshold} or {side}");
        all.push((change, Policy { complexity_threshold, ..policy.clone() }));
    }
    if facts.local_tries > 0 && facts.tier == Tier::Local {
        let had = facts.local_tries;
        let allows = |max_local_tries: u32| own_tries(&Policy { max_local_tries, ..policy.clone() }, facts);
        // The nearest count on the other side; one try of it may be kept for advice.
        let (tries, side) = if had >= allows(policy.max_local_tries) {
            (if allows(had + 1) > had { had + 1 } else { had + 2 }, "above")
        } else {
            (if allows(had + 1) > had { had } else { had + 1 }, "below")
        };
        let change = match facts.kind {
            Kind::Change => format!("`local_executor.max_attempts` at {tries} or {side}"),
            Kind::Answer | Kind::Undo => format!("`router.max_local_retries` at {} or {side}", tries - 1),
        };
        all.push((change, Policy { max_local_tries: tries, ..policy.clone() }));
    }
    all
}

/// The score that a threshold would be held against.
fn judged(facts: &Facts) -> Option<Score> {
    match facts.last {
        Last::Answer(score) | Last::Change { verdict: Verdict::Skipped, score, .. } => Some(score),
        Last::Nothing
        | Last::Change { .. }
        | Last::Failed { .. }
        | Last::Overflow
        | Last::Unapplied
        | Last::Advised => facts.best_local,
    }
}

fn of_switches(policy: &Policy) -> Vec<(String, Policy)> {
    let entry = |name: &str, is_on: bool| {
        format!("{} `{name}` in `router.escalate_on`", if is_on { "without" } else { "with" })
    };
    let (low, red, complex) = (policy.on_low_confidence, policy.on_verification_failures, policy.on_high_complexity);
    let may_write = policy.hands == Hands::Allowed;
    vec![
        (entry("low_confidence", low), Policy { on_low_confidence: !low, ..policy.clone() }),
        (entry("verification_failures", red), Policy { on_verification_failures: !red, ..policy.clone() }),
        (entry("high_complexity", complex), Policy { on_high_complexity: !complex, ..policy.clone() }),
        (
            format!("{} `--prefer-local`", if policy.prefer_local { "without" } else { "with" }),
            Policy { prefer_local: !policy.prefer_local, ..policy.clone() },
        ),
        (
            format!("`workflow.allow_sota_write_fallback: {}`", !may_write),
            Policy { hands: if may_write { Hands::Never } else { Hands::Allowed }, ..policy.clone() },
        ),
    ]
}

fn of_facts(facts: &Facts) -> Vec<(String, Facts)> {
    let mut all = Vec::new();
    if !facts.risk_words.is_empty() {
        let words: Vec<String> = facts.risk_words.iter().map(|word| format!("`{word}`")).collect();
        let change = format!("without {} in `router.complexity_keywords`", words.join(", "));
        all.push((change, Facts { risk_words: Vec::new(), ..facts.clone() }));
    }
    let route = match facts.asked {
        Asked::Auto => Asked::Local,
        Asked::Local | Asked::Cloud | Asked::Claude | Asked::Codex | Asked::Gemini | Asked::Declared(_) => Asked::Auto,
    };
    let change = format!("`--route {}`", if route == Asked::Auto { "auto" } else { "local" });
    all.push((change, Facts { asked: route, ..facts.clone() }));
    match facts.cloud {
        Cloud::Unknown => {}
        Cloud::Open(_) => {
            let cloud = Cloud::Refused(Refusal::LocalOnly);
            all.push(("`--local-only`".to_string(), Facts { cloud, ..facts.clone() }));
        }
        Cloud::Refused(why) => {
            let cloud = Cloud::Open(facts.asked.provider().unwrap_or(Provider::Claude));
            all.push((opened(why).to_string(), Facts { cloud, ..facts.clone() }));
        }
    }
    if !facts.local_up {
        all.push(("with a model server that is up".to_string(), Facts { local_up: true, ..facts.clone() }));
    }
    if facts.hands_answer == Some(false) {
        let change = "with a yes when you were asked whether the cloud CLI may write".to_string();
        all.push((change, Facts { hands_answer: Some(true), ..facts.clone() }));
    }
    if facts.late.is_some() {
        all.push(("with a later deadline, or a faster model".to_string(), Facts { late: None, ..facts.clone() }));
    }
    if let Some(why) = facts.stopped {
        let change = if why == Refusal::Deadline { "with a later deadline" } else { "without the stop" };
        all.push((change.to_string(), Facts { stopped: None, ..facts.clone() }));
    }
    all
}

/// What would have opened the cloud.
fn opened(why: Refusal) -> &'static str {
    match why {
        Refusal::LocalOnly => "without `--local-only`, `MUX_OFFLINE` and `privacy.local_only`",
        Refusal::Budget => "with something left of the budget",
        Refusal::Secret => "without the secret in what would have been sent",
        Refusal::Recursion => "outside of another mux",
        Refusal::NoProvider => "with a cloud CLI that can be called",
        Refusal::Scope => "with a cloud CLI that offers the wanted scope",
        Refusal::Deadline => "with a later deadline",
        Refusal::Canceled => "without the stop",
        Refusal::NoSnapshot => "in a git repository, where a provider's work can be taken back",
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::rules::recorded::read;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// The ledgers of all scenarios (`fixtures/run`), with their masks made numbers again.
    pub fn recorded() -> Vec<(String, RunRecord)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/run");
        let mut all = Vec::new();
        for entry in fs_err::read_dir(root).unwrap() {
            let folder = entry.unwrap();
            let Ok(text) = fs_err::read_to_string(folder.path().join("expected/ledger.jsonl")) else { continue };
            // What is recorded as `late` was more than what was left.
            let text = text.replace("\"least_ms\":\"{{n}}\"", "\"least_ms\":1");
            for line in text.replace("\"{{n}}\"", "0").lines() {
                let name = folder.file_name().into_string().unwrap();
                all.push((name.clone(), read(line).unwrap_or_else(|key| panic!("{name}: {key}"))));
            }
        }
        all
    }

    #[test]
    fn every_recorded_run_replays_to_its_own_route() {
        let (mut replayed, mut reasons) = (0, BTreeSet::new());
        for (name, record) in recorded() {
            match replays(&record) {
                Some(agrees) => {
                    assert!(agrees, "{name}: {record:#?}");
                    replayed += 1;
                    reasons.insert((
                        record.route.name().to_string(),
                        record.reason.to_string(),
                        record.refused.is_some(),
                    ));
                }
                None => assert_eq!(record.kind, Kind::Undo, "{name}"),
            }
        }
        assert!(replayed >= 60 && reasons.len() >= 19, "{replayed} runs, {reasons:?}");
    }

    #[test]
    fn a_record_that_was_tampered_with_does_not_replay() {
        let mut n_tampered = 0;
        for (name, record) in recorded().into_iter().filter(|(_, record)| record.facts.is_some()) {
            let route = if record.route == Route::Local { Route::None } else { Route::Local };
            assert_eq!(replays(&RunRecord { route, ..record.clone() }), Some(false), "{name}");
            let reason = Reason::Complexity("nothing".to_string());
            assert_eq!(replays(&RunRecord { reason, ..record.clone() }), Some(false), "{name}");
            if record.overruled.is_none() {
                let refused = if record.refused.is_some() { None } else { Some(Refusal::Canceled) };
                assert_eq!(replays(&RunRecord { refused, ..record }), Some(false), "{name}");
            }
            n_tampered += 1;
        }
        assert!(n_tampered >= 60);
    }

    #[test]
    fn each_recorded_step_leads_to_the_next() {
        for (name, record) in recorded() {
            let (Some(facts), Some(policy)) = (&record.facts, &record.policy) else { continue };
            let steps = steps(policy, &record.escalations, facts);
            let away = |step: &&Step| matches!(step.decision, Decision::Try { tier, .. } if tier != Tier::Local);
            assert_eq!(steps.iter().filter(away).count(), record.escalations.len(), "{name}: {steps:#?}");
            let last = steps.last().map(|step| &step.decision);
            let is_end = matches!(last, Some(Decision::Accept { .. } | Decision::GiveUp { .. }));
            assert!(is_end || record.overruled.is_some(), "{name}: {last:?}");
            // A change that is named turns what it says it turns.
            for flip in flips(policy, &steps) {
                assert!((1..=steps.len()).contains(&flip.step) && !flip.then.contains("looks for"), "{name}: {flip:?}");
            }
        }
    }

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

    fn facts(kind: Kind, last: Last) -> Facts {
        Facts {
            kind,
            asked: Asked::Auto,
            local_up: true,
            risk_words: Vec::new(),
            local_tries: u32::from(last != Last::Nothing),
            tier: Tier::Local,
            escalated: None,
            last,
            best_local: None,
            standing: None,
            cloud: Cloud::Unknown,
            hands_answer: None,
            stopped: None,
            late: None,
        }
    }

    /// Compares the flips of a run that ended with these facts: `step change: then`, one a line.
    #[track_caller]
    fn check(policy: &Policy, last: &Facts, expected: &[&str]) {
        let flips = flips(policy, &steps(policy, &[], last));
        let lines: Vec<String> =
            flips.iter().map(|flip| format!("{} {}: {}", flip.step, flip.change, flip.then)).collect();
        assert_eq!(lines, expected, "{last:#?}");
    }

    #[test]
    fn a_proof_is_turned_by_nothing() {
        let score = Score { value: 0.3, weak: false };
        check(&policy(), &facts(Kind::Change, Last::Change { verdict: Verdict::Passed, score, again: false }), &[]);
    }

    #[test]
    fn the_nearest_threshold_is_named() {
        let answer = |value| {
            let score = Score { value, weak: false };
            Facts { best_local: Some(score), ..facts(Kind::Answer, Last::Answer(score)) }
        };
        let away = "a cloud CLI answers (low_confidence), if one can be called";
        let above = |threshold: &str| format!("2 `router.local_confidence_threshold` at {threshold} or above: {away}");
        check(&policy(), &answer(0.714_181), &[&above("0.715")]);
        check(&policy(), &answer(0.57 + 0.1), &[&above("0.671")]);
        check(&policy(), &answer(0.9999), &[&above("1.000")]);
        check(&policy(), &answer(1.0), &[]);
        let low = Facts { cloud: Cloud::Refused(Refusal::NoProvider), ..answer(0.31) };
        check(
            &policy(),
            &low,
            &[
                "2 `router.local_confidence_threshold` at 0.310 or below: the result is accepted (confident)",
                "2 without `low_confidence` in `router.escalate_on`: the result is accepted (unverified)",
                "2 with `--prefer-local`: the result is accepted (unverified)",
                "2 `--route local`: the result is accepted (requested)",
                "2 with a cloud CLI that can be called: a cloud CLI answers (low_confidence)",
            ],
        );
    }

    #[test]
    fn a_risk_word_turns_the_first_step() {
        let risky = Facts {
            risk_words: vec!["security".into()],
            cloud: Cloud::Refused(Refusal::Budget),
            ..facts(Kind::Answer, Last::Nothing)
        };
        let steps = steps(&policy(), &[], &risky);
        assert_eq!(steps.len(), 1);
        check(&policy(), &risky, &["1 with something left of the budget: a cloud CLI answers (complexity:security)"]);
        let went = Facts { cloud: Cloud::Open(Provider::Claude), ..risky };
        check(
            &policy(),
            &went,
            &[
                "1 `router.complexity_threshold` at 2 or above: the local model tries",
                "1 without `high_complexity` in `router.escalate_on`: the local model tries",
                "1 with `--prefer-local`: the local model tries",
                "1 without `security` in `router.complexity_keywords`: the local model tries",
                "1 `--route local`: the local model tries",
                "1 `--local-only`: the local model tries",
            ],
        );
    }

    #[test]
    fn tries_and_permission_turn_a_change_that_stayed_red() {
        let score = Score { value: 0.5, weak: false };
        let last = Last::Change { verdict: Verdict::Failed, score, again: true };
        let cloud = Cloud::Open(Provider::Codex);
        let spent = Facts { local_tries: 2, cloud, ..facts(Kind::Change, last) };
        let advised = Facts {
            tier: Tier::Advice,
            escalated: Some(Reason::VerifyFailed),
            last: Last::Change { verdict: Verdict::Failed, score, again: false },
            ..spent.clone()
        };
        let steps = steps(&policy(), std::slice::from_ref(&spent), &advised);
        let lines: Vec<String> = flips(&policy(), &steps)
            .iter()
            .map(|flip| format!("{} {}: {}", flip.step, flip.change, flip.then))
            .collect();
        assert_eq!(
            lines,
            [
                // Three would be two, and one that is kept for the advice.
                "2 `local_executor.max_attempts` at 4 or above: the local model tries",
                "2 without `verification_failures` in `router.escalate_on`: no result (verify_failed)",
                "2 `--route local`: no result (verify_failed)",
                "2 `--local-only`: no result (verify_failed, refused: local_only)",
                "3 `workflow.allow_sota_write_fallback: true`: a cloud CLI writes (verify_failed)",
            ]
        );
    }

    #[test]
    fn what_stood_in_the_way_is_named() {
        let down =
            Facts { local_up: false, cloud: Cloud::Refused(Refusal::LocalOnly), ..facts(Kind::Change, Last::Nothing) };
        check(
            &policy(),
            &down,
            &[
                "1 without `--local-only`, `MUX_OFFLINE` and `privacy.local_only`: a cloud CLI writes (local_down)",
                "1 with a model server that is up: the local model tries",
            ],
        );
        let late = Facts { stopped: Some(Refusal::Deadline), ..facts(Kind::Answer, Last::Nothing) };
        check(&policy(), &late, &["1 with a later deadline: the local model tries"]);
        let cloud = Cloud::Open(Provider::Claude);
        let forced = Facts { asked: Asked::Claude, cloud, ..facts(Kind::Answer, Last::Nothing) };
        check(
            &policy(),
            &forced,
            &[
                "1 `--route auto`: the local model tries",
                "1 `--local-only`: no result (requested, refused: local_only)",
            ],
        );
    }
}
