//! A real server and real clients, on a free port, in a folder of their own.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    clippy::unwrap_used,
    clippy::panic,
    reason = "shared by several test programs, each using a part"
)]

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use slotwise::{
    config::Config,
    server::{Listeners, run},
    wire::proto::{
        Arm, BatchDecideRequest, Controls, CreateSlotRequest, DecideRequest, DecideResponse, FeatureValue, Goal,
        ListArmsRequest, RecordRewardsRequest, RewardEvent, RewardKind, RewardResult, RewardStatus, Slot,
        decide_result, decision_service_client::DecisionServiceClient, feature_value::Value,
        feedback_service_client::FeedbackServiceClient, insight_service_client::InsightServiceClient,
        slot_service_client::SlotServiceClient,
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, transport::Channel};

/// Longest time of any call of a test.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A server in this process.
pub struct InProcessServer {
    pub address: String,
    pub http: String,
    stop: CancellationToken,
    served: JoinHandle<Result<(), slotwise::server::ServeError>>,
}

impl InProcessServer {
    pub async fn start(folder: &Path) -> Self {
        Self::start_with(Config { data: folder.to_owned(), ..Config::default() }).await
    }

    pub async fn start_with(config: Config) -> Self {
        let (grpc_address, http_address) = (([127, 0, 0, 1], 0).into(), ([127, 0, 0, 1], 0).into());
        let config = Config { grpc_address, http_address, shutdown_delay: Duration::ZERO, ..config };
        let listeners = Listeners::bind(&config).await.unwrap();
        let address = format!("http://{}", listeners.grpc_address().unwrap());
        let http = listeners.http_address().unwrap().to_string();
        let stop = CancellationToken::new();
        let child = stop.clone();
        #[expect(clippy::disallowed_methods, reason = "the test waits for it in stop()")]
        let served = tokio::spawn(async move { run(listeners, &config, child, || ()).await });
        let server = Self { address, http, stop, served };
        server.wait_until_serving().await;
        server
    }

    async fn wait_until_serving(&self) {
        let mut health = tonic_health::pb::health_client::HealthClient::new(channel(&self.address).await);
        for _ in 0..1_000 {
            let request = tonic_health::pb::HealthCheckRequest::default();
            let status = health.check(request).await.unwrap().into_inner().status();
            if status == tonic_health::pb::health_check_response::ServingStatus::Serving {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the server did not start serving");
    }

    pub async fn clients(&self) -> Clients {
        Clients::connect(&self.address).await
    }

    pub async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.served).await.expect("stops in time").unwrap().unwrap();
    }
}

/// Starts a server in a folder of its own, and a client of it.
pub async fn started() -> (tempfile::TempDir, InProcessServer, Clients) {
    let folder = tempfile::tempdir().unwrap();
    let server = InProcessServer::start(folder.path()).await;
    let clients = server.clients().await;
    (folder, server, clients)
}

/// Returns the answer of a path on the HTTP port, with its headers.
pub async fn http_get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Sends a request as it stands, and returns the headers and the bytes of the answer.
pub async fn exchange(http: &str, head: &str, body: &[u8]) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(http).await.unwrap();
    let head = format!("{head}\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    (String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase(), bytes[end + 4..].to_vec())
}

/// Returns the bytes of an answer that came in chunks.
pub fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap().trim(), 16).unwrap();
        if length == 0 {
            return whole;
        }
        whole.extend_from_slice(&bytes[end + 2..end + 2 + length]);
        bytes = &bytes[end + 4 + length..];
    }
}

/// Asserts that the program knows every one of these events after a restart.
pub async fn assert_all_known(folder: &Path, acknowledged: &[RewardEvent]) {
    let process = Process::start(folder);
    let mut clients = Clients::connect(&process.address).await;
    for batch in acknowledged.chunks(500) {
        let request = RecordRewardsRequest { events: batch.to_vec() };
        let results = clients.feedback.record_rewards(request).await.unwrap().into_inner().results;
        assert_eq!(results.len(), batch.len());
        assert!(results.iter().all(|result| result.status() == RewardStatus::Duplicate));
    }
}

pub async fn channel(address: &str) -> Channel {
    Channel::from_shared(address.to_owned()).unwrap().timeout(PATIENCE).connect().await.unwrap()
}

/// One client of each service.
#[derive(Clone)]
pub struct Clients {
    pub decisions: DecisionServiceClient<Channel>,
    pub feedback: FeedbackServiceClient<Channel>,
    pub slots: SlotServiceClient<Channel>,
    pub insight: InsightServiceClient<Channel>,
}

impl Clients {
    pub async fn connect(address: &str) -> Self {
        let channel = channel(address).await;
        Self {
            decisions: DecisionServiceClient::new(channel.clone()),
            feedback: FeedbackServiceClient::new(channel.clone()),
            slots: SlotServiceClient::new(channel.clone()),
            insight: InsightServiceClient::new(channel),
        }
    }

    pub async fn create(&mut self, slot: Slot) -> Result<Slot, Status> {
        let request = CreateSlotRequest { slot: Some(slot), ..CreateSlotRequest::default() };
        Ok(self.slots.create_slot(request).await?.into_inner().slot.unwrap())
    }

    /// Returns a slot's arms, from all pages.
    pub async fn arms(&mut self, slot: &str) -> Vec<Arm> {
        let (mut arms, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListArmsRequest { slot_id: slot.to_owned(), page_token, ..ListArmsRequest::default() };
            let page = self.slots.list_arms(request).await.unwrap().into_inner();
            arms.extend(page.arms);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return arms;
            }
        }
    }

    pub async fn decide(&mut self, request: DecideRequest) -> Result<DecideResponse, Status> {
        Ok(self.decisions.decide(request).await?.into_inner())
    }

    /// Returns the outcome of each request of a batch.
    pub async fn decide_all(&mut self, batch: BatchDecideRequest) -> Vec<Result<DecideResponse, Status>> {
        let results = self.decisions.batch_decide(batch).await.unwrap().into_inner().results;
        let outcome = |result: decide_result::Result| match result {
            decide_result::Result::Response(response) => Ok(response),
            decide_result::Result::Status(status) => {
                let details = prost::Message::encode_to_vec(&status);
                Err(Status::with_details(status.code.into(), status.message, details.into()))
            }
        };
        results.into_iter().map(|result| outcome(result.result.expect("one of both"))).collect()
    }

    pub async fn reward(&mut self, event: RewardEvent) -> Result<RewardResult, Status> {
        let request = RecordRewardsRequest { events: vec![event] };
        Ok(self.feedback.record_rewards(request).await?.into_inner().results.remove(0))
    }
}

pub fn arms(ids: &[&str]) -> Vec<Arm> {
    ids.iter().map(|id| Arm { arm_id: (*id).to_owned(), ..Arm::default() }).collect()
}

/// Returns an offer slot whose clicks count 1.
pub fn slot(id: &str, ids: &[&str]) -> Slot {
    let kind = RewardKind {
        kind: "click".into(),
        weight: 1.0,
        use_value: false,
        cap: Some(1.0),
        winsorize: None,
        role: 0,
        joins: 0,
    };
    Slot {
        slot_id: id.to_owned(),
        arms: arms(ids),
        goal: Some(Goal { kinds: vec![kind], ..Goal::default() }),
        // Tests that need a holdout set one.
        controls: Some(Controls { holdout: Some(0.0), ..Controls::default() }),
        ..Slot::default()
    }
}

pub fn decide(slot: &str) -> DecideRequest {
    DecideRequest { slot_id: slot.to_owned(), ..DecideRequest::default() }
}

pub fn click(event_id: &str, decision: &DecideResponse) -> RewardEvent {
    RewardEvent {
        event_id: event_id.to_owned(),
        decision_id: decision.decision_id.clone(),
        kind: "click".into(),
        ..RewardEvent::default()
    }
}

pub fn number(number: f64) -> FeatureValue {
    FeatureValue { value: Some(Value::Number(number)) }
}

pub fn text(text: &str) -> FeatureValue {
    FeatureValue { value: Some(Value::Text(text.to_owned())) }
}

pub fn context(pairs: &[(&str, FeatureValue)]) -> HashMap<String, FeatureValue> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// The real program in a process of its own, killed when it is dropped.
pub struct Process {
    pub child: Child,
    pub address: String,
    pub http: String,
}

/// Returns the program, not yet started.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slotwise"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn serve_command(folder: &Path) -> Command {
    let mut command = program();
    command.args(["serve", "--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0"]);
    command.args(["--shutdown-delay", "0s", "--data"]).arg(folder);
    command
}

impl Process {
    /// Starts the program and waits for the line that names its ports.
    pub fn start(folder: &Path) -> Self {
        Self::start_command(serve_command(folder))
    }

    pub fn start_command(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let after =
            |what: &str| line.split(what).nth(1).and_then(|rest| rest.split([' ', ',']).next()).map(str::to_owned);
        let Some((grpc, http)) = after("gRPC on ").zip(after("HTTP on ")) else {
            let mut error = String::new();
            child.stderr.as_mut().unwrap().read_to_string(&mut error).unwrap();
            panic!("it did not start: {line:?} {error}");
        };
        Self { child, address: format!("http://{grpc}"), http }
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let id = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(id, signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
