//! Events whose id was used before: are they repetitions of the first, or about something else?

use crate::{
    engine::{
        answer::{EventStatus, FirstEvent, RewardAnswer, RewardNote},
        event::RewardEvent,
        ids::{Hash128, hash},
        pending::{EventRole, PendingDecision, ShownArm, event_key, subject_keys},
        slot_state::SlotState,
    },
    slot::ArmId,
};

/// Returns a hash of the content of an event without a decision. It is never 0.
pub(super) fn content_word(event: &RewardEvent) -> u64 {
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
    /// Returns `true` if an event of this id was accepted for a decision that is still known, or is remembered itself.
    pub(in crate::engine) fn knows_event(&self, event_id: &str) -> bool {
        let key = event_key(event_id);
        self.decisions.find(|queue| queue.find_event(key).map(|known| known.0)).is_some()
            || self.event_memory.find(key).is_some()
    }

    /// Counts and answers an event whose id a shopper event has used.
    pub(in crate::engine) fn count_duplicate(&mut self, first: FirstEvent) -> RewardAnswer {
        self.counters.add_event(EventStatus::Duplicate);
        RewardAnswer::with_note(EventStatus::Duplicate, RewardNote::DifferentEvent(first))
    }

    /// Returns the answer to an event whose id was accepted before, or `None` if it was not.
    pub(super) fn duplicate(&self, key: Hash128, event: &RewardEvent) -> Option<RewardAnswer> {
        let duplicate = EventStatus::Duplicate;
        if let Some(at) = self.decisions.find(|queue| queue.find_event(key).map(|known| known.0)) {
            let other = self.decisions.get(at).and_then(|decision| self.first_event(&decision, key, event));
            return Some(other.map_or(RewardAnswer::new(duplicate), |first| {
                RewardAnswer::with_note(duplicate, RewardNote::DifferentEvent(first))
            }));
        }
        let first = self.event_memory.find(key)?;
        // An event from before contents were remembered is taken to be the same.
        if first.content == 0 || first.content == content_word(event) {
            return Some(RewardAnswer::new(duplicate));
        }
        let first = FirstEvent { came_us: Some(first.came_us), ..FirstEvent::default() };
        Some(RewardAnswer::with_note(duplicate, RewardNote::DifferentEvent(first)))
    }

    /// Returns the first event of this id if it differs from `event`.
    fn first_event(&self, decision: &PendingDecision, key: Hash128, event: &RewardEvent) -> Option<FirstEvent> {
        let record = decision.events.iter().find(|record| record.event == key)?;
        let of_arm = |shown: &ShownArm| shown.counted.iter().any(|counted| counted.event == key);
        let counting = decision.shown.iter().find(|shown| of_arm(shown));
        let counted = counting.and_then(|shown| shown.counted.iter().find(|counted| counted.event == key));
        let content = record.content.as_ref().map(|(kind, value)| (kind, *value));
        let (kind, value) = counted.map(|counted| (&counted.kind, counted.value)).or(content)?;
        let arm = match record.role {
            EventRole::Reward(arm) => self.design.arms.names().get(arm as usize).cloned(),
            EventRole::Reversed | EventRole::Reversal => None,
        };
        let reversal = record.role == EventRole::Reversal;
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
