//! From the configuration to a local model that answers: find it, start it again if allowed, or say what is wrong.

use crate::engine::attempt::ask::{Line, LocalModel};
use crate::engine::attempt::leaving::Leaving;
use crate::engine::attempt::pacing::Pacing;
use crate::engine::confine;
use crate::engine::run::House;
use crate::rules::argv;
use crate::rules::config::{CommandSpec, Config};
use crate::sys::chat::Bounds;
use crate::sys::config_files::Effective;
use crate::sys::http::{self, Http, Reach};
use crate::sys::lane;
use crate::sys::proc::{self, Exit, Launched, Spawn};
use crate::sys::servers::{self, Found, IsDefault, Wanted};
use crate::sys::state::cooldown::{CoolDown, CoolDowns};
use crate::words::env::Env;
use crate::words::event::{Event, Watcher};
use crate::words::record::RuntimeStatus;
use crate::words::server::{Secret, Server};
use crate::words::stop::Stop;
use crate::words::task::{Failure, Kind};
use crate::words::time::Utc;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long one question about health may take, once connected.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a hook leaves a server alone that kept it waiting and said nothing.
const SILENCE_MS: u64 = 10 * 60_000;

/// How long looking at the known ports may take, all together.
pub const DETECT: Duration = Duration::from_millis(200);

/// The local model of a run, or why there is none.
pub struct Connected {
    pub model: Option<LocalModel>,
    pub status: RuntimeStatus,
    /// The model that the configuration names, for the record of a run without one.
    pub configured: String,
    /// Why there is none.
    pub why: Option<Failure>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Connected {
    /// Returns the address of the server, where it is another machine.
    pub fn remote(&self) -> Option<&str> {
        self.model.as_ref().map(|model| model.server.base_url.as_str()).filter(|url| http::is_remote(url))
    }

    /// Returns the model that answers, else the one that was configured.
    pub fn model_name(&self) -> &str {
        self.model.as_ref().map_or(&self.configured, |model| &model.server.model)
    }
}

/// Returns the one agent of a run: what it may reach is decided here, from the configuration.
pub fn agent(config: &Config) -> Http {
    let local = &config.providers.local;
    Http::new(
        Reach { allow_remote: local.allow_remote, local_only: config.privacy.local_only },
        local.connect_timeout_sec,
    )
    .trusting(&local.ca_file)
}

/// Returns the key for the local server, from the variable that the configuration names.
pub fn key(env: &Env, config: &Config) -> Option<Secret> {
    env.text(&config.providers.local.api_key_env).and_then(Secret::new)
}

/// Returns what to look for, as plain values.
pub fn wanted<'a>(settings: &'a Effective, key: Option<&'a Secret>) -> Wanted<'a> {
    let local = &settings.config.providers.local;
    Wanted {
        base_urls: &local.base_url,
        model: &local.model,
        key,
        health_url: &settings.config.local_runtime.health_url,
        is_default: IsDefault {
            base_url: settings.is_default("providers.local.base_url"),
            model: settings.is_default("providers.local.model"),
            health_url: settings.is_default("local_runtime.health_url"),
        },
        auto_detect: local.auto_detect,
        timeout: HEALTH_TIMEOUT,
        loading: local.first_token_timeout_sec,
    }
}

/// The servers of the configuration as hooks leave them alone, where one has kept a commit waiting for nothing.
pub struct Silent {
    cool_downs: CoolDowns,
    name: String,
    now: Utc,
}

impl Silent {
    pub fn of(house: &House<'_>, config: &Config) -> Silent {
        let name = format!("local {}", config.providers.local.base_url.join(" "));
        Silent { cool_downs: CoolDowns::below(house.state.dir()), name, now: house.env.now }
    }

    /// Returns until when they are left alone, where they are.
    pub fn known(&self) -> Option<CoolDown> {
        self.cool_downs.active(self.now).remove(&self.name)
    }

    /// Leaves them alone. Returns until when; `None` where that cannot be remembered, so that the next hook waits again.
    pub fn begin(&self, why: &Failure, stop: &Stop) -> Option<Utc> {
        let until = Utc(self.now.0.saturating_add(SILENCE_MS));
        self.cool_downs.start(&self.name, until, &why.to_string(), self.now, stop).ok().map(|()| until)
    }

    /// They have answered somebody.
    pub fn end(&self, stop: &Stop) {
        // What cannot be written ends by itself.
        let _ = self.cool_downs.end(&self.name, self.now, stop);
    }
}

/// Finds the model. A server that is down is started once, if the configuration says how.
pub fn connect(
    house: &House<'_>,
    settings: &Effective,
    kind: Kind,
    run_id: &str,
    stop: &Stop,
    watcher: &mut dyn Watcher,
) -> Connected {
    let config = &settings.config;
    let (http, key) = (agent(config), key(house.env, config));
    let wanted = wanted(settings, key.as_ref());
    let mut status = RuntimeStatus::Up;
    let mut is_loading = false;
    let mut found = servers::search(&http, &wanted, stop).map_err(|missing| {
        is_loading = missing.is_loading;
        missing.failure
    });
    if let (Err(Failure::Down { .. }), Some(command)) = (&found, &config.local_runtime.restart_cmd) {
        match restart(house, command, config, run_id) {
            Ok(launched) => {
                let what = if launched.is_some() { "starting it with" } else { "another run has just started it with" };
                watcher.event(&Event::Note(&format!("the model server is down; {what} `local_runtime.restart_cmd`")));
                found = wait_for(&http, &wanted, config, launched, stop);
                status = RuntimeStatus::Restarted;
            }
            Err(why) => watcher.event(&Event::Note(&format!("the model server is down and was not restarted: {why}"))),
        }
    }
    let configured = config.providers.local.model.clone();
    match found {
        Ok(found) => {
            let server = found.server;
            Silent::of(house, config).end(stop);
            if found.is_adopted {
                watcher.event(&Event::Note(&format!("found {} with the model {}", server.base_url, server.model)));
            }
            if http::is_remote(&server.base_url) {
                watcher
                    .event(&Event::Note(&format!("code leaves this machine: the model server is {}", server.base_url)));
            }
            let model = model_of(house, config, http, server, Some(kind), run_id);
            Connected { model: Some(model), status, configured, why: None, hint: None }
        }
        Err(why) => {
            let ports: &[u16] = if config.providers.local.auto_detect { &servers::PORTS } else { &[] };
            let elsewhere = servers::detect(&http, ports, DETECT, stop);
            let elsewhere = elsewhere.iter().find(|server| !config.providers.local.base_url.contains(&server.base_url));
            let remote = config.providers.local.base_url.iter().find(|url| http::is_remote(url));
            let hint = match elsewhere {
                _ if remote.is_some() && !config.providers.local.allow_remote => {
                    "if code may leave this machine: set `providers.local.allow_remote: true`".to_string()
                }
                _ if is_loading => "the model server is loading its model: wait for it, or raise \
                     `providers.local.first_token_timeout_sec` in mux.yaml"
                    .to_string(),
                Some(server) => {
                    format!(
                        "a server answers at {}: export MUX_PROVIDERS_LOCAL_BASE_URL={}",
                        server.base_url, server.base_url
                    )
                }
                None => "`mux doctor` says how to start a model server".to_string(),
            };
            Connected { model: None, status: RuntimeStatus::Down, configured, why: Some(why), hint: Some(hint) }
        }
    }
}

/// Finds the model that answers now: nothing is started, and a server that loads its model is not waited for.
///
/// # Errors
/// Why there is none.
pub fn glance(house: &House<'_>, settings: &Effective, run_id: &str, stop: &Stop) -> Result<LocalModel, Failure> {
    let (http, key) = (agent(&settings.config), key(house.env, &settings.config));
    let wanted = Wanted { loading: Duration::ZERO, ..wanted(settings, key.as_ref()) };
    let found = servers::find(&http, &wanted, stop)?;
    // A hook asks in its own way and keeps its own time: the pace of tasks is no matter of it.
    Ok(model_of(house, &settings.config, http, found.server, None, run_id))
}

fn model_of(
    house: &House<'_>,
    config: &Config,
    http: Http,
    server: Server,
    kind: Option<Kind>,
    run_id: &str,
) -> LocalModel {
    let local = &config.providers.local;
    let bounds = Bounds {
        first_token: local.first_token_timeout_sec,
        idle: local.idle_timeout_sec,
        reply: usize::try_from(local.max_reply_bytes).unwrap_or(usize::MAX),
    };
    let line = Line { lanes: house.state.lanes(), parallel: local.parallel as usize };
    let pacing = Pacing::of(house, kind, &server);
    let leaving = Leaving::to(&server.base_url, house.state.dir(), run_id, house.env.now);
    LocalModel::new(http, server, bounds, line, pacing, leaving)
}

/// Asks again, as often as the configuration says. A server that answers "loading" is waited for longer, by `find`.
/// A command that has failed is not waited for.
fn wait_for(
    http: &Http,
    wanted: &Wanted<'_>,
    config: &Config,
    mut launched: Option<Launched>,
    stop: &Stop,
) -> Result<Found, Failure> {
    let mut found = Err(Failure::Down { why: "it was not asked again".into() });
    for _ in 0..config.local_runtime.health_retries.max(1) {
        let called_off = stop.sleep(config.local_runtime.health_retry_delay_sec).is_some();
        found = servers::find(http, wanted, stop);
        match launched.as_mut().and_then(Launched::ended) {
            Some(Exit::Code(code @ 1..)) if found.is_err() => {
                return Err(Failure::Down { why: format!("`local_runtime.restart_cmd` ended with {code}") });
            }
            Some(_) | None if found.is_ok() || called_off => break,
            Some(_) | None => {}
        }
    }
    found
}

/// Starts the server, at most once in five minutes over all processes. `None`: another process has just done it.
fn restart(
    house: &House<'_>,
    command: &CommandSpec,
    config: &Config,
    run_id: &str,
) -> Result<Option<Launched>, String> {
    let key = config.providers.local.api_key_env.as_str();
    let hold = confine::restart(&config.verification, house.env).map_err(|error| error.what.clone())?;
    let argv = argv::of(command).map_err(|fault| format!("`restart_cmd` is no command: {fault}"))?;
    // A name with a slash is meant from the home: where mux is called from must not decide what is run.
    let home = house.env.home().unwrap_or(Path::new("/"));
    let name = argv.first().map_or("", String::as_str);
    let Some(program) = proc::which(OsStr::new(name), house.env.var("PATH"), home) else {
        return Err(format!("`{name}` is not a program"));
    };
    if !lane::claim_restart(&house.state.lanes(), house.env.now.0) {
        return Ok(None);
    }
    let spawn = Spawn {
        program,
        args: argv.iter().skip(1).map(OsString::from).collect(),
        cwd: home.to_path_buf(),
        // The server's key is for mux's own calls. A server that wants it has a file or a command line of its own.
        env: proc::environment(&house.env.vars, &|name| name != key),
        stdin: None,
        keep: 0,
        silence: None,
        lost: None,
        writes: hold.places().map(<[PathBuf]>::to_vec),
        marker: run_id.to_string(),
    };
    proc::launch(&spawn, None).map(Some).map_err(|error| format!("cannot start `{name}`: {error}"))
}
