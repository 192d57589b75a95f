//! Pages that streams follow, each made once for all streams that show the same.
//!
//! ```text
//! streams of one address, one host and one caller -> one followed page, made every 1.8 s -> its parts as events
//! ```
//!
//! Invariants:
//!
//! * Streams share a page only if a visit of either would show the same: the address, the host and the caller are equal.
//! * One page is made at a time, so that decisions find the other threads free.
//! * A page that no stream follows any more is not made, and neither is one of a slot in which nothing happened.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::ConnectInfo,
    http::{Request, StatusCode, Uri},
};
use http_body_util::{BodyExt as _, Limited};
use tokio::{
    sync::{Mutex as AsyncMutex, Notify, watch},
    time::Instant,
};
use tower::ServiceExt as _;

use super::{BEGIN, END};
use crate::{
    engine::SlotView,
    server::{
        console::{SharedConsole, visitor::Visitor},
        http_call::HttpPeer,
    },
};

/// Time between two versions of a page. Streams send it within a fifth of a second, so that numbers are two seconds old at most.
const EVERY: Duration = Duration::from_millis(1_800);
/// Number of followed pages up to which each is made at that pace. More of them share what these cost, so that a shop whose people
/// look at many slots pays no more for it.
const PAGES_AT_PACE: u32 = 32;
/// Time after which a page shows all that happened, for it may show a report from before.
const REPORT_AGE_MAX: Duration = Duration::from_secs(3);
/// Greatest age of a page in whose slot nothing happened.
const UNCHANGED_AGE_MAX: Duration = Duration::from_secs(30);
/// Greatest size of a page, bytes.
const PAGE_MAX: usize = 8 << 20;

/// Live part of a page.
#[derive(Debug)]
pub(super) struct LivePart {
    /// Beginning of the part, up to its content. It is the same in every version of the part.
    pub(super) opening: String,
    pub(super) hash: u64,
    /// The part as a server-sent event.
    pub(super) event: Bytes,
}

/// Page as it was at a moment.
#[derive(Debug)]
pub(super) struct PageVersion {
    /// Hash of all parts.
    pub(super) hash: u64,
    pub(super) parts: Vec<LivePart>,
}

/// State of a followed page.
#[derive(Debug, Clone)]
pub(super) enum PageState {
    Shown(Arc<PageVersion>),
    /// The page is not shown any more: its slot was deleted, or the caller may not see it.
    Gone,
}

/// Returns the live parts of a page.
fn parts(page: &str) -> impl Iterator<Item = &str> {
    page.split(BEGIN).skip(1).filter_map(|rest| rest.split_once(END).map(|(part, _)| part))
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Returns a part as an event. Its lines are those of the part; an event cannot hold a carriage return.
fn event(id: u64, part: &str) -> Bytes {
    let mut text = format!("event: part\nid: {id:016x}\n");
    for line in part.replace('\r', "&#13;").split('\n') {
        text.push_str("data: ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    Bytes::from(text)
}

impl PageVersion {
    fn of(page: &str) -> Self {
        let all = hash(&parts(page).collect::<String>());
        let part = |part: &str| LivePart {
            opening: part.split_once('>').map_or(part, |(opening, _)| opening).to_owned(),
            hash: hash(part),
            event: event(all, part),
        };
        Self { hash: all, parts: parts(page).map(part).collect() }
    }
}

/// Returns the time between two versions of a page, of which there are this many.
fn pace(pages: usize) -> Duration {
    let pages = u32::try_from(pages).unwrap_or(u32::MAX).max(PAGES_AT_PACE);
    EVERY.saturating_mul(pages) / PAGES_AT_PACE
}

/// Page by the things that decide what it shows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PageKey {
    uri: Uri,
    host: String,
    /// Caller by its place in memory, where it stays as long as the page is followed. `None` where nobody signs in.
    caller: Option<usize>,
}

impl PageKey {
    pub(super) fn new(uri: Uri, visitor: &Visitor) -> Self {
        Self { uri, host: visitor.host().to_owned(), caller: visitor.caller_place() }
    }
}

/// Page that is made again and again.
#[derive(Debug)]
struct FollowedPage {
    state: watch::Sender<Option<PageState>>,
    /// Asks for the next version at once.
    hurry: Notify,
}

/// Stream's side of a followed page.
#[derive(Debug)]
pub(super) struct PageFollowing(watch::Receiver<Option<PageState>>);

impl PageFollowing {
    /// Waits for the next state. Returns `None` if the page is not followed any more.
    pub(super) async fn next(&mut self) -> Option<PageState> {
        self.0.changed().await.ok()?;
        self.0.borrow_and_update().clone()
    }
}

/// Pages that are followed.
#[derive(Debug, Default)]
pub(in crate::server::console) struct FollowedPages {
    pages: Mutex<HashMap<PageKey, Arc<FollowedPage>>>,
    /// Held while a page is made.
    making: AsyncMutex<()>,
}

impl FollowedPages {
    fn pages(&self) -> MutexGuard<'_, HashMap<PageKey, Arc<FollowedPage>>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows a page from its next version on, which is made at once if there is `hurry`.
    pub(super) fn follow(
        &self,
        console: &SharedConsole,
        routes: Router,
        (key, visitor): (PageKey, &Visitor),
        peer: ConnectInfo<HttpPeer>,
        hurry: bool,
    ) -> PageFollowing {
        let mut pages = self.pages();
        let page = pages.entry(key).or_insert_with_key(|key| {
            let page = Arc::new(FollowedPage { state: watch::Sender::new(None), hurry: Notify::new() });
            let maker = PageMaker {
                console: Arc::clone(console),
                routes,
                key: key.clone(),
                visitor: visitor.for_streams(),
                peer,
                page: Arc::clone(&page),
            };
            console.api.spawn(maker.make());
            page
        });
        let following = PageFollowing(page.state.subscribe());
        if hurry {
            page.hurry.notify_one();
        }
        following
    }

    /// Lets a page go if no stream follows it. Returns `false` if one does.
    fn let_go(&self, key: &PageKey, page: &FollowedPage) -> bool {
        // Under the lock, because a stream that begins now would find the page.
        let mut pages = self.pages();
        let is_unused = page.state.receiver_count() == 0;
        if is_unused {
            pages.remove(key);
        }
        is_unused
    }
}

/// Maker of one followed page.
struct PageMaker {
    console: SharedConsole,
    routes: Router,
    key: PageKey,
    visitor: Visitor,
    peer: ConnectInfo<HttpPeer>,
    page: Arc<FollowedPage>,
}

/// Version of a page of a slot, with the slot's view that it shows.
struct MadeOfSlot {
    /// View. It is not held: the writer would have to copy what it changes.
    view: Weak<SlotView>,
    /// Time since which the slot has this view, as far as it was looked at.
    since: Instant,
    made: Instant,
    version: Arc<PageVersion>,
}

impl MadeOfSlot {
    fn is_of(&self, view: &Arc<SlotView>) -> bool {
        std::ptr::eq(self.view.as_ptr(), Arc::as_ptr(view))
    }

    /// Returns `true` if making the page again would show the same, because nothing happened in the slot. What fades by the clock
    /// is shown after a while.
    fn is_settled(&self) -> bool {
        self.made >= self.since + REPORT_AGE_MAX && self.made.elapsed() <= UNCHANGED_AGE_MAX
    }
}

/// Returns the slot of a page that shows nothing but what the slot's view has: Now and Arms.
fn slot_of_page(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/slots/")?;
    let (slot, page) = rest.split_once('/').unwrap_or((rest, ""));
    // The id of a slot may be written in another way than it is.
    (["", "arms"].contains(&page) && !slot.contains('%')).then_some(slot)
}

impl PageMaker {
    /// View of the slot that the page is of, or `None` for a page that shows more than a slot's view.
    fn view(&self) -> Option<Arc<SlotView>> {
        let slot = slot_of_page(self.key.uri.path())?;
        self.console.api.slot_of(&self.visitor.call(()), slot).ok()
    }

    /// Makes the page as a visit would, or returns `None` if the visitor may not see it any more.
    async fn version(&self) -> Option<PageVersion> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = self.key.uri.clone();
        request.extensions_mut().insert(self.peer);
        request.extensions_mut().insert(self.visitor.clone());
        let response = match self.routes.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        if response.status() != StatusCode::OK {
            return None;
        }
        let page = Limited::new(response.into_body(), PAGE_MAX).collect().await.ok()?.to_bytes();
        std::str::from_utf8(&page).ok().map(PageVersion::of)
    }

    /// Makes the page again and again, until no stream follows it or it is not shown any more.
    async fn make(self) {
        let draining = self.console.api.draining();
        let mut made: Option<MadeOfSlot> = None;
        loop {
            let pages = self.console.followed.pages().len();
            tokio::select! {
                () = draining.cancelled() => return,
                () = self.page.hurry.notified() => {}
                () = tokio::time::sleep(pace(pages)) => {}
            }
            let followed = &self.console.followed;
            if followed.let_go(&self.key, &self.page) || !self.visitor.is_current() {
                return;
            }
            let view = self.view();
            let same = made.take().filter(|made| view.as_ref().is_some_and(|view| made.is_of(view)));
            if let Some(settled) = same.as_ref().filter(|made| made.is_settled()) {
                self.page.state.send_replace(Some(PageState::Shown(Arc::clone(&settled.version))));
                made = same;
                continue;
            }
            let begun = Instant::now();
            let _making = followed.making.lock().await;
            let Some(version) = self.version().await.map(Arc::new) else { return };
            made = view.map(|view| MadeOfSlot {
                view: Arc::downgrade(&view),
                since: same.map_or(begun, |same| same.since),
                made: begun,
                version: Arc::clone(&version),
            });
            self.page.state.send_replace(Some(PageState::Shown(version)));
        }
    }
}

impl Drop for PageMaker {
    /// Ends the streams that follow the page. A stream that begins from now on makes another one.
    fn drop(&mut self) {
        let mut pages = self.console.followed.pages();
        if pages.get(&self.key).is_some_and(|now| Arc::ptr_eq(now, &self.page)) {
            pages.remove(&self.key);
        }
        drop(pages);
        self.page.state.send_replace(Some(PageState::Gone));
    }
}

#[cfg(test)]
mod tests {
    use maud::html;

    use super::{
        super::{live_part, live_while},
        *,
    };

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
        let version = PageVersion::of(&page);
        assert_eq!((version.parts[1].opening.as_str(), found[1]), ("<div id=\"b\"", "<div id=\"b\">two</div>"));
        assert_eq!(version.parts[1].hash, hash(found[1]));
    }

    #[test]
    fn pages_that_show_a_slot_alone_are_known() {
        for (path, slot) in [
            ("/slots/offers", Some("offers")),
            ("/slots/offers/arms", Some("offers")),
            ("/slots/offers/series", None),
            ("/slots/a%20b", None),
            ("/", None),
        ] {
            assert_eq!(slot_of_page(path), slot, "{path}");
        }
    }

    #[test]
    fn many_pages_share_what_some_cost() {
        for (pages, millis) in [(1, 1_800), (32, 1_800), (64, 3_600), (96, 5_400)] {
            assert_eq!(pace(pages), Duration::from_millis(millis), "{pages} pages");
        }
    }

    #[test]
    fn a_part_of_several_lines_is_one_event() {
        let text = |part: &str| String::from_utf8(event(10, part).to_vec()).unwrap();
        assert_eq!(text("<p>a\nb\r</p>"), "event: part\nid: 000000000000000a\ndata: <p>a\ndata: b&#13;</p>\n\n");
    }
}
