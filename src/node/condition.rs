//! Condition of a node: disk, clock and load.

use super::{DiskUse, Node, QueueLoad, disk_use};

impl Node {
    /// Bytes that the data folder takes on the disk.
    pub fn disk_use(&self) -> DiskUse {
        disk_use(&self.folder)
    }

    /// Seconds by which the machine's clock is ahead of the node's time, or, below 0, behind the journal's. Returns 0 without
    /// doubt about the time, which differences of less than a day do not raise.
    pub fn clock_doubt_seconds(&self) -> i64 {
        self.shared.doubt.seconds(&*self.shared.clock)
    }

    /// Decisions, events and changes that wait to be written, and their limits.
    pub fn waiting(&self) -> QueueLoad {
        self.shared.queue.waiting()
    }
}
