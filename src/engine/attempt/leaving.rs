//! What a call takes to a model server on another machine: recorded before it begins, as a call of a cloud CLI is.
//!
//! **Invariant:** what cannot be recorded is not sent.

use crate::engine::attempt::ask::millis;
use crate::rules::config::Scope;
use crate::sys::http;
use crate::sys::ledger::egress::{Egress, Ended, Sending};
use crate::words::stop::Stop;
use crate::words::task::{Failure, Reason};
use crate::words::time::Utc;
use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the end of a call may take to be written, also when the run was called off in the meantime.
const TO_END: Duration = Duration::from_secs(5);
/// Numbers of these calls begin here; those of cloud CLIs begin at 1, and no run has a thousand.
const FIRST: u32 = 1001;

/// The record of what a run sends to a server.
pub struct Leaving {
    egress: Egress,
    run_id: String,
    base_url: String,
    /// When the run began, by its own clock and by that of the machine.
    begun: (Utc, Instant),
    next: Cell<u32>,
}

impl Leaving {
    /// Returns the record for a server; `None` for one on this machine.
    pub fn to(base_url: &str, state_dir: &Path, run_id: &str, now: Utc) -> Option<Leaving> {
        let (run_id, base_url) = (run_id.to_string(), http::is_remote(base_url).then(|| base_url.to_string())?);
        let egress = Egress::below(state_dir);
        Some(Leaving { egress, run_id, base_url, begun: (now, Instant::now()), next: Cell::new(FIRST) })
    }

    /// Makes a call that sends a text, between its two lines in the record.
    ///
    /// # Errors
    /// Those of the call; `Down` where it cannot be recorded.
    pub fn call<T>(&self, text: &str, stop: &Stop, send: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        let call = self.next.get();
        self.next.set(call + 1);
        let sending = Sending {
            run_id: &self.run_id,
            call,
            now: self.now(),
            provider: &self.base_url,
            step: "local",
            scope: Scope::Prompt,
            // Whoever names another machine has chosen it.
            reason: &Reason::Requested,
            workdir: Path::new(""),
            payload: text.as_bytes(),
            files: &[],
        };
        let id = self.egress.begin(&sending, stop).map_err(|error| Failure::Down { why: error.to_string() })?;
        let start = Instant::now();
        let result = send();
        let outcome = result.as_ref().err().map_or("ok", |failure| failure.class().name()).to_string();
        let ended = Ended { ts: self.now().to_string(), outcome, usd: None, duration_ms: millis(start.elapsed()) };
        // The call was made; without its end it stands as one that was cut off.
        let _ = self.egress.end(&id, &ended, &Stop::at(Instant::now() + TO_END));
        result
    }

    fn now(&self) -> Utc {
        let (then, instant) = self.begun;
        Utc(then.0.saturating_add(millis(instant.elapsed())))
    }
}
