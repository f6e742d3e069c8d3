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
    configured(("", "0.2"), name, files, replies, words)
}

/// As [`tried`], with settings of `local_executor`, and a temperature.
fn configured(
    (executor, temperature): (&str, &str),
    name: &str,
    files: &[(&str, &str)],
    replies: &[&str],
    words: &[&str],
) -> (World, Ran, Value, Vec<Value>) {
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
    world.configure(&format!(
        "providers: {{local: {{base_url: \"{}/v1\", model: m, temperature: {temperature}}}}}\nlocal_executor: {{{executor}}}\n",
        server.url()
    ));
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

#[test]
fn a_try_that_begins_anew_gets_its_repair_as_the_first_one_did() {
    let none = "I have corrected `mean`.";
    let (_, ran, record, asked) = tried(
        "anew",
        &[("ledger.py", LEDGER)],
        &[none, none, none, &whole("return sum(prices) / len(prices)")],
        &FIX[2..],
    );
    assert_eq!((ran.exit, asked.len()), (0, 4), "{}", ran.report());
    assert_eq!(record["attempts"][2]["failure"]["kind"], "unusable", "{record}");
    let is_told =
        [0, 1, 2, 3].map(|n| prompt(&asked[n]).contains("That reply could not be used: There is no fenced block"));
    assert_eq!(is_told, [false, true, false, true]);
    let warmth = [0, 1, 2, 3].map(|n| asked[n]["temperature"].as_f64().unwrap());
    assert!(warmth.is_sorted() && warmth[0] < warmth[1] && warmth[1] < warmth[2], "{warmth:?}");
}

#[test]
fn what_is_no_reply_is_told_as_such() {
    for (none, told) in [("", "it was empty."), ("I'm sorry, but I can't help with that.", "it held no files.")] {
        let good = whole("return sum(prices) / len(prices)");
        let (_, ran, _, asked) = tried("no-reply", &[("ledger.py", LEDGER)], &[none, &good], &FIX[2..]);
        assert_eq!((ran.exit, asked.len()), (0, 2), "{}", ran.report());
        let told = format!("An earlier reply could not be used: {told}");
        assert!(prompt(&asked[1]).contains(&told), "{}", prompt(&asked[1]));
        assert!(none.is_empty() || !prompt(&asked[1]).contains(none), "it would decline again: {}", prompt(&asked[1]));
    }
}

/// A model that always says the same is not asked the same for as long as tries are left.
#[test]
fn nothing_is_asked_twice_in_the_same_words_and_no_warmer() {
    let files = [("ledger.py", LEDGER), ("check.py", CHECK)];
    let wrong = whole("return sum(prices)");
    let broken = whole("return sum(prices");
    let placeholder = whole("...  # rest unchanged");
    let replies =
        [&wrong, &broken, &placeholder, LEDGER, "I have corrected `mean`.", "", "I'm sorry, but I can't do that."];
    for reply in replies {
        for temperature in ["0.2", "0.9"] {
            let more = ("max_attempts: 8", temperature);
            let (_, ran, record, asked) = configured(more, "asked-twice", &files, &[reply; 8], &FIX);
            let n = asked.len();
            let is_again = |n: &usize| asked[..*n].contains(&asked[*n]);
            assert_eq!((0..n).find(is_again), None, "{reply:?} at {temperature}: {}", ran.report());
            assert_eq!((ran.exit, record["attempts"].as_array().unwrap().len()), (1, n), "{}", ran.report());
            assert!((2..8).contains(&n), "{reply:?}: {n} tries");
            let is_told = String::from_utf8_lossy(&ran.stderr).contains("no further local try: nothing is left to ask");
            // A refusal has one repair.
            assert_eq!(is_told, !reply.starts_with("I'm sorry"), "{}", ran.report());
        }
    }
}
