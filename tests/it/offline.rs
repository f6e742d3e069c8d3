//! Local only: no provider is started and nothing but this machine is contacted, seen from outside with `strace`, where
//! there is one, and by the fake CLIs that nobody calls.

use crate::bench::{World, manifest, run, tree};
use crate::replay::Server;
use crate::scenarios::NAMES;
use fs_err as fs;
use std::net::{IpAddr, UdpSocket};

const CLIS: [&str; 3] = ["claude", "codex", "gemini"];

/// A world whose PATH holds all three CLIs; a call of any of them leaves a file.
fn world(name: &str, yaml: &str) -> World {
    let world = World::new(name);
    for cli in CLIS {
        world.install_cli(cli, &world.root.join("data"));
    }
    world.configure(yaml);
    world
}

/// Whether this machine can trace: `strace` is not everywhere, and containers may forbid it.
fn can_trace() -> bool {
    let probe = World::new("no-strace");
    let strace = probe.root.join("bin/strace");
    let mut command = probe.command(&strace);
    command.args(["-f", "-o", "/dev/null", "true"]);
    strace.exists() && run(command, b"").exit == 0
}

/// The programs that were started, or looked for, and the addresses that were connected to.
fn seen(trace: &str) -> (Vec<&str>, Vec<&str>) {
    let programs = trace.lines().filter_map(|line| line.split_once("execve(\"")?.1.split('"').next());
    let connects = trace.lines().filter(|line| line.contains("connect(") && line.contains("sa_family="));
    (programs.collect(), connects.collect())
}

/// Plays the first step of a scenario under `strace`; returns how many connections it made.
fn check(name: &str) -> usize {
    let folder = manifest().join("fixtures/run").join(name);
    let server = folder.join("http").exists().then(|| Server::start(&folder.join("http")));
    let local = server.as_ref().map_or("http://127.0.0.1:1".to_string(), Server::url);
    let default = "providers:\n  local:\n    base_url: \"{{local}}/v1\"\n    model: qwen-coder-1.5b\n".to_string();
    let yaml = fs::read_to_string(folder.join("mux.yaml")).unwrap_or(default);
    let world = world("traced", "");
    let (root, work) = (world.root.display().to_string(), world.work.display().to_string());
    let fill = |text: &str| text.replace("{{local}}", &local).replace("{{root}}", &root).replace("{{work}}", &work);
    world.configure(&fill(&yaml));
    for (file, bytes) in tree(&folder.join("input")) {
        let path = world.work.join(file.trim_end_matches('*'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let trace = world.root.join("trace");
    let mut command = world.command(world.root.join("bin/strace"));
    command.args(["-f", "-qq", "-s", "4096", "-e", "trace=execve,connect,sendto,sendmsg", "-o"]).arg(&trace);
    command.arg(env!("CARGO_BIN_EXE_mux"));
    let args = fill(&fs::read_to_string(folder.join("args")).unwrap());
    command.args(args.lines().take(1)).arg("--local-only").args(args.lines().skip(1));
    let ran = run(command, &fs::read(folder.join("stdin")).unwrap_or_default());
    let trace = fs::read_to_string(&trace).unwrap();
    let (programs, connects) = seen(&trace);
    assert!(programs.contains(&env!("CARGO_BIN_EXE_mux")), "{name}: the trace holds mux itself\n{trace}");
    let is_cli = |program: &&str| CLIS.contains(&program.rsplit('/').next().unwrap_or_default());
    assert!(!programs.iter().any(is_cli), "{name}: a provider was started\n{programs:?}\n{}", ran.report());
    assert!(tree(&world.root.join("calls")).is_empty(), "{name}\n{}", ran.report());
    let is_here = |line: &&str| {
        let here = ["sin_addr=inet_addr(\"127.", "inet_pton(AF_INET6, \"::1\"", "sa_family=AF_UNIX", "AF_UNSPEC"];
        here.iter().any(|address| line.contains(address))
    };
    let away: Vec<_> = connects.iter().filter(|line| !is_here(line)).collect();
    assert!(away.is_empty(), "{name}: {away:?}\n{}", ran.report());
    assert!(!world.root.join("state/mux/egress.jsonl").exists(), "{name}: nothing was sent");
    connects.len()
}

/// All scenarios but the few that need a setup of their own.
#[test]
fn the_whole_suite_of_scenarios_stays_at_home_when_it_has_to() {
    if !can_trace() {
        eprintln!("not shown on this machine: `strace` is not there or may not trace");
        return;
    }
    let is_run = |name: &&str| {
        let folder = manifest().join("fixtures/run").join(name);
        let args = fs::read_to_string(folder.join("args")).unwrap();
        args.starts_with("run\n") && !folder.join("setup.sh").exists()
    };
    let runs: Vec<&str> = NAMES.iter().map(|name| name.trim_start_matches('_')).filter(is_run).collect();
    let asked: usize = runs.iter().map(|name| check(name)).sum();
    // Of 67 scenarios 60 connections were seen: the local servers were asked, and the trace shows it.
    assert!(runs.len() >= 50 && asked >= 40, "{} scenarios, {asked} connections", runs.len());
}

/// Each of the three ways alone is enough, for an answer and for a change.
#[test]
fn three_ways_keep_everything_at_home() {
    let down = "providers:\n  local:\n    base_url: \"http://127.0.0.1:1/v1\"\n    auto_detect: false\n\
                local_runtime:\n  health_retries: 0\n";
    let private = format!("{down}privacy:\n  local_only: true\n");
    for (yaml, flag, offline) in [(down, "--local-only", "0"), (down, "--quiet", "1"), (&private, "--quiet", "0")] {
        for task in ["What is a monad?", "Create hello.py"] {
            let world = world("three_ways", yaml);
            let mut command = world.mux();
            command.args(["run", flag, "--route", "claude", task]);
            if offline == "1" {
                command.env("MUX_OFFLINE", offline);
            }
            let ran = run(command, b"");
            let told = String::from_utf8_lossy(&ran.stdout);
            assert!(ran.exit == 4 && told.contains("\nrefused: local_only\n"), "{}", ran.report());
            assert!(told.contains("\ncloud: 0 bytes sent\n") && tree(&world.work).is_empty(), "{}", ran.report());
            assert!(tree(&world.root.join("calls")).is_empty());
            assert!(!world.root.join("state/mux/egress.jsonl").exists());
        }
    }
}

/// The address by which other machines would reach this one; asking for it sends nothing.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[test]
fn a_model_server_elsewhere_is_named_in_the_result_and_in_the_ledger() {
    let Some(address) = own_address() else {
        eprintln!("skipped: this machine has no address but loopback");
        return;
    };
    let server = Server::at(address, &manifest().join("fixtures/run/003_plain_answer_stays_home/http"));
    let url = format!("{}/v1", server.url());
    let local = format!("base_url: \"{url}\"\n    model: qwen-coder-1.5b\n    allow_remote: true\n");
    let world = world("elsewhere", &format!("providers:\n  local:\n    {local}"));
    let mut command = world.mux();
    command.args(["run", "In two sentences: what does `git stash` do?"]);
    let ran = run(command, b"");
    let (told, said) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.exit == 0 && told.contains(&format!("\nremote: {url} (code left this machine)\n")), "{}", ran.report());
    assert!(said.contains(&format!("code leaves this machine: the model server is {url}")), "{}", ran.report());
    let ledger = fs::read_to_string(world.root.join("state/mux/run_ledger.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(&ledger).unwrap();
    assert_eq!(line["remote"], url.as_str(), "{ledger}");
    let requests = server.end();
    assert_eq!(requests.len(), 1);
    // What was sent is in the list of all that left, by the bytes of its messages.
    let request: serde_json::Value = serde_json::from_slice(&requests[0]).unwrap();
    let texts = request["messages"].as_array().unwrap().iter().map(|message| message["content"].as_str().unwrap());
    let sent = texts.collect::<Vec<_>>().join("\n\n").len();
    let mut command = world.mux();
    command.args(["egress", "--json"]);
    let list: serde_json::Value = serde_json::from_slice(&run(command, b"").stdout).unwrap();
    let call = &list["calls"][0];
    assert_eq!(
        (&call["provider"], &call["step"], &call["run_id"]),
        (&url.as_str().into(), &"local".into(), &line["run_id"])
    );
    assert_eq!((&call["bytes"], &call["ended"]["outcome"]), (&sent.into(), &"ok".into()), "{list}");
    assert_eq!(list["calls"].as_array().unwrap().len(), 1);
}
