//! Conversion of events to the journal's records (`slotwise.log.v1`) and back.
//!
//! * `encode`, `encode_slot`: from events to messages.
//! * `decode`, `decode_slot`: from messages to events.
//! * `controls`, `draft`, `imported`, `items`, `patch`, `payload`, `shopper`: both ways, for the parts that both need.
//! * `numbers`: the numbers of enumerations.
//!
//! Only this module names the journal's generated types. Encoding cannot fail. Decoding checks everything, because
//! another version may have written the journal.

mod controls;
mod decode;
mod decode_slot;
mod draft;
mod encode;
mod encode_slot;
mod error;
mod imported;
mod items;
mod numbers;
mod patch;
mod payload;
mod shopper;
#[cfg(test)]
mod tests;

use prost::Message as _;

use crate::{
    engine::{Body, Event},
    journal::Record,
    slot::SlotId,
};

pub use error::DecodeError;
pub(crate) use payload::{payload_from_struct, payload_to_struct};

/// Generated types of the journal.
mod log {
    #![allow(
        missing_docs,
        unreachable_pub,
        unused_qualifications,
        clippy::all,
        clippy::pedantic,
        clippy::restriction,
        reason = "generated code"
    )]
    tonic::include_proto!("slotwise.log.v1");
}

/// Encodes an event as a record of the journal.
pub fn encode(event: &Event) -> Record {
    let body: &Body = &event.body;
    Record {
        at_us: event.at_us,
        kind: body.kind(),
        slot: body.slot().map(SlotId::to_string).unwrap_or_default(),
        decision: body.decision().map(|id| id.to_string()),
        body: encode::encode_event(event).encode_to_vec(),
    }
}

/// Content of a record.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Decoded {
    /// Event of a kind that this program knows.
    Event(Event),
    /// Event of a kind that this program does not know and may pass over, because it has no effect on the state.
    Skipped(SkippedEvent),
}

/// Envelope of an event that is passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SkippedEvent {
    /// Time at which the service took the event, microseconds since 1970.
    pub(super) at_us: i64,
    /// Name of the event's kind.
    pub(super) kind: String,
    /// Slot of the event, or empty if it has none.
    pub(super) slot: String,
}

/// Decodes a record's body. An event of an unknown kind is an error unless it may be passed over.
pub(super) fn read(body: &[u8]) -> Result<Decoded, DecodeError> {
    decode::decode_event(log::Event::decode(body)?)
}

/// Decodes the event in a record's body. An event of an unknown kind is an error.
pub fn decode(body: &[u8]) -> Result<Event, DecodeError> {
    match read(body)? {
        Decoded::Event(event) => Ok(event),
        Decoded::Skipped(SkippedEvent { kind, .. }) => Err(DecodeError::PassedOver(kind)),
    }
}
