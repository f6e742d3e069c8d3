//! Git hooks: which there are, when one has nothing to do, and the script that git runs. Pure.
//!
//! Facts about git are from githooks(5) and from git 2.47 as it runs: a rebase calls `prepare-commit-msg` for every
//! commit, with the source `message`; `GIT_EDITOR=:` tells that no editor follows.

/// A hook that mux knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Writes a message into an empty one, before the editor.
    PrepareCommitMsg,
    /// Looks for secrets in the message.
    CommitMsg,
    /// Looks for secrets in what is staged; may have it reviewed.
    PreCommit,
    /// May have what is pushed reviewed.
    PrePush,
}

/// Whose a script in the place of a hook is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// As mux writes it.
    Ours,
    /// Written by mux, then changed by somebody.
    Edited,
    Foreign,
}

/// Behind the name of a hook that was there before: `pre-commit.before-mux`.
pub const BEFORE: &str = ".before-mux";
/// Behind the name of a hook that pre-commit found when it was installed; it runs it before its own.
pub const LEGACY: &str = ".legacy";
/// Files and directories in a git directory that say what goes on: the message, or the change, is somebody else's.
pub const UNDER_WAY: [&str; 6] =
    ["MERGE_HEAD", "SQUASH_MSG", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply"];

const MARK: &str = "# Made by `mux hook install`; `mux hook uninstall` takes it out.";

impl Hook {
    pub const ALL: [Hook; 4] = [Hook::PrepareCommitMsg, Hook::CommitMsg, Hook::PreCommit, Hook::PrePush];

    /// Returns git's name of it, that of the file.
    pub fn name(self) -> &'static str {
        match self {
            Hook::PrepareCommitMsg => "prepare-commit-msg",
            Hook::CommitMsg => "commit-msg",
            Hook::PreCommit => "pre-commit",
            Hook::PrePush => "pre-push",
        }
    }

    pub fn named(name: &str) -> Option<Hook> {
        Hook::ALL.into_iter().find(|hook| hook.name() == name)
    }
}

/// Returns why a hook has nothing to do, from its call alone: no file is read for it. `source` is the second argument
/// of `prepare-commit-msg`, `var` gives the variables that are set.
pub fn skips<'v>(hook: Hook, source: Option<&str>, var: &dyn Fn(&str) -> Option<&'v str>) -> Option<&'static str> {
    let is_on = |name: &str| var(name).is_some_and(|value| value != "0" && value != "false");
    let is_off = |value: &str| ["0", "false", "off", "no"].iter().any(|word| value.eq_ignore_ascii_case(word));
    if var("MUX_HOOKS").is_some_and(is_off) {
        return Some("MUX_HOOKS");
    }
    match hook {
        Hook::PrepareCommitMsg => match source {
            Some("" | "template") | None if is_on("CI") => Some("CI"),
            Some("" | "template") | None if var("GIT_EDITOR") == Some(":") => Some("no editor"),
            Some("" | "template") | None => None,
            Some(_) => Some("there is a message"),
        },
        // Secrets are looked for everywhere; reviews are for somebody who reads them.
        Hook::CommitMsg | Hook::PreCommit => None,
        Hook::PrePush => is_on("CI").then_some("CI"),
    }
}

/// Returns the script that git runs. It runs the hook that was there before, with the same arguments, input and
/// environment; it survives a mux that is gone, and one that crashes: only a 1 stops git. `mux` is the path of the
/// program.
pub fn script(hook: Hook, mux: &str) -> String {
    let (head, tail) = parts(hook);
    format!("{head}{}{tail}", mux.replace('\'', "'\\''"))
}

/// Returns whose a script is.
pub fn whose(hook: Hook, script: &[u8]) -> Whose {
    let (head, tail) = parts(hook);
    // As it was before it could be renamed.
    let former = tail.replace(&before(hook), &format!("before=$0{BEFORE}\n"));
    let is_ours = |tail: &str| script.ends_with(tail.as_bytes()) && script.len() > head.len() + tail.len();
    if script.starts_with(head.as_bytes()) && (is_ours(&tail) || is_ours(&former)) {
        Whose::Ours
    } else if script.windows(MARK.len()).any(|window| window == MARK.as_bytes()) {
        Whose::Edited
    } else {
        Whose::Foreign
    }
}

/// Whether a script asks for the name it has, as those do that are one program for several hooks (husky 4, Overcommit).
pub fn asks_its_name(script: &[u8]) -> bool {
    let text = String::from_utf8_lossy(script);
    text.contains("${0##*/}")
        || (text.contains("basename") && ["$0", "${0}", "$PROGRAM_NAME"].iter().any(|own| text.contains(own)))
}

/// Whether a script is one of pre-commit, or of who does as it does (prek): it calls what it found at its place, which it
/// has renamed, and is not to be called by that.
pub fn runs_legacy(script: &[u8]) -> bool {
    String::from_utf8_lossy(script).contains(MANAGER)
}

/// What such a script calls.
const MANAGER: &str = "hook-impl";

/// The lines that say which hook was there before. By the name that mux gave the script: it may have another by now. The
/// hook of whoever has renamed it is not called again: pre-commit, called by what it calls, ends with an error.
fn before(hook: Hook) -> String {
    let name = hook.name();
    format!(
        "before=${{0%\"${{0##*/}}\"}}{name}{BEFORE}\n\
         case $0 in *{LEGACY}) grep -q {MANAGER} \"$before\" 2>/dev/null && before= ;; esac\n"
    )
}

/// The script up to the path of mux, and from there on.
fn parts(hook: Hook) -> (String, String) {
    let name = hook.name();
    let head = format!("#!/bin/sh\n{MARK}\n# Only a 1 from mux stops git: a secret, or a strict review.\nmux='");
    let before = before(hook);
    let find = "[ -x \"$mux\" ] || mux=$(command -v mux) || exit 0\n";
    let tail = match hook {
        // The input is read once and given to both.
        Hook::PrePush => format!(
            "'\n{before}input=$(cat; echo .)\nif [ -x \"$before\" ]; then\n    \
             printf %s \"${{input%.}}\" | \"$before\" \"$@\" || exit\nfi\n{find}\
             printf %s \"${{input%.}}\" | \"$mux\" hook run {name} \"$@\"\n[ $? -ne 1 ]\n"
        ),
        Hook::PrepareCommitMsg | Hook::CommitMsg | Hook::PreCommit => {
            // A rebase comes by here for every commit: nothing is started for a message that is there already.
            let skip =
                if hook == Hook::PrepareCommitMsg { "case $2 in ''|template) ;; *) exit 0 ;; esac\n" } else { "" };
            format!(
                "'\n{before}if [ -x \"$before\" ]; then \"$before\" \"$@\" || exit; fi\n{skip}{find}\
                 \"$mux\" hook run {name} \"$@\"\n[ $? -ne 1 ]\n"
            )
        }
    };
    (head, tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hook: Hook, source: Option<&str>, vars: &[(&str, &'static str)], want: Option<&str>) {
        let var = |name: &str| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        assert_eq!(skips(hook, source, &var), want, "{hook:?} {source:?} {vars:?}");
    }

    #[test]
    fn only_a_message_that_is_empty_and_will_be_edited_is_written() {
        let hook = Hook::PrepareCommitMsg;
        check(hook, None, &[], None);
        check(hook, Some(""), &[("GIT_EDITOR", "vi"), ("CI", "false"), ("MUX_HOOKS", "1")], None);
        check(hook, Some("template"), &[], None);
        for source in ["message", "merge", "squash", "commit", "something new"] {
            check(hook, Some(source), &[], Some("there is a message"));
        }
        check(hook, None, &[("CI", "true")], Some("CI"));
        check(hook, None, &[("GIT_EDITOR", ":")], Some("no editor"));
    }

    #[test]
    fn one_variable_turns_all_hooks_off() {
        for hook in Hook::ALL {
            check(hook, None, &[("MUX_HOOKS", "0")], Some("MUX_HOOKS"));
            for value in ["false", "off", "No"] {
                check(hook, None, &[("MUX_HOOKS", value)], Some("MUX_HOOKS"));
            }
        }
        check(Hook::PreCommit, None, &[("CI", "true"), ("GIT_EDITOR", ":")], None);
        check(Hook::CommitMsg, None, &[("CI", "true"), ("GIT_EDITOR", ":")], None);
        check(Hook::PrePush, None, &[("CI", "1")], Some("CI"));
    }

    #[test]
    fn a_script_that_asks_for_its_name_is_known() {
        for script in ["case $(basename \"$0\") in", "hook_type = File.basename($0)", "name=${0##*/}"] {
            assert!(asks_its_name(script.as_bytes()), "{script}");
        }
        for script in ["cd \"$(dirname \"$0\")\"", "f=$(basename \"$1\")", "\u{fffd}"] {
            assert!(!asks_its_name(script.as_bytes()), "{script}");
        }
    }

    #[test]
    fn a_script_is_known_again_and_an_edited_one_too() {
        for hook in Hook::ALL {
            let script = script(hook, "/opt/it's here/mux");
            assert!(script.contains("\nmux='/opt/it'\\''s here/mux'\n"), "{script}");
            assert!(script.is_ascii() && script.ends_with(&format!("hook run {} \"$@\"\n[ $? -ne 1 ]\n", hook.name())));
            assert_eq!(whose(hook, script.as_bytes()), Whose::Ours);
            assert_eq!(whose(hook, script.replace(&before(hook), "before=$0.before-mux\n").as_bytes()), Whose::Ours);
            assert_eq!(whose(hook, format!("{script}echo more\n").as_bytes()), Whose::Edited);
            assert_eq!(whose(hook, script.replace("[ -x", "[ -f").as_bytes()), Whose::Edited);
            assert_eq!(whose(hook, b"#!/bin/sh\nmux hook run pre-commit\n"), Whose::Foreign);
            assert_eq!(whose(hook, b""), Whose::Foreign);
            assert_eq!(Hook::named(hook.name()), Some(hook));
        }
        assert_eq!(whose(Hook::PrePush, script(Hook::PreCommit, "/mux").as_bytes()), Whose::Edited);
        assert_eq!(Hook::named("post-commit"), None);
    }
}
