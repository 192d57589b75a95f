//! `DecisionService`.

use std::time::{Duration, Instant};

use tonic::{Request, Response, Status, metadata::MetadataMap};

use super::{
    Api,
    decode::{self, DecodedRequest},
    encode, error,
    proto::{
        BatchDecideRequest, BatchDecideResponse, DecideRequest, DecideResponse, DecideResult, decide_result,
        decision_service_server::DecisionService,
    },
    simulated::Caller,
};
use crate::{node::WriteError, slot::FieldError};

/// How long the caller waits, by its `grpc-timeout` header.
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

/// When a request came in; never becomes part of the state.
#[expect(clippy::disallowed_methods, reason = "a deadline and a duration for metrics, not facts")]
fn arrival() -> Instant {
    Instant::now()
}

/// What came of one request.
fn result(outcome: Result<DecideResponse, Status>) -> DecideResult {
    use decide_result::Result as Out;
    let result = match outcome {
        Ok(response) => Out::Response(response),
        Err(status) => Out::Status(error::as_message(&status)),
    };
    DecideResult { result: Some(result) }
}

impl Api {
    /// Decides requests that were decoded or not, each with an outcome of its own, in order.
    async fn decide_each(
        &self,
        metadata: &MetadataMap,
        requests: Vec<Result<DecodedRequest, FieldError>>,
        distinct: bool,
        deadline_passed: &(dyn Fn() -> bool + Send + Sync),
    ) -> Result<Vec<Result<DecideResponse, Status>>, Status> {
        let node = self.node()?;
        let caller = Caller::of(metadata);
        let mut asked = Vec::with_capacity(requests.len());
        // For each request the features that were ignored, or why it is not asked.
        let mut told = Vec::with_capacity(requests.len());
        for request in requests {
            told.push(match request {
                Err(why) => Err(error::field(&why)),
                Ok(DecodedRequest { request, ignored_features }) => caller.may_ask(node, &request).map(|()| {
                    asked.push(request);
                    ignored_features
                }),
            });
        }
        let answers = if asked.is_empty() {
            Vec::new()
        } else {
            node.decide(asked, distinct, deadline_passed).await.map_err(|e| error::write(&e))?
        };
        let mut answers = answers.into_iter();
        let outcome = |told: Result<Vec<String>, Status>| {
            let ignored_features = told?;
            let answer = answers.next().ok_or_else(|| error::write(&WriteError::Stopped))?;
            let answer = answer.map_err(|why| error::decide(&why))?;
            self.metrics.decided(&answer, ignored_features.len());
            Ok(DecideResponse { ignored_features, ..encode::answer(answer) })
        };
        Ok(told.into_iter().map(outcome).collect())
    }
}

#[tonic::async_trait]
impl DecisionService for Api {
    async fn decide(&self, request: Request<DecideRequest>) -> Result<Response<DecideResponse>, Status> {
        let begun = arrival();
        let patience = timeout(request.metadata());
        let (metadata, _, request) = request.into_parts();
        let deadline_passed = || patience.is_some_and(|patience| begun.elapsed() >= patience);
        let outcomes = self.decide_each(&metadata, vec![decode::request(request)], false, &deadline_passed).await?;
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
        let patience = timeout(request.metadata());
        let (metadata, _, request) = request.into_parts();
        let (requests, distinct) = decode::batch_requests(request).map_err(|e| error::field(&e))?;
        let deadline_passed = || patience.is_some_and(|patience| begun.elapsed() >= patience);
        let outcomes = self.decide_each(&metadata, requests, distinct, &deadline_passed).await?;
        self.metrics.decide_seconds.observe(begun.elapsed().as_secs_f64());
        Ok(Response::new(BatchDecideResponse { results: outcomes.into_iter().map(result).collect() }))
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
