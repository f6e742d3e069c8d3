//! `egress.jsonl`: every call that takes something out of this machine, written before it begins. Beside the ledger,
//! with its lock, its durable append and its mending of torn ends; never rotated, shortened only by [`Egress::prune`].
//!
//! **Two lines a call.** `sent` is on the disk before the provider is started, whatever becomes of it; `ended` says how
//! it ended and what it cost. A call without an `ended` was cut off (a kill, a power cut): what was sent may have
//! arrived. One line that is completed later would have to be rewritten in place, and a torn rewrite loses the record.
//!
//! **Invariant:** bytes and hash are those of the very bytes that are handed to the provider: they are taken here.

use super::file::{APPEND, private};
use super::{Ledger, Limits};
use crate::rules::backwards::MAX_LINE;
use crate::rules::config::{Choice, Scope};
use crate::rules::json::{self, List, Take};
use crate::rules::rpc;
use crate::words::error::{Error, Kind};
use crate::words::stop::Stop;
use crate::words::task::Reason;
use crate::words::time::Utc;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::path::Path;

/// The file `egress.jsonl` of a state directory.
#[derive(Clone, Debug)]
pub struct Egress(Ledger);

/// What a provider is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Answer,
    Advice,
    Review,
    Hands,
    Hook,
    /// The one line of `mux doctor --deep`.
    Probe,
}

/// A file of which something is in the payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SentFile {
    /// Relative to the work directory.
    pub path: String,
    /// Of the part that is sent.
    pub bytes: u64,
    /// Of the part that is sent.
    pub sha256: String,
}

/// A call that is about to begin.
#[derive(Clone, Copy, Debug)]
pub struct Sending<'a> {
    pub run_id: &'a str,
    /// The how-manieth cloud call of the run this is, from 1.
    pub call: u32,
    pub now: Utc,
    /// A provider, or the address of a model server on another machine.
    pub provider: &'a str,
    /// The name of a [`Step`], or `local`.
    pub step: &'a str,
    pub scope: Scope,
    /// The trigger of the escalation.
    pub reason: &'a Reason,
    pub workdir: &'a Path,
    /// All that is handed to the provider: its standard input.
    pub payload: &'a [u8],
    pub files: &'a [SentFile],
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ended {
    pub ts: String,
    /// `ok`, or the class of the failure.
    pub outcome: String,
    /// `None` where the provider does not say.
    pub usd: Option<f64>,
    pub duration_ms: u64,
}

/// A call as it was recorded. Texts stay texts, so that lines of a later version still count.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Call {
    pub id: String,
    pub run_id: String,
    /// RFC 3339, UTC.
    pub ts: String,
    pub provider: String,
    pub step: String,
    pub scope: String,
    pub reason: String,
    /// What mux handed over. The CLI adds its own system prompt, which mux does not see.
    pub bytes: u64,
    pub sha256: String,
    pub files: Vec<SentFile>,
    /// What the provider could read besides; null when it had no tools.
    pub may_read: Option<String>,
    /// Whether nothing but `bytes` can have left (the CLI's own prompt apart).
    pub exact: bool,
    /// Null: it was cut off, or is under way.
    pub ended: Option<Ended>,
}

/// A line of the file: an object with `event`, `schema` and the members of one of these.
enum Line {
    Sent { call: Box<Call> },
    Ended { id: String, ended: Ended },
}

/// A line while it is read: all that one of either kind may hold.
#[derive(Default)]
struct Held<'t> {
    event: Cow<'t, str>,
    schema: Option<u64>,
    call: Call,
    files: List<Vec<SentFile>>,
    ended: Ended,
}

type EachLine<'a> = dyn FnMut(Option<Line>, &[u8]) -> io::Result<()> + 'a;

/// Raised when a reader of the old lines would misread the new ones.
const SCHEMA: u32 = 1;

impl Egress {
    /// Records a call before it begins and returns its id, for [`Egress::end`]. When this returns, it is on the disk.
    ///
    /// # Errors
    /// `Io` when it could not be recorded: then the call must not begin.
    pub fn begin(&self, sending: &Sending<'_>, stop: &Stop) -> Result<String, Error> {
        let id = format!("{}.{}", sending.run_id, sending.call);
        let may_read = match sending.scope {
            Scope::Prompt => None,
            Scope::Workdir => Some(sending.workdir.to_string_lossy().into_owned()),
            Scope::Machine => Some("all that you can read on this machine".to_string()),
        };
        let call = Call {
            id: id.clone(),
            run_id: sending.run_id.to_string(),
            ts: sending.now.to_string(),
            provider: sending.provider.to_string(),
            step: sending.step.to_string(),
            scope: sending.scope.word().to_string(),
            reason: sending.reason.to_string(),
            bytes: sending.payload.len() as u64,
            sha256: hex(sending.payload),
            files: sending.files.to_vec(),
            exact: may_read.is_none(),
            may_read,
            ended: None,
        };
        let written = self.append(&format!("\"event\":\"sent\",\"schema\":{SCHEMA}"), &rpc::json(&call), stop);
        written.map_err(|source| self.fault("record what would be sent in", source)).map(|()| id)
    }

    /// Records how a call ended.
    ///
    /// # Errors
    /// `Io`; the call stays recorded as one without an end.
    pub fn end(&self, id: &str, ended: &Ended, stop: &Stop) -> Result<(), Error> {
        let head = format!("\"event\":\"ended\",\"schema\":{SCHEMA},\"id\":{}", rpc::json(&id));
        let written = self.append(&head, &rpc::json(ended), stop);
        written.map_err(|source| self.fault("record the end of a call in", source))
    }

    /// Appends a line: an object of the members `head`, then those of another object.
    fn append(&self, head: &str, object: &str, stop: &Stop) -> io::Result<()> {
        let bytes = format!("{{{head},{}\n", object.trim_start_matches('{')).into_bytes();
        if bytes.len() > MAX_LINE {
            return Err(io::Error::new(ErrorKind::FileTooLarge, "the record is too long for a line"));
        }
        let _lock = self.0.lock(stop, &mut |_| {})?;
        let mut file = private(self.0.path(), APPEND)?;
        self.0.mend(&mut file)?;
        let size = file.metadata()?.len();
        let written = file.write_all(&bytes).and_then(|()| file.sync_data());
        if written.is_err() {
            // A call that is not recorded does not begin: neither may its line stand.
            let _ = file.set_len(size);
        } else if size == 0 {
            self.0.sync_dir();
        }
        written
    }
}

impl Egress {
    /// Names the file of a state directory; nothing is touched.
    pub fn below(state_dir: &Path) -> Egress {
        let limits = Limits { max_bytes: 0, max_rotated_files: 0, sync: true };
        Egress(Ledger::open(state_dir.join("egress.jsonl"), limits))
    }

    /// Calls `each` with every call since a moment, newest first. Returns how many lines are no records.
    ///
    /// # Errors
    /// `Io` when the file cannot be read. A file that does not exist is empty.
    pub fn calls(&self, since: Option<Utc>, each: &mut dyn FnMut(Call)) -> Result<usize, Error> {
        let (mut bad, mut ends) = (0, BTreeMap::new());
        let read = self.0.walk(u64::MAX, &mut |line| {
            match line.and_then(|line| Line::read(line.as_bytes())) {
                Some(Line::Ended { id, ended, .. }) => {
                    ends.insert(id, ended);
                }
                Some(Line::Sent { mut call, .. }) => {
                    call.ended = ends.remove(&call.id);
                    // The clock may have jumped between calls: an old one does not end the search.
                    if since.is_none_or(|since| Utc::parse(&call.ts).is_none_or(|time| time >= since)) {
                        each(*call);
                    }
                }
                None => bad += 1,
            }
            true
        });
        read.map_err(|source| self.fault("read", source))?;
        Ok(bad)
    }

    /// Forgets the calls before a moment, with their ends. Lines that are no records stay. Returns how many went.
    ///
    /// # Errors
    /// `Io`; the file is then as before.
    pub fn prune(&self, before: Utc, stop: &Stop) -> Result<usize, Error> {
        self.rewrite(before, stop).map_err(|source| self.fault("prune", source))
    }

    fn rewrite(&self, before: Utc, stop: &Stop) -> io::Result<usize> {
        if fs_err::symlink_metadata(self.0.path()).is_err() {
            return Ok(0);
        }
        let _lock = self.0.lock(stop, &mut |_| {})?;
        let mut file = private(self.0.path(), APPEND)?;
        self.0.mend(&mut file)?;
        let mut gone = BTreeSet::new();
        self.forwards(&mut |line, _| {
            if let Some(Line::Sent { call, .. }) = line
                && Utc::parse(&call.ts).is_some_and(|time| time < before)
            {
                gone.insert(call.id);
            }
            Ok(())
        })?;
        if gone.is_empty() {
            return Ok(0);
        }
        let new = self.0.beside("new");
        let _ = fs_err::remove_file(&new);
        let mut kept = BufWriter::new(private(&new, APPEND)?);
        self.forwards(&mut |line, bytes| match line {
            Some(Line::Sent { call, .. }) if gone.contains(&call.id) => Ok(()),
            Some(Line::Ended { id, .. }) if gone.contains(&id) => Ok(()),
            Some(_) | None => kept.write_all(bytes),
        })?;
        kept.flush()?;
        kept.get_ref().sync_all()?;
        fs_err::rename(&new, self.0.path())?;
        self.0.sync_dir();
        Ok(gone.len())
    }

    /// Calls `each` with every line from the first to the last: as a record, if it is one, and as it stands.
    fn forwards(&self, each: &mut EachLine<'_>) -> io::Result<()> {
        let mut reader = BufReader::new(private(self.0.path(), APPEND)?);
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes)? > 0 {
            each(Line::read(&bytes), &bytes)?;
            bytes.clear();
        }
        Ok(())
    }

    fn fault(&self, doing: &str, source: io::Error) -> Error {
        let what = format!("cannot {doing} `{}`", self.0.path().display());
        Error::caused(Kind::Io, what, Box::new(source)).hint("nothing leaves this machine unrecorded; `mux doctor`")
    }
}

impl Line {
    /// Reads a line; `None` for one that is no record.
    fn read(line: &[u8]) -> Option<Line> {
        let mut held = Held::default();
        json::read(line, &mut held).ok()?;
        let (_, call) = (held.schema?, held.call);
        match &*held.event {
            "sent" => Some(Line::Sent { call: Box::new(Call { files: held.files.0, ..call }) }),
            "ended" => Some(Line::Ended { id: call.id, ended: Ended { ts: call.ts, ..held.ended } }),
            _ => None,
        }
    }
}

impl<'t> Take<'t> for Held<'t> {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        Some(match key {
            "event" => &mut self.event,
            "schema" => &mut self.schema,
            "id" => &mut self.call.id,
            "run_id" => &mut self.call.run_id,
            "ts" => &mut self.call.ts,
            "provider" => &mut self.call.provider,
            "step" => &mut self.call.step,
            "scope" => &mut self.call.scope,
            "reason" => &mut self.call.reason,
            "bytes" => &mut self.call.bytes,
            "sha256" => &mut self.call.sha256,
            "files" => &mut self.files,
            "may_read" => &mut self.call.may_read,
            "exact" => &mut self.call.exact,
            "outcome" => &mut self.ended.outcome,
            "usd" => &mut self.ended.usd,
            "duration_ms" => &mut self.ended.duration_ms,
            _ => return None,
        })
    }
}

impl<'t> Take<'t> for SentFile {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        Some(match key {
            "path" => &mut self.path,
            "bytes" => &mut self.bytes,
            "sha256" => &mut self.sha256,
            _ => return None,
        })
    }
}

impl Step {
    /// Returns its name in the record, which is also that of its key in `privacy.cloud_reads`; a probe has none there,
    /// for it reads nothing.
    pub fn name(self) -> &'static str {
        match self {
            Step::Answer => "answer",
            Step::Advice => "advice",
            Step::Review => "review",
            Step::Hands => "hands",
            Step::Hook => "hooks",
            Step::Probe => "probe",
        }
    }
}

impl Default for Ended {
    fn default() -> Ended {
        Ended { ts: String::new(), outcome: "unknown".to_string(), usd: None, duration_ms: 0 }
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits = |mut text: String, byte: &u8| {
        let _ = write!(text, "{byte:02x}");
        text
    };
    Sha256::digest(bytes).iter().fold(String::new(), digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::{Duration, Instant};

    /// A directory of its own for each test, gone afterwards.
    struct Temp(PathBuf);

    impl Temp {
        fn new() -> Temp {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let dir = std::env::temp_dir().join(format!("mux-egress-{}-{count}", std::process::id()));
            fs_err::create_dir_all(&dir).unwrap();
            Temp(dir)
        }
    }

    impl Drop for Temp {
        fn drop(&mut self) {
            let _ = fs_err::remove_dir_all(&self.0);
        }
    }

    const NOW: Utc = Utc(1_795_402_440_000);

    fn soon() -> Stop {
        Stop::at(Instant::now() + Duration::from_mins(1))
    }

    fn begin(egress: &Egress, run_id: &str, call: u32, now: Utc, scope: Scope, payload: &[u8]) -> String {
        let file = SentFile { path: "a b/\u{1b}é.py".into(), bytes: 3, sha256: hex(b"abc") };
        let sending = Sending {
            run_id,
            call,
            now,
            provider: "claude",
            step: Step::Advice.name(),
            scope,
            reason: &Reason::VerifyFailed,
            workdir: Path::new("/w"),
            payload,
            files: &[file],
        };
        egress.begin(&sending, &soon()).unwrap()
    }

    fn ended(usd: Option<f64>) -> Ended {
        Ended { ts: NOW.to_string(), outcome: "ok".into(), usd, duration_ms: 1200 }
    }

    fn all(egress: &Egress, since: Option<Utc>) -> (Vec<Call>, usize) {
        let mut calls = Vec::new();
        let bad = egress.calls(since, &mut |call| calls.push(call)).unwrap();
        (calls, bad)
    }

    fn ids(egress: &Egress) -> Vec<String> {
        all(egress, None).0.into_iter().map(|call| call.id).collect()
    }

    #[test]
    fn a_call_is_recorded_before_it_begins_and_completed_after() {
        let temp = Temp::new();
        let egress = Egress::below(&temp.0);
        assert_eq!(all(&egress, None), (Vec::new(), 0));
        let id = begin(&egress, "RUN", 1, NOW, Scope::Prompt, b"hello");
        let mut expected = Call {
            id: "RUN.1".into(),
            run_id: "RUN".into(),
            ts: "2026-11-23T02:54:00.000Z".into(),
            provider: "claude".into(),
            step: "advice".into(),
            scope: "prompt".into(),
            reason: "verify_failed".into(),
            bytes: 5,
            sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824".into(),
            files: vec![SentFile { path: "a b/\u{1b}é.py".into(), bytes: 3, sha256: hex(b"abc") }],
            may_read: None,
            exact: true,
            ended: None,
        };
        assert_eq!(all(&egress, None), (vec![expected.clone()], 0), "also when it never ends");
        egress.end(&id, &ended(Some(0.25)), &soon()).unwrap();
        expected.ended = Some(ended(Some(0.25)));
        assert_eq!(all(&egress, None), (vec![expected], 0));
        let bytes = fs_err::read(egress.0.path()).unwrap();
        assert!(!bytes.contains(&0x1b) && bytes.starts_with(b"{\"event\":\"sent\",\"schema\":1,\"id\":\"RUN.1\","));
        assert_eq!(fs_err::metadata(egress.0.path()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn wider_scopes_are_not_exact() {
        let temp = Temp::new();
        let egress = Egress::below(&temp.0);
        begin(&egress, "A", 1, NOW, Scope::Workdir, b"");
        begin(&egress, "A", 2, NOW, Scope::Machine, b"");
        let seen: Vec<_> = all(&egress, None).0.into_iter().map(|call| (call.exact, call.may_read.unwrap())).collect();
        let machine = "all that you can read on this machine";
        assert_eq!(seen, [(false, machine.to_string()), (false, "/w".to_string())]);
    }

    #[test]
    fn steps_are_named_as_in_the_configuration() {
        let all = [Step::Answer, Step::Advice, Step::Review, Step::Hands, Step::Hook, Step::Probe].map(Step::name);
        assert_eq!(all, ["answer", "advice", "review", "hands", "hooks", "probe"]);
    }

    #[test]
    fn torn_ends_are_mended_and_counted_and_nothing_rotates() {
        let temp = Temp::new();
        let egress = Egress::below(&temp.0);
        begin(&egress, "A", 1, NOW, Scope::Prompt, b"");
        let mut file = fs_err::OpenOptions::new().append(true).open(egress.0.path()).unwrap();
        file.write_all(b"{\"event\":\"sent\",\"id\":\"torn").unwrap();
        assert_eq!(all(&egress, None).1, 1);
        for call in 2..200 {
            begin(&egress, "A", call, NOW, Scope::Prompt, &[b'x'; 4000]);
        }
        assert_eq!((ids(&egress).len(), all(&egress, None).1), (199, 0));
        let torn = fs_err::read_to_string(temp.0.join("egress.torn")).unwrap();
        assert_eq!(torn, "{\"event\":\"sent\",\"id\":\"torn\n");
    }

    #[test]
    fn calls_are_found_and_pruned_by_their_time() {
        let temp = Temp::new();
        let egress = Egress::below(&temp.0);
        assert_eq!(egress.prune(NOW, &soon()).unwrap(), 0, "no file, nothing to do");
        let old = begin(&egress, "OLD", 1, Utc(NOW.0 - 5000), Scope::Prompt, b"");
        begin(&egress, "NEW", 1, NOW, Scope::Prompt, b"");
        egress.end(&old, &ended(None), &soon()).unwrap();
        fs_err::OpenOptions::new().append(true).open(egress.0.path()).unwrap().write_all(b"not ours\n").unwrap();
        assert_eq!(all(&egress, Some(NOW)).0.len(), 1);
        assert_eq!(egress.prune(Utc(NOW.0 - 9000), &soon()).unwrap(), 0);
        assert_eq!(egress.prune(NOW, &soon()).unwrap(), 1);
        assert_eq!((ids(&egress), all(&egress, None).1), (vec!["NEW.1".to_string()], 1));
        let text = fs_err::read_to_string(egress.0.path()).unwrap();
        assert!(!text.contains("OLD") && text.ends_with("not ours\n"), "{text}");
        assert_eq!(fs_err::metadata(egress.0.path()).unwrap().permissions().mode() & 0o777, 0o600);
        begin(&egress, "AFTER", 1, NOW, Scope::Prompt, b"");
        assert_eq!(ids(&egress), ["AFTER.1", "NEW.1"]);
    }

    #[test]
    fn what_cannot_be_recorded_does_not_begin() {
        let temp = Temp::new();
        let egress = Egress::below(&temp.0);
        std::os::unix::fs::symlink("elsewhere", egress.0.path()).unwrap();
        let sending = Sending {
            run_id: "A",
            call: 1,
            now: NOW,
            provider: "codex",
            step: Step::Hands.name(),
            scope: Scope::Machine,
            reason: &Reason::LocalDown,
            workdir: Path::new("/w"),
            payload: b"x",
            files: &[],
        };
        let error = egress.begin(&sending, &soon()).unwrap_err();
        assert!(error.to_string().contains("cannot record what would be sent in"), "{error}");
        assert!(!temp.0.join("elsewhere").exists());
    }
}
