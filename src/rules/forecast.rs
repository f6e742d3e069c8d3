//! How long a call of a model will take, from the calls before. Pure. Each past call says what this one would take at its
//! pace and with a reply of its length; a forecast is the middle of what they say, with its spread. No average: one call
//! that a busy machine made ten times as long must not count ten times.

use crate::rules::confidence::Usual;
use crate::rules::sorted::sorted;
use crate::words::task::Kind;
use crate::words::time::Utc;
use std::time::Duration;

/// Calls of a kind of task that are kept, the newest; a machine that has changed is soon known anew.
pub const MOST_CALLS: usize = 24;
/// Calls of a kind before anything is foretold.
const ENOUGH: usize = 3;
/// How long a window is believed, in milliseconds: a server may be started again with a larger one.
const BELIEVED_MS: u64 = 3_600_000;
/// Counted on top of each prompt, in tokens: what a server does before the first token is not in proportion to a short one.
const OVERHEAD: u64 = 200;
/// The part of what would be read in a time that surely is: the machine may be busier than it was.
const SPARE: (u128, u128) = (3, 4);

/// One call as it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The prompt as it was estimated, in tokens: that is what is known of the next one.
    pub prompt: u64,
    /// From sending to the first token.
    pub first_ms: u64,
    /// The reply, in tokens.
    pub reply: u64,
    /// From the first token to the end.
    pub rest_ms: u64,
}

/// What is known of a model on a server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pace {
    pub window: Option<Window>,
    /// The newest last.
    pub answers: Vec<Call>,
    pub changes: Vec<Call>,
}

/// How many tokens fit, prompt and reply together, as the server said or as its counts have shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub tokens: u64,
    pub seen: Utc,
}

/// How long a call is expected to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// A tenth of the calls would be quicker.
    pub least: Duration,
    pub likely: Duration,
    /// A tenth would be slower.
    pub most: Duration,
}

impl Call {
    /// Returns what a call with this prompt takes at the pace of this one.
    fn scaled(&self, prompt: u64) -> u64 {
        self.first(prompt).saturating_add(self.rest_ms)
    }

    /// Returns the milliseconds to the first token of a call with this prompt, at the pace of this one.
    fn first(&self, prompt: u64) -> u64 {
        let first = u128::from(self.first_ms) * u128::from(prompt + OVERHEAD) / u128::from(self.prompt + OVERHEAD);
        u64::try_from(first).unwrap_or(u64::MAX)
    }
}

impl Pace {
    /// Keeps a call; the oldest of its kind goes when there are too many.
    pub fn add(&mut self, kind: Kind, call: Call) {
        let calls = match kind {
            Kind::Answer | Kind::Undo => &mut self.answers,
            Kind::Change => &mut self.changes,
        };
        calls.push(call);
        let extra = calls.len().saturating_sub(MOST_CALLS);
        calls.drain(..extra);
    }

    /// Returns how many calls are known.
    pub fn n_calls(&self) -> usize {
        self.answers.len() + self.changes.len()
    }

    /// Returns how many tokens fit, where that was seen within the last hour.
    pub fn window(&self, now: Utc) -> Option<u64> {
        let is_fresh = |window: &Window| now.0.abs_diff(window.seen.0) < BELIEVED_MS;
        self.window.filter(is_fresh).map(|window| window.tokens)
    }

    /// Returns what a call with a prompt of so many estimated tokens will take; `None` where too little is known.
    pub fn forecast(&self, prompt: u64, kind: Kind) -> Option<Forecast> {
        let same = match kind {
            Kind::Answer | Kind::Undo => &self.answers,
            Kind::Change => &self.changes,
        };
        let times = sorted(same.iter().map(|call| call.scaled(prompt)).collect());
        let at = |tenths: usize| {
            let ms = times.get((times.len().saturating_sub(1) * tenths + 5) / 10);
            ms.map(|ms| Duration::from_millis(*ms))
        };
        if times.len() < ENOUGH {
            return None;
        }
        Some(Forecast { least: at(1)?, likely: at(5)?, most: at(9)? })
    }

    /// Returns how fast a call with a prompt of so many estimated tokens usually is: the middle of all calls, whatever the
    /// kind of their task; `None` where too little is known.
    pub fn usual(&self, prompt: u64) -> Option<Usual> {
        let calls = self.answers.iter().chain(&self.changes);
        let first = sorted(calls.map(|call| call.first(prompt)).collect());
        let first_ms = first.get(first.len() / 2).filter(|_| first.len() >= ENOUGH).copied()? as f64;
        Some(Usual { first_ms, tokens_per_sec: self.tokens_per_sec()? })
    }

    /// Returns how many tokens of a prompt are read within a time, with some to spare; `None` where too little is known.
    pub fn readable(&self, within: Duration) -> Option<u64> {
        let calls = self.answers.iter().chain(&self.changes).filter(|call| call.first_ms > 0);
        let read = |call: &Call| {
            within.as_millis().saturating_mul(u128::from(call.prompt.saturating_add(OVERHEAD)))
                / u128::from(call.first_ms)
        };
        let read = sorted(calls.map(read).collect());
        let tokens = read.get(read.len() / 2).filter(|_| read.len() >= ENOUGH)? / SPARE.1 * SPARE.0;
        Some(u64::try_from(tokens).unwrap_or(u64::MAX).saturating_sub(OVERHEAD))
    }

    /// Returns tokens a second, the middle of all calls; `None` before the first.
    pub fn tokens_per_sec(&self) -> Option<f64> {
        let rates = self.answers.iter().chain(&self.changes).filter(|call| call.rest_ms > 0 && call.reply > 1);
        let rates = sorted(rates.map(|call| call.reply.saturating_mul(1_000_000) / call.rest_ms).collect());
        rates.get(rates.len() / 2).map(|rate| *rate as f64 / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(prompt: u64, first_ms: u64, reply: u64, rest_ms: u64) -> Call {
        Call { prompt, first_ms, reply, rest_ms }
    }

    #[track_caller]
    fn check(calls: &[Call], prompt: u64, expected: Option<(u64, u64, u64)>) {
        let pace = Pace { answers: calls.to_vec(), ..Pace::default() };
        let forecast = pace.forecast(prompt, Kind::Answer);
        let expected = expected.map(|(least, likely, most)| {
            let [least, likely, most] = [least, likely, most].map(Duration::from_millis);
            Forecast { least, likely, most }
        });
        assert_eq!(forecast, expected);
    }

    #[test]
    fn a_forecast_is_the_middle_of_what_the_calls_before_say() {
        let steady = [call(800, 1000, 100, 5000); 3];
        check(&steady, 800, Some((6000, 6000, 6000)));
        check(&steady, 1800, Some((7000, 7000, 7000)));
        check(&steady, 0, Some((5200, 5200, 5200)));
        let mut mixed: Vec<Call> = (1..=10).map(|n| call(800, 0, 10 * n, 1000 * n)).collect();
        mixed.push(call(800, 600_000, 100, 10_000));
        check(&mixed, 800, Some((2000, 6000, 10_000)));
    }

    #[test]
    fn what_is_read_in_a_time_is_the_middle_less_a_quarter() {
        let pace = |calls: &[Call]| Pace { answers: calls.to_vec(), ..Pace::default() };
        let within = Duration::from_secs(10);
        let calls = [call(800, 1000, 1, 1), call(1800, 1000, 1, 1), call(800, 100_000, 1, 1)];
        assert_eq!(pace(&calls).readable(within), Some(7300));
        assert_eq!(pace(&calls[..2]).readable(within), None, "too little is known");
        assert_eq!(pace(&[call(800, 0, 1, 1); 9]).readable(within), None, "nobody has said when");
        assert_eq!(pace(&[call(0, u64::MAX, 1, 1); 3]).readable(within), Some(0));
        assert_eq!(pace(&[call(u64::MAX, 1, 1, 1); 3]).readable(Duration::MAX), Some(u64::MAX - OVERHEAD));
    }

    #[test]
    fn too_little_is_no_forecast() {
        check(&[], 100, None);
        check(&[call(100, 1, 1, 1); 2], 100, None);
        let changes = Pace { changes: vec![call(100, 1, 1, 1); 9], ..Pace::default() };
        assert_eq!(changes.forecast(100, Kind::Answer), None);
        assert!(changes.forecast(100, Kind::Change).is_some());
    }

    #[test]
    fn no_number_is_too_large_and_old_calls_go() {
        let huge = call(u64::MAX / 4, u64::MAX, u64::MAX / 2_000_000, u64::MAX);
        check(&[huge; 3], u64::MAX / 2, Some((u64::MAX, u64::MAX, u64::MAX)));
        let mut pace = Pace::default();
        for n in 0..100 {
            pace.add(Kind::Change, call(n, n, n, n));
        }
        assert_eq!((pace.changes.len(), pace.changes[0].prompt), (MOST_CALLS, 100 - MOST_CALLS as u64));
    }

    #[test]
    fn a_window_is_believed_for_an_hour() {
        let pace = Pace { window: Some(Window { tokens: 4096, seen: Utc(BELIEVED_MS) }), ..Pace::default() };
        let at = |now| pace.window(Utc(now));
        assert_eq!((at(BELIEVED_MS), at(2 * BELIEVED_MS - 1), at(2 * BELIEVED_MS)), (Some(4096), Some(4096), None));
    }

    #[test]
    fn the_usual_is_the_middle_of_all_calls_for_such_a_prompt() {
        let (answer, change) = (call(800, 1000, 100, 5000), call(1800, 4000, 100, 10_000));
        let usual = |answers: &[Call], changes: &[Call], prompt| {
            Pace { answers: answers.to_vec(), changes: changes.to_vec(), ..Pace::default() }.usual(prompt)
        };
        let told = |first_ms, tokens_per_sec| Some(Usual { first_ms, tokens_per_sec });
        assert_eq!(usual(&[answer; 2], &[], 800), None);
        assert_eq!(usual(&[answer; 2], &[change], 800), told(1000.0, 20.0));
        assert_eq!(usual(&[answer; 2], &[change], 1800), told(2000.0, 20.0));
        assert_eq!(usual(&[answer], &[change; 2], 800), told(2000.0, 10.0));
        assert_eq!(usual(&[call(1, 1, 1, 0); 3], &[], 1), None, "no rate");
    }

    #[test]
    fn the_rate_is_that_of_the_middle_call() {
        let pace = |calls: &[Call]| Pace { answers: calls.to_vec(), ..Pace::default() }.tokens_per_sec();
        assert_eq!(pace(&[]), None);
        assert_eq!(pace(&[call(1, 1, 100, 5000), call(1, 1, 100, 4000), call(1, 1, 90, 0)]), Some(25.0));
    }
}
