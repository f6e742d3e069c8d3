//! A question at the terminal, answered by a person or not at all; how wide it is, and whether somebody still reads.
//!
//! **Invariant:** only `y` or `yes` is a yes. Standard input is not read: it may hold the task.

use crate::words::stop::Stop;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::BorrowedFd;

/// Longest answer that is read, in bytes.
const LONGEST: usize = 64;

/// Returns the columns of the terminal that standard output is, as they are now.
pub fn out_columns() -> Option<usize> {
    columns(rustix::stdio::stdout())
}

/// Returns the columns of the terminal that standard error is, as they are now: a window may be drawn wider or narrower
/// at any time.
pub fn err_columns() -> Option<usize> {
    columns(rustix::stdio::stderr())
}

/// Returns whether whoever read standard output has gone away.
pub fn is_out_closed() -> bool {
    is_closed(rustix::stdio::stdout())
}

/// Returns whether nobody reads any more what is written to a pipe or a terminal.
pub fn is_closed(output: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(output, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let _ = poll(&mut fds, Some(&now));
    fds.iter().any(|fd| fd.revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL))
}

fn columns(fd: BorrowedFd<'_>) -> Option<usize> {
    // A serial line says 0.
    rustix::termios::tcgetwinsize(fd).ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Asks, and waits for a line until the stop ends the wait. Without a terminal the answer is no.
pub fn ask(question: &str, stop: &Stop) -> bool {
    let opened = fs_err::OpenOptions::new().read(true).write(true).open("/dev/tty");
    let Ok(mut tty) = opened.map(|file| file.into_parts().0) else { return false };
    if tty.write_all(question.as_bytes()).is_err() {
        return false;
    }
    let said = line(&mut tty, stop);
    if said.is_none() {
        // The next message begins on a line of its own.
        let _ = tty.write_all(b"\n");
    }
    said.is_some_and(|said| is_yes(&said))
}

fn line(tty: &mut File, stop: &Stop) -> Option<Vec<u8>> {
    let mut said = Vec::new();
    let mut byte = [0; 1];
    while stop.reason().is_none() {
        let tick = stop.tick();
        let time = Timespec { tv_sec: tick.as_secs().cast_signed(), tv_nsec: tick.subsec_nanos().into() };
        if !matches!(poll(&mut [PollFd::new(tty, PollFlags::IN)], Some(&time)), Ok(1..)) {
            continue;
        }
        match tty.read(&mut byte) {
            Ok(1) if byte != *b"\n" && said.len() < LONGEST => said.extend_from_slice(&byte),
            Ok(1) if byte == *b"\n" => return Some(said),
            // The end of input, an error, or more than any answer: nobody who says yes.
            Ok(_) | Err(_) => return None,
        }
    }
    None
}

fn is_yes(said: &[u8]) -> bool {
    let said = said.trim_ascii();
    said.eq_ignore_ascii_case(b"y") || said.eq_ignore_ascii_case(b"yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_a_yes() {
        for yes in ["y", "Y", " yes ", "YES\r"] {
            assert!(is_yes(yes.as_bytes()), "{yes:?}");
        }
        for no in ["", "n", "no", "yess", "ye", "y y", "1", "\u{1b}[Ay"] {
            assert!(!is_yes(no.as_bytes()), "{no:?}");
        }
    }
}
