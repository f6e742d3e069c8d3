//! Tests of the repository itself: what must hold in every file and no compiler checks. Each failure names file, line
//! and the rule. It reads sources as text, so a `crate::` in a string counts too: that is ugly, and has not hurt yet.

use crate::bench::{manifest, run, tree};
use crate::scenarios;
use fs_err as fs;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const FLOORS: [&str; 5] = ["words", "rules", "sys", "engine", "face"];
/// The only arrows inside `sys/`: everything else is handed paths, locks and values by `engine/`.
const SYS_ARROWS: [(&str, &str); 4] = [("git", "proc"), ("snapshot", "git"), ("chat", "http"), ("servers", "http")];
const LONGEST_FILE: usize = 450;
const LONGEST_MAIN: usize = 80;
/// rustfmt keeps code at 120; what it cannot break, a comment or a string, may be a little longer.
const LONGEST_LINE: usize = 140;

/// Fails with all faults at once.
#[track_caller]
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// A source file: its path below the root, and its lines.
struct Source {
    path: String,
    text: String,
}

fn sources(folder: &str) -> Vec<Source> {
    let files = tree(&manifest().join(folder)).into_iter();
    let sources: Vec<Source> = files
        .filter(|(name, _)| Path::new(name).extension().is_some_and(|ending| ending == "rs"))
        .map(|(name, bytes)| Source { path: format!("{folder}/{name}"), text: String::from_utf8(bytes).unwrap() })
        .collect();
    assert!(!sources.is_empty(), "no sources in {folder}");
    sources
}

impl Source {
    /// Returns the lines before the tests, numbered from 1.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines()).take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
    }

    /// `("sys", "chat")` for `src/sys/chat.rs`; `None` for `main.rs`.
    fn place(&self) -> Option<(&str, &str)> {
        let (floor, file) = self.path.strip_prefix("src/")?.split_once('/')?;
        Some((floor, file.split(['/', '.']).next().unwrap_or_default()))
    }
}

/// Returns every path behind `crate::` in a line, as its first two names; a brace list gives one for each name.
fn crate_paths(line: &str) -> Vec<(String, String)> {
    let name = |text: &str| text.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect::<String>();
    let mut paths = Vec::new();
    for (at, _) in line.match_indices("crate::").filter(|(at, _)| !line[..*at].ends_with('$')) {
        let rest = &line[at + "crate::".len()..];
        let first = name(rest);
        let below = rest[first.len()..].strip_prefix("::").unwrap_or_default();
        match below.strip_prefix('{') {
            Some(list) => paths.extend(list.split(',').map(|item| (first.clone(), name(item.trim())))),
            None => paths.push((first, name(below))),
        }
    }
    paths
}

#[test]
fn imports_only_go_down() {
    let floor_of = |name: &str| FLOORS.iter().position(|floor| *floor == name);
    let mut faults = Vec::new();
    for source in sources("src") {
        let Some((floor, file)) = source.place() else { continue };
        let Some(own) = floor_of(floor) else {
            faults.push(format!("{}: a sixth floor", source.path));
            continue;
        };
        for (n, line) in (1..).zip(source.text.lines()) {
            for (target, _) in crate_paths(line) {
                match floor_of(&target) {
                    Some(target_floor) if target_floor > own => {
                        faults.push(format!("{}:{n}: {floor} must not know {target}", source.path));
                    }
                    None if !target.is_empty() && floor != "words" => {
                        faults.push(format!("{}:{n}: `crate::{target}` is on no floor", source.path));
                    }
                    Some(_) | None => {}
                }
            }
        }
        if floor == "sys" {
            faults.extend(sideways(&source, file));
        }
    }
    none(&faults);
}

fn sideways(source: &Source, file: &str) -> Vec<String> {
    // In a file right below `sys/`, `super` is `sys`; in a folder of its own (`sys/disk/tree.rs`) it takes two of them.
    let is_nested = source.path.matches('/').count() > 2;
    let up = if is_nested { "super::super::" } else { "super::" };
    let mut faults = Vec::new();
    for (n, line) in source.code() {
        let targets = crate_paths(&line.replace(up, "crate::sys::")).into_iter().filter(|(floor, _)| floor == "sys");
        for (_, target) in targets.filter(|(_, target)| target != file && file != "mod") {
            if !SYS_ARROWS.contains(&(file, &target)) {
                faults.push(format!("{}:{n}: {file} → {target} is not one of the arrows inside sys", source.path));
            }
        }
    }
    faults
}

#[test]
fn an_arrow_is_read_from_every_form_of_use() {
    let check = |line: &str, want: &[(&str, &str)]| {
        let want: Vec<(String, String)> = want.iter().map(|(one, two)| (one.to_string(), two.to_string())).collect();
        assert_eq!(crate_paths(line), want, "{line}");
    };
    check("use crate::sys::proc;", &[("sys", "proc")]);
    check("use crate::sys::{proc, http::Agent};", &[("sys", "proc"), ("sys", "http")]);
    check("    let x = crate::rules::policy::decide(&f);", &[("rules", "policy")]);
    check("pub(crate) fn x()", &[]);
    let source =
        Source { path: "src/sys/disk.rs".into(), text: "use super::proc::run;\nuse crate::sys::http;\n".into() };
    assert_eq!(sideways(&source, "disk").len(), 2);
    let nested = "use super::cause;\nuse crate::sys::disk::tree;\nuse super::super::proc;\n";
    let source = Source { path: "src/sys/disk/tree.rs".into(), text: nested.into() };
    assert_eq!(sideways(&source, "disk").len(), 1);
    let source = Source {
        path: "src/sys/git.rs".into(),
        text: "use crate::sys::proc;\n#[cfg(test)]\nuse crate::sys::disk;".into(),
    };
    assert_eq!(sideways(&source, "git"), Vec::<String>::new());
}

#[test]
fn files_and_lines_are_of_a_size_to_read() {
    let mut faults = Vec::new();
    for source in sources("src").into_iter().chain(sources("tests")) {
        let lines = source.code().count();
        let most = if source.path == "src/main.rs" { LONGEST_MAIN } else { LONGEST_FILE };
        let is_code = source.path.starts_with("src/") && !source.path.ends_with("/tests.rs");
        if lines > most && is_code && !source.path.starts_with("src/words/") {
            faults.push(format!(
                "{}: {lines} lines before its tests, {most} are the most: it holds two ideas",
                source.path
            ));
        }
        for (n, line) in (1..).zip(source.text.lines()) {
            // Recorded replies in tables may be longer than a line of code.
            if line.chars().count() > LONGEST_LINE && !line.contains("r#\"") && !line.trim_start().starts_with('"') {
                faults.push(format!("{}:{n}: {} characters", source.path, line.chars().count()));
            }
        }
        if !source.text.starts_with("//!") {
            faults.push(format!("{}: does not begin by saying what it is (`//!`)", source.path));
        }
    }
    none(&faults);
}

#[test]
fn nothing_is_left_undone_in_silence() {
    // Written in two halves, so that this file does not find itself.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("(being ", "written)")];
    let mut faults = Vec::new();
    for source in sources("src").into_iter().chain(sources("tests")) {
        for (n, line) in (1..).zip(source.text.lines()) {
            // A mark inside a string is a text that somebody else wrote: a task, a reply.
            let comment = line.split_once("//").map_or("", |(_, comment)| comment);
            if marks.iter().any(|mark| comment.contains(mark)) {
                faults.push(format!("{}:{n}: {}", source.path, line.trim()));
            }
        }
    }
    none(&faults);
}

#[test]
fn every_scenario_folder_has_its_test_and_every_test_its_folder() {
    let folders: BTreeSet<String> = fs::read_dir(manifest().join("fixtures/run"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let tests: BTreeSet<String> =
        scenarios::NAMES.iter().map(|name| name.trim_start_matches('_').to_string()).collect();
    assert_eq!(folders, tests);
}

#[test]
fn every_fixture_is_used_by_some_source() {
    let text: String = sources("src").into_iter().chain(sources("tests")).map(|source| source.text).collect();
    let mut faults = Vec::new();
    for entry in fs::read_dir(manifest().join("fixtures")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !text.contains(&format!("fixtures/{name}")) {
            faults.push(format!("fixtures/{name}: no source names it"));
        }
    }
    none(&faults);
}

#[test]
fn recorded_responses_say_where_they_come_from() {
    let mut faults = Vec::new();
    for (name, _) in tree(&manifest().join("fixtures/run")) {
        let Some((folder, _)) = name.split_once("/http/") else { continue };
        let about = manifest().join("fixtures/run").join(folder).join("about");
        let text = fs::read_to_string(&about).unwrap_or_default();
        if name.contains(".response.") && !["server:", "model:", "date:"].iter().all(|key| text.contains(key)) {
            faults.push(format!("fixtures/run/{folder}/about: names no server:, model: and date: for its responses"));
        }
    }
    faults.dedup();
    none(&faults);
}

#[test]
fn every_key_of_the_default_configuration_has_a_comment() {
    let yaml = fs::read_to_string(manifest().join("config/mux.yaml")).unwrap();
    none(&uncommented(&yaml));
    assert!(yaml.lines().filter_map(key).count() > 40, "the default configuration has lost its keys");
}

/// Returns the keys that have no comment on their line nor right above it.
fn uncommented(yaml: &str) -> Vec<String> {
    let mut above = false;
    let mut faults = Vec::new();
    for (n, line) in (1..).zip(yaml.lines()) {
        if let Some(key) = key(line).filter(|_| !above && !line.contains(" #")) {
            faults.push(format!("config/mux.yaml:{n}: `{key}` has no comment on or above it"));
        }
        above = line.trim_start().starts_with('#');
    }
    faults
}

fn key(line: &str) -> Option<&str> {
    let (key, _) = line.trim_start().trim_start_matches("- ").split_once(':')?;
    let is_key = !key.is_empty() && key.chars().all(|char| char.is_alphanumeric() || char == '_');
    is_key.then_some(key)
}

#[test]
fn a_key_without_a_comment_is_found() {
    let yaml = "# about a\na: 1\nb: 2\nc: 3 # about c\n\n# about d\n\nd:\n  # about e\n  e: x\n  f: \"# no\"\n";
    let keys = ["b", "d"].map(|key| format!("`{key}` has"));
    let faults = uncommented(yaml);
    assert!(keys.iter().zip(&faults).all(|(key, fault)| fault.contains(key)), "{faults:?}");
}

#[test]
fn the_readme_quotes_the_help_text() {
    let ran = run(
        {
            let mut command = Command::new(env!("CARGO_BIN_EXE_mux"));
            command.arg("--help").env_clear();
            command
        },
        b"",
    );
    let help = String::from_utf8(ran.stdout.clone()).unwrap();
    assert!(ran.exit == 0 && help.starts_with("usage: mux"), "{}", ran.report());
    let readme = fs::read_to_string(manifest().join("README.md")).unwrap();
    let quoted = readme
        .split("```")
        .map(|block| block.trim_start_matches("text"))
        .find(|block| block.trim_start().starts_with("usage: mux"));
    let quoted = quoted.expect("README.md has no fenced block that begins with `usage: mux`");
    assert_eq!(quoted.trim(), help.trim(), "the block in README.md is not what `mux --help` prints");
}

/// Returns the files that git would commit, or all of them where there is no git.
fn committed() -> Vec<PathBuf> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(manifest());
    let listed = git.output().ok().filter(|output| output.status.success()).map(|output| output.stdout);
    match listed {
        Some(names) => {
            let names = String::from_utf8(names).unwrap();
            let paths = names.split('\0').filter(|name| !name.is_empty()).map(|name| manifest().join(name));
            paths.filter(|path| path.is_file()).collect()
        }
        None => ["src", "tests", "fixtures", "config", "docs", ".ci"]
            .iter()
            .flat_map(|folder| {
                tree(&manifest().join(folder)).into_keys().map(move |name| manifest().join(folder).join(name))
            })
            .filter(|path| path.is_file())
            .collect(),
    }
}

#[test]
fn no_committed_file_names_a_place_of_this_machine() {
    let root = manifest().to_str().unwrap();
    let home = std::env::var("HOME").unwrap_or_default();
    // One component (`/src`, `/root`) is too common a word to be looked for.
    let places: Vec<&str> = [root, &home].into_iter().filter(|place| place.matches('/').count() > 1).collect();
    let outside = concat!("../", "shared");
    let mut faults = Vec::new();
    for path in committed() {
        let Ok(text) = String::from_utf8(fs::read(&path).unwrap()) else { continue };
        for (n, line) in (1..).zip(text.lines()) {
            if line.contains(outside) || places.iter().any(|place| line.contains(place)) {
                faults.push(format!("{}:{n}: {}", path.strip_prefix(root).unwrap().display(), line.trim()));
            }
        }
    }
    none(&faults);
}

#[test]
fn shell_scripts_are_executable_and_begin_with_their_interpreter() {
    let mut faults = Vec::new();
    for path in committed() {
        let bytes = fs::read(&path).unwrap();
        let name = path.strip_prefix(manifest()).unwrap().display().to_string();
        let is_part = name.starts_with("fixtures/");
        let is_script = path.extension().is_some_and(|ending| ending == "sh") || name == ".ci/run";
        if is_script && !is_part {
            use std::os::unix::fs::PermissionsExt;
            let is_executable = fs::metadata(&path).unwrap().permissions().mode() & 0o100 != 0;
            if !bytes.starts_with(b"#!") || !is_executable {
                faults.push(format!("{name}: not executable, or without `#!`"));
            }
        }
    }
    none(&faults);
}

#[test]
fn every_promise_names_tests_that_exist() {
    let code: String = sources("src").into_iter().chain(sources("tests")).map(|source| source.text).collect();
    let soak = fs::read_to_string(manifest().join("tests/soak.sh")).unwrap();
    let page = fs::read_to_string(manifest().join("SECURITY.md")).unwrap();
    let (mut faults, mut ids, mut named) = (Vec::new(), Vec::new(), BTreeSet::new());
    for row in page.lines().filter(|line| line.starts_with("| ") && line.matches('|').count() == 5) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (id, tests, gap) = (cells[1], cells[3], cells[4]);
        let Some(number) = id.get(1..).and_then(|number| number.parse::<usize>().ok()) else { continue };
        ids.push((id.chars().next().unwrap(), number));
        for test in tests.split("<br>").map(|test| test.trim_matches('`')).filter(|test| !test.is_empty()) {
            named.insert(test.to_string());
            if !code.contains(&format!("fn {test}()")) {
                faults.push(format!("SECURITY.md, {id}: there is no test `{test}`"));
            }
        }
        if tests.is_empty() && !gap.starts_with("not shown") {
            faults.push(format!("SECURITY.md, {id}: no test, and not a word about it"));
        }
    }
    let all = [('F', 20), ('N', 11), ('P', 13), ('L', 9), ('C', 5)];
    let wanted: Vec<(char, usize)> = all.iter().flat_map(|(kind, n)| (1..=*n).map(|number| (*kind, number))).collect();
    assert_eq!(ids, wanted, "each promise has one row, in order");
    // A part of the long tests that nobody can find by its name is none.
    for part in soak.lines().filter_map(|line| line.trim().trim_matches('"').rsplit_once("::")) {
        let test = part.1;
        if !code.contains(&format!("fn {test}()")) || !named.contains(test) {
            faults.push(format!("tests/soak.sh: `{test}` is no test, or shows no promise of SECURITY.md"));
        }
    }
    none(&faults);
}
