//! `InsightService`: reports and explanations.

use tonic::{Request, Response, Status};

use super::{
    Api, arms, encode, error,
    proto::{
        ExplainDecisionRequest, ExplainDecisionResponse, GetSlotReportRequest, GetSlotReportResponse,
        insight_service_server::InsightService,
    },
    report,
    slots::{page_of, page_size as size_of_page},
};
use crate::{
    engine::{DecisionId, report as slot_report},
    node::run_long,
    slot::{FieldError, SlotId},
};

#[tonic::async_trait]
impl InsightService for Api {
    async fn get_slot_report(
        &self,
        request: Request<GetSlotReportRequest>,
    ) -> Result<Response<GetSlotReportResponse>, Status> {
        let GetSlotReportRequest { slot_id, page_size, page_token } = request.into_inner();
        let list = format!("report of {slot_id}");
        let size = size_of_page(page_size, 1_000, 5_000)?;
        let slot = SlotId::parse("slot_id", &slot_id).map_err(|e| error::field(&e))?;
        let node = self.node()?;
        let view =
            node.slot(&slot).ok_or_else(|| error::slot_not_found("slot_id", &slot, &node.suggest(slot.as_str())))?;
        let now_us = node.now_us();
        let report = run_long(view.arms.names().len(), || slot_report(&view.at(now_us)));
        let mut report = report::encode(report);
        let all = std::mem::take(&mut report.arms);
        let start = arms::start(&list, &page_token, all.len(), |at| Some(all.get(at)?.arm_id.as_str()))?;
        let count = all.len();
        report.arms = page_of(all.into_iter().skip(start), size);
        let end = start + report.arms.len();
        let last = report.arms.last().filter(|_| end < count);
        let next_page_token = last.map(|last| arms::token(&list, end, &last.arm_id)).unwrap_or_default();
        Ok(Response::new(GetSlotReportResponse { report: Some(report), next_page_token }))
    }

    async fn explain_decision(
        &self,
        request: Request<ExplainDecisionRequest>,
    ) -> Result<Response<ExplainDecisionResponse>, Status> {
        let ExplainDecisionRequest { decision_id, slot_id } = request.into_inner();
        let malformed =
            || FieldError::new("decision_id", "is not the id of a decision; give DecideResponse.decision_id");
        let id = DecisionId::parse(&decision_id).ok_or_else(|| error::field(&malformed()))?;
        let slot = (!slot_id.is_empty()).then(|| SlotId::parse("slot_id", &slot_id)).transpose();
        let slot = slot.map_err(|e| error::field(&e))?;
        let recalled = self.node()?.recall(id, slot.as_ref()).await.map_err(error::hindsight)?;
        Ok(Response::new(encode::recalled_decision(recalled)))
    }
}
