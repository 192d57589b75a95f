//! Calls over HTTP: their bodies, their callers and their limits, for all protocols of the HTTP port.
//!
//! Invariant: a call of any protocol counts among the calls and bytes of all connections, from its headers to its
//! answer.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, connect_info::Connected},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    serve::IncomingStream,
};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tonic::{metadata::MetadataMap, transport::server::TcpConnectInfo};

use super::{
    calls::{CallLimits, OpenCall},
    connections::Incoming,
    problem::HttpProblem,
};
use crate::{
    access::Caller,
    slot::limits::MESSAGE_BYTES_MAX,
    wire::{CallSlot, SIMULATED, too_much},
};

/// Headers of a request that its call takes over.
const PASSED_ON: [&str; 4] = ["x-request-id", "user-agent", "grpc-timeout", SIMULATED];

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

/// Limits of the calls over HTTP.
#[derive(Debug, Clone)]
pub(super) struct HttpCalls {
    limits: CallLimits,
    /// Time that a call may take from its headers to its answer.
    timeout: Duration,
}

/// Call whose body is here.
#[derive(Debug)]
pub(super) struct HttpCall {
    parts: Parts,
    peer: SocketAddr,
    /// Body of the request.
    pub(super) body: Vec<u8>,
}

impl HttpCalls {
    /// Creates the limits of all calls over HTTP.
    pub(super) fn new(limits: CallLimits, timeout: Duration) -> Self {
        Self { limits, timeout }
    }

    /// Reads a request and answers it.
    ///
    /// # Errors
    ///
    /// Those of `answer`; too many calls or bytes; a body that is too long or does not come; an answer that takes too
    /// long.
    pub(super) async fn answer<T, E: From<HttpProblem>>(
        &self,
        peer: SocketAddr,
        request: Request,
        answer: impl AsyncFnOnce(&HttpCall) -> Result<T, E>,
    ) -> Result<T, E> {
        Ok(self.answer_and_hold(peer, request, answer).await?.0)
    }

    /// Reads a request and answers it, as [`answer`](Self::answer) does. The call counts until what is returned is
    /// dropped.
    pub(super) async fn answer_and_hold<T, E: From<HttpProblem>>(
        &self,
        peer: SocketAddr,
        request: Request,
        answer: impl AsyncFnOnce(&HttpCall) -> Result<T, E>,
    ) -> Result<(T, OpenCall), E> {
        let open = self.limits.open(request.uri().path()).map_err(HttpProblem::from)?;
        let (parts, body) = request.into_parts();
        let answered = async {
            let body = read(body, &open).await?;
            let _turn = open.turn().await;
            answer(&HttpCall { parts, peer, body }).await
        };
        let late = |_| {
            let message = "the call took too long; see the setting limits.call_timeout";
            HttpProblem::new(StatusCode::GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED", message)
        };
        let answer = tokio::time::timeout(self.timeout, answered).await.map_err(late)??;
        Ok((answer, open))
    }
}

impl HttpCall {
    /// Headers of the request.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// Headers that the services of the API read.
    pub(super) fn passed_on(&self) -> impl Iterator<Item = (&'static str, &HeaderValue)> {
        PASSED_ON.into_iter().filter_map(|name| Some((name, self.parts.headers.get(name)?)))
    }

    /// Caller and address of the call, as the services of the API read them.
    pub(super) fn extensions(&self) -> Extensions {
        let mut extensions = Extensions::new();
        extensions.insert(TcpConnectInfo { local_addr: None, remote_addr: Some(self.peer) });
        if let Some(caller) = self.parts.extensions.get::<Arc<Caller>>() {
            extensions.insert(Arc::clone(caller));
        }
        if let Some(slot) = self.parts.extensions.get::<CallSlot>() {
            extensions.insert(slot.clone());
        }
        extensions
    }

    /// Returns a call of the API with a message, by the caller of this one.
    pub(super) fn request<T>(&self, message: T) -> tonic::Request<T> {
        let headers = self.passed_on().map(|(name, value)| (HeaderName::from_static(name), value.clone()));
        tonic::Request::from_parts(MetadataMap::from_headers(headers.collect()), self.extensions(), message)
    }
}

/// Refuses a request that does not say that it is JSON.
pub(super) fn check_json(headers: &HeaderMap) -> Result<(), HttpProblem> {
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
