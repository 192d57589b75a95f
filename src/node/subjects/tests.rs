//! Key, table and what a folder holds of a subject.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::{
    key::{KEY_FILE, to_bytes, to_text},
    table::TABLE_FILE,
    *,
};
use crate::journal::LossPolicy;

fn subject(id: &str, session_id: &str) -> Subject {
    Subject { id: id.into(), session_id: session_id.into() }
}

/// The names of a folder's files that hold these bytes.
fn files_with(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let holds = |path: &Path| fs::read(path).unwrap().windows(bytes.len()).any(|window| window == bytes);
    let mut found: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_file() && holds(&entry.path()))
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    found.sort();
    found
}

/// Opens a folder as a node does.
fn open_with(
    folder: &Path,
    retention_us: Option<i64>,
    loss: LossPolicy,
) -> Result<(Subjects, SqliteJournal), OpenError> {
    let reader = JournalReader::open_owned(folder, loss)?;
    let key = KeyOfStart::look(folder, reader.as_ref(), loss)?;
    drop(reader);
    let mut journal = SqliteJournal::open(folder, LossPolicy::Refused)?;
    Ok((key.keep(folder, &mut journal, retention_us)?, journal))
}

fn open(folder: &Path) -> Result<(Subjects, SqliteJournal), OpenError> {
    open_with(folder, None, LossPolicy::Refused)
}

#[test]
fn a_pseudonym_is_of_its_key_its_kind_and_its_id() {
    let (ours, theirs) = (SubjectKey::new([7; 16]), SubjectKey::new([8; 16]));
    let both = ours.pseudonym(&subject("ann", "ann"));
    assert_eq!(both, ours.pseudonym(&subject("ann", "ann")));
    assert_ne!(both.id, both.session_id, "a subject is not the session of the same id");
    assert_ne!(both.id, theirs.pseudonym(&subject("ann", "")).id);
    assert_ne!(both.id, ours.pseudonym(&subject("bob", "")).id);
    assert_eq!(ours.pseudonym(&subject("", "")), Subject::default(), "an anonymous subject stays anonymous");
    assert!(both.id.len() == 27 && both.id.starts_with('~'), "{}", both.id);
    let looks_like_one = ours.pseudonym(&subject(&both.id, ""));
    assert_ne!(looks_like_one.id, both.id, "an id that looks like a pseudonym is an id like any other");
}

#[test]
fn pseudonyms_survive_as_text_and_other_texts_are_none() {
    let text = to_text(&[0xab; 16]);
    assert_eq!(to_bytes(&text), Some([0xab; 16]));
    for other in ["", "~", "ann", &text[1..], &text.to_uppercase(), &format!("{text}0"), &text[..26]] {
        assert_eq!(to_bytes(other), None, "{other}");
    }
}

#[test]
fn an_event_of_an_earlier_version_is_masked_and_one_of_this_version_is_left() {
    let key = SubjectKey::new([7; 16]);
    let want = key.pseudonym(&subject("ann", "s1"));
    let mut of_before = subject("ann", "s1");
    key.mask(&mut of_before);
    assert_eq!(of_before, want);
    key.mask(&mut of_before);
    assert_eq!(of_before, want);
}

#[test]
fn the_key_stays_with_its_journal_and_any_other_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let (subjects, journal) = open(path).unwrap();
    let mask = subjects.key;
    drop((subjects, journal));
    let file = path.join(KEY_FILE);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(path.join(TABLE_FILE)).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(open(path).unwrap().0.key, mask);
    assert!(!format!("{mask:?}").contains(char::is_numeric), "the key stands in no log");

    let whole = fs::read(&file).unwrap();
    let refused = |what: &str| {
        let told = open(path).unwrap_err().to_string();
        assert!(told.contains(KEY_FILE) && told.contains(what), "{told}");
    };
    fs::remove_file(&file).unwrap();
    refused("is missing");
    fs::write(&file, &whole[..30]).unwrap();
    refused("is damaged");
    let mut flipped = whole.clone();
    flipped[30] = if flipped[30] == b'0' { b'1' } else { b'0' };
    fs::write(&file, &flipped).unwrap();
    refused("is damaged");
    SubjectKey::random().write(path).unwrap();
    refused("another data folder");
    fs::write(&file, &whole).unwrap();
    assert_eq!(open(path).unwrap().0.key, mask);
}

#[test]
fn a_lost_key_is_replaced_only_where_its_loss_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let lost = open(path).unwrap().0.key;
    let file = path.join(KEY_FILE);
    let accept = || open_with(path, None, LossPolicy::Accepted);
    assert_eq!(accept().unwrap().0.key, lost, "a key that is there stays");
    fs::remove_file(&file).unwrap();
    let told = open(path).unwrap_err().to_string();
    assert!(told.contains("is missing") && told.contains("--accept-loss") && !file.exists(), "{told}");
    let drawn = accept().unwrap().0.key;
    assert_ne!(drawn, lost);
    assert_eq!(open(path).unwrap().0.key, drawn, "the journal knows the new key");
    let other = tempfile::tempdir().unwrap();
    lost.write(other.path()).unwrap();
    let foreign = fs::read(other.path().join(KEY_FILE)).unwrap();
    for (content, word) in [(foreign, "another data folder"), (b"damaged".to_vec(), "is damaged")] {
        let known = open(path).unwrap().0.key;
        fs::write(&file, &content).unwrap();
        let told = open(path).unwrap_err().to_string();
        assert!(told.contains(word) && told.contains("--accept-loss"), "{told}");
        assert_eq!(fs::read(&file).unwrap(), content, "a refusal changes nothing");
        let drawn = accept().unwrap().0.key;
        assert!(drawn != known && drawn != lost, "neither the lost key nor a foreign one");
        assert_eq!(open(path).unwrap().0.key, drawn);
    }
    assert_eq!(fs::read(path.join("subjects.key.aside2")).unwrap(), b"damaged", "no file is overwritten");
}

#[test]
fn the_table_gives_ids_back_until_they_are_forgotten_and_leaves_no_byte_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let (subjects, _journal) = open(folder.path()).unwrap();
    // Enough rows for pages to be split and moved.
    let of = |i: u32| subject(&format!("shopper-{i}@example.com"), &format!("visit-{i}-of-shopper"));
    let all: Vec<Subject> = (0..3_000).map(|i| subjects.pseudonym(&of(i), 20_000)).collect();
    subjects.settle();
    assert!((0..3_000).all(|i| subjects.names(&all[i as usize]) == of(i)));
    assert_eq!(files_with(folder.path(), b"shopper-1234@example.com").len(), 1, "only in the table or its log");

    let gone = &all[1234];
    subjects.forget(&[&gone.id, &gone.session_id]).unwrap();
    assert_eq!(subjects.names(&all[1234]), all[1234], "its pseudonym is all that is left");
    assert_eq!(subjects.names(&all[1235]), of(1235));
    for gone in [&b"shopper-1234@example.com"[..], b"visit-1234-of-shopper"] {
        assert_eq!(files_with(folder.path(), gone), Vec::<String>::new());
    }
    assert_eq!(subjects.pseudonym(&of(1234), 20_000), all[1234], "who comes again is who they were");
    subjects.settle();
    assert_eq!(subjects.names(&all[1234]), of(1234));
}

#[test]
fn ids_that_nobody_saw_for_longer_than_the_retention_leave() {
    let folder = tempfile::tempdir().unwrap();
    let (subjects, _journal) = open_with(folder.path(), Some(10 * 86_400_000_000), LossPolicy::Refused).unwrap();
    let see = |id: &str, day| {
        let pseudonym = subjects.pseudonym(&subject(id, ""), day);
        subjects.settle();
        pseudonym
    };
    let (old, kept) = (see("old-shopper", 100), see("kept-shopper", 100));
    see("kept-shopper", 105);
    see("new-shopper", 111);
    assert_eq!(subjects.names(&old).id, "old-shopper", "its last day counts in full");
    see("newer-shopper", 112);
    assert_eq!((subjects.names(&old), subjects.names(&kept).id.as_str()), (old, "kept-shopper"));
    assert_eq!(files_with(folder.path(), b"old-shopper"), Vec::<String>::new());
}

#[test]
fn a_table_that_is_no_table_costs_the_display_of_ids_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(TABLE_FILE), "this is not a database, but long enough to look at").unwrap();
    let (subjects, _journal) = open(folder.path()).unwrap();
    let pseudonym = subjects.pseudonym(&subject("ann", ""), 1);
    subjects.settle();
    assert_eq!(subjects.names(&pseudonym), pseudonym);
}

#[test]
fn an_id_that_cannot_be_written_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (subjects, _journal) = open(folder.path()).unwrap();
    let other = rusqlite::Connection::open(folder.path().join(TABLE_FILE)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    subjects.pseudonym(&subject("ann", "tab1"), 1);
    let dropped = subjects.dropped();
    drop(subjects);
    assert_eq!(dropped.load(std::sync::atomic::Ordering::Relaxed), 2);
}
