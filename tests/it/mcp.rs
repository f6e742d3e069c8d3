//! `mux mcp`, driven by a client over real pipes: both eras, long calls, everything that can end a call or the server.

use crate::bench::{World, manifest, tree, wait};
use crate::client::{Client, unread};
use crate::replay::Server;
use crate::signals::{is_gone, until};
use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

const TASK: &str = "Create hello.py. It prints `Hello, world!` and nothing else.";
/// mux promises two seconds; a busy machine gets more.
const LATE: Duration = Duration::from_secs(20);

/// A world with a project and a server that plays the recorded `hello.py` as often as `plays` says how.
fn world(name: &str, plays: &[&str]) -> (World, Server) {
    let world = World::new(name);
    fs::write(world.work.join("old.txt"), "old\n").unwrap();
    let http = world.root.join("http");
    fs::create_dir(&http).unwrap();
    let reply = manifest().join("fixtures/run/004_change_is_proved/http/1.response.sse");
    for (n, play) in (1..).zip(plays) {
        fs::copy(&reply, http.join(format!("{n}.response.sse"))).unwrap();
        fs::write(http.join(format!("{n}.play")), play).unwrap();
    }
    let server = Server::start(&http);
    let base = format!("providers:\n  local:\n    base_url: \"{}/v1\"\n    model: qwen-coder-1.5b\n", server.url());
    world.configure(&base);
    (world, server)
}

/// A payload for [`TASK`] whose proof notes its processes, then waits until it may end.
fn held(world: &World) -> (Value, PathBuf, PathBuf) {
    let (pids, go) = (world.root.join("pids"), world.root.join("go"));
    let script = format!(
        "sleep 300 & echo $$ $! > {0}.part; mv {0}.part {0}; while ! test -e {1}; do sleep 0.02; done; kill $!",
        pids.display(),
        go.display()
    );
    let payload = json!({"task": TASK, "verify": [["sh", "-c", script]]});
    (json!({"payload_json": payload.to_string()}), pids, go)
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap()
}

/// Returns the structured content of a success, after comparing it with the text.
#[track_caller]
fn done(result: &Value) -> Value {
    assert_eq!(result["isError"], false, "{result}");
    assert_eq!(serde_json::from_str::<Value>(text(result)).unwrap(), result["structuredContent"]);
    result["structuredContent"].clone()
}

/// Returns the text of a failure, which is all there is.
#[track_caller]
fn failed(result: &Value) -> String {
    assert_eq!((&result["isError"], result.get("structuredContent")), (&json!(true), None), "{result}");
    assert!(text(result).starts_with("ERROR: "), "{result}");
    text(result).to_string()
}

fn ledger(world: &World) -> Vec<Value> {
    let text = fs::read_to_string(world.root.join("state/mux/run_ledger.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The run was taken back: tree, children and record.
#[track_caller]
fn is_canceled(world: &World, pids: &PathBuf) {
    for pid in fs::read_to_string(pids).unwrap().split_whitespace() {
        until(&format!("process {pid} of the verification is gone"), || is_gone(world, pid));
    }
    until("the run is recorded", || !ledger(world).is_empty());
    let records = ledger(world);
    assert_eq!((records.len(), &records[0]["source"], &records[0]["refused"]), (1, &json!("mcp"), &json!("canceled")));
    assert_eq!(tree(&world.work).into_iter().collect::<Vec<_>>(), [("old.txt".to_string(), b"old\n".to_vec())]);
}

fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
    })
}

#[test]
fn a_handshake_of_every_revision_is_answered_and_starting_writes_nothing() {
    let asked = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28", "1999-01-01"];
    let world = World::new("hello");
    for version in asked {
        let mut client = Client::start(&world, &[]);
        let hello =
            json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let answer = client.ask("a", "initialize", hello)["result"].take();
        let expected = if asked[..4].contains(&version) { version } else { "2025-11-25" };
        assert_eq!(answer["protocolVersion"], expected);
        assert_eq!((&answer["capabilities"], &answer["serverInfo"]["name"]), (&json!({"tools": {}}), &json!("mux")));
        assert!(answer["instructions"].as_str().unwrap().contains("run_id"));
        let tools = client.ask(1, "tools/list", json!({}))["result"]["tools"].take();
        let names: Vec<&str> = tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["mux", "mux_json", "mux_doctor", "mux_health"]);
        assert_eq!(client.close().len(), 2);
    }
    assert!(tree(&world.root.join("state")).keys().eq([".empty"].iter().filter(|_| false)), "nothing is made");
}

/// A server that is down, also where a developer has one running.
const NOBODY: &str = "providers:\n  local:\n    base_url: \"http://127.0.0.1:1/v1\"\n    auto_detect: false\n";

#[test]
fn both_eras_are_spoken_on_one_wire_at_any_time() {
    let world = World::new("eras");
    world.configure(NOBODY);
    let mut client = Client::start(&world, &[]);
    let early = client.ask(1, "tools/list", json!({}));
    assert_eq!(early["error"]["code"], -32600, "{early}");
    assert_eq!(client.ask(2, "ping", json!({}))["result"], json!({}));
    let found = client.ask("probe", "server/discover", json!({"_meta": meta()}))["result"].take();
    assert_eq!((&found["supportedVersions"][0], &found["resultType"]), (&json!("2026-07-28"), &json!("complete")));
    assert!(found["ttlMs"].is_u64() && found["cacheScope"] == "public");
    let call = json!({"name": "mux_health", "arguments": {}, "_meta": meta()});
    let health = client.ask(3, "tools/call", call)["result"].take();
    assert_eq!(health["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "mux");
    assert_eq!((done(&health)["up"].clone(), &health["resultType"]), (json!(false), &json!("complete")));
    let mut other = meta();
    other["io.modelcontextprotocol/protocolVersion"] = json!("1900-01-01");
    let refused = client.ask(4, "tools/list", json!({"_meta": other}))["error"].take();
    assert_eq!((&refused["code"], &refused["data"]["requested"]), (&json!(-32022), &json!("1900-01-01")));
    assert_eq!(client.ask(5, "ping", json!({"_meta": meta()}))["error"]["code"], -32601);
    client.request(6, "subscriptions/listen", json!({"_meta": meta(), "notifications": {}}));
    let taken = client.until("the subscription", |message| message.get("method").is_some());
    assert_eq!(taken["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 6);
    client.greet("t", json!({}));
    let list = client.ask(7, "tools/list", json!({}))["result"].take();
    assert!(list["tools"].as_array().unwrap().len() == 4 && list.get("ttlMs").is_none());
    client.close();
}

#[test]
fn nothing_that_is_said_can_silence_or_end_the_server() {
    let world = World::new("odd");
    let mut client = Client::greeted(&world, &[], "t");
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":5,"method":"ping","params":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let odd: [(&[u8], i32); 8] = [
        (b"hello, is anybody there?", -32700),
        (b"\xff\xfe\x00", -32700),
        (b"null", -32600),
        (b"[]", -32600),
        (br#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
        (br#"{"jsonrpc":"2.0","id":5,"method":"no/such"}"#, -32601),
        (br#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"none"}}"#, -32602),
        (deep.as_bytes(), -32602),
    ];
    for (line, code) in odd {
        client.send(&[line, b"\r\n"].concat());
        let answer = client.until("an error", |message| message.get("error").is_some());
        assert_eq!(answer["error"]["code"], code, "{}", String::from_utf8_lossy(&line[..line.len().min(80)]));
    }
    let before = client.seen.len();
    for note in
        ["notifications/cancelled", "notifications/unknown", "ping", "tools/call", "notifications/roots/list_changed"]
    {
        client.tell(note, json!({"requestId": {"x": 1}, "name": "mux_health"}));
    }
    client.send(b"\n  \n{\"jsonrpc\":\"2.0\",\"id\":\"stray\",\"result\":{}}\n");
    // What a client says that could not read a line: an error about it would come back as another one, for ever.
    client.send(b"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"?\"}}\n");
    assert_eq!(client.ask("last", "ping", json!({}))["result"], json!({}));
    assert_eq!(client.seen.len(), before + 1, "notifications are never answered: {:#?}", client.seen);
    client.close();
}

#[test]
fn a_change_is_done_proved_and_told_in_full() {
    // Longer than two beats of progress, however fast the machine is.
    let (world, server) = world("change", &["send 3000\nwait 5000\nsend\n"]);
    let mut client = Client::greeted(&world, &[], "claude-code");
    // A child that reads its input and prints more than any pipe holds: nothing of it may reach the protocol.
    let loud = "cat; dd if=/dev/zero bs=1024 count=1024 2>/dev/null | tr '\\0' x; echo noise >&2; python3 hello.py";
    let payload = json!({"task": TASK, "verify": [["sh", "-c", loud]], "kind": "change"});
    let result = done(&client.call("c", "mux_json", json!({"payload_json": payload.to_string()})));
    assert_eq!(
        (&result["status"], &result["route"], &result["reason"]),
        (&json!("done"), &json!("local"), &json!("verified"))
    );
    assert!(result["verify"].as_str().unwrap().starts_with("passed (sh -c"), "{result}");
    assert_eq!(result["files"], json!(["create hello.py (23 bytes)"]));
    assert_eq!(fs::read_to_string(world.work.join("hello.py")).unwrap(), "print(\"Hello, world!\")\n");
    let progress: Vec<&Value> =
        client.seen.iter().filter(|message| message["method"] == "notifications/progress").collect();
    let numbers: Vec<u64> = progress.iter().map(|message| message["params"]["progress"].as_u64().unwrap()).collect();
    assert!(numbers.len() >= 2 && numbers.is_sorted_by(|one, two| one < two), "{numbers:?}");
    assert!(progress.iter().all(|message| message["params"]["progressToken"] == "c"));
    assert!(progress.iter().any(|message| message["params"]["message"].as_str().unwrap().contains("tokens/s")));
    let records = ledger(&world);
    assert_eq!((records.len(), &records[0]["run_id"], &records[0]["source"]), (1, &result["run_id"], &json!("mcp")));
    client.close();
    server.end();
}

#[test]
fn what_is_not_done_is_an_error_that_says_why() {
    let world = World::new("down");
    world.configure("providers:\n  local:\n    base_url: \"http://127.0.0.1:9/v1\"\n    model: m\n");
    let mut client = Client::greeted(&world, &[], "t");
    let said = failed(&client.call(1, "mux", json!({"task": TASK})));
    assert!(said.contains("\nreason: local_down\n") && said.contains("run_id: "), "{said}");
    let said = failed(&client.call(2, "mux", json!({"task": TASK, "file": "x"})));
    assert_eq!(said, "ERROR: unknown argument `file`; valid: task, workdir");
    let said = failed(&client.call(3, "mux_json", json!({"payload_json": "{\"tesk\":\"x\"}"})));
    assert!(said.contains("did you mean `task`?"), "{said}");
    let said = failed(&client.call(4, "mux_health", json!({"x": 1})));
    assert!(said.contains("unknown argument `x`"), "{said}");
    let said =
        failed(&client.call(5, "mux_json", json!({"payload_json": "{\"run_id\":\"01KAP5V0XQ3T000000000000AA\"}"})));
    assert!(said.contains("unknown run id"), "{said}");
    let said = failed(&client.call(7, "mux", json!({"task": TASK, "workdir": "/"})));
    assert!(said.ends_with("hint: give a project's directory with `workdir`"), "{said}");
    let asks = json!({"task": "What?", "files": ["/etc/passwd"], "verify": "a && b"}).to_string();
    let said = failed(&client.call(8, "mux_json", json!({"payload_json": asks})));
    assert!(said.contains("`files`: `/etc/passwd` is outside") && !said.contains("--"), "{said}");
    let checks = done(&client.call(6, "mux_doctor", json!({})));
    assert!(checks["usable"] == false && checks["checks"].as_array().unwrap().len() > 4, "{checks}");
    client.close();
}

/// The environment of some clients has next to nothing in it.
#[test]
fn an_empty_environment_is_reported_and_ends_nothing() {
    let world = World::new("bare");
    let mut mux = world.mux();
    let mut client = Client::of(mux.env_clear(), &[]);
    client.greet("t", json!({}));
    assert!(failed(&client.call(1, "mux_health", json!({}))).contains("HOME"));
    assert_eq!(client.ask(2, "ping", json!({}))["result"], json!({}));
    client.close();
}

#[test]
fn a_long_call_is_answered_early_and_its_result_waited_for_and_kept() {
    let (world, server) = world("long", &[""]);
    let (payload, pids, go) = held(&world);
    let mut client = Client::greeted(&world, &["--budget", "1"], "t");
    let early = done(&client.call(1, "mux_json", payload));
    let run_id = early["run_id"].as_str().unwrap().to_string();
    assert_eq!(early["status"], "running");
    assert!(early["output"].as_str().unwrap().contains(&format!("{{\"run_id\":\"{run_id}\"}}")), "{early}");
    until("the verification runs", || pids.exists());
    let again = json!({"payload_json": json!({"run_id": run_id}).to_string()});
    assert_eq!(done(&client.call(2, "mux_json", again.clone()))["status"], "running", "it waits again, and goes on");
    // A ping, a list and a look overtake it.
    client.begin(3, "mux_json", again.clone());
    assert_eq!(client.ask(4, "ping", json!({}))["result"], json!({}));
    done(&client.call(5, "mux_health", json!({})));
    fs::write(&go, "").unwrap();
    let mut result = done(&client.answer(3)["result"].take());
    if result["status"] == "running" {
        until("the run is recorded", || !ledger(&world).is_empty());
        result = done(&client.call(6, "mux_json", again.clone()));
    }
    assert_eq!((&result["status"], &result["run_id"]), (&json!("done"), &json!(run_id)));
    client.close();
    // Another server, later.
    let mut client = Client::greeted(&world, &[], "t");
    assert_eq!(done(&client.call(1, "mux_json", again)), result);
    let beginning = json!({"payload_json": json!({"run_id": run_id[..20].to_lowercase()}).to_string()});
    assert_eq!(done(&client.call(2, "mux_json", beginning)), result);
    client.close();
    assert_eq!(ledger(&world).len(), 1, "the task was done once");
    server.end();
}

#[test]
fn a_cancelled_call_is_taken_back_and_never_answered() {
    let (world, server) = world("cancel", &[""]);
    let (payload, pids, _) = held(&world);
    let mut client = Client::greeted(&world, &[], "t");
    client.begin(7, "mux_json", payload.clone());
    until("the verification runs", || pids.exists());
    assert!(world.work.join("hello.py").exists());
    assert_eq!(client.ask(7, "tools/call", json!({"name": "mux", "arguments": payload}))["error"]["code"], -32600);
    client.tell("notifications/cancelled", json!({"requestId": "7"}));
    done(&client.call(8, "mux_health", json!({})));
    assert!(world.work.join("hello.py").exists(), "\"7\" is not 7");
    client.tell("notifications/cancelled", json!({"requestId": 7, "reason": "test"}));
    assert_eq!(client.ask(9, "ping", json!({}))["result"], json!({}));
    let before = client.seen.len();
    is_canceled(&world, &pids);
    client.tell("notifications/cancelled", json!({"requestId": 7}));
    done(&client.call(10, "mux_health", json!({})));
    let late = client.close().split_off(before);
    let is_of_7 = |message: &Value| message["id"] == 7 || message["params"]["progressToken"] == 7;
    assert!(!late.iter().any(is_of_7), "{late:#?}");
    server.end();
}

#[test]
fn the_end_of_the_client_and_every_signal_end_all_and_well() {
    for signal in [None, Some(Signal::TERM), Some(Signal::INT), Some(Signal::HUP)] {
        let (world, server) = world("end", &[""]);
        let (payload, pids, _) = held(&world);
        let mut client = Client::greeted(&world, &[], "t");
        client.begin(1, "mux_json", payload);
        until("the verification runs", || pids.exists());
        match signal {
            None => client.hang_up(),
            Some(signal) => kill_process(Pid::from_child(&client.child), signal).unwrap(),
        }
        let end = client.ended();
        assert_eq!((end.exit, end.stderr.as_str()), (0, ""), "{signal:?}");
        assert!(end.took < LATE, "{signal:?}: {:?}", end.took);
        assert!(!end.seen.iter().any(|message| message["id"] == 1), "{:#?}", end.seen);
        is_canceled(&world, &pids);
        server.end();
    }
}

#[test]
fn a_client_that_closes_its_reading_end_is_gone() {
    let (world, server) = world("deaf", &[""]);
    let (payload, pids, _) = held(&world);
    let (mut child, mut input, output) = unread(&world);
    let hello =
        json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let call = json!({"name": "mux_json", "arguments": payload, "_meta": {"progressToken": 1}});
    for (id, method, params) in [(0, "initialize", hello), (1, "tools/call", call)] {
        let line = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        input.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
    until("the verification runs", || pids.exists());
    drop(output);
    // Its input stays open: only what cannot be written tells. Progress comes every two seconds.
    assert_eq!(wait(&mut child).0, 0);
    is_canceled(&world, &pids);
    drop(input);
    server.end();
}

#[test]
fn a_client_that_does_not_read_can_still_end_the_server() {
    let world = World::new("full");
    let (mut child, mut input, mut output) = unread(&world);
    let hello = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    // Some megabytes of answers, far more than the pipe holds, and each question is taken.
    input.write_all(format!("{hello}\n{}", format!("{list}\n").repeat(500)).as_bytes()).unwrap();
    let mut first = [0; 20];
    output.read_exact(&mut first).unwrap();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(wait(&mut child).0, 0);
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).unwrap();
    assert!(!rest.is_empty());
}

/// A program that the client has started may hold the other end of the server's input, and outlive the client.
#[test]
fn a_server_that_nobody_reads_ends_although_its_input_does_not() {
    let world = World::new("unheard");
    let (mut child, input, output) = unread(&world);
    drop(output);
    assert_eq!(wait(&mut child), (0, true));
    drop(input);
}

#[test]
fn what_was_asked_before_the_end_of_the_input_is_answered() {
    let world = World::new("piped");
    let mut client = Client::start(&world, &[]);
    client.request(1, "initialize", json!({"protocolVersion": "2025-06-18"}));
    client.request(2, "tools/list", json!({}));
    client.begin(3, "mux_health", json!({}));
    let seen = client.close();
    let ids: Vec<&Value> = seen.iter().map(|message| &message["id"]).collect();
    assert_eq!(ids, [&json!(1), &json!(2), &json!(3)]);
}

#[test]
fn a_batch_is_received_by_the_one_revision_that_has_them() {
    let world = World::new("batch");
    let mut client = Client::start(&world, &[]);
    client.ask(0, "initialize", json!({"protocolVersion": "2025-03-26"}));
    client.send(
        b"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"},7,{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}]\n",
    );
    client.answer(2);
    let shown: Vec<String> =
        client.seen.iter().skip(1).map(|message| format!("{} {}", message["id"], message["error"]["code"])).collect();
    assert_eq!(shown, ["1 null", "null -32600", "2 null"]);
    client.close();
}

/// Where a task works: argument, then the client's root; and what a text may name.
#[test]
fn a_task_works_in_the_clients_root_and_leads_nowhere_else() {
    let (world, server) = world("roots", &["", "", ""]);
    let root = world.root.join("project space");
    let outside = world.root.join("outside");
    for dir in [&root, &outside] {
        fs::create_dir(dir).unwrap();
    }
    let mut client = Client::start(&world, &[]);
    client.greet("t", json!({"roots": {"listChanged": true}}));
    let asked = client.until("the question for roots", |message| message["method"] == "roots/list");
    let uri = format!("file://{}", root.display()).replace(' ', "%20");
    let answer = json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"roots": [{"uri": uri, "name": "p"}]}});
    client.send(format!("{answer}\n").as_bytes());
    let result = done(&client.call(1, "mux", json!({"task": TASK})));
    assert_eq!(result["workdir"], root.to_str().unwrap());
    assert!(root.join("hello.py").exists() && !world.work.join("hello.py").exists());

    let named = |dir: &PathBuf| json!({"task": format!("Create hello.py in {}. It prints a greeting.", dir.display())});
    let said = failed(&client.call(2, "mux", named(&outside)));
    assert!(said.contains("outside the client's project") && said.contains("allowed_roots"), "{said}");
    let temp = world.root.join("tmp/app");
    assert_eq!(done(&client.call(3, "mux", named(&temp)))["workdir"], temp.to_str().unwrap());
    // A model that says where, outside of the text, is believed; the tests there are not run unasked.
    fs::write(outside.join("test_x.py"), "raise SystemExit('run unasked')\n").unwrap();
    let result = done(&client.call(4, "mux", json!({"task": TASK, "workdir": outside})));
    assert_eq!((&result["workdir"], &result["reason"]), (&json!(outside), &json!("unverified")), "{result}");
    assert!(result["notes"][0].as_str().unwrap().contains("outside the client's project"), "{result}");
    client.close();
    fs::remove_dir_all(temp).unwrap();
    server.end();
}

#[test]
fn claude_code_says_where_its_project_is() {
    let (world, server) = world("claude-dir", &[""]);
    let project = world.root.join("claude");
    fs::create_dir(&project).unwrap();
    let mut mux = world.mux();
    let mut client = Client::of(mux.env("CLAUDE_PROJECT_DIR", &project), &[]);
    client.greet("claude-code", json!({}));
    assert_eq!(done(&client.call(1, "mux", json!({"task": TASK})))["workdir"], project.to_str().unwrap());
    client.close();
    server.end();
}

/// Claude Code hands over a task that wants the cloud: it must not come back to claude.
#[test]
fn the_provider_that_asks_is_never_asked_back() {
    let world = World::new("caller");
    world.configure(NOBODY);
    let recorded = manifest().join("fixtures/run/102_a_provider_out_of_quota_hands_over_and_is_left_alone/cli");
    for cli in ["claude", "codex"] {
        world.install_cli(cli, &recorded.join(cli));
    }
    let mut client = Client::greeted(&world, &[], "claude-code");
    let payload = json!({"task": "What is a monad?", "route": "cloud"}).to_string();
    let result = done(&client.call(1, "mux_json", json!({"payload_json": payload})));
    assert_eq!((&result["route"], &result["reason"]), (&json!("codex"), &json!("requested")), "{result}");
    assert!(result["cloud_bytes"].as_u64().unwrap() > 0, "{result}");
    let calls = tree(&world.root.join("calls"));
    assert!(!calls.is_empty() && calls.keys().all(|call| call.starts_with("codex.")), "{:?}", calls.keys());
    client.close();
}

#[test]
fn a_result_that_is_too_long_names_the_file_with_the_rest() {
    let world = World::new("cut");
    let http = world.root.join("http");
    fs::create_dir(&http).unwrap();
    let words = "All work and no play makes a dull answer, line after line. ".repeat(1500);
    let reply = json!({"id": "x", "object": "chat.completion", "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": words}}],
        "usage": {"prompt_tokens": 900, "completion_tokens": 20000}});
    fs::write(http.join("1.response.json"), reply.to_string()).unwrap();
    let server = Server::start(&http);
    world.configure(&format!("providers:\n  local:\n    base_url: \"{}/v1\"\n    model: m\n", server.url()));
    let mut client = Client::greeted(&world, &[], "t");
    let payload = json!({"task": "Why is the sky blue?", "prefer_local": true}).to_string();
    let result = done(&client.call(1, "mux_json", json!({"payload_json": payload})));
    assert!(result.to_string().len() < 60_000);
    let full = fs::read_to_string(result["full_result"].as_str().unwrap()).unwrap();
    assert!(full.contains(words.trim()), "{} bytes", full.len());
    client.close();
    server.end();
}

/// Two runs that may not go on at a time: the second says that it waits, and is done after the first.
#[test]
fn more_runs_than_are_allowed_wait_and_say_so() {
    let (world, server) = world("queue", &["", ""]);
    let yaml = fs::read_to_string(world.root.join("config/mux/mux.yaml")).unwrap();
    world.configure(&format!("{yaml}mcp:\n  parallel: 1\n"));
    let (payload, pids, go) = held(&world);
    let other = world.root.join("other");
    fs::create_dir(&other).unwrap();
    let second = json!({"task": TASK, "workdir": other, "verify": ["true"]}).to_string();
    let mut client = Client::greeted(&world, &[], "t");
    client.begin(1, "mux_json", payload);
    until("the verification runs", || pids.exists());
    client.begin(2, "mux_json", json!({"payload_json": second}));
    let waits = client.until("progress of the second", |message| message["params"]["progressToken"] == 2);
    assert!(waits["params"]["message"].as_str().unwrap().starts_with("waiting for other calls"), "{waits}");
    done(&client.call(3, "mux_health", json!({})));
    assert!(!other.join("hello.py").exists());
    fs::write(go, "").unwrap();
    done(&client.answer(1)["result"].take());
    assert_eq!(done(&client.answer(2)["result"].take())["workdir"], other.to_str().unwrap());
    client.close();
    server.end();
}

/// What people copy has to be what their programs read.
#[test]
fn the_examples_for_clients_are_json_and_start_the_server() {
    let read = |name: &str| fs::read_to_string(manifest().join(name)).unwrap();
    let readme = read("README.md");
    let blocks = readme.split("```json\n").skip(1).map(|block| block.split("```").next().unwrap());
    let blocks: Vec<String> = blocks.map(String::from).chain([read("config/mcp-config.example.json")]).collect();
    assert_eq!(blocks.len(), 4);
    for (block, key) in blocks.iter().zip(["mcpServers", "servers", "context_servers", "mcpServers"]) {
        let example: Value = serde_json::from_str(block).unwrap_or_else(|error| panic!("{error}: {block}"));
        let server = &example[key]["mux"];
        assert_eq!((&server["command"], &server["args"]), (&json!("mux"), &json!(["mcp"])), "{block}");
    }
}
