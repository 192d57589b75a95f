//! The commands `slotwise-simulator compare` and `sweep`: one scenario under several settings.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use serde_json::json;
use slotwise::cli::terminal::fit;
use toml::Table;

use super::scenario::{CommandError, RunFlags, print_json};
use crate::{
    report::show,
    scenario::{PolicySpec, ShopCalls},
};

/// Flags of `compare`.
#[derive(Debug, Args)]
#[command(after_long_help = COMPARE_HELP)]
pub(super) struct Compare {
    /// The first slot: a document that `slotwise slots apply` reads.
    a: PathBuf,
    /// The second slot.
    b: PathBuf,
    /// A shipped scenario's name, or a .toml file.
    #[arg(long, value_name = "SCENARIO")]
    on: String,
    #[command(flatten)]
    how: RunFlags,
    /// Print one JSON object, the report that `run --json` writes.
    #[arg(long)]
    json: bool,
}

const COMPARE_HELP: &str = "\
Both slots replace the scenario's policies and meet the same shoppers. Arms, ids and the default arm are the scenario's.
Settings that a document leaves out are those of the scenario's slot. The scenario's goal defines the rewards.

Exit codes: 0 ran, 2 the scenario or a document cannot be used, 3 could not run.";

impl Compare {
    pub(super) fn run(self, out: &mut impl Write) -> Result<ExitCode, CommandError> {
        let mut names = [name(&self.a), name(&self.b)];
        if names[0] == names[1] {
            names = ["A".to_owned(), "B".to_owned()];
        }
        let mut policies = Vec::new();
        for (file, name) in [&self.a, &self.b].into_iter().zip(names) {
            policies.push(PolicySpec { name, slot: slot(file)?, shop: ShopCalls::default(), skip: false });
        }
        let loaded = self.how.load(&self.on)?.comparing(policies)?;
        if self.json {
            print_json(out, &self.how.run(&loaded)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        let _ = writeln!(out, "seed {}", self.how.seed(&loaded));
        let report = self.how.run(&loaded)?;
        let _ = writeln!(out, "{}", fit(&show::text(&report)));
        Ok(ExitCode::SUCCESS)
    }
}

fn name(file: &Path) -> String {
    file.file_stem().map_or_else(|| file.display().to_string(), |stem| stem.to_string_lossy().replace(':', "_"))
}

/// Returns the settings of a slot's document, without the parts that a scenario defines itself.
fn slot(file: &Path) -> Result<Table, CommandError> {
    let wrong = |message: String| CommandError::Slot { file: file.to_owned(), message };
    let text = fs::read_to_string(file).map_err(|why| wrong(format!("cannot be read: {why}")))?;
    let mut table: Table = text.parse().map_err(|why: toml::de::Error| wrong(why.message().replace('\n', " ")))?;
    for key in ["slot_id", "arms", "default_arm_id", "open_catalogue", "revision"] {
        table.remove(key);
    }
    Ok(table)
}

/// Flags of `sweep`.
#[derive(Debug, Args)]
#[command(after_long_help = SWEEP_HELP)]
pub(super) struct Sweep {
    /// A shipped scenario's name, or a .toml file.
    scenario: String,
    /// The setting and its values, as in --over slot.controls.exploration=0,0.5,1,2.
    #[arg(long, value_name = "KEY=V1,V2,...")]
    over: String,
    #[command(flatten)]
    how: RunFlags,
    /// Print one JSON object: the key, and for each value the report that `run --json` writes.
    #[arg(long)]
    json: bool,
}

const SWEEP_HELP: &str = "\
Runs the scenario once for each value, all with the same seed, and prints the first policy's reward against the value.
A setting of the slot applies to every policy that does not set it itself.

Exit codes: 0 ran, 2 the scenario cannot be used, 3 could not run.";

impl Sweep {
    pub(super) fn run(self, out: &mut impl Write) -> Result<ExitCode, CommandError> {
        let (key, values) = self.over.split_once('=').unwrap_or((self.over.as_str(), ""));
        let values: Vec<&str> = values.split(',').map(str::trim).filter(|value| !value.is_empty()).collect();
        let mut loaded = Vec::new();
        // All scenarios are loaded before the first is run, so that a mistake is reported at once.
        for value in &values {
            loaded.push((value, self.how.with(format!("{key}={value}")).load(&self.scenario)?));
        }
        if loaded.is_empty() {
            let why = "has no values; write --over key=v1,v2,...".to_owned();
            return Err(crate::scenario::ScenarioError::Set { given: self.over.clone(), why }.into());
        }
        if !self.json {
            let _ = writeln!(out, "seed {}", self.how.seed(&loaded[0].1));
        }
        let mut runs = Vec::new();
        for (value, loaded) in loaded {
            runs.push(((*value).to_owned(), self.how.run(&loaded)?));
        }
        if self.json {
            let runs: Vec<_> = runs.iter().map(|(value, report)| json!({"value": value, "report": report})).collect();
            print_json(out, &json!({"over": key, "runs": runs}))?;
            return Ok(ExitCode::SUCCESS);
        }
        let _ = writeln!(out, "{}", fit(&show::sweep(key, &runs)));
        Ok(ExitCode::SUCCESS)
    }
}
