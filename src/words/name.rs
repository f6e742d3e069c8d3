//! The name of a CLI that the user declares in `providers.sota_cli.tools`: a word that is passed by value.

use serde::Serialize;
use std::fmt;

/// The longest name, in bytes. Long enough for `team-assistant-nightly_2`, short enough to be copied like a number.
pub const LONGEST: usize = 24;
/// What means something else wherever a name may stand.
const TAKEN: [&str; 8] = ["auto", "local", "cloud", "none", "sota", "claude", "codex", "gemini"];

/// 1 to [`LONGEST`] bytes of `[a-z0-9_-]` that begin with a letter and are none of mux's own words.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct Name {
    /// Filled up with zeros, which no name holds.
    bytes: [u8; LONGEST],
}

impl Name {
    /// Reads a name; `None` for what cannot be one.
    pub fn parse(text: &str) -> Option<Name> {
        let may_stand = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        let begins = text.starts_with(|first: char| first.is_ascii_lowercase());
        if !begins || !text.bytes().all(may_stand) || TAKEN.contains(&text) {
            return None;
        }
        let mut bytes = [0; LONGEST];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Name { bytes })
    }

    pub fn as_str(&self) -> &str {
        let text = self.bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        // Only ASCII gets in.
        std::str::from_utf8(text).unwrap_or_default()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({})", self.as_str())
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.as_str().to_string()
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Name, String> {
        Name::parse(&text).ok_or_else(|| format!("`{text}` is no name of a CLI"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_as_it_was_written() {
        for good in ["a", "agy", "my-cli_2", "team-assistant-nightly_2"] {
            assert_eq!(Name::parse(good).map(String::from), Some(good.to_string()));
        }
    }

    #[test]
    fn what_is_too_long_odd_or_taken_is_no_name() {
        let long = "team-assistant-nightly_23";
        for bad in ["", "-x", "_x", "2x", "Agy", "a.b", "a b", "a/b", "é", "a\0", "claude", "none", "auto", long] {
            assert_eq!(Name::parse(bad), None, "{bad:?}");
        }
    }
}
