//! Mapping of a message to a shopper event, by the paths of the configuration.

use std::{collections::HashMap, str::FromStr as _};

use prost_types::Timestamp;
use serde_json::Value;

use crate::{
    config::EventMapping,
    engine::hash,
    slot::{Consent, Named as _, limits::ID_BYTES_MAX, shorten},
    wire::{
        enums::encode_enum,
        proto::{EventItem, FeatureValue, ShopperEvent, Subject, feature_value},
    },
};

/// Kinds of shopper events that the service knows by themselves.
const KNOWN_KINDS: [&str; 16] = [
    "view",
    "click",
    "search",
    "filter",
    "sort",
    "hover",
    "wishlist",
    "add_to_cart",
    "remove_from_cart",
    "checkout",
    "purchase",
    "refund",
    "email_open",
    "email_click",
    "unsubscribe",
    "shown",
];

/// Message of another system.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct IncomingMessage {
    /// Name of the event, by which the table finds its kind.
    pub(super) name: String,
    /// Whole message.
    pub(super) content: Value,
    /// System within which the ids of events are unique, or an empty text.
    pub(super) origin: String,
}

/// Returns the shopper event of a message, or the reason why it has none.
pub(super) fn map_event(mapping: &EventMapping, message: &IncomingMessage) -> Result<ShopperEvent, String> {
    let kind = kind_of(mapping, &message.name)?;
    let content = &message.content;
    let text = |paths: &[String]| first(content, paths, text_of).unwrap_or_default();
    let items = items(mapping, content)?;
    let has_item_value = items.iter().any(|item| item.value.is_some());
    let attributes = if items.len() > 1 { HashMap::new() } else { attributes(mapping, content) };
    Ok(ShopperEvent {
        event_id: event_id(&text(&mapping.event_id), message),
        subject: Some(Subject { id: text(&mapping.subject), session_id: text(&mapping.session) }),
        time: time(&text(&mapping.time))?,
        consent: consent(&text(&mapping.consent))?,
        kind,
        attributes,
        query: first(content, &mapping.query, |value| value.as_str().map(str::to_owned)).unwrap_or_default(),
        value: if has_item_value { None } else { first(content, &mapping.value, number_of) },
        currency: text(&mapping.currency).to_ascii_uppercase(),
        decision_ids: first(content, &mapping.decision_ids, texts_of).unwrap_or_default(),
        reverses_event_id: match text(&mapping.reverses_event_id) {
            reversed if reversed.is_empty() => reversed,
            reversed => event_id(&reversed, message),
        },
        items,
        viewed_through_position: None,
    })
}

/// Returns the kind of an event by its name: that of the table, or else the last word of a name with dots, if it is a
/// known kind. A version after it is passed over.
fn kind_of(mapping: &EventMapping, name: &str) -> Result<String, String> {
    let named = mapping.kinds.get(name);
    let named = named
        .or_else(|| mapping.kinds.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, kind)| kind));
    match named {
        Some(kind) if kind.is_empty() => return Err(format!("the configuration leaves '{}' out", shorten(name))),
        Some(kind) => return Ok(kind.clone()),
        None => {}
    }
    let is_version = |word: &str| {
        word.strip_prefix('v')
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let last = name.rsplit('.').find(|word| !is_version(word));
    match KNOWN_KINDS.iter().find(|known| last == Some(known)) {
        Some(known) => Ok((*known).to_owned()),
        None => Err(format!("'{}' has no kind; give it one in the configuration, under kinds", shorten(name))),
    }
}

/// Returns the value at a path within a message.
fn at<'a>(content: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(content, |value, name| value.get(name)).filter(|value| !value.is_null())
}

/// Returns the first value that one of the paths leads to.
fn first<T>(content: &Value, paths: &[String], read: impl Fn(&Value) -> Option<T>) -> Option<T> {
    paths.iter().find_map(|path| read(at(content, path)?))
}

/// Returns a text, or a number as a text: ids are often numbers.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => (!text.is_empty()).then(|| text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Returns a number, or a text that is one: money is often a text.
fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
    .filter(|number: &f64| number.is_finite())
}

fn texts_of(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(values) => values.iter().map(text_of).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            text_of(value).map(|text| vec![text])
        }
    }
}

/// Returns the id of an event. Ids of one origin are unique within it. An event without an id has the same one whenever it
/// comes again, and a long id is shortened.
fn event_id(given: &str, message: &IncomingMessage) -> String {
    let whole = match (given, message.origin.as_str()) {
        ("", _) => String::new(),
        (id, "") => id.to_owned(),
        (id, origin) => format!("{origin}#{id}"),
    };
    if !whole.is_empty() && whole.len() <= ID_BYTES_MAX {
        return whole;
    }
    let content = if whole.is_empty() { message.content.to_string() } else { whole };
    let hash = hash("incoming event", &[content.as_bytes()]);
    format!("incoming-{:016x}{:016x}", hash.word(), hash.other_word())
}

fn time(text: &str) -> Result<Option<Timestamp>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |_| format!("the time '{}' is none; write it as 2026-11-21T08:30:00Z", shorten(text));
    Timestamp::from_str(text).map(Some).map_err(wrong)
}

fn consent(text: &str) -> Result<i32, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let consent = Consent::from_name(text);
    consent
        .map(|consent| encode_enum(Some(consent)))
        .ok_or_else(|| format!("the consent '{}' is none; write full, session_only or none", shorten(text)))
}

/// Returns the items of an event: those of the first path that leads to a list, or to something with an item's id.
fn items(mapping: &EventMapping, content: &Value) -> Result<Vec<EventItem>, String> {
    for path in &mapping.items {
        match at(content, path) {
            Some(Value::Array(list)) if !list.is_empty() => {
                let item = |(i, value): (usize, &Value)| {
                    item(mapping, value).ok_or_else(|| format!("{path}[{i}] has no item's id"))
                };
                return list.iter().enumerate().map(item).collect();
            }
            Some(value) => {
                if let Some(item) = item(mapping, value) {
                    return Ok(vec![item]);
                }
            }
            None => {}
        }
    }
    Ok(Vec::new())
}

fn item(mapping: &EventMapping, value: &Value) -> Option<EventItem> {
    if let Some(item_id) = text_of(value) {
        return Some(EventItem { item_id, quantity: None, value: None });
    }
    let item_id = first(value, &mapping.item_id, text_of)?;
    let quantity = first(value, &mapping.quantity, number_of);
    let price = || first(value, &mapping.price, number_of).map(|price| price * quantity.unwrap_or(1.0));
    Some(EventItem { item_id, quantity, value: first(value, &mapping.item_value, number_of).or_else(price) })
}

/// Returns the attributes of the only item of an event, or of an event without items.
fn attributes(mapping: &EventMapping, content: &Value) -> HashMap<String, FeatureValue> {
    let mut attributes = HashMap::new();
    for holder in mapping.items.iter().filter_map(|path| at(content, path)) {
        let only = match holder {
            Value::Array(list) => list.first(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => Some(holder),
        };
        for name in &mapping.attributes {
            let value = match only.and_then(|holder| at(holder, name)) {
                Some(Value::String(text)) if !text.is_empty() => feature_value::Value::Text(text.clone()),
                Some(Value::Bool(flag)) => feature_value::Value::Flag(*flag),
                Some(value @ Value::Number(_)) => match number_of(value) {
                    Some(number) => feature_value::Value::Number(number),
                    None => continue,
                },
                Some(Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_)) | None => continue,
            };
            attributes.entry(name.clone()).or_insert(FeatureValue { value: Some(value) });
        }
    }
    attributes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(name: &str, content: Value) -> IncomingMessage {
        IncomingMessage { name: name.to_owned(), content, origin: String::new() }
    }

    #[test]
    fn kinds_follow_from_the_table_or_from_the_last_word() {
        let kind = |mapping: &EventMapping, name: &str| kind_of(mapping, name).ok();
        let (segment, cloudevents) = (EventMapping::segment(), EventMapping::cloudevents());
        assert_eq!(kind(&segment, "Order Completed").as_deref(), Some("purchase"));
        assert_eq!(kind(&segment, "order completed").as_deref(), Some("purchase"));
        assert_eq!(kind(&cloudevents, "com.example.shop.purchase").as_deref(), Some("purchase"));
        assert_eq!(kind(&cloudevents, "com.example.shop.add_to_cart.v2").as_deref(), Some("add_to_cart"));
        assert_eq!(kind(&cloudevents, "com.example.shop.payment"), None);
        assert_eq!(kind(&segment, "identify"), None);
        let mut left_out = segment;
        left_out.kinds.insert("Order Completed".into(), String::new());
        assert!(kind_of(&left_out, "Order Completed").unwrap_err().contains("leaves 'Order Completed' out"));
    }

    #[test]
    fn an_order_has_the_money_of_each_line_and_one_without_lines_has_its_revenue() {
        let map = |content| map_event(&EventMapping::segment(), &message("Order Completed", content)).unwrap();
        let order = map(json!({"messageId": "m1", "userId": 17, "properties": {
            "revenue": 25.0, "currency": "usd",
            "products": [{"product_id": "a", "price": 19, "quantity": 1}, {"sku": "b", "price": "3", "quantity": 2}],
        }}));
        let values: Vec<_> = order.items.iter().map(|item| (item.item_id.as_str(), item.value)).collect();
        assert_eq!(values, [("a", Some(19.0)), ("b", Some(6.0))]);
        assert_eq!((order.value, order.currency.as_str()), (None, "USD"));
        assert_eq!(order.subject.unwrap().id, "17");
        let plain = map(json!({"messageId": "m2", "anonymousId": "x", "properties": {"revenue": 25.0}}));
        assert_eq!((plain.value, plain.items.len()), (Some(25.0), 0));
    }

    #[test]
    fn an_event_without_an_id_gets_the_same_one_each_time_and_a_long_one_is_shortened() {
        let mapping = EventMapping::segment();
        let id = |content: &Value| map_event(&mapping, &message("Product Viewed", content.clone())).unwrap().event_id;
        let first = json!({"userId": "u", "properties": {"product_id": "a"}});
        assert_eq!(id(&first), id(&first));
        assert_ne!(id(&first), id(&json!({"userId": "u", "properties": {"product_id": "b"}})));
        let long = id(&json!({"messageId": "x".repeat(300), "userId": "u"}));
        assert!(long.starts_with("incoming-") && long.len() < 64, "{long}");
        let of_origin = IncomingMessage { origin: "/shop".into(), ..message("view", json!({"id": "7"})) };
        assert_eq!(map_event(&EventMapping::cloudevents(), &of_origin).unwrap().event_id, "/shop#7");
    }

    #[test]
    fn a_message_says_what_cannot_be_mapped() {
        let why = |content| map_event(&EventMapping::segment(), &message("Product Viewed", content)).unwrap_err();
        assert!(why(json!({"timestamp": "yesterday"})).contains("'yesterday'"));
        assert!(why(json!({"properties": {"consent": "maybe"}})).contains("'maybe'"));
        assert!(why(json!({"properties": {"products": [{"name": "x"}]}})).contains("properties.products[0]"));
    }
}
