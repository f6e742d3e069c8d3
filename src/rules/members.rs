//! The members of an object and the items of a list that mux itself has written as compact JSON, found without reading what
//! is in them. Pure. For lines of the ledger by the thousand: a parser that looks at every value takes four times as long.
//!
//! **Invariant:** what is not whole gives fewer members, never others: a string ends at its own quote and nothing inside of
//! it counts.

/// What stands between two brackets, member by member, or item by item.
#[derive(Clone, Debug)]
pub struct Members<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Members<'t> {
    /// Returns the members of an object, each as its key without quotes and its value; nothing of what is none.
    pub fn of_object(json: &'t str) -> Members<'t> {
        Members::inside(json, "{")
    }

    /// Returns the items of a list, each as an empty key and its value; nothing of what is none.
    pub fn of_list(json: &'t str) -> Members<'t> {
        Members::inside(json, "[")
    }

    fn inside(json: &'t str, open: &str) -> Members<'t> {
        let at = if json.starts_with(open) { 1 } else { json.len() };
        Members { text: json, at }
    }

    /// Goes to the end of a value: to a comma or a closing bracket that is not inside of it.
    fn skip(&mut self) -> Option<&'t str> {
        let (bytes, start) = (self.text.as_bytes(), self.at);
        let (mut at, mut depth) = (start, 0_u32);
        loop {
            match bytes.get(at)? {
                b'"' => at = string_end(self.text, at)?,
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth > 0 => depth -= 1,
                b',' | b'}' | b']' if depth == 0 => {
                    self.at = at + 1;
                    return self.text.get(start..at);
                }
                _ => {} // any other byte
            }
            at += 1;
        }
    }
}

/// Returns the place of the quote that ends a string.
fn string_end(text: &str, start: usize) -> Option<usize> {
    let mut from = start + 1;
    loop {
        // std looks for one byte by words at a time.
        let end = from + text.get(from..)?.find('"')?;
        let escapes = text.as_bytes().get(from..end)?.iter().rev().take_while(|byte| **byte == b'\\').count();
        if escapes.is_multiple_of(2) {
            return Some(end);
        }
        from = end + 1;
    }
}

impl<'t> Iterator for Members<'t> {
    type Item = (&'t str, &'t str);

    fn next(&mut self) -> Option<(&'t str, &'t str)> {
        let mut key = "";
        if self.text.starts_with('{') {
            let bytes = self.text.as_bytes();
            let start = self.at;
            let end = bytes.get(start).filter(|byte| **byte == b'"').and_then(|_| string_end(self.text, start))?;
            key = self.text.get(start + 1..end)?;
            self.at = bytes.get(end + 1).filter(|byte| **byte == b':').map(|_| end + 2)?;
        }
        let value = self.skip().filter(|value| !value.is_empty());
        if value.is_none() {
            self.at = self.text.len();
        }
        value.map(|value| (key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(members: Members<'_>, expected: &[(&str, &str)]) {
        assert_eq!(members.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn members_and_items_are_found_whatever_is_in_them() {
        let json = r#"{"a":1,"b":{"c":[1,{"a":"}"}],"d":"x"},"e":"q\"},{\\","f":[],"g":null}"#;
        let expected =
            [("a", "1"), ("b", r#"{"c":[1,{"a":"}"}],"d":"x"}"#), ("e", r#""q\"},{\\""#), ("f", "[]"), ("g", "null")];
        check(Members::of_object(json), &expected);
        check(Members::of_list(r#"[{"a":1},"b,c",[2]]"#), &[("", r#"{"a":1}"#), ("", r#""b,c""#), ("", "[2]")]);
        check(Members::of_object("{}"), &[]);
        check(Members::of_list("[]"), &[]);
        check(Members::of_list(r#"{"a":1}"#), &[]);
        check(Members::of_object("null"), &[]);
    }

    #[test]
    fn what_is_cut_gives_no_other_members() {
        let json = r#"{"a":"x","b":{"c":"}"},"d":7}"#;
        let whole: Vec<_> = Members::of_object(json).collect();
        for end in 0..json.len() {
            let cut: Vec<_> = Members::of_object(&json[..end]).collect();
            assert!(whole.starts_with(&cut), "{end}: {cut:?}");
        }
    }

    #[test]
    fn every_line_of_the_scenarios_is_split_as_a_parser_splits_it() {
        for (name, record) in crate::rules::why::tests::recorded() {
            let line = serde_json::to_string(&record).unwrap();
            let parsed: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).unwrap();
            let split: serde_json::Map<String, serde_json::Value> = Members::of_object(&line)
                .map(|(key, value)| (key.to_string(), serde_json::from_str(value).unwrap()))
                .collect();
            assert_eq!(split, parsed, "{name}");
        }
    }
}
