//! Where mux keeps things: `$XDG_STATE_HOME/mux`, 0700. Names of files, ids of runs, and the lock on a work directory.
//! What stands in the files is the business of `ledger.rs`, `results.rs`, `lane.rs`, `config_files.rs` and the folder
//! beside this file: small documents that all mux processes share.
//!
//! **Invariants:** [`State::locate`] and the path functions touch nothing; [`State::make`] is called by commands that
//! write. A state directory that someone else could write to is refused, never repaired: what stands in it may already
//! be theirs.

pub mod budget;
pub mod cooldown;
pub mod document;
pub mod paces;
pub mod tools;
pub mod weights;

use crate::rules::run_id;
use crate::words::env::Env;
use crate::words::error::{Context, Error, Kind};
use crate::words::stop::{Stop, StopReason};
use crate::words::time::Utc;
use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};
use std::fs::{DirBuilder, File, Permissions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The state directory.
#[derive(Clone, Debug)]
pub struct State {
    dir: PathBuf,
}

/// How a work directory is asked for when another run holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until it is free or the work has to end.
    Wait,
    /// `--no-wait`.
    None,
}

/// What came of asking for a work directory.
#[derive(Debug)]
pub enum DirLock {
    /// It is ours until the value is dropped or the process dies.
    Held(Held),
    /// Another run holds it: its id and process, or as much as it said.
    Busy { holder: String },
    /// The work has to end before the directory came free.
    Stopped(StopReason),
}

/// A lock that is held. The kernel frees it with the descriptor, so a killed run leaves no stale lock.
#[derive(Debug)]
pub struct Held {
    _files: Vec<File>,
}

/// Lock files: one to hold alone, and others to share with who wants them shared too.
struct Wanted {
    own: PathBuf,
    above: Vec<PathBuf>,
}

impl State {
    /// Finds the state directory; it need not exist.
    ///
    /// # Errors
    /// `Config` without a usable `XDG_STATE_HOME` or `HOME`; `Io` when the directory is a symbolic link, not a
    /// directory, another user's, or writable for others.
    pub fn locate(env: &Env) -> Result<State, Error> {
        let base = env.absolute("XDG_STATE_HOME").map(Path::to_path_buf);
        let base = base.or_else(|| Some(env.home()?.join(".local/state"))).ok_or_else(|| {
            Error::new(
                Kind::Config,
                "cannot find a place for the ledger: no absolute path in `XDG_STATE_HOME` or `HOME`",
            )
            .hint("export HOME=/path/to/your/home")
        })?;
        let state = State { dir: base.join("mux") };
        state.check()?;
        Ok(state)
    }

    /// Makes the directory and its inner ones, all 0700 whatever the umask.
    ///
    /// # Errors
    /// `Io` when that fails or [`State::locate`] would refuse what stands there.
    pub fn make(&self) -> Result<(), Error> {
        self.check()?;
        let inner = [self.runs(), self.locks(), self.lanes(), self.escalations(), self.snapshots()];
        for dir in std::iter::once(self.dir.clone()).chain(inner) {
            private_dir(&dir).context(Kind::Io, || format!("cannot make the state directory `{}`", dir.display()))?;
        }
        self.check()
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The ledger, unless `ledger.file_path` names another.
    pub fn ledger(&self) -> PathBuf {
        self.dir.join("run_ledger.jsonl")
    }

    /// Results of all runs (`results.rs`).
    pub fn runs(&self) -> PathBuf {
        self.dir.join("runs")
    }

    /// Locks on work directories.
    pub fn locks(&self) -> PathBuf {
        self.dir.join("locks")
    }

    /// What snapshots of work directories keep (`snapshot.rs`).
    pub fn snapshots(&self) -> PathBuf {
        self.dir.join("snapshots")
    }

    /// Queues in front of local model servers (`lane.rs`).
    pub fn lanes(&self) -> PathBuf {
        self.dir.join("lanes")
    }

    /// Signs of escalations that run (`ancestry.rs`).
    pub fn escalations(&self) -> PathBuf {
        self.dir.join("escalations")
    }

    /// Takes the lock on a work directory, so that two runs never interleave in one tree: neither there nor in a directory
    /// that holds it or lies in it. `workdir` is canonical.
    /// While it waits, `on_wait` is told the holder, once for each.
    ///
    /// # Errors
    /// `Io` when the lock file cannot be made or locked.
    pub fn lock_workdir(
        &self,
        workdir: &Path,
        run_id: &str,
        stop: &Stop,
        patience: Patience,
        on_wait: &mut dyn FnMut(&str),
    ) -> Result<DirLock, Error> {
        // What writes in a directory writes in all that hold it: each of these is shared with others that lie in it.
        let above = workdir.ancestors().skip(1).map(|dir| self.lock_file(dir, "lock"));
        let wanted = Wanted { own: self.lock_file(workdir, "lock"), above: above.collect() };
        lock(workdir, &wanted, run_id, stop, patience, on_wait)
    }

    /// Takes the lock on the one place for a provider in a work directory. As [`State::lock_workdir`], which a run that
    /// writes holds beside it; waits until it is free or the work has to end.
    ///
    /// # Errors
    /// As [`State::lock_workdir`].
    pub fn lock_provider(
        &self,
        workdir: &Path,
        run_id: &str,
        stop: &Stop,
        on_wait: &mut dyn FnMut(&str),
    ) -> Result<DirLock, Error> {
        let wanted = Wanted { own: self.lock_file(workdir, "provider"), above: Vec::new() };
        lock(workdir, &wanted, run_id, stop, Patience::Wait, on_wait)
    }

    fn lock_file(&self, dir: &Path, what: &str) -> PathBuf {
        let digest = Sha256::digest(dir.as_os_str().as_bytes());
        let name = digest.first_chunk().map_or(0, |half| u128::from_be_bytes(*half));
        self.locks().join(format!("{name:032x}.{what}"))
    }

    fn check(&self) -> Result<(), Error> {
        let dir = self.dir.display();
        let meta = match fs_err::symlink_metadata(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            meta => meta.context(Kind::Io, || "cannot use the state directory".to_string())?,
        };
        let refuse = |why: &str, hint: String| {
            Err(Error::new(Kind::Io, format!("refused the state directory `{dir}`: {why}")).hint(hint))
        };
        if meta.is_symlink() {
            return refuse("it is a symbolic link", "set XDG_STATE_HOME to the real place".to_string());
        }
        if !meta.is_dir() {
            return refuse("it is not a directory", format!("move it away: mv '{dir}' '{dir}.old'"));
        }
        if meta.uid() != rustix::process::geteuid().as_raw() {
            return refuse("it belongs to another user", "set XDG_STATE_HOME to a directory of your own".to_string());
        }
        if meta.mode() & 0o022 != 0 {
            return refuse("others can write to it", format!("look at what is in it, then: chmod 700 '{dir}'"));
        }
        Ok(())
    }
}

/// Returns a new run id. Ids differ even when the clock stands still or jumps: 80 bits are random. They come from the
/// keys that std draws from the system for its hash maps (`/dev/urandom` or `getrandom`), mixed with a counter, so that
/// no file has to be opened and nothing can fail.
pub fn new_run_id(now: Utc) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let keys = RandomState::new();
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let half = |salt: u8| u128::from(keys.hash_one((salt, count, std::process::id())));
    run_id::encode(now, half(0) << 64 | half(1))
}

/// Makes a directory and its parents, or takes one that is ours; it is 0700 afterwards. Parents that exist are left
/// alone, new ones are 0700 as the XDG specification asks.
fn private_dir(path: &Path) -> io::Result<()> {
    let meta = match fs_err::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            fs_err::symlink_metadata(path)?
        }
        meta => meta?,
    };
    if !meta.is_dir() {
        return Err(io::Error::other("a symbolic link stands there"));
    }
    if meta.mode() & 0o777 != 0o700 {
        fs_err::set_permissions(path, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Opens a lock file without following a link and without blocking on a FIFO.
fn open_lock(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

/// Takes all locks or none; who waits holds none.
fn lock(
    workdir: &Path,
    wanted: &Wanted,
    run_id: &str,
    stop: &Stop,
    patience: Patience,
    on_wait: &mut dyn FnMut(&str),
) -> Result<DirLock, Error> {
    let own = wanted.own.display();
    let context = || format!("cannot lock the work directory `{}` with `{own}`", workdir.display());
    let mut told = String::new();
    'again: loop {
        if let Some(reason) = stop.reason() {
            return Ok(DirLock::Stopped(reason));
        }
        let (mut held, mut busy) = (Vec::new(), None);
        for path in wanted.above.iter().chain([&wanted.own]) {
            let mut file = open_lock(path).context(Kind::Io, context)?;
            match if *path == wanted.own { file.try_lock() } else { file.try_lock_shared() } {
                // The file that was locked may have been removed in between (a user tidying up): then it locks nothing.
                Ok(()) if is_at(&file, path) => held.push(file),
                Ok(()) => continue 'again,
                Err(TryLockError::WouldBlock) => {
                    busy = Some(holder(&mut file));
                    break;
                }
                Err(TryLockError::Error(error)) => return Err(error).context(Kind::Io, context),
            }
        }
        let Some(holder) = busy else {
            let line = format!("{run_id} (process {})\n", std::process::id());
            for file in &mut held {
                file.set_len(0).and_then(|()| file.write_all(line.as_bytes())).context(Kind::Io, context)?;
            }
            return Ok(DirLock::Held(Held { _files: held }));
        };
        drop(held);
        if patience == Patience::None {
            return Ok(DirLock::Busy { holder });
        }
        if told != holder {
            on_wait(&holder);
            told = holder;
        }
        std::thread::sleep(stop.tick());
    }
}

/// Whether an open file is the one that stands at a path.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), fs_err::symlink_metadata(path)) else { return false };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

/// Reads who holds a lock; the holder may be just about to write it.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let _ = file.take(128).read_to_string(&mut text);
    match text.trim_end() {
        "" => "another run".to_string(),
        text => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::{Duration, Instant};

    /// A directory of its own for each test, gone afterwards.
    struct Temp(PathBuf);

    impl Temp {
        fn new() -> Temp {
            let dir = std::env::temp_dir().join(format!("mux-state-{}", new_run_id(Utc(0))));
            fs_err::create_dir_all(&dir).unwrap();
            Temp(dir)
        }

        fn locate(&self) -> Result<State, Error> {
            State::locate(&env(&[("XDG_STATE_HOME", self.0.to_str().unwrap())]))
        }

        fn mode(&self, path: &str) -> u32 {
            fs_err::symlink_metadata(self.0.join(path)).unwrap().mode() & 0o777
        }
    }

    impl Drop for Temp {
        fn drop(&mut self) {
            let _ = fs_err::remove_dir_all(&self.0);
        }
    }

    fn env(vars: &[(&str, &str)]) -> Env {
        let vars: BTreeMap<_, _> = vars.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Env { vars, cwd: None, now: Utc(0) }
    }

    fn soon() -> Stop {
        Stop::at(Instant::now() + Duration::from_mins(1))
    }

    #[test]
    fn the_place_follows_the_environment() {
        let dir = |vars: &[(&str, &str)]| State::locate(&env(vars)).unwrap().dir().to_str().unwrap().to_string();
        assert_eq!(dir(&[("XDG_STATE_HOME", "/nowhere/s"), ("HOME", "/nowhere/h")]), "/nowhere/s/mux");
        assert_eq!(dir(&[("XDG_STATE_HOME", "relative"), ("HOME", "/nowhere/h")]), "/nowhere/h/.local/state/mux");
        assert_eq!(dir(&[("XDG_STATE_HOME", ""), ("HOME", "/nowhere/h")]), "/nowhere/h/.local/state/mux");
        assert_eq!(State::locate(&env(&[("HOME", "")])).unwrap_err().kind, Kind::Config);
        let state = State::locate(&env(&[("HOME", "/nowhere")])).unwrap();
        let below = |path: PathBuf| path.strip_prefix(state.dir()).unwrap().to_str().unwrap().to_string();
        assert_eq!(below(state.ledger()), "run_ledger.jsonl");
        let dirs = [state.runs(), state.locks(), state.lanes(), state.escalations()].map(below);
        assert_eq!(dirs, ["runs", "locks", "lanes", "escalations"]);
    }

    #[test]
    fn looking_makes_nothing_and_making_is_private() {
        let temp = Temp::new();
        let state = temp.locate().unwrap();
        assert!(!state.dir().exists());
        state.make().unwrap();
        for dir in ["mux", "mux/runs", "mux/locks", "mux/lanes", "mux/escalations"] {
            assert_eq!(temp.mode(dir), 0o700, "{dir}");
        }
        fs_err::set_permissions(state.runs(), Permissions::from_mode(0o755)).unwrap();
        state.make().unwrap();
        assert_eq!(temp.mode("mux/runs"), 0o700);
        // Parents that do not exist are private too.
        let deep = State::locate(&env(&[("HOME", temp.0.join("home").to_str().unwrap())])).unwrap();
        deep.make().unwrap();
        assert_eq!([temp.mode("home/.local"), temp.mode("home/.local/state/mux")], [0o700, 0o700]);
    }

    #[track_caller]
    fn check(temp: &Temp, why: &str) {
        let error = temp.locate().unwrap_err();
        assert!(error.kind == Kind::Io && error.hint.is_some() && error.to_string().contains(why), "{error}");
    }

    #[test]
    fn a_directory_that_is_not_ours_alone_is_refused() {
        let temp = Temp::new();
        let dir = temp.0.join("mux");
        let other = temp.0.join("other");
        fs_err::create_dir(&other).unwrap();
        fs_err::os::unix::fs::symlink(&other, &dir).unwrap();
        check(&temp, "it is a symbolic link");
        fs_err::remove_file(&dir).unwrap();
        fs_err::write(&dir, "").unwrap();
        check(&temp, "it is not a directory");
        fs_err::remove_file(&dir).unwrap();
        fs_err::create_dir(&dir).unwrap();
        for mode in [0o770, 0o720, 0o702, 0o777] {
            fs_err::set_permissions(&dir, Permissions::from_mode(mode)).unwrap();
            check(&temp, "others can write to it");
        }
        fs_err::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        let state = temp.locate().unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&dir, Some(12_345), None).unwrap();
            check(&temp, "it belongs to another user");
            std::os::unix::fs::chown(&dir, Some(0), None).unwrap();
        }
        // What came between looking and making is seen.
        fs_err::remove_dir(&dir).unwrap();
        fs_err::os::unix::fs::symlink(&other, &dir).unwrap();
        assert!(state.make().is_err());
        assert_eq!(fs_err::read_dir(&other).unwrap().count(), 0, "a link is not followed");
    }

    #[test]
    fn run_ids_differ_whatever_the_clock_says() {
        let ids = || (0..2000_u64).map(|n| new_run_id(Utc(1_795_402_440_123 - n % 3))).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(ids)).collect();
        let all: BTreeSet<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(all.len(), 8000);
        assert!(all.iter().all(|id| run_id::is_run_id(id)));
        assert_eq!(run_id::time(&new_run_id(Utc(77))), Some(Utc(77)));
    }

    #[test]
    fn a_work_directory_has_one_run_at_a_time() {
        let temp = Temp::new();
        let state = temp.locate().unwrap();
        state.make().unwrap();
        let lock = |dir: &str, stop: &Stop, patience, said: &mut Vec<String>| {
            let on_wait = &mut |holder: &str| said.push(holder.to_string());
            state.lock_workdir(Path::new(dir), "RUN", stop, patience, on_wait).unwrap()
        };
        let mut said = Vec::new();
        let first = lock("/a", &soon(), Patience::Wait, &mut said);
        assert!(matches!(first, DirLock::Held(_)));
        assert!(
            matches!(lock("/b", &soon(), Patience::None, &mut said), DirLock::Held(_)),
            "another directory is free"
        );
        let holder = format!("RUN (process {})", std::process::id());
        let busy = lock("/a", &soon(), Patience::None, &mut said);
        assert!(matches!(busy, DirLock::Busy { holder: named } if named == holder));
        assert_eq!(said, Vec::<String>::new());
        // Waiting names the holder once and ends with the deadline …
        let brief = soon().until(Instant::now() + Duration::from_millis(120));
        assert!(matches!(lock("/a", &brief, Patience::Wait, &mut said), DirLock::Stopped(StopReason::Deadline)));
        assert_eq!(said, [holder.as_str()]);
        // … with a signal …
        let called = soon();
        called.cancel();
        assert!(matches!(lock("/a", &called, Patience::Wait, &mut said), DirLock::Stopped(StopReason::Canceled)));
        // … or when the directory comes free: the callback says that the wait has begun, then the holder lets go.
        let mut first = Some(first);
        let on_wait = &mut |_: &str| drop(first.take());
        let second = state.lock_workdir(Path::new("/a"), "NEXT", &soon(), Patience::Wait, on_wait).unwrap();
        assert!(matches!(second, DirLock::Held(_)));
        assert!(first.is_none());
        // A lock file that was removed under its holder locks nothing any more, but nothing breaks.
        fs_err::remove_dir_all(state.locks()).unwrap();
        assert!(state.lock_workdir(Path::new("/a"), "X", &soon(), Patience::None, &mut |_| {}).is_err());
        state.make().unwrap();
        assert!(matches!(lock("/a", &soon(), Patience::None, &mut said), DirLock::Held(_)));
    }

    #[test]
    fn a_directory_is_locked_with_all_that_lies_in_it() {
        let temp = Temp::new();
        let state = temp.locate().unwrap();
        state.make().unwrap();
        let lock = |dir: &str| match state.lock_workdir(Path::new(dir), dir, &soon(), Patience::None, &mut |_| {}) {
            Ok(DirLock::Held(held)) => Ok(held),
            Ok(DirLock::Busy { holder }) => Err(holder.split_once(' ').unwrap().0.to_string()),
            other => panic!("{other:?}"),
        };
        let (one, two) = (lock("/p/one").unwrap(), lock("/p/two/deep").unwrap());
        for (dir, holder) in [("/p/one", "/p/one"), ("/p/two", "/p/two/deep"), ("/p/one/x", "/p/one")] {
            assert_eq!(lock(dir).unwrap_err(), holder);
        }
        assert!(lock("/p").is_err() && lock("/p/one-more").is_ok() && lock("/q").is_ok());
        drop(one);
        assert!(lock("/p").is_err());
        drop(two);
        let all = lock("/p").unwrap();
        assert_eq!(lock("/p/one").unwrap_err(), "/p");
        drop(all);
        assert!(lock("/p/one").is_ok());
    }

    #[test]
    fn a_lock_file_that_is_no_file_is_refused() {
        let temp = Temp::new();
        let state = temp.locate().unwrap();
        state.make().unwrap();
        let lock = || state.lock_workdir(Path::new("/"), "RUN", &soon(), Patience::None, &mut |_| {});
        drop(lock().unwrap());
        let entry = fs_err::read_dir(state.locks()).unwrap().next().unwrap().unwrap().path();
        fs_err::remove_file(&entry).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &entry, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(lock().unwrap_err().to_string().contains("not a regular file"));
        fs_err::remove_file(&entry).unwrap();
        fs_err::os::unix::fs::symlink(temp.0.join("target"), &entry).unwrap();
        assert_eq!(lock().unwrap_err().kind, Kind::Io);
        assert!(!temp.0.join("target").exists());
    }
}
