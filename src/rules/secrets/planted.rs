//! What of planted secrets is found. The forms (`planted/forms.rs`) were written from the pages of the issuers and the
//! RFCs, without the rules at hand: exact lengths and alphabets, in the surroundings where people leave them. Values are
//! drawn by a seeded generator when the test runs; none is real, and no scanner of a code host takes these files for a leak.

mod forms;
mod later;

use super::{alarms, find, redact};
use forms::{ANYWHERE, AROUND, ASSIGNED, NAMED, PEM_LABELS, PEM_PLACES, TOKENS, WHOLE};
use std::collections::{BTreeMap, BTreeSet};

/// One planted secret.
struct Case {
    /// Which kind of secret.
    kind: &'static str,
    /// The text it stands in.
    text: String,
    /// The secret itself, or the first line of one that has several.
    secret: String,
}

/// Every case, the same on each call.
fn cases() -> Vec<Case> {
    let dice = &mut Dice(0x9e37_79b9_7f4a_7c15);
    let mut all = Vec::new();
    for (kind, pattern) in TOKENS {
        for place in ANYWHERE.iter().chain(ANYWHERE) {
            let secret = made(pattern, dice);
            all.push(Case::new(kind, &place.replace('¤', &format!("«{secret}»")), dice));
        }
    }
    for (kind, pattern) in NAMED {
        for place in ASSIGNED.iter().chain(ASSIGNED) {
            let secret = made(pattern, dice);
            all.push(Case::new(kind, &named(place, kind).replace('¤', &format!("«{secret}»")), dice));
        }
    }
    for (kind, pattern) in WHOLE {
        for _ in 0..12 {
            all.push(Case::new(kind, &made(pattern, dice), dice));
        }
    }
    for label in PEM_LABELS {
        for place in PEM_PLACES.iter().chain(PEM_PLACES) {
            all.push(Case::new(label, &made(&place.replace('~', label), dice), dice));
        }
    }
    all
}

impl Case {
    /// A case of `marked`, in which the secret stands between `«` and `»`, with something around it.
    fn new(kind: &'static str, marked: &str, dice: &mut Dice) -> Case {
        let (before, rest) = marked.split_once('«').expect("a secret is marked");
        let (secret, after) = rest.split_once('»').expect("its end is marked");
        let (above, below) = AROUND[dice.below(AROUND.len())];
        Case { kind, text: format!("{above}{before}{secret}{after}{below}"), secret: secret.to_owned() }
    }
}

/// `place` with the name in the ways in which languages write names.
fn named(place: &str, name: &str) -> String {
    let pascal: String = name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
    let camel = pascal[..1].to_lowercase() + &pascal[1..];
    place
        .replace("{N}", &name.to_uppercase())
        .replace("{n}", name)
        .replace("{c}", &camel)
        .replace("{C}", &pascal)
        .replace("{k}", &name.replace('_', "-"))
}

/// `pattern` with its groups filled.
fn made(pattern: &str, dice: &mut Dice) -> String {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some((before, tail)) = rest.split_once('‹') {
        out.push_str(before);
        let end = end_of_group(tail);
        out.push_str(&group(&tail[..end], dice));
        rest = &tail[end + '›'.len_utf8()..];
    }
    out + rest
}

/// Where the group that begins `tail` ends: groups may stand in groups.
fn end_of_group(tail: &str) -> usize {
    let mut depth = 0;
    for (at, letter) in tail.char_indices() {
        match letter {
            '‹' => depth += 1,
            '›' if depth == 0 => return at,
            '›' => depth -= 1,
            _ => {}
        }
    }
    panic!("a group without an end: {tail}")
}

fn group(group: &str, dice: &mut Dice) -> String {
    match group.split_at(1) {
        ("B", text) => base64(made(&text[1..], dice).as_bytes()),
        ("U", _) => made("‹h8›-‹h4›-4‹h3›-a‹h3›-‹h12›", dice),
        ("J", _) => {
            let header = base64(br#"{"alg":"HS256","typ":"JWT"}"#);
            let claims = base64(made("{\"sub\":\"‹d10›\",\"iat\":17‹d8›}", dice).as_bytes());
            format!("{}.{}.{}", header.trim_end_matches('='), claims.trim_end_matches('='), made("‹u43›", dice))
        }
        ("P", _) => {
            let words = ["Kestrel", "harbour", "Maple", "Orbit", "tangerine", "Velvet", "granite", "Lantern"];
            let (one, two) = (words[dice.below(8)], words[dice.below(8)]);
            made(&format!("{one}{two}{}‹d2›", ["-", "_", "!", "."][dice.below(4)]), dice)
        }
        (letter, count) => {
            let letters: Vec<char> = class(letter).chars().collect();
            let count: usize = count.parse().expect("a count");
            (0..count).map(|_| letters[dice.below(letters.len())]).collect()
        }
    }
}

/// The characters of a class.
fn class(letter: &str) -> &'static str {
    match letter {
        "d" => "0123456789",
        "h" => "0123456789abcdef",
        "H" => "0123456789ABCDEF",
        "z" => "abcdefghijklmnopqrstuvwxyz",
        "l" => "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "a" => "abcdefghijklmnopqrstuvwxyz0123456789",
        "A" => "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
        "T" => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
        "Q" => "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
        "w" => "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
        "u" => "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_",
        "b" => "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/",
        // Passwords of a generator, for a URL and for anywhere.
        "s" => "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!*",
        "p" => "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!@#%^*-_+=?.~",
        // Django's and WordPress's keys.
        "D" => "abcdefghijklmnopqrstuvwxyz0123456789!@#$%^*(-_=+)",
        _ => panic!("no such class: {letter}"),
    }
}

fn base64(bytes: &[u8]) -> String {
    let letters: Vec<char> = class("l").chars().collect();
    let digits = "0123456789+/";
    let alphabet: Vec<char> = letters[26..].iter().chain(&letters[..26]).copied().chain(digits.chars()).collect();
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let bits = (0..3).fold(0usize, |bits, at| bits << 8 | usize::from(three.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            out.push(if at <= three.len() { alphabet[bits >> (18 - 6 * at) & 63] } else { '=' });
        }
    }
    out
}

/// A generator of numbers that are the same on each run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound as u64).expect("below a usize")
    }
}

/// Whether neither half of a secret is left.
fn is_gone(text: &str, secret: &str) -> bool {
    let clean = redact(text, &[]);
    let (first, second) = secret.split_at(secret.len() / 2);
    !clean.contains(first) && !clean.contains(second) && !find(text, &[]).is_empty()
}

#[test]
fn ninety_nine_of_a_hundred_planted_secrets_are_found() {
    let cases = cases();
    let kinds: BTreeSet<_> = cases.iter().map(|case| case.kind).collect();
    assert!(cases.len() >= 8000 && kinds.len() >= 200, "{} secrets of {} kinds", cases.len(), kinds.len());
    check_found(&cases);
}

#[test]
fn ninety_nine_of_a_hundred_of_a_second_set_are_found() {
    for seed in [0x5eed_0011, 0x5eed_0012, 0x5eed_0013] {
        let cases = later_cases(&mut Dice(seed));
        assert!(cases.len() >= 1500, "{} secrets", cases.len());
        check_found(&cases);
    }
}

/// At most one of a hundred is missed.
#[track_caller]
fn check_found(cases: &[Case]) {
    let kinds: BTreeSet<_> = cases.iter().map(|case| case.kind).collect();
    let mut missed: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for case in cases.iter().filter(|case| !is_gone(&case.text, &case.secret)) {
        missed.entry(case.kind).or_default().push(case.text.replace('\n', "\\n"));
    }
    let n_missed: usize = missed.values().map(Vec::len).sum();
    println!(
        "{} of {} planted secrets of {} kinds found: {missed:#?}",
        cases.len() - n_missed,
        cases.len(),
        kinds.len()
    );
    assert!(n_missed * 100 <= cases.len(), "missed {n_missed}: {missed:#?}");
}

#[test]
fn what_stands_for_a_secret_is_none() {
    for place in ASSIGNED {
        for value in ["changeme", "your-password-here", "<password>", "xxxxxxxxxxxx", "secret", "${VALUE}"] {
            let text = named(place, "db_password").replace('¤', value);
            assert_eq!(find(&text, &[]), [], "{text}");
        }
    }
}

/// The cases of the second set: each kind in places that are drawn for it.
fn later_cases(dice: &mut Dice) -> Vec<Case> {
    let draw = |places: &[&'static str], dice: &mut Dice| places[dice.below(places.len())];
    let mut all = Vec::new();
    let mut plant = |kind: &'static str, place: &str, pattern: &str, dice: &mut Dice| {
        let secret = made(pattern, dice);
        all.push(Case::new(kind, &named(place, kind).replace('¤', &format!("«{secret}»")), dice));
    };
    for (kind, pattern) in later::KNOWN {
        for n in 0..9 {
            let place = draw(if n < 6 { later::UNDER_A_NAME } else { later::WITHOUT_A_NAME }, dice);
            plant(kind, place, pattern, dice);
        }
    }
    for (kind, pattern) in later::BY_NAME {
        for _ in 0..12 {
            let place = draw(later::UNDER_A_NAME, dice);
            plant(kind, place, pattern, dice);
        }
    }
    for (kind, pattern) in later::WHOLE_THINGS {
        for _ in 0..6 {
            all.push(Case::new(kind, &made(pattern, dice), dice));
        }
    }
    all
}

/// For measuring on a tree of one's own: `MUX_SECRETS_TREE=DIR cargo test … -- --ignored --nocapture secrets_of_a_tree`.
#[test]
#[ignore = "needs a tree to look at"]
#[expect(clippy::disallowed_methods, reason = "a measurement, told by the environment what to measure")]
fn secrets_of_a_tree() {
    let root = std::env::var("MUX_SECRETS_TREE").unwrap();
    let (mut dirs, mut lines, mut bytes, mut places) = (vec![std::path::PathBuf::from(root)], 0, 0, Vec::new());
    let mut spent = std::time::Duration::ZERO;
    while let Some(dir) = dirs.pop() {
        for entry in fs_err::read_dir(dir).unwrap().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                dirs.push(entry.path());
            }
            let Some(text) = fs_err::read(entry.path()).ok().and_then(|bytes| String::from_utf8(bytes).ok()) else {
                continue;
            };
            if !kind.is_file() || text.contains('\0') {
                continue;
            }
            let start = std::time::Instant::now();
            let finds = find(&text, &[]);
            spent += start.elapsed();
            (lines, bytes) = (lines + text.lines().count(), bytes + text.len());
            places.extend(finds.into_iter().map(|find| (entry.path(), find)));
        }
    }
    let n_places = places.len();
    let secrets = alarms(places, |(_, find)| find.identity);
    for secret in &secrets {
        let (path, find) = &secret.first;
        let elsewhere = secret.elsewhere(|(path, find)| format!("{}:{}", path.display(), find.line));
        println!("{}:{} {} {}{elsewhere}", path.display(), find.line, find.rule, find.excerpt);
    }
    let per_100_kb = spent.as_secs_f64() * 1e3 / (bytes as f64 / 1e5);
    let n_secrets = secrets.len();
    println!("{lines} lines, {bytes} bytes, {n_places} places, {n_secrets} secrets, {per_100_kb:.3} ms per 100 KB");
    assert!(lines > 0, "an empty tree proves nothing");
}
