//! The commands `slotwise-simulator run`, `list`, `explain` and `new`.

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
use serde::Serialize;
use serde_json::json;
use slotwise::cli::terminal::{entry, fit};

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

/// Exit code of a scenario that cannot be used.
const BAD_SCENARIO: u8 = 2;

/// The scenario that `new` writes.
const TEMPLATE: &str = include_str!("../../scenarios/template.toml");

/// Flags that change a scenario or say how it is run.
#[derive(Debug, Clone, Args)]
pub(super) struct RunFlags {
    /// Run the small version, fit for CI.
    #[arg(long)]
    small: bool,
    /// Change a setting of the scenario, as in `--set traffic.per_day=500` or `--set check.lift.min=0.1`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Number of replications [default: the scenario's].
    #[arg(long, value_name = "N")]
    replications: Option<u32>,
    /// Seed of all randomness [default: the scenario's].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Run only this policy. May be repeated.
    #[arg(long = "policy", value_name = "NAME")]
    policies: Vec<String>,
    /// Maximum of replications at the same time. In this process it changes no result [default: one per processor].
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

    /// Returns the flags with one more setting.
    pub(super) fn with(&self, set: String) -> Self {
        let mut how = self.clone();
        how.set.push(set);
        how
    }

    pub(super) fn seed(&self, loaded: &Loaded) -> u64 {
        self.seed.unwrap_or(loaded.scenario.seed)
    }

    /// Returns the value of `--seed`.
    pub(super) fn given_seed(&self) -> Option<u64> {
        self.seed
    }

    /// Returns the number of replications at the same time.
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

/// Reason why a command stopped, with its exit code.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// The scenario cannot be used.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The scenario could not be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The scenario could not be run against a live server.
    #[error(transparent)]
    Live(#[from] LiveRunError),
    /// A file could not be written.
    #[error("cannot write {file}: {why}", file = file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// The cause.
        why: io::Error,
    },
    /// A slot's file cannot be used.
    #[error("{file}: {message}", file = file.display())]
    Slot {
        /// The file.
        file: PathBuf,
        /// The problem with it.
        message: String,
    },
    /// Another error.
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
pub(super) struct RunScenario {
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
    /// Write JUnit XML for a CI system: a test case per check. Inconclusive checks are skipped there.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write Markdown for a pull request.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    #[command(flatten)]
    against: Against,
}

const AFTER_HELP: &str = "\
In this process the same scenario and seed print and write the same bytes, with any number of threads.

Expected rewards and regret are exact: the environment computes the expected reward of every arm for every shopper. All
policies meet the same shoppers, who do the same with the same arm. A check passes or fails only if chance is ruled out
with its confidence, after Holm's correction over all checks. Otherwise it is inconclusive, and says how many
replications would decide it.

With --target the same shoppers come to a live server, over gRPC and by the wall clock, at times fixed in advance,
whether or not earlier answers came. Latencies count from those times, and a failed call counts as 10 s. Each policy gets
a slot of its own in each replication, for simulated traffic (controls.simulated), which is deleted when done, also after
Ctrl-C, SIGTERM or a failure. The slots' own times (window, half-life) are divided by the speed. The server draws, so
results differ from run to run. Existing slots that are not for simulated traffic are never touched. Scenarios with a
restart cannot be played against a server.

Exit codes: 0 all checks hold, 1 a check fails, 2 the scenario cannot be used, 3 could not run, 4 inconclusive.";

impl RunScenario {
    pub(super) fn run(self, out: &mut impl Write) -> Result<ExitCode, CommandError> {
        let loaded = self.how.load(&self.scenario)?;
        let to_stdout = self.json.as_deref() == Some(Path::new("-"));
        // A closed pipe is not an error of this program.
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
            let _ = writeln!(out, "{}", fit(&show::text(&report)));
        }
        Ok(ExitCode::from(report.verdict.exit_code()))
    }
}

fn write(file: &Path, text: &str) -> Result<(), CommandError> {
    fs::write(file, text).map_err(|why| CommandError::Write { file: file.to_owned(), why })
}

/// Flags of `list`.
#[derive(Debug, Args)]
pub(super) struct ListScenarios {
    /// Print one JSON object: scenarios, each with its name and its title.
    #[arg(long)]
    json: bool,
}

impl ListScenarios {
    pub(super) fn run(self, out: &mut impl Write) -> Result<ExitCode, CommandError> {
        let width = shipped::names().map(str::len).max().unwrap_or(0);
        let mut listed = Vec::new();
        for name in shipped::names() {
            let title = load(name, &Changes::default())?.scenario.title;
            if self.json {
                listed.push(json!({"name": name, "title": title}));
            } else {
                let _ = writeln!(out, "{}", entry(name, width, &title));
            }
        }
        if self.json {
            print_json(out, &json!({ "scenarios": listed }))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints a value as JSON.
pub(super) fn print_json(out: &mut impl Write, value: &impl Serialize) -> Result<(), CommandError> {
    let text = serde_json::to_string_pretty(value).map_err(|why| CommandError::Other(why.into()))?;
    // A closed pipe is not an error of this program.
    let _ = writeln!(out, "{text}");
    Ok(())
}

/// Flags of `explain`.
#[derive(Debug, Args)]
pub(super) struct ExplainScenario {
    /// A shipped scenario's name, or a .toml file.
    scenario: String,
    #[command(flatten)]
    how: RunFlags,
    /// Print the scenario itself as TOML, after --small, --set and extends.
    #[arg(long)]
    toml: bool,
    /// Print the scenario itself as JSON, with the keys of the TOML.
    #[arg(long, conflicts_with = "toml")]
    json: bool,
}

impl ExplainScenario {
    pub(super) fn run(self, out: &mut impl Write) -> Result<ExitCode, CommandError> {
        let loaded = self.how.load(&self.scenario)?;
        if self.json {
            print_json(out, &loaded.scenario)?;
            return Ok(ExitCode::SUCCESS);
        }
        let text = if self.toml {
            toml::to_string_pretty(&loaded.scenario).map_err(|why| CommandError::Other(why.into()))?
        } else {
            let text = show::explain(&loaded, self.how.seed(&loaded)).map_err(RunError::Scenario)?;
            fit(&text).into_owned()
        };
        let _ = writeln!(out, "{}", text.trim_end());
        Ok(ExitCode::SUCCESS)
    }
}

/// Flags of `new`.
#[derive(Debug, Args)]
pub(super) struct NewScenario {
    /// Name of the scenario. It is written to NAME.toml.
    name: String,
}

impl NewScenario {
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
        let wrote = format!("wrote {}; try: slotwise-simulator run {}", file.display(), file.display());
        let _ = writeln!(out, "{}", fit(&wrote));
        Ok(ExitCode::SUCCESS)
    }
}
