//! `slotwise-simulator soak`.

use std::{
    error::Error,
    io::{self, Write},
    num::NonZeroUsize,
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{ModelFlag, stop::until_told};
use crate::stress::soak::{Load, Options, soak};

/// Decisions per second at most: far beyond what one such loop can send.
const RATE_MAX: f64 = 1e6;

/// Flags of `soak`.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Soak {
    /// The live server, as in <http://127.0.0.1:50051>.
    #[arg(long, value_name = "URL")]
    target: String,
    /// Its HTTP address, for /metrics [default: the host of --target, port 8080].
    #[arg(long, value_name = "URL")]
    http: Option<String>,
    /// How long decisions are asked for, as in 30s, 1h, 3days.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    duration: Duration,
    /// Decisions per second [default: --share of the peak].
    #[arg(long, value_name = "N", value_parser = rate, conflicts_with = "share")]
    rate: Option<f64>,
    /// This share of the peak, which a closed loop of 20 s measures first; above 0, at most 1.
    #[arg(long, value_name = "X", default_value = "0.5", value_parser = share)]
    share: f64,
    /// Requests at the same time in that closed loop.
    #[arg(long, value_name = "N", default_value = "64")]
    in_flight: NonZeroUsize,
    /// Unanswered requests at most; a surplus is not sent, and counts as an error
    /// [default: two seconds of decisions, from 64 to 10000].
    #[arg(long, value_name = "N")]
    backlog: Option<NonZeroUsize>,
    /// The slot's id.
    #[arg(long, value_name = "NAME", default_value = "soak")]
    slot: String,
    /// The slot's attribution window, which is how long the server has to remember a decision; at least 30s.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    window: Duration,
    /// How the slot learns.
    #[arg(long, value_enum, default_value_t)]
    model: ModelFlag,
    /// If the slot exists, delete it, and what it learned, first.
    #[arg(long)]
    replace: bool,
    /// Leave the slot on the server when done.
    #[arg(long)]
    keep: bool,
    /// Print one JSON object with all samples; its keys are described in the long help.
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Makes a slot of its own: an offer of 20 arms whose goal is a click, twelve features of every type per request, and for
a tenth to three tenths of the decisions, by arm, a click within 3 s. Deletes it when done, also after Ctrl-C or SIGTERM.
It is for simulated traffic (controls.simulated), and no other slot is ever touched.

Requests are sent at times laid down in advance, whether or not earlier ones were answered, and latencies count from
those times: a server that stands still shows it. A request has 10 s. Every 10 s there is a line on standard error.

The slope of the memory is that of a line through the samples after the first sixth of the run, or after two windows if
that is later. Its standard error takes the samples for independent, so it is the least it can be.

Exit codes: 0 no error and every reward accepted, 1 not so, 2 usage, 3 could not run.

Keys of --json:
  target, slot, model, window_s   what was soaked
  peak                  null with --rate; seconds, decisions_per_s, decide, record_rewards
  rate, scheduled       decisions per second, and in all, as laid down
  backlog_max           unanswered requests at most
  seconds               from the first request to the last answer
  decide, record_rewards  answered; latencies: p50_us, p99_us, p999_us, max_us; failures: by gRPC code, by the
                        reward's status where it was not accepted, SHED, UNKNOWN_ARM, NO_RESULT
  fallbacks             decisions that the slot's model did not make
  memory_from_s         from when on the samples count for
  memory                mb_per_hour, standard_error, samples; null where there are fewer than three
  samples               at_s, seconds, decide, record_rewards, resident_bytes, pending (null where not told)
  errors, notes         all failures; what else there is to say";

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|why| format!("{why}; write it as 30s, 5m or 1h"))?;
    if duration.is_zero() { Err("must be longer than nothing".to_owned()) } else { Ok(duration) }
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|x: &f64| *x > 0.0 && *x <= RATE_MAX);
    number.ok_or_else(|| format!("must be a number above 0 and at most {RATE_MAX}"))
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|x: &f64| *x > 0.0 && *x <= 1.0);
    number.ok_or_else(|| "must be a number above 0 and at most 1".to_owned())
}

impl Soak {
    /// Whether there was no error, as an exit code.
    pub(super) fn run(self, out: &mut impl Write) -> Result<ExitCode, Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let options = Options {
            http: self.http,
            duration: self.duration,
            load: self.rate.map_or(Load::Share(self.share), Load::Rate),
            in_flight: self.in_flight,
            backlog_max: self.backlog,
            slot: self.slot,
            window: self.window,
            model: self.model.spec(),
            replace: self.replace,
            keep: self.keep,
            ..Options::new(self.target)
        };
        let report = runtime.block_on(async {
            let stop = CancellationToken::new();
            let mut say = |line: &str| {
                // A closed standard error is no error of ours.
                let _ = writeln!(io::stderr(), "{line}");
            };
            // Boxed, as it is large.
            until_told(&stop, Box::pin(soak(&options, &stop, &mut say))).await
        })?;
        let text = if self.json { report.json()? } else { report.text() };
        // A closed pipe is no error of ours.
        let _ = writeln!(out, "{text}");
        Ok(if report.errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
