//! A state as bytes. *Persisted.*
//!
//! ```text
//! "SLOTSNAP"   8 bytes
//! version      u32, big endian
//! position     u64: of the last event that is in the state
//! length       u64: of the body
//! checksum     u32: CRC-32 of all the above and the body
//! body         MessagePack, structs by field name
//! ```
//!
//! Fields by name let a newer version read an older body. Maps are ordered and
//! floats are written bit for bit, so equal states give equal bytes.

use serde::{Deserialize as _, Serialize as _};

use super::state::State;

const MAGIC: &[u8; 8] = b"SLOTSNAP";
/// The version that is written.
const VERSION: u32 = 2;
/// The oldest that is read: what an older one holds is learned anew from the journal.
const OLDEST: u32 = 2;
const HEADER: usize = 8 + 4 + 8 + 8 + 4;

/// Why bytes are not a state.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// They do not begin as a snapshot does, or end before it does.
    #[error("it is not a whole snapshot")]
    Truncated,
    /// They were written by a newer version.
    #[error("its format is version {0}, newer than this program's {VERSION}; run the newer program")]
    Version(u32),
    /// They were written by an older version, whose models are not ours.
    #[error("its format is version {0}, older than {OLDEST}: what it holds is learned anew from the journal")]
    Older(u32),
    /// They were damaged.
    #[error("its checksum is wrong: it was damaged")]
    Checksum,
    /// The body does not hold a state.
    #[error("its body cannot be read")]
    Body(#[from] rmp_serde::decode::Error),
}

/// The state as bytes.
pub fn encode(state: &State) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let mut bytes = vec![0; HEADER];
    state.serialize(&mut rmp_serde::Serializer::new(&mut bytes).with_struct_map())?;
    let length = (bytes.len() - HEADER) as u64;
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_be_bytes());
    bytes[12..20].copy_from_slice(&state.position().to_be_bytes());
    bytes[20..28].copy_from_slice(&length.to_be_bytes());
    let checksum = checksum(&bytes);
    bytes[28..HEADER].copy_from_slice(&checksum.to_be_bytes());
    Ok(bytes)
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..28]);
    hasher.update(&bytes[HEADER..]);
    hasher.finalize()
}

/// The state in the bytes.
pub fn decode(bytes: &[u8]) -> Result<State, SnapshotError> {
    if bytes.len() < HEADER || &bytes[..8] != MAGIC {
        return Err(SnapshotError::Truncated);
    }
    let number = |range: std::ops::Range<usize>| bytes[range].iter().fold(0_u64, |n, &byte| n << 8 | u64::from(byte));
    if number(8..12) > u64::from(VERSION) {
        return Err(SnapshotError::Version(u32::try_from(number(8..12)).unwrap_or(u32::MAX)));
    }
    if number(8..12) < u64::from(OLDEST) {
        return Err(SnapshotError::Older(u32::try_from(number(8..12)).unwrap_or(0)));
    }
    if number(20..28) != (bytes.len() - HEADER) as u64 {
        return Err(SnapshotError::Truncated);
    }
    if number(28..32) != u64::from(checksum(bytes)) {
        return Err(SnapshotError::Checksum);
    }
    let mut state = State::deserialize(&mut rmp_serde::Deserializer::new(&bytes[HEADER..]))?;
    state.rebuild();
    Ok(state)
}
