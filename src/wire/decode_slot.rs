//! Decoding of slots, arms and changes of availability.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    controls::decode_controls,
    decode::{FieldResult, decode_features, decode_timestamp},
    decode_learning::{decode_goal, decode_model},
    decode_rules::decode_rules,
    enums::decode_enum,
    proto,
};
use crate::{
    engine::{ArmDraft, Availability},
    node::payload_from_struct,
    slot::{
        Actor, Arm, ArmId, Definition, FieldError, Goal, Schedule, SlotId, SlotKind, limits::ARMS_MAX, shorten,
        shorten_key,
    },
};

/// Slot of a request, before it is combined with the current slot.
#[derive(Debug, Clone)]
pub(crate) struct SlotDraft {
    /// Definition without its arms. Unset fields have their defaults.
    pub(crate) settings: Definition,
    /// Arms of the message.
    pub(crate) arms: Vec<ArmDraft>,
    /// Flags of the arms, `true` if nothing but the id is given.
    pub(crate) bare: Vec<bool>,
    /// Revision from which the change was made, or 0 for any.
    pub(crate) revision: u64,
    /// Message without its arms.
    pub(crate) message: proto::Slot,
}

/// Decodes and checks a whole slot. Returns it with its revision. Paths in errors begin with `slot`.
pub(crate) fn slot(message: Option<proto::Slot>) -> FieldResult<(Definition, u64)> {
    let SlotDraft { mut settings, arms, bare: _, revision, message: _ } = draft(message)?;
    settings.arms = arms.into_iter().map(|draft| Arc::new(draft.arm)).collect();
    settings.check().map_err(|e| e.within("slot"))?;
    Ok((settings, revision))
}

/// Decodes the slot of a request that changes one. The fields are checked against each other later, together with the
/// current slot. Paths in errors begin with `slot`.
pub(crate) fn draft(message: Option<proto::Slot>) -> FieldResult<SlotDraft> {
    let message = message.ok_or_else(|| FieldError::new("slot", "is missing"))?;
    slot_fields(message).map_err(|e| e.within("slot"))
}

/// Decodes a slot without checking its fields against each other. Paths in errors begin with the slot's fields.
pub(crate) fn unchecked(message: proto::Slot) -> FieldResult<Definition> {
    let SlotDraft { mut settings, arms, .. } = slot_fields(message)?;
    settings.arms = arms.into_iter().map(|draft| Arc::new(draft.arm)).collect();
    Ok(settings)
}

fn slot_fields(mut message: proto::Slot) -> FieldResult<SlotDraft> {
    let arms = std::mem::take(&mut message.arms);
    let proto::Slot {
        slot_id,
        display_name,
        kind,
        revision,
        arms: _,
        open_catalogue,
        from_catalogue,
        default_arm_id,
        count,
        goal,
        model,
        controls,
        default_consent,
        rules,
    } = message.clone();
    let bare = arms.iter().map(is_bare).collect();
    let settings = Definition {
        // The slot that the definition is for knows.
        default_floor: false,
        id: SlotId::parse("slot_id", &slot_id)?,
        display_name,
        kind: decode_enum("kind", kind)?.unwrap_or(SlotKind::Offer),
        arms: Vec::new(),
        open_catalogue,
        from_catalogue,
        default_arm: if default_arm_id.is_empty() {
            None
        } else {
            Some(ArmId::parse("default_arm_id", &default_arm_id)?)
        },
        count: (count > 0).then_some(count),
        goal: goal.map_or_else(|| Ok(Goal::default()), decode_goal)?,
        model: decode_model(model)?,
        controls: decode_controls(controls)?,
        default_consent: decode_enum("default_consent", default_consent)?.unwrap_or_default(),
        rules: decode_rules(rules)?,
    };
    Ok(SlotDraft { settings, arms: self::arms(arms)?, bare, revision, message })
}

/// Returns `true` if nothing of an arm is given but its id.
fn is_bare(arm: &proto::Arm) -> bool {
    let proto::Arm { arm_id: _, attributes, available, payload, unavailable_because, schedule } = arm;
    let because = *unavailable_because != proto::UnavailableBecause::Unspecified as i32;
    attributes.is_empty() && available.is_none() && payload.is_none() && !because && schedule.is_none()
}

/// Decodes arms. Paths in errors begin with `arms`.
pub(crate) fn arms(arms: Vec<proto::Arm>) -> FieldResult<Vec<ArmDraft>> {
    let one = |message: proto::Arm| -> FieldResult<ArmDraft> {
        let proto::Arm { arm_id, attributes, available, payload, unavailable_because, schedule: when } = message;
        let payload =
            payload.map(payload_from_struct).transpose().map_err(|why| FieldError::new("payload", why.to_string()))?;
        let (names_availability, names_schedule) = (available.is_some(), when.is_some());
        let arm = Arm {
            id: ArmId::parse("arm_id", &arm_id)?,
            attributes: decode_features("attributes", attributes)?,
            available: available.unwrap_or(true),
            payload,
            because: decode_enum("unavailable_because", unavailable_because)?.filter(|_| available == Some(false)),
            schedule: when.map_or_else(|| Ok(Schedule::default()), |when| decode_schedule("schedule", when))?,
        };
        Ok(ArmDraft { arm, names_availability, names_schedule })
    };
    arms.into_iter().enumerate().map(|(i, arm)| one(arm).map_err(|e| e.within(&format!("arms[{i}]")))).collect()
}

fn decode_schedule(field: &str, schedule: proto::Schedule) -> FieldResult<Schedule> {
    let proto::Schedule { from, until } = schedule;
    let at = |which: &str, time| decode_timestamp(&format!("{field}.{which}"), time);
    Ok(Schedule {
        from_us: from.map(|time| at("from", time)).transpose()?,
        until_us: until.map(|time| at("until", time)).transpose()?,
    })
}

/// Decodes changes of availability: those of the map first, by id, then the others in order.
pub(crate) fn availability(
    available: HashMap<String, bool>,
    changes: Vec<proto::ArmAvailability>,
) -> FieldResult<Vec<(ArmId, Availability)>> {
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
        result.push(availability_change(change).map_err(|e| e.within(&format!("changes[{i}]")))?);
    }
    let mut seen = HashSet::with_capacity(total);
    match result.iter().find(|(arm, _)| !seen.insert(arm)) {
        Some((arm, _)) => {
            Err(FieldError::new("changes", format!("the arm '{}' stands in the request twice", shorten(arm.as_str()))))
        }
        None => Ok(result),
    }
}

fn availability_change(change: proto::ArmAvailability) -> FieldResult<(ArmId, Availability)> {
    let proto::ArmAvailability { arm_id, available, because, schedule: when } = change;
    let availability = Availability {
        available,
        because: decode_enum("because", because)?.filter(|_| available == Some(false)),
        schedule: when.map(|when| decode_schedule("schedule", when)).transpose()?,
    };
    Ok((ArmId::parse("arm_id", &arm_id)?, availability))
}

/// Decodes the caller of a change.
pub(crate) fn actor(actor: Option<proto::Actor>) -> Actor {
    let proto::Actor { principal, origin, request_id } = actor.unwrap_or_default();
    Actor { principal, origin, request_id }
}
