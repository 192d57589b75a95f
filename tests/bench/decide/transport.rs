//! Decide over gRPC, beside a no-op handler.

use std::{
    collections::HashMap,
    fs,
    hint::black_box,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, Throughput};
use slotwise::wire::proto::{
    Arm, BatchDecideRequest, BatchDecideResponse, Candidate, ChosenArm, Controls, CreateSlotRequest, DecideRequest,
    DecideResponse, FeatureValue, RecordRewardsRequest, RewardEvent, Slot,
    decision_service_client::DecisionServiceClient,
    decision_service_server::{DecisionService, DecisionServiceServer},
    feature_value::Value,
    feedback_service_client::FeedbackServiceClient,
    slot_service_client::SlotServiceClient,
};
use tonic::{Response, Status, transport::Channel};

use super::{CANDIDATES, SHOWN, number};

const CONNECTIONS: usize = 4;
const IN_FLIGHT: usize = 16;

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

/// Serves the no-op handler in a process of its own, which the bench starts as `noop-server`.
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

struct ServerProcess {
    child: Child,
    address: String,
}

impl ServerProcess {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("its line");
        let address = line.split("gRPC on ").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address");
        Self { address: format!("http://{address}"), child }
    }

    /// Returns user and system time so far, in clock ticks of 10 ms.
    fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let after_name = stat.rsplit(')').next().expect("a name in parentheses");
        let field =
            |i: usize| after_name.split_whitespace().nth(i).and_then(|f| f.parse::<u64>().ok()).expect("a number");
        Duration::from_millis(10 * (field(11) + field(12)))
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was ours");
    }
}

fn request(i: u32) -> DecideRequest {
    let mut context = HashMap::new();
    for n in 0..6 {
        context.insert(format!("number{n}"), FeatureValue { value: Some(Value::Number(number(i, n))) });
        let word = format!("word{}", (i + n) % 3);
        context.insert(format!("text{n}"), FeatureValue { value: Some(Value::Text(word)) });
    }
    let candidate = |c: usize| Candidate { arm_id: format!("product-{c:04}"), features: HashMap::new() };
    DecideRequest {
        slot_id: "search".into(),
        context,
        candidates: (0..CANDIDATES).map(candidate).collect(),
        count: SHOWN,
        ..DecideRequest::default()
    }
}

async fn connect_clients(address: &str) -> Vec<DecisionServiceClient<Channel>> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let channel = Channel::from_shared(address.to_owned()).expect("an address").tcp_nodelay(true);
        clients.push(DecisionServiceClient::new(channel.connect().await.expect("it listens")));
    }
    clients
}

/// Sends `count` requests and returns the latency of each.
async fn send_requests(clients: &[DecisionServiceClient<Channel>], count: u64) -> Vec<Duration> {
    let mut tasks = tokio::task::JoinSet::new();
    let lanes = (CONNECTIONS * IN_FLIGHT) as u64;
    for lane in 0..lanes.min(count) {
        let mut client = clients[lane as usize % CONNECTIONS].clone();
        let mine = count / lanes + u64::from(lane < count % lanes);
        tasks.spawn(async move {
            let mut latencies = Vec::with_capacity(mine as usize);
            for i in 0..mine as u32 {
                let request = request(i + lane as u32);
                let begun = Instant::now();
                black_box(client.decide(request).await.expect("an answer"));
                latencies.push(begun.elapsed());
            }
            latencies
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

/// Creates a slot and teaches it a little, so that the posteriors differ.
async fn create_taught_slot(address: &str) {
    let channel = Channel::from_shared(address.to_owned()).expect("an address").connect().await.expect("it listens");
    let arms = (0..CANDIDATES).map(|c| Arm { arm_id: format!("product-{c:04}"), ..Arm::default() }).collect();
    let controls = Some(Controls { holdout: Some(0.0), ..Controls::default() });
    let slot = Slot { slot_id: "search".into(), kind: 2, arms, controls, ..Slot::default() };
    let create = CreateSlotRequest { slot: Some(slot), ..CreateSlotRequest::default() };
    SlotServiceClient::new(channel.clone()).create_slot(create).await.expect("made");
    let (mut decisions, mut feedback) =
        (DecisionServiceClient::new(channel.clone()), FeedbackServiceClient::new(channel));
    for i in 0..2_000_u32 {
        let decision = decisions.decide(request(i)).await.expect("decided").into_inner();
        let clicked = decision.arms.iter().filter(|arm| (u32::from(arm.arm_id.as_bytes()[11]) * 13 + i) % 20 < 3);
        let event = |arm: &ChosenArm| RewardEvent {
            event_id: format!("{i}-{}", arm.arm_id),
            decision_id: decision.decision_id.clone(),
            arm_id: arm.arm_id.clone(),
            kind: "click".into(),
            ..RewardEvent::default()
        };
        let events: Vec<_> = clicked.map(event).collect();
        if !events.is_empty() {
            feedback.record_rewards(RecordRewardsRequest { events }).await.expect("recorded");
        }
    }
}

pub(crate) fn measure_transport(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let mut real = Command::new(env!("CARGO_BIN_EXE_slotwise"));
    real.args(["serve", "--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0", "--data"]).arg(folder.path());
    let mut noop = Command::new(std::env::current_exe().expect("this program"));
    noop.arg("noop-server");
    let servers = [("noop", ServerProcess::start(noop)), ("decide", ServerProcess::start(real))];
    runtime.block_on(create_taught_slot(&servers[1].1.address));

    let mut group = criterion.benchmark_group("grpc: server CPU per request, 20 candidates, 12 features, 5 shown");
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(12));
    let mut spent = HashMap::new();
    for (name, server) in &servers {
        let clients = runtime.block_on(connect_clients(&server.address));
        runtime.block_on(send_requests(&clients, 10_000));
        let total = spent.entry(*name).or_insert((0_u64, Duration::ZERO, Duration::ZERO, Vec::new()));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_custom(|count| {
                // A tick is 10 ms, so fewer requests would measure nothing.
                let count_run = count.max(4_000);
                let (cpu, begun) = (server.cpu(), Instant::now());
                let latencies = runtime.block_on(send_requests(&clients, count_run));
                let used = server.cpu().saturating_sub(cpu);
                total.0 += count_run;
                total.1 += used;
                total.2 += begun.elapsed();
                total.3.extend(latencies);
                used.mul_f64(count as f64 / count_run as f64)
            });
        });
    }
    group.finish();
    if spent.values().any(|spent| spent.0 == 0) {
        return; // The command line asked for other benches.
    }
    let mut out = std::io::stdout();
    let mut line = |text: String| writeln!(out, "{text}").expect("standard output");
    for (name, _) in &servers {
        let (count, cpu, wall, latencies) = spent.get_mut(name).expect("measured");
        latencies.sort_unstable();
        let quantile = |q: f64| latencies[((latencies.len() - 1) as f64 * q) as usize].as_micros();
        line(format!(
            "{name:>7}: {:.2} µs of server CPU per request, {:.0} requests/s with {} in flight, p50 {} µs, p99 {} µs",
            cpu.as_secs_f64() * 1e6 / *count as f64,
            *count as f64 / wall.as_secs_f64(),
            CONNECTIONS * IN_FLIGHT,
            quantile(0.5),
            quantile(0.99),
        ));
    }
    let per = |name| spent[name].1.as_secs_f64() / spent[name].0 as f64;
    line(format!(
        "  ratio: Decide has {:.0} % of the no-op's throughput per CPU second",
        100.0 * per("noop") / per("decide")
    ));
}
