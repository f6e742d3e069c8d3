//! Registers mux as an MCP server with the coding CLIs that are installed, by their own commands, or takes it out.
//!
//! **Invariants:** a file that cannot be read as what its CLI writes is left as it is. Only the entry `mux` is touched,
//! and only if it is a mux. Doing it again changes nothing. One file is written by mux itself: codex has no option for
//! its time limits; it is replaced whole, and put back if codex cannot read it afterwards.

use crate::rules::argv;
use crate::rules::registration::{Client, Entry, Wanted, codex_lines, entry, with_lines};
use crate::sys::proc::{self, Exit, Spawn};
use crate::words::env::Env;
use crate::words::stop::Stop;
use fs_err as fs;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a CLI may take for one command; gemini takes ten seconds on a slow machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// Output of a command that is kept.
const KEEP: usize = 64 << 10;
/// The largest file that is read.
const LARGEST: u64 = 64 << 20;
/// What a CLI sets for those that run inside of it, and what would make it refuse to run here.
const PARENTS: [&str; 3] = ["CLAUDECODE", "CLAUDE_CODE_CHILD_SESSION", "GEMINI_CLI"];

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    pub program: &'a str,
    pub trust: bool,
    pub remove: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// How it went with one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    NotInstalled,
    /// There was nothing to do.
    Already,
    /// `--dry-run`.
    Planned,
    Registered,
    Removed,
    Failed(String),
}

/// What was done with one client.
#[derive(Clone, Debug)]
pub struct Report {
    pub client: Client,
    pub end: End,
    /// Each command and file, in order.
    pub steps: Vec<String>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Registers with one client, or takes the registration out.
pub fn setup(env: &Env, client: Client, plan: &Plan<'_>, stop: &Stop) -> Report {
    let mut report = Report { client, end: End::NotInstalled, steps: Vec::new(), notes: Vec::new() };
    let cwd = env.cwd.clone().unwrap_or_else(|| PathBuf::from("/"));
    let Some(binary) = proc::which(OsStr::new(client.name()), env.var("PATH"), &cwd) else { return report };
    let Some(file) = file(env, client) else {
        report.end = End::Failed("there is no home directory".to_string());
        return report;
    };
    let mut work = Work { env, client, plan, stop, binary, cwd, file, report };
    match work.all() {
        Ok(end) => work.report.end = end,
        Err(why) => work.report.end = End::Failed(why),
    }
    work.report
}

struct Work<'a> {
    env: &'a Env,
    client: Client,
    plan: &'a Plan<'a>,
    stop: &'a Stop,
    binary: PathBuf,
    cwd: PathBuf,
    /// What the client keeps its registrations in.
    file: PathBuf,
    report: Report,
}

impl Work<'_> {
    fn wanted(&self) -> Wanted<'_> {
        Wanted { program: self.plan.program, trust: self.plan.trust }
    }

    fn all(&mut self) -> Result<End, String> {
        let found = self.entry()?;
        if found == Entry::Foreign {
            return Err(format!("{} has another server with the name `mux`; it was left alone", self.file.display()));
        }
        if self.plan.remove {
            if found == Entry::Absent {
                return Ok(End::Already);
            }
            self.command(&self.client.remove())?;
            return self.ended(End::Removed, &[Entry::Absent]);
        }
        if self.client != Client::Claude && !self.plan.trust {
            let name = self.client.name();
            let note = format!(
                "{name} asks before it hands over a task, and does not do it where nobody can be asked; \
                 `mux setup --client {name} --trust` allows it"
            );
            self.report.notes.push(note);
        }
        if found == Entry::Same {
            return Ok(End::Already);
        }
        if found == Entry::Older {
            self.command(&self.client.remove())?;
        }
        let add = self.client.add(&self.wanted());
        self.command(&add)?;
        if self.client == Client::Codex {
            self.limits()?;
        }
        let end = self.ended(End::Registered, &[Entry::Same])?;
        if end == End::Registered {
            self.verify()?;
        }
        Ok(end)
    }

    fn ended(&self, end: End, expected: &[Entry]) -> Result<End, String> {
        if self.plan.dry_run {
            return Ok(End::Planned);
        }
        let found = self.entry()?;
        if expected.contains(&found) {
            return Ok(end);
        }
        Err(format!("{} says otherwise afterwards: {found:?}", self.file.display()))
    }

    fn entry(&self) -> Result<Entry, String> {
        match entry(self.client, &self.text()?, &self.wanted()) {
            Entry::Unreadable(why) => {
                Err(format!("cannot read {}, so nothing was changed: {why}", self.file.display()))
            }
            entry @ (Entry::Absent | Entry::Same | Entry::Older | Entry::Foreign) => Ok(entry),
        }
    }

    fn text(&self) -> Result<String, String> {
        let cannot = |why: &dyn std::fmt::Display| format!("cannot read {}: {why}", self.file.display());
        match fs::metadata(&self.file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(String::new()),
            Err(error) => return Err(cannot(&error)),
            Ok(meta) if !meta.is_file() || meta.len() > LARGEST => return Err(cannot(&"it is no file of its kind")),
            Ok(_) => {}
        }
        fs::read_to_string(&self.file).map_err(|error| cannot(&error))
    }

    /// Runs a command of the client, or only notes it.
    fn command(&mut self, args: &[String]) -> Result<String, String> {
        let words = [self.client.name().to_string()].into_iter().chain(args.iter().cloned()).collect::<Vec<_>>();
        self.report.steps.push(argv::spell(&words));
        if self.plan.dry_run { Ok(String::new()) } else { self.run(args) }
    }

    fn run(&self, args: &[String]) -> Result<String, String> {
        let spawn = Spawn {
            program: self.binary.clone(),
            args: args.iter().map(OsString::from).collect(),
            cwd: self.cwd.clone(),
            env: proc::environment(&self.env.vars, &|name| !PARENTS.contains(&name)),
            stdin: None,
            keep: KEEP,
            silence: None,
            lost: None,
            writes: None,
            marker: format!("setup-{}", std::process::id()),
        };
        let ran = proc::run(&spawn, &self.stop.until(Instant::now() + PATIENCE), &mut |_| {});
        let said = format!("{}{}", ran.stdout.text(), ran.stderr.text());
        let command = || format!("`{} {}`", self.client.name(), argv::spell(args));
        match ran.exit {
            Exit::Code(0) => Ok(said),
            Exit::Code(code) => Err(format!("{} ended with {code}: {}", command(), said.trim())),
            Exit::NotStarted(error) => Err(format!("{} did not start: {error}", command())),
            Exit::TimedOut | Exit::Silent | Exit::Lost => {
                Err(format!("{} took more than {} s", command(), PATIENCE.as_secs()))
            }
            Exit::Signal(_) | Exit::Stopped(_) => Err(format!("{} was ended", command())),
        }
    }

    /// Adds what codex has no option for.
    fn limits(&mut self) -> Result<(), String> {
        let lines = codex_lines(&self.wanted()).trim_end().replace('\n', ", ");
        self.report.steps.push(format!("write to {}: {lines}", self.file.display()));
        if self.plan.dry_run {
            return Ok(());
        }
        let before = self.text()?;
        let Some(after) = with_lines(&before, &self.wanted()) else { return Ok(()) };
        self.replace(&after)?;
        if let Err(why) = self.run(&self.client.show()) {
            self.replace(&before)?;
            return Err(format!("codex does not take its time limits, so they were taken out again: {why}"));
        }
        Ok(())
    }

    /// Writes the file beside its place and moves it there. A link stays a link: its target is replaced.
    fn replace(&self, text: &str) -> Result<(), String> {
        let cannot = |error: std::io::Error| format!("cannot write {}: {error}", self.file.display());
        let file = fs::canonicalize(&self.file).map_err(cannot)?;
        let temp = file.with_extension(format!("mux-{}", std::process::id()));
        let mode = fs::metadata(&file).map_err(cannot)?.permissions();
        let written = fs::write(&temp, text)
            .and_then(|()| fs::set_permissions(&temp, mode))
            .and_then(|()| fs::rename(&temp, &file));
        if written.is_err() {
            let _ = fs::remove_file(&temp);
        }
        written.map_err(cannot)
    }

    /// Asks the client whether it can talk to the server.
    fn verify(&mut self) -> Result<(), String> {
        let said = self.command(&self.client.show())?;
        let line = match self.client {
            // It does not start servers to show them.
            Client::Codex => None,
            Client::Claude => said.lines().find(|line| line.contains("Status:")),
            Client::Gemini => said.lines().find(|line| line.contains("mux:")),
        };
        self.report.notes.extend(line.map(|line| format!("{} says: {}", self.client.name(), line.trim())));
        Ok(())
    }
}

/// Where a client keeps its registrations.
fn file(env: &Env, client: Client) -> Option<PathBuf> {
    let below = |variable: &str, home: &str| {
        env.absolute(variable).map(Path::to_path_buf).or_else(|| Some(env.home()?.join(home)))
    };
    Some(match client {
        Client::Claude => below("CLAUDE_CONFIG_DIR", "")?.join(".claude.json"),
        Client::Codex => below("CODEX_HOME", ".codex")?.join("config.toml"),
        Client::Gemini => env.home()?.join(".gemini/settings.json"),
    })
}
