//! `FeedbackService`.

use std::{pin::Pin, sync::Arc};

use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use super::{
    Api, decode, error,
    proto::{
        RecordRewardsRequest, RecordRewardsResponse, RewardResult, RewardStatus,
        feedback_service_server::FeedbackService,
    },
    rewards,
    simulated::{Caller, Reporting},
};
use crate::{
    metrics::Metrics,
    node::{Node, WriteError},
    slot::{FieldError, limits::EVENTS_MAX},
};

/// Batches of one stream that may wait for the disk at a time.
const IN_FLIGHT: usize = 64;

/// Hands a batch to the writer now; what is returned is waited on for its results.
fn take(
    node: &Node,
    metrics: &Metrics,
    caller: Caller,
    request: RecordRewardsRequest,
) -> Result<impl Future<Output = Result<RecordRewardsResponse, Status>> + Send + use<>, Status> {
    let RecordRewardsRequest { events } = request;
    if events.is_empty() || events.len() > EVENTS_MAX {
        let message = format!("has {} events; 1 to {EVENTS_MAX} are allowed", events.len());
        return Err(error::field(&FieldError::new("events", message)));
    }
    let now_us = node.now_us();
    let reporting = Reporting::new(caller, node);
    let rejected = |message: String| {
        metrics.not_journalled("rejected");
        Some(RewardResult { status: RewardStatus::Rejected.into(), message })
    };
    let mut known = Vec::with_capacity(events.len());
    let mut taken = Vec::with_capacity(events.len());
    for event in events {
        known.push(match decode::reward(event, now_us) {
            Ok(reward) => {
                let refused = reporting.refusal(&reward).and_then(rejected);
                if refused.is_none() {
                    taken.push(reward);
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
    let outcomes = node.record(taken).map_err(|why| error::write(&why))?;
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
        let caller = Caller::of(request.metadata());
        let results = take(self.node()?, &self.metrics, caller, request.into_inner())?;
        Ok(Response::new(results.await?))
    }

    type StreamRewardsStream = Pin<Box<dyn Stream<Item = Result<RecordRewardsResponse, Status>> + Send>>;

    async fn stream_rewards(
        &self,
        request: Request<Streaming<RecordRewardsRequest>>,
    ) -> Result<Response<Self::StreamRewardsStream>, Status> {
        let (node, metrics) = (Arc::clone(self.node()?), Arc::clone(&self.metrics));
        let caller = Caller::of(request.metadata());
        let mut requests = request.into_inner();
        let (waiting, in_order) = mpsc::channel(IN_FLIGHT);
        let mut failure = node.failure();
        let draining = self.draining();
        self.tasks().spawn(async move {
            loop {
                let next = tokio::select! {
                    next = requests.next() => next,
                    () = draining.cancelled() => Some(Err(error::write(&WriteError::Stopped))),
                    _ = failure.changed() => Some(Err(error::write(&WriteError::Failed("the journal failed".into())))),
                };
                let taken = match next {
                    None => return,
                    Some(Ok(request)) => take(&node, &metrics, caller, request),
                    Some(Err(status)) => Err(status),
                };
                let last = taken.is_err();
                // A receiver that is gone means a caller that is gone; what was taken stays taken.
                if waiting.send(taken).await.is_err() || last {
                    return;
                }
            }
        });
        let answers = ReceiverStream::new(in_order).then(|taken| async move {
            match taken {
                Ok(results) => results.await,
                Err(status) => Err(status),
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }
}
