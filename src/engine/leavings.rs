//! What the end of a run has to say of files that are not as they were before it, and not as it wrote them.

use crate::engine::heal::{self, State};
use crate::engine::run::Course;
use crate::sys::disk::{self, State as Stands, Why};
use crate::words::event::{Event, Watcher};
use std::fmt::Write as _;

/// Files that a try could not take back, since they had changed.
pub fn left(course: &Course<'_>) -> Vec<String> {
    let kept = course.results.run(&course.run_id).ok().and_then(|dir| disk::left(&dir).ok().flatten());
    let standing = kept.and_then(|kept| kept.compare(&course.prepared.dir).ok()).unwrap_or_default();
    standing.into_iter().filter(|one| one.state != Stands::AsBefore).map(|one| one.path).collect()
}

/// What the disk did not let be taken back, in words; it is tried once more here, and again by the next command.
pub fn open(course: &Course<'_>, watcher: &mut dyn Watcher) -> Vec<String> {
    let mut open = Vec::new();
    for one in heal::heal(&course.house.state.runs()).unwrap_or_default() {
        let own = one.run_id == course.run_id;
        if let (true, State::RolledBack(done)) = (own, &one.state) {
            let failed = done.left.iter().filter(|left| matches!(left.why, Why::Failed(_)));
            open.extend(failed.map(|left| format!("{left}; the next mux command tries again")));
        } else {
            watcher.event(&Event::Note(&one.to_string()));
        }
    }
    open
}

/// Most lines of the result on what cannot be restored.
const MOST: usize = 10;

/// Returns the lines with which the result begins.
pub fn told(left: &[String], open: &[String], beyond: &[String]) -> String {
    let changed = "not as before: it changed while mux worked, by a check or by someone else, and was left so";
    let mut lines = String::new();
    for path in left {
        let _ = writeln!(lines, "`{path}` is {changed}.");
    }
    for line in open.iter().chain(beyond.iter().take(MOST)) {
        let _ = writeln!(lines, "{line}.");
    }
    if let n @ 1.. = beyond.len().saturating_sub(MOST) {
        let _ = writeln!(lines, "{n} more changed and cannot be restored.");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_restored_is_named_within_bounds() {
        let named = |n: usize| told(&[], &[], &(0..n).map(|n| format!("`{n}` changed")).collect::<Vec<_>>());
        assert_eq!(named(0), "");
        assert_eq!(named(2), "`0` changed.\n`1` changed.\n");
        assert_eq!(named(10).lines().last(), Some("`9` changed."));
        assert_eq!(
            named(13).lines().skip(9).collect::<Vec<_>>(),
            ["`9` changed.", "3 more changed and cannot be restored."]
        );
    }
}
