//! Asking the checks before anything is written: what is red already says what a task is about that names no file ("Fix
//! the failing test"), and is what a provider is told that writes by itself.
//!
//! **Invariant:** each check is asked once on the tree as it was; what it said is the baseline of the run.

use crate::engine::gather::{self, Search};
use crate::engine::prepare::Prepared;
use crate::engine::run::Course;
use crate::engine::verify::{self, Origin};
use crate::rules::failing;
use crate::rules::mentions::makes_new;
use crate::words::event::{Event, Watcher};
use crate::words::task::{CommandRun, Kind};

/// What the checks said of the tree as it was.
pub struct Before {
    pub commands: Vec<CommandRun>,
    /// Of the first red one: its name and the useful tail of its output.
    pub evidence: Option<String>,
}

impl Course<'_> {
    /// Asks the checks where nothing else says which file is meant, and shows the model what they lead to.
    pub fn ask_ahead(&mut self, watcher: &mut dyn Watcher) {
        if !self.facts.local_up || self.job.preview || !is_told_by_checks(self.job.task, &self.prepared) {
            return;
        }
        watcher.event(&Event::Note("the task names no file: the checks are asked what is red"));
        self.measure(watcher);
        let Some(evidence) = self.before.as_ref().and_then(|before| before.evidence.as_deref()) else {
            watcher
                .event(&Event::Note("nothing is red that could lead to a file: name one, or say what is wrong where"));
            return;
        };
        let prepared = &mut self.prepared;
        let search = Search {
            env: self.house.env,
            dir: &prepared.dir,
            task: self.job.task,
            intent: &prepared.intent,
            kind: prepared.kind,
            may_walk: true,
            marker: &self.run_id,
        };
        gather::follow(&mut prepared.context, &search, evidence, self.stop);
    }

    /// Asks the checks on the tree as it is, unless that has been done.
    pub fn measure(&mut self, watcher: &mut dyn Watcher) {
        if self.before.is_some() || self.facts.local_tries > 0 {
            return;
        }
        let stop = self.stop;
        let site = self.site(false);
        let said = verify::verify(site.proof, &site.ground, stop, watcher);
        site.baseline.begin(&said);
        self.before = Some(Before { commands: said.commands, evidence: said.evidence });
    }

    /// Returns what was red before anything was written.
    pub fn red_before(&self) -> Option<&str> {
        self.before.as_ref()?.evidence.as_deref()
    }
}

/// Whether a task speaks of something that is wrong and of no file, and there is a check that may know.
pub fn is_told_by_checks(task: &str, prepared: &Prepared) -> bool {
    let context = &prepared.context;
    prepared.kind == Kind::Change
        && prepared.proof.origin != Origin::Nowhere
        && context.files.is_empty()
        && !context.hides
        && context.to_create.is_empty()
        && !makes_new(task, &prepared.intent)
        && failing::speaks_of_a_fault(task)
}
