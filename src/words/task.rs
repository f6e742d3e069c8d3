//! The words of a task: what was asked, where a try runs, how it ended, what to do next and why.

pub use crate::words::failure::{Failure, FailureClass, Phase};
pub use crate::words::route::{Asked, Provider, Route};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a task wants. Recorded; `undo` is never decided from a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Cli,
    Mcp,
    Hook,
}

/// Why `route` was chosen: for `local` the acceptance, for a provider the trigger of the last escalation, for `none`
/// the last failure. One vocabulary everywhere; `Display` is its spelling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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

/// What verification said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    /// How many examples hold, where they are all there is: then `verdict` is `Skipped`.
    pub examples: usize,
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
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// 0 to 1.
    pub value: f64,
    /// Whether it rests on little (prose, no log-probabilities): neither proof nor evidence.
    pub weak: bool,
}

/// The form in which a model is asked for files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Each new or changed file, complete.
    #[default]
    Whole,
    /// Search and replacement blocks.
    Edits,
}

/// One try on one route, as it is recorded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attempt {
    pub route: Route,
    pub model: String,
    /// Of a provider; never the prompt.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
    pub duration_ms: u64,
    pub ttft_ms: Option<u64>,
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    pub tokens_per_sec: Option<f64>,
    /// How long the try was expected to take, where the pace of the model was known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted_ms: Option<u64>,
    pub failure: Option<Failure>,
    pub verdict: Option<Verdict>,
    pub confidence: Option<f64>,
    /// The id of the weights that it was scored with; absent when unscored, and in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// Named terms of the score.
    pub signals: BTreeMap<String, f64>,
    /// The form that files were asked for in; absent for an answer, and in older records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
    /// How many edits of the reply were applied in which way: `exact`, `blanks`, `shifted`, `alike`, `again`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub edits: BTreeMap<String, u64>,
    /// What of a change was left out, because the checks were red with it: then `verdict` speaks of the rest, and the reply
    /// as a whole was wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
    pub cost_usd: Option<f64>,
}

/// How the last try ended, as far as the policy cares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
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
    /// A provider advised, what it said could not be made into a change yet, and another local try may do it.
    Advised,
}

/// How far a run has come. Each step needs evidence from the one before; a step is taken at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cloud {
    /// Nobody has looked: nothing that was decided depends on it.
    Unknown,
    Open(Provider),
    Refused(Refusal),
}

/// Whether the cloud may write after local tries failed (`workflow.allow_sota_write_fallback`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Hands {
    Allowed,
    /// Not configured; a person at a terminal is asked.
    Ask,
    Never,
}

/// The settings that decide, one bool for each switch of the configuration. Recorded with every run, so that its route can be replayed.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the configuration")]
#[derive(Clone, Debug, PartialEq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<Score>,
    pub cloud: Cloud,
    /// What the user answered when asked whether the cloud may write; `None` before that.
    pub hands_answer: Option<bool>,
    /// Set when the run has to end.
    pub stopped: Option<Refusal>,
    /// Set while the local model cannot end a try before the deadline, as far as its pace is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late: Option<Late>,
}

/// A prediction beside what is left of the time. The least, because only a try that is hopeless is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Late {
    /// What the quickest tenth of such tries would take.
    pub least_ms: u64,
    /// From the decision to the deadline.
    pub left_ms: u64,
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

impl Attempt {
    /// Returns the part of the predicted time that was not waited for, in milliseconds, where the reply was given up.
    pub fn saved_ms(&self) -> Option<u64> {
        let is_hopeless = matches!(self.failure, Some(Failure::Hopeless { .. }));
        self.predicted_ms.filter(|_| is_hopeless)?.checked_sub(self.duration_ms)
    }

    /// A try of which no more is known yet than who is asked.
    pub fn on(route: Route, model: String) -> Attempt {
        Attempt {
            route,
            model,
            argv: Vec::new(),
            duration_ms: 0,
            ttft_ms: None,
            prompt_tokens: None,
            completion_tokens: None,
            tokens_per_sec: None,
            predicted_ms: None,
            failure: None,
            verdict: None,
            confidence: None,
            weights: None,
            signals: BTreeMap::new(),
            form: None,
            edits: BTreeMap::new(),
            left_out: None,
            cost_usd: None,
        }
    }

    /// Records a score and what it is made of.
    pub fn scored(&mut self, score: Score, signals: BTreeMap<String, f64>, weights: &str) {
        self.confidence = Some(score.value);
        self.signals = signals;
        self.weights = Some(weights.to_string());
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

impl Form {
    pub fn name(self) -> &'static str {
        match self {
            Form::Whole => "whole",
            Form::Edits => "edits",
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
