//! After a prompt was too much for the local model, to hold or to read in time: what of the context goes, so that another
//! try is worth it.

use crate::engine::attempt::ask::{LocalModel, prompt_tokens};
use crate::engine::gathered::{Room, Window};
use crate::engine::prepare;
use crate::engine::run::Course;
use crate::words::event::{Event, Watcher};
use crate::words::task::{Failure, Last, Phase};

impl Course<'_> {
    /// Returns how a try ended that failed by the length of its prompt, with a note for each file that is not shown any
    /// more; `None` for every other failure, also for a server that is silent for no reason that is known.
    pub fn shorten(
        &mut self,
        failure: &Failure,
        model: &LocalModel,
        number: u32,
        watcher: &mut dyn Watcher,
    ) -> Option<Last> {
        let is_last = number >= self.policy.max_local_tries;
        let task = self.job.task;
        let left_out = if let Failure::ContextOverflow { window, .. } = failure {
            if is_last {
                return Some(Last::Overflow);
            }
            // What mux added by itself is no reason to give up, nor is a long file of which some parts may do.
            let window = if *window > 0 { Window::Known(*window) } else { Window::Assumed };
            let room = Room { window, reply: prepare::longest_reply(&self.prepared), task };
            self.prepared.context.cut_further(&room)
        } else if matches!(failure, Failure::Timeout { phase: Phase::FirstToken, .. }) && !is_last {
            let tokens = model.unread(task, &self.prepared.context)?;
            let mut less = self.prepared.context.clone();
            let left_out = less.cut_to_read(tokens, task);
            // What must be shown is too much by itself.
            if prompt_tokens(task, &less) > tokens {
                return None;
            }
            self.prepared.context = less;
            left_out
        } else {
            return None;
        };
        for note in &left_out {
            watcher.event(&Event::Note(note));
        }
        match left_out.as_slice() {
            [_, ..] => Some(Last::Failed { class: failure.class(), again: true }),
            [] => matches!(failure, Failure::ContextOverflow { .. }).then_some(Last::Overflow),
        }
    }
}
