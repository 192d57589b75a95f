//! Tests of comparisons of policies.

use rand::{RngExt as _, rngs::StdRng};

use super::*;
use crate::{
    engine::{
        decision_record::{ChosenArm, ScoredCandidate},
        ids::DecisionId,
    },
    slot::{Arm, SlotId},
};

fn arm_id(id: &str) -> ArmId {
    ArmId::parse("arm_id", id).unwrap()
}

fn definition() -> Definition {
    let mut definition = Definition::new(SlotId::parse("slot_id", "offers").unwrap());
    definition.arms = ["a", "b", "c"].map(|id| std::sync::Arc::new(Arm::new(arm_id(id)))).to_vec();
    definition
}

/// World of two kinds of contexts, in which the best arm differs. The log draws by probabilities of its own and predicts the
/// rewards badly.
struct LoggedWorld {
    rng: StdRng,
    count: u64,
}

const RATES: [[f64; 3]; 2] = [[0.5, 0.2, 0.1], [0.1, 0.3, 0.2]];
const LOGGED: [[f64; 3]; 2] = [[0.6, 0.3, 0.1], [0.2, 0.5, 0.3]];
const PREDICTED: [[f32; 3]; 2] = [[0.4, 0.3, 0.1], [0.2, 0.25, 0.3]];

impl LoggedWorld {
    fn next(&mut self, subjects: u64) -> (DecisionRecord, f64) {
        self.count += 1;
        let kind = usize::from(self.rng.random_bool(0.5));
        let draw: f64 = self.rng.random();
        let shown = usize::from(draw > LOGGED[kind][0]) + usize::from(draw > LOGGED[kind][0] + LOGGED[kind][1]);
        let reward = f64::from(u8::from(self.rng.random_bool(RATES[kind][shown])));
        let id = DecisionId::new(1, 1_793_000_000_000_000, self.count);
        let mut decided = DecisionRecord::empty(SlotId::parse("slot_id", "offers").unwrap(), id);
        decided.subject.id = format!("s{}", self.count % subjects);
        decided.chosen = vec![ChosenArm {
            arm: arm_id(["a", "b", "c"][shown]),
            propensity: LOGGED[kind][shown],
            expected_reward: f64::from(PREDICTED[kind][shown]),
            baseline_position: 1,
            swap_probability: 0.0,
            reason: Reason::Exploring,
        }];
        #[expect(clippy::cast_possible_truncation, reason = "as they are recorded")]
        let scored = |i: usize| ScoredCandidate {
            candidate: i as u32,
            mean: PREDICTED[kind][i],
            std: 0.05,
            propensity: LOGGED[kind][i] as f32,
        };
        decided.scored = (0..3).map(scored).collect();
        (decided, reward)
    }
}

fn compared(policies: Vec<ComparedPolicy>, decisions: u64) -> PolicyComparison {
    let definition = definition();
    let mut world = LoggedWorld { rng: StdRng::seed_from_u64(51), count: 0 };
    let mut comparison = PolicyComparison::new(policies);
    for _ in 0..decisions {
        let (decided, reward) = world.next(decisions);
        comparison.add(&decided, &definition, |i| Some(&definition.arms[i].id), reward);
    }
    comparison
}

fn value(policy: impl Fn(usize, usize) -> f64) -> f64 {
    (0..2).map(|kind| (0..3).map(|arm| 0.5 * policy(kind, arm) * RATES[kind][arm]).sum::<f64>()).sum()
}

/// The values are those of the world, within four of their standard errors, and so are the differences.
#[test]
fn values_are_those_of_the_world() {
    let draft =
        Controls { policy: Some(Policy::EpsilonGreedy { epsilon: 0.3 }), floor: Some(0.0), ..Controls::default() };
    let policies = vec![
        ComparedPolicy::Greedy,
        ComparedPolicy::Uniform,
        ComparedPolicy::Always(arm_id("b")),
        ComparedPolicy::Draft { name: "draft".into(), controls: Box::new(draft) },
    ];
    let comparison = compared(policies, 20_000);
    assert_eq!((comparison.decisions(), comparison.left_out()), (20_000, 0));
    let greedy = |kind: usize, arm: usize| f64::from(u8::from(arm == [0, 2][kind]));
    let present = value(|kind, arm| LOGGED[kind][arm]);
    let wanted = [
        present,
        value(greedy),
        value(|_, _| 1.0 / 3.0),
        value(|_, arm| f64::from(u8::from(arm == 1))),
        value(|kind, arm| 0.1 + 0.7 * greedy(kind, arm)),
    ];
    for (result, want) in comparison.results().iter().zip(wanted) {
        let value = result.value.unwrap_or_else(|| panic!("{result:?}"));
        let four = |(low, high): (f64, f64)| 4.0 * (high - low) / (2.0 * ONE_LOOK);
        assert!((value.mean - want).abs() < four(value.interval), "{result:?} {want}");
        assert!((value.difference - (want - present)).abs() < four(value.difference_interval).max(1e-9), "{result:?}");
    }
}

/// An arm that the log hardly ever showed cannot be compared, and the advice is a floor.
#[test]
fn a_policy_without_overlap_is_refused_with_a_floor() {
    let definition = definition();
    let mut world = LoggedWorld { rng: StdRng::seed_from_u64(52), count: 0 };
    let mut comparison = PolicyComparison::new(vec![ComparedPolicy::Always(arm_id("c"))]);
    for _ in 0..10_000 {
        let (mut decided, reward) = world.next(10_000);
        if decided.chosen[0].arm == arm_id("c") {
            continue;
        }
        for (of, propensity) in decided.scored.iter_mut().zip([0.6, 0.399_999, 1e-6]) {
            of.propensity = propensity;
        }
        comparison.add(&decided, &definition, |i| Some(&definition.arms[i].id), reward);
    }
    let results = comparison.results();
    assert!(results[0].value.is_some() && results[1].value.is_none(), "{results:?}");
    assert_eq!(results[1].floor_needed, Some(0.05), "{results:?}");
}

/// Decisions that the policy did not draw say nothing.
#[test]
fn decisions_that_were_not_drawn_are_left_out() {
    let definition = definition();
    let mut world = LoggedWorld { rng: StdRng::seed_from_u64(53), count: 0 };
    let mut comparison = PolicyComparison::new(Vec::new());
    let mut add = |edit: fn(&mut DecisionRecord)| {
        let (mut decided, reward) = world.next(10);
        edit(&mut decided);
        comparison.add(&decided, &definition, |i| Some(&definition.arms[i].id), reward);
    };
    add(|_| {});
    add(|decided| decided.holdout = true);
    add(|decided| decided.sticky = Some(decided.id));
    add(|decided| decided.chosen[0].reason = Reason::Rule);
    add(|decided| decided.scored.clear());
    add(|decided| decided.chosen.clear());
    assert_eq!((comparison.decisions(), comparison.left_out()), (1, 5));
}
