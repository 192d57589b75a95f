//! Bodies of answers, at whose end the span of a call ends.
//!
//! The code of a call of gRPC stands in the headers of an answer without messages, and otherwise in the trailers behind
//! them. A stream is therefore one span, from its first request to its last answer.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    body::Bytes,
    http::{HeaderMap, Response},
};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::CallSpan;
use crate::wire::CallSlot;

/// Codes that a call was answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallCodes {
    /// Status of the answer over HTTP.
    pub(super) http: u16,
    /// Code of gRPC, or `None` if the answer has none so far.
    pub(super) grpc: Option<i32>,
}

impl CallCodes {
    /// Returns the codes in the headers of an answer.
    pub(super) fn of<B>(answer: &Response<B>) -> Self {
        Self { http: answer.status().as_u16(), grpc: grpc_code(answer.headers()) }
    }
}

/// Code of gRPC in headers or trailers.
fn grpc_code(headers: &HeaderMap) -> Option<i32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// Span of a call. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct OpenSpan {
    span: CallSpan,
    slot: CallSlot,
    /// Codes of the answer, or `None` while there is no answer.
    codes: Option<CallCodes>,
}

impl OpenSpan {
    pub(super) fn new(span: CallSpan, slot: CallSlot) -> Self {
        Self { span, slot, codes: None }
    }

    /// Returns the span of a call that was answered.
    pub(super) fn with_codes(mut self, codes: CallCodes) -> Self {
        self.codes = Some(codes);
        self
    }

    /// Takes over the code that trailers have.
    fn note_trailers(&mut self, trailers: &HeaderMap) {
        if let (Some(codes), Some(code)) = (&mut self.codes, grpc_code(trailers)) {
            codes.grpc = Some(code);
        }
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        self.span.end(self.codes, self.slot.id());
    }
}

/// Body of an answer that can hold the span of its call until its end.
pub(super) trait SpannedBody {
    /// Returns the body, at whose end the span ends.
    fn until_end(self, open: OpenSpan) -> Self;
}

impl SpannedBody for tonic::body::Body {
    fn until_end(self, open: OpenSpan) -> Self {
        Self::new(HoldingBody { body: self, open })
    }
}

impl SpannedBody for axum::body::Body {
    fn until_end(self, open: OpenSpan) -> Self {
        Self::new(HoldingBody { body: self, open })
    }
}

/// Body that holds the span of its call.
struct HoldingBody<B> {
    body: B,
    open: OpenSpan,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for HoldingBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            this.open.note_trailers(trailers);
        }
        Poll::Ready(frame)
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
    fn the_code_of_a_call_is_read_from_its_headers() {
        let answer = |code: &str| Response::builder().status(200).header("grpc-status", code).body(()).unwrap();
        assert_eq!(CallCodes::of(&answer("5")), CallCodes { http: 200, grpc: Some(5) });
        assert_eq!(CallCodes::of(&answer("five")).grpc, None);
        assert_eq!(
            CallCodes::of(&Response::builder().status(404).body(()).unwrap()),
            CallCodes { http: 404, grpc: None }
        );
    }
}
