//! Controls that are more than a number.

use serde::{Deserialize, Serialize};

use super::DAY_US;
use crate::slot::id::ArmId;

/// Exploration preset: a named width multiplier, or the even split. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExplorationPreset {
    /// Width multiplier 0.5.
    Cautious,
    /// Width multiplier 1.
    Balanced,
    /// Width multiplier 1.5.
    Curious,
    /// Equal probabilities, whatever the scores.
    EvenSplit,
}

impl ExplorationPreset {
    /// Width multiplier of the preset, or `None` for the even split.
    pub fn width(self) -> Option<f64> {
        match self {
            Self::Cautious => Some(0.5),
            Self::Balanced => Some(1.0),
            Self::Curious => Some(1.5),
            Self::EvenSplit => None,
        }
    }
}

/// Floor and ceiling of an arm's probability, each `None` for the slot's. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ProbabilityBounds {
    /// Least probability, 0 to 1.
    pub floor: Option<f64>,
    /// Greatest probability, above 0 and at most 1.
    pub ceiling: Option<f64>,
}

/// Features of a shopper's profile that join the requests of a slot. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ProfileFeatures {
    /// Features of the session, of the customer, and of each candidate's match with both.
    #[default]
    All,
    /// Features of the session, and of each candidate's match with it.
    Session,
    /// No features.
    None,
}

impl ProfileFeatures {
    /// All settings.
    pub const ALL: [Self; 3] = [Self::All, Self::Session, Self::None];
}

/// Warm-up of a slot: all arms have equal probabilities until every eligible arm was shown and rewarded this often.
/// *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WarmUp {
    /// Number of showings.
    pub views: u64,
    /// Number of showings with a reward.
    pub rewards: u64,
    /// Multiple of the showings after which the warm-up of an arm ends without the rewards, or `None` for 5.
    #[serde(default)]
    pub patience: Option<u32>,
}

impl WarmUp {
    /// Default of the patience.
    pub const PATIENCE: u32 = 5;

    /// Number of showings after which an arm's warm-up ends whatever its rewards.
    pub fn views_at_most(&self) -> u64 {
        // Each reward takes a showing, so the rewards count if no showings are set.
        self.views.max(self.rewards).saturating_mul(u64::from(self.patience.unwrap_or(Self::PATIENCE)))
    }

    /// Returns whether an arm with `shown` showings, of which `rewarded` were rewarded, still warms up.
    pub fn lasts(&self, shown: u64, rewarded: u64) -> bool {
        (shown < self.views || rewarded < self.rewards) && shown < self.views_at_most()
    }
}

/// Head start: a floor for new arms until they were shown this often. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HeadStart {
    /// Number of showings after which an arm is no longer new.
    pub views: u64,
    /// Least probability of each new arm, 0 to 1.
    pub floor: f64,
    /// Greatest total of these floors, 0 to 1.
    pub limit: f64,
}

/// Mode of a slot: the subjects that get the policy's choice. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub enum Mode {
    /// All subjects except the holdout get the policy's choice.
    #[default]
    On,
    /// Shadow mode: the policy's choice is recorded, and every subject gets the baseline.
    Shadow,
    /// A test: this fraction of the subjects, 0 to 1, gets the policy's choice. The others count as holdout.
    Test(f64),
}

/// Limit on the decisions of one subject that are learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectLimit {
    /// Every decision is learned.
    Unlimited,
    /// Greatest number of decisions per day that are learned.
    PerDay(u32),
    /// Limit that follows the traffic: twenty decisions per day, and in a fortnight no more than the largest of five,
    /// five times what the other subjects taught on average, and a thousandth of all that the slot learned.
    Automatic,
}

/// Baseline: the arms that are shown if the policy does not choose. *Persisted.*
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Baseline {
    /// Caller's order, or the slot's order if the request names no candidates.
    #[default]
    CallersOrder,
    /// A fixed arm first, then the caller's order.
    Arm(ArmId),
    /// Random order, each with equal probability.
    Uniform,
}

/// Stickiness: the time for which a subject gets the same arms. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Stickiness {
    /// Each decision is drawn independently.
    #[default]
    Never,
    /// Arms stay for the session, for a day at most.
    Session,
    /// Arms stay for this time after the first draw, microseconds.
    For(i64),
}

impl Stickiness {
    /// Time for which the drawn arms are remembered, microseconds.
    pub fn memory_us(self) -> i64 {
        match self {
            Self::Never => 0,
            Self::Session => DAY_US,
            Self::For(us) => us,
        }
    }
}

impl HeadStart {
    /// Default of the limit, which leaves the other half to the arms that are known to be good.
    pub const LIMIT_DEFAULT: f64 = 0.5;
}
