//! Regimes: streams unlike the benchmark sets, with scarce, wild, rare or moving data, played by a slot with its defaults
//! beside plain learners.
//!
//! * `stream`: a stream with all its potential outcomes, and the measures of a course through it.
//! * `wild`, `shop`: the worlds.
//! * `slot`, `plain`: the learners.
//! * `catalogue`: each regime with its worlds, its measure and its criterion.
//! * `report`: the table and the JSON.
//!
//! Invariants:
//!
//! * A world is a function of its regime and its seed. Every learner meets the same requests, and the same reward of the
//!   same arm.
//! * A learner never sees an expected reward. Measures use nothing else.
//!
//! Deliberately not here: data of others, which are streamed as they are ([`replay`](super::replay)).

mod catalogue;
mod draws;
mod plain;
mod report;
mod shop;
mod slot;
mod stream;
mod wild;

use std::{
    num::NonZeroUsize,
    panic::resume_unwind,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

pub use catalogue::{Criterion, NAMES};
pub use report::{RegimeRow, RegimesReport};

use crate::clock::RunStopwatch;
use catalogue::{REGIMES, Regime};

/// Worlds and settings of a run of the regimes.
#[derive(Debug, Clone, PartialEq)]
pub struct RegimeOptions {
    /// Names of the regimes, or empty for all. `R1` stands for all rows that begin so.
    pub names: Vec<String>,
    /// Number of worlds of each regime.
    pub worlds: u64,
    /// Maximum of worlds at the same time.
    pub threads: NonZeroUsize,
    /// Says that a reward of 0 sends no event.
    pub silent_zeros: bool,
    /// Plays a tenth of each long stream, for a quick look. Criteria are not judged.
    pub small: bool,
}

impl Default for RegimeOptions {
    fn default() -> Self {
        Self { names: Vec::new(), worlds: 5, threads: NonZeroUsize::MIN, silent_zeros: false, small: false }
    }
}

/// Returns whether a regime has this name or this number, such as `R8 1.8` or `R8`.
pub fn is_name(name: &str) -> bool {
    REGIMES.iter().any(|regime| regime.is_named(&[name.to_owned()]))
}

/// Result of one world.
#[derive(Debug, Clone, PartialEq)]
pub struct WorldMeasure {
    /// Measure of the default slot.
    pub slot: f64,
    /// Measures of the others in the same world, by name.
    pub others: Vec<(&'static str, f64)>,
}

/// One world to play.
#[derive(Debug, Clone, Copy)]
pub(crate) struct World {
    seed: u64,
    silent_zeros: bool,
    small: bool,
}

impl World {
    /// Returns the number of decisions to play of a stream of this length.
    fn rounds(&self, all: usize) -> usize {
        if self.small { all / 10 } else { all }
    }
}

/// Plays every regime in all of its worlds. `watch` is called with each regime's name when one of its worlds is done.
pub fn play(options: &RegimeOptions, watch: &(dyn Fn(&str) + Sync)) -> RegimesReport {
    let chosen: Vec<&Regime> = REGIMES.iter().filter(|regime| regime.is_named(&options.names)).collect();
    let jobs: Vec<(usize, u64)> =
        (0..chosen.len()).flat_map(|at| (0..options.worlds).map(move |seed| (at, seed))).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            let Some(&(at, seed)) = jobs.get(job) else { return done };
            let stopwatch = RunStopwatch::start();
            let world = World { seed, silent_zeros: options.silent_zeros, small: options.small };
            let measured = (chosen[at].measure)(world);
            watch(chosen[at].name);
            done.push((job, measured, stopwatch.seconds()));
        }
    };
    let mut done = thread::scope(|scope| {
        let threads: Vec<_> = (0..options.threads.get().min(jobs.len())).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|why| resume_unwind(why)))
            .collect::<Vec<_>>()
    });
    done.sort_by_key(|(job, ..)| *job);
    let mut done = done.into_iter();
    let rows = chosen.iter().map(|regime| {
        let (mut worlds, mut seconds) = (Vec::new(), 0.0);
        for _ in 0..options.worlds {
            let Some((_, measured, took)) = done.next() else { break };
            worlds.push(measured);
            seconds += took;
        }
        RegimeRow::new(regime, &worlds, seconds, options.small)
    });
    RegimesReport::new(options, rows.collect())
}
