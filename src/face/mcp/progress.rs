//! What a run does right now, for the client's progress line: written by the run's thread, read by the owner.

use crate::face::watch::asking;
use crate::rules::escape::one_line;
use crate::words::count::Count;
use crate::words::event::{Event, Watcher};
use crate::words::task::Provider;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The longest message, in characters; more is cut.
const LONGEST: usize = 200;

const GENERATING: &str = "generating";
/// Notes that are kept.
const MOST_NOTES: usize = 20;

/// A phase and how often it has changed. Clones are the same.
#[derive(Clone)]
pub struct Phase(Arc<Mutex<(u64, String)>>);

/// The watcher of a run that a client asked for. Keeps the notes for its result: a client has nowhere else to show them.
pub struct Reporter {
    phase: Phase,
    pub notes: Vec<String>,
}

impl Reporter {
    pub fn new(phase: Phase) -> Reporter {
        Reporter { phase, notes: Vec::new() }
    }
}

impl Phase {
    pub fn new(text: &str) -> Phase {
        Phase(Arc::new(Mutex::new((0, text.to_string()))))
    }

    /// Returns the number of the phase and its text.
    pub fn now(&self) -> (u64, String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes on to another phase.
    pub fn begin(&self, text: &str) {
        self.set(&one_line(text), |_| true);
    }

    fn set(&self, text: &str, is_new: impl Fn(&str) -> bool) {
        let mut phase = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        phase.0 += u64::from(is_new(&phase.1));
        phase.1 = text.chars().take(LONGEST).collect();
    }
}

impl Watcher for Reporter {
    fn event(&mut self, event: &Event<'_>) {
        let text = match event {
            Event::Finding => "looking for the model server".to_string(),
            Event::Queued { ahead } => format!("queued, {ahead} ahead at the model server"),
            Event::DirBusy { holder } => format!("waiting: run {holder} holds the work directory"),
            Event::Asking { model, attempt, expected, .. } => asking(model, *attempt, *expected),
            Event::Generating { tokens, elapsed, .. } => {
                let rate = *tokens as f64 / elapsed.as_secs_f64().max(0.001);
                let text = format!("{GENERATING} · {tokens} tokens · {rate:.1} tokens/s");
                return self.phase.set(&text, |before| !before.starts_with(GENERATING));
            }
            Event::Writing { files } => format!("writing {}", Count::of(*files, "file")),
            Event::Verifying { command } => format!("verifying: {command}"),
            Event::Working { provider, what } => format!("{}: {what}", provider.name()),
            Event::Escalating { provider, step, reason } => {
                format!("escalating to {} for {step}: {reason}", provider.name())
            }
            Event::Failed { route, attempt, why } => format!("{} try {attempt} failed: {why}", route.name()),
            Event::Note(text) => {
                if self.notes.len() < MOST_NOTES {
                    self.notes.push(one_line(text).into_owned());
                }
                (*text).to_string()
            }
            // No phase to be told at once: it lasts milliseconds, and a client that is told of it together with the
            // result may take it for progress of an unknown call (seen of the TypeScript SDK 1.32).
            Event::Done => return self.phase.set("writing the record", |_| false),
        };
        self.phase.begin(&text);
    }

    /// Nobody can be asked over a protocol that hands over tasks.
    fn allow_hands(&mut self, _provider: Provider, _deadline: Instant) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_run_is_no_phase_of_its_own() {
        let phase = Phase::new("starting");
        let mut reporter = Reporter::new(phase.clone());
        reporter.event(&Event::Writing { files: 1 });
        assert_eq!(phase.now(), (1, "writing 1 file".to_string()));
        reporter.event(&Event::Done);
        assert_eq!(phase.now(), (1, "writing the record".to_string()));
    }
}
