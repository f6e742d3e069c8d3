//! The end of a text that counts up: one block again and again that differs in its numbers only, and each of them grows by a
//! step of its own from block to block ("Step 41: do it.", "Step 42: do it."). Pure.

use crate::rules::loops::{BLOCK, WINDOW, period};

/// The character that stands for a number.
const NUMBER: u8 = b'0';
/// With longer numbers nobody counts.
const MOST_DIGITS: usize = 18;

/// What counts up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counting {
    /// How many blocks there are, one after the other.
    pub times: usize,
    /// Bytes of all of them.
    pub length: usize,
}

impl Counting {
    /// Returns what counts up at the end of a text. Where nothing does, that is seen in its last 8 KiB.
    pub fn of(text: &[u8]) -> Option<Counting> {
        // A number at the end may not be whole.
        let text = text.get(..=text.iter().rposition(|byte| !byte.is_ascii_digit())?)?;
        let near = shape(text.get(text.len().saturating_sub(2 * WINDOW)..)?);
        let window = near.get(near.len().saturating_sub(WINDOW)..)?;
        let block = Some(period(window)).filter(|block| *block <= BLOCK && 2 * block <= window.len())?;
        let whole = shape(text);
        let backwards = || whole.iter().rev();
        let repeats =
            block + backwards().skip(block).zip(backwards()).take_while(|(byte, later)| byte == later).count();
        let numbers_of = |n: usize| backwards().take(n).filter(|byte| **byte == NUMBER).count();
        let (each, all) = (numbers_of(block), numbers_of(repeats));
        // From the last to the first, each against the one that is a block before it.
        let numbers = numbers(text);
        let known = numbers.iter().rev().take(all).map_while(|(at, value)| Some((*at, (*value)?)));
        let numbers: Vec<(usize, i64)> = known.collect();
        let steps = || numbers.iter().zip(numbers.iter().skip(each)).map(|(late, early)| late.1 - early.1);
        let of_block: Vec<i64> = steps().take(each).collect();
        if !of_block.iter().any(|step| *step > 0) {
            return None;
        }
        let steady = steps().zip(of_block.iter().cycle()).take_while(|(step, same)| step == *same).count();
        let times = steady.checked_div(each)? + 1;
        Some(Counting { times, length: text.len() - numbers.get(times * each - 1)?.0 })
    }
}

/// Returns a text with one character in the place of each number.
fn shape(text: &[u8]) -> Vec<u8> {
    let (mut shape, mut is_number) = (Vec::with_capacity(text.len()), false);
    for byte in text {
        let is_digit = byte.is_ascii_digit();
        if !(is_digit && is_number) {
            shape.push(if is_digit { NUMBER } else { *byte });
        }
        is_number = is_digit;
    }
    shape
}

/// Returns where each number of a text begins, and its value.
fn numbers(text: &[u8]) -> Vec<(usize, Option<i64>)> {
    let (mut numbers, mut at) = (Vec::new(), 0);
    for run in text.chunk_by(|one, two| one.is_ascii_digit() == two.is_ascii_digit()) {
        if run.first().is_some_and(u8::is_ascii_digit) {
            let digits = str::from_utf8(run).ok().filter(|digits| digits.len() <= MOST_DIGITS);
            numbers.push((at, digits.and_then(|digits| digits.parse().ok())));
        }
        at += run.len();
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at a beginning that does not count, and `n` blocks.
    fn of(n: u64, block: &dyn Fn(u64) -> String) -> Option<Counting> {
        let text = "One thing, 2 things.\n".repeat(3) + &(0..n).map(block).collect::<String>();
        Counting::of(text.as_bytes())
    }

    #[test]
    fn blocks_that_differ_in_steady_numbers_count_up() {
        let counts = |n: u64, block: &dyn Fn(u64) -> String| {
            let first = block(0);
            let before = first.find(|char: char| char.is_ascii_digit()).unwrap();
            let length = (0..n).map(|n| block(n).len()).sum::<usize>() - before;
            assert_eq!(of(n, block), Some(Counting { times: usize::try_from(n).unwrap(), length }), "{first}");
        };
        counts(900, &|n| format!("Step {}: do it.\n", n + 41));
        counts(900, &|n| format!("def test_{n}():\n    assert f({}) == {}\n\n\n", 2 * n, 7 * n + 3));
        counts(900, &|n| format!("    Op{n} = 0x00, // {} bytes\n", 9000 - n));
        counts(3000, &|n| format!("{n}, "));
    }

    #[test]
    fn other_numbers_do_not() {
        for (name, block) in [
            ("no numbers", &(|_| "Step by step.\n".to_string()) as &dyn Fn(u64) -> String),
            ("always the same", &|_| "Step 7 of 9.\n".to_string()),
            ("in no order", &|n| format!("row {}\n", n * n % 97)),
            ("down", &|n| format!("row {}\n", 9000 - n)),
            ("faster and faster", &|n| format!("row {}\n", n * n)),
            ("too large", &|n| format!("row {}\n", 10_u128.pow(30) + u128::from(n))),
            ("other words", &|n| format!("row {n} is {}\n", "x".repeat(n.count_ones() as usize))),
        ] {
            let times = of(900, block).map_or(0, |it| it.times);
            assert!(times <= 2, "{name}: {times} times");
        }
        assert_eq!(Counting::of(b""), None);
        assert_eq!(Counting::of(b"12"), None);
    }

    #[test]
    fn it_begins_where_the_numbers_do_so_steadily() {
        let block = |n: u64| format!("row {} x\n", if n < 500 { n * n } else { n });
        let found = of(2000, &block).unwrap();
        assert_eq!((found.times, found.length), (1500, (500..2000).map(|n| block(n).len()).sum::<usize>() - 4));
        let row = |n: u64| format!("row {n} x\n");
        let torn = (0..2000).map(row).collect::<String>() + "row 20";
        assert_eq!(Counting::of(torn.as_bytes()).map(|it| it.times), Some(2000), "the end of a number is to come");
    }
}
