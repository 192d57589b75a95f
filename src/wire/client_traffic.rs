//! Decisions and rewards from the other side, whole: what a simulation has to know of them.
//!
//! Invariant: a decision reads the same here as in the engine that made it, as far as the contract tells of it.

use super::{
    Client, ClientError, RewardStatus, client_hindsight as hindsight, encode,
    proto::{self, DecideResponse},
};
use crate::{
    engine::{Chosen, Decided, Decision, DecisionId, Explanation, Fallback, Reason, Request, Rewarded},
    slot::{ArmId, FieldError},
};

impl Client {
    /// Decides, and returns all that the answer says. What the answer leaves out (features as used, the seed, what was
    /// scored) is empty; the subject is the request's, as far as the request consents.
    pub async fn decide_whole(&mut self, request: &Request) -> Result<Decision, ClientError> {
        let response = self.decisions.decide(encode::request(request)).await?.into_inner();
        decision(request, response).map_err(|why| ClientError::Answer(why.to_string()))
    }

    /// Records reward events as the engine has them; answers when they are durable, in order.
    pub async fn record_rewarded(&mut self, events: &[Rewarded]) -> Result<Vec<RewardStatus>, ClientError> {
        let statuses = self.record_events(events.iter().map(event).collect()).await?;
        if statuses.len() != events.len() {
            return Err(ClientError::Answer(format!("{} results for {} events", statuses.len(), events.len())));
        }
        Ok(statuses)
    }
}

fn event(event: &Rewarded) -> proto::RewardEvent {
    let Rewarded { slot, event_id, decision, subject, arm, kind, value, time_us, reverses } = event;
    proto::RewardEvent {
        event_id: event_id.clone(),
        decision_id: decision.map(|id| id.to_string()).unwrap_or_default(),
        slot_id: slot.to_string(),
        subject: Some(encode::subject(subject)),
        arm_id: arm.as_ref().map(ArmId::to_string).unwrap_or_default(),
        kind: kind.clone(),
        value: *value,
        time: Some(encode::timestamp(*time_us)),
        reverses_event_id: reverses.clone().unwrap_or_default(),
    }
}

fn decision(request: &Request, response: DecideResponse) -> Result<Decision, FieldError> {
    let fallback = match response.fallback() {
        proto::Fallback::Unspecified => None,
        proto::Fallback::NoEligibleArm => Some(Fallback::NoEligibleArm),
        proto::Fallback::SafeChoice => Some(Fallback::SafeChoice),
        proto::Fallback::Model => Some(Fallback::Model),
        proto::Fallback::Deadline => Some(Fallback::Deadline),
    };
    let DecideResponse {
        decision_id,
        arms,
        holdout,
        exploring: _,
        fallback: _,
        revision,
        model,
        explanation,
        sticky: _,
        would,
        analysis,
        ignored_candidates: _,
        ignored_features: _,
    } = response;
    let id = DecisionId::parse(&decision_id).ok_or_else(|| FieldError::new("decision_id", "is none of Slotwise's"))?;
    let subject = request.subject.clone().as_far_as(request.consent.unwrap_or_default());
    let decided = Decided {
        request_id: request.request_id.clone(),
        subject,
        chosen: arms.into_iter().map(|arm| chosen("arms", arm)).collect::<Result<_, _>>()?,
        holdout,
        fallback,
        revision,
        model,
        would: would.into_iter().map(|arm| chosen("would", arm)).collect::<Result<_, _>>()?,
        analysis,
        ..Decided::empty(request.slot.clone(), id)
    };
    Ok(Decision { decided, explanation: explanation.map(how).transpose()?, failed_rules: Vec::new() })
}

fn chosen(field: &str, arm: proto::ChosenArm) -> Result<Chosen, FieldError> {
    let reason = match arm.reason() {
        proto::Reason::BestGuess => Reason::BestGuess,
        proto::Reason::Exploring => Reason::Exploring,
        proto::Reason::Floor => Reason::Floor,
        proto::Reason::Holdout => Reason::Holdout,
        proto::Reason::Fallback => Reason::Fallback,
        proto::Reason::Rule => Reason::Rule,
        proto::Reason::Sticky => Reason::Sticky,
        proto::Reason::Watching => Reason::Watching,
        proto::Reason::Unspecified => {
            return Err(FieldError::new(format!("{field}.reason"), "is one that this version does not know"));
        }
    };
    let proto::ChosenArm { arm_id, position: _, propensity, expected_reward, baseline_position, reason: _, payload: _ } =
        arm;
    let arm = ArmId::parse(&format!("{field}.arm_id"), &arm_id)?;
    // The contract does not tell of the overlap.
    Ok(Chosen { arm, propensity, expected_reward, baseline_position, overlap: 0.0, reason })
}

fn how(explanation: proto::Explanation) -> Result<Explanation, FieldError> {
    let proto::Explanation { summary, candidates, rules_fired, candidates_left_out: _ } = explanation;
    let candidates = candidates.into_iter().map(hindsight::candidate).collect::<Result<_, _>>()?;
    Ok(Explanation { summary, candidates, fired: rules_fired })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{CandidateExplanation, Subject},
        slot::{Consent, SlotId},
        wire::decode,
    };

    /// Through the encoder of the service and back.
    #[test]
    fn a_decision_reads_the_same_on_the_other_side() {
        let arm = |id: &str| ArmId::parse("arm", id).unwrap();
        let slot = SlotId::parse("slot", "s").unwrap();
        let subject = Subject { id: "anna".into(), session_id: "s1".into() };
        let consent = Some(Consent::SessionOnly);
        let request = Request { subject: subject.clone(), consent, ..Request::new(slot.clone()) };
        let every = [
            Reason::BestGuess,
            Reason::Exploring,
            Reason::Floor,
            Reason::Holdout,
            Reason::Fallback,
            Reason::Rule,
            Reason::Sticky,
            Reason::Watching,
        ];
        let chosen = |reason| Chosen {
            arm: arm("a"),
            propensity: 0.3,
            expected_reward: 0.7,
            baseline_position: 2,
            overlap: 0.0,
            reason,
        };
        let decided = Decided {
            subject: subject.as_far_as(Consent::SessionOnly),
            chosen: every.into_iter().map(chosen).collect(),
            would: vec![chosen(Reason::Exploring)],
            holdout: true,
            fallback: Some(Fallback::Deadline),
            revision: 7,
            model: "linear".into(),
            analysis: true,
            ..Decided::empty(slot, DecisionId::new(3, 1_793_000_000_000_000, 5))
        };
        let candidate = CandidateExplanation {
            arm: arm("a"),
            ineligible_because: Some("out of stock".into()),
            mean: 0.2,
            std: 0.1,
            propensity: 0.6,
            moved_by: vec![("x".into(), 0.5)],
        };
        let explanation =
            Explanation { summary: "because".into(), candidates: vec![candidate], fired: vec!["rule".into()] };
        let whole = Decision { decided, explanation: Some(explanation), failed_rules: Vec::new() };
        let message = encode::decision(&whole.decided, whole.explanation.clone(), None);
        assert_eq!(decision(&request, message.clone()).unwrap(), whole);
        let nobodys = DecideResponse { decision_id: "x".into(), ..message };
        assert!(decision(&request, nobodys).unwrap_err().to_string().starts_with("decision_id: "));
    }

    /// Through the decoder of the service, which asks for all that an event needs.
    #[test]
    fn an_event_reads_the_same_on_the_other_side() {
        let sent = Rewarded {
            slot: SlotId::parse("slot", "s").unwrap(),
            event_id: "7-0-1".into(),
            decision: Some(DecisionId::new(3, 1_793_000_000_000_000, 5)),
            subject: Subject { id: "anna".into(), session_id: "s1".into() },
            arm: Some(ArmId::parse("arm", "a").unwrap()),
            kind: "purchase".into(),
            value: Some(19.5),
            time_us: 1_793_000_000_123_456,
            reverses: Some("7-0-0".into()),
        };
        let got = decode::reward(event(&sent), sent.time_us).unwrap();
        assert_eq!((got.slot.as_ref(), &got.event_id, got.decision), (Some(&sent.slot), &sent.event_id, sent.decision));
        assert_eq!((&got.subject, &got.arm, &got.kind), (&sent.subject, &sent.arm, &sent.kind));
        assert_eq!((got.value, got.time_us, &got.reverses), (sent.value, Some(sent.time_us), &sent.reverses));
    }
}
