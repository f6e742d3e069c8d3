//! Chunks of a completion → one reply: text without reasoning, tokens in line with the text, why it ended. Pure.
//!
//! **Invariant:** a reply without a `finish_reason` is never a reply. The tokens' lengths, added up, are the length of
//! the text, or there are no tokens (a few bytes of slack: some servers swallow the blank before the first word).

use crate::rules::chunk::{Choice, Chunk, Tokens};
use crate::rules::confidence::hopeless::{self, Watch};
use crate::rules::loops::{self, Loop, Tail};
use crate::words::chat::{Finish, Floor, Token};
use crate::words::task::Failure;

/// How models mark their thoughts in the text itself, where the server does not split them off.
const TAGS: [(&str, &str); 3] = [("<think>", "</think>"), ("<thinking>", "</thinking>"), ("[THINK]", "[/THINK]")];

/// Bytes between two looks for a file that comes again.
const LOOK: usize = 1 << 10;

/// What has come so far.
#[derive(Default)]
pub struct Assembly {
    /// Content; recognised reasoning at its front is already gone.
    text: String,
    phase: Phase,
    /// Bytes of `text` that [`Assembly::fresh`] has given out.
    shown: usize,
    /// Bytes of content taken off the front, and all bytes of reasoning wherever they came.
    cut: usize,
    reasoning: usize,
    tokens: Vec<Token>,
    token_bytes: Vec<u8>,
    /// Bytes of content, and of these how many the tokens account for.
    content: usize,
    covered: usize,
    count: u64,
    tools: bool,
    /// Whatever was said, thoughts included: models go round in circles in both.
    tail: Tail,
    /// What it says again and again.
    looped: Option<Loop>,
    /// Bytes of the text that were looked at for a file that comes again.
    looked: usize,
    /// How likely the content is.
    watch: Watch,
    finish: Option<String>,
    model: String,
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

/// A complete reply, still without its times.
#[derive(Debug, PartialEq)]
pub struct Assembled {
    pub text: String,
    pub reasoning_bytes: usize,
    pub finish: Finish,
    pub model: String,
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    pub tokens: Vec<Token>,
}

#[derive(Clone, Copy, Default)]
enum Phase {
    /// Nothing but blanks, or the beginning of a tag.
    #[default]
    Start,
    /// Inside reasoning that ends with this tag.
    Thinking(&'static str),
    Answer,
}

impl Assembly {
    /// Takes the next chunk, or a whole completion.
    pub fn add(&mut self, chunk: Chunk) {
        if self.model.is_empty() {
            self.model = chunk.model.text();
        }
        if let Some(usage) = chunk.usage {
            self.prompt_tokens = usage.prompt_tokens.count().or(self.prompt_tokens);
            self.completion_tokens = usage.completion_tokens.count().or(self.completion_tokens);
        }
        if let Some(choice) = chunk.choices.0 {
            self.add_choice(choice);
        }
    }

    /// Returns how many tokens came, reasoning included; a chunk without log-probabilities counts as one.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the bytes held or stripped so far.
    pub fn bytes(&self) -> usize {
        self.content + self.reasoning
    }

    /// Gives the reply up once its code is below a floor.
    pub fn watch(&mut self, floor: Option<Floor>) {
        self.watch.floor = floor;
    }

    /// Returns whether a reply has to be waited for no longer: it repeats itself and will not come to an end.
    pub fn is_looped(&mut self) -> bool {
        self.looped = self.looped.or_else(|| self.tail.look()).or_else(|| self.file_again());
        self.looped.is_some()
    }

    /// The file that comes again and again. Looked for now and then, once more fences have come.
    fn file_again(&mut self) -> Option<Loop> {
        // Of a long reply a sixteenth of it: all looks together read no more than some multiples of it.
        let enough = LOOK.max(self.text.len() / 16);
        let new = self.text.get(self.looked..).filter(|new| new.len() >= enough)?;
        let has_fence = new.contains("```");
        // The last two bytes may begin a fence.
        self.looked = self.text.floor_char_boundary(self.text.len() - 2);
        if !has_fence {
            return None;
        }
        let block = loops::file_again(&self.text)?;
        Some(Loop { block, times: 3, after: self.tail.characters() })
    }

    /// Returns the failure of a reply that is not worth its end: its code is below the floor.
    pub fn hopeless(&mut self) -> Option<Failure> {
        let floor = self.watch.is_due()?;
        hopeless::given_up(floor, &self.text, &aligned(self.tokens.clone(), self.cut, self.content))
    }

    /// Returns the part of the answer that is new since the last call.
    pub fn fresh(&mut self) -> &str {
        let from = match self.phase {
            Phase::Answer => self.shown,
            Phase::Start | Phase::Thinking(_) => self.text.len(),
        };
        if matches!(self.phase, Phase::Answer) {
            self.shown = self.text.len();
        }
        self.text.get(from..).unwrap_or_default()
    }

    /// Ends the reply.
    ///
    /// # Errors
    /// `Protocol` without a known `finish_reason`; `ToolCalls`, `ContentFilter`, `ReasoningOnly`, `Empty`, `Looped` where
    /// nothing else was said, and `Server` when the server gave up by itself.
    pub fn finish(mut self) -> Result<Assembled, Failure> {
        let mut finish = if self.looped.is_some() { Finish::Stop } else { self.reason()? };
        // No larger budget leads out of a loop.
        let ended = || self.tail.at_end().filter(|_| finish == Finish::Length);
        let looped = self.looped.or_else(ended);
        if let Some(Loop { block, times, after }) = looped {
            finish = Finish::Looped { block: block as u64, times: times as u64, after };
        }
        match self.phase {
            Phase::Thinking(_) => self.drop_reasoning(self.text.len()),
            Phase::Start | Phase::Answer if self.cut == 0 => {
                self.mend_characters();
                if let Some(end) = stray_close(&self.text) {
                    self.drop_reasoning(end);
                }
            }
            Phase::Start | Phase::Answer => {}
        }
        if self.text.trim().is_empty() {
            return Err(match (finish, self.tools, self.reasoning) {
                (Finish::Looped { block, times, after }, ..) => Failure::Looped { block, times, after },
                (_, true, _) => Failure::ToolCalls,
                (_, false, 0) => Failure::Empty,
                (_, false, _) => Failure::ReasoningOnly,
            });
        }
        let tokens = aligned(self.tokens, self.cut, self.content);
        Ok(Assembled {
            text: self.text,
            reasoning_bytes: self.reasoning,
            finish,
            model: self.model,
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
            tokens,
        })
    }

    fn add_choice(&mut self, choice: Choice) {
        let finish = choice.finish_reason.text();
        if !finish.is_empty() {
            self.finish = Some(finish);
        }
        let message = choice.message.or(choice.delta).unwrap_or_default();
        let (content, thought) = (message.content.text(), message.reasoning_content.text() + &message.reasoning.text());
        let mut tokens = choice.logprobs.map(|logprobs| logprobs.content.0).unwrap_or_default();
        self.tools |= message.tool_calls.is_given();
        self.reasoning += thought.len();
        self.tail.push(&thought);
        self.tail.push(&content);
        if !content.is_empty() || !thought.is_empty() {
            self.count += (tokens.list.len() as u64).max(1);
        }
        if !thought.is_empty() {
            drop_front_to(&mut tokens, content.len());
        }
        self.content += content.len();
        self.watch.push(&tokens.list);
        self.cover(tokens);
        self.text.push_str(&content);
        self.strip_front();
    }

    /// Takes the tokens of a chunk. Servers hold text back while it may become a tag, and send it with a later token:
    /// text that no token has covered yet goes to the first token of this chunk.
    fn cover(&mut self, mut tokens: Tokens) {
        self.covered += tokens.bytes.len();
        if let Some(first) = tokens.list.first_mut() {
            let missing = self.content.saturating_sub(self.covered);
            first.bytes = first.bytes.saturating_add(u32::try_from(missing).unwrap_or(u32::MAX));
            self.covered += missing;
        }
        self.tokens.append(&mut tokens.list);
        self.token_bytes.append(&mut tokens.bytes);
    }

    /// Takes reasoning off the front as soon as it can be told from an answer.
    fn strip_front(&mut self) {
        loop {
            match self.phase {
                Phase::Answer => return,
                Phase::Start => {
                    let head = self.text.trim_start();
                    let blanks = self.text.len() - head.len();
                    let opened = TAGS.iter().find(|(open, _)| head.starts_with(open));
                    if opened.is_none() && TAGS.iter().any(|(open, _)| open.starts_with(head)) {
                        return; // also when there is nothing but blanks
                    }
                    // The blanks before an answer belong to it, unless they only part it from its reasoning.
                    if opened.is_some() || self.cut > 0 {
                        self.drop_reasoning(blanks);
                    }
                    self.phase = opened.map_or(Phase::Answer, |(_, close)| Phase::Thinking(close));
                }
                Phase::Thinking(close) => {
                    let Some(at) = self.text.find(close) else {
                        // Thoughts are not kept; only as much as may be the beginning of the tag.
                        let from = self.text.len().saturating_sub(close.len());
                        let kept = (from..=self.text.len()).find(|at| self.text.is_char_boundary(*at));
                        self.drop_reasoning(kept.unwrap_or(0));
                        return;
                    };
                    self.drop_reasoning(at + close.len());
                    self.phase = Phase::Start;
                }
            }
        }
    }

    fn drop_reasoning(&mut self, bytes: usize) {
        self.text.drain(..bytes);
        self.cut += bytes;
        self.reasoning += bytes;
    }

    /// Some servers send a character that is split over tokens as U+FFFD; the tokens' own bytes are whole.
    fn mend_characters(&mut self) {
        if self.text.contains(char::REPLACEMENT_CHARACTER)
            && let Ok(whole) = str::from_utf8(&self.token_bytes)
            && !whole.contains(char::REPLACEMENT_CHARACTER)
        {
            self.text = whole.to_string();
            self.content = self.text.len();
        }
    }

    /// The names are those of `OpenAI`, vLLM, TGI and Ollama.
    fn reason(&self) -> Result<Finish, Failure> {
        Ok(match self.finish.as_deref() {
            Some("stop" | "eos" | "eos_token" | "stop_sequence" | "end_turn") => Finish::Stop,
            Some("length" | "max_tokens" | "model_length") => Finish::Length,
            Some("content_filter") => return Err(Failure::ContentFilter),
            Some("tool_calls" | "function_call") => return Err(Failure::ToolCalls),
            Some("abort" | "error" | "load" | "unload") => {
                return Err(Failure::Server { message: "it gave up in the middle of the reply".into() });
            }
            Some(_) => return Err(Failure::Protocol { why: "it ended with an unknown finish_reason".into() }),
            None => return Err(Failure::Protocol { why: "it ended without a finish_reason".into() }),
        })
    }
}

/// Drops tokens off the front until at most `bytes` are left: where a chunk has thoughts and content, thoughts are first.
fn drop_front_to(tokens: &mut Tokens, bytes: usize) {
    let mut extra = tokens.bytes.len().saturating_sub(bytes);
    let thoughts = tokens
        .list
        .iter()
        .take_while(|token| {
            let is_thought = extra > 0;
            extra = extra.saturating_sub(token.bytes as usize);
            is_thought
        })
        .count();
    let dropped: usize = tokens.list.drain(..thoughts).map(|token| token.bytes as usize).sum();
    tokens.bytes.drain(..dropped);
}

/// Returns the tokens of the text that is left after `cut` bytes of `content` were taken off its front. None at all when
/// they do not fit the text.
fn aligned(mut tokens: Vec<Token>, cut: usize, content: usize) -> Vec<Token> {
    let mut sum: usize = tokens.iter().map(|token| token.bytes as usize).sum();
    // A stop token that the server reports with its text is no part of the reply.
    while let Some(last) = tokens.pop_if(|last| sum >= content + last.bytes as usize) {
        sum -= last.bytes as usize;
    }
    if sum.abs_diff(content) > (content / 50).max(16) {
        return Vec::new();
    }
    let mut cut = cut;
    tokens.retain_mut(|token| {
        let taken = cut.min(token.bytes as usize);
        cut -= taken;
        token.bytes -= u32::try_from(taken).unwrap_or(token.bytes);
        token.bytes > 0
    });
    tokens
}

/// Returns the end of reasoning that has a closing tag only, because the opening one stood in the prompt. The tag must
/// stand alone at one end of a line: `text.split("</think>")` is code, not the end of a thought.
fn stray_close(text: &str) -> Option<usize> {
    TAGS.iter().find_map(|(open, close)| {
        let (at, _) = text.match_indices(close).find(|&(at, _)| {
            let (before, after) =
                (text.get(..at).unwrap_or_default(), text.get(at + close.len()..).unwrap_or_default());
            let (before, after) = (before.trim_end_matches([' ', '\t']), after.trim_start_matches([' ', '\t', '\r']));
            before.is_empty() || before.ends_with('\n') || after.is_empty() || after.starts_with('\n')
        })?;
        let (thought, rest) = text.split_at_checked(at)?;
        let rest = rest.get(close.len()..)?;
        (!thought.contains(open)).then_some(text.len() - rest.trim_start().len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(content: &str) -> Chunk {
        let delta = serde_json::json!({"choices": [{"index": 0, "delta": {"content": content}}]});
        Chunk::read(delta.to_string().as_bytes()).expect("a chunk")
    }

    /// Sends the content in pieces of `size` characters, then `stop`.
    fn said(content: &str, size: usize) -> Result<Assembled, Failure> {
        let mut assembly = Assembly::default();
        let characters: Vec<char> = content.chars().collect();
        for piece in characters.chunks(size) {
            assembly.add(chunk(&piece.iter().collect::<String>()));
        }
        assembly.add(Chunk::read(br#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#).expect("a chunk"));
        assembly.finish()
    }

    #[track_caller]
    fn check(content: &str, expected: &Result<&str, Failure>) {
        for size in [1, 3, 7, 1000] {
            let read = said(content, size).map(|reply| reply.text);
            assert_eq!(read, expected.clone().map(str::to_string), "{content:?} in pieces of {size}");
        }
    }

    #[test]
    fn reasoning_is_stripped() {
        check("<think>plan</think>answer", &Ok("answer"));
        check("\n<think>\nplan é\n</think>\n\nanswer</think>", &Ok("answer</think>"));
        check("<think>a</think> <think>b</think>answer", &Ok("answer"));
        check("<thinking>a</thinking>answer", &Ok("answer"));
        check("[THINK]a[/THINK]answer", &Ok("answer"));
        check("plan\nmore\n</think>\nanswer", &Ok("answer"));
        check("</think>answer", &Ok("answer"));
        check("<think>hmm hmm", &Err(Failure::ReasoningOnly));
        check("<think>hmm</think>  \n", &Err(Failure::ReasoningOnly));
        check("hmm\n</think>\n", &Err(Failure::ReasoningOnly));
    }

    #[test]
    fn answers_about_tags_are_left_alone() {
        check("  indented <think>", &Ok("  indented <think>"));
        check("use text.split(\"</think>\")[1] here", &Ok("use text.split(\"</think>\")[1] here"));
        check("strip\n<think>\nx\n</think>\nfirst", &Ok("strip\n<think>\nx\n</think>\nfirst"));
        check("<thin", &Ok("<thin"));
        check("<table>", &Ok("<table>"));
    }

    #[test]
    fn nothing_is_not_an_answer() {
        check("", &Err(Failure::Empty));
        check(" \n", &Err(Failure::Empty));
    }

    /// A whole completion from a `finish_reason` and a message.
    fn whole(finish: &str, message: &str) -> Result<Assembled, Failure> {
        let mut assembly = Assembly::default();
        let json = format!(r#"{{"model":"m","choices":[{{"finish_reason":{finish},"message":{message}}}]}}"#);
        assembly.add(Chunk::read(json.as_bytes()).expect("JSON"));
        assembly.finish()
    }

    #[test]
    fn every_end_has_its_result() {
        let text = r#"{"content":"x"}"#;
        for (finish, expected) in [
            ("\"stop\"", Ok(Finish::Stop)),
            ("\"eos_token\"", Ok(Finish::Stop)),
            ("\"length\"", Ok(Finish::Length)),
            ("\"content_filter\"", Err(Failure::ContentFilter)),
            ("\"tool_calls\"", Err(Failure::ToolCalls)),
            ("\"abort\"", Err(Failure::Server { message: "it gave up in the middle of the reply".into() })),
            ("\"?\"", Err(Failure::Protocol { why: "it ended with an unknown finish_reason".into() })),
            ("null", Err(Failure::Protocol { why: "it ended without a finish_reason".into() })),
        ] {
            assert_eq!(whole(finish, text).map(|reply| reply.finish), expected, "{finish}");
        }
        let reasoning = whole("\"length\"", r#"{"content":"","reasoning_content":"hm"}"#);
        assert_eq!(reasoning, Err(Failure::ReasoningOnly));
        let tools = whole("\"stop\"", r#"{"content":null,"tool_calls":[{"id":"1"}]}"#);
        assert_eq!(tools, Err(Failure::ToolCalls));
    }

    #[track_caller]
    fn lengths(messages: &[(&str, &[(&str, f64)])], expected: Result<(&str, &[u32]), ()>) {
        let mut assembly = Assembly::default();
        for (message, tokens) in messages {
            let tokens: Vec<_> = tokens
                .iter()
                .map(|(text, logprob)| serde_json::json!({"token": "", "bytes": text.as_bytes(), "logprob": logprob}))
                .collect();
            let delta: serde_json::Value = serde_json::from_str(message).expect("JSON");
            let chunk = serde_json::json!({"choices": [{"delta": delta, "logprobs": {"content": tokens}}]});
            assembly.add(Chunk::read(chunk.to_string().as_bytes()).expect("a chunk"));
        }
        assembly.finish = Some("stop".into());
        let reply = assembly.finish().map_err(|_| ());
        let read = reply
            .as_ref()
            .map(|reply| (reply.text.as_str(), reply.tokens.iter().map(|token| token.bytes).collect::<Vec<_>>()));
        assert_eq!(read, expected.as_ref().map(|(text, lengths)| (*text, lengths.to_vec())).map_err(|()| &()));
    }

    #[test]
    fn tokens_add_up_to_the_text() {
        let answer = |text: &str| serde_json::json!({ "content": text }).to_string();
        let (ab, cd) = (answer("ab"), answer("cd"));
        // one token a chunk; the end of the turn with and without text
        lengths(&[(&ab, &[("ab", -1.0)]), (&cd, &[("cd", -1.0), ("", -1.0)])], Ok(("abcd", &[2, 2])));
        lengths(&[(&ab, &[("ab", -1.0)]), (&cd, &[("cd", -1.0), ("<|im_end|>", -1.0)])], Ok(("abcd", &[2, 2])));
        // text held back and sent with a later token, whose own entry was lost or came early
        lengths(&[(&answer("<ab"), &[("ab", -1.0)]), (&cd, &[("cd", -1.0)])], Ok(("<abcd", &[3, 2])));
        lengths(&[("{}", &[("<", -1.0)]), (&answer("<ab"), &[("ab", -1.0)])], Ok(("<ab", &[1, 2])));
        // thoughts, in their own field and in the text
        let thought = r#"{"reasoning_content":"hm"}"#;
        lengths(&[(thought, &[("hm", -1.0)]), (&ab, &[("ab", -1.0)])], Ok(("ab", &[2])));
        let both = r#"{"reasoning":"hm","content":"ab"}"#;
        lengths(&[(both, &[("h", -1.0), ("m", -1.0), ("a", -1.0), ("b", -1.0)])], Ok(("ab", &[1, 1])));
        let tagged = answer("<think>x</think>\nab");
        lengths(
            &[(&tagged, &[("<think>", -1.0), ("x</think>", -1.0), ("\na", -1.0), ("b", -1.0)])],
            Ok(("ab", &[1, 1])),
        );
        // tokens of something else
        lengths(&[(&ab, &[("something quite different", -1.0)])], Ok(("ab", &[])));
        // characters split over tokens
        let broken = answer("\u{fffd}\u{fffd}!");
        let mut assembly = Assembly::default();
        let json = format!(
            r#"{{"choices":[{{"finish_reason":"stop","message":{broken},"logprobs":{{"content":[
            {{"token":"","bytes":[240,159],"logprob":-1}},{{"token":"","bytes":[152,128],"logprob":-1}},
            {{"token":"!","bytes":[33],"logprob":-1}}]}}}}]}}"#
        );
        assembly.add(Chunk::read(json.as_bytes()).expect("JSON"));
        let reply = assembly.finish().expect("a reply");
        assert_eq!(reply.text, "😀!");
    }

    #[test]
    fn only_the_answer_is_shown_while_it_comes() {
        let mut assembly = Assembly::default();
        let mut shown = Vec::new();
        for piece in ["<thi", "nk>plan", " more</think>", "\n\n", "an", "swer"] {
            assembly.add(chunk(piece));
            shown.push(assembly.fresh().to_string());
        }
        assert_eq!(shown, ["", "", "", "", "an", "swer"]);
        assert_eq!(assembly.count(), 6);
    }

    #[test]
    fn looking_for_a_file_that_comes_again_costs_little_in_a_long_reply() {
        let mut assembly = Assembly::default();
        let mut looks = 0;
        for n in 0..8000_u32 {
            let before = assembly.looked;
            assembly.add(chunk(&format!("FILE: a{n}.py\n```python\n{}\n```\n", "x = 1\n".repeat(20))));
            assert!(!assembly.is_looped(), "{n}");
            looks += u32::from(assembly.looked != before);
        }
        assert!(assembly.text.len() > 1 << 20 && looks < 200, "{looks} looks at {} bytes", assembly.text.len());
    }
}
