//! One small JSON document of the state directory, shared by all mux processes: read whole, changed under one lock,
//! replaced in one step. What stands in it is the business of `budget.rs`, `cooldown.rs` and `tools.rs`.
//!
//! It carries a version. What a later mux has written is read as far as it is known and never replaced.
//!
//! **Invariants:** a reader takes no lock and sees the old document or the new one, never a mix, also after a kill or a
//! power cut. All changes happen under an exclusive lock on `….lock`, which the kernel frees with its process. The file
//! is 0600; a link, a FIFO or another user's file is refused.

use super::{is_at, open_lock};
use crate::rules::from_json::{self, FromJson};
use crate::words::stop::Stop;
use rustix::fs::{Mode, OFlags};
use serde::Serialize;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The largest document; all of them are far smaller.
const MAX_BYTES: u64 = 1 << 20;
/// How long a change waits for others, who hold the lock for some milliseconds (three syncs).
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// The same after a signal or a cancellation.
const LOCK_WAIT_STOPPED: Duration = Duration::from_secs(2);

/// A file and the lock beside it.
#[derive(Clone, Debug)]
pub struct Document {
    path: PathBuf,
}

impl Document {
    /// Names a document; nothing is touched.
    pub fn at(path: PathBuf) -> Document {
        Document { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it; `None` when there is none yet.
    ///
    /// # Errors
    /// `InvalidData` when it is no such document, `Unsupported` when a later mux has written it in another form; those of
    /// the system.
    pub fn read<T: FromJson>(&self) -> io::Result<Option<T>> {
        self.bytes()?.map(|bytes| parse(&bytes)).transpose()
    }

    /// Returns why it cannot be relied on, where a later mux has written it: for readers to whom a part is no use.
    pub fn of_later(&self) -> Option<io::Error> {
        from_json::later(&self.bytes().ok()??).map(of_later)
    }

    fn bytes(&self) -> io::Result<Option<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::open(&self.path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(rustix::io::Errno::LOOP) => return Err(io::Error::other("it is a symbolic link")),
            Err(error) => return Err(error.into()),
        };
        let meta = file.metadata()?;
        if !meta.is_file() || meta.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other("it is not a regular file of our own"));
        }
        let mut bytes = Vec::new();
        if file.take(MAX_BYTES + 1).read_to_end(&mut bytes)? as u64 > MAX_BYTES {
            return Err(io::Error::new(ErrorKind::InvalidData, "it is larger than 1 MiB"));
        }
        Ok(Some(bytes))
    }

    /// Changes it under the lock. `change` gets what [`Document::read`] says and returns the new document, or `None` to
    /// leave it alone, and a value for the caller. When this returns without an error, the change is on the disk.
    ///
    /// # Errors
    /// `TimedOut` when another process holds the lock for too long, `Unsupported` when a later mux has written it; those
    /// of `change` and of the system. The document is then as before.
    pub fn change<T: FromJson + Serialize, R>(
        &self,
        stop: &Stop,
        change: impl FnOnce(io::Result<Option<T>>) -> io::Result<(Option<T>, R)>,
    ) -> io::Result<R> {
        let _lock = self.lock(stop)?;
        let bytes = self.bytes();
        if let Some(later) = bytes.as_ref().ok().and_then(|bytes| from_json::later(bytes.as_ref()?)) {
            return Err(of_later(later));
        }
        let old = bytes.and_then(|bytes| bytes.map(|bytes| parse(&bytes)).transpose());
        let (document, result) = change(old)?;
        if let Some(document) = document {
            self.replace(from_json::versioned(&serde_json::to_string(&document)?).as_bytes())?;
        }
        Ok(result)
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let new = self.beside("new");
        // Under the lock a file that stands there is what a killed process left.
        match fs_err::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::open(&new, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(bytes)?;
        file.sync_all()?;
        fs_err::rename(&new, &self.path)?;
        // Some file systems cannot sync a directory; then there is nothing more to do.
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let _ = File::open(dir).and_then(|dir| dir.sync_all());
        Ok(())
    }

    fn lock(&self, stop: &Stop) -> io::Result<File> {
        let path = self.beside("lock");
        let start = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            let file = open_lock(&path)?;
            match file.try_lock() {
                // The lock file may have been removed in between (a user tidying up): then it locks nothing.
                Ok(()) if is_at(&file, &path) => return Ok(file),
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
            let limit = if stop.is_called() { LOCK_WAIT_STOPPED } else { LOCK_WAIT };
            if start.elapsed() >= limit {
                let why = format!("another process has held `{}` for {} s", path.display(), limit.as_secs());
                return Err(io::Error::new(ErrorKind::TimedOut, why));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".");
        name.push(ending);
        name.into()
    }
}

fn parse<T: FromJson>(bytes: &[u8]) -> io::Result<T> {
    from_json::document(bytes).map_err(|key| {
        if let Some(later) = from_json::later(bytes) {
            return of_later(later);
        }
        let why = if key.is_empty() { "it is no JSON of mux".to_string() } else { format!("it has no usable `{key}`") };
        io::Error::new(ErrorKind::InvalidData, why)
    })
}

fn of_later(schema: u32) -> io::Error {
    let why = format!("a later mux has written it (schema {schema}; this one knows {}): update mux", from_json::SCHEMA);
    io::Error::new(ErrorKind::Unsupported, why)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A directory of its own for each test, gone afterwards.
    pub struct Temp(pub PathBuf);

    impl Temp {
        pub fn new(name: &str) -> Temp {
            let dir = std::env::temp_dir()
                .join(format!("mux-{name}-{}", crate::sys::state::new_run_id(super::super::Utc(0))));
            fs_err::create_dir_all(&dir).unwrap();
            Temp(dir)
        }
    }

    impl Drop for Temp {
        fn drop(&mut self) {
            let _ = fs_err::remove_dir_all(&self.0);
        }
    }

    pub fn soon() -> Stop {
        Stop::at(Instant::now() + Duration::from_mins(1))
    }

    fn put(document: &Document, text: &str) -> io::Result<()> {
        document.change(&soon(), |_| Ok((Some(text.to_string()), ())))
    }

    #[test]
    fn a_change_is_seen_whole_and_private() {
        let temp = Temp::new("document");
        let document = Document::at(temp.0.join("d.json"));
        assert_eq!(document.read::<String>().unwrap(), None);
        // What a killed process left does not stand in the way.
        fs_err::write(temp.0.join("d.json.new"), "\"ha").unwrap();
        put(&document, "one").unwrap();
        assert_eq!(document.read::<String>().unwrap().as_deref(), Some("one"));
        let mode = fs_err::metadata(document.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let refused = document.change::<String, ()>(&soon(), |_| Err(io::Error::other("no")));
        assert_eq!(refused.unwrap_err().to_string(), "no");
        assert_eq!(document.read::<String>().unwrap().as_deref(), Some("one"), "as before");
    }

    #[test]
    fn what_is_no_document_is_said_and_not_followed() {
        let temp = Temp::new("document");
        let document = Document::at(temp.0.join("d.json"));
        fs_err::write(document.path(), "\"torn").unwrap();
        assert_eq!(document.read::<String>().unwrap_err().kind(), ErrorKind::InvalidData);
        fs_err::remove_file(document.path()).unwrap();
        fs_err::write(temp.0.join("other"), "\"theirs\"").unwrap();
        std::os::unix::fs::symlink("other", document.path()).unwrap();
        assert_eq!(document.read::<String>().unwrap_err().to_string(), "it is a symbolic link");
        put(&document, "ours").unwrap();
        assert_eq!(fs_err::read_to_string(temp.0.join("other")).unwrap(), "\"theirs\"");
        assert_eq!(document.read::<String>().unwrap().as_deref(), Some("ours"), "the link was replaced");
    }

    #[test]
    fn changes_of_many_threads_all_count() {
        let temp = Temp::new("document");
        let document = Document::at(temp.0.join("d.json"));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        let add = |old: io::Result<Option<u64>>| Ok((Some(old?.unwrap_or(0) + 1), ()));
                        document.change(&soon(), add).unwrap();
                    }
                });
            }
        });
        assert_eq!(document.read::<u64>().unwrap(), Some(100));
    }
}
