//! Runs of the last days, counted by the numbers of their records. Numbers grow by one with each record, so that only the
//! places are looked for where one day ends and the next begins: 1 GB of ledger costs what 2 MB do. Pure: bytes come from a
//! function.
//!
//! **It does not guess:** where numbers do not grow as the file does (two ledgers in one, a line many times), they count
//! nothing, and who asks has to count lines.

use crate::rules::glance::Days;
use crate::rules::ledger_line::field;
use crate::words::time::Utc;
use std::io::{self, BufRead};

/// Bytes of a look: most lines end in them.
const BLOCK: usize = 4 << 10;
/// Bytes in which a record has told its number and its time.
const HEAD: usize = 256;
/// No record is shorter, in bytes.
const LEAST_RECORD: u64 = 64;
/// Looks of all files together: 20 for each end of a day in 1 GB, and two for each file.
const MOST_LOOKS: u32 = 2000;
/// Lines among those seen that are no records.
const MOST_BAD: u32 = 16;

/// Fills a block from an offset of a file and returns how much there was.
pub type Read<'a> = &'a mut dyn FnMut(&mut [u8], u64) -> io::Result<usize>;

/// The numbers tell nothing, or the file cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Lost;

/// Counts over the files of a ledger, the newest first.
#[derive(Debug)]
pub struct Numbered {
    pub days: Days,
    now: Utc,
    looks: u32,
    bad: u32,
}

/// A record: where it begins, its number and its day.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: u64,
    number: u64,
    /// Of its day, `None` before all that count.
    place: Option<usize>,
}

impl Numbered {
    /// Counts until a moment.
    pub fn until(now: Utc) -> Numbered {
        Numbered { days: Days::default(), now, looks: MOST_LOOKS, bad: MOST_BAD }
    }

    /// Counts a file of so many bytes. Returns whether an older one can be young enough.
    ///
    /// # Errors
    /// [`Lost`].
    pub fn add_file(&mut self, len: u64, read: Read<'_>) -> Result<bool, Lost> {
        let Some(first) = self.from(0, len, read)? else { return Ok(true) };
        let last = self.last(first, len, read)?;
        if first.at < last.at {
            // Also where both are of one day: the numbers have to grow in between, too.
            self.halves(first, last, read)?;
        }
        Ok(self.days.add(first.place, 1))
    }

    /// Counts the records behind one, up to another: at once, where both are of one day.
    fn between(&mut self, low: Mark, high: Mark, read: Read<'_>) -> Result<(), Lost> {
        if low.place != high.place {
            return self.halves(low, high, read);
        }
        if high.place.is_some() {
            let n = high.number.checked_sub(low.number);
            let n = n.filter(|n| (1..=(high.at - low.at) / LEAST_RECORD).contains(n)).ok_or(Lost)?;
            self.days.add(high.place, n);
        }
        Ok(())
    }

    /// The same, by way of one in the middle.
    fn halves(&mut self, low: Mark, high: Mark, read: Read<'_>) -> Result<(), Lost> {
        let Some(middle) = self.inside(low, high, read)? else {
            self.days.add(high.place, 1);
            return Ok(());
        };
        if middle.number <= low.number || middle.number >= high.number {
            return Err(Lost);
        }
        self.between(low, middle, read)?;
        self.between(middle, high, read)
    }

    /// Returns a record between two, near the middle, if there is one.
    fn inside(&mut self, low: Mark, high: Mark, read: Read<'_>) -> Result<Option<Mark>, Lost> {
        let mut end = high.at;
        while end - low.at > BLOCK as u64 {
            let middle = low.at.midpoint(end);
            if let Some(mark) = self.from(middle, end, read)? {
                return Ok(Some(mark));
            }
            end = middle;
        }
        self.from(low.at + 1, end, read)
    }

    /// Returns the last record of a file.
    fn last(&mut self, first: Mark, len: u64, read: Read<'_>) -> Result<Mark, Lost> {
        let (mut last, mut back) = (first, BLOCK as u64);
        loop {
            let mut next = self.from(len.saturating_sub(back).max(first.at + 1), len, read)?;
            while let Some(mark) = next {
                last = mark;
                next = self.from(mark.at + 1, len, read)?;
            }
            if last.at > first.at || back >= len {
                return Ok(last);
            }
            back *= 2;
        }
    }

    /// Returns the first record that begins at `at` or later, and before `end`. Too many looks, too: [`Lost`].
    fn from(&mut self, mut at: u64, end: u64, read: Read<'_>) -> Result<Option<Mark>, Lost> {
        let mut block = [0; BLOCK];
        while at < end {
            self.looks = self.looks.checked_sub(1).ok_or(Lost)?;
            // From the byte before it, which is a newline where a line begins.
            let start = at.saturating_sub(1);
            let n = read(&mut block, start).map_err(|_| Lost)?;
            let mut rest = block.get(..n).filter(|block| !block.is_empty()).ok_or(Lost)?;
            if at > 0 {
                rest.skip_until(b'\n').map_err(|_| Lost)?;
            }
            let begins = start + (n - rest.len()) as u64;
            if rest.len() < HEAD && n == BLOCK {
                // Too near the end of the block, or not in it.
                at = begins;
                continue;
            }
            if begins >= end {
                return Ok(None);
            }
            let Some((number, time)) = head(rest) else {
                self.bad = self.bad.checked_sub(1).ok_or(Lost)?;
                at = begins + 1;
                continue;
            };
            return Ok(Some(Mark { at: begins, number, place: Days::place(self.now.0, time.0) }));
        }
        Ok(None)
    }
}

/// Reads the number and the time at the beginning of a line. A text in the record cannot hold what is looked for: its quotes
/// are escaped.
pub fn head(line: &[u8]) -> Option<(u64, Utc)> {
    let head = line.get(..HEAD).unwrap_or(line).utf8_chunks().next()?.valid();
    let head = head.split('\n').next()?;
    let number = field(head, "\"seq\":")?.split([',', '}']).next()?.parse().ok()?;
    Some((number, Utc::parse(field(head, "\"timestamp\":\"")?.split('"').next()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    const DAY_MS: u64 = 86_400_000;
    const NOW: Utc = Utc(20_000 * DAY_MS + DAY_MS / 2);

    /// A ledger of so many records, each so many milliseconds younger than the one before, the last one of now; their lengths
    /// come round in turn.
    fn ledger(n: u64, apart_ms: u64, lengths: &[usize]) -> String {
        let mut text = String::new();
        for number in 0..n {
            let time = Utc(NOW.0 - (n - 1 - number) * apart_ms);
            let length = lengths[usize::try_from(number).unwrap() % lengths.len()];
            let _ = write!(text, "{{\"run_id\":\"é\",\"seq\":{},\"timestamp\":\"{time}\",\"x\":\"", number + 7);
            text += &"é".repeat(length / 2);
            text += "\"}\n";
        }
        text
    }

    /// What each line says of itself.
    fn line_by_line(text: &str) -> Days {
        let mut days = Days::default();
        for (_, time) in text.lines().filter_map(|line| head(line.as_bytes())) {
            days.add(Days::place(NOW.0, time.0), 1);
        }
        days
    }

    /// What the numbers say, whether an older file can be young enough, and the looks that it took.
    fn by_number(text: &str) -> (Result<bool, Lost>, Days, u32) {
        let mut numbered = Numbered::until(NOW);
        let goes_on = numbered.add_file(text.len() as u64, &mut |block, at| {
            let rest = &text.as_bytes()[usize::try_from(at).unwrap()..];
            let n = rest.len().min(block.len());
            block[..n].copy_from_slice(&rest[..n]);
            Ok(n)
        });
        (goes_on, numbered.days, MOST_LOOKS - numbered.looks)
    }

    #[test]
    fn numbers_count_what_lines_do() {
        for lengths in [&[10][..], &[2000], &[400, 600, 9000, 3400, 3500, 3582, 20], &[10, 10, 10, 70_000]] {
            for n in [0, 1, 2, 3, 7, 40, 1000] {
                for apart_ms in [0, 1000, DAY_MS / 100, DAY_MS / 3, 5 * DAY_MS] {
                    let text = ledger(n, apart_ms, lengths);
                    let is_young = n.saturating_sub(1) * apart_ms < 13 * DAY_MS + DAY_MS / 2;
                    let (goes_on, days, _) = by_number(&text);
                    assert_eq!((goes_on, days), (Ok(is_young), line_by_line(&text)), "{lengths:?} {n} {apart_ms}");
                }
            }
        }
    }

    #[test]
    fn ten_times_as_many_take_a_few_looks_more() {
        let [some, many] = [3000, 30_000].map(|n| by_number(&ledger(n, 20 * DAY_MS / n, &[1500, 700])).2);
        assert!(some < 200 && many > some && many < some + 80, "{some}, then {many}");
    }

    #[test]
    fn what_is_no_record_is_passed_over() {
        let text = ledger(200, DAY_MS / 20, &[900]);
        let half = text[..text.len() / 2].rfind('\n').unwrap() + 1;
        let torn = "{\"run_id\":\"A\",\"se";
        let broken = format!("{torn}\n\n{}{torn}\n{}{torn}", &text[..half], &text[half..]);
        let (goes_on, days, _) = by_number(&broken);
        assert_eq!((goes_on, days), (Ok(true), line_by_line(&text)));
        assert_eq!(by_number(&"{}\n".repeat(10_000)).0, Err(Lost));
    }

    #[test]
    fn numbers_that_do_not_grow_count_nothing() {
        let one = ledger(1, 0, &[900]);
        assert_eq!(by_number(&one.repeat(50)).0, Err(Lost), "one line many times");
        let some = ledger(50, 1000, &[900]);
        assert_eq!(by_number(&some.repeat(2)).0, Err(Lost), "two ledgers in one");
        let more = some.replace("\"seq\":56", "\"seq\":5600");
        assert_eq!(by_number(&more).0, Err(Lost), "more than there is room for");
    }
}
