//! The command line.
//!
//! It parses, starts the runtime, and prints an error as one line with a hint. Results go to standard output, progress
//! to standard error.
//!
//! Exit codes:
//!
//! * Usage errors are clap's, exit code 2.
//! * Other errors have exit code 1.
//! * `bench-learning`, `meta` and `soak` use 1 for a negative result (a worse loss, different runs, a server that does
//!   not hold), and 3 for errors.
//! * Scenarios use 0 if all checks hold, 1 if one fails, 2 for a bad scenario, 3 if it could not run, and 4 if it is
//!   inconclusive.

mod against;
mod bench_learning;
mod compare;
mod evaluate;
mod import;
mod meta;
pub mod progress;
mod replay;
mod scenario;
mod soak;
mod stop;

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use slotwise::{
    bandit::{self, Expansion, LinearSpec, ModelSpec},
    cli::{
        help,
        terminal::{Escaping, printable},
    },
};

use crate::learning::replay::RowTiming;

/// Exit code of a command that could not run, if 1 is a result.
const COULD_NOT_RUN: u8 = 3;

/// Maximum of passes. Each goes over the whole set.
const SEEDS_MAX: u64 = 1_000;

/// Tests a Slotwise policy before a shopper meets it.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: SimulatorCommand,
}

#[derive(Debug, Subcommand)]
enum SimulatorCommand {
    /// Run a scenario, in this process or against a live server: its policies meet the same simulated shoppers, and
    /// its checks are tested.
    Run(scenario::RunScenario),
    /// List the shipped scenarios.
    List(scenario::ListScenarios),
    /// Describe a scenario: its subject, its truth, and its checks.
    Explain(scenario::ExplainScenario),
    /// Write a commented scenario to begin with.
    New(scenario::NewScenario),
    /// Compare two slot configurations on one scenario.
    Compare(compare::Compare),
    /// Run one scenario for several values of a setting: a table and a plot of the reward against it.
    Sweep(compare::Sweep),
    /// Evaluate policies on logged data: a journal export or the Open Bandit Dataset, off policy with intervals. A
    /// classification set is streamed as a bandit (context = features, arms = classes, reward 1 for the right one).
    Replay(Box<replay::Replay>),
    /// Teach a slot of a running service the decisions of a log, as a warm start.
    Import(Box<import::Import>),
    /// Measure learning: every set of a folder, over many seeds, beside the losses of other learners.
    BenchLearning(bench_learning::BenchLearning),
    /// Compare events and snapshots of two runs of one seed, byte by byte.
    Meta(meta::Meta),
    /// Put load on a live server by the wall clock, to see that it holds: no errors, and memory that does not grow.
    Soak(soak::Soak),
}

/// Flags about a slot's learning.
#[derive(Debug, Args)]
struct LearningFlags {
    /// Model of the slot.
    #[arg(long, value_enum, default_value_t)]
    model: ModelFlag,
    /// Policy of the slot, which turns scores into probabilities.
    #[arg(long, value_enum, default_value_t)]
    policy: PolicyFlag,
    /// The slot's width multiplier, 0 to 10 [default: the slot's own].
    #[arg(long, value_name = "X")]
    exploration: Option<f64>,
    /// Send only rewards of 1. A reward of 0 is the slot's default and sends no event.
    #[arg(long)]
    silent_zeros: bool,
}

/// Flags about the order and the times of a set's rows.
#[derive(Debug, Args)]
struct TimingFlags {
    /// Stream the rows in the order of the file, this far apart, so that forgetting goes by the clock, as in 30m or 1h
    /// [default: shuffled, a millisecond apart].
    #[arg(long, value_name = "DURATION", conflicts_with = "time_column", value_parser = duration)]
    interval: Option<Duration>,
    /// Stream the rows in the order of this column of times in seconds, which is then no feature.
    #[arg(long, value_name = "NAME")]
    time_column: Option<String>,
}

impl TimingFlags {
    fn timing(self) -> RowTiming {
        match (self.interval, self.time_column) {
            (_, Some(column)) => RowTiming::Column(column),
            (Some(interval), None) => RowTiming::Every(interval),
            (None, None) => RowTiming::Shuffled,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|why| format!("{why}; write it as 30s, 5m or 1h"))?;
    if duration.is_zero() { Err("must be longer than nothing".to_owned()) } else { Ok(duration) }
}

/// A model with its default parameters.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
#[value(rename_all = "snake_case")]
enum ModelFlag {
    /// Several models, weighted by their predictions.
    #[default]
    Portfolio,
    /// Linear in the context, one posterior per arm.
    Linear,
    /// Linear with products of features.
    Interactions,
    /// Linear with random Fourier features of the numbers.
    Fourier,
    /// A rate per arm, without features.
    BetaBernoulli,
    /// A mean and a spread per arm, without features.
    NormalInverseGamma,
}

impl ModelFlag {
    /// Returns the model with the API's default parameters.
    fn spec(self) -> ModelSpec {
        match self {
            Self::Portfolio => ModelSpec::default(),
            Self::Linear => ModelSpec::linear(None, None),
            Self::Interactions => expanded(Expansion::Interactions),
            Self::Fourier => expanded(Expansion::Fourier),
            Self::BetaBernoulli => ModelSpec::beta_bernoulli(None, None),
            Self::NormalInverseGamma => ModelSpec::normal_inverse_gamma(None, None, None, None),
        }
    }
}

fn expanded(expansion: Expansion) -> ModelSpec {
    ModelSpec::Linear(LinearSpec { expansion, ..LinearSpec::default() })
}

/// A policy with its default parameters.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
#[value(rename_all = "snake_case")]
enum PolicyFlag {
    /// Each arm by its probability of being the best under the posterior.
    #[default]
    ThompsonSampling,
    /// Equal probabilities for all arms.
    Uniform,
    /// Always the first class.
    FixedOrder,
    /// Always the largest mean.
    Greedy,
    /// The largest mean, and with probability 0.05 any arm.
    EpsilonGreedy,
    /// Always the largest upper confidence bound.
    LinUcb,
    /// Probabilities by the inverse of the gap to the largest mean.
    SquareCb,
}

impl PolicyFlag {
    /// Returns the policy with the API's default parameters.
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

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    slotwise::cli::table::limit_to_terminal();
    let mut out = Escaping(io::stdout());
    let scenario = |done: Result<ExitCode, scenario::CommandError>| match done {
        Ok(code) => (Ok(code), 0),
        Err(stop) => {
            let code = stop.exit_code();
            (Err(Box::<dyn Error>::from(stop)), code)
        }
    };
    let matches = match help::matches(Cli::command()) {
        Ok(matches) => matches,
        Err(code) => return code,
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(why) => why.exit(),
    };
    let (done, error_code) = match cli.command {
        SimulatorCommand::Run(run) => scenario(run.run(&mut out)),
        SimulatorCommand::List(list) => scenario(list.run(&mut out)),
        SimulatorCommand::Explain(explain) => scenario(explain.run(&mut out)),
        SimulatorCommand::New(new) => scenario(new.run(&mut out)),
        SimulatorCommand::Compare(compare) => scenario(compare.run(&mut out)),
        SimulatorCommand::Sweep(sweep) => scenario(sweep.run(&mut out)),
        SimulatorCommand::Replay(replay) => (replay.run(&mut out).map(|()| ExitCode::SUCCESS), 1),
        SimulatorCommand::Import(import) => (import.run(&mut out).map(|()| ExitCode::SUCCESS), 1),
        SimulatorCommand::BenchLearning(bench) => (bench.run(&mut out), COULD_NOT_RUN),
        SimulatorCommand::Meta(meta) => (meta.run(&mut out), COULD_NOT_RUN),
        SimulatorCommand::Soak(soak) => (soak.run(&mut out), COULD_NOT_RUN),
    };
    done.unwrap_or_else(|why| {
        report_error(&*why);
        ExitCode::from(error_code)
    })
}

fn report_error(why: &(dyn Error + 'static)) {
    let mut line = why.to_string();
    // The cause is printed if the message does not contain it already.
    if let Some(source) = why.source().map(ToString::to_string)
        && !line.contains(&source)
    {
        line = format!("{line} ({source})");
    }
    let _ = writeln!(io::stderr(), "error: {}", printable(&line.replace('\n', " ")));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: &mut clap::Command) -> usize {
        let name = command.get_name().to_owned();
        for text in [command.render_help().to_string(), command.render_long_help().to_string()] {
            let fitted = help::fitted(&text, 80);
            for line in fitted.lines() {
                let one_word = line.split_whitespace().count() <= 1;
                assert!(line.chars().count() <= 80 || one_word, "{name}: {line}");
            }
            assert!(fitted.split_whitespace().eq(text.split_whitespace()), "{name}: {fitted}");
        }
        1 + command.get_subcommands_mut().map(check).sum::<usize>()
    }

    /// Every help text fits 80 columns, and has the same words in the same order.
    #[test]
    fn every_help_fits_eighty_columns() {
        let mut command = Cli::command();
        command.build();
        assert!(check(&mut command) > 10);
    }

    /// Commands that read nothing, each with the reason. Every other command takes `--json`.
    const WITHOUT_JSON: &[(&str, &str)] = &[("new", "writes a file"), ("import", "changes a slot")];

    #[test]
    fn every_command_that_reads_takes_json() {
        let command = Cli::command();
        let mut listed: Vec<&str> = Vec::new();
        for sub in command.get_subcommands() {
            let takes_json = sub.get_arguments().any(|argument| argument.get_long() == Some("json"));
            let reason = WITHOUT_JSON.iter().find(|(name, _)| *name == sub.get_name()).map(|(_, reason)| *reason);
            assert_ne!(takes_json, reason.is_some(), "{}: {reason:?}", sub.get_name());
            listed.extend(reason.map(|_| sub.get_name()));
        }
        assert_eq!(listed.len(), WITHOUT_JSON.len(), "every listed command is there: {listed:?}");
    }
}
