//! Caps: rules that limit how often arms are shown, each by itself or several together.

use super::{candidates::CandidateArm, rules::MatchedRules};
use crate::{bandit::Quota, slot::ArmId};

/// Limit of a cap rule, and the showings that it counts.
pub(super) struct Cap<'a> {
    /// Index of the rule.
    pub(super) rule: usize,
    pub(super) limit: u64,
    /// Counts all matched arms together instead of each by itself.
    pub(super) together: bool,
    /// Returns the number of earlier showings of an arm.
    pub(super) showings: &'a dyn Fn(&ArmId) -> u64,
}

/// Effect of a cap on the candidates that it matches.
#[derive(Debug, Default)]
pub(super) struct CapEffect {
    /// Candidates that reached the cap.
    pub(super) excluded: Vec<usize>,
    /// Showings that the cap leaves, if that may be fewer than the slate shows.
    pub(super) remainder: Option<CapRemainder>,
}

/// Showings that a shared cap leaves to its candidates.
#[derive(Debug)]
pub(super) struct CapRemainder {
    candidates: Vec<usize>,
    /// Above 0: a cap without showings left excludes its candidates.
    left: usize,
}

impl Cap<'_> {
    /// Applies the cap to the eligible candidates that its rule matches.
    pub(super) fn apply(
        &self,
        matched: Vec<usize>,
        candidates: &[CandidateArm<'_>],
        rules: &MatchedRules<'_>,
    ) -> CapEffect {
        let Self { rule, limit, together, showings } = *self;
        if !together {
            let excluded = matched.into_iter().filter(|&i| showings(candidates[i].arm) >= limit).collect();
            return CapEffect { excluded, remainder: None };
        }
        let matching = (0..candidates.len()).filter(|&i| rules.matches(rule, i));
        let of_candidates: u64 = matching.map(|i| showings(candidates[i].arm)).sum();
        let of_others: u64 = rules.matching_other_arms(rule).map(showings).sum();
        let left = limit.saturating_sub(of_candidates + of_others);
        if left == 0 {
            return CapEffect { excluded: matched, remainder: None };
        }
        let scarce = left < matched.len() as u64;
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        CapEffect { excluded: Vec::new(), remainder: scarce.then_some(CapRemainder { candidates: matched, left }) }
    }
}

/// Remainders of all shared caps of one request.
#[derive(Debug, Default)]
pub(super) struct CapRemainders(Vec<CapRemainder>);

impl CapRemainders {
    pub(super) fn push(&mut self, remainder: CapRemainder) {
        self.0.push(remainder);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the remainders as quotas of a slate of the eligible candidates `indices`.
    pub(super) fn quotas(&self, indices: &[usize]) -> Vec<Quota> {
        let quota = |remainder: &CapRemainder| Quota {
            values: indices.iter().map(|i| remainder.candidates.contains(i).then_some(0)).collect(),
            top: usize::MAX,
            min_values: None,
            max_per_value: Some(remainder.left),
        };
        self.0.iter().map(quota).collect()
    }

    /// Returns the number of leading candidates of a slate that the caps allow.
    pub(super) fn allowed_prefix(&self, slate: impl Iterator<Item = usize>) -> usize {
        let mut left = self.left();
        let mut allowed = 0;
        for candidate in slate {
            for (remainder, left) in self.0.iter().zip(&mut left).filter(|(r, _)| r.candidates.contains(&candidate)) {
                debug_assert!(remainder.left > 0);
                let Some(one_less) = left.checked_sub(1) else { return allowed };
                *left = one_less;
            }
            allowed += 1;
        }
        allowed
    }

    /// Returns the candidates that the caps allow if they are shown in this order.
    pub(super) fn allowed_in_order(&self, order: Vec<usize>) -> Vec<usize> {
        let mut left = self.left();
        let mut allowed = Vec::with_capacity(order.len());
        for candidate in order {
            let caps: Vec<usize> = (0..self.0.len()).filter(|&at| self.0[at].candidates.contains(&candidate)).collect();
            if caps.iter().all(|&at| left[at] > 0) {
                for at in caps {
                    left[at] -= 1;
                }
                allowed.push(candidate);
            }
        }
        allowed
    }

    fn left(&self) -> Vec<usize> {
        self.0.iter().map(|remainder| remainder.left).collect()
    }
}
