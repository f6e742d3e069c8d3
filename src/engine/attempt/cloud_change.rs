//! A try of a `change` by a provider that writes: a snapshot before, the same proof after, and the files stay only if
//! that lets them. Not the call itself, which is `gate.rs`.
//!
//! **Invariant:** when [`end`] returns a failure or a red verdict, the tree is as it was, but for what was reported.

use crate::engine::around::{self, Around};
use crate::engine::attempt::local_change::Changed;
use crate::engine::gate::Refused;
use crate::engine::judge::{self, Standing, take_back};
use crate::engine::run::Course;
use crate::engine::verify;
use crate::rules::weaken::{self, Edited};
use crate::rules::{examples, names};
use crate::sys::disk::{Applied, WorkDir};
use crate::sys::snapshot::{Beyond, Snapshot, Unkept};
use crate::words::changes::{Change, ChangeSet, FileOp};
use crate::words::event::{Event, Watcher};
use crate::words::stop::Stop;
use crate::words::task::{Failure, Refusal, Score, Verdict};
use std::time::{Duration, Instant};

/// What is known of files that somebody else wrote.
const UNSCORED: Score = Score { value: 0.5, weak: true };
/// How long looking at the directory may take after the run was called off: what the provider did has to be taken back.
const TO_TAKE_BACK: Duration = Duration::from_secs(20);

/// A work directory that a provider may write to.
pub struct Hands {
    snapshot: Snapshot,
    /// Whether the directory was made for this.
    is_new: bool,
}

/// Prepares the work directory: its snapshot, and what the checks say of it before.
///
/// # Errors
/// `NoSnapshot` where there is none to be had.
pub fn begin(course: &mut Course<'_>, watcher: &mut dyn Watcher) -> Result<Hands, Refused> {
    let refused = |note: String| Refused { why: Refusal::NoSnapshot, note: Some(note) };
    let is_new = course.prepared.dir.was_missing();
    if is_new {
        let path = course.prepared.dir.path().to_path_buf();
        fs_err::create_dir_all(&path).map_err(|error| refused(error.to_string()))?;
        course.prepared.dir = WorkDir::open(&path).map_err(|cause| refused(cause.to_string()))?;
    }
    // It is called by path, and so is git.
    course.prepared.dir.place().map_err(|cause| refused(cause.to_string()))?;
    // The provider's files cannot be laid aside to ask afterwards.
    course.measure(watcher);
    let run_dir = course.results.make(&course.run_id).map_err(|error| refused(error.to_string()))?;
    let taken = around::before(&course.house, &course.prepared.dir, &run_dir, course.stop);
    let snapshot = taken.map_err(|why| refused(format!("no snapshot can be taken: {why}")))?;
    Ok(Hands { snapshot, is_new })
}

impl Hands {
    /// Ends the snapshot of a call that was not made.
    pub fn drop_unused(self, dir: &WorkDir) {
        // What cannot be closed now is closed by the next command, and holds nothing.
        let _ = self.snapshot.close();
        forget(self.is_new, dir);
    }
}

/// Judges what the provider did. `said` is its last word, `None` where it failed.
///
/// # Errors
/// Why nothing of it stays: it changed nothing, or what must not be changed, or it failed itself.
pub fn end(
    course: &mut Course<'_>,
    hands: Hands,
    said: Option<String>,
    watcher: &mut dyn Watcher,
) -> Result<Changed, Failure> {
    let called_off = Stop::at(Instant::now() + TO_TAKE_BACK);
    let stop = if course.stop.reason().is_some() { &called_off } else { course.stop };
    let is_new = hands.is_new;
    if let Err(cause) = course.prepared.dir.place() {
        // Another directory is no place to look for what changed, nor to put anything back.
        let _ = hands.snapshot.close();
        course.beyond.push(format!("{cause}, and what a provider changed in it is left as it is"));
        return Err(Failure::from(&cause));
    }
    let around = around::after(hands.snapshot, &course.prepared.dir, stop);
    let Around { mut applied, diff, beyond } = around.map_err(|why| Failure::Disk { why: why.to_string() })?;
    for one in &beyond {
        watcher.event(&Event::Note(&one.to_string()));
    }
    // What tools make is made anew.
    let beyond: Vec<&Beyond> = beyond.iter().filter(|one| one.why != Unkept::Bulk).collect();
    course.beyond.extend(beyond.iter().map(ToString::to_string));
    let mut files = applied.ops().to_vec();
    let fault = fault(course, &files, beyond.first().copied(), said.is_some());
    let Some(said) = said.filter(|_| fault.is_none()) else {
        take_back(&course.prepared.dir, applied, watcher);
        forget(is_new, &course.prepared.dir);
        return Err(fault.unwrap_or(Failure::Unchanged));
    };
    let mut changes = ChangeSet { changes: written(&files), summary: said, ..ChangeSet::default() };
    if course.job.preview {
        take_back(&course.prepared.dir, applied, watcher);
        forget(is_new, &course.prepared.dir);
        let proof = verify::unjudged("a preview".to_string());
        return Ok(Changed { applied: None, files: Vec::new(), proof, score: UNSCORED, diff, changes });
    }
    let (contents, layout) = (texts(&applied, &course.prepared.dir), applied.texts());
    let edited = edited(&applied, &contents);
    let weakened = weaken::weakened(&edited);
    let examples = examples::examples(course.job.task, &edited);
    let touched: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
    let site = course.site(false);
    let standing = Standing {
        plan: site.proof,
        ground: verify::Ground { touched: &touched, examples: examples.as_ref(), ..site.ground },
        weakened: &weakened,
        may_weaken: weaken::asks_for(site.task),
    };
    let proof = judge::judge_standing(&standing, site.baseline, stop, watcher);
    changes.notes.extend(judge::told(&applied.settle(&layout)));
    files = applied.ops().to_vec();
    let mut applied = Some(applied);
    if proof.verdict == Verdict::Failed {
        applied = applied.and_then(|applied| take_back(&course.prepared.dir, applied, watcher));
        forget(is_new, &course.prepared.dir);
    }
    Ok(Changed { applied, files, proof, score: UNSCORED, diff, changes })
}

/// Why nothing of it may stay, if so. What mux would not write for a model, a provider does not write either.
fn fault(course: &Course<'_>, files: &[FileOp], beyond: Option<&Beyond>, has_spoken: bool) -> Option<Failure> {
    if !has_spoken {
        let failed = course.attempts.last().and_then(|attempt| attempt.failure.clone());
        return failed.or(Some(Failure::Empty));
    }
    if files.is_empty() {
        let lost = |one: &Beyond| Failure::Unusable { fault: one.to_string() };
        return Some(beyond.map_or(Failure::Unchanged, lost));
    }
    let allowed = &course.prepared.context.allowed;
    files.iter().find_map(|file| {
        let rule = names::check(&file.path, allowed).err()?;
        Some(Failure::RefusedPath { path: file.path.clone(), rule: rule.to_string() })
    })
}

/// A directory that was made for a change that did not stay goes again, unless somebody put something there.
fn forget(is_new: bool, dir: &WorkDir) {
    if is_new {
        let _ = fs_err::remove_dir(dir.path());
    }
}

/// The paths as a changeset names them; the contents are on disk.
fn written(files: &[FileOp]) -> Vec<Change> {
    let change = |file: &FileOp| match file.after {
        Some(_) => Change::Write { path: file.path.clone(), content: String::new() },
        None => Change::Delete { path: file.path.clone() },
    };
    files.iter().map(change).collect()
}

/// What each file held before and holds now.
fn texts(applied: &Applied, dir: &WorkDir) -> Vec<(Option<String>, Option<String>)> {
    let limit = names::MAX_FILE_BYTES as u64;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let read = |(index, file): (usize, &FileOp)| {
        let before = applied.before(index, limit).ok().flatten().map(text);
        let path = names::readable(&file.path).ok();
        let after = path.and_then(|path| dir.read(&path, limit).ok().flatten()).map(|seen| text(seen.bytes));
        (before, after)
    };
    applied.ops().iter().enumerate().map(read).collect()
}

fn edited<'a>(applied: &'a Applied, texts: &'a [(Option<String>, Option<String>)]) -> Vec<Edited<'a>> {
    let files = applied.ops().iter().zip(texts);
    let edited = |(file, (before, after)): (&'a FileOp, &'a (Option<String>, Option<String>))| Edited {
        path: &file.path,
        before: before.as_deref(),
        after: after.as_deref(),
    };
    files.map(edited).collect()
}
