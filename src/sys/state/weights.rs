//! Weights of the score that `mux tune --fit --write` has fitted on this user's runs, and those before them.
//!
//! A document that cannot be used (damaged, of a later version, a signal that this version does not measure) is none: the
//! shipped weights hold, and the reader is told.

use super::document::Document;
use crate::rules::confidence::signals::Signal;
use crate::rules::confidence::weights::{Model, Weights};
use crate::rules::from_json::structs;
use crate::words::chat::Floor;
use crate::words::error::{Error, Kind};
use crate::words::stop::Stop;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// No fit gives weights beyond this; what does was written by hand, or torn.
const LARGEST: f64 = 100.0;

/// The weights of a state directory.
#[derive(Clone, Debug)]
pub struct FittedWeights {
    document: Document,
}

/// The document: what holds, and what held before it; without either the shipped weights.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Both {
    now: Option<Stored>,
    before: Option<Stored>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Stored {
    id: String,
    pass_rate: f64,
    base: f64,
    weights: BTreeMap<String, f64>,
    /// Absent where an earlier mux has written it.
    floor: Option<StoredFloor>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct StoredFloor {
    nats: f64,
    tokens: f64,
}

structs! {
    Both { now, before }
    Stored { id, pass_rate, base, weights, floor }
    StoredFloor { nats, tokens }
}

impl FittedWeights {
    /// Names the weights of a state directory; nothing is touched.
    pub fn below(state_dir: &Path) -> FittedWeights {
        FittedWeights { document: Document::at(state_dir.join("weights.json")) }
    }

    pub fn path(&self) -> &Path {
        self.document.path()
    }

    /// Returns the weights that hold, and a line about why they are not those of the document, where they are not.
    pub fn current(&self) -> (Weights, Option<String>) {
        let read = match self.document.of_later() {
            // Signals that this mux does not know would be missing from the sum.
            Some(why) => Err((why, "")),
            None => self.fitted().map_err(|why| (why, " (`mux tune --fit --reset` removes them)")),
        };
        match read {
            Ok(weights) => (weights.unwrap_or_default(), None),
            Err((why, remedy)) => {
                let path = self.path().display();
                let note =
                    format!("the weights in `{path}` are not used: {why}; those that mux comes with hold{remedy}");
                (Weights::default(), Some(note))
            }
        }
    }

    fn fitted(&self) -> io::Result<Option<Weights>> {
        let both: Option<Both> = self.document.read()?;
        both.and_then(|both| both.now).map(Stored::weights).transpose()
    }

    /// Keeps new weights, and those that held until now beside them.
    ///
    /// # Errors
    /// `Io` when they cannot be written.
    pub fn put(&self, weights: &Weights, stop: &Stop) -> Result<(), Error> {
        self.change(stop, |both| Both { now: Some(Stored::of(weights)), before: both.now })
    }

    /// Goes back to the weights before the last fit, or to the shipped ones; returns the id of those that hold then.
    ///
    /// # Errors
    /// As [`FittedWeights::put`].
    pub fn reset(&self, stop: &Stop) -> Result<String, Error> {
        self.change(stop, |both| Both { now: both.before, before: None })?;
        Ok(self.current().0.id)
    }

    fn change(&self, stop: &Stop, change: impl FnOnce(Both) -> Both) -> Result<(), Error> {
        let result = self.document.change(stop, |both: io::Result<Option<Both>>| {
            // What cannot be used is not worth keeping either.
            let both = both.ok().flatten();
            Ok((Some(change(both.unwrap_or_default())), ()))
        });
        result.map_err(|source| {
            let what = format!("cannot write the weights `{}`", self.path().display());
            Error::caused(Kind::Io, what, Box::new(source))
        })
    }
}

impl Stored {
    fn of(weights: &Weights) -> Stored {
        let mut named = BTreeMap::new();
        named.extend(weights.code.weights.iter().map(|(signal, weight)| (signal.name().to_string(), *weight)));
        let Floor { nats, tokens } = weights.floor;
        Stored {
            id: weights.id.clone(),
            pass_rate: weights.pass_rate,
            base: weights.code.base,
            weights: named,
            floor: Some(StoredFloor { nats, tokens }),
        }
    }

    fn weights(self) -> io::Result<Weights> {
        let is_sound = |weight: &f64| weight.is_finite() && weight.abs() <= LARGEST;
        let bad = |what: String| io::Error::other(what);
        if !is_sound(&self.base) || !(0.0..=1.0).contains(&self.pass_rate) || self.weights.is_empty() {
            return Err(bad("its numbers are none that a fit gives".to_string()));
        }
        let mut weights = Vec::new();
        for (name, weight) in &self.weights {
            let signal = Signal::named(name).ok_or_else(|| bad(format!("it names the unknown signal `{name}`")))?;
            if !is_sound(weight) {
                return Err(bad(format!("the weight of `{name}` is none that a fit gives")));
            }
            weights.push((signal, *weight));
        }
        let floor = match self.floor {
            Some(StoredFloor { nats, tokens }) if nats < 0.0 && nats.is_finite() && tokens >= 1.0 => {
                Floor { nats, tokens }
            }
            Some(_) => return Err(bad("its floor is none that a fit gives".to_string())),
            None => Weights::default().floor,
        };
        Ok(Weights { id: self.id, pass_rate: self.pass_rate, code: Model { base: self.base, weights }, floor })
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::{Temp, soon};
    use super::*;

    fn weights(id: &str, base: f64) -> Weights {
        let code = Model { base, weights: vec![(Signal::Branches, -0.1), (Signal::SeqLp, 0.3)] };
        Weights { id: id.to_string(), pass_rate: 0.7, code, floor: Floor { nats: base * -9.0, tokens: 300.0 } }
    }

    /// What holds, without the order of its weights.
    #[track_caller]
    fn check(fitted: &FittedWeights, id: &str, base: f64) {
        let (weights, note) = fitted.current();
        assert_eq!((weights.id.as_str(), weights.code.base, note), (id, base, None));
    }

    #[test]
    fn a_fit_is_kept_and_taken_back() {
        let temp = Temp::new("weights");
        let fitted = FittedWeights::below(&temp.0);
        let shipped = Weights::default();
        check(&fitted, &shipped.id, shipped.code.base);
        fitted.put(&weights("one", 1.5), &soon()).unwrap();
        check(&fitted, "one", 1.5);
        assert_eq!(fitted.current().0, weights("one", 1.5));
        fitted.put(&weights("two", 2.5), &soon()).unwrap();
        check(&fitted, "two", 2.5);
        assert_eq!(fitted.reset(&soon()).unwrap(), "one");
        check(&fitted, "one", 1.5);
        assert_eq!(fitted.reset(&soon()).unwrap(), shipped.id);
        check(&fitted, &shipped.id, shipped.code.base);
    }

    #[test]
    fn what_cannot_be_used_is_said_and_the_shipped_weights_hold() {
        let temp = Temp::new("weights");
        let fitted = FittedWeights::below(&temp.0);
        let now = |id: &str, rest: &str| format!("{{\"schema\":1,\"now\":{{\"id\":\"{id}\",{rest}}},\"before\":null}}");
        for (text, why) in [
            ("{\"schema\":1,\"no".to_string(), "it is no JSON of mux"),
            ("{\"schema\":2,\"now\":null,\"before\":null}".to_string(), "a later mux"),
            (now("x", "\"pass_rate\":0.5,\"base\":1,\"weights\":{\"mood\":1}"), "the unknown signal `mood`"),
            (now("x", "\"pass_rate\":0.5,\"base\":1,\"weights\":{\"seq_lp\":1e9}"), "the weight of `seq_lp`"),
            (now("x", "\"pass_rate\":5,\"base\":1,\"weights\":{\"seq_lp\":1}"), "its numbers are none"),
            (
                now("x", "\"pass_rate\":0.5,\"base\":1,\"weights\":{\"seq_lp\":1},\"floor\":{\"nats\":2,\"tokens\":9}"),
                "its floor is none",
            ),
        ] {
            fs_err::write(fitted.path(), &text).unwrap();
            let (weights, note) = fitted.current();
            assert_eq!(weights, Weights::default(), "{text}");
            assert!(note.as_ref().is_some_and(|note| note.contains(why)), "{text}: {note:?}");
        }
        fitted.put(&weights("new", 1.0), &soon()).unwrap();
        check(&fitted, "new", 1.0);
    }
}
