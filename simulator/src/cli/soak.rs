//! The command `slotwise-simulator soak`.

use std::{
    error::Error,
    io::{self, Write},
    num::NonZeroUsize,
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use slotwise::cli::terminal::fit;
use tokio_util::sync::CancellationToken;

use super::{ModelFlag, duration, stop::run_until_signal};
use crate::stress::soak::{LoadLevel, SoakOptions, soak};

/// Maximum of decisions per second, far beyond what one such loop can send.
const RATE_MAX: f64 = 1e6;

/// Flags of `soak`.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Soak {
    /// Live server, as in <http://127.0.0.1:50051>.
    #[arg(long, value_name = "URL")]
    target: String,
    /// HTTP address of the server, for /metrics [default: the host of --target, port 8080].
    #[arg(long, value_name = "URL")]
    http: Option<String>,
    /// Duration of the load, as in 30s, 1h, 3days.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    duration: Duration,
    /// Decisions per second [default: --share of the peak].
    #[arg(long, value_name = "N", value_parser = rate, conflicts_with = "share")]
    rate: Option<f64>,
    /// Share of the peak, above 0 and at most 1. A closed loop of 20 s measures the peak first.
    #[arg(long, value_name = "X", default_value = "0.5", value_parser = share)]
    share: f64,
    /// Requests at the same time in that closed loop.
    #[arg(long, value_name = "N", default_value = "64")]
    in_flight: NonZeroUsize,
    /// Maximum of unanswered requests. Further ones are not sent and count as errors [default: two seconds of
    /// decisions, from 64 to 10000].
    #[arg(long, value_name = "N")]
    backlog: Option<NonZeroUsize>,
    /// Id of the slot.
    #[arg(long, value_name = "NAME", default_value = "soak")]
    slot: String,
    /// Attribution window of the slot, for which the server has to remember a decision. At least 30s.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    window: Duration,
    /// Model of the slot.
    #[arg(long, value_enum, default_value_t)]
    model: ModelFlag,
    /// Delete an existing slot of this id first, with what it learned.
    #[arg(long)]
    replace: bool,
    /// Leave the slot on the server when done.
    #[arg(long)]
    keep: bool,
    /// Print one JSON object with all samples. The long help describes its keys.
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Creates a slot of its own: an offer of 20 arms whose goal is a click, with twelve features of every type per request.
Between a tenth and three tenths of the decisions, by arm, get a click within 3 s. The slot is for simulated traffic
(controls.simulated) and is deleted when done, also after Ctrl-C or SIGTERM. No other slot is ever touched.

Requests are sent at times fixed in advance, whether or not earlier ones were answered, and latencies count from those
times, so a server that stands still shows it. The time limit of a request is 10 s. Every 10 s there is a line on
standard error.

The slope of the memory is that of a line through the samples after the first sixth of the run, or after two windows if
that is later. Its standard error assumes independent samples, so it is a lower bound.

Exit codes: 0 no error and every reward accepted, 1 an error or a reward not accepted, 2 usage, 3 could not run.

Keys of --json:
  target, slot, model, window_s   the server and the slot
  peak                  null with --rate; seconds, decisions_per_s, decide, record_rewards
  rate, scheduled       decisions per second, and in total, as scheduled
  backlog_max           maximum of unanswered requests
  seconds               from the first request to the last answer
  decide, record_rewards  answered; latencies: p50_us, p99_us, p999_us, max_us; failures: by gRPC code, by the
                        reward's status if it was not accepted, SHED, UNKNOWN_ARM, NO_RESULT
  fallbacks             decisions that the slot's model did not make
  memory_from_s         time from which on samples count for
  memory                mb_per_hour, standard_error, samples; null for fewer than three
  samples               at_s, seconds, decide, record_rewards, resident_bytes, pending (null if unknown)
  errors, notes         all failures; other remarks";

fn rate(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|x: &f64| *x > 0.0 && *x <= RATE_MAX);
    number.ok_or_else(|| format!("must be a number above 0 and at most {RATE_MAX}"))
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|x: &f64| *x > 0.0 && *x <= 1.0);
    number.ok_or_else(|| "must be a number above 0 and at most 1".to_owned())
}

impl Soak {
    /// Runs the command. The exit code says whether there was no error.
    pub(super) fn run(self, out: &mut impl Write) -> Result<ExitCode, Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let options = SoakOptions {
            http: self.http,
            duration: self.duration,
            load: self.rate.map_or(LoadLevel::Share(self.share), LoadLevel::Rate),
            in_flight: self.in_flight,
            backlog_max: self.backlog,
            slot: self.slot,
            window: self.window,
            model: self.model.spec(),
            replace: self.replace,
            keep: self.keep,
            ..SoakOptions::new(self.target)
        };
        let report = runtime.block_on(async {
            let stop = CancellationToken::new();
            let mut say = |line: &str| {
                // A closed standard error is not an error of this program.
                let _ = writeln!(io::stderr(), "{line}");
            };
            // The future is boxed because it is large.
            run_until_signal(&stop, Box::pin(soak(&options, &stop, &mut say))).await
        })?;
        let text = if self.json { report.json()? } else { fit(&report.text()).into_owned() };
        // A closed pipe is not an error of this program.
        let _ = writeln!(out, "{text}");
        Ok(if report.errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
