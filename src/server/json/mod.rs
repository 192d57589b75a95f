//! JSON over HTTP: each call with one request at `POST /v1/{Method}`, answered by the services of the gRPC port.
//!
//! ```text
//! JSON -> message, by its descriptor -> the gRPC service, in this process -> message -> JSON
//! ```
//!
//! No call is named here: what the descriptors have, the gateway has. Its calls and bytes count against the same limits
//! as those of the gRPC port, and an error has the same code, text and fields, as problem details of RFC 9457.
//!
//! A request must be of the type `application/json`. A page of another site cannot send that without asking first, and
//! only the origins that are configured, and those of publishable keys, are allowed.
//!
//! A call whose answers stream is answered with server-sent events.
//!
//! Deliberately not here: calls whose requests stream.

mod message;
mod openapi;
mod stream;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, Path, Request},
    http::{self, HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http_body_util::{BodyExt as _, Limited};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tonic::{Code, Status, service::Routes};
use tonic_types::pb::FILE_DESCRIPTOR_SET as ERROR_DETAILS;
use tower::Service as _;

use self::stream::EventBody;
use super::{
    http_call::{HttpCall, HttpCalls, HttpPeer, check_json},
    problem::HttpProblem,
};
use crate::{slot::limits::ANSWER_BYTES_MAX, wire::proto::DESCRIPTORS};

/// Bytes of the message in an answer: that of the arms and of what stands around them.
const REPLY_BYTES_MAX: usize = 2 * ANSWER_BYTES_MAX;

/// Type of the content of server-sent events.
pub(super) const EVENT_STREAM: &str = "text/event-stream";

/// Call with one request.
#[derive(Debug)]
struct JsonMethod {
    /// Path of the call on the gRPC port.
    path: String,
    input: MessageDescriptor,
    output: MessageDescriptor,
    /// The answers stream.
    streams: bool,
}

/// Calls that the gateway answers.
#[derive(Debug)]
struct Gateway {
    methods: BTreeMap<String, JsonMethod>,
    /// Names of the calls whose requests stream.
    streams: Vec<String>,
    services: Routes,
    calls: HttpCalls,
}

/// Returns the descriptors of all messages, those of error details among them: an answer may carry some.
fn descriptors() -> Result<DescriptorPool, String> {
    let mut pool = DescriptorPool::decode(DESCRIPTORS).map_err(|why| why.to_string())?;
    let mut details = FileDescriptorSet::decode(ERROR_DETAILS).map_err(|why| why.to_string())?;
    // Some files are in both, under other names.
    let is_known = |file: &FileDescriptorProto, name: &str| {
        pool.get_message_by_name(&format!("{}.{name}", file.package())).is_some()
    };
    details.file.retain(|file| !file.message_type.iter().any(|message| is_known(file, message.name())));
    pool.add_file_descriptor_set(details).map_err(|why| why.to_string())?;
    Ok(pool)
}

/// Returns the routes of the gateway: the calls, and `/openapi.json`, which describes them.
pub(super) fn routes(services: Routes, calls: HttpCalls) -> Result<Router, String> {
    let pool = descriptors()?;
    let (mut methods, mut streams) = (BTreeMap::new(), Vec::new());
    for service in pool.services().filter(|service| service.package_name() == "slotwise.v1") {
        for method in service.methods() {
            if method.is_client_streaming() {
                streams.push(method.name().to_owned());
                continue;
            }
            let path = format!("/{}/{}", service.full_name(), method.name());
            let (input, output, streams) = (method.input(), method.output(), method.is_server_streaming());
            let call = JsonMethod { path, input, output, streams };
            methods.insert(method.name().to_owned(), call);
        }
    }
    let document = Bytes::from(openapi::document(&pool).to_string());
    let gateway = Arc::new(Gateway { methods, streams, services: services.prepare(), calls });
    let call = async move |Path(name): Path<String>, ConnectInfo(peer): ConnectInfo<HttpPeer>, request: Request| {
        gateway.answer(&name, peer.address(), request).await.unwrap_or_else(IntoResponse::into_response)
    };
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok(Router::new()
        .route("/v1/{method}", post(call).fallback(only_post))
        .route("/openapi.json", get(async move || (json, document))))
}

async fn only_post() -> Response {
    let problem = HttpProblem::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "calls are made with POST");
    ([(header::ALLOW, HeaderValue::from_static("POST"))], problem).into_response()
}

impl Gateway {
    /// Answers a call, or returns the reason why it cannot.
    async fn answer(&self, name: &str, peer: SocketAddr, request: Request) -> Result<Response, HttpProblem> {
        let method = self.method(name)?;
        check_json(request.headers())?;
        let answer = async |call: &HttpCall| {
            let message = message::read(method.input.clone(), &call.body)?;
            self.call(method, call, &message).await
        };
        if method.streams {
            let (messages, open) = self.calls.answer_and_hold(peer, request, answer).await?;
            let headers = [(header::CONTENT_TYPE, EVENT_STREAM), (header::CACHE_CONTROL, "no-store")];
            let events = EventBody::new(messages, method.output.clone(), open);
            return Ok((headers, Body::new(events)).into_response());
        }
        let answer = async |call: &HttpCall| {
            let reply = Limited::new(answer(call).await?, REPLY_BYTES_MAX).collect().await;
            let reply = reply.map_err(HttpProblem::internal)?;
            if let Some(trailers) = reply.trailers() {
                refused(trailers)?;
            }
            message::write(method.output.clone(), message::unframed(reply.to_bytes())?)
        };
        let text = self.calls.answer(peer, request, answer).await?;
        Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response())
    }

    fn method(&self, name: &str) -> Result<&JsonMethod, HttpProblem> {
        if let Some(method) = self.methods.get(name) {
            return Ok(method);
        }
        if self.streams.iter().any(|stream| stream == name) {
            let message = format!("the requests of {name} stream, and it is answered on the gRPC port only");
            return Err(HttpProblem::new(StatusCode::NOT_IMPLEMENTED, "UNIMPLEMENTED", message));
        }
        let nearest = self.methods.keys().min_by_key(|known| strsim::damerau_levenshtein(known, name));
        let nearest = nearest.filter(|known| strsim::damerau_levenshtein(known, name) <= 3);
        let hint = nearest.map_or_else(
            || "/openapi.json lists the calls".to_owned(),
            |known| format!("did you mean '{known}'? /openapi.json lists the calls"),
        );
        Err(HttpProblem::new(StatusCode::NOT_FOUND, "NOT_FOUND", format!("there is no such call; {hint}")))
    }

    /// Makes the call, and returns the body with its answer.
    async fn call(
        &self,
        method: &JsonMethod,
        call: &HttpCall,
        message: &DynamicMessage,
    ) -> Result<tonic::body::Body, HttpProblem> {
        let mut request = http::Request::post(&method.path)
            .version(http::Version::HTTP_2)
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers");
        for (name, value) in call.passed_on() {
            request = request.header(name, value);
        }
        let mut request = request.body(Body::from(message::framed(message)?)).map_err(HttpProblem::internal)?;
        request.extensions_mut().extend(call.extensions());
        let Ok(response) = self.services.clone().call(request).await;
        let (parts, body) = response.into_parts();
        refused(&parts.headers)?;
        Ok(body)
    }
}

/// Returns the error that the headers or trailers of an answer name, if they name one.
fn refused(headers: &HeaderMap) -> Result<(), HttpProblem> {
    match Status::from_header_map(headers) {
        Some(status) if status.code() != Code::Ok => Err(status.into()),
        _ => Ok(()),
    }
}
