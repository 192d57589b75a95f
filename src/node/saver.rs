//! Snapshots beside the traffic, and dropping from the journal what is old and in them.

use std::{path::PathBuf, sync::Arc, thread::JoinHandle};

use super::{Shared, folder::Folder};
use crate::{
    engine::{
        State,
        snapshot::{FrozenState, Origin},
    },
    journal::{AppendError, Journal},
};

/// Records looked at in one step of dropping: some milliseconds, which a reward may have to wait.
const TRIM_STEP: u64 = 2_000;
/// Between two steps, microseconds: so 20,000 records a second go at most, and come at most as fast.
const TRIM_EVERY_US: i64 = 100_000;

/// Last position that recovery no longer needs from the journal, whichever snapshot is damaged.
type CoveredPosition = Option<u64>;

/// Takes snapshots when they are due, on a thread of its own.
#[derive(Debug)]
pub(super) struct Saver {
    path: PathBuf,
    shared: Arc<Shared>,
    every_us: i64,
    /// Time that decisions and rewards stay in the journal, microseconds, or `None` to keep them for ever.
    retention_us: Option<i64>,
    /// Time at which the last snapshot was begun.
    begun_us: i64,
    /// The position of the newest one that was saved, or recovered from.
    saved: u64,
    saving: Option<JoinHandle<Option<(u64, CoveredPosition)>>>,
    covered: u64,
    trimming: bool,
    trimmed_us: i64,
}

impl Saver {
    /// Beside a folder whose newest snapshot is at position `saved`.
    pub(super) fn new(
        path: PathBuf,
        shared: Arc<Shared>,
        every_us: i64,
        retention_us: Option<i64>,
        saved: u64,
    ) -> Self {
        let begun_us = shared.clock.now_us();
        Self {
            path,
            shared,
            every_us,
            retention_us,
            begun_us,
            saved,
            saving: None,
            covered: 0,
            trimming: false,
            trimmed_us: 0,
        }
    }

    /// Takes in a snapshot that is finished, and begins one if it is due. `origin` is the journal's, at the position of
    /// the state.
    pub(super) fn save_if_due(&mut self, state: &State, origin: Origin) {
        if self.saving.as_ref().is_some_and(JoinHandle::is_finished) {
            self.collect();
        }
        let now_us = self.shared.clock.now_us();
        // A clock that was set back must not keep snapshots from being taken.
        self.begun_us = self.begun_us.min(now_us);
        let due = now_us - self.begun_us >= self.every_us;
        if self.saving.is_some() || !due || state.position() == self.saved || self.shared.failed() {
            return;
        }
        self.begun_us = now_us;
        let begun = self.shared.stopwatch();
        let frozen = state.freeze();
        self.shared.observer.frozen(begun.seconds());
        let (path, shared) = (self.path.clone(), Arc::clone(&self.shared));
        self.saving = Some(std::thread::spawn(move || save(&path, &frozen, &origin, &shared)));
    }

    fn collect(&mut self) {
        match self.saving.take().map(JoinHandle::join) {
            Some(Ok(Some((position, covered)))) => {
                self.saved = position;
                self.covered = covered.unwrap_or(self.covered);
                self.trimming = self.retention_us.is_some();
            }
            // Why it failed was logged; the next one tries again.
            Some(Ok(None)) | None => {}
            Some(Err(_)) => tracing::error!("taking a snapshot panicked; the log above says where"),
        }
    }

    /// Returns `true` if old records may soon have to be dropped.
    pub(super) fn trimming(&self) -> bool {
        self.trimming
    }

    /// Drops a step of what is older than the retention and in both snapshots.
    pub(super) fn trim(&mut self, journal: &mut dyn Journal, kinds: &[&str], now_us: i64) -> Result<(), AppendError> {
        let Some(retention_us) = self.retention_us.filter(|_| self.trimming) else { return Ok(()) };
        if (now_us - self.trimmed_us).abs() < TRIM_EVERY_US {
            return Ok(());
        }
        self.trimmed_us = now_us;
        self.trimming = false;
        match journal.trim(kinds, now_us.saturating_sub(retention_us), self.covered, TRIM_STEP) {
            Ok(more) => self.trimming = more,
            // The next snapshot begins it again.
            Err(why @ (AppendError::Full { .. } | AppendError::Busy { .. })) => {
                tracing::warn!(%why, "old records of the journal could not be dropped; trying again later");
            }
            Err(why) => return Err(why),
        }
        Ok(())
    }

    /// Waits for a snapshot that is being written, and takes a last one.
    pub(super) fn finish(mut self, state: &State, origin: &Origin) {
        self.collect();
        if !self.shared.failed() && state.position() != self.saved {
            save(&self.path, &state.freeze(), origin, &self.shared);
        }
    }
}

/// Writes a snapshot, then drops those it makes superfluous.
fn save(
    path: &std::path::Path,
    frozen: &FrozenState,
    origin: &Origin,
    shared: &Shared,
) -> Option<(u64, CoveredPosition)> {
    let begun = shared.stopwatch();
    match Folder::write_snapshot(path, frozen, origin) {
        Ok(bytes) => {
            shared.observer.snapshot_saved(shared.clock.now_us(), begun.seconds(), bytes);
            if let Err(why) = Folder::prune(path) {
                tracing::warn!(%why, "old snapshots could not be removed");
            }
            let covered = Folder::covered(path);
            if let Err(why) = &covered {
                tracing::error!(%why, "the older of the two snapshots is damaged; nothing is dropped from the journal");
            }
            Some((frozen.position(), covered.ok()))
        }
        // The journal has everything: recovery takes longer, nothing is lost.
        Err(why) => {
            tracing::error!(%why, "a snapshot could not be written");
            None
        }
    }
}
