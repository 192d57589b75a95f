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

mod inside;
mod transport;

use criterion::Criterion;

const CANDIDATES: usize = 20;
const SHOWN: u32 = 5;

fn number(i: u32, n: u32) -> f64 {
    f64::from((i * 7919 + n * 104_729) % 1000) / 10.0
}

fn main() {
    if std::env::args().any(|arg| arg == "noop-server") {
        return transport::serve_noop();
    }
    let mut criterion = Criterion::default().configure_from_args();
    inside::measure_decisions(&mut criterion);
    inside::measure_rules(&mut criterion);
    transport::measure_transport(&mut criterion);
    criterion.final_summary();
}
