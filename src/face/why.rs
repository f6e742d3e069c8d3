//! `mux why [RUN_ID]`: the facts and settings that a run was decided by, the terms of its score, its tries, and what would
//! have turned a decision. Reads only.

use crate::engine::look;
use crate::engine::run::House;
use crate::face::status::emit;
use crate::rules::confidence::signals::Signal;
use crate::rules::escape::{in_json, one_line};
use crate::rules::recorded;
use crate::rules::stats::Row;
use crate::rules::why::{self, Flip, Step};
use crate::words::error::{Context, Error, Kind as ErrorKind};
use crate::words::record::{Overruled, RunRecord, SCHEMA};
use crate::words::task::{Attempt, Cloud, Facts, Hands, Kind, Last, Policy, Reason, Refusal, Route, Score, Tier};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

/// The object of `why --json`; the order of its fields is that of the output.
#[derive(Serialize)]
struct Document<'a> {
    run_id: &'a str,
    facts: &'a Facts,
    policy: &'a Policy,
    /// `term.*` add up to the logit of the score; the others were measured.
    signals: &'a BTreeMap<String, f64>,
    /// Of the last local try that has one.
    score: Option<f64>,
    threshold: f64,
    decision: Decided<'a>,
    /// The tries as they were recorded.
    path: &'a [Attempt],
    flips: Vec<Flip>,
}

#[derive(Serialize)]
struct Decided<'a> {
    route: Route,
    reason: &'a Reason,
    wanted: &'a Option<Reason>,
    refused: Option<Refusal>,
    overruled: Option<Overruled>,
    /// Whether the policy of this version decides the same from these facts.
    replays: bool,
    /// Each decision in words; `step` of a flip counts them.
    steps: Vec<String>,
}

/// Explains the run whose id begins with `id`, or the last one. Returns the exit code.
///
/// # Errors
/// `Usage` for an id that is unknown, or that several runs begin with, and for a record that no policy decided (but for a
/// git hook's, which is told as it is) or that this version cannot read.
pub fn run(
    house: &House<'_>,
    project: Option<&Path>,
    id: Option<&str>,
    json: bool,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    let ledger = look::look(house, project)?.ledger;
    let line = match id {
        Some(id) => look::find(&ledger, id)?,
        // An undo was no decision of mux, and the hooks of git are no runs.
        None => look::find(&ledger, &look::last(&ledger, &mut |row| row.undoes.is_none() && row.hook.is_none())?)?,
    };
    let record = read(&line)?;
    let page = match (&record.facts, &record.policy, &record.hook) {
        (Some(facts), Some(policy), _) => {
            let document = document(&record, facts, policy);
            if json {
                let text =
                    serde_json::to_string(&document).context(ErrorKind::Io, || "cannot write JSON".to_string())?;
                format!("{}\n", in_json(&text))
            } else {
                page(&record, &document)
            }
        }
        // Its record is all that there is to say.
        (_, _, Some(_)) if json => format!("{}\n", in_json(line.trim_end())),
        (_, _, Some(hook)) => called_by_git(&record, hook),
        _ => return Err(undecided(&record)),
    };
    emit(out, &page).context(ErrorKind::Io, || "cannot write the explanation".to_string())?;
    Ok(0)
}

/// Returns the page for people of a ledger line; `None` for one that cannot be explained.
pub fn explained(line: &str) -> Option<String> {
    let record = read(line).ok()?;
    let document = document(&record, record.facts.as_ref()?, record.policy.as_ref()?);
    Some(page(&record, &document))
}

fn read(line: &str) -> Result<RunRecord, Error> {
    let run_id = || Row::parse(line).map(|row| row.run_id.into_owned()).unwrap_or_default();
    let what = || format!("cannot read the record of run {}", run_id());
    let unread = |key| {
        let error = Error::new(ErrorKind::Usage, format!("{}: `{key}` is missing, or of a later version", what()));
        error.hint("`mux log --json` shows what was recorded")
    };
    let record = recorded::read(line).map_err(unread)?;
    if record.schema > SCHEMA {
        let error = Error::new(ErrorKind::Usage, what());
        return Err(error.hint("a later version of mux has written it, and can explain it"));
    }
    Ok(record)
}

fn undecided(record: &RunRecord) -> Error {
    let (id, what) = (&record.run_id, |what: String| Error::new(ErrorKind::Usage, what));
    match &record.undoes {
        Some(undone) => what(format!("run {id} took run {undone} back: you decided that, and no policy"))
            .hint(format!("`mux why {undone}` explains the run that it took back")),
        None => what(format!("run {id} was recorded without the facts or the settings that it was decided by"))
            .hint("`mux log --json` shows what was recorded"),
    }
}

fn document<'a>(record: &'a RunRecord, facts: &'a Facts, policy: &'a Policy) -> Document<'a> {
    static NONE: BTreeMap<String, f64> = BTreeMap::new();
    let steps = why::steps(policy, &record.escalations, facts);
    let scored =
        record.attempts.iter().rev().find(|attempt| attempt.route == Route::Local && attempt.confidence.is_some());
    Document {
        run_id: &record.run_id,
        facts,
        policy,
        signals: scored.map_or(&NONE, |attempt| &attempt.signals),
        score: scored.and_then(|attempt| attempt.confidence),
        threshold: policy.threshold,
        decision: Decided {
            route: record.route,
            reason: &record.reason,
            wanted: &record.wanted,
            refused: record.refused,
            overruled: record.overruled,
            replays: why::replays(record).unwrap_or(false),
            steps: steps.iter().map(told).collect(),
        },
        path: &record.attempts,
        flips: why::flips(policy, &steps),
    }
}

/// A decision with what it was made on.
fn told(step: &Step) -> String {
    format!("{}: {}", known(&step.facts), why::spell(&step.decision))
}

/// What had happened last.
fn known(facts: &Facts) -> String {
    let stopped = facts.stopped.map(|why| format!(", stopped: {}", why.name())).unwrap_or_default();
    let last = match facts.last {
        Last::Nothing if facts.local_up => "before the first try".to_string(),
        Last::Nothing => "no model server".to_string(),
        Last::Answer(score) if facts.tier == Tier::Local => format!("an answer, score {}", scored(score)),
        Last::Answer(_) => "an answer of a cloud CLI".to_string(),
        Last::Change { verdict, score, .. } if facts.tier == Tier::Local => {
            format!("a change, {}, score {}", verdict.name(), scored(score))
        }
        Last::Change { verdict, .. } => format!("a change after {}, {}", tier(facts.tier), verdict.name()),
        Last::Failed { class, .. } => format!("{} failed: {}", tier(facts.tier), class.name()),
        Last::Overflow => "the task does not fit".to_string(),
        Last::Unapplied => "advice that could not be applied".to_string(),
        Last::Advised => "advice that was not done yet".to_string(),
    };
    let seconds = |ms: u64| ms as f64 / 1000.0;
    let late = facts.late.map(|late| {
        format!("; a local try takes {:.1} s at least, {:.1} s are left", seconds(late.least_ms), seconds(late.left_ms))
    });
    last + &stopped + &late.unwrap_or_default()
}

fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Local => "a local try",
        Tier::CloudAnswer => "a cloud answer",
        Tier::Advice => "advice",
        Tier::Hands => "hands",
    }
}

fn scored(score: Score) -> String {
    format!("{:.3}{}", score.value, if score.weak { " (weak)" } else { "" })
}

/// The page of a git hook: what it did, by which model, and how long git waited. There is no decision to explain.
fn called_by_git(record: &RunRecord, hook: &str) -> String {
    let mut head = vec![
        ("run", record.run_id.clone()),
        ("time", record.timestamp.clone()),
        ("workdir", record.workdir.clone()),
        ("hook", format!("{hook}: git called it; a hook has no route to choose, so there is no decision to explain")),
    ];
    if !record.verify_summary.is_empty() {
        head.push(("did", record.verify_summary.clone()));
    }
    let refused = record.refused.map(|why| format!(", refused: {}", why.name())).unwrap_or_default();
    head.push(("ended", format!("{}, {}{refused}", record.route.name(), record.reason)));
    head.push(("model", if record.model.is_empty() { "none was asked".to_string() } else { record.model.clone() }));
    head.push(("took", format!("{} s", seconds(record.duration_ms))));
    let mut page = String::new();
    rows(&mut page, "", &head);
    section(&mut page, "tries", &numbered(record.attempts.iter().map(attempt).collect()));
    page
}

/// The page for people: short sections, names to the left.
fn page(record: &RunRecord, document: &Document<'_>) -> String {
    let mut page = String::new();
    let decided = &document.decision;
    let refused = decided.refused.map(|why| format!(", refused: {}", why.name())).unwrap_or_default();
    let wanted = decided.wanted.as_ref().map(|reason| format!(", wanted: {reason}")).unwrap_or_default();
    let mut head = vec![
        ("run", record.run_id.clone()),
        ("time", record.timestamp.clone()),
        ("task", format!("{}, {} characters", record.kind.name(), record.task_length)),
        ("workdir", record.workdir.clone()),
        ("decision", format!("{}, {}{wanted}{refused}", decided.route.name(), decided.reason)),
    ];
    if !record.verify_summary.is_empty() {
        head.push(("proof", record.verify_summary.clone()));
    }
    if !record.left.is_empty() {
        let files = record.left.join(", ");
        let how =
            format!("changed while mux worked, by a check or by someone else; `mux undo {} --force`", record.run_id);
        head.push(("left", format!("{files}: {how} brings back what was there before")));
    }
    match decided.overruled {
        Some(Overruled::Review) if decided.refused.is_some() => {
            head.push(("overruled", "what was accepted was taken back: nobody gave the review that was wanted".into()));
        }
        Some(Overruled::Review) => head.push(("overruled", "what was accepted was taken back after a review".into())),
        Some(Overruled::Disk) => head.push(("overruled", "what was accepted could not be kept on disk".into())),
        None if !decided.replays => {
            head.push(("note", "this version decides otherwise from what was recorded".into()));
        }
        None => {}
    }
    rows(&mut page, "", &head);
    section(&mut page, "facts", &facts(document.facts, document.policy));
    section(&mut page, "settings", &settings(document.policy, document.facts.kind));
    section(&mut page, "score of the last local try", &score(document));
    section(&mut page, "tries", &numbered(document.path.iter().map(attempt).collect()));
    section(&mut page, "decisions", &numbered(decided.steps.clone()));
    let flips = document.flips.iter().map(|flip| (flip.step.to_string(), format!("{}: {}", flip.change, flip.then)));
    let mut flips: Vec<(String, String)> = flips.collect();
    if flips.is_empty() {
        flips.push(("-".to_string(), "no single one of these".to_string()));
    }
    section(&mut page, "what would have changed a decision, by its number", &flips);
    page
}

fn numbered(lines: Vec<String>) -> Vec<(String, String)> {
    (1..).zip(lines).map(|(number, line): (u32, String)| (number.to_string(), line)).collect()
}

fn section<N: AsRef<str>>(page: &mut String, title: &str, lines: &[(N, String)]) {
    if !lines.is_empty() {
        let _ = writeln!(page, "\n{title}");
        rows(page, "  ", lines);
    }
}

/// Aligned pairs, each on one line whatever it holds.
fn rows<N: AsRef<str>>(page: &mut String, indent: &str, lines: &[(N, String)]) {
    let width = lines.iter().map(|(name, _)| name.as_ref().chars().count()).max().unwrap_or(0);
    for (name, value) in lines {
        let _ = writeln!(page, "{indent}{:width$}  {}", one_line(name.as_ref()), one_line(value));
    }
}

fn facts(facts: &Facts, policy: &Policy) -> Vec<(&'static str, String)> {
    let or_none = |text: String| if text.is_empty() { "none".to_string() } else { text };
    let cloud = match facts.cloud {
        Cloud::Unknown => "not looked at: nothing depended on it".to_string(),
        Cloud::Open(provider) => format!("{} could be called", provider.name()),
        Cloud::Refused(why) => format!("refused: {}", why.name()),
    };
    let mut lines = vec![
        ("route asked for", Some(facts.asked.name().to_string())),
        ("model server", Some(if facts.local_up { "up" } else { "down" }.to_string())),
        ("risk words", Some(or_none(facts.risk_words.join(", ")))),
        ("local tries", Some(format!("{} of {}", facts.local_tries, policy.max_local_tries))),
        ("last", Some(known(facts))),
        ("best local answer", facts.best_local.map(scored)),
        ("unchecked change", facts.standing.map(scored)),
        ("escalated for", facts.escalated.as_ref().map(ToString::to_string)),
        ("cloud", Some(cloud)),
    ];
    let said = |yes| if yes { "yes" } else { "no" }.to_string();
    lines.push(("may it write?", facts.hands_answer.map(said)));
    lines.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn settings(policy: &Policy, kind: Kind) -> Vec<(&'static str, String)> {
    let on = [
        ("low_confidence", policy.on_low_confidence),
        ("verification_failures", policy.on_verification_failures),
        ("high_complexity", policy.on_high_complexity),
    ];
    let on: Vec<&str> = on.into_iter().filter_map(|(name, is_on)| is_on.then_some(name)).collect();
    let tries = match kind {
        Kind::Change => ("local_executor.max_attempts", policy.max_local_tries.to_string()),
        Kind::Answer | Kind::Undo => ("router.max_local_retries", policy.max_local_tries.saturating_sub(1).to_string()),
    };
    let hands = match policy.hands {
        Hands::Allowed => "true",
        Hands::Ask => "false: you are asked",
        Hands::Never => "false",
    };
    vec![
        ("router.local_confidence_threshold", policy.threshold.to_string()),
        ("router.escalate_on", if on.is_empty() { "nothing".to_string() } else { on.join(", ") }),
        ("router.complexity_threshold", policy.complexity_threshold.to_string()),
        ("router.prefer_local", policy.prefer_local.to_string()),
        tries,
        ("workflow.allow_sota_write_fallback", hands.to_string()),
    ]
}

/// The terms and their sum, what was measured, and the score against the threshold.
fn score(document: &Document<'_>) -> Vec<(String, String)> {
    let Some(score) = document.score else { return Vec::new() };
    let mut lines = Vec::new();
    let mut sum = 0.0;
    for (name, term) in document.signals.iter().filter(|(name, _)| name.starts_with("term.")) {
        sum += term;
        lines.push((name.clone(), format!("{term:+.3}")));
    }
    if !lines.is_empty() {
        lines.push(("sum".to_string(), format!("{sum:+.3}")));
    }
    let side = if score < document.threshold { "below" } else { "not below" };
    lines.push(("score".to_string(), format!("{score:.3}, {side} the threshold {}", document.threshold)));
    let measured = document.signals.iter().filter(|(name, _)| !name.starts_with("term."));
    let told = |(name, value): (&String, &f64)| {
        let unit = Signal::named(name).map_or("measured", Signal::unit);
        (name.clone(), format!("{value:.3} ({unit})"))
    };
    lines.extend(measured.map(told));
    lines
}

fn attempt(attempt: &Attempt) -> String {
    let end = match (&attempt.failure, attempt.verdict) {
        (Some(failure), _) => failure.to_string(),
        (None, Some(verdict)) => format!("verification {}", verdict.name()),
        (None, None) => "a usable reply".to_string(),
    };
    let left_out = attempt.left_out.as_ref().map(|part| format!(" without {part}"));
    let end = end + &left_out.unwrap_or_default();
    let score = attempt.confidence.map(|score| format!(", score {score:.3}")).unwrap_or_default();
    let (end, took) = (end.trim_end_matches('.'), seconds(attempt.duration_ms));
    let saved = attempt.saved_ms().map(|saved| format!(", about {} s saved", seconds(saved))).unwrap_or_default();
    format!("{}, {}: {end}{score}, {took} s{saved}", attempt.route.name(), attempt.model)
}

#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
fn seconds(ms: u64) -> String {
    format!("{:.1}", ms as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::task::Failure;

    #[test]
    fn what_giving_up_has_saved_is_told_where_the_time_was_predicted() {
        let mut one = Attempt::on(Route::Local, "m".to_string());
        one.duration_ms = 4200;
        one.failure = Some(Failure::Hopeless { nats: 27, tokens: 310 });
        assert!(attempt(&one).ends_with(", 4.2 s"), "{}", attempt(&one));
        one.predicted_ms = Some(15_700);
        assert!(attempt(&one).ends_with(", 4.2 s, about 11.5 s saved"), "{}", attempt(&one));
        one.predicted_ms = Some(3000);
        assert!(attempt(&one).ends_with(", 4.2 s"), "{}", attempt(&one));
        one.failure = Some(Failure::Empty);
        one.predicted_ms = Some(15_700);
        assert!(attempt(&one).ends_with(", 4.2 s"), "{}", attempt(&one));
    }
}
