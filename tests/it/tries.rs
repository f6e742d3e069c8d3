//! Local tries of a change: what each is told of those before it, and what is said of the files that come of them. The
//! replies are written for the moment in question, in the form of answers that are not streamed, and a real loopback
//! server gives them.

use crate::bench::{Ran, World, run};
use crate::replay::Server;
use fs_err as fs;
use serde_json::{Value, json};

/// Lays out files, gives the replies one after the other and runs `mux run` with the words; says how it ended, its line
/// in the ledger, and what each call asked.
pub fn tried(name: &str, files: &[(&str, &str)], replies: &[&str], words: &[&str]) -> (World, Ran, Value, Vec<Value>) {
    let world = World::new(name);
    for (path, text) in files {
        fs::create_dir_all(world.work.join(path).parent().unwrap()).unwrap();
        fs::write(world.work.join(path), text).unwrap();
    }
    let http = world.root.join("http");
    fs::create_dir(&http).unwrap();
    for (n, reply) in (1..).zip(replies) {
        let choice = json!({"index": 0, "message": {"role": "assistant", "content": reply}, "finish_reason": "stop"});
        let body = json!({"object": "chat.completion", "model": "m", "choices": [choice]});
        fs::write(http.join(format!("{n}.response.json")), body.to_string()).unwrap();
    }
    let server = Server::start(&http);
    world.configure(&format!("providers: {{local: {{base_url: \"{}/v1\", model: m}}}}\n", server.url()));
    let mut command = world.mux();
    command.arg("run").args(words);
    let ran = run(command, b"");
    let asked = server.end().iter().map(|body| serde_json::from_slice(body).unwrap()).collect();
    let ledger = fs::read_to_string(world.root.join("state/mux/run_ledger.jsonl")).unwrap();
    let record = serde_json::from_str(ledger.lines().last().unwrap()).unwrap();
    (world, ran, record, asked)
}

#[test]
fn only_tests_that_a_run_wrote_are_told_as_such() {
    let suite = "import unittest\n\n\nclass Test(unittest.TestCase):\n    def test_one(self):\n        pass\n";
    for (path, is_told) in [("latest.py", false), ("test_late.py", true)] {
        let reply = format!("FILE: {path}\n```python\n{suite}```\n");
        let task = format!("Create {path}.");
        let (_, ran, record, _) = tried("own-tests", &[("test_old.py", suite)], &[&reply], &[&task]);
        assert_eq!((ran.exit, &record["reason"]), (0, &"verified".into()), "{}", ran.report());
        let said = String::from_utf8_lossy(&ran.stdout).contains("tests were written in this run");
        assert_eq!(said, is_told, "{}", ran.report());
    }
}

/// A file, and a check that is red until `mean` is right.
const LEDGER: &str = "LIMIT = 3\n\n\ndef total(prices):\n    return sum(prices)\n\n\ndef mean(prices):\n    return 0\n";
const CHECK: &str = "import ledger\n\nassert ledger.mean([1, 3]) == 2, \"mean is wrong\"\n";
const FIX: [&str; 3] = ["--verify", "python3 check.py", "Fix mean in ledger.py: it is always 0."];

fn whole(body: &str) -> String {
    format!("```python\n{}```\n", LEDGER.replace("return 0", body))
}

fn prompt(asked: &Value) -> &str {
    asked["messages"][1]["content"].as_str().unwrap()
}

#[test]
fn a_reply_that_cannot_be_used_takes_no_evidence_away() {
    let replies =
        [&whole("return sum(prices)"), "I have corrected `mean`.", &whole("return sum(prices) / len(prices)")];
    let files = [("ledger.py", LEDGER), ("check.py", CHECK)];
    let (_, ran, record, asked) = tried("evidence", &files, &replies, &FIX);
    assert_eq!((ran.exit, &record["reason"]), (0, &"verified".into()), "{}", ran.report());
    assert_eq!(record["attempts"][1]["failure"]["kind"], "unusable", "{record}");
    let said = prompt(&asked[2]);
    let thrown = "An earlier try was thrown away, because a check failed:";
    assert!(said.contains(thrown) && said.contains("AssertionError: mean is wrong"), "{said}");
    assert!(said.contains("An earlier reply could not be used: There is no fenced block"), "{said}");
    assert!(!said.contains("I have corrected"), "the check has run another one: {said}");
}
