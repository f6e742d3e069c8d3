//! The one way to end waiting: a flag that signals and clients set, and a deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How often every wait looks at its [`Stop`], at the latest.
pub const TICK: Duration = Duration::from_millis(50);

/// Why work has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// A signal: 1 (HUP), 2 (INT) or 15 (TERM).
    Signal(u8),
    /// The client that asked has taken its question back.
    Canceled,
    /// The deadline of the whole run has passed.
    Deadline,
}

/// Passed down into everything that waits. Clones share the flag; [`Stop::until`] narrows the deadline only.
#[derive(Clone, Debug)]
pub struct Stop {
    why: Arc<AtomicUsize>,
    deadline: Instant,
}

/// Value of the flag for a client's cancellation; signals are stored as their number.
const CANCELED: usize = 256;

impl Stop {
    /// Makes a stop that fires at `deadline` unless its flag is set earlier.
    pub fn at(deadline: Instant) -> Stop {
        Stop { why: Arc::new(AtomicUsize::new(0)), deadline }
    }

    /// Returns the flag itself: 0 while work may go on, else a signal number. `main` hands it to the signal handlers.
    pub fn flag(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.why)
    }

    /// Returns the same stop with a deadline that is `deadline` or the present one, whichever is earlier.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Stop {
        Stop { why: Arc::clone(&self.why), deadline: self.deadline.min(deadline) }
    }

    /// Takes the work back, as a client does.
    pub fn cancel(&self) {
        self.why.store(CANCELED, Ordering::SeqCst);
    }

    /// Returns why work has to end now, or `None` while it may go on.
    pub fn reason(&self) -> Option<StopReason> {
        match self.why.load(Ordering::SeqCst) {
            0 if Instant::now() >= self.deadline => Some(StopReason::Deadline),
            0 => None,
            CANCELED => Some(StopReason::Canceled),
            signal => Some(StopReason::Signal(u8::try_from(signal).unwrap_or(15))),
        }
    }

    /// Returns the exit code of the signal that has ended the work, if one has.
    pub fn signal_code(&self) -> Option<u8> {
        match self.reason() {
            Some(StopReason::Signal(signal)) => Some(128 + signal),
            Some(StopReason::Canceled | StopReason::Deadline) | None => None,
        }
    }

    /// Returns whether someone (not the clock) has ended the work.
    pub fn is_called(&self) -> bool {
        self.why.load(Ordering::SeqCst) != 0
    }

    /// Returns the deadline.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Returns how long a wait may block before it must look again: the time left, at most [`TICK`].
    pub fn tick(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).min(TICK)
    }

    /// Sleeps for `time`, or less when work has to end earlier. Returns why, if so.
    pub fn sleep(&self, time: Duration) -> Option<StopReason> {
        let end = Instant::now() + time;
        loop {
            if let Some(reason) = self.reason() {
                return Some(reason);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            std::thread::sleep(left.min(self.tick()));
        }
    }
}
