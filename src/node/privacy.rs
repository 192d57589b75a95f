//! Export and end of everything that is held of one subject.
//!
//! Invariants:
//!
//! * Once a request to forget is answered, no file of the folder leads from what the journal holds to the subject's ids,
//!   and nothing is learned of the subject's earlier decisions any more.
//! * A subject that comes back is a new one: its pseudonyms are others.
//! * A request that fails may be sent again.

use std::{collections::BTreeSet, sync::Arc};

use tokio::sync::oneshot;

use super::{Node, WriteError, codec, queue::SoloCommand, run_long};
use crate::{
    engine::{
        Body, DecisionRecord, Event, ForgottenEntry, ForgottenSubject, RewardEvent, ShopperEvent, ShopperView, Subject,
    },
    journal::{JournalReader, ReadError, RecordRange},
    slot::ChangeReason,
};

/// Sessions that are forgotten with their subject at most. A person has hundreds in a year.
const SESSIONS_MAX: usize = 10_000;

/// Record of something that is held of a subject.
#[derive(Debug, Clone)]
pub enum HeldRecord {
    /// Profiles of session and customer.
    Profile(ShopperView),
    /// Decision, whether it was shown or is deferred.
    Decision(Box<DecisionRecord>),
    /// Reward event.
    Reward(Box<RewardEvent>),
    /// Shopper event.
    Shopper(Box<ShopperEvent>),
}

impl HeldRecord {
    /// Returns the record of an event, or `None` if the event has no subject.
    fn of(body: Body) -> Option<Self> {
        if let Body::Decided(decided) | Body::Deferred(decided) = body {
            Some(Self::Decision(Box::new(Arc::unwrap_or_clone(decided))))
        } else if let Body::Rewarded(reward) = body {
            Some(Self::Reward(reward))
        } else if let Body::Shopper(event) = body {
            Some(Self::Shopper(Box::new(Arc::unwrap_or_clone(event))))
        } else {
            None
        }
    }
}

/// Result of a request to forget a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ForgetSummary {
    /// Decisions and events of the journal that belonged to the subject and belong to nobody now.
    pub records: u64,
    /// Sessions that were forgotten with it.
    pub sessions: u64,
}

/// Reason why a subject was not exported or forgotten.
#[derive(Debug, thiserror::Error)]
pub enum PrivacyError {
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The node writes nothing.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The table of ids cannot be written.
    #[error(
        "the table of subject ids cannot be written, so that it may still hold the id: {0}; send the request again"
    )]
    Table(String),
}

/// Returns `true` if what is known under one subject belongs to another, by its id or by its session.
fn belongs(record: &Subject, to: &Subject) -> bool {
    let same = |of: &str, to: &str| !to.is_empty() && of == to;
    same(&record.id, &to.id) || same(&record.session_id, &to.session_id)
}

impl Node {
    /// Passes everything that is held of a subject to `each`, with its time in microseconds since 1970: its profiles,
    /// then what the journal holds, oldest first. Stops once `each` returns `false`.
    ///
    /// # Errors
    ///
    /// The journal cannot be read.
    pub async fn export_subject(
        &self,
        subject: &Subject,
        each: &mut (dyn FnMut(i64, HeldRecord) -> bool + Send),
    ) -> Result<(), PrivacyError> {
        let known = self.subjects.unnamed_pseudonym(subject);
        for view in self.slots() {
            self.settle(view.number).await;
        }
        let now_us = self.now_us();
        run_long(usize::MAX, || {
            self.subjects.settle();
            for simulated in [false, true] {
                let find = |key| self.shared.profiles.get(&key).map(|profile| Arc::clone(&profile));
                let profiles = ShopperView::find(&known, simulated, now_us, find);
                if !profiles.is_empty() && !each(now_us, HeldRecord::Profile(profiles)) {
                    return Ok(());
                }
            }
            self.each_of(&known, &mut |at_us, record| each(at_us, record))
        })
    }

    /// Passes the decisions and events of a subject, given by its pseudonyms, to `each`. Stops once it returns `false`.
    fn each_of(&self, known: &Subject, each: &mut dyn FnMut(i64, HeldRecord) -> bool) -> Result<(), PrivacyError> {
        if *known == Subject::default() {
            return Ok(());
        }
        let mask = self.subjects.mask();
        let reader = JournalReader::open(&self.folder)?;
        let mut stopped = false;
        let read = reader.each(RecordRange::after(0), &mut |stored| {
            let codec::Decoded::Event(mut event) = codec::read(stored.body)? else { return Ok(()) };
            mask.apply(&mut event);
            let at_us = event.at_us;
            if !event.body.subject().is_some_and(|subject| belongs(subject, known)) {
                return Ok(());
            }
            let Some(record) = HeldRecord::of(event.body) else { return Ok(()) };
            if each(at_us, record) {
                Ok(())
            } else {
                stopped = true;
                Err("nobody reads on".to_owned())
            }
        });
        match read {
            Err(ReadError::Reader { .. }) if stopped => Ok(()),
            read => Ok(read.map(|_| ())?),
        }
    }

    /// Forgets a subject: its profiles go, its decisions that wait for rewards and its events become those of nobody,
    /// and the ids behind its pseudonyms leave the table. The sessions that came with its id are forgotten too.
    ///
    /// # Errors
    ///
    /// The journal cannot be read, nothing can be written, or the table of ids cannot.
    pub async fn forget_subject(&self, subject: &Subject, why: ChangeReason) -> Result<ForgetSummary, PrivacyError> {
        self.writable()?;
        let _turn = self.forgetting.lock().await;
        let (known, origin) = (self.subjects.unnamed_pseudonym(subject), self.subjects.origin(subject));
        // From here on the subject has other pseudonyms. What was decided with the old ones is written first.
        self.subjects.note_forgotten(&origin);
        for view in self.slots() {
            self.settle(view.number).await;
        }
        let mut summary = ForgetSummary::default();
        let mut sessions: BTreeSet<String> = BTreeSet::new();
        let by_id = Subject { session_id: String::new(), ..known.clone() };
        run_long(usize::MAX, || {
            self.each_of(&known, &mut |_, record| {
                let of_record = match &record {
                    HeldRecord::Profile(_) => return true,
                    HeldRecord::Decision(decided) => &decided.subject,
                    HeldRecord::Reward(reward) => &reward.subject,
                    HeldRecord::Shopper(shopper) => &shopper.subject,
                };
                summary.records += 1;
                let session = &of_record.session_id;
                if belongs(of_record, &by_id) && !session.is_empty() && sessions.len() < SESSIONS_MAX {
                    sessions.insert(session.clone());
                }
                true
            })
        })?;
        sessions.remove(&known.session_id);
        summary.sessions = sessions.len() as u64;
        let ids: Vec<&str> = [&known.id, &known.session_id].into_iter().chain(&sessions).map(String::as_str).collect();
        self.drop_names(&ids)?;
        let at_us = self.now_us();
        let event = |subject: Subject, origin: Subject| Event {
            at_us,
            body: Body::SubjectForgotten(Box::new(ForgottenSubject { subject, origin, why: why.clone() })),
        };
        let of_session = |session: &String| Subject { id: String::new(), session_id: session.clone() };
        let mut events = vec![event(known.clone(), origin)];
        // The first pseudonym of a session that was never forgotten is the one that it has.
        events.extend(sessions.iter().map(|session| event(of_session(session), of_session(session))));
        let (reply, written) = oneshot::channel();
        self.shared.queue.push_single(SoloCommand::Forget(events, reply), None)?;
        written.await.unwrap_or(Err(WriteError::Unanswered))?;
        // A decision that was made meanwhile may have brought a name back.
        self.drop_names(&ids)?;
        for session in &sessions {
            self.subjects.note_forgotten(&of_session(session));
        }
        Ok(summary)
    }

    fn drop_names(&self, pseudonyms: &[&str]) -> Result<(), PrivacyError> {
        run_long(usize::MAX, || self.subjects.forget(pseudonyms)).map_err(PrivacyError::Table)
    }

    /// Subjects that were forgotten, the latest first, at most `most`, by their first pseudonyms.
    ///
    /// # Errors
    ///
    /// The node has stopped.
    pub async fn forgotten_subjects(&self, most: usize) -> Result<Vec<ForgottenEntry>, WriteError> {
        let (reply, listed) = oneshot::channel();
        self.shared.queue.push_single(SoloCommand::ListForgotten(most, reply), None)?;
        listed.await.map_err(|_| WriteError::Unanswered)
    }

    /// The ids behind a pseudonymous subject, as far as they are known.
    pub fn named_subject(&self, subject: &Subject) -> Subject {
        self.subjects.names(subject)
    }
}
