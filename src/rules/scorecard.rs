//! What the rows of `mux bench` add up to: pass rates, speed, and whether the score tells right from wrong. Pure.

use crate::rules::measure::Judged;
use crate::rules::sorted::sorted;
use crate::rules::suite::{Language, Shape};
use crate::words::task::Form;

/// Of what a suggested threshold keeps, this share was right.
const KEPT_RIGHT: f64 = 0.9;
/// Fewer scored rows suggest nothing.
pub const FEWEST: usize = 10;
/// Nor do fewer that are kept.
const FEWEST_KEPT: usize = 5;

/// One task as it was done.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub name: &'static str,
    pub shape: Shape,
    pub language: Language,
    /// The form that files were asked for in; `None` for answers, and for a cloud CLI.
    pub format: Option<Form>,
    pub passed: bool,
    pub seconds: f64,
    /// mux's own score, which knew nothing of the check.
    pub confidence: Option<f64>,
    /// Of its model calls, the mean.
    pub tokens_per_sec: Option<f64>,
    /// How the run ended, where the check was not passed: one line.
    pub why: Option<String>,
}

impl Row {
    /// The task and the form, in words.
    pub fn label(&self) -> String {
        self.format.map_or_else(|| self.name.to_string(), |form| format!("{} ({})", self.name, form.name()))
    }
}

/// Passed and done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    pub passed: usize,
    pub done: usize,
}

impl Rate {
    pub fn of<'a>(rows: impl Iterator<Item = &'a Row>) -> Rate {
        rows.fold(Rate::default(), |rate, row| Rate {
            passed: rate.passed + usize::from(row.passed),
            done: rate.done + 1,
        })
    }

    /// 0 to 1; `None` where nothing was done.
    pub fn share(self) -> Option<f64> {
        (self.done > 0).then(|| self.passed as f64 / self.done as f64)
    }
}

/// Returns the scores with their truth.
pub fn judged(rows: &[Row]) -> Vec<Judged> {
    rows.iter().filter_map(|row| Some((row.confidence?, row.passed))).collect()
}

/// Returns the lowest threshold that keeps nine right results in ten, and how many it keeps; `None` where there is none,
/// or where too few rows say so.
pub fn threshold(judged: &[Judged]) -> Option<(f64, usize)> {
    if judged.len() < FEWEST {
        return None;
    }
    let kept = |least: f64| judged.iter().filter(move |(score, _)| *score >= least);
    let candidates = judged.iter().map(|(score, _)| *score).filter(|least| {
        let n_kept = kept(*least).count();
        let n_right = kept(*least).filter(|(_, is_right)| *is_right).count();
        n_kept >= FEWEST_KEPT && n_right as f64 >= KEPT_RIGHT * n_kept as f64
    });
    let lowest = candidates.reduce(f64::min)?;
    Some((lowest, kept(lowest).count()))
}

/// Returns the middle one of the rows' speeds, in tokens a second.
pub fn speed(rows: &[Row]) -> Option<f64> {
    // The bits of positive numbers are in the order of the numbers.
    let speeds = sorted(rows.iter().filter_map(|row| row.tokens_per_sec).map(f64::to_bits).collect());
    speeds.get(speeds.len() / 2).map(|bits| f64::from_bits(*bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(passed: bool, confidence: Option<f64>, tokens_per_sec: Option<f64>) -> Row {
        let (shape, language, format) = (Shape::Fix, Language::Shell, Some(Form::Whole));
        Row { name: "a", shape, language, format, passed, seconds: 1.0, confidence, tokens_per_sec, why: None }
    }

    #[test]
    fn a_rate_counts_what_was_done() {
        let rows = [row(true, None, None), row(false, None, None)];
        assert_eq!(Rate::of(rows.iter()), Rate { passed: 1, done: 2 });
        assert_eq!(Rate::of(rows.iter()).share(), Some(0.5));
        assert_eq!(Rate::default().share(), None);
    }

    #[test]
    fn a_threshold_keeps_nine_of_ten_right() {
        let scores: Vec<(f64, bool)> = (0..20_u32).map(|n| (f64::from(n) / 20.0, n >= 10)).collect();
        // From 0.45 on eleven are kept, of which ten are right.
        assert_eq!(threshold(&scores), Some((0.45, 11)));
        let mixed: Vec<(f64, bool)> = (0..20_u32).map(|n| (f64::from(n) / 20.0, n % 2 == 0)).collect();
        assert_eq!(threshold(&mixed), None, "no threshold helps where the score says nothing");
        assert_eq!(threshold(&[(0.9, true); 9]), None, "too few rows");
        assert_eq!(threshold(&[(0.9, true); 10]), Some((0.9, 10)));
    }

    #[test]
    fn the_speed_is_that_of_the_middle_row() {
        let rows = [
            row(true, None, Some(3.0)),
            row(true, None, None),
            row(true, None, Some(9.14)),
            row(true, None, Some(5.0)),
        ];
        assert_eq!(speed(&rows), Some(5.0));
        assert_eq!(speed(&[]), None);
    }
}
