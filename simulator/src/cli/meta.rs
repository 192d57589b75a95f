//! The command `slotwise-simulator meta`.

use std::{error::Error, io::Write, num::NonZeroU64, path::PathBuf, process::ExitCode};

use clap::Args;
use serde_json::json;
use slotwise::cli::terminal::fit;

use super::LearningFlags;
use crate::{
    cli::progress::ReplayProgressBar,
    dataset::Dataset,
    learning::replay::ReplayOptions,
    stress::meta::{RunComparison, meta},
};

/// Flags of `meta`.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Meta {
    /// Data set: NAME.csv.gz, NAME.json, or NAME alone for the pair.
    dataset: PathBuf,
    /// Seed of the order and of the draws, in both runs.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Stop after this many rows [default: all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Compare the whole state too, after this many decisions each time and at the end.
    #[arg(long, value_name = "N", default_value = "1000")]
    snapshot_every: NonZeroU64,
    #[command(flatten)]
    learning: LearningFlags,
    /// Print one JSON object: dataset, seed, equal, and the same sentence as without this flag.
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Replays the set twice at the same time with the same seed, in this process. Every event is compared as the journal
stores it, and the state as a snapshot stores it, byte by byte. The first difference ends both runs.

Exit codes: 0 the runs are equal, 1 they differ, 2 usage, 3 could not run.";

impl Meta {
    /// Runs the command. The exit code says whether the runs are equal.
    pub(super) fn run(self, out: &mut impl Write) -> Result<ExitCode, Box<dyn Error>> {
        let dataset = Dataset::read(&self.dataset)?;
        let options = ReplayOptions {
            seeds: vec![self.seed],
            rounds: self.rounds.map(usize::try_from).transpose()?,
            model: self.learning.model.spec(),
            policy: self.learning.policy.policy(),
            exploration: self.learning.exploration,
            silent_zeros: self.learning.silent_zeros,
            ..ReplayOptions::default()
        };
        let (name, seed) = (dataset.name(), self.seed);
        let comparison = meta(&options, &dataset, self.snapshot_every, &mut ReplayProgressBar::new(1))?;
        let (is_equal, sentence) = match &comparison {
            RunComparison::Equal(equal) => (true, equal.to_string()),
            RunComparison::Differs(difference) => (false, difference.to_string()),
        };
        let text = if self.json {
            json!({"dataset": name, "seed": seed, "equal": is_equal, "sentence": sentence}).to_string()
        } else {
            fit(&format!("{name}, seed {seed}, twice: {sentence}")).into_owned()
        };
        // A closed pipe is not an error of this program.
        let _ = writeln!(out, "{text}");
        Ok(if is_equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
