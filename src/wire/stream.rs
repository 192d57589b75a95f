//! Streams of requests with one answer for each, in order.

use std::{future::Future, pin::Pin};

use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status, Streaming};

use super::{Api, error};
use crate::node::{Node, WriteError};

/// Greatest number of batches of one stream that may wait for the disk.
const IN_FLIGHT: usize = 64;

/// Next message of a caller's stream, or `None` at its end. The service's stop ends a stream with an error.
pub(super) async fn next_message<Q>(
    requests: &mut Streaming<Q>,
    draining: &CancellationToken,
) -> Result<Option<Q>, Status> {
    tokio::select! {
        next = requests.message() => next,
        () = draining.cancelled() => Err(error::write(&WriteError::Stopped)),
    }
}

/// Stream of answers.
pub(super) type AnswerStream<A> = Pin<Box<dyn Stream<Item = Result<A, Status>> + Send>>;

impl Api {
    /// Answers the requests of a stream in order. Requests are submitted while earlier ones wait for their answers. The
    /// first request in error ends the stream.
    pub(super) fn answer_in_order<Q, A, F>(
        &self,
        node: &Node,
        request: Request<Streaming<Q>>,
        submit: impl Fn(Q) -> Result<F, Status> + Send + Sync + 'static,
    ) -> AnswerStream<A>
    where
        Q: Send + 'static,
        A: Send + 'static,
        F: Future<Output = Result<A, Status>> + Send + 'static,
    {
        let mut requests = request.into_inner();
        let (waiting, in_order) = mpsc::channel(IN_FLIGHT);
        let mut failure = node.failure();
        let draining = self.draining();
        self.tasks().spawn(async move {
            loop {
                let next = tokio::select! {
                    next = requests.next() => next,
                    () = draining.cancelled() => Some(Err(error::write(&WriteError::Stopped))),
                    _ = failure.changed() => Some(Err(error::write(&WriteError::Failed("the journal failed".into())))),
                };
                let submitted = match next {
                    None => return,
                    Some(Ok(request)) => submit(request),
                    Some(Err(status)) => Err(status),
                };
                let last = submitted.is_err();
                // The receiver is gone if the caller is. What was submitted is recorded all the same.
                if waiting.send(submitted).await.is_err() || last {
                    return;
                }
            }
        });
        let answers = ReceiverStream::new(in_order).then(|submitted| async move {
            match submitted {
                Ok(results) => results.await,
                Err(status) => Err(status),
            }
        });
        Box::pin(answers)
    }
}
