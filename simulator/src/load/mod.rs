//! Load on a live server by the wall clock, shared by `stress` and [`live`](crate::live).
//!
//! * [`pace`]: the open loop, which sends each request when it is due, regardless of answers.
//! * [`tally`]: latencies and failures.
//!
//! Deliberately not here: the requests themselves.

pub mod pace;
pub mod tally;

use std::time::Duration;

use tonic::Code;

/// Connections at the same time. The writes of one connection are the work of a single task, on the server too.
pub const CONNECTIONS: u64 = 4;
/// Time limit of a call, many times the budget of a page.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Maximum of unanswered requests. Each takes memory, and a server that far behind does not hold.
pub const BACKLOG_MAX: usize = 10_000;
/// Name of the failure of a request that is not sent because too many are unanswered.
pub const SHED: &str = "SHED";

/// Returns a code as gRPC spells it, from the name of its variant: `NOT_FOUND` from `NotFound`.
pub fn code_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_spelled_as_grpc_does() {
        let names = [Code::Unavailable, Code::NotFound, Code::ResourceExhausted, Code::DeadlineExceeded].map(code_name);
        assert_eq!(names, ["UNAVAILABLE", "NOT_FOUND", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"]);
    }
}
