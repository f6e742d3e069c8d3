//! What a model server says when it fails → a [`Failure`], and a text that may be shown. Pure.
//!
//! **Invariant:** no text leaves this module with the key, a bearer token or a piece of the prompt in it (promise N8);
//! some servers send the whole request back. Escaping for terminals is done where texts are printed, not here.

use crate::words::chat::Message;
use crate::words::server::Secret;
use crate::words::task::Failure;
use serde_json::Value;

/// Longest message that is passed on, in characters.
const SHOWN: usize = 300;
/// Letters and digits in a row that count as a piece of the prompt; fewer are chance.
const PIECE: usize = 20;

/// The body of an error, in any of the shapes that servers use.
#[derive(Debug, Default, PartialEq)]
pub struct Complaint {
    message: String,
    /// Type and code, joined.
    kind: String,
    /// Tokens needed and tokens that fit, where the server has fields for them.
    needed: u64,
    window: u64,
}

/// What must not be shown: the key and what was sent.
#[derive(Clone, Copy)]
pub struct Hidden<'a> {
    pub key: Option<&'a Secret>,
    pub messages: &'a [Message],
}

impl Complaint {
    /// Reads a body: `{"error":{"message",…}}`, `{"error":"text"}`, `{"object":"error","message",…}`, `{"detail":…}`,
    /// or no JSON at all. The caller bounds its size.
    pub fn read(body: &[u8]) -> Complaint {
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            let text = String::from_utf8_lossy(body);
            let text = text.trim();
            let message = if text.starts_with('<') { "a web page instead of JSON" } else { text };
            return Complaint { message: message.to_string(), ..Complaint::default() };
        };
        let field = |key| value.get(key).filter(|inner| !inner.is_null());
        let inner = field("error").or_else(|| field("detail")).unwrap_or(&value);
        let inner = inner.get(0).unwrap_or(inner); // FastAPI sends a list, one item for each bad field
        let text = |key| inner.get(key).and_then(Value::as_str);
        let number = |key| inner.get(key).and_then(Value::as_u64).unwrap_or(0);
        let kinds = [text("type"), text("code"), value.get("error_type").and_then(Value::as_str)];
        let message = inner.as_str().or_else(|| text("message")).or_else(|| text("msg")).or_else(|| text("error"));
        // FastAPI names the field in `loc`, not in the message: "extra fields not permitted".
        let place = inner.get("loc").map(|place| format!(" ({place})")).unwrap_or_default();
        Complaint {
            message: message.unwrap_or_default().trim().to_string() + &place,
            kind: kinds.into_iter().flatten().collect::<Vec<_>>().join(" "),
            needed: number("n_prompt_tokens"),
            window: number("n_ctx"),
        }
    }

    /// Returns whether the server wants the call without the extras that not every server knows.
    pub fn is_about_extras(&self) -> bool {
        ["logprob", "stream_options", "chat_template_kwargs"].iter().any(|name| self.message.contains(name))
    }

    /// Returns whether the server is still loading its model: it can be waited for.
    pub fn is_loading(&self) -> bool {
        self.message.to_ascii_lowercase().contains("loading model")
    }

    /// Returns the failure. `status` is `None` where the error came inside a 200.
    pub fn failure(&self, status: Option<u16>, model: &str, hidden: Hidden<'_>) -> Failure {
        let lower = self.message.to_ascii_lowercase();
        if let Some((needed, window)) = self.overflow(&lower) {
            return Failure::ContextOverflow { needed, window };
        }
        let message = hidden.clean(&self.message);
        let says = |phrase| lower.contains(phrase);
        let is_missing = says("no models loaded")
            || says("model")
                && (says("not found") || says("does not exist") || says("is not loaded") || says("unknown model"));
        match status {
            Some(400..=499) | None if is_missing => Failure::NoModel { why: format!("`{model}`: {message}") },
            Some(404) => Failure::NoModel { why: format!("nothing at this address: {message}") },
            Some(status) => Failure::Http { status, message },
            None => Failure::Server { message },
        }
    }

    /// Returns tokens needed and tokens that fit, 0 for unknown, if the prompt was too long. The phrases are those of
    /// llama.cpp, `OpenAI` and vLLM, TGI, Ollama and LM Studio.
    fn overflow(&self, lower: &str) -> Option<(u64, u64)> {
        let kind = ["exceed_context_size", "context_length_exceeded"].iter().any(|kind| self.kind.contains(kind));
        let phrase = [
            "exceeds the available context size",
            "maximum context length",
            "maximum model length",
            "context length exceeded",
            "exceeds the context",
            "with context length of only",
            "greater than the context length",
            "`inputs` must have less than",
            "`max_new_tokens` must be <=",
        ];
        if !kind && !phrase.iter().any(|phrase| lower.contains(phrase)) {
            return None;
        }
        if self.window > 0 {
            return Some((self.needed, self.window));
        }
        let ahead = ["length is ", "length of only ", "length of ", "must have less than ", "must be <= ", "size ("];
        let window = ahead.iter().find_map(|words| numbers(lower.split_once(words)?.1).next()).unwrap_or(0);
        let mut others: Vec<u64> = numbers(lower).collect();
        if let Some(at) = others.iter().position(|number| *number == window) {
            others.remove(at);
        }
        let (largest, sum) =
            (others.iter().max().copied().unwrap_or(0), others.iter().fold(0, |sum: u64, n| sum.saturating_add(*n)));
        let needed = if largest > window { largest } else { sum };
        Some(if needed > window { (needed, window) } else { (0, window) })
    }
}

impl Hidden<'_> {
    /// Returns a server's text as it may be shown: without the key and bearer tokens, ended where it begins to repeat
    /// the request, at most 300 characters.
    pub fn clean(&self, text: &str) -> String {
        let mut text = without_bearer(&self.without_key(text));
        let mut end = text.char_indices().nth(SHOWN).map_or(text.len(), |(at, _)| at);
        let mut cut = if end < text.len() { "…" } else { "" };
        if let Some(at) = self.repeats_from(text.get(..end).unwrap_or_default()) {
            (end, cut) = (at, "… (it repeats the request)");
        }
        text.truncate(end);
        text.push_str(cut);
        text
    }

    /// Returns a text in which the key is blanked.
    pub fn without_key(&self, text: &str) -> String {
        self.key.map_or_else(|| text.to_string(), |key| text.replace(key.reveal(), "[key]"))
    }

    /// Returns where a text begins to repeat one of the messages. Only letters and digits are compared, so that quotes,
    /// escapes and line breaks don't hide a repetition.
    fn repeats_from(&self, text: &str) -> Option<usize> {
        let plain: Vec<(usize, char)> = letters(text).collect();
        self.messages
            .iter()
            .filter_map(|message| {
                let said: String = letters(&message.content).map(|(_, c)| c).collect();
                let piece = said.chars().take(PIECE).count();
                if piece < 8 {
                    return None;
                }
                plain.windows(piece).find_map(|window| {
                    let words: String = window.iter().map(|(_, c)| c).collect();
                    said.contains(&words).then(|| window.first().map(|(at, _)| *at))?
                })
            })
            .min()
    }
}

/// Returns the letters and digits of a text with their places; a backslash and the character after it are skipped.
fn letters(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut escaped = false;
    text.char_indices().filter(move |(_, c)| {
        let skip = escaped;
        escaped = !skip && *c == '\\';
        !skip && c.is_alphanumeric()
    })
}

/// Returns a text whose `Bearer …` tokens are blanked.
fn without_bearer(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.to_ascii_lowercase().find("bearer ") {
        let (before, after) = rest.split_at_checked(at + "bearer ".len()).unwrap_or((rest, ""));
        kept.push_str(before);
        kept.push_str("[key]");
        let token = after.trim_start_matches(' ');
        rest = token.find([' ', '"', '\'', ',', ';', '\n', '\r', '\t']).and_then(|end| token.get(end..)).unwrap_or("");
    }
    kept + rest
}

/// Returns the whole numbers of a text; absurd ones are left out.
fn numbers(text: &str) -> impl Iterator<Item = u64> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::chat::Role;

    const NONE: Hidden<'_> = Hidden { key: None, messages: &[] };

    #[track_caller]
    fn check(status: u16, body: &str, expected: &Failure) {
        let status = (status != 200).then_some(status);
        assert_eq!(&Complaint::read(body.as_bytes()).failure(status, "m", NONE), expected, "{body}");
    }

    fn http(status: u16, message: &str) -> Failure {
        Failure::Http { status, message: message.into() }
    }

    #[test]
    fn every_shape_of_error_is_read() {
        check(500, r#"{"error":{"code":500,"message":"boom","type":"server_error"}}"#, &http(500, "boom"));
        check(500, r#"{"error":"boom"}"#, &http(500, "boom"));
        check(422, r#"{"error":"boom","error_type":"validation"}"#, &http(422, "boom"));
        check(400, r#"{"object":"error","message":"boom","type":"BadRequest","code":400}"#, &http(400, "boom"));
        check(403, r#"{"detail":"boom"}"#, &http(403, "boom"));
        let list = r#"{"detail":[{"loc":["body","logprobs"],"msg":"extra","type":"x"}]}"#;
        check(422, list, &http(422, r#"extra (["body","logprobs"])"#));
        check(502, "<html><title>Bad Gateway</title></html>", &http(502, "a web page instead of JSON"));
        check(502, "bad gateway\n", &http(502, "bad gateway"));
        check(500, "", &http(500, ""));
        check(500, r#"{"error":null}"#, &http(500, ""));
        check(200, r#"{"error":{"message":"out of memory"}}"#, &Failure::Server { message: "out of memory".into() });
        check(401, r#"{"error":{"message":"Invalid API Key","code":401}}"#, &http(401, "Invalid API Key"));
    }

    #[test]
    fn a_missing_model_is_told_from_other_errors() {
        for (status, body) in [
            (404, r#"{"error":{"message":"model \"m\" not found, try pulling it first","type":"api_error"}}"#),
            (404, r#"{"object":"error","message":"The model `m` does not exist.","code":404}"#),
            (400, r#"{"error":"No models loaded. Please load a model in the developer page"}"#),
            (404, "404 page not found"),
            (404, ""),
        ] {
            let failure = Complaint::read(body.as_bytes()).failure(Some(status), "m", NONE);
            assert!(matches!(failure, Failure::NoModel { .. }), "{body}: {failure:?}");
        }
        check(
            500,
            r#"{"error":"model runner has stopped: file not found"}"#,
            &http(500, "model runner has stopped: file not found"),
        );
    }

    #[test]
    fn an_overflow_has_its_numbers() {
        for (body, needed, window) in [
            (
                r#"{"error":{"code":400,"message":"the request (3037 tokens) exceeds the available context size (2048 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":3037,"n_ctx":2048}}"#,
                3037,
                2048,
            ),
            (
                r#"{"error":{"message":"This model's maximum context length is 4096 tokens. However, you requested 5200 tokens (4000 in the messages, 1200 in the completion).","code":"context_length_exceeded"}}"#,
                5200,
                4096,
            ),
            (
                r#"{"object":"error","message":"This model's maximum context length is 2048 tokens. However, your request has 3000 input tokens.","code":400}"#,
                3000,
                2048,
            ),
            (
                r#"{"error":{"message":"The decoder prompt (length 5000) is longer than the maximum model length of 4096."}}"#,
                5000,
                4096,
            ),
            (
                r#"{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens and 200 `max_new_tokens`","error_type":"validation"}"#,
                4200,
                4096,
            ),
            (
                r#"{"error":"Input validation error: `inputs` must have less than 1024 tokens. Given: 2000"}"#,
                2000,
                1024,
            ),
            (
                r#"{"error":"Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens"}"#,
                5000,
                4096,
            ),
            (r#"{"error":{"message":"the input length exceeds the context length"}}"#, 0, 0),
            (r#"{"error":{"message":"context length exceeded","code":"context_length_exceeded"}}"#, 0, 0),
        ] {
            check(400, body, &Failure::ContextOverflow { needed, window });
        }
    }

    #[track_caller]
    fn shown(text: &str, expected: &str) {
        let key = Secret::new("sk-secret");
        let messages = [
            Message { role: Role::System, content: "You write files.".into() },
            Message { role: Role::User, content: "fix \"auth.py\"\nso that the\ttokens expire after one hour".into() },
        ];
        assert_eq!(Hidden { key: key.as_ref(), messages: &messages }.clean(text), expected);
    }

    #[test]
    fn neither_key_nor_prompt_is_shown() {
        shown("boom", "boom");
        shown("bad key sk-secret!", "bad key [key]!");
        shown("bad header: authorization: bearer abc.def, x", "bad header: authorization: bearer [key], x");
        shown("Bearer sk-secret", "Bearer [key]");
        shown(
            r#"prompt: {"content":"fix \"auth.py\"\nso that the\ttokens expire"}"#,
            r#"prompt: {"content":"… (it repeats the request)"#,
        );
        shown("got: You write files. And then", "got: … (it repeats the request)");
        let long = "é".repeat(400);
        shown(&long, &("é".repeat(300) + "…"));
    }

    #[test]
    fn extras_and_loading_are_recognised() {
        let read = |body: &str| Complaint::read(body.as_bytes());
        assert!(read(r#"{"error":{"message":"top_logprobs requires logprobs to be set to true"}}"#).is_about_extras());
        assert!(
            read(r#"{"detail":[{"loc":["body","stream_options"],"msg":"extra fields not permitted"}]}"#)
                .is_about_extras()
        );
        assert!(!read(r#"{"error":"bad request"}"#).is_about_extras());
        assert!(read(r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#).is_loading());
        assert!(!read(r#"{"error":{"message":"no slot available"}}"#).is_loading());
    }
}
