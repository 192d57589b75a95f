//! Check of the ratio in which subjects were assigned to two groups.

use super::{
    confidence::{TUNED_FOR, tuning},
    math::{exp, ln_1p, square},
};

/// Least number of groups of subjects that a check takes.
const GROUPS_MIN: usize = 32;
/// Least number of decisions that a check takes.
const DECISIONS_MIN: f64 = 500.0;

/// Counts of one group of subjects.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AssignedCounts {
    /// Number of decisions.
    pub all: f64,
    /// Number of those whose subject was assigned to the smaller group.
    pub assigned: f64,
}

/// Returns the p-value of "each subject is assigned with probability `share`", or `None` while there are too few decisions. It
/// holds however often one looks: if the statement is true, it is ever below p with probability p at most, asymptotically.
///
/// The subjects of each element of `groups` must be others, chosen by a hash, so that the deviations of the groups are independent
/// however often a subject comes back.
///
/// # Source
///
/// The normal mixture of Waudby-Smith et al. (2024), theorem 2.2, in the variance over groups.
///
/// # Examples
///
/// ```
/// use slotwise::stats::{AssignedCounts, ratio_p_value};
///
/// // One half was meant, and 60 % came.
/// let groups = [AssignedCounts { all: 100.0, assigned: 60.0 }; 64];
/// assert!(ratio_p_value(&groups, 0.5).unwrap() < 1e-6);
/// ```
pub fn ratio_p_value(groups: &[AssignedCounts], share: f64) -> Option<f64> {
    let filled = groups.iter().filter(|group| group.all > 0.0).count();
    let all: f64 = groups.iter().map(|group| group.all).sum();
    if filled < GROUPS_MIN || all < DECISIONS_MIN {
        return None;
    }
    let deviations = groups.iter().map(|group| group.assigned - share * group.all);
    let (sum, squares) = deviations.fold((0.0, 0.0), |(sum, squares), d| (sum + d, squares + square(d)));
    if squares <= 0.0 {
        return Some(1.0);
    }
    let x = all * tuning(0.05) / TUNED_FOR;
    let evidence = 0.5 * (square(sum) / squares) * x / (1.0 + x) - 0.5 * ln_1p(x);
    Some(exp(-evidence).min(1.0))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    fn empty() -> Vec<AssignedCounts> {
        vec![AssignedCounts { all: 0.0, assigned: 0.0 }; 64]
    }

    /// Over whole lives with returning subjects the check is ever below 5 % in at most 5 % of them, and it finds a share that is
    /// off.
    #[test]
    fn the_p_value_holds_over_whole_lives_and_finds_a_wrong_share() {
        let mut rng = StdRng::seed_from_u64(42);
        let (lives, share) = (300_u32, 0.1);
        for visits in [1, 20] {
            let mut wrong = 0;
            for _ in 0..lives {
                let (mut groups, mut least) = (empty(), 1.0_f64);
                for subject in 0..(20_000 / visits) {
                    let assigned = rng.random_bool(share);
                    let group = &mut groups[subject % 64];
                    group.all += visits as f64;
                    group.assigned += if assigned { visits as f64 } else { 0.0 };
                    if subject % 10 == 0 {
                        least = least.min(ratio_p_value(&groups, share).unwrap_or(1.0));
                    }
                }
                wrong += u32::from(least < 0.05);
            }
            // 15 of 300 are expected at most; four standard errors are 15.
            assert!(wrong <= 30, "{visits} visits: {wrong} of {lives}");
        }
        let mut groups = empty();
        for subject in 0..30_000 {
            let group = &mut groups[subject % 64];
            group.all += 1.0;
            group.assigned += f64::from(u8::from(rng.random_bool(0.08)));
        }
        assert!(ratio_p_value(&groups, share).unwrap() < 1e-4);
        assert_eq!(ratio_p_value(&empty(), share), None);
    }
}
