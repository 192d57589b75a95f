//! Formats of log files, recognised by how a file begins.

use std::{io::Read as _, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{LogError, plain, source};
use crate::dataset::DatasetFiles;

/// Format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    /// A classification set: NAME.csv.gz and NAME.json.
    Classification,
    /// The output of `slotwise journal export`, as JSON lines or as CSV, packed with gzip or not.
    Journal,
    /// The Open Bandit Dataset's rows as CSV, packed with gzip or not.
    OpenBandit,
    /// The dsjson log of Vowpal Wabbit or Azure Personalizer, packed with gzip or not.
    Dsjson,
    /// CSV with the columns time, arm, propensity and reward; every other column is a feature of the context.
    Csv,
}

/// The known formats in words, for error messages.
const ACCEPTED: &str = "accepted are `slotwise journal export` (JSON lines or CSV), dsjson of Vowpal Wabbit or \
                        Personalizer, CSV with the columns time, arm, propensity, reward and any others as context, and \
                        the Open Bandit Dataset";

impl FileFormat {
    /// The format of a file, or [`FileFormat::Classification`] if it cannot be recognised.
    pub fn detect(path: &Path) -> Self {
        Self::recognise(path).unwrap_or(Self::Classification)
    }

    /// Recognises the format of a file by how it begins. A path that is no file is the stem of a classification set.
    ///
    /// # Errors
    ///
    /// Returns an error if the file has none of the formats. The error says what the file looks like and names the
    /// nearest format.
    pub fn recognise(path: &Path) -> Result<Self, LogError> {
        let Ok(mut text) = source::open(path) else { return Ok(Self::Classification) };
        let files = DatasetFiles::at_stem(path);
        if files.rows.exists() && files.description.exists() {
            return Ok(Self::Classification);
        }
        let mut start = Vec::new();
        // A file that cannot be read is reported by its reader, which names the place.
        let _ = (&mut text).take(source::HEADER_BYTES).read_to_end(&mut start);
        let unknown = |looks: String| LogError::Unknown { file: path.to_owned(), looks, accepted: ACCEPTED };
        if let Some((_, looks)) = BINARY.iter().find(|(magic, _)| start.starts_with(magic)) {
            return Err(unknown((*looks).to_owned()));
        }
        let start = String::from_utf8_lossy(&start);
        let start = start.trim_start_matches('\u{feff}').trim_start();
        let line = start.lines().next().unwrap_or_default();
        match line.chars().next() {
            None => Err(unknown("is empty".to_owned())),
            Some('{') => format_of_object(line).map_err(unknown),
            Some('[') => {
                Err(unknown("looks like one JSON list; write one object a line, as `jq -c '.[]'` does".to_owned()))
            }
            Some('<') => Err(unknown("looks like XML or HTML".to_owned())),
            Some(_) => format_of_header(line).map_err(unknown),
        }
    }
}

/// First bytes of binary formats, with the advice for each.
const BINARY: [(&[u8], &str); 6] = [
    (b"PAR1", "looks like Parquet; write it as CSV"),
    (b"PK\x03\x04", "looks like a zip archive or a spreadsheet; unpack it, or save the sheet as CSV"),
    (b"SQLite format 3", "looks like a SQLite database; if it is a journal, use `slotwise journal export`"),
    (b"ARROW1", "looks like Arrow or Feather; write it as CSV"),
    (b"\x28\xb5\x2f\xfd", "is packed with zstd; unpack it, or pack it with gzip"),
    (b"BZh", "is packed with bzip2; unpack it, or pack it with gzip"),
];

/// The format of JSON lines, by the keys of the first object.
fn format_of_object(line: &str) -> Result<FileFormat, String> {
    let Ok(Json::Object(object)) = serde_json::from_str::<Json>(line) else {
        // The line is cut off, or longer than the part that was read.
        if line.contains("\"_label_cost\"") || line.contains("\"_label_probability\"") {
            return Ok(FileFormat::Dsjson);
        }
        if line.contains("\"decision_id\"") || line.contains("\"propensities\"") || line.contains("\"slot\"") {
            return Ok(FileFormat::Journal);
        }
        let several = line.trim() == "{" || line.trim_end().ends_with([',', '{', '[']);
        let looks = if several { "looks like one JSON object over several lines" } else { "is not whole JSON" };
        return Err(format!("{looks}; write one object a line, as `jq -c .` does"));
    };
    let has = |key: &str| object.contains_key(key);
    if has("_outcomes") {
        return Err("looks like dsjson of a decision with several slots (_outcomes); read are logs that decide one \
                    thing a line (contextual bandits)"
            .to_owned());
    }
    let dsjson = ["_label_cost", "_label_probability", "_label_Action", "_labelIndex", "EventId", "c", "p", "a"];
    let journal = ["decision_id", "slot", "time", "context", "arms", "propensities", "rewards"];
    let count = |keys: &[&str]| keys.iter().filter(|key| has(key)).count();
    let (of_dsjson, of_journal) = (count(&dsjson), count(&journal));
    if of_dsjson >= 3 && of_dsjson >= of_journal {
        return Ok(FileFormat::Dsjson);
    }
    // A log may begin with a reward that found no decision.
    if has("EventId") && (has("RewardValue") || has("Observations")) {
        return Ok(FileFormat::Dsjson);
    }
    if of_journal >= 3 || has("decision_id") {
        return Ok(FileFormat::Journal);
    }
    let keys: Vec<&str> = object.keys().map(String::as_str).take(8).collect();
    Err(format!("looks like JSON lines with the keys {}; the nearest form is {}", keys.join(", "), plain::AS_CSV))
}

/// The format of a table, by its header.
fn format_of_header(line: &str) -> Result<FileFormat, String> {
    let names: Vec<String> = line.split(',').map(|name| name.trim().trim_matches('"').to_owned()).collect();
    let has = |name: &str| names.iter().any(|other| other == name);
    if has("decision_id") && (has("propensities") || has("arms") || has("slot")) {
        return Ok(FileFormat::Journal);
    }
    if has("item_id") {
        return Ok(FileFormat::OpenBandit);
    }
    let missing = plain::missing(&names);
    if missing.is_empty() {
        return Ok(FileFormat::Csv);
    }
    if has("propensity_score") && missing.len() > 1 {
        return Ok(FileFormat::OpenBandit);
    }
    if has("decision_id") {
        return Ok(FileFormat::Journal);
    }
    let separators = |separator: char| line.matches(separator).count();
    if names.len() == 1 && (line.starts_with("shared ") || (line.contains('|') && !line.contains('\t'))) {
        return Err("looks like Vowpal Wabbit's text format; give its dsjson log".to_owned());
    }
    if names.len() == 1 && separators(';') > 0 {
        return Err("looks like CSV separated by semicolons; separate it by commas".to_owned());
    }
    if names.len() == 1 && separators('\t') > 0 {
        return Err("looks like a table separated by tabs; separate it by commas".to_owned());
    }
    if names.len() == 1 {
        return Err("looks like plain text".to_owned());
    }
    if names.iter().all(|name| name.parse::<f64>().is_ok() || name.is_empty()) {
        return Err(format!("looks like CSV without a header; the nearest form is {}", plain::AS_CSV));
    }
    Err(format!("looks like CSV without {}; the nearest form is {}", missing.join(" and "), plain::AS_CSV))
}
