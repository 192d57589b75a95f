//! Tests of the figures "if everybody got it".

use super::*;
use crate::{
    engine::{IfEverybody, WithheldBecause},
    stats::math,
};

/// Sums of one arm as they follow from the decisions, added up from a list.
#[derive(Default)]
struct PlainSums {
    average: f64,
    weight: f64,
    scores: f64,
}

/// Means of the first positions over all decisions, from the recorded scores and the final rewards, with weights that halve
/// every half-life.
fn plain_means(
    made: &[(i64, Arc<DecisionRecord>)],
    rewards: &BTreeMap<DecisionId, f64>,
    half_life_us: i64,
) -> Vec<f64> {
    let mut arms: Vec<Option<PlainSums>> = (0..3).map(|_| None).collect();
    let last_us = made.last().unwrap().0;
    for (at_us, decided) in made {
        let fading = math::exp2(-((last_us - at_us) as f64) / half_life_us as f64);
        let own = ["a", "b", "c"].iter().position(|arm| *arm == decided.chosen[0].arm.as_str()).unwrap();
        for scored in &decided.scored {
            let place = scored.candidate as usize;
            let (q, p) = (f64::from(scored.mean), f64::from(scored.propensity));
            let sums = arms[place].get_or_insert(PlainSums { average: 3.0, ..PlainSums::default() });
            let weight = fading / sums.average.powf(0.75);
            sums.average += (1.0 / p - sums.average) / 200.0;
            let score = if place == own { q + (rewards[&decided.id] - q) / p } else { q };
            sums.weight += weight;
            sums.scores += weight * score;
        }
    }
    arms.into_iter().flatten().map(|sums| sums.scores / sums.weight).collect()
}

/// The figures are those of the batch over all decisions with their final rewards, whatever order rewards, refunds and
/// silence came in, and a snapshot holds them.
#[test]
fn figures_are_those_of_the_decisions_and_their_final_rewards() {
    let mut definition = definition(&["a", "b", "c"]);
    definition.controls.floor = Some(0.05);
    definition.controls.half_life_us = Some(12 * HOUR_US);
    let mut world = StateHarness::new(definition);
    let mut rng = StdRng::seed_from_u64(31);
    let mut made: Vec<(i64, Arc<DecisionRecord>)> = Vec::new();
    let mut sent: Vec<(String, usize)> = Vec::new();
    let mut rewards: BTreeMap<DecisionId, f64> = BTreeMap::new();
    for i in 0..1_500 {
        world.at_us += HOUR_US / 60;
        let mut request = request();
        request.subject.id = format!("s{}", rng.random_range(0..90));
        request.context.insert("device".into(), Value::Text(["laptop", "phone"][i % 2].into()));
        let decided = world.decide(request);
        rewards.insert(decided.id, 0.0);
        made.push((world.at_us, decided));
        if rng.random_bool(0.3) {
            let at = rng.random_range(made.len().saturating_sub(30)..made.len());
            let (event, value) = (format!("e{i}"), f64::from(rng.random_range(1..9_u32)));
            // One reward per decision, so that a reversal leaves none.
            if sent.iter().all(|(_, other)| *other != at)
                && world.reward(&event, &made[at].1, "buy", Some(value)) == EventStatus::Accepted
            {
                *rewards.get_mut(&made[at].1.id).unwrap() += 0.5 * value;
                sent.push((event, at));
            }
        }
        if rng.random_bool(0.05) && !sent.is_empty() {
            let (event, at) = sent.swap_remove(rng.random_range(sent.len().saturating_sub(10)..sent.len()));
            assert_eq!(world.reverse(&format!("r{i}"), &made[at].1, &event), EventStatus::Accepted);
            *rewards.get_mut(&made[at].1.id).unwrap() = 0.0;
        }
    }
    // The last silence is known once its window is over.
    let half_life_us = world.state.slot("offers").unwrap().definition().controls.half_life_us();
    for _ in 0..40 {
        world.at_us += 3 * HOUR_US;
        world.reward("nothing", &made[0].1, "click", None);
    }
    let view = world.state.slot("offers").unwrap().view();
    assert_eq!(view.evaluation.everybody.settled(), made.len() as u64);
    let want = plain_means(&made, &rewards, half_life_us);
    for (arm, want) in ["a", "b", "c"].iter().zip(want) {
        let sums = view.evaluation.everybody.arm(view.arms.learned(arm).unwrap()).unwrap();
        let got = sums.figure(view.evaluation.everybody.noise(), 1.0).unwrap().mean;
        assert!((got - want).abs() < 1e-5 * want.abs(), "{arm}: {got} against {want}");
    }
    let again = snapshot::decode(&snapshot::encode(&world.state).unwrap()).unwrap();
    assert_eq!(again.slot("offers").unwrap().view().evaluation, view.evaluation);
}

/// Loyal shoppers click x with 60 % and y with 50 %, new ones with 2 % and 18 %. Nearly all loyal shoppers get x, so it has the
/// higher rate where it was shown. The figures hold the means over everybody, 31 % and 34 %, and x is not called the best.
#[test]
fn the_arm_that_is_worse_for_everybody_is_not_the_best_one() {
    let mut definition = definition(&["x", "y"]);
    definition.goal = Goal { window_us: HOUR_US, ..Goal::default() };
    definition.controls.floor = Some(0.02);
    let mut world = StateHarness::new(definition);
    let mut rng = StdRng::seed_from_u64(32);
    for i in 0..6_000 {
        world.at_us += 1_000_000;
        let loyal = rng.random_bool(0.5);
        let mut request = request();
        request.context.insert("segment".into(), Value::Text(if loyal { "loyal" } else { "new" }.into()));
        let decided = world.decide(request);
        let first = decided.chosen[0].arm.as_str() == "x";
        let rate = match (loyal, first) {
            (true, true) => 0.6,
            (true, false) => 0.5,
            (false, true) => 0.02,
            (false, false) => 0.18,
        };
        if rng.random_bool(rate) {
            world.reward(&format!("e{i}"), &decided, "click", None);
        }
        world.events.clear();
    }
    let report = report(&world.state.slot("offers").unwrap().view());
    assert!(report.arms[0].mean > report.arms[1].mean + 0.1, "where they were shown: {:?}", report.arms);
    assert!(report.arms[0].chance_best < 0.5, "{:?}", report.arms);
    for (arm, truth) in report.arms.iter().zip([0.31, 0.34]) {
        let IfEverybody::Known { mean, low, high, .. } = arm.if_everybody else { panic!("{arm:?}") };
        // Two intervals of 95 %, widened to four standard errors.
        let errors = (high - low) / 2.0 / 1.96;
        assert!((mean - truth).abs() < 4.0 * errors && errors < 0.03, "{arm:?}");
    }
}

/// A policy that always shows the same arm says nothing about the others, and the report says why.
#[test]
fn figures_without_overlap_are_withheld() {
    let mut definition = definition(&["a", "b", "c"]);
    definition.controls.policy = Some(Policy::Greedy);
    let mut world = StateHarness::new(definition);
    for i in 0..300 {
        world.at_us += 1_000_000;
        let mut request = request();
        request.context.insert("device".into(), Value::Text(["laptop", "phone"][i % 2].into()));
        let decided = world.decide(request);
        world.reward(&format!("e{i}"), &decided, "click", None);
    }
    let report = report(&world.state.slot("offers").unwrap().view());
    let because = |arm: usize| match &report.arms[arm].if_everybody {
        IfEverybody::Known { .. } => None,
        IfEverybody::Withheld(withheld) => Some(withheld.because),
    };
    let reasons = [WithheldBecause::NotShown, WithheldBecause::TooLittleOverlap];
    for (i, arm) in report.arms.iter().enumerate() {
        assert!(because(i).is_some_and(|because| reasons.contains(&because)), "{arm:?}");
        // Rewards lie within [0, 1], so no loss can be greater, and no arm is certain to be the best.
        assert!((0.01..0.99).contains(&arm.chance_best) && arm.expected_loss.is_none_or(|loss| loss < 1.0), "{arm:?}");
    }
}
