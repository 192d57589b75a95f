//! From the log's messages to events.

use std::sync::Arc;

use super::{
    Decoded, Skipped,
    decode_slot::{arms, because, definition, schedule},
    log, patch,
};
use crate::node::subjects::key::to_text;
use crate::{
    bandit::{Features, Value},
    engine::{
        Availability, Barred, Body, Chosen, Decided, DecisionId, Event, Fallback, Reason, Rewarded, Scored, Subject,
    },
    slot::{Actor, ArmId, ChangeReason, SlotId},
};

pub(super) type Decode<T> = Result<T, String>;

pub(super) fn missing(what: &str) -> String {
    format!("{what} is missing")
}

pub(super) fn unknown(what: &str, number: u32) -> String {
    format!("{what} {number} is unknown; a newer version wrote it")
}

pub(super) fn slot_id(text: &str) -> Decode<SlotId> {
    SlotId::parse("slot_id", text).map_err(|e| e.to_string())
}

pub(super) fn arm_id(text: &str) -> Decode<ArmId> {
    ArmId::parse("arm_id", text).map_err(|e| e.to_string())
}

fn arm_ids(texts: &[String]) -> Decode<Vec<ArmId>> {
    texts.iter().map(|text| arm_id(text)).collect()
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// The event in a message, or what an event says that may be passed over because this program does not know its kind.
pub(super) fn event(event: log::Event) -> Decode<Decoded> {
    let log::Event { at_us, body: b, actor: a, kind, slot_id: slot, skippable } = event;
    match b {
        Some(b) => Ok(Decoded::Event(Event { at_us, body: body(b, &actor(a))? })),
        None if kind.is_empty() => Err(missing("the event's body")),
        None if skippable => Ok(Decoded::Skipped(Skipped { at_us, kind, slot })),
        None => Err(format!(
            "it is of the kind '{kind}', which this program does not know and must not pass over; a newer program wrote it: start that one"
        )),
    }
}

fn actor(actor: Option<log::Actor>) -> Actor {
    let log::Actor { principal, origin, request_id } = actor.unwrap_or_default();
    Actor { principal, origin, request_id }
}

fn body(body: log::event::Body, actor: &Actor) -> Decode<Body> {
    use log::event::Body as In;
    let why = |author, reason| ChangeReason { author, reason, actor: actor.clone() };
    Ok(match body {
        In::SlotCreated(log::SlotCreated { definition: d, reason, author }) => {
            Body::SlotCreated { definition: definition(d)?, why: why(author, reason) }
        }
        In::SlotUpdated(log::SlotUpdated { definition: d, reason, rolled_back_to, author }) => {
            Body::SlotUpdated { definition: definition(d)?, why: why(author, reason), rolled_back_to }
        }
        In::SlotPatched(patched) => patch::decode(patched, actor.clone())?,
        In::SlotDeleted(log::SlotDeleted { slot_id: slot, reason, author }) => {
            Body::SlotDeleted { slot: slot_id(&slot)?, why: why(author, reason) }
        }
        In::ArmsUpserted(log::ArmsUpserted { slot_id: slot, arms: a, reason, author }) => {
            Body::ArmsUpserted { slot: slot_id(&slot)?, arms: arms(a)?, why: why(author, reason) }
        }
        In::ArmsRemoved(log::ArmsRemoved { slot_id: slot, arm_ids: a, reason, author }) => {
            Body::ArmsRemoved { slot: slot_id(&slot)?, arms: arm_ids(&a)?, why: why(author, reason) }
        }
        In::AvailabilitySet(message) => availability_set(message, actor.clone())?,
        In::SlotReset(log::SlotReset { slot_id: slot, reason, author }) => {
            Body::SlotReset { slot: slot_id(&slot)?, why: why(author, reason) }
        }
        In::Decided(d) => Body::Decided(Arc::new(decided(d)?)),
        In::Rewarded(r) => Body::Rewarded(Box::new(rewarded(r)?)),
    })
}

fn availability_set(message: log::AvailabilitySet, actor: Actor) -> Decode<Body> {
    let log::AvailabilitySet { slot_id: slot, available, unavailable, reason, changes, author } = message;
    let change = |log::ArmAvailability { arm_id: arm, available, because: why, schedule: when }| {
        Ok((arm_id(&arm)?, Availability { available, because: because(why)?, schedule: when.map(schedule) }))
    };
    let plain = |arms: &[String], available| -> Decode<Vec<(ArmId, Availability)>> {
        Ok(arm_ids(arms)?.into_iter().map(|arm| (arm, Availability::new(available))).collect())
    };
    let mut all = plain(&available, true)?;
    all.extend(plain(&unavailable, false)?);
    all.extend(changes.into_iter().map(change).collect::<Decode<Vec<_>>>()?);
    Ok(Body::AvailabilitySet { slot: slot_id(&slot)?, available: all, why: ChangeReason { author, reason, actor } })
}

pub(super) fn features(features: Vec<log::Feature>) -> Decode<Features> {
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

fn subject(subject: Option<log::Subject>) -> Decode<Subject> {
    let log::Subject { id, session_id, pseudonym, session_pseudonym } = subject.unwrap_or_default();
    let part = |text: String, pseudonym: &[u8]| match pseudonym {
        [] => Ok(text),
        bytes => bytes.try_into().map(to_text).map_err(|_| "a pseudonym does not have 16 bytes".to_owned()),
    };
    Ok(Subject { id: part(id, &pseudonym)?, session_id: part(session_id, &session_pseudonym)? })
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
        best_expected,
        would,
        analysis,
        sticky,
        fired,
        scored_candidate,
        scored_mean,
        scored_std,
        scored_propensity,
        barred_candidate,
        barred_rule,
        request_fingerprint,
    } = decided;
    Ok(Decided {
        slot: slot_id(&slot)?,
        id: decision_id(&id)?,
        request_id: non_empty(request_id),
        subject: subject(who)?,
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
        best_expected,
        would: would.into_iter().map(chosen).collect::<Decode<_>>()?,
        analysis,
        sticky: if sticky.is_empty() { None } else { Some(decision_id(&sticky)?) },
        fired,
        scored: scored(&scored_candidate, &scored_mean, &scored_std, &scored_propensity)?,
        barred: barred(&barred_candidate, &barred_rule)?,
        request_fingerprint,
    })
}

fn scored(candidates: &[u32], means: &[f32], stds: &[f32], propensities: &[f32]) -> Decode<Vec<Scored>> {
    if [means.len(), stds.len(), propensities.len()] != [candidates.len(); 3] {
        return Err("what was known of the candidates has lists of several lengths".into());
    }
    let one = |(((&candidate, &mean), &std), &propensity)| Scored { candidate, mean, std, propensity };
    Ok(candidates.iter().zip(means).zip(stds).zip(propensities).map(one).collect())
}

fn barred(candidates: &[u32], rules: &[u32]) -> Decode<Vec<Barred>> {
    if rules.len() != candidates.len() {
        return Err("the candidates that rules kept out have lists of several lengths".into());
    }
    Ok(candidates.iter().zip(rules).map(|(&candidate, &rule)| Barred { candidate, rule }).collect())
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
            4 => Reason::Rule,
            5 => Reason::Holdout,
            6 => Reason::Sticky,
            7 => Reason::Fallback,
            8 => Reason::Watching,
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
        subject: subject(who)?,
        arm: non_empty(arm).as_deref().map(arm_id).transpose()?,
        kind,
        value,
        time_us,
        reverses: non_empty(reverses_event_id),
    })
}
