//! `DecisionService`: decisions, one by one, in batches and as a stream.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, Streaming, metadata::MetadataMap};

use super::{
    Api,
    access::CallAccess,
    decode::{self, DecodedRequest},
    encode, error,
    proto::{
        BatchDecideRequest, BatchDecideResponse, DecideRequest, DecideResponse, DecideResult, Fallback, decide_result,
        decision_service_server::DecisionService,
    },
    stream::AnswerStream,
};
use crate::{
    engine,
    metrics::Metrics,
    node::{DecideError, Node, WriteError},
    slot::FieldError,
};

/// Returns the time that the caller waits, from its `grpc-timeout` header, or `None` if there is none.
///
/// Source: gRPC over HTTP/2, "Timeout": up to eight digits and a unit.
fn timeout(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count.checked_mul(3600)?),
        "M" => Duration::from_secs(count.checked_mul(60)?),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Returns the time at which a request came in. It never becomes part of the state.
#[expect(clippy::disallowed_methods, reason = "the time is for a deadline and a metric and is never recorded")]
fn arrival() -> Instant {
    Instant::now()
}

/// Returns the result of one request.
fn result(outcome: Result<DecideResponse, Status>) -> DecideResult {
    use decide_result::Result as Out;
    let result = match outcome {
        Ok(response) => Out::Response(response),
        Err(status) => Out::Status(error::as_message(&status)),
    };
    DecideResult { result: Some(result) }
}

/// Time after which a stream of requests asks again, because decisions come faster than the journal takes them.
const BUSY_WAIT: Duration = Duration::from_millis(20);

/// Features of a request that were ignored, or the error that keeps it from being decided.
type Checked = Result<Vec<String>, Status>;

/// Decides requests, and returns one outcome for each, in order. A request that could not be decoded has its error as
/// its outcome.
async fn decide_each(
    node: &Node,
    metrics: &Metrics,
    access: &CallAccess,
    requests: Vec<Result<DecodedRequest, FieldError>>,
    distinct: bool,
    deadline_passed: &(dyn Fn() -> bool + Send + Sync),
) -> Result<Vec<Result<DecideResponse, Status>>, Status> {
    let mut accepted = Vec::with_capacity(requests.len());
    // One entry per accepted request: whether the baseline may stand in for a decision.
    let mut patient = Vec::with_capacity(requests.len());
    let mut checked: Vec<Checked> = Vec::with_capacity(requests.len());
    for request in requests {
        checked.push(match request {
            Err(why) => Err(error::field(&why)),
            Ok(DecodedRequest { request, ignored_features, baseline_on_overload }) => {
                access.check_request(node, &request).map(|()| {
                    patient.push(baseline_on_overload);
                    accepted.push(engine::Request { client: access.client().to_owned(), ..request });
                    ignored_features
                })
            }
        });
    }
    if accepted.is_empty() {
        return Ok(checked.into_iter().map(|checked| checked.map(|_| DecideResponse::default())).collect());
    }
    let kept = patient.contains(&true).then(|| accepted.clone());
    let answers = match (node.decide(accepted, distinct, deadline_passed).await, kept) {
        (Err(WriteError::Busy), Some(kept)) => {
            let requests = kept.into_iter().zip(patient).collect();
            return Ok(baselines(node, metrics, access, checked, requests, distinct));
        }
        (answers, _) => answers.map_err(|e| error::write(&e))?,
    };
    let mut answers = answers.into_iter();
    let outcome = |checked: Checked| {
        let ignored_features = checked?;
        let answer = answers.next().ok_or_else(|| error::write(&WriteError::Stopped))?;
        let answer = answer.map_err(|why| not_decided(access, why))?;
        metrics.decided(&answer, ignored_features.len());
        Ok(DecideResponse { ignored_features, ..encode::answer(answer) })
    };
    Ok(checked.into_iter().map(outcome).collect())
}

/// Returns the baseline of the requests that take it, and for the others the error of too much load. Nothing of it is
/// recorded.
fn baselines(
    node: &Node,
    metrics: &Metrics,
    access: &CallAccess,
    checked: Vec<Checked>,
    requests: Vec<(engine::Request, bool)>,
    distinct: bool,
) -> Vec<Result<DecideResponse, Status>> {
    let patient: Vec<bool> = requests.iter().map(|(_, patient)| *patient).collect();
    let taking = requests.into_iter().filter(|(_, patient)| *patient).map(|(request, _)| request).collect();
    let mut answers = node.baselines(taking, distinct).into_iter();
    let mut patient = patient.into_iter();
    let outcome = |checked: Checked| {
        let ignored_features = checked?;
        if patient.next() != Some(true) {
            return Err(error::write(&WriteError::Busy));
        }
        let answer = answers.next().ok_or_else(|| error::write(&WriteError::Stopped))?;
        let answer = answer.map_err(|why| not_decided(access, why))?;
        metrics.baseline_on_overload(answer.decided.slot.as_str());
        let fallback = match answer.decided.fallback {
            Some(engine::Fallback::NoEligibleArm) => Fallback::NoEligibleArm,
            None | Some(engine::Fallback::SafeChoice | engine::Fallback::Model | engine::Fallback::Deadline) => {
                Fallback::Overload
            }
        };
        let response = encode::answer(answer);
        Ok(DecideResponse { decision_id: String::new(), fallback: fallback.into(), ignored_features, ..response })
    };
    checked.into_iter().map(outcome).collect()
}

/// Decides one request of a stream. Waits while decisions come faster than the journal takes them.
async fn decide_when_free(
    node: &Node,
    metrics: &Metrics,
    access: &CallAccess,
    request: Result<DecodedRequest, FieldError>,
    draining: &CancellationToken,
) -> Result<DecideResult, Status> {
    loop {
        access.check_current()?;
        match decide_each(node, metrics, access, vec![request.clone()], false, &|| false).await {
            Err(status) if status.code() == Code::ResourceExhausted && !draining.is_cancelled() => {
                tokio::time::sleep(BUSY_WAIT).await;
            }
            Err(status) => return Err(status),
            Ok(outcomes) => {
                let outcome = outcomes.into_iter().next();
                return outcome.map(result).ok_or_else(|| error::write(&WriteError::Stopped));
            }
        }
    }
}

/// Status of a request that was not decided. A caller that does not reach all slots is not given the name of another.
fn not_decided(access: &CallAccess, why: DecideError) -> Status {
    match why {
        DecideError::SlotNotFound { slot, .. } if access.check_all_slots().is_err() => {
            error::decide(&DecideError::SlotNotFound { slot, suggestion: String::new() })
        }
        why @ (DecideError::SlotNotFound { .. } | DecideError::Field(_)) => error::decide(&why),
    }
}

#[tonic::async_trait]
impl DecisionService for Api {
    async fn decide(&self, request: Request<DecideRequest>) -> Result<Response<DecideResponse>, Status> {
        let begun = arrival();
        let time_limit = timeout(request.metadata());
        let access = CallAccess::of(&request);
        let request = request.into_inner();
        let deadline_passed = || time_limit.is_some_and(|limit| begun.elapsed() >= limit);
        let outcomes =
            decide_each(self.node()?, &self.metrics, &access, vec![decode::request(request)], false, &deadline_passed)
                .await?;
        let outcome = outcomes.into_iter().next();
        let response = outcome.ok_or_else(|| error::write(&WriteError::Stopped))??;
        self.metrics.decide_seconds.observe(begun.elapsed().as_secs_f64());
        Ok(Response::new(response))
    }

    async fn batch_decide(
        &self,
        request: Request<BatchDecideRequest>,
    ) -> Result<Response<BatchDecideResponse>, Status> {
        let begun = arrival();
        let time_limit = timeout(request.metadata());
        let access = CallAccess::of(&request);
        let request = request.into_inner();
        let (requests, distinct) = decode::batch_requests(request).map_err(|e| error::field(&e))?;
        let deadline_passed = || time_limit.is_some_and(|limit| begun.elapsed() >= limit);
        let outcomes = decide_each(self.node()?, &self.metrics, &access, requests, distinct, &deadline_passed).await?;
        self.metrics.decide_seconds.observe(begun.elapsed().as_secs_f64());
        Ok(Response::new(BatchDecideResponse { results: outcomes.into_iter().map(result).collect() }))
    }

    type StreamDecideStream = AnswerStream<DecideResult>;

    async fn stream_decide(
        &self,
        request: Request<Streaming<DecideRequest>>,
    ) -> Result<Response<Self::StreamDecideStream>, Status> {
        let (node, metrics) = (Arc::clone(self.node()?), Arc::clone(&self.metrics));
        let (access, draining) = (Arc::new(CallAccess::of(&request)), self.draining());
        let deciding = Arc::clone(&node);
        let answers = self.answer_in_order(&node, request, move |request| {
            let (node, metrics) = (Arc::clone(&deciding), Arc::clone(&metrics));
            let (access, draining) = (Arc::clone(&access), draining.clone());
            Ok(async move { decide_when_free(&node, &metrics, &access, decode::request(request), &draining).await })
        });
        Ok(Response::new(answers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_in_every_unit() {
        for (text, want) in [("3S", Some(3_000_000)), ("250m", Some(250_000)), ("7u", Some(7)), ("x", None), ("", None)]
        {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().unwrap());
            assert_eq!(timeout(&metadata), want.map(Duration::from_micros), "{text}");
        }
    }
}
