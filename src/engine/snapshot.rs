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
//!   body       MessagePack, structs by field name: first the ledger; then for each slot its state, followed by its
//!              pending and finished decisions, event ids, requests and exposure, one chunk at a time; last the end
//! ```
//!
//! A program reads only the version that it writes. It recognises older and newer versions by their header and refuses
//! them by name, so that the node can fold the journal instead, or say which program to run.
//!
//! Maps are ordered and floats are written bit for bit, so equal states give equal bytes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};

use super::{
    event::Decided,
    ledger::Ledger,
    memory::Remembered,
    packed,
    past::PastDecision,
    state::{SlotState, State},
};
use crate::slot::SlotId;

const MAGIC: &[u8; 8] = b"SLOTSNAP";
/// Version that is written, and the only one that is read. Raise it with every change to the content of a section.
const VERSION: u32 = 6;
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

/// Body of the last section: the name of its variant.
const END: &[u8] = b"\xa3End";

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
pub struct Frozen(State);

impl Frozen {
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
    pub fn freeze(&self) -> Frozen {
        let slots = self.slots().map(|(id, slot)| (id.clone(), slot.without_indices())).collect();
        Frozen(Self { ledger: self.ledger.clone(), slots })
    }
}

/// Ordinals of the oldest items of a slot's queues.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Firsts {
    pending: u64,
    events: u64,
    requests: u64,
    past: u64,
    finished: u64,
}

#[derive(Serialize)]
enum SectionRef<'a> {
    Ledger(&'a Ledger),
    Slot { slot: &'a SlotId, state: &'a SlotState, firsts: Firsts },
    Pending(Vec<&'a Bytes>),
    Finished(Vec<&'a Bytes>),
    Events(&'a [Remembered]),
    Requests(Vec<&'a (i64, Arc<Decided>)>),
    Past(Vec<&'a Arc<PastDecision>>),
    End,
}

#[derive(Deserialize)]
enum Section {
    Ledger(Ledger),
    Slot { slot: SlotId, state: Box<SlotState>, firsts: Firsts },
    Pending(Vec<ByteBuf>),
    Finished(Vec<ByteBuf>),
    Events(Vec<Remembered>),
    Requests(Vec<(i64, Arc<Decided>)>),
    Past(Vec<Arc<PastDecision>>),
    End,
}

fn sections_of<'a>((slot, state): (&'a SlotId, &'a SlotState)) -> impl Iterator<Item = SectionRef<'a>> {
    let (pending, events, requests) = (state.pending.queue(), state.memory.queue(), &state.requests);
    let past = state.past.queue();
    let finished = state.finished.queue();
    let firsts = Firsts {
        pending: pending.first(),
        events: events.first(),
        requests: requests.first(),
        past: past.first(),
        finished: finished.first(),
    };
    let pending = pending.runs().map(|run| SectionRef::Pending(run.iter().map(|packed| Bytes::new(packed)).collect()));
    let finished =
        finished.runs().map(|run| SectionRef::Finished(run.iter().map(|packed| Bytes::new(packed)).collect()));
    let events = events.runs().map(SectionRef::Events);
    let requests = requests.runs().map(|run| SectionRef::Requests(run.iter().flatten().collect()));
    let past = past.runs().map(|run| SectionRef::Past(run.iter().flatten().collect()));
    std::iter::once(SectionRef::Slot { slot, state, firsts })
        .chain(pending)
        .chain(finished)
        .chain(events)
        .chain(requests)
        .chain(past)
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

/// Reader of a state, one section at a time.
#[derive(Debug)]
pub struct Decoder {
    position: u64,
    /// Journal that the snapshot belongs to.
    origin: Origin,
    /// Number of bytes that were read.
    at: u64,
    sections: u32,
    ended: bool,
    state: State,
    slot: Option<(SlotId, Box<SlotState>)>,
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// Returns the version that a snapshot's first bytes name.
fn version_of(prefix: &[u8; PREFIX]) -> u32 {
    u32::try_from(number(&prefix[8..])).unwrap_or(u32::MAX)
}

impl Decoder {
    /// Returns the length of the header that begins with these bytes, prefix included. A newer version is assumed to
    /// have a header as long as this one's.
    pub fn header_length(prefix: &[u8; PREFIX]) -> usize {
        if version_of(prefix) <= LAST_WITHOUT_ORIGIN { HEADER_WITHOUT_ORIGIN } else { HEADER }
    }

    /// Creates a decoder from the bytes before the first section.
    pub fn new(header: &[u8]) -> Result<Self, SnapshotError> {
        let truncated = || SnapshotError::Truncated(header.len() as u64);
        let prefix = header.first_chunk::<PREFIX>().ok_or_else(truncated)?;
        if &prefix[..8] != MAGIC {
            return Err(SnapshotError::Truncated(0));
        }
        let length = Self::header_length(prefix);
        let (signed, sum) =
            header.get(..length).and_then(|header| header.split_at_checked(length - 4)).ok_or_else(truncated)?;
        // The checksum is compared first: a flipped bit in the version is damage, not another version.
        if number(sum) != u64::from(crc32fast::hash(signed)) {
            return Err(SnapshotError::Checksum(0));
        }
        match version_of(prefix) {
            VERSION => {}
            older @ ..VERSION => return Err(SnapshotError::Older(older)),
            newer => return Err(SnapshotError::Version(newer)),
        }
        let (journal, chain) = signed[PREFIX + 8..].split_first_chunk::<16>().ok_or_else(truncated)?;
        let chain = chain.first_chunk::<32>().ok_or_else(truncated)?;
        Ok(Self {
            position: number(&signed[PREFIX..PREFIX + 8]),
            origin: Origin { journal: *journal, chain: *chain },
            at: length as u64,
            sections: 0,
            ended: false,
            state: State::default(),
            slot: None,
        })
    }

    /// Position of the last event that is in the state.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Journal that the snapshot belongs to.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Returns the length of the body that follows a frame, bytes.
    pub fn length(frame: &[u8; FRAME]) -> u64 {
        number(&frame[..8])
    }

    /// Returns `true` once the last section was read.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Returns the error for bytes that end before the last section, or continue after it.
    pub fn truncated(&self) -> SnapshotError {
        SnapshotError::Truncated(self.at)
    }

    /// Reads the next section. With `verify_only`, only checks its checksum.
    pub fn section(&mut self, frame: &[u8; FRAME], body: &[u8], verify_only: bool) -> Result<(), SnapshotError> {
        let length = body.len() as u64;
        if length != Self::length(frame) {
            return Err(self.truncated());
        }
        if number(&frame[8..]) != u64::from(checksum(self.sections, length, body)) {
            return Err(SnapshotError::Checksum(self.at));
        }
        if verify_only {
            self.ended = body == END;
        } else {
            let section = rmp_serde::from_slice(body).map_err(|why| SnapshotError::Body(self.at, why.to_string()))?;
            if !self.take(section) {
                return Err(SnapshotError::Body(self.at, "it does not belong there, or is not whole".into()));
            }
        }
        self.sections += 1;
        self.at += FRAME as u64 + length;
        Ok(())
    }

    /// Adds a section to the state. Returns `false` if it may not come here, or is not whole.
    fn take(&mut self, section: Section) -> bool {
        match (section, &mut self.slot) {
            (Section::Ledger(ledger), None) if self.sections == 0 => self.state.ledger = ledger,
            (Section::Slot { slot, mut state, firsts }, _) if self.sections > 0 => {
                state.rebuild();
                state.pending.start_at(firsts.pending);
                state.finished.start_at(firsts.finished);
                state.memory.start_at(firsts.events);
                state.requests = super::chunks::Chunks::starting_at(firsts.requests);
                state.past.start_at(firsts.past);
                self.finish_slot();
                self.slot = Some((slot, state));
            }
            (Section::Pending(packed), Some((_, state))) => {
                // The first decision is read in full, and no other, because one program wrote all of them.
                let readable = packed.first().is_none_or(|packed| packed::check(packed));
                return readable && packed.iter().all(|packed| state.pending.restore(packed));
            }
            (Section::Finished(packed), Some((_, state))) => {
                let readable = packed.first().is_none_or(|packed| packed::check(packed));
                return readable && packed.iter().all(|packed| state.finished.restore(packed));
            }
            (Section::Events(events), Some((_, state))) => {
                for remembered in events {
                    state.memory.restore(remembered);
                }
            }
            (Section::Requests(requests), Some((_, state))) => {
                for request in requests {
                    state.restore_request(request);
                }
            }
            (Section::Past(past), Some((_, state))) => {
                for decision in past {
                    state.past.restore(decision);
                }
            }
            (Section::End, _) if self.sections > 0 => {
                self.finish_slot();
                self.ended = true;
            }
            _ => return false,
        }
        true
    }

    fn finish_slot(&mut self) {
        if let Some((slot, state)) = self.slot.take() {
            self.state.slots.insert(slot, *state);
        }
    }

    /// Returns the state, once the last section was read.
    pub fn finish(self) -> Result<State, SnapshotError> {
        if !self.ended {
            return Err(self.truncated());
        }
        if self.state.position() != self.position {
            return Err(SnapshotError::Body(0, format!("its ledger is at position {}", self.state.position())));
        }
        Ok(self.state)
    }
}

/// Decodes a state.
pub fn decode(bytes: &[u8]) -> Result<State, SnapshotError> {
    let truncated = |at: usize| SnapshotError::Truncated(at as u64);
    let prefix = bytes.first_chunk::<PREFIX>().ok_or(truncated(bytes.len()))?;
    let (header, mut rest) = bytes.split_at_checked(Decoder::header_length(prefix)).ok_or(truncated(bytes.len()))?;
    let mut decoder = Decoder::new(header)?;
    while !decoder.ended() {
        let (frame, after) = rest.split_first_chunk::<FRAME>().ok_or_else(|| decoder.truncated())?;
        let length = usize::try_from(Decoder::length(frame)).map_err(|_| decoder.truncated())?;
        let (body, after) = after.split_at_checked(length).ok_or_else(|| decoder.truncated())?;
        decoder.section(frame, body, false)?;
        rest = after;
    }
    if rest.is_empty() { decoder.finish() } else { Err(decoder.truncated()) }
}
