//! Slots: from messages to definitions, checked; and update masks.

use std::sync::Arc;

use prost_types::FieldMask;

use super::{
    decode::{Decode, consent, duration, features},
    proto,
};
use crate::{
    bandit::{ClickModel, Expansion, LinearSpec, Link, ModelSpec, Policy, Sharing},
    node::payload_from_struct,
    slot::{Aggregation, Arm, ArmId, Controls, Definition, FieldError, Goal, Learning, RewardKind, SlotId, SlotKind},
};

/// The slot of a request, and its revision; paths in errors begin with `slot`.
pub(super) fn slot(message: Option<proto::Slot>) -> Decode<(Definition, u64)> {
    let message = message.ok_or_else(|| FieldError::new("slot", "is missing"))?;
    slot_fields(message).map_err(|e| e.within("slot"))
}

fn slot_fields(message: proto::Slot) -> Decode<(Definition, u64)> {
    let proto::Slot {
        slot_id,
        display_name,
        kind,
        revision,
        arms,
        open_catalogue,
        default_arm_id,
        count,
        goal: g,
        model: m,
        controls: c,
        default_consent,
    } = message;
    let definition = Definition {
        id: SlotId::parse("slot_id", &slot_id)?,
        display_name,
        kind: match proto::SlotKind::try_from(kind) {
            Ok(proto::SlotKind::Unspecified | proto::SlotKind::Offer) => SlotKind::Offer,
            Ok(proto::SlotKind::Ranking) => SlotKind::Ranking,
            Ok(proto::SlotKind::Block) => SlotKind::Block,
            Err(_) => return Err(FieldError::new("kind", format!("{kind} is not a SlotKind"))),
        },
        arms: self::arms(arms)?.into_iter().map(Arc::new).collect(),
        open_catalogue,
        default_arm: if default_arm_id.is_empty() {
            None
        } else {
            Some(ArmId::parse("default_arm_id", &default_arm_id)?)
        },
        count: (count > 0).then_some(count),
        goal: g.map_or_else(|| Ok(Goal::default()), goal)?,
        model: model(m)?,
        controls: controls(c)?,
        default_consent: consent("default_consent", default_consent)?.unwrap_or_default(),
    };
    definition.check()?;
    Ok((definition, revision))
}

/// Arms; paths in errors begin with `arms`.
pub(super) fn arms(arms: Vec<proto::Arm>) -> Decode<Vec<Arm>> {
    let one = |message: proto::Arm| -> Decode<Arm> {
        let proto::Arm { arm_id, attributes, available, payload } = message;
        let payload = payload.map(payload_from_struct).transpose().map_err(|why| FieldError::new("payload", why))?;
        Ok(Arm {
            id: ArmId::parse("arm_id", &arm_id)?,
            attributes: features("attributes", attributes)?,
            available: available.unwrap_or(true),
            payload,
        })
    };
    arms.into_iter().enumerate().map(|(i, arm)| one(arm).map_err(|e| e.within(&format!("arms[{i}]")))).collect()
}

fn goal(goal: proto::Goal) -> Decode<Goal> {
    let proto::Goal { kinds, default_reward, window, aggregation, learning, click_model } = goal;
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
    })
}

fn model(model: Option<proto::Model>) -> Decode<ModelSpec> {
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

fn controls(controls: Option<proto::Controls>) -> Decode<Controls> {
    let proto::Controls { exploration, floor, ceiling, half_life, holdout, freeze_learning, safe_choice, policy: p } =
        controls.unwrap_or_default();
    let half_life_us = half_life.map(|half_life| duration("controls.half_life", half_life)).transpose()?;
    let policy = p.and_then(policy);
    Ok(Controls { exploration, floor, ceiling, half_life_us, holdout, freeze_learning, safe_choice, policy })
}

fn policy(policy: proto::Policy) -> Option<Policy> {
    use proto::policy::Policy as In;
    Some(match policy.policy? {
        In::ThompsonSampling(proto::ThompsonSamplingPolicy {}) => Policy::ThompsonSampling,
        In::Uniform(proto::UniformPolicy {}) => Policy::Uniform,
        In::FixedOrder(proto::FixedOrderPolicy {}) => Policy::FixedOrder,
        In::Greedy(proto::GreedyPolicy {}) => Policy::Greedy,
        In::EpsilonGreedy(proto::EpsilonGreedyPolicy { epsilon }) => Policy::epsilon_greedy(epsilon),
        In::LinUcb(proto::LinUcbPolicy {}) => Policy::LinUcb,
        In::SquareCb(proto::SquareCbPolicy { gamma }) => Policy::square_cb(gamma),
    })
}

/// `current` with the fields that the mask names taken from `wanted`; all of them without a mask.
pub(super) fn masked(current: &Definition, wanted: Definition, mask: Option<FieldMask>) -> Decode<Definition> {
    let paths = mask.map(|mask| mask.paths).unwrap_or_default();
    if paths.is_empty() {
        return Ok(wanted);
    }
    let mut result = current.clone();
    for path in paths {
        match path.as_str() {
            "display_name" => result.display_name.clone_from(&wanted.display_name),
            "kind" => result.kind = wanted.kind,
            "arms" => result.arms.clone_from(&wanted.arms),
            "open_catalogue" => result.open_catalogue = wanted.open_catalogue,
            "default_arm_id" => result.default_arm.clone_from(&wanted.default_arm),
            "count" => result.count = wanted.count,
            "goal" => result.goal = wanted.goal.clone(),
            "goal.kinds" => result.goal.kinds.clone_from(&wanted.goal.kinds),
            "goal.default_reward" => result.goal.default_reward = wanted.goal.default_reward,
            "goal.window" => result.goal.window_us = wanted.goal.window_us,
            "goal.aggregation" => result.goal.aggregation = wanted.goal.aggregation,
            "model" => result.model = wanted.model,
            "controls" => result.controls = wanted.controls.clone(),
            "controls.exploration" => result.controls.exploration = wanted.controls.exploration,
            "controls.floor" => result.controls.floor = wanted.controls.floor,
            "controls.ceiling" => result.controls.ceiling = wanted.controls.ceiling,
            "controls.half_life" => result.controls.half_life_us = wanted.controls.half_life_us,
            "controls.holdout" => result.controls.holdout = wanted.controls.holdout,
            "controls.freeze_learning" => result.controls.freeze_learning = wanted.controls.freeze_learning,
            "controls.safe_choice" => result.controls.safe_choice = wanted.controls.safe_choice,
            "controls.policy" => result.controls.policy = wanted.controls.policy,
            "default_consent" => result.default_consent = wanted.default_consent,
            other => {
                let message = format!("'{other}' cannot be updated; see UpdateSlotRequest.update_mask for what can");
                return Err(FieldError::new("update_mask", message));
            }
        }
    }
    Ok(result)
}
