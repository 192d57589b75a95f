//! Events as the journal stores them: `slotwise.log.v1`, and back.
//!
//! The one place that names the log's generated types. Encoding cannot fail;
//! decoding checks everything, because a journal may come from another version.

mod decode;
mod encode;
mod payload;

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        bandit::Policy,
        slot::{Controls, Definition, SlotId},
    };

    fn created(policy: Option<Policy>) -> Event {
        let mut definition = Definition::new(SlotId::parse("slot_id", "offers").unwrap());
        definition.controls.policy = policy;
        Event { at_us: 7, body: Body::SlotCreated { definition: Arc::new(definition), reason: String::new() } }
    }

    #[test]
    fn every_policy_survives_the_log() {
        for policy in [
            Policy::ThompsonSampling,
            Policy::Uniform,
            Policy::FixedOrder,
            Policy::Greedy,
            Policy::EpsilonGreedy { epsilon: 0.3 },
            Policy::LinUcb,
            Policy::SquareCb { gamma: 40.0 },
        ] {
            let event = created(Some(policy));
            assert_eq!(decode(&encode(&event).body), Ok(event));
        }
    }

    #[test]
    fn every_way_to_learn_survives_the_log() {
        for definition in crate::slot::examples() {
            let body = Body::SlotCreated { definition: Arc::new(definition), reason: "because".into() };
            let event = Event { at_us: 7, body };
            assert_eq!(decode(&encode(&event).body), Ok(event));
        }
    }

    /// An event as the journal got it before there was a policy.
    #[test]
    fn an_event_from_before_there_was_a_policy_still_reads() {
        let hex = "\
            0894dbfaeab8989803127c0a6d0a066f6666657273180122050a0161180122050a0162180142240a190a05636c69636b\
            11000000000000f03f21000000000000f03f1880c0ddeec10220014a0e0a0c09000000000000f03f108002521b090000\
            00000000e03f117b14ae47e17a843f2080c098ccc50738005801120b736c6f7473206170706c79";
        let byte = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
        let before: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let event = decode(&before).unwrap();
        let Body::SlotCreated { definition, .. } = &event.body else { panic!("{event:?}") };
        let want = Controls {
            exploration: Some(0.5),
            floor: Some(0.01),
            half_life_us: Some(3 * 86_400_000_000),
            safe_choice: Some(false),
            ..Controls::default()
        };
        assert_eq!(definition.controls, want);
        assert_eq!(encode(&event).body, before, "and is written as it was");
    }

    #[test]
    fn a_policy_of_a_newer_version_is_refused() {
        let mut event = encode::event(&created(Some(Policy::Uniform)));
        if let Some(log::event::Body::SlotCreated(log::SlotCreated { definition: Some(definition), .. })) =
            &mut event.body
        {
            definition.controls.get_or_insert_default().policy = Some(log::Policy::default());
        }
        assert!(decode(&event.encode_to_vec()).unwrap_err().contains("policy"));
    }
}
