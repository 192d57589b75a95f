//! Tests of slots with too many arms for each to have a posterior over the features.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;
use crate::{bandit::Value, slot::SlotKind};

const ARMS: usize = 1_200;

fn arm(i: usize) -> Arc<Arm> {
    let mut attributes = Features::new();
    attributes.insert("liked".into(), Value::Flag(i.is_multiple_of(10)));
    attributes.insert("price".into(), Value::Number((i % 7) as f64));
    Arc::new(Arm {
        id: arm_id(&format!("arm{i}")),
        attributes,
        available: true,
        payload: None,
        because: None,
        schedule: crate::slot::Schedule::default(),
    })
}

/// One arm in ten is liked, at 0.6 instead of 0.1. 400 slates of ten of forty candidates show each arm about three
/// times: far too seldom to tell arms apart one by one.
#[test]
fn a_ranking_of_a_thousand_arms_learns_from_their_attributes() {
    let mut world = StateHarness::new(Definition {
        kind: SlotKind::Ranking,
        goal: Goal::default(),
        arms: (0..ARMS).map(arm).collect(),
        ..definition(&[])
    });
    let mut rng = StdRng::seed_from_u64(17);
    let (mut liked_early, mut liked_late) = (0, 0);
    for round in 0..400 {
        world.at_us += 1_000_000;
        let mut candidates: Vec<usize> = (0..40).map(|i| (i * 30 + rng.random_range(0..30)) % ARMS).collect();
        candidates.dedup();
        let candidate = |&i: &usize| RequestCandidate { arm: arm_id(&format!("arm{i}")), features: Features::new() };
        let decided = world.decide(Request { candidates: candidates.iter().map(candidate).collect(), ..request() });
        assert!(decided.model.starts_with("portfolio/shared"), "{}", decided.model);
        assert_eq!(decided.chosen.len(), 10);
        for chosen in &decided.chosen {
            let liked = chosen.arm.as_str()[3..].parse::<usize>().unwrap().is_multiple_of(10);
            *(if round < 10 { &mut liked_early } else { &mut liked_late }) += i32::from(liked);
            if rng.random_bool(if liked { 0.6 } else { 0.1 }) {
                let event = rewarded(&format!("{round}-{}", chosen.arm), Some(decided.id), "click", None);
                world.send(RewardEvent { arm: Some(chosen.arm.clone()), ..event });
            }
        }
    }
    // Four of forty candidates are liked; a random slate of ten has one of them. Once they are known, nearly all four
    // are shown.
    let late = f64::from(liked_late) / 390.0;
    assert!(late > 3.0, "{late} of about 4 in a slate, {liked_early} in the first ten");
    // Arms that were never shown start from their attributes.
    world.change(Change::UpsertArms([5_000, 5_001].map(|i| (*arm(i)).clone()).to_vec())).unwrap();
    let candidate = |i: usize| RequestCandidate { arm: arm_id(&format!("arm{i}")), features: Features::new() };
    let fresh = world.decide(Request { candidates: vec![candidate(5_001), candidate(5_000)], ..request() });
    let expected = |name: &str| fresh.chosen.iter().find(|c| c.arm == arm_id(name)).unwrap().expected_reward;
    let (liked, other) = (expected("arm5000"), expected("arm5001"));
    assert!((0.4..0.7).contains(&liked) && other < 0.25, "{liked} {other}");
}
