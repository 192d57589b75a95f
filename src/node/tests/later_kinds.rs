//! A journal that holds an event of a kind that this program does not know.

use prost::Message as _;

use super::*;
use crate::{
    engine::{Body, Event},
    journal::{JournalReader, ReadError},
};

/// The envelope of an event of a later kind; its field numbers are those of `slotwise.log.v1.Event`.
#[derive(prost::Message)]
struct Later {
    #[prost(int64, tag = "1")]
    at_us: i64,
    /// The body: a kind between 11 and 39.
    #[prost(bytes = "vec", tag = "39")]
    body: Vec<u8>,
    #[prost(string, tag = "41")]
    kind: String,
    #[prost(bool, tag = "43")]
    skippable: bool,
}

/// A folder with a slot, an event of a later kind and a change of the slot.
fn folder_with_a_later_kind(skippable: bool) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let created = Body::SlotCreated { definition: Arc::new(definition()), why: ChangeReason::default() };
    let reset = Body::SlotReset { slot: slot_id(), why: ChangeReason::default() };
    let later = Later { at_us: 20, body: vec![8, 1], kind: "shopper_seen".into(), skippable }.encode_to_vec();
    let later = Record { at_us: 20, kind: "shopper_seen", slot: String::new(), decision: None, body: later };
    let of = |at_us, body| encode_event(&Event { at_us, body });
    let mut journal = SqliteJournal::open(folder.path(), LossPolicy::Refused).unwrap();
    journal.append(&[of(10, created), later, of(15, reset)]).unwrap();
    folder
}

#[test]
fn an_event_of_a_later_kind_that_may_be_skipped_moves_position_and_time_only() {
    let folder = folder_with_a_later_kind(true);
    let state = fold(folder.path(), 2).unwrap();
    assert_eq!((state.position(), state.at_us()), (3, 20));
    assert_eq!(state.slots().count(), 1);
    let whole = audit(folder.path(), true, &mut |_| {}).unwrap();
    assert_eq!((whole.records, whole.last), (3, 3));
    let reader = JournalReader::open(folder.path()).unwrap();
    let mut each = |_: JoinedDecision| -> Result<(), std::fmt::Error> { panic!("there are no decisions") };
    join(&reader, &Selection::default(), &mut |_| {}, &mut each).unwrap();
}

#[test]
fn an_event_of_a_later_kind_that_must_be_understood_is_refused_by_its_name() {
    let folder = folder_with_a_later_kind(false);
    let wants = |told: &str| {
        assert!(
            told.contains("position 2") && told.contains("'shopper_seen'") && told.contains("newer program"),
            "{told}"
        );
    };
    wants(&fold(folder.path(), 2).unwrap_err().to_string());
    wants(&audit(folder.path(), false, &mut |_| {}).unwrap_err().to_string());
    let reader = JournalReader::open(folder.path()).unwrap();
    let mut each = |_: JoinedDecision| Ok::<(), std::fmt::Error>(());
    let refused: JoinError<std::fmt::Error> = join(&reader, &Selection::default(), &mut |_| {}, &mut each).unwrap_err();
    assert!(matches!(refused, JoinError::Read(ReadError::Reader { position: 2, .. })), "{refused}");
    wants(&refused.to_string());
}
