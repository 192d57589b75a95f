//! Progress for people: a bar on a terminal, elsewhere a line every 10 %, always on standard error.
//!
//! Deliberately not here: parts of a report.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::{
        OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    clock::RunStopwatch,
    evaluate,
    learning::BenchProgress,
    learning::replay::{ReplayProgress, ReplayRun, Variant},
    run::episode,
};

/// Rows between two updates of the bar, which is drawn at most twenty times a second anyway.
const ROWS_PER_TICK: usize = 64;

/// Progress of a replay, pass by pass.
#[derive(Debug, Default)]
pub struct ReplayProgressBar {
    pass: Option<ReplayBar>,
}

#[derive(Debug)]
struct ReplayBar {
    seed: u64,
    rounds: usize,
    done: usize,
    stopwatch: RunStopwatch,
    /// The bar, or `None` without a terminal.
    bar: Option<ProgressBar>,
}

fn say(line: impl std::fmt::Display) {
    // A closed standard error is not an error of this program.
    let _ = writeln!(std::io::stderr(), "{}", slotwise::cli::terminal::printable(&line.to_string()));
}

fn bar(name: String, rounds: usize) -> ProgressBar {
    bar_of(name, rounds as u64)
}

fn bar_of(name: String, length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length).with_prefix(name);
    let template = "{prefix} {bar:30} {pos}/{len} {msg} {per_sec} {eta}";
    // The template is a constant, and a bar without one would do.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

impl ReplayProgress for ReplayProgressBar {
    fn begin(&mut self, seed: u64, rounds: usize) {
        let bar = std::io::stderr().is_terminal().then(|| bar(format!("seed {seed}"), rounds));
        self.pass = Some(ReplayBar { seed, rounds, done: 0, stopwatch: RunStopwatch::start(), bar });
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
            // A line is written at the first row beyond each tenth.
            let rows_per_s = done as f64 / pass.stopwatch.seconds();
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
        let seconds = pass.stopwatch.seconds();
        let per_row_us = seconds * 1e6 / pass.done.max(1) as f64;
        say(format_args!("seed {}: {} rows in {seconds:.2} s, {per_row_us:.1} µs each", pass.seed, pass.done));
    }
}

/// Progress of many runs at once.
#[derive(Debug, Default)]
pub struct BenchProgressBar {
    /// The bar, once the runs have begun.
    course: OnceLock<BarCourse>,
}

#[derive(Debug)]
struct BarCourse {
    runs: usize,
    runs_done: AtomicUsize,
    rounds: usize,
    rounds_done: AtomicUsize,
    stopwatch: RunStopwatch,
    /// The bar, or `None` without a terminal.
    bar: Option<ProgressBar>,
}

impl BenchProgress for BenchProgressBar {
    fn begin(&self, runs: usize, rounds: usize) {
        self.course.get_or_init(|| BarCourse {
            runs,
            runs_done: AtomicUsize::new(0),
            rounds,
            rounds_done: AtomicUsize::new(0),
            stopwatch: RunStopwatch::start(),
            bar: std::io::stderr().is_terminal().then(|| bar(format!("{runs} runs"), rounds)),
        });
    }

    fn round(&self) {
        let Some(course) = self.course.get() else { return };
        let before = course.rounds_done.fetch_add(1, Ordering::Relaxed);
        let done = before + 1;
        if let Some(bar) = &course.bar {
            if done.is_multiple_of(ROWS_PER_TICK) || done == course.rounds {
                bar.set_position(done as u64);
            }
        } else if done * 10 / course.rounds > before * 10 / course.rounds {
            // One thread alone counts the first round beyond a tenth.
            let runs_done = course.runs_done.load(Ordering::Relaxed);
            let (runs, rounds) = (course.runs, course.rounds);
            let rows_per_s = done as f64 / course.stopwatch.seconds();
            say(format_args!(
                "{} %, {done} of {rounds} rows, {runs_done} of {runs} runs done, {rows_per_s:.0} rows/s",
                done * 100 / rounds
            ));
        }
    }

    fn run(&self, dataset: &str, variant: Variant, run: &ReplayRun) {
        let Some(course) = self.course.get() else { return };
        course.runs_done.fetch_add(1, Ordering::Relaxed);
        if let Some(bar) = &course.bar {
            bar.set_message(format!("{dataset} {variant}, seed {}: loss {:.4}", run.seed, run.loss));
        }
    }

    fn end(&self) {
        let Some(course) = self.course.get() else { return };
        if let Some(bar) = &course.bar {
            bar.finish_and_clear();
        }
        let (done, seconds) = (course.rounds_done.load(Ordering::Relaxed), course.stopwatch.seconds());
        say(format_args!("{} runs, {done} rows in {seconds:.1} s", course.runs_done.load(Ordering::Relaxed)));
    }
}

/// Progress of a scenario's replications.
#[derive(Debug, Default)]
pub struct RunProgressBar {
    /// The bar, once the run has begun.
    run: OnceLock<RunBar>,
}

#[derive(Debug)]
struct RunBar {
    count: u64,
    done: AtomicU64,
    decisions: u64,
    decisions_done: AtomicU64,
    stopwatch: RunStopwatch,
    /// The bar, or `None` without a terminal.
    bar: Option<ProgressBar>,
}

impl episode::RunProgress for RunProgressBar {
    fn note(&self, line: &str) {
        say(line);
    }

    fn begin(&self, replications: u64, decisions: u64) {
        self.run.get_or_init(|| RunBar {
            count: replications,
            done: AtomicU64::new(0),
            decisions,
            decisions_done: AtomicU64::new(0),
            stopwatch: RunStopwatch::start(),
            bar: std::io::stderr().is_terminal().then(|| bar_of(format!("{replications} replications"), decisions)),
        });
    }

    fn advance(&self, decisions: u64) {
        let Some(run) = self.run.get() else { return };
        let before = run.decisions_done.fetch_add(decisions, Ordering::Relaxed);
        let done = before + decisions;
        if let Some(bar) = &run.bar {
            bar.set_position(done);
        } else if done * 10 / run.decisions.max(1) > before * 10 / run.decisions.max(1) {
            // One thread alone passes each tenth.
            let per_s = done as f64 / run.stopwatch.seconds();
            let (replications, all) = (run.done.load(Ordering::Relaxed), run.count);
            let percent = done * 100 / run.decisions.max(1);
            say(format_args!("{percent} %, {replications} of {all} replications done, {per_s:.0} decisions/s"));
        }
    }

    fn replication(&self) {
        if let Some(run) = self.run.get() {
            run.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn end(&self) {
        let Some(run) = self.run.get() else { return };
        if let Some(bar) = &run.bar {
            bar.finish_and_clear();
        }
        let (done, seconds) = (run.decisions_done.load(Ordering::Relaxed), run.stopwatch.seconds());
        let per_s = done as f64 / seconds;
        say(format_args!("{} replications, {done} decisions in {seconds:.1} s, {per_s:.0} decisions/s", run.count));
    }
}

/// Progress of an evaluation, over all its policies.
#[derive(Debug, Default)]
pub struct EvaluationProgressBar {
    /// The bar, once the evaluation has begun.
    course: OnceLock<EvaluationBar>,
}

#[derive(Debug)]
struct EvaluationBar {
    decisions: usize,
    done: AtomicUsize,
    stopwatch: RunStopwatch,
    /// The bar, or `None` without a terminal.
    bar: Option<ProgressBar>,
}

impl evaluate::EvaluationProgress for EvaluationProgressBar {
    fn begin(&self, candidates: usize, decisions: usize) {
        self.course.get_or_init(|| EvaluationBar {
            decisions,
            done: AtomicUsize::new(0),
            stopwatch: RunStopwatch::start(),
            bar: std::io::stderr().is_terminal().then(|| bar(format!("{candidates} policies"), decisions)),
        });
    }

    fn advance(&self, decisions: usize) {
        let Some(course) = self.course.get() else { return };
        let before = course.done.fetch_add(decisions, Ordering::Relaxed);
        let done = before + decisions;
        if let Some(bar) = &course.bar {
            bar.set_position(done as u64);
        } else if done * 10 / course.decisions.max(1) > before * 10 / course.decisions.max(1) {
            // One thread alone passes each tenth.
            let percent = done * 100 / course.decisions.max(1);
            say(format_args!("{percent} %, {done} of {} decisions over all policies", course.decisions));
        }
    }

    fn end(&self) {
        let Some(course) = self.course.get() else { return };
        if let Some(bar) = &course.bar {
            bar.finish_and_clear();
        }
        let (done, seconds) = (course.done.load(Ordering::Relaxed), course.stopwatch.seconds());
        say(format_args!("{done} decisions over all policies in {seconds:.1} s"));
    }
}
