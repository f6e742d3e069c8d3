//! A try of an `answer` on the local model: ask, judge, no files.

use crate::engine::attempt::ask::{LocalModel, ask};
use crate::engine::gathered::Gathered;
use crate::rules::confidence::prior::Prior;
use crate::rules::confidence::weights::Weights;
use crate::rules::confidence::{self, Question};
use crate::rules::reply;
use crate::words::chat::{Ask, Message, Reply};
use crate::words::event::Watcher;
use crate::words::stop::Stop;
use crate::words::task::{Attempt, Failure, Kind, Score};

/// A usable answer.
pub struct Answer {
    pub text: String,
    pub score: Score,
}

/// Everything of a run that a try needs.
pub struct Site<'a> {
    pub task: &'a str,
    pub context: &'a Gathered,
    /// Of the score.
    pub weights: &'a Weights,
}

/// Tries once.
pub fn attempt(
    model: &LocalModel,
    &Site { task, context, weights }: &Site<'_>,
    messages: &[Message],
    how: Ask,
    number: u32,
    watcher: &mut dyn Watcher,
    stop: &Stop,
) -> (Attempt, Result<Answer, Failure>) {
    watcher.answering();
    let (mut attempt, reply, usual) = ask(model, messages, how, number, watcher, stop);
    let answer = reply.and_then(Reply::whole).and_then(|reply| {
        if let Some(quote) = reply::declined(&reply.text) {
            return Err(Failure::Declined { quote: quote.to_string() });
        }
        let shown: Vec<&str> = context.files.iter().map(|file| file.content.as_str()).collect();
        let asked = Question { kind: Kind::Answer, task, shown: &shown, window: model.known_window(), usual };
        // Nothing proves an answer, so there is no past to hold it against.
        let (score, signals) = confidence::score(&reply, &asked, weights, &Prior::default());
        attempt.scored(score, signals.into(), &weights.id);
        Ok(Answer { text: reply.text, score })
    });
    if let Err(failure) = &answer {
        attempt.failure = Some(failure.clone());
    }
    (attempt, answer)
}
