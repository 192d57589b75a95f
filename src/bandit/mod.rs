//! Bandits: features and their encoding, models, and how a posterior becomes a draw.
//!
//! * [`Features`] come in by name and without a schema; an [`Encoder`] turns them into rows, an expansion adds
//!   products or random Fourier features.
//! * A [`Model`] is posteriors with a likelihood; a [`ModelSpec`] says which models a slot has, a [`Design`] is
//!   one of them with everything said.
//! * The [`Learner`] is all that a slot has learned: every model it was ever given, learning side by side, each
//!   weighted by its evidence.
//! * [`Scores`] are what one model says of the candidates, a [`Mixture`] what several do; [`Ranking::draw`] turns it into
//!   a pmf, position by position, and draws from it. The number it reports is the number it drew from.
//! * A [`ClickModel`] says how much each position of a slate tells; [`Positions`] are looked at unequally.
//!
//! Invariants: score → pmf → draw are three steps, and one place draws; arms are
//! indices here, names are the rooms' above; whatever a learner was told it can be told to revise.
//!
//! Deliberately not here: slots, eligibility, time other than as an argument.

mod choice;
mod click;
mod encoder;
mod expansion;
mod feature_encoder;
mod features;
mod learner;
mod linear;
mod mixture;
mod model;
mod normal;
mod policy;
mod portfolio;
mod score;
mod slate;
mod spec;
mod summary;

pub use choice::Policy;
pub use click::{ClickModel, Positions, seen, swap_probability};
pub use encoder::{EncodedRow, Encoder, RowFeatures};
pub use expansion::Expansion;
pub use feature_encoder::EncodedRows;
pub use features::{Features, Value};
pub use learner::{Candidates, Learner, Observation};
pub use linear::{Linear, LinearDesign, Link, Scoring, Sharing};
pub use mixture::{Mixture, MixturePart};
pub use model::{Design, Model};
pub use normal::standard_normal;
pub use policy::{
    DrawHooks, DrawnPosition, DrawnSlate, Exploration, ObservedDraw, PositionObserver, Ranking,
    apply_floor_and_ceiling, draw,
};
pub use portfolio::ObservationReceipt;
pub use score::{Forecast, JointDraws, LogitScore, Scores};
pub use slate::{Constraints, Pin, Quota};
pub use spec::{LinearSpec, MemberSpec, ModelSpec, PortfolioSpec, SlotTraits};
pub use summary::ArmSummary;
