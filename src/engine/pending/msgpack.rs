//! MessagePack writer and reader for the fields that every decision has. It writes the bytes that serde would write, in
//! a third of the time.
//!
//! Deliberately not here: fields that few decisions have. Serde writes and reads those.

use std::ops::Range;

use rmp::{
    Marker,
    decode::{self, RmpRead as _},
    encode::{self as write, ByteBuf},
};
use rmp_serde::encode;
use serde::{Deserialize, Serialize};
use smallvec::{Array, SmallVec};

use crate::{engine::deserializer::StateDeserializer, stats::compact};

/// First byte of the empty array.
const EMPTY_ARRAY: u8 = 0x90;
/// First byte after those that begin an array of at most fifteen items.
const SHORT_ARRAYS_END: u8 = 0xa0;
/// First byte after those that are an integer by themselves.
const SMALL_INTEGERS_END: u8 = 0x80;

/// Buffer of MessagePack. Writing cannot fail, because it goes into memory.
#[derive(Debug, Clone, Default)]
pub(in crate::engine) struct MessagePackWriter(ByteBuf);

impl MessagePackWriter {
    /// Clears the buffer and keeps its memory.
    pub(in crate::engine) fn clear(&mut self) {
        self.0.as_mut_vec().clear();
    }

    /// Bytes that were written so far.
    pub(in crate::engine) fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Writes bytes as they are.
    pub(in crate::engine) fn raw(&mut self, bytes: &[u8]) {
        self.0.as_mut_vec().extend_from_slice(bytes);
    }

    pub(in crate::engine) fn array(&mut self, len: usize) {
        let Ok(_) = write::write_array_len(&mut self.0, u32::try_from(len).unwrap_or(u32::MAX));
    }

    pub(in crate::engine) fn uint(&mut self, value: impl Into<u64>) {
        match value.into() {
            // Most values are below 128 and take one byte.
            small if small < SMALL_INTEGERS_END.into() => self.raw(&[small.to_le_bytes()[0]]),
            large => {
                let Ok(_) = write::write_uint(&mut self.0, large);
            }
        }
    }

    pub(in crate::engine) fn boolean(&mut self, value: bool) {
        let Ok(()) = write::write_bool(&mut self.0, value);
    }

    pub(in crate::engine) fn nil(&mut self) {
        let Ok(()) = write::write_nil(&mut self.0);
    }

    /// Writes a number in the form of [`compact`].
    pub(in crate::engine) fn number(&mut self, value: f64) {
        match compact::small_integer(value) {
            Some(whole) => {
                let Ok(_) = write::write_sint(&mut self.0, whole.into());
            }
            None => {
                let Ok(()) = write::write_f64(&mut self.0, value);
            }
        }
    }

    pub(in crate::engine) fn single(&mut self, value: f32) {
        let Ok(()) = write::write_f32(&mut self.0, value);
    }

    /// Writes any other value by serde.
    pub(in crate::engine) fn value(&mut self, value: &impl Serialize) {
        // Writing plain values into memory cannot fail.
        encode::write(self.0.as_mut_vec(), value).unwrap_or_else(|why| unreachable!("{why}"));
    }

    /// Writes a list of any other values by serde.
    pub(in crate::engine) fn values(&mut self, list: &[impl Serialize]) {
        if list.is_empty() { self.array(0) } else { self.value(&list) }
    }
}

/// Reader of MessagePack. Each method consumes the value that it returns, or returns `None` if another kind of value
/// comes next.
pub(in crate::engine) struct MessagePackReader<'a>(decode::Bytes<'a>);

impl<'a> MessagePackReader<'a> {
    /// Creates a reader of these bytes.
    pub(in crate::engine) fn new(bytes: &'a [u8]) -> Self {
        Self(decode::Bytes::new(bytes))
    }

    /// Bytes that were not read yet.
    pub(in crate::engine) fn rest(&self) -> &'a [u8] {
        self.0.remaining_slice()
    }

    fn next_byte(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    /// Consumes and returns the next byte if it lies in this range. Most values take one byte.
    fn byte_in(&mut self, range: Range<u8>) -> Option<u8> {
        self.next_byte().filter(|byte| range.contains(byte)).and_then(|_| self.0.read_u8().ok())
    }

    pub(in crate::engine) fn array(&mut self) -> Option<usize> {
        if let Some(short) = self.byte_in(EMPTY_ARRAY..SHORT_ARRAYS_END) {
            return Some(usize::from(short - EMPTY_ARRAY));
        }
        usize::try_from(decode::read_array_len(&mut self.0).ok()?).ok()
    }

    /// Reads the start of an array of `len` items.
    pub(in crate::engine) fn array_of(&mut self, len: usize) -> Option<()> {
        (self.array()? == len).then_some(())
    }

    /// Reads an array, item by item.
    pub(in crate::engine) fn list<T>(&mut self, item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let len = self.array()?;
        // Every item takes at least one byte, so a larger length is damage and must not allocate.
        let mut items = Vec::with_capacity(len.min(self.rest().len()));
        self.each(len, item, |item| items.push(item)).map(|()| items)
    }

    /// Reads a short array, item by item.
    pub(in crate::engine) fn short_list<A: Array>(
        &mut self,
        item: impl FnMut(&mut Self) -> Option<A::Item>,
    ) -> Option<SmallVec<A>> {
        let len = self.array()?;
        let mut items = SmallVec::new();
        self.each(len, item, |item| items.push(item)).map(|()| items)
    }

    fn each<T>(
        &mut self,
        len: usize,
        mut item: impl FnMut(&mut Self) -> Option<T>,
        mut to: impl FnMut(T),
    ) -> Option<()> {
        (0..len).try_for_each(|_| item(self).map(&mut to))
    }

    pub(in crate::engine) fn uint<T: TryFrom<u64>>(&mut self) -> Option<T> {
        if let Some(small) = self.byte_in(0..SMALL_INTEGERS_END) {
            return u64::from(small).try_into().ok();
        }
        decode::read_int::<u64, _>(&mut self.0).ok()?.try_into().ok()
    }

    pub(in crate::engine) fn boolean(&mut self) -> Option<bool> {
        decode::read_bool(&mut self.0).ok()
    }

    /// Consumes a nil and returns `true`, or returns `false` if something else comes next.
    pub(in crate::engine) fn skip_nil(&mut self) -> bool {
        self.next_byte() == Some(Marker::Null.to_u8()) && decode::read_nil(&mut self.0).is_ok()
    }

    /// Reads a number in any of the forms that [`MessagePackWriter::number`] writes.
    pub(in crate::engine) fn number(&mut self) -> Option<f64> {
        let marker = Marker::from_u8(self.next_byte()?);
        if marker == Marker::F64 {
            decode::read_f64(&mut self.0).ok()
        } else if marker == Marker::F32 {
            decode::read_f32(&mut self.0).ok().map(f64::from)
        } else {
            decode::read_int::<i32, _>(&mut self.0).ok().map(f64::from)
        }
    }

    /// Reads a list of any other values by serde.
    pub(in crate::engine) fn values<T: Deserialize<'a>>(&mut self) -> Option<Vec<T>> {
        if self.next_byte() == Some(EMPTY_ARRAY) {
            return self.array().map(|_| Vec::new());
        }
        self.value()
    }

    /// Reads any other value by serde.
    pub(in crate::engine) fn value<T: Deserialize<'a>>(&mut self) -> Option<T> {
        let mut reader = StateDeserializer::new(self.rest());
        let read = T::deserialize(&mut reader).ok()?;
        *self = Self::new(reader.rest());
        Some(read)
    }
}
