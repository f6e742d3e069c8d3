//! Which files a work directory has: git's list in a repository, else a bounded walk. Names only; nothing is read.
//!
//! **Invariant:** what a repository ignores is not in the list. Where git cannot tell, there is no list.

use crate::rules::sorted::sorted;
use crate::sys::disk::WorkDir;
use crate::sys::{git, proc};
use crate::words::env::Env;
use crate::words::stop::Stop;
use fs_err as fs;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Entries of directories that a walk looks at.
const MOST_ENTRIES: usize = 20_000;
/// How long git may take.
const GIT_TIMEOUT: Duration = Duration::from_secs(10);
/// What holds other people's files, or built ones.
const PASSED_OVER: [&str; 8] =
    ["node_modules", "target", "venv", "env", "__pycache__", "site-packages", "dist", "build"];

/// Returns the files below the work directory, relative to it, sorted. `may_walk`: whether a directory that is no
/// repository may be walked through. `marker` is the run's, for git.
///
/// # Errors
/// Why there is no list, as a sentence without a full stop.
pub fn list(env: &Env, dir: &WorkDir, may_walk: bool, marker: &str, stop: &Stop) -> Result<Vec<String>, &'static str> {
    if dir.was_missing() {
        return Ok(Vec::new());
    }
    let files = if git::root(dir.path()).is_some() {
        let program = proc::which(OsStr::new("git"), env.var("PATH"), dir.path()).ok_or("there is no git")?;
        let vars = proc::environment(&env.vars, &|name| matches!(name, "PATH" | "HOME" | "XDG_CONFIG_HOME" | "TMPDIR"));
        let stop = stop.until(Instant::now() + GIT_TIMEOUT);
        git::files(&program, dir.path(), &vars, marker, &stop).ok_or("git could not list the repository")?
    } else if may_walk {
        walk(dir.path())
    } else {
        Vec::new()
    };
    Ok(sorted(files.into_iter().filter_map(|path| path.into_os_string().into_string().ok()).collect()))
}

/// Level by level, each directory in the order of its names, so that the bound cuts the same deep files each time.
fn walk(top: &Path) -> Vec<PathBuf> {
    let (mut files, mut left) = (Vec::new(), MOST_ENTRIES);
    let mut directories = VecDeque::from([PathBuf::new()]);
    while let Some(directory) = directories.pop_front().filter(|_| left > 0) {
        let Ok(entries) = fs::read_dir(top.join(&directory)) else { continue };
        let mut found = Vec::new();
        for entry in entries.take(left).filter_map(Result::ok) {
            if let Ok(kind) = entry.file_type() {
                found.push((entry.file_name(), kind.is_dir(), kind.is_file()));
            }
        }
        left -= found.len();
        for (name, is_dir, is_file) in sorted(found) {
            let path = directory.join(&name);
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            // A repository below has its own rules of what is ignored.
            if is_dir && !PASSED_OVER.iter().any(|passed| name == *passed) && !top.join(&path).join(".git").exists() {
                directories.push_back(path);
            } else if is_file {
                files.push(path);
            }
        }
    }
    files
}
