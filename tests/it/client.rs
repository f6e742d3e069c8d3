//! A client of `mux mcp` for tests: speaks JSON-RPC over the pipes of the real binary.
//!
//! **Invariant:** every line that comes is a JSON-RPC message; the first one that is not fails the test.

#![expect(clippy::needless_pass_by_value, reason = "a test writes its parameters where they go")]

use crate::bench::{World, wait};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(40);

pub struct Client {
    pub child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Value>,
    /// All that came, in order.
    pub seen: Vec<Value>,
}

/// How a server ended.
pub struct End {
    pub exit: i32,
    pub seen: Vec<Value>,
    pub stderr: String,
    pub took: Duration,
}

impl Client {
    /// Starts `mux mcp` with more arguments; says nothing yet.
    pub fn start(world: &World, args: &[&str]) -> Client {
        Client::of(&mut world.mux(), args)
    }

    pub fn of(mux: &mut Command, args: &[&str]) -> Client {
        mux.arg("mcp").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = mux.spawn().unwrap();
        let (sender, lines) = channel();
        let output = child.stdout.take().unwrap();
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let line = line.unwrap();
                let message = serde_json::from_str(&line).unwrap_or_else(|_| json!({"no message": line}));
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        Client { input: child.stdin.take(), child, lines, seen: Vec::new() }
    }

    /// Starts a server and shakes hands as `name`.
    pub fn greeted(world: &World, args: &[&str], name: &str) -> Client {
        let mut client = Client::start(world, args);
        client.greet(name, json!({}));
        client
    }

    pub fn greet(&mut self, name: &str, capabilities: Value) {
        let info = json!({"name": name, "version": "1"});
        let hello = json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": info});
        let answer = self.ask(0, "initialize", hello);
        assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
        self.tell("notifications/initialized", json!({}));
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.input.as_mut().unwrap().write_all(bytes).unwrap();
    }

    pub fn request(&mut self, id: impl Into<Value>, method: &str, params: Value) {
        let message = json!({"jsonrpc": "2.0", "id": id.into(), "method": method, "params": params});
        self.send(format!("{message}\n").as_bytes());
    }

    pub fn tell(&mut self, method: &str, params: Value) {
        let message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        self.send(format!("{message}\n").as_bytes());
    }

    /// Sends a request and waits for its answer.
    #[track_caller]
    pub fn ask(&mut self, id: impl Into<Value>, method: &str, params: Value) -> Value {
        let id = id.into();
        self.request(id.clone(), method, params);
        self.answer(id)
    }

    /// Begins a call, with its id as the progress token too.
    pub fn begin(&mut self, id: impl Into<Value>, tool: &str, arguments: Value) {
        let id = id.into();
        self.request(
            id.clone(),
            "tools/call",
            json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": id}}),
        );
    }

    /// Calls a tool and returns its result.
    #[track_caller]
    pub fn call(&mut self, id: impl Into<Value>, tool: &str, arguments: Value) -> Value {
        let id = id.into();
        self.begin(id.clone(), tool, arguments);
        self.answer(id)["result"].take()
    }

    #[track_caller]
    pub fn answer(&mut self, id: impl Into<Value>) -> Value {
        let id = id.into();
        self.until(&format!("the answer to {id}"), |message| message["id"] == id && message.get("method").is_none())
    }

    /// Returns the next message that is looked for.
    #[track_caller]
    pub fn until(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let message = self.lines.recv_timeout(left);
            let message = message.unwrap_or_else(|_| panic!("waited in vain for {what}; came: {:#?}", self.seen));
            assert_eq!(message["jsonrpc"], "2.0", "{message}");
            self.seen.push(message.clone());
            if is(&message) {
                return message;
            }
        }
    }

    /// Closes the input.
    pub fn hang_up(&mut self) {
        self.input = None;
    }

    /// Waits for the end of the server, once it has a reason.
    pub fn ended(mut self) -> End {
        let begun = Instant::now();
        let exit = wait(&mut self.child).0;
        let took = begun.elapsed();
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        self.seen.extend(self.lines.iter());
        assert!(self.seen.iter().all(|message| message["jsonrpc"] == "2.0"), "{:#?}", self.seen);
        End { exit, seen: self.seen, stderr, took }
    }

    /// Hangs up and expects a good end.
    #[track_caller]
    pub fn close(mut self) -> Vec<Value> {
        self.hang_up();
        let end = self.ended();
        assert_eq!((end.exit, end.stderr.as_str()), (0, ""));
        end.seen
    }
}

/// A server whose output is not read at all.
pub fn unread(world: &World) -> (Child, ChildStdin, ChildStdout) {
    let mut mux = world.mux();
    mux.arg("mcp").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = mux.spawn().unwrap();
    let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    (child, input, output)
}
