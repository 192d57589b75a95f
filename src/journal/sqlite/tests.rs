//! The journal against files that were damaged, cut short, or found no room.

use super::*;
use crate::journal::{JournalReader, RecordRange};

fn record(i: u64) -> Record {
    Record {
        at_us: 1_000 + i64::try_from(i).unwrap(),
        kind: "decided",
        slot: "offers".into(),
        decision: i.is_multiple_of(2).then(|| format!("d{i}")),
        body: i.to_be_bytes().repeat(20),
    }
}

fn bodies(journal: &mut SqliteJournal, after: u64) -> Result<Vec<(u64, Vec<u8>)>, ReadError> {
    let mut found = Vec::new();
    journal.replay(after, &mut |stored| {
        found.push((stored.position, stored.body.to_vec()));
        Ok(())
    })?;
    Ok(found)
}

fn filled(folder: &Path) -> SqliteJournal {
    let mut journal = SqliteJournal::open(folder, LossPolicy::Refused).unwrap();
    assert_eq!(journal.append(&(1..=3).map(record).collect::<Vec<_>>()).unwrap(), 3);
    assert_eq!(journal.append(&(4..=10).map(record).collect::<Vec<_>>()).unwrap(), 10);
    journal
}

#[test]
fn what_was_appended_comes_back_in_order_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(folder.path()));
    let mut journal = SqliteJournal::open(folder.path(), LossPolicy::Refused).unwrap();
    assert_eq!(journal.last(), 10);
    let want: Vec<_> = (1..=10).map(|i| (i, record(i).body)).collect();
    assert_eq!(bodies(&mut journal, 0).unwrap(), want);
    assert_eq!(bodies(&mut journal, 7).unwrap(), want[7..]);
}

/// A record's checksum covers all its columns, and a missing record is a hole.
#[test]
fn damage_is_refused_with_its_position() {
    for (damage, hole) in [
        ("UPDATE events SET body = zeroblob(160) WHERE position = 6", false),
        ("UPDATE events SET at_us = at_us + 1 WHERE position = 6", false),
        ("UPDATE events SET kind = 'rewarded' WHERE position = 6", false),
        ("UPDATE events SET slot = 'offer' WHERE position = 6", false),
        ("UPDATE events SET decision_id = NULL WHERE position = 6", false),
        ("DELETE FROM events WHERE position = 6", true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = filled(folder.path());
        journal.connection.execute(damage, []).unwrap();
        match bodies(&mut journal, 0) {
            Err(ReadError::Checksum { position: 6, .. }) if !hole => {}
            Err(ReadError::Hole { expected: 6, found: 7, .. }) if hole => {}
            other => panic!("{damage}: {other:?}"),
        }
        assert_eq!(bodies(&mut journal, 6).unwrap().len(), 4, "what follows is whole");
    }
}

/// A journal on a full disk writes none of a batch, and all of it once there is space: nothing is lost or written twice.
#[test]
fn a_commit_without_room_leaves_nothing_and_may_be_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = filled(folder.path());
    // A journal that may not grow is what a full disk looks like to SQLite.
    let pages: i64 = journal.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    journal.connection.pragma_update(None, "max_page_count", pages).unwrap();
    let many: Vec<_> = (11..=5_000).map(record).collect();
    assert!(matches!(journal.append(&many), Err(AppendError::Full { .. })));
    assert_eq!(journal.last(), 10);
    assert!(matches!(journal.append(&many), Err(AppendError::Full { .. })));
    journal.connection.pragma_update(None, "max_page_count", pages + 10_000).unwrap();
    assert_eq!(journal.append(&many).unwrap(), 5_000);
    drop(journal);
    let mut journal = SqliteJournal::open(folder.path(), LossPolicy::Refused).unwrap();
    let want: Vec<_> = (1..=5_000).map(|i| (i, record(i).body)).collect();
    assert_eq!(bodies(&mut journal, 0).unwrap(), want);
}

/// A failure of another kind lasts until the next start, which finds all that was acknowledged.
#[test]
fn a_commit_that_failed_otherwise_poisons() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = filled(folder.path());
    // A second record of the same position: an error of the engine, as a disk that cannot be read would be.
    journal.extent.last = 5;
    assert!(matches!(journal.append(&[record(6)]), Err(AppendError::Engine { .. })));
    assert!(matches!(journal.append(&[record(11)]), Err(AppendError::Poisoned { .. })));
    assert!(matches!(journal.trim(&["decided"], i64::MAX, 10, 10), Err(AppendError::Poisoned { .. })));
    drop(journal);
    let mut journal = SqliteJournal::open(folder.path(), LossPolicy::Refused).unwrap();
    assert_eq!(bodies(&mut journal, 0).unwrap().len(), 10);
    assert_eq!(journal.append(&[record(11)]).unwrap(), 11);
}

/// A checkpoint whose sync failed says that the disk is failure: nothing more is acknowledged.
#[test]
fn a_failed_checkpoint_poisons_unless_it_wanted_room() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = filled(folder.path());
    let failure = |code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
    record_lasting_failure(&journal.told, &failure(rusqlite::ffi::SQLITE_FULL));
    record_lasting_failure(&journal.told, &failure(rusqlite::ffi::SQLITE_BUSY));
    assert_eq!(journal.append(&[record(11)]).unwrap(), 11);
    record_lasting_failure(&journal.told, &failure(rusqlite::ffi::SQLITE_IOERR_FSYNC));
    match journal.append(&[record(12)]) {
        Err(AppendError::Engine { why, .. }) => assert!(why.contains("checkpoint"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(journal.append(&[record(12)]), Err(AppendError::Poisoned { .. })));
}

/// SQLite ends its log at the first frame that is not whole. The watermark shows that acknowledged records are missing.
#[test]
fn an_end_before_what_was_acknowledged_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let journal = filled(folder.path());
    // A process death leaves the files like this: nothing is moved from the log into the main file.
    let crashed = tempfile::tempdir().unwrap();
    for name in ["journal.sqlite3", "journal.sqlite3-wal", "journal.mark"] {
        fs::copy(folder.path().join(name), crashed.path().join(name)).unwrap();
    }
    drop(journal);
    let log = crashed.path().join("journal.sqlite3-wal");
    let whole = fs::read(&log).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(&log, flipped).unwrap();
    for _ in 0..2 {
        let refused = SqliteJournal::open(crashed.path(), LossPolicy::Refused).unwrap_err();
        assert!(matches!(refused, ReadError::Short { last: 3, acknowledged: 10, .. }), "{refused}");
        assert!(matches!(JournalReader::open(crashed.path()), Err(ReadError::Short { last: 3, .. })));
    }
    fs::remove_file(crashed.path().join("journal.sqlite3")).unwrap();
    fs::remove_file(&log).unwrap();
    let refused = SqliteJournal::open(crashed.path(), LossPolicy::Refused).unwrap_err();
    assert!(matches!(refused, ReadError::Short { last: 0, acknowledged: 10, .. }), "{refused}");
}

/// Records and batches of a journal that is read, slowly or not at all, are in no transaction that waits for the reader.
#[test]
fn a_reader_that_stands_still_does_not_hold_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = SqliteJournal::open(folder.path(), LossPolicy::Refused).unwrap();
    for batch in 0..30 {
        journal.append(&(batch * 100 + 1..=batch * 100 + 100).map(record).collect::<Vec<_>>()).unwrap();
    }
    let reader = JournalReader::open(folder.path()).unwrap();
    let aside = Connection::open(folder.path().join("journal.sqlite3")).unwrap();
    let (mut seen, mut looks) = (0, 0);
    let last = reader.each(RecordRange::default(), &mut |stored| {
        seen += 1;
        if stored.position.is_multiple_of(500) {
            looks += 1;
            journal.append(&[record(3_000 + looks)]).unwrap();
            let busy: i64 = aside.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
            let log = fs::metadata(folder.path().join("journal.sqlite3-wal")).unwrap().len();
            assert_eq!((busy, log), (0, 0), "at position {}", stored.position);
        }
        Ok(())
    });
    assert_eq!((last.unwrap(), seen, looks), (3_000, 3_000, 6), "what came meanwhile is not seen");
    let mut positions = Vec::new();
    let mut each = |stored: &Stored<'_>| {
        positions.push(stored.position);
        Ok(())
    };
    reader.newest("decided", "offers", 3, 10_000, &mut each).unwrap();
    assert_eq!(positions, [3_000, 2_999, 2_998]);
}

/// A slow reader does not mistake dropped records for records that never existed.
#[test]
fn a_reader_that_retention_overtakes_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = SqliteJournal::open(folder.path(), LossPolicy::Refused).unwrap();
    journal.append(&(1..=3_000).map(record).collect::<Vec<_>>()).unwrap();
    journal.append(&(3_001..=4_000).map(record).collect::<Vec<_>>()).unwrap();
    let reader = JournalReader::open(folder.path()).unwrap();
    let read = reader.each(RecordRange::default(), &mut |stored| {
        if stored.position == 10 {
            while journal.trim(&["decided"], i64::MAX, 2_000, 10_000).unwrap() {}
        }
        Ok(())
    });
    assert!(matches!(read, Err(ReadError::Overtaken { position: 1_024, trimmed: 2_000, .. })), "{read:?}");
    // A new reader reads what is left; the batch that lost some of its records is not verified, the next one is.
    let reader = JournalReader::open(folder.path()).unwrap();
    assert_eq!(reader.each(RecordRange::default(), &mut |_| Ok(())).unwrap(), 4_000);
    let aside = Connection::open(folder.path().join("journal.sqlite3")).unwrap();
    aside.execute("UPDATE batches SET hash = zeroblob(32) WHERE last = 4000", []).unwrap();
    let refused = reader.each(RecordRange::default(), &mut |_| Ok(())).unwrap_err();
    assert!(matches!(refused, ReadError::Chain { position: 3_001, .. }), "{refused}");
}

/// A database that another program holds is not a sick one.
#[test]
fn a_busy_journal_takes_nothing_and_goes_on_when_it_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = filled(folder.path());
    let other = Connection::open(folder.path().join("journal.sqlite3")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = instant();
    for _ in 0..2 {
        let refused = journal.append(&[record(11)]).unwrap_err();
        assert!(matches!(refused, AppendError::Busy { .. }), "{refused}");
        let refused = journal.trim(&["decided"], i64::MAX, 5, 10).unwrap_err();
        assert!(matches!(refused, AppendError::Busy { .. }), "{refused}");
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "others wait with it: {:?}", begun.elapsed());
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(journal.append(&[record(11)]).unwrap(), 11);
    assert_eq!(bodies(&mut journal, 0).unwrap().len(), 11);
}

#[test]
fn a_file_that_is_removed_or_replaced_while_it_is_written_poisons() {
    for (name, replace) in
        [("journal.sqlite3", false), ("journal.sqlite3", true), ("journal.sqlite3-wal", false), ("journal.mark", true)]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = filled(folder.path());
        journal.check_files().unwrap();
        let file = folder.path().join(name);
        let copy = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        if replace {
            // Another file first, so that the inode is not given out again.
            fs::write(folder.path().join("other"), "").unwrap();
            fs::write(&file, copy).unwrap();
        }
        match journal.check_files() {
            Err(AppendError::Engine { why, .. }) => {
                assert!(why.contains(name) && why.contains("removed or replaced"), "{why}");
            }
            other => panic!("{name}: {other:?}"),
        }
        assert!(matches!(journal.append(&[record(11)]), Err(AppendError::Poisoned { .. })));
    }
}

/// The hash of each batch is compared with snapshots and watermark, and a copy is the same journal.
#[test]
fn a_journal_has_an_identity_and_a_chain() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = filled(folder.path());
    let point = journal.point();
    let reader = JournalReader::open(folder.path()).unwrap();
    assert_eq!(reader.identity(), Some(point.journal));
    assert_eq!(reader.point_at(10).unwrap(), Some(point));
    assert_eq!(reader.point_at(5).unwrap(), None, "no batch ends there");
    let before = reader.point_at(3).unwrap().unwrap();
    let snapshot = Path::new("snapshot");
    reader.refuse_foreign(snapshot, 3, Some(&before)).unwrap();
    let foreign = |point: &ChainPoint| reader.refuse_foreign(snapshot, point.position, Some(point)).unwrap_err();
    let other = ChainPoint { journal: JournalId([1; 16]), ..point };
    let refused = foreign(&other);
    let text = refused.to_string();
    assert!(text.contains(&other.journal.to_string()) && text.contains(&point.journal.to_string()), "{text}");
    let refused = foreign(&ChainPoint { hash: [1; 32], ..point });
    assert!(matches!(refused, ReadError::OtherHistory { position: 10, .. }), "{refused}");
    assert!(reader.refuse_foreign(snapshot, 3, None).is_err(), "written before the journal was");
    // Another journal with the same records has another chain.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = filled(elsewhere.path()).point();
    assert!(other.journal != point.journal && other.hash != point.hash);
    let copied = tempfile::tempdir().unwrap();
    reader.copy_to(copied.path()).unwrap();
    assert_eq!(SqliteJournal::open(copied.path(), LossPolicy::Refused).unwrap().point(), point);
    // The chain stays verifiable when its beginning is dropped.
    while journal.trim(&["decided"], i64::MAX, 5, 100).unwrap() {}
    let reader = JournalReader::open(folder.path()).unwrap();
    assert_eq!(reader.each(RecordRange::default(), &mut |_| Ok(())).unwrap(), 10);
    assert_eq!(reader.point_at(10).unwrap(), Some(point));
}

/// A record that was exchanged for another whole one is noticed by the chain alone.
#[test]
fn another_record_in_the_place_of_one_breaks_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = filled(folder.path());
    let other = Record { body: vec![1, 2, 3], ..record(6) };
    let Record { at_us, kind, slot, decision, body } = &other;
    let sum = checksum(&Stored { position: 6, at_us: *at_us, kind, slot, decision: decision.as_deref(), body });
    let update = "UPDATE events SET body = ?, checksum = ? WHERE position = 6";
    journal.connection.execute(update, params![body, i64::from(sum)]).unwrap();
    let refused = bodies(&mut journal, 0).unwrap_err();
    assert!(matches!(refused, ReadError::Chain { position: 4, .. }), "{refused}");
    assert!(bodies(&mut journal, 3).is_err());
    assert_eq!(bodies(&mut journal, 10).unwrap().len(), 0);
}

#[test]
fn what_outlived_its_retention_is_dropped_and_the_rest_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = SqliteJournal::open(folder.path(), LossPolicy::Refused).unwrap();
    let kept = |i: u64| if i.is_multiple_of(10) { Record { kind: "slot_updated", ..record(i) } } else { record(i) };
    journal.append(&(1..=100).map(kept).collect::<Vec<_>>()).unwrap();
    // Records 1 to 60 are old enough, 1 to 50 are covered, and 30 at a time are looked at.
    assert!(journal.trim(&["decided"], 1_061, 50, 30).unwrap());
    assert_eq!(journal.trimmed(), 30);
    assert!(!journal.trim(&["decided"], 1_061, 50, 30).unwrap());
    assert!(!journal.trim(&["decided"], 1_061, 50, 30).unwrap());
    assert_eq!(journal.trimmed(), 50);
    assert!(!journal.trim(&["decided"], 1_041, 90, 30).unwrap(), "nothing more is old enough");
    drop(journal);
    let mut journal = SqliteJournal::open(folder.path(), LossPolicy::Refused).unwrap();
    assert!(matches!(bodies(&mut journal, 49), Err(ReadError::Trimmed { trimmed: 50, .. })));
    assert_eq!(bodies(&mut journal, 50).unwrap().len(), 50);
    let mut positions = Vec::new();
    let reader = JournalReader::open(folder.path()).unwrap();
    let last = reader.each(RecordRange::default(), &mut |stored| {
        positions.push(stored.position);
        Ok(())
    });
    assert_eq!((last.unwrap(), reader.last(), reader.trimmed()), (100, 100, 50));
    let want: Vec<u64> = [10, 20, 30, 40, 50].into_iter().chain(51..=100).collect();
    assert_eq!(positions, want);
    assert_eq!(journal.append(&[record(101)]).unwrap(), 101);
    // A hole after that is one.
    journal.connection.execute("DELETE FROM events WHERE position = 60", []).unwrap();
    assert!(matches!(bodies(&mut journal, 50), Err(ReadError::Hole { expected: 60, found: 61, .. })));
    journal.connection.execute("UPDATE retention SET trimmed = 60", []).unwrap();
    drop(journal);
    assert!(matches!(SqliteJournal::open(folder.path(), LossPolicy::Refused), Err(ReadError::Checksum { .. })));
}

/// All may be dropped, and positions go on.
#[test]
fn a_journal_of_which_all_was_dropped_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = filled(folder.path());
    assert!(!journal.trim(&["decided"], i64::MAX, u64::MAX, 1_000).unwrap());
    drop(journal);
    let mut journal = SqliteJournal::open(folder.path(), LossPolicy::Refused).unwrap();
    assert_eq!((journal.last(), journal.trimmed()), (10, 10));
    assert_eq!(journal.append(&[record(11)]).unwrap(), 11);
    assert_eq!(bodies(&mut journal, 10).unwrap().len(), 1);
}

#[test]
fn a_journal_of_the_first_format_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let journal = filled(folder.path());
    journal
        .connection
        .execute_batch("DROP TABLE retention; DROP TABLE identity; DROP TABLE batches; PRAGMA user_version = 1")
        .unwrap();
    drop(journal);
    fs::remove_file(folder.path().join("journal.mark")).unwrap();
    let mut journal = SqliteJournal::open(folder.path(), LossPolicy::Refused).unwrap();
    assert_eq!(bodies(&mut journal, 0).unwrap().len(), 10);
    assert!(!journal.trim(&["decided"], 1_003, 10, 10).unwrap());
    assert_eq!(journal.trimmed(), 2);
}

#[test]
fn a_copy_is_a_whole_journal_and_is_taken_while_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = filled(folder.path());
    let reader = JournalReader::open(folder.path()).unwrap();
    journal.append(&[record(11)]).unwrap();
    assert_eq!(reader.last(), 10, "a view of what there was");
    let target = tempfile::tempdir().unwrap();
    reader.copy_to(target.path()).unwrap();
    assert_eq!(journal.append(&[record(12)]).unwrap(), 12);
    let mut copy = SqliteJournal::open(target.path(), LossPolicy::Refused).unwrap();
    let want: Vec<_> = (1..=11).map(|i| (i, record(i).body)).collect();
    assert_eq!(bodies(&mut copy, 0).unwrap(), want);
}

#[test]
fn a_file_that_is_no_journal_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("journal.sqlite3"), "not a database, by a long way, at all").unwrap();
    assert!(matches!(SqliteJournal::open(folder.path(), LossPolicy::Refused), Err(ReadError::Open { .. })));
    let other = tempfile::tempdir().unwrap();
    let database = Connection::open(other.path().join("journal.sqlite3")).unwrap();
    database.execute_batch("CREATE TABLE things (name TEXT); PRAGMA user_version = 1").unwrap();
    drop(database);
    assert!(
        matches!(SqliteJournal::open(other.path(), LossPolicy::Refused), Err(ReadError::Open { .. })),
        "another program's"
    );
}
