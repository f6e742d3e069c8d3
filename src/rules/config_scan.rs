//! A look at a configuration file before the YAML parser sees it: what mux refuses there, and where.
//!
//! The scan knows where a node may begin: not in quotes, comments, block scalars or inside a plain scalar. A
//! continuation line of a plain scalar counts as a new beginning, so it is a little stricter than YAML there.

use crate::rules::config_text::{Fault, Place};

/// The deepest nesting; the deepest key of mux needs 6.
pub const MAX_DEPTH: u32 = 16;

/// Looks for what is refused: aliases, anchors, tags, merge keys, complex keys, directives, a second document, tabs as
/// indentation, open quotes, deep nesting. Returns whether the text holds anything at all.
///
/// # Errors
/// The first of them, with its place.
pub fn inspect(text: &[u8]) -> Result<bool, Fault> {
    let mut scan =
        Scan { text, at: 0, line: 0, depth: 0, dashes: 0, token: 0, parent: 0, content: false, marker: false };
    scan.begin_line()?;
    while let Some(byte) = scan.peek(0) {
        scan.step(byte)?;
    }
    Ok(scan.content)
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    /// Where the line begins.
    line: usize,
    /// Open brackets.
    depth: u32,
    /// List items opened on this line.
    dashes: u32,
    /// Where the last scalar began.
    token: usize,
    /// The column of the key or dash whose value comes next.
    parent: usize,
    content: bool,
    marker: bool,
}

impl Scan<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    fn is_blank(&self, ahead: usize) -> bool {
        matches!(self.peek(ahead), None | Some(b' ' | b'\t' | b'\r' | b'\n'))
    }

    fn is_flow(&self, ahead: usize) -> bool {
        self.depth > 0 && matches!(self.peek(ahead), Some(b',' | b'[' | b']' | b'{' | b'}'))
    }

    fn fault<T>(&self, what: &str, hint: &'static str) -> Result<T, Fault> {
        Err(fault_at(self.text, self.at, what, Some(hint)))
    }

    fn step(&mut self, byte: u8) -> Result<(), Fault> {
        match byte {
            b'\n' | b'\r' => {
                self.at += 1;
                return self.begin_line();
            }
            b' ' | b'\t' => self.at += 1,
            b'#' => self.skip_line(),
            b',' if self.depth > 0 => self.at += 1,
            b']' | b'}' => {
                self.depth = self.depth.saturating_sub(1);
                self.at += 1;
            }
            b':' if self.is_blank(1) || self.is_flow(1) || self.after_quote() => {
                self.parent = self.token.saturating_sub(self.line);
                self.at += 1;
            }
            _ => return self.begin_node(byte),
        }
        Ok(())
    }

    /// At the beginning of a line: markers of documents and the indentation.
    fn begin_line(&mut self) -> Result<(), Fault> {
        (self.line, self.dashes) = (self.at, 0);
        if let Some(rest) = self.text.get(self.at..) {
            let mark = rest.starts_with(b"---") || rest.starts_with(b"...");
            if mark && self.is_blank(3) {
                if self.content || self.marker || rest.starts_with(b"...") {
                    return self
                        .fault("a second document begins here", "a configuration is one document; take this line out");
                }
                self.marker = true;
                self.at += 3;
                return Ok(());
            }
            if rest.starts_with(b"%") {
                return self.fault("YAML directives are not used here", "take the line out");
            }
        }
        while self.peek(0) == Some(b' ') {
            self.at += 1;
        }
        if self.peek(0) == Some(b'\t') && self.depth == 0 {
            let tab = self.at;
            while matches!(self.peek(0), Some(b' ' | b'\t')) {
                self.at += 1;
            }
            if !matches!(self.peek(0), None | Some(b'\r' | b'\n' | b'#')) {
                self.at = tab;
                return self.fault("a tab is used as indentation", "indent with spaces");
            }
        }
        Ok(())
    }

    fn begin_node(&mut self, byte: u8) -> Result<(), Fault> {
        self.content = true;
        match byte {
            b'&' => self.fault("anchors (`&`) are not used here", "put text that begins with `&` in quotes"),
            b'*' => self.fault("aliases (`*`) are not used here", "put text that begins with `*` in quotes: \"*.pem\""),
            b'!' => self.fault("tags (`!`) are not used here", "put text that begins with `!` in quotes"),
            b'?' if self.is_blank(1) => self.fault("complex keys (`? `) are not used here", "write `key: value`"),
            b'[' | b'{' => {
                self.depth += 1;
                self.limit(self.depth)?;
                self.at += 1;
                Ok(())
            }
            b'-' if self.is_blank(1) => {
                self.dashes += 1;
                self.limit(self.dashes)?;
                self.parent = self.at - self.line;
                self.at += 1;
                Ok(())
            }
            b'|' | b'>' if self.depth == 0 => {
                self.skip_block();
                Ok(())
            }
            b'"' | b'\'' => self.skip_quoted(byte),
            _ => self.skip_plain(),
        }
    }

    fn limit(&self, depth: u32) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err(fault_at(self.text, self.at, &format!("nested deeper than {MAX_DEPTH} levels"), None));
        }
        Ok(())
    }

    /// In brackets a `:` right behind a quoted key needs no space.
    fn after_quote(&self) -> bool {
        self.depth > 0 && self.at > 0 && matches!(self.text.get(self.at - 1), Some(b'"' | b'\''))
    }

    fn skip_line(&mut self) {
        while !matches!(self.peek(0), None | Some(b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn skip_quoted(&mut self, quote: u8) -> Result<(), Fault> {
        (self.token, self.at) = (self.at, self.at + 1);
        while let Some(byte) = self.peek(0) {
            let escape = if quote == b'"' { byte == b'\\' } else { byte == quote && self.peek(1) == Some(quote) };
            self.at += if escape { 2 } else { 1 };
            if byte == quote && !escape {
                return Ok(());
            }
        }
        self.at = self.token;
        self.fault("the quote that opens here is never closed", "close it on the same line")
    }

    fn skip_plain(&mut self) -> Result<(), Fault> {
        self.token = self.at;
        loop {
            let ends = match self.peek(0) {
                None | Some(b'\r' | b'\n') => true,
                Some(b':') => self.is_blank(1) || self.is_flow(1),
                Some(b' ' | b'\t') => self.peek(1) == Some(b'#'),
                Some(_) => self.is_flow(0),
            };
            // The first character belongs to the scalar whatever it is, else the scan would stand still.
            if ends && self.at > self.token {
                break;
            }
            self.at += 1;
        }
        if self.text.get(self.token..self.at) == Some(b"<<") && self.peek(0) == Some(b':') {
            self.at = self.token;
            return self.fault("merge keys (`<<`) are not used here", "write the keys out");
        }
        Ok(())
    }

    /// Skips a block scalar: its header and all lines that are indented deeper than its key, or blank.
    fn skip_block(&mut self) {
        self.skip_line();
        while self.peek(0).is_some() {
            let mut ahead = 1;
            while self.peek(ahead) == Some(b' ') {
                ahead += 1;
            }
            if ahead - 1 <= self.parent && !matches!(self.peek(ahead), None | Some(b'\r' | b'\n')) {
                return;
            }
            self.at += 1;
            self.skip_line();
        }
    }
}

/// Makes a fault at a byte. The place counts characters, and `\n`, `\r\n` and `\r` end a line, as for the parser.
pub fn fault_at(text: &[u8], at: usize, what: &str, hint: Option<&'static str>) -> Fault {
    let mut place = Place { line: 1, column: 1 };
    let mut bytes = text.iter().take(at).peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' if bytes.peek() == Some(&&b'\n') => {}
            b'\n' | b'\r' => place = Place { line: place.line + 1, column: 1 },
            // Continuation bytes of a character take no column.
            0x80..=0xbf => {}
            _ => place.column += 1,
        }
    }
    Fault { place, what: what.to_string(), hint }
}
