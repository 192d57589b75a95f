//! Slotwise: a contextual-bandit decision service.
//!
//! A *slot* is a place where one of several *arms* can be shown. For each slot Slotwise decides which arms a shopper
//! sees now, learns from the rewards that follow, and reports how sure it is. These are the modules in reading order;
//! each depends only on those before it:
//!
//! * [`stats`]: numbers only. Posteriors, and the integral behind every propensity.
//! * [`bandit`]: features and their encoding, models, and the way from scores to a pmf to a draw.
//! * [`slot`]: definitions of slots as validated values, with a limit on every input.
//! * [`engine`]: the state machine. `decide` reads the state, and `apply` is the only function that changes it.
//! * [`environment`]: simulated shoppers, for the demo and the simulator.
//! * [`evaluate`]: off-policy estimates and confidence intervals from logged decisions.
//! * [`journal`]: the durable record of all events, in order.
//! * [`node`]: the owner of journal and state, with group commit and the clock.
//! * [`metrics`]: counters for operators.
//! * [`access`]: keys, tokens and roles of callers.
//! * [`wire`]: the API, and its conversions to and from the generated types.
//! * [`client`]: the Rust client, for programs that call a running service.
//! * [`chart`]: charts for people, with their numbers.
//! * [`config`], [`server`], [`cli`]: the program.
//!
//! Invariants of the whole:
//!
//! * State is a fold of the journal: the same events give the same state, bit for bit.
//! * The logged propensity is the number that was drawn from.
//! * Nothing is acknowledged before it is durable, except a decision whose caller did not ask for durability.
//!
//! `stats`, `bandit`, `slot`, `engine`, `environment` and `evaluate` use no runtime, file, socket or clock. A test enforces this and the order of
//! the modules.

// A statistics library converts counts and indices to floating-point numbers everywhere. All of them are far below
// 2^52, and the few conversions in the other direction give their own reason.
#![allow(clippy::cast_precision_loss, reason = "counts and indices are far below 2^52")]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test compares with the standard library's functions"))]

pub mod access;
pub mod bandit;
pub mod chart;
pub mod cli;
pub mod client;
pub mod config;
pub mod engine;
pub mod environment;
pub mod evaluate;
pub mod journal;
pub mod metrics;
pub mod node;
pub mod server;
pub mod slot;
pub mod stats;
pub mod wire;
