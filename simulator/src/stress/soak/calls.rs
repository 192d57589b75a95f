//! Calls to the server. Each is counted with its latency since it was due.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hdrhistogram::CreationError;
use slotwise::{
    client::{CallInterceptor, CallOptions, ClientError, target_url},
    wire::proto::{
        Fallback, RecordRewardsRequest, RewardResult, RewardStatus, decision_service_client::DecisionServiceClient,
        feedback_service_client::FeedbackServiceClient,
    },
};
use tonic::{service::interceptor::InterceptedService, transport::Channel};

use super::shop::{Click, SoakShop};
use crate::{
    clock::RunStopwatch,
    load::{CONNECTIONS, PATIENCE, code_name, tally::CallTally},
};

/// Time limit of a connection attempt.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
struct SoakConnection {
    decisions: DecisionServiceClient<InterceptedService<Channel, CallInterceptor>>,
    feedback: FeedbackServiceClient<InterceptedService<Channel, CallInterceptor>>,
}

/// Several connections to one server, marked as simulated traffic.
#[derive(Debug, Clone)]
pub struct Connections(Vec<SoakConnection>);

impl Connections {
    /// Connects to the server at `target`: see [`target_url`].
    pub async fn open(target: &str) -> Result<Self, ClientError> {
        let endpoint =
            Channel::from_shared(target_url(target)?).map_err(|_| ClientError::Address(target.to_owned()))?;
        let endpoint = endpoint.connect_timeout(CONNECT_PATIENCE).timeout(PATIENCE).tcp_nodelay(true);
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            let unreachable = |source| ClientError::Unreachable { target: target.to_owned(), source };
            let channel = endpoint.connect().await.map_err(unreachable)?;
            let interceptor = CallInterceptor::new(&CallOptions { simulated: true, ..CallOptions::default() })?;
            let decisions = DecisionServiceClient::with_interceptor(channel.clone(), interceptor.clone());
            let feedback = FeedbackServiceClient::with_interceptor(channel, interceptor);
            connections.push(SoakConnection { decisions, feedback });
        }
        Ok(Self(connections))
    }

    /// The connection of decision `k`. Decisions take turns.
    fn connection_for(&self, k: u64) -> SoakConnection {
        // The remainder of a small number fits into `usize`.
        self.0[usize::try_from(k % CONNECTIONS).unwrap_or_default()].clone()
    }
}

/// Caller of a server, which counts answers and failures.
#[derive(Debug)]
pub struct SoakCaller {
    connections: Connections,
    shop: Arc<SoakShop>,
    slot: String,
    /// Counts of decisions.
    pub decide: CallTally,
    /// Counts of clicks.
    pub record: CallTally,
    fallbacks: AtomicU64,
}

impl SoakCaller {
    /// Creates a caller that uses these connections for this slot.
    pub fn new(connections: Connections, shop: Arc<SoakShop>, slot: &str) -> Result<Self, CreationError> {
        let (decide, record) = (CallTally::new()?, CallTally::new()?);
        Ok(Self { connections, shop, slot: slot.to_owned(), decide, record, fallbacks: AtomicU64::new(0) })
    }

    /// Number of decisions that were fallbacks.
    pub fn fallbacks(&self) -> u64 {
        self.fallbacks.load(Ordering::Relaxed)
    }

    /// Makes decision `k`, which was due at `due` of this stopwatch. Returns the click that follows, if there is one.
    pub async fn decide(&self, k: u64, stopwatch: RunStopwatch, due: Duration) -> Option<Click> {
        let visit = self.shop.visit(k);
        let answer = self.connections.connection_for(k).decisions.decide(self.shop.request(&self.slot, &visit)).await;
        let latency = stopwatch.elapsed().saturating_sub(due);
        let answer = match answer {
            Ok(answer) => answer.into_inner(),
            Err(status) => {
                self.decide.failed(&code_name(status.code()));
                return None;
            }
        };
        let fallback = answer.fallback() != Fallback::Unspecified;
        self.fallbacks.fetch_add(u64::from(fallback), Ordering::Relaxed);
        let shown = answer.arms.first().map_or("", |arm| &arm.arm_id);
        let Some(place) = self.shop.place(shown) else {
            self.decide.failed("UNKNOWN_ARM");
            return None;
        };
        self.decide.answered(latency);
        self.shop.click(&visit, place, answer.decision_id)
    }

    /// Reports a click of decision `k`, which was due at `due` of this stopwatch.
    pub async fn click(&self, k: u64, click: Click, stopwatch: RunStopwatch, due: Duration) {
        let request = RecordRewardsRequest { events: vec![click.event()] };
        let answer = self.connections.connection_for(k).feedback.record_rewards(request).await;
        let latency = stopwatch.elapsed().saturating_sub(due);
        match answer {
            Ok(answer) => match answer.into_inner().results.first().map(RewardResult::status) {
                Some(RewardStatus::Accepted) => self.record.answered(latency),
                Some(other) => self.record.failed(other.as_str_name()),
                None => self.record.failed("NO_RESULT"),
            },
            Err(status) => self.record.failed(&code_name(status.code())),
        }
    }
}
