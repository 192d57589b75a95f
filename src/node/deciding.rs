//! Deciding: on the caller's thread, against a published view.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use super::{
    Answer, DecideError, Node, WriteError, answer_size::AnswerSize, logins::LoginUnit, queue::DecisionReply,
    recover::workers, requests::RequestDecision, shoppers::CallShopper,
};
use crate::{
    engine::{DecideOptions, DecisionId, DecisionRecord, ItemTable, Request, SlotView, hash},
    slot::{ArmId, FieldError, limits::WORK_MAX},
};

/// Number of times that a decision is repeated because another call was quicker with the same request id.
const CLAIM_TRIES: usize = 8;
/// Candidates times positions of one call, in all, beyond which it waits for its turn: tens of milliseconds. Only half
/// of the cores work on such calls at a time, so that the others go on.
const TURN_WORK: usize = 100_000;
/// Time between two looks at the deadline by a call that waits for its turn.
pub(super) const TURN_LOOK: Duration = Duration::from_millis(20);
/// Candidates of one call beyond which the runtime learns that its thread will be busy: about a millisecond.
const LONG: usize = 500;

/// Runs `work` over `arms` arms in place. If they are many, the runtime moves its other tasks away first.
pub(crate) fn run_long<T>(arms: usize, work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    let several = Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if arms > LONG && several { tokio::task::block_in_place(work) } else { work() }
}

/// Calls that take long: how many may wait, and how many are worked on at a time.
#[derive(Debug)]
pub(super) struct LongCalls {
    seats: Semaphore,
    cores: Semaphore,
}

impl Default for LongCalls {
    fn default() -> Self {
        /// Long calls that may wait or run; further ones are refused.
        const SEATS: usize = 16;
        Self { seats: Semaphore::new(SEATS), cores: Semaphore::new((workers() / 2).max(1)) }
    }
}

/// State of a call when one of its requests is decided.
#[derive(Clone, Copy)]
struct CallScene<'a> {
    /// Arms that may not be shown, because a request before it got them.
    taken: &'a [ArmId],
    now_us: i64,
    items: &'a ItemTable,
    deadline_passed: &'a (dyn Fn() -> bool + Send + Sync),
}

impl Node {
    /// Decides all requests, in order, each with a result of its own; all decisions are recorded, or none.
    ///
    /// With `distinct`, arms given to one request are not eligible for those after it. Each request
    /// is decided as a fallback once `deadline_passed` says so. A node that can write no more still decides, unless
    /// decisions are to be durable; those decisions are counted as unrecorded.
    pub async fn decide(
        &self,
        mut requests: Vec<Request>,
        distinct: bool,
        deadline_passed: &(dyn Fn() -> bool + Send + Sync),
    ) -> Result<Vec<Result<Answer, DecideError>>, WriteError> {
        self.taking()?;
        if self.durable_decisions {
            self.writable()?;
        }
        // A request without an id cannot lose a race, so it never has to be decided again.
        let repeatable = requests.iter().any(|request| request.request_id.is_some());
        if !repeatable && !self.shared.is_full() && !self.shared.failed() {
            // Decisions that could not be kept are refused before they are computed.
            let admitted = self.shared.queue.admits(requests.len());
            self.count_refusal("decisions", requests.len(), admitted)?;
        }
        let arms = self.arms_of(&requests);
        let _turn = if self.work_of(&requests) > TURN_WORK { self.turn(deadline_passed).await? } else { None };
        for _ in 0..CLAIM_TRIES {
            let batch = if repeatable { requests.clone() } else { std::mem::take(&mut requests) };
            let mut fresh: Vec<(u32, Arc<DecisionRecord>)> = Vec::new();
            let answers = run_long(arms, || self.decide_each(batch, distinct, deadline_passed, &mut fresh));
            let (replies, durable) = self.replies(fresh.len());
            let claimed = self.claim_and_send(&fresh, replies);
            if !matches!(claimed, Ok(true)) {
                self.exposures.forget(&fresh);
            }
            if !claimed? {
                // Another call was given a decision for one of these requests meanwhile: that one counts.
                continue;
            }
            let mut written = Ok(());
            for durable in durable {
                written = written.and(durable.await.unwrap_or(Err(WriteError::Unanswered)));
            }
            if let Err(why) = written {
                // A retry must not be answered with a decision that was not recorded.
                self.requests.claims().release(&fresh);
                self.exposures.forget(&fresh);
                return Err(why);
            }
            return Ok(answers);
        }
        Err(WriteError::Busy)
    }

    /// Channels that report to the callers of that many `decisions` that they are durable; empty if no caller waits for that.
    fn replies(&self, decisions: usize) -> (Vec<DecisionReply>, Vec<oneshot::Receiver<Result<(), WriteError>>>) {
        let wanted = if self.durable_decisions { decisions } else { 0 };
        (0..wanted).map(|_| oneshot::channel()).unzip()
    }

    /// Sends decisions to the journal, and only then lets repetitions of their requests find them: all in
    /// one step. Says whether none of the requests had been decided by another call meanwhile; else
    /// nothing was done.
    fn claim_and_send(
        &self,
        fresh: &[(u32, Arc<DecisionRecord>)],
        replies: Vec<DecisionReply>,
    ) -> Result<bool, WriteError> {
        if fresh.is_empty() {
            return Ok(true);
        }
        let decisions: Vec<_> = fresh.iter().map(|(_, decided)| Arc::clone(decided)).collect();
        let send = || -> Result<(), WriteError> {
            if self.shared.failed() && replies.is_empty() {
                self.shared.observer.unrecorded(decisions.len());
                return Ok(());
            }
            let full = self.shared.is_full() && replies.is_empty();
            let count = decisions.len();
            let pushed = self.shared.queue.push_decisions(decisions, replies, full);
            let dropped = self.count_refusal("decisions", count, pushed)?;
            // Callers have these answers already, and rewards of them will match no decision.
            self.shared.observer.unrecorded(dropped);
            Ok(())
        };
        if fresh.iter().all(|(_, decided)| decided.request_id.is_none()) {
            send()?;
            return Ok(true);
        }
        let now_us = self.now_us();
        let mut claims = self.requests.claims();
        if fresh.iter().any(|(_, decided)| claims.is_claimed(decided, now_us, |entry| self.counts(entry))) {
            return Ok(false);
        }
        send()?;
        for (slot, decided) in fresh {
            claims.claim(*slot, decided, now_us);
        }
        Ok(true)
    }

    /// Returns `false` for a decision of a slot that was deleted or reset since.
    fn counts(&self, entry: &RequestDecision) -> bool {
        self.slot(&entry.decided.slot).is_some_and(|view| view.number == entry.slot)
    }

    /// The decision that this request repeats, if any.
    ///
    /// # Errors
    ///
    /// The request's id was used for another request.
    fn repeated(
        &self,
        view: &SlotView,
        request: &Request,
        fingerprint: u64,
        fresh: &[(u32, Arc<DecisionRecord>)],
        now_us: i64,
    ) -> Result<Option<Arc<DecisionRecord>>, FieldError> {
        let Some(id) = request.request_id.as_deref() else { return Ok(None) };
        let here = fresh.iter().find(|(_, decided)| decided.request_id.as_deref() == Some(id));
        let found = match here {
            Some((slot, decided)) => (*slot, Arc::clone(decided)),
            None => match self.requests.get(id, now_us).filter(|entry| self.counts(entry)) {
                Some(RequestDecision { slot, decided, .. }) => (slot, decided),
                None => return Ok(None),
            },
        };
        match found {
            (slot, decided) if slot == view.number && [0, fingerprint].contains(&decided.request_fingerprint) => {
                Ok(Some(decided))
            }
            // Recorded when each slot had request ids of its own.
            (slot, decided) if slot != view.number && decided.request_fingerprint == 0 => Ok(None),
            _ => Err(FieldError::new(
                "request_id",
                "request_id was used for another request (slot, subject, candidates, count or consent differ); \
                 give each request an id of its own",
            )),
        }
    }

    /// Decision of a slot that answered a request of this id within the last ten minutes, or `None` if none did.
    pub fn decision_of_request(&self, view: &SlotView, request_id: &str) -> Option<Arc<DecisionRecord>> {
        let found = self.requests.get(request_id, self.now_us())?;
        (found.slot == view.number).then_some(found.decided)
    }

    /// Returns `true` if a slot has this number.
    fn lives(&self, number: u32) -> bool {
        self.shared.views.iter().any(|view| view.number == number)
    }

    /// Waits until a core is free for a long call. Returns `None` once the deadline has passed: then it is not long.
    async fn turn(
        &self,
        deadline_passed: &(dyn Fn() -> bool + Send + Sync),
    ) -> Result<Option<(SemaphorePermit<'_>, SemaphorePermit<'_>)>, WriteError> {
        let seat = self.count_refusal("decisions", 1, self.turns.seats.try_acquire().map_err(|_| WriteError::Busy))?;
        while !deadline_passed() {
            if let Ok(Ok(core)) = tokio::time::timeout(TURN_LOOK, self.turns.cores.acquire()).await {
                return Ok(Some((seat, core)));
            }
        }
        Ok(None)
    }

    /// Candidates times positions of all requests.
    fn work_of(&self, requests: &[Request]) -> usize {
        requests.iter().map(|request| self.work_of_one(request)).fold(0, usize::saturating_add)
    }

    fn work_of_one(&self, request: &Request) -> usize {
        let Some(view) = self.slot(&request.slot) else { return 0 };
        let arms = if request.candidates.is_empty() { view.arms_in_effect().len() } else { request.candidates.len() };
        let count = if request.count == 0 { view.definition.count() } else { request.count } as usize;
        arms.saturating_mul(count.min(arms))
    }

    /// Number of arms to score in all requests together.
    fn arms_of(&self, requests: &[Request]) -> usize {
        let arms = |request: &Request| {
            let all = || self.slot(&request.slot).map_or(0, |view| view.arms_in_effect().len());
            if request.candidates.is_empty() { all() } else { request.candidates.len() }
        };
        requests.iter().map(arms).sum()
    }

    fn decide_each(
        &self,
        requests: Vec<Request>,
        distinct: bool,
        deadline_passed: &(dyn Fn() -> bool + Send + Sync),
        fresh: &mut Vec<(u32, Arc<DecisionRecord>)>,
    ) -> Vec<Result<Answer, DecideError>> {
        let now_us = self.now_us();
        let mut taken: Vec<ArmId> = Vec::new();
        let mut answers = Vec::with_capacity(requests.len());
        let mut work = 0_usize;
        let mut size = AnswerSize::default();
        let mut shopper = CallShopper::default();
        let items = self.shared.items();
        for request in requests {
            work = work.saturating_add(self.work_of_one(&request));
            if work > WORK_MAX {
                let message = format!(
                    "comes to {work} candidates times positions, with the requests before it; at most {WORK_MAX} are decided in one call"
                );
                answers.push(Err(FieldError::new("count", message).into()));
                continue;
            }
            if let Some(view) = self.slot(&request.slot)
                && let Err(why) = size.add(&view, &request)
            {
                answers.push(Err(why.into()));
                continue;
            }
            let scene = CallScene { taken: &taken, now_us, items: &items, deadline_passed };
            let answer = self.decide_one(request, scene, &mut shopper, fresh);
            if let Ok(answer) = &answer
                && distinct
            {
                taken.extend(answer.decided.chosen.iter().map(|chosen| chosen.arm.clone()));
            }
            answers.push(answer);
        }
        answers
    }

    fn decide_one(
        &self,
        mut request: Request,
        CallScene { taken, now_us, items, deadline_passed }: CallScene<'_>,
        shopper: &mut CallShopper,
        fresh: &mut Vec<(u32, Arc<DecisionRecord>)>,
    ) -> Result<Answer, DecideError> {
        let view = self.slot(&request.slot).ok_or_else(|| DecideError::SlotNotFound {
            slot: request.slot.clone(),
            suggestion: self.suggest(request.slot.as_str()),
        })?;
        self.use_pseudonym(&mut request, view.definition.default_consent, now_us, shopper);
        let fingerprint = match request.request_id {
            Some(_) => request.fingerprint(view.definition.default_consent),
            None => 0,
        };
        let ignored_candidates = request.leave_out_unknown(&view);
        if let Some(decided) = self.repeated(&view, &request, fingerprint, fresh, now_us)? {
            return Ok(Answer { decided, explanation: None, view, ignored_candidates });
        }
        items.add_features(&mut request, &view);
        self.add_profile_features(&mut request, &view, now_us, shopper);
        let random = hash("draw", &[&self.secret, &self.counter.fetch_add(1, Ordering::Relaxed).to_be_bytes()]);
        let drawn_by = self.logins.session_of(&view, &request.subject);
        let options = DecideOptions {
            drawn_by: drawn_by.as_deref(),
            items: Some(items),
            already_shown: taken,
            deadline_passed: deadline_passed(),
            interrupted: &deadline_passed,
            ..DecideOptions::new(DecisionId::new(view.number, now_us, random.other_word()), random.word())
        };
        let deferred = request.deferred;
        let mut decision = if deferred {
            self.exposures.look(&view, request, options)
        } else {
            self.exposures.decide(&view, request, options, |number| self.lives(number))
        };
        let confirmable = deferred && !decision.decided.chosen.is_empty();
        let expire_us = now_us.saturating_add(view.definition.goal.confirmation_window_us());
        decision.decided.expire_us = confirmable.then_some(expire_us);
        decision.decided.request_fingerprint = fingerprint;
        let units = || self.shared.views.iter().map(|view| LoginUnit::of(&view)).collect();
        self.logins.add(&view, now_us, &decision.decided.subject, self.shared.views.len(), units);
        for &rule in &decision.failed_rules {
            if let Some(rule) = view.definition.rules.get(rule as usize) {
                self.shared.observer.rule_failed(view.definition.id.as_str(), &rule.name, 1);
            }
        }
        let decided = Arc::new(decision.decided);
        fresh.push((view.number, Arc::clone(&decided)));
        Ok(Answer { decided, explanation: decision.explanation, view, ignored_candidates })
    }
}
