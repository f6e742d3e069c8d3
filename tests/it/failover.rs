//! What a run does when a provider fails: who is asked next, who is left alone and for how long, what a forced route
//! comes to. Each failure is one that a real CLI printed (`fixtures/cli`), played by `tests/fake_cli.sh`.

use crate::bench::{Ran, World, copy_tree, manifest, run, tree};
use crate::replay::Server;
use crate::signals::{is_gone, until};
use fs_err as fs;
use serde_json::Value;
use std::path::Path;

const DOWN: &str = "local_runtime:\n  health_retries: 0\nproviders:\n  local:\n    base_url: \"http://127.0.0.1:1/v1\"\n    \
                    auto_detect: false\n";

/// How a recorded failure ends: the case, its class in the ledger, and whether the provider is then left alone. Time may
/// heal a login, a quota or a missing model; a server, a cut stream or a bad reply says nothing of the next call.
const FAILURES: &[(&str, &str, bool)] = &[
    ("claude/401", "auth", true),
    ("claude/404", "model_missing", true),
    ("claude/429", "rate_limited", true),
    ("claude/mux-advice-usage-limit", "quota", true),
    ("claude/500", "server", false),
    ("claude/empty", "empty", false),
    ("claude/hang-apitimeout5s", "timeout", false),
    ("claude/sigterm-midway", "killed", false),
    ("codex/403", "auth", true),
    ("codex/usage-limit", "quota", true),
    ("codex/truncated", "network", false),
    ("codex/empty", "empty", false),
    ("gemini/400-too-long", "context_too_long", false),
    ("gemini/404-explicit-model", "model_missing", true),
    ("gemini/429-maxattempts1", "rate_limited", true),
    ("gemini/malformed", "malformed", false),
    ("gemini/max-session-turns-1", "denied", false),
    ("gemini/usage-limit-maxattempts1", "quota", true),
];

/// Lets the Nth call of a CLI end as a recorded case did. Codex is first asked for its MCP servers, and has none.
fn play(world: &World, cli: &str, cases: &[&str]) {
    let data = world.root.join("data").join(cli);
    fs::create_dir_all(&data).unwrap();
    for (n, case) in cases.iter().enumerate() {
        let call = if cli == "codex" { 2 * n + 2 } else { n + 1 };
        if cli == "codex" {
            fs::write(data.join(format!("{}.stdout", call - 1)), "[]\n").unwrap();
        }
        let folder = manifest().join("fixtures/cli").join(case);
        for part in ["stdout", "stderr"].into_iter().filter(|part| folder.join(part).exists()) {
            fs::copy(folder.join(part), data.join(format!("{call}.{part}"))).unwrap();
        }
        let exit = fs::read_to_string(folder.join("exit")).unwrap();
        fs::write(data.join(format!("{call}.exit")), exit.strip_prefix("code ").unwrap()).unwrap();
    }
    world.install_cli(cli, &data);
}

fn mux(world: &World, args: &[&str]) -> Ran {
    let mut command = world.mux();
    command.args(args);
    run(command, b"")
}

/// The last line of the ledger.
fn record(world: &World) -> Value {
    let text = fs::read_to_string(world.root.join("state/mux/run_ledger.jsonl")).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

/// `ROUTE CLASS` of each attempt, `ok` for one that did not fail.
fn attempts(record: &Value) -> Vec<String> {
    let attempts = record["attempts"].as_array().unwrap().iter();
    let class = |attempt: &Value| attempt["failure"]["class"].as_str().unwrap_or("ok").to_string();
    attempts.map(|attempt| format!("{} {}", attempt["route"].as_str().unwrap(), class(attempt))).collect()
}

/// The provider that is tried next, and a recorded answer of it.
fn next(cli: &str) -> (&'static str, &'static str) {
    if cli == "claude" { ("codex", "codex/success-readonly-json") } else { ("claude", "claude/success-readonly-json") }
}

#[test]
fn a_failure_goes_to_the_next_provider_and_some_are_left_alone() {
    for (case, class, is_left_alone) in FAILURES {
        let cli = case.split('/').next().unwrap();
        let (next, answer) = next(cli);
        let world = World::new("failover");
        play(&world, cli, &[case, case]);
        play(&world, next, &[answer, answer]);
        world.configure(&format!("{DOWN}  sota_cli:\n    preferred_order: [{cli}, {next}]\n"));
        let task = ["run", "--answer", "What is a monad?"];
        let ran = mux(&world, &task);
        let told = record(&world);
        let (failed, answered) = (format!("{cli} {class}"), format!("{next} ok"));
        assert_eq!(
            (ran.exit, attempts(&told)),
            (0, vec![failed.clone(), answered.clone()]),
            "{case}\n{}",
            ran.report()
        );
        assert_eq!((&told["route"], &told["reason"]), (&next.into(), &"local_down".into()), "{case}");
        // What is said of it, with the time; then the same task again.
        let status = String::from_utf8(mux(&world, &["status"]).stdout).unwrap();
        let line = status.lines().find(|line| line.starts_with(&format!("provider: {cli} "))).unwrap().to_string();
        assert_eq!(line.contains("; left alone until 20"), *is_left_alone, "{case}: {line}");
        assert_eq!(line.contains(&format!("({class})")), *is_left_alone, "{case}: {line}");
        let ran = mux(&world, &task);
        let again = if *is_left_alone { vec![answered] } else { vec![failed, answered] };
        assert_eq!(attempts(&record(&world)), again, "{case}\n{}", ran.report());
    }
}

#[test]
fn a_forced_route_that_fails_falls_nowhere_else() {
    for (case, class, _) in FAILURES {
        let cli = case.split('/').next().unwrap();
        let world = World::new("forced");
        play(&world, cli, &[case]);
        play(&world, next(cli).0, &[]);
        world.configure(DOWN);
        let ran = mux(&world, &["run", "--route", cli, "--answer", "What is a monad?"]);
        let told = record(&world);
        assert_eq!((ran.exit, attempts(&told)), (1, vec![format!("{cli} {class}")]), "{case}\n{}", ran.report());
        assert_eq!((&told["route"], &told["reason"]), (&"none".into(), &"requested".into()), "{case}");
        let calls = tree(&world.root.join("calls"));
        assert!(calls.keys().all(|call| call.starts_with(cli)), "{case}: {:?}", calls.keys());
    }
}

/// An error of one service is no business of another: it may name a key or an account, and it helps nobody.
#[test]
fn what_one_provider_failed_of_is_not_told_to_the_next() {
    let folder = manifest().join("fixtures/run/100_a_red_change_is_finished_with_advice");
    let world = World::new("advice_next");
    copy_tree(&folder.join("input"), &world.work);
    let server = Server::start(&folder.join("http"));
    world.configure(&fs::read_to_string(folder.join("mux.yaml")).unwrap().replace("{{local}}", &server.url()));
    play(&world, "claude", &["claude/401"]);
    play(&world, "codex", &["codex/success-readonly-json"]);
    let ran = mux(&world, &["run", "--verify", "python3 check.py", "Add a function mean(prices) to price.py."]);
    server.end();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(said.contains("Invalid API key") && said.contains("codex (advice): verify_failed"), "{}", ran.report());
    let told = |call: &str| fs::read_to_string(world.root.join("calls").join(call)).unwrap();
    assert_eq!(told("claude.1.stdin"), told("codex.2.stdin"), "both are told the same");
}

/// The provider ignores TERM, and so does what it has started. What it was changing is taken back.
#[test]
fn a_provider_that_never_ends_is_ended_at_its_deadline() {
    let stubborn = "trap '' TERM INT HUP\nsetsid sleep 300 & two=$!\necho half >price.py\necho $$ $two >\"$world/pids\"\n\
                    while :; do sleep 1; done\n";
    for (key, kind) in [("advisory_timeout_sec", "--answer"), ("executor_timeout_sec", "--change")] {
        let world = World::new("deadline");
        fs::write(world.work.join("price.py"), "whole\n").unwrap();
        let data = world.root.join("data/claude");
        fs::create_dir_all(&data).unwrap();
        let script = if kind == "--answer" { stubborn.replace("echo half >price.py\n", "") } else { stubborn.into() };
        fs::write(data.join("1.sh"), script).unwrap();
        world.install_cli("claude", &data);
        world.configure(&format!("{DOWN}  sota_cli:\n    {key}: 1\n"));
        let ran = mux(&world, &["run", kind, "--route", "claude", "Rename the function in price.py."]);
        assert_eq!((ran.exit, attempts(&record(&world))), (1, vec!["claude timeout".into()]), "{}", ran.report());
        for pid in fs::read_to_string(world.root.join("pids")).unwrap().split_whitespace() {
            until(&format!("process {pid} of the provider is gone"), || is_gone(&world, pid));
        }
        assert_eq!(fs::read_to_string(world.work.join("price.py")).unwrap(), "whole\n", "{}", ran.report());
        let egress = fs::read_to_string(world.root.join("state/mux/egress.jsonl")).unwrap();
        assert!(egress.contains("\"outcome\":\"timeout\""), "{egress}");
    }
}

/// A world in which the local model changes `price.py`, nothing checks that, and a word of the task sends it to advice.
fn unchecked(name: &str, replies: &[&Path]) -> (World, Server) {
    let folder = manifest().join("fixtures/run/125_a_change_that_nothing_checks_outlives_useless_advice");
    let world = World::new(name);
    copy_tree(&folder.join("input"), &world.work);
    let http = world.root.join("http");
    fs::create_dir(&http).unwrap();
    for (n, reply) in (1..).zip(replies) {
        fs::copy(reply, http.join(format!("{n}.response.sse"))).unwrap();
    }
    let server = Server::start(&http);
    let yaml = fs::read_to_string(folder.join("mux.yaml")).unwrap();
    let attempts = format!("attempts: {}", replies.len());
    world.configure(&yaml.replace("{{local}}", &server.url()).replace("attempts: 1", &attempts));
    (world, server)
}

#[test]
fn advice_in_words_is_done_by_the_local_model() {
    let replies = manifest().join("fixtures/run/121_a_review_that_finds_a_mistake_gets_one_fix/http");
    let (first, second) = (replies.join("1.response.sse"), replies.join("2.response.sse"));
    let (world, server) = unchecked("advice_in_words", &[&first, &second]);
    play(&world, "claude", &["claude/success-readonly-json"]);
    let ran = mux(&world, &["run", "--no-verify", "Add a function mean(prices) to price.py."]);
    let told = record(&world);
    assert_eq!((ran.exit, &told["route"]), (0, &"local".into()), "{}", ran.report());
    let tried: Vec<&Value> = told["attempts"].as_array().unwrap().iter().map(|attempt| &attempt["route"]).collect();
    assert_eq!(tried, ["local", "claude", "local"], "{}", ran.report());
    assert!(
        fs::read_to_string(world.work.join("price.py")).unwrap().contains("if not prices"),
        "the second reply stands"
    );
    let asked = server.end();
    let said = "The answer is 42. (canned reply)";
    let holds = |request: &[u8]| String::from_utf8_lossy(request).contains(said);
    assert_eq!(asked.iter().map(|request| holds(request)).collect::<Vec<_>>(), [false, true]);
}

/// Advice is paid for: a reply to it that cannot be used is asked for again while a try is left, with the advice.
#[test]
fn advice_outlives_a_reply_that_cannot_be_used() {
    let replies = |folder: &str| manifest().join("fixtures/run").join(folder).join("http");
    let changes = replies("121_a_review_that_finds_a_mistake_gets_one_fix");
    let (first, second) = (changes.join("1.response.sse"), changes.join("2.response.sse"));
    let none = replies("017_a_reply_without_files_is_repaired_once").join("1.response.sse");
    for (last, stands) in [(&second, "if not prices"), (&none, "def mean(prices)")] {
        let (world, server) = unchecked("advice_again", &[&first, &none, last]);
        play(&world, "claude", &["claude/success-readonly-json"]);
        let ran = mux(&world, &["run", "--no-verify", "Add a function mean(prices) to price.py."]);
        assert_eq!(ran.exit, 0, "{}", ran.report());
        let told = record(&world);
        let tried: Vec<&Value> = told["attempts"].as_array().unwrap().iter().map(|attempt| &attempt["route"]).collect();
        assert_eq!(tried, ["local", "claude", "local", "local"], "{}", ran.report());
        // Where nothing came of the advice, the change that gave way to it stands again.
        let written = fs::read_to_string(world.work.join("price.py")).unwrap();
        assert!(written.contains(stands) && written.contains("if not prices") == (last == &second), "{written}");
        let asked: Vec<Value> = server.end().iter().map(|body| serde_json::from_slice(body).unwrap()).collect();
        let prompt = |n: usize| asked[n]["messages"][1]["content"].as_str().unwrap();
        let said = "The answer is 42. (canned reply)";
        assert_eq!([0, 1, 2].map(|n| prompt(n).contains(said)), [false, true, true], "{}", prompt(2));
        assert!(prompt(2).contains("could not be used: There is no fenced block"), "{}", prompt(2));
        let warmth = [0, 1, 2].map(|n| &asked[n]["temperature"]);
        assert_eq!(warmth[0], warmth[1], "advice is to be done, not to be varied, at first");
        assert!(warmth[1].as_f64() < warmth[2].as_f64(), "{warmth:?}");
    }
    // Nor does it matter that an earlier reply had its repair.
    let (world, server) = unchecked("advice_repaired", &[&none, &none, &none, &second]);
    play(&world, "claude", &["claude/success-readonly-json"]);
    let ran = mux(&world, &["run", "--no-verify", "Add a function mean(prices) to price.py."]);
    let told = record(&world);
    let tried: Vec<&Value> = told["attempts"].as_array().unwrap().iter().map(|attempt| &attempt["route"]).collect();
    assert_eq!(tried, ["local", "local", "claude", "local", "local"], "{}", ran.report());
    assert!(fs::read_to_string(world.work.join("price.py")).unwrap().contains("if not prices"), "{}", ran.report());
    assert_eq!(server.end().len(), 4);
}

/// Leaving out what mux has found helps no try that is not made: then the reason is the window, and a provider is asked.
#[test]
fn what_does_not_fit_into_the_last_try_is_told_as_that() {
    let folder = manifest().join("fixtures/run/061_what_mux_found_is_left_out_before_giving_up");
    for has_provider in [false, true] {
        let world = World::new("overflow");
        copy_tree(&folder.join("input"), &world.work);
        let server = Server::start(&folder.join("http"));
        let local =
            format!("providers:\n  local:\n    base_url: \"{}/v1\"\n    model: qwen-coder-1.5b\n", server.url());
        world.configure(&format!("{local}local_executor:\n  max_attempts: 1\n"));
        if has_provider {
            play(&world, "claude", &["claude/500"]);
        }
        let ran = mux(&world, &["run", "--verify", "grep -q Hello hello.py", "Create hello.py. It prints Hello."]);
        let told = record(&world);
        assert_eq!((ran.exit, &told["reason"]), (1, &"context_overflow".into()), "{}", ran.report());
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(said.contains("claude (advice): context_overflow"), has_provider, "{}", ran.report());
        assert!(!said.contains("is not shown to the model"), "{}", ran.report());
        assert_eq!(server.end().len(), 1);
    }
}

/// A suite of five tasks: who is asked how often, and what is said of the rest.
#[test]
fn a_suite_does_not_go_on_with_a_provider_that_answers_nothing() {
    let answer = "claude/success-readonly-json";
    for (cases, n_asked, left, why) in [
        (&["claude/401"; 5][..], 1, 5, "auth: "),
        (&["claude/429"; 5], 1, 5, "rate_limited: "),
        (&["claude/404"; 5], 1, 5, "model_missing: "),
        (&["claude/500"; 5], 2, 3, "claude gave no answer 2 times in a row: server: "),
        (&["claude/empty"; 5], 2, 3, "claude gave no answer 2 times in a row: empty"),
        (
            &["claude/500", answer, "claude/500", "claude/empty", answer],
            4,
            1,
            "claude gave no answer 2 times in a row: ",
        ),
    ] {
        let world = World::new("suite");
        play(&world, "claude", cases);
        world.configure(DOWN);
        let ran = mux(&world, &["bench", "--quick", "--provider", "claude", "--yes"]);
        let said = String::from_utf8_lossy(&ran.stderr);
        let end = said.lines().find(|line| line.starts_with("mux: the suite ended early: ")).unwrap_or_default();
        assert!(end.contains(&format!("early: {why}")), "{cases:?}\n{}", ran.report());
        assert!(end.ends_with(&format!("; {left} of 5 tasks were not run")), "{cases:?}\n{}", ran.report());
        let asked = fs::read_dir(world.root.join("calls")).unwrap().count() / 2;
        assert_eq!((ran.exit, asked), (1, n_asked), "{cases:?}\n{}", ran.report());
    }
}

/// A model server that is up and fails at each question; then one that has gone away.
#[test]
fn a_suite_does_not_go_on_with_a_server_that_answers_nothing() {
    let world = World::new("suite-local");
    let http = world.root.join("http");
    fs::create_dir(&http).unwrap();
    let server = Server::start(&http);
    world.configure(&format!(
        "providers: {{local: {{base_url: \"{}/v1\", model: m, auto_detect: false}}}}\nlocal_runtime: {{health_retries: 0}}\n",
        server.url()
    ));
    let bench = || {
        let ran = mux(&world, &["bench", "--quick"]);
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        let end = said.lines().find(|line| line.starts_with("mux: the suite ended early: ")).map(str::to_string);
        (ran.exit, end.unwrap_or_else(|| ran.report()))
    };
    let (exit, end) = bench();
    assert_eq!(exit, 1, "{end}");
    assert!(
        end.contains("early: the model server gave no answer 2 times in a row: the server answered 500: "),
        "{end}"
    );
    assert!(end.ends_with("; 3 of 5 tasks were not run"), "{end}");
    // Each question three times.
    assert_eq!(server.end().len(), 6);
    let (exit, end) = bench();
    assert!(exit == 1 && end.contains("early: local_down: ") && end.ends_with("; 5 of 5 tasks were not run"), "{end}");
}
