//! `InsightService`.

use tonic::{Request, Response, Status};

use super::{
    Api, error,
    proto::{GetSlotReportRequest, GetSlotReportResponse, insight_service_server::InsightService},
    report,
};
use crate::{engine::report as slot_report, node::run_long, slot::SlotId};

#[tonic::async_trait]
impl InsightService for Api {
    async fn get_slot_report(
        &self,
        request: Request<GetSlotReportRequest>,
    ) -> Result<Response<GetSlotReportResponse>, Status> {
        let GetSlotReportRequest { slot_id } = request.into_inner();
        let slot = SlotId::parse("slot_id", &slot_id).map_err(|e| error::field(&e))?;
        let node = self.node()?;
        let view =
            node.slot(&slot).ok_or_else(|| error::slot_not_found("slot_id", &slot, &node.suggest(slot.as_str())))?;
        Ok(Response::new(GetSlotReportResponse {
            report: Some(report::encode(run_long(view.arms.names().len(), || slot_report(&view)))),
        }))
    }
}
