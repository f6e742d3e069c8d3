//! Names of runs: ULIDs, 26 characters of Crockford's base 32: 48 bits of time in milliseconds, then 80 random bits.
//! They sort by time and are safe as file names; nothing else may name a directory below `runs/`. Pure: the random
//! bits are handed in.
//!
//! The form: <https://github.com/ulid/spec>.

use crate::words::time::Utc;

const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The length of every run id, in characters.
pub const LENGTH: usize = 26;

/// Returns the id of a run that begins at `now`. Of `random`, the lower 80 bits count.
pub fn encode(now: Utc, random: u128) -> String {
    let bits = u128::from(now.0) << 80 | random & ((1 << 80) - 1);
    // 26 digits hold 130 bits: the first one is never above 7.
    let digit = |place: usize| DIGITS.get((bits >> (5 * place) & 31) as usize).copied().map_or('0', char::from);
    (0..LENGTH).rev().map(digit).collect()
}

/// Returns the moment in a run id, or `None` for a text that is no run id (also one in lower case).
pub fn time(id: &str) -> Option<Utc> {
    let first_is_small = id.starts_with(|first: char| first.is_ascii_digit() && first < '8');
    if id.len() != LENGTH || !first_is_small {
        return None;
    }
    let digit = |byte| DIGITS.iter().position(|digit| *digit == byte);
    let bits = id.bytes().try_fold(0_u128, |bits, byte| Some(bits << 5 | digit(byte)? as u128))?;
    u64::try_from(bits >> 80).ok().map(Utc)
}

/// Returns whether a text is a run id; only then may it name a directory.
pub fn is_run_id(text: &str) -> bool {
    time(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_read_back() {
        // The time part of the specification's example: 01ARYZ6S41 is 1469918176385.
        assert_eq!(encode(Utc(1_469_918_176_385), 0), "01ARYZ6S410000000000000000");
        assert_eq!(encode(Utc(0), u128::MAX), "0000000000ZZZZZZZZZZZZZZZZ");
        assert_eq!(encode(Utc((1 << 48) - 1), u128::MAX), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        for millis in [0, 1, 1_469_918_176_385, (1 << 48) - 1] {
            assert_eq!(time(&encode(Utc(millis), 12_345)), Some(Utc(millis)));
        }
        assert!(encode(Utc(2), 0) > encode(Utc(1), u128::MAX));
    }

    #[test]
    fn other_names_are_no_run_ids() {
        for text in [
            "",
            "..",
            "01ARYZ6S41000000000000000",
            "01ARYZ6S4100000000000000000",
            "01aryz6s410000000000000000",
            "01ARYZ6S41000000000000000U",
            "../../../../../../etc/pass",
            "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "01ARYZ6S41000000000000000é",
        ] {
            assert!(!is_run_id(text), "{text}");
        }
    }
}
