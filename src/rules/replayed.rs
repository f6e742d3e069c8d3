//! What all recorded runs come to with other settings: shares, money, time, and a curve over thresholds. Pure. How one of
//! them goes is `what_if.rs`'s to say.

use crate::rules::what_if::{Change, End, Fate, Past, Turn};
use crate::rules::why;
use crate::words::record::{Overruled, RunRecord, SCHEMA};
use crate::words::task::{Kind, Route, Tier};
use serde::Serialize;

/// One run, as it was and as it would have been: the route, `cloud` for one that was not taken, or `unknown`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    pub run_id: String,
    pub was: String,
    pub would_be: String,
    /// What comes next at the decision that takes another course; absent when none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<String>,
}

/// What all rows come to. A share is of the runs whose end is known; null without any.
#[derive(Debug, PartialEq, Serialize)]
pub struct Report {
    pub runs: u64,
    /// Those that would have taken another course, and where to is known.
    pub changed: u64,
    /// Those whose end nobody knows.
    pub unknown: u64,
    /// Records that this version cannot read, or that do not hold what their run was decided by.
    pub unreadable: u64,
    /// Whether older records were left unread.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
    pub cloud_share: Option<f64>,
    /// Locally verified ÷ all changes.
    pub verified_local_share: Option<f64>,
    /// Local results that would have been accepted, and that a review or an undo has found wrong. Nobody knows of others.
    pub false_accepts: u64,
    /// What the runs whose end is known did cost and take.
    pub recorded: Spent,
    /// What they would have, with the means of the runs that went to the cloud for those that were not there.
    pub estimate: Spent,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<Point>,
    pub rows: Vec<Row>,
}

/// Money and time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spent {
    /// Of the runs whose price is known.
    pub usd: f64,
    /// Runs whose price nobody knows.
    pub unpriced: u64,
    /// Of the runs whose time is known.
    pub seconds: f64,
    /// Runs that would have gone to the cloud, where no run of their kind has been.
    pub untimed: u64,
}

/// One threshold of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    pub threshold: f64,
    pub cloud_share: Option<f64>,
    pub verified_local_share: Option<f64>,
    pub false_accepts: u64,
    pub unknown: u64,
    pub usd: f64,
    pub unpriced: u64,
    pub seconds: f64,
    pub untimed: u64,
}

/// Counts rows.
#[derive(Debug, Default)]
pub struct Counts {
    /// The thresholds of the curve, ascending, each with what the runs come to at it.
    curve: Vec<(f64, Sums)>,
    sums: Sums,
    recorded: Sums,
    clouds: Clouds,
    unreadable: u64,
    rows: Vec<Row>,
}

/// What runs come to at one setting.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    cloud: u64,
    known: u64,
    verified: u64,
    known_changes: u64,
    false_accepts: u64,
    unknown: u64,
    changed: u64,
    usd: f64,
    unpriced: u64,
    ms: u64,
    /// Runs that would have gone to the cloud and did not: answers, changes.
    departures: [u64; 2],
}

/// What runs cost and took in the cloud: answers, changes.
#[derive(Debug, Default)]
struct Clouds([Cloudy; 2]);

#[derive(Clone, Copy, Debug, Default)]
struct Cloudy {
    runs: u64,
    ms: u64,
    /// Of them, those whose price is known, and that.
    priced: u64,
    usd: f64,
}

impl Counts {
    /// Counts with a curve over these thresholds, which are in ascending order.
    pub fn over(thresholds: &[f64]) -> Counts {
        let curve = thresholds.iter().map(|threshold| (*threshold, Sums::default())).collect();
        Counts { curve, ..Counts::default() }
    }

    /// Adds a run, unless nothing can be said of it. `is_undone`: an undo took it back and stands.
    pub fn add(&mut self, record: Option<&RunRecord>, is_undone: bool, change: &Change<'_>) {
        let readable = record.filter(|record| record.schema <= SCHEMA);
        let is_plain = !change.is_any() && self.curve.is_empty();
        let Some(past) = readable.and_then(|record| Past::of(record, is_plain)) else {
            self.unreadable += 1;
            return;
        };
        let record = past.record;
        self.clouds.add(record);
        let fate = past.fate(change);
        self.sums.add(record, &fate, is_undone);
        self.rows.push(row(record, &fate));
        if fate.end != End::Unknown {
            self.recorded.add(record, &Fate { end: past.end(), turn: None }, is_undone);
        }
        // Only a score that the threshold passes makes a difference.
        let scores = past.scores();
        let mut last: Option<(usize, Fate)> = None;
        for (threshold, sums) in &mut self.curve {
            let below = scores.iter().filter(|score| *score < threshold).count();
            let fate = match last {
                Some((as_before, fate)) if as_before == below => fate,
                Some(_) | None => past.fate(&Change { threshold: Some(*threshold), ..*change }),
            };
            sums.add(record, &fate, is_undone);
            last = Some((below, fate));
        }
    }

    pub fn report(self) -> Report {
        let Sums { known, unknown, changed, .. } = self.sums;
        let point = |(threshold, sums): &(f64, Sums)| {
            let Spent { usd, unpriced, seconds, untimed } = sums.spent(&self.clouds);
            let (cloud_share, verified_local_share) = sums.shares();
            let (threshold, false_accepts, unknown) = (*threshold, sums.false_accepts, sums.unknown);
            Point {
                threshold,
                cloud_share,
                verified_local_share,
                false_accepts,
                unknown,
                usd,
                unpriced,
                seconds,
                untimed,
            }
        };
        let (cloud_share, verified_local_share) = self.sums.shares();
        Report {
            runs: known + unknown,
            changed,
            unknown,
            unreadable: self.unreadable,
            is_cut: false,
            cloud_share,
            verified_local_share,
            false_accepts: self.sums.false_accepts,
            recorded: self.recorded.spent(&self.clouds),
            estimate: self.sums.spent(&self.clouds),
            curve: self.curve.iter().map(point).collect(),
            rows: self.rows,
        }
    }
}

impl Sums {
    fn add(&mut self, record: &RunRecord, fate: &Fate, is_undone: bool) {
        if fate.end == End::Unknown {
            self.unknown += 1;
            return;
        }
        // The proof and the verdicts of the record are those of the result that it had.
        let is_same = fate.turn.is_none();
        self.known += 1;
        self.changed += u64::from(!is_same);
        self.cloud += u64::from(fate.end == End::Cloud);
        if record.kind == Kind::Change {
            self.known_changes += 1;
            self.verified += u64::from(fate.end == End::Local && is_same && record.verify_ok == Some(true));
        }
        self.false_accepts += u64::from(is_same && is_false_accept(record, fate.end == End::Local && is_undone));
        match &fate.turn {
            None => {
                self.ms = self.ms.saturating_add(record.duration_ms);
                self.usd += record.cloud.usd;
                self.unpriced += u64::from(!is_priced(record));
            }
            // The tries until then were made; what would have come is a cloud CLI, or nothing more.
            Some((_, tries)) => {
                let local = record.attempts.iter().filter(|attempt| attempt.route == Route::Local);
                self.ms =
                    local.take(*tries as usize).fold(self.ms, |ms, attempt| ms.saturating_add(attempt.duration_ms));
                if let Some(departures) = self.departures.get_mut(sort(record)).filter(|_| fate.end == End::Cloud) {
                    *departures += 1;
                }
            }
        }
    }

    fn shares(&self) -> (Option<f64>, Option<f64>) {
        (share(self.cloud, self.known), share(self.verified, self.known_changes))
    }

    fn spent(&self, clouds: &Clouds) -> Spent {
        let mut spent = Spent { usd: self.usd, unpriced: self.unpriced, seconds: seconds(self.ms), untimed: 0 };
        for (departures, cloud) in self.departures.iter().zip(&clouds.0) {
            match share(*departures, cloud.priced) {
                Some(times) => spent.usd += times * cloud.usd,
                None => spent.unpriced += departures,
            }
            match share(*departures, cloud.runs) {
                Some(times) => spent.seconds += times * seconds(cloud.ms),
                None => spent.untimed += departures,
            }
        }
        spent
    }
}

impl Clouds {
    fn add(&mut self, record: &RunRecord) {
        let away = || record.attempts.iter().filter(|attempt| attempt.route != Route::Local);
        // A look at a result that was accepted at home is no run of the cloud.
        let is_step = record.facts.as_ref().is_some_and(|facts| facts.tier != Tier::Local);
        let Some(cloudy) = self.0.get_mut(sort(record)).filter(|_| is_step && away().next().is_some()) else { return };
        cloudy.runs += 1;
        cloudy.ms = away().fold(cloudy.ms, |ms, attempt| ms.saturating_add(attempt.duration_ms));
        if is_priced(record) {
            cloudy.priced += 1;
            cloudy.usd += record.cloud.usd;
        }
    }
}

/// 0 for an answer, 1 for a change.
fn sort(record: &RunRecord) -> usize {
    usize::from(record.kind == Kind::Change)
}

/// Whether each cloud call of a run has told what it cost.
fn is_priced(record: &RunRecord) -> bool {
    record.attempts.iter().all(|attempt| attempt.route == Route::Local || attempt.cost_usd.is_some())
}

/// Whether somebody has found a result wrong that was accepted at home. `is_undone`: it was, and the user took it back.
fn is_false_accept(record: &RunRecord, is_undone: bool) -> bool {
    // A forced review that nobody gave says nothing of the result.
    let is_bad = record.overruled == Some(Overruled::Review) && record.refused.is_none();
    is_bad || is_undone || record.shadow.is_some_and(|shadow| !shadow.ok)
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

fn share(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

const UNKNOWN: &str = "unknown";
const CLOUD: &str = "cloud";

/// Returns a run as it was and as it would have been.
pub fn row(record: &RunRecord, fate: &Fate) -> Row {
    let was = record.route.name();
    let would_be = match (fate.end, &fate.turn) {
        (End::Unknown, _) => UNKNOWN,
        (_, None) => was,
        (End::Cloud, Some(_)) => CLOUD,
        (End::Local, Some(_)) => Route::Local.name(),
        (End::None, Some(_)) => Route::None.name(),
    };
    let then = fate.turn.as_ref().map(|(turn, _)| match turn {
        Turn::Decision(decision) => why::spell(decision),
        Turn::Unknown(why) => (*why).to_string(),
    });
    Row { run_id: record.run_id.clone(), was: was.to_string(), would_be: would_be.to_string(), then }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::why::tests::recorded;

    const SAME: Change<'static> = Change { threshold: None, max_attempts: None, keywords: None, known_keywords: &[] };

    fn counted(mut counts: Counts, change: &Change<'_>) -> Report {
        for (_, record) in recorded().iter().filter(|(_, record)| record.kind != Kind::Undo) {
            counts.add(Some(record), false, change);
        }
        counts.report()
    }

    fn report(change: &Change<'_>) -> Report {
        counted(Counts::default(), change)
    }

    #[test]
    fn no_change_changes_nothing() {
        let report = report(&SAME);
        assert!(report.runs >= 60, "{report:?}");
        assert_eq!((report.changed, report.unknown, report.unreadable), (0, 0, 0), "{report:?}");
        assert!(report.rows.iter().all(|row| row.was == row.would_be), "{report:?}");
    }

    #[test]
    fn what_was_taken_back_is_a_known_false_accept() {
        // Scenarios 122 and 127; the review of 123 was never given.
        assert_eq!(report(&SAME).false_accepts, 2);
        let records = recorded();
        let (_, record) = records.iter().find(|(name, _)| name.starts_with("018")).unwrap();
        let count = |is_undone, change: &Change<'_>| {
            let mut counts = Counts::default();
            counts.add(Some(record), is_undone, change);
            counts.report().false_accepts
        };
        assert_eq!((count(true, &SAME), count(false, &SAME)), (1, 0));
        assert_eq!(count(true, &Change { threshold: Some(0.9), ..SAME }), 0, "it would not have been accepted");
    }

    #[test]
    fn a_curve_is_what_each_threshold_would_have_made() {
        let thresholds = [0.0, 0.3, 0.6, 0.7, 0.72, 0.9, 1.0];
        let curve = counted(Counts::over(&thresholds), &SAME).curve;
        let shares = curve.iter().map(|point| point.cloud_share);
        assert!(shares.clone().is_sorted() && curve[0].cloud_share < curve[6].cloud_share, "{curve:?}");
        for point in curve {
            let alone = report(&Change { threshold: Some(point.threshold), ..SAME });
            let Spent { usd, unpriced, seconds, untimed } = alone.estimate;
            let (cloud_share, verified_local_share) = (alone.cloud_share, alone.verified_local_share);
            let (threshold, false_accepts, unknown) = (point.threshold, alone.false_accepts, alone.unknown);
            let expected = Point {
                threshold,
                cloud_share,
                verified_local_share,
                false_accepts,
                unknown,
                usd,
                unpriced,
                seconds,
                untimed,
            };
            assert_eq!(point, expected);
        }
    }

    #[test]
    fn money_and_time_come_from_the_runs_that_were_there() {
        let records = recorded();
        let of = |folder: &str| records.iter().find(|(name, _)| name.starts_with(folder)).unwrap().1.clone();
        // 003 stayed at home; 101 went to the cloud. Their numbers are made round here.
        let (mut home, mut away) = (of("003"), of("101"));
        home.duration_ms = 4000;
        home.attempts[0].duration_ms = 3000;
        away.duration_ms = 9000;
        away.cloud.usd = 0.25;
        away.attempts.iter_mut().for_each(|attempt| (attempt.duration_ms, attempt.cost_usd) = (8000, Some(0.25)));
        let estimate = |records: &[&RunRecord], threshold| {
            let mut counts = Counts::default();
            let change = Change { threshold, ..SAME };
            for record in records {
                counts.add(Some(record), false, &change);
            }
            let Spent { usd, unpriced, seconds, untimed } = counts.report().estimate;
            (usd, unpriced, seconds, untimed)
        };
        assert_eq!(estimate(&[&home, &away], None), (0.25, 0, 13.0, 0));
        assert_eq!(estimate(&[&home, &away], Some(0.9)), (0.5, 0, 20.0, 0), "both, and the local try before");
        assert_eq!(estimate(&[&home], Some(0.9)), (0.0, 1, 3.0, 1), "nothing is known of the cloud");
        away.attempts.iter_mut().for_each(|attempt| attempt.cost_usd = None);
        away.cloud.usd = 0.0;
        assert_eq!(estimate(&[&home, &away], Some(0.9)), (0.0, 2, 20.0, 0), "its price was not told");
    }
}
