//! The cloud CLIs of this machine: where they are, which version, logged in or not, left alone until when, and what may
//! still be spent on them. [`known`] starts no process and takes what was learned before; [`ask`] asks each program
//! that is there, all at once, without spending anything.

use crate::engine::run::House;
use crate::rules::config::Config;
use crate::sys::proc::{self, Exit, Spawn};
use crate::sys::state::budget::{Budget, Left};
use crate::sys::state::cooldown::{CoolDown, CoolDowns};
use crate::sys::state::tools::{self, All, Known, Login, Tools};
use crate::words::count::Count;
use crate::words::env::Env;
use crate::words::stop::Stop;
use serde::Serialize;
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a program may take to answer: gemini takes 7 s for its version, twice that on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// More of an answer is not read.
const KEEP: usize = 64 << 10;
/// What a session of a CLI leaves in the environment of its children: with it they believe to be inside one.
const SESSION_MARKS: [&str; 6] = [
    "CLAUDECODE",
    "CLAUDE_CODE_CHILD_SESSION",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_SESSION_ID",
    "CODEX_CI",
    "GEMINI_CLI",
];

/// All of them, and the budget that they share.
#[derive(Clone, Debug, PartialEq)]
pub struct Cloud {
    /// In the order of the configuration.
    pub tools: Vec<Installed>,
    /// What is left today, or why nobody knows.
    pub left: Result<Left, String>,
    pub local_only: bool,
}

/// One cloud CLI.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Installed {
    pub name: String,
    /// `None`: not installed.
    pub path: Option<PathBuf>,
    /// As it says itself; `None` while it was not asked.
    pub version: Option<String>,
    pub login: Login,
    pub cooldown: Option<CoolDown>,
}

impl Cloud {
    /// Whether a provider could be called now.
    pub fn is_open(&self) -> bool {
        let has_calls = self.left.as_ref().is_ok_and(|left| left.calls > 0 && left.usd.is_none_or(|usd| usd > 0.0));
        !self.local_only && has_calls && self.tools.iter().any(Installed::is_ready)
    }
}

impl Installed {
    fn is_ready(&self) -> bool {
        self.path.is_some() && self.cooldown.is_none() && self.login != Login::LoggedOut
    }

    /// Returns what there is to say, on one line but for control characters of others.
    pub fn words(&self) -> String {
        let Some(path) = &self.path else { return format!("{} not installed", self.name) };
        let version =
            self.version.as_ref().map_or_else(|| "version not asked".into(), |text| format!("version {text}"));
        let login = match self.login {
            Login::LoggedIn => "logged in",
            Login::LoggedOut => "not logged in",
            Login::Unknown => "login unknown",
        };
        let cool = self
            .cooldown
            .as_ref()
            .map_or_else(String::new, |cool| format!("; left alone until {} ({})", cool.until, cool.why));
        format!("{} {}, {version}, {login}{cool}", self.name, path.display())
    }
}

/// Returns what is left of a budget, in words.
pub fn left_words(left: &Left) -> String {
    let usd = left.usd.map_or_else(|| "no limit in dollars".to_string(), |usd| format!("{usd:.2} USD left"));
    let all = Count::of(left.max_calls, "cloud call");
    format!("{} of {all} left today, {:.2} USD spent, {usd}", left.calls, left.spent_usd)
}

/// Returns what is known without asking.
pub fn known(house: &House<'_>, config: &Config) -> Cloud {
    let known = Tools::below(house.state.dir()).known();
    assemble(house, config, &known)
}

/// Asks each program and remembers what it says. Under `local_only` no cloud program is started, not even for this.
pub fn ask(house: &House<'_>, config: &Config, stop: &Stop) -> Cloud {
    let store = Tools::below(house.state.dir());
    let mut known = store.known();
    if !config.privacy.local_only {
        let stop = &stop.until(Instant::now() + PATIENCE);
        let said = question_all(house.env, config, &known, stop);
        // Without a state directory there is no place to remember: the first run makes it.
        if house.state.dir().is_dir() {
            let _ = store.remember(said.clone(), stop);
        }
        known.extend(said);
    }
    assemble(house, config, &known)
}

/// Returns the same programs with what a call may have changed: who is left alone, and what is left of the budget.
pub fn again(house: &House<'_>, config: &Config, mut cloud: Cloud) -> Cloud {
    let mut cooling = CoolDowns::below(house.state.dir()).active(house.env.now);
    for tool in &mut cloud.tools {
        tool.cooldown = cooling.remove(&tool.name);
    }
    Cloud { left: left(house, config), ..cloud }
}

fn left(house: &House<'_>, config: &Config) -> Result<Left, String> {
    let left = Budget::below(house.state.dir()).left(&config.budget, &house.env.now.day());
    left.map_err(|error| error.to_string())
}

fn assemble(house: &House<'_>, config: &Config, known: &All) -> Cloud {
    let cooling = CoolDowns::below(house.state.dir()).active(house.env.now);
    let tool = |(name, tool): &(String, crate::rules::config::Tool)| {
        let path = find(house.env, &tool.binary);
        let stamp = path.as_deref().and_then(tools::stamp);
        let known = path.as_ref().and_then(|path| known.get(path)).filter(|known| Some(known.stamp) == stamp);
        let login =
            if name == "gemini" { gemini_login(house.env) } else { known.map_or(Login::Unknown, |known| known.login) };
        Installed {
            name: name.clone(),
            version: known.and_then(|known| known.version.clone()),
            login,
            cooldown: cooling.get(name).cloned(),
            path,
        }
    };
    Cloud {
        tools: config.providers.sota_cli.tools.0.iter().map(tool).collect(),
        left: left(house, config),
        local_only: config.privacy.local_only,
    }
}

fn find(env: &Env, binary: &str) -> Option<PathBuf> {
    proc::which(OsStr::new(binary), env.var("PATH"), env.cwd.as_deref().unwrap_or(Path::new("/")))
}

/// Asks all programs at the same time.
fn question_all(env: &Env, config: &Config, before: &All, stop: &Stop) -> All {
    std::thread::scope(|scope| {
        let tools = config.providers.sota_cli.tools.0.iter();
        let found = tools.filter_map(|(name, tool)| Some((name, find(env, &tool.binary)?)));
        let ask = |(name, path): (&'_ String, PathBuf)| {
            let name = name.clone();
            scope.spawn(move || Some((path.clone(), question(env, config, &name, &path, before.get(&path), stop)?)))
        };
        let asked: Vec<_> = found.map(ask).collect();
        asked.into_iter().filter_map(|thread| thread.join().ok().flatten()).collect()
    })
}

/// Asks one program. Its version only when the file is not the one that was asked before.
fn question(env: &Env, config: &Config, name: &str, path: &Path, before: Option<&Known>, stop: &Stop) -> Option<Known> {
    let stamp = tools::stamp(path)?;
    let known = before.filter(|known| known.stamp == stamp).and_then(|known| known.version.clone());
    let version = known.or_else(|| version(&answer(env, config, path, &["--version"], stop)?.1));
    // Contracts §4: both say it from their own files, without a request.
    let login = match name {
        "claude" => answer(env, config, path, &["auth", "status"], stop).map(|(code, text)| claude_login(code, &text)),
        // `codex exec` takes this variable without any login.
        "codex" if env.var("CODEX_API_KEY").is_some() => Some(Login::LoggedIn),
        "codex" => match answer(env, config, path, &["login", "status"], stop).map(|(code, _)| by_exit(code)) {
            Some(Login::LoggedOut) if has_own_service(env) => Some(Login::Unknown),
            login => login,
        },
        _ => None,
    };
    Some(Known { stamp, version, login: login.unwrap_or(Login::Unknown), asked: env.now })
}

/// Returns exit code and standard output of a program that ended by itself.
fn answer(env: &Env, config: &Config, path: &Path, args: &[&str], stop: &Stop) -> Option<(i32, String)> {
    let key = &config.providers.local.api_key_env;
    let keeps = |name: &str| {
        !name.starts_with("LD_") && !name.starts_with("DYLD_") && !SESSION_MARKS.contains(&name) && name != key.as_str()
    };
    let spawn = Spawn {
        program: path.to_path_buf(),
        args: args.iter().map(OsString::from).collect(),
        // Not the work directory: its settings are none of this question's business, and they may name hooks.
        cwd: env.home().unwrap_or(Path::new("/")).to_path_buf(),
        env: proc::environment(&env.vars, &keeps),
        stdin: None,
        keep: KEEP,
        silence: None,
        lost: None,
        writes: None,
        marker: format!("doctor-{}", path.display()).replace(':', "_"),
    };
    let ran = proc::run(&spawn, stop, &mut |_| {});
    match ran.exit {
        Exit::Code(code) => Some((code, ran.stdout.text())),
        Exit::Signal(_) | Exit::TimedOut | Exit::Silent | Exit::Lost | Exit::Stopped(_) | Exit::NotStarted(_) => None,
    }
}

/// Finds the number in `2.1.330 (Claude Code)`, `codex-cli 0.169.0`, `0.61.0`.
fn version(text: &str) -> Option<String> {
    let words = text.split_ascii_whitespace().map(|word| word.trim_start_matches('v'));
    let mut numbers = words.filter(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
    numbers.next().map(|number| number.chars().take(40).collect())
}

fn claude_login(code: i32, text: &str) -> Login {
    let said =
        serde_json::from_slice::<Value>(text.as_bytes()).ok().and_then(|status| status.get("loggedIn")?.as_bool());
    match said {
        Some(true) => Login::LoggedIn,
        Some(false) => Login::LoggedOut,
        None => by_exit(code),
    }
}

/// Versions without the question print their usage and exit with 2 or more.
fn by_exit(code: i32) -> Login {
    match code {
        0 => Login::LoggedIn,
        1 => Login::LoggedOut,
        _ => Login::Unknown,
    }
}

/// `codex login status` speaks of `OpenAI`'s service alone, and says "not logged in" where codex is set to another one
/// whose key is in a variable (measured).
fn has_own_service(env: &Env) -> bool {
    let home = env.var("CODEX_HOME").map(PathBuf::from).or_else(|| Some(env.home()?.join(".codex")));
    let settings = home.and_then(|home| fs_err::read_to_string(home.join("config.toml")).ok()).unwrap_or_default();
    settings.lines().any(|line| line.split_once('=').is_some_and(|(key, _)| key.trim() == "model_provider"))
}

/// gemini has no question for it: a key variable, or the kind of login that its settings name.
fn gemini_login(env: &Env) -> Login {
    if ["GEMINI_API_KEY", "GOOGLE_API_KEY"].iter().any(|name| env.var(name).is_some()) {
        return Login::LoggedIn;
    }
    let Some(dir) = env.home().map(|home| home.join(".gemini")) else { return Login::Unknown };
    let settings = fs_err::read(dir.join("settings.json")).unwrap_or_default();
    let settings: Value = serde_json::from_slice(&settings).unwrap_or_default();
    match settings.pointer("/security/auth/selectedType").and_then(Value::as_str) {
        Some("oauth-personal") if dir.join("oauth_creds.json").is_file() => Login::LoggedIn,
        // A key that the settings want and no variable holds may stand in a file that gemini alone reads.
        Some("oauth-personal") | None => Login::LoggedOut,
        Some(_) => Login::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::state::State;
    use crate::words::time::Utc;
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;

    const NOW: Utc = Utc(1_795_402_440_000);

    /// A home with programs that are what they are: shell scripts that count their calls.
    struct Home {
        dir: PathBuf,
        env: Env,
        state: State,
        config: Config,
    }

    impl Home {
        fn new() -> Home {
            let dir = std::env::temp_dir().join(format!("mux-tools-{}", crate::sys::state::new_run_id(NOW)));
            fs_err::create_dir_all(dir.join("bin")).unwrap();
            let path = format!("{}:/usr/bin:/bin", dir.join("bin").display());
            let home = dir.to_str().unwrap();
            let vars: BTreeMap<OsString, OsString> = [("PATH", path.as_str()), ("HOME", home), ("CLAUDECODE", "1")]
                .map(|(name, value)| (name.into(), value.into()))
                .into();
            let env = Env { vars, cwd: None, now: NOW };
            let state = State::locate(&env).unwrap();
            state.make().unwrap();
            Home { dir, env, state, config: Config::default() }
        }

        fn program(&self, name: &str, script: &str) {
            let path = self.dir.join("bin").join(name);
            let calls = self.dir.join("calls");
            fs_err::write(&path, format!("#!/bin/sh\necho \"{name} $*\" >>'{}'\n{script}\n", calls.display())).unwrap();
            fs_err::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }

        fn calls(&self) -> Vec<String> {
            let text = fs_err::read_to_string(self.dir.join("calls")).unwrap_or_default();
            let _ = fs_err::remove_file(self.dir.join("calls"));
            let mut calls: Vec<_> = text.lines().map(str::to_string).collect();
            calls.sort();
            calls
        }

        fn house(&self) -> House<'_> {
            House { env: &self.env, state: &self.state, config_file: None }
        }

        fn ask(&self) -> Cloud {
            ask(&self.house(), &self.config, &Stop::at(Instant::now() + Duration::from_mins(1)))
        }

        /// What is said of each, without the directory of the test.
        fn words(&self, cloud: &Cloud) -> Vec<String> {
            cloud.tools.iter().map(|tool| tool.words().replace(self.dir.to_str().unwrap(), "~")).collect()
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            let _ = fs_err::remove_dir_all(&self.dir);
        }
    }

    #[test]
    fn each_is_asked_once_for_its_version_and_status_takes_what_is_known() {
        let home = Home::new();
        let claude = "[ -z \"$CLAUDECODE$GIT_DIR\" ] || exit 9
            case $1 in --version) echo '2.1.330 (Claude Code)';; auth) echo '{\"loggedIn\": true}';; esac";
        home.program("claude", claude);
        home.program(
            "codex",
            "case $1 in --version) echo 'codex-cli 0.169.0';; login) echo 'Not logged in' >&2; exit 1;; esac",
        );
        let asked = home.ask();
        let expected = [
            "claude ~/bin/claude, version 2.1.330, logged in",
            "codex ~/bin/codex, version 0.169.0, not logged in",
            "gemini not installed",
        ];
        assert_eq!(home.words(&asked), expected);
        assert!(asked.is_open());
        assert_eq!(home.calls(), ["claude --version", "claude auth status", "codex --version", "codex login status"]);
        assert_eq!(known(&home.house(), &home.config), asked);
        assert_eq!(home.calls(), [""; 0], "status starts nothing");
        home.ask();
        assert_eq!(home.calls(), ["claude auth status", "codex login status"], "the versions are known");
        // Another build is asked again, and until then nothing is said of it.
        home.program("codex", "case $1 in --version) echo 0.170.0;; login) exit 0;; esac # longer");
        assert_eq!(
            home.words(&known(&home.house(), &home.config))[1],
            "codex ~/bin/codex, version not asked, login unknown"
        );
        assert_eq!(home.words(&home.ask())[1], "codex ~/bin/codex, version 0.170.0, logged in");
    }

    #[test]
    fn codex_with_a_service_of_its_own_is_not_known_to_be_logged_out() {
        let home = Home::new();
        home.program("codex", "case $1 in --version) echo 0.169.0;; login) exit 1;; esac");
        assert_eq!(home.words(&home.ask())[1], "codex ~/bin/codex, version 0.169.0, not logged in");
        fs_err::create_dir(home.dir.join(".codex")).unwrap();
        fs_err::write(home.dir.join(".codex/config.toml"), "model = \"m\"\nmodel_provider = \"own\"\n").unwrap();
        assert_eq!(home.words(&home.ask())[1], "codex ~/bin/codex, version 0.169.0, login unknown");
    }

    #[test]
    fn local_only_starts_no_cloud_program() {
        let mut home = Home::new();
        home.program("claude", "echo 1.0");
        home.config.privacy.local_only = true;
        let cloud = home.ask();
        assert_eq!(home.words(&cloud)[0], "claude ~/bin/claude, version not asked, login unknown");
        assert_eq!((home.calls(), cloud.is_open()), (Vec::new(), false));
    }

    #[test]
    fn a_program_that_says_nonsense_is_there_all_the_same() {
        let home = Home::new();
        home.program("claude", "kill -9 $$");
        home.program("codex", "head -c 300000 /dev/zero; exit 3");
        home.program("gemini", "echo oops >&2; exit 1");
        let expected = [
            "claude ~/bin/claude, version not asked, login unknown",
            "codex ~/bin/codex, version not asked, login unknown",
            "gemini ~/bin/gemini, version not asked, not logged in",
        ];
        assert_eq!(home.words(&home.ask()), expected);
    }

    #[test]
    fn cool_downs_and_spent_budgets_close_the_cloud() {
        let mut home = Home::new();
        home.program("codex", "echo 0.169.0");
        assert!(home.ask().is_open());
        let stop = Stop::at(Instant::now() + Duration::from_mins(1));
        let cool = CoolDowns::below(home.state.dir());
        cool.start("codex", Utc(NOW.0 + 60_000), "quota", NOW, &stop).unwrap();
        let cloud = known(&home.house(), &home.config);
        let words = "codex ~/bin/codex, version 0.169.0, logged in; left alone until 2026-11-23T02:55:00.000Z (quota)";
        assert_eq!((home.words(&cloud)[1].as_str(), cloud.is_open()), (words, false));
        cool.end("codex", NOW, &stop).unwrap();
        home.config.budget.max_cloud_calls_per_day = 0;
        let cloud = known(&home.house(), &home.config);
        let words = "0 of 0 cloud calls left today, 0.00 USD spent, no limit in dollars";
        assert_eq!((left_words(&cloud.left.clone().unwrap()).as_str(), cloud.is_open()), (words, false));
    }

    #[test]
    fn gemini_is_judged_by_its_variable_and_its_settings() {
        let mut home = Home::new();
        assert_eq!(gemini_login(&home.env), Login::LoggedOut);
        fs_err::create_dir(home.dir.join(".gemini")).unwrap();
        let settings = |kind: &str| {
            let text = format!("{{\"security\":{{\"auth\":{{\"selectedType\":\"{kind}\"}}}}}}");
            fs_err::write(home.dir.join(".gemini/settings.json"), text).unwrap();
            gemini_login(&home.env)
        };
        assert_eq!([settings("oauth-personal"), settings("gemini-api-key")], [Login::LoggedOut, Login::Unknown]);
        fs_err::write(home.dir.join(".gemini/oauth_creds.json"), "{}").unwrap();
        assert_eq!(settings("oauth-personal"), Login::LoggedIn);
        fs_err::remove_dir_all(home.dir.join(".gemini")).unwrap();
        home.env.vars.insert("GEMINI_API_KEY".into(), "x".into());
        assert_eq!(gemini_login(&home.env), Login::LoggedIn);
    }
}
