//! Settings of events that come in the form of other systems: how each becomes a shopper event.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// The table `[incoming]` of the configuration: events in the form of other systems.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IncomingEvents {
    /// Calls of Segment, at `/v1/events/segment`.
    #[serde(deserialize_with = "segment")]
    pub segment: EventMapping,
    /// `CloudEvents`, at `/v1/events/cloudevents`.
    #[serde(deserialize_with = "cloudevents")]
    pub cloudevents: EventMapping,
}

/// The tables `[incoming.segment]` and `[incoming.cloudevents]`: the way from a message to a shopper event.
///
/// A path names a field, and fields within it, with dots between: `properties.revenue`. Of several paths the first that
/// leads to a value counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventMapping {
    /// Paths of the event's id. An event without one gets an id that its content makes.
    pub event_id: Vec<String>,
    /// Paths of the time, in RFC 3339.
    pub time: Vec<String>,
    /// Paths of the customer's id.
    pub subject: Vec<String>,
    /// Paths of the session's id, or of that of a browser.
    pub session: Vec<String>,
    /// Paths of the consent: `full`, `session_only` or `none`.
    pub consent: Vec<String>,
    /// Paths of the items: of a list, or of what holds the only one.
    pub items: Vec<String>,
    /// Paths of an item's id, within the item.
    pub item_id: Vec<String>,
    /// Paths of the number of pieces, within the item.
    pub quantity: Vec<String>,
    /// Paths of the money for all pieces, within the item.
    pub item_value: Vec<String>,
    /// Paths of the money for one piece, within the item, where there is none for all.
    pub price: Vec<String>,
    /// Names of attributes that are taken over from an event with at most one item.
    pub attributes: Vec<String>,
    /// Paths of the money of the whole event. It counts where no item has any.
    pub value: Vec<String>,
    /// Paths of the currency. Small letters are made capital ones.
    pub currency: Vec<String>,
    /// Paths of the words that the shopper searched for.
    pub query: Vec<String>,
    /// Paths of the ids of the decisions that the event belongs to: a text or a list.
    pub decision_ids: Vec<String>,
    /// Paths of the id of the event that this one takes back.
    pub reverses_event_id: Vec<String>,
    /// Kinds of shopper events by the names of events; an empty kind leaves the event out. Names that a file gives are
    /// added to those of the defaults.
    pub kinds: BTreeMap<String, String>,
}

/// Kinds of Segment's events, those of its first e-commerce specification among them.
const SEGMENT_KINDS: [(&str, &str); 26] = [
    ("Products Searched", "search"),
    ("Product List Viewed", "shown"),
    ("Viewed Product Category", "shown"),
    ("Product List Filtered", "filter"),
    ("Promotion Viewed", "shown"),
    ("Viewed Promotion", "shown"),
    ("Promotion Clicked", "click"),
    ("Clicked Promotion", "click"),
    ("Product Clicked", "click"),
    ("Clicked Product", "click"),
    ("Product Viewed", "view"),
    ("Viewed Product", "view"),
    ("Product Added", "add_to_cart"),
    ("Added Product", "add_to_cart"),
    ("Wishlist Product Added to Cart", "add_to_cart"),
    ("Product Removed", "remove_from_cart"),
    ("Removed Product", "remove_from_cart"),
    ("Product Added to Wishlist", "wishlist"),
    ("Checkout Started", "checkout"),
    ("Order Completed", "purchase"),
    ("Completed Order", "purchase"),
    ("Order Refunded", "refund"),
    ("Order Cancelled", "refund"),
    ("Email Opened", "email_open"),
    ("Email Link Clicked", "email_click"),
    ("Unsubscribed", "unsubscribe"),
];

fn paths<const N: usize>(paths: [&str; N]) -> Vec<String> {
    paths.map(str::to_owned).to_vec()
}

impl EventMapping {
    /// Mapping of Segment's calls: its e-commerce specification.
    pub fn segment() -> Self {
        Self {
            event_id: paths(["messageId"]),
            time: paths(["timestamp", "originalTimestamp"]),
            subject: paths(["userId"]),
            session: paths(["properties.session_id", "anonymousId"]),
            consent: paths(["properties.consent"]),
            items: paths(["properties.products", "properties"]),
            item_id: paths(["product_id", "sku", "promotion_id"]),
            quantity: paths(["quantity"]),
            item_value: paths(["value"]),
            price: paths(["price"]),
            attributes: paths(["category", "brand", "price"]),
            value: paths(["properties.revenue", "properties.value", "properties.total"]),
            currency: paths(["properties.currency"]),
            query: paths(["properties.query"]),
            decision_ids: paths(["properties.decision_ids", "properties.decision_id"]),
            reverses_event_id: paths(["properties.reverses_event_id"]),
            kinds: SEGMENT_KINDS.map(|(name, kind)| (name.to_owned(), kind.to_owned())).into(),
        }
    }

    /// Mapping of `CloudEvents` whose data is a shopper event in this service's words. The last word of the type is the kind,
    /// if it is a known one.
    pub fn cloudevents() -> Self {
        Self {
            event_id: paths(["id"]),
            time: paths(["time"]),
            subject: paths(["data.subject.id", "data.customer_id", "data.user_id"]),
            session: paths(["data.subject.session_id", "data.session_id"]),
            consent: paths(["data.consent"]),
            items: paths(["data.items", "data.products", "data"]),
            item_id: paths(["item_id", "product_id", "sku"]),
            quantity: paths(["quantity"]),
            item_value: paths(["value"]),
            price: paths(["price"]),
            attributes: paths(["category", "brand", "price"]),
            value: paths(["data.value", "data.revenue", "data.total"]),
            currency: paths(["data.currency"]),
            query: paths(["data.query"]),
            decision_ids: paths(["data.decision_ids", "data.decision_id"]),
            reverses_event_id: paths(["data.reverses_event_id"]),
            kinds: BTreeMap::new(),
        }
    }
}

impl Default for IncomingEvents {
    fn default() -> Self {
        Self { segment: EventMapping::segment(), cloudevents: EventMapping::cloudevents() }
    }
}

/// Mapping as a file gives it: what it leaves out is as in the defaults.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingChanges {
    event_id: Option<Vec<String>>,
    time: Option<Vec<String>>,
    subject: Option<Vec<String>>,
    session: Option<Vec<String>>,
    consent: Option<Vec<String>>,
    items: Option<Vec<String>>,
    item_id: Option<Vec<String>>,
    quantity: Option<Vec<String>>,
    item_value: Option<Vec<String>>,
    price: Option<Vec<String>>,
    attributes: Option<Vec<String>>,
    value: Option<Vec<String>>,
    currency: Option<Vec<String>>,
    query: Option<Vec<String>>,
    decision_ids: Option<Vec<String>>,
    reverses_event_id: Option<Vec<String>>,
    kinds: Option<BTreeMap<String, String>>,
}

impl MappingChanges {
    fn onto(self, default: EventMapping) -> EventMapping {
        let mut kinds = default.kinds;
        kinds.extend(self.kinds.unwrap_or_default());
        EventMapping {
            event_id: self.event_id.unwrap_or(default.event_id),
            time: self.time.unwrap_or(default.time),
            subject: self.subject.unwrap_or(default.subject),
            session: self.session.unwrap_or(default.session),
            consent: self.consent.unwrap_or(default.consent),
            items: self.items.unwrap_or(default.items),
            item_id: self.item_id.unwrap_or(default.item_id),
            quantity: self.quantity.unwrap_or(default.quantity),
            item_value: self.item_value.unwrap_or(default.item_value),
            price: self.price.unwrap_or(default.price),
            attributes: self.attributes.unwrap_or(default.attributes),
            value: self.value.unwrap_or(default.value),
            currency: self.currency.unwrap_or(default.currency),
            query: self.query.unwrap_or(default.query),
            decision_ids: self.decision_ids.unwrap_or(default.decision_ids),
            reverses_event_id: self.reverses_event_id.unwrap_or(default.reverses_event_id),
            kinds,
        }
    }
}

fn segment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EventMapping, D::Error> {
    Ok(MappingChanges::deserialize(deserializer)?.onto(EventMapping::segment()))
}

fn cloudevents<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EventMapping, D::Error> {
    Ok(MappingChanges::deserialize(deserializer)?.onto(EventMapping::cloudevents()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_changes_single_paths_and_adds_kinds() {
        let text = "[segment]\nsubject = [\"traits.id\"]\n[segment.kinds]\n\"Quiz Finished\" = \"quiz\"\n\"Order Completed\" = \"\"";
        let read: IncomingEvents = toml::from_str(text).unwrap();
        assert_eq!(read.segment.subject, ["traits.id"]);
        assert_eq!(read.segment.session, EventMapping::segment().session);
        assert_eq!(read.segment.kinds["Quiz Finished"], "quiz");
        assert_eq!((read.segment.kinds["Order Completed"].as_str(), read.segment.kinds.len()), ("", 27));
        assert_eq!(read.cloudevents, EventMapping::cloudevents());
        assert!(toml::from_str::<IncomingEvents>("[segment]\nsubjects = []").is_err());
        let printed = toml::to_string(&read).unwrap();
        assert_eq!(toml::from_str::<IncomingEvents>(&printed).unwrap(), read, "{printed}");
    }
}
