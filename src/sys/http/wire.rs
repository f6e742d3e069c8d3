//! The sockets under the client. They never block: a wait is a poll that looks at the [`Stop`] of the call with every tick,
//! so that signals and cancellations end it without a thread beside the caller's.
//!
//! **Invariant:** what a call waits for is bounded by [`within`], on the thread that makes the call.

use crate::words::stop::{Stop, TICK};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::cell::RefCell;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport};

/// When a call has to end, whatever it waits for.
struct Bound {
    stop: Stop,
    until: Instant,
}

thread_local! {
    /// That of the call on this thread.
    static BOUND: RefCell<Option<Bound>> = const { RefCell::new(None) };
}

/// Makes a call, or a part of one, that ends with `stop`, and at `until` at the latest.
pub fn within<T>(stop: &Stop, until: Instant, call: impl FnOnce() -> T) -> T {
    let outer = BOUND.replace(Some(Bound { stop: stop.clone(), until }));
    let value = call();
    BOUND.set(outer);
    value
}

/// Whether the call on this thread has to end.
fn is_over() -> bool {
    BOUND.with_borrow(|bound| {
        bound.as_ref().is_some_and(|bound| bound.stop.reason().is_some() || Instant::now() >= bound.until)
    })
}

fn ended(timeout: &NextTimeout) -> ureq::Error {
    ureq::Error::Timeout(timeout.reason)
}

/// Does on a thread of its own what no signal interrupts, and leaves it there when the call has to end.
///
/// # Errors
/// `Timeout` then; those of `work`.
pub fn aside<T: Send + 'static>(
    timeout: &NextTimeout,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ureq::Error> {
    let end = Instant::now().checked_add(*timeout.after);
    let (sender, done) = channel();
    // Nobody may be waiting any more.
    std::thread::Builder::new().name("aside".into()).spawn(move || drop(sender.send(work())))?;
    loop {
        match done.recv_timeout(TICK) {
            Ok(result) => return Ok(result?),
            Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("the thread has ended").into()),
            Err(RecvTimeoutError::Timeout) if is_over() || end.is_some_and(|end| Instant::now() >= end) => {
                return Err(ended(timeout));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Opens connections.
#[derive(Debug)]
pub struct Opener;

impl<In: Transport> Connector<In> for Opener {
    type Out = Wire;

    fn connect(&self, details: &ConnectionDetails, _: Option<In>) -> Result<Option<Wire>, ureq::Error> {
        let timeout = details.timeout;
        let end = Instant::now().checked_add(*timeout.after);
        let mut last = ureq::Error::HostNotFound;
        for (n, address) in details.addrs.iter().enumerate() {
            if is_over() {
                return Err(ended(&timeout));
            }
            // Half of what is left, and all of it for the last one.
            let left = end.map_or(*timeout.after, |end| end.saturating_duration_since(Instant::now()));
            let share = if n + 1 < details.addrs.len() { left / 2 } else { left };
            match open(*address, share.max(Duration::from_millis(1)), &timeout) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_nonblocking(true)?;
                    let config = details.config;
                    let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
                    return Ok(Some(Wire { stream, buffers }));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// A connection on this machine is there at once or never; others are waited for.
fn open(address: SocketAddr, share: Duration, timeout: &NextTimeout) -> Result<TcpStream, ureq::Error> {
    let connect = move || TcpStream::connect_timeout(&address, share);
    let opened =
        if address.ip().is_loopback() { connect().map_err(ureq::Error::from) } else { aside(timeout, connect) };
    let is_late = |error: &ureq::Error| matches!(error, ureq::Error::Io(io) if io.kind() == ErrorKind::TimedOut);
    opened.map_err(|error| if is_late(&error) { ended(timeout) } else { error })
}

/// A connection.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    buffers: LazyBuffers,
}

impl Wire {
    /// Waits until it can be read or written.
    fn wait(&self, events: PollFlags, timeout: &NextTimeout, begun: Instant) -> Result<(), ureq::Error> {
        loop {
            let left = timeout.after.saturating_sub(begun.elapsed());
            if left.is_zero() || is_over() {
                return Err(ended(timeout));
            }
            let tick = left.min(TICK);
            let tick = Timespec { tv_sec: 0, tv_nsec: tick.subsec_nanos().into() };
            match poll(&mut [PollFd::new(&self.stream, events)], Some(&tick)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(errno) => return Err(io::Error::from(errno).into()),
            }
        }
    }
}

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let begun = Instant::now();
        let mut done = 0;
        loop {
            let rest = self.buffers.output().get(done..amount).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            match self.stream.write(rest) {
                Ok(0) => return Err(io::Error::from(ErrorKind::WriteZero).into()),
                Ok(n) => done += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(PollFlags::OUT, &timeout, begun)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let begun = Instant::now();
        loop {
            self.wait(PollFlags::IN, &timeout, begun)?;
            match self.stream.read(self.buffers.input_append_buf()) {
                Ok(n) => {
                    self.buffers.input_appended(n);
                    return Ok(n > 0);
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// There is nothing to read before anything was asked for.
    fn is_open(&mut self) -> bool {
        self.stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn what_no_signal_interrupts_is_left_behind() {
        let stop = Stop::at(Instant::now() + MINUTE);
        let (release, held) = channel::<()>();
        let (begun, has_begun) = channel();
        let timeout = NextTimeout::default();
        let ended = std::thread::scope(|scope| {
            let call = scope.spawn(|| {
                within(&stop, Instant::now() + MINUTE, || {
                    aside(&timeout, move || {
                        begun.send(()).expect("the test waits");
                        held.recv().map_err(io::Error::other)
                    })
                })
            });
            has_begun.recv().expect("it begins");
            stop.cancel();
            call.join().expect("the call")
        });
        assert!(matches!(ended, Err(ureq::Error::Timeout(_))), "{ended:?}");
        drop(release);
        assert_eq!(aside(&timeout, || Ok(7)).expect("a value"), 7);
        let refused = aside(&timeout, || Err::<u8, _>(ErrorKind::ConnectionRefused.into()));
        assert!(matches!(&refused, Err(ureq::Error::Io(error)) if error.kind() == ErrorKind::ConnectionRefused));
    }

    #[test]
    fn bounds_hold_for_their_call_only() {
        let (stop, later) = (Stop::at(Instant::now() + MINUTE), Instant::now() + MINUTE);
        assert!(!is_over(), "no call, no bound");
        let inner = within(&stop, later, || (is_over(), within(&stop, Instant::now(), is_over), is_over()));
        assert_eq!(inner, (false, true, false));
        stop.cancel();
        assert!(within(&stop, later, is_over) && !is_over());
    }

    /// Who was hung up on, or is told something unasked, is not asked again on that connection.
    #[test]
    fn a_connection_is_open_while_it_is_silent() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        stream.set_nonblocking(true).expect("a socket");
        let mut wire = Wire { stream, buffers: LazyBuffers::new(8, 8) };
        let (mut other, _) = listener.accept().expect("the other end");
        assert!(wire.is_open());
        other.write_all(b"x").expect("a byte");
        let soon = NextTimeout { after: MINUTE.into(), ..NextTimeout::default() };
        wire.wait(PollFlags::IN, &soon, Instant::now()).expect("it comes");
        assert!(!wire.is_open());
        assert!(wire.await_input(soon).expect("it is read") && wire.is_open());
        drop(other);
        wire.wait(PollFlags::IN, &soon, Instant::now()).expect("the end comes");
        assert!(!wire.is_open());
    }
}
