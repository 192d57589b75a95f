//! Path of the field at which bytes could not be decoded.
//!
//! Prost's error names messages and fields, the innermost first (`Arm.payload: UpsertArmsRequest.arms: …`), but not the
//! element of a list. The offset at which decoding stopped leads to the element.

use std::sync::OnceLock;

use prost::{
    Message as _,
    bytes::Buf,
    encoding::{WireType, decode_key, decode_varint},
};
use prost_types::{FieldDescriptorProto, FileDescriptorSet, field_descriptor_proto::Label};

use super::proto::DESCRIPTORS;

/// Returns the field `Message.field` of the API, or `None` if the message is a well-known type.
fn field_of(message: &str, field: &str) -> Option<&'static FieldDescriptorProto> {
    static ALL: OnceLock<FileDescriptorSet> = OnceLock::new();
    let all = ALL.get_or_init(|| FileDescriptorSet::decode(DESCRIPTORS).unwrap_or_default());
    let ours = all.file.iter().filter(|file| file.package().starts_with("slotwise."));
    let message = ours.flat_map(|file| &file.message_type).find(|have| have.name() == message)?;
    message.field.iter().find(|have| have.name() == field)
}

/// Returns the path of the field at which decoding `bytes` stopped, such as `arms[0].payload`. `error` is prost's message,
/// and `stopped` is the number of bytes that were read.
pub(super) fn path(error: &str, bytes: &[u8], stopped: usize) -> String {
    let mut path = String::new();
    let mut within = Some((bytes, stopped));
    // The message has words before the first field and after the last.
    let parts = error.split(": ").skip(1).map_while(|part| part.split_once('.'));
    let parts: Vec<(&str, &str)> = parts.collect();
    for (message, name) in parts.into_iter().rev() {
        let Some(field) = field_of(message, name) else { break };
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        let found = within.and_then(|(bytes, stopped)| occurrence(bytes, stopped, field.number()));
        if let Some((index, ..)) = found
            && field.label() == Label::Repeated
        {
            path = format!("{path}[{index}]");
        }
        within = found.map(|(_, bytes, stopped)| (bytes, stopped));
    }
    path
}

/// Returns, of the fields with this number, the one in which decoding stopped: its index, its bytes and the offset within
/// them.
fn occurrence(bytes: &[u8], stopped: usize, number: i32) -> Option<(usize, &[u8], usize)> {
    let mut rest = bytes;
    let mut index = 0;
    while rest.has_remaining() {
        let (tag, wire_type) = decode_key(&mut rest).ok()?;
        let length = match wire_type {
            WireType::Varint => {
                decode_varint(&mut rest).ok()?;
                continue;
            }
            WireType::ThirtyTwoBit => 4,
            WireType::SixtyFourBit => 8,
            WireType::LengthDelimited => usize::try_from(decode_varint(&mut rest).ok()?).ok()?,
            WireType::StartGroup | WireType::EndGroup => return None,
        };
        let begin = bytes.len() - rest.len();
        let whole = length.min(rest.len());
        if i64::from(tag) == i64::from(number) && wire_type == WireType::LengthDelimited {
            // A stop right at the end of the field belongs to it.
            if stopped <= begin + whole {
                return Some((index, &rest[..whole], stopped.saturating_sub(begin)));
            }
            index += 1;
        }
        rest = &rest[whole..];
    }
    None
}

#[cfg(test)]
mod tests {
    use prost_types::{ListValue, Struct, Value, value::Kind};

    use super::{super::proto::*, *};

    fn nested(depth: usize) -> Struct {
        let list = |inner| Value { kind: Some(Kind::ListValue(ListValue { values: vec![inner] })) };
        let deep = (0..depth).fold(Value { kind: Some(Kind::NullValue(0)) }, |inner, _| list(inner));
        Struct { fields: [("deep".to_owned(), deep)].into() }
    }

    fn failing_path<M: prost::Message + Default + std::fmt::Debug>(bytes: &[u8]) -> String {
        let mut rest = bytes;
        let error = M::decode(&mut rest).unwrap_err();
        path(&error.to_string(), bytes, bytes.len() - rest.len())
    }

    #[test]
    fn a_payload_that_is_nested_too_deep_is_named_with_its_arm() {
        let arm = |depth| Arm { arm_id: "a".into(), payload: Some(nested(depth)), ..Arm::default() };
        let arms = vec![arm(2), arm(3), arm(200), arm(2)];
        let upsert = UpsertArmsRequest { slot_id: "offers".into(), arms: arms.clone(), ..UpsertArmsRequest::default() };
        assert_eq!(failing_path::<UpsertArmsRequest>(&upsert.encode_to_vec()), "arms[2].payload");
        let slot = Slot { slot_id: "offers".into(), arms: arms[2..].to_vec(), ..Slot::default() };
        let create = CreateSlotRequest { slot: Some(slot), ..CreateSlotRequest::default() };
        assert_eq!(failing_path::<CreateSlotRequest>(&create.encode_to_vec()), "slot.arms[0].payload");
    }

    #[test]
    fn a_text_that_is_not_utf_8_is_named() {
        let candidate = |id: &str| Candidate { arm_id: id.into(), ..Candidate::default() };
        let request = DecideRequest { candidates: ["a", "b", "ZZ"].map(candidate).into(), ..DecideRequest::default() };
        let mut bytes = request.encode_to_vec();
        let at = bytes.windows(2).position(|pair| pair == b"ZZ").unwrap();
        bytes[at] = 0xff;
        assert_eq!(failing_path::<DecideRequest>(&bytes), "candidates[2].arm_id");
        // Cut off in the middle.
        assert_eq!(failing_path::<DecideRequest>(&bytes[..=at]), "candidates[2]");
        assert_eq!(failing_path::<DecideRequest>(&[0xff; 40]), "");
    }
}
