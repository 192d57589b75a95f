//! The shape of Azure Personalizer's API, for programs that were written for it: rank, reward and activate of one
//! slot, and of several places at once.
//!
//! * [`request`]: requests of that shape as requests of the API.
//! * [`answer`]: decisions and errors in that shape.
//!
//! | Personalizer | Slotwise |
//! | --- | --- |
//! | an endpoint | a slot, by `/slots/{slot}` in the endpoint's address |
//! | actions, the first as the baseline | candidates in the caller's order |
//! | event id of the caller | request id, which is known for ten minutes |
//! | event id that the service made | decision id, which is known for as long as the slot's window says |
//! | reward | event of the kind `reward`, whose value is used |
//! | the slots of a multi-slot call | decisions of one batch, which show different arms |
//!
//! Invariants:
//!
//! * The first reward of an event counts, and a repetition changes nothing.
//! * A rank with `deferActivation` is a deferred decision, and `activate` confirms it. For several places at once it is
//!   refused, because `activate` does not name them.
//!
//! Deliberately not here: configuration, evaluations, logs and models of that API.

mod answer;
mod request;

use std::sync::Arc;

use axum::{
    Router,
    extract::{ConnectInfo, Path, Request, State},
    http::StatusCode,
    response::Response,
    routing::post,
};
use serde::de::DeserializeOwned;

use self::{
    answer::{PersonalizerError, multi_slot_rank, rank},
    request::{MultiSlotRankRequest, MultiSlotReward, PersonalizerReward, RankRequest, request_id_of_place},
};
use super::http_call::{HttpCall, HttpCalls, HttpPeer, check_json};
use crate::{
    engine::{DecisionId, SHOWN, hash},
    slot::FieldError,
    wire::{
        Api,
        proto::{
            BatchDecideRequest, DecideResponse, RecordRewardsRequest, RewardEvent, RewardResult, RewardStatus,
            decide_result, decision_service_server::DecisionService as _,
            feedback_service_server::FeedbackService as _,
        },
    },
};

/// Kind of reward event that a reward becomes.
const REWARD_KIND: &str = "reward";

/// State that all calls share.
#[derive(Debug)]
struct PersonalizerGateway {
    api: Api,
    calls: HttpCalls,
}

type SharedGateway = Arc<PersonalizerGateway>;

/// Result of a call, before it has the form of an answer.
type CallResult<T> = Result<T, PersonalizerError>;

/// Returns the routes of that API. Any version is taken, because all have these calls in the same shape.
pub(super) fn routes(api: Api, calls: HttpCalls) -> Router {
    let path = |rest: &str| format!("/slots/{{slot}}/personalizer/{{version}}/{rest}");
    Router::new()
        .route(&path("rank"), post(answer_rank))
        .route(&path("events/{event}/reward"), post(answer_reward))
        .route(&path("events/{event}/activate"), post(answer_activate))
        .route(&path("multislot/rank"), post(answer_multi_slot_rank))
        .route(&path("multislot/events/{event}/reward"), post(answer_multi_slot_reward))
        .route(&path("multislot/events/{event}/activate"), post(answer_multi_slot_activate))
        .with_state(Arc::new(PersonalizerGateway { api, calls }))
}

type SlotPath = Path<(String, String)>;
type EventPath = Path<(String, String, String)>;

async fn answer_rank(
    State(gateway): State<SharedGateway>,
    Path((slot, _)): SlotPath,
    ConnectInfo(peer): ConnectInfo<HttpPeer>,
    request: Request,
) -> CallResult<Response> {
    check_json(request.headers())?;
    let call = async |call: &HttpCall| gateway.rank(&slot, call).await;
    gateway.calls.answer(peer.address(), request, call).await
}

async fn answer_reward(
    State(gateway): State<SharedGateway>,
    Path((slot, _, event)): EventPath,
    ConnectInfo(peer): ConnectInfo<HttpPeer>,
    request: Request,
) -> CallResult<StatusCode> {
    check_json(request.headers())?;
    let reward = async |call: &HttpCall| {
        let PersonalizerReward { value } = read(call)?;
        gateway.reward(&slot, call, vec![(event.clone(), value)]).await
    };
    gateway.calls.answer(peer.address(), request, reward).await
}

async fn answer_activate(
    State(gateway): State<SharedGateway>,
    Path((slot, _, event)): EventPath,
    ConnectInfo(peer): ConnectInfo<HttpPeer>,
    request: Request,
) -> CallResult<StatusCode> {
    let activate = async |call: &HttpCall| gateway.activate(&slot, call, &event).await;
    gateway.calls.answer(peer.address(), request, activate).await
}

async fn answer_multi_slot_rank(
    State(gateway): State<SharedGateway>,
    Path((slot, _)): SlotPath,
    ConnectInfo(peer): ConnectInfo<HttpPeer>,
    request: Request,
) -> CallResult<Response> {
    check_json(request.headers())?;
    let call = async |call: &HttpCall| gateway.multi_slot_rank(&slot, call).await;
    gateway.calls.answer(peer.address(), request, call).await
}

async fn answer_multi_slot_reward(
    State(gateway): State<SharedGateway>,
    Path((slot, _, event)): EventPath,
    ConnectInfo(peer): ConnectInfo<HttpPeer>,
    request: Request,
) -> CallResult<StatusCode> {
    check_json(request.headers())?;
    let reward = async |call: &HttpCall| {
        let MultiSlotReward { reward } = read(call)?;
        let of_place = |reward: request::PlaceReward| (request_id_of_place(&event, &reward.slot_id), reward.value);
        gateway.reward(&slot, call, reward.into_iter().map(of_place).collect()).await
    };
    gateway.calls.answer(peer.address(), request, reward).await
}

/// Answers the activation of an event, whose decisions counted from the start.
async fn answer_multi_slot_activate(
    State(gateway): State<SharedGateway>,
    Path((slot, _, _)): EventPath,
    ConnectInfo(peer): ConnectInfo<HttpPeer>,
    request: Request,
) -> CallResult<StatusCode> {
    let activate = async |call: &HttpCall| {
        gateway.api.slot_of(&call.request(()), &slot)?;
        Ok(StatusCode::NO_CONTENT)
    };
    gateway.calls.answer(peer.address(), request, activate).await
}

/// Reads the body of a call.
fn read<T: DeserializeOwned>(call: &HttpCall) -> CallResult<T> {
    serde_json::from_slice(&call.body).map_err(|why| PersonalizerError::bad_request("", format!("the body: {why}")))
}

impl PersonalizerGateway {
    async fn rank(&self, slot: &str, call: &HttpCall) -> CallResult<Response> {
        let request: RankRequest = read(call)?;
        let decide = request.to_decide(slot)?;
        let decided = self.api.decide(call.request(decide)).await?.into_inner();
        rank(&request, &decided)
    }

    async fn multi_slot_rank(&self, slot: &str, call: &HttpCall) -> CallResult<Response> {
        let request: MultiSlotRankRequest = read(call)?;
        let event_id = request.event_id.clone().filter(|id| !id.is_empty()).unwrap_or_else(request::new_event_id);
        let requests = request.to_decide(slot, &event_id)?;
        // A request in error would not keep the others from being decided, and those would never be shown.
        for request in &requests {
            crate::wire::decode::request(request.clone())
                .map_err(|why: FieldError| PersonalizerError::of_field(&why))?;
        }
        let batch = BatchDecideRequest { requests, distinct_arms: true };
        let results = self.api.batch_decide(call.request(batch)).await?.into_inner().results;
        let decided = results.into_iter().map(|result| match result.result {
            Some(decide_result::Result::Response(response)) => Ok(response),
            Some(decide_result::Result::Status(status)) => {
                Err(tonic::Status::new(tonic::Code::from(status.code), status.message).into())
            }
            None => Err(PersonalizerError::internal("a request of the batch has no result")),
        });
        let decided: Vec<DecideResponse> = decided.collect::<CallResult<_>>()?;
        Ok(multi_slot_rank(&request, &event_id, &decided))
    }

    /// Records the rewards of events of a slot, given by their ids.
    async fn reward(&self, slot: &str, call: &HttpCall, rewards: Vec<(String, f64)>) -> CallResult<StatusCode> {
        let view = self.api.slot_of(&call.request(()), slot)?;
        if !view.definition.goal.kind(REWARD_KIND).is_some_and(|kind| kind.use_value) {
            let message = format!(
                "the goal of the slot '{slot}' has no kind '{REWARD_KIND}' that uses its value; add one, so that rewards count"
            );
            return Err(PersonalizerError::bad_request("goal.kinds", message));
        }
        let mut events = Vec::with_capacity(rewards.len());
        for (event, value) in rewards {
            let key = hash("personalizer reward", &[slot.as_bytes(), event.as_bytes()]);
            events.push(RewardEvent {
                event_id: format!("personalizer-{:016x}{:016x}", key.word(), key.other_word()),
                decision_id: self.decision_id(slot, call, &event)?,
                slot_id: slot.to_owned(),
                kind: REWARD_KIND.to_owned(),
                value: Some(value),
                ..RewardEvent::default()
            });
        }
        let recorded = self.api.record_rewards(call.request(RecordRewardsRequest { events })).await?.into_inner();
        recorded.results.into_iter().try_for_each(check_result)?;
        Ok(StatusCode::NO_CONTENT)
    }

    /// Confirms the decision of an event. One that was not deferred counted from the start.
    async fn activate(&self, slot: &str, call: &HttpCall, event: &str) -> CallResult<StatusCode> {
        let known = self.api.decision_of_request(&call.request(()), slot, event)?;
        if known.is_some_and(|decided| decided.expire_us.is_none()) {
            return Ok(StatusCode::NO_CONTENT);
        }
        let key = hash("personalizer activation", &[slot.as_bytes(), event.as_bytes()]);
        let shown = RewardEvent {
            event_id: format!("personalizer-{:016x}{:016x}", key.word(), key.other_word()),
            decision_id: self.decision_id(slot, call, event)?,
            slot_id: slot.to_owned(),
            kind: SHOWN.to_owned(),
            ..RewardEvent::default()
        };
        let events = RecordRewardsRequest { events: vec![shown] };
        let recorded = self.api.record_rewards(call.request(events)).await?.into_inner();
        recorded.results.into_iter().try_for_each(check_result)?;
        Ok(StatusCode::NO_CONTENT)
    }

    /// Returns the id of an event's decision.
    fn decision_id(&self, slot: &str, call: &HttpCall, event: &str) -> CallResult<String> {
        let view = self.api.slot_of(&call.request(()), slot)?;
        if let Some(decided) = self.api.decision_of_request(&call.request(()), slot, event)? {
            return Ok(decided.id.to_string());
        }
        match DecisionId::parse(event) {
            Some(id) if id.slot() == view.number => Ok(event.to_owned()),
            _ => Err(PersonalizerError::unknown_event(event)),
        }
    }
}

/// Checks that a reward was taken, now or before.
fn check_result(result: RewardResult) -> CallResult<()> {
    match result.status() {
        RewardStatus::Accepted | RewardStatus::Duplicate => Ok(()),
        RewardStatus::Unmatched => Err(PersonalizerError::not_found(result.message)),
        RewardStatus::Late | RewardStatus::Rejected | RewardStatus::Unspecified => {
            Err(PersonalizerError::bad_request("value", result.message))
        }
    }
}
