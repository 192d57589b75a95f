//! Data sets for tests, and what else several tests need.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

pub(crate) mod gate;
pub(crate) mod live;
pub(crate) mod logs;
pub(crate) mod server;

use std::{fmt::Write as _, fs, io::Write as _, path::Path};

use flate2::{Compression, write::GzEncoder};

/// Writes a set of one word per row, `word`, and classes `a`, `b` and so on.
pub(crate) fn write_set(folder: &Path, name: &str, classes: usize, rows: &[(usize, &str)]) {
    let names: Vec<String> = ('a'..='z').take(classes).map(|name| format!("{name:?}").replace('\'', "\"")).collect();
    let (n, names) = (rows.len(), names.join(", "));
    let json = format!(r#"{{"name": "{name}", "rows": {n}, "n_actions": {classes}, "classes": [{names}]}}"#);
    fs::write(folder.join(format!("{name}.json")), json).unwrap();
    let mut csv = "label,c_word\n".to_owned();
    for (label, word) in rows {
        writeln!(csv, "{label},{word}").unwrap();
    }
    let file = fs::File::create(folder.join(format!("{name}.csv.gz"))).unwrap();
    let mut gzip = GzEncoder::new(file, Compression::fast());
    gzip.write_all(csv.as_bytes()).unwrap();
    gzip.finish().unwrap();
}
