//! How fast the local models are and how much fits them, as the runs have seen it. Shared by all mux processes.
//!
//! A document that cannot be read, or that a later version has written, is none: it is learned again.

use super::document::Document;
use crate::rules::forecast::{Call, MOST_CALLS, Pace, Window};
use crate::rules::from_json::structs;
use crate::words::error::{Error, Kind as ErrorKind};
use crate::words::stop::Stop;
use crate::words::task::Kind;
use crate::words::time::Utc;
use serde::Serialize;
use std::io;
use std::path::Path;

/// The version of the document.
const SCHEMA: u32 = 1;
/// The most models that are remembered; those go first that were not asked for the longest time.
const MOST: usize = 32;

/// The knowledge of a state directory.
#[derive(Clone, Debug)]
pub struct Paces {
    document: Document,
}

#[derive(Serialize)]
struct All {
    schema: u32,
    models: Vec<Known>,
}

/// A model of a server. A call is a list: the tokens of its prompt, the milliseconds to the first token, the tokens of its
/// reply, the milliseconds of the rest.
#[derive(Serialize)]
struct Known {
    server: String,
    model: String,
    window: Option<u64>,
    window_seen: Option<Utc>,
    /// When it was asked for the last time.
    used: Utc,
    answers: Vec<Vec<u64>>,
    changes: Vec<Vec<u64>>,
}

structs! {
    All { schema, models }
    Known { server, model, window, window_seen, used, answers, changes }
}

impl Paces {
    /// Names the knowledge of a state directory; nothing is touched.
    pub fn below(state_dir: &Path) -> Paces {
        Paces { document: Document::at(state_dir.join("paces.json")) }
    }

    /// Returns what is known of a model on a server; of one that nobody has asked: nothing.
    pub fn known(&self, server: &str, model: &str) -> Pace {
        let models = models(self.document.read());
        models.iter().find(|known| known.is(server, model)).map(Known::pace).unwrap_or_default()
    }

    /// Adds what a run has seen of a model: a call, and the window as far as it is known now.
    ///
    /// # Errors
    /// `Io` when it cannot be written.
    pub fn learn(
        &self,
        (server, model): (&str, &str),
        window: Option<Window>,
        call: Option<(Kind, Call)>,
        now: Utc,
        stop: &Stop,
    ) -> Result<(), Error> {
        let result = self.document.change(stop, |document| {
            let mut models = models(document);
            // Another process may have added calls since this one has read them.
            let at = models.iter().position(|known| known.is(server, model));
            let mut pace = at.map(|at| models.swap_remove(at).pace()).unwrap_or_default();
            if let Some((kind, call)) = call {
                pace.add(kind, call);
            }
            while models.len() >= MOST {
                let oldest = models.iter().enumerate().min_by_key(|(_, known)| known.used);
                let Some((oldest, _)) = oldest else { break };
                models.swap_remove(oldest);
            }
            let (server, model, (window, window_seen)) =
                (server.to_string(), model.to_string(), window.map(|window| (window.tokens, window.seen)).unzip());
            let (answers, changes) = (lists(&pace.answers), lists(&pace.changes));
            models.push(Known { server, model, window, window_seen, used: now, answers, changes });
            Ok((Some(All { schema: SCHEMA, models }), ()))
        });
        result.map_err(|source| {
            let what = format!("cannot write what is known of models `{}`", self.document.path().display());
            Error::caused(ErrorKind::Io, what, Box::new(source))
        })
    }
}

/// The models of a document.
fn models(document: io::Result<Option<All>>) -> Vec<Known> {
    let document = document.ok().flatten().filter(|all| all.schema == SCHEMA);
    document.map(|all| all.models).unwrap_or_default()
}

impl Known {
    fn is(&self, server: &str, model: &str) -> bool {
        self.server == server && self.model == model
    }

    fn pace(&self) -> Pace {
        let window = self.window.zip(self.window_seen).map(|(tokens, seen)| Window { tokens, seen });
        Pace { window, answers: calls(&self.answers), changes: calls(&self.changes) }
    }
}

fn lists(calls: &[Call]) -> Vec<Vec<u64>> {
    calls.iter().map(|call| vec![call.prompt, call.first_ms, call.reply, call.rest_ms]).collect()
}

fn calls(lists: &[Vec<u64>]) -> Vec<Call> {
    let newest = lists.iter().skip(lists.len().saturating_sub(MOST_CALLS));
    let call = |list: &Vec<u64>| match list.as_slice() {
        [prompt, first_ms, reply, rest_ms] => {
            Some(Call { prompt: *prompt, first_ms: *first_ms, reply: *reply, rest_ms: *rest_ms })
        }
        _ => None, // any other length
    };
    newest.filter_map(call).collect()
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::{Temp, soon};
    use super::*;

    fn call(prompt: u64) -> Call {
        Call { prompt, first_ms: 40, reply: 7, rest_ms: 900 }
    }

    #[test]
    fn calls_and_window_are_remembered_for_each_model_of_each_server() {
        let temp = Temp::new("paces");
        let paces = Paces::below(&temp.0);
        let learn = |server: &str, model: &str, window, kind, n| {
            paces.learn((server, model), window, Some((kind, call(n))), Utc(n), &soon())
        };
        assert_eq!(paces.known("s", "m"), Pace::default());
        learn("s", "m", None, Kind::Change, 1).unwrap();
        let window = Some(Window { tokens: 4096, seen: Utc(2) });
        learn("s", "m", window, Kind::Answer, 2).unwrap();
        learn("s", "other", None, Kind::Answer, 3).unwrap();
        let expected = Pace { window, answers: vec![call(2)], changes: vec![call(1)] };
        assert_eq!(paces.known("s", "m"), expected);
        assert_eq!(paces.known("t", "m"), Pace::default());
        for n in 10..50 {
            learn("s", &n.to_string(), None, Kind::Answer, n).unwrap();
        }
        assert_eq!(paces.known("s", "m"), Pace::default(), "asked the longest time ago");
        assert_eq!(paces.known("s", "49").answers, [call(49)]);
        for n in 0..60 {
            learn("s", "49", None, Kind::Change, n).unwrap();
        }
        assert_eq!((paces.known("s", "49").changes.len(), paces.known("s", "49").answers.len()), (MOST_CALLS, 1));
    }

    #[test]
    fn what_is_damaged_or_newer_is_learned_again() {
        let temp = Temp::new("paces");
        let paces = Paces::below(&temp.0);
        let odd = r#"{"schema":1,"models":[{"server":"s","model":"m","window":null,"window_seen":null,"used":0,"answers":[[1,1,1],[],[5,40,7,900]],"changes":[]}]}"#;
        let newer = odd.replace("\"schema\":1", "\"schema\":2");
        let usable = Pace { answers: vec![call(5)], ..Pace::default() };
        for (text, expected) in
            [(odd, usable), (newer.as_str(), Pace::default()), ("[", Pace::default()), ("[1]", Pace::default())]
        {
            fs_err::write(temp.0.join("paces.json"), text).unwrap();
            assert_eq!(paces.known("s", "m"), expected, "{text}");
        }
        paces.learn(("s", "m"), None, Some((Kind::Answer, call(5))), Utc(1), &soon()).unwrap();
        assert_eq!(paces.known("s", "m").answers, [call(5)]);
    }
}
