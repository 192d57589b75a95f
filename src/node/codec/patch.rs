//! Conversion of changes of definitions to the journal's messages and back.

use std::sync::Arc;

use super::{
    controls::{decode_bounds, encode_bounds},
    decode::{DecodeResult, parse_arm_id},
    decode_slot::{decode_arms, decode_definition, decode_rule},
    encode_slot::{encode_arm, encode_definition, encode_rule},
    error::DecodeError,
    log,
};
use crate::{
    engine::{Body, Patch, Piece},
    slot::{Actor, Arm, ArmId, ChangeReason, ProbabilityBounds, Rule},
};

pub(super) fn encode_patch(patch: &Patch, why: &ChangeReason, rolled_back_to: Option<u64>) -> log::SlotPatched {
    let Patch { settings, arms, rules, arm_bounds } = patch;
    let arm_piece = |piece: &Piece<Arc<Arm>>| {
        use log::arm_piece::Piece as Out;
        let piece = match piece {
            Piece::Kept { start, length } => Out::Kept(log::KeptRange { start: *start, length: *length }),
            Piece::New(new) => Out::Arm(encode_arm(new)),
        };
        log::ArmPiece { piece: Some(piece) }
    };
    let rule_piece = |piece: &Piece<Rule>| {
        use log::rule_piece::Piece as Out;
        let piece = match piece {
            Piece::Kept { start, length } => Out::Kept(log::KeptRange { start: *start, length: *length }),
            Piece::New(new) => Out::Rule(encode_rule(new)),
        };
        log::RulePiece { piece: Some(piece) }
    };
    let set = arm_bounds.iter().filter_map(|(arm, bounds)| Some(encode_bounds(arm, (*bounds)?)));
    let removed = arm_bounds.iter().filter(|(_, bounds)| bounds.is_none());
    log::SlotPatched {
        definition: Some(encode_definition(settings)),
        reason: why.reason.clone(),
        rolled_back_to,
        author: why.author.clone(),
        arms: arms.iter().map(arm_piece).collect(),
        rules: rules.iter().map(rule_piece).collect(),
        set_arm_bounds: set.collect(),
        removed_arm_bounds: removed.map(|(arm, _)| arm.to_string()).collect(),
    }
}

pub(super) fn decode_patch(patched: log::SlotPatched, actor: Actor) -> DecodeResult<Body> {
    let log::SlotPatched {
        definition: settings,
        reason,
        rolled_back_to,
        author,
        arms: arm_pieces,
        rules,
        set_arm_bounds,
        removed_arm_bounds,
    } = patched;
    let arm_piece = |piece: log::ArmPiece| -> DecodeResult<Piece<Arc<Arm>>> {
        use log::arm_piece::Piece as In;
        Ok(match piece.piece.ok_or_else(|| DecodeError::missing("a piece of the arms"))? {
            In::Kept(log::KeptRange { start, length }) => Piece::Kept { start, length },
            In::Arm(new) => Piece::New(decode_arms(vec![new])?.pop().ok_or_else(|| DecodeError::missing("an arm"))?),
        })
    };
    let rule_piece = |piece: log::RulePiece| -> DecodeResult<Piece<Rule>> {
        use log::rule_piece::Piece as In;
        Ok(match piece.piece.ok_or_else(|| DecodeError::missing("a piece of the rules"))? {
            In::Kept(log::KeptRange { start, length }) => Piece::Kept { start, length },
            In::Rule(new) => Piece::New(decode_rule(new)?),
        })
    };
    let set = set_arm_bounds.into_iter().map(|bounds| decode_bounds(bounds).map(|(arm, bounds)| (arm, Some(bounds))));
    let removed = removed_arm_bounds.iter().map(|arm| Ok((parse_arm_id(arm)?, None)));
    let patch = Patch {
        settings: Arc::unwrap_or_clone(decode_definition(settings)?),
        arms: arm_pieces.into_iter().map(arm_piece).collect::<DecodeResult<_>>()?,
        rules: rules.into_iter().map(rule_piece).collect::<DecodeResult<_>>()?,
        arm_bounds: set.chain(removed).collect::<DecodeResult<Vec<(ArmId, Option<ProbabilityBounds>)>>>()?,
    };
    Ok(Body::SlotPatched { patch: Box::new(patch), why: ChangeReason { author, reason, actor }, rolled_back_to })
}
