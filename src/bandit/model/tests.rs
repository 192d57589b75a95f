use proptest::prelude::*;

use super::*;
use crate::bandit::{Expansion, Link, Sharing};

impl Model {
    /// Learns a reward, where the expectation does not matter.
    fn observe(&mut self, arm: u32, x: &SparseVector, y: f64, weight: f64) {
        self.learn(arm, x, SeenReward { y, weight, count: 1.0, scale: RewardScale::Unit });
    }
}

/// Event of a decision of one of two arms, of which at most eight are open at a time.
#[derive(Debug, Clone)]
enum ModelStep {
    /// Another decision is observed: arm, features, reward.
    Observe(u32, [f64; 2], f64),
    /// Reward of a decision, refunded later.
    Reward(usize, f64),
    /// The refund of the reward that came at this position in the list of those not yet refunded.
    Refund(usize),
}

fn steps() -> impl Strategy<Value = Vec<ModelStep>> {
    let step = prop_oneof![
        3 => (0..2_u32, [-3.0..5.0, -2.0..2.0], 0.0..0.3).prop_map(|(arm, x, y)| ModelStep::Observe(arm, x, y)),
        3 => (any::<usize>(), 0.0..0.1).prop_map(|(which, delta)| ModelStep::Reward(which, delta)),
        2 => any::<usize>().prop_map(ModelStep::Refund),
    ];
    prop::collection::vec(step, 1..60)
}

fn linear(link: Link, sharing: Sharing) -> Design {
    Design::Linear(LinearDesign {
        link,
        expansion: Expansion::None,
        sharing,
        prior_precision: 1.7,
        dimension_budget: 16,
    })
}

fn designs() -> [Design; 5] {
    [
        Design::Hurdle(LinearDesign {
            link: Link::Logit,
            expansion: Expansion::None,
            sharing: Sharing::Disjoint,
            prior_precision: 1.7,
            dimension_budget: 16,
        }),
        linear(Link::Identity, Sharing::Disjoint),
        linear(Link::Identity, Sharing::Opposed),
        Design::BetaBernoulli { prior_a: 1.5, prior_b: 4.0 },
        Design::NormalInverseGamma { prior_mean: 0.4, prior_strength: 0.7, prior_shape: 1.3, prior_scale: 0.5 },
    ]
}

fn row(x: [f64; 2]) -> SparseVector {
    SparseVector { entries: vec![(0, 1.0), (1, x[0]), (3, x[1])], unseen: 0.0 }
}

/// Returns means, precisions and noise of a model at some rows, which determine all its scores.
fn says(model: &Model) -> Vec<f64> {
    let rows = [[0.0, 0.0], [2.5, -1.0], [-1.0, 1.5]].map(row);
    let mut says = Vec::new();
    for arm in 0..2 {
        match model {
            Model::Linear(linear) => {
                says.push(linear.noise_variance());
                let posterior = linear.posterior(arm);
                for prediction in rows.iter().filter_map(|x| Some(posterior?.predict(x, &mut Vec::new()))) {
                    says.extend([prediction.mean, prediction.leverage]);
                }
            }
            Model::Hurdle(hurdle) => says.extend(says_of_hurdle(hurdle, arm, &rows)),
            Model::BetaBernoulli { arms, .. } => {
                says.extend(arms.get(arm as usize).iter().flat_map(|p| [p.a(), p.b(), p.weight()]));
            }
            Model::NormalInverseGamma { arms, .. } => {
                let arm = arms.get(arm as usize);
                says.extend(arm.iter().flat_map(|p| [p.mean(), p.spread(), p.degrees(), p.predictive_variance()]));
            }
        }
    }
    says
}

/// Returns expectations of a hurdle model and their spreads.
fn says_of_hurdle(hurdle: &Hurdle, arm: u32, rows: &[SparseVector]) -> Vec<f64> {
    rows.iter().flat_map(|x| <[f64; 2]>::from(hurdle.expect(arm, x))).collect()
}

#[track_caller]
fn assert_same(left: &Model, right: &Model, tolerance: f64) {
    let (left, right) = (says(left), says(right));
    assert_eq!(left.len(), right.len());
    for (a, b) in left.iter().zip(&right) {
        assert!((a - b).abs() < tolerance * (1.0 + b.abs()), "{left:?} against {right:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        rng_seed: prop::test_runner::RngSeed::Fixed(11),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Rewards and their refunds cancel in any order, also between observations of other decisions. At most sixty steps on
    /// numbers of size 1 keep rounding far below 1e-9.
    #[test]
    fn refunds_undo_their_rewards_exactly(steps in steps()) {
        for design in designs() {
            let (mut rewarded, mut plain) = (Model::new(design), Model::new(design));
            let (mut decisions, mut owed) = (Vec::new(), Vec::new());
            let refund = |model: &mut Model, decisions: &mut Vec<(u32, SparseVector, f64)>, which: usize, delta: f64| {
                let (arm, x, y) = &mut decisions[which];
                model.revise(*arm, x, RewardRevision { y: *y, delta: -delta, weight: 1.0, retained: 1.0 });
                *y -= delta;
            };
            for step in &steps {
                match *step {
                    ModelStep::Observe(arm, x, y) => {
                        rewarded.observe(arm, &row(x), y, 1.0);
                        plain.observe(arm, &row(x), y, 1.0);
                        decisions.push((arm, row(x), y));
                    }
                    ModelStep::Reward(which, delta) if !decisions.is_empty() && owed.len() < 6 => {
                        let which = which % decisions.len();
                        let (arm, x, y) = &mut decisions[which];
                        rewarded.revise(*arm, x, RewardRevision { y: *y, delta, weight: 1.0, retained: 1.0 });
                        *y += delta;
                        owed.push((which, delta));
                    }
                    ModelStep::Refund(which) if !owed.is_empty() => {
                        let (which, delta) = owed.swap_remove(which % owed.len());
                        refund(&mut rewarded, &mut decisions, which, delta);
                    }
                    ModelStep::Reward(..) | ModelStep::Refund(_) => {}
                }
            }
            for (which, delta) in owed {
                refund(&mut rewarded, &mut decisions, which, delta);
            }
            assert_same(&rewarded, &plain, 1e-9);
        }
    }

    /// A reward that came in parts is the reward that came at once, for observations of any weight.
    #[test]
    fn a_reward_in_parts_is_the_whole(rows in prop::collection::vec((0..2_u32, [-3.0..5.0, -2.0..2.0], 0.0..1.0, 0.1..1.0), 1..20)) {
        for design in designs() {
            let (mut parts, mut whole) = (Model::new(design), Model::new(design));
            for &(arm, x, y, weight) in &rows {
                parts.observe(arm, &row(x), 0.25 * y, weight);
                whole.observe(arm, &row(x), y, weight);
            }
            for &(arm, x, y, weight) in rows.iter().rev() {
                parts.revise(arm, &row(x), RewardRevision { y: 0.25 * y, delta: 0.75 * y, weight, retained: 1.0 });
            }
            assert_same(&parts, &whole, 1e-9);
        }
    }
}

/// A rate never learns more than one success from one reward, and the refund of a limited reward takes no more than the
/// reward gave.
#[test]
fn rewards_above_one_and_their_refunds_are_limited() {
    for design in [Design::BetaBernoulli { prior_a: 1.0, prior_b: 2.0 }, linear(Link::Logit, Sharing::Disjoint)] {
        let (mut model, mut plain, x) = (Model::new(design), Model::new(design), row([1.0, 2.0]));
        for y in [0.0, 1.0, 0.0] {
            model.observe(0, &x, y, 1.0);
            plain.observe(0, &x, y, 1.0);
        }
        model.revise(0, &x, RewardRevision { y: 0.0, delta: 0.8, weight: 1.0, retained: 1.0 });
        model.revise(0, &x, RewardRevision { y: 0.8, delta: 5.0, weight: 1.0, retained: 1.0 });
        model.revise(0, &x, RewardRevision { y: 5.8, delta: -5.0, weight: 1.0, retained: 1.0 });
        model.revise(0, &x, RewardRevision { y: 0.8, delta: -0.8, weight: 1.0, retained: 1.0 });
        assert_same(&model, &plain, 1e-12);
    }
}

/// Learning returns the expectation that the model had before.
#[test]
fn learning_returns_the_expectation_from_before() {
    let scales = [RewardScale::Unit, RewardScale::Values(0.7)];
    let more = [(Link::Logit, Sharing::Disjoint), (Link::Logit, Sharing::Shared), (Link::Identity, Sharing::Shared)];
    let designs = designs().into_iter().chain(more.map(|(link, sharing)| linear(link, sharing)));
    for (design, scale) in designs.flat_map(|design| scales.map(|scale| (design, scale))) {
        let mut model = Model::new(design);
        for i in 0..40_u32 {
            let x = row([f64::from(i % 7) - 3.0, f64::from(i % 5) / 2.0]);
            let (arm, y) = (i % 2, f64::from(u8::from(i % 3 == 0)));
            let want = model.expect(arm, &x, scale);
            let got = model.learn(arm, &x, SeenReward { y, weight: 0.8, count: 1.0, scale });
            for (got, want) in [(got.mean, want.mean), (got.least, want.least)] {
                assert!((got.ln_score(0.4) - want.ln_score(0.4)).abs() < 1e-9, "{design:?} {i}: {got:?} {want:?}");
            }
            assert_ne!(model.expect(arm, &x, scale).mean, want.mean, "{design:?} {i} learned nothing");
        }
    }
}
