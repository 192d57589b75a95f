//! How far a run is, for people: a bar on a terminal, elsewhere a line every 10 %; always on standard error.
//!
//! Deliberately not here: anything that becomes part of a report.

use std::{
    io::{IsTerminal as _, Write as _},
    time::Instant,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::replay::Watch;

/// Rows between two looks of the bar: it is drawn at most twenty times a second anyway.
const ROWS_PER_TICK: usize = 64;

/// Shows the progress of a replay.
#[derive(Debug, Default)]
pub struct Progress {
    pass: Option<Pass>,
}

#[derive(Debug)]
struct Pass {
    seed: u64,
    rounds: usize,
    done: usize,
    started: Instant,
    /// None: there is no terminal.
    bar: Option<ProgressBar>,
}

/// Measures how long something takes, for people; never becomes part of a report.
#[expect(clippy::disallowed_methods, reason = "a duration for people, not a fact")]
fn now() -> Instant {
    Instant::now()
}

fn say(line: impl std::fmt::Display) {
    // A closed standard error is no error of ours.
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn bar(seed: u64, rounds: usize) -> ProgressBar {
    let bar = ProgressBar::new(rounds as u64).with_prefix(format!("seed {seed}"));
    let template = "{prefix} {bar:30} {pos}/{len} {msg} {per_sec} {eta}";
    // The template is a constant, and a bar without one would do.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

impl Watch for Progress {
    fn begin(&mut self, seed: u64, rounds: usize) {
        let bar = std::io::stderr().is_terminal().then(|| bar(seed, rounds));
        self.pass = Some(Pass { seed, rounds, done: 0, started: now(), bar });
    }

    fn round(&mut self, done: usize, wrong: usize) {
        let Some(pass) = &mut self.pass else { return };
        pass.done = done;
        let loss = wrong as f64 / done as f64;
        if let Some(bar) = &pass.bar {
            if done.is_multiple_of(ROWS_PER_TICK) || done == pass.rounds {
                bar.set_message(format!("loss {loss:.4}"));
                bar.set_position(done as u64);
            }
        } else if done * 10 / pass.rounds > (done - 1) * 10 / pass.rounds {
            // The first row beyond each tenth.
            let rows_per_s = done as f64 / now().duration_since(pass.started).as_secs_f64();
            say(format_args!(
                "seed {}: {} %, {done} of {} rows, loss {loss:.4}, {rows_per_s:.0} rows/s",
                pass.seed,
                done * 100 / pass.rounds,
                pass.rounds
            ));
        }
    }

    fn end(&mut self) {
        let Some(pass) = self.pass.take() else { return };
        if let Some(bar) = &pass.bar {
            bar.finish_and_clear();
        }
        let seconds = now().duration_since(pass.started).as_secs_f64();
        let per_row_us = seconds * 1e6 / pass.done.max(1) as f64;
        say(format_args!("seed {}: {} rows in {seconds:.2} s, {per_row_us:.1} µs each", pass.seed, pass.done));
    }
}
