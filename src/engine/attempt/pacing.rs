//! What a run knows of the pace of its model, and what it adds to that.

use crate::engine::attempt::ask::{is_window, millis};
use crate::engine::run::House;
use crate::rules::confidence::Usual;
use crate::rules::forecast::{Call, Forecast, Pace, Window};
use crate::sys::state::paces::Paces;
use crate::words::chat::{Finish, Reply};
use crate::words::server::Server;
use crate::words::stop::Stop;
use crate::words::task::{Facts, Failure, Kind, Last, Late, Verdict};
use crate::words::time::Utc;
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// A shorter call teaches nothing: what is quick needs no prediction, and its run need not wait for a disk.
const SHORTEST: Duration = Duration::from_secs(1);

/// The pace of one model, for one kind of task. Without a kind nothing is foretold and nothing learned of its pace.
pub struct Pacing {
    paces: Paces,
    kind: Option<Kind>,
    now: Utc,
    known: RefCell<Pace>,
}

impl Pacing {
    /// Reads what is known of the model of a server.
    pub fn of(house: &House<'_>, kind: Option<Kind>, server: &Server) -> Pacing {
        let paces = Paces::below(house.state.dir());
        let known = RefCell::new(paces.known(&server.base_url, &server.model));
        Pacing { paces, kind, now: house.env.now, known }
    }

    /// Returns both times where a next local try, if there is one, cannot end before the deadline. `prompt`: its tokens,
    /// estimated only where something is known.
    pub fn late(&self, facts: &Facts, prompt: &dyn Fn() -> u64, stop: &Stop) -> Option<Late> {
        let is_next = match facts.last {
            Last::Nothing | Last::Advised => true,
            Last::Failed { again, .. } | Last::Change { verdict: Verdict::Failed, again, .. } => again,
            Last::Answer(_) | Last::Change { .. } | Last::Overflow | Last::Unapplied => false,
        };
        if !is_next || self.known.borrow().n_calls() == 0 {
            return None;
        }
        let least_ms = millis(self.forecast(prompt())?.least);
        let left_ms = millis(stop.deadline().saturating_duration_since(Instant::now()));
        (least_ms > left_ms).then_some(Late { least_ms, left_ms })
    }

    /// Returns how long a call with a prompt of so many estimated tokens will take.
    pub fn forecast(&self, prompt: u64) -> Option<Forecast> {
        self.known.borrow().forecast(prompt, self.kind?)
    }

    /// Returns how fast a call with a prompt of so many estimated tokens usually is.
    pub fn usual(&self, prompt: u64) -> Option<Usual> {
        self.known.borrow().usual(prompt)
    }

    /// Returns how many tokens of a prompt are surely read within a time.
    pub fn readable(&self, within: Duration) -> Option<u64> {
        self.known.borrow().readable(within)
    }

    /// Returns how many tokens fit, as earlier calls have shown it.
    pub fn window(&self) -> Option<u64> {
        self.known.borrow().window(self.now)
    }

    /// Learns from a call. `prompt`: as it was estimated; `told`: the window as the server says.
    pub fn learn(&self, server: &Server, prompt: u64, told: Option<u64>, reply: &Result<Reply, Failure>, stop: &Stop) {
        let now = |tokens: u64| Some(Window { tokens, seen: self.now });
        let before = self.known.borrow().window;
        let (window, call) = match reply {
            Ok(reply) if reply.finish != Finish::Stop && reply.completion_tokens.is_none() => return,
            Ok(reply) => {
                let reply_tokens = reply.completion_tokens.unwrap_or(reply.tokens.len() as u64);
                // A prompt that was read whole is no larger than the window, whatever a cut one once made believe.
                let counted = reply.prompt_tokens.unwrap_or(0);
                let window = told.and_then(now).or(before.filter(|window| counted <= window.tokens));
                let rest = reply.duration.saturating_sub(reply.first_token);
                let (first_ms, rest_ms) = (millis(reply.first_token), millis(rest));
                let call = Call { prompt, first_ms, reply: reply_tokens, rest_ms };
                let call = self.kind.map(|kind| (kind, call));
                (window, call.filter(|_| reply.duration >= SHORTEST))
            }
            // Another number is only what was left of a prompt, or what a server counts that still holds the rest of it.
            Err(Failure::ContextOverflow { window, .. }) if is_window(*window) => (now(*window), None),
            Err(_) => return,
        };
        let mut known = self.known.borrow_mut();
        let is_new = call.is_some() || told.is_none() && window != before;
        known.window = window;
        if let Some((kind, call)) = call {
            known.add(kind, call);
        }
        if is_new {
            // Knowledge that cannot be kept is gained again.
            let _ = self.paces.learn((&server.base_url, &server.model), window, call, self.now, stop);
        }
    }
}
