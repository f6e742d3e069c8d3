//! Where a task works: the work-directory rule. Reads the file system, changes nothing.
//!
//! `--workdir` › `work_dir` in the configuration › an absolute path named in a change task › git root of the current
//! directory › current directory. The longest `/…` string in a text never decides: an absolute path counts as the place
//! only where the task points at it, and an absolute target outside a given work directory is refused, never redirected.

use crate::rules::intent::Intent;
use crate::rules::names::{self, Rule};
use crate::rules::places;
use crate::sys::disk::WorkDir;
use crate::sys::git;
use crate::words::env::Env;
use crate::words::error::{Context, Error, Kind as ErrorKind};
use crate::words::task::Kind;
use fs_err as fs;
use std::path::{Component, Path, PathBuf};

/// A work directory and what the rule found out about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// Absolute; canonical when it exists.
    pub dir: PathBuf,
    /// Files that the task named by absolute path, relative to `dir`.
    pub named: Vec<String>,
    /// The current directory relative to `dir`, empty at its top or outside: relative names are tried here first.
    pub here: String,
}

/// What the user said about the place, outside the task.
pub struct Said<'a> {
    pub workdir: Option<&'a Path>,
    /// `work_dir` of the configuration, if it is not empty.
    pub configured: Option<&'a Path>,
    /// Over MCP: the directories below which a path in the text may lie.
    pub fence: Option<&'a [PathBuf]>,
}

/// Where the project of an MCP client is.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    pub roots: &'a [PathBuf],
    /// Whether the client named them; else it is where its server was started.
    pub is_declared: bool,
}

impl Client<'_> {
    /// Returns the directories in which a project's own tests may be run unasked: the roots and `allowed_roots`.
    pub fn project(&self, allowed: &[PathBuf]) -> Vec<PathBuf> {
        self.roots.iter().chain(allowed).filter_map(|dir| fs::canonicalize(dir).ok()).collect()
    }

    /// Returns the directories that a path in a text may lead to: these and the one for temporary files.
    pub fn fence(&self, allowed: &[PathBuf], env: &Env) -> Vec<PathBuf> {
        let temp = env.absolute("TMPDIR").unwrap_or(Path::new("/tmp"));
        self.project(allowed).into_iter().chain(fs::canonicalize(temp).ok()).collect()
    }
}

/// Decides the work directory.
///
/// # Errors
/// `Usage` for a directory that does not exist although it was given, and for two unrelated paths in the task; `Refused`
/// for a directory that mux does not work in, and for a target outside a given one.
pub fn choose(env: &Env, said: &Said<'_>, intent: &Intent, kind: Kind, task: &str) -> Result<Place, Error> {
    let targets: Vec<&str> = match kind {
        Kind::Change => intent.absolute.iter().map(String::as_str).filter(|path| is_target(task, path)).collect(),
        Kind::Answer | Kind::Undo => Vec::new(),
    };
    let given = said.workdir.or(said.configured);
    let mut place = match given {
        Some(dir) => in_given(env, dir, kind, &targets)?,
        None if !targets.is_empty() => {
            fenced(&targets, said.fence)?;
            named(&targets)?
        }
        None => here(env)?,
    };
    let below = env.cwd.as_deref().and_then(|cwd| cwd.strip_prefix(&place.dir).ok());
    place.here = below.filter(|_| given.is_none()).map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(place)
}

/// A directory that was given: it may be missing only for a change, and only below one that exists.
fn in_given(env: &Env, dir: &Path, kind: Kind, targets: &[&str]) -> Result<Place, Error> {
    let dir = match (dir.is_absolute(), &env.cwd) {
        (false, Some(cwd)) => cwd.join(dir),
        (_, _) => dir.to_path_buf(),
    };
    let (dir, missing) = resolve(&dir)?;
    if missing && kind != Kind::Change {
        let what = format!("the work directory `{}` does not exist", dir.display());
        return Err(Error::new(ErrorKind::Usage, what).hint("name one that exists with `--workdir`"));
    }
    let mut named = Vec::new();
    for target in targets {
        let (path, _) = resolve(Path::new(target))?;
        let Ok(inside) = path.strip_prefix(&dir) else {
            let what = format!("the task names `{target}`, outside the work directory `{}`", dir.display());
            let hint = "give the directory that holds both with `--workdir`, or leave the path out of the task";
            return Err(Error::new(ErrorKind::Refused, what).hint(hint));
        };
        if !inside.as_os_str().is_empty() {
            named.push(inside.to_string_lossy().into_owned());
        }
    }
    Ok(Place { dir, named, here: String::new() })
}

/// A place from the paths that the task points at.
fn named(targets: &[&str]) -> Result<Place, Error> {
    let mut place: Option<Place> = None;
    for target in targets {
        let next = one_named(Path::new(target))?;
        place = Some(match place {
            None => next,
            Some(before) => merge(before, next)?,
        });
    }
    place.ok_or_else(|| Error::new(ErrorKind::Usage, "the task names no path"))
}

/// A text that comes over MCP is a model's: it may not lead anywhere.
fn fenced(targets: &[&str], fence: Option<&[PathBuf]>) -> Result<(), Error> {
    let Some(fence) = fence else { return Ok(()) };
    for target in targets {
        let (path, _) = resolve(Path::new(target))?;
        if !fence.iter().any(|dir| path.starts_with(dir)) {
            let what = format!("the task names `{target}`, outside the client's project");
            let hint = "give the directory as `workdir`, or add it to `allowed_roots` in mux.yaml";
            return Err(Error::new(ErrorKind::Refused, what).hint(hint));
        }
    }
    Ok(())
}

/// Two paths of one task: the outer directory, if one holds the other.
fn merge(a: Place, b: Place) -> Result<Place, Error> {
    let (mut outer, inner) = if b.dir.starts_with(&a.dir) { (a, b) } else { (b, a) };
    let Ok(below) = inner.dir.strip_prefix(&outer.dir) else {
        let (one, two) = (inner.dir.display(), outer.dir.display());
        let what = format!("the task names two unrelated directories, `{one}` and `{two}`");
        return Err(Error::new(ErrorKind::Usage, what).hint("say which one is meant with `--workdir DIR`"));
    };
    outer.named.extend(inner.named.iter().map(|name| below.join(name).to_string_lossy().into_owned()));
    Ok(outer)
}

/// A path inside a repository gives that repository's root; an existing file gives its directory; else the path is
/// itself the directory, unless its last part looks like a file's name.
fn one_named(target: &Path) -> Result<Place, Error> {
    let (path, missing) = resolve(target)?;
    let is_file = if missing { path.extension().is_some() } else { path.is_file() };
    let dir = if is_file { path.parent().unwrap_or(&path) } else { &path };
    let dir = git::root(dir).unwrap_or_else(|| dir.to_path_buf());
    let inside = path.strip_prefix(&dir).unwrap_or(Path::new(""));
    let named = if inside.as_os_str().is_empty() { Vec::new() } else { vec![inside.to_string_lossy().into_owned()] };
    Ok(Place { dir, named, here: String::new() })
}

/// The git root of the current directory, else the current directory.
fn here(env: &Env) -> Result<Place, Error> {
    let cwd = env.here("change to another one, or give `--workdir DIR`")?;
    let dir = git::root(cwd).unwrap_or_else(|| cwd.to_path_buf());
    Ok(Place { dir, named: Vec::new(), here: String::new() })
}

/// Makes a path absolute and real as far as it exists; returns whether its end is missing. Links are resolved here, once:
/// from then on the directory is held by descriptor.
fn resolve(path: &Path) -> Result<(PathBuf, bool), Error> {
    let mut missing = Vec::new();
    let mut existing = path;
    loop {
        match fs::canonicalize(existing) {
            Ok(mut real) => {
                real.extend(missing.iter().rev());
                return Ok((real, !missing.is_empty()));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let plain = existing.components().next_back();
                let (Some(Component::Normal(name)), Some(parent)) = (plain, existing.parent()) else {
                    let what = format!("cannot use the path `{}`", path.display());
                    return Err(Error::new(ErrorKind::Refused, what).hint("write it without `..`"));
                };
                missing.push(name);
                existing = parent;
            }
            Err(error) => return Err(error).context(ErrorKind::Usage, || format!("cannot use `{}`", path.display())),
        }
    }
}

/// Refuses what mux does not work in. Asked of the open directory, so that what was judged is what is used.
///
/// # Errors
/// `Refused`, with the rule of [`places::refuse_workdir`].
pub fn check(env: &Env, dir: &WorkDir, state: &Path) -> Result<(), Error> {
    let home = env.home().and_then(|home| fs::canonicalize(home).ok());
    let state = fs::canonicalize(state).unwrap_or_else(|_| state.to_path_buf());
    let rule = places::refuse_workdir(&places::Place {
        path: dir.path(),
        home: home.as_deref(),
        state: &state,
        owner: dir.owner(),
        user: rustix::process::geteuid().as_raw(),
    });
    match rule {
        None => Ok(()),
        Some(rule) => {
            let what = format!("mux does not work in `{}`: {rule}", dir.path().display());
            Err(Error::new(ErrorKind::Refused, what).hint("give a project's directory with `--workdir DIR`"))
        }
    }
}

/// Refuses what a change may not be made in although its names would do: a directory whose files are protected by what
/// stands above them, and a repository without a work tree.
///
/// # Errors
/// `Refused`.
pub fn guarded(dir: &WorkDir) -> Result<(), Error> {
    let refused = |why: &str, hint: &str| {
        let what = format!("mux changes nothing in `{}`: {why}", dir.path().display());
        Err(Error::new(ErrorKind::Refused, what).hint(hint))
    };
    // A work tree may stand where tools keep theirs, as in `.claude/worktrees/x`: what is above it does not count.
    let top = git::root(dir.path());
    let below = top.and_then(|top| dir.path().strip_prefix(top).ok()).unwrap_or(dir.path());
    match names::guards(below) {
        Some(Rule::AutoRun) => refused(
            "tools run or obey what is there without being asked",
            "give the project's directory with `--workdir DIR` and name the file with `--file PATH`",
        ),
        Some(rule) => refused(&rule.to_string(), "change them by hand"),
        None if git::is_bare(dir.path()) => {
            refused("it is a repository without a work tree", "clone it, and work in the clone")
        }
        None => Ok(()),
    }
}

/// Whether the task points at `path` as its place ("in /tmp/app", "Fix /srv/x/a.py") rather than mentions it ("parses
/// /etc/passwd", "a /health endpoint"). A path whose first directory does not exist is not a path on this machine.
fn is_target(task: &str, path: &str) -> bool {
    let first = Path::new(path).components().take(2).collect::<PathBuf>();
    let single = Path::new(path).components().count() < 3;
    if !first.is_dir() || (single && !Path::new(path).exists()) {
        return false;
    }
    let pointing = [
        "in",
        "into",
        "at",
        "under",
        "inside",
        "to",
        "within",
        "directory",
        "folder",
        "file",
        "project",
        "repo",
        "repository",
        "create",
        "make",
        "write",
        "edit",
        "fix",
        "update",
        "change",
        "delete",
        "remove",
        "add",
        "rename",
        "move",
        "refactor",
        "port",
        "build",
        "scaffold",
        "implement",
        "of",
    ];
    let before = task.split(path).next().unwrap_or_default();
    let word = before.rsplit(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty()).unwrap_or_default();
    let word = word.to_ascii_lowercase();
    let pointed = word.is_empty() || pointing.contains(&word.as_str());
    // "from" takes something away there, unless it only reads what the system keeps.
    pointed || !places::is_of_system(Path::new(path)) && (word == "from" || !Path::new(path).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::intent;
    use crate::words::time::Utc;
    use std::collections::BTreeMap;

    /// `repo/` with a git directory and `src/a.py`, `plain/note.md`, and nothing else.
    fn ground(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("mux-place-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for dir in ["repo/.git", "repo/src", "plain"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        for (file, text) in [("repo/.git/HEAD", "ref: refs/heads/main\n"), ("repo/src/a.py", ""), ("plain/note.md", "")]
        {
            fs::write(root.join(file), text).unwrap();
        }
        fs::canonicalize(root).unwrap()
    }

    /// Chooses for a change task in `cwd`. Both are below the ground; `$` in the texts stands for it.
    fn chosen(root: &Path, cwd: &str, workdir: Option<&str>, task: &str) -> Result<String, String> {
        let at = |text: &str| text.replace('$', &root.to_string_lossy());
        let env = Env { vars: BTreeMap::new(), cwd: Some(root.join(cwd)), now: Utc(0) };
        let task = at(task);
        let workdir = workdir.map(|dir| PathBuf::from(at(dir)));
        let said = Said { workdir: workdir.as_deref(), configured: None, fence: None };
        let place = choose(&env, &said, &intent::read(&task, &[]), Kind::Change, &task);
        let short = |text: String| text.replace(&*root.to_string_lossy(), "$");
        match place {
            Ok(place) => {
                Ok(short(format!("{} {:?} {}", place.dir.display(), place.named, place.here)).trim_end().to_string())
            }
            Err(error) => Err(short(format!("{:?}: {}", error.kind, error.what))),
        }
    }

    #[test]
    fn the_place_follows_the_rule() {
        let root = ground("rule");
        let check = |cwd: &str, workdir: Option<&str>, task: &str, expected: &str| {
            assert_eq!(chosen(&root, cwd, workdir, task).as_deref(), Ok(expected), "{task}");
        };
        check("plain", None, "Create x.py", "$/plain []");
        check("repo/src", None, "Create x.py", "$/repo [] src");
        check("plain", Some("$/repo/src"), "Create x.py", "$/repo/src []");
        check("plain", Some("."), "Create x.py", "$/plain []");
        check("plain", Some("new"), "Create x.py", "$/plain/new []");
        // An absolute path: the repository's root, the file's directory, or the directory that is to be made.
        check("plain", None, "Fix $/repo/src/a.py", "$/repo [\"src/a.py\"]");
        check("repo", None, "Fix the typo in $/plain/note.md", "$/plain [\"note.md\"]");
        check("repo", None, "Create a Python CLI project in $/my-app", "$/my-app []");
        check("repo", None, "Create $/my-app/main.py", "$/my-app [\"main.py\"]");
        check("repo", None, "Create $/my-app/main.py and in $/my-app/lib a helper", "$/my-app [\"main.py\"]");
        // Mentioned, not pointed at.
        check("plain", None, "Add a /health endpoint to server.py", "$/plain []");
        check("plain", None, "Write a script that parses /etc/passwd", "$/plain []");
        check("plain", Some("$/repo"), "Write a script that reads $/plain/note.md", "$/repo []");
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn what_cannot_be_one_place_is_refused() {
        let root = ground("refused");
        let check = |workdir: Option<&str>, task: &str, expected: &str| {
            assert_eq!(chosen(&root, "plain", workdir, task), Err(expected.to_string()), "{task}");
        };
        check(
            None,
            "Move the text from $/plain/note.md into $/repo/src/a.py and in $/plain/note.md remove it",
            "Usage: the task names two unrelated directories, `$/plain` and `$/repo`",
        );
        check(
            Some("$/repo"),
            "Fix the typo in $/plain/note.md",
            "Refused: the task names `$/plain/note.md`, outside the work directory `$/repo`",
        );
        check(Some("$/repo/../x/../../y"), "Create a.py", "Refused: cannot use the path `$/repo/../x/../../y`");
        fs::remove_dir_all(root).unwrap();
    }
}
