//! From the log's messages to definitions.

use std::sync::Arc;

use super::{
    controls::decode_controls,
    decode::{Decode, arm_id, features, missing, slot_id, unknown},
    log, payload_from_struct,
};
use crate::{
    bandit::{ClickModel, Expansion, LinearSpec, Link, ModelSpec, PortfolioSpec, Sharing},
    slot::{
        Aggregation, Arm, Comparand, Consent, Definition, Effect, Goal, Learning, OnError, RewardKind, Rule, Schedule,
        SlotKind, Unavailable,
    },
};

pub(super) fn definition(definition: Option<log::Definition>) -> Decode<Arc<Definition>> {
    let log::Definition {
        slot_id: slot,
        display_name,
        kind,
        arms,
        open_catalogue,
        default_arm_id,
        count,
        goal: g,
        model: m,
        controls,
        default_consent,
        rules,
    } = definition.ok_or_else(|| missing("the definition"))?;
    Ok(Arc::new(Definition {
        id: slot_id(&slot)?,
        display_name,
        kind: match kind {
            1 => SlotKind::Offer,
            2 => SlotKind::Ranking,
            3 => SlotKind::Block,
            other => return Err(unknown("the slot's kind", other)),
        },
        arms: self::arms(arms)?,
        open_catalogue,
        default_arm: default_arm_id.as_deref().map(arm_id).transpose()?,
        count,
        goal: goal(g)?,
        model: model(m)?,
        controls: decode_controls(controls.ok_or_else(|| missing("controls"))?)?,
        default_consent: match default_consent {
            1 => Consent::Full,
            2 => Consent::SessionOnly,
            3 => Consent::None,
            other => return Err(unknown("the consent", other)),
        },
        rules: rules.into_iter().map(rule).collect::<Decode<_>>()?,
    }))
}

pub(super) fn arms(arms: Vec<log::Arm>) -> Decode<Vec<Arc<Arm>>> {
    let arm = |log::Arm { arm_id: arm, attributes, available, payload, because: why, schedule: when }| {
        Ok(Arc::new(Arm {
            id: arm_id(&arm)?,
            attributes: features(attributes)?,
            available,
            payload: payload.map(payload_from_struct).transpose()?,
            because: because(why)?,
            schedule: when.map(schedule).unwrap_or_default(),
        }))
    };
    arms.into_iter().map(arm).collect()
}

pub(super) fn because(number: u32) -> Decode<Option<Unavailable>> {
    Ok(match number {
        0 => None,
        1 => Some(Unavailable::Paused),
        2 => Some(Unavailable::OutOfStock),
        other => return Err(unknown("why an arm is not available", other)),
    })
}

pub(super) fn schedule(log::Schedule { from_us, until_us }: log::Schedule) -> Schedule {
    Schedule { from_us, until_us }
}

fn goal(goal: Option<log::Goal>) -> Decode<Goal> {
    let log::Goal {
        kinds,
        default_reward,
        window_us,
        aggregation,
        learning,
        click_model,
        grace_period_us,
        reversal_window_us,
    } = goal.ok_or_else(|| missing("the goal"))?;
    let kind = |log::RewardKind { kind, weight, use_value, cap, winsorize }| RewardKind {
        kind,
        weight,
        use_value,
        cap,
        winsorize,
    };
    Ok(Goal {
        kinds: kinds.into_iter().map(kind).collect(),
        default_reward,
        window_us,
        aggregation: match aggregation {
            1 => Aggregation::Sum,
            2 => Aggregation::Max,
            3 => Aggregation::Last,
            other => return Err(unknown("the aggregation", other)),
        },
        learning: match learning {
            0 => Learning::Eager,
            1 => Learning::AtClose,
            other => return Err(unknown("when it learns", other)),
        },
        click_model: match click_model {
            0 => ClickModel::None,
            1 => ClickModel::PositionBased,
            2 => ClickModel::Cascade,
            other => return Err(unknown("the click model", other)),
        },
        grace_period_us,
        reversal_window_us,
    })
}

fn model(model: Option<log::Model>) -> Decode<ModelSpec> {
    use log::model::Model as In;
    Ok(match model.and_then(|model| model.model).ok_or_else(|| missing("the model"))? {
        In::Portfolio(log::Portfolio { dimension_budget, compute_budget, detect_changes }) => {
            ModelSpec::Portfolio(PortfolioSpec { dimension_budget, compute_budget, detect_changes })
        }
        In::Linear(message) => ModelSpec::Linear(linear(message)?),
        In::BetaBernoulli(log::BetaBernoulli { prior_a, prior_b }) => ModelSpec::BetaBernoulli { prior_a, prior_b },
        In::NormalInverseGamma(log::NormalInverseGamma { prior_mean, prior_strength, prior_shape, prior_scale }) => {
            ModelSpec::NormalInverseGamma { prior_mean, prior_strength, prior_shape, prior_scale }
        }
    })
}

fn linear(message: log::Linear) -> Decode<LinearSpec> {
    let log::Linear { prior_precision, dimension_budget, link, expansion, sharing } = message;
    Ok(LinearSpec {
        link: match link {
            0 => Some(Link::Identity),
            1 => Some(Link::Logit),
            2 => None,
            other => return Err(unknown("the link", other)),
        },
        expansion: match expansion {
            0 => Expansion::None,
            1 => Expansion::Interactions,
            2 => Expansion::Fourier,
            other => return Err(unknown("the expansion", other)),
        },
        sharing: match sharing {
            0 => Some(Sharing::Disjoint),
            1 => Some(Sharing::Opposed),
            2 => Some(Sharing::Shared),
            3 => None,
            other => return Err(unknown("what arms share", other)),
        },
        prior_precision,
        dimension_budget,
    })
}

pub(super) fn rule(rule: log::Rule) -> Decode<Rule> {
    let log::Rule { name, when, effect: e, on_error, paused } = rule;
    Ok(Rule {
        effect: effect(e.ok_or_else(|| missing(&format!("the effect of the rule '{name}'")))?),
        name,
        when,
        on_error: match on_error {
            0 => OnError::Ignore,
            1 => OnError::Exclude,
            other => return Err(unknown("what a failing condition means", other)),
        },
        paused,
    })
}

fn effect(effect: log::rule::Effect) -> Effect {
    use log::rule::Effect as In;
    match effect {
        In::Exclude(log::Unparameterised {}) => Effect::Exclude,
        In::Evidence(log::Evidence { confidence, reward }) => {
            Effect::Evidence { confidence, than: reward.map_or(Comparand::Others, Comparand::Reward) }
        }
        In::Pin(position) => Effect::Pin { position },
        In::Boost(factor) => Effect::Boost { factor },
        In::Share(log::Share { min, max }) => Effect::ProbabilityBounds { min, max },
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
