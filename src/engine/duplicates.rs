//! Events whose id was used before: are they repetitions of the first, or about something else?

use super::{
    event::Rewarded,
    ids::{Key, hash},
    pending::{Accepted, PendingDecision, ShownArm, subject_keys},
    reply::{FirstEvent, RewardAnswer, RewardNote},
    reward::RewardOutcome,
    state::SlotState,
};
use crate::slot::ArmId;

/// Returns a hash of the content of an event without a decision. It is never 0.
pub(super) fn content_word(event: &Rewarded) -> u64 {
    let arm = event.arm.as_ref().map_or("", ArmId::as_str);
    let value = event.value.map_or([0; 9], |value| {
        let mut bytes = [1; 9];
        bytes[1..].copy_from_slice(&value.to_bits().to_be_bytes());
        bytes
    });
    hash("content", &[event.kind.as_bytes(), &value, arm.as_bytes()]).word().max(1)
}

/// Returns `true` if two events of one id have the same value.
fn same_value(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.total_cmp(&b).is_eq(),
        (a, b) => a.is_none() && b.is_none(),
    }
}

impl SlotState {
    /// Returns the answer to an event whose id was accepted before, or `None` if it was not.
    pub(super) fn duplicate(&self, key: Key, event: &Rewarded) -> Option<RewardAnswer> {
        let duplicate = RewardOutcome::Duplicate;
        if let Some(at) = self.look_up(|queue| queue.event(key).map(|known| known.0)) {
            let other = self.decision(at).and_then(|decision| self.first_event(&decision, key, event));
            return Some(other.map_or(RewardAnswer::new(duplicate), |first| {
                RewardAnswer::with(duplicate, RewardNote::Other(first))
            }));
        }
        let first = self.memory.find(key)?;
        // An event from before contents were remembered is taken to be the same.
        if first.content == 0 || first.content == content_word(event) {
            return Some(RewardAnswer::new(duplicate));
        }
        let first = FirstEvent { came_us: Some(first.came_us), ..FirstEvent::default() };
        Some(RewardAnswer::with(duplicate, RewardNote::Other(first)))
    }

    /// Returns the first event of this id if it differs from `event`.
    fn first_event(&self, decision: &PendingDecision, key: Key, event: &Rewarded) -> Option<FirstEvent> {
        let known = decision.events.iter().find(|known| known.event == key)?;
        let of_arm = |shown: &ShownArm| shown.counted.iter().any(|counted| counted.event == key);
        let counting = decision.shown.iter().find(|shown| of_arm(shown));
        let counted = counting.and_then(|shown| shown.counted.iter().find(|counted| counted.event == key));
        let content = known.content.as_ref().map(|(kind, value)| (kind, *value));
        let (kind, value) = counted.map(|counted| (&counted.kind, counted.value)).or(content)?;
        let arm = match known.what {
            Accepted::Event(arm) => self.arms.names().get(arm as usize).cloned(),
            Accepted::Reversed | Accepted::Reversal => None,
        };
        let reversal = known.what == Accepted::Reversal;
        let elsewhere = match event.decision {
            Some(id) => id != decision.id,
            None => !subject_keys(&event.subject).any(|key| decision.subjects.contains(&key)),
        };
        let other_arm = event.arm.is_some() && arm.is_some() && event.arm != arm;
        let same = **kind == *event.kind
            && same_value(value, event.value)
            && reversal == event.reverses.is_some()
            && !elsewhere
            && !other_arm;
        (!same).then(|| FirstEvent {
            decision: Some(decision.id),
            kind: Some(kind.to_string()),
            value,
            arm,
            reversal,
            came_us: None,
        })
    }
}
