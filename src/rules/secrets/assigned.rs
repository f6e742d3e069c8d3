//! Values that are secret by their name: assignments, headers, XML elements. Shapes stand beside this file.

use super::{Span, is_placeholder, is_upper_or_digit, is_word, is_word_or_dot, run, run_before};

/// A name that ends so (in lower case, without `_` and `-`) is assigned a secret.
const SECRET_NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "dbpass",
    "pwd",
    "secret",
    "token",
    "apikey",
    "appkey",
    "secretkeybase",
    "accesskey",
    "privatekey",
    "secretkey",
    "authkey",
    "accountkey",
    "signingkey",
    "encryptionkey",
    "credential",
    "credentials",
];

/// The ends of all names in the lists.
const ENDS: [[u8; 2]; 15] = [
    *b"rd", *b"wd", *b"se", *b"de", *b"ss", *b"et", *b"en", *b"ey", *b"al", *b"ls", *b"on", *b"th", *b"at", *b"lt",
    *b"re",
];

/// Names of environment variables that may hold key material.
const VARIABLE_NAMES: &[&str] = &["key", "pass", "auth", "pat", "salt", "signature"];

/// Names of headers whose value is a secret whatever it looks like.
const SECRET_HEADERS: &[&str] =
    &["authorization", "proxyauthorization", "xapikey", "xgoogapikey", "xauthtoken", "privatetoken"];

/// The value of `NAME = value`, `"name": "value"`, `--name=value` or a header, `at` being the sign between them.
pub fn assignment(text: &str, at: usize) -> Option<Span> {
    let (before, sign) = text.split_at_checked(at)?;
    let before = match before.strip_suffix(':') {
        // `:=` assigns; `::` leads into a module.
        Some(before) if sign.starts_with('=') => before,
        Some(_) => return None,
        None => before,
    };
    let before = before.trim_end_matches([' ', '\t', '"', '\'', '`', '\\']);
    let name_length = before.bytes().rev().take_while(|byte| is_word(*byte)).take(64).count();
    let name = before.get(before.len() - name_length..)?;
    let strength = name_of(name)?;
    let value = sign.get(1..)?;
    let value = value.strip_prefix('>').unwrap_or(value).trim_start_matches([' ', '\t', '\\']);
    let unquoted = value.trim_start_matches(['"', '\'', '`']);
    let is_quoted = unquoted.len() < value.len();
    let mut value = unquoted;
    if matches!(strength, Name::Header) {
        for scheme in ["bearer ", "basic ", "token ", "apikey "] {
            if value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)) {
                value = value.get(scheme.len()..)?.trim_start();
            }
        }
    }
    // Laravel writes its key so.
    value = value.strip_prefix("base64:").unwrap_or(value);
    let start = text.len() - value.len();
    let is_value = |byte: u8| byte.is_ascii_graphic() && !b"\"'`\\,;".contains(&byte);
    let value = value.get(..run(value.as_bytes(), is_value))?;
    let rule = match strength {
        Name::Header => "authorization",
        Name::Secret => "assigned-secret",
        Name::Variable => "high-entropy",
    };
    let is_secret = match strength {
        Name::Header => value.len() >= 8 && !is_placeholder(value) && !value.contains(['(', '[']),
        Name::Secret => is_random(value, is_quoted),
        Name::Variable => is_key_material(value),
    };
    is_secret.then_some(Span { start, end: start + value.len(), rule })
}

/// The value in `<password>value</password>`, `at` being the end of the opening tag.
pub fn element(text: &str, at: usize) -> Option<Span> {
    let length = run_before(text, at, is_word_or_dot);
    let name = text
        .get(at.checked_sub(length)?..at)
        .filter(|_| text.get(..at - length).is_some_and(|before| before.ends_with('<')))?;
    let value = text.get(at + 1..)?;
    let value = value.get(..run(value.as_bytes(), |byte| byte.is_ascii_graphic() && byte != b'<'))?;
    let is_closed = text.get(at + 1 + value.len()..)?.starts_with("</");
    let is_secret = is_closed
        && is_likely(name)
        && SECRET_NAMES.iter().any(|ending| ends_like(name, ending))
        && is_random(value, true);
    is_secret.then_some(Span { start: at + 1, end: at + 1 + value.len(), rule: "assigned-secret" })
}

/// What an assigned name says about its value.
#[derive(Clone, Copy)]
enum Name {
    /// Whatever stands there is secret.
    Header,
    /// It is, when it looks drawn or invented.
    Secret,
    /// `SOME_KEY` of an environment: only what can be nothing but key material.
    Variable,
}

fn name_of(name: &str) -> Option<Name> {
    if !is_likely(name) {
        return None;
    }
    let ends = |endings: &[&str]| endings.iter().any(|ending| ends_like(name, ending));
    let is_upper = || name.bytes().all(|byte| is_upper_or_digit(byte) || byte == b'_');
    let n_letters = || name.bytes().filter(u8::is_ascii_alphanumeric).count();
    if SECRET_HEADERS.iter().any(|header| ends_like(name, header) && header.len() == n_letters()) {
        Some(Name::Header)
    } else if ends(SECRET_NAMES) {
        Some(Name::Secret)
    } else {
        (ends(VARIABLE_NAMES) && is_upper()).then_some(Name::Variable)
    }
}

/// Whether the last two letters are those of some name in the lists: nine of ten names are seen off by that.
fn is_likely(name: &str) -> bool {
    let mut letters = name.bytes().rev().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase());
    let (last, before) = (letters.next(), letters.next());
    before.zip(last).is_some_and(|(before, last)| ENDS.contains(&[before, last]))
}

/// Whether the letters and digits of a name end so, in any case. Compares from the end, where most names differ.
fn ends_like(name: &str, ending: &str) -> bool {
    let mut letters = name.bytes().rev().filter(u8::is_ascii_alphanumeric);
    ending.bytes().rev().all(|byte| letters.next().is_some_and(|letter| letter.to_ascii_lowercase() == byte))
}

/// Whether a value is of the characters that keys are drawn from, and mixed as only a drawn one is.
fn is_key_material(value: &str) -> bool {
    let is_of_a_key = |byte: u8| is_word(byte) || matches!(byte, b'+' | b'/' | b'=' | b'.');
    let has = |class: fn(&u8) -> bool| value.bytes().any(|byte| class(&byte));
    let kinds = [has(u8::is_ascii_digit), has(u8::is_ascii_uppercase), has(u8::is_ascii_lowercase)];
    let is_mixed = kinds.iter().filter(|kind| **kind).count() == 3;
    let is_hex =
        value.len() >= 32 && kinds[0] && (kinds[1] || kinds[2]) && value.bytes().all(|b| b.is_ascii_hexdigit());
    value.len() >= 20 && (is_mixed || is_hex) && value.bytes().all(is_of_a_key) && is_random(value, false)
}

/// Whether an assigned value looks drawn by a machine or invented as a password: letters and digits, many different
/// ones. Values without quotes may as well be code, so more is asked of them.
fn is_random(value: &str, is_quoted: bool) -> bool {
    let count = |class: fn(&u8) -> bool| value.bytes().filter(class).count();
    let (digits, letters) = (count(u8::is_ascii_digit), count(u8::is_ascii_alphabetic));
    let mut seen = [false; 256];
    for byte in value.bytes() {
        if let Some(seen) = seen.get_mut(usize::from(byte)) {
            *seen = true;
        }
    }
    let different = seen.iter().filter(|seen| **seen).count();
    // Generated keys of frameworks are drawn from punctuation, too; code of that length has no quotes around it.
    let is_punctuated = is_quoted && value.len() >= 30 && digits >= 3 && different >= 16;
    let is_code = (!is_punctuated && value.contains(['(', ')', '[', ']', '>', '|']))
        || value.contains("://")
        || value.contains("::");
    // A path, or the second half of `==` or `::`. Base64 may begin with a slash, but goes on as no path does.
    let is_path = value.starts_with(['.', '~', '=', ':'])
        || (value.starts_with('/') && (value.len() < 32 || value.contains(['.', '_', '-'])));
    // Words in CamelCase change their case with every word (of four letters and more), a drawn value with every
    // second letter. One digit makes it likelier still.
    let changes = case_changes(value);
    let is_drawn = value.len() >= 12 && (changes * 3 >= value.len() || (digits >= 1 && changes * 5 >= value.len()));
    let is_enough = if is_quoted {
        value.len() >= 8 && letters >= 2 && (digits >= 1 || is_drawn)
    } else {
        value.len() >= 10 && letters >= 2 && (digits >= 2 || is_drawn) && !value.contains('.')
    };
    is_enough
        && different >= 6
        && different * 3 >= value.len().min(32)
        && !is_code
        && !is_path
        && !is_placeholder(value)
}

/// Counts the neighbours of which one is upper case and the other is not.
fn case_changes(value: &str) -> usize {
    let bytes = value.as_bytes();
    bytes.iter().zip(bytes.iter().skip(1)).filter(|(a, b)| a.is_ascii_uppercase() != b.is_ascii_uppercase()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_lists_is_likely() {
        for name in SECRET_NAMES.iter().chain(SECRET_HEADERS).chain(VARIABLE_NAMES) {
            assert!(is_likely(name) && is_likely(&name.to_uppercase()), "{name}");
        }
        assert!(!is_likely("timeout_ms") && !is_likely("x") && !is_likely(""));
    }
}
