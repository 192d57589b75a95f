//! The watermark: a second record of what was acknowledged, beside the journal.
//!
//! SQLite ends its write-ahead log at the first frame that is not whole, without a word: right after a torn write, wrong
//! after a bad sector. So the last position of every commit is also written, after the commit's own sync, to a file
//! beside the journal; a journal that ends before its watermark lost something that was acknowledged, and is refused.
//! The watermark also names the journal it belongs to, and the hash of its batches up to there.
//!
//! The watermark is not synced after a commit: it costs a write into the page cache. After a process death it is exact;
//! after a power loss it may be some seconds behind, never ahead. Two copies are written in turn, each with its checksum,
//! so that a torn one leaves the other; both are there, and synced, from the moment a journal is opened. *Persisted.*
//!
//! ```text
//! copy at byte 0 and at byte 4096:
//! "SLOTWMRK"   8 bytes ("SLOTMARK" in older files, which have no journal and no hash)
//! position     u64, big endian
//! journal      16 bytes: identity of the journal
//! hash         32 bytes: of the journal's batches up to the position
//! checksum     u32: CRC-32 of the above
//! ```

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use super::chain::{ChainPoint, JournalId};

const MAGIC: &[u8; 8] = b"SLOTWMRK";
const LENGTH: usize = 8 + 8 + 16 + 32 + 4;
/// Older copies, without journal and hash.
const OLD_MAGIC: &[u8; 8] = b"SLOTMARK";
const OLD_LENGTH: usize = 8 + 8 + 4;
/// Copies lie in different pages: a torn write reaches one of them.
const APART: u64 = 4096;

/// Position that was acknowledged last, as the file beside the journal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Watermark {
    /// The position.
    pub(super) position: u64,
    /// Point of the journal's history at the position, or `None` in an older file.
    pub(super) point: Option<ChainPoint>,
}

/// The watermark's file, open for writing.
#[derive(Debug)]
pub(super) struct WatermarkFile {
    file: File,
    second: bool,
}

/// Path of the watermark in a folder. The file keeps the name `journal.mark` that data folders have from the start.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("journal.mark")
}

fn encode(point: &ChainPoint) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&point.position.to_be_bytes());
    bytes.extend_from_slice(&point.journal.0);
    bytes.extend_from_slice(&point.hash);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

/// Writes the watermark of a journal that has no identity, durably.
pub(super) fn write_without_identity(folder: &Path, position: u64) -> io::Result<()> {
    let mut bytes = OLD_MAGIC.to_vec();
    bytes.extend_from_slice(&position.to_be_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    let file = File::create(path(folder))?;
    file.write_all_at(&bytes, 0)?;
    file.sync_all()
}

/// The copy that bytes begin with, or `None` if it is not whole.
fn decode(bytes: &[u8]) -> Option<Watermark> {
    let length = match bytes.first_chunk::<8>()? {
        MAGIC => LENGTH,
        OLD_MAGIC => OLD_LENGTH,
        _ => return None,
    };
    let (signed, sum) = bytes.get(..length)?.split_at_checked(length - 4)?;
    if crc32fast::hash(signed).to_be_bytes() != sum {
        return None;
    }
    let (position, rest) = signed[8..].split_first_chunk::<8>()?;
    let position = u64::from_be_bytes(*position);
    let point = rest.split_first_chunk::<16>().and_then(|(journal, hash)| {
        Some(ChainPoint { journal: JournalId(*journal), position, hash: *hash.first_chunk::<32>()? })
    });
    Some(Watermark { position, point })
}

/// The newest whole copy in the folder, or `None` if there is no watermark or no whole one.
pub(super) fn read(folder: &Path) -> io::Result<Option<Watermark>> {
    let file = match File::open(path(folder)) {
        Ok(file) => file,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(why),
    };
    let copy = |at: u64| {
        let mut bytes = [0; LENGTH];
        // A shorter read is an older copy without a chain point, or no copy.
        let length = file.read_at(&mut bytes, at).unwrap_or(0);
        decode(&bytes[..length])
    };
    Ok([copy(0), copy(APART)].into_iter().flatten().max_by_key(|copy| copy.position))
}

impl WatermarkFile {
    /// Opens the watermark of a folder, or makes one, and writes both copies durably.
    pub(super) fn begin(folder: &Path, point: &ChainPoint) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path(folder))?;
        let mut file = Self { file, second: false };
        file.write(point)?;
        file.file.sync_all()?;
        // The other copy is written only now, so that one of them is whole at any moment.
        file.write(point)?;
        file.file.sync_all()?;
        File::open(folder)?.sync_all()?;
        Ok(file)
    }

    /// Records that everything up to a point is durable.
    pub(super) fn write(&mut self, point: &ChainPoint) -> io::Result<()> {
        self.file.write_all_at(&encode(point), if self.second { APART } else { 0 })?;
        self.second = !self.second;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(position: u64) -> ChainPoint {
        ChainPoint { journal: JournalId([7; 16]), position, hash: [u8::try_from(position % 251).unwrap(); 32] }
    }

    #[test]
    fn the_newest_whole_copy_counts() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        let mut file = WatermarkFile::begin(folder.path(), &point(0)).unwrap();
        let marked = |position| Some(Watermark { position, point: Some(point(position)) });
        assert_eq!(read(folder.path()).unwrap(), marked(0));
        for position in [3, 7, 1_000_000] {
            file.write(&point(position)).unwrap();
            assert_eq!(read(folder.path()).unwrap(), marked(position));
        }
        let whole = std::fs::read(path(folder.path())).unwrap();
        // 1,000,000 was written over 3 at the beginning. Torn or flipped anywhere, 7 is left.
        for at in 0..LENGTH {
            let mut torn = whole.clone();
            torn[at] ^= 0x10;
            std::fs::write(path(folder.path()), &torn).unwrap();
            assert_eq!(read(folder.path()).unwrap(), marked(7), "byte {at}");
        }
        std::fs::write(path(folder.path()), &whole[..LENGTH]).unwrap();
        assert_eq!(read(folder.path()).unwrap(), marked(1_000_000), "the second copy is cut off");
        std::fs::write(path(folder.path()), []).unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
    }

    #[test]
    fn an_older_watermark_is_read() {
        let folder = tempfile::tempdir().unwrap();
        write_without_identity(folder.path(), 12).unwrap();
        assert_eq!(read(folder.path()).unwrap(), Some(Watermark { position: 12, point: None }));
    }
}
