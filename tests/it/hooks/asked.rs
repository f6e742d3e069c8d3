//! Whom a hook asks, and what becomes of the reply: a review that stops a push or does not, a cloud CLI that is started or
//! is not, a message in the style that was asked for. Replies are recorded ones.

use super::{DOWN, NOWHERE, Repo, token};
use crate::bench::{World, manifest, run, tree};
use crate::replay::Server;
use fs_err as fs;
use serde_json::{Value, json};

/// What a reviewer has said of a change.
fn verdict(scenario: &str) -> String {
    let path = manifest().join("fixtures/run").join(scenario).join("cli/claude/1.stdout");
    let recorded: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    recorded["result"].as_str().unwrap().to_string()
}

/// A folder for a server that answers each question with this text, and does not name its model.
fn saying(name: &str, text: &str) -> World {
    let world = World::new(name);
    let event = |delta: &Value, end: &Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": end});
        format!("data: {}\n\n", json!({"id": "c", "object": "chat.completion.chunk", "choices": [choice]}))
    };
    let body = event(&json!({"content": text}), &Value::Null) + &event(&json!({}), &"stop".into()) + "data: [DONE]\n\n";
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n";
    let reply = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    fs::write(world.root.join("every.response.raw"), reply).unwrap();
    world
}

impl Repo {
    /// Sets the model server and these settings of `hooks`.
    pub fn configure(&self, server: &str, hooks: &str) {
        self.world.configure(&format!(
            "providers:\n  local:\n    base_url: \"{server}/v1\"\n    model: m\nhooks:\n  deadline_sec: 30\n{hooks}"
        ));
    }

    /// A claude that answers as it has once, and otherwise tells what it was called with.
    fn install_claude(&self) {
        let data = self.world.root.join("data");
        fs::create_dir_all(&data).unwrap();
        fs::copy(manifest().join("fixtures/cli/claude/mux-answer/stdout"), data.join("1.stdout")).unwrap();
        fs::write(data.join("1.sh"), "pwd >\"$world/where\"; find . >>\"$world/where\"\n").unwrap();
        self.world.install_cli("claude", &data);
    }
}

#[test]
fn only_a_strict_review_that_finds_something_stops_a_push() {
    let bad = saying("hook_strict_bad", &verdict("122_a_review_that_stays_bad_takes_the_change_back"));
    let good = saying("hook_strict_good", &verdict("112_a_review_that_is_content"));
    let servers = [&bad, &good].map(|world| Server::start(&world.root));
    let [bad, good] = [0, 1].map(|n: usize| servers[n].url());
    let repo = Repo::begun("hook_strict", NOWHERE);
    let remote = repo.world.root.join("remote.git");
    repo.git(&["init", "-q", "--bare", remote.to_str().unwrap()]);
    repo.git(&["remote", "add", "origin", remote.to_str().unwrap()]);
    let push = |server: &str, strict: bool, branch: &str, vars: &[(&str, &str)]| {
        repo.configure(server, &format!("  pre_push_review: true\n  pre_push_strict: {strict}\n"));
        let ran = repo.try_git(&["push", "-q", "origin", &format!("main:{branch}")], vars);
        let is_there = !repo.git(&["ls-remote", "origin", branch]).is_empty();
        assert_eq!(ran.exit == 0, is_there, "{}", ran.report());
        (is_there, repo.masked(&ran.stderr))
    };
    let issue = "mux: m on main: price.py: mean([]) raises ZeroDivisionError; it has to return None\n";
    let blocked = "mux: not pushed: `hooks.pre_push_strict` is on; `git push --no-verify` goes on\n";
    let (is_there, said) = push(&bad, true, "one", &[]);
    assert!(!is_there && said.starts_with(&format!("{issue}{blocked}")), "{said}");
    assert_eq!(push(&bad, false, "two", &[]), (true, issue.to_string()));
    repo.git(&["update-ref", "-d", "refs/remotes/origin/two"]);
    // What nobody has reviewed is not blocked, nor where nobody would read the review.
    let (is_there, said) = push(NOWHERE, true, "three", &[]);
    assert!(is_there && said.starts_with("mux: no review of main: ") && said.lines().count() == 1, "{said}");
    repo.git(&["update-ref", "-d", "refs/remotes/origin/three"]);
    assert_eq!(push(&good, true, "four", &[]), (true, String::new()));
    repo.git(&["update-ref", "-d", "refs/remotes/origin/four"]);
    assert_eq!(push(&bad, true, "five", &[("CI", "true")]), (true, String::new()));
    repo.git(&["update-ref", "-d", "refs/remotes/origin/five"]);
    assert_eq!(push(&bad, true, "six", &[("MUX_HOOKS", "0")]), (true, String::new()));
    let deeds = ["local unverified", "local unverified", "none local_down", "local unverified"];
    assert_eq!(repo.deeds(), deeds.map(|deed| format!("pre-push {deed} null")));
    assert_eq!(servers.map(|server| server.end().len()), [2, 1]);
}

#[test]
fn no_cloud_cli_is_started_unless_hooks_may() {
    let repo = Repo::begun("hook_cloud", NOWHERE);
    repo.install_claude();
    let calls = || tree(&repo.world.root.join("calls"));
    let change = |name: &str| {
        repo.write(name, "a = 1\n");
        repo.write(".env.local", format!("NAME={name}\n"));
        repo.git(&["add", "-A", "-f"]);
    };
    let egress = || repo.mux(&["egress", "--json"]);
    repo.configure(NOWHERE, "  pre_commit_review: true\n  pre_push_review: true\n");
    change("one.py");
    let (said, subject) = repo.commit(&[]);
    assert!(said.contains(DOWN) && subject == "Add .env.local and one.py", "{said}{subject}");
    assert!(calls().is_empty() && egress().contains("\"calls\":[]"), "{}", egress());
    // It may: alone, in an empty directory, with the change and nothing else, less what is never sent.
    repo.configure(NOWHERE, "  allow_cloud: true\n  style: plain\n");
    change("two.py");
    let (said, subject) = repo.commit(&[]);
    assert_eq!(
        (said.as_str(), subject.as_str()),
        ("mux: asking claude (local_down)\n", "The answer is 42. (canned reply)")
    );
    let stdin = String::from_utf8(calls()["claude.1.stdin"].clone()).unwrap();
    assert!(stdin.contains("A two.py +1 -0") && stdin.contains("+a = 1"), "{stdin}");
    assert!(!stdin.contains(".env.local") && !stdin.contains("NAME="), "{stdin}");
    let seen = fs::read_to_string(repo.world.root.join("where")).unwrap();
    let (place, files) = seen.split_once('\n').unwrap();
    assert!(!place.starts_with(repo.at.to_str().unwrap()) && files == ".\n", "{seen}");
    let record = repo.records().pop().unwrap();
    assert_eq!((&record["route"], &record["cloud"]["calls"]), (&"claude".into(), &1.into()), "{record}");
    let sent: Value = serde_json::from_str(&egress()).unwrap();
    let call = &sent["calls"][0];
    assert_eq!((&call["step"], &call["scope"], &call["exact"]), (&"hooks".into(), &"prompt".into(), &true.into()));
    assert_eq!((&call["bytes"], &call["files"][0]["path"]), (&stdin.len().into(), &"two.py".into()), "{call}");
    // The gate holds for a hook as for a run.
    repo.configure(NOWHERE, "  allow_cloud: true\nprivacy:\n  local_only: true\n");
    change("three.py");
    let (said, subject) = repo.commit(&[]);
    assert!(said.starts_with("mux: no cloud CLI is asked (local_only)\n"), "{said}");
    assert_eq!(subject, "Update .env.local and three.py");
    repo.configure(NOWHERE, "  allow_cloud: true\n");
    repo.write("four.py", format!("key = '{}'\n", token()));
    repo.git(&["add", "-A"]);
    let mut command = repo.command(env!("CARGO_BIN_EXE_mux"));
    fs::write(repo.at.join(".git/COMMIT_EDITMSG"), "\n").unwrap();
    command.args(["hook", "run", "prepare-commit-msg", ".git/COMMIT_EDITMSG"]);
    let said = repo.masked(&run(command, b"").stderr);
    assert!(
        said.starts_with("mux: no cloud CLI is asked (secret): line ")
            && said.contains("github-token")
            && !said.contains(&token()),
        "{said}"
    );
    assert_eq!(calls().len(), 2, "one call, its arguments and its input");
}

#[test]
fn a_message_has_the_style_that_is_set() {
    let recorded = "Refactor pager.py to use integer division for page calculation";
    assert_eq!(fs::read_to_string(manifest().join("fixtures/hooks/message/subject")).unwrap().trim_end(), recorded);
    let server = saying("hook_style_server", recorded);
    let loopback = Server::start(&server.root);
    let repo = Repo::begun("hook_style", NOWHERE);
    // An older habit, which the last twenty subjects do not share.
    for n in 0..30 {
        let subject = if n < 10 { format!("Old habit {n}") } else { format!("core: say {n}") };
        repo.git(&["commit", "-q", "--no-verify", "--allow-empty", "-m", &subject]);
    }
    let low = recorded.replacen('R', "r", 1);
    let rows = [
        ("conventional", format!("chore: {low}"), "chore: update pager.py"),
        ("plain", recorded.to_string(), "Update pager.py"),
        ("repo", recorded.to_string(), "pager: update pager.py"),
    ];
    for (n, (style, by_model, by_files)) in rows.iter().enumerate() {
        repo.write("pager.py", format!("pages = {n}\n"));
        repo.git(&["add", "-A"]);
        repo.git(&["commit", "-q", "--no-verify", "-m", "core: begin"]);
        for (server, expected) in [(loopback.url().as_str(), by_model.as_str()), (NOWHERE, by_files)] {
            repo.configure(server, &format!("  style: {style}\n"));
            repo.write("pager.py", format!("pages = {n} # {server}\n"));
            repo.git(&["add", "-A"]);
            assert_eq!(repo.commit(&[]).1, expected, "{style}");
            repo.git(&["reset", "-q", "--soft", "HEAD~1"]);
        }
        repo.git(&["commit", "-q", "--no-verify", "-m", "core: end"]);
    }
    let asked = loopback.end();
    let asked: Vec<String> = asked.iter().map(|request| String::from_utf8_lossy(request).into_owned()).collect();
    assert!(asked[0].contains("in the form `type: summary`") && !asked[0].contains("core: "), "{}", asked[0]);
    assert!(!asked[1].contains("in the form") && !asked[1].contains("core: "), "{}", asked[1]);
    assert!(asked[2].contains("in the form `area: summary`"), "{}", asked[2]);
    // Two rows before and its own first commit: 5 new subjects, so those of 15 to 29 are left of the old ones.
    assert_eq!(asked[2].matches("\\n- core: ").count(), 20);
    assert!(asked[2].contains("core: say 15\\n") && !asked[2].contains("core: say 14\\n"), "{}", asked[2]);
}

#[test]
fn a_review_of_a_commit_is_advice_however_strict() {
    let bad = saying("hook_advice_server", &verdict("122_a_review_that_stays_bad_takes_the_change_back"));
    let server = Server::start(&bad.root);
    let repo = Repo::begun("hook_advice", NOWHERE);
    repo.configure(&server.url(), "  pre_commit_review: true\n  pre_push_strict: true\n");
    repo.write("price.py", "def mean(prices):\n    return sum(prices) / len(prices)\n");
    repo.git(&["add", "-A"]);
    let issue = "mux: m on the staged change: price.py: mean([]) raises ZeroDivisionError; it has to return None\n";
    assert_eq!(repo.commit(&["-m", "Add a mean"]), (issue.to_string(), "Add a mean".to_string()));
    // Where nobody reads it, it is not asked for.
    repo.write("price.py", "def mean(prices):\n    return 0\n");
    repo.git(&["add", "-A"]);
    assert_eq!(repo.commit_with(&["-m", "Mend it"], &[("CI", "true")]).0, "");
    assert_eq!(server.end().len(), 1);
    let deeds = ["local verified true", "local unverified null", "local verified true"];
    assert_eq!(repo.deeds(), deeds.map(|deed| format!("pre-commit {deed}")));
}

#[test]
fn a_commit_of_nothing_gets_no_message() {
    let silent = saying("hook_empty_server", "Say something");
    let server = Server::start(&silent.root);
    let repo = Repo::begun("hook_empty", &server.url());
    // Changed, and not staged.
    repo.write("base.txt", "two\n");
    let ran = repo.try_git(&["commit", "--allow-empty"], &[]);
    let said = repo.masked(&ran.stderr);
    assert!(ran.exit == 1 && said == "Aborting commit due to empty commit message.\n", "{}", ran.report());
    assert_eq!((server.end().len(), repo.deeds()), (0, Vec::new()));
}

#[test]
fn what_the_pre_commit_framework_says_of_a_push_is_understood() {
    let bad = saying("hook_variables_server", &verdict("122_a_review_that_stays_bad_takes_the_change_back"));
    let server = Server::start(&bad.root);
    let repo = Repo::begun("hook_variables", NOWHERE);
    repo.configure(&server.url(), "  pre_push_review: true\n");
    repo.write("price.py", "def mean(prices):\n    return sum(prices) / len(prices)\n");
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-q", "--no-verify", "-m", "Add a mean"]);
    let ids = ["HEAD", "HEAD~1"].map(|name| repo.git(&["rev-parse", name]));
    let push = |ends: &[(&str, &str)]| {
        let mut command = repo.command(env!("CARGO_BIN_EXE_mux"));
        command.args(["hook", "run", "pre-push"]).envs(ends.iter().copied());
        for name in ["LOCAL", "REMOTE"] {
            command.env(format!("PRE_COMMIT_{name}_BRANCH"), "refs/heads/main");
        }
        command.env("PRE_COMMIT_REMOTE_NAME", "origin");
        let ran = run(command, b"");
        assert_eq!(ran.exit, 0, "{}", ran.report());
        repo.masked(&ran.stderr)
    };
    let issue = "mux: m on main: price.py: mean([]) raises ZeroDivisionError; it has to return None\n";
    assert_eq!(push(&[("PRE_COMMIT_TO_REF", &ids[0]), ("PRE_COMMIT_FROM_REF", &ids[1])]), issue);
    // It names no commits where the other side has nothing of the history.
    assert_eq!(push(&[]), issue);
    let asked: Vec<String> = server.end().iter().map(|body| String::from_utf8_lossy(body).into_owned()).collect();
    assert!(asked[0].contains("A price.py") && !asked[0].contains("base.txt"), "{}", asked[0]);
    assert!(asked[1].contains("A price.py") && asked[1].contains("A base.txt"), "{}", asked[1]);
}
