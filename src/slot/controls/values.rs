//! Controls that are more than a number.

use serde::{Deserialize, Serialize};

use super::DAY_US;
use crate::slot::id::ArmId;

/// A named width multiplier. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExplorationPreset {
    /// 0.5.
    Cautious,
    /// 1.
    Balanced,
    /// 1.5.
    Curious,
    /// All alike, whatever the scores.
    EvenSplit,
}

impl ExplorationPreset {
    /// The width multiplier that it stands for; none: all alike.
    pub fn width(self) -> Option<f64> {
        match self {
            Self::Cautious => Some(0.5),
            Self::Balanced => Some(1.0),
            Self::Curious => Some(1.5),
            Self::EvenSplit => None,
        }
    }
}

/// The least and the greatest probability of an arm; none: that for all. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ProbabilityBounds {
    /// The least, 0 to 1.
    pub floor: Option<f64>,
    /// The greatest, above 0 up to 1.
    pub ceiling: Option<f64>,
}

/// Warm-up of a slot: until every arm that could be chosen was shown and rewarded so often, all are alike. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WarmUp {
    /// Showings.
    pub views: u64,
    /// Showings with a reward.
    pub rewards: u64,
    /// The warm-up of an arm ends without those rewards after so many times its showings; `None`: 5.
    #[serde(default)]
    pub patience: Option<u32>,
}

impl WarmUp {
    /// The patience of a warm-up that does not say one.
    pub const PATIENCE: u32 = 5;

    /// Showings after which an arm's warm-up ends whatever its rewards.
    pub fn views_at_most(&self) -> u64 {
        // Each reward takes a showing, so those count where no showings are asked for.
        self.views.max(self.rewards).saturating_mul(u64::from(self.patience.unwrap_or(Self::PATIENCE)))
    }

    /// Whether an arm with so many showings, of which so many were rewarded, still warms up.
    pub fn lasts(&self, shown: u64, rewarded: u64) -> bool {
        (shown < self.views || rewarded < self.rewards) && shown < self.views_at_most()
    }
}

/// What a new arm is guaranteed until it was shown so often. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HeadStart {
    /// Showings.
    pub views: u64,
    /// The least probability of each, 0 to 1.
    pub share: f64,
    /// The most that all new arms together are guaranteed, 0 to 1.
    pub limit: f64,
}

/// Who gets what the policy chooses. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub enum Mode {
    /// All but the holdout.
    #[default]
    On,
    /// Nobody: what it would have chosen is recorded, and the baseline shown.
    Shadow,
    /// This share of the subjects, 0 to 1; the others count as holdout.
    Test(f64),
}

/// What is shown where the policy does not choose. *Persisted.*
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Baseline {
    /// The caller's order; without candidates the slot's.
    #[default]
    CallersOrder,
    /// This arm, then the caller's order.
    Arm(ArmId),
    /// All orders alike.
    Uniform,
}

/// How long a subject gets the same. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Stickiness {
    /// Each decision is drawn anew.
    #[default]
    Never,
    /// As long as the session lasts, at most a day.
    Session,
    /// So long after the first draw, microseconds.
    For(i64),
}

impl Stickiness {
    /// How long what was drawn is remembered, microseconds.
    pub fn memory_us(self) -> i64 {
        match self {
            Self::Never => 0,
            Self::Session => DAY_US,
            Self::For(us) => us,
        }
    }
}

impl HeadStart {
    /// The limit where none is said: what is known to be good keeps the other half.
    pub const LIMIT_DEFAULT: f64 = 0.5;
}
