//! Queue that is cheap to copy at any length.
//!
//! Items stand in chunks behind shared pointers. A copy shares all chunks, so copying a million items takes
//! microseconds. Changing an item afterwards copies its chunk first. An item keeps its ordinal for good, and chunks
//! begin at multiples of their length, so equal queues have equal chunks whatever their history.

use std::{collections::VecDeque, sync::Arc};

/// Number of items in a chunk. Copying one takes some ten microseconds, and a million items make four thousand chunks.
pub(super) const CHUNK: u64 = 256;

/// Queue of items that are found by their ordinals.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ChunkedQueue<T> {
    /// Ordinal of the oldest item.
    first: u64,
    /// Ordinal of the next item to be added.
    next: u64,
    /// Chunks. The first one holds the oldest item at its place, and default values before it.
    shared: VecDeque<Arc<Vec<T>>>,
}

impl<T> Default for ChunkedQueue<T> {
    fn default() -> Self {
        Self { first: 0, next: 0, shared: VecDeque::new() }
    }
}

/// Returns the index of an item within its chunk.
fn place(ordinal: u64) -> usize {
    // The remainder is below CHUNK.
    usize::try_from(ordinal % CHUNK).unwrap_or(0)
}

impl<T: Clone + Default> ChunkedQueue<T> {
    /// Creates an empty queue whose first item will have this ordinal.
    pub(super) fn starting_at(first: u64) -> Self {
        // The part of the chunk before this ordinal is filled in with the first item.
        Self { first, next: first, shared: VecDeque::new() }
    }

    /// Ordinal of the oldest item, or of the next one if the queue is empty.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Ordinal of the next item to be added.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Number of items.
    pub(super) fn len(&self) -> usize {
        usize::try_from(self.next - self.first).unwrap_or(usize::MAX)
    }

    fn chunk_of(&self, ordinal: u64) -> Option<usize> {
        if ordinal < self.first || ordinal >= self.next {
            return None;
        }
        usize::try_from(ordinal / CHUNK - self.first / CHUNK).ok()
    }

    /// Returns an item.
    pub(super) fn get(&self, ordinal: u64) -> Option<&T> {
        self.shared.get(self.chunk_of(ordinal)?)?.get(place(ordinal))
    }

    /// Returns an item for changing it.
    pub(super) fn get_mut(&mut self, ordinal: u64) -> Option<&mut T> {
        let chunk = self.chunk_of(ordinal)?;
        Arc::make_mut(self.shared.get_mut(chunk)?).get_mut(place(ordinal))
    }

    /// Adds an item and returns its ordinal.
    pub(super) fn push(&mut self, item: T) -> u64 {
        let ordinal = self.next;
        if ordinal.is_multiple_of(CHUNK) || self.shared.is_empty() {
            let mut chunk = Vec::with_capacity(place(CHUNK - 1) + 1);
            chunk.resize(place(ordinal), T::default());
            self.shared.push_back(Arc::new(chunk));
        }
        if let Some(last) = self.shared.back_mut() {
            Arc::make_mut(last).push(item);
        }
        self.next += 1;
        ordinal
    }

    /// Removes and returns the oldest item.
    pub(super) fn pop(&mut self) -> Option<T> {
        let item = std::mem::take(self.get_mut(self.first)?);
        self.first += 1;
        if self.first.is_multiple_of(CHUNK) || self.first == self.next {
            self.shared.pop_front();
        }
        Some(item)
    }

    /// All items, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.runs().flatten()
    }

    /// All items, oldest first, one chunk at a time. No run is empty.
    pub(super) fn runs(&self) -> impl Iterator<Item = &[T]> {
        let before = place(self.first);
        let run = move |(i, chunk): (usize, &'_ Arc<Vec<T>>)| if i == 0 { before } else { 0 }..chunk.len();
        self.shared.iter().enumerate().map(move |at| &at.1[run(at)]).filter(|run| !run.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    /// The queue is compared with a plain one over many random steps, and copies that are taken in between must not
    /// change.
    #[test]
    fn it_is_a_queue_and_its_copies_do_not_change() {
        let mut rng = StdRng::seed_from_u64(3);
        let (mut chunks, mut plain) = (ChunkedQueue::<u64>::default(), VecDeque::<(u64, u64)>::new());
        let mut copies: Vec<(ChunkedQueue<u64>, Vec<u64>)> = Vec::new();
        for step in 0..20_000_u64 {
            match rng.random_range(0..10) {
                // The queue grows and shrinks in turn, and is empty at times.
                0..=5 if step % 4_000 < 2_000 => plain.push_back((chunks.push(step), step)),
                0..=7 => assert_eq!(chunks.pop(), plain.pop_front().map(|(_, item)| item)),
                8 if !plain.is_empty() => {
                    let i = rng.random_range(0..plain.len());
                    plain[i].1 += 1_000_000;
                    *chunks.get_mut(plain[i].0).unwrap() += 1_000_000;
                }
                _ => {}
            }
            if step % 1_000 == 999 {
                copies.push((chunks.clone(), plain.iter().map(|p| p.1).collect()));
            }
            assert_eq!((chunks.len(), chunks.get(chunks.next())), (plain.len(), None));
            if let Some(&(ordinal, item)) = plain.front() {
                assert_eq!((chunks.first(), chunks.get(ordinal)), (ordinal, Some(&item)));
            }
        }
        for (copy, want) in copies {
            assert_eq!(copy.iter().copied().collect::<Vec<_>>(), want);
            // A queue that is built again from its items has the same chunks.
            let mut again = ChunkedQueue::starting_at(copy.first());
            copy.iter().for_each(|&item| assert!(again.push(item) >= copy.first()));
            assert!(again.runs().eq(copy.runs()));
        }
    }
}
