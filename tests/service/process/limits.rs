//! Bounds on what clients may hold open and on what a compressed message may unpack to, and the signs by which a probe
//! sees the end.
#![allow(clippy::disallowed_methods, reason = "a test's patience is measured by the clock")]

use std::time::Instant;

use slotwise::{
    config::{Config, Limits},
    wire::proto::{BatchDecideRequest, Candidate, Controls, DecideRequest, decide_result, decision_service_client},
};
use support::{InProcessServer, channel, context, http_get, text};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::{Code, codec::CompressionEncoding};
use tonic_types::StatusExt as _;

use super::*;

async fn start(limits: Limits) -> (tempfile::TempDir, InProcessServer, Clients) {
    let folder = tempfile::tempdir().unwrap();
    let server =
        InProcessServer::start_with(Config { data: folder.path().to_owned(), limits, ..Config::default() }).await;
    let mut clients = server.clients().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    (folder, server, clients)
}

fn is_refused_for_now(status: &tonic::Status) -> bool {
    status.code() == Code::ResourceExhausted && status.get_error_details().retry_info().is_some()
}

fn request_of_bytes(bytes: usize) -> DecideRequest {
    let words = bytes / 200;
    let pairs: Vec<(String, _)> = (0..words).map(|i| (format!("f{i}"), text(&"x".repeat(190)))).collect();
    let named: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    DecideRequest { context: context(&named), ..decide("offers") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_request_is_accepted_unless_it_unpacks_to_too_much() {
    let (_folder, server, _clients) = start(Limits::default()).await;
    let plain = channel(&server.address).await;
    let mut packed =
        decision_service_client::DecisionServiceClient::new(plain).send_compressed(CompressionEncoding::Gzip);
    assert_eq!(packed.decide(decide("offers")).await.unwrap().into_inner().arms.len(), 1);
    let bomb = DecideRequest { request_id: "x".repeat(200 * 1024 * 1024), ..decide("offers") };
    let refused = packed.decide(bomb).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert_eq!(packed.decide(decide("offers")).await.unwrap().into_inner().arms.len(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_and_bytes_beyond_the_limits_are_refused_until_capacity_is_free() {
    let (_folder, server, mut clients) =
        start(Limits { calls: 2, bytes_in_flight: 100_000, ..Limits::default() }).await;
    for _ in 0..20 {
        let refused = clients.decide(request_of_bytes(200_000)).await.unwrap_err();
        assert!(is_refused_for_now(&refused), "{refused}");
        assert_eq!(clients.decide(request_of_bytes(20_000)).await.unwrap().arms.len(), 1);
    }
    let mut streams = Vec::new();
    for _ in 0..2 {
        let (send, receive) = tokio::sync::mpsc::channel::<RecordRewardsRequest>(1);
        let receive = tokio_stream::wrappers::ReceiverStream::new(receive);
        streams.push((send, clients.feedback.stream_rewards(receive).await.unwrap()));
    }
    let refused = clients.decide(decide("offers")).await.unwrap_err();
    assert!(is_refused_for_now(&refused), "{refused}");
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel(&server.address).await);
    health.check(tonic_health::pb::HealthCheckRequest::default()).await.unwrap();
    drop(streams);
    let begun = Instant::now();
    while clients.decide(decide("offers")).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "calls that have ended still count");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.stop().await;
}

/// Calls that read are refused beyond their own limit, and decisions and events are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_read_beyond_their_limit_are_refused_and_decisions_go_on() {
    let (_folder, server, mut clients) = start(Limits { reads: 1, ..Limits::default() }).await;
    let head = "POST /v1/GetSlotReport HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 21\r\n\r\n";
    // The server waits for the body of the call that is held. One that arrives during a report is refused at once, so each
    // try has a call of its own, and time to arrive.
    let hold = async || {
        let mut held = tokio::net::TcpStream::connect(&server.http).await.unwrap();
        held.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        held
    };
    let mut held = hold().await;
    let begun = Instant::now();
    let report = slotwise::wire::proto::GetSlotReportRequest { slot_id: "offers".into(), ..Default::default() };
    let refused = loop {
        match clients.insight.get_slot_report(report.clone()).await {
            Err(refused) => break refused,
            Ok(_) => assert!(begun.elapsed() < PATIENCE, "the call that is held counts"),
        }
        held = hold().await;
    };
    assert!(is_refused_for_now(&refused) && refused.message().contains("limits.reads"), "{refused}");
    assert_eq!(clients.decide(decide("offers")).await.unwrap().arms.len(), 1);
    held.write_all(br#"{"slotId": "offers"} "#).await.unwrap();
    while clients.insight.get_slot_report(report.clone()).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "a call that was answered still counts");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.stop().await;
}

/// Reads until the server closes the connection.
async fn wait_until_closed(stream: &mut tokio::net::TcpStream) {
    let mut bytes = Vec::new();
    // A reset closes the connection too.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("it is closed in time");
}

/// Returns `true` if the server has not closed the connection so far.
fn is_open(stream: &tokio::net::TcpStream) -> bool {
    let mut bytes = [0; 1_024];
    loop {
        match stream.try_read(&mut bytes) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(why) => return why.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
}

async fn connect_silently(server: &InProcessServer, count: usize) -> Vec<tokio::net::TcpStream> {
    let grpc = server.address.trim_start_matches("http://");
    let mut silent = Vec::new();
    for _ in 0..count {
        silent.push(tokio::net::TcpStream::connect(grpc).await.unwrap());
    }
    silent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_the_limit_are_closed_and_earlier_ones_stay_open() {
    // The long timeout keeps silent connections open while this runs.
    let limits = Limits { connections: 8, header_timeout: Duration::from_hours(1), ..Limits::default() };
    let (_folder, server, mut clients) = start(limits).await;
    let mut silent = connect_silently(&server, 20).await;
    for stream in &mut silent[8..] {
        wait_until_closed(stream).await;
    }
    assert!(is_open(&silent[0]) && is_open(&silent[1]), "connections from before the limit was reached stay open");
    assert_eq!(clients.decide(decide("offers")).await.unwrap().arms.len(), 1, "an earlier client is served");
    drop(silent);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_are_closed() {
    let second = Duration::from_secs(1);
    let limits = Limits { header_timeout: second, call_timeout: second, ..Limits::default() };
    let (_folder, server, mut clients) = start(limits).await;
    for stream in &mut connect_silently(&server, 20).await {
        wait_until_closed(stream).await;
    }
    assert_eq!(clients.decide(decide("offers")).await.unwrap().arms.len(), 1, "an earlier client is served");
    Clients::connect(&server.address).await.decide(decide("offers")).await.unwrap();
    // A request that comes byte by byte has no more time than any other.
    let mut slow = tokio::net::TcpStream::connect(&server.http).await.unwrap();
    let begun = Instant::now();
    for byte in b"GET /metrics HTTP/1.1\r\nHost: a.very.long.name.that.takes.a.while\r\n".iter().cycle() {
        if slow.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(begun.elapsed() < PATIENCE, "the connection is still open");
    }
    // The server ends a call whose message never comes; this client would wait for ever.
    let endless = tonic::transport::Channel::from_shared(server.address.clone()).unwrap().connect().await.unwrap();
    let mut raw = tonic::client::Grpc::new(endless);
    raw.ready().await.unwrap();
    let codec = slotwise::wire::MessageCodec::<DecideRequest, slotwise::wire::proto::DecideResponse>::default();
    let path = "/slotwise.v1.DecisionService/Decide".parse().unwrap();
    let call = raw.client_streaming(tonic::Request::new(tokio_stream::pending()), path, codec);
    let ended = tokio::time::timeout(3 * PATIENCE, call).await.expect("it ends");
    assert_eq!(ended.unwrap_err().code(), Code::Cancelled);
    server.stop().await;
}

fn request_of_5000_candidates(count: u32) -> DecideRequest {
    let candidates = (0..5_000).map(|i| Candidate { arm_id: format!("arm{i}"), ..Candidate::default() }).collect();
    DecideRequest { candidates, count, ..decide("open") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_has_a_budget_of_candidates_times_positions() {
    let (_folder, server, mut clients) = start(Limits::default()).await;
    clients.create(slotwise::wire::proto::Slot { open_catalogue: true, ..slot("open", &["a"]) }).await.unwrap();
    let refused = clients.decide(DecideRequest { count: 5_000, ..decide("open") }).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert!(refused.message().contains("count") && refused.message().contains("1000"), "{refused}");
    // The first request spends nearly the whole budget, and the second asks for as much again.
    let safe = request_of_5000_candidates(1);
    let batch = BatchDecideRequest {
        requests: vec![request_of_5000_candidates(999), request_of_5000_candidates(999), safe],
        ..BatchDecideRequest::default()
    };
    let mut request = tonic::Request::new(batch);
    request.set_timeout(Duration::from_secs(4));
    let answered = clients.decisions.batch_decide(request).await;
    // The first request may take longer than the caller waits. Either way the call ends, and the server
    // stops.
    if let Err(ended) = &answered {
        assert!([Code::Cancelled, Code::DeadlineExceeded].contains(&ended.code()), "{ended}");
    }
    assert_eq!(clients.decide(decide("offers")).await.unwrap().arms.len(), 1, "other clients are served");
    // The baseline is given without scores, so this call ends on any machine, and spends as much of the budget.
    let controls = Some(Controls { safe_choice: Some(true), ..Controls::default() });
    let calm = slotwise::wire::proto::Slot { open_catalogue: true, controls, ..slot("calm", &["a"]) };
    clients.create(calm).await.unwrap();
    let requests =
        [999, 999, 1].map(|count| DecideRequest { slot_id: "calm".into(), ..request_of_5000_candidates(count) });
    let batch = BatchDecideRequest { requests: requests.into(), ..BatchDecideRequest::default() };
    let results = clients.decisions.batch_decide(batch).await.unwrap().into_inner().results;
    let statuses: Vec<_> = results
        .iter()
        .map(|result| match result.result.as_ref().unwrap() {
            decide_result::Result::Response(_) => "decided",
            decide_result::Result::Status(status) if status.message.contains("at most 5000000") => "over",
            decide_result::Result::Status(other) => panic!("{}", other.message),
        })
        .collect();
    assert_eq!(statuses, ["decided", "over", "over"]);
    server.stop().await;
}

#[test]
fn on_sigterm_probes_fail_first_and_calls_are_served_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let start = |delay: &str| {
        let mut command = program();
        command.args(["serve", "--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0"]);
        command.args(["--shutdown-delay", delay, "--data"]).arg(folder.path());
        Process::start_command(command)
    };
    let mut process = start("1h");
    run_async(async {
        let mut clients = Clients::connect(&process.address).await;
        clients.create(slot("offers", &["a"])).await.unwrap();
        for path in ["/readyz", "/healthz", "/livez"] {
            assert!(http_get(&process.http, path).await.starts_with("HTTP/1.1 200"), "{path}");
        }
        process.signal(Signal::SIGTERM);
        let begun = Instant::now();
        while http_get(&process.http, "/readyz").await.starts_with("HTTP/1.1 200") {
            assert!(begun.elapsed() < PATIENCE, "no probe sees that the service stops");
        }
        assert!(http_get(&process.http, "/healthz").await.starts_with("HTTP/1.1 503"));
        assert!(http_get(&process.http, "/livez").await.starts_with("HTTP/1.1 200"));
        let mut health = tonic_health::pb::health_client::HealthClient::new(channel(&process.address).await);
        let status = health.check(tonic_health::pb::HealthCheckRequest::default()).await.unwrap().into_inner().status();
        assert_eq!(status, tonic_health::pb::health_check_response::ServingStatus::NotServing);
        assert_eq!(clients.decide(decide("offers")).await.unwrap().arms.len(), 1, "calls are still served");
    });
    assert!(process.child.try_wait().unwrap().is_none(), "calls are still served");
    process.signal(Signal::SIGKILL);
    assert!(!wait_for_exit(&mut process.child).success());
    let mut process = start("1s");
    process.signal(Signal::SIGTERM);
    assert!(wait_for_exit(&mut process.child).success());
}

/// Starts the program with few file descriptors, under a limit that it cannot raise.
fn start_with_descriptors(folder: &Path, limits: &str) -> Process {
    let real = serve_command(folder);
    let mut limited = Command::new("bash");
    limited.args(["-c", &format!("{limits}; exec \"$@\""), "bash"]).arg(real.get_program()).args(real.get_args());
    limited.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    Process::start_command(limited)
}

#[test]
fn checkpoints_continue_without_free_descriptors() {
    let folder = tempfile::tempdir().unwrap();
    let process = start_with_descriptors(folder.path(), "ulimit -n 64");
    run_async(async {
        let mut clients = Clients::connect(&process.address).await;
        clients.create(slot("offers", &["a", "b"])).await.unwrap();
        let first = clients.decide(decide("offers")).await.unwrap();
        let grpc = process.address.trim_start_matches("http://");
        let mut idle = Vec::new();
        for _ in 0..100 {
            idle.push(tokio::net::TcpStream::connect(grpc).await.unwrap());
        }
        // The traffic fills the log beyond the size of a checkpoint.
        for i in 0..120 {
            let page =
                BatchDecideRequest { requests: vec![request_of_bytes(4_000); 10], ..BatchDecideRequest::default() };
            let _ = clients.decisions.batch_decide(page).await;
            let result = clients.reward(click(&format!("e{i}"), &first)).await.unwrap();
            assert_eq!(result.status(), RewardStatus::Accepted, "{}", result.message);
        }
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(clients.reward(click("after", &first)).await.unwrap().status(), RewardStatus::Accepted);
        drop(idle);
        let begun = Instant::now();
        loop {
            let answer = http_get(&process.http, "/metrics").await;
            if answer.contains("slotwise_journal_failed 0") {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{answer}");
        }
    });
}

#[test]
fn the_soft_limit_on_descriptors_is_raised_to_the_hard_one() {
    let folder = tempfile::tempdir().unwrap();
    let process = start_with_descriptors(folder.path(), "ulimit -S -n 100; ulimit -H -n 400");
    let limits = fs::read_to_string(format!("/proc/{}/limits", process.child.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some("400"), "{line}");
}

/// The second call of a connection that may have one open call waits until the first one ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_has_no_more_open_calls_than_it_may_have() {
    let (_folder, server, mut clients) = start(Limits { streams_per_connection: 1, ..Limits::default() }).await;
    let (send, receive) = tokio::sync::mpsc::channel::<RecordRewardsRequest>(1);
    let receive = tokio_stream::wrappers::ReceiverStream::new(receive);
    let stream = clients.feedback.stream_rewards(receive).await.unwrap();
    let waits = tokio::time::timeout(Duration::from_secs(1), clients.decide(decide("offers"))).await;
    assert!(waits.is_err(), "the stream is the one call that may be open");
    let mut others = Clients::connect(&server.address).await;
    assert_eq!(others.decide(decide("offers")).await.unwrap().arms.len(), 1, "another connection has its own");
    drop((send, stream));
    assert_eq!(clients.decide(decide("offers")).await.unwrap().arms.len(), 1, "the call has ended");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_beyond_the_limit_are_refused() {
    let (_folder, server, mut clients) = start(Limits::default()).await;
    let with_header = |bytes: usize| {
        let mut request = tonic::Request::new(decide("offers"));
        request.metadata_mut().insert("x-note", "x".repeat(bytes).parse().unwrap());
        request
    };
    assert_eq!(clients.decisions.decide(with_header(8_000)).await.unwrap().into_inner().arms.len(), 1);
    clients.decisions.decide(with_header(20_000)).await.unwrap_err();
    assert_eq!(clients.decide(decide("offers")).await.unwrap().arms.len(), 1, "the connection goes on");
    server.stop().await;
}

/// A client that answers pings may be silent for as long as it likes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_stays_while_its_client_answers_pings() {
    let (_folder, server, mut clients) =
        start(Limits { keepalive: Duration::from_millis(200), ..Limits::default() }).await;
    let decision = clients.decide(decide("offers")).await.unwrap();
    let (send, receive) = tokio::sync::mpsc::channel::<RecordRewardsRequest>(1);
    let receive = tokio_stream::wrappers::ReceiverStream::new(receive);
    let mut answers = clients.feedback.stream_rewards(receive).await.unwrap().into_inner();
    tokio::time::sleep(Duration::from_secs(2)).await;
    send.send(RecordRewardsRequest { events: vec![click("e1", &decision)] }).await.unwrap();
    let answer = answers.message().await.expect("the stream goes on").unwrap();
    assert_eq!(answer.results[0].status(), RewardStatus::Accepted);
    drop(send);
    server.stop().await;
}
