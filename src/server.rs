//! Listening: gRPC on one port, HTTP on another, until told to stop.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, http::StatusCode, response::IntoResponse as _, routing::get};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::transport::{Server, server::TcpIncoming};
use tonic_health::ServingStatus;

use crate::{
    config::Config,
    journal::Loss,
    metrics::{Metrics, metrics},
    node::{Node, OpenError, Options, SystemClock},
    slot::limits::MESSAGE_BYTES_MAX,
    wire::{
        Api,
        proto::{
            DESCRIPTORS, decision_service_server::DecisionServiceServer,
            feedback_service_server::FeedbackServiceServer, insight_service_server::InsightServiceServer,
            slot_service_server::SlotServiceServer,
        },
    },
};

/// How long calls that were taken may go on once the server drains.
const DRAIN: Duration = Duration::from_secs(5);

/// What answers while the disk has no room, the service as a whole ("") among it.
const READERS: [&str; 3] = ["", "slotwise.v1.DecisionService", "slotwise.v1.InsightService"];
/// What does not.
const WRITERS: [&str; 2] = ["slotwise.v1.FeedbackService", "slotwise.v1.SlotService"];

/// Why a server could not start, or had failed when it stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} for {what}: {source}; is another program there? choose another with --{flag}")]
    Listen {
        /// For what.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// The flag that sets it.
        flag: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The node cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The node failed while running.
    #[error("stopped, and had written nothing since this failed: {0}")]
    Failed(String),
    /// The transport failed.
    #[error("the gRPC transport failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// Something of the program itself is wrong.
    #[error("{0}")]
    Internal(String),
}

/// Two listeners, bound and not yet served: so a caller knows the ports, and finds out here that one is taken.
#[derive(Debug)]
pub struct Listeners {
    grpc: TcpListener,
    http: TcpListener,
}

impl Listeners {
    /// Binds both addresses of a configuration.
    pub async fn bind(config: &Config) -> Result<Self, ServeError> {
        let bind = async |what, address: SocketAddr, flag| {
            TcpListener::bind(address).await.map_err(|source| ServeError::Listen { what, address, flag, source })
        };
        Ok(Self {
            grpc: bind("gRPC", config.grpc_address, "grpc-address").await?,
            http: bind("HTTP", config.http_address, "http-address").await?,
        })
    }

    /// Where gRPC is.
    pub fn grpc_address(&self) -> io::Result<SocketAddr> {
        self.grpc.local_addr()
    }

    /// Where HTTP is.
    pub fn http_address(&self) -> io::Result<SocketAddr> {
        self.http.local_addr()
    }
}

/// Serves until `stop` is cancelled; then finishes what was taken, snapshots, and returns: an error if the node could
/// write no more by then.
///
/// The ports answer at once: health says `NOT_SERVING` and every call `UNAVAILABLE` until recovery is done. Health
/// says `NOT_SERVING` again once nothing can be written any more, of the services that must write already while the
/// disk has no room.
pub async fn run(listeners: Listeners, config: &Config, stop: CancellationToken) -> Result<(), ServeError> {
    run_and_tell(listeners, config, stop, || {}).await
}

/// [`run`], which calls `ready` once recovery is done and calls are taken.
pub async fn run_and_tell(
    listeners: Listeners,
    config: &Config,
    stop: CancellationToken,
    ready: impl FnOnce(),
) -> Result<(), ServeError> {
    let metrics = metrics().map_err(|why| ServeError::Internal(why.to_string()))?;
    let tasks = TaskTracker::new();
    let api = Api::new(Arc::clone(&metrics), tasks.clone(), stop.child_token());
    let (health, health_service) = tonic_health::server::health_reporter();
    let say = async |services: &[&str], status: ServingStatus| {
        for service in services {
            health.set_service_status(*service, status).await;
        }
    };
    say(&READERS, ServingStatus::NotServing).await;
    say(&WRITERS, ServingStatus::NotServing).await;

    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let internal = |why: tonic_reflection::server::Error| ServeError::Internal(why.to_string());
    let drained = stop.child_token();
    let router = Server::builder()
        .add_service(health_service)
        .add_service(reflection().build_v1().map_err(internal)?)
        .add_service(reflection().build_v1alpha().map_err(internal)?)
        .add_service(DecisionServiceServer::new(api.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(FeedbackServiceServer::new(api.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(SlotServiceServer::new(api.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(InsightServiceServer::new(api.clone()));
    let grpc = tasks.spawn(router.serve_with_incoming_shutdown(
        TcpIncoming::from(listeners.grpc).with_nodelay(Some(true)),
        drained.clone().cancelled_owned(),
    ));
    let http_app = http(Arc::clone(&metrics), api.clone());
    let http_stop = CancellationToken::new();
    let http_stopped = http_stop.clone().cancelled_owned();
    let http =
        tasks.spawn(async move { axum::serve(listeners.http, http_app).with_graceful_shutdown(http_stopped).await });
    tasks.close();

    let node = tokio::select! {
        opened = open(config, metrics) => opened?,
        // Recovery changes nothing, so there is nothing to finish.
        () = stop.cancelled() => return Ok(()),
    };
    api.open(Arc::clone(&node));
    say(&READERS, ServingStatus::Serving).await;
    say(&WRITERS, ServingStatus::Serving).await;
    ready();

    let (mut failure, mut full) = (node.failure(), node.full());
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            // The senders live as long as the node, which this function holds.
            changed = failure.changed() => drop(changed),
            changed = full.changed() => drop(changed),
        }
        let (failed, full) = (failure.borrow_and_update().is_some(), *full.borrow_and_update());
        let status = |out: bool| if out { ServingStatus::NotServing } else { ServingStatus::Serving };
        say(&READERS, status(failed)).await;
        say(&WRITERS, status(failed || full)).await;
    }
    let failed = failure.borrow().clone();
    say(&READERS, ServingStatus::NotServing).await;
    say(&WRITERS, ServingStatus::NotServing).await;
    stop.cancel();
    let served = tokio::time::timeout(DRAIN, grpc).await;
    http_stop.cancel();
    // A call or a scrape that will not end must not keep the process.
    let _ = tokio::time::timeout(Duration::from_secs(1), http).await;
    let closing = Arc::clone(&node);
    let closed = tasks_blocking(move || closing.shutdown()).await;
    if let Some(why) = failed {
        return Err(ServeError::Failed(why));
    }
    closed.map_err(|why| ServeError::Internal(why.to_string()))?;
    match served {
        Ok(Ok(served)) => served.map_err(ServeError::from),
        Ok(Err(panicked)) => Err(ServeError::Internal(panicked.to_string())),
        Err(_) => {
            tracing::warn!("calls that were still open after {DRAIN:?} were cut off");
            Ok(())
        }
    }
}

async fn open(config: &Config, metrics: Arc<Metrics>) -> Result<Arc<Node>, ServeError> {
    let options = Options {
        folder: config.data.clone(),
        snapshot_every_us: i64::try_from(config.snapshot_interval.as_micros()).unwrap_or(i64::MAX),
        durable_decisions: config.durable_decisions,
        loss: if config.accept_loss { Loss::Accepted } else { Loss::Refused },
        retention_us: config.retention.map(|for_| i64::try_from(for_.as_micros()).unwrap_or(i64::MAX)),
    };
    let opened = tasks_blocking(move || Node::open(&options, Arc::new(SystemClock), metrics)).await;
    Ok(Arc::new(opened.map_err(|why| ServeError::Internal(why.to_string()))??))
}

/// Runs what blocks on a thread where it may.
async fn tasks_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    tokio::task::spawn_blocking(work).await
}

fn http(metrics: Arc<Metrics>, api: Api) -> Router {
    let health = api.clone();
    Router::new()
        .route(
            "/metrics",
            get(async move || match metrics.render(api.current()) {
                Ok(text) => ([("content-type", "text/plain; version=0.0.4")], text).into_response(),
                Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, why.to_string()).into_response(),
            }),
        )
        .route(
            "/healthz",
            get(async move || {
                if health.serving() {
                    (StatusCode::OK, "serving\n")
                } else {
                    (StatusCode::SERVICE_UNAVAILABLE, "not serving\n")
                }
            }),
        )
}
