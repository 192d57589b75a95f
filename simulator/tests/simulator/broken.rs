//! Answers to a broken data set: one line that names the file and the place, and exit code 1.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::{fs, io::Write as _, path::Path, process::Command};

use flate2::{Compression, write::GzEncoder};
use slotwise::bandit::Value;
use slotwise_simulator::{
    dataset::Dataset,
    learning::replay::{ReplayOptions, setup},
};

const JSON: &str = r#"{"name": "tiny", "rows": 2, "n_actions": 2, "classes": ["<=50K", ">50K"]}"#;
const CSV: &str = "label,n_age,c_job\n0,39,?\n1,,clerk\n";

fn write(folder: &Path, json: Option<&str>, csv: &str) {
    if let Some(json) = json {
        fs::write(folder.join("tiny.json"), json).unwrap();
    }
    let file = fs::File::create(folder.join("tiny.csv.gz")).unwrap();
    let mut gzip = GzEncoder::new(file, Compression::fast());
    gzip.write_all(csv.as_bytes()).unwrap();
    gzip.finish().unwrap();
}

/// Asserts the program's answer to a broken set. FOLDER stands for the folder.
#[track_caller]
fn check(json: Option<&str>, csv: &str, want: &str) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), json, csv);
    check_folder(folder.path(), want);
}

#[track_caller]
fn check_folder(folder: &Path, want: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slotwise-simulator"));
    let output = command.arg("replay").arg(folder.join("tiny")).output().unwrap();
    let answer = String::from_utf8(output.stderr).unwrap().replace(&folder.display().to_string(), "FOLDER");
    assert_eq!(answer, format!("error: {want}\n"));
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
}

#[test]
fn a_whole_set_is_read_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), Some(JSON), CSV);
    let set = Dataset::read(&folder.path().join("tiny.json")).unwrap();
    let age = ("n_age".to_owned(), Value::Number(39.0));
    let job = |word: &str| ("c_job".to_owned(), Value::Text(word.to_owned()));
    assert_eq!(set.features(0), [age, job("?")].into());
    assert_eq!(set.features(1), [job("clerk")].into(), "an empty cell is a missing feature");
    assert_eq!((set.label(0), set.label(1), set.rows()), (0, 1, 2));
    assert_eq!(setup::arms(&set), ["<=50K", ">50K"], "its names are the ids");
    assert_eq!(setup::definition(&ReplayOptions::default(), &set, 7).unwrap().id.as_str(), "replay-tiny-7");
}

#[test]
fn a_missing_file_is_named() {
    let why = "No such file or directory (os error 2); a data set is a pair of files in one folder, NAME.csv.gz and NAME.json";
    check(None, CSV, &format!("cannot read FOLDER/tiny.json: {why}"));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tiny.json"), JSON).unwrap();
    check_folder(folder.path(), &format!("cannot read FOLDER/tiny.csv.gz: {why}"));
}

#[test]
fn a_description_that_does_not_hold_together_is_told_by_place() {
    let place = "FOLDER/tiny.json, line 1, column";
    check(
        Some("{\"rows\": 2"),
        CSV,
        &format!("{place} 10: EOF while parsing an object; needed are rows, n_actions and classes"),
    );
    check(
        Some(r#"{"rows": 2, "n_actions": 2}"#),
        CSV,
        &format!("{place} 27: missing field `classes`; needed are rows, n_actions and classes"),
    );
    check(
        Some(r#"{"rows": 2, "n_actions": 3, "classes": ["a", "b"]}"#),
        CSV,
        "FOLDER/tiny.json, field classes: has 2 names, but n_actions is 3; name each class once",
    );
}

#[test]
fn a_header_that_is_not_understood_is_told_by_column() {
    let header = |header: &str, want: &str| check(Some(JSON), &CSV.replace("label,n_age,c_job", header), want);
    header(
        "label,age,c_job",
        "FOLDER/tiny.csv.gz, line 1, column 2: 'age' says neither n_ (a number) nor c_ (a word); rename the column",
    );
    header("n_age,label,c_job", "FOLDER/tiny.csv.gz, line 1, column 1: is 'n_age'; the first column must be 'label'");
    header("label,n_a,n_a", "FOLDER/tiny.csv.gz, line 1, column 3: 'n_a' stands in the header twice; rename one");
    check(
        Some(JSON),
        "",
        "FOLDER/tiny.csv.gz, line 1: there is none; the first line names the columns: label, then n_* and c_*",
    );
}

#[test]
fn a_row_that_is_not_understood_is_told_by_line_and_column() {
    let row = |row: &str, want: &str| {
        check(Some(JSON), &CSV.replace("1,,clerk", row), &format!("FOLDER/tiny.csv.gz, line 3{want}"));
    };
    row("1,40", ": has 2 columns, the header has 3; quote a word that has a comma");
    row("1,40,clerk,8", ": has 4 columns, the header has 3; quote a word that has a comma");
    row("2,40,clerk", ", column 1: the label '2' is not the index of a class; it must be from 0 to 1");
    row("-1,40,clerk", ", column 1: the label '-1' is not the index of a class; it must be from 0 to 1");
    row("1,old,clerk", ", column 2: 'old' in n_age is not a number; leave a missing one empty, or name the column c_");
    row("1,inf,clerk", ", column 2: 'inf' in n_age is beyond what is allowed, 1e12 in size");
    row("1,NaN,clerk", ", column 2: 'NaN' in n_age is beyond what is allowed, 1e12 in size");
    row(&format!("1,40,{}", "x".repeat(257)), ", column 3: the word in c_job has more than 256 bytes; shorten it");
}

#[test]
fn a_set_that_is_cut_short_is_told() {
    check(
        Some(JSON),
        "label,n_age,c_job\n0,39,?\n",
        "FOLDER/tiny.csv.gz, line 2: the set ends after 1 rows, but FOLDER/tiny.json says 2; correct `rows` there, or bring the whole file",
    );
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), Some(JSON), CSV);
    let file = folder.path().join("tiny.csv.gz");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 10]).unwrap();
    let answer = Dataset::read(&file).unwrap_err().to_string();
    assert!(answer.contains("tiny.csv.gz, line ") && answer.contains("is it a whole gzip file?"), "{answer}");
    fs::write(&file, CSV).unwrap();
    let answer = Dataset::read(&file).unwrap_err().to_string();
    assert!(answer.contains("tiny.csv.gz, line 1: ") && answer.contains("is it a whole gzip file?"), "{answer}");
}
