//! Figures of a period, over time and by segment, and alerts.

use super::{connection::Client, error::ClientError};
use crate::{
    engine::{Alert, ComparedValue, FeatureSegments, PeriodFigures, PolicyValue, SeriesStep, SlotReport},
    slot::{Controls, FieldError},
    wire::{
        controls::encode_controls,
        decode::decode_timestamp,
        encode::{encode_duration, encode_timestamp},
        enums::ApiEnum as _,
        figures::{decode_alert, decode_period_figures, decode_segment},
        proto::{self, GetSegmentsRequest, GetSlotReportRequest, GetTimeSeriesRequest, ListAlertsRequest},
        report,
    },
};

/// Arms of one page of a report.
const REPORT_PAGE: u32 = 5_000;

/// Period that a report describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportPeriod {
    /// Microseconds before now.
    Last(i64),
    /// Since a revision.
    SinceRevision(u64),
}

/// Report of a slot with the figures of a period and of as long a period before it.
#[derive(Debug, Clone, PartialEq)]
pub struct PeriodReport {
    /// The report.
    pub report: SlotReport,
    /// Figures of the period.
    pub period: PeriodFigures,
    /// Figures of as long a period before it.
    pub previous: PeriodFigures,
}

/// Key by which counts over time are split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeriesSplit {
    /// Not split.
    None,
    /// One series per arm.
    Arm,
    /// One series per kind of event.
    Kind,
    /// One series per value of this feature.
    Feature(String),
}

/// Counts of one step, or of one key in a step.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesPoint {
    /// Start of the step, microseconds since 1970.
    pub at_us: i64,
    /// The arm, the kind or the feature's value; empty for counts that are not split and for all keys that are not counted one by one.
    pub key: String,
    /// Number of decisions.
    pub decisions: u64,
    /// Number of showings.
    pub showings: u64,
    /// Number of events that count and were not reversed.
    pub events: i64,
    /// Sum of their values.
    pub value: f64,
    /// Sum of the rewards.
    pub reward: f64,
    /// Expected reward that was given up for exploring.
    pub exploration_cost: f64,
    /// The step begins before the goal changed to pay something else, so its rewards are left out.
    pub before_goal_change: bool,
}

/// Baselines that are compared beside drafts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyBaselines {
    /// The arm with the largest expected reward, without exploring.
    pub greedy: bool,
    /// Every arm with the same probability.
    pub uniform: bool,
    /// For each arm that may be shown, the same for everybody.
    pub every_arm: bool,
    /// Arms of which each is compared as "the same for everybody".
    pub always: Vec<String>,
}

/// Result of a comparison of policies.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyComparisonResult {
    /// Number of decisions that count.
    pub decisions: u64,
    /// Number of decisions that do not.
    pub left_out: u64,
    /// Policies, the one that decided first.
    pub policies: Vec<ComparedValue>,
}

fn decode_comparison(result: proto::ComparisonResult) -> PolicyComparisonResult {
    let policy = |of: proto::PolicyResult| ComparedValue {
        value: of.mean.map(|mean| PolicyValue {
            mean,
            interval: (of.low.unwrap_or(mean), of.high.unwrap_or(mean)),
            difference: of.difference.unwrap_or(0.0),
            difference_interval: (of.difference_low.unwrap_or(0.0), of.difference_high.unwrap_or(0.0)),
        }),
        name: of.name,
        effective_decisions: of.effective_decisions,
        floor_needed: of.floor_needed,
    };
    let proto::ComparisonResult { decisions, left_out, policies } = result;
    PolicyComparisonResult { decisions, left_out, policies: policies.into_iter().map(policy).collect() }
}

impl Client {
    /// Reads the report of a slot with the figures of a period; `None` means the last 7 days.
    pub async fn period_report(
        &mut self,
        slot: &str,
        period: Option<ReportPeriod>,
    ) -> Result<PeriodReport, ClientError> {
        let period = period.map(|period| match period {
            ReportPeriod::Last(us) => proto::Period { last: Some(encode_duration(us)), ..proto::Period::default() },
            ReportPeriod::SinceRevision(since_revision) => proto::Period { since_revision, ..proto::Period::default() },
        });
        let mut whole: Option<proto::SlotReport> = None;
        let mut page_token = String::new();
        loop {
            let request = GetSlotReportRequest { slot_id: slot.to_owned(), page_size: REPORT_PAGE, page_token, period };
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
        let mut whole = whole.unwrap_or_default();
        let (period, previous) = (whole.period.take(), whole.previous_period.take());
        let decoded = || {
            Ok::<_, FieldError>(PeriodReport {
                report: report::decode(whole)?,
                period: decode_period_figures(period.unwrap_or_default())?,
                previous: decode_period_figures(previous.unwrap_or_default())?,
            })
        };
        decoded().map_err(|why| ClientError::Answer(why.to_string()))
    }

    /// Reads the counts of a slot over time, oldest first, from `from_us` on; `None` means as far back as they are kept.
    pub async fn time_series(
        &mut self,
        slot: &str,
        from_us: Option<i64>,
        step: SeriesStep,
        split: &SeriesSplit,
    ) -> Result<Vec<SeriesPoint>, ClientError> {
        let (by, feature) = match split {
            SeriesSplit::None => (proto::SplitBy::Unspecified, String::new()),
            SeriesSplit::Arm => (proto::SplitBy::Arm, String::new()),
            SeriesSplit::Kind => (proto::SplitBy::Kind, String::new()),
            SeriesSplit::Feature(feature) => (proto::SplitBy::Feature, feature.clone()),
        };
        let request = GetTimeSeriesRequest {
            slot_id: slot.to_owned(),
            from: from_us.map(encode_timestamp),
            until: None,
            step: step.number(),
            by: by.into(),
            feature,
        };
        let response = self.insight.get_time_series(request).await?.into_inner();
        let point = |point: proto::TimePoint| {
            Ok(SeriesPoint {
                at_us: decode_timestamp("points.time", point.time.unwrap_or_default())?,
                key: point.key,
                decisions: point.decisions,
                showings: point.showings,
                events: point.events,
                value: point.value,
                reward: point.reward,
                exploration_cost: point.exploration_cost,
                before_goal_change: point.before_goal_change,
            })
        };
        let points: Result<_, FieldError> = response.points.into_iter().map(point).collect();
        points.map_err(|why| ClientError::Answer(why.to_string()))
    }

    /// Reads the figures by the values of a feature, or of all followed features.
    pub async fn segments(&mut self, slot: &str, feature: Option<&str>) -> Result<Vec<FeatureSegments>, ClientError> {
        let feature = feature.unwrap_or_default().to_owned();
        let request = GetSegmentsRequest { slot_id: slot.to_owned(), feature };
        let response = self.insight.get_segments(request).await?.into_inner();
        let segments: Result<_, FieldError> = response.segments.into_iter().map(decode_segment).collect();
        segments.map_err(|why| ClientError::Answer(why.to_string()))
    }

    /// Compares drafts and baselines with the policy that decided, on the slot's own decisions of the last `last_us` microseconds.
    /// `progress` gets the number of records read, and the number of all.
    pub async fn compare_policies(
        &mut self,
        slot: &str,
        drafts: &[(String, Controls)],
        baselines: &PolicyBaselines,
        last_us: Option<i64>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<PolicyComparisonResult, ClientError> {
        let draft = |(name, controls): &(String, Controls)| proto::PolicyDraft {
            name: name.clone(),
            controls: Some(encode_controls(controls)),
        };
        let mut named = Vec::new();
        named.extend(baselines.greedy.then_some(proto::PolicyBaseline::Greedy as i32));
        named.extend(baselines.uniform.then_some(proto::PolicyBaseline::Uniform as i32));
        named.extend(baselines.every_arm.then_some(proto::PolicyBaseline::EveryArm as i32));
        let request = proto::ComparePoliciesRequest {
            slot_id: slot.to_owned(),
            drafts: drafts.iter().map(draft).collect(),
            baselines: named,
            always_arm_ids: baselines.always.clone(),
            period: last_us.map(|us| proto::Period { last: Some(encode_duration(us)), ..proto::Period::default() }),
        };
        let mut steps = self.insight.compare_policies(request).await?.into_inner();
        while let Some(step) = steps.message().await? {
            match step.step {
                Some(proto::compare_policies_response::Step::Progress(step)) => progress(step.done, step.total),
                Some(proto::compare_policies_response::Step::Result(result)) => return Ok(decode_comparison(result)),
                None => {}
            }
        }
        Err(ClientError::Answer("the comparison ended without a result".into()))
    }

    /// Reads the alerts of a slot, or of all slots, each with its slot's id. Alerts of kinds that this program does not know are left
    /// out.
    pub async fn alerts(&mut self, slot: Option<&str>) -> Result<Vec<(String, Alert)>, ClientError> {
        let request = ListAlertsRequest { slot_id: slot.unwrap_or_default().to_owned() };
        let response = self.insight.list_alerts(request).await?.into_inner();
        Ok(response
            .alerts
            .into_iter()
            .filter_map(|alert| Some((alert.slot_id.clone(), decode_alert(alert)?)))
            .collect())
    }
}
