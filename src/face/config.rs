//! `mux config show|path|init|check`: what is set, where it comes from, what is wrong with it.

use crate::rules::config::Config;
use crate::rules::config_keys as keys;
use crate::rules::config_shown::{printable, quote};
use crate::rules::escape::{one_line, plain};
use crate::rules::nearest::nearest;
use crate::sys::config_files::{self, Effective};
use crate::words::env::Env;
use crate::words::error::{Context, Error, Kind};
use std::io::{self, Write};
use std::path::Path;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Show { json: bool },
    Path,
    Init,
    Check,
}

/// Does it and returns the exit code: 0, or 2 when `check` has found an error.
///
/// `flag` is the file of `--config`, `project` the work directory, `state` mux's state directory.
///
/// # Errors
/// A configuration that cannot be read (`show`), a file that is already there (`init`), output that cannot be written.
pub fn run(
    action: Action,
    env: &Env,
    flag: Option<&Path>,
    project: Option<&Path>,
    state: &Path,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    let (code, written) = match action {
        Action::Show { json } => {
            let effective = config_files::load(env, flag, project, state)?;
            (0, if json { show_json(&effective, env, out) } else { show(&effective, env, out) })
        }
        Action::Path => (0, paths(env, flag, project, out)),
        Action::Init => {
            let path = config_files::init(env)?;
            (
                0,
                writeln!(
                    out,
                    "wrote {}\nevery key in it is off; take away the `#` before those you change",
                    one_line(&path.to_string_lossy())
                ),
            )
        }
        Action::Check => {
            let (effective, errors) = config_files::load_all(env, flag, project, state);
            (if errors.is_empty() { 0 } else { 2 }, check(&effective, &errors, out))
        }
    };
    written.context(Kind::Io, || "cannot write the output".to_string())?;
    Ok(code)
}

/// Prints a page that is itself a configuration: every key, its value, and where it comes from.
fn show(effective: &Effective, env: &Env, out: &mut dyn Write) -> io::Result<()> {
    for note in &effective.notes {
        writeln!(out, "# {note}")?;
    }
    let mut open: Vec<String> = Vec::new();
    for (path, value, origin) in values(effective, env, false) {
        let mut sections: Vec<String> = path.split('.').map(String::from).collect();
        let key = sections.pop().unwrap_or_default();
        let shared = open.iter().zip(&sections).take_while(|(a, b)| a == b).count();
        for (depth, section) in sections.iter().enumerate().skip(shared) {
            writeln!(out, "{:1$}{section}:", "", 2 * depth)?;
        }
        let line = format!("{:1$}{key}: {value}", "", 2 * sections.len());
        writeln!(out, "{line:<48}  # {origin}")?;
        open = sections;
    }
    Ok(())
}

fn show_json(effective: &Effective, env: &Env, out: &mut dyn Write) -> io::Result<()> {
    let texts = |texts: &mut dyn Iterator<Item = String>| {
        let mut list = String::new();
        for text in texts {
            list.push_str(if list.is_empty() { "" } else { ", " });
            quote(&mut list, &text);
        }
        list
    };
    writeln!(out, "{{\"values\": [")?;
    let values = values(effective, env, true);
    for (n, (path, value, origin)) in values.iter().enumerate() {
        let comma = if n + 1 == values.len() { "" } else { "," };
        let mut quoted = String::new();
        quote(&mut quoted, origin);
        writeln!(out, "  {{\"key\": \"{path}\", \"value\": {value}, \"origin\": {quoted}}}{comma}")?;
    }
    let files = texts(&mut effective.files.iter().map(|path| path.display().to_string()));
    let notes = texts(&mut effective.notes.iter().cloned());
    let unknown = texts(&mut effective.unknown_env.iter().cloned());
    writeln!(out, "], \"files\": [{files}], \"notes\": [{notes}], \"unknown_env\": [{unknown}]}}")
}

/// Returns path, value as text, and origin of every key. The value of the key's variable never shows, wherever it is.
fn values(effective: &Effective, env: &Env, json: bool) -> Vec<(String, String, String)> {
    let mut config = effective.config.clone();
    let secret = env.text(&config.providers.local.api_key_env).filter(|secret| secret.len() >= 6).map(String::from);
    let mut values = Vec::new();
    for path in keys::paths(&effective.config) {
        let mut text = String::new();
        if let Some(value) = keys::value(&mut config, &path) {
            value.write(&mut text, json);
        }
        if let Some(secret) = &secret {
            text = text.replace(secret.as_str(), "***");
        }
        let origin = effective.origin(&path);
        values.push((path, text, origin));
    }
    values
}

fn paths(env: &Env, flag: Option<&Path>, project: Option<&Path>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{:<11} compiled in", "default")?;
    for candidate in config_files::candidates(env, flag, project) {
        let state = if candidate.exists { "" } else { "   (not there)" };
        writeln!(out, "{:<11} {}{state}", candidate.layer, one_line(&candidate.path.to_string_lossy()))?;
    }
    Ok(())
}

fn check(effective: &Effective, errors: &[Error], out: &mut dyn Write) -> io::Result<()> {
    for error in errors {
        writeln!(out, "error: {}", plain(&error.to_string()))?;
    }
    for note in &effective.notes {
        writeln!(out, "note: {note}")?;
    }
    let known: Vec<String> = keys::paths(&effective.config).iter().map(|path| keys::variable(path)).collect();
    let words = || known.iter().map(String::as_str).chain(keys::OTHER_VARIABLES);
    for name in &effective.unknown_env {
        let near = nearest(name, words()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        writeln!(out, "note: the variable `{}` sets nothing{near}", printable(name))?;
    }
    match (errors.len(), effective.files.len()) {
        (0, 0) if effective.config != Config::default() => writeln!(out, "ok: no file, but variables"),
        (0, 0) => writeln!(out, "ok: no file, the defaults hold"),
        (0, _) => {
            let files: Vec<String> = effective.files.iter().map(|path| path.display().to_string()).collect();
            writeln!(out, "ok: {}", one_line(&files.join(", ")))
        }
        (1, _) => writeln!(out, "1 error"),
        (n, _) => writeln!(out, "{n} errors"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::escape::is_hidden;
    use crate::words::time::Utc;
    use fs_err as fs;
    use std::path::PathBuf;

    struct Place {
        root: PathBuf,
        env: Env,
    }

    impl Place {
        fn new(name: &str, text: &str, vars: &[(&str, &str)]) -> Place {
            let root = std::env::temp_dir().join(format!("mux-face-config-{name}-{}", std::process::id()));
            fs::create_dir_all(root.join("mux")).unwrap();
            fs::write(root.join("mux/mux.yaml"), text).unwrap();
            let mut vars: std::collections::BTreeMap<_, _> =
                vars.iter().map(|(name, value)| (name.into(), value.into())).collect();
            vars.insert("XDG_CONFIG_HOME".into(), root.clone().into());
            Place { env: Env { vars, cwd: None, now: Utc(0) }, root }
        }

        #[track_caller]
        fn run(&self, action: Action, code: u8) -> String {
            let mut out = Vec::new();
            let result = run(action, &self.env, None, Some(&self.root), &self.root, &mut out).unwrap();
            let text = String::from_utf8(out).unwrap().replace(self.root.to_str().unwrap(), "");
            assert_eq!(result, code, "{text}");
            text
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.root);
        }
    }

    #[test]
    fn show_is_a_configuration_that_means_the_same() {
        let text = "router: {escalate_on: []}\nverification: {commands: [a, [b, 'c d']], timeout_sec: 0.5}\n\
                    workflow: {run_sota_review: true}\nproviders: {sota_cli: {tools: {agy: {reply: text}}}}\n";
        let place = Place::new("show", text, &[("MUX_PROVIDERS_LOCAL_MODEL", "a: \"b\" #c")]);
        let page = place.run(Action::Show { json: false }, 0);
        assert!(page.starts_with("router:\n  local_confidence_threshold: 0.6                 # default\n"), "{page}");
        assert!(page.contains("  escalate_on: []                                 # /mux/mux.yaml:1:23\n"), "{page}");
        assert!(page.contains("  # variable MUX_PROVIDERS_LOCAL_MODEL\n"), "{page}");
        let expected = config_files::load(&place.env, None, None, &place.root).unwrap().config;
        let again = Place::new("again", &page, &[]);
        assert_eq!(config_files::load(&again.env, None, None, &again.root).unwrap().config, expected);
        assert_ne!(expected, Config::default());

        let json: serde_json::Value = serde_json::from_str(&place.run(Action::Show { json: true }, 0)).unwrap();
        assert_eq!(json["values"][1]["key"], "router.max_local_retries");
        assert_eq!(json["values"][2]["origin"], "/mux/mux.yaml:1:23");
        assert_eq!(json["files"], serde_json::json!(["/mux/mux.yaml"]));
        assert_eq!(json["values"].as_array().unwrap().len(), keys::paths(&expected).len());
    }

    #[test]
    fn show_masks_secrets() {
        let text = "local_runtime: {restart_cmd: serve --api-key hunter2000}\n\
                    providers: {local: {model: in-hunter3000-it},\n  \
                    sota_cli: {tools: {claude: {exec_args: [--token, hunter4000]}}}}\n";
        let place = Place::new("mask", text, &[("LOCAL_OPENAI_API_KEY", "hunter3000")]);
        for json in [false, true] {
            let page = place.run(Action::Show { json }, 0);
            assert!(page.contains("serve --api-key ***") && page.contains("in-***-it"), "{page}");
            assert!(!page.contains("hunter"), "{page}");
        }
    }

    #[test]
    fn check_lists_everything() {
        let place =
            Place::new("check", "router: {shadw: 1}\nbudget: 5\n", &[("MUX_ROUTER_SHADW", "1"), ("MUX_ZZZ", "1")]);
        fs::write(place.root.join("mux.yaml"), "ledger: {sync: false}\n").unwrap();
        let expected = "\
error: cannot read config: unknown key `router.shadw`
  at: /mux/mux.yaml:1:10
  hint: did you mean `shadow`?
error: cannot read config: `budget` is `5`, expected a section of `key: value` lines
  at: /mux/mux.yaml:2:9
  hint: valid here: max_cloud_calls_per_day, max_cloud_usd_per_day, max_cloud_usd_per_run, unknown_call_usd
note: ignored `ledger.sync` in /mux.yaml:1:16: only your own configuration may set it; \
`mux trust` allows a project `verification.commands` and nothing else
note: the variable `MUX_ROUTER_SHADW` sets nothing; did you mean `MUX_ROUTER_SHADOW`?
note: the variable `MUX_ZZZ` sets nothing
2 errors
";
        assert_eq!(place.run(Action::Check, 2), expected);
        fs::write(place.root.join("mux/mux.yaml"), "router: {shadow: 1}\n").unwrap();
        assert!(place.run(Action::Check, 0).ends_with("\nok: /mux/mux.yaml, /mux.yaml\n"));
    }

    #[test]
    fn a_directory_with_a_hostile_name_is_spelt_out() {
        let place = Place::new("a\u{1b}[2J\u{202e}", "", &[]);
        fs::write(place.root.join("mux.yaml"), "").unwrap();
        config_files::trust(&place.env, &place.root, &place.root).unwrap();
        fs::write(place.root.join("mux.yaml"), "mcp: {parallel: 1}").unwrap();
        let mut pages = [Action::Path, Action::Check, Action::Show { json: false }, Action::Show { json: true }]
            .map(|action| place.run(action, 0))
            .to_vec();
        fs::write(place.root.join("mux.yaml"), "\t: x").unwrap();
        pages.push(place.run(Action::Check, 2));
        for page in pages {
            assert!(page.contains("mux.yaml") && !page.chars().any(|c| c != '\n' && is_hidden(c)), "{page:?}");
        }
    }

    #[test]
    fn path_and_init_say_where() {
        let place = Place::new("path", "", &[]);
        let expected = "default     compiled in\nuser        /mux/mux.yaml\nproject     /mux.yaml   (not there)\n";
        assert_eq!(place.run(Action::Path, 0), expected);
        fs::remove_file(place.root.join("mux/mux.yaml")).unwrap();
        assert_eq!(place.run(Action::Check, 0), "ok: no file, the defaults hold\n");
        let variable = Place::new("variable", "", &[("MUX_ROUTER_SHADOW", "1/20")]);
        fs::remove_file(variable.root.join("mux/mux.yaml")).unwrap();
        assert_eq!(variable.run(Action::Check, 0), "ok: no file, but variables\n");
        fs::write(place.root.join("mux/mux.yaml"), "").unwrap();
        let written = run(Action::Init, &place.env, None, None, &place.root, &mut Vec::new()).unwrap_err();
        assert!(written.to_string().contains("there is one already"), "{written}");
        fs::remove_file(place.root.join("mux/mux.yaml")).unwrap();
        assert!(place.run(Action::Init, 0).starts_with("wrote /mux/mux.yaml\n"));
    }
}
