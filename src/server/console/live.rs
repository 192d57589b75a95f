//! Live parts of pages: what changed in an open page, as server-sent events.
//!
//! ```text
//! event: part  data: <div id="…" data-live>…   a part that changed
//! event: end   data: why                       nothing more comes, because the visitor may not see the page any more
//! ```
//!
//! The stream of a page makes the page again every two seconds, as a visit would, and sends the parts that differ from what it
//! sent before. So a stream shows nothing that a visit would not show.
//!
//! Invariants:
//!
//! * A stream ends within [`LOOK_EVERY`] of the end of its visitor's key, and when the service stops.
//! * The numbers of streams are bounded, for each key and for all. A page whose stream is refused asks for itself now and then.

use std::{
    collections::HashMap,
    convert::Infallible,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Extension, Router,
    body::Body,
    extract::{ConnectInfo, Query, State},
    http::{HeaderMap, HeaderName, Request, StatusCode, Uri, header},
    response::{IntoResponse as _, Sse, sse::Event},
};
use http_body_util::{BodyExt as _, Limited};
use maud::{Markup, PreEscaped, html};
use serde::Deserialize;
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tower::ServiceExt as _;

use super::{
    SharedConsole,
    visitor::{PageError, PageResult, Visitor},
};
use crate::{access::Role, server::http_call::HttpPeer};

/// Time between two looks at a page.
const EVERY: Duration = Duration::from_secs(2);
/// Time between two looks at the visitor's key.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Greatest number of streams of one key. Several people may sign in with the key of a team.
const KEY_STREAMS_MAX: usize = 64;
/// Greatest size of a page, bytes.
const PAGE_MAX: usize = 8 << 20;
/// Events that may wait for a slow browser.
const WAITING: usize = 16;
/// Headers that a visit of the page takes over.
const PASSED_ON: [HeaderName; 2] = [header::COOKIE, header::HOST];

/// Marks around the live parts of a page. No text of a page can hold them, because texts are escaped.
const BEGIN: &str = "<!--live-->";
const END: &str = "<!--/live-->";

/// Part of a page that is shown again when it changes, while the page is open.
pub(super) fn live_part(id: &str, content: &Markup) -> Markup {
    live_while(id, true, content)
}

/// Part of a page that is shown again when it changes, as long as `is_live`. Its last change is shown too.
pub(super) fn live_while(id: &str, is_live: bool, content: &Markup) -> Markup {
    html! { (PreEscaped(BEGIN)) div id=(id) data-live[is_live] { (content) } (PreEscaped(END)) }
}

/// Returns the live parts of a page.
fn parts(page: &str) -> impl Iterator<Item = &str> {
    page.split(BEGIN).skip(1).filter_map(|rest| rest.split_once(END).map(|(part, _)| part))
}

/// Returns the beginning of a part, up to its content: it is the same in every version of the part.
fn opening(part: &str) -> &str {
    part.split_once('>').map_or(part, |(opening, _)| opening)
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Pages that a stream may follow.
#[derive(Debug, Clone)]
pub(super) struct LivePages(pub(super) Router);

/// Numbers of open streams, of all visitors and by the name of their key.
#[derive(Debug)]
pub(super) struct LiveStreams {
    most: usize,
    open: Mutex<StreamCounts>,
}

#[derive(Debug, Default)]
struct StreamCounts {
    all: usize,
    by_key: HashMap<String, usize>,
}

/// Stream that counts until it is dropped.
#[derive(Debug)]
struct OpenStream {
    streams: Arc<LiveStreams>,
    key: Option<String>,
}

impl LiveStreams {
    /// Creates the counts for a number of streams at most.
    pub(super) fn new(most: usize) -> Self {
        Self { most, open: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, StreamCounts> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place, or returns `None` if there is none.
    fn take(self: &Arc<Self>, key: Option<&str>) -> Option<OpenStream> {
        let mut open = self.open();
        if open.all >= self.most {
            return None;
        }
        if let Some(key) = key {
            let of_key = open.by_key.entry(key.to_owned()).or_default();
            if *of_key >= KEY_STREAMS_MAX {
                return None;
            }
            *of_key += 1;
        }
        open.all += 1;
        Some(OpenStream { streams: Arc::clone(self), key: key.map(str::to_owned) })
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut open = self.streams.open();
        open.all -= 1;
        let Some(key) = &self.key else { return };
        if let Some(of_key) = open.by_key.get_mut(key) {
            *of_key -= 1;
            if *of_key == 0 {
                open.by_key.remove(key);
            }
        }
    }
}

/// Page that is followed.
#[derive(Debug, Deserialize)]
pub(super) struct LiveQuery {
    /// Path of the page with its query.
    page: String,
}

/// Follower of one page.
struct PageFollower {
    pages: Router,
    console: SharedConsole,
    visitor: Visitor,
    uri: Uri,
    headers: HeaderMap,
    peer: ConnectInfo<HttpPeer>,
    /// Hashes of the parts as they were sent, by their openings.
    sent: HashMap<String, u64>,
    /// Hash of all parts that the browser had when its stream broke off.
    resumed: Option<u64>,
    _open: OpenStream,
}

impl PageFollower {
    /// Makes the page, or returns `None` if the visitor may not see it any more.
    async fn page(&self) -> Option<String> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request.extensions_mut().insert(self.peer);
        let response = match self.pages.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        if response.status() != StatusCode::OK {
            return None;
        }
        let page = Limited::new(response.into_body(), PAGE_MAX).collect().await.ok()?.to_bytes();
        String::from_utf8(page.to_vec()).ok()
    }

    /// Returns the events about what changed in a page.
    fn events(&mut self, page: &str) -> Vec<Event> {
        let all = hash(&parts(page).collect::<String>());
        let known = self.resumed.take() == Some(all);
        let mut events = Vec::new();
        for part in parts(page) {
            // An event cannot hold a carriage return.
            let now = hash(part);
            let before = self.sent.insert(opening(part).to_owned(), now);
            if !known && before != Some(now) {
                events.push(Event::default().event("part").id(format!("{all:016x}")).data(part.replace('\r', "&#13;")));
            }
        }
        events
    }

    /// Waits until the next look. Returns `false` if the stream ends before it.
    async fn rest(&self, answers: &mpsc::Sender<Result<Event, Infallible>>) -> bool {
        let next = Instant::now() + EVERY;
        let draining = self.console.api.draining();
        while Instant::now() < next {
            tokio::select! {
                () = answers.closed() => return false,
                () = draining.cancelled() => return false,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if !self.visitor.is_current() {
                return false;
            }
        }
        true
    }

    async fn follow(mut self, answers: mpsc::Sender<Result<Event, Infallible>>) {
        // The browser has just loaded the page. One whose stream broke off is sent what it missed at once.
        let mut goes_on = self.resumed.is_some() || self.rest(&answers).await;
        while goes_on {
            let Some(page) = self.page().await else { break };
            let mut events = self.events(&page);
            // Something is sent with each look, so that the connection is not closed as a silent one.
            events.push(Event::default().comment(""));
            for event in events {
                // The browser may be gone.
                if answers.send(Ok(event)).await.is_err() {
                    return;
                }
            }
            goes_on = self.rest(&answers).await;
        }
        let _ = answers.send(Ok(Event::default().event("end").data("sign in again"))).await;
    }
}

/// Streams what changes in a page.
pub(super) async fn stream(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Extension(LivePages(pages)): Extension<LivePages>,
    peer: ConnectInfo<HttpPeer>,
    Query(LiveQuery { page }): Query<LiveQuery>,
    headers: HeaderMap,
) -> PageResult {
    visitor.check(Role::View)?;
    let unknown = PageError::Request(StatusCode::BAD_REQUEST, "the address names no page of this host");
    let uri = page
        .parse::<Uri>()
        .ok()
        .filter(|uri| page.starts_with('/') && !page.starts_with("//") && uri.authority().is_none());
    let uri = uri.ok_or(unknown)?;
    let full = PageError::Request(
        StatusCode::TOO_MANY_REQUESTS,
        "too many pages are open; this one is refreshed without a stream",
    );
    let open = console.live.take(visitor.name()).ok_or(full)?;
    let resumed = headers.get("last-event-id").and_then(|id| u64::from_str_radix(id.to_str().ok()?, 16).ok());
    let kept = PASSED_ON.into_iter().filter_map(|name| Some((name.clone(), headers.get(&name)?.clone())));
    let (answers, stream) = mpsc::channel(WAITING);
    let follower = PageFollower {
        pages,
        console: Arc::clone(&console),
        visitor,
        uri,
        headers: kept.collect(),
        peer,
        sent: HashMap::new(),
        resumed,
        _open: open,
    };
    console.api.spawn(follower.follow(answers));
    Ok(Sse::new(ReceiverStream::new(stream)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_parts_are_found_in_a_page_and_texts_cannot_pretend_to_be_one() {
        let page = html! {
            p { (BEGIN) "<div id=x>" (END) }
            (live_part("a", &html! { p { (BEGIN) } }))
            p { "between" }
            (live_while("b", false, &html! { "two" }))
        };
        let page = page.into_string();
        let found: Vec<&str> = parts(&page).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("<div id=\"a\" data-live>") && found[0].contains("&lt;!--live"), "{found:?}");
        assert_eq!((opening(found[1]), found[1]), ("<div id=\"b\"", "<div id=\"b\">two</div>"));
    }

    #[test]
    fn streams_are_bounded_for_each_key_and_for_all() {
        let streams = Arc::new(LiveStreams::new(KEY_STREAMS_MAX + 2));
        let mut of_anna: Vec<_> = (0..KEY_STREAMS_MAX).map(|_| streams.take(Some("anna")).unwrap()).collect();
        assert!(streams.take(Some("anna")).is_none(), "too many of one key");
        let _ben = streams.take(Some("ben")).unwrap();
        let nobody = streams.take(None).unwrap();
        assert!(streams.take(Some("ben")).is_none() && streams.take(None).is_none(), "too many of all");
        of_anna.pop();
        assert!(streams.take(Some("anna")).is_some(), "a stream that ends makes room");
        drop((of_anna, nobody));
        assert_eq!(streams.open().by_key.keys().collect::<Vec<_>>(), ["ben"]);
    }
}
