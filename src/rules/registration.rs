//! How mux is registered as an MCP server with the coding CLIs: their own commands, and what stands in their files.
//! Pure. The forms were recorded from claude 2.1.330, codex 0.169.0 and gemini 0.61.0.

use crate::rules::from_json;
use serde_json::Value;

/// The name of the registration, and of the table that holds it.
pub const NAME: &str = "mux";
/// Seconds that codex gives a call; its default is 300, and progress does not extend it.
const CODEX_CALL_SEC: u32 = 1800;
/// Seconds that codex gives a server to start; its default is 10.
const CODEX_START_SEC: u32 = 20;
/// Codex asks before a tool that may reach the network, and refuses it where nobody can be asked.
const APPROVAL: &str = "default_tools_approval_mode";
/// Milliseconds that gemini gives a call; its default is 600 000.
const GEMINI_CALL_MS: u32 = 900_000;

/// A CLI that mux can be registered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    Claude,
    Codex,
    Gemini,
}

/// What the client's file says of mux.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Absent,
    /// As it would be written now.
    Same,
    /// A mux of another place, or with other limits.
    Older,
    /// Something else under the name.
    Foreign,
    /// The file is not what the client writes; why.
    Unreadable(String),
}

/// How mux is to be registered.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Absolute path of the program.
    pub program: &'a str,
    /// Whether codex and gemini may use the tools without asking.
    pub trust: bool,
}

impl Client {
    pub const ALL: [Client; 3] = [Client::Claude, Client::Codex, Client::Gemini];

    pub fn name(self) -> &'static str {
        match self {
            Client::Claude => "claude",
            Client::Codex => "codex",
            Client::Gemini => "gemini",
        }
    }

    pub fn named(name: &str) -> Option<Client> {
        Client::ALL.into_iter().find(|client| client.name() == name)
    }

    /// Returns the arguments that register mux.
    pub fn add(self, wanted: &Wanted<'_>) -> Vec<String> {
        let timeout = GEMINI_CALL_MS.to_string();
        let words: Vec<&str> = match self {
            Client::Claude => vec!["mcp", "add", "-s", "user", NAME, "--", wanted.program, "mcp"],
            Client::Codex => vec!["mcp", "add", NAME, "--", wanted.program, "mcp"],
            Client::Gemini if wanted.trust => {
                vec!["mcp", "add", "-s", "user", "--trust", "--timeout", &timeout, NAME, wanted.program, "mcp"]
            }
            Client::Gemini => vec!["mcp", "add", "-s", "user", "--timeout", &timeout, NAME, wanted.program, "mcp"],
        };
        words.into_iter().map(String::from).collect()
    }

    /// Returns the arguments that take the registration out.
    pub fn remove(self) -> Vec<String> {
        let words: &[&str] = match self {
            Client::Claude => &["mcp", "remove", NAME, "-s", "user"],
            Client::Codex => &["mcp", "remove", NAME],
            Client::Gemini => &["mcp", "remove", "-s", "user", NAME],
        };
        words.iter().map(|word| (*word).to_string()).collect()
    }

    /// Returns the arguments that show the registration; claude and gemini start the server for it.
    pub fn show(self) -> Vec<String> {
        let words: &[&str] = match self {
            Client::Claude => &["mcp", "get", NAME],
            Client::Codex => &["mcp", "get", NAME, "--json"],
            Client::Gemini => &["mcp", "list"],
        };
        words.iter().map(|word| (*word).to_string()).collect()
    }
}

/// Reads what a client's file says of mux. `text` is empty where there is no file.
pub fn entry(client: Client, text: &str, wanted: &Wanted<'_>) -> Entry {
    match client {
        Client::Codex => in_toml(text, wanted),
        Client::Claude | Client::Gemini => in_json(client, text, wanted),
    }
}

fn in_json(client: Client, text: &str, wanted: &Wanted<'_>) -> Entry {
    if text.trim().is_empty() {
        return Entry::Absent;
    }
    let root: Value = match serde_json::from_slice(text.as_bytes()) {
        Ok(root @ Value::Object(_)) => root,
        Ok(_) => return Entry::Unreadable("it is no JSON object".to_string()),
        Err(error) => return Entry::Unreadable(error.to_string()),
    };
    let Some(entry) = root.get("mcpServers").and_then(|servers| servers.get(NAME)) else { return Entry::Absent };
    let program = entry.get("command").and_then(Value::as_str).unwrap_or_default();
    let args: Option<Vec<&str>> =
        entry.get("args").and_then(Value::as_array).and_then(|args| args.iter().map(Value::as_str).collect());
    let args = args.unwrap_or_default();
    if !is_mux(program, args.first().copied()) {
        return Entry::Foreign;
    }
    let has_limits = match client {
        Client::Claude | Client::Codex => true,
        Client::Gemini => entry.get("timeout").and_then(Value::as_u64) >= Some(u64::from(GEMINI_CALL_MS)),
    };
    let is_trusted = client != Client::Gemini || !wanted.trust || entry.get("trust") == Some(&Value::Bool(true));
    if program == wanted.program && args == ["mcp"] && has_limits && is_trusted { Entry::Same } else { Entry::Older }
}

fn in_toml(text: &str, wanted: &Wanted<'_>) -> Entry {
    let Some(table) = table(text) else { return Entry::Absent };
    let value = |key: &str| {
        table.lines.iter().find_map(|line| Some(line.trim().strip_prefix(key)?.trim_start().strip_prefix('=')?.trim()))
    };
    let program: String = value("command").and_then(|text| from_json::read(text.as_bytes()).ok()).unwrap_or_default();
    let args: Vec<String> = value("args").and_then(|text| from_json::read(text.as_bytes()).ok()).unwrap_or_default();
    if !is_mux(&program, args.first().map(String::as_str)) {
        return Entry::Foreign;
    }
    let has_limits = value("tool_timeout_sec").is_some();
    let is_trusted = !wanted.trust || value(APPROVAL) == Some("\"approve\"");
    let is_same = program == wanted.program && args == ["mcp"] && has_limits && is_trusted;
    if is_same { Entry::Same } else { Entry::Older }
}

fn is_mux(program: &str, first: Option<&str>) -> bool {
    program.rsplit('/').next() == Some(NAME) && first == Some("mcp")
}

/// A table of a TOML file: where its lines begin, and they.
struct Table<'t> {
    /// Bytes before the first line behind the header.
    start: usize,
    lines: Vec<&'t str>,
}

/// Finds mux's table as codex writes it. Lines, not a grammar: codex has read the file before it wrote to it.
fn table(text: &str) -> Option<Table<'_>> {
    let mut start = 0;
    let mut lines = text.split_inclusive('\n');
    lines.find(|line| {
        start += line.len();
        matches!(line.trim(), "[mcp_servers.mux]" | "[mcp_servers.\"mux\"]")
    })?;
    Some(Table { start, lines: lines.take_while(|line| !line.trim_start().starts_with('[')).collect() })
}

/// The lines that codex has no option for.
pub fn codex_lines(wanted: &Wanted<'_>) -> String {
    let approval = if wanted.trust { format!("{APPROVAL} = \"approve\"\n") } else { String::new() };
    format!("startup_timeout_sec = {CODEX_START_SEC}\ntool_timeout_sec = {CODEX_CALL_SEC}\n{approval}")
}

/// Returns codex's file with the limits that long calls need, and the leave if it is wanted; `None` where mux has no
/// table, or has them already.
pub fn with_lines(text: &str, wanted: &Wanted<'_>) -> Option<String> {
    let table = table(text)?;
    let has = |key: &str| table.lines.iter().any(|line| line.trim_start().starts_with(key));
    let lines = codex_lines(wanted);
    let missing: Vec<&str> =
        lines.split_inclusive('\n').filter(|line| !line.split(' ').next().is_some_and(&has)).collect();
    if missing.is_empty() {
        return None;
    }
    let (before, after) = text.split_at_checked(table.start)?;
    let gap = if before.ends_with('\n') { "" } else { "\n" };
    Some(format!("{before}{gap}{}{after}", missing.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted<'_> = Wanted { program: "/home/u/.local/bin/mux", trust: false };

    #[track_caller]
    fn check(client: Client, text: &str, expected: &Entry) {
        assert_eq!(entry(client, text, &WANTED), *expected, "{text}");
    }

    #[test]
    fn claude_and_gemini_are_read_as_they_write() {
        let claude = |server: &str| format!("{{\"x\":1,\"mcpServers\":{{\"mux\":{server}}}}}");
        let same = r#"{"type":"stdio","command":"/home/u/.local/bin/mux","args":["mcp"],"env":{}}"#;
        check(Client::Claude, &claude(same), &Entry::Same);
        check(Client::Claude, &claude(r#"{"command":"/old/mux","args":["mcp"]}"#), &Entry::Older);
        check(Client::Claude, &claude(r#"{"command":"npx","args":["mux"]}"#), &Entry::Foreign);
        check(Client::Claude, "{\"mcpServers\":{\"other\":{}}}", &Entry::Absent);
        check(Client::Claude, "", &Entry::Absent);
        check(Client::Gemini, &claude(same), &Entry::Older);
        let timed = r#"{"command":"/home/u/.local/bin/mux","args":["mcp"],"timeout":900000}"#;
        check(Client::Gemini, &claude(timed), &Entry::Same);
        let trusted = Wanted { trust: true, ..WANTED };
        assert_eq!(entry(Client::Gemini, &claude(timed), &trusted), Entry::Older);
        for broken in ["{", "[]", "{} // a comment"] {
            let read = entry(Client::Gemini, broken, &WANTED);
            assert!(matches!(read, Entry::Unreadable(_)), "{broken}: {read:?}");
        }
    }

    #[test]
    fn codex_gets_its_limits_once_and_nothing_else_moves() {
        let before = "model = \"m\"\n\n[mcp_servers.mux]\ncommand = \"/home/u/.local/bin/mux\"\nargs = [\"mcp\"]\n\n\
            [mcp_servers.mux.env]\nA = \"1\"\n[other]\ntool_timeout_sec = 1\n";
        check(Client::Codex, before, &Entry::Older);
        let after = with_lines(before, &WANTED).unwrap();
        let expected = before
            .replace("[mcp_servers.mux]\n", "[mcp_servers.mux]\nstartup_timeout_sec = 20\ntool_timeout_sec = 1800\n");
        assert_eq!(after, expected);
        check(Client::Codex, &after, &Entry::Same);
        assert_eq!(with_lines(&after, &WANTED), None);
        let own = "[mcp_servers.mux]\ntool_timeout_sec = 60\nstartup_timeout_sec = 5";
        assert_eq!(with_lines(own, &WANTED), None, "a limit of the user's own stays");
        let trusted = Wanted { trust: true, ..WANTED };
        assert_eq!(entry(Client::Codex, &after, &trusted), Entry::Older);
        let leave = with_lines(&after, &trusted).unwrap();
        assert!(leave.contains("[mcp_servers.mux]\ndefault_tools_approval_mode = \"approve\"\n"), "{leave}");
        assert_eq!(entry(Client::Codex, &leave, &trusted), Entry::Same);
        let lines = format!("[mcp_servers.mux]\n{}", codex_lines(&WANTED));
        assert_eq!(with_lines("[mcp_servers.mux]", &WANTED), Some(lines));
        check(Client::Codex, "[mcp_servers.muxer]\n", &Entry::Absent);
        check(Client::Codex, "[mcp_servers.mux]\ncommand = \"x\"\n", &Entry::Foreign);
        assert_eq!(with_lines("model = \"m\"\n", &WANTED), None);
    }

    #[test]
    fn trust_is_only_given_where_it_was_asked_for() {
        for client in Client::ALL {
            assert!(!client.add(&WANTED).contains(&"--trust".to_string()));
            assert_eq!(Client::named(client.name()), Some(client));
        }
        assert!(Client::Gemini.add(&Wanted { trust: true, ..WANTED }).contains(&"--trust".to_string()));
    }
}
