//! Gemini. Its reply is one object on standard output, its failures are one on standard error, behind warnings and a
//! stack trace. It exits with 0 when it is killed (then without output), when nothing came from the model, and when the
//! stream was cut (then with the partial text four times over); its own `error` beside the text tells.

use super::{Call, Heard, blame, extra, line};
use crate::rules::config::Scope;
use crate::words::cloud::{CloudClass, CloudReply};
use crate::words::count::Count;
use serde_json::{Map, Value};

/// Arguments after which nothing that the built-in line says of tools and files can be relied on.
pub(super) const LIFTS: &[&str] = &[
    "--yolo",
    "-y",
    "--approval-mode",
    "--allowed-tools",
    "--include-directories",
    "--policy",
    "--admin-policy",
    "--allowed-mcp-server-names",
    "--acp",
    "--experimental-acp",
];

/// `None` for a call without tools that has no policy to take them away.
pub(super) fn args(call: &Call<'_>) -> Option<Vec<String>> {
    let mut args: Vec<String> = Vec::new();
    let mut add = |more: &[&str]| args.extend(more.iter().copied().map(String::from));
    // Not GEMINI_CLI_TRUST_WORKSPACE: with it the project's hooks run and its MCP servers start.
    add(&["--skip-trust", "--approval-mode", if call.hands { "auto_edit" } else { "default" }]);
    // Always: without a model it asks a second one which to use, and retries for ever when that is missing.
    add(&["-m", &call.tool.model, "-o", "json"]);
    if !call.hands && call.scope == Scope::Prompt {
        add(&["--policy", &call.policy_file?.to_string_lossy()]);
    }
    add(&["--allowed-mcp-server-names", "none"]);
    args.extend_from_slice(extra(call));
    Some(args)
}

/// Whether it has tried three times. It goes on for ten minutes (27 requests in 580 s were seen), no option bounds that, and
/// the next provider waits.
pub(super) fn is_lost(err: &str) -> bool {
    err.split_inclusive('\n').any(|line| line.starts_with("Attempt 3 failed") && line.ends_with('\n'))
}

pub(super) fn hear(out: &str, err: &str) -> Heard {
    if let Some(object) = object(out) {
        return if text(&object, "type").is_empty() { whole(&object, err) } else { streamed(out) };
    }
    let Some(object) = object(err) else {
        // What failed, and on the next line when it is tried again. The last of three says less than those before it.
        let attempts = || {
            let at = err.rmatch_indices("Attempt ").map(|(at, _)| err.get(at..).unwrap_or_default());
            at.map(|rest| rest.lines().take(2).collect::<Vec<_>>().join(" "))
        };
        let told = attempts().find(|attempt| blame::class(attempt).is_some());
        return Heard { retrying: told.or_else(|| attempts().next()), ..Heard::default() };
    };
    Heard { fault: fault(&object), ..Heard::default() }
}

/// The first object of a text that begins a line alone with its brace, as the pretty form does, or a line of its own.
/// On standard error the object may stand there twice, the second time behind `[ERROR] `.
fn object(text: &str) -> Option<Value> {
    let begins = text
        .match_indices('{')
        .filter(|(at, _)| text.get(..*at).is_some_and(|before| before.is_empty() || before.ends_with('\n')));
    begins.into_iter().find_map(|(at, _)| {
        let mut values = serde_json::Deserializer::from_slice(text.get(at..)?.as_bytes()).into_iter::<Value>();
        values.next()?.ok().filter(Value::is_object)
    })
}

fn whole(object: &Value, err: &str) -> Heard {
    let models = object.pointer("/stats/models").and_then(Value::as_object);
    let usage = |key: &str| models.and_then(|models| sum(models, &format!("/tokens/{key}")));
    let main = models.into_iter().flatten().find(|(_, usage)| usage.pointer("/roles/main").is_some());
    let reply = CloudReply {
        text: text(object, "response").trim().to_string(),
        model: main.map(|(name, _)| name.clone()),
        prompt_tokens: usage("prompt"),
        completion_tokens: usage("candidates").map(|said| said.saturating_add(usage("thoughts").unwrap_or(0))),
        cost_usd: None,
        session: Some(text(object, "session_id").to_string()).filter(|id| !id.is_empty()),
        denied: denied(object, err),
    };
    // Both are counted once, when gemini gives up on a stream; errors that a retry made good have other names.
    let errors = main.and_then(|(_, usage)| usage.pointer("/api/errorsByType"));
    let by_type = ["NO_RESPONSE_TEXT", "NO_FINISH_REASON"]
        .iter()
        .find(|name| errors.is_some_and(|errors| errors.get(name).is_some()))
        .map(|name| (CloudClass::Network, format!("the stream ended with {name}")));
    Heard { is_whole: true, fault: fault(object).or(by_type), reply, retrying: None }
}

/// `-o stream-json`, should the user have asked for it: deltas, then a result. It does not say which model was the main
/// one, unless there was only one.
fn streamed(out: &str) -> Heard {
    let mut heard = Heard::default();
    for event in out.lines().filter_map(|line| serde_json::from_slice::<Value>(line.as_bytes()).ok()) {
        match (text(&event, "type"), text(&event, "role")) {
            ("init", _) => heard.reply.session = Some(text(&event, "session_id").to_string()),
            ("message", "assistant") => heard.reply.text.push_str(text(&event, "content")),
            ("tool_result", _) if text(&event, "status") != "success" => {
                heard.reply.denied.push(line(&format!("{}: {}", text(&event, "tool_id"), text(&event, "status"))));
            }
            ("result", _) => {
                heard.is_whole = true;
                let models = event.pointer("/stats/models").and_then(Value::as_object);
                heard.reply.model =
                    models.filter(|models| models.len() == 1).and_then(|models| models.keys().next().cloned());
                heard.reply.prompt_tokens = event.pointer("/stats/input_tokens").and_then(Value::as_u64);
                heard.reply.completion_tokens = event.pointer("/stats/output_tokens").and_then(Value::as_u64);
                if text(&event, "status") != "success" {
                    heard.fault = fault(&event).or(Some((CloudClass::Server, text(&event, "status").to_string())));
                }
            }
            _ => {}
        }
    }
    heard.reply.text = heard.reply.text.trim().to_string();
    heard
}

fn sum(models: &Map<String, Value>, pointer: &str) -> Option<u64> {
    models.values().filter_map(|usage| usage.pointer(pointer)?.as_u64()).reduce(u64::saturating_add)
}

/// The `error` of an object. Its message may be the JSON of the API's own error.
fn fault(object: &Value) -> Option<(CloudClass, String)> {
    let error = object.get("error")?;
    let said = text(error, "message");
    let inner = serde_json::from_slice::<Value>(said.as_bytes()).ok();
    let inner = inner.as_ref().and_then(|value| value.pointer("/error/message")).and_then(Value::as_str);
    let message = inner.unwrap_or(said).to_string();
    let class = match error.get("code").and_then(Value::as_u64) {
        Some(41) => CloudClass::Auth,
        // A sandbox, a turn limit, a tool or a folder that is not trusted.
        Some(44 | 53 | 54 | 55) => CloudClass::Denied,
        Some(130) => CloudClass::Killed,
        // For some 400s the words know better: an unknown key is one.
        Some(status @ 400..=599) => blame::of_status(status, &message),
        Some(_) | None => blame::class(&message).unwrap_or(CloudClass::Malformed),
    };
    Some((class, message))
}

/// What a tool was not let do: standard error names the tool and why; the object only counts.
fn denied(object: &Value, err: &str) -> Vec<String> {
    let said: Vec<String> =
        err.lines().filter_map(|said| said.strip_prefix("Error executing tool ")).map(line).collect();
    if !said.is_empty() {
        return said;
    }
    let tools = object.pointer("/stats/tools/byName").and_then(Value::as_object).into_iter().flatten();
    let failed = tools.filter_map(|(name, usage)| Some((name, usage.get("fail")?.as_u64()?))).filter(|(_, n)| *n > 0);
    failed.map(|(name, n)| format!("{name}: failed {}", Count::of(n, "time"))).collect()
}

/// The class of an end without an object. Its own codes are small; an HTTP status comes modulo 256.
pub(super) fn by_code(code: i32, out: &str) -> Option<CloudClass> {
    match code {
        0 if out.trim().is_empty() => Some(CloudClass::Killed),
        41 => Some(CloudClass::Auth),
        44 | 53 | 54 | 55 => Some(CloudClass::Denied),
        144..=255 => u64::try_from(code).ok().map(|code| blame::of_status(code + 256, "")),
        _ => None,
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
