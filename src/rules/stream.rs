//! The body of a chat completion as it comes: an event stream, or one JSON document from a server that ignores
//! `stream`. Pure: bytes in, a reply or a fault out.
//!
//! **Invariant:** no buffer grows past its limit, whatever comes. Every `data:` line is taken as one event: no server
//! splits its JSON over lines, and some forget the blank line between events.

use crate::rules::assembly::{Assembled, Assembly};
use crate::rules::chunk::Chunk;
use crate::words::chat::Floor;
use crate::words::task::Failure;

/// Longest line of an event stream.
const LINE_LIMIT: usize = 1 << 20;
/// What may stand around the text of a whole completion, in bytes.
const JSON_ROOM: usize = 1 << 20;

/// Why a body is no reply.
#[derive(Debug, PartialEq)]
pub enum Fault {
    /// The server's own words, as JSON; what they mean is told by [`crate::rules::complaint`].
    Said(Vec<u8>),
    Failed(Failure),
}

/// Reads one body.
pub struct Stream {
    form: Form,
    /// The line that has not ended yet, or all of a whole completion.
    pending: Vec<u8>,
    assembly: Assembly,
    /// An `event: error` line came; the next data is its message.
    is_error: bool,
    is_done: bool,
    received: u64,
    /// Longest text, reasoning included, in bytes.
    max_text: usize,
    /// Bounds for a server that does not stop: bytes on the wire, and tokens.
    most_bytes: u64,
    most_tokens: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Unknown,
    Events,
    Json,
}

impl Stream {
    /// Starts a body that should hold at most `max_tokens` tokens. Thoughts may come on top, hence the generous bounds;
    /// a token takes ~0.5 KiB on the wire with two alternatives, ~3 KiB from servers that send twenty. The text that
    /// comes out may be `max_text` bytes long.
    pub fn new(max_tokens: u32, max_text: usize) -> Stream {
        let tokens = u64::from(max_tokens);
        Stream {
            form: Form::Unknown,
            pending: Vec::new(),
            assembly: Assembly::default(),
            is_error: false,
            is_done: false,
            received: 0,
            max_text,
            most_bytes: max_text as u64 + tokens * (16 << 10),
            most_tokens: 4096 + tokens * 4,
        }
    }

    /// Has a reply given up once its code is below a floor.
    #[must_use]
    pub fn with_floor(mut self, floor: Option<Floor>) -> Stream {
        self.assembly.watch(floor);
        self
    }

    /// Takes the next bytes, cut anywhere.
    ///
    /// # Errors
    /// What the server said in an error event, `Protocol` for bytes that are no stream or over a limit, or `Hopeless`.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.is_done {
            return Ok(());
        }
        self.received += bytes.len() as u64;
        if self.received > self.most_bytes {
            return broken("it does not end: over the limit for a reply of this length");
        }
        let mut bytes = bytes;
        if self.form == Form::Unknown {
            // A byte order mark and blank lines may stand before either form.
            let start =
                bytes.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0xef | 0xbb | 0xbf));
            bytes = start.and_then(|start| bytes.get(start..)).unwrap_or_default();
            self.form = match bytes.first() {
                None => return Ok(()),
                Some(b'{' | b'[') => Form::Json,
                Some(b':' | b'd' | b'e' | b'i' | b'r') => Form::Events,
                Some(b'<') => return broken("a web page: this is no model server"),
                Some(_) => return broken("neither JSON nor an event stream"),
            };
        }
        match self.form {
            Form::Json if self.pending.len() + bytes.len() > self.max_text + JSON_ROOM => self.too_long(),
            Form::Json | Form::Unknown => {
                self.pending.extend_from_slice(bytes);
                Ok(())
            }
            Form::Events => self.feed_lines(bytes),
        }
    }

    /// Returns whether nothing that is still to come matters: `[DONE]` was there, or the reply goes round in circles.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Returns how many tokens have come, reasoning included; pings and empty chunks are none.
    pub fn tokens(&self) -> u64 {
        self.assembly.count()
    }

    /// Returns the answer's text that is new since the last call.
    pub fn fresh(&mut self) -> &str {
        self.assembly.fresh()
    }

    /// Ends the body; the connection has ended cleanly, or `[DONE]` has come.
    ///
    /// # Errors
    /// As [`Stream::feed`], and all of [`Assembly::finish`].
    pub fn finish(mut self) -> Result<Assembled, Fault> {
        match self.form {
            Form::Unknown => broken("it is empty")?,
            Form::Json => {
                let body = std::mem::take(&mut self.pending);
                self.take(&body)?;
            }
            // Some servers leave out the last line break.
            Form::Events => {
                let line = std::mem::take(&mut self.pending);
                self.take_line(&line)?;
            }
        }
        self.assembly.finish().map_err(Fault::Failed)
    }

    fn feed_lines(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
            bytes = rest.get(1..).unwrap_or_default();
            if self.pending.is_empty() {
                self.take_line(line)?;
            } else {
                let mut whole = std::mem::take(&mut self.pending);
                whole.extend_from_slice(line);
                self.take_line(&whole)?;
                whole.clear();
                self.pending = whole;
            }
            if self.is_done {
                return Ok(());
            }
        }
        if self.pending.len() + bytes.len() > LINE_LIMIT {
            return broken("one line is longer than 1 MiB");
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    fn take_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        if line.len() > LINE_LIMIT {
            return broken("one line is longer than 1 MiB");
        }
        if line.is_empty() {
            self.is_error = false;
        } else if let Some(data) = line.strip_prefix(b"data:") {
            let data = data.trim_ascii();
            if data == b"[DONE]" {
                self.is_done = true;
            } else if !data.is_empty() {
                return self.take(data);
            }
        } else if let Some(event) = line.strip_prefix(b"event:") {
            self.is_error = event.trim_ascii() == b"error";
        } else if let Some(message) = line.strip_prefix(b"error:") {
            // Older llama.cpp sent its errors as a field of that name.
            return said(message.trim_ascii());
        }
        Ok(())
    }

    /// Takes one JSON document.
    fn take(&mut self, json: &[u8]) -> Result<(), Fault> {
        if self.is_error {
            return said(json);
        }
        let chunk = match Chunk::read(json) {
            Ok(chunk) => chunk,
            // The error's own text may quote the reply: only its place is told.
            Err(error) if error.is_eof() => {
                return broken(&format!("its JSON is cut off at byte {}", json.len()));
            }
            Err(error) => {
                return broken(&format!("its JSON is wrong at line {} column {}", error.line(), error.column()));
            }
        };
        let is_error = chunk.error.is_given() || chunk.detail.is_given() || chunk.object.clone().text() == "error";
        if is_error {
            return said(json);
        }
        self.assembly.add(chunk);
        if self.assembly.bytes() > self.max_text {
            return self.too_long();
        }
        if self.form != Form::Events {
            return Ok(()); // a whole completion has ended
        }
        if self.assembly.count() > self.most_tokens {
            return broken("it does not end: far more tokens than were asked for");
        }
        // What it said before may be of use.
        self.is_done |= self.assembly.is_looped();
        self.assembly.hopeless().map_or(Ok(()), |failure| Err(Fault::Failed(failure)))
    }

    fn too_long(&self) -> Result<(), Fault> {
        let limit = self.max_text;
        broken(&format!("it is longer than {limit} bytes; `providers.local.max_reply_bytes` allows more"))
    }
}

fn broken(why: &str) -> Result<(), Fault> {
    Err(Fault::Failed(Failure::Protocol { why: why.to_string() }))
}

/// The server's words, as far as they are worth reading.
fn said(json: &[u8]) -> Result<(), Fault> {
    Err(Fault::Said(json.get(..64 << 10).unwrap_or(json).to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::chat::{Finish, Token};

    /// Returns the body of a recorded exchange (`fixtures/http`).
    fn body(exchange: &'static str) -> &'static [u8] {
        exchange.split_once("\n\n").expect("a blank line after the header").1.as_bytes()
    }

    /// Feeds a body in pieces of `size` bytes and ends it.
    fn read(body: &[u8], size: usize) -> Result<Assembled, Fault> {
        let mut stream = Stream::new(100, 8 << 20);
        for piece in body.chunks(size) {
            stream.feed(piece)?;
        }
        stream.finish()
    }

    fn text(body: &[u8]) -> Result<String, Fault> {
        let whole = read(body, body.len().max(1)).map(|reply| reply.text);
        for size in [1, 2, 3, 1000] {
            assert_eq!(read(body, size).map(|reply| reply.text), whole, "in pieces of {size}");
        }
        whole
    }

    #[track_caller]
    fn protocol(body: &[u8], why: &str) {
        assert_eq!(text(body), Err(Fault::Failed(Failure::Protocol { why: why.into() })));
    }

    #[test]
    fn recorded_streams_are_read() {
        let usage = read(body(include_str!("../../fixtures/http/18-chat-stream-usage.txt")), 7).expect("a reply");
        assert_eq!(
            usage,
            Assembled {
                text: "Hello there,".into(),
                reasoning_bytes: 0,
                finish: Finish::Length,
                model: "smollm2".into(),
                prompt_tokens: Some(33),
                completion_tokens: Some(3),
                tokens: vec![],
            }
        );
        let logprobs = read(body(include_str!("../../fixtures/http/19-chat-stream-logprobs.txt")), 7).expect("a reply");
        assert_eq!(logprobs.text, "Hello there");
        assert_eq!(
            logprobs.tokens,
            [
                Token { bytes: 5, logprob: -2.030_513_525_009_155_3, runner_up: Some(-2.142_850_637_435_913) },
                Token { bytes: 6, logprob: -0.839_155_018_329_620_4, runner_up: Some(-1.135_420_680_046_081_5) },
            ]
        );
    }

    #[test]
    fn recorded_whole_completions_are_read() {
        let reply = read(body(include_str!("../../fixtures/http/26-grammar.txt")), 100).expect("a reply");
        assert_eq!((reply.text.as_str(), reply.finish, reply.model.as_str()), ("no", Finish::Stop, "smollm2"));
        // The grammar forced a token that was not among the best two; the end of the turn is left out.
        let token = Token { bytes: 2, logprob: -2.912_545_442_581_176_8, runner_up: Some(-1.347_386_598_587_036) };
        assert_eq!(reply.tokens, [token]);
    }

    #[test]
    fn spellings_of_an_event_stream_are_read() {
        let event = |content: &str| format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{content}"}}}}]}}"#);
        let (a, b) = (event("hé"), event("llo 😀"));
        let stop = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
        for stream in [
            format!("data: {a}\n\ndata: {b}\n\ndata: {stop}\n\ndata: [DONE]\n\n"),
            format!(": hi\r\nevent: x\r\ndata:{a}\r\n\r\ndata:{b}\r\n\r\ndata: {stop}\r\n\r\ndata:[DONE]\r\n\r\n"),
            format!("\u{feff}\n\nid: 1\rretry: 5\rdata: {a}\r\rdata: {b}\r\rdata: {stop}\r\r"),
            format!("data: {a}\ndata: {b}\ndata: {stop}\n"),
            format!("data: {a}\n\ndata: {b}\n\ndata: {stop}"),
            format!("data: {a}\n\n: ping\n\ndata:\n\ndata: {b}\n\ndata: {stop}\n\ndata: [DONE]\n\ndata: garbage\n\n"),
        ] {
            assert_eq!(text(stream.as_bytes()), Ok("héllo 😀".into()), "{stream}");
        }
    }

    #[test]
    fn a_body_without_its_end_is_no_reply() {
        let event = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
        protocol(event.as_bytes(), "it ended without a finish_reason");
        protocol(format!("{event}data: [DONE]\n\n").as_bytes(), "it ended without a finish_reason");
        protocol(b"", "it is empty");
        protocol(b" \n ", "it is empty");
        protocol(&event.as_bytes()[..20], "its JSON is cut off at byte 14");
        let whole = br#"{"choices":[{"finish_reason":"stop","message":{"content":"a"}}]}"#;
        assert_eq!(text(whole), Ok("a".into()));
        protocol(&whole[..whole.len() - 2], "its JSON is cut off at byte 62");
        protocol(&[whole.as_slice(), b"}{"].concat(), "its JSON is wrong at line 1 column 65");
    }

    #[test]
    fn what_is_no_completion_is_refused() {
        protocol(b"<!doctype html><title>Login</title>", "a web page: this is no model server");
        protocol(b"\x1f\x8b\x08 gzip", "neither JSON nor an event stream");
        protocol(b"data: {oops\n\n", "its JSON is wrong at line 1 column 2");
        protocol(b"data: \xff\xfe\n\n", "its JSON is wrong at line 1 column 1");
        protocol(b"{\"choices\":[{\"message\":{\"content\":\"\xff\"}}]}", "its JSON is wrong at line 1 column 36");
        protocol(br#"{"object":"chat.completion"}"#, "it ended without a finish_reason");
        protocol(br#"{"choices":[]}"#, "it ended without a finish_reason");
    }

    #[test]
    fn an_error_event_is_the_servers_word() {
        let error = r#"{"error":{"message":"out of memory"}}"#;
        let start = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
        for body in [
            format!("{start}data: {error}\n\ndata: [DONE]\n\n"),
            format!("{start}error: {error}\n\n"),
            error.to_string(),
        ] {
            assert_eq!(text(body.as_bytes()), Err(Fault::Said(error.into())), "{body}");
        }
        let event = text(b"event: error\ndata: {\"message\":\"boom\"}\n\n");
        assert_eq!(event, Err(Fault::Said(br#"{"message":"boom"}"#.to_vec())));
        let null = br#"{"error":null,"choices":[{"finish_reason":"stop","message":{"content":"a"}}]}"#;
        assert_eq!(text(null), Ok("a".into()));
    }

    /// Feeds `block` again and again; returns how many bytes were taken and how many are held.
    fn endless(first: &[u8], block: &[u8]) -> (usize, usize, Failure) {
        let mut stream = Stream::new(100, 8 << 20);
        let mut taken = first.len();
        stream.feed(first).expect("the beginning is fine");
        loop {
            match stream.feed(block) {
                Ok(()) => taken += block.len(),
                Err(Fault::Failed(failure)) => return (taken, stream.pending.capacity(), failure),
                Err(Fault::Said(_)) => panic!("no error was sent"),
            }
        }
    }

    #[test]
    fn endless_bodies_are_bounded() {
        const MIB: usize = 1 << 20;
        let event = |text: &str| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text} \"}}}}]}}\n\n");
        let chunk: String = (1000..2000).map(|n| event(&n.to_string())).collect();
        for (first, block, most, why) in [
            (&b"data: "[..], &b"x".repeat(65536)[..], MIB, "one line is longer than 1 MiB"),
            (
                &b"{\"choices\":["[..],
                &b" ".repeat(65536)[..],
                9 * MIB,
                "it is longer than 8388608 bytes; `providers.local.max_reply_bytes` allows more",
            ),
            (&b""[..], chunk.as_bytes(), MIB, "it does not end: far more tokens than were asked for"),
            (
                &b""[..],
                &b": ping\n\n".repeat(9000)[..],
                10 * MIB,
                "it does not end: over the limit for a reply of this length",
            ),
        ] {
            let (taken, held, failure) = endless(first, block);
            assert_eq!(failure, Failure::Protocol { why: why.into() });
            assert!(taken <= most && held <= 2 * most, "{why}: {taken} taken, {held} held");
        }
    }

    #[test]
    fn what_repeats_itself_is_not_waited_for_but_what_has_ended_is_read() {
        const BLOCK: &str = "I have fixed the bug and added a test. ";
        let event = |place: &str| format!("data: {{\"choices\":[{{\"delta\":{{\"{place}\":\"{BLOCK}\"}}}}]}}\n\n");
        let streamed = |place: &str| {
            let mut stream = Stream::new(100, 8 << 20);
            let taken = (1..1000).find(|_| {
                stream.feed(event(place).as_bytes()).unwrap();
                stream.is_done()
            });
            (taken.unwrap(), stream.finish())
        };
        let (taken, looped) = streamed("content");
        let looped = looped.unwrap();
        let Finish::Looped { block: 39, times, after } = looped.finish else { panic!("{looped:?}") };
        assert!(times >= 8192 / 39 && after == times * 39 && taken as u64 == times, "{looped:?}");
        assert_eq!(looped.text, BLOCK.repeat(taken), "what was said is kept");
        let (_, looped) = streamed("reasoning_content");
        assert!(matches!(looped, Err(Fault::Failed(Failure::Looped { block: 39, .. }))), "{looped:?}");
        let ended = |times: usize, finish: &str| {
            let text = BLOCK.repeat(times);
            format!(r#"{{"choices":[{{"finish_reason":"{finish}","message":{{"content":"{text}"}}}}]}}"#)
        };
        assert_eq!(text(ended(1000, "stop").as_bytes()), Ok(BLOCK.repeat(1000)));
        assert_eq!(text(ended(90, "length").as_bytes()), Ok(BLOCK.repeat(90)));
        let looped = read(ended(110, "length").as_bytes(), 1000).unwrap();
        assert_eq!(looped.finish, Finish::Looped { block: 39, times: 110, after: 4290 });
    }

    #[test]
    fn what_is_hopeless_is_not_waited_for() {
        let event = |text: &str, logprob: f64| {
            let bytes = text.as_bytes();
            let token = serde_json::json!({ "token": text, "bytes": bytes, "logprob": logprob });
            let choice = serde_json::json!({ "delta": { "content": text }, "logprobs": { "content": [token] } });
            format!("data: {}\n\n", serde_json::json!({ "choices": [choice] }))
        };
        let floor = Some(Floor { nats: -20.0, tokens: 400.0 });
        let lost = |floor: Option<Floor>, opening: &str| {
            let mut stream = Stream::new(1000, 8 << 20).with_floor(floor);
            stream.feed(event(opening, 0.0).as_bytes()).unwrap();
            (1..400_u64).find_map(|n| Some((n, stream.feed(event("x = 1\n", -0.5).as_bytes()).err()?)))
        };
        // Forty lines are at the floor; the reply is looked at whenever 64 tokens more have come.
        let hopeless = Fault::Failed(Failure::Hopeless { nats: 31, tokens: 64 });
        assert_eq!(lost(floor, "```python\n"), Some((63, hopeless)));
        assert_eq!(lost(floor, "I would write:\n"), None, "words are not judged");
        assert_eq!(lost(floor, "```markdown\n"), None);
        assert_eq!(lost(None, "```python\n"), None);
        assert_eq!(lost(Some(Floor { nats: -200.0, tokens: 400.0 }), "```python\n"), None);
    }
}
