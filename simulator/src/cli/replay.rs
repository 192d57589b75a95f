//! The command `slotwise-simulator replay`.

use std::{error::Error, io::Write, num::NonZeroUsize, path::PathBuf};

use clap::Args;
use slotwise::cli::terminal::fit;
use tokio_util::sync::CancellationToken;

use super::{
    LearningFlags, SEEDS_MAX, TimingFlags,
    evaluate::{LogArguments, LogFlags},
    stop::run_until_signal,
};
use crate::{
    cli::progress::ReplayProgressBar,
    dataset::Dataset,
    evaluate::logged::FileFormat,
    learning::replay::{ReplayOptions, Variant, replay},
};

/// Flags of `replay`.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Replay {
    /// Classification set (NAME.csv.gz, NAME.json, or NAME alone for the pair), or a log of decisions: the output of
    /// `slotwise journal export`, the dsjson log of Vowpal Wabbit or Personalizer, CSV with the columns time, arm,
    /// propensity and reward, or the Open Bandit Dataset's rows.
    dataset: PathBuf,
    #[command(flatten)]
    live: Live,
    /// Seed of the order and, in this process, of the draws. For a log, seed of the draws.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Run a pass for each of the seeds 0 to N − 1.
    #[arg(long, value_name = "N", conflicts_with = "seed", value_parser = clap::value_parser!(u64).range(1..=SEEDS_MAX))]
    seeds: Option<u64>,
    /// Stop after this many rows [default: all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Make the arm after the label's the right one, from the middle of the rounds on.
    #[arg(long)]
    drift: bool,
    /// Deliver rewards in batches: those of B rounds right before the round after them.
    #[arg(long, value_name = "B")]
    delay: Option<NonZeroUsize>,
    #[command(flatten)]
    learning: LearningFlags,
    #[command(flatten)]
    timing: TimingFlags,
    #[command(flatten)]
    logged: LogFlags,
    /// Print one JSON object. The long help describes its keys.
    #[arg(long)]
    json: bool,
}

/// Flags about a live server.
#[derive(Debug, Args)]
struct Live {
    /// Run against this live server, as in <http://127.0.0.1:50051>, instead of in this process.
    #[arg(long, value_name = "URL", conflicts_with_all = ["interval", "time_column"])]
    target: Option<String>,
    /// Id of the slot, for --target [default: replay-DATASET-SEED]; --seeds adds the seed. For a journal export: the slot
    /// whose decisions are evaluated [default: the only one].
    #[arg(long, value_name = "NAME")]
    slot: Option<String>,
    /// Delete an existing slot of this id first, with what it learned.
    #[arg(long, requires = "target")]
    replace: bool,
    /// Leave the slot on the server when done.
    #[arg(long, requires = "target")]
    keep: bool,
}

const AFTER_HELP: &str = "\
A CLASSIFICATION SET is streamed through a slot as a bandit. Without --target the same command prints the same bytes every time.
With --target the slot is deleted when done, also after Ctrl-C, SIGTERM or a failure, unless --keep is given.

The loss is the mean of 1 - reward over the rows as they come. \"last 20 %\" counts the rounds from floor(0.8 n) on.
With --delay B the rewards of rounds [jB, (j+1)B) all arrive right before round (j+1)B. Rewards that would arrive after
the last round never do. With --drift the right arm is (label + 1) mod arms from round floor(n/2) on.

Keys of --json:
  dataset, rows, arms   the set's name, its number of rows, its number of classes
  service               \"in_process\" or \"grpc\"
  model, exploration    the slot's model; its width multiplier, null for the default
  policy                the slot's policy
  rounds                rows of a pass
  variant               \"plain\", \"drift\", \"delayB\" or \"drift+delayB\"
  silent_zeros          whether a reward of 0 sent no event
  timing                \"shuffled\", \"every 30m\" or \"by COLUMN\"
  runs                  per seed: seed, loss, loss_last_20_percent, rewards, fallbacks, loss_by_tenth
  loss                  over the seeds: mean, standard_error (null for one seed)
  loss_last_20_percent  mean and standard_error over the last 20 %

A LOG OF DECISIONS is evaluated off policy: it estimates what policies would have earned per decision. Each policy
decides at every logged moment, in order of time, in this process. The weight of a logged decision is the policy's
probability of the shown arm over the logged probability. IPS is the mean of weight x reward. The self-normalised
estimate is the sum of weight x reward over the sum of the weights. The doubly robust estimate adds the predictions of
the default slot for all arms, which learns from the log on the way. All three hold for policies that learn on the way
and for those that do not. Replay is the mean reward of the decisions that match the policy's own draw, accepted with
probability least propensity / propensity.
--learn matched: a policy learns from those decisions alone, as if it had run by itself.
--learn all: a policy learns from every logged decision, as if it had shown the logged arms.
--learn first: a policy learns from the first part, with its rewards that come later, and is evaluated on the rest.
A policy's mode, holdout, analysis slice and stickiness are set aside, so that the policy itself is evaluated.
docs/simulator/evaluation.md says when to trust which estimate. An estimate that the log does not allow is refused.

Keys of --json for a log, in which an estimate is mean, standard_error, low, high, confidence:
  log                   name, form, decisions, learned_before, arms, from_us, until_us, reward (an estimate), rewarded,
                        left_out (counts by reason), zero_propensity (part of the decisions), incomplete, slates
  calibration           smallest and largest propensity, certain (part of the decisions), warnings, and the mean weights
                        (mean, standard_error, effective) uniform, own_shares, and of each of arms
  seed, learning, least_propensity
  policies              per policy: name, ips, self_normalised, doubly_robust, over_log, replay (estimates, null if
                        refused), direct (the reward model alone), accepted, acceptable, mean_weight, mean_weight_error,
                        effective, largest_weight, refused, learned, fallbacks, set_aside (settings), and these keys per position in
                        positions";

impl Replay {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
        let form = self.logged.form.map_or_else(|| FileFormat::recognise(&self.dataset), Ok)?;
        if form != FileFormat::Classification {
            return self.evaluate(form, out);
        }
        if let Some(flag) = self.logged.given() {
            return Err(format!(
                "{flag} is for a log of decisions; {} is a classification set",
                self.dataset.display()
            )
            .into());
        }
        if self.live.slot.is_some() && self.live.target.is_none() {
            return Err("--slot: of a classification set it names a slot on a server; give --target, too".into());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let dataset = Dataset::read(&self.dataset)?;
        let options = ReplayOptions {
            target: self.live.target,
            seeds: self.seeds.map_or_else(|| vec![self.seed], |seeds| (0..seeds).collect()),
            rounds: self.rounds.map(usize::try_from).transpose()?,
            slot: self.live.slot,
            replace: self.live.replace,
            keep: self.live.keep,
            model: self.learning.model.spec(),
            policy: self.learning.policy.policy(),
            exploration: self.learning.exploration,
            variant: Variant { drift: self.drift, delay: self.delay },
            silent_zeros: self.learning.silent_zeros,
            at_close: None,
            timing: self.timing.timing(),
        };
        let (stop, mut progress) = (CancellationToken::new(), ReplayProgressBar::new(options.seeds.len() as u64));
        let replaying = replay(&options, &dataset, &mut progress, Some(&stop));
        let report = runtime.block_on(async {
            match &options.target {
                Some(_) => Box::pin(run_until_signal(&stop, replaying)).await,
                // A run in this process has nothing to clean up and does not wait for signals.
                None => replaying.await,
            }
        })?;
        let text = if self.json { report.json()? } else { fit(&report.text()).into_owned() };
        // A closed pipe is not an error of this program.
        let _ = writeln!(out, "{text}");
        Ok(())
    }

    fn evaluate(self, form: FileFormat, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
        let given = [
            ("--target", self.live.target.is_some()),
            ("--replace", self.live.replace),
            ("--keep", self.live.keep),
            ("--seeds", self.seeds.is_some()),
            ("--drift", self.drift),
            ("--delay", self.delay.is_some()),
            ("--silent-zeros", self.learning.silent_zeros),
            ("--interval", self.timing.interval.is_some()),
            ("--time-column", self.timing.time_column.is_some()),
        ];
        if let Some((flag, _)) = given.into_iter().find(|(_, given)| *given) {
            return Err(format!(
                "{flag} is for a classification set; {} is a log of decisions",
                self.dataset.display()
            )
            .into());
        }
        let asked = LogArguments {
            file: self.dataset,
            form,
            slot: self.live.slot,
            seed: self.seed,
            rows: self.rounds.map(usize::try_from).transpose()?,
            learning: self.learning,
            json: self.json,
        };
        self.logged.run(&asked, out)
    }
}
