//! What a client wants done: the arguments of a tool → a [`Wish`]. Every mistake is told with what is valid, because a
//! model reads it and tries again.

use crate::rules::nearest::nearest;
use crate::rules::rpc::{Object, is_null, items, object, text};
use crate::words::task::{Asked, Kind, Provider};
use serde_json::value::RawValue;
use std::path::PathBuf;
use std::time::Duration;

/// The keys of `payload_json`, in the order in which they are listed.
pub const KEYS: [&str; 12] = [
    "task",
    "workdir",
    "kind",
    "route",
    "prefer_local",
    "verify",
    "verify_with",
    "files",
    "deadline_sec",
    "preview",
    "local_only",
    "run_id",
];
/// Largest task, in bytes.
const LARGEST_TASK: usize = 4 << 20;
/// The longest deadline, in seconds: a week.
const LONGEST: u64 = 604_800;

/// A task as a client gives it. What is not given is empty.
#[derive(Debug, Default, PartialEq)]
pub struct Wish {
    pub task: String,
    pub workdir: Option<PathBuf>,
    pub kind: Option<Kind>,
    pub route: Asked,
    pub local_only: bool,
    pub prefer_local: bool,
    pub verify: Vec<String>,
    pub verify_with: Option<Provider>,
    pub files: Vec<String>,
    pub preview: bool,
    pub deadline: Option<Duration>,
}

/// What `mux_json` asks for.
#[derive(Debug, PartialEq)]
pub enum Asks {
    Run(Box<Wish>),
    /// The result of a run that was begun before.
    Result(String),
}

/// Reads the arguments of `mux`.
///
/// # Errors
/// One line that says what is wrong and what is valid.
pub fn of_mux(arguments: &Object<'_>) -> Result<Wish, String> {
    only(arguments, &["task", "workdir"], "argument")?;
    let mut wish = Wish::default();
    for (key, value) in arguments {
        set(&mut wish, key, value)?;
    }
    whole(wish)
}

/// Reads the arguments of `mux_json`.
///
/// # Errors
/// As [`of_mux`].
pub fn of_json(arguments: &Object<'_>) -> Result<Asks, String> {
    only(arguments, &["payload_json"], "argument")?;
    let shape = r#"`payload_json` must be a JSON object in a string, such as {"task": "Fix the off-by-one in src/pager.py", "verify": ["python3 -m pytest -q"]}"#;
    let payload = arguments.get("payload_json").ok_or(shape)?;
    // Models send the object itself now and then; there is only one thing that can mean.
    let payload = text(payload).unwrap_or_else(|| payload.get().to_string());
    let raw: &RawValue =
        serde_json::from_slice(payload.as_bytes()).map_err(|error| format!("{shape}; it is no JSON: {error}"))?;
    let fields = object(raw).ok_or(shape)?;
    only(&fields, &KEYS, "key")?;
    let given: Vec<&str> = fields.iter().filter(|(_, value)| !is_unsaid(value)).map(|(key, _)| key.as_str()).collect();
    if given.contains(&"run_id") {
        if let Some(other) = given.iter().find(|key| **key != "run_id") {
            return Err(format!(
                "`run_id` asks for the result of a run and stands alone; `{other}` does not go with it"
            ));
        }
        return Ok(Asks::Result(string("run_id", fields.get("run_id").ok_or(shape)?)?));
    }
    let mut wish = Wish::default();
    for (key, value) in &fields {
        set(&mut wish, key, value)?;
    }
    whole(wish).map(|wish| Asks::Run(Box::new(wish)))
}

/// Refuses the arguments of a tool that takes none.
///
/// # Errors
/// As [`of_mux`].
pub fn nothing(arguments: &Object<'_>) -> Result<(), String> {
    only(arguments, &[], "argument")
}

fn only(fields: &Object<'_>, known: &[&str], what: &str) -> Result<(), String> {
    let Some(unknown) = fields.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
    let shown: String = unknown.chars().take(60).collect();
    let meant = nearest(&shown, known.iter().copied()).map(|word| format!("; did you mean `{word}`?"));
    let valid = if known.is_empty() { "there are none".to_string() } else { format!("valid: {}", known.join(", ")) };
    Err(format!("unknown {what} `{shown}`{}; {valid}", meant.unwrap_or_default()))
}

fn whole(mut wish: Wish) -> Result<Wish, String> {
    wish.task = wish.task.trim().to_string();
    if wish.task.is_empty() {
        return Err("`task` is missing: say what to do, name the files, say when it is done".to_string());
    }
    if wish.task.len() > LARGEST_TASK {
        return Err("`task` is larger than 4 MiB; say it in a few sentences and name files in `files`".to_string());
    }
    Ok(wish)
}

/// Some clients must send every key: what is empty counts as not given.
fn is_unsaid(value: &RawValue) -> bool {
    is_null(value) || matches!(value.get(), "\"\"" | "0" | "[]" | "false")
}

fn set(wish: &mut Wish, key: &str, value: &RawValue) -> Result<(), String> {
    if is_unsaid(value) {
        return Ok(());
    }
    match key {
        "task" => wish.task = string(key, value)?,
        "workdir" => wish.workdir = Some(PathBuf::from(string(key, value)?)),
        "kind" => {
            wish.kind = match string(key, value)?.as_str() {
                "answer" => Some(Kind::Answer),
                "change" => Some(Kind::Change),
                "auto" => None,
                _ => return Err(bad(key, "\"answer\" or \"change\"", value)),
            }
        }
        "route" => {
            let known = || bad(key, &format!("one of {}", Asked::NAMES.join(", ")), value);
            wish.route = Asked::parse(&string(key, value)?).ok_or_else(known)?;
        }
        "prefer_local" => wish.prefer_local = switch(key, value)?,
        "local_only" => wish.local_only = switch(key, value)?,
        "preview" => wish.preview = switch(key, value)?,
        "verify" => wish.verify = strings(key, value)?,
        "files" => wish.files = strings(key, value)?,
        "verify_with" => {
            let name = string(key, value)?;
            let provider = Provider::named(&name);
            wish.verify_with = Some(provider.ok_or_else(|| bad(key, "claude, codex or gemini", value))?);
        }
        "deadline_sec" => {
            let seconds = value.get().parse::<u64>().ok().filter(|seconds| (1..=LONGEST).contains(seconds));
            let seconds = seconds.ok_or_else(|| bad(key, "a whole number of seconds from 1 to 604800", value))?;
            wish.deadline = Some(Duration::from_secs(seconds));
        }
        _ => {}
    }
    Ok(())
}

fn string(key: &str, value: &RawValue) -> Result<String, String> {
    text(value).ok_or_else(|| bad(key, "a string", value))
}

fn switch(key: &str, value: &RawValue) -> Result<bool, String> {
    match value.get() {
        "true" | "\"true\"" => Ok(true),
        "\"false\"" => Ok(false),
        _ => Err(bad(key, "true or false", value)),
    }
}

/// A string, or a list of strings; a list in the list is a command as arguments.
fn strings(key: &str, value: &RawValue) -> Result<Vec<String>, String> {
    if let Some(one) = text(value) {
        return Ok(vec![one]);
    }
    let items = items(value).ok_or_else(|| bad(key, "a list of strings", value))?;
    let is_command = |item: &RawValue| key == "verify" && item.get().starts_with('[');
    let item = |item: &RawValue| if is_command(item) { Some(item.get().to_string()) } else { text(item) };
    items.into_iter().map(|one| item(one).ok_or_else(|| bad(key, "a list of strings", value))).collect()
}

fn bad(key: &str, expected: &str, value: &RawValue) -> String {
    let mut shown: String = value.get().chars().take(60).collect();
    if shown.len() < value.get().len() {
        shown.push('…');
    }
    format!("`{key}` must be {expected}, not {shown}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::rpc::json;

    #[track_caller]
    fn payload(text: &str) -> Result<Asks, String> {
        let arguments = format!("{{\"payload_json\":{}}}", json(&text));
        let raw: &RawValue = serde_json::from_str(&arguments).unwrap();
        of_json(&object(raw).unwrap())
    }

    #[track_caller]
    fn refused(text: &str, why: &str) {
        let error = payload(text).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }

    #[test]
    fn every_key_is_read() {
        let text = r#"{"task":" Fix it ","workdir":"/w","kind":"change","route":"local","prefer_local":true,
            "verify":["make test",["sh","-c","x && y"]],"verify_with":"codex","files":"a.py","deadline_sec":60,
            "preview":true,"local_only":"true"}"#;
        let wish = Wish {
            task: "Fix it".into(),
            workdir: Some("/w".into()),
            kind: Some(Kind::Change),
            route: Asked::Local,
            local_only: true,
            prefer_local: true,
            verify: vec!["make test".into(), r#"["sh","-c","x && y"]"#.into()],
            verify_with: Some(Provider::Codex),
            files: vec!["a.py".into()],
            preview: true,
            deadline: Some(Duration::from_mins(1)),
        };
        assert_eq!(payload(text), Ok(Asks::Run(Box::new(wish))));
    }

    #[test]
    fn what_is_empty_counts_as_not_given() {
        let text = r#"{"task":"x","workdir":"","kind":"","route":null,"prefer_local":false,"verify":[],"verify_with":"",
            "files":[],"deadline_sec":0,"preview":false,"local_only":false,"run_id":""}"#;
        assert_eq!(payload(text), Ok(Asks::Run(Box::new(Wish { task: "x".into(), ..Wish::default() }))));
        assert_eq!(payload(r#"{"task":"","run_id":"01X"}"#), Ok(Asks::Result("01X".into())));
    }

    #[test]
    fn a_mistake_says_what_is_valid() {
        refused("{}", "`task` is missing");
        refused("not json", "it is no JSON");
        refused("[]", "must be a JSON object");
        refused(r#"{"taks":"x"}"#, "unknown key `taks`; did you mean `task`?; valid: task, workdir, kind, route");
        refused(r#"{"task":"x","deadline_sec":-1}"#, "from 1 to 604800, not -1");
        refused(r#"{"task":"x","kind":"undo"}"#, "\"answer\" or \"change\", not \"undo\"");
        refused(r#"{"task":["x"]}"#, "`task` must be a string, not [\"x\"]");
        refused(r#"{"task":"x","verify":[1]}"#, "a list of strings");
        refused(r#"{"task":"x","run_id":"01X"}"#, "stands alone");
        let raw: &RawValue = serde_json::from_str(r#"{"task":"x","kind":"answer"}"#).unwrap();
        assert!(of_mux(&object(raw).unwrap()).unwrap_err().contains("valid: task, workdir"));
        assert!(nothing(&object(raw).unwrap()).unwrap_err().contains("there are none"));
    }
}
