//! A model server on a real loopback socket that answers what was recorded, in order, and keeps what it was asked. It
//! can be slow, rude or broken where a scenario says so. Standard library only; no more HTTP than a test needs.
//!
//!     http/1.response.json | .sse | .raw     the first POST gets a JSON body, an event stream, or these bytes raw
//!     http/1.play                            how, when not at once:
//!         status 503                             instead of 200
//!         header Retry-After: 1
//!         wait 300                               milliseconds
//!         until NAME                             a file of that name is in the folder
//!         send 120                               so many bytes of the body; `send` alone: all that is left
//!         cut | hang                             close, or keep silent until the client goes
//!     http/health.json models.json props.json …  GET of that name, with `NAME.play`; health and models have defaults
//!
//! **Invariant:** no client can keep a test: every read and every wait ends when the server is ended.

use fs_err as fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// As llama.cpp b11669 answers, shortened to what clients read.
const HEALTH: &str = r#"{"status":"ok"}"#;
const MODELS: &str = r#"{"object":"list","data":[{"id":"qwen-coder-1.5b","object":"model","owned_by":"llamacpp","meta":{"n_ctx":8192,"n_ctx_train":32768}}]}"#;
const NOT_FOUND: &str = r#"{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}"#;

/// How often a waiting thread looks whether the server was ended.
const LOOK: Duration = Duration::from_millis(20);

/// A running server; [`Server::end`] stops it and tells what came.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    folder: PathBuf,
    /// Who answers what nobody has recorded; see `record.rs`.
    upstream: Option<String>,
    /// Bodies of the POSTs, in order of arrival.
    seen: Mutex<Vec<Vec<u8>>>,
    /// Heads of all requests, in order of arrival.
    heads: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl Server {
    /// Serves a scenario's `http/` folder on a free port.
    pub fn start(folder: &Path) -> Server {
        Server::with(folder, None)
    }

    /// As [`Server::start`], at another address of this machine.
    pub fn at(address: IpAddr, folder: &Path) -> Server {
        Server::listening(TcpListener::bind((address, 0)).unwrap(), folder, None)
    }

    /// As [`Server::start`]; has a real server answer what is not recorded yet.
    pub fn with(folder: &Path, upstream: Option<String>) -> Server {
        Server::listening(TcpListener::bind("127.0.0.1:0").unwrap(), folder, upstream)
    }

    fn listening(listener: TcpListener, folder: &Path, upstream: Option<String>) -> Server {
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            folder: folder.to_path_buf(),
            upstream,
            seen: Mutex::default(),
            heads: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let inner = shared.clone();
        let accepting = thread::spawn(move || {
            let mut connections = Vec::new();
            for stream in listener.incoming() {
                if inner.ended.load(Ordering::SeqCst) {
                    break;
                }
                let shared = inner.clone();
                // A connection that breaks off is the client's business; what it asked is recorded.
                connections.push(thread::spawn(move || drop(shared.serve(&stream.unwrap()))));
            }
            for connection in connections {
                connection.join().unwrap();
            }
        });
        Server { address, shared, accepting }
    }

    /// Returns `http://ADDRESS:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the request lines and headers so far.
    pub fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().unwrap().clone()
    }

    /// Stops the server; returns the bodies of all POSTs in order.
    pub fn end(self) -> Vec<Vec<u8>> {
        self.shared.ended.store(true, Ordering::SeqCst);
        // `accept` has no deadline; a last connection wakes it.
        let _ = TcpStream::connect(self.address);
        self.accepting.join().unwrap();
        std::mem::take(&mut self.shared.seen.lock().unwrap())
    }
}

struct Request {
    head: String,
    body: Vec<u8>,
}

/// What is sent for one request.
struct Response {
    status: u16,
    headers: Vec<String>,
    form: Form,
    body: Vec<u8>,
    plays: Vec<Play>,
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Json,
    /// In chunks, one for each event.
    Stream,
    /// Bytes as they are, head included; the connection ends with them.
    Raw,
}

enum Play {
    Wait(Duration),
    Until(String),
    Send(usize),
    Cut,
    Hang,
}

impl Shared {
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(Some(Duration::from_secs(10)))?;
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        while let Some(request) = self.request(&mut reader)? {
            let is_last = header(&request.head, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
            let response = self.response(request);
            if !self.answer(&response, stream)? || is_last {
                break;
            }
        }
        Ok(())
    }

    /// Reads one request; `None` when the client is done or the server is ended.
    fn request(&self, reader: &mut BufReader<&TcpStream>) -> io::Result<Option<Request>> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if !self.patiently(|| reader.read_until(b'\n', &mut head).map(|n| n > 0))? {
                return Ok(None);
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let length = header(&head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0_usize);
        let mut body = Vec::new();
        assert!(header(&head, "transfer-encoding").is_none(), "the replay server reads no chunked requests:\n{head}");
        while body.len() < length {
            let mut piece = vec![0; length - body.len()];
            let more = self.patiently(|| {
                reader.read(&mut piece).map(|n| {
                    piece.truncate(n);
                    n > 0
                })
            })?;
            if !more {
                return Ok(None);
            }
            body.extend(piece);
        }
        Ok(Some(Request { head, body }))
    }

    /// Repeats a read that ran into the short timeout until it succeeds or the server is ended (then: false).
    fn patiently(&self, mut read: impl FnMut() -> io::Result<bool>) -> io::Result<bool> {
        loop {
            match read() {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    if self.ended.load(Ordering::SeqCst) {
                        return Ok(false);
                    }
                }
                other => return other,
            }
        }
    }

    fn response(&self, request: Request) -> Response {
        self.heads.lock().unwrap().push(request.head.clone());
        let mut words = request.head.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let name = path.split('?').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        if method == "POST" && path.ends_with("/chat/completions") {
            let mut seen = self.seen.lock().unwrap();
            seen.push(request.body);
            let n = seen.len();
            if let (Some(upstream), None) = (&self.upstream, crate::bench::response(&self.folder, n)) {
                crate::record::record(upstream, &self.folder, n, &seen[n - 1]);
            }
            return self.recorded(n);
        }
        let (status, body) = match (fs::read(self.folder.join(format!("{name}.json"))), name) {
            (Ok(body), _) => (200, body),
            (Err(_), "health") => (200, HEALTH.into()),
            (Err(_), "models") => (200, MODELS.into()),
            (Err(_), _) => (404, NOT_FOUND.into()),
        };
        self.played(name, Response { status, headers: Vec::new(), form: Form::Json, body, plays: Vec::new() })
    }

    fn recorded(&self, n: usize) -> Response {
        let plain = |status, form, body| Response { status, headers: Vec::new(), form, body, plays: Vec::new() };
        let Some(path) = crate::bench::response(&self.folder, n) else {
            let text = format!(r#"{{"error":{{"code":500,"message":"call {n} is not recorded","type":"replay"}}}}"#);
            return plain(500, Form::Json, text.into());
        };
        let form = match path.extension().and_then(|ending| ending.to_str()) {
            Some("sse") => Form::Stream,
            Some("raw") => Form::Raw,
            _ => Form::Json,
        };
        self.played(&n.to_string(), plain(200, form, fs::read(path).unwrap()))
    }

    /// Adds what `NAME.play` says.
    fn played(&self, name: &str, mut response: Response) -> Response {
        for line in fs::read_to_string(self.folder.join(format!("{name}.play"))).unwrap_or_default().lines() {
            let (word, value) = line.split_once(' ').unwrap_or((line, ""));
            let number = || value.parse::<usize>().unwrap_or_else(|_| panic!("{name}.play: `{line}` needs a number"));
            match word {
                "status" => response.status = u16::try_from(number()).unwrap(),
                "header" => response.headers.push(value.to_string()),
                "wait" => response.plays.push(Play::Wait(Duration::from_millis(number() as u64))),
                "until" => response.plays.push(Play::Until(value.to_string())),
                "send" if value.is_empty() => response.plays.push(Play::Send(usize::MAX)),
                "send" => response.plays.push(Play::Send(number())),
                "cut" => response.plays.push(Play::Cut),
                "hang" => response.plays.push(Play::Hang),
                "" | "#" => {}
                _ => panic!("{name}.play: unknown word `{word}`"),
            }
        }
        response
    }

    /// Sends a response; returns whether the connection lives on.
    fn answer(&self, response: &Response, mut out: &TcpStream) -> io::Result<bool> {
        let mut rest: &[u8] = &response.body;
        let mut has_head = response.form == Form::Raw;
        for play in &response.plays {
            match play {
                Play::Wait(time) => self.sleep(*time),
                Play::Until(name) => {
                    while !self.folder.join(name).exists() && !self.ended.load(Ordering::SeqCst) {
                        thread::sleep(LOOK);
                    }
                }
                Play::Send(bytes) => {
                    send_head(response, out, &mut has_head)?;
                    let (now, later) = rest.split_at((*bytes).min(rest.len()));
                    send(response.form, now, out)?;
                    rest = later;
                }
                Play::Cut => return Ok(false),
                Play::Hang => {
                    self.patiently(|| (&mut &*out).read(&mut [0; 64]).map(|n| n > 0))?;
                    return Ok(false);
                }
            }
        }
        send_head(response, out, &mut has_head)?;
        send(response.form, rest, out)?;
        if response.form == Form::Stream {
            out.write_all(b"0\r\n\r\n")?;
        }
        Ok(response.form != Form::Raw)
    }

    fn sleep(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end && !self.ended.load(Ordering::SeqCst) {
            thread::sleep(LOOK.min(end.saturating_duration_since(Instant::now())));
        }
    }
}

fn send_head(response: &Response, mut out: &TcpStream, is_sent: &mut bool) -> io::Result<()> {
    if std::mem::replace(is_sent, true) {
        return Ok(());
    }
    let form = match response.form {
        Form::Stream => "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n".to_string(),
        Form::Json | Form::Raw => {
            format!("Content-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\n", response.body.len())
        }
    };
    let more: String = response.headers.iter().flat_map(|header| [header, "\r\n"]).collect();
    let head = format!("HTTP/1.1 {} Replayed\r\nServer: llama.cpp\r\n{form}{more}", response.status);
    out.write_all(format!("{head}\r\n").as_bytes())
}

/// Sends a part of the body; of a stream, each event in a chunk of its own.
fn send(form: Form, bytes: &[u8], mut out: &TcpStream) -> io::Result<()> {
    if form != Form::Stream {
        return out.write_all(bytes);
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.windows(2).position(|pair| pair == b"\n\n").map_or(rest.len(), |at| at + 2);
        let (event, later) = rest.split_at(end);
        let mut chunk = format!("{:x}\r\n", event.len()).into_bytes();
        chunk.extend_from_slice(event);
        chunk.extend_from_slice(b"\r\n");
        out.write_all(&chunk)?;
        rest = later;
    }
    Ok(())
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// Sends bytes on a new connection and reads to the end.
fn ask(url: &str, requests: &str) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(requests.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

fn post(body: &str) -> String {
    format!("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn folder(name: &str, files: &[(&str, &str)]) -> (crate::bench::World, Server) {
    let world = crate::bench::World::new(name);
    for (name, text) in files {
        fs::write(world.work.join(name), text).unwrap();
    }
    let server = Server::start(&world.work);
    (world, server)
}

#[test]
fn recorded_responses_come_in_order_on_one_connection() {
    let (_world, server) =
        folder("order", &[("1.response.json", r#"{"n":1}"#), ("2.response.sse", "data: a\n\ndata: [DONE]\n\n")]);
    let health = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = ask(&server.url(), &format!("{health}{}{}", post("one"), post("two")));
    let bodies: Vec<&str> = answer.split("\r\n\r\n").skip(1).collect();
    assert!(bodies[0].starts_with(HEALTH), "{answer}");
    assert!(bodies[1].starts_with(r#"{"n":1}"#), "{answer}");
    assert_eq!(bodies[2], "9\r\ndata: a\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0");
    assert_eq!(server.heads().len(), 3);
    assert_eq!(server.end(), [b"one".to_vec(), b"two".to_vec()]);
}

#[test]
fn a_call_that_nobody_recorded_gets_a_500_and_is_counted() {
    let (_world, server) = folder("extra", &[]);
    assert!(ask(&server.url(), &post("{}")).starts_with("HTTP/1.1 500 "));
    assert_eq!(server.end().len(), 1);
}

#[test]
fn a_play_changes_status_and_cuts_in_the_middle() {
    let files = [
        ("1.response.json", r#"{"error":1}"#),
        ("1.play", "status 503\nheader Retry-After: 1"),
        ("2.response.sse", "data: abc\n\ndata: def\n\n"),
        ("2.play", "wait 30\nsend 8\ncut"),
        ("health.json", "{}"),
        ("health.play", "status 503"),
    ];
    let (_world, server) = folder("play", &files);
    let busy = ask(&server.url(), &post("{}"));
    assert!(busy.starts_with("HTTP/1.1 503 ") && busy.contains("Retry-After: 1\r\n"), "{busy}");
    let cut = ask(&server.url(), &post("{}"));
    assert!(cut.ends_with("\r\n\r\n8\r\ndata: ab\r\n"), "{cut:?}");
    assert!(ask(&server.url(), "GET /health HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 503 "));
    server.end();
}

#[test]
fn raw_bytes_are_sent_as_they_are() {
    let (_world, server) = folder("raw", &[("1.response.raw", "not HTTP at all")]);
    assert_eq!(ask(&server.url(), &post("{}")), "not HTTP at all");
    server.end();
}

#[test]
fn a_hanging_answer_ends_with_the_server() {
    let (_world, server) = folder("hang", &[("1.response.json", "{}"), ("1.play", "send 1\nhang")]);
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(post("{}").as_bytes()).unwrap();
    let mut first = [0; 8];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1");
    assert_eq!(server.end().len(), 1);
}
