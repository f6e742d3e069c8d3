//! Where in a file of records a run of a moment is looked for. Pure: bytes come from a function.
//!
//! **It is not sure:** a record tells when its run began, and stands where the run ended; a clock may have been put back, and
//! files may have been joined. Who finds nothing there has to look everywhere.

use crate::rules::numbered::{Read, head};
use crate::words::time::Utc;
use std::io::{self, BufRead};
use std::ops::Range;

/// Bytes of a look: most records begin in them.
const BLOCK: usize = 8 << 10;
/// A place that is known so well is searched, in bytes.
const NEAR: u64 = 64 << 10;
/// So much behind it, too: runs that began later may have ended earlier.
const BEHIND: u64 = 512 << 10;

/// Returns the part of a file of `len` bytes in which the record of a run that began at `time` should be, by halves: 14
/// looks in 1 GB.
///
/// # Errors
/// Those of `read`.
pub fn around(time: Utc, len: u64, read: Read<'_>) -> io::Result<Range<u64>> {
    let (mut low, mut high) = (0, len);
    while high - low > NEAR {
        let middle = low.midpoint(high);
        if first_after(middle, read)?.is_some_and(|found| found < time) {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(low.saturating_sub(NEAR)..len.min(high.saturating_add(BEHIND)))
}

/// Returns the time of the first record that begins behind an offset, if one begins soon.
fn first_after(at: u64, read: Read<'_>) -> io::Result<Option<Utc>> {
    let mut block = [0; BLOCK];
    let n = read(&mut block, at)?;
    let mut rest = block.get(..n).unwrap_or_default();
    while rest.skip_until(b'\n')? > 0 {
        if let Some((_, time)) = head(rest) {
            return Ok(Some(time));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks in a file of records of so many bytes, the n-th of the moment n. Returns where, and in how many reads.
    fn look(time: u64, records: u64, size: u64) -> (Range<u64>, usize) {
        let mut reads = 0;
        let mut read = |block: &mut [u8], at: u64| {
            reads += 1;
            let mut bytes = Vec::new();
            for number in at / size..records.min((at + block.len() as u64) / size + 1) {
                let head = format!("{{\"seq\":{number},\"timestamp\":\"{}\",\"x\":\"", Utc(number));
                let rest = usize::try_from(size).unwrap() - head.len() - 3;
                bytes.extend_from_slice(format!("{head}{}\"}}\n", "x".repeat(rest)).as_bytes());
            }
            let from = usize::try_from(at % size).unwrap();
            let bytes = bytes.get(from..).unwrap_or_default();
            let n = bytes.len().min(block.len());
            block[..n].copy_from_slice(&bytes[..n]);
            Ok(n)
        };
        (around(Utc(time), records * size, &mut read).unwrap(), reads)
    }

    #[test]
    fn the_place_of_a_moment_is_found_by_halves() {
        for (time, records, size) in
            [(0, 1_000_000, 1000), (1, 1_000_000, 1000), (654_321, 1_000_000, 1000), (999_999, 1_000_000, 1000)]
        {
            let (part, reads) = look(time, records, size);
            assert!(part.contains(&(time * size)) && part.contains(&((time + 1) * size - 1)), "{time}: {part:?}");
            assert!(part.end - part.start <= 3 * NEAR + BEHIND && reads <= 14, "{time}: {part:?}, {reads} reads");
        }
        assert_eq!(look(5, 10, 500), (0..5000, 0), "a small file is the place");
        assert_eq!(look(5, 0, 500), (0..0, 0));
    }

    #[test]
    fn where_no_record_begins_soon_it_is_looked_for_before() {
        assert_eq!(look(7, 10, 100_000).0, 0..62_500 + BEHIND);
    }
}
