//! How numbers are spread, and how a stretch of time is cut into columns of a chart. Pure.

use crate::rules::sorted::sorted;
use crate::words::time::Utc;

/// Whole numbers, of which the median and such are asked in the end.
#[derive(Debug, Default)]
pub struct Spread(Vec<u64>);

impl Spread {
    /// Adds a number, if there is one.
    pub fn add(&mut self, number: Option<u64>) {
        self.0.extend(number);
    }

    /// Returns the number below which `percent` of 100 lie (the nearest rank); `None` of nothing.
    pub fn at<const N: usize>(&self, percents: [usize; N]) -> Option<[u64; N]> {
        let numbers = sorted(self.0.clone());
        let last = numbers.len().checked_sub(1)?;
        Some(percents.map(|percent| {
            let rank = (numbers.len() * percent).div_ceil(100);
            numbers.get(rank.saturating_sub(1).min(last)).copied().unwrap_or(0)
        }))
    }
}

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
/// Widths of a column that people count in. What is longer is cut into multiples of the last.
const WIDTHS: [u64; 6] = [HOUR, 6 * HOUR, DAY, 7 * DAY, 14 * DAY, 28 * DAY];
/// The most columns of a chart: on a screen of 360 points each still has three.
const MOST: u64 = 92;
/// 1970-01-05 was a Monday.
const MONDAY: u64 = 4 * DAY;

/// A stretch of time in equal columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeline {
    start: u64,
    width: u64,
    pub columns: usize,
}

impl Timeline {
    /// Cuts the time from `first` to `last`, both within, into the narrowest columns of which not too many are needed.
    pub fn new(first: Utc, last: Utc) -> Timeline {
        let widest = WIDTHS.last().copied().unwrap_or(DAY);
        let fits = |width: u64| columns(start(first, width), last, width) <= MOST;
        let multiple = (last.0.saturating_sub(first.0) / (MOST - 1)).div_ceil(widest).max(1) * widest;
        let width = WIDTHS.into_iter().find(|width| fits(*width)).unwrap_or(multiple);
        let start = start(first, width);
        let columns = columns(start, last, width).min(MOST);
        Timeline { start, width, columns: usize::try_from(columns).unwrap_or(1) }
    }

    /// Returns the column of a moment.
    pub fn column(&self, time: Utc) -> usize {
        let column = usize::try_from(time.0.saturating_sub(self.start) / self.width).unwrap_or(usize::MAX);
        column.min(self.columns.saturating_sub(1))
    }

    /// Returns when a column begins: a day, or a day and an hour.
    pub fn label(&self, column: usize) -> String {
        let time = Utc(self.start + self.width * column as u64);
        let text = time.to_string();
        let length = if self.width < DAY { 16 } else { 10 };
        text.chars().take(length).map(|c| if c == 'T' { ' ' } else { c }).collect()
    }

    /// Returns how long a column is, in words: `hour`, `day`, `7 days`.
    pub fn span(&self) -> String {
        match (self.width / HOUR, self.width / DAY) {
            (1, _) => "hour".to_string(),
            (hours, 0) => format!("{hours} hours"),
            (_, 1) => "day".to_string(),
            (_, days) => format!("{days} days"),
        }
    }
}

/// Weeks begin on Mondays.
fn start(first: Utc, width: u64) -> u64 {
    let offset = if width.is_multiple_of(7 * DAY) { MONDAY } else { 0 };
    (first.0.saturating_sub(offset) / width * width + offset).min(first.0)
}

fn columns(start: u64, last: Utc, width: u64) -> u64 {
    last.0.saturating_sub(start) / width + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(first: &str, last: &str, columns: usize, span: &str, labels: [&str; 2]) {
        let (first, last) = (Utc::parse(first).unwrap(), Utc::parse(last).unwrap());
        let line = Timeline::new(first, last);
        let ends = [line.label(0), line.label(line.columns - 1)];
        assert_eq!((line.columns, line.span().as_str(), ends.each_ref().map(String::as_str)), (columns, span, labels));
        assert_eq!((line.column(first), line.column(last)), (0, columns - 1));
    }

    #[test]
    fn columns_are_spans_that_people_count_in() {
        let morning = "2026-11-27T05:22:31Z";
        check(morning, morning, 1, "hour", ["2026-11-27 05:00", "2026-11-27 05:00"]);
        check("2026-11-25T05:59:59Z", morning, 49, "hour", ["2026-11-25 05:00", "2026-11-27 05:00"]);
        check("2026-11-10T23:00:00Z", morning, 66, "6 hours", ["2026-11-10 18:00", "2026-11-27 00:00"]);
        check("2026-09-01T12:00:00Z", morning, 88, "day", ["2026-09-01", "2026-11-27"]);
        check("2025-11-27T12:00:00Z", morning, 53, "7 days", ["2025-11-24", "2026-11-23"]);
        check("2024-11-27T12:00:00Z", morning, 53, "14 days", ["2024-11-25", "2026-11-23"]);
        check("2020-01-01T00:00:00Z", morning, 91, "28 days", ["2019-12-30", "2026-11-23"]);
    }

    #[test]
    fn no_clock_makes_too_many_columns() {
        for (first, last) in
            [(0, 0), (0, u64::MAX), (u64::MAX, u64::MAX), (7, 253_402_300_799_999), (MONDAY - 1, MONDAY)]
        {
            let line = Timeline::new(Utc(first), Utc(last));
            assert!((1..=92).contains(&line.columns), "{line:?}");
            assert!(line.column(Utc(last)) < line.columns && line.column(Utc(first)) == 0, "{line:?}");
        }
    }

    #[test]
    fn a_rank_is_a_number_that_was_there() {
        let spread = |numbers: &[u64]| Spread(numbers.to_vec()).at([50, 90]);
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[7]), Some([7, 7]));
        assert_eq!(spread(&[4, 1, 3, 2]), Some([2, 4]));
        assert_eq!(spread(&[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]), Some([5, 9]));
    }
}
