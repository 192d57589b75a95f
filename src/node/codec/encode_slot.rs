//! From definitions to the log's messages.

use super::{controls::encode_controls, encode::features, log, payload_to_struct};
use crate::{
    bandit::{ClickModel, Expansion, LinearSpec, Link, ModelSpec, PortfolioSpec, Sharing},
    slot::{
        Aggregation, Arm, ArmId, Comparand, Consent, Definition, Effect, Goal, Learning, OnError, Rule, Schedule,
        SlotKind, Unavailable,
    },
};

pub(super) fn definition(d: &Definition) -> log::Definition {
    log::Definition {
        slot_id: d.id.to_string(),
        display_name: d.display_name.clone(),
        kind: match d.kind {
            SlotKind::Offer => 1,
            SlotKind::Ranking => 2,
            SlotKind::Block => 3,
        },
        arms: d.arms.iter().map(|a| arm(a)).collect(),
        open_catalogue: d.open_catalogue,
        default_arm_id: d.default_arm.as_ref().map(ArmId::to_string),
        count: d.count,
        goal: Some(goal(&d.goal)),
        model: Some(model(d.model)),
        controls: Some(encode_controls(&d.controls)),
        default_consent: match d.default_consent {
            Consent::Full => 1,
            Consent::SessionOnly => 2,
            Consent::None => 3,
        },
        rules: d.rules.iter().map(rule).collect(),
    }
}

pub(super) fn arm(arm: &Arm) -> log::Arm {
    log::Arm {
        arm_id: arm.id.to_string(),
        attributes: features(&arm.attributes),
        available: arm.available,
        payload: arm.payload.as_ref().map(payload_to_struct),
        because: because(arm.because),
        schedule: (arm.schedule != Schedule::default()).then(|| schedule(arm.schedule)),
    }
}

pub(super) fn because(because: Option<Unavailable>) -> u32 {
    match because {
        None => 0,
        Some(Unavailable::Paused) => 1,
        Some(Unavailable::OutOfStock) => 2,
    }
}

pub(super) fn schedule(Schedule { from_us, until_us }: Schedule) -> log::Schedule {
    log::Schedule { from_us, until_us }
}

fn goal(goal: &Goal) -> log::Goal {
    let kind = |kind: &crate::slot::RewardKind| log::RewardKind {
        kind: kind.kind.clone(),
        weight: kind.weight,
        use_value: kind.use_value,
        cap: kind.cap,
        winsorize: kind.winsorize,
    };
    log::Goal {
        kinds: goal.kinds.iter().map(kind).collect(),
        default_reward: goal.default_reward,
        window_us: goal.window_us,
        aggregation: match goal.aggregation {
            Aggregation::Sum => 1,
            Aggregation::Max => 2,
            Aggregation::Last => 3,
        },
        learning: match goal.learning {
            Learning::Eager => 0,
            Learning::AtClose => 1,
        },
        click_model: match goal.click_model {
            ClickModel::None => 0,
            ClickModel::PositionBased => 1,
            ClickModel::Cascade => 2,
        },
        grace_period_us: goal.grace_period_us,
        reversal_window_us: goal.reversal_window_us,
    }
}

fn model(model: ModelSpec) -> log::Model {
    use log::model::Model as Out;
    let model = match model {
        ModelSpec::Portfolio(PortfolioSpec { dimension_budget, compute_budget, detect_changes }) => {
            Out::Portfolio(log::Portfolio { dimension_budget, compute_budget, detect_changes })
        }
        ModelSpec::Linear(LinearSpec { link, expansion, sharing, prior_precision, dimension_budget }) => {
            Out::Linear(log::Linear {
                prior_precision,
                dimension_budget,
                link: match link {
                    Some(Link::Identity) => 0,
                    Some(Link::Logit) => 1,
                    None => 2,
                },
                expansion: match expansion {
                    Expansion::None => 0,
                    Expansion::Interactions => 1,
                    Expansion::Fourier => 2,
                },
                sharing: match sharing {
                    Some(Sharing::Disjoint) => 0,
                    Some(Sharing::Opposed) => 1,
                    Some(Sharing::Shared) => 2,
                    None => 3,
                },
            })
        }
        ModelSpec::BetaBernoulli { prior_a, prior_b } => Out::BetaBernoulli(log::BetaBernoulli { prior_a, prior_b }),
        ModelSpec::NormalInverseGamma { prior_mean, prior_strength, prior_shape, prior_scale } => {
            Out::NormalInverseGamma(log::NormalInverseGamma { prior_mean, prior_strength, prior_shape, prior_scale })
        }
    };
    log::Model { model: Some(model) }
}

pub(super) fn rule(rule: &Rule) -> log::Rule {
    let Rule { name, when, effect: e, on_error, paused } = rule;
    log::Rule {
        name: name.clone(),
        when: when.clone(),
        effect: Some(effect(e)),
        on_error: match on_error {
            OnError::Ignore => 0,
            OnError::Exclude => 1,
        },
        paused: *paused,
    }
}

fn effect(effect: &Effect) -> log::rule::Effect {
    use log::rule::Effect as Out;
    match effect {
        Effect::Exclude => Out::Exclude(log::Unparameterised {}),
        Effect::Evidence { confidence, than } => Out::Evidence(log::Evidence {
            confidence: *confidence,
            reward: match than {
                Comparand::Reward(reward) => Some(*reward),
                Comparand::Others => None,
            },
        }),
        Effect::Pin { position } => Out::Pin(*position),
        Effect::Boost { factor } => Out::Boost(*factor),
        Effect::ProbabilityBounds { min, max } => Out::Share(log::Share { min: *min, max: *max }),
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
