//! The page is read strictly, as XML: what a record holds must not become markup, whatever it is.

use super::*;
use crate::rules::run_id;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

const NOW: Utc = Utc(1_795_759_200_000);

/// Reads records, newest first, and draws the page.
fn drawn(lines: &[String], bad: usize) -> String {
    let mut report = Report::new(LIMITS);
    for line in lines {
        report.add(&Run::parse(line).unwrap_or_else(|| panic!("no record: {line}")), &decision);
    }
    page::page(&report, &Frame { now: NOW, since: None, bad, is_cut: bad > 0, threshold: 0.6, target: 0.95 })
}

/// The line of an explanation that says where the run went: the others are for the tests of `mux why`.
fn decision(line: &str) -> Option<String> {
    why::explained(line)?.lines().find(|line| line.starts_with("decision")).map(str::to_string)
}

/// A small ledger that `mux` has written: scenarios of this project with the replies of real models, newest first.
fn recorded() -> Vec<String> {
    let lines = include_str!("../../../fixtures/report/ledger.jsonl").lines().rev();
    lines.map(str::to_string).collect()
}

/// What is between the tags of a page, and the tags, read strictly.
#[derive(Default)]
struct Read {
    tags: Vec<(String, Vec<(String, String)>)>,
    text: String,
}

impl Read {
    fn attributes(&self, name: &str) -> Vec<&str> {
        let all = self.tags.iter().flat_map(|(_, attributes)| attributes);
        all.filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    fn count(&self, tag: &str) -> usize {
        self.tags.iter().filter(|(name, _)| name == tag).count()
    }
}

/// Panics where a page is not well-formed: tags that do not nest, attributes without quotes or twice, a bare `&` or `<`.
fn read(page: &str) -> Read {
    let (mut read, mut open) = (Read::default(), Vec::new());
    let mut rest = page.strip_prefix("<!DOCTYPE html>\n").expect("begins with the document type");
    while let Some((text, tail)) = rest.split_once('<') {
        let is_literal = open.last().is_some_and(|tag| tag == "style" || tag == "script");
        if is_literal {
            assert!(!text.contains('&'), "{text}");
        } else {
            let is_pre = open.last().is_some_and(|tag| tag == "pre");
            let text = if is_pre { text.to_string() } else { text.replace('\n', "") };
            read.text.push_str(&unescaped(&text));
        }
        let (tag, after) = tail.split_once('>').expect("a tag ends");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "a tag is closed that is not open");
            if ["tr", "p", "li", "dd", "h1", "h2", "caption", "summary", "figcaption", "pre", "title"].contains(&name) {
                read.text.push('\n');
            } else if ["td", "th", "span", "dt"].contains(&name) {
                read.text.push_str(" | ");
            }
            continue;
        }
        let name: String = tag.chars().take_while(char::is_ascii_alphanumeric).collect();
        let (mut attributes, mut left) = (Vec::new(), tag[name.len()..].trim_start());
        while !left.is_empty() && left != "/" {
            let (key, value) = left.split_once("=\"").unwrap_or_else(|| panic!("no attribute: {tag}"));
            let (value, tail) = value.split_once('"').unwrap_or_else(|| panic!("no end of a value: {tag}"));
            assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{tag}");
            assert!(!attributes.iter().any(|(other, _)| other == key), "{key} twice: {tag}");
            attributes.push((key.to_string(), unescaped(value)));
            left = tail.trim_start();
        }
        if left.is_empty() {
            open.push(name.clone());
        }
        read.tags.push((name, attributes));
    }
    assert_eq!((open, rest), (Vec::new(), "\n"), "all is closed at the end");
    let lines = read.text.lines().map(|line| line.trim_end_matches([' ', '|'])).filter(|line| !line.is_empty());
    read.text = lines.fold(String::new(), |text, line| text + line + "\n");
    read
}

fn unescaped(text: &str) -> String {
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (name, rest) = part.split_once(';').unwrap_or_else(|| panic!("a bare & before {part}"));
        plain.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "#39" => '\'',
            other => panic!("&{other};"),
        });
        plain.push_str(rest);
    }
    plain
}

/// What holds for every page.
#[track_caller]
fn check(page: &str) -> Read {
    let read = read(page);
    assert!(!page.contains("http:") && !page.contains("https:"), "it loads something");
    assert!(page.chars().all(|c| c == '\n' || !crate::rules::escape::is_hidden(c)), "a hidden character");
    assert!(read.count("script") <= 1 && read.attributes("src").is_empty(), "a script of somebody else");
    let handlers = read.tags.iter().flat_map(|(_, attributes)| attributes).filter(|(key, _)| key.starts_with("on"));
    assert_eq!(handlers.count() + read.attributes("style").len(), 0, "a handler or a style inline");
    let ids = read.attributes("id");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an id twice");
    for target in read.attributes("href").into_iter().filter(|href| *href != "data:,") {
        assert!(ids.iter().any(|id| Some(*id) == target.strip_prefix('#')), "{target} leads nowhere");
    }
    assert_eq!((read.count("h1"), read.count("main"), read.count("title") > 0), (1, 1, true));
    assert_eq!(read.count("table"), read.count("caption"), "a table without a caption");
    let charts = read.tags.iter().filter(|(tag, _)| tag == "svg");
    for (_, attributes) in charts {
        let has = |key: &str, value: &str| {
            attributes.iter().any(|(name, is)| name == key && (value.is_empty() || is == value))
        };
        assert!(has("aria-hidden", "true") || has("role", "img") && has("aria-label", ""), "{attributes:?}");
    }
    read
}

/// A record like mux writes them, with one text in all places that hold text.
fn record(number: u64, text: &str) -> String {
    let text = serde_json::to_string(text).unwrap();
    let (id, time) = (run_id::encode(Utc(NOW.0 - number * 60_000), number.into()), Utc(NOW.0 - number * 60_000));
    format!(
        "{{\"run_id\":\"{id}\",\"timestamp\":\"{time}\",\"kind\":{text},\"route\":{text},\"reason\":{text},\
         \"refused\":{text},\"workdir\":{text},\"task\":{text},\"verify_ok\":null,\"confidence\":0.5,\"cloud\":{{\"calls\":1,\
         \"bytes\":7,\"usd\":0.01}},\"duration_ms\":1500,\"attempts\":[{{\"route\":{text},\"model\":{text},\"verdict\":\"passed\",\
         \"failure\":{{\"kind\":{text}}},\"confidence\":0.7,\"duration_ms\":9}}]}}"
    )
}

#[test]
fn no_text_of_a_record_becomes_markup() {
    let texts = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "</title></style></svg></pre></table><h1>",
        "--><!-- ]]> &lt; &amp",
        "\u{1b}[31m\u{202e}\0\u{7f}\u{9b}\u{fffe}\u{e0041}\n\t\r",
        "https://example.com/ javascript:alert(1)",
    ];
    let lines: Vec<String> = (0..).zip(texts).map(|(number, text)| record(number, text)).collect();
    let page = drawn(&lines, 2).replace("https://example.com/", "");
    let read = check(&page);
    let shown = read.text.matches("<script>alert(1)</script>").count();
    assert!(shown >= 6, "{shown} of kind, route, reason, refused, workdir, task:\n{}", read.text);
    assert!(read.text.contains("\\x1b[31m\\u{202e}\\x00\\x7f\\u{9b}\u{fffd}\\u{e0041}\\n\\t\\r"), "{}", read.text);
}

#[test]
fn an_id_that_is_none_names_no_place_on_the_page() {
    let line = recorded().remove(0);
    let id = Run::parse(&line).unwrap().row.run_id.to_string();
    let page = drawn(&[line.replace(&id, "01\\\" onclick=\\\"x"), line.replace(&id, "a b")], 0);
    let read = check(&page);
    assert_eq!(read.attributes("id").iter().filter(|id| id.starts_with("w-") || id.starts_with("r-")).count(), 0);
    assert!(read.text.contains("01\" onclick=\"x"));
}

#[test]
fn a_recorded_ledger_gives_these_words_and_numbers() {
    let page = drawn(&recorded(), 0);
    let read = check(&page);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/report/expected.txt");
    #[expect(clippy::disallowed_methods, reason = "a test that rewrites what it expects when told to")]
    if std::env::var_os("BLESS").is_some() {
        fs_err::write(path, &read.text).unwrap();
    }
    assert_eq!(read.text, fs_err::read_to_string(path).unwrap());
    assert_eq!(page, drawn(&recorded(), 0), "the same ledger and moment give the same bytes");
}

#[test]
fn a_page_without_runs_says_what_to_do() {
    let read = check(&drawn(&[], 0));
    assert!(read.text.contains("There are no runs here yet."), "{}", read.text);
    assert_eq!((read.count("table"), read.count("script")), (0, 0));
}

#[test]
fn one_run_is_a_page_too() {
    for line in recorded() {
        check(&drawn(&[line], 0));
    }
}

#[test]
fn many_runs_list_the_newest() {
    let lines: Vec<String> = (0..3000).map(|number| record(number, "local")).collect();
    let page = drawn(&lines, 0);
    let read = check(&page);
    assert!(
        read.text.contains("3\u{a0}000 runs") && read.text.contains("Listed: 1\u{a0}000, the newest first"),
        "{}",
        read.text
    );
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
}

#[test]
fn the_policy_allows_the_script_and_no_other() {
    let digest = Sha256::digest(page::SCRIPT.as_bytes());
    let hash = format!("'sha256-{}'", base64(&digest));
    assert!(page::HEAD.contains(&hash), "page.js has changed; its hash in page.rs is {hash}");
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.chunks(3).flat_map(|chunk| {
        let bits = (0..3).fold(0, |bits, place| bits << 8 | usize::from(chunk.get(place).copied().unwrap_or(0)));
        (0..4)
            .map(move |place| if place > chunk.len() { '=' } else { char::from(DIGITS[bits >> (18 - 6 * place) & 63]) })
    });
    digits.collect()
}
