//! Parts of a scenario that define its environment, as scenario files write them.
//!
//! * [`Shoppers`]: segments, intents, traits and the context that the shop sends.
//! * [`CatalogueSpec`]: listed and generated arms, and stock-outs.
//! * [`Behaviour`]: the funnel, the click model, and defects of events.
//! * [`TrafficSpec`], [`Drift`]: times of visits, and changes over time.
//! * [`names`]: factors of the odds by their names.
//! * [`time`]: moments and durations.
//!
//! Deliberately not here: the slot, policies and checks of a scenario, and validation.

mod behaviour;
mod catalogue;
pub mod names;
mod problem;
mod shoppers;
pub mod time;
mod traffic;

use std::collections::BTreeMap;

pub use behaviour::{
    Behaviour, ClickBehaviour, Delay, Dirty, FunnelStep, OddsTerm, Override, STEPS_MAX, StepValue, ValueName,
};
pub use catalogue::{ArmAttribute, ArmSpec, CatalogueSpec, Generated, Period, StockOuts};
pub use problem::Problem;
pub use shoppers::{Intent, Segment, Shoppers, TraitSpec};
pub use traffic::{Bots, Drift, DriftCourse, FlashSale, TrafficSpec};

/// Settings by name, for tables with free keys.
pub type NamedPart<T> = BTreeMap<String, T>;

/// The parts of a scenario that define its environment.
#[derive(Debug, Clone, Copy)]
pub struct EnvironmentSpec<'a> {
    /// Decisions of one replication, including those for bots.
    pub horizon: u64,
    /// The shoppers.
    pub shoppers: &'a Shoppers,
    /// The arms.
    pub catalogue: &'a CatalogueSpec,
    /// The times of visits.
    pub traffic: &'a TrafficSpec,
    /// The shoppers' behaviour.
    pub behaviour: &'a Behaviour,
    /// Changes of what shoppers like.
    pub drift: &'a [Drift],
}
