//! The files behind the configuration: which layers there are, whether a file may be believed, and the trust records of
//! projects. What the values mean is `rules/`'s business.
//!
//! **Invariants:** a file that another user could have written is not read. Reading never blocks (a FIFO is refused)
//! and is bounded. Nothing from a project is believed by its name or place: a trust record is path and bytes.

pub mod edit;

use crate::rules::argv;
use crate::rules::config::{CommandSpec, DEFAULT_YAML};
use crate::rules::config_keys::{self as keys, OTHER_VARIABLES};
use crate::rules::config_layers::{Origin, Standing};
use crate::rules::config_text::MAX_BYTES;
use crate::rules::config_values::Base;
use crate::rules::escape::one_line;
use crate::rules::from_json;
use crate::words::env::Env;
use crate::words::error::{Context, Error, Kind};
use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use crate::rules::config_layers::Effective;

/// The name of a configuration file, the user's and a project's.
pub const NAME: &str = "mux.yaml";

/// A place where configuration is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// `user`, `project` or `--config` / `MUX_CONFIG`.
    pub layer: &'static str,
    pub path: PathBuf,
    pub exists: bool,
}

/// Reads all layers.
///
/// `flag` is the file of `--config`, `project` the work directory, `state` mux's state directory.
///
/// # Errors
/// `Kind::Config`: the first thing that is wrong in any layer.
pub fn load(env: &Env, flag: Option<&Path>, project: Option<&Path>, state: &Path) -> Result<Effective, Error> {
    let (effective, errors) = load_all(env, flag, project, state);
    errors.into_iter().next().map_or(Ok(effective), Err)
}

/// Reads all layers and returns everything that is wrong, in the order of the layers. What is right is in the result.
pub fn load_all(env: &Env, flag: Option<&Path>, project: Option<&Path>, state: &Path) -> (Effective, Vec<Error>) {
    let mut effective = Effective::default();
    let (user, own) = (user_path(env), own_path(env, flag));
    let mut errors = Vec::new();
    if let Some(user) = &user {
        errors.extend(own_layer(&mut effective, env, user, false));
    }
    let project = project.map(|dir| dir.join(NAME));
    // The user's own file stays the user's own, wherever the work directory is.
    let is_own = |path: &PathBuf| [&user, &own].into_iter().flatten().any(|other| is_same_file(path, other));
    if let Some(project) = project.filter(|path| !is_own(path)) {
        errors.extend(project_layer(&mut effective, env, &project, state));
    }
    if let Some(own) = &own {
        errors.extend(own_layer(&mut effective, env, own, true));
    }
    errors.extend(variables(&mut effective, env));
    if errors.is_empty() {
        errors = effective.check_whole();
    }
    (effective, errors)
}

/// Returns where configuration is looked for, in the order of the layers.
pub fn candidates(env: &Env, flag: Option<&Path>, project: Option<&Path>) -> Vec<Candidate> {
    let own = if flag.is_some() { "--config" } else { "MUX_CONFIG" };
    [("user", user_path(env)), ("project", project.map(|dir| dir.join(NAME))), (own, own_path(env, flag))]
        .into_iter()
        .filter_map(|(layer, path)| path.map(|path| (layer, path)))
        .map(|(layer, path)| Candidate { layer, exists: fs::symlink_metadata(&path).is_ok(), path })
        .collect()
}

/// Lays one flag on top: `overlay(&mut effective, env, "privacy.local_only", "true", "--local-only")`.
///
/// # Errors
/// `Kind::Usage`: the value does not fit.
pub fn overlay(effective: &mut Effective, env: &Env, key: &str, value: &str, flag: &str) -> Result<(), Error> {
    let set = effective.single(key, value, Origin::Flag(flag.to_string()), cwd_base(env));
    set.map_err(|mut error| {
        error.kind = Kind::Usage;
        error
    })
}

/// Writes the default, every key switched off, as the user's file, and returns its path.
///
/// # Errors
/// `Kind::Config` if there is one already, or no home; `Kind::Io`.
pub fn init(env: &Env) -> Result<PathBuf, Error> {
    let path = user_path(env).ok_or_else(|| {
        Error::new(Kind::Config, "cannot write a config: there is no home directory")
            .hint("set HOME or XDG_CONFIG_HOME")
    })?;
    let what = || format!("cannot write config `{}`", path.display());
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).context(Kind::Io, what)?;
    }
    let mut file = match fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let error =
                Error::new(Kind::Config, format!("cannot write config `{}`: there is one already", path.display()));
            return Err(error.hint("edit it, or move it away first"));
        }
        opened => opened.context(Kind::Io, what)?,
    };
    let written = file.write_all(switched_off(DEFAULT_YAML).as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a page would be a config that means something else.
        let _ = fs::remove_file(&path);
    }
    written.context(Kind::Io, what)?;
    Ok(path)
}

/// What `mux trust` did.
#[derive(Clone, Debug, PartialEq)]
pub struct Trusted {
    /// The canonical path of the project's file.
    pub path: PathBuf,
    /// In hex.
    pub sha256: String,
    /// What the project may run from now on.
    pub commands: Vec<CommandSpec>,
    pub before: Before,
}

/// What was recorded before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    Nothing,
    OtherBytes,
    TheSame,
}

/// Records that the `mux.yaml` of a directory, with the bytes it has now, may name verification commands.
///
/// # Errors
/// `Kind::Config`: there is no such file or it cannot be read as configuration. `Kind::Io`: the record.
pub fn trust(env: &Env, dir: &Path, state: &Path) -> Result<Trusted, Error> {
    let path = canonical(dir)?;
    let bytes = read(&path, OFlags::NOFOLLOW, MAX_BYTES)?.ok_or_else(|| missing(&path))?;
    let mut effective = Effective::default();
    let errors = effective.file(&path, &bytes, Standing::TrustedProject, base(env, &path));
    if let Some(error) = errors.into_iter().next() {
        return Err(error);
    }
    let sha256 = sha256(&bytes);
    let old = amend(state, |records| records.insert(record_key(&path), sha256.clone()))?;
    let before = match old {
        None => Before::Nothing,
        Some(old) if old == sha256 => Before::TheSame,
        Some(_) => Before::OtherBytes,
    };
    Ok(Trusted { path, sha256, commands: effective.config.verification.commands, before })
}

/// Takes the record of a directory out; returns whether there was one.
///
/// # Errors
/// `Kind::Config`: no such directory. `Kind::Io`: the record.
pub fn distrust(dir: &Path, state: &Path) -> Result<bool, Error> {
    let path = canonical(dir)?;
    amend(state, |records| records.remove(&record_key(&path))).map(|old| old.is_some())
}

/// Returns the path of the user's own file, which need not exist.
pub fn user_path(env: &Env) -> Option<PathBuf> {
    let dir = env.absolute("XDG_CONFIG_HOME").map(Path::to_path_buf).or_else(|| Some(env.home()?.join(".config")))?;
    Some(dir.join("mux").join(NAME))
}

/// The file of `--config`, else of `MUX_CONFIG`.
fn own_path(env: &Env, flag: Option<&Path>) -> Option<PathBuf> {
    let path = flag.or_else(|| env.var("MUX_CONFIG").map(Path::new))?;
    Some(env.cwd.as_deref().unwrap_or(Path::new("/")).join(path))
}

fn base<'a>(env: &'a Env, path: &'a Path) -> Base<'a> {
    Base { dir: path.parent().unwrap_or(path), home: env.home() }
}

fn cwd_base(env: &Env) -> Base<'_> {
    Base { dir: env.cwd.as_deref().unwrap_or(Path::new("/")), home: env.home() }
}

fn missing(path: &Path) -> Error {
    let error = Error::new(Kind::Config, format!("cannot read config: there is no file `{}`", path.display()));
    error.hint("`mux config path` lists the files that are looked at")
}

/// Reads a file that only its user can have written. `None`: it does not exist.
fn read(path: &Path, more: OFlags, max_bytes: usize) -> Result<Option<Vec<u8>>, Error> {
    let refuse = |why: &str, hint: &str| {
        let error = Error::new(Kind::Config, format!("cannot read config `{}`: {why}", path.display()));
        Err(error.hint(hint))
    };
    // NONBLOCK: opening a FIFO would wait for its writer.
    let flags = (OFlags::NONBLOCK | OFlags::CLOEXEC | more).bits().cast_signed();
    let file = match fs::OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(_) if more.contains(OFlags::NOFOLLOW) && fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink()) => {
            return refuse("it is a symbolic link", "a project's mux.yaml must be a file of its own");
        }
        Err(error) => return Err(error).context(Kind::Config, || "cannot read config".to_string()),
    };
    let meta = file.metadata().context(Kind::Config, || "cannot read config".to_string())?;
    let user = rustix::process::geteuid().as_raw();
    if !meta.is_file() {
        return refuse("it is not a regular file", "put a text file there");
    }
    if meta.uid() != user && meta.uid() != 0 {
        return refuse(&format!("it belongs to another user ({})", meta.uid()), "copy it, so that it is yours");
    }
    if meta.mode() & 0o002 != 0 {
        return refuse("every user can write it", &format!("chmod o-w {}", shell_word(path)));
    }
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large.
    let bound = max_bytes as u64 + 1;
    file.take(bound)
        .read_to_end(&mut bytes)
        .context(Kind::Config, || format!("cannot read config `{}`", path.display()))?;
    Ok(Some(bytes))
}

/// A path as it can be pasted into a shell.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let safe = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+@".contains(&byte));
    if safe { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    let identity = |path| fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    identity(a).is_some_and(|identity_of_a| Some(identity_of_a) == identity(b))
}

fn own_layer(effective: &mut Effective, env: &Env, path: &Path, must_exist: bool) -> Vec<Error> {
    match read(path, OFlags::empty(), MAX_BYTES) {
        Ok(Some(bytes)) => effective.file(path, &bytes, Standing::Own, base(env, path)),
        Ok(None) if must_exist => vec![missing(path)],
        Ok(None) => Vec::new(),
        Err(error) => vec![error],
    }
}

/// Lays a project's file on top, believed as far as its record goes.
fn project_layer(effective: &mut Effective, env: &Env, path: &Path, state: &Path) -> Vec<Error> {
    let bytes = match read(path, OFlags::NOFOLLOW, MAX_BYTES) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![error],
    };
    let canonical = path.parent().and_then(|dir| canonical(dir).ok());
    let records = records(state).unwrap_or_else(|error| {
        effective.notes.push(format!("no project is trusted: {}", error.to_string().replace('\n', ";")));
        BTreeMap::new()
    });
    let standing = match canonical.and_then(|path| records.get(&record_key(&path)).cloned()) {
        Some(trusted) if trusted == sha256(&bytes) => Standing::TrustedProject,
        Some(_) => {
            let dir = shell_word(path.parent().unwrap_or(path));
            let note = format!(
                "`{}` has changed since `mux trust`: not trusted until you read it and run `mux trust {dir}`",
                path.display()
            );
            effective.notes.push(one_line(&note).into_owned());
            Standing::Project
        }
        None => Standing::Project,
    };
    effective.file(path, &bytes, standing, base(env, path))
}

/// Lays the environment on top.
fn variables(effective: &mut Effective, env: &Env) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut known = Vec::new();
    for (name, value) in &env.vars {
        if !name.as_bytes().starts_with(b"MUX_") || OTHER_VARIABLES.iter().any(|other| name == other) {
            continue;
        }
        if known.is_empty() {
            known = keys::paths(&effective.config);
        }
        let Some(path) = known.iter().find(|path| name == OsStr::new(&keys::variable(path))) else {
            effective.unknown_env.push(name.to_string_lossy().into_owned());
            continue;
        };
        let origin = Origin::Variable(name.to_string_lossy().into_owned());
        match value.to_str() {
            // An empty variable counts as not set, as everywhere.
            Some("") => {}
            Some(value) => errors.extend(effective.single(path, value, origin, cwd_base(env)).err()),
            None => errors.push(
                Error::new(Kind::Config, format!("cannot read config: `{path}` is not UTF-8"))
                    .at(format!("variable {}", name.display())),
            ),
        }
    }
    if env.is_on("MUX_OFFLINE") {
        let origin = Origin::Variable("MUX_OFFLINE".to_string());
        errors.extend(effective.single("privacy.local_only", "true", origin, cwd_base(env)).err());
    }
    errors
}

/// The default page with every key switched off by a `#`. Comments begin with `# `, so the two can be told apart.
fn switched_off(page: &str) -> String {
    let mut off = String::from(
        "# A `#` right before a key switches it off; what is off follows mux's default. Take it away to set the key.\n#\n",
    );
    for line in page.lines() {
        let key = line.trim_start();
        let (indent, key) = line.split_at(line.len() - key.len());
        let is_value = !key.is_empty() && !key.starts_with('#') && !key.ends_with(':');
        off.extend([indent, if is_value { "#" } else { "" }, key, "\n"]);
    }
    off
}

fn canonical(dir: &Path) -> Result<PathBuf, Error> {
    Ok(fs::canonicalize(dir).context(Kind::Config, || "cannot find the project".to_string())?.join(NAME))
}

fn sha256(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16);
    Sha256::digest(bytes).iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).flatten().collect()
}

/// The records are JSON, which holds text; a byte that is none is written as `%XX`, and `%` itself as `%25`.
fn record_key(path: &Path) -> String {
    let mut key = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        key.push_str(&chunk.valid().replace('%', "%25"));
        key.extend(chunk.invalid().iter().map(|byte| format!("%{byte:02X}")));
    }
    key
}

/// Reads the trust records: canonical path → SHA-256 in hex. None at all if there is no file.
fn records(state: &Path) -> Result<BTreeMap<String, String>, Error> {
    let path = state.join("trust.json");
    let Some(bytes) = read_record_file(&path)? else { return Ok(BTreeMap::new()) };
    from_json::document(&bytes).map_err(|_| {
        let what = format!("cannot read the trust records `{}`: they are not as mux writes them", path.display());
        // Without them nothing is trusted.
        Error::new(Kind::Io, what).hint(format!("rm {}", argv::quote(&path.to_string_lossy())))
    })
}

fn read_record_file(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match read(path, OFlags::NOFOLLOW, 16 * MAX_BYTES) {
        Ok(read) => Ok(read),
        Err(mut error) => {
            error.what = error.what.replacen("config", "the trust records", 1);
            error.kind = Kind::Io;
            Err(error)
        }
    }
}

/// Changes the trust records, one process at a time; the file is replaced as a whole.
fn amend<T>(state: &Path, change: impl FnOnce(&mut BTreeMap<String, String>) -> T) -> Result<T, Error> {
    let path = state.join("trust.json");
    let what = || format!("cannot write the trust records `{}`", path.display());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(state).context(Kind::Io, what)?;
    let _lock = lock(&state.join("trust.lock"))?;
    if let Some(schema) = read_record_file(&path)?.as_deref().and_then(from_json::later) {
        let what = format!("{}: a later mux has written them (schema {schema})", what());
        return Err(Error::new(Kind::Io, what).hint("update mux"));
    }
    let mut records = records(state)?;
    let result = change(&mut records);
    let temporary = state.join(format!("trust.json.{}", std::process::id()));
    let _ = fs::remove_file(&temporary);
    let bytes = from_json::versioned(&serde_json::to_string(&records).context(Kind::Io, what)?);
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).context(Kind::Io, what)?;
    let written =
        file.write_all(bytes.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&temporary, &path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.and_then(|()| fs::File::open(state)?.sync_all()).context(Kind::Io, what)?;
    Ok(result)
}

/// Takes the lock of the records; it ends with the returned file. Waits at most two seconds: records are small.
fn lock(path: &Path) -> Result<fs::File, Error> {
    let what = || format!("cannot lock the trust records `{}`", path.display());
    let file = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path).context(Kind::Io, what)?;
    let until = Instant::now() + Duration::from_secs(2);
    while file.file().try_lock().is_err() {
        if Instant::now() > until {
            return Err(Error::new(Kind::Io, what()).hint("another `mux trust` is running"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(file)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "BLESS=1 rewrites the expected messages; ids of temporary directories")]
mod tests {
    use super::*;
    use crate::rules::config::Config;
    use crate::words::time::Utc;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A home, a project and a state directory of their own, gone at the end.
    struct Place {
        root: PathBuf,
        env: Env,
    }

    impl Place {
        fn new() -> Place {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let name = format!("mux-config-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let root = std::env::temp_dir().join(name);
            for dir in ["home/.config/mux", "project", "state"] {
                fs::create_dir_all(root.join(dir)).unwrap();
            }
            let root = fs::canonicalize(root).unwrap();
            let vars = [("HOME".into(), root.join("home").into())].into();
            let env = Env { vars, cwd: Some(root.clone()), now: Utc(0) };
            Place { root, env }
        }

        fn var(mut self, name: &str, value: &str) -> Place {
            self.env.vars.insert(name.into(), value.into());
            self
        }

        fn write(&self, path: &str, text: impl AsRef<[u8]>) -> PathBuf {
            fs::write(self.root.join(path), text).unwrap();
            fs::set_permissions(self.root.join(path), PermissionsExt::from_mode(0o644)).unwrap();
            self.root.join(path)
        }

        fn user(self, text: &str) -> Place {
            self.write("home/.config/mux/mux.yaml", text);
            self
        }

        fn project(self, text: &str) -> Place {
            self.write("project/mux.yaml", text);
            self
        }

        fn state(&self) -> PathBuf {
            self.root.join("state")
        }

        fn load(&self) -> Result<Effective, String> {
            self.load_with(None)
        }

        fn load_with(&self, flag: Option<&Path>) -> Result<Effective, String> {
            load(&self.env, flag, Some(&self.root.join("project")), &self.state()).map_err(|error| self.shown(&error))
        }

        /// A text with the place of this test taken out.
        fn shown(&self, text: &impl ToString) -> String {
            text.to_string().replace(self.root.to_str().unwrap(), "")
        }

        fn notes(&self) -> Vec<String> {
            self.load().unwrap().notes.iter().map(|note| self.shown(note)).collect()
        }

        fn trust(&self) -> Result<Trusted, String> {
            trust(&self.env, &self.root.join("project"), &self.state()).map_err(|error| self.shown(&error))
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.root);
        }
    }

    #[test]
    fn bad_files_are_refused_with_place_and_hint() {
        let bless = std::env::var_os("BLESS").is_some();
        let mut wrong = Vec::new();
        let mut seen = 0;
        for entry in fs::read_dir("fixtures/config/bad").unwrap() {
            let yaml = entry.unwrap().path();
            if yaml.extension() != Some(OsStr::new("yaml")) {
                continue;
            }
            let place = Place::new();
            place.write("home/.config/mux/mux.yaml", fs::read(&yaml).unwrap());
            let message = place.load().map_or_else(|message| message, |_| "accepted".to_string());
            let message = format!("{}\n", message.replace("/home/.config/mux/", ""));
            let expected = yaml.with_extension("txt");
            if bless {
                fs::write(&expected, &message).unwrap();
            }
            let expected = fs::read_to_string(&expected).unwrap_or_default();
            if message != expected {
                wrong.push(format!("{}\nexpected {expected}but was  {message}", yaml.display()));
            }
            seen += 1;
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(seen >= 40, "only {seen} fixtures were found");
    }

    #[test]
    fn good_files_are_read() {
        let load = |name: &str| {
            let place = Place::new();
            place.write("home/.config/mux/mux.yaml", fs::read(format!("fixtures/config/good/{name}.yaml")).unwrap());
            place.load().unwrap().config
        };
        let mut expected = Config::default();
        for name in ["12_empty", "51_sections_of_comments"] {
            assert_eq!(load(name), expected, "{name}");
        }
        expected.providers.local.max_tokens = 100;
        for (name, url) in [("00_plain", "http://127.0.0.1:1/v1"), ("27_bom_crlf", "http://x")] {
            expected.providers.local.base_url = vec![url.to_string()];
            assert_eq!(load(name), expected, "{name}");
        }
        let line = |text: &str| CommandSpec::Line(text.to_string());
        let styles = load("52_styles");
        assert_eq!(
            styles.router.complexity_keywords,
            [
                "cargo test -q",
                "it's \"quoted\" & fine",
                "one line made of two: *folded*",
                "&literal !text\n",
                "plain text & more *stars* and a#hash",
            ]
        );
        assert_eq!(
            styles.verification.commands,
            [
                line("cargo test -q"),
                line("grep \"it's\" \"a & b\""),
                CommandSpec::Argv(["sh", "-c", "make && ./check *.x"].map(String::from).to_vec()),
            ]
        );
        assert_eq!(styles.verification.env, ["A_B", "C", "D"]);
        assert_eq!(styles.privacy.never_send, ["*.pem", "!keep", "a,b", "c d"]);
        assert_eq!(styles.work_dir, Path::new("/tmp/a \"quoted\" ü"));
    }

    #[test]
    fn files_from_hell_are_refused_before_they_are_parsed() {
        let check = |text: String, message: &str| assert_eq!(Place::new().user(&text).load().unwrap_err(), message);
        let at = "\n  at: /home/.config/mux/mux.yaml";
        let large = format!(
            "cannot read config: the file is larger than 65536 bytes{at}:1:1\n  \
             hint: keep only the keys that you change"
        );
        let steps = (0..850).fold(String::new(), |text, depth| text + &" ".repeat(2 * depth) + "k:\n");
        assert!(steps.len() > 360_000);
        check(steps, &large);
        check(format!("b: &b \"{}\"\nc: [{}]\n", "x".repeat(100_000), "*b,".repeat(5000)), &large);
        check(
            format!("b: &b \"{}\"\nc: [{}]\n", "x".repeat(30_000), "*b,".repeat(10_000)),
            &format!(
                "cannot read config: anchors (`&`) are not used here{at}:1:4\n  \
                 hint: put text that begins with `&` in quotes"
            ),
        );
        check(
            format!("x: {}{}\n", "[".repeat(20_000), "]".repeat(20_000)),
            &format!("cannot read config: nested deeper than 16 levels{at}:1:20"),
        );
    }

    #[test]
    fn later_layers_win_and_every_value_names_its_own() {
        let place = Place::new()
            .user(
                "router: {shadow: 0.1, max_local_retries: 2, complexity_threshold: 2}\n\
                 local_executor: {max_attempts: 3}\n",
            )
            .project("local_executor: {max_attempts: 2}\n")
            .var("MUX_ROUTER_COMPLEXITY_THRESHOLD", "4")
            .var("MUX_ROUTER_ESCALATE_ON", "[low_confidence]")
            .var("MUX_PROVIDERS_LOCAL_MODEL", "Qwen: 35B # x")
            .var("MUX_PROVIDERS_LOCAL_BASE_URL", "http://a:1")
            .var("MUX_LOCAL_RUNTIME_RESTART_CMD", "[sh, -c, up]")
            .var("MUX_WORKFLOW_RUN_SOTA_REVIEW", "true")
            .var("MUX_PROVIDERS_SOTA_CLI_TOOLS_GEMINI_MODEL", "gemini-9")
            .var("MUX_HOOKS_STYLE", "")
            .var("MUX_ROUTER_SHADO", "1")
            .var("MUX_DEPTH", "1");
        let own = place.write("own.yaml", "router: {max_local_retries: 3, complexity_threshold: 3}\nwork_dir: sub\n");
        let mut effective = place.load_with(Some(&own)).unwrap();
        overlay(&mut effective, &place.env, "router.shadow", "0.9", "--shadow").unwrap();
        let mut expected = Config::default();
        expected.router.shadow = 0.9;
        expected.router.max_local_retries = 3;
        expected.router.complexity_threshold = 4;
        expected.router.escalate_on.truncate(1);
        expected.local_executor.max_attempts = 2;
        expected.providers.local.model = "Qwen: 35B # x".to_string();
        expected.providers.local.base_url = vec!["http://a:1".to_string()];
        expected.local_runtime.restart_cmd = Some(CommandSpec::Argv(["sh", "-c", "up"].map(String::from).to_vec()));
        expected.workflow.run_sota_review = crate::rules::config::SotaReview::Always;
        expected.providers.sota_cli.tools.0[2].1.model = "gemini-9".to_string();
        expected.work_dir = place.root.join("sub");
        assert_eq!(effective.config, expected);
        assert_eq!(effective.unknown_env, ["MUX_ROUTER_SHADO"]);
        let origins = [
            ("router.shadow", "--shadow"),
            ("router.max_local_retries", "/own.yaml:1:29"),
            ("router.complexity_threshold", "variable MUX_ROUTER_COMPLEXITY_THRESHOLD"),
            ("local_executor.max_attempts", "/project/mux.yaml:1:32"),
            ("hooks.style", "default"),
        ];
        for (path, origin) in origins {
            assert_eq!(place.shown(&effective.origin(path)), origin, "{path}");
        }
        assert!(effective.is_default("hooks.style") && !effective.is_default("router.shadow"));
        assert_eq!(effective.files.len(), 3);
    }

    #[test]
    fn variables_and_flags_are_checked_like_files() {
        let message = Place::new().var("MUX_LOCAL_EXECUTOR_MAX_ATTEMPTS", "many").load().unwrap_err();
        assert_eq!(
            message,
            "cannot read config: `local_executor.max_attempts` is `many`, expected a whole number from 1 to 20\
             \n  at: variable MUX_LOCAL_EXECUTOR_MAX_ATTEMPTS"
        );
        let bomb = Place::new().var("MUX_VERIFICATION_ENV", "[&a A, *a]").load().unwrap_err();
        assert!(bomb.starts_with("cannot read config: anchors"), "{bomb}");
        let place = Place::new();
        let error =
            overlay(&mut Effective::default(), &place.env, "local_executor.max_attempts", "0", "--tries").unwrap_err();
        assert_eq!((error.kind, error.at.as_deref()), (Kind::Usage, Some("--tries")));
    }

    #[test]
    fn the_file_of_the_flag_comes_before_that_of_the_variable() {
        let place = Place::new().var("MUX_CONFIG", "b.yaml");
        let flag = place.write("a.yaml", "router: {max_local_retries: 8}");
        place.write("b.yaml", "router: {max_local_retries: 9}");
        assert_eq!(place.load_with(Some(&flag)).unwrap().config.router.max_local_retries, 8);
        assert_eq!(place.load().unwrap().config.router.max_local_retries, 9);
        let message = place.load_with(Some(Path::new("none.yaml"))).unwrap_err();
        assert!(message.starts_with("cannot read config: there is no file `/none.yaml`"), "{message}");
    }

    #[test]
    fn local_only_only_tightens() {
        let place = Place::new().var("MUX_OFFLINE", "1");
        let effective = place.load().unwrap();
        assert!(effective.config.privacy.local_only);
        assert_eq!(effective.origin("privacy.local_only"), "variable MUX_OFFLINE");
        assert!(!Place::new().var("MUX_OFFLINE", "0").load().unwrap().config.privacy.local_only);
        let place = Place::new().project("privacy: {local_only: true}").var("MUX_PRIVACY_LOCAL_ONLY", "false");
        assert!(place.load().unwrap().config.privacy.local_only);
        assert_eq!(
            place.notes(),
            ["ignored `privacy.local_only` in variable MUX_PRIVACY_LOCAL_ONLY: \
                 another layer says true, and that only tightens"]
        );
    }

    #[test]
    fn files_that_others_could_have_written_are_refused() {
        let place = Place::new();
        let user = place.write("home/.config/mux/mux.yaml", "");
        fs::set_permissions(&user, PermissionsExt::from_mode(0o666)).unwrap();
        assert_eq!(
            place.shown(&place.load().unwrap_err()),
            "cannot read config `/home/.config/mux/mux.yaml`: every user can write it\
             \n  hint: chmod o-w /home/.config/mux/mux.yaml"
        );
        fs::set_permissions(&user, PermissionsExt::from_mode(0o664)).unwrap();
        assert_eq!(place.load().unwrap().files.len(), 1);
        let foreign = |uid| std::os::unix::fs::chown(&user, Some(uid), None).is_ok();
        // Only root can give files away; anyone else's test run covers the mode.
        if foreign(12_345) {
            let message = place.load().unwrap_err();
            assert!(message.contains("it belongs to another user (12345)"), "{message}");
        }
    }

    #[test]
    fn what_is_no_file_is_refused_without_waiting() {
        let refused = |make: &dyn Fn(&Path)| {
            let place = Place::new();
            let path = place.root.join("home/.config/mux/mux.yaml");
            make(&path);
            let message = place.load().unwrap_err();
            assert!(message.contains("it is not a regular file"), "{message}");
        };
        let fifo = |path: &Path| {
            rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
        };
        refused(&fifo);
        refused(&|path| fs::create_dir(path).unwrap());
        refused(&|path| symlink("/dev/zero", path).unwrap());
        refused(&|path| {
            fifo(&path.with_extension("fifo"));
            symlink(path.with_extension("fifo"), path).unwrap();
        });
        // A link to a file is what people with dot-file managers have.
        let place = Place::new();
        let real = place.write("real.yaml", "router: {max_local_retries: 9}");
        symlink(&real, place.root.join("home/.config/mux/mux.yaml")).unwrap();
        assert_eq!(place.load().unwrap().config.router.max_local_retries, 9);
        symlink(&real, place.root.join("project/mux.yaml")).unwrap();
        let message = place.load_with(None);
        assert_eq!(message.map(|effective| effective.files.len()), Ok(1), "the project's file is the user's own");
        fs::remove_file(place.root.join("home/.config/mux/mux.yaml")).unwrap();
        let message = place.load().unwrap_err();
        assert!(message.contains("/project/mux.yaml`: it is a symbolic link"), "{message}");
    }

    #[test]
    fn trust_holds_for_these_bytes_in_this_place() {
        let text = "verification: {commands: [./check]}\nproviders: {local: {base_url: http://evil.invalid}}\n";
        let place = Place::new().project(text);
        let commands = || place.load().unwrap().config.verification.commands;
        let ignored = "ignored `verification.commands` in /project/mux.yaml:1:26: \
            the file is not trusted; read it, then `mux trust` allows it";
        let never = "ignored `providers.local.base_url` in /project/mux.yaml:2:31: \
            only your own configuration may set it; \
            `mux trust` allows a project `verification.commands` and nothing else";
        let check = CommandSpec::Line("./check".to_string());
        assert_eq!((commands(), place.notes()), (vec![], vec![ignored.to_string(), never.to_string()]));

        let trusted = place.trust().unwrap();
        assert_eq!((trusted.before, trusted.commands), (Before::Nothing, vec![check.clone()]));
        assert_eq!(trusted.sha256, "a3321e13863be90dde6a55c9e70d013624c095b4c57c108eb7c3429c10b9b82e");
        assert_eq!(place.trust().unwrap().before, Before::TheSame);
        assert_eq!((commands(), place.notes()), (vec![check], vec![never.to_string()]));
        let mode = |name| fs::metadata(place.state().join(name)).unwrap().mode() & 0o7777;
        assert_eq!((mode("trust.json"), mode("trust.lock")), (0o600, 0o600));

        place.write("project/mux.yaml", format!("{text} "));
        let changed = "`/project/mux.yaml` has changed since `mux trust`: \
            not trusted until you read it and run `mux trust /project`";
        assert_eq!(place.notes(), [changed, ignored, never]);
        assert_eq!(commands(), []);
        assert_eq!(place.trust().unwrap().before, Before::OtherBytes);
        assert_eq!(commands().len(), 1);

        // The same bytes elsewhere are another project.
        fs::rename(place.root.join("project"), place.root.join("other")).unwrap();
        let elsewhere = load(&place.env, None, Some(&place.root.join("other")), &place.state()).unwrap();
        assert_eq!(elsewhere.config.verification.commands, []);
        fs::rename(place.root.join("other"), place.root.join("project")).unwrap();
        assert_eq!(commands().len(), 1);

        let remove = || distrust(&place.root.join("project"), &place.state()).unwrap();
        assert_eq!((remove(), remove()), (true, false));
        assert_eq!(commands(), []);
        let left: Vec<_> = fs::read_dir(place.state()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }

    #[test]
    fn trust_is_not_given_to_what_cannot_be_read() {
        let place = Place::new();
        let message = place.trust().unwrap_err();
        assert!(message.starts_with("cannot read config: there is no file `/project/mux.yaml`"), "{message}");
        let message = Place::new().project("verification: {comands: []}").trust().unwrap_err();
        assert!(message.contains("unknown key `verification.comands`"), "{message}");
        let error = trust(&place.env, Path::new("/nowhere/at/all"), &place.state()).unwrap_err();
        assert_eq!(error.kind, Kind::Config);
    }

    #[test]
    fn broken_or_foreign_trust_records_trust_nothing() {
        let place = Place::new().project("verification: {commands: [./check]}");
        place.trust().unwrap();
        let records = place.state().join("trust.json");
        fs::set_permissions(&records, PermissionsExt::from_mode(0o666)).unwrap();
        let effective = place.load().unwrap();
        assert_eq!(effective.config.verification.commands, []);
        assert!(effective.notes[0].contains("every user can write it"), "{:?}", effective.notes);
        fs::write(&records, "{").unwrap();
        fs::set_permissions(&records, PermissionsExt::from_mode(0o600)).unwrap();
        let effective = place.load().unwrap();
        assert_eq!(effective.config.verification.commands, []);
        assert!(effective.notes[0].starts_with("no project is trusted: cannot read the trust records"));
        let message = place.trust().unwrap_err();
        assert!(message.starts_with("cannot read the trust records"), "{message}");
        assert_eq!(fs::read_to_string(&records).unwrap(), "{", "records that cannot be read are left alone");
    }

    #[test]
    fn parallel_trust_loses_no_record() {
        let place = Place::new();
        let dirs: Vec<PathBuf> = (0..8).map(|n| place.root.join(format!("p{n}"))).collect();
        for dir in &dirs {
            fs::create_dir(dir).unwrap();
            fs::write(dir.join(NAME), "").unwrap();
        }
        std::thread::scope(|scope| {
            for dir in &dirs {
                scope.spawn(|| trust(&place.env, dir, &place.state()).unwrap());
            }
        });
        assert_eq!(records(&place.state()).unwrap().len(), 8);
    }

    #[test]
    fn paths_that_are_no_text_have_a_record_of_their_own() {
        let key = |bytes: &[u8]| record_key(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(key(b"/a/\xffb%"), "/a/%FFb%25");
        assert_ne!(key(b"/a/\xff"), key(b"/a/%FF"));
    }

    #[test]
    fn init_writes_the_default_once_with_every_key_off() {
        let place = Place::new().var("XDG_CONFIG_HOME", "relative/is/ignored");
        let path = init(&place.env).unwrap();
        assert_eq!(place.shown(&path.display()), "/home/.config/mux/mux.yaml");
        let effective = place.load().unwrap();
        assert_eq!(effective.config, Config::default());
        assert!(keys::paths(&effective.config).iter().all(|path| effective.is_default(path)));
        let page = fs::read_to_string(&path).unwrap();
        assert!(page.contains("\n  #local_confidence_threshold: 0.6\n"), "{page}");

        // Switched on again it is the default page.
        let on: String = page
            .lines()
            .skip(2)
            .map(|line| {
                let text = line.trim_start();
                let is_off = text.starts_with('#') && !text.starts_with("# ") && text != "#";
                if is_off { line.replacen('#', "", 1) + "\n" } else { line.to_string() + "\n" }
            })
            .collect();
        assert_eq!(on, DEFAULT_YAML);

        place.write("home/.config/mux/mux.yaml", "router: {max_local_retries: 9}");
        let error = init(&place.env).unwrap_err();
        assert_eq!(error.kind, Kind::Config);
        assert_eq!(place.load().unwrap().config.router.max_local_retries, 9);
    }

    #[test]
    fn candidates_are_listed_in_order() {
        let place = Place::new().project("").var("MUX_CONFIG", "/x.yaml");
        let list: Vec<String> = candidates(&place.env, None, Some(&place.root.join("project")))
            .iter()
            .map(|one| place.shown(&format!("{} {} {}", one.layer, one.path.display(), one.exists)))
            .collect();
        let expected =
            ["user /home/.config/mux/mux.yaml false", "project /project/mux.yaml true", "MUX_CONFIG /x.yaml false"];
        assert_eq!(list, expected);
    }
}
