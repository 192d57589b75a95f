//! Pairwise tests of a slot's arms.
//!
//! Invariants:
//!
//! * A pair has one test for both of its arms, or none.
//! * The places of arms follow from the order in which the arms were met, so equal events give equal tables.
//! * Once all places are taken, only the places of arms that the slot no longer has are given to new arms.

use serde::{Deserialize, Serialize};

use crate::{slot::limits::LEARNED_ARMS_MAX, stats::PairwiseTest};

/// Number of arms that are compared with each other. A pair takes forty bytes.
const PAIRED_ARMS_MAX: usize = 45;

/// Table of pairwise tests. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "PersistedArmPairs")]
pub struct ArmPairs {
    /// The arms' indices in the learner, in the order in which the arms were met.
    arms: Vec<u32>,
    /// Row by row: the tests of each arm with the arms before it. The arm with the smaller index in the learner is the
    /// first in each test.
    pairs: Vec<PairwiseTest>,
    /// Place of each arm, by its index in the learner. Follows from `arms`.
    #[serde(skip)]
    places: Vec<Option<u8>>,
}

/// Table of pairwise tests as a snapshot contains it. *Persisted.*
#[derive(Deserialize)]
struct PersistedArmPairs {
    arms: Vec<u32>,
    pairs: Vec<PairwiseTest>,
}

impl From<PersistedArmPairs> for ArmPairs {
    fn from(PersistedArmPairs { arms, pairs }: PersistedArmPairs) -> Self {
        let whole = arms.len() <= PAIRED_ARMS_MAX && pairs.len() == pairs_above(arms.len());
        if whole && arms.iter().copied().all(is_valid_arm) { Self::from_parts(arms, pairs) } else { Self::default() }
    }
}

/// Returns `true` if an arm can have this index.
fn is_valid_arm(arm: u32) -> bool {
    (arm as usize) < LEARNED_ARMS_MAX
}

/// Number of pairs in the rows above the row of a place.
fn pairs_above(place: usize) -> usize {
    place * place.saturating_sub(1) / 2
}

/// Index of the test of two different places.
fn pair_index(a: usize, b: usize) -> usize {
    pairs_above(a.max(b)) + a.min(b)
}

impl ArmPairs {
    fn from_parts(arms: Vec<u32>, pairs: Vec<PairwiseTest>) -> Self {
        let mut pairs = Self { pairs, ..Self::default() };
        for arm in arms {
            pairs.assign_place(arm);
        }
        pairs
    }

    /// Gives an arm the next place.
    fn assign_place(&mut self, arm: u32) {
        if self.places.len() <= arm as usize {
            self.places.resize(arm as usize + 1, None);
        }
        self.places[arm as usize] = u8::try_from(self.arms.len()).ok();
        self.arms.push(arm);
    }

    fn place(&self, arm: u32) -> Option<usize> {
        self.places.get(arm as usize).copied().flatten().map(usize::from)
    }

    /// Returns the place of an arm, which may be a new one, or `None` if no place is left.
    fn place_or_assign(&mut self, arm: u32) -> Option<usize> {
        self.place(arm).or_else(|| {
            (!self.is_full() && is_valid_arm(arm)).then(|| {
                self.pairs.resize(pairs_above(self.arms.len() + 1), PairwiseTest::default());
                self.assign_place(arm);
                self.arms.len() - 1
            })
        })
    }

    /// Adds the expected weights of the pairs of arms that could have been shown, from the probability of each.
    pub(in crate::engine) fn add_expected_weights(&mut self, rivals: &[(u32, f32)]) {
        // Indexed by place, so that each row of tests is walked in order. An arm that could not have been shown has 0.
        let mut likely = [0.0; PAIRED_ARMS_MAX];
        for &(arm, p) in rivals {
            if let Some(place) = self.place_or_assign(arm) {
                likely[place] = f64::from(p);
            }
        }
        let mut rows = self.pairs.as_mut_slice();
        for (place, &p) in likely[..self.arms.len()].iter().enumerate() {
            let (row, below) = rows.split_at_mut(place.min(rows.len()));
            rows = below;
            if p > 0.0 {
                for (test, &q) in row.iter_mut().zip(&likely) {
                    test.add_weight(p, q);
                }
            }
        }
    }

    /// Calls `update` for the tests of one arm with others, with the value given for the other arm, and `true` if the
    /// one arm is the second of the test.
    pub(in crate::engine) fn update_tests<T: Copy>(
        &mut self,
        arm: u32,
        others: &[(u32, T)],
        mut update: impl FnMut(&mut PairwiseTest, T, bool),
    ) {
        let Some(own) = self.place(arm) else { return };
        for &(other, value) in others {
            if let Some(place) = self.place(other).filter(|place| *place != own)
                && let Some(test) = self.pairs.get_mut(pair_index(own, place))
            {
                update(test, value, other < arm);
            }
        }
    }

    /// Returns the test of arm `a` against `b`, or `None` if they never met.
    pub(in crate::engine) fn test(&self, a: u32, b: u32) -> Option<PairwiseTest> {
        let (at, other) = (self.place(a)?, self.place(b)?);
        let test = (at != other).then(|| self.pairs.get(pair_index(at, other)).copied()).flatten()?;
        Some(if a < b { test } else { test.reversed() })
    }

    /// Returns `true` if all places are taken.
    pub(in crate::engine) fn is_full(&self) -> bool {
        self.arms.len() >= PAIRED_ARMS_MAX
    }

    /// Frees the places of arms that are not among `there`, if all places are taken.
    pub(in crate::engine) fn free_places(&mut self, there: impl Fn(u32) -> bool) {
        if !self.is_full() {
            return;
        }
        let kept: Vec<usize> = (0..self.arms.len()).filter(|&place| there(self.arms[place])).collect();
        let rows = kept.iter().enumerate().flat_map(|(row, &a)| kept[..row].iter().map(move |&b| pair_index(a, b)));
        let pairs = rows.filter_map(|at| self.pairs.get(at).copied()).collect();
        *self = Self::from_parts(kept.into_iter().map(|place| self.arms[place]).collect(), pairs);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn test(count: u64) -> PairwiseTest {
        PairwiseTest { count, sum: count as f64, ..PairwiseTest::default() }
    }

    /// A test of every pair of `arms` arms. Each has another count.
    fn full(arms: u32) -> (ArmPairs, BTreeMap<(u32, u32), u64>) {
        let (mut pairs, mut counts) = (ArmPairs::default(), BTreeMap::new());
        let all: Vec<(u32, f32)> = (0..arms).map(|arm| (arm, 0.1)).collect();
        pairs.add_expected_weights(&all);
        for (a, b) in (0..arms).flat_map(|a| (0..a).map(move |b| (a, b))) {
            for _ in 0..=(a * arms + b) % 7 {
                pairs.update_tests(a, &[(b, 1.0)], |test, y, second| test.add(if second { -y } else { y }));
                *counts.entry((b, a)).or_default() += 1;
            }
        }
        (pairs, counts)
    }

    #[test]
    fn every_pair_has_a_test_of_its_own_whichever_arm_is_first() {
        let (pairs, counts) = full(12);
        for (&(a, b), &count) in &counts {
            let (one, other) = (pairs.test(a, b).unwrap(), pairs.test(b, a).unwrap());
            assert_eq!((one.count, other.count), (count, count), "{a} {b}");
            assert!((one.sum + count as f64).abs() < 1e-12 && (other.sum - count as f64).abs() < 1e-12);
            assert!((one.weight_sum - 0.05).abs() < 1e-7);
        }
        assert!(pairs.test(3, 3).is_none() && pairs.test(3, 12).is_none());
    }

    #[test]
    fn removed_arms_free_their_places_and_the_others_keep_their_tests() {
        let most = u32::try_from(PAIRED_ARMS_MAX).unwrap();
        let (mut pairs, counts) = full(most);
        pairs.add_expected_weights(&[(7, 0.5), (1_000, 0.5)]);
        assert!(pairs.test(7, 1_000).is_none(), "there is no place left");
        let there = |arm: u32| !arm.is_multiple_of(3);
        pairs.free_places(there);
        for (&(a, b), &count) in &counts {
            let left = pairs.test(a, b).map(|test| test.count);
            assert_eq!(left, (there(a) && there(b)).then_some(count), "{a} {b}");
        }
        pairs.add_expected_weights(&[(7, 0.5), (1_000, 0.5)]);
        assert!((pairs.test(7, 1_000).unwrap().weight_sum - 0.25).abs() < 1e-12);
        let before = pairs.clone();
        pairs.free_places(|_| false);
        assert_eq!(pairs, before, "while there is room nobody has to go");
    }

    #[test]
    fn an_impossible_table_is_read_as_empty() {
        let most = u32::try_from(LEARNED_ARMS_MAX).unwrap();
        let read = |arms: Vec<u32>, pairs: usize| -> ArmPairs {
            let table = ArmPairs { pairs: vec![test(1); pairs], arms, places: Vec::new() };
            rmp_serde::from_slice(&rmp_serde::to_vec_named(&table).unwrap()).unwrap()
        };
        let crowd: Vec<u32> = (0..=u32::try_from(PAIRED_ARMS_MAX).unwrap()).collect();
        for (arms, pairs) in
            [(crowd, pairs_above(PAIRED_ARMS_MAX + 1)), (vec![most, 1], 1), (vec![1, 2], 2), (vec![1, 2], 0)]
        {
            assert_eq!(read(arms, pairs), ArmPairs::default(), "{pairs}");
        }
        assert_eq!(read(vec![most - 1, 1], 1).test(1, most - 1), Some(test(1)));
        let mut pairs = ArmPairs::default();
        pairs.add_expected_weights(&[(most, 0.5), (1, 0.5)]);
        assert_eq!(pairs.test(1, most), None, "no slot learns of so many arms");
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        for pairs in [full(5).0, ArmPairs::default()] {
            let bytes = rmp_serde::to_vec_named(&pairs).unwrap();
            assert_eq!(rmp_serde::from_slice::<ArmPairs>(&bytes).unwrap(), pairs);
        }
    }
}
