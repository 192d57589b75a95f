//! Calls: how many may be open, and how many bytes of their requests may be on their way.
//!
//! A request's bytes count from their arrival until its call is answered; on a stream until its next message begins,
//! for by then the message before was taken. What does not fit is refused with `RESOURCE_EXHAUSTED` and `RetryInfo`.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::{body::Bytes, http};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use crate::wire::too_much;

/// Bytes before each message: whether it is compressed, and how long it is.
const PREFIX: usize = 5;

/// Limits of the calls and bytes of all connections.
#[derive(Debug, Clone)]
pub(super) struct CallLimits(Arc<LoadGauges>);

#[derive(Debug)]
struct LoadGauges {
    calls: Gauge,
    bytes: Gauge,
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
    pub(super) fn new(calls: usize, bytes: usize) -> Self {
        Self(Arc::new(LoadGauges { calls: Gauge::new(calls), bytes: Gauge::new(bytes) }))
    }

    /// Opens a call, which counts until it is dropped. Returns `Err` if too many are open.
    pub(super) fn open(&self) -> Result<OpenCall, Status> {
        if !self.0.calls.take(1) {
            return Err(too_much("too many calls are open; see the setting limits.calls"));
        }
        Ok(OpenCall { counts: Arc::clone(&self.0), held: AtomicUsize::new(0) })
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
        let call = match self.limits.open() {
            Ok(call) => Arc::new(call),
            Err(refused) => return Box::pin(std::future::ready(Ok(refused.into_http()))),
        };
        let counted = |body| Body::new(MeteredBody { body, call: Arc::clone(&call), framing: Framing::default() });
        let answered = self.inner.call(request.map(counted));
        Box::pin(async move {
            let answer = answered.await;
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
}

impl OpenCall {
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

    #[test]
    fn a_gauge_takes_no_more_than_its_bound() {
        let gauge = Gauge::new(10);
        assert!(gauge.take(7) && !gauge.take(4) && gauge.take(3));
        gauge.give_back(3);
        assert!(gauge.take(2) && !gauge.take(usize::MAX));
    }
}
