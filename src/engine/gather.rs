//! What a model is shown of the work directory: the files that the task or `--file` name, whole.
//!
//! **Invariant:** nothing is cut silently. A file that cannot be shown is a note, or an error when the user demanded it.

use crate::engine::place::Place;
use crate::rules::intent::Intent;
use crate::rules::names::{self, RelPath};
use crate::rules::prompt::{Shown, estimate_tokens};
use crate::sys::disk::WorkDir;
use crate::words::env::Env;
use crate::words::error::{Error, Kind as ErrorKind};
use crate::words::task::Kind;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Largest file that is shown, in bytes; no local window holds more.
const LARGEST_SHOWN: u64 = 512 * 1024;

/// Why a file is in the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// `--file`.
    Demanded,
    /// Named in the task.
    Named,
    /// A reply rewrote it unseen; it is shown for the repair.
    Rewritten,
}

/// A file in the context.
#[derive(Clone, Debug)]
pub struct ContextFile {
    /// Relative to the work directory.
    pub path: String,
    pub content: String,
    /// SHA-256 of its bytes as they were shown.
    pub sha256: String,
    pub why: Why,
}

/// The context of a task.
#[derive(Debug, Default)]
pub struct Gathered {
    pub files: Vec<ContextFile>,
    /// Files that the task names and that do not exist yet: what a change is to create.
    pub to_create: Vec<String>,
    /// Paths that the user named with `--file`.
    pub allowed: Vec<String>,
    /// Said to the user: what could not be shown, and why.
    pub notes: Vec<String>,
}

impl Why {
    pub fn text(self) -> &'static str {
        match self {
            Why::Demanded => "--file",
            Why::Named => "named in the task",
            Why::Rewritten => "rewritten unseen",
        }
    }
}

impl Gathered {
    /// Returns the tokens that the shown files need, roughly.
    pub fn tokens(&self) -> u64 {
        self.files.iter().map(|file| estimate_tokens(&file.content)).sum()
    }

    /// Returns the hash of each shown file: what a reply was based on.
    pub fn seen(&self) -> BTreeMap<String, Option<String>> {
        let seen = self.files.iter().map(|file| (file.path.clone(), Some(file.sha256.clone())));
        let mut all = BTreeMap::new();
        all.extend(seen.chain(self.to_create.iter().map(|path| (path.clone(), None))));
        all
    }

    /// Returns the files as a prompt takes them.
    pub fn shown(&self) -> Vec<Shown<'_>> {
        self.files.iter().map(|file| Shown { path: &file.path, content: &file.content }).collect()
    }

    pub fn shows(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path == path)
    }

    /// Adds a file that a reply rewrote without having seen it. Returns whether it is shown now and was not before.
    pub fn add_rewritten(&mut self, dir: &WorkDir, path: &RelPath) -> bool {
        if self.shows(path.as_str()) {
            return false;
        }
        match read(dir, path, Why::Rewritten) {
            Ok(Some(file)) => {
                self.files.push(file);
                true
            }
            Ok(None) | Err(_) => false,
        }
    }
}

/// Collects the context of a task.
///
/// # Errors
/// `Usage` for a `--file` that does not exist or cannot be shown, `Refused` for one outside the work directory.
pub fn gather(
    env: &Env,
    place: &Place,
    dir: &WorkDir,
    intent: &Intent,
    kind: Kind,
    demanded: &[String],
) -> Result<Gathered, Error> {
    let mut gathered = Gathered::default();
    for name in demanded {
        let path = demanded_path(env, place, name)?;
        gathered.allowed.push(path.as_str().to_string());
        match read(dir, &path, Why::Demanded).map_err(|why| cannot_show(name, &why))? {
            Some(file) if !gathered.shows(path.as_str()) => gathered.files.push(file),
            Some(_) => {}
            None if kind == Kind::Change => gathered.to_create.push(path.as_str().to_string()),
            None => return Err(cannot_show(name, "it does not exist")),
        }
    }
    for name in place.named.iter().chain(&intent.files) {
        let candidates = candidates(place, name, intent.prefix.as_deref());
        let found = candidates.iter().find_map(|path| read(dir, path, Why::Named).transpose());
        match found {
            Some(Ok(file)) if gathered.shows(&file.path) => {}
            Some(Ok(file)) => gathered.files.push(file),
            Some(Err(why)) => gathered.notes.push(format!("`{name}` is not shown to the model: {why}")),
            None => gathered.to_create.extend(candidates.first().map(|path| path.as_str().to_string())),
        }
    }
    gathered.to_create.dedup();
    Ok(gathered)
}

/// Where a name of the task may be: below the directory that the task puts new files in ("lines.py in tools/report"),
/// below the current directory, below the work directory.
fn candidates(place: &Place, name: &str, prefix: Option<&str>) -> Vec<RelPath> {
    let prefix = prefix.map(|prefix| prefix.trim_matches('/'));
    let below = |dir: &str| if Path::new(name).starts_with(dir) { name.to_string() } else { format!("{dir}/{name}") };
    let here = Some(place.here.as_str()).filter(|here| !here.is_empty()).map(|here| format!("{here}/{name}"));
    let names = prefix.map(below).into_iter().chain(here).chain([name.to_string()]);
    names.filter_map(|name| names::readable(&name).ok()).collect()
}

fn demanded_path(env: &Env, place: &Place, name: &str) -> Result<RelPath, Error> {
    let path = Path::new(name);
    let base = env.cwd.as_deref().filter(|cwd| cwd.starts_with(&place.dir)).unwrap_or(&place.dir);
    let full = normalize(&base.join(path));
    let outside = || {
        let what = format!("`--file {name}` is outside the work directory `{}`", place.dir.display());
        Error::new(ErrorKind::Refused, what).hint("give the directory that holds it with `--workdir`")
    };
    let inside = full.strip_prefix(&place.dir).map_err(|_| outside())?.to_string_lossy().into_owned();
    names::readable(&inside).map_err(|rule| cannot_show(name, &rule.to_string()))
}

/// Takes `.` and `..` out of a path by its text alone.
fn normalize(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => out.push(part),
        }
    }
    out
}

fn cannot_show(name: &str, why: &str) -> Error {
    Error::new(ErrorKind::Usage, format!("cannot show `{name}` to the model: {why}"))
}

/// Reads one file as text. `Ok(None)`: there is none.
fn read(dir: &WorkDir, path: &RelPath, why: Why) -> Result<Option<ContextFile>, String> {
    let found = dir.read(path, LARGEST_SHOWN).map_err(|error| error.to_string())?;
    let Some(file) = found else { return Ok(None) };
    let content = String::from_utf8(file.bytes).map_err(|_| "it is not UTF-8 text".to_string())?;
    if content.contains('\0') {
        return Err("it is a binary file".to_string());
    }
    Ok(Some(ContextFile { path: path.as_str().to_string(), content, sha256: file.sha256, why }))
}
