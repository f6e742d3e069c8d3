//! What works, what does not, and the command that fixes it. Looks, never repairs. What has to be asked (the server, the
//! cloud CLIs) was asked before: here no process is started and no file written.

use crate::engine::installed::{Cloud, Installed, left_words};
use crate::engine::probe::{End, Probe};
use crate::rules::argv;
use crate::rules::config::CommandSpec;
use crate::sys::proc;
use crate::sys::state::tools::Login;
use crate::words::cloud::CloudClass;
use crate::words::count::Count;
use rustix::fs::Access;
use serde::Serialize;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// mux works without it.
    Warn,
    Fail,
}

/// One line of the doctor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub state: State,
    /// One line. May hold words of a server: escaped where it is printed.
    pub text: String,
    /// A command for a shell. Every check that failed has one.
    pub fix: Option<String>,
}

/// All checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether some route can work: a model server with a model, or a provider that may be called, and a place for the
    /// records.
    pub usable: bool,
    pub checks: Vec<Check>,
}

/// What the health probe saw of the local model server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    Up {
        base_url: String,
        model: String,
        /// Tokens, where the server tells.
        window: Option<u64>,
    },
    /// It answers, but not with the model that is configured.
    NoModel {
        base_url: String,
        why: String,
        /// What it has instead.
        models: Vec<String>,
    },
    Down {
        base_url: String,
        why: String,
        cause: Cause,
        /// `base_url`s of servers that were found elsewhere on this machine.
        elsewhere: Vec<String>,
    },
}

/// What keeps a server from answering, as far as it decides what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nobody listens, or what answers is no model server.
    Silence,
    /// It runs and will be ready.
    Loading,
    /// It is another machine, and the configuration does not allow one.
    Remote,
    /// It is asked by https, which this build cannot.
    Tls,
}

/// All that is looked at. Plain values: whoever calls has read the configuration and probed the server.
#[derive(Clone, Copy, Debug)]
pub struct Patient<'a> {
    pub server: &'a Server,
    /// `local_runtime.restart_cmd`. Its words are looked at, it is never run.
    pub restart_cmd: Option<&'a CommandSpec>,
    /// The file in which the user changes settings, existing or not.
    pub config_file: &'a Path,
    /// What was noticed while the configuration was read ("ignored `mux.yaml`: not trusted").
    pub config_notes: &'a [String],
    pub ledger: &'a Path,
    pub state_dir: &'a Path,
    /// Runs that were killed and whose journal is still there.
    pub unfinished: &'a [String],
    /// Journals and snapshots of a later mux: they are left alone.
    pub later: &'a [String],
    pub cloud: &'a Cloud,
    /// What came of calling each provider; empty unless that was wanted.
    pub probes: &'a [Probe],
    /// Configured hosts that are not this machine.
    pub hosts: &'a [(String, u16)],
    pub local_only: bool,
    /// The value of `PATH`.
    pub path: Option<&'a OsStr>,
    pub cwd: &'a Path,
}

/// Examines everything. `connect` opens and closes one TCP connection; it is called once for each host, and never when
/// only this machine may be used.
pub fn examine(patient: &Patient<'_>, connect: &mut dyn FnMut(&str, u16) -> Result<(), String>) -> Report {
    let mut checks = vec![server(patient), restart(patient), state_dir(patient.state_dir), ledger(patient.ledger)];
    if patient.unfinished.is_empty() && patient.later.is_empty() {
        checks.push(fine("journal", "no run was left unfinished"));
    }
    checks.extend(patient.unfinished.first().map(|first| {
        let text = format!(
            "{} unfinished: the next run rolls back what a kill left, or records it",
            Count::of(patient.unfinished.len(), "run")
        );
        warn("journal", text, format!("mux diff {}", argv::quote(first)))
    }));
    if !patient.later.is_empty() {
        let n = Count::of(patient.later.len(), "run");
        checks.push(fine("journal", format!("{n} unfinished, of a later mux: this one leaves them alone")));
    }
    checks.extend(patient.config_notes.iter().map(|note| warn("config", note.clone(), "mux config check".into())));
    checks.push(match proc::which(OsStr::new("git"), patient.path, patient.cwd) {
        Some(git) => fine("git", git.display().to_string()),
        None => warn("git", "not found: needed before a cloud CLI may write files".into(), install("git")),
    });
    // Who was called knows better than what was seen from outside.
    let called = patient.probes.iter().filter(|probe| !matches!(probe.end, End::NotCalled { .. }));
    let cloud_works = match called.clone().count() {
        0 => patient.cloud.is_open(),
        _ => called.clone().any(|probe| matches!(probe.end, End::Answered { .. })),
    };
    let has_place = checks.iter().all(|check| !matches!(check.name, "state" | "ledger") || check.state != State::Fail);
    let usable = (matches!(patient.server, Server::Up { .. }) || cloud_works) && has_place;
    checks.extend(patient.cloud.tools.iter().map(|tool| provider(tool, patient.cloud.local_only)));
    checks.extend(patient.probes.iter().map(|probe| probed(probe, patient.config_file)));
    checks.push(budget(patient.cloud));
    for (host, port) in patient.hosts {
        checks.push(if patient.local_only {
            fine("host", format!("{host}:{port} not contacted: local only"))
        } else {
            match connect(host, *port) {
                Ok(()) => fine("host", format!("{host}:{port} accepts connections; code leaves this machine")),
                Err(why) => fail(
                    "host",
                    format!("{host}:{port}: {why}"),
                    format!("curl -v {}", argv::quote(&format!("{host}:{port}"))),
                ),
            }
        });
    }
    Report { usable, checks }
}

fn server(patient: &Patient<'_>) -> Check {
    let set = |key: &str, value: &str| format!("export MUX_PROVIDERS_LOCAL_{key}={}", argv::quote(value));
    match patient.server {
        Server::Up { base_url, model, window } => {
            let window = window.map_or_else(String::new, |tokens| format!(", window of {tokens} tokens"));
            fine("server", format!("{base_url} answers with `{model}`{window}"))
        }
        Server::NoModel { base_url, why, models } => {
            let fix = match models.first() {
                Some(model) => set("MODEL", model),
                None => edit(patient.config_file),
            };
            fail("server", format!("{base_url} answers, but has no model for us: {why}"), fix)
        }
        Server::Down { base_url, why, cause, elsewhere } => {
            let is_there = |program: &str| proc::which(OsStr::new(program), patient.path, patient.cwd).is_some();
            let found = elsewhere.first().map(|other| format!("; found `{other}`")).unwrap_or_default();
            let fix = match (cause, elsewhere.first()) {
                (Cause::Loading, _) => "sleep 10; mux doctor".into(),
                (Cause::Remote, _) => edit(patient.config_file),
                (Cause::Silence | Cause::Tls, Some(other)) => set("BASE_URL", other),
                (Cause::Tls, None) => "cargo install --locked --path . --features tls".into(),
                (Cause::Silence, None) if patient.restart_cmd.is_some() => {
                    patient.restart_cmd.map(argv::written).unwrap_or_default()
                }
                (Cause::Silence, None) if is_there("ollama") => "ollama serve".into(),
                (Cause::Silence, None) if is_there("llama-server") => "llama-server -m MODEL.gguf --port 18473".into(),
                (Cause::Silence, None) => "./setup.sh --try".into(),
            };
            fail("server", format!("{base_url} is down: {why}{found}"), fix)
        }
    }
}

/// A restart that can't work is found out now, not when the server is down.
fn restart(patient: &Patient<'_>) -> Check {
    let Some(command) = patient.restart_cmd else {
        return fine("restart", "no `restart_cmd`: a server that is down stays down");
    };
    let edit = edit(patient.config_file);
    match argv::of(command) {
        Err(fault) => fail("restart", format!("`restart_cmd` is no command: {fault}"), edit),
        Ok(argv) => {
            let program = argv.first().map_or("", String::as_str);
            match proc::which(OsStr::new(program), patient.path, patient.cwd) {
                Some(file) => fine("restart", format!("{} is there; not run", file.display())),
                None => fail("restart", format!("`restart_cmd`: `{program}` is not a program"), edit),
            }
        }
    }
}

fn provider(tool: &Installed, local_only: bool) -> Check {
    let text = tool.words();
    if local_only {
        return fine("cloud", format!("{text}; not used: local only"));
    }
    match (&tool.path, tool.login, &tool.cooldown) {
        (Some(_), Login::LoggedOut, _) => warn("cloud", text, login(&tool.name)),
        // Time mends it; or what was wrong is mended, and a call shows it.
        (Some(_), _, Some(_)) => warn("cloud", text, "mux doctor --deep".to_string()),
        (Some(_) | None, _, _) => fine("cloud", text),
    }
}

/// The command that logs in.
fn login(name: &str) -> String {
    match name {
        "claude" => "claude /login".to_string(),
        "codex" => "codex login".to_string(),
        name => argv::quote(name),
    }
}

fn probed(probe: &Probe, config_file: &Path) -> Check {
    let name = &probe.provider;
    match &probe.end {
        End::Answered { model, took, usd } => {
            let cost = usd.map_or_else(|| "cost unknown".to_string(), |usd| format!("{usd:.4} USD"));
            fine("deep", format!("{name} answered in {:.1} s with `{model}`, {cost}", took.as_secs_f64()))
        }
        End::Failed { class, why } => {
            let fix = match class {
                CloudClass::Auth => login(name),
                CloudClass::ModelMissing | CloudClass::Malformed => edit(config_file),
                // What else is wrong shows where the CLI runs by itself.
                CloudClass::Denied
                | CloudClass::RateLimited { .. }
                | CloudClass::Quota { .. }
                | CloudClass::ContextTooLong
                | CloudClass::Server
                | CloudClass::Network
                | CloudClass::Timeout
                | CloudClass::Killed
                | CloudClass::Empty => argv::quote(name),
            };
            fail("deep", format!("{name}: {why}"), fix)
        }
        End::NotCalled { why } => {
            Check { name: "deep", state: State::Warn, text: format!("{name} was not called: {why}"), fix: None }
        }
    }
}

fn budget(cloud: &Cloud) -> Check {
    match &cloud.left {
        Ok(left) => fine("budget", left_words(left)),
        Err(why) => {
            let mut lines = why.lines().map(str::trim);
            let text = lines.next().unwrap_or_default().to_string();
            let fix = lines.find_map(|line| line.strip_prefix("hint: ")?.split_once("rm ")).map(|(_, file)| file);
            Check { name: "budget", state: State::Warn, text, fix: fix.map(|file| format!("rm {file}")) }
        }
    }
}

fn state_dir(folder: &Path) -> Check {
    let shown = folder.display();
    let quoted = argv::quote(&folder.to_string_lossy());
    match fs_err::metadata(folder) {
        Ok(meta) if !meta.is_dir() => {
            fail("state", format!("{shown} is not a directory"), format!("mv {quoted} {quoted}.old"))
        }
        Ok(meta) if meta.uid() != rustix::process::geteuid().as_raw() => {
            fail("state", format!("{shown} belongs to someone else"), format!("sudo chown -R \"$(id -u)\" {quoted}"))
        }
        Ok(meta) if meta.permissions().mode() & 0o077 != 0 => {
            let mode = meta.permissions().mode() & 0o777;
            // The next run closes it.
            warn("state", format!("{shown} is open to others (mode {mode:o})"), format!("chmod 700 {quoted}"))
        }
        Ok(_) => fine("state", shown.to_string()),
        Err(_) if is_creatable(folder) => fine("state", format!("{shown} will be made by the first run")),
        Err(_) => fail("state", format!("{shown} cannot be made"), making(folder)),
    }
}

fn ledger(file: &Path) -> Check {
    let shown = file.display();
    let quoted = argv::quote(&file.to_string_lossy());
    match fs_err::symlink_metadata(file) {
        Ok(meta) if !meta.is_file() => {
            fail("ledger", format!("{shown} is not a regular file"), format!("mv {quoted} {quoted}.old"))
        }
        Ok(_) if !may(file, Access::WRITE_OK | Access::READ_OK) => {
            fail("ledger", format!("{shown} cannot be written"), format!("chmod u+rw {quoted}"))
        }
        Ok(meta) => fine("ledger", format!("{shown}, {}", Count::of(meta.len(), "byte"))),
        Err(_) if is_creatable(file) => fine("ledger", format!("{shown} will be made by the first run")),
        Err(_) => fail("ledger", format!("{shown} cannot be made"), making(file.parent().unwrap_or(file))),
    }
}

fn may(path: &Path, access: Access) -> bool {
    rustix::fs::access(path, access).is_ok()
}

/// Returns whether the nearest directory above that exists may be written.
fn is_creatable(path: &Path) -> bool {
    nearest(path.parent().unwrap_or(path))
        .is_some_and(|(above, meta)| meta.is_dir() && may(above, Access::WRITE_OK | Access::EXEC_OK))
}

/// Returns a path as far as it exists.
fn nearest(path: &Path) -> Option<(&Path, Metadata)> {
    path.ancestors().find_map(|above| Some((above, fs_err::metadata(above).ok()?)))
}

/// Returns the command that makes room for a directory: what stands in its way may be the user's own, or not.
fn making(folder: &Path) -> String {
    let quoted = |path: &Path| argv::quote(&path.to_string_lossy());
    match nearest(folder) {
        Some((above, meta)) if !meta.is_dir() => format!("ls -l {}", quoted(above)),
        Some((above, meta)) if meta.uid() == rustix::process::geteuid().as_raw() => {
            format!("chmod u+wx {}", quoted(above))
        }
        Some(_) | None => format!("sudo install -d -m 700 -o \"$(id -u)\" {}", quoted(folder)),
    }
}

fn edit(file: &Path) -> String {
    format!("${{EDITOR:-vi}} {}", argv::quote(&file.to_string_lossy()))
}

fn install(package: &str) -> String {
    if cfg!(target_os = "macos") { format!("brew install {package}") } else { format!("sudo apt install {package}") }
}

fn fine(name: &'static str, text: impl Into<String>) -> Check {
    Check { name, state: State::Ok, text: text.into(), fix: None }
}

fn warn(name: &'static str, text: String, fix: String) -> Check {
    Check { name, state: State::Warn, text, fix: Some(fix) }
}

fn fail(name: &'static str, text: String, fix: String) -> Check {
    Check { name, state: State::Fail, text, fix: Some(fix) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::state::budget::Left;
    use crate::sys::state::cooldown::CoolDown;
    use crate::words::time::Utc;
    use std::path::PathBuf;
    use std::time::Duration;

    const PATH: &str = "/nonexistent:/bin";

    struct Home(PathBuf);

    impl Home {
        fn new(name: &str) -> Home {
            let folder = std::env::temp_dir().join(format!("mux-doctor-{name}-{}", std::process::id()));
            fs_err::create_dir_all(folder.join("state")).unwrap();
            fs_err::set_permissions(folder.join("state"), PermissionsExt::from_mode(0o700)).unwrap();
            fs_err::write(folder.join("state/ledger"), "x").unwrap();
            Home(folder)
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            let _ = fs_err::remove_dir_all(&self.0);
        }
    }

    fn cloud(login: Login) -> Cloud {
        let left = Left { calls: 49, max_calls: 50, spent_usd: 0.25, usd: Some(0.75) };
        let path = Some(PathBuf::from("/b/claude"));
        let version = Some("2.1.330".to_string());
        let claude = Installed { name: "claude".into(), path, version, login, cooldown: None };
        Cloud { tools: vec![claude], left: Ok(left), local_only: false }
    }

    fn no_cloud() -> Cloud {
        Cloud { tools: Vec::new(), ..cloud(Login::Unknown) }
    }

    fn up() -> Server {
        Server::Up { base_url: "http://127.0.0.1:1/v1".into(), model: "m".into(), window: Some(8192) }
    }

    fn down(elsewhere: &[&str]) -> Server {
        let elsewhere = elsewhere.iter().map(ToString::to_string).collect();
        let (base_url, why) = ("http://127.0.0.1:1/v1".into(), "refused".into());
        Server::Down { base_url, why, cause: Cause::Silence, elsewhere }
    }

    fn line(text: &str) -> &'static CommandSpec {
        Box::leak(Box::new(CommandSpec::Line(text.into())))
    }

    /// A patient without a fault, changed by `ill`, and what is said of the check `name`.
    #[track_caller]
    fn check(name: &str, ill: impl FnOnce(&mut Patient<'_>), state: State, text: &str, fix: Option<&str>) -> bool {
        let home = Home::new(&std::panic::Location::caller().line().to_string());
        let (server, state_dir, ledger) = (up(), home.0.join("state"), home.0.join("state/ledger"));
        let cloud = no_cloud();
        let mut patient = Patient {
            server: &server,
            restart_cmd: None,
            config_file: Path::new("/home/u/.config/mux/mux.yaml"),
            config_notes: &[],
            ledger: &ledger,
            state_dir: &state_dir,
            unfinished: &[],
            later: &[],
            cloud: &cloud,
            probes: &[],
            hosts: &[],
            local_only: false,
            path: Some(OsStr::new(PATH)),
            cwd: Path::new("/"),
        };
        ill(&mut patient);
        let report = examine(&patient, &mut |host, _port| {
            assert!(!patient.local_only, "{host} was contacted");
            if host == "up.invalid" { Ok(()) } else { Err(format!("asked for {host}")) }
        });
        let found = report.checks.iter().find(|check| check.name == name).unwrap();
        let here = |text: &str| text.replace(&*home.0.to_string_lossy(), "~");
        let seen = (found.state, here(&found.text), found.fix.as_deref().map(here));
        assert_eq!(seen, (state, text.into(), fix.map(String::from)));
        assert!(report.checks.iter().all(|check| check.state != State::Fail || check.fix.is_some()));
        report.usable
    }

    #[test]
    fn a_server_that_is_up_is_enough() {
        let text = "http://127.0.0.1:1/v1 answers with `m`, window of 8192 tokens";
        assert!(check("server", |_| {}, State::Ok, text, None));
    }

    #[test]
    fn a_server_that_is_down_comes_with_the_command_that_starts_one() {
        let text = "http://127.0.0.1:1/v1 is down: refused";
        let ollama = "http://127.0.0.1:11434/v1";
        let found = format!("{text}; found `{ollama}`");
        let fix = "export MUX_PROVIDERS_LOCAL_BASE_URL=http://127.0.0.1:11434/v1";
        assert!(!check(
            "server",
            |ill| ill.server = Box::leak(Box::new(down(&[ollama]))),
            State::Fail,
            &found,
            Some(fix)
        ));
        let restart = |ill: &mut Patient<'_>| {
            (ill.server, ill.restart_cmd) = (Box::leak(Box::new(down(&[]))), Some(line("sh up.sh")));
        };
        assert!(!check("server", restart, State::Fail, text, Some("sh up.sh")));
        assert!(!check(
            "server",
            |ill| ill.server = Box::leak(Box::new(down(&[]))),
            State::Fail,
            text,
            Some("./setup.sh --try")
        ));
        for (cause, fix) in [
            (Cause::Loading, "sleep 10; mux doctor"),
            (Cause::Remote, "${EDITOR:-vi} /home/u/.config/mux/mux.yaml"),
            (Cause::Tls, "cargo install --locked --path . --features tls"),
        ] {
            let mut server = down(&[]);
            if let Server::Down { cause: why, .. } = &mut server {
                *why = cause;
            }
            check("server", |ill| ill.server = Box::leak(Box::new(server)), State::Fail, text, Some(fix));
        }
        let other =
            Server::NoModel { base_url: "http://h/v1".into(), why: "no `m`".into(), models: vec!["a b'c".into()] };
        let (text, fix) =
            ("http://h/v1 answers, but has no model for us: no `m`", r"export MUX_PROVIDERS_LOCAL_MODEL='a b'\''c'");
        assert!(!check("server", |ill| ill.server = Box::leak(Box::new(other)), State::Fail, text, Some(fix)));
    }

    #[test]
    fn a_restart_is_read_and_never_run() {
        let pwned = std::env::temp_dir().join(format!("mux-doctor-pwned-{}", std::process::id()));
        let touch: &str = Box::leak(format!("touch {}", pwned.display()).into());
        let edit = Some("${EDITOR:-vi} /home/u/.config/mux/mux.yaml");
        check("restart", |ill| ill.restart_cmd = Some(line(touch)), State::Ok, "/bin/touch is there; not run", None);
        assert!(!pwned.exists());
        let text = "`restart_cmd` is no command: `&` needs a shell";
        check("restart", |ill| ill.restart_cmd = Some(line("serve &")), State::Fail, text, edit);
        let text = "`restart_cmd`: `mux-none` is not a program";
        check("restart", |ill| ill.restart_cmd = Some(line("mux-none")), State::Fail, text, edit);
        check("restart", |_| {}, State::Ok, "no `restart_cmd`: a server that is down stays down", None);
    }

    #[test]
    fn places_that_cannot_be_used_are_found() {
        check("ledger", |_| {}, State::Ok, "~/state/ledger, 1 byte", None);
        check("state", |_| {}, State::Ok, "~/state", None);
        let file = Path::new("/etc/passwd/x");
        let (text, fix) = ("/etc/passwd/x cannot be made", Some("ls -l /etc/passwd"));
        assert!(!check("ledger", |ill| ill.ledger = file, State::Fail, text, fix), "no run can be recorded");
        assert!(!check("state", |ill| ill.state_dir = file, State::Fail, text, fix), "no run can begin");
        let open = |ill: &mut Patient<'_>| {
            fs_err::set_permissions(ill.state_dir, PermissionsExt::from_mode(0o755)).unwrap();
        };
        let text = "~/state is open to others (mode 755)";
        assert!(check("state", open, State::Warn, text, Some("chmod 700 ~/state")));
        let linked = |ill: &mut Patient<'_>| {
            fs_err::remove_file(ill.ledger).unwrap();
            std::os::unix::fs::symlink("/dev/null", ill.ledger).unwrap();
        };
        let fix = Some("mv ~/state/ledger ~/state/ledger.old");
        check("ledger", linked, State::Fail, "~/state/ledger is not a regular file", fix);
        let fresh = |ill: &mut Patient<'_>| fs_err::remove_dir_all(ill.state_dir).unwrap();
        check("ledger", fresh, State::Ok, "~/state/ledger will be made by the first run", None);
    }

    #[test]
    fn a_directory_that_cannot_be_made_comes_with_what_makes_room_for_it() {
        let home = Home::new("room");
        let (closed, quoted) = (home.0.join("state/a/b"), home.0.join("state").display().to_string());
        assert_eq!(making(&closed), format!("chmod u+wx {}", argv::quote(&quoted)));
        assert_eq!(
            making(&home.0.join("state/ledger/x")),
            format!("ls -l {}", argv::quote(&format!("{quoted}/ledger")))
        );
        if !rustix::process::geteuid().is_root() {
            assert_eq!(making(Path::new("/no home/x")), "sudo install -d -m 700 -o \"$(id -u)\" '/no home/x'");
        }
    }

    #[test]
    fn only_what_may_be_contacted_is() {
        let hosts = [("up.invalid".to_string(), 80), ("down.invalid".to_string(), 81)];
        let hosts: &[(String, u16)] = Box::leak(Box::new(hosts));
        let text = "up.invalid:80 accepts connections; code leaves this machine";
        check("host", |ill| ill.hosts = &hosts[..1], State::Ok, text, None);
        let text = "down.invalid:81: asked for down.invalid";
        check("host", |ill| ill.hosts = &hosts[1..], State::Fail, text, Some("curl -v down.invalid:81"));
        let offline = |ill: &mut Patient<'_>| (ill.hosts, ill.local_only) = (&hosts[1..], true);
        check("host", offline, State::Ok, "down.invalid:81 not contacted: local only", None);
    }

    #[test]
    fn the_rest_warns_at_most() {
        let notes = ["ignored `mux.yaml`: not trusted".to_string()];
        let notes: &[String] = Box::leak(Box::new(notes));
        check("config", |ill| ill.config_notes = notes, State::Warn, &notes[0], Some("mux config check"));
        let text = "1 run unfinished: the next run rolls back what a kill left, or records it";
        let unfinished: &[String] = Box::leak(Box::new(["01KAP5".to_string()]));
        check("journal", |ill| ill.unfinished = unfinished, State::Warn, text, Some("mux diff 01KAP5"));
        let text = "1 run unfinished, of a later mux: this one leaves them alone";
        check("journal", |ill| ill.later = unfinished, State::Ok, text, None);
        let text = "not found: needed before a cloud CLI may write files";
        check("git", |ill| ill.path = Some(OsStr::new("/nonexistent")), State::Warn, text, Some(&install("git")));
    }

    /// What is said of a cloud, the local server being down.
    #[track_caller]
    fn check_cloud(name: &str, cloud: Cloud, state: State, text: &str, fix: Option<&str>) -> bool {
        let ill = |ill: &mut Patient<'_>| {
            (ill.server, ill.cloud) = (Box::leak(Box::new(down(&[]))), Box::leak(Box::new(cloud)));
        };
        check(name, ill, state, text, fix)
    }

    #[test]
    fn a_cloud_that_may_be_called_is_enough() {
        let text = "claude /b/claude, version 2.1.330, logged in";
        assert!(check_cloud("cloud", cloud(Login::LoggedIn), State::Ok, text, None));
        let text = "49 of 50 cloud calls left today, 0.25 USD spent, 0.75 USD left";
        assert!(check_cloud("budget", cloud(Login::Unknown), State::Ok, text, None));
        let text = "claude /b/claude, version 2.1.330, not logged in";
        assert!(!check_cloud("cloud", cloud(Login::LoggedOut), State::Warn, text, Some("claude /login")));
        let local = Cloud { local_only: true, ..cloud(Login::LoggedIn) };
        let text = "claude /b/claude, version 2.1.330, logged in; not used: local only";
        assert!(!check_cloud("cloud", local, State::Ok, text, None));
        let mut cold = cloud(Login::LoggedIn);
        cold.tools[0].cooldown = Some(CoolDown { until: Utc(60_000), since: Utc(0), why: "quota".into() });
        let text = "claude /b/claude, version 2.1.330, logged in; left alone until 1970-01-01T00:01:00.000Z (quota)";
        assert!(!check_cloud("cloud", cold, State::Warn, text, Some("mux doctor --deep")));
        let mut none = cloud(Login::Unknown);
        (none.tools[0].path, none.tools[0].version) = (None, None);
        assert!(!check_cloud("cloud", none, State::Ok, "claude not installed", None));
        let broken = "cannot use the budget `/s/budget.json`: EOF\n  hint: nothing is spent until it is gone: rm '/s/budget.json'";
        let broken = Cloud { left: Err(broken.to_string()), ..cloud(Login::LoggedIn) };
        let text = "cannot use the budget `/s/budget.json`: EOF";
        assert!(!check_cloud("budget", broken, State::Warn, text, Some("rm '/s/budget.json'")));
    }

    /// A patient without a local server whose claude is logged in and was called, and what is said of that.
    #[track_caller]
    fn check_deep(end: End, state: State, text: &str, fix: Option<&str>) -> bool {
        let probes: &[Probe] = Box::leak(Box::new([Probe { provider: "claude".into(), end }]));
        let cloud: &Cloud = Box::leak(Box::new(cloud(Login::LoggedIn)));
        let server = Box::leak(Box::new(down(&[])));
        check("deep", |ill| (ill.server, ill.cloud, ill.probes) = (server, cloud, probes), state, text, fix)
    }

    #[test]
    fn a_call_knows_better_than_a_login() {
        let answered = |usd| End::Answered { model: "m".into(), took: Duration::from_millis(1250), usd };
        let text = "claude answered in 1.2 s with `m`, 0.0100 USD";
        assert!(check_deep(answered(Some(0.01)), State::Ok, text, None));
        assert!(check_deep(answered(None), State::Ok, "claude answered in 1.2 s with `m`, cost unknown", None));
        let failed = |class: CloudClass| End::Failed { class, why: "no".into() };
        assert!(!check_deep(failed(CloudClass::Auth), State::Fail, "claude: no", Some("claude /login")));
        let edit = Some("${EDITOR:-vi} /home/u/.config/mux/mux.yaml");
        assert!(!check_deep(failed(CloudClass::ModelMissing), State::Fail, "claude: no", edit));
        assert!(!check_deep(failed(CloudClass::Network), State::Fail, "claude: no", Some("claude")));
        let unasked = End::NotCalled { why: "you said no".into() };
        assert!(check_deep(unasked, State::Warn, "claude was not called: you said no", None));
    }
}
