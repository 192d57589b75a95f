//! A choice by its name alone, or as a table of its parameters.
//!
//! serde's untagged enums would do, but for their errors: they say that nothing matched, and not which word is unknown.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IntoDeserializer as _, MapAccess, Visitor, value::StrDeserializer},
};

/// What a document says of a choice.
pub(super) enum Choice<N, T> {
    /// Its name.
    Name(N),
    /// Its name and its parameters.
    With(T),
    /// An empty table.
    Default,
}

/// Reads a choice; `expecting` completes "expected …" and "write …".
pub(super) fn read<'de, D, N, T>(deserializer: D, expecting: &'static str) -> Result<Choice<N, T>, D::Error>
where
    D: Deserializer<'de>,
    N: Deserialize<'de>,
    T: for<'a> Deserialize<'a>,
{
    struct Reading<N, T>(&'static str, PhantomData<(N, T)>);

    impl<'de, N: Deserialize<'de>, T: for<'a> Deserialize<'a>> Visitor<'de> for Reading<N, T> {
        type Value = Choice<N, T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
            let name: StrDeserializer<'_, E> = name.into_deserializer();
            N::deserialize(name).map(Choice::Name).map_err(|why| Error::custom(format!("{why}; write {}", self.0)))
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut table = serde_json::Map::new();
            while let Some((key, value)) = map.next_entry()? {
                table.insert(key, value);
            }
            if table.is_empty() {
                return Ok(Choice::Default);
            }
            T::deserialize(serde_json::Value::Object(table))
                .map(Choice::With)
                .map_err(|why| Error::custom(format!("{why}; write {}", self.0)))
        }
    }

    deserializer.deserialize_any(Reading(expecting, PhantomData))
}
