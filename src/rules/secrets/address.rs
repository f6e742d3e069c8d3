//! Passwords in the addresses of servers: URLs, and what the drivers of databases take for one.

use super::drawn::{is_credential, is_random};
use super::{Span, is_word_or_dot, run, run_before};

/// Longest password in the address of a database, in bytes.
const LONGEST_PASSWORD: usize = 100;

/// Hosts that nobody can own (RFC 2606, 6761), this machine, and names that only stand for one.
const NOWHERE: [&str; 15] = [
    "example.com",
    "example.net",
    "example.org",
    "example",
    "test",
    "invalid",
    "localhost",
    "127.0.0.1",
    "0.0.0.0",
    "host",
    "hostname",
    "foo",
    "bar",
    "baz",
    "",
];

/// The password in `scheme://user:password@host`, `at` being the first colon.
pub fn url_password(text: &str, at: usize) -> Option<Span> {
    let rest = text.get(at..)?.strip_prefix("://")?;
    let is_authority = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'' | b'`');
    let authority = rest.get(..run(rest.as_bytes(), is_authority))?;
    let (login, host) = authority.rsplit_once('@')?;
    let (user, password) = login.split_once(':')?;
    let plain = decoded(password);
    // There, only what nobody thinks up for a page or a test.
    let is_secret = if is_nowhere(host) {
        plain.len() >= 10 && is_random(&plain, true)
    } else {
        is_credential(&plain) && password != user
    };
    if !is_secret {
        return None;
    }
    let start = at + "://".len() + user.len() + 1;
    Some(Span { start, end: start + password.len(), rule: "url-password" })
}

/// Whether a host (with its port) is none that a password could open.
fn is_nowhere(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    if host.starts_with("[::1]") {
        return true;
    }
    let name = host.split(':').next().unwrap_or_default();
    NOWHERE.iter().any(|known| name.strip_suffix(known).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

/// Returns what a percent-encoded password says, also one that was encoded twice. An encoded sign is one of the password:
/// `#` stands for those that would make a template of it, unless they enclose all of it (`%3Cpassword%3E`).
fn decoded(password: &str) -> String {
    let plain = unescaped(&unescaped(password, &[]), &[]);
    let is_enclosed = [('<', '>'), ('{', '}'), ('[', ']'), ('(', ')')]
        .iter()
        .any(|(open, close)| plain.trim_start_matches('$').starts_with(*open) && plain.ends_with(*close));
    if is_enclosed { plain } else { unescaped(&unescaped(password, b"<{[($"), b"<{[($") }
}

/// Replaces `%XX` by its byte, and by `#` where that is one of `signs`.
fn unescaped(text: &str, signs: &[u8]) -> String {
    let mut plain = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digit = |at: usize| tail.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let byte = digit(0).zip(digit(1)).and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
        if let Some(byte) = byte.filter(|_| *first == b'%') {
            plain.push(if signs.contains(&byte) { b'#' } else { byte });
            rest = tail.get(2..).unwrap_or_default();
        } else {
            plain.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// The password in `user:password@tcp(host)`, as Go's driver of `MySQL` wants it, `at` being the colon.
pub fn driver_password(text: &str, at: usize) -> Option<Span> {
    // No longer: a minified program is one run.
    let value = text.as_bytes().get(at + 1..)?;
    let value = value.get(..value.len().min(LONGEST_PASSWORD))?;
    let length = run(value, |byte| byte != b'@' && byte.is_ascii_graphic());
    let (value, behind) = text.get(at + 1..)?.split_at_checked(length)?;
    let is_driver = behind.starts_with("@tcp(") || behind.starts_with("@unix(");
    let is_secret = is_driver && is_credential(value);
    is_secret.then_some(Span { start: at + 1, end: at + 1 + length, rule: "url-password" })
}

/// The password in `jdbc:oracle:thin:user/password@host`, `at` being the slash.
pub fn oracle_password(text: &str, at: usize) -> Option<Span> {
    let user = run_before(text, at, is_word_or_dot);
    let value = text.get(at + 1..).filter(|_| text.get(..at - user).is_some_and(|it| it.ends_with("oracle:thin:")))?;
    let length = run(value.as_bytes(), |byte| byte.is_ascii_graphic() && !b"\"'`\\@/".contains(&byte));
    let (value, behind) = value.split_at_checked(length)?;
    let is_oracle = behind.starts_with('@');
    let is_secret = is_oracle && is_credential(value);
    is_secret.then_some(Span { start: at + 1, end: at + 1 + length, rule: "url-password" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, password: Option<&str>) {
        let found = url_password(url, url.find(':').unwrap());
        assert_eq!(found.map(|span| &url[span.start..span.end]), password, "{url}");
    }

    #[test]
    fn an_encoded_password_is_judged_by_what_it_says() {
        for (password, plain) in [
            ("p%40ssw0rd", "p@ssw0rd"),
            ("p%2540ss+word", "p@ss+word"),
            ("%3Cpassword%3E", "<password>"),
            ("%24%7BPASSWORD%7D", "${PASSWORD}"),
            ("%244to%40L8%3DMC", "#4to@L8=MC"),
            ("9%7b%25a%", "9#%a%"),
            ("caf%C3%A9%+1", "café%+1"),
        ] {
            assert_eq!(decoded(password), plain);
        }
        check("postgres://app:p%40ssw0rd@db/x", None);
        check("postgres://app:%3Cpassword%3E@db.internal/x", None);
        check("postgres://app:correct%20horse@db.internal/x", None);
        check("postgres://app:%244to%40L8%3DMC@db.internal/x", Some("%244to%40L8%3DMC"));
        check("postgres://app:s3%2FcretPw@db.internal/x", Some("s3%2FcretPw"));
    }

    #[test]
    fn what_stands_for_a_password_in_an_address_is_none() {
        for password in ["myPassword", "ProxyPass", "ACCESS_TOKEN", "db_password", "{password}", "$(PASSWORD)"] {
            check(&format!("https://app:{password}@proxy.corp:8080"), None);
        }
        for host in ["Example.com:80", "a.example.org", "localhost", "[::1]:5432", "db.test", "host:1", "0.0.0.0", ""] {
            check(&format!("http://jane:Hunter2@{host}/"), None);
        }
        for host in ["contest", "host1", "db", "10.0.3.7", "[fd00::1]:5432", "notexample.com.de"] {
            check(&format!("http://jane:Hunter2@{host}/"), Some("Hunter2"));
        }
        check("http://jane:xK9vR2mT8qLw@localhost/", Some("xK9vR2mT8qLw"));
    }
}
