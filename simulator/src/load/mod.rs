//! Load on a live server by the wall clock: what [`crate::stress::soak`] and [`crate::live`] have in common.
//!
//! * [`pace`]: the open loop: what is due is sent when it is due, whatever was answered.
//! * [`tally`]: latencies and failures.
//!
//! Deliberately not here: what is asked, and of whom.

pub mod pace;
pub mod tally;

use std::time::Duration;

use tonic::Code;

/// Connections at the same time: a single one's writes are one task's work, in the server too.
pub const CONNECTIONS: u64 = 4;
/// How long an answer may take before it counts as none: many times the budget of a page.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Unanswered requests at most: each is one in memory, and a server that far behind does not hold.
pub const BACKLOG_MAX: usize = 10_000;
/// What a request that is not sent any more counts as.
pub const SHED: &str = "SHED";

/// A code as gRPC spells it, from how its type does: `NOT_FOUND` from `NotFound`.
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
