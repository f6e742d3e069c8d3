//! `mux tune`: a confidence threshold from the recorded runs, for a target. Calls nothing, and writes only what it is told to.

use crate::engine::look::{self, Look};
use crate::engine::run::House;
use crate::face::args::tune::{Target, TuneArgs};
use crate::face::status::{emit, interval};
use crate::rules::escape::{in_json, one_line};
use crate::rules::metrics::{Rate, rate};
use crate::rules::threshold::{self, Labelled, Leaves, Proposal, Refused};
use crate::rules::what_if;
use crate::sys::config_files::{self, Effective};
use crate::words::error::{Context, Error, Kind};
use crate::words::record::{Overruled, RunRecord};
use crate::words::task::{Route, Verdict};
use crate::words::time::Utc;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

const SECTION: &str = "router";
const KEY: &str = "local_confidence_threshold";
const PATH: &str = "router.local_confidence_threshold";
/// What is proposed for when nobody has said for what.
const USUAL: [Target; 2] = [Target::MaxCloud(0.2), Target::MaxFalseAccept(0.02)];

/// What the ledger knows that a threshold can be judged by.
#[derive(Default)]
struct Known {
    leaves: Vec<Leaves>,
    labelled: Vec<Labelled>,
    by_tests: usize,
}

/// The object of `tune --json`; the order of its fields is that of the output.
#[derive(Serialize)]
struct Document<'a> {
    threshold: f64,
    origin: String,
    /// Runs of which it is known whether another threshold would have sent them away.
    runs: usize,
    /// Whether older ones were left unread.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_cut: bool,
    /// Local results of which somebody knows whether they were right: tests, reviews, an undo.
    labelled: usize,
    labelled_by_tests: usize,
    /// At the threshold that holds.
    cloud_share: Option<Rate>,
    false_accepts: Option<Rate>,
    proposals: Vec<Line<'a>>,
    /// The file that was changed.
    written: Option<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    /// `max_cloud` or `max_false_accept`.
    target: &'a str,
    most: f64,
    threshold: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    /// The share in question at the threshold; where there is none, the least that can be had.
    rate: Option<Rate>,
    /// Why there is no proposal.
    refused: Option<String>,
}

/// Proposes, and writes where that is wanted. Returns the exit code: 1 where there is nothing to propose.
///
/// # Errors
/// A configuration or a ledger that cannot be read; a configuration that cannot be written, or of which a later layer sets
/// the threshold; output that cannot be written.
pub fn run(house: &House<'_>, project: Option<&Path>, args: &TuneArgs, out: &mut dyn Write) -> Result<u8, Error> {
    let Look { ledger, settings, .. } = look::look(house, project)?;
    if args.write {
        is_ours(house, &settings)?;
    }
    let since = args.since_ms.map(|span| Utc(house.env.now.0.saturating_sub(span)));
    let mut known = Known::default();
    let is_cut = look::runs(&ledger, since, &mut |record, is_undone| {
        if let Some(record) = record {
            known.add(record, is_undone);
        }
    })?;
    let targets = args.target.map_or(USUAL.to_vec(), |target| vec![target]);
    let proposed: Vec<(Target, Result<Proposal, Refused>)> =
        targets.into_iter().map(|target| (target, known.propose(target))).collect();
    let wanted =
        if let (true, [(_, Ok(proposal))]) = (args.write, proposed.as_slice()) { Some(proposal) } else { None };
    let written = match wanted {
        Some(proposal) => Some(config_files::edit::set_number(house.env, SECTION, KEY, proposal.threshold)?),
        None => None,
    };
    let threshold = settings.config.router.local_confidence_threshold;
    let document = Document {
        threshold,
        origin: settings.origin(PATH),
        runs: known.leaves.len(),
        is_cut,
        labelled: known.labelled.len(),
        labelled_by_tests: known.by_tests,
        cloud_share: known.cloud_share(threshold),
        false_accepts: known.false_accepts(threshold),
        proposals: proposed.iter().map(|(target, proposal)| line(*target, proposal)).collect(),
        written: written.map(|path| path.to_string_lossy().into_owned()),
    };
    let page = if args.json {
        let text = serde_json::to_string(&document).context(Kind::Io, || "cannot write JSON".to_string())?;
        format!("{}\n", in_json(&text))
    } else {
        page(&document, &settings)
    };
    emit(out, &page).context(Kind::Io, || "cannot write the proposal".to_string())?;
    let is_refused = args.target.is_some() && document.proposals.iter().any(|line| line.refused.is_some());
    Ok(u8::from(is_refused))
}

/// Checks that what is written to the user's file will hold.
fn is_ours(house: &House<'_>, settings: &Effective) -> Result<(), Error> {
    let user = config_files::user_path(house.env);
    if !settings.is_set_above(PATH, user.as_deref()) {
        return Ok(());
    }
    let what = format!("`{PATH}` is set by {}, which counts more than your own file", settings.origin(PATH));
    Err(Error::new(Kind::Config, what).hint("change it there, or take it out there and try again"))
}

impl Known {
    fn add(&mut self, record: &RunRecord, is_undone: bool) {
        self.leaves.extend(what_if::leaves(record));
        // The first try has not seen what tests say: its score is judged as one would be that nothing checks.
        let first = record.attempts.first().filter(|attempt| attempt.route == Route::Local);
        let tested = first.and_then(|attempt| match attempt.verdict? {
            Verdict::Passed => Some((attempt.confidence?, true)),
            Verdict::Failed => Some((attempt.confidence?, false)),
            Verdict::Unproven | Verdict::Skipped => None,
        });
        self.by_tests += usize::from(tested.is_some());
        let is_home = record.route == Route::Local;
        let is_bad = record.overruled == Some(Overruled::Review) && record.refused.is_none() || is_home && is_undone;
        let looked_at = record.shadow.map(|shadow| shadow.ok).or(is_bad.then_some(false));
        let judged = looked_at.and_then(|is_right| Some((record.confidence?, is_right)));
        self.labelled.extend(tested.or(judged).map(|(score, is_right)| Labelled { score, is_right }));
    }

    fn propose(&self, target: Target) -> Result<Proposal, Refused> {
        match target {
            Target::MaxCloud(most) => threshold::for_cloud_share(&self.leaves, most),
            Target::MaxFalseAccept(most) => threshold::for_false_accepts(&self.labelled, most),
        }
    }

    fn cloud_share(&self, threshold: f64) -> Option<Rate> {
        rate(self.leaves.iter().filter(|leaves| leaves.at(threshold)).count() as u64, self.leaves.len() as u64)
    }

    fn false_accepts(&self, threshold: f64) -> Option<Rate> {
        let accepted = self.labelled.iter().filter(|result| result.score >= threshold);
        let (all, wrong) = accepted.fold((0, 0), |(all, wrong), result| (all + 1, wrong + u64::from(!result.is_right)));
        rate(wrong, all)
    }
}

fn line(target: Target, proposal: &Result<Proposal, Refused>) -> Line<'static> {
    let (target, most) = match target {
        Target::MaxCloud(most) => ("max_cloud", most),
        Target::MaxFalseAccept(most) => ("max_false_accept", most),
    };
    let nothing = Line { target, most, threshold: None, low: None, high: None, rate: None, refused: None };
    match proposal {
        Ok(Proposal { threshold, low, high, rate }) => {
            Line { threshold: Some(*threshold), low: Some(*low), high: Some(*high), rate: Some(*rate), ..nothing }
        }
        Err(Refused::TooFew { needed, have }) => {
            let what = if target == "max_cloud" { "runs" } else { "judged results" };
            Line { refused: Some(format!("it takes {needed} {what}, and there are {have}")), ..nothing }
        }
        Err(Refused::OutOfReach { least }) => {
            let refused = format!("no threshold comes below {}", interval(least));
            Line { rate: Some(*least), refused: Some(refused), ..nothing }
        }
    }
}

fn page(document: &Document<'_>, settings: &Effective) -> String {
    let mut page = String::new();
    let Document { threshold, origin, runs, labelled, labelled_by_tests: by_tests, .. } = document;
    let _ = writeln!(page, "threshold           {threshold} ({})", one_line(origin));
    let older = if document.is_cut { ", those in the newest 256 MiB of the ledger" } else { "" };
    let _ = writeln!(page, "runs                {runs}{older}");
    let _ = writeln!(page, "judged results      {labelled}, {by_tests} of them by tests");
    let at = |rate: Option<Rate>| {
        rate.map_or("nothing to tell from".to_string(), |rate| format!("{} of {}", interval(&rate), rate.of))
    };
    let _ = writeln!(page, "cloud share         {}", at(document.cloud_share));
    let _ = writeln!(page, "false accepts       {}", at(document.false_accepts));
    for line in &document.proposals {
        let name = format!("--{} {}%", line.target.replace('_', "-"), line.most * 100.0);
        let _ = writeln!(page, "\n{name}");
        match (line.threshold, line.low.zip(line.high), line.rate, &line.refused) {
            (Some(threshold), Some((low, high)), Some(rate), _) => {
                let _ = writeln!(page, "  threshold         {threshold:.3} (95 %: {low:.3} to {high:.3})");
                let _ =
                    writeln!(page, "  expected          {}, on {} {}", interval(&rate), rate.of, rested(line.target));
            }
            (_, _, _, refused) => {
                let _ = writeln!(page, "  no proposal       {}", refused.as_deref().unwrap_or_default());
            }
        }
    }
    if let Some(path) = &document.written {
        let before =
            if settings.is_default(PATH) { "take the line out".to_string() } else { format!("set {threshold} again") };
        let _ = writeln!(page, "\nwritten to {}; to go back: {before}", one_line(path));
    }
    page
}

fn rested(target: &str) -> &'static str {
    if target == "max_cloud" { "runs" } else { "accepted results that were judged" }
}
