//! The table of keys: for each its path, its limits, what a project may do with it, and its slot in [`Config`].
//! Setting, showing, the names of environment variables and hints for misspelt keys are all driven by it. Not which
//! value wins: see `config_layers.rs`.

use crate::rules::config::{Config, Tool};
use crate::rules::config_text::Value;
use crate::rules::config_values::{Limit, Slot};
use crate::rules::nearest::nearest;

/// One key of the file.
pub struct Key<T: 'static> {
    /// Dotted; of a tool's key only the last part.
    pub path: &'static str,
    pub limit: Limit,
    pub project: Project,
    pub slot: fn(&mut T) -> Slot<'_>,
}

/// What the `mux.yaml` of a project may do with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Project {
    Never,
    /// Only to a smaller number.
    Lower,
    /// The same where 0 means "no limit".
    LowerNotZero,
    /// Only to `true`.
    True,
    /// Adds to the list.
    Add,
    /// After `mux trust`.
    Trusted,
}

/// The section that holds the cloud CLIs by name.
pub const TOOLS: &str = "providers.sota_cli.tools";
/// Variables that begin with `MUX_` and are no keys.
pub const OTHER_VARIABLES: [&str; 4] = ["MUX_CONFIG", "MUX_DEPTH", "MUX_HOOKS", "MUX_OFFLINE"];

const SECONDS: Limit = Limit::Range(0.001, 86_400.0);
const TOKENS: Limit = Limit::Range(1.0, 1_000_000.0);
const DOLLARS: Limit = Limit::Range(0.0, 1_000_000.0);
const BYTES: Limit = Limit::Range(0.0, 1e15);

macro_rules! keys {
    ($type:ty: $($head:ident $(. $tail:ident)* : $slot:ident, $limit:expr, $project:ident;)*) => {
        &[$(Key::<$type> {
            path: concat!(stringify!($head) $(, ".", stringify!($tail))*),
            limit: $limit,
            project: Project::$project,
            slot: |config| Slot::$slot(&mut config.$head $(.$tail)*),
        }),*]
    };
}

/// All keys in the order of the file.
pub static KEYS: &[Key<Config>] = keys! { Config:
    router.local_confidence_threshold: Number, Limit::Range(0.0, 1.0), Never;
    router.max_local_retries: Count, Limit::Range(0.0, 20.0), Lower;
    router.escalate_on: Triggers, Limit::Any, Never;
    router.complexity_threshold: Count, Limit::Range(1.0, 100.0), Never;
    router.complexity_keywords: Texts, Limit::Filled, Never;
    router.shadow: Number, Limit::Range(0.0, 1.0), Never;
    local_runtime.health_url: Text, Limit::UrlOrEmpty, Never;
    local_runtime.restart_cmd: Command, Limit::Any, Never;
    local_runtime.health_retries: Count, Limit::Range(0.0, 1000.0), Never;
    local_runtime.health_retry_delay_sec: Seconds, Limit::Range(0.0, 3600.0), Never;
    verification.enabled: Switch, Limit::Any, Never;
    verification.strict: Switch, Limit::Any, Never;
    verification.commands: Commands, Limit::Any, Trusted;
    verification.auto_detect: Switch, Limit::Any, Never;
    verification.timeout_sec: Seconds, SECONDS, Lower;
    verification.env: Texts, Limit::Variable, Never;
    verification.sandbox: Choice, Limit::Any, Never;
    verification.writable: Paths, Limit::Any, Never;
    providers.local.base_url: OneOrMore, Limit::Url, Never;
    providers.local.model: Text, Limit::Filled, Never;
    providers.local.api_key_env: Text, Limit::VariableOrEmpty, Never;
    providers.local.ca_file: Path, Limit::Any, Never;
    providers.local.temperature: Number, Limit::Range(0.0, 2.0), Never;
    providers.local.max_tokens: Count, TOKENS, Lower;
    providers.local.auto_detect: Switch, Limit::Any, Never;
    providers.local.allow_remote: Switch, Limit::Any, Never;
    providers.local.parallel: Count, Limit::Range(1.0, 1000.0), Never;
    providers.local.max_reply_bytes: Bytes, Limit::Range(1000.0, 1e9), Lower;
    providers.local.connect_timeout_sec: Seconds, SECONDS, Never;
    providers.local.first_token_timeout_sec: Seconds, SECONDS, Never;
    providers.local.idle_timeout_sec: Seconds, SECONDS, Never;
    providers.sota_cli.preferred_order: Texts, Limit::Any, Never;
    providers.sota_cli.executor_timeout_sec: Seconds, SECONDS, Lower;
    providers.sota_cli.advisory_timeout_sec: Seconds, SECONDS, Lower;
    providers.sota_cli.retry_if_no_change: Count, Limit::Range(0.0, 1.0), Lower;
    providers.sota_cli.tools: Tools, Limit::Any, Never;
    workflow.implementation_provider: Choice, Limit::Any, Never;
    workflow.review_provider: Text, Limit::Filled, Never;
    workflow.run_sota_review: Choice, Limit::Any, Never;
    workflow.local_apply_review: Switch, Limit::Any, Never;
    workflow.allow_sota_write_fallback: Switch, Limit::Any, Never;
    workflow.target_local_implementation_ratio: Number, Limit::Range(0.0, 1.0), Never;
    local_executor.max_attempts: Count, Limit::Range(1.0, 20.0), Lower;
    local_executor.max_tokens: Count, TOKENS, Lower;
    local_executor.edit_format: Choice, Limit::Any, Never;
    local_executor.stop_hopeless: Switch, Limit::Any, Never;
    ledger.file_path: Path, Limit::Any, Never;
    ledger.max_bytes: Bytes, Limit::Range(1000.0, 1e12), Never;
    ledger.max_rotated_files: Count, Limit::Range(0.0, 1000.0), Never;
    ledger.summary_window: Count, Limit::Range(1.0, 1_000_000.0), Never;
    ledger.recent_failures_limit: Count, Limit::Range(0.0, 1000.0), Never;
    ledger.store_text: Switch, Limit::Any, Never;
    ledger.sync: Switch, Limit::Any, Never;
    budget.max_cloud_calls_per_day: Count, Limit::Range(0.0, 1_000_000.0), Lower;
    budget.max_cloud_usd_per_day: Number, DOLLARS, LowerNotZero;
    budget.max_cloud_usd_per_run: Number, DOLLARS, LowerNotZero;
    budget.unknown_call_usd: Number, DOLLARS, Never;
    privacy.local_only: Switch, Limit::Any, True;
    privacy.never_send: Texts, Limit::Filled, Add;
    privacy.secrets: Choice, Limit::Any, Never;
    privacy.cloud_reads.advice: Choice, Limit::Any, Never;
    privacy.cloud_reads.review: Choice, Limit::Any, Never;
    privacy.cloud_reads.hooks: Choice, Limit::Any, Never;
    privacy.cloud_reads.answer: Choice, Limit::Any, Never;
    privacy.cloud_reads.hands: Choice, Limit::Any, Never;
    hooks.deadline_sec: Seconds, Limit::Range(0.1, 3600.0), Lower;
    hooks.style: Choice, Limit::Any, Never;
    hooks.allow_cloud: Switch, Limit::Any, Never;
    hooks.pre_commit_review: Switch, Limit::Any, Never;
    hooks.pre_push_review: Switch, Limit::Any, Never;
    hooks.pre_push_strict: Switch, Limit::Any, Never;
    work_dir: Path, Limit::Any, Never;
    allowed_roots: Paths, Limit::Any, Never;
    mcp.parallel: Count, Limit::Range(1.0, 100.0), Never;
    state.keep_runs_days: Count, Limit::Range(0.0, 100_000.0), Never;
    state.keep_runs_bytes: Bytes, BYTES, Never;
};

/// The keys of one tool. The last two are only for tools that are not built in.
pub static TOOL_KEYS: &[Key<Tool>] = keys! { Tool:
    binary: Text, Limit::Filled, Never;
    model: Text, Limit::Any, Never;
    advisory_args: Args, Limit::Any, Never;
    exec_args: Args, Limit::Any, Never;
    prompt_via: Choice, Limit::Any, Never;
    reply: Choice, Limit::Any, Never;
    scope: Choice, Limit::Any, Never;
};

/// The names of the tools that are built in.
pub const BUILT_IN: [&str; 3] = ["claude", "codex", "gemini"];

/// A key that was found: its limits and its place.
pub struct Found<'a> {
    pub limit: Limit,
    pub project: Project,
    pub slot: Slot<'a>,
}

/// Finds a key by its full path. A tool's key is found only if the tool is declared and may have it.
pub fn find<'a>(config: &'a mut Config, path: &str) -> Option<Found<'a>> {
    if let Some((name, key)) = tool_key(path) {
        let row = tool_rows(name).find(|row| row.path == key)?;
        let tool = config.providers.sota_cli.tools.0.iter_mut().find(|(known, _)| known == name)?;
        return Some(Found { limit: row.limit, project: row.project, slot: (row.slot)(&mut tool.1) });
    }
    let row = KEYS.iter().find(|row| row.path == path)?;
    Some(Found { limit: row.limit, project: row.project, slot: (row.slot)(config) })
}

/// Returns the paths of all single values in the order of the file, those of the declared tools included.
pub fn paths(config: &Config) -> Vec<String> {
    let mut paths = Vec::new();
    for row in KEYS {
        if row.path == TOOLS {
            for (name, _) in &config.providers.sota_cli.tools.0 {
                paths.extend(tool_rows(name).map(|key| format!("{TOOLS}.{name}.{}", key.path)));
            }
        } else {
            paths.push(row.path.to_string());
        }
    }
    paths
}

/// Returns the value of a key.
pub fn value(config: &mut Config, path: &str) -> Option<Value> {
    find(config, path).map(|found| found.slot.value())
}

/// Returns the environment variable that sets a key.
pub fn variable(path: &str) -> String {
    format!("MUX_{}", path.to_ascii_uppercase().replace(['.', '-'], "_"))
}

/// Returns the keys that may stand in a section; none where names are free.
pub fn children(section: &str) -> Vec<&'static str> {
    if let Some(name) = section.strip_prefix(TOOLS).and_then(|rest| rest.strip_prefix('.')) {
        return tool_rows(name).map(|row| row.path).collect();
    }
    let mut names: Vec<&str> = Vec::new();
    for row in KEYS {
        let inside = if section.is_empty() { Some(row.path) } else { below(row.path, section) };
        let name = inside.and_then(|rest| rest.split('.').next());
        names.extend(name.filter(|name| !names.contains(name)));
    }
    names
}

/// Says what to write instead of a key that does not exist: the nearest in its section, a key of that name elsewhere,
/// one that begins like it, else what the section may hold.
pub fn suggest(section: &str, wrong: &str) -> String {
    let names = children(section);
    let elsewhere = || {
        KEYS.iter().find_map(|row| {
            let end = row.path.split('.').position(|part| part == wrong)?;
            Some(row.path.split('.').take(end + 1).collect::<Vec<_>>().join("."))
        })
    };
    let longer = || names.iter().find(|name| wrong.len() >= 3 && name.starts_with(wrong)).map(ToString::to_string);
    if KEYS.iter().any(|row| row.path == wrong) {
        let (sections, key) = wrong.rsplit_once('.').unwrap_or_default();
        return format!("put `{key}:` below `{}:`, indented", sections.replace('.', ":` below `"));
    }
    match nearest(wrong, names.iter().copied()).map(String::from).or_else(elsewhere).or_else(longer) {
        Some(path) => format!("did you mean `{path}`?"),
        None => format!("valid here: {}", names.join(", ")),
    }
}

/// Splits the path of a tool's key into the tool and its key.
fn tool_key(path: &str) -> Option<(&str, &str)> {
    below(path, TOOLS)?.split_once('.')
}

fn tool_rows(name: &str) -> impl Iterator<Item = &'static Key<Tool>> + use<> {
    let shown = if BUILT_IN.contains(&name) { TOOL_KEYS.len() - 2 } else { TOOL_KEYS.len() };
    TOOL_KEYS.iter().take(shown)
}

/// Returns what comes after `section.` in a path.
fn below<'a>(path: &'a str, section: &str) -> Option<&'a str> {
    path.strip_prefix(section)?.strip_prefix('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::config_values::Base;
    use std::path::Path;

    #[test]
    fn every_key_has_a_variable_of_its_own() {
        let mut names: Vec<String> = paths(&Config::default()).iter().map(|path| variable(path)).collect();
        names.extend(OTHER_VARIABLES.map(String::from));
        assert!(names.contains(&"MUX_PROVIDERS_LOCAL_BASE_URL".to_string()));
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn every_default_fits_its_own_limits_and_reads_back() {
        let base = Base { dir: Path::new("/"), home: None };
        let mut config = Config::default();
        for path in paths(&Config::default()) {
            let value = value(&mut config, &path).unwrap();
            let mut found = find(&mut config, &path).unwrap();
            assert_eq!(found.slot.set(&value, found.limit, base), Ok(()), "{path}");
        }
        assert_eq!(config, Config::default());
    }

    #[track_caller]
    fn suggests(section: &str, wrong: &str, hint: &str) {
        assert_eq!(suggest(section, wrong), hint);
    }

    #[test]
    fn hints_name_the_nearest_key() {
        suggests("providers.local", "max_token", "did you mean `max_tokens`?");
        suggests("providers.local", "maxTokens", "did you mean `max_tokens`?");
        suggests("verification", "timeout", "did you mean `timeout_sec`?");
        suggests("", "local", "did you mean `providers.local`?");
        suggests("", "privcy", "did you mean `privacy`?");
        suggests("router", "never_send", "did you mean `privacy.never_send`?");
        suggests("", "router.shadow", "put `shadow:` below `router:`, indented");
        suggests("state", "x", "valid here: keep_runs_days, keep_runs_bytes");
        suggests("state", &"keep".repeat(1000), "valid here: keep_runs_days, keep_runs_bytes");
        suggests(&format!("{TOOLS}.codex"), "args", "valid here: binary, model, advisory_args, exec_args, prompt_via");
        suggests(&format!("{TOOLS}.agy"), "reply_", "did you mean `reply`?");
    }
}
