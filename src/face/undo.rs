//! `mux undo [RUN_ID]`: takes a run back and says what was done, or which files stand in the way.

use crate::engine::run::House;
use crate::engine::undo::{self, Undone, Wish};
use crate::engine::{heal, look};
use crate::face::args::UndoArgs;
use crate::face::print;
use crate::face::status::emit;
use crate::rules::escape::one_line;
use crate::rules::rpc::json;
use crate::sys::state::Patience;
use crate::words::changes::FileOp;
use crate::words::count::Count;
use crate::words::error::{Context, Error, Kind};
use crate::words::event::Watcher;
use crate::words::stop::Stop;
use crate::words::task::Source;
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

/// Undoes and prints. Returns the exit code: 0 undone, 1 nothing was undone.
///
/// # Errors
/// Those of the engine; `Io` when the result cannot be written.
pub fn run(
    house: &House<'_>,
    project: Option<&Path>,
    args: &UndoArgs,
    watcher: &mut dyn Watcher,
    out: &mut dyn Write,
    stop: &Stop,
) -> Result<u8, Error> {
    let patience = if args.no_wait { Patience::None } else { Patience::Wait };
    let last;
    let run_id = if let Some(run_id) = &args.run_id {
        run_id
    } else {
        // The newest may be one that was killed before it was recorded.
        heal::tell(&house.state.runs(), watcher)?;
        last = newest(house, project)?;
        &last
    };
    let wish = Wish { run_id, force: args.force, patience, source: Source::Cli };
    let undone = undo::undo(house, project, &wish, watcher, stop)?;
    let mut page = Vec::new();
    let written = if args.json { writeln!(page, "{}", as_json(&undone)) } else { text(&mut page, &undone) };
    written
        .and_then(|()| emit(out, &String::from_utf8_lossy(&page)))
        .context(Kind::Io, || "cannot write the result".to_string())?;
    undone.unlogged.map_or(Ok(undone.exit), Err)
}

/// The newest run that changed files here and is not taken back: one undo after the other goes back in time. Here is a
/// work directory that the current directory is in; what was done elsewhere is undone by its id only.
fn newest(house: &House<'_>, project: Option<&Path>) -> Result<String, Error> {
    let ledger = look::look(house, project)?.ledger;
    let cwd = house.env.here("`cd`, or give the id of a run: `mux log` lists all")?;
    let mut taken_back = BTreeSet::new();
    let newest = look::last(&ledger, &mut |row| {
        let is_taken_back = taken_back.contains(row.run_id.as_ref());
        match &row.undoes {
            // An undo that was undone has taken nothing back.
            Some(run_id) => {
                if !is_taken_back {
                    taken_back.insert(run_id.to_string());
                }
                false
            }
            None => row.n_files() > 0 && !is_taken_back && cwd.starts_with(row.workdir.as_ref()),
        }
    });
    newest.map_err(|mut error| {
        if error.kind == Kind::Usage {
            error.what = format!("no run has changed files in `{}` that is not taken back", cwd.display());
        }
        error
    })
}

/// The same form as the result of a run: one `name: value` a line, `output:` last.
fn text(out: &mut dyn Write, undone: &Undone) -> io::Result<()> {
    writeln!(out, "undone: {}", Count::of(undone.files.len(), "file"))?;
    writeln!(out, "undoes: {}", undone.undoes)?;
    if let Some(run_id) = &undone.run_id {
        writeln!(out, "run_id: {run_id}")?;
    }
    writeln!(out, "output:")?;
    print::files(out, &undone.files)?;
    for (path, why) in &undone.left {
        writeln!(out, "left {}: {why}", one_line(path))?;
    }
    if let Some(why) = &undone.why {
        writeln!(out, "{}", one_line(why))?;
    }
    for hint in &undone.hints {
        writeln!(out, "hint: {}", one_line(hint))?;
    }
    Ok(())
}

/// The object of `undo --json`.
#[derive(Serialize)]
struct Document<'a> {
    undone: usize,
    undoes: &'a str,
    run_id: &'a Option<String>,
    files: &'a [FileOp],
    left: Vec<Left<'a>>,
    why: &'a Option<String>,
    hints: &'a [String],
    logged: bool,
    exit: u8,
}

#[derive(Serialize)]
struct Left<'a> {
    path: &'a str,
    why: &'a str,
}

fn as_json(undone: &Undone) -> String {
    json(&Document {
        undone: undone.files.len(),
        undoes: &undone.undoes,
        run_id: &undone.run_id,
        files: &undone.files,
        left: undone.left.iter().map(|(path, why)| Left { path, why }).collect(),
        why: &undone.why,
        hints: &undone.hints,
        logged: undone.run_id.is_some() && undone.unlogged.is_none(),
        exit: undone.exit,
    })
}
