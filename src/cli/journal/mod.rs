//! `slotwise journal`: the journal of a data folder, beside the service that writes it or without one.

mod export;
mod salvage;
mod stats;
mod verify;

use clap::Subcommand;

pub use export::export;

use super::{CommandResult, time};

/// Flags of `journal`.
#[derive(Debug, clap::Args)]
pub(super) struct JournalArguments {
    #[command(subcommand)]
    command: JournalCommand,
}

#[derive(Debug, Subcommand)]
enum JournalCommand {
    /// Check that all records and snapshots are whole and agree.
    Verify(verify::Verify),
    /// Count the journal's records by kind, slot and day.
    Stats(stats::Stats),
    /// Save the readable records of a damaged data folder to a new one, and list what is lost. The damaged folder is not changed.
    Salvage(salvage::Salvage),
    /// Write all decisions with their rewards, one row each.
    Export(export::Export),
}

impl JournalArguments {
    pub(super) fn run(self) -> CommandResult {
        match self.command {
            JournalCommand::Verify(verify) => verify.run(),
            JournalCommand::Stats(stats) => stats.run(),
            JournalCommand::Salvage(salvage) => salvage.run(),
            JournalCommand::Export(export) => export.run(),
        }
    }
}
