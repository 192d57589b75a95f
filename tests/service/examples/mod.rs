//! The programs under `examples/`, each run as a user runs it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

#[path = "../../../examples/email_block.rs"]
#[expect(dead_code, reason = "its main is what `cargo run --example email_block` starts")]
mod email_block;
#[path = "../../../examples/embed_engine.rs"]
#[expect(dead_code, reason = "its main is what `cargo run --example embed_engine` starts")]
mod embed_engine;
#[path = "../../../examples/page_of_slots.rs"]
#[expect(dead_code, reason = "its main is what `cargo run --example page_of_slots` starts")]
mod page_of_slots;
#[path = "../../../examples/quickstart.rs"]
#[expect(dead_code, reason = "its main is what `cargo run --example quickstart` starts")]
mod quickstart;
use crate::support::started;
use slotwise::client::{Client, RewardStatus};

#[tokio::test(flavor = "multi_thread")]
async fn the_quick_start_makes_one_decision_and_one_click() {
    let (_folder, server, _) = started().await;
    quickstart::run(&server.address).await.unwrap();
    let counters = Client::connect(&server.address).await.unwrap().report("quickstart").await.unwrap().counters;
    assert_eq!((counters.decisions, counters.rewards), (1, 1));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_a_product_in_each_place_and_none_twice() {
    let (_folder, server, _) = started().await;
    let shown = page_of_slots::run(&server.address).await.unwrap();
    assert!(shown.len() == 2 && shown[0] != shown[1], "{shown:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_email_s_order_and_its_refund_are_accepted() {
    let (_folder, server, _) = started().await;
    let statuses = email_block::run(&server.address).await.unwrap();
    assert_eq!(statuses, [RewardStatus::Accepted, RewardStatus::Accepted]);
    let report = Client::connect(&server.address).await.unwrap().report("newsletter").await.unwrap();
    assert!(report.counters.reward_sum.abs() < 1e-9, "the refund takes the reward back: {:?}", report.counters);
    server.stop().await;
}

/// The best choice for each device earns 40 %, and random choice 25 %. The standard error of 500 shoppers is 2 %.
#[test]
fn the_embedded_engine_learns_which_text_to_show_on_which_device() {
    let click_rate = embed_engine::run().unwrap();
    assert!(click_rate > 0.33, "{click_rate}");
}
