//! The command line.
//!
//! Parses, starts the runtime, and prints an error as one line with a hint, exit code 1. Usage
//! errors are clap's, exit code 2. Results go to standard output, progress to standard error.

use std::{
    error::Error,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use slotwise::bandit::{self, ModelSpec};

use crate::{
    dataset::Dataset,
    progress::Progress,
    replay::{Options, replay},
};

/// Passes at most: each is a pass over the whole set.
const SEEDS_MAX: u64 = 1_000;

/// Tests a Slotwise policy before a shopper meets it.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Stream a classification set as a bandit: context = features, arms = classes, reward 1 for the right class.
    Replay(Replay),
}

/// Flags of `replay`.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
struct Replay {
    /// The data set: NAME.csv.gz, NAME.json, or NAME alone for the pair.
    dataset: PathBuf,
    /// A live server, as in <http://127.0.0.1:50051>; without it the engine runs in this process.
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// The seed of the order and, in process, of the draws.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A pass for each of the seeds 0 to N − 1.
    #[arg(long, value_name = "N", conflicts_with = "seed", value_parser = clap::value_parser!(u64).range(1..=SEEDS_MAX))]
    seeds: Option<u64>,
    /// Stop after so many rows [default: all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// The slot's id [default: replay-DATASET-SEED]; with --seeds, the seed is added to it.
    #[arg(long, value_name = "NAME", requires = "target")]
    slot: Option<String>,
    /// If the slot exists, delete it, and what it learned, first.
    #[arg(long, requires = "target")]
    replace: bool,
    /// Leave the slot on the server when done.
    #[arg(long, requires = "target")]
    keep: bool,
    /// How the slot learns.
    #[arg(long, value_enum, default_value_t)]
    model: Model,
    /// How its scores become probabilities.
    #[arg(long, value_enum, default_value_t)]
    policy: Policy,
    /// The slot's width multiplier, 0 to 10 [default: the slot's own].
    #[arg(long, value_name = "X")]
    exploration: Option<f64>,
    /// Print one JSON object; its keys are described in the long help.
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Without --target the same command prints the same bytes every time.

The loss is the mean of 1 - reward over the rows as they come; \"last 20 %\" counts the rounds from floor(0.8 n) on.

Keys of --json:
  dataset, rows, arms   the set's name, its number of rows, its number of classes
  service               \"in_process\" or \"grpc\"
  model, exploration    the slot's model; its width multiplier, null where left at its default
  rounds                rows of a pass
  runs                  per seed: seed, loss, loss_last_20_percent, rewards, fallbacks
  loss                  over the seeds: mean, standard_error (null for one seed)
  loss_last_20_percent  the same over the last 20 %";

/// A model with its default parameters.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Model {
    /// Linear in the context, one posterior per arm.
    #[default]
    Linear,
    /// A rate per arm, without features.
    BetaBernoulli,
    /// A mean and a spread per arm, without features.
    NormalInverseGamma,
}

impl Model {
    /// With the parameters that the API gives a model where none are said.
    fn spec(self) -> ModelSpec {
        match self {
            Self::Linear => ModelSpec::default(),
            Self::BetaBernoulli => ModelSpec::beta_bernoulli(None, None),
            Self::NormalInverseGamma => ModelSpec::normal_inverse_gamma(None, None, None, None),
        }
    }
}

/// A policy with its default parameters.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Policy {
    /// Each arm with its probability of being the best.
    #[default]
    ThompsonSampling,
    /// All alike.
    Uniform,
    /// The first arm, always.
    FixedOrder,
    /// The highest expected reward.
    Greedy,
    /// The same, and one time in twenty any arm.
    EpsilonGreedy,
    /// The highest upper confidence bound; --exploration is its α.
    LinUcb,
    /// By the inverse of the gap to the highest expected reward.
    SquareCb,
}

impl Policy {
    /// With the parameters that the API gives a policy where none are said.
    fn policy(self) -> bandit::Policy {
        match self {
            Self::ThompsonSampling => bandit::Policy::ThompsonSampling,
            Self::Uniform => bandit::Policy::Uniform,
            Self::FixedOrder => bandit::Policy::FixedOrder,
            Self::Greedy => bandit::Policy::Greedy,
            Self::EpsilonGreedy => bandit::Policy::epsilon_greedy(None),
            Self::LinUcb => bandit::Policy::LinUcb,
            Self::SquareCb => bandit::Policy::square_cb(None),
        }
    }
}

impl Replay {
    async fn run(self, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
        let dataset = Dataset::read(&self.dataset)?;
        let options = Options {
            target: self.target,
            seeds: self.seeds.map_or_else(|| vec![self.seed], |seeds| (0..seeds).collect()),
            rounds: self.rounds.map(usize::try_from).transpose()?,
            slot: self.slot,
            replace: self.replace,
            keep: self.keep,
            model: self.model.spec(),
            policy: self.policy.policy(),
            exploration: self.exploration,
        };
        let report = replay(&options, &dataset, &mut Progress::default()).await?;
        let text = if self.json { report.json()? } else { report.text() };
        // A closed pipe is no error of ours.
        let _ = writeln!(out, "{text}");
        Ok(())
    }
}

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    let Cli { command: Command::Replay(replay) } = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => return report_error(&why),
    };
    match runtime.block_on(replay.run(&mut io::stdout())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => report_error(&*why),
    }
}

fn report_error(why: &(dyn Error + 'static)) -> ExitCode {
    let mut line = why.to_string();
    // The cause, where the message does not tell it already.
    if let Some(source) = why.source().map(ToString::to_string)
        && !line.contains(&source)
    {
        line = format!("{line} ({source})");
    }
    let _ = writeln!(io::stderr(), "error: {}", line.replace('\n', " "));
    ExitCode::FAILURE
}
