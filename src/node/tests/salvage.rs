//! Folders that a start refuses, and what `salvage` makes of them.

use std::{fs, path::Path};

use super::{refusals::*, *};
use crate::journal::LossPolicy;

fn salvaged(source: &Path, target: &Path) -> Salvaged {
    let before = image(source);
    let salvaged = salvage(source, target, &mut |_| ()).unwrap();
    assert!(before == image(source), "the source is only read");
    let verified = audit(target, true, &mut |_| ()).unwrap();
    assert_eq!(verified.last, salvaged.audit.last);
    salvaged
}

/// Records and what they came to, of a folder that starts.
fn counted(folder: &Path) -> (u64, u64, u64) {
    let state = recover_state(folder, None, 1).unwrap();
    let counters = state.slot("offers").unwrap().view().counters;
    (state.position(), counters.decisions, counters.rewards)
}

#[tokio::test]
async fn what_is_whole_behind_a_damaged_frame_is_salvaged() {
    let mut world = TestNode::new();
    let crashed = killed(&mut world).await;
    let (whole, place) = (counted(crashed.path()), tempfile::tempdir().unwrap());
    let log = crashed.path().join("journal.sqlite3-wal");
    let bytes = fs::read(&log).unwrap();
    let mut lost_at_most = 0;
    for (i, at) in (4_000..bytes.len()).step_by(bytes.len() / 12).enumerate() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        fs::write(&log, damaged).unwrap();
        let why = start(crashed.path(), LossPolicy::Refused).map(drop).unwrap_err().to_string();
        assert!(why.contains("was acknowledged"), "byte {at}: {why}");
        let target = place.path().join(format!("salvaged-{i}"));
        let salvaged = salvaged(crashed.path(), &target);
        let lost: u64 = salvaged.lost.values().sum();
        lost_at_most = lost_at_most.max(lost);
        let now = counted(&target);
        assert!(now.0 + 1 >= whole.0 && lost <= 1, "byte {at}: {salvaged:?}");
        // The salvaged folder goes on as a journal of its own.
        let node = start(&target, LossPolicy::Refused).unwrap();
        let decided = decide_one(&node, None).await.unwrap();
        assert_eq!(reward(&node, &format!("after-{i}"), &decided).await.unwrap(), EventStatus::Accepted);
    }
    assert!(lost_at_most <= 1);
}

#[tokio::test]
async fn a_damaged_record_is_named_with_its_kind_and_those_after_it_move() {
    let mut world = TestNode::new();
    let crashed = killed(&mut world).await;
    let case = copy(crashed.path());
    execute(case.path(), "UPDATE events SET body = zeroblob(length(body)) WHERE position IN (9, 10, 15)");
    let (whole, place) = (counted(case.path()), tempfile::tempdir().unwrap());
    // The snapshot holds what came of them.
    let one = salvaged(case.path(), &place.path().join("one"));
    assert_eq!(one.gaps, [Gap { first: 9, last: 10 }, Gap { first: 15, last: 15 }]);
    assert_eq!((one.held_by_snapshot, one.moved, one.audit.last), (3, None, whole.0));
    assert_eq!(counted(&place.path().join("one")), whole);
    // Without snapshots the records are lost.
    remove_snapshots(case.path());
    refused("damaged records", case.path(), &["position 9", "checksum"]);
    let two = salvaged(case.path(), &place.path().join("two"));
    assert_eq!((two.held_by_snapshot, two.snapshot, two.audit.last), (0, 0, whole.0 - 3));
    assert_eq!(two.moved, Some((11, 9)));
    assert_eq!(two.lost.values().sum::<u64>(), 3);
    assert!(two.lost.keys().all(|kind| kind == "decided" || kind == "rewarded"), "{:?}", two.lost);
    let now = counted(&place.path().join("two"));
    assert!(now.0 == whole.0 - 3 && now.1 + now.2 + 6 >= whole.1 + whole.2, "{now:?} of {whole:?}");
}

#[tokio::test]
async fn files_that_are_cut_off_or_gone_are_salvaged_as_far_as_they_are_whole() {
    let mut world = TestNode::new();
    let crashed = killed(&mut world).await;
    let (whole, place) = (counted(crashed.path()), tempfile::tempdir().unwrap());
    let snapshot = snapshots(crashed.path()).unwrap()[0].0;
    // The log is gone: what stood in it after the snapshot is lost.
    let case = copy(crashed.path());
    fs::remove_file(case.path().join("journal.sqlite3-wal")).unwrap();
    let one = salvaged(case.path(), &place.path().join("one"));
    assert_eq!((one.snapshot, one.audit.last), (snapshot, snapshot));
    assert_eq!((one.lost.values().sum::<u64>(), one.held_by_snapshot), (whole.0 - snapshot, 0));
    assert_eq!(one.gaps, [Gap { first: snapshot + 1, last: whole.0 }]);
    // The file is gone, the log is there: the snapshot holds what stood in the file.
    let case = copy(crashed.path());
    fs::remove_file(case.path().join("journal.sqlite3")).unwrap();
    let two = salvaged(case.path(), &place.path().join("two"));
    let lost = two.lost.values().sum::<u64>();
    assert!(lost > 0 && lost == two.held_by_snapshot && two.audit.last == whole.0, "{two:?}");
    assert!(matches!(two.gaps[..], [Gap { first: 1, last }] if last <= snapshot), "{two:?}");
    assert_eq!(counted(&place.path().join("two")), whole);
    // Snapshots damaged: the records are enough.
    let case = copy(crashed.path());
    for (_, path) in snapshots(case.path()).unwrap() {
        flip(&path, middle(&path));
    }
    let three = salvaged(case.path(), &place.path().join("three"));
    assert_eq!((three.left_out.len(), three.snapshot, three.audit.last), (2, 0, whole.0));
    assert_eq!(counted(&place.path().join("three")), whole);
    // Refused are a source without data, a source in use, and a target inside a data folder.
    let empty = tempfile::tempdir().unwrap();
    let why = salvage(empty.path(), &place.path().join("four"), &mut |_| ()).unwrap_err().to_string();
    assert!(why.contains("no record and no snapshot"), "{why}");
    let why = salvage(crashed.path(), &crashed.path().join("below"), &mut |_| ()).unwrap_err().to_string();
    assert!(why.contains("inside the data folder"), "{why}");
    let why = salvage(crashed.path(), &place.path().join("one"), &mut |_| ()).unwrap_err().to_string();
    assert!(why.contains("not empty"), "{why}");
    let node = start(crashed.path(), LossPolicy::Refused).unwrap();
    let why = salvage(crashed.path(), &place.path().join("five"), &mut |_| ()).unwrap_err().to_string();
    assert!(why.contains("in use"), "{why}");
    drop(node);
    assert!(!place.path().join("four").exists() && !place.path().join("five").exists());
}

/// Records longer than a page, and a journal that dropped what is old.
#[test]
fn long_records_are_followed_and_what_was_dropped_stays_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let long = |i: u64| Record {
        at_us: i64::try_from(i).unwrap(),
        kind: if i.is_multiple_of(10) { "slot_updated" } else { "decided" },
        slot: "offers".into(),
        decision: None,
        body: i.to_be_bytes().repeat(usize::try_from(i * 97 % 6_000).unwrap() + 1),
    };
    let mut journal = SqliteJournal::open(folder.path(), LossPolicy::Refused).unwrap();
    for i in 0..20 {
        journal.append(&(i * 10 + 1..=i * 10 + 10).map(long).collect::<Vec<_>>()).unwrap();
    }
    let carved = crate::journal::PageScan::open(folder.path(), 200).unwrap();
    assert_eq!(carved.positions().count(), 200);
    for i in 1..=200 {
        let record = carved.record(i).unwrap();
        assert!(record.body == long(i).body && record.kind == long(i).kind, "{i}");
    }
    while journal.trim(&["decided"], i64::MAX, 100, 50).unwrap() {}
    drop(journal);
    let carved = crate::journal::PageScan::open(folder.path(), 200).unwrap();
    assert_eq!((carved.trimmed(), carved.identity().is_some()), (100, true));
    assert!((101..=200).all(|i| carved.record(i).unwrap().body == long(i).body));
}

/// A service that was killed leaves the log of its table of subjects. SQLite would write an index beside it for a reader.
#[tokio::test]
async fn a_table_of_subjects_with_a_log_is_only_read() {
    let mut world = TestNode::new();
    let crashed = killed(&mut world).await;
    let table = rusqlite::Connection::open(crashed.path().join("subjects.sqlite3")).unwrap();
    table
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE IF NOT EXISTS names (pseudonym BLOB PRIMARY KEY, id TEXT NOT NULL, seen INTEGER NOT NULL) STRICT;
             INSERT OR REPLACE INTO names VALUES (zeroblob(16), 'ann', 1);",
        )
        .unwrap();
    let (case, place) = (copy(crashed.path()), tempfile::tempdir().unwrap());
    drop(table);
    assert!(fs::metadata(case.path().join("subjects.sqlite3-wal")).unwrap().len() > 0);
    for index in [true, false] {
        if !index {
            fs::remove_file(case.path().join("subjects.sqlite3-shm")).unwrap();
        }
        let target = place.path().join(format!("index-{index}"));
        assert_eq!(salvaged(case.path(), &target).left_out, Vec::<String>::new());
        let copied = rusqlite::Connection::open(target.join("subjects.sqlite3")).unwrap();
        let id: String =
            copied.query_row("SELECT id FROM names WHERE pseudonym = zeroblob(16)", [], |row| row.get(0)).unwrap();
        assert_eq!(id, "ann");
    }
}
