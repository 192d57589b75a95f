//! Arms of a decision that the slot took from the item catalogue, as the decision records them.

use std::collections::BTreeSet;

use crate::{
    engine::{decision_record::DecisionRecord, view::SlotView},
    slot::limits::EXPLAINED_MAX,
};

impl DecisionRecord {
    /// Returns the record with the names of the arms that its indices stand for, if every arm of the slot was a candidate and
    /// the slot takes them from the catalogue. Of more arms than an explanation shows, the record has only those about
    /// which it says something, so that its size does not grow with the catalogue.
    pub(super) fn with_catalogue_arms(mut self, view: &SlotView) -> Self {
        if !view.definition.takes_items() || !self.candidates.is_empty() {
            return self;
        }
        let arms = view.arms_in_effect();
        if arms.len() <= EXPLAINED_MAX {
            self.catalogue_arms = arms.iter().map(|arm| arm.id.clone()).collect();
            return self;
        }
        let chosen = self.chosen.iter().chain(&self.shadow_slate).filter_map(|chosen| {
            let place = view.arms.position(chosen.arm.as_str())?;
            u32::try_from(place).ok()
        });
        let mut places: BTreeSet<u32> = chosen.collect();
        places.extend(self.scored.iter().map(|scored| scored.candidate));
        places.extend(self.excluded.iter().map(|excluded| excluded.candidate));
        places.extend(self.matches.iter().flatten().map(|found| found.candidate));
        let places: Vec<u32> = places.into_iter().collect();
        // Every index that the record holds is among the places.
        let renamed = |candidate: &mut u32| {
            *candidate = places.binary_search(candidate).ok().and_then(|at| u32::try_from(at).ok()).unwrap_or(u32::MAX);
        };
        self.scored.iter_mut().for_each(|scored| renamed(&mut scored.candidate));
        self.excluded.iter_mut().for_each(|excluded| renamed(&mut excluded.candidate));
        self.matches.iter_mut().flatten().for_each(|found| renamed(&mut found.candidate));
        self.catalogue_arms = places.iter().filter_map(|&at| Some(arms.get(at as usize)?.id.clone())).collect();
        self
    }
}
