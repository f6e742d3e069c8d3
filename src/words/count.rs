//! A number of things, as people write it.

use std::fmt;

/// So many of a thing: shown as `0 files`, `1 file`, `2 files`, and `2 tries` of a `try`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(u64, &'static str);

impl Count {
    /// `noun` is that of one thing.
    pub fn of(number: impl TryInto<u64>, noun: &'static str) -> Count {
        Count(number.try_into().unwrap_or(u64::MAX), noun)
    }

    /// Returns the noun without the number, which is written in another way.
    pub fn noun(self) -> String {
        let Count(number, noun) = self;
        let is_spoken = |stem: &str| stem.ends_with(['a', 'e', 'o', 'u']);
        match noun.strip_suffix('y').filter(|stem| !is_spoken(stem)) {
            _ if number == 1 => noun.to_string(),
            Some(stem) => format!("{stem}ies"),
            None => format!("{noun}s"),
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.noun())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_and_others_are_many() {
        let shown = [(0, "file"), (1, "file"), (2, "file"), (1, "try"), (3, "try"), (2, "day"), (5, "cloud call")]
            .map(|(number, noun)| Count::of(number, noun).to_string());
        assert_eq!(shown, ["0 files", "1 file", "2 files", "1 try", "3 tries", "2 days", "5 cloud calls"]);
    }
}
