//! Claude Code. Its reply is one JSON object, alone (`json`) or as the last line of many (`stream-json`). For an error of
//! the API `subtype` is still `success`; `is_error` tells. On SIGINT it exits with 0.

use super::{Call, Heard, blame, extra, line};
use crate::rules::config::Scope;
use crate::words::cloud::{CloudClass, CloudReply, Progress};
use crate::words::time::Utc;
use serde_json::Value;

/// Arguments after which nothing that the built-in line says of tools and files can be relied on.
pub(super) const LIFTS: &[&str] = &[
    "--dangerously-skip-permissions",
    "--allow-dangerously-skip-permissions",
    "--permission-mode",
    "--permission-prompts",
    "--tools",
    "--allowedTools",
    "--allowed-tools",
    "--add-dir",
    "--mcp-config",
    "--settings",
    "--setting-sources",
    "--plugin-dir",
];

pub(super) fn args(call: &Call<'_>) -> Vec<String> {
    let mut args: Vec<String> = Vec::new();
    let mut add = |more: &[&str]| args.extend(more.iter().copied().map(String::from));
    add(&["-p", "--output-format"]);
    match (call.hands, call.scope) {
        (true, _) => {
            add(&["stream-json", "--verbose", "--tools", "Read,Glob,Grep,Edit,Write"]);
            add(&["--permission-mode", "acceptEdits", "--permission-prompts", "none"]);
        }
        (false, Scope::Prompt) => add(&["json", "--tools", "", "--permission-mode", "dontAsk"]),
        (false, Scope::Workdir | Scope::Machine) => {
            add(&["json", "--tools", "Read,Glob,Grep", "--permission-mode", "dontAsk"]);
        }
    }
    // Else the project's hooks run and its MCP servers start, without a question. The strict flag alone stops only the
    // servers.
    add(&["--strict-mcp-config", "--setting-sources", "user"]);
    if !call.tool.model.is_empty() {
        add(&["--model", &call.tool.model]);
    }
    if let Some(budget) = call.budget_usd {
        add(&["--max-budget-usd", &budget.to_string()]);
    }
    if call.scope != Scope::Prompt && !call.never_send.is_empty() {
        add(&["--disallowedTools"]);
        args.extend(call.never_send.iter().map(|glob| deny(glob)));
    }
    // Last of the built-in ones: it ends the list of rules, which takes as many arguments as it finds.
    args.push("--no-session-persistence".to_string());
    args.extend_from_slice(extra(call));
    args
}

/// A rule that keeps a glob of `never_send` unread, wherever below the work directory: what `globs.rs` roots there, claude
/// would root where the rule stands. Its rules read like a `.gitignore` too, upper and lower case and what is below a
/// matching directory included (measured).
fn deny(glob: &str) -> String {
    let glob = glob.trim_end_matches('/');
    match glob.strip_prefix('/') {
        Some(from_root) => format!("Read(./{from_root})"),
        None if glob.starts_with("~/") || glob.starts_with("**/") => format!("Read({glob})"),
        None => format!("Read(**/{})", glob.trim_start_matches("./")),
    }
}

/// Reads `json` and `stream-json` alike: the last object of type `result` counts, whatever stands around it.
pub(super) fn hear(out: &str) -> Heard {
    let events = out.lines().filter(|line| line.starts_with(['{', '['])).filter_map(|line| {
        let value: Value = serde_json::from_slice(line.as_bytes()).ok()?;
        // With `--verbose` the `json` form is an array of all events.
        Some(if let Value::Array(events) = value { events } else { vec![value] })
    });
    let (mut result, mut retrying) = (None, None);
    // Seconds since 1970: when a plan that is used up begins anew, and when that was said.
    let (mut resets, mut said) = (None, None);
    for event in events.flatten() {
        match (text(&event, "type"), text(&event, "subtype")) {
            ("result", _) => result = Some(event),
            ("system", "api_retry") => retrying = Some(retry(&event)),
            ("rate_limit_event", _) => {
                let info = event.get("rate_limit_info").filter(|info| text(info, "status") == "rejected");
                resets = info.and_then(|info| info.get("resetsAt")?.as_u64());
            }
            ("assistant", _) => {
                retrying = None;
                said = Utc::parse(text(&event, "timestamp")).map(|at| at.0 / 1000);
            }
            _ => {}
        }
    }
    let Some(result) = result else { return Heard { retrying, ..Heard::default() } };
    let mut reply = CloudReply {
        text: text(&result, "result").trim().to_string(),
        cost_usd: result.get("total_cost_usd").and_then(Value::as_f64),
        session: Some(text(&result, "session_id").to_string()).filter(|id| !id.is_empty()),
        denied: denied(&result),
        ..CloudReply::default()
    };
    count(&result, &mut reply);
    let fault = match result.get("is_error") {
        Some(Value::Bool(false)) => None,
        _ => Some(fault(&result, resets.zip(said).and_then(|(resets, said)| resets.checked_sub(said)))),
    };
    Heard { reply, is_whole: true, fault, retrying: None }
}

/// Fills in model and tokens. What each model used is more than `usage`, which is empty when a limit ended the call.
fn count(result: &Value, reply: &mut CloudReply) {
    let number = |value: &Value, key: &str| value.get(key).and_then(Value::as_u64);
    let sum =
        |value: &Value, keys: &[&str]| keys.iter().filter_map(|key| number(value, key)).reduce(u64::saturating_add);
    let models: Vec<(&String, &Value)> =
        result.get("modelUsage").and_then(Value::as_object).into_iter().flatten().collect();
    let price = |usage: &Value| usage.get("costUSD").and_then(Value::as_f64).unwrap_or(0.0);
    let dearest = models.iter().copied().max_by(|(_, one), (_, two)| price(one).total_cmp(&price(two)));
    reply.model = dearest.map(|(name, _)| name.clone());
    let used = |keys: &[&str]| models.iter().filter_map(|(_, usage)| sum(usage, keys)).reduce(u64::saturating_add);
    let usage = result.get("usage").unwrap_or(&Value::Null);
    reply.prompt_tokens = used(&["inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens"])
        .or_else(|| sum(usage, &["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"]));
    reply.completion_tokens = used(&["outputTokens"]).or_else(|| number(usage, "output_tokens"));
}

/// `until` is for a plan that is used up, in seconds; the `json` form names no time.
fn fault(result: &Value, until: Option<u64>) -> (CloudClass, String) {
    let mut message = text(result, "result").to_string();
    if message.is_empty() {
        let errors = result.get("errors").and_then(Value::as_array).into_iter().flatten();
        message = errors.filter_map(Value::as_str).collect::<Vec<_>>().join("; ");
    }
    let reason = text(result, "terminal_reason");
    if message.is_empty() {
        message = format!("{} ({reason})", text(result, "subtype"));
    }
    let class = match (reason, result.get("api_error_status").and_then(Value::as_u64)) {
        ("prompt_too_long", _) => CloudClass::ContextTooLong,
        ("max_turns" | "budget_exhausted", _) => CloudClass::Denied,
        (reason, _) if reason.starts_with("aborted") => CloudClass::Killed,
        // With a subscription; what a plan is called ("your 5-hour limit") changes, this word does not.
        _ if text(result, "api_error") == "usage_limit_reached" => CloudClass::Quota { until },
        (_, Some(status)) => blame::of_status(status, &message),
        (_, None) => blame::class(&message).unwrap_or(CloudClass::Server),
    };
    (class, message)
}

fn denied(result: &Value) -> Vec<String> {
    let denials = result.get("permission_denials").and_then(Value::as_array).into_iter().flatten();
    denials.map(|denial| used(text(denial, "tool_name"), denial.get("tool_input"))).collect()
}

/// `Write notes.txt`, `Bash make`: a tool and what it is used on.
fn used(tool: &str, input: Option<&Value>) -> String {
    let subject = ["file_path", "command", "pattern", "path", "url"]
        .iter()
        .find_map(|key| input.and_then(|input| input.get(key)).and_then(Value::as_str));
    line(&format!("{tool} {}", subject.unwrap_or_default()))
}

/// In the words that [`blame`] reads: `try 1 of 2 failed with status 429: rate_limit`.
fn retry(event: &Value) -> String {
    let number = |key: &str| event.get(key).and_then(Value::as_u64).unwrap_or(0);
    let (attempt, most) = (number("attempt"), number("max_retries"));
    let status = match number("error_status") {
        0 => String::new(),
        status => format!(" with status {status}"),
    };
    format!("try {attempt} of {most} failed{status}: {}", text(event, "error"))
}

pub(super) fn progress(bytes: &[u8]) -> Option<Progress> {
    let event: Value = serde_json::from_slice(bytes).ok()?;
    match (text(&event, "type"), text(&event, "subtype")) {
        ("system", "init") => Some(Progress::Began { model: Some(text(&event, "model").to_string()) }),
        ("system", "api_retry") => Some(Progress::Retrying(line(&retry(&event)))),
        ("assistant", _) => {
            let parts = event.pointer("/message/content")?.as_array()?;
            // One event holds one part; with several the last is what goes on now.
            parts.iter().rev().find_map(|part| match text(part, "type") {
                "text" => Some(line(text(part, "text"))).filter(|said| !said.is_empty()).map(Progress::Said),
                "tool_use" => Some(Progress::Tool(used(text(part, "name"), part.get("input")))),
                _ => None,
            })
        }
        _ => None,
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
