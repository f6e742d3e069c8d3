//! Layers of settings, later wins: default › user › project › `--config` › environment › flags; and where each value
//! comes from. Not how the layers are found and read: see `sys/config_files.rs`.
//!
//! **Invariants:** a project's file changes nothing but what its [`Project`] rule allows. `privacy.local_only` never
//! goes back to false.

use crate::rules::config::{Config, PromptVia};
use crate::rules::config_keys::{self as keys, Project, TOOLS};
use crate::rules::config_shown::{found, printable};
use crate::rules::config_text::{self as text, Node, Value};
use crate::rules::config_values::{Base, Limit, Misfit, remedy};
use crate::rules::escape::one_line;
use crate::rules::nearest::nearest;
use crate::words::error::{Error, Kind};
use crate::words::name::LONGEST;
use crate::words::task::Provider;
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

/// Mistakes of a layer, and keys that it may not set, that are told one by one. Each place costs another reading of the
/// file, and a project's file may hold thousands of them.
const MOST_TOLD: usize = 20;
const LOCAL_ONLY: &str = "privacy.local_only";
const COMMANDS: &str = "verification.commands";

/// The settings that hold, and their story.
#[derive(Clone, Debug, Default)]
pub struct Effective {
    pub config: Config,
    /// What the user should be told: what was ignored and why. One line each, safe to show.
    pub notes: Vec<String>,
    /// Variables that begin with `MUX_` and set nothing.
    pub unknown_env: Vec<String>,
    /// The files that were read, in the order of the layers.
    pub files: Vec<PathBuf>,
    /// Their texts, for the places of values.
    texts: Vec<String>,
    /// What does not come from the default: path and origin.
    origins: Vec<(String, Origin)>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// A node of one of [`Effective::files`].
    File { file: usize, node: u32 },
    /// An environment variable.
    Variable(String),
    /// A flag as it is typed: `--local-only`.
    Flag(String),
}

/// How far a file is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The user's own.
    Own,
    /// It came with the project, and `mux trust` does not hold for these bytes.
    Project,
    /// The same after `mux trust`.
    TrustedProject,
}

/// A layer that is being laid on.
struct Layer<'a> {
    standing: Standing,
    base: Base<'a>,
    /// For values of a file the node is filled in.
    origin: Origin,
    errors: Vec<Error>,
    ignored: usize,
}

impl Effective {
    /// Lays a file on top. Returns all that is wrong with it; what is right has been taken.
    pub fn file(&mut self, path: &Path, bytes: &[u8], standing: Standing, base: Base<'_>) -> Vec<Error> {
        let read = text::decode(bytes).and_then(|text| text::parse(text).map(|node| (text, node)));
        let (text, node) = match read {
            Ok(read) => read,
            Err(fault) => {
                let mut error =
                    broken(&fault.what).at(format!("{}:{}", one_line(&path.to_string_lossy()), fault.place));
                error.hint = fault.hint.map(String::from);
                return vec![error];
            }
        };
        let origin = Origin::File { file: self.files.len(), node: 0 };
        self.files.push(path.to_path_buf());
        self.texts.push(text.to_string());
        let mut layer = Layer { standing, base, origin, errors: Vec::new(), ignored: 0 };
        self.section(&mut layer, "", &node);
        layer.errors
    }

    /// Lays the value of one key on top, from a variable or a flag.
    ///
    /// # Errors
    /// A key that does not exist, or a value that does not fit it.
    pub fn single(&mut self, path: &str, value: &str, origin: Origin, base: Base<'_>) -> Result<(), Error> {
        let place = self.describe(&origin);
        let Some(found) = keys::find(&mut self.config, path) else {
            return Err(broken(&format!("unknown key `{}`", printable(path))).at(place));
        };
        let node = if found.slot.takes_raw(value) {
            Node::from(Value::Text(value.to_string()))
        } else {
            let parsed = text::decode(value.as_bytes()).and_then(text::parse);
            parsed.map_err(|fault| broken(&fault.what).at(place))?
        };
        let mut layer = Layer { standing: Standing::Own, base, origin, errors: Vec::new(), ignored: 0 };
        self.leaf(&mut layer, path, &node);
        layer.errors.pop().map_or(Ok(()), Err)
    }

    /// Checks what no single key can know, and notes what is allowed but unwise. Called once, after the last layer.
    pub fn check_whole(&mut self) -> Vec<Error> {
        let cli = &self.config.providers.sota_cli;
        for (name, _) in cli.tools.0.iter().filter(|(_, tool)| tool.prompt_via == PromptVia::Arg) {
            self.notes.push(format!(
                "`{TOOLS}.{name}.prompt_via` is arg: tasks for {name} are visible in `ps` and end at 128 KiB"
            ));
        }
        let mut errors = Vec::new();
        let mut wrong = |path: &str, what: String, hint: Option<String>| {
            let mut error = broken(&what).at(self.origin(path));
            error.hint = hint;
            errors.push(error);
        };
        let near = |wrong: &str, more: &'static str| {
            let names = cli.tools.0.iter().map(|(name, _)| name.as_str());
            let near = nearest(wrong, names.clone().chain(Some(more)).filter(|name| !name.is_empty()));
            let list = || format!("declared are {}", names.collect::<Vec<_>>().join(", "));
            Some(near.map_or_else(list, |near| format!("did you mean `{near}`?")))
        };
        for (n, name) in cli.preferred_order.iter().enumerate() {
            let path = "providers.sota_cli.preferred_order";
            if cli.tools.named(name).is_none() {
                let what = format!("`{path}` names `{}`, which `{TOOLS}` does not declare", printable(name));
                wrong(path, what, near(name, ""));
            } else if cli.preferred_order.iter().take(n).any(|earlier| earlier == name) {
                wrong(path, format!("`{path}` names `{name}` twice"), Some("keep one of the two".to_string()));
            }
        }
        let path = "workflow.review_provider";
        let reviewer = &self.config.workflow.review_provider;
        if reviewer != "sota" && cli.tools.named(reviewer).is_none() {
            let what = format!("`{path}` is `{}`, expected sota or a name in `{TOOLS}`", printable(reviewer));
            wrong(path, what, near(reviewer, "sota"));
        }
        if cli.tools.named("gemini").is_some_and(|gemini| gemini.model.is_empty()) {
            let path = format!("{TOOLS}.gemini.model");
            let hint = Some("name one, or take the line out".to_string());
            wrong(&path, format!("`{path}` is empty, but gemini must be told its model"), hint);
        }
        errors
    }

    /// Returns where the value of a key comes from, for people: `default`, `FILE:LINE:COLUMN`, a variable or a flag.
    pub fn origin(&self, path: &str) -> String {
        let known = self.origins.iter().find(|(known, _)| known == path);
        known.map_or("default".to_string(), |(_, origin)| self.describe(origin))
    }

    /// Returns whether no layer has set this key.
    pub fn is_default(&self, path: &str) -> bool {
        !self.origins.iter().any(|(known, _)| known == path)
    }

    /// Returns whether a layer above that of a file has set this key.
    pub fn is_set_above(&self, path: &str, file: Option<&Path>) -> bool {
        let mut above = self.origins.iter().filter(|(known, _)| known == path);
        above.any(|(_, origin)| match origin {
            Origin::File { file: number, .. } => self.files.get(*number).map(PathBuf::as_path) != file,
            Origin::Variable(_) | Origin::Flag(_) => true,
        })
    }

    fn describe(&self, origin: &Origin) -> String {
        match origin {
            Origin::File { file, node } => match (self.files.get(*file), self.texts.get(*file)) {
                (Some(path), Some(text)) => {
                    format!("{}:{}", one_line(&path.to_string_lossy()), text::place(text, *node))
                }
                _ => "a file".to_string(),
            },
            Origin::Variable(name) => format!("variable {name}"),
            Origin::Flag(name) => name.clone(),
        }
    }

    /// Lays the keys of a section on top.
    fn section(&mut self, layer: &mut Layer<'_>, path: &str, node: &Node) {
        let entries = match &node.value {
            Value::Map(entries) => entries,
            // A section whose keys are all commented out.
            Value::Null => return,
            other @ (Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_)) => {
                let subject = if path.is_empty() { "the file".to_string() } else { format!("`{path}`") };
                let what =
                    format!("{subject} is {}, expected a section of `key: value` lines", found(other, Limit::Any));
                let hint = format!("valid here: {}", keys::children(path).join(", "));
                return self.fail(layer, node.id, &what, Some(hint));
            }
        };
        for (key, id, value) in entries {
            let inside = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            // A dotted key is no path: `router.shadow: 1` is a key of that name, and unknown.
            let known = path == TOOLS || keys::children(path).contains(&key.as_str());
            if !known {
                let what = format!("unknown key `{}`", printable(&inside));
                self.fail(layer, *id, &what, Some(keys::suggest(path, key)));
            } else if path == TOOLS {
                self.tool(layer, key, &inside, *id, value);
            } else if inside == TOOLS || keys::find(&mut self.config, &inside).is_none() {
                self.section(layer, &inside, value);
            } else {
                self.leaf(layer, &inside, value);
            }
        }
    }

    /// Declares a tool and lays its keys on top.
    fn tool(&mut self, layer: &mut Layer<'_>, name: &str, path: &str, id: u32, node: &Node) {
        if layer.standing != Standing::Own {
            return self.ignore(layer, path, id, "a project may not name programs");
        }
        if Provider::named(name).is_none() {
            let what = format!("`{}` cannot be the name of a CLI", printable(name));
            let hint = format!(
                "use small letters, digits, `-` and `_`, {LONGEST} at most, a letter first; auto, local, cloud, none \
                 and sota are taken"
            );
            return self.fail(layer, id, &what, Some(hint));
        }
        self.config.providers.sota_cli.tools.declare(name);
        self.section(layer, path, node);
    }

    /// Lays one value on top.
    fn leaf(&mut self, layer: &mut Layer<'_>, path: &str, node: &Node) {
        let Some(mut found) = keys::find(&mut self.config, path) else { return };
        let before = found.slot.value();
        let value = match permit(found.project, layer.standing, path, &before, &node.value) {
            Permit::As(value) => value,
            Permit::Silent => return,
            Permit::Ignore(why) => return self.ignore(layer, path, node.id, &why),
        };
        let limit = found.limit;
        // As written first: a misfit is then an item of what was written.
        let written = found.slot.set(&node.value, limit, layer.base);
        match written.and_then(|()| value.map_or(Ok(()), |value| found.slot.set(&value, limit, layer.base))) {
            Ok(()) => {
                let no_command = found.slot.no_command(node);
                let origin = layer.origin_of(node.id);
                match self.origins.iter_mut().find(|(known, _)| known == path) {
                    Some(known) => known.1 = origin,
                    None => self.origins.push((path.to_string(), origin)),
                }
                if let Some((bad, fault)) = no_command {
                    // The line itself is not repeated: it may hold a secret.
                    self.fail(layer, bad, &format!("`{path}` holds no command: {fault}"), Some(fault.hint("…")));
                }
            }
            Err(Misfit { item, expected }) => self.misfit(layer, path, node, item, limit, &expected),
        }
    }

    fn misfit(
        &self,
        layer: &mut Layer<'_>,
        path: &str,
        node: &Node,
        item: Option<usize>,
        limit: Limit,
        expected: &str,
    ) {
        let (subject, bad) = match (&node.value, item) {
            (Value::List(items), Some(n)) => (format!("`{path}[{n}]`"), items.get(n).unwrap_or(node)),
            _ => (format!("`{path}`"), node),
        };
        let what = format!("{subject} is {}, expected {expected}", found(&bad.value, limit));
        let near = match (&bad.value, expected.strip_prefix("one of ")) {
            (Value::Text(wrong), Some(words)) => nearest(wrong, words.split(", ")),
            _ => None,
        };
        let hint = match near {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None => remedy(&bad.value, expected).map(String::from),
        };
        self.fail(layer, bad.id, &what, hint);
    }

    fn fail(&self, layer: &mut Layer<'_>, node: u32, what: &str, hint: Option<String>) {
        if layer.errors.len() >= MOST_TOLD {
            if layer.errors.len() == MOST_TOLD {
                layer.errors.push(broken("there are more mistakes").hint("mend those above first"));
            }
            return;
        }
        let mut error = broken(what).at(self.describe(&layer.origin_of(node)));
        error.hint = hint;
        layer.errors.push(error);
    }

    fn ignore(&mut self, layer: &mut Layer<'_>, path: &str, node: u32, why: &str) {
        layer.ignored += 1;
        if layer.ignored <= MOST_TOLD {
            let place = self.describe(&layer.origin_of(node));
            self.notes.push(format!("ignored `{}` in {place}: {why}", printable(path)));
        } else if layer.ignored == MOST_TOLD + 1 {
            self.notes.push("ignored more of the same file".to_string());
        }
    }
}

impl Layer<'_> {
    fn origin_of(&self, node: u32) -> Origin {
        match &self.origin {
            Origin::File { file, .. } => Origin::File { file: *file, node },
            other @ (Origin::Variable(_) | Origin::Flag(_)) => other.clone(),
        }
    }
}

/// What becomes of a value.
enum Permit {
    /// It is set: this one, or the one that was written.
    As(Option<Value>),
    /// It says what holds anyway.
    Silent,
    Ignore(String),
}

/// Decides what a layer may do with a key. What is of a wrong type is let through, for the slot to refuse it.
fn permit(project: Project, standing: Standing, path: &str, before: &Value, new: &Value) -> Permit {
    if path == LOCAL_ONLY && *before == Value::Bool(true) && *new == Value::Bool(false) {
        return Permit::Ignore("another layer says true, and that only tightens".to_string());
    }
    if standing == Standing::Own {
        return Permit::As(None);
    }
    match (project, before, new) {
        (Project::Never, ..) => Permit::Ignore(format!(
            "only your own configuration may set it; `mux trust` allows a project `{COMMANDS}` and nothing else"
        )),
        (Project::Trusted, ..) if standing == Standing::Project => {
            Permit::Ignore("the file is not trusted; read it, then `mux trust` allows it".to_string())
        }
        (Project::Lower | Project::LowerNotZero, Value::Number(before), Value::Number(new)) => {
            let no_limit = project == Project::LowerNotZero;
            // 0 dollars is no limit, the highest of all.
            let height = |limit: f64| if no_limit && limit <= 0.0 { f64::INFINITY } else { limit };
            match height(*new).partial_cmp(&height(*before)) {
                Some(Ordering::Less) => Permit::As(None),
                Some(Ordering::Equal) => Permit::Silent,
                Some(Ordering::Greater) | None => {
                    Permit::Ignore(format!("a project may only lower it ({before} holds)"))
                }
            }
        }
        (Project::True, _, Value::Bool(false)) => Permit::Ignore("a project may only set it to true".to_string()),
        (Project::Add, Value::List(old), Value::List(new)) => {
            let added = new.iter().filter(|item| !old.iter().any(|known| known.value == item.value));
            Permit::As(Some(Value::List(old.iter().chain(added).cloned().collect())))
        }
        _ => Permit::As(None),
    }
}

fn broken(what: &str) -> Error {
    Error::new(Kind::Config, format!("cannot read config: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::config::{CommandSpec, DEFAULT_YAML, ReplyForm, Scope};
    use std::time::Duration;

    fn lay(effective: &mut Effective, text: &str, standing: Standing) -> Vec<String> {
        let base = Base { dir: Path::new("/base"), home: Some(Path::new("/home/me")) };
        let errors = effective.file(Path::new("mux.yaml"), text.as_bytes(), standing, base);
        errors.iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn own(text: &str) -> Effective {
        let mut effective = Effective::default();
        assert_eq!(lay(&mut effective, text, Standing::Own), Vec::<String>::new());
        effective
    }

    #[test]
    fn the_default_file_is_the_default() {
        let mut effective = own(DEFAULT_YAML);
        assert_eq!(effective.config, Config::default());
        assert_eq!(effective.check_whole().len(), 0);
        let unset: Vec<_> =
            keys::paths(&effective.config).into_iter().filter(|path| effective.is_default(path)).collect();
        assert_eq!(unset, Vec::<String>::new(), "keys that are missing in config/mux.yaml");
    }

    #[test]
    fn all_errors_of_a_file_are_reported_and_the_rest_is_taken() {
        let mut effective = Effective::default();
        let text = "router: {shado: 1, max_local_retries: 3}\nverification: {strict: 1}\nbudget: []\n";
        let errors = lay(&mut effective, text, Standing::Own);
        let firsts: Vec<&str> = errors.iter().filter_map(|error| error.lines().next()).collect();
        assert_eq!(
            firsts,
            [
                "cannot read config: unknown key `router.shado`",
                "cannot read config: `verification.strict` is `1`, expected true or false",
                "cannot read config: `budget` is a list, expected a section of `key: value` lines",
            ]
        );
        assert_eq!(effective.config.router.max_local_retries, 3);
    }

    #[test]
    fn every_value_knows_its_place() {
        let text = "router:\n  shadow: 0.5\n  escalate_on:\n    - low_confidence\n\
                    privacy: {never_send: [a],\n  secrets: redact}\n";
        let effective = own(text);
        let places = ["router.shadow", "router.escalate_on", "privacy.never_send", "privacy.secrets", "work_dir"]
            .map(|path| effective.origin(path));
        assert_eq!(places, ["mux.yaml:2:11", "mux.yaml:4:5", "mux.yaml:5:23", "mux.yaml:6:12", "default"]);
    }

    #[test]
    fn paths_start_at_their_file_or_at_home() {
        let config = own("ledger: {file_path: l/r.jsonl}\nwork_dir: ~/w\nallowed_roots: [/a, b]\n").config;
        assert_eq!(config.ledger.file_path, Path::new("/base/l/r.jsonl"));
        assert_eq!(config.work_dir, Path::new("/home/me/w"));
        assert_eq!(config.allowed_roots, [Path::new("/a"), Path::new("/base/b")]);
    }

    #[test]
    fn an_address_may_be_one_or_a_list() {
        let one = own("providers: {local: {base_url: http://localhost:1/v1/}}\n").config;
        assert_eq!(one.providers.local.base_url, ["http://localhost:1/v1"]);
        let two = own("providers: {local: {base_url: ['http://[::1]:1', https://h/v1]}}\n").config;
        assert_eq!(two.providers.local.base_url, ["http://[::1]:1", "https://h/v1"]);
    }

    #[test]
    fn commands_are_kept_as_written() {
        let config = own(
            "verification: {commands: [cargo test -q, [sh, -c, \"a && b\"]]}\nlocal_runtime: {restart_cmd: \"\"}\n",
        )
        .config;
        let argv = ["sh", "-c", "a && b"].map(String::from).to_vec();
        let line = CommandSpec::Line("cargo test -q".to_string());
        assert_eq!(config.verification.commands, [line, CommandSpec::Argv(argv)]);
        assert_eq!(config.local_runtime.restart_cmd, None);
    }

    #[test]
    fn a_tool_can_be_declared() {
        let text = "providers: {sota_cli: {preferred_order: [agy], tools: {agy: {reply: gemini, prompt_via: arg}}}}\n";
        let mut effective = own(text);
        assert_eq!(effective.check_whole().len(), 0);
        assert_eq!(
            effective.notes,
            ["`providers.sota_cli.tools.agy.prompt_via` is arg: tasks for agy are visible in `ps` and end at 128 KiB"]
        );
        let tools = effective.config.providers.sota_cli.tools;
        let agy = tools.named("agy").unwrap();
        assert_eq!((agy.binary.as_str(), agy.reply, agy.scope), ("agy", ReplyForm::Gemini, Scope::Machine));
        assert_eq!(tools.0.len(), 4);
    }

    #[test]
    fn the_name_of_a_tool_is_short_and_not_taken() {
        for name in ["auto", "local", "none", "sota", "Agy", "2x", "a.b", "a-name-that-is-too-long-by-far"] {
            let text = format!("providers: {{sota_cli: {{tools: {{{name}: {{reply: text}}}}}}}}\n");
            let errors = lay(&mut Effective::default(), &text, Standing::Own);
            let [error] = errors.as_slice() else { panic!("{name}: {errors:?}") };
            assert!(error.contains("cannot be the name of a CLI") && error.contains("24 at most"), "{error}");
        }
    }

    /// What a project's file changes and what is said about the rest.
    #[track_caller]
    fn project(text: &str, standing: Standing, changes: impl Fn(&mut Config), notes: &[&str]) {
        let mut effective = Effective::default();
        effective.config.budget.max_cloud_usd_per_run = 2.0;
        let mut expected = effective.config.clone();
        changes(&mut expected);
        assert_eq!(lay(&mut effective, text, standing), Vec::<String>::new(), "{text}");
        assert_eq!(effective.config, expected, "{text}");
        assert_eq!(effective.notes.len(), notes.len(), "{:?}", effective.notes);
        for (note, part) in effective.notes.iter().zip(notes) {
            assert!(note.contains(part), "{note}");
        }
    }

    #[test]
    fn a_project_may_only_tighten() {
        let untrusted = |text: &str, changes: &dyn Fn(&mut Config), notes: &[&str]| {
            project(text, Standing::Project, changes, notes);
            project(text, Standing::TrustedProject, changes, notes);
        };
        untrusted("privacy: {local_only: true}", &|c| c.privacy.local_only = true, &[]);
        untrusted(
            "privacy: {local_only: false}",
            &|_| {},
            &["`privacy.local_only` in mux.yaml:1:23: a project may only"],
        );
        untrusted("privacy: {never_send: [\"*.sql\", id_*]}", &|c| c.privacy.never_send.push("*.sql".to_string()), &[]);
        untrusted("local_executor: {max_attempts: 2}", &|c| c.local_executor.max_attempts = 2, &[]);
        untrusted("local_executor: {max_attempts: 4}", &|_| {}, &[]);
        untrusted("local_executor: {max_attempts: 5}", &|_| {}, &["a project may only lower it (4 holds)"]);
        untrusted(
            "verification: {timeout_sec: 1.5}",
            &|c| c.verification.timeout_sec = Duration::from_millis(1500),
            &[],
        );
        untrusted("budget: {max_cloud_calls_per_day: 0}", &|c| c.budget.max_cloud_calls_per_day = 0, &[]);
        // 0 dollars is no limit: never lower than one, and any limit is lower than none.
        untrusted("budget: {max_cloud_usd_per_run: 0}", &|_| {}, &["may only lower it (2 holds)"]);
        untrusted("budget: {max_cloud_usd_per_run: 1}", &|c| c.budget.max_cloud_usd_per_run = 1.0, &[]);
        untrusted("budget: {max_cloud_usd_per_day: 9}", &|c| c.budget.max_cloud_usd_per_day = 9.0, &[]);
        untrusted("budget: {max_cloud_usd_per_day: 0}", &|_| {}, &[]);
    }

    #[test]
    fn a_project_never_sets_what_runs_or_where_code_goes() {
        for path in keys::paths(&Config::default()) {
            let row = keys::find(&mut Config::default(), &path).unwrap().project;
            let dangerous = [
                "url", "cmd", "key", "binary", "args", "model", "path", "roots", "dir", "remote", "sandbox", "enabled",
                "env", "order", "fallback", "reads", "secrets", "hooks.", "keep",
            ];
            if dangerous.iter().any(|word| path.contains(word)) && path != "hooks.deadline_sec" {
                assert_eq!(row, Project::Never, "{path}");
            }
        }
        let text = "providers: {local: {base_url: http://evil.invalid},\n\
            \x20 sota_cli: {tools: {claude: {binary: ./x}, new: {}}}}\n\
            local_runtime: {restart_cmd: ./x}\nledger: {file_path: x}";
        let notes = [
            "`providers.local.base_url` in mux.yaml:1:31: only your own",
            "tools.claude",
            "tools.new",
            "`local_runtime.restart_cmd`",
            "`ledger.file_path`",
        ];
        project(text, Standing::Project, |_| {}, &notes);
        project(text, Standing::TrustedProject, |_| {}, &notes);
    }

    #[test]
    fn a_file_of_thousands_of_mistakes_is_read_a_few_times() {
        // Each place costs a reading of all: thousands of them would take minutes.
        let text = (0..4000).map(|n| format!("k{n}: 1\n")).collect::<Vec<_>>().concat();
        let errors = lay(&mut Effective::default(), &text, Standing::Project);
        assert_eq!(errors.len(), MOST_TOLD + 1);
        assert!(errors[MOST_TOLD - 1].contains("unknown key `k19`\n  at: mux.yaml:20:1"), "{errors:?}");
        assert!(errors[MOST_TOLD].contains("there are more mistakes"), "{errors:?}");
        let tools = (0..3000).map(|n| format!("t{n}: {{}}, ")).collect::<Vec<_>>().concat();
        let mut effective = Effective::default();
        let text = format!("providers: {{sota_cli: {{tools: {{{tools}}}}}}}");
        assert_eq!(lay(&mut effective, &text, Standing::Project), Vec::<String>::new());
        assert_eq!(effective.notes.len(), MOST_TOLD + 1);
        assert_eq!(effective.notes[MOST_TOLD], "ignored more of the same file");
        assert_eq!(effective.config, Config::default());
    }

    #[test]
    fn what_only_a_shell_could_run_is_found_where_it_stands() {
        let errors = |text: &str, standing| lay(&mut Effective::default(), text, standing);
        let text = "verification: {commands: [./check, 'a | b']}";
        let expected = "cannot read config: `verification.commands` holds no command: `|` needs a shell\n  at: mux.yaml:1:36\n  \
                        hint: write it as [\"sh\", \"-c\", \"…\"], or quote the character";
        assert_eq!(errors(text, Standing::Own), [expected]);
        assert_eq!(errors(text, Standing::TrustedProject), [expected]);
        // What is not believed is not looked at.
        assert_eq!(errors(text, Standing::Project), Vec::<String>::new());
        let text =
            "local_runtime: {restart_cmd: [sh, -c, 'a | b']}\nverification: {commands: ['a \"b | c\"', [x, '|']]}";
        assert_eq!(errors(text, Standing::Own), Vec::<String>::new());
    }

    #[test]
    fn commands_of_a_project_need_trust() {
        let text = "verification: {commands: [./check]}";
        project(
            text,
            Standing::Project,
            |_| {},
            &["`verification.commands` in mux.yaml:1:26: the file is not trusted"],
        );
        let commands = |c: &mut Config| c.verification.commands = vec![CommandSpec::Line("./check".to_string())];
        project(text, Standing::TrustedProject, commands, &[]);
    }

    #[test]
    fn a_typing_error_in_a_project_is_an_error() {
        // Ignoring it could drop a restriction that was meant.
        let mut effective = Effective::default();
        let errors = lay(&mut effective, "privacy: {never_sent: [a]}", Standing::Project);
        assert_eq!(
            errors,
            ["cannot read config: unknown key `privacy.never_sent`\n  at: mux.yaml:1:11\n  \
                 hint: did you mean `never_send`?"]
        );
        let errors = lay(&mut effective, "privacy: {never_send: [a, 1]}", Standing::Project);
        assert!(errors.concat().contains("`privacy.never_send[1]` is `1`"), "{errors:?}");
    }

    #[test]
    fn local_only_is_never_taken_back() {
        let mut effective = own("privacy: {local_only: true}");
        assert_eq!(lay(&mut effective, "privacy: {local_only: false}", Standing::Own), Vec::<String>::new());
        assert!(effective.config.privacy.local_only);
        assert_eq!(effective.notes.len(), 1);
    }
}
