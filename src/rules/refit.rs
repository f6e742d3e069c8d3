//! Weights from a user's own ledger: which runs are labelled, what a fit on them gives, and whether it is any better than
//! what holds. Pure. **It does not flatter:** the new weights are measured on runs that they were not fitted on.

use crate::rules::confidence::hopeless::{self, Stopped};
use crate::rules::confidence::proven;
use crate::rules::confidence::signals::{Measured, Signal};
use crate::rules::confidence::weights::{Model, Weights};
use crate::rules::fit::{self, RIDGE, Row};
use crate::rules::json::Take;
use crate::rules::measure::{self, Estimate, Judged};
use crate::rules::numbers::{count, rounded, sigmoid};
use serde::Serialize;

/// Fewer labelled runs than this say too little.
pub const LEAST_RUNS: usize = 50;
/// Fewer right or wrong ones than this say nothing of that side.
pub const LEAST_OF_EACH: usize = 8;
/// Parts of the cross-validation.
const PARTS: usize = 5;

/// The labelled runs of a ledger.
#[derive(Debug, Default)]
pub struct Labelled {
    runs: Vec<(Measured, bool)>,
}

/// How good weights are on the labelled runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// The chance that a right reply scores above a wrong one; 0.5 is chance.
    pub auroc: f64,
    pub auroc_low: f64,
    pub auroc_high: f64,
    /// Expected calibration error: how far a score of 0.8 is from being right eight times in ten.
    pub calibration_error: f64,
    pub brier: f64,
}

/// What a fit gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Refit {
    pub runs: usize,
    pub right: usize,
    pub before: Quality,
    /// By cross-validation.
    pub after: Quality,
    /// What the floors make of the labelled runs.
    pub stopped_before: Stopped,
    pub stopped_after: Stopped,
    pub weights: Weights,
}

/// Why there is no fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooFew {
    Runs(usize),
    Right(usize),
    Wrong(usize),
}

impl Refit {
    /// Whether the new weights tell more on runs that they have not seen.
    pub fn is_better(&self) -> bool {
        self.after.brier < self.before.brier
    }
}

impl Labelled {
    /// Takes the labelled run of a ledger line.
    pub fn add_line(&mut self, line: &str) {
        self.runs.extend(proven::first::<Named>(line).map(|of| (of.signals.0, of.is_right)));
    }

    /// Fits weights for the signals that the old ones have.
    ///
    /// # Errors
    /// How many there are, where they are too few.
    pub fn refit(&self, old: &Weights, id: &str) -> Result<Refit, TooFew> {
        let signals: Vec<Signal> = old.code.weights.iter().map(|(signal, _)| *signal).collect();
        let row = |(measured, is_right): &(Measured, bool)| {
            let bounded = signals.iter().map(|signal| Some(signal.bounded(measured.of(*signal)?)));
            Some(Row { signals: bounded.collect::<Option<Vec<f64>>>()?, is_right: *is_right })
        };
        let rows: Vec<Row> = self.runs.iter().filter_map(row).collect();
        let right = rows.iter().filter(|row| row.is_right).count();
        let wrong = rows.len() - right;
        if rows.len() < LEAST_RUNS {
            return Err(TooFew::Runs(rows.len()));
        } else if right < LEAST_OF_EACH {
            return Err(TooFew::Right(right));
        } else if wrong < LEAST_OF_EACH {
            return Err(TooFew::Wrong(wrong));
        }
        let by_old = |row: &Row| {
            let terms = old.code.weights.iter().zip(&row.signals).map(|((_, weight), signal)| weight * signal);
            (sigmoid(old.code.base + terms.sum::<f64>()), row.is_right)
        };
        let before: Vec<Judged> = rows.iter().map(by_old).collect();
        let after = fit::held_out(&rows, RIDGE, PARTS);
        let (Some(before), Some(after)) = (Quality::of(&before), Quality::of(&after)) else {
            return Err(TooFew::Wrong(wrong));
        };
        let pass_rate = rounded(count(right) / count(rows.len()));
        let sums = self.sums();
        let floor = hopeless::floor(&sums).unwrap_or(old.floor);
        let weights = Weights { id: id.to_string(), pass_rate, code: model(&signals, &rows), floor };
        let (stopped_before, stopped_after) = (Stopped::by(old.floor, &sums), Stopped::by(floor, &sums));
        Ok(Refit { runs: rows.len(), right, before, after, stopped_before, stopped_after, weights })
    }

    /// The sums of the labelled runs, as far as they have one.
    fn sums(&self) -> Vec<hopeless::Proven> {
        let sum = |(measured, is_right): &(Measured, bool)| {
            let (nats, tokens) = (measured.of(Signal::SeqLp)?, measured.of(Signal::Tokens)?);
            Some(hopeless::Proven { nats, tokens, is_right: *is_right })
        };
        self.runs.iter().filter_map(sum).collect()
    }
}

/// Fits the weights of signals, with four digits: what is written is what scores.
pub fn model(signals: &[Signal], rows: &[Row]) -> Model {
    let fitted = fit::fit(rows, RIDGE);
    let weights = signals.iter().zip(&fitted.weights).map(|(signal, weight)| (*signal, rounded(*weight))).collect();
    Model { base: rounded(fitted.base), weights }
}

impl Quality {
    /// Measures; `None` unless there are both right and wrong results.
    pub fn of(judged: &[Judged]) -> Option<Quality> {
        let Estimate { value, low, high } = measure::auroc(judged)?;
        let calibration_error = measure::calibration_error(judged);
        Some(Quality {
            auroc: value,
            auroc_low: low,
            auroc_high: high,
            calibration_error,
            brier: measure::brier(judged),
        })
    }
}

/// The signals of an attempt; its terms, and signals of another version, are passed over.
#[derive(Default)]
struct Named(Measured);

impl<'t> Take<'t> for Named {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        Some(self.0.entry(Signal::named(key)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::chat::Floor;

    fn line(verdict: &str, seq_lp: f64) -> String {
        format!(
            "{{\"attempts\":[{{\"route\":\"claude\",\"verdict\":\"passed\",\"signals\":{{}}}},\
             {{\"route\":\"local\",\"verdict\":null,\"confidence\":0.5,\"signals\":{{\"seq_lp\":-99}}}},\
             {{\"route\":\"local\",\"verdict\":\"{verdict}\",\"confidence\":0.5,\
             \"signals\":{{\"term.base\":2.0,\"seq_lp\":{seq_lp},\"mood\":1,\"tokens\":null}}}}]}}"
        )
    }

    fn old(base: f64, weight: f64) -> Weights {
        let code = Model { base, weights: vec![(Signal::SeqLp, weight)] };
        Weights { id: "old".to_string(), pass_rate: 0.5, code, floor: Floor { nats: -30.0, tokens: 100.0 } }
    }

    /// Runs of which those with a higher sum are right more often.
    fn labelled(n: u32) -> Labelled {
        let mut labelled = Labelled::default();
        for n in 0..n {
            let seq_lp = -f64::from(n % 20);
            labelled.add_line(&line(if (n * 7) % 20 >= n % 20 { "passed" } else { "failed" }, seq_lp));
        }
        labelled
    }

    #[test]
    fn the_first_proven_local_try_is_a_labelled_run() {
        let mut labelled = Labelled::default();
        labelled.add_line(&line("passed", -3.5));
        labelled.add_line(&line("skipped", -1.0));
        labelled.add_line("torn \"verdict\":\"passed\"");
        let seen: Vec<(Option<f64>, Option<f64>, bool)> = labelled
            .runs
            .iter()
            .map(|(measured, is_right)| (measured.of(Signal::SeqLp), measured.of(Signal::Tokens), *is_right))
            .collect();
        assert_eq!(seen, [(Some(-3.5), None, true)]);
    }

    #[test]
    fn too_few_runs_are_counted_and_not_fitted() {
        let old = old(2.0, 0.23);
        assert_eq!(labelled(49).refit(&old, "new").unwrap_err(), TooFew::Runs(49));
        let mut all_right = Labelled::default();
        (0..60).for_each(|n| all_right.add_line(&line("passed", -f64::from(n))));
        assert_eq!(all_right.refit(&old, "new").unwrap_err(), TooFew::Wrong(0));
        let other = Weights { code: Model { base: 0.0, weights: vec![(Signal::NewLp, 1.0)] }, ..old };
        assert_eq!(labelled(60).refit(&other, "new").unwrap_err(), TooFew::Runs(0), "none has that signal");
    }

    #[test]
    fn a_fit_learns_what_the_old_weights_got_wrong() {
        let refit = labelled(200).refit(&old(2.0, -0.2), "new").unwrap();
        assert!(refit.is_better() && refit.before.auroc < 0.5 && refit.after.auroc > 0.6, "{refit:?}");
        assert!(refit.after.calibration_error < refit.before.calibration_error, "{refit:?}");
        assert_eq!((refit.runs, refit.weights.id.as_str()), (200, "new"));
        let again = labelled(200).refit(&refit.weights, "newer").unwrap();
        assert_eq!(again.weights.code, refit.weights.code, "the same runs give the same weights");
        assert_eq!(refit.weights.floor, old(0.0, 0.0).floor, "runs without a length show no floor");
        assert!(!again.is_better(), "held out, they are no better than those that have seen the runs: {again:?}");
    }

    #[test]
    fn a_fit_brings_a_floor_where_enough_were_right() {
        let with = |right: u32| {
            let mut labelled = Labelled::default();
            let line = |verdict: &str, seq_lp: f64, tokens: u32| {
                line(verdict, seq_lp).replace("\"tokens\":null", &format!("\"tokens\":{tokens}"))
            };
            (1..=right).for_each(|n| labelled.add_line(&line("passed", -f64::from(n % 9), 100 + n % 10)));
            (1..=10).for_each(|n| labelled.add_line(&line("failed", -f64::from(n), 50)));
            labelled.refit(&old(2.0, 0.2), "new").unwrap()
        };
        let refit = with(50);
        assert_eq!(refit.weights.floor, Floor { nats: -10.0, tokens: 109.0 });
        assert_eq!((refit.stopped_before, refit.stopped_after), (Stopped::default(), Stopped::default()));
        assert_eq!(with(49).weights.floor, old(0.0, 0.0).floor);
    }
}
