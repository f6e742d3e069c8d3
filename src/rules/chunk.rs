//! The JSON of a chat completion, whole or as one chunk of a stream. Pure.
//!
//! Read by `json.rs`, thus leniently and in proportion to the text.

use crate::rules::json::{self, Fold, List, Scalar, Take};
use crate::words::chat::Token;

/// A completion or one chunk of it. An error in a 200 has the same shape.
#[derive(Default)]
pub struct Chunk {
    /// Only choice 0; the others are dropped while they are read.
    pub choices: List<Option<Choice>>,
    /// `{"error":{…}}` or `{"error":"text"}`.
    pub error: Loose,
    /// The form that `FastAPI` gives an error.
    pub detail: Loose,
    /// `chat.completion`, `chat.completion.chunk`, or `error` from older vLLM.
    pub object: Loose,
    pub model: Loose,
    pub usage: Option<Usage>,
}

#[derive(Default)]
pub struct Usage {
    pub prompt_tokens: Loose,
    pub completion_tokens: Loose,
}

#[derive(Default)]
pub struct Choice {
    pub index: Loose,
    /// In a stream.
    pub delta: Option<Message>,
    /// In a whole completion.
    pub message: Option<Message>,
    pub finish_reason: Loose,
    pub logprobs: Option<Logprobs>,
}

#[derive(Default)]
pub struct Message {
    /// Text, or parts whose texts are joined; `null` in the first chunk of llama.cpp.
    pub content: Loose,
    /// llama.cpp, vLLM, LM Studio.
    pub reasoning_content: Loose,
    /// Ollama and newer vLLM.
    pub reasoning: Loose,
    pub tool_calls: Loose,
}

#[derive(Default)]
pub struct Logprobs {
    pub content: List<Tokens>,
}

/// The tokens of one chunk. Entries without bytes (the end of the turn) or without a probability are left out.
#[derive(Default)]
pub struct Tokens {
    pub list: Vec<Token>,
    /// Their bytes, joined: `token` may be `""` where a character is split over tokens.
    pub bytes: Vec<u8>,
}

/// A scalar of any type, or the text inside something larger.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Loose {
    /// Absent, `null` or an empty list.
    #[default]
    Nothing,
    Whole(u64),
    Real(f64),
    /// A string, the joined strings of a list of parts, or the `text` of an object.
    Text(String),
    /// Something without text.
    Other,
}

#[derive(Default)]
pub struct Entry {
    token: Loose,
    bytes: List<Vec<u8>>,
    logprob: Loose,
    top_logprobs: List<Top>,
}

/// The two best log-probabilities of a list of alternatives.
#[derive(Default)]
pub struct Top([Option<f64>; 2]);

#[derive(Default)]
pub struct Alternative {
    logprob: Loose,
}

impl Loose {
    /// Returns the text; empty where there is none.
    pub fn text(self) -> String {
        match self {
            Loose::Text(text) => text,
            Loose::Nothing | Loose::Whole(_) | Loose::Real(_) | Loose::Other => String::new(),
        }
    }

    /// Returns a count. Servers send negative, fractional and absurd ones: those are absent.
    pub fn count(&self) -> Option<u64> {
        match self {
            Loose::Whole(count) => Some(*count).filter(|count| *count < 1 << 48),
            Loose::Nothing | Loose::Real(_) | Loose::Text(_) | Loose::Other => None,
        }
    }

    pub fn is_given(&self) -> bool {
        *self != Loose::Nothing
    }

    fn number(&self) -> Option<f64> {
        match self {
            Loose::Whole(number) => u32::try_from(*number).ok().map(f64::from),
            Loose::Real(number) => Some(*number),
            Loose::Nothing | Loose::Text(_) | Loose::Other => None,
        }
    }
}

impl Fold for Option<Choice> {
    type Item = Choice;

    fn push(&mut self, choice: Choice) {
        if self.is_none() && choice.index.count().is_none_or(|index| index == 0) {
            *self = Some(choice);
        }
    }
}

impl Fold for Vec<u8> {
    type Item = Loose;

    fn push(&mut self, byte: Loose) {
        self.extend(byte.count().and_then(|byte| u8::try_from(byte).ok()));
    }
}

impl Fold for Top {
    type Item = Alternative;

    fn push(&mut self, alternative: Alternative) {
        let Some(logprob) = alternative.logprob.number() else { return };
        let [first, second] = self.0;
        if first.is_none_or(|first| logprob > first) {
            self.0 = [Some(logprob), first];
        } else if second.is_none_or(|second| logprob > second) {
            self.0 = [first, Some(logprob)];
        }
    }
}

impl Fold for Tokens {
    type Item = Entry;

    fn push(&mut self, entry: Entry) {
        let Some(logprob) = entry.logprob.number() else { return };
        let bytes = if entry.bytes.0.is_empty() { entry.token.text().into_bytes() } else { entry.bytes.0 };
        let Some(length) = u32::try_from(bytes.len()).ok().filter(|length| *length > 0) else { return };
        // The alternatives usually include the chosen token, but under a grammar it may be none of them.
        let runner_up = match entry.top_logprobs.0.0 {
            [Some(first), second] if (first - logprob).abs() < 1e-6 => second,
            [first, _] => first,
        };
        self.list.push(Token { bytes: length, logprob: logprob.min(0.0), runner_up });
        self.bytes.extend_from_slice(&bytes);
    }
}

impl Chunk {
    /// Reads one JSON document.
    ///
    /// # Errors
    /// When it is no object, or no JSON.
    pub fn read(json: &[u8]) -> serde_json::Result<Chunk> {
        let mut chunk = Chunk::default();
        json::read(json, &mut chunk).map(|()| chunk)
    }
}

impl<'t> Take<'t> for Chunk {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        Some(match key {
            "choices" => &mut self.choices,
            "error" => &mut self.error,
            "detail" => &mut self.detail,
            "object" => &mut self.object,
            "model" => &mut self.model,
            "usage" => &mut self.usage,
            _ => return None,
        })
    }
}

impl<'t> Take<'t> for Usage {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        Some(match key {
            "prompt_tokens" => &mut self.prompt_tokens,
            "completion_tokens" => &mut self.completion_tokens,
            _ => return None,
        })
    }
}

impl<'t> Take<'t> for Choice {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        Some(match key {
            "index" => &mut self.index,
            "delta" => &mut self.delta,
            "message" => &mut self.message,
            "finish_reason" => &mut self.finish_reason,
            "logprobs" => &mut self.logprobs,
            _ => return None,
        })
    }
}

impl<'t> Take<'t> for Message {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        Some(match key {
            "content" => &mut self.content,
            "reasoning_content" => &mut self.reasoning_content,
            "reasoning" => &mut self.reasoning,
            "tool_calls" => &mut self.tool_calls,
            _ => return None,
        })
    }
}

impl<'t> Take<'t> for Logprobs {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        (key == "content").then_some(&mut self.content)
    }
}

impl<'t> Take<'t> for Entry {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        Some(match key {
            "token" => &mut self.token,
            "bytes" => &mut self.bytes,
            "logprob" => &mut self.logprob,
            "top_logprobs" => &mut self.top_logprobs,
            _ => return None,
        })
    }
}

impl<'t> Take<'t> for Alternative {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        (key == "logprob").then_some(&mut self.logprob)
    }
}

impl<'t> Take<'t> for Loose {
    fn scalar(&mut self, value: Scalar<'t>) {
        match (&mut *self, value) {
            (Loose::Text(text), Scalar::Text(more)) => text.push_str(&more),
            (Loose::Text(_), _) => {}
            (_, Scalar::Null) => *self = Loose::Nothing,
            (_, Scalar::Bool(_)) => *self = Loose::Other,
            (_, Scalar::Whole(number)) => *self = Loose::Whole(number),
            (_, Scalar::Real(number)) => *self = Loose::Real(number),
            (_, Scalar::Text(text)) => *self = Loose::Text(text.into_owned()),
        }
    }

    fn object(&mut self) {
        self.done();
    }

    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        (key == "text").then_some(self)
    }

    fn item(&mut self) -> Option<&mut dyn Take<'t>> {
        Some(self)
    }

    /// What is in a list or an object is no scalar: only its text counts.
    fn done(&mut self) {
        if !matches!(self, Loose::Text(_)) {
            *self = Loose::Other;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn choice(json: &str) -> Choice {
        Chunk::read(json.as_bytes()).expect("JSON").choices.0.expect("a choice")
    }

    #[track_caller]
    fn content(json: &str, expected: &str) {
        let json = format!(r#"{{"choices":[{{"message":{{"content":{json}}}}}]}}"#);
        assert_eq!(choice(&json).message.expect("a message").content.text(), expected, "{json}");
    }

    #[test]
    fn content_is_text_or_joined_parts() {
        content(r#""a\u00e9\ud83d\ude00""#, "aé😀");
        content("null", "");
        content("3", "");
        content("[]", "");
        content(r#"[{"type":"text","text":"a"},{"type":"image"},{"text":"b","type":"text"}]"#, "ab");
        content(r#"["a","b"]"#, "ab");
        content(r#"{"type":"text","text":"a"}"#, "a");
    }

    #[test]
    fn only_choice_zero_counts() {
        let read = choice(
            r#"{"choices":[{"index":1,"delta":{"content":"b"}},{"index":0,"delta":{"content":"a"}},
                {"index":0,"delta":{"content":"c"}}]}"#,
        );
        assert_eq!(read.delta.expect("a delta").content, Loose::Text("a".into()));
    }

    #[test]
    fn counts_that_cannot_be_are_absent() {
        for (json, expected) in [
            ("7", Some(7)),
            ("-5", None),
            ("1180591620717411303424", None),
            ("281474976710656", None),
            ("1.5", None),
            (r#""many""#, None),
            ("null", None),
            ("[1]", None),
        ] {
            let json = format!(r#"{{"usage":{{"prompt_tokens":{json}}}}}"#);
            let chunk = Chunk::read(json.as_bytes()).expect("JSON");
            assert_eq!(chunk.usage.expect("usage").prompt_tokens.count(), expected, "{json}");
        }
    }

    #[test]
    fn log_probabilities_become_tokens() {
        let read = choice(
            r#"{"choices":[{"logprobs":{"content":[
                {"token":"Hi","bytes":[72,105],"logprob":-0.5,"top_logprobs":[{"logprob":-0.5},{"logprob":-2}]},
                {"token":"","bytes":[240,159],"logprob":-3,"top_logprobs":[{"logprob":-0.25},{"logprob":-1.5}]},
                {"token":"é","bytes":null,"logprob":0},
                {"token":"","bytes":[],"logprob":-1},
                {"token":"x","logprob":null}]}}]}"#,
        );
        let tokens = read.logprobs.expect("log-probabilities").content.0;
        assert_eq!(
            tokens.list,
            [
                Token { bytes: 2, logprob: -0.5, runner_up: Some(-2.0) },
                Token { bytes: 2, logprob: -3.0, runner_up: Some(-0.25) },
                Token { bytes: 2, logprob: 0.0, runner_up: None },
            ]
        );
        assert_eq!(tokens.bytes, b"Hi\xf0\x9f\xc3\xa9");
    }

    #[test]
    fn depth_and_numbers_from_hell_are_errors_not_crashes() {
        for json in ["[".repeat(200_000), format!(r#"{{"error":{}}}"#, "[".repeat(200_000)), "1e999".into()] {
            assert!(Chunk::read(json.as_bytes()).is_err());
        }
    }
}
