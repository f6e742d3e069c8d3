//! `mux diff RUN_ID`: what a run changed, or what its last failed try would have changed.

use crate::engine::look;
use crate::engine::run::House;
use crate::face::status::emit;
use crate::rules::escape::plain;
use crate::rules::stats::Row;
use crate::sys::results::{Part, Results};
use crate::words::error::{Context, Error, Kind};
use std::io::Write;
use std::path::Path;

/// Prints the diff of the run whose id begins with `id`. Returns the exit code.
///
/// # Errors
/// `Usage` for an id that is unknown, or that several runs begin with, and for a run that changed nothing.
pub fn run(house: &House<'_>, project: Option<&Path>, id: &str, out: &mut dyn Write) -> Result<u8, Error> {
    let line = look::find(&look::look(house, project)?.ledger, id)?;
    let run_id = Row::parse(&line).map(|row| row.run_id.into_owned()).unwrap_or_default();
    let Some(diff) = Results::at(house.state.runs()).read(&run_id, Part::Diff)? else {
        let error =
            Error::new(Kind::Usage, format!("run {run_id} has no diff: it wrote no files, or its data was pruned"));
        return Err(error.hint("`mux log` shows what each run did"));
    };
    emit(out, &plain(&String::from_utf8_lossy(&diff))).context(Kind::Io, || "cannot write the diff".to_string())?;
    Ok(0)
}
