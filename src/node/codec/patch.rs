//! Changes of definitions as the log holds them, and back.

use std::sync::Arc;

use super::{
    controls::{decode_share, encode_share},
    decode::{Decode, arm_id, missing},
    decode_slot::{self, arms, definition},
    encode_slot::{self, arm},
    log,
};
use crate::{
    engine::{Body, Patch, Piece},
    slot::{Actor, Arm, ArmId, ChangeReason, ProbabilityBounds, Rule},
};

pub(super) fn encode(patch: &Patch, why: &ChangeReason, rolled_back_to: Option<u64>) -> log::SlotPatched {
    let Patch { settings, arms, rules, arm_bounds } = patch;
    let arm_piece = |piece: &Piece<Arc<Arm>>| {
        use log::arm_piece::Piece as Out;
        let piece = match piece {
            Piece::Kept { start, length } => Out::Kept(log::Stretch { start: *start, length: *length }),
            Piece::New(new) => Out::Arm(arm(new)),
        };
        log::ArmPiece { piece: Some(piece) }
    };
    let rule_piece = |piece: &Piece<Rule>| {
        use log::rule_piece::Piece as Out;
        let piece = match piece {
            Piece::Kept { start, length } => Out::Kept(log::Stretch { start: *start, length: *length }),
            Piece::New(new) => Out::Rule(encode_slot::rule(new)),
        };
        log::RulePiece { piece: Some(piece) }
    };
    let set = arm_bounds.iter().filter_map(|(arm, share)| Some(encode_share(arm, (*share)?)));
    let removed = arm_bounds.iter().filter(|(_, share)| share.is_none());
    log::SlotPatched {
        definition: Some(encode_slot::definition(settings)),
        reason: why.reason.clone(),
        rolled_back_to,
        author: why.author.clone(),
        arms: arms.iter().map(arm_piece).collect(),
        rules: rules.iter().map(rule_piece).collect(),
        set_arm_shares: set.collect(),
        removed_arm_shares: removed.map(|(arm, _)| arm.to_string()).collect(),
    }
}

pub(super) fn decode(patched: log::SlotPatched, actor: Actor) -> Decode<Body> {
    let log::SlotPatched {
        definition: settings,
        reason,
        rolled_back_to,
        author,
        arms: arm_pieces,
        rules,
        set_arm_shares,
        removed_arm_shares,
    } = patched;
    let arm_piece = |piece: log::ArmPiece| -> Decode<Piece<Arc<Arm>>> {
        use log::arm_piece::Piece as In;
        Ok(match piece.piece.ok_or_else(|| missing("a piece of the arms"))? {
            In::Kept(log::Stretch { start, length }) => Piece::Kept { start, length },
            In::Arm(new) => Piece::New(arms(vec![new])?.pop().ok_or_else(|| missing("an arm"))?),
        })
    };
    let rule_piece = |piece: log::RulePiece| -> Decode<Piece<Rule>> {
        use log::rule_piece::Piece as In;
        Ok(match piece.piece.ok_or_else(|| missing("a piece of the rules"))? {
            In::Kept(log::Stretch { start, length }) => Piece::Kept { start, length },
            In::Rule(new) => Piece::New(decode_slot::rule(new)?),
        })
    };
    let set = set_arm_shares.into_iter().map(|share| decode_share(share).map(|(arm, share)| (arm, Some(share))));
    let removed = removed_arm_shares.iter().map(|arm| Ok((arm_id(arm)?, None)));
    let patch = Patch {
        settings: Arc::unwrap_or_clone(definition(settings)?),
        arms: arm_pieces.into_iter().map(arm_piece).collect::<Decode<_>>()?,
        rules: rules.into_iter().map(rule_piece).collect::<Decode<_>>()?,
        arm_bounds: set.chain(removed).collect::<Decode<Vec<(ArmId, Option<ProbabilityBounds>)>>>()?,
    };
    Ok(Body::SlotPatched { patch: Box::new(patch), why: ChangeReason { author, reason, actor }, rolled_back_to })
}
