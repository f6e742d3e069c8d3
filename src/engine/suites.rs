//! Which test suites a project has: a table of well-known runners and the files that tell of them. Runs nothing.

use crate::rules::kin::is_for_pytest;
use std::ffi::OsStr;
use std::path::Path;

/// Longest manifest (`package.json`, `Makefile`) that is looked into, in bytes.
const MANIFEST_LIMIT: u64 = 256 * 1024;

/// The project's own test suites.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub commands: Vec<Vec<String>>,
    /// What told that they are there, for people: `Cargo.toml`.
    pub signs: Vec<&'static str>,
}

/// Looks for the project's own test suites, by the files at the top of the work directory. `touched` chooses among
/// several: in a repository of two languages a missing `node_modules` should not fail a change to Rust code.
pub fn detect(workdir: &Path, touched: &[String]) -> Found {
    /// What to run, the sign of it, the endings of the files it tests.
    type Suite = (&'static [&'static str], &'static str, &'static [&'static str]);
    let has = |name: &str| fs_err::metadata(workdir.join(name)).is_ok_and(|meta| meta.is_file());
    let mut suites: Vec<Suite> = Vec::new();
    if has("Cargo.toml") {
        suites.push((&["cargo", "test"], "Cargo.toml", &["rs", "toml"]));
    }
    if let Some(sign) = sign_of_pytest(workdir, touched) {
        suites.push((&["python3", "-m", "pytest", "-q"], sign, &["py", "pyi", "pyx"]));
    }
    if has("package.json") && has_npm_test(&head(&workdir.join("package.json"))) {
        let endings = &["js", "mjs", "cjs", "ts", "mts", "cts", "jsx", "tsx", "vue", "svelte", "json"];
        suites.push((&["npm", "test"], "package.json", endings));
    }
    if has("go.mod") {
        suites.push((&["go", "test", "./..."], "go.mod", &["go", "mod"]));
    }
    if suites.is_empty()
        && let Some(name) = ["GNUmakefile", "makefile", "Makefile"].into_iter().find(|name| has(name))
        && has_make_test(&head(&workdir.join(name)))
    {
        suites.push((&["make", "test"], "Makefile", &[]));
    }
    let tests = |suite: &Suite| {
        let ending = |path: &String| Path::new(path).extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
        touched.iter().filter_map(ending).any(|ending| suite.2.contains(&ending.as_str()))
    };
    if suites.iter().any(tests) {
        suites.retain(tests);
    } else {
        suites.truncate(1);
    }
    let commands = suites.iter().map(|suite| suite.0.iter().map(ToString::to_string).collect()).collect();
    Found { commands, signs: suites.iter().map(|suite| suite.1).collect() }
}

/// Returns what says that pytest has something to do: its configuration, or test files where it looks for them.
fn sign_of_pytest(workdir: &Path, touched: &[String]) -> Option<&'static str> {
    let says = |name: &str, word: &str| head(&workdir.join(name)).contains(word);
    let is_touched = |path: &String| is_for_pytest(path) && fs_err::metadata(workdir.join(path)).is_ok();
    if has_python_tests(workdir) || touched.iter().any(is_touched) {
        Some("test_*.py")
    } else if has_python_tests(&workdir.join("tests")) || has_python_tests(&workdir.join("test")) {
        Some("tests/")
    } else if fs_err::metadata(workdir.join("pytest.ini")).is_ok_and(|meta| meta.is_file()) {
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

/// Returns whether a makefile has a rule for `test`.
fn has_make_test(makefile: &str) -> bool {
    makefile.lines().filter(|line| !line.starts_with(['\t', '#', ' '])).any(|line| {
        let Some((targets, rule)) = line.split_once(':') else { return false };
        !rule.starts_with('=')
            && !targets.contains('=')
            && targets.split_ascii_whitespace().any(|target| target == "test")
    })
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
        check(&[("a.py", "")], &["app/test_a.py"], &[]);
    }

    #[test]
    fn make_is_asked_only_where_nothing_else_is_found() {
        check(&[("Makefile", "all:\n\techo\n\ntest: all\n\techo\n")], &[], &["Makefile: make test"]);
        check(&[("GNUmakefile", "check test :\n\techo\n")], &[], &["Makefile: make test"]);
        check(&[("Makefile", "test := x\ntest = a:b\n\ttest: x\n# test: y\ntests: z\n.PHONY: test\n")], &[], &[]);
        check(&[("Makefile", "test:\n"), ("Cargo.toml", "")], &[], &["Cargo.toml: cargo test"]);
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
