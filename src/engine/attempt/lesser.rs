//! After a red try: whether a part of the change does it. No model is asked; the tests say it.
//!
//! **Invariant:** taken only where the tests were red before the change and are green with a part of it. What only leaves
//! green tests green proves nothing of the task.

use crate::engine::attempt::local_change::{Changed, Site, materialise};
use crate::engine::attempt::reading::before;
use crate::engine::judge::take_back;
use crate::engine::verify::Ground;
use crate::rules::examples;
use crate::rules::lesser::{judges, lesser};
use crate::rules::weaken::Edited;
use crate::words::changes::{Change, ChangeSet};
use crate::words::event::Watcher;
use crate::words::stop::Stop;
use crate::words::task::Verdict;
use std::time::{Duration, Instant};

/// Checks that take longer are not run for parts of a change.
const LONGEST_CHECK_MS: u64 = 5000;
/// When no further part is tried.
const LONGEST: Duration = Duration::from_secs(20);

/// Returns the likeliest part that turns red tests green, applied; else the red change as it came. The tree is untouched
/// when this is called.
pub fn prove_less(site: &mut Site<'_>, mut changed: Changed, watcher: &mut dyn Watcher, stop: &Stop) -> Changed {
    let took: u64 = changed.proof.commands.iter().map(|run| run.duration_ms).sum();
    let is_clear = changed.proof.evidence.is_some() && changed.proof.remarks.is_empty();
    if changed.proof.verdict != Verdict::Failed || !is_clear || site.preview || took > LONGEST_CHECK_MS {
        return changed;
    }
    let dir = site.dir;
    let before = |path: &str| before(dir, path);
    let names: Vec<String> = site.context.sought.names.iter().map(|name| name.text.clone()).collect();
    let names: Vec<&str> = names.iter().chain(&site.context.sought.words).map(String::as_str).collect();
    let whole = &changed.changes.changes;
    let mut versions = lesser(whole, &before, &names);
    // A part must not turn the tests green by changing them.
    let is_judge = |path: &str| before(path).is_some() && judges(path, changed.proof.red.iter().map(|red| &red.argv));
    versions.retain(|less| !less.changes.iter().any(|change| is_judge(change.path())));
    let old: Vec<Option<String>> = whole.iter().map(|change| before(change.path())).collect();
    let edited = whole.iter().zip(&old).map(|(change, old)| match change {
        Change::Write { path, content } => Edited { path, before: old.as_deref(), after: Some(content) },
        Change::Delete { path } => Edited { path, before: old.as_deref(), after: None },
    });
    // Examples belong to a text of the change: a part of it may have none, and be green for that.
    if versions.is_empty() || examples::examples(site.task, &edited.collect::<Vec<_>>()).is_some() {
        return changed;
    }
    let touched: Vec<String> = changed.files.iter().map(|file| file.path.clone()).collect();
    let ground = Ground { touched: &touched, ..site.ground };
    site.baseline.learn(&mut changed.proof, site.proof.origin, &ground, stop, watcher);
    if !changed.proof.red.iter().any(|red| site.baseline.was_red(&red.argv)) {
        return changed;
    }
    let start = Instant::now();
    for less in versions {
        if stop.reason().is_some() || start.elapsed() > LONGEST {
            break;
        }
        let mut set = ChangeSet { changes: less.changes, ..changed.changes.clone() };
        set.notes.push(format!("left out of the change, since the checks are red with it: {}", less.left_out));
        set.left_out = Some(less.left_out);
        // What cannot be applied is no part to be had.
        let Ok(mut part) = materialise(site, set, changed.score, watcher, stop) else { continue };
        if part.proof.verdict == Verdict::Passed {
            return part;
        }
        if let Some(applied) = part.applied.take() {
            take_back(site.dir, applied, watcher);
        }
    }
    changed
}
