//! The shell round the engine: it owns journal and state, publishes views, and knows the clock.
//!
//! * [`Node::open`] locks the data folder, loads the newest whole snapshot and applies the rest of the journal.
//! * [`Node::decide`] runs on the caller's thread against a published view: no disk, no learning, no waiting.
//! * [`Node::preview`] and [`Node::recall`] look back into the journal, beside the writer.
//! * [`Node::record`], [`Node::change`] and [`Node::step_draft`] answer when what they wrote is durable and true.
//! * One writer thread commits in batches (group commit), applies in journal order and publishes what changed.
//! * [`Node::shutdown`] finishes what was taken, snapshots, and stops.
//!
//! Invariants: nothing is applied before it is durable; a decision is sent to the
//! journal before it is answered, so a reward for it always comes after it; after a
//! failed fsync, or a panic of the writer, nothing is written any more. A disk without
//! room is no such failure: what must be durable is refused until there is some, and
//! decisions go on and are written later.
//!
//! Deliberately not here: gRPC, HTTP, configuration files.

mod admission;
mod answer_size;
mod audit;
mod backup;
mod baselines;
mod changes;
mod clock;
mod clock_doubt;
mod codec;
mod compare;
mod condition;
mod deciding;
mod disk_space;
mod error;
mod export;
mod exposures;
mod folder;
mod hindsight;
mod items;
mod join;
mod logins;
mod newest;
mod observer;
mod options;
mod places;
mod privacy;
mod publication;
mod queue;
mod recover;
mod refold;
mod requests;
mod salvage;
mod saver;
mod shared;
mod shoppers;
mod snapshot_file;
mod subjects;
#[cfg(test)]
mod tests;
mod time;
mod writer;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use dashmap::DashMap;
use rand::{Rng as _, rngs::StdRng};
use tokio::sync::{Mutex as AsyncMutex, oneshot, watch};

pub use admission::QueueLoad;
pub use audit::{Audit, AuditError, AuditedSnapshot, Progress, audit};
pub use backup::{BackupError, CopySummary, backup, restore};
pub use clock::{Clock, ManualClock, SystemClock};
pub use clock_doubt::accept_clock;
pub use codec::{DecodeError, decode as decode_event, encode as encode_event};
pub(crate) use codec::{payload_from_struct, payload_to_struct};
pub use compare::{ComparedSpan, ReadingError};
pub(crate) use deciding::run_long;
pub use disk_space::{DiskUse, disk_use};
pub use error::{DecideError, OpenError, WriteError};
pub use export::{ExportCounts, ExportFormat, ExportStyle, column_help, write_export};
pub use folder::FolderError;
pub use hindsight::{HindsightError, RecalledDecision};
pub use items::ItemsOutcome;
pub use join::{JoinError, JoinedDecision, JoinedEvent, Selection, join};
pub use newest::NEWEST_MAX;
pub use observer::{Observer, Unobserved};
pub use options::{KEEP_PROFILES_US, Options, RETENTION_US};
pub use places::data_folder_around;
pub use privacy::{ForgetSummary, HeldRecord, PrivacyError};
pub use recover::{fold, recover_state, save_snapshot};
pub use refold::{Beginning, Refolded, refold};
pub use salvage::{Gap, Salvaged, salvage};
pub use subjects::{KeyError, SubjectNames};
pub use time::{duration_text, time_text};
pub use writer::{ChangeFailure, RewardRequest, ShopperRequest};

use crate::{
    engine::{DecisionRecord, Explanation, ProfileStore, RewardAnswer, SlotView},
    journal::{Journal, JournalReader, SqliteJournal},
    slot::{ArmId, Consent, SlotId, suggestion},
};
use clock_doubt::ClockDoubt;
use deciding::LongCalls;
use exposures::Exposures;
use folder::Folder;
use logins::Logins;
use publication::publish_all;
use queue::Queue;
use recover::{recover, workers};
use requests::RequestIndex;
use saver::Saver;
pub(crate) use shared::Shared;
use shared::Stopwatch;
use shoppers::shared_profile;
use subjects::{KeyOfStart, Subjects, day_of};
use writer::{ItemArms, Writer};

/// A decision, with the view it was made from.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The decision.
    pub decided: Arc<DecisionRecord>,
    /// Explanation, if the request asked for one and the decision is not a repetition.
    pub explanation: Option<Explanation>,
    /// The slot.
    pub view: Arc<SlotView>,
    /// Candidates of the request that were left out because the slot does not know them.
    pub ignored_candidates: Vec<ArmId>,
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    shared: Arc<Shared>,
    requests: RequestIndex,
    exposures: Arc<Exposures>,
    logins: Logins,
    subjects: Subjects,
    draining: AtomicBool,
    secret: [u8; 16],
    counter: AtomicU64,
    durable_decisions: bool,
    /// Consent of shopper events that state none.
    default_consent: Consent,
    keep_profiles_us: i64,
    folder: PathBuf,
    /// Lock of previews. A preview takes every core for a while, so previews run one after another.
    previewing: AsyncMutex<()>,
    comparing: Mutex<()>,
    /// Lock of requests to forget a subject. Each reads the journal, so they run one after another.
    forgetting: AsyncMutex<()>,
    watched: Mutex<newest::WatchedSlots>,
    turns: LongCalls,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Node {
    /// Opens the data folder, recovers what it holds, and starts the writer.
    pub fn open(options: &Options, clock: Arc<dyn Clock>, observer: Arc<dyn Observer>) -> Result<Self, OpenError> {
        Self::open_with(options, clock, observer, |journal| Box::new(journal))
    }

    /// [`open`](Self::open) with the journal as `wrap` makes it: for tests of what a journal may do.
    pub fn open_with(
        options: &Options,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
        wrap: impl FnOnce(SqliteJournal) -> Box<dyn Journal>,
    ) -> Result<Self, OpenError> {
        let mut folder = Folder::open(&options.folder)?;
        // All of it is read before the first byte is written: a start that is refused changes nothing.
        let reader = JournalReader::open_owned(folder.path(), options.loss)?;
        let subjects = KeyOfStart::look(folder.path(), reader.as_ref(), options.loss)?;
        let (state, snapshot) = recover(folder.path(), reader.as_ref(), subjects.mask(), workers())?;
        drop(reader);
        folder.keep()?;
        let mut journal = SqliteJournal::open(folder.path(), options.loss)?;
        if journal.last() != state.position() {
            let (folder, last) = (folder.path().to_owned(), journal.last());
            return Err(OpenError::JournalBehind { folder, last, claimed: state.position() });
        }
        let subjects = subjects.keep(folder.path(), &mut journal, options.subject_retention_us)?;
        for entry in state.forgotten_subjects() {
            subjects.note_forgotten(&entry.origin);
        }
        let journal = wrap(journal);
        if let Some((_, at_us)) = snapshot {
            observer.snapshot_saved(at_us, 0.0, 0);
        }
        let shared = Arc::new(Shared {
            views: DashMap::new(),
            profiles: state.profiles().into_iter().flat_map(ProfileStore::iter).map(shared_profile).collect(),
            items: RwLock::default(),
            clock,
            observer,
            failure: watch::Sender::new(None),
            full: watch::Sender::new(false),
            stopped: AtomicBool::new(false),
            unsaved: AtomicU64::new(0),
            queue: Queue::default(),
            doubt: ClockDoubt::default(),
            names_dropped: subjects.dropped(),
        });
        if let Some(profiles) = state.profiles() {
            shared.observer.profiles(profiles.counts());
        }
        shared.publish_items(state.items());
        shared.doubt.begin(state.at_us(), &*shared.clock, folder.path());
        let (requests, exposures, logins) = (RequestIndex::default(), Arc::<Exposures>::default(), Logins::default());
        publish_all(&state, &shared, (&requests, &exposures, &logins));
        let saver = Saver::new(
            folder.path().to_owned(),
            Arc::clone(&shared),
            options.snapshot_every_us,
            options.retention_us,
            snapshot.map_or(0, |(position, _)| position),
        );
        let writer = Writer {
            state,
            journal,
            folder,
            shared: Arc::clone(&shared),
            saver,
            durable_decisions: options.durable_decisions,
            catch_up: None,
            partly_published: BTreeMap::new(),
            items: ItemArms::default(),
            catalogue: options.catalogue,
            exposures: Arc::clone(&exposures),
        };
        let writer = std::thread::Builder::new()
            .name("slotwise-writer".into())
            .spawn(move || writer.run())
            .map_err(OpenError::Thread)?;
        let mut secret = [0; 16];
        // Decisions of two runs must not share their random numbers.
        rand::make_rng::<StdRng>().fill_bytes(&mut secret);
        Ok(Self {
            shared,
            requests,
            exposures,
            logins,
            subjects,
            draining: AtomicBool::new(false),
            secret,
            counter: AtomicU64::new(0),
            durable_decisions: options.durable_decisions,
            default_consent: options.default_consent,
            keep_profiles_us: options.keep_profiles_us,
            folder: options.folder.clone(),
            previewing: AsyncMutex::new(()),
            comparing: Mutex::new(()),
            forgetting: AsyncMutex::new(()),
            watched: Mutex::default(),
            turns: LongCalls::default(),
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Current time, microseconds since 1970.
    pub fn now_us(&self) -> i64 {
        self.shared.clock.now_us()
    }

    /// Becomes `Some` with the reason when the node can write no more.
    pub fn failure(&self) -> watch::Receiver<Option<String>> {
        self.shared.failure.subscribe()
    }

    /// Becomes `true` when the disk is full. Rewards and changes are then refused until there is free space; decisions go on.
    pub fn full(&self) -> watch::Receiver<bool> {
        self.shared.full.subscribe()
    }

    /// A slot as published.
    pub fn slot(&self, slot: &SlotId) -> Option<Arc<SlotView>> {
        self.shared.views.get(slot).map(|view| Arc::clone(&view))
    }

    /// All slots as published, by id.
    pub fn slots(&self) -> Vec<Arc<SlotView>> {
        let mut views: Vec<_> = self.shared.views.iter().map(|entry| Arc::clone(entry.value())).collect();
        views.sort_by(|a, b| a.definition.id.cmp(&b.definition.id));
        views
    }

    /// Suggests the slot id that the caller may have meant by an unknown one: that of the slot that had it, or a similar one.
    pub fn suggest(&self, slot: &str) -> String {
        let had = |view: &SlotView| view.former_ids.iter().any(|id| id.as_str() == slot);
        let renamed = self.shared.views.iter().find(|view| had(view)).map(|view| view.definition.id.clone());
        if let Some(present) = renamed {
            return format!("; it was renamed to '{present}'");
        }
        let names: Vec<SlotId> = self.shared.views.iter().map(|entry| entry.key().clone()).collect();
        suggestion(slot, names.iter().map(SlotId::as_str))
    }

    /// Hands reward events to the writer at once, and gives back what to wait on; so a caller that
    /// sends several batches has them applied in the order it sent them.
    pub fn record(
        &self,
        mut rewards: Vec<RewardRequest>,
    ) -> Result<impl Future<Output = Result<Vec<RewardAnswer>, WriteError>> + use<>, WriteError> {
        self.writable()?;
        let day = day_of(self.now_us());
        for reward in &mut rewards {
            reward.subject = self.subjects.pseudonym(&reward.subject, day);
        }
        let (reply, outcome) = oneshot::channel();
        let number_of = |slot: &SlotId| self.shared.views.get(slot).map(|view| view.number);
        let events = rewards.len();
        let pushed = self.shared.queue.push_rewards(rewards, reply, number_of);
        self.count_refusal("events", events, pushed)?;
        Ok(async { outcome.await.unwrap_or(Err(WriteError::Unanswered)) })
    }

    fn writable(&self) -> Result<(), WriteError> {
        if let Some(why) = self.shared.failure.borrow().as_ref() {
            return Err(WriteError::Failed(why.clone()));
        }
        self.taking()
    }

    fn taking(&self) -> Result<(), WriteError> {
        if self.draining.load(Ordering::SeqCst) { Err(WriteError::Stopped) } else { Ok(()) }
    }

    /// Tells the observer of what was refused because too much waits.
    fn count_refusal<T>(&self, what: &str, count: usize, pushed: Result<T, WriteError>) -> Result<T, WriteError> {
        pushed.inspect_err(|why| {
            if matches!(why, WriteError::Busy) {
                self.shared.observer.refused(what, count);
            }
        })
    }

    /// Takes nothing more.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Takes nothing more, finishes what was taken, snapshots, and stops. Blocks until done.
    pub fn shutdown(&self) {
        self.drain();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            self.shared.queue.stop();
            if writer.join().is_err() {
                tracing::error!("the writer had panicked");
            }
        }
    }

    /// Number of decisions that were answered and found no room on the disk, once the node has stopped.
    pub fn unsaved(&self) -> u64 {
        self.shared.unsaved.load(Ordering::SeqCst)
    }

    /// Returns `true` if the writer finished without a failure.
    pub fn stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::SeqCst) && !self.shared.failed()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shutdown();
    }
}
