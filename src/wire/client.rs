//! The API from the other side: what the command line and the simulator call.

use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt as _;

use super::{
    encode,
    proto::{
        self, GetSlotReportRequest, RecordRewardsRequest, decision_service_client::DecisionServiceClient,
        feedback_service_client::FeedbackServiceClient, insight_service_client::InsightServiceClient,
        slot_service_client::SlotServiceClient,
    },
    report,
};
use crate::{
    engine::{Request, SlotReport, Subject},
    slot::limits::MESSAGE_BYTES_MAX,
};

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers there.
    #[error("no Slotwise answers at {target}; start one with `slotwise serve`, or give another --target")]
    Unreachable {
        /// Where.
        target: String,
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
    /// The address is none.
    #[error("'{0}' is not an address; write it as http://127.0.0.1:50051")]
    Address(String),
    /// The service refused.
    #[error("{}", .0.message())]
    Refused(Box<Status>),
    /// The answer is not what it should be.
    #[error("the service's answer cannot be read: {0}")]
    Answer(String),
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

impl ClientError {
    /// Whether the service says that there is no such thing.
    pub fn not_found(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code() == Code::NotFound)
    }

    /// Whether the service says that there is such a thing already.
    pub fn exists(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code() == Code::AlreadyExists)
    }

    /// The field that the service names.
    pub fn field(&self) -> Option<String> {
        let Self::Refused(status) = self else { return None };
        status.get_details_bad_request()?.field_violations.into_iter().next().map(|violation| violation.field)
    }
}

/// A decision as a client gets it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientDecision {
    /// Its id.
    pub id: String,
    /// The arms, best first, each with its propensity.
    pub arms: Vec<(String, f64)>,
    /// At least one position is not the best guess.
    pub exploring: bool,
    /// Why the model did not decide; empty: it did.
    pub fallback: String,
}

/// A reward event as a client sends it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientReward {
    /// The event's id.
    pub event_id: String,
    /// The decision.
    pub decision_id: String,
    /// The arm; empty: the only one shown.
    pub arm_id: String,
    /// The kind.
    pub kind: String,
    /// Its value.
    pub value: Option<f64>,
}

/// What became of a reward event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RewardStatus {
    /// Counted.
    Accepted,
    /// Counted before.
    Duplicate,
    /// Not counted, for this reason.
    NotCounted(String),
}

/// A connection to a Slotwise.
#[derive(Debug, Clone)]
pub struct Client {
    decisions: DecisionServiceClient<Channel>,
    feedback: FeedbackServiceClient<Channel>,
    pub(super) slots: SlotServiceClient<Channel>,
    pub(super) insight: InsightServiceClient<Channel>,
}

impl Client {
    /// Connects to `target`, `http://host:port`.
    pub async fn connect(target: &str) -> Result<Self, ClientError> {
        let endpoint = Channel::from_shared(target.to_owned()).map_err(|_| ClientError::Address(target.to_owned()))?;
        if !target.starts_with("http://") {
            return Err(ClientError::Address(target.to_owned()));
        }
        let channel = endpoint
            .connect_timeout(std::time::Duration::from_secs(5))
            .tcp_nodelay(true)
            .connect()
            .await
            .map_err(|source| ClientError::Unreachable { target: target.to_owned(), source })?;
        Ok(Self {
            decisions: DecisionServiceClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
            feedback: FeedbackServiceClient::new(channel.clone()),
            slots: SlotServiceClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
            insight: InsightServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX),
        })
    }

    /// Decides.
    pub async fn decide(&mut self, request: &Request) -> Result<ClientDecision, ClientError> {
        let response = self.decisions.decide(encode::request(request)).await?.into_inner();
        let fallback = response.fallback();
        let decided = fallback == proto::Fallback::Unspecified;
        let fallback = if decided { String::new() } else { fallback.as_str_name().to_owned() };
        Ok(ClientDecision {
            id: response.decision_id,
            arms: response.arms.into_iter().map(|arm| (arm.arm_id, arm.propensity)).collect(),
            exploring: response.exploring,
            fallback,
        })
    }

    /// Records reward events; answers when they are durable, in order.
    pub async fn record(&mut self, rewards: Vec<ClientReward>) -> Result<Vec<RewardStatus>, ClientError> {
        let event = |reward: ClientReward| proto::RewardEvent {
            event_id: reward.event_id,
            decision_id: reward.decision_id,
            arm_id: reward.arm_id,
            kind: reward.kind,
            value: reward.value,
            slot_id: String::new(),
            subject: Some(encode::subject(&Subject::default())),
            time: None,
            reverses_event_id: String::new(),
        };
        let request = RecordRewardsRequest { events: rewards.into_iter().map(event).collect() };
        let response = self.feedback.record_rewards(request).await?.into_inner();
        let status = |result: proto::RewardResult| match result.status() {
            proto::RewardStatus::Accepted => RewardStatus::Accepted,
            proto::RewardStatus::Duplicate => RewardStatus::Duplicate,
            other @ (proto::RewardStatus::Unspecified
            | proto::RewardStatus::Late
            | proto::RewardStatus::Unmatched
            | proto::RewardStatus::Rejected) => {
                RewardStatus::NotCounted(format!("{} {}", other.as_str_name(), result.message))
            }
        };
        Ok(response.results.into_iter().map(status).collect())
    }

    /// What a slot has learned.
    pub async fn report(&mut self, slot: &str) -> Result<SlotReport, ClientError> {
        let request = GetSlotReportRequest { slot_id: slot.to_owned() };
        let response = self.insight.get_slot_report(request).await?.into_inner();
        let report = response.report.ok_or_else(|| ClientError::Answer("there is no report in it".into()))?;
        report::decode(report).map_err(|why| ClientError::Answer(why.to_string()))
    }
}
