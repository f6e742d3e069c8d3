//! What other settings would have made of the runs in the ledger: each recorded decision is made again, until one takes
//! another course. Pure. **It does not guess:** what a try that was never made would have given is `unknown`, and so is
//! whether a task without its text holds a new risk word.

use crate::rules::intent;
use crate::rules::policy::decide;
use crate::rules::sorted::sorted;
use crate::rules::threshold::Leaves;
use crate::rules::why;
use crate::words::record::RunRecord;
use crate::words::task::{Attempt, Decision, Facts, Failure, Kind, Last, Policy, Route, Score, Tier, Verdict};

/// Other settings; `None` leaves one as it was recorded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change<'a> {
    pub threshold: Option<f64>,
    pub max_attempts: Option<u32>,
    /// The words that escalate.
    pub keywords: Option<&'a [String]>,
    /// The words of today's configuration, which the records are taken to have been made with.
    pub known_keywords: &'a [String],
}

/// Where a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Local,
    Cloud,
    None,
    Unknown,
}

/// How a run goes with other settings.
pub struct Fate {
    pub end: End,
    /// The decision that takes another course, and the local tries before it; absent when none does.
    pub turn: Option<(Turn, u32)>,
}

/// Where another course is taken.
pub enum Turn {
    Decision(Decision),
    /// Why nobody knows.
    Unknown(&'static str),
}

/// A record with its decisions.
pub struct Past<'r> {
    pub record: &'r RunRecord,
    policy: &'r Policy,
    /// What was known at each decision, and what was decided; or why nobody can say.
    trail: Result<Vec<(Facts, Decision)>, &'static str>,
}

/// Returns how the threshold decides whether a run leaves for the cloud; `None` where nobody can say.
pub fn leaves(record: &RunRecord) -> Option<Leaves> {
    const SAME: Change<'_> = Change { threshold: None, max_attempts: None, keywords: None, known_keywords: &[] };
    let at = |threshold| Change { threshold: Some(threshold), ..SAME };
    let past = Past::of(record, false)?;
    let is_away = |threshold: f64| match past.fate(&at(threshold)).end {
        End::Cloud => Some(true),
        End::Local | End::None => Some(false),
        End::Unknown => None,
    };
    if is_away(0.0)? {
        return Some(Leaves::Always);
    }
    // The least that is above a score; a policy asks whether the score is below the threshold.
    let beyond = |score: f64| f64::from_bits(score.max(0.0).to_bits() + 1);
    for score in past.scores() {
        if is_away(beyond(score))? {
            return Some(Leaves::Above(score));
        }
    }
    Some(Leaves::Never)
}

impl<'r> Past<'r> {
    /// Makes the decisions of a run again as they were; `None` for a record that no policy decided. `is_plain`: nothing else
    /// is asked than whether they are made again.
    pub fn of(record: &'r RunRecord, is_plain: bool) -> Option<Past<'r>> {
        let (last, policy) = (record.facts.as_ref()?, record.policy.as_ref()?);
        let trail = if is_plain {
            if why::replays(record)? { Ok(Vec::new()) } else { Err("this version decides otherwise") }
        } else if last.escalated.is_some() && record.escalations.is_empty() {
            Err("the record does not hold what was known when it left")
        } else {
            let decided = |facts: Facts| {
                let decision = decide(policy, &facts);
                (facts, decision)
            };
            Ok(trail(record, policy, last).into_iter().map(decided).collect())
        };
        Some(Past { record, policy, trail })
    }

    /// Makes them with other settings, until one takes another course.
    pub fn fate(&self, change: &Change<'_>) -> Fate {
        let unknown = |why, tries| Fate { end: End::Unknown, turn: Some((Turn::Unknown(why), tries)) };
        let trail = match &self.trail {
            Ok(trail) => trail,
            Err(why) => return unknown(*why, 0),
        };
        let new = changed(self.policy, self.record.kind, change);
        for (facts, old) in trail {
            let (then, is_sure) = again(&new, facts, self.record, change);
            if !is_sure {
                return unknown("its text is not in the ledger, and may hold a new risk word", facts.local_tries);
            }
            if !why::is_same_course(&then, old) {
                return Fate { end: end(&then), turn: Some((Turn::Decision(then), facts.local_tries)) };
            }
        }
        Fate { end: self.end(), turn: None }
    }

    /// Where it ended.
    pub fn end(&self) -> End {
        match self.record.route {
            Route::Local => End::Local,
            Route::None => End::None,
            Route::Claude | Route::Codex | Route::Gemini | Route::Declared(_) => End::Cloud,
        }
    }

    /// The scores that a threshold may be held against, in ascending order.
    pub fn scores(&self) -> Vec<f64> {
        let facts = self.trail.iter().flatten().map(|(facts, _)| facts);
        let scores = facts.flat_map(|facts| {
            let last = match facts.last {
                Last::Answer(score) | Last::Change { verdict: Verdict::Skipped, score, .. } => Some(score),
                Last::Nothing
                | Last::Change { .. }
                | Last::Failed { .. }
                | Last::Overflow
                | Last::Unapplied
                | Last::Advised => None,
            };
            [last, facts.best_local, facts.standing]
        });
        let bits = sorted(scores.flatten().map(|score| score.value.max(0.0).to_bits()).collect());
        bits.into_iter().map(f64::from_bits).collect()
    }
}

impl Change<'_> {
    /// Whether anything is other than it was.
    pub fn is_any(&self) -> bool {
        self.threshold.is_some() || self.max_attempts.is_some() || self.keywords.is_some()
    }
}

fn changed(policy: &Policy, kind: Kind, change: &Change<'_>) -> Policy {
    let tries = change.max_attempts.filter(|_| kind == Kind::Change).unwrap_or(policy.max_local_tries);
    Policy { threshold: change.threshold.unwrap_or(policy.threshold), max_local_tries: tries, ..policy.clone() }
}

/// Decides with the new settings; says too whether the record holds enough to know.
fn again(new: &Policy, facts: &Facts, record: &RunRecord, change: &Change<'_>) -> (Decision, bool) {
    let Some(words) = change.keywords else { return (decide(new, facts), true) };
    let with = |risk_words: Vec<String>| decide(new, &Facts { risk_words, ..facts.clone() });
    if let Some(task) = &record.task {
        return (with(intent::read(task, words).risk_words), true);
    }
    let kept: Vec<String> = facts.risk_words.iter().filter(|word| words.contains(word)).cloned().collect();
    let then = with(kept.clone());
    let unseen: Vec<String> = words.iter().filter(|word| !change.known_keywords.contains(word)).cloned().collect();
    let worst = with(kept.into_iter().chain(unseen).collect());
    let is_sure = why::is_same_course(&worst, &then);
    (then, is_sure)
}

/// Where a decision that takes another course leads, as far as that is known.
fn end(then: &Decision) -> End {
    match then {
        // Another local try, or a person's answer, was never had.
        Decision::Try { tier: Tier::Local, .. } | Decision::AskHands { .. } => End::Unknown,
        Decision::Try { tier: Tier::CloudAnswer | Tier::Advice | Tier::Hands, .. } | Decision::Look => End::Cloud,
        Decision::Accept { .. } => End::Local,
        Decision::GiveUp { .. } => End::None,
    }
}

/// What was known at each decision of a run: the recorded ones, and between them those after each local try, which the
/// tries tell.
fn trail(record: &RunRecord, policy: &Policy, last: &Facts) -> Vec<Facts> {
    let steps = why::steps(policy, &record.escalations, last);
    let mut trail: Vec<Facts> = steps.into_iter().map(|step| step.facts).collect();
    let Some(first_known) = trail.get(1).cloned() else { return trail };
    let local = record.attempts.iter().take_while(|attempt| attempt.route == Route::Local);
    let between = (1..first_known.local_tries).zip(local).map(|(local_tries, attempt)| Facts {
        local_tries,
        last: ended(attempt),
        best_local: None,
        standing: None,
        stopped: None,
        late: None,
        ..first_known.clone()
    });
    let between: Vec<Facts> = between.collect();
    trail.splice(1..1, between);
    trail
}

/// How a try ended that another one came after.
fn ended(attempt: &Attempt) -> Last {
    let score = Score { value: attempt.confidence.unwrap_or(0.5), weak: true };
    match &attempt.failure {
        Some(Failure::ContextOverflow { .. }) => Last::Overflow,
        Some(failure) => Last::Failed { class: failure.class(), again: true },
        None => Last::Change { verdict: attempt.verdict.unwrap_or(Verdict::Failed), score, again: true },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::replayed::{Row, row};
    use crate::rules::why::tests::recorded;

    const SAME: Change<'static> = Change { threshold: None, max_attempts: None, keywords: None, known_keywords: &[] };

    fn replay(record: &RunRecord, change: &Change<'_>) -> Row {
        let past = Past::of(record, !change.is_any()).unwrap();
        row(record, &past.fate(change))
    }

    /// `was -> would_be: then` of a scenario's only run.
    #[track_caller]
    fn check(folder: &str, change: &Change<'_>, expected: &str) {
        let records = recorded();
        let (_, record) = records.iter().find(|(name, _)| name.starts_with(folder)).unwrap();
        let row = replay(record, change);
        let then = row.then.map(|then| format!(": {then}")).unwrap_or_default();
        assert_eq!(format!("{} -> {}{then}", row.was, row.would_be), expected, "{folder}");
    }

    #[test]
    fn settings_that_a_run_had_anyway_change_nothing() {
        for (name, record) in recorded() {
            let Some(policy) = &record.policy else { continue };
            let max_attempts = Some(policy.max_local_tries).filter(|_| record.kind == Kind::Change);
            let change = Change { threshold: Some(policy.threshold), max_attempts, ..SAME };
            let row = replay(&record, &change);
            assert_eq!((row.then, row.would_be), (None, row.was), "{name}");
        }
    }

    #[test]
    fn a_threshold_moves_answers_and_unchecked_changes() {
        let at = |threshold| Change { threshold: Some(threshold), ..SAME };
        check("003", &at(0.7), "local -> local");
        check("003", &at(0.8), "local -> cloud: mux looks for a cloud CLI");
        check("018", &at(0.9), "local -> cloud: mux looks for a cloud CLI");
        check("004", &at(1.0), "local -> local");
        check("115", &at(0.5), "local -> local: the result is accepted (unverified)");
    }

    #[test]
    fn fewer_tries_end_earlier_and_more_are_unknown() {
        let at = |tries| Change { max_attempts: Some(tries), ..SAME };
        check("008", &at(2), "local -> local");
        check("008", &at(1), "local -> cloud: mux looks for a cloud CLI");
        check("009", &at(1), "none -> none: no result (verify_failed, refused: no_provider)");
        check("009", &at(3), "none -> unknown: the local model tries");
        check("100", &at(2), "local -> unknown: the local model tries");
        check("003", &at(1), "local -> local");
    }

    #[test]
    fn keywords_are_told_from_the_record_or_not_at_all() {
        let known = ["architecture".to_string(), "concurrency".to_string()];
        let words = |words: &'static str| words.split(' ').map(str::to_string).collect::<Vec<String>>();
        let (fewer, more) = (words("concurrency"), words("architecture concurrency stash"));
        let with = |keywords| Change { keywords: Some(keywords), known_keywords: &known, ..SAME };
        check("101", &with(&known), "claude -> claude");
        check("101", &with(&fewer), "claude -> unknown: the local model tries");
        check("101", &with(&more), "claude -> claude");
        let unseen = "local -> unknown: its text is not in the ledger, and may hold a new risk word";
        check("003", &with(&more), unseen);
        check("004", &with(&more), "local -> local");
        let records = recorded();
        let (_, record) = records.iter().find(|(name, _)| name.starts_with("003")).unwrap();
        let told = |task: &str| RunRecord { task: Some(task.to_string()), ..record.clone() };
        let row = replay(&told("what does git stash do?"), &with(&more));
        assert_eq!(row.would_be, "cloud");
        let row = replay(&told("what does git rebase do?"), &with(&more));
        assert_eq!(row.would_be, "local");
    }

    #[test]
    fn the_threshold_that_makes_a_run_leave_is_found() {
        let records = recorded();
        let of = |folder: &str| {
            let (_, record) = records.iter().find(|(name, _)| name.starts_with(folder)).unwrap();
            leaves(record)
        };
        let score = |folder: &str| {
            let (_, record) = records.iter().find(|(name, _)| name.starts_with(folder)).unwrap();
            record.confidence.unwrap()
        };
        assert_eq!(of("003"), Some(Leaves::Above(score("003"))));
        assert_eq!(of("004"), Some(Leaves::Never), "tests have proved it");
        assert_eq!(of("101"), Some(Leaves::Always), "a risk word");
        assert_eq!(of("036"), Some(Leaves::Never), "nobody could take it");
        for (name, record) in &records {
            let Some(leaves) = leaves(record) else { continue };
            let policy = record.policy.as_ref().unwrap();
            let away = !matches!(record.route, Route::Local | Route::None);
            assert_eq!(leaves.at(policy.threshold), away, "{name}: {leaves:?}");
        }
    }
}
