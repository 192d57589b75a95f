//! Latencies at half of the peak, from when a call was due, beside a no-op handler at the same rate.
//!
//! `cargo bench --bench load`. First the peak is found: as many calls as are answered with 64 under way, and no faster than the
//! writer learns. Then calls are due at half of that rate whether earlier ones were answered or not (an open loop), so that a
//! stall counts for all calls that it delays. Rewards are reported beside, each one durable when it is answered; an fsync of
//! the same disk is measured for comparison. `SLOTWISE_BENCH_SECONDS` sets the length of a run (20).
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench: it reads the clock and prints"
)]

#[expect(dead_code, reason = "the bench of decisions reads more of a server")]
mod served;

use std::{
    fs::File,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use served::{BenchCaller, ServerProcess, SlotModel, channel, clicks, create, median, quantile, request};
use slotwise::wire::proto::{
    RecordRewardsRequest, decision_service_client::DecisionServiceClient,
    feedback_service_client::FeedbackServiceClient,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Requests of a run that looks for the peak.
const PEAK_REQUESTS: u32 = 8_000;
/// Requests that teach the slot before anything is measured.
const TAUGHT: u32 = 20_000;
/// Time between two reports of rewards.
const REPORT_EVERY: Duration = Duration::from_millis(50);
/// Runs of which the median is reported.
const RUNS: usize = 3;

/// Requests per second that are answered and learned.
fn peak(runtime: &tokio::runtime::Runtime, server: &ServerProcess, caller: &mut BenchCaller) -> f64 {
    let rates = (0..RUNS).map(|_| {
        let (before, begun) = (server.cpu(), Instant::now());
        runtime.block_on(caller.send(PEAK_REQUESTS));
        let answered = begun.elapsed();
        server.drain();
        f64::from(PEAK_REQUESTS) / answered.max(server.cpu().since(before).writer).as_secs_f64()
    });
    median(rates)
}

/// Decides and reports a click of that decision, again and again. Returns the latencies of the reports.
async fn report_rewards(address: String, slot: &'static str, until: Instant) -> Vec<Duration> {
    let channel = channel(&address).await;
    let (mut decisions, mut feedback) =
        (DecisionServiceClient::new(channel.clone()), FeedbackServiceClient::new(channel));
    let mut latencies = Vec::new();
    for i in 500_000_000_u32.. {
        if Instant::now() >= until {
            break;
        }
        let begun = Instant::now();
        let decision = served::decide(&mut decisions, request(slot, i)).await;
        let mut events: Vec<_> = clicks(i, &decision).collect();
        if events.is_empty() {
            continue;
        }
        events.truncate(1);
        let sent = Instant::now();
        feedback.record_rewards(RecordRewardsRequest { events }).await.expect("recorded");
        latencies.push(sent.elapsed());
        tokio::time::sleep(REPORT_EVERY.saturating_sub(begun.elapsed())).await;
    }
    latencies
}

/// Latencies of writing 4 kB and asking for them to be on the disk.
fn fsyncs(folder: &Path) -> Vec<Duration> {
    let mut file = File::create(folder.join("fsync")).expect("a file");
    let write = |_| {
        let begun = Instant::now();
        file.write_all(&[7; 4096]).and_then(|()| file.sync_data()).expect("written");
        begun.elapsed()
    };
    (0..300).map(write).collect()
}

fn ms(of: Duration) -> f64 {
    of.as_secs_f64() * 1e3
}

fn main() {
    if std::env::args().any(|arg| arg == "noop-server") {
        return served::serve_noop();
    }
    let seconds: f64 = std::env::var("SLOTWISE_BENCH_SECONDS").map_or(20.0, |text| text.parse().expect("seconds"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let noop = ServerProcess::noop(None);
    let mut to_noop = runtime.block_on(BenchCaller::connect(&noop.address, "noop", false));
    println!("latencies at half of the peak, from when a call was due, ms; {RUNS} runs of {seconds} s, medians\n");
    println!(
        "{:<9} {:>9} {:>19} {:>19} {:>12} {:>12}",
        "slot", "peak/s", "Decide p99, p99.9", "no-op p99, p99.9", "rewards p99", "fsync p99"
    );
    for model in [SlotModel::Default, SlotModel::Linear] {
        let folder = tempfile::tempdir().expect("a folder");
        let server = ServerProcess::service(folder.path(), None);
        runtime.block_on(create(&server.address, model));
        let mut caller = runtime.block_on(BenchCaller::connect(&server.address, model.name(), true));
        while caller.sent < TAUGHT {
            runtime.block_on(caller.send(4_000));
            server.drain();
        }
        let peak = peak(&runtime, &server, &mut caller);
        let count = (seconds * peak / 2.0) as u32;
        let mut runs: [Vec<f64>; 6] = Default::default();
        for _ in 0..RUNS {
            let mut of_noop = runtime.block_on(to_noop.send_at(peak / 2.0, count));
            let until = Instant::now() + Duration::from_secs_f64(seconds);
            let rewards = runtime.spawn(report_rewards(server.address.clone(), model.name(), until));
            let mut decided = runtime.block_on(caller.send_at(peak / 2.0, count));
            let mut rewards = runtime.block_on(rewards).expect("it ends");
            server.drain();
            let mut synced = fsyncs(folder.path());
            let figures = [
                quantile(&mut decided, 0.99),
                quantile(&mut decided, 0.999),
                quantile(&mut of_noop, 0.99),
                quantile(&mut of_noop, 0.999),
                quantile(&mut rewards, 0.99),
                quantile(&mut synced, 0.99),
            ];
            runs.iter_mut().zip(figures).for_each(|(runs, figure)| runs.push(ms(figure)));
        }
        let [p99, p999, noop_p99, noop_p999, rewards, fsync] = runs.map(median);
        println!(
            "{:<9} {peak:>9.0} {:>19} {:>19} {rewards:>12.2} {fsync:>12.2}",
            model.name(),
            format!("{p99:.2}, {p999:.2}"),
            format!("{noop_p99:.2}, {noop_p999:.2}"),
        );
    }
}
