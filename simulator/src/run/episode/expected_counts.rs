//! What a slot heard of its decisions in time, as far as it still remembers them: what it should have counted.
//!
//! Invariants: which decisions a reset made it forget follows from their ids alone, whenever they were asked for and
//! answered; each event counts once.

use slotwise::{engine::Decided, slot::Goal};

use super::{
    agent::{EventAnswer, index},
    queue::EventOrigin,
};
use crate::{
    environment::{Environment, Way, reward, value},
    scenario::FunnelStep,
};

/// What a slot should remember.
#[derive(Debug)]
pub(super) struct ExpectedCounts {
    /// Arms of a decision.
    count: usize,
    /// Per visit and place, the arm and the way that the slot heard of in time.
    heard: Vec<Option<(usize, Way)>>,
    /// The newest number of the slot in a decision's id: each reset gives it a higher one.
    generation: u32,
    /// The newest of those that a reset is known to have ended.
    over: u32,
}

impl ExpectedCounts {
    /// Of a slot that shows so many arms, at its start.
    pub(super) fn new(count: usize) -> Self {
        Self { count, heard: Vec::new(), generation: 0, over: 0 }
    }

    /// The newest life of the slot that a decision told of; 0: none did.
    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    /// A reset was answered, and `before` is the newest life that was known of when it was sent. Whether all is forgotten
    /// that was heard so far: so it is, unless a decision of a newer life was answered since. (Where none at all was
    /// answered before a reset was sent, what was answered since is taken for the new life's.)
    pub(super) fn reset(&mut self, before: u32) -> bool {
        let forgotten = self.generation == before;
        if forgotten {
            self.over = before;
            self.heard.clear();
        }
        forgotten
    }

    /// A decision says that the slot was reset since those that are known: all that was heard is forgotten.
    pub(super) fn starts_new_generation(&mut self, decided: &Decided) -> bool {
        let anew = decided.id.slot() > self.generation;
        if anew {
            self.generation = decided.id.slot();
            self.heard.clear();
        }
        anew
    }

    /// Whether the slot remembers a decision.
    pub(super) fn holds(&self, decided: &Decided) -> bool {
        decided.id.slot() == self.generation && self.generation > self.over
    }

    /// Remembers the arms that were chosen at a visit. Answers may come out of order.
    pub(super) fn remember(&mut self, chosen: &[usize], visit: u64) {
        let (from, count) = (index(visit) * self.count, self.count);
        if self.heard.len() < from + count {
            self.heard.resize(from + count, None);
        }
        for (heard, arm) in self.heard[from..from + count].iter_mut().zip(chosen) {
            *heard = Some((*arm, 0));
        }
    }

    /// Takes in an event that the slot answered.
    pub(super) fn heard(&mut self, steps: &[FunnelStep], of: EventOrigin, reverses: bool, heard: Option<EventAnswer>) {
        // What takes an event back is taken as long as its decision is remembered, which may be a while longer than
        // the window.
        let in_time = of.in_time || (reverses && heard == Some(EventAnswer::Accepted));
        let Some(place) = of.place.filter(|_| in_time) else { return };
        let at = index(of.visit) * self.count + place;
        if let Some(Some((_, way))) = self.heard.get_mut(at) {
            let known = crate::environment::needs(steps, of.step).is_some_and(|after| *way & (1 << after) != 0);
            // What takes back an event that is not known takes back nothing.
            if !reverses || known {
                *way |= 1 << of.step;
            }
        }
    }

    /// What the slot counted, `have`, beside what it should have: the relative difference.
    pub(super) fn error(&self, goal: &Goal, steps: &[FunnelStep], environment: &Environment<'_>, have: f64) -> f64 {
        let of = |&(arm, way): &(usize, Way)| reward(goal, steps, way, |i| value(&steps[i], &environment.arms()[arm]));
        let want: f64 = self.heard.iter().flatten().map(of).sum();
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

    /// One of the engine's, of this life.
    fn decided(generation: u32) -> Decided {
        let slot = SlotId::parse("slot", "s").unwrap();
        let arms = vec![Arc::new(Arm::new(ArmId::parse("arm", "a").unwrap()))];
        let service = EngineService::new(Definition { arms, ..Definition::new(slot.clone()) }, 0).unwrap();
        let decided = service.decide(slotwise::engine::Request::new(slot), 0, [0, 0]).unwrap().decided;
        Decided { id: DecisionId::new(generation, 0, 0), ..decided }
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
    fn a_decision_of_a_new_life_is_the_first_that_counts_whenever_the_reset_is_answered() {
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
                (0..expected_counts.heard.len()).filter(|&i| expected_counts.heard[i].is_some()).collect();
            assert_eq!(kept, [3], "{answered_first}");
        }
    }
}
