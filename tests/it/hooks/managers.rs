//! Hook managers that call mux as the README tells: with the managers themselves where there are some, and the lines for
//! husky always, since they are lines for a shell.
//!
//! `HOOK_MANAGERS=/venv/bin:/npm/node_modules/.bin:/usr/bin cargo test --test it hook_managers -- --ignored`, a PATH with
//! `pre-commit`, `lefthook` and `husky` (tried with 4.7.0, 2.2.2 and 9.1.7), and with what they need themselves.

use super::{DOWN, NOWHERE, Repo, script, token};
use crate::bench::{Ran, manifest, run};
use fs_err as fs;
use std::os::unix::fs::symlink;

/// The block of the README's section on hooks that begins so.
fn snippet(begin: &str) -> String {
    let readme = fs::read_to_string(manifest().join("README.md")).unwrap();
    let section = readme.split("\n## Git hooks\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let blocks = section.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap().1);
    blocks.filter(|block| block.starts_with(begin)).map(str::to_string).next().unwrap()
}

/// A repository whose PATH has mux and the managers.
struct Managed {
    repo: Repo,
    path: String,
}

impl Managed {
    fn new(name: &str, managers: &str) -> Managed {
        let repo = Repo::bare_of_hooks(name, NOWHERE);
        symlink(env!("CARGO_BIN_EXE_mux"), repo.tool("mux")).unwrap();
        let path = format!("{}:{managers}", repo.world.root.join("bin").display());
        Managed { repo, path }
    }

    fn call(&self, program: &str, args: &[&str]) -> Ran {
        let mut command = self.repo.command(self.repo.tool("env"));
        command.arg(program).args(args).env("PATH", &self.path);
        run(command, b"")
    }

    /// Says what a command that has to succeed said.
    #[track_caller]
    fn well(&self, program: &str, args: &[&str]) -> String {
        let ran = self.call(program, args);
        assert_eq!(ran.exit, 0, "{}", ran.report());
        self.repo.masked(&[ran.stdout, ran.stderr].concat())
    }

    /// A commit gets its message, by one call, of which `told` is seen; one with a secret is stopped.
    #[track_caller]
    fn check(&self, told: &str) {
        let repo = &self.repo;
        repo.write("sub/a b.txt", "a\n");
        self.well("git", &["add", "-A"]);
        self.well("git", &["commit", "-q", "--no-verify", "-m", "Begin"]);
        repo.write("sub/a b.txt", "b\n");
        self.well("git", &["add", "-A"]);
        let said = self.well("git", &["commit"]);
        assert_eq!(said.matches(told).count(), 1, "{said}");
        assert_eq!(self.well("git", &["log", "-1", "--format=%s"]), "Update sub/a b.txt\n");
        assert_eq!(repo.deeds(), ["pre-commit local verified true", "prepare-commit-msg none local_down null"]);
        repo.write("b.txt", format!("key = {}\n", token()));
        self.well("git", &["add", "-A"]);
        let ran = self.call("git", &["commit", "-m", "x"]);
        let said = repo.masked(&[ran.stdout.clone(), ran.stderr.clone()].concat());
        assert!(ran.exit == 1 && said.contains("b.txt:1: github-token: "), "{}", ran.report());
        self.well("git", &["reset", "-q", "--hard"]);
    }

    /// A push is reviewed, or it is said why not.
    #[track_caller]
    fn check_push(&self) {
        let remote = self.repo.world.root.join("remote.git");
        self.well("git", &["init", "-q", "--bare", remote.to_str().unwrap()]);
        self.well("git", &["remote", "add", "origin", remote.to_str().unwrap()]);
        self.repo.configure(NOWHERE, "  pre_push_review: true\n");
        let said = self.well("git", &["push", "origin", "main"]);
        assert!(said.contains("no review of"), "{said}");
        assert_eq!(self.repo.deeds().pop().unwrap(), "pre-push none local_down null");
    }
}

#[test]
fn the_lines_for_husky_are_run_as_husky_runs_them() {
    let managed = Managed::new("hook_husky_lines", "");
    let repo = &managed.repo;
    for (name, line) in ["pre-commit", "prepare-commit-msg"].into_iter().zip(snippet("! command").lines()) {
        repo.write(&format!(".husky/{name}"), format!("{line}\n"));
        // What husky 9 makes of them.
        script(&repo.at.join(".husky/_").join(name), &format!("sh -e \"$(dirname \"$0\")/../{name}\" \"$@\"\n"));
    }
    repo.write(".husky/_/.gitignore", "*");
    repo.git(&["config", "core.hooksPath", ".husky/_"]);
    managed.check(DOWN);
    // On a machine without mux, a colleague's commits go on.
    fs::remove_file(repo.tool("mux")).unwrap();
    repo.write("b.txt", format!("key = {}\n", token()));
    repo.git(&["add", "-A"]);
    assert_eq!(repo.commit(&["-m", "x"]).0, "");
}

#[test]
fn what_managers_are_told_to_call_is_a_hook_of_mux() {
    let told = fs::read_to_string(manifest().join(".pre-commit-hooks.yaml")).unwrap();
    let readme = [snippet("default_install"), snippet("pre-commit:"), snippet("! command")].concat();
    let names = |text: &str| -> Vec<String> {
        let word = |rest: &str| rest.split([' ', ',', '\n']).next().unwrap().to_string();
        text.split("mux hook run ").skip(1).map(word).collect()
    };
    let all = ["pre-commit", "commit-msg", "prepare-commit-msg", "pre-push"];
    assert_eq!(names(&told), all);
    let [secret, message, push] = ["pre-commit", "prepare-commit-msg", "pre-push"];
    assert_eq!(names(&readme), [secret, message, secret, message, push, secret, message]);
}

/// As pre-commit's script goes about what it found when it was installed, and what it does when that calls it.
const MANAGER: &str = "# hook-impl\nif [ -n \"$PRE_COMMIT_RUNNING_LEGACY\" ]; then echo bug >&2; exit 1; fi\n\
    legacy=$(dirname \"$0\")/pre-commit.legacy\n\
    if [ -x \"$legacy\" ]; then PRE_COMMIT_RUNNING_LEGACY=1 \"$legacy\" \"$@\" || exit; fi\n";

/// Gives mux's script the name that pre-commit gives it, and puts pre-commit's in its place.
fn pre_commit_install(repo: &Repo) {
    let (place, legacy) = (repo.hook("pre-commit"), repo.hook("pre-commit.legacy"));
    if place.exists() && !fs::read_to_string(&place).unwrap().contains(MANAGER) {
        fs::rename(&place, &legacy).unwrap();
    }
    script(&place, &format!("{MANAGER}echo manager >> {}\n", repo.world.root.join("log").display()));
}

/// Commits once; returns the hooks that ran and what mux did.
#[track_caller]
fn ran(repo: &Repo) -> (String, Vec<String>) {
    let (log, n) = (repo.world.root.join("log"), repo.deeds().len());
    repo.write("n.txt", fs::read_to_string(repo.at.join("n.txt")).unwrap_or_default() + "one more\n");
    repo.git(&["add", "n.txt"]);
    repo.git(&["commit", "-q", "-m", "x"]);
    let ran = fs::read_to_string(&log).unwrap();
    fs::remove_file(&log).unwrap();
    (ran, repo.deeds().split_off(n))
}

#[test]
fn a_script_that_pre_commit_has_renamed_still_runs_the_older_hook() {
    let repo = Repo::bare_of_hooks("hook_renamed", NOWHERE);
    let older = format!("echo older >> {}\n", repo.world.root.join("log").display());
    script(&repo.hook("pre-commit"), &older);
    repo.mux(&["hook", "install", "pre-commit"]);
    pre_commit_install(&repo);
    let line =
        |said: String| said.lines().find_map(|line| line.strip_prefix("pre-commit: ").map(str::to_string)).unwrap();
    let deed = vec!["pre-commit local verified true".to_string()];
    assert_eq!(ran(&repo), ("older\nmanager\n".to_string(), deed.clone()));
    let status = line(repo.mux(&["hook", "status"]));
    assert_eq!(status, "installed, and renamed by the hook that is there, which runs it");
    let again = line(repo.mux(&["hook", "install", "pre-commit"]));
    assert_eq!(again, "installed again, as `pre-commit.legacy`, which the hook that is there runs");
    assert_eq!(ran(&repo), ("older\nmanager\n".to_string(), deed));
    repo.write("t.txt", format!("t {}\n", token()));
    repo.git(&["add", "-A"]);
    assert_eq!(repo.try_git(&["commit", "-m", "x"], &[]).exit, 1, "a secret still stops it");
    repo.git(&["rm", "-q", "--cached", "t.txt"]);
    fs::remove_file(repo.world.root.join("log")).unwrap();
    let gone = line(repo.mux(&["hook", "uninstall", "pre-commit"]));
    assert_eq!(gone, "taken out; `pre-commit.legacy` is the hook that was there before");
    assert_eq!(fs::read_to_string(repo.hook("pre-commit.legacy")).unwrap(), format!("#!/bin/sh\n{older}"));
    assert!(!repo.hook("pre-commit.before-mux").exists());
    assert_eq!(ran(&repo), ("older\nmanager\n".to_string(), vec![]));
}

#[test]
fn pre_commit_that_is_installed_once_more_is_not_called_by_what_it_calls() {
    let repo = Repo::bare_of_hooks("hook_twice", NOWHERE);
    pre_commit_install(&repo);
    repo.mux(&["hook", "install", "pre-commit"]);
    let both = ("manager\n".to_string(), vec!["pre-commit local verified true".to_string()]);
    assert_eq!(ran(&repo), both);
    pre_commit_install(&repo);
    assert_eq!(ran(&repo), both);
    repo.mux(&["hook", "install", "pre-commit"]);
    assert_eq!(ran(&repo), both);
    let said = repo.mux(&["hook", "uninstall", "pre-commit"]);
    assert!(said.contains("pre-commit: taken out\nnote: `pre-commit.before-mux` is an older script"), "{said}");
    assert_eq!(ran(&repo), ("manager\n".to_string(), vec![]));
}

#[test]
#[ignore = "needs pre-commit, lefthook and husky in HOOK_MANAGERS, a PATH"]
fn hook_managers_run_mux_as_they_are_told() {
    let managers = std::env::var("HOOK_MANAGERS").expect("HOOK_MANAGERS is a PATH with pre-commit, lefthook and husky");
    let managed = Managed::new("hook_pre_commit", &managers);
    managed.repo.write(".pre-commit-config.yaml", snippet("default_install"));
    managed.well("pre-commit", &["install"]);
    managed.check("\nmessage.");

    let managed = Managed::new("hook_pre_commit_hooks", &managers);
    let hooks = managed.repo.world.root.join("hooks");
    fs::create_dir(&hooks).unwrap();
    fs::copy(manifest().join(".pre-commit-hooks.yaml"), hooks.join(".pre-commit-hooks.yaml")).unwrap();
    let there = ["-C", hooks.to_str().unwrap()];
    for args in [&["init", "-q"][..], &["add", "-A"], &["commit", "-q", "-m", "x"]] {
        managed.well("git", &[&there, args].concat());
    }
    let rev = managed.well("git", &[&there[..], &["rev-parse", "HEAD"]].concat());
    let ids = "[{id: mux-secrets}, {id: mux-secrets-message}, {id: mux-message}, {id: mux-review}]";
    let config = format!("repos:\n  - {{ repo: {}, rev: {}, hooks: {ids} }}\n", hooks.display(), rev.trim_end());
    managed.repo.write(".pre-commit-config.yaml", config);
    let types = ["pre-commit", "commit-msg", "prepare-commit-msg", "pre-push"].map(|name| ["-t", name]).concat();
    managed.well("pre-commit", &[&["install"], &types[..]].concat());
    managed.check("\ncommit message (mux)");
    let ran = managed.call("git", &["commit", "--allow-empty", "-m", &format!("Use {}", token())]);
    let said = managed.repo.masked(&[ran.stdout.clone(), ran.stderr.clone()].concat());
    assert!(ran.exit == 1 && said.contains("the message:1: github-token: "), "{}", ran.report());
    managed.check_push();

    let managed = Managed::new("hook_lefthook", &managers);
    managed.repo.write("lefthook.yml", snippet("pre-commit:"));
    managed.well("lefthook", &["install"]);
    managed.check(DOWN);
    managed.check_push();

    let managed = Managed::new("hook_husky", &managers);
    managed.well("husky", &[]);
    for (name, line) in ["pre-commit", "prepare-commit-msg"].into_iter().zip(snippet("! command").lines()) {
        managed.repo.write(&format!(".husky/{name}"), format!("{line}\n"));
    }
    managed.check(DOWN);
}
