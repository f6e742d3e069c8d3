//! How sure a model was of its tokens, from their log-probabilities. Pure. Units: nats; 0 is certain, −0.69 is one chance
//! in two. Each function returns `None` where the server gave nothing that can be used.

use crate::rules::confidence::blocks::Block;
use crate::rules::numbers::{count, mean};
use crate::rules::sorted::sorted;
use crate::words::chat::Token;

/// The tokens at the start that show whether the model knows where it goes.
const START: usize = 20;
/// Below nine chances in ten a token was a choice: ln 0.9.
const DOUBT: f64 = -0.105_360_5;

/// Returns a log-probability made safe: a server's −inf counts as e⁻²⁰, a positive one as certain.
pub fn usable(token: &Token) -> Option<f64> {
    (!token.logprob.is_nan()).then(|| token.logprob.clamp(-20.0, 0.0))
}

/// Returns the mean of all tokens.
pub fn mean_lp(tokens: &[Token]) -> Option<f64> {
    let all = logprobs(tokens);
    (!all.is_empty()).then(|| mean(&all))
}

/// Returns the weakest token.
pub fn min_lp(tokens: &[Token]) -> Option<f64> {
    let all = logprobs(tokens);
    (!all.is_empty()).then(|| all.iter().copied().fold(0.0, f64::min))
}

/// Returns the mean of the weakest tenth.
pub fn tail_lp(tokens: &[Token]) -> Option<f64> {
    let all = logprobs(tokens);
    let n_tail = all.len().div_ceil(10);
    if n_tail == 0 {
        return None;
    }
    // None is above 0, and the bits of positive numbers are in the order of the numbers.
    let doubts = sorted(all.iter().map(|logprob| logprob.abs().to_bits()).collect());
    let tail: f64 = doubts.iter().rev().take(n_tail).map(|doubt| f64::from_bits(*doubt)).sum();
    Some(-tail / count(n_tail))
}

/// Returns the mean of the first twenty tokens.
pub fn start_lp(tokens: &[Token]) -> Option<f64> {
    mean_lp(tokens.get(..START).unwrap_or(tokens))
}

/// Returns the mean distance between each token and the best other choice, at most 20.
pub fn margin(tokens: &[Token]) -> Option<f64> {
    let gap =
        |token: &Token| Some((usable(token)? - token.runner_up.filter(|other| !other.is_nan())?).clamp(0.0, 20.0));
    let gaps: Vec<f64> = tokens.iter().filter_map(gap).collect();
    (!gaps.is_empty()).then(|| mean(&gaps))
}

/// What the tokens inside code come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InCode {
    /// The lowest sum over the blocks.
    pub seq_lp: f64,
    /// The lowest sum over the lines of a block that the task did not show.
    pub new_lp: f64,
    /// The mean of their tokens, over all blocks; 0 where there is no such line.
    pub new_mean: f64,
    /// Tokens below nine chances in ten, over all blocks.
    pub doubts: f64,
}

/// Whether tokens can be laid over a text: those that do not add up to it (the server trimmed more than white space) cannot.
pub fn fits(text: &str, tokens: &[Token]) -> bool {
    let n_bytes: usize = tokens.iter().map(|token| token.bytes as usize).sum();
    n_bytes.abs_diff(text.len()) <= 8
}

/// Adds up the tokens inside code. `shown` tells of a line, without the blanks around it, whether the model had seen it.
pub fn in_code(
    (text, tokens): (&str, &[Token]),
    code: &[Block<'_>],
    is_shown: &dyn Fn(&str) -> bool,
) -> Option<InCode> {
    let whole = [Block { inside: 0..usize::MAX, info: "", closed: true }];
    let fits = fits(text, tokens);
    let code = if fits { code } else { &whole };
    let mut seen = if fits { Lines::of(text, is_shown) } else { Lines::default() };
    let mut all = InCode { seq_lp: 0.0, new_lp: 0.0, new_mean: 0.0, doubts: 0.0 };
    let (mut seq_lp, mut new_lp, mut n_usable, mut new) = (0.0, 0.0, 0_usize, Vec::new());
    let (mut at, mut current) = (0, 0);
    for token in tokens {
        // Both go forward only: blocks are in order.
        while code.get(current).is_some_and(|block| block.inside.end <= at) {
            current += 1;
            (seq_lp, new_lp) = (0.0, 0.0);
        }
        let is_inside = code.get(current).is_some_and(|block| block.inside.contains(&at));
        let is_new = !seen.is_shown(at);
        if let (true, Some(logprob)) = (is_inside, usable(token)) {
            n_usable += 1;
            seq_lp += logprob;
            if is_new {
                new_lp += logprob;
                new.push(logprob);
            }
            all.seq_lp = all.seq_lp.min(seq_lp);
            all.new_lp = all.new_lp.min(new_lp);
            all.doubts += f64::from(logprob < DOUBT);
        }
        at += token.bytes as usize;
    }
    all.new_mean = mean(&new);
    (n_usable > 0).then_some(all)
}

/// Which bytes of a text lie in lines that the model had seen; asked forwards only.
#[derive(Default)]
struct Lines {
    /// The end of each line, and whether it was shown.
    ends: Vec<(usize, bool)>,
    at: usize,
}

impl Lines {
    fn of(text: &str, is_shown: &dyn Fn(&str) -> bool) -> Lines {
        let mut end = 0;
        let line = |line: &str| {
            end += line.len();
            (end, is_shown(line.trim()))
        };
        Lines { ends: text.split_inclusive('\n').map(line).collect(), at: 0 }
    }

    fn is_shown(&mut self, byte: usize) -> bool {
        while self.ends.get(self.at).is_some_and(|(end, _)| *end <= byte) {
            self.at += 1;
        }
        self.ends.get(self.at).is_some_and(|(_, is_shown)| *is_shown)
    }
}

fn logprobs(tokens: &[Token]) -> Vec<f64> {
    tokens.iter().filter_map(usable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::confidence::blocks::{blocks, code};
    use crate::rules::confidence::tests::spoken;
    use crate::words::chat::Reply;

    #[track_caller]
    fn near(value: Option<f64>, expected: f64) {
        assert!(value.is_some_and(|value| (value - expected).abs() < 1e-6), "{value:?} is not {expected}");
    }

    #[test]
    fn each_signal_of_all_tokens_is_what_it_says() {
        let mut pieces = vec![("a ", -0.1); 19];
        pieces.extend([("b ", -2.0), ("c ", -4.0)]);
        let mut tokens = spoken(&pieces).tokens;
        near(mean_lp(&tokens), -7.9 / 21.0);
        near(min_lp(&tokens), -4.0);
        near(tail_lp(&tokens), (-4.0 - 2.0 - 0.1) / 3.0);
        near(start_lp(&tokens), (-1.9 - 2.0) / 20.0);
        assert_eq!(margin(&tokens), None, "no server told of other choices");
        tokens[0].runner_up = Some(-2.1);
        tokens[1].runner_up = Some(f64::NEG_INFINITY);
        tokens[2].runner_up = Some(f64::NAN);
        near(margin(&tokens), 11.0);
        for signal in [mean_lp, min_lp, tail_lp, start_lp, margin] {
            assert_eq!(signal(&[]), None);
        }
    }

    #[test]
    fn code_is_added_up_block_by_block_and_line_by_line() {
        let pieces = [
            ("Sure!\n", -9.0),
            ("```py\n", -1.0),
            ("def f():\n", -0.25),
            ("    return 1\n", -3.0),
            ("```\n", 0.0),
            ("```py\n", 0.0),
            ("y = 2\n", -2.5),
            ("```", 0.0),
        ];
        let reply = spoken(&pieces);
        let of = |reply: &Reply, shown: &str| {
            let blocks = code(&reply.text, &blocks(&reply.text));
            in_code((&reply.text, &reply.tokens), &blocks, &|line| !shown.is_empty() && line == shown)
        };
        assert_eq!(of(&reply, ""), Some(InCode { seq_lp: -3.25, new_lp: -3.25, new_mean: -5.75 / 3.0, doubts: 3.0 }));
        assert_eq!(of(&reply, "def f():"), Some(InCode { seq_lp: -3.25, new_lp: -3.0, new_mean: -2.75, doubts: 3.0 }));
        assert_eq!(of(&reply, "return 1"), Some(InCode { seq_lp: -3.25, new_lp: -2.5, new_mean: -1.375, doubts: 3.0 }));
        let mut shifted = reply.clone();
        shifted.text.insert_str(0, "text that no token stands for\n");
        near(of(&shifted, "def f():").map(|sums| sums.new_lp), -15.75);
        assert_eq!(of(&Reply { tokens: Vec::new(), ..reply }, ""), None);
    }
}
