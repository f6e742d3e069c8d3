//! What must not leave the machine nor reach the ledger: the shapes of keys, and the values of keys that mux itself
//! was given. A table of prefixes (`secrets/shapes.rs`) and small scanners (PEM blocks, JWTs, passwords in URLs, keys
//! with their mark in the middle, assignments), no regex. The same for the cloud, the ledger and the commit hook.
//!
//! **Not here:** which *files* must stay (`never_send` globs), and what is done about a find (block or redact).
//! It finds shapes, not meaning: a pass phrase made of words is not found. A false find blocks a call or
//! blanks a word, so every scanner has guards against placeholders and code; the tests list both sides.

mod address;
mod assigned;
mod drawn;
mod marked;
mod shapes;
mod things;

use crate::rules::sorted::sorted;
use crate::words::count::Count;
use drawn::is_random;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

/// A place of a secret in a text. Never holds the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it looks like: `github-token`, `private-key`, …
    pub rule: &'static str,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What stands around it on its line, all secrets blanked: `API_KEY=[redacted:openai-key]`.
    pub excerpt: String,
    /// Whether its line says `mux: allow-secret`. For the commit hook, where the author of the line decides; to the
    /// cloud nothing goes for that.
    pub is_allowed: bool,
    pub identity: Identity,
}

/// Tells whether two places show the same value: a digest of it. For comparing only; it is neither shown nor stored, since
/// the digest of a short password would betray it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity([u8; 32]);

/// One secret to take out: where it stands first, and everywhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm<P> {
    pub first: P,
    pub more: Vec<P>,
}

/// The mark of a line whose secret is none.
const ALLOWED: &str = "mux: allow-secret";
/// How many bytes of a line an excerpt shows before and behind the secret.
const AROUND: (usize, usize) = (40, 20);
/// Bytes of a key, or of a value, that are judged: what goes on is like its beginning.
const JUDGED: usize = 256;
/// Longest first part of a JSON Web Token, in bytes.
const LONGEST_HEAD: usize = 1024;
/// Further places of a secret that are named one by one.
const MOST_PLACES: usize = 8;

/// Returns the places of all secrets in a text. `also` are values to find besides the shapes: those of configured keys.
pub fn find(text: &str, also: &[String]) -> Vec<Found> {
    let spans = spans(text, also);
    let (mut line, mut line_start, mut line_end, mut is_allowed) = (1, 0, 0, false);
    let (mut counted, mut column) = (0, 1);
    let mut found = Vec::with_capacity(spans.len());
    for (index, span) in spans.iter().enumerate() {
        // Counted from one to the next: there may be thousands of them, also on one line.
        let between = text.get(counted..span.start).unwrap_or("");
        if index == 0 || between.contains('\n') {
            line += between.matches('\n').count();
            line_start = between.rfind('\n').map_or(counted, |newline| counted + newline + 1);
            let rest = text.get(line_start..).unwrap_or("");
            line_end = line_start + rest.find('\n').unwrap_or(rest.len());
            is_allowed = text.get(line_start..line_end).is_some_and(|line| line.contains(ALLOWED));
            (counted, column) = (line_start, 1);
        }
        column += text.get(counted..span.start).unwrap_or("").chars().count();
        counted = span.start;
        found.push(Found {
            rule: span.rule,
            line,
            column,
            excerpt: excerpt(text, &spans, index, line_start, line_end),
            is_allowed,
            identity: Identity::of(text.get(span.start..span.end).unwrap_or("")),
        });
    }
    found
}

/// Puts the places of one value together, in the order of their first places. What is allowed is to be left out before:
/// a mark holds for its own line only.
pub fn alarms<P>(places: Vec<P>, identity: impl Fn(&P) -> Identity) -> Vec<Alarm<P>> {
    let mut alarms: Vec<Alarm<P>> = Vec::new();
    let mut seen = BTreeMap::new();
    for place in places {
        let index = *seen.entry(identity(&place)).or_insert(alarms.len());
        match alarms.get_mut(index) {
            Some(alarm) => alarm.more.push(place),
            None => alarms.push(Alarm { first: place, more: Vec::new() }),
        }
    }
    alarms
}

impl<P> Alarm<P> {
    /// Returns ` (and 2 more places: a.py:3, b.py:9)`, some of many; nothing for a secret that stands in one place.
    pub fn elsewhere(&self, name: impl Fn(&P) -> String) -> String {
        let mut named: Vec<String> = self.more.iter().take(MOST_PLACES).map(name).collect();
        if self.more.len() > MOST_PLACES {
            named.push("…".to_string());
        }
        if named.is_empty() {
            return String::new();
        }
        format!(" (and {}: {})", Count::of(self.more.len(), "more place"), named.join(", "))
    }
}

impl Identity {
    /// Of a key in many lines, indentation and line ends do not count.
    fn of(value: &str) -> Identity {
        let mut digest = Sha256::new();
        value.split_ascii_whitespace().for_each(|part| digest.update(part));
        Identity(digest.finalize().into())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

/// Returns the surroundings of a secret on its line, up to the secrets beside it.
fn excerpt(text: &str, spans: &[Span], index: usize, line_start: usize, line_end: usize) -> String {
    let Some(span) = spans.get(index) else { return String::new() };
    let last = index.checked_sub(1).and_then(|before| spans.get(before)).map_or(0, |before| before.end);
    let next = spans.get(index + 1).map_or(text.len(), |next| next.start);
    let start = text.ceil_char_boundary(line_start.max(last).max(span.start.saturating_sub(AROUND.0)));
    let end = text.floor_char_boundary(line_end.min(next).min(span.end.saturating_add(AROUND.1)));
    let (before, behind) = (text.get(start..span.start).unwrap_or(""), text.get(span.end..end).unwrap_or(""));
    format!("{}[redacted:{}]{}", before.trim_start(), span.rule, behind.trim_end())
}

/// Returns the text with every secret replaced by `[redacted:RULE]`.
pub fn redact<'a>(text: &'a str, also: &[String]) -> Cow<'a, str> {
    let spans = spans(text, also);
    if spans.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut end = 0;
    for span in spans {
        kept.push_str(text.get(end..span.start).unwrap_or(""));
        kept.push_str("[redacted:");
        kept.push_str(span.rule);
        kept.push(']');
        end = span.end;
    }
    kept.push_str(text.get(end..).unwrap_or(""));
    Cow::Owned(kept)
}

/// Returns a JSON document with the secrets in its strings replaced. Each string is judged unescaped and by itself, so
/// the result is always the same document but for those strings.
pub fn redact_json(document: &str, also: &[String]) -> String {
    let mut kept = String::with_capacity(document.len());
    let mut rest = document;
    while let Some(open) = rest.find('"') {
        let (before, string) = rest.split_at(open);
        let mut escaped = false;
        let close = string.bytes().skip(1).position(|byte| {
            let is_end = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            is_end
        });
        let (string, after) = string.split_at_checked(close.map_or(string.len(), |at| at + 2)).unwrap_or((string, ""));
        kept.push_str(before);
        match serde_json::from_slice::<String>(string.as_bytes()).as_deref().map(|text| redact(text, also)) {
            Ok(Cow::Owned(clean)) => kept.push_str(&serde_json::Value::String(clean).to_string()),
            Ok(Cow::Borrowed(_)) | Err(_) => kept.push_str(string),
        }
        rest = after;
    }
    kept.push_str(rest);
    kept
}

/// Bytes `start..end` of a text. Both ends are character boundaries: every scanner stops at ASCII bytes.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
    rule: &'static str,
}

/// Returns all secrets of a text in order, without overlaps.
fn spans(text: &str, also: &[String]) -> Vec<Span> {
    let mut spans = Vec::new();
    // A value of under four characters would blank half of a text; it protects nothing either.
    for value in also.iter().filter(|value| value.len() >= 4) {
        let span = |(start, value): (usize, &str)| Span { start, end: start + value.len(), rule: "configured-key" };
        spans.extend(text.match_indices(value.as_str()).map(span));
    }
    let bytes = text.as_bytes();
    // The end of what was found: no key begins inside another one.
    let mut covered = 0;
    let (mut before, mut word_start) = ([b' '; 3], 0);
    for (at, byte) in bytes.iter().enumerate() {
        // Most letters stand inside a word, where no key begins: the same question as `is_start`, without looking back.
        let is_inside =
            before[2].is_ascii_alphanumeric() && !(before[1] == b'\\' && matches!(before[2], b'n' | b'r' | b't'));
        let word = before;
        before = [before[1], before[2], *byte];
        let span = match byte {
            _ if at < covered => None,
            byte if byte.is_ascii_alphabetic() => {
                if is_inside {
                    continue;
                }
                jwt(text, at).or_else(|| shapes::shaped(text, at))
            }
            b':' => address::url_password(text, at)
                .or_else(|| marked::telegram(text, at))
                .or_else(|| login(text, at))
                .or_else(|| address::driver_password(text, at))
                .or_else(|| private_member(text, at)),
            b'/' => marked::google(text, at).or_else(|| address::oracle_password(text, at)),
            b'!' => marked::salesforce(text, at),
            b'-' => private_key(text, at)
                .or_else(|| putty(text, at))
                .or_else(|| marked::mailchimp(text, at))
                .or_else(|| password_flag(text, at)),
            b'~' => marked::azure(text, at),
            b'.' => marked::terraform(text, at).or_else(|| marked::discord(text, at)),
            _ => None,
        };
        // Not `extend`: it would ask for room at each byte.
        if let Some(span) = span {
            covered = span.end;
            spans.push(span);
        }
        if !is_word(*byte) {
            if at - word_start >= marked::SHORTEST_ENDING {
                spans.extend(marked::ending(text, at));
            }
            word_start = at + 1;
            if at >= covered
                && assigned::is_end(word)
                && let Some(span) = assigned::named(text, at)
            {
                covered = span.end;
                spans.push(span);
            }
        }
    }
    spans.extend(marked::ending(text, text.len()));
    let places = spans.iter().enumerate().map(|(index, span)| (span.start, Reverse(span.end), index, span.rule));
    let mut apart: Vec<Span> = Vec::new();
    for (start, Reverse(end), _, rule) in sorted(places.collect()) {
        let start = apart.last().map_or(start, |before| start.max(before.end));
        if end > start {
            apart.push(Span { start, end, rule });
        }
    }
    apart
}

/// A JSON Web Token: three base64url parts with dots, the first two being JSON objects (`{"` is `eyJ`).
fn jwt(text: &str, at: usize) -> Option<Span> {
    let is_head = matches!(text.as_bytes().get(at..)?, [b'e', b'y', b'J', ..]);
    let rest = text.get(at..).filter(|_| is_head && is_start(text, at))?;
    // The head is short, and every other part ends where the next one begins: no part is read again and again.
    let head = run(rest.as_bytes().get(..rest.len().min(LONGEST_HEAD))?, is_word);
    let claims = rest.get(head..)?.strip_prefix('.').filter(|claims| head >= 10 && claims.starts_with("eyJ"))?;
    let n_claims = run(claims.as_bytes(), is_word);
    let signature = claims.get(n_claims..)?.strip_prefix('.').filter(|_| n_claims >= 10)?;
    let length = rest.len() - signature.len() + run(signature.as_bytes(), is_word_or_dot);
    let is_jwt = rest.len() - signature.len() + 10 <= length;
    is_jwt.then_some(Span { start: at, end: at + length, rule: "jwt" })
}

/// A PEM block of a private key, to its end line or to the end of the text. A header without a key behind it (as in
/// code that looks for one) does not count.
fn private_key(text: &str, at: usize) -> Option<Span> {
    let label = text.get(at..)?.strip_prefix("-----BEGIN ")?;
    let (label, body) = label.split_once("-----")?;
    if label.len() > 40 || !label.contains("PRIVATE KEY") {
        return None;
    }
    // What stands behind the end line is not of this key.
    let head = body.get(..body.floor_char_boundary(600))?.split("-----END ").next()?.as_bytes();
    if !head.split(|byte| !is_base64(*byte)).any(|run| run.len() >= 40) {
        return None;
    }
    let end = body.find("-----END ").and_then(|end| {
        let (_, tail) = body.split_at_checked(end + "-----END ".len())?;
        Some(body.len() - tail.len() + tail.find("-----")? + 5)
    });
    let body_start = text.len() - body.len();
    // The body is found by its length: it is the rest of the text.
    Some(Span { start: at, end: body_start + end.unwrap_or(body.len()), rule: "private-key" })
}

/// The lines of base64 behind `Private-Lines: N` in a key of `PuTTY`, `at` being the hyphen.
fn putty(text: &str, at: usize) -> Option<Span> {
    let lines = text.get(at..)?.strip_prefix("-Lines: ").filter(|_| line_before(text, at) == "Private")?;
    let body = lines.trim_start_matches(|letter: char| letter.is_ascii_digit()).trim_start();
    let length = run(body.as_bytes(), |byte| is_base64(byte) || matches!(byte, b'\r' | b'\n'));
    // The lines end where a word begins that is none: `Private-MAC`.
    let length = body.get(..length)?.trim_end().len();
    let start = text.len() - body.len();
    (length >= 40).then_some(Span { start, end: start + length, rule: "private-key" })
}

/// The password in `curl -u user:password`, `at` being the colon.
fn login(text: &str, at: usize) -> Option<Span> {
    let user = run_before(text, at, is_word_or_dot);
    let before = text.get(..at - user)?;
    let value = text.get(at + 1..)?;
    if user == 0 || !(before.ends_with("-u ") || before.ends_with("--user ")) {
        return None;
    }
    let length = run(value.as_bytes(), |byte| byte.is_ascii_graphic() && !b"\"'`\\,;".contains(&byte));
    is_random(value.get(..length)?, true).then_some(Span {
        start: at + 1,
        end: at + 1 + length,
        rule: "login-password",
    })
}

/// The private member `"d"` of a JSON Web Key (RFC 7517), `at` being its colon.
fn private_member(text: &str, at: usize) -> Option<Span> {
    let before = text.get(..at)?;
    let value = text.get(at + 1..)?.trim_start().strip_prefix('"').filter(|_| before.ends_with("\"d\""))?;
    let length = run(value.as_bytes(), is_word);
    let start = text.len() - value.len();
    let (from, to) =
        (text.floor_char_boundary(at.saturating_sub(1000)), text.ceil_char_boundary(start + length + 1000));
    let is_key = length >= 42 && text.get(from..to.min(text.len())).is_some_and(|near| near.contains("\"kty\""));
    is_key.then_some(Span { start, end: start + length, rule: "private-key" })
}

/// The password behind the flag `-p` of a command that takes one so, `at` being the hyphen. With the clients of
/// `MySQL` no blank stands between, and with all others one does.
fn password_flag(text: &str, at: usize) -> Option<Span> {
    let value = text.get(at..)?.strip_prefix("-p")?;
    let line = line_before(text, at);
    if !line.ends_with(' ') {
        return None;
    }
    let is_mysql = line.contains("mysql");
    let value = if is_mysql { value } else { value.strip_prefix(' ')?.trim_start_matches(['"', '\'']) };
    let length = run(value.as_bytes(), |byte| byte.is_ascii_graphic() && !b"\"'`\\,;".contains(&byte));
    let start = text.len() - value.len();
    let is_secret =
        (is_mysql || line.contains("login ") || line.contains("sshpass ")) && is_random(value.get(..length)?, true);
    is_secret.then_some(Span { start, end: start + length, rule: "login-password" })
}

/// Whether a key may begin here: not inside a longer word. The `n` of a written-out `\n` is no word.
fn is_start(text: &str, at: usize) -> bool {
    match text.as_bytes().get(..at).unwrap_or_default() {
        [.., b'\\', b'n' | b'r' | b't'] | [] => true,
        [.., byte] => !byte.is_ascii_alphanumeric(),
    }
}

/// Returns the length of the run of a class at the start of a text.
fn run(text: &[u8], class: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|byte| !class(*byte)).unwrap_or(text.len())
}

/// Returns the length of the run of a class that ends before `at`.
fn run_before(text: &str, at: usize, class: impl Fn(u8) -> bool) -> usize {
    text.as_bytes().iter().take(at).rev().take(80).take_while(|byte| class(**byte)).count()
}

/// Returns what stands before `at` on its line, 200 bytes of it at the most: a text may be one line.
fn line_before(text: &str, at: usize) -> &str {
    let before = text.get(text.ceil_char_boundary(at.saturating_sub(200))..at).unwrap_or("");
    before.rsplit('\n').next().unwrap_or(before)
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn is_upper_or_digit(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn is_word_or_dot(byte: u8) -> bool {
    is_word(byte) || byte == b'.'
}

#[cfg(test)]
mod planted;

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds test keys at run time, so that this file itself trips no scanner.
    fn key(prefix: &str, length: usize) -> String {
        let body = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zC";
        prefix.chars().chain(body.chars().cycle().take(length)).collect()
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let clean = redact(text, &[]);
        assert_eq!(clean, expected);
        assert_eq!(find(text, &[]).len(), expected.matches("[redacted:").count(), "{text}");
        assert_eq!(redact(&clean, &[]), clean, "redacting twice changes nothing");
    }

    #[track_caller]
    fn check_key(key: &str, rule: &str) {
        check(key, &format!("[redacted:{rule}]"));
        check(&format!("key {key}, more"), &format!("key [redacted:{rule}], more"));
        check(&format!("line\\n{key}\n"), &format!("line\\n[redacted:{rule}]\n"));
        check(&format!("x{key}"), &format!("x{key}"));
    }

    #[test]
    fn shapes_are_found() {
        check_key(&key("sk-ant-api03-", 40), "anthropic-key");
        check_key(&key("sk-proj-", 48), "openai-key");
        check_key(&key("sk-", 32), "openai-key");
        check_key(&key("sk-or-v1-", 64), "openrouter-key");
        check_key(&key("ghp_", 36), "github-token");
        check_key(&key("gho_", 36), "github-token");
        check_key(&key("github_pat_", 60), "github-token");
        check_key(&key("glpat-", 20), "gitlab-token");
        check_key(&format!("AKIA{}", "C".repeat(16)), "aws-key");
        check_key(&format!("ASIA{}", "2Z".repeat(8)), "aws-key");
        check_key(&key("xoxb-", 40), "slack-token");
        check_key(&key("AIza", 35), "google-key");
        check_key(&key("hf_", 34), "huggingface-token");
        check_key(&key("npm_", 36), "npm-token");
        check_key(&key("sk_live_", 24), "stripe-key");
        check_key(&key("pypi-AgEIcHlwaS5vcmc", 60), "pypi-token");
        check_key(&key("gsk_", 52), "groq-key");
        check_key(&format!("{}.{}.{}", key("eyJ", 20), key("eyJ", 40), key("", 43)), "jwt");
        check_key(&format!("ghp_{}", "b".repeat(36)), "github-token");
    }

    #[test]
    fn keys_in_their_surroundings_are_found() {
        check("Authorization: Bearer tok_4ddddddddd", "Authorization: Bearer [redacted:authorization]");
        check("authorization: basic amFuZTpzM2NyZXQ5cHc=", "authorization: basic [redacted:authorization]");
        check("curl -H \"X-Api-Key: 0123abcd\" u", "curl -H \"X-Api-Key: [redacted:authorization]\" u");
        check("{'Authorization': 'Bearer abcd3fgh'}", "{'Authorization': 'Bearer [redacted:authorization]'}");
        check("PASSWORD=hunter2hunter22", "PASSWORD=[redacted:assigned-secret]");
        check("export DB_PASSWORD='Tr0ub4dor&3'\n", "export DB_PASSWORD='[redacted:assigned-secret]'\n");
        check("\"client_secret\": \"a1b2c3d4e5f6\",", "\"client_secret\": \"[redacted:assigned-secret]\",");
        check("{\\\"token\\\": \\\"a1b2c3d4e5\\\"}", "{\\\"token\\\": \\\"[redacted:assigned-secret]\\\"}");
        check("--api-key=9f8e7d6c5b4a", "--api-key=[redacted:assigned-secret]");
        check("'password' => 'a1b2c3d4e5'", "'password' => '[redacted:assigned-secret]'");
        check("secret := \"q9w8e7r6t5\"", "secret := \"[redacted:assigned-secret]\"");
        check("get(\"TOKEN\", \"a1b2c3d4e5\")", "get(\"TOKEN\", \"[redacted:assigned-secret]\")");
        check("token: string = 'a1b2c3d4e5'", "token: string = '[redacted:assigned-secret]'");
        check("- name: TOKEN\n  value: a1b2c3d4e5f6", "- name: TOKEN\n  value: [redacted:assigned-secret]");
        check("ENV TOKEN a1b2c3d4e5f6", "ENV TOKEN [redacted:assigned-secret]");
        check("curl -u jane:a1b2c3d4e5f6 u", "curl -u jane:[redacted:login-password] u");
        check("mysql -pa1b2c3d4e5f6 shop", "mysql -p[redacted:login-password] shop");
        check("?token=a1b2c3d4e5f6&name=example", "?token=[redacted:assigned-secret]&name=example");
        check("postgres://app:s3cretpw@db/x", "postgres://app:[redacted:url-password]@db/x");
        check("app.secret_key = b'a1b2c3d4e5f6'", "app.secret_key = b'[redacted:assigned-secret]'");
        check("gh secret set TOKEN --body \"a1b2c3d4e5\"", "gh secret set TOKEN --body \"[redacted:assigned-secret]\"");
        let field = "buildConfigField \"String\", \"TOKEN\", \"\\\"¤\\\"\"";
        check(&field.replace('¤', "a1b2c3d4e5"), &field.replace('¤', "[redacted:assigned-secret]"));
        check("dsn := \"app:s3cretpw@tcp(db)/x\"", "dsn := \"app:[redacted:url-password]@tcp(db)/x\"");
        check("jdbc:oracle:thin:app/s3cretpw@//db/X", "jdbc:oracle:thin:app/[redacted:url-password]@//db/X");
        check("password: tangerineMaple.76", "password: [redacted:assigned-secret]");
        check("password=Velvet_Maple_67", "password=[redacted:assigned-secret]");
    }

    #[test]
    fn keys_with_their_mark_at_the_end_or_beside_them_are_found() {
        let hex = "0a1b2c3d4e5f".repeat(3);
        check(&format!("use {hex}NRAL now"), "use [redacted:newrelic-key] now");
        check(
            &format!("x{hex}NRAL {hex}NRALS zz{}NRAL", &hex[2..]),
            &format!("x{hex}NRAL {hex}NRALS zz{}NRAL", &hex[2..]),
        );
        check(&format!("{}AZDO{}", key("", 76), key("", 4)), "[redacted:azure-devops-token]");
        check(&format!("v: {}AzFu{}==", key("", 43), key("", 5)), "v: [redacted:azure-function-key]");
        check(&format!("'{}!{}'", key("00D", 12), key("", 90)), "'[redacted:salesforce-session]'");
        check(&format!("login(\"{}\")", key("1//0", 60)), "login(\"[redacted:google-token]\")");
        let jwk = |d: &str| format!("{{\"kty\":\"EC\",\"x\":\"{}\",\"d\":\"{d}\"}}", key("", 43));
        check(&jwk(&key("", 43)), &jwk("[redacted:private-key]"));
        check(
            "{\"d\":\"aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zCaB3dE5gH7jK\"}",
            "{\"d\":\"aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zCaB3dE5gH7jK\"}",
        );
    }

    /// The lines of the alarms of a text: `FIRST`, or `FIRST (and 1 more place: N)`.
    #[track_caller]
    fn check_alarms(text: &str, expected: &[&str]) {
        let found = find(text, &[]).into_iter().filter(|found| !found.is_allowed).collect();
        let alarms = alarms(found, |found| found.identity);
        let told =
            |alarm: &Alarm<Found>| format!("{}{}", alarm.first.line, alarm.elsewhere(|found| found.line.to_string()));
        assert_eq!(alarms.iter().map(told).collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn one_value_is_one_alarm_wherever_it_stands() {
        let (one, two) = (key("ghp_", 36), key("gho_", 36));
        check_alarms("nothing", &[]);
        check_alarms(&one, &["1"]);
        check_alarms(&format!("{one}\n{two}"), &["1", "2"]);
        check_alarms(&format!("{one}\n{one}"), &["1 (and 1 more place: 2)"]);
        check_alarms(&format!("{one} {one}\n{two}\n{one}"), &["1 (and 2 more places: 1, 3)", "2"]);
        check_alarms(&format!("{two}\n{one}\n{one}\n{two}"), &["1 (and 1 more place: 4)", "2 (and 1 more place: 3)"]);
        let many = format!("{one}\n").repeat(12);
        check_alarms(&many, &["1 (and 11 more places: 2, 3, 4, 5, 6, 7, 8, 9, …)"]);
        // Known by its shape here and by its name there; as a part of another value it is another one.
        check_alarms(&format!("{one}\ntoken = \"{one}\""), &["1 (and 1 more place: 2)"]);
        check_alarms("TOKEN=a1b2c3d4e5f6\nTOKEN=a1b2c3d4e5f67", &["1", "2"]);
        check_alarms("TOKEN=a1b2c3d4e5f6\nTOKEN=A1B2c3d4e5f6", &["1", "2"]);
        // A key in many lines, indented and with the line ends of another system.
        let pem = |end: &str| {
            let lines = ["-----BEGIN PRIVATE KEY-----", &key("M", 63), &key("", 64), "-----END PRIVATE KEY-----"];
            lines.join(end)
        };
        check_alarms(&format!("{}\n{}\n", pem("\n"), pem("\r\n    ")), &["1 (and 1 more place: 5)"]);
    }

    #[test]
    fn a_place_that_is_allowed_allows_no_other_one() {
        let token = key("ghp_", 36);
        check_alarms(&format!("{token} # mux: allow-secret\n{token}"), &["2"]);
        check_alarms(&format!("{token}\n{token} # mux: allow-secret\n{token}"), &["1 (and 1 more place: 3)"]);
        check_alarms(&format!("{token} # mux: allow-secret\n").repeat(2), &[]);
    }

    #[test]
    fn a_find_holds_no_secret() {
        let token = key("ghp_", 36);
        let shown = format!("{:?}", find(&format!("a {token} {token}"), &[]));
        let digest: [u8; 32] = Sha256::digest(&token).into();
        assert!(shown.contains("identity: Identity }"), "{shown}");
        assert!(!shown.contains(&token[4..12]) && !shown.contains(&format!("{digest:?}")[1..12]), "{shown}");
    }

    #[test]
    fn private_keys_are_found_whole() {
        let body = key("", 64);
        let block = format!("-----BEGIN RSA PRIVATE KEY-----\n{body}\n{body}\n-----END RSA PRIVATE KEY-----");
        check(&format!("a\n{block}\nb"), "a\n[redacted:private-key]\nb");
        check(&block.replace('\n', "\\n"), "[redacted:private-key]");
        check(&format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\ncut"), "[redacted:private-key]");
        check("if line == '-----BEGIN PRIVATE KEY-----':", "if line == '-----BEGIN PRIVATE KEY-----':");
        let public = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----");
        check(&public, &public);
        let empty = format!("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n{public}");
        check(&empty, &empty);
        check(&format!("{empty}\n{block}"), &format!("{empty}\n[redacted:private-key]"));
    }

    #[test]
    fn ordinary_text_and_code_stay() {
        for text in [
            "task-management with sk-learn and the risk-assessment-of-desk-bookings",
            ".sk-folding-cube-animation-container { color: red }",
            "password = os.environ[\"DB_PASSWORD\"]",
            "def user(credentials: HTTPBasicCredentials = Depends(security)):",
            "x = (o.password||\"\")+\":\"+(p.name2||\"\")",
            "DigestAuth(password=\"CircleOfLife\"), login(password=\"password123!\"), token: \"fakehashedtoken2\"",
            "\"PASSWORD\": \"superS3cret\", \"X-Auth-Token\": \"FooBarBazToken\", challenge_token = \"challenge-123\"",
            "{\"password\": \"%F0%9F%92%A9\"}, token = \"1bcdefghij2bcdefghij3bcdefghij4\"",
            "TEST_SECRET = \"lcccccccX2kcccccccY2jcccccccssIC\"",
            "types[BAD_TOKEN] = NodeType.BadString;",
            "api_key_env: LOCAL_OPENAI_API_KEY",
            "max_tokens: 6000, token_count = 12345678901",
            "token = lexer.next_token2(stream12)",
            "def login(user: str, password: str) -> bool:",
            "if password == expected_password_2024:",
            "PASSWORD=${DB_PASSWORD_2024}",
            "password: changeme12345",
            "API_KEY=your-api-key-1234567",
            "Authorization: Bearer $TOKEN_12345",
            "headers = {\"Authorization\": f\"Bearer {token}\"}",
            "\"Authorization\": \"Bearer \" + key",
            "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "AKIAIOSFODNN7EXAMPLE",
            "commit 3f786850e387550fdab836ed7e6dc881de23001b",
            "task_sha256 = e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "postgres://user:password@localhost:5432/db and https://example.org:8080/a@b",
            "the secret: keep functions short, 2 ideas at most 10 lines",
            "eos_token: \"<|im_end|>12345\"",
            "secret_path = \"/run/secrets/db2024pw\"",
            "eyJhbGciOiJIUzI1NiJ9 is a JWT head without the rest",
            "PWD=/home/user1234567",
            "hf_hub_download(repo_id, filename)",
            "token: Token::Ident12345",
            "npm_config_registry npm_lifecycle_event",
            "{'Authorization': 'Bearer faketoken'}",
            "Authorization: Basic dXNlcjpwYXNz",
            "{'Authorization': proxy_auth_value}",
            "{ Authorization: authToken }",
            "withXSRFToken: defaultToConfig2,",
            "fields = [\"old_password\", \"new_password1\", \"new_password2\"]",
            "postgresql://scott:tiger@db/x and http://user:pass%20pass@host/",
            "print(\"no such token \" + name(u4) + \" in line 12345\")",
            "docker run -p 127.0.0.1:8080 app2024",
            "secret_key: &HpkePrivateKey, password: Option<String>, token: str = None, apiKey: string;",
            "pub private_key: X25519PrivateKey, epoch_secret: &EpochSecret, var privateKey: ASN1.ASN1OctetString",
            "val accessToken: OAuth2AccessToken = x; const OTHER_PASSWORD: WIN32_ERROR = 2108u32;",
            "password: env.SEQ_DB2_PW || env.SEQ_PW, clientSecret: IDENTITY_SERVER4_CLIENT_SECRET",
            "authorization: \"https://account.box.com/api/oauth2/authorize\", { authorization: 'myUser' }",
            "authorization: Optional. Defines the rules. const val Authorization = \"Authorization\"",
            "jsonwebtoken: \"npm:^9.0.2\", \"@octokit/auth-token\": \"^4.0.0-beta1\"",
            "CachingSha2Password => \"caching_sha2_password\", 'secret': 'V1SecretVolumeSource'",
            "--sasl-password=projects/12345/secrets/my-sasl-secret/versions/1",
            "login_two_factor_passcode=Autentiseringskod, apiKey: \"test-api-key-0001\", token: \"TOKEN-0001\"",
            "subject_token=\"urn:ietf:params:oauth:token-type:id_token2\"",
            "USDC_TOKEN = \"0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48\"",
            "RSA_PUBLIC_KEY = \"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA3FlqJr5TRskIQIgdE3Dd\"",
            "postgres://user:p%40ssw0rd@db/x, https://me:%3Cpassword%3E@proxy.corp, https://x:ACCESS_TOKEN@git.acme.io",
            "密码: 密码12345678 · naïve · 👩‍💻",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn configured_values_are_found_whatever_they_look_like() {
        let also = ["plain words".to_string(), "é-key".to_string(), "ab".to_string(), String::new()];
        assert_eq!(redact("ab plain words, é-key", &also), "ab [redacted:configured-key], [redacted:configured-key]");
        let key = key("ghp_", 36);
        let overlapping = [format!("key {key}")];
        assert_eq!(
            redact(&format!("a key {key}z"), &overlapping),
            "a [redacted:configured-key][redacted:github-token]"
        );
    }

    fn found(rule: &'static str, line: usize, column: usize, excerpt: &str, value: &str) -> Found {
        let (excerpt, identity) = (excerpt.to_string(), Identity::of(value));
        Found { rule, line, column, excerpt, is_allowed: false, identity }
    }

    #[test]
    fn excerpts_hold_no_secret() {
        let (one, two) = (key("ghp_", 36), key("hf_", 34));
        let text = format!("x\n{} a={one}, b={two}; # mux: allow-secret {}\ny", "é".repeat(60), "z".repeat(60));
        let found = find(&text, &[]);
        let excerpts: Vec<_> = found.iter().map(|found| (found.excerpt.as_str(), found.is_allowed)).collect();
        let first = format!("{} a=[redacted:github-token], b=", "é".repeat(18));
        assert_eq!(excerpts, [(first.as_str(), true), (", b=[redacted:huggingface-token]; # mux: allow-secre", true)]);
    }

    #[test]
    fn places_are_lines_and_characters() {
        let (one, two) = (key("ghp_", 36), key("hf_", 34));
        assert_eq!(
            find(&format!("a\nß {one} b\n{two}"), &[]),
            [
                found("github-token", 2, 3, "ß [redacted:github-token] b", &one),
                found("huggingface-token", 3, 1, "[redacted:huggingface-token]", &two),
            ]
        );
    }

    #[test]
    fn a_json_document_stays_one() {
        let key = key("ghp_", 36);
        let text = format!("say \"{key}\"\n\\ PASSWORD=\"a1b2c3d4e5\"\u{1b}");
        let document = format!("{{\"n\":1,\"task\":{},\"empty\":\"\"}}", serde_json::to_string(&text).unwrap());
        let clean: serde_json::Value = serde_json::from_str(&redact_json(&document, &[])).unwrap();
        let expected = "say \"[redacted:github-token]\"\n\\ PASSWORD=\"[redacted:assigned-secret]\"\u{1b}";
        assert_eq!(clean, serde_json::json!({"n": 1, "task": expected, "empty": ""}));
        assert_eq!(redact_json("{\"a\":\"b\\\\\"}", &[]), "{\"a\":\"b\\\\\"}");
        assert_eq!(redact_json("\"torn", &[]), "\"torn");
    }

    #[test]
    fn a_long_text_is_read_once_whatever_it_repeats() {
        // Each of these begins a key at every few bytes. Read to its end from each of them, a line takes minutes.
        for part in ["eyJ.", "eyJ-", "glpat-", "a:", "~", "1Q~", "token=", "token: ", "x-p", "\\\"", "secret|", "://a:"]
        {
            let _ = find(&part.repeat(50_000 / part.len()), &[]);
        }
        let block = format!("-----BEGIN PRIVATE KEY-----\n{}\n", key("", 44));
        assert_eq!(find(&block.repeat(4000), &[]).len(), 1);
        let keys = format!("{} ", key("ghp_", 36)).repeat(4000);
        let found = find(&keys, &[]);
        assert_eq!((found.len(), found.last().map(|found| found.column)), (4000, Some(41 * 3999 + 1)));
    }

    #[test]
    fn a_long_key_is_found_to_its_end() {
        let long = key("", 5000);
        check(&format!("glpat-{long}"), "[redacted:gitlab-token]");
        check(&format!("token = \"{long}\","), "token = \"[redacted:assigned-secret]\",");
        check(&format!("?token={long}&name=example"), "?token=[redacted:assigned-secret]&name=example");
        let jwt = format!("{}.{}.{}", key("eyJ", 20), key("eyJ", 5000), key("", 43));
        check(&format!("jwt {jwt}, more"), "jwt [redacted:jwt], more");
    }

    #[test]
    fn no_text_breaks_the_scanners() {
        // Every cut of a text full of beginnings, at every character.
        let text = format!("é-----BEGIN PRIVATE KEY-----{} eyJé.eyJ:// a:b@ token=\"\\ = : é", key("", 64));
        for (start, _) in text.char_indices() {
            for (end, _) in text.char_indices().filter(|(end, _)| *end >= start) {
                let _ = find(&text[start..end], &["é-".to_string()]);
            }
        }
    }
}
