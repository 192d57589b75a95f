//! Touchpoints: tables `[[touchpoints]]` of a scenario, and the way in which the shop calls the service, `[shop]`.

use serde::{Deserialize, Serialize};
use slotwise::environment::spec::Delay;

/// A touchpoint: a place where the shoppers of a scenario meet the shop, with a slot of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Touchpoint {
    /// The touchpoint's name, which is the id of its slot.
    pub name: String,
    /// Weight among all touchpoints: each visit is to one of them.
    #[serde(default = "one")]
    pub share: f64,
    /// Changes of the scenario's slot. A policy's own changes are laid over them.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub slot: toml::Table,
    /// Opening of what was decided, for emails and the like, or `None` if shoppers see it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened: Option<Opening>,
}

fn one() -> f64 {
    1.0
}

/// Opening of a message: whether its shopper sees what was decided, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// Chance that the message is opened.
    pub chance: f64,
    /// Time from the decision to the opening.
    #[serde(default)]
    pub delay: Delay,
}

/// Service by which the shop reports what shoppers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventReports {
    /// Reward events, each for one decision of one slot. No profile learns of them.
    Reward,
    /// Shopper events, each for all slots and for the shopper's profiles.
    Shopper,
}

/// Way in which the shop calls the service. `None` means what the scenario says for all policies, or else the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShopCalls {
    /// Service by which events are reported. The default is [`EventReports::Shopper`] if there are touchpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<EventReports>,
    /// `true` if decisions of touchpoints with an opening are deferred, the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deferred: Option<bool>,
    /// `true` if the shop sends the ids of its customers, the default. Otherwise it sends session ids alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_ids: Option<bool>,
    /// `true` if sessions on one device share its session id, the default. Otherwise each session has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_sessions: Option<bool>,
    /// `true` if bots call the service too, the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bots: Option<bool>,
}

impl ShopCalls {
    /// Returns these calls, with those of `other` where they say nothing.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            events: self.events.or(other.events),
            deferred: self.deferred.or(other.deferred),
            customer_ids: self.customer_ids.or(other.customer_ids),
            shared_sessions: self.shared_sessions.or(other.shared_sessions),
            bots: self.bots.or(other.bots),
        }
    }

    /// Returns `true` if nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
