//! A line of the ledger → the record that it was written from. Pure. Lines of earlier versions are read too: what they do
//! not hold is absent.

use crate::rules::from_json::{self, FromJson, FromWord, Unread, field, fields, structs, word, words};
use crate::words::changes::{FileOp, Op};
use crate::words::cloud::CloudClass;
use crate::words::record::{CloudUse, Overruled, RunRecord, RuntimeStatus, Shadow};
use crate::words::task::{
    Asked, Attempt, Cloud, CommandRun, Facts, Failure, FailureClass, Form, Hands, Kind, Last, Late, Phase, Policy,
    Provider, Reason, Refusal, Route, Score, Source, Tier, Verdict,
};
use serde_json::value::RawValue;

/// Reads a record.
///
/// # Errors
/// The key that is missing, or whose value this version does not know.
pub fn read(line: &str) -> Result<RunRecord, Unread> {
    from_json::read(line.as_bytes())
}

words! {
    Kind { "answer" => Answer, "change" => Change, "undo" => Undo }
    Source { "cli" => Cli, "mcp" => Mcp, "hook" => Hook }
    Verdict { "passed" => Passed, "failed" => Failed, "unproven" => Unproven, "skipped" => Skipped }
    Form { "whole" => Whole, "edits" => Edits }
    Tier { "local" => Local, "cloud_answer" => CloudAnswer, "advice" => Advice, "hands" => Hands }
    Hands { "allowed" => Allowed, "ask" => Ask, "never" => Never }
    RuntimeStatus { "up" => Up, "down" => Down, "restarted" => Restarted, "unused" => Unused }
    Overruled { "review" => Review, "disk" => Disk }
    Op { "create" => Create, "change" => Change, "delete" => Delete }
    Refusal {
        "local_only" => LocalOnly, "budget" => Budget, "secret" => Secret, "recursion" => Recursion,
        "no_provider" => NoProvider, "scope" => Scope, "deadline" => Deadline, "canceled" => Canceled,
        "no_snapshot" => NoSnapshot
    }
    FailureClass {
        "empty" => Empty, "truncated" => Truncated, "unparsable" => Unparsable, "timeout" => Timeout,
        "server" => Server, "disk" => Disk, "canceled" => Canceled
    }
    Phase {
        "connect" => Connect, "first_token" => FirstToken, "idle" => Idle, "overall" => Overall, "queue" => Queue
    }
}

impl FromJson for Reason {
    fn from_json(raw: &RawValue) -> Result<Reason, Unread> {
        Reason::try_from(String::from_json(raw)?).map_err(|_| "")
    }
}

impl FromWord for Route {
    fn from_word(word: &str) -> Option<Route> {
        match word {
            "local" => Some(Route::Local),
            "none" => Some(Route::None),
            name => Provider::named(name).map(Provider::route),
        }
    }
}

impl FromJson for Route {
    fn from_json(raw: &RawValue) -> Result<Route, Unread> {
        Route::from_word(word(raw)).ok_or("")
    }
}

impl FromJson for Provider {
    fn from_json(raw: &RawValue) -> Result<Provider, Unread> {
        Provider::named(word(raw)).ok_or("")
    }
}

impl FromJson for Asked {
    fn from_json(raw: &RawValue) -> Result<Asked, Unread> {
        Asked::parse(word(raw)).ok_or("")
    }
}

structs! {
    RunRecord {
        schema, run_id, undoes, seq, timestamp, ts, source, hook, kind, route, reason, wanted, refused, model,
        confidence, task_length, output_length, task_sha256, workdir, runtime_status, retries, verify_ok,
        verify_summary, files, left, facts, policy, escalations, overruled, shadow, attempts, commands, cloud, remote,
        local_impl_ratio, duration_ms, task, output
    }
    Facts {
        kind, asked, local_up, risk_words, local_tries, tier, escalated, last, best_local, standing, cloud,
        hands_answer, stopped, late
    }
    Late { least_ms, left_ms }
    Policy {
        threshold, max_local_tries, on_low_confidence, on_verification_failures, on_high_complexity,
        complexity_threshold, prefer_local, hands
    }
    Attempt {
        route, model, argv, duration_ms, ttft_ms, prompt_tokens, completion_tokens, tokens_per_sec, predicted_ms, failure,
        verdict, confidence, weights, signals, form, edits,
        left_out, cost_usd
    }
    Shadow { provider, ok }
    Score { value, weak }
    CommandRun { argv, exit, duration_ms }
    FileOp { path, op, before, after, bytes }
}

impl FromJson for Last {
    fn from_json(raw: &RawValue) -> Result<Last, Unread> {
        match word(raw) {
            "nothing" => return Ok(Last::Nothing),
            "overflow" => return Ok(Last::Overflow),
            "unapplied" => return Ok(Last::Unapplied),
            "advised" => return Ok(Last::Advised),
            _ => {}
        }
        let of = fields(raw)?;
        if of.contains_key("answer") {
            return field(&of, "answer").map(Last::Answer);
        }
        if let Some(change) = of.get("change") {
            let of = fields(change)?;
            let (verdict, score) = (field(&of, "verdict")?, field(&of, "score")?);
            return Ok(Last::Change { verdict, score, again: field(&of, "again")? });
        }
        let of = fields(of.get("failed").ok_or("")?)?;
        Ok(Last::Failed { class: field(&of, "class")?, again: field(&of, "again")? })
    }
}

impl FromJson for Cloud {
    fn from_json(raw: &RawValue) -> Result<Cloud, Unread> {
        if word(raw) == "unknown" {
            return Ok(Cloud::Unknown);
        }
        let of = fields(raw)?;
        if of.contains_key("open") {
            return field(&of, "open").map(Cloud::Open);
        }
        field(&of, "refused").map(Cloud::Refused)
    }
}

impl FromJson for Failure {
    fn from_json(raw: &RawValue) -> Result<Failure, Unread> {
        let of = fields(raw)?;
        Ok(match of.get("kind").copied().map_or("", word) {
            "down" => Failure::Down { why: field(&of, "why")? },
            "timeout" => Failure::Timeout { phase: field(&of, "phase")?, after_ms: field(&of, "after_ms")? },
            "http" => Failure::Http { status: field(&of, "status")?, message: field(&of, "message")? },
            "protocol" => Failure::Protocol { why: field(&of, "why")? },
            "server" => Failure::Server { message: field(&of, "message")? },
            "no_model" => Failure::NoModel { why: field(&of, "why")? },
            "empty" => Failure::Empty,
            "reasoning_only" => Failure::ReasoningOnly,
            "cut" => Failure::Cut,
            "looped" => Failure::Looped {
                block: field(&of, "block")?,
                times: field(&of, "times")?,
                after: field(&of, "after")?,
            },
            "hopeless" => Failure::Hopeless { nats: field(&of, "nats")?, tokens: field(&of, "tokens")? },
            "content_filter" => Failure::ContentFilter,
            "tool_calls" => Failure::ToolCalls,
            "declined" => Failure::Declined { quote: field(&of, "quote")? },
            "context_overflow" => {
                Failure::ContextOverflow { needed: field(&of, "needed")?, window: field(&of, "window")? }
            }
            "unusable" => Failure::Unusable { fault: field(&of, "fault")? },
            "syntax" => Failure::Syntax { path: field(&of, "path")?, why: field(&of, "why")? },
            "unchanged" => Failure::Unchanged,
            "stale" => Failure::Stale { path: field(&of, "path")? },
            "unseen" => Failure::Unseen { paths: field(&of, "paths")? },
            "refused_path" => Failure::RefusedPath { path: field(&of, "path")?, rule: field(&of, "rule")? },
            "disk" => Failure::Disk { why: field(&of, "why")? },
            "stopped" => Failure::Stopped { why: field(&of, "why")? },
            "cloud" => Failure::Cloud { class: CloudClass::from_json(raw)?, message: field(&of, "message")? },
            _ => return Err("kind"),
        })
    }
}

/// The class stands among the members of its failure.
impl FromJson for CloudClass {
    fn from_json(raw: &RawValue) -> Result<CloudClass, Unread> {
        let of = fields(raw)?;
        Ok(match of.get("class").copied().map_or("", word) {
            "denied" => CloudClass::Denied,
            "auth" => CloudClass::Auth,
            "rate_limited" => CloudClass::RateLimited { until: field(&of, "until")? },
            "quota" => CloudClass::Quota { until: field(&of, "until")? },
            "model_missing" => CloudClass::ModelMissing,
            "context_too_long" => CloudClass::ContextTooLong,
            "server" => CloudClass::Server,
            "network" => CloudClass::Network,
            "timeout" => CloudClass::Timeout,
            "killed" => CloudClass::Killed,
            "malformed" => CloudClass::Malformed,
            "empty" => CloudClass::Empty,
            _ => return Err("class"),
        })
    }
}

impl FromJson for CloudUse {
    fn from_json(raw: &RawValue) -> Result<CloudUse, Unread> {
        let of = fields(raw)?;
        let at_least: Option<bool> = field(&of, "at_least")?;
        Ok(CloudUse {
            calls: field(&of, "calls")?,
            bytes: field(&of, "bytes")?,
            usd: field(&of, "usd")?,
            at_least: at_least.unwrap_or(false),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::why::tests::recorded;
    use serde::Serialize;
    use std::fmt::Debug;

    /// Writes a value and reads it back.
    #[track_caller]
    fn check<T: FromJson + Serialize + PartialEq + Debug>(values: impl IntoIterator<Item = T>) {
        for value in values {
            let json = serde_json::to_string(&value).unwrap();
            assert_eq!(from_json::read::<T>(json.as_bytes()), Ok(value), "{json}");
        }
    }

    #[test]
    fn every_recorded_run_is_read_as_it_was_written() {
        let records = recorded();
        assert!(records.len() >= 60);
        check(records.into_iter().map(|(_, record)| record));
    }

    #[test]
    fn every_word_is_read_as_it_is_written() {
        use CloudClass::{Auth, ContextTooLong, Denied, Killed, Malformed, ModelMissing, Network, Quota, RateLimited};
        check([Kind::Answer, Kind::Change, Kind::Undo]);
        check([Source::Cli, Source::Mcp, Source::Hook]);
        check([Verdict::Passed, Verdict::Failed, Verdict::Unproven, Verdict::Skipped]);
        check([Form::Whole, Form::Edits]);
        check([Tier::Local, Tier::CloudAnswer, Tier::Advice, Tier::Hands]);
        check([Hands::Allowed, Hands::Ask, Hands::Never]);
        check([RuntimeStatus::Up, RuntimeStatus::Down, RuntimeStatus::Restarted, RuntimeStatus::Unused]);
        check([Overruled::Review, Overruled::Disk]);
        check([Op::Create, Op::Change, Op::Delete]);
        check([Refusal::LocalOnly, Refusal::Budget, Refusal::Secret, Refusal::Recursion, Refusal::NoProvider]);
        check([Refusal::Scope, Refusal::Deadline, Refusal::Canceled, Refusal::NoSnapshot]);
        check(FailureClass::ALL);
        check([Phase::Connect, Phase::FirstToken, Phase::Idle, Phase::Overall, Phase::Queue]);
        check([Route::Local, Route::None]);
        for name in ["claude", "codex", "gemini", "agy"] {
            let provider = Provider::named(name).unwrap();
            check([provider]);
            check([provider.route()]);
            check([provider.asked()]);
        }
        check([Asked::Auto, Asked::Local, Asked::Cloud]);
        check([Reason::Verified, Reason::Confident, Reason::Unproven, Reason::Unverified, Reason::Requested]);
        check([Reason::LocalDown, Reason::LowConfidence, Reason::VerifyFailed, Reason::ContextOverflow]);
        check([Reason::Complexity("\"é".into()), Reason::LocalFailed(FailureClass::Disk)]);
        check([Cloud::Unknown, Cloud::Open(Provider::Codex), Cloud::Refused(Refusal::Budget)]);
        let score = Score { value: 0.25, weak: true };
        check([Last::Nothing, Last::Overflow, Last::Unapplied, Last::Advised, Last::Answer(score)]);
        check([Last::Change { verdict: Verdict::Failed, score, again: true }]);
        check([Last::Failed { class: FailureClass::Timeout, again: false }]);
        let until = Some(60);
        let classes =
            [Denied, Auth, RateLimited { until }, Quota { until: None }, ModelMissing, ContextTooLong, Network];
        let more = [CloudClass::Server, CloudClass::Timeout, Killed, Malformed, CloudClass::Empty];
        check(classes.into_iter().chain(more).map(|class| Failure::Cloud { class, message: "m".into() }));
    }

    #[test]
    fn every_failure_is_read_as_it_is_written() {
        let why = || "it \"said\" so".to_string();
        check([
            Failure::Down { why: why() },
            Failure::Timeout { phase: Phase::Idle, after_ms: 30_000 },
            Failure::Http { status: 503, message: why() },
            Failure::Protocol { why: why() },
            Failure::Server { message: why() },
            Failure::NoModel { why: why() },
            Failure::Empty,
            Failure::ReasoningOnly,
            Failure::Cut,
            Failure::Looped { block: 44, times: 187, after: 9000 },
            Failure::Hopeless { nats: 27, tokens: 310 },
            Failure::ContentFilter,
            Failure::ToolCalls,
            Failure::Declined { quote: why() },
            Failure::ContextOverflow { needed: 9000, window: 8192 },
            Failure::Unusable { fault: why() },
            Failure::Syntax { path: why(), why: why() },
            Failure::Unchanged,
            Failure::Stale { path: why() },
            Failure::Unseen { paths: why() },
            Failure::RefusedPath { path: why(), rule: why() },
            Failure::Disk { why: why() },
            Failure::Stopped { why: Refusal::Canceled },
        ]);
    }

    #[test]
    fn what_a_later_version_wrote_is_not_guessed() {
        let (_, record) = recorded().swap_remove(0);
        let json = serde_json::to_string(&record).unwrap();
        let reason = format!("\"reason\":\"{}\"", record.reason);
        assert!(json.contains(&reason));
        assert_eq!(read(&json.replace(&reason, "\"reason\":\"fancied\"")), Err("reason"));
        assert_eq!(read(&json.replace("\"seq\":", "\"sequence\":")), Err("seq"));
        assert_eq!(read(&json.replacen("\"route\":", "\"road\":", 1)), Err("route"), "no provider is called so");
        assert_eq!(read(&json.replace("\"schema\":", "\"later\":[{\"a\":null}],\"schema\":")), Ok(record));
        assert_eq!(read(&json[..json.len() - 1]), Err(""));
    }
}
