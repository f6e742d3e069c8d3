//! What is said to a model and what comes back.

use crate::words::failure::Failure;
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
    /// It said one block again and again and was not waited for: bytes of the block, how often it came, and the characters
    /// of the reply by then.
    Looped { block: u64, times: u64, after: u64 },
}

impl Finish {
    /// Returns why a reply with this end is none by itself.
    pub fn failure(self) -> Option<Failure> {
        match self {
            Finish::Stop => None,
            Finish::Length => Some(Failure::Cut),
            Finish::Looped { block, times, after } => Some(Failure::Looped { block, times, after }),
        }
    }
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

impl Reply {
    /// Returns a reply that has come to its end by itself.
    ///
    /// # Errors
    /// `Cut` and `Looped`.
    pub fn whole(self) -> Result<Reply, Failure> {
        match self.finish.failure() {
            Some(failure) => Err(failure),
            None => Ok(self),
        }
    }

    /// Returns the first `bytes` of a reply, with their tokens.
    #[must_use]
    pub fn up_to(mut self, bytes: usize) -> Reply {
        let bytes = self.text.floor_char_boundary(bytes);
        self.text.truncate(bytes);
        let mut at = 0;
        self.tokens.retain(|token| {
            at += token.bytes as usize;
            at <= bytes
        });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_reply_has_its_own_tokens() {
        let token = |bytes: u32| Token { bytes, logprob: -f64::from(bytes), runner_up: None };
        let reply = Reply {
            text: "é = 1\nrest".to_string(),
            reasoning_bytes: 0,
            finish: Finish::Looped { block: 4, times: 9, after: 40 },
            model: "m".to_string(),
            prompt_tokens: None,
            completion_tokens: None,
            tokens: [2, 3, 2, 4].map(token).to_vec(),
            first_token: Duration::ZERO,
            duration: Duration::ZERO,
        };
        assert_eq!(reply.clone().whole(), Err(Failure::Looped { block: 4, times: 9, after: 40 }));
        let first = reply.clone().up_to(7);
        assert_eq!((first.text.as_str(), first.tokens.len()), ("é = 1\n", 3));
        let inside = reply.up_to(1);
        assert_eq!((inside.text.as_str(), inside.tokens.len()), ("", 0), "a character is not cut");
    }
}
