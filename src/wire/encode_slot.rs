//! From definitions to messages.

use super::{
    controls::encode_controls,
    difference::{Difference, differences},
    encode::{consent, duration, features, timestamp},
    proto,
};
use crate::{
    bandit::{ClickModel, Expansion, LinearSpec, Link, ModelSpec, PortfolioSpec, Sharing},
    engine::SlotView,
    node::payload_to_struct,
    slot::{
        Actor, Aggregation, Arm, ArmId, ChangeReason, Comparand, Definition, Effect, Goal, Learning, OnError, Revision,
        RewardKind, Rule, Schedule, SlotKind, Unavailable,
    },
};

/// A slot without its arms, and how many it has: what every answer about one slot says.
pub(super) struct Head {
    pub(super) slot: Option<proto::Slot>,
    pub(super) arm_count: u32,
    pub(super) available_arm_count: u32,
}

pub(super) fn head(view: &SlotView) -> Head {
    let proto::ArmCount { arms, available } = arm_count(&view.definition);
    Head { slot: Some(slot(view)), arm_count: arms, available_arm_count: available }
}

/// A slot without its arms.
pub(super) fn slot(view: &SlotView) -> proto::Slot {
    settings(&view.definition, view.revision)
}

pub(super) fn arm_count(definition: &Definition) -> proto::ArmCount {
    let available = definition.arms.iter().filter(|arm| arm.available).count();
    proto::ArmCount { arms: narrow(definition.arms.len()), available: narrow(available) }
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Fields that a difference names; further ones are counted.
const FIELDS_MAX: usize = 200;

/// What differs between two definitions, and how many fields more.
pub(super) fn difference_of(before: &Definition, after: &Definition) -> (Vec<proto::FieldChange>, u32) {
    let found = differences(before, after);
    let left_out = found.len().saturating_sub(FIELDS_MAX);
    (found.into_iter().take(FIELDS_MAX).map(difference).collect(), narrow(left_out))
}

/// A revision, and what it changed against the one before it.
pub(super) fn revision(revision: &Revision, before: Option<&Revision>) -> proto::Revision {
    let Revision {
        number,
        at_us,
        why: ChangeReason { author, reason, actor: by },
        change,
        definition: now,
        own_bytes: _,
    } = revision;
    let compared = before.map(|before| difference_of(&before.definition, now));
    let (diff, diff_left_out) = compared.unwrap_or_default();
    proto::Revision {
        revision: *number,
        time: Some(timestamp(*at_us)),
        reason: reason.clone(),
        change: change.clone(),
        slot: Some(settings(now, *number)),
        arm_count: arm_count(now).arms,
        diff_left_out,
        author: author.clone(),
        diff,
        actor: (!by.is_empty()).then(|| actor(by)),
    }
}

fn actor(Actor { principal, origin, request_id }: &Actor) -> proto::Actor {
    proto::Actor { principal: principal.clone(), origin: origin.clone(), request_id: request_id.clone() }
}

fn difference(difference: Difference) -> proto::FieldChange {
    let Difference { path, before, after } = difference;
    proto::FieldChange { path, before, after }
}

/// A slot with its arms.
pub(super) fn definition(d: &Definition, revision: u64) -> proto::Slot {
    proto::Slot { arms: d.arms.iter().map(|a| arm(a)).collect(), ..settings(d, revision) }
}

/// A slot without its arms.
pub(super) fn settings(d: &Definition, revision: u64) -> proto::Slot {
    proto::Slot {
        slot_id: d.id.to_string(),
        display_name: d.display_name.clone(),
        kind: match d.kind {
            SlotKind::Offer => proto::SlotKind::Offer,
            SlotKind::Ranking => proto::SlotKind::Ranking,
            SlotKind::Block => proto::SlotKind::Block,
        }
        .into(),
        revision,
        arms: Vec::new(),
        open_catalogue: d.open_catalogue,
        default_arm_id: d.default_arm.as_ref().map(ArmId::to_string).unwrap_or_default(),
        count: d.count.unwrap_or(0),
        goal: Some(goal(&d.goal)),
        model: Some(model(d.model)),
        controls: Some(encode_controls(&d.controls)),
        default_consent: consent(Some(d.default_consent)).into(),
        rules: d.rules.iter().map(rule).collect(),
    }
}

pub(super) fn arm(arm: &Arm) -> proto::Arm {
    proto::Arm {
        arm_id: arm.id.to_string(),
        attributes: features(&arm.attributes),
        available: Some(arm.available),
        payload: arm.payload.as_ref().map(payload_to_struct),
        unavailable_because: because(arm.because),
        schedule: (arm.schedule != Schedule::default()).then(|| schedule(arm.schedule)),
    }
}

pub(super) fn because(because: Option<Unavailable>) -> i32 {
    match because {
        None => proto::UnavailableBecause::Unspecified,
        Some(Unavailable::Paused) => proto::UnavailableBecause::Paused,
        Some(Unavailable::OutOfStock) => proto::UnavailableBecause::OutOfStock,
    }
    .into()
}

pub(super) fn schedule(Schedule { from_us, until_us }: Schedule) -> proto::Schedule {
    proto::Schedule { from: from_us.map(timestamp), until: until_us.map(timestamp) }
}

fn goal(goal: &Goal) -> proto::Goal {
    let kind = |RewardKind { kind, weight, use_value, cap, winsorize }: &RewardKind| proto::RewardKind {
        kind: kind.clone(),
        weight: *weight,
        use_value: *use_value,
        cap: *cap,
        winsorize: *winsorize,
    };
    proto::Goal {
        kinds: goal.kinds.iter().map(kind).collect(),
        default_reward: goal.default_reward,
        window: Some(duration(goal.window_us)),
        aggregation: match goal.aggregation {
            Aggregation::Sum => proto::Aggregation::Sum,
            Aggregation::Max => proto::Aggregation::Max,
            Aggregation::Last => proto::Aggregation::Last,
        }
        .into(),
        learning: match goal.learning {
            Learning::Eager => proto::Learning::Eager,
            Learning::AtClose => proto::Learning::AtClose,
        }
        .into(),
        click_model: match goal.click_model {
            ClickModel::None => proto::ClickModel::None,
            ClickModel::PositionBased => proto::ClickModel::PositionBased,
            ClickModel::Cascade => proto::ClickModel::Cascade,
        }
        .into(),
        grace_period: goal.grace_period_us.map(duration),
        reversal_window: goal.reversal_window_us.map(duration),
    }
}

fn model(model: ModelSpec) -> proto::Model {
    use proto::model::Model as Out;
    let model = match model {
        ModelSpec::Portfolio(PortfolioSpec { dimension_budget, compute_budget, detect_changes }) => {
            Out::Portfolio(proto::PortfolioModel {
                dimension_budget: Some(dimension_budget),
                compute_budget: Some(compute_budget),
                detect_changes: Some(detect_changes),
            })
        }
        ModelSpec::Linear(spec) => Out::Linear(linear(spec)),
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

fn linear(spec: LinearSpec) -> proto::LinearModel {
    let LinearSpec { link, expansion, sharing, prior_precision, dimension_budget } = spec;
    proto::LinearModel {
        prior_precision: Some(prior_precision),
        dimension_budget: Some(dimension_budget),
        link: match link {
            None => proto::Link::Unspecified,
            Some(Link::Identity) => proto::Link::Identity,
            Some(Link::Logit) => proto::Link::Logit,
        }
        .into(),
        expansion: match expansion {
            Expansion::None => proto::Expansion::None,
            Expansion::Interactions => proto::Expansion::Interactions,
            Expansion::Fourier => proto::Expansion::Fourier,
        }
        .into(),
        sharing: match sharing {
            None => proto::Sharing::Unspecified,
            Some(Sharing::Disjoint) => proto::Sharing::Disjoint,
            Some(Sharing::Opposed) => proto::Sharing::Opposed,
            Some(Sharing::Shared) => proto::Sharing::Shared,
        }
        .into(),
    }
}

fn rule(rule: &Rule) -> proto::Rule {
    let Rule { name, when, effect: e, on_error, paused } = rule;
    proto::Rule {
        name: name.clone(),
        when: when.clone(),
        effect: Some(effect(e)),
        on_error: match on_error {
            OnError::Ignore => proto::OnError::Ignore,
            OnError::Exclude => proto::OnError::Exclude,
        }
        .into(),
        paused: *paused,
    }
}

fn effect(effect: &Effect) -> proto::rule::Effect {
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
        Effect::ProbabilityBounds { min, max } => Out::Share(proto::ShareEffect { min: *min, max: *max }),
        Effect::SubjectCap { count, window_us, together } => Out::SubjectCap(proto::SubjectCapEffect {
            count: *count,
            window: Some(duration(*window_us)),
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
