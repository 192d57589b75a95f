//! The command `slotwise-simulator bench-learning`.

use std::{
    error::Error,
    io::{self, Write},
    num::NonZeroUsize,
    path::PathBuf,
    process::ExitCode,
    thread,
};

use clap::Args;
use serde::Serialize;
use slotwise::cli::terminal::fit;

use super::{LearningFlags, SEEDS_MAX, TimingFlags};
use crate::{
    cli::progress::BenchProgressBar,
    learning::replay::Variant,
    learning::{
        BenchOptions, BenchReport, bench,
        regimes::{self, RegimeOptions},
        sets::Sets,
        table,
        times::{self, Time, TimingPlan},
    },
};

/// Flags of `bench-learning`.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct BenchLearning {
    /// Folder of data sets: pairs NAME.csv.gz and NAME.json. Optional with --times and --regimes.
    #[arg(required_unless_present_any = ["times", "regimes"])]
    dir: Option<PathBuf>,
    /// Play simulated streams with scarce, wild, rare or moving data, beside plain learners; all of them, or those named
    /// (R1 to R15).
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', num_args = 0.., conflicts_with_all = ["dir", "times"])]
    regimes: Option<Vec<String>>,
    /// Number of worlds of each regime.
    #[arg(long, value_name = "N", default_value_t = 5, requires = "regimes", value_parser = clap::value_parser!(u64).range(1..=SEEDS_MAX))]
    worlds: u64,
    /// Play a tenth of each long stream, and judge nothing.
    #[arg(long, requires = "regimes")]
    small: bool,
    /// Time a decision and an update of each model too, for several numbers of features.
    #[arg(long)]
    times: bool,
    /// Run only these sets, by the names of their files [default: all in the folder].
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', requires = "dir")]
    sets: Option<Vec<String>>,
    /// Variants of every set: plain, drift, delayB, drift+delayB [default: plain, and with more than two classes also
    /// drift, delay100, delay1000].
    #[arg(long, value_name = "VARIANT,...", value_delimiter = ',', requires = "dir")]
    variants: Option<Vec<Variant>>,
    /// Run each of the seeds 0 to N − 1.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=SEEDS_MAX))]
    seeds: u64,
    /// Maximum of runs at the same time. Changes no result [default: one per processor].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    learning: LearningFlags,
    /// Learn a reward only when its window closes, this many rounds after its decision [default: on arrival].
    #[arg(long, value_name = "ROUNDS", conflicts_with_all = ["interval", "time_column"], value_parser = clap::value_parser!(u32).range(1000..))]
    at_close: Option<u32>,
    #[command(flatten)]
    timing: TimingFlags,
    /// Standard errors of their difference by which a loss may lie above a peer's.
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = tolerance)]
    tolerance: f64,
    /// Print one JSON object. Without --times its bytes are the same every time. The long help describes its keys.
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Each run is a pass over a set in the order of its seed, in this process. The loss is the mean of 1 - reward over the
rows as they come. \"last 20 %\" counts the rounds from floor(0.8 n) on. The bars show the loss of each tenth, between
the numbers of the first and the last tenth. The µs per round are wall time while the other threads ran.

Variants:
  plain         each reward arrives right after its decision
  drift         from round floor(n/2) on, the right arm is (label + 1) mod arms
  delayB        the rewards of rounds [jB, (j+1)B) all arrive right before round (j+1)B, or never
  drift+delayB  both

With --interval or --time-column the seeds differ in their draws only, and no peers are compared.

A row holds if its mean loss is at most that of every tuned peer and below that of every untuned one, if peers were
measured on the same stream. \"tuned\" peers have the best configuration of a grid for that set or over all sets.
\"reference\" learners are shown only for comparison.

--times prints a second table, measured one call after another once all runs are over: rewards in [0, 1] and 20 arms, for
d encoded features, the constant 1 included. A decision ranks one position by Thompson sampling. An update learns one
reward at rows that were encoded before. \"portfolio, undecided\" is a portfolio whose models all decide. Without DIR
this is the only table, and the exit code is 0.

--regimes prints a table of its own: the measure of a slot with its defaults, that of the best other learner in the same
worlds, and what it must be. A row holds if it misses its criterion by at most two standard errors, paired by world.
--silent-zeros sends no event for a reward of 0. Its JSON has worlds, silent_zeros, small, rows and regressions.

Exit codes: 0 every row with peers holds, 1 at least one row is a regression, 2 usage, 3 could not run.

Keys of --json:
  model, exploration    the slots' model; their width multiplier, null for the default
  policy, at_close      the slots' policy; rounds until a reward was learned, null for on arrival
  silent_zeros          whether a reward of 0 sent no event
  timing                \"shuffled\", \"every 30m\" or \"by COLUMN\"
  seeds, tolerance      runs of each row; standard errors
  rows                  per set and variant:
    dataset, variant, rounds, arms
    loss, loss_last_20_percent   mean, standard_error (null for one seed)
    loss_by_tenth                ten losses, null for an empty tenth
    uniform_loss                 1 - 1/arms
    best_tuned, best_untuned, best_reference
                                 learner, loss, standard_error; null if there is none
    difference                   the mean loss minus the best peer's, tuned or not; null without peers
    verdict                      \"holds\", \"regression\" or \"no_peers\"
    missed                       the best peer that was missed, or null
    runs                         per seed: seed, loss, loss_last_20_percent, rewards, fallbacks, loss_by_tenth
  regressions           the rows with a regression, \"DATASET VARIANT\"
  times                 only with --times, and without DIR the only key; per model and number of features:
    model, dimensions            its name; d
    dimensions_of_model          largest of the posteriors that decide; 0 without features
    deciding                     models whose scores make a decision
    decision_us, update_us       µs";

fn tolerance(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|x: &f64| x.is_finite() && *x >= 0.0);
    number.ok_or_else(|| "must be a number of at least 0".to_owned())
}

/// Removes repeats and keeps the order of the first mention.
fn each_once(named: Vec<Variant>) -> Vec<Variant> {
    let mut once = Vec::new();
    for variant in named {
        if !once.contains(&variant) {
            once.push(variant);
        }
    }
    once
}

/// The JSON that is printed with times.
#[derive(Debug, Serialize)]
struct WithTimes<'a> {
    #[serde(flatten)]
    report: Option<&'a BenchReport>,
    times: &'a [Time],
}

impl BenchLearning {
    /// Runs the command. The exit code says whether every row holds.
    pub(super) fn run(mut self, out: &mut impl Write) -> Result<ExitCode, Box<dyn Error>> {
        let (json, timed) = (self.json, self.times);
        if let Some(names) = self.regimes.take() {
            return self.play_regimes(names, out);
        }
        let report = self.dir.take().map(|dir| self.report(dir)).transpose()?;
        // A closed pipe is not an error of this program.
        if let Some(report) = &report
            && !(json && timed)
        {
            let text = if json { report.json()? } else { fit(&table::text(report)).into_owned() };
            let _ = writeln!(out, "{text}");
        }
        if timed {
            let plan = TimingPlan::default();
            let times = times::measure(&plan, |time| {
                let _ = writeln!(io::stderr(), "timed {}, d = {}", time.model, time.dimensions);
            });
            let with = WithTimes { report: report.as_ref(), times: &times };
            let text = if json { serde_json::to_string(&with)? } else { fit(&times::text(&plan, &times)).into_owned() };
            let _ = writeln!(out, "{text}");
        }
        let holds = report.is_none_or(|report| report.regressions.is_empty());
        Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Number of threads.
    fn threads(&self) -> NonZeroUsize {
        self.threads.unwrap_or_else(|| thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// Plays the regimes of these names, or all if there is none.
    fn play_regimes(self, names: Vec<String>, out: &mut impl Write) -> Result<ExitCode, Box<dyn Error>> {
        if let Some(name) = names.iter().find(|name| !regimes::is_name(name)) {
            return Err(format!("there is no regime '{name}'; there are: {}", regimes::NAMES.join(", ")).into());
        }
        let options = RegimeOptions {
            threads: self.threads(),
            names,
            worlds: self.worlds,
            silent_zeros: self.learning.silent_zeros,
            small: self.small,
        };
        let report = regimes::play(&options, &|name| {
            let _ = writeln!(io::stderr(), "a world of {name} is done");
        });
        let text = if self.json { report.json()? } else { fit(&report.text()).into_owned() };
        // A closed pipe is not an error of this program.
        let _ = writeln!(out, "{text}");
        Ok(if report.regressions.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Runs the sets of the folder.
    fn report(self, dir: PathBuf) -> Result<BenchReport, Box<dyn Error>> {
        let sets = Sets::in_folder(dir)?;
        for file in sets.alone() {
            let _ = writeln!(io::stderr(), "note: {} is left out: it has no .json beside it", file.display());
        }
        let datasets = sets.read(self.sets.as_deref())?;
        let options = BenchOptions {
            seeds: (0..self.seeds).collect(),
            threads: self.threads(),
            variants: self.variants.map(each_once),
            model: self.learning.model.spec(),
            exploration: self.learning.exploration,
            policy: self.learning.policy.policy(),
            silent_zeros: self.learning.silent_zeros,
            at_close: self.at_close,
            timing: self.timing.timing(),
            tolerance: self.tolerance,
        };
        Ok(bench(&options, &datasets, &BenchProgressBar::default())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times are the only key that differs between two runs. A program that compares reports does not ask for them.
    #[test]
    fn times_are_one_key_beside_those_of_the_report() {
        let keys = |text: &str| {
            let json: serde_json::Value = serde_json::from_str(text).unwrap();
            let mut keys: Vec<String> = json.as_object().unwrap().keys().cloned().collect();
            keys.sort();
            keys.join(" ")
        };
        let report = BenchReport {
            model: "linear",
            exploration: None,
            silent_zeros: false,
            policy: "thompson_sampling",
            at_close: None,
            timing: crate::learning::replay::RowTiming::Shuffled,
            seeds: 1,
            tolerance: 0.5,
            rows: Vec::new(),
            regressions: Vec::new(),
        };
        let with = |report| keys(&serde_json::to_string(&WithTimes { report, times: &[] }).unwrap());
        assert_eq!(with(None), "times");
        let mut want: Vec<String> = keys(&report.json().unwrap()).split(' ').map(ToOwned::to_owned).collect();
        want.push("times".to_owned());
        want.sort();
        assert_eq!(with(Some(&report)), want.join(" "));
    }
}
