//! Baselines: answers that are neither recorded nor learned from.
//!
//! A caller may ask for the baseline where decisions come faster than they can be recorded: a page that shows something
//! is better than one that waits.
//!
//! Invariants: nothing changes: no event, no exposure, no row of a subject. Stickiness, caps and rules hold as for a
//! decision.

use std::sync::{Arc, atomic::Ordering};

use super::{Answer, DecideError, Node, answer_size::AnswerSize, run_long};
use crate::{
    engine::{DecideOptions, DecisionId, DecisionRecord, Request, Subject, hash},
    slot::{ArmId, Consent},
};

impl Node {
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
        let items = self.items();
        items.add_features(&mut request, &view);
        let options = DecideOptions {
            deadline_passed: true,
            already_shown: taken,
            items: Some(&items),
            ..DecideOptions::new(id, seed)
        };
        let arms = if request.candidates.is_empty() { view.arms_in_effect().len() } else { request.candidates.len() };
        let decision = run_long(arms, || self.exposures.look(&view, request, options));
        let decided: Arc<DecisionRecord> = Arc::new(decision.decided);
        Ok(Answer { decided, explanation: decision.explanation, view, ignored_candidates })
    }

    /// Gives the subject of a request its pseudonym as a decision does, without remembering whose it is.
    fn look_up_pseudonym(&self, request: &mut Request, default_consent: Consent) {
        let named = std::mem::take(&mut request.subject).as_far_as(request.consent.unwrap_or(default_consent));
        if named != Subject::default() {
            request.subject = self.subjects.unnamed_pseudonym(&named);
            request.rule_subject = Some(named);
        }
    }
}
