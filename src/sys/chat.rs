//! One call of a chat model: POST /chat/completions, always as a stream, because llama.cpp notices a closed stream in
//! 0.02 s and a closed plain request not at all.
//!
//! This module owns the clocks and the retries of one call; whether to ask again with another prompt is the engine's.
//! **Invariants:** at most [`RETRIES`] tries more, and none after the first token. The deadline of the first token spans
//! all tries. Nothing that ended early is a reply, nor is what goes round in circles: that is not waited for.

use crate::rules::chunk::Chunk;
use crate::rules::complaint::{Complaint, Hidden};
use crate::rules::json;
use crate::rules::stream::{Fault, Stream};
use crate::sys::http::{Answer, Http, Request, millis, stopped};
use crate::words::chat::{Ask, Message, Reply};
use crate::words::server::Server;
use crate::words::stop::{Stop, TICK};
use crate::words::task::{Failure, Phase};
use serde::Serialize;
use serde_json::json;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

/// Further tries after a failure that may pass: nobody answers, 408, 429, 5xx.
const RETRIES: u32 = 2;
/// Wait before the first retry; it doubles, and a random part keeps callers apart.
const BACK_OFF: Duration = Duration::from_millis(300);
/// How often a loading server is asked whether it is ready.
const POLL: Duration = Duration::from_millis(250);
/// Largest body of an error that is read.
const ERROR_LIMIT: usize = 64 << 10;
/// ureq's own deadline stands this far behind ours: a backstop.
const BACKSTOP: Duration = Duration::from_secs(5);

/// How long a call may take, and how much it may bring.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// From the start of the call to its first token: loading, queueing and retries included.
    pub first_token: Duration,
    /// From one token to the next. Pings and empty chunks are no tokens.
    pub idle: Duration,
    /// Text of the reply, in bytes.
    pub reply: usize,
}

/// What a call tells while it goes on.
#[derive(Debug, PartialEq)]
pub enum Progress<'a> {
    /// Nothing comes yet, and why: the server loads its model, or is tried again.
    Waiting { why: &'a str },
    /// Tokens came, `tokens` since sending. `text` is what is new of the answer: empty while the model reasons.
    Tokens { tokens: u64, elapsed: Duration, text: &'a str },
}

/// Asks a model and returns its complete reply. A reply that ran into the token limit is returned, too, with
/// `Finish::Length`.
///
/// # Errors
/// Every [`Failure`] of a model server: `Down`, `Timeout` (each clock under its name), `Http`, `Protocol`, `Server`,
/// `NoModel`, `Empty`, `ReasoningOnly`, `Looped`, `Hopeless`, `ContentFilter`, `ToolCalls`, `ContextOverflow`, and `Stopped`.
pub fn chat(
    http: &Http,
    server: &Server,
    messages: &[Message],
    ask: &Ask,
    bounds: &Bounds,
    stop: &Stop,
    on: &mut dyn FnMut(Progress<'_>),
) -> Result<Reply, Failure> {
    let hidden = Hidden { key: server.key.as_ref(), messages };
    let begun = Instant::now();
    let mut call = Call { http, server, hidden, ask, bounds, stop, on, begun };
    let mut with_extras = true;
    let mut retries = 0;
    loop {
        let body = body(server, messages, ask, with_extras)?;
        match call.attempt(&body) {
            Ok(reply) => return Ok(reply),
            Err(Miss::Extras(_)) if with_extras => with_extras = false,
            Err(Miss::Final(failure) | Miss::Extras(failure)) => return Err(failure),
            Err(Miss::Loading(_)) if call.wait_until_loaded()? => {}
            Err(Miss::Again(failure, _) | Miss::Loading(failure)) if retries == RETRIES => return Err(failure),
            Err(Miss::Again(failure, after)) => {
                retries += 1;
                call.pause(after.unwrap_or_else(|| back_off(retries)), failure)?;
            }
            Err(Miss::Loading(failure)) => {
                retries += 1;
                call.pause(back_off(retries), failure)?;
            }
        }
    }
}

/// Has a server say how many tokens of a prompt it has read, with a reply of one token that is no stream: some count only
/// there. `None` where it does not say.
pub fn count(http: &Http, server: &Server, messages: &[Message], timeout: Duration, stop: &Stop) -> Option<u64> {
    let body = json!({ "model": server.model, "messages": messages, "max_tokens": 1, "stream": false });
    let body = serde_json::to_vec(&body).ok()?;
    let body = Some(body.as_slice());
    let request = Request { url: &server.api("/chat/completions"), key: server.key.as_ref(), body, timeout };
    let answer = http.fetch(&request, ERROR_LIMIT, stop).ok().filter(|answer| answer.status == 200)?;
    let mut chunk = Chunk::default();
    json::read(&answer.body, &mut chunk).ok()?;
    chunk.usage?.prompt_tokens.count().filter(|counted| *counted > 0)
}

/// Why a try brought no reply, and what may be done about it.
enum Miss {
    Final(Failure),
    /// The same again may succeed; the server may have said when.
    Again(Failure, Option<Duration>),
    /// The server is loading its model.
    Loading(Failure),
    /// The server does not know one of the extras.
    Extras(Failure),
}

struct Call<'a> {
    http: &'a Http,
    server: &'a Server,
    hidden: Hidden<'a>,
    ask: &'a Ask,
    bounds: &'a Bounds,
    stop: &'a Stop,
    on: &'a mut dyn FnMut(Progress<'_>),
    begun: Instant,
}

/// The clocks of one try.
struct Clocks {
    sent: Instant,
    first: Option<Instant>,
    last: Instant,
}

impl Call<'_> {
    fn attempt(&mut self, body: &[u8]) -> Result<Reply, Miss> {
        let timeout = self.stop.deadline().saturating_duration_since(Instant::now()) + BACKSTOP;
        let url = self.server.api("/chat/completions");
        let request = Request { url: &url, key: self.server.key.as_ref(), body: Some(body), timeout };
        self.check(None).map_err(Miss::Final)?;
        let sent = Instant::now();
        let mut clocks = Clocks { sent, first: None, last: sent };
        let answer = self.http.start(&request, self.stop, self.until(&clocks));
        // A clock that has run out is the reason for whatever else it looks like.
        self.check(Some(&clocks)).map_err(Miss::Final)?;
        match answer {
            Ok(mut answer) if matches!(answer.status, 200..=299) => self.follow(&mut answer, &mut clocks),
            Ok(mut answer) => Err(self.refusal(&mut answer)),
            Err(failure @ Failure::Down { .. }) => Err(Miss::Again(failure, None)),
            Err(failure) => Err(Miss::Final(failure)),
        }
    }

    /// Reads the body of a 200 to its end.
    fn follow(&mut self, answer: &mut Answer, clocks: &mut Clocks) -> Result<Reply, Miss> {
        let mut stream = Stream::new(self.ask.max_tokens, self.bounds.reply).with_floor(self.ask.floor);
        let (mut seen, mut is_whole) = (0, false);
        while !stream.is_done() && !is_whole {
            let bytes = answer
                .next(self.stop, self.until(clocks))
                .map_err(|failure| Miss::Final(self.check(Some(clocks)).err().unwrap_or(failure)))?;
            is_whole = bytes.is_empty();
            stream.feed(&bytes).map_err(|fault| Miss::Final(self.fault(fault)))?;
            let tokens = stream.tokens();
            if tokens > seen {
                seen = tokens;
                clocks.last = Instant::now();
                clocks.first.get_or_insert(clocks.last);
                let elapsed = clocks.last.duration_since(clocks.sent);
                (self.on)(Progress::Tokens { tokens, elapsed, text: stream.fresh() });
            }
            self.check(Some(clocks)).map_err(Miss::Final)?;
        }
        let end = Instant::now();
        let read = stream.finish().map_err(|fault| Miss::Final(self.fault(fault)))?;
        // After `[DONE]` only the framing's end is left; with it the connection can be used again.
        if !is_whole {
            let _ = answer.next(self.stop, Instant::now() + TICK);
        }
        Ok(Reply {
            text: read.text,
            reasoning_bytes: read.reasoning_bytes,
            finish: read.finish,
            model: self.hidden.without_key(&read.model),
            prompt_tokens: read.prompt_tokens,
            completion_tokens: read.completion_tokens,
            tokens: read.tokens,
            first_token: clocks.first.unwrap_or(end).duration_since(clocks.sent),
            duration: end.duration_since(clocks.sent),
        })
    }

    /// Reads the body of an error and tells what it means.
    fn refusal(&mut self, answer: &mut Answer) -> Miss {
        let mut body = Vec::new();
        let begun = Instant::now();
        let clocks = Clocks { sent: begun, first: None, last: begun };
        while body.len() < ERROR_LIMIT {
            let bytes = answer.next(self.stop, self.until(&clocks));
            if let Err(failure) = self.check(Some(&clocks)) {
                return Miss::Final(failure);
            }
            match bytes {
                Ok(bytes) if !bytes.is_empty() => body.extend_from_slice(&bytes),
                // The status alone says enough, if the body is broken.
                Ok(_) | Err(_) => break,
            }
        }
        let (status, retry_after) = (answer.status, answer.retry_after);
        let complaint = Complaint::read(&body);
        let failure = complaint.failure(Some(status), &self.server.model, self.hidden);
        match status {
            400 | 422 if complaint.is_about_extras() => Miss::Extras(failure),
            503 if complaint.is_loading() => Miss::Loading(failure),
            408 | 429 | 500..=599 if matches!(failure, Failure::Http { .. }) => Miss::Again(failure, retry_after),
            _ => Miss::Final(failure), // all other numbers
        }
    }

    fn fault(&self, fault: Fault) -> Failure {
        match fault {
            Fault::Said(body) => Complaint::read(&body).failure(None, &self.server.model, self.hidden),
            Fault::Failed(failure) => failure,
        }
    }

    /// Looks at all clocks; without any of a try, only at those of the call.
    fn check(&self, clocks: Option<&Clocks>) -> Result<(), Failure> {
        if let Some(reason) = self.stop.reason() {
            return Err(stopped(reason, self.begun.elapsed()));
        }
        let (phase, since, limit) = self.clock(clocks);
        let waited = since.elapsed();
        if waited < limit { Ok(()) } else { Err(Failure::Timeout { phase, after_ms: millis(waited) }) }
    }

    /// When the clock that runs will have run out.
    fn until(&self, clocks: &Clocks) -> Instant {
        let (_, since, limit) = self.clock(Some(clocks));
        since + limit
    }

    fn clock(&self, clocks: Option<&Clocks>) -> (Phase, Instant, Duration) {
        match clocks {
            Some(Clocks { first: Some(_), last, .. }) => (Phase::Idle, *last, self.bounds.idle),
            Some(Clocks { first: None, .. }) | None => (Phase::FirstToken, self.begun, self.bounds.first_token),
        }
    }

    /// Waits while the server says that it is loading. Returns whether it did: a proxy in front may be up while what is
    /// behind it loads, and that counts as a retry.
    fn wait_until_loaded(&mut self) -> Result<bool, Failure> {
        let health = self.server.root("/health");
        let mut has_waited = false;
        loop {
            let answer = self.http.get(&health, self.server.key.as_ref(), BACKSTOP, ERROR_LIMIT, self.stop);
            if answer.is_ok_and(|answer| answer.status == 503) {
                has_waited = true;
            } else {
                return Ok(has_waited);
            }
            (self.on)(Progress::Waiting { why: "the server loads its model" });
            self.sleep(POLL)?;
            self.check(None)?;
        }
    }

    /// Waits before the next try, or fails at once when that would come too late: a `Retry-After` of a day is not slept.
    fn pause(&mut self, wait: Duration, failure: Failure) -> Result<(), Failure> {
        let left = self.bounds.first_token.saturating_sub(self.begun.elapsed());
        if wait >= left.min(self.stop.deadline().saturating_duration_since(Instant::now())) {
            return Err(failure);
        }
        (self.on)(Progress::Waiting { why: &failure.to_string() });
        self.sleep(wait)
    }

    fn sleep(&self, time: Duration) -> Result<(), Failure> {
        self.stop.sleep(time).map_or(Ok(()), |reason| Err(stopped(reason, self.begun.elapsed())))
    }
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: &'a [Message],
    max_tokens: u32,
    temperature: f64,
    stream: bool,
    // What not every server knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat_template_kwargs: Option<TemplateOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct TemplateOptions {
    enable_thinking: bool,
}

fn body(server: &Server, messages: &[Message], ask: &Ask, with_extras: bool) -> Result<Vec<u8>, Failure> {
    let body = Body {
        model: &server.model,
        messages,
        max_tokens: ask.max_tokens,
        temperature: ask.temperature,
        stream: true,
        stream_options: with_extras.then_some(StreamOptions { include_usage: true }),
        logprobs: with_extras.then_some(true),
        top_logprobs: with_extras.then_some(2),
        chat_template_kwargs: (with_extras && !ask.thinking).then_some(TemplateOptions { enable_thinking: false }),
    };
    serde_json::to_vec(&body).map_err(|error| Failure::Protocol { why: error.to_string() })
}

/// Returns the wait before the `retry`-th retry, from half of its nominal length to all of it.
fn back_off(retry: u32) -> Duration {
    let nominal = BACK_OFF * 2_u32.pow(retry.saturating_sub(1).min(4));
    // The hasher's keys are random: the only source of chance in std.
    let chance = u32::try_from(RandomState::new().hash_one(retry) % 1000).unwrap_or_default();
    nominal / 2 + nominal / 2 * chance / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::http::tests::{Answer, LOCAL, Loopback, hold, json, last, raw, serve, soon};
    use crate::words::chat::{Finish, Role};
    use crate::words::server::Secret;
    use crate::words::task::Refusal;
    use std::sync::mpsc::channel;

    const MINUTE: Duration = Duration::from_mins(1);
    const PATIENT: Bounds = Bounds { first_token: MINUTE, idle: MINUTE, reply: 8 << 20 };
    const OK: &str = r#"{"model":"m","choices":[{"finish_reason":"stop","message":{"content":"fine"}}]}"#;
    const HEAD: &str = "HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n\r\n";
    const TOKEN: &str = "HTTP/1.1 200 X\r\n\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";

    /// Calls a server of its own; returns the result, what was told meanwhile, and the requests.
    fn call(answers: Vec<Answer>, bounds: Bounds, stop: &Stop) -> (Result<Reply, Failure>, Vec<String>, Loopback) {
        let loopback = serve(answers);
        let http = Http::new(LOCAL, Duration::from_secs(5));
        let server = Server {
            base_url: format!("{}/v1", loopback.url),
            model: "m".into(),
            key: Secret::new("sk-secret"),
            window: None,
        };
        let messages = [Message { role: Role::User, content: "Write a function that adds two numbers.".into() }];
        let ask = Ask { max_tokens: 100, temperature: 0.5, thinking: false, floor: None };
        let mut told = Vec::new();
        let result = chat(&http, &server, &messages, &ask, &bounds, stop, &mut |progress| {
            told.push(match progress {
                Progress::Waiting { why } => why.to_string(),
                Progress::Tokens { tokens, text, .. } => format!("{tokens} {text}"),
            });
        });
        (result, told, loopback)
    }

    /// Returns the failure and the number of requests.
    fn failure(answers: Vec<Answer>) -> (Failure, usize) {
        let (result, _, loopback) = call(answers, PATIENT, &soon());
        (result.expect_err("no reply"), loopback.seen().len())
    }

    fn text(result: Result<Reply, Failure>) -> String {
        result.expect("a reply").text
    }

    #[test]
    fn a_recorded_stream_becomes_a_reply() {
        let body =
            include_str!("../../fixtures/http/19-chat-stream-logprobs.txt").split_once("\n\n").expect("a body").1;
        let chunked =
            format!("HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        let (result, told, loopback) = call(vec![raw(chunked)], PATIENT, &soon());
        let reply = result.expect("a reply");
        assert_eq!(
            (reply.text.as_str(), reply.finish, reply.model.as_str()),
            ("Hello there", Finish::Length, "smollm2")
        );
        assert_eq!(reply.tokens.iter().map(|token| token.bytes).collect::<Vec<_>>(), [5, 6]);
        assert_eq!(told, ["2 Hello there"]);
        assert!(reply.first_token <= reply.duration);
        let seen = loopback.seen();
        let (head, sent) = seen[0].split_once("\r\n\r\n").expect("a header");
        assert!(head.starts_with("0 POST /v1/chat/completions HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("authorization: Bearer sk-secret"), "{head}");
        assert_eq!(
            sent,
            r#"{"model":"m","messages":[{"role":"user","content":"Write a function that adds two numbers."}],"#
                .to_string()
                + r#""max_tokens":100,"temperature":0.5,"stream":true,"stream_options":{"include_usage":true},"#
                + r#""logprobs":true,"top_logprobs":2,"chat_template_kwargs":{"enable_thinking":false}}"#
        );
    }

    #[test]
    fn a_plain_completion_of_a_server_that_does_not_stream_is_taken() {
        let (result, told, _) = call(vec![json(200, OK)], PATIENT, &soon());
        assert_eq!(text(result), "fine");
        assert_eq!(told, Vec::<String>::new());
        let stream = format!("{HEAD}data: {OK}\n\n");
        assert_eq!(text(call(vec![last(&stream)], PATIENT, &soon()).0), "fine");
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        let busy = || json(503, r#"{"error":{"message":"no slot available"}}"#);
        let closed = || last("");
        let limited = || raw("HTTP/1.1 429 X\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n");
        for answers in [
            vec![closed(), json(200, OK)],
            vec![closed(), busy(), json(200, OK)],
            vec![limited(), json(408, ""), json(200, OK)],
            vec![json(500, "boom"), json(502, ""), json(200, OK)],
        ] {
            let expected = answers.len();
            let (result, told, loopback) = call(answers, PATIENT, &soon());
            assert_eq!(text(result), "fine");
            assert_eq!((loopback.seen().len(), told.len()), (expected, expected - 1));
        }
    }

    #[test]
    fn retries_are_counted() {
        let boom = || json(500, r#"{"error":"boom"}"#);
        let http = |status, message: &str| Failure::Http { status, message: message.into() };
        assert_eq!(failure(vec![boom(), boom(), boom(), json(200, OK)]), (http(500, "boom"), 3));
        let (down, requests) = failure(vec![]);
        assert!(matches!(down, Failure::Down { .. }) && requests == 3, "{down:?} after {requests}");
        for status in [400, 401, 403, 413, 418] {
            assert_eq!(failure(vec![json(status, r#"{"error":"no"}"#), json(200, OK)]), (http(status, "no"), 1));
        }
        let day = "HTTP/1.1 429 X\r\nRetry-After: 86400\r\nContent-Length: 5\r\n\r\nlater";
        assert_eq!(failure(vec![raw(day), json(200, OK)]), (http(429, "later"), 1));
        let redirect = "HTTP/1.1 307 X\r\nLocation: /v1/chat/completions\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(failure(vec![raw(redirect), json(200, OK)]), (http(307, "a redirect: mux follows none"), 1));
        assert_eq!(failure(vec![last("nonsense\r\n\r\n"), json(200, OK)]).1, 1);
    }

    #[test]
    fn nothing_is_tried_again_after_the_first_byte_of_a_reply() {
        let cut = |start: &str| failure(vec![last(start), json(200, OK)]);
        let protocol = |why: &str| (Failure::Protocol { why: why.into() }, 1);
        assert_eq!(cut(TOKEN), protocol("it ended without a finish_reason"));
        assert_eq!(cut(HEAD), protocol("it is empty"));
        let promised = OK.len() + 9;
        let short = format!("HTTP/1.1 200 X\r\nContent-Length: {promised}\r\n\r\n{OK}");
        assert_eq!(cut(&short), protocol("it is cut off: the connection ended inside it"));
    }

    #[test]
    fn a_server_without_log_probabilities_is_asked_without() {
        let recorded =
            include_str!("../../fixtures/http/16-chat-toplogprobs-only.txt").split_once("\n\n").expect("a body").1;
        let (result, _, loopback) = call(vec![json(400, recorded.trim()), json(200, OK)], PATIENT, &soon());
        assert_eq!(text(result), "fine");
        let seen = loopback.seen();
        assert!(seen[0].contains("logprobs") && seen[0].contains("stream_options"));
        assert!(seen[1].ends_with(r#""max_tokens":100,"temperature":0.5,"stream":true}"#), "{}", seen[1]);
        assert_eq!(failure(vec![json(400, recorded.trim()), json(400, recorded.trim()), json(200, OK)]).1, 2);
    }

    #[test]
    fn a_loading_server_is_waited_for() {
        let loading = || json(503, r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#);
        let ready = || json(200, r#"{"status":"ok"}"#);
        let answers = vec![loading(), loading(), loading(), ready(), json(200, OK)];
        let (result, told, loopback) = call(answers, PATIENT, &soon());
        assert_eq!(text(result), "fine");
        assert_eq!(told, ["the server loads its model"; 2]);
        let lines: Vec<_> = loopback.seen().iter().map(|seen| seen.lines().next().unwrap_or("").to_string()).collect();
        let (chat, health) = ("0 POST /v1/chat/completions HTTP/1.1", "0 GET /health HTTP/1.1");
        assert_eq!(lines, [chat, health, health, health, chat]);
        // A proxy that is up while what is behind it never loads: three tries, each with a look at its health.
        let stuck = vec![loading(), ready(), loading(), ready(), loading(), ready()];
        assert_eq!(failure(stuck), (Failure::Http { status: 503, message: "Loading model".into() }, 6));
    }

    #[track_caller]
    fn out_of_time(start: &'static str, bounds: Bounds, stop: &Stop, expected: Phase) {
        let (closed, is_closed) = channel();
        let (result, ..) = call(vec![hold(start, closed)], bounds, stop);
        match result {
            Err(Failure::Timeout { phase, .. }) => assert_eq!(phase, expected, "{start}"),
            other => panic!("{other:?} instead of {expected:?}"),
        }
        is_closed.recv_timeout(MINUTE).expect("the server sees at once that nobody listens");
    }

    #[test]
    fn each_clock_names_itself() {
        let brief = Duration::from_millis(150);
        let (first, idle) = (Bounds { first_token: brief, ..PATIENT }, Bounds { idle: brief, ..PATIENT });
        out_of_time("", first, &soon(), Phase::FirstToken);
        out_of_time("HTTP/1.1 200 X\r\nContent-", first, &soon(), Phase::FirstToken);
        out_of_time(HEAD, first, &soon(), Phase::FirstToken);
        out_of_time("HTTP/1.1 500 X\r\n\r\nboo", first, &soon(), Phase::FirstToken);
        out_of_time(TOKEN, idle, &soon(), Phase::Idle);
        for start in ["", HEAD, TOKEN] {
            out_of_time(start, PATIENT, &Stop::at(Instant::now() + brief), Phase::Overall);
        }
    }

    /// Sends a start, then pings until the client is gone.
    fn pings(start: &'static str) -> Answer {
        Box::new(move |stream| {
            use std::io::Write as _;
            let mut sent = stream.write_all(start.as_bytes());
            while sent.is_ok() {
                std::thread::sleep(Duration::from_millis(5));
                sent = stream.write_all(b": ping\n\ndata: {\"choices\":[{\"delta\":{\"content\":null}}]}\n\n");
            }
            false
        })
    }

    #[test]
    fn pings_are_no_tokens() {
        let brief = Duration::from_millis(150);
        for (start, bounds, expected) in [
            (HEAD, Bounds { first_token: brief, ..PATIENT }, Phase::FirstToken),
            (TOKEN, Bounds { idle: brief, ..PATIENT }, Phase::Idle),
        ] {
            let (result, ..) = call(vec![pings(start)], bounds, &soon());
            assert!(matches!(result, Err(Failure::Timeout { phase, .. }) if phase == expected), "{result:?}");
        }
    }

    #[test]
    fn a_cancellation_closes_the_stream() {
        let (closed, is_closed) = channel();
        let loopback = serve(vec![hold(TOKEN, closed)]);
        let stop = soon();
        let http = Http::new(LOCAL, Duration::from_secs(5));
        let server = Server { base_url: loopback.url.clone(), model: "m".into(), key: None, window: None };
        let ask = Ask { max_tokens: 9, temperature: 0.0, thinking: true, floor: None };
        let result = chat(&http, &server, &[], &ask, &PATIENT, &stop, &mut |_| stop.cancel());
        assert_eq!(result, Err(Failure::Stopped { why: Refusal::Canceled }));
        is_closed.recv_timeout(MINUTE).expect("the server sees the end");
        assert!(!loopback.seen()[0].contains("chat_template_kwargs"), "a model that may think is not told otherwise");
        assert_eq!(chat(&http, &server, &[], &ask, &PATIENT, &stop, &mut |_| {}), result);
        assert_eq!(loopback.seen().len(), 1, "nothing is sent after a cancellation");
    }

    #[test]
    fn errors_in_a_200_are_errors() {
        let server = |message: &str| Failure::Server { message: message.into() };
        assert_eq!(failure(vec![json(200, r#"{"error":{"message":"out of memory"}}"#)]), (server("out of memory"), 1));
        let event = format!("{TOKEN}data: {{\"error\":{{\"message\":\"out of memory\"}}}}\n\ndata: [DONE]\n\n");
        assert_eq!(failure(vec![last(&event)]), (server("out of memory"), 1));
        let overflow = include_str!("../../fixtures/http/40-overflow-stream.txt").split_once("\n\n").expect("a body").1;
        let expected = Failure::ContextOverflow { needed: 3031, window: 2048 };
        assert_eq!(failure(vec![json(400, overflow.trim())]), (expected, 1));
    }

    #[test]
    fn what_a_server_sends_back_is_not_shown() {
        let echo = r#"{"error":{"message":"bad header: Authorization: Bearer sk-secret prompt: {\"messages\":[{\"content\":\"Write a function that adds two numbers.\"}]}"}}"#;
        let (failure, _) = failure(vec![json(400, echo)]);
        let message =
            "bad header: Authorization: Bearer [key] prompt: {\"messages\":[{\"content\":\"… (it repeats the request)";
        assert_eq!(failure, Failure::Http { status: 400, message: message.into() });
    }
}
