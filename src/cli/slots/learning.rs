//! Commands about slots as a whole and what they have learned.

use std::{fs, io::Write as _, path::PathBuf};

use super::{
    super::{CommandResult, Target, output, say, terminal::printable},
    ChangeNote,
};
use crate::{client::ImportedLearning, node::time_text, slot::limits::LEARNING_BYTES_MAX};

/// Flags of `slots clone`.
#[derive(Debug, clap::Args)]
pub(super) struct CloneSlot {
    /// Id of the slot.
    slot: String,
    /// Id of the new slot.
    new_slot: String,
    /// Start without what the slot has learned.
    #[arg(long, conflicts_with = "weight")]
    without_learning: bool,
    /// Weight of each observation of the slot, above 0 and at most 1; its own observations count 1.
    #[arg(long, value_name = "X")]
    weight: Option<f64>,
    #[command(flatten)]
    because: ChangeNote,
    #[command(flatten)]
    target: Target,
}

impl CloneSlot {
    pub(super) async fn run(self) -> CommandResult {
        let Self { slot, new_slot, without_learning, weight, because, target } = self;
        let weight = (!without_learning).then_some(weight.unwrap_or(1.0));
        let mut client = target.connect().await?;
        client.clone_slot(&slot, &new_slot, weight, &because.why("clone")).await?;
        let (slot, new_slot) = (printable(&slot), printable(&new_slot));
        match weight {
            None => say(format_args!("{new_slot} is like {slot}, and has learned nothing")),
            Some(weight) => {
                say(format_args!("{new_slot} is like {slot}, and starts from what it learned (weight {weight})"));
            }
        }
        Ok(())
    }
}

/// Flags of `slots rename`.
#[derive(Debug, clap::Args)]
pub(super) struct RenameSlot {
    /// Id of the slot.
    slot: String,
    /// Id that it gets.
    new_slot: String,
    #[command(flatten)]
    because: ChangeNote,
    #[command(flatten)]
    target: Target,
}

impl RenameSlot {
    pub(super) async fn run(self) -> CommandResult {
        let Self { slot, new_slot, because, target } = self;
        target.connect().await?.rename_slot(&slot, &new_slot, &because.why("rename")).await?;
        let (slot, new_slot) = (printable(&slot), printable(&new_slot));
        say(format_args!("{slot} is {new_slot} now; calls by its former id are refused"));
        Ok(())
    }
}

/// Flags of `slots reset-arm`.
#[derive(Debug, clap::Args)]
pub(super) struct ResetArm {
    /// Id of the slot.
    slot: String,
    /// Id of the arm.
    arm: String,
    #[command(flatten)]
    because: ChangeNote,
    #[command(flatten)]
    target: Target,
}

impl ResetArm {
    pub(super) async fn run(self) -> CommandResult {
        let Self { slot, arm, because, target } = self;
        target.connect().await?.reset_arm(&slot, &arm, &because.why("reset-arm")).await?;
        say(format_args!("{} has forgotten what it learned of {}", printable(&slot), printable(&arm)));
        Ok(())
    }
}

/// Flags of `slots export-learning`.
#[derive(Debug, clap::Args)]
pub(super) struct ExportLearning {
    /// Id of the slot.
    slot: String,
    /// File to write.
    file: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    target: Target,
}

impl ExportLearning {
    pub(super) async fn run(self) -> CommandResult {
        let Self { slot, file: path, force, target } = self;
        let (bytes, origin) = target.connect().await?.export_learning(&slot).await?;
        let mut file = output::open(&path, force)?;
        file.file.write_all(&bytes).map_err(|why| format!("cannot write {}: {why}", path.display()))?;
        file.finish()?;
        say(format_args!(
            "wrote what {} learned of {} arms in {} decisions to {} ({} bytes)",
            printable(&slot),
            origin.arms,
            origin.decisions,
            path.display(),
            bytes.len()
        ));
        Ok(())
    }
}

/// Flags of `slots import-learning`.
#[derive(Debug, clap::Args)]
pub(super) struct ImportLearning {
    /// Id of the slot, which must not have made a decision since it was created or reset.
    slot: String,
    /// File that `slots export-learning` wrote, from this or another service.
    file: PathBuf,
    /// Weight of each observation of the file, above 0 and at most 1; the slot's own observations count 1.
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    weight: f64,
    /// Change nothing; say whether the file fits the slot.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    because: ChangeNote,
    #[command(flatten)]
    target: Target,
}

impl ImportLearning {
    pub(super) async fn run(self) -> CommandResult {
        let Self { slot, file, weight, check, because, target } = self;
        let failed = |why: &dyn std::fmt::Display| format!("cannot read {}: {why}", file.display());
        let length = fs::metadata(&file).map_err(|why| failed(&why))?.len();
        if length > LEARNING_BYTES_MAX as u64 {
            let why = format!("it has {length} bytes, and at most {LEARNING_BYTES_MAX} are allowed");
            return Err(failed(&why).into());
        }
        let bytes = fs::read(&file).map_err(|why| failed(&why))?;
        let mut client = target.connect().await?;
        let imported = client.import_learning(&slot, bytes, weight, &because.why("import-learning"), check).await?;
        let ImportedLearning { origin, known_arms, arms } = imported;
        let verb = if check { "would start" } else { "starts" };
        say(format_args!(
            "{} {verb} from what {} learned until {} (weight {weight}); the file knows {known_arms} of its {arms} arms",
            printable(&slot),
            printable(&origin.slot),
            time_text(origin.at_us)
        ));
        Ok(())
    }
}
