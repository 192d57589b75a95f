//! Rewards that a slot should have counted: the answered events of the decisions that it still remembers.
//!
//! Invariants:
//!
//! * Decision ids alone say which decisions a reset made the slot forget, in whatever order requests and answers came.
//! * Each event counts once.

use slotwise::{engine::DecisionRecord, slot::Goal};

use super::{agent::index, queue::EventOrigin, step::EventAnswer};
use crate::{
    environment::{Environment, FunnelPath, reward, value},
    scenario::FunnelStep,
};

/// Decisions that a slot should remember, with their events.
#[derive(Debug)]
pub(super) struct ExpectedCounts {
    /// Arms per decision.
    count: usize,
    /// The arm and the funnel steps counted in time, by visit and position.
    paths: Vec<Option<(usize, FunnelPath)>>,
    /// The latest slot generation seen in a decision id. Each reset raises it.
    generation: u32,
    /// The latest generation that a reset is known to have ended.
    ended_generation: u32,
}

impl ExpectedCounts {
    /// Returns the counts of a slot that shows `count` arms, at its start.
    pub(super) fn new(count: usize) -> Self {
        Self { count, paths: Vec::new(), generation: 0, ended_generation: 0 }
    }

    /// Returns the latest generation seen in a decision id, or 0 before the first decision.
    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    /// Records that a reset was answered. `before` is the latest generation that was known when the reset was sent.
    /// Returns whether everything counted so far is forgotten. It is not if a decision of a newer generation was
    /// answered since. If no decision was answered before the reset was sent, decisions answered since count as the
    /// new generation's.
    pub(super) fn reset(&mut self, before: u32) -> bool {
        let forgotten = self.generation == before;
        if forgotten {
            self.ended_generation = before;
            self.paths.clear();
        }
        forgotten
    }

    /// Forgets everything if a decision belongs to a newer generation, and returns whether it does.
    pub(super) fn starts_new_generation(&mut self, decided: &DecisionRecord) -> bool {
        let anew = decided.id.slot() > self.generation;
        if anew {
            self.generation = decided.id.slot();
            self.paths.clear();
        }
        anew
    }

    /// Returns whether the slot remembers a decision.
    pub(super) fn holds(&self, decided: &DecisionRecord) -> bool {
        decided.id.slot() == self.generation && self.generation > self.ended_generation
    }

    /// Remembers the arms that were chosen at a visit. Answers can arrive out of order.
    pub(super) fn remember(&mut self, chosen: &[usize], visit: u64) {
        let (from, count) = (index(visit) * self.count, self.count);
        if self.paths.len() < from + count {
            self.paths.resize(from + count, None);
        }
        for (path, arm) in self.paths[from..from + count].iter_mut().zip(chosen) {
            *path = Some((*arm, 0));
        }
    }

    /// Counts an event that the slot answered.
    pub(super) fn count_answer(
        &mut self,
        steps: &[FunnelStep],
        of: EventOrigin,
        reverses: bool,
        answer: Option<EventAnswer>,
    ) {
        // A slot accepts a reversal as long as it remembers the decision, which can be longer than the window.
        let in_time = of.in_time || (reverses && answer == Some(EventAnswer::Accepted));
        let Some(place) = of.place.filter(|_| in_time) else { return };
        let at = index(of.visit) * self.count + place;
        if let Some(Some((_, path))) = self.paths.get_mut(at) {
            let known = crate::environment::needs(steps, of.step).is_some_and(|after| *path & (1 << after) != 0);
            // A reversal of an unknown event has no effect.
            if !reverses || known {
                *path |= 1 << of.step;
            }
        }
    }

    /// Returns the relative difference between the reward that the slot counted, `have`, and the one it should have
    /// counted.
    pub(super) fn error(&self, goal: &Goal, steps: &[FunnelStep], environment: &Environment<'_>, have: f64) -> f64 {
        let of = |&(arm, path): &(usize, FunnelPath)| {
            reward(goal, steps, path, |i| value(&steps[i], &environment.arms()[arm]))
        };
        let want: f64 = self.paths.iter().flatten().map(of).sum();
        if want.abs() > 0.0 { (have - want).abs() / want.abs() } else { have.abs() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use slotwise::{
        engine::DecisionId,
        slot::{Arm, ArmId, Definition, SlotId},
    };

    use super::*;
    use crate::run::episode::EngineService;

    /// Returns a decision of the engine in this generation.
    fn decided(generation: u32) -> DecisionRecord {
        let slot = SlotId::parse("slot", "s").unwrap();
        let arms = vec![Arc::new(Arm::new(ArmId::parse("arm", "a").unwrap()))];
        let service = EngineService::new(Definition { arms, ..Definition::new(slot.clone()) }, 0).unwrap();
        let decided = service.decide(slotwise::engine::Request::new(slot), 0, [0, 0]).unwrap().decided;
        DecisionRecord { id: DecisionId::new(generation, 0, 0), ..decided }
    }

    fn take(expected_counts: &mut ExpectedCounts, generation: u32, visit: u64) -> bool {
        expected_counts.starts_new_generation(&decided(generation));
        let holds = expected_counts.holds(&decided(generation));
        if holds {
            expected_counts.remember(&[0], visit);
        }
        holds
    }

    #[test]
    fn decisions_of_a_new_generation_count_whenever_the_reset_is_answered() {
        for answered_first in [true, false] {
            let mut expected_counts = ExpectedCounts::new(1);
            assert!(take(&mut expected_counts, 3, 0) && take(&mut expected_counts, 3, 2));
            let before = expected_counts.generation();
            assert!(take(&mut expected_counts, 3, 1), "the reset is under way");
            if answered_first {
                assert!(expected_counts.reset(before));
                assert!(!take(&mut expected_counts, 3, 4), "made before it, answered after it");
                assert!(take(&mut expected_counts, 5, 3));
            } else {
                assert!(take(&mut expected_counts, 5, 3));
                assert!(!expected_counts.reset(before), "what the new life began with is not forgotten");
                assert!(!take(&mut expected_counts, 3, 4), "made before it, answered after it");
            }
            let kept: Vec<usize> =
                (0..expected_counts.paths.len()).filter(|&i| expected_counts.paths[i].is_some()).collect();
            assert_eq!(kept, [3], "{answered_first}");
        }
    }
}
