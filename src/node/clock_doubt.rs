//! Doubt about the time: a clock that leapt, or a journal that is ahead of it.
//!
//! While there is doubt, health is degraded and everything goes on. It ends when the clocks agree again, or when an
//! operator accepts the clock as it is: `slotwise clock accept` leaves a file in the data folder, which the writer finds.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicI64, Ordering},
};

use super::clock::{Clock, LEAP_US};

/// The file by which an operator accepts the clock.
const FILE: &str = "clock.accepted";

/// Record of whether the time can be trusted.
#[derive(Debug, Default)]
pub(super) struct ClockDoubt {
    /// The journal's last time when the node started, if that was more than a day ahead of the clock; else 0.
    journal_us: AtomicI64,
}

/// Leaves word in a data folder that the clock of this machine is right, whatever it says.
///
/// # Errors
///
/// The folder is none of ours, or cannot be written.
pub fn accept_clock(folder: &Path) -> io::Result<PathBuf> {
    if !folder.join("journal.sqlite3").is_file() {
        let message = format!("{} is no data folder: it holds no journal.sqlite3", folder.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    }
    let file = folder.join(FILE);
    fs::write(&file, "the clock of this machine is right\n")?;
    Ok(file)
}

impl ClockDoubt {
    /// Begins with a journal whose last event is of `journal_us`.
    pub(super) fn begin(&self, journal_us: i64, clock: &dyn Clock, folder: &Path) {
        let now_us = clock.now_us();
        if journal_us.saturating_sub(now_us) > LEAP_US {
            self.journal_us.store(journal_us, Ordering::SeqCst);
            tracing::warn!(
                ahead_seconds = (journal_us - now_us) / 1_000_000,
                "the journal's last event is more than a day ahead of this machine's clock: time stands still until the clock has caught up. If the clock is wrong, set it; if it is right, run `slotwise clock accept`"
            );
        }
        self.look(clock, folder);
    }

    /// Looks whether an operator has accepted the clock; what was accepted is accepted once.
    pub(super) fn look(&self, clock: &dyn Clock, folder: &Path) {
        let file = folder.join(FILE);
        if !file.exists() {
            return;
        }
        if let Err(why) = fs::remove_file(&file) {
            tracing::warn!(%why, file = %file.display(), "the clock was accepted, but this file cannot be removed");
            return;
        }
        tracing::warn!("the clock of this machine was accepted as it is");
        self.journal_us.store(0, Ordering::SeqCst);
        clock.accept();
    }

    /// Seconds by which the machine's clock is ahead of the node's time, or, below 0, behind the journal; 0 without doubt.
    pub(super) fn seconds(&self, clock: &dyn Clock) -> i64 {
        let now_us = clock.now_us();
        let ahead_us = self.journal_us.load(Ordering::SeqCst) - now_us;
        let behind_us = if ahead_us > LEAP_US { ahead_us } else { 0 };
        if behind_us > 0 { -behind_us / 1_000_000 } else { clock.leap_us() / 1_000_000 }
    }
}
