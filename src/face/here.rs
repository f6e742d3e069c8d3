//! `mux` alone: where the user stands, and the next command. Reads only, starts no process, waits for nobody: a server
//! that does not answer at once is asked properly by `mux status`.

use crate::engine::doctor::Server;
use crate::engine::installed::{self, Cloud};
use crate::engine::look::{self, Look};
use crate::engine::run::House;
use crate::face::status::emit;
use crate::rules::escape::one_line;
use crate::sys::state::State;
use crate::words::env::Env;
use crate::words::error::{Context, Error, Kind};
use crate::words::stop::Stop;
use crate::words::time::Utc;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a server may take to say that it is there. One on this machine takes a millisecond.
const PATIENCE: Duration = Duration::from_millis(200);

/// The last run, as far as it says what to do next.
#[derive(Debug, PartialEq)]
struct Last {
    id: String,
    /// Milliseconds since.
    age_ms: u64,
    kind: String,
    route: String,
    reason: String,
    is_failed: bool,
    n_files: usize,
}

/// Looks and prints. Returns 0 whatever there is to see: a configuration that cannot be read is what the user sees.
///
/// # Errors
/// `Io` when the output cannot be written.
pub fn run(env: &Env, project: Option<&Path>, out: &mut dyn Write, stop: &Stop) -> Result<u8, Error> {
    let page = look(env, project, stop).unwrap_or_else(|error| {
        let next = if error.kind == Kind::Config { "mux config check" } else { "mux doctor" };
        format!("{}\nnext: {next}\n", error.to_string().lines().map(one_line).collect::<Vec<_>>().join("\n"))
    });
    let page = format!("{page}all commands: mux --help\n");
    emit(out, &page).context(Kind::Io, || "cannot write to standard output".to_string())?;
    Ok(0)
}

fn look(env: &Env, project: Option<&Path>, stop: &Stop) -> Result<String, Error> {
    let state = State::locate(env)?;
    let house = House { env, state: &state, config_file: None };
    let Look { settings, ledger, .. } = look::look(&house, project)?;
    let mut last = None;
    ledger.recent(1, &mut |row| {
        let age_ms = Utc::parse(&row.timestamp).map_or(0, |time| env.now.0.saturating_sub(time.0));
        last = Some(Last {
            id: row.run_id.to_string(),
            age_ms,
            kind: row.kind.to_string(),
            route: row.route.to_string(),
            reason: row.reason.to_string(),
            is_failed: row.is_failed(),
            n_files: row.n_files(),
        });
        false
    })?;
    let server = look::server(&house, &settings, false, &stop.until(Instant::now() + PATIENCE));
    Ok(page(&server, &installed::known(&house, &settings.config), last.as_ref()))
}

fn page(server: &Server, cloud: &Cloud, last: Option<&Last>) -> String {
    let (is_up, model) = match server {
        Server::Up { base_url, model, .. } => (true, format!("UP {model} at {base_url}")),
        Server::NoModel { base_url, why, .. } | Server::Down { base_url, why, .. } => {
            (false, format!("DOWN {base_url}: {why}"))
        }
    };
    let there: Vec<&str> =
        cloud.tools.iter().filter(|tool| tool.path.is_some()).map(|tool| tool.name.as_str()).collect();
    let cloud_line = match (cloud.local_only, there.as_slice()) {
        (true, _) => "local only: nothing leaves this machine".to_string(),
        (false, []) => "no CLI is installed: all work stays on this machine".to_string(),
        (false, there) if cloud.is_open() => there.join(", "),
        (false, there) => format!("{}; none can be called now", there.join(", ")),
    };
    let run = "mux run \"Say what this project does and how its tests are run\"";
    let (last_line, next) = match last {
        None => ("none yet".to_string(), run.to_string()),
        Some(last) => {
            let line = format!("{}, {}, {}, {} ({})", ago(last.age_ms), last.kind, last.route, last.reason, last.id);
            let next = match last.kind.as_str() {
                _ if last.is_failed => format!("mux why {}", last.id),
                "change" if last.n_files > 0 => format!("mux diff {}", last.id),
                _ => run.to_string(),
            };
            (line, next)
        }
    };
    let next = if is_up || cloud.is_open() { next } else { "mux doctor".to_string() };
    format!(
        "mux {}: coding tasks on your own model, proved by your own tests\n\
         model: {}\ncloud: {}\nlast run: {}\nnext: {}\n",
        env!("CARGO_PKG_VERSION"),
        one_line(&model),
        one_line(&cloud_line),
        one_line(&last_line),
        one_line(&next)
    )
}

/// Returns `3 min ago`.
fn ago(millis: u64) -> String {
    let minutes = millis / 60_000;
    match minutes {
        0 => "just now".to_string(),
        1..60 => format!("{minutes} min ago"),
        60..2880 => format!("{} h ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1440),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::doctor::Cause;
    use crate::engine::installed::Installed;
    use crate::sys::state::budget::Left;
    use crate::sys::state::tools::Login;

    fn cloud(path: Option<&str>, calls: u32) -> Cloud {
        let tool = Installed {
            name: "claude".into(),
            path: path.map(Into::into),
            version: None,
            login: Login::LoggedIn,
            cooldown: None,
        };
        let left = Left { calls, max_calls: 50, spent_usd: 0.0, usd: None };
        Cloud { tools: vec![tool], left: Ok(left), local_only: false }
    }

    #[track_caller]
    fn check(is_up: bool, cloud: &Cloud, last: Option<(&str, bool, usize)>, expected: [&str; 3]) {
        let base_url = "http://127.0.0.1:1/v1".to_string();
        let server = if is_up {
            Server::Up { base_url, model: "m\x1b[2J".into(), window: None }
        } else {
            Server::Down { base_url, why: "no answer".into(), cause: Cause::Silence, elsewhere: Vec::new() }
        };
        let last = last.map(|(kind, is_failed, n_files)| Last {
            id: "01A".into(),
            age_ms: 7_200_000,
            kind: kind.into(),
            route: "local".into(),
            reason: "r".into(),
            is_failed,
            n_files,
        });
        let page = page(&server, cloud, last.as_ref());
        let lines: Vec<&str> = page.lines().skip(2).collect();
        assert_eq!(lines, expected, "{page}");
        let model = if is_up {
            "model: UP m\\x1b[2J at http://127.0.0.1:1/v1"
        } else {
            "model: DOWN http://127.0.0.1:1/v1: no answer"
        };
        assert_eq!(page.lines().nth(1), Some(model));
    }

    #[test]
    fn the_next_command_follows_from_where_one_stands() {
        let (open, none) = (cloud(Some("/b/claude"), 9), cloud(None, 9));
        let run = "next: mux run \"Say what this project does and how its tests are run\"";
        let nobody = "cloud: no CLI is installed: all work stays on this machine";
        check(true, &open, None, ["cloud: claude", "last run: none yet", run]);
        check(false, &none, None, [nobody, "last run: none yet", "next: mux doctor"]);
        let spent = "cloud: claude; none can be called now";
        let line = |kind| format!("last run: 2 h ago, {kind}, local, r (01A)");
        check(
            false,
            &cloud(Some("/b/claude"), 0),
            Some(("answer", false, 0)),
            [spent, &line("answer"), "next: mux doctor"],
        );
        check(false, &open, Some(("answer", false, 0)), ["cloud: claude", &line("answer"), run]);
        check(true, &none, Some(("change", false, 2)), [nobody, &line("change"), "next: mux diff 01A"]);
        check(true, &none, Some(("change", true, 0)), [nobody, &line("change"), "next: mux why 01A"]);
    }
}
