//! Names in terms, drift and checks: those of the environment, and those of policies.

pub use slotwise::environment::spec::names::*;

use super::{Scenario, error::Problem};

/// Returns the index of the policy of this name.
pub fn policy(scenario: &Scenario, given: &str) -> Result<usize, Problem> {
    place("the policy", given, scenario.policies.iter().map(|policy| policy.name.as_str()))
}
