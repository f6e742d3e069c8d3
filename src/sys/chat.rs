//! One call of a chat model: POST /chat/completions, always as a stream, because llama.cpp notices a closed stream in
//! 0.02 s and a closed plain request not at all.
//!
//! This module owns the clocks and the retries of one call; whether to ask again with another prompt is the engine's.
//! **Invariants:** at most [`RETRIES`] tries more, and none after the first token. The deadline of the first token spans
//! all tries. Nothing that ended early is a reply.

use crate::rules::complaint::{Complaint, Hidden};
use crate::rules::stream::{Fault, Stream};
use crate::sys::http::{Http, Piece, Request, Running, millis, stopped};
use crate::words::chat::{Ask, Message, Reply};
use crate::words::server::Server;
use crate::words::stop::{Stop, TICK};
use crate::words::task::{Failure, Phase};
use serde::Serialize;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
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

/// How long a call may wait.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// From the start of the call to its first token: loading, queueing and retries included.
    pub first_token: Duration,
    /// From one token to the next. Pings and empty chunks are no tokens.
    pub idle: Duration,
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
/// `NoModel`, `Empty`, `ReasoningOnly`, `ContentFilter`, `ToolCalls`, `ContextOverflow`, and `Stopped`.
pub fn chat(
    http: &Http,
    server: &Server,
    messages: &[Message],
    ask: &Ask,
    waits: &Waits,
    stop: &Stop,
    on: &mut dyn FnMut(Progress<'_>),
) -> Result<Reply, Failure> {
    let hidden = Hidden { key: server.key.as_ref(), messages };
    let begun = Instant::now();
    let mut call = Call { http, server, hidden, ask, waits, stop, on, begun };
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
    waits: &'a Waits,
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
    fn attempt(&mut self, body: &Arc<[u8]>) -> Result<Reply, Miss> {
        let timeout = self.stop.deadline().saturating_duration_since(Instant::now()) + BACKSTOP;
        let url = self.server.api("/chat/completions");
        let request = Request { url: &url, key: self.server.key.as_ref(), body: Some(Arc::clone(body)), timeout };
        self.check(None).map_err(Miss::Final)?;
        let mut running = self.http.start(&request).map_err(Miss::Final)?;
        let sent = Instant::now();
        let mut clocks = Clocks { sent, first: None, last: sent };
        loop {
            match running.next(self.stop.tick()) {
                Some(Piece::Head { status: 200..=299, .. }) => return self.follow(&mut running, &mut clocks),
                Some(Piece::Head { status, retry_after }) => {
                    return Err(self.refusal(&mut running, status, retry_after));
                }
                Some(Piece::Failed(failure @ Failure::Down { .. })) => return Err(Miss::Again(failure, None)),
                Some(Piece::Failed(failure)) => return Err(Miss::Final(failure)),
                Some(Piece::Bytes(_) | Piece::End) | None => {}
            }
            self.check(Some(&clocks)).map_err(Miss::Final)?;
        }
    }

    /// Reads the body of a 200 to its end.
    fn follow(&mut self, running: &mut Running<'_>, clocks: &mut Clocks) -> Result<Reply, Miss> {
        let mut stream = Stream::new(self.ask.max_tokens);
        let mut seen = 0;
        while !stream.is_done() {
            match running.next(self.stop.tick()) {
                Some(Piece::Bytes(bytes)) => stream.feed(&bytes).map_err(|fault| Miss::Final(self.fault(fault)))?,
                Some(Piece::End) => break,
                Some(Piece::Failed(failure)) => return Err(Miss::Final(failure)),
                Some(Piece::Head { .. }) | None => {}
            }
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
        if !running.is_over() {
            running.next(TICK);
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
    fn refusal(&mut self, running: &mut Running<'_>, status: u16, retry_after: Option<Duration>) -> Miss {
        let mut body = Vec::new();
        let begun = Instant::now();
        let clocks = Clocks { sent: begun, first: None, last: begun };
        while body.len() < ERROR_LIMIT {
            match running.next(self.stop.tick()) {
                Some(Piece::Bytes(bytes)) => body.extend_from_slice(&bytes),
                // The status alone says enough, if the body is broken.
                Some(Piece::End | Piece::Failed(_)) => break,
                Some(Piece::Head { .. }) | None => {}
            }
            if let Err(failure) = self.check(Some(&clocks)) {
                return Miss::Final(failure);
            }
        }
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
        let (phase, since, limit) = match clocks {
            Some(Clocks { first: Some(_), last, .. }) => (Phase::Idle, *last, self.waits.idle),
            Some(Clocks { first: None, .. }) | None => (Phase::FirstToken, self.begun, self.waits.first_token),
        };
        let waited = since.elapsed();
        if waited < limit { Ok(()) } else { Err(Failure::Timeout { phase, after_ms: millis(waited) }) }
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
        let left = self.waits.first_token.saturating_sub(self.begun.elapsed());
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
    #[serde(flatten)]
    extras: Option<Extras>,
}

/// What not every server knows.
#[derive(Serialize)]
struct Extras {
    stream_options: StreamOptions,
    logprobs: bool,
    top_logprobs: u8,
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

fn body(server: &Server, messages: &[Message], ask: &Ask, with_extras: bool) -> Result<Arc<[u8]>, Failure> {
    let extras = with_extras.then(|| Extras {
        stream_options: StreamOptions { include_usage: true },
        logprobs: true,
        top_logprobs: 2,
        chat_template_kwargs: (!ask.thinking).then_some(TemplateOptions { enable_thinking: false }),
    });
    let (max_tokens, temperature) = (ask.max_tokens, ask.temperature);
    let body = Body { model: &server.model, messages, max_tokens, temperature, stream: true, extras };
    let body = serde_json::to_vec(&body).map_err(|error| Failure::Protocol { why: error.to_string() })?;
    Ok(body.into())
}

/// Returns the wait before the `retry`-th retry, from half of its nominal length to all of it.
fn back_off(retry: u32) -> Duration {
    let nominal = BACK_OFF * 2_u32.pow(retry.saturating_sub(1).min(4));
    // The hasher's keys are random: the only source of chance in std.
    let chance = u32::try_from(RandomState::new().hash_one(retry) % 1000).unwrap_or_default();
    nominal / 2 + nominal / 2 * chance / 1000
}
