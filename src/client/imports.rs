//! Imports: decisions of the past that a slot learns.

use super::{connection::Client, error::ClientError};
use crate::{
    engine::ImportedPart,
    slot::ChangeReason,
    wire::{
        encode::{encode_features, encode_timestamp},
        proto::{ImportObservationsRequest, ImportedObservation},
    },
};

/// Progress of an import after one of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportedSoFar {
    /// `true` if the slot had learned the part before.
    pub repeated: bool,
    /// Number of parts that the slot has learned.
    pub parts: u32,
    /// Number of observations in them.
    pub observations: u64,
}

impl Client {
    /// Teaches a slot a part of an import. A part that the slot has learned is not learned again.
    pub async fn import_part(&mut self, part: ImportedPart) -> Result<ImportedSoFar, ClientError> {
        let ImportedPart { slot, import_id, part, observations, why } = part;
        let ChangeReason { author, reason, actor: _ } = why;
        let observation = |observation: crate::engine::ImportedObservation| ImportedObservation {
            time: Some(encode_timestamp(observation.at_us)),
            context: encode_features(&observation.context),
            arm_id: observation.arm.to_string(),
            features: encode_features(&observation.features),
            propensity: observation.propensity,
            reward: observation.reward,
        };
        let request = ImportObservationsRequest {
            slot_id: slot.to_string(),
            import_id,
            part,
            observations: observations.into_iter().map(observation).collect(),
            reason,
            author,
        };
        let response = self.imports.import_observations(request).await?.into_inner();
        Ok(ImportedSoFar { repeated: response.repeated, parts: response.parts, observations: response.observations })
    }
}
