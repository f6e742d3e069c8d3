//! A threshold for the confidence of local results, proposed from what the ledger knows: for a share of runs that may go
//! to the cloud, or for a share of accepted results that may be wrong. Pure. With its interval, and not on too little.

use crate::rules::metrics::{Rate, rate};
use crate::rules::sorted::sorted;

/// Fewer runs say nothing.
pub const FEWEST: usize = 30;
/// More are never asked for; no share is that small.
const MOST_NEEDED: usize = 100_000;
/// Times that the runs are drawn anew for the interval of a threshold.
const DRAWS: usize = 200;

/// How the threshold decides whether a run leaves for the cloud.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Leaves {
    Never,
    Always,
    /// When the threshold is above this score.
    Above(f64),
}

/// A local result of which somebody knows whether it was right: its score, and that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Labelled {
    pub score: f64,
    pub is_right: bool,
}

/// A threshold and what is expected of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proposal {
    pub threshold: f64,
    /// What 95 of 100 redraws of the same runs would have proposed; both ends at the threshold where they give none.
    pub low: f64,
    pub high: f64,
    /// The share that the target is about, at the threshold.
    pub rate: Rate,
}

/// Why there is no proposal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Refused {
    /// So many runs are needed, and there are fewer.
    TooFew { needed: usize, have: usize },
    /// Whatever the threshold is, the share is at least this.
    OutOfReach { least: Rate },
}

/// Returns the highest threshold at which no more than `target` of the runs leave.
///
/// # Errors
/// [`Refused`].
pub fn for_cloud_share(runs: &[Leaves], target: f64) -> Result<Proposal, Refused> {
    if runs.len() < FEWEST {
        return Err(Refused::TooFew { needed: FEWEST, have: runs.len() });
    }
    let sorted = sorted(runs.iter().map(|leaves| leaves.key()).collect());
    let best = |weights: &[usize]| {
        let most = target * weights.iter().sum::<usize>() as f64;
        let mut leaving = 0;
        for (key, weight) in sorted.iter().zip(weights) {
            if (leaving + weight) as f64 > most {
                return Leaves::most(*key);
            }
            leaving += weight;
        }
        Some(1.0)
    };
    let share = |threshold: f64| {
        let leaving = runs.iter().filter(|leaves| leaves.at(threshold)).count();
        rate(leaving as u64, runs.len() as u64).unwrap_or(NOTHING)
    };
    let exact = best(&vec![1; sorted.len()]).ok_or_else(|| Refused::OutOfReach { least: share(0.0) })?;
    // Rounded down: nobody leaves who would not have.
    let threshold = (exact * 1000.0).floor() / 1000.0;
    Ok(proposal(threshold, &redraw(sorted.len(), best), share(threshold)))
}

/// Returns the lowest threshold at which no more than `target` of the accepted results are wrong.
///
/// # Errors
/// [`Refused`].
pub fn for_false_accepts(results: &[Labelled], target: f64) -> Result<Proposal, Refused> {
    // A share of 2 % cannot be seen in fewer than 50 runs: one that is wrong would be more.
    let needed = (FEWEST..MOST_NEEDED).find(|needed| *needed as f64 * target >= 1.0).unwrap_or(MOST_NEEDED);
    if results.len() < needed {
        return Err(Refused::TooFew { needed, have: results.len() });
    }
    let key = |result: &Labelled| (result.score.max(0.0).to_bits(), result.is_right);
    let sorted = sorted(results.iter().map(key).collect());
    let best = |weights: &[usize]| {
        let (mut accepted, mut wrong, mut best) = (0_usize, 0_usize, None);
        let mut from_above = sorted.iter().zip(weights).rev().peekable();
        while let Some(((bits, is_right), weight)) = from_above.next() {
            accepted += weight;
            wrong += if *is_right { 0 } else { *weight };
            // A threshold accepts all of one score, or none.
            let is_edge = from_above.peek().is_none_or(|((next, _), _)| next != bits);
            if is_edge && accepted >= needed && wrong as f64 <= target * accepted as f64 {
                best = Some(f64::from_bits(*bits));
            }
        }
        best
    };
    let share = |threshold: f64| {
        let accepted = results.iter().filter(|result| result.score >= threshold);
        let (all, wrong) = accepted.fold((0, 0), |(all, wrong), result| (all + 1, wrong + u64::from(!result.is_right)));
        rate(wrong, all).unwrap_or(NOTHING)
    };
    let least = || {
        // What the most confident ones come to, as few as may count.
        let at = sorted.len().saturating_sub(needed);
        let score = sorted.get(at).map_or(0.0, |(bits, _)| f64::from_bits(*bits));
        Refused::OutOfReach { least: share(score) }
    };
    let exact = best(&vec![1; sorted.len()]).ok_or_else(least)?;
    // Rounded down, so that the result of that score is still accepted, unless that lets others in.
    let rounded = (exact * 1000.0).floor() / 1000.0;
    let threshold = if share(rounded).share <= target { rounded } else { exact };
    Ok(proposal(threshold, &redraw(sorted.len(), best), share(threshold)))
}

const NOTHING: Rate = Rate { of: 0, share: 0.0, low: 0.0, high: 1.0 };

impl Leaves {
    /// A number for each, in the order in which a rising threshold makes them leave.
    fn key(self) -> u64 {
        match self {
            Leaves::Always => 0,
            // Bits of numbers that are not negative are in their order.
            Leaves::Above(score) => score.max(0.0).to_bits() + 1,
            Leaves::Never => u64::MAX,
        }
    }

    /// The highest threshold at which the run of a key stays, 1 at most.
    fn most(key: u64) -> Option<f64> {
        key.checked_sub(1).map(|bits| if key == u64::MAX { 1.0 } else { f64::from_bits(bits).min(1.0) })
    }

    /// Returns whether the run leaves at a threshold.
    pub fn at(self, threshold: f64) -> bool {
        match self {
            Leaves::Always => true,
            Leaves::Above(score) => score < threshold,
            Leaves::Never => false,
        }
    }
}

/// Draws `n` of `n` runs again and again, always the same way; returns in order the bits of what each draw leads to. `best`
/// is told how often each run was drawn.
fn redraw(n: usize, best: impl Fn(&[usize]) -> Option<f64>) -> Vec<u64> {
    // Marsaglia's xorshift: good enough to draw with, and the same on every machine.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from((state >> 16) % n.max(1) as u64).unwrap_or(0)
    };
    let mut weights = vec![0; n];
    let mut led = Vec::new();
    for _ in 0..DRAWS {
        weights.fill(0);
        for _ in 0..n {
            if let Some(weight) = weights.get_mut(next()) {
                *weight += 1;
            }
        }
        led.extend(best(&weights).map(f64::to_bits));
    }
    sorted(led)
}

fn proposal(threshold: f64, drawn: &[u64], rate: Rate) -> Proposal {
    let at = |thousandths: usize| {
        drawn.get(drawn.len().saturating_sub(1) * thousandths / 1000).map(|bits| f64::from_bits(*bits))
    };
    let (low, high) = (at(25).unwrap_or(threshold), at(975).unwrap_or(threshold));
    Proposal { threshold, low: low.min(threshold), high: high.max(threshold), rate }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores from 0.00 to 0.99, ten times each.
    fn runs(leaves: impl Fn(f64) -> Leaves) -> Vec<Leaves> {
        (0..1000).map(|n| leaves(f64::from(n % 100) / 100.0)).collect()
    }

    #[test]
    fn the_threshold_for_a_share_of_the_cloud_is_the_highest_that_keeps_it() {
        let of_score = runs(Leaves::Above);
        let found = for_cloud_share(&of_score, 0.2).unwrap();
        assert_eq!((found.threshold, found.rate.share), (0.2, 0.2));
        assert!(found.low > 0.16 && found.low < 0.2 && found.high > 0.2 && found.high < 0.24, "{found:?}");
        assert_eq!(for_cloud_share(&of_score, 0.2), Ok(found), "the same again");
        assert_eq!(for_cloud_share(&of_score, 1.0).map(|found| found.threshold), Ok(1.0));
        assert_eq!(for_cloud_share(&of_score, 0.0).map(|found| found.threshold), Ok(0.0));
        // Half of them have tests, and stay whatever the threshold is.
        let tested = runs(|score| if score < 0.5 { Leaves::Never } else { Leaves::Above(score) });
        assert_eq!(for_cloud_share(&tested, 0.2).map(|found| found.threshold), Ok(0.7));
        let always = runs(|score| if score < 0.3 { Leaves::Always } else { Leaves::Above(score) });
        let found = for_cloud_share(&always, 0.4).unwrap();
        assert_eq!((found.threshold, found.rate.share), (0.4, 0.4));
        let Err(Refused::OutOfReach { least }) = for_cloud_share(&always, 0.2) else { panic!("it is out of reach") };
        assert_eq!(Some(least), rate(300, 1000));
    }

    #[test]
    fn the_threshold_for_wrong_results_is_the_lowest_that_keeps_them_out() {
        // Below 0.5 half of the results are wrong, above one in fifty.
        let result = |n: u32| {
            let score = f64::from(n % 100) / 100.0;
            let is_right = if score < 0.5 { n.is_multiple_of(2) } else { !n.is_multiple_of(50) };
            Labelled { score, is_right }
        };
        let results: Vec<Labelled> = (0..1000).map(result).collect();
        let found = for_false_accepts(&results, 0.02).unwrap();
        assert_eq!((found.threshold, found.rate.of), (0.5, 500));
        assert!(found.rate.share <= 0.02 && found.low <= 0.5 && found.high >= 0.5, "{found:?}");
        let found = for_false_accepts(&results, 0.6).unwrap();
        assert_eq!((found.threshold, found.rate.of), (0.0, 1000));
        let bad: Vec<Labelled> = results.iter().map(|result| Labelled { is_right: false, ..*result }).collect();
        let Err(Refused::OutOfReach { least }) = for_false_accepts(&bad, 0.02) else { panic!("it is out of reach") };
        assert_eq!((least.share, least.of), (1.0, 50));
    }

    #[test]
    fn too_few_runs_are_counted_and_refused() {
        assert_eq!(for_cloud_share(&[Leaves::Never; 29], 0.2), Err(Refused::TooFew { needed: 30, have: 29 }));
        let right = [Labelled { score: 0.9, is_right: true }; 49];
        assert_eq!(for_false_accepts(&right, 0.02), Err(Refused::TooFew { needed: 50, have: 49 }));
        assert_eq!(for_false_accepts(&right[..29], 0.5), Err(Refused::TooFew { needed: 30, have: 29 }));
        assert!(for_false_accepts(&right, 0.05).is_ok());
    }
}
