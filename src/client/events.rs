//! Shopper events: one report for everything that a shopper does.

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};

use super::{Client, ClientError, RewardStatus};
use crate::{
    bandit::Features,
    engine::Subject,
    slot::Consent,
    wire::{encode, enums::encode_enum, proto},
};

/// Item of a shopper event.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportedItem {
    /// Id of the item, which is that of its arm.
    pub item_id: String,
    /// Number of pieces, or `None` if it does not matter.
    pub quantity: Option<f64>,
    /// Money for all pieces together, or `None` if the event is not about money.
    pub value: Option<f64>,
}

impl ReportedItem {
    /// Creates an item without quantity and value.
    pub fn new(item_id: impl Into<String>) -> Self {
        Self { item_id: item_id.into(), quantity: None, value: None }
    }
}

/// Report of something that a shopper did.
///
/// # Examples
///
/// ```
/// use slotwise::{
///     client::{EventReport, ReportedItem},
///     engine::Subject,
/// };
///
/// let shopper = Subject { id: "anna".into(), session_id: "s1".into() };
/// let order = EventReport {
///     items: vec![ReportedItem { value: Some(39.9), ..ReportedItem::new("boots-7") }],
///     currency: Some("EUR".into()),
///     ..EventReport::new("order-1", "purchase", shopper)
/// };
/// assert!(order.decision_ids.is_empty(), "it joins by subject, item and window");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct EventReport {
    /// Id of the event. The service counts each id once.
    pub event_id: String,
    /// Kind of the event, such as `click` or `purchase`.
    pub kind: String,
    /// The shopper.
    pub subject: Subject,
    /// Consent of the shopper, or `None` for the service's default.
    pub consent: Option<Consent>,
    /// Time at which it happened, microseconds since 1970, or `None` for its arrival.
    pub time_us: Option<i64>,
    /// Items that it is about, at most 200.
    pub items: Vec<ReportedItem>,
    /// Attributes of items that are no arms, or of a filter.
    pub attributes: Features,
    /// Words that the shopper searched for, or an empty string.
    pub query: String,
    /// Value of the whole event, or `None`.
    pub value: Option<f64>,
    /// Currency of all values, three letters as in ISO 4217, or `None` for that of each goal.
    pub currency: Option<String>,
    /// Decisions that the event belongs to. It joins by subject, item and window if there are none.
    pub decision_ids: Vec<String>,
    /// Id of the event that this one takes back, or `None`.
    pub reverses_event_id: Option<String>,
    /// Last position of a list that the shopper saw, from 1, or `None` for all of it.
    pub viewed_through_position: Option<u32>,
}

impl EventReport {
    /// Creates a report without items, which happens when the service receives it.
    pub fn new(event_id: impl Into<String>, kind: impl Into<String>, subject: Subject) -> Self {
        Self {
            event_id: event_id.into(),
            kind: kind.into(),
            subject,
            consent: None,
            time_us: None,
            items: Vec::new(),
            attributes: Features::new(),
            query: String::new(),
            value: None,
            currency: None,
            decision_ids: Vec::new(),
            reverses_event_id: None,
            viewed_through_position: None,
        }
    }

    fn encode(self) -> proto::ShopperEvent {
        let item = |ReportedItem { item_id, quantity, value }| proto::EventItem { item_id, quantity, value };
        proto::ShopperEvent {
            event_id: self.event_id,
            subject: Some(encode::subject(&self.subject)),
            time: self.time_us.map(encode::encode_timestamp),
            consent: encode_enum(self.consent),
            kind: self.kind,
            items: self.items.into_iter().map(item).collect(),
            attributes: encode::encode_features(&self.attributes),
            query: self.query,
            value: self.value,
            currency: self.currency.unwrap_or_default(),
            decision_ids: self.decision_ids,
            reverses_event_id: self.reverses_event_id.unwrap_or_default(),
            viewed_through_position: self.viewed_through_position,
        }
    }
}

/// Shopper event as a line of JSON holds it, in the form that `/v1/RecordEvents` takes.
#[derive(Debug, Clone, PartialEq)]
pub struct EventLine(proto::ShopperEvent);

impl EventLine {
    /// Reads an event.
    ///
    /// # Errors
    ///
    /// The reason why the text is not an event, in one line.
    pub fn read(json: &str) -> Result<Self, String> {
        let pool = DescriptorPool::decode(proto::DESCRIPTORS).map_err(|why| why.to_string())?;
        let descriptor = pool.get_message_by_name("slotwise.v1.ShopperEvent").ok_or("the API has no shopper events")?;
        let mut text = serde_json::Deserializer::from_str(json);
        let event = DynamicMessage::deserialize(descriptor, &mut text).map_err(|why| why.to_string())?;
        text.end().map_err(|why| format!("one event is a line: {why}"))?;
        proto::ShopperEvent::decode(event.encode_to_vec().as_slice()).map(Self).map_err(|why| why.to_string())
    }

    /// Kind of the event.
    pub fn kind(&self) -> &str {
        &self.0.kind
    }
}

/// Reward that a shopper event gave to an arm.
#[derive(Debug, Clone, PartialEq)]
pub struct EventReward {
    /// Slot of the decision.
    pub slot_id: String,
    /// Decision that showed the arm.
    pub decision_id: String,
    /// The arm.
    pub arm_id: String,
    /// Change of the arm's reward by the event, reward units.
    pub reward: f64,
}

/// Outcome of a shopper event.
#[derive(Debug, Clone, PartialEq)]
pub struct EventOutcome {
    /// Status of the event.
    pub status: RewardStatus,
    /// Remark of the service, or an empty string.
    pub message: String,
    /// Rewards that it gave.
    pub joined: Vec<EventReward>,
    /// `true` if a profile changed.
    pub profile_updated: bool,
}

impl Client {
    /// Records shopper events, and returns their outcomes in order once they are durable.
    pub async fn record_shopper_events(&mut self, events: Vec<EventReport>) -> Result<Vec<EventOutcome>, ClientError> {
        self.send_shopper_events(events.into_iter().map(EventReport::encode).collect(), false).await
    }

    /// Returns the outcomes that shopper events would have. Nothing is recorded.
    pub async fn check_shopper_events(&mut self, events: Vec<EventReport>) -> Result<Vec<EventOutcome>, ClientError> {
        self.send_shopper_events(events.into_iter().map(EventReport::encode).collect(), true).await
    }

    /// Returns the outcomes that lines of events would have. Nothing is recorded.
    pub async fn check_event_lines(&mut self, lines: Vec<EventLine>) -> Result<Vec<EventOutcome>, ClientError> {
        self.send_shopper_events(lines.into_iter().map(|line| line.0).collect(), true).await
    }

    async fn send_shopper_events(
        &mut self,
        events: Vec<proto::ShopperEvent>,
        validate_only: bool,
    ) -> Result<Vec<EventOutcome>, ClientError> {
        let count = events.len();
        let request = proto::RecordEventsRequest { events, validate_only };
        let results = self.events.record_events(request).await?.into_inner().results;
        if results.len() != count {
            return Err(ClientError::Answer(format!("{} results for {count} events", results.len())));
        }
        Ok(results.into_iter().map(decode_outcome).collect())
    }
}

fn decode_outcome(result: proto::EventResult) -> EventOutcome {
    let status = RewardStatus::decode(result.status(), &result.message);
    let proto::EventResult { status: _, message, joined, profile_updated } = result;
    let reward = |proto::EventJoin { slot_id, decision_id, arm_id, reward }| EventReward {
        slot_id,
        decision_id,
        arm_id,
        reward,
    };
    EventOutcome { status, message, joined: joined.into_iter().map(reward).collect(), profile_updated }
}
