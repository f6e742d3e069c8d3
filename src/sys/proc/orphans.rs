//! What left the process group of a child: found below mux, the reaper of orphans, by [`MARKER`] in its environment.
//! Linux.

use super::{BURIAL, MARKER, known};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Kills what left the group of a child that is over, and returns how much that was. Looks again until nothing is
/// found, because the children of the killed come to mux only then.
pub fn sweep(marker: &str) -> usize {
    let end = Instant::now() + BURIAL;
    // Not `getsid`: in a container whose session leader is outside, it answers 0, which is no pid (rustix asserts that).
    let (_, session) = state_of("self");
    let mut killed = Vec::new();
    loop {
        let known = known();
        let mut orphans = Vec::new();
        children_of("self", &mut orphans);
        orphans.retain(|pid| !known.contains(pid));
        let mut left = false;
        let mut pids = orphans.clone();
        // By index, because children of what is found are looked at as well.
        let mut next = 0;
        while let Some(&pid) = pids.get(next) {
            next += 1;
            let (is_zombie, its_session) = state_of(&pid.to_string());
            if is_zombie {
                // A zombie has no environment to tell whose it is. But a child that mux started is either in the list
                // or in this session; what is neither came as an orphan and waits for nobody but mux.
                let is_orphan = killed.contains(&pid) || its_session != session;
                if is_orphan && orphans.contains(&pid) {
                    let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
                }
            } else if killed.contains(&pid) {
                left = true; // dying
            } else {
                if kill_marked(pid, marker) {
                    killed.push(pid);
                    left = true;
                }
                children_of(&pid.to_string(), &mut pids);
            }
        }
        drop(known);
        if !left || Instant::now() >= end {
            return killed.len();
        }
        sleep(Duration::from_millis(1));
    }
}

/// Adds the children of a process, all its threads'.
pub fn children_of(process: &str, pids: &mut Vec<Pid>) {
    let Ok(threads) = fs_err::read_dir(format!("/proc/{process}/task")) else { return };
    for thread in threads.flatten() {
        let list = fs_err::read_to_string(thread.path().join("children")).unwrap_or_default();
        pids.extend(list.split_ascii_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)));
    }
}

/// Returns whether a process is a zombie (or gone), and its session; `None` is one that this pid namespace cannot see.
fn state_of(process: &str) -> (bool, Option<Pid>) {
    read_state(&String::from_utf8_lossy(&fs_err::read(format!("/proc/{process}/stat")).unwrap_or_default()))
}

/// Reads `pid (name) state ppid pgrp session …`; the name may hold anything, parentheses too. A process that is being
/// reaped right now has group and session -1 (seen on Linux 6), which is no pid either.
fn read_state(stat: &str) -> (bool, Option<Pid>) {
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
    let is_zombie = matches!(fields.next(), None | Some("Z" | "X"));
    let session = fields.nth(2).and_then(|session| session.parse().ok()).filter(|session| *session > 0);
    (is_zombie, session.and_then(Pid::from_raw))
}

/// Kills a process if it carries the marker. By descriptor, since the number may change hands in between.
fn kill_marked(pid: Pid, marker: &str) -> bool {
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    let environ = fs_err::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let mut values = environ
        .split(|byte| *byte == 0)
        .filter_map(|entry| entry.strip_prefix(MARKER.as_bytes()).and_then(|value| value.strip_prefix(b"=")));
    let is_marked = values.any(|value| value.split(|byte| *byte == b':').any(|part| part == marker.as_bytes()));
    is_marked && pidfd_send_signal(&process, Signal::KILL).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_is_no_pid_is_none() {
        let check = |stat: &str, state| assert_eq!(read_state(stat), state, "{stat}");
        check("7 (a) b) S 1 7 5 0 -1", (false, Pid::from_raw(5)));
        check("7 (sh) Z 1 7 0 0 -1", (true, None));
        check("7 (sh) X 0 -1 -1 0 -1", (true, None));
        check("", (true, None));
    }
}
