//! Events as the journal stores them: `slotwise.log.v1`, and back.
//!
//! The one place that names the log's generated types. Encoding cannot fail;
//! decoding checks everything, because a journal may come from another version.

mod controls;
mod decode;
mod decode_slot;
mod encode;
mod encode_slot;
mod patch;
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

/// Content of a record.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Decoded {
    /// An event of a kind that this program knows.
    Event(Event),
    /// An event of a kind that this program does not know and may pass over: it has no effect on the state.
    Skipped(Skipped),
}

/// Envelope of an event that is passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Skipped {
    /// When the service took it, microseconds since 1970.
    pub(super) at_us: i64,
    /// The name of its kind.
    pub(super) kind: String,
    /// The slot that it belongs to; empty if there is none.
    pub(super) slot: String,
}

/// The content of a record's body; the error says what is wrong with it, or names a kind that must not be passed over.
pub(super) fn read(body: &[u8]) -> Result<Decoded, String> {
    let event = log::Event::decode(body).map_err(|e| e.to_string())?;
    decode::event(event)
}

/// The event in a record's body; an event that a reader of the journal would pass over is an error as well.
pub fn decode(body: &[u8]) -> Result<Event, String> {
    match read(body)? {
        Decoded::Event(event) => Ok(event),
        Decoded::Skipped(Skipped { kind, .. }) => {
            Err(format!("it is of the kind '{kind}', which this program does not know"))
        }
    }
}
