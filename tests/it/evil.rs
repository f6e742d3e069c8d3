//! Replies of a hostile model server, recorded byte by byte (`fixtures/evil/NAME.raw`), against the real binary: one row
//! says how each has to end. Whatever the reply, the same things are looked at: nothing outside the work directory is
//! touched, a refused reply leaves the tree as it was, no command runs, no control byte and no key is shown, no other
//! address is asked, one run is one line of the ledger.

use crate::bench::{Files, World, manifest, run, tree};
use crate::replay::Server;
use End::{Done, Refused};
use fs_err as fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

/// The key in the environment; `secret_echo` was recorded with it.
const KEY: &str = "sk-canary-of-the-test-0001";
/// Runs at a time.
const AT_ONCE: usize = 8;

/// How a run has to end.
#[derive(Clone, Copy)]
enum End {
    /// Exit 0; only these files are new or different.
    Done(&'static [&'static str]),
    /// Exit 1 with this reason, and these words on standard output; the tree as before.
    Refused(&'static str, &'static str),
}

const UNPARSABLE: &str = "local_failed:unparsable";
const SERVER: &str = "local_failed:server";

const ROWS: &[(&str, End)] = &[
    ("ansi", Done(&["ok.txt"])),
    ("chunk_truncated", Refused(SERVER, "it is cut off: the connection ended inside it")),
    ("commands_evil", Done(&["ok.txt"])),
    ("content_conflict", Refused(UNPARSABLE, "holds conflict markers")),
    ("content_empty", Refused(UNPARSABLE, "It leaves `ok.txt` empty")),
    ("content_lazy", Refused(UNPARSABLE, "stands for code that was left out")),
    ("delete_all", Refused(UNPARSABLE, "has no lines to replace, but the file is not empty")),
    ("dup_keys", Refused(UNPARSABLE, "the key `path` comes twice in one object")),
    ("empty_200", Refused(SERVER, "it is empty")),
    ("empty_choices", Refused(SERVER, "it ended without a finish_reason")),
    ("error_in_200", Refused("context_overflow", "the task does not fit the model's window")),
    ("finish_content_filter", Refused(SERVER, "the server's content filter held the reply back")),
    ("finish_length", Refused("local_failed:truncated", "the reply was cut by the token limit")),
    ("html_200", Refused(SERVER, "a web page: this is no model server")),
    ("http_400", Refused(SERVER, "the server answered 400: bad request")),
    ("http_401", Refused(SERVER, "the server answered 401: bad key")),
    ("http_429_day", Refused(SERVER, "the server answered 429: later")),
    ("http_500", Refused(SERVER, r"the server answered 500: boom \x1b[31mred")),
    ("http_503", Refused(SERVER, "the server answered 503: Loading model")),
    ("invalid_utf8", Refused(SERVER, "its JSON is wrong at line 1 column 164")),
    ("length_too_long", Refused(SERVER, "it is cut off: the connection ended inside it")),
    ("log_injection", Done(&["ok.txt"])),
    ("model_mismatch", Done(&["ok.txt"])),
    ("no_files", Refused(UNPARSABLE, "It holds no files")),
    ("not_http", Refused(SERVER, "not HTTP")),
    ("not_json", Refused(UNPARSABLE, "There is no fenced block with a file in it")),
    ("null_content", Refused("local_failed:empty", "the reply is empty")),
    ("ok_overwrite", Done(&["main.txt"])),
    ("path_abs", Refused(UNPARSABLE, "the path is absolute")),
    ("path_agents", Refused(UNPARSABLE, "`.mcp.json`: settings of agents, editors and mux itself")),
    ("path_backslash", Refused(UNPARSABLE, r"`..\escape.txt`: a name has a backslash")),
    ("path_case_collide", Refused(UNPARSABLE, "`case.txt`: two paths differ only in case")),
    ("path_ci", Refused(UNPARSABLE, "`.github/workflows/evil.yml`: a tool runs or obeys this file")),
    ("path_control", Refused(UNPARSABLE, "the path has a control character")),
    ("path_dotdot_deep", Refused(UNPARSABLE, "`a/b/../../../escape.txt`: `..` is not allowed in a path")),
    ("path_dotdot_good_first", Refused(UNPARSABLE, "`../escape.txt`: `..` is not allowed in a path")),
    ("path_dup", Done(&["dup.txt"])),
    ("path_env", Done(&["$HOME/evil.txt", "${TMPDIR}/evil.txt", "%USERPROFILE%/evil.txt"])),
    ("path_fifo", Refused(UNPARSABLE, "`fifo`: it is a FIFO")),
    ("path_git", Refused(UNPARSABLE, "`.git/hooks/pre-commit`: version control's own directory is never written")),
    (
        "path_git_alias",
        Refused(UNPARSABLE, "`.GIT/hooks/pre-commit`: version control's own directory is never written"),
    ),
    ("path_glob_cmd", Refused(UNPARSABLE, r#"`*.rs`: a name has one of the characters * ? " < > |"#)),
    ("path_is_dir", Refused(UNPARSABLE, "`adir`: it is a directory")),
    ("path_nul", Refused(UNPARSABLE, r"`nul\x00.txt`: the path has a control character")),
    ("path_self", Refused(UNPARSABLE, "`mux.yaml`: settings of agents, editors and mux itself are never written")),
    (
        "path_surrogate",
        Refused(
            UNPARSABLE,
            "It is unusable JSON: the JSON is broken: unexpected end of hex escape at line 1 column 31",
        ),
    ),
    ("path_symlink_dangling", Refused(UNPARSABLE, "`dangling.txt`: it is a symbolic link, or lies behind one")),
    ("path_symlink_final", Refused(UNPARSABLE, "`link.txt`: it is a symbolic link, or lies behind one")),
    ("path_symlink_parent", Refused(UNPARSABLE, "`linkdir`: it is a symbolic link, or lies behind one")),
    ("prompt_injection", Done(&["ok.txt"])),
    ("reasoning_only", Refused("local_failed:empty", "the reply is all reasoning, without an answer")),
    ("redirect_302", Refused(SERVER, "the server answered 302: a redirect: mux follows none")),
    ("refusal", Refused("local_failed:empty", "the model declined: I'm sorry, but I can't help with that")),
    ("reset_mid_stream", Refused(SERVER, "it ended without a finish_reason")),
    ("secret_echo", Refused(SERVER, "Authorization: Bearer [key]")),
    ("sse_error_midway", Refused(SERVER, "the server failed: out of memory")),
    ("sse_finish_length", Refused("local_failed:truncated", "the reply was cut by the token limit")),
    ("sse_garbage", Refused(SERVER, "its JSON is wrong at line 1 column 2")),
    ("sse_no_done", Refused(SERVER, "it ended without a finish_reason")),
    ("sse_ok", Done(&["ok.txt"])),
    ("think_tags", Done(&["ok.txt"])),
    ("tool_calls", Refused(UNPARSABLE, "the model asked for tools instead of answering")),
    ("truncated_json", Refused(SERVER, "its JSON is cut off at byte 346")),
    ("truncated_payload", Refused(UNPARSABLE, "It is unusable JSON: the JSON ends in the middle")),
    ("unterminated_think", Refused("local_failed:truncated", "the reply repeated a block of 4 bytes")),
];

#[test]
fn every_hostile_reply_ends_as_it_must() {
    let next = Mutex::new(ROWS.iter());
    let faults = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let row = next.lock().unwrap().next();
                    let Some((name, end)) = row else { break };
                    let found = faults_of(name, *end);
                    faults.lock().unwrap().extend(found);
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_recorded_reply_has_its_row() {
    let recorded: Vec<String> = tree(&manifest().join("fixtures/evil")).into_keys().collect();
    let mut rows: Vec<String> = ROWS.iter().map(|(name, _)| format!("{name}.raw")).collect();
    rows.push("about".into());
    rows.sort();
    assert_eq!(recorded, rows);
}

/// 48 MiB of an answer to a program that may have 64 MiB of data: it stops long before and says so.
#[test]
fn a_reply_without_end_stays_small() {
    let world = World::new("endless");
    let http = world.root.join("http");
    fs::create_dir(&http).unwrap();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
    // What repeats itself would be stopped for that.
    let token = |n| {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{n} days of work and no play \"}}}}]}}\n\n"
        )
    };
    let body: String = (100_000..700_000).map(token).collect();
    assert!(body.len() > 48 << 20);
    fs::write(http.join("every.response.raw"), head.to_string() + &body).unwrap();
    let server = Server::start(&http);
    world.configure(&format!("providers:\n  local:\n    base_url: \"{}/v1\"\n    model: evil\n", server.url()));
    let mut command = world.command(world.root.join("bin/sh"));
    let limited = "ulimit -d 65536; exec \"$@\"";
    command.args(["-c", limited, "sh", env!("CARGO_BIN_EXE_mux"), "run", "Explain what a shining is"]);
    let ran = run(command, b"");
    let stdout = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.exit == 1 && stdout.contains(&format!("\nreason: {SERVER}\n")), "{}", ran.report());
    assert!(stdout.contains("it does not end"), "{}", ran.report());
    server.end();
}

/// The bound is the user's: a reply that is one token over it is no reply, and one below it is.
#[test]
fn a_reply_has_the_length_that_is_configured() {
    let token = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"1234567890\"}}]}\n\n";
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    for (tokens, is_whole) in [(100, true), (101, false)] {
        let world = World::new(&format!("length-{tokens}"));
        let http = world.root.join("http");
        fs::create_dir(&http).unwrap();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        fs::write(http.join("every.response.raw"), format!("{head}{}{end}", token.repeat(tokens))).unwrap();
        let server = Server::start(&http);
        let local = format!("base_url: \"{}/v1\", model: evil, max_reply_bytes: 1000", server.url());
        world.configure(&format!("providers: {{local: {{{local}}}}}\n"));
        let mut command = world.mux();
        command.args(["run", "Which digits are there?"]);
        let ran = run(command, b"");
        let stdout = String::from_utf8_lossy(&ran.stdout);
        let said = stdout.contains("longer than 1000 bytes; `providers.local.max_reply_bytes` allows more");
        assert_eq!((ran.exit == 0, said), (is_whole, !is_whole), "{}", ran.report());
        server.end();
    }
}

/// What a task says is text for the model, not for a shell.
#[test]
fn no_word_of_a_task_is_run() {
    let world = World::new("shell");
    let http = world.root.join("http");
    fs::create_dir(&http).unwrap();
    let reply = manifest().join("fixtures/run/004_change_is_proved/http/1.response.sse");
    fs::copy(reply, http.join("1.response.sse")).unwrap();
    let server = Server::start(&http);
    world.configure(&format!("providers:\n  local:\n    base_url: \"{}/v1\"\n    model: evil\n", server.url()));
    let task = "Create hello.py\"; touch pwned; $(touch pwned) `touch pwned` '|| touch pwned";
    let mut command = world.mux();
    command.args(["run", "--verify", "python3 hello.py", "--", task]);
    let ran = run(command, b"");
    assert_eq!(ran.exit, 0, "{}", ran.report());
    let files: Vec<String> = tree(&world.root).into_keys().filter(|path| path.ends_with("pwned")).collect();
    assert_eq!((files, tree(&world.work).into_keys().collect()), (vec![], vec!["hello.py".to_string()]));
    server.end();
}

/// Plays one reply for every call of a run and returns all that is wrong with how it ended.
fn faults_of(name: &str, end: End) -> Vec<String> {
    let world = World::new(&format!("evil-{name}"));
    let (outside, http) = (world.root.join("outside"), world.root.join("http"));
    lay_out(name, &world, &outside);
    let canary = Server::start(&world.root.join("calls"));
    fs::create_dir(&http).unwrap();
    fs::write(http.join("every.response.raw"), recorded(name, &outside, &canary)).unwrap();
    let server = Server::start(&http);
    world.configure(&format!(
        "providers:\n  local:\n    base_url: \"{}/v1\"\n    model: evil\n    first_token_timeout_sec: 5\n    \
         idle_timeout_sec: 5\n",
        server.url()
    ));
    let before = [tree(&world.work), tree(&outside), tree(&world.root.join("home"))];
    let mut command = world.mux();
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        command.env(variable, canary.url());
    }
    command.env("LOCAL_OPENAI_API_KEY", KEY);
    command.args(["run", "--change", "--no-verify", "--deadline", "30", "Create the text file and do what is needed"]);
    let ran = run(command, b"");
    let after = [tree(&world.work), tree(&outside), tree(&world.root.join("home"))];
    server.end();

    let mut faults = Vec::new();
    let mut fault = |is: bool, what: String| faults.extend(Some(what).filter(|_| is));
    let stdout = String::from_utf8_lossy(&ran.stdout).into_owned();
    let (exit, allowed, reason, words): (_, &[&str], _, _) = match end {
        Done(files) => (0, files, "unverified", ""),
        Refused(reason, words) => (1, &[], reason, words),
    };
    let is_reason = stdout.contains(&format!("\nreason: {reason}\n"));
    fault(ran.exit != exit || !is_reason, format!("exit {exit} and `{reason}` wanted"));
    fault(!stdout.contains(words), format!("`{words}` is not said"));
    let changed = changed(&before[0], &after[0]);
    fault(changed != allowed, format!("changed {changed:?}, {allowed:?} wanted"));
    fault(before[1..] != after[1..], "something outside the work directory changed".into());
    fault(tree(&world.root).keys().any(|path| path.ends_with("pwned")), "a command of the model ran".into());
    fault(!canary.end().is_empty(), "another address was asked".into());
    let shown = [&ran.stdout[..], &ran.stderr[..]].concat();
    let is_raw = |char: char| char.is_control() && char != '\n' && char != '\t';
    fault(String::from_utf8_lossy(&shown).contains(is_raw), "a control character is shown".into());
    let ledger = fs::read_to_string(world.root.join("state/mux/run_ledger.jsonl")).unwrap_or_default();
    let is_object = serde_json::from_str::<serde_json::Value>(ledger.trim_end()).is_ok_and(|line| line.is_object());
    fault(ledger.lines().count() != 1 || !is_object, format!("not one ledger line: {ledger:?}"));
    fault(ledger.contains(KEY) || String::from_utf8_lossy(&shown).contains(KEY), "the key is shown".into());
    faults.iter().map(|fault| format!("{name}: {fault}\n{}", ran.report())).collect()
}

/// A work directory with everything that the replies aim at.
pub fn lay_out(name: &str, world: &World, outside: &Path) {
    fs::create_dir(outside).unwrap();
    fs::write(outside.join("victim"), "victim\n").unwrap();
    fs::create_dir(world.work.join("adir")).unwrap();
    if name == "content_empty" {
        fs::write(world.work.join("ok.txt"), "old\n").unwrap();
    }
    for (name, text) in [("main.txt", "main\n"), ("lib.rs", "fn a() {}\n"), ("adir/keep.txt", "keep\n")] {
        fs::write(world.work.join(name), text).unwrap();
    }
    for (name, target) in
        [("link.txt", outside.join("victim")), ("linkdir", outside.into()), ("dangling.txt", outside.join("new"))]
    {
        symlink(target, world.work.join(name)).unwrap();
    }
    assert!(Command::new("mkfifo").arg(world.work.join("fifo")).status().unwrap().success());
}

/// The recorded bytes, with the places of this world filled in.
fn recorded(name: &str, outside: &Path, canary: &Server) -> Vec<u8> {
    let bytes = fs::read(manifest().join(format!("fixtures/evil/{name}.raw"))).unwrap();
    match String::from_utf8(bytes) {
        Ok(text) => {
            let canary = canary.url().replace("http://", "");
            let text = text.replace("{{outside}}", outside.to_str().unwrap()).replace("{{canary}}", &canary);
            let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
            let length = |line: &str| match line.strip_prefix("Content-Length: ") {
                Some(_) if name == "tool_calls" => format!("Content-Length: {}", body.len()),
                Some(_) | None => line.to_string(),
            };
            let head = head.split("\r\n").map(length).collect::<Vec<_>>().join("\r\n");
            if text.contains("\r\n\r\n") { format!("{head}\r\n\r\n{body}").into_bytes() } else { text.into_bytes() }
        }
        Err(error) => error.into_bytes(),
    }
}

fn changed(before: &Files, after: &Files) -> Vec<String> {
    let mut names: Vec<String> = before.keys().chain(after.keys()).cloned().collect();
    names.sort();
    names.dedup();
    names.retain(|name| before.get(name) != after.get(name));
    names
}
