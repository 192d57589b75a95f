//! The demo's shop as a client of the service: it requests decisions, and reports the shoppers' outcomes.
//!
//! A few shoppers are served at a time. Each comes by all places, one after another. Their outcomes go to one
//! reporter, which sends rewards in batches as a shop does. Everything that happens is reported as a [`DemoNote`].
//!
//! The clock decides only the pace, and a shopper who waits for an answer delays the next one. The demo therefore says
//! nothing about latencies under load; that takes the simulator's open loop.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value as Json;
use tokio::{sync::mpsc, task::JoinSet, time};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::{
    catalogue::{DemoPlace, Thing, places},
    shoppers::{DemoShoppers, ExpectedRewards},
};
use crate::{
    client::{Client, ClientError, Decision, RewardEvent, RewardStatus},
    engine::{Request, Subject},
    environment::Visit,
    slot::{Arm, ChangeReason, Definition},
};

/// Number of shoppers who are served at a time.
const SERVED_AT_A_TIME: u32 = 12;

/// Number of shoppers who come in a second. A service takes far more, but a person could not watch it learn.
const SHOPPERS_PER_SECOND: u32 = 500;

/// Maximum of rewards in a batch, and the longest wait of the first one for others.
const BATCH: (usize, Duration) = (200, Duration::from_millis(50));

/// Maximum of notes and rewards that wait for their reader: a second's worth.
const QUEUE: usize = 2_048;

/// Number of attempts to reach a service that is not ready yet, and the pause between two: five seconds in all.
const STARTS: (u32, Duration) = (250, Duration::from_millis(20));

/// Reason why the demo's shop cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum TrafficError {
    /// A call failed.
    #[error("the demo's shop could not {what}: {source}")]
    Call {
        /// The purpose of the call.
        what: &'static str,
        /// The cause.
        source: ClientError,
    },
    /// The scenario is invalid.
    #[error("the demo's scenario is invalid: {0}")]
    Scenario(String),
    /// The service answered with an arm that the slot does not have.
    #[error("the service showed '{0}', which the slot does not have")]
    Stranger(String),
}

/// A decision and its outcome.
#[derive(Debug)]
pub(super) struct SeenDecision {
    /// Index of the place.
    pub(super) place: usize,
    /// Expected rewards of the visit under several choices.
    pub(super) expected: ExpectedRewards,
    /// The shown things, best position first.
    pub(super) shown: Vec<usize>,
    /// The reward, in reward units.
    pub(super) reward: f64,
    /// True if a position was not the best guess.
    pub(super) exploring: bool,
    /// True if the model did not decide.
    pub(super) fallback: bool,
    /// Latency as the caller sees it, microseconds.
    pub(super) decide_us: u64,
}

/// Report of something that happened.
#[derive(Debug)]
pub(super) enum DemoNote {
    /// A decision was made and shown, and the shopper reacted.
    Decided(Box<SeenDecision>),
    /// A batch of rewards was answered.
    Recorded {
        /// Number of events that count.
        counted: u64,
        /// Number of events that do not count.
        not_counted: u64,
        /// The service's reason for the last event that does not count, or `None`.
        complaint: Option<String>,
    },
}

/// Creates the slots once the service takes calls.
pub(super) async fn open_shop(client: &mut Client, shoppers: &DemoShoppers) -> Result<(), TrafficError> {
    let failed = |source| TrafficError::Call { what: "make its slots", source };
    for (index, place) in places().iter().enumerate() {
        let definition = definition(place, &shoppers.arms(index));
        let why = ChangeReason::new("slotwise demo", "");
        let mut asked = 0;
        loop {
            match client.create_slot(&definition, &why, false).await {
                Ok(_) => break,
                Err(ClientError::Refused(status)) if status.code() == Code::Unavailable && asked < STARTS.0 => {
                    asked += 1;
                    time::sleep(STARTS.1).await;
                }
                Err(why) => return Err(failed(why)),
            }
        }
    }
    Ok(())
}

/// Returns the slot of a place, with its arms and their titles.
fn definition(place: &DemoPlace, arms: &[Arc<Arm>]) -> Definition {
    let titled = |(arm, thing): (&Arc<Arm>, &Thing)| {
        let payload = serde_json::Map::from_iter([("title".to_owned(), Json::from(thing.title.as_str()))]);
        Arc::new(Arm { payload: Some(payload), ..(**arm).clone() })
    };
    Definition { arms: arms.iter().zip(&place.things).map(titled).collect(), ..place.definition.clone() }
}

/// Serves shoppers until `halt` is cancelled. The notes end when the last of their rewards was answered.
///
/// The tasks belong to the caller and end when they are dropped.
pub(super) fn open_doors(
    client: &Client,
    shoppers: &Arc<DemoShoppers>,
    halt: &CancellationToken,
) -> (JoinSet<Result<(), TrafficError>>, mpsc::Receiver<DemoNote>) {
    let (notes, taken) = mpsc::channel(QUEUE);
    let (rewards, reported) = mpsc::channel(QUEUE);
    let mut tasks = JoinSet::new();
    // Shoppers come evenly, not a dozen at once.
    let apart = Duration::from_secs(1) / SHOPPERS_PER_SECOND;
    let mut first = time::Instant::now();
    for _ in 0..SERVED_AT_A_TIME {
        first += apart;
        let pace = time::interval_at(first, apart * SERVED_AT_A_TIME);
        let counter = Counter {
            pace,
            client: client.clone(),
            shoppers: Arc::clone(shoppers),
            notes: notes.clone(),
            rewards: rewards.clone(),
        };
        tasks.spawn(counter.serve(halt.clone()));
    }
    tasks.spawn(report(client.clone(), reported, notes));
    (tasks, taken)
}

/// A counter that serves shoppers, one at a time.
struct Counter {
    pace: time::Interval,
    client: Client,
    shoppers: Arc<DemoShoppers>,
    notes: mpsc::Sender<DemoNote>,
    rewards: mpsc::Sender<RewardEvent>,
}

impl Counter {
    async fn serve(mut self, halt: CancellationToken) -> Result<(), TrafficError> {
        loop {
            tokio::select! {
                biased;
                () = halt.cancelled() => return Ok(()),
                _ = self.pace.tick() => {}
            }
            let Some(visit) = self.shoppers.next_visit() else { return Ok(()) };
            for place in 0..places().len() {
                self.visit(place, &visit).await?;
            }
        }
    }

    async fn visit(&mut self, place: usize, visit: &Visit) -> Result<(), TrafficError> {
        let spot = &places()[place];
        let at_place = self.shoppers.at(place, visit);
        let request = Request {
            subject: Subject { id: visit.shopper.subject.id.clone(), session_id: String::new() },
            context: visit.context(spot.spec.shoppers),
            ..Request::new(spot.definition.id.clone())
        };
        let (decision, decide_us) = loop {
            let begun = now();
            match self.client.decide(&request).await {
                Ok(decision) => break (decision, u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX)),
                Err(source) => match source.retry_after() {
                    // More shoppers come than this machine can write down, so the next ones wait.
                    Some(delay) => time::sleep(delay).await,
                    None => return Err(TrafficError::Call { what: "get a decision", source }),
                },
            }
        };
        let shown = shown(spot, &decision)?;
        let outcomes = self.shoppers.outcomes(place, &at_place, &shown);
        for outcome in &outcomes {
            let (thing, step) = (&spot.things[shown[outcome.place]], &spot.spec.behaviour.steps[outcome.step]);
            // A reporter that is gone has failed, and its error ends the demo.
            let _ = self.rewards.send(event(&decision, &thing.id, &step.kind)).await;
        }
        let reward = self.shoppers.reward(place, &outcomes, &shown);
        let seen = SeenDecision {
            place,
            expected: at_place.expected,
            shown,
            reward,
            exploring: decision.exploring,
            fallback: !decision.fallback.is_empty(),
            decide_us,
        };
        let _ = self.notes.send(DemoNote::Decided(Box::new(seen))).await;
        Ok(())
    }
}

fn shown(place: &DemoPlace, decision: &Decision) -> Result<Vec<usize>, TrafficError> {
    let find = |(arm, _): &(String, f64)| {
        let found = place.things.iter().position(|thing| thing.id == *arm);
        found.ok_or_else(|| TrafficError::Stranger(arm.clone()))
    };
    decision.arms.iter().map(find).collect()
}

/// Returns a reward event. Its id names the decision, the arm and the kind, so an event that is sent twice counts
/// once.
fn event(decision: &Decision, arm: &str, kind: &str) -> RewardEvent {
    RewardEvent {
        event_id: format!("{}/{arm}/{kind}", decision.id),
        decision_id: decision.id.clone(),
        arm_id: arm.to_owned(),
        kind: kind.to_owned(),
        value: None,
    }
}

/// Sends rewards in batches until the last of their senders is gone.
async fn report(
    mut client: Client,
    mut rewards: mpsc::Receiver<RewardEvent>,
    notes: mpsc::Sender<DemoNote>,
) -> Result<(), TrafficError> {
    loop {
        let mut batch = Vec::with_capacity(BATCH.0);
        if rewards.recv_many(&mut batch, BATCH.0).await == 0 {
            return Ok(());
        }
        let due = time::sleep(BATCH.1);
        tokio::pin!(due);
        while batch.len() < BATCH.0 {
            let room = BATCH.0 - batch.len();
            tokio::select! {
                more = rewards.recv_many(&mut batch, room) => if more == 0 { break },
                () = &mut due => break,
            }
        }
        let answers = client.record_rewards(batch).await;
        let answers = answers.map_err(|source| TrafficError::Call { what: "record its rewards", source })?;
        let (mut counted, mut not_counted, mut complaint) = (0, 0, None);
        for answer in answers {
            match answer {
                RewardStatus::Accepted => counted += 1,
                RewardStatus::Duplicate => (not_counted, complaint) = (not_counted + 1, Some("a duplicate".into())),
                RewardStatus::Late(why) | RewardStatus::Unmatched(why) | RewardStatus::Rejected(why) => {
                    (not_counted, complaint) = (not_counted + 1, Some(why));
                }
            }
        }
        let _ = notes.send(DemoNote::Recorded { counted, not_counted, complaint }).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "a latency and the demo's own length, not facts")]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::catalogue::read_places;

    #[test]
    fn every_place_becomes_a_valid_slot() {
        assert_eq!(read_places().map(<[_]>::len), Ok(3));
        let shoppers = DemoShoppers::new(places(), 7).unwrap();
        for (index, place) in places().iter().enumerate() {
            let definition = definition(place, &shoppers.arms(index));
            definition.check().unwrap();
            assert_eq!(definition.count() as usize, place.looks.len());
            assert!(place.things.iter().all(|thing| thing.title != thing.id), "{:?}", place.things);
        }
    }
}
