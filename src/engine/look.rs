//! A look at the house without touching it: what `status` and `doctor` say about the model server, the ledger, the cloud
//! CLIs and what killed runs have left. Only [`examine`] starts children, to ask the CLIs, and remembers what they and the
//! server say; else no file is made or changed. Only a deep examination calls a provider.

use crate::engine::doctor::{self, Cause, Patient, Report, Server};
use crate::engine::run::House;
use crate::engine::{connect, finish, heal, installed, probe};
use crate::rules::config::Config;
use crate::rules::recalled::Reader;
use crate::rules::stats::Row;
use crate::sys::config_files::{self, Effective};
use crate::sys::http;
use crate::sys::ledger::{Found, Ledger};
use crate::sys::servers::{self, Missing, Wanted};
use crate::words::error::{Error, Kind};
use crate::words::event::Watcher;
use crate::words::record::RunRecord;
use crate::words::stop::Stop;
use crate::words::task::Failure;
use crate::words::time::Utc;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// How long each question of a look may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Settings, ledger and what was left unfinished.
pub struct Look {
    pub settings: Effective,
    pub ledger: Ledger,
    /// Ids of runs whose journal was left open by a kill.
    pub unfinished: Vec<String>,
    /// Names of journals and snapshots that a later mux has written: they are left alone.
    pub later: Vec<String>,
}

/// Reads settings and state.
///
/// # Errors
/// `Config`; `Io` where the journals cannot be read.
pub fn look(house: &House<'_>, project: Option<&Path>) -> Result<Look, Error> {
    let settings = config_files::load(house.env, house.config_file, project, house.state.dir())?;
    let ledger = finish::ledger(house.state, &settings.config);
    let (later, unfinished): (Vec<_>, Vec<_>) =
        heal::report(&house.state.runs())?.into_iter().partition(|left| left.state == heal::State::Unreadable);
    let ids = |left: Vec<heal::Leavings>| left.into_iter().map(|left| left.run_id).collect();
    Ok(Look { settings, ledger, unfinished: ids(unfinished), later: ids(later) })
}

/// Returns the ledger line of the run whose id begins with `id`.
///
/// # Errors
/// `Usage` for an id that is unknown, or that several runs begin with; `Io`.
pub fn find(ledger: &Ledger, id: &str) -> Result<String, Error> {
    match ledger.find(id)? {
        Found::One(line) => Ok(line),
        Found::Several(ids) => {
            let error = Error::new(Kind::Usage, format!("`{id}` is the beginning of several run ids"));
            Err(error.hint(format!("the newest of them: {}", ids.join(", "))))
        }
        Found::Nothing => {
            Err(Error::new(Kind::Usage, format!("unknown run id `{id}`")).hint("`mux log` lists the recent ones"))
        }
    }
}

/// Goes through all runs since a moment, newest first, as far as a replay needs them: `None` is one that this version cannot
/// read. With each comes whether an undo that stands took it back; undos themselves are no runs. Returns whether older ones
/// were left unread.
///
/// # Errors
/// As [`Ledger::lines`].
pub fn runs(
    ledger: &Ledger,
    since: Option<Utc>,
    each: &mut dyn FnMut(Option<&RunRecord>, bool),
) -> Result<bool, Error> {
    let (mut reader, mut undone) = (Reader::default(), BTreeSet::new());
    ledger.lines(&mut |line| match reader.read(line) {
        // Git hooks are no runs.
        Some(record) if record.hook.is_some() => {}
        Some(record) => match &record.undoes {
            // An undo comes before the run that it took back, and one that was undone itself counts for none.
            Some(_) if undone.contains(&record.run_id) => {}
            Some(taken_back) => drop(undone.insert(taken_back.clone())),
            None if since.is_none_or(|since| Utc::parse(&record.timestamp).is_some_and(|time| time >= since)) => {
                each(Some(record), undone.contains(&record.run_id));
            }
            None => {}
        },
        // What is no record at all, a torn end of a line, was no run.
        None if Row::parse(line).is_some() => each(None, false),
        None => {}
    })
}

/// Returns the id of the newest run that `fits`, for who names none.
///
/// # Errors
/// `Usage` where there is none; `Io`.
pub fn last(ledger: &Ledger, fits: &mut dyn FnMut(&Row) -> bool) -> Result<String, Error> {
    let mut found = None;
    ledger.recent(usize::MAX, &mut |row| {
        found = fits(row).then(|| row.run_id.to_string());
        found.is_none()
    })?;
    let none = || Error::new(Kind::Usage, "there is no such run yet").hint("`mux log` lists all; give the id of one");
    found.ok_or_else(none)
}

/// Asks the model server how it is. `window`: also how much fits.
pub fn server(house: &House<'_>, settings: &Effective, window: bool, stop: &Stop) -> Server {
    let config = &settings.config;
    let (http, key) = (connect::agent(config), connect::key(house.env, config));
    // A look does not wait for a model to load.
    let wanted = Wanted { loading: Duration::ZERO, timeout: PATIENCE, ..connect::wanted(settings, key.as_ref()) };
    match servers::search(&http, &wanted, stop) {
        Ok(found) => {
            let server = found.server;
            let models = servers::models(&http, &server, PATIENCE, stop);
            let key = &config.providers.local.api_key_env;
            let why = match &models {
                None if servers::is_locked(&http, &server, PATIENCE, stop) => {
                    format!("it wants a key: `{key}` holds none that it takes (`providers.local.api_key_env`)")
                }
                Some(models) if models.ids.is_empty() => "it lists no model".to_string(),
                Some(models) if !models.answers(&server.model) => format!("it has no `{}`", server.model),
                Some(_) | None => String::new(),
            };
            let ids = models.map(|models| models.ids).unwrap_or_default();
            if !why.is_empty() {
                return Server::NoModel { base_url: server.base_url, why, models: ids };
            }
            let only = <[String; 1]>::try_from(ids).ok().map(|[only]| only);
            let window = if window { servers::window(&http, &server, PATIENCE, stop) } else { None };
            Server::Up { base_url: server.base_url, model: only.unwrap_or(server.model), window }
        }
        Err(Missing { failure, is_loading }) => {
            let cause = cause(config, is_loading);
            let why = if let Failure::Down { why } = failure { why } else { failure.to_string() };
            let elsewhere = servers::detect(&http, &servers::PORTS, connect::DETECT, stop);
            let known = &config.providers.local.base_url;
            let elsewhere = elsewhere.into_iter().map(|server| server.base_url).filter(|url| !known.contains(url));
            Server::Down { base_url: known.join(", "), why, cause, elsewhere: elsewhere.collect() }
        }
    }
}

/// What keeps the configured servers from answering.
fn cause(config: &Config, is_loading: bool) -> Cause {
    let local = &config.providers.local;
    // An address that this build cannot read counts as another machine's, too; hence first.
    if cfg!(not(feature = "tls")) && local.base_url.iter().any(|url| url.starts_with("https:")) {
        return Cause::Tls;
    }
    if (!local.allow_remote || config.privacy.local_only) && local.base_url.iter().any(|url| http::is_remote(url)) {
        return Cause::Remote;
    }
    if is_loading { Cause::Loading } else { Cause::Silence }
}

/// Examines everything for `mux doctor`. With a watcher it goes deep: each provider that is logged in is called once,
/// after the watcher was told what that spends.
///
/// # Errors
/// As [`look`] and [`probe::probe`].
pub fn examine(
    house: &House<'_>,
    project: Option<&Path>,
    deep: Option<&mut dyn Watcher>,
    stop: &Stop,
) -> Result<Report, Error> {
    let Look { settings, ledger, unfinished, later } = look(house, project)?;
    let config = &settings.config;
    let server = server(house, &settings, true, stop);
    if matches!(server, Server::Up { .. }) {
        connect::Silent::of(house, config).end(stop);
    }
    let candidates = config_files::candidates(house.env, house.config_file, project);
    let config_file = candidates.first().map(|candidate| candidate.path.clone()).unwrap_or_default();
    let mut cloud = installed::ask(house, config, stop);
    let mut probes = Vec::new();
    if let Some(watcher) = deep {
        probes = probe::probe(house, config, &cloud, watcher, stop)?;
        // The calls are in the budget now, and who failed is left alone.
        cloud = installed::again(house, config, cloud);
    }
    let hosts: Vec<(String, u16)> = config
        .providers
        .local
        .base_url
        .iter()
        .filter(|url| http::is_remote(url))
        .filter_map(|url| http::host_and_port(url))
        .collect();
    let patient = Patient {
        server: &server,
        restart_cmd: config.local_runtime.restart_cmd.as_ref(),
        config_file: &config_file,
        config_notes: &settings.notes,
        ledger: ledger.path(),
        state_dir: house.state.dir(),
        unfinished: &unfinished,
        later: &later,
        cloud: &cloud,
        probes: &probes,
        hosts: &hosts,
        local_only: config.privacy.local_only,
        path: house.env.var("PATH"),
        cwd: house.env.cwd.as_deref().unwrap_or(Path::new("/")),
    };
    let http = connect::agent(config);
    Ok(doctor::examine(&patient, &mut |host, port| http.touch(host, port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_server_away_is_seen_in_the_configuration_first() {
        let (here, there) = ("http://127.0.0.1:1/v1", "http://10.0.0.5:1/v1");
        let tls = if cfg!(feature = "tls") { Cause::Silence } else { Cause::Tls };
        for (url, allow_remote, local_only, is_loading, expected) in [
            (here, false, false, false, Cause::Silence),
            (here, false, true, true, Cause::Loading),
            (there, false, false, false, Cause::Remote),
            (there, true, true, false, Cause::Remote),
            (there, true, false, true, Cause::Loading),
            ("https://127.0.0.1:1/v1", false, false, false, tls),
        ] {
            let mut config = Config::default();
            config.providers.local.base_url = vec![url.into()];
            config.providers.local.allow_remote = allow_remote;
            config.privacy.local_only = local_only;
            assert_eq!(cause(&config, is_loading), expected, "{url}, {allow_remote}, {local_only}, {is_loading}");
        }
    }
}
