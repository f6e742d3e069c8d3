//! A run whose whole id is known is looked for where the time in its id is: that takes the same time however large the
//! files are. What is not found there may be elsewhere.

use crate::rules::backwards;
use crate::rules::ledger_line::field;
use crate::rules::stats::Row;
use crate::rules::{run_id, sought};
use crate::sys::ledger::file::{self, read_at};
use std::path::PathBuf;

/// Returns the line of a run that stands near its time in one of the files of a ledger. A file that cannot be read has
/// none: who looks everywhere says so.
pub fn find(id: &str, numbered: &dyn Fn(u32) -> PathBuf) -> Option<String> {
    let (time, mut found) = (run_id::time(id)?, None);
    let files = file::each(numbered, &mut |file, len| {
        let mut read = |block: &mut [u8], at: u64| read_at(file, block, at);
        let part = sought::around(time, len, &mut read)?;
        let mut budget = part.end - part.start;
        backwards::lines(part.end, &mut budget, &mut read, &mut |line| {
            let named = line.and_then(|line| named(line, id)).filter(|(_, row)| row.run_id == id);
            found = named.map(|(line, _)| line.to_string());
            found.is_none()
        })?;
        Ok(found.is_none())
    });
    files.ok().and(found)
}

/// Returns a line and what it records, if the id of its run begins with `id`.
pub fn named<'l>(line: &'l str, id: &str) -> Option<(&'l str, Row<'l>)> {
    let is_named = field(line, "\"run_id\":\"").is_some_and(|rest| rest.starts_with(id));
    is_named.then(|| Row::parse(line)).flatten().map(|row| (line, row))
}
