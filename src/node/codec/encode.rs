//! Encoding of events to the journal's messages.

use super::shopper::encode_shopper;
use super::{
    draft::encode_draft,
    encode_slot::{encode_arm, encode_definition, encode_schedule},
    imported::{encode_import, encode_learning},
    items::encode_items,
    log,
    numbers::{Numbered as _, optional_number},
    patch::encode_patch,
};
use crate::node::subjects::key::to_bytes;
use crate::{
    bandit::{Features, Value},
    engine::{Availability, Body, ChosenArm, DecisionRecord, Event, RewardEvent, Subject},
    slot::{Actor, ArmId, ChangeReason, SlotId},
};

pub(super) fn encode_event(event: &Event) -> log::Event {
    let actor = event.body.why().map(|why| &why.actor).filter(|actor| !actor.is_empty());
    // Kinds that are older than the name of the kind leave it out, so that they are written as they always were.
    let named = match event.body {
        Body::SlotPatched { .. }
        | Body::Shopper(_)
        | Body::Deferred(_)
        | Body::SubjectForgotten(_)
        | Body::ItemsChanged(_)
        | Body::LearningCopied { .. }
        | Body::ArmReset { .. }
        | Body::LearningImported(_)
        | Body::SlotRenamed { .. }
        | Body::Imported(_)
        | Body::Draft(_) => true,
        Body::SlotCreated { .. }
        | Body::SlotUpdated { .. }
        | Body::SlotDeleted { .. }
        | Body::ArmsUpserted { .. }
        | Body::ArmsRemoved { .. }
        | Body::AvailabilitySet { .. }
        | Body::SlotReset { .. }
        | Body::Decided(_)
        | Body::Rewarded(_) => false,
    };
    log::Event {
        at_us: event.at_us,
        body: Some(encode_body(&event.body)),
        actor: actor.map(encode_actor),
        kind: if named { event.body.kind().to_owned() } else { String::new() },
        slot_id: if named { event.body.slot().map(SlotId::to_string).unwrap_or_default() } else { String::new() },
        skippable: false,
    }
}

fn encode_actor(Actor { principal, origin, request_id }: &Actor) -> log::Actor {
    log::Actor { principal: principal.clone(), origin: origin.clone(), request_id: request_id.clone() }
}

fn encode_body(body: &Body) -> log::event::Body {
    use log::event::Body as Out;
    let author_and_reason = |ChangeReason { author, reason, actor: _ }: &ChangeReason| (author.clone(), reason.clone());
    let id = SlotId::to_string;
    match body {
        Body::SlotCreated { definition, why } => {
            let (author, reason) = author_and_reason(why);
            Out::SlotCreated(log::SlotCreated { definition: Some(encode_definition(definition)), reason, author })
        }
        Body::SlotUpdated { definition, why, rolled_back_to } => {
            let ((author, reason), definition) = (author_and_reason(why), Some(encode_definition(definition)));
            Out::SlotUpdated(log::SlotUpdated { definition, reason, rolled_back_to: *rolled_back_to, author })
        }
        Body::SlotPatched { patch, why, rolled_back_to } => Out::SlotPatched(encode_patch(patch, why, *rolled_back_to)),
        Body::SlotDeleted { slot, why } => {
            let (author, reason) = author_and_reason(why);
            Out::SlotDeleted(log::SlotDeleted { slot_id: id(slot), reason, author })
        }
        Body::SlotRenamed { slot, to, why } => {
            let (author, reason) = author_and_reason(why);
            Out::SlotRenamed(log::SlotRenamed { slot_id: id(slot), new_slot_id: id(to), reason, author })
        }
        Body::ArmsUpserted { slot, arms, why } => {
            let ((author, reason), arms) = (author_and_reason(why), arms.iter().map(|arm| encode_arm(arm)).collect());
            Out::ArmsUpserted(log::ArmsUpserted { slot_id: id(slot), arms, reason, author })
        }
        Body::ArmsRemoved { slot, arms, why } => {
            let ((author, reason), arm_ids) = (author_and_reason(why), arms.iter().map(ArmId::to_string).collect());
            Out::ArmsRemoved(log::ArmsRemoved { slot_id: id(slot), arm_ids, reason, author })
        }
        Body::AvailabilitySet { slot, available, why } => {
            let (author, reason) = author_and_reason(why);
            let change = |(arm, to): &(ArmId, Availability)| log::ArmAvailability {
                arm_id: arm.to_string(),
                available: to.available,
                because: optional_number(to.because, 0),
                schedule: to.schedule.map(encode_schedule),
            };
            Out::AvailabilitySet(log::AvailabilitySet {
                slot_id: id(slot),
                available: Vec::new(),
                unavailable: Vec::new(),
                reason,
                changes: available.iter().map(change).collect(),
                author,
            })
        }
        Body::SlotReset { slot, why } => {
            let (author, reason) = author_and_reason(why);
            Out::SlotReset(log::SlotReset { slot_id: id(slot), reason, author })
        }
        Body::LearningCopied { slot, from, weight, why } => {
            let (author, reason) = author_and_reason(why);
            let (slot_id, from_slot_id) = (id(slot), id(from));
            Out::LearningCopied(log::LearningCopied { slot_id, from_slot_id, weight: *weight, reason, author })
        }
        Body::ArmReset { slot, arm, why } => {
            let (author, reason) = author_and_reason(why);
            Out::ArmReset(log::ArmReset { slot_id: id(slot), arm_id: arm.to_string(), reason, author })
        }
        Body::LearningImported(import) => Out::LearningImported(encode_learning(import)),
        Body::Draft(event) => Out::Draft(encode_draft(event)),
        Body::Imported(part) => Out::Imported(encode_import(part)),
        Body::Decided(decided) => Out::Decided(encode_decided(decided)),
        Body::Deferred(decided) => Out::Deferred(encode_decided(decided)),
        Body::Rewarded(rewarded) => Out::Rewarded(encode_rewarded(rewarded)),
        Body::Shopper(event) => Out::Shopper(encode_shopper(event)),
        Body::SubjectForgotten(forgotten) => {
            let (author, reason) = author_and_reason(&forgotten.why);
            let (subject, origin) = (encode_subject(&forgotten.subject), encode_subject(&forgotten.origin));
            Out::SubjectForgotten(log::SubjectForgotten { subject, origin, reason, author })
        }
        Body::ItemsChanged(changes) => Out::ItemsChanged(encode_items(changes)),
    }
}

pub(super) fn encode_features(features: &Features) -> Vec<log::Feature> {
    features.iter().map(|(name, value)| log::Feature { name: name.clone(), value: Some(encode_value(value)) }).collect()
}

fn encode_value(value: &Value) -> log::Value {
    use log::value::Value as Out;
    let value = match value {
        Value::Number(number) => Out::Number(*number),
        Value::Text(text) => Out::Text(text.clone()),
        Value::Flag(flag) => Out::Flag(*flag),
        Value::Texts(values) => Out::Texts(log::TextList { values: values.clone() }),
        Value::Vector(values) => Out::Vector(log::Vector { values: values.clone() }),
    };
    log::Value { value: Some(value) }
}

pub(super) fn encode_subject(subject: &Subject) -> Option<log::Subject> {
    // A pseudonym is stored as its 16 bytes. Any other text is stored as it is.
    let part = |text: &str| match to_bytes(text) {
        Some(bytes) => (String::new(), bytes.to_vec()),
        None => (text.to_owned(), Vec::new()),
    };
    let anonymous = *subject == Subject::default();
    (!anonymous).then(|| {
        let ((id, pseudonym), (session_id, session_pseudonym)) = (part(&subject.id), part(&subject.session_id));
        log::Subject { id, session_id, pseudonym, session_pseudonym }
    })
}

fn encode_decided(decided: &DecisionRecord) -> log::Decided {
    let candidate =
        |(arm, own): &(ArmId, Features)| log::Candidate { arm_id: arm.to_string(), features: encode_features(own) };
    log::Decided {
        slot_id: decided.slot.to_string(),
        decision_id: decided.id.as_bytes().to_vec(),
        request_id: decided.request_id.clone().unwrap_or_default(),
        subject: encode_subject(&decided.subject),
        context: encode_features(&decided.context),
        candidates: decided.candidates.iter().map(candidate).collect(),
        chosen: decided.chosen.iter().map(encode_chosen).collect(),
        holdout: decided.holdout,
        fallback: optional_number(decided.fallback, 0),
        revision: decided.revision,
        model: decided.model.clone(),
        seed: decided.seed,
        already_shown: decided.already_shown.iter().map(ArmId::to_string).collect(),
        best_expected: decided.best_expected,
        shadow: decided.shadow_slate.iter().map(encode_chosen).collect(),
        analysis: decided.analysis,
        sticky: decided.sticky.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
        matched_rules: decided.matched_rules.clone(),
        scored_candidate: decided.scored.iter().map(|scored| scored.candidate).collect(),
        scored_mean: decided.scored.iter().map(|scored| scored.mean).collect(),
        scored_std: decided.scored.iter().map(|scored| scored.std).collect(),
        scored_propensity: decided.scored.iter().map(|scored| scored.propensity).collect(),
        excluded_candidate: decided.excluded.iter().map(|excluded| excluded.candidate).collect(),
        excluding_rule: decided.excluded.iter().map(|excluded| excluded.rule).collect(),
        request_fingerprint: decided.request_fingerprint,
        client: decided.client.clone(),
        scaled_floors: decided.scaled_floors,
        matched: decided.matches.is_some(),
        match_candidate: decided.matches.iter().flatten().map(|found| found.candidate).collect(),
        match_bits: decided.matches.iter().flatten().map(|found| found.to_bits()).collect(),
        expire_us: decided.expire_us,
        catalogue_arm_ids: decided.catalogue_arms.iter().map(ArmId::to_string).collect(),
    }
}

fn encode_chosen(chosen: &ChosenArm) -> log::ChosenArm {
    log::ChosenArm {
        arm_id: chosen.arm.to_string(),
        propensity: chosen.propensity,
        expected_reward: chosen.expected_reward,
        baseline_position: chosen.baseline_position,
        swap_probability: chosen.swap_probability,
        reason: chosen.reason.number(),
    }
}

fn encode_rewarded(rewarded: &RewardEvent) -> log::Rewarded {
    log::Rewarded {
        slot_id: rewarded.slot.to_string(),
        event_id: rewarded.event_id.clone(),
        decision_id: rewarded.decision.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
        subject: encode_subject(&rewarded.subject),
        arm_id: rewarded.arm.as_ref().map(ArmId::to_string).unwrap_or_default(),
        kind: rewarded.kind.clone(),
        value: rewarded.value,
        time_us: rewarded.time_us,
        reverses_event_id: rewarded.reverses.clone().unwrap_or_default(),
    }
}
