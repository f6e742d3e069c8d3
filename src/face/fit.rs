//! `mux tune --fit`: weights of the score from the proven runs of the ledger, with how good they are on runs that they were
//! not fitted on. Writes only with `--write`, and goes back with `--reset`.

use crate::engine::look::{self, Look};
use crate::engine::run::House;
use crate::face::args::FitArgs;
use crate::face::status::emit;
use crate::rules::confidence::hopeless::Stopped;
use crate::rules::confidence::weights::Weights;
use crate::rules::escape::in_json;
use crate::rules::refit::{LEAST_OF_EACH, LEAST_RUNS, Labelled, Quality, Refit, TooFew};
use crate::sys::state::weights::FittedWeights;
use crate::words::chat::Floor;
use crate::words::count::Count;
use crate::words::error::{Context, Error, Kind};
use crate::words::stop::Stop;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

/// The object of `tune --fit --json`; the order of its fields is that of the output.
#[derive(Serialize)]
struct Document<'a> {
    /// Why there is no fit; what it would have given is null then.
    refused: Option<String>,
    /// Labelled runs, and those of them that passed.
    runs: Option<usize>,
    right: Option<usize>,
    before: Option<Quality>,
    after: Option<Quality>,
    /// Of the labelled runs, those that the floors would have stopped.
    stopped_before: Option<Stopped>,
    stopped_after: Option<Stopped>,
    old: Shown<'a>,
    new: Option<Shown<'a>>,
    written: bool,
}

#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    base: f64,
    weights: BTreeMap<&'static str, f64>,
    /// Below so many nats a reply of at most so many tokens is given up.
    floor_nats: f64,
    floor_tokens: f64,
}

/// Fits, shows and, where asked, writes. Returns the exit code: 1 where nothing was fitted, or nothing written that
/// should have been.
///
/// # Errors
/// A configuration or a ledger that cannot be read; weights or output that cannot be written.
pub fn run(
    house: &House<'_>,
    project: Option<&Path>,
    (fit, json): (FitArgs, bool),
    out: &mut dyn Write,
    stop: &Stop,
) -> Result<u8, Error> {
    let Look { ledger, .. } = look::look(house, project)?;
    let fitted = FittedWeights::below(house.state.dir());
    let say =
        |out: &mut dyn Write, page: &str| emit(out, page).context(Kind::Io, || "cannot write the fit".to_string());
    if fit == FitArgs::Reset {
        house.state.make()?;
        let id = fitted.reset(stop)?;
        let page =
            if json { format!("{{\"weights\":\"{}\"}}\n", in_json(&id)) } else { format!("the weights are {id}\n") };
        say(out, &page)?;
        return Ok(0);
    }
    let mut labelled = Labelled::default();
    ledger.recent(usize::MAX, &mut |row| {
        labelled.add_line(row.line);
        true
    })?;
    let (old, note) = fitted.current();
    let refit = labelled.refit(&old, &format!("fit-{}", house.env.now.day()));
    let better = refit.as_ref().is_ok_and(Refit::is_better);
    let written = match &refit {
        Ok(refit) if better && fit == FitArgs::Write => {
            house.state.make()?;
            fitted.put(&refit.weights, stop)?;
            true
        }
        Ok(_) | Err(_) => false,
    };
    let page = if json { document(&old, &refit, written)? } else { page(note, &old, &refit, (fit, written)) };
    say(out, &page)?;
    Ok(u8::from(refit.is_err() || fit == FitArgs::Write && !written))
}

fn document(old: &Weights, refit: &Result<Refit, TooFew>, written: bool) -> Result<String, Error> {
    let new = refit.as_ref().ok();
    let document = Document {
        refused: refit.as_ref().err().map(refusal),
        runs: new.map(|refit| refit.runs),
        right: new.map(|refit| refit.right),
        before: new.map(|refit| refit.before),
        after: new.map(|refit| refit.after),
        stopped_before: new.map(|refit| refit.stopped_before),
        stopped_after: new.map(|refit| refit.stopped_after),
        old: shown(old),
        new: new.map(|refit| shown(&refit.weights)),
        written,
    };
    let text = serde_json::to_string(&document).context(Kind::Io, || "cannot write JSON".to_string())?;
    Ok(format!("{}\n", in_json(&text)))
}

fn shown(weights: &Weights) -> Shown<'_> {
    let mut named = BTreeMap::new();
    named.extend(weights.code.weights.iter().map(|(signal, weight)| (signal.name(), *weight)));
    let Floor { nats: floor_nats, tokens: floor_tokens } = weights.floor;
    Shown { id: &weights.id, base: weights.code.base, weights: named, floor_nats, floor_tokens }
}

fn page(note: Option<String>, old: &Weights, refit: &Result<Refit, TooFew>, (fit, written): (FitArgs, bool)) -> String {
    let mut page = note.map(|note| format!("note: {note}\n")).unwrap_or_default();
    let refit = match refit {
        Err(few) => return page + &refusal(few) + "\n",
        Ok(refit) => refit,
    };
    let _ = writeln!(page, "labelled runs      {} ({} passed)", refit.runs, refit.right);
    let _ = writeln!(page, "{:19}{:>24}{:>24}", "", old.id, refit.weights.id);
    let area = |quality: &Quality| format!("{:.3} ({:.3}-{:.3})", quality.auroc, quality.auroc_low, quality.auroc_high);
    let _ = writeln!(page, "AUROC              {:>24}{:>24}", area(&refit.before), area(&refit.after));
    let mut row = |name: &str, old: f64, new: f64| {
        let _ = writeln!(page, "{name:19}{old:>24.3}{new:>24.3}");
    };
    row("calibration error", refit.before.calibration_error, refit.after.calibration_error);
    row("Brier score", refit.before.brier, refit.after.brier);
    row("base", old.code.base, refit.weights.code.base);
    for ((signal, was), (_, is)) in old.code.weights.iter().zip(&refit.weights.code.weights) {
        row(signal.name(), *was, *is);
    }
    row("floor, nats", old.floor.nats, refit.weights.floor.nats);
    row("floor, tokens", old.floor.tokens, refit.weights.floor.tokens);
    let stopped = |Stopped { wrong, right }: Stopped| {
        format!("{wrong} of {}, {right} of {}", refit.runs - refit.right, refit.right)
    };
    let (before, after) = (stopped(refit.stopped_before), stopped(refit.stopped_after));
    let _ = writeln!(page, "stopped            {before:>24}{after:>24}");
    page.push_str("Stopped are wrong runs and right ones whose first reply ends below the floor.\n");
    page.push_str("The right column is measured on runs that its weights were not fitted on (5 parts).\n");
    page.push_str(match (written, fit) {
        (true, _) => "Written. `mux tune --fit --reset` goes back.\n",
        (false, FitArgs::Write) => "Not written: its Brier score is no better than that of the weights that hold.\n",
        (false, _) if refit.is_better() => "Nothing is written without `--write`.\n",
        (false, _) => "Its Brier score is no better than that of the weights that hold: they stay.\n",
    });
    page
}

fn refusal(few: &TooFew) -> String {
    match few {
        TooFew::Runs(n) => format!(
            "{}: a fit needs {LEAST_RUNS} changes whose first local try was scored and then passed or failed its \
             verification",
            Count::of(*n, "labelled run")
        ),
        TooFew::Right(n) => format!("{n} of the labelled runs passed: a fit needs {LEAST_OF_EACH}"),
        TooFew::Wrong(n) => format!("{n} of the labelled runs failed: a fit needs {LEAST_OF_EACH}"),
    }
}
