//! Logs as files, and the program that evaluates them.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use flate2::{Compression, write::GzEncoder};
use slotwise::bandit::{Features, Value};

/// Three rows of two positions, not in order of time, with an index column as in the full dataset.
pub(crate) const ROWS: &str = "\
,timestamp,item_id,position,click,propensity_score,user_feature_0,user_feature_1,user-item_affinity_0,user-item_affinity_2
0,2019-11-24 00:00:02+00:00,10,2,1,0.25,cef3,17,0,1.5
1,2019-11-24 00:00:01.5+00:00,2,1,0,0.5,03a5,,0,0
2,2019-11-24 00:00:03+00:00,0,1,1,1,cef3,-2.5,4,0
";

/// Writes a file, packed with gzip if its name ends with `.gz`.
pub(crate) fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    if file.extension().is_some_and(|ending| ending == "gz") {
        let mut gzip = GzEncoder::new(fs::File::create(&file).unwrap(), Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap();
    } else {
        fs::write(&file, text).unwrap();
    }
    file
}

/// Runs `slotwise-simulator replay` with this file and these flags.
pub(crate) fn program(words: &[&str], file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_slotwise-simulator")).arg("replay").arg(file).args(words).output().unwrap()
}

/// Features from names and values.
pub(crate) fn features<const N: usize>(of: [(&str, Value); N]) -> Features {
    of.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A feature that is a text.
pub(crate) fn word(text: &str) -> Value {
    Value::Text(text.to_owned())
}
