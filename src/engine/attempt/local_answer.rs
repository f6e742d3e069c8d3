//! A try of an `answer` on the local model: ask, judge, no files.

use crate::engine::attempt::ask::{LocalModel, ask};
use crate::engine::gathered::Gathered;
use crate::rules::{confidence, prompt, reply};
use crate::words::chat::Ask;
use crate::words::event::Watcher;
use crate::words::stop::Stop;
use crate::words::task::{Attempt, Failure, Kind, Score};

/// A usable answer.
pub struct Answer {
    pub text: String,
    pub score: Score,
}

/// Tries once.
pub fn attempt(
    model: &LocalModel,
    task: &str,
    context: &Gathered,
    how: Ask,
    number: u32,
    watcher: &mut dyn Watcher,
    stop: &Stop,
) -> (Attempt, Result<Answer, Failure>) {
    let messages = prompt::answer(task, &context.shown());
    let (mut attempt, reply) = ask(model, &messages, how, number, watcher, stop);
    let answer = reply.and_then(|reply| {
        if let Some(quote) = reply::declined(&reply.text) {
            return Err(Failure::Declined { quote: quote.to_string() });
        }
        let (score, signals) = confidence::score(&reply, Kind::Answer, task);
        attempt.confidence = Some(score.value);
        attempt.signals = signals.into();
        Ok(Answer { text: reply.text, score })
    });
    if let Err(failure) = &answer {
        attempt.failure = Some(failure.clone());
    }
    (attempt, answer)
}
