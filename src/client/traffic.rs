//! Decisions and rewards: what a shop calls, and the same calls with the engine's own types for a simulation.
//!
//! Invariant: a decision that [`Client::decide_in_full`] returns equals that of the engine that made it, as far as the
//! API reports it.

use super::{connection::Client, error::ClientError, insight::decode_candidate};
use crate::{
    engine::{self, ChosenArm, DecisionId, DecisionRecord, Explanation, Fallback, Reason, Request, Subject},
    slot::{ArmId, FieldError},
    wire::{
        decode::decode_timestamp,
        encode,
        enums::ApiEnum as _,
        proto::{self, DecideResponse, RecordRewardsRequest},
    },
};

/// Decision as a shop needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Id of the decision, which reward events name.
    pub id: String,
    /// Arms to show, best first, each with its propensity.
    pub arms: Vec<(String, f64)>,
    /// `true` if at least one position is not the best guess.
    pub exploring: bool,
    /// Reason why the model did not decide, such as `FALLBACK_SAFE_CHOICE`; empty if it did.
    pub fallback: String,
}

/// Reward event of a decision. It happened when the service receives it.
#[derive(Debug, Clone, PartialEq)]
pub struct RewardEvent {
    /// Id of the event. The service counts each id once.
    pub event_id: String,
    /// Id of the decision.
    pub decision_id: String,
    /// Id of the arm; may be empty if the decision shows one arm.
    pub arm_id: String,
    /// Kind of the event, such as `click`.
    pub kind: String,
    /// Money or quantity, or `None` if the kind has no value.
    pub value: Option<f64>,
}

/// Status of a reward event. If it was not counted, the text is the service's explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RewardStatus {
    /// The event was counted.
    Accepted,
    /// An event with this id was counted before.
    Duplicate,
    /// The event came after the window of its decision.
    Late(String),
    /// No decision is known that the event could belong to.
    Unmatched(String),
    /// The event is malformed, or its decision takes no more events.
    Rejected(String),
}

impl RewardStatus {
    pub(super) fn decode(status: proto::RewardStatus, message: &str) -> Self {
        let why = || format!("{} {message}", status.as_str_name());
        match status {
            proto::RewardStatus::Accepted => Self::Accepted,
            proto::RewardStatus::Duplicate => Self::Duplicate,
            proto::RewardStatus::Late => Self::Late(why()),
            proto::RewardStatus::Unmatched => Self::Unmatched(why()),
            proto::RewardStatus::Unspecified | proto::RewardStatus::Rejected => Self::Rejected(why()),
        }
    }
}

impl Client {
    /// Asks for a decision.
    pub async fn decide(&mut self, request: &Request) -> Result<Decision, ClientError> {
        let response = self.decisions.decide(encode::request(request)).await?.into_inner();
        let fallback = response.fallback();
        let by_model = fallback == proto::Fallback::Unspecified;
        let fallback = if by_model { String::new() } else { fallback.as_str_name().to_owned() };
        Ok(Decision {
            id: response.decision_id,
            arms: response.arms.into_iter().map(|arm| (arm.arm_id, arm.propensity)).collect(),
            exploring: response.exploring,
            fallback,
        })
    }

    /// Asks for a decision, and returns everything that the answer says as the engine's own type.
    ///
    /// Fields that the answer leaves out (features as used, seed, scores) are empty. The subject is the request's, as
    /// far as the request consents.
    pub async fn decide_in_full(&mut self, request: &Request) -> Result<engine::Decision, ClientError> {
        let response = self.decisions.decide(encode::request(request)).await?.into_inner();
        decode_decision(request, response).map_err(|why| ClientError::Answer(why.to_string()))
    }

    /// Records reward events, and returns their statuses in order once they are durable.
    pub async fn record_rewards(&mut self, events: Vec<RewardEvent>) -> Result<Vec<RewardStatus>, ClientError> {
        let encode_event = |event: RewardEvent| proto::RewardEvent {
            event_id: event.event_id,
            decision_id: event.decision_id,
            arm_id: event.arm_id,
            kind: event.kind,
            value: event.value,
            slot_id: String::new(),
            subject: Some(encode::subject(&Subject::default())),
            time: None,
            reverses_event_id: String::new(),
        };
        self.send_events(events.into_iter().map(encode_event).collect()).await
    }

    /// Records reward events that are given as the engine's own type, and returns their statuses in order once they are
    /// durable.
    pub async fn record_events(&mut self, events: &[engine::RewardEvent]) -> Result<Vec<RewardStatus>, ClientError> {
        let statuses = self.send_events(events.iter().map(encode_event).collect()).await?;
        if statuses.len() != events.len() {
            return Err(ClientError::Answer(format!("{} results for {} events", statuses.len(), events.len())));
        }
        Ok(statuses)
    }

    async fn send_events(&mut self, events: Vec<proto::RewardEvent>) -> Result<Vec<RewardStatus>, ClientError> {
        let response = self.feedback.record_rewards(RecordRewardsRequest { events }).await?.into_inner();
        let status = |result: proto::RewardResult| RewardStatus::decode(result.status(), &result.message);
        Ok(response.results.into_iter().map(status).collect())
    }
}

fn encode_event(event: &engine::RewardEvent) -> proto::RewardEvent {
    let engine::RewardEvent { slot, event_id, decision, subject, arm, kind, value, time_us, reverses } = event;
    proto::RewardEvent {
        event_id: event_id.clone(),
        decision_id: decision.map(|id| id.to_string()).unwrap_or_default(),
        slot_id: slot.to_string(),
        subject: Some(encode::subject(subject)),
        arm_id: arm.as_ref().map(ArmId::to_string).unwrap_or_default(),
        kind: kind.clone(),
        value: *value,
        time: Some(encode::encode_timestamp(*time_us)),
        reverses_event_id: reverses.clone().unwrap_or_default(),
    }
}

fn decode_decision(request: &Request, response: DecideResponse) -> Result<engine::Decision, FieldError> {
    // A fallback that only a newer service knows counts as none.
    let fallback = Fallback::from_number(response.fallback);
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
        shadow_arms,
        analysis,
        ignored_candidates: _,
        ignored_features: _,
        expire_time,
    } = response;
    let id = DecisionId::parse(&decision_id)
        .ok_or_else(|| FieldError::new("decision_id", "is not a decision id of Slotwise"))?;
    let subject = request.subject.clone().as_far_as(request.consent.unwrap_or_default());
    let decided = DecisionRecord {
        request_id: request.request_id.clone(),
        subject,
        chosen: arms.into_iter().map(|arm| decode_chosen("arms", arm)).collect::<Result<_, _>>()?,
        holdout,
        fallback,
        revision,
        model,
        shadow_slate: shadow_arms.into_iter().map(|arm| decode_chosen("shadow_arms", arm)).collect::<Result<_, _>>()?,
        analysis,
        expire_us: expire_time.map(|time| decode_timestamp("expire_time", time)).transpose()?,
        ..DecisionRecord::empty(request.slot.clone(), id)
    };
    Ok(engine::Decision {
        decided,
        explanation: explanation.map(decode_explanation).transpose()?,
        failed_rules: Vec::new(),
    })
}

fn decode_chosen(field: &str, arm: proto::ChosenArm) -> Result<ChosenArm, FieldError> {
    let Some(reason) = Reason::from_number(arm.reason) else {
        return Err(FieldError::new(format!("{field}.reason"), "is one that this version does not know"));
    };
    let proto::ChosenArm { arm_id, position: _, propensity, expected_reward, baseline_position, reason: _, payload: _ } =
        arm;
    let arm = ArmId::parse(&format!("{field}.arm_id"), &arm_id)?;
    // The API does not report the swap probability.
    Ok(ChosenArm { arm, propensity, expected_reward, baseline_position, swap_probability: 0.0, reason })
}

fn decode_explanation(explanation: proto::Explanation) -> Result<Explanation, FieldError> {
    let proto::Explanation { summary, candidates, matched_rules, candidates_left_out: _ } = explanation;
    let candidates = candidates.into_iter().map(decode_candidate).collect::<Result<_, _>>()?;
    Ok(Explanation { summary, candidates, matched_rules })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::CandidateExplanation,
        slot::{Consent, SlotId},
        wire::decode,
    };

    /// Encodes a decision as the service does, and decodes it as the client does.
    #[test]
    fn a_decision_reaches_the_client_unchanged() {
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
            Reason::Shadow,
        ];
        let chosen = |reason| ChosenArm {
            arm: arm("a"),
            propensity: 0.3,
            expected_reward: 0.7,
            baseline_position: 2,
            swap_probability: 0.0,
            reason,
        };
        let decided = DecisionRecord {
            subject: subject.as_far_as(Consent::SessionOnly),
            chosen: every.into_iter().map(chosen).collect(),
            shadow_slate: vec![chosen(Reason::Exploring)],
            holdout: true,
            fallback: Some(Fallback::Deadline),
            revision: 7,
            model: "linear".into(),
            analysis: true,
            expire_us: Some(1_793_000_600_000_000),
            ..DecisionRecord::empty(slot, DecisionId::new(3, 1_793_000_000_000_000, 5))
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
            Explanation { summary: "because".into(), candidates: vec![candidate], matched_rules: vec!["rule".into()] };
        let whole = engine::Decision { decided, explanation: Some(explanation), failed_rules: Vec::new() };
        let message = encode::decision(&whole.decided, whole.explanation.clone(), None);
        assert_eq!(decode_decision(&request, message.clone()).unwrap(), whole);
        let nobodys = DecideResponse { decision_id: "x".into(), ..message };
        assert!(decode_decision(&request, nobodys).unwrap_err().to_string().starts_with("decision_id: "));
    }

    /// Decodes an event with the decoder of the service, which requires every field that an event needs.
    #[test]
    fn an_event_reaches_the_service_unchanged() {
        let sent = engine::RewardEvent {
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
        let got = decode::reward(encode_event(&sent), sent.time_us).unwrap();
        assert_eq!((got.slot.as_ref(), &got.event_id, got.decision), (Some(&sent.slot), &sent.event_id, sent.decision));
        assert_eq!((&got.subject, &got.arm, &got.kind), (&sent.subject, &sent.arm, &sent.kind));
        assert_eq!((got.value, got.time_us, &got.reverses), (sent.value, Some(sent.time_us), &sent.reverses));
    }
}
