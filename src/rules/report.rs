//! The ledger as `mux report` draws it: each record is read once and counted into what the charts show. Pure. Not here:
//! reading the file (`sys/ledger.rs`), drawing (`face/report/`).
//!
//! **Invariant:** what is kept of a run is a [`Point`] of 48 bytes, unless it is one of the newest, slowest or dearest.

pub mod run;
pub mod spread;

use crate::rules::report::run::{Run, Try};
use crate::rules::report::spread::Spread;
use crate::rules::run_id::is_run_id;
use crate::rules::sorted::sorted;
use crate::rules::stats::{Summary, count};
use crate::words::record::CloudUse;
use crate::words::time::Utc;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// How a run ended, as far as its place goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// On the local model alone.
    Home,
    /// On the route `local`, after a cloud CLI gave advice or a review.
    Helped,
    Cloud,
    /// No route succeeded, or the proof failed.
    NotDone,
}

impl End {
    pub const ALL: [End; 4] = [End::Home, End::Helped, End::Cloud, End::NotDone];
}

/// A run as the charts over time need it. An undo is none.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub time: Utc,
    pub end: End,
    pub duration_ms: u64,
    pub cloud_bytes: u64,
    pub usd: f64,
    /// Of its last local try that says it, in thousandths of a token a second.
    pub speed: Option<u64>,
}

/// A run as the tables list it; an undo too.
#[derive(Clone, Debug)]
pub struct Entry {
    pub run_id: String,
    pub time: Utc,
    pub kind: String,
    pub route: String,
    /// With what was refused in brackets.
    pub reason: String,
    pub verify_ok: Option<bool>,
    /// Whether an undo took it back, and stands.
    pub is_undone: bool,
    pub tries: u64,
    /// 0 to 1.
    pub confidence: Option<f64>,
    pub duration_ms: u64,
    pub cloud: CloudUse,
    pub workdir: String,
    /// Its text, where the ledger keeps it.
    pub task: Option<String>,
    /// Why it went there, for the newest runs.
    pub why: Option<String>,
}

/// The tries on one model.
#[derive(Debug, Default)]
pub struct Model {
    pub route: String,
    pub name: String,
    pub tries: u64,
    pub failed: u64,
    pub usd: f64,
    pub duration_ms: Spread,
    pub ttft_ms: Spread,
    /// In thousandths of a token a second.
    pub speed: Spread,
}

/// Local tries whose scores are within one tenth, and what their tests said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tenth {
    pub tries: u64,
    pub green: u64,
    /// Of the scores.
    pub sum: f64,
}

/// How much is listed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The newest runs in the table.
    pub newest: usize,
    /// Those of them that are explained.
    pub explained: usize,
    /// The slowest and the dearest.
    pub top: usize,
}

/// All that the page shows. Records are added newest first.
pub struct Report {
    limits: Limits,
    pub summary: Summary,
    pub points: Vec<Point>,
    pub models: Vec<Model>,
    /// Tries that gave nothing usable, by the kind of failure.
    pub failures: BTreeMap<String, u64>,
    /// Changes by the try whose tests were the first to pass; the last place is for the eighth and later.
    pub green_at: [u64; 8],
    /// Changes whose tests never passed.
    pub never_green: u64,
    pub tenths: [Tenth; 10],
    /// Sum of (score − outcome)² over the tries of `tenths`.
    pub squares: f64,
    /// Runs that an undo has taken back.
    pub n_undone: u64,
    pub newest: Vec<Entry>,
    /// With their milliseconds; the slowest first.
    pub slowest: Vec<(u64, Entry)>,
    /// The dearest first; the number only compares.
    pub dearest: Vec<(u64, Entry)>,
    /// The places in `models`, by route and name.
    places: BTreeMap<String, u64>,
    /// Ids of runs that an undo took back.
    undone: BTreeSet<String>,
}

impl Report {
    pub fn new(limits: Limits) -> Report {
        Report {
            limits,
            summary: Summary::default(),
            points: Vec::new(),
            models: Vec::new(),
            places: BTreeMap::new(),
            failures: BTreeMap::new(),
            green_at: [0; 8],
            never_green: 0,
            tenths: [Tenth::default(); 10],
            squares: 0.0,
            n_undone: 0,
            newest: Vec::new(),
            slowest: Vec::new(),
            dearest: Vec::new(),
            undone: BTreeSet::new(),
        }
    }

    /// Counts a record. `why` is asked for the explanation of a line that the table explains.
    pub fn add(&mut self, run: &Run<'_>, why: &dyn Fn(&str) -> Option<String>) {
        let row = &run.row;
        // No run: what it sent counts.
        if row.hook.is_some() {
            return self.summary.add(row, 0);
        }
        let is_undone = self.undone.contains(row.run_id.as_ref());
        if let Some(taken_back) = row.undoes.as_ref().filter(|_| !is_undone) {
            self.undone.insert(taken_back.to_string());
        }
        if self.newest.len() < self.limits.newest {
            let mut entry = entry(run, is_undone);
            // The id becomes an address on the page.
            if self.newest.len() < self.limits.explained && is_run_id(&row.run_id) {
                entry.why = why(row.line);
            }
            self.newest.push(entry);
        }
        if row.kind == "undo" {
            return;
        }
        self.summary.add(row, 0);
        self.n_undone += u64::from(is_undone);
        self.points.push(point(run));
        let listed = || entry(run, is_undone);
        keep_greatest(&mut self.slowest, self.limits.top, row.duration_ms, &listed);
        if row.cloud.calls > 0 {
            keep_greatest(&mut self.dearest, self.limits.top, cost(&row.cloud), &listed);
        }
        self.tries(run);
    }

    fn tries(&mut self, run: &Run<'_>) {
        for attempt in &run.attempts.0 {
            self.model(attempt);
            if let Some(failure) = &attempt.failure {
                count(&mut self.failures, failure.name());
            }
            if let (Some(score), Some(is_green)) = (attempt.confidence, attempt.is_green()) {
                self.score(score, is_green);
            }
        }
        let mut judged = run.attempts.0.iter().filter_map(Try::is_green);
        let Some(green) = run.attempts.0.iter().position(|attempt| attempt.is_green() == Some(true)) else {
            self.never_green += u64::from(judged.next().is_some());
            return;
        };
        let last = self.green_at.len() - 1;
        if let Some(n) = self.green_at.get_mut(green.min(last)) {
            *n += 1;
        }
    }

    fn model(&mut self, attempt: &Try) {
        let key = format!("{}\n{}", attempt.route, attempt.model);
        let place = self.places.get(&key).copied().unwrap_or(self.models.len() as u64);
        if place == self.models.len() as u64 {
            let (route, name) = (attempt.route.clone(), attempt.model.clone());
            self.models.push(Model { route, name, ..Model::default() });
            self.places.insert(key, place);
        }
        let Some(model) = usize::try_from(place).ok().and_then(|place| self.models.get_mut(place)) else { return };
        model.tries += 1;
        model.failed += u64::from(attempt.failure.is_some());
        model.usd += attempt.cost_usd.unwrap_or(0.0);
        model.duration_ms.add(Some(attempt.duration_ms));
        model.ttft_ms.add(attempt.ttft_ms);
        model.speed.add(attempt.speed());
    }

    /// Returns the models, the most used first.
    pub fn ranked_models(&self) -> Vec<&Model> {
        let model = |place: u64| usize::try_from(place).ok().and_then(|place| self.models.get(place));
        let named = self.places.iter().filter_map(|(name, place)| Some((Reverse(model(*place)?.tries), name)));
        let ranked = sorted(named.collect()).into_iter();
        ranked.filter_map(|(_, name)| model(*self.places.get(name)?)).collect()
    }

    fn score(&mut self, score: f64, is_green: bool) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 and 9")]
        let place = (score * 10.0).clamp(0.0, 9.0) as usize;
        let Some(tenth) = self.tenths.get_mut(place) else { return };
        tenth.tries += 1;
        tenth.green += u64::from(is_green);
        tenth.sum += score;
        let off = score - f64::from(u8::from(is_green));
        self.squares += off * off;
    }
}

/// Dollars come first, then bytes: most subscriptions name no price.
fn cost(cloud: &CloudUse) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; a price is not negative")]
    let micros = (cloud.usd * 1e6) as u64;
    micros.saturating_mul(1 << 32).saturating_add(cloud.bytes.min(u64::from(u32::MAX)))
}

/// Makes an entry and puts it into its place in a list of the greatest, if it has one; of equals the newer one, which
/// came first, stays before.
fn keep_greatest(list: &mut Vec<(u64, Entry)>, most: usize, number: u64, entry: &dyn Fn() -> Entry) {
    let place = list.iter().position(|(other, _)| *other < number).unwrap_or(list.len());
    if place < most {
        list.insert(place, (number, entry()));
        list.truncate(most);
    }
}

fn point(run: &Run<'_>) -> Point {
    let row = &run.row;
    let end = match row.route.as_ref() {
        _ if row.is_failed() => End::NotDone,
        "local" if row.cloud.calls == 0 => End::Home,
        "local" => End::Helped,
        _ => End::Cloud,
    };
    let mut local = run.attempts.0.iter().rev().filter(|attempt| attempt.route == "local");
    Point {
        time: run.time,
        end,
        duration_ms: row.duration_ms,
        cloud_bytes: row.cloud.bytes,
        usd: row.cloud.usd,
        speed: local.find_map(Try::speed),
    }
}

fn entry(run: &Run<'_>, is_undone: bool) -> Entry {
    let row = &run.row;
    let refused = row.refused.as_ref().map(|refused| format!(" ({refused})")).unwrap_or_default();
    Entry {
        run_id: row.run_id.to_string(),
        time: run.time,
        kind: row.kind.to_string(),
        route: row.route.to_string(),
        reason: row.reason.to_string() + &refused,
        verify_ok: row.verify_ok,
        is_undone,
        tries: run.attempts.0.len() as u64,
        confidence: run.confidence,
        duration_ms: row.duration_ms,
        cloud: row.cloud,
        workdir: row.workdir.to_string(),
        task: run.task.as_ref().map(ToString::to_string),
        why: None,
    }
}

#[cfg(test)]
mod tests;
