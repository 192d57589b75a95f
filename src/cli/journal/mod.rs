//! `slotwise journal`: the journal of a data folder, beside the service that writes it or without one.

mod export;
mod salvage;
mod stats;
mod verify;

use clap::Subcommand;

pub use export::{Format as ExportFormat, export};

use super::{CommandResult, time};

/// Flags of `journal`.
#[derive(Debug, clap::Args)]
pub(super) struct Journal {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check that all records and snapshots are whole and agree.
    Verify(verify::Verify),
    /// Count the journal's records by kind, slot and day.
    Stats(stats::Stats),
    /// Save the readable records of a damaged data folder to a new one, and list what is lost. The damaged folder is not changed.
    Salvage(salvage::Salvage),
    /// Write all decisions with their rewards, one row each.
    Export(export::Export),
}

impl Journal {
    pub(super) fn run(self) -> CommandResult {
        match self.command {
            Command::Verify(verify) => verify.run(),
            Command::Stats(stats) => stats.run(),
            Command::Salvage(salvage) => salvage.run(),
            Command::Export(export) => export.run(),
        }
    }
}
