//! Reports of what shoppers do as shopper events: one report for all slots, with the attributes of the item.

use slotwise::{
    bandit::Features,
    engine::{EventStatus, RewardEvent, ShopperEffect, ShopperEvent, ShopperItem, State, Subject, counted_attributes},
    slot::{ArmId, Consent},
};

use super::{engine_service::SEEN_KINDS, step::EventAnswer};

/// Time without an event after which a customer's profile is dropped, microseconds: the service's default, 180 days.
const KEEP_US: i64 = 180 * 86_400 * 1_000_000;

/// Returns the shopper event that a shop reports instead of a reward event, with what a server adds to it.
///
/// The event names the decision only if it has no item, as a report that something was seen, or if the shopper consents to
/// nothing and is not named.
pub(super) fn shopper_event(state: &State, event: RewardEvent, consent: Consent) -> ShopperEvent {
    let RewardEvent { slot: _, event_id, decision, subject, arm, kind, value, time_us, reverses } = event;
    let attributes = |item: &ArmId| {
        let arm = state.slots().find_map(|(_, slot)| slot.arm_with_attributes(item));
        arm.map_or_else(Features::new, |arm| counted_attributes(&arm.attributes))
    };
    let items = arm.map(|item| ShopperItem { attributes: attributes(&item), item, quantity: None, value });
    let items: Vec<ShopperItem> = items.into_iter().collect();
    let is_named = items.is_empty() || subject == Subject::default();
    ShopperEvent {
        event_id,
        kind,
        subject,
        consent,
        withdrawn: Subject::default(),
        simulated: true,
        items,
        attributes: Features::new(),
        query: String::new(),
        value: None,
        currency: None,
        viewed_through: None,
        decisions: decision.filter(|_| is_named).into_iter().collect(),
        time_us,
        reverses,
        keep_us: KEEP_US,
    }
}

/// Returns the answer to a shopper event in the words of reward events.
pub(super) fn shopper_answer(kind: &str, effect: &ShopperEffect) -> EventAnswer {
    let has = |wanted: EventStatus| {
        effect.slots.values().flat_map(|join| &join.remarks).any(|(_, answer)| answer.status == wanted)
    };
    let joined = effect.slots.values().any(|join| !join.joined.is_empty() || !join.accepted.is_empty());
    if effect.repeats.is_some() || has(EventStatus::Duplicate) {
        EventAnswer::Duplicate
    } else if joined || SEEN_KINDS.contains(&kind) {
        EventAnswer::Accepted
    } else if has(EventStatus::Late) {
        EventAnswer::Late
    } else {
        EventAnswer::Unmatched
    }
}
