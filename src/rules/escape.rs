//! Text from models, servers, children and files, made fit to be shown: nothing in it can move a cursor, recolour a
//! terminal, reverse the reading order or hide. Everything that prints passes through here, on a terminal and in a
//! pipe alike. Not here: secrets (`secrets.rs`), quoting for shells.
//!
//! **Invariant:** the results hold no C0 byte but `\n` and `\t` (`one_line`: none), no DEL, no C1 and no character of
//! [`is_hidden`]. Text without any is returned as it came, without a copy.

use std::borrow::Cow;
use std::fmt::Write;

/// Returns text for people: newlines and tabs stay, CRLF becomes LF, everything that would act instead of being
/// read is spelled out (`\x1b`, `\u{202e}`).
pub fn plain(text: &str) -> Cow<'_, str> {
    let harmless = |c: char| matches!(c, '\n' | '\t') || !is_hidden(c);
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\r' if rest.peek() == Some(&'\n') => {}
            c if harmless(c) => shown.push(c),
            c => spell(c, &mut shown),
        }
    }
    Cow::Owned(shown)
}

/// Returns text for one line of a table or a `name: value` line: as [`plain`], with newlines and tabs spelled out too.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            '\r' => shown.push_str("\\r"),
            c if is_hidden(c) => spell(c, &mut shown),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Returns a JSON document in which the same characters are `\uXXXX`: the same document, safe to show. `serde_json`
/// escapes C0 but leaves DEL, C1 and the reading-order marks as they are. In JSON they can only stand inside strings;
/// line ends between values stay.
pub fn in_json(document: &str) -> Cow<'_, str> {
    let harmless = |c: char| c == '\n' || !is_hidden(c);
    if document.chars().all(harmless) {
        return Cow::Borrowed(document);
    }
    let mut shown = String::with_capacity(document.len() + 16);
    for c in document.chars() {
        if harmless(c) {
            shown.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        }
    }
    Cow::Owned(shown)
}

/// Returns whether a character acts on a terminal or cannot be seen: C0, DEL, C1, the marks that change the reading
/// order (<https://unicode.org/reports/tr9/>, the "Trojan Source" set), line separators that only some programs know,
/// and the invisible tag characters. The joiners U+200C and U+200D stay: Persian and emoji need them.
pub fn is_hidden(c: char) -> bool {
    c < ' '
        || c > '~'
            && matches!(c, '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
                | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}')
}

fn spell(c: char, shown: &mut String) {
    // Writing to a String cannot fail.
    let _ = match u32::from(c) {
        code if code < 0x80 => write!(shown, "\\x{code:02x}"),
        code => write!(shown, "\\u{{{code:x}}}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, as_plain: &str, as_line: &str) {
        assert_eq!(plain(text), as_plain);
        assert_eq!(one_line(text), as_line);
    }

    #[test]
    fn what_acts_is_spelled_out() {
        check("", "", "");
        check("naïve 中文 👩‍💻 \"quoted\"", "naïve 中文 👩‍💻 \"quoted\"", "naïve 中文 👩‍💻 \"quoted\"");
        check("a\n\tb", "a\n\tb", "a\\n\\tb");
        check("a\r\nb\rc", "a\nb\\x0dc", "a\\r\\nb\\rc");
        check("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m", "\\x1b[31mred\\x1b[0m");
        check("\x1b]0;title\x07", "\\x1b]0;title\\x07", "\\x1b]0;title\\x07");
        check("\u{9b}2J \u{90}q\u{9c}", "\\u{9b}2J \\u{90}q\\u{9c}", "\\u{9b}2J \\u{90}q\\u{9c}");
        check("\0\x7f\u{85}", "\\x00\\x7f\\u{85}", "\\x00\\x7f\\u{85}");
        check("user\u{202e}nimda\u{2066}", "user\\u{202e}nimda\\u{2066}", "user\\u{202e}nimda\\u{2066}");
        check("a\u{200b}b\u{feff}\u{2028}", "a\\u{200b}b\\u{feff}\\u{2028}", "a\\u{200b}b\\u{feff}\\u{2028}");
        check("\u{e0041}", "\\u{e0041}", "\\u{e0041}");
    }

    #[test]
    fn clean_text_is_not_copied() {
        assert!(matches!(plain("a\nb\tc é"), Cow::Borrowed(_)));
        assert!(matches!(one_line("a b é"), Cow::Borrowed(_)));
        assert!(matches!(in_json("{\"a\": \"é\"}\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_stays_the_same_document() {
        let text = "a\x7f\u{9b}31m\u{202e}\u{e0041}\u{2028}é\n\x1b\"\\";
        let document = serde_json::to_string(text).unwrap();
        let safe = in_json(&document);
        assert_eq!(safe, "\"a\\u007f\\u009b31m\\u202e\\udb40\\udc41\\u2028é\\n\\u001b\\\"\\\\\"");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
    }

    #[test]
    fn nothing_that_acts_survives() {
        let all: String = (0..=0x000e_0100).filter_map(char::from_u32).collect();
        assert!(!plain(&all).chars().any(|c| is_hidden(c) && !matches!(c, '\n' | '\t')));
        assert!(!one_line(&all).chars().any(is_hidden));
        assert!(!in_json(&all).chars().any(|c| is_hidden(c) && c != '\n'));
    }
}
