//! The labelled run in a ledger line: the first try of the local model that was scored and then proven, right or wrong.
//! Pure. Later tries have seen what was wrong, and say less of the next first one; a run without a verdict has no label.

use crate::rules::json::{self, List, Take};

/// A proven try; names as the ledger spells them. `S` takes its signals: `()` for who needs none.
#[derive(Debug)]
pub struct Proven<S> {
    pub workdir: String,
    pub model: String,
    pub form: String,
    pub is_right: bool,
    pub signals: S,
}

/// Returns the labelled run of a line, if it holds one.
pub fn first<S: Default + for<'t> Take<'t>>(line: &str) -> Option<Proven<S>> {
    // Most lines hold no verdict, and parsing is what costs.
    if !line.contains("\"verdict\":\"passed\"") && !line.contains("\"verdict\":\"failed\"") {
        return None;
    }
    let mut run = Run::default();
    json::read(line.as_bytes(), &mut run).ok()?;
    let Run { workdir, tries } = run;
    tries.0.into_iter().find_map(|of: Try<S>| {
        let is_right = match of.verdict.as_str() {
            // Only a part of the reply was right.
            "passed" => of.left_out.is_empty(),
            "failed" => false,
            _ => return None,
        };
        let is_labelled = of.route == "local" && of.confidence.is_some();
        let proven = Proven { workdir: workdir.clone(), model: of.model, form: of.form, is_right, signals: of.signals };
        is_labelled.then_some(proven)
    })
}

/// What counts of a line.
#[derive(Default)]
struct Run<S: Default + for<'t> Take<'t>> {
    workdir: String,
    tries: List<Vec<Try<S>>>,
}

/// What counts of a try.
#[derive(Default)]
struct Try<S> {
    route: String,
    model: String,
    form: String,
    verdict: String,
    left_out: String,
    confidence: Option<f64>,
    signals: S,
}

impl Take<'_> for () {}

impl<'t, S: Default + for<'s> Take<'s>> Take<'t> for Run<S> {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        Some(match key {
            "workdir" => &mut self.workdir,
            "attempts" => &mut self.tries,
            _ => return None,
        })
    }
}

impl<'t, S: Take<'t>> Take<'t> for Try<S> {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        Some(match key {
            "route" => &mut self.route,
            "model" => &mut self.model,
            "form" => &mut self.form,
            "verdict" => &mut self.verdict,
            "left_out" => &mut self.left_out,
            "confidence" => &mut self.confidence,
            "signals" => &mut self.signals,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_scored_and_proven_local_try_labels_a_run() {
        let line = |tries: &[(&str, &str, &str)]| {
            let tries = tries.iter().map(|(route, verdict, confidence)| {
                format!(
                    "{{\"route\":\"{route}\",\"model\":\"m\",\"verdict\":{verdict},\"confidence\":{confidence},\
                     \"signals\":{{\"seq_lp\":-1}},\"form\":\"whole\"}}"
                )
            });
            format!("{{\"workdir\":\"/w\",\"attempts\":[{}]}}", tries.collect::<Vec<_>>().join(","))
        };
        let (passed, failed) = ("\"passed\"", "\"failed\"");
        for (tries, expected) in [
            (&[("local", failed, "0.5"), ("local", passed, "0.5")][..], Some(false)),
            (&[("local", "null", "0.5"), ("local", passed, "0.5")], Some(true)),
            (&[("claude", failed, "null"), ("local", passed, "0.5")], Some(true)),
            (&[("local", failed, "null"), ("local", passed, "0.5")], Some(true)),
            (&[("claude", passed, "0.5"), ("local", "\"skipped\"", "0.5")], None),
            (&[], None),
        ] {
            let line = line(tries);
            let found = first::<()>(&line);
            let told = found.as_ref().map(|of| (of.workdir.as_str(), of.model.as_str(), of.form.as_str()));
            assert_eq!(found.as_ref().map(|of| of.is_right), expected, "{line}");
            assert!(told.is_none_or(|told| told == ("/w", "m", "whole")), "{line}");
        }
        let part = line(&[("local", passed, "0.5")]).replace("\"form\"", "\"left_out\":\"line 3 of a.py\",\"form\"");
        assert!(first::<()>(&part).is_some_and(|of| !of.is_right), "{part}");
        assert!(first::<()>("torn \"verdict\":\"passed\"").is_none());
    }
}
