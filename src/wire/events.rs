//! `EventService`: shopper events, in batches and as a stream.

use std::sync::Arc;

use tonic::{Request, Response, Status, Streaming};

use super::{
    Api,
    access::CallAccess,
    decode::RewardRejection,
    error,
    proto::{EventResult, RecordEventsRequest, RecordEventsResponse, RewardStatus, event_service_server::EventService},
    shoppers,
    simulated::CallerKind,
    stream::AnswerStream,
};
use crate::{
    metrics::Metrics,
    node::{Node, WriteError},
    slot::{FieldError, limits::SHOPPER_EVENTS_MAX},
};

/// Hands a batch to the writer at once. The returned future waits for its results.
fn submit(
    node: &Node,
    metrics: &Metrics,
    access: &CallAccess,
    request: RecordEventsRequest,
) -> Result<impl Future<Output = Result<RecordEventsResponse, Status>> + Send + use<>, Status> {
    access.check_current()?;
    access.check_all_slots()?;
    let RecordEventsRequest { events, validate_only } = request;
    if events.is_empty() || events.len() > SHOPPER_EVENTS_MAX {
        let message = format!("has {} events; 1 to {SHOPPER_EVENTS_MAX} are allowed", events.len());
        return Err(error::field(&FieldError::new("events", message)));
    }
    let now_us = node.now_us();
    let simulated = access.kind() == CallerKind::Simulated;
    // One entry per event: the result that is known already, or `Err` with the event if the writer will give it.
    let mut known = Vec::with_capacity(events.len());
    let mut accepted = Vec::with_capacity(events.len());
    for event in events {
        known.push(match shoppers::decode(event, now_us, simulated) {
            Ok(request) => {
                accepted.push(request.clone());
                Err(request)
            }
            Err(why) => {
                let status = match why {
                    RewardRejection::UnknownDecision(_) => RewardStatus::Unmatched,
                    RewardRejection::Field(_) => RewardStatus::Rejected,
                };
                metrics.event_not_journalled(if status == RewardStatus::Rejected { "rejected" } else { "unmatched" });
                Ok(EventResult { status: status.into(), message: why.to_string(), ..EventResult::default() })
            }
        });
    }
    let effects = node.record_shoppers(accepted, validate_only).map_err(|why| error::write(&why))?;
    Ok(async move {
        let mut effects = effects.await.map_err(|why| error::write(&why))?.into_iter();
        let results = known
            .into_iter()
            .map(|known| match known {
                Ok(result) => Some(result),
                Err(request) => effects.next().map(|effect| shoppers::result(&request, &effect, validate_only)),
            })
            .collect::<Option<Vec<_>>>();
        let results = results.ok_or_else(|| error::write(&WriteError::Stopped))?;
        Ok(RecordEventsResponse { results })
    })
}

#[tonic::async_trait]
impl EventService for Api {
    async fn record_events(
        &self,
        request: Request<RecordEventsRequest>,
    ) -> Result<Response<RecordEventsResponse>, Status> {
        let access = CallAccess::of(&request);
        let results = submit(self.node()?, &self.metrics, &access, request.into_inner())?;
        Ok(Response::new(results.await?))
    }

    type StreamEventsStream = AnswerStream<RecordEventsResponse>;

    async fn stream_events(
        &self,
        request: Request<Streaming<RecordEventsRequest>>,
    ) -> Result<Response<Self::StreamEventsStream>, Status> {
        let (node, metrics) = (Arc::clone(self.node()?), Arc::clone(&self.metrics));
        let access = CallAccess::of(&request);
        let checked = Arc::clone(&node);
        let answers = self.answer_in_order(&node, request, move |request| submit(&checked, &metrics, &access, request));
        Ok(Response::new(answers))
    }
}
