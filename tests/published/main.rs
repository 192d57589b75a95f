//! Published tables, and the accuracy of a posterior over a million updates.
//!
//! Each file holds one source: regret with delayed rewards ([`delay`]), cascading bandits ([`cascade`]), real data
//! under the protocol of Riquelme et al. ([`protocol`], only if the data are present), coverage of intervals
//! ([`coverage`]), endurance ([`endurance`]), the time until a new best arm is found ([`forgetting`]), false alarms
//! with shoppers who come back ([`returning`]), and coverage of what an arm would earn if everybody got it
//! ([`everybody`]).
//!
//! Posteriors, their updates and the click model are the library's. [`forgetting`] uses the whole learner and its
//! ranking. The other files draw from the posteriors' own distributions, one draw per arm. That has the same law as
//! drawing from the exact probabilities (`propensity` tests those) and is fast enough for a million steps.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test stops at the first thing that is wrong, and says what it measured"
)]

mod cascade;
mod coverage;
mod delay;
mod endurance;
mod everybody;
mod forgetting;
mod protocol;
mod returning;

/// Returns the mean of some runs and its standard error.
fn mean_and_error(runs: &[f64]) -> (f64, f64) {
    let n = runs.len() as f64;
    let mean = runs.iter().sum::<f64>() / n;
    let variance = runs.iter().map(|run| (run - mean) * (run - mean)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

/// Returns the number of runs that `SLOTWISE_PUBLISHED_RUNS` asks for, else `default`.
fn runs(default: u64) -> u64 {
    let asked = std::env::var_os("SLOTWISE_PUBLISHED_RUNS");
    asked.and_then(|runs| runs.to_str()?.parse().ok()).map_or(default, |runs: u64| runs.max(2))
}
