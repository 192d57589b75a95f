//! Calls: how many may be open, and how many bytes of their requests may be on their way.
//!
//! Calls that read (reports, explanations, previews, slots: those of the role `view`) are a plane of their own. Fewer of
//! them may be open, and they are worked on a few at a time, so that decisions and events never wait behind reports.
//!
//! A request's bytes count from their arrival until its call is answered; on a stream until its next message begins,
//! for by then the message before was taken. What does not fit is refused with `RESOURCE_EXHAUSTED` and `RetryInfo`.

use std::{
    convert::Infallible,
    num::NonZeroUsize,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::{body::Bytes, http};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use crate::{
    access::{Role, requirement},
    wire::too_much,
};

/// Bytes before each message: whether it is compressed, and how long it is.
const PREFIX: usize = 5;

/// Calls that read and are worked on at a time, at least: one that takes long must not hold up all others.
const READS_AT_A_TIME_MIN: usize = 2;

/// Limits of the calls and bytes of all connections.
#[derive(Debug, Clone)]
pub(super) struct CallLimits(Arc<LoadGauges>);

#[derive(Debug)]
struct LoadGauges {
    calls: Gauge,
    /// Calls that read, which count among all calls too.
    reads: Gauge,
    bytes: Gauge,
    /// Turns of the calls that read.
    turns: Arc<Semaphore>,
}

/// A number that may not pass its bound.
#[derive(Debug)]
struct Gauge {
    now: AtomicUsize,
    most: usize,
}

impl Gauge {
    fn new(most: usize) -> Self {
        Self { now: AtomicUsize::new(0), most }
    }

    fn take(&self, count: usize) -> bool {
        let fits = |now: usize| now.checked_add(count).filter(|sum| *sum <= self.most);
        self.now.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fits).is_ok()
    }

    fn give_back(&self, count: usize) {
        self.now.fetch_sub(count, Ordering::SeqCst);
    }
}

impl CallLimits {
    /// Creates the limits: of all calls, of those that read, and of bytes.
    pub(super) fn new(calls: usize, reads: usize, bytes: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let turns = Arc::new(Semaphore::new(cores.max(READS_AT_A_TIME_MIN)));
        Self(Arc::new(LoadGauges {
            calls: Gauge::new(calls),
            reads: Gauge::new(reads),
            bytes: Gauge::new(bytes),
            turns,
        }))
    }

    /// Opens a call of a path, which counts until it is dropped. Returns `Err` if too many are open.
    pub(super) fn open(&self, path: &str) -> Result<OpenCall, Status> {
        if !self.0.calls.take(1) {
            return Err(too_much("too many calls are open; see the setting limits.calls"));
        }
        let mut call = OpenCall { counts: Arc::clone(&self.0), held: AtomicUsize::new(0), reads: false };
        if requirement(path) == Some(Role::View) {
            call.reads = self.0.reads.take(1);
            if !call.reads {
                return Err(too_much("too many calls that read are open; see the setting limits.reads"));
            }
        }
        Ok(call)
    }
}

impl<S> Layer<S> for CallLimits {
    type Service = LimitedService<S>;

    fn layer(&self, inner: S) -> LimitedService<S> {
        LimitedService { inner, limits: self.clone() }
    }
}

/// A service whose calls count.
#[derive(Debug, Clone)]
pub(super) struct LimitedService<S> {
    inner: S,
    limits: CallLimits,
}

impl<S> Service<http::Request<Body>> for LimitedService<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        // A probe must learn how the service does whatever the load.
        if request.uri().path().starts_with("/grpc.health.") {
            return Box::pin(self.inner.call(request));
        }
        let call = match self.limits.open(request.uri().path()) {
            Ok(call) => Arc::new(call),
            Err(refused) => return Box::pin(std::future::ready(Ok(refused.into_http()))),
        };
        let counted = |body| Body::new(MeteredBody { body, call: Arc::clone(&call), framing: Framing::default() });
        let answered = self.inner.call(request.map(counted));
        Box::pin(async move {
            // The work of the call begins with the first look at its answer.
            let turn = call.turn().await;
            let answer = answered.await;
            drop(turn);
            // The request's body may live on, on a stream; then the call counts for as long.
            drop(call);
            answer
        })
    }
}

/// An open call and the bytes of its request that are held.
#[derive(Debug)]
pub(super) struct OpenCall {
    counts: Arc<LoadGauges>,
    held: AtomicUsize,
    /// The call is one that reads.
    reads: bool,
}

impl OpenCall {
    /// Waits for the call's turn, which it has until what is returned is dropped. Returns `None` for a call that waits for
    /// no turn.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        if self.reads { Arc::clone(&self.counts.turns).acquire_owned().await.ok() } else { None }
    }

    /// Counts bytes that arrived. Returns `false` if there is no room for them.
    pub(super) fn hold(&self, bytes: usize) -> bool {
        let fits = self.counts.bytes.take(bytes);
        if fits {
            self.held.fetch_add(bytes, Ordering::SeqCst);
        }
        fits
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.counts.calls.give_back(1);
        self.counts.reads.give_back(usize::from(self.reads));
        self.counts.bytes.give_back(self.held.load(Ordering::SeqCst));
    }
}

/// Position of a request's body within its messages.
#[derive(Debug, Default)]
struct Framing {
    prefix: [u8; PREFIX],
    /// Bytes of the prefix that came.
    came: usize,
    /// Bytes of the message that are still to come.
    left: usize,
    /// Bytes of messages before the one that is arriving.
    before: usize,
    /// Bytes of the message that is arriving.
    arriving: usize,
}

impl Framing {
    /// Takes in bytes. Afterwards `before` counts those of messages that are complete and followed by another.
    fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left == 0 && self.came == PREFIX {
                // The message before is complete, and another one begins.
                self.before += self.arriving;
                (self.arriving, self.came) = (0, 0);
            }
            if self.came < PREFIX {
                self.prefix[self.came] = bytes[0];
                (self.came, self.arriving, bytes) = (self.came + 1, self.arriving + 1, &bytes[1..]);
                if self.came == PREFIX {
                    let [_, a, b, c, d] = self.prefix;
                    self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                }
                continue;
            }
            let now = self.left.min(bytes.len());
            (self.left, self.arriving, bytes) = (self.left - now, self.arriving + now, &bytes[now..]);
        }
    }
}

/// Request body whose bytes count against the limits.
struct MeteredBody {
    body: Body,
    call: Arc<OpenCall>,
    framing: Framing,
}

impl HttpBody for MeteredBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        // More is asked for, so the messages that were complete before have been taken.
        let taken = std::mem::take(&mut this.framing.before);
        this.call.held.fetch_sub(taken, Ordering::SeqCst);
        this.call.counts.bytes.give_back(taken);
        let frame = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other),
        };
        if let Some(bytes) = frame.data_ref() {
            if !this.call.hold(bytes.len()) {
                let message = "too many bytes of requests are on their way; see the setting limits.bytes_in_flight";
                return Poll::Ready(Some(Err(too_much(message))));
            }
            this.framing.advance(bytes);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_until_the_next_message_begins_however_they_are_cut() {
        let message = |n: usize| [&[0][..], &u32::try_from(n).unwrap().to_be_bytes(), &vec![7; n]].concat();
        let all = [message(10), message(0), message(3), message(100)].concat();
        for piece in 1..=all.len() {
            let mut framing = Framing::default();
            all.chunks(piece).for_each(|bytes| framing.advance(bytes));
            assert_eq!((framing.before, framing.arriving, framing.left), (15 + 5 + 8, 105, 0), "in pieces of {piece}");
        }
    }

    #[tokio::test]
    async fn calls_that_read_leave_room_for_decisions_and_take_turns() {
        let limits = CallLimits::new(READS_AT_A_TIME_MIN + 64, READS_AT_A_TIME_MIN + 60, 10);
        let report = "/slotwise.v1.InsightService/GetSlotReport";
        let reads: Vec<OpenCall> = (0..READS_AT_A_TIME_MIN + 60).map(|_| limits.open(report).unwrap()).collect();
        let refused = limits.open("/v1/GetSlotReport").unwrap_err();
        assert!(refused.message().contains("limits.reads"), "{refused}");
        let decide = limits.open("/v1/Decide").unwrap();
        assert!(decide.turn().await.is_none(), "a decision waits for no turn");
        let mut turns = Vec::new();
        while let Ok(turn) = tokio::time::timeout(std::time::Duration::from_millis(50), reads[turns.len()].turn()).await
        {
            turns.push(turn);
        }
        assert!((READS_AT_A_TIME_MIN..reads.len()).contains(&turns.len()), "{} at a time", turns.len());
        turns.pop();
        let next = reads[turns.len()].turn();
        assert!(
            tokio::time::timeout(std::time::Duration::from_secs(5), next).await.is_ok(),
            "the next one has its turn"
        );
        drop(reads);
        assert!(limits.open(report).is_ok());
    }

    #[test]
    fn a_gauge_takes_no_more_than_its_bound() {
        let gauge = Gauge::new(10);
        assert!(gauge.take(7) && !gauge.take(4) && gauge.take(3));
        gauge.give_back(3);
        assert!(gauge.take(2) && !gauge.take(usize::MAX));
    }
}
