//! Snapshot: a state as bytes, in sections that are written and read one at a time. *Persisted.*
//!
//! ```text
//! "SLOTSNAP"   8 bytes
//! version      u32, big endian like all integers that follow
//! position     u64: position of the last event that is in the state
//! journal      16 bytes: identity of the journal that the state is a fold of
//! chain        32 bytes: hash of that journal's batches up to the position
//! checksum     u32: CRC-32 of the above
//! sections, each:
//!   length     u64: of the body
//!   checksum   u32: CRC-32 of the section's number (u32, from 0), the length and the body
//!   body       MessagePack, structs by field name: first the ledger; then the ids of shopper events and the
//!              profiles, one chunk at a time; then the items, if there are any; then for each slot its state, followed by its
//!              pending and finished decisions, event ids, requests and exposure, one chunk at a time; last the end
//! ```
//!
//! A program reads only the version that it writes. It recognises older and newer versions by their header and refuses
//! them by name, so that the node can fold the journal instead, or say which program to run.
//!
//! Maps are ordered and floats are written bit for bit, so equal states give equal bytes.

mod decoder;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};

pub use self::decoder::{SnapshotDecoder, decode};
use super::{
    decision_record::DecisionRecord,
    items::ItemTable,
    ledger::Ledger,
    pending::DecisionQueue,
    profile::{ProfileKey, ShopperProfile},
    shard::SlotShard,
    shoppers::ShopperState,
    slot_state::{DeferredEntry, EventMemory, ExposureEntry, RememberedEvent, SlotState},
    state::State,
};
use crate::slot::{Arm, SlotId};

const MAGIC: &[u8; 8] = b"SLOTSNAP";
/// Version that is written, and the only one that is read. Raise it with every change to the content of a section.
const VERSION: u32 = 14;
/// Last version whose header has no [`Origin`].
const LAST_WITHOUT_ORIGIN: u32 = 4;
/// Bytes of magic and version, with which the header of every version begins.
pub const PREFIX: usize = 8 + 4;
/// Bytes of the header, prefix included, before version 5.
const HEADER_WITHOUT_ORIGIN: usize = PREFIX + 8 + 4;
/// Bytes of the header, prefix included.
pub const HEADER: usize = PREFIX + 8 + 16 + 32 + 4;
/// Bytes before the body of a section.
pub const FRAME: usize = 8 + 4;
/// Items of one section.
const ITEMS_OF_SECTION: usize = 1_000;

/// Reason why bytes are not a state.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The bytes do not begin like a snapshot, end too early, or go on after its end.
    #[error("it is not a whole snapshot: it ends, or goes wrong, at byte {0}")]
    Truncated(u64),
    /// The bytes were written by a newer version.
    #[error("its format is version {0}, newer than this program's {VERSION}; run the newer program")]
    Version(u32),
    /// The bytes were written by an older version.
    #[error("its format is version {0}, and this program reads only version {VERSION}; run the program that wrote it")]
    Older(u32),
    /// The bytes are damaged.
    #[error("the checksum of what begins at byte {0} is wrong: it was damaged")]
    Checksum(u64),
    /// A section has the wrong content.
    #[error("what begins at byte {0} cannot be read: {1}")]
    Body(u64, String),
}

/// Journal that a state is a fold of, and the hash of that journal's batches up to the state's position. The caller
/// knows both; neither is part of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origin {
    /// Identity of the journal.
    pub journal: [u8; 16],
    /// Hash of the journal's batches up to the position of the state.
    pub chain: [u8; 32],
}

/// State as of one moment, to be written while the original continues to change. Everything large is shared.
#[derive(Debug)]
pub struct FrozenState(State);

impl FrozenState {
    /// Position of its last event.
    pub fn position(&self) -> u64 {
        self.0.position()
    }

    /// Bytes of the snapshot, one section at a time.
    pub fn sections<'a>(
        &'a self,
        origin: &Origin,
    ) -> impl Iterator<Item = Result<Vec<u8>, rmp_serde::encode::Error>> + use<'a> {
        sections(&self.0, origin)
    }
}

impl State {
    /// Returns a copy of the state for writing. This takes microseconds per slot, and per ten thousand pending
    /// decisions.
    pub fn freeze(&self) -> FrozenState {
        let slots: SlotShard = self.slots().map(|(id, slot)| (id.clone(), slot.without_indices())).collect();
        let items = self.slots.items.clone();
        let slots = SlotShard { shoppers: self.slots.shoppers.without_indices(), items, ..slots };
        FrozenState(Self { ledger: self.ledger.clone(), slots })
    }
}

/// Ordinals of the oldest items of a slot's queues.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct QueueStarts {
    pending: u64,
    finished: u64,
    events: u64,
    requests: u64,
    exposure: u64,
    #[serde(default)]
    deferred: u64,
}

#[derive(Serialize)]
enum SectionRef<'a> {
    Ledger(&'a Ledger),
    Shoppers { ids: &'a EventMemory, first: u64 },
    ShopperEvents(&'a [RememberedEvent]),
    Profiles(Vec<(ProfileKey, &'a ShopperProfile)>),
    Items(Vec<&'a Arm>),
    Slot { slot: &'a SlotId, state: &'a SlotState, firsts: QueueStarts },
    Pending(Vec<&'a Bytes>),
    Finished(Vec<&'a Bytes>),
    Events(&'a [RememberedEvent]),
    Requests(Vec<&'a (i64, Arc<DecisionRecord>)>),
    Exposure(Vec<&'a Arc<ExposureEntry>>),
    Deferred(&'a [Option<DeferredEntry>]),
    End,
}

#[derive(Deserialize)]
enum Section {
    Ledger(Ledger),
    Shoppers { ids: Box<EventMemory>, first: u64 },
    ShopperEvents(Vec<RememberedEvent>),
    Profiles(Vec<(ProfileKey, ShopperProfile)>),
    Items(Vec<Arc<Arm>>),
    Slot { slot: SlotId, state: Box<SlotState>, firsts: QueueStarts },
    Pending(Vec<ByteBuf>),
    Finished(Vec<ByteBuf>),
    Events(Vec<RememberedEvent>),
    Requests(Vec<(i64, Arc<DecisionRecord>)>),
    Exposure(Vec<Arc<ExposureEntry>>),
    Deferred(Vec<Option<DeferredEntry>>),
    End,
}

/// Sections of what shopper events changed beside the slots.
fn sections_of_shoppers(shoppers: &ShopperState) -> impl Iterator<Item = SectionRef<'_>> {
    let ShopperState { ids, profiles } = shoppers;
    std::iter::once(SectionRef::Shoppers { ids, first: ids.queue().first() })
        .chain(ids.queue().runs().map(SectionRef::ShopperEvents))
        .chain(
            profiles
                .iter()
                .flat_map(|profiles| profiles.parts())
                .map(|part| SectionRef::Profiles(part.iter().map(|(key, profile)| (*key, &**profile)).collect())),
        )
}

/// Sections of the item catalogue. They do not depend on how it is held in memory.
fn sections_of_items(items: &ItemTable) -> impl Iterator<Item = SectionRef<'_>> {
    let mut rest = items.iter().peekable();
    std::iter::from_fn(move || {
        rest.peek()?;
        Some(SectionRef::Items(rest.by_ref().take(ITEMS_OF_SECTION).map(AsRef::as_ref).collect()))
    })
}

fn sections_of<'a>((slot, state): (&'a SlotId, &'a SlotState)) -> impl Iterator<Item = SectionRef<'a>> {
    let (pending, finished) = (&state.decisions.pending, &state.decisions.finished);
    let (events, requests, exposure) = (state.event_memory.queue(), state.requests.queue(), state.exposure.queue());
    let firsts = QueueStarts {
        pending: pending.queue().first(),
        finished: finished.queue().first(),
        events: events.first(),
        requests: requests.first(),
        exposure: exposure.first(),
        deferred: state.deferred.queue().first(),
    };
    std::iter::once(SectionRef::Slot { slot, state, firsts })
        .chain(encoded(pending).map(SectionRef::Pending))
        .chain(encoded(finished).map(SectionRef::Finished))
        .chain(events.runs().map(SectionRef::Events))
        .chain(requests.runs().map(|run| SectionRef::Requests(run.iter().flatten().collect())))
        .chain(exposure.runs().map(|run| SectionRef::Exposure(run.iter().flatten().collect())))
        .chain(state.deferred.queue().runs().map(SectionRef::Deferred))
}

/// Bytes of a queue's decisions, one chunk at a time.
fn encoded(queue: &DecisionQueue) -> impl Iterator<Item = Vec<&Bytes>> {
    queue.queue().runs().map(|run| run.iter().map(|decision| Bytes::new(decision.as_bytes())).collect())
}

/// Returns the header of a snapshot of the version that is written.
pub fn header(position: u64, origin: &Origin) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&position.to_be_bytes());
    bytes.extend_from_slice(&origin.journal);
    bytes.extend_from_slice(&origin.chain);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

fn checksum(number: u32, length: u64, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_be_bytes());
    hasher.update(&length.to_be_bytes());
    hasher.update(body);
    hasher.finalize()
}

fn framed(number: u32, section: &SectionRef<'_>) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let mut bytes = vec![0; FRAME];
    section.serialize(&mut rmp_serde::Serializer::new(&mut bytes).with_struct_map())?;
    let length = (bytes.len() - FRAME) as u64;
    let checksum = checksum(number, length, &bytes[FRAME..]);
    bytes[..8].copy_from_slice(&length.to_be_bytes());
    bytes[8..FRAME].copy_from_slice(&checksum.to_be_bytes());
    Ok(bytes)
}

/// Bytes of the state, one section at a time.
pub fn sections<'a>(
    state: &'a State,
    origin: &Origin,
) -> impl Iterator<Item = Result<Vec<u8>, rmp_serde::encode::Error>> + use<'a> {
    let sections = std::iter::once(SectionRef::Ledger(&state.ledger))
        .chain(sections_of_shoppers(&state.slots.shoppers))
        .chain(sections_of_items(&state.slots.items))
        .chain(state.slots().flat_map(sections_of))
        .chain(std::iter::once(SectionRef::End));
    let framed = (0_u32..).zip(sections).map(|(number, section)| framed(number, &section));
    std::iter::once(Ok(header(state.position(), origin))).chain(framed)
}

/// Returns the bytes of the state without a journal, for tests and for comparing states.
pub fn encode(state: &State) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let mut bytes = Vec::new();
    for section in sections(state, &Origin::default()) {
        bytes.extend_from_slice(&section?);
    }
    Ok(bytes)
}
