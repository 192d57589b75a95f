//! A server in a process of its own, a no-op handler beside it, and the traffic that both get.

use std::{
    collections::HashMap,
    fs,
    hint::black_box,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use slotwise::{
    engine::hash,
    wire::proto::{
        Arm, BatchDecideRequest, BatchDecideResponse, Candidate, ChosenArm, Controls, CreateSlotRequest, DecideRequest,
        DecideResponse, DecideResult, FeatureValue, LinearModel, Model, RecordRewardsRequest, RewardEvent, Slot,
        decision_service_client::DecisionServiceClient,
        decision_service_server::{DecisionService, DecisionServiceServer},
        feature_value::Value,
        feedback_service_client::FeedbackServiceClient,
        model,
        slot_service_client::SlotServiceClient,
    },
};
use tonic::{Response, Status, transport::Channel};

pub(crate) const CANDIDATES: usize = 20;
pub(crate) const SHOWN: u32 = 5;
pub(crate) const CONNECTIONS: usize = 4;
/// Requests that one connection has under way.
pub(crate) const IN_FLIGHT: usize = 16;
/// Time until a refused call is sent again, as the refusal asks for.
const RETRY: Duration = Duration::from_millis(200);
/// Time without work after which a server has done all that it had to do.
const QUIET: Duration = Duration::from_millis(300);

/// Returns a number from 0 to 999 that looks random, for a request and one of its parts.
fn random(i: u32, part: u32) -> u32 {
    (hash("bench", &[&i.to_be_bytes(), &part.to_be_bytes()]).word() % 1000) as u32
}

/// Number of a request, from 0 to 99.9.
pub(crate) fn number(i: u32, n: u32) -> f64 {
    f64::from(random(i, n)) / 10.0
}

/// Word of a request: one of three.
pub(crate) fn word(i: u32, n: u32) -> u32 {
    random(i, 100 + n) % 3
}

/// Chance that an arm is clicked in a request: linear in the log odds, 3 to 5 % on average.
fn chance(i: u32, arm: u32) -> f64 {
    let effect = |what: u32, n: u32| f64::from((arm * 7 + what * 5 + n * 13) % 11) - 5.0;
    let features =
        (0..6).map(|n| effect(0, n) / 15.0 * (number(i, n) - 50.0) / 29.0 + effect(1 + word(i, n), n) / 20.0);
    1.0 / (1.0 + f64::exp(3.6 - features.sum::<f64>()))
}

/// Handler that answers at once, with the same messages.
struct NoopService(DecideResponse);

#[tonic::async_trait]
impl DecisionService for NoopService {
    async fn decide(&self, request: tonic::Request<DecideRequest>) -> Result<Response<DecideResponse>, Status> {
        black_box(request.into_inner());
        Ok(Response::new(self.0.clone()))
    }

    async fn batch_decide(
        &self,
        _: tonic::Request<BatchDecideRequest>,
    ) -> Result<Response<BatchDecideResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    type StreamDecideStream = tonic::codegen::BoxStream<DecideResult>;

    async fn stream_decide(
        &self,
        _: tonic::Request<tonic::Streaming<DecideRequest>>,
    ) -> Result<Response<Self::StreamDecideStream>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}

fn noop_response() -> DecideResponse {
    let arm = |i: u32| ChosenArm {
        arm_id: format!("product-{i:04}"),
        position: i + 1,
        propensity: 0.123,
        expected_reward: 0.045,
        baseline_position: 7,
        reason: 2,
        payload: None,
    };
    DecideResponse {
        decision_id: "00000abcdefghijklmnopqrstu".into(),
        arms: (0..SHOWN).map(arm).collect(),
        revision: 3,
        model: "linear".into(),
        exploring: true,
        ..DecideResponse::default()
    }
}

/// Serves the no-op handler in a process of its own, which a bench starts as `noop-server`.
pub(crate) fn serve_noop() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let incoming = tonic::transport::server::TcpIncoming::bind(([127, 0, 0, 1], 0).into()).expect("a port");
        let line = format!("gRPC on {} and", incoming.local_addr().expect("an address"));
        let mut out = std::io::stdout();
        writeln!(out, "{line}").and_then(|()| out.flush()).expect("standard output");
        let service = DecisionServiceServer::new(NoopService(noop_response()));
        let served = tonic::transport::Server::builder().add_service(service);
        served.serve_with_incoming(incoming.with_nodelay(Some(true))).await.expect("it serves until it is killed");
    });
}

/// CPU time of a server so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CpuTime {
    /// Time of all threads.
    pub(crate) all: Duration,
    /// Time of the thread that writes and learns.
    pub(crate) writer: Duration,
}

impl CpuTime {
    pub(crate) fn since(self, before: Self) -> Self {
        Self { all: self.all.saturating_sub(before.all), writer: self.writer.saturating_sub(before.writer) }
    }
}

/// Server in a process of its own, which ends with this value.
pub(crate) struct ServerProcess {
    child: Child,
    pub(crate) address: String,
}

impl ServerProcess {
    /// Starts a program. `cores`, a list for `taskset`, pins it.
    pub(crate) fn start(command: &Command, cores: Option<&str>) -> Self {
        let mut pinned = Command::new(if cores.is_some() { "taskset".as_ref() } else { command.get_program() });
        if let Some(cores) = cores {
            pinned.args(["-c", cores]).arg(command.get_program());
        }
        pinned.args(command.get_args());
        let mut child = pinned.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("its line");
        let address = line.split("gRPC on ").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address");
        Self { address: format!("http://{address}"), child }
    }

    /// Starts the service with its data in a folder.
    pub(crate) fn service(folder: &Path, cores: Option<&str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slotwise"));
        command.args(["serve", "--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0", "--data"]).arg(folder);
        Self::start(&command, cores)
    }

    /// Starts the no-op handler.
    pub(crate) fn noop(cores: Option<&str>) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg("noop-server");
        Self::start(&command, cores)
    }

    /// CPU time so far, to the nanosecond.
    pub(crate) fn cpu(&self) -> CpuTime {
        let mut time = CpuTime::default();
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
        for task in tasks.flatten() {
            // A thread may end while its files are read.
            let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let ran = read("schedstat").split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
            time.all += Duration::from_nanos(ran);
            if read("comm").starts_with("slotwise-writer") {
                time.writer += Duration::from_nanos(ran);
            }
        }
        time
    }

    /// Resident memory, bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0)
    }

    /// Waits until the server has done all that it was asked for: the writer learns after callers have their answers.
    pub(crate) fn drain(&self) {
        let (begun, mut before) = (Instant::now(), self.cpu().all);
        let mut quiet = Duration::ZERO;
        while quiet < QUIET && begun.elapsed() < Duration::from_mins(5) {
            std::thread::sleep(QUIET / 6);
            let now = self.cpu().all;
            // Timers take a little, and so does reading the clocks.
            quiet =
                if now.saturating_sub(before) < Duration::from_millis(2) { quiet + QUIET / 6 } else { Duration::ZERO };
            before = now;
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was ours");
    }
}

/// Returns the request with this number for a slot.
pub(crate) fn request(slot: &str, i: u32) -> DecideRequest {
    let mut context = HashMap::new();
    for n in 0..6 {
        context.insert(format!("number{n}"), FeatureValue { value: Some(Value::Number(number(i, n))) });
        let word = format!("word{}", word(i, n));
        context.insert(format!("text{n}"), FeatureValue { value: Some(Value::Text(word)) });
    }
    let candidate = |c: usize| Candidate { arm_id: format!("product-{c:04}"), features: HashMap::new() };
    DecideRequest {
        slot_id: slot.into(),
        context,
        candidates: (0..CANDIDATES).map(candidate).collect(),
        count: SHOWN,
        ..DecideRequest::default()
    }
}

/// Clicks of a request on the arms that were shown, by their numbers.
pub(crate) fn clicked(i: u32, arm: u32) -> bool {
    f64::from(random(i, 1_000 + arm)) < 1_000.0 * chance(i, arm)
}

/// Events of a decision.
pub(crate) fn clicks(i: u32, decision: &DecideResponse) -> impl Iterator<Item = RewardEvent> {
    decision.arms.iter().filter_map(move |arm| {
        let number = arm.arm_id.rsplit('-').next().and_then(|number| number.parse().ok()).expect("a number");
        clicked(i, number).then(|| RewardEvent {
            event_id: format!("{i}-{}", arm.arm_id),
            decision_id: decision.decision_id.clone(),
            arm_id: arm.arm_id.clone(),
            kind: "click".into(),
            ..RewardEvent::default()
        })
    })
}

pub(crate) async fn channel(address: &str) -> Channel {
    let channel = Channel::from_shared(address.to_owned()).expect("an address").tcp_nodelay(true);
    channel.connect().await.expect("it listens")
}

/// Model of a measured slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotModel {
    /// Default: a portfolio.
    Default,
    /// One linear model, of 25 dimensions here.
    Linear,
}

impl SlotModel {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Linear => "linear",
        }
    }
}

/// Creates a slot that is called as its model.
pub(crate) async fn create(address: &str, of: SlotModel) {
    let arms = (0..CANDIDATES).map(|c| Arm { arm_id: format!("product-{c:04}"), ..Arm::default() }).collect();
    let controls = Some(Controls { holdout: Some(0.0), ..Controls::default() });
    let model = match of {
        SlotModel::Default => None,
        SlotModel::Linear => Some(Model { model: Some(model::Model::Linear(LinearModel::default())) }),
    };
    let slot = Slot { slot_id: of.name().into(), kind: 2, arms, controls, model, ..Slot::default() };
    let create = CreateSlotRequest { slot: Some(slot), ..CreateSlotRequest::default() };
    SlotServiceClient::new(channel(address).await).create_slot(create).await.expect("made");
}

/// Caller with connections, which numbers its requests.
pub(crate) struct BenchCaller {
    channels: Vec<Channel>,
    slot: String,
    /// Number of requests so far.
    pub(crate) sent: u32,
    reports: bool,
}

impl BenchCaller {
    /// Connects. A caller that `reports` sends events of what it was answered.
    pub(crate) async fn connect(address: &str, slot: &str, reports: bool) -> Self {
        let mut channels = Vec::new();
        for _ in 0..CONNECTIONS {
            channels.push(channel(address).await);
        }
        Self { channels, slot: slot.into(), sent: 0, reports }
    }

    /// Sends this many requests as fast as they are answered, and returns the latency of each.
    pub(crate) async fn send(&mut self, count: u32) -> Vec<Duration> {
        let lanes = u32::try_from(CONNECTIONS * IN_FLIGHT).expect("small").min(count);
        let mut tasks = tokio::task::JoinSet::new();
        for lane in 0..lanes {
            let channel = self.channels[lane as usize % CONNECTIONS].clone();
            let mut decisions = DecisionServiceClient::new(channel.clone());
            let mut feedback = FeedbackServiceClient::new(channel);
            let (slot, reports) = (self.slot.clone(), self.reports);
            let numbers = (self.sent + lane..self.sent + count).step_by(lanes as usize);
            tasks.spawn(async move {
                let mut latencies = Vec::with_capacity(numbers.len());
                for i in numbers {
                    let request = request(&slot, i);
                    let begun = Instant::now();
                    let decision = decide(&mut decisions, request).await;
                    latencies.push(begun.elapsed());
                    // A click is reported at once. Were it late, silence would count late, too.
                    let events: Vec<RewardEvent> = if reports { clicks(i, &decision).collect() } else { Vec::new() };
                    if !events.is_empty() {
                        feedback.record_rewards(RecordRewardsRequest { events }).await.expect("recorded");
                    }
                }
                latencies
            });
        }
        self.sent += count;
        tasks.join_all().await.into_iter().flatten().collect()
    }

    /// Sends requests at a rate per second whether earlier ones were answered or not, and returns the latency of each from when it was
    /// due.
    pub(crate) async fn send_at(&mut self, rate: f64, count: u32) -> Vec<Duration> {
        let begun = tokio::time::Instant::now() + Duration::from_millis(50);
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..count {
            let due = begun + Duration::from_secs_f64(f64::from(n) / rate);
            tokio::time::sleep_until(due).await;
            let mut decisions = DecisionServiceClient::new(self.channels[n as usize % CONNECTIONS].clone());
            let request = request(&self.slot, self.sent + n);
            tasks.spawn(async move {
                decide(&mut decisions, request).await;
                due.elapsed()
            });
        }
        self.sent += count;
        tasks.join_all().await
    }
}

/// Decides, again and again while the service says that it has too much to write.
pub(crate) async fn decide(client: &mut DecisionServiceClient<Channel>, request: DecideRequest) -> DecideResponse {
    loop {
        match client.decide(request.clone()).await {
            Ok(answer) => return answer.into_inner(),
            Err(status) if status.code() == tonic::Code::ResourceExhausted => tokio::time::sleep(RETRY).await,
            Err(status) => unreachable!("an answer: {status}"),
        }
    }
}

/// Returns the quantile of latencies.
pub(crate) fn quantile(latencies: &mut [Duration], q: f64) -> Duration {
    latencies.sort_unstable();
    latencies.get(((latencies.len().saturating_sub(1)) as f64 * q) as usize).copied().unwrap_or_default()
}

/// Returns the median.
pub(crate) fn median(of: impl IntoIterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = of.into_iter().collect();
    all.sort_unstable_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}
