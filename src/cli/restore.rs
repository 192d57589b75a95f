//! `slotwise restore BACKUP`.

use std::path::PathBuf;

use super::{CommandResult, Data, backup::print_summary, progress::Meter, say};
use crate::node;

/// Flags of `restore`.
#[derive(Debug, clap::Args)]
pub(super) struct Restore {
    /// Folder that `slotwise backup` made; it is verified first.
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    #[command(flatten)]
    data: Data,
}

impl Restore {
    pub(super) fn run(self) -> CommandResult {
        let mut meter = Meter::new();
        let copied = node::restore(&self.backup, &self.data.data, &mut |progress| meter.show(progress))?;
        drop(meter);
        print_summary("restored", &self.backup, &self.data.data, &copied);
        // Keys are secrets of a place, and a copy that is lost must open nothing.
        say("The keys of callers are not in a backup: make new ones with `slotwise keys create` before you serve it.");
        Ok(())
    }
}
