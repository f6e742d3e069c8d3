//! Where the commands that prove a change may write (`verification.sandbox`): the work directory, the directories for
//! temporary files, the caches of the usual tools, and what the user adds. Not how they are held to it (`sys/proc`).

use crate::rules::config::{Sandbox, Verification};
use crate::sys::proc::sandbox;
use crate::words::env::Env;
use crate::words::error::{Error, Kind};
use std::path::{Path, PathBuf};

/// What is no file of anybody's, and what test runners share memory and terminals by.
const DEVICES: [&str; 8] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts"];

/// Caches below the home directory. Parts of `.cargo` and `.gradle` only: beside them are programs and settings.
const HOME_CACHES: [&str; 16] = [
    ".cache",
    ".cargo/registry",
    ".cargo/git",
    ".cargo/.package-cache",
    ".cargo/.package-cache-mutate",
    ".cargo/.global-cache",
    ".npm",
    ".yarn/berry",
    ".bun/install/cache",
    ".local/share/pnpm/store",
    "go/pkg",
    ".m2/repository",
    ".gradle/caches",
    ".gradle/daemon",
    ".gradle/native",
    ".nuget/packages",
];

/// Variables that name a cache or a directory for temporary files.
const VARIABLES: [&str; 13] = [
    "TMPDIR",
    "XDG_CACHE_HOME",
    "CARGO_TARGET_DIR",
    "GOCACHE",
    "GOMODCACHE",
    "GOTMPDIR",
    "npm_config_cache",
    "YARN_CACHE_FOLDER",
    "PIP_CACHE_DIR",
    "UV_CACHE_DIR",
    "CCACHE_DIR",
    "SCCACHE_DIR",
    "PYTEST_DEBUG_TEMPROOT",
];

/// How the commands of a run are held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// They write below these places only.
    Within(Vec<PathBuf>),
    /// As the user wants it.
    Free,
    /// The user wants it otherwise, and the system can't.
    Unable,
}

impl Hold {
    /// Returns the places, where there is a fence.
    pub fn places(&self) -> Option<&[PathBuf]> {
        match self {
            Hold::Within(places) => Some(places),
            Hold::Free | Hold::Unable => None,
        }
    }
}

/// Settles how the verification commands are held, before any model is called.
///
/// # Errors
/// [`Kind::Config`] where `required` cannot be had.
pub fn verification(wanted: &Verification, env: &Env, workdir: &Path) -> Result<Hold, Error> {
    hold(wanted, sandbox::is_available(), || places(wanted, env, workdir))
}

/// Settles how `restart_cmd` is held. Only `required` holds it: it is the user's own word, a service is often restarted
/// through `sudo`, which no confined program can use, and a server keeps its models and logs where it wants.
///
/// # Errors
/// As [`verification`].
pub fn restart(wanted: &Verification, env: &Env) -> Result<Hold, Error> {
    match wanted.sandbox {
        Sandbox::Auto | Sandbox::Off => Ok(Hold::Free),
        Sandbox::Required => hold(wanted, sandbox::is_available(), || shared(wanted, env)),
    }
}

fn hold(wanted: &Verification, is_available: bool, places: impl FnOnce() -> Vec<PathBuf>) -> Result<Hold, Error> {
    match wanted.sandbox {
        Sandbox::Off => Ok(Hold::Free),
        Sandbox::Auto | Sandbox::Required if is_available => Ok(Hold::Within(places())),
        Sandbox::Auto => Ok(Hold::Unable),
        Sandbox::Required => {
            let what = "cannot confine commands as `verification.sandbox: required` demands: there is no Landlock here";
            let hint = "it needs Linux 6.2 or newer with `landlock` among its security modules; `auto` does without";
            Err(Error::new(Kind::Config, what).hint(hint))
        }
    }
}

fn places(wanted: &Verification, env: &Env, workdir: &Path) -> Vec<PathBuf> {
    let mut places = vec![workdir.to_path_buf()];
    places.extend(shared(wanted, env));
    places
}

/// All but the work directory.
fn shared(wanted: &Verification, env: &Env) -> Vec<PathBuf> {
    let mut places = vec![PathBuf::from("/tmp"), PathBuf::from("/dev/shm")];
    places.extend(DEVICES.map(PathBuf::from));
    places.extend(VARIABLES.iter().filter_map(|name| env.absolute(name)).map(Path::to_path_buf));
    let mut home_caches = |home: &Path, caches: &[&str]| places.extend(caches.iter().map(|cache| home.join(cache)));
    if let Some(home) = env.home() {
        home_caches(home, &HOME_CACHES);
    }
    if let Some(cargo) = env.absolute("CARGO_HOME") {
        home_caches(cargo, &["registry", "git", ".package-cache", ".package-cache-mutate", ".global-cache"]);
    }
    if let Some(go) = env.absolute("GOPATH") {
        home_caches(go, &["pkg"]);
    }
    if let Some(gradle) = env.absolute("GRADLE_USER_HOME") {
        home_caches(gradle, &["caches", "daemon", "native"]);
    }
    places.extend(wanted.writable.iter().cloned());
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::config::Config;
    use crate::words::time::Utc;

    #[test]
    fn what_is_wanted_and_what_can_be_had_decide() {
        let wanted = |sandbox| Verification { sandbox, ..Config::default().verification };
        let held = |sandbox, is_available| {
            hold(&wanted(sandbox), is_available, || vec!["/w".into()]).map_err(|error| error.to_string())
        };
        let within = Hold::Within(vec!["/w".into()]);
        assert_eq!(held(Sandbox::Auto, true), Ok(within.clone()));
        assert_eq!(held(Sandbox::Required, true), Ok(within));
        assert_eq!(held(Sandbox::Off, true), Ok(Hold::Free));
        assert_eq!(held(Sandbox::Off, false), Ok(Hold::Free));
        assert_eq!(held(Sandbox::Auto, false), Ok(Hold::Unable));
        let refused = "cannot confine commands as `verification.sandbox: required` demands: there is no Landlock here\n  \
             hint: it needs Linux 6.2 or newer with `landlock` among its security modules; `auto` does without";
        assert_eq!(held(Sandbox::Required, false), Err(refused.to_string()));
    }

    #[test]
    fn a_restart_is_held_only_where_that_is_required() {
        let env = Env { vars: [("HOME".into(), "/h".into())].into(), cwd: None, now: Utc(0) };
        let wanted = |sandbox| Verification { sandbox, ..Config::default().verification };
        assert_eq!(restart(&wanted(Sandbox::Auto), &env).unwrap(), Hold::Free);
        assert_eq!(restart(&wanted(Sandbox::Off), &env).unwrap(), Hold::Free);
        assert_eq!(restart(&wanted(Sandbox::Required), &env).is_ok(), sandbox::is_available());
    }

    #[test]
    fn caches_are_writable_and_what_is_beside_them_is_not() {
        let vars = [("HOME", "/h"), ("TMPDIR", "/t"), ("GOPATH", "/g"), ("GOCACHE", "relative"), ("CARGO_HOME", "/c")];
        let vars = vars.map(|(name, value)| (name.into(), value.into())).into();
        let wanted = Verification { writable: vec!["/more".into()], ..Config::default().verification };
        let places = places(&wanted, &Env { vars, cwd: None, now: Utc(0) }, Path::new("/w"));
        let is_in = |path: &str| places.iter().any(|place| Path::new(path).starts_with(place));
        for path in
            ["/w/a", "/tmp/x", "/t/x", "/h/.cache/pip", "/h/.cargo/registry/x", "/c/git/x", "/g/pkg/mod", "/more/x"]
        {
            assert!(is_in(path), "{path}");
        }
        for path in
            ["/h", "/h/.bashrc", "/h/.cargo/bin/cargo", "/h/.cargo/config.toml", "/c/env", "/g/bin/x", "/dev/sda"]
        {
            assert!(!is_in(path), "{path}");
        }
        assert!(places.iter().all(|place| place.is_absolute()), "{places:?}");
    }
}
