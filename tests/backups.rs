//! Backups that the real program takes of a service under load. A backup holds everything that was acknowledged before
//! it began, and a damaged or incomplete one is refused.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops at the first thing that is wrong"
)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    sync::{Arc, Mutex},
    time::Duration,
};

use nix::sys::signal::Signal;
use slotwise::{
    engine::snapshot::HEADER,
    journal::JournalReader,
    node::audit,
    wire::proto::{RecordRewardsRequest, RewardEvent, RewardStatus},
};
use support::{Clients, PATIENCE, Process, Server, click, context, decide, number, program, serve_command, slot, text};

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
fn good(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Asserts exit code 1 and a message of one line that holds all of `words`.
#[track_caller]
fn refused(output: &Output, words: &[&str]) {
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

/// Sends shoppers one after another until the service is gone.
async fn load(address: String, name: String, acknowledged: Arc<Mutex<Vec<RewardEvent>>>) {
    let mut clients = Clients::connect(&address).await;
    for i in 0_u32.. {
        let mut request = decide("offers");
        request.context =
            context(&[("age", number(f64::from(i % 60))), ("device", text(["web", "app"][i as usize % 2]))]);
        let Ok(decision) = clients.decide(request).await else { return };
        let events: Vec<_> = (0..=i % 3).map(|j| click(&format!("{name}-{i}-{j}"), &decision)).collect();
        let Ok(answer) = clients.feedback.record_rewards(RecordRewardsRequest { events: events.clone() }).await else {
            return;
        };
        assert!(answer.into_inner().results.iter().all(|result| result.status() == RewardStatus::Accepted));
        acknowledged.lock().unwrap().extend(events);
    }
}

async fn all_there(address: &str, acknowledged: &[RewardEvent]) {
    let mut clients = Clients::connect(address).await;
    for batch in acknowledged.chunks(500) {
        let request = RecordRewardsRequest { events: batch.to_vec() };
        let results = clients.feedback.record_rewards(request).await.unwrap().into_inner().results;
        for (event, result) in batch.iter().zip(results) {
            assert_eq!(result.status(), RewardStatus::Duplicate, "{} was acknowledged and is gone", event.event_id);
        }
    }
}

async fn until(mut done: impl FnMut() -> bool) {
    for _ in 0..PATIENCE.as_millis() / 20 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("what was waited for did not happen");
}

fn trimmed(data: &Path) -> u64 {
    JournalReader::open(data).unwrap().trimmed()
}

/// Takes three backups under load; each is restored, served from and verified by a full replay.
async fn backed_up_under_load(retention: &str) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("slotwise.toml");
    fs::write(&config, format!("snapshot_interval = \"1s\"\nretention = \"{retention}\"\n")).unwrap();
    let data = folder.path().join("data");
    let mut command = serve_command(&data);
    command.arg("--config").arg(&config).stderr(std::process::Stdio::null());
    let process = Process::start_command(command);
    Clients::connect(&process.address).await.create(slot("offers", &ARMS)).await.unwrap();
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let mut shoppers = tokio::task::JoinSet::new();
    for shopper in 0..2 {
        shoppers.spawn(load(process.address.clone(), format!("s{shopper}"), Arc::clone(&acknowledged)));
    }
    // The three backups are taken before the first snapshot, after it, and once retention has dropped old records.
    let trims = retention != "forever";
    for round in 0..3 {
        let have = acknowledged.lock().unwrap().len();
        until(|| acknowledged.lock().unwrap().len() > have + 100).await;
        if round == 1 {
            until(|| {
                fs::read_dir(&data).unwrap().any(|file| file.unwrap().path().extension().is_some_and(|e| e == "bin"))
            })
            .await;
        }
        if round == 2 && trims {
            until(|| trimmed(&data) > 0).await;
        }
        let target = folder.path().join(format!("backup-{round}"));
        let before = acknowledged.lock().unwrap().clone();
        let line = good(&backup(&data, &target));
        assert!(line.lines().count() == 1 && line.contains("positions ") && line.contains("snapshot"), "{line}");
        assert!(!trims || round < 2 || trimmed(&target) > 0, "what was dropped is not in the copy");
        let (last, after) = (JournalReader::open(&target).unwrap().last(), JournalReader::open(&data).unwrap().last());
        assert!(before.len() as u64 <= last && last <= after, "{} {last} {after}", before.len());

        let restored = folder.path().join(format!("restored-{round}"));
        assert_eq!(good(&restore(&target, &restored)).lines().count(), 1);
        let found = good(&verify(&restored, true));
        assert!(found.contains(&format!("to {last}")), "{found}");
        let (snapshots, compared) = (found.matches("snapshot at").count(), found.matches("byte for byte").count());
        assert!(snapshots >= usize::from(round > 0), "{found}");
        // The replay of a journal without its beginning starts from a snapshot, which it cannot check.
        assert!(if trimmed(&target) == 0 { compared == snapshots } else { compared < snapshots }, "{found}");
        let again = Process::start(&restored);
        all_there(&again.address, &before).await;
        again.signal(Signal::SIGTERM);
        drop(again);
        good(&verify(&data, false));
    }
    process.signal(Signal::SIGKILL);
    while let Some(done) = shoppers.join_next().await {
        done.unwrap();
    }
    good(&verify(&data, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_holds_all_that_was_acknowledged_before_it_began() {
    backed_up_under_load("forever").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_holds_it_too_while_what_is_old_is_dropped() {
    backed_up_under_load("1s").await;
}

/// Returns the folder of a service that has stopped, with some events and a snapshot, and a backup of it.
async fn small() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (data, target) = (folder.path().join("data"), folder.path().join("backup"));
    let server = Server::start(&data).await;
    let mut clients = server.clients().await;
    clients.create(slot("offers", &ARMS)).await.unwrap();
    for i in 0..8 {
        let decision = clients.decide(decide("offers")).await.unwrap();
        clients.reward(click(&format!("event-{i}"), &decision)).await.unwrap();
    }
    server.stop().await;
    good(&backup(&data, &target));
    (folder, data, target)
}

fn snapshot(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "bin")).max().unwrap()
}

/// Returns the offset of `what` in a file.
fn find(file: &Path, what: &[u8]) -> usize {
    fs::read(file).unwrap().windows(what.len()).position(|window| window == what).unwrap()
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 0x20;
    fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn a_flipped_byte_is_refused_with_file_and_position() {
    let (folder, _, backup) = small().await;
    let (journal, restored) = (backup.join("journal.sqlite3"), folder.path().join("restored"));
    let position = rusqlite::Connection::open(&journal)
        .unwrap()
        .query_row("SELECT position FROM events WHERE instr(body, CAST('event-5' AS BLOB)) > 0", [], |row| {
            row.get::<_, i64>(0)
        })
        .unwrap();
    let at = find(&journal, b"event-5");
    flip(&journal, at);
    let words = ["journal.sqlite3", &format!("position {position}:"), "checksum"];
    refused(&verify(&backup, false), &words);
    refused(&verify(&backup, true), &words);
    refused(&restore(&backup, &restored), &words);
    flip(&journal, at);
    let snapshot = snapshot(&backup);
    flip(&snapshot, 200);
    let words = [snapshot.to_str().unwrap(), "byte ", "damaged"];
    refused(&verify(&backup, false), &words);
    assert!(!restored.exists() && !folder.path().join("restored.partial").exists());
    // The journal is whole, so a damaged snapshot is left out of the restored folder, with a message.
    let output = restore(&backup, &restored);
    assert!(good(&output).contains("no snapshot"));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("left out: cannot use the snapshot") && told.contains("damaged"), "{told}");
    good(&verify(&restored, true));
    flip(&snapshot, 200);
    good(&restore(&backup, &folder.path().join("restored-again")));
}

/// A journal that passes verification holds exactly what was written, although bytes are flipped all over the file, one
/// at a time.
#[tokio::test]
async fn no_flipped_byte_passes_for_another_journal() {
    let (_folder, _, backup) = small().await;
    let journal = backup.join("journal.sqlite3");
    let records = || {
        let mut records = Vec::new();
        JournalReader::open(&backup)?.each(0, &mut |stored| {
            records.push((stored.position, stored.at_us, stored.kind.to_owned(), stored.body.to_vec()));
            Ok(())
        })?;
        Ok::<_, slotwise::journal::ReadError>(records)
    };
    let want = records().unwrap();
    let (length, mut refusals) = (fs::metadata(&journal).unwrap().len(), 0);
    for at in (0..usize::try_from(length).unwrap()).step_by(13) {
        flip(&journal, at);
        match audit(&backup, false, &mut |_| ()) {
            Ok(_) => assert_eq!(records().unwrap(), want, "byte {at}"),
            Err(why) => {
                let why = why.to_string();
                assert!(why.contains("journal.sqlite3") && why.contains("position"), "byte {at}: {why}");
                refusals += 1;
            }
        }
        flip(&journal, at);
    }
    assert!(refusals > 100, "{refusals} of {length} bytes");
}

#[tokio::test]
async fn a_journal_cut_off_is_refused() {
    let (_folder, _, backup) = small().await;
    let connection = rusqlite::Connection::open(backup.join("journal.sqlite3")).unwrap();
    connection.execute("DELETE FROM events WHERE position > 12", []).unwrap();
    drop(connection);
    refused(&verify(&backup, false), &["journal.sqlite3", "ends at position 12", "position 17 was acknowledged"]);
    // The table of batches still knows the last position if the watermark is missing.
    fs::remove_file(backup.join("journal.mark")).unwrap();
    refused(&verify(&backup, false), &["ends at position 12", "position 17 was acknowledged"]);
}

/// A snapshot of another history is found by the hash that it carries. If it carries the right hash but a wrong state,
/// the replay finds it.
#[tokio::test]
async fn a_snapshot_of_another_history_is_refused_and_a_wrong_state_is_found_by_the_fold() {
    let (_folder, data, backup) = small().await;
    let server = Server::start(&data).await;
    let mut clients = server.clients().await;
    let decision = clients.decide(decide("offers")).await.unwrap();
    clients.reward(click("other", &decision)).await.unwrap();
    server.stop().await;
    // The two folders now hold the same number of events, but different ones.
    let server = Server::start(&backup).await;
    server.clients().await.decide(decide("offers")).await.unwrap();
    server.clients().await.decide(decide("offers")).await.unwrap();
    server.stop().await;
    let name = snapshot(&backup);
    assert_eq!(name.file_name(), snapshot(&data).file_name());
    let own = fs::read(&name).unwrap();
    fs::copy(snapshot(&data), &name).unwrap();
    let words = [name.to_str().unwrap(), "journal.sqlite3", "different histories", "position 19"];
    refused(&verify(&backup, false), &words);
    refused(&restore(&backup, &backup.with_file_name("restored")), &words);
    let mut wrong = fs::read(&name).unwrap();
    wrong[..HEADER].copy_from_slice(&own[..HEADER]);
    fs::write(&name, wrong).unwrap();
    good(&verify(&backup, false));
    refused(&verify(&backup, true), &[name.to_str().unwrap(), "position 19", "differs from the state", "from byte"]);
}

/// No command writes into a data folder, whatever path leads there, and none replaces a file unless `--force` is given.
#[tokio::test]
async fn outputs_inside_a_data_folder_are_refused() {
    let (folder, data, whole) = small().await;
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
        refused(&export(&output, &["--force"]), &["inside the data folder"]);
    }
    for target in [data.join("backup"), elsewhere.join("link/backup"), data.join("deep/er")] {
        refused(&backup(&data, &target), &["inside the data folder"]);
        refused(&restore(&whole, &target), &["inside the data folder"]);
        refused(&run(&["journal", "salvage"], &[("", &data), ("", &target)]), &["inside the data folder"]);
    }
    assert!(before == files(&data));
    let output = elsewhere.join("out.jsonl");
    fs::write(&output, "mine").unwrap();
    refused(&export(&output, &[]), &["out.jsonl", "--force"]);
    assert_eq!(fs::read(&output).unwrap(), b"mine");
    good(&export(&output, &["--force"]));
    assert_eq!(fs::read_to_string(&output).unwrap().lines().count(), 8);
    // Salvaging an undamaged folder loses nothing.
    let target = folder.path().join("salvaged");
    let told = good(&run(&["journal", "salvage"], &[("", &data), ("", &target)]));
    assert!(told.contains("nothing is lost") && told.contains("17 records"), "{told}");
    good(&verify(&target, true));
    assert!(before == files(&data));
}

#[tokio::test]
async fn nothing_is_written_over_and_a_copy_cut_short_is_no_backup() {
    let (folder, data, whole) = small().await;
    refused(&backup(&data, &whole), &["backup is not empty", "new folder"]);
    refused(&restore(&whole, &data), &["data is not empty", "move it away"]);
    // A killed copy leaves a folder with this name.
    let partial = folder.path().join("next.partial");
    good(&restore(&whole, &partial));
    refused(&backup(&data, &folder.path().join("next")), &["next.partial", "cut short", "remove it"]);
    refused(&restore(&partial, &folder.path().join("restored")), &["next.partial", "cut short"]);
    assert!(!folder.path().join("next").exists() && !folder.path().join("restored").exists());
    // An empty folder counts as a new one.
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    good(&backup(&data, &empty));
    good(&verify(&empty, true));
    for (source, words) in [("nothing", "cannot list"), ("", "cannot open the journal")] {
        let source = folder.path().join(source);
        refused(&backup(&source, &folder.path().join("of-nothing")), &[words]);
        refused(&restore(&source, &folder.path().join("of-nothing")), &[words]);
    }
    assert!(!folder.path().join("of-nothing").exists() && !folder.path().join("of-nothing.partial").exists());
    // The journal alone is enough, because no records were dropped. A damaged snapshot is left out, with a message.
    flip(&snapshot(&data), 200);
    let output = backup(&data, &folder.path().join("without"));
    assert!(good(&output).contains("no snapshot"));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("left out: cannot use the snapshot"));
    good(&verify(&folder.path().join("without"), true));
}
