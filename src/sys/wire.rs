//! The two ends of a protocol that is spoken over standard input and output.
//!
//! **Invariant:** after [`take`] nothing but the returned files reaches them: descriptor 0 is the null device and
//! descriptor 1 is standard error, for this process and for every child that inherits them.

use rustix::fs::{Mode, OFlags};
use rustix::io::fcntl_dupfd_cloexec;
use std::fs::File;
use std::io;

/// The private ends, closed in children.
#[derive(Debug)]
pub struct Wire {
    pub input: File,
    pub output: File,
}

/// Moves standard input and output to private descriptors.
///
/// # Errors
/// When no descriptor is free or the null device cannot be opened; then nothing has been moved but copies.
pub fn take() -> io::Result<Wire> {
    let input = File::from(fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
    let output = File::from(fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?);
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    Ok(Wire { input, output })
}
