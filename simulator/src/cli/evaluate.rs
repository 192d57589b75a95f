//! The command `slotwise-simulator replay` for a log of decisions: candidates and output.

use std::{error::Error, io::Write, num::NonZeroUsize, path::PathBuf, thread};

use clap::{Args, ValueEnum};
use slotwise::cli::terminal::fit;

use super::LearningFlags;
use crate::{
    cli::progress::EvaluationProgressBar,
    evaluate::logged::{FileFormat, Log, LogSelection},
    evaluate::{self, EvaluatedPolicy, EvaluationOptions, evaluate, text},
    scenario::policies,
};

/// Flags about a log of decisions.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logged decisions")]
pub(super) struct LogFlags {
    /// Format of the file [default: detected by its first line].
    #[arg(long)]
    pub(super) form: Option<FileFormat>,
    /// Evaluate the policies of this file (a scenario, a file with [slot] and [[policies]], or a slot's file) instead
    /// of the one of --model and --policy.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "policy", "exploration"])]
    policies: Option<String>,
    /// Add the policy that always shows this arm. May be repeated.
    #[arg(long, value_name = "ARM")]
    arm: Vec<String>,
    /// Decisions that policies learn from.
    #[arg(long, value_enum, value_name = "WHAT")]
    learn: Option<LearnFlag>,
    /// Part of the decisions that is learned from, for --learn first [default: 0.5].
    #[arg(long, value_name = "PART", value_parser = part)]
    first: Option<f64>,
    /// Least propensity, for --learn matched: smaller ones are treated as this one, which accepts more decisions with some bias
    /// [default: the smallest].
    #[arg(long, value_name = "P", value_parser = part)]
    least_propensity: Option<f64>,
    /// Open Bandit Dataset: file of its items.
    #[arg(long, value_name = "FILE")]
    items: Option<PathBuf>,
    /// Open Bandit Dataset: evaluate this position alone.
    #[arg(long, value_name = "N")]
    position: Option<u32>,
    /// Journal export: use only decisions whose window had closed.
    #[arg(long)]
    complete: bool,
    /// Confidence of the intervals [default: 0.95].
    #[arg(long, value_name = "C", value_parser = part)]
    confidence: Option<f64>,
    /// Maximum of policies at the same time [default: one per core].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

/// Decisions that policies learn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LearnFlag {
    /// Decisions at which a policy's own draw matches the logged arm, as if it had run by itself.
    Matched,
    /// All earlier decisions of the log.
    All,
    /// The first part of the decisions, with their rewards even if these come later. The rest is evaluated.
    First,
}

fn part(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|part| *part > 0.0 && *part < 1.0).ok_or_else(|| "must lie between 0 and 1".into())
}

impl LogFlags {
    /// Returns the first given flag that is only for logs, or `None`.
    pub(super) fn given(&self) -> Option<&'static str> {
        let Self {
            form: _,
            policies,
            arm,
            learn,
            first,
            least_propensity,
            items,
            position,
            complete,
            confidence,
            threads,
        } = self;
        [
            ("--policies", policies.is_some()),
            ("--arm", !arm.is_empty()),
            ("--learn", learn.is_some()),
            ("--first", first.is_some()),
            ("--least-propensity", least_propensity.is_some()),
            ("--items", items.is_some()),
            ("--position", position.is_some()),
            ("--complete", *complete),
            ("--confidence", confidence.is_some()),
            ("--threads", threads.is_some()),
        ]
        .into_iter()
        .find_map(|(flag, given)| given.then_some(flag))
    }

    /// Evaluates and prints.
    pub(super) fn run(self, log: &LogArguments, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
        let only = |flag: &str, given: bool, with: &str| {
            if given { Err(format!("{flag} is for {with}; leave it out")) } else { Ok(()) }
        };
        let learn = self.learn.unwrap_or(LearnFlag::Matched);
        only("--first", self.first.is_some() && learn != LearnFlag::First, "--learn first")?;
        only("--least-propensity", self.least_propensity.is_some() && learn != LearnFlag::Matched, "--learn matched")?;
        only("--items", self.items.is_some() && log.form != FileFormat::OpenBandit, "the Open Bandit Dataset")?;
        only("--position", self.position.is_some() && log.form != FileFormat::OpenBandit, "the Open Bandit Dataset")?;
        only("--complete", self.complete && log.form != FileFormat::Journal, "a journal export")?;
        only("--slot", log.slot.is_some() && log.form != FileFormat::Journal, "a journal export, or for --target")?;
        let wanted = LogSelection {
            slot: log.slot.clone(),
            position: self.position,
            complete: self.complete,
            items: self.items,
            rows: log.rows,
        };
        let read = Log::read(&log.file, log.form, &wanted)?;
        let candidates = candidates(&read, self.policies.as_deref(), &self.arm, &log.learning)?;
        let options = EvaluationOptions {
            seed: log.seed,
            learning: match learn {
                LearnFlag::Matched => evaluate::LearningSource::Matched,
                LearnFlag::All => evaluate::LearningSource::All,
                LearnFlag::First => evaluate::LearningSource::First(self.first.unwrap_or(0.5)),
            },
            least_propensity: self.least_propensity,
            confidence: self.confidence.unwrap_or(0.95),
            threads: self.threads.unwrap_or_else(|| thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)),
        };
        let report = evaluate(&read, &candidates, &options, &EvaluationProgressBar::default())?;
        let text = if log.json { report.json()? } else { fit(&text::text(&report)).into_owned() };
        // A closed pipe is not an error of this program.
        let _ = writeln!(out, "{text}");
        Ok(())
    }
}

/// Values of the flags that a log shares with a classification set.
pub(super) struct LogArguments {
    pub(super) file: PathBuf,
    pub(super) form: FileFormat,
    pub(super) slot: Option<String>,
    pub(super) seed: u64,
    pub(super) rows: Option<usize>,
    pub(super) learning: LearningFlags,
    pub(super) json: bool,
}

/// Returns the log's own policy and uniform choice, then the requested ones. A policy called "uniform" replaces
/// uniform choice.
fn candidates(
    log: &Log,
    file: Option<&str>,
    arms: &[String],
    learning: &LearningFlags,
) -> Result<Vec<EvaluatedPolicy>, Box<dyn Error>> {
    let mut asked = Vec::new();
    if let Some(file) = file {
        for (name, definition) in policies(file)? {
            asked.push(EvaluatedPolicy::slot(log, &name, definition)?);
        }
    } else {
        let policy = learning.policy.policy();
        asked.push(EvaluatedPolicy::plain(log, learning.model.spec(), policy, learning.exploration)?);
    }
    for arm in arms {
        asked.push(EvaluatedPolicy::arm(log, arm)?);
    }
    let mut all = vec![EvaluatedPolicy::logged()];
    if !asked.iter().any(|candidate| candidate.name == "uniform") {
        all.push(EvaluatedPolicy::uniform());
    }
    all.append(&mut asked);
    let mut names: Vec<&str> = all.iter().map(|candidate| candidate.name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(evaluate::EvaluateError::Twice(twice[0].to_owned()).into());
    }
    Ok(all)
}
