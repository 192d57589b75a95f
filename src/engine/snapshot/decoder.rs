//! Reader of snapshots.

use std::sync::Arc;

use serde::Deserialize as _;

use super::{
    FRAME, HEADER, HEADER_WITHOUT_ORIGIN, LAST_WITHOUT_ORIGIN, MAGIC, Origin, PREFIX, Section, SnapshotError, VERSION,
    checksum,
};
use crate::{
    engine::{deserializer::StateDeserializer, pending::EncodedDecision, slot_state::SlotState, state::State},
    slot::SlotId,
};

/// Body of the last section: the name of its variant.
const END: &[u8] = b"\xa3End";

/// Reader of a state, one section at a time.
#[derive(Debug)]
pub struct SnapshotDecoder {
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

impl SnapshotDecoder {
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
            let section = Section::deserialize(&mut StateDeserializer::new(body))
                .map_err(|why| SnapshotError::Body(self.at, why.to_string()))?;
            if !self.add(section) {
                return Err(SnapshotError::Body(self.at, "it does not belong there, or is not whole".into()));
            }
        }
        self.sections += 1;
        self.at += FRAME as u64 + length;
        Ok(())
    }

    /// Adds a section to the state. Returns `false` if it may not come here, or is not whole.
    fn add(&mut self, section: Section) -> bool {
        match (section, &mut self.slot) {
            (Section::Ledger(ledger), None) if self.sections == 0 => self.state.ledger = ledger,
            (Section::Shoppers { ids, first }, None) if self.sections == 1 => {
                self.state.slots.shoppers.ids = *ids;
                self.state.slots.shoppers.ids.start_at(first);
            }
            (Section::ShopperEvents(events), None) if self.sections > 1 => {
                for event in events {
                    self.state.slots.shoppers.ids.restore(event);
                }
            }
            (Section::Profiles(profiles), None) if self.sections > 1 => {
                let store = self.state.slots.shoppers.profiles.get_or_insert_default();
                for (key, profile) in profiles {
                    store.put(key, Arc::new(profile));
                }
            }
            (Section::Items(items), None) if self.sections > 1 => {
                for item in items {
                    self.state.slots.items.put(item);
                }
            }
            (Section::Slot { slot, mut state, firsts }, _) if self.sections > 0 => {
                state.rebuild(&self.state.slots.items);
                state.decisions.pending.start_at(firsts.pending);
                state.decisions.finished.start_at(firsts.finished);
                state.event_memory.start_at(firsts.events);
                state.requests.start_at(firsts.requests);
                state.exposure.start_at(firsts.exposure);
                state.deferred.start_at(firsts.deferred);
                self.finish_slot();
                self.slot = Some((slot, state));
            }
            (Section::Pending(decisions), Some((_, state))) => {
                // The first decision is read in full, and no other, because one program wrote all of them.
                let readable = decisions.first().is_none_or(|bytes| EncodedDecision::is_whole(bytes));
                return readable && decisions.iter().all(|bytes| state.decisions.pending.restore(bytes));
            }
            (Section::Finished(decisions), Some((_, state))) => {
                let readable = decisions.first().is_none_or(|bytes| EncodedDecision::is_whole(bytes));
                return readable && decisions.iter().all(|bytes| state.decisions.finished.restore(bytes));
            }
            (Section::Events(events), Some((_, state))) => {
                for event in events {
                    state.event_memory.restore(event);
                }
            }
            (Section::Requests(requests), Some((_, state))) => {
                for request in requests {
                    state.requests.restore(request);
                }
            }
            (Section::Exposure(entries), Some((_, state))) => {
                for entry in entries {
                    state.exposure.restore(entry);
                }
            }
            (Section::Deferred(entries), Some((_, state))) => {
                for entry in entries {
                    state.deferred.restore(entry);
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
    let (header, mut rest) =
        bytes.split_at_checked(SnapshotDecoder::header_length(prefix)).ok_or(truncated(bytes.len()))?;
    let mut decoder = SnapshotDecoder::new(header)?;
    while !decoder.ended() {
        let (frame, after) = rest.split_first_chunk::<FRAME>().ok_or_else(|| decoder.truncated())?;
        let length = usize::try_from(SnapshotDecoder::length(frame)).map_err(|_| decoder.truncated())?;
        let (body, after) = after.split_at_checked(length).ok_or_else(|| decoder.truncated())?;
        decoder.section(frame, body, false)?;
        rest = after;
    }
    if rest.is_empty() { decoder.finish() } else { Err(decoder.truncated()) }
}
