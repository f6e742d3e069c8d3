//! What a check makes of the files that it checks. A formatter that it runs gives them another layout; that is still what
//! mux has written, and is taken back, kept and undone like it. Any other change belongs to somebody else.

use super::Applied;
use super::tree::{self, Walk};
use crate::rules::layout;
use crate::rules::names::MAX_FILE_BYTES;
use crate::words::changes::FileOp;
use std::io::Read as _;
use std::os::fd::AsFd as _;

/// The texts of a changeset's files, before a check runs: see [`Applied::settle`].
pub struct Texts(Vec<Option<String>>);

/// What has become of a changeset's files.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Whether some have another layout.
    pub is_formatted: bool,
    /// Files that are no longer what was written.
    pub moved: Vec<String>,
}

impl Applied {
    /// Reads the files as they are. One that is gone, too large or no text is not compared later.
    pub fn texts(&self) -> Texts {
        let mut walk = Walk::new(self.base.as_fd());
        Texts(self.plan.steps.iter().map(|step| self.text(&mut walk, step)).collect())
    }

    /// Takes over what a check has made of the layout of files.
    pub fn settle(&mut self, before: &Texts) -> Settled {
        let mut walk = Walk::new(self.base.as_fd());
        let (mut moved, mut settled) = (Vec::new(), Vec::new());
        for (index, (step, old)) in self.plan.steps.iter().zip(&before.0).enumerate() {
            let path = self.plan.path(step);
            let (parent, name) = tree::split(&path);
            let there = walk.enter(parent).unwrap_or(false);
            let now = there.then(|| tree::now(walk.fd(), name, &step.path).ok()).flatten();
            let now = now.unwrap_or(tree::Now::Absent);
            if now.is(step.after.as_deref()) {
                continue;
            }
            let text = self.text(&mut walk, step);
            let id = now.in_style(step.after.as_deref());
            match (old, text, id) {
                (Some(old), Some(text), Some(id)) if layout::is_same(old, &text) => {
                    settled.push((index, id, text.len() as u64));
                }
                _ => moved.push(step.path.clone()),
            }
        }
        let is_formatted = !settled.is_empty();
        for (index, id, bytes) in settled {
            if let Some(step) = self.plan.steps.get_mut(index) {
                (step.after, step.bytes) = (Some(id), bytes);
            }
        }
        // A journal that cannot be written again means what it meant: after a kill these files are left alone.
        if let (true, Some(journal)) = (is_formatted, &mut self.journal) {
            let _ = journal.write(&self.plan);
        }
        Settled { is_formatted, moved }
    }

    fn text(&self, walk: &mut Walk<'_>, step: &FileOp) -> Option<String> {
        step.after.as_ref()?;
        let path = self.plan.path(step);
        let (parent, name) = tree::split(&path);
        let is_there = walk.enter(parent).ok()?;
        let (file, _) = tree::look(walk.fd(), name, &step.path).ok()?.filter(|_| is_there)?;
        let (limit, mut bytes) = (MAX_FILE_BYTES, Vec::new());
        file.take(limit as u64 + 1).read_to_end(&mut bytes).ok()?;
        String::from_utf8(bytes).ok().filter(|text| text.len() <= limit)
    }
}
