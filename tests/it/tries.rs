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
