//! Effects of shopper events, as callers learn them.

use std::collections::BTreeMap;

use super::{answer::RewardAnswer, event::RewardEvent, ids::DecisionId, profile::ProfileChange};
use crate::slot::{ArmId, SlotId};

/// Reward that a shopper event gave to a shown arm.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinedReward {
    /// Decision that showed the arm.
    pub decision: DecisionId,
    /// The arm.
    pub arm: ArmId,
    /// Change of the arm's reward by the event, reward units.
    pub reward: f64,
}

/// Effect of a shopper event on one slot.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SlotJoin {
    /// Rewards that it gave.
    pub joined: Vec<JoinedReward>,
    /// Parts that gave no reward, or one with a remark: the item, and the answer that a reward event would have got.
    pub remarks: Vec<(Option<ArmId>, RewardAnswer)>,
    /// Reward events that stand for it in the slot and were accepted.
    pub accepted: Vec<RewardEvent>,
}

/// Effect of a shopper event.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ShopperEffect {
    /// First event of the id, if this one repeats it. Nothing else changed then.
    pub repeats: Option<RepeatedEvent>,
    /// Effect on each slot that it concerns.
    pub slots: BTreeMap<SlotId, SlotJoin>,
    /// Effect on the profiles.
    pub profiles: ProfileChange,
}

/// First shopper event of an id that was used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepeatedEvent {
    /// Time at which the first event came, microseconds since 1970.
    pub came_us: i64,
    /// `true` if both events have the same content.
    pub same: bool,
}
