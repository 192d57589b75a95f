//! The loop of a replay: deliver delayed rewards, decide, compare with the label, reward.

use slotwise::{engine::Request, slot::SlotId};

use super::{
    ReplayError, ReplayProgress, ReplayRun, RowTiming, Tenths, Variant,
    setup::{CORRECT, WRONG},
    timing::TimedRow,
};
use crate::{
    dataset::Dataset,
    learning::service::{BanditService, Reward},
};

/// Returns the first of the last 20 % of `rounds`: ⌊0.8 · rounds⌋.
pub fn tail_start(rounds: usize) -> usize {
    // A data set has at most a million rows, so nothing overflows.
    rounds * 4 / 5
}

/// The stream: a set, a slot and their settings.
#[derive(Debug, Clone, Copy)]
pub struct StreamPlan<'a> {
    /// The set.
    pub dataset: &'a Dataset,
    /// The slot, which exists.
    pub slot: &'a SlotId,
    /// The slot's arms, by the index of their class.
    pub arms: &'a [String],
    /// Seed of the order.
    pub seed: u64,
    /// Number of rows, at most the set's.
    pub rounds: usize,
    /// Changes on the way, and delays of rewards.
    pub variant: Variant,
    /// True if a reward of 0 sends no event.
    pub silent_zeros: bool,
    /// Order and times of the rows.
    pub timing: &'a RowTiming,
}

/// Streams rows, in the order of their seed or their times, through a slot.
///
/// Every round's reward is an event of value 0 or 1. With `silent_zeros` only a reward of 1 sends an event, and 0 is
/// the slot's default. The event of round t is named after t and its decision, so it is unique in any slot.
pub async fn stream(
    service: &mut impl BanditService,
    plan: &StreamPlan<'_>,
    watch: &mut dyn ReplayProgress,
) -> Result<ReplayRun, ReplayError> {
    let StreamPlan { dataset, slot, arms, seed, rounds, variant, silent_zeros, timing } = *plan;
    let mut count = Count::default();
    let mut waiting = Vec::new();
    for (t, TimedRow { row, at_us }) in timing.rows(dataset, seed, rounds)?.into_iter().enumerate() {
        if variant.batch_arrives_before(t) {
            for reward in waiting.drain(..) {
                service.reward(reward).await?;
            }
        }
        let mut request = Request::new(slot.clone());
        request.context = dataset.features(row);
        if let Some(column) = timing.column() {
            request.context.remove(column);
        }
        service.set_time(at_us);
        let choice = service.decide(request).await?;
        let Some(arm) = arms.iter().position(|arm| *arm == choice.arm) else {
            return Err(ReplayError::Arm { slot: slot.to_string(), arm: choice.arm });
        };
        let right = arm == variant.right_arm(dataset.label(row), t, rounds, arms.len());
        count.round(t, rounds, right, choice.fallback);
        if right || !silent_zeros {
            let event = format!("{t}-{}", choice.decision);
            let value = f64::from(u8::from(right));
            let (slot, kind) = (slot.clone(), if right { CORRECT } else { WRONG }.to_owned());
            let reward = Reward { slot, event, decision: choice.decision, kind, value };
            if variant.delay.is_some() {
                waiting.push(reward);
            } else {
                service.reward(reward).await?;
            }
        }
        watch.round(t + 1, count.wrong);
    }
    Ok(count.run(seed, rounds))
}

/// Counts of a pass.
#[derive(Default)]
struct Count {
    wrong: usize,
    wrong_in_tail: usize,
    fallbacks: usize,
    tenths: Tenths,
}

impl Count {
    fn round(&mut self, t: usize, rounds: usize, right: bool, fallback: bool) {
        self.fallbacks += usize::from(fallback);
        self.wrong += usize::from(!right);
        self.wrong_in_tail += usize::from(!right && t >= tail_start(rounds));
        self.tenths.count(t, rounds, !right);
    }

    fn run(self, seed: u64, rounds: usize) -> ReplayRun {
        let share = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        ReplayRun {
            seed,
            loss: share(self.wrong, rounds),
            loss_last_20_percent: share(self.wrong_in_tail, rounds - tail_start(rounds)),
            rewards: rounds - self.wrong,
            fallbacks: self.fallbacks,
            loss_by_tenth: self.tenths,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_last_fifth_rounded_up() {
        assert_eq!([1, 4, 5, 10, 10_992].map(tail_start), [0, 3, 4, 8, 8793]);
    }

    #[test]
    fn losses_are_shares_of_their_own_rounds() {
        let mut count = Count::default();
        for t in 0..11 {
            count.round(t, 11, !matches!(t, 1 | 2 | 7 | 10), t == 5);
        }
        let run = count.run(3, 11);
        assert!((run.loss - 4.0 / 11.0).abs() < 1e-15 && run.rewards == 7 && run.fallbacks == 1);
        assert!((run.loss_last_20_percent - 1.0 / 3.0).abs() < 1e-15, "rounds 8, 9 and 10 are the tail");
    }
}
