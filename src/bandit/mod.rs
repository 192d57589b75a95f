//! Contextual bandits: features and their encoding, models, and the way from posteriors to a draw.
//!
//! * [`Features`] have names and no schema. An [`Encoder`] turns them into rows, and an [`Expansion`] adds products or
//!   random Fourier features.
//! * A [`Model`] holds posteriors and their likelihood. A [`ModelSpec`] lists the models of a slot, and a [`Design`] is
//!   one of them with all its parameters.
//! * The [`Learner`] holds everything that a slot has learned: every model it was ever given, learning side by side and
//!   weighted by its evidence.
//! * [`Scores`] are one model's scores of the candidates, and a [`Mixture`] is those of several models.
//!   [`Ranking::draw`] turns it into a pmf, position by position, and draws from it.
//! * A [`ClickModel`] gives each position of a slate a weight, as [`Positions`] are looked at unequally.
//!
//! Invariants:
//!
//! * Score → pmf → draw are three steps, and one function draws. The reported propensity is the number it drew from.
//! * Arms are indices here. The modules above know their names.
//! * Every observation that a learner learned can be revised.
//!
//! Deliberately not here: slots, eligibility, and time other than as an argument.

mod choice;
mod click;
mod encoder;
mod expansion;
mod feature_encoder;
mod features;
mod hurdle;
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
pub use encoder::{EncodedRow, Encoder, FeatureNote, RowFeatures};
pub use expansion::Expansion;
pub use feature_encoder::EncodedRows;
pub use features::{Features, Value};
pub use hurdle::Hurdle;
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
pub use score::{Forecast, JointDraws, LogScore, LogitScore, Scores};
pub use slate::{Constraints, Pin, Quota};
pub use spec::{LinearSpec, MemberSpec, ModelSpec, PortfolioSpec, SlotTraits};
pub use summary::ArmSummary;
