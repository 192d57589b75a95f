//! `DecisionService`.

use std::time::{Duration, Instant};

use tonic::{Request, Response, Status, metadata::MetadataMap};

use super::{
    Api, decode, encode, error,
    proto::{
        BatchDecideRequest, BatchDecideResponse, DecideRequest, DecideResponse,
        decision_service_server::DecisionService,
    },
    simulated::Caller,
};
use crate::node::DecideError;

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

#[tonic::async_trait]
impl DecisionService for Api {
    async fn decide(&self, request: Request<DecideRequest>) -> Result<Response<DecideResponse>, Status> {
        let begun = arrival();
        let node = self.node()?;
        let patience = timeout(request.metadata());
        let (metadata, _, request) = request.into_parts();
        let requests = vec![decode::request(request).map_err(|e| error::field(&e))?];
        Caller::of(&metadata).may_ask(node, &requests)?;
        let deadline_passed = || patience.is_some_and(|patience| begun.elapsed() >= patience);
        let answers = node.decide(requests, false, &deadline_passed).await;
        let mut answers = answers.map_err(|e| error::decide(e, true))?;
        let answer =
            answers.pop().ok_or_else(|| error::decide(DecideError::Write(crate::node::WriteError::Stopped), true))?;
        self.metrics.decided(&answer);
        self.metrics.decide_seconds.observe(begun.elapsed().as_secs_f64());
        Ok(Response::new(encode::answer(answer)))
    }

    async fn batch_decide(
        &self,
        request: Request<BatchDecideRequest>,
    ) -> Result<Response<BatchDecideResponse>, Status> {
        let begun = arrival();
        let node = self.node()?;
        let patience = timeout(request.metadata());
        let (metadata, _, request) = request.into_parts();
        let (requests, distinct) = decode::batch_requests(request).map_err(|e| error::field(&e))?;
        Caller::of(&metadata).may_ask(node, &requests)?;
        let deadline_passed = || patience.is_some_and(|patience| begun.elapsed() >= patience);
        let answers = node.decide(requests, distinct, &deadline_passed).await.map_err(|e| error::decide(e, false))?;
        for answer in &answers {
            self.metrics.decided(answer);
        }
        self.metrics.decide_seconds.observe(begun.elapsed().as_secs_f64());
        Ok(Response::new(BatchDecideResponse { responses: answers.into_iter().map(encode::answer).collect() }))
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
