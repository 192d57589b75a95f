//! Encoding of definitions to the journal's messages.

use super::{
    controls::encode_controls,
    encode::encode_features,
    log,
    numbers::{LINK_BY_GOAL, Numbered as _, SHARING_BY_ARMS, optional_number},
    payload_to_struct,
};
use crate::{
    bandit::{LinearSpec, ModelSpec, PortfolioSpec},
    slot::{Arm, ArmId, Comparand, Definition, Effect, Goal, Rule, Schedule},
};

pub(super) fn encode_definition(definition: &Definition) -> log::Definition {
    log::Definition {
        slot_id: definition.id.to_string(),
        display_name: definition.display_name.clone(),
        kind: definition.kind.number(),
        arms: definition.arms.iter().map(|arm| encode_arm(arm)).collect(),
        open_catalogue: definition.open_catalogue,
        from_catalogue: definition.from_catalogue.clone(),
        default_arm_id: definition.default_arm.as_ref().map(ArmId::to_string),
        count: definition.count,
        goal: Some(encode_goal(&definition.goal)),
        model: Some(encode_model(definition.model)),
        controls: Some(encode_controls(&definition.controls)),
        default_consent: definition.default_consent.number(),
        rules: definition.rules.iter().map(encode_rule).collect(),
        default_floor: definition.default_floor,
    }
}

pub(super) fn encode_arm(arm: &Arm) -> log::Arm {
    log::Arm {
        arm_id: arm.id.to_string(),
        attributes: encode_features(&arm.attributes),
        available: arm.available,
        payload: arm.payload.as_ref().map(payload_to_struct),
        because: optional_number(arm.because, 0),
        schedule: (arm.schedule != Schedule::default()).then(|| encode_schedule(arm.schedule)),
    }
}

pub(super) fn encode_schedule(Schedule { from_us, until_us }: Schedule) -> log::Schedule {
    log::Schedule { from_us, until_us }
}

fn encode_goal(goal: &Goal) -> log::Goal {
    let kind = |kind: &crate::slot::RewardKind| log::RewardKind {
        kind: kind.kind.clone(),
        weight: kind.weight,
        use_value: kind.use_value,
        cap: kind.cap,
        winsorize: kind.winsorize,
        role: optional_number(kind.role, 0),
        joins: optional_number(kind.joins, 0),
    };
    log::Goal {
        kinds: goal.kinds.iter().map(kind).collect(),
        default_reward: goal.default_reward,
        window_us: goal.window_us,
        aggregation: goal.aggregation.number(),
        learning: goal.learning.number(),
        click_model: goal.click_model.number(),
        grace_period_us: goal.grace_period_us,
        reversal_window_us: goal.reversal_window_us,
        currency: goal.currency.clone(),
        silence: goal.silence.number(),
        confirmation_window_us: goal.confirmation_window_us,
    }
}

fn encode_model(model: ModelSpec) -> log::Model {
    use log::model::Model as Out;
    let model = match model {
        ModelSpec::Portfolio(PortfolioSpec { dimension_budget, compute_budget, detect_changes }) => {
            Out::Portfolio(log::Portfolio { dimension_budget, compute_budget, detect_changes })
        }
        ModelSpec::Linear(LinearSpec { link, expansion, sharing, prior_precision, dimension_budget }) => {
            Out::Linear(log::Linear {
                prior_precision,
                dimension_budget,
                link: optional_number(link, LINK_BY_GOAL),
                expansion: expansion.number(),
                sharing: optional_number(sharing, SHARING_BY_ARMS),
            })
        }
        ModelSpec::BetaBernoulli { prior_a, prior_b } => Out::BetaBernoulli(log::BetaBernoulli { prior_a, prior_b }),
        ModelSpec::NormalInverseGamma { prior_mean, prior_strength, prior_shape, prior_scale } => {
            Out::NormalInverseGamma(log::NormalInverseGamma { prior_mean, prior_strength, prior_shape, prior_scale })
        }
    };
    log::Model { model: Some(model) }
}

pub(super) fn encode_rule(rule: &Rule) -> log::Rule {
    let Rule { name, when, effect, on_error, paused } = rule;
    log::Rule {
        name: name.clone(),
        when: when.clone(),
        effect: Some(encode_effect(effect)),
        on_error: on_error.number(),
        paused: *paused,
    }
}

fn encode_effect(effect: &Effect) -> log::rule::Effect {
    use log::rule::Effect as Out;
    match effect {
        Effect::Exclude => Out::Exclude(log::NoParameters {}),
        Effect::Evidence { confidence, than } => Out::Evidence(log::Evidence {
            confidence: *confidence,
            reward: match than {
                Comparand::Reward(reward) => Some(*reward),
                Comparand::Others => None,
            },
        }),
        Effect::Pin { position } => Out::Pin(*position),
        Effect::Boost { factor } => Out::Boost(*factor),
        Effect::ProbabilityBounds { floor, ceiling } => Out::Bounds(log::Bounds { floor: *floor, ceiling: *ceiling }),
        Effect::SubjectCap { count, window_us, together } => {
            Out::SubjectCap(log::SubjectCap { count: *count, window_us: *window_us, together: *together })
        }
        Effect::DayCap { count, together } => Out::DayCap(log::DayCap { count: *count, together: *together }),
        Effect::Quota { attribute, top, min_values, max_per_value } => Out::Quota(log::Quota {
            attribute: attribute.clone(),
            top: *top,
            min_values: *min_values,
            max_per_value: *max_per_value,
        }),
        Effect::MaxMoves { positions } => Out::MaxMoves(*positions),
    }
}
