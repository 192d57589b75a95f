//! Changes of items survive their records.

use super::*;
use crate::engine::{ItemChanges, ItemOperation};

#[test]
fn every_operation_on_items_survives_its_record_in_order() {
    let item = Arm {
        attributes: [("price".to_owned(), crate::bandit::Value::Number(9.5))].into(),
        available: false,
        payload: Some([("url".to_owned(), serde_json::Value::from("/a"))].into_iter().collect()),
        ..Arm::new(arm_id("a"))
    };
    let operations = vec![
        ItemOperation::Upsert(Arc::new(item)),
        ItemOperation::SetAvailable(arm_id("d"), true),
        ItemOperation::Remove(arm_id("b")),
        ItemOperation::SetAvailable(arm_id("c"), false),
    ];
    let event = Event { at_us: 7, body: Body::ItemsChanged(Arc::new(ItemChanges { operations, why: why() })) };
    let record = encode(&event);
    assert_eq!((record.kind, record.slot.as_str()), ("items_changed", ""), "it is of no slot alone");
    assert_eq!(decode(&record.body), Ok(event));
}

#[test]
fn an_operation_without_content_is_refused() {
    let operations = vec![log::ItemOperation::default()];
    let body = log::event::Body::ItemsChanged(log::ItemsChanged { operations, ..Default::default() });
    let event = log::Event { at_us: 7, body: Some(body), ..log::Event::default() };
    assert!(decode(&event.encode_to_vec()).is_err());
}
