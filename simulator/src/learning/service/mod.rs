//! What is simulated against.
//!
//! A loop is written once over [`Service`] and runs in this process ([`InProcess`]) or against a
//! live server ([`Remote`]).
//!
//! Invariant: when `reward` returns, the reward is durable as far as the service has a disk, and
//! the next decision may know of it.
//!
//! Deliberately not here: what is asked and what is rewarded.

mod local;
mod remote;

use slotwise::{
    engine::{ChangeError, Request},
    slot::{ChangeReason, Definition, FieldError, SlotId},
    wire::ClientError,
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
    /// The slot's model did not decide.
    pub fallback: bool,
}

/// Something a simulated shopper did.
#[derive(Debug, Clone, PartialEq)]
pub struct Reward {
    /// The slot.
    pub slot: SlotId,
    /// The event's id.
    pub event: String,
    /// The decision it belongs to.
    pub decision: String,
    /// The kind.
    pub kind: String,
    /// The value, in the kind's own unit; counts where the goal's kind uses it.
    pub value: f64,
}

/// Why a service did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// There is a slot of this name.
    #[error("slot '{0}' exists already; delete it first with --replace, or choose another name with --slot")]
    Exists(SlotId),
    /// There is no slot of this name.
    #[error("slot '{0}' is not there (any more)")]
    NotFound(SlotId),
    /// The slot's definition cannot be.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The request cannot be.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// A decision showed nothing.
    #[error("a decision of slot '{0}' shows no arm; was the slot changed meanwhile?")]
    Nothing(SlotId),
    /// A reward event was not counted.
    #[error("the reward event '{event}' was not counted: {why}")]
    NotCounted {
        /// Its id.
        event: String,
        /// Why.
        why: String,
    },
    /// The witness of a run has heard enough.
    #[error("the run was given up")]
    GivenUp,
    /// A state cannot be written as bytes.
    #[error("the state cannot be written as a snapshot: {0}")]
    Snapshot(String),
    /// The server did not do it.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// What is simulated against.
pub trait BanditService {
    /// Makes a slot; with `replace`, deletes one of the same name first.
    fn create(
        &mut self,
        definition: Definition,
        replace: bool,
    ) -> impl Future<Output = Result<(), ServiceError>> + Send;

    /// Decides which one arm to show.
    fn decide(&mut self, request: Request) -> impl Future<Output = Result<ServiceChoice, ServiceError>> + Send;

    /// Reports a reward event.
    fn reward(&mut self, reward: Reward) -> impl Future<Output = Result<(), ServiceError>> + Send;

    /// Deletes a slot.
    fn delete(&mut self, slot: &SlotId) -> impl Future<Output = Result<(), ServiceError>> + Send;
}

/// Who makes every change.
fn why() -> ChangeReason {
    ChangeReason::new("slotwise-simulator", "")
}
