//! From the log's messages to events.

use std::sync::Arc;

use super::{log, payload_from_struct};
use crate::{
    bandit::{ClickModel, Expansion, Features, LinearSpec, Link, ModelSpec, Policy, PortfolioSpec, Sharing, Value},
    engine::{Body, Chosen, Decided, DecisionId, Event, Fallback, Reason, Rewarded, Subject},
    slot::{Aggregation, Arm, ArmId, Consent, Controls, Definition, Goal, Learning, RewardKind, SlotId, SlotKind},
};

type Decode<T> = Result<T, String>;

fn missing(what: &str) -> String {
    format!("{what} is missing")
}

fn unknown(what: &str, number: u32) -> String {
    format!("{what} {number} is unknown; a newer version wrote it")
}

fn slot_id(text: &str) -> Decode<SlotId> {
    SlotId::parse("slot_id", text).map_err(|e| e.to_string())
}

fn arm_id(text: &str) -> Decode<ArmId> {
    ArmId::parse("arm_id", text).map_err(|e| e.to_string())
}

fn arm_ids(texts: &[String]) -> Decode<Vec<ArmId>> {
    texts.iter().map(|text| arm_id(text)).collect()
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

pub(super) fn event(event: log::Event) -> Decode<Event> {
    use log::event::Body as In;
    let log::Event { at_us, body } = event;
    let body = match body.ok_or_else(|| missing("the event's body"))? {
        In::SlotCreated(log::SlotCreated { definition: d, reason }) => {
            Body::SlotCreated { definition: definition(d)?, reason }
        }
        In::SlotUpdated(log::SlotUpdated { definition: d, reason, rolled_back_to }) => {
            Body::SlotUpdated { definition: definition(d)?, reason, rolled_back_to }
        }
        In::SlotDeleted(log::SlotDeleted { slot_id: slot, reason }) => {
            Body::SlotDeleted { slot: slot_id(&slot)?, reason }
        }
        In::ArmsUpserted(log::ArmsUpserted { slot_id: slot, arms, reason }) => {
            Body::ArmsUpserted { slot: slot_id(&slot)?, arms: self::arms(arms)?, reason }
        }
        In::ArmsRemoved(log::ArmsRemoved { slot_id: slot, arm_ids: arms, reason }) => {
            Body::ArmsRemoved { slot: slot_id(&slot)?, arms: arm_ids(&arms)?, reason }
        }
        In::AvailabilitySet(log::AvailabilitySet { slot_id: slot, available, unavailable, reason }) => {
            let yes = arm_ids(&available)?.into_iter().map(|arm| (arm, true));
            let no = arm_ids(&unavailable)?.into_iter().map(|arm| (arm, false));
            Body::AvailabilitySet { slot: slot_id(&slot)?, available: yes.chain(no).collect(), reason }
        }
        In::SlotReset(log::SlotReset { slot_id: slot, reason }) => Body::SlotReset { slot: slot_id(&slot)?, reason },
        In::Decided(d) => Body::Decided(Arc::new(decided(d)?)),
        In::Rewarded(r) => Body::Rewarded(Box::new(rewarded(r)?)),
    };
    Ok(Event { at_us, body })
}

fn features(features: Vec<log::Feature>) -> Decode<Features> {
    features.into_iter().map(|log::Feature { name, value: v }| Ok((name, value(v)?))).collect()
}

fn value(value: Option<log::Value>) -> Decode<Value> {
    use log::value::Value as In;
    Ok(match value.and_then(|value| value.value).ok_or_else(|| missing("a feature's value"))? {
        In::Number(number) => Value::Number(number),
        In::Text(text) => Value::Text(text),
        In::Flag(flag) => Value::Flag(flag),
        In::Texts(texts) => Value::Texts(texts.values),
        In::Vector(numbers) => Value::Vector(numbers.values),
    })
}

fn definition(definition: Option<log::Definition>) -> Decode<Arc<Definition>> {
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
        controls: self::controls(controls.ok_or_else(|| missing("controls"))?)?,
        default_consent: match default_consent {
            1 => Consent::Full,
            2 => Consent::SessionOnly,
            3 => Consent::None,
            other => return Err(unknown("the consent", other)),
        },
    }))
}

fn arms(arms: Vec<log::Arm>) -> Decode<Vec<Arc<Arm>>> {
    let arm = |log::Arm { arm_id: arm, attributes, available, payload }| {
        Ok(Arc::new(Arm {
            id: arm_id(&arm)?,
            attributes: features(attributes)?,
            available,
            payload: payload.map(payload_from_struct).transpose()?,
        }))
    };
    arms.into_iter().map(arm).collect()
}

fn goal(goal: Option<log::Goal>) -> Decode<Goal> {
    let log::Goal { kinds, default_reward, window_us, aggregation, learning, click_model } =
        goal.ok_or_else(|| missing("the goal"))?;
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

fn controls(controls: log::Controls) -> Decode<Controls> {
    let log::Controls { exploration, floor, ceiling, half_life_us, holdout, freeze_learning, safe_choice, policy: p } =
        controls;
    let policy = p.map(policy).transpose()?;
    Ok(Controls { exploration, floor, ceiling, half_life_us, holdout, freeze_learning, safe_choice, policy })
}

fn policy(policy: log::Policy) -> Decode<Policy> {
    use log::policy::Policy as In;
    // One that a newer version wrote looks as if it were missing.
    Ok(match policy.policy.ok_or_else(|| missing("which policy"))? {
        In::ThompsonSampling(log::Unparameterised {}) => Policy::ThompsonSampling,
        In::Uniform(log::Unparameterised {}) => Policy::Uniform,
        In::FixedOrder(log::Unparameterised {}) => Policy::FixedOrder,
        In::Greedy(log::Unparameterised {}) => Policy::Greedy,
        In::EpsilonGreedy(log::EpsilonGreedy { epsilon }) => Policy::EpsilonGreedy { epsilon },
        In::LinUcb(log::Unparameterised {}) => Policy::LinUcb,
        In::SquareCb(log::SquareCb { gamma }) => Policy::SquareCb { gamma },
    })
}

fn subject(subject: Option<log::Subject>) -> Subject {
    subject.map(|log::Subject { id, session_id }| Subject { id, session_id }).unwrap_or_default()
}

fn decision_id(bytes: &[u8]) -> Decode<DecisionId> {
    DecisionId::from_bytes(bytes).ok_or_else(|| "a decision id does not have 16 bytes".into())
}

fn decided(decided: log::Decided) -> Decode<Decided> {
    let log::Decided {
        slot_id: slot,
        decision_id: id,
        request_id,
        subject: who,
        context,
        candidates,
        chosen: places,
        holdout,
        fallback,
        revision,
        model,
        seed,
        taken,
    } = decided;
    Ok(Decided {
        slot: slot_id(&slot)?,
        id: decision_id(&id)?,
        request_id: non_empty(request_id),
        subject: subject(who),
        context: features(context)?,
        candidates: candidates
            .into_iter()
            .map(|log::Candidate { arm_id: arm, features: own }| Ok((arm_id(&arm)?, features(own)?)))
            .collect::<Decode<_>>()?,
        taken: arm_ids(&taken)?,
        chosen: places.into_iter().map(chosen).collect::<Decode<_>>()?,
        holdout,
        fallback: match fallback {
            0 => None,
            1 => Some(Fallback::NoEligibleArm),
            2 => Some(Fallback::SafeChoice),
            3 => Some(Fallback::Model),
            4 => Some(Fallback::Deadline),
            other => return Err(unknown("the fallback", other)),
        },
        revision,
        model,
        seed,
    })
}

fn chosen(chosen: log::Chosen) -> Decode<Chosen> {
    let log::Chosen { arm_id: arm, propensity, expected_reward, baseline_position, reason, overlap } = chosen;
    Ok(Chosen {
        arm: arm_id(&arm)?,
        propensity,
        expected_reward,
        baseline_position,
        overlap,
        reason: match reason {
            1 => Reason::BestGuess,
            2 => Reason::Exploring,
            3 => Reason::Floor,
            5 => Reason::Holdout,
            7 => Reason::Fallback,
            other => return Err(unknown("the reason", other)),
        },
    })
}

fn rewarded(rewarded: log::Rewarded) -> Decode<Rewarded> {
    let log::Rewarded {
        slot_id: slot,
        event_id,
        decision_id: id,
        subject: who,
        arm_id: arm,
        kind,
        value,
        time_us,
        reverses_event_id,
    } = rewarded;
    Ok(Rewarded {
        slot: slot_id(&slot)?,
        event_id,
        decision: if id.is_empty() { None } else { Some(decision_id(&id)?) },
        subject: subject(who),
        arm: non_empty(arm).as_deref().map(arm_id).transpose()?,
        kind,
        value,
        time_us,
        reverses: non_empty(reverses_event_id),
    })
}
