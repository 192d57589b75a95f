//! Pseudonyms: journal and snapshots know a subject or session by a pseudonym, never by the id that the caller sent.
//!
//! * [`key`]: the key that turns an id into its pseudonym, in the file `subjects.key`.
//! * [`table`]: the ids by pseudonym, in the file `subjects.sqlite3`, for those who look at decisions.
//!
//! Ids become pseudonyms where they enter the node; the engine sees nothing else, apart from the conditions of rules.
//!
//! Invariants: a pseudonym depends on the key and the id alone, so joins need no table; nothing waits for the table, and
//! a row that is lost costs the display of an id and nothing else.

pub(in crate::node) mod key;
pub(in crate::node) mod table;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, PoisonError, RwLock, atomic::AtomicU64},
};

use super::OpenError;
use crate::{
    engine::{Body, Event, Subject},
    journal::{JournalReader, KeyRecord, LossPolicy, SqliteJournal},
};
pub use key::KeyError;
use key::{PseudonymBytes, SubjectKey};
use table::{Names, SubjectTable};

/// The day of a time in microseconds, both since 1970.
pub(in crate::node) fn day_of(at_us: i64) -> i64 {
    at_us.div_euclid(24 * 3600 * 1_000_000)
}

/// Masks the subjects of events as they are read from a journal: see [`SubjectKey::mask`].
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::node) struct Mask {
    key: Option<SubjectKey>,
    /// Last position before the first event that may need the key.
    begun: u64,
}

impl Mask {
    /// The mask of a folder. One that no program with pseudonyms has served yet has no key; its events are left as they
    /// are.
    pub(in crate::node) fn of(folder: &Path, journal: Option<&JournalReader>) -> Result<Self, OpenError> {
        match journal.map(JournalReader::subjects_key).transpose()?.flatten() {
            Some(KeyRecord { fingerprint, begun }) => {
                Ok(Self { key: Some(SubjectKey::of_journal(folder, fingerprint)?), begun })
            }
            None => Ok(Self::default()),
        }
    }

    /// Returns `true` if pseudonyms began after a position other than 0. A snapshot before it knows subjects by their ids.
    pub(in crate::node) fn is_after(self, position: u64) -> bool {
        self.key.is_some() && position <= self.begun
    }

    /// Masks the subject of an event.
    pub(in crate::node) fn apply(self, event: &mut Event) {
        let Some(key) = self.key else { return };
        if let Body::Decided(decided) | Body::Deferred(decided) = &mut event.body {
            // An event that has just been read is not shared yet, so `get_mut` succeeds.
            if let Some(decided) = Arc::get_mut(decided) {
                key.mask(&mut decided.subject);
            }
        } else if let Body::Rewarded(rewarded) = &mut event.body {
            key.mask(&mut rewarded.subject);
        }
        // Shopper events are younger than pseudonyms, so they never hold an id.
    }
}

/// Status of the key of a folder at a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyStatus {
    /// The file is there, and the journal knows the key.
    Whole,
    /// A start that was cut short left the file, and the journal knows no key yet.
    Unrecorded,
    /// Neither the file nor the record exists.
    New,
    /// The file is gone, damaged or another folder's; the journal may know the key that was in it.
    Lost,
}

/// Key of a folder that a node starts from, before the start has written anything.
#[derive(Debug)]
pub(in crate::node) struct KeyOfStart {
    key: SubjectKey,
    status: KeyStatus,
    mask: Mask,
}

impl KeyOfStart {
    /// Looks for the folder's key, which must be the one that the journal knows. A new one is drawn where the journal
    /// knows none yet, and in the place of one that is gone, damaged or another folder's if `loss` is accepted.
    pub(in crate::node) fn look(
        folder: &Path,
        journal: Option<&JournalReader>,
        loss: LossPolicy,
    ) -> Result<Self, OpenError> {
        let last = journal.map_or(0, JournalReader::last);
        let recorded = journal.map(JournalReader::subjects_key).transpose()?.flatten();
        let found = match SubjectKey::read(folder) {
            Err(KeyError::Damaged(_)) if loss == LossPolicy::Accepted => None,
            found => found?,
        };
        let is_known = |record: &KeyRecord| found.is_some_and(|key| key.fingerprint() == record.fingerprint);
        let (key, status, begun) = match (found, recorded) {
            (_, Some(record)) if loss == LossPolicy::Accepted && !is_known(&record) => {
                // Ids from before there were pseudonyms become those of the new key: snapshots with those of the lost
                // one are no longer what the journal gives.
                let begun = if record.begun == 0 { 0 } else { last };
                (SubjectKey::random(), KeyStatus::Lost, begun)
            }
            (_, Some(record)) => (SubjectKey::of_journal(folder, record.fingerprint)?, KeyStatus::Whole, record.begun),
            (Some(key), None) => (key, KeyStatus::Unrecorded, last),
            (None, None) => (SubjectKey::random(), KeyStatus::New, last),
        };
        Ok(Self { key, status, mask: Mask { key: Some(key), begun } })
    }

    /// Mask of the events of this folder's journal.
    pub(in crate::node) fn mask(&self) -> Mask {
        self.mask
    }

    /// Makes a new key durable, its file and its record, and opens the table.
    pub(in crate::node) fn keep(
        self,
        folder: &Path,
        journal: &mut SqliteJournal,
        retention_us: Option<i64>,
    ) -> Result<Subjects, OpenError> {
        let record = KeyRecord { fingerprint: self.key.fingerprint(), begun: self.mask.begun };
        match self.status {
            KeyStatus::Whole => {}
            KeyStatus::Unrecorded => journal.set_subjects_key(&record)?,
            KeyStatus::New => {
                // A file that is there does not hold a key.
                SubjectKey::set_aside(folder)?;
                self.key.write(folder)?;
                journal.set_subjects_key(&record)?;
            }
            KeyStatus::Lost => {
                // The journal learns of the key first, so that a start that is cut short leaves no key that the journal does not know.
                journal.set_subjects_key(&record)?;
                let aside = SubjectKey::set_aside(folder)?.map(|file| file.display().to_string());
                self.key.write(folder)?;
                tracing::warn!(
                    file = %folder.join(key::KEY_FILE).display(),
                    aside = aside.as_deref().unwrap_or("no file was there"),
                    "the key by which the journal knew subjects and sessions is missing, damaged or another folder's, and its loss was accepted: a new key was made, and no shopper from before will be known again (their rewards join by decision id only; caps, stickiness and control groups start anew)"
                );
            }
        }
        let table = SubjectTable::open(folder, retention_us);
        if let Err(why) = &table {
            tracing::warn!(%why, folder = %folder.display(), "the table of subject ids cannot be used; decisions show pseudonyms");
        }
        Ok(Subjects { key: self.key, mask: self.mask, table: table.ok(), forgotten: RwLock::default() })
    }
}

/// Subjects of a node: key and table.
#[derive(Debug)]
pub(in crate::node) struct Subjects {
    key: SubjectKey,
    mask: Mask,
    table: Option<SubjectTable>,
    /// Number of times that the ids with these first pseudonyms were forgotten.
    forgotten: RwLock<HashMap<PseudonymBytes, u32>>,
}

impl Subjects {
    /// Notes that the ids with these first pseudonyms were forgotten once more. If they come back they get others.
    pub(in crate::node) fn note_forgotten(&self, origin: &Subject) {
        let mut forgotten = self.forgotten.write().unwrap_or_else(PoisonError::into_inner);
        for bytes in [&origin.id, &origin.session_id].into_iter().filter_map(|text| key::to_bytes(text)) {
            *forgotten.entry(bytes).or_default() += 1;
        }
    }

    /// Returns the first pseudonyms that a subject's ids ever had.
    pub(in crate::node) fn origin(&self, subject: &Subject) -> Subject {
        to_subject(self.key.pseudonyms(subject))
    }

    /// Returns the pseudonyms that a subject's ids have now.
    fn pseudonyms(&self, subject: &Subject) -> [Option<PseudonymBytes>; 2] {
        let first = self.key.pseudonyms(subject);
        let forgotten = self.forgotten.read().unwrap_or_else(PoisonError::into_inner);
        if forgotten.is_empty() {
            return first;
        }
        let times = first.map(|bytes| bytes.and_then(|bytes| forgotten.get(&bytes).copied()).unwrap_or(0));
        if times == [0, 0] { first } else { self.key.pseudonyms_after(subject, times) }
    }

    /// Mask of the events of this folder's journal.
    pub(in crate::node) fn mask(&self) -> Mask {
        self.mask
    }

    /// The pseudonym of a subject, whose ids are remembered beside it; `day` counts from 1970.
    pub(in crate::node) fn pseudonym(&self, subject: &Subject, day: i64) -> Subject {
        let pseudonyms = self.pseudonyms(subject);
        if let Some(table) = &self.table {
            for (pseudonym, id) in pseudonyms.iter().zip([&subject.id, &subject.session_id]) {
                if let Some(pseudonym) = pseudonym {
                    table.remember(*pseudonym, id, day);
                }
            }
        }
        to_subject(pseudonyms)
    }

    /// The pseudonym of a subject, whose ids are not remembered.
    pub(in crate::node) fn unnamed_pseudonym(&self, subject: &Subject) -> Subject {
        to_subject(self.pseudonyms(subject))
    }

    /// Returns the count of ids that the table left out, which goes on counting.
    pub(in crate::node) fn dropped(&self) -> Arc<AtomicU64> {
        self.table.as_ref().map(SubjectTable::dropped).unwrap_or_default()
    }

    /// Waits until what was remembered so far can be looked up, or a second has passed.
    pub(in crate::node) fn settle(&self) {
        if let Some(table) = &self.table {
            table.settle();
        }
    }

    /// The ids behind a pseudonymous subject; a pseudonym whose id is not known stays.
    pub(in crate::node) fn names(&self, subject: &Subject) -> Subject {
        self.table.as_ref().map_or_else(|| subject.clone(), |table| table.names(subject))
    }

    /// Forgets which ids these pseudonyms stand for: their rows leave the table for good. What the journal holds of them
    /// stays, and belongs to nobody any more.
    pub(in crate::node) fn forget(&self, pseudonyms: &[&str]) -> Result<(), String> {
        let rows = pseudonyms.iter().filter_map(|text| key::to_bytes(text)).collect();
        self.table.as_ref().map_or(Ok(()), |table| table.forget(rows))
    }
}

fn to_subject(pseudonyms: [Option<PseudonymBytes>; 2]) -> Subject {
    let [id, session_id] = pseudonyms.map(|bytes| bytes.as_ref().map(key::to_text).unwrap_or_default());
    Subject { id, session_id }
}

/// Ids of a folder that is only read, by pseudonym.
#[derive(Debug)]
pub struct SubjectNames(Option<Names>);

impl SubjectNames {
    /// The table of a folder, which may be in use; where there is none, pseudonyms stay.
    pub fn of(folder: &Path) -> Self {
        Self(Names::open(folder).ok())
    }

    /// Names without a table: pseudonyms stay.
    pub fn none() -> Self {
        Self(None)
    }

    /// The ids behind a pseudonymous subject; a pseudonym whose id is not known stays.
    pub fn names(&self, subject: &Subject) -> Subject {
        self.0.as_ref().map_or_else(|| subject.clone(), |names| names.names(subject))
    }
}
