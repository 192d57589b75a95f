//! Slots: from messages to definitions, checked.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    controls::decode_controls,
    decode::{Decode, consent, features, timestamp},
    decode_learning::{goal, model},
    decode_rules::rules,
    proto,
};
use crate::{
    engine::{ArmDraft, Availability},
    node::payload_from_struct,
    slot::{
        Actor, Arm, ArmId, Definition, FieldError, Goal, Schedule, SlotId, SlotKind, Unavailable, limits::ARMS_MAX,
        shorten_key,
    },
};

/// A slot as a message gives it.
#[derive(Debug, Clone)]
pub(super) struct SlotDraft {
    /// All but its arms; what is unset has its default.
    pub(super) settings: Definition,
    /// Its arms.
    pub(super) arms: Vec<ArmDraft>,
    /// Which of the arms are given by nothing but their ids.
    pub(super) bare: Vec<bool>,
    /// The revision that it was made from; 0 for any.
    pub(super) revision: u64,
    /// The message itself, without its arms.
    pub(super) message: proto::Slot,
}

/// The slot of a request, whole and checked, and its revision; paths in errors begin with `slot`.
pub(super) fn slot(message: Option<proto::Slot>) -> Decode<(Definition, u64)> {
    let SlotDraft { mut settings, arms, bare: _, revision, message: _ } = draft(message)?;
    settings.arms = arms.into_iter().map(|draft| Arc::new(draft.arm)).collect();
    settings.check().map_err(|e| e.within("slot"))?;
    Ok((settings, revision))
}

/// The slot of a request that changes one: whether its fields hold together is seen with the rest of the slot.
pub(super) fn draft(message: Option<proto::Slot>) -> Decode<SlotDraft> {
    let message = message.ok_or_else(|| FieldError::new("slot", "is missing"))?;
    slot_fields(message).map_err(|e| e.within("slot"))
}

/// Returns the definition of a message, whether or not its fields hold together; paths in errors begin with the slot's
/// fields.
pub(super) fn unchecked(message: proto::Slot) -> Decode<Definition> {
    let SlotDraft { mut settings, arms, .. } = slot_fields(message)?;
    settings.arms = arms.into_iter().map(|draft| Arc::new(draft.arm)).collect();
    Ok(settings)
}

fn slot_fields(mut message: proto::Slot) -> Decode<SlotDraft> {
    let arms = std::mem::take(&mut message.arms);
    let proto::Slot {
        slot_id,
        display_name,
        kind,
        revision,
        arms: _,
        open_catalogue,
        default_arm_id,
        count,
        goal: g,
        model: m,
        controls: c,
        default_consent,
        rules: r,
    } = message.clone();
    let bare = arms.iter().map(is_bare).collect();
    let settings = Definition {
        id: SlotId::parse("slot_id", &slot_id)?,
        display_name,
        kind: match proto::SlotKind::try_from(kind) {
            Ok(proto::SlotKind::Unspecified | proto::SlotKind::Offer) => SlotKind::Offer,
            Ok(proto::SlotKind::Ranking) => SlotKind::Ranking,
            Ok(proto::SlotKind::Block) => SlotKind::Block,
            Err(_) => return Err(FieldError::new("kind", format!("{kind} is not a SlotKind"))),
        },
        arms: Vec::new(),
        open_catalogue,
        default_arm: if default_arm_id.is_empty() {
            None
        } else {
            Some(ArmId::parse("default_arm_id", &default_arm_id)?)
        },
        count: (count > 0).then_some(count),
        goal: g.map_or_else(|| Ok(Goal::default()), goal)?,
        model: model(m)?,
        controls: decode_controls(c)?,
        default_consent: consent("default_consent", default_consent)?.unwrap_or_default(),
        rules: rules(r)?,
    };
    Ok(SlotDraft { settings, arms: self::arms(arms)?, bare, revision, message })
}

/// Whether nothing of an arm is given but its id.
fn is_bare(arm: &proto::Arm) -> bool {
    let proto::Arm { arm_id: _, attributes, available, payload, unavailable_because, schedule } = arm;
    let because = *unavailable_because != proto::UnavailableBecause::Unspecified as i32;
    attributes.is_empty() && available.is_none() && payload.is_none() && !because && schedule.is_none()
}

/// Arms; paths in errors begin with `arms`.
pub(super) fn arms(arms: Vec<proto::Arm>) -> Decode<Vec<ArmDraft>> {
    let one = |message: proto::Arm| -> Decode<ArmDraft> {
        let proto::Arm { arm_id, attributes, available, payload, unavailable_because, schedule: when } = message;
        let payload = payload.map(payload_from_struct).transpose().map_err(|why| FieldError::new("payload", why))?;
        let (names_availability, names_schedule) = (available.is_some(), when.is_some());
        let arm = Arm {
            id: ArmId::parse("arm_id", &arm_id)?,
            attributes: features("attributes", attributes)?,
            available: available.unwrap_or(true),
            payload,
            because: because("unavailable_because", unavailable_because)?.filter(|_| available == Some(false)),
            schedule: when.map_or_else(|| Ok(Schedule::default()), |when| schedule("schedule", when))?,
        };
        Ok(ArmDraft { arm, names_availability, names_schedule })
    };
    arms.into_iter().enumerate().map(|(i, arm)| one(arm).map_err(|e| e.within(&format!("arms[{i}]")))).collect()
}

fn because(field: &str, number: i32) -> Decode<Option<Unavailable>> {
    Ok(match proto::UnavailableBecause::try_from(number) {
        Ok(proto::UnavailableBecause::Unspecified) => None,
        Ok(proto::UnavailableBecause::Paused) => Some(Unavailable::Paused),
        Ok(proto::UnavailableBecause::OutOfStock) => Some(Unavailable::OutOfStock),
        Err(_) => return Err(FieldError::new(field, format!("{number} is not an UnavailableBecause"))),
    })
}

fn schedule(field: &str, schedule: proto::Schedule) -> Decode<Schedule> {
    let proto::Schedule { from, until } = schedule;
    let at = |which: &str, time| timestamp(&format!("{field}.{which}"), time);
    Ok(Schedule {
        from_us: from.map(|time| at("from", time)).transpose()?,
        until_us: until.map(|time| at("until", time)).transpose()?,
    })
}

/// What becomes of arms, those of the map by their ids first.
pub(super) fn availability(
    available: HashMap<String, bool>,
    changes: Vec<proto::ArmAvailability>,
) -> Decode<Vec<(ArmId, Availability)>> {
    let total = available.len() + changes.len();
    if total == 0 || total > ARMS_MAX {
        let message = format!("has, with changes, {total} entries; 1 to {ARMS_MAX} are allowed");
        return Err(FieldError::new("available", message));
    }
    let mut plain: Vec<(String, bool)> = available.into_iter().collect();
    plain.sort();
    let mut result = Vec::with_capacity(total);
    for (arm, available) in plain {
        let id = ArmId::parse(&format!("available[{}]", shorten_key(&arm)), &arm)?;
        result.push((id, Availability::new(available)));
    }
    for (i, change) in changes.into_iter().enumerate() {
        result.push(change_of(change).map_err(|e| e.within(&format!("changes[{i}]")))?);
    }
    let mut seen = HashSet::with_capacity(total);
    match result.iter().find(|(arm, _)| !seen.insert(arm)) {
        Some((arm, _)) => Err(FieldError::new("changes", format!("the arm '{arm}' stands in the request twice"))),
        None => Ok(result),
    }
}

fn change_of(change: proto::ArmAvailability) -> Decode<(ArmId, Availability)> {
    let proto::ArmAvailability { arm_id, available, because: why, schedule: when } = change;
    let availability = Availability {
        available,
        because: because("because", why)?.filter(|_| available == Some(false)),
        schedule: when.map(|when| schedule("schedule", when)).transpose()?,
    };
    Ok((ArmId::parse("arm_id", &arm_id)?, availability))
}

/// The caller of a change, of an answer.
pub(super) fn actor(actor: Option<proto::Actor>) -> Actor {
    let proto::Actor { principal, origin, request_id } = actor.unwrap_or_default();
    Actor { principal, origin, request_id }
}
