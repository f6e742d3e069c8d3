//! Values that are secret by their name: assignments, headers, XML elements. Shapes stand beside this file.

use super::drawn::{is_credential, is_key_material, is_login, is_name, is_random};
use super::{JUDGED, Span, is_upper_or_digit, is_word, is_word_or_dot, line_before, run};
use std::sync::LazyLock;

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
    "psk",
    "presharedkey",
];

/// Names of keys that may hold key material, in any spelling: `rails_master_key`, `LicenseKey`.
const KEY_NAMES: &[&str] = &[
    "masterkey",
    "adminkey",
    "storagekey",
    "licensekey",
    "sdkkey",
    "functionkey",
    "subscriptionkey",
    "sharedkey",
    "serverkey",
    "servicekey",
    "hmackey",
    "aeskey",
];

/// Names of environment variables that may hold key material.
const VARIABLE_NAMES: &[&str] = &["key", "pass", "auth", "pat", "salt", "signature", "sig"];

/// Names of keys that are no secret.
const PUBLIC_NAMES: &[&str] = &["publickey", "publishablekey"];

/// Names of headers whose value is a secret whatever it looks like.
const SECRET_HEADERS: &[&str] =
    &["authorization", "proxyauthorization", "xapikey", "xgoogapikey", "xauthtoken", "privatetoken"];

/// Longest type between a name and its value, in bytes.
const LONGEST_TYPE: usize = 200;

/// Whether a word that ends with three bytes may be one of the names: nearly every word is seen off by that.
pub fn is_end([one, two, three]: [u8; 3]) -> bool {
    let (place, bit) = place(one, two, three);
    ENDS.get(place).is_some_and(|bits| bits & bit != 0)
}

/// A bit for the last three letters of each name in the lists.
static ENDS: LazyLock<[u32; 1024]> = LazyLock::new(|| {
    let mut ends = [0; 1024];
    // `by` has two.
    for name in SECRET_NAMES.iter().chain(VARIABLE_NAMES).chain(KEY_NAMES).chain(SECRET_HEADERS).chain(&["pass", " by"])
    {
        if let [.., one, two, three] = name.as_bytes() {
            let (place, bit) = place(*one, *two, *three);
            if let Some(bits) = ends.get_mut(place) {
                *bits |= bit;
            }
        }
    }
    ends
});

/// By the places of the letters in the alphabet, which are the same for either case.
fn place(one: u8, two: u8, three: u8) -> (usize, u32) {
    (usize::from(one & 31) << 5 | usize::from(two & 31), 1 << (three & 31))
}

/// The secret that the name which ends at `at` is given: `NAME = value`, `"name": "value"`, `--name value`, a header,
/// an element, and the other ways in which languages and formats say it.
pub fn named(text: &str, at: usize) -> Option<Span> {
    let (before, rest) = text.split_at_checked(at)?;
    let name_length = before.bytes().rev().take_while(|byte| is_word(*byte)).take(64).count();
    let (before, name) = before.split_at_checked(at - name_length)?;
    let strength = name_of(name, before)?;
    let (link, value) = link(before, name, rest)?;
    let value = unmarked(value.trim_start_matches([' ', '\t', '\\']));
    // Source code within source code has a quote within a quote: `"\"value\""`.
    let unquoted = value.trim_start_matches(['"', '\'', '`', '\\']);
    let is_quoted = unquoted.len() < value.len();
    // A string without a letter, and what stands behind it.
    if ["\"\"", "''", "``"].contains(&value.get(..value.len() - unquoted.len())?) {
        return None;
    }
    let (mut value, mut scheme) = (unquoted, "");
    if matches!(strength, Name::Header) {
        let is_there = |scheme: &&str| value.get(..scheme.len()).is_some_and(|it| it.eq_ignore_ascii_case(scheme));
        scheme = ["bearer ", "basic ", "token ", "apikey "].into_iter().find(is_there).unwrap_or("");
        value = value.get(scheme.len()..)?.trim_start();
    }
    // Laravel writes its key so.
    value = value.strip_prefix("base64:").unwrap_or(value);
    let start = text.len() - value.len();
    let judged = value.get(..value.floor_char_boundary(JUDGED))?;
    let mut end = length(judged, link, is_quoted);
    let judged = judged.get(..end)?;
    let (rule, is_secret) = match strength {
        Name::Header if scheme == "basic " => ("authorization", is_login(judged)),
        Name::Header => {
            // Behind a name in quotes, a value without them is code; `Authorization: Optional.` begins a sentence.
            let is_line = !is_quoted && rest.starts_with(':') && !is_name(judged.trim_end_matches('.'), false);
            // The address where one is authorised is none.
            let is_one = is_credential(judged) && !judged.contains("://");
            ("authorization", is_one && (!scheme.is_empty() || is_line || is_random(judged, is_quoted)))
        }
        Name::Secret => ("assigned-secret", is_random(judged, is_quoted)),
        Name::Variable => ("high-entropy", is_key_material(judged)),
    };
    if !is_secret {
        return None;
    }
    // A character has at most four bytes: it was cut there, and is longer.
    if judged.len() + 4 > JUDGED {
        end = length(value, link, is_quoted);
    }
    let (value, behind) = value.split_at_checked(end)?;
    let is_closed = behind.starts_with(['"', '\'', '`', '\\']);
    let is_linked = match link {
        // What goes on behind a blank is a sentence.
        Link::Sign => !is_quoted || is_closed || behind.is_empty(),
        Link::Element => behind.starts_with("</"),
        Link::Quoted => is_quoted && is_closed,
        // The quote may as well end a string that ends with the name.
        Link::Blank => !is_quoted || (is_closed && !value.contains(['(', ')'])),
    };
    is_linked.then_some(Span { start, end: start + end, rule })
}

/// Takes off what Python writes before a string: `b"…"`.
fn unmarked(value: &str) -> &str {
    let rest = value.trim_start_matches(['b', 'B', 'r', 'R', 'u', 'U']);
    if value.len() - rest.len() <= 2 && rest.starts_with(['"', '\'']) { rest } else { value }
}

/// How far a value goes.
fn length(value: &str, link: Link, is_quoted: bool) -> usize {
    let is_value = |byte: u8| byte.is_ascii_graphic() && !b"\"'`\\".contains(&byte);
    let length = match link {
        Link::Element => run(value.as_bytes(), |byte| byte.is_ascii_graphic() && byte != b'<'),
        Link::Sign | Link::Quoted | Link::Blank if is_quoted => run(value.as_bytes(), is_value),
        Link::Sign | Link::Quoted | Link::Blank => {
            run(value.as_bytes(), |byte| is_value(byte) && !b",;".contains(&byte))
        }
    };
    // In a query the next parameter begins behind a `&`.
    let head = value.get(..length).unwrap_or(value);
    let next = head.match_indices('&').find(|(at, _)| {
        let next = head.get(at + 1..).unwrap_or("");
        let name = run(next.as_bytes(), is_word_or_dot);
        name >= 2 && next.get(name..).is_some_and(|rest| rest.starts_with('='))
    });
    next.map_or(length, |(at, _)| at)
}

/// What leads from a name to its value.
#[derive(Clone, Copy)]
enum Link {
    /// `=`, `:` and their like.
    Sign,
    /// An opening tag.
    Element,
    /// A sign that counts only before a string: a default behind `||`, a type, the comma between two arguments.
    Quoted,
    /// A blank: before a string, and where that is how values are given.
    Blank,
}

/// Returns how the value is given, and the text from it on.
fn link<'a>(before: &str, name: &str, rest: &'a str) -> Option<(Link, &'a str)> {
    let closed = rest.trim_start_matches(['"', '\'', '`', '\\']);
    let is_in_quotes = closed.len() < rest.len();
    let closed = closed.strip_prefix(']').unwrap_or(closed);
    let bare = closed.trim_start_matches([' ', '\t']);
    let has_blank = bare.len() < closed.len();
    let skip = |n: usize| bare.get(n..).map(|value| (Link::Sign, value));
    match bare.as_bytes() {
        [b':', b':', ..] | [b'=', b'=', ..] => None,
        // `${NAME:-value}` of a shell, `:=`, make's `?=`, Ruby's `=>`.
        [b':', b'-' | b'=', ..] | [b'?', b'=', ..] | [b'=', b'>', ..] => skip(2),
        [b':', ..] => typed(bare).map(|value| (Link::Quoted, value)).or_else(|| skip(1)),
        [b'=', ..] => skip(1),
        [b'|', b'|', ..] | [b'?', b'?', ..] => {
            bare.get(2..).map(|value| (Link::Quoted, value.strip_prefix('=').unwrap_or(value)))
        }
        [b'>', ..] if before.ends_with('<') && !has_blank => bare.get(1..).map(|value| (Link::Element, value)),
        [b',', ..] if is_in_quotes => {
            let is_argument = before.trim_end_matches(['"', '\'', '`', '\\']).trim_end().ends_with('(');
            // Android's `buildConfigField` takes a string of source code, which holds a string.
            let is_code = || bare.trim_start_matches([',', ' ']).starts_with("\"\\\"");
            paired(bare)
                .or_else(|| bare.get(1..).filter(|_| is_argument || is_code()).map(|value| (Link::Quoted, value)))
        }
        [b',' | b'\n' | b'\r', ..] => paired(bare),
        [b'"' | b'\'', ..] if has_blank => Some((Link::Blank, bare)),
        [b'{', ..] if is_in_quotes => {
            // Terraform: `variable "name" { default = "value" }`.
            let at = bare.as_bytes().iter().take(300).position(|byte| *byte == b'}').unwrap_or(300);
            let at = bare.get(..at.min(bare.len()))?.find("default")?;
            let value = bare.get(at + "default".len()..)?.trim_start().strip_prefix('=')?;
            Some((Link::Quoted, value))
        }
        [_, ..] if has_blank => {
            paired(bare).or_else(|| is_given_by_blank(before, name, bare).then_some((Link::Blank, bare)))
        }
        _ => None,
    }
}

/// The value behind a type: `: string = "…"`.
fn typed(rest: &str) -> Option<&str> {
    let is_type = |byte: u8| is_word(byte) || b": &'<>?.|[]".contains(&byte);
    let length = run(rest.as_bytes().get(..rest.len().min(LONGEST_TYPE))?, is_type);
    let value = rest.get(length..)?.strip_prefix('=')?.trim_start();
    value.starts_with(['"', '\'', '`']).then_some(value)
}

/// The value that stands beside a name in a member of its own: `name: X` and `value: …`, `key="X" value="…"`, or behind a
/// flag of its own: `secret set X --body "…"`, `--name X --value "…"`.
fn paired(rest: &str) -> Option<(Link, &str)> {
    if let Some(value) = rest.strip_prefix("--body").or_else(|| rest.strip_prefix("--value")) {
        return value.strip_prefix([' ', '=']).map(|value| (Link::Sign, value));
    }
    let value = rest.trim_start_matches([',', '"', '\'', ' ', '\t', '\r', '\n', '\\']).strip_prefix("value")?;
    let value = value.trim_start_matches(['"', '\'', ' ', '\\']).strip_prefix([':', '='])?;
    Some((Link::Sign, value))
}

/// Whether a blank is all that stands between a name and its value here: a flag of a command, a line of a Dockerfile,
/// of a `.netrc`.
fn is_given_by_blank(before: &str, name: &str, rest: &str) -> bool {
    let line = line_before(before, before.len()).trim_start();
    let is_alone = || {
        let word = run(rest.as_bytes(), |byte| byte.is_ascii_graphic());
        rest.get(word..)
            .is_some_and(|behind| behind.is_empty() || behind.trim_start_matches([' ', '\r']).starts_with('\n'))
    };
    name.starts_with("--")
        || ["ENV ", "ARG "].contains(&line)
        || (name == "password" && (line.contains("login ") || line.is_empty()) && is_alone())
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

fn name_of(name: &str, before: &str) -> Option<Name> {
    let ends = |endings: &[&str]| endings.iter().any(|ending| ends_like(name, ending));
    let is_upper = || name.bytes().all(|byte| is_upper_or_digit(byte) || byte == b'_');
    let n_letters = || name.bytes().filter(u8::is_ascii_alphanumeric).count();
    if SECRET_HEADERS.iter().any(|header| ends_like(name, header) && header.len() == n_letters()) {
        return Some(Name::Header);
    }
    // `pass` is a word of its own in `db_pass` and `DefaultPass`, none in `compass`.
    let stem = name.strip_suffix("pass").or_else(|| name.strip_suffix("Pass")).or_else(|| name.strip_suffix("PASS"));
    let is_pass = stem.is_some_and(|stem| name.ends_with("Pass") || !stem.ends_with(|c: char| c.is_ascii_alphabetic()));
    // `CREATE USER … IDENTIFIED BY 'value'`.
    let is_identified = || name.eq_ignore_ascii_case("by") && ends_like(before, "identified");
    if is_pass || ends(SECRET_NAMES) || is_identified() {
        return Some(Name::Secret);
    }
    // A link that is signed lets in whoever has it.
    let is_signature = || (name == "sig" || name.ends_with("Signature")) && before.ends_with(['?', '&']);
    let is_variable = (ends(VARIABLE_NAMES) && is_upper() && !ends(PUBLIC_NAMES))
        || ends(KEY_NAMES)
        || ["auth", "_auth"].contains(&name)
        || is_signature();
    is_variable.then_some(Name::Variable)
}

/// Whether the letters and digits of a name end so, in any case. Compares from the end, where most names differ.
fn ends_like(name: &str, ending: &str) -> bool {
    let mut letters = name.bytes().rev().filter(u8::is_ascii_alphanumeric);
    ending.bytes().rev().all(|byte| letters.next().is_some_and(|letter| letter.to_ascii_lowercase() == byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_lists_is_likely() {
        for name in SECRET_NAMES.iter().chain(SECRET_HEADERS).chain(VARIABLE_NAMES).chain(KEY_NAMES) {
            let last = |name: &str| <[u8; 3]>::try_from(&name.as_bytes()[name.len() - 3..]).unwrap();
            assert!(is_end(last(name)) && is_end(last(&name.to_uppercase())), "{name}");
        }
        assert!(!is_end(*b"_ms") && !is_end(*b"n x"));
    }
}
