//! One tiny call of each provider that is logged in, for `mux doctor --deep`: the only way to know that a login, a model
//! and a network do work together. It goes through the gate like every call, and what it will spend is said before.

use crate::engine::gate::{Gate, Open, Parcel, Refused, Sent};
use crate::engine::installed::{Cloud, Installed};
use crate::engine::run::House;
use crate::rules::config::Config;
use crate::sys::ledger::egress::Step;
use crate::sys::results::Results;
use crate::sys::state::new_run_id;
use crate::sys::state::tools::Login;
use crate::words::cloud::CloudClass;
use crate::words::count::Count;
use crate::words::error::Error;
use crate::words::event::{Event, Watcher};
use crate::words::stop::Stop;
use crate::words::task::{Provider, Reason};
use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

/// All that is sent.
const QUESTION: &str = "Reply with the single word: pong";
/// How long one call may take. The CLIs give up an error by themselves within a minute (contracts: codex's 30 tries).
const PATIENCE: Duration = Duration::from_mins(2);

/// What came of one provider.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    pub provider: String,
    pub end: End,
}

/// How a probe ended. Texts may hold words of a provider: escaped where they are printed.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    Answered { model: String, took: Duration, usd: Option<f64> },
    Failed { class: CloudClass, why: String },
    NotCalled { why: String },
}

/// Calls each provider that is installed and not known to be logged out. One that is left alone is asked all the same,
/// and is not left alone any more once it has answered. On a terminal nothing is sent before a yes.
///
/// # Errors
/// `Io`: without a state directory there is no budget and no record, so nothing is sent.
pub fn probe(
    house: &House<'_>,
    config: &Config,
    cloud: &Cloud,
    watcher: &mut dyn Watcher,
    stop: &Stop,
) -> Result<Vec<Probe>, Error> {
    let run_id = new_run_id(house.env.now);
    let calls = Cell::new(0);
    let workdir = house.env.home().unwrap_or(Path::new("/"));
    let gate = Gate { house: *house, config, run_id: &run_id, workdir, caller: None, calls: &calls };
    let asked = cloud.tools.iter().filter(|tool| tool.path.is_some() && tool.login != Login::LoggedOut);
    let opened: Vec<(&Installed, Result<Open<'_>, Refused>)> = asked
        .filter_map(|tool| Some((tool, gate.open(Step::Probe, Provider::named(&tool.name)?.asked(), &[]))))
        .collect();
    let names: Vec<&str> = opened.iter().filter(|(_, open)| open.is_ok()).map(|(tool, _)| tool.name.as_str()).collect();
    let may = names.is_empty() || agreed(&names, config, cloud, watcher, stop);
    if may && !names.is_empty() {
        house.state.make()?;
    }
    let mut probes = Vec::new();
    for (tool, open) in opened {
        let end = match open {
            Ok(_) if !may => End::NotCalled { why: "you said no".to_string() },
            Ok(_) if stop.reason().is_some() => End::NotCalled { why: "interrupted".to_string() },
            Ok(open) => match call(&gate, &open, watcher, stop) {
                Ok(sent) => end(sent),
                Err(refused) => End::NotCalled { why: words(refused) },
            },
            Err(refused) => End::NotCalled { why: words(refused) },
        };
        probes.push(Probe { provider: tool.name.clone(), end });
    }
    // Only gemini's policy can be in there, and no ledger line will ever point at it.
    if let Ok(dir) = Results::at(house.state.runs()).run(&run_id) {
        let _ = fs_err::remove_dir_all(dir);
    }
    Ok(probes)
}

/// Says what will be spent, and asks where somebody can be asked. Elsewhere the flag was the answer.
fn agreed(names: &[&str], config: &Config, cloud: &Cloud, watcher: &mut dyn Watcher, stop: &Stop) -> bool {
    let left = cloud.left.as_ref().map_or(0, |left| left.calls);
    let line = format!(
        "--deep calls {} once, each with {} bytes and no tools: {} of the {} left today; a call whose \
         price is unknown counts {:.2} USD",
        names.join(", "),
        QUESTION.len(),
        names.len(),
        Count::of(left, "cloud call"),
        config.budget.unknown_call_usd
    );
    watcher.event(&Event::Note(&line));
    !watcher.can_ask() || watcher.agrees("call now?", stop.deadline())
}

fn call(gate: &Gate<'_>, open: &Open<'_>, watcher: &mut dyn Watcher, stop: &Stop) -> Result<Sent, Refused> {
    let parcel = Parcel { text: QUESTION.to_string(), files: Vec::new(), reason: &Reason::Requested };
    gate.send(open, parcel, watcher, &stop.until(Instant::now() + PATIENCE))
}

fn end(sent: Sent) -> End {
    let Sent { attempt, reply, .. } = sent;
    match reply {
        Ok(reply) => End::Answered {
            model: attempt.model,
            took: Duration::from_millis(attempt.duration_ms),
            usd: reply.cost_usd,
        },
        Err(failure) => {
            End::Failed { class: failure.class, why: format!("{}: {}", failure.class.name(), failure.message) }
        }
    }
}

fn words(refused: Refused) -> String {
    let why = refused.why.name();
    refused.note.map_or_else(|| why.to_string(), |note| format!("{why}: {note}"))
}
