//! What a run does while a provider works: signals, what the child is given, a provider that calls mux, two runs in one
//! directory, a kill. The provider is `tests/fake_cli.sh` with a script for the moment in question; its reply, where it
//! gives one, was recorded.

use crate::bench::{Ran, World, manifest, run, tree};
use crate::replay::Server;
use crate::signals::{SIGNALS, end, is_gone, start, until};
use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::fs::PermissionsExt;

const PRICE: &str = "def total(prices):\n    return sum(prices)\n";
const TASK: &str = "Add a function mean(prices) to price.py.";
/// Nothing listens on port 1.
const DOWN: &str = "providers:\n  local:\n    base_url: \"http://127.0.0.1:1/v1\"\n    auto_detect: false\n\
                    local_runtime:\n  health_retries: 0\n";
/// The provider has begun: it ignores TERM, and so do a child in its group and one in a session of its own.
const STUBBORN: &str = "trap '' TERM INT HUP\n\
    sleep 300 & one=$!\n\
    setsid sleep 300 & two=$!\n\
    echo $$ $one $two >\"$world/pids.part\"\n\
    mv \"$world/pids.part\" \"$world/pids\"\n\
    wait\n";
/// What it has written by then: a file changed, one made, one gone, one with another mode.
const HALF: &str = "echo half >price.py; echo new >extra.txt; rm old.txt; chmod 755 mode.sh\n";

/// A world with some files, and a claude whose calls do what `scripts` say and reply as a recorded one did.
fn world(name: &str, scripts: &[&str]) -> World {
    let world = World::new(name);
    for (file, text) in [("price.py", PRICE), ("old.txt", "old\n"), ("mode.sh", "true\n")] {
        fs::write(world.work.join(file), text).unwrap();
    }
    let data = world.root.join("data/claude");
    fs::create_dir_all(&data).unwrap();
    for (call, script) in (1..).zip(scripts) {
        fs::write(data.join(format!("{call}.sh")), script).unwrap();
        fs::copy(manifest().join("fixtures/cli/claude/mux-hands/stdout"), data.join(format!("{call}.stdout"))).unwrap();
    }
    world.install_cli("claude", &data);
    world.configure(DOWN);
    world
}

/// The files with their modes.
fn files(world: &World) -> Vec<(String, Vec<u8>, u32)> {
    let mode = |name: &str| fs::metadata(world.work.join(name.trim_end_matches('*'))).unwrap().permissions().mode();
    tree(&world.work).into_iter().map(|(name, bytes)| (name.clone(), bytes, mode(&name))).collect()
}

fn ledger(world: &World) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(world.root.join("state/mux/run_ledger.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Sends a signal while the provider works and looks at what is left.
#[track_caller]
fn check_signal(world: &World, args: &[&str], signal: Signal, exit: i32) -> Ran {
    let before = files(world);
    let child = start(world, args);
    until("the provider works", || world.root.join("pids").exists());
    kill_process(Pid::from_child(&child), signal).unwrap();
    let ran = end(child);
    assert_eq!(ran.exit, exit, "{}", ran.report());
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(told.starts_with("route: none\n") && told.contains("\nrefused: canceled\n"), "{}", ran.report());
    for pid in fs::read_to_string(world.root.join("pids")).unwrap().split_whitespace() {
        until(&format!("process {pid} of the provider is gone"), || is_gone(world, pid));
    }
    assert_eq!(files(world), before, "{}", ran.report());
    let lines = ledger(world);
    let last = lines.last().unwrap();
    let class = &last["attempts"].as_array().unwrap().last().unwrap()["failure"]["class"];
    assert_eq!((lines.len(), &last["refused"], class), (1, &"canceled".into(), &"killed".into()), "{last}");
    assert!(tree(&world.root.join("tmp")).is_empty(), "{:?}", tree(&world.root.join("tmp")).keys());
    let egress = fs::read_to_string(world.root.join("state/mux/egress.jsonl")).unwrap();
    assert!(egress.lines().count() == 2 && egress.contains("\"outcome\":\"killed\""), "{egress}");
    ran
}

#[test]
fn a_signal_takes_back_what_a_provider_has_written_so_far() {
    for (signal, exit) in SIGNALS {
        let world = world("hands_signal", &[&[HALF, STUBBORN].concat()]);
        check_signal(&world, &["run", "--route", "claude", TASK], signal, exit);
    }
}

#[test]
fn a_signal_ends_an_adviser_and_the_change_that_it_was_asked_about() {
    for (signal, exit) in SIGNALS {
        let world = world("advice_signal", &[STUBBORN]);
        let folder = manifest().join("fixtures/run/100_a_red_change_is_finished_with_advice");
        fs::copy(folder.join("input/check.py"), world.work.join("check.py")).unwrap();
        let server = Server::start(&folder.join("http"));
        let yaml = fs::read_to_string(folder.join("mux.yaml")).unwrap();
        world.configure(&yaml.replace("{{local}}", &server.url()));
        let ran = check_signal(&world, &["run", "--verify", "python3 check.py", TASK], signal, exit);
        assert!(String::from_utf8_lossy(&ran.stderr).contains("claude (advice): verify_failed"), "{}", ran.report());
        server.end();
    }
}

#[test]
fn a_provider_gets_the_users_keys_and_nothing_that_redirects_it() {
    let world = world("environment", &["env >\"$world/calls/env\"; pwd >\"$world/calls/pwd\"\n"]);
    let mut command = world.mux();
    command.args(["run", "--route", "claude", "--answer", "What does SECRET-TASK-TEXT do?"]);
    let drop = ["GIT_DIR", "GIT_INDEX_FILE", "LD_LIBRARY_PATH", "CLAUDECODE", "CLAUDE_CODE_SESSION_ID", "GEMINI_CLI"];
    let drop = drop.iter().chain(&["MUX_LEDGER_SYNC", "LOCAL_OPENAI_API_KEY", "CODEX_SANDBOX"]);
    let keep = ["ANTHROPIC_API_KEY", "HTTPS_PROXY", "NODE_EXTRA_CA_CERTS", "CLAUDE_CONFIG_DIR", "AWS_PROFILE"];
    for name in drop.clone().chain(&keep) {
        command.env(name, if *name == "MUX_LEDGER_SYNC" { "true" } else { "x" });
    }
    let ran = run(command, b"");
    assert_eq!(ran.exit, 0, "{}", ran.report());
    let env = fs::read_to_string(world.root.join("calls/env")).unwrap();
    let names: Vec<&str> = env.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert!(drop.clone().all(|name| !names.contains(name)), "{env}");
    assert!(keep.iter().all(|name| names.contains(name)), "{env}");
    let begin = |begin: &str| names.iter().copied().filter(|name| name.starts_with(begin)).collect::<Vec<_>>();
    assert_eq!((begin("MUX_"), begin("GIT_"), begin("LD_")), (vec!["MUX_DEPTH"], vec![], vec![]));
    assert!(env.contains("\nMUX_DEPTH=1\n") || env.starts_with("MUX_DEPTH=1\n"), "{env}");
    let of = |part: &str| fs::read_to_string(world.root.join("calls/claude.1.").with_extension(part)).unwrap();
    assert!(of("stdin").contains("SECRET-TASK-TEXT") && !of("argv").contains("SECRET-TASK-TEXT"), "{}", of("argv"));
    let record = ledger(&world).pop().unwrap();
    assert!(!record["attempts"].to_string().contains("SECRET-TASK-TEXT"), "{record}");
}

/// With and without the variable that counts: the second is found by its ancestors.
#[test]
fn a_provider_that_calls_mux_is_not_called_by_it() {
    for without in ["", "env -u MUX_DEPTH -u _MUXRUN "] {
        let mux = env!("CARGO_BIN_EXE_mux");
        let nested = format!("{without}{mux} run --route claude 'What is a monad?' >\"$world/calls/nested\" 2>&1\n");
        let script = format!("{nested}echo $? >\"$world/calls/nested.exit\"\n");
        let world = world("recursion", &[&script]);
        let ran = end(start(&world, &["run", "--route", "claude", "--answer", "What is a functor?"]));
        assert_eq!(ran.exit, 0, "{}", ran.report());
        let nested = fs::read_to_string(world.root.join("calls/nested")).unwrap();
        let exit = fs::read_to_string(world.root.join("calls/nested.exit")).unwrap();
        assert!(exit == "4\n" && nested.contains("\nrefused: recursion\n"), "{exit}{nested}");
        assert!(!world.root.join("calls/claude.2.argv").exists());
        let refused: Vec<_> = ledger(&world).into_iter().map(|line| line["refused"].clone()).collect();
        assert_eq!(refused, ["recursion".into(), serde_json::Value::Null]);
    }
}

#[test]
fn two_providers_never_write_in_one_directory_at_once() {
    let first = "touch \"$world/begun\"; while ! test -e \"$world/go\"; do sleep 0.02; done; echo 1 >one.txt\n";
    let world = world("hands_queue", &[first, "test -e one.txt && echo 2 >two.txt\n"]);
    let args = ["run", "--route", "claude", "--no-verify", TASK];
    let one = start(&world, &args);
    until("the first provider works", || world.root.join("begun").exists());
    let refused = end(start(&world, &["run", "--route", "claude", "--no-wait", TASK]));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("holds the work directory"), "{}", refused.report());
    let two = start(&world, &args);
    assert!(!world.root.join("calls/claude.2.argv").exists());
    fs::write(world.root.join("go"), "").unwrap();
    let (one, two) = (end(one), end(two));
    assert_eq!((one.exit, two.exit), (0, 0), "{}{}", one.report(), two.report());
    let lines = ledger(&world);
    let made: Vec<_> = lines.iter().filter(|line| line["route"] == "claude").map(|line| &line["files"]).collect();
    assert!(made.len() == 2 && made[0][0]["path"] == "one.txt" && made[1][0]["path"] == "two.txt", "{made:?}");
}

#[test]
fn a_killed_mux_leaves_what_a_provider_wrote_to_an_undo() {
    let world = world("hands_kill", &[&[HALF, STUBBORN].concat()]);
    let before = files(&world);
    let mut child = start(&world, &["run", "--route", "claude", TASK]);
    until("the provider works", || world.root.join("pids").exists());
    let half = files(&world);
    child.kill().unwrap();
    child.wait().unwrap();
    // Nobody is left to end them.
    for pid in fs::read_to_string(world.root.join("pids")).unwrap().split_whitespace() {
        let _ = kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), Signal::KILL);
        until(&format!("process {pid} is gone"), || is_gone(&world, pid));
    }
    let status = end(start(&world, &["status"]));
    assert_eq!((status.exit, files(&world)), (0, half.clone()), "looking changes nothing: {}", status.report());
    let runs = tree(&world.root.join("state/mux/runs"));
    let id = runs.keys().find_map(|name| name.split('/').next().filter(|id| id.len() == 26)).unwrap().to_string();
    let undone = end(start(&world, &["undo", &id]));
    let said = String::from_utf8_lossy(&undone.stderr);
    let healed = format!("run {id} was killed while a provider wrote in `{}`", world.work.display());
    assert!(undone.exit == 0 && said.contains(&healed), "{}", undone.report());
    assert_eq!(files(&world), before, "{}", undone.report());
}
