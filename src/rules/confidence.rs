//! How sure to be of a reply that nothing has checked: a logistic of named terms, each bounded, all recorded. Pure; a few
//! passes over text and tokens. It neither proves nor routes: a check that ran overrides it (`policy.rs`).
//!
//! **Invariant:** `value == sigmoid(sum of the terms)`, so that `mux why` can add them up.
//!
//! What can be measured is listed in `confidence/signals.rs`; how much it counts stands in `confidence/weights.rs`, and
//! where that comes from in `docs/confidence.md`. For prose nothing is fitted: on 85 checkable questions its terms order the
//! answers of a 1.5B model (AUROC .81) and not those of a 0.5B (.58), so they are small and labelled weak.

pub mod blocks;
pub mod certainty;
pub mod hopeless;
pub mod prior;
pub mod proven;
#[cfg(test)]
mod recorded;
pub mod shape;
pub mod signals;
pub mod weights;
pub mod wording;

use crate::rules::confidence::prior::Prior;
use crate::rules::confidence::signals::{Measured, Parts, Signal};
use crate::rules::confidence::weights::Weights;
use crate::rules::numbers::{ln, rounded, sigmoid};
use crate::words::chat::{Finish, Reply};
use crate::words::task::{Kind, Score};
use std::collections::BTreeMap;

/// What was asked, as far as a score needs it.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub kind: Kind,
    pub task: &'a str,
    /// Files that the model was shown.
    pub shown: &'a [&'a str],
    /// Tokens that fit the model, prompt and reply together, where it is known.
    pub window: Option<u64>,
    /// As the calls before this one were, where enough of them are known.
    pub usual: Option<Usual>,
}

/// How fast the model usually is with such a prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usual {
    /// Milliseconds to the first token.
    pub first_ms: f64,
    pub tokens_per_sec: f64,
}

/// What a score is made of. Names and values only: `term.*` add up to the logit, the others are what was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signals {
    terms: Vec<(&'static str, f64)>,
    measured: Measured,
}

impl From<Signals> for BTreeMap<String, f64> {
    fn from(signals: Signals) -> BTreeMap<String, f64> {
        let terms = signals.terms.iter().map(|(name, value)| (format!("term.{name}"), *value));
        let measured = signals.measured.iter().map(|(signal, value)| (signal.name().to_string(), value));
        let mut all = BTreeMap::new();
        all.extend(terms.chain(measured));
        all
    }
}

/// Scores a reply to a task. A score is weak when it rests on little *and* nothing observed speaks against the reply: a
/// refusal, a hedge, a loop or a cut is evidence, an unmeasured certainty is not.
pub fn score(reply: &Reply, asked: &Question<'_>, weights: &Weights, prior: &Prior) -> (Score, Signals) {
    let parts = signals::parts(reply, asked.kind);
    let measured = signals::measure(reply, &parts, asked);
    let mut signals = Signals { terms: Vec::new(), measured };
    let faults = faults(reply, &parts, asked.task, &mut signals);
    let weak = if parts.is_code { code(weights, prior, &mut signals) } else { prose(faults, &mut signals) };
    (Score { value: sigmoid(signals.logit()), weak: weak && faults == 0 }, signals)
}

/// Terms of code; returns whether they are weak.
fn code(weights: &Weights, prior: &Prior, signals: &mut Signals) -> bool {
    let Some(terms) = weights.code.terms(&signals.measured) else {
        signals.add_all(weights::text_only().terms(&signals.measured).unwrap_or_default());
        return true;
    };
    signals.add_all(terms);
    // How the model did elsewhere cannot carry a reply that does not stand by itself.
    let stands = signals.logit() > 0.0;
    for (name, value) in prior.terms(weights.pass_rate) {
        if value < 0.0 || stands {
            signals.add(name, value);
        }
    }
    false
}

/// The least that a complete, plain prose answer scores: unknown is not evidence, and local-first means that an
/// ordinary good answer stays home.
const PLAIN_PROSE: f64 = 0.65;
/// A mean below this over the weakest tenth is unusual for greedy or near-greedy decoding, where the chosen token is
/// the likeliest: one in ten words was a guess among more than twenty. Not measured.
const LOW_TAIL: f64 = -3.0;

/// Terms of prose, always weak. Per token, since a sum would punish length; small weights pull to the middle.
fn prose(faults: u32, signals: &mut Signals) -> bool {
    signals.add("base", 0.4);
    let mut is_plain = faults == 0;
    if let (Some(mean), Some(tail)) = (signals.measured.of(Signal::MeanLp), signals.measured.of(Signal::TailLp)) {
        signals.add("mean_lp", (mean + 0.5).clamp(-0.6, 0.5));
        signals.add("tail_lp", (0.3 * (tail - LOW_TAIL)).clamp(-0.6, 0.5));
        is_plain &= tail >= LOW_TAIL;
    }
    let (logit, least) = (signals.logit(), ln(PLAIN_PROSE / (1.0 - PLAIN_PROSE)));
    if is_plain && logit < least {
        // Not rounded, so that the sum is exactly the least.
        signals.terms.push(("plain", least - logit));
    }
    true
}

/// Adds a term for everything observed that speaks against a reply; returns how many.
fn faults(reply: &Reply, parts: &Parts<'_>, task: &str, signals: &mut Signals) -> u32 {
    let is_cut = reply.finish != Finish::Stop
        || parts.blocks.iter().any(|block| !block.closed)
        || wording::trails_off(&reply.text);
    let is_echo = !task.trim().is_empty() && reply.text.trim() == task.trim();
    let is_over = |signal, most: f64| signals.measured.of(signal).is_some_and(|value| value >= most);
    let found = [
        ("empty", reply.text.trim().is_empty(), -4.0),
        ("cut", is_cut, -2.0),
        ("refusal", (!parts.is_code || parts.blocks.is_empty()) && wording::declines(&parts.prose), -3.0),
        ("hedges", is_over(Signal::Hedges, 1.0), -1.5),
        ("repetition", is_over(Signal::Repetition, 0.3), -2.5),
        ("unbalanced", is_over(Signal::Unbalanced, 1.0), -1.5),
        ("echo", is_echo, -3.0),
    ];
    let found = found.into_iter().filter(|(_, holds, _)| *holds);
    found.fold(0, |n, (name, _, weight)| {
        signals.add(name, weight);
        n + 1
    })
}

impl Signals {
    fn add(&mut self, name: &'static str, value: f64) {
        let value = rounded(value);
        if value != 0.0 {
            self.terms.push((name, value));
        }
    }

    fn add_all(&mut self, terms: Vec<(&'static str, f64)>) {
        for (name, value) in terms {
            self.add(name, value);
        }
    }

    fn logit(&self) -> f64 {
        self.terms.iter().map(|(_, value)| value).sum()
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::rules::confidence::prior::Outcomes;
    use crate::rules::confidence::weights::{Model, text_only};
    use crate::rules::numbers::logit;
    use crate::words::chat::Token;
    use std::time::Duration;

    /// Weights that are easy to compute with.
    fn weights() -> Weights {
        let code = Model { base: 2.0, weights: vec![(Signal::SeqLp, 0.23)] };
        Weights { id: "test".to_string(), pass_rate: 0.6, code, floor: Weights::default().floor }
    }

    /// Scores with nothing known but the task.
    fn score(reply: &Reply, kind: Kind, task: &str) -> (Score, Signals) {
        let asked = Question { kind, task, shown: &[], window: None, usual: None };
        super::score(reply, &asked, &weights(), &Prior::default())
    }

    /// The chance by the weights of text alone.
    fn by_text(tokens: f64) -> f64 {
        let Model { base, weights } = text_only();
        assert_eq!(weights[0].0, Signal::Tokens);
        // A term is recorded with four digits, and computed with those.
        sigmoid(base + rounded(weights[0].1 * tokens))
    }

    pub fn reply(text: &str) -> Reply {
        Reply {
            text: text.to_string(),
            reasoning_bytes: 0,
            finish: Finish::Stop,
            model: "m".to_string(),
            prompt_tokens: None,
            completion_tokens: None,
            tokens: Vec::new(),
            first_token: Duration::ZERO,
            duration: Duration::ZERO,
        }
    }

    /// Pieces of text with the log-probability of each.
    pub fn spoken(pieces: &[(&str, f64)]) -> Reply {
        let token = |(text, logprob): &(&str, f64)| Token {
            bytes: u32::try_from(text.len()).unwrap(),
            logprob: *logprob,
            runner_up: None,
        };
        let tokens = pieces.iter().map(token).collect();
        Reply { tokens, ..reply(&pieces.iter().map(|(text, _)| *text).collect::<String>()) }
    }

    #[track_caller]
    fn check(reply: &Reply, kind: Kind, value: f64, weak: bool) {
        let (score, signals) = score(reply, kind, "the task");
        assert!((score.value - value).abs() < 0.005, "{} is not {value}: {signals:?}", score.value);
        assert_eq!(score.weak, weak, "{signals:?}");
        let terms: f64 = signals.terms.iter().map(|(_, term)| term).sum();
        assert!((score.value - sigmoid(terms)).abs() < 1e-12, "the terms add up: {signals:?}");
        assert!(signals.terms.iter().all(|(_, term)| term.abs() <= 10.0), "terms are bounded: {signals:?}");
    }

    #[test]
    fn code_is_judged_by_the_sum_inside_its_block() {
        let block = |inside: f64| spoken(&[("Sure!\n", -9.0), ("```py\n", -1.0), ("x = 1\n", inside), ("```\n", -5.0)]);
        check(&block(0.0), Kind::Change, sigmoid(2.0), false);
        check(&block(-10.0), Kind::Change, sigmoid(2.0 - 2.3), false);
        check(&block(-10.0), Kind::Answer, sigmoid(0.4 - 0.6 - 0.6), true);
        check(&spoken(&[("x = 1\n", -3.0), ("y = 2\n", -1.0)]), Kind::Change, sigmoid(2.0 - 0.92), false);
    }

    #[test]
    fn the_worst_block_counts_not_the_sum() {
        let two = |one: f64, two: f64| {
            spoken(&[("```\n", -1.0), ("a\n", one), ("```\n", 0.0), ("```\n", 0.0), ("b\n", two), ("```", -2.0)])
        };
        check(&two(-4.0, -6.0), Kind::Change, sigmoid(2.0 - 1.38), false);
        check(&two(-6.0, -4.0), Kind::Change, sigmoid(2.0 - 1.38), false);
        let shell = [("```py\n", 0.0), ("a\n", -1.0), ("```\n", 0.0), ("```sh\n", 0.0), ("ls\n", -9.0), ("```", 0.0)];
        check(&spoken(&shell), Kind::Change, sigmoid(2.0 - 0.23), false);
    }

    #[test]
    fn broken_log_probabilities_do_no_harm() {
        let block = |inside: f64| spoken(&[("```\n", 0.0), ("x\n", inside), ("```", 0.0)]);
        check(&block(f64::NEG_INFINITY), Kind::Change, sigmoid(2.0 - 4.6), false);
        check(&block(3.0), Kind::Change, sigmoid(2.0), false);
        let nan = spoken(&[("x = 1", f64::NAN)]);
        check(&nan, Kind::Change, by_text(1.25), true);
        let mut shifted = block(-1.0);
        shifted.text.insert_str(0, "text that no token stands for\n");
        shifted.tokens[0].logprob = -2.0;
        check(&shifted, Kind::Change, sigmoid(2.0 - 0.69), false);
    }

    #[test]
    fn the_past_moves_a_score_a_little_and_carries_none() {
        let always = Outcomes { right: 1000, wrong: 0 };
        let never = Outcomes { right: 0, wrong: 1000 };
        let with = |inside: f64, model: Outcomes| {
            let reply = spoken(&[("```\n", 0.0), ("x\n", inside), ("```", 0.0)]);
            let asked = Question { kind: Kind::Change, task: "do it", shown: &[], window: None, usual: None };
            let (score, signals) =
                super::score(&reply, &asked, &weights(), &Prior { model, place: Outcomes::default() });
            let terms: f64 = signals.terms.iter().map(|(_, term)| term).sum();
            assert!((score.value - sigmoid(terms)).abs() < 1e-12, "{signals:?}");
            score.value
        };
        let near = |value: f64, logit: f64| assert!((value - sigmoid(logit)).abs() < 1e-9, "{value} {logit}");
        near(with(-5.0, Outcomes::default()), 2.0 - 1.15);
        near(with(-5.0, always), 2.0 - 1.15 + 0.5);
        near(with(-5.0, never), 2.0 - 1.15 - 0.5);
        near(with(-10.0, always), 2.0 - 2.3);
        near(with(-10.0, never), 2.0 - 2.3 - 0.5);
    }

    #[test]
    fn brackets_that_do_not_agree_are_a_fault() {
        let open = spoken(&[("```py\n", 0.0), ("x = (1\n", -1.0), ("```", 0.0)]);
        check(&open, Kind::Change, sigmoid(2.0 - 0.23 - 1.5), false);
    }

    #[test]
    fn a_readme_is_judged_as_prose() {
        let long = "````markdown\n".to_string() + &"Run the tool with a file.\n".repeat(60) + "````\n";
        let nested = long.replace("````", "```") + "```sh\ntool x\n```\n";
        assert!(score(&reply(&nested), Kind::Change, "Write a README").0.value >= 0.6);
        let as_code = score(&reply(&long.replace("markdown", "python")), Kind::Change, "Write a README").0;
        let as_prose = score(&reply(&long), Kind::Change, "Write a README").0;
        assert!(as_prose.value >= 0.6 && as_prose.weak, "{as_prose:?}");
        assert!((as_prose.value - as_code.value).abs() > 0.01, "a fence of code is judged otherwise: {as_code:?}");
    }

    #[test]
    fn without_log_probabilities_length_is_a_weak_prior() {
        let with = |tokens| Reply { completion_tokens: Some(tokens), ..reply("```\nx\n```") };
        check(&with(100), Kind::Change, by_text(100.0), true);
        check(&with(1_000_000), Kind::Change, by_text(1000.0), true);
        let thought = Reply { reasoning_bytes: 30, ..with(200) };
        check(&thought, Kind::Change, by_text(200.0 * 9.0 / 39.0), true);
    }

    #[test]
    fn plain_prose_stays_home() {
        let plain = "The lock is taken before the file is opened, so a second writer waits. It is released on exit.";
        check(&reply(plain), Kind::Answer, 0.65, true);
        check(&spoken(&[(plain, -2.9)]), Kind::Answer, 0.65, true);
        check(&spoken(&[(plain, -0.05)]), Kind::Answer, sigmoid(0.4 + 0.45 + 0.5), true);
        check(&spoken(&[(plain, -6.0)]), Kind::Answer, sigmoid(0.4 - 0.6 - 0.6), true);
    }

    #[test]
    fn what_speaks_against_an_answer_is_no_weak_score() {
        let low = |text: &str, term: &str| {
            let (score, signals) = score(&reply(text), Kind::Answer, "what is it?");
            let map: BTreeMap<String, f64> = signals.into();
            assert!(score.value < 0.5 && !score.weak, "{text:?}: {score:?} {map:?}");
            assert!(map.contains_key(&format!("term.{term}")), "{text:?}: {map:?}");
        };
        low("I'm sorry, but I can't help with that.", "refusal");
        low("I’m sorry, I cannot assist with this.", "refusal");
        low("抱歉，我不能回答。", "refusal");
        low("I'm not sure what this does. Could you provide the code?", "hedges");
        low("Maybe a, perhaps b, probably c, I think.", "hedges");
        low("It loops and it loops again. ".repeat(30).trim(), "repetition");
        low("The function reads the file and", "cut");
        low("Here is how:", "cut");
        low("See this and more of it, all in prose, as long as that:\n```py\nx = 1", "cut");
        low("what is it?", "echo");
        low("  \n", "empty");
        let length = Reply { finish: Finish::Length, ..reply("It does a thing.") };
        check(&length, Kind::Answer, sigmoid(0.4 - 2.0), false);
    }

    #[test]
    fn ordinary_words_are_no_faults() {
        for text in [
            "You might want to retry; it may fail. Perhaps log it.",
            "It says \"sorry\" when the page is missing.",
            "- a\n- b\n- c",
            "The answer is 4",
            "Use `rebase`. See:\n\n```\ngit rebase -i\n```\nThen push the branch to the remote again, and be done.",
            "因为锁在打开文件之前被获取。",
        ] {
            check(&reply(text), Kind::Answer, 0.65, true);
        }
    }

    #[test]
    fn a_code_answer_is_judged_as_code() {
        let mostly =
            spoken(&[("Use:\n", -1.0), ("```py\n", 0.0), ("print(sum(range(10)))\nprint(1)\n", -2.0), ("```", 0.0)]);
        check(&mostly, Kind::Answer, sigmoid(2.0 - 0.46), false);
        let refused = by_text(4.25);
        check(&reply("I cannot do that."), Kind::Change, sigmoid(logit(refused) - 3.0), false);
    }
}
