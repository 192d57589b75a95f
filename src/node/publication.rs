//! Publication of the state with which a node begins.

use std::sync::Arc;

use super::{Shared, exposures::Exposures, logins::Logins, requests::RequestIndex};
use crate::engine::State;

/// Publishes all slots, and what is looked up beside their views.
pub(super) fn publish_all(
    state: &State,
    shared: &Shared,
    (requests, exposures, logins): (&RequestIndex, &Exposures, &Logins),
) {
    for (id, slot) in state.slots() {
        let view = slot.view();
        for (at_us, decided) in slot.requests() {
            requests.claims().claim(view.number, decided, at_us);
        }
        if !slot.exposure().is_empty() {
            exposures.begin(view.number, slot.exposure().clone());
        }
        if !slot.logins().is_empty() {
            logins.begin(&view, slot.logins());
        }
        shared.views.insert(id.clone(), Arc::new(view));
    }
}
