//! Tests of the metrics.

use super::*;

#[test]
fn the_contract_s_metrics_are_there() {
    let metrics = metrics().unwrap();
    metrics.decide_seconds.observe(1e-5);
    metrics.committed(3, 1e-3);
    metrics.rewarded("offers", "click", EventStatus::Late);
    metrics.rule_failed("offers", "no gifts", 3);
    let text = metrics.render(None).unwrap();
    for line in [
        "slotwise_decide_duration_seconds_count 1",
        "slotwise_journal_append_duration_seconds_sum 0.001",
        "slotwise_rewards_total{kind=\"click\",result=\"late\",slot=\"offers\"} 1",
        "slotwise_rule_failures_total{rule=\"no gifts\",slot=\"offers\"} 3",
        "slotwise_snapshot_age_seconds -1",
        "slotwise_build_info{version=",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn deleted_slots_are_forgotten_without_a_scrape() {
    let metrics = metrics().unwrap();
    for i in 0..2 * DELETED_MAX {
        let slot = format!("slot-{i}");
        metrics.rewarded(&slot, "click", EventStatus::Late);
        metrics.slot_deleted(&slot);
    }
    metrics.rewarded("kept", "click", EventStatus::Late);
    metrics.not_journalled("rejected");
    let text = metrics.render(None).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("slotwise_rewards_total{")).count(), 2, "{text}");
}
