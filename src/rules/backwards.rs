//! The lines of something long, from the last to the first. Pure: bytes come from a function, so this is the same for a
//! file and for a slice. What is at the end costs the same however much lies before it.
//!
//! **Invariant:** never more than [`MAX_LINE`] bytes of a line are held, nor more than one block besides.

use std::io::{self, BufRead};

/// The longest line that is handed over, in bytes.
pub const MAX_LINE: usize = 8 << 20;

/// Blocks grow from the first size to the last: who wants one line reads little, who wants many asks seldom.
const FIRST_BLOCK: u64 = 8 << 10;
const LAST_BLOCK: u64 = 64 << 10;

/// Why reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At the beginning.
    Reached,
    /// The caller has seen enough.
    Enough,
    /// The budget of bytes was spent.
    Budget,
}

/// Calls `each` with every line, without its newline, last first, until it says no: the text, or `None` for a line that
/// is too long or not UTF-8. Bytes behind the last newline are a line too: a reader must see that something was torn.
/// `read` fills a block from an offset and returns how much there was; `budget` is lowered by what was asked of it.
///
/// # Errors
/// Those of `read`.
pub fn lines(
    len: u64,
    budget: &mut u64,
    read: &mut dyn FnMut(&mut [u8], u64) -> io::Result<usize>,
    each: &mut dyn FnMut(Option<&str>) -> bool,
) -> io::Result<End> {
    let mut pending = Pending { bytes: Vec::new(), is_too_long: false, each };
    let (mut end, mut size, mut buffer) = (len, FIRST_BLOCK, Vec::new());
    while end > 0 {
        if *budget == 0 {
            return Ok(End::Budget);
        }
        let wanted = usize::try_from(end.min(size)).unwrap_or(0);
        if buffer.len() < wanted {
            // Zeroed by the allocator, where `resize` of a kept block would do it byte by byte (`opt-level = "z"`).
            buffer = vec![0; wanted];
        }
        let block = buffer.get_mut(..wanted).unwrap_or_default();
        end -= wanted as u64;
        *budget = budget.saturating_sub(wanted as u64);
        // Less than was asked for: a writer is taking a torn end away at this moment. What is gone was no line.
        let n = read(block, end)?;
        size = (size * 2).min(LAST_BLOCK);
        if !pending.take_block(block.get(..n).unwrap_or_default())? {
            return Ok(End::Enough);
        }
    }
    Ok(if pending.finish() { End::Reached } else { End::Enough })
}

/// A line of which only the end has been read.
struct Pending<'a> {
    bytes: Vec<u8>,
    is_too_long: bool,
    each: &'a mut dyn FnMut(Option<&str>) -> bool,
}

impl Pending<'_> {
    /// Hands over the lines that begin in a block. Returns whether to go on.
    fn take_block(&mut self, block: &[u8]) -> io::Result<bool> {
        // Forward, because only in that direction std finds a byte fast (the `memchr` behind `skip_until`).
        let mut lines = Vec::new();
        let mut rest = block;
        while !rest.is_empty() {
            let mut after = rest;
            let (line, _) = rest.split_at_checked(after.skip_until(b'\n')?).unwrap_or((rest, &[]));
            lines.push(line);
            rest = after;
        }
        for (place, line) in lines.iter().enumerate().rev() {
            // A newline here means that what is pending begins right behind it.
            if line.ends_with(b"\n") && !self.finish() {
                return Ok(false);
            }
            // The first line of a block may begin in the block before.
            let goes_on = if place == 0 || self.is_too_long || !self.bytes.is_empty() {
                self.prepend(line);
                place == 0 || self.finish()
            } else {
                self.hand(line)
            };
            if !goes_on {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn prepend(&mut self, bytes: &[u8]) {
        if self.is_too_long || self.bytes.len() + bytes.len() > MAX_LINE {
            self.is_too_long = true;
            self.bytes = Vec::new();
        } else {
            self.bytes.splice(0..0, bytes.iter().copied());
        }
    }

    /// Hands over the pending line, if there is one.
    fn finish(&mut self) -> bool {
        if self.is_too_long {
            self.is_too_long = false;
            return (self.each)(None);
        }
        let line = std::mem::take(&mut self.bytes);
        line.is_empty() || self.hand(&line)
    }

    fn hand(&mut self, line: &[u8]) -> bool {
        (self.each)(str::from_utf8(line.strip_suffix(b"\n").unwrap_or(line)).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads all lines of `text` through blocks of the real sizes; `None` lines become `"?"`.
    fn read(text: &[u8], mut budget: u64, n: usize) -> (Vec<String>, End, u64) {
        let mut seen = Vec::new();
        let start = budget;
        let mut fill = |block: &mut [u8], at: u64| {
            let at = usize::try_from(at).unwrap();
            block.copy_from_slice(&text[at..at + block.len()]);
            Ok(block.len())
        };
        let end = lines(text.len() as u64, &mut budget, &mut fill, &mut |line| {
            seen.push(line.unwrap_or("?").to_string());
            seen.len() < n
        });
        (seen, end.unwrap(), start - budget)
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let (lines, end, _) = read(text.as_bytes(), u64::MAX, usize::MAX);
        assert_eq!(lines, expected, "{text:?}");
        assert_eq!(end, End::Reached);
    }

    #[test]
    fn lines_come_last_first() {
        check("", &[]);
        check("a\n", &["a"]);
        check("a", &["a"]);
        check("a\nb\n", &["b", "a"]);
        check("a\ntorn", &["torn", "a"]);
        check("\n\na\n\n", &["", "a", "", ""]);
    }

    #[test]
    fn blocks_cut_lines_anywhere() {
        // Lines of lengths around both block sizes, so that a boundary falls on each byte of a line and of its newline.
        for length in [1, 7, 8190, 8191, 8192, 8193, 16_383, 16_384, 65_535, 65_536, 65_537, 200_000] {
            for rest in ["", "torn"] {
                let expected: Vec<String> = (0..9).map(|n| format!("{n}{}", "x".repeat(length + n - 1))).collect();
                let text: String = expected.join("\n") + "\n" + rest;
                let (mut lines, end, _) = read(text.as_bytes(), u64::MAX, usize::MAX);
                lines.reverse();
                assert_eq!(lines[..9], expected, "length {length}");
                assert_eq!((lines.get(9).map_or("", String::as_str), end), (rest, End::Reached));
            }
        }
    }

    #[test]
    fn what_is_no_text_is_said_to_be_none() {
        let (lines, ..) = read(b"a\n\xff\xfe\n\xc3\xa9\n", u64::MAX, usize::MAX);
        assert_eq!(lines, ["é", "?", "a"]);
        let long = [b"a\n".as_slice(), &vec![b'x'; MAX_LINE], b"\nb\n"].concat();
        assert_eq!(read(&long, u64::MAX, usize::MAX).0, ["b", "?", "a"], "a line is too long with its newline");
        let longest = [b"a\n".as_slice(), &vec![b'x'; MAX_LINE - 1], b"\nb\n"].concat();
        assert_eq!(read(&longest, u64::MAX, usize::MAX).0[1].len(), MAX_LINE - 1);
    }

    #[test]
    fn reading_ends_when_asked_or_when_the_budget_is_spent() {
        let text = "line\n".repeat(100_000);
        assert_eq!(read(text.as_bytes(), u64::MAX, 2), (vec!["line".to_string(); 2], End::Enough, FIRST_BLOCK));
        let (lines, end, spent) = read(text.as_bytes(), 20_000, usize::MAX);
        assert_eq!((end, spent), (End::Budget, 20_000));
        assert!(lines.len() < 10_000 && lines.iter().all(|line| line == "line"), "{}", lines.len());
    }

    #[test]
    fn an_end_that_vanishes_was_no_line() {
        let text = b"one\ntwo\n";
        let mut seen = Vec::new();
        let mut fill = |block: &mut [u8], at: u64| {
            let there = text.get(usize::try_from(at).unwrap()..).unwrap_or_default();
            let n = there.len().min(block.len());
            block[..n].copy_from_slice(&there[..n]);
            Ok(n)
        };
        // The file was 100 000 bytes long when it was opened.
        let end = lines(100_000, &mut u64::MAX.clone(), &mut fill, &mut |line| {
            seen.push(line.map(str::to_string));
            true
        });
        assert_eq!(seen, [Some("two".to_string()), Some("one".to_string())]);
        assert_eq!(end.unwrap(), End::Reached);
    }
}
