//! OpenFeature's remote evaluation protocol (OFREP 0.3): a slot as a flag, for the SDKs of many languages.
//!
//! * [`context`]: the evaluation context as a request of the API.
//! * [`answer`]: a decision as an evaluation, and errors in the form of the protocol.
//!
//! | OFREP | Slotwise |
//! | --- | --- |
//! | flag, its key | slot, its id |
//! | targeting key | id of the subject; without one the subject is anonymous |
//! | variant | arm |
//! | value | the arm's payload, or its id |
//!
//! Invariants:
//!
//! * The evaluation of a flag is a decision, which is recorded. So it is made where the flag is shown.
//! * A bulk evaluation shows nothing yet, so its decisions are deferred: each counts once an event of the kind `shown`,
//!   or a reward, names it. It covers the slots of the setting `bulk_slots`.
//! * A poll that has the answer's tag is no new decision: the tag follows from the context, the slots' revisions and
//!   the day.
//! * Roles, patterns of keys and limits are those of a decision.
//!
//! Deliberately not here: rewards, for which the protocol has no call.

mod answer;
mod context;

use std::sync::Arc;

use axum::{
    Router,
    extract::{ConnectInfo, Path, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use prost::Message as _;
use serde_json::{Value, json};

use self::{
    answer::{FlagFailure, FlagFailureCode, evaluation},
    context::{EvaluationContext, read_context},
};
use super::http_call::{HttpCall, HttpCalls, HttpPeer, check_json};
use crate::{
    access::SlotPattern,
    engine::{SlotView, hash},
    wire::{
        Api,
        proto::{BatchDecideRequest, DecideRequest, decide_result, decision_service_server::DecisionService as _},
    },
};

/// Greatest number of slots of one bulk evaluation: as many as a page may ask for in one call.
const BULK_MAX: usize = crate::slot::limits::BATCH_MAX;

/// State that both calls share.
#[derive(Debug)]
struct FlagEvaluator {
    api: Api,
    calls: HttpCalls,
    bulk_slots: Vec<SlotPattern>,
}

/// Returns the routes of the protocol. Bulk evaluations cover the slots of `bulk_slots`.
pub(super) fn routes(api: Api, calls: HttpCalls, bulk_slots: Vec<SlotPattern>) -> Router {
    let evaluator = Arc::new(FlagEvaluator { api, calls, bulk_slots });
    let of_bulk = Arc::clone(&evaluator);
    let one = async move |Path(key): Path<String>, ConnectInfo(peer): ConnectInfo<HttpPeer>, request: Request| {
        let answered = evaluator.evaluate(&key, peer, request).await;
        answered.unwrap_or_else(|failure| failure.with_key(&key).into_response())
    };
    let all = async move |ConnectInfo(peer): ConnectInfo<HttpPeer>, request: Request| {
        of_bulk.evaluate_all(peer, request).await.unwrap_or_else(FlagFailure::into_response)
    };
    Router::new().route("/ofrep/v1/evaluate/flags/{key}", post(one)).route("/ofrep/v1/evaluate/flags", post(all))
}

impl FlagEvaluator {
    /// Evaluates one flag: decides for its slot.
    async fn evaluate(&self, key: &str, peer: HttpPeer, request: Request) -> Result<Response, FlagFailure> {
        check_json(request.headers())?;
        let body = self.calls.answer(peer.address(), request, async |call: &HttpCall| {
            let context = read_context(&call.body)?;
            let view = self.api.slot_of(&call.request(()), key)?;
            let decided = self.api.decide(call.request(request_of(&view, &context))).await?.into_inner();
            evaluation(&view, &decided)
        });
        Ok(json_answer(&body.await?))
    }

    /// Evaluates the flags of all slots that allow it.
    async fn evaluate_all(&self, peer: HttpPeer, request: Request) -> Result<Response, FlagFailure> {
        check_json(request.headers())?;
        self.calls.answer(peer.address(), request, async |call: &HttpCall| self.decide_all(call).await).await
    }

    async fn decide_all(&self, call: &HttpCall) -> Result<Response, FlagFailure> {
        let context = read_context(&call.body)?;
        let mut views = self.api.slots_of(&call.request(()))?;
        views.retain(|view| self.bulk_slots.iter().any(|pattern| pattern.matches(view.definition.id.as_str())));
        views.sort_by(|a, b| a.definition.id.as_str().cmp(b.definition.id.as_str()));
        if views.len() > BULK_MAX {
            let message = format!(
                "{} slots match the setting bulk_slots, and {BULK_MAX} are evaluated at once; narrow its patterns",
                views.len()
            );
            return Err(FlagFailure::new(StatusCode::BAD_REQUEST, FlagFailureCode::General, message));
        }
        let tag = entity_tag(&call.body, &views, self.api.now_us()?);
        let mut response = if is_known(call.headers(), &tag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            json_answer(
                &json!({ "flags": self.flags(call, &views, &context).await?, "metadata": { "deferred": true } }),
            )
        };
        if let Ok(tag) = HeaderValue::try_from(tag) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        Ok(response)
    }

    /// Decides for each slot, in order. The decisions are deferred.
    async fn flags(
        &self,
        call: &HttpCall,
        views: &[Arc<SlotView>],
        context: &EvaluationContext,
    ) -> Result<Vec<Value>, FlagFailure> {
        if views.is_empty() {
            return Ok(Vec::new());
        }
        let requests = views.iter().map(|view| DecideRequest { deferred: true, ..request_of(view, context) }).collect();
        let batch = BatchDecideRequest { requests, distinct_arms: false };
        let results = self.api.batch_decide(call.request(batch)).await?.into_inner().results;
        let mut flags = Vec::with_capacity(views.len());
        for (view, result) in views.iter().zip(results) {
            let decided = match result.result {
                Some(decide_result::Result::Response(decided)) => Ok(decided),
                Some(decide_result::Result::Status(status)) => {
                    let (code, details) = (tonic::Code::from(status.code), status.encode_to_vec().into());
                    Err(FlagFailure::from(tonic::Status::with_details(code, status.message, details)))
                }
                None => continue,
            };
            match decided.and_then(|decided| evaluation(view, &decided)) {
                Ok(flag) => flags.push(flag),
                // The context is that of all flags.
                Err(failure) if failure.is_of_context() => return Err(failure),
                Err(failure) => flags.push(failure.with_key(view.definition.id.as_str()).body()),
            }
        }
        Ok(flags)
    }
}

fn request_of(view: &SlotView, context: &EvaluationContext) -> DecideRequest {
    DecideRequest {
        slot_id: view.definition.id.to_string(),
        subject: Some(context.subject.clone()),
        context: context.features.clone(),
        ..DecideRequest::default()
    }
}

fn json_answer(body: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, body.to_string()).into_response()
}

/// Returns the tag of an answer to this request. It changes with the slots and their revisions, and every day, so that a
/// client that polls for weeks does not keep a decision that nobody can confirm any more.
fn entity_tag(request: &[u8], views: &[Arc<SlotView>], now_us: i64) -> String {
    const DAY_US: i64 = 24 * 3600 * 1_000_000;
    let day = now_us.div_euclid(DAY_US).to_be_bytes();
    let slots: Vec<Vec<u8>> = views
        .iter()
        .map(|view| [view.definition.id.as_str().as_bytes(), &[0], &view.revision.to_be_bytes()].concat())
        .collect();
    let parts: Vec<&[u8]> = [request, &day].into_iter().chain(slots.iter().map(Vec::as_slice)).collect();
    let hash = hash("entity tag", &parts);
    format!("\"{:016x}{:016x}\"", hash.word(), hash.other_word())
}

/// Returns `true` if a client has the answer of this tag. A proxy that compresses marks a tag as weak.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_in_a_list_and_as_a_weak_one() {
        let headers =
            |value: &'static str| HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(value))]);
        for (value, known) in
            [("\"a\"", true), ("W/\"a\"", true), ("\"b\", \"a\"", true), ("*", true), ("\"b\"", false)]
        {
            assert_eq!(is_known(&headers(value), "\"a\""), known, "{value}");
        }
        assert!(!is_known(&HeaderMap::new(), "\"a\""));
    }
}
