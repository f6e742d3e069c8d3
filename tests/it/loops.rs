//! Replies that are not waited for. A model that goes round in circles: its server sends the same block for as long as
//! anybody listens. mux stops listening, tells the next try why, and shows nothing of it. And a model that is so unsure of
//! its code that it will not be right.

use crate::bench::{Ran, World, run};
use crate::kill::response;
use fs_err as fs;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// What comes before the loop: a whole file, which is taken from a reply that has no end only where a check proves it.
const BEFORE: &str = "FILE: hello.py\n```python\nprint('hello')\n```\n\n";
const BLOCK: &str = "I have also added a test for the new file.\n";
const GOOD: &str = "FILE: hello.py\n```python\nprint('hello again')\n```\n";
/// A server that nobody stops would go on until here: 250 000 tokens of the reply.
const ENOUGH: usize = 1_000_000;

/// What a server sends of a reply that has no end.
#[derive(Clone, Copy)]
enum Endless {
    /// [`BEFORE`], and [`BLOCK`] again and again.
    Circles,
    /// Lines of Python, each a guess among many: two nats below certainty.
    Doubts,
}

/// What the server saw of one question.
struct Asked {
    body: Value,
    /// Bytes of a loop, until the client was gone. `None` where no loop was sent.
    looped: Option<usize>,
}

struct Circling {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<Asked>>>,
    accepting: JoinHandle<()>,
}

impl Circling {
    /// Loops in the first `n` replies; what comes after them is [`GOOD`].
    fn start(n: usize) -> Circling {
        Circling::sending(Endless::Circles, n)
    }

    fn sending(endless: Endless, n: usize) -> Circling {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, ended) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (inner, list) = (ended.clone(), asked.clone());
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if inner.load(Ordering::SeqCst) {
                    break;
                }
                serve(&stream.unwrap(), endless, n, &list);
            }
        });
        Circling { address, ended, asked, accepting }
    }

    fn end(self) -> Vec<Asked> {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        self.accepting.join().unwrap();
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// Answers one request and closes.
fn serve(mut stream: &TcpStream, endless: Endless, n: usize, asked: &Mutex<Vec<Asked>>) {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap() == 0 {
            return;
        }
        let line = head.trim_end().lines().last().unwrap_or_default().to_ascii_lowercase();
        length = line.strip_prefix("content-length:").map_or(length, |value| value.trim().parse().unwrap());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    if !head.starts_with("POST ") {
        let status = "{\"status\":\"ok\"}";
        let head = format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", status.len());
        stream.write_all((head + status).as_bytes()).unwrap();
        return;
    }
    let body = serde_json::from_slice(&body).unwrap();
    let is_loop = asked.lock().unwrap().len() < n;
    let mut sent = 0;
    if is_loop {
        stream.write_all(b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n\r\n").unwrap();
        let event = |text: &str, logprob: f64| {
            let token = json!({"token": text, "bytes": text.as_bytes(), "logprob": logprob});
            let choice = match endless {
                Endless::Circles => json!({"delta": {"content": text}}),
                Endless::Doubts => json!({"delta": {"content": text}, "logprobs": {"content": [token]}}),
            };
            format!("data: {}\n\n", json!({"choices": [choice]}))
        };
        let before = match endless {
            Endless::Circles => BEFORE,
            Endless::Doubts => "```python\n",
        };
        let mut end = stream.write_all(event(before, 0.0).as_bytes());
        // As fast as it is taken, so that little lies between the two.
        for n in 0.. {
            let line = match endless {
                Endless::Circles => BLOCK.to_string(),
                Endless::Doubts => format!("value_{n} = {}\n", n * n),
            };
            if end.is_err() || sent >= ENOUGH {
                break;
            }
            end = stream.write_all(event(&line, -2.0).as_bytes());
            sent += line.len();
        }
    } else {
        stream.write_all(response(GOOD).as_bytes()).unwrap();
    }
    asked.lock().unwrap().push(Asked { body, looped: is_loop.then_some(sent) });
}

fn mux(world: &World, server: &Circling, args: &[&str]) -> (Ran, Value) {
    world.configure(&format!(
        "providers: {{local: {{base_url: \"http://{}/v1\", model: m, auto_detect: false}}}}\n",
        server.address
    ));
    let mut command = world.mux();
    command.args(args);
    let ran = run(command, b"");
    let ledger = fs::read_to_string(world.root.join("state/mux/run_ledger.jsonl")).unwrap();
    (ran, serde_json::from_str(ledger.lines().last().unwrap()).unwrap())
}

#[test]
fn a_change_that_repeats_itself_is_stopped_and_the_next_try_is_told() {
    let (world, server) = (World::new("loops-change"), Circling::start(1));
    let (ran, record) = mux(&world, &server, &["run", "--change", "--no-verify", "Create hello.py"]);
    let asked = server.end();
    assert_eq!(ran.exit, 0, "{}", ran.report());
    assert_eq!(fs::read_to_string(world.work.join("hello.py")).unwrap(), "print('hello again')\n");
    let failure = &record["attempts"][0]["failure"];
    assert_eq!((&failure["kind"], &failure["block"]), (&"looped".into(), &BLOCK.len().into()), "{failure}");
    let stderr = String::from_utf8(ran.stderr).unwrap();
    assert!(stderr.contains("the reply repeated a block of 43 bytes 19"), "{stderr}");
    let looped = asked[0].looped.unwrap();
    assert!((8192..ENOUGH).contains(&looped), "the server was left to send {looped} bytes");
    let prompt = asked[1].body["messages"][1]["content"].as_str().unwrap();
    assert!(prompt.contains("An earlier reply could not be used: it said the same 19"), "{prompt}");
    assert!(!prompt.contains(BLOCK.trim_end()), "what a model sees it says again: {prompt}");
    assert_eq!(asked[1].body["chat_template_kwargs"]["enable_thinking"], false);
}

#[test]
fn what_came_before_a_loop_is_kept_when_a_check_proves_it() {
    let (world, server) = (World::new("loops-proved"), Circling::start(1));
    let (ran, record) = mux(&world, &server, &["run", "--verify", "grep -q hello hello.py", "Create hello.py"]);
    assert_eq!((ran.exit, server.end().len()), (0, 1), "{}", ran.report());
    assert_eq!(fs::read_to_string(world.work.join("hello.py")).unwrap(), "print('hello')\n");
    let attempt = &record["attempts"][0];
    assert_eq!((&attempt["failure"], &attempt["verdict"]), (&Value::Null, &"passed".into()), "{attempt}");
    let stdout = String::from_utf8(ran.stdout.clone()).unwrap();
    assert!(stdout.contains("stopped after") && stdout.contains("what it held before that was used"), "{stdout}");
}

#[test]
fn what_came_before_a_loop_is_red_when_a_check_says_so() {
    let (world, server) = (World::new("loops-red"), Circling::start(1));
    let (ran, record) = mux(&world, &server, &["run", "--verify", "grep -q again hello.py", "Create hello.py"]);
    let asked = server.end();
    assert_eq!((ran.exit, asked.len()), (0, 2), "{}", ran.report());
    assert_eq!(fs::read_to_string(world.work.join("hello.py")).unwrap(), "print('hello again')\n");
    assert_eq!(
        (&record["attempts"][0]["verdict"], &record["attempts"][1]["verdict"]),
        (&"failed".into(), &"passed".into())
    );
    let prompt = asked[1].body["messages"][1]["content"].as_str().unwrap();
    assert!(prompt.contains("+print('hello')") && !prompt.contains(BLOCK.trim_end()), "{prompt}");
}

#[test]
fn an_answer_that_repeats_itself_is_none() {
    let (world, server) = (World::new("loops-answer"), Circling::start(2));
    let (ran, record) = mux(&world, &server, &["run", "--answer", "--local-only", "Why is the sky blue?"]);
    assert_eq!(server.end().len(), 2);
    let stdout = String::from_utf8(ran.stdout.clone()).unwrap();
    assert_eq!((ran.exit, record["reason"].as_str()), (1, Some("local_failed:truncated")), "{}", ran.report());
    assert!(!stdout.contains("I have also added"), "{stdout}");
    assert!(stdout.contains("the reply repeated a block of 43 bytes"), "{stdout}");
    assert!(stdout.contains("--repeat-penalty"), "{stdout}");
    let mut why = world.mux();
    why.args(["why", record["run_id"].as_str().unwrap()]);
    let why = run(why, b"");
    assert!(String::from_utf8_lossy(&why.stdout).contains("the reply repeated a block of"), "{}", why.report());
}

#[test]
fn code_that_is_too_unlikely_is_not_waited_for() {
    let (world, server) = (World::new("loops-doubts"), Circling::sending(Endless::Doubts, 1));
    fs::write(world.work.join("hello.py"), "print('hullo')\n").unwrap();
    let (ran, record) = mux(&world, &server, &["run", "--verify", "grep -q again hello.py", "Fix hello.py"]);
    let asked = server.end();
    assert_eq!((ran.exit, asked.len()), (0, 2), "{}", ran.report());
    assert!(asked[0].looped.unwrap() < ENOUGH / 10, "the server was left to send {:?} bytes", asked[0].looped);
    assert_eq!(fs::read_to_string(world.work.join("hello.py")).unwrap(), "print('hello again')\n");
    let failure = &record["attempts"][0]["failure"];
    assert_eq!((&failure["kind"], record["attempts"][1]["verdict"].as_str()), (&"hopeless".into(), Some("passed")));
    assert!(failure["nats"].as_u64() > Some(24) && failure["tokens"].as_u64() < Some(200), "{failure}");
    let prompt = |n: usize| asked[n].body["messages"][1]["content"].as_str().unwrap();
    assert_eq!(prompt(0), prompt(1), "there is nothing to say of it");
    let mut status = world.mux();
    status.args(["status", "--json"]);
    let status: Value = serde_json::from_slice(&run(status, b"").stdout).unwrap();
    assert_eq!(status["metrics"]["stopped_tries"], 1, "{status}");
}

#[test]
fn code_is_waited_for_where_that_is_asked_for() {
    let (world, server) = (World::new("loops-patient"), Circling::sending(Endless::Doubts, 1));
    fs::write(world.work.join("hello.py"), "print('hullo')\n").unwrap();
    world.configure(&format!(
        "providers: {{local: {{base_url: \"http://{}/v1\", model: m, auto_detect: false, max_reply_bytes: 200000}}}}\n\
         local_executor: {{stop_hopeless: false}}\n",
        server.address
    ));
    let mut command = world.mux();
    command.args(["run", "--verify", "grep -q again hello.py", "Fix hello.py"]);
    let ran = run(command, b"");
    let asked = server.end();
    let looped = asked[0].looped.unwrap();
    assert!(looped >= 100_000, "the server was heard for {looped} bytes only\n{}", ran.report());
    assert!(String::from_utf8_lossy(&ran.stderr).contains("longer than 200000 bytes"), "{}", ran.report());
}
