//! Comparisons of policies, which run on while their page is looked at.
//!
//! A comparison reads the journal, which may take minutes. Its page shows how far it is, and its result until [`KEPT`] newer ones
//! have begun.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use data_encoding::BASE32_NOPAD;
use rand::{Rng as _, rngs::StdRng};
use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{Console, visitor::Visitor};
use crate::wire::proto::{
    ComparePoliciesRequest, ComparePoliciesResponse, ComparisonProgress, ComparisonResult,
    compare_policies_response::Step, insight_service_server::InsightService as _,
};

/// Number of comparisons that are kept.
const KEPT: usize = 32;
/// Time that a start waits for the result, so that a short comparison shows no progress.
const SHORT: Duration = Duration::from_millis(400);

/// Stage of a comparison.
#[derive(Debug, Clone)]
pub(super) enum ComparisonStage {
    /// The journal is read: records that were, and all of them, or 0 if that is unknown.
    Reading { done: u64, total: u64 },
    /// The result is there.
    Finished(Arc<ComparisonResult>),
    /// Early end, with its reason.
    Failed(String),
    /// End because a visitor stopped it.
    Stopped,
}

/// Comparison that was begun.
#[derive(Debug, Clone)]
pub(super) struct BegunComparison {
    id: String,
    slot: String,
    stage: watch::Receiver<ComparisonStage>,
    stop: CancellationToken,
}

/// Comparisons of all visitors, oldest first.
#[derive(Debug, Default)]
pub(super) struct Comparisons(Mutex<VecDeque<BegunComparison>>);

impl ComparisonStage {
    fn is_end(&self) -> bool {
        !matches!(self, Self::Reading { .. })
    }
}

/// Returns the stage that a message of the stream leads to, or `None` if it says nothing.
fn next_stage(message: Option<Result<ComparePoliciesResponse, Status>>) -> Option<ComparisonStage> {
    match message {
        Some(Ok(ComparePoliciesResponse { step: Some(Step::Progress(ComparisonProgress { done, total })) })) => {
            Some(ComparisonStage::Reading { done, total })
        }
        Some(Ok(ComparePoliciesResponse { step: Some(Step::Result(result)) })) => {
            Some(ComparisonStage::Finished(Arc::new(result)))
        }
        Some(Ok(ComparePoliciesResponse { step: None })) => None,
        Some(Err(status)) => Some(ComparisonStage::Failed(status.message().to_owned())),
        None => Some(ComparisonStage::Failed("the comparison ended without a result".to_owned())),
    }
}

async fn follow(
    mut answers: impl Stream<Item = Result<ComparePoliciesResponse, Status>> + Unpin,
    stage: watch::Sender<ComparisonStage>,
    stop: CancellationToken,
) {
    while !stage.borrow().is_end() {
        let next = tokio::select! {
            message = answers.next() => next_stage(message),
            () = stop.cancelled() => Some(ComparisonStage::Stopped),
        };
        if let Some(next) = next {
            stage.send_replace(next);
        }
    }
}

impl Comparisons {
    fn list(&self) -> std::sync::MutexGuard<'_, VecDeque<BegunComparison>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stage of a slot's comparison, or `None` if it is not kept.
    pub(super) fn stage(&self, slot: &str, id: &str) -> Option<ComparisonStage> {
        let list = self.list();
        let found = list.iter().find(|begun| begun.slot == slot && begun.id == id);
        found.map(|begun| begun.stage.borrow().clone())
    }

    /// Stops a slot's comparison.
    pub(super) fn stop(&self, slot: &str, id: &str) {
        for begun in self.list().iter().filter(|begun| begun.slot == slot && begun.id == id) {
            begun.stop.cancel();
        }
    }

    fn keep(&self, begun: BegunComparison) {
        let mut list = self.list();
        if list.len() >= KEPT
            && let Some(oldest) = list.pop_front()
        {
            oldest.stop.cancel();
        }
        list.push_back(begun);
    }
}

impl Console {
    /// Begins a comparison, and returns its id. A short one has ended by then.
    pub(super) async fn begin_comparison(
        &self,
        visitor: &Visitor,
        request: ComparePoliciesRequest,
    ) -> Result<String, Status> {
        let slot = request.slot_id.clone();
        let answers = self.api.compare_policies(visitor.call(request)).await?.into_inner();
        let (stage, mut watched) = watch::channel(ComparisonStage::Reading { done: 0, total: 0 });
        let stop = CancellationToken::new();
        self.api.spawn(follow(answers, stage, stop.clone()));
        let mut bytes = [0; 10];
        rand::make_rng::<StdRng>().fill_bytes(&mut bytes);
        let id = BASE32_NOPAD.encode(&bytes).to_lowercase();
        self.comparisons.keep(BegunComparison { id: id.clone(), slot, stage: watched.clone(), stop });
        // A comparison that takes longer goes on, and its page shows how far it is.
        let _ = tokio::time::timeout(SHORT, watched.wait_for(ComparisonStage::is_end)).await;
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(done: u64) -> ComparePoliciesResponse {
        let step = Step::Progress(ComparisonProgress { done, total: 9 });
        ComparePoliciesResponse { step: Some(step) }
    }

    #[tokio::test]
    async fn a_comparison_shows_its_progress_and_ends_with_the_result_or_when_it_is_stopped() {
        let (stage, watched) = watch::channel(ComparisonStage::Reading { done: 0, total: 0 });
        let result = Ok(ComparePoliciesResponse { step: Some(Step::Result(ComparisonResult::default())) });
        follow(tokio_stream::iter([Ok(progress(3)), result, Ok(progress(4))]), stage, CancellationToken::new()).await;
        assert!(matches!(*watched.borrow(), ComparisonStage::Finished(_)), "what comes later is not read");

        let (stage, watched) = watch::channel(ComparisonStage::Reading { done: 0, total: 0 });
        follow(tokio_stream::iter([Ok(progress(3))]), stage, CancellationToken::new()).await;
        assert!(matches!(&*watched.borrow(), ComparisonStage::Failed(why) if why.contains("without a result")));

        let (stage, watched) = watch::channel(ComparisonStage::Reading { done: 0, total: 0 });
        let stop = CancellationToken::new();
        let (comparisons, stopped) = (Comparisons::default(), stop.clone());
        comparisons.keep(BegunComparison { id: "1".into(), slot: "offers".into(), stage: watched, stop });
        comparisons.stop("search", "1");
        assert!(!stopped.is_cancelled(), "the slot is another one");
        comparisons.stop("offers", "1");
        follow(tokio_stream::pending(), stage, stopped).await;
        assert!(matches!(comparisons.stage("offers", "1"), Some(ComparisonStage::Stopped)));
        assert!(comparisons.stage("search", "1").is_none());
    }
}
