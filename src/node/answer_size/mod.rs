//! Bytes of answers with payloads and explanations, bounded before anything is decided.
//!
//! A gRPC client takes messages of 4 MiB by default. An answer beyond that would be lost although its decisions are
//! recorded, so such a request is refused. The bound is what the largest payloads among the candidates take: what was
//! drawn must not matter, because a refusal that depends on the draw would falsify the propensities of the rest.

mod explanation;

use std::collections::HashMap;

use serde_json::Value;

use self::explanation::explanation_bytes;

use crate::{
    engine::{Request, SlotView},
    slot::{
        FieldError, Mode, Payload,
        limits::{ANSWER_BYTES_MAX, PAYLOAD_BYTES_MAX},
    },
};

/// Bytes of a chosen arm beside its id and payload, at most.
const FRAME: usize = 64;
/// Bytes of a chosen arm whatever its payload holds: a number that is two bytes as JSON takes eleven in protobuf.
const POSITION_BYTES_MAX: usize = 6 * PAYLOAD_BYTES_MAX;
/// Positions that are counted as the largest there are, without a look at the payloads.
const POSITIONS_FREE: usize = 8;

/// Bytes of a request's candidate ids up to which all of them are counted as ignored, without a look at the slot.
const IGNORED_BYTES_FREE: usize = 4 * 1024;

/// Maximum number of bytes in an answer that name the candidates which the slot does not know.
fn ignored_bytes(view: &SlotView, request: &Request) -> usize {
    let bytes = |arm: &str| delimited(arm.len());
    let all = request.candidates.iter().map(|one| bytes(one.arm.as_str())).sum();
    if all <= IGNORED_BYTES_FREE {
        return all;
    }
    if view.definition.open_catalogue {
        return 0;
    }
    let unknown = request.candidates.iter().filter(|one| view.arms.position(one.arm.as_str()).is_none());
    unknown.map(|one| bytes(one.arm.as_str())).sum()
}

/// Bytes that answers to the requests of one call take so far.
#[derive(Debug, Default)]
pub(super) struct AnswerSize {
    positions: usize,
    bytes: usize,
    /// Bytes of each arm of a slot, in the definition's order, by the slot's number.
    sizes: HashMap<u32, Vec<usize>>,
}

impl AnswerSize {
    /// Adds the answer to a request.
    ///
    /// # Errors
    ///
    /// Fails if the answers could be larger than a client takes; the request then does not count.
    pub(super) fn add(&mut self, view: &SlotView, request: &Request) -> Result<(), FieldError> {
        let definition = &view.definition;
        let count = if request.count == 0 { definition.count() } else { request.count } as usize;
        let shown_twice = if definition.controls.mode() == Mode::Shadow { 2 } else { 1 };
        let positions = count.saturating_mul(shown_twice);
        let rest = ignored_bytes(view, request) + explanation_bytes(view, request);
        let at_most = self.bytes + positions.saturating_mul(POSITION_BYTES_MAX) + rest;
        if self.positions.saturating_add(positions) <= POSITIONS_FREE && at_most <= ANSWER_BYTES_MAX {
            self.positions += positions;
            self.bytes = at_most;
            return Ok(());
        }
        let sizes = self.sizes.entry(view.number).or_insert_with(|| {
            view.arms_in_effect()
                .iter()
                .map(|arm| arm.payload.as_ref().map_or(0, payload_bytes) + arm.id.as_str().len())
                .collect()
        });
        let mut of_candidates: Vec<usize> = if request.candidates.is_empty() {
            sizes.clone()
        } else {
            let known = |arm: &str| view.arms.position(arm).and_then(|at| sizes.get(at)).copied();
            request.candidates.iter().map(|one| known(one.arm.as_str()).unwrap_or(one.arm.as_str().len())).collect()
        };
        let shown = count.min(of_candidates.len());
        if shown < of_candidates.len() && shown > 0 {
            of_candidates.select_nth_unstable_by(shown - 1, |a, b| b.cmp(a));
        }
        let largest: usize = of_candidates.iter().take(shown).map(|bytes| bytes + FRAME).sum();
        let bytes = self.bytes.saturating_add(largest.saturating_mul(shown_twice)).saturating_add(rest);
        if bytes > ANSWER_BYTES_MAX {
            let before = if self.bytes > 0 { ", with the requests before it" } else { "" };
            let explained = explanation_bytes(view, request);
            if explained > (bytes - self.bytes) / 2 {
                let message = format!(
                    "is true, and the explanation may take {explained} of {bytes} bytes{before}; at most \
                     {ANSWER_BYTES_MAX} are answered in one call; ask for fewer explanations in a call"
                );
                return Err(FieldError::new("explain", message));
            }
            return Err(FieldError::new(
                "count",
                format!(
                    "is {count}, and the answer may come to {bytes} bytes{before} (ids and payloads of its arms, ids of \
                     unknown candidates, explanations); at most {ANSWER_BYTES_MAX} are answered in one call; ask for fewer arms, or make their payloads smaller"
                ),
            ));
        }
        self.positions += positions;
        self.bytes = bytes;
        Ok(())
    }
}

fn varint_bytes(value: usize) -> usize {
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Bytes of a field of a length: tag, length and content.
fn delimited(content: usize) -> usize {
    1 + varint_bytes(content) + content
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 2,
        Value::Number(_) => 9,
        Value::String(text) => delimited(text.len()),
        Value::Array(values) => delimited(values.iter().map(|value| delimited(value_bytes(value))).sum()),
        Value::Object(object) => delimited(object_bytes(object)),
    }
}

fn object_bytes(object: &Payload) -> usize {
    object.iter().map(|(key, value)| delimited(delimited(key.len()) + delimited(value_bytes(value)))).sum()
}

/// Returns the bytes of a payload as a field of an answer.
fn payload_bytes(payload: &Payload) -> usize {
    delimited(object_bytes(payload))
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::node::payload_to_struct;

    #[test]
    fn a_payload_counts_as_many_bytes_as_protobuf_takes() {
        let numbers: Vec<u32> = (0..300).collect();
        let json = serde_json::json!({
            "title": "Boots", "price": 12.5, "on": true, "none": null, "tags": ["a", "b", {"deep": [1, [2], {}]}],
            "numbers": numbers, "text": "x".repeat(200), "é": {"ü": "ß"}, "empty": {}, "list": []
        });
        let Value::Object(payload) = json else { panic!("an object") };
        let message = payload_to_struct(&payload);
        assert_eq!(payload_bytes(&payload), delimited(message.encoded_len()));
    }
}
