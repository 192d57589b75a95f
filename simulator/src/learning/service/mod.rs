//! The service that is simulated against.
//!
//! A loop is written once over [`BanditService`] and runs in this process ([`InProcess`]) or against a live server
//! ([`Remote`]).
//!
//! Invariant: when `reward` returns, the reward is durable if the service has a disk, and the next decision can use
//! it.
//!
//! Deliberately not here: requests and rewards themselves.

mod local;
mod remote;

use slotwise::{
    client::ClientError,
    engine::{ChangeError, Request},
    slot::{ChangeReason, Definition, FieldError, SlotId},
};

pub use local::{InProcess, ROUND_US, Unwitnessed, Witness};
pub use remote::Remote;

/// A decision, as far as a simulated shopper sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceChoice {
    /// The decision's id.
    pub decision: String,
    /// The arm at the first position.
    pub arm: String,
    /// The probability with which it was drawn.
    pub propensity: f64,
    /// True if the slot's model did not decide.
    pub fallback: bool,
}

/// Reward event of a simulated shopper.
#[derive(Debug, Clone, PartialEq)]
pub struct Reward {
    /// The slot's id.
    pub slot: SlotId,
    /// The event's id.
    pub event: String,
    /// Id of the decision that the event belongs to.
    pub decision: String,
    /// The kind.
    pub kind: String,
    /// The value, in the kind's own unit. It counts if the goal's kind uses it.
    pub value: f64,
}

/// Reason why a service failed.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A slot of this id exists.
    #[error("slot '{0}' exists already; delete it first with --replace, or choose another name with --slot")]
    Exists(SlotId),
    /// The slot does not exist.
    #[error("slot '{0}' is not there (any more)")]
    NotFound(SlotId),
    /// The slot's definition is invalid.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The request is invalid.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// A decision showed nothing.
    #[error("a decision of slot '{0}' shows no arm; was the slot changed meanwhile?")]
    Nothing(SlotId),
    /// A reward event was not counted.
    #[error("the reward event '{event}' was not counted: {why}")]
    NotCounted {
        /// The event's id.
        event: String,
        /// The cause.
        why: String,
    },
    /// The witness of a run wants no more events.
    #[error("the run was given up")]
    GivenUp,
    /// A state cannot be written as bytes.
    #[error("the state cannot be written as a snapshot: {0}")]
    Snapshot(String),
    /// The server failed or refused the call.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// A service that a simulation can run against.
pub trait BanditService {
    /// Creates a slot. With `replace`, deletes one of the same id first.
    fn create(
        &mut self,
        definition: Definition,
        replace: bool,
    ) -> impl Future<Output = Result<(), ServiceError>> + Send;

    /// Sets the time of the next decision, microseconds since the clock began. Ignored if the clock is not this service's
    /// to set, or is later already.
    fn set_time(&mut self, _at_us: i64) {}

    /// Decides which arm to show.
    fn decide(&mut self, request: Request) -> impl Future<Output = Result<ServiceChoice, ServiceError>> + Send;

    /// Reports a reward event.
    fn reward(&mut self, reward: Reward) -> impl Future<Output = Result<(), ServiceError>> + Send;

    /// Deletes a slot.
    fn delete(&mut self, slot: &SlotId) -> impl Future<Output = Result<(), ServiceError>> + Send;
}

/// Returns the reason that the service records for each change.
fn why() -> ChangeReason {
    ChangeReason::new("slotwise-simulator", "")
}
