//! `mux diff RUN_ID`: what a run changed, or what its last failed try would have changed.

use crate::engine::run::House;
use crate::engine::{heal, look};
use crate::face::status::emit;
use crate::rules::escape::plain;
use crate::rules::stats::Row;
use crate::sys::results::{Part, Results};
use crate::words::error::{Context, Error, Kind};
use crate::words::event::{Event, Watcher};
use std::io::Write;
use std::path::Path;

/// Prints the diff of the run whose id begins with `id`. Returns the exit code.
///
/// # Errors
/// `Usage` for an id that is unknown, or that several runs begin with, and for a run that changed nothing.
pub fn run(
    house: &House<'_>,
    project: Option<&Path>,
    id: &str,
    colour: bool,
    watcher: &mut dyn Watcher,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    for healed in heal::heal(&house.state.runs())? {
        watcher.event(&Event::Note(&healed.to_string()));
    }
    let results = Results::at(house.state.runs());
    let run_id = match look::find(&look::look(house, project)?.ledger, id) {
        Ok(line) => Row::parse(&line).map(|row| row.run_id.into_owned()).unwrap_or_default(),
        // A run that was killed has no record, and a diff where a provider had written until then.
        Err(error) => match results.read(&id.to_ascii_uppercase(), Part::Diff) {
            Ok(Some(_)) => id.to_ascii_uppercase(),
            Ok(None) | Err(_) => return Err(error),
        },
    };
    let Some(diff) = results.read(&run_id, Part::Diff)? else {
        let error =
            Error::new(Kind::Usage, format!("run {run_id} has no diff: it wrote no files, or its data was pruned"));
        return Err(error.hint("`mux log` shows what each run did"));
    };
    let diff = plain(&String::from_utf8_lossy(&diff)).into_owned();
    let page = if colour { coloured(&diff) } else { diff };
    emit(out, &page).context(Kind::Io, || "cannot write the diff".to_string())?;
    Ok(0)
}

/// Colours a diff line by line, as git does.
fn coloured(diff: &str) -> String {
    let mut page = String::with_capacity(diff.len() * 5 / 4);
    for line in diff.lines() {
        let colour = match line.as_bytes() {
            [b'-', b'-', b'-', b' ', ..] | [b'+', b'+', b'+', b' ', ..] => "1",
            [b'@', ..] => "36",
            [b'+', ..] => "32",
            [b'-', ..] => "31",
            _ => "0",
        };
        page.extend(["\x1b[", colour, "m", line, "\x1b[0m\n"]);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_the_colour_of_its_kind() {
        let page = coloured("--- a/x\n+++ b/x\n@@ -1 +1 @@\n same\n-old\n+new\n");
        let want = "\x1b[1m--- a/x\x1b[0m\n\x1b[1m+++ b/x\x1b[0m\n\x1b[36m@@ -1 +1 @@\x1b[0m\n\x1b[0m same\x1b[0m\n\
            \x1b[31m-old\x1b[0m\n\x1b[32m+new\x1b[0m\n";
        assert_eq!(page, want);
    }
}
