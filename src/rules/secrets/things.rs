//! Whether a value is what code calls a thing: a type (`Saml2X509Credential`), a constant (`WIN32_ERROR`), a member
//! (`caching_sha2_password`). A drawn value has no words in it, and what people think up as a password ends in digits or
//! has signs that no name has.

/// Words of the things that hold secrets; they may stand in the plural.
const MATTER: [&str; 13] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pass",
    "pwd",
    "secret",
    "token",
    "key",
    "credential",
    "auth",
    "authorization",
    "authentication",
];

/// Whether a value is such a name. Without quotes a value is likelier code than with them: there two words that can be
/// said are enough, else one of them has to say what the thing holds.
pub fn is_thing(value: &str, is_quoted: bool) -> bool {
    let value = value.trim_end_matches('.');
    // What code writes around a name: a reference, a type that may be missing, a bracket that was opened before.
    let bare = value.trim_start_matches(['&', '*']).trim_end_matches(['?', '!', ')', ']', '}', '>']);
    let value = if is_quoted { value } else { bare };
    let is_part = |part: &str| {
        part.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let is_joined = value.contains(|letter: char| letter == '_' || letter == '.' || letter.is_ascii_uppercase());
    if !is_joined || value.ends_with(|letter: char| letter.is_ascii_digit()) || !value.split('.').all(is_part) {
        return false;
    }
    let (mut n_letters, mut n_spoken, mut n_words, mut is_matter) = (0, 0, 0, false);
    for part in value.split('.') {
        // Capitals are a word in `WIN32_ERROR`, and letters by themselves in `PKCS7PrivateKey`.
        let is_constant = part.contains('_') && !part.contains(|letter: char| letter.is_ascii_lowercase());
        for word in words(part) {
            n_letters += word.len();
            let (is_known, is_lower) = (says(word), word.contains(|letter: char| letter.is_ascii_lowercase()));
            // Drawn letters make a word of three now and then.
            let is_word = is_known || (is_speakable(word) && (is_constant || (is_lower && word.len() >= 4)));
            if is_word {
                (n_spoken, n_words) = (n_spoken + word.len(), n_words + 1);
            }
            is_matter = is_matter || is_known;
        }
    }
    let n_digits = value.bytes().filter(u8::is_ascii_digit).count();
    let is_said = n_digits * 2 <= n_letters && n_spoken * 10 >= n_letters * 6;
    // A year in the middle makes a password of two words.
    (is_matter && is_said) || (!is_quoted && n_words >= 2 && n_digits <= 3 && is_said)
}

/// Cuts a name where its words begin: `ASN1OctetString` is `ASN`, `Octet`, `String`.
fn words(name: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for run in name.split(|letter: char| !letter.is_ascii_alphabetic()) {
        let letters = run.as_bytes();
        let is_upper = |at: usize| letters.get(at).is_some_and(u8::is_ascii_uppercase);
        let is_lower = |at: usize| letters.get(at).is_some_and(u8::is_ascii_lowercase);
        let mut start = 0;
        for at in 1..letters.len() {
            if is_upper(at) && (is_lower(at - 1) || is_lower(at + 1)) {
                words.extend(run.get(start..at));
                start = at;
            }
        }
        words.extend(run.get(start..).filter(|word| !word.is_empty()));
    }
    words
}

/// Whether somebody could say a word: it has a vowel, and no four consonants in a row.
fn is_speakable(word: &str) -> bool {
    let is_vowel = |letter: char| "aeiouyAEIOUY".contains(letter);
    word.len() >= 3 && word.contains(is_vowel) && word.split(is_vowel).all(|run| run.len() < 4)
}

fn says(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    MATTER.iter().filter_map(|known| word.strip_prefix(known)).any(|rest| matches!(rest, "" | "s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_types_constants_and_members_are_things() {
        for value in [
            "&HpkePrivateKey",
            "ASN1.ASN1OctetString",
            "DERImplicitlyTaggable",
            "ID_TOKEN_DATA}",
            "Oauth2ClientCredentials.",
            "OneTimeToken?",
            "PKCS7PrivateKeyTypes",
            "Saml2X509Credential",
            "WIN32_ERROR",
            "X25519PrivateKey",
            "verificationX509Credentials",
        ] {
            assert!(is_thing(value, false), "{value}");
        }
        for value in ["V1SecretProjection", "caching_sha2_password", "google_oauth2.Credentials", "AWSAccessKeyId"] {
            assert!(is_thing(value, true) && is_thing(value, false), "{value}");
        }
    }

    #[test]
    fn what_is_drawn_or_thought_up_is_none() {
        for value in [
            "",
            ".",
            "AcmePassword1",
            "Velvet_Maple_67",
            "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zC",
            "correct-horse7key",
            "fgRoNKGWOHKeyduhR",
            "k3jh4kajsd8fkey",
            "tangerineMaple.76",
        ] {
            assert!(!is_thing(value, false) && !is_thing(value, true), "{value}");
        }
        assert!(!is_thing("Summer2024Holiday", false));
        // In quotes, it is the value itself.
        for value in ["Summer2024Holiday", "&HpkePrivateKey", "DERImplicitlyTaggable"] {
            assert!(!is_thing(value, true), "{value}");
        }
    }

    #[test]
    fn a_name_is_cut_where_its_words_begin() {
        assert_eq!(words("ASN1OctetString_v2AWSKey"), ["ASN", "Octet", "String", "v", "AWS", "Key"]);
        assert_eq!(words("__1"), [""; 0]);
    }
}
