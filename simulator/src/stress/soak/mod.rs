//! Load on a live server by the wall clock, to see that it holds: no errors, and memory that does not grow.
//!
//! * [`shop`]: the slot that is made, what is asked, and what is clicked.
//! * [`schedule`]: when what is due.
//! * [`calls`]: the calls themselves.
//! * [`pace`]: the open loop of the run (over [`crate::load`]'s), and the closed one that finds the peak.
//! * [`scrape`]: what the server says of itself.
//! * [`trend`], [`report`]: what came of it.
//!
//! Invariants: the slot is its own, made before the first request and deleted after the last answer (unless it
//! is to be kept), also when the run is stopped; every request is counted once, as answered or as failed; every
//! request has a deadline, so a run ends.
//!
//! Deliberately not here: whether it learns; that is [`crate::learning`]'s.

pub mod calls;
pub mod pace;
pub mod report;
pub mod schedule;
pub mod scrape;
pub mod shop;
pub mod trend;

use std::{num::NonZeroUsize, panic::resume_unwind, sync::Arc, time::Duration};

use hdrhistogram::CreationError;
use slotwise::{bandit::ModelSpec, slot::FieldError, wire::ClientError};
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use report::{Memory, Peak, Report, Sample};

use crate::{
    clock::Stopwatch,
    learning::service::{BanditService as _, Remote, ServiceError},
    load::BACKLOG_MAX,
};
use calls::{Caller, Connections};
use pace::{Pace, closed_loop};
use schedule::Schedule;
use scrape::Scraper;

/// The shortest window: a click's delay, what a request may take, and as much again.
pub const WINDOW_MIN: Duration = Duration::from_secs(30);
/// Unanswered requests at most, where nothing is said: as many as come in so many seconds.
const BACKLOG_S: f64 = 2.0;
/// But no fewer: a hiccup at a low rate is no overload.
const BACKLOG_MIN: usize = 64;
/// The part of a run after which memory counts.
const SETTLED_SHARE: f64 = 1.0 / 6.0;
/// The windows of the slot after which memory counts: in the first, the decisions that wait only come; in the
/// second, what held them finds its size.
const SETTLED_WINDOWS: f64 = 2.0;

/// How much load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Load {
    /// Decisions per second, above 0.
    Rate(f64),
    /// This share, above 0, of what a closed loop reaches.
    Share(f64),
}

/// How a server is soaked.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Its address, `http://host:port`.
    pub target: String,
    /// Where it tells its metrics; none: at the host of the target and the default port.
    pub http: Option<String>,
    /// How long decisions are asked for.
    pub duration: Duration,
    /// How much load.
    pub load: Load,
    /// Requests at the same time in the closed loop.
    pub in_flight: NonZeroUsize,
    /// Unanswered requests at most; none: by the rate.
    pub backlog_max: Option<NonZeroUsize>,
    /// The slot's id.
    pub slot: String,
    /// The slot's attribution window.
    pub window: Duration,
    /// How the slot learns.
    pub model: ModelSpec,
    /// Delete a slot of the same id first.
    pub replace: bool,
    /// Leave the slot when done.
    pub keep: bool,
    /// How long the closed loop goes.
    pub peak: Duration,
    /// Between two samples.
    pub sample_every: Duration,
}

impl Options {
    /// An hour at half of what the server at `target` reaches.
    pub fn new(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            http: None,
            duration: Duration::from_hours(1),
            load: Load::Share(0.5),
            in_flight: NonZeroUsize::new(64).unwrap_or(NonZeroUsize::MIN),
            backlog_max: None,
            slot: "soak".to_owned(),
            window: Duration::from_mins(5),
            model: ModelSpec::default(),
            replace: false,
            keep: false,
            peak: Duration::from_secs(20),
            sample_every: Duration::from_secs(10),
        }
    }

    fn backlog_max(&self, rate: f64) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "above 0; saturates")]
        let by_rate = (rate * BACKLOG_S) as usize;
        self.backlog_max.map_or(by_rate.clamp(BACKLOG_MIN, BACKLOG_MAX), NonZeroUsize::get)
    }
}

/// Why a server could not be soaked.
#[derive(Debug, thiserror::Error)]
pub enum SoakError {
    /// The slot cannot be made like that.
    #[error(transparent)]
    Slot(#[from] FieldError),
    /// The window is too short.
    #[error(
        "--window: clicks come up to 3 s after their decision; give at least {}",
        humantime::format_duration(WINDOW_MIN)
    )]
    Window,
    /// The metrics' address is none.
    #[error("{0}")]
    Http(String),
    /// The service did not do something.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// Not all connections came about.
    #[error(transparent)]
    Connect(#[from] ClientError),
    /// There is no histogram.
    #[error("latencies cannot be counted: {0}")]
    Histogram(#[from] CreationError),
    /// The closed loop had no answer at all.
    #[error("no decision of the closed loop was answered ({0}); does the server serve? say a rate with --rate")]
    NoPeak(String),
}

/// Soaks a server until all was asked and answered, or `stop` is cancelled. `say` is told a line now and then.
///
/// # Errors
///
/// If it could not begin; what fails later is counted.
pub async fn soak(options: &Options, stop: &CancellationToken, say: &mut dyn FnMut(&str)) -> Result<Report, SoakError> {
    if options.window < WINDOW_MIN {
        return Err(SoakError::Window);
    }
    let definition = shop::definition(&options.slot, options.window, options.model)?;
    let scraper = Scraper::new(options.http.as_deref(), &options.target, &options.slot).map_err(SoakError::Http)?;
    let mut slots = Remote::connect(&options.target).await?;
    let connections = Connections::open(&options.target).await?;
    let slot = definition.id.clone();
    slots.create(definition, options.replace).await?;
    let run = Run { options, stop, say, scraper, samples: Vec::new(), notes: Vec::new() };
    let report = run.run(connections).await;
    if options.keep {
        return report;
    }
    // What we made we take away, however it ended; but what came of it is the thing to tell.
    let deleted = slots.delete(&slot).await;
    let mut report = report?;
    if let Err(why) = deleted {
        report.errors += 1;
        report.notes.push(format!("slot '{slot}' could not be deleted: {why}"));
    }
    Ok(report)
}

struct Run<'a> {
    options: &'a Options,
    stop: &'a CancellationToken,
    say: &'a mut dyn FnMut(&str),
    scraper: Scraper,
    samples: Vec<Sample>,
    notes: Vec<String>,
}

impl Run<'_> {
    async fn run(mut self, connections: Connections) -> Result<Report, SoakError> {
        let options = self.options;
        let mut fallbacks = 0;
        let (peak, rate) = match options.load {
            Load::Rate(rate) => (None, rate),
            Load::Share(share) => {
                let caller = Arc::new(Caller::new(connections.clone(), &options.slot)?);
                let peak = self.peak(&caller).await?;
                fallbacks += caller.fallbacks();
                let rate = peak.decisions_per_s * share;
                (Some(peak), rate)
            }
        };
        let caller = Arc::new(Caller::new(connections, &options.slot)?);
        let schedule = Schedule::new(rate, options.duration);
        let (scheduled, backlog_max) = (schedule.decisions(), options.backlog_max(rate));
        (self.say)(&format!("{scheduled} decisions at {rate:.1}/s, at most {backlog_max} unanswered"));
        let seconds = self.open_loop(schedule, &caller, backlog_max).await;

        if self.stop.is_cancelled() {
            self.notes.push("stopped before its end".to_owned());
        }
        let (decide, record_rewards) = (caller.decide.all(), caller.record.all());
        let of_peak = peak.as_ref().map_or(0, |peak| peak.decide.failed() + peak.record_rewards.failed());
        let window_s = options.window.as_secs_f64();
        let memory_from_s = (options.duration.as_secs_f64() * SETTLED_SHARE).max(window_s * SETTLED_WINDOWS);
        Ok(Report {
            target: options.target.clone(),
            slot: options.slot.clone(),
            model: options.model.name(),
            window_s,
            peak,
            rate,
            scheduled,
            backlog_max,
            seconds,
            errors: decide.failed() + record_rewards.failed() + of_peak,
            decide,
            fallbacks: fallbacks + caller.fallbacks(),
            record_rewards,
            memory_from_s,
            memory: Memory::of(&self.samples, memory_from_s),
            samples: self.samples,
            notes: self.notes,
        })
    }

    async fn peak(&mut self, caller: &Arc<Caller>) -> Result<Peak, SoakError> {
        let Options { in_flight, peak, .. } = self.options;
        (self.say)(&format!("the peak first: {in_flight} at a time, for {}", humantime::format_duration(*peak)));
        let seconds = closed_loop(caller, in_flight.get(), *peak, self.stop).await.as_secs_f64();
        let (decide, record_rewards) = (caller.decide.all(), caller.record.all());
        if decide.answered == 0 {
            let whys: Vec<String> = decide.failures.iter().map(|(why, count)| format!("{why} {count}")).collect();
            return Err(SoakError::NoPeak(whys.join(", ")));
        }
        let decisions_per_s = decide.answered as f64 / seconds;
        (self.say)(&format!("peak: {decisions_per_s:.1} decisions/s"));
        Ok(Peak { seconds, decisions_per_s, decide, record_rewards })
    }

    /// Returns the seconds to the last answer.
    async fn open_loop(&mut self, schedule: Schedule, caller: &Arc<Caller>, backlog_max: usize) -> f64 {
        let (stopwatch, tasks) = (Stopwatch::start(), TaskTracker::new());
        let (pace_tasks, stop) = (tasks.clone(), self.stop.clone());
        let pace = Pace { schedule, caller: Arc::clone(caller), stopwatch, backlog_max, tasks: pace_tasks, stop };
        let runtime = Handle::current();
        let mut pacing = tokio::task::spawn_blocking(move || pace.run(&runtime));
        let mut ticks = tokio::time::interval(self.options.sample_every);
        // The first is at once.
        ticks.tick().await;
        loop {
            tokio::select! {
                done = &mut pacing => {
                    done.unwrap_or_else(|why| resume_unwind(why.into_panic()));
                    break;
                }
                _ = ticks.tick() => self.sample(caller, stopwatch).await,
            }
        }
        tasks.close();
        tasks.wait().await;
        self.sample(caller, stopwatch).await;
        stopwatch.seconds()
    }

    async fn sample(&mut self, caller: &Caller, stopwatch: Stopwatch) {
        let gauges = match self.scraper.read().await {
            Ok(gauges) => {
                if gauges.resident_bytes.is_none() {
                    self.note_once(format!("{} has no process_resident_memory_bytes", self.scraper.uri()));
                }
                gauges
            }
            Err(why) => {
                self.note_once(why);
                scrape::Gauges::default()
            }
        };
        let at_s = stopwatch.seconds();
        let seconds = at_s - self.samples.last().map_or(0.0, |sample| sample.at_s);
        let sample = Sample {
            at_s,
            seconds,
            decide: caller.decide.look(),
            record_rewards: caller.record.look(),
            resident_bytes: gauges.resident_bytes,
            pending: gauges.pending,
        };
        (self.say)(&sample.to_string());
        self.samples.push(sample);
    }

    fn note_once(&mut self, note: String) {
        if !self.notes.contains(&note) {
            (self.say)(&format!("note: {note}"));
            self.notes.push(note);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backlog_is_two_seconds_of_arrivals_within_bounds() {
        let mut options = Options::new("http://127.0.0.1:1");
        assert_eq!([0.5, 1000.0, 1e9].map(|rate| options.backlog_max(rate)), [64, 2000, 10_000]);
        options.backlog_max = NonZeroUsize::new(3);
        assert_eq!(options.backlog_max(1000.0), 3);
    }
}
