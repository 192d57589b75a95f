//! Learning of slots as files.

use super::{connection::Client, error::ClientError};
use crate::{
    slot::ChangeReason,
    wire::{
        LEARNING_PART, decode,
        proto::{self, ExportLearningRequest, ImportLearningRequest},
    },
};

/// Slot that learning comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LearningOrigin {
    /// Id of the slot.
    pub slot: String,
    /// Time up to which it had learned, microseconds since 1970.
    pub at_us: i64,
    /// Number of decisions that it had made.
    pub decisions: u64,
    /// Number of arms that it had learned about.
    pub arms: u32,
}

/// Learning that a slot started from, or would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedLearning {
    /// Slot that the learning comes from.
    pub origin: LearningOrigin,
    /// Number of the slot's arms of which the file knows something.
    pub known_arms: u32,
    /// Number of the slot's arms.
    pub arms: u32,
}

fn decode_origin(source: Option<proto::LearningSource>) -> Result<LearningOrigin, ClientError> {
    let missing = || ClientError::Answer("the source of the learning is missing in it".into());
    let proto::LearningSource { slot_id, time, decisions, arm_count, pays_rates: _, simulated: _ } =
        source.ok_or_else(missing)?;
    let at_us = decode::decode_timestamp("time", time.unwrap_or_default());
    let at_us = at_us.map_err(|why| ClientError::Answer(why.to_string()))?;
    Ok(LearningOrigin { slot: slot_id, at_us, decisions, arms: arm_count })
}

impl Client {
    /// Reads what a slot has learned. Returns the bytes of the file, and where they come from.
    pub async fn export_learning(&mut self, slot: &str) -> Result<(Vec<u8>, LearningOrigin), ClientError> {
        let request = ExportLearningRequest { slot_id: slot.to_owned() };
        let mut parts = self.slots.export_learning(request).await?.into_inner();
        let (mut bytes, mut source) = (Vec::new(), None);
        while let Some(mut part) = parts.message().await? {
            bytes.append(&mut part.content);
            source = source.or(part.source);
        }
        Ok((bytes, decode_origin(source)?))
    }

    /// Lets a slot that has made no decisions start from a file, with this weight of each observation, above 0 and at most 1.
    /// With `validate_only`, only says whether it could.
    pub async fn import_learning(
        &mut self,
        slot: &str,
        file: Vec<u8>,
        weight: f64,
        why: &ChangeReason,
        validate_only: bool,
    ) -> Result<ImportedLearning, ClientError> {
        let ChangeReason { author, reason, actor: _ } = why.clone();
        let first = ImportLearningRequest {
            slot_id: slot.to_owned(),
            content: Vec::new(),
            weight: Some(weight),
            validate_only,
            reason,
            author,
        };
        let starts: Vec<usize> = (0..file.len()).step_by(LEARNING_PART).collect();
        let parts = starts.into_iter().map(move |start| ImportLearningRequest {
            content: file[start..file.len().min(start + LEARNING_PART)].to_vec(),
            ..ImportLearningRequest::default()
        });
        let request = tokio_stream::iter(std::iter::once(first).chain(parts));
        let response = self.slots.import_learning(request).await?.into_inner();
        Ok(ImportedLearning {
            origin: decode_origin(response.source)?,
            known_arms: response.known_arm_count,
            arms: response.arm_count,
        })
    }
}
