//! Log of requests: decisions that a retry of their request gets again.

use std::sync::Arc;

use crate::{
    engine::{chunked_queue::ChunkedQueue, decision_record::DecisionRecord, subject::Subject},
    slot::limits::{REQUEST_ARMS_MAX, REQUEST_MEMORY_US, REQUESTS_MAX},
};

/// Decision that a retry may repeat, with its time in microseconds since 1970. `None` stands for one that was removed.
pub(in crate::engine) type Repeatable = Option<(i64, Arc<DecisionRecord>)>;

/// Decisions of a slot with a request id that may still be repeated, oldest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::engine) struct RequestLog {
    queue: ChunkedQueue<Repeatable>,
    /// Number of arms that the decisions show.
    arms: usize,
}

impl RequestLog {
    /// Makes room for a decision and adds it, if its request has an id. Returns how many decisions were forgotten early.
    pub(in crate::engine) fn add(&mut self, at_us: i64, decided: &Arc<DecisionRecord>) -> u64 {
        let mut forgotten = 0;
        while let Some(Some((made_us, _))) = self.queue.get(self.queue.first())
            && (*made_us < at_us - REQUEST_MEMORY_US
                || self.queue.len() >= REQUESTS_MAX
                || self.arms > REQUEST_ARMS_MAX)
        {
            forgotten += self.drop_oldest(at_us);
        }
        if decided.request_id.is_some() {
            self.restore((at_us, Arc::new(decided.answer())));
        }
        forgotten
    }

    /// Forgets decisions that were made before `horizon_us`. Returns how many were forgotten early.
    pub(in crate::engine) fn forget_before(&mut self, horizon_us: i64, at_us: i64) -> u64 {
        let mut forgotten = 0;
        while let Some(Some((made_us, _))) = self.queue.get(self.queue.first())
            && *made_us < horizon_us
        {
            forgotten += self.drop_oldest(at_us);
        }
        forgotten
    }

    /// Takes a subject out of its decisions. Retries of their requests still get them.
    pub(in crate::engine) fn forget_subject(&mut self, subject: &Subject) {
        let is_gone = |decided: &DecisionRecord| {
            let same = |gone: &str, of: &str| !gone.is_empty() && gone == of;
            same(&subject.id, &decided.subject.id) || same(&subject.session_id, &decided.subject.session_id)
        };
        for ordinal in self.queue.first()..self.queue.next() {
            let known = self.queue.get(ordinal).and_then(Option::as_ref);
            if known.is_some_and(|(_, decided)| is_gone(decided))
                && let Some(Some((_, decided))) = self.queue.get_mut(ordinal)
            {
                Arc::make_mut(decided).subject = Subject::default();
            }
        }
    }

    /// Forgets the oldest decision. Returns 1 if that is early, otherwise 0.
    fn drop_oldest(&mut self, at_us: i64) -> u64 {
        let Some(Some((made_us, oldest))) = self.queue.pop() else { return 0 };
        self.arms -= oldest.chosen.len();
        u64::from(made_us >= at_us - REQUEST_MEMORY_US)
    }

    /// Adds a decision, as a snapshot holds it.
    pub(in crate::engine) fn restore(&mut self, (made_us, decided): (i64, Arc<DecisionRecord>)) {
        self.arms += decided.chosen.len();
        self.queue.push(Some((made_us, decided)));
    }

    /// Decisions with their times, oldest first.
    pub(in crate::engine) fn iter(&self) -> impl Iterator<Item = (i64, &Arc<DecisionRecord>)> {
        self.queue.iter().flatten().map(|(at_us, decided)| (*at_us, decided))
    }

    /// The queue, as a snapshot holds it.
    pub(in crate::engine) fn queue(&self) -> &ChunkedQueue<Repeatable> {
        &self.queue
    }

    /// Makes the queue start at an ordinal, for reading a snapshot.
    pub(in crate::engine) fn start_at(&mut self, first: u64) {
        self.queue = ChunkedQueue::starting_at(first);
    }
}
