//! A real server in this process, on free ports, with a folder of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]
#![allow(dead_code, reason = "not every test asks for metrics")]

use std::{net::Ipv4Addr, time::Duration};

use slotwise::{
    client::Client,
    config::Config,
    server::{Listeners, run},
};
use tokio_util::sync::CancellationToken;

/// Address of the server, `http://host:port`.
#[derive(Clone)]
pub(crate) struct LocalServer {
    pub(crate) grpc: String,
    pub(crate) http: String,
    /// Data folder of the server.
    pub(crate) data: std::path::PathBuf,
}

/// Waits until recovery is done. Every call is refused as unavailable until then.
async fn serving(target: &str) -> Client {
    let mut client = Client::connect(target).await.unwrap();
    for _ in 0..1000 {
        if client.list_slots().await.is_ok() {
            return client;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the server does not come up");
}

/// Runs `test` against a server, and stops it afterwards. With `durable_decisions`, a decision is counted by the time
/// it is answered.
pub(crate) fn with_server(durable_decisions: bool, test: impl AsyncFnOnce(LocalServer, Client)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            grpc_address: (Ipv4Addr::LOCALHOST, 0).into(),
            http_address: (Ipv4Addr::LOCALHOST, 0).into(),
            data: folder.path().to_owned(),
            durable_decisions,
            shutdown_delay: Duration::ZERO,
            ..Config::default()
        };
        let listeners = Listeners::bind(&config).await.unwrap();
        let server = LocalServer {
            grpc: format!("http://{}", listeners.grpc_address().unwrap()),
            http: format!("http://{}", listeners.http_address().unwrap()),
            data: folder.path().to_owned(),
        };
        let stop = CancellationToken::new();
        let tested = async {
            let client = serving(&server.grpc).await;
            test(server, client).await;
            stop.cancel();
        };
        let (served, ()) = tokio::join!(Box::pin(run(listeners, &config, stop.clone(), || ())), Box::pin(tested));
        served.unwrap();
    });
}
