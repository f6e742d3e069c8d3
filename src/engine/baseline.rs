//! What was red before the run. Measured lazily: the first red command that a change leaves is run once on the tree as it
//! was, and remembered for the rest of the run.
//!
//! **Invariant:** the tree holds no change of the run while [`Baseline::learn`] runs; its caller has rolled back.

use crate::engine::verify::{self, Ground, Origin};
use crate::rules::failing::is_no_worse;
use crate::words::event::{Event, Watcher};
use crate::words::stop::Stop;
use crate::words::task::{Failures, Proof, Red};
use std::collections::{BTreeMap, BTreeSet};

/// How many tests a sentence names.
const NAMED: usize = 5;

/// For each command that was red after a change: what it said before it.
#[derive(Default)]
pub struct Baseline(BTreeMap<Vec<String>, Before>);

/// What a command said on the tree as it was.
struct Before {
    /// `None` where it did not exit by itself.
    exit: Option<i32>,
    /// `None`: that cannot be compared.
    failures: Option<Failures>,
}

/// A red proof against the tree as it was.
#[derive(Debug, PartialEq, Eq)]
pub enum Compared {
    /// Red before, and the same tests fail, or fewer by `n_fixed`. With the sentence for the user.
    NoWorse {
        n_fixed: usize,
        remark: String,
    },
    /// Tests fail that did not. With the line for the next try.
    Worse(String),
    Unknown,
}

impl Baseline {
    /// Runs the red commands of a proof that were not run on the tree as it was before, and adds these runs to it.
    pub fn learn(
        &mut self,
        proof: &mut Proof,
        origin: Origin,
        ground: &Ground<'_>,
        stop: &Stop,
        watcher: &mut dyn Watcher,
    ) {
        for red in &proof.red {
            if self.0.contains_key(&red.argv) || stop.reason().is_some() {
                continue;
            }
            watcher.event(&Event::Note("the same check on the files as they were: was it red before?"));
            let failures = verify::run_again(&red.argv, origin, ground, stop, watcher, &mut proof.commands);
            let exit = proof.commands.last().and_then(|run| run.exit);
            self.0.insert(red.argv.clone(), Before { exit, failures });
        }
    }

    /// Takes what verification said of the untouched tree.
    pub fn begin(&mut self, before: &Proof) {
        for run in &before.commands {
            let red = before.red.iter().find(|red| red.argv == run.argv);
            let green = || Failures { exit: 0, names: BTreeSet::new(), n_passed: 0 };
            let failures = red.map_or_else(|| (run.exit == Some(0)).then(green), |red| red.failures.clone());
            self.0.insert(run.argv.clone(), Before { exit: run.exit, failures });
        }
    }

    /// Returns whether a command that has been learned said before the run that something is wrong.
    pub fn was_red(&self, argv: &[String]) -> bool {
        self.0.get(argv).is_some_and(|before| before.exit.is_some_and(|exit| exit != 0))
    }

    /// Compares red commands, all of which have been learned.
    pub fn compare(&self, red: &[Red]) -> Compared {
        let (mut before, mut after) = (BTreeSet::new(), BTreeSet::new());
        let mut is_no_worse_all = true;
        for red in red {
            let old = self.0.get(&red.argv).and_then(|before| before.failures.as_ref());
            let (Some(old), Some(new)) = (old, &red.failures) else {
                return Compared::Unknown;
            };
            is_no_worse_all &= is_no_worse(old, new);
            before.extend(old.names.iter().map(String::as_str));
            after.extend(new.names.iter().map(String::as_str));
        }
        if is_no_worse_all {
            let n_fixed = before.len() - after.len();
            let what = match n_fixed {
                0 => "the same ones are red after it".to_string(),
                fixed => format!("{fixed} of {} are green now, the others still red", before.len()),
            };
            let names = list(&after);
            let remark = format!("Not proven: tests were red before this change, and {what}: {names}.");
            return Compared::NoWorse { n_fixed, remark };
        }
        let new: BTreeSet<&str> = after.difference(&before).copied().collect();
        if new.is_empty() {
            return Compared::Unknown;
        }
        let old = if before.is_empty() { "" } else { " Others were red before." };
        Compared::Worse(format!("This change breaks what worked before: {}.{old}", list(&new)))
    }
}

fn list(names: &BTreeSet<&str>) -> String {
    let shown: Vec<String> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    let more = names.len() - shown.len();
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
