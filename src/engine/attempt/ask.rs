//! One call of the local model, from the place in the queue to the record of the try.

use crate::engine::gathered::Scale;
use crate::rules::context::AROUND;
use crate::rules::prompt::estimate_tokens;
use crate::sys::chat::{self, Progress, Waits};
use crate::sys::http::Http;
use crate::sys::lane;
use crate::sys::servers;
use crate::words::chat::{Ask, Finish, Message, Reply};
use crate::words::event::{Event, Watcher};
use crate::words::server::Server;
use crate::words::stop::Stop;
use crate::words::task::{Attempt, Failure, Phase, Refusal, Route};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Prompt and reply together below this many tokens fit every server that is worth asking: its window is not asked for.
const SURELY_FITS: u64 = 3500;
/// What a chat template puts around a message, in tokens.
const PER_MESSAGE: u64 = 8;
/// The largest reply that is asked of a server that does not tell its window.
const LARGEST_UNKNOWN: u32 = 16_384;
/// The shortest reply that is worth a call, in tokens.
const SHORTEST_REPLY: u64 = 256;
/// A server that counts less than this share of the estimated prompt has cut it. Real counts were 0.69 to 0.83 of the
/// estimate (48 prompts, Qwen2.5-Coder); this is 15 % below the least of them.
const LEAST_COUNTED: f64 = 0.58;
/// Below this estimate no window in use is too small, and chat templates blur the count.
const WORTH_COUNTING: u64 = 1500;

/// How long the server may take to say how much fits.
const WINDOW_TIMEOUT: Duration = Duration::from_secs(2);

/// The local model of a run and how it is called.
pub struct LocalModel {
    pub http: Http,
    pub server: Server,
    waits: Waits,
    /// Where the queue's tickets are.
    lanes: PathBuf,
    /// Requests at a time over all mux processes (`providers.local.parallel`).
    parallel: usize,
    /// Asked for at most once a run.
    window: OnceCell<Option<u64>>,
}

impl LocalModel {
    pub fn new(http: Http, server: Server, waits: Waits, lanes: PathBuf, parallel: usize) -> LocalModel {
        LocalModel { http, server, waits, lanes, parallel, window: OnceCell::new() }
    }

    /// Returns the server's count of a text against the estimate of it. Not asked where the estimate, which is from
    /// above, fits with a reply.
    pub fn scale(&self, text: &str, reply: u64, stop: &Stop) -> Scale {
        let estimated = estimate_tokens(text);
        if estimated == 0 || self.window(stop).is_none_or(|window| estimated + reply + AROUND <= window) {
            return Scale::SAME;
        }
        let counted = servers::count_tokens(&self.http, &self.server, text, WINDOW_TIMEOUT, stop);
        counted.map_or(Scale::SAME, |counted| Scale { counted, estimated })
    }

    /// Returns the name of the server's model, where it has only one.
    pub fn only(&self, stop: &Stop) -> Option<String> {
        let models = servers::models(&self.http, &self.server, WINDOW_TIMEOUT, stop)?;
        <[String; 1]>::try_from(models).ok().map(|[only]| only)
    }

    /// Returns how many tokens fit, where that has been asked for already: a score is not worth a question.
    pub fn known_window(&self) -> Option<u64> {
        self.server.window.or_else(|| self.window.get().copied().flatten())
    }

    /// Returns how many tokens fit, prompt and reply together. The server is asked at most once a run.
    pub fn window(&self, stop: &Stop) -> Option<u64> {
        let known = || self.server.window.or_else(|| servers::window(&self.http, &self.server, WINDOW_TIMEOUT, stop));
        *self.window.get_or_init(known)
    }
}

/// Returns whether so many tokens of files and reply fit every server that is worth asking.
pub fn surely_fits(tokens: u64) -> bool {
    tokens + AROUND <= SURELY_FITS
}

/// Asks once. The attempt holds what is known of the call, also when it failed.
pub fn ask(
    model: &LocalModel,
    messages: &[Message],
    ask: Ask,
    number: u32,
    watcher: &mut dyn Watcher,
    stop: &Stop,
) -> (Attempt, Result<Reply, Failure>) {
    let start = Instant::now();
    let reply = fit(model, messages, ask, stop).and_then(|ask| call(model, messages, &ask, number, watcher, stop));
    let reply = reply.and_then(|reply| whole(reply, messages));
    if let (Ok(reply), 1) = (&reply, number)
        && reply.model != model.server.model
        && !model.server.model.is_empty()
    {
        let (asked, answered) = (&model.server.model, &reply.model);
        watcher.event(&Event::Note(&format!("asked for the model {asked}, {answered} answered")));
    }
    (attempt(model, start.elapsed(), &reply), reply)
}

/// The tokens of a prompt, estimated from above.
fn estimate(messages: &[Message]) -> u64 {
    messages.iter().map(|message| estimate_tokens(&message.content) + PER_MESSAGE).sum()
}

/// Cuts `max_tokens` to what the window leaves, or says that the prompt does not fit.
fn fit(model: &LocalModel, messages: &[Message], ask: Ask, stop: &Stop) -> Result<Ask, Failure> {
    let estimate = estimate(messages);
    let wanted = u64::from(ask.max_tokens);
    if estimate.saturating_add(wanted) <= SURELY_FITS {
        return Ok(ask);
    }
    let Some(window) = model.window(stop) else {
        return Ok(Ask { max_tokens: ask.max_tokens.min(LARGEST_UNKNOWN), ..ask });
    };
    let mut needed = estimate;
    if estimate.saturating_add(wanted) > window {
        let text: String = messages.iter().map(|message| message.content.as_str()).collect();
        let counted = servers::count_tokens(&model.http, &model.server, &text, WINDOW_TIMEOUT, stop);
        // The estimate is meant to be high. Without the server's own count a quarter of the bytes is the likely size.
        needed = counted.map_or(text.len() as u64 / 4, |tokens| tokens + PER_MESSAGE * messages.len() as u64);
    }
    if needed + SHORTEST_REPLY > window {
        return Err(Failure::ContextOverflow { needed: needed + SHORTEST_REPLY, window });
    }
    Ok(Ask { max_tokens: ask.max_tokens.min(u32::try_from(window - needed).unwrap_or(u32::MAX)), ..ask })
}

fn call(
    model: &LocalModel,
    messages: &[Message],
    ask: &Ask,
    number: u32,
    watcher: &mut dyn Watcher,
    stop: &Stop,
) -> Result<Reply, Failure> {
    let server = &model.server;
    let mut queued = |ahead| watcher.event(&Event::Queued { ahead });
    let _ticket = lane::enter(&model.lanes, &server.base_url, model.parallel, stop, &mut queued)?;
    watcher.event(&Event::Asking { route: Route::Local, model: &server.model, attempt: number });
    chat::chat(&model.http, server, messages, ask, &model.waits, stop, &mut |progress| match progress {
        Progress::Waiting { why } => watcher.event(&Event::Note(why)),
        Progress::Tokens { tokens, elapsed, text } => watcher.event(&Event::Generating { tokens, elapsed, text }),
    })
}

/// A reply that was cut, or whose prompt was, is not a reply.
fn whole(reply: Reply, messages: &[Message]) -> Result<Reply, Failure> {
    let estimate = estimate(messages);
    if let Some(counted) = reply.prompt_tokens.filter(|counted| *counted > 0)
        && estimate > WORTH_COUNTING
        && (counted as f64) < LEAST_COUNTED * estimate as f64
    {
        return Err(Failure::ContextOverflow { needed: estimate, window: counted });
    }
    if reply.finish == Finish::Length { Err(Failure::Cut) } else { Ok(reply) }
}

fn attempt(model: &LocalModel, took: Duration, reply: &Result<Reply, Failure>) -> Attempt {
    let mut attempt = Attempt {
        route: Route::Local,
        model: model.server.model.clone(),
        argv: Vec::new(),
        duration_ms: millis(took),
        ttft_ms: None,
        prompt_tokens: None,
        completion_tokens: None,
        tokens_per_sec: None,
        failure: None,
        verdict: None,
        confidence: None,
        weights: None,
        signals: BTreeMap::new(),
        form: None,
        edits: BTreeMap::new(),
        cost_usd: None,
    };
    match reply {
        Ok(reply) => {
            let generating = reply.duration.saturating_sub(reply.first_token).as_secs_f64();
            let rate = |tokens: u64| tokens as f64 / generating.max(0.001);
            attempt.model.clone_from(&reply.model);
            attempt.ttft_ms = Some(millis(reply.first_token));
            attempt.prompt_tokens = reply.prompt_tokens;
            attempt.completion_tokens = reply.completion_tokens;
            attempt.tokens_per_sec = reply.completion_tokens.map(|tokens| (rate(tokens) * 10.0).round() / 10.0);
        }
        Err(failure) => attempt.failure = Some(failure.clone()),
    }
    attempt
}

/// Whole milliseconds of a span.
pub fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Why the run has to end, if that is what ended the call.
pub fn is_stop(failure: &Failure) -> Option<Refusal> {
    if let Failure::Stopped { why } = failure {
        return Some(*why);
    }
    matches!(failure, Failure::Timeout { phase: Phase::Overall, .. }).then_some(Refusal::Deadline)
}
