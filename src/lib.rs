//! Slotwise: a contextual-bandit decision service.
//!
//! A *slot* is a place where one of several *arms* can be shown. For each slot
//! Slotwise decides what to show this shopper now, learns from the rewards that
//! follow, and says how sure it is. The rooms, in reading order; each uses those
//! before it and none after:
//!
//! * [`stats`]: numbers only. The posteriors, and the integral behind every propensity.
//! * [`bandit`]: features and their encoding, models, and from scores to a pmf to a draw.
//! * [`slot`]: what a slot is; validated values, and a limit on everything.
//! * [`engine`]: the state machine. `decide` reads, `apply` is the only place where state changes.
//! * [`journal`]: what happened, in order, durable.
//! * [`node`]: the shell round the engine: owner of journal and state, group commit, the clock.
//! * [`metrics`]: what is counted for operators.
//! * [`wire`]: the API; the only room that names its generated types.
//! * [`config`], [`server`], [`cli`]: the program round it.
//!
//! Three invariants hold the whole together. State is a fold of the journal: the same events
//! give the same state, bit for bit. The propensity that is logged is the number that was drawn
//! from. Nothing is acknowledged before it is durable (a decision, unless asked for, excepted).
//!
//! `stats`, `bandit`, `slot` and `engine` know no runtime, no file, no socket and no clock; the
//! test `rooms` holds them to it.

// Counts and indices become floating-point numbers all over a statistics library: all are far
// below 2^52, and the few that go the other way say so where they do.
#![allow(clippy::cast_precision_loss, reason = "counts and indices are far below 2^52")]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test compares with the standard library's functions"))]

pub mod bandit;
pub mod cli;
pub mod config;
pub mod engine;
pub mod journal;
pub mod metrics;
pub mod node;
pub mod server;
pub mod slot;
pub mod stats;
pub mod wire;
