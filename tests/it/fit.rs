//! `mux tune --fit` on a ledger of recorded signals: what it shows, what it writes, and that a run uses it.

use crate::bench::{Ran, World, copy_tree, manifest, run};
use crate::replay::Server;
use fs_err as fs;
use serde_json::{Value, json};

/// Rows of a recording: signals, and whether the hidden tests passed.
pub fn recorded(name: &str) -> Vec<Value> {
    let text = fs::read_to_string(manifest().join("fixtures/signals").join(name)).unwrap();
    text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Writes a ledger of proven changes: the recorded line of a scenario, with recorded signals and verdicts.
pub fn fill(world: &World, rows: &[Value]) {
    let line = fs::read_to_string(manifest().join("fixtures/run/004_change_is_proved/expected/ledger.jsonl")).unwrap();
    let line = line.replace("\"{{n}}\"", "0").replace("{{time}}", "2026-11-27T00:00:00.000Z");
    let mut record: Value = serde_json::from_str(line.trim()).unwrap();
    let mut ledger = String::new();
    for (n, row) in rows.iter().enumerate() {
        record["run_id"] = json!(format!("01M8DPZBEQVVDQ2YZ4GF17{n:04}"));
        record["seq"] = json!(n + 1);
        let attempt = &mut record["attempts"][0];
        attempt["signals"] = row["signals"].clone();
        attempt["verdict"] = json!(if row["passed"] == true { "passed" } else { "failed" });
        ledger += &record.to_string();
        ledger.push('\n');
    }
    fs::create_dir_all(world.root.join("state/mux")).unwrap();
    fs::write(world.root.join("state/mux/run_ledger.jsonl"), ledger).unwrap();
}

fn tune(world: &World, args: &[&str]) -> (Ran, String) {
    let mut command = world.mux();
    command.args(["tune", "--fit"]).args(args);
    let ran = run(command, b"");
    let said = String::from_utf8(ran.stdout.clone()).unwrap();
    (ran, said)
}

/// Weights that were good for nothing, as an earlier fit would have left them.
fn spoil(world: &World) {
    let bad = json!({
        "schema": 1,
        "now": {"id": "fit-2026-01-01", "pass_rate": 0.5, "base": -1.0, "weights": {"seq_lp": -0.2}},
        "before": null
    });
    fs::write(world.root.join("state/mux/weights.json"), bad.to_string()).unwrap();
}

#[test]
fn a_ledger_with_few_labelled_runs_is_not_fitted() {
    let world = World::new("fit-few");
    let (ran, said) = tune(&world, &["--write"]);
    assert!(ran.exit == 1 && said.starts_with("0 labelled runs: a fit needs 50 changes"), "{}", ran.report());
    fill(&world, &recorded("humaneval-1.5b.jsonl")[..49]);
    let (ran, said) = tune(&world, &["--write"]);
    assert!(ran.exit == 1 && said.starts_with("49 labelled runs"), "{}", ran.report());
    let (ran, said) = tune(&world, &["--json"]);
    let document: Value = serde_json::from_str(&said).unwrap();
    assert!(ran.exit == 1 && document["refused"].is_string() && document["new"].is_null(), "{}", ran.report());
    assert!(!world.root.join("state/mux/weights.json").exists());
}

#[test]
fn a_fit_is_shown_written_used_and_taken_back() {
    let world = World::new("fit");
    let rows = recorded("humaneval-1.5b.jsonl");
    fill(&world, &rows);
    spoil(&world);
    let weights = || fs::read_to_string(world.root.join("state/mux/weights.json")).unwrap();
    let before = weights();
    let (ran, said) = tune(&world, &[]);
    assert!(ran.exit == 0 && said.contains("Nothing is written without `--write`."), "{}", ran.report());
    assert_eq!(weights(), before);
    let (ran, said) = tune(&world, &["--json", "--write"]);
    assert_eq!(ran.exit, 0, "{}", ran.report());
    let document: Value = serde_json::from_str(&said).unwrap();
    let number = |part: &str, name: &str| document[part][name].as_f64().unwrap();
    assert_eq!((&document["runs"], &document["written"]), (&json!(rows.len()), &json!(true)), "{said}");
    assert!(number("before", "auroc") < 0.5 && number("after", "auroc") > 0.5, "{said}");
    assert!(number("after", "brier") < number("before", "brier"), "{said}");
    let id = document["new"]["id"].as_str().unwrap().to_string();
    assert!(id.starts_with("fit-20"), "{said}");

    // A run is scored with them, and names them.
    let scenario = manifest().join("fixtures/run/004_change_is_proved");
    let server = Server::start(&scenario.join("http"));
    world.configure(&format!("providers:\n  local:\n    base_url: \"{}/v1\"\n    model: m\n", server.url()));
    if scenario.join("input").exists() {
        copy_tree(&scenario.join("input"), &world.work);
    }
    let args = fs::read_to_string(scenario.join("args")).unwrap();
    let mut command = world.mux();
    command.args(args.lines());
    let ran = run(command, b"");
    assert_eq!(ran.exit, 0, "{}", ran.report());
    server.end();
    let ledger = fs::read_to_string(world.root.join("state/mux/run_ledger.jsonl")).unwrap();
    let last: Value = serde_json::from_str(ledger.lines().last().unwrap()).unwrap();
    assert_eq!(last["attempts"][0]["weights"].as_str(), Some(id.as_str()), "{last}");
    let signals = last["attempts"][0]["signals"].as_object().unwrap();
    let base = document["new"]["base"].as_f64().unwrap();
    assert_eq!(signals["term.base"].as_f64(), Some(base), "{last}");

    // Back to those before the fit, and then to those that mux comes with.
    let (ran, said) = tune(&world, &["--reset"]);
    assert!(ran.exit == 0 && said == "the weights are fit-2026-01-01\n", "{}", ran.report());
    let (ran, said) = tune(&world, &["--reset"]);
    assert!(ran.exit == 0 && said.starts_with("the weights are default-"), "{}", ran.report());
}

#[test]
fn weights_of_a_later_version_are_passed_over_and_said() {
    let world = World::new("fit-later");
    let scenario = manifest().join("fixtures/run/004_change_is_proved");
    let server = Server::start(&scenario.join("http"));
    world.configure(&format!("providers:\n  local:\n    base_url: \"{}/v1\"\n    model: m\n", server.url()));
    if scenario.join("input").exists() {
        copy_tree(&scenario.join("input"), &world.work);
    }
    fs::create_dir_all(world.root.join("state/mux")).unwrap();
    fs::write(world.root.join("state/mux/weights.json"), "{\"schema\":9,\"now\":null,\"before\":null}").unwrap();
    let mut command = world.mux();
    command.args(fs::read_to_string(scenario.join("args")).unwrap().lines());
    let ran = run(command, b"");
    server.end();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.exit == 0 && said.contains("are not used: a later mux has written it"), "{}", ran.report());
    let ledger = fs::read_to_string(world.root.join("state/mux/run_ledger.jsonl")).unwrap();
    assert!(ledger.contains("\"weights\":\"default-"), "{ledger}");
}
