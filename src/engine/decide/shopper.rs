//! Features of a request that come from its shopper's profiles.

use super::request::Request;
use crate::{
    bandit::Features,
    engine::{profile::ShopperView, view::SlotView},
};

impl ShopperView {
    /// Adds the features of the shopper to a request, as far as the slot wants them. The request's own features win on a
    /// name clash. Without a profile the request stays as it is.
    pub fn add_features(&self, request: &mut Request, view: &SlotView, now_us: i64) {
        let Some(shopper) = self.narrowed(view.definition.controls.profile_features()) else { return };
        shopper.add_context(&mut request.context, now_us);
        request.matches = if request.candidates.is_empty() {
            shopper.matches(view.arms_in_effect().iter().map(|arm| (&arm.id, &arm.attributes, None)))
        } else {
            let none = Features::new();
            let attributes = |arm: &str| view.arm(arm).map_or(&none, |arm| &arm.attributes);
            let candidates = request.candidates.iter();
            shopper.matches(candidates.map(|of| (&of.arm, attributes(of.arm.as_str()), Some(&of.features))))
        };
    }
}
