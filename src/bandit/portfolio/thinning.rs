//! Thinned silence: models that do not count learn one of eight silences, which stands for all eight.

use smallvec::{SmallVec, smallvec};

use super::{
    Portfolio, PortfolioMember,
    member::{GROUND, NEGLIGIBLE},
    observation::{EncodedObservation, MemberSet},
};
use crate::stats::{math::exp, mixed};

/// Number of silences of which a thinned member learns one.
pub(super) const ONE_IN: u32 = 8;
/// Weight of an arm's observations from which on its silence is thinned.
const ENOUGH: f64 = 500.0;

/// Rule by which members learn a part of the silence only.
///
/// Most of the cost of learning is for models of many dimensions whose weight is next to nothing, and most observations are
/// shown arms without an event. A member whose weight is negligible, and which has lost ground lately, learns each silence of a well
/// known arm with probability 1/8, eight times over. So what it learns is right on average. A reward is never thinned.
/// If a silence that was left out gets a reward later, the member learns the reward's part alone, and so the sum of
/// the rewards at each row stays exact and the weight at each row is right on average.
///
/// The choice depends on the number of observations so far, so it is the same whenever the events are applied again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thinning {
    /// Number of the observation, or `None` if nothing is thinned.
    number: Option<u64>,
    /// Sum of the weights of the deciding members.
    total: f64,
}

impl Thinning {
    /// Creates the rule for the observation of this number.
    pub(super) fn new(
        seen: &EncodedObservation<'_>,
        number: u64,
        members: &[PortfolioMember],
        deciding: &[usize],
    ) -> Self {
        let thins = seen.y == 0.0 && seen.silence_after.is_some_and(|weight| weight >= ENOUGH);
        let total = deciding.iter().map(|&i| exp(members[i].evidence)).sum();
        Self { number: thins.then_some(number), total }
    }

    /// Number of observations that this one stands for when a member learns it: 1, or 0 or [`ONE_IN`].
    pub(super) fn copies(&self, i: usize, member: &PortfolioMember) -> u32 {
        let idle = || i < MemberSet::MAX && member.ground < 0.0 && exp(member.evidence) < NEGLIGIBLE * self.total;
        match self.number {
            Some(number) if member.model.has_features() && idle() => {
                if mixed(number, i as u64).is_multiple_of(u64::from(ONE_IN)) { ONE_IN } else { 0 }
            }
            _ => 1,
        }
    }
}

impl Portfolio {
    /// Number of observations that this one stands for, by member. Nothing is thinned while a challenger competes.
    pub(super) fn copies(&self, seen: &EncodedObservation<'_>) -> SmallVec<[u32; 16]> {
        if self.challenger.is_some() {
            return smallvec![1; self.members.len()];
        }
        let thinning = Thinning::new(seen, self.observations, &self.members, &self.deciding);
        self.members.iter().enumerate().map(|(i, member)| thinning.copies(i, member)).collect()
    }

    /// Lets the ground that members won fade by one observation.
    pub(super) fn fade_ground(&mut self) {
        for member in &mut self.members {
            member.ground *= 1.0 - 1.0 / GROUND;
        }
    }
}
