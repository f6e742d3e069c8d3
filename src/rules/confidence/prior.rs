//! How often a model was right before: counts of verified outcomes from the ledger, by model and by place. Pure.
//!
//! A place is a work directory and the form that files were asked for in: what a model can do differs between code bases
//! (savings measured on one do not transfer to another), and between whole files and edits.
//!
//! Counts are those of a Beta distribution that begins with [`BEFORE`] runs of the usual share, so that nothing known is
//! exactly the middle: no term. **Invariant:** the terms together lie within ±[`MOST`]; they cannot accept by themselves.

use crate::rules::confidence::proven;
use crate::rules::numbers::logit;
use crate::words::task::Form;
use std::collections::BTreeMap;

/// Runs that the usual share counts for.
const BEFORE: f64 = 10.0;
/// The most that the past moves a logit: from 0.50 to 0.62.
const MOST: f64 = 0.5;
/// How much of what the past says is taken: the reply's own signals hold a part of it already.
const TAKEN: f64 = 0.5;

/// Verified outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    pub right: u32,
    pub wrong: u32,
}

/// What is known before a reply comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prior {
    /// Of the model, anywhere.
    pub model: Outcomes,
    /// Of the model, in this place.
    pub place: Outcomes,
}

impl Outcomes {
    fn add(&mut self, is_right: bool) {
        *(if is_right { &mut self.right } else { &mut self.wrong }) += 1;
    }

    /// The mean of the Beta distribution.
    fn share(self, usual: f64) -> f64 {
        let (right, wrong) = (f64::from(self.right), f64::from(self.wrong));
        (right + BEFORE * usual) / (right + wrong + BEFORE)
    }
}

impl Prior {
    /// Returns the terms, 0 for nothing known; a place is held against its model, so that nothing counts twice. `usual` is
    /// the share of right replies among those that the weights were fitted on.
    pub fn terms(&self, usual: f64) -> [(&'static str, f64); 2] {
        let model = self.model.share(usual);
        let place = self.place.share(model);
        let by_model = (TAKEN * (logit(model) - logit(usual))).clamp(-MOST, MOST);
        let by_both = (by_model + TAKEN * (logit(place) - logit(model))).clamp(-MOST, MOST);
        [("prior.model", by_model), ("prior.place", by_both - by_model)]
    }
}

/// The outcomes of a window of the ledger.
#[derive(Debug, Default)]
pub struct Past {
    models: BTreeMap<String, Outcomes>,
    places: BTreeMap<(String, String, String), Outcomes>,
}

impl Past {
    /// Counts the labelled run of a ledger line.
    pub fn add_line(&mut self, line: &str) {
        let Some(of) = proven::first::<()>(line) else { return };
        self.models.entry(of.model.clone()).or_default().add(of.is_right);
        self.places.entry((of.model, of.workdir, of.form)).or_default().add(of.is_right);
    }

    /// Returns what is known of a model in a place.
    pub fn of(&self, model: &str, workdir: &str, form: Form) -> Prior {
        let form = match form {
            Form::Whole => "whole",
            Form::Edits => "edits",
        };
        let place = (model.to_string(), workdir.to_string(), form.to_string());
        Prior {
            model: self.models.get(model).copied().unwrap_or_default(),
            place: self.places.get(&place).copied().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(right: u32, wrong: u32) -> Outcomes {
        Outcomes { right, wrong }
    }

    /// The terms of a past, with two digits.
    #[track_caller]
    fn check(model: Outcomes, place: Outcomes, expected: &[(&str, f64)]) {
        let terms =
            Prior { model, place }.terms(0.6).into_iter().map(|(name, value)| (name, (value * 100.0).round() / 100.0));
        let terms: Vec<(&str, f64)> = terms.filter(|(_, value)| *value != 0.0).collect();
        assert_eq!(terms, expected);
    }

    #[test]
    fn nothing_known_is_the_middle_and_much_is_bounded() {
        check(outcomes(0, 0), outcomes(0, 0), &[]);
        check(outcomes(10, 0), outcomes(0, 0), &[("prior.model", 0.49)]);
        check(outcomes(1000, 0), outcomes(0, 0), &[("prior.model", 0.5)]);
        check(outcomes(0, 1000), outcomes(0, 1000), &[("prior.model", -0.5)]);
        check(outcomes(30, 30), outcomes(2, 18), &[("prior.model", -0.17), ("prior.place", -0.33)]);
    }

    #[test]
    fn the_first_proven_try_of_a_run_counts() {
        let line = |workdir: &str, tries: &[(&str, &str, &str)]| {
            let tries: Vec<String> = tries
                .iter()
                .map(|(route, verdict, score)| {
                    format!("{{\"route\":\"{route}\",\"model\":\"m\",\"form\":\"whole\",\"verdict\":{verdict},\"confidence\":{score}}}")
                })
                .collect();
            format!("{{\"workdir\":\"{workdir}\",\"attempts\":[{}]}}", tries.join(","))
        };
        let mut past = Past::default();
        past.add_line(&line("/a", &[("local", "\"failed\"", "0.5"), ("local", "\"passed\"", "0.9")]));
        past.add_line(&line("/a", &[("local", "null", "0.5"), ("local", "\"passed\"", "0.9")]));
        past.add_line(&line("/b", &[("local", "\"passed\"", "null"), ("claude", "\"passed\"", "null")]));
        past.add_line(&line("/b", &[("local", "\"skipped\"", "0.5")]));
        past.add_line(&line("/b", &[("local", "\"passed\"", "0.5")]));
        past.add_line("torn \"verdict\":\"passed\"");
        let prior = |workdir, form| past.of("m", workdir, form);
        assert_eq!(prior("/a", Form::Whole), Prior { model: outcomes(2, 1), place: outcomes(1, 1) });
        assert_eq!(prior("/b", Form::Whole), Prior { model: outcomes(2, 1), place: outcomes(1, 0) });
        assert_eq!(prior("/b", Form::Edits), Prior { model: outcomes(2, 1), place: outcomes(0, 0) });
        assert_eq!(past.of("other", "/a", Form::Whole), Prior::default());
    }
}
