//! From events to the log's messages.

use super::{
    encode_slot::{arm, because, definition, schedule},
    log, patch,
};
use crate::node::subjects::key::to_bytes;
use crate::{
    bandit::{Features, Value},
    engine::{Availability, Body, Chosen, Decided, Event, Fallback, Reason, Rewarded, Subject},
    slot::{Actor, ArmId, ChangeReason, SlotId},
};

pub(super) fn event(event: &Event) -> log::Event {
    let actor = event.body.why().map(|why| &why.actor).filter(|actor| !actor.is_empty());
    // Kinds from before events named their kind do not name it, so that they are written as they were.
    let named = matches!(event.body, Body::SlotPatched { .. });
    log::Event {
        at_us: event.at_us,
        body: Some(body(&event.body)),
        actor: actor.map(self::actor),
        kind: if named { event.body.kind().to_owned() } else { String::new() },
        slot_id: if named { event.body.slot().to_string() } else { String::new() },
        skippable: false,
    }
}

fn actor(Actor { principal, origin, request_id }: &Actor) -> log::Actor {
    log::Actor { principal: principal.clone(), origin: origin.clone(), request_id: request_id.clone() }
}

fn body(body: &Body) -> log::event::Body {
    use log::event::Body as Out;
    let said = |ChangeReason { author, reason, actor: _ }: &ChangeReason| (author.clone(), reason.clone());
    let id = SlotId::to_string;
    match body {
        Body::SlotCreated { definition: d, why } => {
            let (author, reason) = said(why);
            Out::SlotCreated(log::SlotCreated { definition: Some(definition(d)), reason, author })
        }
        Body::SlotUpdated { definition: d, why, rolled_back_to } => {
            let ((author, reason), definition) = (said(why), Some(definition(d)));
            Out::SlotUpdated(log::SlotUpdated { definition, reason, rolled_back_to: *rolled_back_to, author })
        }
        Body::SlotPatched { patch: p, why, rolled_back_to } => Out::SlotPatched(patch::encode(p, why, *rolled_back_to)),
        Body::SlotDeleted { slot, why } => {
            let (author, reason) = said(why);
            Out::SlotDeleted(log::SlotDeleted { slot_id: id(slot), reason, author })
        }
        Body::ArmsUpserted { slot, arms, why } => {
            let ((author, reason), arms) = (said(why), arms.iter().map(|a| arm(a)).collect());
            Out::ArmsUpserted(log::ArmsUpserted { slot_id: id(slot), arms, reason, author })
        }
        Body::ArmsRemoved { slot, arms, why } => {
            let ((author, reason), arm_ids) = (said(why), arms.iter().map(ArmId::to_string).collect());
            Out::ArmsRemoved(log::ArmsRemoved { slot_id: id(slot), arm_ids, reason, author })
        }
        Body::AvailabilitySet { slot, available, why } => {
            let (author, reason) = said(why);
            let change = |(arm, to): &(ArmId, Availability)| log::ArmAvailability {
                arm_id: arm.to_string(),
                available: to.available,
                because: because(to.because),
                schedule: to.schedule.map(schedule),
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
            let (author, reason) = said(why);
            Out::SlotReset(log::SlotReset { slot_id: id(slot), reason, author })
        }
        Body::Decided(d) => Out::Decided(decided(d)),
        Body::Rewarded(r) => Out::Rewarded(rewarded(r)),
    }
}

pub(super) fn features(features: &Features) -> Vec<log::Feature> {
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

fn subject(subject: &Subject) -> Option<log::Subject> {
    // A pseudonym takes its 16 bytes; any other text stands as it is.
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
        best_expected: d.best_expected,
        would: d.would.iter().map(chosen).collect(),
        analysis: d.analysis,
        sticky: d.sticky.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
        fired: d.fired.clone(),
        scored_candidate: d.scored.iter().map(|s| s.candidate).collect(),
        scored_mean: d.scored.iter().map(|s| s.mean).collect(),
        scored_std: d.scored.iter().map(|s| s.std).collect(),
        scored_propensity: d.scored.iter().map(|s| s.propensity).collect(),
        barred_candidate: d.barred.iter().map(|b| b.candidate).collect(),
        barred_rule: d.barred.iter().map(|b| b.rule).collect(),
        request_fingerprint: d.request_fingerprint,
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
            Reason::Rule => 4,
            Reason::Holdout => 5,
            Reason::Sticky => 6,
            Reason::Fallback => 7,
            Reason::Watching => 8,
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
