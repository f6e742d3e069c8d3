//! A world for one run of `mux`: directories, environment and executables of its own, gone when the test passes.
//! Compares whole trees and streams with what a scenario folder expects. Knows nothing of what `mux` does.
//!
//! **Invariant:** nothing of the machine reaches a run: no variable, no home, no git configuration, no cloud CLI.

use crate::mask::Mask;
use crate::record;
use crate::replay::Server;
use fs_err as fs;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Files by name: an output, or a directory tree.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A run that takes longer is killed and fails its test.
const LONGEST_RUN: Duration = Duration::from_mins(1);
/// A real model takes its time.
const LONGEST_RECORDING: Duration = Duration::from_mins(30);
/// What a run finds in its PATH; a list, so that a `claude` in /usr/bin stays outside.
const TOOLS: &str = "sh git python3 cat cp grep head ls mkdir mv printf rm sed sleep test true false touch tail wc \
    sort find env dirname basename chmod ps kill dd tr cmp diff ln readlink mktemp date uname rmdir seq unshare \
    setsid strace jq";

/// Directories, environment and executables of one test.
pub struct World {
    pub root: PathBuf,
    /// Where `mux` runs.
    pub work: PathBuf,
}

/// How a run ended.
pub struct Ran {
    pub command: String,
    /// The exit code; 128 + the signal for a run that a signal ended.
    pub exit: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl World {
    pub fn new(name: &str) -> World {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let base = fs::canonicalize(std::env::temp_dir()).unwrap();
        let root = base.join(format!("mux-it-{}-{count}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for directory in
            ["home", "config/mux", "state", "cache", "data", "runtime", "tmp", "bin", "cli", "calls", "work"]
        {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        fs::set_permissions(root.join("runtime"), PermissionsExt::from_mode(0o700)).unwrap();
        for tool in TOOLS.split(' ') {
            let found = ["/usr/local/bin", "/usr/bin", "/bin"].iter().map(|at| Path::new(at).join(tool));
            if let Some(found) = found.into_iter().find(|path| path.exists()) {
                symlink(found, root.join("bin").join(tool)).unwrap();
            }
        }
        World { work: root.join("work"), root }
    }

    /// Returns a command with the environment of this world and nothing else.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let at = |below: &str| self.root.join(below);
        let mut command = Command::new(program.as_ref());
        command.env_clear().current_dir(&self.work).process_group(0);
        command
            .env("PATH", at("bin"))
            .env("HOME", at("home"))
            .env("TMPDIR", at("tmp"))
            .env("LC_ALL", "C")
            .env("TZ", "UTC");
        for (name, below) in [("CONFIG", "config"), ("STATE", "state"), ("CACHE", "cache"), ("DATA", "data")] {
            command.env(format!("XDG_{name}_HOME"), at(below));
        }
        command.env("XDG_RUNTIME_DIR", at("runtime"));
        // What a scenario expects must not depend on the kernel; `sandbox.rs` is where this is on.
        command.env("MUX_VERIFICATION_SANDBOX", "off");
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        command
    }

    /// Returns `mux` as a command of this world.
    pub fn mux(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_mux"))
    }

    /// Writes the user's configuration.
    pub fn configure(&self, yaml: &str) {
        let path = self.root.join("config/mux/mux.yaml");
        fs::write(&path, yaml).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }

    /// Lets `tests/fake_cli.sh` play a cloud CLI from a folder of data. A link, not a copy: one file to read.
    pub fn install_cli(&self, name: &str, data: &Path) {
        copy_tree(data, &self.root.join("cli").join(name));
        symlink(manifest().join("tests/fake_cli.sh"), self.root.join("bin").join(name)).unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A failed test leaves its world behind for the one who looks into it; its message names the place.
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

/// Runs a command to its end; after [`LONGEST_RUN`] its whole group is killed.
pub fn run(mut command: Command, stdin: &[u8]) -> Ran {
    let shown = show(&command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
    let mut pipe = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    // A child that does not read its stdin ends the write with EPIPE, which is its right.
    let feed = thread::spawn(move || drop(pipe.write_all(&stdin)));
    let (stdout, stderr) = (drain(child.stdout.take().unwrap()), drain(child.stderr.take().unwrap()));
    let (exit, in_time) = wait(&mut child);
    let ran = Ran { command: shown, exit, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() };
    feed.join().unwrap();
    assert!(in_time, "killed after {} s\n{}", LONGEST_RUN.as_secs(), ran.report());
    ran
}

/// Waits for a child; returns its exit code and whether it ended by itself.
pub fn wait(child: &mut Child) -> (i32, bool) {
    let end = Instant::now() + if record::is_real() { LONGEST_RECORDING } else { LONGEST_RUN };
    let mut in_time = true;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)), in_time);
        }
        if in_time && Instant::now() > end {
            in_time = false;
            let group = rustix::process::Pid::from_child(child);
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| format!("'{}'", word.display())).collect::<Vec<_>>().join(" ")
}

impl Ran {
    /// Returns all that a failing test has to show about a run.
    pub fn report(&self) -> String {
        let (stdout, stderr) = (String::from_utf8_lossy(&self.stdout), String::from_utf8_lossy(&self.stderr));
        format!("$ {}\nexit: {}\nstdout:\n{stdout}\nstderr:\n{stderr}\n", self.command, self.exit)
    }
}

/// Runs the scenario `fixtures/run/NAME` and compares all that it left behind with its `expected/`.
pub fn scenario(name: &str) {
    let folder = manifest().join("fixtures/run").join(name);
    let world = World::new(name);
    if folder.join("input").exists() {
        copy_tree(&folder.join("input"), &world.work);
    }
    let server = folder.join("http").exists().then(|| Server::with(&folder.join("http"), record::upstream()));
    // Port 1 answers nowhere: a scenario without a server meets a refused connection.
    let local = server.as_ref().map_or("http://127.0.0.1:1".to_string(), Server::url);
    let places = Places { local: &local, world: &world, run_id: String::new(), more: &[] };
    prepare(&folder, &world, &places);
    let (mut actual, report, has_places) = steps(&folder, &world, places);
    let seen = server.map(Server::end).unwrap_or_default();

    let mask = Mask::new(&world.root, &local);
    let mut faults = requests(&folder, &seen, &mask);
    faults.extend(asked_twice(&folder, &seen));
    faults.extend(calls(&folder, &world, &mask, &mut actual));
    faults.extend(unlike_the_egress(&world));
    let ledger = world.root.join("state/mux/run_ledger.jsonl");
    if ledger.exists() {
        actual.insert("ledger.jsonl".into(), mask.json_lines(&fs::read(ledger).unwrap(), has_places));
    }
    for (name, bytes) in tree(&world.work) {
        actual.insert(format!("tree/{name}"), bytes);
    }
    for (name, bytes) in tree(&world.root.join("tmp")) {
        actual.insert(format!("left_in_tmp/{name}"), bytes);
    }
    for (name, bytes) in &mut actual {
        if !name.starts_with("tree/") && !name.ends_with("ledger.jsonl") {
            *bytes = mask.lines(bytes);
        }
    }
    faults.extend(compare(&folder.join("expected"), &actual));
    let listing =
        tree(&world.root).into_keys().filter(|name| !name.starts_with("bin/")).collect::<Vec<_>>().join("\n  ");
    let told = faults.join("\n");
    assert!(
        faults.is_empty(),
        "{told}\n\n{report}cwd: {}\nin {}:\n  {listing}\n",
        world.work.display(),
        world.root.display()
    );
}

/// A run asks nothing twice in the same words and no warmer. Only a call that a server has turned away is made again, and
/// a scenario of several steps is several runs.
fn asked_twice(folder: &Path, seen: &[Vec<u8>]) -> Option<String> {
    let is_heard = |n: usize| !folder.join(format!("http/{}.play", n + 1)).exists();
    let is_again = |n: &usize| (0..*n).any(|earlier| is_heard(earlier) && seen[earlier] == seen[*n]);
    let n = (1..seen.len()).find(is_again).filter(|_| !folder.join("2.args").exists())?;
    Some(format!("request {} is one that was made before", n + 1))
}

/// Runs a scenario with more in its environment, compares nothing, and returns the ledger that it leaves. What it is asked
/// for and has not recorded fails, as a server or a CLI may.
pub fn ledger_of(name: &str, more: &[(&str, &str)]) -> String {
    let folder = manifest().join("fixtures/run").join(name);
    let world = World::new(name);
    if folder.join("input").exists() {
        copy_tree(&folder.join("input"), &world.work);
    }
    let server = folder.join("http").exists().then(|| Server::start(&folder.join("http")));
    let local = server.as_ref().map_or("http://127.0.0.1:1".to_string(), Server::url);
    let places = Places { local: &local, world: &world, run_id: String::new(), more };
    prepare(&folder, &world, &places);
    steps(&folder, &world, places);
    server.map(Server::end);
    fs::read_to_string(world.root.join("state/mux/run_ledger.jsonl")).unwrap_or_default()
}

/// What `{{…}}` stands for in the files of a scenario.
struct Places<'a> {
    local: &'a str,
    world: &'a World,
    /// Of the step before; `{{run_id}}`.
    run_id: String,
    /// More variables.
    more: &'a [(&'a str, &'a str)],
}

impl Places<'_> {
    fn fill(&self, text: &str) -> String {
        let work = self.world.work.display().to_string();
        let root = self.world.root.display().to_string();
        let filled = text.replace("{{local}}", self.local).replace("{{work}}", &work).replace("{{root}}", &root);
        filled.replace("{{run_id}}", &self.run_id)
    }
}

/// Configuration, cloud CLIs and `setup.sh` of a scenario. With a server and without a `mux.yaml`, the configuration
/// names the server and nothing else; without both there is none.
fn prepare(folder: &Path, world: &World, places: &Places) {
    let default = "providers:\n  local:\n    base_url: \"{{local}}/v1\"\n    model: qwen-coder-1.5b\n";
    match fs::read_to_string(folder.join("mux.yaml")) {
        Ok(yaml) => world.configure(&places.fill(&yaml)),
        Err(_) if folder.join("http").exists() => world.configure(&places.fill(default)),
        Err(_) => {}
    }
    // What earlier runs have left in the state directory.
    for (name, bytes) in tree(&folder.join("state")) {
        let dir = world.root.join("state/mux");
        fs::create_dir_all(&dir).unwrap();
        fs::set_permissions(&dir, PermissionsExt::from_mode(0o700)).unwrap();
        fs::write(dir.join(name), places.fill(&String::from_utf8(bytes).unwrap())).unwrap();
    }
    for name in clis(folder) {
        world.install_cli(&name, &folder.join("cli").join(&name));
    }
    if folder.join("setup.sh").exists() {
        let mut command = world.command(world.root.join("bin/sh"));
        command.arg("-eu").arg(folder.join("setup.sh"));
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "t").env(format!("GIT_{who}_EMAIL"), "t@example.com");
            command.env(format!("GIT_{who}_DATE"), "2026-01-01T00:00:00Z");
        }
        let ran = run(command, b"");
        assert_eq!(ran.exit, 0, "setup.sh\n{}", ran.report());
    }
}

/// Runs `args`, then `2.args`, `3.args` …; returns the outputs by name, what to show of them, and whether an argument
/// held a place of this machine.
fn steps(folder: &Path, world: &World, mut places: Places) -> (Files, String, bool) {
    let mut actual = Files::new();
    let mut report = String::new();
    let mut has_places = false;
    for step in 1.. {
        let prefix = if step == 1 { String::new() } else { format!("{step}.") };
        let Ok(args) = fs::read_to_string(folder.join(format!("{prefix}args"))) else {
            assert!(step > 1, "{}: no file `args`", folder.display());
            break;
        };
        has_places |= args.contains("{{");
        let mut command = world.mux();
        command.args(args.lines().map(|line| places.fill(line)));
        for line in fs::read_to_string(folder.join("env")).unwrap_or_default().lines() {
            let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("env: `{line}` is not NAME=value"));
            command.env(name, places.fill(value));
        }
        command.envs(places.more.iter().copied());
        let stdin = fs::read(folder.join(format!("{prefix}stdin"))).unwrap_or_default();
        let ran = run(command, &stdin);
        report.push_str(&ran.report());
        let stdout = String::from_utf8_lossy(&ran.stdout);
        if let Some(id) = stdout.lines().find_map(|line| line.strip_prefix("run_id: ")) {
            places.run_id = id.to_string();
        }
        actual.insert(format!("{prefix}exit"), format!("{}\n", ran.exit).into_bytes());
        actual.insert(format!("{prefix}stdout"), ran.stdout);
        actual.insert(format!("{prefix}stderr"), ran.stderr);
    }
    actual.retain(|_, bytes| !bytes.is_empty());
    (actual, report, has_places)
}

/// Compares the requests that came with the recorded ones; with `BLESS=1` keeps them.
fn requests(folder: &Path, seen: &[Vec<u8>], mask: &Mask) -> Vec<String> {
    let mut faults = Vec::new();
    let wanted = (1..1000).take_while(|n| response(&folder.join("http"), *n).is_some()).count();
    if folder.join("http").exists() && seen.len() != wanted {
        faults.push(format!("{} model calls, {wanted} are recorded in http/", seen.len()));
    }
    for (n, body) in (1..).zip(seen) {
        let path = folder.join(format!("http/{n}.request.json"));
        let body = mask.json(body);
        if is_blessing() && n <= wanted {
            fs::write(&path, &body).unwrap();
        } else if n <= wanted {
            let recorded = fs::read(&path).unwrap_or_default();
            faults.extend(difference(&format!("http/{n}.request.json"), &recorded, &body));
        }
    }
    faults
}

/// Returns the recorded response of a call: `N.response.json`, `.sse` or `.raw`, else the `every.response.raw`.
pub fn response(http: &Path, n: usize) -> Option<PathBuf> {
    let path = |ending: &str| http.join(format!("{n}.response.{ending}"));
    let every = http.join("every.response.raw");
    ["json", "sse", "raw"].into_iter().map(path).chain([every]).find(|path| path.exists())
}

/// The cloud CLIs of a scenario.
fn clis(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder.join("cli")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Takes what the fake CLIs were given into `actual` and counts their calls.
fn calls(folder: &Path, world: &World, mask: &Mask, actual: &mut Files) -> Vec<String> {
    let mut faults = Vec::new();
    let made = tree(&world.root.join("calls"));
    for name in clis(folder) {
        let numbers =
            |names: BTreeSet<String>| names.iter().filter_map(|name| name.split('.').next()?.parse().ok()).collect();
        let wanted: BTreeSet<u32> = numbers(tree(&folder.join("cli").join(&name)).into_keys().collect());
        let prefix = format!("{name}.");
        let got: BTreeSet<u32> =
            numbers(made.keys().filter_map(|call| call.strip_prefix(&prefix)).map(String::from).collect());
        if got != wanted {
            faults.push(format!("{name} was called {got:?}, recorded are {wanted:?}"));
        }
    }
    for (name, bytes) in made {
        actual.insert(name, mask.bytes(&bytes));
    }
    faults
}

/// Compares what the fake CLIs received with what the egress record says that they were sent: neither more nor less.
fn unlike_the_egress(world: &World) -> Option<String> {
    let calls = tree(&world.root.join("calls")).into_iter();
    let prompts = calls.filter(|(name, _)| name.strip_suffix(".stdin").is_some());
    // Asked for its version or its MCP servers, a CLI is given nothing.
    let prompts = prompts.map(|(_, bytes)| bytes).filter(|bytes| !bytes.is_empty());
    let sum = |bytes: &[u8]| {
        Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    };
    let mut received: Vec<(u64, String)> = prompts.map(|bytes| (bytes.len() as u64, sum(&bytes))).collect();
    let text = fs::read_to_string(world.root.join("state/mux/egress.jsonl")).unwrap_or_default();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    // What a model server on another machine gets does not go through a CLI.
    let records = records.filter(|record| record["event"] == "sent" && record["step"] != "local");
    let of = |record: Value| (record["bytes"].as_u64().unwrap(), record["sha256"].as_str().unwrap().to_string());
    let mut recorded: Vec<(u64, String)> = records.map(of).collect();
    received.sort();
    recorded.sort();
    (received != recorded).then(|| format!("the CLIs received {received:?}, egress.jsonl says {recorded:?}"))
}

/// Compares a folder of expected files with the actual ones; with `BLESS=1` rewrites the folder instead.
pub fn compare(expected: &Path, actual: &Files) -> Vec<String> {
    if is_blessing() {
        let _ = fs::remove_dir_all(expected);
        for (name, bytes) in actual {
            let path = expected.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        return Vec::new();
    }
    let wanted = tree(expected);
    if wanted.is_empty() {
        return vec![format!("{} is empty: look at the run, then BLESS=1 cargo test", expected.display())];
    }
    let names: BTreeSet<&String> = wanted.keys().chain(actual.keys()).collect();
    let fault = |name: &&String| match (wanted.get(*name), actual.get(*name)) {
        (Some(wanted), Some(got)) => difference(name, wanted, got),
        (Some(_), None) => Some(format!("{name}: expected, but there is none")),
        (None, _) => Some(format!("{name}: there, but not expected:\n{}", shown(actual.get(*name)))),
    };
    names.iter().filter_map(fault).collect()
}

/// Whether this run writes what is expected instead of comparing it.
pub fn is_blessing() -> bool {
    std::env::var_os("BLESS").is_some_and(|value| value == "1") || record::upstream().is_some()
}

fn shown(bytes: Option<&Vec<u8>>) -> String {
    String::from_utf8_lossy(bytes.map_or(&[], |bytes| &bytes[..bytes.len().min(4000)])).into_owned()
}

/// Shows where two files part: the equal lines before are left out.
fn difference(name: &str, wanted: &[u8], got: &[u8]) -> Option<String> {
    if wanted == got {
        return None;
    }
    let (wanted, got) = (String::from_utf8_lossy(wanted), String::from_utf8_lossy(got));
    let same = wanted.lines().zip(got.lines()).take_while(|(one, other)| one == other).count();
    let mut text = format!("{name} differs from line {} on:", same + 1);
    for (mark, side) in [('-', &wanted), ('+', &got)] {
        for line in side.lines().skip(same).take(20) {
            let _ = write!(text, "\n  {mark} {line:?}");
        }
    }
    Some(text)
}

/// Reads a tree: regular files with their bytes, a link as `NAME@` with its target, an executable file as `NAME*`, an
/// empty directory as `NAME/.empty`. A missing tree is empty.
pub fn tree(root: &Path) -> Files {
    let mut files = Files::new();
    if root.exists() {
        walk(root, "", &mut files);
    }
    files
}

fn walk(directory: &Path, prefix: &str, files: &mut Files) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_symlink() {
            let target = fs::read_link(path).unwrap();
            files.insert(format!("{name}@"), target.to_string_lossy().into_owned().into_bytes());
        } else if kind.is_dir() {
            // mux's own git store and a user's are compared where a test cares, by git.
            if fs::read_dir(&path).unwrap().next().is_none() {
                files.insert(format!("{name}/.empty"), Vec::new());
            } else if entry.file_name() != ".git" {
                walk(&path, &format!("{name}/"), files);
            }
        } else if kind.is_file() {
            let is_executable = entry.metadata().unwrap().permissions().mode() & 0o100 != 0;
            let name = if is_executable { format!("{name}*") } else { name };
            files.insert(name, fs::read(path).unwrap());
        } else {
            files.insert(format!("{name}|"), Vec::new());
        }
    }
}

pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&path, &target);
        } else if entry.file_type().unwrap().is_symlink() {
            symlink(fs::read_link(path).unwrap(), target).unwrap();
        } else {
            fs::copy(path, target).unwrap();
        }
    }
}

/// The root of the repository.
pub fn manifest() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_run_sees_nothing_of_the_machine() {
    let world = World::new("env");
    let ran = run(world.command(world.root.join("bin/env")), b"");
    let names: Vec<String> = String::from_utf8(ran.stdout)
        .unwrap()
        .lines()
        .map(|line| line.split('=').next().unwrap().to_string())
        .collect();
    let mut sorted = names.clone();
    sorted.sort();
    let want = "GIT_CONFIG_GLOBAL GIT_CONFIG_NOSYSTEM GIT_CONFIG_SYSTEM HOME LC_ALL MUX_VERIFICATION_SANDBOX PATH \
        TMPDIR TZ XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_RUNTIME_DIR XDG_STATE_HOME";
    assert_eq!(sorted.join(" "), want);
    for cli in ["claude", "codex", "gemini"] {
        assert!(!world.root.join("bin").join(cli).exists());
    }
}

#[test]
fn a_run_is_recorded_whole() {
    let world = World::new("ran");
    let mut command = world.command(world.root.join("bin/sh"));
    command.args(["-c", "cat; echo err >&2; exit 7"]);
    let ran = run(command, b"in\n");
    assert_eq!((ran.exit, &ran.stdout[..], &ran.stderr[..]), (7, &b"in\n"[..], &b"err\n"[..]));
    let mut command = world.command(world.root.join("bin/sh"));
    command.args(["-c", "kill -9 $$"]);
    assert_eq!(run(command, b"").exit, 137);
}

#[test]
fn every_difference_of_two_trees_is_told() {
    let world = World::new("compare");
    for (name, text) in [("same", "1\n"), ("changed", "1\n2\n"), ("gone", "3\n"), ("d/deep", "4\n")] {
        fs::create_dir_all(world.work.join("d")).unwrap();
        fs::write(world.work.join(name), text).unwrap();
    }
    let actual = |pairs: &[(&str, &str)]| -> Files {
        pairs.iter().map(|(name, text)| (name.to_string(), text.as_bytes().to_vec())).collect()
    };
    if is_blessing() {
        return;
    }
    let equal = actual(&[("same", "1\n"), ("changed", "1\n2\n"), ("gone", "3\n"), ("d/deep", "4\n")]);
    assert_eq!(compare(&world.work, &equal), Vec::<String>::new());
    let other = actual(&[("same", "1\n"), ("changed", "1\n3\n"), ("new", "5\n"), ("d/deep", "4\n")]);
    let want = [
        "changed differs from line 2 on:\n  - \"2\"\n  + \"3\"",
        "gone: expected, but there is none",
        "new: there, but not expected:\n5\n",
    ];
    assert_eq!(compare(&world.work, &other), want);
    assert_eq!(compare(&world.root.join("tmp"), &other).len(), 1, "an empty expectation is no expectation");
}

#[test]
fn links_modes_and_empty_directories_count() {
    let world = World::new("tree");
    fs::create_dir_all(world.work.join("empty")).unwrap();
    fs::write(world.work.join("tool"), "x").unwrap();
    fs::set_permissions(world.work.join("tool"), PermissionsExt::from_mode(0o755)).unwrap();
    symlink("nowhere", world.work.join("link")).unwrap();
    let names: Vec<String> = tree(&world.work).into_keys().collect();
    assert_eq!(names, ["empty/.empty", "link@", "tool*"]);
}

#[test]
fn a_fake_cli_plays_its_data_and_counts_its_calls() {
    let world = World::new("cli");
    let data = world.root.join("data/codex");
    fs::create_dir_all(&data).unwrap();
    for (name, text) in
        [("1.stdout", "one\n"), ("1.exit", "3\n"), ("2.stderr", "two\n"), ("2.sh", "echo made > made.txt\n")]
    {
        fs::write(data.join(name), text).unwrap();
    }
    world.install_cli("codex", &data);
    let call = |args: &[&str], stdin: &str| {
        let mut command = world.command(world.root.join("bin/codex"));
        command.args(args);
        let ran = run(command, stdin.as_bytes());
        (ran.exit, String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap())
    };
    assert_eq!(call(&["exec", "two words"], "prompt\n"), (3, "one\n".into(), String::new()));
    assert_eq!(call(&["exec"], ""), (0, String::new(), "two\n".into()));
    assert_eq!(call(&[], "").0, 97, "a call that nobody recorded fails");
    assert_eq!(fs::read_to_string(world.work.join("made.txt")).unwrap(), "made\n");
    let text = |name: &str| fs::read_to_string(world.root.join("calls").join(name)).unwrap();
    assert_eq!((text("codex.1.argv"), text("codex.1.stdin")), ("exec\ntwo words\n".into(), "prompt\n".into()));
    assert_eq!(text("codex.3.argv"), "");
}
