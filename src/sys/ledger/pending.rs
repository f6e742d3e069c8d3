//! Records that are not in their ledger yet. A change is written down here before its files are final, so that a kill
//! between the last file and the ledger line, or a ledger that cannot be written, loses no record: the next command that
//! writes appends it.
//!
//! `runs/RUN.record`: a line that says where the record belongs, and the record itself, without its secrets. The run holds
//! the lock of the file while it lives. Not here: whether its files were kept, without which the record says nothing true.

use super::file::{is_at, private};
use super::{Found, Ledger, Limits};
use crate::rules::from_json::{self, structs};
use crate::rules::ledger_line::line_of;
use crate::rules::recorded;
use crate::words::error::{Error, Kind};
use crate::words::record::RunRecord;
use crate::words::stop::Stop;
use rustix::fs::OFlags;
use serde::Serialize;
use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Ending of the files, after the id of the run.
pub const ENDING: &str = "record";
const SCHEMA: u32 = 1;
/// The longest wait for other writers of a ledger to which somebody else's record is appended.
const PATIENCE: Duration = Duration::from_secs(1);

/// The first line.
#[derive(Debug, Serialize)]
struct Belongs {
    schema: u32,
    ledger: OsString,
    max_bytes: u64,
    max_rotated_files: u32,
    sync: bool,
    /// `ledger.summary_window`
    window: u64,
}

structs! { Belongs { schema, ledger, max_bytes, max_rotated_files, sync, window } }

/// The record of a run that lives.
#[derive(Debug)]
pub struct Pending {
    path: PathBuf,
    /// Open for its lock.
    _file: File,
}

impl Pending {
    /// Takes the record away: it is in the ledger, or its files were not kept.
    pub fn end(self) {
        // One that stays is compared with the ledger by the next command.
        let _ = fs_err::remove_file(self.path);
    }
}

/// The record of a run that has died, or could not write its ledger.
#[derive(Debug)]
pub struct Unrecorded {
    path: PathBuf,
    /// Open for its lock.
    _file: File,
    /// `None` for a record that this mux cannot read.
    said: Option<(Belongs, RunRecord)>,
    /// Whether it is whole, and of a version that this mux does not know.
    is_later: bool,
}

impl Ledger {
    /// Writes down, synced, what [`Ledger::append`] will be given.
    ///
    /// # Errors
    /// Those of the system. The record can be appended all the same.
    pub fn announce(&self, record: &RunRecord, window: usize, keys: &[String], runs: &Path) -> io::Result<Pending> {
        let belongs = Belongs {
            schema: SCHEMA,
            ledger: self.path.clone().into_os_string(),
            max_bytes: self.limits.max_bytes,
            max_rotated_files: self.limits.max_rotated_files,
            sync: self.limits.sync,
            window: window as u64,
        };
        let mut text = serde_json::to_vec(&belongs)?;
        text.push(b'\n');
        text.extend(line_of(&mut record.clone(), keys)?);
        let path = runs.join(format!("{}.{ENDING}", record.run_id));
        let mut file = private(&path, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)?;
        let written = file.lock().and_then(|()| file.write_all(&text)).and_then(|()| file.sync_data());
        // Whoever saw it empty, before it was locked, may have taken it away.
        let is_there = is_at(&file, &path);
        let pending = Pending { path, _file: file };
        match written {
            Ok(()) if is_there => Ok(pending),
            Ok(()) => self.announce(record, window, keys, runs),
            Err(error) => {
                pending.end();
                Err(error)
            }
        }
    }
}

/// Opens the record with this path, unless its run lives or it is gone.
///
/// # Errors
/// Those of the system.
pub fn open(path: &Path, heals: bool) -> io::Result<Option<Unrecorded>> {
    // Who only looks may do so on a disk that is read-only.
    let mut file = match private(path, if heals { OFlags::RDWR } else { OFlags::RDONLY }) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    match if heals { file.try_lock() } else { file.try_lock_shared() } {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let lines = text.strip_suffix('\n').and_then(|text| text.split_once('\n'));
    let said = lines.and_then(|(belongs, record)| {
        let belongs: Belongs = from_json::read(belongs.as_bytes()).ok()?;
        (belongs.schema == SCHEMA).then_some((belongs, recorded::read(record).ok()?))
    });
    let is_later = said.is_none() && text.ends_with('\n');
    Ok(Some(Unrecorded { path: path.to_path_buf(), _file: file, said, is_later }))
}

impl Unrecorded {
    /// Whether a mux of another version has written it.
    pub fn is_later(&self) -> bool {
        self.is_later
    }

    /// The work directory and the number of files of its run; empty and 0 for a record that cannot be read.
    pub fn about(&self) -> (PathBuf, usize) {
        let said = self.said.as_ref().map(|(_, record)| (PathBuf::from(&record.workdir), record.files.len()));
        said.unwrap_or_default()
    }

    /// Appends it to its ledger, unless it is there, and takes it away.
    ///
    /// # Errors
    /// As [`Ledger::append`]; it stays then.
    pub fn record(self, stop: &Stop) -> Result<(), Error> {
        let Some((belongs, mut record)) = self.said else {
            return Err(Error::new(Kind::Unlogged, "the record cannot be read by this version of mux"));
        };
        let Belongs { max_bytes, max_rotated_files, sync, .. } = belongs;
        let limits = Limits { max_bytes, max_rotated_files, sync };
        let ledger = Ledger::open(PathBuf::from(belongs.ledger), limits).within(PATIENCE);
        if ledger.find(&record.run_id)? == Found::Nothing {
            let window = usize::try_from(belongs.window).unwrap_or(usize::MAX);
            ledger.append(&mut record, window, &[], stop, &mut |_| ())?;
        }
        let _ = fs_err::remove_file(self.path);
        Ok(())
    }

    /// Takes it away: its files were not kept.
    pub fn forget(self) {
        let _ = fs_err::remove_file(self.path);
    }
}
