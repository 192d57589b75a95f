//! Messages in their JSON form (the mapping of proto3), and in the frame that gRPC puts around them.

use axum::{body::Bytes, http::StatusCode};
use prost::Message as _;
use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_path_to_error::{Path, Segment, Track};

use crate::{
    server::problem::HttpProblem,
    slot::{shorten, shorten_key},
};

/// Longest text of an error, characters. A part of the request may stand in it.
const DETAIL_MAX: usize = 300;

/// Bytes before a message: whether it is compressed, and how long it is.
const PREFIX: usize = 5;

/// Reads a message. A field may have its name in the proto file or its JSON name. Nothing at all is an empty message.
pub(super) fn read(descriptor: MessageDescriptor, json: &[u8]) -> Result<DynamicMessage, HttpProblem> {
    if json.iter().all(u8::is_ascii_whitespace) {
        return Ok(DynamicMessage::new(descriptor));
    }
    let mut text = serde_json::Deserializer::from_slice(json);
    let mut track = Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut text, &mut track);
    let read = DynamicMessage::deserialize_with_options(descriptor.clone(), tracked, &DeserializeOptions::new());
    let message = read.map_err(|why| {
        let why: String = why.to_string().chars().take(DETAIL_MAX).collect();
        HttpProblem::of_field(field_path(&descriptor, &track.path()), why)
    })?;
    let ended = text.end();
    ended.map_err(|why| HttpProblem::of_field(String::new(), format!("one JSON value is a request: {why}")))?;
    Ok(message)
}

/// Returns a place in the JSON as the path of a field, in the form of the API's errors: `context["device"].text`.
fn field_path(descriptor: &MessageDescriptor, place: &Path) -> String {
    let mut path = String::new();
    let mut within = Some(descriptor.clone());
    for segment in place {
        match (segment, within.take()) {
            (Segment::Seq { index }, message) => {
                path.extend(["[", &index.to_string(), "]"]);
                within = message;
            }
            (Segment::Map { key }, Some(entry)) if entry.is_map_entry() => {
                path.extend(["[", &shorten_key(key), "]"]);
                within = entry.map_entry_value_field().kind().as_message().cloned();
            }
            (Segment::Map { key }, message) => {
                let field = message.and_then(|of| of.get_field_by_json_name(key).or_else(|| of.get_field_by_name(key)));
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&field.as_ref().map_or_else(|| shorten(key), |field| field.name().to_owned()));
                within = field.and_then(|field| field.kind().as_message().cloned());
            }
            (Segment::Enum { .. } | Segment::Unknown, message) => within = message,
        }
    }
    path
}

/// Writes a message of the given type. Fields at their default are left out, and integers of 64 bits are texts.
pub(super) fn write(descriptor: MessageDescriptor, message: Bytes) -> Result<Vec<u8>, HttpProblem> {
    let message = DynamicMessage::decode(descriptor, message).map_err(HttpProblem::internal)?;
    let mut text = Vec::new();
    let mut json = serde_json::Serializer::new(&mut text);
    message.serialize_with_options(&mut json, &SerializeOptions::new()).map_err(HttpProblem::internal)?;
    Ok(text)
}

/// Returns the message in a frame.
pub(super) fn framed(message: &DynamicMessage) -> Result<Vec<u8>, HttpProblem> {
    let length = message.encoded_len();
    let too_long = |_| HttpProblem::new(StatusCode::PAYLOAD_TOO_LARGE, "OUT_OF_RANGE", "the message is too long");
    let mut frame = Vec::with_capacity(PREFIX + length);
    frame.push(0);
    frame.extend_from_slice(&u32::try_from(length).map_err(too_long)?.to_be_bytes());
    message.encode(&mut frame).map_err(HttpProblem::internal)?;
    Ok(frame)
}

/// Returns the message in a frame's bytes.
pub(super) fn unframed(mut frame: Bytes) -> Result<Bytes, HttpProblem> {
    if frame.len() < PREFIX || frame[0] != 0 {
        return Err(HttpProblem::internal("the answer is not one message"));
    }
    Ok(frame.split_off(PREFIX))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn decide() -> MessageDescriptor {
        super::super::descriptors().unwrap().get_message_by_name("slotwise.v1.DecideRequest").unwrap()
    }

    fn error(json: &str) -> serde_json::Value {
        serde_json::to_value(read(decide(), json.as_bytes()).unwrap_err()).unwrap()
    }

    #[test]
    fn both_names_of_a_field_are_read_and_the_json_name_is_written() {
        for name in ["slot_id", "slotId"] {
            let message = read(decide(), format!(r#"{{"{name}": "offers", "count": 2}}"#).as_bytes()).unwrap();
            let text = write(decide(), message.encode_to_vec().into()).unwrap();
            assert_eq!(
                serde_json::from_slice::<serde_json::Value>(&text).unwrap(),
                json!({"slotId": "offers", "count": 2})
            );
        }
        assert_eq!(read(decide(), b" \n").unwrap().encoded_len(), 0);
    }

    #[test]
    fn an_error_names_its_field_as_over_grpc() {
        let field = |json: &str| error(json)["errors"][0]["field"].as_str().unwrap().to_owned();
        assert_eq!(field(r#"{"slotId": 7}"#), "slot_id");
        assert_eq!(field(r#"{"candidates": [{"armId": "a"}, {"armId": []}]}"#), "candidates[1].arm_id");
        assert_eq!(field(r#"{"context": {"myDevice": {"text": 1}}}"#), r#"context["myDevice"].text"#);
        let unknown = error(r#"{"slots": "offers"}"#);
        assert!(unknown["detail"].as_str().unwrap().contains("'slots'"), "{unknown}");
        let whole = error(r#"{"count": 1} {}"#);
        assert!(
            whole["detail"].as_str().unwrap().contains("one JSON value") && whole.get("errors").is_none(),
            "{whole}"
        );
        assert_eq!(error("[")["status"], 400);
    }

    #[test]
    fn a_frame_holds_its_message() {
        let message = read(decide(), br#"{"slotId": "offers"}"#).unwrap();
        let frame = framed(&message).unwrap();
        assert_eq!(unframed(frame.into()).unwrap(), message.encode_to_vec());
        assert!(unframed(Bytes::from_static(&[0, 0])).is_err());
    }
}
