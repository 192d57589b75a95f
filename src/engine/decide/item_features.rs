//! Features of a request's candidates that come from the item catalogue.

use super::request::Request;
use crate::{
    engine::{items::ItemTable, view::SlotView},
    slot::limits::FEATURES_MAX,
};

impl ItemTable {
    /// Adds the attributes of their items to those candidates of a request that are no arms of the slot. The candidate's
    /// own features win on a name clash. What is added is recorded with the decision like the candidate's own.
    ///
    /// Arms of the slot are joined with their items already.
    pub fn add_features(&self, request: &mut Request, view: &SlotView) {
        if self.is_empty() || !view.definition.open_catalogue {
            return;
        }
        for candidate in &mut request.candidates {
            if view.arms.position(candidate.arm.as_str()).is_some() {
                continue;
            }
            let Some(item) = self.get(candidate.arm.as_str()) else { continue };
            for (name, value) in &item.attributes {
                if candidate.features.len() < FEATURES_MAX && !candidate.features.contains_key(name) {
                    candidate.features.insert(name.clone(), value.clone());
                }
            }
        }
    }
}
