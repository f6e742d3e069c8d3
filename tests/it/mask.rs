//! Takes out of an output what differs from run to run: ids, times, durations, ports, places. Everything else stays, so
//! that an expected file is read like the real thing.

use serde_json::Value;
use std::path::Path;

/// The places of one world.
pub struct Mask {
    places: Vec<(String, &'static str)>,
}

impl Mask {
    /// `local` is the address of the replay server, `http://127.0.0.1:PORT`.
    pub fn new(root: &Path, local: &str) -> Mask {
        let root = root.display().to_string();
        let host = local.trim_start_matches("http://").to_string();
        // Longest first: a place below another one comes before it.
        Mask { places: vec![(format!("{root}/work"), "{{work}}"), (root, "{{root}}"), (host, "{{local}}")] }
    }

    pub fn text(&self, text: &str) -> String {
        let placed = self.places.iter().fold(text.to_string(), |text, (place, name)| text.replace(place, name));
        volatile(&placed)
    }

    /// Bytes that are no text stay as they are.
    pub fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        std::str::from_utf8(bytes).map_or_else(|_| bytes.to_vec(), |text| self.text(text).into_bytes())
    }

    /// As [`Mask::bytes`]; a line that is a JSON object is masked by its keys.
    pub fn lines(&self, bytes: &[u8]) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(bytes) else { return bytes.to_vec() };
        let is_object = |line: &str| line.starts_with('{') && serde_json::from_str::<Value>(line).is_ok();
        let line = |line: &str| {
            if is_object(line) { self.json_lines(line.as_bytes(), false) } else { self.text(line).into_bytes() }
        };
        text.split_inclusive('\n').flat_map(line).collect()
    }

    /// Masks one JSON value and lays it out for reading; what is no JSON is masked as text.
    pub fn json(&self, bytes: &[u8]) -> Vec<u8> {
        let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else { return self.bytes(bytes) };
        self.value("", &mut value, false);
        serde_json::to_string_pretty(&value).unwrap().into_bytes().into_iter().chain(*b"\n").collect()
    }

    /// Masks JSON lines, keys sorted. `has_places`: the task held a place of this machine, so its hash says nothing.
    pub fn json_lines(&self, bytes: &[u8], has_places: bool) -> Vec<u8> {
        let text = String::from_utf8_lossy(bytes);
        let line = |line: &str| match serde_json::from_str::<Value>(line) {
            Ok(mut value) => {
                self.value("", &mut value, has_places);
                format!("{value}\n")
            }
            Err(_) => format!("not JSON: {}\n", self.text(line)),
        };
        text.lines().map(line).collect::<String>().into_bytes()
    }

    fn value(&self, key: &str, value: &mut Value, has_places: bool) {
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    self.value(key, value, has_places);
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(key, value, has_places)),
            Value::String(text) if has_places && key == "task_sha256" => *text = "{{sha256}}".into(),
            Value::String(text) => *text = self.text(text),
            Value::Number(_)
                if key.ends_with("_ms")
                    || ["tokens_per_sec", "seconds", "first_token", "speed"].contains(&key)
                    || key == "pid" =>
            {
                *value = Value::from("{{n}}");
            }
            Value::Number(number) => {
                // The last digits of exp() differ between C libraries.
                if let Some(float) = number.as_f64().filter(|float| float.fract() != 0.0) {
                    *value = ((float * 1e6).round() / 1e6).into();
                }
            }
            Value::Bool(_) | Value::Null => {}
        }
    }
}

/// Masks ids, times, durations, loopback ports and process ids.
fn volatile(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(char) = rest.chars().next() {
        let found = if before.is_ascii_alphanumeric() || before == '.' { None } else { match_at(rest) };
        let length = found.map_or(char.len_utf8(), |(length, _)| length);
        let (taken, after) = rest.split_at(length);
        out.push_str(found.map_or(taken, |(_, mask)| mask));
        before = taken.chars().next_back().unwrap();
        rest = after;
    }
    out
}

type Found = Option<(usize, &'static str)>;

fn match_at(text: &str) -> Found {
    id(text).or_else(|| time(text)).or_else(|| duration(text)).or_else(|| numbered(text))
}

/// A ULID: 26 characters of Crockford's alphabet.
fn id(text: &str) -> Found {
    let length = text.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let is_id = length == 26
        && text.starts_with(|first: char| ('0'..='7').contains(&first))
        && text[..26]
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase() && !b"ILOU".contains(&byte));
    is_id.then_some((26, "{{id}}"))
}

/// RFC 3339 in UTC, with or without a fraction; or the date alone.
fn time(text: &str) -> Found {
    let fits = |text: &str, form: &str| {
        text.len() >= form.len()
            && form
                .bytes()
                .zip(text.bytes())
                .all(|(form, byte)| if form == b'0' { byte.is_ascii_digit() } else { form == byte })
    };
    if !fits(text, "0000-00-00") {
        return None;
    }
    if !fits(text, "0000-00-00T00:00:00") {
        return Some((10, "{{date}}"));
    }
    let fraction = text[19..].bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    text[19 + fraction..].starts_with('Z').then_some((20 + fraction, "{{time}}"))
}

/// `1.2 s`, `0.01s`, `340 ms`, `57.1 tok/s`: the number is masked, the unit stays.
fn duration(text: &str) -> Found {
    let number = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    if number == 0 || !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let unit = text[number..].strip_prefix(' ').unwrap_or(&text[number..]);
    let word: String = unit.chars().take_while(|char| char.is_alphanumeric() || *char == '/').collect();
    ["s", "ms", "tok/s", "tokens/s"].contains(&word.as_str()).then_some((number, "{{n}}"))
}

fn numbered(text: &str) -> Found {
    [("127.0.0.1:", "127.0.0.1:{{port}}"), ("localhost:", "localhost:{{port}}"), ("pid ", "pid {{n}}")].iter().find_map(
        |(prefix, mask)| {
            let digits = text.strip_prefix(prefix)?.bytes().take_while(u8::is_ascii_digit).count();
            (digits > 0).then_some((prefix.len() + digits, *mask))
        },
    )
}

#[track_caller]
fn check(text: &str, want: &str) {
    let mask = Mask::new(Path::new("/tmp/w-1"), "http://127.0.0.1:4242");
    assert_eq!(mask.text(text), want);
}

#[test]
fn what_differs_from_run_to_run_is_masked() {
    check("run_id: 01KAP5V0XQ3TZZZZZZZZZZZZZZ", "run_id: {{id}}");
    check("at 2026-11-23T03:08:00Z and 2026-11-23T03:08:00.123Z on 2026-11-23", "at {{time}} and {{time}} on {{date}}");
    check("(pytest, 1.2 s), 0.01s, 340 ms, 57.1 tok/s", "(pytest, {{n}} s), {{n}}s, {{n}} ms, {{n}} tok/s");
    check(
        "http://127.0.0.1:4242/v1 127.0.0.1:99 localhost:8080",
        "http://{{local}}/v1 127.0.0.1:{{port}} localhost:{{port}}",
    );
    check("/tmp/w-1/work/a.py in /tmp/w-1/state (pid 77)", "{{work}}/a.py in {{root}}/state (pid {{n}})");
}

#[test]
fn what_is_the_same_in_every_run_stays() {
    for text in
        ["3 files, 12 sessions", "v1.2 s3 x5s", "0.65", "HTTP 503", "01KAP5", "é 修 1.2", "2 created, 1 changed"]
    {
        check(text, text);
    }
}

#[test]
fn json_is_masked_by_key_and_by_text() {
    let mask = Mask::new(Path::new("/tmp/w-1"), "http://127.0.0.1:4242");
    let line = br#"{"b_ms":12,"a":0.12345678,"n":3,"workdir":"/tmp/w-1/work","task_sha256":"ab","x":null}"#;
    let want = r#"{"a":0.123457,"b_ms":"{{n}}","n":3,"task_sha256":"ab","workdir":"{{work}}","x":null}"#;
    assert_eq!(String::from_utf8(mask.json_lines(line, false)).unwrap(), format!("{want}\n"));
    assert!(String::from_utf8(mask.json_lines(line, true)).unwrap().contains("{{sha256}}"));
    assert_eq!(mask.json_lines(b"{torn", false), b"not JSON: {torn\n");
    assert_eq!(mask.lines(b"a 1.2 s\n{\"x_ms\":1}\n{b\n"), b"a {{n}} s\n{\"x_ms\":\"{{n}}\"}\n{b\n");
    assert_eq!(mask.json(b"[1]"), b"[\n  1\n]\n");
}
