//! Key of a data folder: it turns the id of a subject or session into its pseudonym.
//!
//! The file `subjects.key` is one line: a name with the version, the key and a checksum, both as hexadecimal digits. Only
//! the owner may read it. The journal holds the key's fingerprint, from which the key cannot be computed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use data_encoding::{BASE32_DNSSEC, HEXLOWER};
use rand::{Rng as _, rngs::StdRng};
use siphasher::sip128::{Hasher128 as _, SipHasher24};
use std::hash::Hasher as _;

use crate::engine::Subject;

/// Name of the key's file in the data folder.
pub(in crate::node) const KEY_FILE: &str = "subjects.key";
/// Name of the file while it is written.
pub(in crate::node) const KEY_SCRATCH: &str = "subjects.key.new";
const HEADING: &str = "slotwise-subjects-key-1";
/// First character of a pseudonym as text.
const MARK: char = '~';
/// Bytes of a pseudonym.
const BYTES: usize = 16;

/// Bytes that a subject's or session's id becomes.
pub(in crate::node) type PseudonymBytes = [u8; BYTES];
/// Check value of a key.
pub(in crate::node) type Fingerprint = [u8; 8];

/// Reason why the key of a folder's subjects cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file is missing.
    #[error("{} is missing: it is the key by which the journal knows subjects and sessions, and without it none of them would be known again; put it back from a backup of this folder; to go on with a new key and without those shoppers, give `serve` --accept-loss", .0.display())]
    Missing(PathBuf),
    /// The file is the key of another folder.
    #[error("{} is the key of another data folder (its fingerprint is {found}, the journal's is {expected}); put this folder's own key back from a backup; to go on with a new key and without the shoppers from before, give `serve` --accept-loss", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
        /// Fingerprint of the key in it.
        found: String,
        /// Fingerprint that the journal holds.
        expected: String,
    },
    /// The file does not hold a key.
    #[error("{} is damaged: it does not hold a key; put it back from a backup of this folder; to go on with a new key and without the shoppers from before, give `serve` --accept-loss", .0.display())]
    Damaged(PathBuf),
    /// The file cannot be read or written.
    #[error("cannot {verb} {}: {source}", file.display())]
    Io {
        /// Operation that failed.
        verb: &'static str,
        /// The file.
        file: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
}

/// The key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::node) struct SubjectKey([u8; 16]);

impl std::fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SubjectKey(..)")
    }
}

fn io_error(verb: &'static str, file: &Path) -> impl FnOnce(io::Error) -> KeyError {
    move |source| KeyError::Io { verb, file: file.to_owned(), source }
}

impl SubjectKey {
    #[cfg(test)]
    pub(in crate::node) fn new(key: [u8; 16]) -> Self {
        Self(key)
    }

    /// The key in a folder, or `None` if the file is not there.
    pub(in crate::node) fn read(folder: &Path) -> Result<Option<Self>, KeyError> {
        let file = folder.join(KEY_FILE);
        match fs::read_to_string(&file) {
            Ok(line) => Self::parse(&line).map(Some).ok_or(KeyError::Damaged(file)),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) if why.kind() == io::ErrorKind::InvalidData => Err(KeyError::Damaged(file)),
            Err(why) => Err(io_error("read", &file)(why)),
        }
    }

    /// The key in a folder, which must be the one that the journal knows by its fingerprint.
    pub(in crate::node) fn of_journal(folder: &Path, expected: Fingerprint) -> Result<Self, KeyError> {
        let file = folder.join(KEY_FILE);
        let key = Self::read(folder)?.ok_or_else(|| KeyError::Missing(file.clone()))?;
        if key.fingerprint() == expected {
            return Ok(key);
        }
        let hex = |fingerprint: Fingerprint| HEXLOWER.encode(&fingerprint);
        Err(KeyError::Foreign { file, found: hex(key.fingerprint()), expected: hex(expected) })
    }

    /// A new key.
    pub(in crate::node) fn random() -> Self {
        let mut bytes = [0; 16];
        rand::make_rng::<StdRng>().fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// Writes the key's file into a folder: whole and durable, or not at all.
    pub(in crate::node) fn write(&self, folder: &Path) -> Result<(), KeyError> {
        let (file, scratch) = (folder.join(KEY_FILE), folder.join(KEY_SCRATCH));
        let write = || -> io::Result<()> {
            let mut out = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&scratch)?;
            out.write_all(self.line().as_bytes())?;
            out.sync_all()?;
            fs::rename(&scratch, &file)?;
            // The name is durable once its folder is.
            File::open(folder)?.sync_all()
        };
        write().map_err(io_error("write", &file))
    }

    /// Moves the key's file aside, because it may be the only copy of another folder's key. Returns its new path, or
    /// `None` if the file is not there.
    pub(in crate::node) fn set_aside(folder: &Path) -> Result<Option<PathBuf>, KeyError> {
        let file = folder.join(KEY_FILE);
        let mut aside = folder.join(format!("{KEY_FILE}.aside"));
        let mut copies = 1;
        while aside.exists() {
            copies += 1;
            aside = folder.join(format!("{KEY_FILE}.aside{copies}"));
        }
        match fs::rename(&file, &aside) {
            Ok(()) => Ok(Some(aside)),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(io_error("move", &file)(why)),
        }
    }

    fn checksum(&self) -> u32 {
        crc32fast::hash(&self.0)
    }

    fn line(&self) -> String {
        format!("{HEADING} {} {:08x}\n", HEXLOWER.encode(&self.0), self.checksum())
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (heading, key, sum) = (words.next()?, words.next()?, words.next()?);
        let key = Self(HEXLOWER.decode(key.as_bytes()).ok()?.try_into().ok()?);
        let sum = u32::from_str_radix(sum, 16).ok()?;
        (heading == HEADING && words.next().is_none() && sum == key.checksum()).then_some(key)
    }

    fn keyed(&self, purpose: &[u8], text: &[u8]) -> PseudonymBytes {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(purpose);
        hasher.write(&[0]);
        hasher.write(text);
        hasher.finish128().as_bytes()
    }

    /// Check value that tells keys apart and does not tell the key.
    pub(in crate::node) fn fingerprint(&self) -> Fingerprint {
        let [a, b, c, d, e, f, g, h, ..] = self.keyed(b"fingerprint", &[]);
        [a, b, c, d, e, f, g, h]
    }

    /// Pseudonyms of a subject's id and of its session's id; `None` for one that is empty. A subject and a session of
    /// the same id have different ones.
    pub(in crate::node) fn pseudonyms(&self, Subject { id, session_id }: &Subject) -> [Option<PseudonymBytes>; 2] {
        let of = |purpose: &[u8], text: &str| (!text.is_empty()).then(|| self.keyed(purpose, text.as_bytes()));
        [of(b"subject", id), of(b"session", session_id)]
    }

    /// Pseudonyms of a subject whose ids were forgotten that often. Without the key nothing links those of one id.
    pub(in crate::node) fn pseudonyms_after(
        &self,
        Subject { id, session_id }: &Subject,
        forgotten: [u32; 2],
    ) -> [Option<PseudonymBytes>; 2] {
        // An id has no control characters, so no other id has this name.
        let name = |id: &str, times: u32| match (id.is_empty(), times) {
            (true, _) | (false, 0) => id.to_owned(),
            (false, times) => format!("{id}\u{1f}{times}"),
        };
        self.pseudonyms(&Subject { id: name(id, forgotten[0]), session_id: name(session_id, forgotten[1]) })
    }

    /// The subject under its pseudonyms.
    pub(in crate::node) fn pseudonym(&self, subject: &Subject) -> Subject {
        let [id, session_id] = self.pseudonyms(subject).map(|bytes| bytes.as_ref().map(to_text).unwrap_or_default());
        Subject { id, session_id }
    }

    /// Subject of an event as it is read: an earlier version wrote ids themselves, and each of those becomes its
    /// pseudonym; a pseudonym stays what it is.
    pub(in crate::node) fn mask(&self, subject: &mut Subject) {
        let Subject { id, session_id } = self.pseudonym(subject);
        for (text, masked) in [(&mut subject.id, id), (&mut subject.session_id, session_id)] {
            if to_bytes(text).is_none() {
                *text = masked;
            }
        }
    }
}

/// A pseudonym as text: 27 characters, the first of which is `~`.
pub(in crate::node) fn to_text(bytes: &PseudonymBytes) -> String {
    let mut text = String::with_capacity(27);
    text.push(MARK);
    BASE32_DNSSEC.encode_append(bytes, &mut text);
    text
}

/// The bytes of a pseudonym, or `None` if the text is none.
pub(in crate::node) fn to_bytes(text: &str) -> Option<PseudonymBytes> {
    let digits = text.strip_prefix(MARK)?;
    let bytes = BASE32_DNSSEC.decode(digits.as_bytes()).ok()?.try_into().ok()?;
    // One text for each value: capital letters are somebody's id.
    (to_text(&bytes) == text).then_some(bytes)
}
