//! Flags of `run` about a live server, and the choice between it and this process.

use clap::Args;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    scenario::{CommandError, RunFlags},
    stop::stop_requested,
};
use crate::{
    cli::progress::RunProgressBar,
    live::{LiveOptions, Tempo, run_live},
    report::RunReport,
    scenario::Loaded,
};

/// Maximum of decisions per second, far beyond what one such loop can send.
const RATE_MAX: f64 = 1e6;
/// Maximum speed relative to the shop: a year in half a minute.
const SPEED_MAX: f64 = 1e6;

/// Flags about a live server.
#[derive(Debug, Args)]
pub(super) struct Against {
    /// Run against this live server, as in <http://127.0.0.1:50051>, instead of in this process.
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// Decisions per second, on average, over all policies and replications at the same time [default: 200, or fewer
    /// if the slots' own times would get too short].
    #[arg(long, value_name = "N", value_parser = rate, requires = "target", conflicts_with = "speed")]
    rate: Option<f64>,
    /// Speed relative to the shop's own time, instead of --rate.
    #[arg(long, value_name = "X", value_parser = speed, requires = "target")]
    speed: Option<f64>,
    /// Beginning of the slots' ids [default: sim-SCENARIO].
    #[arg(long, value_name = "NAME", requires = "target")]
    slot: Option<String>,
    /// Delete existing slots of these ids for simulated traffic first, with what they learned.
    #[arg(long, requires = "target")]
    replace: bool,
    /// Leave the slots on the server when done.
    #[arg(long, requires = "target")]
    keep: bool,
}

fn above_0(text: &str, most: f64) -> Result<f64, String> {
    let number = text.parse().ok().filter(|x: &f64| *x > 0.0 && *x <= most);
    number.ok_or_else(|| format!("must be a number above 0 and at most {most}"))
}

fn rate(text: &str) -> Result<f64, String> {
    above_0(text, RATE_MAX)
}

fn speed(text: &str) -> Result<f64, String> {
    above_0(text, SPEED_MAX)
}

impl Against {
    pub(super) fn run(&self, how: &RunFlags, loaded: &Loaded) -> Result<RunReport, CommandError> {
        let Some(target) = &self.target else { return how.run(loaded) };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|why| CommandError::Other(why.into()))?;
        let options = LiveOptions {
            tempo: self.rate.map(Tempo::Rate).or(self.speed.map(Tempo::Speed)),
            slots: self.slot.clone(),
            replace: self.replace,
            keep: self.keep,
            at_once: how.threads(),
            ..LiveOptions::new(target)
        };
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let interrupted = stop.clone();
        let listen = async move {
            stop_requested().await;
            interrupted.cancel();
        };
        tasks.spawn_on(listen, runtime.handle());
        let progress = RunProgressBar::default();
        let report = run_live(loaded, how.given_seed(), options, runtime.handle(), &progress, &stop);
        // The task that listens for signals never ends by itself.
        runtime.shutdown_background();
        Ok(report?)
    }
}
