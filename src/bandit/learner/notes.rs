//! Notes on features that are not used as they were sent.

use std::collections::BTreeMap;

use super::Learner;
use crate::bandit::FeatureNote;

impl Learner {
    /// Notes on features that are not used as they were sent, by name and without duplicates.
    pub fn feature_notes(&self) -> BTreeMap<String, Vec<FeatureNote>> {
        let mut notes: BTreeMap<String, Vec<FeatureNote>> = BTreeMap::new();
        for (name, more) in self.feature_encoders.iter().flat_map(|e| e.encoder.notes()) {
            let of_name = notes.entry(name.to_owned()).or_default();
            for note in more {
                if !of_name.contains(&note) {
                    of_name.push(note);
                }
            }
        }
        notes
    }
}
