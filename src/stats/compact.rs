//! Encoding of numbers in few bytes, as most features of a decision are 0 or 1. *Persisted.*
//!
//! A whole number from -32 to 127 is written as an integer, any other number as it is. In a format that marks the type
//! of each number it reads back bit for bit the same.

use serde::{Deserialize as _, Deserializer, Serialize, Serializer};

/// Returns the value as an integer of one byte, or `None` if it is not a whole number from -32 to 127.
pub fn small_integer(value: f64) -> Option<i8> {
    #[expect(clippy::cast_possible_truncation, reason = "compared bit for bit with the original value")]
    let whole = value as i8;
    (whole >= -32 && f64::from(whole).to_bits() == value.to_bits()).then_some(whole)
}

struct Compact(f64);

impl Serialize for Compact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match small_integer(self.0) {
            Some(whole) => serializer.serialize_i8(whole),
            None => serializer.serialize_f64(self.0),
        }
    }
}

/// Writes one number.
pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    Compact(*value).serialize(serializer)
}

/// Reads one number.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    f64::deserialize(deserializer)
}

/// Encoding of the entries of a sparse vector, with each value as above.
pub mod entries {
    use serde::ser::SerializeSeq as _;

    use super::{Compact, Deserializer, Serializer};

    /// Writes the entries.
    pub fn serialize<S: Serializer>(entries: &[(u32, f64)], serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(entries.len()))?;
        for &(index, value) in entries {
            seq.serialize_element(&(index, Compact(value)))?;
        }
        seq.end()
    }

    /// Reads the entries.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(u32, f64)>, D::Error> {
        serde::Deserialize::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back_bit_for_bit_and_small_ones_take_a_byte() {
        let mut numbers = vec![0.0, -0.0, 1.0, -32.0, -33.0, 127.0, 128.0, 0.5, 1e300, f64::MIN_POSITIVE, f64::MAX];
        numbers.extend([f64::INFINITY, f64::NEG_INFINITY, 1.0 + f64::EPSILON, -1.0]);
        for number in numbers {
            let mut bytes = Vec::new();
            serialize(&number, &mut rmp_serde::Serializer::new(&mut bytes)).unwrap();
            let back = deserialize(&mut rmp_serde::Deserializer::from_read_ref(&bytes)).unwrap();
            assert_eq!(back.to_bits(), number.to_bits(), "{number}");
            let whole = number.fract() == 0.0 && (-32.0..=127.0).contains(&number) && number.to_bits() != 1 << 63;
            assert_eq!(bytes.len() == 1, whole, "{number}: {bytes:?}");
        }
    }
}
