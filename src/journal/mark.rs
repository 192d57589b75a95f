//! What was acknowledged, written down a second time.
//!
//! SQLite ends its write-ahead log at the first frame that is not whole, without a word: right after
//! a torn write, wrong after a bad sector. So the last position of every commit is also written, after the
//! commit's own sync, to a file beside it; a journal that ends before its mark lost something that was
//! acknowledged, and is refused.
//!
//! The mark is not synced: it costs a write into the page cache. After a process death it is exact;
//! after a power loss it may be some seconds behind, never ahead. Two copies are written in turn,
//! each with its checksum, so that a torn one leaves the other. *Persisted.*
//!
//! ```text
//! copy at byte 0 and at byte 4096:
//! "SLOTMARK"   8 bytes
//! position     u64, big endian
//! checksum     u32: CRC-32 of the above
//! ```

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

const MAGIC: &[u8; 8] = b"SLOTMARK";
const LENGTH: usize = 8 + 8 + 4;
/// Copies lie in different pages: a torn write reaches one of them.
const APART: u64 = 4096;

/// The mark beside a journal.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
    second: bool,
}

/// Its file in a folder.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("journal.mark")
}

fn encode(position: u64) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&position.to_be_bytes());
    let checksum = crc32fast::hash(&bytes[..16]);
    bytes[16..].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn decode(bytes: &[u8; LENGTH]) -> Option<u64> {
    let position = bytes[8..16].iter().fold(0_u64, |n, &byte| n << 8 | u64::from(byte));
    (*bytes == encode(position)).then_some(position)
}

/// The highest position that a whole copy in the folder holds; none: there is no mark, or no whole one.
pub(super) fn read(folder: &Path) -> io::Result<Option<u64>> {
    let file = match File::open(path(folder)) {
        Ok(file) => file,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(why),
    };
    let copy = |at: u64| {
        let mut bytes = [0; LENGTH];
        // A copy that is not there is none.
        file.read_exact_at(&mut bytes, at).ok().and_then(|()| decode(&bytes))
    };
    Ok(copy(0).max(copy(APART)))
}

impl Mark {
    /// Opens the mark of a folder, or makes one.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path(folder))?;
        Ok(Self { file, second: false })
    }

    /// Writes down that everything up to `position` is durable.
    pub(super) fn write(&mut self, position: u64) -> io::Result<()> {
        self.file.write_all_at(&encode(position), if self.second { APART } else { 0 })?;
        self.second = !self.second;
        Ok(())
    }

    /// Makes what was written durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_copy_counts() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        let mut mark = Mark::open(folder.path()).unwrap();
        for position in [3, 7, 1_000_000] {
            mark.write(position).unwrap();
            assert_eq!(read(folder.path()).unwrap(), Some(position));
        }
        mark.sync().unwrap();
        let whole = std::fs::read(path(folder.path())).unwrap();
        // 1,000,000 was written over 3, at the beginning: torn or flipped anywhere, 7 is left.
        for at in 0..LENGTH {
            let mut torn = whole.clone();
            torn[at] ^= 0x10;
            std::fs::write(path(folder.path()), &torn).unwrap();
            assert_eq!(read(folder.path()).unwrap(), Some(7), "byte {at}");
        }
        std::fs::write(path(folder.path()), &whole[..LENGTH]).unwrap();
        assert_eq!(read(folder.path()).unwrap(), Some(1_000_000), "the second copy is cut off");
        std::fs::write(path(folder.path()), []).unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
    }
}
