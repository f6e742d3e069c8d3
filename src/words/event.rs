//! What the engine tells whoever watches a run. The engine knows no face.

use crate::words::task::{Provider, Reason, Route};
use std::time::{Duration, Instant};

/// Something worth showing while a run goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// Looking for the model server.
    Finding,
    /// Waiting behind other mux processes; `ahead` of them are in front.
    Queued { ahead: usize },
    /// Waiting for a work directory that another run holds.
    DirBusy { holder: &'a str },
    /// Asking a model; no token yet. `expected`: how long the call will take, where that is known.
    Asking { route: Route, model: &'a str, attempt: u32, expected: Option<Duration> },
    /// Tokens are coming. `text` is what came since the last event.
    Generating { tokens: u64, elapsed: Duration, text: &'a str },
    /// Files are being written.
    Writing { files: usize },
    /// A verification command runs.
    Verifying { command: &'a str },
    /// A provider works; what it does right now, one line.
    Working { provider: Provider, what: &'a str },
    /// The next step is in the cloud; why.
    Escalating { provider: Provider, step: &'a str, reason: &'a Reason },
    /// A try gave nothing usable, or its proof failed; `why` is one line.
    Failed { route: Route, attempt: u32, why: &'a str },
    /// Anything else that the user should know, one line.
    Note(&'a str),
    /// The run is over: a live line is taken away.
    Done,
}

/// Sees a run and answers its one question.
pub trait Watcher {
    fn event(&mut self, event: &Event<'_>);

    /// Hears that what is generated from now on is an answer for the user, until the try has failed or the run is over.
    fn answering(&mut self) {}

    /// Returns the answer that the user has seen already, as it came.
    fn streamed(&self) -> Option<&str> {
        None
    }

    /// Whether there is somebody to ask.
    fn can_ask(&self) -> bool {
        false
    }

    /// Whether the answer to a question is yes. Nobody to ask is a no.
    fn agrees(&mut self, _question: &str, _deadline: Instant) -> bool {
        false
    }

    /// Whether the cloud may write files, asked where the configuration leaves it open.
    fn allow_hands(&mut self, provider: Provider, deadline: Instant) -> bool;
}
