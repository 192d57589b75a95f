//! Answers for protocols of others that the services of the API have no call for: best guesses, and decisions by
//! their requests.

use std::sync::Arc;

use tonic::{Request, Status};

use super::{
    Api,
    access::CallAccess,
    decode::{self, DecodedRequest},
    encode, error,
    proto::{DecideRequest, DecideResponse},
};
use crate::{engine::DecisionRecord, node::Answer};

impl Api {
    /// Returns the best guess for a request, which is neither recorded nor learned from. The answer has no decision id.
    ///
    /// # Errors
    ///
    /// Those of a decision.
    pub(crate) fn best_guess(&self, request: Request<DecideRequest>) -> Result<DecideResponse, Status> {
        let access = CallAccess::of(&request);
        let node = self.node()?;
        let decoded = decode::request(request.into_inner()).map_err(|why| error::field(&why))?;
        let DecodedRequest { request, ignored_features, baseline_on_overload: _ } = decoded;
        access.check_request(node, &request)?;
        let answer: Answer = node.best_guess(request).map_err(|why| error::decide(&why))?;
        Ok(DecideResponse { decision_id: String::new(), ignored_features, ..encode::answer(answer) })
    }

    /// Returns the decision of a slot that answered a request of this id within the last ten minutes, or `None` if
    /// none did.
    ///
    /// # Errors
    ///
    /// Those of a call that reads the slot.
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
