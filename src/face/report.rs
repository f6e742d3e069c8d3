//! `mux report`: the ledger as one HTML page with charts, in a file or on standard output. Reads the ledger only.

mod chart;
mod html;
mod numbers;
mod page;
mod runs;

use crate::engine::look::{self, Look};
use crate::engine::run::House;
use crate::face::args::ReportArgs;
use crate::face::report::page::Frame;
use crate::face::status::{bytes, emit};
use crate::face::why;
use crate::rules::escape::one_line;
use crate::rules::report::run::Run;
use crate::rules::report::{Limits, Report};
use crate::sys::ledger::Ledger;
use crate::sys::page_file;
use crate::words::error::{Context, Error, Kind};
use crate::words::time::Utc;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The file, where standard output is a terminal. Not in the state directory: browsers in a sandbox (snap) open nothing
/// below a hidden one.
const FILE: &str = "mux-report.html";
/// 1000 rows are 400 kB, 200 explanations as much.
const LIMITS: Limits = Limits { newest: 1000, explained: 200, top: 10 };

/// Draws the page and writes it. Returns the exit code.
///
/// # Errors
/// A configuration or a ledger that cannot be read; `Refused` for a file that is not a report of mux; output that cannot
/// be written.
pub fn run(
    house: &House<'_>,
    project: Option<&Path>,
    args: &ReportArgs,
    is_terminal: bool,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    let Look { ledger, settings, .. } = look::look(house, project)?;
    let config = &settings.config;
    let mut frame = Frame {
        now: house.env.now,
        since: args.since_ms.map(|span| Utc(house.env.now.0.saturating_sub(span))),
        bad: 0,
        is_cut: false,
        threshold: config.router.local_confidence_threshold,
        target: config.workflow.target_local_implementation_ratio,
    };
    let report = read(&ledger, &mut frame)?;
    let n_runs = html::counted(report.points.len() as u64, "run");
    let text = page::page(&report, &frame);
    let file = match &args.output {
        Some(path) if path.as_os_str() == "-" => None,
        Some(path) => Some(path.clone()),
        None => is_terminal.then(|| PathBuf::from(FILE)),
    };
    let said = match file {
        None => text,
        Some(file) => {
            let path = house.env.cwd.as_deref().unwrap_or(Path::new("")).join(file);
            page_file::write(&path, page::MARK, text.as_bytes())?;
            let path = path.to_string_lossy();
            format!("report: {} ({n_runs}, {})\n", one_line(&path), bytes(text.len() as u64))
        }
    };
    emit(out, &said).context(Kind::Io, || "cannot write the report".to_string())?;
    Ok(0)
}

fn read(ledger: &Ledger, frame: &mut Frame) -> Result<Report, Error> {
    let mut report = Report::new(LIMITS);
    let since = frame.since;
    let tally = ledger.all(&mut |line| {
        let run = Run::parse(line)?;
        if since.is_none_or(|since| run.time >= since) {
            report.add(&run, &why::explained);
        }
        Some(true)
    })?;
    (frame.bad, frame.is_cut) = (tally.bad, tally.is_cut);
    Ok(report)
}

#[cfg(test)]
mod tests;
