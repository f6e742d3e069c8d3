//! When a reply that streams in is not waited for: its code has become less likely, token by token, than that of any right
//! reply that is known. Pure. A sum only falls, so a reply that ends below the floor has crossed it on its way, and the
//! floor can be fitted on the sums of whole replies ([`floor`]).
//!
//! **It does not judge what it was not fitted on**: changes of code that the model was shown. New text is less likely by
//! nature, and who asks for a floor leaves those out.

use crate::rules::confidence::blocks::{blocks, code};
use crate::rules::confidence::certainty::{fits, in_code, usable};
use crate::rules::numbers::count;
use crate::words::chat::{Floor, Token};
use crate::words::task::Failure;
use serde::Serialize;

/// How far below the least likely right reply the floor lies: the next one may be less likely.
const MARGIN: f64 = 1.25;
/// Fewer right replies show no floor. With so many, fewer than 6 in 100 right ones lie below the least (95 %), and the
/// margin is still to come.
pub const LEAST_RIGHT: usize = 50;
/// Tokens between two looks at a reply whose sum, prose included, is below the floor.
const STEP: u64 = 64;

/// One reply that has been proven right or wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proven {
    /// The sum over its worst block of code, in nats.
    pub nats: f64,
    pub tokens: f64,
    pub is_right: bool,
}

/// Fits the floor; `None` where too few replies are right.
pub fn floor(replies: &[Proven]) -> Option<Floor> {
    let right = || replies.iter().filter(|reply| reply.is_right);
    let least = right().map(|reply| reply.nats).fold(0.0, f64::min);
    let longest = right().map(|reply| reply.tokens).fold(1.0, f64::max);
    (right().count() >= LEAST_RIGHT && least < 0.0).then_some(Floor { nats: MARGIN * least, tokens: longest })
}

/// How many replies a floor would have stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stopped {
    pub wrong: usize,
    pub right: usize,
}

impl Stopped {
    /// Counts the replies that end below a floor.
    pub fn by(floor: Floor, replies: &[Proven]) -> Stopped {
        let below = || replies.iter().filter(|reply| reply.nats < floor.of(reply.tokens));
        let right = below().filter(|reply| reply.is_right).count();
        Stopped { wrong: below().count() - right, right }
    }
}

/// The running sum of a reply.
#[derive(Debug, Default)]
pub struct Watch {
    pub floor: Option<Floor>,
    nats: f64,
    tokens: u64,
    /// Tokens at the last look.
    looked: u64,
}

impl Watch {
    /// Takes what is new of the reply.
    pub fn push(&mut self, tokens: &[Token]) {
        self.tokens += tokens.len() as u64;
        self.nats += tokens.iter().filter_map(usable).sum::<f64>();
    }

    /// Returns the floor, if all that came is below it and it is time to look at the code alone.
    pub fn is_due(&mut self) -> Option<Floor> {
        let floor = self.floor?;
        let is_due = self.nats < floor.of(self.tokens as f64) && self.tokens >= self.looked + STEP;
        if is_due {
            self.looked = self.tokens;
        }
        is_due.then_some(floor)
    }
}

/// Returns the failure of a reply whose code, so far, is below the floor. Prose around it does not count, and a reply
/// without a block of code says nothing.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "20 nats a token at most, and none below 0"
)]
pub fn given_up(floor: Floor, text: &str, tokens: &[Token]) -> Option<Failure> {
    let blocks = blocks(text);
    // Without its place a token may be one of the prose.
    if blocks.first()?.is_prose() || !fits(text, tokens) {
        return None;
    }
    let nats = in_code((text, tokens), &code(text, &blocks), &|_| false)?.seq_lp;
    let whole = nats.abs() as u64;
    let hopeless = Failure::Hopeless { nats: whole, tokens: tokens.len() as u64 };
    (nats < floor.of(count(tokens.len()))).then_some(hopeless)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::confidence::tests::spoken;

    fn proven(nats: f64, tokens: f64, is_right: bool) -> Proven {
        Proven { nats, tokens, is_right }
    }

    #[test]
    fn the_floor_lies_a_quarter_below_the_least_likely_right_reply() {
        let mut replies = vec![proven(-2.0, 100.0, true); LEAST_RIGHT - 1];
        replies.extend([proven(-90.0, 900.0, false), proven(-1.0, 50.0, false)]);
        assert_eq!(floor(&replies), None, "{} right ones are too few", LEAST_RIGHT - 1);
        replies.push(proven(-16.0, 400.0, true));
        let fitted = floor(&replies).unwrap();
        assert_eq!(fitted, Floor { nats: -20.0, tokens: 400.0 });
        assert_eq!(Stopped::by(fitted, &replies), Stopped { wrong: 1, right: 0 });
        assert_eq!(floor(&vec![proven(0.0, 10.0, true); 99]), None, "certainty itself is no measure");
    }

    #[test]
    fn a_longer_reply_may_fall_in_proportion() {
        let floor = Floor { nats: -20.0, tokens: 400.0 };
        for (tokens, lowest) in [(1.0, -20.0), (400.0, -20.0), (800.0, -40.0), (1000.0, -50.0)] {
            assert!((floor.of(tokens) - lowest).abs() < 1e-9, "{tokens}");
        }
    }

    #[test]
    fn only_code_counts() {
        let floor = Floor { nats: -20.0, tokens: 400.0 };
        let given_up = |pieces: &[(&str, f64)]| {
            let reply = spoken(pieces);
            given_up(floor, &reply.text, &reply.tokens)
        };
        let (open, close) = (("```python\n", 0.0), ("```\n", 0.0));
        let hopeless = Some(Failure::Hopeless { nats: 21, tokens: 3 });
        assert_eq!(given_up(&[open, ("x = 1\n", -11.0), ("y = 2\n", -10.5)]), hopeless);
        assert_eq!(given_up(&[open, ("x = 1\n", -11.0), ("y = 2\n", -8.5)]), None);
        // Words before the code, and code in two blocks of which neither is below.
        assert_eq!(given_up(&[("I am not sure.\n", -19.0), open, ("x = 1\n", -11.0)]), None);
        assert_eq!(given_up(&[open, ("x\n", -11.0), close, open, ("y\n", -11.0)]), None);
        assert_eq!(given_up(&[("I am not sure at all.\n", -19.0), ("Really.\n", -19.0)]), None);
        assert_eq!(given_up(&[("```markdown\n", 0.0), ("Sure.\n", -19.0), ("Really.\n", -19.0)]), None);
        let mut shifted = spoken(&[open, ("x = 1\n", -11.0), ("y = 2\n", -10.5)]);
        shifted.text.insert_str(0, "Words that no token stands for\n");
        assert_eq!(super::given_up(floor, &shifted.text, &shifted.tokens), None);
        assert_eq!(given_up(&[open, ("x = 1\n", f64::NAN), ("y = 2\n", f64::NEG_INFINITY)]), None);
    }

    #[test]
    fn a_reply_is_looked_at_now_and_then() {
        let token = Token { bytes: 1, logprob: -1.0, runner_up: None };
        let mut watch = Watch::default();
        watch.push(&[token; 500]);
        assert_eq!(watch.is_due(), None, "nobody has asked for a floor");
        let floor = Floor { nats: -20.0, tokens: 400.0 };
        let mut watch = Watch { floor: Some(floor), ..Watch::default() };
        let due: Vec<u32> = (1..=300)
            .filter(|_| {
                watch.push(&[token]);
                watch.is_due().is_some()
            })
            .collect();
        assert_eq!(due, [64, 128, 192, 256]);
    }
}
