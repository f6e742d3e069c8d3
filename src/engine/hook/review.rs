//! The reviews of `pre-commit` and `pre-push`, where they are switched on: what a model finds is said and stops nothing,
//! unless `hooks.pre_push_strict`.

use super::model::{reason, why};
use super::{Call, Deed};
use crate::rules::brief::{self, Brief};
use crate::rules::findings::{self, Findings};
use crate::rules::staged::{Reader, Staged, digest};
use crate::sys::git::hook::News;
use crate::words::chat::{Message, Role};
use crate::words::task::{Reason, Route};
use std::ffi::OsString;

/// Longest verdict, in tokens.
const LONGEST_REPLY: u32 = 400;
/// Refs of a push that are reviewed; the others are said to be left out.
const MOST_REFS: usize = 4;

impl Call<'_> {
    pub(super) fn review_staged(&mut self) {
        // Nobody reads a review there.
        if self.env.is_on("CI") || super::is_under_way(&self.git_dir) {
            return;
        }
        let files = self.staged();
        self.review(&files, "the staged change");
    }

    /// Reviews what a push brings. `input` has a line `LOCAL_REF LOCAL_ID REMOTE_REF REMOTE_ID` for each ref; `args` the
    /// name and the address of the remote.
    pub(super) fn push(&mut self, input: &str, args: &[OsString]) {
        let remote = args.first().and_then(|name| name.to_str()).unwrap_or("origin").to_string();
        // The pre-commit framework reads the input itself.
        let framework =
            ["PRE_COMMIT_LOCAL_BRANCH", "PRE_COMMIT_TO_REF", "PRE_COMMIT_REMOTE_BRANCH", "PRE_COMMIT_FROM_REF"]
                .map(|name| self.env.text(name));
        let from_variables = match framework {
            [Some(branch), Some(to), Some(other), Some(from)] => format!("{branch} {to} {other} {from}"),
            // A history that the other side has nothing of: it names no commits then.
            [Some(branch), None, Some(other), None] => {
                let to = self.repo.commit(branch, &self.until_finish()).unwrap_or_default();
                format!("{branch} {to} {other} {}", "0".repeat(to.len()))
            }
            _ => String::new(),
        };
        let remote = self.env.text("PRE_COMMIT_REMOTE_NAME").map_or(remote, str::to_string);
        let mut n_refs = 0;
        for line in input.lines().chain(from_variables.lines()) {
            let [name, local, _, before] = line.split(' ').collect::<Vec<_>>()[..] else { continue };
            let is_id = |id: &str| matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
            // A branch that is deleted brings nothing.
            if !is_id(local) || !is_id(before) || local.bytes().all(|byte| byte == b'0') {
                continue;
            }
            n_refs += 1;
            if n_refs > MOST_REFS {
                self.say(format!("only the first {MOST_REFS} refs are reviewed"));
                break;
            }
            let stop = self.until_finish();
            let news = self.repo.news(local, before, &remote, &stop);
            let news = match news {
                Ok(News::Nothing) => continue,
                Ok(news) => news,
                Err(why) => {
                    self.note(Err(why));
                    continue;
                }
            };
            let mut reader = Reader::keeping();
            let asked = self.repo.between(&news, local, &stop, &mut |bytes| reader.push(bytes));
            reader.finish();
            let files = reader.files;
            self.note(asked);
            let name = name.strip_prefix("refs/heads/").unwrap_or(name).to_string();
            self.review(&files, &name);
        }
    }

    fn review(&mut self, files: &[Staged], what: &str) {
        if files.is_empty() {
            return;
        }
        let said = self.ask(files, LONGEST_REPLY, &ask, &|text| findings::read(text).map(|_| text.to_string()));
        if self.is_called_off() {
            return;
        }
        let (verdict, reason) = match &said.text {
            Ok(text) => (findings::read(text), Reason::Unverified),
            Err(failure) => {
                self.say(format!("no review of {what}: {}", why(failure)));
                (None, reason(failure))
            }
        };
        let all: Vec<&Staged> = files.iter().collect();
        let is_ok = verdict.as_ref().is_none_or(|verdict| verdict.is_ok);
        let route = said.attempts.last().map_or(Route::None, |attempt| attempt.route);
        let model = said.attempts.last().map(|attempt| attempt.model.clone()).unwrap_or_default();
        let issues = verdict.map(|Findings { issues, .. }| issues).unwrap_or_default();
        let is_strict = self.hook == crate::rules::hook::Hook::PrePush && self.settings.config.hooks.pre_push_strict;
        for issue in &issues {
            self.say(format!("{model} on {what}: {issue}"));
        }
        if !is_ok && issues.is_empty() {
            self.say(format!("{model} on {what}: it is not content and does not say why"));
        }
        if !is_ok && is_strict {
            self.say("not pushed: `hooks.pre_push_strict` is on; `git push --no-verify` goes on");
            self.ended.stops_git = true;
        }
        self.record(Deed {
            route: if said.text.is_ok() { route } else { Route::None },
            reason,
            refused: None,
            attempts: said.attempts,
            // A model's word is no proof, neither way.
            verify_ok: None,
            summary: format!("review: {} issues", issues.len()),
            about: digest(&all, 1000),
            output: issues.join("\n"),
            cloud: said.cloud,
            remote: said.remote,
        });
    }
}

fn ask(files: &[&Staged], room: usize, _: bool) -> Vec<Message> {
    let change = digest(files, room);
    let text = brief::review(&Brief {
        task: "Look at the change below before it is shared.",
        diff: Some(&change),
        ..Brief::default()
    });
    vec![Message { role: Role::User, content: text }]
}
