//! Record of a decision: what it chose, and everything that it was made from.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    ids::DecisionId,
    profile::{CandidateMatch, CandidateMatches, matched_features},
    subject::Subject,
};
use crate::{
    bandit::Features,
    slot::{ArmId, Definition, SlotId},
};

/// Reason why the slot's model did not decide. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fallback {
    /// No arm was eligible.
    NoEligibleArm,
    /// Safe choice is on.
    SafeChoice,
    /// The model's scores were unusable.
    Model,
    /// The caller's deadline had passed.
    Deadline,
}

/// Reason why an arm took its position. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The arm had the highest expected reward of those that remained.
    BestGuess,
    /// The arm was drawn for its chance to be the best.
    Exploring,
    /// The arm was drawn because of its probability floor.
    Floor,
    /// The subject is in the holdout.
    Holdout,
    /// No model decided.
    Fallback,
    /// A rule put it there and left it no rival.
    Rule,
    /// The subject was shown it before.
    Sticky,
    /// The slot is in shadow mode and shows the baseline.
    Shadow,
}

/// Arm that a decision chose. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChosenArm {
    /// The arm.
    pub arm: ArmId,
    /// Probability with which it was drawn, given the positions above.
    pub propensity: f64,
    /// Posterior mean of its reward.
    pub expected_reward: f64,
    /// Position of the arm in the baseline, from 1, or 0 if the baseline does not have it.
    pub baseline_position: u32,
    /// Swap probability: that of the opposite order of this arm and the one above, given the two; 0 where none was
    /// computed.
    pub swap_probability: f64,
    /// Reason why the arm stands here.
    pub reason: Reason,
}

/// Decision, with everything that it was made from. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// The slot.
    pub slot: SlotId,
    /// The decision's id.
    pub id: DecisionId,
    /// Id of the request, by which a retry gets the same answer.
    pub request_id: Option<String>,
    /// Subject of the request, as far as consent goes.
    pub subject: Subject,
    /// Features of the request, as used.
    pub context: Features,
    /// Candidates of the request with their features; empty if every arm of the slot was a candidate.
    pub candidates: Vec<(ArmId, Features)>,
    /// Arms that were not eligible because an earlier request of the batch already got them.
    pub already_shown: Vec<ArmId>,
    /// Slate, best position first.
    pub chosen: Vec<ChosenArm>,
    /// `true` if the subject is in the holdout.
    pub holdout: bool,
    /// Reason why the model did not decide, if it did not.
    pub fallback: Option<Fallback>,
    /// Revision of the slot.
    pub revision: u64,
    /// Model that decided.
    pub model: String,
    /// Seed of the draw.
    pub seed: u64,
    /// Largest expected reward of the arms that could have stood first, in the goal's units, or 0 without scores.
    pub best_expected: f64,
    /// Slate that the policy would have chosen; empty unless the slot is in shadow mode.
    pub shadow_slate: Vec<ChosenArm>,
    /// `true` if the subject is in the analysis slice. Nothing is learned of this decision.
    pub analysis: bool,
    /// Earlier decision for the same subject that this one repeats, if it does.
    pub sticky: Option<DecisionId>,
    /// Names of the rules that had an effect, in the slot's order.
    pub matched_rules: Vec<String>,
    /// Scores of the candidates with the largest probabilities, at most [`SCORED_MAX`] of them.
    pub scored: Vec<ScoredCandidate>,
    /// Candidates that rules excluded, at most [`SCORED_MAX`] of them.
    pub excluded: Vec<ExcludedCandidate>,
    /// [`Request::fingerprint`](super::Request::fingerprint) of a request with an id, or 0 if the request has no id or
    /// was recorded before fingerprints were.
    pub request_fingerprint: u64,
    /// Name that the client of the call authenticated as, or an empty text.
    pub client: String,
    /// `true` if the floors of the eligible arms came to more than 1, so that they were scaled down.
    pub scaled_floors: bool,
    /// Matches of the candidates with the shopper's profile, in ascending order, or `None` if no profile was used. A
    /// candidate that is not listed has an affinity of 0.
    pub matches: Option<Vec<CandidateMatch>>,
    /// Time until which the decision may be confirmed, microseconds since 1970, or `None` if it is not deferred. A
    /// deferred decision counts once it is confirmed.
    #[serde(default)]
    pub expire_us: Option<i64>,
    /// Arms that the indices of candidates name, if every arm of the slot was a candidate and the slot took them from the
    /// item catalogue, or else empty. Items change without a revision, so only the decision knows its arms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub catalogue_arms: Vec<ArmId>,
}

/// Largest number of candidates whose scores are recorded with a decision. No screen shows more.
pub const SCORED_MAX: usize = 64;

/// Scores of a candidate at the time of a decision. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScoredCandidate {
    /// Index of the candidate in the request's candidates, or in the slot's arms if the request names none, from 0.
    pub candidate: u32,
    /// Posterior mean of its reward.
    pub mean: f32,
    /// Standard deviation of that mean, times the width multiplier.
    pub std: f32,
    /// Probability of the first position.
    pub propensity: f32,
}

/// Candidate that a rule excluded. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExcludedCandidate {
    /// Index of the candidate in the request's candidates, or in the slot's arms if the request names none, from 0.
    pub candidate: u32,
    /// Index of the rule in [`DecisionRecord::matched_rules`].
    pub rule: u32,
}

impl DecisionRecord {
    /// A decision that shows no arm to an anonymous subject.
    pub fn empty(slot: SlotId, id: DecisionId) -> Self {
        Self {
            slot,
            id,
            request_id: None,
            subject: Subject::default(),
            context: Features::new(),
            candidates: Vec::new(),
            already_shown: Vec::new(),
            chosen: Vec::new(),
            holdout: false,
            fallback: None,
            revision: 0,
            model: String::new(),
            seed: 0,
            best_expected: 0.0,
            shadow_slate: Vec::new(),
            analysis: false,
            sticky: None,
            matched_rules: Vec::new(),
            scored: Vec::new(),
            excluded: Vec::new(),
            request_fingerprint: 0,
            client: String::new(),
            scaled_floors: false,
            matches: None,
            expire_us: None,
            catalogue_arms: Vec::new(),
        }
    }

    /// Arms that the indices of candidates name, if every arm of the slot was a candidate. `definition` is that of the
    /// revision that decided, or `None` if it is not known any more.
    pub fn slot_arms<'a>(&'a self, definition: Option<&'a Definition>) -> impl Iterator<Item = &'a ArmId> + Clone {
        let own = definition.map_or(&[][..], |definition| &definition.arms);
        self.catalogue_arms.iter().chain(own.iter().map(|arm| &arm.id))
    }

    /// Arms from the item catalogue of which it is recorded that they were available: those with scores, and those that rules
    /// excluded.
    pub fn catalogue_candidates(&self) -> impl Iterator<Item = &ArmId> {
        let excluded = self.excluded.iter().map(|excluded| excluded.candidate);
        let places: BTreeSet<u32> = self.scored.iter().map(|scored| scored.candidate).chain(excluded).collect();
        places.into_iter().filter_map(|at| self.catalogue_arms.get(at as usize))
    }

    /// Returns the arm that the index of a candidate names, or `None` if it cannot be known any more. `definition` is that of
    /// the revision that decided.
    pub fn candidate<'a>(&'a self, index: usize, definition: Option<&'a Definition>) -> Option<&'a ArmId> {
        if self.candidates.is_empty() {
            return self.slot_arms(definition).nth(index);
        }
        self.candidates.get(index).map(|(arm, _)| arm)
    }

    /// Returns the features of a candidate as the decision used them: its own, and its match with the shopper's profile.
    /// `definition` is that of the revision that decided. Returns `None` if no profile was used, or the arm was no
    /// candidate.
    pub fn matched_features(&self, arm: &ArmId, definition: Option<&Definition>) -> Option<Features> {
        let matches = self.matches.as_ref()?;
        let (place, own) = if self.candidates.is_empty() {
            (self.slot_arms(definition).position(|have| have == arm)?, None)
        } else {
            let place = self.candidates.iter().position(|(have, _)| have == arm)?;
            (place, self.candidates.get(place).map(|(_, own)| own))
        };
        Some(matched_features(matches, u32::try_from(place).ok()?, own))
    }

    /// Returns the matches of all candidates, if a profile was used. `definition` is that of the revision that decided.
    pub(super) fn recall_matches(&self, definition: Option<&Definition>) -> Option<CandidateMatches> {
        let notable = self.matches.clone()?;
        if self.candidates.is_empty() {
            return Some(CandidateMatches::recall(notable, self.slot_arms(definition).map(|arm| (arm, None))));
        }
        Some(CandidateMatches::recall(notable, self.candidates.iter().map(|(arm, own)| (arm, Some(own)))))
    }

    /// Returns the part of the decision from which a retry is answered: everything but what it was made from.
    #[must_use]
    pub fn answer(&self) -> Self {
        Self {
            request_id: self.request_id.clone(),
            chosen: self.chosen.clone(),
            holdout: self.holdout,
            fallback: self.fallback,
            revision: self.revision,
            model: self.model.clone(),
            seed: self.seed,
            shadow_slate: self.shadow_slate.clone(),
            analysis: self.analysis,
            sticky: self.sticky,
            request_fingerprint: self.request_fingerprint,
            expire_us: self.expire_us,
            ..Self::empty(self.slot.clone(), self.id)
        }
    }

    /// Returns `true` if at least one position was drawn and does not show the best guess.
    pub fn exploring(&self) -> bool {
        self.chosen.iter().any(|chosen| matches!(chosen.reason, Reason::Exploring | Reason::Floor))
    }
}
