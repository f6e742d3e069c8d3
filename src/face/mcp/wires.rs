//! The two threads at the ends of the wire. They move lines and know nothing of what is in them.
//!
//! **Invariant:** [`Outbox::push`] never waits for the client. What the client does not read is kept up to a bound; a
//! client that leaves more unread than that counts as gone.

use crate::rules::rpc::{self, Framed};
use crate::sys::tty;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, Write};
use std::os::fd::AsFd;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// Bytes that may wait for the client. It is what thousands of pipelined questions come to, and no more.
const MOST_UNREAD: usize = 64 << 20;
/// A line that a pipe with room takes whole, on every system: POSIX promises it for `_POSIX_PIPE_BUF` bytes.
const SMALL: usize = 512;

/// Lines for the client. Clones are the same outbox.
#[derive(Clone)]
pub struct Outbox(Arc<Shared>);

struct Shared {
    output: File,
    queue: Mutex<Queue>,
    /// Lines have come, or none will.
    more: Condvar,
    /// Lines have gone.
    less: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<String>,
    /// Bytes that are not written yet, those of the line that is being written among them.
    unread: usize,
    is_gone: bool,
}

/// Starts the thread that reads. It ends with the input; the end is told as [`Framed::End`].
///
/// # Errors
/// When no thread is to be had.
pub fn read<T: Send + 'static>(input: File, inbox: SyncSender<T>, wrap: fn(Framed) -> T) -> std::io::Result<()> {
    let work = move || {
        let mut input = BufReader::with_capacity(1 << 16, input);
        loop {
            // A line that cannot be read is the last one: a pipe that fails once has no more to give.
            let framed = rpc::read_line(&mut input).unwrap_or(Framed::End);
            let is_end = framed == Framed::End;
            if inbox.send(wrap(framed)).is_err() || is_end {
                return;
            }
        }
    };
    thread::Builder::new().name("read".into()).spawn(work).map(drop)
}

impl Outbox {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// When no thread is to be had.
    pub fn start(output: File) -> std::io::Result<Outbox> {
        let shared = Shared { output, queue: Mutex::default(), more: Condvar::new(), less: Condvar::new() };
        let outbox = Outbox(Arc::new(shared));
        let writer = outbox.clone();
        thread::Builder::new().name("write".into()).spawn(move || writer.write())?;
        Ok(outbox)
    }

    /// Hands over a line. A short one is written at once when nothing waits and the pipe has room: that saves the way
    /// through the other thread, a quarter of a ping.
    pub fn push(&self, line: String) {
        let mut queue = self.queue();
        if queue.is_gone {
            return;
        }
        if queue.unread == 0 && line.len() <= SMALL && self.has_room() {
            queue.is_gone = (&self.0.output).write_all(line.as_bytes()).is_err();
            return;
        }
        queue.unread += line.len();
        queue.is_gone = queue.unread > MOST_UNREAD;
        queue.lines.push_back(line);
        self.0.more.notify_one();
    }

    /// Returns whether nothing waits to be read.
    pub fn is_empty(&self) -> bool {
        self.queue().unread == 0
    }

    /// Returns whether the client has closed its end, or leaves too much unread.
    pub fn is_gone(&self) -> bool {
        self.queue().is_gone
    }

    /// Looks whether the client has closed its end. Nothing has to be written for that.
    pub fn is_closed(&self) -> bool {
        tty::is_closed(self.0.output.as_fd())
    }

    /// Waits until everything is written, the client is gone, or it is `end`.
    pub fn drain(&self, end: Instant) {
        let mut queue = self.queue();
        while queue.unread > 0 && !queue.is_gone {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            queue = self.0.less.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn write(&self) {
        loop {
            let mut queue = self.queue();
            let line = loop {
                if queue.is_gone {
                    return;
                }
                match queue.lines.pop_front() {
                    Some(line) => break line,
                    None => queue = self.0.more.wait(queue).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(queue);
            let written = (&self.0.output).write_all(line.as_bytes());
            let mut queue = self.queue();
            queue.unread -= line.len();
            queue.is_gone |= written.is_err();
            self.0.less.notify_all();
        }
    }

    fn has_room(&self) -> bool {
        let mut fds = [PollFd::new(&self.0.output, PollFlags::OUT)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok()
            && fds.iter().all(|fd| fd.revents() == PollFlags::OUT)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
