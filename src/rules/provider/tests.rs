//! Every recorded case of the CLIs, and the command lines.

use super::*;
use crate::rules::config::Tools;
use std::fmt::Write;
use std::path::PathBuf;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cli")
}

/// Replays a recorded case, `cli/case`.
fn replay(case: &str) -> Result<CloudReply, CloudFailure> {
    let read = |name: &str| fs_err::read(root().join(case).join(name)).unwrap_or_default();
    let exit = String::from_utf8(read("exit")).unwrap();
    let end = match exit.trim().split_once(' ') {
        Some(("code", number)) => End::Code(number.parse().unwrap()),
        Some(("signal", number)) => End::Signal(number.parse().unwrap()),
        Some(_) | None => {
            assert_eq!(exit, "deadline\n", "{case}");
            End::TimedOut
        }
    };
    let form = match case.split_once('/').unwrap() {
        (_, "success-text") => ReplyForm::Text,
        ("claude", _) => ReplyForm::Claude,
        ("codex", _) => ReplyForm::Codex,
        _ => ReplyForm::Gemini,
    };
    parse(form, &end, &read("stdout"), &read("stderr"))
}

/// `ok | model prompt+completion $cost | denied …`, or `class: the beginning of the message`.
fn told(case: &str) -> String {
    match replay(case) {
        Ok(reply) => {
            assert_eq!(reply.text, "The answer is 42. (canned reply)", "{case}");
            let number = |number: Option<u64>| number.map_or("-".to_string(), |number| number.to_string());
            let mut told = format!(
                "ok | {} {}+{}",
                reply.model.as_deref().unwrap_or("-"),
                number(reply.prompt_tokens),
                number(reply.completion_tokens)
            );
            if let Some(usd) = reply.cost_usd {
                let _ = write!(told, " ${usd}");
            }
            for denied in reply.denied {
                let _ = write!(told, " | denied {}", denied.chars().take(30).collect::<String>());
            }
            told
        }
        Err(failure) => {
            let json = serde_json::to_value(failure.class).unwrap();
            let until = json["until"].as_u64().map(|seconds| format!(" ({seconds} s)")).unwrap_or_default();
            let message: String = failure.message.chars().take(45).collect();
            format!("{}{until}: {}", failure.class.name(), message.replace('\n', " "))
        }
    }
}

/// Each case and what it comes to. The contract's traps stand among them: claude on SIGINT and gemini on every signal end
/// with 0; gemini ends with 0 on a cut stream, with the partial text four times over; all three end with 0 when every
/// write was denied. A used-up plan of claude is told from a busy minute with a subscription (`mux-…-usage-limit`), and by
/// nothing that it prints with a key.
#[rustfmt::skip]
const CASES: &[(&str, &str)] = &[
    ("claude/400-too-long", "context_too_long: Prompt is too long · the request is ~250000 t"),
    ("claude/401", "auth: Invalid API key · Fix external API key"),
    ("claude/403", "auth: Failed to authenticate. API Error: 403 Your a"),
    ("claude/404", "model_missing: There's an issue with the selected model (cla"),
    ("claude/429", "rate_limited: API Error: Request rejected (429) · This requ"),
    ("claude/429-maxretries1", "rate_limited: API Error: Request rejected (429) · This requ"),
    ("claude/500", "server: API Error: 500 Internal server error. This is"),
    ("claude/500-maxretries1", "server: API Error: 500 Internal server error. This is"),
    ("claude/529", "server: API Error: Repeated 529 Overloaded errors. Th"),
    ("claude/529-maxretries1", "server: API Error: 529 Overloaded. This is a server-s"),
    ("claude/acceptedits-bash-curl", "ok | claude-opus-5-5 2000+100 $0.01 | denied Bash curl -s http://127.0.0.1:"),
    ("claude/acceptedits-bash-python-write", "ok | claude-opus-5-5 2000+100 $0.01 | denied Bash python3 -c \"open('shell.t"),
    ("claude/acceptedits-bash-rm", "ok | claude-opus-5-5 2000+100 $0.01"),
    ("claude/acceptedits-bash-rm-outside", "ok | claude-opus-5-5 2000+100 $0.01 | denied Bash rm -f ../nothing; touch ."),
    ("claude/auth-missing", "auth: Not logged in · Please run /login"),
    ("claude/bad-flag", "malformed: error: unknown option '--no-such-flag'"),
    ("claude/bare", "ok | claude-opus-5-5 1000+50 $0.005"),
    ("claude/dash-prompt", "malformed: error: unknown option '-x do it'"),
    ("claude/dash-prompt-doubledash", "ok | claude-opus-5-5 1000+50 $0.005"),
    ("claude/edit-file", "ok | claude-opus-5-5 3000+150 $0.015"),
    ("claude/empty", "empty: it ended well and said nothing"),
    ("claude/hang", "timeout: no end within the deadline of the call"),
    ("claude/hang-apitimeout5s", "timeout: Request timed out. If the API is slow to answ"),
    ("claude/hang-mid", "ok | claude-opus-5-5 2000+51 $0.00902"),
    ("claude/json-schema", "ok | claude-opus-5-5 2000+100 $0.01"),
    ("claude/malformed", "ok | claude-opus-5-5 1000+50 $0.005"),
    ("claude/max-budget", "denied: Reached maximum budget ($0.001)"),
    ("claude/max-turns-1", "denied: Reached maximum number of turns (1)"),
    ("claude/mux-advice", "ok | claude-opus-5-5 1000+50 $0.005"),
    ("claude/mux-advice-hang", "timeout: Request timed out. If the API is slow to answ"),
    ("claude/mux-advice-usage-limit", "quota: You've hit your 5-hour limit · resets 5:45pm "),
    ("claude/mux-answer", "ok | claude-opus-5-5 2000+100 $0.01"),
    ("claude/mux-answer-never-send", "ok | claude-opus-5-5 2000+100 $0.01 | denied Read <WORK>/.env.local"),
    ("claude/mux-hands", "ok | claude-opus-5-5 2000+100 $0.01"),
    ("claude/mux-hands-429", "rate_limited: API Error: Request rejected (429) · This requ"),
    ("claude/mux-hands-429-late", "rate_limited: no end within the deadline of the call; the l"),
    ("claude/mux-hands-usage-limit", "quota (3599 s): You've hit your 5-hour limit · resets 5:45pm "),
    ("claude/nested-CLAUDECODE", "ok | claude-opus-5-5 1000+50 $0.005"),
    ("claude/nested-claude", "ok | claude-opus-5-5 2000+100 $0.01"),
    ("claude/no-git-repo", "ok | claude-opus-5-5 1000+50 $0.005"),
    ("claude/no-prompt-at-all", "malformed: Error: Input must be provided either through "),
    ("claude/partial-stream-json", "ok | claude-opus-5-5 1000+50 $0.005"),
    ("claude/restricted", "ok | claude-opus-5-5 2000+100 $0.01"),
    ("claude/safe-mode", "ok | claude-opus-5-5 1000+50 $0.005"),
    ("claude/shell-acceptedits-bash-offered", "ok | claude-opus-5-5 2000+100 $0.01"),
    ("claude/shell-allowed-env", "ok | claude-opus-5-5 2000+100 $0.01"),
    ("claude/shell-in-write-mode", "ok | claude-opus-5-5 1000+50 $0.005"),
    ("claude/sigint-midway", "killed: [ede_diagnostic] result_type=user last_conten"),
    ("claude/sigterm-midway", "killed: it ended with 143 and no reply"),
    ("claude/skip-permissions-as-root", "malformed: --dangerously-skip-permissions cannot be used"),
    ("claude/slow-stream", "ok | claude-opus-5-5 1000+50 $0.005"),
    ("claude/sse-error", "ok | claude-opus-5-5 1000+50 $0.005"),
    ("claude/stdin-plus-arg", "ok | claude-opus-5-5 1000+50 $0.005"),
    ("claude/stream-json-no-verbose", "malformed: Error: When using --print, --output-format=st"),
    ("claude/success-readonly-json", "ok | claude-opus-5-5 1000+50 $0.005"),
    ("claude/success-stdin-long", "ok | claude-opus-5-5 1000+50 $0.005"),
    ("claude/success-stdin-prompt", "ok | claude-opus-5-5 1000+50 $0.005"),
    ("claude/success-stream-json", "ok | claude-opus-5-5 1000+50 $0.005"),
    ("claude/success-text", "ok | - -+-"),
    ("claude/table-readonly-reads", "ok | claude-opus-5-5 2000+100 $0.01"),
    ("claude/table-readonly-refuses-write", "ok | claude-opus-5-5 1000+50 $0.005"),
    ("claude/table-write-refuses-outside", "ok | claude-opus-5-5 2000+100 $0.01 | denied Write <LAB>/escaped.txt"),
    ("claude/table-write-writes", "ok | claude-opus-5-5 2000+100 $0.01"),
    ("claude/truncated", "ok | claude-opus-5-5 3000+52 $0.01304"),
    ("claude/usage-limit", "rate_limited: API Error: Request rejected (429) · This requ"),
    ("claude/write-file", "ok | claude-opus-5-5 2000+100 $0.01"),
    ("claude/write-file-default-mode", "ok | claude-opus-5-5 2000+100 $0.01 | denied Write <WORK>/hello.txt"),
    ("claude/write-file-in-readonly", "ok | claude-opus-5-5 1000+50 $0.005"),
    ("claude/write-file-outside", "ok | claude-opus-5-5 2000+100 $0.01 | denied Write <LAB>/escaped.txt"),
    ("claude/write-file-plan-mode", "ok | claude-opus-5-5 2000+100 $0.01 | denied Write <WORK>/hello.txt"),
    ("claude/write-file-stream-json", "ok | claude-opus-5-5 2000+100 $0.01"),
    ("codex/400-too-long", "context_too_long: Codex ran out of room in the model's context "),
    ("codex/401", "auth: unexpected status 401 Unauthorized: Incorrect"),
    ("codex/403", "auth: unexpected status 403 Forbidden: Not allowed."),
    ("codex/404", "model_missing: The model `gpt-5` does not exist or you do no"),
    ("codex/429", "rate_limited: exceeded retry limit, last status: 429 Too Ma"),
    ("codex/429-retries0", "rate_limited: exceeded retry limit, last status: 429 Too Ma"),
    ("codex/500", "server: We’re currently experiencing high demand, whi"),
    ("codex/500-retries0", "server: We’re currently experiencing high demand, whi"),
    ("codex/529", "server: unexpected status 529 <unknown status code>: "),
    ("codex/auth-missing", "auth: Missing environment variable: `LAB_KEY`."),
    ("codex/auth-missing-builtin-provider", "network: no end within the deadline of the call; the l"),
    ("codex/bad-flag", "malformed: error: unexpected argument '--no-such-flag' f"),
    ("codex/builtin-provider-OPENAI_API_KEY-only", "ok | - 1000+50"),
    ("codex/builtin-provider-openai_base_url", "ok | - 1000+50"),
    ("codex/dash-prompt", "malformed: error: unexpected argument '-x' found tip: to"),
    ("codex/dash-prompt-doubledash", "ok | - 1000+50"),
    ("codex/edit-file", "ok | - 1000+50"),
    ("codex/empty", "empty: it ended well and said nothing"),
    ("codex/hang", "timeout: no end within the deadline of the call"),
    ("codex/hang-idle5s", "timeout: stream disconnected before completion: idle t"),
    ("codex/hang-mid", "timeout: no end within the deadline of the call; the l"),
    ("codex/last-message-file", "ok | - 1000+50"),
    ("codex/malformed", "network: stream disconnected before completion: stream"),
    ("codex/mux-advice", "ok | - 1000+50"),
    ("codex/mux-advice-gpt5", "ok | - 1000+50"),
    ("codex/mux-answer", "ok | - 1000+50"),
    ("codex/mux-hands", "ok | - 2000+100"),
    ("codex/mux-hands-gpt5", "ok | - 2000+100"),
    ("codex/no-git-repo", "denied: Not inside a trusted directory and --skip-git"),
    ("codex/no-prompt-at-all", "malformed: No prompt provided via stdin."),
    ("codex/shell-allowed-env", "ok | - 2000+100"),
    ("codex/shell-in-write-mode", "ok | - 2000+100"),
    ("codex/shell-network", "ok | - 2000+100 | denied /bin/bash: socket: Operation n"),
    ("codex/sigint-midway", "killed: it ended with 1 and no reply"),
    ("codex/sigterm-midway", "killed: by signal 15"),
    ("codex/slow-stream", "ok | - 1000+50"),
    ("codex/sse-error", "server: Selected model is at capacity. Please try a d"),
    ("codex/stdin-dash", "ok | - 1000+50"),
    ("codex/stdin-plus-arg", "ok | - 1000+50"),
    ("codex/success-readonly-json", "ok | - 1000+50"),
    ("codex/success-stdin-long", "ok | - 1000+50"),
    ("codex/success-stdin-prompt", "ok | - 1000+50"),
    ("codex/success-text", "ok | - -+-"),
    ("codex/table-readonly-reads", "ok | - 2000+100"),
    ("codex/table-readonly-refuses-write", "ok | - 2000+100 | denied /bin/bash: line 1: hello.txt: "),
    ("codex/table-write-refuses-outside", "ok | - 2000+100 | denied /bin/bash: line 1: ../escaped."),
    ("codex/table-write-writes", "ok | - 2000+100"),
    ("codex/truncated", "network: stream disconnected before completion: stream"),
    ("codex/truncated-retries0", "network: stream disconnected before completion: stream"),
    ("codex/usage-limit", "quota: You’ve hit your usage limit. Upgrade to Pro ("),
    ("codex/write-file", "ok | - 2000+100"),
    ("codex/write-file-git-untrusted", "ok | - 2000+100"),
    ("codex/write-file-in-readonly", "ok | - 2000+100 | denied /bin/bash: line 1: hello.txt: "),
    ("codex/write-file-no-tmp", "ok | - 2000+100 | denied /bin/bash: line 1: ../escaped."),
    ("codex/write-file-outside", "ok | - 2000+100"),
    ("gemini/400-too-long", "context_too_long: The input token count exceeds the maximum num"),
    ("gemini/401", "auth: API key not valid. Please pass a valid API ke"),
    ("gemini/403", "auth: fake error"),
    ("gemini/404", "timeout: no end within the deadline of the call"),
    ("gemini/404-auto-model-default-mode", "model_missing: models/gemini-3.1-pro-preview is not found fo"),
    ("gemini/404-explicit-model", "model_missing: models/no-such-model is not found for API ver"),
    ("gemini/404-explicit-model-default-mode", "model_missing: models/gemini-2.5-pro is not found for API ve"),
    ("gemini/404-maxattempts1", "model_missing: models/gemini-2.5-pro is not found for API ve"),
    ("gemini/404-plan-explicit-model", "model_missing: models/gemini-2.5-pro is not found for API ve"),
    ("gemini/429", "rate_limited (1 s): no end within the deadline of the call; the l"),
    ("gemini/429-auto-model-default-mode", "rate_limited (1 s): no end within the deadline of the call; the l"),
    ("gemini/429-explicit-model-default-mode", "rate_limited (1 s): no end within the deadline of the call; the l"),
    ("gemini/429-maxattempts1", "rate_limited (1 s): You exceeded your current quota. Suggested re"),
    ("gemini/500", "server: no end within the deadline of the call; the l"),
    ("gemini/500-auto-model-default-mode", "server: no end within the deadline of the call; the l"),
    ("gemini/500-explicit-model-default-mode", "server: no end within the deadline of the call; the l"),
    ("gemini/500-maxattempts1", "server: fake error"),
    ("gemini/529", "server: no end within the deadline of the call; the l"),
    ("gemini/auth-missing", "auth: When using Gemini API, you must specify the G"),
    ("gemini/bad-flag", "malformed: Unknown arguments: such-flag, suchFlag Usage:"),
    ("gemini/base-url-without-selectedType", "auth: Invalid auth method selected."),
    ("gemini/dash-prompt", "malformed: Not enough arguments following: p Usage: gemi"),
    ("gemini/dash-prompt-equals", "ok | gemini-3.1-pro-preview-customtools 1000+50"),
    ("gemini/edit-file", "ok | gemini-3.8-flash 4000+200"),
    ("gemini/empty", "empty: The model returned an empty response with no "),
    ("gemini/explicit-model", "ok | gemini-2.5-pro 1000+50"),
    ("gemini/hang", "network: exception TypeError: fetch failed sending req"),
    ("gemini/hang-mid", "timeout: no end within the deadline of the call"),
    ("gemini/malformed", "malformed: Expected double-quoted property name in JSON "),
    ("gemini/max-session-turns-1", "denied: Reached max session turns for this session. I"),
    ("gemini/mux-advice", "ok | gemini-3.8-flash 1000+50"),
    ("gemini/mux-answer", "ok | gemini-3.8-flash 2000+100"),
    ("gemini/mux-hands", "ok | gemini-3.8-flash 2000+100"),
    ("gemini/no-git-repo", "ok | gemini-3.1-pro-preview-customtools 1000+50"),
    ("gemini/no-prompt-at-all", "malformed: No input provided via stdin. Input can be pro"),
    ("gemini/positional-prompt", "ok | gemini-3.1-pro-preview-customtools 1000+50"),
    ("gemini/shell-allowed-env", "ok | gemini-3.8-flash 3000+150 | denied run_shell_command: Tool execut"),
    ("gemini/shell-in-write-mode", "ok | gemini-3.8-flash 2000+100"),
    ("gemini/sigint-midway", "timeout: no end within the deadline of the call"),
    ("gemini/sigint-midway-group", "killed: it ended with 0 and no reply"),
    ("gemini/sigint-midway-norelaunch", "killed: it ended with 0 and no reply"),
    ("gemini/sigint-midway-parent-only", "timeout: no end within the deadline of the call"),
    ("gemini/sigterm-midway", "timeout: no end within the deadline of the call"),
    ("gemini/sigterm-midway-group", "killed: it ended with 0 and no reply"),
    ("gemini/sigterm-midway-norelaunch", "killed: it ended with 0 and no reply"),
    ("gemini/sigterm-midway-parent-only", "timeout: no end within the deadline of the call"),
    ("gemini/slow-stream", "ok | gemini-3.1-pro-preview-customtools 1000+50"),
    ("gemini/sse-error", "network: Model stream ended without a finish reason."),
    ("gemini/stdin-plus-arg", "ok | gemini-3.1-pro-preview-customtools 1000+50"),
    ("gemini/success-default-mode", "ok | gemini-3.8-flash 2000+100"),
    ("gemini/success-readonly-json", "ok | gemini-3.1-pro-preview-customtools 1000+50"),
    ("gemini/success-stdin-long", "ok | gemini-3.1-pro-preview-customtools 1000+50"),
    ("gemini/success-stdin-prompt", "ok | gemini-3.1-pro-preview-customtools 1000+50"),
    ("gemini/success-stream-json", "ok | - 2000+100"),
    ("gemini/success-text", "ok | - -+-"),
    ("gemini/table-readonly-reads", "ok | gemini-2.5-pro 2000+100"),
    ("gemini/table-readonly-refuses-write", "ok | gemini-2.5-pro 1000+50"),
    ("gemini/table-write-refuses-outside", "ok | gemini-2.5-pro 2000+100 | denied write_file: Path not in worksp"),
    ("gemini/table-write-writes", "ok | gemini-2.5-pro 2000+100"),
    ("gemini/truncated", "network: Model stream ended without a finish reason."),
    ("gemini/trust-env", "ok | gemini-3.8-flash 2000+100"),
    ("gemini/untrusted-folder", "denied: \u{1b}[31mGemini CLI is not running in a trusted d"),
    ("gemini/usage-limit", "timeout: no end within the deadline of the call"),
    ("gemini/usage-limit-auto-model-default-mode", "quota: You have exhausted your daily quota on this m"),
    ("gemini/usage-limit-explicit-model-default-mode", "quota: You have exhausted your daily quota on this m"),
    ("gemini/usage-limit-maxattempts1", "quota: You have exhausted your daily quota on this m"),
    ("gemini/usage-limit-plan-explicit-model", "quota: You have exhausted your daily quota on this m"),
    ("gemini/write-file", "ok | gemini-3.8-flash 3000+150"),
    ("gemini/write-file-default-mode", "ok | gemini-3.8-flash 2000+100"),
    ("gemini/write-file-in-readonly", "ok | gemini-3.1-pro-preview-customtools 2000+100 | denied write_file: Tool execution den"),
    ("gemini/write-file-outside", "ok | gemini-3.8-flash 3000+150 | denied write_file: Path not in worksp"),
    ("gemini/write-file-stream-json", "ok | - 3000+150"),
];

#[test]
fn every_recorded_case_is_read_as_what_it_was() {
    let mut faults = Vec::new();
    for (case, expected) in CASES {
        let told = told(case);
        if told != *expected {
            faults.push(format!("{case}\n  told     {told}\n  expected {expected}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_recorded_case_has_its_line() {
    let mut recorded = Vec::new();
    for cli in ["claude", "codex", "gemini"] {
        for entry in fs_err::read_dir(root().join(cli)).unwrap() {
            recorded.push(format!("{cli}/{}", entry.unwrap().file_name().to_str().unwrap()));
        }
    }
    recorded.sort();
    assert_eq!(recorded, CASES.iter().map(|(case, _)| *case).collect::<Vec<_>>());
}

const CLAUDE: &str = "claude -p --output-format";
const CODEX: &str = "codex exec --json --ephemeral --skip-git-repo-check -s";
const NO_MUX: &str = "-c mcp_servers.mux={command=\"true\",enabled=false}";

fn texts(words: &[&str]) -> Vec<String> {
    words.iter().copied().map(String::from).collect()
}

/// A call with nothing special about it.
fn call(provider: Provider, tool: &Tool, hands: bool, scope: Scope) -> Call<'_> {
    let policy_file = Some(Path::new("/run/policy.toml"));
    Call { provider, tool, hands, scope, never_send: &[], policy_file, servers: Some(&[]), budget_usd: None }
}

fn tool(name: &str) -> Tool {
    Tools::default().named(name).unwrap().clone()
}

/// Compares a command line, an empty argument shown as `''`.
#[track_caller]
fn check_argv(call: &Call<'_>, expected: &str) {
    let shown = argv(call)
        .map(|argv| argv.iter().map(|arg| if arg.is_empty() { "''" } else { arg }).collect::<Vec<_>>().join(" "));
    assert_eq!(shown.as_deref(), Ok(expected));
}

#[test]
fn the_command_lines_are_the_least_dangerous_ones() {
    let claude = tool("claude");
    let own = "--strict-mcp-config --setting-sources user --no-session-persistence";
    let call_claude = |hands, scope| call(Provider::Claude, &claude, hands, scope);
    let line = format!("{CLAUDE} json --tools '' --permission-mode dontAsk {own}");
    check_argv(&call_claude(false, Scope::Prompt), &line);
    let line = format!("{CLAUDE} json --tools Read,Glob,Grep --permission-mode dontAsk {own}");
    check_argv(&call_claude(false, Scope::Workdir), &line);
    let write = "--tools Read,Glob,Grep,Edit,Write --permission-mode acceptEdits --permission-prompts none";
    let line = format!("{CLAUDE} stream-json --verbose {write} {own}");
    check_argv(&call_claude(true, Scope::Workdir), &line);

    let codex = tool("codex");
    let call_codex = |hands, scope| call(Provider::Codex, &codex, hands, scope);
    let off = "shell_tool unified_exec view_image multi_agent goals apps plugins tool_suggest image_generation \
                    sleep_tool";
    let off: Vec<String> = off.split(' ').map(|name| format!("-c features.{name}=false")).collect();
    let line = format!("{CODEX} read-only {NO_MUX} {} -c web_search=disabled -", off.join(" "));
    check_argv(&call_codex(false, Scope::Prompt), &line);
    check_argv(&call_codex(false, Scope::Machine), &format!("{CODEX} read-only {NO_MUX} -"));
    let confined = "-c sandbox_workspace_write.exclude_slash_tmp=true \
                    -c sandbox_workspace_write.exclude_tmpdir_env_var=true";
    check_argv(&call_codex(true, Scope::Machine), &format!("{CODEX} workspace-write {confined} {NO_MUX} -"));

    let gemini = tool("gemini");
    let call_gemini = |hands, scope| call(Provider::Gemini, &gemini, hands, scope);
    let mode = |mode: &str| format!("gemini --skip-trust --approval-mode {mode} -m gemini-3.8-flash -o json");
    let none = "--allowed-mcp-server-names none";
    let line = format!("{} --policy /run/policy.toml {none}", mode("default"));
    check_argv(&call_gemini(false, Scope::Prompt), &line);
    check_argv(&call_gemini(false, Scope::Workdir), &format!("{} {none}", mode("default")));
    check_argv(&call_gemini(true, Scope::Workdir), &format!("{} {none}", mode("auto_edit")));
}

#[test]
fn what_the_user_configured_comes_where_it_is_legal() {
    let mut claude = tool("claude");
    (claude.binary, claude.model) = ("/opt/claude".to_string(), "opus".to_string());
    claude.advisory_args = texts(&["--effort", "low"]);
    let never_send = texts(&[".env*", "/top.txt", "secrets/**", "~/.ssh/**", "**/a b.key"]);
    let asked = Call {
        never_send: &never_send,
        budget_usd: Some(0.25),
        ..call(Provider::Claude, &claude, false, Scope::Workdir)
    };
    let line = "/opt/claude -p --output-format json --tools Read,Glob,Grep --permission-mode dontAsk \
                --strict-mcp-config --setting-sources user --model opus --max-budget-usd 0.25 \
                --disallowedTools Read(**/.env*) Read(./top.txt) Read(**/secrets/**) Read(~/.ssh/**) Read(**/a b.key) \
                --no-session-persistence --effort low";
    check_argv(&asked, line);
    // Without tools there is nothing to deny.
    let prompt = argv(&Call { scope: Scope::Prompt, ..asked }).unwrap();
    assert!(!prompt.contains(&"--disallowedTools".to_string()), "{prompt:?}");

    let mut codex = tool("codex");
    codex.model = "gpt-5".to_string();
    codex.exec_args = texts(&["-c", "model_reasoning_effort=high"]);
    let line = argv(&call(Provider::Codex, &codex, true, Scope::Machine)).unwrap().join(" ");
    assert!(line.ends_with("-m gpt-5 -c model_reasoning_effort=high -"), "{line}");

    let mut agy = Tool { reply: ReplyForm::Gemini, ..tool("codex") };
    (agy.binary, agy.scope, agy.advisory_args) = ("agy".to_string(), Scope::Machine, texts(&["-p", "--json"]));
    check_argv(&call(Provider::named("agy").unwrap(), &agy, false, Scope::Machine), "agy -p --json");
}

#[test]
fn a_call_without_tools_is_built_without_tools_or_not_at_all() {
    let (codex, gemini) = (tool("codex"), tool("gemini"));
    let blind = Call { policy_file: None, ..call(Provider::Gemini, &gemini, false, Scope::Prompt) };
    assert_eq!(argv(&blind), Err(Refusal::Scope));
    let asked = call(Provider::Codex, &codex, false, Scope::Prompt);
    assert_eq!(argv(&Call { servers: None, ..asked }), Err(Refusal::Scope));
    assert_eq!(argv(&Call { servers: Some(&texts(&["a.b c"])), ..asked }), Err(Refusal::Scope));
    let servers = texts(&["mux", "files", "web_2"]);
    let line = argv(&Call { servers: Some(&servers), ..asked }).unwrap().join(" ");
    assert!(line.ends_with("-c mcp_servers.files.enabled=false -c mcp_servers.web_2.enabled=false -"), "{line}");
    assert!(!line.contains("mcp_servers.mux.enabled"), "{line}");
    // A scope that the provider does not offer.
    assert_eq!(argv(&call(Provider::Codex, &codex, false, Scope::Workdir)), Err(Refusal::Scope));
    assert_eq!(argv(&call(Provider::Gemini, &gemini, true, Scope::Prompt)), Err(Refusal::Scope));
}

#[test]
fn the_servers_of_codex_are_read_from_its_own_list() {
    assert_eq!(list_servers(&tool("codex")), ["codex", "mcp", "list", "--json"]);
    let list = br#"[{"name":"a.b c","enabled":true,"transport":{"type":"streamable_http"}},{"name":"probe"}]"#;
    assert_eq!(servers(list), Some(texts(&["a.b c", "probe"])));
    assert_eq!(servers(b"[]"), Some(Vec::new()));
    assert_eq!((servers(b""), servers(b"{}"), servers(b"[{}]")), (None, None, None));
}

#[test]
fn the_policy_of_gemini_denies_every_tool() {
    let rules: Vec<&str> = policy_text().lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(rules, ["[[rule]]", "toolName = \"*\"", "decision = \"deny\"", "priority = 999"]);
}

#[test]
fn no_command_line_bypasses_permissions_or_holds_a_prompt() {
    for name in ["claude", "codex", "gemini"] {
        let (provider, tool) = (Provider::named(name).unwrap(), tool(name));
        for hands in [false, true] {
            for scope in scopes(provider, &tool, hands) {
                let line = argv(&call(provider, &tool, hands, *scope)).unwrap().join(" ");
                assert!(
                    ["dangerously", "yolo", "bypass", "full-access"].iter().all(|word| !line.contains(word)),
                    "{line}"
                );
                let asked = call(provider, &tool, hands, *scope);
                let given = give(&asked, argv(&asked).unwrap(), "-x do it").unwrap();
                assert_eq!(given, Given { argv: argv(&asked).unwrap(), stdin: Some(b"-x do it".to_vec()) });
            }
        }
    }
}

#[test]
fn a_prompt_may_be_an_argument_where_the_user_says_so() {
    let last_two = |name: &str| {
        let tool = Tool { prompt_via: PromptVia::Arg, ..tool(name) };
        let asked =
            call(Provider::named(name).unwrap(), &tool, true, scopes(Provider::named(name).unwrap(), &tool, true)[0]);
        let given = give(&asked, argv(&asked).unwrap(), "-x").unwrap();
        assert_eq!(given.stdin, None);
        given.argv[given.argv.len() - 2..].join(" ")
    };
    assert_eq!(last_two("claude"), "-- -x");
    assert_eq!(last_two("codex"), "-- -x");
    assert_eq!(last_two("gemini"), "none --prompt=-x");
    let tool = Tool { prompt_via: PromptVia::Arg, ..tool("codex") };
    let asked = call(Provider::named("agy").unwrap(), &tool, false, Scope::Prompt);
    assert_eq!(give(&asked, texts(&["agy"]), "hi").unwrap().argv, ["agy", "hi"]);
    assert!(give(&asked, texts(&["agy"]), &"x".repeat(131_070)).is_ok());
    let failure = give(&asked, texts(&["agy"]), &"x".repeat(131_071)).unwrap_err();
    assert_eq!(failure.class, CloudClass::ContextTooLong);
}

#[test]
fn the_narrowest_scope_that_is_offered_needed_and_allowed_is_used() {
    use Scope::{Machine, Prompt, Workdir};
    let check = |name: &str, hands: bool, needed: Scope, allowed: Scope, expected: Option<Scope>| {
        let offered = scopes(Provider::named(name).unwrap(), &tool(name), hands);
        assert_eq!(narrowest(offered, needed, allowed), expected, "{name} {hands} {needed:?} {allowed:?}");
    };
    check("claude", false, Prompt, Machine, Some(Prompt));
    check("claude", false, Workdir, Machine, Some(Workdir));
    check("claude", true, Workdir, Machine, Some(Workdir));
    check("claude", true, Prompt, Prompt, None);
    check("codex", false, Prompt, Prompt, Some(Prompt));
    check("codex", false, Workdir, Workdir, None);
    check("codex", false, Workdir, Machine, Some(Machine));
    check("codex", true, Workdir, Machine, Some(Machine));
    check("codex", true, Workdir, Workdir, None);
    check("gemini", false, Prompt, Workdir, Some(Prompt));
    check("gemini", true, Workdir, Workdir, Some(Workdir));
}

#[test]
fn arguments_that_lift_a_limit_leave_only_the_widest_scope() {
    let offered = |name: &str, args: &[&str]| {
        scopes(Provider::named(name).unwrap(), &Tool { advisory_args: texts(args), ..tool(name) }, false)
    };
    let widest: &[Scope] = &[Scope::Machine];
    for (name, args) in [
        ("claude", &["--tools", "default"][..]),
        ("claude", &["--permission-mode=bypassPermissions"]),
        ("claude", &["--add-dir", "/"]),
        ("codex", &["-sdanger-full-access"]),
        ("codex", &["--sandbox=workspace-write"]),
        ("codex", &["-c", "features.shell_tool=true"]),
        ("codex", &["--config=mcp_servers.x.command=\"x\""]),
        ("codex", &["-cweb_search=live"]),
        ("gemini", &["-y"]),
        ("gemini", &["--approval-mode", "yolo"]),
    ] {
        assert_eq!(offered(name, args), widest, "{name} {args:?}");
    }
    for (name, args) in [
        ("claude", &["--effort", "low", "--max-turns", "3"][..]),
        ("codex", &["-c", "model_reasoning_effort=high"]),
        ("gemini", &["--raw-output"]),
    ] {
        assert_eq!(offered(name, args)[0], Scope::Prompt, "{name} {args:?}");
    }
    let scope = |scope, hands| scopes(Provider::named("agy").unwrap(), &Tool { scope, ..tool("codex") }, hands)[0];
    assert_eq!((scope(Scope::Prompt, false), scope(Scope::Prompt, true)), (Scope::Prompt, Scope::Workdir));
    assert_eq!((scope(Scope::Workdir, false), scope(Scope::Machine, true)), (Scope::Workdir, Scope::Machine));
}

#[test]
fn a_child_inherits_keys_and_no_marks_of_its_parent() {
    for name in [
        "CLAUDECODE",
        "CLAUDE_CODE_ENTRYPOINT",
        "CLAUDE_CODE_SESSION_ID",
        "CLAUDE_CODE_CHILD_SESSION",
        "CLAUDE_PROJECT_DIR",
        "AI_AGENT",
        "CODEX_THREAD_ID",
        "CODEX_CI",
        "CODEX_SANDBOX_NETWORK_DISABLED",
        "GEMINI_CLI",
        "GIT_DIR",
        "LD_PRELOAD",
        "MUX_CONFIG",
    ] {
        assert!(drops(name), "{name}");
    }
    for name in [
        "ANTHROPIC_API_KEY",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "CLAUDE_CODE_USE_BEDROCK",
        "CLAUDE_CONFIG_DIR",
        "CODEX_API_KEY",
        "CODEX_HOME",
        "GEMINI_API_KEY",
        "GEMINI_CLI_NO_RELAUNCH",
        "HTTPS_PROXY",
        "NODE_EXTRA_CA_CERTS",
        "HOME",
        "PATH",
    ] {
        assert!(!drops(name), "{name}");
    }
    for provider in ["claude", "codex", "gemini", "agy"] {
        assert!(variables(Provider::named(provider).unwrap()).iter().all(|(name, _)| !drops(name)));
    }
}

#[test]
fn a_cli_that_tries_for_ever_is_told_by_its_third_try() {
    let said = |case: &str| fs_err::read_to_string(root().join("gemini").join(case).join("stderr")).unwrap();
    let is_lost = says_lost(ReplyForm::Gemini).unwrap();
    for (case, class) in [("429", "rate_limited"), ("500", "server")] {
        let said = said(case);
        assert!(is_lost(&said), "{case}: {said}");
        let until = said.find("Attempt 3 failed").unwrap();
        assert!(!is_lost(&said[..until + 20]), "{case}: two tries are its own business");
        let until = until + said[until..].find('\n').unwrap() + 1;
        assert!(is_lost(&said[..until]), "{case}");
        let failure = parse(ReplyForm::Gemini, &End::Lost, b"", &said.as_bytes()[..until]).unwrap_err();
        assert_eq!(failure.class.name(), class, "{}", failure.message);
        assert!(
            failure.message.starts_with("it has tried often enough; the last it said: Attempt "),
            "{}",
            failure.message
        );
    }
    for case in ["429-maxattempts1", "success-readonly-json", "sse-error"] {
        assert!(!is_lost(&said(case)), "{case}");
    }
    assert!(says_lost(ReplyForm::Claude).is_none() && says_lost(ReplyForm::Codex).is_none());
}

#[test]
fn success_needs_exit_code_result_and_text() {
    let result = br#"{"type":"result","is_error":false,"result":"done"}"#;
    let class = |form, end: End, out: &[u8]| parse(form, &end, out, b"").map_err(|failure| failure.class);
    let text = |form, end, out: &[u8]| class(form, end, out).map(|reply| reply.text);
    assert_eq!(text(ReplyForm::Claude, End::Code(0), result), Ok("done".to_string()));
    assert_eq!(text(ReplyForm::Claude, End::Code(1), result), Err(CloudClass::Malformed));
    assert_eq!(text(ReplyForm::Claude, End::TimedOut, result), Err(CloudClass::Timeout));
    assert_eq!(text(ReplyForm::Claude, End::Silent, b""), Err(CloudClass::Timeout));
    assert_eq!(text(ReplyForm::Claude, End::Stopped, result), Err(CloudClass::Killed));
    assert_eq!(text(ReplyForm::Claude, End::Signal(9), result), Err(CloudClass::Killed));
    assert_eq!(text(ReplyForm::Claude, End::NotStarted("no such file".into()), b""), Err(CloudClass::Malformed));
    // No word about an error is no word about success.
    assert_eq!(text(ReplyForm::Claude, End::Code(0), br#"{"type":"result","result":"x"}"#), Err(CloudClass::Server));
    assert_eq!(text(ReplyForm::Claude, End::Code(0), b"Hello"), Err(CloudClass::Malformed));
    let blank = br#"{"type":"result","is_error":false,"result":" \n"}"#;
    assert_eq!(text(ReplyForm::Claude, End::Code(0), blank), Err(CloudClass::Empty));
    // Noise around the lines, unknown events and the array form are no obstacle.
    let noisy = [b"npm notice\n{\"type\":\"new\"}\n\xff\n", &result[..], b"\n{broken\n"].concat();
    assert_eq!(text(ReplyForm::Claude, End::Code(0), &noisy), Ok("done".to_string()));
    let array = [b"[{\"type\":\"system\"},", &result[..], b"]"].concat();
    assert_eq!(text(ReplyForm::Claude, End::Code(0), &array), Ok("done".to_string()));
    assert_eq!(text(ReplyForm::Text, End::Code(0), b" hi \n"), Ok("hi".to_string()));
    assert_eq!(text(ReplyForm::Text, End::Code(0), b"\n"), Err(CloudClass::Empty));
    assert_eq!(text(ReplyForm::Text, End::Code(3), b"hi"), Err(CloudClass::Malformed));
    let auth = parse(ReplyForm::Text, &End::Code(1), b"", b"Error: not logged in").unwrap_err();
    assert_eq!((auth.class, auth.message.as_str()), (CloudClass::Auth, "Error: not logged in"));
    // A status that gemini says only by its exit code.
    assert_eq!(text(ReplyForm::Gemini, End::Code(173), b""), Err(CloudClass::RateLimited { until: None }));
    assert_eq!(text(ReplyForm::Gemini, End::Code(244), b""), Err(CloudClass::Server));
}

#[test]
fn a_message_is_bounded() {
    let failure = parse(ReplyForm::Text, &End::Code(1), b"", "é".repeat(10_000).as_bytes()).unwrap_err();
    assert_eq!(failure.message, "é".repeat(LONGEST_MESSAGE) + "…");
}

#[test]
fn only_what_time_may_heal_cools_a_provider_down() {
    let minutes = |class| cooldown(class).map(|time| time.as_secs() / 60);
    assert_eq!(minutes(CloudClass::RateLimited { until: None }), Some(5));
    assert_eq!(minutes(CloudClass::RateLimited { until: Some(1) }), Some(1));
    assert_eq!(minutes(CloudClass::RateLimited { until: Some(600) }), Some(10));
    assert_eq!(minutes(CloudClass::Quota { until: None }), Some(60));
    assert_eq!(minutes(CloudClass::Quota { until: Some(7200) }), Some(120));
    assert_eq!(minutes(CloudClass::Quota { until: Some(u64::MAX) }), Some(24 * 60));
    assert_eq!((minutes(CloudClass::Auth), minutes(CloudClass::ModelMissing)), (Some(60), Some(60)));
    assert_eq!(
        (minutes(CloudClass::Server), minutes(CloudClass::Timeout), minutes(CloudClass::Killed)),
        (None, None, None)
    );
}

/// All that a recorded stream says while it comes.
fn shown(form: ReplyForm, case: &str) -> Vec<Progress> {
    let stdout = fs_err::read(root().join(case).join("stdout")).unwrap();
    stdout.split(|byte| *byte == b'\n').filter_map(|line| progress(form, line)).collect()
}

#[test]
fn streams_tell_what_goes_on() {
    let began = |model: Option<&str>| Progress::Began { model: model.map(String::from) };
    let (tool, said) = (|text: &str| Progress::Tool(text.into()), |text: &str| Progress::Said(text.into()));
    let answer = || said("The answer is 42. (canned reply)");
    assert_eq!(
        shown(ReplyForm::Claude, "claude/mux-hands"),
        [began(Some("claude-opus-5-5")), tool("Write <WORK>/hello.txt"), answer()]
    );
    let shell = "/bin/bash -lc 'echo shell-ran > shell.txt; pwd'";
    assert_eq!(shown(ReplyForm::Codex, "codex/shell-in-write-mode"), [began(None), tool(shell), answer()]);
    let patch = tool("file_change <WORK>/hello.txt");
    assert_eq!(shown(ReplyForm::Codex, "codex/mux-hands"), [began(None), patch, answer()]);
    let retries = shown(ReplyForm::Claude, "claude/mux-hands-429");
    assert_eq!(retries[1], Progress::Retrying("try 1 of 2 failed with status 429: rate_limit".into()));
    let retries = shown(ReplyForm::Codex, "codex/429");
    assert_eq!(retries.iter().filter(|event| matches!(event, Progress::Retrying(_))).count(), 6);
    assert_eq!(shown(ReplyForm::Gemini, "gemini/mux-answer"), []);
}
