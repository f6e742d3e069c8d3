//! A record as the line that is written, and a field of a line that was read. Pure.

use crate::rules::backwards::MAX_LINE;
use crate::rules::{escape, secrets};
use crate::words::record::RunRecord;
use std::io::{self, ErrorKind};

/// Returns the line of a record with its newline: one line whatever the texts hold, no control byte, no secret.
/// The texts that the user asked to store go first when the line would be too long.
///
/// # Errors
/// When it is too long even without them.
pub fn line_of(record: &mut RunRecord, keys: &[String]) -> io::Result<Vec<u8>> {
    for _ in 0..2 {
        let json = serde_json::to_string(record)?;
        let mut line = escape::in_json(&secrets::redact_json(&json, keys)).into_owned().into_bytes();
        line.push(b'\n');
        if line.len() <= MAX_LINE {
            return Ok(line);
        }
        (record.task, record.output) = (None, None);
    }
    Err(io::Error::new(ErrorKind::FileTooLarge, "the record is too long for a line"))
}

/// Returns what follows the first `name` in a line.
pub fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_once(name).map(|(_, rest)| rest)
}

/// Returns whether a line, as the ledger writes it, is the record of a git hook.
pub fn is_hook(line: &str) -> bool {
    line.contains("\"source\":\"hook\"")
}
