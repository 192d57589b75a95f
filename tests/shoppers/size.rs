//! Size of many profiles: memory, snapshot and the time to read it back.
//!
//! `SLOTWISE_PROFILES=1000000 cargo test --release --test shoppers size -- --nocapture` measures a million.

use std::time::Instant;

use slotwise::{
    engine::{Body, Event, snapshot},
    slot::{Definition, SlotKind, limits::PROFILE_BYTES_MAX},
};

use super::shop::{DAY_US, PlayedShop, SECOND_US, product, slot_id, subject};

/// Resident memory of the process, bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[test]
fn size_of_many_profiles() {
    let wanted = std::env::var("SLOTWISE_PROFILES").ok().and_then(|n| n.parse().ok()).unwrap_or(3_000_usize);
    let mut shop = PlayedShop::new(5);
    let categories: Vec<String> = (0..60).map(|i| format!("category-{i}")).collect();
    let arms = (0..300).map(|i| product(&format!("item-{i}"), &categories[i % 60])).collect();
    shop.create(Definition { kind: SlotKind::Ranking, arms, ..Definition::new(slot_id("page")) });
    let before = resident();
    let begun = Instant::now();
    let mut events = 0_u32;
    for visit in 0..6 {
        for i in 0..wanted {
            shop.at_us += SECOND_US / 1_000;
            let kind = ["view", "click", "add_to_cart", "click", "view", "purchase"][(visit + i) % 6];
            let item = format!("item-{}", (i * 7 + visit * 31) % 300);
            let mut event = shop.event(kind, &subject(&format!("customer-{i}"), ""), &[&item]);
            event.keep_us = 180 * DAY_US;
            let at_us = shop.at_us;
            shop.state.apply(&Event { at_us, body: Body::Shopper(event.into()) });
            events += 1;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let profiles = shop.state.profiles().unwrap();
    let counts = profiles.counts();
    assert_eq!(profiles.len(), wanted);
    assert!(counts.bytes <= (PROFILE_BYTES_MAX * wanted) as u64, "{counts:?}");
    let grown = resident().saturating_sub(before);
    let begun = Instant::now();
    let bytes = snapshot::encode(&shop.state).unwrap();
    let written = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let read = snapshot::decode(&bytes).unwrap();
    let decoded = begun.elapsed().as_secs_f64();
    assert!(read == shop.state);
    println!(
        "{wanted} profiles: {} bytes each by their own count, {} MB resident, {:.1} us an event with making it, \
         snapshot {} MB, written in {written:.2} s, read in {decoded:.2} s",
        counts.bytes / wanted as u64,
        grown / 1_000_000,
        1e6 * seconds / f64::from(events),
        bytes.len() / 1_000_000,
    );
}
