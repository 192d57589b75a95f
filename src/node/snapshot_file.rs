//! The snapshots of a data folder as files: finding, reading and verifying them.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Seek as _},
    path::{Path, PathBuf},
};

use super::{
    folder::{FolderError, io_error},
    places,
};
use crate::engine::{
    State,
    snapshot::{FRAME, Origin, PREFIX, SnapshotDecoder, SnapshotError},
};

/// Snapshot of an older format, which this program does not read.
#[derive(Debug)]
pub(super) struct OlderSnapshot {
    /// The file.
    pub(super) path: PathBuf,
    /// Version of its format.
    pub(super) version: u32,
}

/// Result of reading the snapshots of a folder.
#[derive(Debug, Default)]
pub(super) struct SnapshotScan {
    /// State of the newest snapshot that is whole, or `None`.
    pub(super) state: Option<State>,
    /// Highest position that any snapshot, whole or not, says was durable.
    pub(super) claimed: u64,
    /// Faults of the snapshots that are newer than the whole one.
    pub(super) damaged: Vec<String>,
    /// Newest snapshot of an older format, if no snapshot is whole.
    pub(super) older: Option<OlderSnapshot>,
}

/// The snapshots in a folder by position, newest first.
pub(super) fn snapshots(folder: &Path) -> Result<Vec<(u64, PathBuf)>, FolderError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error("list", folder))? {
        let path = entry.map_err(io_error("list", folder))?.path();
        if let Some(position) = path.file_name().and_then(places::snapshot_position) {
            found.push((position, path));
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// Reads the header of a snapshot, and leaves the file after it.
fn read_header(path: &Path, file: &mut impl Read) -> Result<SnapshotDecoder, FolderError> {
    let refused = |source| FolderError::Snapshot { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let mut part = |length: usize, bytes: &mut Vec<u8>| {
        Read::take(&mut *file, length as u64).read_to_end(bytes).map_err(io_error("read", path))
    };
    part(PREFIX, &mut bytes)?;
    let prefix = bytes.first_chunk::<PREFIX>().ok_or(SnapshotError::Truncated(bytes.len() as u64)).map_err(refused)?;
    let rest = SnapshotDecoder::header_length(prefix) - PREFIX;
    part(rest, &mut bytes)?;
    SnapshotDecoder::new(&bytes).map_err(refused)
}

/// Reads a snapshot a section at a time; with `verify_only`, for its checksums alone.
fn read(path: &Path, file: &File, verify_only: bool) -> Result<SnapshotDecoder, FolderError> {
    let mut file = BufReader::with_capacity(1 << 20, file);
    let refused = |source| FolderError::Snapshot { path: path.to_owned(), source };
    let mut decoder = read_header(path, &mut file)?;
    // A part that is shorter than announced was cut off. A part that cannot be read is an error of its own.
    let mut part = |length: u64, body: &mut Vec<u8>| {
        body.clear();
        Read::take(&mut file, length).read_to_end(body).map_err(io_error("read", path))
    };
    let mut bytes = Vec::new();
    while !decoder.ended() {
        part(FRAME as u64, &mut bytes)?;
        let Some(&frame) = bytes.first_chunk::<FRAME>() else { return Err(refused(decoder.truncated())) };
        part(SnapshotDecoder::length(&frame), &mut bytes)?;
        decoder.section(&frame, &bytes, verify_only).map_err(refused)?;
    }
    if part(1, &mut bytes)? > 0 {
        return Err(refused(decoder.truncated()));
    }
    Ok(decoder)
}

/// A snapshot's file, open: what it holds stays readable when it is removed.
#[derive(Debug)]
pub(super) struct SnapshotFile {
    /// The position that its name says.
    pub(super) position: u64,
    pub(super) path: PathBuf,
    pub(super) file: File,
}

impl SnapshotFile {
    /// Opens all snapshots of a folder, newest first. Those that the service removes meanwhile are left out.
    pub(super) fn open_all(folder: &Path) -> Result<Vec<Self>, FolderError> {
        let mut open = Vec::new();
        for (position, path) in snapshots(folder)? {
            match File::open(&path) {
                Ok(file) => open.push(Self { position, path, file }),
                Err(why) if why.kind() == io::ErrorKind::NotFound => {}
                Err(why) => return Err(io_error("read", &path)(why)),
            }
        }
        Ok(open)
    }

    /// Length, bytes.
    pub(super) fn length(&self) -> Result<u64, FolderError> {
        self.file.metadata().map(|file| file.len()).map_err(io_error("read", &self.path))
    }

    /// The file, from its beginning.
    pub(super) fn rewound(&self) -> Result<&File, FolderError> {
        (&self.file).rewind().map_err(io_error("read", &self.path))?;
        Ok(&self.file)
    }

    /// The journal that the snapshot says it belongs to.
    pub(super) fn origin(&self) -> Result<Origin, FolderError> {
        Ok(read_header(&self.path, &mut self.rewound()?)?.origin())
    }

    /// Looks whether it is whole, and of the position that its name says.
    pub(super) fn verify(&self) -> Result<(), FolderError> {
        let said = read(&self.path, self.rewound()?, true)?.position();
        if said == self.position { Ok(()) } else { Err(FolderError::Name { path: self.path.clone(), position: said }) }
    }

    /// The state in it.
    pub(super) fn state(&self) -> Result<State, FolderError> {
        let refused = |source| FolderError::Snapshot { path: self.path.clone(), source };
        read(&self.path, self.rewound()?, false)?.finish().map_err(refused)
    }
}

/// The state in a snapshot's file.
pub(super) fn read_snapshot(path: &Path) -> Result<State, FolderError> {
    let file = File::open(path).map_err(io_error("read", path))?;
    SnapshotFile { position: 0, path: path.to_owned(), file }.state()
}

/// Looks whether a snapshot's file is whole.
pub(super) fn verify_snapshot(path: &Path) -> Result<(), FolderError> {
    let file = File::open(path).map_err(io_error("read", path))?;
    read(path, &file, true).map(drop)
}

/// The newest whole snapshot of a folder; those that are newer and damaged are warned of.
pub(super) fn newest_snapshot(folder: &Path) -> Result<SnapshotScan, FolderError> {
    let snapshots = snapshots(folder)?;
    let mut found =
        SnapshotScan { claimed: snapshots.first().map_or(0, |(position, _)| *position), ..SnapshotScan::default() };
    for (position, path) in snapshots {
        let why = match read_snapshot(&path) {
            Ok(state) if state.position() == position => {
                found.state = Some(state);
                found.older = None;
                return Ok(found);
            }
            Ok(state) => FolderError::Name { path, position: state.position() }.to_string(),
            Err(why @ FolderError::Snapshot { source: SnapshotError::Version(_), .. }) => return Err(why),
            Err(FolderError::Snapshot { source: SnapshotError::Older(version), path }) => {
                found.older.get_or_insert(OlderSnapshot { path, version });
                continue;
            }
            Err(why) => why.to_string(),
        };
        tracing::warn!("{why}; using the snapshot before it");
        found.damaged.push(why);
    }
    Ok(found)
}
