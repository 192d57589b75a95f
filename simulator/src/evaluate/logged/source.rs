//! Reader of text files, packed with gzip or not, whatever the file's name says.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
};

use flate2::read::MultiGzDecoder;

/// First bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Number of bytes that are read to recognise a file's format, enough for a header of 200 names.
pub(super) const HEADER_BYTES: u64 = 64 * 1024;

/// Opens a file for reading.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let mut file = BufReader::new(File::open(path)?);
    // Opening a folder succeeds, and reading it fails here.
    let packed = file.fill_buf()?.starts_with(&GZIP);
    Ok(if packed { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) })
}

/// Bytes that some programs write before a text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Returns `true` if a text consists of JSON objects. A byte order mark before the first is skipped.
pub(super) fn begins_object(text: &mut dyn BufRead) -> io::Result<bool> {
    if text.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
        text.consume(BYTE_ORDER_MARK.len());
    }
    Ok(text.fill_buf()?.starts_with(b"{"))
}

/// The message about a file that cannot be unpacked.
pub(super) fn unreadable(why: &io::Error) -> String {
    format!("cannot be unpacked ({why}); is it a whole gzip file?")
}

/// Lines of a file, without their ends and of limited length.
pub(super) struct LineReader {
    text: Box<dyn BufRead>,
    /// Number of the line read last, counted from 1.
    pub(super) number: u64,
    line: Vec<u8>,
}

/// Greatest length of a line. A request of the API has at most 8 MiB, so an exported row is shorter.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

impl LineReader {
    pub(super) fn new(text: Box<dyn BufRead>) -> Self {
        Self { text, number: 0, line: Vec::new() }
    }

    /// The next line, or `None` at the end of the file. The error is a message for the user.
    pub(super) fn next(&mut self) -> Result<Option<&str>, String> {
        self.line.clear();
        self.number += 1;
        let read = (&mut self.text).take(LINE_BYTES_MAX).read_until(b'\n', &mut self.line);
        let read = read.map_err(|why| unreadable(&why))?;
        if read as u64 == LINE_BYTES_MAX {
            return Err(format!("has more than {LINE_BYTES_MAX} bytes"));
        }
        if read == 0 {
            return Ok(None);
        }
        let text = std::str::from_utf8(&self.line).map_err(|_| "is not UTF-8; save the file as UTF-8".to_owned())?;
        Ok(Some(text.trim_end_matches(['\n', '\r'])))
    }
}
