//! `slotwise-simulator replay`.

use std::{error::Error, io::Write, num::NonZeroUsize, path::PathBuf};

use clap::Args;

use super::{Learning, SEEDS_MAX};
use crate::{
    dataset::Dataset,
    progress::Progress,
    replay::{Options, Variant, replay},
};

/// Flags of `replay`.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Replay {
    /// The data set: NAME.csv.gz, NAME.json, or NAME alone for the pair.
    dataset: PathBuf,
    #[command(flatten)]
    live: Live,
    /// The seed of the order and, in process, of the draws.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A pass for each of the seeds 0 to N − 1.
    #[arg(long, value_name = "N", conflicts_with = "seed", value_parser = clap::value_parser!(u64).range(1..=SEEDS_MAX))]
    seeds: Option<u64>,
    /// Stop after so many rows [default: all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// From the middle of the rounds on, the right arm is the one after the label's.
    #[arg(long)]
    drift: bool,
    /// Rewards arrive in batches: those of B rounds right before the round after them.
    #[arg(long, value_name = "B")]
    delay: Option<NonZeroUsize>,
    #[command(flatten)]
    learning: Learning,
    /// Print one JSON object; its keys are described in the long help.
    #[arg(long)]
    json: bool,
}

/// Flags about a live server.
#[derive(Debug, Args)]
struct Live {
    /// A live server, as in <http://127.0.0.1:50051>; without it the engine runs in this process.
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// The slot's id [default: replay-DATASET-SEED]; with --seeds, the seed is added to it.
    #[arg(long, value_name = "NAME", requires = "target")]
    slot: Option<String>,
    /// If the slot exists, delete it, and what it learned, first.
    #[arg(long, requires = "target")]
    replace: bool,
    /// Leave the slot on the server when done.
    #[arg(long, requires = "target")]
    keep: bool,
}

const AFTER_HELP: &str = "\
Without --target the same command prints the same bytes every time.

The loss is the mean of 1 - reward over the rows as they come; \"last 20 %\" counts the rounds from floor(0.8 n) on.
With --delay B the rewards of rounds [jB, (j+1)B) all arrive right before round (j+1)B; what would arrive after the
last round never does. With --drift the right arm is (label + 1) mod arms from round floor(n/2) on.

Keys of --json:
  dataset, rows, arms   the set's name, its number of rows, its number of classes
  service               \"in_process\" or \"grpc\"
  model, exploration    the slot's model; its width multiplier, null where left at its default
  policy                how scores became probabilities
  rounds                rows of a pass
  variant               \"plain\", \"drift\", \"delayB\" or \"drift+delayB\"
  silent_zeros          whether a reward of 0 was no event
  runs                  per seed: seed, loss, loss_last_20_percent, rewards, fallbacks, loss_by_tenth
  loss                  over the seeds: mean, standard_error (null for one seed)
  loss_last_20_percent  the same over the last 20 %";

impl Replay {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let dataset = Dataset::read(&self.dataset)?;
        let options = Options {
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
        };
        let report = runtime.block_on(replay(&options, &dataset, &mut Progress::default()))?;
        let text = if self.json { report.json()? } else { report.text() };
        // A closed pipe is no error of ours.
        let _ = writeln!(out, "{text}");
        Ok(())
    }
}
