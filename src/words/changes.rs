//! What a reply wants to change on disk.

use serde::Serialize;
use std::collections::BTreeMap;

/// One file to write or delete. The path is as the model wrote it: nothing has been checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Creates the file or replaces all of it.
    Write { path: String, content: String },
    /// Removes the file.
    Delete { path: String },
}

impl Change {
    /// Returns the path as the model wrote it.
    pub fn path(&self) -> &str {
        match self {
            Change::Write { path, .. } | Change::Delete { path } => path,
        }
    }
}

/// All that one reply wants, in order, each path once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeSet {
    pub changes: Vec<Change>,
    /// What the reader had to repair or choose, said to the user ("took the last of 2 blocks for `a.py`").
    pub notes: Vec<String>,
    /// How many edits were applied in which way; empty when only whole files came.
    pub edits: BTreeMap<String, u64>,
    /// What of the reply is not in it, because the checks were red with it: `line 3 of a.py`.
    pub left_out: Option<String>,
    /// Commands that the model proposed: shown, never run.
    pub commands: Vec<String>,
    /// What the model said around the files; shown to people after escaping.
    pub summary: String,
}

/// What was done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    Create,
    Change,
    Delete,
}

/// One file operation as it is recorded: in the journal, the ledger and the result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileOp {
    /// Relative to the work directory, `/` between components.
    pub path: String,
    pub op: Op,
    /// SHA-256 in hex before and after; `None` where the file was or is absent. Of a symbolic link, `link:` and the
    /// SHA-256 of its target; where only permissions changed, `+` and these in octal follow.
    pub before: Option<String>,
    pub after: Option<String>,
    /// Size after, in bytes.
    pub bytes: u64,
}
