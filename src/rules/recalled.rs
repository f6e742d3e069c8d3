//! Records of the ledger as far as a replay needs them, by the thousand: a line is looked through once, and only what decides
//! is read. Pure. What a replay does not look at (names, texts, the environment of the run) is empty in these records; who
//! shows a record reads it whole.
//!
//! **Invariant:** a word of a later version is no record: what cannot be understood is not guessed.

use crate::rules::from_json::FromWord;
use crate::rules::members::Members;
use crate::words::record::{CloudUse, RunRecord, RuntimeStatus, Shadow};
use crate::words::task::{
    Asked, Attempt, Cloud, Facts, Failure, Hands, Kind, Last, Late, Phase, Policy, Provider, Reason, Refusal, Route,
    Score, Source, Tier, Verdict,
};

/// Reads lines. Most runs have the settings of the one before: they are read once.
#[derive(Default)]
pub struct Reader {
    policy: Option<(String, Policy)>,
}

impl Reader {
    /// Reads a line; `None` for what is no record, or not one of this version.
    pub fn read(&mut self, line: &str) -> Option<RunRecord> {
        // Compact and whole, as the ledger writes it.
        if !line.ends_with('}') {
            return None;
        }
        let mut record = nothing();
        for (key, value) in Members::of_object(line) {
            match key {
                "schema" => record.schema = value.parse().ok()?,
                "run_id" => record.run_id = word(value).to_string(),
                "undoes" => put(&mut record.undoes, value, |value| Some(word(value).to_string()))?,
                "timestamp" => record.timestamp = word(value).to_string(),
                "hook" => put(&mut record.hook, value, |value| Some(word(value).to_string()))?,
                "kind" => record.kind = named(value)?,
                "route" => record.route = named(value)?,
                "reason" => record.reason = reason(value)?,
                "wanted" => put(&mut record.wanted, value, reason)?,
                "refused" => put(&mut record.refused, value, named)?,
                "confidence" => put(&mut record.confidence, value, |value| value.parse().ok())?,
                "verify_ok" => put(&mut record.verify_ok, value, |value| value.parse().ok())?,
                "facts" => put(&mut record.facts, value, facts)?,
                "policy" => put(&mut record.policy, value, |value| self.policy(value))?,
                "escalations" => record.escalations = list(value, facts)?,
                "overruled" => put(&mut record.overruled, value, named)?,
                "shadow" => put(&mut record.shadow, value, shadow)?,
                "attempts" => record.attempts = list(value, attempt)?,
                "cloud" => record.cloud = cloud_use(value)?,
                "duration_ms" => record.duration_ms = value.parse().ok()?,
                "task" => put(&mut record.task, value, |value| serde_json::from_str(value).ok())?,
                _ => {} // what does not decide, or is of a later version
            }
        }
        (!record.run_id.is_empty()).then_some(record)
    }

    fn policy(&mut self, json: &str) -> Option<Policy> {
        if let Some((_, policy)) = self.policy.as_ref().filter(|(known, _)| known == json) {
            return Some(policy.clone());
        }
        let policy = policy(json)?;
        self.policy = Some((json.to_string(), policy.clone()));
        Some(policy)
    }
}

/// A value without its quotes; of what has escapes in it, what is no word of any vocabulary.
fn word(json: &str) -> &str {
    json.trim_matches('"')
}

/// A word of a vocabulary, as `recorded.rs` lists it.
fn named<T: FromWord>(json: &str) -> Option<T> {
    T::from_word(word(json))
}

/// Reads what may be `null`.
fn put<T>(slot: &mut Option<T>, json: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<()> {
    if json != "null" {
        *slot = Some(read(json)?);
    }
    Some(())
}

fn list<T>(json: &str, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    Members::of_list(json).map(|(_, item)| read(item)).collect()
}

fn reason(json: &str) -> Option<Reason> {
    // A risk word may hold anything.
    let text: String = if json.contains('\\') { serde_json::from_str(json).ok()? } else { word(json).to_string() };
    Reason::try_from(text).ok()
}

fn facts(json: &str) -> Option<Facts> {
    let mut facts = Facts {
        kind: Kind::Answer,
        asked: Asked::Auto,
        local_up: false,
        risk_words: Vec::new(),
        local_tries: 0,
        tier: Tier::Local,
        escalated: None,
        last: Last::Nothing,
        best_local: None,
        standing: None,
        cloud: Cloud::Unknown,
        hands_answer: None,
        stopped: None,
        late: None,
    };
    for (key, value) in Members::of_object(json) {
        match key {
            "kind" => facts.kind = named(value)?,
            "asked" => facts.asked = Asked::parse(word(value))?,
            "local_up" => facts.local_up = value.parse().ok()?,
            "risk_words" => facts.risk_words = list(value, |value| serde_json::from_str(value).ok())?,
            "local_tries" => facts.local_tries = value.parse().ok()?,
            "tier" => facts.tier = named(value)?,
            "escalated" => put(&mut facts.escalated, value, reason)?,
            "last" => facts.last = last(value)?,
            "best_local" => put(&mut facts.best_local, value, score)?,
            "standing" => put(&mut facts.standing, value, score)?,
            "cloud" => facts.cloud = cloud(value)?,
            "hands_answer" => put(&mut facts.hands_answer, value, |value| value.parse().ok())?,
            "stopped" => put(&mut facts.stopped, value, named)?,
            "late" => put(&mut facts.late, value, late)?,
            _ => return None, // a fact of a later version may decide
        }
    }
    Some(facts)
}

fn score(json: &str) -> Option<Score> {
    let mut score = Score { value: 0.0, weak: false };
    for (key, value) in Members::of_object(json) {
        match key {
            "value" => score.value = value.parse().ok()?,
            "weak" => score.weak = value.parse().ok()?,
            _ => return None, // of a later version
        }
    }
    Some(score)
}

fn late(json: &str) -> Option<Late> {
    let mut late = Late { least_ms: 0, left_ms: 0 };
    for (key, value) in Members::of_object(json) {
        match key {
            "least_ms" => late.least_ms = value.parse().ok()?,
            "left_ms" => late.left_ms = value.parse().ok()?,
            _ => return None, // of a later version
        }
    }
    Some(late)
}

fn last(json: &str) -> Option<Last> {
    match word(json) {
        "nothing" => return Some(Last::Nothing),
        "overflow" => return Some(Last::Overflow),
        "unapplied" => return Some(Last::Unapplied),
        _ => {} // an object
    }
    let (name, value) = Members::of_object(json).next()?;
    let (mut found, mut of, mut is_again, mut class_of) = (Verdict::Failed, None, false, None);
    for (key, value) in Members::of_object(value) {
        match key {
            "verdict" => found = named(value)?,
            "score" => of = Some(score(value)?),
            "again" => is_again = value.parse().ok()?,
            "class" => class_of = Some(named(value)?),
            _ => {} // those of a score
        }
    }
    match name {
        "answer" => score(value).map(Last::Answer),
        "change" => Some(Last::Change { verdict: found, score: of?, again: is_again }),
        "failed" => Some(Last::Failed { class: class_of?, again: is_again }),
        _ => None, // of a later version
    }
}

fn cloud(json: &str) -> Option<Cloud> {
    if word(json) == "unknown" {
        return Some(Cloud::Unknown);
    }
    match Members::of_object(json).next()? {
        ("open", name) => Provider::named(word(name)).map(Cloud::Open),
        ("refused", why) => named(why).map(Cloud::Refused),
        _ => None, // of a later version
    }
}

fn policy(json: &str) -> Option<Policy> {
    let mut policy = Policy {
        threshold: 0.0,
        max_local_tries: 0,
        on_low_confidence: false,
        on_verification_failures: false,
        on_high_complexity: false,
        complexity_threshold: 0,
        prefer_local: false,
        hands: Hands::Never,
    };
    for (key, value) in Members::of_object(json) {
        match key {
            "threshold" => policy.threshold = value.parse().ok()?,
            "max_local_tries" => policy.max_local_tries = value.parse().ok()?,
            "on_low_confidence" => policy.on_low_confidence = value.parse().ok()?,
            "on_verification_failures" => policy.on_verification_failures = value.parse().ok()?,
            "on_high_complexity" => policy.on_high_complexity = value.parse().ok()?,
            "complexity_threshold" => policy.complexity_threshold = value.parse().ok()?,
            "prefer_local" => policy.prefer_local = value.parse().ok()?,
            "hands" => policy.hands = named(value)?,
            _ => return None, // a setting of a later version may decide
        }
    }
    Some(policy)
}

fn shadow(json: &str) -> Option<Shadow> {
    let (mut provider, mut is_ok) = (None, None);
    for (key, value) in Members::of_object(json) {
        match key {
            "provider" => provider = Provider::named(word(value)),
            "ok" => is_ok = value.parse().ok(),
            _ => {} // of a later version
        }
    }
    Some(Shadow { provider: provider?, ok: is_ok? })
}

fn cloud_use(json: &str) -> Option<CloudUse> {
    let mut used = CloudUse::default();
    for (key, value) in Members::of_object(json) {
        match key {
            "calls" => used.calls = value.parse().ok()?,
            "bytes" => used.bytes = value.parse().ok()?,
            "usd" => used.usd = value.parse().ok()?,
            "at_least" => used.at_least = value.parse().ok()?,
            _ => {} // of a later version
        }
    }
    Some(used)
}

fn attempt(json: &str) -> Option<Attempt> {
    let mut attempt = Attempt::on(Route::None, String::new());
    for (key, value) in Members::of_object(json) {
        match key {
            "route" => attempt.route = named(value)?,
            "duration_ms" => attempt.duration_ms = value.parse().ok()?,
            "failure" => put(&mut attempt.failure, value, failure)?,
            "verdict" => put(&mut attempt.verdict, value, named)?,
            "confidence" => put(&mut attempt.confidence, value, |value| value.parse().ok())?,
            "cost_usd" => put(&mut attempt.cost_usd, value, |value| value.parse().ok())?,
            _ => {} // what does not decide
        }
    }
    Some(attempt)
}

/// A failure of the same class: the policy does not look further.
fn failure(json: &str) -> Option<Failure> {
    let (_, kind) = Members::of_object(json).find(|(key, _)| *key == "kind")?;
    Some(match word(kind) {
        "empty" | "reasoning_only" | "declined" => Failure::Empty,
        "cut" => Failure::Cut,
        "unusable" | "syntax" | "unchanged" | "unseen" | "stale" | "refused_path" | "tool_calls" => Failure::Unchanged,
        "timeout" => Failure::Timeout { phase: Phase::Overall, after_ms: 0 },
        "context_overflow" => Failure::ContextOverflow { needed: 0, window: 0 },
        "disk" => Failure::Disk { why: String::new() },
        "stopped" => Failure::Stopped { why: Refusal::Canceled },
        _ => Failure::Server { message: String::new() }, // all others, and those of the cloud
    })
}

fn nothing() -> RunRecord {
    RunRecord {
        schema: u32::MAX,
        run_id: String::new(),
        undoes: None,
        seq: 0,
        timestamp: String::new(),
        ts: String::new(),
        source: Source::Cli,
        hook: None,
        kind: Kind::Undo,
        route: Route::None,
        reason: Reason::Requested,
        wanted: None,
        refused: None,
        model: String::new(),
        confidence: None,
        task_length: 0,
        output_length: 0,
        task_sha256: String::new(),
        workdir: String::new(),
        runtime_status: RuntimeStatus::Unused,
        retries: 0,
        verify_ok: None,
        verify_summary: String::new(),
        files: Vec::new(),
        facts: None,
        policy: None,
        escalations: Vec::new(),
        overruled: None,
        shadow: None,
        attempts: Vec::new(),
        commands: Vec::new(),
        cloud: CloudUse::default(),
        remote: None,
        local_impl_ratio: None,
        duration_ms: 0,
        task: None,
        output: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::what_if::Change;
    use crate::rules::why;
    use crate::rules::{replayed, why::tests::recorded};
    use crate::words::task::FailureClass;

    #[test]
    fn what_decides_is_read_as_it_was_written() {
        let mut reader = Reader::default();
        for (name, record) in recorded() {
            let line = serde_json::to_string(&record).unwrap();
            let lean = reader.read(&line).unwrap_or_else(|| panic!("{name}: {line}"));
            let facts = |record: &RunRecord| (record.facts.clone(), record.policy.clone(), record.escalations.clone());
            assert_eq!(facts(&lean), facts(&record), "{name}");
            let ends = |record: &RunRecord| {
                let (reason, wanted) = (record.reason.clone(), record.wanted.clone());
                let verdicts = (record.refused, record.overruled, record.shadow, record.verify_ok, record.confidence);
                (record.run_id.clone(), record.kind, record.route, reason, wanted, verdicts, record.cloud)
            };
            assert_eq!(ends(&lean), ends(&record), "{name}");
            let tries = |record: &RunRecord| {
                let attempts = record.attempts.iter().map(|attempt| {
                    let class = attempt.failure.as_ref().map(Failure::class);
                    // Of a provider's failure only that it is one counts.
                    let class = if attempt.route == Route::Local { class } else { class.map(|_| FailureClass::Server) };
                    (attempt.route, attempt.duration_ms, class, attempt.verdict, attempt.confidence, attempt.cost_usd)
                });
                attempts.collect::<Vec<_>>()
            };
            assert_eq!(tries(&lean), tries(&record), "{name}");
            assert_eq!(why::replays(&lean), why::replays(&record), "{name}");
        }
    }

    #[test]
    fn a_replay_of_both_is_the_same() {
        let records = recorded();
        for threshold in [None, Some(0.3), Some(0.75), Some(0.95)] {
            for max_attempts in [None, Some(1), Some(2)] {
                let change = Change { threshold, max_attempts, ..Change::default() };
                let (mut whole, mut lean) = (replayed::Counts::over(&[0.5, 0.9]), replayed::Counts::over(&[0.5, 0.9]));
                let mut reader = Reader::default();
                for (_, record) in records.iter().filter(|(_, record)| record.kind != Kind::Undo) {
                    whole.add(Some(record), false, &change);
                    let line = serde_json::to_string(record).unwrap();
                    lean.add(reader.read(&line).as_ref(), false, &change);
                }
                assert_eq!(lean.report(), whole.report());
            }
        }
    }

    #[test]
    fn what_is_cut_or_of_a_later_version_is_no_record() {
        let mut reader = Reader::default();
        let (_, record) = recorded().swap_remove(0);
        let line = serde_json::to_string(&record).unwrap();
        for (old, new) in [
            ("\"tier\":\"local\"", "\"tier\":\"orbit\""),
            ("\"facts\":{", "\"facts\":{\"mood\":1,"),
            ("\"policy\":{", "\"policy\":{\"mood\":1,"),
            ("\"route\":\"", "\"route\":\"No \\u0000"),
        ] {
            assert!(line.contains(old), "{line}");
            assert_eq!(reader.read(&line.replace(old, new)), None, "{new}");
        }
        assert_eq!(reader.read(&line[..line.len() - 1]), None);
        assert_eq!(reader.read("{}"), None);
        assert_eq!(reader.read("[]"), None);
    }
}
