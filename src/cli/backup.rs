//! `slotwise backup DIR`.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use indicatif::HumanBytes;

use super::{CommandResult, Data, progress::Meter, say, terminal::printable};
use crate::node::{self, Audit, CopySummary};

/// Flags of `backup`.
#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    /// Folder to create; if it exists, it must be empty.
    #[arg(value_name = "DIR")]
    target: PathBuf,
    #[command(flatten)]
    data: Data,
}

impl Backup {
    pub(super) fn run(self) -> CommandResult {
        let mut meter = Meter::new();
        let copied = node::backup(&self.data.data, &self.target, &mut |progress| meter.show(progress))?;
        drop(meter);
        print_summary("backed up", &self.data.data, &self.target, &copied);
        Ok(())
    }
}

/// Prints in one line what was copied. Snapshots that were left out are named on standard error.
pub(super) fn print_summary(verb: &str, from: &Path, to: &Path, copied: &CopySummary) {
    for why in &copied.left_out {
        // The copy is whole without it.
        let _ = writeln!(std::io::stderr(), "left out: {}", printable(why));
    }
    say(format_args!("{verb} {} to {}: {}", from.display(), to.display(), summary(&copied.audit)));
}

fn summary(audit: &Audit) -> String {
    let bytes = audit.journal_bytes + audit.snapshots.iter().map(|snapshot| snapshot.bytes).sum::<u64>();
    let snapshot = match audit.snapshots.first() {
        Some(snapshot) => format!("snapshot at {}", snapshot.position),
        None => "no snapshot".into(),
    };
    format!("{}, {}, {snapshot}", positions(audit), HumanBytes(bytes))
}

/// Describes the positions that a journal holds.
pub(super) fn positions(audit: &Audit) -> String {
    match audit.trimmed {
        0 if audit.last == 0 => "no positions".into(),
        0 => format!("positions 1 to {}", audit.last),
        trimmed => format!("positions {} to {}, before them changes of slots", trimmed + 1, audit.last),
    }
}
