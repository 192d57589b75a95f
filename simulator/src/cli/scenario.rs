//! `slotwise-simulator run`, `list`, `explain` and `new`: scenarios.

use std::{
    error::Error,
    fs::{self, OpenOptions},
    io::{self, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
};

use clap::Args;

use super::{COULD_NOT_RUN, against::Against};
use crate::{
    cli::progress::RunProgressBar,
    live::LiveRunError,
    report::RunReport,
    report::output::{html, junit, markdown},
    report::show,
    run::{RunError, run},
    scenario::{Changes, Loaded, ScenarioError, load, shipped},
};

/// The exit code of a scenario that cannot be used.
const BAD_SCENARIO: u8 = 2;

/// A scenario that `new` begins with.
const TEMPLATE: &str = include_str!("../../scenarios/template.toml");

/// What is changed of a scenario, and how it is run.
#[derive(Debug, Clone, Args)]
pub(super) struct RunFlags {
    /// The small version, fit for CI.
    #[arg(long)]
    small: bool,
    /// Change a setting of the scenario, as in `--set traffic.per_day=500` or `--set check.lift.min=0.1`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Replications [default: the scenario's].
    #[arg(long, value_name = "N")]
    replications: Option<u32>,
    /// What everything is drawn from [default: the scenario's].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Only this policy; more than once: only these.
    #[arg(long = "policy", value_name = "NAME")]
    policies: Vec<String>,
    /// Replications at the same time; in process it changes no result [default: as many as the machine has processors].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

impl RunFlags {
    fn changes(&self) -> Changes {
        let replications = self.replications.map(|n| format!("replications={n}"));
        let set = self.set.iter().cloned().chain(replications).collect();
        Changes { small: self.small, set, policies: self.policies.clone() }
    }

    pub(super) fn load(&self, scenario: &str) -> Result<Loaded, CommandError> {
        Ok(load(scenario, &self.changes())?)
    }

    /// The same with one setting more.
    pub(super) fn with(&self, set: String) -> Self {
        let mut how = self.clone();
        how.set.push(set);
        how
    }

    pub(super) fn seed(&self, loaded: &Loaded) -> u64 {
        self.seed.unwrap_or(loaded.scenario.seed)
    }

    /// What `--seed` says.
    pub(super) fn given_seed(&self) -> Option<u64> {
        self.seed
    }

    /// Replications at the same time.
    pub(super) fn threads(&self) -> NonZeroUsize {
        match self.threads {
            Some(threads) => threads,
            None => thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        }
    }

    pub(super) fn run(&self, loaded: &Loaded) -> Result<RunReport, CommandError> {
        Ok(run(loaded, self.seed, self.threads(), &RunProgressBar::default())?)
    }
}

/// Why a command stopped, with its exit code.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// The scenario cannot be used.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// It could not be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// It could not be run against a live server.
    #[error(transparent)]
    Live(#[from] LiveRunError),
    /// A file could not be written.
    #[error("cannot write {file}: {why}", file = file.display())]
    Write {
        /// Which.
        file: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// A slot's file cannot be used.
    #[error("{file}: {message}", file = file.display())]
    Slot {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Something else.
    #[error(transparent)]
    Other(#[from] Box<dyn Error>),
}

impl CommandError {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Scenario(_)
            | Self::Slot { .. }
            | Self::Run(RunError::Scenario(_))
            | Self::Live(LiveRunError::Scenario(_)) => BAD_SCENARIO,
            Self::Run(RunError::Replication { .. })
            | Self::Live(LiveRunError::Replication { .. } | LiveRunError::Server(_))
            | Self::Write { .. }
            | Self::Other(_) => COULD_NOT_RUN,
        }
    }
}

/// Flags of `run`.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Run {
    /// A shipped scenario's name, or a .toml file.
    scenario: String,
    #[command(flatten)]
    how: RunFlags,
    /// Write the report as JSON to a file, or with - to standard output instead of the tables.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page to show a colleague: one file that needs no network.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write JUnit XML for a CI system: a test case per check; what is inconclusive is skipped there.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write Markdown for a pull request.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    #[command(flatten)]
    against: Against,
}

const AFTER_HELP: &str = "\
In process the same scenario and seed print the same bytes, with any number of threads; so do the files.

Expected rewards and regret are exact: the world says what every arm is worth to every shopper. All policies meet the
same shoppers, who would do the same with the same arm. A check passes or fails only where chance is ruled out with its
confidence, after Holm's correction over all checks; else it is inconclusive, and says how many replications would tell.

With --target the same shoppers come to a live server, over gRPC and by the wall clock, at times laid down in advance,
whether or not earlier answers came; latencies count from those times, and what failed counts as 10 s. Each policy gets a
slot of its own in each replication, for simulated traffic (controls.simulated), which is deleted when done, also after
Ctrl-C, SIGTERM or a failure. The slots' own times (window, half-life) are divided by the speed. Draws are the server's,
so results differ from run to run. Slots that are there and not for simulated traffic are never touched; a restart cannot be played.

Exit codes: 0 all checks hold, 1 one fails, 2 the scenario cannot be used, 3 could not run, 4 inconclusive.";

impl Run {
    pub(super) fn run(self, out: &mut impl Write) -> Result<ExitCode, CommandError> {
        let loaded = self.how.load(&self.scenario)?;
        let to_stdout = self.json.as_deref() == Some(Path::new("-"));
        // A closed pipe is no error of ours.
        if to_stdout {
            let _ = writeln!(io::stderr(), "seed {}", self.how.seed(&loaded));
        } else {
            let _ = writeln!(out, "seed {}", self.how.seed(&loaded));
        }
        let report = self.against.run(&self.how, &loaded)?;
        if let Some(file) = &self.json {
            let json = report.json().map_err(|why| CommandError::Other(why.into()))?;
            if to_stdout {
                let _ = out.write_all(json.as_bytes());
            } else {
                write(file, &json)?;
            }
        }
        if let Some(file) = &self.html {
            let source = toml::to_string_pretty(&loaded.scenario).map_err(|why| CommandError::Other(why.into()))?;
            write(file, &html::render(&report, &source))?;
        }
        if let Some(file) = &self.junit {
            write(file, &junit::render(&report))?;
        }
        if let Some(file) = &self.markdown {
            write(file, &markdown::render(&report))?;
        }
        if !to_stdout {
            let _ = writeln!(out, "{}", show::text(&report));
        }
        Ok(ExitCode::from(report.verdict.exit_code()))
    }
}

fn write(file: &Path, text: &str) -> Result<(), CommandError> {
    fs::write(file, text).map_err(|why| CommandError::Write { file: file.to_owned(), why })
}

/// Lists the shipped scenarios.
pub(super) fn list(out: &mut impl Write) -> Result<ExitCode, CommandError> {
    let width = shipped::names().map(str::len).max().unwrap_or(0);
    for name in shipped::names() {
        let loaded = load(name, &Changes::default())?;
        let _ = writeln!(out, "{name:width$}  {}", loaded.scenario.title);
    }
    Ok(ExitCode::SUCCESS)
}

/// Flags of `explain`.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// A shipped scenario's name, or a .toml file.
    scenario: String,
    #[command(flatten)]
    how: RunFlags,
    /// Print the scenario itself as TOML, with all that --small, --set and extends make of it.
    #[arg(long)]
    toml: bool,
}

impl Explain {
    pub(super) fn run(self, out: &mut impl Write) -> Result<ExitCode, CommandError> {
        let loaded = self.how.load(&self.scenario)?;
        let text = if self.toml {
            toml::to_string_pretty(&loaded.scenario).map_err(|why| CommandError::Other(why.into()))?
        } else {
            show::explain(&loaded, self.how.seed(&loaded)).map_err(RunError::Scenario)?
        };
        let _ = writeln!(out, "{}", text.trim_end());
        Ok(ExitCode::SUCCESS)
    }
}

/// Flags of `new`.
#[derive(Debug, Args)]
pub(super) struct New {
    /// The scenario's name; it is written to NAME.toml.
    name: String,
}

impl New {
    pub(super) fn run(self, out: &mut impl Write) -> Result<ExitCode, CommandError> {
        let file = PathBuf::from(&self.name);
        let file = if file.extension().is_some_and(|ending| ending == "toml") {
            file
        } else {
            file.with_added_extension("toml")
        };
        let written = OpenOptions::new().write(true).create_new(true).open(&file);
        let written = written.and_then(|mut open| open.write_all(TEMPLATE.as_bytes()));
        written.map_err(|why| CommandError::Write { file: file.clone(), why })?;
        let _ = writeln!(out, "wrote {}; try: slotwise-simulator run {}", file.display(), file.display());
        Ok(ExitCode::SUCCESS)
    }
}
