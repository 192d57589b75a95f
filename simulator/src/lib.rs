//! The traffic simulator of Slotwise: tests a policy before a shopper meets it.
//!
//! The modules, in reading order; each uses those before it and none after (the test `scenarios` enforces this):
//!
//! * [`order`]: the seeded random numbers and orders of data sets, the same on every machine.
//! * [`clock`]: measured durations, for people.
//! * [`dataset`]: a classification set, read and checked.
//! * [`scenario`]: shoppers, a catalogue, a slot, traffic, and what must hold.
//! * [`environment`]: who comes, what is true of every arm for them, and what they do.
//! * [`load`]: requests to a live server at times that were laid down, and how long they took.
//! * [`report`]: the result of a run as plain data, as text for a terminal, and as files.
//! * [`run`]: one episode in which every policy meets the same shoppers; replications over threads; checks; one report.
//! * [`live`]: a run against a live server, by the wall clock.
//! * [`evaluate`]: what other policies would have earned by logged decisions.
//! * [`learning`]: the learning benchmark: classification sets streamed as a bandit, beside what other learners reach.
//! * [`stress`]: load on a live server over a long time, and the same run twice, compared byte by byte.
//! * [`cli`]: the command line.
//!
//! Invariants: a loop is written once and does not know which service it talks to; in process
//! there is no clock, no socket and no hidden randomness, so the same seed gives the same bytes
//! on standard output. What depends on the machine (times, speeds) goes to standard error; only the
//! table of `bench-learning` has a column for it and, where it is asked for, a second table and a key of its JSON,
//! `soak` is about nothing else, and what is run against a live server says how long that took.

// Counts of rounds become losses: all are far below 2^52.
#![allow(clippy::cast_precision_loss, reason = "counts of rounds are far below 2^52")]

pub mod cli;
pub mod clock;
pub mod dataset;
pub mod environment;
pub mod evaluate;
pub mod learning;
pub mod live;
pub mod load;
pub mod order;
pub mod report;
pub mod run;
pub mod scenario;
pub mod stress;
