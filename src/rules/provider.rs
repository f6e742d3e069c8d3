//! The cloud CLIs as a table: the least dangerous command line for a call, the environment of the child, and how a reply
//! or a failure is dug out of its output. Pure. Not here: which provider is called and when (`policy.rs`, the engine),
//! what may be sent (the gate), running the child (`sys/proc.rs`).
//!
//! What stands here was measured with claude 2.1.330, codex 0.169.0 and gemini 0.61.0; `fixtures/cli` holds what they
//! printed, and the tests replay all of it.
//!
//! **Invariants:** success is never read from an exit code alone. No command line holds the prompt, nor a blanket
//! bypass of permissions. A call of scope `prompt` is built without any tool, or not at all.
mod blame;
mod claude;
mod codex;
mod gemini;
mod text;

use crate::rules::config::{PromptVia, ReplyForm, Scope, Tool};
use crate::words::cloud::{CloudClass, CloudFailure, CloudReply, End, Progress};
use crate::words::task::{Provider, Refusal};
use std::path::Path;
use std::time::Duration;

/// Longest message of a failure, in characters.
const LONGEST_MESSAGE: usize = 500;
/// Longest line of progress or of what was denied, in characters.
const LONGEST_LINE: usize = 160;
/// Linux takes no longer argument, whatever `ARG_MAX` is; the last byte is its zero.
const LONGEST_ARGUMENT: usize = 128 * 1024 - 1;

/// One call, as far as its command line depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub provider: Provider,
    pub tool: &'a Tool,
    /// Whether the CLI is to write files.
    pub hands: bool,
    /// One of [`scopes`].
    pub scope: Scope,
    /// Globs that claude is told not to read. The others cannot be told.
    pub never_send: &'a [String],
    /// A file that holds [`policy_text`]. Gemini has no other way to be without tools.
    pub policy_file: Option<&'a Path>,
    /// The MCP servers that the user has configured, for codex: the answer to [`list_servers`]. A call without tools
    /// switches each of them off, and is refused while they are not known.
    pub servers: Option<&'a [String]>,
    /// What this call may cost. Only claude can be told.
    pub budget_usd: Option<f64>,
}

/// How the child is given its prompt.
#[derive(Debug, PartialEq, Eq)]
pub struct Given {
    pub argv: Vec<String>,
    /// `None` when the prompt is an argument: then standard input is empty.
    pub stdin: Option<Vec<u8>>,
}

/// What the output of a CLI says, whatever its exit code.
#[derive(Debug, Default)]
struct Heard {
    reply: CloudReply,
    /// Whether the CLI said that it has finished.
    is_whole: bool,
    /// What failed, in the CLI's own words.
    fault: Option<(CloudClass, String)>,
    /// Why the CLI tried again by itself, the last time, if nothing came after that.
    retrying: Option<String>,
}

/// Returns the command line of a call, the program first. It ends with `-` where the CLI wants to be told that the
/// prompt comes on standard input. Never the prompt itself: see [`give`].
///
/// # Errors
/// `Scope`: the provider does not offer it, or a call without tools lacks what it takes: gemini's policy file, the names
/// of codex's servers.
pub fn argv(call: &Call<'_>) -> Result<Vec<String>, Refusal> {
    if !scopes(call.provider, call.tool, call.hands).contains(&call.scope) {
        return Err(Refusal::Scope);
    }
    let args = match call.provider {
        Provider::Claude => claude::args(call),
        Provider::Codex => codex::args(call).ok_or(Refusal::Scope)?,
        Provider::Gemini => gemini::args(call).ok_or(Refusal::Scope)?,
        Provider::Declared(_) => extra(call).to_vec(),
    };
    Ok([vec![call.tool.binary.clone()], args].concat())
}

/// Puts the prompt where the CLI is given it: on standard input, or, where the configuration says so, into an argument.
/// The result is for the child only; what is recorded is the command line without it.
///
/// # Errors
/// `ContextTooLong` where an argument cannot hold the prompt.
pub fn give(call: &Call<'_>, mut argv: Vec<String>, prompt: &str) -> Result<Given, CloudFailure> {
    match call.tool.prompt_via {
        PromptVia::Stdin => return Ok(Given { argv, stdin: Some(prompt.as_bytes().to_vec()) }),
        PromptVia::Arg if prompt.len() >= LONGEST_ARGUMENT => {
            let what = format!("the prompt has {} bytes, and an argument holds {LONGEST_ARGUMENT}", prompt.len());
            return Err(failed(CloudClass::ContextTooLong, &what, CloudReply::default()));
        }
        PromptVia::Arg => {}
    }
    match call.provider {
        // Both take what follows `--` as it is, a prompt that begins with a dash too.
        Provider::Claude => argv.extend(["--".to_string(), prompt.to_string()]),
        Provider::Codex => {
            argv.pop();
            argv.extend(["--".to_string(), prompt.to_string()]);
        }
        Provider::Gemini => argv.push(format!("--prompt={prompt}")),
        Provider::Declared(_) => argv.push(prompt.to_string()),
    }
    Ok(Given { argv, stdin: None })
}

/// Returns the scopes that a provider can be held to, from narrow to wide. Codex's sandbox does not confine reads; the
/// read tools of the others see the work directory. Arguments of the user's own that bring tools back or lift a sandbox
/// leave only `machine`.
pub fn scopes(provider: Provider, tool: &Tool, hands: bool) -> &'static [Scope] {
    let added = if hands { &tool.exec_args } else { &tool.advisory_args };
    let is_lifted = match provider {
        Provider::Claude => lifts(added, claude::LIFTS),
        Provider::Codex => lifts(added, codex::LIFTS),
        Provider::Gemini => lifts(added, gemini::LIFTS),
        Provider::Declared(_) => false,
    };
    match (provider, hands) {
        _ if is_lifted => &[Scope::Machine],
        (Provider::Claude | Provider::Gemini, false) => &[Scope::Prompt, Scope::Workdir],
        (Provider::Claude | Provider::Gemini, true) => &[Scope::Workdir],
        (Provider::Codex, false) => &[Scope::Prompt, Scope::Machine],
        (Provider::Codex, true) => &[Scope::Machine],
        // A CLI that mux does not know is what the user says it is.
        (Provider::Declared(_), _) => match tool.scope {
            Scope::Prompt if hands => &[Scope::Workdir],
            Scope::Prompt => &[Scope::Prompt],
            Scope::Workdir => &[Scope::Workdir],
            Scope::Machine => &[Scope::Machine],
        },
    }
}

/// Returns the narrowest scope on offer that is as wide as the step needs and no wider than is allowed.
pub fn narrowest(offered: &[Scope], needed: Scope, allowed: Scope) -> Option<Scope> {
    offered.iter().copied().filter(|scope| (needed..=allowed).contains(scope)).min()
}

/// Returns the variables that the child is given, unless the user has set them: fewer tries of its own, so that an error
/// arrives before mux's deadline does.
pub fn variables(provider: Provider) -> &'static [(&'static str, &'static str)] {
    match provider {
        // By itself claude tries eleven times (three minutes at 429), and waits six minutes for a silent server.
        Provider::Claude => &[("CLAUDE_CODE_MAX_RETRIES", "2"), ("API_TIMEOUT_MS", "90000")],
        // One process instead of two, and a third of the start-up time.
        Provider::Gemini => &[("GEMINI_CLI_NO_RELAUNCH", "true")],
        Provider::Codex | Provider::Declared(_) => &[],
    }
}

/// Returns whether a child must not inherit a variable: what redirects git or the loader, mux's own settings, and what
/// a CLI leaves in the environment of its children. Keys, proxies and config homes of the providers stay.
pub fn drops(name: &str) -> bool {
    const MARKERS: [&str; 18] = [
        "AI_AGENT",
        "CLAUDECODE",
        "CLAUDE_CODE_CHILD_NOTES_DIR",
        "CLAUDE_CODE_CHILD_SESSION",
        "CLAUDE_CODE_ENTRYPOINT",
        "CLAUDE_CODE_EXECPATH",
        "CLAUDE_CODE_MESSAGING_SOCKET",
        "CLAUDE_CODE_MESSAGING_TOKEN",
        "CLAUDE_CODE_SESSION_ATTENDED",
        "CLAUDE_CODE_SESSION_ID",
        "CLAUDE_PID",
        "CLAUDE_PROJECT_DIR",
        "CODEX_CI",
        "CODEX_SESSION_ID",
        "CODEX_THREAD_ID",
        "CODEX_TOOL_CALL_ID",
        "CODEX_VERSION",
        "GEMINI_CLI",
    ];
    const BEGINNINGS: [&str; 6] = ["GIT_", "LD_", "DYLD_", "MUX_", "CODEX_SANDBOX", "CODEX_MANAGED_"];
    MARKERS.contains(&name) || BEGINNINGS.iter().any(|begin| name.starts_with(begin))
}

/// Returns the policy that leaves gemini without any tool.
pub fn policy_text() -> &'static str {
    "# Written by mux: a call of scope `prompt` offers the model no tool at all.\n\
     [[rule]]\ntoolName = \"*\"\ndecision = \"deny\"\npriority = 999\n"
}

/// Returns the command line that asks codex which MCP servers are configured. It starts none of them (0.2 s).
pub fn list_servers(codex: &Tool) -> Vec<String> {
    [codex.binary.as_str(), "mcp", "list", "--json"].map(String::from).to_vec()
}

/// Reads the answer of codex to [`list_servers`]; `None` when it is none.
pub fn servers(stdout: &[u8]) -> Option<Vec<String>> {
    codex::servers(stdout)
}

/// Reads what a CLI printed. A reply needs an exit code of 0, a parsed result that is no error, and a text.
///
/// # Errors
/// Why there is no reply. What was used up is in it, as far as the CLI says.
pub fn parse(form: ReplyForm, end: &End, stdout: &[u8], stderr: &[u8]) -> Result<CloudReply, CloudFailure> {
    let (out, err) = (String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr));
    let heard = match form {
        ReplyForm::Text => text::hear(&out),
        ReplyForm::Claude => claude::hear(&out),
        ReplyForm::Codex => codex::hear(&out),
        ReplyForm::Gemini => gemini::hear(&out, &err),
    };
    let Heard { reply, is_whole, fault, retrying } = heard;
    let (class, message) = match (end, fault) {
        (End::NotStarted(why), _) => (CloudClass::Malformed, format!("it could not be started: {why}")),
        (End::Stopped, _) => (CloudClass::Killed, "stopped by mux".to_string()),
        (End::Signal(number), _) => (CloudClass::Killed, format!("by signal {number}")),
        (End::TimedOut, fault) => late("no end within the deadline of the call", fault, retrying),
        (End::Silent, fault) => late("nothing came for too long", fault, retrying),
        (End::Lost, fault) => late("it has tried often enough", fault, retrying),
        (End::Code(_), Some(fault)) => fault,
        (End::Code(0), None) if is_whole && !reply.text.trim().is_empty() => return Ok(reply),
        (End::Code(0), None) if is_whole => (CloudClass::Empty, "it ended well and said nothing".to_string()),
        (End::Code(code), None) => unheard(form, *code, &out, &err),
    };
    Err(failed(class, &message, reply))
}

/// Returns what tells, from standard error, that a CLI which is still running will come to nothing.
pub fn says_lost(form: ReplyForm) -> Option<fn(&str) -> bool> {
    match form {
        ReplyForm::Gemini => Some(gemini::is_lost),
        ReplyForm::Text | ReplyForm::Claude | ReplyForm::Codex => None,
    }
}

/// Returns what a line of a stream says about the work in progress. Gemini's output comes in one piece, at the end.
pub fn progress(form: ReplyForm, line: &[u8]) -> Option<Progress> {
    match form {
        ReplyForm::Claude => claude::progress(line),
        ReplyForm::Codex => codex::progress(line),
        ReplyForm::Text | ReplyForm::Gemini => None,
    }
}

/// Returns how long a provider is left alone after a failure. The CLI's own retries are over by then, so even a named
/// second becomes a minute; a time that is days away is asked for again tomorrow.
pub fn cooldown(class: CloudClass) -> Option<Duration> {
    const MINUTE: Duration = Duration::from_mins(1);
    const HOUR: Duration = Duration::from_hours(1);
    const DAY: Duration = Duration::from_hours(24);
    match class {
        CloudClass::RateLimited { until } => {
            Some(until.map_or(5 * MINUTE, |seconds| Duration::from_secs(seconds).clamp(MINUTE, DAY)))
        }
        CloudClass::Quota { until } => {
            Some(until.map_or(HOUR, |seconds| Duration::from_secs(seconds).clamp(MINUTE, DAY)))
        }
        CloudClass::Auth | CloudClass::ModelMissing => Some(HOUR),
        CloudClass::Denied
        | CloudClass::ContextTooLong
        | CloudClass::Server
        | CloudClass::Network
        | CloudClass::Timeout
        | CloudClass::Killed
        | CloudClass::Malformed
        | CloudClass::Empty => None,
    }
}

/// The user's own arguments for this kind of call.
fn extra<'a>(call: &Call<'a>) -> &'a [String] {
    if call.hands { &call.tool.exec_args } else { &call.tool.advisory_args }
}

/// Whether one of the arguments is one of the options: alone, with `=value`, or, for one letter, with the value glued on.
/// An option without a dash is the beginning of a key that follows `-c`.
fn lifts(args: &[String], options: &[&str]) -> bool {
    let is = |arg: &str, option: &str| {
        let is_short = option.len() == 2 && !arg.starts_with("--");
        arg.strip_prefix(option)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('=') || is_short || !option.starts_with('-'))
    };
    let key =
        |arg: &str| ["--config=", "-c"].iter().find_map(|begin| arg.strip_prefix(begin)).unwrap_or(arg).to_string();
    args.iter().any(|arg| options.iter().any(|option| is(arg, option) || is(&key(arg), option)))
}

/// A CLI that mux ended: the reason is what it was retrying for, if that is known.
fn late(how: &str, fault: Option<(CloudClass, String)>, retrying: Option<String>) -> (CloudClass, String) {
    let known = fault.or_else(|| retrying.and_then(|why| Some((blame::class(&why)?, why))));
    match known {
        Some((class, why)) => (class, format!("{how}; the last it said: {why}")),
        None => (CloudClass::Timeout, how.to_string()),
    }
}

/// A CLI that ended by itself and did not say that it had finished, nor what failed.
fn unheard(form: ReplyForm, code: i32, out: &str, err: &str) -> (CloudClass, String) {
    let said = last_words(err);
    let own = match form {
        ReplyForm::Gemini => gemini::by_code(code, out),
        ReplyForm::Codex => codex::by_code(code, out),
        ReplyForm::Claude | ReplyForm::Text => None,
    };
    let by_signal = [129, 130, 137, 143].contains(&code).then_some(CloudClass::Killed);
    let class = own.or(by_signal).or_else(|| blame::class(&said)).unwrap_or(CloudClass::Malformed);
    let message = if said.is_empty() { format!("it ended with {code} and no reply") } else { said };
    (class, message)
}

fn failed(class: CloudClass, message: &str, reply: CloudReply) -> CloudFailure {
    CloudFailure {
        class,
        message: bounded(message, LONGEST_MESSAGE),
        model: reply.model,
        prompt_tokens: reply.prompt_tokens,
        completion_tokens: reply.completion_tokens,
        cost_usd: reply.cost_usd,
    }
}

/// What a CLI wrote on standard error, without what all of them write there when nothing is wrong.
fn last_words(err: &str) -> String {
    const NOISE: [&str; 4] = ["Reading ", "Warning: True color", "Ripgrep is not available", "Loaded cached"];
    let lines = err.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<&str> = lines.filter(|line| !NOISE.iter().any(|noise| line.starts_with(noise))).collect();
    lines.join("\n")
}

/// Returns the first `longest` characters of a text without the space around it; what was cut is marked.
fn bounded(text: &str, longest: usize) -> String {
    let text = text.trim();
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default().trim_end()),
        None => text.to_string(),
    }
}

/// Returns one bounded line.
fn line(text: &str) -> String {
    bounded(text.trim().lines().next().unwrap_or_default(), LONGEST_LINE)
}

#[cfg(test)]
mod tests;
