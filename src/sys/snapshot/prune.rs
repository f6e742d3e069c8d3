//! Stores that are not needed go with the results of old runs. What a run has kept for its undo is in its own directory,
//! so a store can go at any time but during a run: the next snapshot of its directory costs what the first one did.

use super::{MARKER, PROBE};
use crate::rules::sorted::sorted;
use crate::words::time::Utc;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// How often the stores are looked through, at most, in ms. A store that was used since stays.
const EVERY_MS: u64 = 3_600_000;

/// What may stay.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub days: u64,
    pub bytes: u64,
    pub stores: usize,
}

/// Removes stores that were not used for long, then the oldest ones until the rest is few and light enough. Stores of
/// snapshots that are open stay. Returns how many went.
pub fn prune(stores: &Path, runs: &Path, now: Utc, limits: Limits) -> usize {
    let stamp = stores.join(".pruned");
    if used(&stamp).is_some_and(|last| last <= now.0 && now.0 - last < EVERY_MS) {
        return 0;
    }
    let Ok(listing) = fs_err::read_dir(stores) else { return 0 };
    if fs_err::write(&stamp, "").is_err() {
        return 0;
    }
    let mut found = Vec::new();
    for dir in listing.filter_map(|entry| Some(entry.ok()?.path())).filter(|dir| dir.is_dir()) {
        let age = used(&dir.join(PROBE)).map_or(u64::MAX, |used| now.0.saturating_sub(used));
        found.push((age, weigh(&dir), dir));
    }
    let (mut bytes, mut count) = (found.iter().map(|(_, bytes, _)| bytes).sum::<u64>(), found.len());
    let mut pruned = 0;
    for (age, weight, dir) in sorted(found).into_iter().rev() {
        let is_due = age > limits.days.saturating_mul(86_400_000) || bytes > limits.bytes || count > limits.stores;
        if is_due && age >= EVERY_MS && !is_open(&dir, runs) && fs_err::remove_dir_all(&dir).is_ok() {
            (bytes, count, pruned) = (bytes.saturating_sub(weight), count - 1, pruned + 1);
        }
    }
    pruned
}

/// When a file was written, in ms since 1970.
fn used(path: &Path) -> Option<u64> {
    let meta = fs_err::metadata(path).ok()?;
    u64::try_from(meta.mtime()).ok().map(|seconds| seconds.saturating_mul(1000))
}

/// Whether a run that is not healed yet has its manifest here.
fn is_open(store: &Path, runs: &Path) -> bool {
    let Ok(listing) = fs_err::read_dir(store) else { return true };
    let mut names = listing.filter_map(|entry| Some(entry.ok()?.file_name()));
    names.any(|name| runs.join(PathBuf::from(name).with_extension(MARKER)).exists())
}

/// The bytes of all files below a directory.
fn weigh(dir: &Path) -> u64 {
    let Ok(listing) = fs_err::read_dir(dir) else { return 0 };
    let bytes = listing.flatten().map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => weigh(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    });
    bytes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fs_err as fs;
    use std::time::{Duration, UNIX_EPOCH};

    const NOW: u64 = 1_795_402_440_000;

    /// Makes a store that was used some hours ago.
    fn store(stores: &Path, name: &str, hours: u64, bytes: usize) {
        fs::create_dir_all(stores.join(name).join("sha1")).unwrap();
        fs::write(stores.join(name).join("sha1/object"), vec![0; bytes]).unwrap();
        fs::write(stores.join(name).join(PROBE), "").unwrap();
        age(&stores.join(name).join(PROBE), hours);
    }

    fn age(path: &Path, hours: u64) {
        let times = std::fs::FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_millis(NOW - hours * EVERY_MS));
        fs::File::options().write(true).open(path).unwrap().file().set_times(times).unwrap();
    }

    #[test]
    fn old_stores_go_then_the_oldest_until_the_rest_is_few_and_light() {
        let root = std::env::temp_dir().join(format!("mux-stores-{}", std::process::id()));
        let (stores, runs) = (root.join("snapshots"), root.join("runs"));
        fs::create_dir_all(&runs).unwrap();
        let limits = Limits { days: 30, bytes: 1000, stores: 3 };
        let left = || {
            let names = fs::read_dir(&stores).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            sorted(names.filter(|name| name != ".pruned").collect::<Vec<_>>())
        };
        assert_eq!(prune(&stores, &runs, Utc(NOW), limits), 0, "no stores at all");
        for (name, hours, bytes) in [("old", 31 * 24, 1), ("open", 40 * 24, 1), ("heavy", 20, 900), ("a", 10, 200)] {
            store(&stores, name, hours, bytes);
        }
        store(&stores, "busy", 0, 5000);
        fs::write(stores.join("open/01RUN"), "a manifest").unwrap();
        fs::write(runs.join("01RUN.snapshot"), "").unwrap();
        assert_eq!(prune(&stores, &runs, Utc(NOW), limits), 3);
        assert_eq!(left(), ["busy", "open"], "what is used now and what is to be healed stay, whatever they weigh");
        for (name, hours) in [("b", 5), ("c", 4), ("d", 3)] {
            store(&stores, name, hours, 1);
        }
        fs::remove_dir_all(stores.join("busy")).unwrap();
        age(&stores.join(".pruned"), 0);
        assert_eq!(prune(&stores, &runs, Utc(NOW), limits), 0, "not twice within the hour");
        age(&stores.join(".pruned"), 1);
        assert_eq!(prune(&stores, &runs, Utc(NOW), limits), 1);
        assert_eq!(left(), ["c", "d", "open"]);
        fs::remove_dir_all(root).unwrap();
    }
}
