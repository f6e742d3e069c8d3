//! A walk through an object that mux itself has written as compact JSON, over each byte once: whoever walks says what is
//! read and what is passed over. Pure. For lines of the ledger by the thousand: a parser that looks at every value costs
//! many times as much, and so does one that finds the end of a list before it reads what is in it.
//!
//! **Invariant:** what is not whole ends the walk with `None`: a string ends at its own quote and nothing inside of it
//! counts.

/// A place in a text.
#[derive(Clone, Debug)]
pub struct Walk<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Walk<'t> {
    pub fn over(text: &'t str) -> Walk<'t> {
        Walk { text, at: 0 }
    }

    /// Walks through an object: `each` gets every key without its quotes, and has to take the value. `None` from it ends
    /// the walk. Keys are bytes, because a `match` on them looks at one after the other, and on texts calls a function for
    /// each arm: that was a fifth of all work.
    pub fn object(&mut self, each: &mut dyn FnMut(&'t [u8], &mut Walk<'t>) -> Option<()>) -> Option<()> {
        self.within(b'{', b'}', &mut |walk| {
            let start = walk.at + 1;
            walk.take(b'"')?;
            walk.string()?;
            let key = walk.text.as_bytes().get(start..walk.at - 1)?;
            walk.take(b':')?;
            each(key, walk)
        })
    }

    /// Walks through a list: `each` has to take every item.
    pub fn list(&mut self, each: &mut dyn FnMut(&mut Walk<'t>) -> Option<()>) -> Option<()> {
        self.within(b'[', b']', each)
    }

    /// Takes a value as it is written, whatever is in it.
    pub fn value(&mut self) -> Option<&'t str> {
        let start = self.at;
        self.pass()?;
        self.text.get(start..self.at)
    }

    /// Passes over a value.
    pub fn pass(&mut self) -> Option<()> {
        match self.text.as_bytes().get(self.at)? {
            b'"' => {
                self.at += 1;
                self.string()
            }
            b'{' | b'[' => self.nested(),
            _ => self.plain(),
        }
    }

    /// Takes the next value, if it begins as `json` does, which is an object or `null`.
    pub fn known(&mut self, json: &str) -> bool {
        let rest = self.text.as_bytes().get(self.at..);
        let is_known = rest.is_some_and(|rest| rest.starts_with(json.as_bytes()));
        self.at += if is_known { json.len() } else { 0 };
        is_known
    }

    fn within(&mut self, open: u8, close: u8, each: &mut dyn FnMut(&mut Walk<'t>) -> Option<()>) -> Option<()> {
        self.take(open)?;
        if self.take(close).is_some() {
            return Some(());
        }
        loop {
            each(self)?;
            if self.take(b',').is_none() {
                return self.take(close);
            }
        }
    }

    /// Goes behind the bracket that closes the one that is next: what a record holds and nobody reads is mostly a list of
    /// texts or numbers, and is gone over eight bytes at a time.
    fn nested(&mut self) -> Option<()> {
        let (mut depth, mut is_text) = (0_u32, false);
        loop {
            let rest = self.text.as_bytes().get(self.at..).filter(|rest| !rest.is_empty())?;
            let eight = match rest.first_chunk() {
                Some(eight) => u64::from_le_bytes(*eight),
                None => rest.iter().rev().fold(0, |last, byte| last << 8 | u64::from(*byte)),
            };
            let marks = brackets(eight);
            // The quotes before the first mark, or all: each begins a text or ends one.
            let quotes = quotes(eight) & marks.wrapping_sub(1) & !marks;
            is_text ^= (quotes >> 7).wrapping_mul(LOW) >> 56 & 1 == 1;
            if marks == 0 {
                self.at += 8;
                continue;
            }
            let n = marks.trailing_zeros() as usize / 8;
            self.at += n + 1;
            match rest.get(n)? {
                // What is escaped ends nothing.
                b'\\' => self.at += 1,
                b'{' | b'[' if !is_text => depth += 1,
                b'}' | b']' if !is_text => depth -= 1,
                _ => {} // in a text
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// Goes behind a number or a word.
    fn plain(&mut self) -> Option<()> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let n = rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b'"'))?;
        self.at += n;
        (n > 0).then_some(())
    }

    /// Goes behind the quote that ends a string.
    fn string(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        loop {
            // Eight bytes at a time, or one of the last few: strings are most of a line, and most of them are short.
            let eight = bytes.get(self.at..)?.first_chunk();
            let found = eight.map_or(1, |eight| ends(u64::from_le_bytes(*eight)));
            self.at += found.trailing_zeros() as usize / 8;
            match bytes.get(self.at)? {
                b'"' => break,
                // What is escaped ends nothing.
                b'\\' => self.at += 2,
                _ => self.at += usize::from(eight.is_none()), // any other byte
            }
        }
        self.at += 1;
        Some(())
    }

    /// Goes over a byte, if it is the next one.
    #[inline]
    fn take(&mut self, byte: u8) -> Option<()> {
        let is_next = self.text.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(is_next);
        is_next.then_some(())
    }
}

/// The lowest bit of each of eight bytes.
const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = LOW << 7;

/// Marks the quotes and backslashes among eight bytes by the highest bit of each; of several, only the first is sure.
fn ends(eight: u64) -> u64 {
    let zeros = |bytes: u64| bytes.wrapping_sub(LOW) & !bytes & HIGH;
    zeros(eight ^ (LOW * u64::from(b'"'))) | zeros(eight ^ (LOW * u64::from(b'\\')))
}

/// Marks the quotes among eight bytes, every one.
fn quotes(eight: u64) -> u64 {
    let others = eight ^ (LOW * u64::from(b'"'));
    !(((others & !HIGH) + !HIGH) | others) & HIGH
}

/// Marks the brackets and backslashes among eight bytes, and `|`, which stands between them in ASCII: with the bit set that
/// tells `[\]` from `{|}`, they are 0x7B to 0x7D.
fn brackets(eight: u64) -> u64 {
    let lower = (eight | (LOW << 5)) & !HIGH;
    (lower + LOW * (0x80 - 0x7B)) & !(lower + LOW * (0x80 - 0x7E)) & !eight & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The members of an object, or the items of a list with an empty key, as far as they are whole.
    fn members(json: &str) -> (Vec<(&str, &str)>, bool) {
        let (mut seen, mut walk) = (Vec::new(), Walk::over(json));
        let is_whole = if json.starts_with('{') {
            walk.object(&mut |key, walk| {
                seen.push((str::from_utf8(key).unwrap(), walk.value()?));
                Some(())
            })
        } else {
            walk.list(&mut |walk| {
                seen.push(("", walk.value()?));
                Some(())
            })
        };
        (seen, is_whole.is_some())
    }

    #[track_caller]
    fn check(json: &str, expected: &[(&str, &str)]) {
        assert_eq!(members(json), (expected.to_vec(), true), "{json}");
    }

    #[test]
    fn members_and_items_are_found_whatever_is_in_them() {
        let json = r#"{"a":1,"b":{"c":[1,{"a":"}"}],"d":"x"},"e":"q\"},{\\","f":[],"g":null}"#;
        let expected =
            [("a", "1"), ("b", r#"{"c":[1,{"a":"}"}],"d":"x"}"#), ("e", r#""q\"},{\\""#), ("f", "[]"), ("g", "null")];
        check(json, &expected);
        check(r#"[{"a":1},"b,c",[2]]"#, &[("", r#"{"a":1}"#), ("", r#""b,c""#), ("", "[2]")]);
        check("{}", &[]);
        check("[]", &[]);
        for other in ["null", "", "7", "\"[]\"", "{\"a\":}", "{\"a\"}", "[,]", "{\"a\":1]"] {
            assert!(!members(other).1, "{other}");
        }
    }

    #[test]
    fn what_is_cut_gives_no_other_members() {
        let json = r#"{"a":"x","b":{"c":"}"},"d":7}"#;
        let (whole, _) = members(json);
        for end in 0..json.len() {
            let (cut, is_whole) = members(&json[..end]);
            assert!(whole.starts_with(&cut) && !is_whole, "{end}: {cut:?}");
        }
    }

    #[test]
    fn a_value_ends_where_it_does_whatever_its_texts_hold() {
        // Each text of four of these, once at each place among the eight bytes that are looked at together.
        const PARTS: [&str; 8] = ["\"", "\\", "[", "}", "|", ",", "\u{3}", "é"];
        for number in 0..PARTS.len().pow(4) {
            let parts = (0..4).map(|place| PARTS[number / PARTS.len().pow(place) % PARTS.len()]);
            let text = serde_json::to_string(&parts.collect::<String>()).unwrap();
            let value = format!("[{{{text}:[{{}},{text}]}},{text},1]");
            let key = &"12345678"[..number % 8];
            let json = format!("{{\"{key}\":{value},\"b\":{text},\"c\":[]}}");
            check(&json, &[(key, &value), ("b", &text), ("c", "[]")]);
            assert!(!members(&json[..json.len() - 6]).1);
        }
    }

    #[test]
    fn every_line_of_the_scenarios_is_split_as_a_parser_splits_it() {
        for (name, record) in crate::rules::why::tests::recorded() {
            let line = serde_json::to_string(&record).unwrap();
            let parsed: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).unwrap();
            let (members, is_whole) = members(&line);
            let split: serde_json::Map<String, serde_json::Value> = members
                .into_iter()
                .map(|(key, value)| (key.to_string(), serde_json::from_str(value).unwrap()))
                .collect();
            assert_eq!((split, is_whole), (parsed, true), "{name}");
        }
    }
}
