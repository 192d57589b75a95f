//! Shares of what was shown, which checks watch.

use super::{
    catalogue::CurrentCatalogue,
    setup::{Setup, ShareProbe},
};
use crate::{
    environment::Environment,
    scenario::{ArmState, names::arm_factor},
};

/// Returns whether a shown arm counts for a watched share.
pub(super) fn counts_for_share(
    setup: &Setup<'_>,
    probe: &ShareProbe<'_>,
    environment: &Environment<'_>,
    catalogue: &CurrentCatalogue,
    arm: usize,
    index: u64,
) -> bool {
    let of = &environment.arms()[arm];
    let named = probe.arm.is_none_or(|id| id == of.arm.id.as_str());
    let attribute = probe.attribute.is_none_or(|attribute| {
        arm_factor(&setup.scenario.catalogue, Some(attribute)).is_ok_and(|factor| of.factor(&factor, 1.0) > 0.0)
    });
    let state = match probe.state {
        None => true,
        Some(ArmState::OutOfStock) => !catalogue.in_stock[arm],
        Some(ArmState::Retired) => !catalogue.present[arm],
        Some(ArmState::New) => {
            catalogue.launched[arm].is_some_and(|launched| index < launched + setup.scenario.horizon / 10)
        }
    };
    named && attribute && state
}
