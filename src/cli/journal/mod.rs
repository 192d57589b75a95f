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
    /// Read every record and every snapshot and see whether they are whole and agree.
    Verify(verify::Verify),
    /// Count the journal's records by kind, slot and day.
    Stats(stats::Stats),
    /// Build a new data folder from what is whole in a damaged one, and say what is lost. The damaged one is not changed.
    Salvage(salvage::Salvage),
    /// Write every decision with what came of it, one row each.
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
