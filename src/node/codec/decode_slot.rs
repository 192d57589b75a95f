//! Decoding of the journal's messages to definitions.

use std::sync::Arc;

use super::{
    controls::decode_controls,
    decode::{DecodeResult, decode_features, parse_arm_id, parse_slot_id},
    error::DecodeError,
    log,
    numbers::{LINK_BY_GOAL, Numbered as _, SHARING_BY_ARMS},
    payload_from_struct,
};
use crate::{
    bandit::{ClickModel, Expansion, LinearSpec, Link, ModelSpec, PortfolioSpec, Sharing},
    slot::{
        Aggregation, Arm, Comparand, Consent, Definition, Effect, Goal, JoinRule, KindRole, Learning, OnError,
        RewardKind, Rule, Schedule, SilenceRule, SlotKind, Unavailable,
    },
};

pub(super) fn decode_definition(definition: Option<log::Definition>) -> DecodeResult<Arc<Definition>> {
    let log::Definition {
        slot_id: slot,
        display_name,
        kind,
        arms,
        open_catalogue,
        from_catalogue,
        default_arm_id,
        count,
        goal,
        model,
        controls,
        default_consent,
        rules,
        default_floor,
    } = definition.ok_or_else(|| DecodeError::missing("the definition"))?;
    Ok(Arc::new(Definition {
        id: parse_slot_id(&slot)?,
        display_name,
        kind: SlotKind::from_number(kind)?,
        arms: decode_arms(arms)?,
        open_catalogue,
        from_catalogue,
        default_arm: default_arm_id.as_deref().map(parse_arm_id).transpose()?,
        count,
        goal: decode_goal(goal)?,
        model: decode_model(model)?,
        controls: decode_controls(controls.ok_or_else(|| DecodeError::missing("controls"))?)?,
        default_consent: Consent::from_number(default_consent)?,
        rules: rules.into_iter().map(decode_rule).collect::<DecodeResult<_>>()?,
        default_floor,
    }))
}

pub(super) fn decode_arms(arms: Vec<log::Arm>) -> DecodeResult<Vec<Arc<Arm>>> {
    let arm = |log::Arm { arm_id: arm, attributes, available, payload, because, schedule: when }| {
        Ok(Arc::new(Arm {
            id: parse_arm_id(&arm)?,
            attributes: decode_features(attributes)?,
            available,
            payload: payload.map(payload_from_struct).transpose()?,
            because: Unavailable::from_optional(because, 0)?,
            schedule: when.map(decode_schedule).unwrap_or_default(),
        }))
    };
    arms.into_iter().map(arm).collect()
}

pub(super) fn decode_schedule(log::Schedule { from_us, until_us }: log::Schedule) -> Schedule {
    Schedule { from_us, until_us }
}

fn decode_goal(goal: Option<log::Goal>) -> DecodeResult<Goal> {
    let log::Goal {
        kinds,
        default_reward,
        window_us,
        aggregation,
        learning,
        click_model,
        grace_period_us,
        reversal_window_us,
        currency,
        silence,
        confirmation_window_us,
    } = goal.ok_or_else(|| DecodeError::missing("the goal"))?;
    let kind = |log::RewardKind { kind, weight, use_value, cap, winsorize, role, joins }| {
        let (role, joins) = (KindRole::from_optional(role, 0)?, JoinRule::from_optional(joins, 0)?);
        Ok(RewardKind { kind, weight, use_value, cap, winsorize, role, joins })
    };
    Ok(Goal {
        kinds: kinds.into_iter().map(kind).collect::<DecodeResult<_>>()?,
        default_reward,
        window_us,
        aggregation: Aggregation::from_number(aggregation)?,
        learning: Learning::from_number(learning)?,
        click_model: ClickModel::from_number(click_model)?,
        grace_period_us,
        reversal_window_us,
        currency,
        silence: SilenceRule::from_number(silence)?,
        confirmation_window_us,
    })
}

fn decode_model(model: Option<log::Model>) -> DecodeResult<ModelSpec> {
    use log::model::Model as In;
    Ok(match model.and_then(|model| model.model).ok_or_else(|| DecodeError::missing("the model"))? {
        In::Portfolio(log::Portfolio { dimension_budget, compute_budget, detect_changes }) => {
            ModelSpec::Portfolio(PortfolioSpec { dimension_budget, compute_budget, detect_changes })
        }
        In::Linear(message) => ModelSpec::Linear(decode_linear(message)?),
        In::BetaBernoulli(log::BetaBernoulli { prior_a, prior_b }) => ModelSpec::BetaBernoulli { prior_a, prior_b },
        In::NormalInverseGamma(log::NormalInverseGamma { prior_mean, prior_strength, prior_shape, prior_scale }) => {
            ModelSpec::NormalInverseGamma { prior_mean, prior_strength, prior_shape, prior_scale }
        }
    })
}

fn decode_linear(message: log::Linear) -> DecodeResult<LinearSpec> {
    let log::Linear { prior_precision, dimension_budget, link, expansion, sharing } = message;
    Ok(LinearSpec {
        link: Link::from_optional(link, LINK_BY_GOAL)?,
        expansion: Expansion::from_number(expansion)?,
        sharing: Sharing::from_optional(sharing, SHARING_BY_ARMS)?,
        prior_precision,
        dimension_budget,
    })
}

pub(super) fn decode_rule(rule: log::Rule) -> DecodeResult<Rule> {
    let log::Rule { name, when, effect, on_error, paused } = rule;
    Ok(Rule {
        effect: decode_effect(effect.ok_or_else(|| DecodeError::missing(format!("the effect of the rule '{name}'")))?),
        name,
        when,
        on_error: OnError::from_number(on_error)?,
        paused,
    })
}

fn decode_effect(effect: log::rule::Effect) -> Effect {
    use log::rule::Effect as In;
    match effect {
        In::Exclude(log::NoParameters {}) => Effect::Exclude,
        In::Evidence(log::Evidence { confidence, reward }) => {
            Effect::Evidence { confidence, than: reward.map_or(Comparand::Others, Comparand::Reward) }
        }
        In::Pin(position) => Effect::Pin { position },
        In::Boost(factor) => Effect::Boost { factor },
        In::Bounds(log::Bounds { floor, ceiling }) => Effect::ProbabilityBounds { floor, ceiling },
        In::SubjectCap(log::SubjectCap { count, window_us, together }) => {
            Effect::SubjectCap { count, window_us, together }
        }
        In::DayCap(log::DayCap { count, together }) => Effect::DayCap { count, together },
        In::Quota(log::Quota { attribute, top, min_values, max_per_value }) => {
            Effect::Quota { attribute, top, min_values, max_per_value }
        }
        In::MaxMoves(positions) => Effect::MaxMoves { positions },
    }
}
