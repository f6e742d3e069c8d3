//! The owner of a session: takes what comes in, decides what goes out, and starts and ends all work.
//!
//! **Invariants:** only the owner hands lines to the outbox, so nothing follows an answer or a cancellation. It waits for
//! one thing, its inbox, and never longer than [`TICK`].

use crate::face::mcp::calls::{Call, Jobs};
use crate::face::mcp::protocol::{self, Era, Meta};
use crate::face::mcp::report::Report;
use crate::face::mcp::tools::Tool;
use crate::face::mcp::wires::{self, Outbox};
use crate::face::mcp::wish::{self, Asks};
use crate::face::mcp::work::{Seat, Work};
use crate::rules::client::{self, BATCHES};
use crate::rules::rpc::{
    self, Fault, Framed, INVALID_PARAMS, INVALID_REQUEST, Id, Line, Message, Object, is_null, items, object, text,
};
use crate::sys::wire;
use crate::words::env::Env;
use crate::words::error::{Context, Error, Kind};
use crate::words::stop::{Stop, TICK};
use crate::words::time::Utc;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// Lines and reports that may wait for the owner.
const INBOX: usize = 64;
/// How long a client may take to name its roots before a call goes on without them.
const ROOTS_WAIT: Duration = Duration::from_secs(1);
/// Once the client has gone: how long looks may take to end by themselves, and when all is over.
const LOOKS_END: Duration = Duration::from_millis(800);
const ALL_ENDS: Duration = Duration::from_millis(1800);
const MOST_SUBSCRIPTIONS: usize = 100;
const ROOTS: &str = "mux-roots";

/// What comes in.
pub enum Input {
    Framed(Framed),
    /// A worker is done.
    Ended(u64, Box<Report>),
}

/// What `mux mcp` was started with.
pub struct Start<'a> {
    pub env: &'a Env,
    pub config_file: Option<&'a Path>,
    /// Overrides what the client's name says.
    pub budget: Option<Duration>,
    pub clock: fn() -> Utc,
}

/// Serves one client until it goes, or a signal comes. Both are a good end.
///
/// # Errors
/// `Io` when the wire cannot be taken or no thread is to be had.
pub fn serve(start: &Start<'_>, stop: &Stop) -> Result<u8, Error> {
    let wire = wire::take().context(Kind::Io, || "cannot take standard input and output".to_string())?;
    let (sender, inbox) = sync_channel(INBOX);
    let threads = || "cannot start a thread".to_string();
    let outbox = Outbox::start(wire.output).context(Kind::Io, threads)?;
    wires::read(wire.input, sender.clone(), Input::Framed).context(Kind::Io, threads)?;
    let seat =
        Seat { env: start.env.clone(), config_file: start.config_file.map(Path::to_path_buf), clock: start.clock };
    let mut session = Session {
        jobs: Jobs::new(Arc::new(seat), sender),
        outbox,
        budget: start.budget,
        version: None,
        client: String::new(),
        roots: Vec::new(),
        roots_asked: None,
        has_roots: false,
        subscriptions: BTreeSet::new(),
    };
    session.attend(&inbox, stop);
    Ok(0)
}

struct Session {
    jobs: Jobs,
    outbox: Outbox,
    budget: Option<Duration>,
    /// Of the last handshake.
    version: Option<&'static str>,
    client: String,
    has_roots: bool,
    roots: Vec<PathBuf>,
    /// When the client was asked for its roots, while it has not answered.
    roots_asked: Option<Instant>,
    subscriptions: BTreeSet<Id>,
}

impl Session {
    fn attend(&mut self, inbox: &Receiver<Input>, stop: &Stop) {
        loop {
            let input = inbox.recv_timeout(TICK).ok();
            // The other end of the input may have been inherited by a program that lives on: then its end never comes.
            if stop.is_called() || self.outbox.is_gone() || input.is_none() && self.outbox.is_closed() {
                return self.end(inbox, Instant::now());
            }
            match input {
                Some(Input::Framed(Framed::End)) => return self.end(inbox, Instant::now() + LOOKS_END),
                Some(Input::Framed(Framed::TooLong)) => {
                    let most = rpc::LONGEST_LINE >> 20;
                    self.refuse(&Fault::new(None, INVALID_REQUEST, format!("a message may have {most} MiB")));
                }
                Some(Input::Framed(Framed::Line(line))) => self.line(&line),
                Some(Input::Ended(number, report)) => self.jobs.ended(number, *report, &self.outbox),
                None => {}
            }
            let may_start = self.roots_asked.is_none_or(|asked| asked.elapsed() >= ROOTS_WAIT);
            self.jobs.tend(&self.outbox, may_start.then_some(&self.roots));
        }
    }

    /// Ends all work: runs at once, looks at `looks_end` at the latest. Children are killed and trees rolled back by
    /// the workers; a worker that does not come to its end in time is left to the process's.
    fn end(&mut self, inbox: &Receiver<Input>, looks_end: Instant) {
        let all_ends = Instant::now() + ALL_ENDS;
        self.jobs.cancel_runs();
        while self.jobs.are_working() && Instant::now() < all_ends {
            if Instant::now() >= looks_end || self.outbox.is_gone() {
                self.jobs.cancel_all();
            }
            match inbox.recv_timeout(TICK) {
                Ok(Input::Ended(number, report)) => self.jobs.ended(number, *report, &self.outbox),
                // What came after the end was asked for is not read any more.
                Ok(Input::Framed(_)) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.jobs.tend(&self.outbox, Some(&self.roots));
        }
        self.outbox.drain(all_ends);
    }

    fn line(&mut self, line: &[u8]) {
        match rpc::parse(line) {
            Line::Blank => {}
            Line::One(message) => self.message(message),
            // Answered one by one, which JSON-RPC allows.
            Line::Batch(messages) if self.version == Some(BATCHES) => {
                for message in messages {
                    self.message(message);
                }
            }
            Line::Batch(_) => self.refuse(&Fault::new(None, INVALID_REQUEST, "this revision has no batches")),
        }
    }

    fn refuse(&self, fault: &Fault) {
        self.outbox.push(rpc::error(fault));
    }

    fn message(&mut self, message: Message<'_>) {
        match message {
            Message::Request { id, method, params } => {
                if let Err(fault) = self.request(&id, &method, &params) {
                    self.refuse(&fault);
                }
            }
            Message::Notification { method, params } => self.notification(&method, &params),
            Message::Response { id, result } => {
                if id == Some(Id::text(ROOTS)) && self.roots_asked.take().is_some() {
                    self.roots = result.map(roots).unwrap_or_default();
                }
            }
            Message::Invalid(fault) => self.refuse(&fault),
        }
    }

    fn notification(&mut self, method: &str, params: &Object<'_>) {
        match method {
            "notifications/cancelled" => {
                if let Some(id) = params.get("requestId").copied().and_then(Id::read) {
                    self.jobs.cancel(&id);
                    self.subscriptions.remove(&id);
                }
            }
            "notifications/initialized" | "notifications/roots/list_changed" => self.ask_for_roots(),
            _ => {}
        }
    }

    /// Asked only of a client that has said that it has some, and never twice at a time.
    fn ask_for_roots(&mut self) {
        if self.has_roots && self.roots_asked.is_none_or(|asked| asked.elapsed() >= ROOTS_WAIT) {
            self.roots_asked = Some(Instant::now());
            self.outbox.push(rpc::request(&Id::text(ROOTS), "roots/list"));
        }
    }

    fn request(&mut self, id: &Id, method: &str, params: &Object<'_>) -> Result<(), Fault> {
        let meta = protocol::meta(id, params)?;
        let bad = |what: &str| Fault::new(Some(id.clone()), INVALID_PARAMS, what);
        let answer = match (method, meta.era) {
            ("ping", Era::Handshake) => "{}".to_string(),
            ("initialize", Era::Handshake) => {
                let hello = protocol::hello(id, params)?;
                (self.version, self.client, self.has_roots) = (Some(hello.version), hello.client, hello.has_roots);
                protocol::welcome(hello.version)
            }
            ("server/discover", Era::Modern) => protocol::discovered(),
            ("server/discover", Era::Handshake) => return Err(bad("`server/discover` needs `_meta`")),
            ("subscriptions/listen" | "tools/call", _) if self.jobs.has_call(id) || self.subscriptions.contains(id) => {
                return Err(Fault::new(Some(id.clone()), INVALID_REQUEST, "a request with this id is still going on"));
            }
            ("subscriptions/listen", Era::Modern) if self.subscriptions.len() >= MOST_SUBSCRIPTIONS => {
                return Err(bad("there are too many subscriptions"));
            }
            ("subscriptions/listen", Era::Modern) => {
                self.subscriptions.insert(id.clone());
                let method = "notifications/subscriptions/acknowledged";
                self.outbox.push(rpc::notification(method, &protocol::subscribed(id)));
                return Ok(());
            }
            ("tools/list" | "tools/call", Era::Handshake) if self.version.is_none() => {
                return Err(Fault::new(Some(id.clone()), INVALID_REQUEST, "`initialize` comes first"));
            }
            ("tools/list", era) => {
                if params.get("cursor").is_some_and(|cursor| !is_null(cursor)) {
                    return Err(bad("the list has one page; there is no such cursor"));
                }
                protocol::tools(era)
            }
            ("tools/call", _) => return self.call(id, params, meta),
            _ => return Err(protocol::unknown(id, method)),
        };
        self.outbox.push(rpc::answer(id, &answer));
        Ok(())
    }

    fn call(&mut self, id: &Id, params: &Object<'_>, meta: Meta) -> Result<(), Fault> {
        let bad = |what: String| Fault::new(Some(id.clone()), INVALID_PARAMS, what);
        let name = params.get("name").copied().and_then(text).ok_or_else(|| bad("a call names its tool".into()))?;
        let tool = Tool::named(&name).ok_or_else(|| {
            let shown: String = name.chars().take(60).collect();
            bad(format!("there is no tool `{shown}`; there are {}", Tool::ALL.map(Tool::name).join(", ")))
        })?;
        let arguments = match params.get("arguments") {
            None => Object::new(),
            Some(raw) if is_null(raw) => Object::new(),
            Some(raw) => object(raw).ok_or_else(|| bad("`arguments` must be an object".into()))?,
        };
        let client = meta.client.clone().unwrap_or_else(|| self.client.clone());
        let budget = self.budget.unwrap_or_else(|| client::budget(&client));
        let call = Call::new(id.clone(), meta, &client, budget);
        let work = match tool {
            Tool::Mux => wish::of_mux(&arguments).map(|wish| self.jobs.run(Box::new(wish))),
            Tool::MuxJson => wish::of_json(&arguments).map(|asks| match asks {
                Asks::Run(wish) => self.jobs.run(wish),
                Asks::Result(run_id) => Work::Result(run_id),
            }),
            Tool::MuxDoctor => wish::nothing(&arguments).map(|()| Work::Doctor),
            Tool::MuxHealth => wish::nothing(&arguments).map(|()| Work::Health),
        };
        match work {
            Ok(_) if self.jobs.are_full() => {
                call.answer(&Report::failed("too many calls are waiting for an answer; wait for some"), &self.outbox);
            }
            Ok(work) => self.jobs.take(call, work),
            Err(what) => call.answer(&Report::failed(&what), &self.outbox),
        }
        Ok(())
    }
}

/// The directories in an answer to `roots/list`. One that is a file system's own root says nothing.
fn roots(result: &RawValue) -> Vec<PathBuf> {
    let list = object(result).and_then(|fields| items(fields.get("roots")?));
    let uri = |root: &&RawValue| object(root).and_then(|fields| text(fields.get("uri")?));
    let dirs = list.unwrap_or_default().iter().filter_map(uri).filter_map(|uri| client::root(&uri)).collect::<Vec<_>>();
    dirs.into_iter().filter(|dir| dir.parent().is_some()).collect()
}
