//! The API: the only room that names its generated types.
//!
//! * [`proto`]: the generated types, for clients, tests and benches.
//! * `decode`, `encode`: between messages and the domain's values; a message that comes in is
//!   checked here, once, and every error names its field.
//! * One file per service; `error` is the one map from our errors to gRPC's.
//! * [`differences`]: what differs between two definitions, by the names of the contract.
//! * [`Client`]: the same from the other side, for the command line and the simulator.
//!
//! Invariants: a message is destructured where it is decoded, so a new field breaks the build;
//! nothing behind this room sees a generated type.
//!
//! Deliberately not here: listening, configuration.

mod actor;
mod address;
mod arms;
mod client;
mod client_changes;
mod client_hindsight;
mod client_slots;
mod client_traffic;
mod codec;
mod controls;
mod decision;
mod decode;
mod decode_learning;
mod decode_rules;
mod decode_slot;
mod difference;
mod encode;
mod encode_slot;
mod error;
mod feedback;
mod insight;
mod mask;
mod page;
mod preview;
pub mod proto;
mod report;
mod rewards;
pub mod schema;
mod simulated;
mod slots;
mod steering;
#[cfg(test)]
mod tests;
mod time;
mod undecodable;

use std::sync::{Arc, OnceLock};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::Status;

pub use address::target_url;
pub use codec::MessageCodec;

pub use client::{Calling, Client, ClientDecision, ClientError, ClientReward, Mark, RewardStatus};
pub use client_hindsight::{ClientExplanation, ClientPreview, ClientShown};
pub use client_slots::{ClientRevision, ClientSlot};
pub use difference::{Difference, differences};
pub(crate) use error::too_much;
pub use time::time_text;

use crate::{metrics::Metrics, node::Node};

/// What every service stands on: the node, once it has recovered.
#[derive(Debug, Clone)]
pub struct Api {
    node: Arc<OnceLock<Arc<Node>>>,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
    /// Cancelled once the service was told to stop: it says so, and serves on.
    leaving: CancellationToken,
    /// Cancelled once it stops.
    draining: CancellationToken,
}

impl Api {
    /// An API whose node is not there yet: every call is answered UNAVAILABLE.
    /// Tasks that outlive a call are spawned on `tasks`; probes learn of the end when `leaving` is cancelled, streams
    /// end when `draining` is.
    pub fn new(
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
        leaving: CancellationToken,
        draining: CancellationToken,
    ) -> Self {
        Self { node: Arc::default(), metrics, tasks, leaving, draining }
    }

    /// Lets the node take calls.
    pub fn open(&self, node: Arc<Node>) {
        // It is opened once; a second node would be a second owner of the state.
        let _ = self.node.set(node);
    }

    /// The node, once it has recovered.
    pub fn current(&self) -> Option<&Node> {
        self.node.get().map(AsRef::as_ref)
    }

    /// Whether calls are taken and writes go through.
    pub fn serving(&self) -> bool {
        !self.leaving.is_cancelled() && self.current().is_some_and(|node| node.failure().borrow().is_none())
    }

    fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    fn draining(&self) -> CancellationToken {
        self.draining.clone()
    }

    fn node(&self) -> Result<&Arc<Node>, Status> {
        self.node.get().ok_or_else(error::starting)
    }
}
