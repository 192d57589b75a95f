//! Requests for decisions.

use crate::{
    bandit::Features,
    engine::{ids::hash, profile::CandidateMatches, subject::Subject, view::SlotView},
    slot::{ArmId, Consent, SlotId},
};

/// Candidate of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestCandidate {
    /// Id of the arm.
    pub arm: ArmId,
    /// Features of the arm in this request.
    pub features: Features,
}

/// Request for a decision. Its parts have passed their checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Id of the slot.
    pub slot: SlotId,
    /// Subject of the decision. It is recorded, and holdout, stickiness and caps go by it.
    pub subject: Subject,
    /// Subject as the conditions of rules see it, if `subject` is a pseudonym. `None` if the two are the same.
    pub rule_subject: Option<Subject>,
    /// Features of the request.
    pub context: Features,
    /// Candidates in the caller's order. Empty to allow every arm of the slot.
    pub candidates: Vec<RequestCandidate>,
    /// Number of arms to show, or 0 for the slot's own number.
    pub count: u32,
    /// Id by which a repetition of the request gets the same answer.
    pub request_id: Option<String>,
    /// Consent of the subject, or `None` for the slot's default.
    pub consent: Option<Consent>,
    /// Asks for an explanation of the decision.
    pub explain: bool,
    /// Name that the client of the call authenticated as, or an empty text. It is recorded, and the decision does not
    /// depend on it.
    pub client: String,
    /// Matches of the candidates with the shopper's profile, or `None` if no profile is used. See
    /// [`ShopperView::add_features`](crate::engine::ShopperView::add_features).
    pub matches: Option<CandidateMatches>,
    /// Asks for a decision that counts only once somebody has seen what it chose.
    pub deferred: bool,
}

impl Request {
    /// Creates a request for `slot` without further wishes.
    pub fn new(slot: SlotId) -> Self {
        Self {
            slot,
            subject: Subject::default(),
            rule_subject: None,
            context: Features::new(),
            candidates: Vec::new(),
            count: 0,
            request_id: None,
            consent: None,
            explain: false,
            client: String::new(),
            matches: None,
            deferred: false,
        }
    }

    /// Removes the candidates that the slot does not know, unless it has an open catalogue. Returns them in their order.
    ///
    /// If the slot knows none of the candidates they all stay, and none is eligible: a request without candidates would
    /// allow every arm.
    pub fn leave_out_unknown(&mut self, view: &SlotView) -> Vec<ArmId> {
        let known = |arm: &ArmId| view.definition.open_catalogue || view.arms.position(arm.as_str()).is_some();
        let unknown: Vec<ArmId> = self.candidates.iter().map(|c| &c.arm).filter(|&arm| !known(arm)).cloned().collect();
        if !unknown.is_empty() && unknown.len() < self.candidates.len() {
            self.candidates.retain(|candidate| known(&candidate.arm));
        }
        unknown
    }

    /// Hashes what a repetition of the request must have in common with it: slot, subject, candidates in their order,
    /// count and consent. Never returns 0. `default_consent` is the slot's.
    ///
    /// Features are left out because a shopper's profile or a price may have changed since. Only 16 bits depend on the
    /// subject: enough to notice another subject, and too few to find out from the record who it was.
    pub fn fingerprint(&self, default_consent: Consent) -> u64 {
        const SUBJECT_BITS: u64 = 0xffff;
        let consent = match self.consent {
            None => 0_u8,
            Some(Consent::Full) => 1,
            Some(Consent::SessionOnly) => 2,
            Some(Consent::None) => 3,
        };
        let (consent, count) = ([consent], self.count.to_be_bytes());
        let mut parts: Vec<&[u8]> = vec![self.slot.as_str().as_bytes(), &consent, &count];
        parts.extend(self.candidates.iter().map(|candidate| candidate.arm.as_str().as_bytes()));
        let rest = hash("request fingerprint", &parts).word();
        let subject = self.subject.clone().as_far_as(self.consent.unwrap_or(default_consent));
        let parts = [subject.id.as_bytes(), subject.session_id.as_bytes()];
        let subject = hash("request fingerprint, subject", &parts).word();
        ((rest & !SUBJECT_BITS) | (subject & SUBJECT_BITS)).max(1)
    }
}
