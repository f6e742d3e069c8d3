//! Long tests of the promises in SECURITY.md: many bad inputs, many runs at once, floods. `tests/soak.sh` runs them with
//! the kill tests and sums up what their lines on standard error say. Each counts what it tried, and fails where that
//! was too little to show anything.

use crate::bench::{World, manifest, run, tree};
use crate::evil::lay_out;
use crate::kill::response;
use crate::replay::Server;
use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

/// A line for the summary of `tests/soak.sh`.
pub fn say(line: &str) {
    std::io::stderr().write_all(format!("soak: {line}\n").as_bytes()).unwrap();
}

/// The same numbers every time: a failure can be looked at again.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// Paths that no reply may write, whatever stands there. `OUT` is a directory outside, by its absolute path.
const BAD_PATHS: &[&str] = &[
    "../escape.txt",
    "a/../../escape.txt",
    "a/b/../../../escape.txt",
    "./../escape.txt",
    "OUT/escape.txt",
    "//OUT/escape.txt",
    "~/escape.txt",
    "..",
    ".",
    "",
    "/",
    "a//../../escape.txt",
    "..\\escape.txt",
    "C:\\escape.txt",
    "\\\\host\\escape.txt",
    "link.txt",
    "linkdir/escape.txt",
    "dangling.txt",
    "fifo",
    "adir",
    "main.txt/below.txt",
    ".git/config",
    ".git/hooks/pre-commit",
    ".GIT/config",
    ".git./config",
    ".git /config",
    "git~1/config",
    ".git::$DATA/x",
    "sub/.git/config",
    ".g\u{200c}it/config",
    ".gitmodules",
    ".gitattributes",
    ".claude/settings.json",
    ".CLAUDE/settings.json",
    ".codex/config.toml",
    ".gemini/settings.json",
    ".cursor/mcp.json",
    ".mcp.json",
    ".vscode/tasks.json",
    "mux.yaml",
    "MUX.yaml",
    "sub/mux.yaml",
    "AGENTS.md/../../escape.txt",
    ".github/workflows/evil.yml",
    ".gitlab-ci.yml",
    ".envrc",
    ".husky/pre-commit",
    ".cargo/config.toml",
    ".bashrc",
    ".ssh/authorized_keys",
    "nul\u{0}.txt",
    "bell\u{7}.txt",
    "line\nbreak.txt",
    "turn\u{202e}txt.exe",
    "zero\u{200b}.txt",
    "CON",
    "aux.txt",
    "name.",
    "name ",
    "a:b",
    "a?b",
    "LONG",
    "DEEP",
];

/// One file of a path, in the five shapes that a reply may have.
fn shapes(path: &str) -> [String; 5] {
    [
        json!({"files": [{"path": path, "content": "evil\n"}]}).to_string(),
        json!({"edits": [{"path": path, "search": "", "replace": "evil\n"}]}).to_string(),
        format!("Here it is.\n\n```text {path}\nevil\n```\n"),
        format!("FILE: {path}\n```\nevil\n```\n"),
        format!("```diff\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+evil\n```\n"),
    ]
}

/// Recorded replies, broken: cut, with a byte changed, a part taken out, twice, or joined with the next.
fn broken(n: usize) -> Vec<Vec<u8>> {
    let recorded: Vec<Vec<u8>> =
        tree(&manifest().join("fixtures/evil")).into_values().filter(|raw| raw.len() > 20).collect();
    let mut random = Random(20_261_127);
    let mut one = |raw: &Vec<u8>, next: &Vec<u8>| {
        let mut bytes = raw.clone();
        let (a, b) = (random.below(bytes.len()), random.below(bytes.len()));
        match random.below(5) {
            0 => bytes.truncate(a),
            1 => bytes[a] = u8::try_from(random.below(256)).unwrap(),
            2 => drop(bytes.drain(a.min(b)..a.max(b))),
            3 => bytes.extend_from_slice(raw),
            _ => bytes.splice(a.., next[random.below(next.len())..].iter().copied()).for_each(drop),
        }
        bytes
    };
    (0..n).map(|n| one(&recorded[n % recorded.len()], &recorded[(n * 7 + 1) % recorded.len()])).collect()
}

/// Lets a run have one reply; returns what it did that it must not.
fn harm_of(name: &str, reply: &[u8]) -> Vec<String> {
    let world = World::new("soak");
    let http = world.root.join("http");
    fs::create_dir_all(&http).unwrap();
    let reply = match String::from_utf8(reply.to_vec()) {
        Ok(text) => text.replace("OUT", world.root.join("outside").to_str().unwrap()).into_bytes(),
        Err(error) => error.into_bytes(),
    };
    fs::write(http.join("every.response.raw"), reply).unwrap();
    let server = Server::start(&http);
    let harm = harm_from(name, &world, &server.url());
    server.end();
    harm
}

/// Lets a run ask the model server at `url`; returns what it did that it must not.
pub fn harm_from(name: &str, world: &World, url: &str) -> Vec<String> {
    lay_out("", world, &world.root.join("outside"));
    fs::create_dir_all(world.work.join(".git/hooks")).unwrap();
    world.configure(&format!(
        "providers: {{local: {{base_url: \"{url}/v1\", model: evil, first_token_timeout_sec: 2, idle_timeout_sec: 2}}}}\n\
         local_executor: {{max_attempts: 2}}\n"
    ));
    let others = ["outside", "home", "config", "tmp"].map(|place| world.root.join(place));
    let look = || others.each_ref().map(|place| tree(place));
    let (before, work) = (look(), tree(&world.work));
    let mut command = world.mux();
    command.args(["run", "--change", "--no-verify", "--deadline", "40", "Create the text file and do what is needed"]);
    let ran = run(command, b"");
    let mut harm = Vec::new();
    let mut found =
        |is: bool, what: &str| harm.extend(Some(format!("{name}: {what}\n{}", ran.report())).filter(|_| is));
    found(look() != before, "something outside the work directory changed");
    let now = tree(&world.work);
    let is_off_limits = |path: &str| {
        let path = path.to_ascii_lowercase();
        [".git", ".claude", ".codex", ".mcp", ".husky", ".envrc", ".bashrc", ".ssh"]
            .iter()
            .any(|begin| path.starts_with(begin))
            || path.ends_with("mux.yaml")
    };
    let has_new = now.keys().any(|path| !work.contains_key(path) && is_off_limits(path));
    found(has_new, "a file that is off limits was written");
    found(!matches!(ran.exit, 0 | 1), "an exit code that no reply may cause");
    found(ran.exit == 1 && now != work, "a refused reply left something");
    let said = [&ran.stdout[..], &ran.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    found(said.contains("panicked"), "it panicked");
    found(
        said.contains(|char: char| char.is_control() && char != '\n' && char != '\t'),
        "a control character is shown",
    );
    let ledger = fs::read_to_string(world.root.join("state/mux/run_ledger.jsonl")).unwrap_or_default();
    found(ledger.lines().count() != 1 || serde_json::from_str::<Value>(&ledger).is_err(), "not one line of the ledger");
    harm
}

/// Four at a time: a run mostly waits for its disk.
fn all_harm(inputs: &[(String, Vec<u8>)]) -> Vec<String> {
    let (next, harm) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((name, reply)) = inputs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    harm.lock().unwrap().extend(harm_of(name, reply));
                }
            });
        }
    });
    harm.into_inner().unwrap()
}

#[test]
#[ignore = "some minutes: tests/soak.sh"]
fn no_bad_path_in_any_shape_is_written() {
    let mut inputs = Vec::new();
    for path in BAD_PATHS {
        let path = path.replace("LONG", &"long/".repeat(1000)).replace("DEEP", &"d/".repeat(40));
        for (shape, text) in shapes(&path).iter().enumerate() {
            inputs.push((format!("{path:?} in shape {shape}"), response(text).into_bytes()));
        }
    }
    let harm = all_harm(&inputs);
    say(&format!("bad paths tried {}, escapes {}", inputs.len(), harm.len()));
    assert!(harm.is_empty(), "\n{}", harm.join("\n"));
}

#[test]
#[ignore = "some minutes: tests/soak.sh"]
fn no_broken_reply_does_harm() {
    let inputs: Vec<_> = broken(600).into_iter().enumerate().map(|(n, raw)| (format!("broken {n}"), raw)).collect();
    let harm = all_harm(&inputs);
    say(&format!("broken replies tried {}, escapes {}", inputs.len(), harm.len()));
    assert!(harm.is_empty(), "\n{}", harm.join("\n"));
}

/// Starts a question whose answer is recorded.
fn ask(world: &World) -> Child {
    let mut command = world.mux();
    command.args(["run", "--answer", "--task", "Explain what a semaphore is"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// 16 at a time, every fifth is killed somewhere.
#[test]
#[ignore = "some minutes: tests/soak.sh"]
fn many_runs_at_once_of_which_some_are_killed_lose_no_record() {
    const RUNS: usize = 400;
    let world = World::new("storm");
    let http = world.root.join("http");
    fs::create_dir(&http).unwrap();
    let text = "A semaphore is a counter that lets a bounded number of threads pass at a time.";
    fs::write(http.join("every.response.raw"), response(text)).unwrap();
    let server = Server::start(&http);
    world.configure(&format!(
        "providers: {{local: {{base_url: \"{}/v1\", model: m, parallel: 16}}}}\n\
         ledger: {{max_bytes: 200000, max_rotated_files: 20}}\n",
        server.url()
    ));
    let (next, killed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let acknowledged = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for lane in 0..16 {
            let (next, killed, acknowledged, world) = (&next, &killed, &acknowledged, &world);
            scope.spawn(move || {
                let mut random = Random(lane);
                while next.fetch_add(1, Ordering::Relaxed) < RUNS {
                    let mut child = ask(world);
                    if random.below(5) == 0 {
                        thread::sleep(Duration::from_millis(random.below(60) as u64));
                        let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
                    }
                    let mut said = String::new();
                    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
                    let code = child.wait().unwrap().code();
                    let id = said.lines().find_map(|line| line.strip_prefix("run_id: ")).map(String::from);
                    match (code, id) {
                        (Some(0), Some(id)) => acknowledged.lock().unwrap().push(id),
                        (None, _) => drop(killed.fetch_add(1, Ordering::Relaxed)),
                        (code, _) => panic!("exit {code:?}: {said}"),
                    }
                }
            });
        }
    });
    server.end();
    let acknowledged = acknowledged.into_inner().unwrap();
    let killed = killed.into_inner();
    let mut ids = Vec::new();
    for (name, bytes) in tree(&world.root.join("state/mux")) {
        if name.starts_with("run_ledger.jsonl") && ![".lock", ".torn"].iter().any(|end| name.ends_with(end)) {
            assert!(bytes.len() < 200_000 + 20_000, "{name} has {} bytes", bytes.len());
            for line in String::from_utf8(bytes).unwrap().lines() {
                let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}: {line}"));
                ids.push(line["run_id"].as_str().unwrap().to_string());
            }
        }
    }
    let known: BTreeSet<&String> = ids.iter().collect();
    let lost = acknowledged.iter().filter(|id| !known.contains(id)).count();
    let n = acknowledged.len();
    say(&format!("runs 16 at a time {RUNS}, kills survived {killed}, records acknowledged {n}, records lost {lost}"));
    assert_eq!((lost, known.len()), (0, ids.len()), "a record is lost, or there twice");
    assert!(killed >= RUNS / 20 && n >= RUNS / 2, "{killed} kills, {n} records: too little was tested");
}

/// Resident memory of a process, in KiB.
fn resident(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

#[test]
#[ignore = "some minutes: tests/soak.sh"]
fn a_flood_of_requests_gets_one_answer_each_and_stays_small() {
    const PINGS: usize = 100_000;
    let world = World::new("flood");
    let mut child =
        world.mux().arg("mcp").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (go_on, is_seen) = mpsc::channel();
    let feed = thread::spawn(move || {
        let hello = json!({"jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "flood", "version": "1"}}});
        writeln!(input, "{hello}").unwrap();
        let mut garbage = 0;
        for n in 0..PINGS {
            writeln!(input, "{{\"jsonrpc\":\"2.0\",\"id\":{n},\"method\":\"ping\"}}").unwrap();
            // Answered with an error of no id, or passed over; never with a line less.
            let line: &[u8] = match n % 5000 {
                100 => b"\xff\xfe\x00 no text\n",
                200 => b"{\"jsonrpc\":\"2.0\",\"id\":[[[[[[\n",
                300 => b"\n\n\n",
                400 => b"{}\n",
                _ => continue,
            };
            input.write_all(line).unwrap();
            garbage += 1;
        }
        // A line of 8 MB, and one that never ends.
        input.write_all(&vec![b'x'; 8 << 20]).unwrap();
        input.write_all(b"\n").unwrap();
        writeln!(input, "{{\"jsonrpc\":\"2.0\",\"id\":\"last\",\"method\":\"ping\"}}").unwrap();
        is_seen.recv().unwrap();
        input.write_all(b"{\"jsonrpc\"").unwrap();
        garbage + 2
    });
    let mut answered = BTreeSet::new();
    let mut twice = 0;
    for line in BufReader::new(output).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).expect("only the protocol is on standard output");
        if line.get("result").is_some() {
            twice += usize::from(!answered.insert(line["id"].to_string()));
        }
        if line["id"] == "last" {
            let peak = resident(&child);
            say(&format!("peak memory of `mux mcp` {peak} KiB"));
            assert!(peak < 64 << 10 && (peak > 0 || !cfg!(target_os = "linux")), "{peak} KiB");
            go_on.send(()).unwrap();
        }
    }
    let garbage = feed.join().unwrap();
    let code = child.wait().unwrap().code();
    say(&format!("requests {PINGS}, lines that are none {garbage}, unanswered {}", PINGS + 2 - answered.len()));
    assert_eq!((code, answered.len(), twice), (Some(0), PINGS + 2, 0));
}

/// Each within 2 s of processor time and 64 MiB.
#[test]
#[ignore = "some minutes: tests/soak.sh"]
fn no_configuration_takes_long_or_much() {
    let is_yaml = |name: &str| Path::new(name).extension().is_some_and(|end| end == "yaml");
    let texts = |place: &Path| -> Vec<(String, Vec<u8>)> {
        tree(place).into_iter().filter(|(name, _)| is_yaml(name)).collect()
    };
    let lines = |n: usize, line: &dyn Fn(usize) -> String| (0..n).map(line).collect::<Vec<_>>().join("\n");
    let laugh = |n: usize| format!("a{}: &a{} [{}]", n + 1, n + 1, format!("*a{n},").repeat(9));
    let mut inputs = texts(&manifest().join("fixtures/config/bad"));
    let own = inputs.len();
    inputs.extend(std::env::var("MUX_HOSTILE").iter().flat_map(|place| texts(&Path::new(place).join("badconfig"))));
    for (name, text) in [
        ("laughs", format!("a0: &a0 [lol]\n{}\n", lines(9, &laugh))),
        ("deep flow", "[".repeat(60_000)),
        ("deep block", lines(300, &|depth| format!("{}a:", " ".repeat(depth)))),
        ("aliases", format!("a: &a {}\nb: [{}]\n", "x".repeat(9000), "*a,".repeat(9000))),
        ("keys", lines(9000, &|n| format!("k{n}: 1"))),
        ("long", "#".repeat(1 << 26)),
        ("quotes", "a: \"".repeat(9000)),
        ("tags", "!a ".repeat(20_000)),
    ] {
        inputs.push((name.into(), text.into_bytes()));
    }
    let (world, mut faults, mut refused) = (World::new("configs"), Vec::new(), 0);
    for (n, (name, text)) in inputs.iter().enumerate() {
        world.configure("");
        fs::write(world.root.join("config/mux/mux.yaml"), text).unwrap();
        let mut command = world.command(world.root.join("bin/sh"));
        command.args([
            "-c",
            "ulimit -d 65536; ulimit -t 2; exec \"$@\"",
            "sh",
            env!("CARGO_BIN_EXE_mux"),
            "config",
            "check",
        ]);
        let ran = run(command, b"");
        refused += usize::from(ran.exit == 2);
        // Some of a stranger's are good ones; all others here are not.
        let is_foreign = n >= own && is_yaml(name);
        if ran.exit != 2 && !(ran.exit == 0 && is_foreign) {
            faults.push(format!("{name}\n{}", ran.report()));
        }
    }
    say(&format!("configurations {}, refused {refused}, that took long or much {}", inputs.len(), faults.len()));
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    assert!(own > 30);
}
