//! `slotwise journal stats`.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use serde_json::{Value as Json, json};

use super::{
    super::{CommandResult, Data, ReportFormat, progress::Meter, say, table::fitted},
    time,
};
use crate::{
    journal::{JournalReader, RecordRange, Stored},
    node::{self, Progress},
};

/// Number of days in the table; JSON has all.
const DAYS: usize = 14;
/// Number of slots in the table, those with the most records; JSON has all.
const SLOTS: usize = 30;
/// Records between two reports of progress.
const REPORT_EVERY: u64 = 4_096;

/// Flags of `journal stats`.
#[derive(Debug, clap::Args)]
pub(super) struct Stats {
    #[command(flatten)]
    data: Data,
    /// Format of the output. JSON has all slots and days.
    #[arg(short, long, default_value = "table")]
    output: ReportFormat,
}

/// Records, and the bytes of their events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Volume {
    records: u64,
    bytes: u64,
}

impl Volume {
    fn add(&mut self, stored: &Stored<'_>) {
        self.records += 1;
        self.bytes += stored.body.len() as u64;
    }

    fn json(self) -> Json {
        json!({ "records": self.records, "bytes": self.bytes })
    }
}

/// Volume of a journal.
#[derive(Debug, Default)]
struct JournalVolume {
    all: Volume,
    kinds: BTreeMap<String, Volume>,
    slots: BTreeMap<String, Volume>,
    /// Decisions by day since 1970.
    days: BTreeMap<i64, u64>,
    /// The times of the first record and the last.
    times: Option<(i64, i64)>,
}

impl JournalVolume {
    fn add(&mut self, stored: &Stored<'_>) {
        self.all.add(stored);
        for (volumes, name) in [(&mut self.kinds, stored.kind), (&mut self.slots, stored.slot)] {
            match volumes.get_mut(name) {
                Some(volume) => volume.add(stored),
                None => volumes.entry(name.to_owned()).or_default().add(stored),
            }
        }
        if stored.kind == "decided" {
            *self.days.entry(stored.at_us.div_euclid(time::DAY_US)).or_default() += 1;
        }
        self.times = Some((self.times.map_or(stored.at_us, |(first, _)| first), stored.at_us));
    }
}

impl Stats {
    pub(super) fn run(self) -> CommandResult {
        let reader = JournalReader::open(&self.data.data)?;
        let (mut meter, mut counted) = (Meter::new(), JournalVolume::default());
        reader.each(RecordRange::default(), &mut |stored| {
            if stored.position.is_multiple_of(REPORT_EVERY) {
                meter.show(Progress { doing: "reading the journal", done: stored.position, of: reader.last() });
            }
            counted.add(stored);
            Ok(())
        })?;
        drop(meter);
        let files = node::disk_use(&self.data.data);
        match self.output {
            ReportFormat::Table => as_tables(&reader, &counted, files).iter().for_each(say),
            ReportFormat::Json => say(serde_json::to_string_pretty(&as_json(&reader, &counted, files))?),
        }
        Ok(())
    }
}

fn as_json(reader: &JournalReader, counted: &JournalVolume, files: node::DiskUse) -> Json {
    let volumes = |of: &BTreeMap<String, Volume>| -> serde_json::Map<String, Json> {
        of.iter().map(|(name, volume)| (name.clone(), volume.json())).collect()
    };
    let days: serde_json::Map<String, Json> =
        counted.days.iter().map(|(day, decisions)| (time::date(*day), json!(decisions))).collect();
    json!({
        "last_position": reader.last(),
        "trimmed": reader.trimmed(),
        "records": counted.all.records,
        "bytes": counted.all.bytes,
        "first_time": counted.times.map(|(first, _)| time::text(first)),
        "last_time": counted.times.map(|(_, last)| time::text(last)),
        "kinds": volumes(&counted.kinds),
        "slots": volumes(&counted.slots),
        "decisions_per_day": days,
        "files": { "journal": files.journal, "log": files.log, "snapshots": files.snapshots },
    })
}

fn as_tables(reader: &JournalReader, counted: &JournalVolume, files: node::DiskUse) -> Vec<String> {
    let mut lines = vec![format!("last position {}, {} records", reader.last(), counted.all.records)];
    if reader.trimmed() > 0 {
        lines.push(format!("up to position {} only changes of slots are kept", reader.trimmed()));
    }
    if let Some((first, last)) = counted.times {
        lines.push(format!("from {} to {}", time::text(first), time::text(last)));
    }
    lines.push(format!(
        "files, bytes: journal {}, its write-ahead log {}, snapshots {}",
        files.journal, files.log, files.snapshots
    ));
    let rows = |volumes: Vec<(&String, &Volume)>| -> Vec<[String; 3]> {
        volumes.into_iter().map(|(name, v)| [name.clone(), v.records.to_string(), v.bytes.to_string()]).collect()
    };
    lines.push(table(["kind", "records", "bytes"], rows(counted.kinds.iter().collect())));
    let mut slots: Vec<_> = counted.slots.iter().collect();
    slots.sort_by_key(|(_, volume)| std::cmp::Reverse(volume.records));
    let more = slots.len().saturating_sub(SLOTS);
    slots.truncate(SLOTS);
    lines.push(table(["slot", "records", "bytes"], rows(slots)));
    if more > 0 {
        lines.push(format!("and {more} more slots; -o json has all"));
    }
    let earlier = counted.days.len().saturating_sub(DAYS);
    let days = counted.days.iter().skip(earlier).map(|(day, decisions)| [time::date(*day), decisions.to_string()]);
    lines.push(table(["day (UTC)", "decisions"], days.collect()));
    if earlier > 0 {
        lines.push(format!("and {earlier} earlier days; -o json has all"));
    }
    lines
}

fn table<const N: usize>(header: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in 1..N {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    fitted(table, &[2, 1])
}
