//! What is said to a model and what comes back.

use serde::Serialize;
use std::time::Duration;

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    System,
    User,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    pub role: Role,
    pub content: String,
}

/// What a call asks for besides its messages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ask {
    /// Longest reply, in tokens.
    pub max_tokens: u32,
    /// Sampling temperature, 0 is greedy.
    pub temperature: f64,
    /// Whether a thinking model may think; `false` asks the server to switch it off.
    pub thinking: bool,
    /// Below this the reply is not waited for.
    pub floor: Option<Floor>,
}

/// How unlikely code may become, token by token, before its reply is given up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Floor {
    /// The sum of the log-probabilities over the worst block of code, in nats, < 0.
    pub nats: f64,
    /// Tokens up to which that holds; a longer reply may fall in proportion.
    pub tokens: f64,
}

impl Floor {
    /// Returns the lowest sum of a reply of so many tokens that is still waited for, in nats.
    pub fn of(&self, tokens: f64) -> f64 {
        self.nats * (tokens / self.tokens).max(1.0)
    }
}

/// Why the model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It was done.
    Stop,
    /// It ran into `max_tokens` or the end of the context.
    Length,
}

/// One generated token as the server reported it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Token {
    /// Length of its text in bytes; joined in order the tokens give the reply (reasoning is left out).
    pub bytes: u32,
    /// Natural logarithm of its probability, ≤ 0.
    pub logprob: f64,
    /// The same for the best other choice, where the server told.
    pub runner_up: Option<f64>,
}

/// A complete reply. A reply that was cut or broken is a failure instead.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The text without reasoning.
    pub text: String,
    /// Bytes of reasoning that were stripped.
    pub reasoning_bytes: usize,
    pub finish: Finish,
    /// The model that answered, as the server names it.
    pub model: String,
    /// Token counts as the server reported them.
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    /// Empty where the server has no log-probabilities.
    pub tokens: Vec<Token>,
    /// From sending to the first token.
    pub first_token: Duration,
    /// From sending to the end.
    pub duration: Duration,
}
