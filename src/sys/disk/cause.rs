//! Why the disk was not read or written as asked. Data: the engine records it or quotes it to the model.

use crate::words::stop::StopReason;
use crate::words::task;
use rustix::io::Errno;
use std::fmt;

/// Why the disk was not read or written as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Something stands at `path`, or on the way to it, that is never written or read through.
    Refused { path: String, found: Found },
    /// The file is not (or no longer) the one that was shown to the model.
    Stale { path: String },
    /// The file is larger than the caller's limit.
    TooLarge { path: String, bytes: u64 },
    /// The work directory is not at its path any more, and what is there, if anything, is not it.
    Moved { path: String },
    /// The system refused. `doing` is what was tried.
    Os { doing: &'static str, path: String, errno: Errno },
    /// The work was called off.
    Stopped(StopReason),
}

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    SymbolicLink,
    Directory,
    /// A file where a directory is needed.
    NotADirectory,
    Fifo,
    Socket,
    Device,
    /// Nothing, where a file is to be deleted.
    Absent,
    /// A file without any write permission.
    ReadOnly,
    /// A file whose owner or group could not be kept.
    NotOurs,
    /// A directory name that is not UTF-8, or a path that is not absolute.
    OddPath,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Found::SymbolicLink => "it is a symbolic link, or lies behind one",
            Found::Directory => "it is a directory",
            Found::NotADirectory => "a file stands where a directory is needed",
            Found::Fifo => "it is a FIFO",
            Found::Socket => "it is a socket",
            Found::Device => "it is a device",
            Found::Absent => "there is no such file to delete",
            Found::ReadOnly => "the file is read-only",
            Found::NotOurs => "its owner and group could not be kept",
            Found::OddPath => "the directory's path is not absolute, or not UTF-8",
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Refused { path, found } => write!(f, "`{path}`: {found}"),
            Cause::Stale { path } => write!(f, "`{path}` has changed since it was read"),
            Cause::TooLarge { path, bytes } => write!(f, "`{path}` has {bytes} bytes, more than the limit"),
            Cause::Moved { path } => {
                write!(f, "`{path}` is not the directory any more that mux works in: that one was renamed or removed")
            }
            // Of mux's own journals; see `kept`.
            Cause::Os { doing, path, errno: Errno::BADMSG } => {
                write!(f, "cannot {doing} `{path}`: another version of mux has written it")
            }
            Cause::Os { doing, path, errno } => write!(f, "cannot {doing} `{path}`: {errno}"),
            Cause::Stopped(_) => f.write_str("stopped"),
        }
    }
}

impl std::error::Error for Cause {}

impl Cause {
    pub(super) fn os(doing: &'static str, path: &str) -> impl Fn(Errno) -> Cause {
        move |errno| Cause::Os { doing, path: path.to_string(), errno }
    }

    pub(super) fn refused(path: &str, found: Found) -> Cause {
        Cause::Refused { path: path.to_string(), found }
    }
}

impl From<&Cause> for task::Failure {
    fn from(cause: &Cause) -> task::Failure {
        match cause {
            Cause::Refused { path, found } => {
                task::Failure::RefusedPath { path: path.clone(), rule: found.to_string() }
            }
            Cause::Stopped(StopReason::Deadline) => task::Failure::Stopped { why: task::Refusal::Deadline },
            Cause::Stopped(StopReason::Signal(_) | StopReason::Canceled) => {
                task::Failure::Stopped { why: task::Refusal::Canceled }
            }
            Cause::Stale { path } => task::Failure::Stale { path: path.clone() },
            Cause::TooLarge { .. } | Cause::Moved { .. } | Cause::Os { .. } => {
                task::Failure::Disk { why: cause.to_string() }
            }
        }
    }
}
