//! What `mux status --json` prints.

use super::{Latency, Seen, Status, emit};
use crate::engine::installed::Installed;
use crate::rules::escape::in_json;
use crate::rules::glance::DAYS;
use crate::rules::metrics::Metrics;
use crate::rules::stats::Failed;
use crate::sys::state::budget::Left;
use crate::sys::state::cooldown::CoolDown;
use crate::words::record::CloudUse;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// The object of `status --json`; the order of its fields is that of the output.
#[derive(Serialize)]
struct Document<'a> {
    local: Local<'a>,
    window: usize,
    runs: u64,
    kinds: &'a BTreeMap<String, u64>,
    routes: &'a BTreeMap<String, u64>,
    failures: &'a BTreeMap<String, u64>,
    refused: &'a BTreeMap<String, u64>,
    recent_failures: &'a [Failed],
    local_impl_ratio: Option<f64>,
    target_local_implementation_ratio: f64,
    changes: u64,
    verified_local_changes: u64,
    metrics: &'a Metrics,
    /// Of the model that answers, as earlier runs have seen it.
    tokens_per_sec: Option<f64>,
    cloud: CloudUse,
    hooks: BTreeMap<&'a str, Latency>,
    providers: &'a [Installed],
    /// Null when it cannot be read: then no call is made.
    budget: Option<&'a Left>,
    ledger: LedgerDocument<'a>,
    unfinished: usize,
    /// The oldest day first, today last; days in UTC.
    runs_by_day: [u64; DAYS],
    /// Whether only the newest runs are counted there.
    runs_by_day_is_cut: bool,
}

#[derive(Serialize)]
struct Local<'a> {
    up: bool,
    base_url: &'a str,
    model: Option<&'a str>,
    window: Option<u64>,
    why: Option<&'a str>,
    found_elsewhere: &'a [String],
    /// That hooks leave it alone.
    cooldown: Option<&'a CoolDown>,
}

#[derive(Serialize)]
struct LedgerDocument<'a> {
    path: String,
    bytes: u64,
    rotated_files: u32,
    torn_bytes: u64,
    bad_lines: usize,
    is_cut: bool,
    error: Option<&'a str>,
}

/// Writes one JSON object.
///
/// # Errors
/// Those of `out`.
pub fn json(out: &mut dyn Write, status: &Status) -> io::Result<()> {
    let (is_up, model, window, why, found_elsewhere) = match status.health.seen {
        Seen::Up { model, window } => (true, Some(model), window, None, [].as_slice()),
        Seen::Down { why, found_elsewhere } => (false, None, None, Some(why), found_elsewhere),
    };
    let summary = status.summary;
    let tally = status.ledger.tally.as_ref();
    let document = Document {
        local: Local {
            up: is_up,
            base_url: status.health.base_url,
            model,
            window,
            why,
            found_elsewhere,
            cooldown: status.silent,
        },
        window: status.window,
        runs: summary.runs,
        kinds: &summary.kinds,
        routes: &summary.routes,
        failures: &summary.failures,
        refused: &summary.refused,
        recent_failures: &summary.recent_failures,
        local_impl_ratio: summary.share.ratio(),
        target_local_implementation_ratio: status.target,
        changes: summary.share.changes,
        verified_local_changes: summary.share.verified,
        metrics: status.metrics,
        tokens_per_sec: status.pace.tokens_per_sec(),
        cloud: summary.cloud,
        hooks: summary.hooks.iter().map(|(hook, times)| (hook.as_str(), Latency::of(times))).collect(),
        providers: &status.providers.tools,
        budget: status.providers.left.as_ref().ok(),
        ledger: LedgerDocument {
            path: status.ledger.path.to_string_lossy().into_owned(),
            bytes: status.ledger.size.bytes,
            rotated_files: status.ledger.size.rotated_files,
            torn_bytes: status.ledger.size.torn_bytes,
            bad_lines: tally.map_or(0, |tally| tally.bad),
            is_cut: tally.is_ok_and(|tally| tally.is_cut),
            error: tally.err().map(String::as_str),
        },
        unfinished: status.unfinished,
        runs_by_day: status.days.runs,
        runs_by_day_is_cut: status.days.is_cut,
    };
    let text = serde_json::to_string(&document)?;
    emit(out, &format!("{}\n", in_json(&text)))
}
