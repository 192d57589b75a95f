//! Pairwise tests of a slot's arms.
//!
//! Invariants:
//!
//! * A pair has one test for both of its arms, or none.
//! * The places of arms follow from the order in which the arms were met, so equal events give equal tables.
//! * Once all places are taken, only the places of arms that the slot no longer has are given to new arms.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{slot::limits::LEARNED_ARMS_MAX, stats::PairwiseTest};

/// Number of arms that are compared with each other. A pair takes forty bytes.
const RIVALS_KEPT: usize = 45;

/// Table of pairwise tests. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Duels {
    /// The arms' indices in the learner, in the order in which the arms were met.
    arms: Vec<u32>,
    /// Row by row: the tests of each arm with the arms before it. The arm with the smaller index in the learner is the
    /// first in each test.
    pairs: Vec<PairwiseTest>,
    /// Place of each arm, by its index in the learner. Follows from `arms`.
    #[serde(skip)]
    places: Vec<Option<u8>>,
}

/// Forms that a snapshot may contain.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Table {
        arms: Vec<u32>,
        pairs: Vec<PairwiseTest>,
    },
    /// Form that early snapshots of version 4 contain.
    Map(BTreeMap<(u32, u32), PairwiseTest>),
}

impl From<Written> for Duels {
    fn from(written: Written) -> Self {
        match written {
            Written::Table { arms, pairs } => {
                let whole = arms.len() <= RIVALS_KEPT && pairs.len() == before(arms.len());
                if whole && arms.iter().copied().all(known) { Self::of(arms, pairs) } else { Self::default() }
            }
            Written::Map(of) => {
                let mut duels = Self::default();
                for ((a, b), duel) in of {
                    if let (Some(a), Some(b)) = (duels.meet(a), duels.meet(b))
                        && let Some(kept) = duels.pairs.get_mut(pair(a, b))
                    {
                        *kept = duel;
                    }
                }
                duels
            }
        }
    }
}

/// Returns `true` if an arm can have this index.
fn known(arm: u32) -> bool {
    (arm as usize) < LEARNED_ARMS_MAX
}

/// Number of pairs in the rows above the row of a place.
fn before(place: usize) -> usize {
    place * place.saturating_sub(1) / 2
}

/// Index of the test of two different places.
fn pair(a: usize, b: usize) -> usize {
    before(a.max(b)) + a.min(b)
}

impl Duels {
    fn of(arms: Vec<u32>, pairs: Vec<PairwiseTest>) -> Self {
        let mut duels = Self { pairs, ..Self::default() };
        for arm in arms {
            duels.seat(arm);
        }
        duels
    }

    /// Gives an arm the next place.
    fn seat(&mut self, arm: u32) {
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
    fn meet(&mut self, arm: u32) -> Option<usize> {
        self.place(arm).or_else(|| {
            (!self.full() && known(arm)).then(|| {
                self.pairs.resize(before(self.arms.len() + 1), PairwiseTest::default());
                self.seat(arm);
                self.arms.len() - 1
            })
        })
    }

    /// Adds the expected weights of the pairs of arms that could have been shown, from the probability of each.
    pub(super) fn offer(&mut self, rivals: &[(u32, f32)]) {
        // Indexed by place, so that each row of tests is walked in order. An arm that could not have been shown has 0.
        let mut likely = [0.0; RIVALS_KEPT];
        for &(arm, p) in rivals {
            if let Some(place) = self.meet(arm) {
                likely[place] = f64::from(p);
            }
        }
        let mut rows = self.pairs.as_mut_slice();
        for (place, &p) in likely[..self.arms.len()].iter().enumerate() {
            let (row, below) = rows.split_at_mut(place.min(rows.len()));
            rows = below;
            if p > 0.0 {
                for (duel, &q) in row.iter_mut().zip(&likely) {
                    duel.add_weight(p, q);
                }
            }
        }
    }

    /// Calls `update` for the tests of one arm with others, with the value given for the other arm, and `true` if the
    /// one arm is the second of the test.
    pub(super) fn each<T: Copy>(
        &mut self,
        arm: u32,
        others: &[(u32, T)],
        mut of: impl FnMut(&mut PairwiseTest, T, bool),
    ) {
        let Some(own) = self.place(arm) else { return };
        for &(other, said) in others {
            if let Some(place) = self.place(other).filter(|place| *place != own)
                && let Some(duel) = self.pairs.get_mut(pair(own, place))
            {
                of(duel, said, other < arm);
            }
        }
    }

    /// Returns the test of arm `a` against `b`, or `None` if they never met.
    pub(super) fn get(&self, a: u32, b: u32) -> Option<PairwiseTest> {
        let (at, other) = (self.place(a)?, self.place(b)?);
        let duel = (at != other).then(|| self.pairs.get(pair(at, other)).copied()).flatten()?;
        Some(if a < b { duel } else { duel.reversed() })
    }

    /// Returns `true` if all places are taken.
    pub(super) fn full(&self) -> bool {
        self.arms.len() >= RIVALS_KEPT
    }

    /// Frees the places of arms that are not among `there`, if all places are taken.
    pub(super) fn make_room(&mut self, there: impl Fn(u32) -> bool) {
        if !self.full() {
            return;
        }
        let kept: Vec<usize> = (0..self.arms.len()).filter(|&place| there(self.arms[place])).collect();
        let rows = kept.iter().enumerate().flat_map(|(row, &a)| kept[..row].iter().map(move |&b| pair(a, b)));
        let pairs = rows.filter_map(|at| self.pairs.get(at).copied()).collect();
        *self = Self::of(kept.into_iter().map(|place| self.arms[place]).collect(), pairs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duel(count: u64) -> PairwiseTest {
        PairwiseTest { count, sum: count as f64, ..PairwiseTest::default() }
    }

    /// A test of every pair of `arms` arms. Each has another count.
    fn full(arms: u32) -> (Duels, BTreeMap<(u32, u32), u64>) {
        let (mut duels, mut counts) = (Duels::default(), BTreeMap::new());
        let all: Vec<(u32, f32)> = (0..arms).map(|arm| (arm, 0.1)).collect();
        duels.offer(&all);
        for (a, b) in (0..arms).flat_map(|a| (0..a).map(move |b| (a, b))) {
            for _ in 0..=(a * arms + b) % 7 {
                duels.each(a, &[(b, 1.0)], |duel, y, second| duel.add(if second { -y } else { y }));
                *counts.entry((b, a)).or_default() += 1;
            }
        }
        (duels, counts)
    }

    #[test]
    fn every_pair_has_a_duel_of_its_own_whichever_stands_first() {
        let (duels, counts) = full(12);
        for (&(a, b), &count) in &counts {
            let (one, other) = (duels.get(a, b).unwrap(), duels.get(b, a).unwrap());
            assert_eq!((one.count, other.count), (count, count), "{a} {b}");
            assert!((one.sum + count as f64).abs() < 1e-12 && (other.sum - count as f64).abs() < 1e-12);
            assert!((one.weight_sum - 0.05).abs() < 1e-7);
        }
        assert!(duels.get(3, 3).is_none() && duels.get(3, 12).is_none());
    }

    #[test]
    fn arms_that_are_gone_make_room_and_the_others_keep_what_they_did() {
        let most = u32::try_from(RIVALS_KEPT).unwrap();
        let (mut duels, counts) = full(most);
        duels.offer(&[(7, 0.5), (1_000, 0.5)]);
        assert!(duels.get(7, 1_000).is_none(), "there is no place left");
        let there = |arm: u32| !arm.is_multiple_of(3);
        duels.make_room(there);
        for (&(a, b), &count) in &counts {
            let left = duels.get(a, b).map(|duel| duel.count);
            assert_eq!(left, (there(a) && there(b)).then_some(count), "{a} {b}");
        }
        duels.offer(&[(7, 0.5), (1_000, 0.5)]);
        assert!((duels.get(7, 1_000).unwrap().weight_sum - 0.25).abs() < 1e-12);
        let before = duels.clone();
        duels.make_room(|_| false);
        assert_eq!(duels, before, "while there is room nobody has to go");
    }

    #[test]
    fn a_table_that_cannot_be_is_read_as_none() {
        let most = u32::try_from(LEARNED_ARMS_MAX).unwrap();
        let read = |arms: Vec<u32>, pairs: usize| -> Duels {
            let written = Duels { pairs: vec![duel(1); pairs], arms, places: Vec::new() };
            rmp_serde::from_slice(&rmp_serde::to_vec_named(&written).unwrap()).unwrap()
        };
        let crowd: Vec<u32> = (0..=u32::try_from(RIVALS_KEPT).unwrap()).collect();
        for (arms, pairs) in [(crowd, before(RIVALS_KEPT + 1)), (vec![most, 1], 1), (vec![1, 2], 2), (vec![1, 2], 0)] {
            assert_eq!(read(arms, pairs), Duels::default(), "{pairs}");
        }
        assert_eq!(read(vec![most - 1, 1], 1).get(1, most - 1), Some(duel(1)));
        let mut duels = Duels::default();
        duels.offer(&[(most, 0.5), (1, 0.5)]);
        assert_eq!(duels.get(1, most), None, "no slot learns of so many arms");
    }

    #[test]
    fn what_was_written_is_read_also_where_it_was_a_map() {
        let (duels, _) = full(5);
        let bytes = rmp_serde::to_vec_named(&duels).unwrap();
        assert_eq!(rmp_serde::from_slice::<Duels>(&bytes).unwrap(), duels);
        let map: BTreeMap<(u32, u32), PairwiseTest> = [((2, 9), duel(3)), ((2, 4), duel(5)), ((4, 9), duel(7))].into();
        let read: Duels = rmp_serde::from_slice(&rmp_serde::to_vec_named(&map).unwrap()).unwrap();
        for ((a, b), duel) in map {
            assert_eq!(read.get(a, b), Some(duel));
        }
        let empty: Duels =
            rmp_serde::from_slice(&rmp_serde::to_vec_named(&BTreeMap::<(u32, u32), PairwiseTest>::new()).unwrap())
                .unwrap();
        assert_eq!(empty, Duels::default());
    }
}
