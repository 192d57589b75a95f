//! Goals and models: from messages to the domain. Their ranges are checked with the definition that they are part of.

use super::{
    decode::{Decode, duration},
    proto,
};
use crate::{
    bandit::{ClickModel, Expansion, LinearSpec, Link, ModelSpec, Sharing},
    slot::{Aggregation, FieldError, Goal, Learning, RewardKind},
};

pub(super) fn goal(goal: proto::Goal) -> Decode<Goal> {
    let proto::Goal {
        kinds,
        default_reward,
        window,
        aggregation,
        learning,
        click_model,
        grace_period,
        reversal_window,
    } = goal;
    let default = Goal::default();
    let kind = |proto::RewardKind { kind, weight, use_value, cap, winsorize }| RewardKind {
        kind,
        weight,
        use_value,
        cap,
        winsorize,
    };
    Ok(Goal {
        kinds: if kinds.is_empty() { default.kinds } else { kinds.into_iter().map(kind).collect() },
        default_reward,
        window_us: window.map_or(Ok(default.window_us), |window| duration("goal.window", window))?,
        aggregation: match proto::Aggregation::try_from(aggregation) {
            Ok(proto::Aggregation::Unspecified | proto::Aggregation::Sum) => Aggregation::Sum,
            Ok(proto::Aggregation::Max) => Aggregation::Max,
            Ok(proto::Aggregation::Last) => Aggregation::Last,
            Err(_) => return Err(FieldError::new("goal.aggregation", format!("{aggregation} is not an Aggregation"))),
        },
        learning: match proto::Learning::try_from(learning) {
            Ok(proto::Learning::Unspecified | proto::Learning::Eager) => Learning::Eager,
            Ok(proto::Learning::AtClose) => Learning::AtClose,
            Err(_) => return Err(FieldError::new("goal.learning", format!("{learning} is not a Learning"))),
        },
        click_model: match proto::ClickModel::try_from(click_model) {
            Ok(proto::ClickModel::Unspecified | proto::ClickModel::None) => ClickModel::None,
            Ok(proto::ClickModel::PositionBased) => ClickModel::PositionBased,
            Ok(proto::ClickModel::Cascade) => ClickModel::Cascade,
            Err(_) => return Err(FieldError::new("goal.click_model", format!("{click_model} is not a ClickModel"))),
        },
        grace_period_us: grace_period.map(|period| duration("goal.grace_period", period)).transpose()?,
        reversal_window_us: reversal_window.map(|window| duration("goal.reversal_window", window)).transpose()?,
    })
}

pub(super) fn model(model: Option<proto::Model>) -> Decode<ModelSpec> {
    use proto::model::Model as In;
    Ok(match model.and_then(|model| model.model) {
        None => ModelSpec::default(),
        Some(In::Portfolio(proto::PortfolioModel { dimension_budget, compute_budget, detect_changes })) => {
            ModelSpec::portfolio(dimension_budget, compute_budget, detect_changes)
        }
        Some(In::Linear(message)) => ModelSpec::Linear(linear(message)?),
        Some(In::BetaBernoulli(proto::BetaBernoulliModel { prior_a, prior_b })) => {
            ModelSpec::beta_bernoulli(prior_a, prior_b)
        }
        Some(In::NormalInverseGamma(proto::NormalInverseGammaModel {
            prior_mean,
            prior_strength,
            prior_shape,
            prior_scale,
        })) => ModelSpec::normal_inverse_gamma(prior_mean, prior_strength, prior_shape, prior_scale),
    })
}

fn linear(message: proto::LinearModel) -> Decode<LinearSpec> {
    let proto::LinearModel { prior_precision, dimension_budget, link, expansion, sharing } = message;
    let default = LinearSpec::default();
    let unknown = |field: &str, number: i32, what: &str| {
        FieldError::new(format!("model.linear.{field}"), format!("{number} is not {what}"))
    };
    Ok(LinearSpec {
        link: match proto::Link::try_from(link) {
            Ok(proto::Link::Unspecified) => None,
            Ok(proto::Link::Identity) => Some(Link::Identity),
            Ok(proto::Link::Logit) => Some(Link::Logit),
            Err(_) => return Err(unknown("link", link, "a Link")),
        },
        expansion: match proto::Expansion::try_from(expansion) {
            Ok(proto::Expansion::Unspecified | proto::Expansion::None) => Expansion::None,
            Ok(proto::Expansion::Interactions) => Expansion::Interactions,
            Ok(proto::Expansion::Fourier) => Expansion::Fourier,
            Err(_) => return Err(unknown("expansion", expansion, "an Expansion")),
        },
        sharing: match proto::Sharing::try_from(sharing) {
            Ok(proto::Sharing::Unspecified) => None,
            Ok(proto::Sharing::Disjoint) => Some(Sharing::Disjoint),
            Ok(proto::Sharing::Opposed) => Some(Sharing::Opposed),
            Ok(proto::Sharing::Shared) => Some(Sharing::Shared),
            Err(_) => return Err(unknown("sharing", sharing, "a Sharing")),
        },
        prior_precision: prior_precision.unwrap_or(default.prior_precision),
        dimension_budget: dimension_budget.unwrap_or(default.dimension_budget),
    })
}
