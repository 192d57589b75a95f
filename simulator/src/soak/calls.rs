//! The calls themselves, each counted with how long it took since it was due.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use hdrhistogram::CreationError;
use slotwise::wire::{
    ClientError,
    proto::{
        Fallback, RecordRewardsRequest, RewardResult, RewardStatus, decision_service_client::DecisionServiceClient,
        feedback_service_client::FeedbackServiceClient,
    },
};
use tonic::{Code, transport::Channel};

use super::{
    shop::{self, Click},
    tally::Tally,
};
use crate::clock::Stopwatch;

/// Connections at the same time: a single one's writes are one task's work, in the server too.
const CONNECTIONS: u64 = 4;
/// How long a connection may take to come about.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer may take before it counts as none: many times the budget of a page.
pub const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
struct Connection {
    decisions: DecisionServiceClient<Channel>,
    feedback: FeedbackServiceClient<Channel>,
}

/// Several connections to the same server.
#[derive(Debug, Clone)]
pub struct Connections(Vec<Connection>);

impl Connections {
    /// Connects to the server at `target`, `http://host:port`.
    pub async fn open(target: &str) -> Result<Self, ClientError> {
        let endpoint = Channel::from_shared(target.to_owned()).map_err(|_| ClientError::Address(target.to_owned()))?;
        let endpoint = endpoint.connect_timeout(CONNECT_PATIENCE).timeout(PATIENCE).tcp_nodelay(true);
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            let unreachable = |source| ClientError::Unreachable { target: target.to_owned(), source };
            let channel = endpoint.connect().await.map_err(unreachable)?;
            let (decisions, feedback) =
                (DecisionServiceClient::new(channel.clone()), FeedbackServiceClient::new(channel));
            connections.push(Connection { decisions, feedback });
        }
        Ok(Self(connections))
    }

    /// That of decision `k`: each in its turn.
    fn of(&self, k: u64) -> Connection {
        // A remainder of a small number.
        self.0[usize::try_from(k % CONNECTIONS).unwrap_or_default()].clone()
    }
}

/// Calls a server, and counts what comes of it.
#[derive(Debug)]
pub struct Caller {
    connections: Connections,
    slot: String,
    /// Decisions.
    pub decide: Tally,
    /// Clicks.
    pub record: Tally,
    fallbacks: AtomicU64,
}

impl Caller {
    /// Calls over these connections about this slot; nothing is counted yet.
    pub fn new(connections: Connections, slot: &str) -> Result<Self, CreationError> {
        let (decide, record) = (Tally::new()?, Tally::new()?);
        Ok(Self { connections, slot: slot.to_owned(), decide, record, fallbacks: AtomicU64::new(0) })
    }

    /// Decisions that the slot's model did not make.
    pub fn fallbacks(&self) -> u64 {
        self.fallbacks.load(Ordering::Relaxed)
    }

    /// Makes decision `k`, which was due at `due` of this stopwatch; returns the click that is to follow.
    pub async fn decide(&self, k: u64, stopwatch: Stopwatch, due: Duration) -> Option<Click> {
        let answer = self.connections.of(k).decisions.decide(shop::request(&self.slot, k)).await;
        let latency = stopwatch.elapsed().saturating_sub(due);
        let answer = match answer {
            Ok(answer) => answer.into_inner(),
            Err(status) => {
                self.decide.failed(&name(status.code()));
                return None;
            }
        };
        let fallback = answer.fallback() != Fallback::Unspecified;
        self.fallbacks.fetch_add(u64::from(fallback), Ordering::Relaxed);
        let shown = answer.arms.first().map_or("", |arm| &arm.arm_id);
        let Some(probability) = shop::click_probability(shown) else {
            self.decide.failed("UNKNOWN_ARM");
            return None;
        };
        self.decide.answered(latency);
        shop::click(k, probability, answer.decision_id)
    }

    /// Reports a click of decision `k`, which was due at `due` of this stopwatch.
    pub async fn click(&self, k: u64, click: Click, stopwatch: Stopwatch, due: Duration) {
        let request = RecordRewardsRequest { events: vec![click.event()] };
        let answer = self.connections.of(k).feedback.record_rewards(request).await;
        let latency = stopwatch.elapsed().saturating_sub(due);
        match answer {
            Ok(answer) => match answer.into_inner().results.first().map(RewardResult::status) {
                Some(RewardStatus::Accepted) => self.record.answered(latency),
                Some(other) => self.record.failed(other.as_str_name()),
                None => self.record.failed("NO_RESULT"),
            },
            Err(status) => self.record.failed(&name(status.code())),
        }
    }
}

/// A code as gRPC spells it, from how its type does: `NOT_FOUND` from `NotFound`.
fn name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_spelled_as_grpc_does() {
        let names = [Code::Unavailable, Code::NotFound, Code::ResourceExhausted, Code::DeadlineExceeded].map(name);
        assert_eq!(names, ["UNAVAILABLE", "NOT_FOUND", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"]);
    }
}
