//! Conversion of changes of the item catalogue to the journal's messages and back.

use super::{
    decode::{DecodeResult, parse_arm_id},
    decode_slot::decode_arms,
    encode_slot::encode_arm,
    error::DecodeError,
    log,
};
use crate::{
    engine::{ItemChanges, ItemOperation},
    slot::{Actor, ChangeReason},
};

pub(super) fn encode_items(changes: &ItemChanges) -> log::ItemsChanged {
    let ChangeReason { author, reason, actor: _ } = &changes.why;
    log::ItemsChanged {
        operations: changes.operations.iter().map(encode_operation).collect(),
        reason: reason.clone(),
        author: author.clone(),
    }
}

fn encode_operation(operation: &ItemOperation) -> log::ItemOperation {
    use log::item_operation::Operation as Out;
    let operation = match operation {
        ItemOperation::Upsert(item) => Out::Upsert(encode_arm(item)),
        ItemOperation::Remove(item) => Out::Remove(item.to_string()),
        ItemOperation::SetAvailable(item, available) => {
            Out::Availability(log::ItemAvailability { item_id: item.to_string(), available: *available })
        }
    };
    log::ItemOperation { operation: Some(operation) }
}

pub(super) fn decode_items(message: log::ItemsChanged, actor: Actor) -> DecodeResult<ItemChanges> {
    let log::ItemsChanged { operations, reason, author } = message;
    let operations = operations.into_iter().map(decode_operation).collect::<DecodeResult<_>>()?;
    Ok(ItemChanges { operations, why: ChangeReason { author, reason, actor } })
}

fn decode_operation(log::ItemOperation { operation }: log::ItemOperation) -> DecodeResult<ItemOperation> {
    use log::item_operation::Operation as In;
    match operation.ok_or_else(|| DecodeError::missing("an operation"))? {
        In::Upsert(item) => {
            let item = decode_arms(vec![item])?.pop().ok_or_else(|| DecodeError::missing("an item"))?;
            Ok(ItemOperation::Upsert(item))
        }
        In::Remove(item) => Ok(ItemOperation::Remove(parse_arm_id(&item)?)),
        In::Availability(log::ItemAvailability { item_id: item, available }) => {
            Ok(ItemOperation::SetAvailable(parse_arm_id(&item)?, available))
        }
    }
}
