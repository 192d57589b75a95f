//! Decoding of goals and models. The definition that holds them checks their ranges.

use super::{
    decode::{FieldResult, decode_duration},
    enums::decode_enum,
    proto,
};
use crate::{
    bandit::{ClickModel, Expansion, LinearSpec, ModelSpec},
    slot::{Aggregation, Goal, Learning, RewardKind, SilenceRule},
};

pub(super) fn decode_goal(goal: proto::Goal) -> FieldResult<Goal> {
    let proto::Goal {
        kinds,
        default_reward,
        window,
        aggregation,
        learning,
        click_model,
        grace_period,
        reversal_window,
        currency,
        silence,
        confirmation_window,
    } = goal;
    let default = Goal::default();
    let kind = |(i, kind): (usize, proto::RewardKind)| {
        let proto::RewardKind { kind, weight, use_value, cap, winsorize, role, joins } = kind;
        let role = decode_enum(&format!("goal.kinds[{i}].role"), role)?;
        let joins = decode_enum(&format!("goal.kinds[{i}].joins"), joins)?;
        Ok(RewardKind { kind, weight, use_value, cap, winsorize, role, joins })
    };
    let kinds: Vec<RewardKind> = kinds.into_iter().enumerate().map(kind).collect::<FieldResult<_>>()?;
    Ok(Goal {
        kinds: if kinds.is_empty() { default.kinds } else { kinds },
        default_reward,
        window_us: window.map_or(Ok(default.window_us), |window| decode_duration("goal.window", window))?,
        aggregation: decode_enum("goal.aggregation", aggregation)?.unwrap_or(Aggregation::Sum),
        learning: decode_enum("goal.learning", learning)?.unwrap_or(Learning::Eager),
        click_model: decode_enum("goal.click_model", click_model)?.unwrap_or(ClickModel::None),
        grace_period_us: grace_period.map(|period| decode_duration("goal.grace_period", period)).transpose()?,
        reversal_window_us: reversal_window
            .map(|window| decode_duration("goal.reversal_window", window))
            .transpose()?,
        currency: (!currency.is_empty()).then_some(currency),
        silence: decode_enum("goal.silence", silence)?.unwrap_or(SilenceRule::Every),
        confirmation_window_us: confirmation_window
            .map(|window| decode_duration("goal.confirmation_window", window))
            .transpose()?,
    })
}

pub(super) fn decode_model(model: Option<proto::Model>) -> FieldResult<ModelSpec> {
    use proto::model::Model as In;
    Ok(match model.and_then(|model| model.model) {
        None => ModelSpec::default(),
        Some(In::Portfolio(proto::PortfolioModel { dimension_budget, compute_budget, detect_changes })) => {
            ModelSpec::portfolio(dimension_budget, compute_budget, detect_changes)
        }
        Some(In::Linear(message)) => ModelSpec::Linear(decode_linear(message)?),
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

fn decode_linear(message: proto::LinearModel) -> FieldResult<LinearSpec> {
    let proto::LinearModel { prior_precision, dimension_budget, link, expansion, sharing } = message;
    let default = LinearSpec::default();
    Ok(LinearSpec {
        link: decode_enum("model.linear.link", link)?,
        expansion: decode_enum("model.linear.expansion", expansion)?.unwrap_or(Expansion::None),
        sharing: decode_enum("model.linear.sharing", sharing)?,
        prior_precision: prior_precision.unwrap_or(default.prior_precision),
        dimension_budget: dimension_budget.unwrap_or(default.dimension_budget),
    })
}
