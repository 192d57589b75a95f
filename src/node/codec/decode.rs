//! Decoding of the journal's messages to events.

use std::sync::Arc;

use super::{
    Decoded, SkippedEvent,
    decode_slot::{decode_arms, decode_definition, decode_schedule},
    draft::decode_draft,
    error::DecodeError,
    imported::{decode_import, decode_learning},
    items::decode_items,
    log,
    numbers::Numbered as _,
    patch::decode_patch,
    shopper::decode_shopper,
};
use crate::node::subjects::key::to_text;
use crate::{
    bandit::{Features, Value},
    engine::{
        Availability, Body, CandidateMatch, ChosenArm, DecisionId, DecisionRecord, Event, ExcludedCandidate, Fallback,
        ForgottenSubject, Reason, RewardEvent, ScoredCandidate, Subject,
    },
    slot::{Actor, ArmId, ChangeReason, SlotId, Unavailable},
};

pub(super) type DecodeResult<T> = Result<T, DecodeError>;

pub(super) fn parse_slot_id(text: &str) -> DecodeResult<SlotId> {
    Ok(SlotId::parse("slot_id", text)?)
}

pub(super) fn parse_arm_id(text: &str) -> DecodeResult<ArmId> {
    Ok(ArmId::parse("arm_id", text)?)
}

fn parse_arm_ids(texts: &[String]) -> DecodeResult<Vec<ArmId>> {
    texts.iter().map(|text| parse_arm_id(text)).collect()
}

pub(super) fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// Decodes an event, or the envelope of an event of an unknown kind that may be passed over.
pub(super) fn decode_event(event: log::Event) -> DecodeResult<Decoded> {
    let log::Event { at_us, body, actor, kind, slot_id: slot, skippable } = event;
    match body {
        Some(body) => Ok(Decoded::Event(Event { at_us, body: decode_body(body, &decode_actor(actor))? })),
        None if kind.is_empty() => Err(DecodeError::missing("the event's body")),
        None if skippable => Ok(Decoded::Skipped(SkippedEvent { at_us, kind, slot })),
        None => Err(DecodeError::UnknownKind(kind)),
    }
}

fn decode_actor(actor: Option<log::Actor>) -> Actor {
    let log::Actor { principal, origin, request_id } = actor.unwrap_or_default();
    Actor { principal, origin, request_id }
}

fn decode_body(body: log::event::Body, actor: &Actor) -> DecodeResult<Body> {
    use log::event::Body as In;
    let why = |author, reason| ChangeReason { author, reason, actor: actor.clone() };
    Ok(match body {
        In::SlotCreated(log::SlotCreated { definition, reason, author }) => {
            Body::SlotCreated { definition: decode_definition(definition)?, why: why(author, reason) }
        }
        In::SlotUpdated(log::SlotUpdated { definition, reason, rolled_back_to, author }) => {
            Body::SlotUpdated { definition: decode_definition(definition)?, why: why(author, reason), rolled_back_to }
        }
        In::SlotPatched(patched) => decode_patch(patched, actor.clone())?,
        In::SlotDeleted(log::SlotDeleted { slot_id: slot, reason, author }) => {
            Body::SlotDeleted { slot: parse_slot_id(&slot)?, why: why(author, reason) }
        }
        In::SlotRenamed(log::SlotRenamed { slot_id: slot, new_slot_id, reason, author }) => {
            let (slot, to) = (parse_slot_id(&slot)?, parse_slot_id(&new_slot_id)?);
            Body::SlotRenamed { slot, to, why: why(author, reason) }
        }
        In::ArmsUpserted(log::ArmsUpserted { slot_id: slot, arms, reason, author }) => {
            Body::ArmsUpserted { slot: parse_slot_id(&slot)?, arms: decode_arms(arms)?, why: why(author, reason) }
        }
        In::ArmsRemoved(log::ArmsRemoved { slot_id: slot, arm_ids, reason, author }) => {
            Body::ArmsRemoved { slot: parse_slot_id(&slot)?, arms: parse_arm_ids(&arm_ids)?, why: why(author, reason) }
        }
        In::AvailabilitySet(message) => decode_availability_set(message, actor.clone())?,
        In::SlotReset(log::SlotReset { slot_id: slot, reason, author }) => {
            Body::SlotReset { slot: parse_slot_id(&slot)?, why: why(author, reason) }
        }
        In::LearningCopied(log::LearningCopied { slot_id, from_slot_id, weight, reason, author }) => {
            let (slot, from) = (parse_slot_id(&slot_id)?, parse_slot_id(&from_slot_id)?);
            Body::LearningCopied { slot, from, weight, why: why(author, reason) }
        }
        In::LearningImported(message) => Body::LearningImported(Box::new(decode_learning(message, actor.clone())?)),
        In::ArmReset(log::ArmReset { slot_id, arm_id, reason, author }) => {
            let (slot, arm) = (parse_slot_id(&slot_id)?, parse_arm_id(&arm_id)?);
            Body::ArmReset { slot, arm, why: why(author, reason) }
        }
        In::Draft(draft) => Body::Draft(Box::new(decode_draft(draft, actor.clone())?)),
        In::Imported(imported) => Body::Imported(Box::new(decode_import(imported, actor.clone())?)),
        In::Decided(decided) => Body::Decided(Arc::new(decode_decided(decided)?)),
        In::Deferred(decided) => Body::Deferred(Arc::new(decode_decided(decided)?)),
        In::Rewarded(rewarded) => Body::Rewarded(Box::new(decode_rewarded(rewarded)?)),
        In::Shopper(event) => Body::Shopper(Arc::new(decode_shopper(event)?)),
        In::ItemsChanged(changes) => Body::ItemsChanged(Arc::new(decode_items(changes, actor.clone())?)),
        In::SubjectForgotten(log::SubjectForgotten { subject, origin, reason, author }) => {
            let (subject, origin) = (decode_subject(subject)?, decode_subject(origin)?);
            Body::SubjectForgotten(Box::new(ForgottenSubject { subject, origin, why: why(author, reason) }))
        }
    })
}

fn decode_availability_set(message: log::AvailabilitySet, actor: Actor) -> DecodeResult<Body> {
    let log::AvailabilitySet { slot_id: slot, available, unavailable, reason, changes, author } = message;
    let change = |log::ArmAvailability { arm_id: arm, available, because, schedule: when }| {
        let because = Unavailable::from_optional(because, 0)?;
        Ok((parse_arm_id(&arm)?, Availability { available, because, schedule: when.map(decode_schedule) }))
    };
    let plain = |arms: &[String], available| -> DecodeResult<Vec<(ArmId, Availability)>> {
        Ok(parse_arm_ids(arms)?.into_iter().map(|arm| (arm, Availability::new(available))).collect())
    };
    let mut all = plain(&available, true)?;
    all.extend(plain(&unavailable, false)?);
    all.extend(changes.into_iter().map(change).collect::<DecodeResult<Vec<_>>>()?);
    Ok(Body::AvailabilitySet {
        slot: parse_slot_id(&slot)?,
        available: all,
        why: ChangeReason { author, reason, actor },
    })
}

pub(super) fn decode_features(features: Vec<log::Feature>) -> DecodeResult<Features> {
    features.into_iter().map(|log::Feature { name, value }| Ok((name, decode_value(value)?))).collect()
}

fn decode_value(value: Option<log::Value>) -> DecodeResult<Value> {
    use log::value::Value as In;
    Ok(match value.and_then(|value| value.value).ok_or_else(|| DecodeError::missing("a feature's value"))? {
        In::Number(number) => Value::Number(number),
        In::Text(text) => Value::Text(text),
        In::Flag(flag) => Value::Flag(flag),
        In::Texts(texts) => Value::Texts(texts.values),
        In::Vector(numbers) => Value::Vector(numbers.values),
    })
}

pub(super) fn decode_subject(subject: Option<log::Subject>) -> DecodeResult<Subject> {
    let log::Subject { id, session_id, pseudonym, session_pseudonym } = subject.unwrap_or_default();
    let part = |text: String, pseudonym: &[u8]| match pseudonym {
        [] => Ok(text),
        bytes => bytes.try_into().map(to_text).map_err(|_| DecodeError::Length("a pseudonym")),
    };
    Ok(Subject { id: part(id, &pseudonym)?, session_id: part(session_id, &session_pseudonym)? })
}

pub(super) fn decode_decision_id(bytes: &[u8]) -> DecodeResult<DecisionId> {
    DecisionId::from_bytes(bytes).ok_or(DecodeError::Length("a decision id"))
}

fn decode_decided(decided: log::Decided) -> DecodeResult<DecisionRecord> {
    let log::Decided {
        slot_id: slot,
        decision_id: id,
        request_id,
        subject,
        context,
        candidates,
        chosen,
        holdout,
        fallback,
        revision,
        model,
        seed,
        already_shown,
        best_expected,
        shadow,
        analysis,
        sticky,
        matched_rules,
        scored_candidate,
        scored_mean,
        scored_std,
        scored_propensity,
        excluded_candidate,
        excluding_rule,
        request_fingerprint,
        client,
        scaled_floors,
        matched,
        match_candidate,
        match_bits,
        expire_us,
        catalogue_arm_ids,
    } = decided;
    Ok(DecisionRecord {
        slot: parse_slot_id(&slot)?,
        id: decode_decision_id(&id)?,
        request_id: non_empty(request_id),
        subject: decode_subject(subject)?,
        context: decode_features(context)?,
        candidates: candidates
            .into_iter()
            .map(|log::Candidate { arm_id: arm, features: own }| Ok((parse_arm_id(&arm)?, decode_features(own)?)))
            .collect::<DecodeResult<_>>()?,
        already_shown: parse_arm_ids(&already_shown)?,
        chosen: chosen.into_iter().map(decode_chosen).collect::<DecodeResult<_>>()?,
        holdout,
        fallback: Fallback::from_optional(fallback, 0)?,
        revision,
        model,
        seed,
        best_expected,
        shadow_slate: shadow.into_iter().map(decode_chosen).collect::<DecodeResult<_>>()?,
        analysis,
        sticky: if sticky.is_empty() { None } else { Some(decode_decision_id(&sticky)?) },
        matched_rules,
        scored: decode_scored(&scored_candidate, &scored_mean, &scored_std, &scored_propensity)?,
        excluded: decode_excluded(&excluded_candidate, &excluding_rule)?,
        request_fingerprint,
        client,
        scaled_floors,
        matches: matched.then(|| decode_matches(&match_candidate, &match_bits)).transpose()?,
        expire_us,
        catalogue_arms: parse_arm_ids(&catalogue_arm_ids)?,
    })
}

fn decode_matches(candidates: &[u32], bits: &[u32]) -> DecodeResult<Vec<CandidateMatch>> {
    if bits.len() != candidates.len() {
        return Err(DecodeError::UnequalLists("the matches of the candidates"));
    }
    Ok(candidates.iter().zip(bits).map(|(&candidate, &bits)| CandidateMatch::from_bits(candidate, bits)).collect())
}

fn decode_scored(
    candidates: &[u32],
    means: &[f32],
    stds: &[f32],
    propensities: &[f32],
) -> DecodeResult<Vec<ScoredCandidate>> {
    if [means.len(), stds.len(), propensities.len()] != [candidates.len(); 3] {
        return Err(DecodeError::UnequalLists("the scores of the candidates"));
    }
    let one = |(((&candidate, &mean), &std), &propensity)| ScoredCandidate { candidate, mean, std, propensity };
    Ok(candidates.iter().zip(means).zip(stds).zip(propensities).map(one).collect())
}

fn decode_excluded(candidates: &[u32], rules: &[u32]) -> DecodeResult<Vec<ExcludedCandidate>> {
    if rules.len() != candidates.len() {
        return Err(DecodeError::UnequalLists("the candidates that rules excluded"));
    }
    Ok(candidates.iter().zip(rules).map(|(&candidate, &rule)| ExcludedCandidate { candidate, rule }).collect())
}

fn decode_chosen(chosen: log::ChosenArm) -> DecodeResult<ChosenArm> {
    let log::ChosenArm { arm_id: arm, propensity, expected_reward, baseline_position, reason, swap_probability } =
        chosen;
    Ok(ChosenArm {
        arm: parse_arm_id(&arm)?,
        propensity,
        expected_reward,
        baseline_position,
        swap_probability,
        reason: Reason::from_number(reason)?,
    })
}

fn decode_rewarded(rewarded: log::Rewarded) -> DecodeResult<RewardEvent> {
    let log::Rewarded {
        slot_id: slot,
        event_id,
        decision_id: id,
        subject,
        arm_id: arm,
        kind,
        value,
        time_us,
        reverses_event_id,
    } = rewarded;
    Ok(RewardEvent {
        slot: parse_slot_id(&slot)?,
        event_id,
        decision: if id.is_empty() { None } else { Some(decode_decision_id(&id)?) },
        subject: decode_subject(subject)?,
        arm: non_empty(arm).as_deref().map(parse_arm_id).transpose()?,
        kind,
        value,
        time_us,
        reverses: non_empty(reverses_event_id),
    })
}
