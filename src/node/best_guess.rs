//! Best guesses and baselines: answers that are neither recorded nor learned from.
//!
//! A caller that asks for many slots at once, and again and again, does not say what it will show. A decision that
//! nobody sees would teach a silence that means nothing, so such a caller gets the best guess instead of a draw.
//!
//! A caller may also ask for the baseline where decisions come faster than they can be recorded: a page that shows
//! something is better than one that waits.
//!
//! Invariants:
//!
//! * Nothing changes: no event, no exposure, no row of a subject.
//! * Equal state, request and subject give an equal best guess, so that a caller can tell whether anything changed.
//! * The holdout, stickiness, caps and rules hold as for a decision.

use std::sync::{Arc, atomic::Ordering};

use super::{Answer, DecideError, Node, answer_size::AnswerSize, run_long};
use crate::{
    engine::{DecideOptions, DecisionId, DecisionRecord, Request, SlotView, Subject, hash},
    slot::{ArmId, Consent, Mode},
};

impl Node {
    /// Returns the best guess for a request. Its decision id stands for no decision, and its propensities are those
    /// of no draw.
    ///
    /// An anonymous subject would change groups from one answer to the next. So it belongs to no holdout here, and
    /// stays outside a test: there it gets the baseline.
    ///
    /// # Errors
    ///
    /// There is no such slot.
    pub fn best_guess(&self, mut request: Request) -> Result<Answer, DecideError> {
        let view = self.slot(&request.slot).ok_or_else(|| DecideError::SlotNotFound {
            slot: request.slot.clone(),
            suggestion: self.suggest(request.slot.as_str()),
        })?;
        let now_us = self.now_us();
        self.look_up_pseudonym(&mut request, view.definition.default_consent);
        request.request_id = None;
        let ignored_candidates: Vec<ArmId> = request.leave_out_unknown(&view);
        let is_anonymous = request.subject == Subject::default();
        let options =
            DecideOptions { best_guess: true, ..DecideOptions::new(DecisionId::new(view.number, now_us, 0), 0) };
        let arms = if request.candidates.is_empty() { view.definition.arms.len() } else { request.candidates.len() };
        let decision = run_long(arms, || {
            if is_anonymous {
                let mut everybody = (*view).clone();
                let mut definition = (*view.definition).clone();
                definition.controls.holdout = matches!(definition.controls.mode(), Mode::Test(_)).then_some(1.0);
                everybody.definition = Arc::new(definition);
                return self.exposures.look(&everybody, request, options);
            }
            self.exposures.look(&view, request, options)
        });
        let decided: Arc<DecisionRecord> = Arc::new(decision.decided);
        Ok(Answer { decided, explanation: decision.explanation, view, ignored_candidates })
    }

    /// Returns the baseline for each request, drawn as for a decision whose deadline has passed. Rules hold. With
    /// `distinct`, arms given to one request are not eligible for those after it.
    pub fn baselines(&self, requests: Vec<Request>, distinct: bool) -> Vec<Result<Answer, DecideError>> {
        let (mut taken, mut size): (Vec<ArmId>, AnswerSize) = Default::default();
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            let answer = self.baseline(request, &taken, &mut size);
            if let (Ok(answer), true) = (&answer, distinct) {
                taken.extend(answer.decided.chosen.iter().map(|chosen| chosen.arm.clone()));
            }
            answers.push(answer);
        }
        answers
    }

    fn baseline(&self, mut request: Request, taken: &[ArmId], size: &mut AnswerSize) -> Result<Answer, DecideError> {
        let view = self.slot(&request.slot).ok_or_else(|| DecideError::SlotNotFound {
            slot: request.slot.clone(),
            suggestion: self.suggest(request.slot.as_str()),
        })?;
        size.add(&view, &request)?;
        let now_us = self.now_us();
        self.look_up_pseudonym(&mut request, view.definition.default_consent);
        request.request_id = None;
        let ignored_candidates: Vec<ArmId> = request.leave_out_unknown(&view);
        let drawn = self.counter.fetch_add(1, Ordering::Relaxed);
        let seed = hash("baseline", &[&self.secret, &drawn.to_be_bytes()]).word();
        let id = DecisionId::new(view.number, now_us, 0);
        let options = DecideOptions { deadline_passed: true, already_shown: taken, ..DecideOptions::new(id, seed) };
        let arms = if request.candidates.is_empty() { view.definition.arms.len() } else { request.candidates.len() };
        let decision = run_long(arms, || self.exposures.look(&view, request, options));
        let decided: Arc<DecisionRecord> = Arc::new(decision.decided);
        Ok(Answer { decided, explanation: decision.explanation, view, ignored_candidates })
    }

    /// Decision of a slot that answered a request of this id within the last ten minutes, or `None` if none did.
    pub fn decision_of_request(&self, view: &SlotView, request_id: &str) -> Option<Arc<DecisionRecord>> {
        let found = self.requests.get(request_id, self.now_us())?;
        (found.slot == view.number).then_some(found.decided)
    }

    /// Gives the subject of a request its pseudonym as a decision does, without remembering whose it is.
    fn look_up_pseudonym(&self, request: &mut Request, default_consent: Consent) {
        let named = std::mem::take(&mut request.subject).as_far_as(request.consent.unwrap_or(default_consent));
        if named != Subject::default() {
            request.subject = self.subjects.unremembered_pseudonym(&named);
            request.rule_subject = Some(named);
        }
    }
}
