//! A ledger of hundreds of runs of the real binary: every route is decided again from its record, and a threshold is
//! proposed from them and written.

use crate::bench::{World, ledger_of, run};
use crate::scenarios;
use fs_err as fs;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::thread;

/// The settings that each scenario runs with: its own, and others that lead elsewhere.
const SETTINGS: [&[(&str, &str)]; 4] = [
    &[],
    &[("MUX_ROUTER_LOCAL_CONFIDENCE_THRESHOLD", "0.9"), ("MUX_ROUTER_COMPLEXITY_THRESHOLD", "2")],
    &[("MUX_LOCAL_EXECUTOR_MAX_ATTEMPTS", "1"), ("MUX_ROUTER_MAX_LOCAL_RETRIES", "0")],
    &[("MUX_WORKFLOW_ALLOW_SOTA_WRITE_FALLBACK", "true"), ("MUX_VERIFICATION_STRICT", "true")],
];

/// Runs all scenarios with all settings; returns the lines of all ledgers.
fn ledger() -> Vec<String> {
    let mut jobs = Vec::new();
    for name in scenarios::NAMES {
        let name = name.trim_start_matches('_');
        if crate::bench::manifest().join("fixtures/run").join(name).join("expected/ledger.jsonl").exists() {
            jobs.extend(SETTINGS.iter().map(|more| (name, *more)));
        }
    }
    let (jobs, lines) = (Mutex::new(jobs), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((name, more)) = { jobs.lock().unwrap().pop() } {
                    let ledger = ledger_of(name, more);
                    lines.lock().unwrap().extend(ledger.lines().map(String::from));
                }
            });
        }
    });
    lines.into_inner().unwrap()
}

#[test]
fn every_route_of_hundreds_of_runs_is_decided_again() {
    let lines = ledger();
    let world = World::new("routes");
    let dir = world.root.join("state/mux");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("run_ledger.jsonl"), lines.join("\n") + "\n").unwrap();
    fs::set_permissions(dir.join("run_ledger.jsonl"), PermissionsExt::from_mode(0o600)).unwrap();
    let undos = lines.iter().filter(|line| line.contains("\"undoes\":")).count();

    let report = json(&world, &["replay", "--json"], 0);
    let count = |name: &str| report[name].as_u64().unwrap();
    assert!(count("runs") >= 200, "only {} runs", count("runs"));
    assert_eq!(count("runs"), (lines.len() - undos) as u64);
    let rows = report["rows"].as_array().unwrap();
    let other: Vec<&Value> =
        rows.iter().filter(|row| row["was"] != row["would_be"] || row["then"].is_string()).collect();
    assert!(other.is_empty(), "{other:#?}");
    assert_eq!((count("changed"), count("unknown"), count("unreadable")), (0, 0, 0));
    let routes: std::collections::BTreeSet<&str> = rows.iter().map(|row| row["was"].as_str().unwrap()).collect();
    assert!(["local", "none", "claude", "codex"].iter().all(|route| routes.contains(route)), "{routes:?}");

    // What each run would have been with the threshold that it had anyway is what it was.
    let curve = json(&world, &["replay", "--json", "--curve"], 0);
    let shares: Vec<f64> =
        curve["curve"].as_array().unwrap().iter().map(|point| point["cloud_share"].as_f64().unwrap()).collect();
    assert!(shares.len() == 21 && shares.is_sorted() && shares[0] < shares[20], "{shares:?}");

    let mut command = world.mux();
    command.args(["replay", "--csv"]);
    let table = String::from_utf8(run(command, b"").stdout).unwrap();
    let head = "threshold,cloud_share,verified_local_share,false_accepts,unknown,usd,unpriced,seconds,untimed\n";
    assert!(table.starts_with(head) && table.lines().count() == 22, "{table}");

    world.configure("ledger: { summary_window: 100000 }\n");
    let metrics = &json(&world, &["status", "--json"], 0)["metrics"];
    let known = |name: &str| !metrics[name].is_null();
    assert!(known("cloud_share") && known("verified_local_share") && known("tries_until_green"), "{metrics}");
    assert!(metrics["wasted_runs"].as_u64().unwrap() > 0 && known("false_accepts"), "{metrics}");

    let most = format!("{}%", (shares[0] + shares[20]) * 50.0);
    let file = world.root.join("config/mux/mux.yaml");
    world.configure("# mine\nrouter:\n  shadow: 0 # off\n");
    let proposed = json(&world, &["tune", "--max-cloud", &most, "--json"], 0);
    let proposal = &proposed["proposals"][0];
    let number = |name: &str| proposal[name].as_f64().unwrap();
    assert!(number("low") <= number("threshold") && number("threshold") <= number("high"), "{proposal}");
    assert!(proposal["rate"]["share"].as_f64().unwrap() <= number("most"), "{proposal}");
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "# mine\nrouter:\n  shadow: 0 # off\n",
        "nothing is written unasked"
    );
    assert_eq!(json(&world, &["tune", "--max-cloud", &most, "--json"], 0), proposed, "the same again");

    let written = json(&world, &["tune", "--max-cloud", &most, "--json", "--write"], 0);
    assert_eq!(written["written"].as_str(), file.to_str());
    let threshold = number("threshold");
    let expected = format!("# mine\nrouter:\n  local_confidence_threshold: {threshold}\n  shadow: 0 # off\n");
    assert_eq!(fs::read_to_string(&file).unwrap(), expected);
    let mut command = world.mux();
    command.env("MUX_ROUTER_LOCAL_CONFIDENCE_THRESHOLD", "0.5");
    command.args(["tune", "--max-cloud", &most, "--write"]);
    let refused = run(command, b"");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    let is_named = said.contains("variable MUX_ROUTER_LOCAL_CONFIDENCE_THRESHOLD, which counts more");
    assert!(refused.exit == 2 && is_named, "{}", refused.report());
    assert_eq!(fs::read_to_string(&file).unwrap(), expected);
}

#[track_caller]
fn json(world: &World, args: &[&str], exit: i32) -> Value {
    let mut command = world.mux();
    command.args(args);
    let ran = run(command, b"");
    assert_eq!(ran.exit, exit, "{}", ran.report());
    serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}\n{}", ran.report()))
}

#[test]
fn what_a_replay_leaves_unread_is_said() {
    let world = World::new("unread");
    let dir = world.root.join("state/mux");
    fs::create_dir_all(&dir).unwrap();
    let said = |name: &str| {
        let page = |command: &str| {
            let mut mux = world.mux();
            mux.arg(command);
            String::from_utf8(run(mux, b"").stdout).unwrap()
        };
        let told = json(&world, &[name, "--json"], 0);
        (page(name), told["is_cut"].as_bool())
    };
    assert_eq!((said("replay").1, said("tune").1), (None, None));
    // A hole in the file costs no room, and nothing in it is a record.
    fs::File::create(dir.join("run_ledger.jsonl")).unwrap().set_len(300 << 20).unwrap();
    let ((replay, replay_is_cut), (tune, tune_is_cut)) = (said("replay"), said("tune"));
    assert!(replay.contains("older records         not read: a replay goes through 256 MiB\n"), "{replay}");
    assert!(tune.contains("runs                0, those in the newest 256 MiB of the ledger\n"), "{tune}");
    assert_eq!((replay_is_cut, tune_is_cut), (Some(true), Some(true)));
}
