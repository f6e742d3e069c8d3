//! One call of the local model, from the place in the queue to the record of the try.

use crate::engine::attempt::leaving::Leaving;
use crate::engine::attempt::pacing::Pacing;
use crate::engine::gathered::{Gathered, Scale};
use crate::rules::confidence::Usual;
use crate::rules::context::AROUND;
use crate::rules::forecast::Forecast;
use crate::rules::prompt::estimate_tokens;
use crate::sys::chat::{self, Bounds, Progress};
use crate::sys::http::Http;
use crate::sys::lane;
use crate::sys::servers;
use crate::words::chat::{Ask, Finish, Message, Reply};
use crate::words::event::{Event, Watcher};
use crate::words::server::Server;
use crate::words::stop::Stop;
use crate::words::task::{Attempt, Failure, Phase, Refusal, Route};
use std::cell::OnceCell;
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
/// The smallest window in use, in tokens: Ollama's default before 2025.
const SMALLEST_WINDOW: u64 = 2048;

/// How long the server may take to say how much fits.
const WINDOW_TIMEOUT: Duration = Duration::from_secs(2);

/// The local model of a run and how it is called.
pub struct LocalModel {
    pub http: Http,
    pub server: Server,
    bounds: Bounds,
    line: Line,
    pub pacing: Pacing,
    /// Where the server is another machine.
    leaving: Option<Leaving>,
    /// Asked for at most once a run.
    window: OnceCell<Option<u64>>,
}

/// The queue in front of a server.
pub struct Line {
    /// Where its tickets are.
    pub lanes: PathBuf,
    /// Requests at a time over all mux processes (`providers.local.parallel`).
    pub parallel: usize,
}

impl LocalModel {
    pub fn new(
        http: Http,
        server: Server,
        bounds: Bounds,
        line: Line,
        pacing: Pacing,
        leaving: Option<Leaving>,
    ) -> LocalModel {
        LocalModel { http, server, bounds, line, pacing, leaving, window: OnceCell::new() }
    }

    /// Returns the server's count of a text against the estimate of it. Not asked where the estimate, which is from
    /// above, fits with a reply.
    pub fn scale(&self, text: &str, reply: u64, stop: &Stop) -> Scale {
        let estimated = estimate_tokens(text);
        if estimated == 0 || self.window(stop).is_none_or(|window| estimated + reply + AROUND <= window) {
            return Scale::SAME;
        }
        self.count(text, stop).map_or(Scale::SAME, |counted| Scale { counted, estimated })
    }

    /// Returns the name of the server's model, where it has only one.
    pub fn only(&self, stop: &Stop) -> Option<String> {
        let models = servers::models(&self.http, &self.server, WINDOW_TIMEOUT, stop)?;
        <[String; 1]>::try_from(models.ids).ok().map(|[only]| only)
    }

    /// Returns how many tokens fit, where that has been asked for already: a score is not worth a question.
    pub fn known_window(&self) -> Option<u64> {
        self.server.window.or_else(|| self.window.get().copied().flatten())
    }

    /// Returns how many tokens fit, prompt and reply together: as the server says, else as earlier calls have shown.
    pub fn window(&self, stop: &Stop) -> Option<u64> {
        self.told_window(stop).or_else(|| self.pacing.window())
    }

    /// Returns what the server says of its window. It is asked at most once a run. Only this may refuse a prompt before it
    /// is sent: a server that says nothing may have been started again with a larger window.
    fn told_window(&self, stop: &Stop) -> Option<u64> {
        let known = || self.server.window.or_else(|| servers::window(&self.http, &self.server, WINDOW_TIMEOUT, stop));
        *self.window.get_or_init(known)
    }

    /// Returns how many tokens the model can read before its first token is due, where that explains why it did not come:
    /// the prompt was longer.
    pub fn unread(&self, task: &str, context: &Gathered) -> Option<u64> {
        let readable = self.pacing.readable(self.bounds.first_token)?;
        (readable < prompt_tokens(task, context)).then_some(readable)
    }

    /// Returns how many tokens the server has read of a prompt, where it says so only of a call that is no stream. Such a
    /// call costs little: the server still holds the prompt.
    fn recount(&self, messages: &[Message], stop: &Stop) -> Option<u64> {
        let (server, Line { lanes, parallel }) = (&self.server, &self.line);
        let _ticket = lane::enter(lanes, &server.base_url, *parallel, stop, &mut |_| {}).ok()?;
        self.sending(&whole(messages), stop, || {
            Ok(chat::count(&self.http, server, messages, self.bounds.first_token, stop))
        })
        .ok()?
    }

    /// Returns the server's count of a text, where it has one.
    fn count(&self, text: &str, stop: &Stop) -> Option<u64> {
        let count = || Ok(servers::count_tokens(&self.http, &self.server, text, WINDOW_TIMEOUT, stop));
        self.sending(text, stop, count).ok()?
    }

    /// Makes a call that sends a text; recorded where the server is another machine.
    fn sending<T>(&self, text: &str, stop: &Stop, send: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        match &self.leaving {
            Some(leaving) => leaving.call(text, stop, send),
            None => send(),
        }
    }
}

/// Returns whether so many tokens of files and reply fit every server that is worth asking.
pub fn surely_fits(tokens: u64) -> bool {
    tokens + AROUND <= SURELY_FITS
}

/// Asks once. The attempt holds what is known of the call, also when it failed; with it comes how fast such calls were
/// before. The reply may be one that went round in circles ([`Finish::Looped`]).
pub fn ask(
    model: &LocalModel,
    messages: &[Message],
    ask: Ask,
    number: u32,
    watcher: &mut dyn Watcher,
    stop: &Stop,
) -> (Attempt, Result<Reply, Failure>, Option<Usual>) {
    let start = Instant::now();
    let estimate = estimate(messages);
    let (expected, usual) = (model.pacing.forecast(estimate), model.pacing.usual(estimate));
    let reply = fit(model, messages, ask, stop)
        .and_then(|ask| call(model, messages, &ask, (number, expected), watcher, stop))
        .and_then(|reply| {
            if was_read(model, &reply, messages, watcher, stop) { Ok(reply) } else { Err(cut(&reply, estimate)) }
        });
    model.pacing.learn(&model.server, estimate, model.window.get().copied().flatten(), &reply, stop);
    // A reply that was cut is not a reply. One that went round in circles may hold what was asked for.
    let reply = reply.and_then(|reply| if reply.finish == Finish::Length { reply.whole() } else { Ok(reply) });
    if let (Ok(reply), 1) = (&reply, number)
        && reply.model != model.server.model
        && !model.server.model.is_empty()
        // Some servers do not say which model they have.
        && !reply.model.is_empty()
    {
        let (asked, answered) = (&model.server.model, &reply.model);
        watcher.event(&Event::Note(&format!("asked for the model {asked}, {answered} answered")));
    }
    let mut attempt = attempt(model, start.elapsed(), &reply);
    attempt.predicted_ms = expected.map(|expected| millis(expected.likely));
    (attempt, reply, usual)
}

/// Returns the tokens of the first prompt of a task, estimated before it is made.
pub fn prompt_tokens(task: &str, context: &Gathered) -> u64 {
    context.tokens() + estimate_tokens(task) + AROUND
}

/// Whether a count of a cut prompt is the size of a window as servers have them.
pub fn is_window(tokens: u64) -> bool {
    tokens >= SMALLEST_WINDOW && tokens.is_multiple_of(1024)
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
    let Some(window) = model.told_window(stop) else {
        return Ok(Ask { max_tokens: ask.max_tokens.min(LARGEST_UNKNOWN), ..ask });
    };
    let mut needed = estimate;
    if estimate.saturating_add(wanted) > window {
        let text: String = messages.iter().map(|message| message.content.as_str()).collect();
        let counted = model.count(&text, stop);
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
    (attempt, expected): (u32, Option<Forecast>),
    watcher: &mut dyn Watcher,
    stop: &Stop,
) -> Result<Reply, Failure> {
    let server = &model.server;
    let mut queued = |ahead| watcher.event(&Event::Queued { ahead });
    let _ticket = lane::enter(&model.line.lanes, &server.base_url, model.line.parallel, stop, &mut queued)?;
    let expected = expected.map(|expected| expected.likely);
    watcher.event(&Event::Asking { route: Route::Local, model: &server.model, attempt, expected });
    let mut on = |progress: Progress<'_>| match progress {
        Progress::Waiting { why } => watcher.event(&Event::Note(why)),
        Progress::Tokens { tokens, elapsed, text } => watcher.event(&Event::Generating { tokens, elapsed, text }),
    };
    model.sending(&whole(messages), stop, || {
        chat::chat(&model.http, server, messages, ask, &model.bounds, stop, &mut on)
    })
}

/// All that messages say.
fn whole(messages: &[Message]) -> String {
    messages.iter().map(|message| message.content.as_str()).collect::<Vec<_>>().join("\n\n")
}

/// Whether the server has read the whole prompt. Where it tells neither its window nor a count, a prompt that the smallest
/// window in use may have cut counts as cut: an answer to half of a question is worse than none.
fn was_read(model: &LocalModel, reply: &Reply, messages: &[Message], watcher: &mut dyn Watcher, stop: &Stop) -> bool {
    let estimate = estimate(messages);
    let may_not_fit = || estimate > SMALLEST_WINDOW && model.window(stop).is_none_or(|window| estimate > window);
    let told = reply.prompt_tokens.filter(|counted| *counted > 0);
    match told.or_else(|| if may_not_fit() { model.recount(messages, stop) } else { None }) {
        Some(_) if estimate <= WORTH_COUNTING => true,
        Some(counted) => {
            // A cut prompt fills the window. One that nobody tells of is a multiple of 1024: by chance one whole prompt in
            // a thousand has such a length.
            let (is_round, seen) = (counted.is_multiple_of(1024), model.pacing.window());
            let fills = (is_round || seen.is_some())
                && match model.told_window(stop) {
                    Some(told) => counted >= told,
                    // More than the window that was seen: it was none.
                    None => seen == Some(counted) || is_round && seen.is_none_or(|seen| counted > seen),
                };
            !fills && counted as f64 >= LEAST_COUNTED * estimate as f64
        }
        None if may_not_fit() => {
            let why = "the server tells neither how much fits nor how much of the prompt it has read: a prompt of more \
                       than 2048 tokens may have been cut";
            watcher.event(&Event::Note(why));
            false
        }
        None => true,
    }
}

fn cut(reply: &Reply, estimate: u64) -> Failure {
    Failure::ContextOverflow { needed: estimate, window: reply.prompt_tokens.unwrap_or(0) }
}

fn attempt(model: &LocalModel, took: Duration, reply: &Result<Reply, Failure>) -> Attempt {
    let mut attempt = Attempt { duration_ms: millis(took), ..Attempt::on(Route::Local, model.server.model.clone()) };
    match reply {
        Ok(reply) => {
            let generating = reply.duration.saturating_sub(reply.first_token).as_secs_f64();
            let rate = |tokens: u64| tokens as f64 / generating.max(0.001);
            if !reply.model.is_empty() {
                attempt.model.clone_from(&reply.model);
            }
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
