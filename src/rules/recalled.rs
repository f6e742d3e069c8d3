//! Records of the ledger as far as a replay needs them, by the thousand: a line is looked through once, and only what decides
//! is read. Pure. What a replay does not look at (names, texts, the environment of the run) is empty in these records; who
//! shows a record reads it whole.
//!
//! `recorded.rs` could do the same, and there would be one reader less: it takes five times as long (3900 million
//! instructions for 10 000 rows, 610 here), because it builds a map of each object and takes every text. What both have to
//! know alike, the words of the ledger, stands there only.
//!
//! **Invariant:** a word of a later version is no record: what cannot be understood is not guessed.

use crate::rules::from_json::FromWord;
use crate::rules::members::Walk;
use crate::words::record::{CloudUse, RunRecord, RuntimeStatus, Shadow};
use crate::words::task::{
    Asked, Attempt, Cloud, Facts, Failure, Hands, Kind, Last, Late, Phase, Policy, Provider, Reason, Refusal, Route,
    Score, Source, Tier,
};
use std::str::FromStr;

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
        Walk::over(line).object(&mut |key, value| {
            match key {
                "schema" => record.schema = plain(value)?,
                "run_id" => record.run_id = text(value)?,
                "undoes" => put(&mut record.undoes, value, text)?,
                "timestamp" => record.timestamp = text(value)?,
                "hook" => put(&mut record.hook, value, text)?,
                "kind" => record.kind = named(value)?,
                "route" => record.route = named(value)?,
                "reason" => record.reason = reason(value)?,
                "wanted" => put(&mut record.wanted, value, reason)?,
                "refused" => put(&mut record.refused, value, named)?,
                "confidence" => put(&mut record.confidence, value, plain)?,
                "verify_ok" => put(&mut record.verify_ok, value, plain)?,
                "facts" => put(&mut record.facts, value, facts)?,
                "policy" => put(&mut record.policy, value, |value| self.policy(value.value()?))?,
                "escalations" => record.escalations = list(value, facts)?,
                "overruled" => put(&mut record.overruled, value, named)?,
                "shadow" => put(&mut record.shadow, value, shadow)?,
                "attempts" => record.attempts = list(value, attempt)?,
                "cloud" => record.cloud = cloud_use(value)?,
                "duration_ms" => record.duration_ms = plain(value)?,
                "task" => put(&mut record.task, value, string)?,
                _ => drop(value.value()?), // what does not decide, or is of a later version
            }
            Some(())
        })?;
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
    match json.as_bytes() {
        [b'"', .., b'"'] => json.get(1..json.len() - 1).unwrap_or(json),
        _ => json,
    }
}

/// A word of a vocabulary, as `recorded.rs` lists it.
fn named<T: FromWord>(json: &mut Walk<'_>) -> Option<T> {
    T::from_word(word(json.value()?))
}

/// A number or a bool.
fn plain<T: FromStr>(json: &mut Walk<'_>) -> Option<T> {
    json.value()?.parse().ok()
}

/// A text that mux has made, and that holds nothing to escape.
fn text(json: &mut Walk<'_>) -> Option<String> {
    Some(word(json.value()?).to_string())
}

/// A text of somebody else.
fn string(json: &mut Walk<'_>) -> Option<String> {
    let json = json.value()?;
    if json.contains('\\') { serde_json::from_str(json).ok() } else { Some(word(json).to_string()) }
}

/// Reads what may be `null`.
fn put<'t, T>(slot: &mut Option<T>, json: &mut Walk<'t>, read: impl FnOnce(&mut Walk<'t>) -> Option<T>) -> Option<()> {
    if !json.null() {
        *slot = Some(read(json)?);
    }
    Some(())
}

fn list<'t, T>(json: &mut Walk<'t>, read: impl Fn(&mut Walk<'t>) -> Option<T>) -> Option<Vec<T>> {
    let mut all = Vec::new();
    json.list(&mut |item| {
        all.push(read(item)?);
        Some(())
    })?;
    Some(all)
}

fn reason(json: &mut Walk<'_>) -> Option<Reason> {
    // A risk word may hold anything.
    Reason::try_from(string(json)?).ok()
}

fn facts(json: &mut Walk<'_>) -> Option<Facts> {
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
    json.object(&mut |key, value| {
        match key {
            "kind" => facts.kind = named(value)?,
            "asked" => facts.asked = Asked::parse(word(value.value()?))?,
            "local_up" => facts.local_up = plain(value)?,
            "risk_words" => facts.risk_words = list(value, string)?,
            "local_tries" => facts.local_tries = plain(value)?,
            "tier" => facts.tier = named(value)?,
            "escalated" => put(&mut facts.escalated, value, reason)?,
            "last" => facts.last = last(value)?,
            "best_local" => put(&mut facts.best_local, value, score)?,
            "standing" => put(&mut facts.standing, value, score)?,
            "cloud" => facts.cloud = cloud(value)?,
            "hands_answer" => put(&mut facts.hands_answer, value, plain)?,
            "stopped" => put(&mut facts.stopped, value, named)?,
            "late" => put(&mut facts.late, value, late)?,
            _ => return None, // a fact of a later version may decide
        }
        Some(())
    })?;
    Some(facts)
}

fn score(json: &mut Walk<'_>) -> Option<Score> {
    let mut score = Score { value: 0.0, weak: false };
    json.object(&mut |key, value| {
        match key {
            "value" => score.value = plain(value)?,
            "weak" => score.weak = plain(value)?,
            _ => return None, // of a later version
        }
        Some(())
    })?;
    Some(score)
}

fn late(json: &mut Walk<'_>) -> Option<Late> {
    let mut late = Late { least_ms: 0, left_ms: 0 };
    json.object(&mut |key, value| {
        match key {
            "least_ms" => late.least_ms = plain(value)?,
            "left_ms" => late.left_ms = plain(value)?,
            _ => return None, // of a later version
        }
        Some(())
    })?;
    Some(late)
}

fn last(json: &mut Walk<'_>) -> Option<Last> {
    let json = json.value()?;
    match word(json) {
        "nothing" => return Some(Last::Nothing),
        "overflow" => return Some(Last::Overflow),
        "unapplied" => return Some(Last::Unapplied),
        _ => {} // an object
    }
    let mut last = None;
    Walk::over(json).object(&mut |key, value| {
        last = Some(match key {
            "answer" => Last::Answer(score(value)?),
            "change" => changed(value)?,
            "failed" => failed(value)?,
            _ => return None, // of a later version
        });
        Some(())
    })?;
    last
}

fn changed(json: &mut Walk<'_>) -> Option<Last> {
    let (mut verdict, mut of, mut again) = (None, None, None);
    json.object(&mut |key, value| {
        match key {
            "verdict" => verdict = Some(named(value)?),
            "score" => of = Some(score(value)?),
            "again" => again = Some(plain(value)?),
            _ => return None, // of a later version
        }
        Some(())
    })?;
    Some(Last::Change { verdict: verdict?, score: of?, again: again? })
}

fn failed(json: &mut Walk<'_>) -> Option<Last> {
    let (mut class, mut again) = (None, None);
    json.object(&mut |key, value| {
        match key {
            "class" => class = Some(named(value)?),
            "again" => again = Some(plain(value)?),
            _ => return None, // of a later version
        }
        Some(())
    })?;
    Some(Last::Failed { class: class?, again: again? })
}

fn cloud(json: &mut Walk<'_>) -> Option<Cloud> {
    let json = json.value()?;
    if word(json) == "unknown" {
        return Some(Cloud::Unknown);
    }
    let mut cloud = None;
    Walk::over(json).object(&mut |key, value| {
        cloud = Some(match key {
            "open" => Cloud::Open(Provider::named(word(value.value()?))?),
            "refused" => Cloud::Refused(named(value)?),
            _ => return None, // of a later version
        });
        Some(())
    })?;
    cloud
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
    Walk::over(json).object(&mut |key, value| {
        match key {
            "threshold" => policy.threshold = plain(value)?,
            "max_local_tries" => policy.max_local_tries = plain(value)?,
            "on_low_confidence" => policy.on_low_confidence = plain(value)?,
            "on_verification_failures" => policy.on_verification_failures = plain(value)?,
            "on_high_complexity" => policy.on_high_complexity = plain(value)?,
            "complexity_threshold" => policy.complexity_threshold = plain(value)?,
            "prefer_local" => policy.prefer_local = plain(value)?,
            "hands" => policy.hands = named(value)?,
            _ => return None, // a setting of a later version may decide
        }
        Some(())
    })?;
    Some(policy)
}

fn shadow(json: &mut Walk<'_>) -> Option<Shadow> {
    let (mut provider, mut is_ok) = (None, None);
    json.object(&mut |key, value| {
        match key {
            "provider" => provider = Provider::named(word(value.value()?)),
            "ok" => is_ok = Some(plain(value)?),
            _ => drop(value.value()?), // of a later version
        }
        Some(())
    })?;
    Some(Shadow { provider: provider?, ok: is_ok? })
}

fn cloud_use(json: &mut Walk<'_>) -> Option<CloudUse> {
    let mut used = CloudUse::default();
    json.object(&mut |key, value| {
        match key {
            "calls" => used.calls = plain(value)?,
            "bytes" => used.bytes = plain(value)?,
            "usd" => used.usd = plain(value)?,
            "at_least" => used.at_least = plain(value)?,
            _ => drop(value.value()?), // of a later version
        }
        Some(())
    })?;
    Some(used)
}

fn attempt(json: &mut Walk<'_>) -> Option<Attempt> {
    let mut attempt = Attempt::on(Route::None, String::new());
    json.object(&mut |key, value| {
        match key {
            "route" => attempt.route = named(value)?,
            "duration_ms" => attempt.duration_ms = plain(value)?,
            "failure" => put(&mut attempt.failure, value, failure)?,
            "verdict" => put(&mut attempt.verdict, value, named)?,
            "confidence" => put(&mut attempt.confidence, value, plain)?,
            "cost_usd" => put(&mut attempt.cost_usd, value, plain)?,
            _ => drop(value.value()?), // what does not decide
        }
        Some(())
    })?;
    Some(attempt)
}

/// A failure of the same class: the policy does not look further.
fn failure(json: &mut Walk<'_>) -> Option<Failure> {
    let mut kind = "";
    json.object(&mut |key, value| {
        let value = value.value()?;
        if key == "kind" {
            kind = word(value);
        }
        Some(())
    })?;
    Some(match kind {
        "empty" | "reasoning_only" | "declined" => Failure::Empty,
        "cut" | "looped" => Failure::Cut,
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
