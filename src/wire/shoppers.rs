//! Shopper events: decoding, and the results that callers get.

use super::{
    decode::{RewardRejection, decode_features, decode_subject, decode_timestamp},
    enums::decode_enum,
    proto, rewards,
};
use crate::{
    engine::{DecisionId, EventStatus, RewardAnswer, ShopperEffect, ShopperEvent, ShopperItem, Subject},
    node::{ShopperRequest, time_text},
    slot::{
        ArmId, Consent, FieldError, check_token,
        limits::{AHEAD_US_MAX, EVENT_DECISIONS_MAX, EVENT_ITEMS_MAX, NAME_BYTES_MAX, NUMBER_MAX, QUERY_BYTES_MAX},
        shorten,
    },
};

/// Remarks of slots that one message repeats. A caller reads the first ones.
const REMARKS_MAX: usize = 3;

fn number(field: &str, value: Option<f64>) -> Result<Option<f64>, FieldError> {
    match value {
        Some(value) if !value.is_finite() || value.abs() > NUMBER_MAX => {
            Err(FieldError::new(field, format!("must be a number from -{NUMBER_MAX} to {NUMBER_MAX}")))
        }
        value => Ok(value),
    }
}

fn items(items: Vec<proto::EventItem>) -> Result<Vec<ShopperItem>, FieldError> {
    if items.len() > EVENT_ITEMS_MAX {
        let message = format!("has {} items; at most {EVENT_ITEMS_MAX} are allowed", items.len());
        return Err(FieldError::new("items", message));
    }
    let item = |(i, proto::EventItem { item_id, quantity, value }): (usize, proto::EventItem)| {
        let field = |name: &str| format!("items[{i}].{name}");
        Ok(ShopperItem {
            item: ArmId::parse(&field("item_id"), &item_id)?,
            quantity: number(&field("quantity"), quantity)?,
            value: number(&field("value"), value)?,
            attributes: crate::bandit::Features::new(),
        })
    };
    items.into_iter().enumerate().map(item).collect()
}

fn decisions(ids: &[String]) -> Result<Vec<DecisionId>, RewardRejection> {
    if ids.len() > EVENT_DECISIONS_MAX {
        let message = format!("has {} ids; at most {EVENT_DECISIONS_MAX} are allowed", ids.len());
        return Err(FieldError::new("decision_ids", message).into());
    }
    let decision = |(i, id): (usize, &String)| {
        check_token(&format!("decision_ids[{i}]"), id)?;
        DecisionId::parse(id).ok_or_else(|| RewardRejection::UnknownDecision(shorten(id)))
    };
    ids.iter().enumerate().map(decision).collect()
}

/// Decodes a shopper event.
pub(super) fn decode(
    event: proto::ShopperEvent,
    now_us: i64,
    simulated: bool,
) -> Result<ShopperRequest, RewardRejection> {
    let proto::ShopperEvent {
        event_id,
        subject,
        time,
        consent,
        kind,
        items: of_event,
        attributes,
        query,
        value,
        currency,
        decision_ids,
        reverses_event_id,
        viewed_through_position,
    } = event;
    check_token("event_id", &event_id)?;
    if kind.is_empty() || kind.len() > NAME_BYTES_MAX {
        return Err(FieldError::new("kind", format!("must have 1 to {NAME_BYTES_MAX} bytes")).into());
    }
    if query.len() > QUERY_BYTES_MAX {
        let message = format!("has {} bytes; at most {QUERY_BYTES_MAX} are allowed", query.len());
        return Err(FieldError::new("query", message).into());
    }
    if !currency.is_empty() && (currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase())) {
        let message = format!("is '{}'; must be three capital letters as in ISO 4217, such as EUR", shorten(&currency));
        return Err(FieldError::new("currency", message).into());
    }
    let time_us = time.map(|time| decode_timestamp("time", time)).transpose()?;
    if time_us.is_some_and(|time_us| time_us > now_us.saturating_add(AHEAD_US_MAX)) {
        return Err(FieldError::new("time", "is more than a day ahead of the service's clock").into());
    }
    if !reverses_event_id.is_empty() {
        check_token("reverses_event_id", &reverses_event_id)?;
    }
    let event = ShopperEvent {
        event_id,
        kind,
        subject: decode_subject(subject)?,
        consent: Consent::default(),
        withdrawn: Subject::default(),
        simulated,
        items: items(of_event)?,
        attributes: decode_features("attributes", attributes)?,
        query,
        value: number("value", value)?,
        currency: (!currency.is_empty()).then_some(currency),
        viewed_through: viewed_through_position,
        decisions: decisions(&decision_ids)?,
        time_us: time_us.unwrap_or(now_us),
        reverses: (!reverses_event_id.is_empty()).then_some(reverses_event_id),
        keep_us: 0,
    };
    let consent = decode_enum("consent", consent)?;
    if event.viewed_through.is_some_and(|position| position == 0) {
        return Err(FieldError::new("viewed_through_position", "must be at least 1, the first position").into());
    }
    if event.subject == Subject::default() && event.decisions.is_empty() && event.reverses.is_none() {
        return Err(FieldError::new("subject", "is needed; or give decision_ids or reverses_event_id").into());
    }
    Ok(ShopperRequest { event, time_us, consent })
}

/// Returns the result of an event with this effect.
pub(super) fn result(request: &ShopperRequest, effect: &ShopperEffect, validate_only: bool) -> proto::EventResult {
    use proto::RewardStatus as Out;
    let result = |status: Out, message: String| proto::EventResult {
        status: status.into(),
        message,
        joined: joined(effect),
        profile_updated: effect.profiles.updated || effect.profiles.dropped,
    };
    if let Some(first) = effect.repeats {
        let message = if first.same {
            String::new()
        } else {
            format!(
                "event_id: the first event of this id was another one, which came at {}; it stands, and this one is not counted. Give each event an id of its own",
                time_text(first.came_us)
            )
        };
        return result(Out::Duplicate, message);
    }
    let message = remarks(effect);
    let has = |wanted: fn(EventStatus) -> bool| answers(effect).any(|answer| wanted(answer.status));
    let is_joined = effect.slots.values().any(|join| !join.accepted.is_empty() || !join.joined.is_empty());
    if is_joined {
        return result(Out::Accepted, message);
    }
    if has(|status| status == EventStatus::Duplicate) {
        return result(Out::Duplicate, message);
    }
    if has(|status| matches!(status, EventStatus::Rejected(_))) {
        return result(Out::Rejected, message);
    }
    let updated = effect.profiles.updated || effect.profiles.dropped;
    if updated {
        let message = if validate_only && message.is_empty() { unjoined(&request.event) } else { message };
        return result(Out::Accepted, message);
    }
    if has(|status| status == EventStatus::Late) {
        return result(Out::Late, message);
    }
    let message = if message.is_empty() { unjoined(&request.event) } else { message };
    result(Out::Unmatched, message)
}

fn joined(effect: &ShopperEffect) -> Vec<proto::EventJoin> {
    let of_slots = effect.slots.iter().flat_map(|(slot, join)| join.joined.iter().map(move |joined| (slot, joined)));
    of_slots
        .map(|(slot, joined)| proto::EventJoin {
            slot_id: slot.to_string(),
            decision_id: joined.decision.to_string(),
            arm_id: joined.arm.to_string(),
            reward: joined.reward,
        })
        .collect()
}

fn answers(effect: &ShopperEffect) -> impl Iterator<Item = &RewardAnswer> {
    effect.slots.values().flat_map(|join| join.remarks.iter().map(|(_, answer)| answer))
}

/// Returns the remarks of the slots in one line.
fn remarks(effect: &ShopperEffect) -> String {
    let all = effect.slots.iter().flat_map(|(slot, join)| join.remarks.iter().map(move |remark| (slot, remark)));
    let mut texts: Vec<String> = all
        .map(|(slot, (item, answer))| {
            let message = rewards::result(answer).message;
            let item = item.as_ref().map(|item| format!(", item '{}'", shorten(item.as_str()))).unwrap_or_default();
            let message = if message.is_empty() { "counted before".to_owned() } else { message };
            format!("slot '{slot}'{item}: {message}")
        })
        .collect();
    let more = texts.len().saturating_sub(REMARKS_MAX);
    texts.truncate(REMARKS_MAX);
    let mut text = texts.join("; ");
    if more > 0 {
        text = format!("{text}; and {more} more");
    }
    text
}

/// Returns the message about an event that joined no decision.
fn unjoined(event: &ShopperEvent) -> String {
    if event.reverses.is_some() {
        return "reverses_event_id: no slot counted such an event within its reversal window; check its id".to_owned();
    }
    if !event.decisions.is_empty() {
        return format!(
            "decision_ids: no slot of these decisions counts the kind '{}' in its goal; add it to the goal, or check the ids",
            shorten(&event.kind)
        );
    }
    let what = match event.items.as_slice() {
        [] => "anything".to_owned(),
        [one] => format!("'{}'", shorten(one.item.as_str())),
        several => format!("any of the {} items", several.len()),
    };
    format!(
        "items: no slot whose goal counts the kind '{}' showed {what} to this subject within its window",
        shorten(&event.kind)
    )
}
