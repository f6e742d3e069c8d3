//! Git hooks with real git: what `mux hook install` puts there, and what each hook does in every kind of repository and
//! with every kind of model server. `RECORD=http://127.0.0.1:8080 cargo test --test it hooks::a_model` records a reply.

mod asked;
mod managers;
mod silent;

use crate::bench::{Ran, World, manifest, run};
use crate::record;
use crate::replay::Server;
use fs_err as fs;
use serde_json::Value;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

/// Nothing listens there.
const NOWHERE: &str = "http://127.0.0.1:1";

/// A repository in a world of its own, with hooks of mux.
struct Repo {
    world: World,
    /// The top of the work tree that the test is in.
    at: PathBuf,
}

impl Repo {
    /// An empty repository, without hooks.
    fn bare_of_hooks(name: &str, server: &str) -> Repo {
        let world = World::new(name);
        world.configure(&format!(
            "providers:\n  local:\n    base_url: \"{server}/v1\"\n    model: qwen-coder-1.5b\nhooks:\n  deadline_sec: 30\n"
        ));
        let repo = Repo { at: world.work.clone(), world };
        repo.git(&["init", "-q", "-b", "main"]);
        repo
    }

    /// With all hooks.
    fn new(name: &str, server: &str) -> Repo {
        let repo = Repo::bare_of_hooks(name, server);
        repo.mux(&["hook", "install"]);
        repo
    }

    /// With one commit.
    fn begun(name: &str, server: &str) -> Repo {
        let repo = Repo::new(name, server);
        repo.write("base.txt", "one\n");
        repo.git(&["add", "-A"]);
        repo.git(&["commit", "-q", "--no-verify", "-m", "Add a base"]);
        repo
    }

    fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = self.world.command(program);
        command.current_dir(&self.at).env("GIT_EDITOR", "true");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "t").env(format!("GIT_{who}_EMAIL"), "t@example.com");
        }
        command
    }

    fn tool(&self, name: &str) -> PathBuf {
        self.world.root.join("bin").join(name)
    }

    fn try_git(&self, args: &[&str], vars: &[(&str, &str)]) -> Ran {
        let mut command = self.command(self.tool("git"));
        command.args(["-c", "protocol.file.allow=always"]).args(args).envs(vars.iter().copied());
        run(command, b"")
    }

    #[track_caller]
    fn git(&self, args: &[&str]) -> String {
        let ran = self.try_git(args, &[]);
        assert_eq!(ran.exit, 0, "{}", ran.report());
        String::from_utf8_lossy(&ran.stdout).trim_end().to_string()
    }

    #[track_caller]
    fn mux(&self, args: &[&str]) -> String {
        let mut command = self.command(env!("CARGO_BIN_EXE_mux"));
        command.args(args);
        let ran = run(command, b"");
        assert_eq!(ran.exit, 0, "{}", ran.report());
        self.masked(&ran.stdout)
    }

    fn masked(&self, text: &[u8]) -> String {
        String::from_utf8_lossy(text).replace(self.world.root.to_str().unwrap(), "~")
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.at.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Commits what is staged as a person does: with an editor. Returns what mux said, and the subject of the commit.
    #[track_caller]
    fn commit(&self, args: &[&str]) -> (String, String) {
        self.commit_with(args, &[])
    }

    #[track_caller]
    fn commit_with(&self, args: &[&str], vars: &[(&str, &str)]) -> (String, String) {
        let ran = self.try_git(&[&["commit", "-q"], args].concat(), vars);
        assert_eq!(ran.exit, 0, "{}", ran.report());
        (self.masked(&ran.stderr), self.git(&["log", "-1", "--format=%s"]))
    }

    fn records(&self) -> Vec<Value> {
        let path = self.world.root.join("state/mux/run_ledger.jsonl");
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Hook, route, reason and proof of each record.
    fn deeds(&self) -> Vec<String> {
        let deed = |record: &Value| {
            assert_eq!(record["source"], "hook");
            let part = |name: &str| record[name].as_str().map_or_else(|| record[name].to_string(), str::to_string);
            ["hook", "route", "reason", "verify_ok"].map(part).join(" ")
        };
        self.records().iter().map(deed).collect()
    }

    fn hook(&self, name: &str) -> PathBuf {
        self.at.join(".git/hooks").join(name)
    }
}

/// Writes an executable script.
fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\n{text}")).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

/// Looks like a token of GitHub; made here, so that no scanner trips over this file.
fn token() -> String {
    format!("gh{}_{}", 'p', "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zC1234")
}

const DOWN: &str = "mux: the message is made from the list of files: ";

#[test]
fn a_model_writes_the_message_and_the_user_edits_it() {
    let folder = manifest().join("fixtures/hooks/message/http");
    let server = Server::with(&folder, record::upstream());
    let repo = Repo::begun("hook_message", &server.url());
    for (name, text) in [("pager.py", "def pages(items, size):\n    return len(items) // size\n"), ("readme", "x\n")] {
        repo.write(name, text);
    }
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-q", "--no-verify", "-m", "Add a pager"]);
    repo.write("pager.py", "def pages(items, size):\n    return (len(items) + size - 1) // size\n");
    repo.git(&["add", "-A"]);
    let editor = "cat \"$1\" > \"$TMPDIR/seen\"; echo \"the last word\" >> \"$1\"";
    script(&repo.world.root.join("editor"), editor);
    let editor = repo.world.root.join("editor");
    let (said, subject) = repo.commit_with(&[], &[("GIT_EDITOR", editor.to_str().unwrap())]);
    let seen = fs::read_to_string(repo.world.root.join("tmp/seen")).unwrap();
    let body = repo.git(&["log", "-1", "--format=%B"]);
    let requests = server.end();
    assert_eq!((said.as_str(), requests.len()), ("", 1));
    let recorded = folder.join("1.request.json");
    if record::upstream().is_some() {
        fs::write(&recorded, &requests[0]).unwrap();
    }
    assert_eq!(String::from_utf8_lossy(&requests[0]), String::from_utf8_lossy(&fs::read(recorded).unwrap()));
    let expected = fs::read_to_string(folder.with_file_name("subject")).unwrap();
    assert_eq!(subject, expected.trim_end());
    let rest = seen.strip_prefix(&expected).unwrap_or_else(|| panic!("{seen}"));
    assert!(rest.starts_with("\n# Please enter the commit message"), "{seen}");
    assert!(body.ends_with("the last word"), "{body}");
    assert_eq!(repo.deeds(), ["pre-commit local verified true", "prepare-commit-msg local unverified null"]);
    let record = &repo.records()[1];
    assert_eq!((&record["model"], &record["task_length"].is_u64()), (&"qwen-coder-1.5b".into(), &true));
    assert_eq!(record["output_length"], expected.trim_end().chars().count());
    assert!(record.get("output").is_none(), "no text is stored unasked: {record}");
}

#[test]
fn a_hook_that_has_nothing_to_do_reads_nothing_and_starts_nothing() {
    let repo = Repo::begun("hook_skip", NOWHERE);
    // A configuration that cannot be read would be said, and so would a git that is not there.
    repo.world.configure("no: such: file");
    let skip = |args: &[&str], vars: &[(&str, &str)]| {
        let mut command = repo.command(env!("CARGO_BIN_EXE_mux"));
        command.args(["hook", "run"]).args(args).env("PATH", "/nonexistent").envs(vars.iter().copied());
        let ran = run(command, b"");
        assert!((ran.exit, ran.stdout.is_empty(), ran.stderr.is_empty()) == (0, true, true), "{}", ran.report());
    };
    let file = ".git/COMMIT_EDITMSG";
    for source in ["message", "merge", "squash", "commit"] {
        skip(&["prepare-commit-msg", file, source], &[]);
    }
    skip(&["prepare-commit-msg", file], &[("CI", "true")]);
    skip(&["prepare-commit-msg", file], &[("GIT_EDITOR", ":")]);
    for hook in ["prepare-commit-msg", "commit-msg", "pre-commit", "pre-push"] {
        skip(&[hook, file], &[("MUX_HOOKS", "0")]);
    }
    for state in ["MERGE_HEAD", "SQUASH_MSG", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply"] {
        repo.write(&format!(".git/{state}"), "x");
        skip(&["prepare-commit-msg", file], &[]);
        fs::remove_file(repo.at.join(".git").join(state)).unwrap();
    }
    assert!(!repo.world.root.join("state/mux").exists(), "a skipped hook leaves nothing behind");
    // The trap works.
    let mut command = repo.command(env!("CARGO_BIN_EXE_mux"));
    command.args(["hook", "run", "prepare-commit-msg", file]);
    let ran = run(command, b"");
    assert!(ran.exit == 0 && repo.masked(&ran.stderr).starts_with("mux: cannot read config"), "{}", ran.report());
}

#[test]
fn no_message_of_somebody_is_touched() {
    let server = Server::start(Path::new("/nonexistent"));
    let repo = Repo::begun("hook_untouched", &server.url());
    let change = |text: &str| {
        repo.write("base.txt", text);
        repo.git(&["add", "-A"]);
    };
    change("two\n");
    assert_eq!(repo.commit(&["-m", "Say two"]), (String::new(), "Say two".to_string()));
    change("three\n");
    assert_eq!(repo.commit(&["--amend"]).1, "Say two");
    repo.git(&["checkout", "-q", "-b", "side", "HEAD~1"]);
    repo.write("side.txt", "s\n");
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-q", "-m", "Add a side"]);
    repo.git(&["cherry-pick", "-e", "main"]);
    repo.git(&["rebase", "-q", "main"]);
    repo.git(&["checkout", "-q", "main"]);
    repo.write("more.txt", "m\n");
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-q", "-m", "Add more"]);
    repo.git(&["merge", "-q", "-e", "side"]);
    repo.git(&["revert", "-e", "HEAD~1"]);
    repo.git(&["checkout", "-q", "-b", "squashed", "HEAD~1"]);
    repo.write("last.txt", "l\n");
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-q", "-m", "Add the last"]);
    repo.git(&["checkout", "-q", "main"]);
    repo.git(&["merge", "-q", "--squash", "squashed"]);
    assert!(repo.commit(&[]).1.starts_with("Squashed commit"));
    assert_eq!((server.heads(), server.end().len()), (Vec::new(), 0), "no model was asked, nor looked for");
    assert!(repo.deeds().iter().all(|deed| deed == "pre-commit local verified true"), "{:?}", repo.deeds());
}

#[test]
fn without_a_usable_server_the_files_are_told_and_nothing_is_blocked() {
    let garbage = World::new("hook_garbage_server");
    fs::write(garbage.root.join("every.response.raw"), b"\x00\x01not http at all\r\n\r\n").unwrap();
    let hung = World::new("hook_hung_server");
    fs::write(hung.root.join("1.response.json"), "{}").unwrap();
    fs::write(hung.root.join("1.play"), "hang\n").unwrap();
    let servers = [&garbage, &hung].map(|world| Server::start(&world.root));
    let [garbled, silent] = [0, 1].map(|n: usize| servers[n].url());
    // Only the one that hangs is waited for.
    for (name, url, deadline) in [("down", NOWHERE, 30), ("garbage", &garbled, 30), ("hung", &silent, 4)] {
        let repo = Repo::begun(&format!("hook_{name}"), url);
        repo.world.configure(&format!(
            "providers:\n  local:\n    base_url: \"{url}/v1\"\n    model: m\nhooks:\n  deadline_sec: {deadline}\n"
        ));
        repo.write("src/new.rs", "fn x() {}\n");
        repo.git(&["add", "-A"]);
        let (said, subject) = repo.commit(&[]);
        assert!(said.starts_with(DOWN) && said.lines().count() == 1, "{name}: {said}");
        assert_eq!(subject, "Add src/new.rs", "{name}");
        let deeds = repo.deeds();
        let reason = if name == "down" { "local_down" } else { "local_failed:" };
        assert!(deeds[1].starts_with(&format!("prepare-commit-msg none {reason}")), "{deeds:?}");
        if name == "hung" {
            // A model that has missed three deadlines keeps nobody waiting.
            let ledger = repo.world.root.join("state/mux/run_ledger.jsonl");
            let text = fs::read_to_string(&ledger).unwrap();
            fs::write(&ledger, format!("{text}{0}\n{0}\n", text.lines().last().unwrap())).unwrap();
            repo.write("src/more.rs", "fn y() {}\n");
            repo.git(&["add", "-A"]);
            let (said, subject) = repo.commit(&[]);
            assert_eq!(said, format!("{DOWN}the model was too slow three times, and is left alone for an hour\n"));
            assert_eq!(subject, "Add src/more.rs");
        }
    }
    let asked = servers.map(|server| server.end().len());
    assert_eq!(asked[1], 1, "the hung one was asked once");
}

#[test]
fn a_broken_configuration_blocks_no_commit_and_lets_no_secret_through() {
    let repo = Repo::begun("hook_config", NOWHERE);
    repo.world.configure("hooks:\n  deadline: 3\n");
    repo.write("a.txt", "a\n");
    repo.git(&["add", "-A"]);
    let (said, subject) = repo.commit(&[]);
    assert_eq!(subject, "Add a.txt");
    let line = "mux: cannot read config: unknown key `hooks.deadline` (at: ~/config/mux/mux.yaml:2:3)";
    assert!(said.lines().count() == 3 && said.lines().all(|said| said == line), "{said}");
    repo.write("b.txt", format!("t = {}\n", token()));
    repo.git(&["add", "-A"]);
    let ran = repo.try_git(&["commit", "-m", "b"], &[]);
    assert!(ran.exit == 1 && repo.masked(&ran.stderr).contains("mux: b.txt:1: github-token: "), "{}", ran.report());
}

#[test]
fn a_secret_stops_the_commit_and_is_named_without_being_shown() {
    let repo = Repo::begun("hook_secret", NOWHERE);
    let token = token();
    repo.write("conf/app.ini", format!("[x]\na = 1\nkey = {token}\n"));
    repo.git(&["add", "-A"]);
    let ran = repo.try_git(&["commit", "-m", "Add it"], &[]);
    let expected = "mux: conf/app.ini:3: github-token: key = [redacted:github-token]\nmux: not committed: take the secret \
                    out; if it is none, write `mux: allow-secret` on its line, or `MUX_HOOKS=0 git commit` where that \
                    cannot stand\n";
    assert_eq!((ran.exit, repo.masked(&ran.stderr).as_str()), (1, expected), "{}", ran.report());
    let ledger = fs::read_to_string(repo.world.root.join("state/mux/run_ledger.jsonl")).unwrap();
    assert!(!ledger.contains(&token), "{ledger}");
    assert_eq!(repo.deeds(), ["pre-commit none verify_failed false"]);
    assert_eq!(repo.records()[0]["refused"], "secret");
    // Its author says that it is none.
    repo.write("conf/app.ini", format!("[x]\na = 1\nkey = {token} # mux: allow-secret\n"));
    repo.git(&["add", "-A"]);
    assert_eq!(repo.commit(&["-m", "Add it"]).0, "");
    // What was there before is no news, nor is what goes away.
    repo.write("conf/app.ini", format!("[x]\na = 2\nkey = {token} # mux: allow-secret\n"));
    repo.git(&["add", "-A"]);
    assert_eq!(repo.commit(&["-m", "Change it"]).0, "");
    // A message is looked at as well, and with MUX_HOOKS=0 nothing is.
    repo.write("b.txt", "b\n");
    repo.git(&["add", "-A"]);
    let ran = repo.try_git(&["commit", "-m", &format!("Use {token}")], &[]);
    let expected = "mux: the message:1: github-token: Use [redacted:github-token]\n";
    assert!(ran.exit == 1 && repo.masked(&ran.stderr).starts_with(expected), "{}", ran.report());
    assert_eq!(repo.commit_with(&["-m", &format!("Use {token}")], &[("MUX_HOOKS", "0")]).0, "");
}

#[test]
fn a_secret_in_several_files_is_one_alarm_and_each_place_is_allowed_by_itself() {
    let repo = Repo::begun("hook_places", NOWHERE);
    let token = token();
    repo.write("a.ini", format!("key = {token} # mux: allow-secret\nkey = {token}\n"));
    repo.write("b.ini", format!("a = 1\nold = {token}\n"));
    repo.write("c.ini", format!("{token}\n"));
    repo.git(&["add", "-A"]);
    let ran = repo.try_git(&["commit", "-m", "Add them"], &[]);
    let expected = "mux: a.ini:2: github-token: key = [redacted:github-token] (and 2 more places: b.ini:2, c.ini:1)\n\
                    mux: not committed: take the secret out; if it is none, write `mux: allow-secret` on each of its \
                    lines, or `MUX_HOOKS=0 git commit` where that cannot stand\n";
    assert_eq!((ran.exit, repo.masked(&ran.stderr).as_str()), (1, expected), "{}", ran.report());
    let record = repo.records().pop().unwrap();
    assert_eq!(record["verify_summary"], "secrets: 1 at 3 places in 5 added lines of 3 files", "{record}");
    // With two of three allowed, the third is left.
    repo.write("a.ini", format!("key = {token} # mux: allow-secret\n"));
    repo.write("b.ini", format!("a = 1\nold = {token} # mux: allow-secret\n"));
    repo.git(&["add", "-A"]);
    let ran = repo.try_git(&["commit", "-m", "Add them"], &[]);
    let expected = "mux: c.ini:1: github-token: [redacted:github-token]\n";
    assert!(ran.exit == 1 && repo.masked(&ran.stderr).starts_with(expected), "{}", ran.report());
    repo.write("c.ini", format!("{token} # mux: allow-secret\n"));
    repo.git(&["add", "-A"]);
    assert_eq!(repo.commit(&["-m", "Add them"]).0, "");
}

#[test]
fn a_merge_is_not_blocked_by_what_the_other_side_has() {
    let repo = Repo::begun("hook_merge", NOWHERE);
    repo.git(&["checkout", "-q", "-b", "side"]);
    repo.write("theirs.txt", format!("t {}\n", token()));
    repo.write("base.txt", "side\n");
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-q", "--no-verify", "-m", "Theirs"]);
    repo.git(&["checkout", "-q", "main"]);
    repo.write("base.txt", "main\n");
    repo.git(&["commit", "-q", "-a", "-m", "Ours"]);
    assert_eq!(repo.try_git(&["merge", "-q", "side"], &[]).exit, 1);
    repo.write("base.txt", "both\n");
    repo.git(&["add", "-A"]);
    assert_eq!(repo.commit(&[]).0, "");
    // What the merge itself brings in is news.
    repo.git(&["reset", "-q", "--hard", "HEAD~1"]);
    assert_eq!(repo.try_git(&["merge", "-q", "side"], &[]).exit, 1);
    repo.write("base.txt", format!("both {}\n", token()));
    repo.git(&["add", "-A"]);
    let ran = repo.try_git(&["commit", "-q"], &[]);
    let said = repo.masked(&ran.stderr);
    assert!(ran.exit == 1 && said.contains("base.txt:1") && !said.contains("theirs.txt"), "{}", ran.report());
}

#[test]
fn a_merge_of_several_sides_is_not_blocked_by_what_one_of_them_has() {
    let repo = Repo::begun("hook_octopus", NOWHERE);
    for (side, end) in [("one", "5"), ("two", "6")] {
        repo.git(&["checkout", "-q", "-b", side, "main"]);
        repo.write(&format!("{side}.txt"), format!("t {}{end}\n", token()));
        repo.git(&["add", "-A"]);
        repo.git(&["commit", "-q", "--no-verify", "-m", side]);
    }
    repo.git(&["checkout", "-q", "main"]);
    repo.write("base.txt", "main\n");
    repo.git(&["commit", "-q", "-a", "-m", "Ours"]);
    repo.git(&["merge", "-q", "--no-commit", "one", "two"]);
    repo.write("news.txt", format!("t {}7\n", token()));
    repo.git(&["add", "-A"]);
    let ran = repo.try_git(&["commit", "-q"], &[]);
    let said = repo.masked(&ran.stderr);
    assert!(ran.exit == 1 && said.starts_with("mux: news.txt:1: github-token: "), "{}", ran.report());
    assert!(!said.contains("one.txt") && !said.contains("two.txt"), "{said}");
    repo.git(&["rm", "-q", "-f", "news.txt"]);
    assert_eq!(repo.commit(&[]).0, "");
}

#[test]
fn a_file_that_is_only_meant_to_be_added_is_no_part_of_the_commit() {
    let repo = Repo::begun("hook_intent", NOWHERE);
    repo.write("later.txt", "x\n");
    repo.git(&["add", "-N", "later.txt"]);
    repo.write("now.txt", "x\n");
    repo.git(&["add", "now.txt"]);
    assert_eq!(repo.commit(&[]).1, "Add now.txt");
    assert_eq!(repo.git(&["status", "--short"]), " A later.txt");
}

#[test]
fn the_first_commit_a_detached_head_and_a_shallow_clone_get_their_message() {
    let repo = Repo::new("hook_places", NOWHERE);
    repo.write("a.txt", "a\n");
    repo.git(&["add", "-A"]);
    assert_eq!(repo.commit(&[]).1, "Add a.txt");
    repo.write("b.txt", "b\n");
    repo.git(&["add", "-A"]);
    assert_eq!(repo.commit(&[]).1, "Add b.txt");
    repo.git(&["checkout", "-q", "--detach"]);
    repo.write("a.txt", "aa\n");
    repo.git(&["add", "-A"]);
    assert_eq!(repo.commit(&[]).1, "Update a.txt");
    let shallow = repo.world.root.join("shallow");
    let url = format!("file://{}", repo.at.display());
    repo.git(&["clone", "-q", "--depth=1", &url, shallow.to_str().unwrap()]);
    let repo = Repo { at: shallow, ..repo };
    repo.mux(&["hook", "install"]);
    assert_eq!(repo.git(&["rev-parse", "--is-shallow-repository"]), "true");
    repo.write("c.txt", "c\n");
    repo.git(&["add", "-A"]);
    assert_eq!(repo.commit(&[]).1, "Add c.txt");
    let sha256 = repo.world.root.join("sha256");
    repo.git(&["init", "-q", "--object-format=sha256", sha256.to_str().unwrap()]);
    let repo = Repo { at: sha256, ..repo };
    repo.mux(&["hook", "install"]);
    repo.write("d.txt", "d\n");
    repo.git(&["add", "-A"]);
    assert_eq!(repo.commit(&[]).1, "Add d.txt");
}

#[test]
fn a_linked_worktree_and_a_submodule_have_their_own_index_and_their_own_hooks() {
    let repo = Repo::begun("hook_linked", NOWHERE);
    // A token that is staged in the main work tree is no business of the others.
    repo.write("token.txt", format!("t {}\n", token()));
    repo.git(&["add", "-A"]);
    let index = fs::read(repo.at.join(".git/index")).unwrap();
    let (linked, top) = (repo.world.root.join("linked"), repo.world.root.join("top"));
    repo.git(&["worktree", "add", "-q", "-b", "side", linked.to_str().unwrap()]);
    let main = repo.at.clone();
    let repo = Repo { at: linked, ..repo };
    repo.write("l.txt", "l\n");
    repo.git(&["add", "-A"]);
    assert_eq!(repo.commit(&[]).1, "Add l.txt");
    assert!(repo.mux(&["hook", "status"]).starts_with("hooks: ~/work/.git/hooks\nprepare-commit-msg: installed\n"));
    repo.write("l.txt", format!("t {}\n", token()));
    repo.git(&["add", "-A"]);
    assert_eq!(repo.try_git(&["commit", "-q"], &[]).exit, 1);
    assert_eq!(fs::read(main.join(".git/index")).unwrap(), index);

    fs::create_dir(&top).unwrap();
    let repo = Repo { at: top, ..repo };
    repo.git(&["init", "-q", "-b", "main"]);
    repo.git(&["submodule", "--quiet", "add", main.to_str().unwrap(), "sub"]);
    repo.git(&["commit", "-q", "-m", "Add a submodule"]);
    let top = repo.at.clone();
    let repo = Repo { at: top.join("sub"), ..repo };
    let installed = repo.mux(&["hook", "install", "pre-commit", "prepare-commit-msg"]);
    assert!(installed.starts_with("hooks: ~/top/.git/modules/sub/hooks\n"), "{installed}");
    repo.write("s.txt", "s\n");
    repo.git(&["add", "-A"]);
    assert_eq!(repo.commit(&[]).1, "Add s.txt");
    let repo = Repo { at: top, ..repo };
    repo.mux(&["hook", "install"]);
    repo.git(&["add", "-A"]);
    assert_eq!(repo.commit(&[]).1, "Update sub");
}

#[test]
fn a_partial_commit_is_looked_at_by_its_own_index() {
    let repo = Repo::begun("hook_partial", NOWHERE);
    repo.write("clean.txt", "c\n");
    repo.write("dirty.txt", format!("t {}\n", token()));
    repo.git(&["add", "-A"]);
    // Only what is committed counts, and only that is told.
    assert_eq!(repo.commit(&["--", "clean.txt"]).1, "Add clean.txt");
    assert_eq!(repo.try_git(&["commit", "-q", "--", "dirty.txt"], &[]).exit, 1);
    repo.git(&["rm", "-q", "--cached", "dirty.txt"]);
    let lines = (0..40).map(|n| n.to_string() + "\n").collect::<String>();
    repo.write("base.txt", &lines);
    repo.git(&["commit", "-q", "-m", "Count", "base.txt"]);
    repo.write("base.txt", lines.replacen("0\n", "zero\n", 1) + &format!("t {}\n", token()));
    let answer = |keys: &str| {
        let mut command = repo.command(repo.tool("git"));
        command.args(["commit", "-q", "-p"]);
        run(command, keys.as_bytes())
    };
    let ran = answer("n\ny\n");
    assert!(ran.exit == 1 && repo.masked(&ran.stderr).contains("base.txt:41: github-token"), "{}", ran.report());
    repo.git(&["reset", "-q"]);
    let ran = answer("y\nn\n");
    assert_eq!(
        (ran.exit, repo.git(&["log", "-1", "--format=%s"]).as_str()),
        (0, "Update base.txt"),
        "{}",
        ran.report()
    );
    assert_eq!(repo.git(&["diff", "--numstat"]), "1\t0\tbase.txt");
}

#[test]
fn a_poisoned_environment_leads_no_child_astray() {
    let repo = Repo::begun("hook_poison", NOWHERE);
    let other = repo.world.root.join("other");
    repo.git(&["init", "-q", "-b", "main", other.to_str().unwrap()]);
    repo.write("a.txt", format!("t {}\n", token()));
    repo.git(&["add", "-A"]);
    // A time that does not fit makes git refresh the index wherever it may.
    fs::File::options().write(true).open(repo.at.join("base.txt")).unwrap().set_modified(UNIX_EPOCH).unwrap();
    let state = |repo: &Repo| {
        let path = repo.at.join(".git/index");
        let meta = fs::metadata(&path).unwrap();
        (fs::read(&path).unwrap(), meta.ino(), meta.mtime(), meta.mtime_nsec())
    };
    let index = state(&repo);
    let at = |name: &str| other.join(name).to_str().unwrap().to_string();
    let pwned = repo.world.root.join("pwned");
    script(&repo.world.root.join("evil"), &format!("touch {}\ncat", pwned.display()));
    let evil = repo.world.root.join("evil").to_str().unwrap().to_string();
    let hook = |hook: &[&str], vars: &[(&str, &str)]| {
        let mut command = repo.command(env!("CARGO_BIN_EXE_mux"));
        command.args(["hook", "run"]).args(hook).envs(vars.iter().copied());
        run(command, b"")
    };
    let work_tree = other.to_str().unwrap().to_string();
    let poisons = [
        vec![("GIT_DIR", at("nothing")), ("GIT_INDEX_FILE", at("no index"))],
        vec![("GIT_WORK_TREE", work_tree.clone())],
        vec![("GIT_OBJECT_DIRECTORY", at(".git/objects")), ("GIT_COMMON_DIR", at(".git"))],
        vec![("GIT_NAMESPACE", "x".to_string()), ("GIT_PREFIX", "x/".to_string())],
        vec![("GIT_EXTERNAL_DIFF", evil.clone()), ("GIT_PAGER", evil.clone()), ("GIT_SSH_COMMAND", evil.clone())],
        vec![
            ("GIT_CONFIG_COUNT", "1".to_string()),
            ("GIT_CONFIG_KEY_0", "diff.external".to_string()),
            ("GIT_CONFIG_VALUE_0", evil.clone()),
        ],
    ];
    // So does what the repository itself names.
    for (key, value) in [("diff.evil.textconv", &evil), ("diff.evil.command", &evil), ("core.fsmonitor", &evil)] {
        repo.git(&["config", key, value]);
    }
    repo.git(&["config", "filter.evil.clean", &evil]);
    repo.git(&["config", "diff.noprefix", "true"]);
    repo.write(".git/info/attributes", "*.txt diff=evil filter=evil\n");
    for poison in poisons {
        let vars: Vec<(&str, &str)> = poison.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let ran = hook(&["pre-commit"], &vars);
        let said = repo.masked(&ran.stderr);
        assert!(ran.exit == 1 && said.starts_with("mux: a.txt:1: github-token: "), "{vars:?} {}", ran.report());
        fs::write(repo.at.join(".git/COMMIT_EDITMSG"), "\n# x\n").unwrap();
        let git_dir = at(".git");
        let vars = [vars, vec![("GIT_DIR", git_dir.as_str())]].concat();
        let ran = hook(&["prepare-commit-msg", ".git/COMMIT_EDITMSG"], &vars);
        let message = fs::read_to_string(repo.at.join(".git/COMMIT_EDITMSG")).unwrap();
        assert_eq!((ran.exit, message.as_str()), (0, "Add a.txt\n\n# x\n"), "{vars:?} {}", ran.report());
        assert!(!pwned.exists(), "{vars:?}");
    }
    // Git itself follows GIT_DIR: what it commits then is the other repository's.
    assert_eq!(hook(&["pre-commit"], &[("GIT_DIR", &at(".git"))]).exit, 0);
    assert_eq!(state(&repo), index, "the index was written");
}

#[test]
fn names_of_every_kind_are_told_safely() {
    let repo = Repo::begun("hook_names", NOWHERE);
    let token = token();
    for name in ["with space.txt", "-dash.txt", "new\nline.txt", "quote\"\t.txt", "ü.txt", "dir/--help"] {
        repo.write(name, format!("t {token}\n"));
    }
    let raw = repo.at.join(OsStr::from_bytes(b"raw\xff.txt"));
    fs::write(raw, format!("t {token}\n")).unwrap();
    repo.git(&["add", "-A"]);
    let ran = repo.try_git(&["commit", "-m", "x"], &[]);
    let said = repo.masked(&ran.stderr);
    let expected =
        ["dir/--help:1", "new\\nline.txt:1", "quote\"\\t.txt:1", "raw\u{fffd}.txt:1", "with space.txt:1", "ü.txt:1"];
    let named = said.split_once('\n').unwrap().0;
    let (first, more) = named.split_once(" (and 6 more places: ").unwrap();
    assert_eq!(first, "mux: -dash.txt:1: github-token: t [redacted:github-token]");
    assert_eq!((ran.exit, more), (1, format!("{})", expected.join(", ")).as_str()), "{}", ran.report());
    repo.git(&["reset", "-q", "--hard"]);
    repo.write("-a\nb.txt", "x\n");
    repo.git(&["add", "-A"]);
    assert_eq!(repo.commit(&[]).1, "Add -a\\nb.txt");
}

#[test]
fn fifty_megabytes_and_binary_files_are_told_by_their_numbers() {
    let server = World::new("hook_large_server");
    fs::write(server.root.join("every.response.raw"), b"HTTP/1.1 500 no\r\nContent-Length: 0\r\n\r\n").unwrap();
    let loopback = Server::start(&server.root);
    let repo = Repo::begun("hook_large", &loopback.url());
    repo.world.configure(&format!(
        "providers:\n  local:\n    base_url: \"{}/v1\"\n    model: m\nhooks:\n  deadline_sec: 3600\n",
        loopback.url()
    ));
    let line = "a line of a large file that says nothing at all\n";
    repo.write("large.txt", line.repeat(50_000_000 / line.len()));
    repo.write("one_line.txt", "x".repeat(3_000_000));
    repo.write("image.png", [0, 1, 2, 255, 0, 9].repeat(1000));
    repo.git(&["add", "-A"]);
    let (said, subject) = repo.commit(&[]);
    assert!(said.starts_with(DOWN), "{said}");
    assert_eq!(subject, "Add 3 files");
    let requests = loopback.end();
    let asked = String::from_utf8_lossy(&requests[0]);
    let listed = "A image.png (binary)\\nA large.txt +1041666 -0\\nA one_line.txt +1 -0\\n";
    assert!(asked.contains(listed) && asked.len() < 4000, "{} bytes: {asked:.2000}", asked.len());
    assert!(asked.contains("(1 hunks of large.txt are not shown)"), "{asked}");
    let summary = &repo.records()[0]["verify_summary"];
    assert_eq!(summary, "secrets: 0 in 1041667 added lines of 3 files");
}

#[test]
fn what_is_no_message_file_is_not_waited_for() {
    let repo = Repo::begun("hook_fifo", NOWHERE);
    let fifo = repo.at.join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for hook in ["commit-msg", "prepare-commit-msg"] {
        let mut command = repo.command(env!("CARGO_BIN_EXE_mux"));
        command.args(["hook", "run", hook, "fifo"]);
        let ran = run(command, b"");
        let said = repo.masked(&ran.stderr);
        assert_eq!((ran.exit, said.as_str()), (0, "mux: `~/work/fifo` is no file\n"), "{}", ran.report());
    }
}

#[test]
fn a_template_and_the_comment_sign_of_the_user_are_kept() {
    let repo = Repo::begun("hook_template", NOWHERE);
    repo.write("template", "\n; Why:\n; Ticket:\n");
    fs::write(repo.world.root.join("home/.gitconfig"), "[core]\n\tcommentChar = \";\"\n").unwrap();
    // The world's git reads no user's file; this one does.
    let home = repo.world.root.join("home/.gitconfig");
    let vars = [("GIT_CONFIG_GLOBAL", home.to_str().unwrap())];
    script(&repo.world.root.join("editor"), "cat \"$1\" > \"$TMPDIR/seen\"");
    let editor = repo.world.root.join("editor");
    let vars = [vars[0], ("GIT_EDITOR", editor.to_str().unwrap())];
    repo.write("a.txt", "a\n");
    repo.git(&["add", "a.txt"]);
    let (_, subject) = repo.commit_with(&["-t", "template"], &vars);
    let seen = fs::read_to_string(repo.world.root.join("tmp/seen")).unwrap();
    assert_eq!(subject, "Add a.txt");
    assert!(seen.starts_with("Add a.txt\n\n; Why:\n; Ticket:\n\n; Please enter"), "{seen}");
    // A template that says something is the beginning of the user's own message.
    repo.write("template", "Ticket: 12\n");
    repo.write("a.txt", "b\n");
    repo.git(&["add", "a.txt"]);
    let ran = repo.try_git(&["commit", "-t", "template"], &vars);
    let seen = fs::read_to_string(repo.world.root.join("tmp/seen")).unwrap();
    assert!(ran.exit == 1 && seen.starts_with("Ticket: 12\n\n; Please enter"), "{seen}\n{}", ran.report());
    // A sign-off and the diff of `-v` are no message.
    let (_, subject) = repo.commit_with(&["-s", "-v"], &vars);
    let seen = fs::read_to_string(repo.world.root.join("tmp/seen")).unwrap();
    assert_eq!(subject, "Update a.txt");
    assert!(seen.contains("\nSigned-off-by: t <t@example.com>\n") && seen.ends_with("-a\n+b\n"), "{seen}");
}

#[test]
fn a_hook_that_was_there_runs_first_and_comes_back_byte_for_byte() {
    let repo = Repo::bare_of_hooks("hook_chain", NOWHERE);
    repo.write("base.txt", "one\n");
    repo.git(&["add", "-A"]);
    let log = repo.world.root.join("log");
    let old = |name: &str, end: &str| {
        let text = format!(
            "printf '%s' \"{name} $# $1 $MARK \" >> {0}\nif [ {name} = pre-push ]; then cat >> {0}; else echo >> {0}; fi\n{end}",
            log.display()
        );
        script(&repo.hook(name), &text);
        fs::set_permissions(repo.hook(name), PermissionsExt::from_mode(0o751)).unwrap();
    };
    for name in ["pre-commit", "commit-msg", "pre-push"] {
        old(name, "");
    }
    symlink("../../base.txt", repo.hook("prepare-commit-msg")).unwrap();
    let state = |name: &str| {
        let path = repo.hook(name);
        let meta = fs::symlink_metadata(&path).unwrap();
        (fs::read_link(&path).ok(), fs::read(&path).unwrap(), meta.permissions().mode())
    };
    let names = ["prepare-commit-msg", "commit-msg", "pre-commit", "pre-push"];
    let before = names.map(state);
    let installed = repo.mux(&["hook", "install"]);
    let line = "installed; the hook that was there is now `pre-commit.before-mux` and runs first";
    assert!(installed.contains(&format!("pre-commit: {line}\n")), "{installed}");
    assert_eq!(repo.mux(&["hook", "install", "all"]).matches(": installed again\n").count(), 4);
    assert!(repo.mux(&["hook", "status"]).contains("pre-push: installed, behind the hook that was there before\n"));
    assert_eq!(repo.commit_with(&["-m", "One"], &[("MARK", "m1")]).0, "");
    let remote = repo.world.root.join("remote.git");
    repo.git(&["init", "-q", "--bare", remote.to_str().unwrap()]);
    repo.git(&["remote", "add", "origin", remote.to_str().unwrap()]);
    let head = repo.git(&["rev-parse", "HEAD"]);
    repo.git(&["push", "-q", "origin", "main"]);
    let zeros = "0".repeat(40);
    let expected = format!(
        "pre-commit 0  m1 \ncommit-msg 1 .git/COMMIT_EDITMSG m1 \npre-push 2 origin  refs/heads/main {head} refs/heads/main {zeros}\n"
    );
    assert_eq!(fs::read_to_string(&log).unwrap(), expected);
    // Its failure is its failure, with its exit code; mux is not asked then.
    let n_records = repo.records().len();
    fs::write(repo.hook("pre-commit.before-mux"), "#!/bin/sh\necho no >&2\nexit 7\n").unwrap();
    let ran = repo.try_git(&["commit", "--allow-empty", "-m", "x"], &[]);
    assert_eq!((ran.exit, repo.masked(&ran.stderr).as_str()), (1, "no\n"), "{}", ran.report());
    assert_eq!(run(repo.command(repo.hook("pre-commit")), b"").exit, 7);
    assert_eq!(repo.records().len(), n_records);
    fs::write(repo.hook("pre-commit.before-mux"), &before[2].1).unwrap();
    let gone = repo.mux(&["hook", "uninstall"]);
    assert_eq!(gone.matches(": taken out; the hook that was there before is back\n").count(), 4, "{gone}");
    assert_eq!(names.map(state), before);
    assert!(!repo.hook("pre-commit.before-mux").exists());
    assert_eq!(repo.mux(&["hook", "uninstall"]).matches(": left alone: it is not mux's\n").count(), 4);
    assert_eq!(names.map(state), before);
}

#[test]
fn a_hook_that_asks_for_its_name_is_told_of() {
    let repo = Repo::bare_of_hooks("hook_own_name", NOWHERE);
    script(&repo.hook("pre-commit"), "exec run-hook \"$(basename \"$0\")\"\n");
    script(&repo.hook("pre-push"), "cd \"$(dirname \"$0\")\"\n");
    let said = repo.mux(&["hook", "install"]);
    let notes: Vec<&str> = said.lines().filter(|line| line.starts_with("note: ")).collect();
    let note = "note: `pre-commit.before-mux` seems to ask for its own name, which has changed: try a commit";
    assert_eq!(notes, [note], "{said}");
}

#[test]
fn what_somebody_has_edited_or_replaced_is_left_alone() {
    let repo = Repo::new("hook_left", NOWHERE);
    let ours = fs::read_to_string(repo.hook("pre-commit")).unwrap();
    fs::write(repo.hook("pre-commit"), format!("{ours}echo mine\n")).unwrap();
    script(&repo.hook("commit-msg"), "exit 0\n");
    script(&repo.hook("commit-msg.before-mux"), "exit 0\n");
    for action in ["install", "uninstall"] {
        let mut command = repo.command(env!("CARGO_BIN_EXE_mux"));
        command.args(["hook", action, "pre-commit", "commit-msg"]);
        let ran = run(command, b"");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(ran.exit == 1 && said.matches(": left alone: ").count() == 2, "{}", ran.report());
    }
    assert_eq!(fs::read_to_string(repo.hook("pre-commit")).unwrap(), format!("{ours}echo mine\n"));
    assert_eq!(fs::read_to_string(repo.hook("commit-msg")).unwrap(), "#!/bin/sh\nexit 0\n");
}

#[test]
fn the_script_survives_a_mux_that_is_gone_or_crashes() {
    let repo = Repo::begun("hook_gone", NOWHERE);
    let ours = fs::read_to_string(repo.hook("pre-commit")).unwrap();
    let path = ours.lines().find_map(|line| line.strip_prefix("mux='")).unwrap().trim_end_matches('\'').to_string();
    assert_eq!(Path::new(&path), Path::new(env!("CARGO_BIN_EXE_mux")));
    let with = |mux: &str| {
        for name in ["pre-commit", "prepare-commit-msg", "commit-msg", "pre-push"] {
            let text = fs::read_to_string(repo.hook(name)).unwrap();
            let line = text.lines().find(|line| line.starts_with("mux='")).unwrap().to_string();
            fs::write(repo.hook(name), text.replace(&line, &format!("mux='{mux}'"))).unwrap();
        }
    };
    repo.write("t.txt", format!("t {}\n", token()));
    repo.git(&["add", "-A"]);
    with("/nonexistent/mux");
    assert_eq!(repo.commit(&["-m", "Gone"]).0, "");
    // One that is found in the PATH does as well.
    symlink(&path, repo.world.root.join("bin/mux")).unwrap();
    repo.write("u.txt", format!("t {}\n", token()));
    repo.git(&["add", "-A"]);
    assert_eq!(repo.try_git(&["commit", "-m", "x"], &[]).exit, 1);
    let crash = repo.world.root.join("crash");
    for end in ["exit 101", "exit 134", "kill -9 $$", "exit 2"] {
        script(&crash, &format!("{end}\n"));
        with(crash.to_str().unwrap());
        repo.commit(&["--allow-empty", "-m", "Crashed"]);
    }
}

#[test]
fn hooks_go_where_git_looks_for_them() {
    let repo = Repo::bare_of_hooks("hook_path", NOWHERE);
    // Relative: below the work tree, wherever mux is called.
    repo.git(&["config", "core.hooksPath", ".githooks"]);
    fs::create_dir(repo.at.join("sub")).unwrap();
    let repo = Repo { at: repo.at.join("sub"), ..repo };
    let said = repo.mux(&["hook", "install", "pre-commit"]);
    let expected = "hooks: ~/work/.githooks\npre-commit: installed\nnote: the directory is part of the work tree: git lists \
                    what is put there\n";
    assert_eq!(said, expected);
    repo.write("../t.txt", format!("t {}\n", token()));
    repo.git(&["add", "-A", ".."]);
    assert_eq!(repo.try_git(&["commit", "-q", "-m", "x"], &[]).exit, 1);
    assert!(repo.mux(&["hook", "uninstall", "pre-commit"]).ends_with("pre-commit: taken out\n"));
    assert_eq!(fs::read_dir(repo.at.join("../.githooks")).unwrap().count(), 0);
    repo.git(&["config", "--unset", "core.hooksPath"]);
    // Everybody's: only when said. A user sets that once, for all repositories.
    let shared = repo.world.root.join("shared hooks");
    let global = repo.world.root.join("home/.gitconfig");
    fs::write(&global, format!("[core]\n\thooksPath = {}\n", shared.display())).unwrap();
    let mux = |args: &[&str]| {
        let mut command = repo.command(env!("CARGO_BIN_EXE_mux"));
        command.args(["hook"]).args(args).env("GIT_CONFIG_GLOBAL", &global);
        run(command, b"")
    };
    let ran = mux(&["install"]);
    let said = repo.masked(&ran.stderr);
    assert_eq!(ran.exit, 4, "{}", ran.report());
    assert!(
        said.starts_with("mux: `~/shared hooks` serves other repositories too (`core.hooksPath`)\n  hint: "),
        "{said}"
    );
    assert!(!shared.exists() && !repo.at.join("../.git/hooks/pre-commit").exists());
    assert_eq!(mux(&["install", "--shared", "pre-commit"]).exit, 0);
    assert!(shared.join("pre-commit").exists());
    assert_eq!(mux(&["uninstall"]).exit, 4);
    assert_eq!(mux(&["uninstall", "--shared"]).exit, 0);
    assert!(!shared.join("pre-commit").exists());
    // Where a hook manager writes its scripts anew, its own file is the place.
    repo.git(&["config", "core.hooksPath", ".husky/_"]);
    let ran = mux(&["install"]);
    let said = repo.masked(&ran.stderr);
    assert!(ran.exit == 4 && said.contains("`~/work/.husky/_` is made anew by husky"), "{}", ran.report());
    // Where somebody wants none.
    repo.git(&["config", "core.hooksPath", "/dev/null"]);
    let ran = mux(&["install"]);
    assert!(ran.exit == 4 && repo.masked(&ran.stderr).starts_with("mux: hooks are switched off: "), "{}", ran.report());
    assert_eq!(repo.mux(&["hook", "status", "pre-push"]), "hooks: /dev/null\npre-push: not installed\n");
    repo.git(&["config", "--unset", "core.hooksPath"]);
    let bare = repo.world.root.join("bare.git");
    repo.git(&["init", "-q", "--bare", bare.to_str().unwrap()]);
    let repo = Repo { at: bare, ..repo };
    assert!(repo.mux(&["hook", "install", "pre-push"]).starts_with("hooks: ~/bare.git/hooks\npre-push: installed\n"));
    let repo = Repo { at: repo.world.root.join("tmp"), ..repo };
    let mut command = repo.command(env!("CARGO_BIN_EXE_mux"));
    command.args(["hook", "install"]);
    let ran = run(command, b"");
    assert!(
        ran.exit == 2 && repo.masked(&ran.stderr).starts_with("mux: there is no repository here: "),
        "{}",
        ran.report()
    );
}

#[test]
fn a_push_is_reviewed_only_where_it_brings_something() {
    let server = World::new("hook_push_server");
    fs::write(server.root.join("every.response.raw"), b"HTTP/1.1 500 no\r\nContent-Length: 0\r\n\r\n").unwrap();
    let loopback = Server::start(&server.root);
    let repo = Repo::begun("hook_push", &loopback.url());
    let remote = repo.world.root.join("remote.git");
    repo.git(&["init", "-q", "--bare", remote.to_str().unwrap()]);
    repo.git(&["remote", "add", "origin", remote.to_str().unwrap()]);
    let push = |args: &[&str]| {
        let ran = repo.try_git(&[&["push", "-q", "origin"], args].concat(), &[]);
        assert_eq!(ran.exit, 0, "{}", ran.report());
        repo.masked(&ran.stderr)
    };
    // Not asked for: nothing is read of it.
    assert_eq!(push(&["main"]), "");
    repo.world.configure(&format!(
        "providers:\n  local:\n    base_url: \"{}/v1\"\n    model: m\nhooks:\n  deadline_sec: 30\n  pre_push_review: true\n  \
         pre_push_strict: true\n",
        loopback.url()
    ));
    assert_eq!(push(&["main"]), "", "nothing new");
    assert_eq!(push(&["main:copy"]), "", "a new branch with what is there");
    repo.git(&["tag", "-a", "v1", "-m", "one"]);
    assert_eq!(push(&["v1"]), "", "a tag");
    assert_eq!(push(&["--delete", "copy"]), "", "a deletion");
    assert_eq!(repo.records().len(), 0);
    repo.write("a.txt", "a\n");
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-q", "--no-verify", "-m", "Add a"]);
    // Advice that nobody gives stops nothing, however strict.
    let said = push(&["main", "main:other"]);
    assert!(said.starts_with("mux: no review of main: ") && said.lines().count() == 2, "{said}");
    assert_eq!(repo.deeds(), ["pre-push none local_failed:server null", "pre-push none local_failed:server null"]);
    let clone = repo.world.root.join("shallow");
    let url = format!("file://{}", remote.display());
    repo.git(&["clone", "-q", "--depth=1", "-b", "main", &url, clone.to_str().unwrap()]);
    let repo = Repo { at: clone, ..repo };
    repo.mux(&["hook", "install", "pre-push"]);
    repo.write("b.txt", "b\n");
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-q", "-m", "Add b"]);
    assert_eq!(repo.try_git(&["push", "-q", "origin", "HEAD:main"], &[]).exit, 0);
    let requests = loopback.end();
    let asked =
        [requests.first(), requests.last()].map(|request| String::from_utf8_lossy(request.unwrap()).into_owned());
    assert!(asked[0].contains("A a.txt +1 -0") && !asked[0].contains("base.txt"), "{}", asked[0]);
    assert!(asked[1].contains("A b.txt +1 -0") && !asked[1].contains("a.txt"), "{}", asked[1]);
}

#[test]
fn status_tells_how_long_hooks_take_and_does_not_count_them_as_runs() {
    let repo = Repo::begun("hook_status", NOWHERE);
    repo.write("a.txt", "a\n");
    repo.git(&["add", "-A"]);
    repo.commit(&[]);
    let page = repo.mux(&["status"]);
    assert!(page.contains("\nruns: 0 in a window of 200\n"), "{page}");
    for hook in ["pre-commit", "prepare-commit-msg"] {
        let line = page.lines().find(|line| line.starts_with(&format!("hook: {hook} 1 run, p50 "))).unwrap_or_default();
        assert!(line.contains(" s, p95 ") && line.ends_with(" s"), "{page}");
    }
    let json: Value = serde_json::from_str(&repo.mux(&["status", "--json"])).unwrap();
    assert_eq!((&json["runs"], &json["hooks"]["pre-commit"]["runs"]), (&0.into(), &1.into()));
    let failed = repo.mux(&["log", "--failed"]);
    assert!(failed.lines().count() == 2 && failed.contains(" prepare-commit-msg  none   local_down "), "{failed}");
}

#[test]
fn why_of_a_hook_says_what_it_did_and_how_long_git_waited() {
    let repo = Repo::begun("hook_why", NOWHERE);
    repo.write("a.txt", "a\n");
    repo.git(&["add", "-A"]);
    repo.commit(&[]);
    let records = repo.records();
    let why = |record: &Value| -> Vec<String> {
        let page = repo.mux(&["why", record["run_id"].as_str().unwrap()]);
        let lines =
            page.lines().filter(|line| !["run ", "time ", "workdir "].iter().any(|name| line.starts_with(name)));
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    let took = |record: &Value| format!("took {:.1} s", record["duration_ms"].as_f64().unwrap() / 1000.0);
    let about = "git called it; a hook has no route to choose, so there is no decision to explain";
    let scanned = [
        &format!("hook pre-commit: {about}"),
        "did secrets: 0 in 1 added line of 1 file",
        "ended local, verified",
        "model none was asked",
        &took(&records[0]),
    ];
    assert_eq!(why(&records[0]), scanned);
    let written = [
        &format!("hook prepare-commit-msg: {about}"),
        "ended none, local_down",
        "model none was asked",
        &took(&records[1]),
    ];
    assert_eq!(why(&records[1]), written);
    let json = repo.mux(&["why", records[0]["run_id"].as_str().unwrap(), "--json"]);
    let mut record = records[0].clone();
    record["workdir"] = "~/work".into();
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), record);
}
