//! Moments of wall time as values. Nothing here reads a clock.

use serde::Serialize;
use std::fmt;

/// A moment in UTC: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Utc(pub u64);

impl Utc {
    /// Returns the day of this moment as `YYYY-MM-DD`; budgets and charts count in these days.
    pub fn day(self) -> String {
        let (year, month, day) = civil(self.0 / 86_400_000);
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// Reads `YYYY-MM-DDTHH:MM:SS[.mmm]Z`, the form that `Display` writes. Returns `None` for anything else.
    pub fn parse(text: &str) -> Option<Utc> {
        let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
        let mut date = date.splitn(3, '-').map(str::parse::<u64>);
        let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
        let (clock, millis) = clock.split_once('.').unwrap_or((clock, "0"));
        let mut clock = clock.splitn(3, ':').map(str::parse::<u64>);
        let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
        let in_range = (1970..10_000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
        if !in_range || hour > 23 || minute > 59 || second > 60 || millis.len() > 3 {
            return None;
        }
        let millis = millis.parse::<u64>().ok()? * [1000, 100, 10, 1].get(millis.len())?;
        Some(Utc((days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second) * 1000 + millis))
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (second, millis) = (self.0 / 1000, self.0 % 1000);
        let (hour, minute) = (second / 3600 % 24, second / 60 % 60);
        write!(f, "{}T{hour:02}:{minute:02}:{:02}.{millis:03}Z", self.day(), second % 60)
    }
}

/// Returns year, month and day of a day counted from 1970-01-01. The arithmetic works on years that begin in March, so
/// that the leap day is the last of its year (the method is Howard Hinnant's "chrono-compatible low-level date algorithms").
fn civil(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let era = day / 146_097;
    let of_era = day % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

/// The reverse of [`civil`].
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(millis: u64, text: &str) {
        assert_eq!(Utc(millis).to_string(), text);
        assert_eq!(Utc::parse(text), Some(Utc(millis)), "{text}");
    }

    #[test]
    fn moments_read_back_as_written() {
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(1_795_402_440_123, "2026-11-23T02:54:00.123Z");
        check(4_107_542_399_999, "2100-02-28T23:59:59.999Z");
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "2026-11-23",
            "2026-11-23T02:54:00",
            "2026-13-01T00:00:00Z",
            "x-1-1T0:0:0Z",
            "2026-11-23T02:54:00.1234Z",
        ] {
            assert_eq!(Utc::parse(text), None, "{text}");
        }
        assert_eq!(Utc::parse("2026-11-23T02:54:00Z"), Some(Utc(1_795_402_440_000)));
    }
}
