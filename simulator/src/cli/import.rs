//! The command `slotwise-simulator import`: a log of decisions as the warm start of a slot of a running service.

use std::{error::Error, io::Write, path::PathBuf};

use clap::Args;
use slotwise::{
    bandit::{Features, Value},
    client::{CallOptions, Client},
    config::user_name,
    engine::{ImportedObservation, ImportedPart, hash},
    slot::{ChangeReason, SlotId, limits::IMPORT_PART_MAX},
};

use crate::evaluate::logged::{AFFINITY, FileFormat, Log, LogSelection, LoggedRow, OfferedArms};

/// Flags of `import`.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// Slot that learns. It must exist, with the arms of the log.
    slot: String,
    /// Log of decisions: the output of `slotwise journal export`, the dsjson log of Vowpal Wabbit or Personalizer, CSV
    /// with the columns time, arm, propensity and reward, or the Open Bandit Dataset's rows.
    file: PathBuf,
    /// Address of the service's gRPC port.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:50051")]
    target: String,
    /// Key that the calls present; it needs the role admin.
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// File (PEM) with the authority of the service's certificate, for https; default those of the system.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Format of the file [default: detected by its first line].
    #[arg(long)]
    form: Option<FileFormat>,
    /// Journal export: slot whose decisions are read, if the file has several.
    #[arg(long, value_name = "SLOT")]
    from_slot: Option<String>,
    /// Journal export: use only decisions whose window had closed.
    #[arg(long)]
    complete: bool,
    /// Factor on the rewards of the file, to bring them into the units of the slot's goal.
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    scale: f64,
    /// Use only the earliest N decisions.
    #[arg(long, value_name = "N")]
    rows: Option<usize>,
    /// Read the file and say what would be sent, without a service.
    #[arg(long)]
    check: bool,
    /// Reason of the import.
    #[arg(long, value_name = "TEXT", default_value = "import")]
    reason: String,
}

/// Observations of a log in order of time, with the id by which the service knows the import.
struct PreparedImport {
    import_id: String,
    observations: Vec<ImportedObservation>,
}

/// Features of the arm that a row showed.
fn features_of(log: &Log, row: &LoggedRow) -> Features {
    match &row.offered {
        OfferedArms::All => Features::new(),
        OfferedArms::Listed(listed) => {
            listed.iter().find(|(arm, _)| *arm == row.arm).map(|(_, own)| own.clone()).unwrap_or_default()
        }
        OfferedArms::Affinities(known) => {
            let value = known.iter().find(|(arm, _)| *arm == row.arm).map_or(0.0, |(_, value)| *value);
            debug_assert!(row.arm < log.arms.len(), "the arm of a row is one of the log's");
            Features::from([(AFFINITY.to_owned(), Value::Number(value))])
        }
    }
}

fn prepare(log: &Log, slot: &SlotId, scale: f64) -> PreparedImport {
    let observation = |row: &LoggedRow| ImportedObservation {
        at_us: row.at_us,
        context: (*row.context).clone(),
        arm: log.arms[row.arm].id.clone(),
        features: features_of(log, row),
        propensity: row.propensity,
        reward: row.reward * scale,
    };
    let observations: Vec<ImportedObservation> = log.rows.iter().map(observation).collect();
    // Equal logs have one id, so that an import that was interrupted goes on where it stopped.
    let mut word = hash("import", &[slot.as_str().as_bytes()]);
    for one in &observations {
        let (time, arm) = (one.at_us.to_be_bytes(), one.arm.as_str().as_bytes());
        let numbers = [one.propensity, one.reward].map(f64::to_be_bytes);
        let before = [word.word().to_be_bytes(), word.other_word().to_be_bytes()];
        word = hash("import", &[&before[0], &before[1], &time, arm, &numbers[0], &numbers[1]]);
    }
    let import_id = format!("import-{:016x}{:016x}", word.word(), word.other_word());
    PreparedImport { import_id, observations }
}

impl Import {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
        if !self.scale.is_finite() || self.scale == 0.0 {
            return Err("--scale must be a number other than 0".into());
        }
        let slot = SlotId::parse("SLOT", &self.slot)?;
        let form = self.form.map_or_else(|| FileFormat::recognise(&self.file), Ok)?;
        let wanted = LogSelection {
            slot: self.from_slot.clone(),
            complete: self.complete,
            rows: self.rows,
            ..LogSelection::default()
        };
        let log = Log::read(&self.file, form, &wanted)?;
        let prepared = prepare(&log, &slot, self.scale);
        let left_out = log.left_out.reasons();
        if !left_out.is_empty() {
            writeln!(out, "left out: {}", left_out.join(", "))?;
        }
        let (count, arms) = (prepared.observations.len(), log.arms.len());
        if self.check {
            writeln!(out, "{slot} would learn {count} decisions of {arms} arms")?;
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let repeated = runtime.block_on(self.send(&slot, prepared))?;
        let known = if repeated > 0 { format!("; {repeated} of them were known from before") } else { String::new() };
        writeln!(out, "{slot} learned {count} decisions of {arms} arms{known}")?;
        Ok(())
    }

    /// Sends all parts. Returns the number of decisions that the slot had learned before.
    async fn send(&self, slot: &SlotId, prepared: PreparedImport) -> Result<usize, Box<dyn Error>> {
        let options =
            CallOptions { key: self.api_key.clone(), ca_file: self.ca_file.clone(), ..CallOptions::default() };
        let mut client = Client::connect_with(&self.target, &options).await?;
        let why = ChangeReason::new(user_name(), self.reason.clone());
        let mut repeated = 0;
        for (number, observations) in (1..).zip(prepared.observations.chunks(IMPORT_PART_MAX)) {
            let part = ImportedPart {
                slot: slot.clone(),
                import_id: prepared.import_id.clone(),
                part: number,
                observations: observations.to_vec(),
                why: why.clone(),
            };
            let progress = loop {
                match client.import_part(part.clone()).await {
                    Ok(progress) => break progress,
                    Err(why) => match why.retry_after() {
                        Some(wait) => tokio::time::sleep(wait).await,
                        None => return Err(format!("part {number}: {why}").into()),
                    },
                }
            };
            if progress.repeated {
                repeated += observations.len();
            }
        }
        Ok(repeated)
    }
}
