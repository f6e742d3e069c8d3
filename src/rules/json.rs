//! JSON read straight into what asks for it, leniently: a value of the wrong type counts as absent, unknown keys are
//! skipped. Pure. One reader for every shape; a derived `Deserialize` is 3 to 7 KB of code for each struct.
//!
//! **Invariant:** memory stays in proportion to what is taken. Nothing here builds a tree of values: one line of 1 MiB
//! that says `{"a":0},{"a":0},…` would become 90 MB as a `serde_json::Value`.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A value that is not made of others. Texts without escapes are borrowed from the document.
pub enum Scalar<'t> {
    Null,
    Bool(bool),
    Whole(u64),
    Real(f64),
    Text(Cow<'t, str>),
}

/// What takes a value of a document: told of each part as it is read. All that it does not ask for is skipped.
pub trait Take<'t> {
    /// Takes the value itself.
    fn scalar(&mut self, _: Scalar<'t>) {}

    /// The value is an object; its keys follow.
    fn object(&mut self) {}

    /// Returns what takes the value of a key.
    fn key(&mut self, _: &str) -> Option<&mut dyn Take<'t>> {
        None
    }

    /// Returns what takes the next item of a list, if there is one more.
    fn item(&mut self) -> Option<&mut dyn Take<'t>> {
        None
    }

    /// An item is complete, taken or not.
    fn done(&mut self) {}
}

/// Reads a document that is one object.
///
/// # Errors
/// When it is no object, or no JSON; what was read until then has been taken.
pub fn read<'t>(json: &'t [u8], take: &mut dyn Take<'t>) -> serde_json::Result<()> {
    let mut document = serde_json::Deserializer::from_slice(json);
    document.deserialize_map(Into(take))?;
    document.end()
}

/// A value on its way.
struct Into<'a, 't>(&'a mut dyn Take<'t>);

impl<'t> DeserializeSeed<'t> for Into<'_, 't> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'t> Visitor<'t> for Into<'_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.scalar(Scalar::Null);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.0.scalar(Scalar::Bool(value));
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.0.scalar(Scalar::Whole(number));
        Ok(())
    }

    /// Negative: no count, at most a log-probability.
    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.0.scalar(Scalar::Real(number as f64));
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.0.scalar(Scalar::Real(number));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.scalar(Scalar::Text(Cow::Owned(text.to_string())));
        Ok(())
    }

    fn visit_borrowed_str<E>(self, text: &'t str) -> Result<(), E> {
        self.0.scalar(Scalar::Text(Cow::Borrowed(text)));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut items: A) -> Result<(), A::Error> {
        loop {
            let more = match self.0.item() {
                Some(take) => items.next_element_seed(Into(take))?.is_some(),
                None => items.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                return Ok(());
            }
            self.0.done();
        }
    }

    fn visit_map<A: MapAccess<'t>>(self, mut entries: A) -> Result<(), A::Error> {
        self.0.object();
        while let Some(key) = entries.next_key::<Cow<'t, str>>()? {
            match self.0.key(&key) {
                Some(take) => entries.next_value_seed(Into(take))?,
                None => entries.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }
}

impl<'t> Take<'t> for Cow<'t, str> {
    fn scalar(&mut self, value: Scalar<'t>) {
        if let Scalar::Text(text) = value {
            *self = text;
        }
    }
}

impl Take<'_> for String {
    fn scalar(&mut self, value: Scalar<'_>) {
        if let Scalar::Text(text) = value {
            *self = text.into_owned();
        }
    }
}

impl Take<'_> for bool {
    fn scalar(&mut self, value: Scalar<'_>) {
        if let Scalar::Bool(value) = value {
            *self = value;
        }
    }
}

impl Take<'_> for u64 {
    fn scalar(&mut self, value: Scalar<'_>) {
        if let Scalar::Whole(number) = value {
            *self = number;
        }
    }
}

impl Take<'_> for f64 {
    fn scalar(&mut self, value: Scalar<'_>) {
        match value {
            Scalar::Whole(number) => *self = number as f64,
            Scalar::Real(number) => *self = number,
            Scalar::Null | Scalar::Bool(_) | Scalar::Text(_) => {}
        }
    }
}

/// What may be missing, or `null`.
impl<'t, T: Take<'t> + Default> Take<'t> for Option<T> {
    fn scalar(&mut self, value: Scalar<'t>) {
        if !matches!(value, Scalar::Null) {
            self.insert(T::default()).scalar(value);
        }
    }

    fn object(&mut self) {
        *self = Some(T::default());
    }

    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        self.as_mut()?.key(key)
    }
}

/// What a list is folded into while it is read, and its current item; anything but a list counts as an empty one.
#[derive(Default)]
pub struct List<T: Fold>(pub T, T::Item);

/// Takes the items of a list one by one.
pub trait Fold: Default {
    type Item: Default + for<'t> Take<'t>;

    fn push(&mut self, item: Self::Item);
}

/// Keeps the items of a list.
impl<T: Default + for<'t> Take<'t>> Fold for Vec<T> {
    type Item = T;

    fn push(&mut self, item: T) {
        Vec::push(self, item);
    }
}

/// Counts the items of a list without keeping them.
#[derive(Debug, Default)]
pub struct Items(pub usize);

impl Take<'_> for Items {
    fn done(&mut self) {
        self.0 += 1;
    }
}

impl<'t, T: Fold> Take<'t> for List<T> {
    fn item(&mut self) -> Option<&mut dyn Take<'t>> {
        Some(&mut self.1)
    }

    fn done(&mut self) {
        self.0.push(std::mem::take(&mut self.1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Seen<'t> {
        text: Cow<'t, str>,
        flag: Option<bool>,
        inner: Option<Cow<'t, str>>,
        number: f64,
        items: usize,
    }

    #[derive(Default)]
    struct Shape<'t>(Seen<'t>, Items);

    impl<'t> Take<'t> for Shape<'t> {
        fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
            Some(match key {
                "text" => &mut self.0.text,
                "flag" => &mut self.0.flag,
                "inner" => &mut self.0.inner,
                "number" => &mut self.0.number,
                "items" => &mut self.1,
                _ => return None,
            })
        }
    }

    #[track_caller]
    fn check(json: &str, expected: Option<&Seen<'_>>) {
        let mut shape = Shape::default();
        let is_read = read(json.as_bytes(), &mut shape).is_ok();
        let seen = Seen { items: shape.1.0, ..shape.0 };
        assert_eq!(is_read.then_some(&seen), expected, "{json}");
    }

    #[test]
    fn what_is_asked_for_is_taken_and_the_rest_skipped() {
        let seen = Seen { text: "a\n".into(), flag: Some(false), inner: Some("".into()), number: -2.0, items: 3 };
        check(
            r#"{"x":{"text":"no"},"text":"a\n","flag":false,"inner":"","number":-2,"items":[1,{"text":[]},null],"y":[1]}"#,
            Some(&seen),
        );
        check("{}", Some(&Seen::default()));
    }

    #[test]
    fn a_wrong_type_counts_as_absent() {
        check(r#"{"text":7,"flag":null,"inner":null,"number":"1","items":{"a":1}}"#, Some(&Seen::default()));
        check(r#"{"text":["a"],"number":{"b":1},"items":5}"#, Some(&Seen::default()));
    }

    #[test]
    fn what_is_no_object_or_not_whole_is_an_error() {
        for json in ["", "7", "[]", "null", r#"{"text":"a""#, r#"{"text":"a"} x"#, r#"{"number":1e999}"#] {
            check(json, None);
        }
    }
}
