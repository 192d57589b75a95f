//! Learning of a slot as a file, from which a slot of this or another service can start. *Persisted by the journal.*
//!
//! ```text
//! "SLOTLEARNING"  12 bytes
//! version         u32, big endian like all integers that follow
//! length          u64: of the body
//! checksum        u32: CRC-32 of the above and the body
//! body            MessagePack, structs by field name: where the learning comes from, and the learning
//! ```
//!
//! Invariants:
//!
//! * A file that was read is consistent, no matter who wrote it: models can learn on from it, and decide by it.
//! * A journal may hold a file of any version that was ever written, so each of them stays readable.

mod numbers;

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    deserializer::StateDeserializer,
    slot_state::{LearningSeed, SlotState},
};
use crate::{
    slot::{ChangeReason, SlotId, limits::LEARNING_BYTES_MAX},
    stats::Inconsistency,
};
use numbers::has_bounded_numbers;

const MAGIC: &[u8; 12] = b"SLOTLEARNING";
/// Version that is written. Raise it with every change to the body that an older program would misread, and go on reading
/// the older ones.
const VERSION: u32 = 1;
/// Bytes before the checksum.
const SIGNED: usize = MAGIC.len() + 4 + 8;
/// Bytes before the body.
const HEADER: usize = SIGNED + 4;

/// Reason why bytes are not a file of learning.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LearningFileError {
    /// The bytes do not begin like a file of learning.
    #[error("is no file that slotwise slots export-learning wrote")]
    Foreign,
    /// The bytes were written by a newer version.
    #[error("has the format {0}, newer than this program's {VERSION}; a newer program wrote it: start that one")]
    Newer(u32),
    /// The bytes end too early, or go on after the end.
    #[error("has {have} bytes, and should have {want}: it was cut off, or something was added")]
    Length {
        /// Number of bytes.
        have: u64,
        /// Number of bytes by the header.
        want: u64,
    },
    /// The bytes are damaged.
    #[error("is damaged: its checksum is wrong")]
    Checksum,
    /// The bytes are too many.
    #[error("takes {0} bytes, and at most {LEARNING_BYTES_MAX} are allowed")]
    TooLarge(u64),
    /// The content cannot be read.
    #[error("cannot be read: {0}")]
    Body(String),
    /// The content is not what a slot can have learned.
    #[error("is not what a slot can have learned: {0}")]
    Inconsistent(#[from] Inconsistency),
}

/// Slot that learning comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LearningProvenance {
    /// The slot.
    pub slot: SlotId,
    /// Time of the last event before the learning was taken, microseconds since 1970.
    pub at_us: i64,
    /// Says that the slot's shoppers were simulated.
    pub simulated: bool,
    /// Says that all rewards of the goal lie in [0, 1].
    pub pays_rates: bool,
    /// Number of decisions that the slot had made.
    pub decisions: u64,
}

impl LearningProvenance {
    pub(super) fn new(slot: &SlotId, state: &SlotState, at_us: i64) -> Self {
        let definition = state.definition();
        Self {
            slot: slot.clone(),
            at_us,
            simulated: definition.controls.simulated(),
            pays_rates: definition.goal.within_unit(),
            decisions: state.counters.slot.decisions,
        }
    }
}

/// Learning of a slot as a file. Clones share everything.
#[derive(Clone)]
pub struct LearningFile {
    bytes: Arc<[u8]>,
    source: LearningProvenance,
    seed: LearningSeed,
}

#[derive(Serialize)]
struct LearningBodyRef<'a> {
    source: &'a LearningProvenance,
    learning: &'a LearningSeed,
}

#[derive(Deserialize)]
struct LearningBody {
    source: LearningProvenance,
    learning: LearningSeed,
}

impl PartialEq for LearningFile {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl fmt::Debug for LearningFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LearningFile")
            .field("source", &self.source)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

impl LearningFile {
    /// Writes what a slot has learned, and checks that it can be read again.
    ///
    /// # Errors
    ///
    /// [`LearningFileError::TooLarge`] if the slot has learned too much for a file.
    pub fn write(source: &LearningProvenance, seed: &LearningSeed) -> Result<Self, LearningFileError> {
        let mut bytes = vec![0; HEADER];
        let body = LearningBodyRef { source, learning: seed };
        body.serialize(&mut rmp_serde::Serializer::new(&mut bytes).with_struct_map())
            .map_err(|why| LearningFileError::Body(why.to_string()))?;
        let length = (bytes.len() - HEADER) as u64;
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[MAGIC.len()..MAGIC.len() + 4].copy_from_slice(&VERSION.to_be_bytes());
        bytes[MAGIC.len() + 4..SIGNED].copy_from_slice(&length.to_be_bytes());
        let sum = checksum(&bytes);
        bytes[SIGNED..HEADER].copy_from_slice(&sum.to_be_bytes());
        Self::read(bytes.into())
    }

    /// Reads a file. Nothing of it is trusted.
    ///
    /// # Errors
    ///
    /// The bytes are not a whole file, are damaged, or are not what a slot can have learned.
    pub fn read(bytes: Arc<[u8]>) -> Result<Self, LearningFileError> {
        let have = bytes.len() as u64;
        if bytes.len() > LEARNING_BYTES_MAX {
            return Err(LearningFileError::TooLarge(have));
        }
        if !bytes.starts_with(MAGIC) {
            return Err(LearningFileError::Foreign);
        }
        let Some((header, body)) = bytes.split_at_checked(HEADER) else {
            return Err(LearningFileError::Length { have, want: HEADER as u64 });
        };
        let (version, length) =
            (number(&header[MAGIC.len()..MAGIC.len() + 4]), number(&header[MAGIC.len() + 4..SIGNED]));
        if body.len() as u64 != length {
            return Err(LearningFileError::Length { have, want: length.saturating_add(HEADER as u64) });
        }
        // The checksum is compared before the version: a flipped bit in the version is damage, not another version.
        if number(&header[SIGNED..]) != u64::from(checksum(&bytes)) {
            return Err(LearningFileError::Checksum);
        }
        match u32::try_from(version).unwrap_or(u32::MAX) {
            0 => return Err(LearningFileError::Foreign),
            VERSION => {}
            newer => return Err(LearningFileError::Newer(newer)),
        }
        if !has_bounded_numbers(body) {
            return Err(LearningFileError::Body("a number of it is none that a model can have".into()));
        }
        let mut deserializer = StateDeserializer::new(body);
        let LearningBody { source, learning: mut seed } =
            LearningBody::deserialize(&mut deserializer).map_err(|why| LearningFileError::Body(why.to_string()))?;
        if !deserializer.rest().is_empty() {
            return Err(LearningFileError::Body("something follows the learning".into()));
        }
        SlotId::parse("slot_id", source.slot.as_str()).map_err(|why| LearningFileError::Body(why.to_string()))?;
        seed.check_consistency(source.at_us)?;
        seed.rebuild();
        Ok(Self { bytes, source, seed })
    }

    /// Content of the file.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// Slot that the learning comes from.
    pub fn source(&self) -> &LearningProvenance {
        &self.source
    }

    /// Learning of the slot.
    pub fn seed(&self) -> &LearningSeed {
        &self.seed
    }
}

/// Learning that a slot takes over from a file, as an event. *Persisted by the journal.*
#[derive(Debug, Clone, PartialEq)]
pub struct LearningImport {
    /// Slot that takes it over.
    pub slot: SlotId,
    /// The file.
    pub file: Arc<LearningFile>,
    /// Weight of each observation, above 0 and at most 1.
    pub weight: f64,
    /// Author and reason.
    pub why: ChangeReason,
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// Checksum of a file, which has at least the length of a header.
fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..SIGNED]);
    hasher.update(&bytes[HEADER..]);
    hasher.finalize()
}
