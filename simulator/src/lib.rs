//! The traffic simulator of Slotwise: tests a policy before a shopper meets it.
//!
//! The rooms, in reading order; each uses those before it and none after:
//!
//! * [`order`]: in which order a data set is streamed, the same on every machine.
//! * [`dataset`]: a classification set, read and checked.
//! * [`logged`]: decisions that were logged elsewhere, with their propensities and rewards.
//! * [`service`]: what is simulated against: the engine in this process, or a live server.
//! * [`replay`]: a classification set streamed as a bandit, and what came of it.
//! * [`clock`]: how long something takes, for people.
//! * [`learning`]: many sets, variants and seeds, beside what other learners reach.
//! * [`meta`]: the same run twice, compared byte by byte.
//! * [`load`]: requests to a live server at times that were laid down, and how long they took.
//! * [`soak`]: load on a live server by the wall clock, to see that it holds.
//! * [`scenario`]: shoppers, a catalogue, a slot, traffic, and what must hold.
//! * [`world`]: who comes, what is true of every arm for them, and what they do.
//! * [`arena`]: one replication, in which every policy meets the same shoppers.
//! * [`live`]: the same against a live server, by the wall clock.
//! * [`report`]: what came of a scenario, as plain data.
//! * [`judge`]: whether checks hold.
//! * [`evaluate`]: what other policies would have earned by logged decisions.
//! * [`run`]: replications over threads, then one report.
//! * [`show`]: reports and scenarios as text for a terminal.
//! * [`output`]: a report as files: for a pull request, for CI, and as a page.
//! * [`progress`]: how far a run is, for people.
//! * [`cli`]: the program round it.
//!
//! Invariants: a loop is written once and does not know which service it talks to; in process
//! there is no clock, no socket and no hidden randomness, so the same seed gives the same bytes
//! on standard output. What depends on the machine (times, speeds) goes to standard error; only the
//! table of `bench-learning` has a column for it and, where it is asked for, a second table and a key of its JSON,
//! `soak` is about nothing else, and what is run against a live server says how long that took.

// Counts of rounds become losses: all are far below 2^52.
#![allow(clippy::cast_precision_loss, reason = "counts of rounds are far below 2^52")]

pub mod arena;
pub mod cli;
pub mod clock;
pub mod dataset;
pub mod evaluate;
pub mod judge;
pub mod learning;
pub mod live;
pub mod load;
pub mod logged;
pub mod meta;
pub mod order;
pub mod output;
pub mod progress;
pub mod replay;
pub mod report;
pub mod run;
pub mod scenario;
pub mod service;
pub mod show;
pub mod soak;
pub mod world;
