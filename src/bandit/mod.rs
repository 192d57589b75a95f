//! Bandits: features and their encoding, models, and how a posterior becomes a draw.
//!
//! * [`Features`] come in by name and without a schema; the [`Encoder`] turns them into rows.
//! * A [`Model`] is a posterior per arm with a likelihood; a [`ModelSpec`] says which and its parameters.
//! * The [`Learner`] is all that a slot has learned: every model it was ever given, learning side by side.
//! * [`Scores`] are what a model says of the candidates; [`rank`] turns them into a pmf, position by
//!   position, and draws from it. The number it reports is the number it drew from.
//! * A [`ClickModel`] says how much each position of a slate tells; [`Positions`] are looked at unequally.
//!
//! Invariants: score → pmf → draw are three steps, and one place draws; arms are
//! indices here, names are the rooms' above; whatever a learner was told it can be told to revise.
//!
//! Deliberately not here: slots, eligibility, time other than as an argument.

mod click;
mod encoder;
mod features;
mod learner;
mod linear;
mod model;
mod policy;

pub use click::{ClickModel, Positions, Reseen, overlap, seen};
pub use encoder::Encoder;
pub use features::{Features, Value};
pub use learner::{ArmSummary, Learner, Rows};
pub use linear::Linear;
pub use model::{Model, ModelSpec, Scores};
pub use policy::{Exploration, Place, controlled, draw, rank};
