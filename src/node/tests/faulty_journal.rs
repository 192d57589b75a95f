//! A journal that fails on request, as disks do.

use super::*;

/// Outcome of the next commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommitFault {
    Fair = 0,
    /// The disk is full.
    Full = 1,
    /// A sync fails.
    Sick = 2,
    /// The worker panics.
    Panic = 3,
}

#[derive(Debug)]
pub(super) struct FaultyJournal {
    pub(super) inner: SqliteJournal,
    pub(super) weather: Arc<AtomicU8>,
    /// Records for which there is room in all.
    pub(super) room: Arc<AtomicU64>,
    /// Microseconds that each record takes.
    pub(super) slow_us: Arc<AtomicU64>,
    /// Position of the last record that was written.
    pub(super) written: Arc<AtomicU64>,
}

impl FaultyJournal {
    fn look(&self) -> Result<(), AppendError> {
        let file = self.inner.file().to_owned();
        match self.weather.load(Ordering::SeqCst) {
            1 => Err(AppendError::Full { file }),
            2 => Err(AppendError::Engine { file, why: "fsync failed".into() }),
            3 => panic!("as a bug would"),
            _ => Ok(()),
        }
    }
}

impl Journal for FaultyJournal {
    fn file(&self) -> &std::path::Path {
        self.inner.file()
    }

    fn append(&mut self, records: &[Record]) -> Result<u64, AppendError> {
        self.look()?;
        let records_now = records.len() as u64;
        std::thread::sleep(std::time::Duration::from_micros(records_now * self.slow_us.load(Ordering::SeqCst)));
        let enough = |room: u64| room.checked_sub(records_now);
        if self.room.fetch_update(Ordering::SeqCst, Ordering::SeqCst, enough).is_err() {
            return Err(AppendError::Full { file: self.inner.file().to_owned() });
        }
        let position = self.inner.append(records)?;
        self.written.store(position, Ordering::SeqCst);
        Ok(position)
    }

    fn last(&self) -> u64 {
        self.inner.last()
    }

    fn point(&self) -> crate::journal::ChainPoint {
        self.inner.point()
    }

    fn check_files(&mut self) -> Result<(), AppendError> {
        self.inner.check_files()
    }

    fn trimmed(&self) -> u64 {
        self.inner.trimmed()
    }

    fn replay(&mut self, position: u64, each: &mut RecordHandler<'_>) -> Result<u64, ReadError> {
        self.inner.replay(position, each)
    }

    fn read(&mut self, position: u64, each: &mut RecordHandler<'_>) -> Result<bool, ReadError> {
        self.inner.read(position, each)
    }

    fn probe(&mut self) -> Result<(), AppendError> {
        self.look()?;
        self.inner.probe()
    }

    fn trim(&mut self, kinds: &[&str], before_us: i64, up_to: u64, most: u64) -> Result<bool, AppendError> {
        self.inner.trim(kinds, before_us, up_to, most)
    }
}
