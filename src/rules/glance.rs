//! Numbers as little pictures of block characters, for a page that is looked at and not read. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Days of a row of bars, today included.
pub const DAYS: usize = 14;
const DAY_MS: u64 = 86_400_000;

/// Runs on each of the last [`DAYS`] days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Days {
    /// The oldest day first.
    pub runs: [u64; DAYS],
    /// Whether older runs of these days were left uncounted.
    pub is_cut: bool,
}

impl Days {
    /// Returns the place of a moment among these days, `None` for one before them; both moments in milliseconds since 1970,
    /// days in UTC. What a wrong clock has put into the future counts today.
    pub fn place(today_ms: u64, time_ms: u64) -> Option<usize> {
        let ago = (today_ms / DAY_MS).saturating_sub(time_ms / DAY_MS);
        usize::try_from(ago).ok().and_then(|ago| (DAYS - 1).checked_sub(ago))
    }

    /// Counts so many runs of a day. Returns whether it is one of these days.
    pub fn add(&mut self, place: Option<usize>, n: u64) -> bool {
        let count = place.and_then(|place| self.runs.get_mut(place));
        count.map(|count| *count += n).is_some()
    }

    /// Returns a character for each day: its height is the share of the busiest day, a dot is a day without a run.
    pub fn spark(&self) -> String {
        let most = self.runs.iter().copied().max().unwrap_or(0).max(1);
        self.runs.iter().map(|count| bar_of(*count, most)).collect()
    }
}

fn bar_of(count: u64, most: u64) -> char {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let eighth = (count * 8).div_ceil(most).checked_sub(1).and_then(|eighth| usize::try_from(eighth).ok());
    eighth.and_then(|eighth| HEIGHTS.get(eighth)).copied().unwrap_or('·')
}

/// Returns shares of a bar of so many columns, the largest count first, each with its name: none that counts is
/// invisible, and together they fill the bar.
pub fn shares(counts: &BTreeMap<String, u64>, columns: usize) -> Vec<(&str, usize)> {
    let total: u64 = counts.values().sum();
    if total == 0 {
        return Vec::new();
    }
    let mut sorted: Vec<(Reverse<u64>, &str)> =
        counts.iter().map(|(name, count)| (Reverse(*count), name.as_str())).collect();
    sorted.sort_unstable();
    let wide = |count: u64| usize::try_from(count * columns as u64 / total).unwrap_or(0).max(1);
    let mut shares: Vec<(&str, usize)> = sorted.iter().map(|(Reverse(count), name)| (*name, wide(*count))).collect();
    // What rounding took or gave is the largest one's.
    let others: usize = shares.iter().skip(1).map(|(_, wide)| wide).sum();
    if let Some((_, wide)) = shares.first_mut() {
        *wide = columns.saturating_sub(others).max(1);
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_heights() {
        let today = 20_000 * DAY_MS + 5;
        let mut days = Days::default();
        assert_eq!(days.spark(), "··············");
        for (ago, runs) in [(0, 8), (1, 4), (2, 1), (12, 3), (13, 7)] {
            assert!(days.add(Days::place(today, (20_000 - ago) * DAY_MS), runs));
        }
        assert!(!days.add(Days::place(today, (20_000 - 14) * DAY_MS), 1));
        assert_eq!(days.spark(), "▇▃·········▁▄█");
        assert!(days.add(Days::place(today, today + 9 * DAY_MS), 1), "a clock that was wrong");
        assert_eq!(days.runs[DAYS - 1], 9);
    }

    #[test]
    fn shares_fill_the_bar_and_none_is_invisible() {
        let shown = |counts: &[(&str, u64)], columns| {
            let counts = counts.iter().map(|(name, count)| (name.to_string(), *count)).collect();
            shares(&counts, columns)
                .into_iter()
                .map(|(name, wide)| format!("{name} {wide}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        assert_eq!(shown(&[], 40), "");
        assert_eq!(shown(&[("local", 3)], 40), "local 40");
        assert_eq!(shown(&[("claude", 15), ("local", 180), ("none", 5)], 40), "local 36, claude 3, none 1");
        assert_eq!(shown(&[("a", 1), ("b", 1), ("c", 1)], 10), "a 4, b 3, c 3");
        assert_eq!(shown(&[("a", 100_000), ("b", 1)], 10), "a 9, b 1");
    }
}
