//! JSON over HTTP: each unary call at `POST /v1/{Method}`, answered by the services of the gRPC port.
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
//! Deliberately not here: streams, which have no unary form.

mod message;
mod openapi;
mod problem;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, Path, Request, connect_info::Connected},
    http::{self, HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::IncomingStream,
};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Limited};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tonic::{Code, Status, service::Routes, transport::server::TcpConnectInfo};
use tonic_types::pb::FILE_DESCRIPTOR_SET as ERROR_DETAILS;
use tower::Service as _;

pub(super) use self::problem::{HttpProblem, http_status};
use super::{
    calls::{CallLimits, OpenCall},
    connections::Incoming,
};
use crate::{
    access::Caller,
    slot::limits::{ANSWER_BYTES_MAX, MESSAGE_BYTES_MAX},
    wire::{SIMULATED, proto::DESCRIPTORS, too_much},
};

/// Headers of a request that its call takes over.
const PASSED_ON: [&str; 4] = ["x-request-id", "user-agent", "grpc-timeout", SIMULATED];

/// Bytes of the message in an answer: that of the arms and of what stands around them.
const REPLY_BYTES_MAX: usize = 2 * ANSWER_BYTES_MAX;

/// Unary call.
#[derive(Debug)]
struct JsonMethod {
    /// Path of the call on the gRPC port.
    path: String,
    input: MessageDescriptor,
    output: MessageDescriptor,
}

/// Calls that the gateway answers.
#[derive(Debug)]
struct Gateway {
    methods: BTreeMap<String, JsonMethod>,
    /// Names of the calls that stream.
    streams: Vec<String>,
    services: Routes,
    limits: CallLimits,
    /// Time that a call may take from its headers to its answer.
    timeout: Duration,
}

/// Address of a client of the HTTP port.
#[derive(Debug, Clone, Copy)]
pub(super) struct HttpPeer(SocketAddr);

impl HttpPeer {
    /// Address of the client.
    pub(super) fn address(self) -> SocketAddr {
        self.0
    }
}

impl Connected<IncomingStream<'_, Incoming>> for HttpPeer {
    fn connect_info(stream: IncomingStream<'_, Incoming>) -> Self {
        Self(*stream.remote_addr())
    }
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
pub(super) fn routes(services: Routes, limits: CallLimits, timeout: Duration) -> Result<Router, String> {
    let pool = descriptors()?;
    let (mut methods, mut streams) = (BTreeMap::new(), Vec::new());
    for service in pool.services().filter(|service| service.package_name() == "slotwise.v1") {
        for method in service.methods() {
            if method.is_client_streaming() || method.is_server_streaming() {
                streams.push(method.name().to_owned());
                continue;
            }
            let path = format!("/{}/{}", service.full_name(), method.name());
            let call = JsonMethod { path, input: method.input(), output: method.output() };
            methods.insert(method.name().to_owned(), call);
        }
    }
    let document = Bytes::from(openapi::document(&pool).to_string());
    let gateway = Arc::new(Gateway { methods, streams, services: services.prepare(), limits, timeout });
    let call =
        async move |Path(name): Path<String>, ConnectInfo(HttpPeer(peer)): ConnectInfo<HttpPeer>, request: Request| {
            gateway.answer(&name, peer, request).await.unwrap_or_else(IntoResponse::into_response)
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
        check_type(request.headers())?;
        let open = self.limits.open()?;
        let (parts, body) = request.into_parts();
        let answered = async {
            let json = read(body, &open).await?;
            let message = message::read(method.input.clone(), &json)?;
            let reply = self.call(method, &parts, peer, &message).await?;
            message::write(method.output.clone(), reply)
        };
        let late = |_| {
            let message = "the call took too long; see the setting limits.call_timeout";
            HttpProblem::new(StatusCode::GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED", message)
        };
        let text = tokio::time::timeout(self.timeout, answered).await.map_err(late)??;
        Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response())
    }

    fn method(&self, name: &str) -> Result<&JsonMethod, HttpProblem> {
        if let Some(method) = self.methods.get(name) {
            return Ok(method);
        }
        if self.streams.iter().any(|stream| stream == name) {
            let message = format!("{name} streams, and is answered on the gRPC port only");
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

    /// Makes the call, and returns the bytes of its answer's message.
    async fn call(
        &self,
        method: &JsonMethod,
        parts: &http::request::Parts,
        peer: SocketAddr,
        message: &DynamicMessage,
    ) -> Result<Bytes, HttpProblem> {
        let mut request = http::Request::post(&method.path)
            .version(http::Version::HTTP_2)
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers");
        for name in PASSED_ON {
            if let Some(value) = parts.headers.get(name) {
                request = request.header(name, value);
            }
        }
        let mut request = request.body(Body::from(message::framed(message)?)).map_err(HttpProblem::internal)?;
        request.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr: Some(peer) });
        if let Some(caller) = parts.extensions.get::<Arc<Caller>>() {
            request.extensions_mut().insert(Arc::clone(caller));
        }
        let Ok(response) = self.services.clone().call(request).await;
        let (parts, body) = response.into_parts();
        refused(&parts.headers)?;
        let reply = Limited::new(body, REPLY_BYTES_MAX).collect().await.map_err(HttpProblem::internal)?;
        if let Some(trailers) = reply.trailers() {
            refused(trailers)?;
        }
        message::unframed(reply.to_bytes())
    }
}

/// Returns the error that the headers or trailers of an answer name, if they name one.
fn refused(headers: &HeaderMap) -> Result<(), HttpProblem> {
    match Status::from_header_map(headers) {
        Some(status) if status.code() != Code::Ok => Err(status.into()),
        _ => Ok(()),
    }
}

/// Refuses a request that does not say that it is JSON.
fn check_type(headers: &HeaderMap) -> Result<(), HttpProblem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let message = "the content type of a call must be application/json; with curl, --json sends it";
    Err(HttpProblem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message))
}

/// Reads the body of a request, whose bytes count against the limits until the call ends.
async fn read(mut body: Body, open: &OpenCall) -> Result<Vec<u8>, HttpProblem> {
    let too_long = || {
        let message = format!("a request may have {MESSAGE_BYTES_MAX} bytes; send fewer at once");
        HttpProblem::new(StatusCode::PAYLOAD_TOO_LARGE, "OUT_OF_RANGE", message)
    };
    // A length that is too long is refused before its bytes come, so that the client reads why.
    if usize::try_from(body.size_hint().lower()).map_or(true, |bytes| bytes > MESSAGE_BYTES_MAX) {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|why| {
            let message = format!("the request ended before its body was whole: {why}");
            HttpProblem::new(StatusCode::REQUEST_TIMEOUT, "DEADLINE_EXCEEDED", message)
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > MESSAGE_BYTES_MAX {
            return Err(too_long());
        }
        if !open.hold(data.len()) {
            return Err(too_much(
                "too many bytes of requests are on their way; see the setting limits.bytes_in_flight",
            )
            .into());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
