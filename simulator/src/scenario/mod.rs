//! Scenarios: shoppers, a catalogue, a slot, traffic, and checks. `docs/simulator/scenarios.md` describes every key.
//!
//! * [`Scenario`]: the keys of a file, one struct per table.
//! * [`load()`]: from a name or a file to a valid scenario, with `extends`, `small` and `--set`.
//! * [`shipped`]: the scenarios in the program.
//! * [`slots`]: the slot as each policy changes it.
//! * [`policies()`]: the policies of a file alone, for logged data.
//! * [`names`]: the names in terms, drift and checks.
//! * [`time`]: moments and durations.
//!
//! Invariants:
//!
//! * An unknown key is refused with its path and a probable correction.
//! * A [`Loaded`] scenario is valid, so code that uses it meets no invalid number.
//!
//! Deliberately not here: the effects of a scenario, which are the environment's.

mod behaviour;
mod catalogue;
mod check;
mod checks;
mod document;
mod error;
mod load;
mod merge;
pub mod names;
mod policies;
pub mod shipped;
mod shoppers;
pub mod slots;
#[cfg(test)]
mod tests;
pub mod time;

pub use behaviour::{Behaviour, ClickBehaviour, Delay, Dirty, FunnelStep, OddsTerm, Override, StepValue, ValueName};
pub use catalogue::{ArmAttribute, ArmSpec, CatalogueSpec, Generated, Period, StockOuts};
pub use check::{STEPS_MAX, change_point};
pub use checks::{ArmState, Check, Metric};
pub use document::{
    Bots, Drift, DriftCourse, Fault, FaultKind, FlashSale, NamedPart, PolicySpec, Scenario, TrafficSpec,
};
pub use error::{Problem, ScenarioError};
pub use load::{Changes, Loaded, load, text};
pub use policies::policies;
pub use shoppers::{Intent, Segment, Shoppers, TraitSpec};
