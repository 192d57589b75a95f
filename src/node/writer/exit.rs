//! End of the writer.

use std::sync::{Arc, atomic::Ordering};

use super::{Writer, decision_event};
use crate::engine::Event;
use crate::node::{
    Shared,
    admission::PORTION_MAX,
    queue::{BatchLimits, QueuedBatch},
    recover,
};

impl Writer {
    /// Writes what still waits, and takes a last snapshot.
    pub(super) fn finish(mut self) {
        let most = BatchLimits { events: PORTION_MAX, unasked: PORTION_MAX, decisions: true };
        loop {
            let QueuedBatch { decisions, counts, .. } = self.shared.queue.take(most);
            if decisions.is_empty() {
                break;
            }
            let at_us = self.now_us();
            let events: Vec<Event> = decisions
                .into_iter()
                .map(|decided| decision_event(at_us, self.state.under_present_id(decided)))
                .collect();
            match self.write(&events) {
                Ok(_) => drop(self.shared.queue.settle(&counts, &Ok(()))),
                Err(_) => break,
            }
        }
        let unsaved = self.shared.queue.close();
        if unsaved > 0 {
            self.shared.observer.unrecorded(unsaved);
            self.shared.unsaved.store(unsaved as u64, Ordering::SeqCst);
            tracing::error!(decisions = unsaved, "answered decisions could not be written and are not recorded");
        }
        self.saver.finish(&self.state, &recover::origin(&self.journal.point()));
        self.shared.stopped.store(true, Ordering::SeqCst);
    }
}

/// Closes the queue when the writer ends, and marks the node as failed if it unwinds.
pub(super) struct CloseOnExit(pub(super) Arc<Shared>);

impl Drop for CloseOnExit {
    fn drop(&mut self) {
        let lost = self.0.queue.close();
        if std::thread::panicking() {
            self.0.observer.unrecorded(lost);
            self.0.fail("the writer panicked; the log above says where");
        }
    }
}
