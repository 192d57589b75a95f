//! Cost of a decision: over gRPC beside a no-op handler with the same messages, and inside the engine.
//!
//! `cargo bench --bench decide`. Both servers run in processes of their own. The figures for the transport are the
//! *server's* CPU time per request, read from /proc, so the client on the same cores does not count. Decide writes to
//! the journal as it does in production, callers report clicks, and a run ends when the server has learned all of it.
//!
//! `SLOTWISE_BENCH_AFTER=20000,200000` sets the numbers of decisions after which is measured, `SLOTWISE_BENCH_CORES=1` pins the
//! servers to these cores (by `taskset`), and `SLOTWISE_BENCH_ONLY=transport` or `engine` leaves out the other part. The table
//! is kept in the target folder, and compared with the next one.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    reason = "a bench: it reads the clock, and its counts are small"
)]

mod inside;
#[expect(dead_code, reason = "the bench of latencies sends calls at a rate, too")]
#[path = "../served/mod.rs"]
mod served;
mod transport;

use criterion::Criterion;

/// Allocator of the server: the no-op handler, which is this program, has the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    if std::env::args().any(|arg| arg == "noop-server") {
        return served::serve_noop();
    }
    let only = std::env::var("SLOTWISE_BENCH_ONLY").unwrap_or_default();
    if only != "transport" {
        let mut criterion = Criterion::default().configure_from_args();
        inside::measure_decisions(&mut criterion);
        inside::measure_rules(&mut criterion);
        criterion.final_summary();
    }
    if only != "engine" {
        transport::measure_transport();
    }
}
