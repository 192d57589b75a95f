//! Backups that the real program takes of a service under load. A backup holds everything that was acknowledged before
//! it began, and a damaged or incomplete one is refused.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops at the first thing that is wrong"
)]

mod under_load;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use crate::support::{self, InProcessServer, click, decide, program, slot};
use slotwise::{
    engine::snapshot::HEADER,
    journal::{JournalReader, RecordRange},
    node::audit,
};

const ARMS: [&str; 3] = ["a", "b", "c"];

fn run(words: &[&str], paths: &[(&str, &Path)]) -> Output {
    let mut command = program();
    command.args(words);
    for (flag, path) in paths {
        if !flag.is_empty() {
            command.arg(flag);
        }
        command.arg(path);
    }
    command.output().unwrap()
}

#[track_caller]
fn assert_success(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Asserts exit code 1 and a message of one line that holds all of `words`.
#[track_caller]
fn assert_refused(output: &Output, words: &[&str]) {
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert_eq!((error.lines().count(), output.stdout.len()), (1, 0), "{error}");
    for word in words {
        assert!(error.contains(word), "{word} in {error}");
    }
}

fn backup(data: &Path, target: &Path) -> Output {
    run(&["backup"], &[("", target), ("--data", data)])
}

fn restore(backup: &Path, data: &Path) -> Output {
    run(&["restore"], &[("", backup), ("--data", data)])
}

fn verify(data: &Path, fold: bool) -> Output {
    run(if fold { &["journal", "verify", "--fold"] } else { &["journal", "verify"] }, &[("--data", data)])
}

/// Returns the folder of a service that has stopped, with some events and a snapshot, and a backup of it.
async fn small_folder_with_backup() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (data, target) = (folder.path().join("data"), folder.path().join("backup"));
    let server = InProcessServer::start(&data).await;
    let mut clients = server.clients().await;
    clients.create(slot("offers", &ARMS)).await.unwrap();
    for i in 0..8 {
        let decision = clients.decide(decide("offers")).await.unwrap();
        clients.reward(click(&format!("event-{i}"), &decision)).await.unwrap();
    }
    server.stop().await;
    assert_success(&backup(&data, &target));
    (folder, data, target)
}

fn snapshot(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "bin")).max().unwrap()
}

/// Returns the offset of `what` in a file.
fn offset_of(file: &Path, what: &[u8]) -> usize {
    fs::read(file).unwrap().windows(what.len()).position(|window| window == what).unwrap()
}

fn flip_bit(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 0x20;
    fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn a_flipped_byte_is_refused_with_file_and_position() {
    let (folder, _, backup) = small_folder_with_backup().await;
    let (journal, restored) = (backup.join("journal.sqlite3"), folder.path().join("restored"));
    let position = rusqlite::Connection::open(&journal)
        .unwrap()
        .query_row("SELECT position FROM events WHERE instr(body, CAST('event-5' AS BLOB)) > 0", [], |row| {
            row.get::<_, i64>(0)
        })
        .unwrap();
    let at = offset_of(&journal, b"event-5");
    flip_bit(&journal, at);
    let words = ["journal.sqlite3", &format!("position {position}:"), "checksum"];
    assert_refused(&verify(&backup, false), &words);
    assert_refused(&verify(&backup, true), &words);
    assert_refused(&restore(&backup, &restored), &words);
    flip_bit(&journal, at);
    let snapshot = snapshot(&backup);
    flip_bit(&snapshot, 200);
    let words = [snapshot.to_str().unwrap(), "byte ", "damaged"];
    assert_refused(&verify(&backup, false), &words);
    assert!(!restored.exists() && !folder.path().join("restored.partial").exists());
    // The journal is whole, so a damaged snapshot is left out of the restored folder, with a message.
    let output = restore(&backup, &restored);
    assert!(assert_success(&output).contains("no snapshot"));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.starts_with("left out: cannot use the snapshot") && message.contains("damaged"), "{message}");
    assert_success(&verify(&restored, true));
    flip_bit(&snapshot, 200);
    assert_success(&restore(&backup, &folder.path().join("restored-again")));
}

/// A journal that passes verification holds exactly what was written, although bytes are flipped all over the file, one
/// at a time.
#[tokio::test]
async fn no_flipped_byte_passes_for_another_journal() {
    let (_folder, _, backup) = small_folder_with_backup().await;
    let journal = backup.join("journal.sqlite3");
    let records = || {
        let mut records = Vec::new();
        JournalReader::open(&backup)?.each(RecordRange::default(), &mut |stored| {
            records.push((stored.position, stored.at_us, stored.kind.to_owned(), stored.body.to_vec()));
            Ok(())
        })?;
        Ok::<_, slotwise::journal::ReadError>(records)
    };
    let want = records().unwrap();
    let (length, mut refusals) = (fs::metadata(&journal).unwrap().len(), 0);
    for at in (0..usize::try_from(length).unwrap()).step_by(13) {
        flip_bit(&journal, at);
        match audit(&backup, false, &mut |_| ()) {
            Ok(_) => assert_eq!(records().unwrap(), want, "byte {at}"),
            Err(why) => {
                let why = why.to_string();
                assert!(why.contains("journal.sqlite3") && why.contains("position"), "byte {at}: {why}");
                refusals += 1;
            }
        }
        flip_bit(&journal, at);
    }
    assert!(refusals > 100, "{refusals} of {length} bytes");
}

#[tokio::test]
async fn a_journal_cut_off_is_refused() {
    let (_folder, _, backup) = small_folder_with_backup().await;
    let connection = rusqlite::Connection::open(backup.join("journal.sqlite3")).unwrap();
    connection.execute("DELETE FROM events WHERE position > 12", []).unwrap();
    drop(connection);
    assert_refused(
        &verify(&backup, false),
        &["journal.sqlite3", "ends at position 12", "position 17 was acknowledged"],
    );
    // The table of batches still knows the last position if the watermark is missing.
    fs::remove_file(backup.join("journal.mark")).unwrap();
    assert_refused(&verify(&backup, false), &["ends at position 12", "position 17 was acknowledged"]);
}

/// A snapshot of another history is found by the hash that it carries. If it carries the right hash but a wrong state,
/// the replay finds it.
#[tokio::test]
async fn a_snapshot_of_another_history_is_refused_and_a_wrong_state_is_found_by_the_fold() {
    let (_folder, data, backup) = small_folder_with_backup().await;
    let server = InProcessServer::start(&data).await;
    let mut clients = server.clients().await;
    let decision = clients.decide(decide("offers")).await.unwrap();
    clients.reward(click("other", &decision)).await.unwrap();
    server.stop().await;
    // The two folders now hold the same number of events, but different ones.
    let server = InProcessServer::start(&backup).await;
    server.clients().await.decide(decide("offers")).await.unwrap();
    server.clients().await.decide(decide("offers")).await.unwrap();
    server.stop().await;
    let name = snapshot(&backup);
    assert_eq!(name.file_name(), snapshot(&data).file_name());
    let own = fs::read(&name).unwrap();
    fs::copy(snapshot(&data), &name).unwrap();
    let words = [name.to_str().unwrap(), "journal.sqlite3", "different histories", "position 19"];
    assert_refused(&verify(&backup, false), &words);
    assert_refused(&restore(&backup, &backup.with_file_name("restored")), &words);
    let mut wrong = fs::read(&name).unwrap();
    wrong[..HEADER].copy_from_slice(&own[..HEADER]);
    fs::write(&name, wrong).unwrap();
    assert_success(&verify(&backup, false));
    assert_refused(
        &verify(&backup, true),
        &[name.to_str().unwrap(), "position 19", "differs from the state", "from byte"],
    );
}

/// No command writes into a data folder, whatever path leads there, and none replaces a file unless `--force` is given.
#[tokio::test]
async fn outputs_inside_a_data_folder_are_refused() {
    let (folder, data, whole) = small_folder_with_backup().await;
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&data, elsewhere.join("link")).unwrap();
    std::os::unix::fs::symlink(data.join("journal.sqlite3"), elsewhere.join("file")).unwrap();
    let files = |folder: &Path| -> Vec<(PathBuf, Vec<u8>)> {
        let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        paths.sort();
        paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    };
    let before = files(&data);
    let export = |output: &Path, words: &[&str]| {
        run(&[&["journal", "export"], words].concat(), &[("--data", &data), ("--output", output)])
    };
    let newest = snapshot(&data);
    for output in [
        data.join("journal.sqlite3"),
        data.join("new.jsonl"),
        newest,
        elsewhere.join("link/out"),
        elsewhere.join("../data/out"),
        elsewhere.join("file"),
    ] {
        assert_refused(&export(&output, &["--force"]), &["inside the data folder"]);
    }
    for target in [data.join("backup"), elsewhere.join("link/backup"), data.join("deep/er")] {
        assert_refused(&backup(&data, &target), &["inside the data folder"]);
        assert_refused(&restore(&whole, &target), &["inside the data folder"]);
        assert_refused(&run(&["journal", "salvage"], &[("", &data), ("", &target)]), &["inside the data folder"]);
    }
    assert!(before == files(&data));
    let output = elsewhere.join("out.jsonl");
    fs::write(&output, "mine").unwrap();
    assert_refused(&export(&output, &[]), &["out.jsonl", "--force"]);
    assert_eq!(fs::read(&output).unwrap(), b"mine");
    assert_success(&export(&output, &["--force"]));
    assert_eq!(fs::read_to_string(&output).unwrap().lines().count(), 8);
    // Salvaging an undamaged folder loses nothing.
    let target = folder.path().join("salvaged");
    let message = assert_success(&run(&["journal", "salvage"], &[("", &data), ("", &target)]));
    assert!(message.contains("nothing is lost") && message.contains("17 records"), "{message}");
    assert_success(&verify(&target, true));
    assert!(before == files(&data));
}

#[tokio::test]
async fn no_folder_is_overwritten_and_an_incomplete_copy_is_refused() {
    let (folder, data, whole) = small_folder_with_backup().await;
    assert_refused(&backup(&data, &whole), &["backup is not empty", "new folder"]);
    assert_refused(&restore(&whole, &data), &["data is not empty", "move it away"]);
    // A killed copy leaves a folder with this name.
    let partial = folder.path().join("next.partial");
    assert_success(&restore(&whole, &partial));
    assert_refused(&backup(&data, &folder.path().join("next")), &["next.partial", "cut short", "remove it"]);
    assert_refused(&restore(&partial, &folder.path().join("restored")), &["next.partial", "cut short"]);
    assert!(!folder.path().join("next").exists() && !folder.path().join("restored").exists());
    // An empty folder counts as a new one.
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert_success(&backup(&data, &empty));
    assert_success(&verify(&empty, true));
    for (source, words) in [("nothing", "cannot list"), ("", "cannot open the journal")] {
        let source = folder.path().join(source);
        assert_refused(&backup(&source, &folder.path().join("of-nothing")), &[words]);
        assert_refused(&restore(&source, &folder.path().join("of-nothing")), &[words]);
    }
    assert!(!folder.path().join("of-nothing").exists() && !folder.path().join("of-nothing.partial").exists());
    // The journal alone is enough, because no records were dropped. A damaged snapshot is left out, with a message.
    flip_bit(&snapshot(&data), 200);
    let output = backup(&data, &folder.path().join("without"));
    assert!(assert_success(&output).contains("no snapshot"));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("left out: cannot use the snapshot"));
    assert_success(&verify(&folder.path().join("without"), true));
}
