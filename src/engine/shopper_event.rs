//! Shopper events: reports of what a shopper did, each for all slots at once.

use super::{
    ids::{DecisionId, hash},
    subject::Subject,
};
use crate::{
    bandit::{Features, Value},
    slot::{ArmId, Consent},
};

/// Item that a shopper event is about.
#[derive(Debug, Clone, PartialEq)]
pub struct ShopperItem {
    /// Id of the item, by which it is compared with arms.
    pub item: ArmId,
    /// Number of pieces, if it was given.
    pub quantity: Option<f64>,
    /// Money for all pieces together, if it was given.
    pub value: Option<f64>,
    /// Attributes of the item at the time of the event.
    pub attributes: Features,
}

/// Shopper event: a report of what a shopper did.
#[derive(Debug, Clone, PartialEq)]
pub struct ShopperEvent {
    /// Id of the event, in one space with the ids of reward events.
    pub event_id: String,
    /// Kind of the event.
    pub kind: String,
    /// Subject as far as the consent goes.
    pub subject: Subject,
    /// Consent of the subject.
    pub consent: Consent,
    /// Ids whose profiles are dropped, because the subject withdrew the consent to them.
    pub withdrawn: Subject,
    /// `true` if the shopper is simulated. The event then reaches only slots and profiles for simulated traffic.
    pub simulated: bool,
    /// Items, each of which counts for itself.
    pub items: Vec<ShopperItem>,
    /// Attributes that the event itself is about, such as those of a filter.
    pub attributes: Features,
    /// Words that the shopper searched for, or an empty string.
    pub query: String,
    /// Value of the event, if it has one.
    pub value: Option<f64>,
    /// Currency of the values, three letters as in ISO 4217, if it was given.
    pub currency: Option<String>,
    /// Last position that the shopper saw, from 1, if the event says so.
    pub viewed_through: Option<u32>,
    /// Decisions that the event belongs to. If it names none, it joins by subject.
    pub decisions: Vec<DecisionId>,
    /// Time at which it happened, microseconds since 1970.
    pub time_us: i64,
    /// Id of the event that this one reverses, if it reverses one.
    pub reverses: Option<String>,
    /// Time without an event after which the customer's profile is dropped, microseconds.
    pub keep_us: i64,
}

impl ShopperEvent {
    /// Subject by which the event may join decisions.
    pub(super) fn joining_subject(&self) -> Option<&Subject> {
        (self.subject != Subject::default()).then_some(&self.subject)
    }

    /// Returns a hash of the content, whose low byte is the number of items. It is never 0.
    ///
    /// The number of items says how many reward events a reversal may have to take back.
    pub(super) fn content_word(&self) -> u64 {
        let number = |value: Option<f64>| value.map_or([0; 9], tagged_bits);
        let mut parts: Vec<Vec<u8>> = vec![
            self.kind.clone().into_bytes(),
            number(self.value).to_vec(),
            self.reverses.clone().unwrap_or_default().into_bytes(),
        ];
        for ShopperItem { item, quantity, value, attributes: _ } in &self.items {
            parts.push(item.as_str().as_bytes().to_vec());
            parts.push([number(*quantity), number(*value)].concat());
        }
        parts.extend(self.viewed_through.iter().map(|position| position.to_be_bytes().to_vec()));
        parts.extend(self.decisions.iter().map(|id| id.as_bytes().to_vec()));
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let items = self.items.len().clamp(1, 0xff) as u64;
        hash("shopper event", &parts).word() & !0xff | items
    }
}

/// Returns the number of items in a [content word](ShopperEvent::content_word).
pub(super) fn items_in(content: u64) -> usize {
    usize::try_from(content & 0xff).unwrap_or(0).max(1)
}

fn tagged_bits(value: f64) -> [u8; 9] {
    let mut bytes = [1; 9];
    bytes[1..].copy_from_slice(&value.to_bits().to_be_bytes());
    bytes
}

/// Returns the id of the reward event that stands for the `part`th item of a shopper event in one slot, from 0.
///
/// The first one has the event's own id. No caller's id equals one of the others, because ids have no control characters.
pub(super) fn part_id(event_id: &str, part: usize) -> String {
    if part == 0 { event_id.to_owned() } else { format!("{event_id}\u{1f}{part}") }
}

/// Returns the id of the event that a part belongs to, as its caller gave it.
pub fn whole_event_id(part_id: &str) -> &str {
    part_id.split_once('\u{1f}').map_or(part_id, |(event_id, _)| event_id)
}

/// Returns the price in an item's attributes, if there is one.
pub(super) fn price_of(attributes: &Features) -> Option<f64> {
    match attributes.get("price")? {
        Value::Number(price) if *price > 0.0 => Some(*price),
        Value::Number(_) | Value::Text(_) | Value::Flag(_) | Value::Texts(_) | Value::Vector(_) => None,
    }
}
