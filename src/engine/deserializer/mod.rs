//! Deserializer of MessagePack for states. *Persisted.*
//!
//! The bytes are those that `rmp_serde` writes. Its own deserializer accepts any kind of value for any type, and the compiler makes
//! a copy of all of it for each of four hundred types: a sixth of the time that this package takes to build. Here a type
//! pays only for the kind of value that it has.
//!
//! Deliberately not here: extension types and integers of 128 bits. No state has them.

#[cfg(test)]
mod tests;

use rmp::{
    Marker,
    decode::{self, Bytes, NumValueReadError, RmpRead as _},
};
use serde::{
    Deserializer,
    de::{DeserializeSeed, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor},
    forward_to_deserialize_any,
};

/// Reason why bytes are not the value that was wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::engine) enum DeserializeError {
    /// Another kind of value stands there, or the bytes end.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A list or map goes on after its last item.
    #[error("a list has {0} items too many")]
    Excess(u32),
    /// Lists within lists would use up the stack.
    #[error("lists are nested more than {} deep", u8::MAX)]
    TooDeep,
    /// The type refuses the value.
    #[error("{0}")]
    Refused(String),
}

impl Error for DeserializeError {
    fn custom<T: std::fmt::Display>(why: T) -> Self {
        Self::Refused(why.to_string())
    }
}

type Outcome<T> = Result<T, DeserializeError>;

/// Length of a list or map.
enum Length {
    List(u32),
    Map(u32),
}

/// Number of any kind.
enum Number {
    Whole(i64),
    /// Whole number above those of `i64`.
    Large(u64),
    Single(f32),
    Double(f64),
}

/// Deserializer of a value at the beginning of some bytes. Reading consumes it.
pub(in crate::engine) struct StateDeserializer<'de> {
    bytes: Bytes<'de>,
    /// Number of lists and maps around the next value.
    depth: u8,
}

impl<'de> StateDeserializer<'de> {
    /// Creates a deserializer of the value at the beginning of these bytes.
    pub(in crate::engine) fn new(bytes: &'de [u8]) -> Self {
        Self { bytes: Bytes::new(bytes), depth: 0 }
    }

    /// Bytes that were not read yet.
    pub(in crate::engine) fn rest(&self) -> &'de [u8] {
        self.bytes.remaining_slice()
    }

    fn marker(&self) -> Option<Marker> {
        self.rest().first().copied().map(Marker::from_u8)
    }

    fn bool(&mut self) -> Outcome<bool> {
        decode::read_bool(&mut self.bytes).map_err(|_| DeserializeError::Missing("a boolean"))
    }

    fn number(&mut self) -> Outcome<Number> {
        let missing = || DeserializeError::Missing("a number");
        match self.marker() {
            Some(Marker::F64) => decode::read_f64(&mut self.bytes).map(Number::Double).map_err(|_| missing()),
            Some(Marker::F32) => decode::read_f32(&mut self.bytes).map(Number::Single).map_err(|_| missing()),
            Some(Marker::U64) => decode::read_u64(&mut self.bytes)
                .map(|large| i64::try_from(large).map_or(Number::Large(large), Number::Whole))
                .map_err(|_| missing()),
            _ => decode::read_int(&mut self.bytes)
                .map(Number::Whole)
                .map_err(|_: NumValueReadError<decode::bytes::BytesReadError>| missing()),
        }
    }

    fn text(&mut self) -> Outcome<&'de str> {
        let (text, rest) = decode::read_str_from_slice(self.rest()).map_err(|_| DeserializeError::Missing("a text"))?;
        self.bytes = Bytes::new(rest);
        Ok(text)
    }

    fn bytes(&mut self) -> Outcome<&'de [u8]> {
        let missing = DeserializeError::Missing("a byte string");
        let Ok(length) = decode::read_bin_len(&mut self.bytes) else { return Err(missing) };
        let (bytes, rest) =
            usize::try_from(length).ok().and_then(|length| self.rest().split_at_checked(length)).ok_or(missing)?;
        self.bytes = Bytes::new(rest);
        Ok(bytes)
    }

    /// Consumes a nil and returns `true`, or returns `false` if something else comes next.
    fn skip_nil(&mut self) -> bool {
        self.marker() == Some(Marker::Null) && self.bytes.read_u8().is_ok()
    }

    fn length(&mut self) -> Outcome<Length> {
        let length = match self.marker() {
            Some(Marker::FixMap(_) | Marker::Map16 | Marker::Map32) => {
                decode::read_map_len(&mut self.bytes).map(Length::Map)
            }
            _ => decode::read_array_len(&mut self.bytes).map(Length::List),
        };
        length.map_err(|_| DeserializeError::Missing("a list or map"))
    }

    /// Visits the value as a list or map, and checks that the type read all of it.
    fn visit<V: Visitor<'de>>(&mut self, visitor: V) -> Outcome<V::Value> {
        let length = self.length()?;
        self.depth = self.depth.checked_add(1).ok_or(DeserializeError::TooDeep)?;
        let (value, left) = match length {
            Length::List(left) => {
                let mut items = Items { from: self, left };
                (visitor.visit_seq(&mut items)?, items.left)
            }
            Length::Map(left) => {
                let mut items = Items { from: self, left };
                (visitor.visit_map(&mut items)?, items.left)
            }
        };
        self.depth -= 1;
        if left == 0 { Ok(value) } else { Err(DeserializeError::Excess(left)) }
    }
}

macro_rules! whole_numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
            match self.number()? {
                Number::Whole(value) => visitor.visit_i64(value),
                Number::Large(value) => visitor.visit_u64(value),
                Number::Single(_) | Number::Double(_) => Err(DeserializeError::Missing("a whole number")),
            }
        })*
    };
}

macro_rules! texts {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
            visitor.visit_borrowed_str(self.text()?)
        })*
    };
}

macro_rules! byte_strings {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
            visitor.visit_borrowed_bytes(self.bytes()?)
        })*
    };
}

macro_rules! floating_point {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
            match self.number()? {
                Number::Whole(value) => visitor.visit_i64(value),
                Number::Large(value) => visitor.visit_u64(value),
                Number::Single(value) => visitor.visit_f32(value),
                Number::Double(value) => visitor.visit_f64(value),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for &mut StateDeserializer<'de> {
    type Error = DeserializeError;

    whole_numbers!(deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16
        deserialize_u32 deserialize_u64);
    floating_point!(deserialize_f32 deserialize_f64);
    texts!(deserialize_char deserialize_str deserialize_string deserialize_identifier);
    byte_strings!(deserialize_bytes deserialize_byte_buf);

    fn is_human_readable(&self) -> bool {
        false
    }

    /// A payload, or a field that nobody knows, may be of any kind.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
        match self.marker() {
            Some(Marker::Null) => self.deserialize_unit(visitor),
            Some(Marker::True | Marker::False) => self.deserialize_bool(visitor),
            Some(Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32) => self.deserialize_str(visitor),
            Some(Marker::Bin8 | Marker::Bin16 | Marker::Bin32) => self.deserialize_bytes(visitor),
            Some(
                Marker::FixArray(_)
                | Marker::Array16
                | Marker::Array32
                | Marker::FixMap(_)
                | Marker::Map16
                | Marker::Map32,
            ) => self.visit(visitor),
            _ => self.deserialize_f64(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
        visitor.visit_bool(self.bool()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
        if self.skip_nil() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
        if self.skip_nil() { visitor.visit_unit() } else { Err(DeserializeError::Missing("a nil")) }
    }

    /// A unit struct is written as an empty list.
    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Outcome<V::Value> {
        match self.length()? {
            Length::List(0) => visitor.visit_unit(),
            Length::List(more) | Length::Map(more) => Err(DeserializeError::Excess(more)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Outcome<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
        self.visit(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Outcome<V::Value> {
        self.visit(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, _: usize, visitor: V) -> Outcome<V::Value> {
        self.visit(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
        self.visit(visitor)
    }

    /// A struct is written as a map by field name, or as the list of its fields.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Outcome<V::Value> {
        self.visit(visitor)
    }

    /// A variant is written as its name, or as a map from its name to its content.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Outcome<V::Value> {
        let has_content = matches!(self.marker(), Some(Marker::FixMap(_) | Marker::Map16 | Marker::Map32));
        if has_content && !matches!(self.length()?, Length::Map(1)) {
            return Err(DeserializeError::Missing("a variant with its content"));
        }
        visitor.visit_enum(StateVariant { from: self, has_content })
    }

    forward_to_deserialize_any! { ignored_any i128 u128 }
}

/// Items of a list, or keys and values of a map, that were not read yet.
struct Items<'a, 'de> {
    from: &'a mut StateDeserializer<'de>,
    left: u32,
}

impl Items<'_, '_> {
    /// Counts the next item. Returns `false` after the last one.
    fn next(&mut self) -> bool {
        let more = self.left > 0;
        self.left -= u32::from(more);
        more
    }
}

impl<'de> SeqAccess<'de> for &mut Items<'_, 'de> {
    type Error = DeserializeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Outcome<Option<T::Value>> {
        if self.next() { seed.deserialize(&mut *self.from).map(Some) } else { Ok(None) }
    }

    fn size_hint(&self) -> Option<usize> {
        usize::try_from(self.left).ok()
    }
}

impl<'de> MapAccess<'de> for &mut Items<'_, 'de> {
    type Error = DeserializeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Outcome<Option<K::Value>> {
        if self.next() { seed.deserialize(&mut *self.from).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Outcome<T::Value> {
        seed.deserialize(&mut *self.from)
    }

    fn size_hint(&self) -> Option<usize> {
        usize::try_from(self.left).ok()
    }
}

/// Variant of an enum.
struct StateVariant<'a, 'de> {
    from: &'a mut StateDeserializer<'de>,
    has_content: bool,
}

impl StateVariant<'_, '_> {
    fn content(&self) -> Outcome<()> {
        if self.has_content { Ok(()) } else { Err(DeserializeError::Missing("the content of a variant")) }
    }
}

impl<'de> EnumAccess<'de> for StateVariant<'_, 'de> {
    type Error = DeserializeError;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Outcome<(T::Value, Self)> {
        seed.deserialize(&mut *self.from).map(|name| (name, self))
    }
}

impl<'de> VariantAccess<'de> for StateVariant<'_, 'de> {
    type Error = DeserializeError;

    fn unit_variant(self) -> Outcome<()> {
        if self.has_content { Err(DeserializeError::Missing("a variant without content")) } else { Ok(()) }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Outcome<T::Value> {
        self.content()?;
        seed.deserialize(self.from)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Outcome<V::Value> {
        self.content()?;
        self.from.visit(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Outcome<V::Value> {
        self.content()?;
        self.from.visit(visitor)
    }
}
