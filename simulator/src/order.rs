//! Seeded orders that are the same on every machine and in every language. A data set is streamed in such an order.

use slotwise::environment::SplitMix64;

/// Returns the numbers 0 to `n` − 1 in the order of this seed.
///
/// For i from n − 1 down to 1, the entries i and j = next mod (i + 1) change places.
///
/// # Source
///
/// Durstenfeld, *Algorithm 235: Random permutation* (CACM 1964).
pub fn permutation(n: usize, seed: u64) -> Vec<usize> {
    let mut random = SplitMix64::new(seed);
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, random.below(i + 1));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values come from another implementation, in another language.
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
