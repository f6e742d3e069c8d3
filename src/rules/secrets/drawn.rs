//! Whether a value looks drawn by a machine or invented as a password, or is a word, code, a path, an example.

use super::is_word;
use super::things::is_thing;

/// A value that holds one of these (in lower case) is an example, a template or code.
const PLACEHOLDERS: &[&str] = &[
    "example",
    "changeme",
    "change_me",
    "change-me",
    "placeholder",
    "your",
    "xxxx",
    "dummy",
    "redacted",
    "...",
    "***",
    "<",
    "{",
    "$",
    "%s",
];

pub fn is_placeholder(value: &str) -> bool {
    // A long drawn value may hold a `$` or a `{` by chance; a template begins with it, or has both.
    let is_long =
        value.len() >= 30 && !value.starts_with(['$', '{', '<']) && !value.contains("${") && !value.contains("{{");
    let value = value.to_ascii_lowercase();
    PLACEHOLDERS.iter().any(|word| !(is_long && word.len() <= 2) && value.contains(word)) || is_spoken(&value)
}

/// Whether a value is filled up: half of it the same character, or six letters or eight digits as the alphabet has them.
fn is_filler(value: &str) -> bool {
    let bytes = value.as_bytes();
    let mut counts = [0; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let most = counts.into_iter().max().unwrap_or(0);
    let mut in_order = 1;
    let is_ordered = bytes.iter().zip(bytes.iter().skip(1)).any(|(one, two)| {
        in_order = if one.is_ascii_alphanumeric() && two.checked_sub(1) == Some(*one) { in_order + 1 } else { 1 };
        in_order >= if two.is_ascii_digit() { 8 } else { 6 }
    });
    bytes.len() >= 8 && (most * 2 > bytes.len() || is_ordered)
}

/// Words of the matter, and of tests. A value that is nothing else stands for a secret.
const WORDS: [&str; 39] = [
    "password",
    "passwd",
    "passphrase",
    "pass",
    "word",
    "secret",
    "sekret",
    "token",
    "key",
    "api",
    "auth",
    "test",
    "testing",
    "demo",
    "dummy",
    "fake",
    "mock",
    "foo",
    "bar",
    "baz",
    "qux",
    "my",
    "super",
    "new",
    "old",
    "not",
    "some",
    "base",
    "hashed",
    "invalid",
    "valid",
    "wrong",
    "bad",
    "sample",
    "string",
    "value",
    "abc",
    "deadbeef",
    "a",
];

/// Whether a value (in lower case) is only such words, whatever digits write their letters: `superS3cret`, `password123!`.
fn is_spoken(value: &str) -> bool {
    let stem = value.trim_end_matches(['!', '.']);
    let words = stem.trim_end_matches(|letter: char| letter.is_ascii_digit());
    // A year, or a number that somebody has thought up, makes a password of the word.
    if !is_count(stem.get(words.len()..).unwrap_or("")) {
        return false;
    }
    let as_letter = |letter: char| match letter {
        '0' => 'o',
        '1' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    };
    let words: String = words.chars().map(as_letter).collect();
    let parts = || words.split(|letter: char| !letter.is_ascii_alphabetic()).filter(|part| !part.is_empty());
    parts().next().is_some() && parts().all(is_made_of_words)
}

/// Whether digits number a name: at most one, or some that count (`123`, `0001`).
fn is_count(digits: &str) -> bool {
    let counts = || digits.bytes().zip(digits.bytes().skip(1)).all(|(one, two)| one + 1 == two);
    let is_padded = || digits.starts_with('0') && digits.trim_start_matches('0').len() <= 1;
    digits.len() <= 1 || (digits.len() >= 3 && digits.starts_with(['0', '1']) && (counts() || is_padded()))
}

/// Whether a text can be cut into words of the list.
fn is_made_of_words(text: &str) -> bool {
    text.is_empty() || WORDS.iter().any(|word| text.strip_prefix(word).is_some_and(is_made_of_words))
}

/// Whether a value is of the characters that keys are drawn from, and mixed as only a drawn one is.
pub fn is_key_material(value: &str) -> bool {
    let is_of_a_key = |byte: u8| is_word(byte) || matches!(byte, b'+' | b'/' | b'=' | b'.' | b'%');
    let mix = Mix::of(value);
    let is_hex = value.len() >= 32
        && mix.digits > 0
        && mix.lower + mix.upper > 0
        && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_mixed = mix.digits > 0 && mix.upper > 0 && mix.lower > 0;
    value.len() >= 20 && (is_mixed || is_hex) && value.bytes().all(is_of_a_key) && is_random(value, false)
}

/// Whether a value that stands where only a credential can is one, and no word that stands for it (`faketoken`).
pub fn is_credential(value: &str) -> bool {
    let mix = Mix::of(value);
    let is_made = mix.digits > 0 || (mix.upper > 0 && mix.lower > 0) || value.len() >= 40;
    value.len() >= 6 && is_made && !is_placeholder(value) && !value.contains(['(', '[']) && !is_thing(value, true)
}

/// Whether the base64 of `user:password` holds a password. (`dXNlcjpwYXNz`, in many a test, is `user:pass`.)
pub fn is_login(value: &str) -> bool {
    let (mut login, mut bits, mut n_bits) = (String::new(), 0u32, 0u32);
    for byte in value.trim_end_matches('=').bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return is_credential(value),
        };
        (bits, n_bits) = (bits << 6 | u32::from(six), n_bits + 6);
        if n_bits >= 8 {
            n_bits -= 8;
            login.push(char::from(u8::try_from(bits >> n_bits & 0xff).unwrap_or_default()));
        }
    }
    login.split_once(':').map_or_else(|| is_credential(value), |(_, password)| is_credential(password))
}

/// Whether an assigned value looks drawn by a machine or invented as a password: letters and digits, many different
/// ones. Values without quotes may as well be code, so more is asked of them.
pub fn is_random(value: &str, is_quoted: bool) -> bool {
    let mix = Mix::of(value);
    let letters = mix.lower + mix.upper;
    // Generated keys of frameworks are drawn from punctuation, too; code of that length has calls in it, or few marks.
    let is_punctuated = value.len() >= 30
        && mix.digits >= 3
        && mix.different >= 16
        && (is_quoted || (mix.marks >= 4 && !is_call(value)));
    let is_drawn = is_drawn(value, if is_quoted { 12 } else { 16 }) || is_cased(value, mix.digits);
    let both_cases = mix.lower > 0 && mix.upper > 0;
    let is_enough = if is_quoted {
        value.len() >= 8 && (mix.digits >= 1 || is_drawn || (both_cases && mix.marks >= 2))
    } else {
        let is_password = both_cases && mix.marks >= 2 && mix.marks + mix.digits >= 3;
        // A chain of names (`request.token2`) has dots, and none of the signs that only passwords have.
        let is_member = |part: &str| part.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
        let is_chain = value.trim_end_matches(['.', '!']).split('.').skip(1).any(is_member)
            && (!is_cased(value, 0) || is_constant(value))
            && mix.oddities == 0;
        value.len() >= 10 && (mix.digits >= 2 || is_drawn || is_password) && !is_chain
    };
    let is_code = || {
        is_public(value)
            || (!is_punctuated && value.contains(['(', ')', '[', ']', '>', '|']))
            || value.contains("://")
            || value.contains("::")
    };
    is_enough
        && letters >= 2
        && mix.different >= 6
        && mix.different * 4 >= value.len().min(32)
        && !is_code()
        && !is_path(value, is_drawn || mix.oddities >= 2)
        && !is_escaped(value)
        && !is_name(value, is_quoted)
        && !is_thing(value, is_quoted)
        && !is_version(value)
        && !is_filler(value)
        && !is_placeholder(value)
}

/// Whether little is left of a value without its escapes (`%F0%9F%92%A9`).
fn is_escaped(value: &str) -> bool {
    value.contains('%')
        && value.split('%').enumerate().map(|(n, part)| part.len().saturating_sub(2 * n.min(1))).sum::<usize>() < 6
}

/// A path, or the second half of `==` or `::`. Base64 may begin with a slash, but goes on as no path does.
fn is_path(value: &str, is_drawn: bool) -> bool {
    let is_dotted = value.starts_with("./") || value.starts_with("..") || (value.starts_with('.') && !is_drawn);
    let is_rooted = value.starts_with('/') && (value.len() < 32 || value.contains(['.', '_', '-']));
    // `projects/1/secrets/s`, as clouds name things.
    let is_plain = |part: &str| {
        let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
        is_number || part.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'_' | b'.'))
    };
    let is_listed = value.matches('/').count() >= 2 && value.split('/').all(|part| !part.is_empty() && is_plain(part));
    is_dotted || is_rooted || is_listed || value.starts_with("~/") || value.starts_with(['=', ':'])
}

/// Whether a value is a name for all the world: that of a standard, or the address of a contract (whose key is longer).
fn is_public(value: &str) -> bool {
    let is_address = |hex: &str| hex.len() == 40 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    value.starts_with("urn:") || value.strip_prefix("0x").is_some_and(is_address)
}

/// Whether a value is the version of a package, as lock files have it: `npm:^9.0.2`, `^3.0.0-beta.1`.
fn is_version(value: &str) -> bool {
    let numbers = value.trim_start_matches(['^', '~', '>', '<', '=', 'v']).split(['-', '+']).next().unwrap_or("");
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    ["npm:", "patch:", "workspace:"].iter().any(|prefix| value.starts_with(prefix))
        || (numbers.split('.').count() == 3 && numbers.split('.').all(is_number))
}

/// Whether the last member of a chain is a constant: `env.SEQ_DB2_PW`.
fn is_constant(chain: &str) -> bool {
    let last = chain.rsplit('.').next().unwrap_or("");
    let is_of_one = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    last.contains('_') && last.starts_with(|letter: char| letter.is_ascii_uppercase()) && last.bytes().all(is_of_one)
}

/// Whether a value is a name that somebody gave a thing: `new_password2`, and without quotes also `defaultToConfig2`.
pub fn is_name(value: &str, is_quoted: bool) -> bool {
    let stem = value.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let n_digits = value.len() - stem.len();
    let is_spelled = stem.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-'));
    // Drawn letters change their case at every second place, and words of three letters at two of three.
    let is_mixed = case_changes(value) * 5 >= value.len() * 2 || is_drawn(value, 16);
    let is_joined = value.contains(['_', '-']) && is_count(value.get(stem.len()..).unwrap_or(""));
    // `Velvet_67`: variables do not begin with a capital and end so.
    let is_numbered =
        n_digits == 2 && stem.ends_with('_') && value.starts_with(|letter: char| letter.is_ascii_uppercase());
    is_spelled && !is_mixed && (is_joined || (!is_quoted && n_digits <= 2 && !value.contains('-') && !is_numbered))
}

fn is_call(value: &str) -> bool {
    value.contains("()") || value.contains(").") || value.contains("&&") || value.contains("==")
}

/// Whether letters change their case as often as drawn ones do. Words in `CamelCase` change it with every word (of four
/// letters and more), a drawn value with every second letter. One digit makes it likelier still.
fn is_cased(value: &str, digits: usize) -> bool {
    case_changes(value) * if digits >= 1 { 5 } else { 3 } >= value.len() && value.len() >= 12 && !is_titled(value)
}

/// Whether a value is words that begin with a capital, however short: `CircleOfLife`, `NodeType.BadString`.
fn is_titled(value: &str) -> bool {
    let is_vowel = |letter: char| matches!(letter, 'a' | 'e' | 'i' | 'o' | 'u' | 'y' | 'A' | 'E' | 'I' | 'O' | 'U');
    let is_followed = |(one, two): (u8, u8)| !one.is_ascii_uppercase() || two.is_ascii_lowercase();
    let is_opened = value.bytes().zip(value.bytes().skip(1).chain([b'.'])).all(is_followed);
    // Vowels are as frequent as in words.
    let n_vowels = value.chars().filter(|letter| is_vowel(*letter)).count();
    value.chars().all(|letter| letter.is_ascii_alphabetic() || matches!(letter, '.' | '_'))
        && is_opened
        && n_vowels * 4 >= value.len()
}

fn case_changes(value: &str) -> usize {
    let bytes = value.as_bytes();
    bytes.iter().zip(bytes.iter().skip(1)).filter(|(a, b)| a.is_ascii_uppercase() != b.is_ascii_uppercase()).count()
}

/// Whether nothing but letters stands there, at least so many, and nobody could say it: Google's passwords for
/// applications are 16 drawn letters. Words of the matter are no secret however they sound (`mypassphrase`).
fn is_drawn(value: &str, least: usize) -> bool {
    if value.len() < least || !value.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return false;
    }
    let value = value.to_ascii_lowercase();
    let is_vowel = |letter: char| matches!(letter, 'a' | 'e' | 'i' | 'o' | 'u');
    let n_vowels = value.chars().filter(|letter| is_vowel(*letter)).count();
    // Words that are joined have vowels enough, though four consonants may meet: `Autentiseringskod`.
    let is_unspeakable = n_vowels * 5 <= value.len()
        || (n_vowels * 5 < value.len() * 2 && value.split(is_vowel).any(|run| run.len() >= 4));
    is_unspeakable
        && !["pass", "pwd", "secret", "token", "key", "test", "auth", "credential"]
            .iter()
            .any(|word| value.contains(word))
}

/// What a value is made of.
#[derive(Default)]
struct Mix {
    digits: usize,
    upper: usize,
    lower: usize,
    /// Signs that passwords have and names do not.
    marks: usize,
    /// Those of them that code seldom has inside a word.
    oddities: usize,
    /// Different bytes.
    different: usize,
}

impl Mix {
    fn of(value: &str) -> Mix {
        let mut mix = Mix::default();
        let mut seen = [false; 256];
        for byte in value.bytes() {
            match byte {
                b'0'..=b'9' => mix.digits += 1,
                b'A'..=b'Z' => mix.upper += 1,
                b'a'..=b'z' => mix.lower += 1,
                _ => {}
            }
            mix.marks += usize::from(b"!@#$%^&*?~+=".contains(&byte));
            mix.oddities += usize::from(b"!@#%^*~".contains(&byte));
            if let Some(seen) = seen.get_mut(usize::from(byte)).filter(|seen| !**seen) {
                *seen = true;
                mix.different += 1;
            }
        }
        mix
    }
}
