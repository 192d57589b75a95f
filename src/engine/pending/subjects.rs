//! Index of each subject's decisions, for events that join whatever a subject was shown last.

use super::{
    DecisionQueue, EncodedDecision, Hash128, Index, Subject, cost, encoding::IndexKeys, showing_word, subject_keys,
};
use crate::slot::limits::SHOWINGS_MAX;

/// Adds an entry for a decision. Keeps the newest [`SHOWINGS_MAX`] of the key, which bounds the time of a search.
pub(super) fn index_newest(index: &mut Index, word: u64, ordinal: u64, first: u64) {
    let (count, oldest) = index.all(word, first).fold((0, ordinal), |(n, oldest), o| (n + 1, oldest.min(o)));
    if count >= SHOWINGS_MAX {
        index.remove(word, oldest);
    }
    index.insert(word, ordinal);
}

impl DecisionQueue {
    /// Takes a subject's keys out of its decisions, of which nothing more is learned. This reads every decision.
    pub(in crate::engine) fn forget_subject(&mut self, gone: &[Hash128]) {
        for ordinal in self.queue.first()..self.queue.next() {
            let IndexKeys { events, subjects, arms } = self.index_keys(ordinal);
            if !subjects.iter().any(|key| gone.contains(key)) {
                continue;
            }
            let (Some(mut decision), Some(before)) = (self.get(ordinal), self.queue.get(ordinal)) else { continue };
            self.bytes -= cost(before, events.len(), subjects.len() * arms.len());
            for &subject in &subjects {
                for &arm in &arms {
                    self.showings.remove(showing_word(subject, arm), ordinal);
                }
                if let Some(index) = &mut self.of_subjects {
                    index.remove(subject.word(), ordinal);
                }
            }
            decision.subjects.clear();
            decision.frozen = true;
            let after = EncodedDecision::encode(&decision, &mut self.buffer);
            self.bytes += cost(&after, events.len(), 0);
            if let Some(place) = self.queue.get_mut(ordinal) {
                *place = after;
            }
        }
    }

    /// Builds or drops the index of each subject's decisions.
    pub(in crate::engine) fn index_subjects(&mut self, wanted: bool) {
        if wanted == self.of_subjects.is_some() {
            return;
        }
        self.of_subjects = None;
        if wanted {
            let mut index = Index::default();
            for ordinal in self.queue.first()..self.queue.next() {
                for subject in self.index_keys(ordinal).subjects {
                    index_newest(&mut index, subject.word(), ordinal, self.queue.first());
                }
            }
            self.of_subjects = Some(index);
        }
    }

    /// Returns the latest decision for the subject made by `until_us`, whatever it showed. Its id goes before its session.
    /// `None` unless decisions are [indexed](Self::index_subjects) by subject.
    pub(in crate::engine) fn find_latest_of_subject(&self, subject: &Subject, until_us: i64) -> Option<u64> {
        let index = self.of_subjects.as_ref()?;
        let named = !subject.id.is_empty();
        let made_by_then =
            |&ordinal: &u64| self.queue.get(ordinal).map_or(i64::MIN, EncodedDecision::at_us) <= until_us;
        let latest = |key: Hash128, by_session: bool| {
            let mut ordinals: Vec<u64> = index.all(key.word(), self.queue.first()).filter(made_by_then).collect();
            ordinals.sort_unstable();
            ordinals.into_iter().rev().find(|&ordinal| {
                let subjects = self.index_keys(ordinal).subjects;
                // A session joins only if the event or the decision has no subject id.
                subjects.contains(&key) && (!by_session || !named || subjects.first() == Some(&key))
            })
        };
        let mut keys = subject_keys(subject);
        let by_id = if named { keys.next().and_then(|key| latest(key, false)) } else { None };
        by_id.or_else(|| keys.next().and_then(|key| latest(key, true)))
    }
}
