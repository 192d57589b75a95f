//! Numbers of a file: no model has one that is not finite, or so large that its square would not be.

/// Largest size of a number. A sum of squares of rewards of a trillion times a million stays far below it.
const SIZE_MAX: f64 = 1e60;

/// Returns whether the bytes begin with a value of MessagePack all of whose floating-point numbers are finite and bounded.
pub(super) fn has_bounded_numbers(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let mut values = 1_u64;
    while values > 0 {
        let Some((&marker, after)) = rest.split_first() else { return false };
        values -= 1;
        let length_bytes = match marker {
            0xc4 | 0xd9 => 1,
            0xc5 | 0xda | 0xdc | 0xde => 2,
            0xc6 | 0xdb | 0xdd | 0xdf => 4,
            _ => 0,
        };
        let Some((length, after)) = after.split_at_checked(length_bytes) else { return false };
        let length = length.iter().fold(0_u64, |length, &byte| length << 8 | u64::from(byte));
        // Bytes that belong to the value itself, and values that it contains.
        let (own, inner) = match marker {
            0x80..=0x8f => (0, 2 * u64::from(marker & 0x0f)),
            0x90..=0x9f => (0, u64::from(marker & 0x0f)),
            0xa0..=0xbf => (u64::from(marker & 0x1f), 0),
            0xc4..=0xc6 | 0xd9..=0xdb => (length, 0),
            0xca | 0xce | 0xd2 => (4, 0),
            0xcb | 0xcf | 0xd3 => (8, 0),
            0xcc | 0xd0 => (1, 0),
            0xcd | 0xd1 => (2, 0),
            0xdc | 0xdd => (0, length),
            0xde | 0xdf => (0, 2 * length),
            0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => (0, 0),
            // Unused, and extensions, which no state has.
            0xc1 | 0xc7..=0xc9 | 0xd4..=0xd8 => return false,
        };
        let Some((own, after)) = usize::try_from(own).ok().and_then(|own| after.split_at_checked(own)) else {
            return false;
        };
        let number = match (marker, own) {
            (0xca, &[a, b, c, d]) => f64::from(f32::from_be_bytes([a, b, c, d])),
            (0xcb, &[a, b, c, d, e, f, g, h]) => f64::from_be_bytes([a, b, c, d, e, f, g, h]),
            _ => 0.0,
        };
        // Not-a-number compares as false.
        if !(-SIZE_MAX..=SIZE_MAX).contains(&number) {
            return false;
        }
        values = values.saturating_add(inner);
        rest = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(value: &impl serde::Serialize) -> Vec<u8> {
        let mut bytes = Vec::new();
        value.serialize(&mut rmp_serde::Serializer::new(&mut bytes).with_struct_map()).unwrap();
        bytes
    }

    #[test]
    fn numbers_are_found_wherever_they_stand() {
        let with = |number: f64| packed(&(1_u8, "text", [vec![(true, Some(number))], Vec::new()], -5_i64, u64::MAX));
        assert!(has_bounded_numbers(&with(-1e59)));
        for wild in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e61, -1e61] {
            assert!(!has_bounded_numbers(&with(wild)), "{wild}");
        }
        assert!(!has_bounded_numbers(&packed(&f32::NAN)));
        let whole = with(1.0);
        for end in 0..whole.len() {
            assert!(!has_bounded_numbers(&whole[..end]), "cut at {end}");
        }
        let long: Vec<String> = (0..70_000).map(|i| "x".repeat(i % 300)).collect();
        assert!(has_bounded_numbers(&packed(&long)));
    }
}
