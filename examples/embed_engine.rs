//! The engine inside your own program: it decides and learns without a server, a disk or a clock.
//!
//! `cargo run --example embed_engine`
#![allow(clippy::print_stdout, reason = "an example shows its results")]

use std::{error::Error, sync::Arc};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use slotwise::{
    bandit::Value,
    engine::{Body, DecideOptions, DecisionId, Event, Request, RewardEvent, State, Subject, decide, hash},
    slot::{Arm, ArmId, ChangeReason, Definition, SlotId},
};

const SHOPPERS: u64 = 2_000;
const SECOND_US: i64 = 1_000_000;

/// Shoppers on a phone click the short text more often, the others the long one.
fn click_rate(device: &str, arm: &str) -> f64 {
    if (device == "phone") == (arm == "short-text") { 0.4 } else { 0.1 }
}

/// Plays the example. Returns the click rate of the last 500 shoppers; choosing at random would earn 0.25.
pub(crate) fn run() -> Result<f64, Box<dyn Error>> {
    // Everything that happens is an event, and the state changes only by applying events.
    let slot = SlotId::parse("slot", "banner")?;
    let mut definition = Definition::new(slot.clone());
    for id in ["short-text", "long-text"] {
        definition.arms.push(Arc::new(Arm::new(ArmId::parse("arm", id)?)));
    }
    definition.controls.holdout = Some(0.0);
    let mut state = State::default();
    let created = Body::SlotCreated { definition: Arc::new(definition), why: ChangeReason::default() };
    state.apply(&Event { at_us: 0, body: created });

    let mut shoppers = StdRng::seed_from_u64(17);
    let mut clicks = 0;
    for shopper in 0..SHOPPERS {
        // Your program brings time and randomness. The same events give the same state on every machine.
        let at_us = i64::try_from(shopper)? * SECOND_US;
        let random = hash("banner", &[&shopper.to_be_bytes()]);
        let view = state.slot("banner").ok_or("the slot was deleted")?.view();
        let options = DecideOptions::new(DecisionId::new(view.number, at_us, random.other_word()), random.word());
        let device = if shoppers.random_bool(0.5) { "phone" } else { "desktop" };
        let mut request = Request::new(slot.clone());
        request.context.insert("device".into(), Value::Text(device.into()));

        // Deciding reads a view and changes nothing. The decision becomes part of the state as an event.
        let decided = Arc::new(decide(&view, request, options).decided);
        state.apply(&Event { at_us, body: Body::Decided(Arc::clone(&decided)) });

        // The reward is learned at once, so the next decision knows it.
        let arm = &decided.chosen[0].arm;
        if shoppers.random_bool(click_rate(device, arm.as_str())) {
            clicks += u32::from(shopper >= SHOPPERS - 500);
            let click = RewardEvent {
                slot: slot.clone(),
                event_id: format!("click-{shopper}"),
                decision: Some(decided.id),
                subject: Subject::default(),
                arm: None,
                kind: "click".into(),
                value: None,
                time_us: at_us,
                reverses: None,
            };
            state.apply(&Event { at_us, body: Body::Rewarded(Box::new(click)) });
        }
    }
    Ok(f64::from(clicks) / 500.0)
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("of the last 500 shoppers {:.1} % clicked; random choice would earn 25 %", 100.0 * run()?);
    Ok(())
}
