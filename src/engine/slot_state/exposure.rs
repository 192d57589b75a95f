//! Exposure: what subjects were shown lately, for stickiness and for caps.
//!
//! Exposure is kept only while a slot's controls or rules need it, for at most [`PAST_MAX`] decisions of a slot; the
//! oldest are forgotten first. The state keeps one copy, which snapshots hold. The node keeps another that runs ahead
//! of it, so that a cap already holds for the next decision.
//!
//! Deliberately not here: what a cap or stickiness does to a decision.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    engine::{
        chunked_queue::ChunkedQueue,
        decision_record::DecisionRecord,
        ids::{DecisionId, Hash128},
        pending::subject_keys,
        subject::Subject,
    },
    slot::{ArmId, Definition, Effect, Stickiness, limits::PAST_MAX},
};

const DAY_US: i64 = 24 * 3600 * 1_000_000;

/// Largest number of a subject's decisions that a cap counts. An id with more is no shopper, but shared by many.
const COUNTED_DECISIONS_MAX: usize = 2_000;

/// Arm that a subject was shown. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmPropensity {
    /// The arm.
    pub arm: ArmId,
    /// Propensity with which it was drawn.
    pub propensity: f64,
}

/// Arms that one decision showed to a subject. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExposureEntry {
    /// Time of the decision, microseconds since 1970.
    pub at_us: i64,
    /// Id of the decision.
    pub id: DecisionId,
    /// Keys of the subject.
    keys: Vec<Hash128>,
    /// `true` if the policy drew the arms. Only such a decision can be repeated for stickiness.
    drawn: bool,
    /// Shown arms, best position first.
    pub shown: Vec<ArmPropensity>,
}

/// Arms that a slot's subjects were shown lately. *Persisted*: the queue in sections of its own, the rest with the
/// slot.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Exposure {
    #[serde(skip)]
    queue: ChunkedQueue<Option<Arc<ExposureEntry>>>,
    #[serde(skip)]
    by_subject: HashMap<Hash128, VecDeque<u64>>,
    /// Day that `showings_of_day` counts, in days since 1970, UTC.
    day: i64,
    /// Number of showings per arm on that day.
    showings_of_day: BTreeMap<ArmId, u64>,
}

/// The index is not compared: it follows from the queue.
impl PartialEq for Exposure {
    fn eq(&self, other: &Self) -> bool {
        (self.day, &self.showings_of_day) == (other.day, &other.showings_of_day) && self.queue == other.queue
    }
}

/// Exposure that a slot's definition needs to have remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExposureScope {
    /// Time for which a subject's showings are remembered, microseconds, or 0 if they are not.
    subject_us: i64,
    /// `true` if a cap counts showings by subject. If `false`, only draws are remembered, for stickiness.
    counts: bool,
    /// `true` if a cap counts showings by day.
    days: bool,
}

impl ExposureScope {
    /// Returns what this definition needs.
    pub fn from_definition(definition: &Definition) -> Self {
        let mut scope = Self { subject_us: definition.controls.stickiness().memory_us(), counts: false, days: false };
        for rule in definition.rules.iter().filter(|rule| !rule.paused) {
            match rule.effect {
                Effect::SubjectCap { window_us, .. } => {
                    scope.subject_us = scope.subject_us.max(window_us);
                    scope.counts = true;
                }
                Effect::DayCap { .. } => scope.days = true,
                Effect::Exclude
                | Effect::Evidence { .. }
                | Effect::Pin { .. }
                | Effect::Boost { .. }
                | Effect::ProbabilityBounds { .. }
                | Effect::Quota { .. }
                | Effect::MaxMoves { .. } => {}
            }
        }
        scope
    }

    /// Returns `true` if anything must be remembered.
    pub fn is_needed(self) -> bool {
        self.subject_us > 0 || self.days
    }
}

impl Exposure {
    /// Creates an empty exposure.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns `true` if nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.queue.len() == 0 && self.showings_of_day.is_empty()
    }

    /// Adds the arms that a decision at `at_us` showed.
    ///
    /// Returns how many decisions were forgotten early to make room.
    pub fn add(&mut self, at_us: i64, decided: &DecisionRecord, scope: ExposureScope) -> u64 {
        let mut forgotten = 0;
        while let Some(oldest) = self.queue.get(self.queue.first())
            && (oldest.as_ref().is_none_or(|oldest| oldest.at_us < at_us - scope.subject_us)
                || self.queue.len() >= PAST_MAX)
        {
            forgotten += u64::from(oldest.as_ref().is_some_and(|oldest| oldest.at_us >= at_us - scope.subject_us));
            self.drop_oldest();
        }
        if scope.days {
            let day = at_us.div_euclid(DAY_US);
            if day != self.day {
                (self.day, self.showings_of_day) = (day, BTreeMap::new());
            }
            for chosen in &decided.chosen {
                *self.showings_of_day.entry(chosen.arm.clone()).or_default() += 1;
            }
        } else {
            self.showings_of_day.clear();
        }
        let keys: Vec<Hash128> = subject_keys(&decided.subject).collect();
        let drawn = !decided.holdout && decided.fallback.is_none() && decided.shadow_slate.is_empty();
        let drawn = drawn && decided.sticky.is_none();
        let counts = drawn || scope.counts;
        if scope.subject_us > 0 && counts && !keys.is_empty() && !decided.chosen.is_empty() {
            let shown =
                decided.chosen.iter().map(|c| ArmPropensity { arm: c.arm.clone(), propensity: c.propensity }).collect();
            self.restore(Arc::new(ExposureEntry { at_us, id: decided.id, keys, drawn, shown }));
        }
        forgotten
    }

    /// Forgets decisions that were made before `horizon_us`. Returns how many there were.
    pub fn forget_before(&mut self, horizon_us: i64) -> u64 {
        let mut forgotten = 0;
        while let Some(oldest) = self.queue.get(self.queue.first())
            && oldest.as_ref().is_none_or(|oldest| oldest.at_us < horizon_us)
        {
            forgotten += u64::from(oldest.is_some());
            self.drop_oldest();
        }
        forgotten
    }

    pub(in crate::engine) fn restore(&mut self, decision: Arc<ExposureEntry>) {
        let ordinal = self.queue.next();
        for &key in &decision.keys {
            self.by_subject.entry(key).or_default().push_back(ordinal);
        }
        self.queue.push(Some(decision));
    }

    fn drop_oldest(&mut self) {
        let ordinal = self.queue.first();
        if let Some(Some(decision)) = self.queue.pop() {
            self.unindex(&decision, ordinal);
        }
    }

    fn unindex(&mut self, decision: &ExposureEntry, ordinal: u64) {
        for key in &decision.keys {
            if let Some(list) = self.by_subject.get_mut(key) {
                // Most often the oldest decision goes.
                if list.front() == Some(&ordinal) {
                    list.pop_front();
                } else {
                    list.retain(|&have| have != ordinal);
                }
                if list.is_empty() {
                    self.by_subject.remove(key);
                }
            }
        }
    }

    /// Removes a decision that was not carried out after all.
    pub fn remove(&mut self, decided: &DecisionRecord) {
        for chosen in &decided.chosen {
            if let Some(count) = self.showings_of_day.get_mut(&chosen.arm) {
                *count = count.saturating_sub(1);
            }
        }
        for key in subject_keys(&decided.subject) {
            let ordinals: Vec<u64> = self.by_subject.get(&key).into_iter().flatten().copied().collect();
            for ordinal in ordinals {
                let is_removed =
                    |entry: &Option<Arc<ExposureEntry>>| entry.as_ref().is_some_and(|e| e.id == decided.id);
                if self.queue.get(ordinal).is_some_and(is_removed)
                    && let Some(decision) = self.queue.get_mut(ordinal).and_then(Option::take)
                {
                    self.unindex(&decision, ordinal);
                }
            }
        }
    }

    /// Forgets the decisions of a subject with these keys.
    pub(in crate::engine) fn forget_subject(&mut self, gone: &[Hash128]) {
        for key in gone {
            let ordinals: Vec<u64> = self.by_subject.get(key).into_iter().flatten().copied().collect();
            for ordinal in ordinals {
                if let Some(decision) = self.queue.get_mut(ordinal).and_then(Option::take) {
                    self.unindex(&decision, ordinal);
                }
            }
        }
    }

    fn entries(&self, key: Hash128) -> impl Iterator<Item = &ExposureEntry> {
        let ordinals = self.by_subject.get(&key).into_iter().flatten().rev();
        ordinals.filter_map(|&ordinal| self.queue.get(ordinal)?.as_deref())
    }

    /// Returns the decision that the subject sticks to at `now_us`: the newest one within the stickiness that was drawn
    /// for the subject. For `Session` it is found by the session, otherwise by the subject's id, or by the session if
    /// there is no id.
    pub fn find_sticky(&self, subject: &Subject, stickiness: Stickiness, now_us: i64) -> Option<&ExposureEntry> {
        let key = match stickiness {
            Stickiness::Never => return None,
            Stickiness::Session => {
                let session = Subject { id: String::new(), session_id: subject.session_id.clone() };
                subject_keys(&session).next()?
            }
            Stickiness::For(_) => subject_keys(subject).next()?,
        };
        let since_us = now_us - stickiness.memory_us();
        self.entries(key).take_while(|entry| entry.at_us >= since_us).find(|entry| entry.drawn)
    }

    /// Returns how often each arm was shown to the subject since `since_us`, in the subject's last two thousand
    /// decisions.
    pub fn count_by_arm(&self, subject: &Subject, since_us: i64) -> HashMap<&ArmId, u64> {
        let mut counts = HashMap::new();
        // A subject with an id is counted by it across all sessions.
        let Some(key) = subject_keys(subject).next() else { return counts };
        for entry in self.entries(key).take(COUNTED_DECISIONS_MAX).take_while(|entry| entry.at_us >= since_us) {
            for shown in &entry.shown {
                *counts.entry(&shown.arm).or_default() += 1;
            }
        }
        counts
    }

    /// Arms that were shown on the UTC day of `now_us`.
    pub fn arms_shown_today(&self, now_us: i64) -> impl Iterator<Item = &ArmId> {
        let today = now_us.div_euclid(DAY_US) == self.day;
        self.showings_of_day.keys().filter(move |_| today)
    }

    /// Returns how often an arm was shown on the UTC day of `now_us`.
    pub fn count_today(&self, arm: &ArmId, now_us: i64) -> u64 {
        if now_us.div_euclid(DAY_US) == self.day { self.showings_of_day.get(arm).copied().unwrap_or(0) } else { 0 }
    }

    /// Returns a copy without the index, for a snapshot.
    pub(in crate::engine) fn without_index(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            by_subject: HashMap::new(),
            day: self.day,
            showings_of_day: self.showings_of_day.clone(),
        }
    }

    /// The queue, as a snapshot holds it.
    pub(in crate::engine) fn queue(&self) -> &ChunkedQueue<Option<Arc<ExposureEntry>>> {
        &self.queue
    }

    /// Makes the queue start at an ordinal, for reading a snapshot.
    pub(in crate::engine) fn start_at(&mut self, first: u64) {
        self.queue = ChunkedQueue::starting_at(first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{ChosenArm, Reason},
        slot::SlotId,
    };

    const SCOPE: ExposureScope = ExposureScope { subject_us: 1_000, counts: true, days: true };

    fn decided(n: u64, at_us: i64, subject: (&str, &str), arms: &[&str]) -> DecisionRecord {
        let mut decided = DecisionRecord::empty(SlotId::parse("s", "s").unwrap(), DecisionId::new(1, at_us, n));
        decided.subject = Subject { id: subject.0.into(), session_id: subject.1.into() };
        decided.chosen = arms
            .iter()
            .map(|arm| ChosenArm {
                arm: ArmId::parse("arm", arm).unwrap(),
                propensity: 0.25,
                expected_reward: 0.0,
                baseline_position: 1,
                swap_probability: 0.0,
                reason: Reason::Exploring,
            })
            .collect();
        decided
    }

    fn subject(id: &str, session_id: &str) -> Subject {
        Subject { id: id.into(), session_id: session_id.into() }
    }

    #[test]
    fn showings_count_by_subject_within_their_window() {
        let mut exposure = Exposure::new();
        exposure.add(100, &decided(1, 100, ("ann", "s1"), &["a", "b"]), SCOPE);
        exposure.add(300, &decided(2, 300, ("ann", "s2"), &["a"]), SCOPE);
        exposure.add(300, &decided(3, 300, ("bob", ""), &["a"]), SCOPE);
        let a = ArmId::parse("arm", "a").unwrap();
        let count = |who: &Subject, since| exposure.count_by_arm(who, since).get(&a).copied().unwrap_or(0);
        assert_eq!((count(&subject("ann", "s9"), 0), count(&subject("ann", ""), 200)), (2, 1));
        assert_eq!((count(&subject("", "s1"), 0), count(&subject("", ""), 0)), (1, 0));
        assert_eq!((exposure.count_today(&a, 300), exposure.count_today(&a, DAY_US)), (3, 0));
    }

    #[test]
    fn removed_and_old_decisions_are_forgotten() {
        let (mut exposure, twin) = (Exposure::new(), decided(2, 300, ("ann", "s2"), &["a"]));
        exposure.add(100, &decided(1, 100, ("ann", "s1"), &["a", "b"]), SCOPE);
        let before = exposure.clone();
        exposure.add(300, &twin, SCOPE);
        exposure.remove(&twin);
        assert_eq!(
            (&exposure.by_subject, exposure.showings_of_day.get("a")),
            (&before.by_subject, before.showings_of_day.get("a"))
        );
        exposure.add(1_200, &decided(4, 1_200, ("bob", ""), &["b"]), SCOPE);
        assert_eq!(exposure.queue.len(), 1, "the first is older than what is remembered");
        assert!(exposure.count_by_arm(&subject("ann", "s1"), 0).is_empty());
    }

    #[test]
    fn a_subject_sticks_to_the_newest_draw_within_the_time() {
        let mut exposure = Exposure::new();
        exposure.add(100, &decided(1, 100, ("ann", "s1"), &["a"]), SCOPE);
        let held = DecisionRecord { holdout: true, ..decided(2, 200, ("ann", "s1"), &["b"]) };
        exposure.add(200, &held, SCOPE);
        let at = |who: &Subject, how, now| exposure.find_sticky(who, how, now).map(|entry| entry.at_us);
        assert_eq!(at(&subject("ann", "s2"), Stickiness::For(500), 600), Some(100));
        assert_eq!(at(&subject("ann", "s2"), Stickiness::For(500), 601), None, "too long ago");
        assert_eq!(at(&subject("ann", "s2"), Stickiness::Session, 300), None, "another session");
        assert_eq!(at(&subject("eve", "s1"), Stickiness::Session, 300), Some(100), "whoever it is");
        assert_eq!(at(&subject("", ""), Stickiness::For(500), 300), None, "nobody");
        assert_eq!(at(&subject("ann", "s1"), Stickiness::Never, 300), None);
    }
}
