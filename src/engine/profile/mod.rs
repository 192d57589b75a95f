//! Profiles: what is known of a session and of a customer from shopper events.
//!
//! * [`ProfileStore`] holds the profiles of all sessions and customers, and decides which of them stay.
//! * [`ShopperProfile`] is one of them: affinities to the values of item attributes, recent items, cart and purchases.
//! * [`ShopperView`] is what a decision knows of its shopper. `ShopperView::add_features` turns it into features of a request.
//! * [`CandidateMatches`] are the features of each candidate, as a decision records them.
//!
//! Invariants:
//!
//! * A profile depends on shopper events alone, in journal order. Slots and decisions do not change it.
//! * A profile takes at most [`PROFILE_BYTES_MAX`](crate::slot::limits::PROFILE_BYTES_MAX) bytes.
//! * An event without consent leaves nothing behind.

mod affinity;
mod attribute;
mod behaviour;
mod features;
mod matches;
mod record;
mod store;
mod update;

pub use attribute::counted_attributes;
pub use features::ShopperView;
pub(super) use matches::matched_features;
pub use matches::{CandidateMatch, CandidateMatches};
pub use record::ShopperProfile;
pub use store::{ProfileChange, ProfileCounts, ProfileKey, ProfileStore};
