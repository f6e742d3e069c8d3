//! How a run ended: the values that the faces print.

use crate::rules::context::Why;
use crate::rules::forecast::Forecast;
use crate::words::changes::{FileOp, Op};
use crate::words::error::Error;
use crate::words::record::RunRecord;
use crate::words::task::{Asked, Attempt, Failure, Kind, Proof, Reason, Refusal};
use std::path::PathBuf;

/// A finished run, success or not.
#[derive(Debug)]
pub struct Outcome {
    pub record: RunRecord,
    /// What verification said; `None` where nothing came to be verified (an answer, no usable reply).
    pub proof: Option<Proof>,
    /// The answer; for a change what the model said, or why it was not done.
    pub output: String,
    /// What the reader of the reply repaired, what could not be shown, what was healed.
    pub notes: Vec<String>,
    /// Commands that the model proposed. Never run.
    pub proposed: Vec<String>,
    /// The unified diff: of a preview, or of the best failed try.
    pub diff: Option<String>,
    /// What to do about a failure, one line each.
    pub hints: Vec<String>,
    pub exit: u8,
    /// Set when the work was done but not recorded.
    pub unlogged: Option<Error>,
}

/// What `--dry-run` shows.
#[derive(Debug)]
pub struct Plan {
    pub kind: Kind,
    /// Whether the text left the kind open.
    pub ambiguous: bool,
    pub workdir: PathBuf,
    pub missing: bool,
    pub context: Vec<PlannedFile>,
    pub to_create: Vec<String>,
    pub context_tokens: u64,
    pub verification: Vec<String>,
    /// How long a local try would take, where the pace of the model is known.
    pub expected: Option<Forecast>,
    pub first_step: String,
    pub notes: Vec<String>,
}

/// A file that the model would be shown.
#[derive(Debug)]
pub struct PlannedFile {
    pub path: String,
    pub bytes: usize,
    pub why: Why,
    /// Which lines, where not all of them.
    pub lines: Option<String>,
}

impl Outcome {
    /// Counts the files of an operation.
    pub fn count(&self, op: Op) -> usize {
        self.record.files.iter().filter(|file: &&FileOp| file.op == op).count()
    }
}

/// Returns the exit code of a run that ended by a decision: 0 done, 1 not done, 3 when the files could not be written,
/// which no other try and no other model mends, 4 when policy allowed no attempt at all.
pub fn exit_code(accepted: bool, reason: &Reason, refused: Option<Refusal>, asked: Asked, attempts: &[Attempt]) -> u8 {
    if accepted {
        return u8::from(*reason == Reason::LowConfidence);
    }
    if is_unwritable(attempts) {
        return 3;
    }
    let by_policy = match refused {
        Some(
            Refusal::LocalOnly
            | Refusal::Budget
            | Refusal::Secret
            | Refusal::Recursion
            | Refusal::Scope
            | Refusal::NoSnapshot,
        ) => true,
        Some(Refusal::NoProvider | Refusal::Deadline | Refusal::Canceled) | None => false,
    };
    let cloud_only = !matches!(asked, Asked::Auto | Asked::Local);
    if by_policy && cloud_only && attempts.is_empty() { 4 } else { 1 }
}

/// Whether the last try failed because files could not be written: a full disk, a read-only directory.
pub fn is_unwritable(attempts: &[Attempt]) -> bool {
    attempts.last().is_some_and(|attempt| matches!(attempt.failure, Some(Failure::Disk { .. })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::task::{FailureClass, Route};

    #[track_caller]
    fn check(failure: Failure, exit: u8) {
        let reason = Reason::LocalFailed(failure.class());
        let attempt = Attempt { failure: Some(failure), ..Attempt::on(Route::Local, "m".into()) };
        assert_eq!(exit_code(false, &reason, Some(Refusal::NoProvider), Asked::Auto, &[attempt]), exit);
    }

    #[test]
    fn what_could_not_be_written_is_an_io_error_and_what_the_model_did_is_a_result() {
        check(Failure::Disk { why: "No space left on device".into() }, 3);
        check(Failure::Empty, 1);
        check(Failure::Server { message: "out of memory".into() }, 1);
        let reason = Reason::LocalFailed(FailureClass::Server);
        assert_eq!(exit_code(false, &reason, Some(Refusal::LocalOnly), Asked::Cloud, &[]), 4);
    }
}
