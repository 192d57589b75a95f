//! `FeedbackService`: reward events, in batches and as a stream.

use std::sync::Arc;

use tonic::{Request, Response, Status, Streaming};

use super::{
    Api,
    access::CallAccess,
    decode, error,
    proto::{
        RecordRewardsRequest, RecordRewardsResponse, RewardResult, RewardStatus,
        feedback_service_server::FeedbackService,
    },
    rewards,
    simulated::EventFilter,
    stream::AnswerStream,
};
use crate::{
    metrics::Metrics,
    node::{Node, WriteError},
    slot::{FieldError, limits::EVENTS_MAX},
};

/// Hands a batch to the writer at once. The returned future waits for its results.
fn submit(
    node: &Node,
    metrics: &Metrics,
    access: &CallAccess,
    request: RecordRewardsRequest,
) -> Result<impl Future<Output = Result<RecordRewardsResponse, Status>> + Send + use<>, Status> {
    access.check_current()?;
    let RecordRewardsRequest { events } = request;
    if events.is_empty() || events.len() > EVENTS_MAX {
        let message = format!("has {} events; 1 to {EVENTS_MAX} are allowed", events.len());
        return Err(error::field(&FieldError::new("events", message)));
    }
    let now_us = node.now_us();
    let filter = EventFilter::new(access, node);
    let rejected = |message: String| {
        metrics.not_journalled("rejected");
        Some(RewardResult { status: RewardStatus::Rejected.into(), message })
    };
    // One entry per event: the result that is known already, or `None` if the writer will give it.
    let mut known = Vec::with_capacity(events.len());
    let mut accepted = Vec::with_capacity(events.len());
    for event in events {
        known.push(match decode::reward(event, now_us) {
            Ok(reward) => {
                let refused = filter.refusal(&reward).and_then(rejected);
                if refused.is_none() {
                    accepted.push(reward);
                }
                refused
            }
            Err(why @ decode::RewardRejection::UnknownDecision(_)) => {
                metrics.not_journalled("unmatched");
                Some(RewardResult { status: RewardStatus::Unmatched.into(), message: why.to_string() })
            }
            Err(decode::RewardRejection::Field(why)) => rejected(why.to_string()),
        });
    }
    let outcomes = node.record(accepted).map_err(|why| error::write(&why))?;
    Ok(async move {
        let mut outcomes =
            outcomes.await.map_err(|why| error::write(&why))?.into_iter().map(|reply| rewards::result(&reply));
        let results = known.into_iter().map(|known| known.or_else(|| outcomes.next())).collect::<Option<Vec<_>>>();
        let results = results.ok_or_else(|| error::write(&WriteError::Stopped))?;
        Ok(RecordRewardsResponse { results })
    })
}

#[tonic::async_trait]
impl FeedbackService for Api {
    async fn record_rewards(
        &self,
        request: Request<RecordRewardsRequest>,
    ) -> Result<Response<RecordRewardsResponse>, Status> {
        let access = CallAccess::of(&request);
        let results = submit(self.node()?, &self.metrics, &access, request.into_inner())?;
        Ok(Response::new(results.await?))
    }

    type StreamRewardsStream = AnswerStream<RecordRewardsResponse>;

    async fn stream_rewards(
        &self,
        request: Request<Streaming<RecordRewardsRequest>>,
    ) -> Result<Response<Self::StreamRewardsStream>, Status> {
        let (node, metrics) = (Arc::clone(self.node()?), Arc::clone(&self.metrics));
        let access = CallAccess::of(&request);
        let checked = Arc::clone(&node);
        let answers = self.answer_in_order(&node, request, move |request| submit(&checked, &metrics, &access, request));
        Ok(Response::new(answers))
    }
}
