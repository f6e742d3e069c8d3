//! The ledger line: one compact JSON object for each run, versioned. Field order is the order in the file.

use crate::words::changes::FileOp;
use crate::words::task::{Attempt, CommandRun, Facts, Kind, Policy, Provider, Reason, Refusal, Route, Source};
use crate::words::time::Utc;
use serde::Serialize;

/// The version of [`RunRecord`]; raised when a reader of the old one would misread the new one.
pub const SCHEMA: u32 = 1;

/// One run. Task and output text stay out unless the user asked for them (`ledger.store_text`).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRecord {
    pub schema: u32,
    pub run_id: String,
    /// The run that this one took back; absent but for `undo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// Grows by one with every record; given by the ledger under its lock. Survives clock jumps.
    pub seq: u64,
    /// RFC 3339, UTC.
    pub timestamp: String,
    /// The same as `timestamp`, under the original's name.
    pub ts: String,
    pub source: Source,
    /// The git hook that this was; absent for what a person or a client asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<String>,
    pub kind: Kind,
    pub route: Route,
    pub reason: Reason,
    /// The escalation that was wanted but refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Reason>,
    pub refused: Option<Refusal>,
    pub model: String,
    /// 0 to 1; null when unscored.
    pub confidence: Option<f64>,
    /// Unicode scalars.
    pub task_length: u64,
    pub output_length: u64,
    pub task_sha256: String,
    pub workdir: String,
    pub runtime_status: RuntimeStatus,
    /// Attempts − 1.
    pub retries: u32,
    /// true: passed; false: failed; null: nothing proved it.
    pub verify_ok: Option<bool>,
    pub verify_summary: String,
    pub files: Vec<FileOp>,
    /// Files that are not what they were before the run, and not what it wrote either: they changed while it worked. What
    /// they held is kept for `mux undo`. Absent where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
    /// What the policy knew when it decided for the last time; null for records that no policy decided (`undo`).
    pub facts: Option<Facts>,
    /// The settings that it decided by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// What the policy knew at each step away from the local model, in order; absent when there was none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub escalations: Vec<Facts>,
    /// What took back a result that the policy had accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overruled: Option<Overruled>,
    /// What a review said that was asked for to measure, not to decide (`router.shadow`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
    pub attempts: Vec<Attempt>,
    pub commands: Vec<CommandRun>,
    pub cloud: CloudUse,
    /// The address of the model server, where that is another machine: the task and what was shown went there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// Locally verified ÷ all changes in the window (`ledger.summary_window`), as of the last change; null before the
    /// first one.
    pub local_impl_ratio: Option<f64>,
    /// Whole run, in milliseconds.
    pub duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// The model server at the time of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeStatus {
    Up,
    Down,
    Restarted,
    /// The run needed no model.
    Unused,
}

/// What can take back what the policy has accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Overruled {
    /// A review that stayed bad, or a forced one that nobody gave.
    Review,
    /// The files could not be kept.
    Disk,
}

/// The verdict of a cloud CLI on a result that was accepted at home. It changes nothing of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Shadow {
    pub provider: Provider,
    pub ok: bool,
}

/// What left the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CloudUse {
    pub calls: u64,
    pub bytes: u64,
    pub usd: f64,
    /// Whether a provider could read more than the bytes that mux sent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub at_least: bool,
}

impl CloudUse {
    /// Adds a call.
    pub fn add(&mut self, other: &CloudUse) {
        self.calls += other.calls;
        self.bytes += other.bytes;
        self.usd += other.usd;
        self.at_least |= other.at_least;
    }
}

impl RunRecord {
    /// Returns both time fields for a moment.
    pub fn stamps(now: Utc) -> (String, String) {
        let text = now.to_string();
        (text.clone(), text)
    }
}
