//! Conversion of shopper events to the journal's messages and back.

use super::{
    decode::{DecodeResult, decode_decision_id, decode_features, decode_subject, non_empty, parse_arm_id},
    encode::{encode_features, encode_subject},
    log,
    numbers::Numbered as _,
};
use crate::{
    engine::{ShopperEvent, ShopperItem},
    slot::Consent,
};

pub(super) fn encode_shopper(event: &ShopperEvent) -> log::Shopper {
    let item = |ShopperItem { item, quantity, value, attributes }: &ShopperItem| log::ShopperItem {
        item_id: item.to_string(),
        quantity: *quantity,
        value: *value,
        attributes: encode_features(attributes),
    };
    log::Shopper {
        event_id: event.event_id.clone(),
        kind: event.kind.clone(),
        subject: encode_subject(&event.subject),
        consent: event.consent.number(),
        withdrawn: encode_subject(&event.withdrawn),
        simulated: event.simulated,
        items: event.items.iter().map(item).collect(),
        attributes: encode_features(&event.attributes),
        query: event.query.clone(),
        value: event.value,
        currency: event.currency.clone().unwrap_or_default(),
        decision_ids: event.decisions.iter().map(|id| id.as_bytes().to_vec()).collect(),
        time_us: event.time_us,
        reverses_event_id: event.reverses.clone().unwrap_or_default(),
        keep_us: event.keep_us,
        viewed_through_position: event.viewed_through,
    }
}

pub(super) fn decode_shopper(event: log::Shopper) -> DecodeResult<ShopperEvent> {
    let log::Shopper {
        event_id,
        kind,
        subject,
        consent,
        withdrawn,
        simulated,
        items,
        attributes,
        query,
        value,
        currency,
        decision_ids,
        time_us,
        reverses_event_id,
        keep_us,
        viewed_through_position,
    } = event;
    let item = |log::ShopperItem { item_id, quantity, value, attributes }| {
        let attributes = decode_features(attributes)?;
        Ok(ShopperItem { item: parse_arm_id(&item_id)?, quantity, value, attributes })
    };
    Ok(ShopperEvent {
        event_id,
        kind,
        subject: decode_subject(subject)?,
        consent: Consent::from_number(consent)?,
        withdrawn: decode_subject(withdrawn)?,
        simulated,
        items: items.into_iter().map(item).collect::<DecodeResult<_>>()?,
        attributes: decode_features(attributes)?,
        query,
        value,
        currency: non_empty(currency),
        decisions: decision_ids.iter().map(|id| decode_decision_id(id)).collect::<DecodeResult<_>>()?,
        time_us,
        reverses: non_empty(reverses_event_id),
        keep_us,
        viewed_through: viewed_through_position,
    })
}
