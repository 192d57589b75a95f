//! `slotwise journal verify`.

use indicatif::HumanBytes;
use serde_json::json;

use super::super::{CommandResult, Data, ReportFormat, backup::positions, progress::Meter, say};
use crate::node::{self, Audit, AuditedSnapshot};

/// Flags of `journal verify`.
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    #[command(flatten)]
    data: Data,
    /// Rebuild the state from the journal too, and compare it with each snapshot, byte for byte. This takes as long as
    /// learning everything again.
    #[arg(long)]
    fold: bool,
    /// Format of the output.
    #[arg(short, long, default_value = "table")]
    output: ReportFormat,
}

impl Verify {
    pub(super) fn run(self) -> CommandResult {
        let mut meter = Meter::new();
        let audit = node::audit(&self.data.data, self.fold, &mut |progress| meter.show(progress))?;
        drop(meter);
        match self.output {
            ReportFormat::Table => self.say(&audit),
            ReportFormat::Json => say(serde_json::to_string_pretty(&as_json(&audit))?),
        }
        Ok(())
    }

    fn say(&self, audit: &Audit) {
        let (records, bytes) = (audit.records, HumanBytes(audit.journal_bytes));
        say(format_args!("journal: {}, {records} records, {bytes}: all are whole and can be read", positions(audit)));
        for snapshot in &audit.snapshots {
            let folded = match (snapshot.compared, self.fold) {
                (true, _) => "whole, and byte for byte what the journal gives",
                (false, true) => "whole; the fold began there",
                (false, false) => "whole",
            };
            say(format_args!("snapshot at {}: {}: {folded}", snapshot.position, HumanBytes(snapshot.bytes)));
        }
        for position in &audit.older {
            say(format_args!("snapshot at {position}: of an older format; a start folds the whole journal instead"));
        }
        if audit.snapshots.is_empty() && audit.older.is_empty() {
            say("no snapshots");
        }
    }
}

fn as_json(audit: &Audit) -> serde_json::Value {
    let snapshot =
        |one: &AuditedSnapshot| json!({"position": one.position, "bytes": one.bytes, "compared": one.compared});
    json!({
        "last_position": audit.last,
        "trimmed": audit.trimmed,
        "records": audit.records,
        "journal_bytes": audit.journal_bytes,
        "snapshots": audit.snapshots.iter().map(snapshot).collect::<Vec<_>>(),
        "snapshots_of_older_formats": audit.older,
    })
}
