//! Why a try gave nothing usable: a variant, never a string that means something, with its line for people.

use crate::words::cloud::CloudClass;
use crate::words::count::Count;
use crate::words::task::Refusal;
use serde::Serialize;
use std::fmt;

/// The class of a failed local try, as it appears in `local_failed:CLASS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureClass {
    Empty,
    Truncated,
    Unparsable,
    Timeout,
    Server,
    /// The files could not be written.
    Disk,
    /// The work was called off: a signal, or a client that canceled.
    Canceled,
}

/// The phase of a call that ran out of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    /// The reply was one block again and again, and was not waited for; bytes of the block, how often it came, and the
    /// characters of the reply by then.
    Looped {
        block: u64,
        times: u64,
        after: u64,
    },
    /// The reply became too unlikely to be right, and was not waited for: nats below certainty over its worst block of
    /// code, and the tokens by then.
    Hopeless {
        nats: u64,
        tokens: u64,
    },
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
    /// A file of the reply does not parse, and what its language's own checker says.
    Syntax {
        path: String,
        why: String,
    },
    /// Every file in the reply is the same as before.
    Unchanged,
    /// The reply rewrites files that exist and that the model has not seen; they are shown to it now.
    Unseen {
        paths: String,
    },
    /// Somebody saved the file while the model wrote; it is shown again as it is now.
    Stale {
        path: String,
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

impl FailureClass {
    pub const ALL: [FailureClass; 7] = [
        FailureClass::Empty,
        FailureClass::Truncated,
        FailureClass::Unparsable,
        FailureClass::Timeout,
        FailureClass::Server,
        FailureClass::Disk,
        FailureClass::Canceled,
    ];

    pub fn name(self) -> &'static str {
        match self {
            FailureClass::Empty => "empty",
            FailureClass::Truncated => "truncated",
            FailureClass::Unparsable => "unparsable",
            FailureClass::Timeout => "timeout",
            FailureClass::Server => "server",
            FailureClass::Disk => "disk",
            FailureClass::Canceled => "canceled",
        }
    }
}

impl Failure {
    /// Returns the class for `local_failed:CLASS`. An overflow has a reason of its own and counts as a server's failure here.
    pub fn class(&self) -> FailureClass {
        match self {
            Failure::Empty | Failure::ReasoningOnly | Failure::Declined { .. } => FailureClass::Empty,
            Failure::Cut | Failure::Looped { .. } | Failure::Hopeless { .. } => FailureClass::Truncated,
            Failure::Unusable { .. }
            | Failure::Syntax { .. }
            | Failure::Unchanged
            | Failure::Unseen { .. }
            | Failure::Stale { .. }
            | Failure::RefusedPath { .. }
            | Failure::ToolCalls => FailureClass::Unparsable,
            Failure::Timeout { .. } | Failure::Stopped { why: Refusal::Deadline } => FailureClass::Timeout,
            Failure::Stopped { .. } => FailureClass::Canceled,
            Failure::Disk { .. } => FailureClass::Disk,
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
            | Failure::ContextOverflow { .. } => FailureClass::Server,
        }
    }

    /// Returns whether another local try may do better: the model answered, but not well.
    pub fn may_improve(&self) -> bool {
        match self {
            Failure::Empty
            | Failure::ReasoningOnly
            | Failure::Declined { .. }
            | Failure::Cut
            | Failure::Looped { .. }
            | Failure::Hopeless { .. }
            | Failure::ToolCalls
            | Failure::Unusable { .. }
            | Failure::Syntax { .. }
            | Failure::Unchanged
            | Failure::Unseen { .. }
            | Failure::Stale { .. }
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
            Failure::Looped { block, times, after } => {
                let block = Count::of(*block, "byte");
                write!(
                    f,
                    "the reply repeated a block of {block} {times} times and was stopped after {after} characters"
                )
            }
            Failure::Hopeless { nats, tokens } => write!(
                f,
                "the reply was given up after {tokens} tokens: the model was so unsure of its code ({nats} nats below \
                 certainty) that none such was ever right"
            ),
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
            Failure::Syntax { path, why } => {
                let line = why.lines().find(|line| line.to_ascii_lowercase().contains("error"));
                write!(f, "`{path}` does not parse: {}", line.unwrap_or(why))
            }
            Failure::Unchanged => f.write_str("the reply changes nothing"),
            Failure::Stale { path } => write!(f, "`{path}` was saved by someone else meanwhile; nothing was written"),
            Failure::Unseen { paths } => write!(f, "the reply rewrites {paths} without having seen it"),
            Failure::RefusedPath { path, rule } => write!(f, "refused to write `{path}`: {rule}"),
            Failure::Disk { why } => write!(f, "the files could not be written: {why}"),
            Failure::Stopped { why } => write!(f, "stopped: {}", why.name()),
            Failure::Cloud { class, message } if message.is_empty() => f.write_str(class.name()),
            Failure::Cloud { class, message } => write!(f, "{}: {message}", class.name()),
        }
    }
}
