//! From events to the log's messages.

use super::{log, payload_to_struct};
use crate::{
    bandit::{ClickModel, Expansion, Features, LinearSpec, Link, ModelSpec, Policy, PortfolioSpec, Sharing, Value},
    engine::{Body, Chosen, Decided, Event, Fallback, Reason, Rewarded, Subject},
    slot::{Aggregation, Arm, ArmId, Consent, Controls, Definition, Goal, Learning, SlotKind},
};

pub(super) fn event(event: &Event) -> log::Event {
    use log::event::Body as Out;
    let body = match &event.body {
        Body::SlotCreated { definition: d, reason } => {
            Out::SlotCreated(log::SlotCreated { definition: Some(definition(d)), reason: reason.clone() })
        }
        Body::SlotUpdated { definition: d, reason, rolled_back_to } => Out::SlotUpdated(log::SlotUpdated {
            definition: Some(definition(d)),
            reason: reason.clone(),
            rolled_back_to: *rolled_back_to,
        }),
        Body::SlotDeleted { slot, reason } => {
            Out::SlotDeleted(log::SlotDeleted { slot_id: slot.to_string(), reason: reason.clone() })
        }
        Body::ArmsUpserted { slot, arms, reason } => Out::ArmsUpserted(log::ArmsUpserted {
            slot_id: slot.to_string(),
            arms: arms.iter().map(|a| arm(a)).collect(),
            reason: reason.clone(),
        }),
        Body::ArmsRemoved { slot, arms, reason } => Out::ArmsRemoved(log::ArmsRemoved {
            slot_id: slot.to_string(),
            arm_ids: arms.iter().map(ArmId::to_string).collect(),
            reason: reason.clone(),
        }),
        Body::AvailabilitySet { slot, available, reason } => {
            let of =
                |wanted: bool| available.iter().filter(|(_, a)| *a == wanted).map(|(arm, _)| arm.to_string()).collect();
            Out::AvailabilitySet(log::AvailabilitySet {
                slot_id: slot.to_string(),
                available: of(true),
                unavailable: of(false),
                reason: reason.clone(),
            })
        }
        Body::SlotReset { slot, reason } => {
            Out::SlotReset(log::SlotReset { slot_id: slot.to_string(), reason: reason.clone() })
        }
        Body::Decided(d) => Out::Decided(decided(d)),
        Body::Rewarded(r) => Out::Rewarded(rewarded(r)),
    };
    log::Event { at_us: event.at_us, body: Some(body) }
}

fn features(features: &Features) -> Vec<log::Feature> {
    features.iter().map(|(name, v)| log::Feature { name: name.clone(), value: Some(value(v)) }).collect()
}

fn value(value: &Value) -> log::Value {
    use log::value::Value as Out;
    let value = match value {
        Value::Number(number) => Out::Number(*number),
        Value::Text(text) => Out::Text(text.clone()),
        Value::Flag(flag) => Out::Flag(*flag),
        Value::Texts(values) => Out::Texts(log::Texts { values: values.clone() }),
        Value::Vector(values) => Out::Vector(log::Numbers { values: values.clone() }),
    };
    log::Value { value: Some(value) }
}

fn definition(d: &Definition) -> log::Definition {
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
        controls: Some(controls(&d.controls)),
        default_consent: match d.default_consent {
            Consent::Full => 1,
            Consent::SessionOnly => 2,
            Consent::None => 3,
        },
    }
}

fn arm(arm: &Arm) -> log::Arm {
    log::Arm {
        arm_id: arm.id.to_string(),
        attributes: features(&arm.attributes),
        available: arm.available,
        payload: arm.payload.as_ref().map(payload_to_struct),
    }
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

fn controls(controls: &Controls) -> log::Controls {
    let Controls { exploration, floor, ceiling, half_life_us, holdout, freeze_learning, safe_choice, policy: p } =
        *controls;
    let policy = p.map(policy);
    log::Controls { exploration, floor, ceiling, half_life_us, holdout, freeze_learning, safe_choice, policy }
}

fn policy(policy: Policy) -> log::Policy {
    use log::policy::Policy as Out;
    let policy = match policy {
        Policy::ThompsonSampling => Out::ThompsonSampling(log::Unparameterised {}),
        Policy::Uniform => Out::Uniform(log::Unparameterised {}),
        Policy::FixedOrder => Out::FixedOrder(log::Unparameterised {}),
        Policy::Greedy => Out::Greedy(log::Unparameterised {}),
        Policy::EpsilonGreedy { epsilon } => Out::EpsilonGreedy(log::EpsilonGreedy { epsilon }),
        Policy::LinUcb => Out::LinUcb(log::Unparameterised {}),
        Policy::SquareCb { gamma } => Out::SquareCb(log::SquareCb { gamma }),
    };
    log::Policy { policy: Some(policy) }
}

fn subject(subject: &Subject) -> Option<log::Subject> {
    let anonymous = *subject == Subject::default();
    (!anonymous).then(|| log::Subject { id: subject.id.clone(), session_id: subject.session_id.clone() })
}

fn decided(d: &Decided) -> log::Decided {
    let candidate =
        |(arm, own): &(ArmId, Features)| log::Candidate { arm_id: arm.to_string(), features: features(own) };
    log::Decided {
        slot_id: d.slot.to_string(),
        decision_id: d.id.as_bytes().to_vec(),
        request_id: d.request_id.clone().unwrap_or_default(),
        subject: subject(&d.subject),
        context: features(&d.context),
        candidates: d.candidates.iter().map(candidate).collect(),
        chosen: d.chosen.iter().map(chosen).collect(),
        holdout: d.holdout,
        fallback: d.fallback.map_or(0, |fallback| match fallback {
            Fallback::NoEligibleArm => 1,
            Fallback::SafeChoice => 2,
            Fallback::Model => 3,
            Fallback::Deadline => 4,
        }),
        revision: d.revision,
        model: d.model.clone(),
        seed: d.seed,
        taken: d.taken.iter().map(ArmId::to_string).collect(),
    }
}

fn chosen(chosen: &Chosen) -> log::Chosen {
    log::Chosen {
        arm_id: chosen.arm.to_string(),
        propensity: chosen.propensity,
        expected_reward: chosen.expected_reward,
        baseline_position: chosen.baseline_position,
        overlap: chosen.overlap,
        reason: match chosen.reason {
            Reason::BestGuess => 1,
            Reason::Exploring => 2,
            Reason::Floor => 3,
            Reason::Holdout => 5,
            Reason::Fallback => 7,
        },
    }
}

fn rewarded(r: &Rewarded) -> log::Rewarded {
    log::Rewarded {
        slot_id: r.slot.to_string(),
        event_id: r.event_id.clone(),
        decision_id: r.decision.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
        subject: subject(&r.subject),
        arm_id: r.arm.as_ref().map(ArmId::to_string).unwrap_or_default(),
        kind: r.kind.clone(),
        value: r.value,
        time_us: r.time_us,
        reverses_event_id: r.reverses.clone().unwrap_or_default(),
    }
}
