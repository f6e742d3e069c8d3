//! Ledger lines → what `status` and `log` say about them. Pure. A [`Row`] is the part of a line that they need; texts
//! are borrowed from the line and kept as text, so that a line of a later version (a new route, a new reason) still
//! counts. Not here: reading the file (`sys/ledger.rs`).

use crate::rules::json::{self, Items, Take};
use crate::rules::sorted::sorted;
use crate::words::record::CloudUse;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What summaries and listings need of a ledger line. Whatever is missing is at its default.
#[derive(Debug, Default)]
pub struct Row<'a> {
    pub run_id: Cow<'a, str>,
    pub seq: u64,
    /// The run that an `undo` took back.
    pub undoes: Option<Cow<'a, str>>,
    pub timestamp: Cow<'a, str>,
    /// The git hook that it was.
    pub hook: Option<Cow<'a, str>>,
    pub kind: Cow<'a, str>,
    pub route: Cow<'a, str>,
    pub reason: Cow<'a, str>,
    pub refused: Option<Cow<'a, str>>,
    pub workdir: Cow<'a, str>,
    pub verify_ok: Option<bool>,
    files: Items,
    pub cloud: CloudUse,
    pub duration_ms: u64,
    /// The line itself.
    pub line: &'a str,
}

/// Counts over a window of records.
#[derive(Debug, Default, PartialEq)]
pub struct Summary {
    pub runs: u64,
    /// Of all kinds of record: `answer`, `change`, `undo`.
    pub kinds: BTreeMap<String, u64>,
    pub routes: BTreeMap<String, u64>,
    /// Why local was not enough: the reasons of all runs that did not end on the route `local`.
    pub failures: BTreeMap<String, u64>,
    /// Escalations that were wanted and refused, by what refused them.
    pub refused: BTreeMap<String, u64>,
    pub share: Share,
    pub cloud: CloudUse,
    /// How long each git hook took, in milliseconds, newest first. Hooks are no runs and counted nowhere else but in
    /// `cloud`.
    pub hooks: BTreeMap<String, Vec<u64>>,
    /// The newest failed runs, newest first, at most as many as [`Summary::add`] is told.
    pub recent_failures: Vec<Failed>,
}

/// A failed run, to be looked up with `mux why`.
#[derive(Debug, PartialEq, Serialize)]
pub struct Failed {
    pub run_id: String,
    pub timestamp: String,
    pub reason: String,
}

/// Locally verified changes among all changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub changes: u64,
    pub verified: u64,
}

impl<'a> Row<'a> {
    /// Reads a ledger line. Returns `None` for one that is not a whole record.
    pub fn parse(line: &'a str) -> Option<Row<'a>> {
        let mut row = Row::of(line);
        json::read(line.as_bytes(), &mut row).ok()?;
        row.is_whole().then_some(row)
    }

    /// Returns the row of a line that is still to be read.
    pub fn of(line: &'a str) -> Row<'a> {
        Row { line, ..Row::default() }
    }

    /// Returns whether a row that was read is a record.
    pub fn is_whole(&self) -> bool {
        [&self.run_id, &self.timestamp, &self.kind, &self.route, &self.reason].iter().all(|text| !text.is_empty())
    }

    pub fn n_files(&self) -> usize {
        self.files.0
    }

    /// Returns whether the run gave nothing that holds: no route succeeded, or its proof failed.
    pub fn is_failed(&self) -> bool {
        self.kind != "undo" && (self.route == "none" || self.verify_ok == Some(false))
    }
}

impl<'t> Take<'t> for Row<'t> {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        Some(match key {
            "run_id" => &mut self.run_id,
            "seq" => &mut self.seq,
            "timestamp" => &mut self.timestamp,
            "hook" => &mut self.hook,
            "kind" => &mut self.kind,
            "route" => &mut self.route,
            "reason" => &mut self.reason,
            "undoes" => &mut self.undoes,
            "refused" => &mut self.refused,
            "workdir" => &mut self.workdir,
            "verify_ok" => &mut self.verify_ok,
            "files" => &mut self.files,
            "cloud" => &mut self.cloud,
            "duration_ms" => &mut self.duration_ms,
            _ => return None,
        })
    }
}

impl<'t> Take<'t> for CloudUse {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        Some(match key {
            "calls" => &mut self.calls,
            "bytes" => &mut self.bytes,
            "usd" => &mut self.usd,
            "at_least" => &mut self.at_least,
            _ => return None,
        })
    }
}

impl Summary {
    /// Counts one record. Records come newest first.
    pub fn add(&mut self, row: &Row, max_recent_failures: usize) {
        self.cloud.calls = self.cloud.calls.saturating_add(row.cloud.calls);
        self.cloud.bytes = self.cloud.bytes.saturating_add(row.cloud.bytes);
        self.cloud.usd += row.cloud.usd;
        self.cloud.at_least |= row.cloud.at_least;
        if let Some(hook) = &row.hook {
            self.hooks.entry(hook.to_string()).or_default().push(row.duration_ms);
            return;
        }
        self.runs += 1;
        count(&mut self.kinds, &row.kind);
        count(&mut self.routes, &row.route);
        if row.route != "local" && row.kind != "undo" {
            count(&mut self.failures, &row.reason);
        }
        if let Some(refusal) = &row.refused {
            count(&mut self.refused, refusal);
        }
        self.share.add(&row.kind, &row.route, row.verify_ok);
        if row.is_failed() && self.recent_failures.len() < max_recent_failures {
            let (run_id, timestamp) = (row.run_id.to_string(), row.timestamp.to_string());
            self.recent_failures.push(Failed { run_id, timestamp, reason: row.reason.to_string() });
        }
    }
}

/// Returns the value that a share of all values (0 to 1) do not exceed: `percentile(times, 0.95)`. `None` for no values.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a small count")]
pub fn percentile(values: &[u64], share: f64) -> Option<u64> {
    let values = sorted(values.to_vec());
    let rank = (values.len() as f64 * share).ceil() as usize;
    values.get(rank.clamp(1, values.len().max(1)) - 1).copied()
}

impl Share {
    /// Counts one record by its fields as they stand in the ledger. Only changes count.
    pub fn add(&mut self, kind: &str, route: &str, verify_ok: Option<bool>) {
        if kind == "change" {
            self.changes += 1;
            self.verified += u64::from(route == "local" && verify_ok == Some(true));
        }
    }

    /// Counts a ledger line without parsing all of it: an append looks at a whole window of them. It relies on what
    /// the ledger itself writes: compact JSON, `kind` and `route` before `verify_ok`, quotes in texts escaped.
    pub fn add_line(&mut self, line: &str) {
        let Some((_, tail)) = line.split_once("\"kind\":\"") else { return };
        // Most records are answers: they end here, a tenth into the line.
        let Some((head, tail)) = tail.strip_prefix("change\"").and_then(|rest| rest.split_once("\"verify_ok\":"))
        else {
            return;
        };
        let route = head.split_once("\"route\":\"").and_then(|(_, value)| value.split('"').next());
        self.add("change", route.unwrap_or(""), tail.starts_with("true").then_some(true));
    }

    /// Returns verified ÷ changes, 0 to 1; `None` before the first change.
    #[expect(clippy::cast_precision_loss, reason = "counts of runs stay far below 2^52")]
    pub fn ratio(self) -> Option<f64> {
        (self.changes > 0).then(|| self.verified as f64 / self.changes as f64)
    }
}

/// Counts one more of a name.
pub fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => {
            counts.insert(name.to_string(), 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, kind: &str, route: &str, reason: &str, rest: &str) -> String {
        format!(
            "{{\"schema\":1,\"run_id\":\"{id}\",\"seq\":7,\"timestamp\":\"2026-11-23T02:54:00.123Z\",\
             \"kind\":\"{kind}\",\"route\":\"{route}\",\"reason\":\"{reason}\",{rest}}}"
        )
    }

    #[test]
    fn a_window_is_counted() {
        let lines = [
            line("D", "undo", "none", "requested", "\"verify_ok\":null"),
            line("C", "change", "none", "verify_failed", "\"refused\":\"no_provider\",\"verify_ok\":false"),
            line("B", "change", "local", "verified", "\"verify_ok\":true,\"files\":[{\"path\":\"a\"},{}]"),
            line("A", "answer", "claude", "complexity:migration", "\"cloud\":{\"calls\":1,\"bytes\":900,\"usd\":0.25}"),
            line("9", "answer", "local", "confident", "\"later\":{\"deep\":[1]}"),
            line(
                "8",
                "change",
                "codex",
                "verify_failed",
                "\"verify_ok\":true,\"cloud\":{\"calls\":2,\"bytes\":100,\"usd\":0.5}",
            ),
            line("7", "answer", "none", "local_down", "\"source\":\"hook\",\"hook\":\"pre-commit\",\"duration_ms\":7"),
            line("6", "answer", "local", "verified", "\"source\":\"hook\",\"hook\":\"pre-commit\",\"duration_ms\":3"),
        ];
        let mut summary = Summary::default();
        for line in &lines {
            summary.add(&Row::parse(line).unwrap(), 1);
        }
        let counts = |pairs: &[(&str, u64)]| pairs.iter().map(|(name, n)| (name.to_string(), *n)).collect();
        let failed = Failed {
            run_id: "C".to_string(),
            timestamp: "2026-11-23T02:54:00.123Z".to_string(),
            reason: "verify_failed".to_string(),
        };
        let expected = Summary {
            runs: 6,
            kinds: counts(&[("answer", 2), ("change", 3), ("undo", 1)]),
            routes: counts(&[("claude", 1), ("codex", 1), ("local", 2), ("none", 2)]),
            failures: counts(&[("complexity:migration", 1), ("verify_failed", 2)]),
            refused: counts(&[("no_provider", 1)]),
            share: Share { changes: 3, verified: 1 },
            cloud: CloudUse { calls: 3, bytes: 1000, usd: 0.75, at_least: false },
            hooks: [("pre-commit".to_string(), vec![7, 3])].into(),
            recent_failures: vec![failed],
        };
        assert_eq!(summary, expected);
        assert_eq!(Row::parse(&lines[2]).unwrap().n_files(), 2);
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        assert_eq!((percentile(&[], 0.5), percentile(&[4], 0.95)), (None, Some(4)));
        let values: Vec<u64> = (1..=20).rev().collect();
        assert_eq!([0.0, 0.5, 0.95, 1.0].map(|share| percentile(&values, share).unwrap()), [1, 10, 19, 20]);
    }

    #[test]
    fn half_lines_are_no_rows() {
        let whole = line("A", "answer", "local", "confident", "\"verify_ok\":null");
        assert!(Row::parse(&whole).is_some());
        assert!(Row::parse(&format!("{whole}{whole}")).is_none(), "two records on one line");
        for end in 0..whole.len() {
            assert!(Row::parse(&whole[..end]).is_none(), "cut at {end}");
        }
        for other in ["[]", "null", "{}", "{\"run_id\":\"x\"}", "\0\0\0", "{\"run_id\":1}"] {
            assert!(Row::parse(other).is_none(), "{other}");
        }
    }

    #[test]
    fn scanning_agrees_with_parsing() {
        let evil = "\"model\":\"\\\"kind\\\":\\\"change\\\",\\\"verify_ok\\\":true\",\"verify_ok\":null";
        for (line, expected) in [
            (line("A", "change", "local", "verified", "\"verify_ok\":true"), (1, 1)),
            (line("A", "change", "local", "unverified", "\"verify_ok\":null"), (1, 0)),
            (line("A", "change", "claude", "verify_failed", "\"verify_ok\":true"), (1, 0)),
            (line("A", "answer", "local", "confident", "\"verify_ok\":true"), (0, 0)),
            (line("A", "answer", "local", "confident", evil), (0, 0)),
            (line("A", "undo", "none", "requested", "\"verify_ok\":null"), (0, 0)),
        ] {
            let (mut scanned, mut parsed) = (Share::default(), Summary::default());
            scanned.add_line(&line);
            parsed.add(&Row::parse(&line).unwrap(), 0);
            assert_eq!((scanned.changes, scanned.verified), expected, "{line}");
            assert_eq!(scanned, parsed.share, "{line}");
        }
    }

    #[test]
    fn no_change_has_no_ratio() {
        assert_eq!(Share::default().ratio(), None);
        assert_eq!(Share { changes: 4, verified: 3 }.ratio(), Some(0.75));
    }
}
