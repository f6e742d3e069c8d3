//! Git: where a repository begins and what HEAD names, read by hand; everything else through `proc`, disarmed.
//!
//! **Invariants:** finding the root and HEAD starts no process and obeys no byte of the repository. A git that is
//! started runs no monitor, hook or pager that a repository names, asks nothing and fetches nothing. What can't be
//! switched off are filters and text conversions: a git that reads *contents* of a work tree (`status`, `diff`, `add`)
//! would run them.

pub mod hook;

use crate::sys::proc::{self, Chunk, Exit, Spawn};
use crate::words::stop::Stop;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Levels that are walked up, and links that are followed from ref to ref.
const DEEPEST: usize = 64;
/// Longest `.git` file, ref or HEAD, in bytes.
const SMALL: u64 = 4096;
/// Longest `packed-refs`, in bytes: some 100 000 refs.
const PACKED: u64 = 16 << 20;
/// What is kept of the complaints of a git, in bytes.
const SAID: usize = 4096;
/// Longest list of files, in bytes.
const LIST: usize = 16 << 20;

/// What HEAD names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Without `refs/heads/`; `None` when detached.
    pub branch: Option<String>,
    /// In hex. `None` on an unborn branch, and where refs are not kept in files (`reftable`).
    pub commit: Option<String>,
}

/// Returns the top of the work tree that holds `path`, itself included. Works for linked worktrees and submodules; a
/// bare repository has none. A `.git` that does not lead to a HEAD is passed over, as git does.
pub fn root(path: &Path) -> Option<PathBuf> {
    path.ancestors().take(DEEPEST).find(|folder| git_dir(folder).is_some()).map(Path::to_path_buf)
}

/// Returns whether a directory is a repository itself, as a bare one is: git runs hooks and obeys settings that lie in it.
pub fn is_bare(dir: &Path) -> bool {
    let is =
        |name: &str, is_folder: bool| fs_err::metadata(dir.join(name)).is_ok_and(|meta| meta.is_dir() == is_folder);
    is("HEAD", false) && is("objects", true) && is("refs", true)
}

/// Returns the git directory of a work tree: `.git`, or where the file of that name points.
pub fn git_dir(root: &Path) -> Option<PathBuf> {
    let entry = root.join(".git");
    let meta = fs_err::metadata(&entry).ok()?;
    let folder = if meta.is_file() {
        let text = read(&entry, SMALL)?;
        root.join(text.strip_prefix("gitdir:")?.trim())
    } else {
        entry
    };
    // HEAD may be a symbolic link to a branch that is not born yet.
    fs_err::symlink_metadata(folder.join("HEAD")).ok().map(|_| folder)
}

/// Returns what HEAD names, or `None` if it can't be read.
#[cfg_attr(not(test), expect(dead_code, reason = "for runs that ask whether HEAD has moved"))]
pub fn head(root: &Path) -> Option<Head> {
    let folder = git_dir(root)?;
    // Worktrees share the refs of their repository.
    let common = read(&folder.join("commondir"), SMALL).map_or_else(|| folder.clone(), |path| folder.join(path.trim()));
    let mut text = read_head(&folder)?;
    let mut branch = None;
    for _ in 0..DEEPEST {
        let Some(name) = text.trim().strip_prefix("ref:").map(str::trim) else {
            let commit = Some(text.trim()).filter(|id| is_id(id)).map(String::from);
            return Some(Head { branch, commit });
        };
        // A ref is a path that the repository chooses: it must not lead elsewhere.
        if !name.starts_with("refs/") || name.split('/').any(|part| part == "..") {
            return None;
        }
        branch.get_or_insert_with(|| name.strip_prefix("refs/heads/").unwrap_or(name).to_string());
        match read(&folder.join(name), SMALL).or_else(|| read(&common.join(name), SMALL)) {
            Some(next) => text = next,
            None => return Some(Head { branch, commit: packed(&common, name) }),
        }
    }
    None
}

/// Returns a git that is ready for [`proc::run`], for commands that list and don't read contents. `env` comes from
/// [`proc::environment`]; `git` from [`proc::which`].
pub fn command(git: &Path, cwd: &Path, env: &[(OsString, OsString)], args: &[&str], marker: &str) -> Spawn {
    // Not `--git-dir`: naming it would switch off git's own check that the repository belongs to the user.
    let disarmed = [
        "--no-pager",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "core.pager=cat",
        "-c",
        "core.askPass=",
        "-c",
        "protocol.allow=never",
    ];
    let settings = [
        ("GIT_OPTIONAL_LOCKS", "0"), // `status` would rewrite the index
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_NO_LAZY_FETCH", "1"), // a partial clone would fetch what is missing
        ("GIT_ATTR_NOSYSTEM", "1"),
        ("LC_ALL", "C"),
    ];
    let mut env: Vec<_> = env.iter().filter(|(name, _)| name != "LC_ALL").cloned().collect();
    env.extend(settings.map(|(name, value)| (name.into(), value.into())));
    Spawn {
        program: git.to_path_buf(),
        args: disarmed.iter().chain(args).map(OsString::from).collect(),
        cwd: cwd.to_path_buf(),
        env,
        stdin: None,
        keep: LIST,
        silence: None,
        lost: None,
        writes: None,
        marker: marker.to_string(),
    }
}

/// Returns the files of a work tree: those that git knows and those that it would not ignore, relative to `root`, each
/// once. Some may be gone from the disk. `None` when git fails, is called off, or lists more than 16 MiB of names.
pub fn files(git: &Path, root: &Path, env: &[(OsString, OsString)], marker: &str, stop: &Stop) -> Option<Vec<PathBuf>> {
    let args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", "--"];
    let ran = proc::run(&command(git, root, env, &args, marker), stop, &mut |_| {});
    if !matches!(ran.exit, Exit::Code(0)) || !ran.stdout.is_whole() {
        return None;
    }
    let names = ran.stdout.bytes().split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Some(names.map(path_of).collect())
}

/// What it takes to ask git: where it is, its environment (of [`proc::environment`]) and the run that asks.
#[derive(Clone, Debug)]
pub struct Git {
    pub program: PathBuf,
    pub env: Vec<(OsString, OsString)>,
    pub marker: String,
}

/// Why git gave no whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Called off, or too late.
    Stopped,
    /// It failed, with what it said last and its exit code where it has one.
    Failed { code: Option<i32>, said: String },
}

impl Git {
    /// Runs a command that is disarmed as [`command`] says, and hands over its output as it comes.
    ///
    /// # Errors
    /// `Unanswered`; what came until then has been handed over.
    pub fn ask(
        &self,
        cwd: &Path,
        args: &[&str],
        stdin: Option<Vec<u8>>,
        stop: &Stop,
        on: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Unanswered> {
        let mut spawn = command(&self.program, cwd, &self.env, args, &self.marker);
        spawn.stdin = stdin;
        answer(spawn, stop, on)
    }

    /// As [`Git::ask`], but the settings of user and system count: for questions about settings, which run nothing.
    ///
    /// # Errors
    /// As [`Git::ask`].
    pub fn ask_as_user(
        &self,
        cwd: &Path,
        args: &[&str],
        stop: &Stop,
        on: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Unanswered> {
        let mut spawn = command(&self.program, cwd, &self.env, args, &self.marker);
        spawn.args = args.iter().map(OsString::from).collect();
        spawn.env.clone_from(&self.env);
        answer(spawn, stop, on)
    }
}

/// Runs a git and hands over its output.
fn answer(mut spawn: Spawn, stop: &Stop, on: &mut dyn FnMut(&[u8])) -> Result<(), Unanswered> {
    spawn.keep = SAID;
    let mut said = proc::Tail::new(SAID);
    let ran = proc::run(&spawn, stop, &mut |chunk| match chunk {
        Chunk::Out(bytes) => on(bytes),
        Chunk::Err(bytes) => said.push(bytes),
    });
    let failed = |code| Err(Unanswered::Failed { code, said: said.text().trim().to_string() });
    match ran.exit {
        Exit::Code(0) => Ok(()),
        Exit::Code(code) => failed(Some(code)),
        Exit::TimedOut | Exit::Silent | Exit::Lost | Exit::Stopped(_) => Err(Unanswered::Stopped),
        Exit::Signal(_) => failed(None),
        Exit::NotStarted(error) => Err(Unanswered::Failed { code: None, said: error.to_string() }),
    }
}

/// A path as a program writes it.
fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// HEAD as text, also where it is a symbolic link, as old gits made it.
fn read_head(folder: &Path) -> Option<String> {
    let path = folder.join("HEAD");
    match fs_err::read_link(&path) {
        Ok(target) => Some(format!("ref: {}", target.to_str()?)),
        Err(_) => read(&path, SMALL),
    }
}

/// Looks a ref up among the packed ones: lines of `ID NAME`.
fn packed(common: &Path, name: &str) -> Option<String> {
    let text = read(&common.join("packed-refs"), PACKED)?;
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(id, line)| *line == name && is_id(id)).map(|(id, _)| id.to_string())
}

/// SHA-1 or SHA-256 in hex.
fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Reads a regular file that is no longer than `limit`. Anything else is as good as absent.
fn read(path: &Path, limit: u64) -> Option<String> {
    // Asked before it is opened: opening a FIFO would block.
    fs_err::metadata(path).ok().filter(|meta| meta.is_file() && meta.len() <= limit)?;
    let mut text = String::new();
    fs_err::File::open(path).ok()?.take(limit).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    /// A directory with a real repository in `repo`, one commit on `main`.
    struct Place(PathBuf);

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs_err::remove_dir_all(&self.0);
        }
    }

    fn stop() -> Stop {
        Stop::at(Instant::now() + Duration::from_mins(1))
    }

    fn program() -> PathBuf {
        proc::which(OsStr::new("git"), Some(OsStr::new("/usr/local/bin:/usr/bin:/bin")), Path::new("/")).unwrap()
    }

    fn env() -> Vec<(OsString, OsString)> {
        let pairs = [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("HOME", "/nonexistent")];
        pairs.map(|(name, value)| (name.into(), value.into())).to_vec()
    }

    #[track_caller]
    fn git(cwd: &Path, args: &[&str]) -> String {
        let mut spawn = command(&program(), cwd, &env(), args, "git-test");
        spawn.args.splice(0..0, ["-c", "user.name=a", "-c", "user.email=a@b", "-c"].map(OsString::from));
        spawn.args.insert(5, "protocol.file.allow=always".into());
        let ran = proc::run(&spawn, &stop(), &mut |_| {});
        assert!(matches!(ran.exit, Exit::Code(0)), "git {args:?}: {:?} {}", ran.exit, ran.stderr.text());
        ran.stdout.text().trim().to_string()
    }

    fn place(name: &str) -> Place {
        let place = Place(std::env::temp_dir().join(format!("mux-git-{name}-{}", std::process::id())));
        let repo = place.0.join("repo");
        fs_err::create_dir_all(repo.join("deep/er")).unwrap();
        git(&repo, &["init", "-q", "-b", "main"]);
        fs_err::write(repo.join("a.txt"), "a").unwrap();
        git(&repo, &["add", "a.txt"]);
        git(&repo, &["commit", "-q", "-m", "one"]);
        place
    }

    /// Compares what is read by hand with what git says.
    #[track_caller]
    fn agrees(folder: &Path, branch: Option<&str>) {
        let top = PathBuf::from(git(folder, &["rev-parse", "--show-toplevel"]));
        assert_eq!(root(folder).as_ref(), Some(&top));
        let commit = Some(git(folder, &["rev-parse", "HEAD"]));
        assert_eq!(head(&top), Some(Head { branch: branch.map(String::from), commit }));
    }

    #[test]
    fn root_and_head_are_what_git_says() {
        let place = place("root");
        let repo = place.0.join("repo");
        agrees(&repo, Some("main"));
        agrees(&repo.join("deep/er"), Some("main"));
        git(&repo, &["pack-refs", "--all"]);
        agrees(&repo, Some("main"));
        git(&repo, &["worktree", "add", "-q", "-b", "side/branch", "../linked"]);
        agrees(&place.0.join("linked"), Some("side/branch"));
        git(&repo, &["clone", "-q", ".", "../clone"]);
        agrees(&place.0.join("clone"), Some("main"));
        git(&repo, &["checkout", "-q", "--detach"]);
        agrees(&repo, None);
        git(&repo, &["clone", "-q", "--bare", ".", "../bare"]);
        assert_eq!(root(&place.0.join("bare/objects")), None);
    }

    #[test]
    fn submodules_are_roots_of_their_own() {
        let place = place("sub");
        let repo = place.0.join("repo");
        git(&repo, &["clone", "-q", ".", "../clone"]);
        git(&repo, &["submodule", "--quiet", "add", "../clone", "sub"]);
        agrees(&repo.join("sub"), Some("main"));
    }

    #[test]
    fn unborn_and_strange_heads() {
        let place = place("head");
        let repo = place.0.join("repo");
        git(&repo, &["checkout", "-q", "--orphan", "empty"]);
        assert_eq!(head(&repo), Some(Head { branch: Some("empty".into()), commit: None }));
        for (text, expected) in [
            ("ref: refs/../../../secret\n", None),
            ("ref: /etc/hostname\n", None),
            ("garbage\n", Some(Head { branch: None, commit: None })),
        ] {
            fs_err::write(repo.join(".git/HEAD"), text).unwrap();
            assert_eq!(head(&repo), expected, "{text}");
        }
        fs_err::write(repo.join(".git/refs/heads/loop"), "ref: refs/heads/loop\n").unwrap();
        fs_err::write(repo.join(".git/HEAD"), "ref: refs/heads/loop\n").unwrap();
        assert_eq!(head(&repo), None);
        fs_err::remove_file(repo.join(".git/HEAD")).unwrap();
        std::os::unix::fs::symlink("refs/heads/main", repo.join(".git/HEAD")).unwrap();
        agrees(&repo, Some("main"));
    }

    #[test]
    fn what_is_no_repository_has_no_root() {
        let place = Place(std::env::temp_dir().join(format!("mux-git-none-{}", std::process::id())));
        fs_err::create_dir_all(place.0.join("a/.git")).unwrap();
        fs_err::create_dir_all(place.0.join("b")).unwrap();
        assert_eq!(root(&place.0.join("a")), None);
        for text in ["gitdir: /nonexistent", "gitdir:", "something else", &"x".repeat(5000)] {
            fs_err::write(place.0.join("b/.git"), text).unwrap();
            assert_eq!(root(&place.0.join("b")), None, "{text}");
        }
    }

    #[test]
    fn tracked_and_new_files_are_listed_ignored_ones_are_not() {
        let place = place("files");
        let repo = place.0.join("repo");
        for (name, text) in [("new ü\n.txt", ""), (".gitignore", "*.log\n"), ("x.log", ""), ("deep/er/b", "")] {
            fs_err::write(repo.join(name), text).unwrap();
        }
        let mut found = files(&program(), &repo, &env(), "git-test", &stop()).unwrap();
        found.sort();
        assert_eq!(found, [".gitignore", "a.txt", "deep/er/b", "new ü\n.txt"].map(PathBuf::from));
        assert_eq!(files(&program(), &place.0, &env(), "git-test", &stop()), None);
    }

    #[test]
    fn a_repository_runs_no_code() {
        let place = place("evil");
        let repo = place.0.join("repo");
        let pwned = place.0.join("pwned");
        let touch = format!("touch {}", pwned.display());
        fs_err::create_dir_all(repo.join("hooks")).unwrap();
        for hook in ["post-index-change", "fsmonitor", "pre-commit"] {
            let path = repo.join("hooks").join(hook);
            fs_err::write(&path, format!("#!/bin/sh\n{touch}\n")).unwrap();
            fs_err::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        let config = format!(
            "[core]\n\tfsmonitor = {}/hooks/fsmonitor\n\thooksPath = hooks\n\tpager = {touch}\n\tsshCommand = {touch}\n\
             [pager]\n\tstatus = {touch}\n\tls-files = {touch}\n",
            repo.display()
        );
        let path = repo.join(".git/config");
        let before = fs_err::read_to_string(&path).unwrap();
        fs_err::write(&path, before + &config).unwrap();
        fs_err::write(repo.join("a.txt"), "changed").unwrap();

        git(&repo, &["status", "--porcelain"]);
        fs_err::write(repo.join(".gitattributes"), "* filter=evil\n").unwrap();
        git(&repo, &["config", "filter.evil.clean", &touch]);
        assert_eq!(files(&program(), &repo, &env(), "git-test", &stop()).map(|files| files.len()), Some(5));
        assert!(!pwned.exists(), "the repository's code ran");

        // The trap works: a git that is not disarmed falls into it.
        let mut armed = command(&program(), &repo, &env(), &["status", "--porcelain"], "git-test");
        armed.args.drain(..armed.args.len() - 2);
        proc::run(&armed, &stop(), &mut |_| {});
        assert!(pwned.exists(), "the trap is none");
    }
}
