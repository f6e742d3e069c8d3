//! What earlier runs teach a new one: the form in which the model has got changes right, how often it was right, and the
//! weights that were fitted on the user's own runs. Reads only; what cannot be read teaches nothing, and the run is
//! recorded at its end or says why it is not.

use crate::engine::attempt::ask::LocalModel;
use crate::engine::finish;
use crate::engine::prepare::Prepared;
use crate::engine::run::House;
use crate::rules::confidence::prior::Past;
use crate::rules::confidence::weights::Weights;
use crate::rules::form::{Histories, History};
use crate::sys::state::weights::FittedWeights;
use crate::words::event::{Event, Watcher};
use crate::words::stop::Stop;
use crate::words::task::Kind;

/// What is known before the first try.
#[derive(Default)]
pub struct Experience {
    pub history: History,
    pub past: Past,
    pub weights: Weights,
}

/// Learns from the state directory and the window of the ledger.
pub fn learn(
    house: &House<'_>,
    prepared: &Prepared,
    model: &LocalModel,
    stop: &Stop,
    watcher: &mut dyn Watcher,
) -> Experience {
    let (weights, note) = FittedWeights::below(house.state.dir()).current();
    if let Some(note) = note {
        watcher.event(&Event::Note(&note));
    }
    // Nothing proves an answer, and it has no form: its model's past is not looked up.
    if prepared.kind != Kind::Change {
        return Experience { weights, ..Experience::default() };
    }
    let config = &prepared.settings.config;
    let (mut histories, mut past) = (Histories::default(), Past::default());
    let _ = finish::ledger(house.state, config).recent(config.ledger.summary_window as usize, &mut |row| {
        histories.add_line(row.line);
        past.add_line(row.line);
        true
    });
    // A server with one model answers whatever name it is asked by, and the ledger has the name that it answers by.
    let answering = |asked: &str| match histories.of(asked) {
        None if !histories.is_empty() => model.only(stop).and_then(|only| histories.of(&only)),
        known => known,
    };
    Experience { history: answering(&model.server.model).unwrap_or_default(), past, weights }
}
