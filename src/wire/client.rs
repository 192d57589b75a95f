//! The API from the other side: what the command line and the simulator call.

use std::time::Duration;

use tonic::{
    Code, Request as Call, Status,
    metadata::MetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};
use tonic_types::StatusExt as _;

use super::{
    address::target_url,
    encode,
    proto::{
        self, GetSlotReportRequest, RecordRewardsRequest, decision_service_client::DecisionServiceClient,
        feedback_service_client::FeedbackServiceClient, insight_service_client::InsightServiceClient,
        slot_service_client::SlotServiceClient,
    },
    report,
    simulated::SIMULATED,
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
    #[error(
        "'{0}' is not an address of a service; write it as 127.0.0.1:50051 or http://shop.internal:50051 (https is not served)"
    )]
    Address(String),
    /// The service refused.
    #[error("{}", .0.message())]
    Refused(Box<Status>),
    /// The answer is not what it should be.
    #[error("the service's answer cannot be read: {0}")]
    Answer(String),
}

impl ClientError {
    /// How long to wait before the same call is worth another try, or `None` if the service did not say so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(status) => status.get_details_retry_info()?.retry_delay,
            Self::Unreachable { .. } | Self::Address(_) | Self::Answer(_) => None,
        }
    }
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

/// What became of a reward event; where it was not counted, with the service's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RewardStatus {
    /// Counted.
    Accepted,
    /// Counted before.
    Duplicate,
    /// Its decision is older than the window.
    Late(String),
    /// No decision is known that it could belong to.
    Unmatched(String),
    /// It cannot be counted as it is.
    Rejected(String),
}

/// How a client calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Calling {
    /// Its shoppers are simulated: every call says so, and slots for real ones refuse what would decide, count or change
    /// anything.
    pub simulated: bool,
    /// How long it waits for an answer; none: as long as it takes.
    pub patience: Option<Duration>,
}

/// Says on every request who calls: for whoever uses the generated clients of [`proto`] without a [`Client`].
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    simulated: bool,
}

impl From<Calling> for Mark {
    fn from(calling: Calling) -> Self {
        Self { simulated: calling.simulated }
    }
}

impl Interceptor for Mark {
    fn call(&mut self, mut call: Call<()>) -> Result<Call<()>, Status> {
        if self.simulated {
            call.metadata_mut().insert(SIMULATED, MetadataValue::from_static("true"));
        }
        Ok(call)
    }
}

type Transport = InterceptedService<Channel, Mark>;

/// A connection to a Slotwise.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) decisions: DecisionServiceClient<Transport>,
    pub(super) feedback: FeedbackServiceClient<Transport>,
    pub(super) slots: SlotServiceClient<Transport>,
    pub(super) insight: InsightServiceClient<Transport>,
}

impl Client {
    /// Connects to `target`: see [`target_url`].
    pub async fn connect(target: &str) -> Result<Self, ClientError> {
        Self::connect_as(target, Calling::default()).await
    }

    /// The same, calling in this way.
    pub async fn connect_as(target: &str, calling: Calling) -> Result<Self, ClientError> {
        let url = target_url(target)?;
        let endpoint = Channel::from_shared(url).map_err(|_| ClientError::Address(target.to_owned()))?;
        let mut endpoint = endpoint.connect_timeout(Duration::from_secs(5)).tcp_nodelay(true);
        if let Some(patience) = calling.patience {
            endpoint = endpoint.timeout(patience);
        }
        let channel = endpoint
            .connect()
            .await
            .map_err(|source| ClientError::Unreachable { target: target.to_owned(), source })?;
        let transport = InterceptedService::new(channel, Mark::from(calling));
        Ok(Self {
            decisions: DecisionServiceClient::new(transport.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
            feedback: FeedbackServiceClient::new(transport.clone()),
            slots: SlotServiceClient::new(transport.clone()),
            insight: InsightServiceClient::new(transport),
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
        self.record_events(rewards.into_iter().map(event).collect()).await
    }

    pub(super) async fn record_events(
        &mut self,
        events: Vec<proto::RewardEvent>,
    ) -> Result<Vec<RewardStatus>, ClientError> {
        let response = self.feedback.record_rewards(RecordRewardsRequest { events }).await?.into_inner();
        let status = |result: proto::RewardResult| {
            let status = result.status();
            let why = format!("{} {}", status.as_str_name(), result.message);
            match status {
                proto::RewardStatus::Accepted => RewardStatus::Accepted,
                proto::RewardStatus::Duplicate => RewardStatus::Duplicate,
                proto::RewardStatus::Late => RewardStatus::Late(why),
                proto::RewardStatus::Unmatched => RewardStatus::Unmatched(why),
                proto::RewardStatus::Unspecified | proto::RewardStatus::Rejected => RewardStatus::Rejected(why),
            }
        };
        Ok(response.results.into_iter().map(status).collect())
    }

    /// What a slot has learned.
    pub async fn report(&mut self, slot: &str) -> Result<SlotReport, ClientError> {
        let mut whole: Option<proto::SlotReport> = None;
        let mut page_token = String::new();
        loop {
            let request = GetSlotReportRequest { slot_id: slot.to_owned(), page_size: 5_000, page_token };
            let response = self.insight.get_slot_report(request).await?.into_inner();
            let page = response.report.ok_or_else(|| ClientError::Answer("there is no report in it".into()))?;
            match &mut whole {
                None => whole = Some(page),
                Some(whole) => whole.arms.extend(page.arms),
            }
            page_token = response.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        let report = whole.unwrap_or_default();
        report::decode(report).map_err(|why| ClientError::Answer(why.to_string()))
    }
}
