//! A slot's message as its descriptor describes it, for code that walks all fields and names none.
//!
//! Update masks, differences and documents go through [`message_of`] and [`definition_of`]. The conversion between
//! messages and definitions is therefore the only code that lists the fields, and a new control reaches all three.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use super::{decode_slot, encode_slot, proto};
use crate::slot::{Definition, FieldError};

/// Controls that operations switch from day to day. A change that leaves one unset keeps its value.
pub const CONTROLS_OF_OPERATIONS: [&str; 4] = ["mode", "safe_choice", "freeze_learning", "approval"];

/// Fields of an arm that operations switch from day to day. A change that leaves one unset keeps its value.
pub const ARM_FIELDS_OF_OPERATIONS: [&str; 3] = ["available", "unavailable_because", "schedule"];

static SLOT: LazyLock<MessageDescriptor> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(proto::DESCRIPTORS).ok();
    pool.and_then(|pool| pool.get_message_by_name("slotwise.v1.Slot")).expect("the descriptors are compiled in")
});

/// Returns the descriptor of `slotwise.v1.Slot`.
pub fn slot_descriptor() -> &'static MessageDescriptor {
    &SLOT
}

/// Returns a definition as a message that can be walked, with its arms.
pub fn message_of(definition: &Definition) -> DynamicMessage {
    dynamic(&encode_slot::definition(definition, 0))
}

/// Returns a definition as a message that can be walked, without its arms.
pub(super) fn settings_of(definition: &Definition) -> DynamicMessage {
    dynamic(&encode_slot::settings(definition, 0))
}

/// Returns an arm as a message that can be walked.
pub(super) fn arm_message(arm: &crate::slot::Arm) -> DynamicMessage {
    let descriptor = SLOT.get_field_by_name("arms").map(|field| field.kind());
    let arms = descriptor.as_ref().and_then(Kind::as_message);
    let mut message = DynamicMessage::new(arms.unwrap_or(&SLOT).clone());
    transcode(&mut message, &encode_slot::arm(arm));
    message
}

/// Returns a slot's message in its walkable form.
pub(super) fn dynamic(slot: &proto::Slot) -> DynamicMessage {
    let mut message = DynamicMessage::new(SLOT.clone());
    transcode(&mut message, slot);
    message
}

/// Fills a message from a generated one of the same type, whose bytes always decode.
fn transcode(message: &mut DynamicMessage, from: &impl prost::Message) {
    let transcoded = message.transcode_from(from);
    debug_assert!(transcoded.is_ok(), "{transcoded:?}");
}

/// Returns the definition that a message describes; whether its fields hold together is not checked. Paths in errors
/// begin with the slot's fields.
pub fn definition_of(message: &DynamicMessage) -> Result<Definition, FieldError> {
    let slot = message.transcode_to::<proto::Slot>().map_err(|why| FieldError::new("slot", why.to_string()))?;
    decode_slot::unchecked(slot)
}

/// Returns whether a message holds one of several alternatives and nothing else, as a policy or a mode does.
pub fn is_choice(message: &MessageDescriptor) -> bool {
    let mut oneofs = message.oneofs();
    match (oneofs.next(), oneofs.next()) {
        (Some(oneof), None) => oneof.fields().len() == message.fields().len() && !oneof.is_synthetic(),
        _ => false,
    }
}

/// Returns the alternative that a choice holds, or `None` if it is left at its default.
pub fn chosen(choice: &DynamicMessage) -> Option<(FieldDescriptor, &Value)> {
    choice.fields().next()
}

/// Returns an enumeration's value as people write it: `SLOT_KIND_OFFER` is `offer`. Returns `None` for the value 0,
/// which stands for an unset field, and for numbers without a name.
pub fn enum_text(field: &FieldDescriptor, number: i32) -> Option<String> {
    let kind = field.kind();
    let value = kind.as_enum()?.get_value(number).filter(|value| value.number() != 0)?;
    Some(plain_name(kind.as_enum()?, value.name()))
}

/// Returns the name of an enumeration's value without the enumeration's name, in lower case.
pub fn plain_name(enumeration: &prost_reflect::EnumDescriptor, value: &str) -> String {
    let zero = enumeration.default_value();
    let prefix = zero.name().strip_suffix("UNSPECIFIED").unwrap_or_default();
    value.strip_prefix(prefix).unwrap_or(value).to_lowercase()
}

/// Returns the microseconds of a `google.protobuf.Duration` or `google.protobuf.Timestamp`.
pub fn microseconds(message: &DynamicMessage) -> i64 {
    let part = |name: &str| message.get_field_by_name(name);
    let seconds = part("seconds").and_then(|seconds| seconds.as_i64()).unwrap_or(0);
    let nanos = part("nanos").and_then(|nanos| nanos.as_i32()).unwrap_or(0);
    seconds.saturating_mul(1_000_000).saturating_add(i64::from(nanos) / 1_000)
}
