//! Tests of silence that is learned at the pace of the rewards.

use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::bandit::ArmSummary;

/// Slot with a decision every 20 ms, whose rewards come after an exponential delay of 100 s: some 5,000 decisions later.
struct BusySlot {
    world: StateHarness,
    rng: StdRng,
    rates: BTreeMap<&'static str, f64>,
    /// Decisions that will be rewarded, by time and number.
    due: BTreeMap<(i64, u64), Arc<DecisionRecord>>,
}

impl BusySlot {
    const DELAY_S: f64 = 100.0;
    const STEP_US: i64 = 20_000;

    fn new(seed: u64, rates: &[(&'static str, f64)]) -> Self {
        let arms: Vec<&str> = rates.iter().map(|&(arm, _)| arm).collect();
        let model = ModelSpec::beta_bernoulli(None, None);
        let world = StateHarness::new(Definition { model, ..definition(&arms) });
        Self { world, rng: StdRng::seed_from_u64(seed), rates: rates.iter().copied().collect(), due: BTreeMap::new() }
    }

    /// Makes this many decisions. Returns the share of an arm.
    fn run(&mut self, decisions: u64, arm: &str) -> f64 {
        let mut shown = 0_u64;
        for _ in 0..decisions {
            let now_us = self.world.at_us + Self::STEP_US;
            while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= now_us) {
                let ((at_us, number), decided) = entry.remove_entry();
                self.world.at_us = at_us;
                self.world.reward(&format!("e{number}"), &decided, "click", None);
            }
            self.world.at_us = now_us;
            let decided = self.world.decide(request());
            let chosen = decided.chosen[0].arm.as_str();
            shown += u64::from(chosen == arm);
            let (seen, delay) = (self.rng.random_bool(self.rates[chosen]), -self.rng.random::<f64>().ln());
            if seen {
                let delay = Duration::from_secs_f64(Self::DELAY_S * delay);
                let due_us = now_us + i64::try_from(delay.as_micros()).unwrap();
                self.due.insert((due_us, self.world.count), decided);
            }
        }
        shown as f64 / decisions as f64
    }

    /// Mean reward of an arm, as it was learned so far.
    fn mean(&self, arm: &str) -> f64 {
        let report = report(&self.world.state.slot("offers").unwrap().view());
        report.arms.iter().find(|reported| reported.arm.as_str() == arm).unwrap().mean
    }
}

/// Early rewards are those of short delays, so the delays that are known at first are too short and silence comes a little early:
/// the rate is too low at first, but never far too high.
#[test]
fn a_young_busy_slot_does_not_expect_too_much() {
    for rate in [0.05, 0.5] {
        let mut slot = BusySlot::new(5, &[("a", rate)]);
        for least in [0.0, 0.25, 0.45, 0.55, 0.65] {
            slot.run(5_000, "a");
            let mean = slot.mean("a");
            // Three standard errors of 2,000 decisions are three tenths of a rate of .05.
            assert!(mean > least * rate && mean < 1.3 * rate, "{mean} of {rate}, at least {least}");
        }
        slot.run(75_000, "a");
        let mean = slot.mean("a");
        assert!((mean / rate - 1.0).abs() < 0.12, "{mean} of {rate}");
    }
}

/// An arm is new in a busy slot, and worse than the others. Its rewards come before nearly all of its silence would have lasted
/// long enough, and yet it does not take over.
#[test]
fn a_new_arm_is_not_shown_to_everybody_for_its_early_rewards() {
    let mut slot = BusySlot::new(6, &[("a", 0.1), ("b", 0.08)]);
    slot.run(30_000, "a");
    slot.rates.insert("c", 0.05);
    slot.world.update(|definition| definition.arms.extend(self::definition(&["c"]).arms));
    let early = slot.run(10_000, "c");
    assert!(early < 0.4, "{early}");
    let late = slot.run(10_000, "c");
    assert!(late < 0.1, "{late}");
}

/// Rewards that are collected for some minutes say nothing about decisions that are newer than the last collection.
#[test]
fn silence_waits_for_the_next_batch_of_rewards() {
    let mut world = StateHarness::new(definition(&["a"]));
    let learned = |world: &StateHarness| {
        world.state.slot("offers").unwrap().view().learner.summary(0).map_or(0.0, ArmSummary::weight)
    };
    for batch in 0..20 {
        let before = learned(&world);
        let mut waiting = Vec::new();
        for _ in 0..200 {
            world.at_us += 100_000;
            waiting.push(world.decide(request()));
        }
        if batch > 1 {
            // A silence is certain after 95 % of the delays, which is 18 of the 20 seconds, so the 20 oldest are learned. By their
            // delays alone, half of the batch would be.
            let early = learned(&world) - before;
            assert!(early <= 25.0, "{early} in batch {batch}");
        }
        for (i, decided) in waiting.iter().enumerate().filter(|(i, _)| i % 10 == 9) {
            world.reward(&format!("{batch}-{i}"), decided, "click", None);
        }
    }
    let observations = learned(&world);
    assert!((3_900.0..=4_000.0).contains(&observations), "{observations}");
}
