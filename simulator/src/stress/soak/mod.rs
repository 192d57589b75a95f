//! Load on a live server by the wall clock, to see that it copes: without errors, and without memory that grows.
//!
//! * [`shop`]: the slot, the requests and the clicks.
//! * [`schedule`]: the due times of decisions and clicks.
//! * [`calls`]: the calls to the server.
//! * [`pace`]: the run's open loop (with [`crate::load`]), and the closed loop that finds the peak.
//! * [`scrape`]: the server's own metrics.
//! * [`trend`], [`report`]: the results.
//!
//! Invariants:
//!
//! * The run has a slot of its own. It is created before the first request and deleted after the last answer unless it
//!   is to be kept, also if the run is stopped.
//! * Every request is counted once, as answered or as failed.
//! * Every request has a deadline, so a run ends.
//!
//! Deliberately not here: the quality of learning, which [`crate::learning`] measures.

pub mod calls;
pub mod pace;
pub mod report;
pub mod schedule;
pub mod scrape;
pub mod shop;
pub mod trend;

use std::{num::NonZeroUsize, panic::resume_unwind, sync::Arc, time::Duration};

use hdrhistogram::CreationError;
use slotwise::{bandit::ModelSpec, client::ClientError, environment::spec::Problem, slot::FieldError};
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use report::{ClosedLoopResult, MemoryGrowth, SoakReport, SoakSample};

use crate::{
    clock::RunStopwatch,
    learning::service::{BanditService as _, Remote, ServiceError},
    load::BACKLOG_MAX,
};
use calls::{Connections, SoakCaller};
use pace::{SoakLoop, closed_loop};
use schedule::RequestSchedule;
use scrape::Scraper;
use shop::SoakShop;

/// Shortest attribution window: a click's delay and a request's time limit, and as much again.
pub const WINDOW_MIN: Duration = Duration::from_secs(30);
/// Seconds of arrivals that may be unanswered by default.
const BACKLOG_S: f64 = 2.0;
/// Smallest default for unanswered requests, because a hiccup at a low rate is no overload.
const BACKLOG_MIN: usize = 64;
/// Part of a run after which memory counts.
const SETTLED_SHARE: f64 = 1.0 / 6.0;
/// Number of attribution windows after which memory counts. Pending decisions accumulate in the first, and the
/// structures that hold them reach their size in the second.
const SETTLED_WINDOWS: f64 = 2.0;

/// Amount of load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LoadLevel {
    /// Decisions per second, above 0.
    Rate(f64),
    /// Part of the closed loop's rate, above 0.
    Share(f64),
}

/// Options of a soak.
#[derive(Debug, Clone, PartialEq)]
pub struct SoakOptions {
    /// Address of the server, `http://host:port`.
    pub target: String,
    /// Address of the server's metrics, or `None` for the target's host with the default port.
    pub http: Option<String>,
    /// Time during which decisions are requested.
    pub duration: Duration,
    /// Amount of load.
    pub load: LoadLevel,
    /// Number of concurrent requests in the closed loop.
    pub in_flight: NonZeroUsize,
    /// Greatest number of unanswered requests, or `None` to derive it from the rate.
    pub backlog_max: Option<NonZeroUsize>,
    /// Id of the slot.
    pub slot: String,
    /// Attribution window of the slot.
    pub window: Duration,
    /// Model of the slot.
    pub model: ModelSpec,
    /// `true` to delete a slot with the same id first.
    pub replace: bool,
    /// `true` to keep the slot at the end.
    pub keep: bool,
    /// Length of the closed loop.
    pub peak: Duration,
    /// Time between two samples.
    pub sample_every: Duration,
}

impl SoakOptions {
    /// Options for an hour at half of the peak rate of the server at `target`.
    pub fn new(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            http: None,
            duration: Duration::from_hours(1),
            load: LoadLevel::Share(0.5),
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

/// Reason why a server could not be soaked.
#[derive(Debug, thiserror::Error)]
pub enum SoakError {
    /// The shop's own scenario is invalid.
    #[error("the shop's scenario is invalid: {0}")]
    Scenario(Problem),
    /// The slot's definition is invalid.
    #[error(transparent)]
    Slot(#[from] FieldError),
    /// The window is too short.
    #[error(
        "--window: clicks come up to 3 s after their decision; give at least {}",
        humantime::format_duration(WINDOW_MIN)
    )]
    Window,
    /// The metrics' address is invalid.
    #[error("{0}")]
    Http(String),
    /// The service refused or failed.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A connection failed.
    #[error(transparent)]
    Connect(#[from] ClientError),
    /// A histogram could not be created.
    #[error("latencies cannot be counted: {0}")]
    Histogram(#[from] CreationError),
    /// The closed loop had no answer at all.
    #[error("no decision of the closed loop was answered ({0}); does the server serve? say a rate with --rate")]
    NoPeak(String),
}

/// Soaks a server until every request was sent and answered, or `stop` is cancelled. `say` receives a line from time to
/// time.
///
/// # Errors
///
/// Returns an error if the run could not start. Later failures are counted in the report.
pub async fn soak(
    options: &SoakOptions,
    stop: &CancellationToken,
    say: &mut dyn FnMut(&str),
) -> Result<SoakReport, SoakError> {
    if options.window < WINDOW_MIN {
        return Err(SoakError::Window);
    }
    let shop = Arc::new(SoakShop::new().map_err(SoakError::Scenario)?);
    let definition = shop.definition(&options.slot, options.window, options.model)?;
    let scraper = Scraper::new(options.http.as_deref(), &options.target, &options.slot).map_err(SoakError::Http)?;
    let mut slots = Remote::connect(&options.target).await?;
    let connections = Connections::open(&options.target).await?;
    let slot = definition.id.clone();
    slots.create(definition, options.replace).await?;
    let run = SoakRun { options, stop, say, shop, scraper, samples: Vec::new(), notes: Vec::new() };
    let report = run.run(connections).await;
    if options.keep {
        return report;
    }
    // The slot is deleted however the run ended. An error of the run takes precedence over an error of the deletion.
    let deleted = slots.delete(&slot).await;
    let mut report = report?;
    if let Err(why) = deleted {
        report.errors += 1;
        report.notes.push(format!("slot '{slot}' could not be deleted: {why}"));
    }
    Ok(report)
}

struct SoakRun<'a> {
    options: &'a SoakOptions,
    stop: &'a CancellationToken,
    say: &'a mut dyn FnMut(&str),
    shop: Arc<SoakShop>,
    scraper: Scraper,
    samples: Vec<SoakSample>,
    notes: Vec<String>,
}

impl SoakRun<'_> {
    async fn run(mut self, connections: Connections) -> Result<SoakReport, SoakError> {
        let options = self.options;
        let mut fallbacks = 0;
        let (peak, rate) = match options.load {
            LoadLevel::Rate(rate) => (None, rate),
            LoadLevel::Share(share) => {
                let caller = Arc::new(SoakCaller::new(connections.clone(), Arc::clone(&self.shop), &options.slot)?);
                let peak = self.peak(&caller).await?;
                fallbacks += caller.fallbacks();
                let rate = peak.decisions_per_s * share;
                (Some(peak), rate)
            }
        };
        let caller = Arc::new(SoakCaller::new(connections, Arc::clone(&self.shop), &options.slot)?);
        let schedule = RequestSchedule::new(rate, options.duration);
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
        Ok(SoakReport {
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
            memory: MemoryGrowth::fit(&self.samples, memory_from_s),
            samples: self.samples,
            notes: self.notes,
        })
    }

    async fn peak(&mut self, caller: &Arc<SoakCaller>) -> Result<ClosedLoopResult, SoakError> {
        let SoakOptions { in_flight, peak, .. } = self.options;
        (self.say)(&format!("the peak first: {in_flight} at a time, for {}", humantime::format_duration(*peak)));
        let seconds = closed_loop(caller, in_flight.get(), *peak, self.stop).await.as_secs_f64();
        let (decide, record_rewards) = (caller.decide.all(), caller.record.all());
        if decide.answered == 0 {
            let whys: Vec<String> = decide.failures.iter().map(|(why, count)| format!("{why} {count}")).collect();
            return Err(SoakError::NoPeak(whys.join(", ")));
        }
        let decisions_per_s = decide.answered as f64 / seconds;
        (self.say)(&format!("peak: {decisions_per_s:.1} decisions/s"));
        Ok(ClosedLoopResult { seconds, decisions_per_s, decide, record_rewards })
    }

    /// Returns the seconds to the last answer.
    async fn open_loop(&mut self, schedule: RequestSchedule, caller: &Arc<SoakCaller>, backlog_max: usize) -> f64 {
        let (stopwatch, tasks) = (RunStopwatch::start(), TaskTracker::new());
        let (pace_tasks, stop) = (tasks.clone(), self.stop.clone());
        let pace = SoakLoop { schedule, caller: Arc::clone(caller), stopwatch, backlog_max, tasks: pace_tasks, stop };
        let runtime = Handle::current();
        let mut pacing = tokio::task::spawn_blocking(move || pace.run(&runtime));
        let mut ticks = tokio::time::interval(self.options.sample_every);
        // The first tick is immediate.
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

    async fn sample(&mut self, caller: &SoakCaller, stopwatch: RunStopwatch) {
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
        let sample = SoakSample {
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
        let mut options = SoakOptions::new("http://127.0.0.1:1");
        assert_eq!([0.5, 1000.0, 1e9].map(|rate| options.backlog_max(rate)), [64, 2000, 10_000]);
        options.backlog_max = NonZeroUsize::new(3);
        assert_eq!(options.backlog_max(1000.0), 3);
    }
}
