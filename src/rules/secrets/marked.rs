//! Keys that carry their mark in the middle or at the end, found from there. Sources: the issuers' pages on their formats.

use super::{Span, is_alphanumeric, is_start, is_word, is_word_or_dot, run, run_before};

/// A token of a Telegram bot, `123456789:AA…`, `at` being the colon.
pub fn telegram(text: &str, at: usize) -> Option<Span> {
    let digits = run_before(text, at, |byte| byte.is_ascii_digit());
    let rest = text.get(at + 1..).filter(|rest| (8..=10).contains(&digits) && rest.starts_with("AA"))?;
    let length = run(rest.as_bytes(), is_word);
    (length == 35).then_some(Span { start: at - digits, end: at + 1 + length, rule: "telegram-token" })
}

/// A key of Mailchimp, 32 hexadecimal digits and a data centre: `…-us12`, `at` being the hyphen.
pub fn mailchimp(text: &str, at: usize) -> Option<Span> {
    let digits = text.get(at + 1..)?.strip_prefix("us")?;
    let n = run(digits.as_bytes(), |byte| byte.is_ascii_digit());
    let length = run_before(text, at, |byte| byte.is_ascii_hexdigit());
    let is_key = (1..=2).contains(&n) && length == 32 && is_start(text, at - 32);
    is_key.then(|| Span { start: at - 32, end: at + 3 + n, rule: "mailchimp-key" })
}

/// A client secret of Azure, three characters, a digit and `Q~`, then 31 to 34 more, `at` being the tilde.
pub fn azure(text: &str, at: usize) -> Option<Span> {
    let is_part = |byte: u8| is_word_or_dot(byte) || byte == b'~';
    let bytes = text.as_bytes();
    let start = at.checked_sub(5).filter(|start| is_start(text, *start))?;
    let is_mark = bytes.get(at - 1) == Some(&b'Q') && bytes.get(at - 2)?.is_ascii_digit();
    let length = run(bytes.get(at + 1..bytes.len().min(at + 40))?, is_part);
    // A full stop behind it ends the sentence.
    let length = length - usize::from(bytes.get(at + length) == Some(&b'.'));
    let is_key = is_mark && (31..=34).contains(&length) && run_before(text, at, is_part) >= 5;
    is_key.then_some(Span { start, end: at + 1 + length, rule: "azure-secret" })
}

/// A token of HCP Terraform, 14 characters, `.atlasv1.` and 60 or more, `at` being the first dot.
pub fn terraform(text: &str, at: usize) -> Option<Span> {
    let rest = text.get(at..)?.strip_prefix(".atlasv1.")?;
    let length = run(rest.as_bytes(), |byte| is_word(byte) || byte == b'=');
    let before = run_before(text, at, is_alphanumeric);
    (length >= 60 && before >= 14).then_some(Span { start: at - before, end: at + 9 + length, rule: "terraform-token" })
}

/// A token of a Discord bot: the base64 of its number (`M…`, `N…` or `O…`), six characters, 27 or more, `at` being the
/// first dot.
pub fn discord(text: &str, at: usize) -> Option<Span> {
    let before = run_before(text, at, is_word);
    let start = at.checked_sub(before).filter(|_| (23..=28).contains(&before))?;
    let is_number = matches!(text.as_bytes().get(start)?, b'M' | b'N' | b'O');
    let rest = text.as_bytes().get(at + 1..).filter(|_| is_number)?;
    let length = run(rest.get(7..)?, is_word);
    let is_token = run(rest, is_word) == 6 && rest.get(6) == Some(&b'.') && (27..=45).contains(&length);
    is_token.then_some(Span { start, end: at + 8 + length, rule: "discord-token" })
}

/// A session of Salesforce: the organisation, 15 characters from `00D` on, `!` and 80 or more, `at` being the sign.
pub fn salesforce(text: &str, at: usize) -> Option<Span> {
    let start = at.checked_sub(15).filter(|start| is_start(text, *start))?;
    let is_number = text.get(start..)?.starts_with("00D") && run_before(text, at, is_alphanumeric) == 15;
    let length = run(text.as_bytes().get(at + 1..)?, is_word_or_dot);
    (is_number && length >= 80).then_some(Span { start, end: at + 1 + length, rule: "salesforce-session" })
}

/// A refresh token of Google, `1//0` and 50 or more, `at` being the first slash.
pub fn google(text: &str, at: usize) -> Option<Span> {
    let rest = text.get(at..)?.strip_prefix("//0")?;
    let start =
        at.checked_sub(1).filter(|start| text.as_bytes().get(*start) == Some(&b'1') && is_start(text, *start))?;
    let length = run(rest.as_bytes(), is_word);
    (length >= 50).then_some(Span { start, end: at + 3 + length, rule: "google-token" })
}

/// The length of the shortest of those that [`ending`] knows.
pub const SHORTEST_ENDING: usize = 40;

/// A key with its mark near its end, `at` being behind its last letter: 36 hexadecimal digits and `NRAL` (New Relic), 76
/// characters, `AZDO` and four more (Azure `DevOps`), 43, `AzFu`, five and `==` (Azure Functions).
pub fn ending(text: &str, at: usize) -> Option<Span> {
    let bytes = text.as_bytes();
    let mark = |before: usize| bytes.get(at.checked_sub(before)?..)?.first_chunk::<4>();
    let (rule, length, end) = if mark(4) == Some(b"NRAL") {
        ("newrelic-key", 40, at)
    } else if mark(8) == Some(b"AZDO") {
        ("azure-devops-token", 84, at)
    } else if mark(9) == Some(b"AzFu") && bytes.get(at..)?.starts_with(b"==") {
        ("azure-function-key", 52, at + 2)
    } else {
        return None;
    };
    let start = at.checked_sub(length).filter(|start| is_start(text, *start))?;
    let is_key = bytes.get(start..at)?.iter().all(|byte| is_word(*byte));
    let is_hex = || bytes.get(start..at - 4).is_some_and(|key| key.iter().all(u8::is_ascii_hexdigit));
    (is_key && (rule != "newrelic-key" || is_hex())).then_some(Span { start, end, rule })
}
