//! Results → text or JSON on the given writer. No decisions.
//!
//! **Invariant:** whatever a model, a child or a file name says is escaped in the text form; JSON escapes by itself.

use crate::engine::attempt::ask::millis;
use crate::engine::outcome::{Outcome, Plan, PlannedFile};
use crate::face::diff;
use crate::face::screen::Screen;
use crate::face::stream;
use crate::rules::escape::{one_line, plain};
use crate::rules::rpc::json;
use crate::words::changes::{FileOp, Op};
use crate::words::count::Count;
use crate::words::record::CloudUse;
use crate::words::task::{Attempt, CommandRun, Kind, Proof, Reason, Refusal, Route, Verdict};
use serde::Serialize;
use std::io::{self, Write};

/// What the reader of a result has in front of him.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen<'a> {
    /// The answer that stands on the same terminal already.
    pub streamed: &'a str,
    pub colour: bool,
}

/// Writes the result of a run for people and scripts: one `name: value` a line in a stable order, `output:` last.
///
/// # Errors
/// Those of the writer.
pub fn outcome(out: &mut dyn Write, outcome: &Outcome, seen: &Seen<'_>) -> io::Result<()> {
    let record = &outcome.record;
    writeln!(out, "route: {}", record.route.name())?;
    writeln!(out, "model: {}", one_line(&record.model))?;
    writeln!(out, "reason: {}", one_line(&record.reason.to_string()))?;
    if let Some(refused) = record.refused {
        let wanted = record.wanted.as_ref().filter(|wanted| **wanted != record.reason);
        let wanted = wanted.map(|wanted| format!(" (wanted: {})", one_line(&wanted.to_string()))).unwrap_or_default();
        writeln!(out, "refused: {}{wanted}", refused.name())?;
    }
    writeln!(out, "run_id: {}", record.run_id)?;
    writeln!(out, "verify: {}", verify_line(outcome.proof.as_ref()))?;
    let [created, changed, deleted] = [Op::Create, Op::Change, Op::Delete].map(|op| outcome.count(op));
    writeln!(out, "files: {created} created, {changed} changed, {deleted} deleted")?;
    writeln!(out, "cloud: {}", cloud_line(&record.cloud))?;
    if let Some(url) = &record.remote {
        writeln!(out, "remote: {} (code left this machine)", one_line(url))?;
    }
    let output = stream::unseen(&outcome.output, seen.streamed);
    let is_seen = output.is_empty() && !seen.streamed.is_empty();
    writeln!(out, "output:{}", if is_seen { " above" } else { "" })?;
    // What must be read before all else stands at the beginning of the output.
    let says_first = outcome.proof.as_ref().is_some_and(|proof| !proof.remarks.is_empty());
    if says_first {
        text(out, output)?;
    }
    files(out, &record.files)?;
    if !says_first {
        text(out, output)?;
    }
    if let Some(diff) = &outcome.diff {
        let (diff, screen) = (plain(diff), Screen { columns: None, colour: seen.colour });
        let lines: Vec<&str> = diff.lines().collect();
        let coloured = seen.colour.then(|| diff::coloured(&lines, screen));
        write!(out, "{}", coloured.as_deref().unwrap_or(&diff))?;
    }
    for command in &outcome.proposed {
        writeln!(out, "proposed by the model, not run: {}", one_line(command))?;
    }
    for hint in &outcome.hints {
        writeln!(out, "hint: {}", one_line(hint))?;
    }
    Ok(())
}

fn text(out: &mut dyn Write, text: &str) -> io::Result<()> {
    if text.is_empty() { Ok(()) } else { writeln!(out, "{}", plain(text.trim_end())) }
}

/// Writes what was done to each file, a line each.
///
/// # Errors
/// Those of the writer.
pub fn files(out: &mut dyn Write, files: &[FileOp]) -> io::Result<()> {
    for file in files {
        let what = match file.op {
            Op::Create => "created",
            Op::Change => "changed",
            Op::Delete => "deleted",
        };
        writeln!(out, "{what} {} ({})", one_line(&file.path), Count::of(file.bytes, "byte"))?;
    }
    Ok(())
}

/// Returns what left the machine, on one line. Where a provider could read by itself, mux knows only what it sent.
pub fn cloud_line(cloud: &CloudUse) -> String {
    let least = if cloud.at_least { "≥ " } else { "" };
    let sent = format!("{least}{} bytes sent", cloud.bytes);
    match cloud.calls {
        0 => sent,
        calls => {
            let calls = Count::of(calls, "call");
            let usd = if cloud.usd > 0.0 { format!(", {:.4} USD", cloud.usd) } else { String::new() };
            format!("{sent} ({calls}{usd})")
        }
    }
}

fn verify_line(proof: Option<&Proof>) -> String {
    match proof {
        None => "skipped (nothing to verify)".to_string(),
        Some(proof) if proof.summary.is_empty() => proof.verdict.name().to_string(),
        Some(proof) => format!("{} ({})", proof.verdict.name(), one_line(&proof.summary)),
    }
}

/// The object of `run --json`, with the names of the text form.
#[derive(Serialize)]
struct Printed<'a> {
    route: Route,
    model: &'a str,
    reason: &'a Reason,
    wanted: &'a Option<Reason>,
    refused: Option<Refusal>,
    run_id: &'a str,
    kind: Kind,
    workdir: &'a str,
    confidence: Option<f64>,
    verify: Checked<'a>,
    files: Counted<'a>,
    left: &'a [String],
    cloud: CloudUse,
    remote: &'a Option<String>,
    attempts: &'a [Attempt],
    duration_ms: u64,
    notes: &'a [String],
    proposed_commands: &'a [String],
    diff: &'a Option<String>,
    hints: &'a [String],
    logged: bool,
    exit: u8,
    output: &'a str,
}

#[derive(Serialize)]
struct Checked<'a> {
    verdict: Verdict,
    summary: &'a str,
    commands: &'a [CommandRun],
}

#[derive(Serialize)]
struct Counted<'a> {
    created: usize,
    changed: usize,
    deleted: usize,
    list: &'a [FileOp],
}

/// Returns the result of a run as one JSON object that is safe to show.
pub fn outcome_json(outcome: &Outcome) -> String {
    let record = &outcome.record;
    let [created, changed, deleted] = [Op::Create, Op::Change, Op::Delete].map(|op| outcome.count(op));
    json(&Printed {
        route: record.route,
        model: &record.model,
        reason: &record.reason,
        wanted: &record.wanted,
        refused: record.refused,
        run_id: &record.run_id,
        kind: record.kind,
        workdir: &record.workdir,
        confidence: record.confidence,
        verify: Checked {
            verdict: outcome.proof.as_ref().map_or(Verdict::Skipped, |proof| proof.verdict),
            summary: outcome.proof.as_ref().map_or("", |proof| proof.summary.as_str()),
            commands: &record.commands,
        },
        files: Counted { created, changed, deleted, list: &record.files },
        left: &record.left,
        cloud: record.cloud,
        remote: &record.remote,
        attempts: &record.attempts,
        duration_ms: record.duration_ms,
        notes: &outcome.notes,
        proposed_commands: &outcome.proposed,
        diff: &outcome.diff,
        hints: &outcome.hints,
        logged: outcome.unlogged.is_none(),
        exit: outcome.exit,
        output: &outcome.output,
    })
}

/// Writes what `--dry-run` found out.
///
/// # Errors
/// Those of the writer.
pub fn plan(out: &mut dyn Write, plan: &Plan) -> io::Result<()> {
    let open = if plan.ambiguous { " (the task leaves it open; `--change` or `--answer` decides)" } else { "" };
    writeln!(out, "kind: {}{open}", plan.kind.name())?;
    let missing = if plan.missing { " (made when a change is accepted)" } else { "" };
    writeln!(out, "workdir: {}{missing}", one_line(&plan.workdir.to_string_lossy()))?;
    writeln!(out, "verify:{}", if plan.verification.is_empty() { " nothing" } else { "" })?;
    for command in &plan.verification {
        writeln!(out, "  {}", one_line(command))?;
    }
    writeln!(out, "context: {}, about {} tokens", Count::of(plan.context.len(), "file"), plan.context_tokens)?;
    for file in &plan.context {
        let lines = file.lines.as_ref().map_or(String::new(), |lines| format!(", {lines}"));
        let (path, bytes) = (one_line(&file.path), Count::of(file.bytes, "byte"));
        writeln!(out, "  {path} ({bytes}, {}{lines})", one_line(&file.why.text()))?;
    }
    for path in &plan.to_create {
        writeln!(out, "  {} (to be created)", one_line(path))?;
    }
    for note in &plan.notes {
        writeln!(out, "note: {}", one_line(note))?;
    }
    if let Some(expected) = plan.expected {
        let [least, likely, most] = [expected.least, expected.likely, expected.most].map(|time| time.as_secs() + 1);
        writeln!(out, "local try: about {likely} s (mostly {least} to {most} s)")?;
    }
    writeln!(out, "first step: {}", plan.first_step)
}

/// The object of `run --dry-run --json`.
#[derive(Serialize)]
struct Planned<'a> {
    kind: Kind,
    ambiguous: bool,
    workdir: &'a str,
    workdir_missing: bool,
    verify: &'a [String],
    context: Vec<Shown<'a>>,
    context_tokens: u64,
    to_create: &'a [String],
    notes: &'a [String],
    expected_ms: Option<[u64; 3]>,
    first_step: &'a str,
}

#[derive(Serialize)]
struct Shown<'a> {
    path: &'a str,
    bytes: usize,
    why: String,
    lines: &'a Option<String>,
}

impl Shown<'_> {
    fn of(file: &PlannedFile) -> Shown<'_> {
        Shown { path: &file.path, bytes: file.bytes, why: file.why.text(), lines: &file.lines }
    }
}

/// Returns what `--dry-run` found out as one JSON object that is safe to show.
pub fn plan_json(plan: &Plan) -> String {
    json(&Planned {
        kind: plan.kind,
        ambiguous: plan.ambiguous,
        workdir: &plan.workdir.to_string_lossy(),
        workdir_missing: plan.missing,
        verify: &plan.verification,
        context: plan.context.iter().map(Shown::of).collect(),
        context_tokens: plan.context_tokens,
        to_create: &plan.to_create,
        notes: &plan.notes,
        expected_ms: plan.expected.map(|expected| [expected.least, expected.likely, expected.most].map(millis)),
        first_step: &plan.first_step,
    })
}
