//! `InsightService`: reports and explanations.

use std::sync::Arc;

use rand::{Rng as _, rngs::StdRng};
use tonic::{Request, Response, Status};

use super::{
    Api,
    access::CallAccess,
    arms,
    decode::{self, DecodedRequest},
    encode, error,
    figures::{
        SplitKey, decode_period, decode_span, encode_alert, encode_features_info, encode_period, encode_segment,
        encode_series, encode_step_length,
    },
    proto::{
        ComparePoliciesRequest, ComparePoliciesResponse, DecideResponse, ExplainDecisionRequest,
        ExplainDecisionResponse, GetSegmentsRequest, GetSegmentsResponse, GetSlotReportRequest, GetSlotReportResponse,
        GetSystemStateRequest, GetSystemStateResponse, GetTimeSeriesRequest, GetTimeSeriesResponse, ListAlertsRequest,
        ListAlertsResponse, ListDecisionsRequest, ListDecisionsResponse, ListFeaturesRequest, ListFeaturesResponse,
        SplitBy, StreamExportRequest, StreamExportResponse, TryDecideRequest, TryDecideResponse,
        insight_service_server::InsightService,
    },
    report,
    slots::{page_of, page_size as size_of_page},
    stream::AnswerStream,
};
use crate::{
    engine::{
        self, DecideOptions, DecisionId, SlotView, alerts, decide, period_figures, report as slot_report, segments,
    },
    node::{HindsightError, NEWEST_MAX, run_long},
    slot::{FieldError, SlotId, suggestion},
};

/// Greatest number of alerts of one answer.
const ALERTS_MAX: usize = 1_000;
/// Number of decisions that are listed unless the request says otherwise.
const DECISIONS_DEFAULT: usize = 20;

impl Api {
    /// Returns the published view of a slot that the caller may reach.
    pub(super) fn view_of(&self, access: &CallAccess, slot_id: &str) -> Result<Arc<SlotView>, Status> {
        self.view(access, &SlotId::parse("slot_id", slot_id).map_err(|e| error::field(&e))?)
    }
}

#[tonic::async_trait]
impl InsightService for Api {
    async fn get_slot_report(
        &self,
        request: Request<GetSlotReportRequest>,
    ) -> Result<Response<GetSlotReportResponse>, Status> {
        let access = CallAccess::of(&request);
        let GetSlotReportRequest { slot_id, page_size, page_token, period } = request.into_inner();
        let list = format!("report of {slot_id}");
        let size = size_of_page(page_size, 1_000, 5_000)?;
        let view = self.view_of(&access, &slot_id)?;
        let now_us = self.node()?.now_us();
        let (from_us, until_us) = decode_period(period, &view, now_us).map_err(|e| error::field(&e))?;
        let report = run_long(view.arms.names().len(), || slot_report(&view.at(now_us)));
        let mut report = report::encode(report);
        report.period = Some(encode_period(&period_figures(&view, from_us, until_us)));
        let before_us = from_us.saturating_sub(until_us - from_us).max(0);
        report.previous_period = Some(encode_period(&period_figures(&view, before_us, from_us)));
        let all = std::mem::take(&mut report.arms);
        let start = arms::start(&list, &page_token, all.len(), |at| Some(all.get(at)?.arm_id.as_str()))?;
        let count = all.len();
        report.arms = page_of(all.into_iter().skip(start), size);
        let end = start + report.arms.len();
        let last = report.arms.last().filter(|_| end < count);
        let next_page_token = last.map(|last| arms::token(&list, end, &last.arm_id)).unwrap_or_default();
        Ok(Response::new(GetSlotReportResponse { report: Some(report), next_page_token }))
    }

    async fn get_time_series(
        &self,
        request: Request<GetTimeSeriesRequest>,
    ) -> Result<Response<GetTimeSeriesResponse>, Status> {
        let access = CallAccess::of(&request);
        let request = request.into_inner();
        let view = self.view_of(&access, &request.slot_id)?;
        let now_us = self.node()?.now_us();
        let (from_us, until_us, step) = decode_span(&request, now_us).map_err(|e| error::field(&e))?;
        let by = match SplitBy::try_from(request.by) {
            Ok(SplitBy::Unspecified) => SplitKey::None,
            Ok(SplitBy::Arm) => SplitKey::Arm,
            Ok(SplitBy::Kind) => SplitKey::Kind,
            Ok(SplitBy::Feature) => SplitKey::Feature(followed(&view, &request.feature)?),
            Err(_) => {
                let message = format!("{} is not a SplitBy", request.by);
                return Err(error::field(&FieldError::new("by", message)));
            }
        };
        let steps = view.series.between(from_us, until_us, step);
        let points = encode_series(&view, &steps, &by).map_err(|e| error::field(&e))?;
        Ok(Response::new(GetTimeSeriesResponse { points, step: Some(encode_step_length(step)) }))
    }

    async fn get_segments(
        &self,
        request: Request<GetSegmentsRequest>,
    ) -> Result<Response<GetSegmentsResponse>, Status> {
        let access = CallAccess::of(&request);
        let GetSegmentsRequest { slot_id, feature } = request.into_inner();
        let view = self.view_of(&access, &slot_id)?;
        let wanted = if feature.is_empty() { None } else { Some(followed(&view, &feature)?) };
        let all = segments(&view).into_iter().enumerate();
        let segments = all.filter(|(at, _)| wanted.is_none_or(|wanted| wanted == *at));
        Ok(Response::new(GetSegmentsResponse { segments: segments.map(|(_, one)| encode_segment(one)).collect() }))
    }

    async fn list_alerts(&self, request: Request<ListAlertsRequest>) -> Result<Response<ListAlertsResponse>, Status> {
        let access = CallAccess::of(&request);
        let ListAlertsRequest { slot_id } = request.into_inner();
        let mut views = if slot_id.is_empty() { self.node()?.slots() } else { vec![self.view_of(&access, &slot_id)?] };
        views.retain(|view| access.reaches(view.definition.id.as_str()));
        let found = run_long(views.len(), || {
            let each = views.iter().flat_map(|view| {
                let slot = view.definition.id.as_str();
                alerts(view).into_iter().map(move |alert| encode_alert(slot, alert))
            });
            each.take(ALERTS_MAX).collect()
        });
        Ok(Response::new(ListAlertsResponse { alerts: found }))
    }

    async fn list_features(
        &self,
        request: Request<ListFeaturesRequest>,
    ) -> Result<Response<ListFeaturesResponse>, Status> {
        let access = CallAccess::of(&request);
        let view = self.view_of(&access, &request.into_inner().slot_id)?;
        Ok(Response::new(encode_features_info(&view)))
    }

    type ComparePoliciesStream = AnswerStream<ComparePoliciesResponse>;

    async fn compare_policies(
        &self,
        request: Request<ComparePoliciesRequest>,
    ) -> Result<Response<Self::ComparePoliciesStream>, Status> {
        let access = CallAccess::of(&request);
        self.stream_comparison(&access, &request.into_inner())
    }

    type StreamExportStream = AnswerStream<StreamExportResponse>;

    async fn stream_export(
        &self,
        request: Request<StreamExportRequest>,
    ) -> Result<Response<Self::StreamExportStream>, Status> {
        let access = CallAccess::of(&request);
        self.stream_table(&access, request.into_inner())
    }

    async fn explain_decision(
        &self,
        request: Request<ExplainDecisionRequest>,
    ) -> Result<Response<ExplainDecisionResponse>, Status> {
        let access = CallAccess::of(&request);
        let ExplainDecisionRequest { decision_id, slot_id } = request.into_inner();
        let malformed =
            || FieldError::new("decision_id", "is not the id of a decision; give DecideResponse.decision_id");
        let id = DecisionId::parse(&decision_id).ok_or_else(|| error::field(&malformed()))?;
        let slot = (!slot_id.is_empty()).then(|| SlotId::parse("slot_id", &slot_id)).transpose();
        let slot = slot.map_err(|e| error::field(&e))?;
        slot.iter().try_for_each(|slot| access.check_slot(slot))?;
        let recalled = self.node()?.recall(id, slot.as_ref()).await.map_err(|why| match why {
            // The reason may name the slot of the decision.
            HindsightError::Unknown(_) if access.check_all_slots().is_err() => {
                error::hindsight(HindsightError::Unknown("there is no such decision".to_owned()))
            }
            why @ (HindsightError::Change(_) | HindsightError::Read(_) | HindsightError::Unknown(_)) => {
                error::hindsight(why)
            }
        })?;
        access.check_slot(&recalled.decided.slot)?;
        let mut explained = encode::recalled_decision(recalled);
        explained.subject = explained.subject.filter(|_| access.sees_subjects());
        Ok(Response::new(explained))
    }

    async fn list_decisions(
        &self,
        request: Request<ListDecisionsRequest>,
    ) -> Result<Response<ListDecisionsResponse>, Status> {
        let access = CallAccess::of(&request);
        let ListDecisionsRequest { slot_id, count } = request.into_inner();
        let view = self.view_of(&access, &slot_id)?;
        let count = match usize::try_from(count) {
            Ok(0) => DECISIONS_DEFAULT,
            Ok(count) if count <= NEWEST_MAX => count,
            Ok(_) | Err(_) => {
                let message = format!("is {count}; at most {NEWEST_MAX} are listed");
                return Err(error::field(&FieldError::new("count", message)));
            }
        };
        let newest = self.node()?.newest_decisions(&view, count).await.map_err(error::hindsight)?;
        let sees_subjects = access.sees_subjects();
        let recent = newest.iter().map(|(at_us, decided)| encode::recent_decision(*at_us, decided, sees_subjects));
        Ok(Response::new(ListDecisionsResponse { decisions: page_of(recent, count) }))
    }

    async fn try_decide(&self, request: Request<TryDecideRequest>) -> Result<Response<TryDecideResponse>, Status> {
        let access = CallAccess::of(&request);
        let message = request.into_inner().request.unwrap_or_default();
        let decoded = decode::request(message).map_err(|e| error::field(&e))?;
        let DecodedRequest { request, ignored_features, baseline_on_overload: _ } = decoded;
        let view = self.view(&access, &request.slot)?;
        let now_us = self.node()?.now_us();
        // The number is as random as that of a decision, and no decision has it.
        let draw = rand::make_rng::<StdRng>().next_u64();
        let items = self.node()?.items();
        let id = DecisionId::new(view.number, now_us, draw);
        let options = DecideOptions { items: Some(&items), ..DecideOptions::new(id, draw) };
        let mut request = engine::Request { request_id: None, explain: true, ..request };
        self.node()?.add_features_to_trial(&mut request, &view, now_us);
        let view = view.at(now_us);
        let decided = run_long(view.arms_in_effect().len(), || decide(&view, request, options));
        let answer = encode::decision(&decided.decided, decided.explanation, Some(&view));
        let decision = DecideResponse { decision_id: String::new(), ignored_features, ..answer };
        Ok(Response::new(TryDecideResponse { decision: Some(decision) }))
    }

    async fn get_system_state(
        &self,
        request: Request<GetSystemStateRequest>,
    ) -> Result<Response<GetSystemStateResponse>, Status> {
        let access = CallAccess::of(&request);
        let node = self.node()?;
        let disk = node.disk_use();
        let mut views = node.slots();
        views.retain(|view| access.reaches(view.definition.id.as_str()));
        Ok(Response::new(GetSystemStateResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time: Some(encode::encode_timestamp(node.now_us())),
            disk_full: *node.full().borrow(),
            clock_doubt_seconds: node.clock_doubt_seconds(),
            journal_bytes: disk.journal,
            log_bytes: disk.log,
            snapshot_bytes: disk.snapshots,
            slots: u32::try_from(views.len()).unwrap_or(u32::MAX),
            pending_decisions: views.iter().map(|view| view.pending as u64).sum(),
            pending_decisions_bytes: views.iter().map(|view| view.pending_bytes).sum(),
        }))
    }
}

/// Returns the place of a feature among those that a slot follows.
fn followed(view: &SlotView, feature: &str) -> Result<usize, Status> {
    let features = view.evaluation.segments.features();
    features.iter().position(|known| known.name == feature).ok_or_else(|| {
        let near = suggestion(feature, features.iter().map(|known| known.name.as_str()));
        let message = format!("is not a feature that the slot follows{near}; GetSegments without a feature lists them");
        error::field(&FieldError::new("feature", message))
    })
}
