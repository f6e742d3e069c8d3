//! What a window of ledger lines says of the routing: how many local results were wrong, how many tries it takes, what was
//! spent in vain, how good the predictions are. Pure; read by need. Not here: the counts of `stats.rs`.

use crate::rules::json::{self, Items, List, Take};
use crate::rules::sorted::sorted;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Both sides together leave one case in twenty outside.
const Z: f64 = 1.959_964;

/// A share with what it rests on and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    pub of: u64,
    pub share: f64,
    pub low: f64,
    pub high: f64,
}

/// What all lines come to. What rests on nothing is null.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metrics {
    /// Of all answers and changes.
    pub cloud_share: Option<Rate>,
    /// Locally verified ÷ all changes.
    pub verified_local_share: Option<Rate>,
    /// Local results that were accepted and that a review or an undo has taken back. Nobody knows of others.
    pub known_false_accepts: u64,
    /// Among the accepted local results that a cloud CLI was asked about to measure this (`router.shadow`).
    pub false_accepts: Option<Rate>,
    pub tries_until_green: Option<Tries>,
    /// Local tries of runs that then went to the cloud.
    pub wasted_seconds: f64,
    pub wasted_runs: u64,
    /// Local tries that were given up half-way as hopeless, and what they were predicted to take beyond that.
    pub stopped_tries: u64,
    pub saved_seconds: f64,
    /// |predicted − actual| ÷ actual of local tries.
    pub prediction_error: Option<Errors>,
}

/// Local tries of the changes that tests have proved at home, the last one included.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tries {
    pub runs: u64,
    pub mean: f64,
    pub median: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Errors {
    pub tries: u64,
    pub median: f64,
}

/// Counts lines.
#[derive(Debug, Default)]
pub struct Counts {
    runs: u64,
    cloud: u64,
    changes: u64,
    taken_back: u64,
    reviewed: u64,
    wrong: u64,
    green: Vec<u64>,
    wasted_ms: u64,
    wasted_runs: u64,
    stopped_tries: u64,
    saved_ms: u64,
    /// In thousandths.
    errors: Vec<u64>,
    undone: BTreeSet<String>,
}

/// What counts of a line.
#[derive(Default)]
struct Line<'t> {
    run_id: Cow<'t, str>,
    undoes: Option<Cow<'t, str>>,
    hook: Option<Cow<'t, str>>,
    kind: Cow<'t, str>,
    route: Cow<'t, str>,
    refused: Option<Cow<'t, str>>,
    verify_ok: Option<bool>,
    overruled: Cow<'t, str>,
    escalations: Items,
    shadow: Option<Verdict>,
    attempts: List<Vec<Try>>,
}

#[derive(Default)]
struct Verdict(Option<bool>);

/// Why a try brought nothing.
#[derive(Default)]
struct Failed {
    kind: String,
}

#[derive(Default)]
struct Try {
    route: String,
    duration_ms: u64,
    predicted_ms: Option<u64>,
    failure: Option<Failed>,
}

impl Try {
    fn is_hopeless(&self) -> bool {
        self.failure.as_ref().is_some_and(|failed| failed.kind == "hopeless")
    }
}

/// Returns a share and its interval after Wilson, which holds for few cases and for shares at the ends; `None` of nothing.
pub fn rate(part: u64, of: u64) -> Option<Rate> {
    let (n, share) = (of as f64, part as f64 / of as f64);
    let middle = share + Z * Z / (2.0 * n);
    let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    let (low, high) = (((middle - spread) / scale).max(0.0), ((middle + spread) / scale).min(1.0));
    // At the ends rounding would leave a trace of what is nothing.
    let (low, high) = (if part == 0 { 0.0 } else { low }, if part == of { 1.0 } else { high });
    (of > 0).then_some(Rate { of, share, low, high })
}

impl Counts {
    /// Counts a line. Lines come newest first, so that an undo comes before the run that it took back.
    pub fn add_line(&mut self, text: &str) {
        let mut line = Line::default();
        if json::read(text.as_bytes(), &mut line).is_err() {
            return;
        }
        // Git hooks are no runs.
        if line.hook.is_some() {
            return;
        }
        if let Some(undone) = &line.undoes {
            if !self.undone.contains(line.run_id.as_ref()) {
                self.undone.insert(undone.to_string());
            }
            return;
        }
        let is_local = line.route == "local";
        self.runs += 1;
        self.cloud += u64::from(!is_local && line.route != "none");
        // A forced review that nobody gave says nothing of the result.
        let is_bad = line.overruled == "review" && line.refused.is_none();
        let is_undone = is_local && self.undone.contains(line.run_id.as_ref());
        self.taken_back += u64::from(is_bad || is_undone);
        if let Some(Verdict(Some(is_ok))) = line.shadow {
            self.reviewed += 1;
            self.wrong += u64::from(!is_ok);
        }
        let first_away = line.attempts.0.iter().position(|attempt| attempt.route != "local");
        let n_local = first_away.unwrap_or(line.attempts.0.len());
        if line.kind == "change" {
            self.changes += 1;
            if is_local && line.verify_ok == Some(true) {
                // With advice it was not the local model alone, and yet its tries.
                self.green.push(line.attempts.0.iter().filter(|attempt| attempt.route == "local").count() as u64);
            }
        }
        if line.escalations.0 > 0 && n_local > 0 {
            self.wasted_runs += 1;
            let local = line.attempts.0.iter().take(n_local);
            self.wasted_ms = local.fold(self.wasted_ms, |sum, attempt| sum.saturating_add(attempt.duration_ms));
        }
        for attempt in line.attempts.0.iter().filter(|attempt| attempt.is_hopeless()) {
            self.stopped_tries += 1;
            let saved = attempt.predicted_ms.unwrap_or(0).saturating_sub(attempt.duration_ms);
            self.saved_ms = self.saved_ms.saturating_add(saved);
        }
        // A try that failed was cut short; it says nothing of how long it would have taken.
        let whole = line.attempts.0.iter().filter(|attempt| attempt.failure.is_none() && attempt.duration_ms > 0);
        self.errors.extend(whole.filter_map(|attempt| {
            let off = attempt.predicted_ms?.abs_diff(attempt.duration_ms);
            Some(off.saturating_mul(1000) / attempt.duration_ms)
        }));
    }

    pub fn metrics(self) -> Metrics {
        let green = self.green.len() as u64;
        let mean = self.green.iter().sum::<u64>() as f64 / green as f64;
        let verified = rate(green, self.changes);
        let (errors, tries) = (self.errors.len() as u64, median(self.green));
        Metrics {
            cloud_share: rate(self.cloud, self.runs),
            verified_local_share: verified,
            known_false_accepts: self.taken_back,
            false_accepts: rate(self.wrong, self.reviewed),
            tries_until_green: tries.map(|median| Tries { runs: green, mean, median }),
            wasted_seconds: self.wasted_ms as f64 / 1000.0,
            wasted_runs: self.wasted_runs,
            stopped_tries: self.stopped_tries,
            saved_seconds: self.saved_ms as f64 / 1000.0,
            prediction_error: median(self.errors).map(|off| Errors { tries: errors, median: off / 1000.0 }),
        }
    }
}

/// The middle, or the mean of the two in the middle; `None` of nothing.
fn median(values: Vec<u64>) -> Option<f64> {
    let values = sorted(values);
    let (low, high) = (values.get(values.len().saturating_sub(1) / 2)?, values.get(values.len() / 2)?);
    Some(f64::midpoint(*low as f64, *high as f64))
}

impl<'t> Take<'t> for Line<'t> {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        Some(match key {
            "run_id" => &mut self.run_id,
            "undoes" => &mut self.undoes,
            "hook" => &mut self.hook,
            "kind" => &mut self.kind,
            "route" => &mut self.route,
            "refused" => &mut self.refused,
            "verify_ok" => &mut self.verify_ok,
            "overruled" => &mut self.overruled,
            "escalations" => &mut self.escalations,
            "shadow" => &mut self.shadow,
            "attempts" => &mut self.attempts,
            _ => return None,
        })
    }
}

impl<'t> Take<'t> for Failed {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        if key == "kind" { Some(&mut self.kind) } else { None }
    }
}

impl<'t> Take<'t> for Verdict {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        if key == "ok" { Some(&mut self.0) } else { None }
    }
}

impl<'t> Take<'t> for Try {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        Some(match key {
            "route" => &mut self.route,
            "duration_ms" => &mut self.duration_ms,
            "predicted_ms" => &mut self.predicted_ms,
            "failure" => &mut self.failure,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, kind: &str, route: &str, rest: &str) -> String {
        format!("{{\"run_id\":\"{id}\",\"kind\":\"{kind}\",\"route\":\"{route}\",{rest}}}")
    }

    fn tries(list: &[(&str, u64, &str)]) -> String {
        let tries =
            list.iter().map(|(route, ms, rest)| format!("{{\"route\":\"{route}\",\"duration_ms\":{ms}{rest}}}"));
        format!("\"attempts\":[{}]", tries.collect::<Vec<_>>().join(","))
    }

    #[test]
    fn a_window_is_measured() {
        let failed = ",\"predicted_ms\":9,\"failure\":{\"kind\":\"empty\"}";
        let hopeless = ",\"failure\":{\"kind\":\"hopeless\",\"nats\":30,\"tokens\":200}";
        let lines = [
            line("U", "undo", "none", "\"undoes\":\"A\""),
            line("A", "change", "local", &format!("\"verify_ok\":true,{}", tries(&[("local", 100, "")]))),
            line("B", "change", "local", &format!("\"verify_ok\":true,{}", tries(&[("local", 100, failed); 4]))),
            line("C", "change", "none", "\"verify_ok\":false,\"overruled\":\"review\",\"refused\":null"),
            line("D", "change", "none", "\"verify_ok\":false,\"overruled\":\"review\",\"refused\":\"no_provider\""),
            line(
                "E",
                "answer",
                "claude",
                &format!("\"escalations\":[{{}}],{}", tries(&[("local", 2500, ""), ("claude", 9, "")])),
            ),
            line("F", "answer", "claude", &format!("\"escalations\":[{{}}],{}", tries(&[("claude", 9, "")]))),
            line(
                "G",
                "answer",
                "local",
                &format!(
                    "\"shadow\":{{\"provider\":\"codex\",\"ok\":false}},{}",
                    tries(&[("local", 1000, ",\"predicted_ms\":1500"), ("codex", 7, "")])
                ),
            ),
            line(
                "H",
                "answer",
                "local",
                &format!(
                    "\"shadow\":{{\"provider\":\"codex\",\"ok\":true}},{}",
                    tries(&[("local", 1000, ",\"predicted_ms\":900")])
                ),
            ),
            line(
                "J",
                "change",
                "none",
                &tries(&[("local", 1500, &format!(",\"predicted_ms\":7000{hopeless}")), ("local", 100, hopeless)]),
            ),
            line("I", "answer", "none", "\"source\":\"hook\",\"hook\":\"pre-commit\""),
            "torn".to_string(),
        ];
        let mut counts = Counts::default();
        for line in &lines {
            counts.add_line(line);
        }
        let expected = Metrics {
            cloud_share: rate(2, 9),
            verified_local_share: rate(2, 5),
            known_false_accepts: 2,
            false_accepts: rate(1, 2),
            tries_until_green: Some(Tries { runs: 2, mean: 2.5, median: 2.5 }),
            wasted_seconds: 2.5,
            wasted_runs: 1,
            stopped_tries: 2,
            saved_seconds: 5.5,
            prediction_error: Some(Errors { tries: 2, median: 0.3 }),
        };
        assert_eq!(counts.metrics(), expected);
    }

    #[test]
    fn nothing_has_no_rate() {
        let nothing = Metrics {
            cloud_share: None,
            verified_local_share: None,
            known_false_accepts: 0,
            false_accepts: None,
            tries_until_green: None,
            wasted_seconds: 0.0,
            wasted_runs: 0,
            stopped_tries: 0,
            saved_seconds: 0.0,
            prediction_error: None,
        };
        assert_eq!(Counts::default().metrics(), nothing);
    }

    #[test]
    fn intervals_are_those_of_wilson() {
        // Reference values: Newcombe 1998, table I (81 of 263, 15 of 148, 0 of 20, 1 of 29).
        for (part, of, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let rate = rate(part, of).unwrap();
            let shown = ((rate.low * 1e4).round() / 1e4, (rate.high * 1e4).round() / 1e4);
            assert_eq!(shown, (low, high), "{part} of {of}");
        }
        let all = rate(5, 5).unwrap();
        assert_eq!((all.share, all.high), (1.0, 1.0));
    }
}
