//! Forgetting of a subject: what a slot remembers of it goes, and what its models learned stays.

use crate::engine::{pending::subject_keys, slot_state::SlotState, subject::Subject};

impl SlotState {
    /// Forgets a subject. Its decisions that wait for rewards stay as those of an anonymous subject, of which nothing more
    /// is learned.
    pub(in crate::engine) fn forget_subject(&mut self, subject: &Subject) {
        let keys: Vec<_> = subject_keys(subject).collect();
        if keys.is_empty() {
            return;
        }
        self.decisions.pending.forget_subject(&keys);
        self.decisions.finished.forget_subject(&keys);
        self.exposure.forget_subject(&keys);
        self.requests.forget_subject(subject);
        self.logins.forget_subject(subject);
        self.deferred.forget_subject(subject);
    }
}
