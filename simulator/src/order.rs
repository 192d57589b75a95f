//! In which order a data set is streamed: a shuffle that is the same on every machine and in every language.
//!
//! Deliberately not here: randomness of any other purpose. Decisions draw from the engine's own streams.

/// A generator of 64-bit numbers.
///
/// # Source
///
/// Steele, Lea & Flood, *Fast splittable pseudorandom number generators* (OOPSLA 2014), with the
/// constants of Vigna's `splitmix64.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, uniform over all 64-bit numbers.
    pub fn next_word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The numbers 0 to `n` − 1 in the order of this seed.
///
/// For i from n − 1 down to 1, the entries i and j = next mod (i + 1) change places. The remainder
/// favours small j by less than n / 2^64.
///
/// # Source
///
/// Durstenfeld, *Algorithm 235: Random permutation* (CACM 1964).
pub fn permutation(n: usize, seed: u64) -> Vec<usize> {
    let mut random = SplitMix64::new(seed);
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        #[expect(clippy::cast_possible_truncation, reason = "a remainder of i + 1 is at most i, a usize")]
        let j = (random.next_word() % (i as u64 + 1)) as usize;
        order.swap(i, j);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vigna's published values for seed 0.
    #[test]
    fn splitmix_gives_its_published_values() {
        let mut random = SplitMix64::new(0);
        assert_eq!([random.next_word(), random.next_word()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }

    /// The values come from another implementation, in another language.
    #[test]
    fn the_order_of_a_seed_is_the_agreed_one() {
        assert_eq!(permutation(10, 0)[..8], [6, 3, 2, 9, 8, 1, 4, 7]);
        assert_eq!(permutation(8124, 0)[..4], [6685, 2696, 1859, 2421]);
    }

    #[test]
    fn an_order_has_every_row_once_and_follows_the_seed() {
        let mut order = permutation(1000, 7);
        assert_ne!(order, permutation(1000, 8));
        order.sort_unstable();
        assert!(order.into_iter().eq(0..1000));
        assert_eq!((permutation(0, 7), permutation(1, 7)), (vec![], vec![0]));
    }
}
