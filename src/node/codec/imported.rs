//! Conversion of imports, of decisions and of learning, to the journal's messages and back.

use std::sync::Arc;

use super::{
    decode::{DecodeResult, decode_features, parse_arm_id, parse_slot_id},
    encode::encode_features,
    log,
};
use crate::{
    engine::{ImportedObservation, ImportedPart, LearningFile, LearningImport},
    slot::{Actor, ChangeReason},
};

pub(super) fn encode_import(part: &ImportedPart) -> log::Imported {
    let observation = |observation: &ImportedObservation| log::ImportedObservation {
        time_us: observation.at_us,
        context: encode_features(&observation.context),
        arm_id: observation.arm.to_string(),
        features: encode_features(&observation.features),
        propensity: observation.propensity,
        reward: observation.reward,
    };
    log::Imported {
        slot_id: part.slot.to_string(),
        import_id: part.import_id.clone(),
        part: part.part,
        observations: part.observations.iter().map(observation).collect(),
        reason: part.why.reason.clone(),
        author: part.why.author.clone(),
    }
}

pub(super) fn decode_import(imported: log::Imported, actor: Actor) -> DecodeResult<ImportedPart> {
    let log::Imported { slot_id, import_id, part, observations, reason, author } = imported;
    let observation = |observation: log::ImportedObservation| {
        let log::ImportedObservation { time_us, context, arm_id, features, propensity, reward } = observation;
        Ok(ImportedObservation {
            at_us: time_us,
            context: decode_features(context)?,
            arm: parse_arm_id(&arm_id)?,
            features: decode_features(features)?,
            propensity,
            reward,
        })
    };
    Ok(ImportedPart {
        slot: parse_slot_id(&slot_id)?,
        import_id,
        part,
        observations: observations.into_iter().map(observation).collect::<DecodeResult<_>>()?,
        why: ChangeReason { author, reason, actor },
    })
}

pub(super) fn encode_learning(import: &LearningImport) -> log::LearningImported {
    log::LearningImported {
        slot_id: import.slot.to_string(),
        content: import.file.bytes().to_vec(),
        weight: import.weight,
        reason: import.why.reason.clone(),
        author: import.why.author.clone(),
    }
}

pub(super) fn decode_learning(imported: log::LearningImported, actor: Actor) -> DecodeResult<LearningImport> {
    let log::LearningImported { slot_id, content, weight, reason, author } = imported;
    Ok(LearningImport {
        slot: parse_slot_id(&slot_id)?,
        file: Arc::new(LearningFile::read(content.into())?),
        weight,
        why: ChangeReason { author, reason, actor },
    })
}
