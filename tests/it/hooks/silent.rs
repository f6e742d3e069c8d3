//! A model server that takes a question and never answers: one commit waits for it, the next ones do not.

use super::{DOWN, NOWHERE, Repo};
use crate::bench::World;
use crate::kill::response;
use crate::replay::Server;
use fs_err as fs;
use serde_json::Value;

/// Commits a new file; returns what mux said.
#[track_caller]
fn commit(repo: &Repo, name: &str) -> String {
    repo.write(name, name);
    repo.git(&["add", "-A"]);
    repo.commit(&[]).0
}

#[test]
fn a_server_that_says_nothing_keeps_one_commit_waiting() {
    let place = World::new("hook_silent_server");
    let folder = &place.root;
    fs::write(folder.join("every.response.raw"), response("Add a fourth file")).unwrap();
    fs::write(folder.join("health.play"), "hang\n").unwrap();
    let server = Server::start(folder);
    let repo = Repo::begun("hook_silent", &server.url());
    let said = commit(&repo, "one.txt");
    let waited = format!("{DOWN}the model server is down: no answer from {}/v1 within ", server.url());
    assert!(said.starts_with(&waited) && said.contains("; hooks leave it alone until 20"), "{said}");
    let alone = format!("{DOWN}the model server is down: it was silent at 20");
    for name in ["two.txt", "three.txt"] {
        let said = commit(&repo, name);
        assert!(said.starts_with(&alone) && said.lines().count() == 1, "{said}");
    }
    assert_eq!(server.heads().len(), 1, "it was asked by the first commit and by no other");
    let status = repo.mux(&["status"]);
    assert!(status.contains("\nserver: left alone by hooks until 20"), "{status}");
    // Ten minutes later, still silent: one commit waits again.
    let document = repo.world.root.join("state/mux/cooldowns.json");
    let text = fs::read_to_string(&document).unwrap();
    let mut held: Value = serde_json::from_str(&text).unwrap();
    let (key, cool) =
        held["content"].as_object_mut().unwrap().iter_mut().find(|(key, _)| key.starts_with("local http")).unwrap();
    assert_eq!(*key, format!("local {}/v1", server.url()));
    let time = |cool: &Value, name: &str| cool[name].as_u64().unwrap();
    assert_eq!(time(cool, "until") - time(cool, "since"), 600_000);
    for name in ["since", "until"] {
        cool[name] = (time(cool, name) - 600_000).into();
    }
    fs::write(&document, held.to_string()).unwrap();
    let asked = server.heads().len();
    assert!(commit(&repo, "later.txt").starts_with(&waited));
    assert_eq!(server.heads().len(), asked + 1);
    // It answers again, and the doctor sees it.
    fs::remove_file(folder.join("health.play")).unwrap();
    assert!(commit(&repo, "five.txt").starts_with(&alone));
    assert!(repo.mux(&["doctor"]).contains("answers with"));
    assert_eq!(commit(&repo, "four.txt"), "");
    assert!(!repo.mux(&["status"]).contains("left alone"));
    server.end();
}

#[test]
fn another_writer_of_the_ledger_is_not_waited_for_past_the_deadline() {
    let repo = Repo::begun("hook_ledger_held", NOWHERE);
    repo.world.configure(&format!("providers:\n  local:\n    base_url: \"{NOWHERE}/v1\"\nhooks:\n  deadline_sec: 1\n"));
    assert!(commit(&repo, "one.txt").starts_with(DOWN));
    let lock = fs::File::open(repo.world.root.join("state/mux/run_ledger.jsonl.lock")).unwrap();
    lock.file().lock().unwrap();
    repo.write("two.txt", "two");
    repo.git(&["add", "-A"]);
    let (said, subject) = repo.commit(&["-m", "Add two"]);
    let waited = said.trim_end().strip_suffix(" s").and_then(|said| said.rsplit_once("run_ledger.jsonl.lock` for "));
    assert!(waited.unwrap_or_else(|| panic!("{said}")).1.parse::<f64>().unwrap() <= 1.0, "{said}");
    assert_eq!((subject.as_str(), said.lines().count()), ("Add two", 1));
}
