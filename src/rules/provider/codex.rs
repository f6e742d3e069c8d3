//! Codex. With `--json` it prints one event a line; the last `agent_message` is the reply, `turn.completed` and
//! `turn.failed` are the only ends. `error` is said at every retry, and `item.type` `error` is a warning. It names neither
//! its model nor a price, and no status: the message has to tell.

use super::{Call, Heard, blame, extra, line};
use crate::rules::config::Scope;
use crate::words::cloud::{CloudClass, Progress};
use serde_json::Value;

/// Arguments after which nothing that the built-in line says of tools and files can be relied on. Those that end with a
/// dot, and those without a dash, are the beginnings of what follows `-c`.
pub(super) const LIFTS: &[&str] = &[
    "--dangerously-bypass-approvals-and-sandbox",
    "--yolo",
    "--full-auto",
    "--sandbox",
    "-s",
    "--add-dir",
    "--enable",
    "--search",
    "--profile",
    "-p",
    "sandbox_",
    "features.",
    "mcp_servers.",
    "tools.",
    "permissions.",
    "web_search",
    "approval_policy",
    "profile",
];

/// What a call without tools is without. By `-c`: `--disable NAME` fails for a name that this version does not know. With
/// them the default model still has `exec` (JavaScript without files or network), whose `apply_patch` tells whether a file
/// has a given line and no more; what it can start (`spawn_agent`) fails without a stored session. All of it measured.
const FEATURES: [&str; 10] = [
    "shell_tool",
    "unified_exec",
    "view_image",
    "multi_agent",
    "goals",
    "apps",
    "plugins",
    "tool_suggest",
    "image_generation",
    "sleep_tool",
];

/// `None` for a call without tools that cannot switch off the user's MCP servers: an empty table for all of them removes
/// none, so each has to be named.
pub(super) fn args(call: &Call<'_>) -> Option<Vec<String>> {
    let mut args: Vec<String> = Vec::new();
    let mut add = |more: &[&str]| args.extend(more.iter().copied().map(String::from));
    add(&["exec", "--json", "--ephemeral", "--skip-git-repo-check"]);
    if call.hands {
        // Without the two settings it may write anywhere below /tmp and $TMPDIR.
        add(&["-s", "workspace-write", "-c", "sandbox_workspace_write.exclude_slash_tmp=true"]);
        add(&["-c", "sandbox_workspace_write.exclude_tmpdir_env_var=true"]);
    } else {
        add(&["-s", "read-only"]);
    }
    // A whole table: naming `enabled` alone fails where mux is not configured, and an empty table removes nothing.
    add(&["-c", "mcp_servers.mux={command=\"true\",enabled=false}"]);
    if !call.hands && call.scope == Scope::Prompt {
        for feature in FEATURES {
            add(&["-c", &format!("features.{feature}=false")]);
        }
        add(&["-c", "web_search=disabled"]);
        for server in call.servers?.iter().filter(|server| *server != "mux") {
            // Whether the override takes a quoted key is not known; such a name is not worth the risk.
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            if server.is_empty() || !server.bytes().all(is_plain) {
                return None;
            }
            add(&["-c", &format!("mcp_servers.{server}.enabled=false")]);
        }
    }
    if !call.tool.model.is_empty() {
        add(&["-m", &call.tool.model]);
    }
    args.extend_from_slice(extra(call));
    // With an open standard input it would wait for its end even when the prompt is an argument.
    args.push("-".to_string());
    Some(args)
}

pub(super) fn servers(stdout: &[u8]) -> Option<Vec<String>> {
    let list: Value = serde_json::from_slice(stdout).ok()?;
    list.as_array()?.iter().map(|server| Some(server.get("name")?.as_str()?.to_string())).collect()
}

pub(super) fn hear(out: &str) -> Heard {
    let mut heard = Heard::default();
    for event in out.lines().filter_map(|line| serde_json::from_slice::<Value>(line.as_bytes()).ok()) {
        let item = event.get("item").unwrap_or(&Value::Null);
        match (text(&event, "type"), text(item, "type")) {
            ("thread.started", _) => heard.reply.session = Some(text(&event, "thread_id").to_string()),
            ("item.completed", "agent_message") => heard.reply.text = text(item, "text").trim().to_string(),
            ("item.completed", _) => heard.reply.denied.extend(denied(item)),
            ("turn.completed", _) => {
                heard.is_whole = true;
                let count = |key: &str| event.get("usage").and_then(|usage| usage.get(key)).and_then(Value::as_u64);
                heard.reply.prompt_tokens = count("input_tokens");
                heard.reply.completion_tokens = count("output_tokens");
            }
            ("turn.failed", _) => {
                let message = event.pointer("/error/message").and_then(Value::as_str).unwrap_or_default().to_string();
                heard.fault = Some((blame::class(&message).unwrap_or(CloudClass::Server), message));
            }
            ("error", _) => {
                heard.retrying = Some(text(&event, "message").to_string());
                continue;
            }
            _ => {}
        }
        heard.retrying = None;
    }
    heard
}

/// What an item was not let do. A failed command is no denial, unless the sandbox says so.
fn denied(item: &Value) -> Option<String> {
    let output = text(item, "aggregated_output");
    let by_sandbox = ["Read-only file system", "Operation not permitted", "Permission denied"];
    let call_error = item.pointer("/error/message").and_then(Value::as_str).unwrap_or_default();
    match (text(item, "type"), text(item, "status")) {
        ("command_execution", _) if by_sandbox.iter().any(|words| output.contains(words)) => {
            Some(line(&format!("{} ({})", line(output), line(text(item, "command")))))
        }
        (_, "declined") => Some(line(&format!("{} {}", text(item, "type"), text(item, "command")))),
        ("mcp_tool_call", "failed") if call_error.contains("approval") => {
            Some(line(&format!("{}.{}: {call_error}", text(item, "server"), text(item, "tool"))))
        }
        _ => None,
    }
}

/// The class of an end without an event that says why: begun and cut off, or never begun.
pub(super) fn by_code(code: i32, out: &str) -> Option<CloudClass> {
    (code != 0 && out.contains("\"thread.started\"")).then_some(CloudClass::Killed)
}

pub(super) fn progress(bytes: &[u8]) -> Option<Progress> {
    let event: Value = serde_json::from_slice(bytes).ok()?;
    let item = event.get("item").unwrap_or(&Value::Null);
    match (text(&event, "type"), text(item, "type")) {
        ("thread.started", _) => Some(Progress::Began { model: None }),
        ("item.started", "command_execution") => Some(Progress::Tool(line(text(item, "command")))),
        ("item.started", "mcp_tool_call") => {
            Some(Progress::Tool(line(&format!("{}.{}", text(item, "server"), text(item, "tool")))))
        }
        ("item.started", "file_change") => {
            let path = item.pointer("/changes/0/path").and_then(Value::as_str).unwrap_or_default();
            Some(Progress::Tool(line(&format!("file_change {path}"))))
        }
        ("item.completed", "agent_message") => Some(Progress::Said(line(text(item, "text")))),
        ("error", _) => Some(Progress::Retrying(line(text(&event, "message")))),
        _ => None,
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
