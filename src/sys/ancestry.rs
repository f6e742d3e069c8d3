//! Whether this process runs below another mux that has a cloud CLI at work: the backstop against mux → CLI → mux → …,
//! for CLIs that wipe `MUX_DEPTH` from the environment of what they start (codex 0.169 does; measured).
//!
//! Two signs, both looked for along this process's own parents:
//! - While a provider works, its mux holds a lock on a file `escalations/PID.CALL` in the state directory. The kernel
//!   frees the lock with the process, so a killed mux blocks nobody, nor does a number that is given out again.
//! - A CLI that wipes the environment of its children still has its own, with the `MUX_DEPTH` that mux started it with.
//!   This holds where the state directory was moved on the way; it does not where the CLI hides its environment.
//!
//! Linux only: elsewhere there is no `/proc`, and the answer is [`Ancestry::Unknown`].

use rustix::fs::{Mode, OFlags};
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// More generations than any shell, agent and build tool stack up.
const MAX_GENERATIONS: usize = 64;

/// How often the sign is put up, when those who look are in the way for an instant.
const TRIES: u32 = 100;

/// What the parents are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ancestry {
    /// No other mux with an escalation is above.
    Free,
    /// The process that has one.
    Below(u32),
    /// This system does not tell.
    Unknown,
}

/// A sign that this process has a provider at work, until it is dropped or the process dies.
#[derive(Debug)]
pub struct Escalating {
    path: PathBuf,
    _file: File,
}

/// Puts up the sign in `dir`, which exists (`State::escalations`). One process may do so several times at once (calls
/// of an MCP client run beside each other); `call` tells them apart.
///
/// # Errors
/// Those of the system.
pub fn escalating(dir: &Path, call: &str) -> io::Result<Escalating> {
    let path = dir.join(format!("{}.{call}", std::process::id()));
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    for _ in 0..TRIES {
        let file = File::from(rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)?);
        match file.try_lock() {
            Ok(()) if is_at(&file, &path) => return Ok(Escalating { path, _file: file }),
            // Someone who looks has it for an instant, and may have taken it for the sign of the dead.
            Ok(()) | Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::other("its lock is held"))
}

impl Drop for Escalating {
    fn drop(&mut self) {
        let _ = fs_err::remove_file(&self.path);
    }
}

/// Looks for an escalation above this process. Signs of processes that are gone are removed on the way.
pub fn look(dir: &Path) -> Ancestry {
    let parents = if cfg!(target_os = "linux") { parents(std::process::id()) } else { None };
    let Some(parents) = parents else { return Ancestry::Unknown };
    let above = by_sign(dir, &parents).or_else(|| by_environment(&parents));
    above.map_or(Ancestry::Free, Ancestry::Below)
}

fn by_sign(dir: &Path, parents: &[u32]) -> Option<u32> {
    let held = held(dir);
    parents.iter().copied().find(|pid| held.contains(pid))
}

/// Returns the nearest parent that was started by a mux.
fn by_environment(parents: &[u32]) -> Option<u32> {
    let is_below = |pid: &u32| {
        let vars = fs_err::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let depth = vars.split(|byte| *byte == 0).find_map(|var| var.strip_prefix(b"MUX_DEPTH="));
        depth.and_then(|depth| str::from_utf8(depth).ok()?.parse::<u32>().ok()).is_some_and(|depth| depth > 0)
    };
    parents.iter().copied().find(is_below)
}

/// Returns the processes whose sign is up.
fn held(dir: &Path) -> Vec<u32> {
    let mut held = Vec::new();
    // Without the directory nobody has ever escalated.
    for entry in fs_err::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.split('.').next()?.parse().ok());
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let (Some(pid), Ok(file)) = (pid, rustix::fs::open(entry.path(), flags, Mode::empty())) else { continue };
        match File::from(file).try_lock() {
            Err(TryLockError::WouldBlock) => held.push(pid),
            // Its process was killed. Removed under the lock: whoever puts up a new sign with this name waits for none.
            Ok(()) => drop(fs_err::remove_file(entry.path())),
            Err(TryLockError::Error(_)) => {}
        }
    }
    held
}

/// Returns the parents of a process, the nearest first; `None` without a readable `/proc`.
fn parents(mut pid: u32) -> Option<Vec<u32>> {
    let mut parents = Vec::new();
    while parents.len() < MAX_GENERATIONS {
        pid = match parent(pid) {
            Some(parent) => parent,
            // One that has just ended, or belongs to another PID namespace: above it nothing can be seen.
            None if parents.is_empty() => return None,
            None => break,
        };
        if pid <= 1 {
            break;
        }
        parents.push(pid);
    }
    Some(parents)
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs_err::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name of the program stands in parentheses and may hold anything, also `) R 1`: its end is the last one.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Whether an open file is the one that stands at a path.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), fs_err::symlink_metadata(path)) else { return false };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
#[expect(clippy::disallowed_methods, reason = "roles are played by children of the test binary")]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::{Child, Command, Stdio};
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A directory of its own for each test, gone afterwards.
    struct Temp(PathBuf);

    impl Temp {
        fn new() -> Temp {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let dir = std::env::temp_dir().join(format!("mux-ancestry-{}-{count}", std::process::id()));
            fs_err::create_dir_all(&dir).unwrap();
            Temp(dir)
        }

        fn signs(&self) -> usize {
            fs_err::read_dir(&self.0).unwrap().count()
        }
    }

    impl Drop for Temp {
        fn drop(&mut self) {
            let _ = fs_err::remove_dir_all(&self.0);
        }
    }

    /// Starts a test of this binary as a child, as a codex would: with nothing of the environment but what is given.
    fn start(role: &str, name: &str, value: &Path) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", &format!("sys::ancestry::tests::{role}"), "--nocapture"]);
        command.env_clear().env(name, value).stdout(Stdio::null()).spawn().unwrap()
    }

    fn mine() -> Vec<u32> {
        parents(std::process::id()).unwrap()
    }

    /// A mux that has an escalation running: what it starts, through a shell, looks up.
    #[test]
    fn role_escalating() {
        let Some(dir) = std::env::var_os("MUX_TEST_ESCALATING").map(PathBuf::from) else { return };
        let _sign = escalating(&dir, "1").unwrap();
        let looker = "sys::ancestry::tests::role_looker";
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "\"$0\" --exact \"$1\" --nocapture; exit $?"]);
        shell.arg(std::env::current_exe().unwrap()).arg(looker).env_clear().env("MUX_TEST_LOOKER", &dir);
        shell.env("MUX_TEST_ABOVE", std::process::id().to_string());
        assert!(shell.stdout(Stdio::null()).status().unwrap().success());
    }

    /// A mux two generations below it.
    #[test]
    fn role_looker() {
        let Some(dir) = std::env::var_os("MUX_TEST_LOOKER").map(PathBuf::from) else { return };
        let above = std::env::var("MUX_TEST_ABOVE").unwrap().parse().unwrap();
        assert_eq!(look(&dir), Ancestry::Below(above));
        assert_eq!(by_sign(&dir.join("elsewhere"), &mine()), None);
        // The proof that this ran, and not nothing.
        fs_err::write(dir.join("looked"), "").unwrap();
    }

    /// A mux that is killed in the middle of an escalation.
    #[test]
    fn role_killed() {
        let Some(dir) = std::env::var_os("MUX_TEST_KILLED_SIGN").map(PathBuf::from) else { return };
        let _sign = escalating(&dir, "1").unwrap();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
    }

    #[test]
    fn an_escalation_above_is_seen_through_a_wiped_environment() {
        let temp = Temp::new();
        assert!(start("role_escalating", "MUX_TEST_ESCALATING", &temp.0).wait().unwrap().success());
        assert!(temp.0.join("looked").exists());
        assert_eq!(temp.signs(), 1, "the sign went down with its call");
    }

    #[test]
    fn a_depth_in_the_environment_of_a_parent_is_seen() {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "echo up; read line"]).env("MUX_DEPTH", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        // Until the child has become a shell its environment is that of the test.
        shell.stdout.as_mut().unwrap().read_exact(&mut [0; 3]).unwrap();
        assert_eq!(by_environment(&[1, shell.id()]), Some(shell.id()));
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }

    #[test]
    fn neighbours_and_the_dead_block_nobody() {
        let temp = Temp::new();
        assert_eq!(by_sign(&temp.0.join("nowhere"), &mine()), None);
        let own = escalating(&temp.0, "1").unwrap();
        let second = escalating(&temp.0, "2").unwrap();
        assert_eq!(by_sign(&temp.0, &mine()), None, "the own signs are not above");
        drop((own, second));
        assert!(!start("role_killed", "MUX_TEST_KILLED_SIGN", &temp.0).wait().unwrap().success());
        assert_eq!(temp.signs(), 1);
        let above = std::os::unix::process::parent_id();
        fs_err::write(temp.0.join(format!("{above}.9")), "").unwrap();
        assert_eq!((by_sign(&temp.0, &[above]), temp.signs()), (None, 0), "nobody holds them, so they are gone");
    }

    #[test]
    fn parents_are_read_whatever_their_names() {
        assert_eq!(parent(std::process::id()), Some(std::os::unix::process::parent_id()));
        assert_eq!(parents(u32::MAX), None);
    }
}
