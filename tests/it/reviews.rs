//! When a change that was accepted at home is reviewed, and what of two changes is kept. Model and reviewer play what
//! was recorded for the scenarios 112 and 121.

use crate::bench::{World, copy_tree, manifest, run};
use crate::replay::Server;
use fs_err as fs;
use serde_json::Value;

const TASK: &str = "Add a function mean(prices) to price.py.";

/// Plays a scenario with another configuration and other arguments; returns the exit code, the record of the run, and its
/// diff.
fn play(scenario: &str, yaml: &str, args: &[&str]) -> (World, i32, Value, String) {
    let folder = manifest().join("fixtures/run").join(scenario);
    let world = World::new("review");
    copy_tree(&folder.join("input"), &world.work);
    world.install_cli("claude", &folder.join("cli/claude"));
    let server = Server::start(&folder.join("http"));
    let local = fs::read_to_string(folder.join("mux.yaml")).unwrap().replace("{{local}}", &server.url());
    world.configure(&format!("{local}{yaml}"));
    let mut command = world.mux();
    command.arg("run").args(args).arg(TASK);
    let ran = run(command, b"");
    server.end();
    let ledger = fs::read_to_string(world.root.join("state/mux/run_ledger.jsonl")).unwrap();
    let record: Value = serde_json::from_str(ledger.lines().last().unwrap()).unwrap();
    let mut command = world.mux();
    command.args(["diff", record["run_id"].as_str().unwrap()]);
    let diff = String::from_utf8(run(command, b"").stdout).unwrap();
    (world, ran.exit, record, diff)
}

#[test]
fn a_review_is_asked_for_where_the_configuration_says_so() {
    let (proven, unproven) = (["--verify", "true"].as_slice(), ["--no-verify"].as_slice());
    let table = [
        ("true", proven, true),
        ("true", unproven, true),
        ("unverified", proven, false),
        ("unverified", unproven, true),
        ("false", proven, false),
        ("false", unproven, false),
    ];
    for (value, args, is_reviewed) in table {
        let yaml = format!("workflow:\n  run_sota_review: {value}\n");
        let (world, exit, record, _) = play("112_a_review_that_is_content", &yaml, args);
        let attempts = record["attempts"].as_array().unwrap().iter().map(|attempt| attempt["route"].as_str().unwrap());
        let attempts: Vec<&str> = attempts.collect();
        let expected: &[&str] = if is_reviewed { &["local", "claude"] } else { &["local"] };
        assert_eq!((exit, attempts.as_slice()), (0, expected), "{value} {args:?}: {record}");
        assert_eq!(world.root.join("calls/claude.1.stdin").exists(), is_reviewed, "{value} {args:?}");
    }
}

#[test]
fn a_fix_that_breaks_the_proof_does_not_replace_what_was_reviewed() {
    // The fix of scenario 121 is told by its `if not prices`, and this check does not like it.
    let check = r#"["sh", "-c", "! grep -q 'if not prices' price.py"]"#;
    let args = ["--verify", check, "--verify-with", "claude"];
    let (world, exit, record, diff) = play("121_a_review_that_finds_a_mistake_gets_one_fix", "", &args);
    assert_eq!((exit, &record["route"]), (1, &"none".into()), "{record}");
    assert!(diff.contains("+def mean(prices):") && !diff.contains("if not prices"), "{diff}");
    let left = fs::read_to_string(world.work.join("price.py")).unwrap();
    assert!(!left.contains("mean"), "the tree is as it was: {left}");
    assert!(!world.root.join("calls/claude.2.stdin").exists(), "what is red is not reviewed");
}
