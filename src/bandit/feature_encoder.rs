//! Encoders of a learner, each with its budget and the features that it is given.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    encoder::{EncodedRow, Encoder, RowFeatures},
    linear::{LinearDesign, Sharing},
    model::Design,
};

/// Rows of all encoders of a learner, in the learner's order. *Persisted.*
pub type EncodedRows = Vec<EncodedRow>;

/// Encoder with its budget and the kinds of features that it encodes. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct FeatureEncoder {
    pub(super) budget: u32,
    /// Encodes the arms' attributes as well.
    pub(super) attributes: bool,
    pub(super) encoder: Arc<Encoder>,
}

impl FeatureEncoder {
    pub(super) fn parts<'a>(&self, parts: RowFeatures<'a>) -> RowFeatures<'a> {
        RowFeatures { arm: parts.arm.filter(|_| self.attributes), ..parts }
    }
}

pub(super) fn find_or_add_encoder(feature_encoders: &mut Vec<FeatureEncoder>, design: Design, budget: u32) -> usize {
    let attributes = matches!(design, Design::Linear(LinearDesign { sharing: Sharing::Shared, .. }));
    let have = feature_encoders
        .iter()
        .position(|feature_encoder| feature_encoder.budget == budget && feature_encoder.attributes == attributes);
    have.unwrap_or_else(|| {
        feature_encoders.push(FeatureEncoder { budget, attributes, encoder: Arc::new(Encoder::new(budget)) });
        feature_encoders.len() - 1
    })
}
