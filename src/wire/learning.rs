//! Streams of `SlotService` with what slots have learned, as files.
//!
//! Invariants:
//!
//! * A file is read as a whole before anything is changed. A caller that stops sending changes nothing.
//! * A call holds at most one file in memory.

use std::sync::Arc;

use tokio_stream::StreamExt as _;
use tonic::{Response, Status, Streaming};

use super::{
    Api,
    access::CallAccess,
    encode::encode_timestamp,
    encode_slot::{self as encode, SlotHead},
    error,
    proto::{self, ExportLearningResponse, ImportLearningRequest, ImportLearningResponse},
    slots::parse_slot,
    stream::{AnswerStream, next_message},
};
use crate::{
    engine::{Change, LearningFile, LearningFileError},
    node::{WriteError, run_long},
    slot::{Actor, ArmId, ChangeReason, FieldError, limits::LEARNING_BYTES_MAX},
};

/// Bytes of one part of a file.
pub(crate) const PART: usize = 1024 * 1024;

fn encode_source(file: &LearningFile) -> proto::LearningSource {
    let source = file.source();
    proto::LearningSource {
        slot_id: source.slot.to_string(),
        time: Some(encode_timestamp(source.at_us)),
        decisions: source.decisions,
        arm_count: u32::try_from(file.seed().arms().len()).unwrap_or(u32::MAX),
        pays_rates: source.pays_rates,
        simulated: source.simulated,
    }
}

/// Status of a file that a caller sent.
fn refused_file(why: &LearningFileError) -> Status {
    error::field(&FieldError::new("content", why.to_string()))
}

impl Api {
    /// Answers with the parts of the file of what a slot has learned.
    pub(super) async fn stream_learning(
        &self,
        access: &CallAccess,
        slot_id: &str,
    ) -> Result<Response<AnswerStream<ExportLearningResponse>>, Status> {
        let slot = parse_slot(slot_id)?;
        access.check_slot(&slot)?;
        let node = self.node()?;
        let found = node.export_learning(slot.clone()).await.map_err(|why| error::write(&why))?;
        let found = found.ok_or_else(|| error::slot_not_found("slot_id", &slot, &access.near(node, &slot)))?;
        let file = found.map_err(|why| error::learning(&slot, &why))?;
        let (bytes, source) = (Arc::clone(file.bytes()), encode_source(&file));
        let parts = (0..bytes.len()).step_by(PART).map(move |start| {
            let content = bytes[start..bytes.len().min(start + PART)].to_vec();
            Ok(ExportLearningResponse { content, source: (start == 0).then(|| source.clone()) })
        });
        let draining = self.draining();
        let going_on = tokio_stream::iter(parts)
            .map(move |part| if draining.is_cancelled() { Err(error::write(&WriteError::Stopped)) } else { part });
        Ok(Response::new(Box::pin(going_on)))
    }

    /// Lets a slot start from the file that the parts of a call make.
    pub(super) async fn take_learning(
        &self,
        access: &CallAccess,
        actor: Actor,
        mut parts: Streaming<ImportLearningRequest>,
    ) -> Result<ImportLearningResponse, Status> {
        let draining = self.draining();
        let mut first: Option<ImportLearningRequest> = None;
        let mut bytes = Vec::new();
        while let Some(mut part) = next_message(&mut parts, &draining).await? {
            // The slot of the first part is checked before further parts are taken, and the key before each.
            access.check_slot(&parse_slot(&first.as_ref().unwrap_or(&part).slot_id)?)?;
            if bytes.len() + part.content.len() > LEARNING_BYTES_MAX {
                return Err(refused_file(&LearningFileError::TooLarge((bytes.len() + part.content.len()) as u64)));
            }
            bytes.append(&mut part.content);
            first.get_or_insert(part);
        }
        let first = first.unwrap_or_default();
        let ImportLearningRequest { slot_id, content: _, weight, validate_only, reason, author } = first;
        let slot = parse_slot(&slot_id)?;
        self.view(access, &slot)?;
        let file = run_long(usize::MAX, || LearningFile::read(bytes.into())).map_err(|why| refused_file(&why))?;
        let file = Arc::new(file);
        let change = Change::ImportLearning(Arc::clone(&file), weight.unwrap_or(1.0));
        let why = ChangeReason { author, reason, actor };
        let view = self.change(access, &slot, change, why, validate_only).await?;
        let known: std::collections::HashSet<&ArmId> = file.seed().arms().iter().collect();
        let known_arms = view.arms_in_effect().iter().filter(|arm| known.contains(&arm.id)).count();
        let SlotHead { slot, arm_count, available_arm_count } = encode::slot_head(&view);
        Ok(ImportLearningResponse {
            slot,
            arm_count,
            available_arm_count,
            source: Some(encode_source(&file)),
            known_arm_count: u32::try_from(known_arms).unwrap_or(u32::MAX),
        })
    }
}
