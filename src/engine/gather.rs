//! What a model is shown of the work directory, whole files only: those that the task or `--file` name, and those that
//! mux finds by the identifiers of the task ([`search`]).
//!
//! **Invariants:** nothing is cut silently. A file that cannot be shown is a note, or an error when the user demanded it.
//! What is named is never left out to make room; what was found is, the least useful first ([`Gathered::cut`]).

use crate::engine::listing;
use crate::engine::place::Place;
use crate::rules::context::{self, Defines, Known, Name, Why};
use crate::rules::intent::Intent;
use crate::rules::names::{self, RelPath};
use crate::rules::prompt::{Shown, estimate_tokens};
use crate::sys::disk::WorkDir;
use crate::words::env::Env;
use crate::words::error::{Error, Kind as ErrorKind};
use crate::words::stop::Stop;
use crate::words::task::Kind;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Largest file that is shown, in bytes; no local window holds more.
const LARGEST_SHOWN: u64 = 512 * 1024;

/// Largest file that mux shows unasked, in bytes.
const LARGEST_FOUND: u64 = 64 * 1024;
/// Most files that mux shows unasked.
const MOST_FOUND: usize = 12;
/// Files that are looked into for definitions, and bytes of them. A bound on work, not on time: the same files give the
/// same context on every machine.
const MOST_SCANNED: usize = 10_000;
const MOST_SCANNED_BYTES: usize = 64 << 20;
/// Larger files are built rather than written; they are not looked into.
const LARGEST_SCANNED: u64 = 128 * 1024;
/// The fence and the `FILE:` line of a file, in tokens.
const AROUND_FILE: u64 = 12;
/// What is assumed of a server that does not tell its window, in tokens.
pub const USUAL_WINDOW: u64 = 8192;

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

impl ContextFile {
    fn tokens(&self) -> u64 {
        estimate_tokens(&self.content) + estimate_tokens(&self.path) + AROUND_FILE
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

    /// Returns the files that the task, the user or a reply named: all but what mux found.
    pub fn named(&self) -> impl Iterator<Item = &ContextFile> {
        self.files.iter().filter(|file| !file.why.is_found())
    }

    pub fn has_found(&self) -> bool {
        self.files.iter().any(|file| file.why.is_found())
    }

    /// Leaves out what was found and does not fit beside the named files, the task and the reply (in tokens). Returns a
    /// note for each file that went.
    pub fn cut(&mut self, window: u64, reply: u32, task: &str) -> Vec<String> {
        let needed = estimate_tokens(task) + self.named().map(ContextFile::tokens).sum::<u64>();
        let found = self.files.iter().filter(|file| file.why.is_found()).map(ContextFile::tokens);
        let fits = context::fit(found, context::room(window, u64::from(reply), needed));
        self.leave_out(&fits, &format!("it does not fit a window of {window} tokens"))
    }

    /// Leaves out all that was found. Returns as [`Gathered::cut`].
    pub fn cut_all_found(&mut self) -> Vec<String> {
        self.leave_out(&[], "the prompt was too long with it")
    }

    fn leave_out(&mut self, fits: &[bool], because: &str) -> Vec<String> {
        let (mut fits, mut notes) = (fits.iter(), Vec::new());
        self.files.retain(|file| {
            let stays = !file.why.is_found() || fits.next().is_some_and(|fits| *fits);
            if !stays {
                let (path, bytes, why) = (&file.path, file.content.len(), file.why.text());
                notes.push(format!("`{path}` ({bytes} bytes, {why}) is not shown to the model: {because}"));
            }
            stays
        });
        notes
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

/// What [`search`] needs to know.
pub struct Search<'a> {
    pub env: &'a Env,
    pub dir: &'a WorkDir,
    pub task: &'a str,
    pub intent: &'a Intent,
    pub kind: Kind,
    /// Whether a directory that is no repository may be walked through.
    pub may_walk: bool,
    /// For the git that lists the files.
    pub marker: &'a str,
}

/// Adds the files that the identifiers of a task lead to, and the tests of the files of a change, the best first. Starts
/// a git, in a repository, unless the task names a file and nothing else, or is a question in plain words.
pub fn search(gathered: &mut Gathered, search: &Search<'_>, stop: &Stop) {
    let names = context::identifiers(search.task, search.intent);
    // Plain words count only where there is no better sign of what a change is about. A question in plain words is mostly
    // about no file at all: it is asked at once, without a search.
    let is_open = search.kind == Kind::Change && gathered.files.is_empty() && names.is_empty();
    let words = if is_open { context::words(search.task, search.intent) } else { Vec::new() };
    let creates = search.kind == Kind::Change && gathered.files.is_empty() && !gathered.to_create.is_empty();
    if names.is_empty() && words.is_empty() && !creates {
        return;
    }
    let paths = match listing::list(search.env, search.dir, search.may_walk, search.marker, stop) {
        Ok(paths) => paths,
        // Plain words may mean no file at all: nothing is missed for sure.
        Err(_) if names.is_empty() => return,
        Err(why) => return gathered.notes.push(format!("only files named in the task are shown to the model: {why}")),
    };
    let shown: Vec<String> = gathered.files.iter().map(|file| file.path.clone()).collect();
    let known = Known { shown: &shown, to_create: &gathered.to_create, tests: search.kind == Kind::Change };
    let (defines, note) = scan(search.dir, &paths, &names);
    let mut ranked = context::rank(&paths, &defines, &names, &known);
    if ranked.is_empty() {
        ranked = context::rank(&paths, &[], &words, &known);
    }
    gathered.notes.extend(note);
    let mut left = MOST_FOUND;
    for (path, why) in ranked {
        // What cannot be read was not asked for either: no note.
        let Ok(path) = names::readable(path) else { continue };
        if let Ok(Some(file)) = read_within(search.dir, &path, LARGEST_FOUND, why) {
            gathered.files.push(file);
            left -= 1;
        }
        if left == 0 {
            break;
        }
    }
}

/// Looks into files for definitions of the names, as far as the bounds allow. Returns for each path which names it
/// defines, and a note where a bound was reached.
fn scan(dir: &WorkDir, paths: &[String], names: &[Name]) -> (Vec<Defines>, Option<String>) {
    let mut found = vec![Defines::default(); paths.len()];
    if names.is_empty() {
        return (found, None);
    }
    let order = context::scan_order(paths, names);
    let (mut skim, mut bytes) = (dir.skim(), 0);
    for (n, index) in order.iter().enumerate() {
        if n == MOST_SCANNED || bytes > MOST_SCANNED_BYTES {
            return (found, Some(format!("definitions were looked for in the {n} likeliest of {} files", order.len())));
        }
        let path = paths.get(*index).and_then(|path| names::readable(path).ok());
        let (Some(path), Some(defines)) = (path, found.get_mut(*index)) else { continue };
        if let Some(text) = skim.text(&path, LARGEST_SCANNED) {
            bytes += text.len();
            *defines = context::defined(text, names);
        }
    }
    (found, None)
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
    read_within(dir, path, LARGEST_SHOWN, why)
}

fn read_within(dir: &WorkDir, path: &RelPath, limit: u64, why: Why) -> Result<Option<ContextFile>, String> {
    let found = dir.read(path, limit).map_err(|error| error.to_string())?;
    let Some(file) = found else { return Ok(None) };
    let content = String::from_utf8(file.bytes).map_err(|_| "it is not UTF-8 text".to_string())?;
    if content.contains('\0') {
        return Err("it is a binary file".to_string());
    }
    Ok(Some(ContextFile { path: path.as_str().to_string(), content, sha256: file.sha256, why }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::intent;
    use crate::sys::{git, proc};
    use crate::words::time::Utc;
    use std::ffi::{OsStr, OsString};
    use std::time::{Duration, Instant};

    const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

    /// A directory with files in it, empty at its start and gone at its end.
    struct Tree(PathBuf);

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs_err::remove_dir_all(&self.0);
        }
    }

    fn tree(name: &str, files: &[(&str, &str)]) -> Tree {
        let tree = Tree(std::env::temp_dir().join(format!("mux-gather-{name}-{}", std::process::id())));
        for (path, text) in files {
            let path = tree.0.join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        tree
    }

    fn repository(tree: &Tree) {
        let program = proc::which(OsStr::new("git"), Some(OsStr::new(PATH)), Path::new("/")).unwrap();
        let vars = [("PATH".into(), OsString::from(PATH)), ("HOME".into(), "/nonexistent".into())];
        let spawn = git::command(&program, &tree.0, &vars, &["init", "-q"], "gather-test");
        let ran = proc::run(&spawn, &Stop::at(Instant::now() + Duration::from_mins(1)), &mut |_| {});
        assert!(matches!(ran.exit, proc::Exit::Code(0)), "{}", ran.stderr.text());
    }

    fn gathered(tree: &Tree, task: &str, kind: Kind, path: &str, may_walk: bool) -> Gathered {
        let vars = [("PATH".into(), path.into()), ("HOME".into(), "/nonexistent".into())].into();
        let env = Env { vars, cwd: None, now: Utc(0) };
        let dir = WorkDir::open(&tree.0).unwrap();
        let intent = intent::read(task, &[]);
        let place = Place { dir: dir.path().to_path_buf(), named: Vec::new(), here: String::new() };
        let mut gathered = gather(&env, &place, &dir, &intent, kind, &[]).unwrap();
        let search_for = Search { env: &env, dir: &dir, task, intent: &intent, kind, may_walk, marker: "gather-test" };
        search(&mut gathered, &search_for, &Stop::at(Instant::now() + Duration::from_mins(1)));
        gathered
    }

    /// `path: why` of each file, in order.
    fn list(gathered: &Gathered) -> Vec<String> {
        gathered.files.iter().map(|file| format!("{}: {}", file.path, file.why.text())).collect()
    }

    const PROJECT: [(&str, &str); 9] = [
        (".gitignore", "built/\n"),
        ("app/users.py", "class UserService:\n    pass\n"),
        ("app/user_service_notes.md", "class UserService"),
        ("built/copy.py", "class UserService:\n    pass\n"),
        ("tests/test_users.py", "import app.users\n"),
        ("app/pager.py", "def page():\n    pass\n"),
        ("node_modules/x/users.py", "class UserService:\n    pass\n"),
        ("app/blob.py", "class UserService:\n\0"),
        (".secret/users.py", "class UserService:\n    pass\n"),
    ];

    #[test]
    fn a_class_is_found_with_its_tests_and_what_is_ignored_is_not() {
        let tree = tree("class", &PROJECT);
        repository(&tree);
        std::os::unix::fs::symlink("users.py", tree.0.join("app/link.py")).unwrap();
        let found = gathered(&tree, "Fix the null pointer bug in UserService", Kind::Change, PATH, true);
        let want = ["app/users.py: defines `UserService`", "tests/test_users.py: tests app/users.py"];
        assert_eq!((list(&found), found.notes.as_slice()), (want.map(String::from).to_vec(), [].as_slice()));
        let asked = gathered(&tree, "What does UserService do?", Kind::Answer, PATH, true);
        assert_eq!(list(&asked), want[..1]);
        let named = gathered(&tree, "Fix UserService in built/copy.py", Kind::Change, PATH, true);
        assert_eq!(list(&named)[0], "built/copy.py: named in the task");
        let words = gathered(&tree, "Fix the bug in the pager", Kind::Change, PATH, true);
        assert_eq!(list(&words), ["app/pager.py: called `pager`"]);
    }

    #[test]
    fn a_directory_that_is_no_repository_is_walked_where_that_is_allowed() {
        let tree = tree("walk", &PROJECT);
        fs_err::create_dir_all(tree.0.join("below/.git")).unwrap();
        fs_err::write(tree.0.join("below/users.py"), "class UserService: pass").unwrap();
        let task = "Fix the null pointer bug in UserService";
        let want = [
            "app/users.py: defines `UserService`",
            "built/copy.py: defines `UserService`",
            "tests/test_users.py: tests app/users.py",
        ];
        assert_eq!(list(&gathered(&tree, task, Kind::Change, "", true)), want);
        let still = gathered(&tree, task, Kind::Change, "", false);
        assert_eq!((still.files.len(), still.notes.len()), (0, 0));
    }

    #[test]
    fn a_task_that_names_a_file_and_nothing_else_lists_nothing() {
        let tree = tree("quiet", &PROJECT);
        repository(&tree);
        // Without a git, each listing leaves a note.
        let named = gathered(&tree, "Fix the bug in app/pager.py", Kind::Change, "", true);
        assert_eq!((list(&named), named.notes.len()), (vec!["app/pager.py: named in the task".to_string()], 0));
        let more = gathered(&tree, "Fix UserService in app/pager.py", Kind::Change, "", true);
        assert_eq!(list(&more), list(&named));
        assert_eq!(gathered(&tree, "Explain the pager", Kind::Answer, "", true).notes, Vec::<String>::new());
        assert_eq!(more.notes, ["only files named in the task are shown to the model: there is no git"]);
    }

    #[test]
    fn what_was_found_makes_room_and_what_was_named_does_not() {
        let long = "# long\n".repeat(1000);
        let big = format!("{long}class UserService: pass");
        let tree = tree("cut", &[("big.py", &big), ("named.py", &long), ("user_service.py", "x = 1")]);
        let mut found = gathered(&tree, "Fix UserService in named.py", Kind::Change, "", true);
        assert_eq!(found.files.len(), 3);
        assert_eq!(found.cut(32_768, 6000, "task"), Vec::<String>::new());
        let notes = found.cut(8192, 6000, "task");
        assert_eq!(list(&found), ["named.py: named in the task", "user_service.py: called `UserService`"]);
        let because =
            "(7023 bytes, defines `UserService`) is not shown to the model: it does not fit a window of 8192 tokens";
        assert_eq!(notes, [format!("`big.py` {because}")]);
        assert_eq!(found.cut(16, 6000, "task").len(), 1);
        assert_eq!((list(&found).len(), found.has_found()), (1, false));
        assert!(found.cut_all_found().is_empty());
    }
}
