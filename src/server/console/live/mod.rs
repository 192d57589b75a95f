//! Live parts of pages: what changed in an open page, as server-sent events.
//!
//! ```text
//! event: part  data: <div id="…" data-live>…   a part that changed
//! event: end   data: why                       nothing more comes, because the visitor may not see the page any more
//! ```
//!
//! * `followed`: pages that streams follow. A page is made again every other second, as a visit would make it, once for all
//!   streams that show the same. This file sends each stream the parts that differ from what it was sent before.
//!
//! Invariants:
//!
//! * A stream shows nothing that a visit would not show.
//! * A stream ends within half a second of the end of its visitor's key, and when the service stops.
//! * The numbers of streams are bounded, for each key and for all. A page whose stream is refused asks for itself now and then.

mod followed;

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::IntoResponse as _,
};
use maud::{Markup, PreEscaped, html};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

pub(super) use followed::FollowedPages;
use followed::{PageFollowing, PageKey, PageState, PageVersion};

use super::{
    SharedConsole,
    visitor::{PageError, PageResult, Visitor},
};
use crate::{
    access::Role,
    server::{http_call::HttpPeer, json::EVENT_STREAM},
};

/// Time between two looks at the visitor's key.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Number of moments at which streams send what changed, so that they do not all send at once.
const MOMENTS: u64 = 20;
/// Time between two such moments.
const MOMENT: Duration = Duration::from_millis(10);
/// Greatest number of streams of one key. Several people may sign in with the key of a team.
const KEY_STREAMS_MAX: usize = 64;
/// Events that may wait for a slow browser.
const WAITING: usize = 16;

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

/// Pages that a stream may follow.
#[derive(Debug, Clone)]
pub(super) struct LivePages(pub(super) Router);

/// Numbers of open streams, of all visitors and by the name of their key.
#[derive(Debug)]
pub(super) struct LiveStreams {
    most: usize,
    open: Mutex<StreamCounts>,
    /// Number of streams so far.
    begun: AtomicU64,
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
        Self { most, open: Mutex::default(), begun: AtomicU64::new(0) }
    }

    fn open(&self) -> MutexGuard<'_, StreamCounts> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the time by which a new stream sends later than others, the next one after the one before.
    fn next_delay(&self) -> Duration {
        let moment = self.begun.fetch_add(1, Ordering::Relaxed) % MOMENTS;
        MOMENT * u32::try_from(moment).unwrap_or(0)
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

/// Stream to one browser.
struct BrowserStream {
    console: SharedConsole,
    visitor: Visitor,
    /// Headers of the browser's request, which name its session.
    headers: HeaderMap,
    page: PageFollowing,
    delay: Duration,
    /// Hashes of the parts as they were sent, by their openings.
    sent: HashMap<String, u64>,
    /// Hash of all parts that the browser had when its stream broke off.
    resumed: Option<u64>,
    _open: OpenStream,
}

impl BrowserStream {
    /// Returns the events about what changed in a page.
    fn events(&mut self, page: &PageVersion) -> Vec<Bytes> {
        let known = self.resumed.take() == Some(page.hash);
        let mut events = Vec::new();
        for part in &page.parts {
            let before = match self.sent.get_mut(&part.opening) {
                Some(sent) => Some(std::mem::replace(sent, part.hash)),
                None => self.sent.insert(part.opening.clone(), part.hash),
            };
            if !known && before != Some(part.hash) {
                events.push(part.event.clone());
            }
        }
        // Something is sent with each look, so that the connection is not closed as a silent one.
        events.push(Bytes::from_static(b":\n\n"));
        events
    }

    /// Returns `true` if the visitor's key is still taken and the session is open.
    fn is_current(&self) -> bool {
        self.visitor.is_current()
            && (!self.console.access.is_required() || self.console.sessions.caller(&self.headers).is_some())
    }

    /// Returns the next state of the page, or `None` if the stream ends before.
    async fn next_state(&mut self, answers: &mpsc::Sender<Result<Bytes, Infallible>>) -> Option<PageState> {
        let draining = self.console.api.draining();
        loop {
            tokio::select! {
                () = answers.closed() => return None,
                () = draining.cancelled() => return None,
                state = self.page.next() => {
                    tokio::time::sleep(self.delay).await;
                    return state.filter(|_| self.is_current());
                }
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if !self.visitor.is_current() {
                return None;
            }
        }
    }

    async fn send(mut self, answers: mpsc::Sender<Result<Bytes, Infallible>>) {
        while let Some(PageState::Shown(page)) = self.next_state(&answers).await {
            for event in self.events(&page) {
                // The browser may be gone.
                if answers.send(Ok(event)).await.is_err() {
                    return;
                }
            }
        }
        let _ = answers.send(Ok(Bytes::from_static(b"event: end\ndata: sign in again\n\n"))).await;
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
    let (answers, stream) = mpsc::channel(WAITING);
    // The browser has just loaded the page. One whose stream broke off is sent what it missed at once.
    let key = PageKey::new(uri, &visitor);
    let page = console.followed.follow(&console, pages, (key, &visitor), peer, resumed.is_some());
    let delay = console.live.next_delay();
    let console_of_stream = Arc::clone(&console);
    let browser = BrowserStream {
        console: console_of_stream,
        visitor,
        headers,
        page,
        delay,
        sent: HashMap::new(),
        resumed,
        _open: open,
    };
    console.api.spawn(browser.send(answers));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    Ok((headers, Body::from_stream(ReceiverStream::new(stream))).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

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
