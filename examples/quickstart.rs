//! Quick start: create a slot, ask for a decision, report a click, read what was learned.
//!
//! Start `slotwise serve`, then run `cargo run --example quickstart`.
#![allow(clippy::print_stdout, reason = "an example shows its results")]

use std::{error::Error, sync::Arc};

use slotwise::{
    bandit::Value,
    client::{Client, RewardEvent},
    engine::Request,
    slot::{Arm, ArmId, ChangeReason, Controls, Definition, SlotId},
};

/// Plays the example against the service at `address`.
pub(crate) async fn run(address: &str) -> Result<(), Box<dyn Error>> {
    let mut client = Client::connect(address).await?;

    let slot = SlotId::parse("slot", "quickstart")?;
    let mut definition = Definition::new(slot.clone());
    for id in ["free-shipping", "gift-wrap"] {
        definition.arms.push(Arc::new(Arm::new(ArmId::parse("arm", id)?)));
    }
    // A new slot holds out a tenth of its subjects. Here nobody is held out.
    definition.controls = Controls { holdout: Some(0.0), ..Controls::default() };
    client.create_slot(&definition, &ChangeReason::default(), false).await?;

    let mut request = Request::new(slot.clone());
    request.context.insert("device".into(), Value::Text("phone".into()));
    let decision = client.decide(&request).await?;
    let (arm, propensity) = &decision.arms[0];
    println!("show {arm}, drawn with probability {propensity}");

    let click = RewardEvent {
        event_id: format!("click-{}", decision.id),
        decision_id: decision.id.clone(),
        arm_id: arm.clone(),
        kind: "click".into(),
        value: None,
    };
    println!("the click was {:?}", client.record_rewards(vec![click]).await?);

    let report = client.report(slot.as_str()).await?;
    println!("{} decisions were made", report.counters.decisions);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    run("127.0.0.1:50051").await
}
