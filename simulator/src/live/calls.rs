//! The calls of a replication, each on a task of its own; what comes of them goes back to the loop that sent them.

use std::{sync::Arc, sync::mpsc::Sender, time::Duration};

use slotwise::{
    engine::{Change, Decision, Request, Rewarded},
    slot::{Arm, SlotId},
    wire::{Client, ClientError, RewardStatus},
};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{catalogues::CatalogueVersion, slots::why};
use crate::{
    clock::Stopwatch,
    environment::{Truth, Visit},
    run::episode::{catalogue::CurrentCatalogue, queue::EventOrigin},
};

/// A visit whose decisions are under way, with all that was true when it came.
#[derive(Debug)]
pub(super) struct PendingVisit {
    /// Who came.
    pub visit: Visit,
    /// What was true for them.
    pub truth: Truth,
    /// What was on the catalogue when it came.
    pub catalogue: Arc<CurrentCatalogue>,
    /// What the slots had been told of it when they were asked.
    pub version: CatalogueVersion,
    /// What the best and the uniform choice of that catalogue are worth, by how many arms are shown.
    pub best: Vec<(usize, (f64, f64))>,
    /// What was shown instead.
    pub overridden: Option<usize>,
    /// The pmf was asked for.
    pub audited: bool,
    /// When it was due.
    pub due: Duration,
}

/// An event under way: what it came of, whether it takes something back, and when it was due.
pub(super) type SentEvent = (EventOrigin, bool, Duration);

/// A change, and what its answer tells.
pub(super) type ChangeRequest = (Change, ChangeAnswer);

/// What the answer to a change tells.
#[derive(Debug, Clone, Copy)]
pub(super) enum ChangeAnswer {
    /// Nothing yet: more of its batch comes.
    Part,
    /// The slot has heard all of the batch of this number.
    Batch(u64),
    /// The slot has forgotten all; `before` is the newest life of it that was known of when the reset was sent.
    Reset { before: u32 },
}

/// What came of a call, and when.
#[derive(Debug)]
pub(super) enum Answer {
    /// Of a decision.
    Decided {
        policy: usize,
        pending: Arc<PendingVisit>,
        /// When it was sent: later than it was due, as far as this machine has too much to do.
        sent: Duration,
        at: Duration,
        result: Result<Box<Decision>, ClientError>,
    },
    /// Of events.
    Recorded { policy: usize, sent: Vec<SentEvent>, at: Duration, result: Result<Vec<RewardStatus>, ClientError> },
    /// Of a change.
    Changed { policy: usize, told: ChangeAnswer, result: Result<(), ClientError> },
}

/// Where answers go. The loop that waits for them is gone once the run is given up; then nobody waits.
#[derive(Debug, Clone)]
pub(super) struct AnswerSender {
    pub(super) to: Sender<Answer>,
    pub(super) stopwatch: Stopwatch,
}

impl AnswerSender {
    pub(super) async fn decide(self, mut client: Client, policy: usize, pending: Arc<PendingVisit>, request: Request) {
        let sent = self.stopwatch.elapsed();
        let result = client.decide_whole(&request).await.map(Box::new);
        let _ = self.to.send(Answer::Decided { policy, pending, sent, at: self.stopwatch.elapsed(), result });
    }

    pub(super) async fn record(self, mut client: Client, policy: usize, events: Vec<Rewarded>, sent: Vec<SentEvent>) {
        let result = client.record_rewarded(&events).await;
        let _ = self.to.send(Answer::Recorded { policy, sent, at: self.stopwatch.elapsed(), result });
    }

    /// Tells a slot of changes, one after the other, until there are no more to come.
    pub(super) async fn change(
        self,
        mut client: Client,
        policy: usize,
        slot: SlotId,
        mut changes: UnboundedReceiver<ChangeRequest>,
    ) {
        while let Some((change, told)) = changes.recv().await {
            let result = tell(&mut client, slot.as_str(), change).await;
            let _ = self.to.send(Answer::Changed { policy, told, result });
        }
    }
}

async fn tell(client: &mut Client, slot: &str, change: Change) -> Result<(), ClientError> {
    match change {
        Change::UpsertArms(arms) => client.upsert_arms(slot, &arms as &[Arm], &why()).await,
        Change::RemoveArms(arms) => client.remove_arms(slot, &arms, &why()).await,
        Change::SetAvailability(arms) => client.set_availability(slot, &arms, &why()).await.map(|_| ()),
        Change::Reset => client.reset_slot(slot, &why()).await,
        // No scenario brings these about.
        Change::Create(_)
        | Change::Update { .. }
        | Change::Delete
        | Change::Rollback(_)
        | Change::MergeArms(_)
        | Change::SetSafeChoice(_) => Ok(()),
    }
}
