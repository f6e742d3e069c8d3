//! How sure to be of a reply that nothing has checked: a logistic of named terms, each bounded, all recorded. Pure; one
//! pass over text and tokens. It neither proves nor routes: a check that ran overrides it (`policy.rs`).
//!
//! **Invariant:** `value == sigmoid(sum of the terms)`, so that `mux why` can add them up.
//!
//! Code is judged by `seq_lp`, the sum of the log-probabilities of the tokens inside its worst block. On the record
//! `humaneval-0.5b` (Qwen2.5-Coder-0.5B, greedy, 164 problems, tests executed) that sum gives AUROC .773 and, through
//! `sigmoid(2.0 + 0.23·seq_lp)`, Brier .200 against .250 for the base rate; `sigmoid(2.2 − 0.0097·tokens)`, the
//! fallback without log-probabilities, gives .728 and .209. The weights were fitted on that model and a 1.5B together.
//! For prose nothing has been measured: its terms are guesses, pulled to the middle and labelled weak.

use crate::rules::sorted::sorted;
use crate::words::chat::{Finish, Reply, Token};
use crate::words::task::{Kind, Score};
use std::collections::BTreeMap;
use std::ops::Range;

/// What a score is made of. Names and values only: `term.*` add up to the logit, the others are what was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signals {
    terms: Vec<(&'static str, f64)>,
    measured: Vec<(&'static str, f64)>,
}

impl From<Signals> for BTreeMap<String, f64> {
    fn from(signals: Signals) -> BTreeMap<String, f64> {
        let terms = signals.terms.into_iter().map(|(name, value)| (format!("term.{name}"), value));
        let measured = signals.measured.into_iter().map(|(name, value)| (name.to_string(), value));
        let mut all = BTreeMap::new();
        all.extend(terms.chain(measured));
        all
    }
}

/// Scores a reply to a task. A score is weak when it rests on little *and* nothing observed speaks against the reply: a
/// refusal, a hedge, a loop or a cut is evidence, an unmeasured certainty is not.
pub fn score(reply: &Reply, kind: Kind, task: &str) -> (Score, Signals) {
    let blocks = blocks(&reply.text);
    let in_blocks: usize = blocks.iter().map(|block| block.inside.len()).sum();
    let is_code = match kind {
        // A README is prose in a fence, with blocks of its own: a sum over its tokens would only measure its length.
        Kind::Change | Kind::Undo => blocks.first().is_none_or(|block| !is_prose(block.language)),
        Kind::Answer => in_blocks * 2 > reply.text.len(),
    };
    let mut signals = Signals::default();
    let faults = faults(reply, &blocks, task, is_code, &mut signals);
    let weak = if is_code { code(reply, &blocks, &mut signals) } else { prose(reply, faults, &mut signals) };
    let logit: f64 = signals.terms.iter().map(|(_, value)| value).sum();
    (Score { value: sigmoid(logit), weak: weak && faults == 0 }, signals)
}

/// Whether a block of this language holds words for people.
fn is_prose(language: &str) -> bool {
    ["markdown", "md", "rst", "asciidoc", "text", "txt"].contains(&language)
}

/// Terms of code; returns whether they are weak.
fn code(reply: &Reply, blocks: &[Block<'_>], signals: &mut Signals) -> bool {
    let Some(seq_lp) = worst_block(reply, blocks) else {
        let tokens = n_tokens(reply);
        signals.measure("tokens", tokens);
        signals.add("base", 2.2);
        signals.add("length", -0.0097 * tokens.clamp(0.0, 1000.0));
        return true;
    };
    signals.measure("seq_lp", seq_lp);
    signals.add("base", 2.0);
    // −40 is where the measured replies end; below it every reply is as hopeless.
    signals.add("seq_lp", 0.23 * seq_lp.clamp(-40.0, 0.0));
    false
}

/// The least that a complete, plain prose answer scores: unknown is not evidence, and local-first means that an
/// ordinary good answer stays home.
const PLAIN_PROSE: f64 = 0.65;
/// A mean below this over the weakest tenth is unusual for greedy or near-greedy decoding, where the chosen token is
/// the likeliest: one in ten words was a guess among more than twenty. Not measured.
const LOW_TAIL: f64 = -3.0;

/// Terms of prose, always weak. Per token, since a sum would punish length; small weights pull to the middle.
fn prose(reply: &Reply, faults: u32, signals: &mut Signals) -> bool {
    signals.add("base", 0.4);
    let mut is_plain = faults == 0;
    if let Some((mean, tail)) = certainty(&reply.tokens) {
        signals.measure("mean_lp", mean);
        signals.measure("tail_lp", tail);
        signals.add("mean_lp", (mean + 0.5).clamp(-0.6, 0.5));
        signals.add("tail_lp", (0.3 * (tail - LOW_TAIL)).clamp(-0.6, 0.5));
        is_plain &= tail >= LOW_TAIL;
    }
    let logit: f64 = signals.terms.iter().map(|(_, value)| value).sum();
    let least = (PLAIN_PROSE / (1.0 - PLAIN_PROSE)).ln();
    if is_plain && logit < least {
        signals.add("plain", least - logit);
    }
    true
}

/// Adds a term for everything observed that speaks against a reply; returns how many.
fn faults(reply: &Reply, blocks: &[Block<'_>], task: &str, is_code: bool, signals: &mut Signals) -> u32 {
    let prose = lower_prose(&reply.text, blocks);
    // Around code a "sorry" or a "probably" says little; a reply that is prose is what it says.
    let words: Vec<&str> = if is_code { Vec::new() } else { prose.split_whitespace().collect() };
    let (hedges, repetition) = if is_code { (0.0, 0.0) } else { (hedges(&prose, words.len()), repetition(&words)) };
    let is_cut = reply.finish != Finish::Stop || blocks.iter().any(|block| !block.closed) || trails_off(&reply.text);
    let is_echo = !task.trim().is_empty() && reply.text.trim() == task.trim();
    let mut count = 0;
    let mut fault = |name: &'static str, holds: bool, weight: f64| {
        if holds {
            signals.terms.push((name, weight));
            count += 1;
        }
    };
    fault("empty", reply.text.trim().is_empty(), -4.0);
    fault("cut", is_cut, -2.0);
    fault("refusal", (!is_code || blocks.is_empty()) && declines(&prose), -3.0);
    fault("hedges", hedges >= 1.0, -1.5);
    fault("repetition", repetition > 0.3, -2.5);
    fault("echo", is_echo, -3.0);
    if !is_code {
        signals.measure("hedges", hedges);
        signals.measure("repetition", repetition);
    }
    count
}

impl Signals {
    fn add(&mut self, name: &'static str, value: f64) {
        self.terms.push((name, value));
    }

    fn measure(&mut self, name: &'static str, value: f64) {
        self.measured.push((name, value));
    }
}

fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + exp(-logit))
}

/// Returns e to the power of `x`: a series for x/1024, squared ten times, good to 12 digits. `f64::exp` is the only thing
/// that mux would want of libm: a shared library to load at every start (0.1 ms measured, of 0.9 ms for `--version`),
/// whose last digit depends on the machine.
fn exp(x: f64) -> f64 {
    let part = x.clamp(-700.0, 700.0) / 1024.0;
    let series = (1..=20).rev().fold(1.0, |sum, n| 1.0 + part / f64::from(n) * sum);
    (0..10).fold(series, |power, _| power * power)
}

/// A fenced block: the bytes between its fences.
struct Block<'a> {
    inside: Range<usize>,
    language: &'a str,
    closed: bool,
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut open: Option<(&str, &str, usize)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = line.trim_start();
        let end = at + line.len();
        let fence = start.len() - start.trim_start_matches(['`', '~']).len();
        let mark = start.get(..fence).unwrap_or_default();
        match open {
            // A longer fence holds shorter ones; only a bare one as long closes it.
            Some((opened, language, from)) if mark.starts_with(opened) && start.trim_end() == mark => {
                blocks.push(Block { inside: from..at, language, closed: true });
                open = None;
            }
            None if fence >= 3 => open = Some((mark, start.get(fence..).unwrap_or_default().trim(), end)),
            Some(_) | None => {}
        }
        at = end;
    }
    if let Some((_, language, from)) = open {
        blocks.push(Block { inside: from..at, language, closed: false });
    }
    blocks
}

/// Returns the lowest sum of log-probabilities over the blocks that are code, or over the whole reply where it has
/// none. `None` without usable log-probabilities.
fn worst_block(reply: &Reply, blocks: &[Block<'_>]) -> Option<f64> {
    let is_code = |block: &&Block<'_>| {
        let transcript = "sh bash zsh shell console terminal text txt plaintext output";
        !transcript.split(' ').any(|language| block.language.eq_ignore_ascii_case(language))
    };
    let mut ranges: Vec<&Range<usize>> = blocks.iter().filter(is_code).map(|block| &block.inside).collect();
    if ranges.is_empty() {
        ranges = blocks.iter().map(|block| &block.inside).collect();
    }
    let whole = 0..usize::MAX;
    let n_bytes: usize = reply.tokens.iter().map(|token| token.bytes as usize).sum();
    // Tokens that do not add up to the text (the server trimmed more than white space) cannot be laid over its blocks.
    if ranges.is_empty() || n_bytes.abs_diff(reply.text.len()) > 8 {
        ranges = vec![&whole];
    }
    let mut sums = vec![0.0; ranges.len()];
    let mut n_usable = 0_usize;
    let (mut at, mut current) = (0, 0);
    for token in &reply.tokens {
        // Both go forward only: blocks are in order.
        while ranges.get(current).is_some_and(|range| range.end <= at) {
            current += 1;
        }
        let here = ranges.get(current).is_some_and(|range| range.contains(&at));
        if let (true, Some(logprob), Some(sum)) = (here, usable(token), sums.get_mut(current)) {
            *sum += logprob;
            n_usable += 1;
        }
        at += token.bytes as usize;
    }
    (n_usable > 0).then(|| sums.into_iter().fold(0.0, f64::min))
}

/// Returns a log-probability made safe: a server's −inf counts as e⁻²⁰, a positive one as certain.
fn usable(token: &Token) -> Option<f64> {
    (!token.logprob.is_nan()).then(|| token.logprob.clamp(-20.0, 0.0))
}

/// Returns the mean log-probability of all tokens and of the weakest tenth.
fn certainty(tokens: &[Token]) -> Option<(f64, f64)> {
    let logprobs: Vec<f64> = tokens.iter().filter_map(usable).collect();
    let n_tail = logprobs.len().div_ceil(10);
    if n_tail == 0 {
        return None;
    }
    let mean = mean(&logprobs);
    // None is above 0, and the bits of positive numbers are in the order of the numbers.
    let doubts = sorted(logprobs.iter().map(|logprob| logprob.abs().to_bits()).collect());
    let tail: f64 = doubts.iter().rev().take(n_tail).map(|doubt| f64::from_bits(*doubt)).sum();
    Some((mean, -tail / count(n_tail)))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / count(values.len())
}

/// Counts here are far below 2³².
fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

/// Returns the length of the answer in tokens: as counted by the server, less the share that was reasoning, else by the
/// usual four bytes a token.
fn n_tokens(reply: &Reply) -> f64 {
    let (text, reasoning) = (count(reply.text.len()), count(reply.reasoning_bytes));
    match reply.completion_tokens {
        Some(tokens) if text > 0.0 => f64::from(u32::try_from(tokens).unwrap_or(u32::MAX)) * text / (text + reasoning),
        Some(_) | None => text / 4.0,
    }
}

fn lower_prose(text: &str, blocks: &[Block<'_>]) -> String {
    let mut prose = String::with_capacity(text.len());
    let mut from = 0;
    for block in blocks {
        prose.push_str(text.get(from..block.inside.start).unwrap_or_default());
        from = block.inside.end;
    }
    prose.push_str(text.get(from..).unwrap_or_default());
    prose.to_lowercase().replace('’', "'")
}

/// Whether the last line stops in the middle: at a comma, a colon, a conjunction.
fn trails_off(text: &str) -> bool {
    let text = text.trim_end();
    let last = text.rsplit(char::is_whitespace).next().unwrap_or_default();
    text.ends_with([',', ':', '(', '，', '：', '、'])
        || matches!(last, "and" | "or" | "the" | "a" | "to" | "of" | "with")
}

/// Whether the first sentences decline the task.
fn declines(prose: &str) -> bool {
    let start: String = prose.trim_start().chars().take(160).collect();
    let begins = ["i'm sorry", "i am sorry", "sorry,", "sorry, but", "i can't", "i cannot", "i can not", "as an ai"];
    let says = [
        "i'm unable to",
        "i am unable to",
        "i'm not able to",
        "i am not able to",
        "i cannot help",
        "i can't help",
        "i cannot assist",
        "i can't assist",
        "i cannot provide",
        "i can't provide",
        "as an ai language model",
        "i don't have access",
        "i do not have access",
        "无法提供",
        "抱歉",
        "对不起",
        "申し訳",
        "できません",
        "tut mir leid",
        "je suis désolé",
        "lo siento",
    ];
    begins.iter().any(|phrase| start.starts_with(phrase)) || says.iter().any(|phrase| start.contains(phrase))
}

/// Returns how much a text hedges: 1 for a plain statement of not knowing, else mild hedges for each 40 words.
fn hedges(prose: &str, n_words: usize) -> f64 {
    let strong = [
        "i'm not sure",
        "i am not sure",
        "i'm not certain",
        "i am not certain",
        "i don't know",
        "i do not know",
        "hard to say without",
        "without more context",
        "without seeing the",
        "please provide more",
        "could you provide",
        "can you provide",
        "could you clarify",
        "need more information",
        "i can only guess",
        "i would guess",
    ];
    let mild = ["probably", "perhaps", "maybe", "i think", "i guess", "i believe", "possibly", "it seems"];
    let occurrences = |phrases: &[&str]| phrases.iter().map(|phrase| prose.matches(phrase).count()).sum::<usize>();
    let density = 40.0 * count(occurrences(&mild)) / count(n_words.max(120));
    f64::min(count(occurrences(&strong)) + density, 10.0)
}

/// Returns the share of runs of six words that have occurred before: a loop is near 1, a long good answer below 0.1.
fn repetition(words: &[&str]) -> f64 {
    const RUN: usize = 6;
    if words.len() < 4 * RUN {
        return 0.0;
    }
    // FNV-1a: stable over runs, unlike the hasher of std.
    let hash = |run: &[&str]| {
        let bytes = run.iter().flat_map(|word| word.bytes().chain([b' ']));
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    };
    let mut runs: Vec<u64> = words.windows(RUN).map(hash).collect();
    let all = runs.len();
    runs = sorted(runs);
    runs.dedup();
    count(all - runs.len()) / count(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn reply(text: &str) -> Reply {
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
    fn spoken(pieces: &[(&str, f64)]) -> Reply {
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
    fn the_exponential_is_that_of_libm() {
        for x in [-700.0, -30.0, -2.0, -0.5, 0.0, 1e-9, 0.4, 1.0, 3.7, 40.0, 700.0] {
            let (own, libm) = (exp(x), x.exp());
            assert!((own - libm).abs() <= 1e-12 * libm, "e^{x}: {own} {libm}");
        }
        assert!(sigmoid(f64::NEG_INFINITY) < 1e-300 && sigmoid(f64::INFINITY) >= 1.0);
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
        check(&nan, Kind::Change, sigmoid(2.2 - 0.0097 * 1.25), true);
        let mut shifted = block(-1.0);
        shifted.text.insert_str(0, "text that no token stands for\n");
        shifted.tokens[0].logprob = -2.0;
        check(&shifted, Kind::Change, sigmoid(2.0 - 0.69), false);
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
        check(&with(100), Kind::Change, sigmoid(2.2 - 0.97), true);
        check(&with(1_000_000), Kind::Change, sigmoid(2.2 - 9.7), true);
        let thought = Reply { reasoning_bytes: 30, ..with(200) };
        check(&thought, Kind::Change, sigmoid(2.2 - 0.0097 * 200.0 * 9.0 / 39.0), true);
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
        check(&reply("I cannot do that."), Kind::Change, sigmoid(2.2 - 0.0097 * 4.25 - 3.0), false);
    }

    #[test]
    fn blocks_are_found_as_fences_nest() {
        let text = "a\n````md\n```py\nx\n```\n````\nb\n~~~\ny\n~~~\n```\nopen";
        let inside: Vec<(&str, &str, bool)> =
            blocks(text).into_iter().map(|block| (block.language, &text[block.inside], block.closed)).collect();
        assert_eq!(inside, [("md", "```py\nx\n```\n", true), ("", "y\n", true), ("", "open", false)]);
    }
}
