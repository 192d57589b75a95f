//! Server: gRPC on one port and HTTP on another, until it is stopped.

mod access;
mod bare_errors;
mod calls;
mod connections;
mod console;
mod descriptors;
mod features;
mod health;
mod http_call;
mod incoming;
mod json;
mod ofrep;
mod personalizer;
mod ports;
mod probes;
mod problem;
mod tls;
mod trace;
mod web;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};

use tokio::{net::TcpListener, task::JoinError};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    codec::CompressionEncoding,
    service::Routes,
    transport::{Server, server::Router as GrpcRouter},
};
use tonic_health::pb::health_server::{Health, HealthServer};
use tower::layer::util::{Identity, Stack};

use access::{AccessControl, AccessLayer};
use calls::CallLimits;
use connections::{DeadlineRenewal, Incoming};
pub(crate) use descriptors::raise_descriptor_limit;
use health::ServiceHealth;
use http_call::HttpCalls;
use ports::PortServers;
pub use tls::TlsError;
use tls::TlsSource;
use trace::{SpanExport, TraceLayer};

use crate::{
    access::KeyStore,
    config::{self, Address, Config, Limits},
    engine::CatalogueLimits,
    journal::LossPolicy,
    metrics::{Metrics, metrics},
    node::{Node, OpenError, Options, SystemClock},
    slot::limits::MESSAGE_BYTES_MAX,
    wire::{
        Api,
        proto::{
            DESCRIPTORS, decision_service_server::DecisionServiceServer, draft_service_server::DraftServiceServer,
            event_service_server::EventServiceServer, feedback_service_server::FeedbackServiceServer,
            import_service_server::ImportServiceServer, insight_service_server::InsightServiceServer,
            item_service_server::ItemServiceServer, privacy_service_server::PrivacyServiceServer,
            slot_service_server::SlotServiceServer,
        },
    },
};

/// Bytes of one call's headers.
const HEADER_BYTES_MAX: u32 = 16 * 1024;

/// A service that takes compressed messages, none of which is longer than a plain one may be.
macro_rules! bounded {
    ($service:expr) => {
        $service.max_decoding_message_size(MESSAGE_BYTES_MAX).accept_compressed(CompressionEncoding::Gzip)
    };
}

/// Layers around the services of the gRPC port: the trace, admission, then the limits.
type Layers = Stack<CallLimits, Stack<AccessLayer, Stack<TraceLayer, Identity>>>;

/// Reason why a server could not start, or had failed when it stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} for {what}: {source}; {}", listen_hint(source, flag))]
    Listen {
        /// Protocol of the port.
        what: &'static str,
        /// Address.
        address: Address,
        /// The flag that sets it.
        flag: &'static str,
        /// Reason.
        source: io::Error,
    },
    /// Other machines would reach a service that asks for no key.
    #[error(
        "{address} can be reached by other machines, and there is no key yet, so that everybody could change everything; create one with `slotwise keys create --name NAME --role admin --data {}`, or give --insecure-public to go on without", data.display()
    )]
    Public {
        /// Address.
        address: SocketAddr,
        /// Data folder, which would hold the keys.
        data: PathBuf,
    },
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The keys or the settings of tokens cannot be read.
    #[error("{0}")]
    Access(String),
    /// The spans of calls cannot be exported.
    #[error("{0}")]
    Traces(String),
    /// The node cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The node failed while running.
    #[error("the service stopped; it had written nothing since this failure: {0}")]
    Failed(String),
    /// Something that was answered could not be saved.
    #[error(
        "stopped, but {0} decisions that were answered are not saved: the disk is full; their rewards will be unmatched"
    )]
    Unsaved(u64),
    /// The transport failed.
    #[error("the gRPC transport failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// Something of the program itself is wrong.
    #[error("{0}")]
    Internal(String),
}

/// Advice about an address on which the server cannot listen.
fn listen_hint(source: &io::Error, flag: &str) -> String {
    let kind = source.kind();
    if kind == io::ErrorKind::AddrInUse {
        format!("is another program there? choose another with --{flag}")
    } else if kind == io::ErrorKind::PermissionDenied {
        format!("ports below 1024 need rights that this user lacks; choose another with --{flag}")
    } else if kind == io::ErrorKind::AddrNotAvailable {
        format!("this machine has no such address; give one of its own, or 127.0.0.1, with --{flag}")
    } else {
        format!("give a name or number of this machine and a free port with --{flag}")
    }
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
        let bind = async |what, address: &Address, flag| {
            let listener = match address.resolve().await {
                Ok(addresses) => TcpListener::bind(addresses.as_slice()).await,
                Err(unknown) => Err(unknown),
            };
            listener.map_err(|source| ServeError::Listen { what, address: address.clone(), flag, source })
        };
        Ok(Self {
            grpc: bind("gRPC", &config.grpc_address, "grpc-address").await?,
            http: bind("HTTP", &config.http_address, "http-address").await?,
        })
    }

    /// Address of the gRPC port.
    pub fn grpc_address(&self) -> io::Result<SocketAddr> {
        self.grpc.local_addr()
    }

    /// Refuses addresses that other machines reach while calls need no key, unless that is wanted.
    fn check_reach(&self, config: &Config, access: &AccessControl) -> Result<(), ServeError> {
        if config.insecure_public || access.is_required() {
            return Ok(());
        }
        let addresses = [self.grpc_address(), self.http_address()];
        let reached = addresses.into_iter().filter_map(Result::ok).find(|address| !address.ip().is_loopback());
        reached.map_or(Ok(()), |address| Err(ServeError::Public { address, data: config.data.clone() }))
    }

    /// The connections to both ports, limited.
    fn incoming(self, limits: &Limits, tls: Option<&TlsSource>) -> (Incoming, Incoming) {
        // A client that is there answers a ping in time.
        let heard = DeadlineRenewal::OnReceive(3 * limits.keepalive);
        let grpc = Incoming::new(self.grpc, limits.connections, limits.header_timeout, heard);
        let answered = DeadlineRenewal::OnSend(limits.header_timeout);
        let http = Incoming::new(self.http, limits.http_connections(), limits.header_timeout, answered);
        (grpc.with_tls(tls, tls::GRPC), http.with_tls(tls, tls::HTTP))
    }

    /// Address of the HTTP port.
    pub fn http_address(&self) -> io::Result<SocketAddr> {
        self.http.local_addr()
    }
}

/// Serves until `stop` is cancelled. Then reports so for the configured delay while it goes on serving, finishes the calls it
/// accepted, snapshots, and returns `Err` if something could not be saved.
///
/// The ports answer at once: health says `NOT_SERVING` and every call `UNAVAILABLE` until recovery is done. Health
/// says `NOT_SERVING` again once nothing can be written any more, of the services that must write already while the
/// disk has no room.
///
/// Calls `ready` once recovery is done and calls are taken.
pub async fn run(
    listeners: Listeners,
    config: &Config,
    stop: CancellationToken,
    ready: impl FnOnce(),
) -> Result<(), ServeError> {
    let metrics = metrics().map_err(|why| ServeError::Internal(why.to_string()))?;
    let access = AccessControl::new(
        KeyStore::new(&config.data),
        config.tokens.as_ref(),
        config.tls.is_some(),
        Arc::clone(&metrics),
    )
    .map_err(ServeError::Access)?;
    listeners.check_reach(config, &access)?;
    let tls = config.tls.as_ref().map(TlsSource::new).transpose()?;
    let spans = SpanExport::open(&config.traces).map_err(ServeError::Traces)?;
    let tasks = TaskTracker::new();
    // The health service reports at once that `stop` was cancelled. The server itself stops when `closing` is
    // cancelled.
    let closing = CancellationToken::new();
    let api = Api::new(Arc::clone(&metrics), tasks.clone(), stop.child_token(), closing.child_token());
    let (reporter, health_service) = tonic_health::server::health_reporter();
    let health = ServiceHealth(reporter);
    health.report(false, false).await;
    let calls = CallLimits::new(config.limits.calls, config.limits.reads, config.limits.bytes_in_flight);
    let layers = (TraceLayer(spans.clone()), AccessLayer(access.clone()), calls.clone());
    let router = grpc_router(&config.limits, layers, health_service, &api)?;
    let http_calls = HttpCalls::new(calls.clone(), config.limits.call_timeout);
    let json = json::routes(api_services(&api), http_calls.clone()).map_err(ServeError::Internal)?;
    let flags = ofrep::routes(api.clone(), http_calls.clone(), config.bulk_slots.clone());
    let personalizer = personalizer::routes(api.clone(), http_calls.clone());
    let events = incoming::routes(api.clone(), http_calls, Arc::clone(&metrics), config.incoming.clone());
    let pages = probes::routes(Arc::clone(&metrics), api.clone()).merge(json).merge(flags).merge(personalizer);
    let pages = pages.merge(events);
    let keys = KeyStore::new(&config.data);
    let console = console::routes(api.clone(), access.clone(), keys, config);
    let web_pages = web::WebPages { pages, grpc_web: web::grpc_web(api_services(&api), &calls), console };
    let http_router = web::around(web_pages, &access, config, TraceLayer(spans.clone()));
    tasks.spawn(access.follow(closing.child_token()));
    tasks.spawn(api.clone().apply_scheduled_drafts(closing.child_token()));
    if let Some(tls) = &tls {
        tasks.spawn(tls.clone().follow(closing.child_token()));
    }
    let incoming = listeners.incoming(&config.limits, tls.as_ref());
    let servers = PortServers::spawn(incoming, router, http_router, closing, &tasks);
    tasks.close();

    let node = tokio::select! {
        opened = open(config, metrics) => opened?,
        // Recovery changes nothing, so there is nothing to finish.
        () = stop.cancelled() => {
            servers.closing.cancel();
            return Ok(());
        }
    };
    api.open(Arc::clone(&node));
    health.report(true, true).await;
    ready();

    health.follow(&node, &stop).await;
    health.report(false, false).await;
    if !config.shutdown_delay.is_zero() {
        tracing::info!(delay = ?config.shutdown_delay, "stopping: health probes fail from now on, and calls are served until the delay is over");
        tokio::time::sleep(config.shutdown_delay).await;
    }
    let served = servers.stop().await;
    // A collector that does not answer must not hold up what has to be saved.
    let (saved, flushed) = tokio::join!(save(&node), tasks_blocking(move || spans.flush()));
    saved?;
    flushed.map_err(|why| ServeError::Internal(why.to_string()))?;
    served
}

/// Checks the settings that only some builds of the program can follow.
pub fn check(config: &Config) -> Result<(), ServeError> {
    SpanExport::check(&config.traces).map_err(ServeError::Traces)
}

/// Returns the services of the gRPC port.
fn grpc_router<H: Health>(
    limits: &Limits,
    layers: (TraceLayer, AccessLayer, CallLimits),
    health: HealthServer<H>,
    api: &Api,
) -> Result<GrpcRouter<Layers>, ServeError> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let internal = |why: tonic_reflection::server::Error| ServeError::Internal(why.to_string());
    Ok(builder(limits, layers)
        .add_routes(api_services(api))
        .add_service(health)
        .add_service(reflection().build_v1().map_err(internal)?)
        .add_service(reflection().build_v1alpha().map_err(internal)?))
}

/// Returns the services of the API.
fn api_services(api: &Api) -> Routes {
    Routes::new(bounded!(DecisionServiceServer::new(api.clone())))
        .add_service(bounded!(FeedbackServiceServer::new(api.clone())))
        .add_service(bounded!(EventServiceServer::new(api.clone())))
        .add_service(bounded!(SlotServiceServer::new(api.clone())))
        .add_service(bounded!(DraftServiceServer::new(api.clone())))
        .add_service(bounded!(ImportServiceServer::new(api.clone())))
        .add_service(bounded!(InsightServiceServer::new(api.clone())))
        .add_service(bounded!(ItemServiceServer::new(api.clone())))
        .add_service(bounded!(PrivacyServiceServer::new(api.clone())))
}

/// Stops the node. Returns `Err` if something that was answered is not saved.
async fn save(node: &Arc<Node>) -> Result<(), ServeError> {
    let stopping = Arc::clone(node);
    let closed = tasks_blocking(move || stopping.shutdown()).await;
    let failed = node.failure().borrow().clone();
    if let Some(why) = failed {
        return Err(ServeError::Failed(why));
    }
    closed.map_err(|why| ServeError::Internal(why.to_string()))?;
    if node.unsaved() > 0 {
        return Err(ServeError::Unsaved(node.unsaved()));
    }
    if !node.stopped() {
        return Err(ServeError::Internal(
            "the service stopped, and it is unknown whether everything is saved; see the log".into(),
        ));
    }
    Ok(())
}

/// A gRPC server with the limits on calls and connections.
fn builder(limits: &Limits, (trace, access, calls): (TraceLayer, AccessLayer, CallLimits)) -> Server<Layers> {
    Server::builder()
        .max_concurrent_streams(limits.streams_per_connection)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_keepalive_interval(Some(limits.keepalive))
        .http2_keepalive_timeout(Some(limits.keepalive))
        .timeout(limits.call_timeout)
        .layer(trace)
        .layer(access)
        .layer(calls)
}

async fn open(config: &Config, metrics: Arc<Metrics>) -> Result<Arc<Node>, ServeError> {
    let options = Options {
        folder: config.data.clone(),
        snapshot_every_us: config::micros(config.snapshot_interval),
        durable_decisions: config.durable_decisions,
        loss: if config.accept_loss { LossPolicy::Accepted } else { LossPolicy::Refused },
        default_consent: config.profiles.default_consent,
        keep_profiles_us: config::micros(config.profiles.keep),
        catalogue: CatalogueLimits { items: config.catalogue.items, bytes: config.catalogue.bytes },
        retention_us: config.retention.map(config::micros),
        subject_retention_us: config.subject_retention.time(config.retention).map(config::micros),
    };
    let opened = tasks_blocking(move || Node::open(&options, Arc::new(SystemClock::default()), metrics)).await;
    Ok(Arc::new(opened.map_err(|why| ServeError::Internal(why.to_string()))??))
}

/// Runs what blocks on a thread where it may.
async fn tasks_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    tokio::task::spawn_blocking(work).await
}
