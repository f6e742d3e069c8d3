//! Which files of the work directory a model is shown: those that the task or `--file` name, and those that mux finds by
//! the identifiers of the task ([`search`]). How they are made to fit is `gathered.rs`.
//!
//! **Invariant:** a file that cannot be shown is a note, or an error when the user demanded it.

use crate::engine::gathered::{ContextFile, Gathered, read, read_within};
use crate::engine::listing;
use crate::engine::place::Place;
use crate::rules::context::{self, Defines, Known, Name, Source, Why};
use crate::rules::document;
use crate::rules::intent::Intent;
use crate::rules::kin;
use crate::rules::leads;
use crate::rules::mentions::{self, Held};
use crate::rules::names::{self, RelPath};
use crate::rules::spelled;
use crate::sys::disk::WorkDir;
use crate::words::env::Env;
use crate::words::error::{Error, Kind as ErrorKind};
use crate::words::stop::Stop;
use crate::words::task::Kind;
use std::path::{Component, Path, PathBuf};

/// Most files that mux shows unasked.
const MOST_FOUND: usize = 12;
/// Files that are looked into for definitions, and bytes of them. A bound on work, not on time: the same files give the
/// same context on every machine.
const MOST_SCANNED: usize = 10_000;
const MOST_SCANNED_BYTES: usize = 64 << 20;
/// Larger files are built rather than written; they are not looked into.
const LARGEST_SCANNED: u64 = 128 * 1024;

/// Collects the context of a task.
///
/// # Errors
/// `Usage` for a `--file` that does not exist or cannot be shown, `Refused` for one outside the work directory.
pub fn gather(
    env: &Env,
    place: &Place,
    dir: &WorkDir,
    (task, intent): (&str, &Intent),
    kind: Kind,
    demanded: &[String],
) -> Result<Gathered, Error> {
    let mut gathered = Gathered { sought: context::sought(task, intent), ..Gathered::default() };
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
    // A quotation with blanks in it is one name where there is such a file, or none else can be meant.
    let mut task = task.to_string();
    let mut spaced = Vec::new();
    for (name, is_said) in spelled::quoted(&task.clone()) {
        let exists = candidates(place, name, None).iter().any(|path| !matches!(read(dir, path, Why::Named), Ok(None)));
        if exists || is_said && kind == Kind::Change {
            task = task.replace(name, "");
            spaced.push(name.to_string());
        }
    }
    let plain = intent.files.iter().filter(|name| spaced.is_empty() || task.contains(name.as_str()));
    for name in place.named.iter().chain(plain).chain(&spaced) {
        let candidates = candidates(place, name, intent.prefix.as_deref());
        let found = candidates.iter().find_map(|path| read(dir, path, Why::Named).transpose());
        match found {
            Some(Ok(file)) if gathered.shows(&file.path) => {}
            Some(Ok(file)) => gathered.files.push(file),
            Some(Err(why)) => {
                gathered.notes.push(format!("`{name}` is not shown to the model: {why}"));
                gathered.hides = true;
            }
            None if let Some(file) = document(dir, name) => {
                gathered.files.extend(Some(file).filter(|file| !gathered.shows(&file.path)));
            }
            None if kind == Kind::Change => {
                let name = document::new_name(name).unwrap_or(name);
                let candidates = self::candidates(place, name, intent.prefix.as_deref());
                gathered.to_create.extend(candidates.first().map(|path| path.as_str().to_string()));
            }
            // An answer makes no files: the name is a word of the question.
            None => {}
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
    let is_open = search.kind == Kind::Change && gathered.files.is_empty();
    let words = if is_open { context::words(search.task, search.intent) } else { Vec::new() };
    let creates = is_open && !gathered.to_create.is_empty();
    let said = match (is_open, creates) {
        (true, false) => mentions::words(search.task, &gathered.sought.words, search.intent),
        _ => Vec::new(),
    };
    if names.is_empty() && words.is_empty() && said.is_empty() && !creates {
        return;
    }
    let sources = match listing::list(search.env, search.dir, search.may_walk, search.marker, stop) {
        Ok(paths) => context::sources(paths),
        // Plain words may mean no file at all: nothing is missed for sure.
        Err(_) if names.is_empty() => return,
        Err(why) => return gathered.notes.push(format!("only files named in the task are shown to the model: {why}")),
    };
    let shown: Vec<String> = gathered.files.iter().map(|file| file.path.clone()).collect();
    let known = Known { shown: &shown, to_create: &gathered.to_create, tests: search.kind == Kind::Change };
    let rank = |defines: &[Defines], names: &[Name]| context::rank(&sources, defines, names, &known);
    // A word that a file is called by says more than one that a file defines, and that more than one that it says.
    let mut ranked = if names.is_empty() { rank(&[], &[]) } else { Vec::new() };
    if ranked.is_empty() && names.is_empty() && !words.is_empty() {
        ranked = rank(&[], &words);
    }
    if ranked.is_empty() && !(names.is_empty() && words.is_empty() && said.is_empty()) {
        // All that may count is looked for at once: opening a file costs more than looking for a few words more in it.
        let see = |text: &str| Seen {
            names: context::defined(text, &names),
            words: context::defined(text, &words),
            said: mentions::held(text, &said),
        };
        let (seen, note) = scan(search.dir, &sources, &[names.as_slice(), &words].concat(), see);
        gathered.notes.extend(note);
        let defines = |which: fn(&Seen) -> Defines| seen.iter().map(which).collect::<Vec<Defines>>();
        ranked = rank(&defines(|seen| seen.names), &names);
        if ranked.is_empty() && !words.is_empty() {
            ranked = rank(&[], &words);
        }
        if ranked.is_empty() && !words.is_empty() {
            ranked = rank(&defines(|seen| seen.words), &words);
        }
        if ranked.is_empty() && !said.is_empty() {
            let held: Vec<Held> = seen.iter().map(|seen| seen.said).collect();
            ranked = context::with_tests(mentions::rank(&sources, &held, &said), &sources, &known);
        }
    }
    let mut left = MOST_FOUND;
    for (path, why) in ranked {
        // What cannot be read was not asked for either: no note.
        let Ok(path) = names::readable(path) else { continue };
        if let Ok(Some(file)) = read_within(search.dir, &path, LARGEST_SCANNED, why) {
            gathered.files.push(file);
            left -= 1;
        }
        if left == 0 {
            break;
        }
    }
}

/// Adds the files that the output of a red check leads to: those that it names, and of tests what they test.
pub fn follow(gathered: &mut Gathered, search: &Search<'_>, output: &str, stop: &Stop) {
    let Ok(paths) = listing::list(search.env, search.dir, search.may_walk, search.marker, stop) else { return };
    let sources = context::sources(paths);
    let (mut found, mut tests) = (Vec::new(), Vec::new());
    let read = |path: &str, why: Why| {
        let path = names::readable(path).ok()?;
        read_within(search.dir, &path, LARGEST_SCANNED, why).ok()?
    };
    for path in leads::named(output, &sources) {
        let Some(file) = read(path, Why::Red) else { continue };
        if !kin::is_test_file(path) {
            found.push(file);
            continue;
        }
        let tested = leads::tested(path, &file.content, &sources);
        found.extend(tested.into_iter().filter_map(|(path, why)| read(path, why)));
        tests.push(file);
    }
    for file in found.into_iter().chain(tests) {
        if gathered.files.len() < MOST_FOUND && !gathered.shows(&file.path) {
            gathered.files.push(file);
        }
    }
}

/// What a scan has seen in a file.
#[derive(Clone, Copy, Default)]
struct Seen {
    names: Defines,
    words: Defines,
    said: Held,
}

/// Looks into files, those first that the names speak for, as far as the bounds allow. Returns for each what was
/// seen in it, and a note where a bound was reached.
fn scan(dir: &WorkDir, sources: &[Source], names: &[Name], see: impl Fn(&str) -> Seen) -> (Vec<Seen>, Option<String>) {
    let mut seen = vec![Seen::default(); sources.len()];
    let order = context::scan_order(sources, names);
    let (mut skim, mut bytes) = (dir.skim(), 0);
    for (n, index) in order.iter().enumerate() {
        if n == MOST_SCANNED || bytes > MOST_SCANNED_BYTES {
            return (seen, Some(format!("the {n} likeliest of {} files were looked into", order.len())));
        }
        let path = sources.get(*index).and_then(|source| names::readable(&source.path).ok());
        let (Some(path), Some(found)) = (path, seen.get_mut(*index)) else { continue };
        if let Some(text) = skim.text(&path, LARGEST_SCANNED) {
            bytes += text.len();
            *found = see(text);
        }
    }
    (seen, None)
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

/// The document that a task names by its kind: `README` is also `README.md`, and a `CHANGELOG` is mostly `CHANGES.rst`.
fn document(dir: &WorkDir, name: &str) -> Option<ContextFile> {
    let paths = document::spellings(name).into_iter().filter_map(|name| names::readable(&name).ok());
    paths.into_iter().find_map(|path| read(dir, &path, Why::Named).ok().flatten())
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
    if inside.is_empty() && !name.is_empty() {
        return Err(cannot_show(name, "it is the work directory itself"));
    }
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
    let error = Error::new(ErrorKind::Usage, format!("cannot show `{name}` to the model: {why}"));
    error.hint("`git ls-files` lists the names that work, from the work directory")
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
        let mut gathered = gather(&env, &place, &dir, (task, &intent), kind, &[]).unwrap();
        let search_for = Search { env: &env, dir: &dir, task, intent: &intent, kind, may_walk, marker: "gather-test" };
        search(&mut gathered, &search_for, &Stop::at(Instant::now() + Duration::from_mins(1)));
        gathered
    }

    #[test]
    fn only_a_change_creates_the_files_that_are_not_there() {
        let tree = tree("absent", &[("a.py", "x = 1\n")]);
        for (kind, to_create) in [(Kind::Change, &["src/gone.py"][..]), (Kind::Answer, &[])] {
            let found = gathered(&tree, "What is wrong in src/gone.py next to a.py?", kind, PATH, false);
            assert_eq!((found.to_create, found.files.len()), (to_create.iter().map(ToString::to_string).collect(), 1));
        }
    }

    #[test]
    fn a_document_is_named_by_its_kind() {
        let tree = tree("kinds", &[("README.rst", "# Tool\n"), ("CHANGES.md", "## 1.0\n")]);
        for (task, want) in [("Update the readme", "README.rst"), ("Add an entry to the CHANGELOG", "CHANGES.md")] {
            let found = gathered(&tree, task, Kind::Change, "", true);
            assert_eq!(
                (list(&found), found.to_create.len()),
                (vec![format!("{want}: named in the task")], 0),
                "{task}"
            );
        }
        let created = gathered(&tree, "Write CONTRIBUTING and LICENSE", Kind::Change, "", true).to_create;
        assert_eq!(created, ["CONTRIBUTING.md", "LICENSE"]);
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
    fn the_output_of_a_red_check_leads_to_the_test_and_to_what_it_tests() {
        let test = "import app.users\nfrom app.pager import page\n";
        let tree = tree("red", &[&PROJECT[..], &[("tests/test_users.py", test), ("README.md", "# x\n")]].concat());
        repository(&tree);
        let output =
            "  File \"tests/test_users.py\", line 9, in test_it\nAssertionError: see README.md and built/copy.py\n";
        let vars = [("PATH".into(), PATH.into()), ("HOME".into(), "/nonexistent".into())].into();
        let env = Env { vars, cwd: None, now: Utc(0) };
        let (dir, task) = (WorkDir::open(&tree.0).unwrap(), "Fix the failing test");
        let (intent, kind) = (intent::read(task, &[]), Kind::Change);
        let search =
            Search { env: &env, dir: &dir, task, intent: &intent, kind, may_walk: true, marker: "gather-test" };
        let mut found = Gathered::default();
        follow(&mut found, &search, output, &Stop::at(Instant::now() + Duration::from_mins(1)));
        let want = [
            "app/users.py: tested by tests/test_users.py",
            "app/pager.py: imported by tests/test_users.py",
            "tests/test_users.py: named by a red check",
        ];
        assert_eq!((list(&found), found.led_to()), (want.map(String::from).to_vec(), Some("app/users.py")));
        let mut several = Gathered::default();
        let output = "app/users.py:1: in x\napp/pager.py:2: in y\n";
        follow(&mut several, &search, output, &Stop::at(Instant::now() + Duration::from_mins(1)));
        assert_eq!((several.files.len(), several.led_to()), (2, None));
        several.files.pop();
        assert_eq!(several.led_to(), Some("app/users.py"), "the only one");
    }

    #[test]
    fn a_definition_is_found_however_a_task_spells_it() {
        let ledger = "class Ledger:\n    def largest(self):\n        pass\n";
        let tree = tree("spelled", &[("app/books.py", ledger), ("app/text.py", "def wrap(text):\n    pass\n")]);
        let books = ["app/books.py: defines `Ledger`"];
        for (task, want) in [
            ("Fix Ledger.largest: it returns the smallest", &books[..]),
            ("Fix the order in Ledger::largest", &books),
            ("Fix the sorting of Ledger", &books),
            ("Fix wrap: the last line is lost", &["app/text.py: defines `wrap`"]),
            // A name that nothing defines is no better sign than a plain word.
            ("Fix wrap with TextTools", &["app/text.py: defines `wrap`"]),
            ("Give the smallest back where it is largest", &["app/books.py: says `largest`"]),
            ("Fix nothing: it is fine", &[]),
        ] {
            assert_eq!(list(&gathered(&tree, task, Kind::Change, "", true)), want, "{task}");
        }
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
}
