//! The words of a task: what was asked, where a try runs, how it ended, what to do next and why.

use crate::words::cloud::CloudClass;
use crate::words::name::Name;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a task wants. Recorded; `undo` is never decided from a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Reads only.
    Answer,
    /// Writes files.
    Change,
    /// Takes a run back.
    Undo,
}

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Cli,
    Mcp,
    Hook,
}

/// One of the cloud CLIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    Claude,
    Codex,
    Gemini,
    /// One that the user declares in `providers.sota_cli.tools`.
    #[serde(untagged)]
    Declared(Name),
}

/// Where a try runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Route {
    Local,
    Claude,
    Codex,
    Gemini,
    /// No route succeeded.
    None,
    #[serde(untagged)]
    Declared(Name),
}

/// What `--route` asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asked {
    #[default]
    Auto,
    Local,
    /// Any provider, in the configured order.
    Cloud,
    Claude,
    Codex,
    Gemini,
    /// A name that may be declared; whether it is, the configuration says.
    #[serde(untagged)]
    Declared(Name),
}

/// Why `route` was chosen: for `local` the acceptance, for a provider the trigger of the last escalation, for `none`
/// the last failure. One vocabulary everywhere; `Display` is its spelling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Reason {
    /// Tests passed.
    Verified,
    /// An answer above the threshold.
    Confident,
    /// Red before and after, with the same failing tests.
    Unproven,
    /// Nothing could check it (changes), or only a weak score speaks for it (answers).
    Unverified,
    /// The user chose the route.
    Requested,
    /// No model server, even after the restart rule.
    LocalDown,
    /// A risk word in the task.
    Complexity(String),
    LowConfidence,
    /// Tries are spent.
    VerifyFailed,
    /// The task does not fit the local window, or the server cut the prompt.
    ContextOverflow,
    LocalFailed(FailureClass),
}

/// Why a wanted escalation did not happen, or why work ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    LocalOnly,
    Budget,
    Secret,
    Recursion,
    NoProvider,
    Scope,
    Deadline,
    Canceled,
    NoSnapshot,
}

/// The class of a failed local try, as it appears in `local_failed:CLASS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureClass {
    Empty,
    Truncated,
    Unparsable,
    Timeout,
    Server,
}

/// The phase of a call that ran out of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Connect,
    FirstToken,
    Idle,
    /// The deadline of the whole run.
    Overall,
    /// Waiting behind other callers of the same server.
    Queue,
}

/// Why a try gave nothing usable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Failure {
    /// Nobody listens, or the server is still loading after the health rule.
    Down {
        why: String,
    },
    Timeout {
        phase: Phase,
        after_ms: u64,
    },
    /// A status outside 2xx, after the retries that are allowed.
    Http {
        status: u16,
        message: String,
    },
    /// What came is not the protocol: cut, not HTTP, not JSON, over a limit, no `finish_reason`.
    Protocol {
        why: String,
    },
    /// The server said that it failed, inside a 200.
    Server {
        message: String,
    },
    /// The server has no model of that name, or none at all.
    NoModel {
        why: String,
    },
    Empty,
    /// Only reasoning came, no answer.
    ReasoningOnly,
    /// The reply was cut by the token limit.
    Cut,
    ContentFilter,
    ToolCalls,
    /// The model declined; its first words.
    Declined {
        quote: String,
    },
    /// Estimated or reported tokens against the window; 0 where the server did not say.
    ContextOverflow {
        needed: u64,
        window: u64,
    },
    /// No files in the reply, or not a usable set of files; the fault as it is quoted to the model.
    Unusable {
        fault: String,
    },
    /// Every file in the reply is the same as before.
    Unchanged,
    /// The reply rewrites files that exist and that the model has not seen; they are shown to it now.
    Unseen {
        paths: String,
    },
    /// A path that must not be written, and the rule.
    RefusedPath {
        path: String,
        rule: String,
    },
    /// The work directory could not be written.
    Disk {
        why: String,
    },
    /// The work was called off.
    Stopped {
        why: Refusal,
    },
    /// A cloud CLI gave no reply; what it said.
    Cloud {
        #[serde(flatten)]
        class: CloudClass,
        message: String,
    },
}

/// What verification said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every command ended with 0.
    Passed,
    Failed,
    /// Red before, and the set of failing tests is unchanged.
    Unproven,
    /// Nothing was configured or found. Never the same as passed.
    Skipped,
}

/// One verification command as it ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRun {
    pub argv: Vec<String>,
    /// `None` when it did not exit by itself: not found, killed, out of time.
    pub exit: Option<i32>,
    pub duration_ms: u64,
}

/// A verdict with its story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    pub verdict: Verdict,
    /// One line for people: `python3 -m pytest -q, 1.2 s`.
    pub summary: String,
    pub commands: Vec<CommandRun>,
    /// The failing command and the useful tail of its output, for the next try. Only when `verdict` is `Failed`.
    pub evidence: Option<String>,
    /// The commands that were red.
    pub red: Vec<Red>,
    /// What the user has to read before all else: that nothing is proven, or which tests were weakened.
    pub remarks: Vec<String>,
}

/// A red command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Red {
    pub argv: Vec<String>,
    /// `None`: nobody can tell which tests failed, so this run cannot be compared with another.
    pub failures: Option<Failures>,
}

/// What a test command said of its tests, to be compared with the same command on another tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failures {
    pub exit: i32,
    pub names: BTreeSet<String>,
    /// As `evidence::passed_tests` counts; 0 where the runner does not say.
    pub n_passed: u64,
}

/// How sure mux is of a reply that nothing has checked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// 0 to 1.
    pub value: f64,
    /// Whether it rests on little (prose, no log-probabilities): neither proof nor evidence.
    pub weak: bool,
}

/// The form in which a model is asked for files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Each new or changed file, complete.
    #[default]
    Whole,
    /// Search and replacement blocks.
    Edits,
}

/// One try on one route, as it is recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    pub route: Route,
    pub model: String,
    /// Of a provider; never the prompt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
    pub duration_ms: u64,
    pub ttft_ms: Option<u64>,
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    pub tokens_per_sec: Option<f64>,
    pub failure: Option<Failure>,
    pub verdict: Option<Verdict>,
    pub confidence: Option<f64>,
    /// Named terms of the score.
    #[serde(default)]
    pub signals: BTreeMap<String, f64>,
    /// The form that files were asked for in; absent for an answer, and in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
    /// How many edits of the reply were applied in which way: `exact`, `blanks`, `shifted`, `alike`, `again`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub edits: BTreeMap<String, u64>,
    pub cost_usd: Option<f64>,
}

/// How the last try ended, as far as the policy cares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Last {
    /// No try yet.
    Nothing,
    /// A usable answer.
    Answer(Score),
    /// A usable changeset, applied and judged. `again`: red tests that another try may turn green.
    Change { verdict: Verdict, score: Score, again: bool },
    /// Nothing usable. `again`: the same route may do better (a repair, another temperature, a larger budget).
    Failed { class: FailureClass, again: bool },
    /// The task does not fit.
    Overflow,
    /// A provider advised, and what it said could not be made into a change.
    Unapplied,
}

/// How far a run has come. Each step needs evidence from the one before; a step is taken at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    Local,
    /// A provider answers (`answer` only).
    CloudAnswer,
    /// A provider advises; local applies (`change` only).
    Advice,
    /// A provider writes (`change` only).
    Hands,
}

/// Whether a provider could be called now. Looking costs as much as the rest of a short run, so it is done when a
/// decision depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cloud {
    /// Nobody has looked: nothing that was decided depends on it.
    Unknown,
    Open(Provider),
    Refused(Refusal),
}

/// Whether the cloud may write after local tries failed (`workflow.allow_sota_write_fallback`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hands {
    Allowed,
    /// Not configured; a person at a terminal is asked.
    Ask,
    Never,
}

/// The settings that decide, one bool for each switch of the configuration. Recorded with every run, so that its route can be replayed.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the configuration")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// `router.local_confidence_threshold`, 0 to 1.
    pub threshold: f64,
    /// Local model calls for this kind of task, repairs included.
    pub max_local_tries: u32,
    /// `router.escalate_on`.
    pub on_low_confidence: bool,
    pub on_verification_failures: bool,
    pub on_high_complexity: bool,
    /// How many risk words make a task complex.
    pub complexity_threshold: u32,
    pub prefer_local: bool,
    pub hands: Hands,
}

/// All that the policy may know. Plain values, recorded with every run so that its route can be replayed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    pub kind: Kind,
    pub asked: Asked,
    /// Whether a local model server answers.
    pub local_up: bool,
    /// Risk words found in the task.
    pub risk_words: Vec<String>,
    /// Local model calls so far.
    pub local_tries: u32,
    /// The tier of the last try; `local` before the first.
    pub tier: Tier,
    /// The trigger of the last escalation.
    pub escalated: Option<Reason>,
    pub last: Last,
    /// The best usable local answer so far, to fall back on.
    pub best_local: Option<Score>,
    /// A local change that stands on disk although nothing could check it, to fall back on as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Score>,
    pub cloud: Cloud,
    /// What the user answered when asked whether the cloud may write; `None` before that.
    pub hands_answer: Option<bool>,
    /// Set when the run has to end.
    pub stopped: Option<Refusal>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    Try {
        tier: Tier,
        reason: Reason,
    },
    /// Look whether a provider could be called.
    Look,
    /// Ask the user whether the provider may write.
    AskHands {
        provider: Provider,
    },
    /// The last result stands. `wanted` and `refused` mark an escalation that did not happen.
    Accept {
        reason: Reason,
        wanted: Option<Reason>,
        refused: Option<Refusal>,
    },
    GiveUp {
        reason: Reason,
        refused: Option<Refusal>,
    },
}

impl Provider {
    /// Returns the provider of that name; `None` for what can be no name.
    pub fn named(name: &str) -> Option<Provider> {
        Some(match name {
            "claude" => Provider::Claude,
            "codex" => Provider::Codex,
            "gemini" => Provider::Gemini,
            name => Provider::Declared(Name::parse(name)?),
        })
    }

    pub fn name(&self) -> &str {
        match self {
            Provider::Claude => "claude",
            Provider::Codex => "codex",
            Provider::Gemini => "gemini",
            Provider::Declared(name) => name.as_str(),
        }
    }

    pub fn route(self) -> Route {
        match self {
            Provider::Claude => Route::Claude,
            Provider::Codex => Route::Codex,
            Provider::Gemini => Route::Gemini,
            Provider::Declared(name) => Route::Declared(name),
        }
    }
}

impl Provider {
    /// Returns what `--route` says to ask for this provider and no other.
    pub fn asked(self) -> Asked {
        match self {
            Provider::Claude => Asked::Claude,
            Provider::Codex => Asked::Codex,
            Provider::Gemini => Asked::Gemini,
            Provider::Declared(name) => Asked::Declared(name),
        }
    }
}

impl Route {
    pub fn name(&self) -> &str {
        match self {
            Route::Local => "local",
            Route::Claude => "claude",
            Route::Codex => "codex",
            Route::Gemini => "gemini",
            Route::None => "none",
            Route::Declared(name) => name.as_str(),
        }
    }
}

impl Asked {
    /// The words that need no configuration.
    pub const NAMES: [&'static str; 6] = ["auto", "local", "cloud", "claude", "codex", "gemini"];

    /// Reads the value of `--route`: one of mux's own words, or a name that the configuration may declare.
    pub fn parse(text: &str) -> Option<Asked> {
        Some(match text {
            "auto" => Asked::Auto,
            "local" => Asked::Local,
            "cloud" => Asked::Cloud,
            "claude" => Asked::Claude,
            "codex" => Asked::Codex,
            "gemini" => Asked::Gemini,
            name => Asked::Declared(Name::parse(name)?),
        })
    }

    /// Returns the provider that was asked for by name.
    pub fn provider(self) -> Option<Provider> {
        match self {
            Asked::Auto | Asked::Local | Asked::Cloud => None,
            Asked::Claude => Some(Provider::Claude),
            Asked::Codex => Some(Provider::Codex),
            Asked::Gemini => Some(Provider::Gemini),
            Asked::Declared(name) => Some(Provider::Declared(name)),
        }
    }
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Answer => "answer",
            Kind::Change => "change",
            Kind::Undo => "undo",
        }
    }
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
            Verdict::Unproven => "unproven",
            Verdict::Skipped => "skipped",
        }
    }
}

impl Refusal {
    pub fn name(self) -> &'static str {
        match self {
            Refusal::LocalOnly => "local_only",
            Refusal::Budget => "budget",
            Refusal::Secret => "secret",
            Refusal::Recursion => "recursion",
            Refusal::NoProvider => "no_provider",
            Refusal::Scope => "scope",
            Refusal::Deadline => "deadline",
            Refusal::Canceled => "canceled",
            Refusal::NoSnapshot => "no_snapshot",
        }
    }
}

impl FailureClass {
    pub const ALL: [FailureClass; 5] = [
        FailureClass::Empty,
        FailureClass::Truncated,
        FailureClass::Unparsable,
        FailureClass::Timeout,
        FailureClass::Server,
    ];

    pub fn name(self) -> &'static str {
        match self {
            FailureClass::Empty => "empty",
            FailureClass::Truncated => "truncated",
            FailureClass::Unparsable => "unparsable",
            FailureClass::Timeout => "timeout",
            FailureClass::Server => "server",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Verified => f.write_str("verified"),
            Reason::Confident => f.write_str("confident"),
            Reason::Unproven => f.write_str("unproven"),
            Reason::Unverified => f.write_str("unverified"),
            Reason::Requested => f.write_str("requested"),
            Reason::LocalDown => f.write_str("local_down"),
            Reason::Complexity(word) => write!(f, "complexity:{word}"),
            Reason::LowConfidence => f.write_str("low_confidence"),
            Reason::VerifyFailed => f.write_str("verify_failed"),
            Reason::ContextOverflow => f.write_str("context_overflow"),
            Reason::LocalFailed(class) => write!(f, "local_failed:{}", class.name()),
        }
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> String {
        reason.to_string()
    }
}

impl TryFrom<String> for Reason {
    type Error = String;

    fn try_from(text: String) -> Result<Reason, String> {
        if let Some(word) = text.strip_prefix("complexity:") {
            return Ok(Reason::Complexity(word.to_string()));
        }
        if let Some(name) = text.strip_prefix("local_failed:") {
            let class = FailureClass::ALL.into_iter().find(|class| class.name() == name);
            return class.map(Reason::LocalFailed).ok_or(text);
        }
        Ok(match text.as_str() {
            "verified" => Reason::Verified,
            "confident" => Reason::Confident,
            "unproven" => Reason::Unproven,
            "unverified" => Reason::Unverified,
            "requested" => Reason::Requested,
            "local_down" => Reason::LocalDown,
            "low_confidence" => Reason::LowConfidence,
            "verify_failed" => Reason::VerifyFailed,
            "context_overflow" => Reason::ContextOverflow,
            _ => return Err(text),
        })
    }
}

impl Failure {
    /// Returns the class for `local_failed:CLASS`. An overflow has a reason of its own and counts as a server's failure here.
    pub fn class(&self) -> FailureClass {
        match self {
            Failure::Empty | Failure::ReasoningOnly | Failure::Declined { .. } => FailureClass::Empty,
            Failure::Cut => FailureClass::Truncated,
            Failure::Unusable { .. }
            | Failure::Unchanged
            | Failure::Unseen { .. }
            | Failure::RefusedPath { .. }
            | Failure::ToolCalls => FailureClass::Unparsable,
            Failure::Timeout { .. } => FailureClass::Timeout,
            Failure::Cloud { class, .. } => match class {
                CloudClass::Empty => FailureClass::Empty,
                CloudClass::Malformed => FailureClass::Unparsable,
                CloudClass::Timeout => FailureClass::Timeout,
                CloudClass::Denied
                | CloudClass::Auth
                | CloudClass::RateLimited { .. }
                | CloudClass::Quota { .. }
                | CloudClass::ModelMissing
                | CloudClass::ContextTooLong
                | CloudClass::Server
                | CloudClass::Network
                | CloudClass::Killed => FailureClass::Server,
            },
            Failure::Down { .. }
            | Failure::Http { .. }
            | Failure::Protocol { .. }
            | Failure::Server { .. }
            | Failure::NoModel { .. }
            | Failure::ContentFilter
            | Failure::ContextOverflow { .. }
            | Failure::Disk { .. }
            | Failure::Stopped { .. } => FailureClass::Server,
        }
    }

    /// Returns whether another local try may do better: the model answered, but not well.
    pub fn may_improve(&self) -> bool {
        match self {
            Failure::Empty
            | Failure::ReasoningOnly
            | Failure::Declined { .. }
            | Failure::Cut
            | Failure::ToolCalls
            | Failure::Unusable { .. }
            | Failure::Unchanged
            | Failure::Unseen { .. }
            | Failure::RefusedPath { .. } => true,
            Failure::Down { .. }
            | Failure::Timeout { .. }
            | Failure::Http { .. }
            | Failure::Protocol { .. }
            | Failure::Server { .. }
            | Failure::NoModel { .. }
            | Failure::ContentFilter
            | Failure::ContextOverflow { .. }
            | Failure::Disk { .. }
            | Failure::Stopped { .. }
            | Failure::Cloud { .. } => false,
        }
    }
}

impl fmt::Display for Failure {
    /// One line for people. Texts from outside are escaped where they are printed, not here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Down { why } => write!(f, "the model server is down: {why}"),
            Failure::Timeout { phase, after_ms } => {
                let seconds = *after_ms as f64 / 1000.0;
                match phase {
                    Phase::Connect => write!(f, "no connection within {seconds:.1} s"),
                    Phase::FirstToken => write!(f, "no token within {seconds:.1} s"),
                    Phase::Idle => write!(f, "the stream stood still for {seconds:.1} s"),
                    Phase::Overall => write!(f, "the deadline passed after {seconds:.1} s"),
                    Phase::Queue => write!(f, "still queued behind other callers after {seconds:.1} s"),
                }
            }
            Failure::Http { status, message } if message.is_empty() => write!(f, "the server answered {status}"),
            Failure::Http { status, message } => write!(f, "the server answered {status}: {message}"),
            Failure::Protocol { why } => write!(f, "the server's reply is not usable: {why}"),
            Failure::Server { message } => write!(f, "the server failed: {message}"),
            Failure::NoModel { why } => write!(f, "no model: {why}"),
            Failure::Empty => f.write_str("the reply is empty"),
            Failure::ReasoningOnly => f.write_str("the reply is all reasoning, without an answer"),
            Failure::Cut => f.write_str("the reply was cut by the token limit"),
            Failure::ContentFilter => f.write_str("the server's content filter held the reply back"),
            Failure::ToolCalls => f.write_str("the model asked for tools instead of answering"),
            Failure::Declined { quote } => write!(f, "the model declined: {quote}"),
            Failure::ContextOverflow { window: 0, .. } => f.write_str("the task does not fit the model's window"),
            Failure::ContextOverflow { needed: 0, window } => {
                write!(f, "the task does not fit the model's window of {window} tokens")
            }
            Failure::ContextOverflow { needed, window } => {
                write!(f, "the task needs {needed} tokens and the model's window has {window}")
            }
            Failure::Unusable { fault } => write!(f, "the reply holds no usable changes: {fault}"),
            Failure::Unchanged => f.write_str("the reply changes nothing"),
            Failure::Unseen { paths } => write!(f, "the reply rewrites {paths} without having seen it"),
            Failure::RefusedPath { path, rule } => write!(f, "refused to write `{path}`: {rule}"),
            Failure::Disk { why } => write!(f, "the files could not be written: {why}"),
            Failure::Stopped { why } => write!(f, "stopped: {}", why.name()),
            Failure::Cloud { class, message } if message.is_empty() => f.write_str(class.name()),
            Failure::Cloud { class, message } => write!(f, "{}: {message}", class.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_cli_is_a_plain_word_in_the_ledger() {
        for name in ["claude", "codex", "gemini", "agy"] {
            let asked = Asked::parse(name).unwrap();
            let provider = asked.provider().unwrap();
            assert_eq!((Some(provider), provider.name()), (Provider::named(name), name));
            for json in [
                serde_json::to_string(&asked).unwrap(),
                serde_json::to_string(&provider).unwrap(),
                serde_json::to_string(&provider.route()).unwrap(),
                serde_json::to_string(provider.route().name()).unwrap(),
            ] {
                assert_eq!(json, format!("\"{name}\""));
            }
            let json = format!("\"{name}\"");
            assert_eq!(serde_json::from_str::<Asked>(&json).unwrap(), asked);
            assert_eq!(serde_json::from_str::<Provider>(&json).unwrap(), provider);
            assert_eq!(serde_json::from_str::<Route>(&json).unwrap(), provider.route());
        }
        assert_eq!(serde_json::from_str::<Route>("\"none\"").unwrap(), Route::None);
        assert!(serde_json::from_str::<Route>("\"No Such\"").is_err());
        assert_eq!(Asked::parse("cloud").and_then(Asked::provider), None);
    }
}
