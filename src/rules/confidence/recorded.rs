//! Recorded replies of real models: what the shipped weights were fitted on, and the tables of `docs/confidence.md`.
//!
//! `fixtures/signals/NAME.jsonl` holds signals and labels only. Its rows come from recordings of whole exchanges by
//! `cargo test recordings_are_measured -- --ignored`, which reads `target/recorded/NAME.jsonl` (a line for each call:
//! `tag`, `request`, `sse`, `first` and `total` seconds) and, for tasks, `NAME.labels` (`id`, `passed`, `examples`).
//! `cargo test the_tables_are_printed -- --ignored --nocapture` prints the tables.

use crate::rules::confidence::blocks::blocks;
use crate::rules::confidence::hopeless::{self, Stopped};
use crate::rules::confidence::prior::Prior;
use crate::rules::confidence::signals::{Measured, Signal, measure, parts};
use crate::rules::confidence::weights::{Model, Weights, text_only};
use crate::rules::confidence::{Question, Signals, Usual};
use crate::rules::examples;
use crate::rules::fit::{self, RIDGE, Row};
use crate::rules::measure::{self, Estimate, Judged};
use crate::rules::numbers::{count, rounded, sigmoid};
use crate::rules::refit;
use crate::rules::stream::Stream;
use crate::words::chat::{Floor, Reply};
use crate::words::task::Kind;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// The recordings that the weights of code were fitted on.
const CODE: [&str; 2] = ["humaneval-1.5b", "humaneval-0.5b"];
/// Those of questions.
const PROSE: [&str; 2] = ["questions-1.5b", "questions-0.5b"];

/// One reply.
struct Recorded {
    is_right: bool,
    /// Whether the examples of the task's docstring held, where it has any.
    examples: Option<bool>,
    measured: Measured,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn lines(path: PathBuf) -> Vec<Value> {
    let text = fs_err::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The rows of a recording; the first line says where they come from.
fn recorded(name: &str) -> Vec<Recorded> {
    let rows = lines(root().join("fixtures/signals").join(format!("{name}.jsonl")));
    let row = |row: &Value| {
        let mut measured = Measured::default();
        for (name, value) in row["signals"].as_object().unwrap() {
            measured.set(Signal::named(name).unwrap(), value.as_f64());
        }
        Recorded { is_right: row["passed"].as_bool().unwrap(), examples: row["examples"].as_bool(), measured }
    };
    rows[1..].iter().map(row).collect()
}

/// Rows for a fit.
fn rows(recorded: &[Recorded], signals: &[Signal]) -> Vec<Row> {
    let row = |one: &Recorded| Row {
        signals: signals.iter().map(|signal| signal.bounded(one.measured.of(*signal).unwrap_or_default())).collect(),
        is_right: one.is_right,
    };
    recorded.iter().map(row).collect()
}

fn chance(model: &Model, one: &Recorded) -> f64 {
    sigmoid(model.terms(&one.measured).unwrap().iter().map(|(_, term)| term).sum())
}

#[test]
fn the_shipped_weights_are_those_of_the_recordings() {
    let all: Vec<Recorded> = CODE.iter().flat_map(|name| recorded(name)).collect();
    let shipped = Weights::default();
    let signals: Vec<Signal> = shipped.code.weights.iter().map(|(signal, _)| *signal).collect();
    assert_eq!(refit::model(&signals, &rows(&all, &signals)), shipped.code);
    let right = all.iter().filter(|one| one.is_right).count();
    assert!((count(right) / count(all.len()) - shipped.pass_rate).abs() < 1e-3, "{right} of {}", all.len());
    let text = text_only();
    let signals: Vec<Signal> = text.weights.iter().map(|(signal, _)| *signal).collect();
    assert_eq!(refit::model(&signals, &rows(&all, &signals)), text);
}

/// Sums of a recording, for the floor.
fn sums(recorded: &[Recorded]) -> Vec<hopeless::Proven> {
    let sum = |one: &Recorded| hopeless::Proven {
        nats: one.measured.of(Signal::SeqLp).unwrap(),
        tokens: one.measured.of(Signal::Tokens).unwrap(),
        is_right: one.is_right,
    };
    recorded.iter().map(sum).collect()
}

#[test]
fn the_shipped_floor_is_that_of_the_recordings() {
    let all: Vec<hopeless::Proven> = CODE.iter().flat_map(|name| sums(&recorded(name))).collect();
    let Floor { nats, tokens } = hopeless::floor(&all).unwrap();
    let shipped = Weights::default().floor;
    assert_eq!((rounded(nats), tokens), (shipped.nats, shipped.tokens));
    assert_eq!(Stopped::by(shipped, &all), Stopped { wrong: 1, right: 0 });
}

/// The logit that examples which hold are worth: with it, as many of those replies are right as the scores say.
fn term_of_examples(model: &Model, all: &[Recorded]) -> f64 {
    let holding: Vec<&Recorded> = all.iter().filter(|one| one.examples == Some(true)).collect();
    let (mut least, mut most) = (-10.0, 10.0);
    for _ in 0..60 {
        let term = f64::midpoint(least, most);
        let surplus = holding.iter().map(|one| f64::from(one.is_right) - with_term(model, one, term)).sum::<f64>();
        *(if surplus > 0.0 { &mut least } else { &mut most }) = term;
    }
    least
}

fn with_term(model: &Model, one: &Recorded, term: f64) -> f64 {
    let terms: f64 = model.terms(&one.measured).unwrap().iter().map(|(_, term)| term).sum();
    sigmoid(terms + if one.examples == Some(true) { term } else { 0.0 })
}

#[test]
fn the_term_of_examples_is_that_of_the_recordings() {
    let all: Vec<Recorded> = CODE.iter().flat_map(|name| recorded(name)).collect();
    let term = term_of_examples(&Weights::default().code, &all);
    assert!((term - examples::TERM).abs() <= 0.05, "{term}");
}

/// How scores would route: the share that is sent away against the share of the gap to a perfect cloud that it closes.
struct Curve {
    apgr: f64,
    /// The least share sent away that closes 50 % and 80 % of the gap.
    cpt: [f64; 2],
    /// The largest share kept local at 90 % success.
    kept_at_90: f64,
}

fn curve(judged: &[Judged]) -> Curve {
    let mut sorted = judged.to_vec();
    sorted.sort_by(|one, two| one.0.total_cmp(&two.0));
    let n = count(sorted.len());
    let wrong = count(sorted.iter().filter(|one| !one.1).count());
    // Equal scores are sent away in no particular order: a straight line between the ends of each group.
    let mut points = vec![(0.0, 0.0)];
    let (mut sent, mut caught) = (0.0, 0.0);
    for group in sorted.chunk_by(|one, two| one.0.total_cmp(&two.0).is_eq()) {
        sent += count(group.len());
        caught += count(group.iter().filter(|one| !one.1).count());
        points.push((sent / n, caught / wrong));
    }
    let apgr = points.windows(2).map(|pair| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0).sum();
    let at = |gap: f64| {
        let pair = points.windows(2).find(|pair| pair[1].1 >= gap).unwrap();
        pair[0].0 + (pair[1].0 - pair[0].0) * (gap - pair[0].1) / (pair[1].1 - pair[0].1)
    };
    let needed = 1.0 - 0.1 * n / wrong;
    Curve { apgr, cpt: [at(0.5), at(0.8)], kept_at_90: 1.0 - if needed > 0.0 { at(needed) } else { 0.0 } }
}

fn told(name: &str, judged: &[Judged], is_probability: bool) {
    let Estimate { value, low, high } = measure::auroc(judged).unwrap();
    let Curve { apgr, cpt: [half, most], kept_at_90 } = curve(judged);
    let calibrated = if is_probability {
        format!("{:.3} | {:.3}", measure::calibration_error(judged), measure::brier(judged))
    } else {
        "- | -".to_string()
    };
    println!(
        "| {name} | {value:.3} ({low:.2}-{high:.2}) | {apgr:.2} | {:.0} % | {:.0} % | {kept_at_90:.2} | {calibrated} |",
        half * 100.0,
        most * 100.0
    );
}

const HEAD: &str = "| score | AUROC (95 %) | APGR | CPT(50 %) | CPT(80 %) | kept@90 | ECE | Brier |\n\
                    | --- | --- | --- | --- | --- | --- | --- | --- |";

fn head(name: &str, all: &[Recorded]) {
    let right = all.iter().filter(|one| one.is_right).count();
    println!("\n{name}: {right} of {} right, base rate Brier {:.3}\n\n{HEAD}", all.len(), {
        let rate = count(right) / count(all.len());
        rate * (1.0 - rate)
    });
}

#[test]
#[ignore = "prints the tables of docs/confidence.md"]
fn the_tables_are_printed() {
    let shipped = Weights::default();
    let signals: Vec<Signal> = shipped.code.weights.iter().map(|(signal, _)| *signal).collect();
    for (at, name) in CODE.iter().enumerate() {
        let (all, other) = (recorded(name), recorded(CODE[1 - at]));
        let by = |score: &dyn Fn(&Recorded) -> f64| -> Vec<Judged> {
            all.iter().map(|one| (score(one), one.is_right)).collect()
        };
        head(name, &all);
        told("random; one value for all", &by(&|_| 0.8), false);
        for signal in Signal::all() {
            if all.iter().all(|one| one.measured.of(signal).is_some()) {
                let judged = by(&|one| one.measured.of(signal).unwrap());
                let is_low = measure::auroc(&judged).unwrap().value < 0.5;
                let sign = if is_low { -1.0 } else { 1.0 };
                let judged = by(&|one| sign * one.measured.of(signal).unwrap());
                told(&format!("{}`{}`", if is_low { "lower " } else { "" }, signal.name()), &judged, false);
            }
        }
        told("before: `sigmoid(2.0 + 0.23·seq_lp)`", &by(&|one| old(one)), true);
        told("shipped weights", &by(&|one| chance(&shipped.code, one)), true);
        let held = fit::held_out(&rows(&all, &signals), RIDGE, 10);
        told("cross-validated, 10 parts", &held, true);
        let moved = refit::model(&signals, &rows(&other, &signals));
        told("fitted on the other model", &by(&|one| chance(&moved, one)), true);
        // Red examples are evidence and no score; these are the replies that have one.
        let scored: Vec<&Recorded> = all.iter().filter(|one| one.examples != Some(false)).collect();
        let by_term = |model: &Model, term: f64| -> Vec<Judged> {
            scored.iter().map(|one| (with_term(model, one, term), one.is_right)).collect()
        };
        let n = scored.len();
        told(&format!("{n} without red ones, fitted on the other, no term"), &by_term(&moved, 0.0), true);
        let term = term_of_examples(&moved, &other);
        told(&format!("{n} without red ones, fitted on the other, term {term:.2}"), &by_term(&moved, term), true);
        told(&format!("{n} without red ones, as shipped"), &by_term(&shipped.code, examples::TERM), true);
        told("text only", &by(&|one| chance(&text_only(), one)), true);
        let with = |(one, (score, is_right)): (&Recorded, &Judged)| match one.examples {
            Some(true) => (1.0 + score, *is_right),
            None => (*score, *is_right),
            Some(false) => (score - 1.0, *is_right),
        };
        told("cross-validated, with examples run", &all.iter().zip(&held).map(with).collect::<Vec<Judged>>(), false);
        let other: Vec<Recorded> = all.into_iter().filter(|one| one.measured.of(Signal::Same) == Some(0.0)).collect();
        head(&format!("{name} without files sent back as they were"), &other);
        let by = |score: &dyn Fn(&Recorded) -> f64| -> Vec<Judged> {
            other.iter().map(|one| (score(one), one.is_right)).collect()
        };
        told("before: `sigmoid(2.0 + 0.23·seq_lp)`", &by(&|one| old(one)), true);
        told("shipped weights", &by(&|one| chance(&shipped.code, one)), true);
    }
    for name in PROSE {
        let all = recorded(name);
        head(name, &all);
        let shipped = |one: &Recorded| {
            let mut signals = Signals { terms: Vec::new(), measured: one.measured.clone() };
            super::prose(0, &mut signals);
            sigmoid(signals.logit())
        };
        told("as shipped", &all.iter().map(|one| (shipped(one), one.is_right)).collect::<Vec<Judged>>(), true);
        for signal in Signal::all() {
            if all.iter().all(|one| one.measured.of(signal).is_some()) {
                let judged: Vec<Judged> =
                    all.iter().map(|one| (one.measured.of(signal).unwrap(), one.is_right)).collect();
                told(&format!("`{}`", signal.name()), &judged, false);
            }
        }
    }
}

/// The score before this fit: the plain sum.
fn old(one: &Recorded) -> f64 {
    sigmoid(2.0 + 0.23 * one.measured.of(Signal::SeqLp).unwrap().max(-40.0))
}

/// Whether an answer holds what a question accepts, and nothing that it rejects (`fixtures/questions/README.md`).
fn is_accepted(question: &Value, answer: &str) -> bool {
    let list = |key: &str| -> Vec<String> {
        let list = question[key].as_array().into_iter().flatten();
        list.map(|item| item.as_str().unwrap().to_string()).collect()
    };
    let any = |alternatives: &String| alternatives.split('|').any(|alternative| holds(answer, alternative));
    list("accept").iter().all(any) && !list("reject").iter().any(any)
}

fn holds(answer: &str, sought: &str) -> bool {
    let has_case = sought.chars().any(char::is_uppercase);
    let answer = if has_case { answer.to_string() } else { answer.to_lowercase() };
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    let meets = |one: Option<char>, two: Option<char>| one.is_some_and(is_word) && two.is_some_and(is_word);
    answer.match_indices(sought).any(|(at, _)| {
        let (before, after) = (&answer[..at], &answer[at + sought.len()..]);
        let mut following = after.chars();
        let (next, second) = (following.next(), following.next());
        let is_fraction = |dot: Option<char>, digit: Option<char>| {
            dot == Some('.') && digit.is_some_and(|digit| digit.is_ascii_digit())
        };
        let ends_in_digit = sought.ends_with(|last: char| last.is_ascii_digit());
        let starts_with_digit = sought.starts_with(|first: char| first.is_ascii_digit());
        let mut preceding = before.chars().rev();
        let (previous, one_before) = (preceding.next(), preceding.next());
        let is_cut = meets(previous, sought.chars().next()) || meets(sought.chars().last(), next);
        let is_part =
            ends_in_digit && is_fraction(next, second) || starts_with_digit && is_fraction(previous, one_before);
        !is_cut && !is_part
    })
}

#[test]
fn an_answer_is_accepted_by_whole_words_and_numbers() {
    let question = json!({"accept": ["2|two", "KeyError"], "reject": ["or 3"]});
    for (answer, expected) in [
        ("It is 2, and a KeyError.", true),
        ("Two. KeyError", true),
        ("It is 2.5, KeyError", false),
        ("It is 1.2, KeyError", false),
        ("It is 12 KeyError", false),
        ("2 and keyerror", false),
        ("2 KeyErrors", false),
        ("2 or 3 KeyError", false),
    ] {
        assert_eq!(is_accepted(&question, answer), expected, "{answer}");
    }
}

#[test]
fn every_question_can_be_checked() {
    let questions = lines(root().join("fixtures/questions/questions.jsonl"));
    assert!(questions.len() >= 60, "{}", questions.len());
    for question in &questions {
        assert!(question["accept"].as_array().is_some_and(|accept| !accept.is_empty()), "{question}");
        let asked = question["question"].as_str().unwrap();
        assert!(!is_accepted(question, asked), "the question itself is no answer: {question}");
        let ids =
            questions.iter().filter(|other| other["id"] == question["id"] || other["question"] == question["question"]);
        assert_eq!(ids.count(), 1, "{question}");
    }
}

#[test]
#[ignore = "reads target/recorded, writes fixtures/signals"]
fn recordings_are_measured() {
    let questions = lines(root().join("fixtures/questions/questions.jsonl"));
    for name in CODE.iter().chain(&PROSE) {
        let path = root().join("target/recorded").join(format!("{name}.jsonl"));
        if !path.exists() {
            continue;
        }
        let calls = lines(path.clone());
        let kind = if CODE.contains(name) { Kind::Change } else { Kind::Answer };
        let labels = if kind == Kind::Change { lines(path.with_extension("labels")) } else { Vec::new() };
        let usual = usual(&calls);
        let mut out = vec![fs_err::read_to_string(path.with_extension("about")).unwrap().trim().to_string()];
        let mut seen = Vec::new();
        for call in &calls {
            let (id, prompt) = (&call["tag"], call["request"]["messages"].as_array().unwrap().last().unwrap());
            let task = prompt["content"].as_str().unwrap();
            let label = match kind {
                Kind::Answer | Kind::Undo => questions.iter().find(|question| question["id"] == *id),
                Kind::Change => labels.iter().find(|label| label["id"] == *id),
            };
            let (Some(label), false) = (label, seen.contains(&id)) else { continue };
            seen.push(id);
            let Some(reply) = replayed(call) else { continue };
            // The prompt of a change begins with the files, each in a block.
            let files = blocks(task);
            let shown: Vec<&str> = files.iter().map(|block| &task[block.inside.clone()]).collect();
            let asked = Question {
                kind,
                task: label["task"].as_str().unwrap_or(task),
                shown: &shown,
                window: Some(8192),
                usual: Some(Usual {
                    first_ms: usual.first_ms * reply.prompt_tokens.unwrap_or(0).max(1) as f64,
                    ..usual
                }),
            };
            let measured = measure(&reply, &parts(&reply, kind), &asked);
            let signals: serde_json::Map<String, Value> =
                measured.iter().map(|(signal, value)| (signal.name().to_string(), json!(value))).collect();
            let row = match kind {
                Kind::Change => {
                    json!({"id": id, "passed": label["passed"], "examples": label["examples"], "signals": signals})
                }
                Kind::Answer | Kind::Undo => {
                    json!({"id": id, "passed": is_accepted(label, &reply.text), "signals": signals})
                }
            };
            if kind == Kind::Answer {
                println!("{name} {id} {} {:?}", row["passed"], reply.text.chars().take(400).collect::<String>());
            }
            out.push(row.to_string());
        }
        let rows = out.len() - 1;
        fs_err::write(root().join("fixtures/signals").join(format!("{name}.jsonl")), out.join("\n") + "\n").unwrap();
        println!("{name}: {rows} rows");
    }
}

/// The medians of a recording; the time to the first token is for one token of the prompt.
fn usual(calls: &[Value]) -> Usual {
    let replies: Vec<Reply> = calls.iter().filter_map(replayed).collect();
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let first = |reply: &Reply| reply.first_token.as_secs_f64() * 1000.0 / reply.prompt_tokens.unwrap() as f64;
    let speed = |reply: &Reply| {
        reply.completion_tokens.unwrap() as f64
            / reply.duration.saturating_sub(reply.first_token).as_secs_f64().max(0.001)
    };
    Usual {
        first_ms: median(replies.iter().map(first).collect()),
        tokens_per_sec: median(replies.iter().map(speed).collect()),
    }
}

/// The reply of a recorded call, read as `mux run` reads it.
fn replayed(call: &Value) -> Option<Reply> {
    let mut stream = Stream::new(100_000, 8 << 20);
    stream.feed(call["sse"].as_str()?.as_bytes()).ok()?;
    let read = stream.finish().ok()?;
    Some(Reply {
        text: read.text,
        reasoning_bytes: read.reasoning_bytes,
        finish: read.finish,
        model: read.model,
        prompt_tokens: read.prompt_tokens,
        completion_tokens: read.completion_tokens,
        tokens: read.tokens,
        first_token: Duration::from_secs_f64(call["first"].as_f64()?),
        duration: Duration::from_secs_f64(call["total"].as_f64()?),
    })
}

#[test]
#[ignore = "measures: 4000 tokens take how long? Run it in release."]
fn the_cost_of_a_score_is_printed() {
    use crate::rules::confidence::tests::spoken;
    let line = [("    if total", -0.1), (" > limit", -0.7), (" and", -0.01), (" items[", -0.3), ("12]:\n", -0.05)];
    let mut pieces = vec![("```python\n", 0.0)];
    (0..800).for_each(|_| pieces.extend(line));
    pieces.push(("```\n", 0.0));
    let mut reply = spoken(&pieces);
    reply.tokens.iter_mut().for_each(|token| token.runner_up = Some(-3.0));
    let shown = reply.text.lines().take(150).collect::<Vec<_>>().join("\n");
    for kind in [Kind::Change, Kind::Answer] {
        let asked = Question { kind, task: "Write `f`.", shown: &[&shown], window: None, usual: None };
        let text: String = if kind == Kind::Answer { reply.text.replace("```", "") } else { reply.text.clone() };
        let reply = Reply { text, ..reply.clone() };
        let start = std::time::Instant::now();
        for _ in 0..100 {
            std::hint::black_box(super::score(&reply, &asked, &Weights::default(), &Prior::default()));
        }
        println!("{kind:?}: {} tokens, {:?} a score", reply.tokens.len(), start.elapsed() / 100);
    }
}
