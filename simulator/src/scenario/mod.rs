//! A scenario: shoppers, a catalogue, a slot, traffic, and what must hold. `docs/simulator/scenarios.md` describes it key by key.
//!
//! * [`Scenario`]: the keys of a file, one struct per table.
//! * [`load()`]: from a name or a file to a scenario that holds together; `extends`, `small`, `--set`.
//! * [`shipped`]: those that come with the program.
//! * [`slots`]: the slot as each policy changes it.
//! * [`policies()`]: the policies of a file alone, for logged data.
//! * [`names`]: what terms, drift and checks name.
//! * [`time`]: moments and durations as a scenario writes them.
//!
//! Invariants: an unknown key is refused with its path and what was probably meant; a [`Loaded`] scenario has passed
//! its check, so what is built from it meets no bad number.
//!
//! Deliberately not here: what a scenario makes happen, which is the environment's.

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
