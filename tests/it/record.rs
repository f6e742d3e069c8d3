//! Recording: `RECORD=http://127.0.0.1:8080 cargo test --test it NAME` asks a real model server for every call that a
//! scenario has no response for, keeps the bytes in its `http/`, and blesses the rest. What is recorded already is
//! played, so a story may be told in parts: delete `http/2.*` to have the second call answered anew.

use fs_err as fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The longest that a real model may think about one call.
const LONGEST_CALL: Duration = Duration::from_mins(10);

/// Returns the server to record from, if this is a recording.
pub fn upstream() -> Option<String> {
    std::env::var("RECORD").ok().filter(|url| !url.is_empty())
}

/// Returns whether a real model answers somewhere in these tests: then runs may take their time.
pub fn is_real() -> bool {
    upstream().is_some() || std::env::var_os("BENCH").is_some()
}

/// Asks `upstream` the `n`th question of a scenario; writes `N.response.sse` or `.json`, for an error `N.play` too, and
/// in `about` where it comes from.
pub fn record(upstream: &str, http: &Path, n: usize, request: &[u8]) {
    let address = upstream.trim_start_matches("http://").trim_end_matches('/');
    let (head, body) = post(address, request);
    let status = head.split(' ').nth(1).unwrap_or_default().to_string();
    let is_stream = head.to_ascii_lowercase().contains("content-type: text/event-stream");
    fs::write(http.join(format!("{n}.response.{}", if is_stream { "sse" } else { "json" })), &body).unwrap();
    if status != "200" {
        fs::write(http.join(format!("{n}.play")), format!("status {status}\n")).unwrap();
    }
    let about = http.parent().unwrap().join("about");
    if !about.exists() {
        let text = String::from_utf8_lossy(&body);
        let server = field(&text, "system_fingerprint");
        let date = Command::new("date").args(["-u", "+%F"]).output().unwrap().stdout;
        let date = String::from_utf8(date).unwrap();
        let text = format!("server: {server}\nmodel: {}\ndate: {date}", field(&text, "model"));
        fs::write(about, text).unwrap();
    }
}

/// Sends a chat request; returns the head and the body, taken out of its chunks.
fn post(address: &str, request: &[u8]) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("RECORD={address}: {error}"));
    stream.set_read_timeout(Some(LONGEST_CALL)).unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        request.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("an HTTP answer has a head") + 4;
    let body = answer.split_off(end);
    let head = String::from_utf8_lossy(&answer).into_owned();
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    (head, if is_chunked { joined(&body) } else { body })
}

/// Takes a body out of its chunks.
fn joined(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = chunks.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&chunks[..end]).unwrap().split(';').next().unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let rest = &chunks[end + 2..];
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[..size]);
        chunks = &rest[size + 2..];
    }
    panic!("the server ended inside a chunk");
}

/// Returns the first string value of a key in JSON text, whatever stands around it.
fn field<'a>(text: &'a str, key: &str) -> &'a str {
    let after = text.split(&format!("\"{key}\":")).nth(1).unwrap_or_default();
    after.trim_start().trim_start_matches('"').split('"').next().filter(|value| !value.is_empty()).unwrap_or("unknown")
}

#[test]
fn chunks_are_joined_and_fields_are_found() {
    assert_eq!(joined(b"3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\n\r\n"), b"abc0123456789");
    let text = r#"data: {"id":1,"model":"qwen","system_fingerprint": "b1-2"}"#;
    assert_eq!(
        (field(text, "model"), field(text, "system_fingerprint"), field(text, "x")),
        ("qwen", "b1-2", "unknown")
    );
}

#[test]
fn a_real_answer_becomes_a_recording() {
    let world = crate::bench::World::new("record");
    let (real, http) = (world.work.join("real"), world.work.join("scenario/http"));
    fs::create_dir_all(&real).unwrap();
    fs::create_dir_all(&http).unwrap();
    let events = "data: {\"model\":\"m\"}\n\ndata: [DONE]\n\n";
    fs::write(real.join("1.response.sse"), events).unwrap();
    fs::write(real.join("2.response.json"), r#"{"error":{"code":400}}"#).unwrap();
    fs::write(real.join("2.play"), "status 400\n").unwrap();
    let server = crate::replay::Server::start(&real);
    record(&server.url(), &http, 1, b"one");
    record(&server.url(), &http, 2, b"two");
    assert_eq!(server.end(), [b"one".to_vec(), b"two".to_vec()]);
    let kept = |name: &str| fs::read_to_string(http.join(name)).unwrap();
    assert_eq!(kept("1.response.sse"), events);
    assert_eq!(
        (kept("2.response.json").as_str(), kept("2.play").as_str()),
        (r#"{"error":{"code":400}}"#, "status 400\n")
    );
    let about = fs::read_to_string(http.with_file_name("about")).unwrap();
    assert!(about.starts_with("server: unknown\nmodel: m\ndate: 20"), "{about}");
}
