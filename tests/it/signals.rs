//! Signals, deadlines and readers that go away, sent to the real binary at the moments that hurt: while the model
//! generates, and while a verification runs on files that are already written. Each moment is waited for, not guessed.

use crate::bench::{Ran, World, manifest, run, tree, wait};
use crate::replay::Server;
use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::io::Read;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// mux promises two seconds; a busy machine gets more, and a test that has to wait so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);
pub const SIGNALS: [(Signal, i32); 3] = [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)];
const TASK: &str = "Create hello.py. It prints `Hello, world!` and nothing else.";

/// A world with an old file and a server that plays the recorded `hello.py`, in the way that `play` says.
fn world(name: &str, play: &str) -> (World, Server) {
    let world = World::new(name);
    fs::write(world.work.join("old.txt"), "old\n").unwrap();
    let http = world.root.join("http");
    fs::create_dir(&http).unwrap();
    let reply = manifest().join("fixtures/run/004_change_is_proved/http/1.response.sse");
    fs::copy(reply, http.join("1.response.sse")).unwrap();
    fs::write(http.join("1.play"), play).unwrap();
    let server = Server::start(&http);
    let base = format!("providers:\n  local:\n    base_url: \"{}/v1\"\n    model: qwen-coder-1.5b\n", server.url());
    world.configure(&base);
    (world, server)
}

pub fn start(world: &World, args: &[&str]) -> Child {
    let mut command = world.mux();
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

pub fn end(mut child: Child) -> Ran {
    let begun = Instant::now();
    let (exit, _) = wait(&mut child);
    let mut ran = Ran { command: "mux run".into(), exit, stdout: Vec::new(), stderr: Vec::new() };
    child.stdout.take().unwrap().read_to_end(&mut ran.stdout).unwrap();
    child.stderr.take().unwrap().read_to_end(&mut ran.stderr).unwrap();
    assert!(begun.elapsed() < PATIENCE, "ended after {:?}\n{}", begun.elapsed(), ran.report());
    ran
}

/// Waits for a moment; fails when it does not come.
#[track_caller]
pub fn until(what: &str, is: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn is_asked(server: &Server) -> bool {
    server.heads().iter().any(|head| head.starts_with("POST /v1/chat/completions"))
}

/// Looks at the one ledger line of a run that a signal ended.
#[track_caller]
fn check_canceled(world: &World, ran: &Ran, exit: i32, reason: &str) {
    assert_eq!(ran.exit, exit, "{}", ran.report());
    let told = String::from_utf8_lossy(&ran.stdout);
    let says = |line: &str| told.contains(&format!("\n{line}\n"));
    let is_told = told.starts_with("route: none\n") && says(&format!("reason: {reason}")) && says("refused: canceled");
    assert!(is_told, "{}", ran.report());
    let ledger = fs::read_to_string(world.root.join("state/mux/run_ledger.jsonl")).unwrap();
    assert_eq!(ledger.lines().count(), 1, "{ledger}");
    let line: serde_json::Value = serde_json::from_str(&ledger).unwrap();
    let ended = (&line["route"], &line["reason"], &line["refused"]);
    assert_eq!(ended, (&"none".into(), &reason.into(), &"canceled".into()), "{ledger}");
    assert_eq!(tree(&world.work).into_iter().collect::<Vec<_>>(), [("old.txt".to_string(), b"old\n".to_vec())]);
    assert!(tree(&world.root.join("tmp")).is_empty());
}

#[test]
fn a_signal_ends_a_run_while_the_model_generates() {
    for (signal, exit) in SIGNALS {
        let (world, server) = world("generating", "send 700\nwait 40\nsend 400\nhang\n");
        let child = start(&world, &["run", TASK]);
        until("the model is asked", || is_asked(&server));
        kill_process(Pid::from_child(&child), signal).unwrap();
        check_canceled(&world, &end(child), exit, "local_failed:canceled");
        server.end();
    }
}

#[test]
fn a_signal_ends_a_run_while_its_files_are_verified() {
    for (signal, exit) in SIGNALS {
        let (world, server) = world("verifying", "");
        let pids = world.root.join("pids");
        // A shell and its child in the background: the whole group has to go.
        let script = format!("sleep 300 & echo $$ $! > {0}.part; mv {0}.part {0}; wait; sleep 300", pids.display());
        let verify = serde_json::to_string(&["sh", "-c", &script]).unwrap();
        let child = start(&world, &["run", "--verify", &verify, TASK]);
        until("the verification runs", || pids.exists());
        assert!(world.work.join("hello.py").exists(), "the files are verified where they stand");
        kill_process(Pid::from_child(&child), signal).unwrap();
        let ran = end(child);
        check_canceled(&world, &ran, exit, "verify_failed");
        for pid in fs::read_to_string(&pids).unwrap().split_whitespace() {
            until(&format!("process {pid} of the verification is gone"), || is_gone(&world, pid));
        }
        server.end();
    }
}

/// What was not looked at any more is not told as missing.
#[test]
fn a_look_that_a_signal_ends_says_nothing() {
    for (signal, exit) in SIGNALS {
        for args in [&["doctor"][..], &["status"], &["status", "--check"]] {
            let world = World::new("look");
            let silent = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/v1", silent.local_addr().unwrap());
            world.configure(&format!("providers:\n  local:\n    base_url: \"{url}\"\n    model: m\n"));
            let child = start(&world, args);
            let held = silent.accept().unwrap();
            kill_process(Pid::from_child(&child), signal).unwrap();
            let ran = end(child);
            assert!(ran.exit == exit && ran.stdout.is_empty(), "{args:?}\n{}", ran.report());
            drop(held);
        }
    }
}

/// Whether a process has ended; one that only waits to be reaped has.
pub fn is_gone(world: &World, pid: &str) -> bool {
    let raw = Pid::from_raw(pid.parse().unwrap()).unwrap();
    let state = |mut ps: Command| {
        ps.args(["-o", "stat=", "-p", pid]);
        run(ps, b"").stdout.starts_with(b"Z")
    };
    test_kill_process(raw).is_err() || state(world.command(world.root.join("bin/ps")))
}

#[test]
fn a_signal_ends_a_suite_and_leaves_nothing() {
    for (signal, exit) in SIGNALS {
        let (world, server) = world("suite", "send 700\nhang\n");
        let child = start(&world, &["bench", "--quick"]);
        until("the model is asked", || is_asked(&server));
        kill_process(Pid::from_child(&child), signal).unwrap();
        let ran = end(child);
        assert_eq!((ran.exit, ran.stdout.as_slice()), (exit, &b""[..]), "{}", ran.report());
        assert_eq!(tree(&world.work).into_keys().collect::<Vec<_>>(), ["old.txt"]);
        assert!(tree(&world.root.join("tmp")).is_empty());
        let runs: Vec<String> = tree(&world.root.join("state/mux/runs")).into_keys().collect();
        assert!(runs.iter().all(|name| !name.contains('/')), "a result is left: {runs:?}");
        assert!(!world.root.join("state/mux/run_ledger.jsonl").exists());
        server.end();
    }
}

#[test]
fn a_deadline_ends_a_run_and_says_so() {
    let (world, server) = world("deadline", "send 700\nhang\n");
    let ran = end(start(&world, &["run", "--deadline", "1", TASK]));
    let told = String::from_utf8_lossy(&ran.stdout);
    let says = |line: &str| told.contains(&format!("\n{line}\n"));
    assert!(ran.exit == 1 && says("reason: local_failed:timeout") && says("refused: deadline"), "{}", ran.report());
    assert!(!world.work.join("hello.py").exists());
    server.end();
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (world, server) = world("pipe", "");
    let mut child = start(&world, &["run", "--no-verify", TASK]);
    drop(child.stdout.take());
    let (exit, _) = wait(&mut child);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((exit, said.as_str()), (0, ""));
    assert_eq!(fs::read_to_string(world.work.join("hello.py")).unwrap(), "print(\"Hello, world!\")\n");
    server.end();

    // More than a pipe holds, so that the writer meets the closed end.
    let ledger = world.root.join("state/mux/run_ledger.jsonl");
    let line = fs::read_to_string(&ledger).unwrap();
    assert_eq!(line.lines().count(), 1, "the run is recorded all the same");
    fs::write(&ledger, line.repeat(2000)).unwrap();
    for args in [&["log", "-n", "2000"][..], &["log", "-n", "2000", "--json"], &["--help"], &["status"]] {
        let mut child = start(&world, args);
        let mut first = [0; 1];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let (exit, _) = wait(&mut child);
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((exit, said.as_str()), (0, ""), "{args:?}");
    }
}

/// Two runs on one directory: the second waits, or ends at once where it was told to.
#[test]
fn two_runs_do_not_meet_in_one_directory() {
    let (world, server) = world("busy", "send 700\nhang\n");
    let first = start(&world, &["run", TASK]);
    until("the model is asked", || is_asked(&server));
    let second = end(start(&world, &["run", "--no-wait", TASK]));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(second.exit == 1 && said.contains("holds the work directory"), "{}", second.report());
    kill_process(Pid::from_child(&first), Signal::INT).unwrap();
    check_canceled(&world, &end(first), 130, "local_failed:canceled");
    server.end();
}

/// Not every machine has namespaces, or lets a user make them.
fn has_namespaces(with: &[&str]) -> bool {
    let probe = World::new("no-namespace");
    let unshare = probe.root.join("bin/unshare");
    let mut command = probe.command(&unshare);
    command.args(with).arg("true");
    unshare.exists() && run(command, b"").exit == 0
}

#[test]
fn a_disk_that_cannot_be_written_is_its_own_failure_and_calls_no_provider() {
    const PRIVATE: [&str; 3] = ["--user", "--map-root-user", "--mount"];
    if !has_namespaces(&PRIVATE) {
        eprintln!("skipped: a read-only disk needs user namespaces");
        return;
    }
    let (world, server) = world("read-only", "");
    let locked = "old=$PATH; PATH=/bin:/usr/bin:/sbin:/usr/sbin; mount --bind . .; mount -o remount,bind,ro .; \
                  PATH=$old; cd \"$PWD\"; exec \"$@\"";
    let mut command = world.command(world.root.join("bin/unshare"));
    command.args(PRIVATE).args(["sh", "-ec", locked, "sh", env!("CARGO_BIN_EXE_mux"), "run", "--no-verify", TASK]);
    let ran = run(command, b"");
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.exit == 3 && told.starts_with("route: none\n"), "{}", ran.report());
    assert!(told.contains("\nreason: local_failed:disk\n") && !told.contains("\nrefused: "), "{}", ran.report());
    let ledger = fs::read_to_string(world.root.join("state/mux/run_ledger.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(&ledger).unwrap();
    assert_eq!((&line["reason"], &line["refused"]), (&"local_failed:disk".into(), &serde_json::Value::Null));
    let id = line["run_id"].as_str().unwrap();
    let mut why = world.mux();
    why.args(["why", id]);
    let why = run(why, b"");
    let page = String::from_utf8_lossy(&why.stdout);
    assert!(
        why.exit == 0 && page.contains("none, local_failed:disk") && page.contains("failed: disk"),
        "{}",
        why.report()
    );
    server.end();
}

/// In a container or a sandbox the session that mux belongs to may be one that its pid namespace cannot show.
#[test]
fn a_session_outside_of_the_pid_namespace_is_no_obstacle() {
    let inside = |world: &World, program: &str, args: &[&str]| {
        let mut unshare = world.command(world.root.join("bin/unshare"));
        unshare.args(["--user", "--map-root-user", "--pid", "--fork", "--mount-proc", program]).args(args);
        run(unshare, b"")
    };
    if !has_namespaces(&["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]) {
        return;
    }
    let (world, server) = world("namespace", "");
    let ran = inside(&world, env!("CARGO_BIN_EXE_mux"), &["run", "--verify", "python3 hello.py", TASK]);
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.exit == 0 && told.contains("\nverify: passed"), "{}", ran.report());
    server.end();
}
