//! The words of a call to a cloud CLI: how its process ended, what it replied, or why there is no reply.

use crate::words::task::Failure;
use serde::Serialize;

/// How the process of a CLI ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Code(i32),
    /// Killed by someone else, or crashed.
    Signal(i32),
    /// Killed by mux at the deadline of the call.
    TimedOut,
    /// Killed by mux because nothing came for too long.
    Silent,
    /// Ended by mux: what it said meant that nothing would come of it.
    Lost,
    /// Killed by mux because work was called off.
    Stopped,
    /// Not there, not executable.
    NotStarted(String),
}

/// What a CLI replied. Whether the files really changed is for the engine to see: all three end with 0 when every write
/// was denied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CloudReply {
    /// Not blank.
    pub text: String,
    /// `None` where the CLI does not say (codex): then it is the one that was asked for.
    pub model: Option<String>,
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    /// By the CLI's own list price (claude); `None` where it does not say.
    pub cost_usd: Option<f64>,
    pub session: Option<String>,
    /// What the model wanted and the CLI did not let it do, one line each, as far as the CLI says.
    pub denied: Vec<String>,
}

/// Why a call gave no reply.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudFailure {
    pub class: CloudClass,
    /// What the CLI said, bounded; not yet escaped.
    pub message: String,
    pub model: Option<String>,
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    /// A call that failed may have cost something all the same.
    pub cost_usd: Option<f64>,
}

/// The class of a failed call, as the ledger names it. `until` is in seconds from the end of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "class", rename_all = "snake_case")]
pub enum CloudClass {
    /// The CLI, or a limit of the call (turns, dollars), did not allow what the task needs.
    Denied,
    /// Not logged in, or the login is refused.
    Auth,
    /// Too many requests for now.
    RateLimited {
        until: Option<u64>,
    },
    /// The plan's or the day's share is used up.
    Quota {
        until: Option<u64>,
    },
    ModelMissing,
    ContextTooLong,
    /// The provider failed or is overloaded.
    Server,
    /// The provider was not reached, or the connection broke.
    Network,
    Timeout,
    /// The CLI was killed, or crashed.
    Killed,
    /// What the CLI printed is not what it prints when it replies.
    Malformed,
    /// The CLI ended well and said nothing.
    Empty,
}

/// What a CLI is doing right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has begun; the model, where the CLI says which.
    Began { model: Option<String> },
    /// The model wrote text; its first line, bounded.
    Said(String),
    /// The model uses a tool; its name or its command, bounded.
    Tool(String),
    /// The CLI tries again by itself; why, bounded.
    Retrying(String),
}

impl CloudClass {
    pub fn name(self) -> &'static str {
        match self {
            CloudClass::Denied => "denied",
            CloudClass::Auth => "auth",
            CloudClass::RateLimited { .. } => "rate_limited",
            CloudClass::Quota { .. } => "quota",
            CloudClass::ModelMissing => "model_missing",
            CloudClass::ContextTooLong => "context_too_long",
            CloudClass::Server => "server",
            CloudClass::Network => "network",
            CloudClass::Timeout => "timeout",
            CloudClass::Killed => "killed",
            CloudClass::Malformed => "malformed",
            CloudClass::Empty => "empty",
        }
    }
}

impl From<&CloudFailure> for Failure {
    fn from(failure: &CloudFailure) -> Failure {
        Failure::Cloud { class: failure.class, message: failure.message.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(class: CloudClass, json: &str) {
        let failure = Failure::Cloud { class, message: "m".to_string() };
        assert_eq!(serde_json::to_string(&failure).unwrap(), json);
    }

    #[test]
    fn the_ledger_holds_the_class_beside_the_message() {
        check(CloudClass::Auth, r#"{"kind":"cloud","class":"auth","message":"m"}"#);
        let limited = r#"{"kind":"cloud","class":"rate_limited","until":60,"message":"m"}"#;
        check(CloudClass::RateLimited { until: Some(60) }, limited);
        check(CloudClass::Quota { until: None }, r#"{"kind":"cloud","class":"quota","until":null,"message":"m"}"#);
    }

    #[test]
    fn a_class_has_the_same_name_in_code_and_in_the_ledger() {
        for class in [
            CloudClass::Denied,
            CloudClass::Auth,
            CloudClass::RateLimited { until: None },
            CloudClass::Quota { until: None },
            CloudClass::ModelMissing,
            CloudClass::ContextTooLong,
            CloudClass::Server,
            CloudClass::Network,
            CloudClass::Timeout,
            CloudClass::Killed,
            CloudClass::Malformed,
            CloudClass::Empty,
        ] {
            assert_eq!(serde_json::to_value(class).unwrap()["class"], class.name());
        }
    }
}
