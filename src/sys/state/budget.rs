//! What the cloud may cost, counted before it costs it. A call reserves the most that it may cost; afterwards it is
//! settled at what it did cost, or released when it never began. All mux processes share one document.
//!
//! **Invariants**
//! - Reserving checks and counts in one step under one lock, on the disk before the call begins. So K processes
//!   together never pass a limit, as long as no call costs more than it reserved; a call that does is counted in full
//!   and may pass the limit once for each call that was under way.
//! - A reservation that nobody settles (a process that was killed) stays counted at its most until its day ends: money
//!   may have been spent, and nobody can say how much.
//! - A document that cannot be read allows nothing. The other way round, deleting it would be a way to spend.
//! - Dollars are counted in whole millionths, so that sums do not drift.

use super::document::Document;
use crate::rules::config::Budget as Limits;
use crate::rules::from_json::structs;
use crate::words::error::{Error, Kind};
use crate::words::stop::Stop;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// The budget of a state directory.
#[derive(Clone, Debug)]
pub struct Budget {
    document: Document,
}

/// What asking for a call gave.
#[derive(Debug)]
pub enum Reserved {
    Held(Reservation),
    /// Which limit it would pass.
    Refused(Exceeded),
}

/// Counted money. Dropping it leaves it counted at its most, as a killed process does.
#[must_use = "settle or release it, or it stays counted at its most"]
#[derive(Debug)]
pub struct Reservation {
    budget: Budget,
    day: String,
    run_id: String,
    micros: u64,
}

/// The limit that a call would pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Exceeded {
    CallsPerDay { limit: u32 },
    UsdPerDay { limit: f64, spent: f64, wanted: f64 },
    UsdPerRun { limit: f64, spent: f64, wanted: f64 },
}

/// What may still be spent on a day.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Left {
    pub calls: u32,
    pub max_calls: u32,
    /// Reserved or spent on this day.
    pub spent_usd: f64,
    /// `None`: no limit in dollars.
    pub usd: Option<f64>,
}

/// The document. Runs are kept for a day longer than they need, for those that go on past midnight.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Spent {
    /// `YYYY-MM-DD`, UTC.
    day: String,
    calls: u32,
    usd_micros: u64,
    runs: BTreeMap<String, RunSpent>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct RunSpent {
    day: String,
    usd_micros: u64,
}

structs! {
    Spent { day, calls, usd_micros, runs }
    RunSpent { day, usd_micros }
}

impl Budget {
    /// Names the budget of a state directory; nothing is touched.
    pub fn below(state_dir: &Path) -> Budget {
        Budget { document: Document::at(state_dir.join("budget.json")) }
    }

    /// Reserves one call of a run that may cost `usd` dollars (`limits.unknown_call_usd` where nobody knows). `day` is
    /// the UTC day as [`crate::words::time::Utc::day`] says it.
    ///
    /// # Errors
    /// `Io` when the budget cannot be read, locked or written: then nothing is reserved, and the call must not begin.
    pub fn reserve(&self, limits: &Limits, day: &str, run_id: &str, usd: f64, stop: &Stop) -> Result<Reserved, Error> {
        let wanted = micros(usd);
        let exceeded = self.document.change(stop, |spent| {
            let mut spent = on(spent?, day);
            let exceeded = spent.exceeded(limits, run_id, wanted);
            if exceeded.is_none() {
                spent.calls = spent.calls.saturating_add(1);
                spent.usd_micros = spent.usd_micros.saturating_add(wanted);
                let run = spent.runs.entry(run_id.to_string()).or_default();
                run.day = day.to_string();
                run.usd_micros = run.usd_micros.saturating_add(wanted);
            }
            Ok((exceeded.is_none().then_some(spent), exceeded))
        });
        Ok(match exceeded.map_err(|source| self.fault(source))? {
            Some(exceeded) => Reserved::Refused(exceeded),
            None => Reserved::Held(Reservation {
                budget: self.clone(),
                day: day.to_string(),
                run_id: run_id.to_string(),
                micros: wanted,
            }),
        })
    }

    /// Returns what is left on a day. Reads only, and waits for nobody.
    ///
    /// # Errors
    /// `Io` when the budget cannot be read.
    pub fn left(&self, limits: &Limits, day: &str) -> Result<Left, Error> {
        let spent = on(self.document.read().map_err(|source| self.fault(source))?, day);
        let limit = micros(limits.max_cloud_usd_per_day);
        Ok(Left {
            calls: limits.max_cloud_calls_per_day.saturating_sub(spent.calls),
            max_calls: limits.max_cloud_calls_per_day,
            spent_usd: dollars(spent.usd_micros),
            usd: (limit > 0).then(|| dollars(limit.saturating_sub(spent.usd_micros))),
        })
    }

    fn fault(&self, source: io::Error) -> Error {
        let path = self.document.path().display();
        let is_broken = source.kind() == io::ErrorKind::InvalidData;
        let error = Error::caused(Kind::Io, format!("cannot use the budget `{path}`"), Box::new(source));
        if is_broken { error.hint(format!("nothing is spent until it is gone: rm '{path}'")) } else { error }
    }
}

impl Reservation {
    /// Ends the reservation of a call that began. `usd`: what it cost; `None`, nobody knows, leaves it at its most.
    ///
    /// # Errors
    /// `Io`; the reservation then stays counted at its most.
    pub fn settle(self, usd: Option<f64>, stop: &Stop) -> Result<(), Error> {
        match usd {
            Some(usd) => self.correct(micros(usd), 0, stop),
            None => Ok(()),
        }
    }

    /// Takes back the reservation of a call that never began.
    ///
    /// # Errors
    /// As [`Reservation::settle`].
    pub fn release(self, stop: &Stop) -> Result<(), Error> {
        self.correct(0, 1, stop)
    }

    fn correct(&self, cost: u64, calls: u32, stop: &Stop) -> Result<(), Error> {
        let corrected = |counted: u64| counted.saturating_sub(self.micros).saturating_add(cost);
        let result = self.budget.document.change(stop, |spent| {
            let mut spent: Spent = spent?.unwrap_or_default();
            // Of a day that is over nothing is left to correct, but the run may go on.
            if spent.day == self.day {
                spent.usd_micros = corrected(spent.usd_micros);
                spent.calls = spent.calls.saturating_sub(calls);
            }
            if let Some(run) = spent.runs.get_mut(&self.run_id) {
                run.usd_micros = corrected(run.usd_micros);
            }
            Ok((Some(spent), ()))
        });
        result.map_err(|source| self.budget.fault(source))
    }
}

impl Spent {
    fn exceeded(&self, limits: &Limits, run_id: &str, wanted: u64) -> Option<Exceeded> {
        if self.calls >= limits.max_cloud_calls_per_day {
            return Some(Exceeded::CallsPerDay { limit: limits.max_cloud_calls_per_day });
        }
        let passes = |limit: f64, spent: u64| limit > 0.0 && spent.saturating_add(wanted) > micros(limit);
        let (limit, spent) = (limits.max_cloud_usd_per_day, self.usd_micros);
        if passes(limit, spent) {
            return Some(Exceeded::UsdPerDay { limit, spent: dollars(spent), wanted: dollars(wanted) });
        }
        let (limit, spent) = (limits.max_cloud_usd_per_run, self.runs.get(run_id).map_or(0, |run| run.usd_micros));
        passes(limit, spent).then(|| Exceeded::UsdPerRun { limit, spent: dollars(spent), wanted: dollars(wanted) })
    }
}

impl std::fmt::Display for Exceeded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut usd = |limit: &f64, spent: &f64, wanted: &f64, per: &str| {
            write!(
                f,
                "a call that may cost {wanted:.2} USD would pass `budget.max_cloud_usd_per_{per}: {limit}` \
                 ({spent:.2} USD are spent or reserved)"
            )
        };
        match self {
            Exceeded::UsdPerDay { limit, spent, wanted } => usd(limit, spent, wanted, "day"),
            Exceeded::UsdPerRun { limit, spent, wanted } => usd(limit, spent, wanted, "run"),
            Exceeded::CallsPerDay { limit } => {
                write!(f, "`budget.max_cloud_calls_per_day: {limit}` are made; the day ends at 00:00 UTC")
            }
        }
    }
}

/// Returns the document as it counts on a day. A new day begins at nothing. A day before the recorded one is a clock
/// that was set back: what was spent stays counted, so that turning the clock frees no money.
fn on(spent: Option<Spent>, day: &str) -> Spent {
    let mut spent = spent.unwrap_or_default();
    if day > spent.day.as_str() {
        // A run is forgotten on the second midnight after its last call: no run takes that long.
        let last = std::mem::take(&mut spent.day);
        spent.runs.retain(|_, run| run.day >= last);
        (spent.calls, spent.usd_micros) = (0, 0);
    }
    spent.day = day.to_string();
    spent
}

/// Millionths of a dollar, rounded up: money is never counted as less. What is no price (negative, NaN) is none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped, and `as` saturates")]
fn micros(usd: f64) -> u64 {
    // A price such as 0.07 is a little above itself in binary: that is no millionth more.
    (usd * 1e6 - 1e-3).ceil().clamp(0.0, 1e15) as u64
}

#[expect(clippy::cast_precision_loss, reason = "exact up to nine thousand million dollars")]
fn dollars(micros: u64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "roles are played by children of the test binary")]
mod tests {
    use super::super::document::tests::{Temp, soon};
    use super::*;
    use std::process::{Command, Stdio};

    const DAY: &str = "2026-11-27";

    fn limits(calls: u32, usd_per_day: f64, usd_per_run: f64) -> Limits {
        Limits {
            max_cloud_calls_per_day: calls,
            max_cloud_usd_per_day: usd_per_day,
            max_cloud_usd_per_run: usd_per_run,
            unknown_call_usd: 0.25,
        }
    }

    fn ask(budget: &Budget, limits: &Limits, day: &str, run: &str, usd: f64) -> Result<Reservation, Exceeded> {
        match budget.reserve(limits, day, run, usd, &soon()).unwrap() {
            Reserved::Held(held) => Ok(held),
            Reserved::Refused(exceeded) => Err(exceeded),
        }
    }

    fn left(budget: &Budget, limits: &Limits, day: &str) -> (u32, f64) {
        let left = budget.left(limits, day).unwrap();
        (left.calls, left.spent_usd)
    }

    #[test]
    fn a_call_is_counted_before_settled_after_and_free_when_it_never_began() {
        let temp = Temp::new("budget");
        let (budget, limits) = (Budget::below(&temp.0), limits(3, 1.0, 0.0));
        assert_eq!(left(&budget, &limits, DAY), (3, 0.0));
        let first = ask(&budget, &limits, DAY, "A", 0.5).unwrap();
        assert_eq!(left(&budget, &limits, DAY), (2, 0.5));
        first.settle(Some(0.07), &soon()).unwrap();
        assert_eq!(left(&budget, &limits, DAY), (2, 0.07));
        ask(&budget, &limits, DAY, "A", 0.5).unwrap().release(&soon()).unwrap();
        assert_eq!(left(&budget, &limits, DAY), (2, 0.07));
        ask(&budget, &limits, DAY, "B", 0.5).unwrap().settle(None, &soon()).unwrap();
        assert_eq!(left(&budget, &limits, DAY), (1, 0.57));
        assert_eq!(budget.left(&limits, DAY).unwrap().usd, Some(0.43));
        // A process that was killed never says what it spent.
        drop(ask(&budget, &limits, DAY, "C", 0.25).unwrap());
        assert_eq!(left(&budget, &limits, DAY), (0, 0.82));
        assert_eq!(ask(&budget, &limits, DAY, "D", 0.0).unwrap_err(), Exceeded::CallsPerDay { limit: 3 });
        assert_eq!(left(&budget, &limits, "2026-11-28"), (3, 0.0), "a new day");
    }

    #[test]
    fn every_limit_refuses_by_its_name() {
        let temp = Temp::new("budget");
        let budget = Budget::below(&temp.0);
        let refused =
            |limits: &Limits, run: &str, usd: f64| ask(&budget, limits, DAY, run, usd).unwrap_err().to_string();
        let none = "`budget.max_cloud_calls_per_day: 0` are made; the day ends at 00:00 UTC";
        assert_eq!(refused(&limits(0, 0.0, 0.0), "A", 0.1), none);
        ask(&budget, &limits(9, 0.0, 0.3), DAY, "A", 0.2).unwrap().settle(None, &soon()).unwrap();
        let run = "a call that may cost 0.25 USD would pass `budget.max_cloud_usd_per_run: 0.3` (0.20 USD are spent or \
                   reserved)";
        assert_eq!(refused(&limits(9, 0.0, 0.3), "A", 0.25), run);
        ask(&budget, &limits(9, 0.0, 0.3), DAY, "A", 0.1).unwrap().release(&soon()).unwrap();
        let day = run.replace("run: 0.3", "day: 0.4").replace("may cost 0.25", "may cost 0.21");
        assert_eq!(refused(&limits(9, 0.4, 0.3), "B", 0.21), day);
        ask(&budget, &limits(9, 0.4, 0.3), DAY, "B", 0.2).unwrap().release(&soon()).unwrap();
        assert!(ask(&budget, &limits(9, 0.0, 0.0), DAY, "A", 1e9).is_ok(), "0 is no limit in dollars");
    }

    #[test]
    fn days_and_clocks_free_no_money_that_they_should_not() {
        let temp = Temp::new("budget");
        let (budget, limits) = (Budget::below(&temp.0), limits(5, 1.0, 0.5));
        let over_midnight = ask(&budget, &limits, DAY, "A", 0.4).unwrap();
        let next = "2026-11-28";
        drop(ask(&budget, &limits, next, "B", 0.3).unwrap());
        over_midnight.settle(Some(0.2), &soon()).unwrap();
        assert_eq!(left(&budget, &limits, next), (4, 0.3), "what was reserved yesterday is not settled today");
        assert!(ask(&budget, &limits, next, "A", 0.4).is_err(), "the run has spent 0.2 of its 0.5 already");
        assert_eq!(left(&budget, &limits, DAY), (4, 0.3), "a clock that is set back frees nothing");
        drop(ask(&budget, &limits, DAY, "C", 0.1).unwrap());
        assert_eq!(left(&budget, &limits, DAY), (3, 0.4));
        assert_eq!(left(&budget, &limits, next), (5, 0.0));
        drop(ask(&budget, &limits, "2026-12-08", "D", 0.1).unwrap());
        drop(ask(&budget, &limits, "2026-12-09", "D", 0.1).unwrap());
        let text = fs_err::read_to_string(temp.0.join("budget.json")).unwrap();
        assert!(!text.contains("\"A\"") && text.contains("\"D\""), "old runs are forgotten: {text}");
    }

    #[test]
    fn a_budget_that_cannot_be_read_allows_nothing() {
        let temp = Temp::new("budget");
        let budget = Budget::below(&temp.0);
        fs_err::write(temp.0.join("budget.json"), "{").unwrap();
        let error = budget.reserve(&limits(9, 0.0, 0.0), DAY, "A", 0.1, &soon()).unwrap_err();
        assert!(error.to_string().contains("cannot use the budget") && error.hint.is_some(), "{error}");
        assert!(budget.left(&limits(9, 0.0, 0.0), DAY).is_err());
    }

    /// The role of one process: reserves, and settles, releases or is killed, until it is refused `MISSES` times.
    #[test]
    fn role_spender() {
        let Ok(dir) = std::env::var("MUX_TEST_BUDGET") else { return };
        let (budget, seed) = (Budget::below(Path::new(&dir)), u64::from(std::process::id()));
        let (limits, mut random) = (limits(10_000, 2.0, 0.0), seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut refusals = 0;
        for call in 0..60 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            match ask(&budget, &limits, DAY, &format!("R{seed}"), 0.25) {
                // Half of them cost less than was reserved; the true spending is written where no lock of ours guards it.
                Ok(held) => match random % 4 {
                    0 => held.release(&soon()).unwrap(),
                    1 => drop(held),
                    2 | 3 => held.settle(Some(0.05), &soon()).unwrap(),
                    _ => unreachable!(),
                },
                Err(_) => refusals += 1,
            }
            let now = budget.left(&limits, DAY).unwrap();
            assert!(now.spent_usd <= 2.0 + 1e-9, "call {call}: {now:?}");
            if refusals > 3 {
                break;
            }
        }
    }

    #[test]
    fn many_processes_never_pass_the_limit() {
        let temp = Temp::new("budget");
        let start = |_| {
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", "sys::state::budget::tests::role_spender", "--nocapture"]);
            child.env("MUX_TEST_BUDGET", &temp.0).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap()
        };
        let children: Vec<_> = (0..6).map(start).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success(), "a process saw more spent than the limit");
        }
        let left = Budget::below(&temp.0).left(&limits(10_000, 2.0, 0.0), DAY).unwrap();
        let most = left.usd.unwrap();
        assert!(left.spent_usd <= 2.0 && most < 0.25, "they went on until no call fitted: {left:?}");
    }

    #[test]
    fn a_killed_process_stays_counted() {
        let temp = Temp::new("budget");
        let (budget, limits) = (Budget::below(&temp.0), limits(9, 1.0, 0.0));
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "sys::state::budget::tests::role_killed", "--nocapture"]);
        let mut child = child.env("MUX_TEST_KILLED", &temp.0).stdout(Stdio::null()).spawn().unwrap();
        assert!(!child.wait().unwrap().success());
        assert_eq!(left(&budget, &limits, DAY), (8, 0.25));
    }

    /// Reserves and is killed in the middle of the call.
    #[test]
    fn role_killed() {
        let Ok(dir) = std::env::var("MUX_TEST_KILLED") else { return };
        let _held = ask(&Budget::below(Path::new(&dir)), &limits(9, 1.0, 0.0), DAY, "A", 0.25).unwrap();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
    }
}
