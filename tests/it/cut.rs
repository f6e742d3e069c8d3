//! Servers with a small window that cut a prompt and answer what is left of it, as Ollama does: such an answer is never
//! taken for one. A real loopback server, the real binary, prompts around the window, with and without a count of them.
//!
//! The reply is a recorded one (`fixtures/http`, llama.cpp b11669, smollm2); its `usage` says what such a server would.

use crate::bench::{World, manifest, run};
use fs_err as fs;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

/// How a server tells what it has read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Tells {
    /// The window is filled to its last token: what Ollama counts.
    Filled,
    /// Half of the window, as a server that drops what is old in halves.
    Half,
    /// Only where nothing is streamed.
    Unstreamed,
    Nothing,
}

/// What a server has, in tokens.
#[derive(Clone, Copy, Debug)]
struct Size {
    window: u64,
    /// Characters of a token, in hundredths.
    width: u64,
}

struct Cutter {
    address: SocketAddr,
    /// What is told of the next prompt whatever was read of it; 0 for the truth.
    odd: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
}

impl Cutter {
    fn start(size: Size, tells: Tells) -> Cutter {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let (inner, odd) = (ended.clone(), Arc::new(AtomicU64::new(0)));
        let next = odd.clone();
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if inner.load(Ordering::SeqCst) {
                    break;
                }
                // A client that goes away is no fault of the test.
                let _ = serve(&stream.unwrap(), size, tells, &next);
            }
        });
        Cutter { address, odd, ended, accepting }
    }

    fn end(self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        self.accepting.join().unwrap();
    }
}

/// Answers one request and closes.
fn serve(stream: &TcpStream, size: Size, tells: Tells, odd: &AtomicU64) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (status, kind, text) = if head.starts_with("POST /v1/chat/completions ") {
        let request: Value = serde_json::from_slice(&body).unwrap();
        let (kind, text) = answer(&request, size, tells, odd.swap(0, Ordering::SeqCst));
        (200, kind, text)
    } else if head.starts_with("GET /health ") || head.starts_with("GET /v1/models ") {
        (200, "application/json", r#"{"status":"ok","object":"list","data":[{"id":"m"}]}"#.to_string())
    } else {
        (404, "application/json", "{}".to_string())
    };
    let head = format!("HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n", text.len());
    let mut stream = stream;
    stream.write_all(format!("{head}Connection: close\r\n\r\n{text}").as_bytes())
}

fn tokens(request: &Value, size: Size) -> u64 {
    let contents = request["messages"].as_array().unwrap().iter().map(|message| message["content"].as_str().unwrap());
    contents.map(|content| content.len() as u64 * 100 / size.width + 4).sum()
}

fn answer(request: &Value, size: Size, tells: Tells, odd: u64) -> (&'static str, String) {
    let whole = tokens(request, size);
    let is_cut = whole > size.window;
    let read = match tells {
        _ if odd > 0 => odd,
        Tells::Half if is_cut => size.window / 2,
        Tells::Filled | Tells::Half | Tells::Unstreamed | Tells::Nothing => whole.min(size.window),
    };
    let usage = format!(r#""usage":{{"completion_tokens":3,"prompt_tokens":{read},"total_tokens":{}}}"#, read + 3);
    if request["stream"] != true {
        let usage = if tells == Tells::Nothing { String::new() } else { format!(",{usage}") };
        let choice = r#"{"index":0,"finish_reason":"length","message":{"role":"assistant","content":"Hello"}}"#;
        return (
            "application/json",
            format!(r#"{{"object":"chat.completion","model":"m","choices":[{choice}]{usage}}}"#),
        );
    }
    let recorded = fs::read_to_string(manifest().join("fixtures/http/18-chat-stream-usage.txt")).unwrap();
    let (_, events) = recorded.split_once("\n\n").unwrap();
    let mut text = String::new();
    for event in events.split("\n\n").filter(|event| !event.is_empty()) {
        let with_usage = event.contains("\"usage\":");
        if with_usage && matches!(tells, Tells::Unstreamed | Tells::Nothing) {
            continue;
        }
        // The recorded reply ended at its limit of three tokens; here it is a whole one.
        let event = event.replace("\"finish_reason\":\"length\"", "\"finish_reason\":\"stop\"");
        let event = event.replace("\"prompt_tokens\":33", &format!("\"prompt_tokens\":{read}"));
        let _ = write!(text, "{event}\n\n");
    }
    ("text/event-stream", text)
}

/// Asks with a task of so many characters, with nothing known of the server; returns what the run said and its exit code.
fn ask(world: &World, address: SocketAddr, characters: usize) -> (String, i32) {
    let _ = fs::remove_file(paces(world));
    ask_again(world, address, characters)
}

fn paces(world: &World) -> PathBuf {
    world.root.join("state/mux/paces.json")
}

/// As [`ask`], with what earlier runs have seen.
fn ask_again(world: &World, address: SocketAddr, characters: usize) -> (String, i32) {
    let task = format!("What does this mean: {}", "some ".repeat(characters / 5));
    world.configure(&format!("providers:\n  local:\n    base_url: \"http://{address}/v1\"\n    model: m\n"));
    let mut command = world.mux();
    command.args(["run", "--answer", "-"]);
    let ran = run(command, task.as_bytes());
    (String::from_utf8_lossy(&ran.stdout).into_owned(), ran.exit)
}

#[test]
fn an_answer_to_a_cut_prompt_is_never_taken_for_one() {
    let world = World::new("cut");
    let (mut cut, mut whole, mut faults) = (0, 0, Vec::new());
    for window in [2048_u64, 4096] {
        // As measured, a token is 3.6 to 4.4 characters of prose and code.
        for width in [360, 440] {
            for tells in [Tells::Filled, Tells::Half, Tells::Unstreamed, Tells::Nothing] {
                let size = Size { window, width };
                let server = Cutter::start(size, tells);
                for percent in [50, 90, 97, 103, 125, 200, 400] {
                    // The words around the task are some 250 characters.
                    let characters = usize::try_from(window * width / 100 * percent / 100).unwrap() - 250;
                    let (said, exit) = ask(&world, server.address, characters);
                    let is_answer = said.contains("\nroute: local\n") || said.starts_with("route: local\n");
                    let is_overflow = said.contains("reason: context_overflow\n") && exit == 1;
                    let must_fit = percent <= 97;
                    // Of a server that tells nothing, not even a whole prompt can be known to be whole.
                    let may_doubt = tells == Tells::Nothing && window * width * percent / 10_000 > 2048 * 3 - 750;
                    let is_right = is_overflow && (!must_fit || may_doubt) || is_answer && must_fit;
                    (cut, whole) = (cut + u32::from(!must_fit), whole + u32::from(must_fit && is_answer));
                    if !is_right {
                        faults.push(format!("{size:?} {tells:?} {percent} %: {said}"));
                    }
                }
                server.end();
            }
        }
    }
    assert!(faults.is_empty(), "{} of {cut} cut and {whole} whole:\n{}", faults.len(), faults.join("\n"));
    assert!(cut == 64 && whole >= 36, "{cut} cut, {whole} whole");
}

#[test]
fn a_window_that_was_none_is_forgotten() {
    let world = World::new("odd-count");
    let size = Size { window: 16_384, width: 400 };
    // What is counted once of a prompt of some 3700 tokens, and what is taken for the window of the server.
    for (odd, window) in [(2048, Some(2048)), (1024, None), (700, None), (2304, None)] {
        let server = Cutter::start(size, Tells::Filled);
        let seen = || -> Option<u64> {
            let text = fs::read_to_string(paces(&world)).ok()?;
            serde_json::from_str::<Value>(&text).unwrap()["content"]["models"][0]["window"].as_u64()
        };
        server.odd.store(odd, Ordering::SeqCst);
        let (said, exit) = ask(&world, server.address, 14_500);
        assert!(said.contains("reason: context_overflow\n") && exit == 1, "{odd}: {said}");
        assert_eq!(seen(), window, "{odd}");
        // The same prompt, counted as it is.
        let (said, _) = ask_again(&world, server.address, 14_500);
        assert!(said.contains("route: local\n"), "{odd}: {said}");
        assert_eq!(seen(), None, "{odd}");
        server.end();
    }
}

#[test]
fn a_window_that_was_seen_is_known_to_the_next_run() {
    let world = World::new("seen-window");
    let server = Cutter::start(Size { window: 4096, width: 400 }, Tells::Filled);
    for characters in [20_000, 17_000, 15_000, 20_000] {
        let (said, _) = ask_again(&world, server.address, characters);
        let is_whole = characters == 15_000;
        let told = (said.contains("reason: context_overflow\n"), said.contains("route: local\n"));
        assert_eq!(told, (!is_whole, is_whole), "{said}");
        assert!(fs::read_to_string(paces(&world)).unwrap().contains("\"window\":4096"), "{characters}");
    }
    server.end();
}

#[test]
fn how_fast_a_reply_came_is_held_against_the_calls_before() {
    let world = World::new("usual");
    let server = Cutter::start(Size { window: 4096, width: 400 }, Tells::Filled);
    let why = || {
        let mut command = world.mux();
        command.arg("why");
        let ran = run(command, b"");
        String::from_utf8_lossy(&ran.stdout).into_owned()
    };
    let value = |page: &str, signal: &str| -> Option<f64> {
        let line = page.lines().find(|line| line.trim_start().starts_with(&format!("{signal} ")))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    // Of a server that nobody has asked there is no usual pace.
    ask(&world, server.address, 400);
    let page = why();
    assert_eq!((value(&page, "first_token"), value(&page, "speed")), (None, None), "{page}");
    // Three calls, each with a prompt of 100 tokens, a minute to the first token and one token a minute after it.
    let call = [100, 60_000, 10, 600_000];
    let known = json!({"server": format!("http://{}/v1", server.address), "model": "m", "window": null,
        "window_seen": null, "used": 0, "answers": [call, call, call], "changes": []});
    fs::write(paces(&world), json!({"schema": 1, "models": [known]}).to_string()).unwrap();
    ask_again(&world, server.address, 400);
    let page = why();
    assert!(value(&page, "first_token").is_some_and(|value| value < -1.0), "{page}");
    assert!(value(&page, "speed").is_some_and(|value| value > 1.0), "{page}");
    assert!(page.contains("logarithm of the time to the first token against the usual"), "{page}");
    assert!(page.contains("logarithm of the tokens a second against the usual"), "{page}");
    assert!(
        !page.contains("term.speed") && !page.contains("term.first_token"),
        "nothing is known of their weight: {page}"
    );
    server.end();
}
