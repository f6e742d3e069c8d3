//! Logistic regression with a ridge: signals and labels → weights. Pure and deterministic: the same rows give the same
//! weights on every machine. Newton's method on standardised columns; a handful of columns and some hundred rows take
//! milliseconds. How good the weights are is told by rows that they were not fitted on ([`held_out`]).

use crate::rules::measure::Judged;
use crate::rules::numbers::{count, ln, sigmoid};

/// Signals of one reply, in the order of the columns, and whether it was right.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub signals: Vec<f64>,
    pub is_right: bool,
}

/// A fitted model: the logit is `base` and the sum of the signals times their weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    pub base: f64,
    pub weights: Vec<f64>,
}

/// How strongly weights are pulled to zero, in rows: the prior of a standardised weight has variance 1/`RIDGE`.
pub const RIDGE: f64 = 4.0;
/// Newton's method needs four to eight steps.
const STEPS: u32 = 50;

impl Fitted {
    /// Returns the chance that a reply with these signals is right, 0 to 1.
    pub fn chance(&self, signals: &[f64]) -> f64 {
        sigmoid(self.base + dot(&self.weights, signals))
    }
}

/// Fits weights. All rows have as many signals as the first one.
pub fn fit(rows: &[Row], ridge: f64) -> Fitted {
    let width = rows.first().map_or(0, |row| row.signals.len());
    let columns: Vec<Column> = (0..width).map(|at| Column::of(rows, at)).collect();
    let scaled: Vec<Vec<f64>> = rows
        .iter()
        .map(|row| {
            let scaled = columns.iter().zip(&row.signals).map(|(column, signal)| column.scaled(*signal));
            std::iter::once(1.0).chain(scaled).collect()
        })
        .collect();
    let labels: Vec<f64> = rows.iter().map(|row| f64::from(row.is_right)).collect();
    let mut weights = vec![0.0; width + 1];
    let mut loss = penalised(&scaled, &labels, &weights, ridge);
    for _ in 0..STEPS {
        let step = newton(&scaled, &labels, &weights, ridge);
        // A full step may overshoot where classes are nearly apart: it is halved until it helps.
        let mut size = 1.0;
        let mut next = moved(&weights, &step, size);
        let mut lower = penalised(&scaled, &labels, &next, ridge);
        while lower > loss && size > 1e-6 {
            size /= 2.0;
            next = moved(&weights, &step, size);
            lower = penalised(&scaled, &labels, &next, ridge);
        }
        let gain = loss - lower;
        if gain > 0.0 {
            (weights, loss) = (next, lower);
        }
        if gain < 1e-12 {
            break;
        }
    }
    let mut base = weights.first().copied().unwrap_or_default();
    let plain = weights.iter().skip(1).zip(&columns).map(|(weight, column)| {
        let weight = weight / column.spread;
        base -= weight * column.mean;
        weight
    });
    let weights = plain.collect();
    Fitted { base, weights }
}

/// Returns for each row its score by weights that were fitted on the other parts of `parts`, in the order of the rows.
/// Right and wrong rows are dealt to the parts in turn, so that each part has its share of both.
pub fn held_out(rows: &[Row], ridge: f64, parts: usize) -> Vec<Judged> {
    let mut dealt = [0_usize; 2];
    let part_of: Vec<usize> = rows
        .iter()
        .map(|row| {
            let [wrong, right] = &mut dealt;
            let next = if row.is_right { right } else { wrong };
            *next += 1;
            (*next - 1) % parts.max(1)
        })
        .collect();
    let models: Vec<Fitted> = (0..parts)
        .map(|part| {
            let others = rows.iter().zip(&part_of).filter(|(_, of)| **of != part);
            fit(&others.map(|(row, _)| row.clone()).collect::<Vec<Row>>(), ridge)
        })
        .collect();
    let score =
        |(row, part): (&Row, &usize)| (models.get(*part).map_or(0.5, |model| model.chance(&row.signals)), row.is_right);
    rows.iter().zip(&part_of).map(score).collect()
}

/// Mean and spread of a signal.
struct Column {
    mean: f64,
    spread: f64,
}

impl Column {
    fn of(rows: &[Row], at: usize) -> Column {
        let values = || rows.iter().filter_map(|row| row.signals.get(at));
        let n = count(rows.len().max(1));
        let mean = values().sum::<f64>() / n;
        let variance = values().map(|value| (value - mean) * (value - mean)).sum::<f64>() / n;
        // A signal that never varies gets the weight 0, whatever its scale.
        Column { mean, spread: if variance > 1e-12 { variance.sqrt() } else { 1.0 } }
    }

    fn scaled(&self, value: f64) -> f64 {
        (value - self.mean) / self.spread
    }
}

fn dot(one: &[f64], two: &[f64]) -> f64 {
    one.iter().zip(two).map(|(one, two)| one * two).sum()
}

fn moved(weights: &[f64], step: &[f64], size: f64) -> Vec<f64> {
    weights.iter().zip(step).map(|(weight, step)| weight + size * step).collect()
}

/// The negative log-likelihood with the ridge on all weights but the first.
fn penalised(scaled: &[Vec<f64>], labels: &[f64], weights: &[f64], ridge: f64) -> f64 {
    let loss: f64 = scaled
        .iter()
        .zip(labels)
        .map(|(row, label)| {
            let chance = sigmoid(dot(weights, row));
            -ln(if *label > 0.5 { chance } else { 1.0 - chance })
        })
        .sum();
    loss + ridge / 2.0 * weights.iter().skip(1).map(|weight| weight * weight).sum::<f64>()
}

/// Newton's step: the solution of H·step = −gradient.
fn newton(scaled: &[Vec<f64>], labels: &[f64], weights: &[f64], ridge: f64) -> Vec<f64> {
    let width = weights.len();
    // One row of the system holds the row of the Hessian and, last, the negative gradient.
    let mut system = vec![vec![0.0; width + 1]; width];
    for (row, label) in scaled.iter().zip(labels) {
        let chance = sigmoid(dot(weights, row));
        let curve = chance * (1.0 - chance);
        for (line, one) in system.iter_mut().zip(row) {
            let right = row.iter().map(|two| curve * one * two).chain([(label - chance) * one]);
            line.iter_mut().zip(right).for_each(|(cell, more)| *cell += more);
        }
    }
    for (at, (line, weight)) in system.iter_mut().zip(weights).enumerate() {
        let pull = if at == 0 { 0.0 } else { ridge };
        // The tiny rest keeps a singular system solvable: all labels equal, a column twice.
        line.iter_mut().skip(at).take(1).for_each(|cell| *cell += pull + 1e-9);
        line.iter_mut().skip(width).for_each(|cell| *cell -= pull * weight);
    }
    solve(system)
}

/// Solves a symmetric, positive definite system by elimination; its last column is the right side.
fn solve(mut system: Vec<Vec<f64>>) -> Vec<f64> {
    for at in 0..system.len() {
        let (above, below) = system.split_at_mut(at + 1);
        let Some(pivot) = above.last() else { continue };
        let head = pivot.get(at).copied().unwrap_or(1.0);
        for line in below {
            let factor = line.get(at).copied().unwrap_or_default() / head;
            line.iter_mut().zip(pivot).for_each(|(cell, by)| *cell -= factor * by);
        }
    }
    let mut solution: Vec<f64> = Vec::new();
    // From the last line up; `solution` is kept backwards, like the tail of the lines.
    for (at, line) in system.iter().enumerate().rev() {
        let known: f64 = line.iter().take(system.len()).rev().zip(&solution).map(|(cell, value)| cell * value).sum();
        let (right, head) = (line.last().copied().unwrap_or_default(), line.get(at).copied().unwrap_or(1.0));
        solution.push((right - known) / head);
    }
    solution.reverse();
    solution
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(signals: &[f64], is_right: bool) -> Row {
        Row { signals: signals.to_vec(), is_right }
    }

    #[track_caller]
    fn near(value: f64, expected: f64, what: &str) {
        assert!((value - expected).abs() < 1e-6, "{what}: {value} is not {expected}");
    }

    #[test]
    fn a_system_is_solved() {
        let solution = solve(vec![vec![4.0, 1.0, 0.0, 6.0], vec![1.0, 3.0, 1.0, 10.0], vec![0.0, 1.0, 2.0, 8.0]]);
        for (value, expected) in solution.iter().zip([1.0, 2.0, 3.0]) {
            near(*value, expected, "solution");
        }
    }

    #[test]
    fn without_a_ridge_the_base_is_the_logit_of_the_share() {
        let rows: Vec<Row> = (0..10).map(|n| row(&[], n < 7)).collect();
        near(fit(&rows, 0.0).base, (0.7_f64 / 0.3).ln(), "base");
        // One signal with two values: the fit is that of a two by two table.
        let table = [(0.0, 1, 3), (1.0, 3, 1)];
        let rows: Vec<Row> = table
            .iter()
            .flat_map(|(value, right, wrong)| {
                let of = |n: i32, is_right| (0..n).map(move |_| row(&[*value], is_right));
                of(*right, true).chain(of(*wrong, false))
            })
            .collect();
        let Fitted { base, weights } = fit(&rows, 0.0);
        near(base, (1.0_f64 / 3.0).ln(), "base");
        near(weights[0], 9.0_f64.ln(), "weight");
    }

    #[test]
    fn a_ridge_keeps_weights_of_separable_rows_small() {
        let rows: Vec<Row> = (0..20).map(|n| row(&[f64::from(n), 5.0], n >= 10)).collect();
        let Fitted { base, weights } = fit(&rows, RIDGE);
        assert!(weights[0] > 0.05 && weights[0] < 1.0 && weights[1].abs() < 1e-9, "{base} {weights:?}");
        let chance = |value: f64| Fitted { base, weights: weights.clone() }.chance(&[value, 5.0]);
        assert!(chance(0.0) < 0.2 && chance(19.0) > 0.8, "{} {}", chance(0.0), chance(19.0));
        assert_eq!(fit(&rows, RIDGE), fit(&rows, RIDGE));
        assert!(fit(&[], RIDGE).base.abs() < 1e-9);
    }

    #[test]
    fn a_row_is_not_scored_by_weights_that_saw_it() {
        // A signal that names each row: fitted on all it separates them, held out it says nothing.
        let rows: Vec<Row> = (0..40)
            .map(|n| row(&(0..40).map(|at| f64::from(u8::from(at == n))).collect::<Vec<f64>>(), n % 2 == 0))
            .collect();
        let held = held_out(&rows, 0.01, 5);
        assert_eq!(held.len(), rows.len());
        assert!(held.iter().all(|(score, _)| (score - 0.5).abs() < 0.1), "{held:?}");
        assert_eq!(held.iter().map(|(_, is_right)| *is_right).collect::<Vec<_>>()[..3], [true, false, true]);
    }
}
