//! Calls of a replication, each on a task of its own. Answers go back to the loop that sent the calls.

use std::{sync::Arc, sync::mpsc::Sender, time::Duration};

use slotwise::{
    client::{Client, ClientError, RewardStatus},
    engine::{Change, Decision, Request, RewardEvent},
    slot::{Arm, SlotId},
};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{catalogues::CatalogueVersion, slots::why};
use crate::{
    clock::RunStopwatch,
    environment::{Truth, Visit},
    run::episode::{catalogue::CurrentCatalogue, queue::EventOrigin},
};

/// A visit whose decisions are under way, with everything that was true when it came.
#[derive(Debug)]
pub(super) struct PendingVisit {
    /// The visit.
    pub visit: Visit,
    /// The truth about every arm for this visit.
    pub truth: Truth,
    /// The catalogue that the visit met.
    pub catalogue: Arc<CurrentCatalogue>,
    /// The changes that the slots had received when they were asked.
    pub version: CatalogueVersion,
    /// Expected rewards of the best and of the uniform choice from that catalogue, by the number of arms shown.
    pub best: Vec<(usize, (f64, f64))>,
    /// The arm that is shown at the first position regardless of the decision, or `None`.
    pub overridden: Option<usize>,
    /// True if the request asks for the decision's probabilities.
    pub audited: bool,
    /// The time at which the visit was due.
    pub due: Duration,
}

/// An event under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct SentEvent {
    /// The origin of the event.
    pub origin: EventOrigin,
    /// True if the event takes another one back.
    pub reverses: bool,
    /// The time at which the event was due.
    pub due: Duration,
}

/// A change on its way to a slot, and the meaning of its answer.
pub(super) type ChangeRequest = (Change, ChangeAnswer);

/// Meaning of the answer to a change.
#[derive(Debug, Clone, Copy)]
pub(super) enum ChangeAnswer {
    /// The slot has received a part of a batch, and more changes of it follow.
    Part,
    /// The slot has received the whole batch of this number.
    Batch(u64),
    /// The slot has forgotten everything. `before` is the latest generation that was known when the reset was sent.
    Reset { before: u32 },
}

/// Answer to a call, with its time.
#[derive(Debug)]
pub(super) enum CallAnswer {
    /// Answer to a decision request.
    Decided {
        policy: usize,
        pending: Arc<PendingVisit>,
        /// Time of sending. It is later than the due time if this machine has too much to do.
        sent: Duration,
        at: Duration,
        result: Result<Box<Decision>, ClientError>,
    },
    /// Answer to a batch of events.
    Recorded { policy: usize, sent: Vec<SentEvent>, at: Duration, result: Result<Vec<RewardStatus>, ClientError> },
    /// Answer to a change.
    Changed { policy: usize, received: ChangeAnswer, result: Result<(), ClientError> },
}

/// Sender of answers. The loop that waits for them is gone once the run is given up, and nobody waits then.
#[derive(Debug, Clone)]
pub(super) struct AnswerSender {
    pub(super) to: Sender<CallAnswer>,
    pub(super) stopwatch: RunStopwatch,
}

impl AnswerSender {
    pub(super) async fn decide(self, mut client: Client, policy: usize, pending: Arc<PendingVisit>, request: Request) {
        let sent = self.stopwatch.elapsed();
        let result = client.decide_in_full(&request).await.map(Box::new);
        let _ = self.to.send(CallAnswer::Decided { policy, pending, sent, at: self.stopwatch.elapsed(), result });
    }

    pub(super) async fn record(
        self,
        mut client: Client,
        policy: usize,
        events: Vec<RewardEvent>,
        sent: Vec<SentEvent>,
    ) {
        let result = client.record_events(&events).await;
        let _ = self.to.send(CallAnswer::Recorded { policy, sent, at: self.stopwatch.elapsed(), result });
    }

    /// Sends changes to a slot, one after the other, until no more come.
    pub(super) async fn change(
        self,
        mut client: Client,
        policy: usize,
        slot: SlotId,
        mut changes: UnboundedReceiver<ChangeRequest>,
    ) {
        while let Some((change, received)) = changes.recv().await {
            let result = announce(&mut client, slot.as_str(), change).await;
            let _ = self.to.send(CallAnswer::Changed { policy, received, result });
        }
    }
}

async fn announce(client: &mut Client, slot: &str, change: Change) -> Result<(), ClientError> {
    match change {
        Change::UpsertArms(arms) => client.upsert_arms(slot, &arms as &[Arm], &why()).await,
        Change::RemoveArms(arms) => client.remove_arms(slot, &arms, &why()).await,
        Change::SetAvailability(arms) => client.set_arm_availability(slot, &arms, &why()).await.map(|_| ()),
        Change::Reset => client.reset_slot(slot, &why()).await,
        Change::ResetArm(arm) => client.reset_arm(slot, arm.as_str(), &why()).await,
        // Scenarios contain none of these changes.
        Change::Create(_)
        | Change::CreateFrom(..)
        | Change::Update { .. }
        | Change::Delete
        | Change::Rollback(_)
        | Change::MergeArms(_)
        | Change::ImportLearning(..)
        | Change::Rename(_)
        | Change::SetSafeChoice(_) => Ok(()),
    }
}
