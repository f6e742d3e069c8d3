//! The configuration as values: what every key holds and its default. Not how it is read: see `config_keys.rs` (the
//! table of keys), `config_layers.rs` (which value wins) and `config_text.rs` (YAML).
//!
//! **Invariant:** [`DEFAULT_YAML`] parses to exactly [`Config::default`], so starting up needs no parser.
//!
//! Fields are named as in the file. What the file counts in seconds is a [`Duration`] here.

pub use crate::rules::config_choices::{
    Choice, EditFormat, Implementer, PromptVia, ReplyForm, Sandbox, Scope, Secrets, SotaReview, Style, Trigger,
};
use std::path::PathBuf;
use std::time::Duration;

/// The commented default, as `mux config init` and the README show it.
pub const DEFAULT_YAML: &str = include_str!("../../config/mux.yaml");

/// All settings. Made by the layers of `config_layers.rs`, or by `default()`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub router: Router,
    pub local_runtime: LocalRuntime,
    pub verification: Verification,
    pub providers: Providers,
    pub workflow: Workflow,
    pub local_executor: LocalExecutor,
    pub ledger: Ledger,
    pub budget: Budget,
    pub privacy: Privacy,
    pub hooks: Hooks,
    /// Empty: chosen by the rule of the work directory. Else absolute.
    pub work_dir: PathBuf,
    /// Absolute directories below which MCP callers may work, besides their own roots.
    pub allowed_roots: Vec<PathBuf>,
    pub mcp: Mcp,
    pub state: State,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Router {
    /// 0 to 1.
    pub local_confidence_threshold: f64,
    pub max_local_retries: u32,
    pub escalate_on: Vec<Trigger>,
    /// Risk words that must be in an `answer` task before it goes to the cloud; at least 1.
    pub complexity_threshold: u32,
    pub complexity_keywords: Vec<String>,
    /// Share of accepted local runs that get an independent review; 0 is none, 1 is all.
    pub shadow: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LocalRuntime {
    /// Empty: derived from `base_url`.
    pub health_url: String,
    pub restart_cmd: Option<CommandSpec>,
    pub health_retries: u32,
    pub health_retry_delay_sec: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    pub enabled: bool,
    pub strict: bool,
    pub commands: Vec<CommandSpec>,
    pub auto_detect: bool,
    /// For each command.
    pub timeout_sec: Duration,
    /// Names of environment variables that the commands get although they would be taken away.
    pub env: Vec<String>,
    pub sandbox: Sandbox,
    /// Where confined commands may write besides what they usually may.
    pub writable: Vec<PathBuf>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Providers {
    pub local: Local,
    pub sota_cli: SotaCli,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Local {
    /// At least one `http(s)://host[:port][/path]`, without a slash at the end.
    pub base_url: Vec<String>,
    pub model: String,
    /// Name of the environment variable that holds the key; empty: no key.
    pub api_key_env: String,
    /// PEM file with the authorities that an https server's certificate may come from; empty: the public ones.
    pub ca_file: PathBuf,
    pub temperature: f64,
    pub max_tokens: u32,
    pub auto_detect: bool,
    pub allow_remote: bool,
    pub parallel: u32,
    pub max_reply_bytes: u64,
    pub connect_timeout_sec: Duration,
    pub first_token_timeout_sec: Duration,
    pub idle_timeout_sec: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SotaCli {
    /// Names of [`Tools`], each once.
    pub preferred_order: Vec<String>,
    pub executor_timeout_sec: Duration,
    pub advisory_timeout_sec: Duration,
    pub retry_if_no_change: u32,
    pub tools: Tools,
}

/// The cloud CLIs by name, in the order of declaration: claude, codex, gemini, then those that the user declares.
#[derive(Clone, Debug, PartialEq)]
pub struct Tools(pub Vec<(String, Tool)>);

/// One cloud CLI.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// A name looked up in `PATH`, or an absolute path.
    pub binary: String,
    /// Empty: the CLI's own default. Never empty for gemini.
    pub model: String,
    /// Added to the built-in arguments of advice and reviews.
    pub advisory_args: Vec<String>,
    /// Added to the built-in arguments of hands.
    pub exec_args: Vec<String>,
    pub prompt_via: PromptVia,
    /// How its output is read. Fixed for the three that are built in.
    pub reply: ReplyForm,
    /// The narrowest scope it can be held to. For the three that are built in, the provider table knows better.
    pub scope: Scope,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Workflow {
    pub implementation_provider: Implementer,
    /// `sota` (the first of `preferred_order` that can) or the name of a tool.
    pub review_provider: String,
    pub run_sota_review: SotaReview,
    pub local_apply_review: bool,
    pub allow_sota_write_fallback: bool,
    /// 0 to 1.
    pub target_local_implementation_ratio: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LocalExecutor {
    pub max_attempts: u32,
    pub max_tokens: u32,
    pub edit_format: EditFormat,
    pub stop_hopeless: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    /// Empty: `run_ledger.jsonl` in the state directory. Else absolute.
    pub file_path: PathBuf,
    pub max_bytes: u64,
    pub max_rotated_files: u32,
    pub summary_window: u32,
    pub recent_failures_limit: u32,
    pub store_text: bool,
    pub sync: bool,
}

/// Limits on cloud calls. 0 dollars is no limit; 0 calls is none at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    pub max_cloud_calls_per_day: u32,
    pub max_cloud_usd_per_day: f64,
    pub max_cloud_usd_per_run: f64,
    pub unknown_call_usd: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Privacy {
    pub local_only: bool,
    pub never_send: Vec<String>,
    pub secrets: Secrets,
    pub cloud_reads: CloudReads,
}

/// The widest scope that is allowed for each use of the cloud.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudReads {
    pub advice: Scope,
    pub review: Scope,
    pub hooks: Scope,
    pub answer: Scope,
    pub hands: Scope,
}

#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "the switches of the file; no two of them depend on each other")]
pub struct Hooks {
    pub deadline_sec: Duration,
    pub style: Style,
    pub allow_cloud: bool,
    pub pre_commit_review: bool,
    pub pre_push_review: bool,
    pub pre_push_strict: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Mcp {
    /// Tasks that one server does at a time.
    pub parallel: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub keep_runs_days: u32,
    pub keep_runs_bytes: u64,
}

/// A command as the user wrote it; splitting a line is the business of whoever runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandSpec {
    /// Not blank.
    Line(String),
    /// At least the program.
    Argv(Vec<String>),
}

impl Tools {
    /// Returns a tool by its name.
    pub fn named(&self, name: &str) -> Option<&Tool> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, tool)| tool)
    }

    /// Adds a tool of this name unless it is there.
    pub fn declare(&mut self, name: &str) {
        if self.named(name).is_none() {
            self.0.push((name.to_string(), Tool::declared(name, ReplyForm::Text, Scope::Machine)));
        }
    }
}

impl Tool {
    fn declared(name: &str, reply: ReplyForm, scope: Scope) -> Tool {
        Tool {
            binary: name.to_string(),
            model: String::new(),
            advisory_args: Vec::new(),
            exec_args: Vec::new(),
            prompt_via: PromptVia::Stdin,
            reply,
            scope,
        }
    }
}

impl Default for Tools {
    fn default() -> Tools {
        let built_in = |name: &str, reply| (name.to_string(), Tool::declared(name, reply, Scope::Prompt));
        let mut gemini = built_in("gemini", ReplyForm::Gemini);
        // Without -m gemini routes each prompt through a second model and can retry for ever when one is missing.
        gemini.1.model = "gemini-3.8-flash".to_string();
        Tools(vec![built_in("claude", ReplyForm::Claude), built_in("codex", ReplyForm::Codex), gemini])
    }
}

impl Default for Config {
    fn default() -> Config {
        let texts = |words: &[&str]| words.iter().copied().map(String::from).collect::<Vec<_>>();
        let seconds = Duration::from_secs;
        Config {
            router: Router {
                local_confidence_threshold: 0.6,
                max_local_retries: 1,
                escalate_on: vec![Trigger::LowConfidence, Trigger::VerificationFailures, Trigger::HighComplexity],
                complexity_threshold: 1,
                complexity_keywords: texts(&[
                    "multi-file",
                    "architecture",
                    "migration",
                    "security",
                    "performance",
                    "ambiguous",
                    "refactor",
                    "concurrency",
                ]),
                shadow: 0.0,
            },
            local_runtime: LocalRuntime {
                health_url: "http://127.0.0.1:18473/health".to_string(),
                restart_cmd: None,
                health_retries: 2,
                health_retry_delay_sec: seconds(2),
            },
            verification: Verification {
                enabled: true,
                strict: false,
                commands: Vec::new(),
                auto_detect: true,
                timeout_sec: seconds(600),
                env: Vec::new(),
                sandbox: Sandbox::Auto,
                writable: Vec::new(),
            },
            providers: Providers {
                local: Local {
                    base_url: texts(&["http://127.0.0.1:18473/v1"]),
                    model: "Qwen3.6-35B-A3B-IQ3_K_R4".to_string(),
                    api_key_env: "LOCAL_OPENAI_API_KEY".to_string(),
                    ca_file: PathBuf::new(),
                    temperature: 0.2,
                    max_tokens: 1200,
                    auto_detect: true,
                    allow_remote: false,
                    parallel: 1,
                    max_reply_bytes: 8 << 20,
                    connect_timeout_sec: seconds(2),
                    first_token_timeout_sec: seconds(120),
                    idle_timeout_sec: seconds(30),
                },
                sota_cli: SotaCli {
                    preferred_order: texts(&["claude", "codex", "gemini"]),
                    executor_timeout_sec: seconds(900),
                    advisory_timeout_sec: seconds(300),
                    retry_if_no_change: 1,
                    tools: Tools::default(),
                },
            },
            workflow: Workflow {
                implementation_provider: Implementer::LocalExecutor,
                review_provider: "sota".to_string(),
                run_sota_review: SotaReview::Unverified,
                local_apply_review: true,
                allow_sota_write_fallback: false,
                target_local_implementation_ratio: 0.95,
            },
            local_executor: LocalExecutor {
                max_attempts: 4,
                max_tokens: 6000,
                edit_format: EditFormat::Auto,
                stop_hopeless: true,
            },
            ledger: Ledger {
                file_path: PathBuf::new(),
                max_bytes: 2_000_000,
                max_rotated_files: 5,
                summary_window: 200,
                recent_failures_limit: 5,
                store_text: false,
                sync: true,
            },
            budget: Budget {
                max_cloud_calls_per_day: 50,
                max_cloud_usd_per_day: 0.0,
                max_cloud_usd_per_run: 0.0,
                unknown_call_usd: 0.25,
            },
            privacy: Privacy {
                local_only: false,
                never_send: texts(&[".env*", "*.pem", "*.key", "id_*", "secrets/**"]),
                secrets: Secrets::Block,
                cloud_reads: CloudReads {
                    advice: Scope::Prompt,
                    review: Scope::Prompt,
                    hooks: Scope::Prompt,
                    answer: Scope::Workdir,
                    hands: Scope::Machine,
                },
            },
            hooks: Hooks {
                deadline_sec: seconds(5),
                style: Style::Repo,
                allow_cloud: false,
                pre_commit_review: false,
                pre_push_review: false,
                pre_push_strict: false,
            },
            work_dir: PathBuf::new(),
            allowed_roots: Vec::new(),
            mcp: Mcp { parallel: 4 },
            state: State { keep_runs_days: 30, keep_runs_bytes: 500_000_000 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::config_keys::{TOOLS, paths};

    #[test]
    fn every_key_of_the_page_has_a_comment() {
        let lines: Vec<&str> = DEFAULT_YAML.lines().collect();
        let mut open: Vec<&str> = Vec::new();
        let mut seen = Vec::new();
        for (n, line) in lines.iter().enumerate() {
            let text = line.trim_start();
            let Some((key, value)) = text.split_once(':').filter(|_| !text.starts_with('#')) else { continue };
            open.truncate((line.len() - text.len()) / 2);
            open.push(key);
            let path = open.join(".");
            let commented =
                value.contains(" # ") || lines[..n].last().is_some_and(|above| above.trim_start().starts_with("# "));
            // A section may stand right below its own; `tools.claude` is explained by `tools`.
            assert!(commented || value.is_empty(), "`{path}` has no comment");
            if !value.is_empty() {
                seen.push(path);
            }
        }
        assert_eq!(seen, paths(&Config::default()), "the page and the table hold the same keys in the same order");
        assert!(seen.iter().any(|path| path.starts_with(TOOLS)));
        assert!(lines.iter().all(|line| line.chars().count() <= 120));
    }

    #[test]
    fn choices_are_spelt_as_in_the_contract() {
        let mut scope = Scope::Prompt;
        assert!(scope.choose("machine") && scope == Scope::Machine && Scope::Prompt < Scope::Workdir);
        assert!(!scope.choose("Machine") && scope == Scope::Machine);
        assert_eq!(SotaReview::Always.word(), "true");
        assert_eq!(Sandbox::Auto.words(), ["auto", "off", "required"]);
    }
}
