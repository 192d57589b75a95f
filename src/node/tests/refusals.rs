//! Refusals of a start: each has a message that names the file, and changes no byte of the folder.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use rusqlite::Connection;

use super::*;
use crate::journal::LossPolicy;
pub(super) use crate::node::snapshot_file::snapshots;

/// The files of a folder.
pub(super) fn image(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let name = |entry: &fs::DirEntry| entry.file_name().into_string().unwrap();
    fs::read_dir(folder)
        .unwrap()
        .map(Result::unwrap)
        .map(|entry| (name(&entry), fs::read(entry.path()).unwrap_or_default()))
        .collect()
}

pub(super) fn copy(from: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in image(from) {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// A service with two snapshots and a tail of events, as SIGKILL leaves it.
pub(super) async fn killed(world: &mut TestNode) -> tempfile::TempDir {
    for (run, rounds) in [12, 10, 8].into_iter().enumerate() {
        let node = world.open();
        if run == 0 {
            create(&node).await;
        }
        for i in 0..rounds {
            let decided = decide_one(&node, None).await.unwrap();
            reward(&node, &format!("e{run}-{i}"), &decided).await.unwrap();
            world.clock.advance(1_000);
        }
        if run == 2 {
            let copied = copy(world.folder.path());
            node.shutdown();
            return copied;
        }
        // Shutting down takes a snapshot.
        node.shutdown();
    }
    unreachable!("the last run returns")
}

pub(super) fn start(folder: &Path, loss: LossPolicy) -> Result<Node, OpenError> {
    let options = Options { loss, snapshot_every_us: i64::MAX, ..Options::new(folder) };
    Node::open(&options, Arc::new(ManualClock::new(1_793_000_900_000_000)), Arc::new(Unobserved))
}

/// Starts in the folder, which must be refused with all these words, and must be as it was. Looking at the folder in
/// other ways changes nothing either.
#[track_caller]
pub(super) fn refused(what: &str, folder: &Path, words: &[&str]) {
    let before = image(folder);
    for _ in 0..2 {
        let why = start(folder, LossPolicy::Refused).map(drop).expect_err(what).to_string();
        for word in words {
            assert!(why.contains(word), "{what}: {word:?} in {why}");
        }
        assert!(!why.contains('\n'), "{what}: {why}");
        let after = image(folder);
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>(), "{what}: {why}");
        assert!(before == after, "{what}: {why}");
        drop((recover_state(folder, None, 1), fold(folder, 1), audit(folder, true, &mut |_| ())));
        assert!(before == image(folder), "{what}: read");
    }
}

pub(super) fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 0x10;
    fs::write(file, bytes).unwrap();
}

pub(super) fn middle(file: &Path) -> usize {
    usize::try_from(fs::metadata(file).unwrap().len() / 2).unwrap()
}

/// Moves everything into the journal's file, and changes something there.
pub(super) fn execute(folder: &Path, statements: &str) {
    let journal = Connection::open(folder.join("journal.sqlite3")).unwrap();
    journal.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    journal.execute_batch(statements).unwrap();
}

pub(super) fn remove_snapshots(folder: &Path) {
    for (_, path) in snapshots(folder).unwrap() {
        fs::remove_file(path).unwrap();
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a list of refusals, each of a few lines")]
async fn a_start_that_is_refused_changes_nothing() {
    let (mut world, mut other_world) = (TestNode::new(), TestNode::new());
    let (crashed, other) = (killed(&mut world).await, killed(&mut other_world).await);
    let path = |folder: &tempfile::TempDir, name: &str| folder.path().join(name);
    let names = ["journal.sqlite3", "journal.sqlite3-wal", "journal.sqlite3-shm", "journal.mark", "lock"];
    assert!(names.iter().all(|name| path(&crashed, name).exists()), "{:?}", image(crashed.path()).keys());
    assert_eq!(snapshots(crashed.path()).unwrap().len(), 2);

    // The write-ahead log.
    let case = copy(crashed.path());
    let log = path(&case, "journal.sqlite3-wal");
    flip(&log, middle(&log));
    refused("a flipped bit in the log", case.path(), &["journal.sqlite3 ends at position", "was acknowledged"]);
    fs::remove_file(path(&case, "journal.sqlite3-shm")).unwrap();
    refused("the same without its index", case.path(), &["was acknowledged"]);
    fs::remove_file(path(&case, "lock")).unwrap();
    refused("the same without a lock", case.path(), &["was acknowledged"]);
    flip(&log, 40);
    refused("the first frame of the log too", case.path(), &["was acknowledged"]);
    fs::remove_file(log).unwrap();
    refused("no log", case.path(), &["was acknowledged"]);
    fs::remove_file(path(&case, "journal.mark")).unwrap();
    remove_snapshots(case.path());
    refused("neither log nor watermark nor snapshots", case.path(), &["journal.mark is missing", "--accept-loss"]);
    drop(start(case.path(), LossPolicy::Accepted).unwrap());
    drop(start(case.path(), LossPolicy::Refused).unwrap());

    // The watermark.
    let case = copy(crashed.path());
    fs::remove_file(path(&case, "journal.mark")).unwrap();
    refused("no watermark", case.path(), &["journal.mark is missing", "--accept-loss"]);
    fs::copy(path(&other, "journal.mark"), path(&case, "journal.mark")).unwrap();
    refused(
        "the watermark of another journal",
        case.path(),
        &["journal.mark belongs to the journal", "journal.sqlite3 is"],
    );
    let further = copy(other.path());
    let node = start(further.path(), LossPolicy::Refused).unwrap();
    for i in 0..3 {
        let decided = decide_one(&node, None).await.unwrap();
        reward(&node, &format!("further-{i}"), &decided).await.unwrap();
    }
    node.shutdown();
    fs::copy(path(&further, "journal.mark"), path(&case, "journal.mark")).unwrap();
    refused(
        "the watermark of another journal that has more events",
        case.path(),
        &["journal.mark belongs to the journal", "journal.sqlite3 is"],
    );

    // The file.
    let case = copy(crashed.path());
    fs::write(path(&case, "journal.sqlite3"), "").unwrap();
    refused("an empty file beside a log", case.path(), &["journal.sqlite3", "salvage"]);
    fs::remove_file(path(&case, "journal.sqlite3")).unwrap();
    refused("no file beside a log", case.path(), &["journal.sqlite3"]);
    fs::remove_file(path(&case, "journal.sqlite3-wal")).unwrap();
    refused("no journal", case.path(), &["ends at position 0", "was acknowledged"]);
    fs::remove_file(path(&case, "journal.mark")).unwrap();
    refused("no journal beside snapshots", case.path(), &["ends at position 0", "was durable"]);
    // The file is cut off where a snapshot covers it. The missing pages are not in the log, which had begun again.
    let case = copy(crashed.path());
    execute(case.path(), "");
    {
        let mut journal = SqliteJournal::open(case.path(), LossPolicy::Refused).unwrap();
        let filler =
            |i: u8| Record { at_us: i64::MAX, kind: "decided", slot: "s".into(), decision: None, body: vec![i; 900] };
        journal.append(&(0..40).map(filler).collect::<Vec<_>>()).unwrap();
    }
    let case = {
        let mut journal = SqliteJournal::open(case.path(), LossPolicy::Refused).unwrap();
        journal
            .append(&[Record { at_us: i64::MAX, kind: "decided", slot: "s".into(), decision: None, body: vec![1] }])
            .unwrap();
        copy(case.path())
    };
    let file = path(&case, "journal.sqlite3");
    let half = fs::metadata(&file).unwrap().len() / 2 / 4096 * 4096;
    fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(half).unwrap();
    refused("a file that is cut in half", case.path(), &["journal.sqlite3", "position"]);

    let case = copy(crashed.path());
    execute(case.path(), "DELETE FROM events WHERE position = 9");
    remove_snapshots(case.path());
    refused("a hole", case.path(), &["hole", "position 9 is missing"]);
    let case = copy(crashed.path());
    execute(case.path(), "UPDATE events SET body = x'00' WHERE position = 9");
    remove_snapshots(case.path());
    refused("a damaged record", case.path(), &["position 9", "checksum"]);
    let case = copy(crashed.path());
    execute(
        case.path(),
        "UPDATE batches SET hash = zeroblob(32) WHERE last = (SELECT last FROM batches WHERE first > 8 LIMIT 1)",
    );
    remove_snapshots(case.path());
    refused("a damaged chain", case.path(), &["position", "not those of the batch"]);
    let case = copy(crashed.path());
    execute(case.path(), "UPDATE identity SET journal = zeroblob(16)");
    refused("a damaged identity", case.path(), &["identity"]);
    let case = copy(crashed.path());
    execute(case.path(), "PRAGMA user_version = 99");
    refused("a newer version", case.path(), &["format 99", "newer"]);
    let case = copy(crashed.path());
    fs::write(path(&case, "journal.sqlite3"), "not a database, by a long way, at all").unwrap();
    refused("no database", case.path(), &["journal.sqlite3"]);
    let case = copy(crashed.path());
    fs::remove_file(path(&case, "journal.sqlite3")).unwrap();
    fs::remove_file(path(&case, "journal.sqlite3-wal")).unwrap();
    Connection::open(path(&case, "journal.sqlite3")).unwrap().execute_batch("CREATE TABLE things (name TEXT)").unwrap();
    refused("a database of another program", case.path(), &["another program"]);

    // The snapshots.
    let case = copy(crashed.path());
    let ours = snapshots(case.path()).unwrap();
    let theirs = snapshots(other.path()).unwrap();
    fs::copy(&theirs[1].1, case.path().join(theirs[1].1.file_name().unwrap())).unwrap();
    let text = start(case.path(), LossPolicy::Refused).map(drop).unwrap_err().to_string();
    refused(
        "a snapshot of another service",
        case.path(),
        &[
            theirs[1].1.file_name().unwrap().to_str().unwrap(),
            "belongs to the journal",
            "journal.sqlite3 is the journal",
        ],
    );
    assert!(text.contains("different services"), "{text}");
    let case = copy(crashed.path());
    execute(case.path(), "INSERT INTO retention VALUES (1, 12, 0)");
    let sum = {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(b"retention");
        hasher.update(&12_u64.to_be_bytes());
        hasher.finalize()
    };
    execute(case.path(), &format!("UPDATE retention SET checksum = {sum}"));
    for (_, path) in &snapshots(case.path()).unwrap() {
        flip(path, middle(path));
    }
    let names: Vec<_> = ours.iter().map(|(_, path)| path.file_name().unwrap().to_str().unwrap()).collect();
    refused("both snapshots damaged", case.path(), &[names[0], names[1], "damaged"]);
    remove_snapshots(case.path());
    refused("no snapshots of a trimmed journal", case.path(), &["after position 12"]);

    // The folder.
    let case = copy(crashed.path());
    for name in ["journal.sqlite3", "journal.sqlite3-wal", "journal.mark"] {
        fs::set_permissions(path(&case, name), Permissions::from_mode(0o444)).unwrap();
        refused("a file that is read-only", case.path(), &[name, "read-only", "chmod"]);
        fs::set_permissions(path(&case, name), Permissions::from_mode(0o644)).unwrap();
    }
    let case = tempfile::tempdir().unwrap();
    fs::write(path(&case, "thesis.new"), "the only copy").unwrap();
    refused("a folder of others", case.path(), &["thesis.new", "empty", "--data"]);
    let case = copy(crashed.path());
    let first = start(case.path(), LossPolicy::Refused).unwrap();
    refused("a folder in use", case.path(), &["in use by another process"]);
    drop(first);
    // A whole folder starts, and files of other programs stay.
    fs::write(path(&case, "thesis.new"), "the only copy").unwrap();
    fs::write(path(&case, "snapshot-5.bin"), "not one of ours").unwrap();
    fs::write(path(&case, "snapshot-00000000000000000005.bin.new"), "a part").unwrap();
    drop(start(case.path(), LossPolicy::Refused).unwrap());
    assert!(path(&case, "thesis.new").exists() && path(&case, "snapshot-5.bin").exists());
    assert!(!path(&case, "snapshot-00000000000000000005.bin.new").exists());
}

/// A snapshot stands for what the missing pages held, and a start reads none of them. The first reward would.
#[tokio::test]
async fn a_file_without_its_second_half_is_refused_also_if_a_snapshot_covers_it() {
    // With these numbers no page that is read ends where the snapshot does.
    for rounds in [80, 150] {
        let world = TestNode::new();
        let node = world.open();
        create(&node).await;
        for i in 0..rounds {
            let decided = decide_one(&node, None).await.unwrap();
            reward(&node, &format!("e{i}"), &decided).await.unwrap();
        }
        node.shutdown();
        drop(node);
        let node = world.open();
        let decided = decide_one(&node, None).await.unwrap();
        reward(&node, "last", &decided).await.unwrap();
        let case = copy(world.folder.path());
        node.shutdown();
        let file = case.path().join("journal.sqlite3");
        let half = fs::metadata(&file).unwrap().len() / 2 / 4096 * 4096;
        fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(half).unwrap();
        let words = ["journal.sqlite3 is cut off", &half.to_string()];
        refused("a file that is cut in half", case.path(), &words);
    }
}

/// The file alone, copied while the service runs, has lost what stands in the log: nobody may take it for whole.
#[tokio::test]
async fn the_journal_s_file_alone_is_refused_and_a_flag_accepts_it() {
    let mut world = TestNode::new();
    let crashed = killed(&mut world).await;
    let alone = tempfile::tempdir().unwrap();
    // Without the key the folder would be refused for another reason.
    for name in ["journal.sqlite3", "subjects.key"] {
        fs::copy(crashed.path().join(name), alone.path().join(name)).unwrap();
    }
    refused("the file alone", alone.path(), &["journal.mark is missing", "--accept-loss"]);
    let node = start(alone.path(), LossPolicy::Accepted).unwrap();
    let decided = decide_one(&node, None).await.unwrap();
    assert_eq!(reward(&node, "e2-0", &decided).await.unwrap(), EventStatus::Accepted, "it stood in the log");
    drop(node);
    let node = start(alone.path(), LossPolicy::Refused).unwrap();
    assert_eq!(reward(&node, "e2-0", &decided).await.unwrap(), EventStatus::Duplicate, "it is whole again");
}

/// A snapshot that another history of the same journal came to: a restored backup went on beside the original.
#[tokio::test]
async fn a_snapshot_of_another_history_is_refused_with_both_named() {
    let mut world = TestNode::new();
    let (one, two) = {
        let crashed = killed(&mut world).await;
        (copy(crashed.path()), copy(crashed.path()))
    };
    for folder in [&one, &two] {
        let node = start(folder.path(), LossPolicy::Refused).unwrap();
        for _ in 0..3 {
            let decided = decide_one(&node, None).await.unwrap();
            reward(&node, "later", &decided).await.unwrap();
        }
        node.shutdown();
    }
    let newest = snapshots(one.path()).unwrap().remove(0).1;
    fs::copy(&newest, two.path().join(newest.file_name().unwrap())).unwrap();
    refused(
        "another history",
        two.path(),
        &[newest.file_name().unwrap().to_str().unwrap(), "different histories", "journal.sqlite3"],
    );
}
