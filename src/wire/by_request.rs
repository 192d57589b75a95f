//! Decisions by their requests, for protocols of others that the services of the API have no call for.

use std::sync::Arc;

use tonic::{Request, Status};

use super::Api;
use crate::engine::DecisionRecord;

impl Api {
    /// Returns the decision of a slot that answered a request of this id within the last ten minutes, or `None` if
    /// none did.
    ///
    /// # Errors
    ///
    /// There is no such slot, the caller may not reach it, or the service is starting.
    pub(crate) fn decision_of_request<T>(
        &self,
        request: &Request<T>,
        slot_id: &str,
        request_id: &str,
    ) -> Result<Option<Arc<DecisionRecord>>, Status> {
        let view = self.slot_of(request, slot_id)?;
        Ok(self.node()?.decision_of_request(&view, request_id))
    }
}
