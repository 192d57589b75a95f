//! Encoding of slots, revisions and differences.

use std::sync::Arc;

use super::{
    controls::encode_controls,
    difference::{FieldDifference, differences},
    encode::{encode_duration, encode_features, encode_timestamp},
    enums::{ApiEnum as _, encode_enum},
    proto,
};
use crate::{
    bandit::{LinearSpec, ModelSpec, PortfolioSpec},
    engine::SlotView,
    node::payload_to_struct,
    slot::{
        Actor, Arm, ArmId, ChangeReason, Comparand, Definition, Effect, Goal, Revision, RewardKind, Rule, Schedule,
    },
};

/// Common content of the answers about one slot: the slot without its arms, and their number.
pub(crate) struct SlotHead {
    pub(crate) slot: Option<proto::Slot>,
    pub(crate) arm_count: u32,
    pub(crate) available_arm_count: u32,
}

pub(crate) fn slot_head(view: &SlotView) -> SlotHead {
    let proto::ArmCount { arms, available } = arm_count(view.listed_arms());
    SlotHead { slot: Some(slot(view)), arm_count: arms, available_arm_count: available }
}

/// Encodes a published slot without its arms.
pub(crate) fn slot(view: &SlotView) -> proto::Slot {
    settings(&view.definition, view.revision)
}

pub(crate) fn arm_count(arms: &[Arc<Arm>]) -> proto::ArmCount {
    let available = arms.iter().filter(|arm| arm.available).count();
    proto::ArmCount { arms: narrow(arms.len()), available: narrow(available) }
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Greatest number of changed fields that an answer names. Further ones are counted.
const FIELDS_MAX: usize = 200;

/// Returns the fields in which two definitions differ, and the number of fields that are left out.
pub(crate) fn changed_fields(before: &Definition, after: &Definition) -> (Vec<proto::FieldChange>, u32) {
    let found = differences(before, after);
    let left_out = found.len().saturating_sub(FIELDS_MAX);
    (found.into_iter().take(FIELDS_MAX).map(encode_difference).collect(), narrow(left_out))
}

/// Encodes a revision, with the fields that differ from the revision before it.
pub(crate) fn revision(revision: &Revision, before: Option<&Revision>) -> proto::Revision {
    let Revision {
        number,
        at_us,
        why: ChangeReason { author, reason, actor: by },
        change,
        definition: now,
        own_bytes: _,
    } = revision;
    let compared = before.map(|before| changed_fields(&before.definition, now));
    let (diff, diff_left_out) = compared.unwrap_or_default();
    proto::Revision {
        revision: *number,
        time: Some(encode_timestamp(*at_us)),
        reason: reason.clone(),
        change: change.clone(),
        slot: Some(settings(now, *number)),
        arm_count: arm_count(&now.arms).arms,
        diff_left_out,
        author: author.clone(),
        diff,
        actor: (!by.is_empty()).then(|| encode_actor(by)),
    }
}

pub(crate) fn encode_actor(Actor { principal, origin, request_id }: &Actor) -> proto::Actor {
    proto::Actor { principal: principal.clone(), origin: origin.clone(), request_id: request_id.clone() }
}

fn encode_difference(difference: FieldDifference) -> proto::FieldChange {
    let FieldDifference { path, before, after } = difference;
    proto::FieldChange { path, before, after }
}

/// Encodes a definition with its arms.
pub(crate) fn definition(definition: &Definition, revision: u64) -> proto::Slot {
    proto::Slot { arms: definition.arms.iter().map(|a| arm(a)).collect(), ..settings(definition, revision) }
}

/// Encodes a definition without its arms.
pub(crate) fn settings(definition: &Definition, revision: u64) -> proto::Slot {
    proto::Slot {
        slot_id: definition.id.to_string(),
        display_name: definition.display_name.clone(),
        kind: definition.kind.number(),
        revision,
        arms: Vec::new(),
        open_catalogue: definition.open_catalogue,
        from_catalogue: definition.from_catalogue.clone(),
        default_arm_id: definition.default_arm.as_ref().map(ArmId::to_string).unwrap_or_default(),
        count: definition.count.unwrap_or(0),
        goal: Some(encode_goal(&definition.goal)),
        model: Some(encode_model(definition.model)),
        controls: Some(encode_controls(&definition.controls)),
        default_consent: definition.default_consent.number(),
        rules: definition.rules.iter().map(encode_rule).collect(),
    }
}

pub(crate) fn arm(arm: &Arm) -> proto::Arm {
    proto::Arm {
        arm_id: arm.id.to_string(),
        attributes: encode_features(&arm.attributes),
        available: Some(arm.available),
        payload: arm.payload.as_ref().map(payload_to_struct),
        unavailable_because: encode_enum(arm.because),
        schedule: (arm.schedule != Schedule::default()).then(|| schedule(arm.schedule)),
    }
}

pub(crate) fn schedule(Schedule { from_us, until_us }: Schedule) -> proto::Schedule {
    proto::Schedule { from: from_us.map(encode_timestamp), until: until_us.map(encode_timestamp) }
}

fn encode_goal(goal: &Goal) -> proto::Goal {
    let kind = |RewardKind { kind, weight, use_value, cap, winsorize, role, joins }: &RewardKind| proto::RewardKind {
        kind: kind.clone(),
        weight: *weight,
        use_value: *use_value,
        cap: *cap,
        winsorize: *winsorize,
        role: encode_enum(*role),
        joins: encode_enum(*joins),
    };
    proto::Goal {
        kinds: goal.kinds.iter().map(kind).collect(),
        default_reward: goal.default_reward,
        window: Some(encode_duration(goal.window_us)),
        aggregation: goal.aggregation.number(),
        learning: goal.learning.number(),
        click_model: goal.click_model.number(),
        grace_period: goal.grace_period_us.map(encode_duration),
        reversal_window: goal.reversal_window_us.map(encode_duration),
        currency: goal.currency.clone().unwrap_or_default(),
        silence: goal.silence.number(),
        confirmation_window: goal.confirmation_window_us.map(encode_duration),
    }
}

fn encode_model(model: ModelSpec) -> proto::Model {
    use proto::model::Model as Out;
    let model = match model {
        ModelSpec::Portfolio(PortfolioSpec { dimension_budget, compute_budget, detect_changes }) => {
            Out::Portfolio(proto::PortfolioModel {
                dimension_budget: Some(dimension_budget),
                compute_budget: Some(compute_budget),
                detect_changes: Some(detect_changes),
            })
        }
        ModelSpec::Linear(spec) => Out::Linear(encode_linear(spec)),
        ModelSpec::BetaBernoulli { prior_a, prior_b } => {
            Out::BetaBernoulli(proto::BetaBernoulliModel { prior_a: Some(prior_a), prior_b: Some(prior_b) })
        }
        ModelSpec::NormalInverseGamma { prior_mean, prior_strength, prior_shape, prior_scale } => {
            Out::NormalInverseGamma(proto::NormalInverseGammaModel {
                prior_mean: Some(prior_mean),
                prior_strength: Some(prior_strength),
                prior_shape: Some(prior_shape),
                prior_scale: Some(prior_scale),
            })
        }
    };
    proto::Model { model: Some(model) }
}

fn encode_linear(spec: LinearSpec) -> proto::LinearModel {
    let LinearSpec { link, expansion, sharing, prior_precision, dimension_budget } = spec;
    proto::LinearModel {
        prior_precision: Some(prior_precision),
        dimension_budget: Some(dimension_budget),
        link: encode_enum(link),
        expansion: expansion.number(),
        sharing: encode_enum(sharing),
    }
}

fn encode_rule(rule: &Rule) -> proto::Rule {
    let Rule { name, when, effect, on_error, paused } = rule;
    proto::Rule {
        name: name.clone(),
        when: when.clone(),
        effect: Some(encode_effect(effect)),
        on_error: on_error.number(),
        paused: *paused,
    }
}

fn encode_effect(effect: &Effect) -> proto::rule::Effect {
    use proto::{evidence_effect::Than as OutThan, rule::Effect as Out};
    match effect {
        Effect::Exclude => Out::Exclude(proto::ExcludeEffect {}),
        Effect::Evidence { confidence, than } => Out::Evidence(proto::EvidenceEffect {
            confidence: *confidence,
            than: Some(match than {
                Comparand::Reward(reward) => OutThan::Reward(*reward),
                Comparand::Others => OutThan::Others(proto::OthersThan {}),
            }),
        }),
        Effect::Pin { position } => Out::Pin(proto::PinEffect { position: *position }),
        Effect::Boost { factor } => Out::Boost(proto::BoostEffect { factor: *factor }),
        Effect::ProbabilityBounds { floor, ceiling } => {
            Out::Bounds(proto::BoundsEffect { floor: *floor, ceiling: *ceiling })
        }
        Effect::SubjectCap { count, window_us, together } => Out::SubjectCap(proto::SubjectCapEffect {
            count: *count,
            window: Some(encode_duration(*window_us)),
            together: *together,
        }),
        Effect::DayCap { count, together } => Out::DayCap(proto::DayCapEffect { count: *count, together: *together }),
        Effect::Quota { attribute, top, min_values, max_per_value } => Out::Quota(proto::QuotaEffect {
            attribute: attribute.clone(),
            top: *top,
            min_values: *min_values,
            max_per_value: *max_per_value,
        }),
        Effect::MaxMoves { positions } => Out::MaxMoves(proto::MaxMovesEffect { positions: *positions }),
    }
}
