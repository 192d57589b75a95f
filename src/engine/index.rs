//! Index from the key of an item to its ordinal.
//!
//! An entry has 32 bits of the key and 32 of the ordinal, so a million keys take some 15 MB. Keys that share those bits
//! share entries, so the caller compares the key of the item at each ordinal. The index is not persisted: it is rebuilt
//! from the items.

use hashbrown::HashTable;

/// Entries by key. Several entries may have the same key.
#[derive(Debug, Clone, Default)]
pub(super) struct Index(HashTable<(u32, u32)>);

/// Spreads 32 bits over 64, by the golden ratio (Knuth, *Sorting and Searching*, §6.4).
fn spread(bits: u32) -> u64 {
    u64::from(bits).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32)
}

#[expect(clippy::cast_possible_truncation, reason = "the low bits are what is wanted")]
fn low(word: u64) -> u32 {
    word as u32
}

/// Returns the ordinal, at `first` or after it, with these low bits.
fn full(ordinal: u32, first: u64) -> u64 {
    first + u64::from(ordinal.wrapping_sub(low(first)))
}

impl Index {
    /// Adds an entry.
    pub(super) fn insert(&mut self, key: u64, ordinal: u64) {
        self.0.insert_unique(spread(low(key)), (low(key), low(ordinal)), |entry| spread(entry.0));
    }

    /// Returns the ordinal, at `first` or after it, of an entry of this key for which `is` returns `true`.
    ///
    /// Fewer than 2^32 ordinals at `first` or after it must be in use.
    pub(super) fn find(&self, key: u64, first: u64, mut is: impl FnMut(u64) -> bool) -> Option<u64> {
        let found = self.0.find(spread(low(key)), |entry| entry.0 == low(key) && is(full(entry.1, first)));
        found.map(|entry| full(entry.1, first))
    }

    /// Ordinals, at `first` or after it, of all entries of this key, in no particular order.
    ///
    /// The time of a call, and of adding or removing an entry, is proportional to the number of entries of the key.
    pub(super) fn all(&self, key: u64, first: u64) -> impl Iterator<Item = u64> + '_ {
        let entries = self.0.iter_hash(spread(low(key))).filter(move |entry| entry.0 == low(key));
        entries.map(move |&(_, ordinal)| full(ordinal, first))
    }

    /// Removes one entry of this key and ordinal, if there is one.
    pub(super) fn remove(&mut self, key: u64, ordinal: u64) {
        let entry = (low(key), low(ordinal));
        if let Ok(found) = self.0.find_entry(spread(low(key)), |have| *have == entry) {
            found.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_share_their_low_bits_are_told_apart_and_ordinals_may_pass_32_bits() {
        let mut index = Index::default();
        let first = (1_u64 << 32) - 10;
        let keys: Vec<u64> = (0..20_000).map(|i| (i % 100) | (i << 40)).collect();
        for (i, &key) in keys.iter().enumerate() {
            index.insert(key, first + i as u64);
        }
        let find = |index: &Index, i: usize| {
            index.find(keys[i], first, |ordinal| keys[usize::try_from(ordinal - first).unwrap()] == keys[i])
        };
        assert!((0..keys.len()).all(|i| find(&index, i) == Some(first + i as u64)));
        for i in (0..keys.len()).step_by(2) {
            index.remove(keys[i], first + i as u64);
        }
        assert!((0..keys.len()).all(|i| find(&index, i).is_some() == (i % 2 == 1)));
        assert_eq!(index.0.len(), keys.len() / 2);
        index.remove(keys[0], first);
        assert_eq!(index.0.len(), keys.len() / 2);
    }
}
