//! Events as the journal stores them: `slotwise.log.v1`, and back.
//!
//! The one place that names the log's generated types. Encoding cannot fail;
//! decoding checks everything, because a journal may come from another version.

mod decode;
mod decode_slot;
mod encode;
mod encode_slot;
mod payload;
#[cfg(test)]
mod tests;

use prost::Message as _;

use crate::{
    engine::{Body, Event},
    journal::Record,
};

pub(crate) use payload::{payload_from_struct, payload_to_struct};

/// The log's generated types.
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

/// An event as a record.
pub fn encode(event: &Event) -> Record {
    let body: &Body = &event.body;
    Record {
        at_us: event.at_us,
        kind: body.kind(),
        slot: body.slot().to_string(),
        decision: body.decision().map(|id| id.to_string()),
        body: encode::event(event).encode_to_vec(),
    }
}

/// The event in a record's body; the error says what is wrong with it.
pub fn decode(body: &[u8]) -> Result<Event, String> {
    let event = log::Event::decode(body).map_err(|e| e.to_string())?;
    decode::event(event)
}
