//! Journals of every format stay readable: `tests/fixtures` holds a data folder of each.
//!
//! A folder's name says the formats in which it was written. The test replays the journal of each folder and compares
//! the state with the one that the program of that time reached. If the snapshot has the present format, the test also
//! reads it and applies the events after it. A snapshot of an older format is ignored, or refused if the journal was
//! trimmed. A folder is never changed. A new format adds one: `cargo run --example write_fixture -- NAME`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

mod fixture;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use fixture::{summary, write_fixture};
use serde_json::Value as Json;
use slotwise::{
    engine::Body,
    journal::{Journal as _, JournalReader, LossPolicy, RecordRange, SqliteJournal},
    node::{decode_event, fold, recover_state},
};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

/// Asserts that two summaries are equal. Numbers may differ in their last digits, because older programs used the
/// platform's mathematical library.
fn assert_same(found: &Json, want: &Json, at: &str) {
    match (found, want) {
        (Json::Number(found), Json::Number(want)) => {
            let (found, want) = (found.as_f64().unwrap(), want.as_f64().unwrap());
            assert!((found - want).abs() <= 1e-9 * want.abs().max(1.0), "{at}: {found}, and was {want}");
        }
        (Json::Object(found), Json::Object(want)) => {
            let keys = |map: &serde_json::Map<String, Json>| map.keys().cloned().collect::<BTreeSet<_>>();
            assert!(keys(want).is_subset(&keys(found)), "{at}: {:?} against {:?}", keys(found), keys(want));
            // A counter that was added since counted nothing at that time.
            let added = found.iter().filter(|(key, _)| !want.contains_key(*key));
            added.for_each(|(key, counted)| assert_eq!(counted.as_f64(), Some(0.0), "{at}.{key}"));
            for (key, want) in want {
                assert_same(&found[key], want, &format!("{at}.{key}"));
            }
        }
        _ => assert_eq!(found, want, "{at}"),
    }
}

fn copy_of(fixture: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

fn fixtures() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(FIXTURES).unwrap().map(|entry| entry.unwrap().path()).collect();
    // The last number of a name is the version of its snapshots.
    found.sort_by_key(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let numbers = name.split('-').filter_map(|part| part.parse().ok());
        (numbers.collect::<Vec<u32>>(), name.to_owned())
    });
    found
}

#[test]
fn journals_of_every_version_are_read() {
    assert!(!fixtures().is_empty());
    for fixture in fixtures() {
        let name = fixture.display();
        let want: Json = serde_json::from_str(&fs::read_to_string(fixture.join("expected.json")).unwrap()).unwrap();
        let folder = copy_of(&fixture);
        let snapshots: Vec<PathBuf> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
            .collect();
        assert_eq!(snapshots.len(), 2, "{name}");
        assert_same(
            &summary(&recover_state(folder.path(), None, 1).unwrap()),
            &want,
            &format!("{name}, as at a start"),
        );
        for snapshot in snapshots {
            match recover_state(folder.path(), Some(&snapshot), 2) {
                Ok(state) => assert_same(&summary(&state), &want, &format!("{name}, from {}", snapshot.display())),
                Err(why) => assert!(why.to_string().contains("its format is version"), "{name}: {why}"),
            }
        }
        assert_same(&summary(&fold(folder.path(), 1).unwrap()), &want, &format!("{name}, from its beginning"));
    }
}

#[test]
fn snapshots_of_an_older_format_beside_a_trimmed_journal_are_refused() {
    let folder = copy_of(&Path::new(FIXTURES).join("journal-3-snapshot-5"));
    let mut journal = SqliteJournal::open(folder.path(), LossPolicy::Refused).unwrap();
    let last = journal.last();
    while journal.trim(&["decided", "rewarded"], i64::MAX, last, 1_000).unwrap() {}
    let trimmed = journal.trimmed();
    drop(journal);
    let refused = recover_state(folder.path(), None, 1).unwrap_err().to_string();
    for part in ["snapshot-00000000000000000403.bin", "has format 5", &trimmed.to_string(), "slotwise journal export"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
}

/// The newest fixture holds every kind of event and decisions with every optional part, and it is written in the
/// journal's present format.
#[test]
fn the_newest_fixture_is_of_this_version_and_holds_every_kind_of_event() {
    let newest = fixtures().pop().unwrap();
    let folder = copy_of(&newest);
    let mut kinds = BTreeSet::new();
    let mut optional_parts = BTreeSet::new();
    let reader = JournalReader::open(folder.path()).unwrap();
    reader
        .each(RecordRange::default(), &mut |stored| {
            let event = decode_event(stored.body)?;
            assert_eq!(event.body.kind(), stored.kind);
            if let Body::Decided(decided) = &event.body {
                let parts = [
                    ("shadow_slate", !decided.shadow_slate.is_empty()),
                    ("analysis", decided.analysis),
                    ("holdout", decided.holdout),
                    ("sticky", decided.sticky.is_some()),
                    ("matched_rules", !decided.matched_rules.is_empty()),
                    ("scored", !decided.scored.is_empty()),
                    ("excluded", !decided.excluded.is_empty()),
                    ("best_expected", decided.best_expected > 0.0),
                    ("matches", decided.matches.as_ref().is_some_and(|matches| !matches.is_empty())),
                    ("pseudonym", decided.subject.id.starts_with('~')),
                    ("confirmed", decided.expire_us.is_some()),
                ];
                optional_parts.extend(parts.into_iter().filter_map(|(part, is)| is.then_some(part)));
            }
            kinds.insert(stored.kind.to_owned());
            Ok(())
        })
        .unwrap();
    let every = [
        "slot_created",
        "slot_updated",
        "slot_patched",
        "slot_deleted",
        "arms_upserted",
        "arms_removed",
        "availability_set",
        "slot_reset",
        "decided",
        "rewarded",
        "shopper",
        "deferred",
        "draft",
        "imported",
        "learning_copied",
        "learning_imported",
        "slot_renamed",
        "arm_reset",
        "subject_forgotten",
        "items_changed",
    ];
    assert_eq!(kinds, every.map(str::to_owned).into(), "a kind was added: add a fixture that holds it");
    assert_eq!(optional_parts.len(), 11, "decisions have only {optional_parts:?}");
    // Bytes 60 to 63 of the file are SQLite's `user_version`.
    let format = |folder: &Path| fs::read(folder.join("journal.sqlite3")).unwrap()[60..64].to_vec();
    let fresh = tempfile::tempdir().unwrap();
    write_fixture(fresh.path());
    assert_eq!(format(&newest), format(fresh.path()), "the journal's format is new: add a fixture of it");
}
