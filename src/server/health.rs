//! Health of the services, as the health service of gRPC reports it.

use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::node::Node;

/// Services that answer while the disk is full, including the service as a whole ("").
const READERS: [&str; 3] = ["", "slotwise.v1.DecisionService", "slotwise.v1.InsightService"];
/// Services that do not answer while the disk is full.
const WRITERS: [&str; 7] = [
    "slotwise.v1.DraftService",
    "slotwise.v1.EventService",
    "slotwise.v1.FeedbackService",
    "slotwise.v1.ItemService",
    "slotwise.v1.PrivacyService",
    "slotwise.v1.ImportService",
    "slotwise.v1.SlotService",
];

/// Returns `true` if the API has a service of this name.
#[cfg(feature = "otlp")]
pub(super) fn is_service(name: &str) -> bool {
    !name.is_empty() && READERS.iter().chain(&WRITERS).any(|service| *service == name)
}

/// Reporter of the services' health.
pub(super) struct ServiceHealth(pub(super) HealthReporter);

impl ServiceHealth {
    /// Reports whether the services that answer while the disk is full serve, and whether the others do.
    pub(super) async fn report(&self, readers: bool, writers: bool) {
        for (services, serves) in [(&READERS[..], readers), (&WRITERS[..], writers)] {
            let status = if serves { ServingStatus::Serving } else { ServingStatus::NotServing };
            for service in services {
                self.0.set_service_status(*service, status).await;
            }
        }
    }

    /// Reports each change of what the node can write, until `stop` is cancelled.
    pub(super) async fn follow(&self, node: &Node, stop: &CancellationToken) {
        let (mut failure, mut full) = (node.failure(), node.full());
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                // The senders live as long as the node, which the caller holds.
                changed = failure.changed() => drop(changed),
                changed = full.changed() => drop(changed),
            }
            let (failed, full) = (failure.borrow_and_update().is_some(), *full.borrow_and_update());
            self.report(!failed, !failed && !full).await;
        }
    }
}
