//! Progress for people: a bar on a terminal, elsewhere a line every 10 %, always on standard error.
//!
//! Invariant: progress never goes backwards, however many threads report it and however many passes a command makes.
//!
//! Deliberately not here: parts of a report.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
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

fn say(line: impl std::fmt::Display) {
    let line = slotwise::cli::terminal::printable(&line.to_string()).into_owned();
    // A closed standard error is not an error of this program.
    let _ = writeln!(std::io::stderr(), "{}", slotwise::cli::terminal::fit(&line));
}

/// Steps that are done of all steps of a command.
#[derive(Debug)]
struct StepCounter {
    all: u64,
    done: AtomicU64,
    /// Number of tenths for which a line was written.
    told: Mutex<u64>,
    stopwatch: RunStopwatch,
    /// The bar, or `None` without a terminal.
    bar: Option<ProgressBar>,
}

impl StepCounter {
    fn new(name: &str, all: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| bar(name, all));
        Self { all, done: AtomicU64::new(0), told: Mutex::new(0), stopwatch: RunStopwatch::start(), bar }
    }

    fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Number of steps that are done per second.
    fn per_second(&self) -> f64 {
        self.done() as f64 / self.stopwatch.seconds()
    }

    /// Counts steps that were done. Calls `tell` with the percentage and the number of all steps that are done, if
    /// these passed another tenth and there is no bar.
    fn advance(&self, steps: u64, tell: impl FnOnce(u64, u64)) {
        self.done.fetch_add(steps, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            // The bar adds up by itself, so no thread can set it back.
            bar.inc(steps);
            return;
        }
        let all = self.all.max(1);
        // Another thread may have counted more meanwhile, so the number is read again within the lock.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.done();
        if done * 10 / all > *told {
            *told = done * 10 / all;
            tell(done * 100 / all, done);
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(name: &str, length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length).with_prefix(name.to_owned());
    let template = "{prefix} {bar:30} {pos}/{len} {msg} {per_sec} {eta}";
    // The template is a constant, and a bar without one would do.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// Number of rows between two updates of the loss beside a bar.
const ROWS_PER_LOSS: usize = 64;

/// Progress of a replay over all its passes.
#[derive(Debug)]
pub struct ReplayProgressBar {
    /// Number of passes, one for each seed.
    passes: u64,
    counter: Option<StepCounter>,
    pass: Option<ReplayPassTime>,
}

/// Pass that is under way.
#[derive(Debug)]
struct ReplayPassTime {
    seed: u64,
    /// Rows that are done.
    done: usize,
    stopwatch: RunStopwatch,
}

impl ReplayProgressBar {
    /// Creates the progress of this number of passes.
    pub fn new(passes: u64) -> Self {
        Self { passes, counter: None, pass: None }
    }
}

impl ReplayProgress for ReplayProgressBar {
    fn begin(&mut self, seed: u64, rounds: usize) {
        let (passes, rounds) = (self.passes, rounds as u64);
        self.counter.get_or_insert_with(|| StepCounter::new("rows", passes * rounds));
        self.pass = Some(ReplayPassTime { seed, done: 0, stopwatch: RunStopwatch::start() });
    }

    fn round(&mut self, done: usize, wrong: usize) {
        let (Some(pass), Some(counter)) = (&mut self.pass, &self.counter) else { return };
        let steps = done.saturating_sub(pass.done) as u64;
        pass.done = done;
        let loss = wrong as f64 / done as f64;
        if let Some(bar) = counter.bar.as_ref().filter(|_| done.is_multiple_of(ROWS_PER_LOSS)) {
            bar.set_message(format!("loss {loss:.4}"));
        }
        let seed = pass.seed;
        counter.advance(steps, |percent, done| {
            let (all, per_s) = (counter.all, counter.per_second());
            say(format_args!("{percent} %, {done} of {all} rows, seed {seed}: loss {loss:.4}, {per_s:.0} rows/s"));
        });
    }

    fn end(&mut self) {
        let (Some(pass), Some(counter)) = (self.pass.take(), &self.counter) else { return };
        if counter.done() >= counter.all {
            counter.end();
        }
        let seconds = pass.stopwatch.seconds();
        let per_row_us = seconds * 1e6 / pass.done.max(1) as f64;
        say(format_args!("seed {}: {} rows in {seconds:.2} s, {per_row_us:.1} µs each", pass.seed, pass.done));
    }
}

/// Progress of many runs at once.
#[derive(Debug, Default)]
pub struct BenchProgressBar {
    /// Runs and rows, once the runs have begun.
    course: OnceLock<BenchCourse>,
}

#[derive(Debug)]
struct BenchCourse {
    runs: usize,
    runs_done: AtomicU64,
    counter: StepCounter,
}

impl BenchProgress for BenchProgressBar {
    fn begin(&self, runs: usize, rounds: usize) {
        self.course.get_or_init(|| BenchCourse {
            runs,
            runs_done: AtomicU64::new(0),
            counter: StepCounter::new(&format!("{runs} runs"), rounds as u64),
        });
    }

    fn round(&self) {
        let Some(BenchCourse { runs, runs_done, counter }) = self.course.get() else { return };
        counter.advance(1, |percent, done| {
            let (all, per_s, runs_done) = (counter.all, counter.per_second(), runs_done.load(Ordering::Relaxed));
            say(format_args!("{percent} %, {done} of {all} rows, {runs_done} of {runs} runs done, {per_s:.0} rows/s"));
        });
    }

    fn run(&self, dataset: &str, variant: Variant, run: &ReplayRun) {
        let Some(course) = self.course.get() else { return };
        course.runs_done.fetch_add(1, Ordering::Relaxed);
        if let Some(bar) = &course.counter.bar {
            bar.set_message(format!("{dataset} {variant}, seed {}: loss {:.4}", run.seed, run.loss));
        }
    }

    fn end(&self) {
        let Some(BenchCourse { runs: _, runs_done, counter }) = self.course.get() else { return };
        counter.end();
        let (done, seconds, runs) = (counter.done(), counter.stopwatch.seconds(), runs_done.load(Ordering::Relaxed));
        say(format_args!("{runs} runs, {done} rows in {seconds:.1} s"));
    }
}

/// Progress of a scenario's replications.
#[derive(Debug, Default)]
pub struct RunProgressBar {
    /// Replications and decisions, once the run has begun.
    run: OnceLock<RunCourse>,
}

#[derive(Debug)]
struct RunCourse {
    replications: u64,
    replications_done: AtomicU64,
    counter: StepCounter,
}

impl episode::RunProgress for RunProgressBar {
    fn note(&self, line: &str) {
        say(line);
    }

    fn begin(&self, replications: u64, decisions: u64) {
        self.run.get_or_init(|| RunCourse {
            replications,
            replications_done: AtomicU64::new(0),
            counter: StepCounter::new(&format!("{replications} replications"), decisions),
        });
    }

    fn advance(&self, decisions: u64) {
        let Some(RunCourse { replications, replications_done, counter }) = self.run.get() else { return };
        counter.advance(decisions, |percent, _| {
            let (ended, per_s) = (replications_done.load(Ordering::Relaxed), counter.per_second());
            say(format_args!("{percent} %, {ended} of {replications} replications done, {per_s:.0} decisions/s"));
        });
    }

    fn replication(&self) {
        if let Some(run) = self.run.get() {
            run.replications_done.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn end(&self) {
        let Some(RunCourse { replications, replications_done: _, counter }) = self.run.get() else { return };
        counter.end();
        let (done, seconds, per_s) = (counter.done(), counter.stopwatch.seconds(), counter.per_second());
        say(format_args!("{replications} replications, {done} decisions in {seconds:.1} s, {per_s:.0} decisions/s"));
    }
}

/// Progress of an evaluation, over all its policies.
#[derive(Debug, Default)]
pub struct EvaluationProgressBar {
    /// Decisions, once the evaluation has begun.
    counter: OnceLock<StepCounter>,
}

impl evaluate::EvaluationProgress for EvaluationProgressBar {
    fn begin(&self, candidates: usize, decisions: usize) {
        self.counter.get_or_init(|| StepCounter::new(&format!("{candidates} policies"), decisions as u64));
    }

    fn advance(&self, decisions: usize) {
        let Some(counter) = self.counter.get() else { return };
        counter.advance(decisions as u64, |percent, done| {
            say(format_args!("{percent} %, {done} of {} decisions over all policies", counter.all));
        });
    }

    fn end(&self) {
        let Some(counter) = self.counter.get() else { return };
        counter.end();
        let (done, seconds) = (counter.done(), counter.stopwatch.seconds());
        say(format_args!("{done} decisions over all policies in {seconds:.1} s"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four threads report at the same time. Each tenth is written once, in order.
    #[test]
    fn progress_never_goes_backwards() {
        const STEPS: u64 = 20_000;
        let counter = StepCounter { bar: None, ..StepCounter::new("steps", 4 * STEPS) };
        let told = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..STEPS {
                        counter.advance(1, |percent, done| {
                            // A thread that is interrupted here must not be overtaken.
                            std::thread::yield_now();
                            told.lock().unwrap().push((percent, done));
                        });
                    }
                });
            }
        });
        let told = told.into_inner().unwrap();
        assert!(told.is_sorted(), "{told:?}");
        assert_eq!(told.iter().map(|(percent, _)| percent / 10).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
    }
}
