//! Rewards of a stream by groups of subjects, by which intervals widen for subjects who come back.

use serde::{Deserialize, Serialize};

use super::{confidence::RewardSample, doubly_robust::GROUPS, math::square};

/// Least number of groups with rewards by which a design effect is known.
const FILLED_MIN: usize = 8;

/// Number and sum of a group's rewards. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct GroupSum {
    /// Number of rewards.
    pub count: f64,
    /// Sum of the rewards, reward.
    pub sum: f64,
}

/// Stream of rewards with its sums in each of 64 groups of subjects. *Persisted.*
///
/// Subjects are assigned to groups by a hash, so different groups are independent even if the decisions of one subject are not.
///
/// # Examples
///
/// Subjects who always or never click, and each come ten times, say as little as a tenth of their decisions:
///
/// ```
/// use rand::{RngExt as _, SeedableRng as _, rngs::Xoshiro256PlusPlus};
/// use slotwise::stats::GroupedSample;
///
/// let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
/// let mut sample = GroupedSample::default();
/// for subject in 0..6_400 {
///     let clicks = if rng.random_bool(0.5) { 1.0 } else { 0.0 };
///     for _ in 0..10 {
///         sample.add(subject % 64, clicks);
///     }
/// }
/// // The standard error of the estimate is 18 %: it is a variance over 64 groups.
/// assert!((4.0..20.0).contains(&sample.design_effect()));
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct GroupedSample {
    /// Sums of the stream.
    pub sample: RewardSample,
    /// Sums of the groups, or none before the first reward.
    groups: Vec<GroupSum>,
}

impl GroupedSample {
    /// Sums of the groups, or none before the first reward.
    pub fn groups(&self) -> &[GroupSum] {
        &self.groups
    }

    fn group_mut(&mut self, group: usize) -> Option<&mut GroupSum> {
        self.groups.resize(GROUPS, GroupSum::default());
        self.groups.get_mut(group % GROUPS)
    }

    /// Adds a reward of a subject of this group.
    pub fn add(&mut self, group: usize, reward: f64) {
        self.sample.add(reward);
        if let Some(of) = self.group_mut(group) {
            of.count += 1.0;
            of.sum += reward;
        }
    }

    /// Replaces the reward `before` of a subject of this group by `after`.
    pub fn revise(&mut self, group: usize, before: f64, after: f64) {
        self.sample.revise(before, after);
        if let Some(of) = self.group_mut(group) {
            of.sum += after - before;
        }
    }

    /// Returns the sums of both streams together.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let mut both = Self { sample: self.sample.with(other.sample), groups: self.groups.clone() };
        for (i, of) in other.groups.iter().enumerate() {
            if let Some(own) = both.group_mut(i) {
                own.count += of.count;
                own.sum += of.sum;
            }
        }
        both
    }

    /// Returns the ratio of the mean's variance over groups to that over decisions, at least 1. It is 1 while few groups have
    /// rewards.
    ///
    /// # Source
    ///
    /// Kish, "Survey Sampling" (1965), §8.2; the variance is the ultimate-cluster estimator of a ratio (§6.3).
    pub fn design_effect(&self) -> f64 {
        let filled = self.groups.iter().filter(|of| of.count > 0.0).count();
        let mean = self.sample.mean();
        let deviations = self.sample.sum_sq - self.sample.count as f64 * square(mean);
        if filled < FILLED_MIN || deviations <= 0.0 {
            return 1.0;
        }
        let grouped: f64 = self.groups.iter().map(|of| square(of.sum - mean * of.count)).sum();
        let correction = filled as f64 / (filled - 1) as f64;
        (correction * grouped / deviations).max(1.0)
    }

    /// Returns the sums of as many independent rewards as say as much about the mean.
    pub fn effective(&self) -> RewardSample {
        self.sample.thinned(self.design_effect())
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    /// Rates of subjects are drawn from a Beta distribution by its intra-class correlation ρ, so m visits each have the design
    /// effect 1 + (m − 1)·ρ.
    #[test]
    fn the_design_effect_is_that_of_the_intra_class_correlation() {
        let mut rng = StdRng::seed_from_u64(41);
        for (visits, correlation) in [(1_u32, 0.0), (10, 0.0), (10, 0.1), (30, 0.2)] {
            let want = 1.0 + f64::from(visits - 1) * correlation;
            let mut mean = 0.0;
            let lives = 60;
            for _ in 0..lives {
                let mut sample = GroupedSample::default();
                for subject in 0..2_000_usize {
                    // A subject is one who always clicks or never does with probability ρ, else one of the common rate: that has
                    // intra-class correlation ρ.
                    let fixed = rng.random_bool(correlation);
                    let always = rng.random_bool(0.3);
                    for _ in 0..visits {
                        let clicks = if fixed { always } else { rng.random_bool(0.3) };
                        sample.add(subject % GROUPS, f64::from(u8::from(clicks)));
                    }
                }
                mean += sample.design_effect() / f64::from(lives);
            }
            // The estimate has the relative standard error √(2/63) = 0.18, of the mean of 60 it is 0.023; at 1 the bound
            // from below adds 0.07.
            let low = if want > 1.0 { 0.91 * want } else { 1.0 };
            assert!((low..1.09 * want + 0.08).contains(&mean), "{visits} {correlation}: {mean} against {want}");
        }
    }

    #[test]
    fn revised_and_joined_streams_are_those_of_the_final_rewards() {
        let (mut revised, mut plain, mut other) =
            (GroupedSample::default(), GroupedSample::default(), GroupedSample::default());
        for i in 0..200_usize {
            revised.add(i, 0.0);
            revised.revise(i, 0.0, (i % 3) as f64);
            plain.add(i, (i % 3) as f64);
            other.add(i * 7, 0.5);
        }
        assert_eq!(revised, plain);
        let both = plain.with(&other);
        assert_eq!(both.sample.count, 400);
        assert!((both.groups().iter().map(|of| of.sum).sum::<f64>() - both.sample.sum).abs() < 1e-9);
        assert!(GroupedSample::default().effective().count == 0);
    }
}
