//! The loop: decide, compare with the label, reward.

use slotwise::{engine::Request, slot::SlotId};

use super::{ReplayError, Run, Watch, setup::CORRECT};
use crate::{
    dataset::Dataset,
    order::permutation,
    service::{Reward, Service},
};

/// The first of the last 20 % of `rounds`: ⌊0.8 · rounds⌋.
pub fn tail_start(rounds: usize) -> usize {
    // Rows are at most a million: no overflow.
    rounds * 4 / 5
}

/// Streams the first `rounds` rows, in the order of `seed`, through a slot whose arms are `arms`.
///
/// Only a reward of 1 is an event: a reward of 0 is the slot's default and needs none. Round t's
/// event is named after t and its decision, so it is unique in any slot.
pub async fn stream(
    service: &mut impl Service,
    dataset: &Dataset,
    slot: &SlotId,
    arms: &[String],
    seed: u64,
    rounds: usize,
    watch: &mut dyn Watch,
) -> Result<Run, ReplayError> {
    let mut count = Count::default();
    for (t, row) in permutation(dataset.rows(), seed).into_iter().take(rounds).enumerate() {
        let mut request = Request::new(slot.clone());
        request.context = dataset.features(row);
        let choice = service.decide(request).await?;
        let Some(arm) = arms.iter().position(|arm| *arm == choice.arm) else {
            return Err(ReplayError::Arm { slot: slot.to_string(), arm: choice.arm });
        };
        let right = arm == dataset.label(row);
        count.fallbacks += usize::from(choice.fallback);
        count.wrong += usize::from(!right);
        count.wrong_in_tail += usize::from(!right && t >= tail_start(rounds));
        if right {
            let event = format!("{t}-{}", choice.decision);
            let reward = Reward { slot: slot.clone(), event, decision: choice.decision, kind: CORRECT.to_owned() };
            service.reward(reward).await?;
        }
        watch.round(t + 1, count.wrong);
    }
    Ok(count.run(seed, rounds))
}

/// What is counted of a pass.
#[derive(Default)]
struct Count {
    wrong: usize,
    wrong_in_tail: usize,
    fallbacks: usize,
}

impl Count {
    fn run(&self, seed: u64, rounds: usize) -> Run {
        let share = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        Run {
            seed,
            loss: share(self.wrong, rounds),
            loss_last_20_percent: share(self.wrong_in_tail, rounds - tail_start(rounds)),
            rewards: rounds - self.wrong,
            fallbacks: self.fallbacks,
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
        let run = Count { wrong: 4, wrong_in_tail: 1, fallbacks: 0 }.run(3, 11);
        assert!((run.loss - 4.0 / 11.0).abs() < 1e-15 && run.rewards == 7);
        assert!((run.loss_last_20_percent - 1.0 / 3.0).abs() < 1e-15, "rounds 8, 9 and 10 are the tail");
    }
}
