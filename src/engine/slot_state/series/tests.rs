//! Tests of counts over time.

use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;

fn decision(arms: &[u32], holdout: bool) -> SeriesDecision<'_> {
    let mut keys = SegmentKeys::default();
    keys.set(0, 1, u8::from(holdout));
    SeriesDecision { holdout, arms, default_reward: 0.0, keys, exploration_cost: 0.25 }
}

/// Over four months each decision and reward stands in exactly one place, in the step of its decision.
#[test]
fn steps_hold_what_a_plain_list_holds() {
    let mut rng = StdRng::seed_from_u64(43);
    let mut series = TimeSeries::default();
    let mut list: Vec<(i64, u32, bool, f64)> = Vec::new();
    let mut at_us = 1_793_000_000_000_000;
    for i in 0..6_000_u32 {
        at_us += rng.random_range(0..HOUR_US);
        let (arm, holdout) = (rng.random_range(0..5), rng.random_bool(0.2));
        series.add_decision(at_us, &decision(&[arm], holdout), 1);
        list.push((at_us, arm, holdout, 0.0));
        if rng.random_bool(0.5) {
            let back = rng.random_range(0..list.len().min(60));
            let at = list.len() - 1 - back;
            let (decided_us, arm, holdout, _) = list[at];
            let mut keys = SegmentKeys::default();
            keys.set(0, 1, u8::from(holdout));
            series.add_reward(decided_us, &SeriesReward { arm, more: 0.5, holdout, keys });
            series.add_event(decided_us, arm, if i % 2 == 0 { "click" } else { "buy" }, 1, 2.0);
            list[at].3 += 0.5;
        }
    }
    for step in SeriesStep::ALL {
        let from_us = match step {
            SeriesStep::FiveMinutes => at_us - 40 * HOUR_US,
            SeriesStep::Hour => at_us - 80 * DAY_US,
            SeriesStep::Day => 0,
        };
        let from_us = step.start_us(from_us);
        let mut want: BTreeMap<i64, (u64, f64)> = BTreeMap::new();
        for (decided_us, _, _, reward) in list.iter().filter(|one| one.0 >= from_us) {
            let of = want.entry(step.start_us(*decided_us)).or_default();
            of.0 += 1;
            of.1 += reward;
        }
        let got = series.between(from_us, i64::MAX, step);
        assert_eq!(got.len(), want.len(), "{step:?}");
        for (counts, (start_us, (decisions, reward))) in got.iter().zip(&want) {
            assert_eq!((counts.start_us, counts.totals.decisions), (*start_us, *decisions), "{step:?}");
            assert!((counts.totals.reward - reward).abs() < 1e-9, "{step:?}");
            assert_eq!(counts.arms.iter().map(|arm| arm.showings).sum::<u64>(), *decisions);
            assert_eq!(counts.values.iter().map(|value| value.decisions).sum::<u64>(), *decisions);
            let events: i64 = counts.kinds.iter().map(|kind| kind.events).sum();
            assert!((events as f64 * 0.5 - reward).abs() < 1e-9);
        }
    }
    let all = series.total_between(0, i64::MAX);
    assert_eq!(all.totals.decisions, 6_000);
    assert_eq!(series.kinds(), ["click", "buy"]);
    // A snapshot holds the same series, and copies do not change.
    let copy = series.clone();
    let written = rmp_serde::to_vec_named(&series).unwrap();
    assert_eq!(rmp_serde::from_slice::<TimeSeries>(&written).unwrap(), series);
    series.add_decision(at_us, &decision(&[0], false), 1);
    assert_eq!(copy.total_between(0, i64::MAX).totals.decisions, 6_000);
    let cells: u64 = series.steps.iter().flat_map(ChunkedQueue::iter).map(|counts| counts.cells()).sum();
    assert_eq!(cells, series.cells());
}

/// The more slots there are, the fewer cells each keeps: old steps become coarser, and nothing but the oldest days leaves.
#[test]
fn cells_are_bounded_and_old_steps_become_coarser() {
    let mut series = TimeSeries::default();
    let arms: Vec<u32> = (0..100).collect();
    for i in 0..600_i64 {
        series.add_decision(1_793_000_000_000_000 + i * 5 * MINUTE_US, &decision(&arms, false), 4_000);
        assert!(series.cells() <= SERIES_CELLS_MIN + 200, "{}", series.cells());
    }
    let all = series.total_between(0, i64::MAX);
    assert_eq!(all.totals.decisions, 600);
    assert_eq!(all.arms.len(), SERIES_ARMS_MAX + 1);
    let others = all.arms.iter().find(|arm| arm.arm == OTHER_ARMS).unwrap();
    assert_eq!(others.showings, 600 * 36);
}
