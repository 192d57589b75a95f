//! The logged propensity is the probability of the draw.
//!
//! [`decisions`] repeats one decision a million times and compares the probabilities with brute force. [`controls`] does
//! the same for random slots, with every combination of controls and rules.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test stops at the first thing that is wrong, and prints what it measured"
)]

mod controls;
mod decisions;
