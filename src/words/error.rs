//! The error that ends a process: what was tried, where, why it failed and what to do. Shown once, by `main`.
//!
//! An expected failure of a try (model down, red tests) is not an [`Error`] but a [`crate::words::task::Failure`].

use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};

/// What went wrong, by what the caller must do about it. Decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Wrong arguments, an unknown run id, a `--verify` command that does not exist. Exit 2.
    Usage,
    /// A configuration that cannot be used. Exit 2.
    Config,
    /// A file, directory, socket or child could not be used. Exit 3.
    Io,
    /// The work was done but could not be recorded. Exit 3.
    Unlogged,
    /// A refused work directory or path, or a policy that allows nothing. Exit 4.
    Refused,
}

/// An error with its story, made for people. One pointer, because nearly every function returns one.
#[derive(Debug)]
pub struct Error(Box<Story>);

/// What an [`Error`] says.
#[derive(Debug)]
pub struct Story {
    pub kind: Kind,
    /// What was tried: lower case, no full stop, the thing in backticks.
    pub what: String,
    /// `file:line:column`, where there is one.
    pub at: Option<String>,
    /// What to do; works when pasted, where it is a command.
    pub hint: Option<String>,
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub fn new(kind: Kind, what: impl Into<String>) -> Error {
        Error(Box::new(Story { kind, what: what.into(), at: None, hint: None, source: None }))
    }

    /// Returns an error with its cause.
    #[cold]
    pub fn caused(kind: Kind, what: String, cause: Box<dyn std::error::Error + Send + Sync>) -> Error {
        let mut error = Error::new(kind, what);
        error.source = Some(cause);
        error
    }

    /// Adds the place, `file:line:column`.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Error {
        self.at = Some(place.into());
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    /// Returns the error with something to do about it, for the one who reads it last: where nothing was said with the
    /// error, what holds for its cause, else for its kind.
    pub fn told(&self) -> String {
        match self.hint {
            Some(_) => self.to_string(),
            None => format!("{self}\n  hint: {}", self.usual_hint()),
        }
    }

    fn usual_hint(&self) -> &'static str {
        let source = self.source.as_deref().map(|source| source as &dyn std::error::Error);
        let causes = std::iter::successors(source, |error| error.source());
        let cause = causes.filter_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind).next();
        match (cause, self.kind) {
            (Some(io::ErrorKind::NotFound), _) => "check the spelling; a relative path begins here: `pwd`",
            (Some(io::ErrorKind::PermissionDenied), _) => "`ls -ld` shows whose it is, `id` who you are",
            (Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded), _) => {
                "make room: `df -h` shows where it is full"
            }
            (Some(io::ErrorKind::ReadOnlyFilesystem), _) => "`findmnt` shows what is mounted read-only",
            (_, Kind::Usage) => "`mux --help` lists the commands and their options",
            (_, Kind::Config) => "`mux config check` names every mistake and its place",
            (_, Kind::Io | Kind::Unlogged) => "`mux doctor` says what else does not work here",
            (_, Kind::Refused) => "`mux config show` says what holds, and which file says so",
        }
    }

    /// Returns the exit code of a process that ends with this error.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Usage | Kind::Config => 2,
            Kind::Io | Kind::Unlogged => 3,
            Kind::Refused => 4,
        }
    }
}

impl Deref for Error {
    type Target = Story;

    fn deref(&self) -> &Story {
        &self.0
    }
}

impl DerefMut for Error {
    fn deref_mut(&mut self) -> &mut Story {
        &mut self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        let mut cause = self.source.as_deref().map(|source| source as &dyn std::error::Error);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        if let Some(at) = &self.at {
            write!(f, "\n  at: {at}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Says what was being done when a lower layer failed.
pub trait Context<T> {
    /// Turns the error into an [`Error`] of `kind`; `what` is evaluated only on failure.
    ///
    /// # Errors
    /// The original error, as the source.
    fn context(self, kind: Kind, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T, E: std::error::Error + Send + Sync + 'static> Context<T> for Result<T, E> {
    fn context(self, kind: Kind, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|cause| Error::caused(kind, what(), Box::new(cause)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_reads_an_error_is_told_what_to_do() {
        use io::ErrorKind::{Interrupted, NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        for kind in [Kind::Usage, Kind::Config, Kind::Io, Kind::Unlogged, Kind::Refused] {
            let alone = Error::new(kind, "x").told();
            assert!(alone.starts_with("x\n  hint: `mux "), "{alone}");
            assert_eq!(Error::new(kind, "x").hint("y").told(), "x\n  hint: y");
            for cause in [NotFound, PermissionDenied, StorageFull, QuotaExceeded, ReadOnlyFilesystem] {
                let error = Err::<(), _>(io::Error::from(cause)).context(kind, || "x".into()).unwrap_err().told();
                let hint = error.rsplit_once("\n  hint: ").unwrap().1;
                assert!(hint.contains('`') && !alone.ends_with(hint), "{error}");
            }
            let other = Err::<(), _>(io::Error::from(Interrupted)).context(kind, || "x".into()).unwrap_err().told();
            assert_eq!(other.rsplit_once("\n  hint: ").unwrap().1, alone.rsplit_once("\n  hint: ").unwrap().1);
        }
    }
}
