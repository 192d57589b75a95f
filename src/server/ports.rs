//! Servers of both ports, while they run.

use std::{io, time::Duration};

use axum::Router;
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::transport::server::Router as GrpcRouter;

use super::{Layers, ServeError, connections::Incoming, http_call::HttpPeer};

/// Time that accepted calls may go on once the server drains.
const DRAIN: Duration = Duration::from_secs(5);

/// Servers of both ports, while they run.
pub(super) struct PortServers {
    grpc: JoinHandle<Result<(), tonic::transport::Error>>,
    http: JoinHandle<io::Result<()>>,
    /// Stops the gRPC server once it is cancelled.
    pub(super) closing: CancellationToken,
    /// Stops the HTTP server once it is cancelled.
    http_stop: CancellationToken,
}

impl PortServers {
    pub(super) fn spawn(
        (grpc_incoming, http_incoming): (Incoming, Incoming),
        grpc: GrpcRouter<Layers>,
        http: Router,
        closing: CancellationToken,
        tasks: &TaskTracker,
    ) -> Self {
        let grpc = tasks.spawn(grpc.serve_with_incoming_shutdown(grpc_incoming, closing.clone().cancelled_owned()));
        let http_stop = CancellationToken::new();
        let http_stopped = http_stop.clone().cancelled_owned();
        let http = tasks.spawn(async move {
            axum::serve(http_incoming, http.into_make_service_with_connect_info::<HttpPeer>())
                .with_graceful_shutdown(http_stopped)
                .await
        });
        Self { grpc, http, closing, http_stop }
    }

    /// Stops both servers. Calls that are still open after [`DRAIN`] are cut off.
    pub(super) async fn stop(self) -> Result<(), ServeError> {
        self.closing.cancel();
        let served = tokio::time::timeout(DRAIN, self.grpc).await;
        self.http_stop.cancel();
        // A call or a scrape that will not end must not keep the process.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.http).await;
        match served {
            Ok(Ok(served)) => served.map_err(ServeError::from),
            Ok(Err(panicked)) => Err(ServeError::Internal(panicked.to_string())),
            Err(_) => {
                tracing::warn!("calls that were still open after {DRAIN:?} were cut off");
                Ok(())
            }
        }
    }
}
