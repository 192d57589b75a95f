//! A block of an email: three products are chosen when the email is sent, and orders are reported later without the id
//! of the decision.
//!
//! Start `slotwise serve`, then run `cargo run --example email_block`.
#![allow(clippy::print_stdout, reason = "an example shows its results")]

use std::{error::Error, sync::Arc};

use slotwise::{
    bandit::Value,
    client::{Client, RewardStatus},
    engine::{Request, RewardEvent, Subject},
    slot::{Arm, ArmId, ChangeReason, Controls, Definition, RewardKind, SlotId, SlotKind},
};

const DAY_US: i64 = 24 * 3_600 * 1_000_000;

/// Plays the example against the service at `address`. Returns the status of the order and of its refund.
pub(crate) async fn run(address: &str) -> Result<Vec<RewardStatus>, Box<dyn Error>> {
    let mut client = Client::connect(address).await?;

    // A block shows three arms. The goal counts the value of orders within two weeks of the email.
    let slot = SlotId::parse("slot", "newsletter")?;
    let mut newsletter = Definition { kind: SlotKind::Block, ..Definition::new(slot.clone()) };
    for product in ["tent", "lamp", "boots", "jacket", "stove"] {
        newsletter.arms.push(Arc::new(Arm::new(ArmId::parse("arm", product)?)));
    }
    let order = RewardKind {
        kind: "order".into(),
        weight: 1.0,
        use_value: true,
        cap: None,
        winsorize: Some(0.99),
        role: None,
        joins: None,
    };
    newsletter.goal.kinds = vec![order];
    newsletter.goal.window_us = 14 * DAY_US;
    newsletter.controls = Controls { holdout: Some(0.0), ..Controls::default() };
    client.create_slot(&newsletter, &ChangeReason::default(), false).await?;

    // The mail job asks once per recipient. The request id makes a repeated job send the same email again.
    let recipient = Subject { id: "customer-17".into(), session_id: String::new() };
    let mut request = Request::new(slot.clone());
    request.subject = recipient.clone();
    request.request_id = Some("newsletter-2026-11-customer-17".into());
    request.context.insert("loyalty".into(), Value::Text("gold".into()));
    let decision = client.decide_in_full(&request).await?.decided;
    for shown in &decision.chosen {
        println!("the email shows {}, drawn with probability {}", shown.arm, shown.propensity);
    }

    // Days later the shop reports an order. It knows the customer and the product, but not the decision: the event
    // joins the customer's latest decision that showed this product.
    let order = RewardEvent {
        slot,
        event_id: "order-9001".into(),
        decision: None,
        subject: recipient,
        arm: Some(decision.chosen[0].arm.clone()),
        kind: "order".into(),
        value: Some(59.9),
        time_us: decision.id.at_us() + 1_000_000,
        reverses: None,
    };
    // A refund reverses the order, and the slot takes back what it learned from it.
    let refund = RewardEvent {
        event_id: "refund-9001".into(),
        reverses: Some("order-9001".into()),
        value: None,
        ..order.clone()
    };
    let statuses = client.record_events(&[order, refund]).await?;
    println!("the order was {:?}, the refund {:?}", statuses[0], statuses[1]);
    Ok(statuses)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    run("127.0.0.1:50051").await?;
    Ok(())
}
