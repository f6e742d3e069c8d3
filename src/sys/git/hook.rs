//! What a hook asks git about its repository.
//!
//! **Invariants:** nothing that git sets for a hook (`GIT_DIR`, `GIT_INDEX_FILE`, `GIT_PREFIX`, …) reaches a child, but
//! for the index file, and that only in the one query that needs it: a partial commit has an index of its own. The git
//! directory is found once and named by mux. No query writes the index: they are plumbing, which does not refresh it.

use super::{Git, SMALL, Unanswered, git_dir, is_id, read, root};
use crate::words::env::Env;
use crate::words::stop::Stop;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The tree without files, in both formats of objects (`git hash-object -t tree /dev/null`). Git knows it everywhere.
const EMPTY: [&str; 2] =
    ["4b825dc642cb6eb9a060e54bf8d69288fbee4904", "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"];
/// Commits that a push may bring before only the newest of them are looked at.
const MOST_COMMITS: &str = "--max-count=1000";
/// How a change is written out: plain, as `rules/staged.rs` reads it. No program of the repository is asked for it.
const AS_PATCH: [&str; 11] = [
    "--raw",
    "-z",
    "-p",
    "-M",
    "-l400",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--submodule=short",
    "--src-prefix=a/",
    "--dst-prefix=b/",
];

/// A repository, seen from one of its hooks.
#[derive(Debug)]
pub struct Repo {
    git: Git,
    /// Where git runs its hooks: the top of the work tree, or the git directory of a bare repository.
    cwd: PathBuf,
    /// The index that is being committed, where it is not the usual one.
    index: Option<PathBuf>,
}

/// What a push brings that the other side does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    Nothing,
    /// What lies between these two.
    Since(String),
    /// A history that the other side has nothing of.
    All,
}

/// Returns the git directory that a hook belongs to. The directory of the message file is it, where git gives one; else
/// `GIT_DIR`, which git sets for linked worktrees and submodules; else what the current directory says. What leads to
/// no HEAD is passed over.
pub fn git_dir_of(env: &Env, cwd: &Path, message: Option<&Path>) -> Option<PathBuf> {
    let is_git_dir = |dir: &PathBuf| fs_err::symlink_metadata(dir.join("HEAD")).is_ok();
    let of_message = message.and_then(Path::parent).map(Path::to_path_buf).filter(is_git_dir);
    let named = || env.var("GIT_DIR").map(|dir| cwd.join(dir)).filter(is_git_dir);
    let found = || root(cwd).and_then(|root| git_dir(&root));
    // A hook of a bare repository runs in it.
    let bare = || Some(cwd.to_path_buf()).filter(is_git_dir);
    of_message.or_else(named).or_else(found).or_else(bare)
}

/// Returns the ids of the commits that are being merged into HEAD: several of an octopus, none without a merge.
pub fn merged(git_dir: &Path) -> Vec<String> {
    let text = read(&git_dir.join("MERGE_HEAD"), SMALL).unwrap_or_default();
    text.lines().filter(|line| is_id(line)).map(str::to_string).collect()
}

impl Repo {
    /// Looks at the repository of a hook. `git` has the environment of [`crate::sys::proc::environment`].
    pub fn open(mut git: Git, env: &Env, cwd: &Path, git_dir: &Path) -> Repo {
        git.env.push(("GIT_DIR".into(), git_dir.as_os_str().to_owned()));
        let index = env.var("GIT_INDEX_FILE").map(|file| cwd.join(file)).filter(|file| file.is_file());
        Repo { git, cwd: cwd.to_path_buf(), index }
    }

    /// Writes out what is staged against HEAD (against nothing, before the first commit) as `rules/staged.rs` reads it,
    /// with `context` lines around each change.
    ///
    /// # Errors
    /// `Unanswered`; what came until then has been handed over.
    pub fn staged(&self, context: &str, stop: &Stop, on: &mut dyn FnMut(&[u8])) -> Result<(), Unanswered> {
        let mut failed = None;
        for base in ["HEAD"].into_iter().chain(EMPTY) {
            let mut came = false;
            let asked = self.staged_against(base, context, stop, &mut |bytes| {
                came = true;
                on(bytes);
            });
            match asked {
                // 128: there is no HEAD yet, or the other format of objects.
                Err(why @ Unanswered::Failed { code: Some(128), .. }) if !came => failed = failed.or(Some(why)),
                other => return other,
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Writes out the staged change against another commit than HEAD.
    ///
    /// # Errors
    /// As [`Repo::staged`].
    pub fn staged_against(
        &self,
        base: &str,
        context: &str,
        stop: &Stop,
        on: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Unanswered> {
        let mut git = self.git.clone();
        git.env.extend(self.index.iter().map(|file| (OsString::from("GIT_INDEX_FILE"), file.clone().into_os_string())));
        // A file that is only meant to be added (`git add -N`) is not committed.
        let args: Vec<&str> = ["diff-index", "--cached", "--ita-invisible-in-index", context]
            .into_iter()
            .chain(AS_PATCH)
            .chain([base, "--"])
            .collect();
        git.ask(&self.cwd, &args, None, stop, on)
    }

    /// Writes out what lies between a commit (or nothing) and another.
    ///
    /// # Errors
    /// As [`Repo::staged`].
    pub fn between(&self, news: &News, tip: &str, stop: &Stop, on: &mut dyn FnMut(&[u8])) -> Result<(), Unanswered> {
        let [sha1, sha256] = EMPTY;
        let base = match news {
            News::Nothing => return Ok(()),
            News::Since(base) => base,
            News::All if tip.len() == 64 => sha256,
            News::All => sha1,
        };
        let args: Vec<&str> = ["diff-tree", "-r", "-U3"].into_iter().chain(AS_PATCH).chain([base, tip, "--"]).collect();
        self.git.ask(&self.cwd, &args, None, stop, on)
    }

    /// Returns what a push of `local` over `remote` (both ids) to the remote `name` brings.
    ///
    /// # Errors
    /// As [`Repo::staged`].
    pub fn news(&self, local: &str, remote: &str, name: &str, stop: &Stop) -> Result<News, Unanswered> {
        let is_known = remote.bytes().any(|byte| byte != b'0') && {
            let args = ["cat-file", "-e", &format!("{remote}^{{commit}}")];
            self.git.ask(&self.cwd, &args, None, stop, &mut |_| {}).is_ok()
        };
        // What other branches of the remote have is no news either; a commit that only it has cannot be compared with.
        let known = format!("--remotes={name}");
        let mut args = vec!["rev-list", "--boundary", "--topo-order", MOST_COMMITS, local, "--not", &known];
        args.extend(is_known.then_some(remote));
        let mut said = Vec::new();
        self.git.ask(&self.cwd, &args, None, stop, &mut |bytes| said.extend_from_slice(bytes))?;
        let text = String::from_utf8_lossy(&said);
        // The boundary that is named first is the one nearest to the tip.
        let base = text.lines().find_map(|line| line.strip_prefix('-'));
        Ok(match base {
            _ if text.lines().all(|line| line.starts_with('-')) => News::Nothing,
            Some(base) => News::Since(base.to_string()),
            None => News::All,
        })
    }

    /// Returns the id of the commit that a name stands for.
    pub fn commit(&self, name: &str, stop: &Stop) -> Option<String> {
        let mut said = Vec::new();
        let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{name}^{{commit}}")];
        self.git.ask(&self.cwd, &args, None, stop, &mut |bytes| said.extend_from_slice(bytes)).ok()?;
        Some(String::from_utf8_lossy(&said).trim_end().to_string())
    }

    /// Returns the subjects of the last commits that are no merges, newest first; none before the first commit, or when
    /// git does not answer.
    pub fn subjects(&self, stop: &Stop) -> Vec<String> {
        let mut said = Vec::new();
        let args = ["log", "-20", "--no-merges", "--no-show-signature", "--no-color", "--format=%s", "HEAD", "--"];
        let asked = self.git.ask(&self.cwd, &args, None, stop, &mut |bytes| said.extend_from_slice(bytes));
        let text = String::from_utf8_lossy(&said);
        asked.map(|()| text.lines().filter(|line| !line.is_empty()).map(str::to_string).collect()).unwrap_or_default()
    }

    /// Returns what begins a comment in a message (`core.commentChar`, `core.commentString`), `#` where nobody has set
    /// it. The user's own settings count.
    pub fn comment(&self, stop: &Stop) -> String {
        let mut said = Vec::new();
        let args = ["config", "-z", "--get-regexp", "^core\\.comment(char|string)$"];
        // 1: it is not set.
        let _ = self.git.ask_as_user(&self.cwd, &args, stop, &mut |bytes| said.extend_from_slice(bytes));
        let text = String::from_utf8_lossy(&said);
        let last = text.split('\0').filter_map(|entry| entry.split_once('\n')).map(|(_, value)| value).next_back();
        // For an empty message `auto` is the default.
        last.filter(|value| !value.is_empty() && *value != "auto").unwrap_or("#").to_string()
    }
}

/// Where git looks for hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HooksDir {
    pub path: PathBuf,
    /// The git directory that all worktrees share.
    pub common: PathBuf,
}

/// Asks git where the hooks of the repository at `cwd` are, with the user's own settings (`core.hooksPath`).
///
/// # Errors
/// As [`Repo::staged`]; git says why.
pub fn hooks_dir(git: &Git, cwd: &Path, stop: &Stop) -> Result<HooksDir, Unanswered> {
    let mut said = Vec::new();
    let args = ["rev-parse", "--git-common-dir", "--git-path", "hooks"];
    git.ask_as_user(cwd, &args, stop, &mut |bytes| said.extend_from_slice(bytes))?;
    let mut lines = said.split(|byte| *byte == b'\n').map(super::path_of);
    let (common, path) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    Ok(HooksDir { path: cwd.join(path), common: cwd.join(common) })
}
