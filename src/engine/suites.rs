//! Which test suites a project has: a table of well-known runners and the files that tell of them. Runs nothing.

use crate::rules::kin::{self, is_for_pytest};
use std::ffi::OsStr;
use std::path::Path;

/// Longest manifest (`package.json`, `Makefile`) that is looked into, in bytes.
const MANIFEST_LIMIT: u64 = 256 * 1024;

/// The project's own test suites.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub commands: Vec<Vec<String>>,
    /// What told that they are there, for people: `Cargo.toml`.
    pub signs: Vec<String>,
}

/// Most suites below the top that one change runs.
const MOST_BELOW: usize = 4;

/// The sign of Python tests without a directory or a configuration of their own.
const LONELY: &str = "test_*.py";

/// What stands at the top of a Python project.
const PYTHON_PROJECT: [&str; 6] =
    ["pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "Pipfile", "manage.py"];

/// What to run, the sign of it, the endings of the files it tests; none: of all.
struct Suite {
    argv: Vec<String>,
    sign: String,
    endings: &'static [&'static str],
}

/// Looks for the project's own test suites, by the files at the top of the work directory. `touched` chooses among
/// several: in a repository of two languages a missing `node_modules` should not fail a change to Rust code. What nothing
/// at the top tests is tested by the nearest project around it, as in `services/api` of a repository of many.
pub fn detect(workdir: &Path, touched: &[String]) -> Found {
    let mut suites = at(workdir, "");
    let ending = |path: &str| Path::new(path).extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    let is_for =
        |suite: &Suite, path: &str| ending(path).is_some_and(|ending| suite.endings.contains(&ending.as_str()));
    let mut below: Vec<Suite> = Vec::new();
    for path in touched {
        if suites.iter().any(|suite| suite.endings.is_empty() || is_for(suite, path)) {
            continue;
        }
        let folders = Path::new(path).ancestors().skip(1).filter_map(Path::to_str).filter(|folder| !folder.is_empty());
        let is_code = ending(path).is_some_and(|ending| kin::is_code(&ending));
        let fits = |suite: &Suite| is_for(suite, path) || suite.endings.is_empty() && is_code;
        let nearest = folders.map(|folder| at(workdir, folder)).find_map(|found| found.into_iter().find(fits));
        below
            .extend(nearest.filter(|one| below.len() < MOST_BELOW && below.iter().all(|known| known.argv != one.argv)));
    }
    let tests = |suite: &Suite| touched.iter().any(|path| is_for(suite, path));
    if !below.is_empty() || suites.iter().any(tests) {
        suites.retain(tests);
        suites.extend(below);
    } else {
        // Tests that the change brings are a suite too, wherever they lie.
        if suites.is_empty() && touched.iter().any(|path| is_for_pytest(path) && is_file(workdir, path)) {
            suites.push(pytest(workdir, "", LONELY));
        }
        suites.truncate(1);
    }
    Found {
        commands: suites.iter().map(|suite| suite.argv.clone()).collect(),
        signs: suites.into_iter().map(|suite| suite.sign).collect(),
    }
}

fn is_file(folder: &Path, name: &str) -> bool {
    fs_err::metadata(folder.join(name)).is_ok_and(|meta| meta.is_file())
}

/// The suites of one directory, `""` for the top. A program below it is told the directory; its own is the top.
fn at(workdir: &Path, folder: &str) -> Vec<Suite> {
    let dir = workdir.join(folder);
    let has = |name: &str| is_file(&dir, name);
    let below = |name: &str| if folder.is_empty() { name.to_string() } else { format!("{folder}/{name}") };
    let suite = |words: &[&str], sign: &str, endings| Suite {
        argv: words.iter().map(ToString::to_string).collect(),
        sign: below(sign),
        endings,
    };
    let is_top = folder.is_empty();
    let mut suites = Vec::new();
    if has("Cargo.toml") {
        let manifest = below("Cargo.toml");
        let words = ["cargo", "test", "--manifest-path", &manifest];
        suites.push(suite(if is_top { &words[..2] } else { &words }, "Cargo.toml", &["rs", "toml"]));
    }
    // Below the top a lonely test says little about where its project begins.
    let is_project = is_top || PYTHON_PROJECT.iter().any(|name| has(name));
    if let Some(sign) = sign_of_pytest(&dir).filter(|sign| is_project || *sign != LONELY) {
        suites.push(pytest(workdir, folder, sign));
    }
    if has("package.json") && has_npm_test(&head(&dir.join("package.json"))) {
        let endings = &["js", "mjs", "cjs", "ts", "mts", "cts", "jsx", "tsx", "vue", "svelte", "json"];
        let words = ["npm", "--prefix", folder, "test"];
        suites.push(suite(if is_top { &["npm", "test"] } else { &words }, "package.json", endings));
    }
    if has("go.mod") {
        let words = ["go", "-C", folder, "test", "./..."];
        suites.push(suite(if is_top { &["go", "test", "./..."] } else { &words }, "go.mod", &["go", "mod"]));
    }
    if suites.is_empty()
        && let Some(name) = ["GNUmakefile", "makefile", "Makefile"].into_iter().find(|name| has(name))
        && let Some(target) = make_target(&head(&dir.join(name)))
    {
        let (top, below) = (["make", target], ["make", "--no-print-directory", "-C", folder, target]);
        suites.push(suite(if is_top { &top } else { &below }, "Makefile", &[]));
    }
    suites
}

/// How the Python tests of a directory are run: by the interpreter of the project's own environment, where it has one. Below
/// the top, tests import what lies in their project, or, where that is a package, beside it.
fn pytest(workdir: &Path, folder: &str, sign: &str) -> Suite {
    let mut words = Vec::new();
    let mut beside = Path::new(folder);
    while is_file(&workdir.join(beside), "__init__.py")
        && let Some(above) = beside.parent()
    {
        beside = above;
    }
    if beside != Path::new("") {
        words.extend(["env".to_string(), format!("PYTHONPATH={}", beside.display())]);
    }
    let own = Path::new(folder)
        .ancestors()
        .flat_map(|above| [".venv", "venv"].map(|name| above.join(name).join("bin/python")));
    let own = own.filter_map(|path| path.to_str().map(str::to_string)).find(|path| is_file(workdir, path));
    words.push(own.unwrap_or_else(|| "python3".to_string()));
    words.extend(["-m", "pytest", "-q"].map(String::from));
    words.extend((!folder.is_empty()).then(|| folder.to_string()));
    let sign = if folder.is_empty() { sign.to_string() } else { format!("{folder}/{sign}") };
    Suite { argv: words, sign, endings: &["py", "pyi", "pyx"] }
}

/// Returns how the tests that a command runs by pytest in the project's own environment are run by the `python3` in PATH.
pub fn with_other_python(command: &[String]) -> Option<Vec<String>> {
    let at = command.iter().position(|word| word.ends_with("venv/bin/python"))?;
    let mut words = command.to_vec();
    words.get_mut(at)?.replace_range(.., "python3");
    Some(words)
}

/// Returns how the tests that a command runs by pytest are run without it; `None` for another command.
pub fn without_pytest(command: &[String], workdir: &Path) -> Option<Vec<String>> {
    let at = command.windows(3).position(|words| words == ["-m", "pytest", "-q"])?;
    let (before, after) = command.split_at_checked(at)?;
    let folder = after.get(3).map_or("", String::as_str);
    let mut words: Vec<String> = before.to_vec();
    words.extend(["-m", "unittest", "discover"].map(String::from));
    let start = ["tests", "test", ""].into_iter().map(|name| Path::new(folder).join(name));
    let start =
        start.filter(|start| has_python_tests(&workdir.join(start))).find_map(|start| start.to_str().map(String::from));
    let start = start.map(|start| start.trim_end_matches('/').to_string()).filter(|start| !start.is_empty());
    words.extend(start.into_iter().flat_map(|start| ["-s".to_string(), start]));
    Some(words)
}

/// Returns what says that pytest has something to do: its configuration, or test files where it looks for them.
fn sign_of_pytest(dir: &Path) -> Option<&'static str> {
    let says = |name: &str, word: &str| head(&dir.join(name)).contains(word);
    if has_python_tests(dir) {
        Some(LONELY)
    } else if has_python_tests(&dir.join("tests")) || has_python_tests(&dir.join("test")) {
        Some("tests/")
    } else if is_file(dir, "pytest.ini") {
        Some("pytest.ini")
    } else if says("pyproject.toml", "[tool.pytest") {
        Some("pyproject.toml")
    } else if says("setup.cfg", "[tool:pytest]") {
        Some("setup.cfg")
    } else {
        None
    }
}

/// Returns whether a directory holds Python test files; of `tests` and `test` also one level below (`tests/unit/`).
/// Looks at no more than a thousand names of a directory.
pub fn has_python_tests(folder: &Path) -> bool {
    let names = |folder: &Path| fs_err::read_dir(folder).into_iter().flatten().flatten().take(1000);
    let is_tests = folder.file_name().is_some_and(|name| name == "tests" || name == "test");
    names(folder).any(|entry| {
        let is_folder = is_tests && entry.file_type().is_ok_and(|kind| kind.is_dir());
        is_for_pytest(&entry.file_name().to_string_lossy())
            || (is_folder && names(&entry.path()).any(|entry| is_for_pytest(&entry.file_name().to_string_lossy())))
    })
}

/// Returns whether `npm test` does something: npm writes a placeholder into new projects.
fn has_npm_test(manifest: &str) -> bool {
    let manifest: serde_json::Value = serde_json::from_slice(manifest.as_bytes()).unwrap_or_default();
    let script = manifest.pointer("/scripts/test").and_then(serde_json::Value::as_str).unwrap_or_default();
    !script.trim().is_empty() && !script.contains("no test specified")
}

/// Returns the rule of a makefile that tests: `test`, or else `check`, as GNU calls it.
fn make_target(makefile: &str) -> Option<&'static str> {
    let rules = makefile.lines().filter(|line| !line.starts_with(['\t', '#', ' '])).filter_map(|line| {
        let (targets, rule) = line.split_once(':')?;
        (!rule.starts_with('=') && !targets.contains('=')).then_some(targets)
    });
    let targets: Vec<&str> = rules.flat_map(str::split_ascii_whitespace).collect();
    ["test", "check"].into_iter().find(|wanted| targets.contains(wanted))
}

/// Returns a file's text if it is a regular file of ordinary size, else nothing. Never blocks on a pipe in its place.
fn head(path: &Path) -> String {
    let is_ordinary = fs_err::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= MANIFEST_LIMIT);
    if is_ordinary { fs_err::read_to_string(path).unwrap_or_default() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lays out files (a name that ends in `/` is a directory) and compares what is found.
    #[track_caller]
    fn check(files: &[(&str, &str)], touched: &[&str], expected: &[&str]) {
        let place = std::panic::Location::caller().line();
        let root = std::env::temp_dir().join(format!("mux-suites-{}-{place}", std::process::id()));
        fs_err::create_dir_all(&root).unwrap();
        for (name, text) in files {
            let path = root.join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            if name.ends_with('/') {
                fs_err::create_dir_all(path).unwrap();
            } else {
                fs_err::write(path, text).unwrap();
            }
        }
        let touched: Vec<String> = touched.iter().map(ToString::to_string).collect();
        let found = detect(&root, &touched);
        fs_err::remove_dir_all(&root).unwrap();
        let lines: Vec<String> =
            found.commands.iter().zip(&found.signs).map(|(argv, sign)| format!("{sign}: {}", argv.join(" "))).collect();
        assert_eq!(lines, expected, "{files:?}");
    }

    const NPM: &str = r#"{"scripts": {"test": "node --test"}}"#;
    const PYTEST: &str = "python3 -m pytest -q";

    #[test]
    fn suites_are_found_by_their_files() {
        check(&[], &[], &[]);
        check(&[("README.md", ""), ("main.py", "")], &["main.py"], &[]);
        check(&[("Cargo.toml", "[package]")], &[], &["Cargo.toml: cargo test"]);
        check(&[("Cargo.toml/", "")], &[], &[]);
        check(&[("go.mod", "module x")], &[], &["go.mod: go test ./..."]);
        check(&[("package.json", NPM)], &[], &["package.json: npm test"]);
        for manifest in [
            "{}",
            "not json",
            r#"{"scripts": {"test": ""}}"#,
            r#"{"scripts": {"test": "echo \"Error: no test specified\" && exit 1"}}"#,
            r#"{"scripts": {"build": "tsc"}}"#,
        ] {
            check(&[("package.json", manifest)], &[], &[]);
        }
    }

    #[test]
    fn python_tests_are_found_where_pytest_looks() {
        for (file, text, sign) in [
            ("test_a.py", "", "test_*.py"),
            ("a_test.py", "", "test_*.py"),
            ("tests/test_a.py", "", "tests/"),
            ("tests/unit/test_a.py", "", "tests/"),
            ("test/a_test.py", "", "tests/"),
            ("pytest.ini", "[pytest]", "pytest.ini"),
            ("pyproject.toml", "[project]\n[tool.pytest.ini_options]\n", "pyproject.toml"),
            ("setup.cfg", "[tool:pytest]\n", "setup.cfg"),
        ] {
            check(&[(file, text)], &[], &[&format!("{sign}: {PYTEST}")]);
        }
        check(&[("pyproject.toml", "[project]\n"), ("tests/data.py", ""), ("tests/empty/", "")], &[], &[]);
        check(&[("app/test_a.py", "")], &[], &[]);
        check(&[("app/test_a.py", "")], &["app/test_a.py"], &[&format!("test_*.py: {PYTEST}")]);
        let own = "test_*.py: .venv/bin/python -m pytest -q";
        check(&[("test_a.py", ""), (".venv/bin/python", ""), ("venv/bin/python", "")], &[], &[own]);
        check(&[("test_a.py", ""), (".venv/bin/python/", "")], &[], &[&format!("test_*.py: {PYTEST}")]);
        check(&[("a.py", "")], &["app/test_a.py"], &[]);
    }

    #[test]
    fn make_is_asked_only_where_nothing_else_is_found() {
        check(&[("Makefile", "all:\n\techo\n\ntest: all\n\techo\n")], &[], &["Makefile: make test"]);
        check(&[("GNUmakefile", "check test :\n\techo\n")], &[], &["Makefile: make test"]);
        check(&[("Makefile", "test := x\ntest = a:b\n\ttest: x\n# test: y\ntests: z\n.PHONY: test\n")], &[], &[]);
        check(&[("Makefile", "test:\n"), ("Cargo.toml", "")], &[], &["Cargo.toml: cargo test"]);
        check(&[("Makefile", "all:\n\ncheck: all\n")], &[], &["Makefile: make check"]);
        check(&[("Makefile", "check:\n\ntest:\n")], &[], &["Makefile: make test"]);
    }

    #[test]
    fn what_the_top_does_not_test_is_tested_by_the_nearest_project() {
        let files = [
            ("backend/Cargo.toml", ""),
            ("backend/src/lib.rs", ""),
            ("web/app/package.json", NPM),
            ("svc/go.mod", ""),
            ("lib/Makefile", "test:\n"),
            ("api/pyproject.toml", "[tool.pytest.ini_options]"),
            ("api/.venv/bin/python", ""),
            ("pkg/__init__.py", ""),
            ("pkg/tests/test_a.py", ""),
            ("in/pkg/__init__.py", ""),
            ("in/pkg/tests/test_a.py", ""),
        ];
        let rust = "backend/Cargo.toml: cargo test --manifest-path backend/Cargo.toml";
        let npm = "web/app/package.json: npm --prefix web/app test";
        check(&files, &[], &[]);
        check(&files, &["backend/src/lib.rs", "backend/src/main.rs"], &[rust]);
        check(&files, &["web/app/src/x.ts", "backend/src/lib.rs"], &[npm, rust]);
        check(&files, &["svc/cmd/main.go"], &["svc/go.mod: go -C svc test ./..."]);
        check(&files, &["lib/x.c"], &["lib/Makefile: make --no-print-directory -C lib test"]);
        check(&files, &["lib/README.md", "other/x.rs"], &[]);
        let api = "api/pyproject.toml: env PYTHONPATH=api api/.venv/bin/python -m pytest -q api";
        check(&files, &["api/app/main.py"], &[api]);
        check(&files, &["pkg/a.py"], &["pkg/tests/: python3 -m pytest -q pkg"]);
        check(&files, &["in/pkg/a.py"], &["in/pkg/tests/: env PYTHONPATH=in python3 -m pytest -q in/pkg"]);
        // The top has the word where it has one for this language, or for all.
        let with = |more: (&'static str, &'static str)| [&files[..], &[more]].concat();
        check(&with(("Cargo.toml", "")), &["backend/src/lib.rs"], &["Cargo.toml: cargo test"]);
        check(&with(("Makefile", "test:\n")), &["backend/src/lib.rs"], &["Makefile: make test"]);
        check(&with(("package.json", NPM)), &["backend/src/lib.rs"], &[rust]);
        check(&with(("package.json", NPM)), &["README.md"], &["package.json: npm test"]);
    }

    #[test]
    fn tests_run_without_pytest_where_they_lie() {
        let root = std::env::temp_dir().join(format!("mux-suites-unittest-{}", std::process::id()));
        fs_err::create_dir_all(root.join("api/tests")).unwrap();
        fs_err::write(root.join("api/tests/test_a.py"), "").unwrap();
        fs_err::write(root.join("test_b.py"), "").unwrap();
        let words = |line: &str| line.split(' ').map(String::from).collect::<Vec<_>>();
        for (command, want) in [
            ("python3 -m pytest -q", "python3 -m unittest discover"),
            (
                "env PYTHONPATH=api python3 -m pytest -q api",
                "env PYTHONPATH=api python3 -m unittest discover -s api/tests",
            ),
        ] {
            assert_eq!(without_pytest(&words(command), &root), Some(words(want)), "{command}");
        }
        assert_eq!(without_pytest(&words("python3 -m tox"), &root), None);
        let other = with_other_python(&words("env PYTHONPATH=api api/.venv/bin/python -m pytest -q api"));
        assert_eq!(other, Some(words("env PYTHONPATH=api python3 -m pytest -q api")));
        assert_eq!(with_other_python(&words("python3 -m pytest -q")), None);
        fs_err::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn of_several_suites_those_of_the_touched_languages_run() {
        let files = [("Cargo.toml", ""), ("package.json", NPM), ("tests/test_a.py", "")];
        let pytest = format!("tests/: {PYTEST}");
        check(&files, &["src/lib.rs"], &["Cargo.toml: cargo test"]);
        check(&files, &["web/app.TSX"], &["package.json: npm test"]);
        check(&files, &["a.py", "src/lib.rs"], &["Cargo.toml: cargo test", &pytest]);
        check(&files, &["README.md"], &["Cargo.toml: cargo test"]);
        check(&files, &[], &["Cargo.toml: cargo test"]);
    }
}
