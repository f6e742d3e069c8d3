//! What surrounds the process, read once by `main` and passed down as a value.

use crate::words::error::{Error, Kind};
use crate::words::time::Utc;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Environment, current directory and the moment of the call.
#[derive(Clone, Debug)]
pub struct Env {
    pub vars: BTreeMap<OsString, OsString>,
    /// The current directory; `None` when it no longer exists.
    pub cwd: Option<PathBuf>,
    /// Wall time, read once for each run.
    pub now: Utc,
}

impl Env {
    /// Returns the current directory.
    ///
    /// # Errors
    /// `Usage` when it no longer exists; `instead` is what would do.
    pub fn here(&self, instead: &str) -> Result<&Path, Error> {
        let gone = || Error::new(Kind::Usage, "the current directory does not exist any more").hint(instead);
        self.cwd.as_deref().ok_or_else(gone)
    }

    /// Returns the value of a variable; an empty one counts as not set.
    pub fn var(&self, name: &str) -> Option<&OsStr> {
        self.vars.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// Returns the value of a variable that holds text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.var(name).and_then(OsStr::to_str)
    }

    /// Returns whether a switch variable is on: set and neither `0` nor `false`.
    pub fn is_on(&self, name: &str) -> bool {
        self.var(name).is_some_and(|value| value != "0" && value != "false")
    }

    /// Returns the home directory, if it is an absolute path.
    pub fn home(&self) -> Option<&Path> {
        self.absolute("HOME")
    }

    /// Returns a variable that names an absolute path; relative values are ignored, as the XDG specification demands.
    pub fn absolute(&self, name: &str) -> Option<&Path> {
        self.var(name).map(Path::new).filter(|path| path.is_absolute())
    }
}
