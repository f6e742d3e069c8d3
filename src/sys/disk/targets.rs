//! What a changeset wants, compared with what stands there: the steps that there are to do. Writes nothing.

use super::cause::{Cause, Found};
use super::tree::{self, Now, Walk};
use super::{Kept, WorkDir, go_on};
use crate::rules::sorted::sorted;
use crate::words::changes::{FileOp, Op};
use crate::words::stop::Stop;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd as _;

/// What a target is to hold; no content deletes it.
pub(super) struct Wanted<'a> {
    pub(super) path: &'a str,
    pub(super) content: Option<Content<'a>>,
}

/// Who wants it. What a provider left may be a link, or without permission to write; an undo takes that back, while a
/// reply never touches it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Reply,
    Undo,
}

#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    Bytes(&'a [u8]),
    /// The pre-image of a step of a kept changeset, with its mode, owner and attributes.
    Image(&'a Kept, usize),
}

impl Content<'_> {
    /// Returns the SHA-256 and the length.
    fn facts(&self) -> (String, u64) {
        match self {
            Content::Bytes(bytes) => (tree::hash_of(bytes), bytes.len() as u64),
            Content::Image(kept, index) => kept.facts(*index),
        }
    }
}

pub(super) struct Targets<'a> {
    /// To make, each parent before its children.
    pub(super) dirs: BTreeSet<String>,
    pub(super) steps: Vec<FileOp>,
    /// For each step its new content; `None` deletes.
    pub(super) contents: Vec<Option<Content<'a>>>,
}

/// Looks at all targets and finds out what there is to do. Writes nothing.
pub(super) fn look_at<'a>(
    dir: &WorkDir,
    wanted: &[Wanted<'a>],
    expected: &BTreeMap<String, Option<String>>,
    by: By,
    stop: &Stop,
) -> Result<Targets<'a>, Cause> {
    let mut targets = Targets { dirs: BTreeSet::new(), steps: Vec::new(), contents: Vec::new() };
    let mut walk = Walk::new(dir.base.as_fd());
    // Files of one directory together: it is walked to once in each phase, and synced once.
    let places = wanted.iter().enumerate().map(|(index, one)| (tree::split(one.path), index)).collect();
    for (_, index) in sorted(places) {
        let Some(&Wanted { path, content }) = wanted.get(index) else { continue };
        go_on(stop)?;
        let full = format!("{}{path}", dir.prefix);
        let (parent, name) = tree::split(&full);
        let (after, bytes) = content.as_ref().map(Content::facts).unzip();
        let before = if walk.enter(parent)? {
            let now = match by {
                By::Reply => tree::strict(walk.fd(), name, path)?,
                By::Undo => tree::see(walk.fd(), name, path)?,
            };
            match now {
                // Renaming over a read-only file would work, and is not what its owner meant.
                Now::There(_, mode) if mode & 0o222 == 0 && by == By::Reply => {
                    return Err(Cause::refused(path, Found::ReadOnly));
                }
                now @ (Now::There(..) | Now::Absent | Now::Other) => now.in_style(after.as_deref()),
            }
        } else {
            None
        };
        if expected.get(path).is_some_and(|shown| *shown != before) {
            return Err(Cause::Stale { path: path.to_string() });
        }
        let op = match (&before, &after) {
            (None, None) => return Err(Cause::refused(path, Found::Absent)),
            (None, Some(_)) => Op::Create,
            (Some(_), None) => Op::Delete,
            (Some(before), Some(after)) if before == after => continue,
            (Some(_), Some(_)) => Op::Change,
        };
        if op == Op::Create {
            add_missing(&mut walk, parent, &mut targets.dirs)?;
        }
        let bytes = bytes.unwrap_or(0);
        targets.steps.push(FileOp { path: path.to_string(), op, before, after, bytes });
        targets.contents.push(content);
    }
    Ok(targets)
}

/// Adds `dir` and what is missing above it.
fn add_missing(walk: &mut Walk<'_>, dir: &str, dirs: &mut BTreeSet<String>) -> Result<(), Cause> {
    let mut dir = dir;
    while !dirs.contains(dir) && !walk.enter(dir)? {
        dirs.insert(dir.to_string());
        dir = tree::split(dir).0;
    }
    Ok(())
}
