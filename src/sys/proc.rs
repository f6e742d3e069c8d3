//! Children: the one place that starts them, and sees each to its end, its deadline or a stop. Not what they are asked.
//!
//! **Invariants:** no child inherits mux's stdin, its environment (the caller gives all of it, made by [`environment`])
//! or a descriptor that mux opened. No wait without a deadline, no buffer without a bound. Only pids that mux knows are
//! signalled or reaped, never `waitpid(-1)`. When [`run`] returns, the child's process group is gone.
//!
//! A child leads a process group of its own, and the group is signalled before its leader is reaped, so that the number
//! cannot have been given to someone else. On Linux mux is also the reaper of orphans: what left the group (`setsid`)
//! becomes a child of mux when its parent dies, is known by [`MARKER`] in its environment, and is killed. An escapee
//! that wipes its environment as well gets away, as does every escapee on macOS. One thread, one `poll`: no reader
//! threads that a grandchild with an open pipe could keep alive.
#![expect(clippy::disallowed_methods, reason = "children are started here and nowhere else")]

#[cfg(target_os = "linux")]
mod orphans;
pub mod sandbox;

use crate::words::stop::{Stop, StopReason, TICK};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The variable that marks all descendants of a child. Its value is the run's marker; inside another mux it is appended
/// to the outer one's with `:`, so that both find theirs. Not `MUX_…`: those are settings, and children see none of
/// them.
pub const MARKER: &str = "_MUXRUN";

/// Between TERM and KILL.
const GRACE: Duration = Duration::from_secs(1);
/// How long members of the group may go on writing after their leader has ended by itself (`tee` behind a `>(…)`).
const LINGER: Duration = Duration::from_millis(250);
/// How long the dead may take to become so; longer only in the kernel's uninterruptible sleep.
const BURIAL: Duration = Duration::from_millis(500);

/// What to start.
#[derive(Clone, Debug)]
pub struct Spawn {
    /// Absolute, as [`which`] returns it.
    pub program: PathBuf,
    pub args: Vec<OsString>,
    pub cwd: PathBuf,
    /// All of it: nothing is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// Given to the child, then closed; `None` is `/dev/null`. A child that does not read it is no error.
    pub stdin: Option<Vec<u8>>,
    /// Bytes of the end of each stream that are kept; the rest is read and dropped.
    pub keep: usize,
    /// Longest time without a byte on either stream.
    pub silence: Option<Duration>,
    /// Whether what stands on standard error says that nothing will come of it.
    pub lost: Option<fn(&str) -> bool>,
    /// The places below which it may write, see [`sandbox`]; `None`: wherever the user may.
    pub writes: Option<Vec<PathBuf>>,
    /// Tells this run's descendants from those of runs beside it, hence unique among them (the run id). No `:`.
    pub marker: String,
}

/// A piece of output, as it comes.
#[derive(Clone, Copy, Debug)]
pub enum Chunk<'a> {
    Out(&'a [u8]),
    Err(&'a [u8]),
}

/// How a child ended.
#[derive(Debug)]
pub enum Exit {
    Code(i32),
    /// Killed by someone else, or crashed.
    Signal(i32),
    /// Killed at the deadline of the [`Stop`].
    TimedOut,
    /// Killed after [`Spawn::silence`].
    Silent,
    /// Killed because of [`Spawn::lost`].
    Lost,
    /// Killed because work was called off.
    Stopped(StopReason),
    /// Not there, not executable, no such directory, no process to be had.
    NotStarted(io::Error),
}

/// A child that is over.
#[derive(Debug)]
pub struct Ran {
    pub exit: Exit,
    pub stdout: Tail,
    pub stderr: Tail,
    pub duration: Duration,
    /// Processes that had left the group and were killed.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the tests of what leaves its group"))]
    pub escaped: usize,
}

/// The end of a stream: the last `keep` bytes of all that was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    keep: usize,
    bytes: Vec<u8>,
    /// All bytes of the stream.
    pub seen: u64,
}

/// A program that outlives mux, such as a model server. Dropping it leaves the program alone.
#[derive(Debug)]
pub struct Launched(Child);

/// Runs a child to its end, its deadline or a stop, and then ends all that it started. Takes at most about 2 s longer
/// than `stop` allows. `on` sees the output as it comes.
pub fn run(spawn: &Spawn, stop: &Stop, on: &mut dyn FnMut(Chunk<'_>)) -> Ran {
    let started = Instant::now();
    let mut flow = Flow {
        stdin: None,
        input: spawn.stdin.as_deref().unwrap_or_default(),
        stdout: None,
        stderr: None,
        buffer: Vec::new(),
        out: Tail::new(spawn.keep),
        err: Tail::new(spawn.keep),
        on,
    };
    let mut escaped = 0;
    let exit = match stop.reason() {
        Some(reason) => ended_by(reason),
        None => match start(spawn, &mut flow) {
            Ok(child) => attend(child, spawn, stop, &mut flow, &mut escaped),
            Err(error) => Exit::NotStarted(error),
        },
    };
    Ran { exit, stdout: flow.out, stderr: flow.err, duration: started.elapsed(), escaped }
}

/// Starts a program that is meant to outlive mux, in a group of its own, its output going to `output` or nowhere.
///
/// # Errors
/// As [`Exit::NotStarted`].
pub fn launch(spawn: &Spawn, output: Option<File>) -> io::Result<Launched> {
    let mut command = command(spawn);
    command.stdin(Stdio::null()).env_remove(MARKER);
    match output {
        Some(file) => command.stdout(file.try_clone()?).stderr(file),
        None => command.stdout(Stdio::null()).stderr(Stdio::null()),
    };
    let mut known = known();
    let child = spawn_held(&mut command, spawn)?;
    known.push(Pid::from_child(&child)); // for good: it is never an escapee
    Ok(Launched(child))
}

impl Launched {
    /// Returns how the program ended, if it has: a launcher ends at once, a server does not. Never waits.
    pub fn ended(&mut self) -> Option<Exit> {
        self.0.try_wait().ok().flatten().map(exit_of)
    }
}

/// Returns the absolute path of a program: of a plain name in `path` (the value of `PATH`, whose relative entries are
/// passed over, since they would name programs of a repository), of a name with a slash below `cwd`.
pub fn which(name: &OsStr, path: Option<&OsStr>, cwd: &Path) -> Option<PathBuf> {
    if name.as_encoded_bytes().contains(&b'/') {
        return Some(cwd.join(name)).filter(|file| is_program(file));
    }
    let mut places = std::env::split_paths(path?).filter(|place| place.is_absolute());
    places.find_map(|place| Some(place.join(name)).filter(|file| is_program(file)))
}

/// Returns an environment for a child: the variables whose names `keeps` wants, but never `GIT_*` (they would move a
/// git below it to another repository) nor `MUX_*`, and `MUX_DEPTH` one deeper than here.
pub fn environment(vars: &BTreeMap<OsString, OsString>, keeps: &dyn Fn(&str) -> bool) -> Vec<(OsString, OsString)> {
    let depth = vars.get(OsStr::new("MUX_DEPTH")).and_then(|depth| depth.to_str()?.parse::<u32>().ok()).unwrap_or(0);
    let passes = |name: &OsStr| {
        let name = name.to_string_lossy();
        !name.starts_with("GIT_") && !name.starts_with("MUX_") && keeps(&name)
    };
    let mut env: Vec<_> =
        vars.iter().filter(|(name, _)| passes(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    env.push(("MUX_DEPTH".into(), depth.saturating_add(1).to_string().into()));
    env
}

impl Tail {
    pub fn new(keep: usize) -> Tail {
        Tail { keep, bytes: Vec::new(), seen: 0 }
    }

    pub fn push(&mut self, chunk: &[u8]) {
        self.seen += chunk.len() as u64;
        let (_, last) = chunk.split_at(chunk.len().saturating_sub(self.keep));
        self.bytes.extend_from_slice(last);
        // Twice the size before the old half goes: each byte is moved once, not with every chunk.
        if self.bytes.len() > 2 * self.keep {
            self.bytes.drain(..self.bytes.len() - self.keep);
        }
    }

    /// Returns the last bytes of the stream.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.split_at(self.bytes.len().saturating_sub(self.keep)).1
    }

    /// Returns the last bytes as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// Returns whether nothing was dropped.
    pub fn is_whole(&self) -> bool {
        self.seen <= self.keep as u64
    }
}

/// Lets the user edit a file with a command line of theirs, which a shell reads as git lets it: in this terminal, with this
/// environment, as long as it takes. Returns whether the editor says that it went well.
pub fn edit(editor: &str, file: &Path) -> io::Result<bool> {
    // Until it ends, Ctrl-C is its own. A child does not inherit a handler, as it would inherit SIG_IGN.
    signal_hook::flag::register(signal_hook::consts::SIGINT, std::sync::Arc::default())?;
    let script = format!("{editor} \"$1\"");
    Ok(Command::new("sh").args(["-c", &script, "mux"]).arg(file).status()?.success())
}

fn is_program(file: &Path) -> bool {
    fs_err::metadata(file).is_ok_and(|meta| meta.is_file())
        && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

fn command(spawn: &Spawn) -> Command {
    let mut command = Command::new(&spawn.program);
    command.args(&spawn.args).current_dir(&spawn.cwd).env_clear().process_group(0);
    command.envs(spawn.env.iter().map(|(name, value)| (name, value)));
    command
}

fn start<'a>(spawn: &'a Spawn, flow: &mut Flow<'a>) -> io::Result<Child> {
    become_reaper();
    let mut command = command(spawn);
    let outer = spawn.env.iter().find(|(name, _)| name == MARKER).map(|(_, value)| value);
    let mut marker = outer.map_or_else(OsString::new, |outer| [outer, OsStr::new(":")].into_iter().collect());
    marker.push(&spawn.marker);
    command.env(MARKER, marker);
    command.stdin(if spawn.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut known = known();
    let mut child = spawn_held(&mut command, spawn)?;
    known.push(Pid::from_child(&child));
    drop(known);
    (flow.stdin, flow.stdout, flow.stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    flow.prepare();
    Ok(child)
}

fn spawn_held(command: &mut Command, spawn: &Spawn) -> io::Result<Child> {
    match &spawn.writes {
        Some(places) => sandbox::spawn(command, places),
        None => command.spawn(),
    }
}

/// Once, before the first child. A handler for SIGCHLD, because whoever started mux may have left it ignored, and then
/// the kernel reaps children itself and their exit codes are lost; it also wakes the `poll`.
fn become_reaper() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = signal_hook::flag::register(signal_hook::consts::SIGCHLD, std::sync::Arc::default());
        #[cfg(target_os = "linux")]
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    });
}

/// The children that were started here and are not reaped yet. Held while one is born, so that a sweep of another
/// thread never takes a newborn for an orphan.
fn known() -> MutexGuard<'static, Vec<Pid>> {
    static KNOWN: Mutex<Vec<Pid>> = Mutex::new(Vec::new());
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From the start of a child to the end of all that it started.
fn attend(mut child: Child, spawn: &Spawn, stop: &Stop, flow: &mut Flow<'_>, escaped: &mut usize) -> Exit {
    let leader = Pid::from_child(&child);
    let called_off = wait(leader, spawn, stop, flow);
    let patience = if let Some((_, term)) = called_off { term + GRACE } else { Instant::now() + LINGER };
    // A leader that dies of TERM at once doesn't cost those below it their second, as long as they hold the pipes.
    while Instant::now() < patience && (flow.is_open() || !has_ended(leader)) {
        flow.pump(TICK);
    }
    let _ = kill_process_group(leader, Signal::KILL);
    let buried = Instant::now() + BURIAL;
    while !has_ended(leader) && Instant::now() < buried {
        flow.pump(TICK);
    }
    let status = if has_ended(leader) { child.wait() } else { Err(ErrorKind::TimedOut.into()) };
    while let Ok(member) = waitid(WaitId::Pgid(Some(leader)), WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
        && Instant::now() < buried
    {
        if member.is_none() {
            flow.pump(Duration::from_millis(1));
        }
    }
    known().retain(|pid| *pid != leader);
    #[cfg(target_os = "linux")]
    {
        *escaped = orphans::sweep(&spawn.marker);
    }
    let drained = Instant::now() + LINGER;
    while flow.is_open() && Instant::now() < drained {
        flow.pump(TICK);
    }
    match (called_off, status) {
        (Some((exit, _)), _) => exit,
        (None, Ok(status)) => exit_of(status),
        (None, Err(error)) => Exit::NotStarted(error),
    }
}

/// Waits for the leader. When it has to go first, sends TERM to the group and returns why and when.
fn wait(leader: Pid, spawn: &Spawn, stop: &Stop, flow: &mut Flow<'_>) -> Option<(Exit, Instant)> {
    let mut heard = Instant::now();
    let exit = loop {
        if has_ended(leader) {
            return None;
        }
        if let Some(reason) = stop.reason() {
            break ended_by(reason);
        }
        if spawn.silence.is_some_and(|silence| heard.elapsed() >= silence) {
            break Exit::Silent;
        }
        let seen = flow.err.seen;
        if flow.pump(stop.tick()) {
            heard = Instant::now();
        }
        if spawn.lost.is_some_and(|lost| flow.err.seen > seen && lost(&flow.err.text())) {
            break Exit::Lost;
        }
    };
    let _ = kill_process_group(leader, Signal::TERM);
    Some((exit, Instant::now()))
}

/// Returns whether the process is a zombie, and leaves it one. A process that cannot be asked about has ended, too.
fn has_ended(leader: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::Pid(leader), options), Ok(None))
}

fn ended_by(reason: StopReason) -> Exit {
    match reason {
        StopReason::Deadline => Exit::TimedOut,
        StopReason::Signal(_) | StopReason::Canceled => Exit::Stopped(reason),
    }
}

fn exit_of(status: std::process::ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signal(signal.unwrap_or(0)),
    }
}

/// The three pipes of a child. Our ends don't block.
struct Flow<'a> {
    stdin: Option<ChildStdin>,
    /// What is still to be written.
    input: &'a [u8],
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    buffer: Vec<u8>,
    out: Tail,
    err: Tail,
    on: &'a mut dyn FnMut(Chunk<'_>),
}

impl Flow<'_> {
    fn prepare(&mut self) {
        self.buffer = vec![0; 64 * 1024];
        let _ = self.stdin.as_ref().map(|pipe| ioctl_fionbio(pipe, true));
        let _ = self.stdout.as_ref().map(|pipe| ioctl_fionbio(pipe, true));
        let _ = self.stderr.as_ref().map(|pipe| ioctl_fionbio(pipe, true));
    }

    /// Returns whether output may still come.
    fn is_open(&self) -> bool {
        self.stdout.is_some() || self.stderr.is_some()
    }

    /// Waits at most `time` for the pipes to be ready, then moves what can be moved without waiting. Returns whether
    /// output came.
    fn pump(&mut self, time: Duration) -> bool {
        if self.stdin.is_none() && !self.is_open() {
            // Nothing left to be told by; most children end right after their last word, hence the short look.
            sleep(time.min(Duration::from_millis(2)));
            return false;
        }
        let mut fds = Vec::with_capacity(3);
        fds.extend(self.stdin.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        fds.extend(self.stdout.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        fds.extend(self.stderr.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        let time = Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() };
        if !matches!(poll(&mut fds, Some(&time)), Ok(1..)) {
            return false; // time is over, or a signal (SIGCHLD): the caller looks
        }
        self.feed();
        let out = drain(&mut self.stdout, &mut self.buffer, &mut |bytes| {
            self.out.push(bytes);
            (self.on)(Chunk::Out(bytes));
        });
        let err = drain(&mut self.stderr, &mut self.buffer, &mut |bytes| {
            self.err.push(bytes);
            (self.on)(Chunk::Err(bytes));
        });
        out || err
    }

    fn feed(&mut self) {
        let Some(pipe) = &mut self.stdin else { return };
        match pipe.write(self.input) {
            Ok(written) => self.input = self.input.split_at_checked(written).unwrap_or_default().1,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
            Err(_) => self.input = &[], // the child does not want more
        }
        if self.input.is_empty() {
            self.stdin = None;
        }
    }
}

/// Reads once. Closes the pipe at its end.
fn drain<R: Read>(pipe: &mut Option<R>, buffer: &mut [u8], take: &mut dyn FnMut(&[u8])) -> bool {
    let Some(open) = pipe else { return false };
    match open.read(buffer) {
        Ok(0) => *pipe = None,
        Ok(length) => {
            take(buffer.split_at(length).0);
            return true;
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
        Err(_) => *pipe = None,
    }
    false
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn sh(marker: &str, script: &str) -> Spawn {
        Spawn {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            cwd: "/".into(),
            env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
            stdin: None,
            keep: 4096,
            silence: None,
            lost: None,
            writes: None,
            marker: format!("{marker}-{}", std::process::id()),
        }
    }

    fn in_a_minute() -> Stop {
        Stop::at(Instant::now() + Duration::from_mins(1))
    }

    fn quiet(spawn: &Spawn) -> Ran {
        run(spawn, &in_a_minute(), &mut |_| {})
    }

    /// Leaves a process behind in a session of its own, and goes on when it is there.
    const ESCAPE: &str = "(setsid sh -c 'echo up; exec sleep 300 2>&-' &) | head -n 1";

    /// Returns the living processes that carry the marker.
    fn marked(spawn: &Spawn) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs_err::read_dir("/proc").unwrap().flatten() {
            let environ = fs_err::read(entry.path().join("environ")).unwrap_or_default();
            if String::from_utf8_lossy(&environ).contains(&format!("{MARKER}={}", spawn.marker)) {
                let line = fs_err::read(entry.path().join("cmdline")).unwrap_or_default();
                found.push(String::from_utf8_lossy(&line).into_owned());
            }
        }
        found
    }

    #[track_caller]
    fn ends(script: &str, expected: &str) {
        assert_eq!(format!("{:?}", quiet(&sh("ends", script)).exit), expected, "{script}");
    }

    #[test]
    fn exit_codes_and_signals_are_told() {
        ends("exit 0", "Code(0)");
        ends("exit 7", "Code(7)");
        ends("kill -9 $$", "Signal(9)");
        ends("kill -TERM $$", "Signal(15)");
        ends("exec >&- 2>&-; exit 3", "Code(3)");
    }

    #[track_caller]
    fn does_not_start(change: impl Fn(&mut Spawn), expected: ErrorKind) {
        let mut spawn = sh("absent", "exit 0");
        change(&mut spawn);
        let exit = quiet(&spawn).exit;
        assert!(matches!(&exit, Exit::NotStarted(error) if error.kind() == expected), "{exit:?}");
    }

    #[test]
    fn what_cannot_start_says_why() {
        does_not_start(|spawn| spawn.program = "/nonexistent/program".into(), ErrorKind::NotFound);
        does_not_start(|spawn| spawn.program = "/etc/passwd".into(), ErrorKind::PermissionDenied);
        does_not_start(|spawn| spawn.cwd = "/nonexistent".into(), ErrorKind::NotFound);
    }

    #[test]
    fn output_is_drained_and_its_end_kept() {
        let spawn = sh("flood", "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; echo out; echo err >&2");
        let mut bytes = 0;
        let ran = run(&spawn, &in_a_minute(), &mut |chunk| match chunk {
            Chunk::Out(piece) | Chunk::Err(piece) => bytes += piece.len(),
        });
        assert!(matches!(ran.exit, Exit::Code(0)), "{:?}", ran.exit);
        assert_eq!((ran.stdout.seen, ran.stderr.seen, bytes), (3_000_004, 3_000_004, 6_000_008));
        assert_eq!((ran.stdout.bytes().len(), ran.stderr.bytes().len()), (4096, 4096));
        assert!(ran.stdout.bytes().ends_with(b"\0out\n") && ran.stderr.bytes().ends_with(b"\0err\n"));
    }

    #[test]
    fn stdin_is_given_to_its_end_or_null() {
        let megabyte: Vec<u8> = (0..1_u32 << 20).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
        let ran = quiet(&Spawn { stdin: Some(megabyte.clone()), keep: 1 << 21, ..sh("echo", "cat") });
        assert!(ran.stdout.bytes() == megabyte && ran.stdout.is_whole(), "{} bytes came back", ran.stdout.seen);
        let unread = Spawn { stdin: Some(megabyte), ..sh("unread", "exec <&-; echo done") };
        assert_eq!(quiet(&unread).stdout.text(), "done\n");
        assert_eq!(quiet(&sh("null", "cat; readlink /proc/self/fd/0")).stdout.text(), "/dev/null\n");
        assert_eq!(quiet(&Spawn { stdin: Some(Vec::new()), ..sh("empty", "wc -c") }).stdout.text().trim(), "0");
    }

    #[test]
    fn a_child_sees_the_environment_it_was_given_and_nothing_else() {
        let spawn = Spawn { program: "/usr/bin/env".into(), args: Vec::new(), ..sh("env", "") };
        let expected = format!("{MARKER}={}\nPATH=/usr/local/bin:/usr/bin:/bin\n", spawn.marker);
        let text = quiet(&spawn).stdout.text();
        let lines: BTreeSet<&str> = text.lines().collect();
        assert_eq!(lines, expected.lines().collect());

        let mut inner = spawn.clone();
        inner.env.push((MARKER.into(), "outer".into()));
        assert!(quiet(&inner).stdout.text().contains(&format!("{MARKER}=outer:{}\n", inner.marker)));
    }

    #[test]
    fn a_child_sees_no_descriptor_of_mux() {
        let path = std::env::temp_dir().join(format!("mux-proc-fd-{}", std::process::id()));
        let file = fs_err::File::create(&path).unwrap();
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let text = quiet(&sh("fd", "ls -l /proc/self/fd; exec ls /proc/self/fd")).stdout.text();
        drop((file, socket));
        fs_err::remove_file(&path).unwrap();
        assert!(!text.contains("mux-proc-fd") && !text.contains("socket:"), "{text}");
        assert!(text.contains("/dev/null") && text.contains("pipe:"), "{text}");
    }

    /// Runs a script that never ends until its deadline.
    #[track_caller]
    fn dies(name: &str, script: &str) -> Ran {
        let spawn = sh(name, script);
        let mut stop = None;
        // The deadline counts from the first output, so that the script is known to have come that far.
        let overall = in_a_minute();
        let ran = run(&spawn, &overall, &mut |_| {
            if stop.is_none() {
                stop = Some(marked(&spawn));
                overall.cancel();
            }
        });
        assert!(matches!(ran.exit, Exit::Stopped(StopReason::Canceled)), "{:?}", ran.exit);
        assert!(!stop.unwrap().is_empty(), "nothing ran");
        assert_eq!(marked(&spawn), Vec::<String>::new());
        ran
    }

    #[test]
    fn a_stop_ends_every_descendant() {
        dies("term", "sleep 300 & (setsid sleep 300 &) ; exec yes");
        dies(
            "deaf",
            "trap '' TERM; (trap '' TERM; sleep 300) & setsid sh -c 'sleep 300; :' & echo up; sleep 300; sleep 300",
        );
        let deepest = r#"setsid sh -c "echo up; exec sleep 300"; :"#;
        dies("deep", &format!("(setsid sh -c 'setsid sh -c '\\''{deepest}'\\'' & sleep 300; :' &) ; sleep 300"));
        dies("stopped", "echo up; kill -STOP $$");
    }

    #[test]
    fn a_deadline_ends_every_descendant() {
        let spawn = sh("deadline", "sleep 300 & (setsid sleep 300 &) ; exec yes");
        let ran = run(&spawn, &Stop::at(Instant::now() + Duration::from_millis(500)), &mut |_| {});
        assert!(matches!(ran.exit, Exit::TimedOut), "{:?}", ran.exit);
        assert_eq!(marked(&spawn), Vec::<String>::new());
    }

    #[test]
    fn silence_ends_a_child_that_says_nothing() {
        let spawn = Spawn { silence: Some(Duration::from_millis(500)), ..sh("silent", "echo up; exec sleep 300") };
        let ran = quiet(&spawn);
        assert!(matches!(ran.exit, Exit::Silent), "{:?}", ran.exit);
        assert_eq!((ran.stdout.text().as_str(), marked(&spawn)), ("up\n", Vec::new()));
    }

    #[test]
    fn a_child_that_says_that_it_is_lost_is_not_waited_for() {
        let lost: fn(&str) -> bool = |said| said.contains("third time");
        let spawn =
            Spawn { lost: Some(lost), ..sh("lost", "echo second time >&2; echo third time >&2; exec sleep 300") };
        let ran = quiet(&spawn);
        assert!(matches!(ran.exit, Exit::Lost), "{:?}", ran.exit);
        assert_eq!((ran.stderr.text().as_str(), marked(&spawn)), ("second time\nthird time\n", Vec::new()));
        let spawn = Spawn { lost: Some(lost), ..sh("well", "echo third time; echo second time >&2") };
        assert!(matches!(quiet(&spawn).exit, Exit::Code(0)), "only standard error counts");
    }

    #[test]
    fn what_a_child_leaves_behind_ends_with_it() {
        let spawn = sh("left", &format!("sleep 300 & {ESCAPE}; echo done"));
        let ran = quiet(&spawn);
        assert!(matches!(ran.exit, Exit::Code(0)), "{:?}", ran.exit);
        assert_eq!((ran.stdout.text().as_str(), ran.escaped, marked(&spawn)), ("up\ndone\n", 1, Vec::new()));
    }

    #[test]
    fn late_words_of_the_group_are_heard() {
        let ran = quiet(&sh("late", "(sleep 0.02; echo late) & exit 4"));
        assert_eq!((format!("{:?}", ran.exit).as_str(), ran.stdout.text().as_str()), ("Code(4)", "late\n"));
    }

    #[test]
    fn a_run_that_is_called_off_starts_nothing() {
        let stop = in_a_minute();
        stop.cancel();
        let ran = run(&sh("off", "echo up"), &stop, &mut |_| {});
        assert!(matches!(ran.exit, Exit::Stopped(StopReason::Canceled)) && ran.stdout.seen == 0);
    }

    #[test]
    fn runs_side_by_side_leave_each_other_alone() {
        let outer = sh("outer", &format!("{ESCAPE}; exec sleep 300"));
        let stop = in_a_minute();
        let mut during = 0;
        run(&outer, &stop, &mut |_| {
            let inner = quiet(&sh("inner", ESCAPE));
            assert_eq!((inner.stdout.text().as_str(), inner.escaped), ("up\n", 1));
            // A process that is about to become its program has no environment to be known by.
            while during < 2 && stop.reason().is_none() {
                during = marked(&outer).iter().filter(|line| !line.contains("head")).count();
                stop.sleep(TICK);
            }
            stop.cancel();
        });
        assert!(during >= 2, "one run ended another's children");
        assert_eq!(marked(&outer), Vec::<String>::new());
    }

    #[test]
    fn a_launched_program_outlives_other_runs() {
        let path = std::env::temp_dir().join(format!("mux-proc-launch-{}", std::process::id()));
        let log = File::create(&path).unwrap();
        let script = "setsid sleep 300 & echo up; exec sleep 300";
        let mut server = launch(&sh("server", script), Some(log)).unwrap();
        let stop = in_a_minute();
        while fs_err::read(&path).unwrap() != b"up\n" && stop.reason().is_none() {
            stop.sleep(TICK);
        }
        let beside = quiet(&sh("beside", "exit 0"));
        let alive = server.ended().is_none();
        let mut children = Vec::new();
        orphans::children_of(&server.0.id().to_string(), &mut children);
        for pid in &children {
            rustix::process::kill_process(*pid, Signal::KILL).unwrap();
        }
        server.0.kill().unwrap();
        server.0.wait().unwrap();
        fs_err::remove_file(&path).unwrap();
        assert!(matches!(beside.exit, Exit::Code(0)) && beside.escaped == 0);
        assert!(alive && children.len() == 1, "the server or its child was killed: {alive} {children:?}");
        let mut launcher = launch(&sh("launcher", "exit 5"), None).unwrap();
        launcher.0.wait().unwrap();
        assert!(matches!(launcher.ended(), Some(Exit::Code(5))));
    }

    #[track_caller]
    fn finds(name: &str, path: Option<&str>, cwd: &str, expected: Option<&str>) {
        let found = which(OsStr::new(name), path.map(OsStr::new), Path::new(cwd));
        assert_eq!(found.as_deref(), expected.map(Path::new), "{name} in {path:?} at {cwd}");
    }

    #[test]
    fn programs_are_found_in_absolute_places_only() {
        finds("sh", Some("/nonexistent:/bin"), "/", Some("/bin/sh"));
        finds("sh", Some("bin:./bin:"), "/", None);
        finds("sh", Some(""), "/bin", None);
        finds("sh", None, "/bin", None);
        finds("bin/sh", Some("/"), "/", Some("/bin/sh"));
        finds("./sh", None, "/bin", Some("/bin/./sh"));
        finds("/bin/sh", None, "/nonexistent", Some("/bin/sh"));
        finds("passwd", Some("/etc"), "/", None);
        finds("bin", Some("/usr"), "/", None);
        finds("mux-no-such-program", Some("/bin:/usr/bin"), "/", None);
    }

    #[test]
    fn environments_lose_git_and_mux_and_go_deeper() {
        let pairs = [("A", "1"), ("GIT_DIR", "x"), ("MUX_CONFIG", "x"), ("MUX_DEPTH", "2"), ("SECRET", "x"), ("Z", "")];
        let vars: BTreeMap<OsString, OsString> =
            pairs.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let env = environment(&vars, &|name| name != "SECRET");
        let expected = [("A", "1"), ("Z", ""), ("MUX_DEPTH", "3")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(env, expected);
        assert_eq!(environment(&BTreeMap::new(), &|_| true), [("MUX_DEPTH".into(), "1".into())]);
    }

    #[track_caller]
    fn keeps(keep: usize, chunks: &[&str], expected: &str, is_whole: bool) {
        let mut tail = Tail::new(keep);
        for chunk in chunks {
            tail.push(chunk.as_bytes());
        }
        assert_eq!((tail.text().as_str(), tail.is_whole()), (expected, is_whole), "{chunks:?}");
    }

    #[test]
    fn a_tail_is_the_end() {
        keeps(4, &[], "", true);
        keeps(4, &["abcd"], "abcd", true);
        keeps(4, &["ab", "cd", "ef"], "cdef", false);
        keeps(4, &["abcdefghijk", "l"], "ijkl", false);
        keeps(4, &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"], "ghij", false);
        keeps(0, &["abc"], "", false);
    }
}
