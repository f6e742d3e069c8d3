//! What is known of the programs that are cloud CLIs: their version, and whether they were logged in when last asked.
//! Asking starts a child (gemini takes 7 s to say its version; measured), so `status` reads what `doctor` has learned.
//!
//! A version holds as long as the file has the same time and size. A document that cannot be read is none: it is
//! learned again.

use super::document::Document;
use crate::rules::from_json::{structs, words};
use crate::words::error::{Error, Kind};
use crate::words::stop::Stop;
use crate::words::time::Utc;
use serde::Serialize;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The most programs that are remembered.
const MOST: usize = 32;

/// The knowledge of a state directory.
#[derive(Clone, Debug)]
pub struct Tools {
    document: Document,
}

/// Tells one build of a program from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stamp {
    mtime: i64,
    mtime_nsec: i64,
    size: u64,
}

/// Whether a CLI has an account to work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Login {
    LoggedIn,
    LoggedOut,
    /// It does not say without spending something.
    Unknown,
}

/// What a program said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Known {
    pub stamp: Stamp,
    pub version: Option<String>,
    pub login: Login,
    /// When it was asked.
    pub asked: Utc,
}

pub type All = BTreeMap<PathBuf, Known>;

structs! {
    Known { stamp, version, login, asked }
    Stamp { mtime, mtime_nsec, size }
}

words! {
    Login { "logged_in" => LoggedIn, "logged_out" => LoggedOut, "unknown" => Unknown }
}

impl Tools {
    /// Names the knowledge of a state directory; nothing is touched.
    pub fn below(state_dir: &Path) -> Tools {
        Tools { document: Document::at(state_dir.join("tools.json")) }
    }

    /// Returns what is known, by the path of the program.
    pub fn known(&self) -> All {
        self.document.read().ok().flatten().unwrap_or_default()
    }

    /// Remembers what programs said. Of more than 32 those go that were not asked for the longest time.
    ///
    /// # Errors
    /// `Io` when it cannot be written.
    pub fn remember(&self, said: All, stop: &Stop) -> Result<(), Error> {
        let result = self.document.change(stop, |all| {
            let mut all: All = all.ok().flatten().unwrap_or_default();
            all.extend(said);
            while all.len() > MOST {
                let oldest = all.iter().min_by_key(|(_, known)| known.asked).map(|(path, _)| path.clone());
                oldest.and_then(|path| all.remove(&path));
            }
            Ok((Some(all), ()))
        });
        result.map_err(|source| {
            let what = format!("cannot remember the cloud CLIs in `{}`", self.document.path().display());
            Error::caused(Kind::Io, what, Box::new(source))
        })
    }
}

/// Returns the stamp of a program, of the file that a link leads to.
pub fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs_err::metadata(path).ok()?;
    Some(Stamp { mtime: meta.mtime(), mtime_nsec: meta.mtime_nsec(), size: meta.size() })
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::{Temp, soon};
    use super::*;

    #[test]
    fn what_was_said_is_remembered_and_bounded() {
        let temp = Temp::new("tools");
        let tools = Tools::below(&temp.0);
        assert_eq!(tools.known(), All::new());
        let program = temp.0.join("claude");
        fs_err::write(&program, "one").unwrap();
        let known = |asked: u64| Known {
            stamp: stamp(&program).unwrap(),
            version: Some("2.1.330".into()),
            login: Login::LoggedIn,
            asked: Utc(asked),
        };
        let one = |path: PathBuf, asked| All::from([(path, known(asked))]);
        tools.remember(one(program.clone(), 5), &soon()).unwrap();
        assert_eq!(tools.known(), one(program.clone(), 5));
        for n in 0..40 {
            tools.remember(one(temp.0.join(n.to_string()), 10 + n), &soon()).unwrap();
        }
        assert_eq!((tools.known().len(), tools.known().contains_key(&program)), (MOST, false), "the oldest went");
        let before = stamp(&program);
        fs_err::write(&program, "another").unwrap();
        assert_ne!(stamp(&program), before);
        fs_err::write(temp.0.join("tools.json"), "[").unwrap();
        assert_eq!(tools.known(), All::new());
    }
}
