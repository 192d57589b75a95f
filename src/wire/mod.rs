//! The API of the service: the only module, with its client, that names the generated types.
//!
//! * [`proto`]: the generated types, for clients, tests and benches.
//! * `decode…`, `encode…`: conversions between messages and the domain's values. An incoming message is checked here,
//!   once, and every error names its field.
//! * `decision`, `feedback`, `events`, `slots`, `drafts`, `insight`, `items`, `privacy`: one file or folder per service. `by_request`: what other protocols need
//!   besides.
//! * `enums`: the pairs of enumerations of the domain and of the API.
//! * `error`: the only place that turns an error into a gRPC status.
//! * [`schema`], `mask`, [`differences`]: walks over the fields of a slot, which read the protos' descriptors.
//!
//! Invariants:
//!
//! * A message is destructured where it is decoded, so that a new field breaks the build.
//! * The modules behind this one see no generated type.
//!
//! Deliberately not here: listening (`server`) and configuration.

mod access;
mod actor;
mod arms;
mod by_request;
mod call_slot;
mod codec;
mod compare;
pub(crate) mod controls;
mod decision;
pub(crate) mod decode;
mod decode_learning;
mod decode_rules;
pub(crate) mod decode_slot;
mod difference;
pub(crate) mod drafts;
pub(crate) mod encode;
pub(crate) mod encode_slot;
pub(crate) mod enums;
mod error;
mod events;
mod feedback;
pub(crate) mod figures;
mod imports;
mod insight;
mod items;
mod learning;
mod mask;
mod page;
mod preview;
mod privacy;
pub mod proto;
pub(crate) mod report;
mod rewards;
pub mod schema;
mod shoppers;
mod simulated;
mod slots;
mod steering;
mod stream;
#[cfg(test)]
mod tests;
mod undecodable;

use std::sync::{Arc, OnceLock};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::Status;

pub(crate) use actor::{give_request_id, set_request_id};
pub(crate) use call_slot::CallSlot;
pub use codec::MessageCodec;
pub use difference::{FieldDifference, differences};
pub(crate) use error::{forbidden, not_confirmed, quota, role_missing, too_much, unauthenticated};
pub(crate) use learning::PART as LEARNING_PART;
pub(crate) use simulated::SIMULATED;

pub use crate::node::time_text;
use crate::{engine::SlotView, metrics::Metrics, node::Node};

/// State that all services share: the node, once it has recovered, and the metrics.
#[derive(Debug, Clone)]
pub struct Api {
    node: Arc<OnceLock<Arc<Node>>>,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
    /// Cancelled when the service is asked to stop. Probes then report so, and calls are still served.
    leaving: CancellationToken,
    /// Cancelled when the service stops taking calls.
    draining: CancellationToken,
}

impl Api {
    /// Creates an API without a node, which answers every call with UNAVAILABLE.
    ///
    /// Tasks that outlive a call are spawned on `tasks`. Probes report the end once `leaving` is cancelled. Streams end
    /// once `draining` is cancelled.
    pub fn new(
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
        leaving: CancellationToken,
        draining: CancellationToken,
    ) -> Self {
        Self { node: Arc::default(), metrics, tasks, leaving, draining }
    }

    /// Opens the API with a node that has recovered.
    pub fn open(&self, node: Arc<Node>) {
        // The first node stays: a second one would be a second owner of the state.
        let _ = self.node.set(node);
    }

    /// Node, or `None` before it has recovered.
    pub fn current(&self) -> Option<&Node> {
        self.node.get().map(AsRef::as_ref)
    }

    /// Returns `true` if calls are taken and writes succeed.
    pub fn serving(&self) -> bool {
        !self.leaving.is_cancelled() && self.current().is_some_and(|node| node.failure().borrow().is_none())
    }

    /// Published view of a slot that the caller of a request may reach.
    ///
    /// # Errors
    ///
    /// There is no such slot, the caller may not reach it, or the service is starting.
    pub(crate) fn slot_of<T>(&self, request: &tonic::Request<T>, slot_id: &str) -> Result<Arc<SlotView>, Status> {
        self.view_of(&access::CallAccess::of(request), slot_id)
    }

    /// Published views of the slots that the caller of a request may reach, by id.
    pub(crate) fn slots_of<T>(&self, request: &tonic::Request<T>) -> Result<Vec<Arc<SlotView>>, Status> {
        let access = access::CallAccess::of(request);
        let mut views = self.node()?.slots();
        views.retain(|view| access.reaches(view.definition.id.as_str()));
        Ok(views)
    }

    /// Time of the service's clock, microseconds since 1970.
    ///
    /// # Errors
    ///
    /// UNAVAILABLE before the node has recovered.
    pub(crate) fn now_us(&self) -> Result<i64, Status> {
        Ok(self.node()?.now_us())
    }

    /// Runs a task for which the end of the service waits.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Token that is cancelled when the service stops taking calls.
    pub(crate) fn draining(&self) -> CancellationToken {
        self.draining.clone()
    }

    fn node(&self) -> Result<&Arc<Node>, Status> {
        self.node.get().ok_or_else(error::starting)
    }
}
