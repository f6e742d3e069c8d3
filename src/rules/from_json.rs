//! Reads back what mux itself has written as JSON: records, journals, documents of the state directory. Strict: a value
//! of the wrong type, or of a later version, is an error that names its key. Pure.
//!
//! Texts that others wrote are read by `json.rs`, which forgives. A derived `Deserialize` does the same in 3 to 7 KB of
//! code for each struct, and in 20 for an enum with fields.

use crate::rules::rpc::{Object, items, object, text};
use crate::words::time::Utc;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// What stands in the way: the innermost key that is missing or holds what is not understood; empty for the value itself.
pub type Unread = &'static str;

/// A value that can be read back. What is absent from an object is read as `null`.
pub trait FromJson: Sized {
    /// # Errors
    /// The key that cannot be read.
    fn from_json(raw: &RawValue) -> Result<Self, Unread>;
}

/// A word of a closed vocabulary.
pub trait FromWord: Sized {
    /// Returns what a word means; `None` for one of a later version.
    fn from_word(word: &str) -> Option<Self>;
}

/// Reads a whole document.
///
/// # Errors
/// As [`FromJson::from_json`]; an empty key for what is no JSON.
pub fn read<T: FromJson>(bytes: &[u8]) -> Result<T, Unread> {
    T::from_json(serde_json::from_slice(bytes).map_err(|_| "")?)
}

/// The version of the documents that [`document`] reads, raised with every member that is added: what a mux does not know
/// it would not write back.
pub const SCHEMA: u32 = 1;

/// Lays a document out with its version: `{"schema":1,"content":…}`. `content` is JSON.
pub fn versioned(content: &str) -> String {
    format!("{{\"schema\":{SCHEMA},\"content\":{content}}}\n")
}

/// Reads what [`versioned`] has written, of a later version as far as it is known; or a document of the time before
/// versions.
///
/// # Errors
/// As [`read`].
pub fn document<T: FromJson>(bytes: &[u8]) -> Result<T, Unread> {
    let raw: &RawValue = serde_json::from_slice(bytes).map_err(|_| "")?;
    let is_number = |raw: &&RawValue| u32::from_json(raw).is_ok();
    match object(raw).filter(|of| of.get("schema").is_some_and(is_number) && of.contains_key("content")) {
        Some(of) => field(&of, "content"),
        None => T::from_json(raw),
    }
}

/// Returns the version of a document that is later than [`SCHEMA`]: such a one is read and never replaced.
pub fn later(bytes: &[u8]) -> Option<u32> {
    let of = serde_json::from_slice(bytes).ok().and_then(object)?;
    field(&of, "schema").ok().filter(|schema| *schema > SCHEMA)
}

/// Reads the members of an object, to be taken by [`field`].
///
/// # Errors
/// When it is none.
pub fn fields(raw: &RawValue) -> Result<Object<'_>, Unread> {
    object(raw).ok_or("")
}

/// Reads a member.
///
/// # Errors
/// Its key, or one further in.
pub fn field<T: FromJson>(fields: &Object<'_>, key: &'static str) -> Result<T, Unread> {
    let raw = fields.get(key).copied().unwrap_or(RawValue::NULL);
    T::from_json(raw).map_err(|inner| if inner.is_empty() { key } else { inner })
}

/// Returns a word of a closed vocabulary, all of them ASCII letters, digits and `_`; of anything else, what is no word.
pub fn word(raw: &RawValue) -> &str {
    raw.get().strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default()
}

/// Reads structs: every field, from the member of its name.
macro_rules! structs {
    ($($type:ident { $($field:ident),* $(,)? })*) => {$(
        impl $crate::rules::from_json::FromJson for $type {
            fn from_json(raw: &serde_json::value::RawValue) -> Result<$type, $crate::rules::from_json::Unread> {
                let of = $crate::rules::from_json::fields(raw)?;
                Ok($type { $($field: $crate::rules::from_json::field(&of, stringify!($field))?),* })
            }
        }
    )*};
}

/// Reads the words of closed vocabularies, each by its spelling.
macro_rules! words {
    ($($type:ident { $($word:literal => $variant:ident),* $(,)? })*) => {$(
        impl $crate::rules::from_json::FromWord for $type {
            fn from_word(word: &str) -> Option<$type> {
                match word {
                    $($word => Some($type::$variant),)*
                    _ => None,
                }
            }
        }

        impl $crate::rules::from_json::FromJson for $type {
            fn from_json(raw: &serde_json::value::RawValue) -> Result<$type, $crate::rules::from_json::Unread> {
                $crate::rules::from_json::FromWord::from_word($crate::rules::from_json::word(raw)).ok_or("")
            }
        }
    )*};
}

pub(crate) use {structs, words};

macro_rules! plain {
    ($($type:ty)*) => {$(
        impl FromJson for $type {
            fn from_json(raw: &RawValue) -> Result<$type, Unread> {
                raw.get().parse().map_err(|_| "")
            }
        }
    )*};
}

plain!(bool u16 u32 u64 i32 i64 f64);

impl FromJson for String {
    fn from_json(raw: &RawValue) -> Result<String, Unread> {
        text(raw).ok_or("")
    }
}

impl FromJson for Utc {
    fn from_json(raw: &RawValue) -> Result<Utc, Unread> {
        u64::from_json(raw).map(Utc)
    }
}

/// As serde writes it: the bytes as a list of numbers, since a path need not be text.
impl FromJson for OsString {
    fn from_json(raw: &RawValue) -> Result<OsString, Unread> {
        let bytes: Vec<u64> = field(&fields(raw)?, "Unix")?;
        let bytes: Vec<u8> = bytes.into_iter().map(u8::try_from).collect::<Result<_, _>>().map_err(|_| "Unix")?;
        Ok(OsString::from_vec(bytes))
    }
}

impl<T: FromJson> FromJson for Option<T> {
    fn from_json(raw: &RawValue) -> Result<Option<T>, Unread> {
        if raw.get() == "null" { Ok(None) } else { T::from_json(raw).map(Some) }
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(raw: &RawValue) -> Result<Vec<T>, Unread> {
        let mut all = Vec::new();
        if raw.get() != "null" {
            for item in items(raw).ok_or("")? {
                all.push(T::from_json(item)?);
            }
        }
        Ok(all)
    }
}

impl<K: From<String> + Ord, T: FromJson> FromJson for BTreeMap<K, T> {
    fn from_json(raw: &RawValue) -> Result<BTreeMap<K, T>, Unread> {
        let mut all = BTreeMap::new();
        if raw.get() != "null" {
            for (key, value) in fields(raw)? {
                all.insert(K::from(key), T::from_json(value)?);
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Inner {
        count: u32,
        names: Vec<String>,
    }

    #[derive(Debug, PartialEq)]
    struct Outer {
        inner: Inner,
        maybe: Option<f64>,
        by_name: BTreeMap<String, bool>,
    }

    structs! {
        Inner { count, names }
        Outer { inner, maybe, by_name }
    }

    #[test]
    fn what_is_there_is_read_and_what_is_later_is_skipped() {
        let json = r#" {"later":[{}],"inner":{"count":7,"names":["a","\u00e9"]},"maybe":-2e-1,"by_name":{"b":true}} "#;
        let inner = Inner { count: 7, names: vec!["a".into(), "é".into()] };
        let by_name = BTreeMap::from([("b".to_string(), true)]);
        assert_eq!(read(json.as_bytes()), Ok(Outer { inner, maybe: Some(-0.2), by_name }));
        let inner = Inner { count: 0, names: vec![] };
        let least = br#"{"inner":{"count":0}}"#;
        assert_eq!(read(least), Ok(Outer { inner, maybe: None, by_name: BTreeMap::new() }));
    }

    #[test]
    fn documents_carry_their_version() {
        let read = |json: &str| document::<BTreeMap<String, bool>>(json.as_bytes());
        let a = BTreeMap::from([("a".to_string(), true)]);
        assert_eq!(read(&versioned("{\"a\":true}")), Ok(a.clone()));
        assert_eq!(read("{\"schema\":2,\"by\":{},\"content\":{\"a\":true}}"), Ok(a.clone()), "a later one");
        assert_eq!(read("{\"a\":true}"), Ok(a), "an earlier one");
        assert_eq!(read("{\"schema\":true}"), Ok(BTreeMap::from([("schema".to_string(), true)])), "a name");
        assert_eq!(read("{\"schema\":2,\"content\":[]}"), Err("content"));
        let later = |json: &str| later(json.as_bytes());
        assert_eq!([later("{\"schema\":1}"), later("{\"schema\":2,\"x\":[]}"), later("{}")], [None, Some(2), None]);
    }

    #[test]
    fn what_cannot_be_read_is_named_by_its_innermost_key() {
        for (json, key) in [
            ("", ""),
            ("[]", ""),
            ("{}", "inner"),
            (r#"{"inner":{}}"#, "count"),
            (r#"{"inner":{"count":-1}}"#, "count"),
            (r#"{"inner":{"count":4294967296}}"#, "count"),
            (r#"{"inner":{"count":"7"}}"#, "count"),
            (r#"{"inner":{"count":7,"names":["a",1]}}"#, "names"),
            (r#"{"inner":{"count":7,"names":{}}}"#, "names"),
            (r#"{"inner":{"count":7},"maybe":"0.5"}"#, "maybe"),
            (r#"{"inner":{"count":7},"by_name":{"b":"true"}}"#, "by_name"),
            (r#"{"inner":{"count":7}} {}"#, ""),
        ] {
            assert_eq!(read::<Outer>(json.as_bytes()), Err(key), "{json}");
        }
    }
}
