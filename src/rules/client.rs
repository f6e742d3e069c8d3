//! Who is at the other end of `mux mcp`: which protocol it speaks, how long it waits, which provider it is, and where its
//! project lies. Pure.

use crate::words::task::Provider;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

/// The revisions with a handshake, oldest first.
pub const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/// The revision without one: every request says who asks.
pub const MODERN: &str = "2026-07-28";
/// The only revision with batches.
pub const BATCHES: &str = "2025-03-26";

/// How long a call may take before an unknown client gives up. Claude Desktop, Zed and the TypeScript SDK end a call
/// after 60 s, whatever progress it reports.
const UNKNOWN: Duration = Duration::from_secs(50);
/// Codex ends a call after 300 s (`tool_timeout_sec`); progress does not extend it.
const CODEX: Duration = Duration::from_secs(270);
/// Gemini CLI ends it after 600 s (`timeout`), in the same way.
const GEMINI: Duration = Duration::from_mins(9);
/// Claude Code waits 28 h while progress comes; a run is over long before.
const CLAUDE_CODE: Duration = Duration::from_hours(2);

/// Returns how long a call of this client may take before it is answered with a run id instead of a result.
pub fn budget(client: &str) -> Duration {
    match client {
        "claude-code" => CLAUDE_CODE,
        "codex-mcp-client" => CODEX,
        "gemini-cli-mcp-client" => GEMINI,
        _ => UNKNOWN,
    }
}

/// Returns the provider that a client is, if it is one: work is never escalated to the one that handed it over.
pub fn provider(client: &str) -> Option<Provider> {
    let client = client.to_ascii_lowercase();
    let known = [Provider::Claude, Provider::Codex, Provider::Gemini];
    known.into_iter().find(|provider| client.starts_with(provider.name()))
}

/// Returns the revision to answer a handshake with: the one that was asked for, else the newest that has a handshake.
pub fn revision(asked: &str) -> &'static str {
    let [.., newest] = LEGACY;
    LEGACY.into_iter().find(|known| *known == asked).unwrap_or(newest)
}

/// Returns the path of a `file:` URI; `None` for another scheme, another host or a relative path.
pub fn root(uri: &str) -> Option<PathBuf> {
    let rest = uri.strip_prefix("file://")?;
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return None;
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let (high, low) = (char::from(rest.next()?).to_digit(16)?, char::from(rest.next()?).to_digit(16)?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    if bytes.contains(&0) { None } else { Some(PathBuf::from(OsString::from_vec(bytes))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn clients_are_known_by_the_names_that_they_give() {
        // Recorded from claude 2.1.330, codex 0.169.0 and gemini 0.61.0.
        let seen = ["claude-code", "codex-mcp-client", "gemini-cli-mcp-client", "Visual Studio Code", ""];
        let seconds = seen.map(|client| budget(client).as_secs());
        assert_eq!(seconds, [7200, 270, 540, 50, 50]);
        let [claude, codex, gemini] = [Provider::Claude, Provider::Codex, Provider::Gemini].map(Some);
        assert_eq!(seen.map(provider), [claude, codex, gemini, None, None]);
        assert_eq!(provider("Claude Desktop"), claude);
    }

    #[test]
    fn a_revision_that_is_not_known_is_answered_with_the_newest() {
        assert_eq!(LEGACY.map(revision), LEGACY);
        assert_eq!(["1999-01-01", MODERN, ""].map(revision), ["2025-11-25"; 3]);
    }

    #[test]
    fn roots_are_absolute_paths_of_this_machine() {
        let check = |uri: &str, path: Option<&str>| assert_eq!(root(uri).as_deref(), path.map(Path::new), "{uri}");
        check("file:///home/a/b", Some("/home/a/b"));
        check("file://localhost/a%20b%C3%A9", Some("/a bé"));
        for uri in ["file://host/a", "https://x/a", "file:a", "file:///a%0", "file:///a%zz", "file:///a%00"] {
            check(uri, None);
        }
    }
}
