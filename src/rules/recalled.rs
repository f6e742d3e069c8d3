//! Records of the ledger as far as a replay needs them, by the thousand: a line is looked through once, and only what decides
//! is read. Pure. What a replay does not look at (names, texts, the environment of the run) is empty in these records; who
//! shows a record reads it whole.
//!
//! `recorded.rs` could do the same, and there would be one reader less: it takes nine times as long (3900 million
//! instructions for 10 000 rows, 410 here), because it builds a map of each object and takes every text. What both have to
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

/// The settings that are known at a time: answers and changes have their own.
const MOST_POLICIES: usize = 8;

/// Reads lines. Most runs have the settings of one before: they are read once.
pub struct Reader {
    /// The last one that was read: a record is large, and is not moved from place to place.
    record: RunRecord,
    policies: Vec<(String, Policy)>,
}

impl Default for Reader {
    fn default() -> Reader {
        Reader { record: nothing(), policies: Vec::new() }
    }
}

impl Reader {
    /// Reads a line; `None` for what is no record, or not one of this version.
    pub fn read(&mut self, line: &str) -> Option<&RunRecord> {
        // Compact and whole, as the ledger writes it.
        if !line.ends_with('}') {
            return None;
        }
        let Reader { record, policies } = self;
        *record = nothing();
        Walk::over(line).object(&mut |key, value| {
            match key {
                b"schema" => record.schema = plain(value)?,
                b"run_id" => record.run_id = text(value)?,
                b"undoes" => put(&mut record.undoes, value, text)?,
                b"timestamp" => record.timestamp = text(value)?,
                b"hook" => put(&mut record.hook, value, text)?,
                b"kind" => record.kind = named(value)?,
                b"route" => record.route = named(value)?,
                b"reason" => record.reason = reason(value)?,
                b"wanted" => put(&mut record.wanted, value, reason)?,
                b"refused" => put(&mut record.refused, value, named)?,
                b"confidence" => put(&mut record.confidence, value, plain)?,
                b"verify_ok" => put(&mut record.verify_ok, value, plain)?,
                b"facts" => put(&mut record.facts, value, facts)?,
                b"policy" => put(&mut record.policy, value, |value| known_policy(value, policies))?,
                b"escalations" => record.escalations = list(value, facts)?,
                b"overruled" => put(&mut record.overruled, value, named)?,
                b"shadow" => put(&mut record.shadow, value, shadow)?,
                b"attempts" => record.attempts = list(value, attempt)?,
                b"cloud" => record.cloud = cloud_use(value)?,
                b"duration_ms" => record.duration_ms = plain(value)?,
                b"task" => put(&mut record.task, value, string)?,
                _ => value.pass()?, // what does not decide, or is of a later version
            }
            Some(())
        })?;
        Some(&self.record).filter(|record| !record.run_id.is_empty())
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
    if !json.known("null") {
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
            b"kind" => facts.kind = named(value)?,
            b"asked" => facts.asked = Asked::parse(word(value.value()?))?,
            b"local_up" => facts.local_up = plain(value)?,
            b"risk_words" => facts.risk_words = list(value, string)?,
            b"local_tries" => facts.local_tries = plain(value)?,
            b"tier" => facts.tier = named(value)?,
            b"escalated" => put(&mut facts.escalated, value, reason)?,
            b"last" => facts.last = last(value)?,
            b"best_local" => put(&mut facts.best_local, value, score)?,
            b"standing" => put(&mut facts.standing, value, score)?,
            b"cloud" => facts.cloud = cloud(value)?,
            b"hands_answer" => put(&mut facts.hands_answer, value, plain)?,
            b"stopped" => put(&mut facts.stopped, value, named)?,
            b"late" => put(&mut facts.late, value, late)?,
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
            b"value" => score.value = plain(value)?,
            b"weak" => score.weak = plain(value)?,
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
            b"least_ms" => late.least_ms = plain(value)?,
            b"left_ms" => late.left_ms = plain(value)?,
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
        "advised" => return Some(Last::Advised),
        _ => {} // an object
    }
    let mut last = None;
    Walk::over(json).object(&mut |key, value| {
        last = Some(match key {
            b"answer" => Last::Answer(score(value)?),
            b"change" => changed(value)?,
            b"failed" => failed(value)?,
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
            b"verdict" => verdict = Some(named(value)?),
            b"score" => of = Some(score(value)?),
            b"again" => again = Some(plain(value)?),
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
            b"class" => class = Some(named(value)?),
            b"again" => again = Some(plain(value)?),
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
            b"open" => Cloud::Open(Provider::named(word(value.value()?))?),
            b"refused" => Cloud::Refused(named(value)?),
            _ => return None, // of a later version
        });
        Some(())
    })?;
    cloud
}

fn known_policy(value: &mut Walk<'_>, known: &mut Vec<(String, Policy)>) -> Option<Policy> {
    if let Some((_, policy)) = known.iter().find(|(json, _)| value.known(json)) {
        return Some(policy.clone());
    }
    let json = value.value()?;
    let policy = policy(json)?;
    if known.len() == MOST_POLICIES {
        known.clear();
    }
    known.push((json.to_string(), policy.clone()));
    Some(policy)
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
            b"threshold" => policy.threshold = plain(value)?,
            b"max_local_tries" => policy.max_local_tries = plain(value)?,
            b"on_low_confidence" => policy.on_low_confidence = plain(value)?,
            b"on_verification_failures" => policy.on_verification_failures = plain(value)?,
            b"on_high_complexity" => policy.on_high_complexity = plain(value)?,
            b"complexity_threshold" => policy.complexity_threshold = plain(value)?,
            b"prefer_local" => policy.prefer_local = plain(value)?,
            b"hands" => policy.hands = named(value)?,
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
            b"provider" => provider = Provider::named(word(value.value()?)),
            b"ok" => is_ok = Some(plain(value)?),
            _ => value.pass()?, // of a later version
        }
        Some(())
    })?;
    Some(Shadow { provider: provider?, ok: is_ok? })
}

fn cloud_use(json: &mut Walk<'_>) -> Option<CloudUse> {
    let mut used = CloudUse::default();
    json.object(&mut |key, value| {
        match key {
            b"calls" => used.calls = plain(value)?,
            b"bytes" => used.bytes = plain(value)?,
            b"usd" => used.usd = plain(value)?,
            b"at_least" => used.at_least = plain(value)?,
            _ => value.pass()?, // of a later version
        }
        Some(())
    })?;
    Some(used)
}

fn attempt(json: &mut Walk<'_>) -> Option<Attempt> {
    let mut attempt = Attempt::on(Route::None, String::new());
    json.object(&mut |key, value| {
        match key {
            b"route" => attempt.route = named(value)?,
            b"duration_ms" => attempt.duration_ms = plain(value)?,
            b"failure" => put(&mut attempt.failure, value, failure)?,
            b"verdict" => put(&mut attempt.verdict, value, named)?,
            b"confidence" => put(&mut attempt.confidence, value, plain)?,
            b"cost_usd" => put(&mut attempt.cost_usd, value, plain)?,
            _ => value.pass()?, // what does not decide
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
        if key == b"kind" {
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
        left: Vec::new(),
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
    use crate::rules::why::tests::recorded;
    use crate::rules::{recorded, replayed, why};
    use crate::words::task::FailureClass;

    /// All of a record that a replay looks at.
    fn decisive(record: &RunRecord) -> String {
        let facts = (&record.facts, &record.policy, &record.escalations);
        let ends = (&record.run_id, record.kind, record.route, &record.reason, &record.wanted, record.refused);
        let verdicts = (record.overruled, record.shadow, record.verify_ok, record.confidence, record.cloud);
        let attempts = record.attempts.iter().map(|attempt| {
            let class = attempt.failure.as_ref().map(Failure::class);
            // Of a provider's failure only that it is one counts.
            let class = if attempt.route == Route::Local { class } else { class.map(|_| FailureClass::Server) };
            (attempt.route, attempt.duration_ms, class, attempt.verdict, attempt.confidence, attempt.cost_usd)
        });
        let (attempts, replays): (Vec<_>, _) = (attempts.collect(), why::replays(record));
        format!("{facts:?} {ends:?} {verdicts:?} {attempts:?} {replays:?}")
    }

    #[test]
    fn what_decides_is_read_as_it_was_written() {
        let mut reader = Reader::default();
        for (name, record) in recorded() {
            let line = serde_json::to_string(&record).unwrap();
            let lean = reader.read(&line).unwrap_or_else(|| panic!("{name}: {line}"));
            assert_eq!(decisive(lean), decisive(&record), "{name}");
        }
    }

    #[test]
    fn what_does_not_decide_is_passed_over_whatever_is_in_it() {
        let mut reader = Reader::default();
        let later = r#""later":{"deep":["}\\\"]{",{"a":"\\\\"},[[]],"|é","],"],"":null},"more":"}\\","#;
        for (name, record) in recorded() {
            let line = serde_json::to_string(&record).unwrap();
            for member in ["{\"schema\"", "\"attempts\":[{", "\"cloud\":{\"calls\""] {
                let line = line.replace(member, &member.replace('{', &format!("{{{later}")));
                let lean = reader.read(&line).unwrap_or_else(|| panic!("{name}: {line}"));
                assert_eq!(decisive(lean), decisive(&record), "{line}");
            }
        }
    }

    #[test]
    fn a_byte_that_is_wrong_makes_no_other_record() {
        let (mut reader, mut n_read) = (Reader::default(), 0);
        for (number, (_, record)) in recorded().into_iter().enumerate() {
            let line = serde_json::to_string(&record).unwrap();
            for at in (number % 43..line.len()).step_by(43).filter(|at| line.is_char_boundary(*at)) {
                let end = line[at..].chars().next().map_or(at, |old| at + old.len_utf8());
                for new in ["\"", "\\", "[", "}", ",", "1"] {
                    let line = format!("{}{new}{}", &line[..at], &line[end..]);
                    // What the fast reader refuses, or forgives in what it passes over, the other need not.
                    let Some(lean) = reader.read(&line) else { continue };
                    let Ok(whole) = recorded::read(&line) else { continue };
                    assert_eq!(decisive(lean), decisive(&whole), "{line}");
                    n_read += 1;
                }
            }
        }
        assert!(n_read > 5000, "{n_read}");
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
                    lean.add(reader.read(&line), false, &change);
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
            ("\"task_length\":", "\"task_length\":1\""),
        ] {
            assert!(line.contains(old), "{line}");
            assert_eq!(reader.read(&line.replace(old, new)), None, "{new}");
        }
        assert_eq!(reader.read(&line[..line.len() - 1]), None);
        assert_eq!(reader.read("{}"), None);
        assert_eq!(reader.read("[]"), None);
    }
}
