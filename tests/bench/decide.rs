//! Cost of a decision: over gRPC beside a no-op handler with the same messages, and inside the engine.
//!
//! `cargo bench --bench decide`. Both servers run in processes of their own. The figures for the transport are the
//! *server's* CPU time per request, read from /proc, so the client on the same cores does not count. Decide writes to
//! the journal as it does in production.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    reason = "a bench: it reads the clock, and its counts are small"
)]

use std::{
    collections::HashMap,
    fs,
    hint::black_box,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, Throughput};
use slotwise::{
    bandit::{Features, ModelSpec, Value as Feature},
    engine::{Body, DecisionId, Draw, Event, Request, SlotView, State, decide as engine_decide, hash},
    slot::{Arm as SlotArm, ArmId, ChangeReason, Definition, Effect, OnError, Rule, SlotId, SlotKind},
    wire::proto::{
        Arm, BatchDecideRequest, BatchDecideResponse, Candidate, ChosenArm, Controls, CreateSlotRequest, DecideRequest,
        DecideResponse, FeatureValue, RecordRewardsRequest, RewardEvent, Slot,
        decision_service_client::DecisionServiceClient,
        decision_service_server::{DecisionService, DecisionServiceServer},
        feature_value::Value,
        feedback_service_client::FeedbackServiceClient,
        slot_service_client::SlotServiceClient,
    },
};
use tonic::{Response, Status, transport::Channel};

const CANDIDATES: usize = 20;
const SHOWN: u32 = 5;
const CONNECTIONS: usize = 4;
const IN_FLIGHT: usize = 16;

/// Handler that answers at once, with the same messages.
struct Noop(DecideResponse);

#[tonic::async_trait]
impl DecisionService for Noop {
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

/// Serves the no-op handler; the bench starts itself again with this task.
fn serve_noop() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let incoming = tonic::transport::server::TcpIncoming::bind(([127, 0, 0, 1], 0).into()).expect("a port");
        let line = format!("gRPC on {} and", incoming.local_addr().expect("an address"));
        let mut out = std::io::stdout();
        writeln!(out, "{line}").and_then(|()| out.flush()).expect("standard output");
        let service = DecisionServiceServer::new(Noop(noop_response()));
        let served = tonic::transport::Server::builder().add_service(service);
        served.serve_with_incoming(incoming.with_nodelay(Some(true))).await.expect("it serves until it is killed");
    });
}

struct Server {
    child: Child,
    address: String,
}

impl Server {
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

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was ours");
    }
}

fn number(i: u32, n: u32) -> f64 {
    f64::from((i * 7919 + n * 104_729) % 1000) / 10.0
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

async fn clients(address: &str) -> Vec<DecisionServiceClient<Channel>> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let channel = Channel::from_shared(address.to_owned()).expect("an address").tcp_nodelay(true);
        clients.push(DecisionServiceClient::new(channel.connect().await.expect("it listens")));
    }
    clients
}

/// Sends `count` requests and returns the latency of each.
async fn load(clients: &[DecisionServiceClient<Channel>], count: u64) -> Vec<Duration> {
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
async fn prepare(address: &str) {
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

fn transport(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let mut real = Command::new(env!("CARGO_BIN_EXE_slotwise"));
    real.args(["serve", "--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0", "--data"]).arg(folder.path());
    let mut noop = Command::new(std::env::current_exe().expect("this program"));
    noop.arg("noop-server");
    let servers = [("noop", Server::start(noop)), ("decide", Server::start(real))];
    runtime.block_on(prepare(&servers[1].1.address));

    let mut group = criterion.benchmark_group("grpc: server CPU per request, 20 candidates, 12 features, 5 shown");
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(12));
    let mut spent = HashMap::new();
    for (name, server) in &servers {
        let clients = runtime.block_on(clients(&server.address));
        runtime.block_on(load(&clients, 10_000));
        let total = spent.entry(*name).or_insert((0_u64, Duration::ZERO, Duration::ZERO, Vec::new()));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_custom(|count| {
                // A tick is 10 ms, so fewer requests would measure nothing.
                let count_run = count.max(4_000);
                let (cpu, begun) = (server.cpu(), Instant::now());
                let latencies = runtime.block_on(load(&clients, count_run));
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

/// Returns the same slot inside the engine, after `decisions` decisions.
fn view(decisions: u32) -> SlotView {
    let id = SlotId::parse("slot_id", "search").expect("an id");
    let mut definition = Definition { kind: SlotKind::Ranking, ..Definition::new(id.clone()) };
    let arm = |c: usize| SlotArm::new(ArmId::parse("arm_id", &format!("product-{c:04}")).expect("an id"));
    definition.arms = (0..CANDIDATES).map(|c| Arc::new(arm(c))).collect();
    learned(definition, decisions)
}

/// Returns the view of a slot that has learned from `decisions` decisions.
fn learned(definition: Definition, decisions: u32) -> SlotView {
    let id = definition.id.clone();
    let mut state = State::default();
    let apply = |state: &mut State, at_us, body| {
        state.apply(&Event { at_us, body });
    };
    apply(&mut state, 0, Body::SlotCreated { definition: Arc::new(definition), why: ChangeReason::default() });
    for i in 0..decisions {
        let view = state.slot("search").expect("made").view();
        let decided = Arc::new(decide_in(&view, i, SHOWN));
        apply(&mut state, i64::from(i), Body::Decided(Arc::clone(&decided)));
        for chosen in decided.chosen.iter().filter(|c| (u32::from(c.arm.as_str().as_bytes()[11]) * 13 + i) % 20 < 3) {
            let event = slotwise::engine::Rewarded {
                slot: id.clone(),
                event_id: format!("{i}-{}", chosen.arm),
                decision: Some(decided.id),
                subject: slotwise::engine::Subject::default(),
                arm: Some(chosen.arm.clone()),
                kind: "click".into(),
                value: None,
                time_us: 0,
                reverses: None,
            };
            apply(&mut state, i64::from(i), Body::Rewarded(Box::new(event)));
        }
    }
    state.slot("search").expect("made").view()
}

fn engine_request(i: u32, count: u32) -> Request {
    let mut context = Features::new();
    for n in 0..6 {
        context.insert(format!("number{n}"), Feature::Number(number(i, n)));
        context.insert(format!("text{n}"), Feature::Text(format!("word{}", (i + n) % 3)));
    }
    Request { context, count, ..Request::new(SlotId::parse("slot_id", "search").expect("an id")) }
}

fn decide_in(view: &SlotView, i: u32, count: u32) -> slotwise::engine::Decided {
    let draw = Draw {
        id: DecisionId::new(view.number, i64::from(i), u64::from(i)),
        seed: hash("bench", &[&i.to_be_bytes()]).word(),
        taken: &[],
        deadline_passed: false,
    };
    engine_decide(view, engine_request(i, count), draw).decided
}

fn engine(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine: decide, linear, 20 arms, 12 features");
    for (name, decisions) in [("fresh", 0), ("after 20,000 decisions", 20_000)] {
        let view = view(decisions);
        for shown in [1, SHOWN] {
            group.bench_function(format!("{name}, {shown} shown"), |bencher| {
                let mut i = 0_u32;
                bencher.iter(|| {
                    i += 1;
                    decide_in(&view, i, shown)
                });
            });
        }
    }
    group.bench_function("of which making the request", |bencher| bencher.iter(|| engine_request(black_box(7), SHOWN)));
    group.finish();
}

/// Returns twenty rules of the kinds that people write. Most read the arm or the request alone; some compare the two.
fn rules() -> Vec<Rule> {
    let rule = |n: usize, when: &str, effect| Rule {
        name: format!("rule {n}"),
        when: when.into(),
        effect,
        on_error: OnError::Ignore,
        paused: false,
    };
    let boost = || Effect::Boost { factor: 1.1 };
    let share = || Effect::ProbabilityBounds { min: Some(0.01), max: None };
    let conditions = [
        ("arm.brand == 'b3'", boost()),
        ("arm.price > 40.0 && context.text0 == 'word1'", boost()),
        ("arm.discount > 0.2 && context.text1 == 'word0'", boost()),
        ("context.text2 == 'word2' && arm.category in ['c1', 'c2']", boost()),
        ("arm.brand.startsWith('b')", Effect::Boost { factor: 0.9 }),
        ("arm.sale", share()),
        ("context.number0 > 3.0 && arm.sale", share()),
        ("arm.stock < 3.0", Effect::Exclude),
        ("arm.brand == 'b9' && context.text3 != 'word1'", Effect::Exclude),
        ("context.text4 == 'nothing'", Effect::Exclude),
        ("has(context.vip) && arm.price < 5.0", Effect::Exclude),
        ("arm.price > context.number1 * 50.0", boost()),
        ("arm.price < context.number2", boost()),
        ("context.text5 == 'word0' || arm.discount > 0.4", boost()),
        ("arm.id == 'product-0007'", Effect::ProbabilityBounds { min: None, max: Some(0.6) }),
        ("subject.id == 'somebody' && arm.sale", Effect::Exclude),
        ("arm.category == 'c4' && context.number3 >= 1.0", boost()),
        ("arm.price >= 10.0 && arm.price <= 30.0", boost()),
        ("!(context.text0 == 'word2') && arm.brand == 'b1'", boost()),
        ("arm.discount > 0.3 && context.text0 == 'word0'", Effect::MaxMoves { positions: 15 }),
    ];
    conditions.into_iter().enumerate().map(|(n, (when, effect))| rule(n, when, effect)).collect()
}

fn attributes(c: u32) -> Features {
    [
        ("brand".to_owned(), Feature::Text(format!("b{}", c % 10))),
        ("category".to_owned(), Feature::Text(format!("c{}", c % 5))),
        ("price".to_owned(), Feature::Number(f64::from(3 + 4 * c))),
        ("discount".to_owned(), Feature::Number(f64::from(c % 6) / 10.0)),
        ("stock".to_owned(), Feature::Number(f64::from(3 + c % 4))),
        ("sale".to_owned(), Feature::Flag(c.is_multiple_of(3))),
    ]
    .into()
}

/// Measures the cost of twenty rules for a cheap model and for the default.
fn steered(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine: decide, 20 arms, 12 features, one shown");
    for (name, model) in [("beta", ModelSpec::beta_bernoulli(None, None)), ("portfolio", ModelSpec::default())] {
        for (with, rules) in [("no rules", Vec::new()), ("20 rules", rules())] {
            let mut definition = Definition::new(SlotId::parse("slot_id", "search").expect("an id"));
            let arm = |c: u32| SlotArm {
                attributes: attributes(c),
                ..SlotArm::new(ArmId::parse("arm_id", &format!("product-{c:04}")).expect("an id"))
            };
            definition.arms = (0..20).map(|c| Arc::new(arm(c))).collect();
            (definition.model, definition.rules) = (model, rules);
            definition.check().expect("holds together");
            let view = learned(definition, 5_000);
            group.bench_function(format!("{name}, {with}"), |bencher| {
                let mut i = 0_u32;
                bencher.iter(|| {
                    i += 1;
                    decide_in(&view, i, 1)
                });
            });
        }
    }
    group.finish();
}

fn main() {
    if std::env::args().any(|arg| arg == "noop-server") {
        return serve_noop();
    }
    let mut criterion = Criterion::default().configure_from_args();
    engine(&mut criterion);
    steered(&mut criterion);
    transport(&mut criterion);
    criterion.final_summary();
}
