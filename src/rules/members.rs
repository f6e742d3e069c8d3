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
    /// the walk.
    pub fn object(&mut self, each: &mut dyn FnMut(&'t str, &mut Walk<'t>) -> Option<()>) -> Option<()> {
        self.within(b'{', b'}', &mut |walk| {
            let start = walk.at + 1;
            walk.take(b'"')?;
            walk.string()?;
            let key = walk.text.get(start..walk.at - 1)?;
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
        let (bytes, start) = (self.text.as_bytes(), self.at);
        let mut depth = 0_u32;
        loop {
            match bytes.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth > 0 => depth -= 1,
                b',' | b'}' | b']' if depth == 0 => break,
                _ => {} // inside of the value
            }
            self.at += 1;
        }
        self.text.get(start..self.at).filter(|value| !value.is_empty())
    }

    /// Takes a `null`, if it is the next value.
    pub fn null(&mut self) -> bool {
        let is_null = self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(b"null"));
        self.at += if is_null { 4 } else { 0 };
        is_null
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
    fn take(&mut self, byte: u8) -> Option<()> {
        let is_next = self.text.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(is_next);
        is_next.then_some(())
    }
}

/// Marks the quotes and backslashes among eight bytes by the highest bit of each; of several, only the first is sure.
fn ends(eight: u64) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    let zeros = |bytes: u64| bytes.wrapping_sub(LOW) & !bytes & (LOW << 7);
    zeros(eight ^ (LOW * u64::from(b'"'))) | zeros(eight ^ (LOW * u64::from(b'\\')))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The members of an object, or the items of a list with an empty key, as far as they are whole.
    fn members(json: &str) -> (Vec<(&str, &str)>, bool) {
        let (mut seen, mut walk) = (Vec::new(), Walk::over(json));
        let is_whole = if json.starts_with('{') {
            walk.object(&mut |key, walk| {
                seen.push((key, walk.value()?));
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
