//! An answer as it comes, on a terminal: what the model says is shown at once, and what it comes to is not said twice.
//!
//! **Invariant:** text is escaped before it is shown, however it was cut into pieces.

use crate::rules::escape::plain;

/// The answer of one try.
#[derive(Debug, Default)]
pub struct Streamed {
    /// As it came.
    text: String,
    /// What was not shown yet: blank space that the answer may begin or end with, and half of a line end.
    held: String,
    /// Whether something was shown.
    is_begun: bool,
}

impl Streamed {
    /// Takes a piece, cut anywhere, and returns what to show now.
    pub fn push(&mut self, piece: &str) -> String {
        self.text.push_str(piece);
        self.held.push_str(piece);
        let end = self.held.trim_end().len();
        let rest = self.held.split_off(end);
        let ready = std::mem::replace(&mut self.held, rest);
        let ready = if self.is_begun { ready.as_str() } else { ready.trim_start() };
        self.is_begun |= !ready.is_empty();
        plain(ready).into_owned()
    }

    /// Whether something stands on the screen.
    pub fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// Returns what stands on the screen, as it came.
    pub fn text(&self) -> &str {
        self.text.trim()
    }
}

/// Returns what of an output does not stand on the screen yet. A result may begin with what must be read before it.
pub fn unseen<'a>(output: &'a str, streamed: &str) -> &'a str {
    let output = output.trim();
    if streamed.is_empty() { output } else { output.strip_suffix(streamed).map_or(output, str::trim_end) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every way to cut a text in two shows the same.
    #[track_caller]
    fn check(text: &str, expected: &str) {
        for cut in (0..=text.len()).filter(|cut| text.is_char_boundary(*cut)) {
            let mut streamed = Streamed::default();
            let shown = streamed.push(&text[..cut]) + &streamed.push(&text[cut..]);
            assert_eq!(shown, expected, "cut at {cut}");
            assert_eq!(streamed.text(), text.trim());
        }
    }

    #[test]
    fn pieces_are_shown_without_the_blanks_around_them_and_escaped() {
        check("", "");
        check("\n\n Hello,\n\nworld.\n", "Hello,\n\nworld.");
        check("a\r\nb", "a\nb");
        check("中文 🦀\x1b[2Jx\u{202e}", "中文 🦀\\x1b[2Jx\\u{202e}");
    }

    #[test]
    fn what_was_seen_is_not_said_again() {
        assert_eq!(unseen("An answer.\n", "An answer."), "");
        assert_eq!(unseen("Not sure:\nAn answer.\n", "An answer."), "Not sure:");
        assert_eq!(unseen("Another one.", "An answer."), "Another one.");
        assert_eq!(unseen("An answer.", ""), "An answer.");
    }
}
