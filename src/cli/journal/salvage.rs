//! `slotwise journal salvage`.

use std::{io::Write as _, path::PathBuf};

use super::super::{CommandResult, backup::positions, progress::Meter, say};
use crate::node::{self, Gap, Salvaged};

/// Number of gaps that are listed.
const GAPS: usize = 20;

/// Flags of `journal salvage`.
#[derive(Debug, clap::Args)]
pub(super) struct Salvage {
    /// Damaged data folder. It is only read; its service must have ended.
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    /// Folder to create; if it exists, it must be empty.
    #[arg(value_name = "TARGET")]
    target: PathBuf,
}

impl Salvage {
    pub(super) fn run(self) -> CommandResult {
        let mut meter = Meter::new();
        let salvaged = node::salvage(&self.source, &self.target, &mut |progress| meter.show(progress))?;
        drop(meter);
        for why in &salvaged.left_out {
            let _ = writeln!(std::io::stderr(), "left out: {why}");
        }
        lines(&salvaged).iter().for_each(say);
        let (source, target) = (self.source.display(), self.target.display());
        say(format_args!(
            "{source} is as it was; {target} is a journal of its own, start it with: slotwise serve --data {target}"
        ));
        Ok(())
    }
}

fn lines(salvaged: &Salvaged) -> Vec<String> {
    let Salvaged { audit, gaps, lost, snapshot, held_by_snapshot, left_out: _, moved } = salvaged;
    let mut lines = vec![format!("salvaged: {}, {} records", positions(audit), audit.records)];
    match snapshot {
        0 => lines.push("no snapshot could be used: what the slots learned comes from the records alone".into()),
        position => lines.push(format!("begins from the snapshot at position {position}")),
    }
    let all: u64 = lost.values().sum();
    if all == 0 {
        lines.push("nothing is lost".into());
        return lines;
    }
    let kinds: Vec<String> = lost.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    lines.push(format!("lost: {all} events ({})", kinds.join(", ")));
    lines.extend(gaps.iter().take(GAPS).map(|gap| match gap {
        Gap { first, last } if first == last => format!("lost: position {first}"),
        Gap { first, last } => format!("lost: positions {first} to {last}"),
    }));
    if gaps.len() > GAPS {
        lines.push(format!("lost: {} more stretches of positions", gaps.len() - GAPS));
    }
    if *held_by_snapshot > 0 {
        lines.push(format!(
            "{held_by_snapshot} of them are in the snapshot: what came of them counts, only their records are gone"
        ));
    }
    if let Some((was, is)) = moved {
        lines.push(format!("the record that stood at position {was} stands at {is} now, and those after it follow"));
    }
    lines
}
