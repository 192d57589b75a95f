//! Definitions for tests of whatever writes and reads them: every way to learn.

use super::{Aggregation, Definition, Goal, Learning, RewardKind, SlotId};
use crate::bandit::{ClickModel, Expansion, LinearSpec, Link, ModelSpec, Sharing};

fn kind(use_value: bool, cap: Option<f64>, winsorize: Option<f64>) -> RewardKind {
    RewardKind { kind: "buy".into(), weight: 1.5, use_value, cap, winsorize }
}

/// One definition per model and per setting of the goal.
pub(crate) fn examples() -> Vec<Definition> {
    let of =
        |goal: Goal, model| Definition { goal, model, ..Definition::new(SlotId::parse("slot_id", "offers").unwrap()) };
    let mut examples = Vec::new();
    let linear = |link, expansion, sharing| {
        ModelSpec::Linear(LinearSpec { link, expansion, sharing, prior_precision: 0.3, dimension_budget: 100 })
    };
    for model in [
        ModelSpec::default(),
        ModelSpec::portfolio(Some(99), Some(12_345), Some(false)),
        linear(None, Expansion::None, None),
        linear(Some(Link::Identity), Expansion::Interactions, Some(Sharing::Disjoint)),
        linear(Some(Link::Logit), Expansion::Fourier, Some(Sharing::Opposed)),
        linear(Some(Link::Logit), Expansion::None, Some(Sharing::Shared)),
        ModelSpec::beta_bernoulli(Some(2.0), Some(0.5)),
        ModelSpec::normal_inverse_gamma(Some(-1.0), Some(0.2), Some(3.0), Some(4.0)),
    ] {
        examples.push(of(Goal::default(), model));
    }
    for learning in [Learning::Eager, Learning::AtClose] {
        for click_model in [ClickModel::None, ClickModel::PositionBased, ClickModel::Cascade] {
            for aggregation in [Aggregation::Sum, Aggregation::Max, Aggregation::Last] {
                let kinds = vec![kind(true, None, Some(0.99))];
                let goal = Goal { kinds, learning, click_model, aggregation, default_reward: -0.5, ..Goal::default() };
                examples.push(of(goal, ModelSpec::default()));
            }
        }
    }
    examples.push(of(Goal { kinds: vec![kind(false, Some(3.0), None)], ..Goal::default() }, ModelSpec::default()));
    examples
}
