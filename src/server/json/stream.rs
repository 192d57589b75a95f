//! Answers of a call that streams, as server-sent events.
//!
//! ```text
//! data: {…}                 each message in its JSON form
//! event: end                the stream is whole
//! event: error  data: {…}   the stream ends with a problem of RFC 9457
//! ```
//!
//! Invariants:
//!
//! * A stream that ends without one of the two last events is not whole.
//! * A stream counts as an open call until it ends.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::body::Bytes;
use http_body::{Body as HttpBody, Frame};
use prost_reflect::MessageDescriptor;
use tonic::{Status, body::Body};

use super::{REPLY_BYTES_MAX, message, refused};
use crate::server::{calls::OpenCall, problem::HttpProblem};

/// Bytes before a message: whether it is compressed, and how long it is.
const PREFIX: usize = 5;

/// Body of server-sent events.
#[derive(Debug)]
pub(super) struct EventBody {
    messages: Body,
    output: MessageDescriptor,
    /// Bytes that came and are not passed on yet.
    waiting: Vec<u8>,
    ended: bool,
    _open: OpenCall,
}

impl EventBody {
    /// Creates the events of messages of a type.
    pub(super) fn new(messages: Body, output: MessageDescriptor, open: OpenCall) -> Self {
        Self { messages, output, waiting: Vec::new(), ended: false, _open: open }
    }

    /// Takes the first message out of what waits, or returns `None` if it is not whole yet.
    fn next_message(&mut self) -> Result<Option<Bytes>, HttpProblem> {
        let Some(prefix) = self.waiting.first_chunk::<PREFIX>() else { return Ok(None) };
        let [compressed, a, b, c, d] = *prefix;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if compressed != 0 || length > REPLY_BYTES_MAX {
            return Err(HttpProblem::internal("a message of the stream cannot be passed on"));
        }
        if self.waiting.len() < PREFIX + length {
            return Ok(None);
        }
        let rest = self.waiting.split_off(PREFIX + length);
        let mut whole = Bytes::from(std::mem::replace(&mut self.waiting, rest));
        Ok(Some(whole.split_off(PREFIX)))
    }

    /// Returns the event of the next message, or `None` if none is whole yet.
    fn next_event(&mut self) -> Result<Option<Vec<u8>>, HttpProblem> {
        let Some(bytes) = self.next_message()? else { return Ok(None) };
        let json = message::write(self.output.clone(), bytes)?;
        Ok(Some([b"data: ", json.as_slice(), b"\n\n"].concat()))
    }

    /// Ends the stream, with a problem if there is one.
    fn end(&mut self, problem: Option<&HttpProblem>) -> Vec<u8> {
        self.ended = true;
        let (name, json) = match problem {
            None => ("end", "{}".to_owned()),
            Some(problem) => ("error", serde_json::to_string(problem).unwrap_or_default()),
        };
        format!("event: {name}\ndata: {json}\n\n").into_bytes()
    }

    /// Takes in a part of the messages. Returns the event that it makes, or `None` if it takes further parts.
    fn take(&mut self, part: Option<Result<Frame<Bytes>, Status>>) -> Option<Vec<u8>> {
        let frame = match part {
            Some(Ok(frame)) => frame,
            Some(Err(status)) => return Some(self.end(Some(&status.into()))),
            None => {
                let problem = HttpProblem::internal("the stream ended before it was whole");
                return Some(self.end(Some(&problem)));
            }
        };
        match frame.into_data() {
            Ok(data) => {
                self.waiting.extend_from_slice(&data);
                None
            }
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                let problem = refused(&trailers).err();
                Some(self.end(problem.as_ref()))
            }
        }
    }
}

impl HttpBody for EventBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        loop {
            if this.ended {
                return Poll::Ready(None);
            }
            let event = match this.next_event() {
                Ok(Some(event)) => Some(event),
                Err(problem) => Some(this.end(Some(&problem))),
                Ok(None) => {
                    let part = ready!(Pin::new(&mut this.messages).poll_frame(context));
                    this.take(part)
                }
            };
            if let Some(event) = event {
                return Poll::Ready(Some(Ok(Frame::data(event.into()))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use http_body_util::{BodyExt as _, StreamBody};
    use prost::Message as _;
    use tonic::Code;

    use super::*;
    use crate::{server::calls::CallLimits, wire::proto::DecideResponse};

    /// Returns the events of frames that come as they are.
    async fn events(frames: Vec<Frame<Bytes>>) -> String {
        let frames = tokio_stream::iter(frames.into_iter().map(Ok::<_, Infallible>));
        let output = super::super::descriptors().unwrap().get_message_by_name("slotwise.v1.DecideResponse").unwrap();
        let open = CallLimits::new(1, 1, 1).open("/v1/StreamExport").unwrap();
        let body = EventBody::new(Body::new(StreamBody::new(frames)), output, open);
        let whole = tokio::time::timeout(Duration::from_secs(20), body.collect()).await.unwrap();
        String::from_utf8(whole.unwrap().to_bytes().to_vec()).unwrap()
    }

    fn framed(model: &str) -> Vec<u8> {
        let message = DecideResponse { model: model.into(), ..DecideResponse::default() }.encode_to_vec();
        [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), &message].concat()
    }

    fn trailers(code: Code) -> Frame<Bytes> {
        let mut headers = axum::http::HeaderMap::new();
        Status::new(code, "why").add_header(&mut headers).unwrap();
        Frame::trailers(headers)
    }

    #[tokio::test]
    async fn messages_become_events_however_they_are_cut() {
        let bytes = [framed("a"), framed(""), framed("b")].concat();
        let want = "data: {\"model\":\"a\"}\n\ndata: {}\n\ndata: {\"model\":\"b\"}\n\nevent: end\ndata: {}\n\n";
        for piece in 1..=bytes.len() {
            let mut frames: Vec<_> =
                bytes.chunks(piece).map(|part| Frame::data(Bytes::copy_from_slice(part))).collect();
            frames.push(trailers(Code::Ok));
            assert_eq!(events(frames).await, want, "in pieces of {piece}");
        }
    }

    #[tokio::test]
    async fn a_stream_that_is_not_whole_ends_with_an_error() {
        let first = || Frame::data(Bytes::from(framed("a")));
        let refused = events(vec![first(), trailers(Code::ResourceExhausted)]).await;
        assert!(refused.starts_with("data: {\"model\":\"a\"}\n\nevent: error\n"), "{refused}");
        assert!(refused.contains("\"status\":429") && refused.contains("\"detail\":\"why\""), "{refused}");
        let cut = events(vec![first()]).await;
        assert!(cut.contains("event: error") && cut.contains("before it was whole"), "{cut}");
        let long = events(vec![Frame::data(Bytes::from_static(&[0, 255, 255, 255, 255]))]).await;
        assert!(long.starts_with("event: error") && !long.contains("event: end"), "{long}");
    }
}
