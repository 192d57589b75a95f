//! The keys of a scenario file, in their order there. `docs/simulator/scenarios.md` is the reference for people.
//!
//! Deliberately not here: `extends`, `small` and `--set`, which are dealt with before, and what the
//! values must fulfil together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    behaviour::Behaviour,
    catalogue::CatalogueSpec,
    checks::Check,
    shoppers::Shoppers,
    time::{Span, When},
};

/// A scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// One line.
    pub title: String,
    /// What it shows, some sentences.
    #[serde(default)]
    pub shows: String,
    /// Decisions of one replication; those for bots count.
    pub horizon: u64,
    /// How often the whole is repeated, each time with other shoppers; at least 2 where there are checks.
    pub replications: u32,
    /// What everything is drawn from.
    #[serde(default = "one")]
    pub seed: u64,
    /// The policy that lifts are told over; none: "uniform" where there is one of that name, else the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// Every so many decisions the whole pmf is looked at, for `propensity_calibration`; 0: never.
    #[serde(default = "ten")]
    pub audit_every: u32,
    /// Who comes.
    #[serde(default)]
    pub shoppers: Shoppers,
    /// What can be shown.
    pub catalogue: CatalogueSpec,
    /// The slot: the document that `slotwise slots apply` reads, without its arms, which the catalogue has.
    pub slot: toml::Table,
    /// When they come.
    pub traffic: TrafficSpec,
    /// What they do.
    pub behaviour: Behaviour,
    /// What changes in what they like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Drift>,
    /// What goes wrong with the service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// What is compared; none: the slot as it is, as "default".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicySpec>,
    /// What must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub check: Vec<Check>,
}

fn one() -> u64 {
    1
}

fn ten() -> u32 {
    10
}

/// When shoppers come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrafficSpec {
    /// Decisions per day on average, bots left aside.
    pub per_day: f64,
    /// How far the rate swings around its mean within a day, 0 to below 1: its peak is at 20:00, its trough at 8:00.
    #[serde(default)]
    pub daily_swing: f64,
    /// The rate of each day of the week in units of the others', Monday first; none: all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly: Option<[f64; 7]>,
    /// Sales that bring more shoppers for a time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flash_sales: Vec<FlashSale>,
    /// Visitors that are no shoppers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bots: Option<Bots>,
}

/// A time of much more traffic; `drift` says what shoppers then like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlashSale {
    /// When it begins.
    pub from: When,
    /// When it ends.
    pub until: When,
    /// What the rate is multiplied with.
    pub factor: f64,
}

/// Visitors that are no shoppers: what they do is reported like everything else, and worth nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bots {
    /// Their part of all sessions, 0 to below 1.
    pub share: f64,
    /// The chance that they take the first step of the funnel with any arm, wherever it stands; they take no other.
    pub clicks: f64,
    /// The only arm they take it with; none: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// Decisions in a session of theirs, on average.
    #[serde(default = "twenty")]
    pub session_length: f64,
}

fn twenty() -> f64 {
    20.0
}

/// A change of what shoppers like, or of what they come for.
///
/// With `weight`: the log odds of the funnel's first step change by `weight` · shopper · arm · course(t), where
/// `shopper` and `arm` are as in [`Term`](super::behaviour::Term). With `intent`: that intent's share changes by
/// `share` · course(t), and the others keep their proportions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// How it goes.
    pub course: DriftCourse,
    /// Log odds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// Which shoppers; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shopper: Option<String>,
    /// Which arms; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// The intent whose share changes, instead of what is liked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// By how much its share changes, −1 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

/// A course over time, from 0 to 1; seasonal from −1 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DriftCourse {
    /// 0 before, 1 from then on (to `until`, if that is said).
    Abrupt {
        /// The first moment of 1.
        at: When,
        /// The first moment of 0 again; none: it stays.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<When>,
    },
    /// A straight line from 0 at `from` to 1 at `until`.
    Gradual {
        /// The last moment of 0.
        from: When,
        /// The first moment of 1.
        until: When,
    },
    /// A sine wave: sin 2π(t / period + phase).
    Seasonal {
        /// Its length.
        period: When,
        /// Where it begins, 0 to 1.
        #[serde(default)]
        phase: f64,
    },
}

/// What goes wrong with the service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When.
    pub at: When,
    /// What.
    pub kind: FaultKind,
    /// Which policies' services; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// How long no reward comes in after it; those that would have arrive together at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage: Option<Span>,
}

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The state is written as a snapshot, dropped, and read again.
    Restart,
    /// All that was learned is forgotten, as `ResetSlot` does.
    Reset,
}

/// A policy: the slot with some of its settings changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySpec {
    /// Its name.
    pub name: String,
    /// What is changed of the slot's document. `model` and `controls.policy` replace the slot's as a whole.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub slot: toml::Table,
    /// Leaves it out: for `small` and `--set`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip: bool,
}

/// Settings by name, for tables whose keys are free.
pub type NamedPart<T> = BTreeMap<String, T>;
