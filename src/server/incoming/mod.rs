//! Events in the form of other systems: `CloudEvents` 1.0 over HTTP, and the calls of Segment.
//!
//! * [`cloudevents`], [`segment`]: from a request to messages, each a JSON value with a name.
//! * [`mapping`]: from a message to a shopper event, by the table of the configuration.
//!
//! The events then go the way of `RecordEvents`, with its limits, roles and results. What cannot be mapped is answered
//! in its place, and counted as `unmapped`.
//!
//! Invariant: one message that cannot be used does not keep the others of its request from being recorded.

mod cloudevents;
mod mapping;
mod segment;

use std::sync::Arc;

use axum::{
    Router,
    extract::{ConnectInfo, Query, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
    routing::post,
};
use serde::Deserialize;
use serde_json::{Value, json};

use self::mapping::{IncomingMessage, map_event};
use super::{
    http_call::{HttpCall, HttpCalls, HttpPeer},
    problem::HttpProblem,
};
use crate::{
    config::{EventMapping, IncomingEvents},
    metrics::Metrics,
    slot::limits::SHOPPER_EVENTS_MAX,
    wire::{
        Api,
        proto::{EventJoin, EventResult, RecordEventsRequest, event_service_server::EventService as _},
    },
};

/// Path that takes `CloudEvents`.
pub(super) const CLOUDEVENTS_PATH: &str = "/v1/events/cloudevents";
/// Path that takes the calls of Segment.
pub(super) const SEGMENT_PATH: &str = "/v1/events/segment";

/// Headers of the handshake of webhooks: who would deliver, and who may and how often.
const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");

/// Greatest number of messages of one request: as many as a batch of Segment may have.
const MESSAGES_MAX: usize = 2_500;

/// State that both calls share.
#[derive(Debug)]
struct EventGateway {
    api: Api,
    calls: HttpCalls,
    metrics: Arc<Metrics>,
    mappings: IncomingEvents,
}

/// Parameters of a call.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct IncomingQuery {
    /// Answers what would happen, and records nothing.
    validate_only: bool,
}

/// Messages of a request, each read or the reason why it cannot be.
type ReadMessages = Vec<Result<IncomingMessage, String>>;

/// Function that reads the messages of a request.
type MessageReader = fn(&HeaderMap, &[u8]) -> Result<ReadMessages, HttpProblem>;

/// Returns the routes of both forms.
pub(super) fn routes(api: Api, calls: HttpCalls, metrics: Arc<Metrics>, mappings: IncomingEvents) -> Router {
    Router::new()
        .route(CLOUDEVENTS_PATH, post(answer_cloudevents))
        .route(SEGMENT_PATH, post(answer_segment))
        .with_state(Arc::new(EventGateway { api, calls, metrics, mappings }))
}

/// Answers a sender of `CloudEvents` that asks whether it may deliver (HTTP 1.1 Web Hooks, abuse protection), and passes every other
/// request on.
///
/// Everybody may: what is delivered needs a key in any case, and its rate is that of the key. This stands before CORS, which would
/// take the question for that of a browser.
pub(super) async fn answer_handshake(request: Request, next: Next) -> Response {
    let is_question = request.method() == Method::OPTIONS && request.uri().path() == CLOUDEVENTS_PATH;
    let Some(origin) = request.headers().get(&REQUEST_ORIGIN).filter(|origin| is_question && !origin.is_empty()) else {
        return next.run(request).await;
    };
    let (post, any) = (HeaderValue::from_static("POST"), HeaderValue::from_static("*"));
    [(header::ALLOW, post), (ALLOWED_ORIGIN, origin.clone()), (ALLOWED_RATE, any)].into_response()
}

async fn answer_cloudevents(
    State(gateway): State<Arc<EventGateway>>,
    ConnectInfo(peer): ConnectInfo<HttpPeer>,
    Query(query): Query<IncomingQuery>,
    request: Request,
) -> Result<Response, HttpProblem> {
    cloudevents::check_mode(request.headers())?;
    gateway.answer(peer, request, &query, (cloudevents::read, &gateway.mappings.cloudevents)).await
}

async fn answer_segment(
    State(gateway): State<Arc<EventGateway>>,
    ConnectInfo(peer): ConnectInfo<HttpPeer>,
    Query(query): Query<IncomingQuery>,
    request: Request,
) -> Result<Response, HttpProblem> {
    super::http_call::check_json(request.headers())?;
    gateway.answer(peer, request, &query, (segment::read, &gateway.mappings.segment)).await
}

impl EventGateway {
    async fn answer(
        &self,
        peer: HttpPeer,
        request: Request,
        query: &IncomingQuery,
        (read, mapping): (MessageReader, &EventMapping),
    ) -> Result<Response, HttpProblem> {
        let record = async |call: &HttpCall| {
            let messages = read(call.headers(), &call.body)?;
            if messages.len() > MESSAGES_MAX {
                let message = format!("has {} messages; at most {MESSAGES_MAX} are taken at once", messages.len());
                return Err(HttpProblem::of_field("batch".to_owned(), message));
            }
            self.record(call, messages, mapping, query.validate_only).await
        };
        let results = self.calls.answer(peer.address(), request, record).await?;
        let body = json!({ "success": true, "results": results }).to_string();
        Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
    }

    /// Records the events that can be mapped, and returns a result for each message.
    async fn record(
        &self,
        call: &HttpCall,
        messages: ReadMessages,
        mapping: &EventMapping,
        validate_only: bool,
    ) -> Result<Vec<Value>, HttpProblem> {
        let mut results = Vec::with_capacity(messages.len());
        let mut events = Vec::new();
        for message in messages {
            match message.and_then(|message| map_event(mapping, &message)) {
                Ok(event) => {
                    results.push(json!({ "eventId": event.event_id }));
                    events.push((results.len() - 1, event));
                }
                Err(why) => {
                    if !validate_only {
                        self.metrics.event_not_journalled("unmapped");
                    }
                    results.push(json!({ "status": "UNMAPPED", "message": why }));
                }
            }
        }
        while !events.is_empty() {
            let rest = events.split_off(events.len().min(SHOPPER_EVENTS_MAX));
            let (places, events_of_call): (Vec<usize>, Vec<_>) =
                std::mem::replace(&mut events, rest).into_iter().unzip();
            let request = RecordEventsRequest { events: events_of_call, validate_only };
            let recorded = self.api.record_events(call.request(request)).await?.into_inner().results;
            for (place, result) in places.into_iter().zip(recorded) {
                add_result(&mut results[place], result);
            }
        }
        Ok(results)
    }
}

/// Adds the result of an event in the form in which `/v1/RecordEvents` writes it.
fn add_result(entry: &mut Value, result: EventResult) {
    entry["status"] = json!(result.status().as_str_name());
    if !result.message.is_empty() {
        entry["message"] = json!(result.message);
    }
    if result.profile_updated {
        entry["profileUpdated"] = json!(true);
    }
    if !result.joined.is_empty() {
        let joined = result.joined.into_iter().map(|EventJoin { slot_id, decision_id, arm_id, reward }| {
            json!({ "slotId": slot_id, "decisionId": decision_id, "armId": arm_id, "reward": reward })
        });
        entry["joined"] = joined.collect();
    }
}

/// Reads a body as JSON.
fn read_json(body: &[u8]) -> Result<Value, HttpProblem> {
    serde_json::from_slice(body)
        .map_err(|why| HttpProblem::of_field(String::new(), format!("the body is no JSON: {why}")))
}
