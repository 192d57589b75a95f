//! Scenarios: shoppers, a catalogue, a slot, traffic, and checks. `docs/simulator/scenarios.md` describes every key.
//!
//! * [`Scenario`]: the keys of a file, one struct per table.
//! * [`load()`]: from a name or a file to a valid scenario, with `extends`, `small` and `--set`.
//! * [`shipped`]: the scenarios in the program.
//! * [`slots`]: the slots as each policy changes them.
//! * [`Touchpoint`], [`ShopCalls`]: several slots for one shopper, and the way in which the shop calls the service.
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

mod check;
mod checks;
mod document;
mod error;
mod load;
mod merge;
pub mod names;
mod policies;
pub mod shipped;
pub mod slots;
#[cfg(test)]
mod tests;
mod touchpoints;

pub use check::change_point;
pub use checks::{ArmState, Check, IntentStart, Metric};
pub use document::{Fault, FaultKind, PolicySpec, Scenario};
pub use error::{Problem, ScenarioError};
pub use load::{Changes, Loaded, load, text};
pub use policies::policies;
pub use slotwise::environment::spec::{
    ArmAttribute, ArmSpec, Behaviour, Bots, CatalogueSpec, ClickBehaviour, Delay, Dirty, Drift, DriftCourse, FlashSale,
    FunnelStep, Generated, Intent, NamedPart, OddsTerm, Override, Period, STEPS_MAX, Segment, Shoppers, StepValue,
    StockOuts, TrafficSpec, TraitSpec, ValueName, time,
};
pub use touchpoints::{EventReports, Opening, ShopCalls, Touchpoint};
