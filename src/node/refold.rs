//! A data folder built from another one without the decisions and events of subjects that were forgotten.
//!
//! Models are sums over all shoppers, and no subject can be subtracted from a sum. So the journal is copied without the
//! records of the forgotten subjects, and the copy is folded.
//!
//! Invariants:
//!
//! * The state of the result is the fold of the records that are left. No snapshot of the source has a part in it.
//! * Nothing is written into the source. The result has an identity of its own: it is another history.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    io,
    path::Path,
};

use super::{
    OpenError,
    audit::{Audit, AuditError, Progress, audit},
    backup::{BackupError, ScratchFolder, copy_subjects, refuse_contents, refuse_inside},
    codec::{self, Decoded},
    recover::{recover, save_snapshot, workers},
    salvage::refuse_in_use,
    subjects::{Mask, key::SubjectKey},
};
use crate::{
    engine::{Body, DecisionId, Event, FORGOTTEN, ForgottenSubject, Subject, TRAFFIC},
    journal::{self, JournalReader, LossPolicy, ReadError, RebuildPlan, RecordRange, SalvagedRecord, Stored},
};

/// Records that are read at a time.
const CHUNK: u64 = 4_096;

/// A folder that was folded without forgotten subjects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refolded {
    /// Contents of the new folder.
    pub audit: Audit,
    /// Number of subjects that were forgotten, sessions among them.
    pub subjects: u64,
    /// Number of records that were left out, by kind.
    pub left_out: BTreeMap<&'static str, u64>,
    /// Last position of the source up to which retention had dropped decisions and events, or 0.
    pub trimmed: u64,
    /// Faults of the table of subject ids, which decisions can do without.
    pub faults: Vec<String>,
}

/// Permission to fold a journal of which retention has dropped the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// The journal must be whole from its first record on.
    Whole,
    /// Records may have been dropped, and what was learned from them is lost.
    AsRetained,
}

/// Decisions and events that belonged to forgotten subjects.
#[derive(Debug, Default)]
struct Traces {
    /// Pseudonyms of the subjects.
    subjects: HashSet<String>,
    /// Pseudonyms of the sessions.
    sessions: HashSet<String>,
    decisions: HashSet<DecisionId>,
    /// Ids of their events, whose reversals go with them.
    events: HashSet<String>,
}

impl Traces {
    /// Takes a subject up, under the pseudonyms that records may know it by.
    fn add(&mut self, forgotten: &ForgottenSubject) {
        for Subject { id, session_id } in [&forgotten.subject, &forgotten.origin] {
            self.subjects.extend(Some(id).filter(|id| !id.is_empty()).cloned());
            self.sessions.extend(Some(session_id).filter(|id| !id.is_empty()).cloned());
        }
    }

    fn knows(&self, subject: &Subject) -> bool {
        self.subjects.contains(&subject.id) || self.sessions.contains(&subject.session_id)
    }

    /// Returns whether an event belonged to a forgotten subject, and keeps its id if it did.
    fn takes(&mut self, body: &Body) -> bool {
        let undoes = |reverses: Option<&String>| reverses.is_some_and(|id| self.events.contains(id));
        let belongs = body.subject().is_some_and(|subject| self.knows(subject))
            || body.decision().is_some_and(|id| self.decisions.contains(&id))
            || matches!(body, Body::Rewarded(reward) if undoes(reward.reverses.as_ref()))
            || matches!(body, Body::Shopper(event) if self.knows(&event.withdrawn) || undoes(event.reverses.as_ref()));
        if !belongs {
            return false;
        }
        if let Body::Decided(decided) | Body::Deferred(decided) = body {
            self.decisions.insert(decided.id);
        } else if let Body::Rewarded(reward) = body {
            self.events.insert(reward.event_id.clone());
        } else if let Body::Shopper(event) = body {
            self.events.insert(event.event_id.clone());
        }
        true
    }
}

/// Builds the folder `target` from the journal in `source` without the forgotten subjects' decisions and events. The
/// source must not be in use and is not changed.
///
/// # Errors
///
/// The source is damaged or in use, no subject of it was forgotten, retention has dropped its beginning and that was not
/// accepted, or the target cannot be written.
pub fn refold(
    source: &Path,
    target: &Path,
    beginning: Beginning,
    progress: &mut dyn FnMut(Progress),
) -> Result<Refolded, BackupError> {
    refuse_inside(target)?;
    refuse_contents(target, "give a new folder")?;
    refuse_in_use(source)?;
    let reader = JournalReader::open(source)?;
    reader.require_watermark()?;
    let (last, trimmed) = (reader.last(), reader.trimmed());
    if trimmed > 0 && beginning == Beginning::Whole {
        return Err(BackupError::Trimmed { folder: source.to_owned(), trimmed });
    }
    let (subjects, mut traces) = forgotten(&reader, last, progress)?;
    if subjects == 0 {
        return Err(BackupError::NobodyForgotten(source.to_owned()));
    }
    let mask = Mask::of(source, Some(&reader)).map_err(AuditError::from)?;

    let scratch = ScratchFolder::make(target)?;
    let mut left_out = BTreeMap::new();
    {
        let (mut at, mut chunk) = (0, VecDeque::new());
        let mut next = || -> io::Result<Option<SalvagedRecord>> {
            loop {
                if let Some(record) = chunk.pop_front() {
                    return Ok(Some(record));
                }
                if at >= last {
                    return Ok(None);
                }
                progress(Progress { doing: "copying the journal", done: at, of: last });
                let range = RecordRange { after: at, up_to: at.saturating_add(CHUNK).min(last) };
                let mut keep = |stored: &Stored<'_>| {
                    if let Some(kind) = left_out_kind(stored, mask, &mut traces)? {
                        *left_out.entry(kind).or_default() += 1;
                    } else {
                        chunk.push_back(owned(stored));
                    }
                    Ok(())
                };
                reader.each(range, &mut keep).map_err(io::Error::other)?;
                at = range.up_to;
            }
        };
        journal::rebuild(&scratch.path, RebuildPlan { kept: 0, trimmed: 0 }, &mut next)?;
    }
    let mut faults = Vec::new();
    copy_subjects(source, &scratch.path, &mut faults)?;
    if let Some(key) = SubjectKey::read(&scratch.path).map_err(OpenError::from).map_err(AuditError::from)? {
        journal::record_subjects_key(&scratch.path, key.fingerprint())?;
    }
    progress(Progress { doing: "folding the journal", done: 0, of: 0 });
    let failed = |why: OpenError| BackupError::Audit(why.into());
    let state = {
        let rebuilt = JournalReader::open_owned(&scratch.path, LossPolicy::Refused)?;
        let mask = Mask::of(&scratch.path, rebuilt.as_ref()).map_err(AuditError::from)?;
        recover(&scratch.path, rebuilt.as_ref(), mask, workers()).map_err(failed)?.0
    };
    save_snapshot(&scratch.path, &state.freeze()).map_err(failed)?;
    let audit = audit(&scratch.path, false, progress)?;
    scratch.finish()?;
    Ok(Refolded { audit, subjects, left_out, trimmed, faults })
}

/// The subjects that a journal says were forgotten, and their number.
fn forgotten(
    reader: &JournalReader,
    last: u64,
    progress: &mut dyn FnMut(Progress),
) -> Result<(u64, Traces), ReadError> {
    let (mut count, mut traces) = (0, Traces::default());
    reader.each(RecordRange::after(0), &mut |stored| {
        if stored.position.is_multiple_of(CHUNK) {
            progress(Progress { doing: "looking for forgotten subjects", done: stored.position, of: last });
        }
        if stored.kind == FORGOTTEN
            && let Decoded::Event(Event { body: Body::SubjectForgotten(forgotten), .. }) = codec::read(stored.body)?
        {
            traces.add(&forgotten);
            count += 1;
        }
        Ok(())
    })?;
    Ok((count, traces))
}

/// Kind of a record that belonged to a forgotten subject, or `None` for one that stays.
fn left_out_kind(stored: &Stored<'_>, mask: Mask, traces: &mut Traces) -> Result<Option<&'static str>, String> {
    if !TRAFFIC.contains(&stored.kind) {
        return Ok(None);
    }
    let Decoded::Event(mut event) = codec::read(stored.body)? else { return Ok(None) };
    mask.apply(&mut event);
    Ok(traces.takes(&event.body).then(|| event.body.kind()))
}

fn owned(stored: &Stored<'_>) -> SalvagedRecord {
    let Stored { position, at_us, kind, slot, decision, body } = *stored;
    SalvagedRecord {
        position,
        at_us,
        kind: kind.to_owned(),
        slot: slot.to_owned(),
        decision: decision.map(str::to_owned),
        body: body.to_vec(),
    }
}
