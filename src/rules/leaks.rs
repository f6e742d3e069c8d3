//! Secrets in the lines that a commit adds, or in its message. Pure. What a secret looks like is `secrets.rs`'s business;
//! here is where it stands, and that its author may allow it.

use crate::rules::secrets::{self, Alarm, Identity};

/// A place of a secret that would be committed. Never holds the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// Not escaped.
    pub path: String,
    /// From 1.
    pub line: u64,
    pub rule: &'static str,
    /// What stands around it, all secrets blanked.
    pub excerpt: String,
    pub identity: Identity,
}

/// Returns the secrets of all these places, each once.
pub fn alarms(leaks: Vec<Leak>) -> Vec<Alarm<Leak>> {
    secrets::alarms(leaks, |leak| leak.identity)
}

impl Alarm<Leak> {
    /// Returns `conf/app.ini:3: github-token: key = [redacted:github-token] (and 1 more place: b.py:9)`.
    pub fn line(&self) -> String {
        let Leak { path, line, rule, excerpt, .. } = &self.first;
        let elsewhere = self.elsewhere(|leak| format!("{}:{}", leak.path, leak.line));
        format!("{path}:{line}: {rule}: {excerpt}{elsewhere}")
    }
}

/// Added lines are looked through in pieces of this many bytes.
const PIECE: usize = 1 << 20;

/// Collects added lines and looks through them.
pub struct Scan<'a> {
    pub leaks: Vec<Leak>,
    pub n_lines: u64,
    /// Values to find besides the shapes.
    keys: &'a [String],
    path: String,
    /// The line that came last; 0 before the first of a file.
    last: u64,
    text: String,
    /// The number of each line of `text`.
    numbers: Vec<u64>,
}

impl<'a> Scan<'a> {
    pub fn new(keys: &'a [String]) -> Scan<'a> {
        let (path, text) = (String::new(), String::new());
        Scan { leaks: Vec::new(), n_lines: 0, keys, path, last: 0, text, numbers: Vec::new() }
    }

    /// Takes an added line. The same line again is its continuation.
    pub fn add(&mut self, path: &str, line: u64, bytes: &[u8]) {
        if self.path != path {
            self.flush();
            (self.path, self.last) = (path.to_string(), 0);
        } else if self.text.len() >= PIECE {
            self.flush();
        }
        let is_new = self.last != line;
        if is_new || self.numbers.is_empty() {
            // A block of lines (a private key) does not reach over lines that were there before.
            if self.numbers.last().is_some_and(|last| last + 1 != line) {
                self.text.push('\n');
                self.numbers.push(0);
            }
            if !self.numbers.is_empty() {
                self.text.push('\n');
            }
            self.numbers.push(line);
            self.n_lines += u64::from(is_new);
        }
        self.last = line;
        self.text.push_str(&String::from_utf8_lossy(bytes));
    }

    /// Looks through what is left.
    pub fn flush(&mut self) {
        for found in secrets::find(&self.text, self.keys) {
            let line = self.numbers.get(found.line - 1).copied().unwrap_or(0);
            if !found.is_allowed {
                let (path, rule, excerpt, identity) = (self.path.clone(), found.rule, found.excerpt, found.identity);
                self.leaks.push(Leak { path, line, rule, excerpt, identity });
            }
        }
        self.text.clear();
        self.numbers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Built at run time, so that this file itself trips no scanner.
    fn token() -> String {
        format!("gh{}_{}", 'p', "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zC1234")
    }

    fn scan(lines: &[(&str, u64, String)]) -> Vec<Leak> {
        let mut scan = Scan::new(&[]);
        for (path, line, text) in lines {
            scan.add(path, *line, text.as_bytes());
        }
        scan.flush();
        scan.leaks
    }

    fn leaks(lines: &[(&str, u64, String)]) -> Vec<(String, u64, &'static str)> {
        scan(lines).into_iter().map(|leak| (leak.path, leak.line, leak.rule)).collect()
    }

    #[test]
    fn a_secret_in_several_files_is_one_alarm_and_its_allowed_places_do_not_count() {
        let token = token();
        let other = token.replace("1234", "1235");
        let places = scan(&[
            ("a", 1, format!("{token} # mux: allow-secret")),
            ("a", 2, format!("key = {token}")),
            ("b", 7, format!("t {other}")),
            ("b", 9, format!("t {token}")),
            ("c", 1, token),
        ]);
        let lines: Vec<String> = alarms(places).iter().map(Alarm::line).collect();
        let first = "a:2: github-token: key = [redacted:github-token] (and 2 more places: b:9, c:1)";
        assert_eq!(lines, [first, "b:7: github-token: t [redacted:github-token]"]);
    }

    #[test]
    fn a_secret_is_found_in_its_file_and_on_its_line() {
        let token = token();
        let found = leaks(&[
            ("a", 3, "x = 1".to_string()),
            ("a", 4, format!("key = {token}")),
            ("a", 9, format!("{token} # mux: allow-secret")),
            ("b", 1, format!("t {token}")),
        ]);
        assert_eq!(found, [("a".to_string(), 4, "github-token"), ("b".to_string(), 1, "github-token")]);
    }

    #[test]
    fn a_long_line_comes_in_pieces_and_a_block_does_not_reach_over_old_lines() {
        let token = token();
        let (head, tail) = token.split_at(20);
        let found = leaks(&[("a", 7, format!("k {head}")), ("a", 7, format!("{tail} "))]);
        assert_eq!(found, [("a".to_string(), 7, "github-token")]);
        let found = leaks(&[("a", 7, format!("k {head}")), ("a", 9, format!("{tail} "))]);
        assert_eq!(found, []);
    }
}
