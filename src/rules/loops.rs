//! Whether a reply that streams in goes round in circles: its end is one block again and again, byte for byte. Small
//! models fall into that and do not come out of it before their token limit. Pure.
//!
//! Files repeat themselves, too, hence the limits: a table of zeros, the cells of a board, a hundred equal lines for a
//! test are shorter than [`LONGEST`], and what is made of few characters may be twice as long. A board has nine rows, or
//! ten: fewer than [`FEWEST`]. Blocks that differ in one digit are no loop here: code looks like that, and so
//! does a table of 500 rows that somebody has asked for.
//! Of 155 021 sources, pages and texts of a developer's machine (1.7 GB, none over 2 MB) none would be stopped.

use crate::rules::confidence::blocks::{Block, blocks};

/// The longest block, in bytes: about sixty lines.
const BLOCK: usize = 2 << 10;
/// The fewest times that a block has come.
const FEWEST: usize = 12;
/// How long a loop of text or code has to be, in bytes: 2000 tokens and more.
const LONGEST: usize = 8 << 10;
/// How long one of few characters has to be: zeros, padding, rulers, empty cells.
const LONGEST_PLAIN: usize = 16 << 10;
/// Different bytes of a block; what has fewer says little and is data rather than text.
const PLAIN: usize = 16;
/// How long a loop has to be in a reply that the token limit has ended: it has failed, so nothing is lost by a mistake.
const LONGEST_AT_END: usize = 2 * BLOCK;
/// What a look begins with, in bytes: the longest block twice, so that each has one period and no more. So much comes
/// between two looks, too: no loop of [`LONGEST`] is overlooked.
const WINDOW: usize = 2 * BLOCK;
/// How much comes between two looks once the end repeats itself.
const STEP: usize = 1 << 10;
/// A block of code that is shorter is none that is looked for again, in bytes.
const SHORTEST_FILE: usize = 64;
/// What is kept of a reply, in bytes: the longest loop that is looked for.
const KEPT: usize = FEWEST * BLOCK;

/// What repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loop {
    /// Bytes of the block.
    pub block: usize,
    /// How often it has come, one after the other.
    pub times: usize,
    /// Characters of the reply so far, thoughts included.
    pub after: u64,
}

/// The end of a reply, as far as it matters.
#[derive(Debug, Default)]
pub struct Tail {
    kept: Vec<u8>,
    characters: u64,
    /// Bytes since the last look.
    unseen: usize,
    /// Whether the last look saw a repetition that was still too short.
    is_suspect: bool,
}

impl Tail {
    /// Takes what is new of the reply.
    pub fn push(&mut self, text: &str) {
        let text = text.as_bytes();
        self.characters += text.iter().filter(|byte| !(0x80..0xc0).contains(*byte)).count() as u64;
        self.unseen = self.unseen.saturating_add(text.len());
        self.kept.extend_from_slice(text.get(text.len().saturating_sub(KEPT)..).unwrap_or_default());
        if self.kept.len() > 2 * KEPT {
            self.kept.drain(..self.kept.len() - KEPT);
        }
    }

    /// Returns the loop that the reply is in, if it is time for a look.
    pub fn look(&mut self) -> Option<Loop> {
        if self.unseen < if self.is_suspect { STEP } else { WINDOW } {
            return None;
        }
        self.unseen = 0;
        let end = End::of(&self.kept);
        self.is_suspect = end.is_some();
        end?.longer_than(if is_plain(end?.block) { LONGEST_PLAIN } else { LONGEST }, self.characters)
    }

    /// Returns how many characters have come, thoughts included.
    pub fn characters(&self) -> u64 {
        self.characters
    }

    /// Returns the loop in which the token limit has ended the reply.
    pub fn at_end(&self) -> Option<Loop> {
        End::of(&self.kept)?.longer_than(LONGEST_AT_END, self.characters)
    }
}

/// Returns the bytes of a block of code, with what leads to it, that a text has as its last three: a file that is sent again
/// and again. No honest reply does that, so that this need not be long: of 125 106 texts and sources (1.3 GB) none has it.
pub fn file_again(text: &str) -> Option<usize> {
    let blocks = blocks(text);
    let mut last = blocks.iter().rev().filter(|block| block.closed);
    let (three, two, one) = (last.next()?, last.next()?, last.next()?);
    let said = |block: &Block<'_>, before: &Block<'_>| text.get(before.inside.end..block.inside.end);
    let (again, once_more) = (said(two, one)?, said(three, two)?);
    let is_file = !three.is_transcript() && three.inside.len() >= SHORTEST_FILE;
    let is_same = again == once_more && text.get(one.inside.clone()) == text.get(two.inside.clone());
    (is_file && is_same).then_some(again.len())
}

/// Returns what a reply that went round in circles had said before: up to the end of the last block of code that was new.
pub fn before_loop(text: &str) -> usize {
    let blocks = blocks(text);
    let mut seen: Vec<&str> = Vec::new();
    let new = blocks.iter().take_while(|block| {
        let inside = text.get(block.inside.clone()).unwrap_or_default();
        let is_new = block.closed && !seen.contains(&inside);
        seen.push(inside);
        is_new
    });
    new.last().map_or(0, |block| {
        let fence = text.get(block.inside.end..).unwrap_or_default();
        block.inside.end + fence.find('\n').map_or(fence.len(), |newline| newline + 1)
    })
}

/// An end that repeats itself.
#[derive(Clone, Copy)]
struct End<'t> {
    block: &'t [u8],
    /// For how many bytes.
    length: usize,
}

impl End<'_> {
    fn of(text: &[u8]) -> Option<End<'_>> {
        let (before, window) = text.split_at_checked(text.len().checked_sub(WINDOW)?)?;
        let block = window.get(..period(window)).filter(|block| block.len() <= BLOCK)?;
        // Each byte before the window against the one that comes a block later.
        let later = text.get(..before.len() + block.len())?.iter().rev();
        let more = before.iter().rev().zip(later).take_while(|(byte, later)| byte == later).count();
        Some(End { block, length: WINDOW + more })
    }

    fn longer_than(self, longest: usize, after: u64) -> Option<Loop> {
        let End { block, length } = self;
        let times = length / block.len();
        (times >= FEWEST && length >= longest).then_some(Loop { block: block.len(), times, after })
    }
}

/// Returns the least distance at which a text repeats itself from its first byte to its last; its length where it does not.
/// By the longest prefix that is also a suffix (Knuth, Morris and Pratt): at most two comparisons for each byte.
fn period(text: &[u8]) -> usize {
    let (mut borders, mut border) = (Vec::with_capacity(text.len()), 0);
    borders.push(0);
    for byte in text.iter().skip(1) {
        while border > 0 && text.get(border) != Some(byte) {
            border = borders.get(border - 1).copied().unwrap_or(0);
        }
        border += usize::from(text.get(border) == Some(byte));
        borders.push(border);
    }
    text.len() - border
}

fn is_plain(block: &[u8]) -> bool {
    let mut seen = [false; 256];
    let mut different = 0;
    for byte in block {
        if let Some(seen) = seen.get_mut(usize::from(*byte)) {
            different += usize::from(!std::mem::replace(seen, true));
        }
    }
    different < PLAIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    /// `n` lines, no two of them the same.
    fn lines(n: usize) -> String {
        (0..n).fold(String::new(), |mut text, at| {
            let _ = writeln!(text, "    assert clamp({at}, 0, 10) == {}", at.min(10));
            text
        })
    }

    /// Streams a reply in pieces of a token or so; returns the loop, and how many bytes came before it was seen.
    fn streamed(reply: &str) -> Option<(Loop, usize)> {
        let mut tail = Tail::default();
        let mut sent = 0;
        for piece in reply.as_bytes().chunks(4) {
            tail.push(str::from_utf8(piece).unwrap());
            sent += piece.len();
            if let Some(found) = tail.look() {
                return Some((found, sent));
            }
        }
        None
    }

    #[track_caller]
    fn is_cut(block: &str, longest: usize) {
        let head = (0..50).fold(String::new(), |text, n| text + &format!("{n}. is a point of its own\n"));
        let reply = head.clone() + &block.repeat(40_000 / block.len());
        let (found, sent) = streamed(&reply).unwrap();
        let looped = sent - head.len();
        assert_eq!((found.block, found.after), (block.len(), sent as u64), "{block}");
        assert!((longest..longest + 2 * STEP).contains(&looped), "{looped} bytes of {block}");
        assert!(found.times.abs_diff(looped / block.len()) <= 1, "{} times in {looped}", found.times);
    }

    #[test]
    fn a_block_that_comes_again_and_again_is_a_loop() {
        is_cut("I have fixed the bug and added a test.\n", LONGEST);
        is_cut("    assert clamp(5, 0, 10) == 5\n", LONGEST);
        is_cut(
            "def test_empty():\n    assert parse('') == []\n\n\ndef test_blank():\n    assert parse(' ') == []\n\n\n",
            LONGEST,
        );
        is_cut(lines(17).as_str(), LONGEST);
        is_cut(lines(50).as_str(), FEWEST * lines(50).len());
        is_cut("!", LONGEST_PLAIN);
        is_cut("\n", LONGEST_PLAIN);
        is_cut("0x00, ", LONGEST_PLAIN);
        is_cut("no, ", LONGEST_PLAIN);
    }

    #[test]
    fn what_is_counted_is_characters() {
        let mut tail = Tail::default();
        tail.push(&"Größe über Länge – ".repeat(600));
        let found = tail.look().unwrap();
        assert_eq!((found.block, found.after), (25, 600 * 19));
    }

    /// Replies as they have to stay: whole files that models write by hand.
    #[test]
    fn files_that_repeat_themselves_are_no_loop() {
        let zeros = |columns: usize, rows: usize| format!("    {}\n", "0, ".repeat(columns)).repeat(rows);
        let cells = |columns: usize, rows: usize, cell: &str| {
            format!("      <tr>\n{}      </tr>\n", format!("        {cell}\n").repeat(columns)).repeat(rows)
        };
        let sudoku = r#"<td><input type="text" class="cell" maxlength="1" inputmode="numeric" required /></td>"#;
        let mine = r#"<button class="cell" data-state="hidden" aria-label="hidden"></button>"#;
        let files = [
            ("a bitmap of 64 times 64", zeros(64, 64)),
            ("a table of 256 rows", "0x00, ".repeat(256)),
            ("a screen of 128 times 64 points", format!("{}\n", "0x00, ".repeat(16)).repeat(64)),
            ("2000 bytes of zeros", "0x00, ".repeat(2000)),
            ("base64 of zeros", "A".repeat(12_000)),
            ("an empty map", format!("\"{}\",\n", ".".repeat(80)).repeat(50)),
            ("blank lines", "\n".repeat(3000)),
            ("spaces", " ".repeat(12_000)),
            ("rulers", format!("{}\n", "=".repeat(78)).repeat(100)),
            ("a sudoku", cells(9, 9, sudoku)),
            ("two fields of ten times ten", cells(10, 10, mine) + "<h2>Theirs</h2>\n" + &cells(10, 10, mine)),
            ("a grid of 20 times 20", "<div class=\"cell\"></div>\n".repeat(400)),
            ("a thousand equal lines", "hello world\n".repeat(1000)),
            ("a hundred lines of a log", "2026-11-27 12:00:00 INFO request served in 12 ms, code 200\n".repeat(100)),
            ("200 lines alike", lines(200)),
            ("a thousand lines alike", lines(1000)),
            (
                "equal objects",
                "  { \"id\": 0, \"name\": \"\", \"email\": \"a@example.com\", \"tags\": [] },\n".repeat(100),
            ),
            ("stretches of equal lines", ("        self.assertTrue(ok)\n".repeat(200) + &lines(20)).repeat(4)),
            (
                "sections that begin alike",
                (0..40).fold(String::new(), |text, at| text + &lines(12) + &format!("# {at}\n")),
            ),
        ];
        for (name, file) in files {
            let reply = format!("{}FILE: made.txt\n```\n{file}```\n{}", lines(30), lines(30));
            assert_eq!(streamed(&reply), None, "{name}, {} bytes", file.len());
        }
    }

    #[test]
    fn the_end_of_a_failed_reply_needs_less() {
        let of = |text: &str| {
            let mut tail = Tail::default();
            tail.push(text);
            tail.at_end()
        };
        let block = "The answer is that it depends on the order.\n";
        let looped = lines(30) + &block.repeat(110);
        assert_eq!(of(&looped), Some(Loop { block: 44, times: 110, after: looped.len() as u64 }));
        assert_eq!(streamed(&looped), None);
        assert_eq!(of(&block.repeat(90)), None, "too short");
        assert_eq!(of(&lines(40).repeat(11)), None, "too few times");
        assert_eq!(of(&(looped + "x")), None, "it has come out of it");
        assert_eq!(of(""), None);
    }

    const FILE: &str =
        "FILE: cart.py\n```python\ndef total(items):\n    return sum(price * count for price, count in items)\n```\n\n";

    #[test]
    fn a_file_that_comes_three_times_in_a_row_is_a_loop() {
        let other = FILE.replace("cart", "tax").replace("total", "tax");
        let again = |text: &str| file_again(text).is_some();
        assert_eq!(file_again(&(other.clone() + &FILE.repeat(3))), Some(FILE.len()));
        assert_eq!(file_again(&(other.clone() + &FILE.repeat(3) + "FILE: ca")), Some(FILE.len()), "the next has begun");
        assert!(!again(&FILE.repeat(2)), "shown, and then once more");
        assert!(!again(&(FILE.repeat(3) + &other)), "it has come out of it");
        assert!(!again(&[FILE, &other].concat().repeat(2)));
        assert!(!again(&(FILE.to_string() + FILE + &FILE.replace("cart.py", "basket.py"))), "another file, alike");
        assert!(!again(&"Then:\n```python\nx = 1\n```\n".repeat(9)), "a line or two may come again");
        assert!(!again(&format!("```console\n$ {}\n```\n", "x".repeat(80)).repeat(3)), "what is typed may come again");
    }

    #[test]
    fn what_came_before_a_loop_ends_with_the_last_new_block() {
        let other = FILE.replace("cart", "tax").replace("total", "tax");
        let before = |text: &str| text[..before_loop(text)].to_string();
        let new = [&other, FILE].concat();
        assert_eq!(before(&(new.clone() + &FILE.repeat(20))), new.trim_end().to_string() + "\n");
        assert_eq!(
            before(&(new.clone() + &"I have also added a test.\n".repeat(400))),
            new.trim_end().to_string() + "\n"
        );
        assert_eq!(before("```python\nx = 1\nx = 1\nx = 1\n"), "", "a block that has no end");
        assert_eq!(before("So it is. So it is. "), "");
        assert_eq!(before("```\nx\n```"), "```\nx\n```");
    }

    #[test]
    fn no_more_is_kept_than_is_looked_at() {
        let mut tail = Tail::default();
        for n in 0..200_000_u64 {
            tail.push(&(n * n).to_string());
            assert_eq!(tail.look(), None);
        }
        tail.push(&lines(200_000));
        assert_eq!(tail.look(), None);
        assert!(tail.kept.capacity() <= 8 * KEPT, "{}", tail.kept.capacity());
    }

    #[test]
    fn the_period_is_the_least_distance() {
        for (text, expected) in
            [("a", 1), ("aaaa", 1), ("abab", 2), ("ababa", 2), ("abcab", 3), ("aabaaa", 4), ("abcd", 4)]
        {
            assert_eq!(period(text.as_bytes()), expected, "{text}");
        }
    }
}
