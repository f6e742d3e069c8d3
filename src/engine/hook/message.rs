//! `prepare-commit-msg`: a subject from the staged change, by the local model or, without it, from the list of files. The
//! user edits it.

use super::model::{reason, why};
use super::{Call, Deed};
use crate::rules::config::Style;
use crate::rules::message::{self, ask, fallback, subject, voice};
use crate::rules::reply;
use crate::rules::staged::{Staged, digest};
use crate::sys::hooks;
use crate::words::record::CloudUse;
use crate::words::task::{Reason, Route};
use std::path::Path;

/// A longer message file is left alone.
const LONGEST_FILE: u64 = 4 << 20;
/// Longest reply, in tokens: one line.
const LONGEST_REPLY: u32 = 100;

impl Call<'_> {
    pub(super) fn message(&mut self, path: &Path) {
        let file = match hooks::read_message(path, LONGEST_FILE) {
            Ok((file, true)) => file,
            Ok((_, false)) => return,
            Err(error) => return self.say(error.to_string()),
        };
        let comment = self.repo.comment(&self.until_finish());
        if message::has_text(&String::from_utf8_lossy(&file), &comment) {
            return;
        }
        let files = self.staged();
        if files.is_empty() {
            return;
        }
        let all: Vec<&Staged> = files.iter().collect();
        let style = self.settings.config.hooks.style;
        let subjects = if style == Style::Repo { self.repo.subjects(&self.until_finish()) } else { Vec::new() };
        let voice = voice(style, &subjects);
        let mut deed = Deed {
            route: Route::None,
            reason: Reason::LocalDown,
            refused: None,
            attempts: Vec::new(),
            verify_ok: None,
            summary: String::new(),
            about: digest(&all, 1000),
            output: String::new(),
            cloud: CloudUse::default(),
            remote: None,
        };
        // What the configuration got wrong was said; then it cannot be trusted to name a server either.
        if !self.is_misled() {
            let said = self.ask(
                &files,
                LONGEST_REPLY,
                &|files, room, bare| ask(voice, if bare { &[] } else { &subjects }, files, room),
                &|text| {
                    reply::declined(text).is_none().then(|| subject(text, voice, &comment, &subjects, &all)).flatten()
                },
            );
            if self.is_called_off() {
                return;
            }
            (deed.attempts, deed.cloud, deed.remote) = (said.attempts, said.cloud, said.remote);
            match said.text {
                Ok(text) => {
                    deed.route = deed.attempts.last().map_or(Route::Local, |attempt| attempt.route);
                    deed.reason = Reason::Unverified;
                    deed.output = text;
                }
                Err(failure) => {
                    deed.reason = reason(&failure);
                    self.say(format!("the message is made from the list of files: {}", why(&failure)));
                }
            }
        }
        if deed.output.is_empty() {
            deed.output = fallback(voice, &all);
        }
        match hooks::write_message(path, &message::insert(&file, &deed.output)) {
            Ok(()) => self.record(deed),
            Err(error) => self.say(format!("the message cannot be written: {error}")),
        }
    }
}
