//! The tools: names, what a model is told of them, and their schemas.
//!
//! The schemas keep to what every client and every model's API takes: plain objects with `properties`, `required` and
//! `additionalProperties: false`, one scalar type and a description for each property, no keyword beyond. One keyword
//! more makes some of them refuse the whole list.

use crate::rules::rpc::json;
use std::sync::OnceLock;

/// A tool of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Mux,
    MuxJson,
    MuxDoctor,
    MuxHealth,
}

/// What a model is told about the server as a whole.
pub const INSTRUCTIONS: &str = "\
mux does coding tasks on the user's own model server, checks the result with the project's tests and keeps files only \
when they pass; otherwise the tree is as it was. What the local model can do is private and costs nothing, and \
`cloud` says what left the machine where it could not. So hand it self-contained routine work: write a module or a \
function, fix a failing test or a bug in a named file, rename, add docstrings or tests, explain code. State the \
outcome, name the files, and give a command that proves it: mux_json with `verify`. Do not hand over work that needs \
this conversation, a design decision, or many files at once. A result with status `done` and verify `passed` needs no \
second check. Status `running` carries a run_id: call mux_json with {\"run_id\": \"…\"} to wait for the result. On an \
error, read why: improve the task once, or do it yourself.";

impl Tool {
    /// In the order of the list.
    pub const ALL: [Tool; 4] = [Tool::Mux, Tool::MuxJson, Tool::MuxDoctor, Tool::MuxHealth];

    pub fn name(self) -> &'static str {
        match self {
            Tool::Mux => "mux",
            Tool::MuxJson => "mux_json",
            Tool::MuxDoctor => "mux_doctor",
            Tool::MuxHealth => "mux_health",
        }
    }

    pub fn named(name: &str) -> Option<Tool> {
        Tool::ALL.into_iter().find(|tool| tool.name() == name)
    }

    fn describe(self) -> String {
        let (title, description, input, output) = match self {
            Tool::Mux => ("Do a coding task locally", MUX, schema(&MUX_INPUT, &["task"]), run_output()),
            Tool::MuxJson => {
                let input = schema(&[("payload_json", TEXT, PAYLOAD)], &["payload_json"]);
                ("Do a coding task, with options; or get a result", MUX_JSON, input, run_output())
            }
            Tool::MuxDoctor => ("Find out what is wrong with mux", MUX_DOCTOR, schema(&[], &[]), doctor_output()),
            Tool::MuxHealth => ("Is the local model up", MUX_HEALTH, schema(&[], &[]), health_output()),
        };
        let is_read_only = matches!(self, Tool::MuxDoctor | Tool::MuxHealth);
        let (name, title, description) = (json(&self.name()), json(&title), json(&description));
        // Every run can be undone, hence not destructive; codex refuses destructive tools when nobody can be asked.
        let hints = format!(
            "\"readOnlyHint\":{is_read_only},\"destructiveHint\":false,\"idempotentHint\":{is_read_only},\
             \"openWorldHint\":{}",
            !is_read_only
        );
        format!(
            "{{\"name\":{name},\"title\":{title},\"description\":{description},\"inputSchema\":{input},\
             \"outputSchema\":{output},\"annotations\":{{\"title\":{title},{hints}}}}}"
        )
    }
}

/// Returns the list of all tools as JSON, the same bytes every time. Written once: clients ask for it again and again.
pub fn list() -> &'static str {
    static LIST: OnceLock<String> = OnceLock::new();
    LIST.get_or_init(|| format!("[{}]", Tool::ALL.map(Tool::describe).join(",")))
}

const MUX: &str = "\
Does one coding task with the user's local model: writes or changes files in the project, or answers a question about \
it. Files are applied as a whole, checked with the project's tests and rolled back when they fail; every run can be \
undone. Good: \"Create slugify.py with slugify(text) and a unittest\", \"Fix the off-by-one in src/pager.py so that \
tests/test_pager.py passes\", \"Explain how retries work in http.rs\". Bad: \"improve the code\", anything that needs this \
conversation or a decision. Takes seconds to minutes. Returns status (done, or running with a run_id), files, verify, \
output.";
const MUX_JSON: &str = "\
As mux, with options in one JSON string: task (required), workdir, kind (answer or change), route, files (paths that the \
model must see), verify (commands that prove the result, the best thing to give), verify_with (a provider that reviews), \
deadline_sec, preview (show the diff, write nothing), prefer_local, local_only. Example: {\"task\": \"Fix the rounding in \
src/price.py\", \"verify\": [\"python3 -m pytest -q tests/test_price.py\"]}. Or {\"run_id\": \"…\"} alone: waits for a run \
that was still going on, or returns its result again.";
const MUX_DOCTOR: &str = "\
Examines the whole installation: model server, configuration, state, git, cloud CLIs. Each check that failed comes with \
the command that fixes it. Changes nothing. Use it when mux_health says that the model is down, or when runs fail for no \
reason that the code explains.";
const MUX_HEALTH: &str = "\
Says whether the local model server answers, with which model and how much context, and why not. Changes nothing, takes \
milliseconds. Not needed before every task: mux says itself when the model is down.";

const PAYLOAD: &str = "A JSON object in a string: {\"task\": \"…\", \"verify\": [\"…\"]}, or {\"run_id\": \"…\"}.";

/// A property of an object: its name, its type as JSON, what it says.
type Property<'a> = (&'a str, &'a str, &'a str);

const TEXT: &str = r#""type":"string""#;
const TEXTS: &str = r#""type":"array","items":{"type":"string"}"#;
const COUNT: &str = r#""type":"integer""#;
const SWITCH: &str = r#""type":"boolean""#;

const MUX_INPUT: [Property<'_>; 2] = [
    ("task", TEXT, "What to do, as an outcome: name the files and say when it is done. No conversation is shared."),
    ("workdir", TEXT, "Absolute path of the project, if it is not the one that is open."),
];

/// Returns the schema of an object.
fn schema(properties: &[Property<'_>], required: &[&str]) -> String {
    let property = |(name, kind, says): &Property<'_>| format!("\"{name}\":{{{kind},\"description\":{}}}", json(says));
    let properties: Vec<String> = properties.iter().map(property).collect();
    let (properties, required) = (properties.join(","), json(&required));
    format!(
        "{{\"type\":\"object\",\"properties\":{{{properties}}},\"required\":{required},\"additionalProperties\":false}}"
    )
}

fn run_output() -> String {
    let properties = [
        ("status", TEXT, "done, or running: then call mux_json with the run_id to wait"),
        ("run_id", TEXT, "the name of the run, for mux_json and for `mux diff`, `mux undo`, `mux why`"),
        ("kind", TEXT, "answer or change"),
        ("route", TEXT, "where the accepted result comes from: local, or a cloud CLI"),
        ("model", TEXT, "the model that answered"),
        ("reason", TEXT, "why it was accepted: verified, confident, unproven, unverified, requested …"),
        ("refused", TEXT, "why an escalation that was wanted did not happen"),
        ("workdir", TEXT, "where it worked"),
        ("verify", TEXT, "passed, unproven, skipped or failed, with the commands"),
        ("files", TEXTS, "what was done to each file"),
        ("cloud", TEXT, "what left this machine; ≥ where a cloud CLI could read more by itself"),
        ("cloud_bytes", COUNT, "bytes that mux sent out of this machine"),
        ("remote", TEXT, "the model server, where it is another machine: code went there"),
        ("output", TEXT, "the answer, or what there is to say about the change"),
        ("diff", TEXT, "the diff of a preview"),
        ("notes", TEXTS, "what was repaired or left out on the way"),
        ("proposed_commands", TEXTS, "commands that the model proposed; they were not run"),
        ("hints", TEXTS, "what to do next"),
        ("full_result", TEXT, "a file with everything, where something was cut"),
    ];
    schema(&properties, &["status", "run_id", "output"])
}

fn doctor_output() -> String {
    let check = [
        ("name", TEXT, "what was looked at"),
        ("state", TEXT, "ok, warn or fail"),
        ("text", TEXT, "what was found"),
        ("fix", TEXT, "a shell command that fixes it; empty where nothing is wrong"),
    ];
    let checks = format!("\"type\":\"array\",\"items\":{}", schema(&check, &["name", "state", "text", "fix"]));
    let properties =
        [("usable", SWITCH, "whether some route can work"), ("checks", checks.as_str(), "each check, in order")];
    schema(&properties, &["usable", "checks"])
}

fn health_output() -> String {
    let properties = [
        ("up", SWITCH, "whether a model answers"),
        ("base_url", TEXT, "the server"),
        ("model", TEXT, "the model that answers; empty when none does"),
        ("context_tokens", COUNT, "the size of its window; 0 when the server does not say"),
        ("why", TEXT, "why it is not up; empty when it is"),
        ("found_elsewhere", TEXTS, "models or servers that were found instead"),
        ("version", TEXT, "the version of mux"),
    ];
    schema(&properties, &["up", "base_url", "model", "context_tokens", "why", "found_elsewhere", "version"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// What contracts of clients and model APIs refuse, drop or rewrite.
    fn faults(schema: &Value, at: &str, faults: &mut Vec<String>) {
        let fields = schema.as_object().unwrap();
        let known = ["type", "description", "properties", "required", "additionalProperties", "items"];
        faults.extend(fields.keys().filter(|key| !known.contains(&key.as_str())).map(|key| format!("{at}: {key}")));
        match schema["type"].as_str() {
            Some("object") => {
                let properties = schema["properties"].as_object().unwrap();
                assert_eq!(schema["additionalProperties"], false, "{at}");
                let required = schema["required"].as_array().unwrap();
                assert!(required.iter().all(|name| properties.contains_key(name.as_str().unwrap())), "{at}");
                for (name, property) in properties {
                    if property["description"].as_str().is_none_or(str::is_empty) {
                        faults.push(format!("{at}.{name}: no description"));
                    }
                    self::faults(property, &format!("{at}.{name}"), faults);
                }
            }
            Some("array") => self::faults(&schema["items"], &format!("{at}[]"), faults),
            Some("string" | "integer" | "boolean") => {}
            Some(_) | None => faults.push(format!("{at}: no scalar type")),
        }
    }

    #[test]
    fn every_tool_is_portable() {
        let tools: Value = serde_json::from_str(list()).unwrap();
        let mut found = Vec::new();
        for tool in tools.as_array().unwrap() {
            let name = tool["name"].as_str().unwrap();
            assert!(name.len() <= 40 && name.chars().all(|char| char.is_ascii_lowercase() || char == '_'), "{name}");
            assert!(tool["description"].as_str().unwrap().len() <= 1024, "{name}");
            assert_eq!(Tool::named(name).map(Tool::name), Some(name));
            for schema in ["inputSchema", "outputSchema"] {
                faults(&tool[schema], &format!("{name}.{schema}"), &mut found);
            }
            let hints = tool["annotations"].as_object().unwrap();
            assert!(hints.len() == 5 && hints["destructiveHint"] == false, "{name}: {hints:?}");
        }
        assert_eq!(found, Vec::<String>::new());
    }
}
