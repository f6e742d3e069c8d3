//! How much each signal counts: the weights that mux comes with, and those that were fitted on a user's own runs. Pure.
//!
//! The shipped weights were fitted by `rules/fit.rs` on `fixtures/signals` (a test fits them again); `docs/confidence.md`
//! holds the tables.

use crate::rules::confidence::signals::{Measured, Signal};
use crate::words::chat::Floor;

/// The logit of a score: a base, and for each signal its weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub base: f64,
    pub weights: Vec<(Signal, f64)>,
}

/// All that a score of code is made with.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// Named in every record that was scored by them.
    pub id: String,
    /// The share of right replies among those that they were fitted on, 0 to 1: what a prior is held against.
    pub pass_rate: f64,
    pub code: Model,
    /// Below it a reply is not waited for.
    pub floor: Floor,
}

/// The id of the shipped weights: the day of their fit.
pub const DEFAULT_ID: &str = "default-2026-11-27";

impl Default for Weights {
    fn default() -> Weights {
        Weights {
            id: DEFAULT_ID.to_string(),
            pass_rate: 0.375,
            code: Model {
                base: 1.2309,
                weights: vec![(Signal::NewLp, 0.077), (Signal::NewMean, 6.2906), (Signal::Same, -4.3132)],
            },
            floor: Floor { nats: -24.6279, tokens: 470.0 },
        }
    }
}

/// Without log-probabilities: length is a weak prior.
pub fn text_only() -> Model {
    Model { base: 0.4312, weights: vec![(Signal::Tokens, -0.0017), (Signal::Same, -3.5186)] }
}

impl Model {
    /// Returns the terms of a reply, or `None` where one of the signals is absent.
    pub fn terms(&self, measured: &Measured) -> Option<Vec<(&'static str, f64)>> {
        let term =
            |(signal, weight): &(Signal, f64)| Some((signal.name(), weight * signal.bounded(measured.of(*signal)?)));
        let terms: Option<Vec<_>> = self.weights.iter().map(term).collect();
        Some([("base", self.base)].into_iter().chain(terms?).collect())
    }
}
