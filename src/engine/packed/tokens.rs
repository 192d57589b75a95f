//! MessagePack token by token, for what every decision has: the bytes that serde would write, in a third of the time.
//!
//! Deliberately not here: what few decisions have, which serde writes and reads.

use rmp::{Marker, decode, encode as write};
use rmp_serde::{Deserializer, encode::Error};
use serde::Deserialize;

use crate::stats::compact;

/// The empty array.
const NONE: u8 = 0x90;

pub(in crate::engine) fn array(bytes: &mut Vec<u8>, len: usize) -> Result<(), Error> {
    write::write_array_len(bytes, u32::try_from(len).unwrap_or(u32::MAX))?;
    Ok(())
}

pub(in crate::engine) fn uint(bytes: &mut Vec<u8>, value: u64) -> Result<(), Error> {
    write::write_uint(bytes, value)?;
    Ok(())
}

pub(in crate::engine) fn boolean(bytes: &mut Vec<u8>, value: bool) -> Result<(), Error> {
    write::write_bool(bytes, value).map_err(write::ValueWriteError::InvalidDataWrite)?;
    Ok(())
}

pub(in crate::engine) fn nothing(bytes: &mut Vec<u8>) -> Result<(), Error> {
    write::write_nil(bytes).map_err(write::ValueWriteError::InvalidMarkerWrite)?;
    Ok(())
}

/// As [`compact`] does.
pub(in crate::engine) fn number(bytes: &mut Vec<u8>, value: f64) -> Result<(), Error> {
    match compact::small(value) {
        Some(whole) => write::write_sint(bytes, whole.into()).map(|_| ())?,
        None => write::write_f64(bytes, value)?,
    }
    Ok(())
}

pub(in crate::engine) fn single(bytes: &mut Vec<u8>, value: f32) -> Result<(), Error> {
    write::write_f32(bytes, value)?;
    Ok(())
}

/// What is left to read. Each read takes what it returns; none: that is not what stands there.
pub(in crate::engine) struct Tokens<'a>(pub(in crate::engine) &'a [u8]);

impl Tokens<'_> {
    pub(in crate::engine) fn array(&mut self) -> Option<usize> {
        usize::try_from(decode::read_array_len(&mut self.0).ok()?).ok()
    }

    /// An array of so many.
    pub(in crate::engine) fn array_of(&mut self, len: usize) -> Option<()> {
        (self.array()? == len).then_some(())
    }

    /// An array, item by item.
    pub(in crate::engine) fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let len = self.array()?;
        // Every item takes a byte at least: what says it has more is not what was written.
        let mut items = Vec::with_capacity(len.min(self.0.len()));
        for _ in 0..len {
            items.push(item(self)?);
        }
        Some(items)
    }

    pub(in crate::engine) fn uint<T: TryFrom<u64>>(&mut self) -> Option<T> {
        decode::read_int::<u64, _>(&mut self.0).ok()?.try_into().ok()
    }

    pub(in crate::engine) fn boolean(&mut self) -> Option<bool> {
        decode::read_bool(&mut self.0).ok()
    }

    /// Whether nothing stands here.
    pub(in crate::engine) fn nothing(&mut self) -> bool {
        decode::read_nil(&mut { self.0 }).is_ok_and(|()| {
            self.0 = self.0.get(1..).unwrap_or_default();
            true
        })
    }

    /// A number, however it was written.
    pub(in crate::engine) fn number(&mut self) -> Option<f64> {
        let marker = Marker::from_u8(*self.0.first()?);
        if marker == Marker::F64 {
            decode::read_f64(&mut self.0).ok()
        } else if marker == Marker::F32 {
            decode::read_f32(&mut self.0).ok().map(f64::from)
        } else {
            decode::read_int::<i32, _>(&mut self.0).ok().map(f64::from)
        }
    }

    /// A list of anything else.
    pub(in crate::engine) fn others<'de, T: Deserialize<'de>>(&mut self) -> Option<Vec<T>> {
        if let Some((&NONE, rest)) = self.0.split_first() {
            self.0 = rest;
            return Some(Vec::new());
        }
        self.other()
    }

    /// Anything else.
    pub(in crate::engine) fn other<'de, T: Deserialize<'de>>(&mut self) -> Option<T> {
        let mut reader = Deserializer::new(self.0);
        let read = T::deserialize(&mut reader).ok()?;
        self.0 = reader.get_ref();
        Some(read)
    }
}
