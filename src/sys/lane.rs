//! Numbered tickets in front of a local server that has few slots, across all mux processes; and the permit to restart
//! a server. Handed a directory; knows nothing of servers.
//!
//! A ticket is a file whose `flock` its holder keeps: a process that dies gives it back, whatever killed it, and no pid
//! can be mistaken for another. flock alone has no order and no place in a queue to show, hence the numbers.
//! **Invariants:** tickets are made, and dead ones removed, only under the lane's lock, so a name is never reused while
//! someone looks at it. The lane is politeness: where its directory cannot be used, calls go ahead without it.

use crate::words::stop::{Stop, StopReason};
use crate::words::task::{Failure, Phase, Refusal};
use fs_err::os::unix::fs::OpenOptionsExt as _;
use fs_err::{self as fs, File, OpenOptions};
use std::fs::DirBuilder;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often one who waits looks whether it is his turn.
const POLL: Duration = Duration::from_millis(25);
/// One restart in this time, in milliseconds.
const RESTART_EVERY_MS: u64 = 5 * 60 * 1000;
/// How long the permit's lock is waited for; it is held for microseconds.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// A place at the server. Dropping it gives the place to the next.
#[derive(Debug)]
pub struct Ticket {
    /// `None` where the lane could not be used. The file is kept for its lock.
    held: Option<(PathBuf, File)>,
}

/// Takes a ticket and waits for its turn: until fewer than `slots` callers with earlier tickets are alive. `key` names
/// the server: its base URL. `on_ahead` is told how many are in front, whenever that changes, and never when the lane
/// is free.
///
/// # Errors
/// `Timeout` in phase `Queue` at the deadline of `stop`, `Stopped` when it is called.
pub fn enter(
    dir: &Path,
    key: &str,
    slots: usize,
    stop: &Stop,
    on_ahead: &mut dyn FnMut(usize),
) -> Result<Ticket, Failure> {
    let begun = Instant::now();
    let gone = |reason| match reason {
        StopReason::Deadline => Failure::Timeout { phase: Phase::Queue, after_ms: waited(begun) },
        StopReason::Signal(_) | StopReason::Canceled => Failure::Stopped { why: Refusal::Canceled },
    };
    let lane = dir.join(key.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
    let (number, mut ahead, ticket) = match take(&lane, stop) {
        Ok(Some(taken)) => taken,
        Ok(None) => return Err(gone(stop.reason().unwrap_or(StopReason::Deadline))),
        Err(_) => return Ok(Ticket { held: None }),
    };
    let mut told = 0;
    loop {
        if ahead.len() < slots.max(1) {
            return Ok(ticket);
        }
        if ahead.len() != told {
            told = ahead.len();
            on_ahead(told);
        }
        if let Some(reason) = stop.sleep(POLL) {
            return Err(gone(reason));
        }
        ahead.retain(|earlier| *earlier < number && is_alive(&lane.join(name(*earlier))));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some((path, _)) = &self.held {
            // Before the lock goes: a ticket without a lock is a dead one, which others remove.
            let _ = fs::remove_file(path);
        }
    }
}

/// Returns whether the caller may restart the server now: once in five minutes over all processes that share `dir`. A
/// directory that cannot be used permits nothing, since then nothing would bound the restarts.
pub fn claim_restart(dir: &Path, now_ms: u64) -> bool {
    let claim = || -> io::Result<bool> {
        make_dir(dir)?;
        let mut stamp = open(&dir.join("restart"))?;
        if !lock(&stamp, &Stop::at(Instant::now() + LOCK_WAIT))? {
            return Ok(false);
        }
        let mut last = String::new();
        (&stamp).take(32).read_to_string(&mut last)?;
        // A clock that was set back leaves a stamp in the future: a distance in either direction counts.
        if last.trim().parse().is_ok_and(|last: u64| last.abs_diff(now_ms) < RESTART_EVERY_MS) {
            return Ok(false);
        }
        stamp.set_len(0)?;
        stamp.rewind()?;
        stamp.write_all(now_ms.to_string().as_bytes())?;
        Ok(true)
    };
    claim().unwrap_or(false)
}

/// Makes a ticket. Returns its number, the earlier ones that are alive, and the ticket; `None` if `stop` came first.
fn take(lane: &Path, stop: &Stop) -> io::Result<Option<(u64, Vec<u64>, Ticket)>> {
    let guard = match open(&lane.join("lock")) {
        Ok(guard) => guard,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_dir(lane)?;
            open(&lane.join("lock"))?
        }
        Err(error) => return Err(error),
    };
    if !lock(&guard, stop)? {
        return Ok(None);
    }
    let mut numbers = Vec::new();
    for entry in fs::read_dir(lane)? {
        let file = entry?.file_name();
        numbers.extend(file.to_str().and_then(|name| name.strip_prefix("ticket-")?.parse::<u64>().ok()));
    }
    let number = numbers.iter().max().map_or(0, |last| last + 1);
    numbers.retain(|earlier| {
        let path = lane.join(name(*earlier));
        is_alive(&path) || {
            let _ = fs::remove_file(&path); // its holder may have done so by now
            false
        }
    });
    let path = lane.join(name(number));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.try_lock().map_err(io::Error::from)?;
    Ok(Some((number, numbers, Ticket { held: Some((path, file)) })))
}

/// Returns whether the holder of a ticket lives: someone keeps its lock.
fn is_alive(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock_shared().is_err())
}

/// Waits for a lock; `File::lock` has no deadline. Returns false if `stop` came first.
fn lock(file: &File, stop: &Stop) -> io::Result<bool> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
            Err(std::fs::TryLockError::WouldBlock) => {}
        }
        if stop.sleep(Duration::from_millis(1)).is_some() {
            return Ok(false);
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Makes a directory that is the user's alone, whatever the umask.
fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn waited(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn name(number: u64) -> String {
    format!("ticket-{number}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    /// A directory of its own that is gone afterwards.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Dir {
            let path = std::env::temp_dir().join(format!("mux-lane-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Dir(path)
        }

        fn tickets(&self) -> usize {
            let names =
                fs::read_dir(self.0.join("a")).expect("the lane").map(|entry| entry.expect("an entry").file_name());
            names.filter(|name| name.to_string_lossy().starts_with("ticket-")).count()
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn soon() -> Stop {
        Stop::at(Instant::now() + Duration::from_mins(1))
    }

    fn free(dir: &Dir, slots: usize) -> Ticket {
        enter(&dir.0, "a", slots, &soon(), &mut |ahead| panic!("{ahead} ahead in a free lane")).expect("a ticket")
    }

    fn at_once() -> Stop {
        Stop::at(Instant::now())
    }

    #[test]
    fn tickets_are_served_in_order_and_say_who_is_ahead() {
        let dir = Dir::new("order");
        let first = free(&dir, 1);
        let (events, seen) = channel();
        let waiting: Vec<_> = (1..=2)
            .map(|number| {
                let (path, events) = (dir.0.clone(), events.clone());
                let waiter = std::thread::spawn(move || {
                    let told = events.clone();
                    let ticket = enter(&path, "a", 1, &soon(), &mut |ahead| {
                        told.send((number, ahead)).expect("a listener");
                    });
                    events.send((number, 0)).expect("a listener");
                    drop(ticket.expect("a ticket"));
                });
                // The next one takes its ticket only when this one stands in the queue.
                assert_eq!(seen.recv(), Ok((number, number)));
                waiter
            })
            .collect();
        drop((first, events));
        for waiter in waiting {
            waiter.join().expect("a waiter");
        }
        // The second waiter may look before or after the first one is done: it need not see the place in between.
        let mut order: Vec<_> = seen.iter().collect();
        order.retain(|event| *event != (2, 1));
        assert_eq!(order, [(1, 0), (2, 0)]);
        assert_eq!(dir.tickets(), 0);
    }

    #[test]
    fn a_lane_and_its_files_are_the_users_alone() {
        let dir = Dir::new("private");
        let _ticket = free(&dir, 1);
        let mode = |path: &str| fs::metadata(dir.0.join(path)).expect("it is there").permissions().mode() & 0o777;
        assert_eq!([mode("a"), mode("a/lock"), mode("a/ticket-0")], [0o700, 0o600, 0o600]);
    }

    #[test]
    fn slots_and_lanes_are_independent() {
        let dir = Dir::new("slots");
        let (_one, two) = (free(&dir, 2), free(&dir, 2));
        let mut ahead = 0;
        let third = enter(&dir.0, "a", 2, &at_once(), &mut |n| ahead = n);
        assert!(matches!(third, Err(Failure::Timeout { phase: Phase::Queue, .. })), "{third:?}");
        assert_eq!(ahead, 2);
        assert_eq!(dir.tickets(), 2, "who gives up leaves no ticket");
        let other = "http://127.0.0.1:1/../v1";
        enter(&dir.0, other, 1, &soon(), &mut |_| panic!("another lane")).expect("a ticket");
        assert!(dir.0.join("http---127-0-0-1-1----v1").is_dir());
        drop(two);
        free(&dir, 2);
    }

    #[test]
    fn a_dead_holder_is_skipped() {
        let dir = Dir::new("dead");
        let kept = free(&dir, 1);
        // What a killed process leaves: a ticket that nobody locks.
        fs::write(dir.0.join("a").join("ticket-7"), "").expect("a file");
        drop(kept);
        let ticket = free(&dir, 1);
        assert!(ticket.held.as_ref().is_some_and(|(path, _)| path.ends_with("ticket-8")));
        assert_eq!(dir.tickets(), 1);
    }

    #[test]
    fn a_cancellation_ends_the_queue() {
        let dir = Dir::new("cancel");
        let _first = free(&dir, 1);
        let stop = soon();
        let result = enter(&dir.0, "a", 1, &stop, &mut |_| stop.cancel());
        assert!(matches!(result, Err(Failure::Stopped { why: Refusal::Canceled })), "{result:?}");
        assert_eq!(dir.tickets(), 1);
    }

    #[test]
    fn a_lane_that_cannot_be_kept_lets_everyone_through() {
        let dir = Dir::new("broken");
        fs::create_dir_all(&dir.0).expect("a directory");
        fs::write(dir.0.join("a"), "a file where the lane should be").expect("a file");
        let (one, two) = (free(&dir, 1), free(&dir, 1));
        assert!(one.held.is_none() && two.held.is_none());
    }

    #[test]
    fn never_more_inside_than_slots() {
        let dir = Dir::new("many");
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    let ticket = enter(&dir.0, "a", 3, &soon(), &mut |_| {}).expect("a ticket");
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(5));
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(ticket);
                });
            }
        });
        assert!((1..=3).contains(&most.into_inner()));
        assert_eq!(dir.tickets(), 0);
    }

    #[test]
    fn one_of_many_may_restart_and_again_after_five_minutes() {
        let dir = Dir::new("restart");
        let now = 1_795_402_440_000;
        let claim = |at| {
            std::thread::scope(|scope| {
                let all: Vec<_> = (0..16).map(|_| scope.spawn(|| claim_restart(&dir.0, at))).collect();
                all.into_iter().map(|one| one.join().expect("a claim")).filter(|won| *won).count()
            })
        };
        assert_eq!(claim(now), 1);
        assert_eq!(claim(now + RESTART_EVERY_MS - 1), 0);
        assert_eq!(claim(now - RESTART_EVERY_MS + 1), 0, "a clock that was set back a little");
        assert_eq!(claim(now + RESTART_EVERY_MS), 1);
        assert_eq!(claim(now - 86_400_000), 1, "a clock that was set back a day");
        assert!(!claim_restart(Path::new("/dev/null/x"), now));
    }
}
