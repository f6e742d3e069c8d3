//! `mux diff [RUN_ID]`: what a run changed, or what its last failed try would have changed.

use crate::engine::run::House;
use crate::engine::{heal, look};
use crate::face::screen::{Colour, Screen};
use crate::face::status::emit;
use crate::rules::escape::plain;
use crate::rules::stats::Row;
use crate::sys::results::{Part, Results};
use crate::words::error::{Context, Error, Kind};
use crate::words::event::{Event, Watcher};
use std::io::Write;
use std::path::Path;

/// Prints the diff of the run whose id begins with `id`, or of the last that was no answer. Returns the exit code.
///
/// # Errors
/// `Usage` for an id that is unknown, or that several runs begin with, and for a run that changed nothing.
pub fn run(
    house: &House<'_>,
    project: Option<&Path>,
    id: Option<&str>,
    colour: bool,
    watcher: &mut dyn Watcher,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    heal::tell(&house.state.runs(), watcher)?;
    let results = Results::at(house.state.runs());
    let ledger = look::look(house, project)?.ledger;
    let last;
    let id = if let Some(id) = id {
        id
    } else {
        last = look::last(&ledger, &mut |row| row.kind != "answer")?;
        watcher.event(&Event::Note(&format!("the last run that was no answer is {last}")));
        &last
    };
    let run_id = match look::find(&ledger, id) {
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
    let lines: Vec<&str> = diff.lines().collect();
    let page = if colour { coloured(&lines, Screen { columns: None, colour }) } else { diff };
    emit(out, &page).context(Kind::Io, || "cannot write the diff".to_string())?;
    Ok(0)
}

/// Colours a diff line by line, as git does.
pub fn coloured(lines: &[&str], screen: Screen) -> String {
    let mut page = String::new();
    for line in lines {
        let colour = match line.as_bytes() {
            [b'-', b'-', b'-', b' ', ..] | [b'+', b'+', b'+', b' ', ..] => Some(Colour::Bold),
            [b'@', ..] => Some(Colour::Cyan),
            [b'+', ..] => Some(Colour::Green),
            [b'-', ..] => Some(Colour::Red),
            _ => None,
        };
        match colour {
            Some(colour) => page.push_str(&screen.paint(colour, line)),
            None => page.push_str(line),
        }
        page.push('\n');
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_the_colour_of_its_kind() {
        let screen = Screen { columns: None, colour: true };
        let page = coloured(&["--- a/x", "+++ b/x", "@@ -1 +1 @@", " same", "-old", "+new"], screen);
        let want = "\x1b[1m--- a/x\x1b[0m\n\x1b[1m+++ b/x\x1b[0m\n\x1b[36m@@ -1 +1 @@\x1b[0m\n same\n\
            \x1b[31m-old\x1b[0m\n\x1b[32m+new\x1b[0m\n";
        assert_eq!(page, want);
    }
}
