//! How long a command may take.

use super::Command;
use std::time::Duration;

impl Command {
    /// Returns how long the command may take as a whole; `None` where it does not say.
    pub fn limit(&self) -> Option<Duration> {
        if let Command::Run(run) = self {
            run.deadline_sec.map(Duration::from_secs)
        } else if let Command::Bench { .. } = self {
            // Each task has a deadline of its own.
            Some(Duration::from_hours(24))
        } else if matches!(self, Command::Log { args, .. } if args.follow) {
            // Until a signal comes.
            Some(Duration::from_hours(24 * 365 * 100))
        } else {
            None
        }
    }
}
