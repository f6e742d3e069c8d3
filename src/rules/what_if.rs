//! What other settings would have made of the runs in the ledger: each recorded decision is made again, until one takes
//! another course. Pure. **It does not guess:** what a try that was never made would have given is `unknown`, and so is
//! whether a task without its text holds a new risk word.

use crate::rules::intent;
use crate::rules::policy::decide;
use crate::rules::why;
use crate::words::record::{Overruled, RunRecord, SCHEMA};
use crate::words::task::{Attempt, Decision, Facts, Failure, Kind, Last, Policy, Route, Score, Tier, Verdict};
use serde::Serialize;

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

/// One run, as it was and as it would have been: the route, `cloud` for one that was not taken, or `unknown`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    pub run_id: String,
    pub was: String,
    pub would_be: String,
    /// What comes next at the decision that takes another course; absent when none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<String>,
}

/// What all rows come to. A share is of the runs whose end is known; null without any.
#[derive(Debug, PartialEq, Serialize)]
pub struct Report {
    pub runs: u64,
    /// Those that would have taken another course, and where to is known.
    pub changed: u64,
    /// Those whose end nobody knows.
    pub unknown: u64,
    /// Records that this version cannot read, or that do not hold what their run was decided by.
    pub unreadable: u64,
    pub cloud_share: Option<f64>,
    /// Locally verified ÷ all changes.
    pub verified_local_share: Option<f64>,
    /// Local results that would have been accepted, and that a review or an undo has taken back. Nobody knows of others.
    pub false_accepts: u64,
    pub rows: Vec<Row>,
}

/// Counts rows.
#[derive(Debug, Default)]
pub struct Counts {
    cloud: u64,
    known: u64,
    verified: u64,
    known_changes: u64,
    false_accepts: u64,
    unknown: u64,
    unreadable: u64,
    changed: u64,
    rows: Vec<Row>,
}

impl Counts {
    /// Adds a run, unless nothing can be said of it. `is_undone`: an undo took it back and stands.
    pub fn add(&mut self, record: Option<&RunRecord>, is_undone: bool, change: &Change<'_>) {
        let readable = record.filter(|record| record.schema <= SCHEMA);
        let Some((record, row)) = readable.and_then(|record| Some((record, replay(record, change)?))) else {
            self.unreadable += 1;
            return;
        };
        if row.would_be == UNKNOWN {
            self.unknown += 1;
            self.rows.push(row);
            return;
        }
        let is_local = row.would_be == Route::Local.name();
        let is_away = !is_local && row.would_be != Route::None.name();
        // The proof and the verdicts of the record are those of the result that it had.
        let is_same = row.then.is_none();
        self.known += 1;
        self.changed += u64::from(!is_same);
        self.cloud += u64::from(is_away);
        if record.kind == Kind::Change {
            self.known_changes += 1;
            self.verified += u64::from(is_local && is_same && record.verify_ok == Some(true));
        }
        // A forced review that nobody gave says nothing of the result.
        let is_bad = record.overruled == Some(Overruled::Review) && record.refused.is_none();
        let is_taken_back = is_bad || is_local && is_undone;
        self.false_accepts += u64::from(is_same && is_taken_back);
        self.rows.push(row);
    }

    pub fn report(self) -> Report {
        Report {
            runs: self.known + self.unknown,
            changed: self.changed,
            unknown: self.unknown,
            unreadable: self.unreadable,
            cloud_share: share(self.cloud, self.known),
            verified_local_share: share(self.verified, self.known_changes),
            false_accepts: self.false_accepts,
            rows: self.rows,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of runs are far below 2⁵³")]
fn share(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

const UNKNOWN: &str = "unknown";
const CLOUD: &str = "cloud";

/// Makes the decisions of a run again with other settings; `None` for a record that no policy decided.
fn replay(record: &RunRecord, change: &Change<'_>) -> Option<Row> {
    let (last, policy) = (record.facts.as_ref()?, record.policy.as_ref()?);
    let was = record.route.name().to_string();
    let row = |would_be: &str, then: Option<String>| {
        Some(Row { run_id: record.run_id.clone(), was: was.clone(), would_be: would_be.to_string(), then })
    };
    let is_changed = change.threshold.is_some() || change.max_attempts.is_some() || change.keywords.is_some();
    if !is_changed {
        return if why::replays(record)? {
            row(&was, None)
        } else {
            row(UNKNOWN, Some("this version decides otherwise".into()))
        };
    }
    if last.escalated.is_some() && record.escalations.is_empty() {
        return row(UNKNOWN, Some("the record does not hold what was known when it left".into()));
    }
    let new = changed(policy, record.kind, change);
    for facts in trail(record, policy, last) {
        let old = decide(policy, &facts);
        let (then, is_sure) = again(&new, &facts, record, change);
        if !is_sure {
            return row(UNKNOWN, Some("its text is not in the ledger, and may hold a new risk word".into()));
        }
        if !why::is_same_course(&then, &old) {
            return row(end(&then), Some(why::spell(&then)));
        }
    }
    row(&was, None)
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
fn end(then: &Decision) -> &'static str {
    match then {
        // Another local try, or a person's answer, was never had.
        Decision::Try { tier: Tier::Local, .. } | Decision::AskHands { .. } => UNKNOWN,
        Decision::Try { tier: Tier::CloudAnswer | Tier::Advice | Tier::Hands, .. } | Decision::Look => CLOUD,
        Decision::Accept { .. } => "local",
        Decision::GiveUp { .. } => "none",
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
    use crate::rules::why::tests::recorded;

    const SAME: Change<'static> = Change { threshold: None, max_attempts: None, keywords: None, known_keywords: &[] };

    fn report(change: &Change<'_>) -> Report {
        let mut counts = Counts::default();
        for (_, record) in recorded().iter().filter(|(_, record)| record.kind != Kind::Undo) {
            counts.add(Some(record), false, change);
        }
        counts.report()
    }

    /// `was -> would_be: then` of a scenario's only run.
    #[track_caller]
    fn check(folder: &str, change: &Change<'_>, expected: &str) {
        let records = recorded();
        let (_, record) = records.iter().find(|(name, _)| name.starts_with(folder)).unwrap();
        let row = replay(record, change).unwrap();
        let then = row.then.map(|then| format!(": {then}")).unwrap_or_default();
        assert_eq!(format!("{} -> {}{then}", row.was, row.would_be), expected, "{folder}");
    }

    #[test]
    fn no_change_changes_nothing() {
        let report = report(&SAME);
        assert!(report.runs >= 60, "{report:?}");
        assert_eq!((report.changed, report.unknown, report.unreadable), (0, 0, 0), "{report:?}");
        assert!(report.rows.iter().all(|row| row.was == row.would_be), "{report:?}");
    }

    #[test]
    fn settings_that_a_run_had_anyway_change_nothing() {
        for (name, record) in recorded() {
            let Some(policy) = &record.policy else { continue };
            let max_attempts = Some(policy.max_local_tries).filter(|_| record.kind == Kind::Change);
            let change = Change { threshold: Some(policy.threshold), max_attempts, ..SAME };
            let row = replay(&record, &change).unwrap();
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
        let (low, high) = (report(&at(0.0)), report(&at(1.0)));
        assert!(low.cloud_share < high.cloud_share, "{low:?} {high:?}");
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
        let row = replay(&told("what does git stash do?"), &with(&more)).unwrap();
        assert_eq!(row.would_be, CLOUD);
        let row = replay(&told("what does git rebase do?"), &with(&more)).unwrap();
        assert_eq!(row.would_be, "local");
    }

    #[test]
    fn what_was_taken_back_is_a_known_false_accept() {
        // Scenarios 122 and 127; the review of 123 was never given.
        assert_eq!(report(&SAME).false_accepts, 2);
        let records = recorded();
        let (_, record) = records.iter().find(|(name, _)| name.starts_with("018")).unwrap();
        let count = |is_undone, change: &Change<'_>| {
            let mut counts = Counts::default();
            counts.add(Some(record), is_undone, change);
            counts.report().false_accepts
        };
        assert_eq!((count(true, &SAME), count(false, &SAME)), (1, 0));
        assert_eq!(count(true, &Change { threshold: Some(0.9), ..SAME }), 0, "it would not have been accepted");
    }
}
