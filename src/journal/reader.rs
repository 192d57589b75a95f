//! A journal for those who only read it, beside the service that writes it or without one.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::{
    Each, ReadError,
    mark::{self, Mark},
    rows::{self, Extent},
    sqlite::file_in,
};

/// A journal as it was when this was opened; what is appended later is not seen.
#[derive(Debug)]
pub struct JournalReader {
    file: PathBuf,
    connection: Connection,
    extent: Extent,
}

impl JournalReader {
    /// Opens the journal in `folder`, changing nothing. The folder may be in use.
    pub fn open(folder: &Path) -> Result<Self, ReadError> {
        let file = file_in(folder);
        let open = |why: String| ReadError::Open { file: file.clone(), why };
        if !file.exists() {
            return Err(open("there is none; is this the data folder?".into()));
        }
        // Before the journal itself, which may meanwhile grow: a mark is never ahead.
        let acknowledged = mark::read(folder).map_err(|why| open(why.to_string()))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&file, flags).map_err(|why| open(why.to_string()))?;
        // One view of it all, however long this takes.
        connection.execute_batch("BEGIN").map_err(|why| open(why.to_string()))?;
        if rows::format(&connection, &file)? == 0 {
            return Err(open("it is empty".into()));
        }
        let extent = rows::extent(&connection, &file, acknowledged.unwrap_or(0))?;
        Ok(Self { file, connection, extent })
    }

    /// The last position; 0: there is none.
    pub fn last(&self) -> u64 {
        self.extent.last
    }

    /// Up to here only changes of slots are kept: the retention of everything else is over.
    pub fn trimmed(&self) -> u64 {
        self.extent.trimmed
    }

    /// Hands every record after `position` to `each`, in order, those that outlived their retention among them;
    /// returns the last one's position.
    pub fn each(&self, position: u64, each: &mut Each<'_>) -> Result<u64, ReadError> {
        self.each_until(position, self.extent.last, each)
    }

    /// [`each`](Self::each) up to a position, that one among them.
    pub fn each_until(&self, position: u64, up_to: u64, each: &mut Each<'_>) -> Result<u64, ReadError> {
        let extent = Extent { last: up_to.min(self.extent.last), ..self.extent };
        rows::each(&self.connection, &self.file, extent, position, each)
    }

    /// The file, for messages.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Writes a copy of the journal and its mark into another folder, durably but for the folder itself. What came
    /// since this was opened is in it too.
    pub fn copy_to(&self, folder: &Path) -> Result<(), ReadError> {
        let target = file_in(folder);
        let failed = |why: String| ReadError::Open { file: target.clone(), why };
        let name = target.to_str().ok_or_else(|| failed("its path is not UTF-8".into()))?;
        // Not within the view of this connection: VACUUM wants none. What came meanwhile comes along.
        self.connection.execute_batch("COMMIT").map_err(|why| failed(why.to_string()))?;
        let copied = self.connection.execute("VACUUM INTO ?", [name]).map_err(|why| failed(why.to_string()));
        self.connection.execute_batch("BEGIN").map_err(|why| failed(why.to_string()))?;
        copied?;
        std::fs::File::open(&target).and_then(|file| file.sync_all()).map_err(|why| failed(why.to_string()))?;
        // Without it, a copy whose end is lost would pass for a whole one.
        let copy = Self::open(folder)?;
        let mark = Mark::open(folder).and_then(|mut mark| mark.write(copy.last()).and_then(|()| mark.sync()));
        mark.map_err(|why| ReadError::Mark { folder: folder.to_owned(), why })
    }
}
