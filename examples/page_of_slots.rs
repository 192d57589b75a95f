//! A page of slots: one call decides the whole page, and no product appears on it twice.
//!
//! Start `slotwise serve`, then run `cargo run --example page_of_slots`.
#![allow(clippy::print_stdout, reason = "an example shows its results")]

use std::{error::Error, sync::Arc};

use slotwise::{
    client::Client,
    slot::{Arm, ArmId, ChangeReason, Controls, Definition, SlotId},
    wire::proto::{
        BatchDecideRequest, DecideRequest, Subject, decide_result::Result as Decided,
        decision_service_client::DecisionServiceClient,
    },
};

/// The page has two places, and the same products can stand in both.
const PLACES: [&str; 2] = ["page-hero", "page-sidebar"];
const PRODUCTS: [&str; 4] = ["tent", "lamp", "boots", "jacket"];

/// Plays the example against the service at `address`. Returns the product in each place.
pub(crate) async fn run(address: &str) -> Result<Vec<String>, Box<dyn Error>> {
    // Each place is a slot of its own, because the same product earns differently in each place.
    let mut client = Client::connect(address).await?;
    for place in PLACES {
        let mut slot = Definition::new(SlotId::parse("slot", place)?);
        for product in PRODUCTS {
            slot.arms.push(Arc::new(Arm::new(ArmId::parse("arm", product)?)));
        }
        slot.controls = Controls { holdout: Some(0.0), ..Controls::default() };
        client.create_slot(&slot, &ChangeReason::default(), false).await?;
    }

    // The page asks for all its places in one call. `distinct_arms` leaves out of a place what an earlier place shows.
    let request = |place: &str| DecideRequest {
        slot_id: place.to_owned(),
        subject: Some(Subject { id: "customer-17".into(), session_id: "session-4711".into() }),
        ..DecideRequest::default()
    };
    let page = BatchDecideRequest { requests: PLACES.map(request).to_vec(), distinct_arms: true };
    let mut decisions = DecisionServiceClient::connect(address.to_owned()).await?;
    let answer = decisions.batch_decide(page).await?.into_inner();

    // Each place has an answer of its own: a decision, or an error that does not touch the other places.
    let mut shown = Vec::new();
    for (place, result) in PLACES.iter().zip(answer.results) {
        match result.result {
            Some(Decided::Response(decision)) => {
                let arm = &decision.arms[0];
                println!("{place} shows {}, drawn with probability {}", arm.arm_id, arm.propensity);
                shown.push(arm.arm_id.clone());
            }
            Some(Decided::Status(error)) => println!("{place} shows its default: {}", error.message),
            None => println!("{place} has no answer"),
        }
    }
    Ok(shown)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    run("http://127.0.0.1:50051").await?;
    Ok(())
}
