//! The keys of a scenario file, in their order there. `docs/simulator/scenarios.md` is the reference for people.
//!
//! Deliberately not here: `extends`, `small` and `--set`, which are applied before, and conditions on several values
//! together.

use serde::{Deserialize, Serialize};

use slotwise::environment::spec::{
    Behaviour, CatalogueSpec, Drift, EnvironmentSpec, Shoppers, TrafficSpec,
    time::{Span, When},
};

use super::{
    checks::Check,
    touchpoints::{ShopCalls, Touchpoint},
};

/// A scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The title, one line.
    pub title: String,
    /// Description of what the scenario shows, some sentences.
    #[serde(default)]
    pub shows: String,
    /// Decisions of one replication, including those for bots.
    pub horizon: u64,
    /// Number of replications, each with other shoppers. At least 2 if there are checks.
    pub replications: u32,
    /// The seed of all randomness.
    #[serde(default = "one")]
    pub seed: u64,
    /// The policy that lifts are relative to. `None` means "uniform" if there is a policy of that name, else the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// Number of decisions between two audits of all probabilities, for `propensity_calibration`. 0 means no audits.
    #[serde(default = "ten")]
    pub audit_every: u32,
    /// The shoppers.
    #[serde(default)]
    pub shoppers: Shoppers,
    /// The arms.
    pub catalogue: CatalogueSpec,
    /// The slot: the document that `slotwise slots apply` reads, without its arms, which the catalogue has.
    pub slot: toml::Table,
    /// The places where shoppers meet the shop, each with a slot of its own. If empty, the slot is the only one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touchpoints: Vec<Touchpoint>,
    /// The way in which the shop calls the service.
    #[serde(default, skip_serializing_if = "ShopCalls::is_default")]
    pub shop: ShopCalls,
    /// The times of visits.
    pub traffic: TrafficSpec,
    /// The shoppers' behaviour.
    pub behaviour: Behaviour,
    /// Changes of what shoppers like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Drift>,
    /// Faults of the service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// The policies to compare. If empty, the unchanged slot is the only policy, called "default".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicySpec>,
    /// The checks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub check: Vec<Check>,
}

fn one() -> u64 {
    1
}

fn ten() -> u32 {
    10
}

/// A fault of the service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The moment of the fault.
    pub at: When,
    /// The kind of fault.
    pub kind: FaultKind,
    /// Names of the policies whose services the fault hits. Empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// Duration for which no reward event comes in. The events of that time arrive together at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage: Option<Span>,
}

/// Kind of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The state is written as a snapshot, dropped, and read again.
    Restart,
    /// The slot forgets everything it learned, as by `ResetSlot`.
    Reset,
}

/// A policy: the slot with some of its settings changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySpec {
    /// The policy's name.
    pub name: String,
    /// Changes of the slot's document. `model` and `controls.policy` replace the slot's as a whole.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub slot: toml::Table,
    /// Changes of the way in which the shop calls the policy's service.
    #[serde(default, skip_serializing_if = "ShopCalls::is_default")]
    pub shop: ShopCalls,
    /// True if the policy is left out, for `small` and `--set`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip: bool,
}

impl PolicySpec {
    /// Returns the policy's changes as TOML on one line, or an empty text if there are none.
    pub fn changes(&self) -> String {
        let mut changes = self.slot.clone();
        // The calls have no value that TOML cannot write.
        if let Some(shop) = toml::Value::try_from(self.shop).ok().filter(|_| !self.shop.is_default()) {
            changes.insert("shop".to_owned(), shop);
        }
        if changes.is_empty() { String::new() } else { toml::Value::Table(changes).to_string() }
    }
}

impl<'a> From<&'a Scenario> for EnvironmentSpec<'a> {
    fn from(scenario: &'a Scenario) -> Self {
        let Scenario { horizon, shoppers, catalogue, traffic, behaviour, drift, .. } = scenario;
        Self { horizon: *horizon, shoppers, catalogue, traffic, behaviour, drift }
    }
}
