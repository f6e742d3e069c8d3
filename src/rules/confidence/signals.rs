//! What can be measured of a reply: names, units, bounds, and one pass that measures all. Pure. Whether a signal counts,
//! and how much, is told by weights (`weights.rs`); most are recorded only, so that a later fit can use them.

use crate::rules::confidence::blocks::{Block, blocks, code, lower_prose};
use crate::rules::confidence::{Question, certainty, shape, wording};
use crate::rules::numbers::{count, ln, rounded};
use crate::rules::sorted::sorted;
use crate::words::chat::Reply;
use crate::words::task::Kind;
use std::collections::BTreeMap;

/// A thing that is measured. Where it cannot be, it is absent and not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    SeqLp,
    NewLp,
    NewMean,
    Doubts,
    MeanLp,
    TailLp,
    MinLp,
    StartLp,
    Margin,
    Tokens,
    Lines,
    Branches,
    Numbers,
    Unbalanced,
    Same,
    Fit,
    Context,
    FirstToken,
    Speed,
    Hedges,
    Repetition,
}

/// Name in records and documents, unit, and the bounds that a weight is applied within.
struct Entry(Signal, &'static str, &'static str, f64, f64);

const TABLE: [Entry; 21] = {
    use Signal as S;
    [
        Entry(S::SeqLp, "seq_lp", "nats: sum over the worst block of code", -40.0, 0.0),
        Entry(S::NewLp, "new_lp", "nats: sum over lines that were not shown, of the worst block", -40.0, 0.0),
        Entry(S::NewMean, "new_mean", "nats a token, over lines that were not shown", -2.0, 0.0),
        Entry(S::Doubts, "doubts", "tokens of code below nine chances in ten", 0.0, 100.0),
        Entry(S::MeanLp, "mean_lp", "nats a token", -2.0, 0.0),
        Entry(S::TailLp, "tail_lp", "nats a token, over the weakest tenth", -6.0, 0.0),
        Entry(S::MinLp, "min_lp", "nats: the weakest token", -6.0, 0.0),
        Entry(S::StartLp, "start_lp", "nats a token, over the first twenty", -2.0, 0.0),
        Entry(S::Margin, "margin", "nats between a token and the next best", 0.0, 20.0),
        Entry(S::Tokens, "tokens", "tokens of the answer", 0.0, 1000.0),
        Entry(S::Lines, "lines", "lines of code that were not shown", 0.0, 200.0),
        Entry(S::Branches, "branches", "words that branch or loop, in lines that were not shown", 0.0, 50.0),
        Entry(S::Numbers, "numbers", "number literals, in lines that were not shown", 0.0, 50.0),
        Entry(S::Unbalanced, "unbalanced", "brackets and indentations that do not agree", 0.0, 5.0),
        Entry(S::Same, "same", "1 for a file that was shown, as it was but for blank lines", 0.0, 1.0),
        Entry(S::Fit, "fit", "share of the task's names that the reply uses", 0.0, 1.0),
        Entry(S::Context, "context", "share of the window that the prompt takes", 0.0, 1.0),
        Entry(S::FirstToken, "first_token", "logarithm of the time to the first token against the usual", -3.0, 3.0),
        Entry(S::Speed, "speed", "logarithm of the tokens a second against the usual", -3.0, 3.0),
        Entry(S::Hedges, "hedges", "plain statements of not knowing, and mild ones for each 40 words", 0.0, 10.0),
        Entry(S::Repetition, "repetition", "share of runs of six words that came before", 0.0, 1.0),
    ]
};

impl Signal {
    /// Returns all signals, in the order in which they are listed.
    #[cfg(test)]
    pub fn all() -> impl Iterator<Item = Signal> {
        TABLE.iter().map(|entry| entry.0)
    }

    /// Returns the signal of a name.
    pub fn named(name: &str) -> Option<Signal> {
        TABLE.iter().find(|entry| entry.1 == name).map(|entry| entry.0)
    }

    pub fn name(self) -> &'static str {
        self.entry().map_or("", |entry| entry.1)
    }

    /// Returns what one of it is, for people.
    pub fn unit(self) -> &'static str {
        self.entry().map_or("", |entry| entry.2)
    }

    /// Returns a value within the bounds: what lies beyond them is no better and no worse than they are.
    pub fn bounded(self, value: f64) -> f64 {
        self.entry().map_or(0.0, |entry| value.clamp(entry.3, entry.4))
    }

    fn entry(self) -> Option<&'static Entry> {
        TABLE.iter().find(|entry| entry.0 == self)
    }
}

/// The signals of one reply.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured(BTreeMap<Signal, f64>);

impl Measured {
    pub fn of(&self, signal: Signal) -> Option<f64> {
        self.0.get(&signal).copied().filter(|value| value.is_finite())
    }

    /// Returns the place of a value that is read from a record; absent until a number is put there.
    pub fn entry(&mut self, signal: Signal) -> &mut f64 {
        self.0.entry(signal).or_insert(f64::NAN)
    }

    /// Takes a value with four digits; what is no number is absent.
    pub fn set(&mut self, signal: Signal, value: Option<f64>) {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.0.insert(signal, rounded(value));
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (Signal, f64)> {
        self.0.iter().map(|(signal, value)| (*signal, *value))
    }
}

/// A reply taken apart.
pub struct Parts<'a> {
    pub blocks: Vec<Block<'a>>,
    /// The text outside of blocks, in lower case.
    pub prose: String,
    /// Whether it is judged as code.
    pub is_code: bool,
}

/// Takes a reply apart.
pub fn parts(reply: &Reply, kind: Kind) -> Parts<'_> {
    let blocks = blocks(&reply.text);
    let in_blocks: usize = blocks.iter().map(|block| block.inside.len()).sum();
    let is_code = match kind {
        // A README is prose in a fence, with blocks of its own: a sum over its tokens would only measure its length.
        Kind::Change | Kind::Undo => blocks.first().is_none_or(|block| !block.is_prose()),
        Kind::Answer => in_blocks * 2 > reply.text.len(),
    };
    let prose = lower_prose(&reply.text, &blocks);
    Parts { blocks, prose, is_code }
}

/// Measures all that can be.
pub fn measure(reply: &Reply, parts: &Parts<'_>, asked: &Question<'_>) -> Measured {
    let mut all = Measured::default();
    let tokens = &reply.tokens;
    all.set(Signal::MeanLp, certainty::mean_lp(tokens));
    all.set(Signal::TailLp, certainty::tail_lp(tokens));
    all.set(Signal::MinLp, certainty::min_lp(tokens));
    all.set(Signal::StartLp, certainty::start_lp(tokens));
    all.set(Signal::Margin, certainty::margin(tokens));
    all.set(Signal::Tokens, Some(n_tokens(reply)));
    all.set(Signal::Fit, wording::fit(asked.task, &reply.text));
    let share = |window: u64| Some(reply.prompt_tokens? as f64 / window.max(1) as f64);
    all.set(Signal::Context, asked.window.and_then(share));
    if let Some(usual) = asked.usual {
        let first = reply.first_token.as_secs_f64() * 1000.0;
        let first = ln(first.max(1.0) / usual.first_ms.max(1.0));
        let writing = reply.duration.saturating_sub(reply.first_token).as_secs_f64().max(0.001);
        let speed = reply.completion_tokens.map(|tokens| ln(tokens.max(1) as f64 / writing / usual.tokens_per_sec));
        all.set(Signal::FirstToken, Some(first));
        all.set(Signal::Speed, speed);
    }
    if parts.is_code {
        let mut shown = sorted(asked.shown.iter().flat_map(|text| text.lines()).map(str::trim).collect());
        shown.dedup();
        let is_shown = |line: &str| shown.binary_search(&line).is_ok();
        let code = code(&reply.text, &parts.blocks);
        let sums = certainty::in_code((&reply.text, &reply.tokens), &code, &is_shown);
        all.set(Signal::SeqLp, sums.map(|sums| sums.seq_lp));
        all.set(Signal::NewLp, sums.map(|sums| sums.new_lp));
        all.set(Signal::NewMean, sums.map(|sums| sums.new_mean));
        all.set(Signal::Doubts, sums.map(|sums| sums.doubts));
        let shapes = code.iter().map(|block| {
            let text = reply.text.get(block.inside.clone()).unwrap_or_default();
            shape::shape(text, block.language(), &|line| !is_shown(line))
        });
        let sum = shapes.fold(shape::Shape::default(), |sum, shape| shape::Shape {
            lines: sum.lines + shape.lines,
            branches: sum.branches + shape.branches,
            numbers: sum.numbers + shape.numbers,
            unbalanced: shape.unbalanced.map_or(sum.unbalanced, |faults| Some(sum.unbalanced.unwrap_or(0.0) + faults)),
        });
        all.set(Signal::Lines, Some(sum.lines));
        all.set(Signal::Branches, Some(sum.branches));
        all.set(Signal::Numbers, Some(sum.numbers));
        all.set(Signal::Unbalanced, sum.unbalanced);
        let is_same = code.iter().any(|block| {
            let text = reply.text.get(block.inside.clone()).unwrap_or_default();
            asked.shown.iter().any(|shown| shape::is_same(shown, text))
        });
        all.set(Signal::Same, Some(f64::from(is_same)));
    } else {
        // Around code a "sorry" or a "probably" says little; a reply that is prose is what it says.
        let words: Vec<&str> = parts.prose.split_whitespace().collect();
        all.set(Signal::Hedges, Some(wording::hedges(&parts.prose, words.len())));
        all.set(Signal::Repetition, Some(wording::repetition(&words)));
    }
    all
}

/// Returns the length of the answer in tokens: as counted by the server, less the share that was reasoning, else by the
/// usual four bytes a token.
fn n_tokens(reply: &Reply) -> f64 {
    let (text, reasoning) = (count(reply.text.len()), count(reply.reasoning_bytes));
    match reply.completion_tokens {
        Some(tokens) if text > 0.0 => tokens as f64 * text / (text + reasoning),
        Some(_) | None => text / 4.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::confidence::Usual;
    use crate::rules::confidence::tests::{reply, spoken};
    use std::time::Duration;

    #[test]
    fn every_signal_is_listed_once_with_a_unit_and_bounds() {
        let names: Vec<&str> = Signal::all().map(Signal::name).collect();
        assert_eq!(names.len(), TABLE.len());
        for entry in &TABLE {
            assert_eq!(Signal::named(entry.1), Some(entry.0));
            assert!(!entry.0.unit().is_empty() && entry.3 < entry.4, "{}", entry.1);
            assert!((entry.0.bounded(1e9) - entry.4).abs() < 1e-9 && (entry.0.bounded(-1e9) - entry.3).abs() < 1e-9);
            assert_eq!(names.iter().filter(|name| **name == entry.1).count(), 1, "{}", entry.1);
        }
        assert_eq!(Signal::named("nothing"), None);
    }

    /// `name value` of each signal, in order.
    fn told(reply: &Reply, kind: Kind, asked: &Question<'_>) -> Vec<String> {
        let parts = parts(reply, kind);
        measure(reply, &parts, asked).iter().map(|(signal, value)| format!("{} {value}", signal.name())).collect()
    }

    #[test]
    fn code_has_the_signals_of_code() {
        let mut reply =
            spoken(&[("```py\n", -0.5), ("def f(x):\n", -0.25), ("    return 7 if x else (\n", -3.0), ("```", 0.0)]);
        (reply.prompt_tokens, reply.completion_tokens) = (Some(512), Some(40));
        (reply.first_token, reply.duration) = (Duration::from_millis(1024), Duration::from_millis(5024));
        let asked = Question {
            kind: Kind::Change,
            task: "Write `f` and `g`.",
            shown: &["def f(x):\n    pass\n"],
            window: Some(4096),
            usual: Some(Usual { first_ms: 512.0, tokens_per_sec: 10.0 }),
        };
        let expected = [
            "seq_lp -3.25",
            "new_lp -3",
            "new_mean -3",
            "doubts 2",
            "mean_lp -0.9375",
            "tail_lp -3",
            "min_lp -3",
            "start_lp -0.9375",
            "tokens 40",
            "lines 1",
            "branches 1",
            "numbers 1",
            "unbalanced 1",
            "same 0",
            "fit 0.5",
            "context 0.125",
            "first_token 0.6931",
            "speed 0",
        ];
        assert_eq!(told(&reply, Kind::Change, &asked), expected);
    }

    #[test]
    fn prose_has_those_of_prose_and_what_is_unknown_is_absent() {
        let asked = Question { kind: Kind::Answer, task: "Why?", shown: &[], window: None, usual: None };
        let plain = reply("It waits for the lock.");
        assert_eq!(told(&plain, Kind::Answer, &asked), ["tokens 5.5", "hedges 0", "repetition 0"]);
        let nan = spoken(&[("It waits.", f64::NAN)]);
        assert_eq!(told(&nan, Kind::Answer, &asked), ["tokens 2.25", "hedges 0", "repetition 0"]);
    }

    #[test]
    fn speed_is_held_against_the_usual_one() {
        let usual = Some(Usual { first_ms: 400.0, tokens_per_sec: 20.0 });
        let asked = Question { kind: Kind::Answer, task: "Why?", shown: &[], window: None, usual };
        // Milliseconds to the first token and to the end, tokens: the logarithms of both ratios.
        for (first_ms, all_ms, tokens, first_token, speed) in [
            (400, 5400, Some(100), Some(0.0), Some(0.0)),
            (1200, 3200, Some(100), Some(1.0986), Some(0.9163)),
            (100, 20_100, Some(100), Some(-1.3863), Some(-1.3863)),
            (0, 5000, Some(100), Some(-5.9915), Some(0.0)),
            (400, 5400, None, Some(0.0), None),
            (400, 400, Some(1), Some(0.0), Some(3.912)),
        ] {
            let (first_token_at, duration) = (Duration::from_millis(first_ms), Duration::from_millis(all_ms));
            let reply =
                Reply { first_token: first_token_at, duration, completion_tokens: tokens, ..reply("It waits.") };
            let measured = measure(&reply, &parts(&reply, Kind::Answer), &asked);
            let told = (measured.of(Signal::FirstToken), measured.of(Signal::Speed));
            assert_eq!(told, (first_token, speed), "{first_ms} {all_ms} {tokens:?}");
        }
    }

    #[test]
    fn reasoning_is_no_part_of_the_length() {
        let thought = Reply { reasoning_bytes: 30, completion_tokens: Some(200), ..reply("```\nx\n```") };
        assert!((n_tokens(&thought) - 200.0 * 9.0 / 39.0).abs() < 1e-9);
    }
}
