//! Visitor of a page, and the reasons why a page is not shown.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{self, ConnectInfo, FromRequestParts},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use maud::html;
use tonic::{Request, Status, transport::server::TcpConnectInfo};

use super::{Console, SharedConsole, layout::ConsolePage};
use crate::{
    access::{Caller, Role},
    server::{http_call::HttpPeer, problem::http_status},
    wire::CallSlot,
};

/// Visitor of a page: the caller who signed in, or anybody where the service asks for no keys.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    caller: Option<Arc<Caller>>,
    peer: Option<SocketAddr>,
    /// Scheme and host by which the visitor reached the page.
    host: String,
    /// Place for the slot that the page is about, or `None` if nobody asks for it.
    slot: Option<CallSlot>,
}

/// Reason why a page is not shown, or a change not made.
#[derive(Debug)]
pub(super) enum PageError {
    /// The visitor must sign in first, and then goes on to this path.
    SignIn(String),
    /// The API refused the call.
    Refused(Status),
    /// The request itself is not taken.
    Request(StatusCode, &'static str),
}

/// Result of a page.
pub(super) type PageResult = Result<Response, PageError>;

impl From<Status> for PageError {
    fn from(status: Status) -> Self {
        Self::Refused(status)
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        match self {
            Self::SignIn(next) => {
                let query = serde_urlencoded::to_string([("next", &next)]).unwrap_or_default();
                super::fields::redirect(&format!("/sign-in?{query}"))
            }
            Self::Refused(status) => {
                let code = http_status(status.code());
                let title = match code {
                    StatusCode::NOT_FOUND => "Not found",
                    StatusCode::FORBIDDEN => "Not allowed",
                    StatusCode::CONFLICT => "Somebody was quicker",
                    StatusCode::BAD_REQUEST => "Please check this",
                    _ => "This did not work",
                };
                problem(code, title, status.message())
            }
            Self::Request(code, message) => problem(code, "This request is not taken", message),
        }
    }
}

/// Page that says what is wrong.
pub(super) fn problem(code: StatusCode, title: &str, message: &str) -> Response {
    let content = html! {
        p.problem role="alert" { (message) }
        p { a href="/" { "All slots" } }
    };
    ConsolePage::new(title).show_with(code, &content)
}

impl FromRequestParts<SharedConsole> for Visitor {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, console: &SharedConsole) -> Result<Self, PageError> {
        // A page that is made for streams comes with its visitor, and not over a connection.
        if let Some(visitor) = parts.extensions.get::<Self>() {
            return Ok(visitor.clone());
        }
        let peer = parts.extensions.get::<ConnectInfo<HttpPeer>>().map(|ConnectInfo(peer)| peer.address());
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let scheme = if console.access.is_encrypted() { "https" } else { "http" };
        let host = format!("{scheme}://{host}");
        let slot = parts.extensions.get::<CallSlot>().cloned();
        if !console.access.is_required() {
            return Ok(Self { caller: None, peer, host, slot });
        }
        // After signing in, a form that was sent is not sent again: the visitor goes on to the page that it stood on.
        let path = parts.uri.path();
        let page = path.rsplit_once('/').map_or("/", |(page, _)| if page.is_empty() { "/" } else { page });
        let next = match parts.method {
            Method::GET => parts.uri.path_and_query().map_or("/", |path| path.as_str()),
            _ => page,
        };
        let next = next.to_owned();
        let caller = console.sessions.caller(&parts.headers).ok_or(PageError::SignIn(next))?;
        Ok(Self { caller: Some(caller), peer, host, slot })
    }
}

impl Visitor {
    /// Name of the visitor, or `None` where nobody signs in.
    pub(super) fn name(&self) -> Option<&str> {
        self.caller.as_ref().map(|caller| caller.principal())
    }

    /// Returns the visitor of a page that is made for all streams of the same caller.
    pub(super) fn for_streams(&self) -> Self {
        Self { slot: None, ..self.clone() }
    }

    /// Place of the caller in memory, by which equal callers are known, or `None` where nobody signs in.
    pub(super) fn caller_place(&self) -> Option<usize> {
        self.caller.as_ref().map(|caller| Arc::as_ptr(caller).addr())
    }

    /// Scheme and host by which the visitor reached the page.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Returns `true` if the visitor has a role.
    pub(super) fn may(&self, role: Role) -> bool {
        self.caller.as_ref().is_none_or(|caller| caller.has(role))
    }

    /// Returns `true` if the visitor's key is still taken.
    pub(super) fn is_current(&self) -> bool {
        self.caller.as_ref().is_none_or(|caller| !caller.is_revoked())
    }

    /// Returns `true` if the visitor reaches every slot.
    pub(super) fn reaches_all(&self) -> bool {
        self.caller.as_ref().is_none_or(|caller| caller.reaches_all())
    }

    /// Checks that the visitor has a role.
    pub(super) fn check(&self, role: Role) -> Result<(), PageError> {
        match &self.caller {
            Some(caller) if !caller.has(role) => {
                Err(PageError::Refused(crate::wire::role_missing(caller.principal(), role.name())))
            }
            _ => Ok(()),
        }
    }

    /// Makes a call of the API of a message, with the visitor as its caller.
    pub(super) fn call<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(caller) = &self.caller {
            request.extensions_mut().insert(Arc::clone(caller));
        }
        if let Some(slot) = &self.slot {
            request.extensions_mut().insert(slot.clone());
        }
        request.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr: self.peer });
        request
    }

    /// Makes a call of the API of a message, as a part of the request of this id.
    pub(super) fn call_of_request<T>(&self, message: T, id: &str) -> Request<T> {
        let mut request = self.call(message);
        crate::wire::give_request_id(&mut request, id);
        request
    }

    /// Makes a call of the API of a message, with an id by which the change that it makes is found again.
    pub(super) fn call_with_id<T>(&self, message: T) -> (Request<T>, String) {
        let mut request = self.call(message);
        let id = crate::wire::set_request_id(&mut request);
        (request, id)
    }
}

/// Checks that a change comes from a page of this host. Browsers say so in one header or the other.
fn check_origin(headers: &HeaderMap) -> Result<(), PageError> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let refused = PageError::Request(StatusCode::FORBIDDEN, "a change must come from a page of the console itself");
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    if site.is_some_and(|site| site != "same-origin") {
        return Err(refused);
    }
    let host = text(header::HOST).unwrap_or_default();
    match text(header::ORIGIN) {
        Some(origin) if origin.split_once("://").is_some_and(|(_, of)| of == host && !host.is_empty()) => Ok(()),
        None if site.is_some() => Ok(()),
        _ => Err(refused),
    }
}

/// Passes a request on if it changes nothing, or comes from a page of this host.
pub(super) async fn refuse_other_sites(request: extract::Request, next: Next) -> Result<Response, PageError> {
    if !request.method().is_safe() {
        check_origin(request.headers())?;
    }
    Ok(next.run(request).await)
}

impl Console {
    /// Time of the service's clock, microseconds since 1970.
    pub(super) fn now_us(&self) -> Result<i64, PageError> {
        Ok(self.api.now_us()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_change_comes_from_a_page_of_the_same_host() {
        let host = ("host", "127.0.0.1:8080");
        for (more, allowed) in [
            (&[("origin", "http://127.0.0.1:8080")][..], true),
            (&[("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[], false),
            (&[("origin", "null")], false),
            (&[("origin", "http://evil.example")], false),
            (&[("origin", "http://127.0.0.1:8081")], false),
            (&[("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site")], false),
        ] {
            let all: Vec<_> = std::iter::once(host).chain(more.iter().copied()).collect();
            assert_eq!(check_origin(&headers(&all)).is_ok(), allowed, "{more:?}");
        }
        assert!(check_origin(&headers(&[("origin", "http://")])).is_err());
    }
}
