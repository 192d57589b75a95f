//! Frames of SQLite's write-ahead log, read without SQLite, which stops at the first damaged one.
//!
//! Each frame's checksum continues that of the frame before it, which stands in the file. Frames after a damaged one
//! can therefore still be verified.

use std::{fs::File, io, os::unix::fs::FileExt as _};

/// Bytes of the log's header.
const HEADER: usize = 32;
/// Bytes of a frame's header.
const FRAME: usize = 24;

/// A page in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// Number of the page, from 1.
    pub(super) page: u32,
    /// Offset of the page's bytes in the log.
    pub(super) at: u64,
    /// `true` if the frame agrees with its checksum.
    pub(super) whole: bool,
    /// `true` if a frame at or after this one ends a transaction.
    pub(super) committed: bool,
}

/// Frames of a log, without those that an earlier round left behind.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Size of a page, or `None` if the log has no header.
    pub(super) page: Option<usize>,
    frames: Vec<Frame>,
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |number, &byte| number << 8 | u32::from(byte))
}

/// SQLite's checksum of bytes, going on from another one.
fn checksum(bytes: &[u8], big_endian: bool, (mut a, mut b): (u32, u32)) -> (u32, u32) {
    let word = |bytes: &[u8]| if big_endian { number(bytes) } else { number(bytes).swap_bytes() };
    for pair in bytes.chunks_exact(8) {
        a = a.wrapping_add(word(&pair[..4])).wrapping_add(b);
        b = b.wrapping_add(word(&pair[4..])).wrapping_add(a);
    }
    (a, b)
}

fn sums(bytes: &[u8]) -> (u32, u32) {
    (number(bytes), number(&bytes[4..]))
}

impl Frames {
    /// Reads all frames of the log's present round.
    pub(super) fn read(log: &File) -> io::Result<Self> {
        let length = log.metadata()?.len();
        let mut header = [0; HEADER];
        if length < HEADER as u64 {
            return Ok(Self::default());
        }
        log.read_exact_at(&mut header, 0)?;
        let big_endian = header[3] & 1 == 1;
        let page = usize::try_from(number(&header[8..])).unwrap_or(0);
        // A damaged header names an impossible page size, and the default is used.
        let page = if page.is_power_of_two() && (512..=65_536).contains(&page) { page } else { 4096 };
        let mut before = sums(&header[24..]);
        let mut salts = header[16..24].to_vec();
        if checksum(&header[..24], big_endian, (0, 0)) != before {
            // The first frame has the salts too.
            let mut frame = [0; FRAME];
            if log.read_exact_at(&mut frame, HEADER as u64).is_ok() {
                salts = frame[8..16].to_vec();
            }
        }
        let (mut frames, mut ends) = (Vec::new(), 0);
        let mut bytes = vec![0; FRAME + page];
        let mut at = HEADER as u64;
        while at + bytes.len() as u64 <= length {
            log.read_exact_at(&mut bytes, at)?;
            let (head, body) = bytes.split_at(FRAME);
            let sum = checksum(body, big_endian, checksum(&head[..8], big_endian, before));
            before = sums(&head[16..]);
            if head[8..16] == salts {
                let whole = sum == before;
                frames.push(Frame { page: number(head), at: at + FRAME as u64, whole, committed: false });
                if whole && number(&head[4..]) > 0 {
                    ends = frames.len();
                }
            }
            at += bytes.len() as u64;
        }
        frames[..ends].iter_mut().for_each(|frame| frame.committed = true);
        Ok(Self { page: Some(page), frames })
    }

    /// All frames, oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter()
    }

    /// Frames of complete transactions, oldest first.
    pub(super) fn committed(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter().filter(|frame| frame.committed)
    }
}
