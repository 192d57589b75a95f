//! Even choices that follow from numbers, so that they are the same whenever events are applied again.

/// Returns evenly distributed bits that follow from two numbers.
///
/// # Source
///
/// Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators" (2014), the mixing function of `SplitMix`.
pub fn mixed(a: u64, b: u64) -> u64 {
    let mut bits = a.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ b.wrapping_mul(0xD1B5_4A32_D192_ED03);
    bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_spread_evenly_and_without_a_period() {
        let part = |n: u64| usize::try_from(mixed(n, 0) >> 61).unwrap();
        for period in 1..=16 {
            let mut counts = [0_u32; 8];
            (0..8_000).for_each(|i| counts[part(i * period)] += 1);
            // A thousand each, with a standard deviation of 30.
            assert!(counts.iter().all(|&count| (880..=1_120).contains(&count)), "{period}: {counts:?}");
        }
    }
}
