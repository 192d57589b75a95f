//! `slotwise-simulator bench-learning`.

use std::{
    error::Error,
    io::{self, Write},
    num::NonZeroUsize,
    path::PathBuf,
    process::ExitCode,
    thread,
};

use clap::Args;

use super::{Learning, SEEDS_MAX};
use crate::{
    learning::{Options, bench, sets::Sets, table},
    progress::Overall,
    replay::Variant,
};

/// The exit code when there is nothing to tell.
pub(super) const COULD_NOT_RUN: u8 = 3;

/// Flags of `bench-learning`.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct BenchLearning {
    /// The folder of data sets: pairs NAME.csv.gz and NAME.json.
    dir: PathBuf,
    /// Only these sets, by the names of their files [default: all in the folder].
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    sets: Option<Vec<String>>,
    /// These variants of every set: plain, drift, delayB, drift+delayB
    /// [default: plain, and with more than two classes also drift, delay100, delay1000].
    #[arg(long, value_name = "VARIANT,...", value_delimiter = ',')]
    variants: Option<Vec<Variant>>,
    /// A run for each of the seeds 0 to N − 1.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=SEEDS_MAX))]
    seeds: u64,
    /// Runs at the same time; changes no result [default: as many as the machine has processors].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    learning: Learning,
    /// Learn a reward only when its window closes, so many rounds after its decision [default: on arrival].
    #[arg(long, value_name = "ROUNDS", value_parser = clap::value_parser!(u32).range(1000..))]
    at_close: Option<u32>,
    /// How far a loss may lie above a peer's, in standard errors of their difference.
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = tolerance)]
    tolerance: f64,
    /// Print one JSON object, the same bytes every time; its keys are described in the long help.
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Each run is a pass over a set in the order of its seed, in this process. The loss is the mean of 1 - reward over the
rows as they come; \"last 20 %\" counts the rounds from floor(0.8 n) on; the bars are the loss of each tenth, between
the first's and the last's number. The µs per round are wall time while the other threads ran.

Variants:
  plain         each reward arrives right after its decision
  drift         from round floor(n/2) on, the right arm is (label + 1) mod arms
  delayB        the rewards of rounds [jB, (j+1)B) all arrive right before round (j+1)B, or never
  drift+delayB  both

A row holds if its mean loss is at most that of every tuned peer and below that of every untuned one, where peers were
measured on the same stream. \"tuned\" peers have the best configuration of a grid for that set or over all sets.
\"reference\" learners are shown only.

Exit codes: 0 every row with peers holds, 1 at least one is a regression, 2 usage, 3 could not run.

Keys of --json:
  model, exploration    the slots' model; their width multiplier, null where left at its default
  policy, at_close      how scores became probabilities; rounds until a reward was learned, null: on arrival
  silent_zeros          whether a reward of 0 was no event
  seeds, tolerance      runs of each row; standard errors
  rows                  per set and variant:
    dataset, variant, rounds, arms
    loss, loss_last_20_percent   mean, standard_error (null for one seed)
    loss_by_tenth                ten losses, null for an empty tenth
    uniform_loss                 1 - 1/arms
    best_tuned, best_untuned, best_reference
                                 learner, loss, standard_error; null where there is none
    difference                   the mean loss less the best peer's, tuned or not; null without peers
    verdict                      \"holds\", \"regression\" or \"no_peers\"
    missed                       the best peer that was missed, or null
    runs                         per seed: seed, loss, loss_last_20_percent, rewards, fallbacks, loss_by_tenth
  regressions           the rows that are one, \"DATASET VARIANT\"";

fn tolerance(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|x: &f64| x.is_finite() && *x >= 0.0);
    number.ok_or_else(|| "must be a number of at least 0".to_owned())
}

/// Without repeats, in the order of their first mention.
fn each_once(named: Vec<Variant>) -> Vec<Variant> {
    let mut once = Vec::new();
    for variant in named {
        if !once.contains(&variant) {
            once.push(variant);
        }
    }
    once
}

impl BenchLearning {
    /// Whether every row holds, as an exit code.
    pub(super) fn run(self, out: &mut impl Write) -> Result<ExitCode, Box<dyn Error>> {
        let sets = Sets::in_folder(self.dir)?;
        for file in sets.alone() {
            let _ = writeln!(io::stderr(), "note: {} is left out: it has no .json beside it", file.display());
        }
        let datasets = sets.read(self.sets.as_deref())?;
        let options = Options {
            seeds: (0..self.seeds).collect(),
            threads: match self.threads {
                Some(threads) => threads,
                None => thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            },
            variants: self.variants.map(each_once),
            model: self.learning.model.spec(),
            exploration: self.learning.exploration,
            policy: self.learning.policy.policy(),
            silent_zeros: self.learning.silent_zeros,
            at_close: self.at_close,
            tolerance: self.tolerance,
        };
        let report = bench(&options, &datasets, &Overall::default())?;
        let text = if self.json { report.json()? } else { table::text(&report) };
        // A closed pipe is no error of ours.
        let _ = writeln!(out, "{text}");
        Ok(if report.regressions.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
