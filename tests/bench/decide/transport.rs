//! Decide over gRPC with its learning, beside a no-op handler.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::served::{BenchCaller, CpuTime, ServerProcess, SlotModel, create, median, quantile};

/// Runs of which the median is reported.
const RUNS: usize = 5;
/// Requests of one run.
const REQUESTS: u32 = 8_000;

/// Figures of one row, per request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct TransportRow {
    /// Model, and the number of decisions before.
    name: String,
    /// CPU time of the server, µs.
    server: f64,
    /// CPU time of its writer, which commits and learns, µs.
    writer: f64,
    /// CPU time of the no-op handler in the same run, µs.
    noop: f64,
    /// Throughput per CPU second, as a part of the no-op's.
    share: f64,
    /// Requests per second of wall time, until the last was learned.
    rate: f64,
    /// 99th percentile of the latency, ms.
    p99: f64,
    /// Resident memory of the server afterwards, MB.
    memory: f64,
}

/// Returns the CPU time per request of one run, drained, with requests per second and the latencies.
fn run(
    runtime: &tokio::runtime::Runtime,
    server: &ServerProcess,
    caller: &mut BenchCaller,
) -> (CpuTime, f64, Vec<Duration>) {
    let (before, begun) = (server.cpu(), Instant::now());
    let latencies = runtime.block_on(caller.send(REQUESTS));
    let answered = begun.elapsed();
    server.drain();
    let used = server.cpu().since(before);
    // Answers come before all is learned. The writer is one thread, so what it needs bounds the rate.
    (used, f64::from(REQUESTS) / answered.max(used.writer).as_secs_f64(), latencies)
}

fn per_request(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6 / f64::from(REQUESTS)
}

/// Numbers of decisions after which is measured.
fn stages() -> Vec<u32> {
    let text = std::env::var("SLOTWISE_BENCH_AFTER").unwrap_or_else(|_| "2000,20000".into());
    text.split(',').map(|stage| stage.parse().expect("SLOTWISE_BENCH_AFTER is a list of numbers")).collect()
}

pub(crate) fn measure_transport() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let cores = std::env::var("SLOTWISE_BENCH_CORES").ok();
    let noop = ServerProcess::noop(cores.as_deref());
    let mut to_noop = runtime.block_on(BenchCaller::connect(&noop.address, "noop", false));
    runtime.block_on(to_noop.send(10_000));
    let mut rows = Vec::new();
    for model in [SlotModel::Default, SlotModel::Linear] {
        let folder = tempfile::tempdir().expect("a folder");
        let server = ServerProcess::service(folder.path(), cores.as_deref());
        runtime.block_on(create(&server.address, model));
        let mut caller = runtime.block_on(BenchCaller::connect(&server.address, model.name(), true));
        for stage in stages() {
            while caller.sent < stage {
                let part = (stage - caller.sent).min(4_000);
                runtime.block_on(caller.send(part));
                server.drain();
            }
            rows.push(measure(
                &runtime,
                (&server, &mut caller),
                (&noop, &mut to_noop),
                format!("{} after {stage}", model.name()),
            ));
        }
    }
    report(&rows);
}

fn measure(
    runtime: &tokio::runtime::Runtime,
    (server, caller): (&ServerProcess, &mut BenchCaller),
    (noop, to_noop): (&ServerProcess, &mut BenchCaller),
    name: String,
) -> TransportRow {
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let (of_noop, _, _) = run(runtime, noop, to_noop);
        let (used, rate, mut latencies) = run(runtime, server, caller);
        runs.push((
            per_request(used.all),
            per_request(used.writer),
            per_request(of_noop.all),
            rate,
            quantile(&mut latencies, 0.99),
        ));
    }
    let of = |figure: fn(&(f64, f64, f64, f64, Duration)) -> f64| median(runs.iter().map(figure));
    TransportRow {
        name,
        server: of(|run| run.0),
        writer: of(|run| run.1),
        noop: of(|run| run.2),
        share: of(|run| run.2 / run.0),
        rate: of(|run| run.3),
        p99: of(|run| run.4.as_secs_f64() * 1e3),
        memory: server.memory() as f64 / 1e6,
    }
}

/// File in which the rows of the last measurement are kept, to be compared with.
fn file() -> PathBuf {
    let target =
        std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/target").into());
    Path::new(&target).join("bench-decide.json")
}

fn report(rows: &[TransportRow]) {
    let before: Vec<TransportRow> =
        fs::read(file()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let mut text = format!(
        "\ngRPC: µs of server CPU per request with its learning, 20 candidates, 12 features, 5 shown;\nmedians of {RUNS} runs of {REQUESTS} requests, each until the server is idle\n\n"
    );
    let _ = writeln!(
        text,
        "{:<22} {:>7} {:>7} {:>7} {:>6} {:>7} {:>7} {:>6} {:>7}",
        "", "server", "writer", "no-op", "share", "req/s", "p99 ms", "MB", "before"
    );
    for row in rows {
        let old = before.iter().find(|old| old.name == row.name);
        let _ = writeln!(
            text,
            "{:<22} {:>7.1} {:>7.1} {:>7.1} {:>5.1}% {:>7.0} {:>7.1} {:>6.0} {:>7}",
            row.name,
            row.server,
            row.writer,
            row.noop,
            100.0 * row.share,
            row.rate,
            row.p99,
            row.memory,
            old.map_or_else(|| "-".to_owned(), |old| format!("{:.1}%", 100.0 * old.share)),
        );
    }
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes()).expect("standard output");
    let json = serde_json::to_vec_pretty(rows).expect("plain numbers");
    if let Err(why) = fs::write(file(), json) {
        let _ = writeln!(out, "cannot write {}: {why}", file().display());
    }
}
