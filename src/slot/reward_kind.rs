//! Kinds of reward events: what they are worth, their roles in a shop, and the decisions that they belong to.

use serde::{Deserialize, Serialize};

/// Role of a kind of reward event in a shop, by which ratios are named. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KindRole {
    /// The shopper looked closer.
    Click,
    /// The shopper did what the slot is for, such as a sign-up.
    Conversion,
    /// The shopper bought for the event's value.
    Revenue,
    /// The shopper gave something back.
    Refund,
    /// Something that must not rise, such as an unsubscription.
    Guardrail,
}

/// Decisions that an event about items belongs to if it does not name them. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum JoinRule {
    /// Decisions that showed the item.
    #[default]
    Item,
    /// The latest decision for the subject, whatever it showed.
    Any,
}

/// Silence that is learned: shown arms without events. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum SilenceRule {
    /// Silence of every arm that a decision chose.
    #[default]
    Every,
    /// Silence of arms that are known to have been seen.
    Shown,
}

impl JoinRule {
    /// All rules.
    pub const ALL: [Self; 2] = [Self::Item, Self::Any];
}

impl KindRole {
    /// All roles.
    pub const ALL: [Self; 5] = [Self::Click, Self::Conversion, Self::Revenue, Self::Refund, Self::Guardrail];
}

/// Kind of reward event and its worth. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RewardKind {
    /// Name of the kind.
    pub kind: String,
    /// Reward units per event, or per unit of value.
    pub weight: f64,
    /// Multiplies the weight by the event's value.
    pub use_value: bool,
    /// Greatest amount that this kind adds to (or takes from) one shown arm's reward, reward units.
    pub cap: Option<f64>,
    /// Fraction of this kind's values that are learned unchanged. Larger values are learned as that quantile.
    #[serde(default)]
    pub winsorize: Option<f64>,
    /// Role of the kind, or `None` for the one that follows from its name and worth.
    #[serde(default)]
    pub role: Option<KindRole>,
    /// Rule by which shopper events of the kind find their decisions, or `None` for [`JoinRule::Item`].
    #[serde(default)]
    pub joins: Option<JoinRule>,
}

impl RewardKind {
    /// Rule by which shopper events of the kind find their decisions.
    pub fn joins(&self) -> JoinRule {
        self.joins.unwrap_or_default()
    }

    /// Role of the kind: the one that is set, or else that of what its name and worth say, or `None` if they say nothing.
    pub fn role(&self) -> Option<KindRole> {
        let by_name = || match self.kind.as_str() {
            "click" | "email_click" => Some(KindRole::Click),
            "unsubscribe" => Some(KindRole::Guardrail),
            "purchase" => Some(KindRole::Conversion),
            _ => None,
        };
        let by_worth = || match (self.weight < 0.0, self.use_value) {
            (true, _) => Some(KindRole::Refund),
            (false, true) => Some(KindRole::Revenue),
            (false, false) => None,
        };
        self.role.or_else(by_worth).or_else(by_name)
    }
}
