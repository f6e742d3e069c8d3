//! `pre-commit` and `commit-msg`: no secret is committed. Offline; what is found stops git, and nothing else does.

use super::{Call, Deed};
use crate::rules::leaks::{self, Leak, Scan};
use crate::rules::message::message_of;
use crate::rules::staged::Reader;
use crate::sys::git::hook::merged;
use crate::sys::hooks;
use crate::words::count::Count;
use crate::words::record::CloudUse;
use crate::words::task::{Reason, Refusal, Route};
use std::path::Path;

/// Secrets that are named one by one.
const MOST_NAMED: usize = 20;
/// Bytes of a message that are looked through.
const LONGEST_MESSAGE: u64 = 4 << 20;

impl Call<'_> {
    /// Looks through the lines that the commit adds, then has the change reviewed where that is wanted.
    pub(super) fn staged_secrets(&mut self) {
        let keys = self.keys();
        let mut scan = Scan::new(&keys);
        let mut add = |path: &str, line, text: &[u8]| scan.add(path, line, text);
        let mut reader = Reader::telling(&mut add);
        let asked = self.repo.staged("-U0", &self.stop, &mut |bytes| reader.push(bytes));
        reader.finish();
        let n_files = reader.files.len();
        scan.flush();
        self.note(asked);
        let (mut leaks, n_lines) = (scan.leaks, scan.n_lines);
        // In a merge, what another side has brought is in its history already.
        for side in merged(&self.git_dir) {
            if !leaks.is_empty() {
                let theirs = self.against(&side, &keys);
                leaks.retain(|leak| theirs.contains(leak));
            }
        }
        let is_clean = leaks.is_empty();
        let (lines, files) = (Count::of(n_lines, "added line"), Count::of(n_files, "file"));
        self.judge(leaks, &format!("in {lines} of {files}"), n_files > 0);
        if is_clean && n_files > 0 && self.settings.config.hooks.pre_commit_review {
            self.review_staged();
        }
    }

    /// The secrets that the staged change adds against another commit.
    fn against(&mut self, base: &str, keys: &[String]) -> Vec<Leak> {
        let mut scan = Scan::new(keys);
        let mut add = |path: &str, line, text: &[u8]| scan.add(path, line, text);
        let mut reader = Reader::telling(&mut add);
        let asked = self.repo.staged_against(base, "-U0", &self.stop, &mut |bytes| reader.push(bytes));
        reader.finish();
        scan.flush();
        self.note(asked);
        scan.leaks
    }

    /// Looks through the message, up to the scissors.
    pub(super) fn message_secrets(&mut self, path: &Path) {
        let bytes = match hooks::read_message(path, LONGEST_MESSAGE) {
            Ok((bytes, _)) => bytes,
            Err(error) => return self.say(error.to_string()),
        };
        let text = String::from_utf8_lossy(&bytes);
        let keys = self.keys();
        let mut scan = Scan::new(&keys);
        for (line, text) in (1..).zip(message_of(&text).lines()) {
            scan.add("the message", line, text.as_bytes());
        }
        scan.flush();
        // Nothing is recorded of a message without a secret: every commit has one.
        let is_clean = scan.leaks.is_empty();
        self.judge(scan.leaks, "in the message", !is_clean);
        if !is_clean {
            let path = path.display();
            self.say(format!("the message is kept: `git commit -eF {path}` edits it"));
        }
    }

    /// The values of configured keys: they have no shape of their own.
    fn keys(&self) -> Vec<String> {
        let name = &self.settings.config.providers.local.api_key_env;
        self.env.text(name).map(str::to_string).into_iter().collect()
    }

    fn judge(&mut self, leaks: Vec<Leak>, place: &str, is_deed: bool) {
        let n_places = leaks.len();
        let alarms = leaks::alarms(leaks);
        for alarm in alarms.iter().take(MOST_NAMED) {
            self.say(alarm.line());
        }
        if alarms.len() > MOST_NAMED {
            self.say(format!("and {}", Count::of(alarms.len() - MOST_NAMED, "more secret")));
        }
        let is_clean = alarms.is_empty();
        if !is_clean {
            let line = if n_places > alarms.len() { "each of its lines" } else { "its line" };
            self.say(format!(
                "not committed: take the secret out; if it is none, write `mux: allow-secret` on {line}, or `MUX_HOOKS=0 git \
                 commit` where that cannot stand"
            ));
            self.ended.stops_git = true;
        }
        let n = alarms.len();
        let at = if n_places > n { format!(" at {n_places} places") } else { String::new() };
        let summary = format!("secrets: {n}{at} {place}");
        if is_deed {
            self.record(Deed {
                route: if is_clean { Route::Local } else { Route::None },
                reason: if is_clean { Reason::Verified } else { Reason::VerifyFailed },
                refused: (!is_clean).then_some(Refusal::Secret),
                attempts: Vec::new(),
                verify_ok: Some(is_clean),
                summary,
                about: String::new(),
                output: String::new(),
                cloud: CloudUse::default(),
                remote: None,
            });
        }
    }
}
