//! How good scores are against what came true: discrimination, calibration, intervals. Pure and deterministic. The terms
//! are the field's: AUROC, Brier score, expected calibration error, Wilson's interval.

use crate::rules::numbers::count;
use crate::rules::sorted::sorted;

/// A score from 0 to 1 and whether the result was right.
pub type Judged = (f64, bool);

/// An area with its interval at 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// The normal deviate of a two-sided 95 %.
const Z: f64 = 1.959_964;
/// Bins of the calibration error, as in Naeini 2015.
const BINS: usize = 10;

/// Returns the chance that a right result scores above a wrong one, ties counting half, with `DeLong`'s interval (1988).
/// `None` unless there are both right and wrong results.
pub fn auroc(judged: &[Judged]) -> Option<Estimate> {
    let of = |want: bool| -> Vec<f64> {
        judged.iter().filter(|(_, is_right)| *is_right == want).map(|(score, _)| *score).collect()
    };
    let (right, wrong) = (of(true), of(false));
    if right.is_empty() || wrong.is_empty() {
        return None;
    }
    let wins = placements(&right, &wrong);
    let losses = placements(&wrong, &right);
    let value = wins.iter().sum::<f64>() / count(wins.len());
    let variance = spread(&wins, value) / count(wins.len()) + spread(&losses, 1.0 - value) / count(losses.len());
    let half = Z * variance.sqrt();
    Some(Estimate { value, low: (value - half).max(0.0), high: (value + half).min(1.0) })
}

/// For each of `these`, the share of `others` below it.
fn placements(these: &[f64], others: &[f64]) -> Vec<f64> {
    let others = sorted(others.iter().map(|score| key(*score)).collect());
    let place = |score: &f64| {
        let key = key(*score);
        let below = others.partition_point(|other| *other < key);
        let same = others.partition_point(|other| *other <= key) - below;
        (count(below) + count(same) / 2.0) / count(others.len())
    };
    these.iter().map(place).collect()
}

/// A whole number in the order of the numbers: the bits of a positive one are, those of a negative one run backwards.
fn key(x: f64) -> i64 {
    let bits = x.to_bits().cast_signed();
    if bits < 0 { i64::MIN - bits } else { bits }
}

/// The variance of a sample around its mean.
fn spread(values: &[f64], mean: f64) -> f64 {
    let sum: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    sum / count(values.len().saturating_sub(1).max(1))
}

/// Returns the mean squared error of scores as probabilities; 0 of nothing.
pub fn brier(judged: &[Judged]) -> f64 {
    let sum: f64 = judged.iter().map(|(score, is_right)| (score - f64::from(*is_right)).powi(2)).sum();
    sum / count(judged.len().max(1))
}

/// Returns the expected calibration error: the mean distance, over ten bins of equal width weighted by their size, between
/// the mean score and the share that was right.
pub fn calibration_error(judged: &[Judged]) -> f64 {
    let mut bins = [(0.0, 0.0); BINS];
    for (score, is_right) in judged {
        let place = (0..BINS - 1).find(|bin| score * count(BINS) < count(bin + 1)).unwrap_or(BINS - 1);
        if let Some((scores, rights)) = bins.get_mut(place) {
            *scores += score;
            *rights += f64::from(*is_right);
        }
    }
    let gaps: f64 = bins.iter().map(|(scores, rights)| (scores - rights).abs()).sum();
    gaps / count(judged.len().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 5e-4, "{value} is not {expected}");
    }

    #[test]
    fn the_area_is_the_chance_that_right_beats_wrong() {
        let all = |right: &[f64], wrong: &[f64]| -> Vec<Judged> {
            let right = right.iter().map(|score| (*score, true));
            right.chain(wrong.iter().map(|score| (*score, false))).collect()
        };
        let area = |right: &[f64], wrong: &[f64]| auroc(&all(right, wrong)).unwrap().value;
        near(area(&[0.9, 0.8], &[0.1, 0.2]), 1.0);
        near(area(&[0.1], &[0.9]), 0.0);
        near(area(&[0.5, 0.5], &[0.5]), 0.5);
        near(area(&[0.8, 0.4, 0.6], &[0.5, 0.3]), 5.0 / 6.0);
        near(area(&[-1.0, 2.0], &[-3.0, -2.0]), 1.0);
        assert_eq!(auroc(&all(&[0.3], &[])), None);
    }

    #[test]
    fn the_interval_of_the_area_is_that_of_delong() {
        // Placements of the right: 1, 1, 3/4, 1/2; of the wrong: 1/4, 1/2, 0, 0. Hence S² = 0.0573 and 0.0573.
        let judged: Vec<Judged> = [0.9, 0.8, 0.55, 0.4].iter().map(|score| (*score, true)).collect();
        let judged: Vec<Judged> = judged.into_iter().chain([0.5, 0.6, 0.3, 0.2].map(|score| (score, false))).collect();
        let Estimate { value, low, high } = auroc(&judged).unwrap();
        near(value, 0.8125);
        near(value - low, Z * (0.057_291_7_f64 / 4.0 * 2.0).sqrt());
        near(high, 1.0);
    }

    #[test]
    fn calibration_is_measured_as_in_the_literature() {
        let judged = [(0.9, true), (0.9, true), (0.9, false), (0.1, false), (1.0, true)];
        near(brier(&judged), (0.01 + 0.01 + 0.81 + 0.01) / 5.0);
        near(calibration_error(&judged), ((3.7_f64 - 3.0).abs() + 0.1) / 5.0);
        assert_eq!((brier(&[]), calibration_error(&[])), (0.0, 0.0));
    }
}
